/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two engines on two threads, a client of each on two more, and one that watches: made for
 * ThreadSanitizer, and a test of the channels anyway. Frames cross between the engines by value,
 * as over a wire: a mempool's memory passes from thread to thread inside DPDK's libraries, where
 * the sanitizer does not see it.
 */
#include "eal.h"
#include "wire.h"

#include <remu_priv.h>

#include <pthread.h>
#include <rte_malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	MTU = 256,
	FRAME = 384,
	LINK = 128, /* frames on the way; more are lost */
	BURST = 16,
	DEPTH = 64,
	KINDS = 8,
	OPS = 10000, /* of each client; a multiple of KINDS */
	ROUNDS = OPS / KINDS,
	OPS_OUT = 24,
	RECVS_OUT = 16,
	RECVS_PER_ROUND = 4,
	RECVS = ROUNDS * RECVS_PER_ROUND,
	BUFFERS = 64, /* more than operations or receive requests under way */
	SLOTS = 16,
	SLOT = 1024,
	VERBS_EVERY = 50, /* operations */
	RKEY = 1,
	VA = 0x10000,
	STALL_S = 60,
};

/* What the peer reaches. */
struct region {
	uint64_t counter; /* FETCH_ADD adds to the lower half, our client to the upper one */
	uint64_t cell;	  /* CMP_SWAP counts */
	uint8_t slots[SLOTS][SLOT];
	uint64_t notes[ROUNDS]; /* WRITE with immediate: each is written once */
};

struct link_slot {
	uint32_t len;
	uint8_t bytes[FRAME];
};

/* An engine, its client and the frames on their way to it. */
struct node {
	int end;
	struct rte_mempool *pool;
	struct remu_engine *e;
	struct remu_channel *ch;
	struct rte_ring *in;
	struct node *peer;
	struct region region;
	/* The client's own. */
	uint32_t posted, completed, recv_posted, received, verbs_posted, verbs;
	uint64_t local_adds;
	uint8_t out[BUFFERS][SLOT];
	uint8_t inbox[BUFFERS][SLOT];
};

static struct node nodes[2];
static atomic_bool stop_engines, stop_watching;
static pthread_barrier_t barrier;

/* cmocka's assertions belong to the thread that runs the test. */
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

static uint64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

static uint16_t
receive_frames(struct node *n, uint64_t now)
{
	struct link_slot slots[BURST];
	struct rte_mbuf *burst[BURST];
	uint16_t count = 0;
	uint32_t got = rte_ring_sc_dequeue_burst_elem(n->in, slots, sizeof(slots[0]), BURST, NULL);

	for (uint32_t i = 0; i < got; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(n->pool);

		if (m == NULL)
			continue;
		memcpy(rte_pktmbuf_append(m, (uint16_t)slots[i].len), slots[i].bytes, slots[i].len);
		burst[count++] = m;
	}
	remu_engine_rx(n->e, burst, count, now);
	return count;
}

static uint16_t
send_frames(struct node *n, uint64_t now)
{
	struct rte_mbuf *burst[BURST];
	uint16_t count = remu_engine_tx(n->e, burst, BURST, now);

	for (uint16_t i = 0; i < count; i++) {
		struct link_slot slot = {.len = burst[i]->pkt_len};

		CHECK(slot.len <= FRAME);
		memcpy(slot.bytes, rte_pktmbuf_mtod(burst[i], void *), slot.len);
		rte_pktmbuf_free(burst[i]);
		rte_ring_sp_enqueue_elem(n->peer->in, &slot, sizeof(slot));
	}
	return count;
}

/* The thread that owns an engine. */
static void *
serve(void *arg)
{
	struct node *n = arg;

	while (!atomic_load(&stop_engines)) {
		uint64_t now = clock_ns();
		uint16_t work = receive_frames(n, now);

		remu_engine_poll(n->e, now);
		work += send_frames(n, now);
		if (work == 0)
			rest();
	}
	return NULL;
}

/* Operation k of either client; kinds take turns. */
enum kind { WRITE, READ_BACK, SEND, SEND_IMM, WRITE_IMM, FETCH_ADD, CMP_SWAP, SEND_NOTHING };

static const uint8_t opcodes[KINDS] = {
	[WRITE] = REMU_WR_RDMA_WRITE,
	[READ_BACK] = REMU_WR_RDMA_READ,
	[SEND] = REMU_WR_SEND,
	[SEND_IMM] = REMU_WR_SEND_IMM,
	[WRITE_IMM] = REMU_WR_RDMA_WRITE_IMM,
	[FETCH_ADD] = REMU_WR_FETCH_ADD,
	[CMP_SWAP] = REMU_WR_CMP_SWAP,
	[SEND_NOTHING] = REMU_WR_SEND,
};

static uint32_t
length_of(uint32_t k)
{
	uint32_t base = k % KINDS == READ_BACK ? k - 1 : k;

	switch ((enum kind)(k % KINDS)) {
	case WRITE:
	case READ_BACK:
	case SEND:
	case SEND_IMM:
		return 1 + base * 37 % SLOT;
	case WRITE_IMM:
	case FETCH_ADD:
	case CMP_SWAP:
		return 8;
	case SEND_NOTHING:
	default:
		return 0;
	}
}

static uint8_t
byte_of(uint32_t k, uint32_t i)
{
	return (uint8_t)(k * 13 + (k >> 8) + i);
}

static void
fill(uint8_t *buf, uint32_t k, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		buf[i] = byte_of(k, i);
}

static bool
holds(const void *buf, uint32_t k, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (((const uint8_t *)buf)[i] != byte_of(k, i))
			return false;
	return true;
}

static uint64_t
remote_va(uint32_t k)
{
	uint32_t round = k / KINDS;

	switch ((enum kind)(k % KINDS)) {
	case WRITE:
	case READ_BACK:
		return VA + offsetof(struct region, slots) + round % SLOTS * SLOT;
	case WRITE_IMM:
		return VA + offsetof(struct region, notes) + round * 8;
	case CMP_SWAP:
		return VA + offsetof(struct region, cell);
	case SEND:
	case SEND_IMM:
	case FETCH_ADD:
	case SEND_NOTHING:
	default:
		return VA + offsetof(struct region, counter);
	}
}

static void
post_operations(struct node *n)
{
	while (n->posted < OPS && n->posted - n->completed < OPS_OUT) {
		uint32_t k = n->posted, round = k / KINDS;
		struct remu_wr wr = {
			.wr_id = k,
			.addr = n->out[k % BUFFERS],
			.remote_va = remote_va(k),
			.length = length_of(k),
			.rkey = RKEY,
			.opcode = opcodes[k % KINDS],
			.imm = k,
			.swap_add = k % KINDS == FETCH_ADD ? 1 : round + 1,
			.compare = round,
		};

		if (k % KINDS != READ_BACK)
			fill(wr.addr, k, wr.length);
		if (remu_channel_post(n->ch, n->end == 0 ? WIRE_QPN : WIRE_PEER_QPN, &wr) != 0)
			return;
		n->posted++;
	}
}

static void
post_receives(struct node *n)
{
	while (n->recv_posted < RECVS && n->recv_posted - n->received < RECVS_OUT) {
		struct remu_recv_wr wr = {
			.wr_id = n->recv_posted,
			.addr = n->inbox[n->recv_posted % BUFFERS],
			.length = SLOT,
		};

		if (remu_channel_post_recv(n->ch, n->end == 0 ? WIRE_QPN : WIRE_PEER_QPN, &wr) != 0)
			return;
		n->recv_posted++;
	}
}

/* Regions and queue pairs that nobody uses come and go meanwhile. */
static void
post_verbs(struct node *n)
{
	static uint8_t memory[8];
	const struct remu_qp_config qp = {.qpn = 100, .pd = WIRE_PD};
	const struct remu_mr_config mr = {.addr = memory, .length = 8, .rkey = 7, .pd = WIRE_PD};
	int rc = 0;

	if (n->verbs_posted != n->verbs || n->verbs > n->completed / VERBS_EVERY)
		return;
	switch (n->verbs_posted % 4) {
	case 0:
		rc = remu_channel_qp_open(n->ch, &qp, n->verbs_posted);
		break;
	case 1:
		rc = remu_channel_mr_register(n->ch, &mr, n->verbs_posted);
		break;
	case 2:
		rc = remu_channel_qp_close(n->ch, 100, n->verbs_posted);
		break;
	default:
		rc = remu_channel_mr_deregister(n->ch, WIRE_PD, 7, n->verbs_posted);
		break;
	}
	n->verbs_posted += rc == 0;
}

static void
on_work(struct node *n, const struct remu_wc *wc)
{
	uint32_t k = n->completed++;
	const uint8_t *out = n->out[k % BUFFERS];
	uint64_t found;

	CHECK(wc->wr_id == k && wc->status == REMU_WC_SUCCESS && wc->byte_len == length_of(k));
	memcpy(&found, out, sizeof(found));
	switch ((enum kind)(k % KINDS)) {
	case READ_BACK:
		CHECK(holds(out, k - 1, wc->byte_len));
		break;
	case FETCH_ADD:
		CHECK((uint32_t)found == k / KINDS);
		break;
	case CMP_SWAP:
		CHECK(found == k / KINDS);
		break;
	case WRITE:
	case SEND:
	case SEND_IMM:
	case WRITE_IMM:
	case SEND_NOTHING:
	default:
		break;
	}
	__atomic_fetch_add(&n->region.counter, UINT64_C(1) << 32, __ATOMIC_SEQ_CST);
	n->local_adds++;
}

static void
on_recv(struct node *n, const struct remu_wc *wc)
{
	static const uint8_t kinds[RECVS_PER_ROUND] = {SEND, SEND_IMM, WRITE_IMM, SEND_NOTHING};
	uint32_t j = n->received++, round = j / RECVS_PER_ROUND;
	uint32_t kind = kinds[j % RECVS_PER_ROUND], k = round * KINDS + kind;
	const void *data = kind == WRITE_IMM ? (uint8_t *)&n->region.notes[round]
					     : n->inbox[j % BUFFERS];

	CHECK(wc->wr_id == j && wc->status == REMU_WC_SUCCESS && wc->opcode == opcodes[kind]);
	CHECK(wc->byte_len == length_of(k));
	CHECK(!(wc->flags & REMU_WC_WITH_IMM) || wc->imm == k);
	CHECK(holds(data, k, wc->byte_len));
}

/* Returns whether there was something. */
static bool
client_poll(struct node *n)
{
	struct remu_wc wc[BURST];
	uint32_t count = remu_channel_poll(n->ch, wc, BURST);

	for (uint32_t i = 0; i < count; i++) {
		CHECK(wc[i].kind != REMU_WC_FATAL);
		if (wc[i].kind == REMU_WC_VERB) {
			CHECK(wc[i].wr_id == n->verbs++ && wc[i].result == 0);
		} else if (wc[i].kind == REMU_WC_RECV) {
			on_recv(n, &wc[i]);
		} else {
			on_work(n, &wc[i]);
		}
	}
	return count != 0;
}

static void
await_verbs(struct node *n)
{
	while (n->verbs != n->verbs_posted)
		if (!client_poll(n))
			rest();
}

static void
connect_client(struct node *n)
{
	const struct wire_config cfg = {.mtu = MTU,
		.retry_cnt = 255,
		.rnr_retry = 7,
		.sq_psn = 0xffff00};
	const struct remu_mr_config mr = {
		.addr = &n->region,
		.va = VA,
		.length = sizeof(n->region),
		.rkey = RKEY,
		.pd = WIRE_PD,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
			REMU_ACCESS_REMOTE_ATOMIC,
	};
	const struct remu_qp_config qp = {
		.qpn = n->end == 0 ? WIRE_QPN : WIRE_PEER_QPN,
		.pd = WIRE_PD,
		.access = mr.access,
	};
	struct remu_qp_attr attr = wire_attr(&cfg, n->end);

	attr.timeout_us = 20000;
	CHECK(remu_channel_mr_register(n->ch, &mr, n->verbs_posted++) == 0);
	CHECK(remu_channel_qp_open(n->ch, &qp, n->verbs_posted++) == 0);
	CHECK(remu_channel_qp_connect(n->ch, qp.qpn, &attr, n->verbs_posted++) == 0);
	await_verbs(n);
	/* post_verbs() counts from here on. */
	n->verbs = n->verbs_posted = 0;
}

static void *
run_client(void *arg)
{
	struct node *n = arg;
	uint64_t last = clock_ns();

	connect_client(n);
	pthread_barrier_wait(&barrier);
	while (n->completed < OPS || n->received < RECVS) {
		post_receives(n);
		post_operations(n);
		post_verbs(n);
		if (client_poll(n)) {
			last = clock_ns();
		} else {
			CHECK(clock_ns() - last < STALL_S * UINT64_C(1000000000));
			rest();
		}
	}
	/* The peer may still wait for an answer of our engine. */
	pthread_barrier_wait(&barrier);
	await_verbs(n);
	CHECK(remu_channel_qp_close(n->ch, n->end == 0 ? WIRE_QPN : WIRE_PEER_QPN,
		      n->verbs_posted++) == 0);
	await_verbs(n);
	CHECK(n->ch->in_flight == 0);
	return NULL;
}

/* Counters as any thread may read them. */
static void
read_counters(const struct remu_engine *e, uint64_t *to)
{
	const uint64_t *from = (const uint64_t *)remu_engine_stats(e);

	for (size_t i = 0; i < sizeof(struct remu_stats) / sizeof(*from); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* Counters never go back, and what is told of queue pairs is of such as there are. */
static void *
watch(void *arg)
{
	enum { COUNTERS = sizeof(struct remu_stats) / sizeof(uint64_t) };
	static uint64_t before[2][COUNTERS];
	uint64_t now[COUNTERS];

	(void)arg;
	while (!atomic_load(&stop_watching)) {
		for (int end = 0; end < 2; end++) {
			struct remu_qp_info info[8];
			uint32_t n = remu_engine_qps(nodes[end].e, 0, info, RTE_DIM(info));

			CHECK(n <= 2);
			for (uint32_t i = 0; i < n; i++)
				CHECK(info[i].state < REMU_QP_STATE_COUNT);
			read_counters(nodes[end].e, now);
			for (size_t i = 0; i < COUNTERS; i++) {
				CHECK(now[i] >= before[end][i] ||
					i == offsetof(struct remu_stats, rx_held) / 8);
				before[end][i] = now[i];
			}
		}
		rest();
	}
	return NULL;
}

static void
open_nodes(void)
{
	const struct wire_config cfg = {.sq_depth = 32, .rq_depth = RECVS_OUT, .window = 32};

	for (int end = 0; end < 2; end++) {
		struct node *n = &nodes[end];

		n->end = end;
		n->peer = &nodes[!end];
		n->pool = eal_pool(256);
		n->e = wire_engine(&cfg, end, n->pool);
		n->in = remu__ring_create(LINK, sizeof(struct link_slot), -1);
		assert_non_null(n->in);
		assert_int_equal(remu_channel_create(n->e, DEPTH, &n->ch), 0);
	}
}

static void
check_node(const struct node *n)
{
	const struct remu_stats *stats = remu_engine_stats(n->e);

	assert_int_equal(n->region.counter, (n->local_adds << 32) + ROUNDS);
	assert_int_equal(n->region.cell, ROUNDS);
	assert_int_equal(n->completed, OPS);
	assert_int_equal(n->received, RECVS);
	assert_in_range(n->verbs, OPS / VERBS_EVERY, UINT32_MAX);
	assert_int_equal(stats->wc_success, OPS + RECVS);
	assert_int_equal(stats->wc_error, 0);
	assert_int_equal(stats->atomics_executed, 2 * ROUNDS);
	assert_int_equal(stats->rx_held, 0);
}

static void
threads__two_engines_two_clients(void **state)
{
	pthread_t engines[2], clients[2], watcher;

	(void)state;
	open_nodes();
	assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
	for (int end = 0; end < 2; end++)
		assert_int_equal(pthread_create(&engines[end], NULL, serve, &nodes[end]), 0);
	assert_int_equal(pthread_create(&watcher, NULL, watch, NULL), 0);
	for (int end = 0; end < 2; end++)
		assert_int_equal(pthread_create(&clients[end], NULL, run_client, &nodes[end]), 0);
	for (int end = 0; end < 2; end++)
		assert_int_equal(pthread_join(clients[end], NULL), 0);
	atomic_store(&stop_watching, true);
	assert_int_equal(pthread_join(watcher, NULL), 0);
	atomic_store(&stop_engines, true);
	for (int end = 0; end < 2; end++)
		assert_int_equal(pthread_join(engines[end], NULL), 0);
	pthread_barrier_destroy(&barrier);
	for (int end = 0; end < 2; end++) {
		check_node(&nodes[end]);
		remu_engine_destroy(nodes[end].e);
		rte_free(nodes[end].in);
		eal_pool_free(nodes[end].pool);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads__two_engines_two_clients),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
