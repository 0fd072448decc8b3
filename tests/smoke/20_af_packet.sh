#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two nodes on a real Ethernet link of the kernel: network namespaces joined by a veth pair, with
# tcpdump listening. Every frame must be plain RoCEv2 to tshark and carry the ICRC that scapy computes;
# the handshake must be READ, WRITE, READ, WRITE to the fixed queue pair and MAC, in that order, on
# both sides.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_root
need_tool tcpdump tshark
"$PYTHON" -c 'import scapy' 2>/dev/null || skip "needs scapy"
make_pair af_packet
# Few data, so that tcpdump can follow: 2 KiB a time.
for side in A B; do
	change_config "$side" '.clients |= map(.memory = "\(.ports * 4)KiB")'
done

start_capture "$TMP/wire.pcap"
start_pair_node A
start_pair_node B
wait_state 20 A up
wait_state 20 B up
wait_exercise 20 A
wait_exercise 20 B
assert_bound
sleep 1
stop_node A
stop_node B
stop_capture
check_capture "$TMP/wire.pcap" --qpn-a 0x100 --qpn-b 0x100 \
	--va-a 0x100000 --va-b 0x100000 --require-handshake --min-frames 100
# Nothing else on the cable: no ARP, no TCP, no name service.
others=$(tcpdump -Z root -nr "$TMP/wire.pcap" 'not udp port 4791' 2>/dev/null | wc -l)
assert_eq "frames that are not RoCEv2" 0 "$others"
dropped=$(sed -n 's/^\([0-9]*\) packets dropped by kernel.*/\1/p' "$TMP/tcpdump.log")
log "tcpdump missed ${dropped:-?} frames"
log passed
