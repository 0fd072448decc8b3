/* SPDX-License-Identifier: BSD-3-Clause */
/* Command line of ccm-bench: what it comes to, what is refused; and the frames of an operation. */
#include "bench_options.h"

#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct bench_options opt;
static char error[BENCH_ERROR_LEN];

/* EAL's arguments and ours, divided by blanks. */
static int
parse(const char *text)
{
	static char program[] = "ccm-bench", line[512];
	char *argv[64] = {program}, *word, *rest = line;
	int argc = 1;

	snprintf(line, sizeof(line), "%s", text);
	while ((word = strsep(&rest, " ")) != NULL && argc < 63)
		if (word[0] != '\0')
			argv[argc++] = word;
	memset(&opt, 0xa5, sizeof(opt));
	return bench_options_parse(argc, argv, &opt, error, sizeof(error));
}

static void
expect_good(const char *text)
{
	if (parse(text) != 0)
		fail_msg("%s: %s", text, error);
	assert_string_equal(error, "");
}

static void
parse__defaults(void **state)
{
	(void)state;
	expect_good("-l 0 --no-huge -- --config x.json");
	assert_int_equal(opt.eal_argc, 4);
	assert_int_equal(opt.task, BENCH_MEASURE);
	assert_string_equal(opt.config, "x.json");
	assert_string_equal(opt.client, "bench");
	assert_int_equal(opt.iterations, 100000);
	assert_true(opt.seconds == 0);
	assert_false(opt.cross);
	assert_null(opt.json);
	assert_int_equal(opt.n_points, 1);
	assert_int_equal(opt.points[0].op, BENCH_WRITE);
	assert_int_equal(opt.points[0].size, 64);
	assert_int_equal(opt.points[0].depth, 1);
}

static void
parse__one_point(void **state)
{
	(void)state;
	expect_good("--config=c --op read -s 4K -t 32 -n 5M --lcore-mode cross --client log "
		    "--json j --hgrm h --csv v --log-level debug");
	assert_int_equal(opt.eal_argc, 1);
	assert_int_equal(opt.points[0].op, BENCH_READ);
	assert_int_equal(opt.points[0].size, 4096);
	assert_int_equal(opt.points[0].depth, 32);
	assert_int_equal(opt.iterations, 5 << 20);
	assert_true(opt.cross);
	assert_string_equal(opt.client, "log");
	assert_string_equal(opt.json, "j");
	assert_string_equal(opt.hgrm, "h");
	assert_string_equal(opt.csv, "v");
	assert_int_equal(opt.log_level, NODE_LOG_DEBUG);
	expect_good("--config c --op atomic -s 64 -D 0.5 --lcore-mode same");
	assert_int_equal(opt.points[0].size, 8);
	assert_true(opt.seconds == 0.5);
	assert_int_equal(opt.iterations, 0);
}

static void
parse__all_sizes(void **state)
{
	(void)state;
	expect_good("--config c --op send -a -t 4");
	assert_int_equal(opt.n_points, 20);
	for (uint32_t i = 0; i < opt.n_points; i++) {
		assert_int_equal(opt.points[i].op, BENCH_SEND);
		assert_int_equal(opt.points[i].size, 2u << i);
		assert_int_equal(opt.points[i].depth, 4);
	}
}

static void
parse__points(void **state)
{
	(void)state;
	expect_good("--config c --point write:64:1 --point read:1M:4 --point atomic:1:64");
	assert_int_equal(opt.n_points, 3);
	assert_int_equal(opt.points[0].op, BENCH_WRITE);
	assert_int_equal(opt.points[1].op, BENCH_READ);
	assert_int_equal(opt.points[1].size, 1 << 20);
	assert_int_equal(opt.points[1].depth, 4);
	assert_int_equal(opt.points[2].size, 8);
	assert_int_equal(opt.points[2].depth, 64);
}

static void
parse__other_tasks(void **state)
{
	(void)state;
	expect_good("--config c --op handshake");
	assert_int_equal(opt.task, BENCH_HANDSHAKE);
	assert_int_equal(opt.iterations, 100);
	assert_false(opt.restart);
	expect_good("--config c --op handshake --restart");
	assert_true(opt.restart);
	expect_good("--config c --op failover -n 3");
	assert_int_equal(opt.task, BENCH_FAILOVER);
	assert_int_equal(opt.iterations, 3);
	expect_good("--config c --floor-peer");
	assert_int_equal(opt.task, BENCH_FLOOR_PEER);
	expect_good("--config c --op floor -s 100");
	assert_int_equal(opt.task, BENCH_FLOOR);
	assert_int_equal(opt.points[0].op, BENCH_FRAME);
	assert_int_equal(opt.points[0].size, 100);
	expect_good("--config c --like write --op floor -a");
	assert_int_equal(opt.task, BENCH_FLOOR);
	assert_int_equal(opt.n_points, 20);
	assert_int_equal(opt.points[19].op, BENCH_WRITE);
	expect_good("--config c --op floor --point frame:64:1 --point read:64:1");
	assert_int_equal(opt.points[0].op, BENCH_FRAME);
	expect_good("--help");
	assert_int_equal(opt.task, BENCH_HELP);
	expect_good("-h --op write");
	assert_int_equal(opt.task, BENCH_HELP);
	expect_good("--version");
	assert_int_equal(opt.task, BENCH_VERSION);
}

static void
parse__bad(void **state)
{
	static const struct {
		const char *line;
		const char *what; /* part of the message */
	} cases[] = {
		{"", "--config FILE is missing"},
		{"--config", "--config needs a value"},
		{"--config c --nonsense", "unknown option \"--nonsense\""},
		{"--config c extra", "unknown option \"extra\""},
		{"--config c --all=1", "--all takes no value"},
		{"--config c --op copy", "--op: \"copy\" is unknown; allowed: read, write"},
		{"--config c --op frame", "--op: \"frame\" is unknown"},
		{"--config c --like read", "--like is for --op floor"},
		{"--config c --op floor --like x", "--like: \"x\" is unknown; allowed: read"},
		{"--config c -s 1025M", "--size: \"1025M\" is out of range; allowed: 0 to 1024M"},
		{"--config c -s 1G", "--size: \"1G\""},
		{"--config c -s -1", "--size: \"-1\""},
		{"--config c -s 99999999999999999999999", "--size"},
		{"--config c -t 0", "--tx-depth: \"0\" is out of range; allowed: 1 to 64"},
		{"--config c -t 65", "--tx-depth: \"65\""},
		{"--config c -n 0", "--iters: \"0\""},
		{"--config c -n 1x", "--iters: \"1x\""},
		{"--config c -D 0", "--duration: \"0\" is out of range; allowed: 0.001 to 86400"},
		{"--config c -D nan", "--duration: \"nan\""},
		{"--config c -D 1s", "--duration: \"1s\""},
		{"--config c -D 1 -n 1", "-n and -D exclude each other"},
		{"--config c -a -s 1", "-a and -s exclude each other"},
		{"--config c --op handshake -D 1", "-D goes with neither"},
		{"--config c --restart", "--restart is for --op handshake"},
		{"--config c --lcore-mode none",
			"--lcore-mode: \"none\" is unknown; allowed: same"},
		{"--config c --log-level none", "--log-level: \"none\" is unknown; allowed: error"},
		{"--config c --point write:64", "--point: \"write:64\" is not understood"},
		{"--config c --point write:64:0", "--point: \"write:64:0\""},
		{"--config c --point write:64:1:1", "--point: \"write:64:1:1\""},
		{"--config c --point floor:64:1", "--point: \"floor:64:1\""},
		{"--config c --point averylongoperation:64:1", "--point: \"averylong"},
		{"--config c --point frame:64:1", "frames are for --op floor"},
		{"--config c --point write:64:1 -s 1", "--point goes with none of"},
		{"--config c --point write:64:1 --op read", "--point goes with none of"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(parse(cases[i].line), -EINVAL);
		if (strstr(error, cases[i].what) == NULL)
			fail_msg("%s: %s", cases[i].line, error);
		assert_null(strchr(error, '\n'));
	}
}

static void
parse__too_many_points(void **state)
{
	static char program[] = "ccm-bench", point[] = "--point=write:1:1", config[] = "--config=c";
	char *argv[BENCH_POINTS_MAX + 4] = {program, config};

	(void)state;
	for (int i = 0; i <= BENCH_POINTS_MAX; i++)
		argv[2 + i] = point;
	assert_int_equal(bench_options_parse(BENCH_POINTS_MAX + 2, argv, &opt, error,
				 sizeof(error)),
		0);
	assert_int_equal(bench_options_parse(BENCH_POINTS_MAX + 3, argv, &opt, error,
				 sizeof(error)),
		-EINVAL);
	assert_non_null(strstr(error, "too many measurements"));
}

static void
help__names_all(void **state)
{
	static const char *const names[] = {"--op", "-s, --size", "-a, --all", "-n, --iters",
		"-D, --duration", "-t, --tx-depth", "--lcore-mode", "--json", "--hgrm", "--csv"};
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	bench_options_help(out);
	fclose(out);
	for (size_t i = 0; i < COUNT(names); i++)
		assert_non_null(strstr(text, names[i]));
	free(text);
}

/* Lengths by the specification, in bytes without FCS; 58 is all but extended headers and payload. */
static void
frames__of_each_operation(void **state)
{
	static const struct {
		struct bench_point point;
		struct bench_burst out, back;
	} cases[] = {
		{{BENCH_WRITE, 64, 1}, {1, 138, 138, 138}, {1, 62, 62, 62}},
		{{BENCH_WRITE, 0, 1}, {1, 74, 74, 74}, {1, 62, 62, 62}},
		{{BENCH_WRITE, 1, 1}, {1, 78, 78, 78}, {1, 62, 62, 62}},
		{{BENCH_WRITE, 1024, 1}, {1, 1098, 1098, 1098}, {1, 62, 62, 62}},
		{{BENCH_WRITE, 2050, 1}, {3, 1098, 1082, 62}, {1, 62, 62, 62}},
		{{BENCH_READ, 64, 1}, {1, 74, 74, 74}, {1, 126, 126, 126}},
		{{BENCH_READ, 2048, 1}, {1, 74, 74, 74}, {2, 1086, 1082, 1086}},
		{{BENCH_SEND, 0, 1}, {1, 60, 60, 60}, {1, 62, 62, 62}},
		{{BENCH_SEND, 64, 1}, {1, 122, 122, 122}, {1, 62, 62, 62}},
		{{BENCH_ATOMIC, 8, 1}, {1, 86, 86, 86}, {1, 70, 70, 70}},
		{{BENCH_FRAME, 64, 1}, {1, 64, 64, 64}, {1, 64, 64, 64}},
		{{BENCH_FRAME, 1, 1}, {1, 60, 60, 60}, {1, 60, 60, 60}},
	};
	struct bench_burst out, back;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		bench_point_frames(&cases[i].point, 1024, &out, &back);
		assert_memory_equal(&out, &cases[i].out, sizeof(out));
		assert_memory_equal(&back, &cases[i].back, sizeof(back));
	}
	bench_point_frames(&cases[4].point, 1024, &out, &back);
	assert_int_equal(bench_burst_len(&out, 0), 1098);
	assert_int_equal(bench_burst_len(&out, 1), 1082);
	assert_int_equal(bench_burst_len(&out, 2), 62);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__defaults),
		cmocka_unit_test(parse__one_point),
		cmocka_unit_test(parse__all_sizes),
		cmocka_unit_test(parse__points),
		cmocka_unit_test(parse__other_tasks),
		cmocka_unit_test(parse__bad),
		cmocka_unit_test(parse__too_many_points),
		cmocka_unit_test(help__names_all),
		cmocka_unit_test(frames__of_each_operation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
