/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "frame_maker.h"
#include "wire.h"

#include <remu_priv.h>

#include <errno.h>

enum { MANY = 8, CHURN = 20000 };

static uint8_t buffer[8192];
static const struct remu_wr write_8k = {.wr_id = 1,
	.addr = buffer,
	.length = sizeof(buffer),
	.opcode = REMU_WR_RDMA_WRITE};

/* Post work requests 1 to n. */
static void
post(struct bench *b, uint32_t n)
{
	struct remu_wr wr = write_8k;

	for (wr.wr_id = 1; wr.wr_id <= n; wr.wr_id++)
		assert_int_equal(remu_qp_post(b->e, b->qp, &wr, b->now), 0);
}

static void
modify(struct bench *b, enum remu_qp_state to)
{
	assert_int_equal(remu_qp_modify(b->e, b->qp, to, &b->attr), 0);
}

/* From RTS to any state. */
static void
bring_to(struct bench *b, enum remu_qp_state state)
{
	if (state == REMU_QP_SQE || state == REMU_QP_ERR) {
		if (state == REMU_QP_SQE)
			remu__qp_fail(b->e, b->qp);
		else
			modify(b, REMU_QP_ERR);
		return;
	}
	modify(b, REMU_QP_RESET);
	for (int to = REMU_QP_INIT; to <= (int)state; to++)
		modify(b, (enum remu_qp_state)to);
}

static void
remu_qp_modify__every_pair_of_states(void **state)
{
	/* For each state a bit per allowed target. */
	enum { RESET_ERR = 1 << REMU_QP_RESET | 1 << REMU_QP_ERR };
	static const uint8_t allowed[REMU_QP_STATE_COUNT] = {
		[REMU_QP_RESET] = RESET_ERR | 1 << REMU_QP_INIT,
		[REMU_QP_INIT] = RESET_ERR | 1 << REMU_QP_RTR,
		[REMU_QP_RTR] = RESET_ERR | 1 << REMU_QP_RTS,
		[REMU_QP_RTS] = RESET_ERR | 1 << REMU_QP_SQD,
		[REMU_QP_SQD] = RESET_ERR | 1 << REMU_QP_RTS,
		[REMU_QP_SQE] = RESET_ERR | 1 << REMU_QP_RTS,
		[REMU_QP_ERR] = RESET_ERR,
	};
	struct bench b;

	(void)state;
	for (uint32_t flags = 0; flags <= REMU_QP_BOOTSTRAP; flags++)
		for (int from = 0; from < REMU_QP_STATE_COUNT; from++)
			for (int to = 0; to <= REMU_QP_STATE_COUNT; to++) {
				/* A bootstrap requester may start a new sequence at any time. */
				bool ok = allowed[from] >> to & 1 ||
					(flags != 0 && from == REMU_QP_RTS && to == REMU_QP_RTS);
				int rc;

				if (from == REMU_QP_SQE && flags == 0)
					continue;
				bench_open(&b, &(struct wire_config){.flags = flags});
				bring_to(&b, (enum remu_qp_state)from);
				assert_int_equal(bench_info(&b).state, from);
				rc = remu_qp_modify(b.e, b.qp, (enum remu_qp_state)to, &b.attr);
				if (rc != (ok ? 0 : -EINVAL))
					fail_msg("%d to %d: %d", from, to, rc);
				assert_int_equal(bench_info(&b).state, ok ? to : from);
				bench_close(&b);
			}
}

static void
remu_qp_modify__checks_ranges(void **state)
{
	static const struct {
		struct member m;
		uint64_t good[2];
		uint64_t bad[3];
		enum remu_qp_state to;
	} cases[] = {
#define ATTR(m) {MEMBER(struct remu_qp_attr, m)}
		{ATTR(path_mtu), {256, 4096}, {0, 128, 1500}, REMU_QP_RTR},
		{ATTR(path_mtu), {512, 2048}, {8192, 257, 1023}, REMU_QP_RTR},
		{ATTR(rq_psn), {0, 0xffffff}, {0x1000000, UINT32_MAX, 0x1000001}, REMU_QP_RTR},
		{ATTR(peer_qpn), {2, 0xfffffe}, {0, 1, 0xffffff}, REMU_QP_RTR},
		{ATTR(max_dest_rd_atomic), {0, 64}, {65, 66, 255}, REMU_QP_RTR},
		{ATTR(sq_psn), {0, 0xffffff}, {0x1000000, UINT32_MAX, 0x1000001}, REMU_QP_RTS},
		{ATTR(timeout_us), {1, 10000000}, {0, 10000001, UINT32_MAX}, REMU_QP_RTS},
		{ATTR(max_rd_atomic), {1, 64}, {0, 65, 255}, REMU_QP_RTS},
		{ATTR(rnr_retry), {0, 7}, {8, 9, 255}, REMU_QP_RTS},
	};
	struct remu_qp_attr attr;
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		for (size_t v = 0; v < 5; v++) {
			uint64_t value = v < 2 ? cases[i].good[v] : cases[i].bad[v - 2];
			int rc;

			bring_to(&b, cases[i].to - 1);
			attr = b.attr;
			memcpy((uint8_t *)&attr + cases[i].m.off, &value, cases[i].m.size);
			rc = remu_qp_modify(b.e, b.qp, cases[i].to, &attr);
			if (rc != (v < 2 ? 0 : -EINVAL))
				fail_msg("%s %lx: %d", cases[i].m.name, value, rc);
		}
	bring_to(&b, REMU_QP_INIT);
	attr = b.attr;
	memset(&attr.peer_gid, 0xfe, sizeof(attr.peer_gid));
	assert_int_equal(remu_qp_modify(b.e, b.qp, REMU_QP_RTR, &attr), -EINVAL);
	bench_close(&b);
}

/* However a queue pair stops, each work request completes once, in order, and nothing is sent. */
static void
remu_qp__flushes_on_every_exit(void **state)
{
	enum { BY_RESET, BY_ERR, BY_FAIL, BY_DESTROY, BY_NEW_SEQUENCE, EXITS };
	static const enum remu_qp_state targets[EXITS] = {[BY_RESET] = REMU_QP_RESET,
		[BY_ERR] = REMU_QP_ERR,
		[BY_NEW_SEQUENCE] = REMU_QP_RTS};
	struct bench b;

	(void)state;
	for (int how = 0; how < EXITS; how++)
		for (int sent = 0; sent <= 11; sent += 11) {
			struct wire_config cfg = {
				.flags = how == BY_NEW_SEQUENCE ? REMU_QP_BOOTSTRAP : 0};

			bench_open(&b, &cfg);
			snprintf(b.label, sizeof(b.label), "exit %d after %d", how, sent);
			post(&b, 3);
			assert_int_equal(bench_info(&b).outstanding, 3);
			for (int i = 0; i < sent; i++)
				assert_non_null(bench_tx(&b));
			if (how == BY_DESTROY)
				remu_qp_destroy(b.e, b.qp);
			else if (how == BY_FAIL)
				remu__qp_fail(b.e, b.qp);
			else
				modify(&b, targets[how]);
			for (uint64_t id = 1; id <= 3; id++)
				bench_expect_wc(&b, id, REMU_WC_WR_FLUSH_ERR);
			bench_expect_no_wc(&b);
			bench_expect_silence(&b);
			assert_int_equal(remu_engine_next_deadline(b.e), UINT64_MAX);
			assert_int_equal(bench_info(&b).outstanding, 0);
			assert_int_equal(remu_engine_stats(b.e)->wc_error, 3);
			b.now += 1000000000; /* no timer was left behind */
			bench_expect_silence(&b);
			bench_expect_no_wc(&b);
			bench_close(&b);
		}
}

/* Nothing of the old connection comes out of a queue pair that was reset or closed. */
static void
remu_qp__sends_no_response_after_reset(void **state)
{
	static const enum remu_qp_state exits[] = {REMU_QP_RESET, REMU_QP_ERR};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(exits); i++) {
		bench_open(&b, &(struct wire_config){0});
		assert_int_equal(bench_inject(&b,
					 &(struct roce_fields){.opcode = ROCE_READ_REQUEST}, NULL,
					 0),
			REMU_DROP_NONE);
		modify(&b, exits[i]);
		bench_expect_silence(&b);
		bench_close(&b);
	}
}

static void
remu_qp_modify__starts_a_bootstrap_requester_anew(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){.flags = REMU_QP_BOOTSTRAP, .sq_psn = 5});
	post(&b, 1);
	assert_int_equal(bench_tx(&b)->pkt.f.psn, 5);
	b.now += WIRE_TIMEOUT_US * 1000; /* no retries: the first timeout ends it */
	bench_expect_silence(&b);
	bench_expect_wc(&b, 1, REMU_WC_RETRY_EXC_ERR);
	assert_int_equal(bench_info(&b).state, REMU_QP_SQE);
	assert_int_equal(remu_qp_post(b.e, b.qp, &write_8k, b.now), -ENOTCONN);
	b.attr.sq_psn = 0xfffff0;
	modify(&b, REMU_QP_RTS);
	post(&b, 1);
	assert_int_equal(bench_tx(&b)->pkt.f.psn, 0xfffff0);
	bench_close(&b);
}

static void
remu_qp_create__checks_its_arguments(void **state)
{
	static const struct {
		uint32_t qpn;
		int rc;
	} cases[] = {{0, -EINVAL}, {1, -EINVAL}, {0xffffff, -EINVAL}, {UINT32_MAX, -EINVAL},
		{WIRE_QPN, -EEXIST}, {2, 0}, {0xfffffe, 0}, {3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0},
		{8, -ENOSPC}};
	struct remu_engine_config cfg = {.gid = roce_gid_ipv4(1),
		.n_engines = 4,
		.id = 3,
		.max_qps = 4,
		.max_mrs = 1,
		.sq_depth = 2,
		.window = 1,
		.socket_id = -1};
	struct remu_engine *e;
	struct remu_qp *qp;
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct remu_qp_config config = {.qpn = cases[i].qpn};

		assert_int_equal(remu_qp_create(b.e, &config, &qp), cases[i].rc);
		assert_int_equal(qp != NULL, cases[i].rc == 0);
	}
	remu_qp_destroy(b.e, NULL);

	cfg.pool = b.pool; /* one of four engines takes a quarter of the numbers */
	assert_int_equal(remu_engine_create(&cfg, &e), 0);
	for (uint32_t qpn = 2; qpn < 10; qpn++)
		assert_int_equal(remu_qp_create(e, &(struct remu_qp_config){.qpn = qpn}, &qp),
			remu_qpn_owner(qpn, 4) == 3 ? 0 : -EINVAL);
	remu_engine_destroy(e);
	bench_close(&b);
}

static void
remu_engine_qps__tells_what_is_there(void **state)
{
	struct remu_qp_info info[MANY];
	struct remu_qp *qp;
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){.sq_psn = 0xffffff, .rq_psn = 77});
	assert_int_equal(remu_qp_create(b.e,
				 &(struct remu_qp_config){.qpn = 0x33, .flags = REMU_QP_BOOTSTRAP},
				 &qp),
		0);
	post(&b, 2);
	for (int i = 0; i < 3; i++)
		assert_non_null(bench_tx(&b));
	assert_int_equal(bench_inject(&b,
				 &(struct roce_fields){.opcode = ROCE_ACKNOWLEDGE,
					 .psn = 0xffffff,
					 .syndrome = ROCE_SYN_ACK_NO_LIMIT},
				 NULL, 0),
		REMU_DROP_NONE);
	assert_int_equal(remu_engine_qps(b.e, 0, info, MANY), 2);
	assert_memory_equal(&info[0],
		(&(struct remu_qp_info){.qpn = WIRE_QPN,
			.peer_qpn = WIRE_PEER_QPN,
			.next_psn = 15,
			.una_psn = 0,
			.epsn = 77,
			.outstanding = 2,
			.window = 64,
			.path_mtu = 1024,
			.state = REMU_QP_RTS}),
		sizeof(info[0]));
	assert_memory_equal(&info[1], (&(struct remu_qp_info){.qpn = 0x33, .bootstrap = 1}),
		sizeof(info[1]));
	assert_int_equal(remu_engine_qps(b.e, 0, info, 1), 1);
	assert_int_equal(remu_engine_qps(b.e, 1, info, MANY), 1);
	assert_int_equal(remu_engine_qps(b.e, MANY, info, MANY), 0);
	bench_close(&b);
}

/* Queue pairs come and go in all states, with output due and timers armed. */
static void
remu_qp__survives_churn(void **state)
{
	struct remu_qp *qps[MANY] = {NULL};
	struct wire_config cfg = {.retry_cnt = 1, .max_qps = MANY};
	uint64_t seed = 1, posted = 0, completed = 0;
	struct remu_wc wc[64];
	struct bench b;

	(void)state;
	bench_open(&b, &cfg);
	remu_qp_destroy(b.e, b.qp);
	for (int i = 0; i < CHURN; i++) {
		uint32_t k = prng_below(&seed, MANY);
		struct rte_mbuf *m;

		b.now += prng_below(&seed, 300000);
		switch (prng_below(&seed, 4)) {
		case 0:
			if (qps[k] == NULL) {
				qps[k] = wire_qp(b.e, &cfg, 100 + k, &b.attr);
			} else {
				remu_qp_destroy(b.e, qps[k]);
				qps[k] = NULL;
			}
			break;
		case 1:
			remu_engine_poll(b.e, b.now);
			if (remu_engine_tx(b.e, &m, 1, b.now) != 0)
				rte_pktmbuf_free(m);
			break;
		default:
			if (qps[k] != NULL)
				posted += remu_qp_post(b.e, qps[k], &write_8k, b.now) == 0;
			break;
		}
		assert_ptr_equal(remu_qp_find(b.e, 100 + k), qps[k]);
		completed += remu_engine_poll_wc(b.e, wc, RTE_DIM(wc));
	}
	for (uint32_t k = 0; k < MANY; k++)
		remu_qp_destroy(b.e, qps[k]);
	completed += remu_engine_poll_wc(b.e, wc, RTE_DIM(wc));
	assert_int_equal(remu_engine_poll_wc(b.e, wc, RTE_DIM(wc)), 0);
	assert_in_range(posted, CHURN / 8, CHURN);
	assert_int_equal(completed, posted);
	assert_false(remu_engine_has_output(b.e));
	bench_close(&b);
}

/* An owner that never polls loses fatal events at worst, never a completion. */
static void
remu_engine_poll_wc__has_room_for_all_completions(void **state)
{
	struct wire_config cfg = {.sq_depth = 2, .max_qps = 2};
	struct remu_wc wc[64];
	uint32_t n, work = 0;
	struct bench b;

	(void)state;
	bench_open(&b, &cfg);
	post(&b, 2);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(bench_inject(&b, &(struct roce_fields){.opcode = ROCE_SEND_ONLY},
					 NULL, 0),
			REMU_DROP_INVALID);
		bring_to(&b, REMU_QP_RTS);
	}
	post(&b, 2);
	assert_int_equal(remu_qp_post(b.e, b.qp, &write_8k, b.now), -EAGAIN);
	modify(&b, REMU_QP_ERR);
	n = remu_engine_poll_wc(b.e, wc, RTE_DIM(wc));
	for (uint32_t i = 0; i < n; i++)
		work += wc[i].kind == REMU_WC_WORK;
	assert_int_equal(work, 4);
	assert_int_equal(n - work, cfg.max_qps);
	bring_to(&b, REMU_QP_RTS);
	bench_inject(&b, &(struct roce_fields){.opcode = ROCE_SEND_ONLY}, NULL, 0);
	assert_int_equal(remu_engine_poll_wc(b.e, wc, RTE_DIM(wc)), 1);
	assert_int_equal(wc[0].kind, REMU_WC_FATAL);
	assert_int_equal(wc[0].qpn, WIRE_QPN);
	bench_close(&b);
}

static void
remu_names__are_known_for_all_values(void **state)
{
	(void)state;
	assert_string_equal(remu_qp_state_name(REMU_QP_RTS), "rts");
	assert_string_equal(remu_wc_status_name(REMU_WC_RETRY_EXC_ERR), "retry_exceeded");
	for (int i = 0; i < 256; i++) {
		assert_non_null(remu_wc_status_name((uint8_t)i));
		assert_int_equal(strcmp(remu_qp_state_name((uint8_t)i), "unknown") == 0,
			i >= REMU_QP_STATE_COUNT);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remu_qp_modify__every_pair_of_states),
		cmocka_unit_test(remu_qp_modify__checks_ranges),
		cmocka_unit_test(remu_qp__flushes_on_every_exit),
		cmocka_unit_test(remu_qp__sends_no_response_after_reset),
		cmocka_unit_test(remu_qp_modify__starts_a_bootstrap_requester_anew),
		cmocka_unit_test(remu_qp_create__checks_its_arguments),
		cmocka_unit_test(remu_engine_qps__tells_what_is_there),
		cmocka_unit_test(remu_qp__survives_churn),
		cmocka_unit_test(remu_engine_poll_wc__has_room_for_all_completions),
		cmocka_unit_test(remu_names__are_known_for_all_values),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
