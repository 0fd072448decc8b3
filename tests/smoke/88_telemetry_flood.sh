#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Too much telemetry: 100 clients that ask every millisecond, odd parameters for every command, clients
# that ask and never read, or never ask. DPDK serves ten at a time; no session moves, no answer is
# another question's, nothing is left behind, and whoever asks afterwards, or waits, is answered.
# FLOOD_SECONDS=60 for long.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seconds=${FLOOD_SECONDS:-4}
make_pair memif
start_pair_node A
start_pair_node B
wait_state 20 A up
wait_state 20 B up
wait_exercise 20 A
socket=$(dpdk_dir "${PAIR_PREFIX[A]}")/dpdk_telemetry.v2

# attack WHAT ARGUMENTS...: politely, so that the nodes get their turns on a small machine.
attack() {
	local what=$1
	shift
	timeout 250 nice -n 19 "$PYTHON" -B "$SMOKE/telemetry_flood.py" "$what" "$socket" "$@" >"$TMP/$what.out" 2>&1 ||
		fail "$what: $(tail -c 1500 "$TMP/$what.out")"
	log "$what: $(tail -n 1 "$TMP/$what.out")"
}

# Threads of the process, descriptors, and what has happened to its session.
state() {
	printf '%s threads, %s descriptors\n' "$(find "/proc/${NODE_PID[A]}/task" -mindepth 1 -maxdepth 1 | wc -l)" \
		"$(find "/proc/${NODE_PID[A]}/fd" -mindepth 1 | wc -l)"
}
sessions() {
	local side
	for side in A B; do
		ask "$side" "/ccm/partner,${PAIR_OTHER[$side]}" '"\(.state) \(.sessions) \(.attempts) \(.nonce)"'
	done
}
is_as_before() {
	[ "$(state)" = "$before" ]
}
still_well() {
	wait_for 20 is_as_before || fail "$1: leaves $(state), before $before"
	assert_eq "sessions after $1" "$bound" "$(sessions)"
	for _ in {1..20}; do # one after the other: no place is lost
		ask A /ccm/status >/dev/null
	done
	wait_exercise 20 A
}

before=$(state)
bound=$(sessions)
attack odd
still_well "odd parameters"
attack flood 100 "$seconds"
json_is "$(tail -n 1 "$TMP/flood.out")" '.greeted > 0 and .answers > 50' || fail "flood: nobody was answered"
still_well "flood"

# Slow ones take all places; each loses its own after a while, so others get one.
"$PYTHON" -B "$SMOKE/telemetry_flood.py" slow "$socket" 16 60 >"$TMP/slow.out" 2>&1 &
slow=$!
sleep 1
"$ROOT/scripts/ccmctl" --socket "$socket" --timeout 50 status >"$TMP/out" 2>&1 ||
	fail "no place beside 16 clients that do not read: $(cat "$TMP/out")"
grep -q 'node-a: UP' "$TMP/out" || fail "beside slow clients: $(cat "$TMP/out")"
kill "$slow"
wait "$slow" 2>/dev/null || true
still_well "clients that do not read"
log "16 clients that do not read do not keep others out"

attack idle 16 2
still_well "clients that do not ask"
stop_node A
stop_node B
log passed
