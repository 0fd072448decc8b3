/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two engines under load over bad links: the workload of workload.h, once per scenario.
 *
 * The test's environment: STRESS_OPS operations per scenario (both sides together), STRESS_SEED the
 * first seed. From the command line:
 *
 *   test_transport_stress --scenario NAME [--seed N] [--ops N] [--pcap FILE]    one run
 *   test_transport_stress --trace SEED    a short run of each scenario; prints hashes of all frames
 */
#include "workload.h"

#include <eal.h>
#include <frame_maker.h>
#include <rdma_emul.h>

#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <rte_common.h>
#include <rte_mbuf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

enum {
	OPS = 120000,	 /* per scenario, unless the environment says more */
	RUN_OPS = 4000,	 /* per run: each has fresh engines and a seed of its own */
	TRACE_OPS = 250, /* per scenario */
	MBUFS = 4096,
	HEADERS = 128,
	US = 1000,
};

/* Bits per second. */
#define RATE ((uint64_t)10000000000)
#define RATE_MIN ((uint64_t)2000000000)

/* The faults of both directions. */
#define PERCENT 10000
#define LOSS(percent) .loss_ppm = (uint32_t)((percent)*PERCENT)
#define DUPLICATES(percent) \
	.duplicate_ppm = (percent)*PERCENT, .copies_max = 3, .duplicate_max_ns = 300 * US
#define REORDER(percent) \
	.reorder_ppm = (percent)*PERCENT, .reorder_window = 16, .reorder_ns = 50 * US
#define DAMAGE(percent) .flip_ppm = (percent)*PERCENT, .cut_ppm = (percent)*PERCENT
#define BURSTS .burst_begin_ppm = PERCENT, .burst_end_ppm = 15 * PERCENT, .burst_loss_ppm = 950000
#define SHAKY .jitter_ns = 5 * US, .tail_ns = 10 * US, .tail_cap_ns = 200 * US
#define EVERYTHING LOSS(5), DUPLICATES(10), REORDER(20), DAMAGE(1), SHAKY
#define SOME LOSS(3), DUPLICATES(3), REORDER(5)

struct scenario {
	const char *name;
	struct link_config link; /* delay and rate are added */
	uint32_t run_ops;	 /* 0: RUN_OPS */
	uint32_t mtu;		 /* 0: 1024 */
	uint32_t window;	 /* 0: 64 */
	uint32_t sq_depth;	 /* 0: 16 */
	uint32_t max_rd;	 /* 0: 4 */
	uint32_t disable;
	uint32_t ce_ppm;
	uint8_t retry_cnt; /* 0: 255 */
	bool shortage;
	bool partitions;
	bool pauses;
	bool ipv6_tagged;
	bool wrap;  /* PSNs begin shortly before a value that is special */
	bool swarm; /* everything is drawn, each run anew */
};

static const struct scenario scenarios[] = {
	{.name = "clean"},
	{.name = "shortage", .shortage = true},
	{.name = "pauses", .pauses = true},
	{.name = "loss-1", .link = {LOSS(1)}, .shortage = true},
	{.name = "loss-5", .link = {LOSS(5)}, .shortage = true},
	{.name = "loss-20", .link = {LOSS(20)}},
	{.name = "duplication", .link = {DUPLICATES(20)}},
	{.name = "reordering", .link = {REORDER(25), .jitter_ns = 20 * US}},
	{.name = "corruption", .link = {DAMAGE(3)}},
	{.name = "everything", .link = {EVERYTHING}, .shortage = true, .pauses = true},
	{.name = "bursts", .link = {BURSTS}},
	{.name = "partitions", .retry_cnt = 7, .partitions = true},
	{.name = "congestion", .link = {LOSS(1)}, .ce_ppm = 5 * PERCENT, .ipv6_tagged = true},
	{.name = "psn-wrap", .link = {EVERYTHING}, .run_ops = 200, .wrap = true},
	{.name = "mtu-256", .link = {EVERYTHING}, .mtu = 256, .shortage = true},
	{.name = "mtu-4096", .link = {EVERYTHING}, .mtu = 4096, .shortage = true},
	{.name = "window-8", .link = {SOME}, .window = 8, .max_rd = 16},
	{.name = "window-1", .link = {SOME}, .window = 1, .max_rd = 1, .run_ops = 500},
	{.name = "deep", .link = {SOME}, .window = 512, .sq_depth = 64, .max_rd = 16},
	{.name = "without-read", .link = {SOME}, .disable = REMU_RECOVERY_READ},
	{.name = "without-hold", .link = {SOME}, .disable = REMU_RECOVERY_HOLD},
	{.name = "without-selective", .link = {SOME}, .disable = REMU_RECOVERY_SELECTIVE},
	{.name = "without-probe", .link = {SOME}, .disable = REMU_RECOVERY_PROBE},
	{.name = "without-any",
		.link = {EVERYTHING},
		.disable = REMU_RECOVERY_ALL,
		.shortage = true},
	{.name = "swarm", .run_ops = 250, .swarm = true},
};

static struct rte_mempool *pool;

static int
open_pool(void **state)
{
	(void)state;
	pool = rte_pktmbuf_pool_create("stress", MBUFS, 0, 0,
		RTE_PKTMBUF_HEADROOM + ROCE_MTU_MAX + HEADERS, SOCKET_ID_ANY);
	return pool != NULL ? 0 : -1;
}

/* A failed scenario leaves its engines, which the next one needs the memory of. */
static int
close_pool(void **state)
{
	(void)state;
	workload_abandon();
	rte_mempool_free(pool);
	return 0;
}

static uint32_t
either(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

/* Shortly before the PSN becomes 0, or the difference to 0 changes sign. */
static void
draw_psns(struct workload_config *cfg, uint64_t *rng)
{
	for (int end = 0; end < 2; end++)
		cfg->sq_psn[end] = (prng_below(rng, 2) == 0 ? 0xffffff : 0x7fffff) -
			prng_below(rng, prng_below(rng, 2) == 0 ? 8 : 150);
}

static void
draw_swarm(struct workload_config *cfg, uint64_t *rng)
{
	static const uint32_t mtus[] = {256, 512, 1024, 2048, 4096};
	static const uint32_t windows[] = {1, 2, 3, 7, 16, 64, 300};
	static const uint32_t reads[] = {1, 2, 5, 16};
	static const uint32_t holds[] = {0, 1, 4, 40};
	uint64_t in_flight;

#define DRAW(array) (array)[prng_below(rng, RTE_DIM(array))]
	cfg->mtu = DRAW(mtus);
	cfg->window = DRAW(windows);
	cfg->max_rd = DRAW(reads);
	cfg->hold_max = DRAW(holds);
#undef DRAW
	cfg->lanes = 1 + prng_below(rng, WORKLOAD_LANES);
	cfg->sq_depth = 2u << prng_below(rng, 6);
	cfg->disable = prng_below(rng, 2) == 0 ? 0 : prng_below(rng, REMU_RECOVERY_ALL + 1);
	cfg->ce_ppm = prng_below(rng, 4) == 0 ? prng_below(rng, 200000) : 0;
	cfg->shortage = prng_below(rng, 2) == 0;
	cfg->partitions = prng_below(rng, 8) == 0;
	cfg->pauses = prng_below(rng, 4) == 0;
	cfg->ipv6 = prng_below(rng, 2) == 0;
	cfg->tagged = prng_below(rng, 2) == 0;
	draw_psns(cfg, rng);
	/* A timeout must be longer than the queues that we make ourselves. */
	in_flight = (uint64_t)cfg->lanes * cfg->window * (cfg->mtu + 100);
	for (int end = 0; end < 2; end++) {
		struct link_config *link = &cfg->link[end];

		link_swarm(prng_next(rng), link, NULL);
		link->clip = 0;
		if (link->rate_bps != 0 && link->rate_bps < RATE_MIN)
			link->rate_bps = RATE_MIN;
		if (link->rate_bps != 0)
			cfg->timeout_us = RTE_MAX(cfg->timeout_us,
				(uint32_t)(4 * in_flight * 8 * 1000000 / link->rate_bps));
	}
}

static struct workload_config
configure(const struct scenario *s, uint64_t seed, uint64_t ops)
{
	struct workload_config cfg = {
		.name = s->name,
		.ops = ops,
		.seed = seed,
		.mtu = either(s->mtu, 1024),
		.lanes = 3,
		.sq_depth = either(s->sq_depth, 16),
		.window = either(s->window, 64),
		.max_rd = either(s->max_rd, 4),
		.timeout_us = 1000,
		.disable = s->disable,
		.ce_ppm = s->ce_ppm,
		.retry_cnt = (uint8_t)either(s->retry_cnt, 255),
		.shortage = s->shortage,
		.partitions = s->partitions,
		.pauses = s->pauses,
		.ipv6 = s->ipv6_tagged,
		.tagged = s->ipv6_tagged,
	};
	uint64_t rng = seed;

	for (int end = 0; end < 2; end++) {
		cfg.sq_psn[end] = prng_next(&rng) & 0xffffff;
		cfg.link[end] = s->link;
		cfg.link[end].delay_ns = 5 * US;
		cfg.link[end].rate_bps = RATE;
	}
	if (s->wrap)
		draw_psns(&cfg, &rng);
	if (s->swarm)
		draw_swarm(&cfg, &rng);
	return cfg;
}

static void
run_scenario(const struct scenario *s, uint64_t seed, uint64_t ops, const char *pcap,
	struct workload_result *result)
{
	*result = (struct workload_result){0};
	while (result->ops < ops) {
		uint64_t n = RTE_MIN(ops - result->ops, either(s->run_ops, RUN_OPS));
		struct workload_config cfg = configure(s, seed++, n);

		cfg.pcap = pcap;
		workload_run(&cfg, pool, result);
	}
}

static uint64_t
environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

static double
cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
print_header(void)
{
	print_message("%-18s %9s %9s %7s %7s %7s %6s %6s %6s %6s %6s %8s %8s %9s\n", "scenario",
		"ops", "frames", "lost", "resent", "timeout", "probe", "NAK", "RNR", "held", "dup",
		"virt ms", "CPU s", "ops/CPU s");
}

static void
print_result(const char *name, const struct workload_result *r, double seconds)
{
	print_message("%-18s %9lu %9lu %7lu %7lu %7lu %6lu %6lu %6lu %6lu %6lu %8.1f %8.2f %9.0f\n",
		name, r->ops, r->frames, r->lost, r->retransmits, r->timeouts, r->probes, r->naks,
		r->rnr_naks, r->reordered, r->duplicates, (double)r->virtual_ns / 1e6, seconds,
		(double)r->ops / seconds);
}

/* What must not happen, and what a scenario that tests anything must have seen. */
static void
check_result(const struct scenario *s, const struct workload_result *r)
{
	bool clean = memcmp(&s->link, &(struct link_config){0}, sizeof(s->link)) == 0 &&
		!s->partitions && !s->swarm;

	if (clean) {
		assert_int_equal(r->lost + r->timeouts + r->naks, 0);
	}
	if (!s->shortage && !s->swarm)
		assert_int_equal(r->rnr_naks, 0);
	if (r->ops < RUN_OPS)
		return;
	if (s->shortage)
		assert_int_not_equal(r->rnr_naks, 0);
	if (s->link.loss_ppm != 0)
		assert_int_not_equal(r->retransmits, 0);
	if (s->link.duplicate_ppm != 0)
		assert_int_not_equal(r->duplicates, 0);
	if (s->ce_ppm != 0)
		assert_int_not_equal(r->cnps, 0);
	if (s->link.loss_ppm != 0 && s->window != 1)
		assert_true((r->reordered != 0) == !(s->disable & REMU_RECOVERY_HOLD));
	if (s->disable & REMU_RECOVERY_PROBE)
		assert_int_equal(r->probes, 0);
}

static void
stress__scenario(void **state)
{
	const struct scenario *s = *state;
	struct workload_result result;
	double before = cpu_seconds();

	run_scenario(s, environment("STRESS_SEED", 1), environment("STRESS_OPS", OPS), NULL,
		&result);
	print_result(s->name, &result, cpu_seconds() - before);
	check_result(s, &result);
}

static int
trace(uint64_t seed)
{
	for (size_t i = 0; i < RTE_DIM(scenarios); i++) {
		struct workload_result result;

		run_scenario(&scenarios[i], seed, TRACE_OPS, NULL, &result);
		printf("%016lx%c", result.trace, i + 1 < RTE_DIM(scenarios) ? ' ' : '\n');
	}
	return 0;
}

static int
one_run(const char *name, uint64_t seed, uint64_t ops, const char *pcap)
{
	for (size_t i = 0; i < RTE_DIM(scenarios); i++) {
		struct workload_result result;
		double before = cpu_seconds();

		if (strcmp(scenarios[i].name, name) != 0)
			continue;
		run_scenario(&scenarios[i], seed, ops, pcap, &result);
		print_header();
		print_result(name, &result, cpu_seconds() - before);
		printf("hash of all frames: %016lx\n", result.trace);
		return 0;
	}
	fprintf(stderr, "no such scenario: %s\n", name);
	return 2;
}

static int
command_line(int argc, char **argv)
{
	static const struct option options[] = {
		{"scenario", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'},
		{"ops", required_argument, NULL, 'o'},
		{"pcap", required_argument, NULL, 'p'},
		{"trace", required_argument, NULL, 't'},
		{0},
	};
	const char *name = NULL, *pcap = NULL;
	uint64_t seed = 1, ops = RUN_OPS;
	bool tracing = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			name = optarg;
		else if (c == 's' || c == 't')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'o')
			ops = strtoull(optarg, NULL, 0);
		else if (c == 'p')
			pcap = optarg;
		else
			return 2;
		tracing |= c == 't';
	}
	if (eal_setup(NULL) < 0)
		return 1;
	if (open_pool(NULL) != 0)
		return 1;
	if (tracing)
		return trace(seed);
	return name != NULL ? one_run(name, seed, ops, pcap) : 2;
}

int
main(int argc, char **argv)
{
	struct CMUnitTest tests[RTE_DIM(scenarios)];

	/* Each run needs the same amount again: keep it rather than have it cleared by the kernel. */
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	if (argc > 1)
		return command_line(argc, argv);
	for (size_t i = 0; i < RTE_DIM(scenarios); i++)
		tests[i] = (struct CMUnitTest){
			.name = scenarios[i].name,
			.test_func = stress__scenario,
			.setup_func = open_pool,
			.teardown_func = close_pool,
			.initial_state = (void *)(uintptr_t)&scenarios[i],
		};
	print_header();
	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
