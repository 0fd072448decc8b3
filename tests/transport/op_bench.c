/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one operation costs the two engines together: both in one process and one thread, joined by
 * a wire that costs next to nothing, because it hands the mbufs over. Time is virtual, so no clock
 * is read and nothing is ever repeated: the same calls take the same instructions each time.
 *
 * usage: op_bench [--csv] [--quick] [--only NAME]...      nanoseconds per operation
 *        op_bench --instructions [--only NAME]...          for callgrind, see instructions.sh
 *        op_bench --steps [--only NAME]...                 where the nanoseconds go
 *
 * Pin it: taskset -c 1 op_bench. A row's figure is the median of rounds that go over all rows in
 * turns. Rows "idle_N" have N queue pairs besides the one in use, which have been used once.
 */
#include <eal.h>
#include <rdma_emul.h>

#include <getopt.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_CALLGRIND
#	include <valgrind/callgrind.h>
#else
#	define CALLGRIND_TOGGLE_COLLECT
#	define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

/* As in ccm-node, see app/node/main.c and lib/ccm/ccm_ports.c. */
enum {
	BURST = 32,
	SQ_DEPTH = 64,
	WINDOW = 64,
	MAX_RD = 64,
	POOL = 8192,
	POOL_CACHE = 128,
	PATH_MTU = 4096,
	DATA_ROOM = RTE_PKTMBUF_HEADROOM + PATH_MTU + 112,
};

enum {
	PD = 1,
	KEY = 1,
	VA = 0x100000,
	MEMORY = 1 << 20,
	TURN_NS = 100, /* virtual time of one turn of both engines */
	ROUNDS = 9,
	STANDSTILL = 1000000, /* turns without a completion */
};

struct load {
	const char *name;
	uint32_t opcode;
	uint32_t length;
	uint32_t depth;
	uint32_t idle;
	uint32_t ops; /* per round; a hundredth of it for callgrind */
};

static const struct load loads[] = {
	{"write_64_depth_1", REMU_WR_RDMA_WRITE, 64, 1, 0, 200000},
	{"write_64_depth_64", REMU_WR_RDMA_WRITE, 64, 64, 0, 400000},
	{"read_64_depth_1", REMU_WR_RDMA_READ, 64, 1, 0, 200000},
	{"read_64_depth_64", REMU_WR_RDMA_READ, 64, 64, 0, 400000},
	{"atomic_depth_1", REMU_WR_FETCH_ADD, 8, 1, 0, 200000},
	{"write_4k_depth_1", REMU_WR_RDMA_WRITE, 4096, 1, 0, 100000},
	{"write_4k_depth_64", REMU_WR_RDMA_WRITE, 4096, 64, 0, 100000},
	{"read_4k_depth_64", REMU_WR_RDMA_READ, 4096, 64, 0, 100000},
	{"write_1m_depth_4", REMU_WR_RDMA_WRITE, 1 << 20, 4, 0, 400},
	{"read_1m_depth_4", REMU_WR_RDMA_READ, 1 << 20, 4, 0, 400},
	{"read_64_idle_0", REMU_WR_RDMA_READ, 64, 1, 0, 200000},
	{"read_64_idle_255", REMU_WR_RDMA_READ, 64, 1, 255, 200000},
	{"read_64_idle_4095", REMU_WR_RDMA_READ, 64, 1, 4095, 200000},
};

/* What is done for an operation, in this order. */
enum step { POST, SEND, CARRY_OUT, ANSWER, TAKE, POLL, REST, STEPS };

static const char *const step_names[STEPS] = {
	[POST] = "requester: post the work requests",
	[SEND] = "requester: make the frames",
	[CARRY_OUT] = "responder: check the frames, carry them out",
	[ANSWER] = "responder: make answers or acknowledgements",
	[TAKE] = "requester: check those, take data, complete",
	[POLL] = "requester: poll the completions",
	[REST] = "both: timers, channels, this program's loop",
};

/* Time stamps between the steps; reading the clock is part of them, once per burst. */
struct laps {
	uint64_t last;
	uint64_t ticks[STEPS];
};

struct world {
	struct laps *laps; /* NULL: not wanted */
	struct rte_mempool *pool;
	struct remu_engine *engine[2];
	struct remu_qp *qp; /* the one in use, of engine 0 */
	uint8_t *memory[2];
	uint64_t now;
};

struct result {
	bool wanted;
	uint32_t rounds;
	double ns[ROUNDS]; /* per operation */
};

static struct result results[RTE_DIM(loads)];
static struct world worlds[2]; /* without idle queue pairs, and the one with as many as a row has */

static void
check(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "op_bench: %s: %d\n", what, rc);
	exit(1);
}

/* The wire carries one piece of memory, as memif does. */
static struct rte_mbuf *
flatten(struct world *w, struct rte_mbuf *m)
{
	struct rte_mbuf *flat;

	if (likely(m->nb_segs == 1))
		return m;
	flat = rte_pktmbuf_copy(m, w->pool, 0, UINT32_MAX);
	check(flat == NULL, "mbufs");
	rte_pktmbuf_free(m);
	return flat;
}

/* One step has ended. */
static inline void
lap(struct world *w, enum step step)
{
	uint64_t now;

	if (likely(w->laps == NULL))
		return;
	now = rte_rdtsc();
	w->laps->ticks[step] += now - w->laps->last;
	w->laps->last = now;
}

static void
carry(struct world *w, int from)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n = remu_engine_tx(w->engine[from], pkts, BURST, w->now);

	lap(w, from == 0 ? SEND : ANSWER);
	for (uint16_t i = 0; i < n; i++)
		pkts[i] = flatten(w, pkts[i]);
	lap(w, REST);
	if (n != 0)
		remu_engine_rx(w->engine[!from], pkts, n, w->now);
	lap(w, from == 0 ? CARRY_OUT : TAKE);
}

/* What two data lcores do, without the port. */
static void
turn(struct world *w)
{
	w->now += TURN_NS;
	for (int end = 0; end < 2; end++) {
		remu_engine_poll(w->engine[end], w->now);
		lap(w, REST);
		carry(w, end);
	}
}

static void
run(struct world *w, struct remu_qp *qp, const struct load *load, uint64_t ops)
{
	const struct remu_wr wr = {
		.addr = w->memory[0],
		.remote_va = VA,
		.length = load->length,
		.rkey = KEY,
		.opcode = (uint8_t)load->opcode,
	};
	struct remu_wc wc[BURST];
	uint64_t posted = 0, ended = 0;
	uint32_t idle_turns = 0, n;

	while (ended < ops) {
		for (; posted < ops && posted - ended < load->depth; posted++)
			check(remu_qp_post(w->engine[0], qp, &wr, w->now), "post");
		lap(w, POST);
		turn(w);
		n = remu_engine_poll_wc(w->engine[0], wc, BURST);
		lap(w, POLL);
		for (uint32_t i = 0; i < n; i++)
			if (unlikely(wc[i].status != REMU_WC_SUCCESS))
				check(-1, remu_wc_status_name(wc[i].status));
		idle_turns = n != 0 ? 0 : idle_turns + 1;
		check(idle_turns == STANDSTILL, "standstill");
		ended += n;
	}
}

static struct remu_qp *
join(struct world *w, uint32_t qpn)
{
	const struct remu_qp_config cfg = {
		.qpn = qpn,
		.pd = PD,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
			REMU_ACCESS_REMOTE_ATOMIC,
	};
	struct remu_qp_attr attr = {
		.path_mtu = PATH_MTU,
		.peer_qpn = qpn,
		.timeout_us = 10000000,
		.retry_cnt = 7,
		.max_rd_atomic = MAX_RD,
		.max_dest_rd_atomic = MAX_RD,
	};
	struct remu_qp *qp[2];

	for (int end = 0; end < 2; end++) {
		attr.peer_gid = roce_gid_ipv4(0xc0000202 - (uint32_t)end);
		attr.peer_mac[0] = 2;
		attr.peer_mac[5] = (uint8_t)(2 - end);
		check(remu_qp_create(w->engine[end], &cfg, &qp[end]), "queue pair");
		for (enum remu_qp_state to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
			check(remu_qp_modify(w->engine[end], qp[end], to,
				      to == REMU_QP_INIT ? NULL : &attr),
				"connection");
	}
	return qp[0];
}

static void
open_world(struct world *w, struct rte_mempool *pool, uint32_t idle)
{
	static const struct load once = {NULL, REMU_WR_RDMA_WRITE, 64, 1, 0, 0};
	struct remu_engine_config cfg = {
		.pool = pool,
		.mac = {2},
		.n_engines = 1,
		.max_qps = 1 + idle,
		.max_mrs = 1,
		.sq_depth = idle == 0 ? SQ_DEPTH : 4,
		.window = WINDOW,
		.socket_id = SOCKET_ID_ANY,
	};
	struct remu_mr_config mr = {.va = VA,
		.length = MEMORY,
		.rkey = KEY,
		.pd = PD,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
			REMU_ACCESS_REMOTE_ATOMIC};

	memset(w, 0, sizeof(*w));
	w->pool = pool;
	for (int end = 0; end < 2; end++) {
		w->memory[end] = aligned_alloc(4096, MEMORY);
		check(w->memory[end] == NULL, "memory");
		memset(w->memory[end], end, MEMORY);
		cfg.mac[5] = (uint8_t)(end + 1);
		cfg.gid = roce_gid_ipv4(0xc0000201 + (uint32_t)end);
		check(remu_engine_create(&cfg, &w->engine[end]), "engine");
		mr.addr = w->memory[end];
		check(remu_mr_register(w->engine[end], &mr), "region");
	}
	w->qp = join(w, 2);
	for (uint32_t i = 0; i < idle; i++)
		run(w, join(w, 3 + i), &once, 1);
}

static void
close_world(struct world *w)
{
	for (int end = 0; end < 2; end++) {
		remu_engine_destroy(w->engine[end]);
		free(w->memory[end]);
	}
	memset(w, 0, sizeof(*w));
}

/* Instructions of a steady state into one of callgrind's files, which has the row's name in it. */
static void
count(const struct load *load, struct rte_mempool *pool)
{
	struct world *w = &worlds[0];
	uint64_t ops = RTE_MAX(load->ops / 100, 4u);

	open_world(w, pool, load->idle);
	run(w, w->qp, load, ops);
	CALLGRIND_TOGGLE_COLLECT;
	run(w, w->qp, load, ops);
	CALLGRIND_TOGGLE_COLLECT;
	CALLGRIND_DUMP_STATS_AT(load->name);
	printf("%s %lu\n", load->name, ops);
	fflush(stdout);
	close_world(w);
}

static void
measure(const struct load *load, struct result *result, struct rte_mempool *pool, uint32_t divisor)
{
	struct world *w = &worlds[load->idle != 0];
	uint64_t ops = RTE_MAX(load->ops / divisor, 4u), ticks;

	if (w->pool == NULL)
		open_world(w, pool, load->idle);
	run(w, w->qp, load, ops / 4);
	ticks = rte_rdtsc_precise();
	run(w, w->qp, load, ops);
	ticks = rte_rdtsc_precise() - ticks;
	result->ns[result->rounds++] = (double)ticks * 1e9 / (double)rte_get_tsc_hz() / (double)ops;
	if (load->idle != 0)
		close_world(w);
}

/* Where the time of an operation goes: the quickest of all rounds, step by step. */
static void
steps(const struct load *load, struct rte_mempool *pool)
{
	struct world *w = &worlds[0];
	double best[STEPS], all = 0, ns = 1e9 / (double)rte_get_tsc_hz() / load->ops;

	open_world(w, pool, 0);
	run(w, w->qp, load, load->ops / 4);
	for (int round = 0; round < ROUNDS; round++) {
		struct laps laps = {.last = rte_rdtsc()};

		w->laps = &laps;
		run(w, w->qp, load, load->ops);
		w->laps = NULL;
		for (int i = 0; i < STEPS; i++)
			if (round == 0 || (double)laps.ticks[i] * ns < best[i])
				best[i] = (double)laps.ticks[i] * ns;
	}
	for (int i = 0; i < STEPS; i++)
		all += best[i];
	printf("%s: %.1f ns\n", load->name, all);
	for (int i = 0; i < STEPS; i++)
		printf("  %6.1f  %s\n", best[i], step_names[i]);
	close_world(w);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
print_row(const struct load *load, struct result *r, bool csv)
{
	double median;

	qsort(r->ns, r->rounds, sizeof(r->ns[0]), by_value);
	median = r->ns[r->rounds / 2];
	printf(csv ? "%s,%u,%u,%u,%.1f,%.1f,%.1f,%.4f,%.4f\n"
		   : "%-18s %8u %6u %6u %11.1f %11.1f %11.1f %9.3f %8.3f\n",
		load->name, load->length, load->depth, load->idle, median, r->ns[0],
		r->ns[r->rounds - 1], 1e3 / median, load->length / median);
}

static void
print_all(bool csv)
{
	if (csv)
		printf("name,bytes,depth,idle_qps,median_ns,min_ns,max_ns,mops,gbytes_per_s\n");
	else
		printf("%-18s %8s %6s %6s %11s %11s %11s %9s %8s\n", "operation", "bytes", "depth",
			"idle", "median ns", "min ns", "max ns", "Mop/s", "GB/s");
	for (size_t i = 0; i < RTE_DIM(loads); i++)
		if (results[i].rounds != 0)
			print_row(&loads[i], &results[i], csv);
}

static bool
want(const char *name)
{
	for (size_t i = 0; i < RTE_DIM(loads); i++)
		if (strcmp(loads[i].name, name) == 0)
			return results[i].wanted = true;
	return false;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"csv", no_argument, NULL, 'c'},
		{"instructions", no_argument, NULL, 'i'},
		{"only", required_argument, NULL, 'o'},
		{"quick", no_argument, NULL, 'q'},
		{"steps", no_argument, NULL, 's'},
		{0},
	};
	bool csv = false, instructions = false, some = false, by_step = false;
	struct rte_mempool *pool;
	uint32_t divisor = 1;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			csv = true;
		else if (c == 'i')
			instructions = true;
		else if (c == 'o' && want(optarg))
			some = true;
		else if (c == 'q')
			divisor = 20;
		else if (c == 's')
			by_step = true;
		else
			return 2;
	}
	check(eal_setup(NULL) < 0, "EAL");
	pool = rte_pktmbuf_pool_create("op_bench", POOL, POOL_CACHE, 0, DATA_ROOM, SOCKET_ID_ANY);
	check(pool == NULL, "mbufs");
	for (int round = 0; round < (instructions || by_step ? 1 : ROUNDS); round++) {
		for (size_t i = 0; i < RTE_DIM(loads); i++) {
			if (some && !results[i].wanted)
				continue;
			if (by_step && loads[i].idle == 0)
				steps(&loads[i], pool);
			else if (instructions)
				count(&loads[i], pool);
			else
				measure(&loads[i], &results[i], pool, divisor);
		}
	}
	if (!instructions && !by_step)
		print_all(csv);
	close_world(&worlds[0]);
	check(!rte_mempool_full(pool), "mbufs are missing");
	rte_mempool_free(pool);
	return eal_teardown(NULL) == 0 ? 0 : 1;
}
