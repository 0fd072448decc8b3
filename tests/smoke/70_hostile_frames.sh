#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Frames that a node must not act upon, made with scapy and sent to a running pair: each is counted
# under its own reason, none is answered but by the NAK that is due, no memory changes, and the
# session survives. See hostile_frames.py.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_root
need_tool tcpdump
"$PYTHON" -c 'import scapy' 2>/dev/null || skip "needs scapy"
make_pair af_packet
# Few beats, so that the attacker can meet the expected PSN between two of them.
for side in A B; do
	change_config "$side" '.port.arp = false
		| .timing += {beat_us: 500000, dead_after_us: 5000000, search_us: 500000}'
	start_pair_node "$side" --no-exercise
done
wait_state 20 A up
wait_state 20 B up
nonce=$(ask B /ccm/partner,1 .nonce)

in_ns "$NS_A" "$PYTHON" "$SMOKE/hostile_frames.py" --interface "$IF_A" \
	--socket "$(dpdk_dir "${PAIR_PREFIX[B]}")/dpdk_telemetry.v2" --pid "${NODE_PID[B]}" ||
	fail "node B and the hostile frames"

# The last frame overwrote A's record in B's slot, and took a PSN from A: B must get over that.
sleep 2
wait_state 20 A up
wait_state 20 B up
if [ "$nonce" = "$(ask B /ccm/partner,1 .nonce)" ]; then
	log "the session survived it all"
else
	log "the session came back"
fi
assert_eq "sessions of B" 1 "$(ask B /ccm/partner,1 .sessions)"
stop_node A
stop_node B
log passed
