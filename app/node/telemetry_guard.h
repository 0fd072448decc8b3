/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Protection against defects of DPDK 22.11's telemetry, which has a thread per client and ten places
 * for them. It offers no hook; but it calls the C library through the symbol table, so the program
 * brings its own strtok(), accept() and write().
 *
 * strtok() has one memory for all threads: with two clients at a time the parameter of one command
 * was lost, or was the other client's, from a stack that may be gone. Ours has one per thread.
 *
 * A client that asks and does not read holds its thread, and so its place, for ever; so does one
 * that never asks. Ten of them, such as programs stopped by Ctrl-Z, and nobody can see the node any
 * more. Sockets that accept() gives to telemetry get time limits, and a write() that runs into them
 * ends the connection.
 *
 * Its threads get no signals, each of which would end a connection with such a limit.
 *
 * The thread that accepts ends when accept() fails once. Ours waits where it may get better.
 */

enum {
	TELEMETRY_WRITE_S = 2,	/* a client must take an answer within this time */
	TELEMETRY_IDLE_S = 300, /* and ask something within this */
};
