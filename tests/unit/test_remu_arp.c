/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to ARP requests: which get one, what it looks like, and its way through the engine. The
 * request is the one that Linux sends (iputils' arping and the kernel's neighbour code agree).
 */
#include "eal.h"
#include "wire.h"

#include <remu_arp.h>
#include <roce_bytes.h>
#include <stdlib.h>
#include <string.h>

enum { IP = 0x0a000001, PEER_IP = 0x0a000002, LEN = 42, PADDED = 60 };

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static const uint8_t request[PADDED] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0,
	1,			       /* Ethernet, IPv4, their lengths, request */
	2, 0, 0, 0, 0, 2, 10, 0, 0, 2, /* who asks */
	0, 0, 0, 0, 0, 0, 10, 0, 0, 1, /* for whom */
};

static const uint8_t answer[LEN] = {
	2,
	0,
	0,
	0,
	0,
	2,
	2,
	0,
	0,
	0,
	0,
	1,
	0x08,
	0x06,
	0,
	1,
	0x08,
	0,
	6,
	4,
	0,
	2,
	2,
	0,
	0,
	0,
	0,
	1,
	10,
	0,
	0,
	1,
	2,
	0,
	0,
	0,
	0,
	2,
	10,
	0,
	0,
	2,
};

static void
answer__is_exact(void **state)
{
	uint8_t frame[PADDED];

	(void)state;
	memcpy(frame, request, sizeof(frame));
	assert_int_equal(remu_arp_answer(frame, sizeof(frame), mac, IP), LEN);
	assert_memory_equal(frame, answer, LEN);
	/* Also when asked at our own address, as Linux does to see whether a neighbour is alive. */
	memcpy(frame, request, sizeof(frame));
	memcpy(frame, mac, 6);
	assert_int_equal(remu_arp_answer(frame, LEN, mac, IP), LEN);
	assert_memory_equal(frame, answer, LEN);
}

static void
answer__keeps_a_tag(void **state)
{
	static const uint8_t tag[4] = {0x81, 0x00, 0xa0, 0x64};
	uint8_t frame[PADDED + 4];

	(void)state;
	memcpy(frame, request, 12);
	memcpy(frame + 12, tag, 4);
	memcpy(frame + 16, request + 12, sizeof(request) - 12);
	assert_int_equal(remu_arp_answer(frame, LEN + 4, mac, IP), LEN + 4);
	assert_memory_equal(frame, answer, 12);
	assert_memory_equal(frame + 12, tag, 4);
	assert_memory_equal(frame + 16, answer + 12, LEN - 12);
	memcpy(frame + 16, request + 12, sizeof(request) - 12);
	assert_int_equal(remu_arp_answer(frame, LEN + 3, mac, IP), 0);
}

/* RFC 5227: who probes whether an address is taken has none yet. */
static void
answer__defends_the_address(void **state)
{
	uint8_t frame[PADDED];

	(void)state;
	memcpy(frame, request, sizeof(frame));
	memset(frame + 28, 0, 4);
	assert_int_equal(remu_arp_answer(frame, LEN, mac, IP), LEN);
	assert_memory_equal(frame + 28, answer + 28, 4);
	assert_memory_equal(frame + 38, ((uint8_t[]){0, 0, 0, 0}), 4);
}

static void
no_answer__leaves_the_frame_alone(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
	} cases[] = {
		{"other station asked", 0, 0x02},
		{"sender is a group", 6, 0x03},
		{"no ARP", 12, 0x09},
		{"hardware", 15, 2},
		{"protocol", 17, 1},
		{"hardware length", 18, 8},
		{"protocol length", 19, 16},
		{"answer", 21, 2},
		{"RARP", 21, 3},
		{"for somebody else's benefit", 27, 9},
		{"claims our address", 31, 1},
		{"other address", 41, 3},
	};
	uint8_t frame[PADDED], before[PADDED];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(frame, request, sizeof(frame));
		frame[cases[i].at] = cases[i].value;
		memcpy(before, frame, sizeof(frame));
		if (remu_arp_answer(frame, sizeof(frame), mac, IP) != 0)
			fail_msg("%s: answered", cases[i].what);
		assert_memory_equal(frame, before, sizeof(frame));
	}
	for (size_t len = 0; len < LEN; len++) {
		uint8_t *exact = malloc(len + 1); /* a sanitizer sees reads beyond it */

		memcpy(exact, request, len);
		assert_int_equal(remu_arp_answer(exact, len, mac, IP), 0);
		free(exact);
	}
}

/* Hand the engine a frame. Returns whether it was kept, rather than counted as dropped. */
static bool
taken(struct bench *b, const uint8_t frame[PADDED])
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(b->pool);
	uint64_t dropped = remu_engine_stats(b->e)->drops[REMU_DROP_NOT_IP];

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, PADDED), frame, PADDED);
	remu_engine_rx(b->e, &m, 1, b->now);
	return remu_engine_stats(b->e)->drops[REMU_DROP_NOT_IP] == dropped;
}

/* A request for the address of the bench's engine from its peer. */
static void
ask(struct bench *b, uint8_t frame[PADDED])
{
	memcpy(frame, request, PADDED);
	memcpy(frame + 6, b->path.src_mac, 6);
	memcpy(frame + 22, b->path.src_mac, 6);
	roce_store_be32(frame + 28, roce_gid_to_ipv4(&b->path.src));
	roce_store_be32(frame + 38, roce_gid_to_ipv4(&b->path.dst));
}

static void
engine__answers_one_at_a_time(void **state)
{
	struct rte_mbuf *out[4];
	uint8_t frame[PADDED];
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){.answer_arp = true});
	ask(&b, frame);
	assert_true(taken(&b, frame));
	assert_true(remu_engine_has_output(b.e));
	assert_false(taken(&b, frame));
	assert_int_equal(remu_engine_tx(b.e, out, 0, b.now), 0);
	assert_int_equal(remu_engine_tx(b.e, out, 4, b.now), 1);
	assert_int_equal(out[0]->data_len, LEN);
	assert_int_equal(out[0]->pkt_len, LEN);
	assert_memory_equal(rte_pktmbuf_mtod(out[0], uint8_t *), b.path.src_mac, 6);
	assert_memory_equal(rte_pktmbuf_mtod(out[0], uint8_t *) + 22, b.path.dst_mac, 6);
	rte_pktmbuf_free(out[0]);
	assert_false(remu_engine_has_output(b.e));
	assert_int_equal(remu_engine_stats(b.e)->arp_answered, 1);
	/* The next one is answered again; one that nobody fetches is freed with the engine. */
	assert_true(taken(&b, frame));
	bench_close(&b);
}

static void
engine__is_silent_when_told(void **state)
{
	uint8_t frame[PADDED];
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){0});
	ask(&b, frame);
	assert_false(taken(&b, frame));
	assert_false(remu_engine_has_output(b.e));
	bench_close(&b);
	/* Without an IPv4 address there is nothing to answer for. */
	bench_open(&b, &(struct wire_config){.answer_arp = true, .ipv6 = true});
	memset(frame + 38, 0, 4);
	assert_false(taken(&b, frame));
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer__is_exact),
		cmocka_unit_test(answer__keeps_a_tag),
		cmocka_unit_test(answer__defends_the_address),
		cmocka_unit_test(no_answer__leaves_the_frame_alone),
		cmocka_unit_test(engine__answers_one_at_a_time),
		cmocka_unit_test(engine__is_silent_when_told),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
