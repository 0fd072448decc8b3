/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * One point of a measurement: operation, size and depth; and the frames that such an operation
 * takes, which is what the floor sends instead.
 */

#include <stdint.h>

enum bench_op {
	BENCH_READ,
	BENCH_WRITE,
	BENCH_SEND,
	BENCH_ATOMIC, /* fetch-and-add of 8 bytes */
	BENCH_FRAME,  /* floor only: a frame of that size, and one like it back */
	BENCH_OP_COUNT
};

enum {
	BENCH_DEPTH_MAX = 64, /* as the ports of lib/ccm */
	BENCH_ATOMIC_SIZE = 8,
	BENCH_FRAME_MIN = 60, /* bytes without FCS */
};

#define BENCH_SIZE_MAX (UINT32_C(1) << 30)

struct bench_point {
	enum bench_op op;
	uint32_t size;	/* bytes; floor's frames: of the whole frame without FCS */
	uint32_t depth; /* operations under way */
};

/* Frames that go one way: lengths of the whole frames without FCS. */
struct bench_burst {
	uint32_t n;
	uint32_t first_len;
	uint32_t middle_len;
	uint32_t last_len; /* of a single one: first_len */
};

const char *bench_op_name(enum bench_op op);

/* Returns BENCH_OP_COUNT when there is none of that name. */
enum bench_op bench_op_find(const char *name);

/* What an operation puts on the wire, there and back, when nothing is lost. */
void bench_point_frames(const struct bench_point *point, uint32_t path_mtu, struct bench_burst *out,
	struct bench_burst *back);

static inline uint32_t
bench_burst_len(const struct bench_burst *b, uint32_t i)
{
	return i == 0 ? b->first_len : i == b->n - 1 ? b->last_len : b->middle_len;
}
