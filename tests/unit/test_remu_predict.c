/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Header prediction and stencils are shortcuts: nothing may show that they are taken. Two engines
 * get the same frames, of which one may remember heads and the other must forget them before each
 * frame; whatever bit of a frame is changed, they must do the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "eal.h"
#include "remu_predict.h"
#include "wire.h"

enum { KEY = 0x1234, SIZE = 4096, LEN = 64 };

#define VA UINT64_C(0x100000)

enum { KNOWS, FORGETS, SIDES };

struct side {
	struct bench b;
	uint8_t memory[SIZE];
	uint8_t local[SIZE];
};

static struct side sides[SIDES];
static uint32_t next_psn;

static void
open_sides(const struct wire_config *cfg)
{
	for (int i = 0; i < SIDES; i++) {
		struct side *s = &sides[i];
		struct remu_mr_config mr = {
			.addr = s->memory,
			.va = VA,
			.length = SIZE,
			.rkey = KEY,
			.pd = WIRE_PD,
			.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE,
		};

		memset(s, 0, sizeof(*s));
		bench_open(&s->b, cfg);
		assert_int_equal(remu_mr_register(s->b.e, &mr), 0);
	}
	next_psn = 0;
}

static void
close_sides(void)
{
	for (int i = 0; i < SIDES; i++)
		bench_close(&sides[i].b);
}

static bool
any_learned(const struct side *s)
{
	for (uint32_t i = 0; i < REMU_PREDICTIONS; i++)
		if (s->b.e->predictions[i].frame_len != 0)
			return true;
	return false;
}

/* A frame to both, one bit of it changed (-1: none), its ICRC made right again if `reseal`. */
static void
inject(const struct roce_fields *f, uint32_t len, int bit, bool reseal)
{
	uint8_t payload[LEN];
	enum remu_drop verdicts[SIDES];

	memset(payload, (int)(f->psn + 1), sizeof(payload));
	for (int i = 0; i < SIDES; i++) {
		struct side *s = &sides[i];
		struct rte_mbuf *m = bench_craft(&s->b, f, payload, len);

		if (bit >= 0)
			*rte_pktmbuf_mtod_offset(m, uint8_t *, bit / 8) ^= (uint8_t)(1 << bit % 8);
		if (reseal)
			frame_reseal(m);
		if (i == FORGETS)
			remu__predict_forget(s->b.e, s->b.qp);
		verdicts[i] = bench_rx(&s->b, m);
	}
	if (verdicts[KNOWS] != verdicts[FORGETS])
		fail_msg("bit %d, %s: %s instead of %s", bit, reseal ? "resealed" : "not resealed",
			remu_drop_name(verdicts[KNOWS]), remu_drop_name(verdicts[FORGETS]));
}

/* What both send, what both have done, and what is left of the queue pairs. */
static void
compare(void)
{
	struct remu_qp_info info[SIDES];
	struct remu_wc wc[SIDES];
	const struct frame *frames[SIDES];
	uint32_t n[SIDES];

	do {
		for (int i = 0; i < SIDES; i++)
			frames[i] = bench_tx(&sides[i].b);
		assert_int_equal(frames[0] != NULL, frames[1] != NULL);
		if (frames[0] != NULL) {
			assert_int_equal(frames[0]->len, frames[1]->len);
			assert_memory_equal(frames[0]->bytes, frames[1]->bytes, frames[0]->len);
		}
	} while (frames[0] != NULL);
	do {
		for (int i = 0; i < SIDES; i++)
			n[i] = remu_engine_poll_wc(sides[i].b.e, &wc[i], 1);
		assert_int_equal(n[0], n[1]);
		if (n[0] != 0)
			assert_memory_equal(&wc[0], &wc[1], sizeof(wc[0]));
	} while (n[0] != 0);
	for (int i = 0; i < SIDES; i++)
		info[i] = bench_info(&sides[i].b);
	assert_memory_equal(&info[0], &info[1], sizeof(info[0]));
	assert_memory_equal(sides[0].memory, sides[1].memory, SIZE);
	assert_memory_equal(sides[0].local, sides[1].local, SIZE);
	assert_memory_equal(remu_engine_stats(sides[0].b.e), remu_engine_stats(sides[1].b.e),
		sizeof(struct remu_stats));
}

static void
post_read(void)
{
	for (int i = 0; i < SIDES; i++)
		assert_int_equal(remu_qp_post(sides[i].b.e, sides[i].b.qp,
					 &(struct remu_wr){
						 .addr = sides[i].local,
						 .remote_va = VA,
						 .length = LEN,
						 .rkey = 7,
						 .opcode = REMU_WR_RDMA_READ,
					 },
					 sides[i].b.now),
			0);
}

/* The next frame of a kind, as it should be. For answers there is something to answer. */
static struct roce_fields
next_fields(uint8_t opcode)
{
	struct roce_fields f = {.opcode = opcode, .psn = next_psn, .migreq = true};

	if (roce_ops[opcode].traits & ROCE_T_REQUEST) {
		f.va = VA + 8 * next_psn % 1024;
		f.rkey = KEY;
		f.dma_len = LEN;
		f.ackreq = true;
	} else {
		f.syndrome = ROCE_SYN_ACK_NO_LIMIT;
		post_read();
		compare();
	}
	next_psn++;
	return f;
}

static uint32_t
payload_of(uint8_t opcode)
{
	return roce_ops[opcode].traits & ROCE_T_PAYLOAD ? LEN : 0;
}

/* Start anew when the last frame has ended the queue pairs; have their frames remembered. */
static void
prepare(uint8_t opcode)
{
	const struct wire_config cfg = {.pool = 512};

	if (sides[0].b.e == NULL || bench_info(&sides[0].b).state != REMU_QP_RTS) {
		if (sides[0].b.e != NULL)
			close_sides();
		open_sides(&cfg);
		for (int i = 0; i < 3; i++) {
			struct roce_fields f = next_fields(opcode);

			inject(&f, payload_of(opcode), -1, false);
			compare();
		}
		assert_true(any_learned(&sides[KNOWS]));
	}
}

static void
any_changed_bit__does_the_same(void **state)
{
	static const uint8_t kinds[] = {ROCE_WRITE_ONLY, ROCE_READ_REQUEST,
		ROCE_READ_RESPONSE_ONLY};

	(void)state;
	for (size_t k = 0; k < RTE_DIM(kinds); k++) {
		uint32_t len = payload_of(kinds[k]);
		int bits = 8 * (ROCE_L2L4_LEN + roce_ops[kinds[k]].header_len + (int)len + 4);

		for (int reseal = 0; reseal < 2; reseal++)
			for (int bit = 0; bit < bits; bit++) {
				struct roce_fields f;

				prepare(kinds[k]);
				f = next_fields(kinds[k]);
				inject(&f, len, bit, reseal);
				compare();
				if (bench_info(&sides[0].b).state != REMU_QP_RTS)
					continue;
				/* If that one did not count, the true one does now. */
				inject(&f, len, -1, false);
				compare();
			}
		close_sides();
		memset(sides, 0, sizeof(sides));
	}
}

/* Shorter, longer, and with the PSNs of the past and the future. */
static void
any_length_and_psn__does_the_same(void **state)
{
	const struct wire_config cfg = {.pool = 512};

	(void)state;
	open_sides(&cfg);
	for (uint32_t i = 0; i < 400; i++) {
		struct roce_fields f = next_fields(ROCE_WRITE_ONLY);
		uint32_t len = i % 3 != 0 ? LEN : i % (LEN + 1);

		f.dma_len = len;
		inject(&f, len, -1, false);
		compare();
		f.psn = (f.psn + i * 7 - 100) & 0xffffff;
		if (i % 5 == 0)
			inject(&f, len, -1, false);
		compare();
	}
	close_sides();
}

/* A sender that counts IP identifications is not remembered: each frame would be in vain. */
static void
heads_that_keep_changing__are_not_remembered(void **state)
{
	const struct wire_config cfg = {.pool = 512};

	(void)state;
	open_sides(&cfg);
	for (uint32_t i = 0; i < 10; i++) {
		struct side *s = &sides[KNOWS];
		struct roce_fields f = next_fields(ROCE_WRITE_ONLY);
		uint8_t payload[LEN] = {0};
		struct rte_mbuf *m = bench_craft(&s->b, &f, payload, LEN);

		roce_store_be16(rte_pktmbuf_mtod_offset(m, uint8_t *, ROCE_ETH_LEN + 4),
			(uint16_t)i);
		frame_reseal(m);
		assert_int_equal(bench_rx(&s->b, m), REMU_DROP_NONE);
	}
	assert_false(any_learned(&sides[KNOWS]));
	close_sides();
}

/* What was right for the former connection is not for the next one. */
static void
another_connection__forgets(void **state)
{
	const struct wire_config cfg = {.pool = 512};
	struct side *s = &sides[KNOWS];
	uint8_t payload[LEN] = {0};
	struct roce_fields f;

	(void)state;
	open_sides(&cfg);
	for (int i = 0; i < 3; i++) {
		f = next_fields(ROCE_WRITE_ONLY);
		assert_int_equal(bench_inject(&s->b, &f, payload, LEN), REMU_DROP_NONE);
	}
	assert_true(any_learned(s));
	assert_int_equal(remu_qp_modify(s->b.e, s->b.qp, REMU_QP_RESET, NULL), 0);
	f = next_fields(ROCE_WRITE_ONLY);
	assert_int_equal(bench_inject(&s->b, &f, payload, LEN), REMU_DROP_QP_STATE);
	s->b.attr.peer_mac[5] ^= 1;
	s->b.attr.rq_psn = next_psn;
	for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
		assert_int_equal(remu_qp_modify(s->b.e, s->b.qp, (enum remu_qp_state)to,
					 &s->b.attr),
			0);
	f = next_fields(ROCE_WRITE_ONLY);
	assert_int_equal(bench_inject(&s->b, &f, payload, LEN), REMU_DROP_SRC_MAC);
	remu_qp_destroy(s->b.e, s->b.qp);
	assert_int_equal(bench_inject(&s->b, &f, payload, LEN), REMU_DROP_QPN);
	assert_false(any_learned(s));
	close_sides();
}

/* A region that is gone is gone, also for a request in one step. */
static void
revoked_region__is_refused(void **state)
{
	static const uint8_t kinds[] = {ROCE_WRITE_ONLY, ROCE_READ_REQUEST};
	const struct wire_config cfg = {.pool = 512};

	(void)state;
	for (size_t k = 0; k < RTE_DIM(kinds); k++) {
		struct roce_fields f;

		open_sides(&cfg);
		for (int i = 0; i < 4; i++) {
			f = next_fields(kinds[k]);
			inject(&f, payload_of(kinds[k]), -1, false);
			compare();
		}
		for (int i = 0; i < SIDES; i++) {
			assert_int_equal(remu_mr_deregister(sides[i].b.e, WIRE_PD, KEY), 0);
			memset(sides[i].memory, 0, SIZE);
		}
		f = next_fields(kinds[k]);
		inject(&f, payload_of(kinds[k]), -1, false);
		compare();
		assert_int_equal(remu_engine_stats(sides[0].b.e)->drops[REMU_DROP_ACCESS], 1);
		for (uint32_t i = 0; i < SIZE; i++)
			assert_int_equal(sides[0].memory[i], 0);
		close_sides();
	}
}

/* Beyond the region, and more READs than agreed, as without prediction. */
static void
request_beyond_limits__is_refused(void **state)
{
	static const uint8_t kinds[] = {ROCE_WRITE_ONLY, ROCE_READ_REQUEST};
	static const uint64_t addresses[] = {VA - 1, VA + SIZE - LEN + 1, VA + SIZE,
		UINT64_MAX - 10, 0};
	const struct wire_config cfg = {.pool = 512, .max_read_len = LEN};

	(void)state;
	for (size_t k = 0; k < RTE_DIM(kinds); k++)
		for (size_t v = 0; v < RTE_DIM(addresses) + 2; v++) {
			bool too_many = v == RTE_DIM(addresses),
			     too_long = v == RTE_DIM(addresses) + 1;
			struct roce_fields f;

			if ((too_many || too_long) && kinds[k] != ROCE_READ_REQUEST)
				continue;
			open_sides(&cfg);
			for (int i = 0; i < 4; i++) {
				f = next_fields(kinds[k]);
				inject(&f, payload_of(kinds[k]), -1, false);
				compare();
			}
			for (int i = 0; i < (too_many ? 5 : 1); i++) {
				f = next_fields(kinds[k]);
				f.dma_len += too_long;
				if (v < RTE_DIM(addresses))
					f.va = addresses[v];
				inject(&f, payload_of(kinds[k]), -1, false);
			}
			compare();
			assert_int_equal(remu_engine_stats(sides[0].b.e)
						 ->drops[v < RTE_DIM(addresses)
								 ? REMU_DROP_ACCESS
								 : REMU_DROP_INVALID],
				1);
			close_sides();
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_changed_bit__does_the_same),
		cmocka_unit_test(any_length_and_psn__does_the_same),
		cmocka_unit_test(heads_that_keep_changing__are_not_remembered),
		cmocka_unit_test(another_connection__forgets),
		cmocka_unit_test(revoked_region__is_refused),
		cmocka_unit_test(request_beyond_limits__is_refused),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
