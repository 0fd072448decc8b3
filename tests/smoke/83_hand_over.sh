#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two data lcores and two queues on each node, and bootstrap queue pairs that belong to lcore 0 here and
# to lcore 1 there: over net_memif what queue 0 sends arrives at queue 0, so every frame of theirs comes
# to the wrong lcore and is handed over.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair memif
first=${CPUS[0]} second=${CPUS[1]:-${CPUS[0]}}
PAIR_LCORES[A]="0@$first,1@$first,2@$second"
PAIR_LCORES[B]="0@$second,1@$first,2@$second"
change_config A '.partners[0].remote_qpn = "0x101"'
change_config B '.partners[0].qpn = "0x101"'
for side in A B; do
	# More lcores than CPUs, maybe: they take turns, and the control core sleeps.
	change_config "$side" '.timing += {dead_after_us: 3000000, retry_us: 300000, idle_sleep_us: 1000}
		| .clients |= map(.memory = "\(.ports * 16)KiB")'
	start_pair_node "$side"
done
for side in A B; do
	wait_state 60 "$side" up
	wait_side 30 "$side" /remu/port '.queues == 2 and .handed_over > 50'
	wait_exercise 60 "$side" 2
	assert_eq "frames that $side lost on the way" 0 "$(ask "$side" /remu/port .inbox_full)"
	log "node $side: handed over $(ask "$side" /remu/port .handed_over) of" \
		"$(ask "$side" /remu/stats '[.engines[].rx_packets] | add') frames"
done
assert_bound
stop_node A
stop_node B
log passed
