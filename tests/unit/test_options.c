/* SPDX-License-Identifier: BSD-3-Clause */
/* Command line of ccm-node: what is EAL's, what is ours, and what is refused. */
#include "config.h"
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DATA SOURCE_ROOT "/tests/data/config/"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LEVELS "allowed: error, warning, notice, info or debug"

/* Split a line at blanks; "''" is an empty argument. */
static int
split_line(char *line, char **argv, int max)
{
	static char program[] = "ccm-node";
	char *word, *rest = line;
	int argc = 0;

	argv[argc++] = program;
	while ((word = strsep(&rest, " ")) != NULL && argc < max) {
		if (word[0] != '\0')
			argv[argc++] = strcmp(word, "''") == 0 ? word + 2 : word;
	}
	argv[argc] = NULL;
	return argc;
}

static int
parse(const char *text, struct node_options *opt, char *err)
{
	static char line[512];
	char *argv[32], *copy[32];
	int argc, rc;

	snprintf(line, sizeof(line), "%s", text);
	argc = split_line(line, argv, 31);
	memcpy(copy, argv, sizeof(copy));
	memset(opt, 0xa5, sizeof(*opt));
	rc = node_options_parse(argc, argv, opt, err, NODE_OPTIONS_ERROR_LEN);
	assert_memory_equal(argv, copy, ((size_t)argc + 1) * sizeof(argv[0]));
	return rc;
}

static void
parse__good(void **state)
{
	static const struct {
		const char *line;
		enum node_action action;
		const char *config;
		bool idle; /* --no-exercise */
		int log_level;
		int eal_argc;
	} rows[] = {
		{"--help", NODE_HELP, NULL, false, -1, 1},
		{"--version", NODE_VERSION, NULL, false, -1, 1},
		{"--check-config a.json", NODE_CHECK, "a.json", false, -1, 1},
		{"--check-config=a.json", NODE_CHECK, "a.json", false, -1, 1},
		{"--print-config a.json", NODE_PRINT, "a.json", false, -1, 1},
		{"-l 0-1 -- --print-config=a.json", NODE_PRINT, "a.json", false, -1, 3},
		{"--config a.json", NODE_RUN, "a.json", false, -1, 1},
		{"--config=a=b", NODE_RUN, "a=b", false, -1, 1},
		{"--config --help", NODE_RUN, "--help", false, -1, 1},
		{"--config a.json --no-exercise --log-level debug", NODE_RUN, "a.json", true,
			NODE_LOG_DEBUG, 1},
		{"--config a.json --log-level=error", NODE_RUN, "a.json", false, NODE_LOG_ERROR, 1},
		{"--config a.json --log-level warning", NODE_RUN, "a.json", false, NODE_LOG_WARNING,
			1},
		{"--config a.json --log-level notice", NODE_RUN, "a.json", false, NODE_LOG_NOTICE,
			1},
		{"--config a.json --log-level info", NODE_RUN, "a.json", false, NODE_LOG_INFO, 1},
		{"-- --config a.json", NODE_RUN, "a.json", false, -1, 1},
		{"-l 0-1 --no-huge -- --config a.json", NODE_RUN, "a.json", false, -1, 4},
		{"-l 0-1 -- --check-config a.json", NODE_CHECK, "a.json", false, -1, 3},
		{"-l 0-1 -- --help", NODE_HELP, NULL, false, -1, 3},
		{"-l 0-1 -- --version", NODE_VERSION, NULL, false, -1, 3},
		/* what EAL understands too is left to it */
		{"--help -- --config a.json", NODE_RUN, "a.json", false, -1, 2},
		{"--log-level lib.eal:8 -- --config a.json", NODE_RUN, "a.json", false, -1, 3},
		{"--configure -- --config a.json", NODE_RUN, "a.json", false, -1, 2},
	};
	char err[NODE_OPTIONS_ERROR_LEN];
	struct node_options opt;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		assert_int_equal(parse(rows[i].line, &opt, err), 0);
		assert_string_equal(err, "");
		assert_int_equal(opt.action, rows[i].action);
		assert_int_equal(opt.config != NULL, rows[i].config != NULL);
		if (opt.config != NULL)
			assert_string_equal(opt.config, rows[i].config);
		assert_int_equal(opt.exercise, !rows[i].idle);
		assert_int_equal(opt.log_level, rows[i].log_level);
		assert_int_equal(opt.eal_argc, rows[i].eal_argc);
	}
}

static void
parse__bad(void **state)
{
	static const struct {
		const char *line;
		const char *error;
	} rows[] = {
		{"", "--config FILE is missing; see --help"},
		{"--", "--config FILE is missing; see --help"},
		{"-l 0-1 --", "--config FILE is missing; see --help"},
		{"--no-exercise", "--config FILE is missing; see --help"},
		{"--config", "--config needs a value"},
		{"-l 0 -- --config", "--config needs a value"},
		{"--check-config", "--check-config needs a value"},
		{"--print-config", "--print-config needs a value"},
		{"--print-config=", "--print-config: name of the configuration file is empty"},
		{"--print-config a --check-config b",
			"configuration file \"b\" is one too many; allowed: one"},
		{"-l 0 --print-config a --",
			"--print-config belongs after \"--\"; before it are EAL arguments"},
		{"--config ''", "--config: name of the configuration file is empty"},
		{"--check-config=", "--check-config: name of the configuration file is empty"},
		{"--config a --config b", "configuration file \"b\" is one too many; allowed: one"},
		{"--config a --check-config b",
			"configuration file \"b\" is one too many; allowed: one"},
		{"--help=yes", "--help takes no value"},
		{"--no-exercise=1", "--no-exercise takes no value"},
		{"--log-level", "--log-level needs a value"},
		{"--config a --log-level loud", "--log-level: \"loud\" is unknown; " LEVELS},
		{"--config a --log-level ''", "--log-level: \"\" is unknown; " LEVELS},
		{"-l 0-1 --config a.json",
			"unknown option \"-l\"; see --help; EAL arguments are "
			"followed by \"--\""},
		{"-- --conf a.json", "unknown option \"--conf\"; see --help"},
		{"-l 0 -- --verbose", "unknown option \"--verbose\"; see --help"},
		{"-l 0 -- --config a extra", "unknown option \"extra\"; see --help"},
		{"-- --config a --", "unknown option \"--\"; see --help"},
		{"-- --\x1b[31m\n", "unknown option \"--\\x1b[31m\\x0a\"; see --help"},
		{"-- --bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
			"unknown option "
			"\"--bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
			"...\"; see --help"},
		{"--config a.json -- --help",
			"--config belongs after \"--\"; before it are EAL arguments"},
		{"-l 0 --check-config=a --",
			"--check-config belongs after \"--\"; before it are EAL arguments"},
		{"--no-exercise -- --config a",
			"--no-exercise belongs after \"--\"; before it are EAL arguments"},
	};
	char err[NODE_OPTIONS_ERROR_LEN];
	struct node_options opt;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		assert_int_equal(parse(rows[i].line, &opt, err), -EINVAL);
		assert_string_equal(err, rows[i].error);
	}
}

static void
parse__pcap(void **state)
{
	static const struct {
		const char *line, *file;
		uint64_t bytes;
		const char *error; /* NULL: none */
	} rows[] = {
		{"--config a", "", 64 << 20, NULL},
		{"--config a --pcap x.pcapng", "x.pcapng", 64 << 20, NULL},
		{"--config a --pcap=/tmp/x,1MiB", "/tmp/x", 1 << 20, NULL},
		{"--config a --pcap x,y,262144", "x,y", 262144, NULL},
		{"--config a --pcap x,1TiB", "x", UINT64_C(1) << 40, NULL},
		{"--config a --pcap", NULL, 0, "--pcap needs a value"},
		{"--config a --pcap ''", NULL, 0,
			"--pcap: name of the file is empty or too long: \"\""},
		{"--config a --pcap ,1MiB", NULL, 0,
			"--pcap: name of the file is empty or too long: \",1MiB\""},
		{"--config a --pcap x,y", NULL, 0,
			"--pcap: \"y\" is not a number of bytes or a size such as 64MiB"},
		{"--config a --pcap x,", NULL, 0,
			"--pcap: \"\" is not a number of bytes or a size such as 64MiB"},
		{"--config a --pcap x,255KiB", NULL, 0,
			"--pcap: size 255KiB is out of range; allowed: 256KiB to 1TiB"},
		{"--config a --pcap x,2TiB", NULL, 0,
			"--pcap: size 2TiB is out of range; allowed: 256KiB to 1TiB"},
		{"--config a --pcap x --pcap y", NULL, 0,
			"--pcap: \"y\" is one too many; allowed: one"},
		{"--pcap x -- --config a", NULL, 0,
			"--pcap belongs after \"--\"; before it are EAL arguments"},
	};
	char err[NODE_OPTIONS_ERROR_LEN];
	struct node_options opt;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int rc = parse(rows[i].line, &opt, err);

		assert_string_equal(err, rows[i].error != NULL ? rows[i].error : "");
		assert_int_equal(rc, rows[i].error != NULL ? -EINVAL : 0);
		if (rc != 0)
			continue;
		assert_string_equal(opt.pcap, rows[i].file);
		assert_int_equal(opt.pcap_bytes, rows[i].bytes);
	}
}

/* No argument at all, not even the program's name. */
static void
parse__no_argv(void **state)
{
	char *argv[] = {NULL}, err[NODE_OPTIONS_ERROR_LEN];
	struct node_options opt;

	(void)state;
	assert_int_equal(node_options_parse(0, argv, &opt, err, sizeof(err)), -EINVAL);
	assert_string_equal(err, "--config FILE is missing; see --help");
}

static int
act(const struct node_options *opt, char **out, char **err)
{
	size_t out_len, err_len;
	FILE *o = open_memstream(out, &out_len), *e = open_memstream(err, &err_len);
	int rc = node_options_act(opt, o, e);

	fclose(o);
	fclose(e);
	return rc;
}

static void
act__all(void **state)
{
	static const struct {
		struct node_options opt;
		int status;
		const char *out; /* begins with */
		const char *err; /* is */
	} rows[] = {
		{{.action = NODE_RUN, .config = "missing.json"}, -1, "", ""},
		{{.action = NODE_VERSION}, 0, "ccm-node " PROGRAM_VERSION "\n", ""},
		{{.action = NODE_HELP}, 0, "Usage: ccm-node [EAL arguments] -- --config FILE", ""},
		{{.action = NODE_CHECK, .config = DATA "good/minimal.json"}, 0,
			DATA
			"good/minimal.json: ok\n"
			"node 1 a of cluster lab, storage, 192.0.2.1; partners: 1; clients: 0; "
			"ports: 0; memory: 0 of 1GiB\n",
			""},
		{{.action = NODE_CHECK, .config = DATA "bad/mtu-575.json"}, 2, "",
			DATA "bad/mtu-575.json:3:66: port.mtu: 575 is out of range; "
			     "allowed: 576 to 9216\n"},
		{{.action = NODE_PRINT, .config = DATA "good/minimal.json"}, 0,
			"{\n  \"node\": {\n    \"id\": 1,\n    \"name\": \"a\",\n", ""},
		{{.action = NODE_PRINT, .config = DATA "bad/mtu-575.json"}, 2, "",
			DATA "bad/mtu-575.json:3:66: port.mtu: 575 is out of range; "
			     "allowed: 576 to 9216\n"},
		{{.action = NODE_CHECK, .config = "missing.json"}, 2, "",
			"missing.json: cannot open: No such file or directory\n"},
	};
	char *out, *err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		assert_int_equal(act(&rows[i].opt, &out, &err), rows[i].status);
		assert_string_equal(err, rows[i].err);
		if (rows[i].out[0] == '\0')
			assert_string_equal(out, "");
		else
			assert_memory_equal(out, rows[i].out, strlen(rows[i].out));
		free(out);
		free(err);
	}
}

/* Every option is in the help, once. */
static void
act__help_is_complete(void **state)
{
	static const char *const names[] = {"\n  --config ", "\n  --check-config ",
		"\n  --print-config ", "\n  --no-exercise ", "\n  --pcap ", "\n  --log-level ",
		"\n  --help ", "\n  --version "};
	struct node_options opt = {.action = NODE_HELP};
	char *out, *err, *line;
	size_t i, lines = 0;

	(void)state;
	act(&opt, &out, &err);
	for (i = 0; i < COUNT(names); i++)
		assert_non_null(strstr(out, names[i]));
	for (line = out; (line = strstr(line, "\n  --")) != NULL; line++)
		lines++;
	assert_int_equal(lines, COUNT(names));
	free(out);
	free(err);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__good),
		cmocka_unit_test(parse__bad),
		cmocka_unit_test(parse__pcap),
		cmocka_unit_test(parse__no_argv),
		cmocka_unit_test(act__all),
		cmocka_unit_test(act__help_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
