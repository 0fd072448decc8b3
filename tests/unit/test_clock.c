/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint64_t ten_years = UINT64_C(3652) * 86400; /* seconds */

/* Frequencies of counters, round and crooked. */
static const uint64_t rates[] = {1000000000, 1000000001, 1599999999, 2000000000, 2399987654,
	2500000000, 2893202103, 3333333333, 4294967295, 4294967296, 4294967297, 4999999999,
	5000000000};

/* Nanoseconds to the last bit. */
static uint64_t
exact_ns(uint64_t ticks, uint64_t hz)
{
	return (uint64_t)((unsigned __int128)ticks * 1000000000 / hz);
}

static void
expect_close(const struct node_clock *clock, uint64_t ticks, uint64_t hz)
{
	uint64_t ns = node_clock_ns(clock, ticks), want = exact_ns(ticks, hz);
	uint64_t error = ns > want ? ns - want : want - ns;

	if (error > ticks / hz + 1)
		fail_msg("%lu Hz, %lu ticks: off by %lu ns", (unsigned long)hz,
			(unsigned long)ticks, (unsigned long)error);
}

static void
clock_ns__exact_to_1_ns_per_s_over_ten_years(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct node_clock clock = node_clock_make(rates[i]);

		for (uint64_t s = 0; s <= ten_years; s += ten_years / 1000)
			for (uint64_t extra = 0; extra < rates[i]; extra += rates[i] / 7)
				expect_close(&clock, s * rates[i] + extra, rates[i]);
	}
	/* The worst remainders are between the round numbers. */
	for (uint64_t hz = 1000000000; hz <= 5000000000; hz += 99991) {
		struct node_clock clock = node_clock_make(hz);

		expect_close(&clock, ten_years * hz, hz);
	}
}

static void
clock_ns__never_goes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct node_clock clock = node_clock_make(rates[i]);
		const uint64_t starts[] = {0, UINT32_MAX - 5000ull, 1ull << 53,
			ten_years * rates[i]};

		for (size_t k = 0; k < sizeof(starts) / sizeof(starts[0]); k++) {
			uint64_t last = node_clock_ns(&clock, starts[k]);

			for (uint64_t t = 1; t <= 10000; t++) {
				uint64_t ns = node_clock_ns(&clock, starts[k] + t);

				/* At 1 GHz and more a tick is a nanosecond at most. */
				assert_true(ns == last || ns == last + 1);
				last = ns;
			}
		}
	}
}

static void
clock_now__goes_on(void **state)
{
	struct node_clock clock = node_clock_make(2000000000);
	uint64_t last = node_clock_now(&clock);

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t now = node_clock_now(&clock);

		assert_true(now >= last);
		last = now;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock_ns__exact_to_1_ns_per_s_over_ten_years),
		cmocka_unit_test(clock_ns__never_goes_back),
		cmocka_unit_test(clock_now__goes_on),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
