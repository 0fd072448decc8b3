/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ccm.h"
#include "ccm_directory.h"
#include "ccm_record.h"

typedef const char *(*name_fn)(int value);

static const char *
state(int v)
{
	return ccm_state_name((enum ccm_state)v);
}

static const char *
reason(int v)
{
	return ccm_reason_name((enum ccm_reason)v);
}

static const char *
role(int v)
{
	return ccm_role_name((enum ccm_role)v);
}

static const char *
step(int v)
{
	return ccm_step_name((enum ccm_step)v);
}

static const char *
client_state(int v)
{
	return ccm_client_state_name((enum ccm_client_state)v);
}

static const char *
record_verdict(int v)
{
	return ccm_record_verdict_name((enum ccm_record_verdict)v);
}

static const char *
directory_verdict(int v)
{
	return ccm_directory_verdict_name((enum ccm_directory_verdict)v);
}

static const struct {
	name_fn fn;
	int count;
} tables[] = {
	{state, CCM_STATE_COUNT},
	{reason, CCM_REASON_COUNT},
	{role, CCM_ROLE_COUNT},
	{step, CCM_STEP_COUNT},
	{client_state, CCM_CLIENT_STATE_COUNT},
	{record_verdict, CCM_RECORD_VERDICT_COUNT},
	{directory_verdict, CCM_DIRECTORY_VERDICT_COUNT},
};
enum { N_TABLES = sizeof(tables) / sizeof(tables[0]) };

static void
names__every_value_has_one_of_its_own(void **st)
{
	(void)st;
	for (int t = 0; t < N_TABLES; t++) {
		for (int i = 0; i < tables[t].count; i++) {
			const char *name = tables[t].fn(i);

			assert_string_not_equal(name, "unknown");
			assert_string_not_equal(name, "");
			assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
			for (int k = 0; k < i; k++)
				assert_string_not_equal(name, tables[t].fn(k));
		}
	}
}

static void
names__out_of_range_is_unknown(void **st)
{
	(void)st;
	for (int t = 0; t < N_TABLES; t++) {
		assert_string_equal(tables[t].fn(tables[t].count), "unknown");
		assert_string_equal(tables[t].fn(255), "unknown");
		assert_string_equal(tables[t].fn(-1), "unknown");
		assert_string_equal(tables[t].fn(INT32_MAX), "unknown");
		assert_string_equal(tables[t].fn(INT32_MIN), "unknown");
	}
}

static void
names__spelling(void **st)
{
	(void)st;
	assert_string_equal(ccm_state_name(CCM_SEARCH), "search");
	assert_string_equal(ccm_state_name(CCM_LEAVING), "leaving");
	assert_string_equal(ccm_reason_name(CCM_REASON_NONE), "none");
	assert_string_equal(ccm_reason_name(CCM_REASON_PARTNER_WENT_BACK), "partner_went_back");
	assert_string_equal(ccm_reason_name(CCM_REASON_PORT_ERROR), "port_error");
	assert_string_equal(ccm_role_name(CCM_ROLE_APPLICATION), "application");
	assert_string_equal(ccm_step_name(CCM_STEP_READ1), "read_one");
	assert_string_equal(ccm_step_name(CCM_STEP_READY), "ready");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names__every_value_has_one_of_its_own),
		cmocka_unit_test(names__out_of_range_is_unknown),
		cmocka_unit_test(names__spelling),
	};

	return cmocka_run_group_tests_name("ccm_names", tests, NULL, NULL);
}
