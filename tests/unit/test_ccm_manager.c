/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole nodes in one process: managers over engines over two links, one each way, with a virtual
 * clock. The links take half a round trip and can have faults; a node can crash and start again,
 * while the links keep what is on its way. Whatever happens, clients' UP and DOWN alternate, and
 * data that was written is read back the same.
 */
#include "ccm.h"
#include "link.h"
#include "rdma_emul.h"
#include "roce_bytes.h"
#include "roce_icrc.h"
#include "roce_wire.h"

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
	CHUNK = 3000,
	FRAME_MAX = 1200, /* a WRITE of 1024 bytes and its headers */
	FRAMES = 32768,
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
	uint32_t releases;
	uint32_t completions;
	uint32_t exchanges;
	uint32_t mismatches;
	struct ccm_port port;
	uint8_t pattern[CHUNK];
	uint8_t back[CHUNK];
	bool exchanging;
	bool verified;
	uint64_t exchange_at;
	struct world *world;
};

struct world {
	uint64_t now;
	uint64_t rng;
	struct link links[2]; /* towards node i */
	struct node nodes[2];
	uint64_t traffic_ns; /* pause between two exchanges of data; 0: one per session */
	bool forging;	     /* frames are changed in a way that nobody can tell */
	uint16_t version_min[2], version_max[2];
	uint32_t rkey_error[2]; /* what node i has wrong about its partner's key */
	const char *cluster[2];
};

static struct rte_mempool *pool;
static struct link_pool frames;
static void *frame_memory;

static uint64_t
next_random(void *ctx)
{
	struct world *w = ctx;

	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng * 0x2545f4914f6cdd1du;
}

/* Write a new pattern to a place of our own in the other's memory and read it back. */
static void
exchange(struct node *n)
{
	n->exchanging = true;
	n->verified = false;
	n->exchanges++;
	memset(n->back, 0, sizeof(n->back));
	for (uint32_t i = 0; i < CHUNK; i++)
		n->pattern[i] = (uint8_t)(i * 7 + n->id + n->exchanges * 3);
	assert_int_equal(ccm_port_post(n->ccm, n->port.handle, CCM_PORT_WRITE, n->pattern,
				 n->id * CHUNK, CHUNK, 1),
		0);
	assert_int_equal(ccm_port_post(n->ccm, n->port.handle, CCM_PORT_READ, n->back,
				 n->id * CHUNK, CHUNK, 2),
		0);
}

static void
on_read_back(struct node *n, uint64_t now)
{
	n->exchanging = false;
	n->verified = memcmp(n->back, n->pattern, CHUNK) == 0;
	n->exchange_at = now + n->world->traffic_ns;
	if (n->verified)
		return;
	n->mismatches++;
	assert_true(n->world->forging);
}

static void
on_client(void *ctx, const struct ccm_client_event *ev)
{
	struct node *n = ctx;

	switch (ev->kind) {
	case CCM_CLIENT_UP:
		assert_int_equal(n->ups, n->downs);
		assert_int_equal(n->releases, n->downs);
		n->ups++;
		n->port = ev->ports[0];
		exchange(n);
		break;
	case CCM_CLIENT_DOWN:
		n->downs++;
		assert_int_equal(n->ups, n->downs);
		n->exchanging = false;
		n->verified = false;
		break;
	case CCM_CLIENT_RELEASED:
		n->releases++;
		assert_int_equal(n->ups, n->downs);
		assert_int_equal(n->releases, n->downs);
		break;
	case CCM_CLIENT_ADVICE:
		break;
	case CCM_CLIENT_COMPLETED:
		assert_int_equal(n->ups, n->downs + 1);
		n->completions++;
		if (ev->wr_id == 2 && ev->status == REMU_WC_SUCCESS)
			on_read_back(n, ev->now_ns);
		break;
	case CCM_CLIENT_GONE: /* nobody is removed here */
		fail();
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
			.rkey = 0xc0de0001 + w->rkey_error[i]}},
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
	n->ups = n->downs = n->releases = n->completions = n->exchanges = n->mismatches = 0;
	n->exchanging = n->verified = false;
	n->world = w;
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

/* Frames that arrive now; a node that does not run loses them. */
static bool
node_receive(struct world *w, uint32_t i)
{
	struct node *n = &w->nodes[i];
	uint8_t frame[FRAME_MAX];
	bool any = false;
	uint32_t len;

	while ((len = link_recv(&w->links[i], frame, sizeof(frame), w->now)) != 0) {
		struct rte_mbuf *m;

		any = true;
		if (!n->running)
			continue;
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
			assert_int_equal(pkts[j]->nb_segs, 1);
			link_send(&w->links[1 - i], rte_pktmbuf_mtod(pkts[j], void *),
				pkts[j]->data_len, w->now);
			rte_pktmbuf_free(pkts[j]);
		}
		any = true;
	}
	return any;
}

/* Returns whether anything has happened. */
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
	if (n->ups != n->downs && !n->exchanging && !n->control_stopped &&
		(!n->verified || (w->traffic_ns != 0 && w->now >= n->exchange_at))) {
		exchange(n);
		busy = true;
	}
	return node_send(w, i) || busy;
}

/* When something will happen though nothing is going on now. */
static uint64_t
next_event(const struct world *w)
{
	uint64_t at = UINT64_MAX;

	for (uint32_t i = 0; i < 2; i++) {
		const struct node *n = &w->nodes[i];

		at = RTE_MIN(at, link_next(&w->links[i]));
		if (!n->running)
			continue;
		at = RTE_MIN(at, remu_engine_next_deadline(n->engine));
		if (n->control_stopped)
			continue;
		at = RTE_MIN(at, ccm_next_deadline(n->ccm));
		if (w->traffic_ns != 0 && n->ups != n->downs && !n->exchanging)
			at = RTE_MIN(at, n->exchange_at);
	}
	return at;
}

/* One turn of both nodes, then on to the next moment at which something happens. */
static void
step(struct world *w, uint64_t end)
{
	bool busy = node_turn(w, 0);
	uint64_t next;

	busy |= node_turn(w, 1);
	next = busy ? 0 : next_event(w);
	w->now = RTE_MIN(RTE_MAX(next, w->now + STEP_NS), end);
}

static void
run(struct world *w, uint64_t ns)
{
	for (uint64_t end = w->now + ns; w->now < end;)
		step(w, end);
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
		step(w, UINT64_MAX);
	}
	return w->now - start;
}

static void
set_links(struct world *w, const struct link_config *cfg)
{
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(link_config(&w->links[i], cfg, w->now), 0);
}

static const struct link_config quiet = {.delay_ns = HALF_RTT_NS};

static struct world *
world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	w->now = 1000 * (uint64_t)MS;
	w->rng = seed * 0x9e3779b97f4a7c15u + 1;
	w->nodes[0].id = 1;
	w->nodes[1].id = 2;
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(link_init(&w->links[i], &frames, 2 * seed + i, &quiet), 0);
	return w;
}

static void
world_free(struct world *w)
{
	for (uint32_t i = 0; i < 2; i++) {
		node_crash(w, i);
		/* What the test itself is too small for would be a fault that nobody ordered. */
		assert_int_equal(link_stats(&w->links[i])->lost[LINK_LOST_POOL], 0);
		assert_int_equal(link_stats(&w->links[i])->lost[LINK_LOST_SIZE], 0);
		link_close(&w->links[i]);
	}
	assert_int_equal(frames.n_free, frames.n_frames);
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
		struct link_config lossy = quiet;

		lossy.loss_ppm = seed % 3 * 100000;
		set_links(w, &lossy);
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
		link_partition(&w->links[way], true, w->now);
		run(w, 40 * MS);
		assert_int_not_equal(status(w, 0).state, CCM_UP);
		assert_int_not_equal(status(w, 1).state, CCM_UP);
		link_partition(&w->links[way], false, w->now);
		run_until_up(w, 500 * (uint64_t)MS);
	}
	world_free(w);
}

static void
poll__clogged_link(void **state)
{
	struct world *w = world_new(8);

	(void)state;
	node_start(w, 0);
	node_start(w, 1);
	run_until_up(w, 2 * MS);
	for (uint32_t way = 0; way < 2; way++) {
		/* A short one goes by unnoticed, of a long one both sides know. */
		uint32_t downs = w->nodes[0].downs;

		link_clog(&w->links[way], w->now + MS, w->now);
		run(w, 5 * MS);
		assert_int_equal(w->nodes[0].downs, downs);
		link_clog(&w->links[way], w->now + 40 * MS, w->now);
		run(w, 39 * MS);
		assert_int_not_equal(status(w, 0).state, CCM_UP);
		assert_int_not_equal(status(w, 1).state, CCM_UP);
		run_until_up(w, 500 * (uint64_t)MS);
	}
	world_free(w);
}

/* Seal a RoCEv2 frame again, whatever has become of it. */
static void
seal(void *ctx, uint8_t *frame, uint32_t len)
{
	uint8_t *l3 = frame + ROCE_ETH_LEN;
	uint32_t end;

	(void)ctx;
	if (len < ROCE_L2L4_LEN)
		return;
	end = ROCE_IPV4_LEN + roce_load_be16(l3 + ROCE_IPV4_LEN + 4);
	if (end >= ROCE_IPV4_LEN + ROCE_UDP_LEN + ROCE_BTH_LEN + ROCE_ICRC_LEN &&
		end <= len - ROCE_ETH_LEN)
		roce_store_le32(l3 + end - ROCE_ICRC_LEN, roce_icrc(l3, end - ROCE_ICRC_LEN));
}

/* What a scenario has come to, over all its seeds. */
struct tally {
	uint64_t ups, exchanges, mismatches;
	uint64_t recovery_ns; /* longest time until both are up after the faults have stopped */
	struct link_stats links;
};

static void
note_node(struct tally *t, const struct node *n)
{
	t->ups += n->ups;
	t->exchanges += n->exchanges;
	t->mismatches += n->mismatches;
}

static void
note_link(struct tally *t, const struct link *l)
{
	const struct link_stats *s = link_stats(l);

	t->links.delivered += s->delivered;
	t->links.duplicated += s->duplicated;
	t->links.reordered += s->reordered;
	for (uint32_t i = 0; i < LINK_LOSS_COUNT; i++)
		t->links.lost[i] += s->lost[i];
	for (uint32_t i = 0; i < LINK_DAMAGE_COUNT; i++)
		t->links.corrupted[i] += s->corrupted[i];
}

/* Start, work and crash. */
static void
live(struct world *w, struct tally *t)
{
	node_start(w, next_random(w) & 1);
	run(w, next_random(w) % MS);
	node_start(w, w->nodes[0].running);
	for (uint32_t crashes = 0; crashes < 3; crashes++) {
		uint32_t victim = next_random(w) & 1;

		run(w, 10 * MS + next_random(w) % (30 * MS));
		node_crash(w, victim);
		note_node(t, &w->nodes[victim]);
		run(w, next_random(w) % (20 * MS));
		node_start(w, victim);
	}
	run(w, 10 * MS + next_random(w) % (30 * MS));
}

/* Live with these faults; once they stop, both nodes come up, exchange new data, and stay up. */
static struct tally
weather(const char *name, const struct link_config *faults, uint32_t first_seed, uint32_t seeds)
{
	struct tally t = {0};

	for (uint32_t seed = first_seed; seed < first_seed + seeds; seed++) {
		struct world *w = world_new(seed);
		uint32_t downs;

		w->traffic_ns = MS / 2;
		w->forging = faults->forge_ppm != 0;
		set_links(w, faults);
		live(w, &t);
		set_links(w, &quiet);
		for (uint32_t i = 0; i < 2; i++)
			w->nodes[i].verified = false;
		t.recovery_ns = RTE_MAX(t.recovery_ns, run_until_up(w, 1000 * (uint64_t)MS));
		/* Forged frames that are still on their way may do harm once more. */
		downs = w->nodes[0].downs + w->nodes[1].downs;
		run(w, 30 * MS);
		assert_true(w->forging || w->nodes[0].downs + w->nodes[1].downs == downs);
		run_until_up(w, 1000 * (uint64_t)MS);
		for (uint32_t i = 0; i < 2; i++) {
			note_node(&t, &w->nodes[i]);
			note_link(&t, &w->links[i]);
		}
		world_free(w);
	}
	if (name != NULL)
		print_message("%s: %lu ups, %lu exchanges (%lu differed), recovery at most %lu "
			      "us\n",
			name, (unsigned long)t.ups, (unsigned long)t.exchanges,
			(unsigned long)t.mismatches, (unsigned long)(t.recovery_ns / 1000));
	return t;
}

static void
faults__duplication(void **state)
{
	struct link_config cfg = quiet;
	struct tally t;

	(void)state;
	cfg.duplicate_ppm = 200000;
	cfg.copies_max = 3;
	cfg.duplicate_max_ns = 200 * 1000;
	t = weather("duplication", &cfg, 1, 12);
	assert_true(t.links.duplicated != 0);
	assert_int_equal(t.mismatches, 0);
}

static void
faults__reordering(void **state)
{
	struct link_config cfg = quiet;
	struct tally t;

	(void)state;
	cfg.reorder_ppm = 250000;
	cfg.reorder_window = 8;
	cfg.reorder_ns = 50 * 1000;
	cfg.jitter_ns = 10 * 1000;
	t = weather("reordering", &cfg, 1, 12);
	assert_true(t.links.reordered != 0);
	assert_int_equal(t.mismatches, 0);
}

static void
faults__bursts(void **state)
{
	struct link_config cfg = quiet;
	struct tally t;

	(void)state;
	cfg.burst_begin_ppm = 20000;
	cfg.burst_end_ppm = 200000;
	cfg.burst_loss_ppm = 900000;
	t = weather("bursts", &cfg, 1, 12);
	assert_true(t.links.lost[LINK_LOST_BURST] != 0);
	assert_int_equal(t.mismatches, 0);
}

static void
faults__corruption(void **state)
{
	struct link_config cfg = quiet;
	struct tally t;

	(void)state;
	cfg.flip_ppm = 50000;
	cfg.cut_ppm = 50000;
	t = weather("corruption", &cfg, 1, 12);
	assert_true(t.links.corrupted[LINK_FLIPPED] != 0 && t.links.corrupted[LINK_CUT] != 0);
	assert_int_equal(t.mismatches, 0);
}

/* With a valid ICRC nobody can tell: data may differ, but nothing stays broken. */
static void
faults__corruption_that_passes_the_icrc(void **state)
{
	struct link_config cfg = quiet;
	struct tally t;

	(void)state;
	cfg.forge_ppm = 50000;
	cfg.seal = seal;
	t = weather("forgery", &cfg, 1, 40);
	assert_true(t.links.corrupted[LINK_FORGED] != 0);
	assert_true(t.mismatches != 0);
}

/* Frames of the ports do not pass, those of the bootstrap queue pairs do. */
static void
faults__mtu_clip(void **state)
{
	struct link_config cfg = quiet;
	struct tally t;

	(void)state;
	cfg.clip = 700;
	t = weather("MTU clip", &cfg, 1, 4);
	assert_true(t.links.lost[LINK_LOST_CLIP] != 0);
	assert_int_equal(t.mismatches, 0);
}

/* A little loss, many copies and some disorder end no session. */
static void
faults__light_ones_end_no_session(void **state)
{
	struct link_config cfg = quiet;
	uint64_t exchanges = 0;

	(void)state;
	cfg.loss_ppm = 20000;
	cfg.duplicate_ppm = 200000;
	cfg.duplicate_max_ns = 100 * 1000;
	cfg.reorder_ppm = 50000;
	cfg.reorder_window = 4;
	cfg.reorder_ns = 20 * 1000;
	for (uint32_t seed = 1; seed <= 10; seed++) {
		struct world *w = world_new(seed);

		w->traffic_ns = MS / 10;
		node_start(w, 0);
		node_start(w, 1);
		run_until_up(w, 2 * MS);
		set_links(w, &cfg);
		run(w, 200 * (uint64_t)MS);
		for (uint32_t i = 0; i < 2; i++) {
			assert_int_equal(w->nodes[i].downs, 0);
			exchanges += w->nodes[i].exchanges;
		}
		world_free(w);
	}
	print_message("%lu exchanges\n", (unsigned long)exchanges);
	assert_true(exchanges > 5000);
}

static void
faults__swarm(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 60; seed++) {
		struct link_config cfg = quiet;

		cfg.seal = seal;
		link_swarm(seed, &cfg, stdout);
		fflush(stdout);
		weather(NULL, &cfg, seed, 1);
	}
}

/* Copies that come seconds later, to nodes that have started again since. */
static void
faults__late_packets_outlive_reboots(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 3; seed++) {
		struct world *w = world_new(seed);
		struct link_config late = quiet;
		uint32_t downs[2];
		uint64_t in_flight;

		late.duplicate_ppm = 200000;
		late.duplicate_min_ns = 100 * (uint64_t)MS;
		late.duplicate_max_ns = 5000 * (uint64_t)MS;
		w->traffic_ns = 2 * MS;
		set_links(w, &late);
		node_start(w, 0);
		node_start(w, 1);
		for (uint32_t round = 0; round < 6; round++) {
			run(w, 300 * (uint64_t)MS);
			for (uint32_t i = 0; i < 2; i++)
				if (round % 3 == i || round % 3 == 2)
					node_crash(w, i);
			run(w, next_random(w) % (20 * MS));
			for (uint32_t i = 0; i < 2; i++)
				if (!w->nodes[i].running)
					node_start(w, i);
			run_until_up(w, 500 * (uint64_t)MS);
		}
		set_links(w, &quiet);
		in_flight = link_stats(&w->links[0])->in_flight;
		assert_true(in_flight > 1000);
		/* They do no harm to the session that there is. */
		for (uint32_t i = 0; i < 2; i++)
			downs[i] = w->nodes[i].downs;
		run(w, 5100 * (uint64_t)MS);
		assert_true(both_up(w));
		for (uint32_t i = 0; i < 2; i++)
			assert_int_equal(w->nodes[i].downs, downs[i]);
		world_free(w);
	}
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
poll__wrong_key_is_told(void **state)
{
	struct world *w = world_new(9);

	(void)state;
	w->rkey_error[1] = 8;
	node_start(w, 0);
	node_start(w, 1);
	run(w, 500 * (uint64_t)MS);
	/* The one with the wrong key learns why; the other one is answered, but never written to. */
	assert_int_equal(status(w, 1).state, CCM_SEARCH);
	assert_int_equal(status(w, 1).reason, CCM_REASON_ACCESS);
	assert_int_equal(status(w, 0).state, CCM_SEARCH);
	assert_int_equal(status(w, 0).reason, CCM_REASON_WAITING);
	assert_true(remu_engine_stats(w->nodes[0].engine)->drops[REMU_DROP_ACCESS] > 0);
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
	frame_memory = malloc(link_pool_size(FRAMES, FRAME_MAX));
	if (pool == NULL || frame_memory == NULL)
		return -1;
	link_pool_init(&frames, frame_memory, FRAMES, FRAME_MAX);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(frame_memory);
	return 0;
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
		cmocka_unit_test(poll__clogged_link),
		cmocka_unit_test(faults__duplication),
		cmocka_unit_test(faults__reordering),
		cmocka_unit_test(faults__bursts),
		cmocka_unit_test(faults__corruption),
		cmocka_unit_test(faults__corruption_that_passes_the_icrc),
		cmocka_unit_test(faults__mtu_clip),
		cmocka_unit_test(faults__light_ones_end_no_session),
		cmocka_unit_test(faults__swarm),
		cmocka_unit_test(faults__late_packets_outlive_reboots),
		cmocka_unit_test(poll__status_is_served_while_control_core_stands),
		cmocka_unit_test(stop__partner_is_told),
		cmocka_unit_test(poll__versions_without_overlap_are_refused),
		cmocka_unit_test(poll__other_cluster_is_refused),
		cmocka_unit_test(poll__wrong_key_is_told),
	};

	return cmocka_run_group_tests_name("ccm_manager", tests, setup_eal, teardown);
}
