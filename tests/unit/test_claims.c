/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Claims of doc/claims.md that no other test checks as a whole: two managers over engines over two
 * links in virtual time, seen from outside only: by the frames between them, by what clients are
 * told and by what any thread may read.
 */
#include "ccm.h"
#include "ccm_directory.h"
#include "ccm_record.h"
#include "eal.h"
#include "link.h"
#include "rdma_emul.h"
#include "roce_packet.h"

#include <rte_mbuf.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
	HALF_RTT_NS = 5000,
	STEP_NS = 500,
	MS = 1000 * 1000,
	FRAME_MAX = 1200, /* a WRITE of 1024 bytes and its headers */
	FRAMES = 4096,
	MBUFS = 2047,
	BOOTSTRAP_QPN = 0x100, /* of node i: this and i */
	RKEY = 0xc0de0001,
	IP = 0xc0000200, /* of node i: this and its id */
	DATA_LEN = 2048,
	APPS = 3,
	OPS = 64,
	WRITE_LEN = 1000,
	LOG = 64,
};
static const uint64_t bootstrap_va = 0x100000;

/* Moments, in the order in which they come; 0: not yet. */
enum moment {
	NO_MOMENT,
	SEARCH_BEGINS,
	RECORD_READ, /* the partner's record has been READ */
	BOUND,
	DIRECTORY_HERE,	  /* the partner has written its client information into our memory */
	PORTS,		  /* ours exist */
	READY,		  /* the partner's are verified */
	PARTNER_IS_READY, /* the partner has told us so */
	CLIENTS_TOLD,
	FOUR_STEPS, /* have succeeded in a row */
	MOMENTS
};

struct node;

/* A client of a node, a "peer process". */
struct app {
	struct node *node;
	struct ccm_client_config cfg;
	struct ccm_client *handle;
	uint32_t ups, downs, completions;
	uint16_t n_ports;
	struct ccm_port port; /* the first */
	uint64_t last_wr_id;
	uint8_t out[DATA_LEN], back[DATA_LEN];
};

struct node {
	struct world *world;
	uint32_t index;
	uint16_t id;
	bool running;
	bool control_stopped;
	struct remu_engine *engine;
	struct remu_channel *channel;
	struct ccm *ccm;
	uint8_t *memory;
	struct app apps[APPS];
	uint64_t at[MOMENTS];
};

struct world {
	uint64_t now;
	uint64_t rng;
	uint64_t n_moments;
	struct link links[2]; /* towards node i */
	struct node nodes[2];
	enum ccm_role role[2];
	uint32_t rkey_error, slot_rkey; /* what node 0 has wrong about the keys of node 1 */
	/* Sees every frame; false loses it. */
	bool (*on_send)(struct world *w, uint32_t from, const struct roce_packet *pkt);
	void (*on_arrival)(struct world *w, uint32_t to, const struct roce_packet *pkt);
};

static struct rte_mempool *pool;
static struct link_pool frames;
static void *frame_memory;
static const struct link_config quiet = {.delay_ns = HALF_RTT_NS};

static uint64_t
rnd(void *ctx)
{
	struct world *w = ctx;
	uint64_t z = w->rng += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* The first time that it happens is what counts. */
static void
note(struct node *n, enum moment moment)
{
	if (n->at[moment] == 0)
		n->at[moment] = ++n->world->n_moments;
}

static void
on_event(void *ctx, const struct ccm_event *ev)
{
	static const enum moment moments[CCM_STATE_COUNT] = {
		[CCM_SEARCH] = SEARCH_BEGINS,
		[CCM_BOUND] = BOUND,
		[CCM_PORTS] = PORTS,
		[CCM_READY] = READY,
	};

	if (ev->kind == CCM_EVENT_STATE && moments[ev->to] != NO_MOMENT)
		note(ctx, moments[ev->to]);
}

static uint64_t
rand_of_node(void *ctx)
{
	return rnd(((struct node *)ctx)->world);
}

static void
on_client(void *ctx, const struct ccm_client_event *ev)
{
	struct app *a = ctx;

	if (ev->kind == CCM_CLIENT_UP) {
		note(a->node, CLIENTS_TOLD);
		assert_int_equal(a->ups++, a->downs);
		a->n_ports = ev->n_ports;
		a->port = ev->ports[0];
	} else if (ev->kind == CCM_CLIENT_DOWN) {
		assert_int_equal(++a->downs, a->ups);
	} else if (ev->kind == CCM_CLIENT_COMPLETED) {
		/* Each once, in the order of posting. */
		assert_int_equal(ev->status, REMU_WC_SUCCESS);
		assert_int_equal(ev->wr_id, a->last_wr_id + 1);
		a->last_wr_id = ev->wr_id;
		a->completions++;
	}
}

/* ---- the world ---- */

/* As agreed beforehand: the same at each start. */
static struct ccm_config
node_config(const struct world *w, uint32_t i)
{
	uint16_t other = w->nodes[1 - i].id;

	return (struct ccm_config){
		.node_id = w->nodes[i].id,
		.role = w->role[i],
		.name = "node",
		.cluster = "lab",
		.path_mtu = 1024,
		.va = bootstrap_va,
		.rkey = RKEY,
		.timing = {.beat_us = 1000,
			.dead_after_us = 10000,
			.retry_us = 200,
			.retry_cnt = 3,
			.search_us = 10000},
		.n_partners = 1,
		.partners = {{.id = other,
			.mac = {2, 0, 0, 0, 0, (uint8_t)other},
			.ip = IP + other,
			.qpn = BOOTSTRAP_QPN + i,
			.remote_qpn = BOOTSTRAP_QPN + 1 - i,
			.va = bootstrap_va,
			.rkey = RKEY + (i == 0 ? w->rkey_error : 0),
			.slot_rkey = i == 0 ? w->slot_rkey : 0}},
	};
}

static void
node_start(struct world *w, uint32_t i)
{
	static const struct ccm_client_config most = {.ports = 16, .memory = 16 * 4096};
	struct node *n = &w->nodes[i];
	struct ccm_config cfg = node_config(w, i);
	struct remu_engine_config ecfg = {
		.pool = pool,
		.mac = {2, 0, 0, 0, 0, (uint8_t)n->id},
		.gid = roce_gid_ipv4(IP + n->id),
		.n_engines = 1,
		.max_qps = 32,
		.max_mrs = 32,
		.sq_depth = 64,
		.window = 64,
		.socket_id = -1,
	};
	struct ccm_env env = {
		.rand64 = rand_of_node,
		.event = on_event,
		.ctx = n,
		.n_engines = 1,
		.memory_size = ccm_memory_size(&cfg, &most, 1),
	};

	memset(n->at, 0, sizeof(n->at));
	n->memory = aligned_alloc(4096, env.memory_size);
	memset(n->memory, 0, env.memory_size);
	assert_int_equal(remu_engine_create(&ecfg, &n->engine), 0);
	assert_int_equal(remu_channel_create(n->engine, 256, &n->channel), 0);
	env.channels[0] = n->channel;
	env.memory = n->memory;
	assert_int_equal(ccm_create(&cfg, &env, &n->ccm), 0);
	for (uint32_t k = 0; k < APPS; k++)
		n->apps[k] = (struct app){.node = n};
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

static struct app *
join(struct world *w, uint32_t node, uint32_t app, const char *name, uint16_t ports,
	uint64_t memory)
{
	struct app *a = &w->nodes[node].apps[app];

	a->cfg.ports = ports;
	a->cfg.memory = memory;
	snprintf(a->cfg.name, sizeof(a->cfg.name), "%s", name);
	assert_int_equal(ccm_client_register(w->nodes[node].ccm, &a->cfg, on_client, a, &a->handle),
		0);
	return a;
}

static struct world *
world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	w->now = 1000 * (uint64_t)MS;
	w->rng = seed;
	for (uint32_t i = 0; i < 2; i++) {
		w->nodes[i].world = w;
		w->nodes[i].index = i;
		w->nodes[i].id = (uint16_t)(i + 1);
		assert_int_equal(link_init(&w->links[i], &frames, 2 * seed + i, &quiet), 0);
	}
	return w;
}

/* Both nodes run, with a client of the same name on each. */
static struct world *
world_with_clients(uint64_t seed)
{
	struct world *w = world_new(seed);

	for (uint32_t i = 0; i < 2; i++) {
		node_start(w, i);
		join(w, i, 0, "log", 1, 4096);
	}
	return w;
}

static void
world_free(struct world *w)
{
	for (uint32_t i = 0; i < 2; i++) {
		node_crash(w, i);
		link_close(&w->links[i]);
	}
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	free(w);
}

/* Whatever a node sends is RoCEv2: to UDP port 4791, or this fails. */
static struct roce_packet
decode(const uint8_t *frame, uint32_t len)
{
	struct roce_packet pkt;

	assert_int_equal(roce_decode(frame, len, &pkt), REMU_DROP_NONE);
	return pkt;
}

static bool
node_receive(struct world *w, uint32_t i)
{
	struct node *n = &w->nodes[i];
	uint8_t frame[FRAME_MAX];
	bool any = false;
	uint32_t len;

	while ((len = link_recv(&w->links[i], frame, sizeof(frame), w->now)) != 0) {
		struct roce_packet pkt = decode(frame, len);
		struct rte_mbuf *m;

		any = true;
		if (!n->running)
			continue;
		if (w->on_arrival != NULL)
			w->on_arrival(w, i, &pkt);
		m = rte_pktmbuf_alloc(pool);
		assert_non_null(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
		remu_engine_rx(n->engine, &m, 1, w->now);
	}
	return any;
}

static bool
node_send(struct world *w, uint32_t i)
{
	struct rte_mbuf *pkts[32];
	bool any = false;
	uint16_t k;

	while ((k = remu_engine_tx(w->nodes[i].engine, pkts, 32, w->now)) != 0) {
		for (uint16_t j = 0; j < k; j++) {
			const uint8_t *data = rte_pktmbuf_mtod(pkts[j], const uint8_t *);
			struct roce_packet pkt = decode(data, pkts[j]->data_len);

			if (w->on_send == NULL || w->on_send(w, i, &pkt))
				link_send(&w->links[1 - i], data, pkts[j]->data_len, w->now);
			rte_pktmbuf_free(pkts[j]);
		}
		any = true;
	}
	return any;
}

static bool
node_turn(struct world *w, uint32_t i)
{
	struct node *n = &w->nodes[i];
	bool busy = node_receive(w, i);

	if (!n->running)
		return busy;
	for (uint32_t twice = 0; twice < 2; twice++) {
		if (!n->control_stopped)
			busy |= ccm_poll(n->ccm, w->now);
		remu_engine_poll(n->engine, w->now);
	}
	return node_send(w, i) || busy;
}

static void
step(struct world *w, uint64_t end)
{
	bool busy = node_turn(w, 0);
	uint64_t at = UINT64_MAX;

	busy |= node_turn(w, 1);
	for (uint32_t i = 0; i < 2 && !busy; i++) {
		const struct node *n = &w->nodes[i];

		at = RTE_MIN(at, link_next(&w->links[i]));
		if (!n->running)
			continue;
		at = RTE_MIN(at, remu_engine_next_deadline(n->engine));
		if (!n->control_stopped)
			at = RTE_MIN(at, ccm_next_deadline(n->ccm));
	}
	w->now = RTE_MIN(RTE_MAX(busy ? 0 : at, w->now + STEP_NS), end);
}

static void
run(struct world *w, uint64_t ns)
{
	for (uint64_t end = w->now + ns; w->now < end;)
		step(w, end);
}

static struct ccm_partner_status
status(const struct world *w, uint32_t i)
{
	struct ccm_partner_status s;

	assert_int_equal(ccm_read_partner(w->nodes[i].ccm, 0, &s), 0);
	return s;
}

static void
run_until_up(struct world *w, uint64_t limit)
{
	uint64_t start = w->now;

	while (status(w, 0).state != CCM_UP || status(w, 1).state != CCM_UP) {
		if (w->now - start > limit)
			fail_msg("states %s (%s), %s (%s)", ccm_state_name(status(w, 0).state),
				ccm_reason_name(status(w, 0).reason),
				ccm_state_name(status(w, 1).state),
				ccm_reason_name(status(w, 1).reason));
		step(w, UINT64_MAX);
	}
}

static void
post(struct app *a, enum ccm_port_op op, uint8_t *local, uint64_t offset, uint32_t length,
	uint64_t wr_id)
{
	assert_int_equal(ccm_port_post(a->node->ccm, a->port.handle, op, local, offset, length,
				 wr_id),
		0);
}

/* Both clients write into the other's memory and read it back: each its half. */
static void
exchange(struct world *w)
{
	enum { HALF = DATA_LEN / 2 };

	for (uint32_t i = 0; i < 2; i++) {
		struct app *a = &w->nodes[i].apps[0];

		for (uint32_t k = 0; k < HALF; k++)
			a->out[k] = (uint8_t)(rnd(w) >> 56);
		memset(a->back, 0, HALF);
		post(a, CCM_PORT_WRITE, a->out, i * HALF, HALF, a->last_wr_id + 1);
		post(a, CCM_PORT_READ, a->back, i * HALF, HALF, a->last_wr_id + 2);
	}
	run(w, MS);
	for (uint32_t i = 0; i < 2; i++) {
		struct app *a = &w->nodes[i].apps[0], *b = &w->nodes[1 - i].apps[0];

		assert_memory_equal(a->back, a->out, HALF);
		assert_memory_equal(b->port.memory + i * HALF, a->out, HALF);
	}
}

static void
expect_order(const struct node *n, enum moment earlier, enum moment later)
{
	if (n->at[earlier] == 0 || n->at[later] <= n->at[earlier])
		fail_msg("node %u: moments %d and %d at %lu and %lu", n->index, earlier, later,
			(unsigned long)n->at[earlier], (unsigned long)n->at[later]);
}

/* ---- claims 1, 11, 13, 16: four steps, and what follows from a failure ---- */

/* The operations of node 0 on the bootstrap queue pair, up to its first four steps in a row. */
static struct {
	uint32_t lose; /* number of the operation that gets no answer */
	uint32_t n;
	uint32_t step; /* of the last one: 0 READ 1 to 3 WRITE 2 */
	bool all_done;
	uint32_t failures[4]; /* by step */
	struct {
		uint32_t psn;
		bool read;
		bool answered;
	} ops[LOG];
} four;

static bool
four_on_send(struct world *w, uint32_t from, const struct roce_packet *pkt)
{
	uint32_t i = 0;
	bool read, failed;

	(void)w;
	if (from != 0 || pkt->f.dest_qpn != BOOTSTRAP_QPN + 1 || !(pkt->op->traits & ROCE_T_RETH) ||
		pkt->f.va == bootstrap_va + CCM_DIR_OFFSET)
		return true;
	while (i < four.n && four.ops[i].psn != pkt->f.psn)
		i++;
	if (i < four.n)
		return i != four.lose; /* repeated */
	read = pkt->f.opcode == ROCE_READ_REQUEST;
	/* News may be written beside WRITE 2 and after it. */
	if (four.all_done || (four.n != 0 && four.step == 3 && !read))
		return true;
	failed = four.n != 0 && !four.ops[four.n - 1].answered;
	if (failed)
		four.failures[four.step]++;
	four.step = four.n == 0 || failed ? 0 : four.step + 1;
	if (read != (four.step % 2 == 0))
		fail_msg("operation %u is a %s", four.n, read ? "READ" : "WRITE");
	assert_true(four.n < LOG);
	four.ops[four.n].psn = pkt->f.psn;
	four.ops[four.n].read = read;
	return four.n++ != four.lose;
}

static void
four_on_arrival(struct world *w, uint32_t to, const struct roce_packet *pkt)
{
	bool nak = (pkt->op->traits & ROCE_T_AETH) && (pkt->f.syndrome & 0x60) != 0;

	if (to != 0 || pkt->f.dest_qpn != BOOTSTRAP_QPN || !(pkt->op->traits & ROCE_T_RESPONSE) ||
		nak || four.n == 0)
		return;
	/* One acknowledgement may stand for several WRITEs. */
	if (((pkt->f.psn - four.ops[four.n - 1].psn) & 0xffffff) > LOG)
		return;
	four.ops[four.n - 1].answered = true;
	four.all_done |= four.step == 3;
	if (four.all_done)
		note(&w->nodes[to], FOUR_STEPS);
}

static void
four_watch(struct world *w, uint32_t lose)
{
	memset(&four, 0, sizeof(four));
	four.lose = lose;
	w->on_send = four_on_send;
	w->on_arrival = four_on_arrival;
}

/* Each step in turn gets no answer: the next is READ 1, and all four come again. */
static void
claim_01__a_step_without_answer_leads_back_to_read_1(void **state)
{
	(void)state;
	for (uint32_t lose = 0; lose < 5; lose++) {
		struct world *w = world_with_clients(lose);
		uint64_t failed;

		four_watch(w, lose);
		run_until_up(w, 100 * (uint64_t)MS);
		run(w, 5 * MS);
		assert_true(four.all_done);
		failed = status(w, 0).reads_failed + status(w, 0).writes_failed;
		if (lose == 4) { /* nothing is lost */
			assert_int_equal(four.n, 4);
			assert_int_equal(failed, 0);
		} else {
			assert_int_equal(four.n, lose + 1 + 4);
			assert_int_equal(four.failures[lose], 1);
			assert_int_equal(failed, 1);
			assert_true(four.ops[lose + 1].read);
		}
		/* Also when the partner has gone ahead meanwhile. */
		expect_order(&w->nodes[0], FOUR_STEPS, CLIENTS_TOLD);
		world_free(w);
	}
}

/* A step that is refused has failed as well: no later one is ever taken. */
static void
claim_01__a_refused_step_leads_back_to_read_1(void **state)
{
	(void)state;
	for (uint32_t refused = 0; refused < 2; refused++) {
		struct world *w = world_new(refused);

		if (refused == 0)
			w->rkey_error = 8;
		else
			w->slot_rkey = RKEY + 8;
		four_watch(w, UINT32_MAX);
		for (uint32_t i = 0; i < 2; i++)
			node_start(w, i);
		run(w, 15 * MS);
		assert_true(four.failures[refused] > 3);
		assert_int_equal(four.failures[1 - refused] + four.failures[2] + four.failures[3],
			0);
		assert_int_not_equal(status(w, 1).state, CCM_UP);
		assert_int_equal(status(w, 0).state, CCM_SEARCH);
		assert_int_equal(status(w, 0).reason, CCM_REASON_ACCESS);
		world_free(w);
	}
}

/* ---- claims 2, 19: READ 1 asks for the status variable ---- */

static const struct ccm_boot_status boot_stages[] = {
	{1, 3, 0, 500, "firmware"},
	{2, 3, 7, 0, "mount"},
	{3, 3, 0, 0, "running"},
};

/* The first request that node 0 sends at all, and what node 1 answers. */
static struct {
	uint32_t requests, answers;
	struct roce_fields request;
	struct ccm_record answer;
} first;

static bool
first_on_send(struct world *w, uint32_t from, const struct roce_packet *pkt)
{
	(void)w;
	if (from == 0 && first.requests == 0) {
		assert_true(pkt->op->traits & ROCE_T_REQUEST);
		first.request = pkt->f;
		first.requests++;
	}
	return true;
}

static void
first_on_arrival(struct world *w, uint32_t to, const struct roce_packet *pkt)
{
	(void)w;
	if (to != 0 || first.answers != 0)
		return;
	assert_int_equal(pkt->f.opcode, ROCE_READ_RESPONSE_ONLY);
	assert_int_equal(pkt->f.psn, first.request.psn);
	assert_int_equal(pkt->payload_len, CCM_RECORD_SIZE);
	assert_int_equal(ccm_record_decode(pkt->payload, &first.answer), CCM_RECORD_OK);
	first.answers++;
}

static void
claim_02__read_1_brings_the_boot_status(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < RTE_DIM(boot_stages); i++) {
		const struct ccm_boot_status *boot = &boot_stages[i];
		struct world *w = world_new(i);

		memset(&first, 0, sizeof(first));
		w->on_send = first_on_send;
		w->on_arrival = first_on_arrival;
		node_start(w, 1);
		assert_int_equal(ccm_boot_report(w->nodes[1].ccm, boot, w->now), 0);
		run(w, MS);
		node_start(w, 0);
		run_until_up(w, 20 * (uint64_t)MS);
		assert_int_equal(first.request.opcode, ROCE_READ_REQUEST);
		assert_int_equal(first.request.va, bootstrap_va + CCM_OUT_OFFSET);
		assert_int_equal(first.request.rkey, RKEY);
		assert_int_equal(first.request.dma_len, CCM_RECORD_SIZE);
		assert_int_equal(first.answers, 1);
		assert_int_equal(first.answer.boot_stage, boot->stage);
		assert_int_equal(first.answer.boot_stages, boot->stages);
		assert_int_equal(first.answer.boot_progress, boot->progress);
		assert_string_equal(first.answer.boot_name, boot->name);
		world_free(w);
	}
}

/* ---- claims 3, 12: what comes after the handshake, in its order ---- */

static void
order_on_arrival(struct world *w, uint32_t to, const struct roce_packet *pkt)
{
	struct node *n = &w->nodes[to];
	struct ccm_record rec;

	four_on_arrival(w, to, pkt);
	if ((pkt->op->traits & ROCE_T_WRITE) && pkt->f.va == bootstrap_va + CCM_DIR_OFFSET)
		note(n, DIRECTORY_HERE);
	if (pkt->payload_len != CCM_RECORD_SIZE ||
		ccm_record_decode(pkt->payload, &rec) != CCM_RECORD_OK)
		return;
	if (pkt->op->traits & ROCE_T_READ)
		note(n, RECORD_READ);
	if (rec.phase == CCM_READY || rec.phase == CCM_UP)
		note(n, PARTNER_IS_READY);
}

static void
claim_03__each_alert_follows_what_it_says(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 40; i++) {
		struct world *w = world_new(i);
		const struct node *a = &w->nodes[0], *b = &w->nodes[1];

		four_watch(w, UINT32_MAX);
		w->on_arrival = order_on_arrival;
		node_start(w, i % 2);
		join(w, i % 2, 0, "log", 2, 8192);
		run(w, i / 2 % 4 * MS / 3);
		node_start(w, 1 - i % 2);
		join(w, 1 - i % 2, 0, "log", 2, 8192);
		run_until_up(w, 20 * (uint64_t)MS);
		for (const struct node *n = a; n <= b; n++) {
			const struct node *other = n == a ? b : a;
			struct remu_qp_info qps[8];

			/* Who the partner is, its clients, our ports, its ports, its word. */
			expect_order(n, SEARCH_BEGINS, RECORD_READ);
			expect_order(n, RECORD_READ, BOUND);
			expect_order(n, BOUND, PORTS);
			expect_order(n, DIRECTORY_HERE, PORTS);
			expect_order(n, PORTS, READY);
			expect_order(n, READY, CLIENTS_TOLD);
			expect_order(n, PARTNER_IS_READY, CLIENTS_TOLD);
			/* It said so when it was so, and not before. */
			assert_true(n->at[PARTNER_IS_READY] > other->at[READY]);
			/* The ports are there: queue pairs beside that of the bootstrap. */
			assert_int_equal(remu_engine_qps(n->engine, 0, qps, 8), 1 + 2);
			assert_true(n->apps[0].ups == 1 && n->apps[0].n_ports == 2);
		}
		expect_order(a, FOUR_STEPS, CLIENTS_TOLD);
		exchange(w);
		world_free(w);
	}
}

/* ---- claims 5, 6, 7: what clients ask for ---- */

/* What stands in a node's directory area is what the other one's clients have asked for. */
static void
expect_directory(const struct world *w, uint32_t at)
{
	const struct node *from = &w->nodes[1 - at];
	struct ccm_directory dir;
	uint32_t n = 0;

	/* The region of the first partner begins at the start of a node's memory. */
	assert_int_equal(ccm_directory_decode(w->nodes[at].memory + CCM_DIR_OFFSET,
				 CCM_REGION_SIZE - CCM_DIR_OFFSET, &dir),
		CCM_DIRECTORY_OK);
	for (uint32_t k = 0; k < APPS; k++) {
		const struct app *a = &from->apps[k];

		if (a->handle == NULL)
			continue;
		assert_true(n < dir.n_clients);
		assert_string_equal(dir.clients[n].name, a->cfg.name);
		assert_int_equal(dir.clients[n].ports, a->cfg.ports);
		assert_int_equal(dir.clients[n].memory, a->cfg.memory);
		n++;
	}
	assert_int_equal(dir.n_clients, n);
}

static void
claim_05__what_clients_ask_for_is_collected_and_transferred(void **state)
{
	struct world *w = world_new(5);

	(void)state;
	for (uint32_t i = 0; i < 2; i++)
		node_start(w, i);
	join(w, 0, 0, "nvlog", 3, 5 * 4096 + 1);
	join(w, 0, 1, "monitor", 1, 4096);
	join(w, 1, 0, "nvlog", 2, 4 * 4096);
	run_until_up(w, 20 * (uint64_t)MS);
	run(w, 5 * MS);
	expect_directory(w, 0);
	expect_directory(w, 1);
	/* As many ports as the one that asks for fewer, and the memory of the one with less. */
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(w->nodes[i].apps[0].n_ports, 2);
		assert_int_equal(w->nodes[i].apps[0].port.length, 2 * 4096);
	}
	assert_int_equal(w->nodes[0].apps[1].ups, 0);
	/* One more, and one less. */
	join(w, 0, 2, "lock", 4, 9 * 4096);
	run(w, 5 * MS);
	expect_directory(w, 1);
	assert_int_equal(ccm_client_unregister(w->nodes[0].ccm, w->nodes[0].apps[1].handle), 0);
	w->nodes[0].apps[1].handle = NULL;
	run(w, 5 * MS);
	expect_directory(w, 1);
	world_free(w);
}

/* ---- claims 8, 9: the role ---- */

static void
claim_08__each_role_is_told_to_the_partner(void **state)
{
	(void)state;
	for (uint32_t both = 0; both < CCM_ROLE_COUNT * CCM_ROLE_COUNT; both++) {
		struct world *w = world_new(both);

		w->role[0] = (enum ccm_role)(both % CCM_ROLE_COUNT);
		w->role[1] = (enum ccm_role)(both / CCM_ROLE_COUNT);
		for (uint32_t i = 0; i < 2; i++) {
			node_start(w, i);
			join(w, i, 0, "log", 1, 4096);
		}
		run_until_up(w, 20 * (uint64_t)MS);
		for (uint32_t i = 0; i < 2; i++)
			assert_int_equal(status(w, i).partner_role, w->role[1 - i]);
		exchange(w);
		/* The other one returns in the other role. */
		node_crash(w, 1);
		w->role[1] = (enum ccm_role)((w->role[1] + 1) % CCM_ROLE_COUNT);
		run(w, 30 * MS);
		node_start(w, 1);
		join(w, 1, 0, "log", 1, 4096);
		run_until_up(w, 200 * (uint64_t)MS);
		assert_int_equal(status(w, 0).partner_role, w->role[1]);
		world_free(w);
	}
}

/* ---- claims 10, 23: nobody has to ask for the session, and clients ask for services ---- */

static void
claim_10__session_starts_with_the_node_and_clients_ask_later(void **state)
{
	struct world *w = world_new(10);

	(void)state;
	memset(&first, 0, sizeof(first));
	w->on_send = first_on_send;
	for (uint32_t i = 0; i < 2; i++)
		node_start(w, i);
	/* Nothing but turns of the loop: READ 1 is on its way at once. */
	for (uint32_t turns = 0; turns < 4; turns++)
		step(w, UINT64_MAX);
	assert_int_equal(first.requests, 1);
	assert_int_equal(first.request.opcode, ROCE_READ_REQUEST);
	run_until_up(w, MS);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(status(w, i).n_ports, 0);
	run(w, 20 * MS);
	for (uint32_t i = 0; i < 2; i++)
		join(w, i, 0, "log", (uint16_t)(2 + i), 4 * 4096);
	run(w, 5 * MS);
	run_until_up(w, 20 * (uint64_t)MS);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(w->nodes[i].apps[0].n_ports, 2);
		assert_int_equal(w->nodes[i].apps[0].ups - w->nodes[i].apps[0].downs, 1);
		assert_int_equal(status(w, i).n_ports, 2);
	}
	exchange(w);
	world_free(w);
}

/* ---- claims 14, 15, 17, 18, 22: fixed hardware addresses and connection numbers ---- */

static struct {
	uint32_t reads, writes;
	uint32_t before_ports; /* frames */
	uint32_t after_crash;
} fixed;

/* Between the agreed addresses, always. */
static void
expect_addresses(const struct world *w, uint32_t from, const struct roce_packet *pkt)
{
	const uint8_t src[6] = {2, 0, 0, 0, 0, (uint8_t)w->nodes[from].id};
	const uint8_t dst[6] = {2, 0, 0, 0, 0, (uint8_t)w->nodes[1 - from].id};

	assert_memory_equal(pkt->src_mac, src, sizeof(src));
	assert_memory_equal(pkt->dst_mac, dst, sizeof(dst));
	assert_int_equal(roce_gid_to_ipv4(&pkt->src), IP + w->nodes[from].id);
	assert_int_equal(roce_gid_to_ipv4(&pkt->dst), IP + w->nodes[1 - from].id);
}

static bool
fixed_on_send(struct world *w, uint32_t from, const struct roce_packet *pkt)
{
	bool bootstrap = pkt->f.dest_qpn == BOOTSTRAP_QPN + 1 - from;
	bool region = pkt->f.va >= bootstrap_va && pkt->f.va < bootstrap_va + CCM_REGION_SIZE;

	expect_addresses(w, from, pkt);
	/* Until the first ports there is no other connection at all. */
	if (w->nodes[from].at[READY] == 0 && w->nodes[1 - from].at[READY] == 0) {
		assert_true(bootstrap);
		fixed.before_ports++;
	}
	if (pkt->op->traits & ROCE_T_RETH)
		assert_int_equal(bootstrap, region);
	if (bootstrap && (pkt->op->traits & ROCE_T_REQUEST)) {
		assert_true(pkt->op->traits & (ROCE_T_READ | ROCE_T_WRITE));
		fixed.reads += (pkt->op->traits & ROCE_T_READ) != 0;
		fixed.writes += (pkt->op->traits & ROCE_T_WRITE) != 0;
	}
	return true;
}

static void
claim_14__all_bootstrap_goes_to_the_fixed_mac_and_queue_pair(void **state)
{
	struct world *w = world_new(14);

	(void)state;
	memset(&fixed, 0, sizeof(fixed));
	w->on_send = fixed_on_send;
	for (uint32_t i = 0; i < 2; i++) {
		node_start(w, i);
		join(w, i, 0, "log", 1, 4096);
	}
	run_until_up(w, 20 * (uint64_t)MS);
	assert_true(fixed.before_ports >= 2 * 4 * 2); /* four steps and their answers, each way */
	exchange(w);
	/* The same numbers after a reboot: nothing is learnt that could be forgotten. */
	for (uint32_t victim = 0; victim < 2; victim++) {
		uint32_t reads = fixed.reads, writes = fixed.writes;

		node_crash(w, victim);
		run(w, 20 * MS);
		node_start(w, victim);
		join(w, victim, 0, "log", 1, 4096);
		run_until_up(w, 200 * (uint64_t)MS);
		exchange(w);
		assert_true(fixed.reads > reads + 4 && fixed.writes > writes + 4);
	}
	ccm_stop(w->nodes[1].ccm, w->now);
	run(w, 100 * (uint64_t)MS);
	assert_true(ccm_stopped(w->nodes[1].ccm));
	world_free(w);
}

/* ---- claim 20: a reliable connection between the clients ---- */

static bool
address_on_send(struct world *w, uint32_t from, const struct roce_packet *pkt)
{
	expect_addresses(w, from, pkt);
	return true;
}

/* All write to the same place, each something else; then what has come of it is READ. */
static void
post_round(struct world *w, struct app *a, uint64_t offset, uint8_t *expected)
{
	for (uint32_t k = 0; k < DATA_LEN; k++)
		a->out[k] = (uint8_t)(rnd(w) >> 56);
	for (uint32_t k = 0; k < OPS - 1; k++) {
		memcpy(expected, a->out + k, WRITE_LEN - k);
		post(a, CCM_PORT_WRITE, a->out + k, offset, WRITE_LEN - k, a->last_wr_id + 1 + k);
	}
	post(a, CCM_PORT_READ, a->back, offset, WRITE_LEN, a->last_wr_id + OPS);
}

/* Over a bad cable: every request takes effect and ends once, in order. */
static void
claim_20__clients_are_connected_reliably(void **state)
{
	const struct link_config bad = {
		.delay_ns = HALF_RTT_NS,
		.loss_ppm = 50000,
		.duplicate_ppm = 100000,
		.duplicate_max_ns = 100 * 1000,
		.reorder_ppm = 100000,
		.reorder_window = 4,
		.reorder_ns = 20 * 1000,
	};
	uint8_t expected[2][WRITE_LEN];

	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct world *w = world_with_clients(seed);

		w->on_send = address_on_send;
		run_until_up(w, 20 * (uint64_t)MS);
		for (uint32_t i = 0; i < 2; i++)
			assert_int_equal(link_config(&w->links[i], &bad, w->now), 0);
		for (uint32_t round = 1; round <= 8; round++) {
			for (uint32_t i = 0; i < 2; i++)
				post_round(w, &w->nodes[i].apps[0], i * (uint64_t)DATA_LEN,
					expected[i]);
			run(w, 30 * MS);
			for (uint32_t i = 0; i < 2; i++) {
				struct app *a = &w->nodes[i].apps[0], *b = &w->nodes[1 - i].apps[0];

				assert_int_equal(a->completions, round * OPS);
				assert_memory_equal(a->back, expected[i], WRITE_LEN);
				assert_memory_equal(b->port.memory + i * (size_t)DATA_LEN,
					expected[i], WRITE_LEN);
				assert_int_equal(a->downs, 0);
			}
		}
		for (uint32_t i = 0; i < 2; i++)
			assert_true(link_stats(&w->links[i])->lost[LINK_LOST_RANDOM] > 20);
		world_free(w);
	}
}

/* ---- claim 21: at any boot stage ---- */

static bool
is_booting(const struct ccm_partner_status *s)
{
	return s->verdict == CCM_VERDICT_STARTING || s->verdict == CCM_VERDICT_PROGRESSING;
}

/* Each stage of the one with each of the other: the session is up, and carries data. */
static void
claim_21__session_comes_up_at_any_boot_stage(void **state)
{
	enum { STAGES = RTE_DIM(boot_stages), NOT_TOLD = STAGES };

	(void)state;
	for (uint32_t pair = 0; pair < (STAGES + 1) * (STAGES + 1); pair++) {
		const uint32_t stage[2] = {pair % (STAGES + 1), pair / (STAGES + 1)};
		struct world *w = world_with_clients(pair);

		for (uint32_t i = 0; i < 2; i++)
			if (stage[i] != NOT_TOLD)
				assert_int_equal(ccm_boot_report(w->nodes[i].ccm,
							 &boot_stages[stage[i]], w->now),
					0);
		run_until_up(w, MS);
		exchange(w);
		for (uint32_t i = 0; i < 2; i++) {
			struct ccm_partner_status s = status(w, i);
			uint32_t theirs = stage[1 - i];

			assert_int_equal(is_booting(&s), theirs < STAGES - 1);
			assert_int_equal(s.verdict == CCM_VERDICT_UP, theirs >= STAGES - 1);
			assert_int_equal(s.partner_boot.stage,
				theirs == NOT_TOLD ? 0 : boot_stages[theirs].stage);
		}
		/* Booting goes on under the session. */
		for (uint32_t to = 0; to < STAGES; to++) {
			for (uint32_t i = 0; i < 2; i++)
				assert_int_equal(ccm_boot_report(w->nodes[i].ccm, &boot_stages[to],
							 w->now),
					0);
			run(w, 5 * MS);
			exchange(w);
			for (uint32_t i = 0; i < 2; i++)
				assert_int_equal(status(w, i).partner_boot.stage, to + 1);
		}
		for (uint32_t i = 0; i < 2; i++) {
			assert_int_equal(status(w, i).verdict, CCM_VERDICT_UP);
			assert_int_equal(w->nodes[i].apps[0].downs, 0);
		}
		world_free(w);
	}
}

/*
 * Nothing of the partner works but what moves its packets: it has said its stage once, and its
 * control core has stood still ever since.
 */
static void
claim_21__status_is_served_by_a_node_that_does_nothing_else(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < RTE_DIM(boot_stages); i++) {
		struct world *w = world_new(i);
		struct ccm_partner_status s;

		node_start(w, 1);
		assert_int_equal(ccm_boot_report(w->nodes[1].ccm, &boot_stages[i], w->now), 0);
		run(w, 2 * STEP_NS); /* its queue pair is open */
		w->nodes[1].control_stopped = true;
		node_start(w, 0);
		run(w, 300 * (uint64_t)MS);
		s = status(w, 0);
		assert_true(s.last_answer_ns != 0 && w->now - s.last_answer_ns <= 20 * MS);
		assert_int_equal(s.partner_boot.stage, boot_stages[i].stage);
		assert_string_equal(s.partner_boot.name, boot_stages[i].name);
		assert_int_not_equal(s.state, CCM_UP);
		/* Whenever it goes on, the session is there. */
		w->nodes[1].control_stopped = false;
		run_until_up(w, 100 * (uint64_t)MS);
		world_free(w);
	}
}

static int
setup(void **state)
{
	if (eal_setup(state) != 0)
		return -1;
	pool = eal_pool(MBUFS);
	frame_memory = malloc(link_pool_size(FRAMES, FRAME_MAX));
	link_pool_init(&frames, frame_memory, FRAMES, FRAME_MAX);
	return 0;
}

static int
teardown(void **state)
{
	free(frame_memory);
	eal_pool_free(pool);
	return eal_teardown(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claim_01__a_step_without_answer_leads_back_to_read_1),
		cmocka_unit_test(claim_01__a_refused_step_leads_back_to_read_1),
		cmocka_unit_test(claim_02__read_1_brings_the_boot_status),
		cmocka_unit_test(claim_03__each_alert_follows_what_it_says),
		cmocka_unit_test(claim_05__what_clients_ask_for_is_collected_and_transferred),
		cmocka_unit_test(claim_08__each_role_is_told_to_the_partner),
		cmocka_unit_test(claim_10__session_starts_with_the_node_and_clients_ask_later),
		cmocka_unit_test(claim_14__all_bootstrap_goes_to_the_fixed_mac_and_queue_pair),
		cmocka_unit_test(claim_20__clients_are_connected_reliably),
		cmocka_unit_test(claim_21__session_comes_up_at_any_boot_stage),
		cmocka_unit_test(claim_21__status_is_served_by_a_node_that_does_nothing_else),
	};

	return cmocka_run_group_tests_name("claims", tests, setup, teardown);
}
