/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What the target for the receive path gives to an engine: queue pairs of every sort and regions of
 * every right, in protection domains that must not see each other, and receive buffers.
 */

#include "fuzz.h"

struct remu_cq;

enum {
	RX_QPS = 9,
	RX_REGIONS = 9,
	RX_SLOTS = 16, /* receive buffers */
	RX_SLOT_LEN = 320,
	RX_SQ_DEPTH = 4,
	RX_RQ_DEPTH = 4,
	RX_WINDOW = 16,
	RX_HEADER = 4, /* version, engine, limits, PSNs */
};

enum rx_kind {
	RX_RAW = FUZZ_RAW,
	RX_PACKET, /* any packet, made from fields */
	RX_RECV,   /* post a receive request of `len` bytes */
	RX_POST,   /* post a work request */
	RX_REVOKE, /* a region */
	RX_REGISTER,
	RX_MODIFY, /* a queue pair */
	RX_REOPEN, /* destroy a queue pair, make it again and bring it to its state */
	RX_BUDGET, /* frames that may be sent after each action from now on */
	RX_MBUFS,  /* mbufs that are to be had */
	RX_KINDS
};

/* PSNs that fuzz_record.psn counts from. */
enum rx_base { RX_EPSN, RX_UNA, RX_NEXT, RX_EPSN_FAR, RX_ZERO, RX_BASES };

struct rx_qp_spec {
	uint32_t pd;
	uint32_t access;
	uint32_t flags;
	uint32_t max_read_len;
	uint16_t path_mtu;
	uint8_t max_dest_rd_atomic;
	uint8_t state;
	bool ipv6;
	bool tagged;
	bool own_cq;
};

struct rx_region_spec {
	uint32_t pd;
	uint32_t rkey;
	uint32_t access;
	uint32_t len;
	uint64_t va;
	uint8_t fill;
	bool fixed; /* no peer can change it */
};

extern const struct rx_qp_spec rx_qp_specs[RX_QPS];
extern const struct rx_region_spec rx_region_specs[RX_REGIONS];

/* Requests of one queue of a queue pair, oldest first. */
struct rx_queue {
	uint64_t ids[RX_SQ_DEPTH + RX_RQ_DEPTH];
	uint32_t head, tail; /* free running */
};

struct rx_slot {
	uint8_t bytes[FUZZ_ZONE + RX_SLOT_LEN + FUZZ_ZONE];
	uint32_t len;
	bool posted;
};

struct rx_world {
	struct fuzz_end ends[RX_QPS];
	struct remu_engine *e;
	struct remu_cq *cq;
	struct remu_qp *qps[RX_QPS];
	struct rx_queue sends[RX_QPS];
	struct rx_queue recvs[RX_QPS];
	struct rx_slot slots[RX_SLOTS];
	uint64_t now;
	uint64_t serial; /* makes request numbers unique */
	uint32_t budget;
	bool posted[RX_QPS]; /* a work request, ever */
	bool closed[RX_QPS]; /* put to the error state by its owner */
	bool registered[RX_REGIONS];
	uint32_t sent[RX_QPS]; /* frames of this queue pair so far */
	struct {
		bool barred; /* the frame that is handed over must not have an effect */
		uint64_t executed;
		uint32_t qp; /* that it is for; RX_QPS: none */
		uint32_t epsn;
		uint32_t psn;
		uint32_t behind; /* what epsn becomes if it is carried out */
	} oracle;
};

/* Once. */
void rx_world_init(struct rx_world *w);

/* A new engine. The header has RX_HEADER bytes. */
void rx_world_open(struct rx_world *w, const uint8_t *header);

/* Check memory, close the engine, check that nothing is left. */
void rx_world_close(struct rx_world *w);

/* Where a region is. */
uint8_t *rx_region_at(uint32_t i);
void rx_register(struct rx_world *w, uint32_t i);
void rx_revoke(struct rx_world *w, uint32_t i);

struct remu_qp_info rx_info(const struct rx_world *w, uint32_t i);

/* Create a queue pair and bring it to its state. */
void rx_qp_open(struct rx_world *w, uint32_t i);

/* Post a receive request, if a buffer is free; or a work request. */
void rx_post_recv(struct rx_world *w, uint32_t i, uint32_t len);
void rx_post(struct rx_world *w, uint32_t i, const struct fuzz_record *rec);

/* Let the engine work: timers, sending, completions. Then check what it did. */
void rx_settle(struct rx_world *w);

/* rx_oracle.c: around the reception of one frame. */

void rx_oracle_before(struct rx_world *w, const struct rte_mbuf *m);
void rx_oracle_after(const struct rx_world *w);
