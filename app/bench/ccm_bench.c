/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ccm-bench: a node that measures. It brings up its session with an ordinary ccm-node by the
 * handshake, and then times operations over the ports of one client; or the handshake itself, or
 * bare frames over the same device, to compare with.
 */
#include "bench_floor.h"
#include "bench_measure.h"
#include "bench_options.h"
#include "bench_report.h"
#include "bench_session.h"
#include "log.h"
#include "node.h"
#include "rdma_emul.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	WAIT_S = 60,	      /* for the session */
	PROGRESS_MS = 2000,   /* between two lines */
	PROGRESS_NAP_MS = 50, /* the end is noticed within this */
};

RTE_LOG_REGISTER_DEFAULT(app_logtype, WARNING);

struct bench {
	struct bench_options opt;
	struct node node;
	struct bench_clock clock;
	struct bench_hist hist;
	struct bench_report report;
	struct bench_measure measure;
	struct bench_floor floor;
	struct bench_session session;
	struct ccm_client_config client;
	struct ccm_client *handle;
	_Atomic uint32_t at; /* point */
	uint64_t waiting_ns; /* since when */
	bool reported;
	bool failed;
	pthread_t progress;
	bool progress_runs;
	_Atomic bool ended;
};

static void
give_up(struct bench *b, const char *what, const char *why)
{
	fprintf(stderr, "ccm-bench: %s: %s\n", what, why);
	b->failed = true;
	node_leave(&b->node);
}

static void
on_client(void *ctx, const struct ccm_client_event *ev)
{
	struct bench *b = ctx;

	bench_measure_event(&b->measure, ev);
	bench_session_event(&b->session, ev, b->opt.task == BENCH_FAILOVER);
}

static size_t
largest(const struct bench_options *opt)
{
	size_t size = 1;

	for (uint32_t i = 0; i < opt->n_points; i++)
		if (opt->points[i].size > size)
			size = opt->points[i].size;
	return size;
}

static int
start(void *ctx)
{
	struct bench *b = ctx;
	int rc = 0;

	if (b->opt.task == BENCH_MEASURE)
		rc = bench_measure_open(&b->measure, &b->node, b->opt.cross, largest(&b->opt));
	bench_session_begin(&b->session, node_clock_now(&b->node.clock));
	b->waiting_ns = 0;
	return rc != 0 ? rc
		       : ccm_client_register(b->node.ccm, &b->client, on_client, b, &b->handle);
}

static bool
data(void *ctx, struct data_lcore *d, uint64_t now)
{
	struct bench *b = ctx;

	(void)now;
	return bench_measure_data(&b->measure, d);
}

static bool
bare(void *ctx, struct data_lcore *d, uint64_t now)
{
	struct bench *b = ctx;

	(void)now;
	return bench_floor_turns(&b->floor, d);
}

/* Begin the next point, when there is a session. */
static void
next_point(struct bench *b, uint64_t now)
{
	const struct bench_options *opt = &b->opt;
	int rc;

	if (b->at == opt->n_points) {
		node_leave(&b->node);
		return;
	}
	if (!b->measure.up) {
		if (b->waiting_ns == 0)
			b->waiting_ns = now;
		if (now - b->waiting_ns > WAIT_S * UINT64_C(1000000000))
			give_up(b, "no session",
				"is the partner there, with a client of that name?");
		return;
	}
	rc = bench_measure_start(&b->measure, &opt->points[b->at], opt->iterations, opt->seconds,
		&b->clock, &b->hist);
	if (rc == -EINVAL)
		give_up(b, "size", "larger than the client's memory");
	else if (rc != 0)
		give_up(b, "cross", "the channel is for READ and WRITE");
}

static bool
measure_turn(struct bench *b, uint64_t now)
{
	switch (bench_measure_phase(&b->measure)) {
	case BENCH_RUNNING:
		return bench_measure_control(&b->measure);
	case BENCH_FAILED:
		give_up(b, bench_op_name(b->opt.points[b->at].op), b->measure.why);
		break;
	case BENCH_OVER:
		bench_report_run(&b->report, &b->measure.run, 0, 0, 0, 0);
		b->at++;
		/* fall through */
	case BENCH_IDLE:
		next_point(b, now);
		break;
	}
	return true;
}

static void
next_floor(struct bench *b)
{
	if (b->at == b->opt.n_points)
		node_leave(&b->node);
	else
		bench_floor_start(&b->floor, &b->opt.points[b->at], b->opt.iterations,
			b->opt.seconds, &b->clock, &b->hist);
}

static bool
floor_turn(struct bench *b)
{
	struct bench_floor *f = &b->floor;

	switch (bench_floor_phase(f)) {
	case BENCH_FLOOR_IDLE:
		next_floor(b);
		return true;
	case BENCH_FLOOR_OVER:
		bench_report_run(&b->report, &f->run, f->frames_counted,
			f->frames_sent - f->frames_counted, bench_floor_frame_len(f),
			bench_floor_seconds(f));
		b->at++;
		next_floor(b);
		return true;
	case BENCH_FLOOR_FAILED:
		give_up(b, "floor", "no answer: is the other end ccm-bench --floor-peer?");
		return true;
	case BENCH_FLOOR_GREETING:
	case BENCH_FLOOR_EXCHANGING:
	case BENCH_FLOOR_STREAMING:
	case BENCH_FLOOR_COUNTING:
		break;
	}
	return false;
}

static bool
session_turn(struct bench *b, uint64_t now)
{
	struct bench_session *s = &b->session;
	bool handshake = b->opt.task == BENCH_HANDSHAKE;

	switch (handshake ? bench_handshake_turn(s, now) : bench_failover_turn(s, now)) {
	case BENCH_GO_ON:
		return false;
	case BENCH_AGAIN:
		node_again(&b->node);
		break;
	case BENCH_REMOVE:
		s->with_client = false;
		s->since_ns = now;
		ccm_client_unregister(b->node.ccm, b->handle);
		break;
	case BENCH_ADD: /* -EBUSY: not gone yet */
		if (ccm_client_register(b->node.ccm, &b->client, on_client, b, &b->handle) != 0)
			break;
		s->with_client = true;
		s->since_ns = now;
		break;
	case BENCH_DONE:
		node_leave(&b->node);
		break;
	case BENCH_TIMEOUT:
		give_up(b, "no session", "is the partner there?");
		break;
	}
	return true;
}

static bool
control(void *ctx, uint64_t now)
{
	struct bench *b = ctx;

	if (b->node.leaving)
		return false;
	switch (b->opt.task) {
	case BENCH_MEASURE:
		return measure_turn(b, now);
	case BENCH_FLOOR:
		return floor_turn(b);
	case BENCH_HANDSHAKE:
	case BENCH_FAILOVER:
		return session_turn(b, now);
	case BENCH_FLOOR_PEER:
	case BENCH_HELP:
	case BENCH_VERSION:
		break;
	}
	return false;
}

static void
show_progress(const struct bench *b)
{
	uint32_t at = atomic_load_explicit(&b->at, memory_order_relaxed);
	const struct bench_run *run = b->opt.task == BENCH_FLOOR ? &b->floor.run : &b->measure.run;

	if (b->opt.task == BENCH_HANDSHAKE || b->opt.task == BENCH_FAILOVER)
		fprintf(stderr, "ccm-bench: %" PRIu64 " of %" PRIu64 "\n",
			__atomic_load_n(&b->session.done, __ATOMIC_RELAXED), b->opt.iterations);
	else if (at < b->opt.n_points)
		fprintf(stderr,
			"ccm-bench: %u of %u: %s, %u bytes, depth %u: %" PRIu64 " operations\n",
			at + 1, b->opt.n_points, bench_op_name(b->opt.points[at].op),
			b->opt.points[at].size, b->opt.points[at].depth,
			__atomic_load_n(&run->ended, __ATOMIC_RELAXED));
}

/* A line every now and then, from a thread that measures nothing. */
static void *
progress_main(void *arg)
{
	struct bench *b = arg;
	uint32_t ms = 0;

	while (!atomic_load_explicit(&b->ended, memory_order_relaxed)) {
		usleep(PROGRESS_NAP_MS * 1000);
		ms += PROGRESS_NAP_MS;
		if (ms % PROGRESS_MS == 0)
			show_progress(b);
	}
	return NULL;
}

static int
take_client(struct bench *b)
{
	struct node_config *cfg = &b->node.cfg;

	for (uint32_t i = 0; i < cfg->n_clients; i++) {
		if (strcmp(cfg->clients[i].ccm.name, b->opt.client) != 0)
			continue;
		cfg->clients[i].kind = NODE_CLIENT_PROGRAM;
		b->client = cfg->clients[i].ccm;
		return 0;
	}
	fprintf(stderr, "ccm-bench: %s: no client \"%s\"; see --client\n", b->opt.config,
		b->opt.client);
	return -1;
}

static int
configure(struct bench *b)
{
	struct node_config_error error;

	if (node_config_load(b->opt.config, &b->node.cfg, &error) != 0) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	if (take_client(b) != 0)
		return -1;
	/* Polling is what is measured. */
	b->node.cfg.idle_sleep_us = 0;
	return 0;
}

static void
prepare(struct bench *b)
{
	bool floor = b->opt.task == BENCH_FLOOR || b->opt.task == BENCH_FLOOR_PEER;

	b->node.program = "ccm-bench";
	b->node.telemetry = b->opt.task == BENCH_MEASURE || b->opt.task == BENCH_FAILOVER;
	bench_clock_init(&b->clock, rte_get_tsc_hz());
	b->node.clock = b->clock.ns;
	b->node.hooks = (struct node_hooks){
		.start = start,
		.control = control,
		.data = b->opt.task == BENCH_MEASURE && !b->opt.cross ? data : NULL,
		.bare = floor ? bare : NULL,
		.ctx = b,
	};
	bench_session_init(&b->session, &b->node, b->opt.iterations, b->opt.restart);
	/* Long enough for what the partner had under way to come to its end. */
	b->node.pause_us = 2 * b->node.cfg.ccm.timing.dead_after_us;
}

static int
run(struct bench *b)
{
	if (node_open(&b->node) != 0)
		return -1;
	bench_floor_init(&b->floor, &b->node, b->opt.task == BENCH_FLOOR_PEER);
	if (bench_report_open(&b->report, &b->opt, &b->node, &b->clock) != 0)
		return -1;
	b->reported = true;
	if (b->opt.task != BENCH_FLOOR_PEER)
		b->progress_runs = rte_ctrl_thread_create(&b->progress, "bench-progress", NULL,
					   progress_main, b) == 0;
	node_run(&b->node);
	if (b->opt.task == BENCH_HANDSHAKE) {
		bench_report_add(&b->report, bench_handshake_result(&b->session));
		bench_handshake_print(&b->session);
	} else if (b->opt.task == BENCH_FAILOVER) {
		bench_report_add(&b->report, bench_failover_result(&b->session));
	}
	return 0;
}

int
main(int argc, char **argv)
{
	char error[BENCH_ERROR_LEN];
	struct bench *b = calloc(1, sizeof(*b));
	bool ok;

	if (b == NULL)
		return EXIT_FAILURE;
	if (bench_options_parse(argc, argv, &b->opt, error, sizeof(error)) != 0) {
		fprintf(stderr, "ccm-bench: %s\n", error);
		return BENCH_EXIT_USAGE;
	}
	if (b->opt.task == BENCH_HELP || b->opt.task == BENCH_VERSION) {
		if (b->opt.task == BENCH_HELP)
			bench_options_help(stdout);
		else
			printf("ccm-bench %s\n", CCM_PROGRAM_VERSION);
		return EXIT_SUCCESS;
	}
	if (configure(b) != 0)
		return BENCH_EXIT_USAGE;
	if (rte_eal_init(b->opt.eal_argc, argv) < 0) {
		fprintf(stderr, "ccm-bench: EAL: %s\n", rte_strerror(rte_errno));
		return EXIT_FAILURE;
	}
	b->node.log_level = b->opt.log_level;
	prepare(b);
	node_catch_signals();
	ok = run(b) == 0 && !b->failed;
	atomic_store(&b->ended, true);
	if (b->progress_runs)
		pthread_join(b->progress, NULL);
	if (b->reported && bench_report_close(&b->report) != 0)
		ok = false;
	/* Interrupted before the end, where that is not how it ends. */
	if (node_interrupted() && b->opt.task != BENCH_FLOOR_PEER && b->opt.task != BENCH_FAILOVER)
		ok = false;
	if (node_close(&b->node))
		rte_eal_cleanup();
	bench_measure_close(&b->measure);
	exit(ok ? EXIT_SUCCESS : EXIT_FAILURE);
}
