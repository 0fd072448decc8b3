/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_run.h"

enum {
	READINGS = 10001,
	WARM_UP_MIN = 16,
	WARM_UP_MAX = 2000,
	WARM_UP_BYTES = 16 << 20,
};

void
bench_clock_init(struct bench_clock *clock, uint64_t hz)
{
	static struct bench_hist hist;
	uint64_t before = rte_rdtsc();

	clock->hz = hz;
	clock->ns = node_clock_make(hz);
	bench_hist_reset(&hist);
	for (int i = 0; i < READINGS; i++) {
		uint64_t now = rte_rdtsc();

		bench_hist_record(&hist, now - before);
		before = now;
	}
	clock->overhead = bench_hist_percentile(&hist, 50);
}

void
bench_run_init(struct bench_run *run, const struct bench_point *point, uint64_t iterations,
	double seconds, const struct bench_clock *clock, struct bench_hist *hist)
{
	uint64_t warm_up = WARM_UP_BYTES / (point->size + 1);

	*run = (struct bench_run){.point = *point, .clock = clock, .hist = hist};
	bench_hist_reset(hist);
	run->warm_up = warm_up < WARM_UP_MIN ? WARM_UP_MIN
		: warm_up > WARM_UP_MAX	     ? WARM_UP_MAX
					     : warm_up;
	run->limit = iterations != 0 ? run->warm_up + iterations : UINT64_MAX;
	if (iterations == 0)
		run->ticks = (uint64_t)(seconds * (double)clock->hz) + 1;
}

uint64_t
bench_run_ops(const struct bench_run *run)
{
	return run->counting ? run->ended - run->warm_up : 0;
}

double
bench_run_seconds(const struct bench_run *run)
{
	return run->counting ? (double)(run->end - run->begin) / (double)run->clock->hz : 0;
}
