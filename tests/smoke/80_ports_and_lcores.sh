#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Lcores and queues: one lcore that does everything; one data lcore beside the control core; two data
# lcores and two queues, where queue pairs of one session live on different lcores and frames that
# arrive at the wrong one are handed over; nodes of different shape against each other. Over shared
# memory, and as root over Ethernet too. More lcores than CPUs: they share.
#
# Over net_memif both nodes have the same number of queues here: its driver takes the rings that it did
# not get for its first one.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# shape LCORES_OF_A LCORES_OF_B ENGINES_OF_A ENGINES_OF_B
shape() {
	local side
	PAIR_LCORES[A]=$1 PAIR_LCORES[B]=$2
	start_pair_node A
	start_pair_node B
	for side in A B; do
		wait_state 30 "$side" up
	done
	for side in A B; do
		wait_exercise 30 "$side" 5
	done
	assert_bound
	assert_eq "engines of A" "$3" "$(ask A /remu/stats .total_engines)"
	assert_eq "engines of B" "$4" "$(ask B /remu/stats .total_engines)"
	log "A on $1, B on $2: up, data verified"
	for side in A B; do
		log "  node $side, packets received by engine:" \
			"$(ask "$side" /remu/stats '[.engines[].rx_packets | tostring] | join(" ")')," \
			"handed over: $(ask "$side" /remu/port .handed_over)"
	done
	stop_node A
	stop_node B
}

make_pair memif
first=${CPUS[0]} second=${CPUS[1]:-${CPUS[0]}}
one="0@$first"
two="0@$first,1@$second"
three="0@$first,1@$first,2@$second"

log "net_memif:"
shape "$one" "$one" 1 1
shape "$two" "$two" 1 1
shape "$one" "$two" 1 1
# Three lcores that never sleep, on each node: with fewer CPUs than that they crowd everything else
# out for seconds. CROWDED=1 tries it all the same.
[ "$(nproc)" -lt 4 ] || CROWDED=1
[ -z "${CROWDED:-}" ] || shape "$three" "$three" 2 2

if [ "$(id -u)" -eq 0 ]; then
	log "net_af_packet:"
	make_pair af_packet
	shape "$two" "$one" 1 1
	for side in A B; do
		PAIR_VDEV[$side]+=,qpairs=2
	done
	[ -z "${CROWDED:-}" ] || shape "$three" "$three" 2 2
	[ -z "${CROWDED:-}" ] || shape "$three" "$one" 2 1
fi
[ -n "${CROWDED:-}" ] || log "left out, for want of CPUs: nodes with two data lcores"
log passed
