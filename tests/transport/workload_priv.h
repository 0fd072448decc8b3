/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * One run of the workload. A lane is a queue pair at one end: as requester with what it has posted,
 * and with the model of its region at the peer; as responder with its receive requests.
 */

#include "duo.h"
#include "serial.h"
#include "workload.h"
#include "zone.h"

#include <frame_maker.h>

enum {
	LANES = WORKLOAD_LANES,
	MAX_PACKETS = 20,  /* of a message */
	DATA_PACKETS = 64, /* of a lane's region */
	SOURCE_PACKETS = 32,
	SKEW = 16,   /* local buffers begin at any address */
	WORDS = 6,   /* shared by all lanes: the first half for FETCH_ADD, the rest for CMP_SWAP */
	DRAIN = 512, /* operations between two pauses for a look at the whole region */
};

_Static_assert((int)LANES <= (int)SERIAL_LANES, "a word is shared by all lanes of an end");

enum region {
	REGION_NONE,
	REGION_DATA,   /* the lane's own at the peer */
	REGION_SOURCE, /* of all lanes, READ only */
	REGION_WORDS,  /* of all lanes, atomics only */
};

struct op {
	struct remu_wr wr;
	struct zone zone;
	uint8_t *at;	 /* local end, within the zone */
	uint8_t *expect; /* what it must hold in the end */
	enum region region;
	uint32_t off;	/* in REGION_DATA; number of the word */
	uint64_t taker; /* SEND, WRITE with immediate: which receive request it takes */
	uint64_t floor; /* shared words: see serial_add() */
};

struct recv {
	struct remu_recv_wr wr;
	struct zone zone;
	uint8_t *at;
};

struct cq {
	struct remu_cq *cq; /* NULL: the engine's own */
	bool solicited_only;
};

enum pause { PAUSE_NONE, PAUSE_BEGUN, PAUSE_DRAINED };

struct lane {
	struct run *run;
	struct lane *peer;
	struct remu_qp *qp;
	uint32_t qpn;
	uint32_t number; /* among all of this end */
	int end;
	struct cq cq[2]; /* send or both, receive */
	/* Requester. */
	struct op *ops; /* ring of sq_depth */
	uint64_t posted;
	uint64_t ended;
	uint64_t taken;	      /* receive requests of the peer that these take */
	uint64_t *taker_op;   /* which operation takes it; ring of sq_depth */
	uint32_t target;      /* operations to keep under way */
	struct zone data;     /* the memory is the peer's */
	uint8_t *image;	      /* what it must hold when all that was posted has ended */
	uint64_t hope[WORDS]; /* what a shared word holds if all my CMP_SWAPs succeed */
	/* Responder. */
	struct recv *recvs; /* ring of rq_depth */
	uint64_t recv_posted;
	uint64_t recv_ended;
	uint64_t feed_at; /* when receive requests are posted next */
	/* SQD. */
	enum pause pause;
	uint64_t pause_at;     /* when it changes */
	uint64_t pause_posted; /* operations posted when it began */
	uint64_t pause_ended;  /* and ended when it was drained */
};

struct run {
	struct workload_config cfg;
	struct duo duo;
	struct rte_mempool *pool;
	uint64_t rng;
	struct lane lane[2][LANES];
	struct zone source[2];
	uint8_t *source_copy[2];
	struct zone words[2];
	struct serial serial[2][WORDS];
	uint64_t posted;
	uint64_t ended;
	uint64_t by_opcode[2][REMU_WR_COUNT]; /* posted, by the end */
	uint64_t progress_ns;		      /* last completion */
	uint64_t partition_at;		      /* when it begins or ends */
	bool partition;
};

static inline struct op *
op_at(const struct lane *l, uint64_t n)
{
	return &l->ops[n & (l->run->cfg.sq_depth - 1)];
}

static inline uint32_t
rq_depth(const struct run *r)
{
	return 2 * r->cfg.sq_depth;
}

static inline uint32_t
below(struct run *r, uint32_t n)
{
	return prng_below(&r->rng, n);
}

/* workload.c */

void __attribute__((noreturn, format(printf, 2, 3)))
workload__fail(struct run *r, const char *format, ...);

#define NEED(r, ok, ...) \
	do { \
		if (!(ok)) \
			workload__fail(r, __VA_ARGS__); \
	} while (0)

/* Where a region of the peer is, and its key; the lane counts for REGION_DATA only. */
uint64_t workload__va(const struct run *r, uint32_t lane, enum region region);
uint32_t workload__rkey(uint32_t lane, enum region region);

/* Fill with random bytes. */
void workload__fill(struct run *r, uint8_t *at, uint32_t len);

/* lane.c */

/* Post operations and receive requests as is due, and go in and out of SQD. */
void lane__post(struct lane *l);
void lane__feed(struct lane *l);
void lane__pause(struct lane *l);

/* When one of these wants to be called again at the latest. */
uint64_t lane__wake(const struct lane *l);

void lane__on_work(struct lane *l, const struct remu_wc *wc);
void lane__on_recv(struct lane *l, const struct remu_wc *wc);

/* Nothing is under way: region and model must be equal. */
void lane__check_idle(struct lane *l);
