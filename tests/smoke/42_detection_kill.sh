#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# How soon a death is told, and how soon the session is back: beat 10 ms, dead_after 100 ms. A node
# dies in each state of the session and in the middle of each step of the handshake; tests/smoke/
# die_in_phase.c sees to that. Every time
# - the survivor tells it within 250 ms: out of the session, and the partner is called gone,
# - nothing of the dead attempt comes up after that, and the survivor lives on,
# - a new node in its place is up on both sides within 500 ms of the end of its EAL's start.
#
# ROUNDS (1) per phase; tests/full/detection.sh has 20. Every other death is silent: a child keeps the
# sockets open, so the link stays up and nothing but silence tells it; else memif reports a link that is
# down. Both nodes have their turn. PHASES: some only.
# CROWDED=N multiplies the limits, for a machine that has other things to do. Without it too, what comes
# late or is told of a partner that lives counts only when the machine itself had time for us.
# STRICT_VERDICT=yes asks for more than holds today: that the verdict on a dead partner is not taken
# back for a while, after a stall of our own.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TOLD_MS=$((250 * ${CROWDED:-1}))
READY_MS=$((500 * ${CROWDED:-1}))
STALL_MS=50 # what excuses a late word

# Number of the last event looked at; what was late; sessions lost between two nodes that live.
declare -A MARK=([A]=0 [B]=0)
LATE=() EXCUSED=()
alarms=0

# A pair with the timing of this test, and a witness on each CPU that writes down, in microseconds of
# the wall clock, from when to when the machine let it wait.
make_quick_pair() {
	local side cpu
	make_pair memif
	for side in A B; do
		change_config "$side" '.timing += {beat_us: 10000, dead_after_us: 100000, retry_us: 2000}'
	done
	ulimit -c 0
	# On a busy machine a process may wait for longer than dead_after: ours come first, if they may.
	renice -n -10 -p $$ >/dev/null 2>&1 || true
	for cpu in "${CPUS[@]:0:2}"; do
		taskset -c "$cpu" "$PYTHON" -B -c 'import time
last = time.time_ns()
while True:
    time.sleep(0.002)
    now = time.time_ns()
    if now - last > 20_000_000:
        print(last // 1000, now // 1000, flush=True)
    last = now' >>"$TMP/stalls" &
	done
}

# stalled FROM_US TO_US: milliseconds of that time in which the machine let us wait, on both CPUs together
stalled() {
	local from=${1%.*} to=${2%.*}
	sleep 0.05 # a stall is written down when it is over
	awk -v from="$from" -v to="$to" '{
		low = $1 > from ? $1 : from
		high = $2 < to ? $2 : to
		if (high > low)
			sum += high - low
	} END { printf "%d", sum / 1000 }' "$TMP/stalls"
}

# late TEXT FROM_US TO_US: a failure, unless the machine has stood still.
late() {
	local ms
	ms=$(stalled "$2" "$3")
	if [ "$ms" -ge "$STALL_MS" ]; then
		EXCUSED+=("$1 (the machine stood still for $ms ms of it)")
	else
		LATE+=("$1 (of which the machine stood still for $ms ms)")
	fi
}

# timeline SIDE: its events after the mark, oldest first, as a JSON list, with the wall clock's time in
# at_us. The nodes count from their start; the quickest of some answers says when that was.
timeline() {
	PYTHONPATH=$ROOT/scripts/lib "$PYTHON" -B - "$(dpdk_dir "${PAIR_PREFIX[$1]}")/dpdk_telemetry.v2" \
		"${MARK[$1]}" <<-'EOF'
		import json, sys, time
		from telemetry import Telemetry

		mark = int(sys.argv[2])
		events, starts, commands = {}, [], ["/ccm/events"] * 5
		with Telemetry(sys.argv[1]) as node:
		    while commands:
		        asked = time.time_ns()
		        (page,) = node.ask(commands.pop()).values()
		        took = time.time_ns() - asked
		        new = {event["seq"]: event for event in page["events"].values()}
		        events.update(new)
		        for event in list(new.values())[:1]:
		            starts.append((took, (asked + took) // 1000 - event["age_us"] - event["uptime_us"]))
		        if not commands and page.get("next", 0) > mark:
		            commands.append(f"/ccm/events,{page['next']}")
		for event in events.values():
		    event["at_us"] = min(starts)[1] + event["uptime_us"]
		print(json.dumps([events[seq] for seq in sorted(events) if seq > mark]))
	EOF
}

# check_alarms SIDE EVENTS: sessions that this side gave up, though the partner lived.
check_alarms() {
	local at
	for at in $(jq '.[] | select(.kind == "state" and .from == "up" and .reason != "partner_restarted").at_us' \
		<<<"$2"); do
		alarms=$((alarms + 1))
		late "node $1: session lost at $at: $2" $((at - 300000)) "$at"
	done
}

# report_late: the end of a test.
report_late() {
	local text
	log "sessions lost though both nodes lived: $alarms"
	for text in ${EXCUSED[@]+"${EXCUSED[@]}"}; do
		log "not counted: ${text:0:240}"
	done
	[ ${#LATE[@]} -eq 0 ] || fail "too late: $(printf '%s\n' "${LATE[@]}")"
}

# figures VALUES: count, median and maximum
figures() {
	# shellcheck disable=SC2086 # numbers
	printf '%s\n' $1 | sort -n | awk '{ v[NR] = $1 }
		END { printf "%6d %8.1f %8.1f", NR, v[int((NR + 1) / 2)], v[NR] }'
}

# 43_detection_stop.sh takes what stands above.
[ "${BASH_SOURCE[0]}" = "$0" ] || return 0

ROUNDS=${ROUNDS:-1}
PHASES=${PHASES:-search read_one write_one read_two write_two bound ports ready up leaving closing}
DIES=$BUILD/tests/smoke/ccm-node-dies

make_quick_pair
[ -x "$DIES" ] || fail "no ccm-node-dies in ${BUILD}; build it first"
mkfifo "$TMP/report"
exec {REPORT_FD}<>"$TMP/report"

# Nonces of attempts of processes that have died, as JSON lists; milliseconds by what died how.
declare -A DEAD=([A]='[]' [B]='[]') TOLD=() READY=()
ROWS=()
retracted=0

# mark SIDE EVENTS: what comes later is news.
mark() {
	MARK[$1]=$(jq --argjson mark "${MARK[$1]}" '[$mark, .[].seq] | max' <<<"$2")
}

# mourn EVENTS DIED_US VERDICT: how a survivor, whose verdict was this at the mark, took a death at that
# time. What was on its way then may still have had its effect, even begun a session: told_ms is when the
# last session was left and the partner called gone, null: never. "revived" counts sessions begun after
# one had been left, "retracted" verdicts taken back without news.
mourn() {
	jq -c --argjson died "$2" --arg verdict "$3" '
		def session: IN("bound", "ports", "ready", "up");
		def gone: IN("unreachable", "link_down");
		[.[] | select(.kind == "state")] as $states
		| [.[] | select(.kind == "verdict")] as $verdicts
		| [$states[] | select((.from | session) and (.to | session | not) and .at_us > $died).at_us] as $left
		| [$verdicts[] | select((.to | gone | not) and .reason == "waiting" and .at_us > $died).at_us] as $news
		| ([$died] + $left + $news | max) as $since
		| ([$verdicts[] | select(.at_us <= $since).to] | last // $verdict | gone) as $already
		| [$verdicts[] | select(.at_us > $since and (.to | gone)).at_us] as $called
		| (if $already then $since else $called[0] end) as $told
		| {
			state: ($states | last | .to),
			verdict: ($verdicts | last | .to // $verdict),
			told_ms: (if $told then ($told - $died) / 1000 else null end),
			revived: [$states[] | select(.to == "bound" and ($left[0] // infinite) < .at_us)] | length,
			retracted: [$verdicts[] | select(.at_us > ([$called[0] // infinite, $since] | max)
				and (.to | gone | not))] | length
		}' <<<"$1"
}

# check_told NAME SURVIVOR DIED_US VERDICT
check_told() {
	local list how ms
	list=$(timeline "$2") || fail "node $2: no timeline"
	how=$(mourn "$list" "$3" "$4")
	assert_json "$how" '.told_ms != null and .revived == 0' "node $2 after $1, $list"
	ms=$(jq .told_ms <<<"$how")
	TOLD[$1]+=" $ms"
	json_is "$how" ".told_ms <= $TOLD_MS" ||
		late "$1: told by $2 after $ms ms: $list" "$3" $(($3 + ${ms%.*} * 1000))
	retracted=$((retracted + $(jq .retracted <<<"$how")))
	mark "$2" "$list"
}

# Attempts of one that has died; check_events() looks for them.
bury() {
	DEAD[$1]=$(jq -c --argjson more "$2" '. + $more | unique' <<<"${DEAD[$1]}")
}

# wait_told SURVIVOR
wait_told() {
	wait_side 20 "$1" "/ccm/partner,${PAIR_OTHER[$1]}" \
		'.state == "search" and (.verdict == "unreachable" or .verdict == "link_down")'
}

# check_events SIDE EVENTS: in one row, up, and nothing of the dead.
check_events() {
	local other=A
	[ "$1" = B ] || other=B
	jq -e --argjson dead "${DEAD[$other]}" '
		[.[] | select(.kind == "state")]
		| ([.[1:], .[:-1]] | transpose | all(.[0].from == .[1].to))
		and ([.[] | select(.to == "up")]
			| length > 0 and (map(.partner_nonce) | length == (unique | length)))
		and all(.partner_nonce as $n | $dead | index([$n]) | not)' <<<"$2" >/dev/null ||
		fail "node $1: not new sessions in a row of events: $2; dead: ${DEAD[$other]}"
	check_alarms "$1" "$2"
	# What clients were told: DOWN once less often than UP.
	wait_side 10 "$1" /ccm/clients '[.clients[] | .ups - .downs] | unique == [1]'
}

# back NAME VICTIM SURVIVOR: start the victim again and see both come up.
back() {
	local born list ups=() side ms
	MARK[$2]=0
	start_pair_node "$2"
	wait_state 20 "$3" up
	wait_state 20 "$2" up
	# Made by EAL when it is all but ready.
	born=$(stat -c %.6Y "$(dpdk_dir "${PAIR_PREFIX[$2]}")/dpdk_telemetry.v2")
	for side in "$2" "$3"; do
		list=$(timeline "$side") || fail "node $side: no timeline"
		check_events "$side" "$list"
		ups+=("$(jq '[.[] | select(.to == "up" and .kind == "state").at_us] | first' <<<"$list")")
		retracted=$((retracted + $(jq '[.[] | select(.kind == "verdict" and .to == "connecting"
			and (.reason | IN("no_answer", "link_down")))] | length' <<<"$list")))
		mark "$side" "$list"
	done
	ms=$(jq -n --argjson born "${born/[.,]/}" '([$ARGS.positional[] | tonumber] | max) - $born | . / 1000' \
		--args "${ups[@]}")
	READY[$1]+=" $ms"
	jq -en "$ms > 0" >/dev/null || fail "node $2 up before it was started"
	born=${born/[.,]/}
	jq -en "$ms <= $READY_MS" >/dev/null ||
		late "$1: up on both $ms ms after the start of $2" "$born" $((born + ${ms%.*} * 1000))
	assert_bound
}

# let_go PID: it has ended, and with it its locks on EAL's files; it is not our child.
let_go() {
	! grep '^State:[[:space:]]*[^ZX]' "/proc/$1/status"
}

# die VICTIM SURVIVOR PHASE KIND: a life of the victim, up to the phase; then another one.
die() {
	local name="$3 $4" silently=no report='' holder died
	[ "$4" = killed ] || silently=yes
	CCM_NODE=$DIES CCM_DIE_IN=$3 CCM_DIE_REPORT=$TMP/report CCM_DIE_SILENTLY=$silently \
		start_pair_node "$1"
	IFS= read -r -t 30 report <&"$REPORT_FD" || fail "$name: node $1 does not get there"
	reap_node "$1"
	assert_eq "$name: exit status of node $1" 137 "$NODE_STATUS"
	died=$(jq .at_us <<<"$report")
	holder=$(jq .holder <<<"$report")
	bury "$1" "$(jq -c .nonces <<<"$report")"
	sleep 0.13 # what was on its way is over, and silence has been heard
	wait_told "$2"
	check_told "$name" "$2" "$died" link_down
	if [ "$holder" -ne 0 ]; then
		kill -KILL "$holder"
		wait_for 10 let_go "$holder" || fail "process $holder does not end"
	fi
	back "$name" "$1" "$2"
}

# From outside, at any time of a session; then in the phase.
die_twice() {
	local victim=$1 survivor=$2 pid=${NODE_PID[$2]} nonces died
	nonces=$(events "$victim" | jq -c '[.[].nonce] | unique')
	died=${EPOCHREALTIME/[.,]/}
	kill_node "$victim"
	bury "$victim" "$nonces"
	wait_told "$survivor"
	check_told "up, from outside" "$survivor" "$died" up
	die "$victim" "$survivor" "$3" "$4"
	assert_eq "process that survived" "$pid" "${NODE_PID[$survivor]}"
	node_runs "$survivor" || fail "node $survivor did not survive"
}

log "up to $TOLD_MS ms until told, $READY_MS ms until up again are allowed; $(uptime)"
for side in A B; do
	start_pair_node "$side"
done
for side in A B; do
	wait_state 20 "$side" up
done
for side in A B; do
	mark "$side" "$(timeline "$side")"
done
for ((round = 0; round < ROUNDS; round++)); do
	turn=$round
	for phase in $PHASES; do
		kind=killed
		[ $((turn % 2)) -eq 0 ] || kind=silent
		[[ ${TOLD["$phase $kind"]+set} ]] || ROWS+=("$phase $kind")
		if [ $((turn / 2 % 2)) -eq 0 ]; then
			die_twice A B "$phase" "$kind"
		else
			die_twice B A "$phase" "$kind"
		fi
		turn=$((turn + 1))
	done
done
for side in A B; do
	wait_exercise 20 "$side"
done
stop_node A
stop_node B

log "$(printf '%-18s %24s %26s' 'ms' 'until told: n p50 max' 'until up: n p50 max')"
mapfile -t ROWS < <(printf '%s\n' "${ROWS[@]}" | sort -k 2,2 -s)
for row in "up, from outside" "${ROWS[@]}"; do
	log "$(printf '%-18s %s   %s' "$row" "$(figures "${TOLD[$row]}")" \
		"$([ "$row" = "up, from outside" ] || figures "${READY[$row]}")")"
done
log "verdicts on the dead taken back for a while: $retracted; $(uptime)"
report_late
[ "${STRICT_VERDICT:-}" != yes ] || assert_eq "verdicts taken back" 0 "$retracted"
log passed
