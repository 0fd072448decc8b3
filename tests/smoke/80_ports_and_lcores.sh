#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Lcores and queues: one lcore that does everything; one data lcore beside the control core; two data
# lcores and two queues, so that queue pairs of one session live on different lcores and frames are
# handed over between them; and nodes of different shape against each other.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair memif
first=${CPUS[0]} second=${CPUS[1]:-${CPUS[0]}}
one="0@$first"
two="0@$first,1@$second"
three="0@$first,1@$first,2@$second"

# shape LCORES_OF_A LCORES_OF_B ENGINES_OF_A ENGINES_OF_B
shape() {
	PAIR_LCORES[A]=$1 PAIR_LCORES[B]=$2
	start_pair_node A
	start_pair_node B
	wait_state 30 A up
	wait_state 30 B up
	wait_exercise 30 A
	wait_exercise 30 B
	assert_bound
	assert_eq "engines of A" "$3" "$(ask A /remu/stats .total_engines)"
	assert_eq "engines of B" "$4" "$(ask B /remu/stats .total_engines)"
	for side in A B; do
		log "node $side, packets received by engine:" \
			"$(ask "$side" /remu/stats '[.engines[].rx_packets | tostring] | join(" ")')"
	done
	stop_node A
	stop_node B
	log "A on $1, B on $2: up, data verified"
}

shape "$one" "$one" 1 1
shape "$two" "$two" 1 1
shape "$one" "$two" 1 1
shape "$three" "$three" 2 2
shape "$three" "$one" 2 1
log passed
