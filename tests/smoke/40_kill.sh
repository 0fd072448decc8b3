#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# kill -9: of A, of B, of both at once; ROUNDS of each (10). Every time
# - the survivor does not crash and tells its clients DOWN,
# - both come UP again and data is verified,
# - neither is ever UP with an attempt of a life that is over,
# - UP and DOWN alternate.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ROUNDS=${ROUNDS:-10}
make_pair memif
ulimit -c 0

# What is known of the dead: nonces of attempts of processes that have been killed, as JSON lists.
declare -A DEAD=([A]='[]' [B]='[]') TIMES=()

# bury SIDE: kill it; its attempts are dead from now on.
bury() {
	local nonces
	nonces=$(events "$1" | jq -c '[.[].nonce] | unique')
	DEAD[$1]=$(jq -c --argjson more "$nonces" '. + $more | unique' <<<"${DEAD[$1]}")
	kill_node "$1"
}

# Number of the last event of a node.
last_event() {
	events "$1" | jq '.[-1].seq // 0'
}

# check_events SIDE MARK DEAD: what the node says of all its life, and of what came after the mark.
check_events() {
	local list downs
	list=$(events "$1")
	# In a row, each where the one before ended (verdicts come between); out of UP between any two times UP.
	jq -e '[.[1:], .[:-1]] | transpose | all(.[0].seq > .[1].seq and .[0].from == .[1].to)' \
		<<<"$list" >/dev/null || fail "node $1: events are not in one row: $list"
	jq -e '[.[] | select(.to == "up")] | all(.partner_nonce | test("^0x0*$") | not)
		and (map(.nonce) | length == (unique | length))
		and (map(.partner_nonce) | length == (unique | length))' <<<"$list" >/dev/null ||
		fail "node $1: twice UP with one attempt: $list"
	jq -e --argjson mark "$2" --argjson dead "$3" '[.[] | select(.seq > $mark and .to == "up")]
		| length >= 1 and all(.partner_nonce as $n | $dead | index([$n]) | not)' <<<"$list" >/dev/null ||
		fail "node $1: UP with a dead attempt, or never, after event $2: $list; dead: $3"
	# What clients were told: DOWN once less often than UP.
	downs=$(ask "$1" /ccm/clients '[.clients[] | .ups - .downs] | unique | tojson')
	assert_eq "node $1: UP less DOWN of clients" '[1]' "$downs"
}

# back NAME SINCE MARK_A MARK_B: wait until both are up; check what they say about it. The marks are
# the numbers of the last events before the kill; 0 for a new process.
back() {
	local name=$1 since=$2 side
	for side in A B; do
		wait_state 20 "$side" up
	done
	TIMES[$name]+=" $(((${EPOCHREALTIME/[.,]/} - since) / 1000))"
	for side in A B; do
		wait_exercise 20 "$side"
	done
	assert_bound
	check_events A "$3" "${DEAD[B]}"
	check_events B "$4" "${DEAD[A]}"
}

for side in A B; do
	start_pair_node "$side"
done
back start "${EPOCHREALTIME/[.,]/}" 0 0

for ((round = 1; round <= ROUNDS; round++)); do
	for victim in A B; do
		if [ "$victim" = A ]; then
			survivor=B
		else
			survivor=A
		fi
		pid=${NODE_PID[$survivor]}
		mark=$(last_event "$survivor")
		bury "$victim"
		# Sometimes it returns before it was missed, sometimes after.
		[ $((round % 2)) -eq 0 ] || wait_state_not 20 "$survivor" up
		since=${EPOCHREALTIME/[.,]/}
		start_pair_node "$victim"
		if [ "$victim" = A ]; then
			back A "$since" 0 "$mark"
		else
			back B "$since" "$mark" 0
		fi
		assert_eq "process that survived" "$pid" "${NODE_PID[$survivor]}"
	done
	bury A
	bury B
	since=${EPOCHREALTIME/[.,]/}
	start_pair_node A
	start_pair_node B
	back both "$since" 0 0
done
stop_node A
stop_node B
for name in A B both; do
	# shellcheck disable=SC2086 # numbers
	log "kill -9 of $name, ms from the restart to UP on both sides, sorted:" \
		"$(printf '%s\n' ${TIMES[$name]} | sort -n | tr '\n' ' ')"
done
log passed
