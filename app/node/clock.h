/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Nanoseconds from the time stamp counter: one multiplication, no division, no overflow.
 */

#include <rte_cycles.h>

#include <stdint.h>

struct node_clock {
	uint64_t mult; /* nanoseconds per tick, times 2^32 */
};

static inline struct node_clock
node_clock_make(uint64_t tsc_hz)
{
	return (struct node_clock){
		.mult = (uint64_t)((((unsigned __int128)1000000000 << 32) + tsc_hz / 2) / tsc_hz),
	};
}

static inline uint64_t
node_clock_ns(const struct node_clock *clock, uint64_t ticks)
{
	return (uint64_t)((unsigned __int128)ticks * clock->mult >> 32);
}

static inline uint64_t
node_clock_now(const struct node_clock *clock)
{
	return node_clock_ns(clock, rte_rdtsc());
}
