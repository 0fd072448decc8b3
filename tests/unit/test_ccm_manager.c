/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole nodes in one process: managers over engines over a wire with a virtual clock. The wire
 * takes half a round trip and can lose frames; a node can crash and start again.
 */
#include "ccm.h"
#include "rdma_emul.h"

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	HALF_RTT_NS = 5000,
	STEP_NS = 500,
	MS = 1000 * 1000,
	WIRE = 4096,
	CHUNK = 3000,
};

struct node {
	uint16_t id;
	bool running;
	bool control_stopped;
	struct remu_engine *engine;
	struct remu_channel *channel;
	struct ccm *ccm;
	void *memory;
	size_t memory_size;
	/* What the client of this node has seen. */
	uint32_t ups;
	uint32_t downs;
	uint32_t completions;
	struct ccm_port port;
	uint8_t pattern[CHUNK];
	uint8_t back[CHUNK];
	bool verified;
	/* Frames on their way to this node. */
	struct {
		struct rte_mbuf *m;
		uint64_t at;
	} wire[WIRE];
	uint32_t wire_head, wire_tail;
};

struct world {
	uint64_t now;
	uint64_t rng;
	uint32_t loss_percent;
	bool cut[2]; /* towards node i */
	struct node nodes[2];
	uint32_t client_ports;
	uint16_t version_min[2], version_max[2];
	const char *cluster[2];
};

static struct rte_mempool *pool;

static uint64_t
next_random(void *ctx)
{
	struct world *w = ctx;

	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng * 0x2545f4914f6cdd1du;
}

static void
on_client(void *ctx, const struct ccm_client_event *ev)
{
	struct node *n = ctx;

	switch (ev->kind) {
	case CCM_CLIENT_UP:
		assert_int_equal(n->ups, n->downs);
		n->ups++;
		n->port = ev->ports[0];
		n->verified = false;
		memset(n->back, 0, sizeof(n->back));
		for (uint32_t i = 0; i < CHUNK; i++)
			n->pattern[i] = (uint8_t)(i * 7 + n->id + n->ups);
		/* Each node writes to a place of its own in the other's memory. */
		assert_int_equal(ccm_port_post(n->ccm, n->port.handle, CCM_PORT_WRITE, n->pattern,
					 n->id * CHUNK, CHUNK, 1),
			0);
		assert_int_equal(ccm_port_post(n->ccm, n->port.handle, CCM_PORT_READ, n->back,
					 n->id * CHUNK, CHUNK, 2),
			0);
		break;
	case CCM_CLIENT_DOWN:
		n->downs++;
		assert_int_equal(n->ups, n->downs);
		break;
	case CCM_CLIENT_COMPLETED:
		n->completions++;
		if (ev->wr_id == 2 && ev->status == REMU_WC_SUCCESS)
			n->verified = memcmp(n->back, n->pattern, CHUNK) == 0;
		break;
	}
}

static void
node_start(struct world *w, uint32_t i)
{
	struct node *n = &w->nodes[i];
	struct ccm_client_config client = {.name = "log", .ports = 2, .memory = 64 * 1024};
	struct ccm_client *handle;
	struct ccm_config cfg = {
		.node_id = n->id,
		.name = "n",
		.path_mtu = 1024,
		.version_min = w->version_min[i],
		.version_max = w->version_max[i],
		.va = 0x100000,
		.rkey = 0xc0de0001,
		.timing = {.beat_us = 1000,
			.dead_after_us = 10000,
			.retry_us = 200,
			.retry_cnt = 3,
			.search_us = 100000},
		.n_partners = 1,
		.partners = {{.id = w->nodes[1 - i].id,
			.mac = {2, 0, 0, 0, 0, (uint8_t)w->nodes[1 - i].id},
			.ip = 0xc0000200u + w->nodes[1 - i].id,
			.qpn = 0x100,
			.remote_qpn = 0x100,
			.va = 0x100000,
			.rkey = 0xc0de0001}},
	};
	struct remu_engine_config ecfg = {
		.pool = pool,
		.mac = {2, 0, 0, 0, 0, (uint8_t)n->id},
		.gid = roce_gid_ipv4(0xc0000200u + n->id),
		.n_engines = 1,
		.max_qps = 16,
		.max_mrs = 16,
		.sq_depth = 64,
		.window = 64,
		.socket_id = -1,
	};
	struct ccm_env env = {.rand64 = next_random, .ctx = w, .n_engines = 1};

	snprintf(cfg.cluster, sizeof(cfg.cluster), "%s",
		w->cluster[i] != NULL ? w->cluster[i] : "lab");
	n->memory_size = ccm_memory_size(&cfg, &client, 1);
	n->memory = aligned_alloc(4096, n->memory_size);
	memset(n->memory, 0, n->memory_size);
	assert_int_equal(remu_engine_create(&ecfg, &n->engine), 0);
	assert_int_equal(remu_channel_create(n->engine, 256, &n->channel), 0);
	env.channels[0] = n->channel;
	env.memory = n->memory;
	env.memory_size = n->memory_size;
	assert_int_equal(ccm_create(&cfg, &env, &n->ccm), 0);
	assert_int_equal(ccm_client_register(n->ccm, &client, on_client, n, &handle), 0);
	n->ups = n->downs = n->completions = 0;
	n->running = true;
}

static void
node_crash(struct world *w, uint32_t i)
{
	struct node *n = &w->nodes[i];

	if (!n->running)
		return;
	n->running = false;
	ccm_destroy(n->ccm);
	remu_engine_destroy(n->engine);
	free(n->memory);
}

static void
node_turn(struct world *w, uint32_t i)
{
	struct node *n = &w->nodes[i], *other = &w->nodes[1 - i];
	struct rte_mbuf *pkts[32];
	uint16_t k;

	while (n->wire_head != n->wire_tail && n->wire[n->wire_head % WIRE].at <= w->now) {
		struct rte_mbuf *m = n->wire[n->wire_head++ % WIRE].m;

		if (n->running && !w->cut[i] && next_random(w) % 100 >= w->loss_percent)
			remu_engine_rx(n->engine, &m, 1, w->now);
		else
			rte_pktmbuf_free(m);
	}
	if (!n->running)
		return;
	if (!n->control_stopped)
		ccm_poll(n->ccm, w->now);
	remu_engine_poll(n->engine, w->now);
	if (!n->control_stopped)
		ccm_poll(n->ccm, w->now);
	remu_engine_poll(n->engine, w->now);
	while ((k = remu_engine_tx(n->engine, pkts, 32, w->now)) != 0) {
		for (uint16_t j = 0; j < k; j++) {
			assert_true(other->wire_tail - other->wire_head < WIRE);
			other->wire[other->wire_tail % WIRE].m = pkts[j];
			other->wire[other->wire_tail++ % WIRE].at = w->now + HALF_RTT_NS;
		}
	}
}

static void
run(struct world *w, uint64_t ns)
{
	for (uint64_t end = w->now + ns; w->now < end; w->now += STEP_NS) {
		node_turn(w, 0);
		node_turn(w, 1);
	}
}

static struct ccm_partner_status
status(struct world *w, uint32_t i)
{
	struct ccm_partner_status s;

	assert_int_equal(ccm_read_partner(w->nodes[i].ccm, 0, &s), 0);
	return s;
}

static bool
both_up(struct world *w)
{
	return w->nodes[0].running && w->nodes[1].running && status(w, 0).state == CCM_UP &&
		status(w, 1).state == CCM_UP && w->nodes[0].verified && w->nodes[1].verified;
}

/* Time until both are up and have verified data; fails after the limit. */
static uint64_t
run_until_up(struct world *w, uint64_t limit)
{
	uint64_t start = w->now;

	while (!both_up(w)) {
		if (w->now - start > limit)
			print_message("states %s (%s), %s (%s)\n",
				ccm_state_name(status(w, 0).state),
				ccm_reason_name(status(w, 0).reason),
				ccm_state_name(status(w, 1).state),
				ccm_reason_name(status(w, 1).reason));
		assert_true(w->now - start <= limit);
		run(w, STEP_NS);
	}
	return w->now - start;
}

static struct world *
world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	w->now = 1000 * (uint64_t)MS;
	w->rng = seed * 0x9e3779b97f4a7c15u + 1;
	w->nodes[0].id = 1;
	w->nodes[1].id = 2;
	return w;
}

static void
world_free(struct world *w)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct node *n = &w->nodes[i];

		node_crash(w, i);
		while (n->wire_head != n->wire_tail)
			rte_pktmbuf_free(n->wire[n->wire_head++ % WIRE].m);
	}
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	free(w);
}

static void
poll__both_start_together(void **state)
{
	struct world *w = world_new(1);
	struct ccm_partner_status s;

	(void)state;
	node_start(w, 0);
	node_start(w, 1);
	run_until_up(w, 1 * MS);
	s = status(w, 0);
	assert_int_equal(s.version, 1);
	assert_int_equal(s.path_mtu, 1024);
	assert_int_equal(s.n_ports, 2);
	assert_true(s.setup_ns > 0 && s.setup_ns <= 6 * 2 * HALF_RTT_NS + 20 * STEP_NS);
	world_free(w);
}

static void
poll__start_order_does_not_matter(void **state)
{
	(void)state;
	for (uint32_t first = 0; first < 2; first++) {
		struct world *w = world_new(first + 1);
		uint64_t start;

		node_start(w, first);
		run(w, 500 * (uint64_t)MS);
		assert_int_equal(status(w, first).state, CCM_SEARCH);
		assert_int_equal(status(w, first).reason, CCM_REASON_NO_ANSWER);
		node_start(w, 1 - first);
		start = w->now;
		run_until_up(w, 2 * MS);
		/* Six round trips after the later one's first READ, and what the data takes. */
		print_message("up and data verified %lu ns after the later node's start\n",
			(unsigned long)(w->now - start));
		assert_true(status(w, 1 - first).setup_ns <= 6 * 2 * HALF_RTT_NS + 20 * STEP_NS);
		world_free(w);
	}
}

static void
poll__survives_crashes(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 20; round++) {
		struct world *w = world_new(round + 1);
		uint32_t victim = round & 1;

		node_start(w, 0);
		node_start(w, 1);
		run_until_up(w, 2 * MS);
		for (uint32_t i = 0; i < 5; i++) {
			uint32_t downs = w->nodes[1 - victim].downs;

			node_crash(w, victim);
			run(w, (uint64_t)(next_random(w) % 30) * MS);
			node_start(w, victim);
			run_until_up(w, 500 * (uint64_t)MS);
			assert_true(w->nodes[1 - victim].downs > downs);
		}
		world_free(w);
	}
}

static void
poll__lossy_wire(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 30; seed++) {
		struct world *w = world_new(seed);

		w->loss_percent = seed % 3 * 10;
		node_start(w, 0);
		run(w, next_random(w) % MS);
		node_start(w, 1);
		run_until_up(w, 1000 * (uint64_t)MS);
		world_free(w);
	}
}

static void
poll__partition_heals(void **state)
{
	struct world *w = world_new(3);

	(void)state;
	node_start(w, 0);
	node_start(w, 1);
	run_until_up(w, 2 * MS);
	for (uint32_t way = 0; way < 2; way++) {
		w->cut[way] = true;
		run(w, 40 * MS);
		assert_int_not_equal(status(w, 0).state, CCM_UP);
		assert_int_not_equal(status(w, 1).state, CCM_UP);
		w->cut[way] = false;
		run_until_up(w, 500 * (uint64_t)MS);
	}
	world_free(w);
}

static void
poll__status_is_served_while_control_core_stands(void **state)
{
	struct world *w = world_new(4);
	uint64_t reads;

	(void)state;
	node_start(w, 0);
	node_start(w, 1);
	run_until_up(w, 2 * MS);
	w->nodes[1].control_stopped = true;
	reads = remu_engine_stats(w->nodes[1].engine)->reads_executed;
	run(w, 30 * MS);
	/* Its NIC answers, but its beats stand still: hung, not unreachable. */
	assert_true(remu_engine_stats(w->nodes[1].engine)->reads_executed > reads + 10);
	assert_int_not_equal(status(w, 0).state, CCM_UP);
	assert_int_equal(status(w, 0).last_down_reason, CCM_REASON_PARTNER_HUNG);
	w->nodes[1].control_stopped = false;
	run_until_up(w, 500 * (uint64_t)MS);
	world_free(w);
}

static void
stop__partner_is_told(void **state)
{
	struct world *w = world_new(5);

	(void)state;
	node_start(w, 0);
	node_start(w, 1);
	run_until_up(w, 2 * MS);
	ccm_stop(w->nodes[1].ccm, w->now);
	run(w, 5 * MS);
	assert_int_equal(status(w, 0).last_down_reason, CCM_REASON_PARTNER_LEAVING);
	assert_int_equal(w->nodes[0].downs, 1);
	assert_int_equal(w->nodes[1].downs, 1);
	run(w, 100 * MS);
	assert_true(ccm_stopped(w->nodes[1].ccm));
	world_free(w);
}

static void
poll__versions_without_overlap_are_refused(void **state)
{
	struct world *w = world_new(6);

	(void)state;
	w->version_min[0] = w->version_max[0] = 1;
	w->version_min[1] = w->version_max[1] = 2;
	node_start(w, 0);
	node_start(w, 1);
	run(w, 20 * MS);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(status(w, i).state, CCM_REFUSED);
		assert_int_equal(status(w, i).reason, CCM_REASON_VERSION);
	}
	world_free(w);
}

static void
poll__other_cluster_is_refused(void **state)
{
	struct world *w = world_new(7);

	(void)state;
	w->cluster[1] = "other";
	node_start(w, 0);
	node_start(w, 1);
	run(w, 20 * MS);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(status(w, i).state, CCM_REFUSED);
		assert_int_equal(status(w, i).reason, CCM_REASON_WRONG_CLUSTER);
	}
	world_free(w);
}

static int
setup_eal(void **state)
{
	const char *argv[] = {"test", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf",
		"-m", "256", "-l", "0", "--log-level=3"};

	(void)state;
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])), (char **)(uintptr_t)argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("pool", 8191, 0, 0, 2048, SOCKET_ID_ANY);
	return pool != NULL ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poll__both_start_together),
		cmocka_unit_test(poll__start_order_does_not_matter),
		cmocka_unit_test(poll__survives_crashes),
		cmocka_unit_test(poll__lossy_wire),
		cmocka_unit_test(poll__partition_heals),
		cmocka_unit_test(poll__status_is_served_while_control_core_stands),
		cmocka_unit_test(stop__partner_is_told),
		cmocka_unit_test(poll__versions_without_overlap_are_refused),
		cmocka_unit_test(poll__other_cluster_is_refused),
	};

	return cmocka_run_group_tests_name("ccm_manager", tests, setup_eal, NULL);
}
