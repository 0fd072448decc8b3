/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "frame_maker.h"
#include "wire.h"

#include <remu_priv.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { DEPTH = 8, OPS = 100000, RKEY = 0x55, LEN = 4096 };

static uint8_t memory[LEN];

static const struct remu_wr write_8 = {.addr = memory,
	.remote_va = 0x1000,
	.length = 8,
	.rkey = RKEY};

struct fixture {
	struct bench b;
	struct remu_channel *ch, *other;
};

static void
open_channels(struct fixture *f)
{
	bench_open(&f->b, &(struct wire_config){.sq_depth = 4});
	assert_int_equal(remu_channel_create(f->b.e, DEPTH, &f->ch), 0);
	assert_int_equal(remu_channel_create(f->b.e, DEPTH, &f->other), 0);
}

/* Lets the engine work and takes the next completion. */
static struct remu_wc
next(struct fixture *f, struct remu_channel *ch)
{
	struct remu_wc wc;

	remu_engine_poll(f->b.e, f->b.now);
	assert_int_equal(remu_channel_poll(ch, &wc, 1), 1);
	return wc;
}

static void
expect_verb(struct fixture *f, struct remu_channel *ch, uint64_t cookie, int32_t result)
{
	struct remu_wc wc = next(f, ch);

	assert_int_equal(wc.kind, REMU_WC_VERB);
	assert_int_equal(wc.wr_id, cookie);
	assert_int_equal(wc.result, result);
}

static void
expect_work(struct fixture *f, struct remu_channel *ch, uint64_t wr_id, uint8_t status)
{
	struct remu_wc wc = next(f, ch);

	assert_int_equal(wc.kind, REMU_WC_WORK);
	assert_int_equal(wc.wr_id, wr_id);
	assert_int_equal(wc.status, status);
}

static void
open_qp(struct fixture *f, struct remu_channel *ch, uint32_t qpn)
{
	struct remu_qp_config cfg = {.qpn = qpn, .pd = WIRE_PD, .access = 3};

	assert_int_equal(remu_channel_qp_open(ch, &cfg, 1), 0);
	assert_int_equal(remu_channel_qp_connect(ch, qpn, &f->b.attr, 2), 0);
	expect_verb(f, ch, 1, 0);
	expect_verb(f, ch, 2, 0);
	assert_int_equal(remu_qp_find(f->b.e, qpn)->state, REMU_QP_RTS);
}

static void
remu_channel_create__limits(void **state)
{
	static const struct {
		uint32_t depth;
		int rc;
	} cases[] = {{0, -EINVAL}, {4, -EINVAL}, {12, -EINVAL}, {131072, -EINVAL}, {8, 0}, {16, 0},
		{8, -ENOSPC}};
	struct remu_channel *ch;
	struct fixture f;

	(void)state;
	open_channels(&f);
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		assert_int_equal(remu_channel_create(f.b.e, cases[i].depth, &ch), cases[i].rc);
		assert_int_equal(ch != NULL, cases[i].rc == 0);
	}
	bench_close(&f.b);
}

/* All verbs with right and wrong arguments; each is answered once with its cookie. */
static void
remu_channel__verbs(void **state)
{
	struct remu_qp_config qp = {.qpn = 50, .pd = WIRE_PD}, bad_qp = {.qpn = 1};
	struct remu_mr_config mr = {.addr = memory, .length = 1, .rkey = 1, .pd = WIRE_PD};
	struct remu_mr_config bad_mr = mr;
	struct remu_qp_attr bad_attr;
	struct fixture f;

	(void)state;
	open_channels(&f);
	bad_mr.rkey = 0;
	bad_attr = f.b.attr;
	bad_attr.timeout_us = 0; /* good enough for RTR only */
#define VERB(call, cookie, want) \
	do { \
		assert_int_equal(call, 0); \
		expect_verb(&f, f.ch, cookie, want); \
	} while (0)
	VERB(remu_channel_qp_open(f.ch, &bad_qp, 10), 10, -EINVAL);
	VERB(remu_channel_qp_open(f.ch, &qp, 11), 11, 0);
	VERB(remu_channel_qp_open(f.ch, &qp, 12), 12, -EEXIST);
	VERB(remu_channel_qp_connect(f.ch, 51, &f.b.attr, 13), 13, -ENOENT);
	VERB(remu_channel_qp_connect(f.ch, 50, &bad_attr, 14), 14, -EINVAL);
	/* A failed connect has changed nothing: no peer gets in. */
	assert_int_equal(remu_qp_find(f.b.e, 50)->state, REMU_QP_INIT);
	VERB(remu_channel_qp_connect(f.ch, 50, &f.b.attr, 15), 15, 0);
	VERB(remu_channel_qp_connect(f.ch, 50, &f.b.attr, 16), 16, -EINVAL);
	VERB(remu_channel_mr_register(f.ch, &mr, 17), 17, 0);
	VERB(remu_channel_mr_register(f.ch, &mr, 18), 18, -EEXIST);
	VERB(remu_channel_mr_register(f.ch, &bad_mr, 19), 19, -EINVAL);
	VERB(remu_channel_mr_deregister(f.ch, WIRE_PD, 1, 20), 20, 0);
	VERB(remu_channel_mr_deregister(f.ch, WIRE_PD, 1, 21), 21, -ENOENT);
	VERB(remu_channel_qp_close(f.ch, 50, 22), 22, 0);
	VERB(remu_channel_qp_close(f.ch, 50, 23), 23, -ENOENT);
	assert_null(remu_qp_find(f.b.e, 50));
	assert_int_equal(f.ch->in_flight, 0);
	bench_close(&f.b);
}

/* Neither another channel nor the engine's own queue pairs can be touched. */
static void
remu_channel__keeps_to_its_own(void **state)
{
	static const uint32_t foreign[] = {WIRE_QPN, 50, 51};
	struct fixture f;

	(void)state;
	open_channels(&f);
	open_qp(&f, f.other, 50); /* 51 does not exist at all */
	for (size_t i = 0; i < RTE_DIM(foreign); i++) {
		struct remu_wr wr = write_8;

		wr.wr_id = i;
		assert_int_equal(remu_channel_post(f.ch, foreign[i], &wr), 0);
		expect_work(&f, f.ch, i, REMU_WC_LOC_QP_OP_ERR);
		assert_int_equal(remu_channel_qp_close(f.ch, foreign[i], 7), 0);
		expect_verb(&f, f.ch, 7, -ENOENT);
		assert_int_equal(remu_channel_qp_connect(f.ch, foreign[i], &f.b.attr, 8), 0);
		expect_verb(&f, f.ch, 8, -ENOENT);
	}
	bench_expect_silence(&f.b);
	bench_expect_no_wc(&f.b);
	assert_int_equal(remu_qp_find(f.b.e, 50)->state, REMU_QP_RTS);
	assert_int_equal(f.other->in_flight, 0);
	bench_close(&f.b);
}

/* `depth` under way at a time, however far the engine has got with them. */
static void
remu_channel_post__full(void **state)
{
	struct remu_wc wc[DEPTH];
	struct fixture f;

	(void)state;
	open_channels(&f);
	open_qp(&f, f.ch, 50);
	for (int served = 0; served < 2; served++) {
		for (int i = 0; i < DEPTH; i++)
			assert_int_equal(remu_channel_post(f.ch, 50, &write_8), 0);
		if (served)
			remu_engine_poll(f.b.e, 0);
		assert_int_equal(remu_channel_post(f.ch, 50, &write_8), -EAGAIN);
		assert_int_equal(remu_channel_qp_close(f.ch, 50, 1), -EAGAIN);
		assert_int_equal(f.ch->in_flight, DEPTH);
		/* The send queue takes four, the others are refused. */
		remu_engine_poll(f.b.e, 0);
		assert_int_equal(remu_channel_poll(f.ch, wc, DEPTH), DEPTH - 4);
		for (int i = 0; i < DEPTH - 4; i++)
			assert_int_equal(wc[i].status, REMU_WC_LOC_QP_OP_ERR);
		assert_int_equal(remu_channel_qp_close(f.ch, 50, 99), 0);
		for (int i = 0; i < 4; i++)
			expect_work(&f, f.ch, 0, REMU_WC_WR_FLUSH_ERR);
		expect_verb(&f, f.ch, 99, 0);
		assert_int_equal(f.ch->in_flight, 0);
		open_qp(&f, f.ch, 50);
	}
	bench_close(&f.b);
}

/* The end of a queue pair by the peer's fault is reported apart from what was posted. */
static void
remu_channel_poll__fatal_event(void **state)
{
	struct fixture f;
	struct remu_wc wc;

	(void)state;
	open_channels(&f);
	open_qp(&f, f.ch, 50);
	assert_int_equal(remu_channel_post(f.ch, 50, &write_8), 0);
	remu_engine_poll(f.b.e, 0);
	assert_int_equal(bench_inject(&f.b,
				 &(struct roce_fields){.opcode = ROCE_SEND_ONLY, .dest_qpn = 50},
				 NULL, 0),
		REMU_DROP_INVALID);
	expect_work(&f, f.ch, 0, REMU_WC_WR_FLUSH_ERR);
	wc = next(&f, f.ch);
	assert_int_equal(wc.kind, REMU_WC_FATAL);
	assert_int_equal(wc.qpn, 50);
	assert_int_equal(f.ch->in_flight, 0);
	bench_close(&f.b);
}

/* A client on the engine's lcore has its completions there; the channel still owns. */
static void
remu_qp_set_cq__completions_change_over(void **state)
{
	struct fixture f;
	struct remu_cq *cq;
	struct remu_qp *qp;
	struct remu_wc wc[2];

	(void)state;
	open_channels(&f);
	open_qp(&f, f.ch, 50);
	qp = remu_qp_find(f.b.e, 50);
	assert_int_equal(remu_cq_create(f.b.e, 1, &cq), 0);
	assert_int_equal(remu_qp_post(f.b.e, qp, &write_8, 0), 0);
	assert_int_equal(remu_qp_set_cq(f.b.e, qp, cq), -EBUSY);
	remu_qp_modify(f.b.e, qp, REMU_QP_RESET, NULL);
	assert_int_equal(remu_channel_poll(f.ch, wc, 1), 1);
	assert_int_equal(wc[0].status, REMU_WC_WR_FLUSH_ERR);
	f.ch->in_flight = 0; /* nobody had posted it through the channel */

	assert_int_equal(remu_qp_set_cq(f.b.e, qp, cq), 0);
	assert_int_equal(remu_cq_destroy(f.b.e, cq), -EBUSY);
	assert_int_equal(remu_qp_modify(f.b.e, qp, REMU_QP_INIT, NULL), 0);
	assert_int_equal(remu_qp_modify(f.b.e, qp, REMU_QP_RTR, &f.b.attr), 0);
	assert_int_equal(remu_qp_modify(f.b.e, qp, REMU_QP_RTS, &f.b.attr), 0);
	assert_int_equal(remu_qp_post(f.b.e, qp, &write_8, 0), 0);
	assert_int_equal(remu_qp_post(f.b.e, qp, &write_8, 0), -EAGAIN); /* one place */
	assert_int_equal(remu_channel_qp_close(f.ch, 50, 3), 0);
	expect_verb(&f, f.ch, 3, 0);
	assert_int_equal(remu_cq_poll(cq, wc, 2), 1);
	assert_int_equal(wc[0].status, REMU_WC_WR_FLUSH_ERR);
	assert_int_equal(f.ch->in_flight, 0);
	assert_int_equal(remu_cq_destroy(f.b.e, cq), 0);

	/* The next one in its place begins as all do. */
	open_qp(&f, f.ch, 50);
	assert_int_equal(remu_channel_post(f.ch, 50, &write_8), 0);
	remu_engine_poll(f.b.e, 0);
	assert_int_equal(remu_channel_qp_close(f.ch, 50, 4), 0);
	expect_work(&f, f.ch, 0, REMU_WC_WR_FLUSH_ERR);
	expect_verb(&f, f.ch, 4, 0);
	bench_close(&f.b);
}

/* Two engines on one thread, whose wire never loses anything. */
struct server {
	struct remu_engine *e[2];
	atomic_bool stop;
};

static void *
serve(void *arg)
{
	struct server *s = arg;
	uint64_t now = 0;

	while (!atomic_load(&s->stop)) {
		struct rte_mbuf *burst[32];

		for (int end = 0; end < 2; end++) {
			uint16_t n;

			remu_engine_poll(s->e[end], now);
			n = remu_engine_tx(s->e[end], burst, RTE_DIM(burst), now);
			remu_engine_rx(s->e[!end], burst, n, now);
		}
		now++;
		sched_yield(); /* there may be one CPU only */
	}
	return NULL;
}

/* The client's thread: keeps the channel full and checks order and number of completions. */
static void
remu_channel__two_threads(void **state)
{
	static uint8_t local[128][8]; /* twice as many as can be under way */
	struct wire_config cfg = {.sq_depth = 64, .window = 64};
	struct remu_mr_config mr = {.addr = memory,
		.va = 0x1000,
		.length = LEN,
		.rkey = RKEY,
		.pd = WIRE_PD,
		.access = 3};
	struct remu_qp_config qp = {.qpn = WIRE_QPN, .pd = WIRE_PD, .access = 3};
	struct remu_qp_attr attr = wire_attr(&cfg, 0), peer = wire_attr(&cfg, 1);
	struct rte_mempool *pool = eal_pool(1024);
	struct server server = {.e = {wire_engine(&cfg, 0, pool), wire_engine(&cfg, 1, pool)}};
	uint64_t posted = 0, completed = 0, verbs = 0, refused = 0;
	struct remu_channel *ch;
	pthread_t thread;

	(void)state;
	assert_int_equal(remu_channel_create(server.e[0], 64, &ch), 0);
	assert_int_equal(remu_mr_register(server.e[1], &mr), 0);
	wire_qp(server.e[1], &cfg, WIRE_PEER_QPN, &peer);
	assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
	assert_int_equal(remu_channel_qp_open(ch, &qp, 0), 0);
	assert_int_equal(remu_channel_qp_connect(ch, WIRE_QPN, &attr, 1), 0);
	while (completed < OPS || verbs < 3) {
		struct remu_wc wc[16];
		uint32_t n;
		int rc;

		do {
			struct remu_wr wr = {.wr_id = posted,
				.remote_va = 0x1000 + posted % 64 * 8,
				.length = 8,
				.rkey = RKEY};

			/* Each WRITE is read back by the next operation. */
			wr.opcode = posted & 1 ? REMU_WR_RDMA_READ : REMU_WR_RDMA_WRITE;
			wr.remote_va &= ~UINT64_C(8);
			wr.addr = local[posted % 128];
			if (posted == OPS)
				break;
			if (!(posted & 1) && ch->in_flight < 64)
				memcpy(local[posted % 128], &posted, 8);
			rc = remu_channel_post(ch, WIRE_QPN, &wr);
			posted += rc == 0;
		} while (rc == 0);
		refused += posted < OPS;
		n = remu_channel_poll(ch, wc, RTE_DIM(wc));
		if (n == 0)
			sched_yield();
		for (uint32_t i = 0; i < n; i++) {
			if (wc[i].kind == REMU_WC_VERB) {
				assert_int_equal(wc[i].result, 0);
				verbs++;
				continue;
			}
			assert_int_equal(wc[i].wr_id, completed);
			assert_int_equal(wc[i].status, REMU_WC_SUCCESS);
			if (completed & 1)
				assert_memory_equal(local[completed % 128],
					local[(completed - 1) % 128], 8);
			completed++;
		}
		if (completed == OPS && verbs == 2 && ch->in_flight == 0)
			assert_int_equal(remu_channel_qp_close(ch, WIRE_QPN, 2), 0);
	}
	assert_int_equal(ch->in_flight, 0);
	assert_int_not_equal(refused, 0);
	atomic_store(&server.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	remu_engine_destroy(server.e[0]);
	remu_engine_destroy(server.e[1]);
	eal_pool_free(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remu_channel_create__limits),
		cmocka_unit_test(remu_channel__verbs),
		cmocka_unit_test(remu_channel__keeps_to_its_own),
		cmocka_unit_test(remu_channel_post__full),
		cmocka_unit_test(remu_channel_poll__fatal_event),
		cmocka_unit_test(remu_qp_set_cq__completions_change_over),
		cmocka_unit_test(remu_channel__two_threads),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
