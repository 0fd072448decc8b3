/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "frame_maker.h"
#include <remu_table.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SPACE = 4096, OPS = 200000 };

static void
remu_table_add__fills_up_and_refuses(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 8, 100, 1000};

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct remu_table t;
		uint32_t n = 0;

		assert_int_equal(remu_table_init(&t, sizes[s], -1), 0);
		while (remu_table_add(&t, (uint64_t)n << 32 | 5, n) == 0)
			n++;
		assert_in_range(n, sizes[s], 2 * sizes[s]);
		assert_int_equal(remu_table_add(&t, 1, 0), -ENOSPC);
		assert_int_equal(remu_table_add(&t, 5, 0), -EEXIST);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(remu_table_find(&t, (uint64_t)i << 32 | 5), i);
		assert_int_equal(remu_table_find(&t, 1), REMU_TABLE_NONE);
		remu_table_remove(&t, 5);
		assert_int_equal(remu_table_add(&t, 1, 77), 0);
		assert_int_equal(remu_table_find(&t, 1), 77);
		remu_table_free(&t);
	}
}

/* Keys that all want the same slot of a table of 16, at the end of the array: chains wrap. */
static void
remu_table_remove__keeps_the_rest_of_a_chain_found(void **state)
{
	uint64_t keys[8];
	uint32_t n = 0;

	(void)state;
	for (uint32_t victim = 0; victim < 8; victim++) {
		struct remu_table t;

		assert_int_equal(remu_table_init(&t, 8, -1), 0);
		n = 0;
		for (uint64_t key = 0; n < 8; key++) {
			/* Five share the last but one slot, three the first. */
			if (remu_table_home(&t, key) == (n < 5 ? t.mask - 1 : 0))
				keys[n++] = key;
		}
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(remu_table_add(&t, keys[i], i), 0);
		remu_table_remove(&t, keys[victim]);
		remu_table_remove(&t, keys[victim]); /* nothing there any more: harmless */
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(remu_table_find(&t, keys[i]),
				i == victim ? REMU_TABLE_NONE : i);
		assert_int_equal(t.used, n - 1);
		remu_table_free(&t);
	}
}

static void
remu_table__agrees_with_a_plain_array(void **state)
{
	static uint32_t model[SPACE]; /* index plus one by key */
	uint64_t seed = 1;
	struct remu_table t;
	uint32_t used = 0;

	(void)state;
	assert_int_equal(remu_table_init(&t, 256, -1), 0);
	for (uint32_t i = 0; i < OPS; i++) {
		/* Few keys at first: collisions and repetitions; then many: full. */
		uint32_t k = prng_below(&seed, i < OPS / 2 ? 300 : SPACE);
		uint64_t key = (uint64_t)(k & 15) << 32 | k;

		if (prng_below(&seed, 5) < 3) {
			int want = model[k] != 0 ? -EEXIST : used == 256 ? -ENOSPC : 0;

			assert_int_equal(remu_table_add(&t, key, i), want);
			if (want == 0) {
				model[k] = i + 1;
				used++;
			}
		} else {
			remu_table_remove(&t, key);
			used -= model[k] != 0;
			model[k] = 0;
		}
		k = prng_below(&seed, SPACE);
		assert_int_equal(remu_table_find(&t, (uint64_t)(k & 15) << 32 | k),
			model[k] - 1); /* REMU_TABLE_NONE is -1 */
	}
	remu_table_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remu_table_add__fills_up_and_refuses),
		cmocka_unit_test(remu_table_remove__keeps_the_rest_of_a_chain_found),
		cmocka_unit_test(remu_table__agrees_with_a_plain_array),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
