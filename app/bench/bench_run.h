/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * The run of one point: how many operations are under way, which of them count, when it is over.
 * Operations end in the order of posting. Times are ticks of the time stamp counter; what reading
 * it costs is taken off each operation. One thread at a time.
 */

#include "bench_hist.h"
#include "bench_point.h"
#include "clock.h"

#include <rte_branch_prediction.h>

#include <stdbool.h>
#include <stdint.h>

struct bench_clock {
	struct node_clock ns;
	uint64_t hz;
	uint64_t overhead; /* ticks that one reading takes */
};

struct bench_run {
	struct bench_point point;
	const struct bench_clock *clock;
	uint64_t ticks;	  /* to go by time; 0: by iterations */
	uint64_t warm_up; /* operations that do not count */
	uint64_t posted;
	uint64_t ended; /* read by the thread that shows progress */
	uint64_t limit; /* operations to post */
	bool counting;
	uint64_t begin; /* when the last one ended that does not count */
	uint64_t end;
	struct bench_hist *hist; /* ns */
	uint64_t stamps[BENCH_DEPTH_MAX];
};

/* Measure what a reading of the counter costs. */
void bench_clock_init(struct bench_clock *clock, uint64_t hz);

/* Go by iterations, or by seconds when there are no iterations. */
void bench_run_init(struct bench_run *run, const struct bench_point *point, uint64_t iterations,
	double seconds, const struct bench_clock *clock, struct bench_hist *hist);

/* How many operations may be posted now. */
static inline uint32_t
bench_run_room(const struct bench_run *run)
{
	uint64_t left = run->limit - run->posted;
	uint64_t room = run->point.depth - (run->posted - run->ended);

	return (uint32_t)(left < room ? left : room);
}

static inline void
bench_run_posted(struct bench_run *run, uint64_t tsc)
{
	run->stamps[run->posted++ % BENCH_DEPTH_MAX] = tsc;
}

/* The oldest one under way has ended. */
static inline void
bench_run_ended(struct bench_run *run, uint64_t tsc)
{
	uint64_t ticks = tsc - run->stamps[run->ended % BENCH_DEPTH_MAX];

	__atomic_store_n(&run->ended, run->ended + 1, __ATOMIC_RELAXED);
	run->end = tsc;
	if (likely(run->counting)) {
		ticks = ticks > run->clock->overhead ? ticks - run->clock->overhead : 0;
		bench_hist_record(run->hist, node_clock_ns(&run->clock->ns, ticks));
		if (run->ticks != 0 && tsc - run->begin >= run->ticks)
			run->limit = run->posted;
	} else if (run->ended >= run->warm_up) {
		run->counting = true;
		run->begin = tsc;
	}
}

static inline bool
bench_run_over(const struct bench_run *run)
{
	return run->ended == run->limit;
}

/* Of those that count: how many, and how long they took all together. */
uint64_t bench_run_ops(const struct bench_run *run);
double bench_run_seconds(const struct bench_run *run);
