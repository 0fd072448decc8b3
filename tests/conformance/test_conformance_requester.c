/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance of the requester: statements 67 to 90 of the checklist, one test each, and further
 * ones from 201 on that the checklist does not have. The peer is made of single frames; in the last
 * but one part there is a second engine behind a bad network.
 */
#include "conf_requester.h"
#include "eal.h"
#include "frame_maker.h"

#include <link.h>

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

enum {
	MTU = CONF_MTU,
	ACK = CONF_ACK,
	NAK = CONF_NAK_SEQUENCE,
	W = REMU_WR_RDMA_WRITE,
	R = REMU_WR_RDMA_READ,
	WI = REMU_WR_RDMA_WRITE_IMM,
	S = REMU_WR_SEND,
	SI = REMU_WR_SEND_IMM,
	CAS = REMU_WR_CMP_SWAP,
	ADD = REMU_WR_FETCH_ADD,
	T_NS = CONF_T_NS,
	US = 1000,
};

/* What table 45 says an RNR NAK's code asks to wait, in microseconds. */
static const uint32_t rnr_us[32] = {655360, 10, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640,
	960, 1280, 1920, 2560, 3840, 5120, 7680, 10240, 15360, 20480, 30720, 40960, 61440, 81920,
	122880, 163840, 245760, 327680, 491520};

static const struct remu_stats *
stats(const struct conf *c)
{
	return remu_engine_stats(c->e);
}

/* The queue pair has failed: its later work is flushed, it answers nothing, it takes no answer. */
static void
expect_dead(struct conf *c, uint64_t first_flushed, uint64_t last_flushed)
{
	for (uint64_t id = first_flushed; id <= last_flushed; id++)
		conf_expect_wc(c, id, REMU_WC_WR_FLUSH_ERR);
	conf_expect_rest(c);
	assert_int_equal(conf_info(c).state, REMU_QP_ERR);
	assert_int_equal(conf_info(c).outstanding, 0);
	assert_int_equal(conf_ack_psn(c, c->next_psn - 1, ACK), REMU_DROP_QP_STATE);
	conf_expect_rest(c);
}

static void
c67_ack_of_third_message_completes_three(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.sq_psn = 0xfffffd});
	conf_post(&c, 1, W, 0, 8);
	conf_post(&c, 2, W, 0, 2 * MTU);
	conf_post(&c, 3, S, 0, 100);
	conf_post(&c, 4, W, 0, 1);
	conf_post(&c, 5, W, 0, 3 * MTU - 1);
	for (uint64_t id = 1; id <= 5; id++)
		conf_expect_message(&c, id);
	conf_expect_silence(&c);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
	for (uint64_t id = 1; id <= 3; id++)
		conf_expect_wc(&c, id, REMU_WC_SUCCESS);
	conf_expect_no_wc(&c);
	conf_expect_silence(&c);
	assert_int_equal(conf_info(&c).una_psn, conf_psn(&c, 4, 0));
	assert_int_equal(conf_info(&c).outstanding, 2);
	/* In the middle of a message it completes what lies before. */
	assert_int_equal(conf_ack(&c, 5, 1, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 4, REMU_WC_SUCCESS);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_ack(&c, 5, 2, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 5, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	assert_int_equal(conf_info(&c).una_psn, c.next_psn);
	assert_int_equal(stats(&c)->retransmits, 0);
	conf_expect_local(&c, 0, 0);
	conf_close(&c);
}

static void
c68_ack_of_old_or_unsent_psn_is_ignored(void **state)
{
	static const uint8_t syndromes[] = {ACK, 0, NAK, 0x61, 0x62, 0x63, CONF_RNR | 14};
	static const uint32_t unsent[] = {0, 1, 2, 100, 0x7ffff0, 0x800000 - 5};
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.sq_psn = 0xfffffe, .window = 4});
	for (uint64_t id = 0; id < 6; id++)
		conf_post(&c, id, W, 0, 8);
	for (uint64_t id = 0; id < 4; id++) /* the window holds the others back */
		conf_expect_message(&c, id);
	conf_expect_silence(&c);
	for (size_t s = 0; s < RTE_DIM(syndromes); s++) {
		for (size_t i = 0; i < RTE_DIM(unsent); i++)
			assert_int_equal(conf_ack(&c, 4, unsent[i], syndromes[s]),
				REMU_DROP_RESP_STALE);
		for (uint32_t back = 1; back < 0x700000; back = 3 * back)
			assert_int_equal(conf_ack(&c, 0, -back, syndromes[s]),
				REMU_DROP_RESP_STALE);
	}
	conf_expect_silence(&c);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_info(&c).una_psn, conf_psn(&c, 0, 0));
	assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
	for (uint64_t id = 0; id <= 2; id++)
		conf_expect_wc(&c, id, REMU_WC_SUCCESS);
	conf_expect_message(&c, 4);
	conf_expect_message(&c, 5);
	/* Those are old now. */
	for (size_t s = 0; s < RTE_DIM(syndromes); s++)
		for (uint64_t id = 0; id <= 2; id++)
			assert_int_equal(conf_ack(&c, id, 0, syndromes[s]), REMU_DROP_RESP_STALE);
	conf_expect_silence(&c);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_ack(&c, 5, 0, ACK), REMU_DROP_NONE);
	for (uint64_t id = 3; id <= 5; id++)
		conf_expect_wc(&c, id, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	assert_int_equal(stats(&c)->naks_received + stats(&c)->rnr_naks_received, 0);
	conf_close(&c);
}

/* Plain go-back-N here; what selective repeat does is in 216 and 217. */
static void
c69_sequence_nak_resends_from_its_psn(void **state)
{
	static const uint8_t opcodes[] = {W, WI, S, SI};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(opcodes); i++)
		for (uint32_t p = 0; p < 4; p++) {
			conf_open(&c,
				&(struct conf_config){.sq_psn = 0xfffffd,
					.disable = REMU_RECOVERY_SELECTIVE});
			snprintf(c.label, sizeof(c.label), "opcode %u, packet %u", opcodes[i], p);
			conf_post(&c, 1, W, 0, 8);
			conf_post(&c, 2, opcodes[i], 100, 4 * MTU - 5);
			conf_post(&c, 3, W, 0, 8);
			for (uint64_t id = 1; id <= 3; id++)
				conf_expect_message(&c, id);
			assert_int_equal(conf_ack(&c, 2, p, NAK), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			conf_expect_no_wc(&c);
			assert_int_equal(conf_info(&c).una_psn, conf_psn(&c, 2, p));
			for (uint32_t k = p; k < 4; k++)
				conf_expect_packet(&c, 2, k);
			conf_expect_message(&c, 3);
			conf_expect_silence(&c);
			assert_int_equal(stats(&c)->retransmits, 5 - p);
			assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
			conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
			conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
			conf_expect_rest(&c);
			conf_expect_local(&c, 0, 0);
			conf_close(&c);
		}
}

static void
c70_fatal_nak_fails_one_and_flushes_the_rest(void **state)
{
	static const enum remu_wc_status status[] = {REMU_WC_REM_INV_REQ_ERR,
		REMU_WC_REM_ACCESS_ERR, REMU_WC_REM_OP_ERR};
	struct conf c;

	(void)state;
	for (uint32_t code = 1; code <= 3; code++)
		for (uint32_t k = 0; k < 3; k++) {
			conf_open(&c, &(struct conf_config){.cq = 16, .rq_depth = 4});
			snprintf(c.label, sizeof(c.label), "code %u, packet %u", code, k);
			conf_post(&c, 1, W, 0, 8);
			conf_post(&c, 2, S, 0, 3 * MTU);
			conf_post(&c, 3, R, 0, 8);
			conf_post(&c, 4, W, 0, 8);
			assert_int_equal(conf_post_recv(&c, 50, 0, 8), 0);
			assert_int_equal(conf_post_recv(&c, 51, 0, 8), 0);
			conf_expect_message(&c, 1);
			conf_expect_message(&c, 2);
			conf_expect_read_all(&c, 3);
			conf_expect_message(&c, 4);
			assert_int_equal(conf_ack(&c, 2, k, (uint8_t)(NAK + code)), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			conf_expect_wc(&c, 2, status[code - 1]);
			for (uint64_t id = 50; id <= 51; id++)
				conf_expect_recv(&c,
					&(struct remu_wc){.wr_id = id,
						.status = REMU_WC_WR_FLUSH_ERR,
						.opcode = S});
			expect_dead(&c, 3, 4);
			assert_int_equal(stats(&c)->naks_received, 1);
			conf_expect_local(&c, 0, 0);
			conf_close(&c);
		}
	assert_int_equal(REMU_WC_REM_INV_REQ_ERR, 9);
	assert_int_equal(REMU_WC_REM_ACCESS_ERR, 10);
	assert_int_equal(REMU_WC_REM_OP_ERR, 11);
	assert_int_equal(REMU_WC_WR_FLUSH_ERR, 5);
}

static void
c71_reserved_syndrome_is_ignored(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){0});
	conf_post(&c, 1, W, 0, 8);
	conf_post(&c, 2, R, 0, 8);
	conf_expect_message(&c, 1);
	conf_expect_read_all(&c, 2);
	for (uint32_t syndrome = 0x40; syndrome <= 0xff; syndrome++)
		for (uint64_t id = 1; id <= 2; id++)
			if (syndrome < 0x60 || syndrome > 0x63)
				assert_int_equal(conf_ack(&c, id, 0, (uint8_t)syndrome),
					REMU_DROP_SYNDROME);
	conf_expect_silence(&c);
	conf_expect_no_wc(&c);
	assert_int_equal(stats(&c)->naks_received, 0);
	assert_int_equal(conf_data(&c, 2, 0, 0, 1), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_expect_local(&c, 0, 8);
	conf_close(&c);
}

static void
c72_silence_ends_after_all_retries(void **state)
{
	static const uint32_t retries[] = {0, 1, 7, 255};
	static const uint32_t timeouts_us[] = {1, 1000, 10000000};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(retries); i++)
		for (size_t j = 0; j < RTE_DIM(timeouts_us); j++) {
			uint64_t t = UINT64_C(1000) * timeouts_us[j], begin, all;

			conf_open(&c,
				&(struct conf_config){.retry_cnt = retries[i],
					.timeout_us = timeouts_us[j]});
			snprintf(c.label, sizeof(c.label), "%u retries each %u us", retries[i],
				timeouts_us[j]);
			conf_post(&c, 1, W, 0, MTU + 1);
			conf_post(&c, 2, R, 0, 8);
			begin = c.now;
			for (uint32_t n = 0; n <= retries[i]; n++) {
				conf_wait(&c, c.now + t + t / 20);
				/* A second repetition in a row asks at once what has arrived. */
				conf_expect_packet_ack(&c, 1, 0, n >= 2);
				conf_expect_packet(&c, 1, 1);
				conf_expect_read_all(&c, 2);
				conf_expect_silence(&c);
				conf_expect_no_wc(&c);
			}
			conf_expect_silence_until(&c, c.now + t - 1);
			conf_expect_no_wc(&c);
			all = t * (retries[i] + 1);
			conf_expect_silence_until(&c, begin + all + all / 20);
			conf_expect_wc(&c, 1, REMU_WC_RETRY_EXC_ERR);
			expect_dead(&c, 2, 2);
			assert_int_equal(stats(&c)->timeouts, retries[i] + 1);
			assert_int_equal(stats(&c)->retransmits, 3 * retries[i]);
			conf_expect_local(&c, 0, 0);
			conf_close(&c);
		}
	assert_int_equal(REMU_WC_RETRY_EXC_ERR, 12);
}

/* By a part of a message too; and the timer runs from the progress on. */
static void
c73_progress_resets_retries(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.retry_cnt = 2, .disable = REMU_RECOVERY_PROBE});
	conf_post(&c, 1, W, 0, 5 * MTU);
	conf_expect_message(&c, 1);
	for (uint32_t done = 0; done < 5; done++) {
		for (int retry = 0; retry < 2; retry++) {
			conf_expect_silence_until(&c, c.now + T_NS - 1);
			conf_wait(&c, c.now + T_NS / 20);
			conf_expect_packet_ack(&c, 1, done, done == 4 || retry == 1);
			for (uint32_t k = done + 1; k < 5; k++)
				conf_expect_packet(&c, 1, k);
		}
		conf_expect_silence_until(&c, c.now + T_NS - 1);
		conf_expect_no_wc(&c);
		assert_int_equal(conf_ack(&c, 1, done, ACK), REMU_DROP_NONE);
	}
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_post(&c, 2, W, 0, 8);
	for (int n = 0; n < 3; n++) {
		conf_wait(&c, c.now + T_NS);
		conf_expect_message(&c, 2);
	}
	conf_expect_silence_until(&c, c.now + T_NS + T_NS / 20);
	conf_expect_wc(&c, 2, REMU_WC_RETRY_EXC_ERR);
	conf_close(&c);
}

static void
c74_rnr_nak_waits_its_time(void **state)
{
	struct conf c;

	(void)state;
	for (uint32_t code = 0; code < 32; code++) {
		uint64_t wait = UINT64_C(1000) * rnr_us[code];

		conf_open(&c,
			&(struct conf_config){.rnr_retry = 1, .disable = REMU_RECOVERY_SELECTIVE});
		snprintf(c.label, sizeof(c.label), "code %u", code);
		conf_post(&c, 1, S, 0, 8);
		conf_post(&c, 2, W, 0, 8);
		conf_expect_message(&c, 1);
		conf_expect_message(&c, 2);
		c.now += 7 * US;
		assert_int_equal(conf_ack(&c, 1, 0, (uint8_t)(CONF_RNR | code)), REMU_DROP_NONE);
		conf_expect_silence_until(&c, c.now + wait - 1);
		conf_wait(&c, c.now + 1 + wait / 20);
		conf_expect_message(&c, 1);
		conf_expect_message(&c, 2);
		conf_expect_silence(&c);
		conf_expect_no_wc(&c);
		assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		assert_int_equal(stats(&c)->rnr_naks_received, 1);
		assert_int_equal(stats(&c)->timeouts, 0);
		conf_close(&c);
	}
}

static void
c74_rnr_retries_end_or_never_end(void **state)
{
	enum { EVER = 7, MANY = 1000 };
	struct conf c;

	(void)state;
	for (uint32_t retry = 0; retry <= EVER; retry++) {
		uint32_t naks = retry == EVER ? MANY : retry;

		conf_open(&c,
			&(struct conf_config){.rnr_retry = retry,
				.cq = 8,
				.rq_depth = 2,
				.disable = REMU_RECOVERY_SELECTIVE});
		snprintf(c.label, sizeof(c.label), "rnr_retry %u", retry);
		assert_int_equal(conf_post_recv(&c, 50, 0, 8), 0);
		conf_post(&c, 1, S, 0, 8);
		conf_post(&c, 2, W, 0, 8);
		for (uint32_t n = 0; n < naks; n++) {
			conf_wait(&c, c.now + 1280 * US + 64 * US);
			conf_expect_message(&c, 1);
			conf_expect_message(&c, 2);
			assert_int_equal(conf_ack(&c, 1, 0, CONF_RNR | 14), REMU_DROP_NONE);
			conf_expect_silence(&c);
			conf_expect_no_wc(&c);
		}
		conf_wait(&c, c.now + 1280 * US + 64 * US);
		conf_expect_message(&c, 1);
		conf_expect_message(&c, 2);
		if (retry == EVER) {
			assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
			conf_expect_no_wc(&c);
		} else {
			assert_int_equal(conf_ack(&c, 1, 0, CONF_RNR | 14), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_RNR_RETRY_EXC_ERR);
			conf_expect_recv(&c,
				&(struct remu_wc){.wr_id = 50,
					.status = REMU_WC_WR_FLUSH_ERR,
					.opcode = S});
			expect_dead(&c, 2, 2);
		}
		conf_close(&c);
	}
	assert_int_equal(REMU_WC_RNR_RETRY_EXC_ERR, 13);
}

static void
c75_sequence_nak_does_not_end_rnr_wait(void **state)
{
	enum { RNR_NS = 1280 * US };
	struct conf c;

	(void)state;
	for (uint32_t disable = 0; disable <= REMU_RECOVERY_SELECTIVE;
		disable += REMU_RECOVERY_SELECTIVE) {
		uint64_t end;

		conf_open(&c, &(struct conf_config){.rnr_retry = 1, .disable = disable});
		conf_post(&c, 1, S, 0, 8);
		conf_post(&c, 2, W, 0, 8);
		conf_expect_message(&c, 1);
		conf_expect_message(&c, 2);
		assert_int_equal(conf_ack(&c, 1, 0, CONF_RNR | 14), REMU_DROP_NONE);
		end = c.now + RNR_NS;
		for (int n = 0; n < 4; n++) {
			conf_expect_silence_until(&c, c.now + RNR_NS / 5);
			conf_ack(&c, 1, 0, NAK);
			conf_expect_silence(&c);
		}
		conf_expect_silence_until(&c, end - 1);
		conf_wait(&c, end + RNR_NS / 20);
		conf_expect_message(&c, 1);
		if (disable != 0) /* otherwise the peer may have kept it, see 237 */
			conf_expect_message(&c, 2);
		conf_expect_silence(&c);
		conf_expect_no_wc(&c);
		assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		conf_close(&c);
	}
}

/*
 * One response of five is lost, but not the last. `in_order`: what comes behind the gap is not
 * kept. `rxe`: the peer answers the rest with MIDDLE and LAST. All of the rest, also what we have got.
 */
static void
lose_one_response(uint32_t lost, bool in_order, bool rxe)
{
	enum { LEN = 4 * MTU + 9, N = 5 };
	struct conf c;

	conf_open(&c,
		&(struct conf_config){.sq_psn = 0xfffffd,
			.disable = in_order ? REMU_RECOVERY_READ : 0});
	snprintf(c.label, sizeof(c.label), "lost %u, in order %d, rxe %d", lost, in_order, rxe);
	conf_post(&c, 1, R, 3, LEN);
	if (!in_order) /* which would have it sent again with the READ */
		conf_post(&c, 2, W, 0, 8);
	conf_expect_read_all(&c, 1);
	if (!in_order)
		conf_expect_message(&c, 2);
	for (uint32_t k = 0; k < N; k++)
		if (k != lost)
			assert_int_equal(conf_data(&c, 1, k, 0, N),
				k > lost && in_order ? REMU_DROP_RESP_GAP : REMU_DROP_NONE);
	conf_expect_no_wc(&c);
	conf_expect_read(&c, 1, lost, N - lost);
	conf_expect_silence(&c);
	for (uint32_t k = lost; k < N; k++) {
		bool needed = in_order || k == lost;

		if (needed)
			conf_expect_no_wc(&c);
		assert_int_equal(conf_data(&c, 1, k, rxe && lost != 0 ? N : lost, N),
			needed ? REMU_DROP_NONE : REMU_DROP_RESP_STALE);
	}
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_no_wc(&c);
	conf_expect_silence(&c);
	if (!in_order) {
		assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	}
	conf_expect_rest(&c);
	assert_int_equal(stats(&c)->timeouts, 0);
	conf_expect_local(&c, 3, LEN);
	conf_close(&c);
}

static void
c76_lost_response_is_asked_for_again(void **state)
{
	(void)state;
	for (uint32_t lost = 0; lost < 4; lost++)
		for (int in_order = 0; in_order < 2; in_order++)
			lose_one_response(lost, in_order, false);
}

static void
c77_lost_last_response_is_asked_for_by_timer(void **state)
{
	enum { LEN = 2 * MTU + 9 };
	struct conf c;

	(void)state;
	for (int rxe = 0; rxe < 2; rxe++) {
		conf_open(&c,
			&(struct conf_config){.retry_cnt = 1, .disable = REMU_RECOVERY_PROBE});
		conf_post(&c, 1, R, 3, LEN);
		conf_expect_read_all(&c, 1);
		assert_int_equal(conf_data(&c, 1, 0, 0, 3), REMU_DROP_NONE);
		assert_int_equal(conf_data(&c, 1, 1, 0, 3), REMU_DROP_NONE);
		conf_expect_silence_until(&c, c.now + T_NS - 1);
		conf_wait(&c, c.now + T_NS / 20);
		conf_expect_read(&c, 1, 2, 1);
		conf_expect_silence(&c);
		conf_expect_no_wc(&c);
		assert_int_equal(conf_data(&c, 1, 2, rxe ? 0 : 2, 3), REMU_DROP_NONE);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		conf_expect_local(&c, 3, LEN);
		conf_close(&c);
	}
}

static void
c78_rest_of_read_is_taken_in_either_form(void **state)
{
	enum { LEN = 5 * MTU, N = 5 };
	struct conf c;

	(void)state;
	for (uint32_t lost = 1; lost < 4; lost++)
		for (int in_order = 0; in_order < 2; in_order++)
			lose_one_response(lost, in_order, true);
	/* Nothing behind the first ones has come: the whole rest in rxe's form. */
	for (uint32_t got = 1; got < N; got++) {
		conf_open(&c, &(struct conf_config){.retry_cnt = 1});
		snprintf(c.label, sizeof(c.label), "got %u", got);
		conf_post(&c, 1, R, 0, LEN);
		conf_expect_read_all(&c, 1);
		for (uint32_t k = 0; k < got; k++)
			assert_int_equal(conf_data(&c, 1, k, 0, N), REMU_DROP_NONE);
		conf_wait(&c, c.now + T_NS + T_NS / 20);
		conf_expect_read(&c, 1, got, N - got);
		for (uint32_t k = got; k < N; k++) {
			conf_expect_no_wc(&c);
			assert_int_equal(conf_data(&c, 1, k, 0, N), REMU_DROP_NONE);
		}
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		conf_expect_local(&c, 0, LEN);
		conf_close(&c);
	}
}

/* Whatever the acknowledgement says, and only once. */
static void
c79_ack_beyond_read_asks_again(void **state)
{
	static const uint8_t syndromes[] = {ACK, NAK};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(syndromes); i++)
		for (uint32_t got = 0; got < 3; got++) {
			conf_open(&c,
				&(struct conf_config){.retry_cnt = 1,
					.disable = REMU_RECOVERY_SELECTIVE});
			snprintf(c.label, sizeof(c.label), "syndrome %02x, got %u", syndromes[i],
				got);
			conf_post(&c, 1, W, 0, 8);
			conf_post(&c, 2, R, 8192, 3 * MTU);
			conf_post(&c, 3, W, 0, 8);
			conf_post(&c, 4, W, 0, 8);
			conf_expect_message(&c, 1);
			conf_expect_read_all(&c, 2);
			conf_expect_message(&c, 3);
			conf_expect_message(&c, 4);
			for (uint32_t k = 0; k < got; k++)
				assert_int_equal(conf_data(&c, 2, k, 0, 3), REMU_DROP_NONE);
			assert_int_equal(conf_ack(&c, 3 + i, 0, syndromes[i]), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			conf_expect_no_wc(&c);
			conf_expect_read(&c, 2, got, 3 - got);
			if (syndromes[i] == NAK)
				conf_expect_message(&c, 4);
			conf_expect_silence(&c);
			conf_ack(&c, 3 + i, 0, syndromes[i]);
			conf_expect_silence(&c);
			conf_expect_no_wc(&c);
			for (uint32_t k = got; k < 3; k++)
				assert_int_equal(conf_data(&c, 2, k, got, 3), REMU_DROP_NONE);
			conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
			conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
			conf_expect_no_wc(&c);
			assert_int_equal(conf_ack(&c, 4, 0, ACK), REMU_DROP_NONE);
			conf_expect_wc(&c, 4, REMU_WC_SUCCESS);
			conf_expect_rest(&c);
			conf_expect_local(&c, 8192, 3 * MTU);
			conf_close(&c);
		}
}

static void
c80_read_response_completes_earlier_writes(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.sq_psn = 0xfffffe});
	conf_post(&c, 1, W, 0, 8);
	conf_post(&c, 2, S, 0, 2 * MTU);
	conf_post(&c, 3, R, 8192, 2 * MTU);
	conf_expect_message(&c, 1);
	conf_expect_message(&c, 2);
	conf_expect_read_all(&c, 3);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_data(&c, 3, 0, 0, 2), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_data(&c, 3, 1, 0, 2), REMU_DROP_NONE);
	conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_expect_local(&c, 8192, 2 * MTU);
	conf_close(&c);
}

static void
c81_bad_read_response_fails_the_read(void **state)
{
	enum { FIRST = 0x0d, MIDDLE = 0x0e, LAST = 0x0f, ONLY = 0x10 };
	static const struct {
		uint32_t len, good; /* of the READ; good responses before the bad one */
		uint8_t opcode;
		uint32_t bad_len;
		enum remu_wc_status status;
	} cases[] = {
		/* Too short, too long. */
		{8, 0, ONLY, 7, REMU_WC_LOC_LEN_ERR},
		{8, 0, ONLY, 9, REMU_WC_LOC_LEN_ERR},
		{8, 0, ONLY, 0, REMU_WC_LOC_LEN_ERR},
		{0, 0, ONLY, 1, REMU_WC_LOC_LEN_ERR},
		{8, 0, ONLY, MTU, REMU_WC_LOC_LEN_ERR},
		{8, 0, ONLY, 4096, REMU_WC_LOC_LEN_ERR},
		{MTU, 0, ONLY, MTU - 1, REMU_WC_LOC_LEN_ERR},
		{MTU, 0, ONLY, MTU + 1, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 0, FIRST, MTU - 4, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 0, FIRST, MTU + 4, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 0, FIRST, 0, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 1, LAST, 9, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 1, LAST, 7, REMU_WC_LOC_LEN_ERR},
		{MTU + 8, 1, LAST, 0, REMU_WC_LOC_LEN_ERR},
		{3 * MTU, 1, MIDDLE, MTU + 4, REMU_WC_LOC_LEN_ERR},
		{3 * MTU, 1, MIDDLE, MTU - 4, REMU_WC_LOC_LEN_ERR},
		/* Order of the opcodes. */
		{8, 0, FIRST, MTU, REMU_WC_BAD_RESP_ERR},
		{8, 0, MIDDLE, MTU, REMU_WC_BAD_RESP_ERR},
		{8, 0, LAST, 8, REMU_WC_BAD_RESP_ERR},
		{MTU + 8, 0, ONLY, MTU, REMU_WC_BAD_RESP_ERR},
		{MTU + 8, 0, LAST, 8, REMU_WC_BAD_RESP_ERR},
		{MTU + 8, 0, MIDDLE, MTU, REMU_WC_BAD_RESP_ERR},
		{MTU + 8, 1, FIRST, MTU, REMU_WC_BAD_RESP_ERR},
		{MTU + 8, 1, MIDDLE, MTU, REMU_WC_BAD_RESP_ERR},
		{MTU + 8, 1, ONLY, 8, REMU_WC_BAD_RESP_ERR},
		{3 * MTU, 1, LAST, MTU, REMU_WC_BAD_RESP_ERR},
		{3 * MTU, 1, FIRST, MTU, REMU_WC_BAD_RESP_ERR},
		{3 * MTU, 1, ONLY, MTU, REMU_WC_BAD_RESP_ERR},
		{3 * MTU, 2, MIDDLE, MTU, REMU_WC_BAD_RESP_ERR},
	};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		conf_open(&c, &(struct conf_config){0});
		snprintf(c.label, sizeof(c.label), "case %zu", i);
		conf_post(&c, 1, R, 8192, cases[i].len);
		conf_post(&c, 2, W, 0, 8);
		conf_expect_read_all(&c, 1);
		conf_expect_message(&c, 2);
		for (uint32_t k = 0; k < cases[i].good; k++)
			assert_int_equal(conf_data(&c, 1, k, 0, conf_packets(&c, 1)),
				REMU_DROP_NONE);
		assert_int_equal(conf_inject(&c,
					 &(struct roce_fields){.opcode = cases[i].opcode,
						 .psn = conf_psn(&c, 1, cases[i].good),
						 .syndrome = ACK},
					 c.remote, cases[i].bad_len),
			REMU_DROP_RESP_BAD);
		conf_expect_wc(&c, 1, cases[i].status);
		expect_dead(&c, 2, 2);
		conf_expect_local(&c, 8192, cases[i].good * MTU);
		conf_close(&c);
	}
}

static void
c82_duplicate_read_response_is_ignored(void **state)
{
	enum { LEN = 3 * MTU, N = 3 };
	static const uint8_t opcodes[] = {0x0d, 0x0e, 0x0f, 0x10};
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.sq_psn = 0xffffff});
	conf_post(&c, 1, R, 8192, LEN);
	conf_post(&c, 2, W, 0, 8);
	conf_expect_read_all(&c, 1);
	conf_expect_message(&c, 2);
	for (uint32_t k = 0; k < N; k++) {
		assert_int_equal(conf_data(&c, 1, k, 0, N), REMU_DROP_NONE);
		/* With other bytes, which must not get in, and in any form. */
		for (uint32_t old = 0; old <= k; old++)
			for (size_t i = 0; i < RTE_DIM(opcodes); i++)
				assert_int_equal(conf_inject(&c,
							 &(struct roce_fields){.opcode = opcodes[i],
								 .psn = conf_psn(&c, 1, old),
								 .syndrome = ACK},
							 c.remote + 65536, MTU),
					REMU_DROP_RESP_STALE);
	}
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_no_wc(&c);
	conf_expect_silence(&c);
	assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_expect_local(&c, 8192, LEN);
	conf_close(&c);

	/* Nor what has come behind a gap. */
	conf_open(&c, &(struct conf_config){0});
	conf_post(&c, 1, R, 8192, LEN);
	conf_expect_read_all(&c, 1);
	for (uint32_t k = 1; k < N; k++)
		assert_int_equal(conf_data(&c, 1, k, 0, N), REMU_DROP_NONE);
	conf_expect_read_all(&c, 1);
	for (uint32_t k = 1; k < N; k++)
		for (size_t i = 0; i < RTE_DIM(opcodes); i++)
			assert_int_equal(conf_inject(&c,
						 &(struct roce_fields){.opcode = opcodes[i],
							 .psn = conf_psn(&c, 1, k),
							 .syndrome = ACK},
						 c.remote + 65536, MTU),
				REMU_DROP_RESP_STALE);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_data(&c, 1, 0, 0, N), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_local(&c, 8192, LEN);
	conf_close(&c);
}

static void
c83_atomic_ack_for_a_read_fails_it(void **state)
{
	struct conf c;

	(void)state;
	for (uint32_t n = 1; n <= 2; n++) {
		conf_open(&c, &(struct conf_config){0});
		conf_post(&c, 1, W, 0, 8);
		conf_post(&c, 2, R, 8192, n * MTU);
		conf_post(&c, 3, W, 0, 8);
		conf_expect_message(&c, 1);
		conf_expect_read_all(&c, 2);
		conf_expect_message(&c, 3);
		assert_int_equal(conf_atomic_ack(&c, 2, 0x1234), REMU_DROP_RESP_BAD);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_expect_wc(&c, 2, REMU_WC_BAD_RESP_ERR);
		expect_dead(&c, 3, 3);
		conf_expect_local(&c, 0, 0);
		conf_close(&c);
	}
	assert_int_equal(REMU_WC_BAD_RESP_ERR, 7);
}

/* READs and atomics count alike, also after going back. */
static void
c84_at_most_max_rd_atomic_outstanding(void **state)
{
	enum { N = 40 };
	struct conf c;

	(void)state;
	for (uint32_t max = 1; max <= 16; max++) {
		conf_open(&c,
			&(struct conf_config){.max_rd = max,
				.retry_cnt = 1,
				.disable = REMU_RECOVERY_PROBE});
		snprintf(c.label, sizeof(c.label), "max %u", max);
		for (uint64_t id = 0; id < N; id++)
			conf_post(&c, id, id % 3 == 2 ? ADD : R, 8 * (uint32_t)id, 8);
		for (int round = 0; round < 2; round++) {
			for (uint64_t id = 0; id < max; id++)
				if (id % 3 == 2)
					conf_expect_atomic(&c, id);
				else
					conf_expect_read_all(&c, id);
			conf_expect_silence(&c);
			if (round == 0)
				conf_wait(&c, c.now + T_NS + T_NS / 20);
		}
		for (uint64_t id = 0; id < N; id++) {
			uint64_t next = id + max;

			assert_int_equal(id % 3 == 2 ? conf_atomic_ack(&c, id, id)
						     : conf_data(&c, id, 0, 0, 1),
				REMU_DROP_NONE);
			conf_expect_wc(&c, id, REMU_WC_SUCCESS);
			if (next < N && next % 3 == 2)
				conf_expect_atomic(&c, next);
			else if (next < N)
				conf_expect_read_all(&c, next);
			conf_expect_silence(&c);
		}
		conf_expect_rest(&c);
		conf_close(&c);
	}
}

static void
post_fenced(struct conf *c, uint64_t id, uint8_t opcode)
{
	conf_post_wr(c,
		&(struct remu_wr){
			.wr_id = id,
			.addr = c->local + 65536,
			.remote_va = (CONF_VA + 65536) & ~UINT64_C(7),
			.length = 8,
			.rkey = CONF_RKEY,
			.opcode = opcode,
			.flags = REMU_WR_FENCE,
		});
}

static void
c85_fence_holds_write_until_read_is_done(void **state)
{
	static const uint8_t opcodes[] = {W, WI, S, SI};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(opcodes); i++) {
		conf_open(&c, &(struct conf_config){0});
		conf_post(&c, 1, W, 0, 8);
		conf_post(&c, 2, R, 8192, 2 * MTU);
		conf_post(&c, 3, W, 0, 8);
		post_fenced(&c, 4, opcodes[i]);
		conf_post(&c, 5, W, 0, 8);
		conf_expect_message(&c, 1);
		conf_expect_read_all(&c, 2);
		conf_expect_message(&c, 3); /* has no fence */
		conf_expect_silence(&c);
		assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		assert_int_equal(conf_data(&c, 2, 0, 0, 2), REMU_DROP_NONE);
		conf_expect_silence(&c);
		assert_int_equal(conf_data(&c, 2, 1, 0, 2), REMU_DROP_NONE);
		conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
		/* A fence does not wait for WRITEs: 3 is not acknowledged. */
		conf_expect_message(&c, 4);
		conf_expect_message(&c, 5);
		conf_expect_silence(&c);
		assert_int_equal(conf_ack(&c, 5, 0, ACK), REMU_DROP_NONE);
		for (uint64_t id = 3; id <= 5; id++)
			conf_expect_wc(&c, id, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		conf_expect_local(&c, 8192, 2 * MTU);
		conf_close(&c);
	}
}

static void
c86_ackreq_on_last_packets_and_every_sixteenth(void **state)
{
	enum { PACKETS = 50 };
	static const uint8_t opcodes[] = {W, WI, S, SI};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(opcodes); i++) {
		conf_open(&c, &(struct conf_config){.window = 100});
		for (uint64_t id = 1; id <= 5; id++)
			conf_post(&c, id, opcodes[i], 0, 8);
		conf_post(&c, 6, opcodes[i], 0, PACKETS * MTU);
		conf_post(&c, 7, opcodes[i], 0, 2 * MTU);
		for (uint64_t id = 1; id <= 5; id++)
			conf_expect_packet_ack(&c, id, 0, true);
		for (uint32_t k = 0; k < PACKETS; k++)
			conf_expect_packet_ack(&c, 6, k,
				k == 15 || k == 31 || k == 47 || k == PACKETS - 1);
		conf_expect_packet_ack(&c, 7, 0, false);
		conf_expect_packet_ack(&c, 7, 1, true);
		conf_expect_silence(&c);
		conf_close(&c);
	}
}

enum { OBEDIENT_MESSAGES = 6, OBEDIENT_PACKETS = 4096 };

struct obedient_message {
	uint32_t asked;	    /* packets that were sent, or asked for */
	uint32_t begin[64]; /* READ: from where each request asks, in order */
	uint32_t begins;
	bool ackreq[OBEDIENT_PACKETS];
};

/*
 * A peer that answers what has been sent in order, one frame at a time, and sees what is under way:
 * from the oldest PSN that is not answered to the end of the newest request.
 */
struct obedient {
	struct conf *c;
	uint32_t window;
	uint32_t answered; /* PSNs, counted from the first */
	uint32_t sent;
	uint64_t id;   /* that owns `answered` */
	uint32_t k;    /* packet of it */
	uint64_t next; /* that owns `sent` */
	struct obedient_message message[OBEDIENT_MESSAGES];
};

/* Takes all that the engine may send now. */
static void
take_all(struct obedient *o)
{
	const struct conf_frame *frame;

	while ((frame = conf_tx(o->c)) != NULL) {
		struct roce_fields f = conf_bth(o->c, frame);
		struct obedient_message *m = &o->message[o->next];
		uint32_t n = 1, k;

		if (m->asked == conf_packets(o->c, o->next))
			m = &o->message[++o->next];
		k = m->asked;
		assert_int_equal(f.psn, conf_psn(o->c, o->next, k));
		m->ackreq[k] = f.ackreq;
		if (f.opcode == 0x0c) {
			/* Its length is the last of the 28 bytes before the ICRC. */
			const uint8_t *len = frame->bytes + frame->len - 8;
			uint32_t bytes = (uint32_t)len[0] << 24 | (uint32_t)len[1] << 16 |
				(uint32_t)len[2] << 8 | len[3];

			n = RTE_MAX((bytes + o->c->mtu - 1) / o->c->mtu, 1u);
			assert_in_range(m->begins, 0, RTE_DIM(m->begin) - 1);
			m->begin[m->begins++] = k;
		}
		m->asked += n;
		assert_in_range(k + n, 1, conf_packets(o->c, o->next));
		o->sent += n;
		if (o->sent - o->answered > o->window)
			fail_msg("%s: %u PSNs under way", o->c->label, o->sent - o->answered);
		/* The peer would not answer otherwise, and nothing more would come. */
		if (o->sent - o->answered == o->window)
			assert_true(f.ackreq);
	}
}

/* Answers one packet, one of a WRITE or SEND only if it asks for that. */
static void
answer_one(struct obedient *o)
{
	struct conf *c = o->c;
	const struct obedient_message *m = &o->message[o->id];
	uint32_t total = conf_packets(c, o->id);

	if (c->posted[o->id].wr.opcode == R) {
		uint32_t from = 0, to = total;

		for (uint32_t i = 0; i < m->begins; i++)
			if (m->begin[i] <= o->k)
				from = m->begin[i];
			else
				to = RTE_MIN(to, m->begin[i]);
		/* A request that has not been sent yet begins where this one ends. */
		to = RTE_MIN(to, m->asked);
		assert_int_equal(conf_data(c, o->id, o->k, from, to), REMU_DROP_NONE);
	} else if (m->ackreq[o->k]) {
		assert_int_equal(conf_ack(c, o->id, o->k, ACK), REMU_DROP_NONE);
	}
	o->answered++;
	if (++o->k == total) {
		conf_expect_wc(c, o->id, REMU_WC_SUCCESS);
		o->id++;
		o->k = 0;
	}
}

static void
c87_window_is_never_exceeded(void **state)
{
	static const uint32_t windows[] = {1, 2, 3, 5, 16, 17, 64, 100, 4096};
	static const uint8_t opcodes[] = {W, R, S, R, W, R};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(windows); i++)
		for (uint32_t mix = 0; mix < 3; mix++) {
			static struct obedient o;
			bool wide = windows[i] == 4096;
			uint32_t mtu = wide ? 256 : MTU, packets = wide ? OBEDIENT_PACKETS : 48;
			uint32_t all = 0;

			memset(&o, 0, sizeof(o));
			o.c = &c;
			o.window = windows[i];
			conf_open(&c,
				&(struct conf_config){.window = windows[i],
					.sq_psn = 0xfffff0,
					.mtu = mtu});
			snprintf(c.label, sizeof(c.label), "window %u, mix %u", windows[i], mix);
			for (uint64_t id = 0; id < OBEDIENT_MESSAGES; id++) {
				uint8_t opcode = mix == 0 ? W : mix == 1 ? R : opcodes[id];

				conf_post(&c, id, opcode, 0, packets * mtu);
				all += packets;
			}
			while (o.answered < all) {
				take_all(&o);
				assert_true(o.sent > o.answered);
				answer_one(&o);
			}
			conf_expect_rest(&c);
			assert_int_equal(stats(&c)->retransmits, 0);
			conf_close(&c);
		}
}

static void
c88_empty_write_is_one_write_only(void **state)
{
	/* To the byte: source port, IP ID and what depends on them are filled in. */
	static const uint8_t want[] = {
		0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, /* Ethernet */
		0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, /* IP */
		0, 0, 0x12, 0xb7, 0, 40, 0, 0,						 /* UDP */
		0x0a, 0x40, 0xff, 0xff, 0, 0, 0, 0x22, 0x80, 0x12, 0x34, 0x56,		 /* BTH */
		0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0, 0, 0xfe, 0xed, 0, 0, 0, 0,	 /* RETH */
	};
	const struct conf_frame *got;
	uint32_t sum = 0, icrc;
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.sq_psn = 0x123456});
	conf_post(&c, 1, W, 0, 0);
	got = conf_tx(&c);
	assert_non_null(got);
	assert_int_equal(got->len, sizeof(want) + 4);
	for (size_t i = 0; i < sizeof(want); i++)
		if (!(i >= 18 && i < 20) && !(i >= 24 && i < 26) && !(i >= 34 && i < 36))
			assert_int_equal(got->bytes[i], want[i]);
	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)got->bytes[i] << 8 | got->bytes[i + 1];
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	icrc = conf_icrc(got->bytes + 14, sizeof(want) - 14);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(got->bytes[sizeof(want) + i], icrc >> 8 * i & 0xff);
	conf_expect_silence(&c);
	assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	/* Without a buffer, too; its PSN is the next. */
	conf_post_wr(&c, &(struct remu_wr){.wr_id = 2, .opcode = W, .remote_va = 1, .rkey = 2});
	conf_expect(&c,
		&(struct roce_fields){.opcode = 0x0a,
			.ackreq = true,
			.psn = 0x123457,
			.va = 1,
			.rkey = 2},
		NULL, 0);
	assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_close(&c);
}

static void
c89_message_of_k_mtu_has_k_packets(void **state)
{
	static const uint32_t mtus[] = {256, 512, 1024, 2048, 4096};
	static const uint8_t opcodes[] = {W, WI, S, SI, R};
	struct conf c;

	(void)state;
	for (size_t m = 0; m < RTE_DIM(mtus); m++)
		for (size_t i = 0; i < RTE_DIM(opcodes); i++)
			for (uint32_t k = 1; k <= 5; k++) {
				bool read = opcodes[i] == R;

				conf_open(&c,
					&(struct conf_config){.mtu = mtus[m], .sq_psn = 0xfffffe});
				snprintf(c.label, sizeof(c.label), "MTU %u, opcode %u, %u packets",
					mtus[m], opcodes[i], k);
				conf_post(&c, 1, opcodes[i], 65536, k * mtus[m]);
				conf_post(&c, 2, W, 0, 8);
				assert_int_equal(conf_packets(&c, 1), k);
				if (read)
					conf_expect_read_all(&c, 1);
				else
					conf_expect_message(&c, 1);
				conf_expect_message(&c, 2); /* tells how many PSNs 1 took */
				conf_expect_silence(&c);
				for (uint32_t j = 0; read && j < k; j++)
					assert_int_equal(conf_data(&c, 1, j, 0, k), REMU_DROP_NONE);
				assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
				conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
				conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
				conf_expect_rest(&c);
				conf_expect_local(&c, 65536, read ? k * mtus[m] : 0);
				conf_close(&c);
			}
}

/*
 * Statement 90: two engines over a network that loses, reorders and duplicates. Every operation
 * has its own slot of all memory until it completes.
 */
enum {
	PAIR_MTU = 256,
	PAIR_DEPTH = 16,
	PAIR_SLOTS = 2 * PAIR_DEPTH,
	PAIR_SLOT = 6 * PAIR_MTU,
	PAIR_RECVS = 8,
	PAIR_OPS = 100000,
	PAIR_STALL_NS = 2000000000,
	PAIR_FRAMES = 4096,
	PAIR_READ_KEY = 1,
	PAIR_WRITE_KEY,
	PAIR_ATOMIC_KEY,
	PAIR_VA = 0x10000,
};

struct pair {
	struct rte_mempool *pool;
	struct remu_engine *e[2];
	struct remu_qp *qp[2];
	struct link_pool frames;
	struct link link[2]; /* away from engine 0, away from engine 1 */
	void *memory;
	uint64_t now;
	uint64_t progress_at;
	uint64_t seed;
	/* Requester, engine 0. */
	struct remu_wr wr[PAIR_SLOTS];
	uint64_t found[PAIR_SLOTS]; /* atomics: what must be found */
	uint64_t posted;
	uint64_t completed;
	uint8_t buffer[PAIR_SLOTS][PAIR_SLOT];
	/* Responder, engine 1. */
	uint32_t takers[PAIR_SLOTS]; /* slots of work requests that take a receive request */
	uint64_t n_takers;
	uint64_t recv_posted;
	uint64_t recv_done;
	uint64_t refill_at;
	uint8_t recv[PAIR_RECVS][PAIR_SLOT];
	uint8_t source[PAIR_SLOTS][PAIR_SLOT];
	uint8_t target[PAIR_SLOTS][PAIR_SLOT];
	uint64_t counter;
	/* What the memory of the responder will be once all posted is done. */
	uint8_t image[PAIR_SLOTS][PAIR_SLOT];
	uint64_t count;
};

static void
pair_register(struct pair *p, void *addr, size_t len, uint32_t rkey, uint32_t access)
{
	struct remu_mr_config mr = {
		.addr = addr,
		.va = PAIR_VA,
		.length = len,
		.rkey = rkey,
		.pd = CONF_PD,
		.access = access,
	};

	assert_int_equal(remu_mr_register(p->e[1], &mr), 0);
}

static void
pair_open(struct pair *p, uint32_t disable)
{
	const struct conf_config cfg = {
		.mtu = PAIR_MTU,
		.window = 32,
		.sq_depth = PAIR_DEPTH,
		.rq_depth = PAIR_RECVS,
		.sq_psn = 0xffff00,
		.rq_psn = 0x7fff00,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.disable = disable,
	};
	static const struct link_config bad = {
		.loss_ppm = 50000,
		.duplicate_ppm = 50000,
		.duplicate_max_ns = 20000,
		.reorder_ppm = 50000,
		.reorder_window = 8,
		.reorder_ns = 50000,
		.delay_ns = 5000,
		.jitter_ns = 2000,
	};
	static const uint32_t qpns[] = {CONF_QPN, CONF_PEER_QPN};

	memset(p, 0, sizeof(*p));
	p->seed = 90;
	p->pool = eal_pool(16384);
	p->memory = malloc(link_pool_size(PAIR_FRAMES, 512));
	assert_non_null(p->memory);
	link_pool_init(&p->frames, p->memory, PAIR_FRAMES, 512);
	for (int end = 0; end < 2; end++) {
		struct remu_qp_attr attr = conf_attr(&cfg, end);

		attr.min_rnr_timer_us = 20;
		p->e[end] = conf_engine(&cfg, end, p->pool);
		p->qp[end] = conf_qp(p->e[end], &cfg, &(struct remu_qp_config){.qpn = qpns[end]},
			&attr);
		assert_int_equal(link_init(&p->link[end], &p->frames, (uint64_t)end + 90, &bad), 0);
	}
	prng_fill(&p->seed, p->source, sizeof(p->source));
	pair_register(p, p->source, sizeof(p->source), PAIR_READ_KEY, REMU_ACCESS_REMOTE_READ);
	pair_register(p, p->target, sizeof(p->target), PAIR_WRITE_KEY, REMU_ACCESS_REMOTE_WRITE);
	pair_register(p, &p->counter, sizeof(p->counter), PAIR_ATOMIC_KEY,
		REMU_ACCESS_REMOTE_ATOMIC);
}

static void
pair_close(struct pair *p)
{
	for (int end = 0; end < 2; end++) {
		remu_engine_destroy(p->e[end]);
		link_close(&p->link[end]);
	}
	free(p->memory);
	eal_pool_free(p->pool);
}

/* What an atomic will find, and what it will leave. */
static void
pair_atomic(struct pair *p, struct remu_wr *wr, uint64_t *found)
{
	*found = p->count;
	wr->length = 8;
	wr->remote_va = PAIR_VA;
	wr->rkey = PAIR_ATOMIC_KEY;
	wr->swap_add = prng_next(&p->seed);
	wr->compare = p->count + prng_below(&p->seed, 2);
	if (wr->opcode == ADD)
		p->count += wr->swap_add;
	else if (wr->compare == p->count)
		p->count = wr->swap_add;
}

static void
pair_post(struct pair *p)
{
	uint32_t slot = p->posted % PAIR_SLOTS, off;
	struct remu_wr *wr = &p->wr[slot];

	*wr = (struct remu_wr){
		.wr_id = p->posted,
		.addr = p->buffer[slot],
		.length = prng_below(&p->seed,
			prng_below(&p->seed, 5) == 0 ? PAIR_SLOT + 1 : 2 * PAIR_MTU),
		.opcode = (uint8_t)prng_below(&p->seed, REMU_WR_COUNT),
		.flags = prng_below(&p->seed, 10) == 0 ? REMU_WR_FENCE : 0,
		.imm = (uint32_t)prng_next(&p->seed),
	};
	off = prng_below(&p->seed, PAIR_SLOT - wr->length + 1);
	wr->remote_va = PAIR_VA + slot * PAIR_SLOT + off;
	prng_fill(&p->seed, wr->addr, wr->length);
	if (wr->opcode == WI || wr->opcode == S || wr->opcode == SI)
		p->takers[p->n_takers++ % PAIR_SLOTS] = slot;
	switch (wr->opcode) {
	case W:
	case WI:
		wr->rkey = PAIR_WRITE_KEY;
		/* What older WRITEs have left here stands to this moment. */
		assert_memory_equal(p->target[slot], p->image[slot], PAIR_SLOT);
		memcpy(p->image[slot] + off, wr->addr, wr->length);
		break;
	case R:
		wr->rkey = PAIR_READ_KEY;
		break;
	case CAS:
	case ADD:
		pair_atomic(p, wr, &p->found[slot]);
		break;
	}
	assert_int_equal(remu_qp_post(p->e[0], p->qp[0], wr, p->now), 0);
	p->posted++;
}

/* Late now and then, so that the peer runs into RNR NAKs. */
static void
pair_post_recv(struct pair *p)
{
	if (p->now < p->refill_at)
		return;
	p->refill_at = p->now + prng_below(&p->seed, 300 * US);
	while (p->recv_posted - p->recv_done < PAIR_RECVS) {
		struct remu_recv_wr recv = {
			.wr_id = p->recv_posted,
			.addr = p->recv[p->recv_posted % PAIR_RECVS],
			.length = PAIR_SLOT,
		};

		assert_int_equal(remu_qp_post_recv(p->e[1], p->qp[1], &recv), 0);
		p->recv_posted++;
	}
}

static void
pair_check_received(struct pair *p, const struct remu_wc *wc)
{
	const struct remu_wr *wr;
	uint32_t slot;

	assert_int_equal(wc->kind, REMU_WC_RECV);
	assert_int_equal(wc->status, REMU_WC_SUCCESS);
	assert_int_equal(wc->wr_id, p->recv_done);
	assert_true(p->recv_done < p->n_takers);
	slot = p->takers[p->recv_done % PAIR_SLOTS];
	wr = &p->wr[slot];
	assert_int_equal(wc->opcode, wr->opcode);
	assert_int_equal(wc->byte_len, wr->length);
	assert_int_equal(wc->flags, wr->opcode == S ? 0 : REMU_WC_WITH_IMM);
	if (wr->opcode != S)
		assert_int_equal(wc->imm, wr->imm);
	if (wr->opcode == WI)
		assert_memory_equal(p->target[slot], p->image[slot], PAIR_SLOT);
	else
		assert_memory_equal(p->recv[p->recv_done % PAIR_RECVS], wr->addr, wr->length);
	p->recv_done++;
}

static void
pair_check_done(struct pair *p, const struct remu_wc *wc)
{
	uint32_t slot = p->completed % PAIR_SLOTS;
	const struct remu_wr *wr = &p->wr[slot];

	assert_int_equal(wc->kind, REMU_WC_WORK);
	assert_int_equal(wc->wr_id, p->completed);
	assert_int_equal(wc->status, REMU_WC_SUCCESS);
	assert_int_equal(wc->opcode, wr->opcode);
	assert_int_equal(wc->byte_len, wr->length);
	if (wr->opcode == W || wr->opcode == WI)
		assert_memory_equal(p->target[slot], p->image[slot], PAIR_SLOT);
	else if (wr->opcode == R)
		assert_memory_equal(wr->addr, (uint8_t *)p->source + (wr->remote_va - PAIR_VA),
			wr->length);
	else if (wr->opcode == CAS || wr->opcode == ADD)
		assert_memory_equal(wr->addr, &p->found[slot], 8);
	p->completed++;
	p->progress_at = p->now;
}

static void
pair_deliver(struct pair *p, int to)
{
	struct rte_mbuf *burst[32];
	uint16_t n;

	do {
		for (n = 0; n < RTE_DIM(burst); n++) {
			uint8_t frame[512];
			uint32_t len = link_recv(&p->link[!to], frame, sizeof(frame), p->now);

			if (len == 0)
				break;
			burst[n] = rte_pktmbuf_alloc(p->pool);
			assert_non_null(burst[n]);
			memcpy(rte_pktmbuf_append(burst[n], (uint16_t)len), frame, len);
		}
		remu_engine_rx(p->e[to], burst, n, p->now);
	} while (n == RTE_DIM(burst));
}

static void
pair_send(struct pair *p, int from)
{
	struct rte_mbuf *burst[32];
	uint16_t n;

	remu_engine_poll(p->e[from], p->now);
	while ((n = remu_engine_tx(p->e[from], burst, RTE_DIM(burst), p->now)) != 0)
		for (uint16_t i = 0; i < n; i++) {
			link_send(&p->link[from], rte_pktmbuf_mtod(burst[i], void *),
				burst[i]->pkt_len, p->now);
			rte_pktmbuf_free(burst[i]);
		}
}

/* Let all that is due happen, then go on to the next moment at which something is. */
static void
pair_step(struct pair *p)
{
	uint64_t next = UINT64_MAX;

	for (int end = 0; end < 2; end++)
		pair_deliver(p, end);
	for (int end = 0; end < 2; end++)
		pair_send(p, end);
	for (int end = 0; end < 2; end++) {
		next = RTE_MIN(next, remu_engine_next_deadline(p->e[end]));
		next = RTE_MIN(next, link_next(&p->link[end]));
	}
	if (next != UINT64_MAX && next > p->now)
		p->now = next;
	if (p->now - p->progress_at > PAIR_STALL_NS)
		fail_msg("no completion after %lu", p->completed);
}

/* Carry out `ops` operations; everything is as it must be. */
static void
pair_run(uint64_t ops, uint32_t disable)
{
	static struct pair p;
	struct remu_wc wc;

	pair_open(&p, disable);
	while (p.completed < ops) {
		while (p.posted < ops && p.posted - p.completed < PAIR_DEPTH)
			pair_post(&p);
		pair_post_recv(&p);
		pair_step(&p);
		while (remu_engine_poll_wc(p.e[1], &wc, 1) != 0)
			pair_check_received(&p, &wc);
		while (remu_engine_poll_wc(p.e[0], &wc, 1) != 0)
			pair_check_done(&p, &wc);
	}
	assert_memory_equal(p.target, p.image, sizeof(p.target));
	assert_int_equal(p.counter, p.count);
	assert_int_equal(p.recv_done, p.n_takers);
	assert_int_equal(remu_engine_stats(p.e[0])->wc_success, ops);
	for (int end = 0; end < 2; end++) {
		const struct link_stats *bad = link_stats(&p.link[end]);

		assert_int_equal(remu_engine_stats(p.e[end])->wc_error, 0);
		assert_in_range(bad->lost[LINK_LOST_RANDOM], bad->sent / 25, bad->sent / 16);
		assert_in_range(bad->duplicated, bad->sent / 25, bad->sent / 16);
		assert_in_range(bad->reordered, bad->sent / 25, bad->sent);
	}
	assert_true(remu_engine_stats(p.e[1])->rnr_naks_sent > 0);
	pair_close(&p);
}

static void
c90_order_and_data_survive_a_bad_network(void **state)
{
	(void)state;
	pair_run(PAIR_OPS, 0);
}

/* The same with every mixture of the ways of recovery: plain RC without them all. */
static void
c244_any_recovery_switched_off(void **state)
{
	(void)state;
	for (uint32_t disable = 1; disable <= REMU_RECOVERY_ALL; disable++)
		pair_run(PAIR_OPS / 20, disable);
}

/* Further statements. */

/* SEND: opcodes 04, or 00 01.. 02; with immediate 05 or 03; SE only in the last packet. */
static void
c201_send_has_its_opcodes_and_no_reth(void **state)
{
	static const struct {
		uint8_t opcode;
		uint32_t len;
		uint8_t on_wire[3];
	} cases[] = {
		{S, 0, {0x04}},
		{S, 8, {0x04}},
		{S, MTU, {0x04}},
		{S, 2 * MTU, {0x00, 0x02}},
		{S, 2 * MTU + 1, {0x00, 0x01, 0x02}},
		{SI, 0, {0x05}},
		{SI, 3, {0x05}},
		{SI, 2 * MTU, {0x00, 0x03}},
		{SI, 3 * MTU, {0x00, 0x01, 0x03}},
	};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		for (uint32_t flags = 0; flags <= REMU_WR_SOLICITED; flags += REMU_WR_SOLICITED) {
			uint32_t n;

			conf_open(&c, &(struct conf_config){.sq_psn = 0xffffff});
			snprintf(c.label, sizeof(c.label), "case %zu, flags %x", i, flags);
			conf_post_wr(&c,
				&(struct remu_wr){.wr_id = 1,
					.opcode = cases[i].opcode,
					.addr = c.local,
					.length = cases[i].len,
					.flags = (uint8_t)flags,
					.imm = 0x01020304});
			n = conf_packets(&c, 1);
			for (uint32_t k = 0; k < n; k++)
				conf_expect(&c,
					&(struct roce_fields){
						.opcode = cases[i].on_wire[k],
						.solicited = flags != 0 && k == n - 1,
						.ackreq = k == n - 1,
						.psn = 0xffffff + k,
						.imm = 0x01020304,
					},
					c.local + k * MTU, RTE_MIN(cases[i].len - k * MTU, 1024u));
			conf_expect_silence(&c);
			assert_int_equal(conf_ack(&c, 1, n - 1, ACK), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			conf_expect_rest(&c);
			conf_close(&c);
		}
}

/* WRITE with immediate: 0b with RETH and then the immediate data, or 06 07.. 09. */
static void
c202_write_imm_has_reth_first_and_imm_last(void **state)
{
	static const struct {
		uint32_t len;
		uint8_t on_wire[3];
	} cases[] = {
		{0, {0x0b}},
		{9, {0x0b}},
		{2 * MTU, {0x06, 0x09}},
		{2 * MTU + 1, {0x06, 0x07, 0x09}},
	};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		for (uint32_t flags = 0; flags <= REMU_WR_SOLICITED; flags += REMU_WR_SOLICITED) {
			uint32_t n;

			conf_open(&c, &(struct conf_config){0});
			snprintf(c.label, sizeof(c.label), "case %zu, flags %x", i, flags);
			conf_post_wr(&c,
				&(struct remu_wr){.wr_id = 1,
					.opcode = WI,
					.addr = c.local,
					.remote_va = CONF_VA,
					.rkey = CONF_RKEY,
					.length = cases[i].len,
					.flags = (uint8_t)flags,
					.imm = 0xfffefdfc});
			n = conf_packets(&c, 1);
			for (uint32_t k = 0; k < n; k++)
				conf_expect(&c,
					&(struct roce_fields){
						.opcode = cases[i].on_wire[k],
						.solicited = flags != 0 && k == n - 1,
						.ackreq = k == n - 1,
						.psn = k,
						.va = CONF_VA,
						.rkey = CONF_RKEY,
						.dma_len = cases[i].len,
						.imm = 0xfffefdfc,
					},
					c.local + k * MTU, RTE_MIN(cases[i].len - k * MTU, 1024u));
			conf_expect_silence(&c);
			assert_int_equal(conf_ack(&c, 1, n - 1, ACK), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			conf_expect_rest(&c);
			conf_close(&c);
		}
}

/* The frame that is shorter than Ethernet allows is filled up with zeros behind the ICRC. */
static void
c203_empty_send_is_padded_to_sixty_bytes(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){0});
	conf_post(&c, 1, S, 0, 0);
	conf_expect_message(&c, 1);
	assert_int_equal(c.last.len, 60);
	assert_int_equal(c.last.bytes[17], 58 - 14); /* length in the IP header */
	assert_int_equal(c.last.bytes[58] | c.last.bytes[59], 0);
	assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_close(&c);
}

/* An atomic takes one PSN; its answer goes to the buffer in host order, eight bytes of it. */
static void
c204_atomic_answer_goes_to_the_buffer(void **state)
{
	static const uint8_t opcodes[] = {CAS, ADD};
	const uint64_t found = 0x0807060504030201;
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(opcodes); i++) {
		uint64_t *got, before[2];

		conf_open(&c, &(struct conf_config){.sq_psn = 0xffffff});
		got = (uint64_t *)(void *)(c.local + 8192);
		memcpy(&before[0], got - 1, 8);
		memcpy(&before[1], got + 1, 8);
		conf_post(&c, 1, W, 0, 8);
		conf_post(&c, 2, opcodes[i], 8192, 8);
		conf_post(&c, 3, W, 0, 8);
		conf_expect_message(&c, 1);
		conf_expect_atomic(&c, 2);
		assert_int_equal(c.last.len, 42 + 40 + 4);
		conf_expect_message(&c, 3);
		assert_int_equal(conf_atomic_ack(&c, 2, found), REMU_DROP_NONE);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS); /* by the answer to the atomic */
		conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
		conf_expect_no_wc(&c);
		assert_true(*got == found);
		assert_memory_equal(got - 1, &before[0], 8);
		assert_memory_equal(got + 1, &before[1], 8);
		/* A copy of the answer, with another value. */
		assert_int_equal(conf_atomic_ack(&c, 2, ~found), REMU_DROP_RESP_STALE);
		assert_true(*got == found);
		assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		conf_close(&c);
	}
}

/* A READ's response is no answer to an atomic. */
static void
c205_read_response_for_an_atomic_fails_it(void **state)
{
	struct conf c;

	(void)state;
	for (uint32_t opcode = 0x0d; opcode <= 0x10; opcode++) {
		conf_open(&c, &(struct conf_config){0});
		snprintf(c.label, sizeof(c.label), "opcode %02x", opcode);
		conf_post(&c, 1, ADD, 8192, 8);
		conf_post(&c, 2, W, 0, 8);
		conf_expect_atomic(&c, 1);
		conf_expect_message(&c, 2);
		assert_int_equal(conf_inject(&c,
					 &(struct roce_fields){.opcode = (uint8_t)opcode,
						 .psn = conf_psn(&c, 1, 0),
						 .syndrome = ACK},
					 c.remote, opcode == 0x10 ? 8 : MTU),
			REMU_DROP_RESP_BAD);
		conf_expect_wc(&c, 1, REMU_WC_BAD_RESP_ERR);
		expect_dead(&c, 2, 2);
		conf_expect_local(&c, 0, 0);
		conf_close(&c);
	}
}

/* What acknowledges something behind an atomic does not complete it: the same is sent again. */
static void
c206_atomic_without_answer_is_sent_again(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.retry_cnt = 1, .disable = REMU_RECOVERY_PROBE});
	conf_post(&c, 1, CAS, 8192, 8);
	conf_post(&c, 2, ADD, 8200, 8);
	conf_post(&c, 3, W, 0, 8);
	for (int round = 0; round < 2; round++) {
		conf_expect_atomic(&c, 1);
		conf_expect_atomic(&c, 2);
		if (round == 0)
			conf_expect_message(&c, 3);
		conf_expect_silence(&c);
		conf_ack(&c, 3, 0, ACK); /* the second time it says nothing new */
	}
	conf_expect_silence(&c);
	conf_expect_no_wc(&c);
	conf_wait(&c, c.now + T_NS + T_NS / 20);
	conf_expect_atomic(&c, 1);
	conf_expect_atomic(&c, 2);
	conf_expect_silence(&c);
	assert_int_equal(conf_atomic_ack(&c, 1, 7), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	assert_int_equal(conf_atomic_ack(&c, 2, 8), REMU_DROP_NONE);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_close(&c);
}

/* SQD: what has begun ends, the rest waits and goes on in RTS where it stood. */
static void
c207_sqd_drains_and_resumes(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.window = 2, .sq_psn = 0xfffffe});
	conf_post(&c, 1, W, 0, 4 * MTU);
	conf_post(&c, 2, W, 0, 8);
	conf_expect_packet_ack(&c, 1, 0, false);
	conf_expect_packet_ack(&c, 1, 1, true); /* fills the window */
	assert_int_equal(remu_qp_modify(c.e, c.qp, REMU_QP_SQD, NULL), 0);
	assert_false(remu_qp_drained(c.qp));
	conf_post(&c, 3, R, 8192, 8);
	conf_expect_silence(&c);
	assert_int_equal(conf_ack(&c, 1, 1, ACK), REMU_DROP_NONE);
	conf_expect_packet_ack(&c, 1, 2, false);
	conf_expect_packet_ack(&c, 1, 3, true);
	assert_false(remu_qp_drained(c.qp));
	conf_expect_no_wc(&c);
	assert_int_equal(conf_ack(&c, 1, 3, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	assert_true(remu_qp_drained(c.qp));
	conf_expect_silence_until(&c, c.now + 10 * T_NS);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_info(&c).state, REMU_QP_SQD);
	assert_int_equal(conf_info(&c).outstanding, 2);
	assert_int_equal(remu_qp_modify(c.e, c.qp, REMU_QP_RTS, NULL), 0);
	conf_expect_message(&c, 2);
	conf_expect_read_all(&c, 3);
	conf_expect_silence(&c);
	assert_int_equal(conf_data(&c, 3, 0, 0, 1), REMU_DROP_NONE);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_expect_local(&c, 8192, 8);
	conf_close(&c);
}

/* SQD: what is lost while draining is sent again, and retries end as in RTS. */
static void
c208_sqd_repeats_what_is_lost(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.retry_cnt = 1});
	conf_post(&c, 1, W, 0, 8);
	conf_expect_message(&c, 1);
	assert_int_equal(remu_qp_modify(c.e, c.qp, REMU_QP_SQD, NULL), 0);
	conf_post(&c, 2, W, 0, 8);
	conf_wait(&c, c.now + T_NS + T_NS / 20);
	conf_expect_message(&c, 1);
	conf_expect_silence_until(&c, c.now + T_NS + T_NS / 20);
	conf_expect_wc(&c, 1, REMU_WC_RETRY_EXC_ERR);
	expect_dead(&c, 2, 2);
	conf_close(&c);
}

/* ERR: both queues are flushed in order, and what is posted then is flushed at once. */
static void
c209_err_flushes_in_order_and_at_once(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.cq = 32, .rq_depth = 8});
	for (uint64_t id = 1; id <= 6; id++)
		conf_post(&c, id, (uint8_t)id, 0, 8); /* one of each opcode but WRITE */
	for (uint64_t id = 10; id <= 14; id++)
		assert_int_equal(conf_post_recv(&c, id, 0, 8), 0);
	assert_non_null(conf_tx(&c));
	assert_non_null(conf_tx(&c));
	assert_int_equal(remu_qp_modify(c.e, c.qp, REMU_QP_ERR, NULL), 0);
	for (uint64_t id = 10; id <= 14; id++)
		conf_expect_recv(&c,
			&(struct remu_wc){.wr_id = id,
				.status = REMU_WC_WR_FLUSH_ERR,
				.opcode = S});
	expect_dead(&c, 1, 6);
	for (uint64_t id = 20; id <= 22; id++) {
		conf_post(&c, id, W, 0, 8);
		conf_expect_wc(&c, id, REMU_WC_WR_FLUSH_ERR);
		assert_int_equal(conf_post_recv(&c, id, 0, 8), 0);
		conf_expect_recv(&c,
			&(struct remu_wc){.wr_id = id,
				.status = REMU_WC_WR_FLUSH_ERR,
				.opcode = S});
		conf_expect_rest(&c);
	}
	conf_close(&c);
}

/* Progress gives the RNR retries back: with one of them ten messages wait, one after the other. */
static void
c210_progress_resets_rnr_retries(void **state)
{
	enum { N = 10 };
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.rnr_retry = 1, .disable = REMU_RECOVERY_SELECTIVE});
	for (uint64_t id = 0; id < N; id++)
		conf_post(&c, id, S, 0, 8);
	for (uint64_t id = 0; id < N; id++)
		conf_expect_message(&c, id);
	for (uint64_t id = 0; id < N; id++) {
		assert_int_equal(conf_ack(&c, id, 0, CONF_RNR | 1), REMU_DROP_NONE);
		conf_expect_silence(&c);
		conf_wait(&c, c.now + 11 * US);
		for (uint64_t j = id; j < N; j++)
			conf_expect_message(&c, j);
		if (id == N - 1)
			break;
		assert_int_equal(conf_ack(&c, id, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, id, REMU_WC_SUCCESS);
	}
	conf_expect_no_wc(&c);
	assert_int_equal(conf_ack(&c, N - 1, 0, CONF_RNR | 1), REMU_DROP_NONE);
	conf_expect_wc(&c, N - 1, REMU_WC_RNR_RETRY_EXC_ERR);
	expect_dead(&c, N, N - 1);
	conf_close(&c);
}

/* An RNR NAK acknowledges what lies before it; a SEND starts again from its first packet. */
static void
c211_rnr_nak_acknowledges_what_lies_before(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c,
		&(struct conf_config){.rnr_retry = 1,
			.disable = REMU_RECOVERY_SELECTIVE,
			.sq_psn = 0xffffff});
	conf_post(&c, 1, W, 0, 8);
	conf_post(&c, 2, S, 0, 3 * MTU);
	conf_expect_message(&c, 1);
	conf_expect_message(&c, 2);
	assert_int_equal(conf_ack(&c, 2, 0, CONF_RNR | 1), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_silence_until(&c, c.now + 10 * US - 1);
	conf_wait(&c, c.now + US);
	conf_expect_message(&c, 2);
	conf_expect_silence(&c);
	assert_int_equal(conf_ack(&c, 2, 2, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_close(&c);
}

/* The wait costs no retry of the other kind, however many timeouts long it is. */
static void
c212_rnr_wait_costs_no_retry(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.rnr_retry = 7, .retry_cnt = 0});
	conf_post(&c, 1, S, 0, 8);
	conf_expect_message(&c, 1);
	for (int n = 0; n < 5; n++) {
		assert_int_equal(conf_ack(&c, 1, 0, CONF_RNR), REMU_DROP_NONE);
		conf_expect_silence_until(&c, c.now + 655360 * US - 1);
		conf_wait(&c, c.now + US);
		conf_expect_message(&c, 1);
	}
	assert_int_equal(stats(&c)->timeouts, 0);
	conf_expect_silence_until(&c, c.now + T_NS - 1);
	conf_expect_no_wc(&c);
	conf_expect_silence_until(&c, c.now + T_NS / 20);
	conf_expect_wc(&c, 1, REMU_WC_RETRY_EXC_ERR);
	expect_dead(&c, 2, 1);
	conf_close(&c);
}

/* What could not be sent for want of mbufs is no retry: the peer is not to blame. */
static void
c213_empty_pool_costs_no_retry(void **state)
{
	enum { POOL = 31 };
	struct rte_mbuf *taken[POOL];
	struct conf c;

	(void)state;
	for (int first = 0; first < 2; first++) { /* already the first copy, or the repetition */
		conf_open(&c,
			&(struct conf_config){.retry_cnt = 1,
				.pool = POOL,
				.disable = REMU_RECOVERY_PROBE});
		if (first) {
			assert_int_equal(rte_pktmbuf_alloc_bulk(c.pool, taken, POOL), 0);
			conf_post(&c, 1, W, 0, 8);
		} else {
			conf_post(&c, 1, W, 0, 8);
			conf_expect_message(&c, 1);
			assert_int_equal(rte_pktmbuf_alloc_bulk(c.pool, taken, POOL), 0);
		}
		conf_expect_silence_until(&c, c.now + 20 * T_NS);
		conf_expect_no_wc(&c);
		assert_true(stats(&c)->tx_no_mbuf > 0);
		rte_pktmbuf_free_bulk(taken, POOL);
		for (int n = 0; n <= first; n++) {
			conf_wait(&c, c.now + T_NS + T_NS / 20);
			conf_expect_message(&c, 1);
			conf_expect_silence(&c);
			conf_expect_no_wc(&c);
		}
		conf_expect_silence_until(&c, c.now + T_NS - 1);
		conf_expect_no_wc(&c);
		conf_expect_silence_until(&c, c.now + T_NS / 20);
		conf_expect_wc(&c, 1, REMU_WC_RETRY_EXC_ERR);
		expect_dead(&c, 2, 1);
		conf_close(&c);
	}
}

/* One message back and forth in that time, so that the round-trip time is known. */
static void
measure(struct conf *c, uint64_t id, uint32_t rtt_ns)
{
	conf_post(c, id, W, 0, 8);
	conf_expect_message(c, id);
	c->now += rtt_ns;
	assert_int_equal(conf_ack(c, id, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(c, id, REMU_WC_SUCCESS);
	conf_expect_silence(c);
}

/* Without a round-trip time nothing is asked for before the timeout; nor when that is switched off. */
static void
c214_no_tail_probe_without_rtt(void **state)
{
	struct conf c;

	(void)state;
	for (int off = 0; off < 2; off++) {
		conf_open(&c,
			&(struct conf_config){.retry_cnt = 1,
				.disable = off ? REMU_RECOVERY_PROBE : 0});
		if (off)
			measure(&c, 1, 20 * US);
		conf_post(&c, 2, W, 0, 8);
		conf_post(&c, 3, R, 8192, 8);
		conf_expect_message(&c, 2);
		conf_expect_read_all(&c, 3);
		conf_expect_silence_until(&c, c.now + T_NS - 1);
		conf_wait(&c, c.now + T_NS / 20);
		conf_expect_message(&c, 2);
		conf_expect_read_all(&c, 3);
		assert_int_equal(stats(&c)->probes, 0);
		conf_close(&c);
	}
}

/*
 * A tail probe is the oldest packet again, with AckReq. It comes between two round-trip times and
 * the timeout, then after twice as long; it counts as no retry and puts no timeout off.
 */
static void
c215_tail_probe_asks_with_the_oldest_packet(void **state)
{
	enum { RTT = 20 * US };
	struct conf c;

	(void)state;
	for (int read = 0; read < 2; read++) {
		uint64_t begin, gap = 2 * RTT;
		uint32_t probes;

		conf_open(&c, &(struct conf_config){0});
		measure(&c, 1, RTT);
		assert_in_range(conf_info(&c).srtt_ns, RTT - RTT / 8, RTT + RTT / 8);
		conf_post(&c, 2, read ? R : W, 8192, 3 * MTU);
		conf_post(&c, 3, W, 0, 8);
		if (read)
			conf_expect_read_all(&c, 2);
		else
			conf_expect_message(&c, 2);
		conf_expect_message(&c, 3);
		begin = c.now;
		for (probes = 0; gap < T_NS / 4; probes++) {
			uint64_t at = c.now;

			conf_expect_silence_until(&c, at + gap - 1);
			conf_wait(&c, begin + T_NS - 1);
			if (read)
				conf_expect_read_all(&c, 2);
			else
				conf_expect_packet_ack(&c, 2, 0, true);
			conf_expect_silence(&c);
			conf_expect_no_wc(&c);
			gap = 2 * (c.now - at);
		}
		assert_true(probes >= 2);
		while (c.now < begin + T_NS - 1 - T_NS / 20) { /* there may be one or two more */
			c.now = RTE_MIN(begin + T_NS - 1 - T_NS / 20,
				remu_engine_next_deadline(c.e));
			conf_tx(&c);
			conf_expect_no_wc(&c);
		}
		assert_int_equal(stats(&c)->timeouts, 0);
		c.now = begin + T_NS + T_NS / 20;
		conf_expect_silence(&c);
		conf_expect_wc(&c, 2, REMU_WC_RETRY_EXC_ERR);
		expect_dead(&c, 3, 3);
		assert_true(stats(&c)->probes >= probes);
		conf_close(&c);
	}
}

/* Selective repeat: a sequence NAK brings one packet, and a peer that has kept the rest goes on. */
static void
c216_selective_repeat_with_a_peer_that_keeps(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.sq_psn = 0xfffffd});
	for (uint64_t id = 1; id <= 5; id++) {
		conf_post(&c, id, W, 0, 8 * MTU);
		conf_expect_message(&c, id);
		assert_int_equal(conf_ack(&c, id, 2, NAK), REMU_DROP_NONE);
		conf_expect_packet_ack(&c, id, 2, true);
		conf_expect_silence(&c);
		/* It has kept 3 and 4, but not 5. */
		assert_int_equal(conf_ack(&c, id, 5, NAK), REMU_DROP_NONE);
		conf_expect_packet_ack(&c, id, 5, true);
		conf_expect_silence(&c);
		conf_expect_no_wc(&c);
		assert_int_equal(conf_ack(&c, id, 7, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, id, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		assert_int_equal(stats(&c)->retransmits, 2 * id);
	}
	conf_close(&c);
}

/*
 * A peer that drops what is behind a gap gets the rest when it acknowledges the one packet alone;
 * after two NAKs of that kind it gets all at once.
 */
static void
c217_selective_repeat_with_a_plain_peer(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.sq_psn = 0xfffffd});
	for (uint64_t id = 1; id <= 6; id++) {
		bool alone = id <= 2;

		conf_post(&c, id, W, 0, 6 * MTU);
		conf_expect_message(&c, id);
		assert_int_equal(conf_ack(&c, id, 2, NAK), REMU_DROP_NONE);
		conf_expect_packet_ack(&c, id, 2, alone);
		if (alone) {
			conf_expect_silence(&c);
			assert_int_equal(conf_ack(&c, id, 2, ACK), REMU_DROP_NONE);
		}
		for (uint32_t k = 3; k < 6; k++)
			conf_expect_packet(&c, id, k);
		conf_expect_silence(&c);
		conf_expect_no_wc(&c);
		assert_int_equal(conf_ack(&c, id, 5, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, id, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
	}
	conf_close(&c);
}

/* However much comes behind a hole in a READ, it is asked for once. */
static void
c218_hole_in_a_read_is_asked_for_once(void **state)
{
	enum { N = 8 };
	struct conf c;

	(void)state;
	for (uint32_t hole = 0; hole < N - 1; hole++) {
		conf_open(&c, &(struct conf_config){.sq_psn = 0xfffffd});
		snprintf(c.label, sizeof(c.label), "hole at %u", hole);
		conf_post(&c, 1, R, 8192, N * MTU);
		conf_expect_read_all(&c, 1);
		for (uint32_t k = 0; k < N; k++) {
			if (k == hole)
				continue;
			assert_int_equal(conf_data(&c, 1, k, 0, N), REMU_DROP_NONE);
			if (k == hole + 1)
				conf_expect_read(&c, 1, hole, N - hole);
			conf_expect_silence(&c);
		}
		conf_expect_no_wc(&c);
		assert_int_equal(conf_data(&c, 1, hole, hole, N), REMU_DROP_NONE);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		assert_int_equal(stats(&c)->retransmits, 1);
		conf_expect_local(&c, 8192, N * MTU);
		conf_close(&c);
	}
}

/*
 * A second loss, in the answer to the retry, is repaired without the timer as well: copies of what
 * has come before show that the retry has been answered up to there.
 */
static void
c219_second_loss_in_the_retry(void **state)
{
	enum { N = 6 };
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){0});
	conf_post(&c, 1, R, 8192, N * MTU);
	conf_expect_read_all(&c, 1);
	assert_int_equal(conf_data(&c, 1, 0, 0, N), REMU_DROP_NONE);
	assert_int_equal(conf_data(&c, 1, 4, 0, N), REMU_DROP_NONE);
	assert_int_equal(conf_data(&c, 1, 5, 0, N), REMU_DROP_NONE);
	conf_expect_read(&c, 1, 1, N - 1);
	assert_int_equal(conf_data(&c, 1, 1, 1, N), REMU_DROP_NONE);
	assert_int_equal(conf_data(&c, 1, 3, 1, N), REMU_DROP_NONE);
	conf_expect_silence(&c); /* could still be from the first answer, out of order */
	assert_int_equal(conf_data(&c, 1, 4, 1, N), REMU_DROP_RESP_STALE);
	conf_expect_read(&c, 1, 2, N - 2);
	conf_expect_silence(&c);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_data(&c, 1, 2, 2, N), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	for (uint32_t k = 3; k < N; k++)
		assert_int_equal(conf_data(&c, 1, k, 2, N), REMU_DROP_RESP_STALE);
	conf_expect_rest(&c);
	assert_int_equal(stats(&c)->timeouts, 0);
	assert_int_equal(stats(&c)->retransmits, 2);
	conf_expect_local(&c, 8192, N * MTU);
	conf_close(&c);
}

/* A completion queue takes no more requests than it has room for completions. */
static void
c220_completion_queue_never_overruns(void **state)
{
	static const struct remu_wr wr = {.opcode = W};
	struct remu_recv_wr recv = {0};
	struct remu_cq *cq;
	struct remu_wc wc;
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.cq = 2, .rq_depth = 8});
	conf_post(&c, 1, W, 0, 8);
	conf_post(&c, 2, W, 0, 8);
	assert_int_equal(remu_qp_post(c.e, c.qp, &wr, c.now), -EAGAIN);
	conf_expect_message(&c, 1);
	conf_expect_message(&c, 2);
	assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
	assert_int_equal(remu_qp_post(c.e, c.qp, &wr, c.now), -EAGAIN); /* not polled */
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_post(&c, 3, W, 0, 8);
	assert_int_equal(remu_qp_post(c.e, c.qp, &wr, c.now), -EAGAIN);
	conf_expect_message(&c, 3);
	conf_expect_silence(&c);
	assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
	for (int i = 0; i < 2; i++)
		assert_int_equal(remu_qp_post_recv(c.e, c.qp, &recv), 0);
	assert_int_equal(remu_qp_post_recv(c.e, c.qp, &recv), -EAGAIN);
	conf_expect_no_wc(&c);
	/* In ERR no less. */
	assert_int_equal(remu_qp_modify(c.e, c.qp, REMU_QP_ERR, NULL), 0);
	assert_int_equal(remu_qp_post_recv(c.e, c.qp, &recv), -EAGAIN);
	assert_int_equal(remu_cq_poll(c.recv_cq, &wc, 1), 1);
	assert_int_equal(remu_qp_post_recv(c.e, c.qp, &recv), 0);
	assert_int_equal(remu_qp_post_recv(c.e, c.qp, &recv), -EAGAIN);
	for (int i = 0; i < 2; i++)
		assert_int_equal(remu_cq_poll(c.recv_cq, &wc, 1), 1);
	conf_expect_rest(&c);
	/* In use until the queue pair is gone. */
	assert_int_equal(remu_cq_destroy(c.e, c.send_cq), -EBUSY);
	assert_int_equal(remu_cq_destroy(c.e, c.recv_cq), -EBUSY);
	remu_qp_destroy(c.e, c.qp);
	assert_int_equal(remu_cq_destroy(c.e, c.send_cq), 0);
	assert_int_equal(remu_cq_destroy(c.e, c.recv_cq), 0);
	assert_int_equal(remu_cq_destroy(c.e, NULL), 0);
	assert_int_equal(remu_cq_create(c.e, 0, &cq), -EINVAL);
	assert_int_equal(remu_cq_create(c.e, 65537, &cq), -EINVAL);
	conf_close(&c);
}

/* An armed completion queue raises one event at the next completion. */
static void
c221_completion_queue_raises_one_event(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.cq = 16});
	for (uint64_t id = 1; id <= 4; id++) {
		conf_post(&c, id, W, 0, 8);
		conf_expect_message(&c, id);
	}
	assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
	assert_false(remu_cq_take_event(c.send_cq)); /* nobody has asked */
	remu_cq_arm(c.send_cq, false);
	assert_false(remu_cq_take_event(c.send_cq)); /* only the next one does */
	assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
	assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
	assert_true(remu_cq_take_event(c.send_cq));
	assert_false(remu_cq_take_event(c.send_cq));
	assert_int_equal(conf_ack(&c, 4, 0, ACK), REMU_DROP_NONE);
	assert_false(remu_cq_take_event(c.send_cq)); /* once per arming */
	assert_false(remu_cq_take_event(c.recv_cq));
	/* What is armed for all stays so. */
	remu_cq_arm(c.send_cq, false);
	remu_cq_arm(c.send_cq, true);
	conf_post(&c, 5, W, 0, 8);
	conf_expect_message(&c, 5);
	assert_int_equal(conf_ack(&c, 5, 0, ACK), REMU_DROP_NONE);
	assert_true(remu_cq_take_event(c.send_cq));
	for (uint64_t id = 1; id <= 5; id++)
		conf_expect_wc(&c, id, REMU_WC_SUCCESS);
	conf_close(&c);
}

/* Armed for solicited ones only, it waits for a SEND with SE or an error. */
static void
c222_solicited_only_waits_for_se_or_error(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.cq = 16, .rq_depth = 8});
	for (uint64_t id = 0; id < 3; id++)
		assert_int_equal(conf_post_recv(&c, id, 0, 8), 0);
	remu_cq_arm(c.send_cq, true);
	remu_cq_arm(c.recv_cq, true);
	for (uint32_t psn = 0; psn < 2; psn++) {
		assert_int_equal(conf_inject(&c,
					 &(struct roce_fields){.opcode = 0x04,
						 .psn = psn,
						 .solicited = psn == 1},
					 NULL, 0),
			REMU_DROP_NONE);
		assert_int_equal(remu_cq_take_event(c.recv_cq), psn == 1);
		conf_expect_recv(&c,
			&(struct remu_wc){.wr_id = psn,
				.opcode = S,
				.flags = psn ? REMU_WC_SOLICITED : 0});
	}
	remu_cq_arm(c.recv_cq, true);
	conf_post(&c, 1, W, 0, 8);
	conf_post(&c, 2, W, 0, 8);
	conf_expect_message(&c, 1);
	conf_expect_message(&c, 2);
	assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	assert_false(remu_cq_take_event(c.send_cq));
	assert_int_equal(conf_ack(&c, 2, 0, NAK + 1), REMU_DROP_NONE);
	assert_true(remu_cq_take_event(c.send_cq));
	assert_true(remu_cq_take_event(c.recv_cq)); /* flushed is an error too */
	conf_expect_wc(&c, 2, REMU_WC_REM_INV_REQ_ERR);
	conf_expect_recv(&c,
		&(struct remu_wc){.wr_id = 2, .status = REMU_WC_WR_FLUSH_ERR, .opcode = S});
	conf_expect_rest(&c);
	conf_close(&c);
}

/* The next completion of a channel. */
static void
channel_expect(struct conf *c, struct remu_channel *ch, const struct remu_wc *want)
{
	struct remu_wc wc;

	remu_engine_poll(c->e, c->now);
	if (remu_channel_poll(ch, &wc, 1) != 1)
		fail_msg("no completion of %lu", want->wr_id);
	assert_int_equal(wc.kind, want->kind);
	assert_int_equal(wc.wr_id, want->wr_id);
	assert_int_equal(wc.status, want->status);
	assert_int_equal(wc.result, want->result);
	assert_int_equal(wc.byte_len, want->byte_len);
	assert_int_equal(wc.flags, want->flags);
}

/*
 * Receive requests through a channel: their completions come back through it, in order. What cannot
 * be posted ends with an error, what is left when the queue pair is closed is flushed.
 */
static void
c223_channel_takes_receive_requests(void **state)
{
	enum { QPN = 0x33, DEPTH = 4 };
	struct remu_qp_config qp = {.qpn = QPN, .pd = CONF_PD};
	struct remu_recv_wr recv = {.length = 16};
	struct remu_channel *ch;
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.rq_depth = DEPTH});
	assert_int_equal(remu_channel_create(c.e, 8, &ch), 0);
	assert_int_equal(remu_channel_qp_open(ch, &qp, 100), 0);
	channel_expect(&c, ch, &(struct remu_wc){.wr_id = 100, .kind = REMU_WC_VERB});
	assert_int_equal(remu_channel_qp_connect(ch, QPN, &c.attr, 101), 0);
	channel_expect(&c, ch, &(struct remu_wc){.wr_id = 101, .kind = REMU_WC_VERB});
	for (uint32_t i = 0; i < DEPTH; i++) {
		recv.wr_id = i;
		recv.addr = c.local + 8192 + i * 16;
		assert_int_equal(remu_channel_post_recv(ch, QPN, &recv), 0);
	}
	remu_engine_poll(c.e, c.now);
	/* One too many for the queue pair, and one for somebody else's. */
	recv.wr_id = 50;
	assert_int_equal(remu_channel_post_recv(ch, QPN, &recv), 0);
	channel_expect(&c, ch,
		&(struct remu_wc){.wr_id = 50,
			.kind = REMU_WC_RECV,
			.status = REMU_WC_LOC_QP_OP_ERR});
	recv.wr_id = 51;
	assert_int_equal(remu_channel_post_recv(ch, CONF_QPN, &recv), 0);
	channel_expect(&c, ch,
		&(struct remu_wc){.wr_id = 51,
			.kind = REMU_WC_RECV,
			.status = REMU_WC_LOC_QP_OP_ERR});
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(conf_inject(&c,
					 &(struct roce_fields){.opcode = 0x05,
						 .dest_qpn = QPN,
						 .psn = i,
						 .imm = 7},
					 c.remote + 8192 + i * 16, 16),
			REMU_DROP_NONE);
		channel_expect(&c, ch,
			&(struct remu_wc){.wr_id = i,
				.kind = REMU_WC_RECV,
				.byte_len = 16,
				.flags = REMU_WC_WITH_IMM});
	}
	conf_expect_local(&c, 8192, 32);
	/* Two are under way, and six more verbs or requests may be. */
	assert_int_equal(remu_channel_qp_close(ch, QPN, 102), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(remu_channel_post_recv(ch, QPN, &recv), 0);
	assert_int_equal(remu_channel_post_recv(ch, QPN, &recv), -EAGAIN);
	for (uint32_t i = 2; i < DEPTH; i++)
		channel_expect(&c, ch,
			&(struct remu_wc){.wr_id = i,
				.kind = REMU_WC_RECV,
				.status = REMU_WC_WR_FLUSH_ERR});
	channel_expect(&c, ch, &(struct remu_wc){.wr_id = 102, .kind = REMU_WC_VERB});
	for (int i = 0; i < 5; i++)
		channel_expect(&c, ch,
			&(struct remu_wc){.wr_id = 51,
				.kind = REMU_WC_RECV,
				.status = REMU_WC_LOC_QP_OP_ERR});
	conf_expect_no_wc(&c);
	conf_close(&c);
}

/* A fence holds READs and atomics as well, and waits for atomics too. */
static void
c224_fence_holds_reads_and_atomics(void **state)
{
	static const uint8_t opcodes[] = {R, CAS, ADD, W};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(opcodes); i++)
		for (size_t j = 0; j < 3; j++) { /* before the fence: READ or atomic */
			conf_open(&c, &(struct conf_config){0});
			snprintf(c.label, sizeof(c.label), "%u behind %u", opcodes[i], opcodes[j]);
			conf_post(&c, 1, R, 8192, 8);
			conf_post(&c, 2, opcodes[j], 8200, 8);
			post_fenced(&c, 3, opcodes[i]);
			conf_post(&c, 4, R, 8208, 8);
			conf_expect_read_all(&c, 1);
			if (opcodes[j] == R)
				conf_expect_read_all(&c, 2);
			else
				conf_expect_atomic(&c, 2);
			conf_expect_silence(&c);
			assert_int_equal(conf_data(&c, 1, 0, 0, 1), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			conf_expect_silence(&c);
			assert_int_equal(opcodes[j] == R ? conf_data(&c, 2, 0, 0, 1)
							 : conf_atomic_ack(&c, 2, 5),
				REMU_DROP_NONE);
			conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
			if (opcodes[i] == R)
				conf_expect_read_all(&c, 3);
			else if (opcodes[i] == W)
				conf_expect_message(&c, 3);
			else
				conf_expect_atomic(&c, 3);
			conf_expect_read_all(&c, 4);
			conf_expect_silence(&c);
			conf_close(&c);
		}
}

/* One of each kind of request, there and back. */
static void
exchange_all(struct conf *c)
{
	conf_post(c, 1, W, 0, 2 * c->mtu + 3);
	conf_post(c, 2, S, 0, 1);
	conf_post(c, 3, WI, 0, 2);
	conf_post(c, 4, R, 8192, 2 * c->mtu);
	conf_post(c, 5, SI, 0, 2 * c->mtu);
	conf_post(c, 6, W, 0, 0);
	conf_expect_message(c, 1);
	conf_expect_message(c, 2);
	conf_expect_message(c, 3);
	conf_expect_read_all(c, 4);
	conf_expect_message(c, 5);
	conf_expect_message(c, 6);
	conf_expect_silence(c);
	for (uint32_t k = 0; k < 2; k++)
		assert_int_equal(conf_data(c, 4, k, 0, 2), REMU_DROP_NONE);
	assert_int_equal(conf_ack(c, 6, 0, ACK), REMU_DROP_NONE);
	for (uint64_t id = 1; id <= 6; id++)
		conf_expect_wc(c, id, REMU_WC_SUCCESS);
	conf_expect_rest(c);
	conf_expect_local(c, 8192, 2 * c->mtu);
}

/* IPv6: 20 bytes more, no checksum, and an ICRC with other bytes masked. */
static void
c225_ipv6_frames(void **state)
{
	static const uint32_t mtus[] = {256, 2048};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(mtus); i++) {
		conf_open(&c,
			&(struct conf_config){.ipv6 = true,
				.mtu = mtus[i],
				.traffic_class = 0x6a,
				.hop_limit = 7});
		exchange_all(&c);
		assert_int_equal(c.last.len, 74 + 20);
		assert_int_equal(c.last.bytes[14], 0x66);
		assert_int_equal(c.last.bytes[15], 0xa0);
		/* From the peer's IPv4 address to ours: the connection knows neither. */
		conf_post(&c, 7, W, 0, 8);
		conf_expect_message(&c, 7);
		c.in.ipv6 = false;
		memcpy(c.in.src, (const uint8_t[]){192, 0, 2, 2}, 4);
		memcpy(c.in.dst, (const uint8_t[]){192, 0, 2, 1}, 4);
		assert_int_equal(conf_ack(&c, 7, 0, ACK), REMU_DROP_SRC_IP);
		conf_expect_no_wc(&c);
		conf_close(&c);
	}
}

/* 802.1Q: each frame has the tag; what comes without it or with another VLAN ID is dropped. */
static void
c226_vlan_frames(void **state)
{
	struct conf c;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		conf_open(&c,
			&(struct conf_config){.tagged = true, .vlan_tci = 0x6064, .ipv6 = ipv6});
		exchange_all(&c);
		assert_int_equal(c.last.len, ipv6 ? 98 : 78);
		conf_post(&c, 7, W, 0, 8);
		conf_expect_message(&c, 7);
		c.in.tagged = false;
		assert_int_equal(conf_ack(&c, 7, 0, ACK), REMU_DROP_VLAN);
		c.in.tagged = true;
		c.in.vlan_tci = 0x6065;
		assert_int_equal(conf_ack(&c, 7, 0, ACK), REMU_DROP_VLAN);
		conf_expect_no_wc(&c);
		c.in.vlan_tci = 0xe064; /* another priority */
		assert_int_equal(conf_ack(&c, 7, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 7, REMU_WC_SUCCESS);
		conf_post(&c, 8, S, 0, 0);
		conf_expect_message(&c, 8);
		assert_int_equal(c.last.len, ipv6 ? 82 : 62);
		conf_close(&c);
	}
}

/* Traffic class and hop limit are in every frame, requests and answers. */
static void
c227_traffic_class_and_hop_limit(void **state)
{
	static const uint8_t classes[] = {0, 0x02, 0x68, 0xff};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(classes); i++) {
		conf_open(&c, &(struct conf_config){.traffic_class = classes[i], .hop_limit = 255});
		c.in.tos = 0; /* what the peer does is its own business */
		c.in.ttl = 1;
		exchange_all(&c);
		assert_int_equal(c.last.bytes[15], classes[i]);
		assert_int_equal(c.last.bytes[22], 255);
		assert_int_equal(conf_inject(&c,
					 &(struct roce_fields){.opcode = 0x0a,
						 .ackreq = true,
						 .psn = 0},
					 NULL, 0),
			REMU_DROP_NONE);
		conf_expect(&c, &(struct roce_fields){.opcode = 0x11, .syndrome = ACK, .msn = 1},
			NULL, 0);
		conf_close(&c);
	}
}

/* Copies of a sequence NAK bring nothing, until there is progress. */
static void
c228_copies_of_a_nak_are_ignored(void **state)
{
	struct conf c;

	(void)state;
	for (uint32_t disable = 0; disable <= REMU_RECOVERY_SELECTIVE;
		disable += REMU_RECOVERY_SELECTIVE)
		for (uint32_t k = 0; k < 4; k++) {
			conf_open(&c, &(struct conf_config){.disable = disable});
			snprintf(c.label, sizeof(c.label), "disable %u, packet %u", disable, k);
			conf_post(&c, 1, W, 0, 4 * MTU);
			conf_expect_message(&c, 1);
			assert_int_equal(conf_ack(&c, 1, k, NAK), REMU_DROP_NONE);
			conf_expect_packet_ack(&c, 1, k, k == 3 || disable == 0);
			for (uint32_t j = k + 1; j < 4 && disable != 0; j++)
				conf_expect_packet(&c, 1, j);
			for (int n = 0; n < 5; n++) {
				conf_ack(&c, 1, k, NAK);
				conf_expect_silence(&c);
				conf_expect_no_wc(&c);
			}
			assert_int_equal(stats(&c)->retransmits, disable != 0 ? 4 - k : 1);
			assert_int_equal(conf_ack(&c, 1, 3, ACK), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			conf_expect_rest(&c);
			conf_close(&c);
		}
}

/* An ACK that has been seen is no progress: it puts no timeout off. */
static void
c229_ghost_ack_is_no_progress(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.disable = REMU_RECOVERY_PROBE});
	conf_post(&c, 1, W, 0, 8);
	conf_post(&c, 2, W, 0, 8);
	conf_expect_message(&c, 1);
	conf_expect_message(&c, 2);
	assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	for (int n = 0; n < 9; n++) {
		conf_expect_silence_until(&c, c.now + T_NS / 10);
		assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_RESP_STALE);
		conf_expect_no_wc(&c);
	}
	conf_expect_silence_until(&c, c.now + T_NS / 10 + T_NS / 20);
	conf_expect_wc(&c, 2, REMU_WC_RETRY_EXC_ERR);
	expect_dead(&c, 3, 2);
	conf_close(&c);
}

/* A NAK in the place of a READ's response: 60 asks for the rest again, 61 to 63 fail the READ. */
static void
c230_nak_within_a_read(void **state)
{
	enum { N = 4 };
	static const struct {
		uint8_t syndrome;
		enum remu_wc_status status;
	} cases[] = {
		{NAK, REMU_WC_SUCCESS},
		{0x61, REMU_WC_REM_INV_REQ_ERR},
		{0x62, REMU_WC_REM_ACCESS_ERR},
		{0x63, REMU_WC_REM_OP_ERR},
	};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		for (uint32_t k = 0; k < N; k++) {
			conf_open(&c, &(struct conf_config){.sq_psn = 0xfffffe});
			snprintf(c.label, sizeof(c.label), "%02x at %u", cases[i].syndrome, k);
			conf_post(&c, 1, W, 0, 8);
			conf_post(&c, 2, R, 8192, N * MTU);
			conf_expect_message(&c, 1);
			conf_expect_read_all(&c, 2);
			for (uint32_t j = 0; j < k; j++)
				assert_int_equal(conf_data(&c, 2, j, 0, N), REMU_DROP_NONE);
			assert_int_equal(conf_ack(&c, 2, k, cases[i].syndrome), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			if (cases[i].status != REMU_WC_SUCCESS) {
				conf_expect_wc(&c, 2, cases[i].status);
				expect_dead(&c, 3, 2);
			} else {
				conf_expect_no_wc(&c);
				conf_expect_read(&c, 2, k, N - k);
				conf_expect_silence(&c);
				for (uint32_t j = k; j < N; j++)
					assert_int_equal(conf_data(&c, 2, j, k, N), REMU_DROP_NONE);
				conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
				conf_expect_rest(&c);
			}
			conf_expect_local(&c, 8192, (cases[i].status == 0 ? N : k) * MTU);
			conf_close(&c);
		}
}

/* Credits and MSN of an ACK mean nothing: completions go by the PSN, nothing is held back. */
static void
c231_credits_and_msn_are_ignored(void **state)
{
	static const uint32_t msns[] = {0, 1, 77, 0xffffff};
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){0});
	for (uint32_t credits = 0; credits < 32; credits++) {
		uint64_t id = 2 * credits;

		conf_post(&c, id, S, 0, 8);
		conf_post(&c, id + 1, S, 0, 8);
		conf_expect_message(&c, id);
		conf_expect_message(&c, id + 1);
		assert_int_equal(conf_inject(&c,
					 &(struct roce_fields){.opcode = 0x11,
						 .psn = conf_psn(&c, id, 0),
						 .syndrome = (uint8_t)credits,
						 .msn = msns[credits % 4]},
					 NULL, 0),
			REMU_DROP_NONE);
		conf_expect_wc(&c, id, REMU_WC_SUCCESS);
		conf_expect_no_wc(&c);
		assert_int_equal(conf_ack(&c, id + 1, 0, (uint8_t)credits), REMU_DROP_NONE);
		conf_expect_wc(&c, id + 1, REMU_WC_SUCCESS);
	}
	conf_expect_rest(&c);
	conf_close(&c);
}

/* A READ of nothing takes one PSN and ends with an ONLY without data. */
static void
c232_empty_read(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.sq_psn = 0xffffff});
	conf_post(&c, 1, R, 8192, 0);
	conf_post_wr(&c, &(struct remu_wr){.wr_id = 2, .opcode = R}); /* nor a buffer */
	conf_post(&c, 3, W, 0, 8);
	conf_expect_read_all(&c, 1);
	conf_expect(&c, &(struct roce_fields){.opcode = 0x0c, .ackreq = true}, NULL, 0);
	conf_expect_message(&c, 3);
	assert_int_equal(conf_data(&c, 1, 0, 0, 1), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	assert_int_equal(conf_inject(&c, &(struct roce_fields){.opcode = 0x10, .syndrome = ACK},
				 NULL, 0),
		REMU_DROP_NONE);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_expect_local(&c, 0, 0);
	conf_close(&c);
}

/* After a timeout only what is missing is asked for: no WRITE that was acknowledged comes again. */
static void
c233_timeout_repeats_only_what_is_missing(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.retry_cnt = 1, .disable = REMU_RECOVERY_PROBE});
	conf_post(&c, 1, R, 8192, 4 * MTU);
	conf_post(&c, 2, W, 0, 2 * MTU);
	conf_post(&c, 3, W, 0, 8);
	conf_expect_read_all(&c, 1);
	conf_expect_message(&c, 2);
	conf_expect_message(&c, 3);
	assert_int_equal(conf_data(&c, 1, 0, 0, 4), REMU_DROP_NONE);
	assert_int_equal(conf_data(&c, 1, 2, 0, 4), REMU_DROP_NONE);
	conf_expect_read(&c, 1, 1, 3); /* and this is lost */
	assert_int_equal(conf_data(&c, 1, 3, 0, 4), REMU_DROP_NONE);
	assert_int_equal(conf_ack(&c, 2, 1, ACK), REMU_DROP_NONE);
	conf_expect_silence(&c);
	conf_expect_no_wc(&c);
	conf_wait(&c, c.now + T_NS + T_NS / 20);
	conf_expect_read(&c, 1, 1, 3);
	conf_expect_message(&c, 3);
	conf_expect_silence(&c);
	assert_int_equal(conf_data(&c, 1, 1, 1, 4), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_expect_local(&c, 8192, 4 * MTU);
	conf_close(&c);
}

/* A READ longer than the window goes out in parts; each is one READ to the peer. */
static void
c234_long_read_goes_out_in_parts(void **state)
{
	enum { N = 10, PART = 4 };
	struct conf c;

	(void)state;
	for (int lose = 0; lose < 2; lose++) { /* the last response of the first part */
		conf_open(&c,
			&(struct conf_config){.window = 2 * PART, .max_rd = 2, .sq_psn = 0xfffffe});
		conf_post(&c, 1, R, 8192, N * MTU - 3);
		conf_expect_read(&c, 1, 0, PART);
		conf_expect_read(&c, 1, PART, PART);
		conf_expect_silence(&c);
		for (uint32_t k = 0; k < (lose ? PART - 1 : PART); k++)
			assert_int_equal(conf_data(&c, 1, k, 0, PART), REMU_DROP_NONE);
		if (lose) {
			assert_int_equal(conf_data(&c, 1, PART, PART, 2 * PART), REMU_DROP_NONE);
			conf_expect_read(&c, 1, PART - 1, 1);
			conf_expect_silence(&c);
			assert_int_equal(conf_data(&c, 1, PART - 1, PART - 1, PART),
				REMU_DROP_NONE);
		}
		conf_expect_read(&c, 1, 2 * PART, N - 2 * PART);
		conf_expect_silence(&c);
		for (uint32_t k = lose ? PART + 1 : PART; k < 2 * PART; k++)
			assert_int_equal(conf_data(&c, 1, k, PART, 2 * PART), REMU_DROP_NONE);
		conf_expect_no_wc(&c);
		for (uint32_t k = 2 * PART; k < N; k++)
			assert_int_equal(conf_data(&c, 1, k, 2 * PART, N), REMU_DROP_NONE);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		conf_expect_local(&c, 8192, N * MTU - 3);
		conf_close(&c);
	}
}

/*
 * RESET forgets what was under way; a new connection takes neither the old one's answers nor its
 * round-trip time.
 */
static void
c235_reset_starts_anew(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.sq_psn = 100});
	measure(&c, 0, 20 * US);
	conf_post(&c, 1, W, 0, 8);
	conf_post(&c, 2, R, 8192, 8);
	conf_expect_message(&c, 1);
	conf_expect_read_all(&c, 2);
	assert_int_equal(remu_qp_modify(c.e, c.qp, REMU_QP_RESET, NULL), 0);
	conf_expect_wc(&c, 1, REMU_WC_WR_FLUSH_ERR);
	conf_expect_wc(&c, 2, REMU_WC_WR_FLUSH_ERR);
	conf_expect_rest(&c);
	assert_int_equal(conf_data(&c, 2, 0, 0, 1), REMU_DROP_QP_STATE);
	c.attr.sq_psn = c.next_psn = 5000;
	for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
		assert_int_equal(remu_qp_modify(c.e, c.qp, (enum remu_qp_state)to, &c.attr), 0);
	conf_expect_rest(&c);
	assert_int_equal(conf_data(&c, 2, 0, 0, 1), REMU_DROP_RESP_STALE);
	assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_RESP_STALE);
	conf_post(&c, 3, W, 0, 8);
	conf_expect_message(&c, 3);
	assert_int_equal(conf_info(&c).srtt_ns, 0);
	assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_expect_local(&c, 0, 0);
	conf_close(&c);
}

/* Bootstrap: a failed requester goes to SQE, its responder works on, RTS starts anew. */
static void
c236_bootstrap_fails_to_sqe(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.flags = REMU_QP_BOOTSTRAP});
	conf_post(&c, 1, W, 0, 8);
	conf_post(&c, 2, W, 0, 8);
	conf_expect_message(&c, 1);
	conf_expect_message(&c, 2);
	assert_int_equal(conf_ack(&c, 1, 0, 0x62), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_REM_ACCESS_ERR);
	conf_expect_wc(&c, 2, REMU_WC_WR_FLUSH_ERR);
	conf_expect_rest(&c);
	assert_int_equal(conf_info(&c).state, REMU_QP_SQE);
	c.attr.sq_psn = c.next_psn = 0xfffff0;
	assert_int_equal(remu_qp_modify(c.e, c.qp, REMU_QP_RTS, &c.attr), 0);
	assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_RESP_STALE);
	conf_post(&c, 3, W, 0, 8);
	conf_expect_message(&c, 3);
	assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_close(&c);
}

/*
 * After an RNR NAK's wait the SEND alone is tried again: a peer that has kept what was behind it
 * goes on from there, another one says so by acknowledging the SEND alone.
 */
static void
c237_rnr_retry_asks_whether_the_rest_was_kept(void **state)
{
	struct conf c;

	(void)state;
	for (int kept = 0; kept < 2; kept++) {
		conf_open(&c, &(struct conf_config){.rnr_retry = 1});
		snprintf(c.label, sizeof(c.label), "kept %d", kept);
		conf_post(&c, 1, S, 0, 8);
		conf_post(&c, 2, W, 0, 3 * MTU);
		conf_expect_message(&c, 1);
		conf_expect_message(&c, 2);
		assert_int_equal(conf_ack(&c, 1, 0, CONF_RNR | 1), REMU_DROP_NONE);
		conf_expect_silence_until(&c, c.now + 10 * US - 1);
		conf_wait(&c, c.now + US);
		conf_expect_message(&c, 1);
		conf_expect_silence(&c);
		if (!kept) {
			assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
			conf_expect_message(&c, 2);
			conf_expect_silence(&c);
		}
		assert_int_equal(conf_ack(&c, 2, 2, ACK), REMU_DROP_NONE);
		if (kept)
			conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		conf_close(&c);
	}
}

/* An ACK during the wait ends it or not; in any case what is posted next goes out. */
static void
c238_ack_during_rnr_wait(void **state)
{
	struct conf c;

	(void)state;
	for (uint32_t disable = 0; disable <= REMU_RECOVERY_SELECTIVE;
		disable += REMU_RECOVERY_SELECTIVE) {
		conf_open(&c, &(struct conf_config){.rnr_retry = 1, .disable = disable});
		snprintf(c.label, sizeof(c.label), "disable %u", disable);
		conf_post(&c, 1, S, 0, 8);
		conf_expect_message(&c, 1);
		assert_int_equal(conf_ack(&c, 1, 0, CONF_RNR | 14), REMU_DROP_NONE);
		/* A copy of the SEND has found a receive request. */
		assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_post(&c, 2, W, 0, 8);
		conf_wait(&c, c.now + 2 * 1280 * US);
		conf_expect_message(&c, 2);
		assert_int_equal(conf_ack(&c, 2, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
		conf_expect_silence_until(&c, c.now + 2 * 1280 * US);
		conf_post(&c, 3, W, 0, 8);
		conf_expect_message(&c, 3);
		assert_int_equal(conf_ack(&c, 3, 0, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 3, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		conf_close(&c);
	}
}

/*
 * A READ or atomic that a sequence NAK names is asked for again; its answer tells no more than an
 * ACK of one packet alone: a plain peer needs the rest, and not only after a timeout.
 */
static void
c239_answer_to_a_repeated_read_brings_the_rest(void **state)
{
	struct conf c;

	(void)state;
	for (int atomic = 0; atomic < 2; atomic++) {
		conf_open(&c, &(struct conf_config){.disable = REMU_RECOVERY_PROBE});
		snprintf(c.label, sizeof(c.label), "atomic %d", atomic);
		conf_post(&c, 1, atomic ? ADD : R, 8192, 8);
		conf_post(&c, 2, W, 0, 2 * MTU);
		if (atomic)
			conf_expect_atomic(&c, 1);
		else
			conf_expect_read_all(&c, 1);
		conf_expect_message(&c, 2);
		assert_int_equal(conf_ack(&c, 1, 0, NAK), REMU_DROP_NONE);
		if (atomic)
			conf_expect_atomic(&c, 1);
		else
			conf_expect_read_all(&c, 1);
		conf_expect_silence(&c);
		assert_int_equal(atomic ? conf_atomic_ack(&c, 1, 5) : conf_data(&c, 1, 0, 0, 1),
			REMU_DROP_NONE);
		conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
		conf_expect_message(&c, 2);
		assert_int_equal(conf_ack(&c, 2, 1, ACK), REMU_DROP_NONE);
		conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
		conf_expect_rest(&c);
		conf_close(&c);
	}
}

/*
 * A bad response to a READ whose turn has not come fails nothing: those before it end first, and
 * it is asked for again.
 */
static void
c240_bad_response_behind_an_unfinished_read(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.retry_cnt = 1});
	conf_post(&c, 1, R, 8192, 8);
	conf_post(&c, 2, R, 8200, 8);
	conf_expect_read_all(&c, 1);
	conf_expect_read_all(&c, 2);
	assert_int_equal(conf_inject(&c,
				 &(struct roce_fields){.opcode = 0x10,
					 .psn = conf_psn(&c, 2, 0),
					 .syndrome = ACK},
				 c.remote, 16),
		REMU_DROP_RESP_BAD);
	conf_expect_no_wc(&c);
	conf_expect_local(&c, 0, 0);
	while (c.now < 12345678901 + T_NS && conf_info(&c).outstanding == 2) {
		conf_wait(&c, c.now + T_NS + T_NS / 20);
		conf_expect_read_all(&c, 1);
		if (conf_tx(&c) != NULL) /* at once, or by the timer */
			assert_int_equal(conf_bth(&c, &c.last).psn, 1);
		assert_int_equal(conf_data(&c, 1, 0, 0, 1), REMU_DROP_NONE);
	}
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	assert_int_equal(conf_data(&c, 2, 0, 0, 1), REMU_DROP_NONE);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_expect_local(&c, 8192, 16);
	conf_close(&c);
}

/* Copies of an RNR NAK cost one retry together and do not make the wait longer. */
static void
c241_copies_of_an_rnr_nak_count_once(void **state)
{
	uint64_t end;
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.rnr_retry = 1});
	conf_post(&c, 1, S, 0, 8);
	conf_expect_message(&c, 1);
	end = c.now + 1280 * US;
	for (int n = 0; n < 4; n++) {
		conf_ack(&c, 1, 0, CONF_RNR | 14);
		conf_expect_silence_until(&c, c.now + 300 * US);
		conf_expect_no_wc(&c);
	}
	conf_expect_silence_until(&c, end - 1);
	conf_wait(&c, end + 64 * US);
	conf_expect_message(&c, 1);
	assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_close(&c);
}

/* The flag means nothing to a WRITE without immediate, a READ or an atomic: SE is not set. */
static void
c242_se_only_where_a_receive_request_is_used(void **state)
{
	static const uint8_t opcodes[] = {W, R, CAS, ADD};
	const struct conf_frame *got;
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(opcodes); i++) {
		conf_open(&c, &(struct conf_config){0});
		conf_post_wr(&c,
			&(struct remu_wr){.wr_id = 1,
				.opcode = opcodes[i],
				.addr = c.local,
				.length = 8,
				.remote_va = 8,
				.flags = REMU_WR_SOLICITED});
		got = conf_tx(&c);
		assert_non_null(got);
		assert_false(conf_bth(&c, got).solicited);
		conf_close(&c);
	}
}

/* Data in the place of a WRITE's acknowledgement: no answer, and it goes nowhere. */
static void
c243_data_for_a_write_is_ignored(void **state)
{
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){0});
	conf_post(&c, 1, W, 8192, 8);
	conf_post(&c, 2, R, 8200, 8);
	conf_expect_message(&c, 1);
	conf_expect_read_all(&c, 2);
	for (uint32_t opcode = 0x0d; opcode <= 0x10; opcode++)
		assert_int_equal(conf_inject(&c,
					 &(struct roce_fields){.opcode = (uint8_t)opcode,
						 .psn = conf_psn(&c, 1, 0),
						 .syndrome = ACK},
					 c.remote, opcode == 0x10 ? 8 : MTU),
			REMU_DROP_RESP_STALE);
	assert_int_equal(conf_atomic_ack(&c, 1, 5), REMU_DROP_RESP_STALE);
	conf_expect_silence(&c);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_data(&c, 2, 0, 0, 1), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	conf_expect_wc(&c, 2, REMU_WC_SUCCESS);
	conf_expect_rest(&c);
	conf_expect_local(&c, 8200, 8);
	conf_close(&c);
}

/* The peer of these tests makes the ACK that a kernel has sent, ICRC and all. */
static void
c245_peer_agrees_with_a_kernel_packet(void **state)
{
	static const uint8_t want[] = {0x45, 0, 0, 0x30, 0x6a, 0x2e, 0x40, 0, 0x40, 0x11, 0xbc,
		0x8c, 10, 0, 0, 2, 10, 0, 0, 1, 0xc1, 0x21, 0x12, 0xb7, 0, 0x1c, 0, 0, 0x11, 0,
		0xff, 0xff, 0, 0, 0, 0x11, 0, 0x3b, 0x9f, 0x5b, 0x1f, 0, 0, 1, 0xc0, 0x6e, 0x24,
		0x1b};
	static const struct conf_path path = {
		.src = {10, 0, 0, 2},
		.dst = {10, 0, 0, 1},
		.ttl = 64,
		.sport = 0xc121,
	};
	static const struct roce_fields f = {
		.opcode = 0x11,
		.pkey = 0xffff,
		.dest_qpn = 0x11,
		.psn = 0x3b9f5b,
		.syndrome = ACK,
		.msn = 1,
	};
	struct conf_frame frame;

	(void)state;
	conf_frame(&frame, &path, 0x6a2e, &f, NULL, 0);
	assert_int_equal(frame.len, 14 + sizeof(want));
	assert_memory_equal(frame.bytes + 14, want, sizeof(want));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c67_ack_of_third_message_completes_three),
		cmocka_unit_test(c68_ack_of_old_or_unsent_psn_is_ignored),
		cmocka_unit_test(c69_sequence_nak_resends_from_its_psn),
		cmocka_unit_test(c70_fatal_nak_fails_one_and_flushes_the_rest),
		cmocka_unit_test(c71_reserved_syndrome_is_ignored),
		cmocka_unit_test(c72_silence_ends_after_all_retries),
		cmocka_unit_test(c73_progress_resets_retries),
		cmocka_unit_test(c74_rnr_nak_waits_its_time),
		cmocka_unit_test(c74_rnr_retries_end_or_never_end),
		cmocka_unit_test(c75_sequence_nak_does_not_end_rnr_wait),
		cmocka_unit_test(c76_lost_response_is_asked_for_again),
		cmocka_unit_test(c77_lost_last_response_is_asked_for_by_timer),
		cmocka_unit_test(c78_rest_of_read_is_taken_in_either_form),
		cmocka_unit_test(c79_ack_beyond_read_asks_again),
		cmocka_unit_test(c80_read_response_completes_earlier_writes),
		cmocka_unit_test(c81_bad_read_response_fails_the_read),
		cmocka_unit_test(c82_duplicate_read_response_is_ignored),
		cmocka_unit_test(c83_atomic_ack_for_a_read_fails_it),
		cmocka_unit_test(c84_at_most_max_rd_atomic_outstanding),
		cmocka_unit_test(c85_fence_holds_write_until_read_is_done),
		cmocka_unit_test(c86_ackreq_on_last_packets_and_every_sixteenth),
		cmocka_unit_test(c87_window_is_never_exceeded),
		cmocka_unit_test(c88_empty_write_is_one_write_only),
		cmocka_unit_test(c89_message_of_k_mtu_has_k_packets),
		cmocka_unit_test(c90_order_and_data_survive_a_bad_network),
		cmocka_unit_test(c201_send_has_its_opcodes_and_no_reth),
		cmocka_unit_test(c202_write_imm_has_reth_first_and_imm_last),
		cmocka_unit_test(c203_empty_send_is_padded_to_sixty_bytes),
		cmocka_unit_test(c204_atomic_answer_goes_to_the_buffer),
		cmocka_unit_test(c205_read_response_for_an_atomic_fails_it),
		cmocka_unit_test(c206_atomic_without_answer_is_sent_again),
		cmocka_unit_test(c207_sqd_drains_and_resumes),
		cmocka_unit_test(c208_sqd_repeats_what_is_lost),
		cmocka_unit_test(c209_err_flushes_in_order_and_at_once),
		cmocka_unit_test(c210_progress_resets_rnr_retries),
		cmocka_unit_test(c211_rnr_nak_acknowledges_what_lies_before),
		cmocka_unit_test(c212_rnr_wait_costs_no_retry),
		cmocka_unit_test(c213_empty_pool_costs_no_retry),
		cmocka_unit_test(c214_no_tail_probe_without_rtt),
		cmocka_unit_test(c215_tail_probe_asks_with_the_oldest_packet),
		cmocka_unit_test(c216_selective_repeat_with_a_peer_that_keeps),
		cmocka_unit_test(c217_selective_repeat_with_a_plain_peer),
		cmocka_unit_test(c218_hole_in_a_read_is_asked_for_once),
		cmocka_unit_test(c219_second_loss_in_the_retry),
		cmocka_unit_test(c220_completion_queue_never_overruns),
		cmocka_unit_test(c221_completion_queue_raises_one_event),
		cmocka_unit_test(c222_solicited_only_waits_for_se_or_error),
		cmocka_unit_test(c223_channel_takes_receive_requests),
		cmocka_unit_test(c224_fence_holds_reads_and_atomics),
		cmocka_unit_test(c225_ipv6_frames),
		cmocka_unit_test(c226_vlan_frames),
		cmocka_unit_test(c227_traffic_class_and_hop_limit),
		cmocka_unit_test(c228_copies_of_a_nak_are_ignored),
		cmocka_unit_test(c229_ghost_ack_is_no_progress),
		cmocka_unit_test(c230_nak_within_a_read),
		cmocka_unit_test(c231_credits_and_msn_are_ignored),
		cmocka_unit_test(c232_empty_read),
		cmocka_unit_test(c233_timeout_repeats_only_what_is_missing),
		cmocka_unit_test(c234_long_read_goes_out_in_parts),
		cmocka_unit_test(c235_reset_starts_anew),
		cmocka_unit_test(c236_bootstrap_fails_to_sqe),
		cmocka_unit_test(c237_rnr_retry_asks_whether_the_rest_was_kept),
		cmocka_unit_test(c238_ack_during_rnr_wait),
		cmocka_unit_test(c239_answer_to_a_repeated_read_brings_the_rest),
		cmocka_unit_test(c240_bad_response_behind_an_unfinished_read),
		cmocka_unit_test(c241_copies_of_an_rnr_nak_count_once),
		cmocka_unit_test(c242_se_only_where_a_receive_request_is_used),
		cmocka_unit_test(c243_data_for_a_write_is_ignored),
		cmocka_unit_test(c244_any_recovery_switched_off),
		cmocka_unit_test(c245_peer_agrees_with_a_kernel_packet),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
