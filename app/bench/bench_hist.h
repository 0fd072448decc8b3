/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Histogram of times in fixed memory: log-linear buckets, 2048 for the first 2048 ns and 1024 for
 * each doubling after that, so a value is known to 0.1 %, three significant digits. Recording is a
 * shift and an addition. Minimum, maximum and mean are exact. One thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
	BENCH_HIST_LINEAR_BITS = 11,
	BENCH_HIST_HALF = 1 << (BENCH_HIST_LINEAR_BITS - 1),
	BENCH_HIST_BITS = 40, /* longer times, 18 minutes, count as this long */
	BENCH_HIST_BUCKETS = (BENCH_HIST_BITS - BENCH_HIST_LINEAR_BITS + 2) * BENCH_HIST_HALF,
};

struct bench_hist {
	uint64_t count;
	uint64_t sum;
	uint64_t min;
	uint64_t max;
	uint64_t buckets[BENCH_HIST_BUCKETS];
};

/* One step of an iteration over percentiles. */
struct bench_hist_step {
	uint64_t value;	   /* this or less have... */
	double percentile; /* ...at least so many of a hundred, */
	uint64_t total;	   /* that is, so many */
};

struct bench_hist_iter {
	uint32_t bucket;
	uint64_t total;
	double level; /* percentile that is looked for */
	bool ended;
};

void bench_hist_reset(struct bench_hist *h);

static inline uint32_t
bench_hist_bucket(uint64_t value)
{
	uint32_t shift;

	if (value < 2 * BENCH_HIST_HALF)
		return (uint32_t)value;
	if (value >> BENCH_HIST_BITS != 0)
		return BENCH_HIST_BUCKETS - 1;
	shift = (uint32_t)(64 - BENCH_HIST_LINEAR_BITS - __builtin_clzll(value));
	return shift * BENCH_HIST_HALF + (uint32_t)(value >> shift);
}

static inline void
bench_hist_record(struct bench_hist *h, uint64_t value)
{
	h->count++;
	h->sum += value;
	h->min = value < h->min ? value : h->min;
	h->max = value > h->max ? value : h->max;
	h->buckets[bench_hist_bucket(value)]++;
}

/* Largest value that falls into a bucket. */
uint64_t bench_hist_top(uint32_t bucket);

/* The value that so many of a hundred do not exceed; 0 when nothing was recorded. */
uint64_t bench_hist_percentile(const struct bench_hist *h, double percentile);

double bench_hist_mean(const struct bench_hist *h);
double bench_hist_stdev(const struct bench_hist *h);

/*
 * Percentiles ever closer to 100, five steps for each halving of what is left, as HdrHistogram
 * prints them; the last step is 100. Begin with an iterator of zeros. Returns false at the end.
 */
bool bench_hist_next(const struct bench_hist *h, struct bench_hist_iter *it,
	struct bench_hist_step *step);

/* HdrHistogram's text form of the percentiles, values in microseconds. */
void bench_hist_print(const struct bench_hist *h, FILE *out);
