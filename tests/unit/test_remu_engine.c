/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine as a whole: what it lets in, whose turn it is to send, and what it does without mbufs.
 */
#include "eal.h"
#include "frame_maker.h"
#include "wire.h"

#include <remu_priv.h>
#include <roce_bytes.h>

#include <errno.h>

enum { RKEY = 0x77, LEN = 8192, RED = 4096, MUTATIONS = 1000000, QPS = 4 };

#define VA UINT64_C(0x10000)

static uint8_t memory[RED + LEN + RED];
static uint8_t before[sizeof(memory)];

static void
start(struct bench *b, const struct wire_config *cfg)
{
	struct remu_mr_config mr = {
		.addr = memory + RED,
		.va = VA,
		.length = LEN,
		.rkey = RKEY,
		.pd = WIRE_PD,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE,
	};

	bench_open(b, cfg);
	memset(memory, 0xee, sizeof(memory));
	memset(before, 0xee, sizeof(before));
	assert_int_equal(remu_mr_register(b->e, &mr), 0);
}

static const struct roce_fields write_8 = {.opcode = ROCE_WRITE_ONLY,
	.ackreq = true,
	.va = VA,
	.rkey = RKEY,
	.dma_len = 8};

static struct rte_mbuf *
craft_write(struct bench *b)
{
	struct roce_fields f = write_8;

	f.psn = bench_info(b).epsn;
	return bench_craft(b, &f, "8 bytes", 8);
}

static void
remu_engine_create__checks_its_config(void **state)
{
	static const struct {
		struct member m;
		uint64_t good[2];
		uint64_t bad[2];
	} cases[] = {
#define CFG(m) {MEMBER(struct remu_engine_config, m)}
		{CFG(id), {0, 1}, {2, UINT32_MAX}},
		{CFG(n_engines), {1, 9}, {0, 0}},
		{CFG(max_qps), {1, 64}, {0, 65537}},
		{CFG(max_mrs), {1, 65536}, {0, 65537}},
		{CFG(sq_depth), {2, 4096}, {1, 8192}},
		{CFG(sq_depth), {4, 8}, {0, 6}},
		{CFG(window), {1, 4096}, {0, 4097}},
	};
	struct remu_engine_config good = {.gid = roce_gid_ipv4(1),
		.n_engines = 2,
		.max_qps = 1,
		.max_mrs = 1,
		.sq_depth = 2,
		.window = 1,
		.socket_id = -1};
	struct remu_engine_config cfg;
	struct remu_engine *e;
	struct bench b;

	(void)state;
	remu_engine_destroy(NULL);
	assert_int_equal(remu_engine_create(&good, &e), -EINVAL); /* no pool */
	bench_open(&b, &(struct wire_config){0});
	good.pool = b.pool;
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		for (size_t v = 0; v < 4; v++) {
			uint64_t value = v < 2 ? cases[i].good[v] : cases[i].bad[v - 2];
			int rc;

			cfg = good;
			memcpy((uint8_t *)&cfg + cases[i].m.off, &value, cases[i].m.size);
			rc = remu_engine_create(&cfg, &e);
			if (rc != (v < 2 ? 0 : -EINVAL) || (e != NULL) != (rc == 0))
				fail_msg("%s %lu: %d", cases[i].m.name, value, rc);
			remu_engine_destroy(e);
		}
	cfg = good;
	memset(&cfg.gid, 0, sizeof(cfg.gid));
	assert_int_equal(remu_engine_create(&cfg, &e), -EINVAL);
	cfg = good;
	cfg.max_qps = 65536;
	cfg.sq_depth = 4096;
	assert_int_equal(remu_engine_create(&cfg, &e), -ENOMEM);
	assert_null(e);
	bench_close(&b);
}

static void
remu_path_mtu__fits(void **state)
{
	static const uint32_t cases[][2] = {{0, 0}, {335, 0}, {336, 256}, {591, 256}, {592, 512},
		{1103, 512}, {1104, 1024}, {1500, 1024}, {2128, 2048}, {4175, 2048}, {4176, 4096},
		{9000, 4096}, {UINT32_MAX, 4096}};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		assert_int_equal(remu_path_mtu(cases[i][0]), cases[i][1]);
}

/* A WRITE that would be carried out, but for one byte. */
static void
receive__drops(void **state)
{
	enum { IP = ROCE_ETH_LEN, UDP = IP + ROCE_IPV4_LEN, BTH = UDP + ROCE_UDP_LEN };
	static const struct {
		enum remu_drop want;
		int off;
		uint8_t value;
	} cases[] = {
		{REMU_DROP_IP_HEADER, 12, 0x86}, {REMU_DROP_NOT_IP, 12, 0x81},
		{REMU_DROP_IP_HEADER, IP, 0x46}, {REMU_DROP_IP_HEADER, IP, 0x65},
		{REMU_DROP_RUNT, IP + 2, 1}, {REMU_DROP_FRAGMENT, IP + 6, 0x20},
		{REMU_DROP_FRAGMENT, IP + 7, 1}, {REMU_DROP_NOT_UDP, IP + 9, 6},
		{REMU_DROP_UDP_PORT, UDP + 3, 0xb8}, {REMU_DROP_UDP_LENGTH, UDP + 4, 1},
		{REMU_DROP_UDP_LENGTH, UDP + 5, 23}, {REMU_DROP_OPCODE, BTH, 0x15},
		{REMU_DROP_OPCODE, BTH, 0x1f}, {REMU_DROP_OPCODE, BTH, 0x2a},
		{REMU_DROP_OPCODE, BTH, 0x64}, {REMU_DROP_PAYLOAD, BTH, ROCE_CNP},
		{REMU_DROP_OPCODE, BTH, 0xff}, {REMU_DROP_TVER, BTH + 1, 0x01},
		{REMU_DROP_PAYLOAD, BTH, ROCE_READ_REQUEST}, {REMU_DROP_DST_MAC, 5, 9},
		{REMU_DROP_DST_MAC, 0, 0xff}, {REMU_DROP_DST_IP, IP + 19, 9},
		{REMU_DROP_PKEY, BTH + 2, 0}, {REMU_DROP_QPN, BTH + 7, 0},
		{REMU_DROP_QPN, BTH + 7, 1}, {REMU_DROP_QPN, BTH + 5, 0xff},
		{REMU_DROP_SRC_MAC, 11, 9}, {REMU_DROP_SRC_IP, IP + 15, 9},
		{REMU_DROP_RESP_STALE, BTH, ROCE_READ_RESPONSE_ONLY},
		{REMU_DROP_NONE, IP + 1, 0xfe},	 /* ToS */
		{REMU_DROP_NONE, IP + 8, 1},	 /* TTL */
		{REMU_DROP_NONE, IP + 10, 1},	 /* IP checksum */
		{REMU_DROP_NONE, UDP, 0},	 /* source port */
		{REMU_DROP_NONE, UDP + 6, 1},	 /* UDP checksum */
		{REMU_DROP_NONE, BTH + 4, 0xff}, /* FECN, BECN */
	};
	struct remu_qp_info info, was;
	uint32_t executed = 0;
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mbuf *m = craft_write(&b);
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

		snprintf(b.label, sizeof(b.label), "byte %d = %02x", cases[i].off, cases[i].value);
		was = bench_info(&b);
		frame[cases[i].off] = cases[i].value;
		if (cases[i].off == 12)
			frame[13] = cases[i].value == 0x81 ? 0 : 0xdd;
		frame_reseal(m);
		if (bench_rx(&b, m) != cases[i].want)
			fail_msg("%s: not %s", b.label, remu_drop_name(cases[i].want));
		info = bench_info(&b);
		if (cases[i].want == REMU_DROP_NONE) {
			executed++;
			assert_int_equal(bench_tx(&b)->pkt.f.syndrome, ROCE_SYN_ACK_NO_LIMIT);
			memcpy(before + RED, "8 bytes", 8);
			was.epsn++;
			was.msn++;
		}
		assert_memory_equal(&info, &was, sizeof(info));
		assert_memory_equal(memory, before, sizeof(memory));
		bench_expect_silence(&b);
		bench_expect_no_wc(&b);
	}
	assert_int_equal(remu_engine_stats(b.e)->rx_packets, RTE_DIM(cases));
	assert_int_equal(remu_engine_stats(b.e)->writes_executed, executed);
	bench_close(&b);
}

/* Each bit is either covered by the ICRC, or checked, or one of those that routers may change. */
static void
receive__any_bit_turned(void **state)
{
	struct bench b;
	uint32_t accepted = 0;
	int len = 0;

	(void)state;
	start(&b, &(struct wire_config){0});
	for (int bit = 0; bit == 0 || bit < len * 8; bit++) {
		struct rte_mbuf *m = craft_write(&b);

		len = m->data_len;
		rte_pktmbuf_mtod(m, uint8_t *)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (bench_rx(&b, m) == REMU_DROP_NONE) {
			accepted++;
			assert_non_null(bench_tx(&b));
		}
		bench_expect_silence(&b);
	}
	/* ToS, TTL, two checksums, and the FECN/BECN byte. */
	assert_int_equal(accepted, 8 + 8 + 16 + 16 + 8);
	bench_close(&b);
}

static void
receive__any_length(void **state)
{
	struct bench b;
	int len = 200;

	(void)state;
	start(&b, &(struct wire_config){0});
	for (int cut = 1; cut < len; cut++) {
		struct rte_mbuf *m = craft_write(&b);

		len = m->data_len;
		rte_pktmbuf_trim(m, (uint16_t)cut);
		assert_int_equal(bench_rx(&b, m), REMU_DROP_RUNT);
	}
	for (int more = 1; more < 100; more++) { /* Ethernet padding */
		struct rte_mbuf *m = craft_write(&b);

		assert_non_null(memset(rte_pktmbuf_append(m, (uint16_t)more), 0x5a, (size_t)more));
		assert_int_equal(bench_rx(&b, m), REMU_DROP_NONE);
		assert_int_equal(bench_tx(&b)->pkt.f.syndrome, ROCE_SYN_ACK_NO_LIMIT);
	}
	bench_close(&b);
}

static void
receive__joins_segments(void **state)
{
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){0});
	for (int room = 1; room >= 0; room--) {
		struct rte_mbuf *m = craft_write(&b), *tail = rte_pktmbuf_alloc(b.pool);

		memcpy(rte_pktmbuf_append(tail, 20),
			rte_pktmbuf_mtod_offset(m, void *, m->data_len - 20), 20);
		rte_pktmbuf_trim(m, 20);
		if (!room)
			m->buf_len = (uint16_t)(m->data_off + m->data_len);
		rte_pktmbuf_chain(m, tail);
		assert_int_equal(bench_rx(&b, m), room ? REMU_DROP_NONE : REMU_DROP_SEGMENTS);
		m->buf_len = rte_pktmbuf_data_room_size(b.pool);
		if (room)
			assert_non_null(bench_tx(&b));
		bench_expect_silence(&b);
	}
	bench_close(&b);
}

/* A request or response that fits what the engine expects, more or less. */
static struct rte_mbuf *
random_packet(struct bench *b, uint64_t *seed)
{
	static const uint8_t opcodes[] = {ROCE_WRITE_ONLY, ROCE_WRITE_ONLY, ROCE_WRITE_FIRST,
		ROCE_WRITE_MIDDLE, ROCE_WRITE_LAST, ROCE_READ_REQUEST, ROCE_READ_RESPONSE_FIRST,
		ROCE_READ_RESPONSE_MIDDLE, ROCE_READ_RESPONSE_LAST, ROCE_READ_RESPONSE_ONLY,
		ROCE_ACKNOWLEDGE, ROCE_ACKNOWLEDGE, ROCE_SEND_ONLY, ROCE_FETCH_ADD};
	static uint8_t payload[1024];
	uint8_t opcode = opcodes[prng_below(seed, RTE_DIM(opcodes))];
	uint32_t traits = roce_ops[opcode].traits;
	uint32_t full = traits & (ROCE_T_FIRST | ROCE_T_MIDDLE);
	struct roce_fields f = random_fields(seed, opcode);
	uint32_t len;

	len = !(traits & ROCE_T_PAYLOAD) ? 0 : full ? 256 : prng_below(seed, 257);
	f.pkey = ROCE_PKEY_DEFAULT;
	f.dest_qpn = WIRE_QPN;
	f.psn = traits & ROCE_T_REQUEST ? b->qp->resp.epsn : b->qp->req.una_psn;
	if (prng_below(seed, 4) == 0)
		f.psn += prng_below(seed, 64) - 32;
	f.va = VA + prng_below(seed, LEN);
	f.rkey = RKEY;
	f.dma_len = full		  ? 256 + prng_below(seed, 2048)
		: traits & ROCE_T_PAYLOAD ? len
					  : prng_below(seed, 4096);
	f.syndrome = prng_below(seed, 8) ? ROCE_SYN_ACK_NO_LIMIT : 0x60 | prng_below(seed, 8);
	return bench_craft(b, &f, payload, len);
}

/*
 * 92: random frames, most of them with one to three wrong bytes but the right ICRC. Nothing is
 * written outside the region and the buffer of our own READs.
 */
static void
receive__mutations(void **state)
{
	static uint8_t buffer[RED + LEN + RED];
	struct remu_wr wr = {.addr = buffer + RED, .remote_va = VA, .rkey = RKEY};
	uint64_t seed = 92, refused = 0;
	struct remu_wc wc[32];
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){.mtu = 256, .retry_cnt = 3, .window = 16});
	memset(buffer, 0xee, sizeof(buffer));
	for (int i = 0; i < MUTATIONS; i++) {
		struct rte_mbuf *m = random_packet(&b, &seed), *out[32];
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
		uint16_t n;

		for (uint32_t k = prng_below(&seed, 4); k > 0; k--)
			frame[ROCE_ETH_LEN + prng_below(&seed, m->data_len - ROCE_ETH_LEN)] =
				(uint8_t)prng_next(&seed);
		frame_reseal(m);
		remu_engine_rx(b.e, &m, 1, b.now);
		if ((i & 7) == 0) {
			b.now += prng_below(&seed, 400000);
			wr.opcode = (uint8_t)prng_below(&seed, REMU_WR_COUNT);
			wr.length = prng_below(&seed, LEN + 1);
			remu_qp_post(b.e, b.qp, &wr, b.now);
			remu_engine_poll(b.e, b.now);
			n = remu_engine_tx(b.e, out, RTE_DIM(out), b.now);
			rte_pktmbuf_free_bulk(out, n);
			remu_engine_poll_wc(b.e, wc, RTE_DIM(wc));
		}
		if (b.qp->state == REMU_QP_ERR) {
			refused++;
			b.attr.rq_psn = (uint32_t)prng_next(&seed) & 0xffffff;
			for (int to = REMU_QP_RESET; to <= REMU_QP_RTS; to++)
				remu_qp_modify(b.e, b.qp, (enum remu_qp_state)to, &b.attr);
		}
	}
	for (int i = 0; i < RED; i++)
		assert_true(memory[i] == 0xee && memory[RED + LEN + i] == 0xee &&
			buffer[i] == 0xee && buffer[RED + LEN + i] == 0xee);
	/* The frames did reach the places where damage could be done. */
	assert_in_range(refused, MUTATIONS / 100, MUTATIONS);
	assert_in_range(remu_engine_stats(b.e)->writes_executed, MUTATIONS / 100, MUTATIONS);
	assert_in_range(remu_engine_stats(b.e)->reads_executed, MUTATIONS / 100, MUTATIONS);
	assert_in_range(remu_engine_stats(b.e)->wc_success, MUTATIONS / 10000, MUTATIONS);
	bench_close(&b);
}

/* Without mbufs nothing is lost and no timer runs for what was not sent. */
static void
remu_engine_tx__without_mbufs(void **state)
{
	enum { POOL = 64 };
	struct rte_mbuf *held[POOL];
	struct remu_wr wr = {.wr_id = 1, .addr = memory, .length = 3000};
	struct roce_fields read = {.opcode = ROCE_READ_REQUEST,
		.psn = 1,
		.va = VA,
		.rkey = RKEY,
		.dma_len = 3000};
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){.pool = POOL});
	assert_int_equal(bench_rx(&b, craft_write(&b)), REMU_DROP_NONE);
	assert_int_equal(bench_inject(&b, &read, NULL, 0), REMU_DROP_NONE);
	assert_int_equal(remu_qp_post(b.e, b.qp, &wr, 0), 0);
	for (uint32_t sent = 0; sent <= 7; sent++) {
		static const uint8_t opcodes[] = {ROCE_ACKNOWLEDGE, ROCE_READ_RESPONSE_FIRST,
			ROCE_READ_RESPONSE_MIDDLE, ROCE_READ_RESPONSE_LAST, ROCE_WRITE_FIRST,
			ROCE_WRITE_MIDDLE, ROCE_WRITE_LAST};
		uint64_t missed = remu_engine_stats(b.e)->tx_no_mbuf;

		assert_int_equal(rte_pktmbuf_alloc_bulk(b.pool, held, POOL), 0);
		for (int i = 0; i < 3; i++)
			bench_expect_silence(&b);
		rte_pktmbuf_free_bulk(held, POOL);
		if (sent < 7) {
			assert_true(remu_engine_has_output(b.e));
			assert_int_equal(remu_engine_next_deadline(b.e) != UINT64_MAX, sent > 4);
			assert_in_range(remu_engine_stats(b.e)->tx_no_mbuf, missed + 3, missed + 6);
			assert_int_equal(bench_tx(&b)->pkt.f.opcode, opcodes[sent]);
		}
	}
	assert_false(remu_engine_has_output(b.e));
	assert_int_equal(bench_inject(&b,
				 &(struct roce_fields){.opcode = ROCE_ACKNOWLEDGE,
					 .psn = 2,
					 .syndrome = ROCE_SYN_ACK_NO_LIMIT},
				 NULL, 0),
		REMU_DROP_NONE);
	bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
	bench_close(&b);
}

/* Frames made in one go, counted by destination. */
static void
count_turn(struct bench *b, uint16_t max, uint32_t *count)
{
	struct rte_mbuf *out[256];
	uint16_t n = remu_engine_tx(b->e, out, max, b->now);

	memset(count, 0, QPS * sizeof(*count));
	assert_int_equal(n, max);
	for (uint16_t i = 0; i < n; i++)
		count[roce_load_be24(
			      rte_pktmbuf_mtod_offset(out[i], uint8_t *, ROCE_L2L4_LEN + 5)) -
			100]++;
	rte_pktmbuf_free_bulk(out, n);
}

static void
remu_engine_tx__takes_turns(void **state)
{
	struct wire_config cfg = {.window = 4096, .mtu = 256};
	struct remu_wr wr = {.addr = memory, .length = LEN};
	uint32_t count[QPS], sum[QPS] = {0};
	struct bench b;

	(void)state;
	bench_open(&b, &cfg);
	for (uint32_t k = 0; k < QPS; k++) {
		struct remu_qp *qp;

		b.attr.peer_qpn = 100 + k;
		qp = wire_qp(b.e, &cfg, 50 + k, &b.attr);
		for (int i = 0; i < 32; i++)
			assert_int_equal(remu_qp_post(b.e, qp, &wr, 0), 0);
	}
	for (int turn = 0; turn < 2; turn++) {
		count_turn(&b, 128, count);
		for (uint32_t k = 0; k < QPS; k++)
			assert_int_equal(count[k], 32);
	}
	for (int turn = 0; turn < 40; turn++) { /* bursts smaller than a quantum */
		count_turn(&b, 7, count);
		assert_int_equal(count[turn % QPS], 7);
	}
	count_turn(&b, 256, count);
	for (uint32_t k = 0; k < QPS; k++)
		sum[k] = count[k];
	for (uint32_t k = 0; k < QPS; k++)
		assert_int_equal(sum[k], 64);
	bench_close(&b);
}

/* A peer that reads without end must not keep our own requests from being repeated. */
static void
remu_engine_tx__responses_leave_room_for_requests(void **state)
{
	struct remu_wr wr = {.addr = memory, .length = LEN};
	struct roce_fields read = {.opcode = ROCE_READ_REQUEST,
		.va = VA,
		.rkey = RKEY,
		.dma_len = LEN};
	struct rte_mbuf *out[32];
	uint32_t requests = 0;
	struct bench b;

	(void)state;
	start(&b, &(struct wire_config){.mtu = 256});
	for (read.psn = 0; read.psn < 4 * 32; read.psn += 32)
		assert_int_equal(bench_inject(&b, &read, NULL, 0), REMU_DROP_NONE);
	assert_int_equal(remu_qp_post(b.e, b.qp, &wr, 0), 0);
	for (int turn = 0; turn < 5; turn++) {
		uint16_t n = remu_engine_tx(b.e, out, RTE_DIM(out), b.now);

		assert_int_equal(n, RTE_DIM(out));
		if (turn == 0)
			for (uint16_t i = 0; i < n; i++)
				requests += *rte_pktmbuf_mtod_offset(out[i], uint8_t *,
						    ROCE_L2L4_LEN) <= ROCE_WRITE_ONLY;
		rte_pktmbuf_free_bulk(out, n);
	}
	assert_int_equal(requests, 16);
	bench_expect_silence(&b); /* 128 responses and 32 requests */
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remu_engine_create__checks_its_config),
		cmocka_unit_test(remu_path_mtu__fits),
		cmocka_unit_test(receive__drops),
		cmocka_unit_test(receive__any_bit_turned),
		cmocka_unit_test(receive__any_length),
		cmocka_unit_test(receive__joins_segments),
		cmocka_unit_test(receive__mutations),
		cmocka_unit_test(remu_engine_tx__without_mbufs),
		cmocka_unit_test(remu_engine_tx__takes_turns),
		cmocka_unit_test(remu_engine_tx__responses_leave_room_for_requests),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
