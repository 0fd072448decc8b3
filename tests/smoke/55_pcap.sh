#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# --pcap: the node's own capture of a whole life. Other people's programs judge every frame; our
# dissector shows in it what telemetry says; files stay within their size, and neither a writer that
# stands still nor a disk that is full is noticed by the session.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_tool tshark jq
make_pair memif
lua=$ROOT/scripts/wireshark/ccm.lua

# ccm_fields FILE FILTER FIELD...: of the frames that match, by tabs.
ccm_fields() {
	local file=$1 filter=$2 field args=()
	shift 2
	for field; do
		args+=(-e "$field")
	done
	tshark -n -r "$file" -X "lua_script:$lua" -Y "$filter" -T fields "${args[@]}" 2>"$TMP/tshark.err"
	! grep -q 'Lua' "$TMP/tshark.err" || fail "dissector: $(cat "$TMP/tshark.err")"
}

start_pair_node A --no-exercise --pcap "$TMP/a.pcapng"
start_pair_node B --no-exercise --pcap "$TMP/b.pcapng"
wait_state 20 A up
wait_state 20 B up
assert_bound
qpns=$(ask A /ccm/ports '[.ports[].qpn] | sort | join(" ")')
nonce=$(ask A /ccm/partner,2 .nonce)
assert_json "$(ask A /ccm/capture)" '.active == 1 and .dropped == 0 and .problem == "none"' "capture"
stop_node B
stop_node A
for side in a b; do
	[ "$(stat -c %a "$TMP/$side.pcapng")" = 600 ] || fail "others may read the capture"
	# tshark and scapy on every frame, and the handshake step by step.
	check_capture "$TMP/$side.pcapng" --require-handshake --qpn-a 0x100 --qpn-b 0x100 \
		--va-a 0x100000 --va-b 0x100000
done
# Each frame of one side is one of the other's, but for what is on its way when the other one ends.
count() {
	tshark -n -r "$TMP/$1.pcapng" -Y "eth.src == $2" 2>/dev/null | wc -l
}
there=$(count b "$MAC_B") here=$(count a "$MAC_B")
if [ "$here" -gt "$there" ] || [ "$here" -lt $((there - 8)) ]; then
	fail "B sent $there frames and A received $here"
fi

ccm_fields "$TMP/a.pcapng" 'ccm.phase' ccm.verdict ccm.name ccm.phase ccm.nonce ccm.reason >"$TMP/records"
[ "$(cut -f 1 "$TMP/records" | sort -u)" = ok ] || fail "records that do not verify: $(sort "$TMP/records" | uniq -c)"
for name in node-a node-b; do
	phases=$(awk -F '\t' -v name="$name" '$2 == name && $3 != last { last = $3; printf "%s ", $3 }' "$TMP/records")
	# WRITEs run ahead of READs, so a phase may be seen twice; what counts is that all are there, in order.
	grep -qE '^(0 )?2 .*3 .*4 .*5 .*6 ' <<<"$phases" || fail "phases of $name: $phases"
done
grep -q "	$nonce	" "$TMP/records" || fail "no record with the nonce that telemetry tells: $nonce"
ccm_fields "$TMP/a.pcapng" "ccm.directory.n_ports == 3 && eth.src == $MAC_A" ccm.port.qpn ccm.client.name |
	tail -n 1 >"$TMP/directory"
assert_eq "ports in A's directory" "$qpns" "$(cut -f 1 "$TMP/directory" | tr ',' '\n' |
	while read -r qpn; do echo $((qpn)); done | sort -n | tr '\n' ' ' | sed 's/ $//')"
assert_eq "clients in it" "failover,nvlog" "$(cut -f 2 "$TMP/directory" | tr ',' '\n' | sort | paste -sd ,)"
log "a whole life in $(tshark -n -r "$TMP/a.pcapng" 2>/dev/null | wc -l) frames, $(wc -l <"$TMP/records") records"

# Much traffic, little room.
start_pair_node A --pcap "$TMP/c.pcapng,256KiB"
start_pair_node B
wait_state 20 A up
wait_side 30 A /ccm/capture '.files > 5 and .frames > 1000'
two_files() { # but for a moment at each turn
	[ -s "$TMP/c.pcapng" ] && [ -s "$TMP/c.pcapng.1" ]
}
wait_for 10 two_files || fail "files: $(ls -l "$TMP"/c.pcapng*)"
for _ in {1..20}; do
	[ "$(cat "$TMP"/c.pcapng* 2>/dev/null | wc -c)" -le 262144 ] || fail "captures take $(ls -l "$TMP"/c.pcapng*)"
done
"$ROOT/scripts/ccmctl" -p "${PAIR_PREFIX[A]}" capture | grep -q 'frames, 0 lost, in ' || fail "ccmctl capture"
sessions=$(ask A /ccm/partner,2 .sessions)

# The writer stands still: the rings fill up, frames are lost and counted, the session goes on.
scope=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)
if [ "$(id -u)" -eq 0 ] || [ "$scope" -eq 0 ]; then
	"$PYTHON" "$SMOKE/stop_thread.py" --name ccm-capture "${NODE_PID[A]}" 60 >"$TMP/stop.out" 2>&1 &
	stopper=$!
	wait_for 5 grep -q stopped "$TMP/stop.out" || fail "cannot stop the thread: $(cat "$TMP/stop.out")"
	frames=$(ask A /ccm/capture .frames)
	wait_side 50 A /ccm/capture '.dropped > 0'
	assert_eq "frames written meanwhile" "$frames" "$(ask A /ccm/capture .frames)"
	wait_exercise 20 A 3
	kill "$stopper"
	wait "$stopper" || true
	wait_side 20 A /ccm/capture ".frames > $frames"
	assert_eq "sessions, with the writer stopped" "$sessions" "$(ask A /ccm/partner,2 .sessions)"
	log "writer stopped: $(ask A /ccm/capture .dropped) frames lost and counted, session up"
fi
stop_node A
stop_node B
for file in "$TMP"/c.pcapng "$TMP"/c.pcapng.1; do
	tshark -n -r "$file" >"$TMP/out" 2>"$TMP/err" || fail "tshark: $(cat "$TMP/err")"
done
[ "$(wc -l <"$TMP/out")" -gt 50 ] || fail "the older file has $(wc -l <"$TMP/out") frames"

# shellcheck disable=SC2317 # called by the trap
disk_cleanup() {
	local status=$?
	set +e
	umount -l "$TMP/disk" 2>/dev/null
	(exit "$status")
	smoke_cleanup
}

# A disk that is full.
if [ "$(id -u)" -eq 0 ] && mkdir "$TMP/disk" && mount -t tmpfs -o size=512k tmpfs "$TMP/disk" 2>/dev/null; then
	trap disk_cleanup EXIT
	start_pair_node A --pcap "$TMP/disk/d.pcapng"
	start_pair_node B
	wait_state 20 A up
	wait_side 30 A /ccm/capture '.problem == "No space left on device" and .dropped > 100'
	wait_exercise 20 A 3
	assert_eq "sessions, with the disk full" 1 "$(ask A /ccm/partner,2 .sessions)"
	grep -q 'capture ends: .*No space left' "${NODE_LOG[A]}" || fail "A does not log it"
	stop_node A
	stop_node B
	umount "$TMP/disk"
	log "disk full: told, and the session goes on"
fi

# No start without the file that was asked for.
status=0
timeout 20 "$BUILD/app/node/ccm-node" --no-huge -m 128 --no-pci -l 0 --file-prefix="${PAIR_PREFIX[A]}" \
	--vdev="${PAIR_VDEV[A]}" -- --config "${PAIR_CONFIG[A]}" --pcap /nowhere/x.pcapng \
	>"$TMP/out" 2>&1 || status=$?
assert_eq "status of a node that cannot write its capture" 1 "$status"
tail -n 1 "$TMP/out" | grep -qx 'ccm-node: --pcap /nowhere/x.pcapng: No such file or directory' ||
	fail "it says: $(tail -n 2 "$TMP/out")"
log passed
