/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance of what takes frames apart and puts them together: statements 1 to 20 of the
 * checklist, one test each, and further ones from 101 on that the checklist does not have.
 *
 * With a file as argument no test runs: the frames of statement 19 go there, for check_icrc.py.
 */
#include "conf.h"
#include "frame_maker.h"

#include <pcap.h>
#include <roce_bytes.h>
#include <roce_icrc.h>

#include <inttypes.h>
#include <stdio.h>

enum {
	ETH = 14,
	IPV4 = 20,
	UDP = 8,
	BTH = 12,
	ICRC = 4,
	LEN = 12, /* payload of the request that most tests spoil */
};

/* Headers of a frame without VLAN tag. */
static uint8_t *
l3_of(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, uint8_t *, ETH);
}

static uint8_t *
udp_of(const struct target *t, struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, uint8_t *, t->b.in.len - UDP);
}

static uint8_t *
bth_of(const struct target *t, struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, uint8_t *, t->b.in.len);
}

/* A WRITE that is in order, the k-th from the first. */
static struct rte_mbuf *
good_write(struct target *t, int32_t k)
{
	return target_craft(t,
		&(struct request){.op = WRITE_ONLY, .psn = k, .off = 16 * k, .len = LEN});
}

/* It has been accepted. */
static void
expect_written(struct target *t, int32_t k)
{
	target_wrote(t, 16 * (uint32_t)k, LEN);
	target_expect(t, ACKNOWLEDGE, k, ACK, (uint32_t)k + 1);
	target_settled(t, k + 1, (uint32_t)k + 1);
}

/* The k-th WRITE is taken in spite of the change. */
#define take(t, k, m) \
	do { \
		inject_frame(t, OK, m); \
		expect_written(t, k); \
	} while (0)

/* The frame is dropped for this reason, without any effect, where the first WRITE was due. */
#define reject(t, reason, m) \
	do { \
		inject_frame(t, reason, m); \
		expect_settled(t, 0, 0); \
	} while (0)

/* CRC of Ethernet, bit by bit. */
static uint32_t
crc_bits(uint32_t crc, const uint8_t *p, size_t len)
{
	for (; len > 0; p++, len--) {
		crc ^= *p;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

/* The ICRC by its definition. */
static uint32_t
reference_icrc(const uint8_t *l3, size_t span)
{
	static const uint8_t ones[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t masked4[] = {1, 8, 10, 11, 26, 27, 32};
	static const uint8_t masked6[] = {1, 2, 3, 7, 46, 47, 52};
	bool ipv6 = l3[0] >> 4 == 6;
	uint8_t copy[2 * MTU];

	assert_in_range(span, 40, sizeof(copy));
	memcpy(copy, l3, span);
	for (size_t i = 0; i < RTE_DIM(masked4); i++)
		copy[ipv6 ? masked6[i] : masked4[i]] = 0xff;
	if (ipv6)
		copy[0] |= 0x0f; /* traffic class */
	return ~crc_bits(crc_bits(UINT32_MAX, ones, sizeof(ones)), copy, span);
}

/* An ACK that a kernel has sent, from its IP header on (section 2). */
static const uint8_t rxe_ack[48] = {0x45, 0x00, 0x00, 0x30, 0x6a, 0x2e, 0x40, 0x00, 0x40, 0x11,
	0xbc, 0x8c, 10, 0, 0, 2, 10, 0, 0, 1, 0xc1, 0x21, 0x12, 0xb7, 0x00, 0x1c, 0x00, 0x00, 0x11,
	0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x11, 0x00, 0x3b, 0x9f, 0x5b, 0x1f, 0x00, 0x00, 0x01,
	0xc0, 0x6e, 0x24, 0x1b};

static void
c01_ack_of_a_kernel_is_understood(void **state)
{
	static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
	struct bench b = {.pool = eal_pool(16)};
	struct remu_engine_config engine = {
		.pool = b.pool,
		.gid = roce_gid_ipv4(0x0a000001),
		.n_engines = 1,
		.max_qps = 1,
		.max_mrs = 1,
		.sq_depth = 2,
		.window = 2,
		.socket_id = -1,
	};
	struct wire_config cfg = {.sq_psn = 0x3b9f5b};
	struct remu_qp_attr attr = wire_attr(&cfg, 0);
	struct remu_wr wr = {.wr_id = 1, .opcode = REMU_WR_RDMA_WRITE};
	uint8_t frame[ETH + sizeof(rxe_ack)] = {[12] = 0x08};
	struct roce_packet pkt;
	struct rte_mbuf *m;

	(void)state;
	memcpy(frame, own_mac, 6);
	memcpy(frame + 6, peer_mac, 6);
	memcpy(frame + ETH, rxe_ack, sizeof(rxe_ack));

	assert_int_equal(roce_decode(frame, sizeof(frame), &pkt), REMU_DROP_NONE);
	assert_int_equal(pkt.f.opcode, ACKNOWLEDGE);
	assert_int_equal(pkt.f.pkey, 0xffff);
	assert_int_equal(pkt.f.dest_qpn, 0x11);
	assert_int_equal(pkt.f.psn, 0x3b9f5b);
	assert_int_equal(pkt.f.syndrome, ACK);
	assert_int_equal(pkt.f.msn, 1);
	assert_false(pkt.f.migreq);
	assert_int_equal(pkt.payload_len, 0);
	assert_int_equal(pkt.icrc_span, sizeof(rxe_ack) - ICRC);
	assert_int_equal(roce_icrc(pkt.l3, pkt.icrc_span), 0x1b246ec0);
	assert_int_equal(reference_icrc(pkt.l3, pkt.icrc_span), 0x1b246ec0);
	assert_true(roce_icrc_ok(pkt.l3, pkt.icrc_span));

	/* It ends a WRITE of an engine that has the addresses of its addressee. */
	memcpy(engine.mac, own_mac, 6);
	memcpy(attr.peer_mac, peer_mac, 6);
	attr.peer_gid = roce_gid_ipv4(0x0a000002);
	assert_int_equal(remu_engine_create(&engine, &b.e), 0);
	b.qp = wire_qp(b.e, &cfg, 0x11, &attr);
	assert_int_equal(remu_qp_post(b.e, b.qp, &wr, 0), 0);
	assert_non_null(bench_tx(&b));
	bench_expect_no_wc(&b);
	m = rte_pktmbuf_alloc(b.pool);
	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, sizeof(frame)), frame, sizeof(frame));
	assert_int_equal(bench_rx(&b, m), REMU_DROP_NONE);
	bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
	bench_expect_silence(&b);
	bench_close(&b);
}

/* Whether the ICRC leaves this bit out. Bits count from the first byte of the frame. */
static bool
is_masked(size_t bit, bool ipv6)
{
	size_t byte = bit / 8 - ETH;

	if (bit / 8 < ETH)
		return false;
	if (ipv6) /* traffic class, flow label, hop limit, UDP checksum, byte 4 of the BTH */
		return (byte == 0 && bit % 8 < 4) || (byte >= 1 && byte <= 3) || byte == 7 ||
			byte == 46 || byte == 47 || byte == 52;
	/* ToS, TTL, both checksums, byte 4 of the BTH */
	return byte == 1 || byte == 8 || byte == 10 || byte == 11 || byte == 26 || byte == 27 ||
		byte == 32;
}

/* Turn each bit of a WRITE, also those of its Ethernet header and of the ICRC itself. */
static void
turn_every_bit(struct target *t, bool ipv6)
{
	size_t frame_len = t->b.in.len + 28u + LEN + ICRC;
	int32_t taken = 0;

	for (size_t bit = 0; bit < 8 * frame_len; bit++) {
		struct rte_mbuf *m = good_write(t, taken);
		enum remu_drop verdict;

		assert_int_equal(m->data_len, frame_len);
		snprintf(t->b.label, sizeof(t->b.label), "bit %zu of byte %zu", bit % 8, bit / 8);
		rte_pktmbuf_mtod(m, uint8_t *)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		verdict = bench_rx(&t->b, m);
		if ((verdict == REMU_DROP_NONE) != is_masked(bit, ipv6))
			fail_msg("%s: %s", t->b.label, remu_drop_name(verdict));
		if (verdict == REMU_DROP_NONE)
			expect_written(t, taken++);
		else
			target_settled(t, taken, (uint32_t)taken);
	}
	assert_int_equal(taken, ipv6 ? 4 + 8 * 7 : 8 * 7);
}

static void
c02_flipped_bit_is_dropped(void **state)
{
	/* From the IP header on: ID, source address, source port, BTH, RETH, payload, ICRC. */
	static const uint8_t bytes[] = {4, 5, 12, 15, 20, 29, 31, 33, 35, 36, 37, 39, 40, 47, 51,
		55, 56, 67, 68, 71};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(bytes); i++)
		for (int bit = 0; bit < 8; bit++) {
			struct rte_mbuf *m = good_write(&t, 0);
			int reason = REMU_DROP_ICRC;

			if (bytes[i] == 29 && bit < 4) /* seen even before the ICRC */
				reason = REMU_DROP_TVER;
			l3_of(m)[bytes[i]] ^= (uint8_t)(1u << bit);
			reject(&t, reason, m);
		}
	turn_every_bit(&t, false);
	target_close(&t);
}

static void
c03_fields_that_routers_change_do_not_matter(void **state)
{
	static const struct {
		uint8_t at; /* from the IP header */
		uint8_t len;
		uint16_t value;
	} cases[] = {{1, 1, 0x01}, {1, 1, 0x02}, {1, 1, 0xfc}, {8, 1, 0}, {8, 1, 1}, {8, 1, 255},
		{10, 2, 0}, {10, 2, 0xffff}, {10, 2, 0x1234}, {26, 2, 1}, {26, 2, 0xffff},
		{26, 2, 0x8000}, {32, 1, 0x80}, {32, 1, 0x40}, {32, 1, 0x3f}, {32, 1, 0xff}};
	struct rte_mbuf *m;
	struct target t;
	int32_t k = 0;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		m = good_write(&t, k);
		if (cases[i].len == 2)
			roce_store_be16(l3_of(m) + cases[i].at, cases[i].value);
		else
			l3_of(m)[cases[i].at] = (uint8_t)cases[i].value;
		take(&t, k, m);
		k++;
	}
	m = good_write(&t, k);
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		l3_of(m)[cases[i].at] = (uint8_t)cases[i].value;
	take(&t, k, m);
	target_close(&t);
}

static void
c04_ethernet_padding_is_not_payload(void **state)
{
	struct target t;
	int32_t k = 0;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (uint16_t extra = 1; extra <= 64; extra++) {
		struct rte_mbuf *m = good_write(&t, k);

		memset(rte_pktmbuf_append(m, extra), 0xa5, extra);
		take(&t, k, m);
		k++;
	}
	target_close(&t);
}

static void
c05_shortest_frame_is_accepted(void **state)
{
	static const uint8_t tails[][2] = {{0, 0}, {0xff, 0xff}};
	struct target t;
	int32_t k = 0;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i <= RTE_DIM(tails); i++) {
		struct rte_mbuf *m;

		target_post_recv(&t, i, 0, 100);
		m = target_craft(&t, &(struct request){.op = SEND_ONLY, .psn = k});
		assert_int_equal(rte_pktmbuf_trim(m, (uint16_t)(m->data_len - 58)), 0);
		if (i < RTE_DIM(tails)) /* else a link without a minimum */
			memcpy(rte_pktmbuf_append(m, 2), tails[i], 2);
		inject_frame(&t, OK, m);
		expect_recv(&t, .opcode = REMU_WR_SEND);
		expect_ack(&t, k, (uint32_t)k + 1);
		k++;
		expect_settled(&t, k, (uint32_t)k);
	}
	target_close(&t);
}

static void
c06_udp_length_less_than_bth_and_icrc_is_dropped(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (uint16_t len = 0; len < UDP + BTH + ICRC; len++) {
		struct rte_mbuf *m = good_write(&t, 0);

		roce_store_be16(udp_of(&t, m) + 4, len);
		if (len >= UDP + ICRC)
			target_seal(&t, m);
		reject(&t, REMU_DROP_UDP_LENGTH, m);
		/* The same with an IP length that fits, and nothing behind. */
		m = good_write(&t, 0);
		roce_store_be16(udp_of(&t, m) + 4, len);
		roce_store_be16(l3_of(m) + 2, IPV4 + len);
		if (len >= UDP + ICRC)
			target_seal(&t, m);
		assert_int_equal(rte_pktmbuf_trim(m, (uint16_t)(m->data_len - ETH - IPV4 - len)),
			0);
		reject(&t, len >= UDP ? REMU_DROP_UDP_LENGTH : REMU_DROP_RUNT, m);
	}
	target_close(&t);
}

static void
c07_udp_length_beyond_ip_length_is_dropped(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (uint16_t more = 4; more <= 32; more += 4) {
		struct rte_mbuf *m = good_write(&t, 0);

		/* The frame has the bytes, and an ICRC where the UDP length says. */
		memset(rte_pktmbuf_append(m, more), 0, more);
		roce_store_be16(udp_of(&t, m) + 4, UDP + 28 + LEN + ICRC + more);
		target_seal(&t, m);
		reject(&t, REMU_DROP_UDP_LENGTH, m);
	}
	for (uint32_t len = UDP + 28 + LEN + ICRC + 1; len <= UINT16_MAX; len += 97) {
		struct rte_mbuf *m = good_write(&t, 0);

		roce_store_be16(udp_of(&t, m) + 4, (uint16_t)len);
		reject(&t, REMU_DROP_UDP_LENGTH, m);
	}
	target_close(&t);
}

static void
c08_ip_length_beyond_the_frame_is_dropped(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (uint32_t len = IPV4 + UDP + 28 + LEN + ICRC + 1; len <= UINT16_MAX; len += 97) {
		struct rte_mbuf *m = good_write(&t, 0);

		roce_store_be16(l3_of(m) + 2, (uint16_t)len);
		target_seal(&t, m);
		reject(&t, REMU_DROP_RUNT, m);
	}
	/* A frame that was cut off, at every byte. */
	for (uint16_t cut = 1; cut <= ETH + IPV4 + UDP + 28 + LEN + ICRC; cut++) {
		struct rte_mbuf *m = good_write(&t, 0);

		assert_int_equal(rte_pktmbuf_trim(m, cut), 0);
		reject(&t, REMU_DROP_RUNT, m);
	}
	target_close(&t);
}

static void
c09_other_ip_packets_are_dropped(void **state)
{
	static const struct {
		uint8_t at; /* from the first byte of the frame */
		uint8_t len;
		uint16_t value;
		uint8_t reason;
	} cases[] = {
		{12, 2, 0x0806, REMU_DROP_NOT_IP},  /* ARP */
		{12, 2, 0x8915, REMU_DROP_NOT_IP},  /* RoCE version 1 */
		{14, 1, 0x46, REMU_DROP_IP_HEADER}, /* IHL */
		{14, 1, 0x44, REMU_DROP_IP_HEADER},
		{14, 1, 0x4f, REMU_DROP_IP_HEADER},
		{14, 1, 0x40, REMU_DROP_IP_HEADER},
		{14, 1, 0x65, REMU_DROP_IP_HEADER}, /* version */
		{14, 1, 0x55, REMU_DROP_IP_HEADER},
		{16, 2, 19, REMU_DROP_IP_HEADER}, /* length */
		{16, 2, 27, REMU_DROP_IP_HEADER},
		{20, 2, 0x2000, REMU_DROP_FRAGMENT}, /* more of them follow */
		{20, 2, 0x6000, REMU_DROP_FRAGMENT},
		{20, 2, 0x0001, REMU_DROP_FRAGMENT}, /* offset */
		{20, 2, 0x4001, REMU_DROP_FRAGMENT},
		{20, 2, 0x1fff, REMU_DROP_FRAGMENT},
		{23, 1, 6, REMU_DROP_NOT_UDP},	 /* TCP */
		{23, 1, 1, REMU_DROP_NOT_UDP},	 /* ICMP */
		{23, 1, 136, REMU_DROP_NOT_UDP}, /* UDP-Lite */
		{36, 2, 4790, REMU_DROP_UDP_PORT},
		{36, 2, 4792, REMU_DROP_UDP_PORT},
		{36, 2, 0xb712, REMU_DROP_UDP_PORT},
	};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mbuf *m = good_write(&t, 0);
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

		if (cases[i].len == 2)
			roce_store_be16(frame + cases[i].at, cases[i].value);
		else
			frame[cases[i].at] = (uint8_t)cases[i].value;
		target_seal(&t, m);
		snprintf(t.b.label, sizeof(t.b.label), "case %zu", i);
		target_inject_frame(&t, cases[i].reason, m);
		target_settled(&t, 0, 0);
	}
	target_close(&t);
}

/* Bytes of BTH and extension headers by opcode; 0: not an opcode of RC (section 1). */
static const uint8_t header_len[256] = {
	[0x00] = 12,
	[0x01] = 12,
	[0x02] = 12,
	[0x03] = 16,
	[0x04] = 12,
	[0x05] = 16,
	[0x06] = 28,
	[0x07] = 12,
	[0x08] = 12,
	[0x09] = 16,
	[0x0a] = 28,
	[0x0b] = 32,
	[0x0c] = 28,
	[0x0d] = 16,
	[0x0e] = 12,
	[0x0f] = 16,
	[0x10] = 16,
	[0x11] = 16,
	[0x12] = 24,
	[0x13] = 40,
	[0x14] = 40,
	[0x16] = 16,
	[0x17] = 16,
	[0x81] = 28,
};

/*
 * A frame of any opcode with so many bytes behind the BTH and before the ICRC. They are zero, so
 * that all rkeys, addresses and lengths are.
 */
static struct rte_mbuf *
raw_frame(struct target *t, uint8_t opcode, uint16_t body, uint8_t pad)
{
	struct rte_mbuf *m = target_craft(t, &(struct request){.op = SEND_ONLY, .len = 64});
	uint8_t *bth = bth_of(t, m);

	assert_true(body <= 64);
	memset(bth + BTH, 0, 64 + ICRC);
	bth[0] = opcode;
	bth[1] = (uint8_t)(pad << 4);
	roce_store_be16(udp_of(t, m) + 4, UDP + BTH + body + ICRC);
	roce_store_be16(l3_of(m) + 2, IPV4 + UDP + BTH + body + ICRC);
	target_seal(t, m);
	return m;
}

static void
c10_headers_pad_and_icrc_must_fit(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 1, 0, 100);
	for (uint32_t op = 0; op < 256; op++) {
		if (header_len[op] == 0)
			continue;
		for (uint16_t body = 0; body < header_len[op] - BTH; body++)
			for (uint8_t pad = 0; pad <= 3; pad++)
				reject(&t, REMU_DROP_UDP_LENGTH,
					raw_frame(&t, (uint8_t)op, body, pad));
		/* Headers and ICRC, but not the pad bytes. */
		for (uint8_t pad = 1; pad <= 3; pad++)
			reject(&t, REMU_DROP_PAYLOAD,
				raw_frame(&t, (uint8_t)op, header_len[op] - BTH, pad));
	}
	target_close(&t);
}

static void
c11_opcodes_that_are_not_rc_are_dropped(void **state)
{
	static const uint8_t named[] = {0x15, 0x1f, 0xff, 0x2a, 0x64};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(named); i++) {
		struct rte_mbuf *m = good_write(&t, 0);

		bth_of(&t, m)[0] = named[i];
		target_seal(&t, m);
		reject(&t, REMU_DROP_OPCODE, m);
	}
	for (uint32_t op = 0; op < 256; op++)
		for (uint16_t body = 0; body <= 64 && header_len[op] == 0; body += 4)
			reject(&t, REMU_DROP_OPCODE, raw_frame(&t, (uint8_t)op, body, 0));
	target_close(&t);
}

static void
c12_transport_version_is_0(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (uint8_t version = 1; version <= 15; version++) {
		struct rte_mbuf *m = good_write(&t, 0);

		bth_of(&t, m)[1] |= version;
		target_seal(&t, m);
		reject(&t, REMU_DROP_TVER, m);
	}
	target_close(&t);
}

static void
c13_unknown_queue_pairs_are_dropped(void **state)
{
	static const uint32_t qpns[] = {0, 1, 2, WIRE_QPN - 1, WIRE_QPN + 1, WIRE_QPN << 8,
		WIRE_QPN << 16, WIRE_QPN | 1 << 23, 0xfffffe, 0xffffff};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(qpns); i++) {
		struct rte_mbuf *m = good_write(&t, 0);

		roce_store_be24(bth_of(&t, m) + 5, qpns[i]);
		target_seal(&t, m);
		reject(&t, REMU_DROP_QPN, m);
	}
	target_close(&t);
}

static void
c14_partition_keys_match_in_15_bits(void **state)
{
	static const struct {
		uint16_t pkey;
		bool good;
	} cases[] = {{0xffff, true}, {0x7fff, true}, {0x0001, false}, {0x8000, false},
		{0x0000, false}, {0xfffe, false}, {0x7ffe, false}, {0xbfff, false},
		{0x8001, false}};
	struct target t;
	int32_t k = 0;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mbuf *m = good_write(&t, k);

		roce_store_be16(bth_of(&t, m) + 2, cases[i].pkey);
		target_seal(&t, m);
		inject_frame(&t, cases[i].good ? OK : REMU_DROP_PKEY, m);
		if (cases[i].good)
			expect_written(&t, k++);
		else
			expect_settled(&t, k, (uint32_t)k);
	}
	target_close(&t);
}

/* Every frame of ours is compared with one that has MigReq set. */
static void
c15_migreq_0_and_1_are_accepted(void **state)
{
	struct rte_mbuf *m;
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	m = good_write(&t, 0);
	bth_of(&t, m)[1] = 0x00;
	target_seal(&t, m);
	take(&t, 0, m);
	m = good_write(&t, 1);
	bth_of(&t, m)[1] = 0x40;
	target_seal(&t, m);
	take(&t, 1, m);
	target_close(&t);
}

static void
c16_wrong_addresses_are_dropped_and_counted(void **state)
{
	static const struct {
		uint8_t from, to; /* bytes of the frame */
		uint8_t reason;
	} cases[] = {
		{0, 5, REMU_DROP_DST_MAC},
		{6, 11, REMU_DROP_SRC_MAC},
		{26, 29, REMU_DROP_SRC_IP},
		{30, 33, REMU_DROP_DST_IP},
	};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		for (uint8_t byte = cases[i].from; byte <= cases[i].to; byte++)
			for (int bit = 0; bit < 8; bit++) {
				struct rte_mbuf *m = good_write(&t, 0);

				rte_pktmbuf_mtod(m, uint8_t *)[byte] ^= (uint8_t)(1u << bit);
				target_seal(&t, m);
				reject(&t, cases[i].reason, m);
			}
	target_close(&t);
}

static struct rte_mbuf *
write_from_port(struct target *t, int32_t k, uint16_t sport)
{
	struct rte_mbuf *m = good_write(t, k);

	roce_store_be16(udp_of(t, m), sport);
	target_seal(t, m);
	return m;
}

static const uint16_t sports[] = {0xc123, 0, 1, 4791, 0x7fff, 0xbfff, 0xc000, 0xffff, 0xc123};

static void
c17_any_udp_source_port_is_accepted(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(sports); i++)
		take(&t, (int32_t)i, write_from_port(&t, (int32_t)i, sports[i]));
	target_close(&t);
}

/* Put 802.1Q tags into a frame that has none. */
static struct rte_mbuf *
tag(struct rte_mbuf *m, int n, uint16_t tci)
{
	for (; n > 0; n--) {
		uint8_t *frame;

		assert_non_null(rte_pktmbuf_prepend(m, 4));
		frame = rte_pktmbuf_mtod(m, uint8_t *);
		memmove(frame, frame + 4, 12);
		roce_store_be16(frame + 12, 0x8100);
		roce_store_be16(frame + 14, tci);
	}
	return m;
}

static void
c18_tags_of_other_vlans_are_dropped(void **state)
{
	struct rte_mbuf *m;
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	reject(&t, REMU_DROP_VLAN, tag(good_write(&t, 0), 1, 1));
	reject(&t, REMU_DROP_VLAN, tag(good_write(&t, 0), 1, 0xfff));
	reject(&t, REMU_DROP_VLAN, tag(good_write(&t, 0), 2, 0));
	m = tag(good_write(&t, 0), 1, 0);
	roce_store_be16(rte_pktmbuf_mtod_offset(m, uint8_t *, 12), 0x88a8); /* 802.1ad */
	reject(&t, REMU_DROP_VLAN, m);
	for (uint16_t cut = 0; cut <= 4; cut++) { /* nothing behind the tag */
		m = tag(good_write(&t, 0), 1, 0);
		assert_int_equal(rte_pktmbuf_trim(m, (uint16_t)(m->data_len - ETH - cut)), 0);
		reject(&t, REMU_DROP_RUNT, m);
	}
	/* VLAN ID 0 is a priority, not a VLAN. */
	take(&t, 0, tag(good_write(&t, 0), 1, 0));
	take(&t, 1, tag(good_write(&t, 1), 1, 0xf000));
	target_close(&t);
}

/* Make the target send all kinds of packets with payload of so many bytes. */
static void
own_packets(struct target *t, uint32_t len, uint32_t *sent, uint32_t *got,
	void (*see)(void *arg, const struct frame *), void *arg)
{
	static const uint8_t kinds[] = {REMU_WR_RDMA_WRITE, REMU_WR_RDMA_WRITE_IMM, REMU_WR_SEND,
		REMU_WR_SEND_IMM, REMU_WR_RDMA_READ, REMU_WR_CMP_SWAP, REMU_WR_FETCH_ADD};
	struct remu_wc wc;

	for (size_t i = 0; i < RTE_DIM(kinds); i++) {
		bool atomic = kinds[i] == REMU_WR_CMP_SWAP || kinds[i] == REMU_WR_FETCH_ADD;
		bool read = kinds[i] == REMU_WR_RDMA_READ;
		uint32_t bytes = atomic ? 8 : len;
		struct remu_wr wr = {
			.addr = t->memory + BUFFER_AT,
			.remote_va = 0x123456789a0,
			.length = bytes,
			.rkey = 0xfedcba98,
			.opcode = kinds[i],
			.flags = kinds[i] != REMU_WR_RDMA_WRITE && !read && !atomic
				? REMU_WR_SOLICITED
				: 0,
			.imm = 0x01020304,
			.swap_add = 0x1122334455667788,
			.compare = kinds[i] == REMU_WR_CMP_SWAP ? 0x99aabbccddeeff00 : 0,
		};

		assert_int_equal(remu_qp_post(t->b.e, t->b.qp, &wr, t->b.now), 0);
		see(arg, bench_tx(&t->b));
		assert_int_equal(bench_inject(&t->b,
					 &(struct roce_fields){
						 .opcode = atomic ? ATOMIC_ACK
							 : read	  ? DATA_ONLY
								  : ACKNOWLEDGE,
						 .psn = (*sent)++,
						 .syndrome = ACK,
					 },
					 t->payload, read ? len : 0),
			REMU_DROP_NONE);
		assert_int_equal(remu_engine_poll_wc(t->b.e, &wc, 1), 1);
		assert_int_equal(wc.status, REMU_WC_SUCCESS);
	}
	inject(t, OK, .op = READ, .psn = (int32_t)(*got)++, .dma = len);
	see(arg, bench_tx(&t->b));
	inject(t, OK, .op = WRITE_ONLY, .psn = (int32_t)(*got)++, .len = 8);
	see(arg, bench_tx(&t->b));
	inject(t, OK, .op = FETCH_ADD, .psn = (int32_t)(*got)++, .swap_add = 1);
	see(arg, bench_tx(&t->b));
}

/* Frames of all kinds, over IPv4 and IPv6, with and without a VLAN tag. */
static void
each_own_frame(void (*see)(void *arg, const struct frame *), void *arg)
{
	static const uint32_t lens[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, MTU - 1, MTU};

	for (int v = 0; v < 4; v++) {
		struct target t;
		uint32_t sent = 0xfffffd, got = 0;
		struct rte_mbuf *m;

		target_open(&t,
			&(struct wire_config){
				.sq_psn = sent,
				.ipv6 = v & 1,
				.tagged = v & 2,
				.vlan_tci = v & 2 ? 0xa123 : 0,
				.traffic_class = 26 << 2,
			});
		/* What is left in an mbuf must not go out with the next frame. */
		for (uint32_t n = rte_mempool_avail_count(t.b.pool); n > 0; n--) {
			m = rte_pktmbuf_alloc(t.b.pool);
			memset(m->buf_addr, 0xa5, m->buf_len);
			rte_pktmbuf_free(m);
		}
		for (size_t i = 0; i < RTE_DIM(lens); i++)
			own_packets(&t, lens[i], &sent, &got, see, arg);
		inject(&t, OK, .op = READ, .psn = (int32_t)got, .dma = 3 * MTU + 1);
		for (int i = 0; i < 4; i++)
			see(arg, bench_tx(&t.b));
		got += 4;
		inject(&t, HELD, .op = SEND_ONLY, .psn = (int32_t)got + 1);
		see(arg, bench_tx(&t.b)); /* sequence NAK */
		m = target_craft(&t, &(struct request){.op = SEND_ONLY, .psn = (int32_t)got});
		roce_set_traffic_class(&t.b.in, rte_pktmbuf_mtod(m, uint8_t *), 3);
		inject_frame(&t, NOT_READY, m);
		see(arg, bench_tx(&t.b)); /* CNP, RNR NAK */
		see(arg, bench_tx(&t.b));
		bench_expect_silence(&t.b);
		target_close(&t);
	}
}

/* BTH, UDP header and IP header of a frame, found without the codec. */
static const uint8_t *
own_l3(const struct frame *frame)
{
	return frame->bytes + ETH + (roce_load_be16(frame->bytes + 12) == 0x8100 ? 4 : 0);
}

static const uint8_t *
own_udp(const struct frame *frame)
{
	return own_l3(frame) + (own_l3(frame)[0] >> 4 == 6 ? 40 : 20);
}

static void
check_icrc(void *arg, const struct frame *frame)
{
	const uint8_t *l3 = own_l3(frame), *udp = own_udp(frame);
	size_t end = (size_t)(udp - l3) + roce_load_be16(udp + 4);

	assert_true((size_t)(l3 - frame->bytes) + end <= frame->len);
	assert_int_equal(reference_icrc(l3, end - ICRC), roce_load_le32(l3 + end - ICRC));
	++*(uint32_t *)arg;
}

static void
c19_own_icrc_follows_the_definition(void **state)
{
	uint32_t seen = 0;

	(void)state;
	each_own_frame(check_icrc, &seen);
	assert_int_equal(seen, 4 * (12 * 10 + 4 + 1 + 2));
}

static void
check_pad(void *arg, const struct frame *frame)
{
	const uint8_t *udp = own_udp(frame), *bth = udp + UDP;
	const uint8_t *icrc = udp + roce_load_be16(udp + 4) - ICRC;
	uint32_t body = (uint32_t)(icrc - bth) - header_len[bth[0]];
	uint32_t pad = bth[1] >> 4 & 3;
	uint32_t *seen = arg;

	assert_int_equal(body % 4, 0);
	assert_in_range(pad, 0, body < 3 ? body : 3);
	for (uint32_t i = 1; i <= pad; i++)
		assert_int_equal(icrc[-(int)i], 0);
	for (const uint8_t *tail = icrc + ICRC; tail < frame->bytes + frame->len; tail++)
		assert_int_equal(*tail, 0);
	assert_true(frame->len >= 60);
	seen[pad]++;
}

static void
c20_own_pad_is_zero_and_as_long_as_needed(void **state)
{
	/* Of the lengths 0 to 9, 1023 and 1024, by what lacks to a multiple of four. */
	static const uint32_t lens[4] = {4, 3, 2, 3};
	uint32_t seen[4] = {0};

	(void)state;
	each_own_frame(check_pad, seen);
	/* Five requests with payload and the data of a READ; then the rest of a long READ. */
	for (uint32_t pad = 1; pad < 4; pad++)
		assert_int_equal(seen[pad], 4 * (lens[pad] * 5 + (pad == 3)));
}

/* Over IPv6 the same fields count, and one bit that has been turned is noticed. */
static void
c101_ipv6_is_checked_like_ipv4(void **state)
{
	static const struct {
		uint8_t at; /* from the first byte of the frame */
		uint8_t len;
		uint16_t value;
		uint8_t reason;
	} cases[] = {
		{14, 1, 0x40, REMU_DROP_IP_HEADER}, /* version */
		{14, 1, 0x70, REMU_DROP_IP_HEADER},
		{20, 1, 0, REMU_DROP_NOT_UDP}, /* an extension header in between */
		{20, 1, 44, REMU_DROP_FRAGMENT},
		{20, 1, 6, REMU_DROP_NOT_UDP},
		{56, 2, 4790, REMU_DROP_UDP_PORT},
	};
	struct target t;
	struct rte_mbuf *m;

	(void)state;
	target_open(&t, &(struct wire_config){.ipv6 = true});
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		uint8_t *frame;

		m = good_write(&t, 0);
		frame = rte_pktmbuf_mtod(m, uint8_t *);
		if (cases[i].len == 2)
			roce_store_be16(frame + cases[i].at, cases[i].value);
		else
			frame[cases[i].at] = (uint8_t)cases[i].value;
		target_seal(&t, m);
		reject(&t, cases[i].reason, m);
	}
	/* Payload length: more than the frame has, less than UDP says, not even a UDP header. */
	m = good_write(&t, 0);
	roce_store_be16(l3_of(m) + 4, roce_load_be16(l3_of(m) + 4) + 1);
	target_seal(&t, m);
	reject(&t, REMU_DROP_RUNT, m);
	m = good_write(&t, 0);
	roce_store_be16(l3_of(m) + 4, roce_load_be16(l3_of(m) + 4) - 4);
	target_seal(&t, m);
	reject(&t, REMU_DROP_UDP_LENGTH, m);
	m = good_write(&t, 0);
	roce_store_be16(l3_of(m) + 4, UDP - 1);
	target_seal(&t, m);
	reject(&t, REMU_DROP_IP_HEADER, m);
	for (uint16_t cut = 1; cut <= ETH + 40 + UDP + 28 + LEN + ICRC; cut++) {
		m = good_write(&t, 0);
		assert_int_equal(rte_pktmbuf_trim(m, cut), 0);
		reject(&t, REMU_DROP_RUNT, m);
	}
	for (int i = 0; i < 16; i++) { /* another host, an address of ours that is none */
		m = good_write(&t, 0);
		l3_of(m)[8 + i] ^= 1;
		target_seal(&t, m);
		reject(&t, REMU_DROP_SRC_IP, m);
		m = good_write(&t, 0);
		l3_of(m)[24 + i] ^= 1;
		target_seal(&t, m);
		reject(&t, REMU_DROP_DST_IP, m);
	}
	turn_every_bit(&t, true);
	target_close(&t);
}

/* The UDP length is the authority: what the IP packet has behind it is not payload. */
static void
c102_udp_length_ends_the_packet(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (uint16_t extra = 1; extra <= 16; extra++) {
		struct rte_mbuf *m = good_write(&t, extra - 1);

		memset(rte_pktmbuf_append(m, extra), 0xa5, extra);
		roce_store_be16(l3_of(m) + 2, IPV4 + UDP + 28 + LEN + ICRC + extra);
		target_seal(&t, m);
		take(&t, extra - 1, m);
	}
	target_close(&t);
}

/* With REMU_QP_PIN_SPORT the port of the first valid packet is the only one from then on. */
static void
c103_udp_source_port_is_pinned_by_a_valid_packet(void **state)
{
	struct rte_mbuf *m;
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.flags = REMU_QP_PIN_SPORT});
	/* What is dropped pins nothing. */
	m = write_from_port(&t, 0, 0xd000);
	l3_of(m)[5] ^= 1;
	reject(&t, REMU_DROP_ICRC, m);
	m = write_from_port(&t, 0, 0xd000);
	rte_pktmbuf_mtod(m, uint8_t *)[11] ^= 1;
	reject(&t, REMU_DROP_SRC_MAC, m);
	m = write_from_port(&t, -1, 0xd000); /* a duplicate that does not ask for an ACK */
	bth_of(&t, m)[8] = 0;
	target_seal(&t, m);
	reject(&t, DUP, m);
	inject_frame(&t, AHEAD, write_from_port(&t, 1000, 0xd000));
	expect_nak(&t, 0, NAK_SEQUENCE, 0);
	take(&t, 0, write_from_port(&t, 0, 0xd001));
	for (size_t i = 0; i < RTE_DIM(sports); i++) {
		inject_frame(&t, REMU_DROP_SRC_PORT, write_from_port(&t, 1, sports[i]));
		expect_settled(&t, 1, 1);
		/* Duplicates and gaps are not answered either. */
		inject_frame(&t, REMU_DROP_SRC_PORT, write_from_port(&t, 0, sports[i]));
		inject_frame(&t, REMU_DROP_SRC_PORT, write_from_port(&t, 2, sports[i]));
		expect_settled(&t, 1, 1);
	}
	take(&t, 1, write_from_port(&t, 1, 0xd001));
	/* A new connection, a new port. */
	target_modify(&t, REMU_QP_RTS);
	take(&t, 0, write_from_port(&t, 0, 0xd002));
	inject_frame(&t, REMU_DROP_SRC_PORT, write_from_port(&t, 1, 0xd001));
	expect_settled(&t, 1, 1);
	target_close(&t);
}

/* Reserved bits are ignored, also those of the AckReq byte, which the ICRC covers. */
static void
c104_reserved_bits_are_ignored(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (int bit = 0; bit < 7; bit++) {
		struct rte_mbuf *m = good_write(&t, bit);

		bth_of(&t, m)[8] |= (uint8_t)(1u << bit);
		target_seal(&t, m);
		take(&t, bit, m);
	}
	target_close(&t);
}

/* Payload and pad make a multiple of four; opcodes without payload have none. */
static void
c105_body_fits_the_opcode(void **state)
{
	static const uint8_t bare[] = {READ, ACKNOWLEDGE, ATOMIC_ACK, CMP_SWAP, FETCH_ADD};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_post_recv(&t, 1, 0, 100);
	for (uint8_t pad = 0; pad <= 3; pad++) {
		for (uint16_t more = 1; more <= 7; more++)
			if (more != 4)
				reject(&t, REMU_DROP_PAYLOAD, raw_frame(&t, SEND_ONLY, more, pad));
		for (size_t i = 0; i < RTE_DIM(bare); i++)
			for (uint16_t more = 1; more <= 8; more++)
				reject(&t, REMU_DROP_PAYLOAD,
					raw_frame(&t, bare[i], header_len[bare[i]] - BTH + more,
						pad));
	}
	target_close(&t);
}

/* A frame in several segments is one frame. */
static void
c106_frame_in_segments(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (int32_t k = 0; k < 80; k++) {
		struct rte_mbuf *m = good_write(&t, k), *tail = rte_pktmbuf_alloc(t.b.pool);
		uint16_t cut = (uint16_t)(m->data_len - k);

		assert_non_null(tail);
		memcpy(rte_pktmbuf_append(tail, cut), rte_pktmbuf_mtod_offset(m, void *, k), cut);
		assert_int_equal(rte_pktmbuf_trim(m, cut), 0);
		assert_int_equal(rte_pktmbuf_chain(m, tail), 0);
		take(&t, k, m);
	}
	target_close(&t);
}

/* On a tagged connection only its VLAN counts, whatever the priority. */
static void
c107_tagged_connection_takes_its_vlan_only(void **state)
{
	static const struct {
		uint16_t tci;
		bool good;
	} cases[] = {{0xa123, true}, {0x0123, true}, {0xf123, true}, {0xa122, false},
		{0xa000, false}, {0xa923, false}, {0x0000, false}};
	struct target t;
	struct rte_mbuf *m;
	int32_t k = 0;

	(void)state;
	target_open(&t, &(struct wire_config){.tagged = true, .vlan_tci = 0xa123});
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		m = good_write(&t, k);
		roce_store_be16(rte_pktmbuf_mtod_offset(m, uint8_t *, ETH), cases[i].tci);
		inject_frame(&t, cases[i].good ? OK : REMU_DROP_VLAN, m);
		if (cases[i].good)
			expect_written(&t, k++);
		else
			expect_settled(&t, k, (uint32_t)k);
	}
	/* Without its tag, and with one more. */
	m = good_write(&t, k);
	memmove(rte_pktmbuf_mtod_offset(m, uint8_t *, 4), rte_pktmbuf_mtod(m, uint8_t *), 12);
	rte_pktmbuf_adj(m, 4);
	inject_frame(&t, REMU_DROP_VLAN, m);
	inject_frame(&t, REMU_DROP_VLAN, tag(good_write(&t, k), 1, 0x0123));
	expect_settled(&t, k, (uint32_t)k);
	target_close(&t);
}

/* An IPv6 packet does not come from an IPv4 peer, even if it has its address in the form of a GID. */
static void
c108_ipv4_address_in_an_ipv6_packet_is_dropped(void **state)
{
	static const uint8_t header[8] = {0x60, 0, 0, 0, 0, UDP + 28 + LEN + ICRC, 17, 64};
	struct target t;
	struct rte_mbuf *m;
	uint8_t *ip;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	m = good_write(&t, 0);
	assert_non_null(rte_pktmbuf_prepend(m, 20));
	memmove(rte_pktmbuf_mtod(m, uint8_t *), rte_pktmbuf_mtod_offset(m, uint8_t *, 20), 12);
	ip = l3_of(m);
	roce_store_be16(ip - 2, 0x86dd);
	memcpy(ip, header, sizeof(header));
	memcpy(ip + 8, t.b.path.src.raw, 16);
	memcpy(ip + 24, t.b.path.dst.raw, 16);
	roce_store_le32(ip + 40 + UDP + 28 + LEN, roce_icrc(ip, 40 + UDP + 28 + LEN));
	assert_int_not_equal(bench_rx(&t.b, m), OK);
	expect_settled(&t, 0, 0);
	target_close(&t);
}

static void
to_pcap(void *arg, const struct frame *frame)
{
	if (pcap_writer_add(arg, frame->bytes, (uint32_t)frame->len, 0) != 0)
		exit(EXIT_FAILURE);
}

static void
write_own_frames(void **state)
{
	each_own_frame(to_pcap, *state);
}

/* As a test of its own, since what it uses asserts. */
static int
write_pcap(const char *path)
{
	struct CMUnitTest tests[] = {cmocka_unit_test(write_own_frames)};
	struct pcap_writer *w;
	int failed;

	if (pcap_writer_open(path, &w) != 0)
		return EXIT_FAILURE;
	tests[0].initial_state = w;
	failed = cmocka_run_group_tests(tests, eal_setup, eal_teardown);
	return pcap_writer_close(w) != 0 || failed != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c01_ack_of_a_kernel_is_understood),
		cmocka_unit_test(c02_flipped_bit_is_dropped),
		cmocka_unit_test(c03_fields_that_routers_change_do_not_matter),
		cmocka_unit_test(c04_ethernet_padding_is_not_payload),
		cmocka_unit_test(c05_shortest_frame_is_accepted),
		cmocka_unit_test(c06_udp_length_less_than_bth_and_icrc_is_dropped),
		cmocka_unit_test(c07_udp_length_beyond_ip_length_is_dropped),
		cmocka_unit_test(c08_ip_length_beyond_the_frame_is_dropped),
		cmocka_unit_test(c09_other_ip_packets_are_dropped),
		cmocka_unit_test(c10_headers_pad_and_icrc_must_fit),
		cmocka_unit_test(c11_opcodes_that_are_not_rc_are_dropped),
		cmocka_unit_test(c12_transport_version_is_0),
		cmocka_unit_test(c13_unknown_queue_pairs_are_dropped),
		cmocka_unit_test(c14_partition_keys_match_in_15_bits),
		cmocka_unit_test(c15_migreq_0_and_1_are_accepted),
		cmocka_unit_test(c16_wrong_addresses_are_dropped_and_counted),
		cmocka_unit_test(c17_any_udp_source_port_is_accepted),
		cmocka_unit_test(c18_tags_of_other_vlans_are_dropped),
		cmocka_unit_test(c19_own_icrc_follows_the_definition),
		cmocka_unit_test(c20_own_pad_is_zero_and_as_long_as_needed),
		cmocka_unit_test(c101_ipv6_is_checked_like_ipv4),
		cmocka_unit_test(c102_udp_length_ends_the_packet),
		cmocka_unit_test(c103_udp_source_port_is_pinned_by_a_valid_packet),
		cmocka_unit_test(c104_reserved_bits_are_ignored),
		cmocka_unit_test(c105_body_fits_the_opcode),
		cmocka_unit_test(c106_frame_in_segments),
		cmocka_unit_test(c107_tagged_connection_takes_its_vlan_only),
		cmocka_unit_test(c108_ipv4_address_in_an_ipv6_packet_is_dropped),
	};

	if (argc == 2)
		return write_pcap(argv[1]);
	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
