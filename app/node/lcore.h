/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * A data lcore: moves frames between one queue pair of the port and one engine. Run to
 * completion, no lock, no system call, no allocation.
 */

#include "clock.h"
#include "port_gate.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct capture_ring;
struct remu_engine;
struct remu_port;
struct rte_mbuf;
struct rte_ring;

enum {
	DATA_BURST = 32,
	DATA_INBOX = 1024,	 /* frames handed over by other data lcores; power of two */
	DATA_STALL_NS = 1000000, /* frames that the device does not take in this time are dropped */
};

/* Counters: written by the data lcore, read by any thread. */
struct data_counters {
	uint64_t handed_over; /* frames for a queue pair of another engine */
	uint64_t inbox_full;  /* frames lost on the way to it */
	uint64_t tx_stalled;  /* frames lost because the device took none for DATA_STALL_NS */
};

struct data_lcore;

/*
 * A client that works on the data lcore itself, with the functions of rdma_emul.h that are for the
 * engine's owner. Called once a turn, between receiving and sending: what it posts goes out in the
 * same turn. Returns whether there was anything to do.
 */
typedef bool (*data_client_fn)(void *ctx, struct data_lcore *d, uint64_t now_ns);

struct data_lcore {
	/* constant */
	uint32_t id; /* engine, queue, and reader of the gate */
	uint32_t n;  /* data lcores */
	struct remu_engine *engine;
	struct remu_port *port;
	struct port_gate *gate;
	struct data_lcore *all;	      /* the n of them */
	struct rte_ring *inbox;	      /* NULL when there is only one */
	struct capture_ring *capture; /* NULL: frames are not captured */
	data_client_fn client;	      /* NULL: none; to be set before the lcore runs */
	void *client_ctx;
	/* data lcore */
	struct rte_mbuf *unsent[DATA_BURST];
	uint16_t n_unsent;
	uint64_t unsent_since_ns;
	uint16_t latest_burst;	/* frames received when there were any the last time */
	_Atomic uint64_t turns; /* read by any thread, to see that it goes on */
	struct data_counters counters;
};

/* Prepare lcore `id` of `n`. Returns 0 or -ENOMEM. */
int data_lcore_init(struct data_lcore *d, uint32_t id, uint32_t n, struct remu_engine *engine,
	struct remu_port *port, struct port_gate *gate, struct data_lcore *all);

/* Free what is left; the lcore has stopped. */
void data_lcore_fini(struct data_lcore *d);

/* One turn. Returns whether there was anything to do. */
bool data_lcore_turn(struct data_lcore *d, uint64_t now_ns);

/* Destination queue pair of a RoCEv2 frame; UINT32_MAX when it is none. */
uint32_t data_frame_qpn(const uint8_t *frame, uint32_t len);
