/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_hist.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { STEPS_PER_HALVING = 5, NS_PER_US = 1000 };

void
bench_hist_reset(struct bench_hist *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT64_MAX;
}

static uint32_t
shift_of(uint32_t bucket)
{
	return bucket < 2 * BENCH_HIST_HALF ? 0 : bucket / BENCH_HIST_HALF - 1;
}

uint64_t
bench_hist_top(uint32_t bucket)
{
	uint32_t shift = shift_of(bucket);
	uint64_t first = bucket - (uint64_t)shift * BENCH_HIST_HALF;

	return ((first + 1) << shift) - 1;
}

/* As far as it is known: the last bucket also has what is longer. */
static uint64_t
value_of(const struct bench_hist *h, uint32_t bucket)
{
	uint64_t top = bench_hist_top(bucket);

	if (bucket == BENCH_HIST_BUCKETS - 1)
		return h->max;
	return top < h->max ? top : h->max;
}

uint64_t
bench_hist_percentile(const struct bench_hist *h, double percentile)
{
	double wanted = percentile / 100 * (double)h->count;
	uint64_t total = 0;

	if (h->count == 0)
		return 0;
	for (uint32_t i = 0; i < BENCH_HIST_BUCKETS; i++) {
		total += h->buckets[i];
		/* The product may be a little too large: 99.9 % of 1000 is 999. */
		if (total != 0 && (double)total + 1e-6 >= wanted)
			return value_of(h, i);
	}
	return h->max;
}

double
bench_hist_mean(const struct bench_hist *h)
{
	return h->count == 0 ? 0 : (double)h->sum / (double)h->count;
}

double
bench_hist_stdev(const struct bench_hist *h)
{
	double mean = bench_hist_mean(h), squares = 0;

	if (h->count == 0)
		return 0;
	for (uint32_t i = 0; i < BENCH_HIST_BUCKETS; i++) {
		/* The middle of the bucket. */
		double off = (double)value_of(h, i) -
			(double)((UINT64_C(1) << shift_of(i)) - 1) / 2 - mean;

		if (h->buckets[i] != 0)
			squares += off * off * (double)h->buckets[i];
	}
	return sqrt(squares / (double)h->count);
}

bool
bench_hist_next(const struct bench_hist *h, struct bench_hist_iter *it,
	struct bench_hist_step *step)
{
	double halvings;

	if (it->ended || h->count == 0)
		return false;
	while ((double)it->total < it->level / 100 * (double)h->count || it->total == 0)
		it->total += h->buckets[it->bucket++];
	step->value = value_of(h, it->bucket - 1);
	step->total = it->total;
	step->percentile = it->level;
	if (it->total == h->count) {
		step->percentile = 100;
		it->ended = true;
		return true;
	}
	halvings = floor(log2(100 / (100 - it->level))) + 1;
	it->level += 100 / (STEPS_PER_HALVING * exp2(halvings));
	return true;
}

void
bench_hist_print(const struct bench_hist *h, FILE *out)
{
	struct bench_hist_iter it = {0};
	struct bench_hist_step step;

	fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
		"1/(1-Percentile)");
	while (bench_hist_next(h, &it, &step)) {
		fprintf(out, "%12.3f %14.12f %10" PRIu64, (double)step.value / NS_PER_US,
			step.percentile / 100, step.total);
		if (!it.ended)
			fprintf(out, " %14.2f", 100 / (100 - step.percentile));
		fputc('\n', out);
	}
	fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
		bench_hist_mean(h) / NS_PER_US, bench_hist_stdev(h) / NS_PER_US);
	fprintf(out, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n",
		(double)h->max / NS_PER_US, h->count);
	fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n",
		BENCH_HIST_BITS - BENCH_HIST_LINEAR_BITS + 1, 2 * BENCH_HIST_HALF);
}
