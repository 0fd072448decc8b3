/* SPDX-License-Identifier: BSD-3-Clause */
#include "ccm_bench.h"
#include "eal.h"

#include <errno.h>
#include <rte_malloc.h>
#include <string.h>

enum { LENGTH = 4096, PORT_VA = 0x10000000, RIGHTS = 3, TURNS = 1000 };

/* Verbs that have been carried out, by cookie. */
static uint32_t verbs_done[2 * CCM_MAX_PORTS];

/* The map that the session would have made: n ports of the first client. */
static void
set_map(struct ccm_bench *b, uint32_t n)
{
	struct ccm_port_map *map = &b->peer->session.map;

	map->n_entries = n;
	for (uint32_t i = 0; i < n; i++)
		map->entries[i] = (struct ccm_port_map_entry){.index = (uint16_t)i,
			.length = LENGTH};
}

static void
open_ports(struct ccm_bench *b, const struct ccm_bench_config *cfg, uint32_t n)
{
	struct ccm_bench_config config = *cfg;

	config.ports = n;
	config.memory = LENGTH;
	ccm_bench_open(b, &config);
	set_map(b, n);
	memset(verbs_done, 0, sizeof(verbs_done));
}

/* Take what the engines have done, as the manager would. */
static void
take(struct ccm_bench *b)
{
	struct remu_wc wc;

	for (uint32_t e = 0; e < b->n_engines; e++) {
		while (remu_channel_poll(b->channels[e], &wc, 1) == 1) {
			assert_int_equal(wc.wr_id >> 32 & 0xffffff, 0);
			if (wc.kind == REMU_WC_VERB) {
				assert_int_equal(wc.wr_id >> 56, CCM_COOKIE_PORT_VERB);
				verbs_done[(uint32_t)wc.wr_id]++;
				ccm__ports_verb_done(b->peer, (uint32_t)wc.wr_id, wc.result);
			} else {
				assert_int_equal(wc.kind, REMU_WC_WORK);
				assert_int_equal(wc.wr_id >> 56, CCM_COOKIE_PORT_WORK);
				ccm__ports_work_done(b->ccm, b->peer, (uint32_t)wc.wr_id, &wc);
			}
		}
	}
}

/* Until the job has come to its end. */
static enum ccm_input_kind
finish(struct ccm_bench *b)
{
	for (uint32_t i = 0; i < TURNS; i++) {
		enum ccm_input_kind kind = ccm__ports_advance(b->ccm, b->peer);

		if (kind != CCM_IN_COUNT) {
			/* Once. */
			assert_int_equal(ccm__ports_advance(b->ccm, b->peer), CCM_IN_COUNT);
			return kind;
		}
		ccm_bench_engines(b);
		take(b);
	}
	fail_msg("the job does not end");
	return CCM_IN_COUNT;
}

/* Each of our ports is joined to the next one of ours. */
static void
set_theirs(struct ccm_bench *b)
{
	struct ccm_session *s = &b->peer->session;
	uint32_t n = b->peer->ports.n;

	s->path_mtu = 1024;
	for (uint32_t i = 0; i < n; i++) {
		const struct ccm_port_slot *slot = &b->peer->ports.slots[i ^ 1];

		s->theirs.ports[i] = (struct ccm_directory_port){
			.qpn = slot->port.qpn,
			.psn = slot->psn,
			.rkey = slot->rkey,
			.va = PORT_VA + (uint64_t)(i ^ 1) * LENGTH,
			.length = LENGTH,
		};
	}
}

static void
bring_up(struct ccm_bench *b)
{
	ccm__ports_create(b->ccm, b->peer);
	assert_int_equal(finish(b), CCM_IN_PORTS_CREATED);
	set_theirs(b);
	ccm__ports_connect(b->ccm, b->peer);
	assert_int_equal(finish(b), CCM_IN_PORTS_CONNECTED);
	ccm__ports_tell_up(b->ccm, b->peer);
}

static void
bring_down(struct ccm_bench *b)
{
	ccm__ports_destroy(b->ccm, b->peer);
	assert_int_equal(finish(b), CCM_IN_PORTS_DESTROYED);
}

static void
expect_nothing_left(const struct ccm_bench *b)
{
	assert_int_equal(b->peer->ports.n, 0);
	assert_int_equal(b->peer->ports.pending, 0);
	assert_int_equal(ccm_bench_qps(b), 0);
	assert_int_equal(ccm_bench_mrs(b), 0);
	for (uint32_t e = 0; e < b->n_engines; e++)
		assert_int_equal(b->channels[e]->in_flight, 0);
}

/* Region and queue pair stand in the engine as the slot says. */
static void
expect_created(const struct ccm_bench *b, uint32_t i)
{
	const struct ccm_port_slot *slot = &b->peer->ports.slots[i];
	uint32_t owner = i % b->n_engines;
	uint64_t va = PORT_VA + (uint64_t)i * LENGTH;
	const struct remu_qp *qp = remu_qp_find(b->engines[owner], slot->port.qpn);
	const struct remu_mr *mr = remu__mr_find(b->engines[owner], slot->pd, slot->rkey, va,
		LENGTH, RIGHTS);

	assert_non_null(qp);
	assert_int_equal(qp->state, REMU_QP_INIT);
	assert_int_equal(qp->pd, slot->pd);
	assert_int_equal(qp->access, RIGHTS);
	assert_int_equal(qp->flags, REMU_QP_PIN_SPORT);
	assert_non_null(mr);
	assert_ptr_equal(mr->cfg.addr, slot->port.memory);
	assert_int_equal(mr->cfg.length, LENGTH);
	assert_int_equal(mr->cfg.access, RIGHTS);
	assert_ptr_equal(slot->channel, b->channels[owner]);
	assert_int_equal(slot->port.index, i);
	assert_int_equal(slot->port.partner_id, CCM_BENCH_NODE);
	assert_ptr_equal(slot->port.memory, b->memory + CCM_PEER_SIZE + (size_t)i * LENGTH);
}

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
expect_distinct(uint32_t *values, size_t n)
{
	qsort(values, n, sizeof(values[0]), compare_u32);
	for (size_t i = 1; i < n; i++)
		assert_int_not_equal(values[i - 1], values[i]);
}

static void
create__random_numbers_of_the_owner(void **state)
{
	enum { ROUNDS = 4, N = 64 };
	uint32_t qpns[ROUNDS * N], psns[ROUNDS * N], rkeys[ROUNDS * N];

	(void)state;
	for (uint32_t engines = 1; engines <= 3; engines++) {
		struct ccm_bench b;
		uint32_t pds[N];

		open_ports(&b, &(struct ccm_bench_config){.n_engines = engines, .seed = engines},
			N);
		for (uint32_t round = 0; round < ROUNDS; round++) {
			ccm__ports_create(b.ccm, b.peer);
			assert_int_equal(finish(&b), CCM_IN_PORTS_CREATED);
			assert_int_equal(ccm_bench_qps(&b), N);
			assert_int_equal(ccm_bench_mrs(&b), N);
			for (uint32_t i = 0; i < N; i++) {
				const struct ccm_port_slot *slot = &b.peer->ports.slots[i];

				expect_created(&b, i);
				assert_int_equal(slot->port.qpn % engines, i % engines);
				assert_in_range(slot->port.qpn, 16, 0xfffffe);
				assert_in_range(slot->psn, 0, 0xffffff);
				assert_int_not_equal(slot->rkey, 0);
				qpns[round * N + i] = slot->port.qpn;
				psns[round * N + i] = slot->psn;
				rkeys[round * N + i] = slot->rkey;
				pds[i] = slot->pd;
			}
			expect_distinct(pds, N); /* each its own protection domain */
			bring_down(&b);
			expect_nothing_left(&b);
		}
		/* No attempt gives a number again that an earlier one had. */
		expect_distinct(qpns, ROUNDS * N);
		expect_distinct(psns, ROUNDS * N);
		expect_distinct(rkeys, ROUNDS * N);
		ccm_bench_close(&b);
	}
}

/* What partners may do to the memory of a client that allows atomics, and of one that does not. */
static void
create__atomics_as_the_client_says(void **state)
{
	(void)state;
	for (int atomics = 0; atomics < 2; atomics++) {
		const uint32_t access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
			(atomics ? REMU_ACCESS_REMOTE_ATOMIC : 0);
		const struct ccm_client_config cfg = {"other", 1, LENGTH, atomics};
		struct ccm_client *client;
		struct ccm_bench b;

		ccm_bench_open(&b, &(struct ccm_bench_config){.ports = 1, .memory = LENGTH});
		assert_int_equal(ccm_client_unregister(b.ccm, b.clients[0].handle), 0);
		assert_int_equal(ccm_client_register(b.ccm, &cfg, NULL, NULL, &client), 0);
		ccm_bench_run_to(&b, CCM_UP, 100 * CCM_BENCH_MS);
		assert_int_equal(b.peer->ports.n, 1);
		assert_int_equal(remu_qp_find(b.engines[0], b.peer->ports.slots[0].port.qpn)
					 ->access,
			access);
		ccm_bench_close(&b);
	}
}

static uint64_t counter;

static uint64_t
count_up(void *ctx)
{
	(void)ctx;
	return ++counter;
}

static void
create__all_queue_pair_numbers_are_legal(void **state)
{
	static const uint32_t engines[] = {7, 63, 64};
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 1);
	b.ccm->env.rand64 = count_up;
	for (size_t e = 0; e < RTE_DIM(engines); e++) {
		uint32_t n = engines[e], low = UINT32_MAX, high = 0;

		b.ccm->env.n_engines = n;
		b.ccm->env.channels[n - 1] = b.channels[0];
		b.peer->index = n - 1; /* the last engine has the highest numbers */
		/* Three numbers per port: goes through all of the queue pair numbers. */
		for (uint32_t i = 0; i <= 0xffffff / n; i++) {
			uint32_t qpn;

			ccm__ports_create(b.ccm, b.peer);
			qpn = b.peer->ports.slots[0].port.qpn;
			assert_int_equal(qpn % n, n - 1);
			low = RTE_MIN(low, qpn);
			high = RTE_MAX(high, qpn);
		}
		assert_in_range(low, 16, 16 + 2 * n);
		assert_in_range(high, 0xfffffe - 3 * n, 0xfffffe);
	}
	b.peer->index = 0;
	b.peer->ports.n = 0;
	ccm_bench_close(&b);
}

static void
create__zero_is_no_random_number(void **state)
{
	/* Queue pair number, PSN, key: zeros and a key whose lower half is zero are drawn again. */
	static const uint64_t script[] = {0, 0, 5, 0, 0x123456789, 0, 7ull << 32, 0, 0x87654321};
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 1);
	b.script = script;
	b.n_script = RTE_DIM(script);
	ccm__ports_create(b.ccm, b.peer);
	assert_int_equal(b.n_script, 0);
	assert_int_equal(b.peer->ports.slots[0].port.qpn, 16 + 5);
	assert_int_equal(b.peer->ports.slots[0].psn, 0x456789);
	assert_int_equal(b.peer->ports.slots[0].rkey, 0x87654321);
	bring_down(&b);
	ccm_bench_close(&b);
}

static void
create__no_ports_are_done_at_once(void **state)
{
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 4);
	set_map(&b, 0);
	ccm__ports_create(b.ccm, b.peer);
	assert_int_equal(finish(&b), CCM_IN_PORTS_CREATED);
	ccm__ports_connect(b.ccm, b.peer);
	assert_int_equal(finish(&b), CCM_IN_PORTS_CONNECTED);
	bring_down(&b);
	expect_nothing_left(&b);
	ccm_bench_close(&b);
}

static void
advance__without_a_job_nothing(void **state)
{
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 4);
	assert_int_equal(ccm__ports_advance(b.ccm, b.peer), CCM_IN_COUNT);
	assert_int_equal(b.channels[0]->in_flight, 0);
	ccm_bench_close(&b);
}

/* Each verb of a job has been carried out exactly once. */
static void
expect_all_once(uint32_t n_ports, uint32_t verbs)
{
	for (uint32_t i = 0; i < 2 * CCM_MAX_PORTS; i++)
		assert_int_equal(verbs_done[i], i >> 1 < n_ports && (i & 1) < verbs);
	memset(verbs_done, 0, sizeof(verbs_done));
}

static void
advance__full_channel_goes_on_later(void **state)
{
	enum { DEPTH = 8, N = 20 };
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){.depth = DEPTH}, N);
	ccm__ports_create(b.ccm, b.peer);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ccm__ports_advance(b.ccm, b.peer), CCM_IN_COUNT);
		assert_int_equal(b.peer->ports.pending, DEPTH);
		assert_int_equal(b.peer->ports.next, DEPTH);
	}
	assert_int_equal(finish(&b), CCM_IN_PORTS_CREATED);
	expect_all_once(N, 2);
	for (uint32_t i = 0; i < N; i++)
		expect_created(&b, i);
	set_theirs(&b);
	ccm__ports_connect(b.ccm, b.peer);
	assert_int_equal(finish(&b), CCM_IN_PORTS_CONNECTED);
	expect_all_once(N, 1);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(remu_qp_find(b.engines[0], b.peer->ports.slots[i].port.qpn)->state,
			REMU_QP_RTS);
	bring_down(&b);
	expect_all_once(N, 2);
	expect_nothing_left(&b);
	ccm_bench_close(&b);
}

static void
create__engine_too_small(void **state)
{
	static const uint32_t depths[] = {8, 256};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(depths); i++) {
		struct ccm_bench b;

		open_ports(&b, &(struct ccm_bench_config){.max_qps = 4, .depth = depths[i]}, 12);
		for (int round = 0; round < 3; round++) {
			ccm__ports_create(b.ccm, b.peer);
			assert_int_equal(finish(&b), CCM_IN_PORTS_FAILED);
			assert_int_equal(ccm_bench_qps(&b), 4);
			bring_down(&b);
			expect_nothing_left(&b);
		}
		/* A smaller number fits: nothing is left of the failure. */
		set_map(&b, 4);
		ccm__ports_create(b.ccm, b.peer);
		assert_int_equal(finish(&b), CCM_IN_PORTS_CREATED);
		bring_down(&b);
		ccm_bench_close(&b);
	}
}

static void
create__numbers_that_meet(void **state)
{
	/* Queue pair number, PSN, key of two ports. */
	static const struct {
		uint64_t script[6];
		enum ccm_input_kind result;
	} cases[] = {
		{{5, 1, 7, 5, 2, 8}, CCM_IN_PORTS_FAILED},  /* same queue pair number */
		{{5, 1, 7, 6, 2, 7}, CCM_IN_PORTS_CREATED}, /* same key: other domain */
		{{5, 1, 7, 6, 1, 8}, CCM_IN_PORTS_CREATED}, /* same PSN */
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct ccm_bench b;

		open_ports(&b, &(struct ccm_bench_config){0}, 2);
		b.script = cases[i].script;
		b.n_script = RTE_DIM(cases[i].script);
		ccm__ports_create(b.ccm, b.peer);
		assert_int_equal(finish(&b), cases[i].result);
		assert_int_equal(ccm_bench_mrs(&b), 2);
		assert_int_equal(ccm_bench_qps(&b),
			cases[i].result == CCM_IN_PORTS_CREATED ? 2 : 1);
		bring_down(&b);
		expect_nothing_left(&b);
		ccm_bench_close(&b);
	}
}

static void
create__somebody_elses_queue_pair_survives(void **state)
{
	static const uint64_t script[] = {5, 1, 7};
	struct ccm_bench b;
	struct remu_qp *qp;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 1);
	assert_int_equal(remu_qp_create(b.engines[0],
				 &(struct remu_qp_config){.qpn = 16 + 5, .pd = 99}, &qp),
		0);
	b.script = script;
	b.n_script = RTE_DIM(script);
	ccm__ports_create(b.ccm, b.peer);
	assert_int_equal(finish(&b), CCM_IN_PORTS_FAILED);
	bring_down(&b);
	assert_ptr_equal(remu_qp_find(b.engines[0], 16 + 5), qp);
	ccm_bench_close(&b);
}

static void
connect__values_and_patience(void **state)
{
	/* A port repeats for longer than the beats need to find the partner lost. */
	static const struct {
		uint32_t dead_after_us;
		uint32_t retry_us;
		uint32_t retries;
	} cases[] = {{10000, 200, 100}, {10000, 20, 255}, {3000, 1000000, 3}, {12750, 100, 255}};

	(void)state;
	for (size_t c = 0; c < RTE_DIM(cases); c++) {
		struct ccm_bench b;

		open_ports(&b, &(struct ccm_bench_config){.n_engines = 2}, 2);
		b.ccm->cfg.timing.dead_after_us = cases[c].dead_after_us;
		b.ccm->cfg.timing.retry_us = cases[c].retry_us;
		bring_up(&b);
		for (uint32_t i = 0; i < 2; i++) {
			const struct ccm_port_slot *slot = &b.peer->ports.slots[i];
			const struct ccm_port_slot *other = &b.peer->ports.slots[i ^ 1];
			const struct remu_qp *qp = remu_qp_find(b.engines[i], slot->port.qpn);

			assert_int_equal(qp->state, REMU_QP_RTS);
			assert_int_equal(qp->peer_qpn, other->port.qpn);
			assert_int_equal(qp->path_mtu, 1024);
			assert_int_equal(qp->req.next_psn, slot->psn);
			assert_int_equal(qp->resp.epsn, other->psn);
			assert_int_equal(qp->req.timeout_ns, (uint64_t)cases[c].retry_us * 1000);
			assert_int_equal(qp->req.retry_cnt, cases[c].retries);
			assert_int_equal(slot->port.remote_qpn, other->port.qpn);
			assert_int_equal(slot->port.remote_va, PORT_VA + (i ^ 1) * LENGTH);
			assert_int_equal(slot->port.remote_rkey, other->rkey);
		}
		ccm_bench_close(&b);
	}
}

static void
connect__bad_number_of_the_partner(void **state)
{
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 4);
	ccm__ports_create(b.ccm, b.peer);
	assert_int_equal(finish(&b), CCM_IN_PORTS_CREATED);
	set_theirs(&b);
	b.peer->session.theirs.ports[2].qpn = 1;
	ccm__ports_connect(b.ccm, b.peer);
	assert_int_equal(finish(&b), CCM_IN_PORTS_FAILED);
	bring_down(&b);
	expect_nothing_left(&b);
	ccm_bench_close(&b);
}

static void
destroy__while_creating(void **state)
{
	static const uint32_t turns[] = {0, 1, 2, 3, 4, 5};

	(void)state;
	for (size_t t = 0; t < RTE_DIM(turns); t++) {
		struct ccm_bench b;

		open_ports(&b, &(struct ccm_bench_config){.depth = 8, .n_engines = 2}, 20);
		ccm__ports_create(b.ccm, b.peer);
		for (uint32_t i = 0; i < turns[t]; i++) {
			assert_int_equal(ccm__ports_advance(b.ccm, b.peer), CCM_IN_COUNT);
			if (i % 2 == 0)
				continue;
			ccm_bench_engines(&b);
			take(&b);
		}
		bring_down(&b); /* and nobody hears of ports that were created */
		expect_nothing_left(&b);
		bring_up(&b);
		bring_down(&b);
		expect_nothing_left(&b);
		ccm_bench_close(&b);
	}
}

static void
destroy__while_connecting(void **state)
{
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){.depth = 8}, 20);
	ccm__ports_create(b.ccm, b.peer);
	assert_int_equal(finish(&b), CCM_IN_PORTS_CREATED);
	set_theirs(&b);
	ccm__ports_connect(b.ccm, b.peer);
	assert_int_equal(ccm__ports_advance(b.ccm, b.peer), CCM_IN_COUNT);
	bring_down(&b);
	expect_nothing_left(&b);
	ccm_bench_close(&b);
}

static void
destroy__twice_is_once(void **state)
{
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 4);
	bring_up(&b);
	ccm__ports_destroy(b.ccm, b.peer);
	ccm__ports_destroy(b.ccm, b.peer);
	assert_int_equal(finish(&b), CCM_IN_PORTS_DESTROYED);
	for (int i = 0; i < 10; i++)
		assert_int_equal(ccm__ports_advance(b.ccm, b.peer), CCM_IN_COUNT);
	expect_nothing_left(&b);
	ccm_bench_close(&b);
}

static void
destroy__work_under_way_is_flushed_in_silence(void **state)
{
	static uint8_t data[256];
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 4);
	bring_up(&b);
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(ccm_port_post(b.ccm, i % 4, CCM_PORT_WRITE, data, 0, sizeof(data),
					 i),
			0);
	ccm__ports_tell_down(b.ccm, b.peer, CCM_REASON_STOPPED);
	bring_down(&b); /* the bench's client fails the test when it hears of one */
	expect_nothing_left(&b);
	assert_int_equal(b.clients[0].completions, 0);
	assert_int_equal(b.clients[0].reason, CCM_REASON_STOPPED);
	/* The next attempt starts with empty queues. */
	bring_up(&b);
	for (uint32_t i = 0; i < CCM_PORT_DEPTH; i++)
		assert_int_equal(ccm_port_post(b.ccm, 0, CCM_PORT_WRITE, data, 0, 8, 1000 + i), 0);
	for (int i = 0; i < 100; i++) {
		ccm_bench_engines(&b);
		take(&b);
	}
	assert_int_equal(b.clients[0].completions, CCM_PORT_DEPTH);
	assert_int_equal(b.clients[0].done[0].wr_id, 1000);
	ccm_bench_close(&b);
}

static void
cycle__a_thousand_leave_nothing(void **state)
{
	struct rte_malloc_socket_stats before, after;
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){.n_engines = 3, .depth = 16}, 8);
	rte_malloc_get_socket_stats(0, &before);
	for (uint32_t i = 0; i < 1000; i++) {
		if (i % 3 == 0) {
			bring_up(&b);
			ccm__ports_tell_down(b.ccm, b.peer, CCM_REASON_STOPPED);
		} else {
			ccm__ports_create(b.ccm, b.peer);
			if (i % 3 == 1)
				assert_int_equal(finish(&b), CCM_IN_PORTS_CREATED);
			else
				ccm__ports_advance(b.ccm, b.peer);
		}
		bring_down(&b);
		expect_nothing_left(&b);
	}
	rte_malloc_get_socket_stats(0, &after);
	assert_int_equal(after.heap_allocsz_bytes, before.heap_allocsz_bytes);
	assert_int_equal(after.alloc_count, before.alloc_count);
	assert_int_equal(b.ccm->memory_used, b.ccm->env.memory_size);
	ccm_bench_close(&b);
}

static void
post__only_while_up(void **state)
{
	uint8_t data[8] = {0};
	struct ccm_bench b;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){0});
	for (int round = 0; round < 2; round++) {
		assert_int_equal(ccm_port_post(b.ccm, 0, CCM_PORT_WRITE, data, 0, 8, 1), -ENOTCONN);
		ccm_bench_run_to(&b, CCM_READY, 100 * (uint64_t)CCM_BENCH_MS);
		assert_int_equal(ccm_port_post(b.ccm, 0, CCM_PORT_WRITE, data, 0, 8, 1), -ENOTCONN);
		ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
		assert_int_equal(ccm_port_post(b.ccm, 0, CCM_PORT_WRITE, data, 0, 8, 1), 0);
		ccm_link_report(b.ccm, false);
		ccm_link_report(b.ccm, true);
	}
	ccm_bench_close(&b);
}

static void
post__handles(void **state)
{
	static const struct {
		uint32_t handle;
		int rc;
	} cases[] = {
		{0, 0},
		{3, 0},
		{4, -ENOTCONN}, /* port that there is not */
		{64, -ENOTCONN},
		{0xffff, -ENOTCONN},
		{0x10000, -EINVAL}, /* partner that there is not */
		{UINT32_MAX, -EINVAL},
	};
	uint8_t data[8] = {0};
	struct ccm_bench b;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){0});
	ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		assert_int_equal(ccm_port_post(b.ccm, cases[i].handle, CCM_PORT_READ, data, 0, 8,
					 1),
			cases[i].rc);
	ccm_bench_run(&b, CCM_BENCH_MS);
	assert_int_equal(b.clients[0].completions, 2);
	ccm_bench_close(&b);
}

static void
post__bounds_of_the_region(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t length;
		int rc;
	} cases[] = {
		{0, 0, 0},
		{0, 8192, 0}, /* all of it */
		{0, 8193, -EINVAL},
		{1, 8192, -EINVAL},
		{8191, 1, 0},
		{8192, 0, 0},
		{8192, 1, -EINVAL},
		{8193, 0, -EINVAL},
		{0, UINT32_MAX, -EINVAL},
		{UINT64_MAX, 1, -EINVAL},
		{UINT64_MAX, 0, -EINVAL},
		{UINT64_MAX - 8191, 8192, -EINVAL}, /* the sum wraps to 0 */
		{UINT64_MAX - 4095, 8192, -EINVAL},
	};
	static uint8_t data[8192];

	(void)state;
	for (int op = CCM_PORT_WRITE; op <= CCM_PORT_READ; op++) {
		struct ccm_bench b;
		uint32_t good = 0;

		ccm_bench_open(&b, &(struct ccm_bench_config){0});
		ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
		assert_int_equal(b.clients[0].ports[1].length, 8192);
		for (size_t i = 0; i < RTE_DIM(cases); i++) {
			assert_int_equal(ccm_port_post(b.ccm, 1, (enum ccm_port_op)op, data,
						 cases[i].offset, cases[i].length, i),
				cases[i].rc);
			good += cases[i].rc == 0;
		}
		ccm_bench_run(&b, CCM_BENCH_MS);
		assert_int_equal(b.clients[0].completions, good);
		for (uint32_t i = 0; i < good; i++)
			assert_int_equal(b.clients[0].done[i].status, REMU_WC_SUCCESS);
		assert_int_equal(b.peer->session.state, CCM_UP);
		ccm_bench_close(&b);
	}
}

static void
post__data_arrives_in_the_ports_memory_alone(void **state)
{
	struct ccm_bench b;
	uint8_t data[100], back[100] = {0};

	(void)state;
	memset(data, 0xab, sizeof(data));
	ccm_bench_open(&b, &(struct ccm_bench_config){.n_engines = 2});
	ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
	/* The node is its own partner: what port 2 writes arrives in the memory of port 2. */
	assert_int_equal(ccm_port_post(b.ccm, 2, CCM_PORT_WRITE, data, 4000, sizeof(data), 1), 0);
	assert_int_equal(ccm_port_post(b.ccm, 2, CCM_PORT_READ, back, 4000, sizeof(back), 2), 0);
	ccm_bench_run(&b, CCM_BENCH_MS);
	assert_int_equal(b.clients[0].completions, 2);
	assert_memory_equal(back, data, sizeof(data));
	for (uint32_t p = 0; p < 4; p++)
		for (uint32_t i = 0; i < 8192; i++)
			assert_int_equal(b.clients[0].ports[p].memory[i],
				p == 2 && i >= 4000 && i < 4100 ? 0xab : 0);
	ccm_bench_close(&b);
}

static void
post__queue_full(void **state)
{
	uint8_t data[8] = {0};
	struct ccm_bench b;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){0});
	ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
	for (uint32_t round = 1; round <= 3; round++) {
		for (uint32_t i = 0; i < CCM_PORT_DEPTH; i++)
			assert_int_equal(ccm_port_post(b.ccm, 0, CCM_PORT_READ, data, 0, 8, i), 0);
		assert_int_equal(ccm_port_post(b.ccm, 0, CCM_PORT_READ, data, 0, 8, 99), -EAGAIN);
		/* The others have queues of their own. */
		assert_int_equal(ccm_port_post(b.ccm, 1, CCM_PORT_READ, data, 0, 8, 99), 0);
		ccm_bench_run(&b, CCM_BENCH_MS);
		assert_int_equal(b.clients[0].completions, round * (CCM_PORT_DEPTH + 1));
	}
	ccm_bench_close(&b);
}

static void
post__channel_full(void **state)
{
	uint8_t data[8] = {0};
	struct ccm_bench b;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){.depth = 8});
	ccm_bench_run_to(&b, CCM_UP, 10 * (uint64_t)CCM_BENCH_MS);
	for (uint32_t round = 0; round < 20; round++) {
		uint32_t before = b.clients[0].completions, n = 0;
		uint64_t posted = b.peer->ports.slots[0].posted;
		int rc;

		while ((rc = ccm_port_post(b.ccm, 0, CCM_PORT_READ, data, 0, 8, n)) == 0)
			n++;
		assert_int_equal(rc, -EAGAIN);
		assert_in_range(n, 1, 8);
		assert_int_equal(b.peer->ports.slots[0].posted, posted + n);
		ccm_bench_run(&b, CCM_BENCH_MS);
		assert_int_equal(b.clients[0].completions, before + n);
	}
	/* Nor does it cost the session its beats. */
	assert_int_equal(b.peer->session.state, CCM_UP);
	assert_int_equal(b.peer->session.n_sessions, 1);
	ccm_bench_close(&b);
}

static void
post__wr_ids_come_back_in_order(void **state)
{
	static uint8_t data[8192];
	struct ccm_bench b;
	const struct ccm_bench_client *c = &b.clients[0];
	uint64_t ids[4][CCM_BENCH_LOG];
	uint32_t lengths[4][CCM_BENCH_LOG], posted[4] = {0}, done[4] = {0}, n = 0;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){.n_engines = 3, .seed = 5});
	ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
	while (n < CCM_BENCH_LOG) {
		uint64_t r = ccm_bench_rand64(&b);
		uint32_t p = r & 3, length = (uint32_t)(r >> 8) % 3000;

		ids[p][posted[p]] = ccm_bench_rand64(&b);
		lengths[p][posted[p]] = length;
		if (ccm_port_post(b.ccm, p, r & 4 ? CCM_PORT_READ : CCM_PORT_WRITE, data, 0, length,
			    ids[p][posted[p]]) == 0) {
			posted[p]++;
			n++;
		}
		if (r >> 32 & 1)
			ccm_bench_turn(&b);
	}
	ccm_bench_run(&b, CCM_BENCH_MS);
	assert_int_equal(c->completions, n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t p = c->done[i].handle;

		assert_int_equal(c->done[i].wr_id, ids[p][done[p]]);
		assert_int_equal(c->done[i].byte_len, lengths[p][done[p]]);
		assert_int_equal(c->done[i].status, REMU_WC_SUCCESS);
		done[p]++;
	}
	assert_memory_equal(done, posted, sizeof(done));
	ccm_bench_close(&b);
}

static void
work_done__counts_and_judges(void **state)
{
	static const struct remu_wc good = {.status = REMU_WC_SUCCESS, .byte_len = 8};
	static const struct remu_wc bad = {.status = REMU_WC_RETRY_EXC_ERR};
	struct ccm_port_status ports[4];
	uint8_t data[8] = {0};
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 4);
	bring_up(&b);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(ccm_port_post(b.ccm, 1, CCM_PORT_WRITE, data, 0, 8, 10 + i), 0);
	assert_int_equal(ccm_port_post(b.ccm, 1, CCM_PORT_WRITE, data, LENGTH, 8, 9), -EINVAL);
	assert_true(ccm__ports_work_done(b.ccm, b.peer, 1, &good));
	assert_false(ccm__ports_work_done(b.ccm, b.peer, 1, &bad));
	assert_int_equal(b.clients[0].completions, 2);
	assert_int_equal(b.clients[0].done[1].wr_id, 11);
	assert_int_equal(b.clients[0].done[1].status, REMU_WC_RETRY_EXC_ERR);
	ccm__snapshot(b.ccm);
	assert_int_equal(ccm_read_ports(b.ccm, 0, ports, 4), 4);
	assert_int_equal(ports[1].posted, 4);
	assert_int_equal(ports[1].completed, 1);
	assert_int_equal(ports[1].errors, 1);
	assert_int_equal(ports[0].posted, 0);
	/* After DOWN a failure is no news any more. */
	ccm__ports_tell_down(b.ccm, b.peer, CCM_REASON_STOPPED);
	assert_true(ccm__ports_work_done(b.ccm, b.peer, 1, &bad));
	assert_int_equal(b.peer->ports.slots[1].errors, 2);
	assert_true(ccm__ports_work_done(b.ccm, b.peer, 1, &good));
	/* None is under way: nothing happens. */
	assert_true(ccm__ports_work_done(b.ccm, b.peer, 1, &bad));
	assert_true(ccm__ports_work_done(b.ccm, b.peer, 0, &bad));
	assert_int_equal(b.peer->ports.slots[1].errors, 2);
	assert_int_equal(b.peer->ports.slots[1].completed, 2);
	assert_int_equal(b.clients[0].completions, 2);
	ccm_bench_close(&b);
}

static void
tell__each_client_its_own_ports(void **state)
{
	struct ccm_port_map *map;
	struct ccm_bench b;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){.n_clients = 3, .ports = 2});
	map = &b.peer->session.map;
	/* Clients 2 and 0 have ports here, client 1 has none. */
	map->n_entries = 3;
	map->entries[0] = (struct ccm_port_map_entry){.mine = 2, .length = LENGTH};
	map->entries[1] = (struct ccm_port_map_entry){.mine = 0, .length = LENGTH};
	map->entries[2] = (struct ccm_port_map_entry){.mine = 0, .index = 1, .length = LENGTH};
	b.ccm->clients[2].fn = NULL; /* a client need not listen */
	for (uint32_t round = 1; round <= 2; round++) {
		ccm__ports_create(b.ccm, b.peer);
		assert_int_equal(finish(&b), CCM_IN_PORTS_CREATED);
		ccm__ports_tell_up(b.ccm, b.peer);
		assert_int_equal(b.clients[0].ups, round);
		assert_int_equal(b.clients[0].n_ports, 2);
		assert_int_equal(b.clients[0].ports[0].handle, 1);
		assert_int_equal(b.clients[0].ports[1].handle, 2);
		assert_int_equal(b.clients[1].ups, 0);
		assert_int_equal(b.ccm->clients[0].partners_up, 1);
		assert_int_equal(b.ccm->clients[1].partners_up, 0);
		assert_int_equal(b.ccm->clients[2].partners_up, 1);
		assert_int_equal(b.ccm->clients[2].ups, round);
		ccm__ports_tell_down(b.ccm, b.peer, CCM_REASON_PARTNER_HUNG);
		assert_int_equal(b.clients[0].downs, round);
		assert_int_equal(b.clients[0].reason, CCM_REASON_PARTNER_HUNG);
		assert_int_equal(b.clients[1].downs, 0);
		assert_int_equal(b.ccm->clients[0].partners_up, 0);
		assert_int_equal(b.ccm->clients[2].downs, round);
		bring_down(&b);
	}
	ccm_bench_close(&b);
}

static void
describe__only_ports_that_exist(void **state)
{
	struct ccm_directory dir;
	struct ccm_bench b;

	(void)state;
	open_ports(&b, &(struct ccm_bench_config){0}, 3);
	ccm__ports_create(b.ccm, b.peer);
	assert_int_equal(finish(&b), CCM_IN_PORTS_CREATED);
	for (int ports = CCM_PORTS_NONE; ports <= CCM_PORTS_DESTROYING; ports++) {
		bool exist = ports >= CCM_PORTS_CREATED && ports <= CCM_PORTS_CONNECTED;

		memset(&dir, 0xff, sizeof(dir));
		b.peer->session.ports = (enum ccm_ports_state)ports;
		ccm__ports_describe(b.ccm, b.peer, &dir);
		assert_int_equal(dir.n_ports, exist ? 3 : 0);
		for (uint32_t i = 0; i < dir.n_ports; i++) {
			const struct ccm_port_slot *slot = &b.peer->ports.slots[i];

			assert_int_equal(dir.ports[i].client, 0);
			assert_int_equal(dir.ports[i].index, i);
			assert_int_equal(dir.ports[i].qpn, slot->port.qpn);
			assert_int_equal(dir.ports[i].psn, slot->psn);
			assert_int_equal(dir.ports[i].rkey, slot->rkey);
			assert_int_equal(dir.ports[i].va, PORT_VA + (uint64_t)i * LENGTH);
			assert_int_equal(dir.ports[i].length, LENGTH);
		}
	}
	ccm_bench_close(&b);
}

/* A WRITE with a wrong key to one of our ports, as from its partner. */
static void
attack(struct ccm_bench *b, uint32_t port)
{
	const struct ccm_port_slot *slot = &b->peer->ports.slots[port];
	struct remu_engine *e = b->engines[remu_qpn_owner(slot->port.qpn, b->n_engines)];
	const struct remu_qp *qp = remu_qp_find(e, slot->port.qpn);
	const uint8_t mac[6] = {2, 0, 0, 0, 0, CCM_BENCH_NODE};
	struct roce_gid gid = roce_gid_ipv4(CCM_BENCH_IP);
	struct roce_fields f = {
		.opcode = ROCE_WRITE_ONLY,
		.pkey = ROCE_PKEY_DEFAULT,
		.ackreq = true,
		.dest_qpn = slot->port.qpn,
		.psn = qp->resp.epsn,
		.va = PORT_VA,
		.rkey = slot->rkey ^ 1,
		.dma_len = 8,
	};
	struct roce_path path = {.src = gid, .dst = gid, .hop_limit = 64};
	struct rte_mbuf *m = rte_pktmbuf_alloc(b->pool);
	struct roce_flow flow;
	uint8_t *frame;
	size_t off;

	assert_non_null(m);
	path.sport = qp->peer_sport != 0 ? qp->peer_sport : 0xc000;
	memcpy(path.src_mac, mac, sizeof(mac));
	memcpy(path.dst_mac, mac, sizeof(mac));
	roce_flow_init(&flow, &path);
	frame = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)roce_frame_len(&flow, f.opcode, 8));
	off = roce_encode(&flow, &f, 1, 8, frame);
	memset(frame + off, 0xee, 8);
	roce_seal(&flow, frame, off, 8);
	remu_engine_rx(e, &m, 1, b->now);
	assert_int_equal(qp->state, REMU_QP_ERR);
}

static void
fatal__ends_the_session_and_a_new_one_comes(void **state)
{
	(void)state;
	for (uint32_t engines = 1; engines <= 3; engines++) {
		struct ccm_bench b;

		ccm_bench_open(&b, &(struct ccm_bench_config){.n_engines = engines});
		ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
		for (uint32_t port = 0; port < 4; port++) {
			uint32_t qpn = b.peer->ports.slots[port].port.qpn;
			uint64_t nonce = b.peer->session.nonce;

			attack(&b, port);
			ccm_poll(b.ccm, b.now);
			assert_int_equal(b.clients[0].downs, port + 1);
			assert_int_equal(b.clients[0].reason, CCM_REASON_PORT_ERROR);
			assert_int_not_equal(b.peer->session.nonce, nonce);
			ccm_bench_run_to(&b, CCM_SEARCH, CCM_BENCH_MS);
			assert_int_equal(ccm_bench_qps(&b), 1); /* bootstrap */
			assert_int_equal(ccm_bench_mrs(&b), CCM_REGION_KEYS);
			ccm_bench_run_to(&b, CCM_UP, 500 * (uint64_t)CCM_BENCH_MS);
			assert_int_not_equal(b.peer->ports.slots[port].port.qpn, qpn);
		}
		ccm_bench_close(&b);
	}
}

static void
session__ports_that_cannot_be_created(void **state)
{
	struct ccm_bench b;

	(void)state;
	/* The bootstrap queue pair and three of the four ports fit. */
	ccm_bench_open(&b, &(struct ccm_bench_config){.max_qps = 4});
	for (int round = 0; round < 10; round++) {
		ccm_bench_run_to(&b, CCM_CLOSING, 200 * (uint64_t)CCM_BENCH_MS);
		assert_int_equal(b.peer->session.last_down_reason, CCM_REASON_PORT_FAILED);
		ccm_bench_run_to(&b, CCM_SEARCH, CCM_BENCH_MS);
		assert_int_equal(ccm_bench_qps(&b), 1);
		assert_int_equal(ccm_bench_mrs(&b), CCM_REGION_KEYS);
	}
	assert_int_equal(b.clients[0].ups, 0);
	assert_true(b.peer->session.n_attempts > 10);
	ccm_bench_close(&b);
}

static bool
lose_all(void *arg, const struct roce_packet *pkt)
{
	(void)arg;
	(void)pkt;
	return false;
}

static void
session__down_flushes_what_is_under_way(void **state)
{
	uint8_t data[8] = {0};
	struct ccm_bench b;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){.n_engines = 2});
	ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
	b.tap = lose_all;
	for (uint32_t i = 0; i < 4 * CCM_PORT_DEPTH; i++)
		/* Half of a channel of 256 is left for what must get through. */
		assert_int_equal(ccm_port_post(b.ccm, i % 4, CCM_PORT_READ, data, 0, 8, i),
			i < 128 ? 0 : -EAGAIN);
	/* The beats find out, not the ports: those are more patient. */
	ccm_bench_run_to(&b, CCM_SEARCH, 50 * (uint64_t)CCM_BENCH_MS);
	assert_int_equal(b.clients[0].downs, 1);
	assert_int_not_equal(b.clients[0].reason, CCM_REASON_PORT_ERROR);
	assert_int_equal(b.clients[0].completions, 0);
	assert_int_equal(ccm_bench_qps(&b), 1);
	b.tap = NULL;
	ccm_bench_run_to(&b, CCM_UP, 500 * (uint64_t)CCM_BENCH_MS);
	ccm_bench_run(&b, 10 * (uint64_t)CCM_BENCH_MS);
	assert_int_equal(b.clients[0].completions, 0);
	ccm_bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create__random_numbers_of_the_owner),
		cmocka_unit_test(create__atomics_as_the_client_says),
		cmocka_unit_test(create__all_queue_pair_numbers_are_legal),
		cmocka_unit_test(create__zero_is_no_random_number),
		cmocka_unit_test(create__no_ports_are_done_at_once),
		cmocka_unit_test(advance__without_a_job_nothing),
		cmocka_unit_test(advance__full_channel_goes_on_later),
		cmocka_unit_test(create__engine_too_small),
		cmocka_unit_test(create__numbers_that_meet),
		cmocka_unit_test(create__somebody_elses_queue_pair_survives),
		cmocka_unit_test(connect__values_and_patience),
		cmocka_unit_test(connect__bad_number_of_the_partner),
		cmocka_unit_test(destroy__while_creating),
		cmocka_unit_test(destroy__while_connecting),
		cmocka_unit_test(destroy__twice_is_once),
		cmocka_unit_test(destroy__work_under_way_is_flushed_in_silence),
		cmocka_unit_test(cycle__a_thousand_leave_nothing),
		cmocka_unit_test(post__only_while_up),
		cmocka_unit_test(post__handles),
		cmocka_unit_test(post__bounds_of_the_region),
		cmocka_unit_test(post__data_arrives_in_the_ports_memory_alone),
		cmocka_unit_test(post__queue_full),
		cmocka_unit_test(post__channel_full),
		cmocka_unit_test(post__wr_ids_come_back_in_order),
		cmocka_unit_test(work_done__counts_and_judges),
		cmocka_unit_test(tell__each_client_its_own_ports),
		cmocka_unit_test(describe__only_ports_that_exist),
		cmocka_unit_test(fatal__ends_the_session_and_a_new_one_comes),
		cmocka_unit_test(session__ports_that_cannot_be_created),
		cmocka_unit_test(session__down_flushes_what_is_under_way),
	};

	return cmocka_run_group_tests_name("ccm_ports", tests, eal_setup, eal_teardown);
}
