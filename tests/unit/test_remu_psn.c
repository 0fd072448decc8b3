/* SPDX-License-Identifier: BSD-3-Clause */
#include "frame_maker.h"
#include <remu_psn.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { HALF = 1 << 23, WHOLE = 1 << 24, ROUNDS = 100000 };

static void
remu_psn_add__wraps_at_24_bits(void **state)
{
	static const struct {
		uint32_t a, n, sum;
	} cases[] = {
		{0, 0, 0},
		{0, 1, 1},
		{0xffffff, 0, 0xffffff},
		{0xffffff, 1, 0},
		{0xffffff, 2, 1},
		{0xfffff0, 0x20, 0x10},
		{0x800000, 0x800000, 0},
		{0xffffff, 0xffffff, 0xfffffe},
		{5, WHOLE, 5},
		{5, UINT32_MAX, 4}, /* minus one */
		{0, UINT32_MAX, 0xffffff},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(remu_psn_add(cases[i].a, cases[i].n), cases[i].sum);
}

static void
remu_psn_diff__is_signed_distance(void **state)
{
	static const struct {
		uint32_t a, b;
		int32_t diff;
	} cases[] = {
		{0, 0, 0},
		{0xffffff, 0xffffff, 0},
		{1, 0, 1},
		{0, 1, -1},
		{0, 0xffffff, 1},
		{0xffffff, 0, -1},
		{0x10, 0xfffff0, 0x20},
		{0xfffff0, 0x10, -0x20},
		{0x800000, 0x7fffff, 1},
		{0x7fffff, 0, HALF - 1},
		{0, 0x7fffff, 1 - HALF},
		{0x800000, 0, -HALF},
		{0, 0x800000, -HALF},
		{0x7ffffe, 0xffffff, HALF - 1},
		{0x7fffff, 0xffffff, -HALF},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(remu_psn_diff(cases[i].a, cases[i].b), cases[i].diff);
}

static void
remu_psn_diff__agrees_with_wide_arithmetic(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t a = prng_below(&seed, WHOLE), b = prng_below(&seed, WHOLE);
		int64_t want = (int64_t)a - b;

		if (want >= HALF)
			want -= WHOLE;
		if (want < -HALF)
			want += WHOLE;
		assert_int_equal(remu_psn_diff(a, b), want);
	}
}

static void
remu_psn_diff__undoes_add(void **state)
{
	uint64_t seed = 2;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t a = prng_below(&seed, WHOLE), n = prng_below(&seed, HALF);
		uint32_t sum = remu_psn_add(a, n);

		assert_in_range(sum, 0, WHOLE - 1);
		assert_int_equal(remu_psn_diff(sum, a), n);
		assert_int_equal(remu_psn_diff(a, sum), -(int32_t)n);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remu_psn_add__wraps_at_24_bits),
		cmocka_unit_test(remu_psn_diff__is_signed_distance),
		cmocka_unit_test(remu_psn_diff__agrees_with_wide_arithmetic),
		cmocka_unit_test(remu_psn_diff__undoes_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
