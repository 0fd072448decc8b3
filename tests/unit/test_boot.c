/* SPDX-License-Identifier: BSD-3-Clause */
/* The boot stages of a node: told from outside, or by the script. */
#include <boot.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static struct node_config cfg;
static struct node_boot boot;

static void
given(uint32_t n, uint64_t now)
{
	static const struct node_boot_stage stages[] = {
		{"firmware", 100, 50, 20},
		{"kernel", 0, 30, 0},
		{"mount", 1000, 0, 10},
		{"running", 0, 5, 0},
	};

	memset(&cfg, 0, sizeof(cfg));
	memcpy(cfg.boot_stages, stages, n * sizeof(stages[0]));
	cfg.n_boot_stages = n;
	node_boot_init(&boot, &cfg, now);
}

static void
expect(uint32_t stage, const char *name, uint32_t progress, uint32_t budget_ms)
{
	struct ccm_boot_status st;

	node_boot_status(&boot, &st);
	assert_int_equal(st.stages, cfg.n_boot_stages);
	assert_int_equal(st.stage, stage);
	assert_string_equal(st.name, name);
	assert_int_equal(st.progress, progress);
	assert_int_equal(st.budget_ms, budget_ms);
}

static void
no_stages(void **state)
{
	(void)state;
	given(0, 5);
	expect(0, "", 0, 0);
	assert_false(node_boot_poll(&boot, 1000 * MS));
	assert_int_equal(node_boot_request(&boot, "firmware", 0), -ENOENT);
	assert_int_equal(node_boot_request(&boot, "", 0), -ENOENT);
	expect(0, "", 0, 0);
}

static void
script__goes_from_stage_to_stage(void **state)
{
	static const struct {
		uint64_t ms;
		bool changes;
		uint32_t stage;
		uint32_t progress;
	} steps[] = {
		{0, false, 1, 0}, {19, false, 1, 0}, {20, true, 1, 1}, {39, false, 1, 1},
		{40, true, 1, 2}, {50, true, 2, 0}, {79, false, 2, 0}, {80, true, 3, 0},
		{89, false, 3, 0}, {90, true, 3, 1}, {5000, true, 3, 2}, /* until told */
	};

	(void)state;
	given(4, 7 * MS);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_int_equal(node_boot_poll(&boot, (7 + steps[i].ms) * MS), steps[i].changes);
		expect(steps[i].stage, cfg.boot_stages[steps[i].stage - 1].name, steps[i].progress,
			cfg.boot_stages[steps[i].stage - 1].budget_ms);
	}
}

static void
request__ends_the_script(void **state)
{
	(void)state;
	given(4, 0);
	assert_int_equal(node_boot_request(&boot, "kernel", 8), 0);
	assert_int_equal(node_boot_request(&boot, "mount", 9), 0); /* the latest counts */
	assert_int_equal(node_boot_request(&boot, "moun", 1), -ENOENT);
	expect(1, "firmware", 0, 100);
	assert_true(node_boot_poll(&boot, MS));
	expect(3, "mount", 9, 1000);
	assert_false(node_boot_poll(&boot, 10000 * MS));
	assert_int_equal(node_boot_request(&boot, "firmware", UINT32_MAX), 0);
	assert_true(node_boot_poll(&boot, 10001 * MS));
	expect(1, "firmware", UINT32_MAX, 100);
	assert_false(node_boot_poll(&boot, 20000 * MS));
}

static void
script__stays_in_the_last_stage(void **state)
{
	(void)state;
	given(4, 0);
	assert_int_equal(node_boot_request(&boot, "running", 0), 0);
	assert_true(node_boot_poll(&boot, 1));
	assert_false(node_boot_poll(&boot, 1000 * MS));
	expect(4, "running", 0, 0);
	given(1, 0); /* one stage: it is the last */
	assert_false(node_boot_poll(&boot, 19 * MS));
	assert_true(node_boot_poll(&boot, 60 * MS));
	expect(1, "firmware", 1, 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_stages),
		cmocka_unit_test(script__goes_from_stage_to_stage),
		cmocka_unit_test(request__ends_the_script),
		cmocka_unit_test(script__stays_in_the_last_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
