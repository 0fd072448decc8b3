/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "frame_maker.h"
#include <remu_timer.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { COUNT = 97, OPS = 100000 };

/* The earliest of the model, the lowest index first; COUNT: none. */
static uint32_t
earliest(const uint64_t *model)
{
	uint32_t best = COUNT;

	for (uint32_t i = 0; i < COUNT; i++)
		if (model[i] != 0 && (best == COUNT || model[i] < model[best]))
			best = i;
	return best;
}

static void
remu_timers__agree_with_a_search(void **state)
{
	uint64_t model[COUNT] = {0}; /* deadline; 0: not armed */
	uint64_t seed = 1, now = 1;
	struct remu_timers t;

	(void)state;
	assert_int_equal(remu_timers_init(&t, COUNT, -1), 0);
	for (int op = 0; op < OPS; op++) {
		uint32_t i = prng_below(&seed, COUNT), first;

		switch (prng_below(&seed, 8)) {
		case 0:
			remu_timers_cancel(&t, i);
			model[i] = 0;
			break;
		case 1:
			now += prng_below(&seed, 20);
			while ((first = earliest(model)) != COUNT && model[first] <= now) {
				uint32_t got;

				assert_true(remu_timers_pop(&t, now, &got));
				assert_int_equal(got, first);
				assert_false(remu_timers_armed(&t, got));
				model[first] = 0;
			}
			assert_false(remu_timers_pop(&t, now, &i));
			break;
		default: /* few different deadlines: many ties */
			model[i] = now + prng_below(&seed, 32);
			remu_timers_set(&t, i, model[i]);
			break;
		}
		first = earliest(model);
		assert_int_equal(remu_timers_next(&t), first == COUNT ? UINT64_MAX : model[first]);
		i = prng_below(&seed, COUNT);
		assert_int_equal(remu_timers_armed(&t, i), model[i] != 0);
	}
	remu_timers_free(&t);
}

static void
remu_timers_pop__breaks_ties_by_index(void **state)
{
	struct remu_timers t;
	uint32_t got;

	(void)state;
	assert_int_equal(remu_timers_init(&t, COUNT, -1), 0);
	assert_false(remu_timers_pop(&t, UINT64_MAX, &got));
	for (uint32_t i = 0; i < COUNT; i++)
		remu_timers_set(&t, i * 31 % COUNT, 1000);
	assert_false(remu_timers_pop(&t, 999, &got));
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_true(remu_timers_pop(&t, 1000, &got));
		assert_int_equal(got, i);
	}
	assert_int_equal(remu_timers_next(&t), UINT64_MAX);
	remu_timers_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remu_timers__agree_with_a_search),
		cmocka_unit_test(remu_timers_pop__breaks_ties_by_index),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
