#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What a service manager hears of a node, over a socket as systemd's: that it is ready, how its
# sessions stand, that it lives, that it reloads, that it stops. A loop that stands still is told by
# silence. What is no such socket is refused, and does no harm. The units are as systemd wants them.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair memif
PAIR_LCORES[A]="0@${CPUS[0]},1@${CPUS[0]}"
PAIR_LCORES[B]="0@${CPUS[1]:-${CPUS[0]}},1@${CPUS[1]:-${CPUS[0]}}"
heard=$TMP/heard

# listen SOCKET: write to $heard, which begins anew.
listen() {
	: >"$heard"
	"$PYTHON" "$SMOKE/notify_socket.py" "$1" "$heard" &
	listener=$!
	wait_for 10 grep -q listening "$heard" || fail "no socket $1"
}

silence() {
	kill "$listener"
	wait "$listener" 2>/dev/null || true
}

# hears SECONDS PATTERN [N]: in N lines at least (1); the pattern is for the text of the datagram.
hears() {
	wait_for "$1" heard_times "$2" "${3:-1}" ||
		fail "not heard in $1 s, ${3:-1} times: $2; but: $(tail -n 20 "$heard")"
}

heard_times() {
	[ "$(count "$1")" -ge "$2" ]
}

count() {
	awk '$1 != "listening" { sub(/^[0-9]+ [0-9]+ /, ""); print }' "$heard" | grep -cE -- "^$1" || true
}

# In this order, whatever is between.
assert_order() {
	local wanted
	exec {fd}< <(sed 's/^[0-9]* [0-9]* //' "$heard")
	for wanted; do
		while read -r line <&"$fd"; do
			[[ ! $line =~ ^$wanted ]] || continue 2
		done
		fail "not in order: $wanted of $*: $(cat "$heard")"
	done
	exec {fd}<&-
}

# A life from READY to STOPPING. Ready without a partner: it could be asked already.
listen "$TMP/notify"
NOTIFY_SOCKET=$TMP/notify WATCHDOG_USEC=1000000 start_pair_node A
hears 20 READY=1
assert_eq "what is heard first" READY=1 "$(sed -n 2p "$heard" | cut -d ' ' -f 3-)"
hears 10 'STATUS=0 of 1 partner connected; partner 2: '
start_pair_node B
hears 20 'STATUS=1 of 1 partner connected$'
hears 20 WATCHDOG=1 3
change_config A '.timing.idle_sleep_us = 70'
before=$(count READY=1)
kill -HUP "${NODE_PID[A]}"
hears 10 'RELOADING=1\|MONOTONIC_USEC=[0-9]+$'
hears 10 READY=1 $((before + 1))
watchdogs=$(count WATCHDOG=1)
hears 20 WATCHDOG=1 $((watchdogs + 2))
before=$(count 'STATUS=0 of 1')
kill_node B
hears 20 'STATUS=0 of 1 partner connected; partner 2: ' $((before + 1))
stop_node A
hears 5 STOPPING=1
assert_eq "the last words" STOPPING=1 "$(tail -n 1 "$heard" | cut -d ' ' -f 3 | cut -d '|' -f 1)"
assert_order READY=1 'STATUS=0 of 1' 'STATUS=1 of 1' WATCHDOG=1 RELOADING=1 READY=1 WATCHDOG=1 \
	'STATUS=0 of 1' STOPPING=1
reload=$(sed -n 's/^\([0-9]*\) .*MONOTONIC_USEC=\([0-9]*\)$/\1 \2/p' "$heard")
[ "${reload#* }" -le "${reload% *}" ] || fail "it reloads at a time to come: $reload"
silence
log "ready, sessions, life, reload and end are told, in order"

# A loop that stands still, either of them: no sign of life until it goes on. An abstract socket.
listen "@ccm-notify-$$"
CCM_NODE=$BUILD/tests/smoke/ccm-node-stalls NOTIFY_SOCKET=@ccm-notify-$$ WATCHDOG_USEC=1000000 \
	start_pair_node A
for loop in "USR1 the control core" "USR2 data lcore 0"; do
	hears 20 WATCHDOG=1 $(($(count WATCHDOG=1) + 2))
	kill "-${loop%% *}" "${NODE_PID[A]}"
	hears 20 "STATUS=no sign of life: ${loop#* } stands still"
	watchdogs=$(count WATCHDOG=1)
	sleep 2.5
	assert_eq "signs of life while ${loop#* } stands still" "$watchdogs" "$(count WATCHDOG=1)"
	kill "-${loop%% *}" "${NODE_PID[A]}"
	hears 20 WATCHDOG=1 $((watchdogs + 1))
done
log "no sign of life while a loop stands still"

# The manager starts anew: another socket of the same name.
silence
sleep 0.2
listen "@ccm-notify-$$"
hears 20 WATCHDOG=1 2
stop_node A
silence
log "a manager that starts anew hears the node"

# For another process.
listen "$TMP/other"
NOTIFY_SOCKET=$TMP/other WATCHDOG_USEC=200000 WATCHDOG_PID=1 start_pair_node A
hears 20 STATUS=
sleep 1
assert_eq "signs of life for another process" 0 "$(count WATCHDOG=1)"
stop_node A
silence

# refused WHAT [NAME=VALUE...]: one line, and the node runs.
refused() {
	local what=$1 setting
	shift
	: >"$TMP/A.log"
	for setting; do
		export "${setting?}"
	done
	start_pair_node A
	wait_side 20 A /ccm/status '.partners != null'
	unset NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID
	stop_node A
	assert_eq "lines about $*" 1 "$(grep -cE 'NOTIFY_SOCKET|WATCHDOG|service manager' "$TMP/A.log")"
	grep -qE "$what" "$TMP/A.log" || fail "$*: not refused with: $what"
}

long=$(printf 'x%.0s' {1..5000})
refused 'NOTIFY_SOCKET: too long' "NOTIFY_SOCKET=/$long" WATCHDOG_USEC=1000000
refused 'NOTIFY_SOCKET: too long' "NOTIFY_SOCKET=@${long:0:107}"
refused 'NOTIFY_SOCKET: neither' NOTIFY_SOCKET=vsock:2:1234
refused 'NOTIFY_SOCKET: too short' NOTIFY_SOCKET=@
refused 'cannot tell the service manager: No such file' "NOTIFY_SOCKET=$TMP/nobody"
listen "$TMP/rubbish"
for value in '' -1 1e6 "${long//x/9}"; do
	refused 'WATCHDOG_USEC: not a number' "NOTIFY_SOCKET=$TMP/rubbish" "WATCHDOG_USEC=$value"
done
refused 'WATCHDOG_PID: not a process' "NOTIFY_SOCKET=$TMP/rubbish" WATCHDOG_USEC=1000000 WATCHDOG_PID=self
assert_eq "signs of life by rubbish" 0 "$(count WATCHDOG=1)"
hears 5 READY=1 5
silence
log "what cannot be used is refused with one line, and the node runs"
log passed
