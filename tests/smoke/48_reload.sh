#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# SIGHUP on a running node: what is safe to change takes effect at once and the partner sees it, with
# the session up all the time; anything else is refused as a whole, by name, and so is a broken file.
# --print-config shows what will be in force, /ccm/config what is.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair memif
change_config A '.boot_stages = [{name: "mount", budget_ms: 600000}, {name: "running"}]'
start_pair_node A
start_pair_node B
wait_state 20 A up
wait_state 20 B up
a=${PAIR_PREFIX[A]}
sessions=$(ask A /ccm/partner,2 .sessions)

# ctl STATUS ARGUMENTS...
ctl() {
	local want=$1 status=0
	shift
	timeout 60 "$ROOT/scripts/ccmctl" -p "$a" "$@" >"$TMP/out" 2>&1 </dev/null || status=$?
	[ "$status" -eq "$want" ] || fail "ccmctl $*: status $status, expected $want: $(cat "$TMP/out")"
}

# reloads STATUS PATTERN: ask for it, and see what it says.
reloads() {
	ctl "$1" --columns 1000 reload
	grep -qE -- "$2" "$TMP/out" || fail "reload: does not match $2: $(cat "$TMP/out")"
}

reloads 0 '^unchanged: nothing has changed$'
assert_eq "budget at B" 600000 "$(ask B /ccm/partner,1 .boot_budget_ms)"
wait_side 10 B /ccm/partner,1 '.verdict == "starting"'

# What is safe: the partner calls A stuck by its new budget, and the log is quiet.
change_config A '.boot_stages[0].budget_ms = 1 | .timing.idle_sleep_us = 70 | .node.log_level = "warning"'
reloads 0 '^applied: node.log_level: "info" -> "warning"; boot_stages\[0\].budget_ms: 600000 -> 1; timing.idle_sleep_us: 50 -> 70$'
wait_side 10 B /ccm/partner,1 '.boot_budget_ms == 1 and .verdict == "stuck"'
assert_eq "in force" "1 70 warning" "$(ask A /ccm/boot .budget_ms) $(ask A /ccm/config '"\(.timing.idle_sleep_us) \(.node.log_level)"')"
lines=$(wc -l <"${NODE_LOG[A]}")
ask A /ccm/boot/stage,running >/dev/null
wait_side 10 B /ccm/partner,1 '.verdict == "up"'
kill_node B
wait_state_not 10 A up
start_pair_node B
wait_state 20 A up
wait_state 20 B up
! tail -n "+$((lines + 1))" "${NODE_LOG[A]}" | grep -q ' -> ' || fail "A logs states at level warning"
sessions=$((sessions + 1))
log "safe changes are taken over, and the partner sees them"

# What is not safe, together with what is: nothing of it.
in_force=$(ask A /ccm/config tojson)
change_config A '.timing.idle_sleep_us = 80 | .timing.beat_us = 20000 | .port.mtu = 1400'
reloads 1 '^refused: port.mtu: 1500 -> 1400 needs a restart; timing.beat_us: 10000 -> 20000 needs a restart$'
assert_eq "in force after a refusal" "$in_force" "$(ask A /ccm/config tojson)"
grep -q 'not reloaded, all is as before: port.mtu' "${NODE_LOG[A]}" || fail "A does not log the refusal"
cp "${PAIR_CONFIG[A]}" "$TMP/keep.json"
echo '{"node": {' >"${PAIR_CONFIG[A]}"
reloads 1 "^refused: ${PAIR_CONFIG[A]}:[0-9]+:[0-9]+: "
rm "${PAIR_CONFIG[A]}"
reloads 1 'No such file'
mkfifo "${PAIR_CONFIG[A]}" # reading it takes a second, which the heartbeat must not notice
reloads 1 'nothing to read within'
rm "${PAIR_CONFIG[A]}"
assert_eq "in force after refusals" "$in_force" "$(ask A /ccm/config tojson)"
cp "$TMP/keep.json" "${PAIR_CONFIG[A]}"
change_config A '.timing.beat_us = 10000 | .port.mtu = 1500'
for _ in {1..20}; do # at once, and in one go
	kill -HUP "${NODE_PID[A]}"
done
wait_side 20 A /ccm/config '.timing.idle_sleep_us == 80'
assert_eq "sessions" "$sessions" "$(ask A /ccm/partner,2 .sessions)"
wait_exercise 20 A
log "unsafe changes and broken files are refused as a whole"

# What a file means is what comes to be in force.
"$BUILD/app/node/ccm-node" --print-config "${PAIR_CONFIG[A]}" >"$TMP/print.json"
"$BUILD/app/node/ccm-node" --print-config "$TMP/print.json" | cmp - "$TMP/print.json" ||
	fail "--print-config differs from what it is printed of"
assert_eq "--print-config and /ccm/config" "$(jq -cS '.timing' "$TMP/print.json")" \
	"$(ask A /ccm/config '.timing' | jq -cS .)"

# By the command line the level is fixed.
stop_node A
start_pair_node A --log-level error
wait_state 20 A up
change_config A '.node.log_level = "debug"'
reloads 0 '^applied: node.log_level'
kill_node B
wait_state_not 10 A up
! tail -n 5 "${NODE_LOG[A]}" | grep -q 'up -> ' || fail "--log-level does not hold"
stop_node A
log passed
