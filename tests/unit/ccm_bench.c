/* SPDX-License-Identifier: BSD-3-Clause */
#include "ccm_bench.h"
#include "eal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL = 4095, BURST = 32 };

uint64_t
ccm_bench_rand64(void *ctx)
{
	struct ccm_bench *b = ctx;
	uint64_t z;

	if (b->n_script != 0) {
		b->n_script--;
		return *b->script++;
	}
	z = b->rng += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void
on_client(void *ctx, const struct ccm_client_event *ev)
{
	struct ccm_bench_client *c = ctx;

	switch (ev->kind) {
	case CCM_CLIENT_UP:
		assert_int_equal(c->ups, c->downs);
		assert_int_equal(c->releases, c->downs);
		c->ups++;
		c->n_ports = ev->n_ports;
		memcpy(c->ports, ev->ports, ev->n_ports * sizeof(c->ports[0]));
		break;
	case CCM_CLIENT_DOWN:
		c->downs++;
		assert_int_equal(c->ups, c->downs);
		c->reason = ev->reason;
		break;
	case CCM_CLIENT_RELEASED:
		c->releases++;
		assert_int_equal(c->ups, c->downs);
		assert_int_equal(c->releases, c->downs);
		assert_int_equal(ev->n_ports, c->n_ports);
		/* No engine knows them any more: nothing can use a buffer. */
		for (uint32_t i = 0; i < ev->n_ports; i++)
			for (uint32_t e = 0; e < c->bench->n_engines; e++)
				assert_null(remu_qp_find(c->bench->engines[e], ev->ports[i].qpn));
		break;
	case CCM_CLIENT_ADVICE:
		break;
	case CCM_CLIENT_COMPLETED:
		/* Never after DOWN. */
		assert_int_equal(c->ups, c->downs + 1);
		assert_int_equal(ev->n_ports, 1);
		assert_true(c->completions < CCM_BENCH_LOG);
		c->done[c->completions].handle = ev->ports[0].handle;
		c->done[c->completions].wr_id = ev->wr_id;
		c->done[c->completions].byte_len = ev->byte_len;
		c->done[c->completions++].status = ev->status;
		break;
	case CCM_CLIENT_GONE:
		assert_int_equal(c->ups, c->downs);
		c->handle = NULL;
		c->gone++;
		break;
	}
}

static uint64_t
or_default(uint64_t value, uint64_t otherwise)
{
	return value != 0 ? value : otherwise;
}

struct remu_engine *
ccm_bench_engine(struct ccm_bench *b, uint32_t id, uint32_t n_engines, uint32_t max_qps,
	uint8_t mac, uint32_t ip)
{
	struct remu_engine_config cfg = {
		.pool = b->pool,
		.mac = {2, 0, 0, 0, 0, mac},
		.gid = roce_gid_ipv4(ip),
		.id = id,
		.n_engines = n_engines,
		.max_qps = max_qps,
		.max_mrs = max_qps + 16,
		.sq_depth = CCM_PORT_DEPTH,
		.window = 64,
		.socket_id = -1,
	};
	struct remu_engine *e;

	assert_int_equal(remu_engine_create(&cfg, &e), 0);
	return e;
}

static struct ccm_config
node_config(const struct ccm_bench_config *cfg)
{
	struct ccm_config node = {
		.node_id = CCM_BENCH_NODE,
		.name = "node",
		.cluster = "lab",
		.path_mtu = 1024,
		.va = CCM_BENCH_VA,
		.rkey = CCM_BENCH_RKEY,
		.timing = {.beat_us = 1000,
			.dead_after_us = 10000,
			.retry_us = 200,
			.retry_cnt = 3,
			.search_us = 100000},
		.n_partners = 1,
		.partners = {cfg->partner},
	};

	if (cfg->partner.id == 0)
		node.partners[0] = (struct ccm_partner_config){
			.id = CCM_BENCH_NODE,
			.mac = {2, 0, 0, 0, 0, CCM_BENCH_NODE},
			.ip = CCM_BENCH_IP,
			.qpn = CCM_BENCH_QPN,
			.remote_qpn = CCM_BENCH_QPN,
			.va = CCM_BENCH_VA,
			.rkey = CCM_BENCH_RKEY,
		};
	return node;
}

static void
register_clients(struct ccm_bench *b, const struct ccm_client_config *clients, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		b->clients[i].bench = b;
		assert_int_equal(ccm_client_register(b->ccm, &clients[i], on_client, &b->clients[i],
					 &b->clients[i].handle),
			0);
	}
}

void
ccm_bench_open(struct ccm_bench *b, const struct ccm_bench_config *cfg)
{
	struct ccm_client_config clients[CCM_MAX_CLIENTS] = {0};
	uint32_t n_clients = (uint32_t)or_default(cfg->n_clients, 1);
	struct ccm_env env = {.rand64 = ccm_bench_rand64, .ctx = b};

	memset(b, 0, sizeof(*b));
	b->n_engines = (uint32_t)or_default(cfg->n_engines, 1);
	b->rng = cfg->seed;
	b->now = 1000 * (uint64_t)CCM_BENCH_MS;
	b->pool = eal_pool(POOL);
	b->cfg = node_config(cfg);
	env.n_engines = b->n_engines;
	for (uint32_t i = 0; i < b->n_engines; i++) {
		b->engines[i] = ccm_bench_engine(b, i, b->n_engines,
			(uint32_t)or_default(cfg->max_qps, 256), CCM_BENCH_NODE, CCM_BENCH_IP);
		assert_int_equal(remu_channel_create(b->engines[i],
					 (uint32_t)or_default(cfg->depth, 256), &b->channels[i]),
			0);
		env.channels[i] = b->channels[i];
	}
	for (uint32_t i = 0; i < n_clients; i++) {
		snprintf(clients[i].name, sizeof(clients[i].name), "client%02u", i);
		clients[i].ports = (uint16_t)or_default(cfg->ports, 4);
		clients[i].memory = clients[i].ports * or_default(cfg->memory, 8192);
	}
	env.memory_size = ccm_memory_size(&b->cfg, clients, n_clients);
	b->memory = aligned_alloc(CCM_PAGE, env.memory_size);
	assert_non_null(b->memory);
	memset(b->memory, 0, env.memory_size);
	env.memory = b->memory;
	assert_int_equal(ccm_create(&b->cfg, &env, &b->ccm), 0);
	register_clients(b, clients, n_clients);
	b->peer = &b->ccm->peers[0];
	b->peer->port_memory = b->memory + CCM_PEER_SIZE; /* as the first ccm_poll() deals it out */
}

void
ccm_bench_close(struct ccm_bench *b)
{
	ccm_destroy(b->ccm);
	for (uint32_t i = 0; i < b->n_engines; i++)
		remu_engine_destroy(b->engines[i]);
	remu_engine_destroy(b->partner);
	free(b->memory);
	eal_pool_free(b->pool);
}

/* To whom a frame goes; NULL: it is lost. */
static struct remu_engine *
receiver(const struct ccm_bench *b, const struct rte_mbuf *m)
{
	struct roce_packet pkt;

	assert_int_equal(roce_decode(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &pkt),
		REMU_DROP_NONE);
	if (b->tap != NULL && !b->tap(b->arg, &pkt))
		return NULL;
	return pkt.dst_mac[5] == CCM_BENCH_NODE
		? b->engines[remu_qpn_owner(pkt.f.dest_qpn, b->n_engines)]
		: b->partner;
}

static void
deliver_all(struct ccm_bench *b, struct remu_engine *from)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n;

	if (from == NULL)
		return;
	remu_engine_poll(from, b->now);
	while ((n = remu_engine_tx(from, pkts, BURST, b->now)) != 0) {
		for (uint16_t i = 0; i < n; i++) {
			struct remu_engine *to = receiver(b, pkts[i]);

			if (to != NULL)
				remu_engine_rx(to, &pkts[i], 1, b->now);
			else
				rte_pktmbuf_free(pkts[i]);
		}
	}
}

void
ccm_bench_engines(struct ccm_bench *b)
{
	for (uint32_t i = 0; i < b->n_engines; i++)
		deliver_all(b, b->engines[i]);
	deliver_all(b, b->partner);
	b->now += CCM_BENCH_STEP_NS;
}

void
ccm_bench_turn(struct ccm_bench *b)
{
	ccm_poll(b->ccm, b->now);
	ccm_bench_engines(b);
}

void
ccm_bench_run_to(struct ccm_bench *b, enum ccm_state state, uint64_t limit_ns)
{
	uint64_t end = b->now + limit_ns;

	while (b->peer->session.state != state) {
		if (b->now > end)
			fail_msg("still %s (%s), not %s", ccm_state_name(b->peer->session.state),
				ccm_reason_name(b->peer->session.reason), ccm_state_name(state));
		ccm_bench_turn(b);
	}
}

void
ccm_bench_run(struct ccm_bench *b, uint64_t ns)
{
	for (uint64_t end = b->now + ns; b->now < end;)
		ccm_bench_turn(b);
}

uint32_t
ccm_bench_qps(const struct ccm_bench *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n_engines; i++)
		n += b->engines[i]->qp_table.used;
	return n;
}

uint32_t
ccm_bench_mrs(const struct ccm_bench *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n_engines; i++)
		n += b->engines[i]->mr_table.used;
	return n;
}
