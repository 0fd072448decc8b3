#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Nobody has to be first: A before B, B before A, both at once, B five seconds later. Each time the
# session comes up and data arrives. In memif, A is the server and B the client of the shared memory.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_pair memif

# round NAME FIRST PAUSE SECOND
round() {
	local start
	start_pair_node "$2"
	[ "$3" = 0 ] || sleep "$3"
	start=${EPOCHREALTIME/[.,]/}
	start_pair_node "$4"
	wait_state 20 A up
	wait_state 20 B up
	log "$1: up $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms after the second start"
	wait_exercise 20 A
	wait_exercise 20 B
	assert_bound
	stop_node "$2"
	stop_node "$4"
}

round "A first" A 1 B
round "B first" B 1 A
for _ in 1 2 3; do
	round "both at once" A 0 B
	round "both at once, B ahead" B 0 A
done
round "B five seconds later" A 5 B
log passed
