/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What the device alone can do: bare Ethernet frames of the lengths that an operation takes, sent
 * and answered over the same port, queue, bursts and mbufs as the node uses, on its first data
 * lcore. The exchanges of a point are counted like operations; then its longest frames are
 * streamed one way. A second ccm-bench is the peer.
 */

#include "bench_run.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct data_lcore;
struct node;
struct rte_mbuf;

enum bench_floor_phase {
	BENCH_FLOOR_IDLE,
	BENCH_FLOOR_GREETING,
	BENCH_FLOOR_EXCHANGING,
	BENCH_FLOOR_STREAMING,
	BENCH_FLOOR_COUNTING, /* asking how many arrived */
	BENCH_FLOOR_OVER,
	BENCH_FLOOR_FAILED,
};

/* Behind the Ethernet header of each frame, and two bytes; both ends have the same byte order. */
struct bench_floor_header {
	uint32_t magic;
	uint16_t kind;	/* enum frame_kind */
	uint16_t phase; /* of a query: the asker's, enum bench_floor_phase; comes back */
	uint32_t stream;
	struct bench_burst back; /* BENCH_ASK: what to answer with */
	uint64_t count;
};

/* An exchange that the peer still has to answer. */
struct bench_floor_due {
	struct rte_mbuf *m; /* goes back as the first frame */
	struct bench_floor_header header;
	uint32_t next;
};

enum { BENCH_FLOOR_DUE = 128, BENCH_FLOOR_BURST = 32 };

struct bench_floor {
	/* constant */
	struct node *node;
	bool peer;
	uint8_t ethernet[14]; /* of what we send */
	/* data lcore, while a point is measured */
	struct rte_mbuf *unsent[BENCH_FLOOR_BURST];
	uint32_t n_unsent;
	uint64_t news; /* last time that something came */
	uint64_t asked;
	struct bench_burst out, back;
	uint32_t next; /* frame of the exchange being sent */
	struct bench_run run;
	uint32_t stream;
	uint64_t frames_wanted; /* 0: by time */
	uint64_t frames_sent;
	uint64_t frames_counted; /* by the peer */
	uint64_t stream_begin;
	uint64_t stream_end;
	/* the peer's data lcore */
	struct bench_floor_due due[BENCH_FLOOR_DUE];
	uint32_t due_head, due_tail;
	uint64_t count;
	_Atomic int phase; /* enum bench_floor_phase */
};

void bench_floor_init(struct bench_floor *f, struct node *node, bool peer);

/* Begin a point, from the control core while none is being measured. */
void bench_floor_start(struct bench_floor *f, const struct bench_point *point, uint64_t iterations,
	double seconds, const struct bench_clock *clock, struct bench_hist *hist);

/* In place of a data lcore's turn: some dozens of turns. */
bool bench_floor_turns(struct bench_floor *f, struct data_lcore *d);

/* Of the frames that were streamed: length, and seconds that it took. */
uint32_t bench_floor_frame_len(const struct bench_floor *f);
double bench_floor_seconds(const struct bench_floor *f);

static inline enum bench_floor_phase
bench_floor_phase(struct bench_floor *f)
{
	return (enum bench_floor_phase)atomic_load_explicit(&f->phase, memory_order_acquire);
}
