/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each recovery feature of the engine buys: a client and a server joined by two lossy links of
 * 10 Gbit/s and 5 us each way, in virtual time. Losses hit both directions. Rows of one block differ
 * in the features only, and lose the same packets by number.
 *
 * usage: recovery_bench [--csv] [--quick] [--window N]
 */
#include "duo.h"

#include <eal.h>

#include <getopt.h>
#include <math.h>
#include <rte_common.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MTU = 1024,
	MAX_RD = 4,
	TIMEOUT_US = 1000,
	DELAY_NS = 5000,
	DEPTH_MAX = 8,
	LONG = 65536,
	SHORT = 64,
	RUNS = 16, /* per row, with a seed each; their scatter gives the standard error */
	PD = 1,
	KEY = 1,
	VA = 0x100000,
	PER_MILLE = 1000,
};

#define RATE_BPS ((uint64_t)10000000000)

struct load {
	const char *name;
	const char *text;
	uint8_t opcode[2]; /* in turns */
	uint32_t length;
	uint32_t depth;
	uint32_t ops[4]; /* per run, by the rate of loss */
};

static const uint32_t losses_ppm[] = {0, 1000, 10000, 50000};

/* The rarer the losses, the more operations it takes to see enough of them. */
static const struct load loads[] = {
	{"read", "READs of 64 KiB, 8 under way", {REMU_WR_RDMA_READ, REMU_WR_RDMA_READ}, LONG,
		DEPTH_MAX, {200, 1500, 900, 900}},
	{"write", "WRITEs of 64 KiB, 8 under way", {REMU_WR_RDMA_WRITE, REMU_WR_RDMA_WRITE}, LONG,
		DEPTH_MAX, {200, 1500, 900, 900}},
	{"small", "WRITE and READ of 64 bytes in turns, one at a time",
		{REMU_WR_RDMA_WRITE, REMU_WR_RDMA_READ}, SHORT, 1, {1000, 60000, 25000, 15000}},
};

static const struct {
	const char *name;
	uint32_t on;
} sets[] = {
	{"go-back-N", 0},
	{"+READ", REMU_RECOVERY_READ},
	{"+HOLD", REMU_RECOVERY_HOLD},
	{"+HOLD+SELECTIVE", REMU_RECOVERY_HOLD | REMU_RECOVERY_SELECTIVE},
	{"+PROBE", REMU_RECOVERY_PROBE},
	{"all", REMU_RECOVERY_ALL},
};

/* One row of the table, summed over its runs. */
struct row {
	uint64_t ops;
	uint64_t frames;
	uint64_t retransmits;
	uint64_t timeouts;
	uint64_t probes;
	double rate[RUNS]; /* operations per virtual second */
	uint32_t *latency; /* ns */
};

struct client {
	struct duo duo;
	struct remu_qp *qp[2];
	uint8_t *memory[2];
	uint64_t posted_ns[DEPTH_MAX];
};

static struct rte_mempool *pool;
static uint32_t window = 64;

static void
check(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "recovery_bench: %s: %d\n", what, rc);
	exit(1);
}

static void
open_client(struct client *c, uint32_t on, uint32_t loss_ppm, uint64_t seed)
{
	const struct link_config line = {.loss_ppm = loss_ppm,
		.delay_ns = DELAY_NS,
		.rate_bps = RATE_BPS};
	const struct duo_config cfg = {
		.engine = {.pool = pool,
			.max_qps = 1,
			.max_mrs = 1,
			.sq_depth = DEPTH_MAX,
			.window = window,
			.disable = REMU_RECOVERY_ALL & ~on},
		.link = {line, line},
		.seed = seed,
		.mtu = MTU,
	};
	const struct remu_qp_config qps[2] = {
		{.qpn = 2, .pd = PD},
		{.qpn = 3, .pd = PD, .access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE},
	};
	const struct remu_qp_attr attr = {.path_mtu = MTU,
		.timeout_us = TIMEOUT_US,
		.retry_cnt = UINT8_MAX,
		.max_rd_atomic = MAX_RD,
		.max_dest_rd_atomic = MAX_RD};
	struct remu_qp_attr attrs[2] = {attr, attr};
	struct remu_mr_config mr = {.va = VA,
		.length = LONG,
		.rkey = KEY,
		.pd = PD,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE};

	for (int end = 0; end < 2; end++) {
		c->memory[end] = calloc(1, LONG);
		check(c->memory[end] == NULL, "memory");
	}
	mr.addr = c->memory[1];
	check(duo_open(&c->duo, &cfg), "engines");
	check(duo_join(&c->duo, qps, attrs, c->qp), "connection");
	check(remu_mr_register(c->duo.engine[1], &mr), "region");
}

static void
close_client(struct client *c)
{
	check(duo_close(&c->duo), "close");
	free(c->memory[0]);
	free(c->memory[1]);
}

static void
post(struct client *c, const struct load *load, uint64_t n)
{
	const struct remu_wr wr = {.wr_id = n,
		.addr = c->memory[0],
		.remote_va = VA,
		.length = load->length,
		.rkey = KEY,
		.opcode = load->opcode[n % 2]};

	c->posted_ns[n % DEPTH_MAX] = c->duo.now;
	check(remu_qp_post(c->duo.engine[0], c->qp[0], &wr, c->duo.now), "post");
}

static void
run(const struct load *load, uint32_t ops, uint32_t on, uint32_t loss_ppm, uint64_t seed,
	struct row *row, double *rate)
{
	struct client c = {0};
	const struct remu_stats *stats;
	uint64_t posted = 0, ended = 0;
	struct remu_wc wc;

	open_client(&c, on, loss_ppm, seed);
	while (ended < ops) {
		while (posted < ops && posted - ended < load->depth)
			post(&c, load, posted++);
		check(!duo_step(&c.duo, UINT64_MAX), "standstill");
		while (remu_engine_poll_wc(c.duo.engine[0], &wc, 1) != 0) {
			check(wc.status, remu_wc_status_name(wc.status));
			row->latency[row->ops + ended] = (uint32_t)(c.duo.now -
				c.posted_ns[ended % DEPTH_MAX]);
			ended++;
		}
	}
	stats = remu_engine_stats(c.duo.engine[0]);
	row->ops += ops;
	row->frames += c.duo.frames;
	row->retransmits += stats->retransmits;
	row->timeouts += stats->timeouts;
	row->probes += stats->probes;
	*rate = ops * 1e9 / (double)c.duo.now;
	close_client(&c);
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Mean of the runs' rates by total time, which is what a long run would see. */
static double
mean_rate(const struct row *row, double *error)
{
	double sum = 0, squares = 0, mean;

	for (int i = 0; i < RUNS; i++)
		sum += 1 / row->rate[i];
	mean = sum / RUNS;
	for (int i = 0; i < RUNS; i++)
		squares += (1 / row->rate[i] - mean) * (1 / row->rate[i] - mean);
	*error = sqrt(squares / (RUNS - 1) / RUNS) / mean;
	return 1 / mean;
}

static double
mean_latency(const struct row *row)
{
	double sum = 0;

	for (uint64_t i = 0; i < row->ops; i++)
		sum += row->latency[i];
	return sum / (double)row->ops / 1e3;
}

/* Of a sorted row, us. */
static double
latency(const struct row *row, uint32_t per_mille)
{
	return row->latency[(row->ops - 1) * per_mille / PER_MILLE] / 1e3;
}

static double
per_thousand(uint64_t n, const struct row *row)
{
	return 1000.0 * (double)n / (double)row->ops;
}

static void
measure(const struct load *load, size_t loss, uint32_t ops, uint32_t on, struct row *row)
{
	memset(row, 0, sizeof(*row));
	row->latency = malloc((size_t)ops * RUNS * sizeof(*row->latency));
	check(row->latency == NULL, "memory");
	for (uint64_t i = 0; i < RUNS; i++)
		run(load, ops, on, losses_ppm[loss], 1 + i, row, &row->rate[i]);
	qsort(row->latency, row->ops, sizeof(*row->latency), by_value);
}

static void
print_setup(void)
{
	printf("What each recovery feature buys, over two links of 10 Gbit/s and 5 us each way "
	       "that\n"
	       "lose frames at random in both directions. Path MTU %u, window %u packets, %u READ\n"
	       "requests under way, retransmission timeout %u us. Virtual time: processing is "
	       "free.\n"
	       "\n"
	       "goodput  in percent of the goodput without loss; +-: standard error over %u seeds\n"
	       "x GBN    how many times the goodput of plain go-back-N\n"
	       "latency  from posting to completion, us\n"
	       "frames   sent by both sides, per frame that it takes without loss\n"
	       "resent   requests sent again; with timeouts and probes per 1000 operations\n",
		MTU, window, MAX_RD, TIMEOUT_US, RUNS);
}

static void
print_block(const struct load *load, size_t loss, const struct row *clean, double rate)
{
	if (loss == 0)
		printf("\n%s; without loss %.0f operations/s, %.2f Gbit/s, mean latency %.1f us,\n"
		       "%.1f frames per operation\n",
			load->text, rate, rate * load->length * 8 / 1e9, mean_latency(clean),
			(double)clean->frames / (double)clean->ops);
	else
		printf("\n%-6.3g%% loss       goodput    +-   x GBN     mean      p50      p99"
		       "    p99.9  frames   resent  timeouts   probes\n",
			losses_ppm[loss] / 1e4);
}

static void
print_row(const char *name, const struct row *row, const struct row *clean, double share,
	double error, double ratio)
{
	printf("%-16s %8.1f%% %4.1f%% %7.2f %8.1f %8.1f %8.1f %8.1f %7.3f %8.1f %9.2f %8.1f\n",
		name, 100 * share, 100 * error, ratio, mean_latency(row), latency(row, 500),
		latency(row, 990), latency(row, 999),
		(double)row->frames / (double)row->ops * (double)clean->ops / (double)clean->frames,
		per_thousand(row->retransmits, row), per_thousand(row->timeouts, row),
		per_thousand(row->probes, row));
}

static void
print_csv(const struct load *load, size_t loss, const char *name, const struct row *row,
	const struct row *clean, double share, double error, double ratio)
{
	printf("%s,%g,%s,%lu,%.5f,%.5f,%.4f,%.3f,%.3f,%.3f,%.3f,%.4f,%.4f,%.4f,%.4f\n", load->name,
		losses_ppm[loss] / 1e4, name, row->ops, share, error, ratio, mean_latency(row),
		latency(row, 500), latency(row, 990), latency(row, 999),
		(double)row->frames / (double)row->ops * (double)clean->ops / (double)clean->frames,
		per_thousand(row->retransmits, row), per_thousand(row->timeouts, row),
		per_thousand(row->probes, row));
}

static void
bench(const struct load *load, uint32_t divisor, bool csv)
{
	struct row clean, row;
	double clean_rate, plain = 0, rate, error;

	measure(load, 0, load->ops[0], REMU_RECOVERY_ALL, &clean);
	clean_rate = mean_rate(&clean, &error);
	if (!csv)
		print_block(load, 0, &clean, clean_rate);
	for (size_t loss = 1; loss < RTE_DIM(losses_ppm); loss++) {
		if (!csv)
			print_block(load, loss, NULL, 0);
		for (size_t i = 0; i < RTE_DIM(sets); i++) {
			measure(load, loss, load->ops[loss] / divisor, sets[i].on, &row);
			rate = mean_rate(&row, &error);
			if (i == 0)
				plain = rate;
			if (csv)
				print_csv(load, loss, sets[i].name, &row, &clean, rate / clean_rate,
					error, rate / plain);
			else
				print_row(sets[i].name, &row, &clean, rate / clean_rate, error,
					rate / plain);
			fflush(stdout);
			free(row.latency);
		}
	}
	free(clean.latency);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"csv", no_argument, NULL, 'c'},
		{"quick", no_argument, NULL, 'q'},
		{"window", required_argument, NULL, 'w'},
		{0},
	};
	uint32_t divisor = 1;
	bool csv = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			csv = true;
		else if (c == 'q')
			divisor = 20;
		else if (c == 'w')
			window = (uint32_t)strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	check(eal_setup(NULL) < 0, "EAL");
	pool = eal_pool(2048);
	if (csv)
		printf("load,loss_percent,features,operations,goodput_fraction,standard_error,"
		       "ratio_to_go_back_n,mean_us,p50_us,p99_us,p999_us,frames_ratio,"
		       "resent_per_1000,timeouts_per_1000,probes_per_1000\n");
	else
		print_setup();
	for (size_t i = 0; i < RTE_DIM(loads); i++)
		bench(&loads[i], divisor, csv);
	eal_pool_free(pool);
	return eal_teardown(NULL) == 0 ? 0 : 1;
}
