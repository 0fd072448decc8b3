#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# How soon it is told that a node stands still, and how soon the session is back: beat 10 ms,
# dead_after 100 ms. A whole process is stopped (SIGSTOP), or its control core alone. Every time
# - the partner tells it within 250 ms: out of the session, and the node is called unreachable, or hung
#   when it is the control core,
# - nothing comes up meanwhile,
# - the node that goes on does not claim the old session for longer than a detection time,
# - both are up again within 500 ms of that, with new attempts, and clients are told DOWN before UP,
# - a stop for 50 ms, below the detection time, is not told at all.
#
# Only with FULL=yes, as in scripts/test --full. ROUNDS (1) of each, for 1, 5 and 30 s.
# CROWDED=N multiplies the limits, for a machine that has other things to do; what it adds by standing
# still is excused, as in 42_detection_kill.sh.
set -euo pipefail
# A machine that stands still itself looks like a node that does.
[ "${FULL:-}" = yes ] || { echo "only with FULL=yes: wants a machine to itself" && exit 77; }
. "$(dirname "${BASH_SOURCE[0]}")/42_detection_kill.sh"

ROUNDS=${ROUNDS:-1}
# Long ones take their time: of one node of the two.
SHORT=(1 5) LONG=(1 5 30)
STALE_MS=$((100 * ${CROWDED:-1}))

make_quick_pair
exec {NOTHING}<> <(:)

# What is known of both before a stop, and what they say afterwards; milliseconds by what was stopped.
declare -A CLIENTS=() NONCE=() EVENTS=() TOLD=() STALE=() BACK=()
ROWS=()
retracted=0 noticed=0

# Like sleep, but without a process.
rest() {
	read -r -t "$1" -u "$NOTHING" || true
}

# stop_for process | control PID SECONDS: when it stood still, STOPPED_US to RESUMED_US by the wall clock.
stop_for() {
	if [ "$1" = process ]; then
		STOPPED_US=${EPOCHREALTIME/[.,]/}
		kill -STOP "$2"
		rest "$3"
		RESUMED_US=${EPOCHREALTIME/[.,]/}
		kill -CONT "$2"
		return
	fi
	PYTHONPATH=$SMOKE "$PYTHON" -B - "$2" "$3" >"$TMP/stop.out" <<-'EOF' || fail "cannot stop a thread"
		import sys, time
		import stop_thread

		def ptrace(request, *args, real=stop_thread.ptrace):
		    if request in (stop_thread.PTRACE_INTERRUPT, stop_thread.PTRACE_DETACH):
		        print(time.time_ns() // 1000)
		    real(request, *args)

		stop_thread.print = lambda *_, **__: None
		stop_thread.ptrace = ptrace
		stop_thread.stop(int(sys.argv[1]), float(sys.argv[2]))
	EOF
	{ read -r STOPPED_US && read -r RESUMED_US; } <"$TMP/stop.out"
}

# clients SIDE: [UPs, DOWNs] of all, which must be the same
clients() {
	ask "$1" /ccm/clients '[.clients[] | [.ups, .downs]] | unique | tojson'
}

# look VICTIM: both are up with each other; what comes later is news.
look() {
	local side
	assert_bound
	for side in A B; do
		MARK[$side]=0
		MARK[$side]=$(timeline "$side" | jq '.[-1].seq')
		CLIENTS[$side]=$(clients "$side")
		NONCE[$side]=$(ask "$side" "/ccm/partner,${PAIR_OTHER[$side]}" .nonce)
	done
}

# check_events SIDE: states in a row, no attempt of before comes up, and clients are told the same.
check_events() {
	local other=A list=${EVENTS[$1]}
	[ "$1" = B ] || other=B
	jq -e --arg ours "${NONCE[$1]}" --arg theirs "${NONCE[$other]}" '
		[.[] | select(.kind == "state")]
		| .[0].from == "up" and .[-1].to == "up"
		and ([.[1:], .[:-1]] | transpose | all(.[0].from == .[1].to))
		and ([.[] | select(.to == "up")]
			| (map(.nonce) + [$ours] | length == (unique | length))
			and (map(.partner_nonce) + [$theirs] | length == (unique | length)))' \
		<<<"$list" >/dev/null || fail "node $1: not new sessions in a row: $list; before: ${NONCE[*]}"
	assert_eq "node $1: UPs and DOWNs of clients" "$(jq -c --argjson before "${CLIENTS[$1]}" '
		[.[] | select(.kind == "state")] as $states | $before[0]
		| [[.[0] + ([$states[] | select(.to == "up")] | length),
			.[1] + ([$states[] | select(.from == "up")] | length)]]' <<<"$list")" "$(clients "$1")"
}

# judge VICTIM'S_EVENTS SURVIVOR'S_EVENTS: milliseconds, null: never
judge() {
	jq -cn --argjson victim "$1" --argjson survivor "$2" --argjson from "$STOPPED_US" \
		--argjson to "$RESUMED_US" '
		def states: .[] | select(.kind == "state");
		def verdicts: .[] | select(.kind == "verdict");
		def bad: IN("unreachable", "hung");
		def ms(since): if . then (. - since) / 1000 else null end;
		([$survivor | states | select(.from == "up" and .at_us > $from).at_us][0] // infinite) as $left
		| [$survivor | verdicts | select(.at_us <= $left)][-1] as $word
		| (if $word.to // "" | bad then $word | .at_us = $left
			else [$survivor | verdicts | select(.at_us > $left and (.to | bad))][0] end) as $called
		| [$survivor, $victim | [states | select(.to == "up" and .at_us > $to).at_us][0]] as $ups
		| {
			told_ms: ($called.at_us | ms($from)),
			called: [$survivor | verdicts | select(.at_us > $from and .at_us < $to).to],
			early: [$survivor | states | select(.to == "bound" and .at_us > $left and .at_us < $to)] | length,
			moved: [$victim | states | select(.at_us > $from and .at_us < $to)] | length,
			stale_ms: ([$victim | states | select(.from == "up" and .at_us > $to).at_us][0] | ms($to)),
			back_ms: (if $ups | all then $ups | max | ms($to) else null end),
			retracted: [$survivor | verdicts | select(.at_us > ($called.at_us // infinite)
				and .at_us < $to and (.to | bad | not))] | length
		}'
}

# within NAME WHAT LIMIT_MS JSON FROM_US: whether it was soon enough after that time
within() {
	local ms
	ms=$(jq ".$2" <<<"$4")
	[ "$ms" != null ] || fail "$1: no $2 in $4; A: ${EVENTS[A]}; B: ${EVENTS[B]}"
	json_is "$4" ".$2 <= $3" || late "$1: $2 is $ms; A: ${EVENTS[A]}; B: ${EVENTS[B]}" "$5" \
		$(($5 + ${ms%.*} * 1000))
}

# stand_still KIND VICTIM SURVIVOR SECONDS
stand_still() {
	local name="$1 $4 s" how called=unreachable pid=${NODE_PID[$2]} side
	[ "$1" = process ] || called=hung
	[[ ${TOLD[$name]+set} ]] || ROWS+=("$name")
	look
	stop_for "$1" "$pid" "$4"
	rest 0.05
	for side in "$3" "$2"; do
		wait_state 20 "$side" up
	done
	assert_bound
	for side in A B; do
		EVENTS[$side]=$(timeline "$side") || fail "node $side: no timeline"
		check_events "$side"
	done
	how=$(judge "${EVENTS[$2]}" "${EVENTS[$3]}")
	assert_json "$how" ".early == 0 and .moved == 0 and (.called | index(\"$called\"))" \
		"$name: node $3 of $2, stopped $STOPPED_US to $RESUMED_US: ${EVENTS[$3]}; $2: ${EVENTS[$2]}"
	within "$name, node $2" told_ms "$TOLD_MS" "$how" "$STOPPED_US"
	within "$name, node $2" stale_ms "$STALE_MS" "$how" "$RESUMED_US"
	within "$name, node $2" back_ms "$READY_MS" "$how" "$RESUMED_US"
	TOLD[$name]+=" $(jq .told_ms <<<"$how")"
	STALE[$name]+=" $(jq .stale_ms <<<"$how")"
	BACK[$name]+=" $(jq .back_ms <<<"$how")"
	retracted=$((retracted + $(jq .retracted <<<"$how")))
	assert_eq "process of node $2" "$pid" "${NODE_PID[$2]}"
}

# blink KIND VICTIM: for less than the detection time. Nobody leaves the session, unless the machine adds
# to it.
blink() {
	local try side down
	for ((try = 1; try <= 5; try++)); do
		look
		stop_for "$1" "${NODE_PID[$2]}" 0.05
		rest 0.3
		down=0
		for side in A B; do
			EVENTS[$side]=$(timeline "$side") || fail "node $side: no timeline"
			down=$((down + $(jq '[.[] | select(.kind == "state")] | length' <<<"${EVENTS[$side]}")))
		done
		[ "$down" -ne 0 ] || return 0
		noticed=$((noticed + 1))
		late "$1 of $2 stopped for $(((RESUMED_US - STOPPED_US) / 1000)) ms is told: A: ${EVENTS[A]}; B: ${EVENTS[B]}" \
			"$STOPPED_US" $((STOPPED_US + 200000))
		for side in A B; do
			wait_state 20 "$side" up
		done
	done
	fail "$1 of $2: 50 ms are told every time: A: ${EVENTS[A]}; B: ${EVENTS[B]}"
}

# stop_each KIND VICTIM SURVIVOR SECONDS...
stop_each() {
	local kind=$1 victim=$2 survivor=$3 round seconds side
	shift 3
	for side in A B; do
		wait_state 20 "$side" up
	done
	for ((round = 1; round <= ROUNDS; round++)); do
		blink "$kind" "$victim"
		for seconds in "$@"; do
			stand_still "$kind" "$victim" "$survivor" "$seconds"
		done
	done
}

# Data still flows; then both end in order.
end_pair() {
	wait_exercise 20 A
	wait_exercise 20 B
	stop_node A
	stop_node B
}

log "up to $TOLD_MS ms until told, $READY_MS ms until up again are allowed; $(uptime)"
start_pair_node A
start_pair_node B
stop_each process A B "${LONG[@]}"
stop_each process B A "${SHORT[@]}"
end_pair

scope=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)
if [ "$(id -u)" -eq 0 ] || [ "$scope" -eq 0 ]; then
	for victim in A B; do
		# A core of its own for control in one node only: cores that never sleep are many here.
		lcores=${PAIR_LCORES[$victim]}
		PAIR_LCORES[$victim]="$lcores,1@${lcores#*@}"
		start_pair_node A
		start_pair_node B
		if [ "$victim" = A ]; then
			stop_each control A B "${SHORT[@]}"
		else
			stop_each control B A "${LONG[@]}"
		fi
		end_pair
		PAIR_LCORES[$victim]=$lcores
	done
else
	log "control cores alone not stopped: may not trace other processes"
fi

log "$(printf '%-14s %24s %24s %24s' 'ms' 'until told: n p50 max' 'stale UP: n p50 max' 'until up: n p50 max')"
for row in "${ROWS[@]}"; do
	log "$(printf '%-14s %s %s %s' "$row" "$(figures "${TOLD[$row]}")" "$(figures "${STALE[$row]}")" \
		"$(figures "${BACK[$row]}")")"
done
log "verdicts on the stopped taken back for a while: $retracted; $(uptime)"
log "stops for 50 ms that were told: $noticed"
report_late
log passed
