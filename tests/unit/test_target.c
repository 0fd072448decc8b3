/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients that are targets: which ports get receive requests, when, and on which lcore. Manager and
 * engines are made up.
 */
#include "target.h"

#include "ccm.h"
#include "config.h"
#include "rdma_emul.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ENGINES = 2, PARTNERS = 2, QPS = 8, RECEIVES = 256 };

struct remu_cq {
	uint32_t depth;
	struct remu_wc wc[64];
	uint32_t n;
};

struct remu_qp {
	uint32_t qpn; /* 0: free */
	struct remu_cq *cq;
	uint32_t n_recv;
	struct remu_recv_wr recv; /* the last one */
};

struct remu_engine {
	struct remu_cq cq;
	struct remu_qp qps[QPS];
};

static struct remu_engine engines[ENGINES];
static struct remu_engine *const engine_list[ENGINES] = {&engines[0], &engines[1]};
static struct node_config cfg;
static struct {
	struct ccm_client_config cfg[CCM_MAX_CLIENTS];
	ccm_client_fn fn[CCM_MAX_CLIENTS];
	void *ctx[CCM_MAX_CLIENTS];
	uint32_t n;
	int result;
	int cq_result;
} fake;
static uint8_t memory[2][4096];

int
ccm_client_register(struct ccm *ccm, const struct ccm_client_config *client, ccm_client_fn fn,
	void *ctx, struct ccm_client **out)
{
	assert_ptr_equal(ccm, &fake);
	*out = NULL;
	fake.cfg[fake.n] = *client;
	fake.fn[fake.n] = fn;
	fake.ctx[fake.n++] = ctx;
	return fake.result;
}

int
remu_cq_create(struct remu_engine *engine, uint32_t depth, struct remu_cq **out)
{
	engine->cq.depth = depth;
	*out = &engine->cq;
	return fake.cq_result;
}

uint32_t
remu_cq_poll(struct remu_cq *cq, struct remu_wc *wc, uint32_t max)
{
	uint32_t n = cq->n < max ? cq->n : max;

	memcpy(wc, cq->wc, n * sizeof(*wc));
	cq->n -= n;
	memmove(cq->wc, cq->wc + n, cq->n * sizeof(*wc));
	return n;
}

struct remu_qp *
remu_qp_find(struct remu_engine *engine, uint32_t qpn)
{
	for (int i = 0; i < QPS; i++)
		if (engine->qps[i].qpn == qpn)
			return &engine->qps[i];
	return NULL;
}

int
remu_qp_set_cq(struct remu_engine *engine, struct remu_qp *qp, struct remu_cq *cq)
{
	assert_ptr_equal(cq, &engine->cq);
	qp->cq = cq;
	return 0;
}

int
remu_qp_post_recv(struct remu_engine *engine, struct remu_qp *qp, const struct remu_recv_wr *wr)
{
	assert_ptr_equal(qp->cq, &engine->cq);
	qp->n_recv++;
	qp->recv = *wr;
	return 0;
}

static struct target *
create(void)
{
	struct target *t;

	memset(&fake, 0, sizeof(fake));
	memset(engines, 0, sizeof(engines));
	cfg = (struct node_config){
		.ccm = {.n_partners = PARTNERS, .partners = {{.id = 7}, {.id = 8}}},
		.n_clients = 3,
		.clients =
			{
				{{"busy", 1, 4096, false}, NODE_CLIENT_EXERCISE},
				{{"a", 2, 8192, false}, NODE_CLIENT_TARGET},
				{{"b", 1, 4096, false}, NODE_CLIENT_TARGET},
			},
	};
	assert_int_equal(target_create(&cfg, engine_list, ENGINES, &t), 0);
	assert_int_equal(target_register(t, (struct ccm *)(void *)&fake), 0);
	return t;
}

/* A port of client a comes up with its queue pair, or goes. */
static void
tell(enum ccm_client_event_kind kind, uint16_t partner, uint16_t index, uint32_t qpn)
{
	const struct ccm_port port = {.partner_id = partner,
		.index = index,
		.qpn = qpn,
		.memory = memory[index % 2],
		.length = 4096};

	fake.fn[0](fake.ctx[0],
		&(struct ccm_client_event){
			.kind = kind,
			.partner_id = partner,
			.n_ports = 1,
			.ports = &port,
		});
}

static void
create__takes_targets_only(void **state)
{
	struct target *t = create();

	(void)state;
	assert_int_equal(fake.n, 2);
	assert_string_equal(fake.cfg[0].name, "a");
	assert_string_equal(fake.cfg[1].name, "b");
	assert_true(fake.cfg[0].atomics && fake.cfg[1].atomics);
	assert_int_equal(engines[1].cq.depth, PARTNERS * 3 * RECEIVES);
	assert_int_equal(target_receives(&cfg), RECEIVES);
	target_destroy(t);

	cfg.n_clients = 1;
	memset(engines, 0, sizeof(engines));
	assert_int_equal(target_receives(&cfg), 0);
	assert_int_equal(target_create(&cfg, engine_list, ENGINES, &t), 0);
	assert_int_equal(engines[0].cq.depth, 0);
	assert_false(target_turn(t, 0));
	target_destroy(t);
	target_destroy(NULL);
}

static void
create__failures(void **state)
{
	struct target *t = create();

	(void)state;
	target_destroy(t);
	fake.cq_result = -ENOMEM;
	assert_int_equal(target_create(&cfg, engine_list, ENGINES, &t), -ENOMEM);
	assert_null(t);
	fake.cq_result = 0;
	fake.result = -EEXIST;
	assert_int_equal(target_create(&cfg, engine_list, ENGINES, &t), 0);
	assert_int_equal(target_register(t, (struct ccm *)(void *)&fake), -EEXIST);
	target_destroy(t);
}

static void
turn__posts_where_the_queue_pair_is(void **state)
{
	struct target *t = create();
	struct remu_qp *qp = &engines[1].qps[3];

	(void)state;
	qp->qpn = 101;
	tell(CCM_CLIENT_UP, 8, 1, 101);
	tell(CCM_CLIENT_UP, 9, 1, 103); /* nobody we know */
	tell(CCM_CLIENT_UP, 8, 2, 105); /* no port of ours */
	assert_false(target_turn(t, 0));
	assert_int_equal(qp->n_recv, 0);
	assert_false(target_turn(t, 1));
	assert_int_equal(qp->n_recv, RECEIVES);
	assert_ptr_equal(qp->recv.addr, memory[1]);
	assert_int_equal(qp->recv.length, 4096);
	assert_false(target_turn(t, 1));
	assert_int_equal(qp->n_recv, RECEIVES);
	target_destroy(t);
}

static void
turn__posts_again_what_was_used(void **state)
{
	struct target *t = create();
	struct remu_qp *qp = &engines[0].qps[0];
	struct remu_wc wc = {.kind = REMU_WC_RECV, .qpn = 100};

	(void)state;
	qp->qpn = 100;
	tell(CCM_CLIENT_UP, 7, 0, 100);
	target_turn(t, 0);
	wc.wr_id = qp->recv.wr_id;
	engines[0].cq.wc[0] = engines[0].cq.wc[1] = wc;
	engines[0].cq.n = 2;
	assert_true(target_turn(t, 0));
	assert_int_equal(qp->n_recv, RECEIVES + 2);

	/* Flushed, of another session, of a queue pair that has gone: no. */
	engines[0].cq.n = 2;
	engines[0].cq.wc[0] = engines[0].cq.wc[1] = wc;
	engines[0].cq.wc[0].status = REMU_WC_WR_FLUSH_ERR;
	engines[0].cq.wc[1].qpn = 98;
	assert_true(target_turn(t, 0));
	qp->qpn = 0;
	engines[0].cq.n = 1;
	engines[0].cq.wc[0] = wc;
	assert_true(target_turn(t, 0));
	assert_int_equal(qp->n_recv, RECEIVES + 2);
	target_destroy(t);
}

static void
turn__each_session_anew(void **state)
{
	struct target *t = create();
	struct remu_qp *qp = &engines[0].qps[0];

	(void)state;
	qp->qpn = 100;
	tell(CCM_CLIENT_UP, 7, 0, 100);
	target_turn(t, 0);
	tell(CCM_CLIENT_DOWN, 7, 0, 0);
	assert_false(target_turn(t, 0));
	assert_int_equal(qp->n_recv, RECEIVES);
	memset(qp, 0, sizeof(*qp));
	qp->qpn = 102;
	tell(CCM_CLIENT_UP, 7, 0, 102);
	assert_false(target_turn(t, 0));
	assert_int_equal(qp->n_recv, RECEIVES);
	/* Closed before this lcore came to look. */
	tell(CCM_CLIENT_UP, 7, 0, 104);
	assert_false(target_turn(t, 0));
	target_destroy(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create__takes_targets_only),
		cmocka_unit_test(create__failures),
		cmocka_unit_test(turn__posts_where_the_queue_pair_is),
		cmocka_unit_test(turn__posts_again_what_was_used),
		cmocka_unit_test(turn__each_session_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
