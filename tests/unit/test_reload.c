/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGHUP: what a running node takes over, what it refuses as a whole, and a control core that does not
 * come. Both threads are here: this one is the control core.
 */
#include "reload.h"

#include "background.h"
#include "log.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_S = 30 };

int app_logtype;
static char path[] = "/tmp/ccm-reload-XXXXXX";
static struct node_config live, before;
static struct node_reload reload;

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
write_file(const char *stages, const char *timing, const char *node)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fprintf(file,
		"{\"node\": {\"id\": 1, \"name\": \"a\", \"cluster\": \"lab\"%s},\n"
		"\"port\": {\"mac\": \"02:00:00:00:00:01\", \"ip\": \"192.0.2.1\"},\n"
		"\"bootstrap\": {\"va\": \"0x100000\", \"rkey\": 1},\n"
		"\"partners\": [{\"id\": 2, \"mac\": \"02:00:00:00:00:02\", \"ip\": \"192.0.2.2\","
		" \"qpn\": 2, \"remote_qpn\": 2, \"va\": \"0x100000\", \"rkey\": 1}],\n"
		"\"boot_stages\": [%s], \"timing\": {%s}}\n",
		node, stages, timing);
	fclose(file);
}

static void
start(const char *stages, const char *timing)
{
	struct node_config_error error;

	write_file(stages, timing, "");
	assert_int_equal(node_config_load(path, &live, &error), 0);
	before = live;
	reload = (struct node_reload){.path = NULL};
	assert_int_equal(node_reload_start(&reload, path, &live, now_ns), 0);
}

static void
end(void)
{
	node_reload_stop(&reload);
	assert_false(reload.started);
}

/* Ask, and play the control core until it is done with. Returns whether there was something to do. */
static bool
ask(struct node_reload_status *st, bool awake)
{
	uint64_t limit = now_ns() + PATIENCE_S * UINT64_C(1000000000);
	struct node_reload_status old;
	bool changed = false;

	node_reload_read(&reload, &old);
	kill(getpid(), SIGHUP);
	do {
		changed |= awake && node_reload_poll(&reload);
		node_reload_read(&reload, st);
		assert_true(now_ns() < limit);
		usleep(500);
	} while (st->count == old.count);
	assert_int_equal(st->count, old.count + 1);
	return changed;
}

#define A "{\"name\": \"x\", \"budget_ms\": 5}, {\"name\": \"y\"}"

static void
reload__applies(void **state)
{
	struct node_reload_status st;

	(void)state;
	start(A, "\"idle_sleep_us\": 50");
	node_reload_read(&reload, &st);
	assert_int_equal(st.result, NODE_RELOAD_NONE);
	assert_false(ask(&st, true));
	assert_int_equal(st.result, NODE_RELOAD_UNCHANGED);
	assert_memory_equal(&live, &before, sizeof(live));

	write_file("{\"name\": \"x\", \"budget_ms\": 7}, {\"name\": \"y\", \"script_ms\": 1}",
		"\"idle_sleep_us\": 60", ", \"log_level\": \"debug\"");
	assert_true(ask(&st, true));
	assert_int_equal(st.result, NODE_RELOAD_APPLIED);
	assert_string_equal(st.text,
		"node.log_level: \"info\" -> \"debug\"; boot_stages[0].budget_ms: 5 -> 7; "
		"boot_stages[1].script_ms: 0 -> 1; timing.idle_sleep_us: 50 -> 60");
	assert_int_equal(live.boot_stages[0].budget_ms, 7);
	assert_int_equal(live.boot_stages[1].script_ms, 1);
	assert_int_equal(live.idle_sleep_us, 60);
	assert_int_equal(live.log_level, NODE_LOG_DEBUG);
	assert_false(node_reload_poll(&reload));
	end();
}

/* One change too many, and nothing is taken over. */
static void
reload__refuses_as_a_whole(void **state)
{
	static const struct {
		const char *stages, *timing, *node, *text;
	} rows[] = {
		{A, "\"idle_sleep_us\": 60, \"beat_us\": 2000", "",
			"timing.beat_us: 1000 -> 2000 needs a restart"},
		{A, "\"idle_sleep_us\": 60", ", \"role\": \"application\"",
			"node.role: \"storage\" -> \"application\" needs a restart"},
		{"{\"name\": \"x\", \"budget_ms\": 9}", "\"idle_sleep_us\": 50", "",
			"boot_stages: 2 elements -> 1 needs a restart"},
		{"{\"name\": \"z\", \"budget_ms\": 9}, {\"name\": \"y\"}", "", "",
			"boot_stages[0].name: \"x\" -> \"z\" needs a restart"},
	};
	struct node_reload_status st;
	char text[PATH_MAX];

	(void)state;
	start(A, "\"idle_sleep_us\": 50");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file(rows[i].stages, rows[i].timing, rows[i].node);
		assert_false(ask(&st, true));
		assert_int_equal(st.result, NODE_RELOAD_REFUSED);
		assert_string_equal(st.text, rows[i].text);
		assert_memory_equal(&live, &before, sizeof(live));
	}
	write_file(A, "\"idle_sleep_us\": 60, \"beat\": 1", "");
	assert_false(ask(&st, true));
	assert_int_equal(st.result, NODE_RELOAD_REFUSED);
	snprintf(text, sizeof(text), "%s:5:", path);
	assert_int_equal(strncmp(st.text, text, strlen(text)), 0);
	assert_non_null(strstr(st.text, ": timing.beat: unknown key; allowed: beat_us, "));
	unlink(path);
	assert_false(ask(&st, true));
	assert_non_null(strstr(st.text, "No such file"));
	assert_memory_equal(&live, &before, sizeof(live));
	write_file(A, "\"idle_sleep_us\": 60", "");
	assert_true(ask(&st, true)); /* and yet it goes on */
	end();
}

/* The control core stands still: refused in the end, and what it finds later is nothing. */
static void
reload__control_core_does_not_come(void **state)
{
	struct node_reload_status st;

	(void)state;
	start(A, "\"idle_sleep_us\": 50");
	write_file(A, "\"idle_sleep_us\": 60", "");
	assert_false(ask(&st, false));
	assert_int_equal(st.result, NODE_RELOAD_REFUSED);
	assert_string_equal(st.text, "the control core stands still");
	assert_false(node_reload_poll(&reload));
	assert_memory_equal(&live, &before, sizeof(live));
	assert_true(ask(&st, true));
	end();
}

/* Ending does not wait for a control core that has ended already. */
static void
reload__stops_in_the_middle(void **state)
{
	uint64_t begin;

	(void)state;
	start(A, "\"idle_sleep_us\": 50");
	write_file(A, "\"idle_sleep_us\": 60", "");
	kill(getpid(), SIGHUP);
	usleep(100000);
	begin = now_ns();
	end();
	assert_true(now_ns() - begin < UINT64_C(4000000000));
	end(); /* twice is harmless */
}

/* Many changes: as many as there is room for are told, and all are made. */
static void
reload__many_changes(void **state)
{
	char stages[NODE_BOOT_STAGES_MAX * 100] = "", more[sizeof(stages)] = "";
	struct node_reload_status st;

	(void)state;
	for (int i = 0; i < NODE_BOOT_STAGES_MAX; i++) {
		size_t a = strlen(stages), b = strlen(more);

		snprintf(stages + a, sizeof(stages) - a, "%s{\"name\": \"s%d\"}", i > 0 ? "," : "",
			i);
		snprintf(more + b, sizeof(more) - b,
			"%s{\"name\": \"s%d\", \"budget_ms\": 86400000, \"script_ms\": 86400000}",
			i > 0 ? "," : "", i);
	}
	start(stages, "");
	write_file(more, "", "");
	assert_true(ask(&st, true));
	assert_int_equal(st.result, NODE_RELOAD_APPLIED);
	assert_in_range(strlen(st.text), NODE_RELOAD_TEXT_LEN - 100, NODE_RELOAD_TEXT_LEN - 1);
	for (int i = 0; i < NODE_BOOT_STAGES_MAX; i++)
		assert_int_equal(live.boot_stages[i].script_ms, 86400000);
	end();
}

static int
setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	rte_log_set_level(0, RTE_LOG_EMERG);
	background_init();
	node_reload_block_signal();
	return fd < 0 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(reload__applies),
		cmocka_unit_test(reload__refuses_as_a_whole),
		cmocka_unit_test(reload__control_core_does_not_come),
		cmocka_unit_test(reload__stops_in_the_middle),
		cmocka_unit_test(reload__many_changes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
