/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requester against a peer made of crafted responses. Numbers are those of the conformance
 * checklist.
 */
#include "eal.h"
#include "frame_maker.h"
#include "wire.h"

#include <remu_priv.h>

#include <errno.h>

enum {
	MTU = 1024,
	RKEY = 0xfeed,
	RED = 64, /* around the local buffer */
	MAX = 1 << 20,
	W = REMU_WR_RDMA_WRITE,
	R = REMU_WR_RDMA_READ,
	ACK = ROCE_SYN_ACK_NO_LIMIT,
	T_NS = WIRE_TIMEOUT_US * 1000,
};

#define VA UINT64_C(0x123456789a)

/* Opcodes by: is it the first, is it the last packet. */
static const uint8_t write_opcodes[2][2] = {{ROCE_WRITE_MIDDLE, ROCE_WRITE_LAST},
	{ROCE_WRITE_FIRST, ROCE_WRITE_ONLY}};
static const uint8_t data_opcodes[2][2] = {{ROCE_READ_RESPONSE_MIDDLE, ROCE_READ_RESPONSE_LAST},
	{ROCE_READ_RESPONSE_FIRST, ROCE_READ_RESPONSE_ONLY}};

static uint8_t local[RED + MAX + RED];
static uint8_t remote[MAX]; /* what the peer holds */

static void
post(struct bench *b, uint64_t id, uint8_t opcode, uint32_t len)
{
	struct remu_wr wr = {
		.wr_id = id,
		.addr = local + RED,
		.remote_va = VA,
		.length = len,
		.rkey = RKEY,
		.opcode = opcode,
	};

	assert_int_equal(remu_qp_post(b->e, b->qp, &wr, b->now), 0);
}

static enum remu_drop
respond(struct bench *b, uint8_t opcode, uint32_t psn, uint8_t syndrome, uint32_t off, uint32_t len)
{
	return bench_inject(b,
		&(struct roce_fields){.opcode = opcode, .psn = psn, .syndrome = syndrome},
		remote + off, len);
}

static enum remu_drop
ack(struct bench *b, uint32_t psn, uint8_t syndrome)
{
	return respond(b, ROCE_ACKNOWLEDGE, psn, syndrome, 0, 0);
}

/* Packet k of the answer, from PSN `base` on, to a READ of `len` bytes asked for from `first` on. */
static enum remu_drop
respond_data(struct bench *b, uint32_t base, uint32_t k, uint32_t first, uint32_t len)
{
	uint32_t left = len - k * MTU;

	return respond(b, data_opcodes[k == first][left <= MTU], base + k, ACK, k * MTU,
		RTE_MIN(left, (uint32_t)MTU));
}

/* Packet k of a WRITE of `len` bytes. */
static void
expect_write(struct bench *b, uint32_t psn, uint32_t k, uint32_t len, bool ackreq)
{
	uint32_t n = remu__packets(len, MTU);
	struct roce_fields f = {
		.opcode = write_opcodes[k == 0][k == n - 1],
		.psn = psn,
		.ackreq = ackreq,
	};

	if (k == 0) {
		f.va = VA;
		f.rkey = RKEY;
		f.dma_len = len;
	}
	bench_expect(b, &f, local + RED + k * MTU, RTE_MIN(len - k * MTU, (uint32_t)MTU));
}

static void
expect_read(struct bench *b, uint32_t psn, uint32_t off, uint32_t len)
{
	bench_expect(b,
		&(struct roce_fields){
			.opcode = ROCE_READ_REQUEST,
			.psn = psn,
			.ackreq = true,
			.va = VA + off,
			.rkey = RKEY,
			.dma_len = len,
		},
		NULL, 0);
}

static void
start(struct bench *b, const struct wire_config *cfg)
{
	struct wire_config plain = *cfg;
	uint64_t seed = 1;

	plain.disable = REMU_RECOVERY_ALL;
	bench_open(b, &plain);
	prng_fill(&seed, local, 16384);
	prng_fill(&seed, remote, 16384);
}

/* 67 and 68. */
static void
on_acknowledge__completes_in_order_and_ignores_the_rest(void **state)
{
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){.sq_psn = 0xfffffe});
	for (uint32_t id = 1; id <= 5; id++)
		post(&b, id, W, 8);
	for (uint32_t i = 0; i < 4; i++)
		assert_non_null(bench_tx(&b));
	for (uint32_t i = 4; i < 9; i++) /* never sent */
		assert_int_equal(ack(&b, 0xfffffe + i, ACK), REMU_DROP_RESP_STALE);
	assert_int_equal(ack(&b, 0xfffffd, ACK), REMU_DROP_RESP_STALE);
	bench_expect_no_wc(&b);
	assert_int_equal(ack(&b, 0, ACK), REMU_DROP_NONE);
	for (uint32_t id = 1; id <= 3; id++)
		bench_expect_wc(&b, id, REMU_WC_SUCCESS);
	for (uint32_t i = 0; i < 3; i++) /* answered before */
		assert_int_equal(ack(&b, 0xfffffe + i, ACK), REMU_DROP_RESP_STALE);
	assert_int_equal(ack(&b, 0, ROCE_NAK_REMOTE_ACCESS), REMU_DROP_RESP_STALE);
	bench_expect_no_wc(&b);
	assert_int_equal(bench_info(&b).una_psn, 1);
	expect_write(&b, 2, 0, 8, true);
	assert_int_equal(ack(&b, 2, ACK), REMU_DROP_NONE);
	bench_expect_wc(&b, 4, REMU_WC_SUCCESS);
	bench_expect_wc(&b, 5, REMU_WC_SUCCESS);
	bench_expect_silence(&b);
	assert_int_equal(b.qp->req.deadline, 0);
	bench_close(&b);
}

/* 69 and 73; the wire PSN wraps in the message. */
static void
on_nak__sequence_goes_back(void **state)
{
	static const uint32_t first = 0xfffffe;
	struct bench b;

	(void)state;
	for (uint32_t p = 0; p < 4; p++) {
		start(&b, &(struct wire_config){.sq_psn = first});
		post(&b, 1, W, 4 * MTU - 5);
		post(&b, 2, W, 8);
		for (uint32_t k = 0; k < 4; k++)
			expect_write(&b, first + k, k, 4 * MTU - 5, k == 3);
		expect_write(&b, first + 4, 0, 8, true);
		assert_int_equal(ack(&b, first + p, ROCE_NAK_PSN_SEQUENCE), REMU_DROP_NONE);
		assert_int_equal(bench_info(&b).una_psn, (first + p) & 0xffffff);
		for (uint32_t k = p; k < 4; k++)
			expect_write(&b, first + k, k, 4 * MTU - 5, k == 3);
		expect_write(&b, first + 4, 0, 8, true);
		/* Copies of the NAK do not make us go back again. */
		assert_int_equal(ack(&b, first + p, ROCE_NAK_PSN_SEQUENCE), REMU_DROP_NONE);
		bench_expect_silence(&b);
		bench_expect_no_wc(&b);
		assert_int_equal(remu_engine_stats(b.e)->retransmits, 5 - p);
		assert_int_equal(ack(&b, first + 4, ACK), REMU_DROP_NONE);
		bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
		bench_expect_wc(&b, 2, REMU_WC_SUCCESS);
		bench_close(&b);
	}
}

/* 70. */
static void
on_nak__fatal_codes(void **state)
{
	static const struct {
		uint8_t syndrome;
		enum remu_wc_status status;
	} cases[] = {
		{ROCE_NAK_INVALID_REQUEST, REMU_WC_REM_INV_REQ_ERR},
		{ROCE_NAK_REMOTE_ACCESS, REMU_WC_REM_ACCESS_ERR},
		{ROCE_NAK_REMOTE_OPERATION, REMU_WC_REM_OP_ERR},
	};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		for (uint32_t flags = 0; flags <= REMU_QP_BOOTSTRAP; flags++) {
			start(&b, &(struct wire_config){.flags = flags});
			post(&b, 1, W, 8);
			post(&b, 2, W, 2 * MTU);
			post(&b, 3, R, 8);
			post(&b, 4, W, 8);
			for (int n = 0; n < 4; n++)
				assert_non_null(bench_tx(&b));
			assert_int_equal(ack(&b, 2, cases[i].syndrome), REMU_DROP_NONE);
			bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
			bench_expect_wc(&b, 2, cases[i].status);
			bench_expect_wc(&b, 3, REMU_WC_WR_FLUSH_ERR);
			bench_expect_wc(&b, 4, REMU_WC_WR_FLUSH_ERR);
			bench_expect_no_wc(&b);
			bench_expect_silence(&b);
			assert_int_equal(bench_info(&b).state,
				flags != 0 ? REMU_QP_SQE : REMU_QP_ERR);
			assert_int_equal(ack(&b, 3, ACK), REMU_DROP_QP_STATE);
			bench_close(&b);
		}
}

/* Rule R8: the peer of a bootstrap queue pair asks for a PSN of another sequence. */
static void
on_sequence_nak__of_another_sequence_ends_a_bootstrap_write(void **state)
{
	static const uint32_t outside[] = {99, 103, 5000, 0xffffff};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(outside); i++)
		for (uint32_t flags = 0; flags <= REMU_QP_BOOTSTRAP; flags++) {
			bool lost = flags != 0;

			start(&b, &(struct wire_config){.flags = flags, .sq_psn = 100});
			/* Nothing under way: nothing to end. */
			assert_int_equal(ack(&b, outside[i], ROCE_NAK_PSN_SEQUENCE),
				REMU_DROP_RESP_STALE);
			post(&b, 1, W, 8);
			post(&b, 2, R, 8);
			post(&b, 3, W, 8);
			for (int n = 0; n < 3; n++)
				assert_non_null(bench_tx(&b));
			assert_int_equal(ack(&b, outside[i], ROCE_NAK_REMOTE_ACCESS),
				REMU_DROP_RESP_STALE);
			assert_int_equal(ack(&b, outside[i], ROCE_NAK_PSN_SEQUENCE),
				lost ? REMU_DROP_NONE : REMU_DROP_RESP_STALE);
			if (lost) {
				bench_expect_wc(&b, 1, REMU_WC_RETRY_EXC_ERR);
				bench_expect_wc(&b, 2, REMU_WC_WR_FLUSH_ERR);
				bench_expect_wc(&b, 3, REMU_WC_WR_FLUSH_ERR);
				assert_int_equal(bench_info(&b).state, REMU_QP_SQE);
			}
			bench_expect_no_wc(&b);
			bench_expect_silence(&b);
			bench_close(&b);
		}
	/* A READ takes the sequence over by itself. */
	start(&b, &(struct wire_config){.flags = REMU_QP_BOOTSTRAP, .sq_psn = 100});
	post(&b, 1, R, 8);
	assert_non_null(bench_tx(&b));
	assert_int_equal(ack(&b, 5000, ROCE_NAK_PSN_SEQUENCE), REMU_DROP_RESP_STALE);
	assert_int_equal(respond(&b, ROCE_READ_RESPONSE_ONLY, 100, ACK, 0, 8), REMU_DROP_NONE);
	bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
	bench_close(&b);
}

/* 71, and 83: an atomic's answer ends a READ badly. */
static void
on_acknowledge__reserved_syndromes(void **state)
{
	static const uint8_t syndromes[] = {0x40, 0x5f, 0x65, 0x7f, 0x80, 0xff};
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){0});
	post(&b, 1, R, 8);
	expect_read(&b, 0, 0, 8);
	for (size_t i = 0; i < RTE_DIM(syndromes); i++)
		assert_int_equal(ack(&b, 0, syndromes[i]), REMU_DROP_SYNDROME);
	bench_expect_silence(&b);
	bench_expect_no_wc(&b);
	assert_int_equal(respond(&b, ROCE_ATOMIC_ACKNOWLEDGE, 0, ACK, 0, 0), REMU_DROP_RESP_BAD);
	bench_expect_silence(&b);
	bench_expect_wc(&b, 1, REMU_WC_BAD_RESP_ERR);
	bench_close(&b);
}

/* 72: each timeout to the nanosecond. */
static void
remu__req_timeout__counts_and_gives_up(void **state)
{
	static const uint32_t retries[] = {0, 1, 7, 255};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(retries); i++) {
		start(&b, &(struct wire_config){.retry_cnt = retries[i]});
		b.now = 12345;
		post(&b, 1, W, 8);
		post(&b, 2, R, 8);
		for (uint32_t n = 0; n <= retries[i]; n++) {
			expect_write(&b, 0, 0, 8, true);
			expect_read(&b, 1, 0, 8);
			bench_expect_silence(&b);
			assert_int_equal(remu_engine_next_deadline(b.e), b.now + T_NS);
			b.now += T_NS - 1;
			bench_expect_silence(&b);
			bench_expect_no_wc(&b);
			b.now++;
		}
		bench_expect_silence(&b);
		assert_int_equal(b.now, 12345 + (retries[i] + 1) * (uint64_t)T_NS);
		bench_expect_wc(&b, 1, REMU_WC_RETRY_EXC_ERR);
		bench_expect_wc(&b, 2, REMU_WC_WR_FLUSH_ERR);
		assert_int_equal(bench_info(&b).state, REMU_QP_ERR);
		assert_int_equal(remu_engine_stats(b.e)->timeouts, retries[i] + 1);
		assert_int_equal(remu_engine_stats(b.e)->retransmits, 2 * retries[i]);
		assert_int_equal(remu_engine_next_deadline(b.e), UINT64_MAX);
		bench_close(&b);
	}
}

/* 73; and the timer runs from the last progress, not from the first packet. */
static void
progress__restarts_timer_and_retries(void **state)
{
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){.retry_cnt = 1});
	post(&b, 1, W, 3 * MTU);
	for (uint32_t k = 0; k < 3; k++)
		expect_write(&b, k, k, 3 * MTU, k == 2);
	for (uint32_t done = 0; done < 3; done++) {
		b.now += done == 0 ? T_NS : 1;
		for (uint32_t k = done; k < 3; k++)
			expect_write(&b, k, k, 3 * MTU, k == 2);
		bench_expect_silence(&b);
		if (done == 2)
			break;
		b.now += T_NS - 1;
		assert_int_equal(ack(&b, done, ACK), REMU_DROP_NONE);
		b.now += T_NS - 1;
		bench_expect_silence(&b);
	}
	b.now += T_NS;
	bench_expect_silence(&b);
	bench_expect_wc(&b, 1, REMU_WC_RETRY_EXC_ERR);
	bench_close(&b);
}

/* The answer to the first copy comes after we have gone back: nothing is sent again in vain. */
static void
progress__answer_after_go_back(void **state)
{
	struct bench b;

	(void)state;
	for (uint32_t resent = 0; resent <= 4; resent++) {
		start(&b, &(struct wire_config){.retry_cnt = 1});
		snprintf(b.label, sizeof(b.label), "%u sent again", resent);
		post(&b, 1, W, 2 * MTU);
		post(&b, 2, W, 8);
		post(&b, 3, R, 2 * MTU);
		for (int n = 0; n < 4; n++)
			assert_non_null(bench_tx(&b));
		b.now += T_NS;
		remu_engine_poll(b.e, b.now);
		for (uint32_t n = 0; n < resent; n++)
			assert_non_null(bench_tx(&b));
		assert_int_equal(ack(&b, 2, ACK), REMU_DROP_NONE);
		bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
		bench_expect_wc(&b, 2, REMU_WC_SUCCESS);
		if (resent < 4)
			expect_read(&b, 3, 0, 2 * MTU);
		bench_expect_silence(&b);
		assert_int_equal(b.qp->req.answers_out, 1);
		for (uint32_t k = 0; k < 2; k++)
			assert_int_equal(respond_data(&b, 3, k, 0, 2 * MTU), REMU_DROP_NONE);
		bench_expect_wc(&b, 3, REMU_WC_SUCCESS);
		assert_memory_equal(local + RED, remote, 2 * MTU);
		assert_int_equal(b.qp->req.answers_out, 0);
		bench_close(&b);
	}
}

/* 76 to 78 and 82: one response of five is lost; the retry is answered in either form. */
static void
on_read_response__loss(void **state)
{
	enum { LEN = 4 * MTU + 9, FIRST_PSN = 0xfffffd };
	struct bench b;

	(void)state;
	for (uint32_t lost = 0; lost < 5; lost++)
		for (int rxe = 0; rxe < 2; rxe++) {
			start(&b, &(struct wire_config){.sq_psn = FIRST_PSN, .retry_cnt = 1});
			snprintf(b.label, sizeof(b.label), "lost %u", lost);
			memset(local + RED, 0, LEN);
			post(&b, 1, R, LEN);
			expect_read(&b, FIRST_PSN, 0, LEN);
			for (uint32_t k = 0; k < 5; k++) {
				if (k == lost)
					continue;
				assert_int_equal(respond_data(&b, FIRST_PSN, k, 0, LEN),
					k < lost ? REMU_DROP_NONE : REMU_DROP_RESP_GAP);
				if (k < lost) /* other data this time: must not get in */
					assert_int_equal(respond(&b, ROCE_READ_RESPONSE_MIDDLE,
								 FIRST_PSN + k, ACK, 1, MTU),
						REMU_DROP_RESP_STALE);
			}
			if (lost == 4) {
				bench_expect_silence(&b);
				b.now += T_NS;
			}
			expect_read(&b, FIRST_PSN + lost, lost * MTU, LEN - lost * MTU);
			bench_expect_silence(&b);
			for (uint32_t k = lost; k < 5; k++) {
				bench_expect_no_wc(&b);
				assert_int_equal(respond_data(&b, FIRST_PSN, k, rxe ? 0 : lost,
							 LEN),
					REMU_DROP_NONE);
			}
			bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
			assert_memory_equal(local + RED, remote, LEN);
			assert_int_equal(b.qp->req.answers_out, 0);
			bench_close(&b);
		}
}

/* 79. */
static void
acknowledge__beyond_a_read(void **state)
{
	static const uint8_t syndromes[] = {ACK, ROCE_NAK_PSN_SEQUENCE, ROCE_NAK_REMOTE_ACCESS};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(syndromes); i++) {
		start(&b, &(struct wire_config){0});
		post(&b, 1, W, 8);
		post(&b, 2, R, 2 * MTU);
		post(&b, 3, W, 8);
		expect_write(&b, 0, 0, 8, true);
		expect_read(&b, 1, 0, 2 * MTU);
		expect_write(&b, 3, 0, 8, true);
		assert_int_equal(ack(&b, 3, syndromes[i]), REMU_DROP_NONE);
		bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
		expect_read(&b, 1, 0, 2 * MTU);
		/* What has been carried out is not sent again. */
		if (syndromes[i] != ACK)
			expect_write(&b, 3, 0, 8, true);
		assert_int_equal(ack(&b, 3, syndromes[i]), REMU_DROP_NONE); /* retried once */
		bench_expect_silence(&b);
		bench_expect_no_wc(&b);
		bench_close(&b);
	}
}

/* 80. */
static void
on_read_response__acknowledges_writes_before_it(void **state)
{
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){0});
	post(&b, 1, W, 8);
	post(&b, 2, W, 2 * MTU);
	post(&b, 3, R, 8);
	for (int n = 0; n < 4; n++)
		assert_non_null(bench_tx(&b));
	assert_int_equal(respond(&b, ROCE_READ_RESPONSE_ONLY, 3, ACK, 0, 8), REMU_DROP_NONE);
	for (uint64_t id = 1; id <= 3; id++)
		bench_expect_wc(&b, id, REMU_WC_SUCCESS);
	bench_close(&b);
}

/* 81: a bad response ends the READ and writes nothing outside its buffer. */
static void
on_read_response__bad(void **state)
{
	static const struct {
		uint32_t read_len, good; /* good responses before the bad one */
		uint8_t opcode;
		uint32_t len;
		enum remu_wc_status status;
	} cases[] = {
		{8, 0, ROCE_READ_RESPONSE_ONLY, 7, REMU_WC_LOC_LEN_ERR},
		{8, 0, ROCE_READ_RESPONSE_ONLY, 9, REMU_WC_LOC_LEN_ERR},
		{8, 0, ROCE_READ_RESPONSE_ONLY, 0, REMU_WC_LOC_LEN_ERR},
		{0, 0, ROCE_READ_RESPONSE_ONLY, 1, REMU_WC_LOC_LEN_ERR},
		{8, 0, ROCE_READ_RESPONSE_ONLY, MTU, REMU_WC_LOC_LEN_ERR},
		{8, 0, ROCE_READ_RESPONSE_FIRST, MTU, REMU_WC_BAD_RESP_ERR},
		{8, 0, ROCE_READ_RESPONSE_MIDDLE, 8, REMU_WC_BAD_RESP_ERR},
		{MTU + 8, 0, ROCE_READ_RESPONSE_ONLY, MTU, REMU_WC_BAD_RESP_ERR},
		{MTU + 8, 0, ROCE_READ_RESPONSE_LAST, 8, REMU_WC_BAD_RESP_ERR},
		{MTU + 8, 0, ROCE_READ_RESPONSE_FIRST, MTU - 1, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 0, ROCE_READ_RESPONSE_FIRST, 4096, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 1, ROCE_READ_RESPONSE_LAST, 9, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 1, ROCE_READ_RESPONSE_LAST, 7, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 1, ROCE_READ_RESPONSE_MIDDLE, MTU, REMU_WC_BAD_RESP_ERR},
	};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		uint32_t good = cases[i].good * MTU;

		start(&b, &(struct wire_config){0});
		snprintf(b.label, sizeof(b.label), "case %zu", i);
		memset(local, 0xee, RED + 8192);
		post(&b, 1, R, cases[i].read_len);
		post(&b, 2, W, 8);
		expect_read(&b, 0, 0, cases[i].read_len);
		if (good != 0)
			assert_int_equal(respond(&b, ROCE_READ_RESPONSE_FIRST, 0, ACK, 0, MTU),
				REMU_DROP_NONE);
		assert_int_equal(respond(&b, cases[i].opcode, cases[i].good, ACK, 0, cases[i].len),
			REMU_DROP_RESP_BAD);
		bench_expect_wc(&b, 1, cases[i].status);
		bench_expect_wc(&b, 2, REMU_WC_WR_FLUSH_ERR);
		bench_expect_silence(&b);
		for (uint32_t n = 0; n < RED + 8192; n++)
			if (n < RED || n >= RED + good)
				assert_int_equal(local[n], 0xee);
		bench_close(&b);
	}
}

/* A READ response where a WRITE is outstanding is no answer. */
static void
on_read_response__to_a_write(void **state)
{
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){0});
	post(&b, 1, W, 8);
	assert_non_null(bench_tx(&b));
	assert_int_equal(respond(&b, ROCE_READ_RESPONSE_ONLY, 0, ACK, 0, 8), REMU_DROP_RESP_STALE);
	bench_expect_no_wc(&b);
	bench_close(&b);
}

/* 84, also after going back. */
static void
remu__req_has_output__at_most_max_rd_atomic(void **state)
{
	struct bench b;

	(void)state;
	for (uint32_t max = 1; max <= 16; max++) {
		uint32_t next = max;

		start(&b, &(struct wire_config){.max_rd = max, .retry_cnt = 1});
		for (uint32_t id = 0; id < 40; id++)
			post(&b, id, R, 8);
		for (int round = 0; round < 2; round++) {
			for (uint32_t psn = 0; psn < max; psn++)
				expect_read(&b, psn, 0, 8);
			bench_expect_silence(&b);
			b.now += (uint64_t)(round == 0) * T_NS;
		}
		for (uint32_t psn = 0; psn < 40; psn++) {
			assert_int_equal(respond(&b, ROCE_READ_RESPONSE_ONLY, psn, ACK, 0, 8),
				REMU_DROP_NONE);
			bench_expect_wc(&b, psn, REMU_WC_SUCCESS);
			if (next < 40)
				expect_read(&b, next++, 0, 8);
			bench_expect_silence(&b);
		}
		bench_close(&b);
	}
}

/* 86 and 87: WRITEs fill the window, and the packet that closes it asks for an ACK. */
static void
remu__req_has_output__window(void **state)
{
	static const uint32_t windows[] = {1, 2, 5, 16, 17, 100};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(windows); i++) {
		uint32_t w = windows[i], sent = 0;

		start(&b, &(struct wire_config){.window = w, .sq_psn = 0x7ffff8});
		post(&b, 1, W, 300 * MTU);
		for (uint32_t acked = 0; acked < 300;) {
			const struct frame *frame;

			while ((frame = bench_tx(&b)) != NULL) {
				assert_int_equal(frame->pkt.f.psn, 0x7ffff8 + sent);
				sent++;
				assert_int_equal(frame->pkt.f.ackreq,
					sent == 300 || sent % 16 == 0 || sent - acked == w);
			}
			assert_int_equal(sent, RTE_MIN(acked + w, 300u));
			acked = RTE_MIN(acked + 1 + w / 3, sent);
			assert_int_equal(ack(&b, 0x7ffff8 + acked - 1, ACK), REMU_DROP_NONE);
		}
		bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
		bench_close(&b);
	}
}

/* One long transfer through a lossless peer. */
struct transfer {
	uint32_t mtu, window, first_psn, len;
	uint8_t opcode;
};

/* Checks each packet of a WRITE and acknowledges when asked. */
static void
serve_write(struct bench *b, const struct transfer *t)
{
	uint32_t n = remu__packets(t->len, (uint16_t)t->mtu), k = 0;
	const struct frame *frame;

	while ((frame = bench_tx(b)) != NULL) {
		const struct roce_fields *f = &frame->pkt.f;
		bool first = k == 0, last = k == n - 1;

		assert_int_equal(f->opcode, write_opcodes[first][last]);
		assert_int_equal(f->psn, (t->first_psn + k) & 0xffffff);
		assert_true(!first || (f->va == VA && f->dma_len == t->len && f->rkey == RKEY));
		assert_int_equal(frame->pkt.payload_len, last ? t->len - k * t->mtu : t->mtu);
		memcpy(remote + k * t->mtu, frame->pkt.payload, frame->pkt.payload_len);
		assert_true(f->ackreq || !last);
		k++;
		if (f->ackreq)
			assert_int_equal(ack(b, f->psn, ACK), REMU_DROP_NONE);
	}
	assert_int_equal(k, n);
}

/* Answers READ requests in order; never more responses outstanding than the window. */
static void
serve_read(struct bench *b, const struct transfer *t)
{
	struct {
		uint32_t psn, off, left;
		bool first;
	} queue[16];
	uint32_t n = 0, asked = 0, requests = 0;
	const struct frame *frame;

	do {
		uint32_t len, outstanding = 0;

		while ((frame = bench_tx(b)) != NULL) {
			const struct roce_fields *f = &frame->pkt.f;

			assert_int_equal(f->opcode, ROCE_READ_REQUEST);
			assert_int_equal(f->psn, (t->first_psn + asked / t->mtu) & 0xffffff);
			assert_int_equal(f->va, VA + asked);
			assert_true(f->dma_len % t->mtu == 0 || asked + f->dma_len == t->len);
			assert_in_range(n, 0, RTE_DIM(queue) - 1);
			queue[n].psn = f->psn;
			queue[n].off = asked;
			queue[n].left = f->dma_len;
			queue[n++].first = true;
			asked += f->dma_len;
			requests++;
		}
		assert_int_not_equal(n, 0);
		for (uint32_t i = 0; i < n; i++)
			outstanding += remu__packets(queue[i].left, (uint16_t)t->mtu);
		assert_in_range(outstanding, 1, t->window);
		len = RTE_MIN(queue[0].left, t->mtu);
		assert_int_equal(respond(b, data_opcodes[queue[0].first][queue[0].left <= t->mtu],
					 queue[0].psn++, ACK, queue[0].off, len),
			REMU_DROP_NONE);
		queue[0].first = false;
		queue[0].off += len;
		queue[0].left -= len;
		if (queue[0].left == 0)
			memmove(queue, queue + 1, --n * sizeof(queue[0]));
	} while (n != 0 || asked < t->len);
	/* Four READs at a time share a window. */
	assert_in_range(requests, 1,
		1 + remu__packets(t->len, (uint16_t)t->mtu) / RTE_MAX(t->window / 8, 1u));
	bench_expect_silence(b);
}

static void
transfer(const struct transfer *t)
{
	uint64_t seed = t->len + t->mtu;
	struct bench b;

	bench_open(&b,
		&(struct wire_config){.mtu = t->mtu, .window = t->window, .sq_psn = t->first_psn});
	snprintf(b.label, sizeof(b.label), "opcode %u of %u by %u, window %u, PSN %x", t->opcode,
		t->len, t->mtu, t->window, t->first_psn);
	prng_fill(&seed, local, t->len + 2 * RED);
	prng_fill(&seed, remote, t->len);
	if (t->opcode == R)
		memset(local, 0xee, t->len + 2 * RED);
	post(&b, 1, t->opcode, t->len);
	if (t->opcode == R)
		serve_read(&b, t);
	else
		serve_write(&b, t);
	bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
	assert_int_equal(remu_engine_stats(b.e)->retransmits, 0);
	assert_memory_equal(local + RED, remote, t->len);
	for (uint32_t i = 0; i < RED && t->opcode == R; i++)
		assert_true(local[i] == 0xee && local[RED + t->len + i] == 0xee);
	bench_close(&b);
}

/* 88 and 89. */
static void
remu_qp_post__all_sizes(void **state)
{
	static const uint32_t mtus[] = {256, 1024, 4096};
	static const uint32_t psns[] = {0, 0xfffff0, 0xffffff, 0x7ffff8};

	(void)state;
	for (size_t m = 0; m < RTE_DIM(mtus); m++)
		for (size_t p = 0; p < RTE_DIM(psns); p++) {
			uint32_t mtu = mtus[m];
			const uint32_t sizes[] = {0, 1, mtu - 1, mtu, mtu + 1, 2 * mtu, 65537, MAX};

			for (size_t s = 0; s < RTE_DIM(sizes); s++)
				for (uint8_t opcode = W; opcode <= R; opcode++)
					transfer(&(struct transfer){mtu, 64, psns[p], sizes[s],
						opcode});
		}
}

/* Two lengths that differ only in bits for which a stencil's key has no room. */
static void
send_row__length_like_another(void **state)
{
	enum { SHORT = 64, LONG = SHORT + (1 << 24) };
	struct remu_wr wr = {.remote_va = VA, .length = LONG, .opcode = REMU_WR_RDMA_WRITE};
	const struct frame *frame;
	struct bench b;

	(void)state;
	wr.addr = calloc(1, LONG);
	assert_non_null(wr.addr);
	start(&b, &(struct wire_config){0});
	post(&b, 1, W, SHORT);
	expect_write(&b, 0, 0, SHORT, true);
	assert_int_equal(remu_qp_post(b.e, b.qp, &wr, b.now), 0);
	frame = bench_tx(&b);
	assert_non_null(frame);
	assert_int_equal(frame->pkt.f.opcode, ROCE_WRITE_FIRST);
	assert_int_equal(frame->pkt.payload_len, MTU);
	bench_close(&b);
	free(wr.addr);
}

/* The limit is lowered while more READs than that are under way. */
static void
send_row__lower_limit_than_under_way(void **state)
{
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){.max_rd = 4});
	for (uint32_t id = 0; id < 8; id++)
		post(&b, id, R, 8);
	for (uint32_t psn = 0; psn < 4; psn++)
		expect_read(&b, psn, 0, 8);
	assert_int_equal(remu_qp_modify(b.e, b.qp, REMU_QP_SQD, NULL), 0);
	b.attr.max_rd_atomic = 2;
	assert_int_equal(remu_qp_modify(b.e, b.qp, REMU_QP_RTS, &b.attr), 0);
	for (uint32_t psn = 0; psn < 3; psn++) {
		bench_expect_silence(&b);
		assert_int_equal(respond(&b, ROCE_READ_RESPONSE_ONLY, psn, ACK, 0, 8),
			REMU_DROP_NONE);
		bench_expect_wc(&b, psn, REMU_WC_SUCCESS);
	}
	expect_read(&b, 4, 0, 8);
	bench_expect_silence(&b);
	bench_close(&b);
}

static void
read_span__by_window(void **state)
{
	static const uint32_t windows[] = {1, 2, 3, 7, 8, 100};
	static const uint32_t packets[] = {1, 2, 3, 7, 8, 9, 50};

	(void)state;
	for (size_t w = 0; w < RTE_DIM(windows); w++)
		for (size_t n = 0; n < RTE_DIM(packets); n++)
			for (uint8_t opcode = W; opcode <= R; opcode++)
				transfer(&(struct transfer){256, windows[w], 0xfffff0,
					packets[n] * 256 - 3, opcode});
}

/* A READ behind WRITEs waits until its answer fits into the window. */
static void
remu__req_has_output__read_fits_the_window(void **state)
{
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){.window = 8});
	post(&b, 1, W, 7 * MTU);
	post(&b, 2, R, 2 * MTU);
	for (uint32_t k = 0; k < 7; k++)
		expect_write(&b, k, k, 7 * MTU, k == 6);
	bench_expect_silence(&b);
	assert_int_equal(ack(&b, 0, ACK), REMU_DROP_NONE);
	expect_read(&b, 7, 0, 2 * MTU);
	bench_close(&b);
}

static void
remu_qp_post__refuses(void **state)
{
	static const struct {
		struct remu_wr wr;
		int rc;
	} cases[] = {
		{{.opcode = REMU_WR_COUNT, .addr = local}, -EINVAL},
		{{.opcode = W, .addr = local, .length = (1u << 31) + 1}, -EINVAL},
		{{.opcode = W, .length = 1}, -EINVAL},
		{{.opcode = W}, 0},
		{{.opcode = R, .addr = local, .length = 1u << 31}, 0},
		{{.opcode = R, .addr = local, .length = 1}, -EAGAIN},
	};
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){.sq_depth = 2});
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		assert_int_equal(remu_qp_post(b.e, b.qp, &cases[i].wr, 0), cases[i].rc);
	assert_int_equal(remu_qp_modify(b.e, b.qp, REMU_QP_RESET, NULL), 0);
	for (int to = REMU_QP_RESET; to < REMU_QP_RTS; to++) {
		assert_int_equal(remu_qp_modify(b.e, b.qp, (enum remu_qp_state)to, &b.attr), 0);
		assert_int_equal(remu_qp_post(b.e, b.qp, &cases[3].wr, 0), -ENOTCONN);
	}
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_acknowledge__completes_in_order_and_ignores_the_rest),
		cmocka_unit_test(on_nak__sequence_goes_back),
		cmocka_unit_test(on_nak__fatal_codes),
		cmocka_unit_test(on_sequence_nak__of_another_sequence_ends_a_bootstrap_write),
		cmocka_unit_test(on_acknowledge__reserved_syndromes),
		cmocka_unit_test(remu__req_timeout__counts_and_gives_up),
		cmocka_unit_test(progress__restarts_timer_and_retries),
		cmocka_unit_test(progress__answer_after_go_back),
		cmocka_unit_test(on_read_response__loss),
		cmocka_unit_test(acknowledge__beyond_a_read),
		cmocka_unit_test(on_read_response__acknowledges_writes_before_it),
		cmocka_unit_test(on_read_response__bad),
		cmocka_unit_test(on_read_response__to_a_write),
		cmocka_unit_test(remu__req_has_output__at_most_max_rd_atomic),
		cmocka_unit_test(remu__req_has_output__window),
		cmocka_unit_test(remu_qp_post__all_sizes),
		cmocka_unit_test(send_row__length_like_another),
		cmocka_unit_test(send_row__lower_limit_than_under_way),
		cmocka_unit_test(read_span__by_window),
		cmocka_unit_test(remu__req_has_output__read_fits_the_window),
		cmocka_unit_test(remu_qp_post__refuses),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
