#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The status record is served by the data lcore, whatever the control core does: B's control thread is
# stopped for four seconds. Meanwhile B answers READs and A sees the difference between a partner that
# hangs and one that is gone. Afterwards the session comes back by itself.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair memif
PAIR_LCORES[A]="0@${CPUS[0]},1@${CPUS[0]}"
PAIR_LCORES[B]="0@${CPUS[1]:-${CPUS[0]}},1@${CPUS[1]:-${CPUS[0]}}"
scope=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)
[ "$(id -u)" -eq 0 ] || [ "$scope" -eq 0 ] || skip "may not trace other processes"

start_pair_node A
start_pair_node B
wait_state 20 A up
wait_state 20 B up
pid=${NODE_PID[B]}

"$PYTHON" "$SMOKE/stop_thread.py" "$pid" 4 >"$TMP/stop.out" 2>"$TMP/stop.err" &
stopper=$!
wait_for 5 grep -q stopped "$TMP/stop.out" || fail "cannot stop the thread: $(cat "$TMP/stop.err")"
stopped=${EPOCHREALTIME/[.,]/}
reads=$(ask B /remu/stats .reads_executed)
wait_side 10 A /ccm/partner,2 '.state != "up"'
log "A saw it $(((${EPOCHREALTIME/[.,]/} - stopped) / 1000)) ms after the stop"
wait_side 10 A /ccm/partner,2 '.verdict == "hung" and .advice == "take_over"'
assert_eq "reason at A" partner_hung "$(ask A /ccm/partner,2 .last_down_reason)"
! grep -q resumed "$TMP/stop.out" || fail "A saw it only after B had been resumed"
sleep 0.5
more=$(ask B /remu/stats .reads_executed)
log "reads executed by B while its control core stood still: $((more - reads))"
[ "$more" -ge $((reads + 5)) ] || fail "B's data lcore does not answer READs"
! grep -q resumed "$TMP/stop.out" || fail "B was resumed before it was asked"

wait "$stopper" || fail "stop_thread: $(cat "$TMP/stop.err")"
resumed=${EPOCHREALTIME/[.,]/}
wait_state 20 A up
wait_state 20 B up
log "up again $(((${EPOCHREALTIME/[.,]/} - resumed) / 1000)) ms after it was resumed"
wait_exercise 20 A
wait_exercise 20 B
assert_bound
assert_eq "process of B" "$pid" "${NODE_PID[B]}"
stop_node A
stop_node B
log passed
