/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients that come and go while sessions are up: two managers over engines over two links, with a
 * virtual clock. Every call of every client is checked against what it has been told before, its
 * ports' memory against that of the others, and every session carries data that is read back.
 *
 *   CCM_CLIENT_CYCLES=100000 ...   more cycles of connecting and disconnecting
 *   CCM_CLIENT_SEEDS=1000 ...      more random runs
 */
#include "ccm_priv.h"
#include "eal.h"
#include "link.h"
#include "remu_priv.h"

#include <rte_mbuf.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
	NODES = 2,
	NODES_MAX = 3,
	NAMES = 6,
	HALF_RTT_NS = 5000,
	STEP_NS = 500,
	MS = 1000 * 1000,
	FRAME_MAX = 1200,
	FRAMES = 4096,
	PAGES = 128, /* of port memory per node and partner */
	CHUNK = 512,
};

/* A client of one name on one node, through all its lives. */
struct app {
	struct node *node;
	char name[CCM_NAME_LEN];
	struct ccm_client *handle; /* NULL: not registered */
	uint16_t ports;
	uint64_t memory;
	bool called; /* may be called: until GONE */
	bool up;
	struct app *takes_along; /* removes this one when it comes up */
	bool leave_in_up;	 /* removes itself, in this callback */
	bool leave_in_down;
	bool leave_in_completed;
	bool again_in_gone; /* registers itself in the last call */
	uint32_t ups, downs, gone, completions;
	uint64_t posted, ended_ok;
	uint16_t n_ports;
	struct ccm_port port[CCM_MAX_PORTS];
	bool exchanging, verified;
	enum ccm_reason reason;
	uint8_t pattern[CHUNK], back[CHUNK];
};

struct node {
	struct world *world;
	uint16_t id;
	struct remu_engine *engine;
	struct remu_channel *channel;
	struct ccm *ccm;
	uint8_t *memory;
	struct app apps[NAMES];
};

struct world {
	uint64_t now;
	uint64_t rng;
	uint32_t n_nodes;
	struct link links[NODES_MAX]; /* towards node i */
	struct node nodes[NODES_MAX];
	bool engines_stopped;
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

static uint32_t
below(struct world *w, uint32_t n)
{
	return (uint32_t)(rnd(w) % n);
}

/* ---- a client ---- */

static void on_client(void *ctx, const struct ccm_client_event *ev);

static int
join_with(struct app *a, uint16_t ports, uint64_t memory)
{
	struct ccm_client_config cfg = {.ports = ports, .memory = memory};
	struct ccm_client *handle;
	int rc;

	memcpy(cfg.name, a->name, sizeof(cfg.name));
	rc = ccm_client_register(a->node->ccm, &cfg, on_client, a, &handle);
	if (rc != 0) {
		assert_null(handle);
		return rc;
	}
	assert_false(a->called);
	a->handle = handle;
	a->called = true;
	a->ports = ports;
	a->memory = memory;
	return 0;
}

static void
join(struct world *w, uint32_t node, uint32_t name)
{
	assert_int_equal(join_with(&w->nodes[node].apps[name], 2, 4 * CCM_PAGE), 0);
}

static void
leave(struct app *a)
{
	struct ccm_client *handle = a->handle;

	a->handle = NULL;
	assert_int_equal(ccm_client_unregister(a->node->ccm, handle), 0);
}

/* Write to our half of the partner's region and read it back. */
static void
exchange(struct app *a)
{
	uint64_t offset = a->node->id == 1 ? 0 : CHUNK;

	a->exchanging = true;
	for (uint32_t i = 0; i < CHUNK; i++)
		a->pattern[i] = (uint8_t)(i * 3 + a->posted + (size_t)(a - a->node->apps) * 16);
	memset(a->back, 0, CHUNK);
	assert_int_equal(ccm_port_post(a->node->ccm, a->port[0].handle, CCM_PORT_WRITE, a->pattern,
				 offset, CHUNK, 1),
		0);
	assert_int_equal(ccm_port_post(a->node->ccm, a->port[0].handle, CCM_PORT_READ, a->back,
				 offset, CHUNK, 2),
		0);
	a->posted += 2;
}

/* No byte of a client's ports is another one's, as long as that one may still be called. */
static void
check_memory(const struct app *a)
{
	for (uint32_t n = 0; n < NAMES; n++) {
		const struct app *b = &a->node->apps[n];

		for (uint32_t i = 0; i < a->n_ports; i++)
			for (uint32_t k = 0; b != a && b->called && k < b->n_ports; k++)
				assert_true(a->port[i].memory + a->port[i].length <=
						b->port[k].memory ||
					b->port[k].memory + b->port[k].length <= a->port[i].memory);
	}
}

static void
on_up(struct app *a, const struct ccm_client_event *ev)
{
	assert_false(a->up);
	assert_non_null(a->handle); /* not told to one that was removed */
	a->up = true;
	a->ups++;
	a->n_ports = ev->n_ports;
	memcpy(a->port, ev->ports, ev->n_ports * sizeof(a->port[0]));
	check_memory(a);
	exchange(a);
	if (a->leave_in_up)
		leave(a);
	if (a->takes_along != NULL && a->takes_along->handle != NULL)
		leave(a->takes_along);
}

static void
on_completed(struct app *a, const struct ccm_client_event *ev)
{
	assert_true(a->up);
	a->completions++;
	a->ended_ok += ev->status == REMU_WC_SUCCESS;
	if (ev->wr_id == 2 && ev->status == REMU_WC_SUCCESS) {
		assert_memory_equal(a->back, a->pattern, CHUNK);
		a->exchanging = false;
		a->verified = true;
	}
	if (a->leave_in_completed && a->handle != NULL)
		leave(a);
}

static void
on_client(void *ctx, const struct ccm_client_event *ev)
{
	struct app *a = ctx;

	assert_true(a->called);
	switch (ev->kind) {
	case CCM_CLIENT_UP:
		on_up(a, ev);
		break;
	case CCM_CLIENT_DOWN:
		assert_true(a->up);
		a->up = a->exchanging = a->verified = false;
		a->downs++;
		a->reason = ev->reason;
		if (a->leave_in_down && a->handle != NULL)
			leave(a);
		break;
	case CCM_CLIENT_RELEASED:
		assert_false(a->up);
		break;
	case CCM_CLIENT_COMPLETED:
		on_completed(a, ev);
		break;
	case CCM_CLIENT_ADVICE:
		break;
	case CCM_CLIENT_GONE:
		assert_false(a->up);
		assert_null(a->handle);
		a->called = false;
		a->gone++;
		a->n_ports = 0;
		if (a->again_in_gone)
			assert_int_equal(join_with(a, 1, CCM_PAGE), 0);
		break;
	}
}

/* ---- the world ---- */

static void
node_start(struct world *w, uint32_t i)
{
	struct node *n = &w->nodes[i];
	struct ccm_config cfg = {
		.node_id = n->id,
		.name = "n",
		.cluster = "lab",
		.path_mtu = 1024,
		.va = 0x100000,
		.rkey = 0xc0de0001,
		.timing = {.beat_us = 200,
			.dead_after_us = 2000,
			.retry_us = 100,
			.retry_cnt = 3,
			.search_us = 2000},
	};
	struct remu_engine_config ecfg = {
		.pool = pool,
		.mac = {2, 0, 0, 0, 0, (uint8_t)n->id},
		.gid = roce_gid_ipv4(0xc0000200u + n->id),
		.n_engines = 1,
		.max_qps = NODES_MAX * (1 + CCM_MAX_PORTS),
		.max_mrs = NODES_MAX * (3 + CCM_MAX_PORTS),
		.sq_depth = 64,
		.window = 64,
		.socket_id = -1,
	};
	struct ccm_env env = {.rand64 = rnd, .ctx = w, .n_engines = 1};

	for (uint32_t p = 0; p < w->n_nodes; p++) {
		uint16_t id = w->nodes[p].id;

		if (p == i)
			continue;
		cfg.partners[cfg.n_partners++] = (struct ccm_partner_config){
			.id = id,
			.mac = {2, 0, 0, 0, 0, (uint8_t)id},
			.ip = 0xc0000200u + id,
			.qpn = 0x100u + id,
			.remote_qpn = 0x100u + n->id,
			.va = 0x100000,
			.rkey = 0xc0de0001,
		};
	}
	env.memory_size = cfg.n_partners * (CCM_PEER_SIZE + PAGES * CCM_PAGE);
	n->memory = aligned_alloc(CCM_PAGE, env.memory_size);
	memset(n->memory, 0, env.memory_size);
	assert_int_equal(remu_engine_create(&ecfg, &n->engine), 0);
	assert_int_equal(remu_channel_create(n->engine, 256, &n->channel), 0);
	env.channels[0] = n->channel;
	env.memory = n->memory;
	assert_int_equal(ccm_create(&cfg, &env, &n->ccm), 0);
}

static struct world *
world_of(uint32_t n_nodes, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	w->now = 1000 * (uint64_t)MS;
	w->rng = seed;
	w->n_nodes = n_nodes;
	for (uint32_t i = 0; i < n_nodes; i++) {
		struct node *n = &w->nodes[i];

		n->world = w;
		n->id = (uint16_t)(i + 1);
		for (uint32_t k = 0; k < NAMES; k++) {
			n->apps[k].node = n;
			snprintf(n->apps[k].name, sizeof(n->apps[k].name), "app%u", k);
		}
		assert_int_equal(link_init(&w->links[i], &frames, 2 * seed + i, &quiet), 0);
	}
	for (uint32_t i = 0; i < n_nodes; i++)
		node_start(w, i);
	return w;
}

static struct world *
world_new(uint64_t seed)
{
	return world_of(NODES, seed);
}

static void
world_free(struct world *w)
{
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		ccm_destroy(w->nodes[i].ccm);
		remu_engine_destroy(w->nodes[i].engine);
		free(w->nodes[i].memory);
		link_close(&w->links[i]);
	}
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	free(w);
}

static bool
node_turn(struct world *w, uint32_t i)
{
	struct node *n = &w->nodes[i];
	struct rte_mbuf *pkts[32];
	uint8_t frame[FRAME_MAX];
	bool busy = false;
	uint32_t len;
	uint16_t k;

	busy |= ccm_poll(n->ccm, w->now);
	if (w->engines_stopped)
		return busy;
	while ((len = link_recv(&w->links[i], frame, sizeof(frame), w->now)) != 0) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

		assert_non_null(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
		remu_engine_rx(n->engine, &m, 1, w->now);
		busy = true;
	}
	remu_engine_poll(n->engine, w->now);
	busy |= ccm_poll(n->ccm, w->now);
	remu_engine_poll(n->engine, w->now);
	while ((k = remu_engine_tx(n->engine, pkts, 32, w->now)) != 0) {
		for (uint16_t j = 0; j < k; j++) {
			const uint8_t *data = rte_pktmbuf_mtod(pkts[j], const uint8_t *);

			/* The last byte of a MAC address is the node's id. */
			link_send(&w->links[data[5] - 1], data, pkts[j]->data_len, w->now);
			rte_pktmbuf_free(pkts[j]);
		}
		busy = true;
	}
	return busy;
}

static void
step(struct world *w, uint64_t end)
{
	uint64_t at = UINT64_MAX;
	bool busy = false;

	for (uint32_t i = 0; i < w->n_nodes; i++)
		busy |= node_turn(w, i);
	for (uint32_t i = 0; i < w->n_nodes && !busy; i++) {
		at = RTE_MIN(at, link_next(&w->links[i]));
		at = RTE_MIN(at, remu_engine_next_deadline(w->nodes[i].engine));
		at = RTE_MIN(at, ccm_next_deadline(w->nodes[i].ccm));
	}
	w->now = RTE_MIN(RTE_MAX(busy ? 0 : at, w->now + STEP_NS), end);
}

static void
run(struct world *w, uint64_t ns)
{
	for (uint64_t end = w->now + ns; w->now < end;)
		step(w, end);
}

static struct ccm_session *
session(struct world *w, uint32_t i)
{
	return &w->nodes[i].ccm->peers[0].session;
}

/* How node i's client of that name stands with the partner; _COUNT: there is none. */
static enum ccm_client_state
state_of(struct world *w, uint32_t i, uint32_t name)
{
	struct ccm_client_status st[CCM_MAX_CLIENTS];
	uint32_t n = ccm_read_clients(w->nodes[i].ccm, st, CCM_MAX_CLIENTS);

	for (uint32_t k = 0; k < n; k++)
		if (strcmp(st[k].name, w->nodes[i].apps[name].name) == 0)
			return st[k].states[0];
	return CCM_CLIENT_STATE_COUNT;
}

/* Both sessions up, and every client as it should be: the common ones connected, with data. */
static bool
is_settled(struct world *w)
{
	for (uint32_t i = 0; i < NODES; i++) {
		if (session(w, i)->state != CCM_UP || session(w, i)->map_off ||
			ccm_session_directory_due(session(w, i)))
			return false;
		for (uint32_t k = 0; k < NAMES; k++) {
			const struct app *a = &w->nodes[i].apps[k], *b = &w->nodes[1 - i].apps[k];
			bool common = a->handle != NULL && b->handle != NULL;

			if (a->up != common || a->called != (a->handle != NULL) ||
				(common && !a->verified) ||
				state_of(w, i, k) !=
					(common			    ? CCM_CLIENT_CONNECTED
							: a->handle ? CCM_CLIENT_WAITING
								    : CCM_CLIENT_STATE_COUNT))
				return false;
		}
	}
	return true;
}

/* What the engines and the manager have is what the connected clients need, and no more. */
static void
check_resources(struct world *w)
{
	for (uint32_t i = 0; i < NODES; i++) {
		const struct node *n = &w->nodes[i];
		size_t memory = CCM_PEER_SIZE;
		uint32_t ports = 0, live = 0;

		for (uint32_t k = 0; k < NAMES; k++) {
			const struct app *a = &n->apps[k], *b = &w->nodes[1 - i].apps[k];

			if (a->handle == NULL)
				continue;
			live++;
			memory += RTE_ALIGN_CEIL(a->memory, (uint64_t)CCM_PAGE);
			if (b->handle == NULL)
				continue;
			assert_int_equal(a->n_ports, RTE_MIN(a->ports, b->ports));
			assert_int_equal(a->port[0].length,
				RTE_MIN(a->memory, b->memory) / a->n_ports & ~63ull);
			ports += a->n_ports;
		}
		assert_int_equal(n->ccm->n_clients, live);
		assert_int_equal(n->ccm->n_leaving, 0);
		assert_int_equal(n->ccm->memory_used, memory);
		assert_int_equal(n->engine->qp_table.used, 1 + ports);
		assert_int_equal(n->engine->mr_table.used, CCM_REGION_KEYS + ports);
	}
}

static uint64_t
settle(struct world *w, uint64_t limit)
{
	uint64_t start = w->now;

	while (!is_settled(w)) {
		if (w->now - start > limit)
			fail_msg("not settled: %s (%s), %s (%s)",
				ccm_state_name(session(w, 0)->state),
				ccm_reason_name(session(w, 0)->reason),
				ccm_state_name(session(w, 1)->state),
				ccm_reason_name(session(w, 1)->reason));
		step(w, UINT64_MAX);
	}
	check_resources(w);
	return w->now - start;
}

/* Two nodes whose common client 0 is up, and has been for so long that nothing is held. */
static struct world *
world_up(void)
{
	struct world *w = world_new(1);

	join(w, 0, 0);
	join(w, 1, 0);
	settle(w, MS);
	run(w, 5 * MS);
	return w;
}

static uint32_t
all_downs(const struct world *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < NODES; i++)
		for (uint32_t k = 0; k < NAMES; k++)
			n += w->nodes[i].apps[k].downs;
	return n;
}

/* ---- coming ---- */

static void
register__one_side_only_waits_and_disturbs_nobody(void **state)
{
	struct world *w = world_up();
	uint64_t nonces[] = {session(w, 0)->nonce, session(w, 1)->nonce};
	uint32_t crc = session(w, 0)->dir_crc;

	(void)state;
	for (uint32_t round = 0; round < 20; round++) {
		join(w, 0, 1);
		if (round & 1)
			join(w, 1, 2);
		run(w, MS);
		assert_int_equal(state_of(w, 0, 1), CCM_CLIENT_WAITING);
		/* The directory is another one, and the partner has it. */
		assert_int_not_equal(session(w, 0)->dir_crc, crc);
		assert_int_equal(session(w, 1)->theirs.crc, session(w, 0)->dir_crc);
		leave(&w->nodes[0].apps[1]);
		if (round & 1)
			leave(&w->nodes[1].apps[2]);
		run(w, MS);
		assert_int_equal(session(w, 0)->dir_crc, crc);
		assert_int_equal(session(w, 1)->theirs.crc, crc);
		assert_int_equal(w->nodes[0].apps[1].gone, round + 1);
	}
	settle(w, 0);
	assert_int_equal(all_downs(w), 0);
	for (uint32_t i = 0; i < NODES; i++)
		assert_int_equal(session(w, i)->nonce, nonces[i]);
	world_free(w);
}

static void
register__second_side_connects_it(void **state)
{
	struct world *w = world_up();
	uint64_t ns;

	(void)state;
	join(w, 0, 1);
	run(w, MS);
	join(w, 1, 1);
	ns = settle(w, MS);
	print_message("%lu ns from the change until all clients are up with data\n",
		(unsigned long)ns);
	/* Ten round trips: the hint, READ 1 to up, and the data. */
	assert_true(ns < 20 * 2 * HALF_RTT_NS);
	assert_int_equal(all_downs(w), 2);
	/* Who has noticed says why. */
	assert_int_equal(w->nodes[1].apps[0].reason, CCM_REASON_CLIENTS_CHANGED);
	assert_int_equal(w->nodes[0].apps[0].reason, CCM_REASON_PARTNER_RESTARTED);
	run(w, 20 * MS);
	assert_int_equal(all_downs(w), 2);
	world_free(w);
}

/* The states of a client that the partner has too, on the way up. */
static void
register__states_can_be_seen(void **state)
{
	struct world *w = world_new(1);
	uint32_t seen = 0;

	(void)state;
	join(w, 0, 0);
	join(w, 1, 0);
	while (state_of(w, 0, 0) != CCM_CLIENT_CONNECTED) {
		step(w, UINT64_MAX);
		seen |= 1u << state_of(w, 0, 0);
	}
	assert_int_equal(seen,
		1 << CCM_CLIENT_NO_SESSION | 1 << CCM_CLIENT_CONNECTING |
			1 << CCM_CLIENT_CONNECTED);
	world_free(w);
}

/* Only a partner with other rules can offer so little: each of us asks for enough itself. */
static void
register__too_little_memory_is_refused_visibly(void **state)
{
	struct world *w = world_up();

	(void)state;
	join(w, 0, 1);
	run(w, MS);
	session(w, 0)->theirs.clients[1] = (struct ccm_directory_client){"app1", 1, 4095};
	session(w, 0)->theirs.n_clients = 2;
	join(w, 0, 2);
	ccm_poll(w->nodes[0].ccm, w->now);
	assert_int_equal(state_of(w, 0, 1), CCM_CLIENT_REFUSED);
	assert_int_equal(state_of(w, 0, 2), CCM_CLIENT_WAITING);
	session(w, 0)->theirs.clients[1].memory = 4096;
	w->nodes[0].ccm->clients_dirty = true;
	ccm_poll(w->nodes[0].ccm, w->now);
	assert_int_equal(state_of(w, 0, 1), CCM_CLIENT_CONNECTING);
	world_free(w);
}

static void
register__the_lower_of_both_counts(void **state)
{
	struct world *w = world_up();

	(void)state;
	assert_int_equal(join_with(&w->nodes[0].apps[1], 4, 8 * CCM_PAGE), 0);
	assert_int_equal(join_with(&w->nodes[1].apps[1], 3, 4 * CCM_PAGE), 0);
	settle(w, MS);
	assert_int_equal(w->nodes[0].apps[1].n_ports, 3);
	assert_int_equal(w->nodes[0].apps[1].port[0].length, 4 * CCM_PAGE / 3 & ~63);
	world_free(w);
}

/* Only live clients count, but the memory of one that still has ports is not given away. */
static void
register__asks_for_too_much(void **state)
{
	struct world *w = world_up();
	struct app *a = &w->nodes[0].apps[1];

	(void)state;
	assert_int_equal(join_with(a, 1, (PAGES - 4) * CCM_PAGE + 1), -ENOMEM);
	assert_int_equal(join_with(a, CCM_MAX_PORTS - 1, CCM_MAX_PORTS * CCM_PAGE), -ENOSPC);
	assert_int_equal(join_with(a, 1, (PAGES - 4) * CCM_PAGE), 0);
	assert_int_equal(join_with(&w->nodes[0].apps[2], 1, CCM_PAGE), -ENOMEM);
	assert_int_equal(join_with(&w->nodes[0].apps[0], 1, CCM_PAGE), -EEXIST);
	leave(&w->nodes[0].apps[0]);
	assert_int_equal(join_with(&w->nodes[0].apps[0], 1, CCM_PAGE), -EBUSY);
	w->engines_stopped = true;
	run(w, 10 * STEP_NS);
	assert_int_equal(w->nodes[0].apps[0].downs, 1);
	assert_int_equal(w->nodes[0].apps[0].gone, 0);
	assert_int_equal(join_with(&w->nodes[0].apps[2], 1, CCM_PAGE), -ENOMEM);
	w->engines_stopped = false;
	run(w, MS);
	assert_int_equal(w->nodes[0].apps[0].gone, 1);
	assert_int_equal(join_with(&w->nodes[0].apps[2], 4, 4 * CCM_PAGE), 0);
	settle(w, MS);
	world_free(w);
}

static void
register__removed_clients_do_not_count(void **state)
{
	struct world *w = world_up();
	struct ccm_client_config cfg = {.ports = 1, .memory = CCM_PAGE};
	struct ccm_client *client;
	uint32_t n = 0;
	int rc;

	(void)state;
	w->engines_stopped = true;
	leave(&w->nodes[0].apps[0]);
	run(w, 10 * STEP_NS);
	assert_int_equal(w->nodes[0].apps[0].gone, 0);
	assert_int_equal(join_with(&w->nodes[0].apps[1], CCM_MAX_PORTS, CCM_MAX_PORTS * CCM_PAGE),
		0);
	assert_int_equal(join_with(&w->nodes[0].apps[2], 1, CCM_PAGE), -ENOSPC);
	leave(&w->nodes[0].apps[1]);
	/* But they need places until they are gone. */
	do {
		snprintf(cfg.name, sizeof(cfg.name), "n%u", n++);
		rc = ccm_client_register(w->nodes[0].ccm, &cfg, NULL, NULL, &client);
		if (rc == 0)
			assert_int_equal(ccm_client_unregister(w->nodes[0].ccm, client), 0);
	} while (rc == 0);
	assert_int_equal(rc, -EBUSY);
	assert_int_equal(n - 1, CCM_CLIENT_SLOTS - 2);
	ccm_poll(w->nodes[0].ccm, w->now);
	assert_int_equal(ccm_client_register(w->nodes[0].ccm, &cfg, NULL, NULL, &client), 0);
	assert_int_equal(ccm_client_unregister(w->nodes[0].ccm, client), 0);
	w->engines_stopped = false;
	settle(w, 5 * MS);
	world_free(w);
}

/* ---- going ---- */

static void
unregister__down_then_gone(void **state)
{
	struct world *w = world_up();
	struct app *a = &w->nodes[0].apps[1];

	(void)state;
	join(w, 0, 1);
	join(w, 1, 1);
	settle(w, MS);
	run(w, 5 * MS);
	leave(a);
	assert_true(a->up && a->called); /* not from within */
	/* All sessions see one list in one turn: it is another one in the next. */
	assert_int_equal(w->nodes[0].ccm->n_wants, 2);
	assert_int_equal(ccm_next_deadline(w->nodes[0].ccm), 0);
	ccm_poll(w->nodes[0].ccm, w->now);
	assert_int_equal(w->nodes[0].ccm->n_wants, 1);
	assert_true(!a->up && a->called);
	assert_int_equal(a->reason, CCM_REASON_CLIENTS_CHANGED);
	settle(w, MS);
	assert_true(a->ups == 1 && a->downs == 1 && a->gone == 1);
	assert_int_equal(state_of(w, 1, 1), CCM_CLIENT_WAITING);
	world_free(w);
}

/* Whatever was posted has ended at the engine before GONE, and its ports exist no more. */
static void
unregister__work_under_way_is_flushed_before_gone(void **state)
{
	struct world *w = world_up();
	struct app *a = &w->nodes[0].apps[0];
	struct ccm_port port = a->port[0];
	uint32_t completions = a->completions;
	uint32_t in_flight;

	(void)state;
	for (uint32_t i = 0; i < CCM_PORT_DEPTH; i++)
		assert_int_equal(ccm_port_post(w->nodes[0].ccm, port.handle, CCM_PORT_READ, a->back,
					 0, CHUNK, 9),
			0);
	leave(a);
	in_flight = w->nodes[0].channel->in_flight;
	assert_true(in_flight >= CCM_PORT_DEPTH);
	while (a->gone == 0) {
		assert_true(a->called);
		step(w, UINT64_MAX);
	}
	assert_null(remu_qp_find(w->nodes[0].engine, port.qpn));
	assert_true(w->nodes[0].channel->in_flight <= 4); /* beats */
	assert_int_equal(a->completions, completions);
	settle(w, MS);
	world_free(w);
}

static void
unregister__while_a_teardown_is_under_way(void **state)
{
	struct world *w = world_up();
	struct app *a = &w->nodes[0].apps[0];

	(void)state;
	ccm_link_report(w->nodes[0].ccm, false);
	assert_int_equal(session(w, 0)->state, CCM_CLOSING);
	assert_int_equal(a->downs, 1);
	leave(a);
	w->engines_stopped = true;
	run(w, 10 * STEP_NS);
	assert_int_equal(a->gone, 0);
	w->engines_stopped = false;
	ccm_link_report(w->nodes[0].ccm, true);
	settle(w, 5 * MS);
	assert_true(a->downs == 1 && a->gone == 1);
	/* And once more while the node leaves. */
	leave(&w->nodes[1].apps[0]);
	ccm_stop(w->nodes[1].ccm, w->now);
	run(w, 100 * MS);
	assert_true(ccm_stopped(w->nodes[1].ccm));
	assert_int_equal(w->nodes[1].apps[0].gone, 1);
	world_free(w);
}

static void
unregister__only_once(void **state)
{
	struct world *w = world_up();
	struct ccm_client *client = w->nodes[0].apps[0].handle;

	(void)state;
	assert_int_equal(ccm_client_unregister(w->nodes[0].ccm, NULL), -EINVAL);
	assert_int_equal(ccm_client_unregister(w->nodes[1].ccm, client), -EINVAL);
	leave(&w->nodes[0].apps[0]);
	assert_int_equal(ccm_client_unregister(w->nodes[0].ccm, client), -EINVAL);
	settle(w, MS);
	assert_int_equal(ccm_client_unregister(w->nodes[0].ccm, client), -EINVAL);
	world_free(w);
}

static void
unregister__before_polling_at_once(void **state)
{
	struct world *w = world_new(1);

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		join(w, 0, 0);
		leave(&w->nodes[0].apps[0]);
		assert_int_equal(w->nodes[0].apps[0].gone, i + 1);
	}
	assert_int_equal(w->nodes[0].ccm->memory_used, CCM_PEER_SIZE);
	settle(w, MS);
	world_free(w);
}

static void
callbacks__may_remove_and_register(void **state)
{
	struct world *w = world_up();
	struct app *a = w->nodes[0].apps;

	(void)state;
	for (uint32_t k = 1; k < 5; k++) {
		join(w, 0, k);
		join(w, 1, k);
	}
	a[1].leave_in_up = a[2].leave_in_down = a[3].leave_in_completed = true;
	settle(w, 20 * MS);
	assert_true(a[1].gone == 1 && a[1].ups == 1);
	assert_true(a[3].gone == 1);
	if (a[2].handle != NULL) {
		ccm_link_report(w->nodes[0].ccm, false);
		ccm_link_report(w->nodes[0].ccm, true);
	}
	a[4].again_in_gone = true;
	leave(&a[4]);
	settle(w, 20 * MS);
	assert_true(a[2].gone == 1 && a[2].handle == NULL);
	assert_true(a[4].gone == 1 && a[4].handle != NULL && a[4].up);
	world_free(w);
}

/* The one that is next in turn to be told UP is removed by the one before. */
static void
callbacks__no_up_after_removal(void **state)
{
	struct world *w = world_new(1);
	struct app *a = w->nodes[0].apps;

	(void)state;
	for (uint32_t k = 0; k < 3; k++) {
		join(w, 0, k);
		join(w, 1, k);
	}
	a[0].takes_along = &a[1];
	settle(w, 5 * MS);
	assert_true(a[1].ups == 0 && a[1].downs == 0 && a[1].gone == 1);
	assert_true(a[0].ups == 2 && a[2].ups == 2);
	world_free(w);
}

/* ---- several partners ---- */

/* What a client was told about each partner, by its id. */
struct tally {
	uint32_t ups[NODES_MAX + 1];
	uint32_t downs[NODES_MAX + 1];
	uint32_t gone;
};

static void
count(void *ctx, const struct ccm_client_event *ev)
{
	struct tally *t = ctx;

	assert_int_equal(t->gone, 0);
	if (ev->kind == CCM_CLIENT_UP)
		assert_int_equal(t->ups[ev->partner_id]++, t->downs[ev->partner_id]);
	else if (ev->kind == CCM_CLIENT_DOWN)
		assert_int_equal(++t->downs[ev->partner_id], t->ups[ev->partner_id]);
	t->gone += ev->kind == CCM_CLIENT_GONE;
}

static void
expect_states(struct world *w, uint32_t client, enum ccm_client_state one,
	enum ccm_client_state other)
{
	struct ccm_client_status st[CCM_MAX_CLIENTS];

	assert_true(ccm_read_clients(w->nodes[0].ccm, st, CCM_MAX_CLIENTS) > client);
	assert_int_equal(st[client].states[0], one);
	assert_int_equal(st[client].states[1], other);
	assert_int_equal(st[client].partners_up,
		(one == CCM_CLIENT_CONNECTED) + (other == CCM_CLIENT_CONNECTED));
}

/* A client that one partner has too changes the session with that one alone. */
static void
partners__only_those_concerned_notice(void **state)
{
	struct ccm_client_config log = {"log", 2, 2 * CCM_PAGE, false},
				 mon = {"mon", 1, CCM_PAGE, false};
	struct world *w = world_of(3, 1);
	struct ccm_client *log0, *mon0, *other;
	struct tally log_told = {0}, mon_told = {0};

	(void)state;
	assert_int_equal(ccm_client_register(w->nodes[0].ccm, &log, count, &log_told, &log0), 0);
	assert_int_equal(ccm_client_register(w->nodes[1].ccm, &log, NULL, NULL, &other), 0);
	assert_int_equal(ccm_client_register(w->nodes[2].ccm, &log, NULL, NULL, &other), 0);
	assert_int_equal(ccm_client_register(w->nodes[2].ccm, &mon, NULL, NULL, &other), 0);
	run(w, 5 * MS);
	expect_states(w, 0, CCM_CLIENT_CONNECTED, CCM_CLIENT_CONNECTED);
	assert_int_equal(ccm_client_register(w->nodes[0].ccm, &mon, count, &mon_told, &mon0), 0);
	run(w, 5 * MS);
	expect_states(w, 0, CCM_CLIENT_CONNECTED, CCM_CLIENT_CONNECTED);
	expect_states(w, 1, CCM_CLIENT_WAITING, CCM_CLIENT_CONNECTED);
	assert_true(log_told.downs[2] == 0 && log_told.downs[3] == 1 && log_told.ups[3] == 2);
	assert_true(mon_told.ups[2] == 0 && mon_told.ups[3] == 1);
	assert_int_equal(w->nodes[0].ccm->memory_used, 2 * (CCM_PEER_SIZE + 3 * CCM_PAGE));
	/* Each partner has a share of its own, and the client one place in all of them. */
	assert_ptr_equal(w->nodes[0].ccm->peers[1].ports.slots[0].port.memory -
			w->nodes[0].ccm->peers[0].ports.slots[0].port.memory,
		PAGES * CCM_PAGE);
	/* It is gone when both are rid of it. */
	assert_int_equal(ccm_client_unregister(w->nodes[0].ccm, log0), 0);
	run(w, 5 * MS);
	assert_int_equal(log_told.gone, 1);
	assert_true(log_told.downs[2] == 1 && log_told.downs[3] == 2);
	assert_true(mon_told.downs[3] == 1 && mon_told.ups[3] == 2);
	expect_states(w, 0, CCM_CLIENT_WAITING, CCM_CLIENT_CONNECTED);
	assert_int_equal(w->nodes[0].ccm->memory_used, 2 * (CCM_PEER_SIZE + CCM_PAGE));
	world_free(w);
}

/* ---- memory, counters ---- */

/* First fit in the partner's share; gaps that touch are one. */
static void
memory__gaps_are_reused_and_joined(void **state)
{
	struct world *w = world_new(1);
	struct app *a = w->nodes[0].apps;
	size_t page = PAGES / 4 * CCM_PAGE;

	(void)state;
	for (uint32_t k = 0; k < 4; k++) {
		assert_int_equal(join_with(&a[k], 1, page), 0);
		assert_int_equal(a[k].handle->offset, k * page);
	}
	assert_int_equal(join_with(&a[4], 1, CCM_PAGE), -ENOMEM);
	leave(&a[1]);
	leave(&a[3]);
	assert_int_equal(join_with(&a[4], 1, page + 1), -ENOMEM); /* enough, but in two pieces */
	assert_int_equal(join_with(&a[4], 1, page - CCM_PAGE), 0);
	assert_int_equal(a[4].handle->offset, page);
	leave(&a[4]);
	leave(&a[2]);
	assert_int_equal(join_with(&a[5], 1, 3 * page), 0);
	assert_int_equal(a[5].handle->offset, page);
	world_free(w);
}

static void
counters__add_up_over_sessions(void **state)
{
	struct world *w = world_up();
	struct app *a = &w->nodes[0].apps[0];
	struct ccm_client_status st;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		ccm_link_report(w->nodes[0].ccm, false);
		ccm_link_report(w->nodes[0].ccm, true);
		settle(w, 10 * MS);
	}
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(ccm_port_post(w->nodes[0].ccm, a->port[0].handle, CCM_PORT_READ,
					 a->back, 0, CHUNK, 9),
			0);
	ccm_link_report(w->nodes[0].ccm, false);
	while (session(w, 0)->ports != CCM_PORTS_NONE)
		step(w, UINT64_MAX);
	assert_int_equal(ccm_read_clients(w->nodes[0].ccm, &st, 1), 1);
	assert_int_equal(st.ups, 4);
	assert_int_equal(st.downs, 4);
	assert_int_equal(st.partners_up, 0);
	assert_int_equal(st.posted, 4 * 2 + 3);
	assert_int_equal(st.completed, 4 * 2);
	assert_int_equal(st.errors, 3);
	world_free(w);
}

/* ---- races ---- */

enum change {
	BOTH_JOIN,
	ONE_JOINS,
	ONE_LEAVES,
	BOTH_LEAVE,
	ONE_LEAVES_ONE_JOINS,
	JOIN_AND_LEAVE,
	CHANGES
};

static void
apply(struct world *w, enum change change)
{
	switch (change) {
	case BOTH_JOIN:
		join(w, 0, 2);
		join(w, 1, 2);
		break;
	case ONE_JOINS: /* the other has it already */
		join(w, 0, 1);
		break;
	case ONE_LEAVES:
		leave(&w->nodes[0].apps[0]);
		break;
	case BOTH_LEAVE:
		leave(&w->nodes[0].apps[0]);
		leave(&w->nodes[1].apps[0]);
		break;
	case ONE_LEAVES_ONE_JOINS:
		leave(&w->nodes[1].apps[0]);
		join(w, 0, 1);
		break;
	case JOIN_AND_LEAVE:
		join(w, 1, 3);
		leave(&w->nodes[1].apps[1]);
		break;
	case CHANGES:
		break;
	}
}

/* A change at every moment of a set-up, then another one a little later. */
static void
races__a_change_in_every_phase(void **state)
{
	uint32_t phases = 0;

	(void)state;
	for (enum change change = 0; change < CHANGES; change++) {
		for (uint32_t steps = 0; steps < 140; steps++) {
			struct world *w = world_new(steps);

			join(w, 0, 0);
			join(w, 1, 0);
			join(w, 1, 1);
			for (uint32_t i = 0; i < steps; i++)
				step(w, UINT64_MAX);
			phases |= 1u << session(w, 0)->state;
			apply(w, change);
			for (uint32_t i = 0; i < steps % 29; i++)
				step(w, UINT64_MAX);
			join(w, 0, 4);
			join(w, 1, 4);
			settle(w, 20 * MS);
			run(w, 5 * MS);
			settle(w, 0);
			world_free(w);
		}
	}
	assert_int_equal(phases &
			(1u << CCM_BOUND | 1u << CCM_PORTS | 1u << CCM_READY | 1u << CCM_UP),
		1u << CCM_BOUND | 1u << CCM_PORTS | 1u << CCM_READY | 1u << CCM_UP);
}

static uint32_t
from_env(const char *name, uint32_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? (uint32_t)strtoul(text, NULL, 0) : otherwise;
}

static void
random_change(struct world *w)
{
	struct app *a = &w->nodes[below(w, NODES)].apps[below(w, NAMES)];
	uint16_t ports = (uint16_t)(1 + below(w, 3));
	int rc;

	if (a->handle != NULL) {
		leave(a);
		return;
	}
	rc = join_with(a, ports, ports * CCM_PAGE + below(w, 12 * CCM_PAGE));
	/* Full, too, at times. */
	assert_true(rc == 0 || rc == -ENOMEM || rc == -EBUSY);
}

static void
random__clients_come_and_go_while_packets_are_lost(void **state)
{
	uint32_t seeds = from_env("CCM_CLIENT_SEEDS", 120);
	uint64_t sessions = 0, gone = 0, worst = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= seeds; seed++) {
		struct world *w = world_new(seed);
		struct link_config lossy = quiet;
		uint32_t changes = 1 + below(w, 40);
		uint32_t pause = 1 + below(w, below(w, 2) ? 3 * MS : 100000);

		lossy.loss_ppm = seed % 3 * 50000;
		lossy.jitter_ns = seed % 2 * 4000;
		for (uint32_t i = 0; i < NODES; i++)
			assert_int_equal(link_config(&w->links[i], &lossy, w->now), 0);
		for (uint32_t i = 0; i < changes; i++) {
			random_change(w);
			run(w, below(w, pause));
		}
		for (uint32_t i = 0; i < NODES; i++)
			assert_int_equal(link_config(&w->links[i], &quiet, w->now), 0);
		worst = RTE_MAX(worst, settle(w, 100 * (uint64_t)MS));
		run(w, 10 * MS);
		settle(w, 0);
		for (uint32_t i = 0; i < NODES; i++) {
			sessions += session(w, i)->n_sessions;
			for (uint32_t k = 0; k < NAMES; k++)
				gone += w->nodes[i].apps[k].gone;
		}
		world_free(w);
	}
	print_message("%u seeds, %lu sessions, %lu clients gone; settled within %lu us\n", seeds,
		(unsigned long)sessions, (unsigned long)gone, (unsigned long)worst / 1000);
}

/* ---- endurance ---- */

/* A common client comes and goes, so its ports are connected and disconnected. */
static void
cycles__ports_leave_nothing_behind(void **state)
{
	uint32_t cycles = from_env("CCM_CLIENT_CYCLES", 3000);
	struct world *w = world_up();
	struct app *a = &w->nodes[0].apps[1];
	uint8_t *memory = NULL;

	(void)state;
	join(w, 1, 1);
	for (uint32_t i = 0; i < cycles; i++) {
		join(w, 0, 1);
		settle(w, 20 * MS);
		assert_true(memory == NULL || a->port[0].memory == memory);
		memory = a->port[0].memory;
		run(w, 3 * MS); /* it has lasted */
		leave(a);
		settle(w, 20 * MS);
		run(w, 3 * MS);
	}
	assert_true(a->ups == cycles && a->downs == cycles && a->gone == cycles);
	world_free(w);
}

static void
cycles__one_that_waits_leaves_nothing_behind(void **state)
{
	struct world *w = world_up();
	uint64_t nonce = session(w, 0)->nonce;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++) {
		join(w, 0, 1);
		ccm_poll(w->nodes[0].ccm, w->now);
		leave(&w->nodes[0].apps[1]);
		ccm_poll(w->nodes[0].ccm, w->now);
		if (i % 100 == 0)
			step(w, UINT64_MAX);
	}
	settle(w, MS);
	assert_int_equal(w->nodes[0].apps[1].gone, 100000);
	assert_int_equal(all_downs(w), 0);
	assert_int_equal(session(w, 0)->nonce, nonce);
	world_free(w);
}

static int
setup(void **state)
{
	if (eal_setup(state) != 0)
		return -1;
	pool = eal_pool(2047);
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
		cmocka_unit_test(register__one_side_only_waits_and_disturbs_nobody),
		cmocka_unit_test(register__second_side_connects_it),
		cmocka_unit_test(register__states_can_be_seen),
		cmocka_unit_test(register__too_little_memory_is_refused_visibly),
		cmocka_unit_test(register__the_lower_of_both_counts),
		cmocka_unit_test(register__asks_for_too_much),
		cmocka_unit_test(register__removed_clients_do_not_count),
		cmocka_unit_test(unregister__down_then_gone),
		cmocka_unit_test(unregister__work_under_way_is_flushed_before_gone),
		cmocka_unit_test(unregister__while_a_teardown_is_under_way),
		cmocka_unit_test(unregister__only_once),
		cmocka_unit_test(unregister__before_polling_at_once),
		cmocka_unit_test(callbacks__may_remove_and_register),
		cmocka_unit_test(callbacks__no_up_after_removal),
		cmocka_unit_test(partners__only_those_concerned_notice),
		cmocka_unit_test(memory__gaps_are_reused_and_joined),
		cmocka_unit_test(counters__add_up_over_sessions),
		cmocka_unit_test(races__a_change_in_every_phase),
		cmocka_unit_test(random__clients_come_and_go_while_packets_are_lost),
		cmocka_unit_test(cycles__ports_leave_nothing_behind),
		cmocka_unit_test(cycles__one_that_waits_leaves_nothing_behind),
	};

	return cmocka_run_group_tests_name("ccm_clients_runtime", tests, setup, teardown);
}
