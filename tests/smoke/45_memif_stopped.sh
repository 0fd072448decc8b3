#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A memif server that is stopped (SIGSTOP) while clients connect and are killed: continued, it finds
# connections of the dead. Its driver then fails to greet them, and must not take the server down;
# the next client gets through. A client that waits for such a server still ends when told to.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ROUNDS=${ROUNDS:-3}
make_pair memif
ulimit -c 0

for ((round = 1; round <= ROUNDS; round++)); do
	start_pair_node A
	wait_state 20 A search
	pid=${NODE_PID[A]}
	kill_node A STOP
	for ((client = 1; client <= 2; client++)); do
		start_pair_node B
		wait_state 20 B search
		sleep 0.3
		kill_node B
	done
	start_pair_node B
	wait_state 20 B search
	sleep 1 # the server's queue is full: the client's driver waits in connect()
	stop_node B
	kill_node A CONT
	start_pair_node B
	for side in A B; do
		wait_state 20 "$side" up
	done
	for side in A B; do
		wait_exercise 20 "$side"
	done
	assert_eq "process of the server" "$pid" "${NODE_PID[A]}"
	stop_node B
	stop_node A
done
log passed
