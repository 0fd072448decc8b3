/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Frames of a link: slots of the pool, and the queue of those on their way, a pairing heap through
 * the frames themselves. Also the numbers that link and swarm draw.
 */

#include "link.h"

struct link_frame {
	uint64_t due;
	uint64_t order;
	uint64_t index;
	struct link_frame *child;
	struct link_frame *next; /* sibling; also the list of free frames */
	struct link_frame *prev; /* sibling before, or the parent; NULL: root */
	uint64_t place;
	uint32_t len;
	bool held;
	bool loose; /* or a copy: not part of the order */
	uint8_t data[];
};

/* NULL: pool empty. */
struct link_frame *link__frame_get(struct link_pool *pool);
void link__frame_put(struct link_pool *pool, struct link_frame *f);

void link__queue_add(struct link_frame **root, struct link_frame *f);
void link__queue_remove(struct link_frame **root, struct link_frame *f);

/* Output number n of splitmix64. */
static inline uint64_t
link__random(uint64_t seed, uint64_t n)
{
	uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* a * b / c, where the result fits. */
static inline uint64_t
link__mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

/* A number below n made of a random one; n = 0 stands for 2^64. */
static inline uint64_t
link__below(uint64_t random, uint64_t n)
{
	return n == 0 ? random : (uint64_t)((unsigned __int128)random * n >> 64);
}
