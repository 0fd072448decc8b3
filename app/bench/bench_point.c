/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_point.h"

#include "roce_wire.h"

#include <string.h>

enum {
	BARE = ROCE_L2L4_LEN + ROCE_BTH_LEN + ROCE_ICRC_LEN,
	RETH = sizeof(struct roce_reth),
	AETH = sizeof(struct roce_aeth),
	ATOMIC_ETH = sizeof(struct roce_atomic_eth),
	ATOMIC_ACK = sizeof(struct roce_atomic_ack_eth),
};

static const char *const names[BENCH_OP_COUNT] = {
	[BENCH_READ] = "read",
	[BENCH_WRITE] = "write",
	[BENCH_SEND] = "send",
	[BENCH_ATOMIC] = "atomic",
	[BENCH_FRAME] = "frame",
};

const char *
bench_op_name(enum bench_op op)
{
	return op < BENCH_OP_COUNT ? names[op] : "?";
}

enum bench_op
bench_op_find(const char *name)
{
	unsigned int op;

	for (op = 0; op < BENCH_OP_COUNT; op++)
		if (strcmp(names[op], name) == 0)
			break;
	return op;
}

static uint32_t
at_least(uint32_t len)
{
	return len > BENCH_FRAME_MIN ? len : BENCH_FRAME_MIN;
}

static struct bench_burst
single(uint32_t headers)
{
	uint32_t len = at_least(BARE + headers);

	return (struct bench_burst){.n = 1, .first_len = len, .middle_len = len, .last_len = len};
}

/* A message cut at the path MTU; the payload is padded to four bytes. */
static struct bench_burst
message(uint32_t size, uint32_t path_mtu, uint32_t first_headers, uint32_t last_headers)
{
	uint32_t n = size <= path_mtu ? 1 : (size + path_mtu - 1) / path_mtu;
	uint32_t last = (size - (n - 1) * path_mtu + 3) & ~3u;

	if (n == 1)
		return single(first_headers + last);
	return (struct bench_burst){
		.n = n,
		.first_len = at_least(BARE + first_headers + path_mtu),
		.middle_len = at_least(BARE + path_mtu),
		.last_len = at_least(BARE + last_headers + last),
	};
}

void
bench_point_frames(const struct bench_point *point, uint32_t path_mtu, struct bench_burst *out,
	struct bench_burst *back)
{
	uint32_t len = at_least(point->size);

	*back = single(AETH);
	switch (point->op) {
	case BENCH_READ:
		*out = single(RETH);
		*back = message(point->size, path_mtu, AETH, AETH);
		break;
	case BENCH_WRITE:
		*out = message(point->size, path_mtu, RETH, 0);
		break;
	case BENCH_SEND:
		*out = message(point->size, path_mtu, 0, 0);
		break;
	case BENCH_ATOMIC:
		*out = single(ATOMIC_ETH);
		*back = single(AETH + ATOMIC_ACK);
		break;
	case BENCH_FRAME:
	case BENCH_OP_COUNT:
		*out = (struct bench_burst){1, len, len, len};
		*back = *out;
		break;
	}
}
