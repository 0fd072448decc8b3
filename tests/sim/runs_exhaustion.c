/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that can run out does so once, at every moment of a handshake: memory while a node boots,
 * mbufs, queue pairs and regions while it runs. Nothing is lost, and as soon as there is enough again
 * the session comes up.
 */
#include "sim.h"

enum {
	DELAY_NS = 10000, /* one way */
	UP_LIMIT_MS = 500,
	CALM_MS = 12,
	AFTER_UP = 20,	    /* events behind the handshake that things run out at, too */
	ALLOCATIONS = 1000, /* more than a node makes */
	MBUFS_MAX = 8192,
	TAKEN_QPN = 0x700000,
	TAKEN_PD = 0x7fff0001,
	TAKEN_MAX = 64,
	SCARCE_US = 1500, /* for so long */
};

static struct rte_mbuf *taken[MBUFS_MAX];
static uint8_t somewhere[64];

static void
start_pair(struct sim_world *w)
{
	struct sim_node_config cfg;

	sim_world_reset(w, 1, SIM_MESH, 2, DELAY_NS);
	w->exact = true;
	w->keep_config = true;
	sim_node_default(&cfg);
	cfg.traffic_ns = SIM_MS;
	sim_node_boot(w, &w->nodes[0], &cfg);
	sim_node_boot(w, &w->nodes[1], &cfg);
}

static uint64_t
events_until_up(struct sim_world *w)
{
	uint64_t n;

	start_pair(w);
	sim_pair_until_up(w, UP_LIMIT_MS);
	n = w->n_events + AFTER_UP;
	sim_world_end(w);
	return n;
}

/* Up again, for good, and everything is as it was. */
static uint64_t
recover(struct sim_world *w)
{
	uint64_t took = sim_pair_until_up(w, UP_LIMIT_MS);

	w->settled = true;
	sim_world_run(w, CALM_MS * SIM_MS);
	w->settled = false;
	SIM_CHECK(w, sim_both_up(w, 0, 1), "what was up does not stay up");
	for (uint32_t i = 0; i < 2; i++) {
		const struct sim_node *n = &w->nodes[i];
		uint32_t ports = n->peers[0].n_ports;

		SIM_CHECK(w,
			n->engine->qp_table.used == 1 + ports &&
				n->engine->mr_table.used == CCM_REGION_KEYS + ports,
			"node %u has %u queue pairs and %u regions for %u ports", i,
			n->engine->qp_table.used, n->engine->mr_table.used, ports);
	}
	sim_world_end(w); /* which looks for mbufs and memory */
	return took;
}

/* Allocation k of a node that boots fails: it says so, leaves nothing, and boots the next time. */
static void
run_memory(struct sim_world *w)
{
	struct sim_node_config cfg;
	uint32_t k;

	sim_node_default(&cfg);
	for (k = 1; k < ALLOCATIONS; k++) {
		struct sim_node *n = &w->nodes[0];

		sim_world_reset(w, k, SIM_MESH, 2, DELAY_NS);
		w->exact = true;
		sim_memory_fail_at(k);
		if (sim_node_try_boot(w, n, &cfg))
			break; /* it makes no more of them */
		SIM_CHECK(w, n->arena.live == 0,
			"a node that cannot boot leaves %u pieces of memory", n->arena.live);
		sim_memory_fail_at(0);
		sim_node_boot(w, n, &cfg);
		sim_node_boot(w, &w->nodes[1], &cfg);
		sim_pair_until_up(w, UP_LIMIT_MS);
		sim_world_end(w);
	}
	SIM_CHECK(w, k > 4 && k < ALLOCATIONS, "%u allocations in a boot", k);
	sim_memory_fail_at(0);
	sim_world_end(w);
	printf("exhaustion: each of %u allocations of a boot has failed once\n", k - 1);
}

/* From event k on there is no mbuf, for a while. */
static uint64_t
run_mbufs(struct sim_world *w, uint64_t k)
{
	uint32_t n = 0;

	start_pair(w);
	sim_pair_to_event(w, k);
	while (n < MBUFS_MAX && (taken[n] = rte_pktmbuf_alloc(w->pool)) != NULL)
		n++;
	SIM_CHECK(w, n < MBUFS_MAX, "the pool has no end");
	w->starving = true;
	sim_truth_pause(&w->nodes[0], w->now + SCARCE_US * SIM_US);
	sim_truth_pause(&w->nodes[1], w->now + SCARCE_US * SIM_US);
	sim_world_run(w, SCARCE_US * SIM_US);
	w->starving = false;
	while (n != 0)
		rte_pktmbuf_free(taken[--n]);
	return recover(w);
}

/* From event k on one node's engine has no room for a queue pair, or for a region. */
static uint64_t
run_objects(struct sim_world *w, uint64_t k, uint32_t node, bool regions)
{
	struct sim_node *n = &w->nodes[node];
	struct remu_qp *qps[TAKEN_MAX];
	uint32_t count = 0;
	int rc = 0;

	start_pair(w);
	sim_pair_to_event(w, k);
	/* Without its bootstrap queue pair a node does not begin at all: that is for the unit tests. */
	if (n->peers[0].state == CCM_DOWN)
		return recover(w);
	for (; count < TAKEN_MAX && rc == 0; count += rc == 0) {
		if (regions)
			rc = remu_mr_register(n->engine,
				&(struct remu_mr_config){.addr = somewhere,
					.va = SIM_VA,
					.length = sizeof(somewhere),
					.rkey = 1 + count,
					.pd = TAKEN_PD});
		else
			rc = remu_qp_create(n->engine,
				&(struct remu_qp_config){.qpn = TAKEN_QPN + count, .pd = TAKEN_PD},
				&qps[count]);
	}
	SIM_CHECK(w, count < TAKEN_MAX, "an engine without limit");
	n->taken_qps = regions ? 0 : count;
	n->taken_mrs = regions ? count : 0;
	sim_truth_pause(n, w->now + SCARCE_US * SIM_US);
	sim_world_run(w, SCARCE_US * SIM_US);
	n->taken_qps = n->taken_mrs = 0;
	while (count-- != 0) {
		if (regions)
			remu_mr_deregister(n->engine, TAKEN_PD, 1 + count);
		else
			remu_qp_destroy(n->engine, qps[count]);
	}
	return recover(w);
}

int
sim_run_exhaustion(struct sim_world *w, const struct sim_options *opt)
{
	uint64_t events, mbufs = 0, objects = 0, runs = 0;

	w->verbose = opt->verbose;
	run_memory(w);
	events = events_until_up(w);
	for (uint64_t k = 1; k <= events; k++) {
		mbufs = RTE_MAX(mbufs, run_mbufs(w, k));
		for (uint32_t i = 0; i < 4; i++)
			objects = RTE_MAX(objects, run_objects(w, k, i & 1, i >> 1));
		runs++;
	}
	printf("exhaustion: no mbufs from each of %lu events: up %.3f ms after the end; no queue "
	       "pairs, or regions, at either node: %.3f ms\n",
		(unsigned long)runs, (double)mbufs / 1e6, (double)objects / 1e6);
	return 0;
}
