#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The devices that need no hardware, with the real program: each starts and says what it has chosen;
# where two ends can be joined there is a session. (net_memif and net_af_packet: 80, 20. virtio and
# e1000: 82.)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# choices A|B DRIVER: what telemetry and the log say of a device without rules.
choices() {
	wait_side 20 "$1" /remu/port .started==1
	assert_eq "driver of $1" "$2" "$(ask "$1" /remu/port .driver)"
	wait_side 5 "$1" /remu/port '.steering == "none" and .steering_rules == 0
		and (.steering_why | startswith("rules: ")) and .trouble == "none"
		and (.filter == "mac" or .filter == "software")'
	wait_for 10 grep -q 'steering none' "${NODE_LOG[$1]}" ||
		fail "$2: the log does not say its steering"
	log "$2: $(ask "$1" /remu/port '"filter \(.filter), queues \(.queues), rings \(.rx_ring) and " +
		"\(.tx_ring), MTU \(.mtu_bytes), link events \(.link_events); \(.steering_why)"')"
}

# One end only: net_null gives frames without end and takes all, net_ring gives back what we sent.
alone() {
	make_pair memif
	PAIR_VDEV[A]=$1
	start_pair_node A
	choices A "${1%%[0-9]*}"
	wait_side 20 A /ccm/partner,2 \
		'.state == "search" and .verdict == "unreachable" and .reason == "no_answer"'
	[ "$1" != net_null0 ] || wait_side 20 A /remu/stats '[.engines[].rx_packets] | add > 100'
	node_runs A || fail "$1: the node has ended"
	stop_node A
	rm -f "${NODE_LOG[A]}"
}

joined() {
	start_pair_node A
	start_pair_node B
	choices A "$1"
	choices B "$1"
	[ -z "${2:-}" ] || "$2"
	wait_state 30 A up
	wait_state 30 B up
	wait_exercise 30 A
	wait_exercise 30 B
	assert_bound
	log "$1: up, data verified"
	# Hot restart: the partner stays, we come back to the same device.
	stop_node A
	wait_state_not 10 B up
	start_pair_node A
	[ -z "${2:-}" ] || "$2"
	wait_state 30 A up
	wait_state 30 B up
	log "$1: stopped and started again beside its partner: up"
	stop_node A
	stop_node B
	rm -f "${NODE_LOG[A]}" "${NODE_LOG[B]}"
}

# The taps exist as long as their nodes: a wire between them for each time.
join_taps() {
	[ -z "${WIRE:-}" ] || kill "$WIRE" 2>/dev/null || true
	wait_for 10 ip -n "$NS_A" link show dev tap_a || fail "no tap_a"
	ip netns exec "$NS_A" "$BUILD/tests/link/lossy_wire" tap_a tap_b < <(sleep 300) >"$TMP/taps" 2>&1 &
	WIRE=$!
	wait_for 10 grep -q ready "$TMP/taps" || fail "lossy_wire: $(cat "$TMP/taps")"
}

alone net_null0
alone net_ring0
make_pair memif
joined net_memif
if [ "$(id -u)" -eq 0 ]; then
	make_pair af_packet
	joined net_af_packet
	PAIR_VDEV[A]=net_pcap0,rx_iface_in=$IF_A,tx_iface=$IF_A
	PAIR_VDEV[B]=net_pcap0,rx_iface_in=$IF_B,tx_iface=$IF_B
	joined net_pcap
	if [ -c /dev/net/tun ]; then
		PAIR_VDEV[A]=net_tap0,iface=tap_a
		PAIR_VDEV[B]=net_tap0,iface=tap_b
		PAIR_NS[B]=$NS_A
		joined net_tap join_taps
	fi
fi

# What is asked for by name is had, or the node does not start.
make_pair memif
for steering in flow isolate; do
	change_config A ".port.steering = \"$steering\""
	PAIR_VDEV[A]=net_ring0
	start_pair_node A
	wait_for 20 smoke_node_ended A || fail "a device without rules is started with $steering"
	reap_node A
	[ "$NODE_STATUS" -ne 0 ] || fail "status 0 with steering $steering"
	grep -Eq 'takes no rules for steering "flow"|cannot leave the rest to the kernel' "${NODE_LOG[A]}" ||
		fail "$steering: no reason"
	rm -f "${NODE_LOG[A]}"
done
log passed
