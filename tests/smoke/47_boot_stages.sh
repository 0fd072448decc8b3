#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A node tells its boot stages from the first record on, and the partner says what it makes of them: the
# session comes up at any stage; progress is told from standing still; a stage may be told over
# telemetry; a partner that is gone is told from one that boots.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair af_packet # over memif a partner that is gone is a link that is down
change_config A '.boot_stages = [
	{name: "firmware", script_ms: 1000, progress_ms: 50, budget_ms: 5000},
	{name: "mount", budget_ms: 1500},
	{name: "running"}]'

verdict_is() {
	wait_side "$1" B /ccm/partner,1 ".verdict == \"$2\" and .advice == \"$3\""
}

start_pair_node B
verdict_is 10 unreachable unsure # never seen: it may as well be us
start_pair_node A
wait_side 20 B /ccm/partner,1 '.boot_name == "firmware" and .verdict == "progressing"'
wait_state 20 B up # at any stage
wait_side 10 B /ccm/partner,1 '.boot_name == "mount" and .verdict == "starting"'
assert_json "$(ask B /ccm/partner,1)" '.boot_stage == 2 and .boot_stages == 3 and .boot_budget_ms == 1500'
verdict_is 10 stuck take_over
assert_eq "state of the session with a partner that is stuck" up "$(ask B /ccm/partner,1 .state)"
age=$(ask B /ccm/partner,1 .boot_age_us)
[ "$age" -ge 1500000 ] || fail "called stuck after $age us"
log "stuck after $((age / 1000)) ms without progress, session up"

assert_eq "stage told" mount "$(ask A /ccm/boot/stage,mount,1 .name)"
verdict_is 10 progressing keep # it moves again
ask A /ccm/boot/stage,running >/dev/null
verdict_is 10 up keep
assert_json "$(ask A /ccm/boot/stage,nothing)" '.error != null' "an unknown stage"
assert_eq "own stage" running "$(ask A /ccm/boot .name)"

kill_node A
verdict_is 10 unreachable take_over
start_pair_node A
wait_side 20 B /ccm/partner,1 '.boot_name == "firmware"' # it tells so before anything else
ask A /ccm/boot/stage,running >/dev/null
verdict_is 20 up keep
stop_node A
wait_side 10 B /ccm/partner,1 '.advice == "take_over"'
stop_node B
log passed
