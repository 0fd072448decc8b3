/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The benchmark's histogram: against the sorted list of all values, at the edges of its buckets,
 * and in the text form that HdrHistogram's tools read.
 */
#include "bench_hist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VALUES = 100000 };

static struct bench_hist hist;
static uint64_t values[VALUES];

static uint64_t
mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
bucket__every_value_is_in_one(void **state)
{
	uint64_t bottom = 0;

	(void)state;
	for (uint32_t i = 0; i < BENCH_HIST_BUCKETS; i++) {
		uint64_t top = bench_hist_top(i);

		assert_true(top >= bottom);
		assert_int_equal(bench_hist_bucket(bottom), i);
		assert_int_equal(bench_hist_bucket(top), i);
		/* Three significant digits. */
		assert_true(top == bottom || (top - bottom) * 1000 < bottom);
		bottom = top + 1;
	}
	assert_true(bottom == UINT64_C(1) << BENCH_HIST_BITS);
	assert_int_equal(bench_hist_bucket(bottom), BENCH_HIST_BUCKETS - 1);
	assert_int_equal(bench_hist_bucket(UINT64_MAX), BENCH_HIST_BUCKETS - 1);
}

static void
record__nothing(void **state)
{
	struct bench_hist_iter it = {0};
	struct bench_hist_step step;

	(void)state;
	bench_hist_reset(&hist);
	assert_int_equal(bench_hist_percentile(&hist, 50), 0);
	assert_true(bench_hist_mean(&hist) == 0 && bench_hist_stdev(&hist) == 0);
	assert_false(bench_hist_next(&hist, &it, &step));
}

static void
record__one(void **state)
{
	(void)state;
	bench_hist_reset(&hist);
	bench_hist_record(&hist, 1234567);
	assert_int_equal(hist.min, 1234567);
	assert_int_equal(hist.max, 1234567);
	for (int p = 0; p <= 100; p += 50)
		assert_int_equal(bench_hist_percentile(&hist, p), 1234567);
	assert_true(bench_hist_mean(&hist) == 1234567);
	assert_true(bench_hist_stdev(&hist) < 1234567 / 1000.0);
}

static void
record__longer_than_the_last_bucket(void **state)
{
	(void)state;
	bench_hist_reset(&hist);
	bench_hist_record(&hist, UINT64_C(1) << 50);
	bench_hist_record(&hist, 0);
	assert_int_equal(hist.count, 2);
	assert_int_equal(hist.min, 0);
	assert_true(hist.max == UINT64_C(1) << 50);
	assert_int_equal(bench_hist_percentile(&hist, 50), 0);
	assert_true(bench_hist_percentile(&hist, 100) == UINT64_C(1) << 50);
}

static void
percentile__against_the_sorted_list(void **state)
{
	static const double wanted[] = {0, 1, 25, 50, 90, 99, 99.9, 99.99, 99.999, 100};
	double sum = 0;

	(void)state;
	bench_hist_reset(&hist);
	for (uint32_t i = 0; i < VALUES; i++) {
		/* From some to 2^39, evenly over the logarithm. */
		values[i] = mix(i) >> (24 + mix(i + VALUES) % 32);
		sum += (double)values[i];
		bench_hist_record(&hist, values[i]);
	}
	qsort(values, VALUES, sizeof(values[0]), by_value);
	assert_true(hist.min == values[0]);
	assert_true(hist.max == values[VALUES - 1]);
	assert_true(bench_hist_mean(&hist) > sum / VALUES * 0.999999);
	assert_true(bench_hist_mean(&hist) < sum / VALUES * 1.000001);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		double rank = wanted[i] / 100 * VALUES;
		uint64_t exact = values[rank < 1 ? 0 : (uint32_t)(rank + 0.5) - 1];
		uint64_t got = bench_hist_percentile(&hist, wanted[i]);

		assert_true(got >= exact);
		assert_true(got - exact <= exact / 1000);
	}
}

static void
stdev__of_two_values(void **state)
{
	(void)state;
	bench_hist_reset(&hist);
	for (int i = 0; i < 1000; i++)
		bench_hist_record(&hist, i % 2 == 0 ? 1000 : 1200);
	assert_true(bench_hist_mean(&hist) == 1100);
	assert_true(bench_hist_stdev(&hist) == 100);
}

static void
next__climbs_to_100(void **state)
{
	struct bench_hist_iter it = {0};
	struct bench_hist_step step, last = {0};
	uint32_t steps = 0;

	(void)state;
	bench_hist_reset(&hist);
	for (uint32_t i = 1; i <= VALUES; i++)
		bench_hist_record(&hist, i);
	while (bench_hist_next(&hist, &it, &step)) {
		assert_true(steps == 0 || step.percentile > last.percentile);
		assert_true(step.value >= last.value && step.total >= last.total);
		assert_true((double)step.total >= step.percentile / 100 * VALUES);
		if (step.percentile == 50)
			assert_in_range(step.value, VALUES / 2, VALUES / 2 + VALUES / 2000);
		last = step;
		steps++;
	}
	assert_true(last.percentile == 100);
	assert_int_equal(last.value, VALUES);
	assert_int_equal(last.total, VALUES);
	assert_in_range(steps, 60, 100);
	assert_false(bench_hist_next(&hist, &it, &step));
}

static void
print__as_hdrhistogram_does(void **state)
{
	static const char expected[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n"
				       "\n"
				       "       1.000 0.000000000000          3           1.00\n"
				       "       1.000 0.100000000000          3           1.11\n"
				       "       1.000 0.200000000000          3           1.25\n"
				       "       1.000 0.300000000000          3           1.43\n"
				       "       1.000 0.400000000000          3           1.67\n"
				       "       1.000 0.500000000000          3           2.00\n"
				       "       1.000 0.550000000000          3           2.22\n"
				       "       1.000 0.600000000000          3           2.50\n"
				       "       1.000 0.650000000000          3           2.86\n"
				       "       1.000 0.700000000000          3           3.33\n"
				       "       1.000 0.750000000000          3           4.00\n"
				       "       2.000 1.000000000000          4\n"
				       "#[Mean    =        1.250, StdDeviation   =        0.433]\n"
				       "#[Max     =        2.000, Total count    =            4]\n"
				       "#[Buckets =           30, SubBuckets     =         2048]\n";
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	bench_hist_reset(&hist);
	for (int i = 0; i < 3; i++)
		bench_hist_record(&hist, 1000);
	bench_hist_record(&hist, 2000);
	assert_non_null(out);
	bench_hist_print(&hist, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bucket__every_value_is_in_one),
		cmocka_unit_test(record__nothing),
		cmocka_unit_test(record__one),
		cmocka_unit_test(record__longer_than_the_last_bucket),
		cmocka_unit_test(percentile__against_the_sorted_list),
		cmocka_unit_test(stdev__of_two_values),
		cmocka_unit_test(next__climbs_to_100),
		cmocka_unit_test(print__as_hdrhistogram_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
