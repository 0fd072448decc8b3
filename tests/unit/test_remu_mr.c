/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "wire.h"

#include <remu_priv.h>

#include <errno.h>

enum { RKEY = 0x100, LEN = 4096, RO = REMU_ACCESS_REMOTE_READ, WO = REMU_ACCESS_REMOTE_WRITE };

static uint8_t memory[LEN];

static struct remu_mr_config
region(uint64_t va, uint64_t length, uint32_t rkey)
{
	return (struct remu_mr_config){
		.addr = memory,
		.va = va,
		.length = length,
		.rkey = rkey,
		.pd = WIRE_PD,
		.access = RO | WO,
	};
}

static void
remu_mr_register__checks_its_arguments(void **state)
{
	struct bench *b = *state;
	struct {
		struct remu_mr_config cfg;
		int rc;
	} cases[] = {
		{region(0, LEN, 0), -EINVAL},
		{region(0, 0, 1), -EINVAL},
		{region(2, UINT64_MAX, 1), -EINVAL},
		{region(UINT64_MAX, 2, 1), -EINVAL},
		{region(0x1000, LEN, 1), 0},
		{region(0x9000, LEN, 1), -EEXIST},
		{region(UINT64_MAX, 1, 2), 0}, /* ends at 2^64, does not wrap */
		{region(0, UINT64_MAX, 3), 0},
	};
	struct remu_mr_config no_addr = region(0, LEN, 1);

	no_addr.addr = NULL;
	assert_int_equal(remu_mr_register(b->e, &no_addr), -EINVAL);
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		assert_int_equal(remu_mr_register(b->e, &cases[i].cfg), cases[i].rc);
	cases[4].cfg.pd++; /* the same key in another domain */
	assert_int_equal(remu_mr_register(b->e, &cases[4].cfg), 0);
}

static void
remu_mr_register__fills_up_and_starts_again(void **state)
{
	struct bench *b = *state;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 1; i <= 8; i++) {
			struct remu_mr_config cfg = region(0, LEN, i);

			assert_int_equal(remu_mr_register(b->e, &cfg), 0);
		}
		assert_int_equal(remu_mr_register(b->e,
					 &(struct remu_mr_config){.addr = memory,
						 .length = 1,
						 .rkey = 9}),
			-ENOSPC);
		for (uint32_t i = 1; i <= 8; i++) {
			assert_int_equal(remu_mr_deregister(b->e, WIRE_PD + 1, i), -ENOENT);
			assert_int_equal(remu_mr_deregister(b->e, WIRE_PD, i), 0);
			assert_int_equal(remu_mr_deregister(b->e, WIRE_PD, i), -ENOENT);
		}
	}
}

static void
remu__mr_find__grants_what_is_inside(void **state)
{
	static const uint64_t top = UINT64_MAX - LEN + 1; /* the last region ends at 2^64 */
	static const struct {
		uint64_t va, length;
		uint64_t base;
		bool ok;
	} cases[] = {
		{0x1000, LEN, 0x1000, true},
		{0x1000, 1, 0x1000, true},
		{0x1000 + LEN - 1, 1, 0x1000, true},
		{0xfff, 1, 0x1000, false},
		{0xfff, LEN, 0x1000, false},
		{0x1000 + LEN, 1, 0x1000, false},
		{0x1000 + LEN - 1, 2, 0x1000, false},
		{0x1001, LEN, 0x1000, false},
		{0x1000, LEN + 1, 0x1000, false},
		{0, LEN, 0x1000, false},
		{UINT64_MAX, 2, 0x1000, false},
		{UINT64_MAX - 3, 0x1000 + 8, 0x1000, false},
		{UINT64_MAX - 3, 8, 0, false},
		{0x1000, UINT64_MAX, 0x1000, false},
		{0, LEN, 0, true},
		{UINT64_MAX, 1, 0, false},
		{top, LEN, top, true},
		{UINT64_MAX, 1, top, true},
		{UINT64_MAX, 2, top, false},
		{0, 1, top, false},
		{top - 1, 1, top, false},
	};
	struct bench *b = *state;

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct remu_mr_config cfg = region(cases[i].base, LEN, RKEY);
		const struct remu_mr *mr;

		assert_int_equal(remu_mr_register(b->e, &cfg), 0);
		mr = remu__mr_find(b->e, WIRE_PD, RKEY, cases[i].va, cases[i].length, RO);
		if ((mr != NULL) != cases[i].ok)
			fail_msg("case %zu", i);
		if (mr != NULL)
			assert_ptr_equal(remu__mr_addr(mr, cases[i].va),
				memory + (cases[i].va - cases[i].base));
		assert_int_equal(remu_mr_deregister(b->e, WIRE_PD, RKEY), 0);
	}
}

static void
remu__mr_find__checks_key_domain_and_rights(void **state)
{
	static const struct {
		uint32_t rkey, pd, granted, wanted;
		bool ok;
	} cases[] = {
		{RKEY, WIRE_PD, RO | WO, RO, true},
		{RKEY, WIRE_PD, RO | WO, RO | WO, true},
		{RKEY, WIRE_PD, RO, RO, true},
		{RKEY, WIRE_PD, RO, WO, false},
		{RKEY, WIRE_PD, WO, RO, false},
		{RKEY, WIRE_PD, WO, RO | WO, false},
		{RKEY, WIRE_PD, 0, RO, false},
		{RKEY + 1, WIRE_PD, RO, RO, false},
		{RKEY, WIRE_PD + 1, RO, RO, false},
		{RKEY, 0, RO, RO, false},
		{0, WIRE_PD, RO, RO, false},
	};
	struct bench *b = *state;

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct remu_mr_config cfg = region(0, LEN, RKEY);

		cfg.access = cases[i].granted;
		assert_int_equal(remu_mr_register(b->e, &cfg), 0);
		if ((remu__mr_find(b->e, cases[i].pd, cases[i].rkey, 0, 1, cases[i].wanted) !=
			    NULL) != cases[i].ok)
			fail_msg("case %zu", i);
		assert_int_equal(remu_mr_deregister(b->e, WIRE_PD, RKEY), 0);
	}
}

/* A region that was revoked, and perhaps registered again at the same place, is another one. */
static void
remu_mr_deregister__changes_the_generation(void **state)
{
	struct bench *b = *state;
	struct remu_mr_config cfg = region(0, LEN, RKEY);
	const struct remu_mr *mr;
	uint32_t generation;

	assert_int_equal(remu_mr_register(b->e, &cfg), 0);
	mr = remu__mr_find(b->e, WIRE_PD, RKEY, 0, 1, RO);
	assert_non_null(mr);
	generation = mr->generation;
	assert_int_equal(remu_mr_deregister(b->e, WIRE_PD, RKEY), 0);
	assert_int_not_equal(mr->generation, generation);
	assert_null(remu__mr_find(b->e, WIRE_PD, RKEY, 0, 1, RO));
	assert_int_equal(remu_mr_register(b->e, &cfg), 0);
	assert_ptr_equal(remu__mr_find(b->e, WIRE_PD, RKEY, 0, 1, RO), mr);
	assert_int_not_equal(mr->generation, generation);
}

static int
setup(void **state)
{
	static struct bench bench;

	bench_open(&bench, &(struct wire_config){0});
	*state = &bench;
	return 0;
}

static int
teardown(void **state)
{
	bench_close(*state);
	return 0;
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(remu_mr_register__checks_its_arguments),
		TEST(remu_mr_register__fills_up_and_starts_again),
		TEST(remu__mr_find__grants_what_is_inside),
		TEST(remu__mr_find__checks_key_domain_and_rights),
		TEST(remu_mr_deregister__changes_the_generation),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
