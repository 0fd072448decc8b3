/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two engines over a bad wire: both sides READ and WRITE at the same time, all data is checked, and
 * every work request completes once, in order, successfully.
 */
#include "eal.h"
#include "frame_maker.h"
#include "wire.h"

#include <remu_priv.h>

enum {
	MTU = 256,
	DEPTH = 16,
	SLOTS = 2 * DEPTH, /* a slot is written again only after its WRITE has completed */
	SLOT = 8 * MTU,
	OPS = 20000,
	R_KEY = 1,
	W_KEY = 2,
	STALL_NS = 2000000000,
};

/* Faults of a wire, in percent of the frames. */
struct faults {
	uint32_t loss, duplicate, reorder, corrupt;
};

/* One side: its local buffers, and the regions that the other one reaches. */
struct side {
	uint8_t source[SLOTS][SLOT]; /* READ by the other side, never changes */
	uint8_t target[SLOTS][SLOT]; /* written by the other side */
	uint8_t image[SLOTS][SLOT];  /* what `target` must hold once all WRITEs are done */
	uint8_t buffer[SLOTS][SLOT]; /* local end of the operations */
	struct remu_wr wr[SLOTS];
	uint64_t posted, completed;
	uint64_t stalled_since;
};

struct run {
	struct wire w;
	struct side side[2];
	struct faults faults;
	uint64_t seed;
};

static bool
chance(uint64_t *seed, uint32_t percent)
{
	return prng_below(seed, 100) < percent;
}

static void
bad_wire(void *arg, int from, const struct rte_mbuf *m, struct wire_fate *fate)
{
	struct run *r = arg;

	(void)from;
	(void)m;
	if (chance(&r->seed, r->faults.loss))
		fate->copies = 0;
	else if (chance(&r->seed, r->faults.duplicate))
		fate->copies = 2;
	if (chance(&r->seed, r->faults.reorder))
		fate->delay_ns += prng_below(&r->seed, 100000);
	if (chance(&r->seed, r->faults.corrupt))
		fate->corrupt = prng_below(&r->seed, 4096);
}

static void
register_side(struct run *r, int end)
{
	struct side *s = &r->side[end];
	struct remu_mr_config mr = {
		.addr = s->source,
		.va = 0x10000,
		.length = sizeof(s->source),
		.rkey = R_KEY,
		.pd = WIRE_PD,
		.access = REMU_ACCESS_REMOTE_READ,
	};

	prng_fill(&r->seed, s->source, sizeof(s->source));
	assert_int_equal(remu_mr_register(r->w.e[end], &mr), 0);
	mr.addr = s->target;
	mr.rkey = W_KEY;
	mr.access = REMU_ACCESS_REMOTE_WRITE;
	assert_int_equal(remu_mr_register(r->w.e[end], &mr), 0);
}

static void
post_next(struct run *r, int end)
{
	struct side *s = &r->side[end], *peer = &r->side[!end];
	uint32_t slot = s->posted % SLOTS;
	struct remu_wr *wr = &s->wr[slot];
	uint32_t off;

	*wr = (struct remu_wr){
		.wr_id = s->posted,
		.addr = s->buffer[slot],
		.opcode = (uint8_t)prng_below(&r->seed, REMU_WR_RDMA_READ + 1),
		.length = prng_below(&r->seed, chance(&r->seed, 20) ? SLOT + 1 : 2 * MTU),
	};
	off = prng_below(&r->seed, SLOT - wr->length + 1);
	wr->remote_va = 0x10000 + slot * SLOT + off;
	if (wr->opcode == REMU_WR_RDMA_WRITE) {
		wr->rkey = W_KEY;
		prng_fill(&r->seed, wr->addr, wr->length);
		/* What older WRITEs have left here stands to this moment. */
		assert_memory_equal(peer->target[slot], peer->image[slot], SLOT);
		memcpy(peer->image[slot] + off, wr->addr, wr->length);
	} else {
		wr->rkey = R_KEY;
		memset(wr->addr, 0xee, wr->length);
	}
	assert_int_equal(remu_qp_post(r->w.e[end], r->w.qp[end], wr, r->w.now), 0);
	s->posted++;
}

static void
reap(struct run *r, int end)
{
	struct side *s = &r->side[end], *peer = &r->side[!end];
	struct remu_wc wc;

	while (remu_engine_poll_wc(r->w.e[end], &wc, 1) != 0) {
		uint32_t slot = s->completed % SLOTS;
		const struct remu_wr *wr = &s->wr[slot];
		uint64_t off = wr->remote_va - 0x10000 - slot * SLOT;

		assert_int_equal(wc.kind, REMU_WC_WORK);
		assert_int_equal(wc.status, REMU_WC_SUCCESS);
		assert_int_equal(wc.wr_id, s->completed);
		assert_int_equal(wc.opcode, wr->opcode);
		assert_int_equal(wc.byte_len, wr->length);
		assert_memory_equal(wr->addr,
			(wr->opcode == REMU_WR_RDMA_READ ? peer->source : peer->target)[slot] + off,
			wr->length);
		s->completed++;
		s->stalled_since = r->w.now;
	}
	if (s->completed < s->posted && r->w.now - s->stalled_since > STALL_NS)
		fail_msg("side %d stands still at %lu", end, s->completed);
}

/* Runs `ops` operations per side. Returns the hash of all frames. */
static uint64_t
run(const struct wire_config *cfg, const struct faults *faults, uint64_t ops, uint64_t seed)
{
	static struct run r;

	memset(&r, 0, sizeof(r));
	r.seed = seed;
	r.faults = *faults;
	wire_open(&r.w, cfg);
	r.w.hook = bad_wire;
	r.w.arg = &r;
	for (int end = 0; end < 2; end++)
		register_side(&r, end);
	while (r.side[0].completed < ops || r.side[1].completed < ops) {
		for (int end = 0; end < 2; end++)
			while (r.side[end].posted < ops &&
				r.side[end].posted - r.side[end].completed < DEPTH)
				post_next(&r, end);
		wire_step(&r.w);
		for (int end = 0; end < 2; end++)
			reap(&r, end);
	}
	for (int end = 0; end < 2; end++) {
		const struct remu_stats *stats = remu_engine_stats(r.w.e[end]);
		const struct remu_requester *rq = &r.w.qp[end]->req;

		assert_memory_equal(r.side[end].target, r.side[end].image,
			sizeof(r.side[end].target));
		assert_int_equal(stats->wc_success, ops);
		assert_int_equal(stats->wc_error, 0);
		assert_int_equal(rq->answers_out, 0);
		assert_int_equal(rq->una_psn, rq->next_psn);
		assert_int_equal(rq->next_psn, r.w.qp[!end]->resp.epsn);
		if (faults->loss + faults->duplicate + faults->reorder + faults->corrupt == 0)
			assert_int_equal(stats->retransmits + stats->timeouts + stats->duplicates,
				0);
	}
	wire_close(&r.w);
	return r.w.trace;
}

static const struct wire_config usual = {.mtu = MTU,
	.sq_depth = DEPTH,
	.window = 32,
	.retry_cnt = 255,
	.sq_psn = 0xffff00,
	.rq_psn = 0x7fff00};

/* 90, and as many operations the other way. */
static void
pair__transfers_all_at_any_loss(void **state)
{
	static const struct faults cases[] = {
		{0, 0, 0, 0},
		{1, 1, 1, 0},
		{5, 5, 5, 1},
		{20, 5, 5, 1},
		{0, 0, 30, 0},
		{0, 50, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		run(&usual, &cases[i], i < 4 ? OPS : OPS / 10, i + 1);
}

static void
pair__same_seed_same_frames(void **state)
{
	static const struct faults faults = {5, 5, 5, 1};
	uint64_t first = run(&usual, &faults, 1000, 7);

	(void)state;
	assert_int_equal(run(&usual, &faults, 1000, 7), first);
	assert_int_not_equal(run(&usual, &faults, 1000, 8), first);
}

/* Each parameter at its edges. */
static void
pair__any_parameters(void **state)
{
	static const struct {
		struct member m;
		uint32_t values[3];
	} cases[] = {
#define CFG(m) {MEMBER(struct wire_config, m)}
		{CFG(window), {1, 3, 4096}}, {CFG(max_rd), {1, 2, 16}},
		{CFG(mtu), {512, 1024, 4096}}, {CFG(sq_psn), {0, 0x7ffff0, 0xffffff}},
		{CFG(pool), {8, 20, 100}}, /* hardly any mbufs */
	};
	static const struct faults faults = {5, 5, 5, 1};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		for (size_t v = 0; v < RTE_DIM(cases[i].values); v++) {
			struct wire_config cfg = usual;

			memcpy((uint8_t *)&cfg + cases[i].m.off, &cases[i].values[v],
				cases[i].m.size);
			cfg.max_dest = cfg.max_rd;
			run(&cfg, &faults, 500, 11 + i);
		}
}

/* Loses the frame that the script names, once. */
struct script {
	uint8_t opcode;
	uint32_t psn;
	uint32_t lost;
};

static void
lose_one(void *arg, int from, const struct rte_mbuf *m, struct wire_fate *fate)
{
	struct script *script = arg;
	struct roce_packet pkt;

	(void)from;
	assert_int_equal(roce_decode(rte_pktmbuf_mtod(m, const uint8_t *), m->pkt_len, &pkt), 0);
	if (script->lost == 0 && pkt.f.opcode == script->opcode && pkt.f.psn == script->psn) {
		script->lost = 1;
		fate->copies = 0;
	}
}

/* Whatever single frame is lost, the READs and WRITEs around it cost one timeout at most. */
static void
pair__one_frame_lost(void **state)
{
	static const struct script scripts[] = {
		{ROCE_WRITE_ONLY, 0, 0},
		{ROCE_READ_REQUEST, 1, 0},
		{ROCE_READ_RESPONSE_FIRST, 1, 0},
		{ROCE_READ_RESPONSE_MIDDLE, 2, 0},
		{ROCE_READ_RESPONSE_LAST, 3, 0},
		{ROCE_READ_REQUEST, 4, 0},
		{ROCE_READ_RESPONSE_FIRST, 4, 0},
		{ROCE_READ_RESPONSE_LAST, 6, 0},
		{ROCE_WRITE_ONLY, 7, 0},
		{ROCE_ACKNOWLEDGE, 7, 0},
	};
	static const struct remu_wr wrs[] = {
		{.length = 8, .opcode = REMU_WR_RDMA_WRITE, .rkey = W_KEY},
		{.length = 3 * MTU, .opcode = REMU_WR_RDMA_READ, .rkey = R_KEY},
		{.length = 3 * MTU, .opcode = REMU_WR_RDMA_READ, .rkey = R_KEY},
		{.length = 8, .opcode = REMU_WR_RDMA_WRITE, .rkey = W_KEY},
	};
	static struct run r;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(scripts); i++) {
		struct script script = scripts[i];
		uint32_t done = 0;
		struct remu_wc wc;

		memset(&r, 0, sizeof(r));
		wire_open(&r.w, &(struct wire_config){.mtu = MTU, .retry_cnt = 3});
		r.w.hook = lose_one;
		r.w.arg = &script;
		register_side(&r, 1);
		for (size_t n = 0; n < RTE_DIM(wrs); n++) {
			struct remu_wr wr = wrs[n];

			wr.wr_id = n;
			wr.addr = r.side[0].buffer[n];
			wr.remote_va = 0x10000 + n * SLOT;
			assert_int_equal(remu_qp_post(r.w.e[0], r.w.qp[0], &wr, 0), 0);
		}
		for (int step = 0; step < 1000 && done < RTE_DIM(wrs); step++) {
			wire_step(&r.w);
			while (remu_engine_poll_wc(r.w.e[0], &wc, 1) != 0) {
				assert_int_equal(wc.wr_id, done++);
				assert_int_equal(wc.status, REMU_WC_SUCCESS);
			}
		}
		assert_int_equal(done, RTE_DIM(wrs));
		assert_int_equal(script.lost, 1);
		/* Only the loss of the last frame of all shows by nothing but silence. */
		assert_int_equal(remu_engine_stats(r.w.e[0])->timeouts, script.psn == 7);
		for (uint32_t n = 1; n <= 2; n++)
			assert_memory_equal(r.side[0].buffer[n], r.side[1].source[n], 3 * MTU);
		wire_close(&r.w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pair__transfers_all_at_any_loss),
		cmocka_unit_test(pair__same_seed_same_frames),
		cmocka_unit_test(pair__any_parameters),
		cmocka_unit_test(pair__one_frame_lost),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
