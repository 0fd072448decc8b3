/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance of the responder, but for READs and atomics: statements 21 to 52 of the checklist, one
 * test each, and further ones from 121 on that the checklist does not have.
 */
#include "conf.h"

#include <remu_priv.h>

/* Both ways to treat what comes ahead of the expected PSN, for loops. */
static const struct {
	uint32_t disable;
	int ahead; /* verdict */
} keep[] = {
	{REMU_RECOVERY_HOLD, AHEAD},
	{0, HELD},
};

/* The first packet of a WRITE of this length to the beginning of the region. */
static void
begin_write(struct target *t, int32_t psn, uint32_t dma)
{
	inject(t, OK, .op = WRITE_FIRST, .psn = psn, .dma = dma, .len = MTU);
	target_wrote(t, 0, MTU);
}

/* The first packet of a SEND to the beginning of the buffers. */
static void
begin_send(struct target *t, int32_t psn)
{
	inject(t, OK, .op = SEND_FIRST, .psn = psn, .len = MTU);
	target_received(t, 0, MTU);
}

/* A WRITE of one packet that is in order, acknowledged at once. */
static void
write_one(struct target *t, int32_t psn, uint32_t msn)
{
	inject(t, OK, .op = WRITE_ONLY, .psn = psn, .off = 2048, .len = 40);
	target_wrote(t, 2048, 40);
	expect_ack(t, psn, msn);
	expect_settled(t, psn + 1, msn);
}

static void
c21_write_only_is_acked(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0, .off = 64, .len = 100);
	target_wrote(&t, 64, 100);
	expect_ack(&t, 0, 1);
	expect_settled(&t, 1, 1);
	target_close(&t);
}

static void
c22_write_without_ackreq_is_not_acked(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0, .off = 64, .len = 100, .no_ackreq = true);
	target_wrote(&t, 64, 100);
	expect_settled(&t, 1, 1);
	target_close(&t);
}

static void
c23_write_of_three_packets_gets_one_ack(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = WRITE_FIRST, .psn = 0, .off = 1, .dma = 2 * MTU + 9, .len = MTU);
	target_wrote(&t, 1, MTU);
	expect_settled(&t, 1, 0);
	inject(&t, OK, .op = WRITE_MIDDLE, .psn = 1, .len = MTU);
	target_wrote(&t, 1 + MTU, MTU);
	expect_settled(&t, 2, 0);
	inject(&t, OK, .op = WRITE_LAST, .psn = 2, .len = 9);
	target_wrote(&t, 1 + 2 * MTU, 9);
	expect_ack(&t, 2, 1);
	expect_settled(&t, 3, 1);
	write_one(&t, 3, 2);
	target_close(&t);
}

static void
c24_gap_is_told_once(void **state)
{
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(keep); i++) {
		target_open(&t, &(struct wire_config){.disable = keep[i].disable});
		inject(&t, keep[i].ahead, .op = WRITE_ONLY, .psn = 1, .len = 8);
		expect_nak(&t, 0, NAK_SEQUENCE, 0);
		expect_settled(&t, 0, 0);
		inject(&t, AHEAD, .op = WRITE_ONLY, .psn = 1, .len = 8);
		expect_settled(&t, 0, 0);
		target_close(&t);
	}
}

static void
c25_silence_until_the_gap_is_closed(void **state)
{
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(keep); i++) {
		target_open(&t, &(struct wire_config){.disable = keep[i].disable});
		target_post_recv(&t, 1, 0, 100);
		inject(&t, keep[i].ahead, .op = WRITE_ONLY, .psn = 1, .len = 8);
		expect_nak(&t, 0, NAK_SEQUENCE, 0);
		inject(&t, keep[i].ahead, .op = WRITE_ONLY, .psn = 2, .len = 8);
		expect_settled(&t, 0, 0);
		inject(&t, keep[i].ahead, .op = WRITE_ONLY, .psn = 3, .len = 8, .rkey = NO_KEY);
		expect_settled(&t, 0, 0);
		inject(&t, keep[i].ahead, .op = READ, .psn = 4, .dma = 8);
		expect_settled(&t, 0, 0);
		inject(&t, keep[i].ahead, .op = SEND_ONLY, .psn = 5, .len = 8);
		expect_settled(&t, 0, 0);
		inject(&t, keep[i].ahead, .op = FETCH_ADD, .psn = 6);
		expect_settled(&t, 0, 0);
		/* Duplicates are served meanwhile. */
		inject(&t, OK, .op = WRITE_ONLY, .psn = -1, .len = 8);
		expect_ack(&t, -1, 0);
		expect_settled(&t, 0, 0);
		target_close(&t);
	}
}

static void
c26_next_gap_is_told_again(void **state)
{
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(keep); i++) {
		target_open(&t, &(struct wire_config){.disable = keep[i].disable});
		inject(&t, keep[i].ahead, .op = WRITE_ONLY, .psn = 1, .off = 100, .len = 10);
		expect_nak(&t, 0, NAK_SEQUENCE, 0);
		expect_settled(&t, 0, 0);
		if (keep[i].ahead == HELD) {
			target_wrote(&t, 100, 10);
			t.held = 0;
			inject(&t, OK, .op = WRITE_ONLY, .psn = 0, .len = 10);
			target_wrote(&t, 0, 10);
			expect_ack(&t, 1, 2);
		} else {
			write_one(&t, 0, 1);
			write_one(&t, 1, 2);
		}
		expect_settled(&t, 2, 2);
		inject(&t, keep[i].ahead, .op = WRITE_ONLY, .psn = 3, .len = 10);
		expect_nak(&t, 2, NAK_SEQUENCE, 2);
		expect_settled(&t, 2, 2);
		target_close(&t);
	}
}

static void
c27_half_of_the_psns_is_ahead(void **state)
{
	static const int32_t behind[] = {-1, -HALF, HALF, HALF + 1, 1 - HALF};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(behind); i++) {
		target_case(&t, i);
		inject(&t, OK, .op = WRITE_ONLY, .psn = behind[i], .len = 8);
		expect_ack(&t, -1, 0);
		expect_settled(&t, 0, 0);
	}
	inject(&t, AHEAD, .op = WRITE_ONLY, .psn = HALF - 1, .len = 8);
	expect_nak(&t, 0, NAK_SEQUENCE, 0);
	expect_settled(&t, 0, 0);
	target_close(&t);
}

static void
c28_duplicate_write_is_acked_but_not_executed(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	begin_write(&t, 0, 2 * MTU);
	inject(&t, OK, .op = WRITE_LAST, .psn = 1, .len = MTU);
	target_wrote(&t, MTU, MTU);
	expect_ack(&t, 1, 1);
	write_one(&t, 2, 2);
	target_scribble(&t);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 2, .off = 2048, .len = 40);
	expect_ack(&t, 2, 2);
	expect_settled(&t, 3, 2);
	/* The ACK is for the newest, whichever is repeated. */
	inject(&t, OK, .op = WRITE_LAST, .psn = 1, .len = MTU);
	expect_ack(&t, 2, 2);
	expect_settled(&t, 3, 2);
	inject(&t, OK, .op = WRITE_FIRST, .psn = 0, .dma = 2 * MTU, .len = MTU, .ackreq = true);
	expect_ack(&t, 2, 2);
	expect_settled(&t, 3, 2);
	inject(&t, DUP, .op = WRITE_FIRST, .psn = 0, .dma = 2 * MTU, .len = MTU);
	inject(&t, DUP, .op = WRITE_ONLY, .psn = 2, .len = 40, .no_ackreq = true);
	expect_settled(&t, 3, 2);
	/* In the middle of a message. */
	begin_write(&t, 3, 3 * MTU);
	target_scribble(&t);
	inject(&t, OK, .op = WRITE_FIRST, .psn = 3, .dma = 3 * MTU, .len = MTU, .ackreq = true);
	expect_ack(&t, 3, 2);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 2, .off = 2048, .len = 40);
	expect_ack(&t, 3, 2);
	inject(&t, OK, .op = WRITE_MIDDLE, .psn = 4, .len = MTU);
	target_wrote(&t, MTU, MTU);
	expect_settled(&t, 5, 2);
	target_close(&t);
}

/*
 * What a duplicate asks for is not looked at, or was looked at when it was new: its region may be
 * gone since then, and of a WRITE the peer only misses the ACK. READ and atomics need the original's
 * key, see 59 and 64.
 */
static void
c29_bad_duplicates_do_not_hurt(void **state)
{
	static const struct request bad[] = {
		{.op = WRITE_ONLY, .psn = 0, .len = 8, .rkey = NO_KEY},
		{.op = WRITE_ONLY, .psn = 0, .len = 8, .rkey = OTHER_PD},
		{.op = WRITE_ONLY, .psn = 0, .len = 8, .off = -1},
		{.op = WRITE_ONLY, .psn = 0, .len = 8, .dma = 9},
		{.op = WRITE_ONLY, .psn = 0, .len = MTU + 4},
		{.op = WRITE_FIRST, .psn = 0, .dma = 2 * MTU, .len = 8},
		{.op = WRITE_MIDDLE, .psn = 0, .len = MTU},
		{.op = WRITE_LAST, .psn = 0},
		{.op = SEND_ONLY, .psn = 0, .len = 8},
		{.op = SEND_LAST, .psn = 0, .len = 8},
		{.op = SEND_ONLY_INV, .psn = 0, .len = 8},
		{.op = READ, .psn = 0, .dma = 8},
		{.op = READ, .psn = 1, .dma = 8, .rkey = NO_KEY},
		{.op = READ, .psn = 1, .dma = 8, .rkey = RO},
		{.op = READ, .psn = 1, .dma = 9},
		{.op = READ, .psn = 1, .dma = UINT32_MAX},
		{.op = CMP_SWAP, .psn = 1},
		{.op = FETCH_ADD, .psn = 2, .off = 1},
		{.op = FETCH_ADD, .psn = 2, .rkey = NO_KEY},
		{.op = CMP_SWAP, .psn = 2},
	};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	write_one(&t, 0, 1);
	inject(&t, OK, .op = READ, .psn = 1, .dma = 8);
	expect_read(&t, 1, 2, 0, 8);
	target_store(&t, 0, 0);
	inject(&t, OK, .op = FETCH_ADD, .psn = 2);
	expect_atomic(&t, 2, 3, 0);
	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		bool answered = bad[i].op == READ || bad[i].op == FETCH_ADD ||
			bad[i].op == CMP_SWAP;

		for (int ask = 0; ask < 2; ask++) {
			struct request r = bad[i];

			target_case(&t, i);
			target_at(&t, __LINE__);
			r.ackreq = ask;
			r.no_ackreq = !ask;
			target_inject(&t, answered || !ask ? DUP : OK, &r);
			if (!answered && ask) /* none beyond the READ */
				expect_ack(&t, 0, 3);
			expect_settled(&t, 3, 3);
		}
	}
	write_one(&t, 3, 4);
	/* The region of a good duplicate has been revoked. */
	assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, ALL), 0);
	inject(&t, DUP, .op = READ, .psn = 1, .dma = 8);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 3, .off = 2048, .len = 40);
	expect_ack(&t, 3, 4);
	expect_settled(&t, 4, 4);
	target_close(&t);
}

static void
c30_duplicate_send_is_not_received_twice(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (uint32_t i = 0; i < 4; i++)
		target_post_recv(&t, i, 2048 * i, 2048);
	inject(&t, OK, .op = SEND_ONLY, .psn = 0, .len = 100);
	target_received(&t, 0, 100);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = 100);
	expect_ack(&t, 0, 1);
	inject(&t, OK, .op = SEND_FIRST, .psn = 1, .len = MTU);
	target_received(&t, 2048, MTU);
	inject(&t, OK, .op = SEND_LAST, .psn = 2, .len = 50);
	target_received(&t, 2048 + MTU, 50);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = MTU + 50);
	expect_ack(&t, 2, 2);
	target_scribble(&t);
	inject(&t, OK, .op = SEND_ONLY, .psn = 0, .len = 100);
	expect_ack(&t, 2, 2);
	inject(&t, DUP, .op = SEND_FIRST, .psn = 1, .len = MTU);
	inject(&t, OK, .op = SEND_LAST, .psn = 2, .len = 50);
	expect_ack(&t, 2, 2);
	inject(&t, OK, .op = SEND_ONLY, .psn = 0, .len = 4000); /* not what it was */
	expect_ack(&t, 2, 2);
	expect_settled(&t, 3, 2);
	/* Between the packets of a message. */
	inject(&t, OK, .op = SEND_FIRST, .psn = 3, .len = MTU);
	target_received(&t, 4096, MTU);
	inject(&t, OK, .op = SEND_FIRST, .psn = 3, .len = MTU, .ackreq = true);
	expect_ack(&t, 3, 2);
	inject(&t, OK, .op = SEND_LAST, .psn = 4, .len = 1);
	target_received(&t, 4096 + MTU, 1);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = MTU + 1);
	expect_ack(&t, 4, 3);
	expect_settled(&t, 5, 3);
	target_close(&t);
}

static void
c31_psns_wrap(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.rq_psn = 0xffffff});
	target_post_recv(&t, 1, 0, 100);
	begin_write(&t, 0, 2 * MTU);
	assert_int_equal(bench_info(&t.b).epsn, 0);
	inject(&t, OK, .op = WRITE_LAST, .psn = 1, .len = MTU);
	target_wrote(&t, MTU, MTU);
	expect_ack(&t, 1, 1);
	write_one(&t, 2, 2);
	assert_int_equal(bench_info(&t.b).epsn, 2);
	for (int32_t psn = -3; psn <= 2; psn++) {
		inject(&t, OK, .op = WRITE_ONLY, .psn = psn, .len = 8);
		expect_ack(&t, 2, 2);
		expect_settled(&t, 3, 2);
	}
	inject(&t, AHEAD, .op = WRITE_ONLY, .psn = HALF + 2, .len = 8);
	expect_nak(&t, 3, NAK_SEQUENCE, 2);
	expect_settled(&t, 3, 2);
	inject(&t, OK, .op = WRITE_ONLY, .psn = HALF + 3, .len = 8);
	expect_ack(&t, 2, 2);
	write_one(&t, 3, 3);
	target_close(&t);
	/* The gap lies at the wrap. */
	target_open(&t, &(struct wire_config){.rq_psn = 0xffffff, .disable = REMU_RECOVERY_HOLD});
	inject(&t, AHEAD, .op = WRITE_ONLY, .psn = 1, .len = 8);
	expect_nak(&t, 0, NAK_SEQUENCE, 0);
	write_one(&t, 0, 1);
	inject(&t, AHEAD, .op = WRITE_ONLY, .psn = 2, .len = 8);
	expect_nak(&t, 1, NAK_SEQUENCE, 1);
	expect_settled(&t, 1, 1);
	target_close(&t);
}

static void
c32_middle_or_last_without_first_is_refused(void **state)
{
	static const struct {
		uint8_t op;
		uint32_t len;
	} cases[] = {{WRITE_MIDDLE, MTU}, {WRITE_LAST, 8}, {WRITE_LAST, MTU}, {WRITE_LAST_IMM, 8},
		{SEND_MIDDLE, MTU}, {SEND_LAST, 8}, {SEND_LAST_IMM, 8}};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		for (uint32_t before = 0; before <= 1; before++) {
			target_open(&t, &(struct wire_config){0});
			target_case(&t, i);
			target_post_recv(&t, 1, 0, 2048);
			if (before != 0) /* a whole message has begun nothing */
				write_one(&t, 0, 1);
			expect_refused(&t, NAK_INVALID, before, .op = cases[i].op,
				.psn = (int32_t)before, .len = cases[i].len);
			target_close(&t);
		}
}

static void
c33_message_must_end_before_the_next(void **state)
{
	static const uint8_t in_write[] = {SEND_FIRST, SEND_MIDDLE, SEND_LAST, SEND_LAST_IMM,
		SEND_ONLY, SEND_ONLY_IMM, WRITE_FIRST, WRITE_ONLY, WRITE_ONLY_IMM, CMP_SWAP,
		FETCH_ADD};
	static const uint8_t in_send[] = {WRITE_FIRST, WRITE_MIDDLE, WRITE_LAST, WRITE_LAST_IMM,
		WRITE_ONLY, WRITE_ONLY_IMM, SEND_FIRST, SEND_ONLY, SEND_ONLY_IMM, CMP_SWAP,
		FETCH_ADD};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(in_write) + RTE_DIM(in_send); i++) {
		bool write = i < RTE_DIM(in_write);
		uint8_t op = write ? in_write[i] : in_send[i - RTE_DIM(in_write)];

		for (int32_t middles = 0; middles < 2; middles++) {
			target_open(&t, &(struct wire_config){0});
			target_case(&t, i);
			target_post_recv(&t, 1, 0, BUFFERS);
			target_post_recv(&t, 2, 0, BUFFERS);
			if (write)
				begin_write(&t, 0, 4 * MTU);
			else
				begin_send(&t, 0);
			if (middles != 0) {
				inject(&t, OK, .op = write ? WRITE_MIDDLE : SEND_MIDDLE, .psn = 1,
					.len = MTU);
				if (write)
					target_wrote(&t, MTU, MTU);
				else
					target_received(&t, MTU, MTU);
			}
			expect_refused(&t, NAK_INVALID, 0, .op = op, .psn = 1 + middles,
				.dma = op == WRITE_FIRST ? 3 * MTU : 0,
				.len = op == CMP_SWAP || op == FETCH_ADD ? 0 : MTU);
			target_close(&t);
		}
	}
}

static void
c34_read_inside_a_message_is_refused(void **state)
{
	struct target t;

	(void)state;
	for (uint32_t dma = 0; dma <= 8; dma += 8) {
		target_open(&t, &(struct wire_config){0});
		begin_write(&t, 0, 2 * MTU);
		expect_refused(&t, NAK_INVALID, 0, .op = READ, .psn = 1, .dma = dma);
		target_close(&t);
		target_open(&t, &(struct wire_config){0});
		target_post_recv(&t, 1, 0, 2048);
		begin_send(&t, 0);
		expect_refused(&t, NAK_INVALID, 0, .op = READ, .psn = 1, .dma = dma);
		target_close(&t);
	}
}

static void
c35_first_and_middle_are_of_the_path_mtu(void **state)
{
	static const uint32_t lens[] = {1023, 1025, 1020, 1028, 4, 0, 2 * MTU};
	static const uint8_t ops[] = {WRITE_FIRST, WRITE_MIDDLE, SEND_FIRST, SEND_MIDDLE,
		WRITE_ONLY, WRITE_ONLY_IMM, SEND_ONLY, WRITE_LAST, SEND_LAST};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(ops) * RTE_DIM(lens); i++) {
		uint8_t op = ops[i / RTE_DIM(lens)];
		uint32_t len = lens[i % RTE_DIM(lens)];
		uint32_t traits = roce_ops[op].traits;
		bool second = traits & (ROCE_T_MIDDLE | ROCE_T_LAST);

		if (len <= MTU && (traits & (ROCE_T_LAST | ROCE_T_ONLY)))
			continue; /* those may be shorter */
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_post_recv(&t, 1, 0, BUFFERS);
		if (second && (traits & ROCE_T_WRITE))
			begin_write(&t, 0, MTU + (traits & ROCE_T_LAST ? len : 4 * MTU));
		else if (second)
			begin_send(&t, 0);
		expect_refused(&t, NAK_INVALID, 0, .op = op, .psn = second,
			.dma = op == WRITE_FIRST ? 4 * MTU : len, .len = len);
		target_close(&t);
	}
}

static void
c36_last_packet_is_not_empty(void **state)
{
	static const uint8_t ops[] = {WRITE_LAST, WRITE_LAST_IMM, SEND_LAST, SEND_LAST_IMM};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(ops); i++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_post_recv(&t, 1, 0, 2048);
		if (i < 2)
			begin_write(&t, 0, MTU + 1);
		else
			begin_send(&t, 0);
		expect_refused(&t, NAK_INVALID, 0, .op = ops[i], .psn = 1);
		target_close(&t);
	}
}

static void
c37_payload_sums_up_to_the_dma_length(void **state)
{
	static const struct {
		uint32_t dma;
		uint8_t op; /* 0: one packet */
		uint32_t len;
	} cases[] = {{9, 0, 8}, {8, 0, 9}, {1, 0, 0}, {2 * MTU, 0, MTU}, {MTU - 1, 0, MTU},
		{2 * MTU, WRITE_LAST, MTU - 1}, {2 * MTU, WRITE_LAST, 1}, {MTU + 4, WRITE_LAST, 5},
		{MTU + 4, WRITE_LAST, 3}, {MTU + 1, WRITE_LAST, MTU}, {2 * MTU, WRITE_MIDDLE, MTU},
		{2 * MTU - 1, WRITE_MIDDLE, MTU}, {MTU + 1, WRITE_MIDDLE, MTU},
		{3 * MTU, WRITE_LAST, MTU}, {2 * MTU + 1, WRITE_LAST, MTU},
		{3 * MTU, WRITE_LAST, 1}, {2 * MTU, WRITE_LAST_IMM, 7},
		{MTU + 4, WRITE_LAST_IMM, MTU}};
	static const uint32_t too_short[] = {MTU, MTU - 1, 1};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		/* The range ends where the region ends. */
		uint32_t off = REGION - cases[i].dma;

		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_post_recv(&t, 1, 0, 0);
		if (cases[i].op != 0) {
			inject(&t, OK, .op = WRITE_FIRST, .off = off, .dma = cases[i].dma,
				.len = MTU);
			target_wrote(&t, off, MTU);
			expect_refused(&t, NAK_INVALID, 0, .op = cases[i].op, .psn = 1,
				.len = cases[i].len);
		} else {
			expect_refused(&t, NAK_INVALID, 0, .op = WRITE_ONLY, .off = off,
				.dma = cases[i].dma, .len = cases[i].len);
		}
		target_close(&t);
	}
	/* The last one of a message after a MIDDLE. */
	target_open(&t, &(struct wire_config){0});
	begin_write(&t, 0, 2 * MTU + 8);
	inject(&t, OK, .op = WRITE_MIDDLE, .psn = 1, .len = MTU);
	target_wrote(&t, MTU, MTU);
	expect_refused(&t, NAK_INVALID, 0, .op = WRITE_LAST, .psn = 2, .len = 9);
	target_close(&t);
	/* A message that would be over with FIRST. */
	for (size_t i = 0; i < RTE_DIM(too_short); i++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		expect_refused(&t, NAK_INVALID, 0, .op = WRITE_FIRST, .off = REGION - too_short[i],
			.dma = too_short[i], .len = MTU);
		target_close(&t);
	}
}

static void
c38_first_and_middle_have_no_pad(void **state)
{
	static const uint8_t ops[] = {WRITE_FIRST, SEND_FIRST, WRITE_MIDDLE, SEND_MIDDLE};
	struct target t;

	(void)state;
	for (size_t i = 0; i < 2 * RTE_DIM(ops); i++)
		for (uint32_t pad = 1; pad <= 3; pad++) {
			uint8_t op = ops[i / 2];
			bool middle = op == WRITE_MIDDLE || op == SEND_MIDDLE;

			target_open(&t, &(struct wire_config){0});
			target_case(&t, i);
			target_post_recv(&t, 1, 0, BUFFERS);
			if (middle && op == WRITE_MIDDLE)
				begin_write(&t, 0, 4 * MTU);
			else if (middle)
				begin_send(&t, 0);
			/* Path MTU with the pad, or path MTU and the pad. */
			expect_refused(&t, NAK_INVALID, 0, .op = op, .psn = middle,
				.dma = op == WRITE_FIRST ? 4 * MTU : 0,
				.len = i % 2 == 0 ? MTU : MTU + 4, .pad = pad);
			target_close(&t);
		}
}

static void
c39_dma_length_is_2_31_at_most(void **state)
{
	static const uint32_t lens[] = {(1u << 31) + 1, (1u << 31) + MTU, 0xfffffc00, UINT32_MAX};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(lens); i++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		expect_refused(&t, NAK_INVALID, 0, .op = WRITE_FIRST, .dma = lens[i], .len = MTU);
		target_close(&t);
		target_open(&t, &(struct wire_config){0});
		expect_refused(&t, NAK_INVALID, 0, .op = WRITE_ONLY, .dma = lens[i], .len = MTU);
		target_close(&t);
		target_open(&t, &(struct wire_config){0});
		expect_refused(&t, NAK_INVALID, 0, .op = READ, .dma = lens[i]);
		target_close(&t);
	}
	/* That much is allowed: only the region is too small. */
	target_open(&t, &(struct wire_config){0});
	expect_refused(&t, NAK_ACCESS, 0, .op = WRITE_FIRST, .dma = 1u << 31, .len = MTU);
	target_close(&t);
	target_open(&t, &(struct wire_config){0});
	expect_refused(&t, NAK_ACCESS, 0, .op = READ, .dma = 1u << 31);
	target_close(&t);
}

static void
c40_write_of_nothing_needs_no_region(void **state)
{
	static const uint32_t keys[] = {NO_KEY, OTHER_PD, RO, UINT32_MAX};
	struct target t;
	int32_t psn = 0;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(keys); i++, psn++) {
		target_case(&t, i);
		inject(&t, OK, .op = WRITE_ONLY, .psn = psn, .off = -TARGET_VA, .rkey = keys[i]);
		expect_ack(&t, psn, (uint32_t)psn + 1);
		expect_settled(&t, psn + 1, (uint32_t)psn + 1);
	}
	target_post_recv(&t, 1, 0, 0);
	inject(&t, OK, .op = WRITE_ONLY_IMM, .psn = psn, .rkey = NO_KEY, .imm = 0x12345678);
	expect_recv(&t, .opcode = REMU_WR_RDMA_WRITE_IMM, .flags = REMU_WC_WITH_IMM,
		.imm = 0x12345678);
	expect_ack(&t, psn, (uint32_t)psn + 1);
	expect_settled(&t, psn + 1, (uint32_t)psn + 1);
	target_close(&t);
}

static void
c41_write_of_nothing_has_no_payload(void **state)
{
	static const struct request bad[] = {
		{.op = WRITE_ONLY, .len = 4, .dma_zero = true},
		{.op = WRITE_ONLY, .len = 4, .dma_zero = true, .rkey = NO_KEY},
		{.op = WRITE_ONLY, .len = MTU, .dma_zero = true, .rkey = NO_KEY, .off = -TARGET_VA},
		{.op = WRITE_ONLY_IMM, .len = 4, .dma_zero = true},
		{.op = WRITE_FIRST, .len = MTU, .dma_zero = true},
		{.op = WRITE_FIRST, .len = MTU, .dma_zero = true, .rkey = NO_KEY},
	};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_post_recv(&t, 1, 0, 0);
		target_refused(target_at(&t, __LINE__), NAK_INVALID, 0, &bad[i]);
		target_close(&t);
	}
}

/* Requests that are good but for what a test makes wrong with them. */
static const struct request reaching[] = {
	{.op = WRITE_ONLY, .len = 8},
	{.op = WRITE_ONLY_IMM, .len = 8},
	{.op = WRITE_FIRST, .len = MTU, .dma = 2 * MTU},
	{.op = READ, .dma = 8},
	{.op = CMP_SWAP},
	{.op = FETCH_ADD},
};

static void
c42_unknown_foreign_or_revoked_key_is_refused(void **state)
{
	static const uint32_t keys[] = {NO_KEY, OTHER_PD, ALL << 8, ALL | 1u << 31, UINT32_MAX, ALL,
		RO};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(reaching) * RTE_DIM(keys); i++) {
		struct request r = reaching[i / RTE_DIM(keys)];

		r.rkey = keys[i % RTE_DIM(keys)];
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_post_recv(&t, 1, 0, 0);
		assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, ALL), 0);
		assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, RO), 0);
		target_refused(target_at(&t, __LINE__), NAK_ACCESS, 0, &r);
		target_close(&t);
	}
}

static void
c43_range_beyond_the_region_is_refused(void **state)
{
	static const struct {
		int64_t off;
		uint32_t len;
	} cases[] = {{-1, 8}, {-8, 8}, {-1, REGION}, {-RED, 8}, {REGION - 7, 8}, {1, REGION},
		{0, REGION + 1}, {REGION, 1}, {REGION, 8}, {REGION - 1, 2}, {REGION + 1, 1},
		/* The sum of address and length is 2^64, or more. */
		{-TARGET_VA - 8, 8}, {-TARGET_VA - 4, 8}, {-TARGET_VA - 1, 2},
		{-TARGET_VA - MTU, 2 * MTU}, {-TARGET_VA, 8}, {INT64_MIN, 8}};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		bool one = cases[i].len <= MTU;

		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		expect_refused(&t, NAK_ACCESS, 0, .op = one ? WRITE_ONLY : WRITE_FIRST,
			.off = cases[i].off, .dma = cases[i].len, .len = one ? cases[i].len : MTU);
		target_close(&t);
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		expect_refused(&t, NAK_ACCESS, 0, .op = READ, .off = cases[i].off,
			.dma = cases[i].len);
		target_close(&t);
		if (cases[i].off % 8 != 0)
			continue;
		if (cases[i].off >= 0 && cases[i].off < REGION)
			continue;
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		expect_refused(&t, NAK_ACCESS, 0, .op = FETCH_ADD, .off = cases[i].off);
		target_close(&t);
	}
	/* From inside to far outside. */
	target_open(&t, &(struct wire_config){0});
	expect_refused(&t, NAK_ACCESS, 0, .op = WRITE_FIRST, .off = REGION - MTU, .dma = 2 * MTU,
		.len = MTU);
	target_close(&t);
}

static void
c44_whole_region_is_reached(void **state)
{
	enum { N = REGION / MTU };
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (int32_t k = 0; k < N; k++) {
		inject(&t, OK,
			.op = k == 0	     ? WRITE_FIRST
				: k == N - 1 ? WRITE_LAST
					     : WRITE_MIDDLE,
			.psn = k, .dma = REGION, .len = MTU);
		target_wrote(&t, (uint32_t)k * MTU, MTU);
		if (k < N - 1)
			expect_settled(&t, k + 1, 0);
	}
	expect_ack(&t, N - 1, 1);
	inject(&t, OK, .op = READ, .psn = N, .dma = REGION);
	expect_read(&t, N, 2, 0, REGION);
	expect_settled(&t, 2 * N, 2);
	/* Its first and its last byte. */
	inject(&t, OK, .op = WRITE_ONLY, .psn = 2 * N, .off = 0, .len = 1);
	target_wrote(&t, 0, 1);
	expect_ack(&t, 2 * N, 3);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 2 * N + 1, .off = REGION - 1, .len = 1);
	target_wrote(&t, REGION - 1, 1);
	expect_ack(&t, 2 * N + 1, 4);
	inject(&t, OK, .op = READ, .psn = 2 * N + 2, .off = REGION - 1, .dma = 1);
	expect_read(&t, 2 * N + 2, 5, REGION - 1, 1);
	target_store(&t, REGION - 8, 7);
	inject(&t, OK, .op = FETCH_ADD, .psn = 2 * N + 3, .off = REGION - 8);
	expect_atomic(&t, 2 * N + 3, 6, 7);
	expect_settled(&t, 2 * N + 4, 6);
	target_close(&t);
}

static void
c45_regions_grant_each_kind_of_access(void **state)
{
	enum { NO_ATOMIC = 0x200 };
	static const struct request bad[] = {
		{.op = WRITE_ONLY, .len = 8, .rkey = RO},
		{.op = WRITE_ONLY_IMM, .len = 8, .rkey = RO},
		{.op = WRITE_FIRST, .len = MTU, .dma = 2 * MTU, .rkey = RO},
		{.op = READ, .dma = 8, .rkey = WO},
		{.op = CMP_SWAP, .rkey = RO},
		{.op = FETCH_ADD, .rkey = WO},
		{.op = FETCH_ADD, .rkey = NO_ATOMIC},
	};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		struct request r = bad[i];

		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_post_recv(&t, 1, 0, 0);
		target_register(&t, NO_ATOMIC, REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE,
			WIRE_PD);
		/* What they do grant. */
		inject(&t, OK, .op = READ, .psn = 0, .dma = 8, .rkey = RO);
		expect_read(&t, 0, 1, 0, 8);
		inject(&t, OK, .op = WRITE_ONLY, .psn = 1, .len = 8, .rkey = WO);
		target_wrote(&t, 0, 8);
		expect_ack(&t, 1, 2);
		r.psn = 2;
		target_refused(target_at(&t, __LINE__), NAK_ACCESS, 2, &r);
		target_close(&t);
	}
}

static void
c46_queue_pair_grants_each_kind_of_access(void **state)
{
	enum {
		R = REMU_ACCESS_REMOTE_READ,
		W = REMU_ACCESS_REMOTE_WRITE,
		A = REMU_ACCESS_REMOTE_ATOMIC,
	};
	static const struct {
		uint32_t access;
		struct request r;
	} cases[] = {
		{R | A, {.op = WRITE_ONLY, .len = 8}},
		{R | A, {.op = WRITE_ONLY}},
		{R | A, {.op = WRITE_ONLY_IMM, .len = 8}},
		{R | A, {.op = WRITE_FIRST, .len = MTU, .dma = 2 * MTU}},
		{W | A, {.op = READ, .dma = 8}},
		{W | A, {.op = READ}},
		{R | W, {.op = CMP_SWAP}},
		{R | W, {.op = FETCH_ADD}},
		/* Before the key is looked at. */
		{R | A, {.op = WRITE_ONLY, .len = 8, .rkey = NO_KEY}},
		{W | A, {.op = READ, .dma = 8, .rkey = NO_KEY}},
		{R | W, {.op = FETCH_ADD, .rkey = NO_KEY}},
	};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		target_open(&t, &(struct wire_config){.access = cases[i].access});
		target_case(&t, i);
		target_post_recv(&t, 1, 0, 0);
		target_refused(target_at(&t, __LINE__), NAK_INVALID, 0, &cases[i].r);
		target_close(&t);
	}
	/* Those rights are not needed for a SEND. */
	target_open(&t, &(struct wire_config){.access = R});
	target_post_recv(&t, 1, 0, 100);
	inject(&t, OK, .op = SEND_ONLY, .len = 100);
	target_received(&t, 0, 100);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = 100);
	expect_ack(&t, 0, 1);
	expect_settled(&t, 1, 1);
	target_close(&t);
}

static void
c47_region_revoked_in_mid_write_is_refused(void **state)
{
	static const uint8_t ops[] = {WRITE_MIDDLE, WRITE_LAST, WRITE_LAST_IMM};
	struct target t;

	(void)state;
	for (size_t i = 0; i < 2 * RTE_DIM(ops); i++) {
		uint8_t op = ops[i / 2];

		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_post_recv(&t, 1, 0, 0);
		begin_write(&t, 0, op == WRITE_MIDDLE ? 3 * MTU : 2 * MTU);
		assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, ALL), 0);
		if (i % 2 != 0) /* a new region of the same key is another region */
			target_register(&t, ALL, REMU_ACCESS_REMOTE_WRITE, WIRE_PD);
		expect_refused(&t, NAK_ACCESS, 0, .op = op, .psn = 1, .len = MTU);
		target_close(&t);
	}
}

static void
c48_send_without_receive_request_waits(void **state)
{
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(keep); i++) {
		uint8_t late[50];

		target_open(&t,
			&(struct wire_config){.rnr_timer_us = 1280, .disable = keep[i].disable});
		target_case(&t, i);
		inject(&t, NOT_READY, .op = SEND_ONLY, .psn = 0, .len = 100);
		expect_nak(&t, 0, RNR | 14, 0);
		expect_settled(&t, 0, 0);
		inject(&t, keep[i].ahead, .op = SEND_ONLY, .psn = 1, .len = 50);
		memcpy(late, t.payload, sizeof(late));
		expect_settled(&t, 0, 0);
		target_post_recv(&t, 1, 0, 100);
		target_post_recv(&t, 2, 200, 100);
		expect_settled(&t, 0, 0);
		inject(&t, OK, .op = SEND_ONLY, .psn = 0, .len = 100);
		target_received(&t, 0, 100);
		expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = 100);
		if (keep[i].ahead == HELD) {
			t.held = 0;
			memcpy(t.model + BUFFER_AT + 200, late, sizeof(late));
		} else {
			expect_ack(&t, 0, 1);
			inject(&t, OK, .op = SEND_ONLY, .psn = 1, .len = 50);
			target_received(&t, 200, 50);
		}
		expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = 50);
		expect_ack(&t, 1, 2);
		expect_settled(&t, 2, 2);
		target_close(&t);
	}
}

static void
c49_write_with_immediate_takes_a_receive_request(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.rnr_timer_us = 1280});
	/* One packet. Nothing is written as long as there is no receive request. */
	for (int i = 0; i < 2; i++) {
		inject(&t, NOT_READY, .op = WRITE_ONLY_IMM, .psn = 0, .off = 8, .len = 100);
		expect_nak(&t, 0, RNR | 14, 0);
		expect_settled(&t, 0, 0);
	}
	target_post_recv(&t, 1, 0, 0);
	inject(&t, OK, .op = WRITE_ONLY_IMM, .psn = 0, .off = 8, .len = 100, .imm = 0x11223344);
	target_wrote(&t, 8, 100);
	expect_recv(&t, .opcode = REMU_WR_RDMA_WRITE_IMM, .byte_len = 100,
		.flags = REMU_WC_WITH_IMM, .imm = 0x11223344);
	expect_ack(&t, 0, 1);
	expect_settled(&t, 1, 1);
	/* Several packets: only the last needs it. The buffer of the receive request is not used. */
	begin_write(&t, 1, 2 * MTU + 9);
	inject(&t, OK, .op = WRITE_MIDDLE, .psn = 2, .len = MTU);
	target_wrote(&t, MTU, MTU);
	for (int i = 0; i < 2; i++) {
		inject(&t, NOT_READY, .op = WRITE_LAST_IMM, .psn = 3, .len = 9);
		expect_nak(&t, 3, RNR | 14, 1);
		expect_settled(&t, 3, 1);
	}
	target_post_recv(&t, 2, 0, 4);
	target_post_recv(&t, 3, 0, 4);
	inject(&t, OK, .op = WRITE_LAST_IMM, .psn = 3, .len = 9, .imm = 0xffeeddcc);
	target_wrote(&t, 2 * MTU, 9);
	expect_recv(&t, .opcode = REMU_WR_RDMA_WRITE_IMM, .byte_len = 2 * MTU + 9,
		.flags = REMU_WC_WITH_IMM, .imm = 0xffeeddcc);
	expect_ack(&t, 3, 2);
	expect_settled(&t, 4, 2);
	/* A WRITE without takes none. */
	write_one(&t, 4, 3);
	target_close(&t);
}

static void
c50_send_longer_than_the_buffer_is_refused(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 1, 0, 100);
	target_post_recv(&t, 2, 200, 100);
	target_post_recv(&t, 3, 400, 0);
	inject(&t, OK, .op = SEND_ONLY, .psn = 0, .len = 100); /* it just fits */
	target_received(&t, 0, 100);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = 100);
	expect_ack(&t, 0, 1);
	inject(&t, INVALID, .op = SEND_ONLY, .psn = 1, .len = 101);
	expect_recv(&t, .status = REMU_WC_LOC_LEN_ERR, .opcode = REMU_WR_SEND);
	expect_nak(&t, 1, NAK_INVALID, 1);
	expect_dead(&t, 1, 1);
	target_close(&t);
	/* By each packet of a long one. */
	for (uint32_t k = 0; k < 3; k++) {
		static const uint8_t ops[3] = {SEND_FIRST, SEND_MIDDLE, SEND_LAST_IMM};

		target_open(&t, &(struct wire_config){0});
		target_case(&t, k);
		target_post_recv(&t, 1, 0, k * MTU + MTU - 1);
		target_post_recv(&t, 2, 4096, 100);
		for (uint32_t i = 0; i < k; i++) {
			inject(&t, OK, .op = ops[i], .psn = (int32_t)i, .len = MTU);
			target_received(&t, i * MTU, MTU);
		}
		expect_settled(&t, (int32_t)k, 0);
		inject(&t, INVALID, .op = ops[k], .psn = (int32_t)k, .len = MTU);
		expect_recv(&t, .status = REMU_WC_LOC_LEN_ERR, .opcode = REMU_WR_SEND);
		expect_nak(&t, (int32_t)k, NAK_INVALID, 0);
		expect_dead(&t, (int32_t)k, 0);
		target_close(&t);
	}
	/* A buffer of nothing. */
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 1, 0, 0);
	inject(&t, INVALID, .op = SEND_ONLY, .psn = 0, .len = 1);
	expect_recv(&t, .status = REMU_WC_LOC_LEN_ERR, .opcode = REMU_WR_SEND);
	expect_nak(&t, 0, NAK_INVALID, 0);
	expect_dead(&t, 0, 0);
	target_close(&t);
}

static void
c51_solicited_bit_raises_the_event(void **state)
{
	enum { SE = REMU_WC_SOLICITED };
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (uint32_t i = 0; i < 7; i++)
		target_post_recv(&t, i, 0, 2048);
	remu_cq_arm(t.recv_cq, true);
	inject(&t, OK, .op = SEND_ONLY, .psn = 0);
	expect_recv(&t, .opcode = REMU_WR_SEND);
	assert_false(remu_cq_take_event(t.recv_cq));
	inject(&t, OK, .op = SEND_ONLY, .psn = 1, .solicited = true);
	expect_recv(&t, .opcode = REMU_WR_SEND, .flags = SE);
	assert_true(remu_cq_take_event(t.recv_cq));
	assert_false(remu_cq_take_event(t.recv_cq));
	/* Not armed. */
	inject(&t, OK, .op = SEND_ONLY, .psn = 2, .solicited = true);
	expect_recv(&t, .opcode = REMU_WR_SEND, .flags = SE);
	assert_false(remu_cq_take_event(t.recv_cq));
	remu_cq_arm(t.recv_cq, true);
	/* A WRITE raises none, and of a SEND only the last packet counts. */
	inject(&t, OK, .op = WRITE_ONLY, .psn = 3, .solicited = true);
	inject(&t, OK, .op = SEND_FIRST, .psn = 4, .len = MTU, .solicited = true);
	target_received(&t, 0, MTU);
	inject(&t, OK, .op = SEND_LAST, .psn = 5, .len = 1);
	target_received(&t, MTU, 1);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = MTU + 1);
	assert_false(remu_cq_take_event(t.recv_cq));
	inject(&t, OK, .op = WRITE_ONLY_IMM, .psn = 6, .solicited = true, .imm = 5);
	expect_recv(&t, .opcode = REMU_WR_RDMA_WRITE_IMM, .flags = SE | REMU_WC_WITH_IMM, .imm = 5);
	assert_true(remu_cq_take_event(t.recv_cq));
	/* Armed for all. A duplicate is no news. */
	remu_cq_arm(t.recv_cq, false);
	inject(&t, OK, .op = SEND_ONLY, .psn = 2, .solicited = true);
	assert_false(remu_cq_take_event(t.recv_cq));
	inject(&t, OK, .op = SEND_ONLY, .psn = 7);
	expect_recv(&t, .opcode = REMU_WR_SEND);
	assert_true(remu_cq_take_event(t.recv_cq));
	/* An error is always worth an event. */
	remu_cq_arm(t.recv_cq, true);
	inject(&t, INVALID, .op = SEND_ONLY, .psn = 8, .len = MTU + 4);
	assert_true(remu_cq_take_event(t.recv_cq));
	expect_ack(&t, 7, 7);
	expect_nak(&t, 8, NAK_INVALID, 7);
	expect_dead(&t, 8, 7);
	target_close(&t);
}

static void
c52_requests_are_served_from_rtr_on(void **state)
{
	static const uint8_t ops[] = {WRITE_ONLY, READ, SEND_ONLY, FETCH_ADD, WRITE_MIDDLE};
	static const enum remu_qp_state deaf[] = {REMU_QP_RESET, REMU_QP_INIT, REMU_QP_ERR};
	static const enum remu_qp_state serving[] = {REMU_QP_RTR, REMU_QP_RTS, REMU_QP_SQD};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(deaf); i++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_modify(&t, deaf[i]);
		for (size_t k = 0; k < RTE_DIM(ops); k++)
			for (int32_t psn = -1; psn <= 1; psn++)
				inject(&t, STATE, .op = ops[k], .psn = psn, .dma = 8,
					.len = k % 2 == 0 ? 8 : 0);
		expect_settled(&t, 0, 0);
		/* It has left nothing behind. */
		target_modify(&t, REMU_QP_RTS);
		write_one(&t, 0, 1);
		target_close(&t);
	}
	for (size_t i = 0; i < RTE_DIM(serving); i++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_modify(&t, serving[i]);
		target_post_recv(&t, 1, 0, 100);
		target_store(&t, 0, 5);
		write_one(&t, 0, 1);
		inject(&t, OK, .op = READ, .psn = 1, .dma = 100);
		expect_read(&t, 1, 2, 0, 100);
		inject(&t, OK, .op = SEND_ONLY, .psn = 2, .len = 100);
		target_received(&t, 0, 100);
		expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = 100);
		expect_ack(&t, 2, 3);
		inject(&t, OK, .op = FETCH_ADD, .psn = 3, .swap_add = 1);
		target_stored(&t, 0, 6);
		expect_atomic(&t, 3, 4, 5);
		expect_settled(&t, 4, 4);
		target_close(&t);
	}
}

/* Acknowledgements that wait to be sent become one, with the highest PSN. */
static void
c121_acks_of_a_burst_become_one(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 1, 0, 0);
	for (int32_t psn = 0; psn < 5; psn++) {
		inject(&t, OK, .op = WRITE_ONLY, .psn = psn, .off = 8 * psn, .len = 8);
		target_wrote(&t, 8 * (uint32_t)psn, 8);
	}
	inject(&t, OK, .op = SEND_ONLY, .psn = 5);
	expect_recv(&t, .opcode = REMU_WR_SEND);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 1, .off = 8, .len = 8); /* a duplicate of these */
	expect_ack(&t, 5, 6);
	expect_settled(&t, 6, 6);
	/* One that is not asked for is not hastened either. */
	inject(&t, OK, .op = WRITE_ONLY, .psn = 6, .len = 0);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 7, .len = 0, .no_ackreq = true);
	expect_ack(&t, 6, 7);
	expect_settled(&t, 8, 8);
	target_close(&t);
}

/* Requests behind a gap are carried out in the order of PSNs when it is closed. */
static void
c122_held_requests_are_carried_out_in_order(void **state)
{
	static const struct request requests[] = {
		{.op = WRITE_ONLY, .psn = 0, .off = 0, .len = 16},
		{.op = WRITE_FIRST, .psn = 1, .off = 8, .dma = 2 * MTU + 3, .len = MTU},
		{.op = WRITE_MIDDLE, .psn = 2, .len = MTU},
		{.op = WRITE_LAST, .psn = 3, .len = 3},
		{.op = SEND_ONLY, .psn = 4, .len = 30},
		{.op = FETCH_ADD, .psn = 5, .swap_add = 3},
		{.op = WRITE_ONLY, .psn = 6, .off = 4, .len = 9},
	};
	/* Where the payload goes in memory. */
	static const uint32_t at[] = {RED, RED + 8, RED + 8 + MTU, RED + 8 + 2 * MTU, BUFFER_AT, 0,
		RED + 4};
	static const uint8_t order[] = {3, 6, 1, 5, 2, 4, 0};
	uint8_t payload[RTE_DIM(requests)][MTU];
	struct target t;
	uint64_t found = 0;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 1, 0, 30);
	for (size_t i = 0; i < RTE_DIM(order); i++) {
		const struct request *r = &requests[order[i]];

		target_case(&t, i);
		target_at(&t, __LINE__);
		target_inject(&t, order[i] == 0 ? OK : HELD, r);
		memcpy(payload[order[i]], t.payload, r->len);
		if (i == 0)
			expect_nak(&t, 0, NAK_SEQUENCE, 0);
		if (order[i] != 0)
			expect_settled(&t, 0, 0);
	}
	t.held = 0;
	for (size_t i = 0; i < RTE_DIM(requests); i++) {
		uint64_t sum;

		memcpy(t.model + at[i], payload[i], requests[i].len);
		if (requests[i].op != FETCH_ADD)
			continue;
		memcpy(&found, t.model + RED, sizeof(found));
		sum = found + requests[i].swap_add;
		memcpy(t.model + RED, &sum, sizeof(sum));
	}
	assert_int_equal(remu_engine_stats(t.b.e)->rx_reordered, RTE_DIM(requests) - 1);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = 30);
	expect_ack(&t, 4, 3);
	expect_atomic(&t, 5, 4, found);
	expect_ack(&t, 6, 5);
	expect_settled(&t, 7, 5);
	target_close(&t);
}

/* When a gap is closed and another one is left, that is told at once. */
static void
c123_second_gap_is_told_at_once(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, HELD, .op = WRITE_ONLY, .psn = 3);
	expect_nak(&t, 0, NAK_SEQUENCE, 0);
	inject(&t, HELD, .op = WRITE_ONLY, .psn = 1);
	inject(&t, HELD, .op = WRITE_ONLY, .psn = 6);
	expect_settled(&t, 0, 0);
	t.held = 2;
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0);
	expect_ack(&t, 1, 2);
	expect_nak(&t, 2, NAK_SEQUENCE, 2);
	expect_settled(&t, 2, 2);
	/* Once. */
	inject(&t, HELD, .op = WRITE_ONLY, .psn = 4);
	expect_settled(&t, 2, 2);
	t.held = 1;
	inject(&t, OK, .op = WRITE_ONLY, .psn = 2);
	expect_ack(&t, 4, 5);
	expect_nak(&t, 5, NAK_SEQUENCE, 5);
	expect_settled(&t, 5, 5);
	t.held = 0;
	inject(&t, OK, .op = WRITE_ONLY, .psn = 5);
	expect_ack(&t, 6, 7);
	expect_settled(&t, 7, 7);
	target_close(&t);
}

/* At most 64 PSNs ahead are kept, and each once. */
static void
c124_only_so_much_is_held(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, AHEAD, .op = WRITE_ONLY, .psn = 65);
	expect_nak(&t, 0, NAK_SEQUENCE, 0);
	for (int32_t psn = 64; psn >= 1; psn--) {
		inject(&t, HELD, .op = WRITE_ONLY, .psn = psn);
		inject(&t, AHEAD, .op = WRITE_ONLY, .psn = psn);
	}
	inject(&t, AHEAD, .op = WRITE_ONLY, .psn = 65);
	expect_settled(&t, 0, 0);
	t.held = 0;
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0);
	expect_ack(&t, 64, 65);
	expect_settled(&t, 65, 65);
	target_close(&t);
}

/* What is held is checked when its turn has come: a refusal then is like any other. */
static void
c125_held_request_is_refused_in_its_turn(void **state)
{
	static const struct request bad[] = {
		{.op = WRITE_ONLY, .psn = 1, .len = 8, .rkey = NO_KEY},
		{.op = WRITE_LAST, .psn = 1, .len = 8},
		{.op = READ, .psn = 1, .dma = 8, .rkey = WO},
		{.op = FETCH_ADD, .psn = 1, .off = 4},
		{.op = SEND_ONLY, .psn = 1, .len = MTU + 4},
	};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		uint8_t syndrome = bad[i].rkey != 0 ? NAK_ACCESS : NAK_INVALID;
		const struct remu_stats *stats;

		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		target_at(&t, __LINE__);
		target_post_recv(&t, 1, 0, 100);
		stats = remu_engine_stats(t.b.e);
		target_inject(&t, HELD, &bad[i]);
		expect_nak(&t, 0, NAK_SEQUENCE, 0);
		inject(&t, HELD, .op = WRITE_ONLY, .psn = 2, .len = 8);
		inject(&t, HELD, .op = WRITE_ONLY, .psn = 4, .len = 8);
		expect_settled(&t, 0, 0);
		t.held = 0;
		inject(&t, OK, .op = WRITE_ONLY, .psn = 0);
		expect_ack(&t, 0, 1);
		expect_nak(&t, 1, syndrome, 1);
		assert_int_equal(stats->drops[STATE], 2);
		assert_int_equal(stats->drops[syndrome == NAK_ACCESS ? ACCESS : INVALID], 1);
		expect_dead(&t, 1, 1);
		target_close(&t);
	}
}

/* What is held goes with the connection. */
static void
c126_held_requests_end_with_the_connection(void **state)
{
	static const enum remu_qp_state ends[] = {REMU_QP_RESET, REMU_QP_ERR};
	struct target t;

	(void)state;
	for (size_t i = 0; i <= RTE_DIM(ends); i++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		inject(&t, HELD, .op = WRITE_ONLY, .psn = 1, .len = 8);
		inject(&t, HELD, .op = WRITE_ONLY, .psn = 5, .len = 8);
		if (i < RTE_DIM(ends)) {
			target_modify(&t, ends[i]);
			assert_int_equal(remu_engine_stats(t.b.e)->rx_held, 0);
			target_modify(&t, REMU_QP_RTS);
			t.held = 0;
			expect_settled(&t, 0, 0);
			write_one(&t, 0, 1);
		} else {
			remu_qp_destroy(t.b.e, t.b.qp);
			assert_int_equal(remu_engine_stats(t.b.e)->rx_held, 0);
		}
		assert_int_equal(remu_engine_stats(t.b.e)->drops[STATE], 2);
		target_close(&t);
	}
	target_open(&t, &(struct wire_config){0});
	inject(&t, HELD, .op = WRITE_ONLY, .psn = 1, .len = 8);
	target_close(&t); /* finds the mbuf in its pool */
}

/* SEND with invalidate is not supported: section 1 lists it, NAK 61 is for what is not. */
static void
c127_send_with_invalidate_is_refused(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 1, 0, 100);
	expect_refused(&t, NAK_INVALID, 0, .op = SEND_ONLY_INV, .len = 8, .imm = ALL);
	assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, ALL), 0);
	target_close(&t);
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 1, 0, 2048);
	begin_send(&t, 0);
	expect_refused(&t, NAK_INVALID, 0, .op = SEND_LAST_INV, .psn = 1, .len = 8, .imm = ALL);
	assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, ALL), 0);
	target_close(&t);
}

/* A SEND of nothing takes a receive request, which may have no buffer. */
static void
c128_send_of_nothing_is_received(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 1, 0, 0);
	target_post_recv(&t, 2, 0, 100);
	inject(&t, OK, .op = SEND_ONLY, .psn = 0);
	expect_recv(&t, .opcode = REMU_WR_SEND);
	expect_ack(&t, 0, 1);
	inject(&t, OK, .op = SEND_ONLY_IMM, .psn = 1, .imm = 0x80000001);
	expect_recv(&t, .opcode = REMU_WR_SEND_IMM, .flags = REMU_WC_WITH_IMM, .imm = 0x80000001);
	expect_ack(&t, 1, 2);
	expect_settled(&t, 2, 2);
	target_close(&t);
}

/* A SEND of several packets fills one buffer; receive requests are used in the order posted. */
static void
c129_long_sends_fill_one_buffer_each(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 9, 4096, 2 * MTU + 77);
	target_post_recv(&t, 5, 0, 4096);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t at = i == 0 ? 4096 : 0;
		int32_t psn = 3 * (int32_t)i;

		inject(&t, OK, .op = SEND_FIRST, .psn = psn, .len = MTU);
		target_received(&t, at, MTU);
		expect_settled(&t, psn + 1, i);
		inject(&t, OK, .op = SEND_MIDDLE, .psn = psn + 1, .len = MTU);
		target_received(&t, at + MTU, MTU);
		expect_settled(&t, psn + 2, i);
		inject(&t, OK, .op = i == 0 ? SEND_LAST : SEND_LAST_IMM, .psn = psn + 2, .len = 77,
			.imm = 0xabcdef01);
		target_received(&t, at + 2 * MTU, 77);
		expect_recv(&t, .opcode = i == 0 ? REMU_WR_SEND : REMU_WR_SEND_IMM,
			.byte_len = 2 * MTU + 77, .flags = i == 0 ? 0 : REMU_WC_WITH_IMM,
			.imm = 0xabcdef01);
		expect_ack(&t, psn + 2, i + 1);
		expect_settled(&t, psn + 3, i + 1);
	}
	target_close(&t);
}

/* The code of an RNR NAK is that of the shortest time that is long enough. */
static void
c130_rnr_code_asks_for_long_enough(void **state)
{
	/* By code; code 0 is the longest. */
	static const uint32_t us[32] = {655360, 10, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480,
		640, 960, 1280, 1920, 2560, 3840, 5120, 7680, 10240, 15360, 20480, 30720, 40960,
		61440, 81920, 122880, 163840, 245760, 327680, 491520};
	struct target t;

	(void)state;
	for (uint32_t code = 1; code <= 32; code++) {
		uint32_t longest = us[code % 32], shortest = code == 1 ? 0 : us[code - 1] + 1;
		uint32_t asked[] = {shortest, longest};

		for (size_t i = 0; i < RTE_DIM(asked); i++) {
			target_open(&t, &(struct wire_config){.rnr_timer_us = asked[i]});
			target_case(&t, asked[i]);
			inject(&t, NOT_READY, .op = SEND_ONLY, .psn = 0);
			expect_nak(&t, 0, (uint8_t)(RNR | code % 32), 0);
			expect_settled(&t, 0, 0);
			target_close(&t);
		}
	}
}

/* A request that was held finds no receive request when its turn has come. */
static void
c131_held_send_may_find_no_receive_request(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.rnr_timer_us = 1280});
	target_post_recv(&t, 1, 0, 100);
	inject(&t, HELD, .op = SEND_ONLY, .psn = 1, .len = 10);
	expect_nak(&t, 0, NAK_SEQUENCE, 0);
	inject(&t, HELD, .op = WRITE_ONLY, .psn = 2);
	expect_settled(&t, 0, 0);
	t.held = 1;
	inject(&t, OK, .op = SEND_ONLY, .psn = 0, .len = 20);
	target_received(&t, 0, 20);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = 20);
	expect_ack(&t, 0, 1);
	expect_nak(&t, 1, RNR | 14, 1);
	expect_settled(&t, 1, 1);
	target_post_recv(&t, 2, 0, 100);
	t.held = 0;
	inject(&t, OK, .op = SEND_ONLY, .psn = 1, .len = 10);
	target_received(&t, 0, 10);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = 10);
	expect_ack(&t, 2, 3);
	expect_settled(&t, 3, 3);
	target_close(&t);
}

/* A duplicate with immediate data gives no second completion and takes no receive request. */
static void
c132_duplicate_with_immediate_is_not_received_twice(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (uint32_t i = 0; i < 3; i++)
		target_post_recv(&t, i, 0, 100);
	inject(&t, OK, .op = SEND_ONLY_IMM, .psn = 0, .len = 8, .imm = 1);
	target_received(&t, 0, 8);
	expect_recv(&t, .opcode = REMU_WR_SEND_IMM, .byte_len = 8, .flags = REMU_WC_WITH_IMM,
		.imm = 1);
	expect_ack(&t, 0, 1);
	inject(&t, OK, .op = WRITE_ONLY_IMM, .psn = 1, .len = 8, .imm = 2);
	target_wrote(&t, 0, 8);
	expect_recv(&t, .opcode = REMU_WR_RDMA_WRITE_IMM, .byte_len = 8, .flags = REMU_WC_WITH_IMM,
		.imm = 2);
	expect_ack(&t, 1, 2);
	inject(&t, OK, .op = SEND_ONLY_IMM, .psn = 0, .len = 8, .imm = 1);
	expect_ack(&t, 1, 2);
	inject(&t, OK, .op = WRITE_ONLY_IMM, .psn = 1, .len = 8, .imm = 2);
	expect_ack(&t, 1, 2);
	expect_settled(&t, 2, 2);
	target_close(&t);
}

/* Every attempt gets its RNR NAK, duplicates are served in between, then the next gap is told. */
static void
c133_rnr_nak_for_each_attempt(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	write_one(&t, 0, 1);
	for (int i = 0; i < 10; i++) {
		inject(&t, NOT_READY, .op = i % 2 == 0 ? SEND_FIRST : SEND_ONLY, .psn = 1,
			.len = MTU);
		expect_nak(&t, 1, RNR | 1, 1);
		inject(&t, OK, .op = WRITE_ONLY, .psn = 0, .len = 8);
		expect_ack(&t, 0, 1);
		inject(&t, AHEAD, .op = WRITE_ONLY, .psn = 1000);
		expect_settled(&t, 1, 1);
	}
	target_post_recv(&t, 1, 0, 2048);
	inject(&t, OK, .op = SEND_ONLY, .psn = 1, .len = MTU);
	target_received(&t, 0, MTU);
	expect_recv(&t, .opcode = REMU_WR_SEND, .byte_len = MTU);
	expect_ack(&t, 1, 2);
	inject(&t, AHEAD, .op = WRITE_ONLY, .psn = 1000);
	expect_nak(&t, 2, NAK_SEQUENCE, 2);
	expect_settled(&t, 2, 2);
	target_close(&t);
}

/* The message sequence number has 24 bits. Counting so far would take too long. */
static void
c134_msn_wraps(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	t.b.qp->resp.msn = 0xfffffe;
	write_one(&t, 0, 0xffffff);
	write_one(&t, 1, 0);
	inject(&t, OK, .op = READ, .psn = 2, .dma = 8);
	expect_read(&t, 2, 1, 0, 8);
	expect_settled(&t, 3, 1);
	target_close(&t);
}

/* What forged duplicates and gaps can make us send is limited; new requests are always answered. */
static void
c135_rate_of_answers_is_limited(void **state)
{
	enum { LIMIT = 1000, SLACK = 100, STEP_NS = 100 * 1000, STEPS = 10 * LIMIT };
	uint32_t answered = 0, refused = 0;
	struct target t;
	int32_t psn = 1;

	(void)state;
	target_open(&t, &(struct wire_config){.reack_per_s = LIMIT});
	write_one(&t, 0, 1);
	for (int i = 0; i < STEPS; i++) {
		struct rte_mbuf *m = target_craft(&t,
			&(struct request){.op = WRITE_ONLY, .psn = psn - 1, .off = 2048, .len = 8});
		int verdict;

		target_at(&t, __LINE__);
		t.b.now += STEP_NS;
		verdict = (int)bench_rx(&t.b, m);
		assert_true(verdict == OK || verdict == RATE);
		if (verdict == OK) {
			expect_ack(&t, psn - 1, (uint32_t)psn);
			answered++;
		} else {
			refused++;
		}
		bench_expect_silence(&t.b);
		if (i % 100 == 0) {
			write_one(&t, psn, (uint32_t)psn + 1);
			psn++;
		}
	}
	assert_in_range(answered, LIMIT - SLACK, LIMIT + SLACK);
	assert_int_equal(refused, STEPS - answered);
	/* RNR NAKs count too. */
	answered = 0;
	for (int i = 0; i < STEPS; i++) {
		struct rte_mbuf *m = target_craft(&t,
			&(struct request){.op = SEND_ONLY, .psn = psn});
		int verdict;

		t.b.now += STEP_NS;
		verdict = (int)bench_rx(&t.b, m);
		assert_true(verdict == NOT_READY || verdict == RATE);
		if (verdict == NOT_READY) {
			expect_nak(&t, psn, RNR | 1, (uint32_t)psn);
			answered++;
		}
		bench_expect_silence(&t.b);
	}
	assert_in_range(answered, LIMIT - SLACK, LIMIT + SLACK);
	expect_settled(&t, psn, (uint32_t)psn);
	target_close(&t);
}

/* An engine without receive queues does not let its peers wait for one. */
static void
c136_send_without_receive_queue_is_refused(void **state)
{
	static const uint8_t ops[] = {SEND_ONLY, SEND_ONLY_IMM, WRITE_ONLY_IMM};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(ops); i++) {
		target_open(&t, &(struct wire_config){.rq_depth = NO_RQ});
		target_case(&t, i);
		expect_refused(&t, NAK_INVALID, 0, .op = ops[i], .len = 8);
		target_close(&t);
	}
}

/*
 * Of a request with two faults the first check decides: order of opcodes, allowed at all, receive
 * request or READ slot, lengths, key and range (section 4).
 */
static void
c137_checks_have_an_order(void **state)
{
	enum { RW = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE };
	static const struct {
		uint32_t access;
		struct request r;
		uint8_t syndrome;
	} cases[] = {
		/* The order of opcodes before the receive request. */
		{RW, {.op = SEND_LAST, .len = 8}, NAK_INVALID},
		{RW, {.op = WRITE_LAST_IMM, .len = 8}, NAK_INVALID},
		/* Allowed at all, before the receive request, and before the key. */
		{REMU_ACCESS_REMOTE_READ, {.op = WRITE_ONLY_IMM, .len = 8}, NAK_INVALID},
		{RW, {.op = FETCH_ADD, .rkey = NO_KEY}, NAK_INVALID},
		/* The receive request before lengths and key. */
		{RW, {.op = SEND_FIRST, .len = MTU - 4}, RNR | 1},
		{RW, {.op = SEND_ONLY, .len = MTU + 4}, RNR | 1},
		{RW, {.op = WRITE_ONLY_IMM, .len = 8, .rkey = NO_KEY}, RNR | 1},
		{RW, {.op = WRITE_ONLY_IMM, .len = 8, .dma = 9}, RNR | 1},
		/* Lengths before the key. */
		{RW, {.op = WRITE_FIRST, .dma = 2 * MTU, .len = 8, .rkey = NO_KEY}, NAK_INVALID},
		{RW, {.op = WRITE_ONLY, .dma = 9, .len = 8, .rkey = NO_KEY}, NAK_INVALID},
		{RW, {.op = READ, .dma = (1u << 31) + 1, .rkey = NO_KEY}, NAK_INVALID},
	};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		target_open(&t, &(struct wire_config){.access = cases[i].access});
		target_case(&t, i);
		target_at(&t, __LINE__);
		if (cases[i].syndrome == (RNR | 1)) {
			target_inject(&t, NOT_READY, &cases[i].r);
			expect_nak(&t, 0, RNR | 1, 0);
			expect_settled(&t, 0, 0);
		} else {
			target_refused(&t, cases[i].syndrome, 0, &cases[i].r);
		}
		target_close(&t);
	}
}

/* Every path MTU counts in its own packets. */
static void
c138_packets_are_of_the_path_mtu_agreed(void **state)
{
	static const uint32_t mtus[] = {256, 512, 1024, 2048, 4096};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(mtus); i++) {
		uint32_t mtu = mtus[i];

		if (!target_mtu_fits(&(struct wire_config){0}, mtu))
			continue;
		target_open(&t, &(struct wire_config){.mtu = mtu});
		target_case(&t, i);
		inject(&t, OK, .op = WRITE_FIRST, .psn = 0, .dma = 2 * mtu, .len = mtu);
		target_wrote(&t, 0, mtu);
		inject(&t, OK, .op = WRITE_LAST, .psn = 1, .len = mtu);
		target_wrote(&t, mtu, mtu);
		expect_ack(&t, 1, 1);
		inject(&t, OK, .op = WRITE_ONLY, .psn = 2, .len = mtu);
		target_wrote(&t, 0, mtu);
		expect_ack(&t, 2, 2);
		expect_settled(&t, 3, 2);
		expect_refused(&t, NAK_INVALID, 2, .op = WRITE_FIRST, .psn = 3, .dma = 2 * mtu,
			.len = mtu - 4);
		target_close(&t);
		if (!target_mtu_fits(&(struct wire_config){0}, mtu + 4))
			continue;
		target_open(&t, &(struct wire_config){.mtu = mtu});
		target_case(&t, i);
		expect_refused(&t, NAK_INVALID, 0, .op = WRITE_ONLY, .len = mtu + 1);
		target_close(&t);
	}
}

/* AckReq may be on any packet of a message. */
static void
c139_ack_in_mid_message_counts_no_message(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = WRITE_FIRST, .psn = 0, .dma = 3 * MTU, .len = MTU, .ackreq = true);
	target_wrote(&t, 0, MTU);
	expect_ack(&t, 0, 0);
	inject(&t, OK, .op = WRITE_MIDDLE, .psn = 1, .len = MTU, .ackreq = true);
	target_wrote(&t, MTU, MTU);
	expect_ack(&t, 1, 0);
	inject(&t, OK, .op = WRITE_LAST, .psn = 2, .len = MTU, .no_ackreq = true);
	target_wrote(&t, 2 * MTU, MTU);
	expect_settled(&t, 3, 1);
	target_close(&t);
}

/* A bootstrap queue pair goes on after what kills others, and keeps nothing that is ahead. */
static void
c140_bootstrap_goes_on_after_refusing(void **state)
{
	enum { STATUS = 0x300 };
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.flags = REMU_QP_BOOTSTRAP});
	target_register(&t, STATUS, REMU_ACCESS_REMOTE_READ | REMU_ACCESS_RESYNC, WIRE_PD);
	target_post_recv(&t, 1, 0, 100);
	inject(&t, OK, .op = READ, .psn = 0, .dma = REGION, .rkey = STATUS);
	expect_read(&t, 0, 1, 0, REGION);
	expect_settled(&t, 8, 1);
	inject(&t, ACCESS, .op = WRITE_ONLY, .psn = 8, .len = 8, .rkey = NO_KEY);
	expect_nak(&t, 8, NAK_ACCESS, 1);
	expect_settled(&t, 8, 1);
	inject(&t, INVALID, .op = WRITE_LAST, .psn = 8, .len = 8);
	expect_nak(&t, 8, NAK_INVALID, 1);
	expect_settled(&t, 8, 1);
	begin_write(&t, 8, 2 * MTU);
	inject(&t, INVALID, .op = WRITE_LAST, .psn = 9, .len = 8);
	expect_nak(&t, 9, NAK_INVALID, 1);
	expect_settled(&t, 9, 1);
	write_one(&t, 9, 2);
	inject(&t, AHEAD, .op = WRITE_ONLY, .psn = 11, .len = 8);
	expect_nak(&t, 10, NAK_SEQUENCE, 2);
	expect_settled(&t, 10, 2);
	write_one(&t, 10, 3);
	target_close(&t);
}

/* All queue pairs together hold an eighth of the pool of frames, and 256 at most. */
static void
c141_held_frames_are_limited_for_all_queue_pairs(void **state)
{
	enum { QPS = 5, FIRST_QPN = 0x100, EACH = 64, ALL_HELD = 256 };
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.pool = 8 * ALL_HELD});
	for (uint32_t i = 0; i < QPS; i++) {
		struct remu_qp_config cfg = {
			.qpn = FIRST_QPN + i,
			.pd = WIRE_PD,
			.access = REMU_ACCESS_REMOTE_WRITE,
		};
		struct remu_qp *qp;

		assert_int_equal(remu_qp_create(t.b.e, &cfg, &qp), 0);
		for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
			assert_int_equal(remu_qp_modify(t.b.e, qp, (enum remu_qp_state)to,
						 &t.b.attr),
				0);
		for (uint32_t psn = 1; psn <= EACH; psn++)
			assert_int_equal(bench_inject(&t.b,
						 &(struct roce_fields){
							 .opcode = WRITE_ONLY,
							 .dest_qpn = cfg.qpn,
							 .psn = t.start + psn,
						 },
						 NULL, 0),
				i * EACH + psn <= ALL_HELD ? HELD : AHEAD);
		expect_nak(&t, 0, NAK_SEQUENCE, 0);
		bench_expect_silence(&t.b);
	}
	assert_int_equal(remu_engine_stats(t.b.e)->rx_held, ALL_HELD);
	/* One queue pair takes from the others only as long as it has a gap. */
	assert_int_equal(bench_inject(&t.b,
				 &(struct roce_fields){
					 .opcode = WRITE_ONLY,
					 .dest_qpn = FIRST_QPN,
					 .psn = t.start,
				 },
				 NULL, 0),
		OK);
	assert_int_equal(remu_engine_stats(t.b.e)->rx_held, ALL_HELD - EACH);
	assert_int_equal(bench_inject(&t.b,
				 &(struct roce_fields){
					 .opcode = WRITE_ONLY,
					 .dest_qpn = FIRST_QPN + QPS - 1,
					 .psn = t.start + 1,
				 },
				 NULL, 0),
		HELD);
	bench_expect_silence(&t.b);
	target_close(&t);
}

/* A packet lost in the middle of a message: the others count, in their places. */
static void
c142_gap_inside_a_message_is_closed(void **state)
{
	uint8_t late[MTU];
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(keep); i++) {
		target_open(&t, &(struct wire_config){.disable = keep[i].disable});
		target_case(&t, i);
		begin_write(&t, 0, 3 * MTU + 5);
		inject(&t, keep[i].ahead, .op = WRITE_MIDDLE, .psn = 2, .len = MTU);
		memcpy(late, t.payload, MTU);
		expect_nak(&t, 1, NAK_SEQUENCE, 0);
		expect_settled(&t, 1, 0);
		t.held = 0;
		inject(&t, OK, .op = WRITE_MIDDLE, .psn = 1, .len = MTU);
		target_wrote(&t, MTU, MTU);
		if (keep[i].ahead == HELD) {
			memcpy(t.model + RED + 2 * MTU, late, MTU);
		} else {
			inject(&t, OK, .op = WRITE_MIDDLE, .psn = 2, .len = MTU);
			target_wrote(&t, 2 * MTU, MTU);
		}
		expect_settled(&t, 3, 0);
		inject(&t, OK, .op = WRITE_LAST, .psn = 3, .len = 5);
		target_wrote(&t, 3 * MTU, 5);
		expect_ack(&t, 3, 1);
		expect_settled(&t, 4, 1);
		target_close(&t);
	}
}

/* A bootstrap queue pair serves its peer also when its own requests have failed. */
static void
c143_bootstrap_serves_when_its_requester_has_failed(void **state)
{
	enum { STATUS = 0x300 };
	struct remu_wr wr = {.wr_id = 7, .opcode = REMU_WR_RDMA_WRITE};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.flags = REMU_QP_BOOTSTRAP});
	target_register(&t, STATUS, REMU_ACCESS_REMOTE_READ | REMU_ACCESS_RESYNC, WIRE_PD);
	assert_int_equal(remu_qp_post(t.b.e, t.b.qp, &wr, t.b.now), 0);
	assert_non_null(bench_tx(&t.b));
	assert_int_equal(bench_inject(&t.b,
				 &(struct roce_fields){
					 .opcode = ACKNOWLEDGE,
					 .psn = t.b.attr.sq_psn,
					 .syndrome = NAK_ACCESS,
				 },
				 NULL, 0),
		OK);
	bench_expect_wc(&t.b, 7, REMU_WC_REM_ACCESS_ERR);
	t.state = REMU_QP_SQE;
	inject(&t, OK, .op = READ, .psn = 0, .dma = REGION, .rkey = STATUS);
	expect_read(&t, 0, 1, 0, REGION);
	write_one(&t, 8, 2);
	target_close(&t);
}

/* What kills one queue pair does not touch the others of the engine. */
static void
c144_other_queue_pairs_live_on(void **state)
{
	enum { OTHER_QPN = 0x100 };
	struct remu_qp_config cfg = {
		.qpn = OTHER_QPN,
		.pd = WIRE_PD,
		.access = REMU_ACCESS_REMOTE_WRITE,
	};
	struct roce_fields f = {
		.opcode = WRITE_ONLY,
		.dest_qpn = OTHER_QPN,
		.ackreq = true,
	};
	struct remu_qp *other;
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	assert_int_equal(remu_qp_create(t.b.e, &cfg, &other), 0);
	for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
		assert_int_equal(remu_qp_modify(t.b.e, other, (enum remu_qp_state)to, &t.b.attr),
			0);
	f.psn = t.start;
	assert_int_equal(bench_inject(&t.b, &f, NULL, 0), OK);
	expect_ack(&t, 0, 1);
	expect_refused(&t, NAK_ACCESS, 0, .op = WRITE_ONLY, .len = 8, .rkey = NO_KEY);
	f.psn = t.start + 1;
	assert_int_equal(bench_inject(&t.b, &f, NULL, 0), OK);
	expect_ack(&t, 1, 2);
	target_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c21_write_only_is_acked),
		cmocka_unit_test(c22_write_without_ackreq_is_not_acked),
		cmocka_unit_test(c23_write_of_three_packets_gets_one_ack),
		cmocka_unit_test(c24_gap_is_told_once),
		cmocka_unit_test(c25_silence_until_the_gap_is_closed),
		cmocka_unit_test(c26_next_gap_is_told_again),
		cmocka_unit_test(c27_half_of_the_psns_is_ahead),
		cmocka_unit_test(c28_duplicate_write_is_acked_but_not_executed),
		cmocka_unit_test(c29_bad_duplicates_do_not_hurt),
		cmocka_unit_test(c30_duplicate_send_is_not_received_twice),
		cmocka_unit_test(c31_psns_wrap),
		cmocka_unit_test(c32_middle_or_last_without_first_is_refused),
		cmocka_unit_test(c33_message_must_end_before_the_next),
		cmocka_unit_test(c34_read_inside_a_message_is_refused),
		cmocka_unit_test(c35_first_and_middle_are_of_the_path_mtu),
		cmocka_unit_test(c36_last_packet_is_not_empty),
		cmocka_unit_test(c37_payload_sums_up_to_the_dma_length),
		cmocka_unit_test(c38_first_and_middle_have_no_pad),
		cmocka_unit_test(c39_dma_length_is_2_31_at_most),
		cmocka_unit_test(c40_write_of_nothing_needs_no_region),
		cmocka_unit_test(c41_write_of_nothing_has_no_payload),
		cmocka_unit_test(c42_unknown_foreign_or_revoked_key_is_refused),
		cmocka_unit_test(c43_range_beyond_the_region_is_refused),
		cmocka_unit_test(c44_whole_region_is_reached),
		cmocka_unit_test(c45_regions_grant_each_kind_of_access),
		cmocka_unit_test(c46_queue_pair_grants_each_kind_of_access),
		cmocka_unit_test(c47_region_revoked_in_mid_write_is_refused),
		cmocka_unit_test(c48_send_without_receive_request_waits),
		cmocka_unit_test(c49_write_with_immediate_takes_a_receive_request),
		cmocka_unit_test(c50_send_longer_than_the_buffer_is_refused),
		cmocka_unit_test(c51_solicited_bit_raises_the_event),
		cmocka_unit_test(c52_requests_are_served_from_rtr_on),
		cmocka_unit_test(c121_acks_of_a_burst_become_one),
		cmocka_unit_test(c122_held_requests_are_carried_out_in_order),
		cmocka_unit_test(c123_second_gap_is_told_at_once),
		cmocka_unit_test(c124_only_so_much_is_held),
		cmocka_unit_test(c125_held_request_is_refused_in_its_turn),
		cmocka_unit_test(c126_held_requests_end_with_the_connection),
		cmocka_unit_test(c127_send_with_invalidate_is_refused),
		cmocka_unit_test(c128_send_of_nothing_is_received),
		cmocka_unit_test(c129_long_sends_fill_one_buffer_each),
		cmocka_unit_test(c130_rnr_code_asks_for_long_enough),
		cmocka_unit_test(c131_held_send_may_find_no_receive_request),
		cmocka_unit_test(c132_duplicate_with_immediate_is_not_received_twice),
		cmocka_unit_test(c133_rnr_nak_for_each_attempt),
		cmocka_unit_test(c134_msn_wraps),
		cmocka_unit_test(c135_rate_of_answers_is_limited),
		cmocka_unit_test(c136_send_without_receive_queue_is_refused),
		cmocka_unit_test(c137_checks_have_an_order),
		cmocka_unit_test(c138_packets_are_of_the_path_mtu_agreed),
		cmocka_unit_test(c139_ack_in_mid_message_counts_no_message),
		cmocka_unit_test(c140_bootstrap_goes_on_after_refusing),
		cmocka_unit_test(c141_held_frames_are_limited_for_all_queue_pairs),
		cmocka_unit_test(c142_gap_inside_a_message_is_closed),
		cmocka_unit_test(c143_bootstrap_serves_when_its_requester_has_failed),
		cmocka_unit_test(c144_other_queue_pairs_live_on),
	};
	int failed = eal_setup(NULL);
	const char *variant;

	while (failed >= 0 && (variant = target_variant()) != NULL)
		failed += cmocka_run_group_tests_name(variant, tests, NULL, NULL);
	return failed != 0 || eal_teardown(NULL) != 0;
}
