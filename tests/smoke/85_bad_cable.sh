#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two nodes on a cable that loses, repeats and reorders frames (tests/link/lossy_wire.c): they find each
# other, stay up, and every byte is right. Then it is cut, and put together again.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_root
BAD_CABLE=yes
make_pair af_packet
for side in A B; do
	change_config "$side" '.clients |= map(.memory = "\(.ports * 64)KiB")'
done

start_both() {
	start_pair_node A
	start_pair_node B
	wait_state 30 A up
	wait_state 30 B up
}

while read -r cable; do
	# shellcheck disable=SC2086 # words
	bad_cable $cable
	start_both
	sessions=$(ask A /ccm/partner,2 .sessions)
	wait_exercise 60 A 3
	wait_exercise 60 B 3
	assert_bound
	assert_eq "sessions of A over $cable" "$sessions" "$(ask A /ccm/partner,2 .sessions)"
	log "$cable: $(ask A /remu/stats '"repeated \(.retransmits), kept \(.rx_reordered), duplicates \(.duplicates)"')"
	[ "$cable" = "${last:=loss=20 duplicate=0 reorder=0}" ] || { stop_node A 20 && stop_node B 20; }
done <<'EOF'
loss=1 window=8
loss=5
loss=1 duplicate=2 reorder=5
loss=20 duplicate=0 reorder=0
EOF

bad_cable stats
log "$WIRE_ANSWER"
bad_cable loss=100
wait_state_not 20 A up
wait_state_not 20 B up
assert_eq "verdict of A" unreachable "$(ask A /ccm/partner,2 .verdict)"
bad_cable loss=0
wait_state 20 A up
wait_state 20 B up
wait_exercise 30 A
wait_exercise 30 B
assert_bound
stop_node A
stop_node B
log passed
