/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Copies of frames on their way from a data lcore to the thread that writes them to a file: bytes in a
 * ring for one producer and one consumer. The producer never waits: what finds no room is counted.
 *
 * Frames are put first and committed later, because only after a burst is it known how many the device
 * has taken.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;

enum capture_direction { CAPTURE_IN = 1, CAPTURE_OUT = 2 }; /* as pcapng has it */

enum { CAPTURE_FRAME_MAX = 16384 /* bytes of a frame that are kept */ };

struct capture_mark {
	uint64_t head;
	uint64_t dropped;
};

struct capture_ring {
	/* constant */
	uint8_t *bytes;
	uint64_t size; /* power of two */
	/* producer */
	struct capture_mark put; /* what is not committed yet included */
	/* written by the producer, read by the consumer */
	_Atomic uint64_t head __attribute__((aligned(64)));
	_Atomic uint64_t dropped; /* frames that found no room */
	/* written by the consumer, read by the producer */
	_Atomic uint64_t tail __attribute__((aligned(64)));
};

struct capture_frame {
	uint64_t time_ns;
	uint32_t len;  /* of the frame */
	uint32_t kept; /* bytes in data */
	enum capture_direction direction;
	uint8_t data[CAPTURE_FRAME_MAX];
};

/* size: power of two, 64 KiB at least. Returns 0 or -ENOMEM. */
int capture_ring_init(struct capture_ring *r, uint64_t size);
void capture_ring_fini(struct capture_ring *r);

/* Producer: copy a frame. Returns the mark behind it. */
struct capture_mark capture_ring_put(struct capture_ring *r, const struct rte_mbuf *m,
	uint64_t time_ns, enum capture_direction direction);

/* Producer: let the consumer see what was put up to a mark, and forget what was put behind it. */
void capture_ring_commit(struct capture_ring *r, struct capture_mark mark);

/* Producer: where the next frame will be put, when nothing waits to be committed. */
static inline struct capture_mark
capture_ring_mark(const struct capture_ring *r)
{
	return r->put;
}

/* Consumer: the time of the oldest frame; false when there is none. */
bool capture_ring_peek(const struct capture_ring *r, uint64_t *time_ns);

/* Consumer: take the oldest frame, which must be there. */
void capture_ring_take(struct capture_ring *r, struct capture_frame *out);
