/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_options.h"

#include "config.h"
#include "quote.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	ITERATIONS = 100000,
	HANDSHAKES = 100,
	FAILOVERS = 10,
	ALL_FIRST = 2, /* bytes; -a */
	ALL_BITS = 20, /* the last one: 1 MiB */
	SECONDS_MAX = 86400,
	SIZE_DEFAULT = 64,
};

enum option_id {
	OPTION_CONFIG,
	OPTION_OP,
	OPTION_FLOOR_PEER,
	OPTION_LIKE,
	OPTION_SIZE,
	OPTION_ALL,
	OPTION_ITERATIONS,
	OPTION_DURATION,
	OPTION_DEPTH,
	OPTION_POINT,
	OPTION_RESTART,
	OPTION_LCORE_MODE,
	OPTION_CLIENT,
	OPTION_JSON,
	OPTION_HGRM,
	OPTION_CSV,
	OPTION_LOG_LEVEL,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_COUNT
};

static const struct {
	const char *name;
	const char *letter; /* NULL: none */
	const char *value;  /* what it is, for --help; NULL: takes none */
	const char *help;
} options[OPTION_COUNT] = {
	[OPTION_CONFIG] = {"--config", NULL, "FILE", "configuration of this node (JSON)"},
	[OPTION_OP] = {"--op", NULL, "OP",
		"read, write, send, atomic, handshake, failover or floor; default: write"},
	[OPTION_FLOOR_PEER] = {"--floor-peer", NULL, NULL, "be the other end of --op floor"},
	[OPTION_LIKE] = {"--like", NULL, "OP",
		"floor: the frames of this operation instead of one there and one back"},
	[OPTION_SIZE] = {"--size", "-s", "BYTES", "size of each operation; default: 64"},
	[OPTION_ALL] = {"--all", "-a", NULL, "all powers of two from 2 bytes to 1 MiB"},
	[OPTION_ITERATIONS] = {"--iters", "-n", "N",
		"operations; default: 100000 (handshake: 100, failover: 10)"},
	[OPTION_DURATION] = {"--duration", "-D", "SECONDS", "go by time instead of -n"},
	[OPTION_DEPTH] = {"--tx-depth", "-t", "N", "operations under way, 1 to 64; default: 1"},
	[OPTION_POINT] = {"--point", NULL, "OP:BYTES:N",
		"one of several measurements, instead of --op, -s and -t"},
	[OPTION_RESTART] = {"--restart", NULL, NULL,
		"handshake: begin anew each time, as a node that was restarted, instead of "
		"removing and adding the client"},
	[OPTION_LCORE_MODE] = {"--lcore-mode", NULL, "MODE",
		"same: post on the data lcore; cross: through the channel from the control "
		"core; default: same"},
	[OPTION_CLIENT] = {"--client", NULL, "NAME", "whose ports to use; default: bench"},
	[OPTION_JSON] = {"--json", NULL, "FILE", "results, with every percentile"},
	[OPTION_HGRM] = {"--hgrm", NULL, "FILE",
		"percentiles as HdrHistogram prints them; several: FILE-OP-BYTES-N"},
	[OPTION_CSV] = {"--csv", NULL, "FILE", "results, one line each"},
	[OPTION_LOG_LEVEL] = {"--log-level", NULL, "LEVEL",
		"error, warning, notice, info or debug; default: warning"},
	[OPTION_HELP] = {"--help", "-h", NULL, "show this text and exit"},
	[OPTION_VERSION] = {"--version", NULL, NULL, "show the version and exit"},
};

struct parser {
	struct bench_options *out;
	/* What a single point, or the row of -a, is made of. */
	enum bench_op op;
	bool op_given;
	enum bench_op like;
	bool like_given;
	uint32_t size;
	bool size_given;
	bool all;
	uint32_t depth;
	bool depth_given;
	char *err;
	size_t err_len;
};

/* The argument goes into the message in place of %s, quoted. */
__attribute__((format(printf, 2, 0))) static int
fail(struct parser *p, const char *format, const char *arg)
{
	char quoted[64];

	snprintf(p->err, p->err_len, format, node_quote(quoted, sizeof(quoted), arg));
	return -EINVAL;
}

static int
refuse(struct parser *p, const char *why)
{
	snprintf(p->err, p->err_len, "%s", why);
	return -EINVAL;
}

/* A decimal number, perhaps with K or M for 1024 or 1024 times that. */
static bool
number(const char *text, size_t len, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < len && text[i] >= '0' && text[i] <= '9' && n <= UINT32_MAX; i++)
		n = n * 10 + (uint64_t)(text[i] - '0');
	if (i == 0)
		return false;
	if (i + 1 == len && (text[i] == 'K' || text[i] == 'M')) {
		n <<= text[i] == 'K' ? 10 : 20;
		i++;
	}
	*out = n;
	return i == len && n >= min && n <= max;
}

static int
set_op(struct parser *p, const char *value)
{
	static const struct {
		const char *name;
		enum bench_task task;
	} tasks[] = {
		{"handshake", BENCH_HANDSHAKE},
		{"failover", BENCH_FAILOVER},
		{"floor", BENCH_FLOOR},
	};

	p->op_given = true;
	p->op = bench_op_find(value);
	if (p->op < BENCH_FRAME)
		return 0;
	for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
		if (strcmp(tasks[i].name, value) == 0) {
			p->out->task = tasks[i].task;
			return 0;
		}
	}
	return fail(p,
		"--op: \"%s\" is unknown; allowed: read, write, send, atomic, handshake, "
		"failover or floor",
		value);
}

static int
add_point(struct parser *p, enum bench_op op, uint32_t size, uint32_t depth)
{
	struct bench_options *out = p->out;

	if (out->n_points == BENCH_POINTS_MAX)
		return refuse(p, "too many measurements; allowed: 256");
	out->points[out->n_points++] = (struct bench_point){
		.op = op,
		.size = op == BENCH_ATOMIC ? BENCH_ATOMIC_SIZE : size,
		.depth = depth,
	};
	return 0;
}

static int
parse_point(struct parser *p, const char *value)
{
	size_t op_len = strcspn(value, ":");
	const char *size = value + op_len + (value[op_len] == ':');
	size_t size_len = strcspn(size, ":");
	const char *depth = size + size_len + (size[size_len] == ':');
	char name[16] = "";
	uint64_t bytes, n;

	if (op_len < sizeof(name))
		memcpy(name, value, op_len);
	if (bench_op_find(name) == BENCH_OP_COUNT ||
		!number(size, size_len, 0, BENCH_SIZE_MAX, &bytes) ||
		!number(depth, strlen(depth), 1, BENCH_DEPTH_MAX, &n))
		return fail(p,
			"--point: \"%s\" is not understood; allowed: OP:BYTES:N, with read, write, "
			"send, atomic or frame, 0 to 1024M, 1 to 64",
			value);
	return add_point(p, bench_op_find(name), (uint32_t)bytes, (uint32_t)n);
}

static int
set_number(struct parser *p, enum option_id id, const char *value)
{
	size_t len = strlen(value);
	char *end;
	uint64_t n;

	switch ((unsigned int)id) {
	case OPTION_SIZE:
		p->size_given = true;
		if (!number(value, len, 0, BENCH_SIZE_MAX, &n))
			return fail(p, "--size: \"%s\" is out of range; allowed: 0 to 1024M",
				value);
		p->size = (uint32_t)n;
		return 0;
	case OPTION_DEPTH:
		p->depth_given = true;
		if (!number(value, len, 1, BENCH_DEPTH_MAX, &n))
			return fail(p, "--tx-depth: \"%s\" is out of range; allowed: 1 to 64",
				value);
		p->depth = (uint32_t)n;
		return 0;
	case OPTION_ITERATIONS:
		if (!number(value, len, 1, UINT64_C(1) << 42, &p->out->iterations))
			return fail(p, "--iters: \"%s\" is out of range; allowed: from 1", value);
		return 0;
	default:
		p->out->seconds = strtod(value, &end);
		if (end == value || *end != '\0' || !(p->out->seconds >= 0.001) ||
			p->out->seconds > SECONDS_MAX)
			return fail(p,
				"--duration: \"%s\" is out of range; allowed: 0.001 to 86400 "
				"seconds",
				value);
		return 0;
	}
}

static int
set_log_level(struct parser *p, const char *value)
{
	for (size_t i = 0; i < NODE_LOG_LEVELS; i++) {
		if (strcmp(node_log_levels[i], value) == 0) {
			p->out->log_level = (int)i;
			return 0;
		}
	}
	return fail(p,
		"--log-level: \"%s\" is unknown; allowed: error, warning, notice, info or debug",
		value);
}

static int
set_option(struct parser *p, enum option_id id, const char *value)
{
	struct bench_options *out = p->out;

	switch (id) {
	case OPTION_CONFIG:
		out->config = value;
		return 0;
	case OPTION_OP:
		return set_op(p, value);
	case OPTION_FLOOR_PEER:
		out->task = BENCH_FLOOR_PEER;
		return 0;
	case OPTION_LIKE:
		p->like = bench_op_find(value);
		p->like_given = true;
		return p->like != BENCH_OP_COUNT ? 0
						 : fail(p,
							   "--like: \"%s\" is unknown; allowed: "
							   "read, write, send, atomic or "
							   "frame",
							   value);
	case OPTION_SIZE:
	case OPTION_DEPTH:
	case OPTION_ITERATIONS:
	case OPTION_DURATION:
		return set_number(p, id, value);
	case OPTION_ALL:
		p->all = true;
		return 0;
	case OPTION_POINT:
		return parse_point(p, value);
	case OPTION_RESTART:
		out->restart = true;
		return 0;
	case OPTION_LCORE_MODE:
		out->cross = strcmp(value, "cross") == 0;
		return out->cross || strcmp(value, "same") == 0
			? 0
			: fail(p, "--lcore-mode: \"%s\" is unknown; allowed: same or cross", value);
	case OPTION_CLIENT:
		out->client = value;
		return 0;
	case OPTION_JSON:
		out->json = value;
		return 0;
	case OPTION_HGRM:
		out->hgrm = value;
		return 0;
	case OPTION_CSV:
		out->csv = value;
		return 0;
	case OPTION_LOG_LEVEL:
		return set_log_level(p, value);
	case OPTION_HELP:
		out->task = BENCH_HELP;
		return 0;
	case OPTION_VERSION:
		out->task = BENCH_VERSION;
		return 0;
	case OPTION_COUNT:
		break;
	}
	return -EINVAL;
}

/* Which option an argument is, as "--name", "--name=value" or "-l". */
static enum option_id
find_option(const char *arg, const char **value)
{
	size_t len = strcspn(arg, "=");
	unsigned int id;

	*value = arg[len] == '=' ? arg + len + 1 : NULL;
	for (id = 0; id < OPTION_COUNT; id++) {
		if (strlen(options[id].name) == len && memcmp(options[id].name, arg, len) == 0)
			break;
		if (options[id].letter != NULL && strcmp(options[id].letter, arg) == 0)
			break;
	}
	return id;
}

static int
make_points(struct parser *p)
{
	int rc = 0;

	if (p->out->n_points != 0)
		return 0;
	if (p->out->task == BENCH_FLOOR)
		p->op = p->like;
	if (!p->all)
		return add_point(p, p->op, p->size, p->depth);
	for (uint32_t bit = 0; rc == 0 && ALL_FIRST << bit <= 1 << ALL_BITS; bit++)
		rc = add_point(p, p->op, (uint32_t)ALL_FIRST << bit, p->depth);
	return rc;
}

/* What does not go together, and defaults. */
static int
finish(struct parser *p)
{
	struct bench_options *out = p->out;

	if (out->task == BENCH_HELP || out->task == BENCH_VERSION)
		return 0;
	if (out->config == NULL)
		return refuse(p, "--config FILE is missing; see --help");
	if (out->iterations != 0 && out->seconds > 0)
		return refuse(p, "-n and -D exclude each other");
	if (p->all && p->size_given)
		return refuse(p, "-a and -s exclude each other");
	if (p->like_given && out->task != BENCH_FLOOR)
		return refuse(p, "--like is for --op floor");
	if (out->n_points != 0 &&
		(p->all || p->size_given || p->depth_given || p->like_given ||
			(p->op_given && out->task != BENCH_FLOOR)))
		return refuse(p, "--point goes with none of --op, --like, -s, -a and -t");
	if (out->restart && out->task != BENCH_HANDSHAKE)
		return refuse(p, "--restart is for --op handshake");
	if (out->task == BENCH_HANDSHAKE || out->task == BENCH_FAILOVER) {
		if (out->seconds > 0)
			return refuse(p, "-D goes with neither handshake nor failover");
		if (out->iterations == 0)
			out->iterations = out->task == BENCH_HANDSHAKE ? HANDSHAKES : FAILOVERS;
		return 0;
	}
	if (out->iterations == 0 && out->seconds == 0)
		out->iterations = ITERATIONS;
	for (uint32_t i = 0; i < out->n_points; i++)
		if (out->points[i].op == BENCH_FRAME && out->task != BENCH_FLOOR)
			return refuse(p, "frames are for --op floor");
	return make_points(p);
}

/* Where our options begin; *eal_argc: how many arguments are EAL's. */
static void
split(int argc, char **argv, int *eal_argc, int *first)
{
	int dashes;

	for (dashes = 1; dashes < argc && strcmp(argv[dashes], "--") != 0; dashes++)
		;
	*eal_argc = dashes < argc ? dashes : 1;
	*first = dashes < argc ? dashes + 1 : 1;
}

int
bench_options_parse(int argc, char **argv, struct bench_options *out, char *err, size_t err_len)
{
	struct parser p = {.out = out,
		.op = BENCH_WRITE,
		.like = BENCH_FRAME,
		.size = SIZE_DEFAULT,
		.depth = 1,
		.err = err,
		.err_len = err_len};
	int first, rc = 0;

	*out = (struct bench_options){.client = "bench", .log_level = NODE_LOG_WARNING};
	err[0] = '\0';
	split(argc, argv, &out->eal_argc, &first);
	for (int i = first; rc == 0 && i < argc; i++) {
		const char *value;
		enum option_id id = find_option(argv[i], &value);

		if (id == OPTION_COUNT)
			rc = fail(&p, "unknown option \"%s\"; see --help", argv[i]);
		else if (options[id].value == NULL && value != NULL)
			rc = fail(&p, "%s takes no value", options[id].name);
		else if (options[id].value != NULL && value == NULL && ++i == argc)
			rc = fail(&p, "%s needs a value", options[id].name);
		else
			rc = set_option(&p, id, value != NULL ? value : argv[i]);
	}
	return rc != 0 ? rc : finish(&p);
}

void
bench_options_help(FILE *out)
{
	fprintf(out,
		"Usage: ccm-bench [EAL arguments] -- --config FILE [options]\n"
		"       ccm-bench --help | --version\n\n"
		"Measures operations over the ports of a client that a ccm-node as the partner "
		"has\n"
		"with \"kind\": \"target\", set-ups of the session, or bare frames over the same "
		"device.\n\n");
	for (unsigned int id = 0; id < OPTION_COUNT; id++) {
		char name[40];

		snprintf(name, sizeof(name), "%s%s%s%s%s",
			options[id].letter != NULL ? options[id].letter : "",
			options[id].letter != NULL ? ", " : "", options[id].name,
			options[id].value != NULL ? " " : "",
			options[id].value != NULL ? options[id].value : "");
		fprintf(out, "  %-24s %s\n", name, options[id].help);
	}
}
