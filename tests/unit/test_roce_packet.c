/* SPDX-License-Identifier: BSD-3-Clause */
#include "frame_maker.h"
#include <roce_bytes.h>
#include <roce_icrc.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Offsets in the frame. */
enum {
	OFF_ETHERTYPE = 12,
	OFF_IP = 14,
	OFF_TOS = OFF_IP + 1,
	OFF_IP_LEN = OFF_IP + 2,
	OFF_FRAG = OFF_IP + 6,
	OFF_TTL = OFF_IP + 8,
	OFF_PROTO = OFF_IP + 9,
	OFF_IP_CSUM = OFF_IP + 10,
	OFF_SPORT = 34,
	OFF_DPORT = 36,
	OFF_UDP_LEN = 38,
	OFF_UDP_CSUM = 40,
	OFF_BTH = 42,
	OFF_EXT = OFF_BTH + 12,
};

/*
 * The known opcodes and their extension headers in wire order, written down independently of
 * roce_ops: R = RETH, A = AETH, I = immediate or rkey to invalidate, X = AtomicETH,
 * O = AtomicAckETH, C = the reserved bytes of a CNP.
 */
static const struct known_op {
	uint8_t opcode;
	const char *ext;
	bool payload;
	uint32_t traits; /* apart from headers and payload */
} known_ops[] = {
	{0x00, "", true, ROCE_T_REQUEST | ROCE_T_SEND | ROCE_T_FIRST},
	{0x01, "", true, ROCE_T_REQUEST | ROCE_T_SEND | ROCE_T_MIDDLE},
	{0x02, "", true, ROCE_T_REQUEST | ROCE_T_SEND | ROCE_T_LAST},
	{0x03, "I", true, ROCE_T_REQUEST | ROCE_T_SEND | ROCE_T_LAST},
	{0x04, "", true, ROCE_T_REQUEST | ROCE_T_SEND | ROCE_T_ONLY},
	{0x05, "I", true, ROCE_T_REQUEST | ROCE_T_SEND | ROCE_T_ONLY},
	{0x06, "R", true, ROCE_T_REQUEST | ROCE_T_WRITE | ROCE_T_FIRST},
	{0x07, "", true, ROCE_T_REQUEST | ROCE_T_WRITE | ROCE_T_MIDDLE},
	{0x08, "", true, ROCE_T_REQUEST | ROCE_T_WRITE | ROCE_T_LAST},
	{0x09, "I", true, ROCE_T_REQUEST | ROCE_T_WRITE | ROCE_T_LAST},
	{0x0a, "R", true, ROCE_T_REQUEST | ROCE_T_WRITE | ROCE_T_ONLY},
	{0x0b, "RI", true, ROCE_T_REQUEST | ROCE_T_WRITE | ROCE_T_ONLY},
	{0x0c, "R", false, ROCE_T_REQUEST | ROCE_T_READ | ROCE_T_ONLY},
	{0x0d, "A", true, ROCE_T_RESPONSE | ROCE_T_READ | ROCE_T_FIRST},
	{0x0e, "", true, ROCE_T_RESPONSE | ROCE_T_READ | ROCE_T_MIDDLE},
	{0x0f, "A", true, ROCE_T_RESPONSE | ROCE_T_READ | ROCE_T_LAST},
	{0x10, "A", true, ROCE_T_RESPONSE | ROCE_T_READ | ROCE_T_ONLY},
	{0x11, "A", false, ROCE_T_RESPONSE},
	{0x12, "AO", false, ROCE_T_RESPONSE | ROCE_T_ATOMIC},
	{0x13, "X", false, ROCE_T_REQUEST | ROCE_T_ATOMIC | ROCE_T_ONLY},
	{0x14, "X", false, ROCE_T_REQUEST | ROCE_T_ATOMIC | ROCE_T_ONLY},
	{0x16, "I", true, ROCE_T_REQUEST | ROCE_T_SEND | ROCE_T_LAST},
	{0x17, "I", true, ROCE_T_REQUEST | ROCE_T_SEND | ROCE_T_ONLY},
	{0x81, "C", false, 0},
};

static const struct ext_header {
	char letter;
	uint32_t trait;
	uint8_t len;
	struct {
		struct member m;
		uint8_t bytes; /* on the wire; 0 ends the list */
	} fields[4];
} ext_headers[] = {
	{'R', ROCE_T_RETH, 16,
		{{{MEMBER(struct roce_fields, va)}, 8}, {{MEMBER(struct roce_fields, rkey)}, 4},
			{{MEMBER(struct roce_fields, dma_len)}, 4}}},
	{'A', ROCE_T_AETH, 4,
		{{{MEMBER(struct roce_fields, syndrome)}, 1},
			{{MEMBER(struct roce_fields, msn)}, 3}}},
	{'I', ROCE_T_IMM, 4, {{{MEMBER(struct roce_fields, imm)}, 4}}},
	{'X', ROCE_T_ATOMIC_ETH, 28,
		{{{MEMBER(struct roce_fields, va)}, 8}, {{MEMBER(struct roce_fields, rkey)}, 4},
			{{MEMBER(struct roce_fields, swap_add)}, 8},
			{{MEMBER(struct roce_fields, compare)}, 8}}},
	{'C', ROCE_T_CNP, 16, {{{NULL, 0, 0}, 0}}},
	{'O', ROCE_T_ATOMIC_ACK, 8, {{{MEMBER(struct roce_fields, swap_add)}, 8}}},
};

static const struct member all_fields[] = {
	{MEMBER(struct roce_fields, opcode)},
	{MEMBER(struct roce_fields, solicited)},
	{MEMBER(struct roce_fields, migreq)},
	{MEMBER(struct roce_fields, ackreq)},
	{MEMBER(struct roce_fields, fecn_becn)},
	{MEMBER(struct roce_fields, reserved7)},
	{MEMBER(struct roce_fields, pkey)},
	{MEMBER(struct roce_fields, dest_qpn)},
	{MEMBER(struct roce_fields, psn)},
	{MEMBER(struct roce_fields, va)},
	{MEMBER(struct roce_fields, rkey)},
	{MEMBER(struct roce_fields, dma_len)},
	{MEMBER(struct roce_fields, syndrome)},
	{MEMBER(struct roce_fields, msn)},
	{MEMBER(struct roce_fields, imm)},
	{MEMBER(struct roce_fields, swap_add)},
	{MEMBER(struct roce_fields, compare)},
};

/* Big-endian load of any width, independent of roce_bytes.h. */
static uint64_t
wire(const uint8_t *p, size_t bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | *p++;
	return value;
}

static const struct ext_header *
ext_find(char letter)
{
	const struct ext_header *ext = ext_headers;

	while (ext->letter != letter)
		ext++;
	return ext;
}

static uint8_t
header_len(const struct known_op *known)
{
	uint8_t len = 12;

	for (const char *p = known->ext; *p != '\0'; p++)
		len += ext_find(*p)->len;
	return len;
}

/* Payload lengths that differ in pad, number of packets' worth and extremes; 0 ends the list. */
static const uint16_t payload_lens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 256, 1023, 1024, 4096, 0};

static void
assert_fields_equal(const struct roce_fields *got, const struct roce_fields *want)
{
	for (size_t i = 0; i < ARRAY_LEN(all_fields); i++) {
		const struct member *m = &all_fields[i];

		if (member_get(got, m) != member_get(want, m))
			fail_msg("opcode %#x: %s is %#llx, expected %#llx", want->opcode, m->name,
				(unsigned long long)member_get(got, m),
				(unsigned long long)member_get(want, m));
	}
}

/* Where the UDP header of a frame of one kind stands. */
static size_t
udp_off(int kind)
{
	return 14 + (kind & KIND_TAGGED ? 4u : 0u) + (kind & KIND_IPV6 ? 40u : 20u);
}

/* All that an accepted packet points at lies in the frame, and may be read. */
static void
assert_inside(const struct roce_packet *pkt, const uint8_t *frame, size_t len)
{
	const uint8_t *icrc = pkt->l3 + pkt->icrc_span;
	size_t ip_len = pkt->l3[0] >> 4 == 6 ? 40 : 20;
	size_t l3 = pkt->tagged ? 18 : 14, bth = l3 + ip_len + 8;

	assert_ptr_equal(pkt->l3, frame + l3);
	assert_in_range(pkt->icrc_span, ip_len + 20, len - l3 - 4);
	assert_ptr_equal(pkt->payload, frame + bth + pkt->op->header_len);
	assert_in_range(pkt->payload_len, 0, (size_t)(icrc - frame) - bth);
	assert_true(pkt->payload + pkt->payload_len <= icrc);
	assert_in_range(icrc - pkt->payload - pkt->payload_len, 0, 3);
	(void)roce_icrc_ok(pkt->l3, pkt->icrc_span);
}

static void
roce_ops__agree_with_specification(void **state)
{
	unsigned int known = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known_ops); i++) {
		const struct known_op *k = &known_ops[i];
		uint32_t traits = k->traits | (k->payload ? ROCE_T_PAYLOAD : 0);

		for (const char *p = k->ext; *p != '\0'; p++)
			traits |= ext_find(*p)->trait;
		assert_non_null(roce_ops[k->opcode].name);
		assert_int_equal(roce_ops[k->opcode].header_len, header_len(k));
		assert_int_equal(roce_ops[k->opcode].traits, traits);
	}
	for (unsigned int a = 0; a < 256; a++) {
		known += roce_ops[a].name != NULL;
		for (unsigned int b = 0; b < a && roce_ops[a].name; b++)
			if (roce_ops[b].name)
				assert_string_not_equal(roce_ops[a].name, roce_ops[b].name);
	}
	assert_int_equal(known, ARRAY_LEN(known_ops));
}

static void
roce_decode__every_opcode(void **state)
{
	uint64_t seed = 10;
	size_t len;
	uint8_t *frame = random_frame(&seed, ROCE_FETCH_ADD, 0, &len);
	unsigned int accepted = 0;
	struct roce_packet pkt;

	(void)state;
	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		const struct roce_op *op = &roce_ops[opcode];
		enum remu_drop want = REMU_DROP_OPCODE;

		/* The longest headers: for the others, part of them is payload. */
		if (op->name != NULL)
			want = op->header_len < 40 && !(op->traits & ROCE_T_PAYLOAD)
				? REMU_DROP_PAYLOAD
				: REMU_DROP_NONE;
		frame[OFF_BTH] = (uint8_t)opcode;
		assert_int_equal(roce_decode(frame, len, &pkt), want);
		if (want != REMU_DROP_NONE)
			continue;
		accepted++;
		assert_int_equal(pkt.payload_len, 40 - op->header_len);
		assert_ptr_equal(pkt.op, op);
		assert_inside(&pkt, frame, len);
	}
	assert_int_equal(accepted, ARRAY_LEN(known_ops) - 4);
	free(frame);
}

static void
remu_drop_name__of_every_reason(void **state)
{
	(void)state;
	for (int a = 0; a < REMU_DROP_COUNT; a++) {
		const char *name = remu_drop_name((enum remu_drop)a);

		assert_non_null(name);
		assert_true(name[0] != '\0');
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		for (int b = 0; b < a; b++)
			assert_string_not_equal(name, remu_drop_name((enum remu_drop)b));
		assert_string_not_equal(name, remu_drop_name(REMU_DROP_COUNT));
	}
	assert_string_equal(remu_drop_name((enum remu_drop)UINT32_MAX),
		remu_drop_name(REMU_DROP_COUNT));
}

static void
roce_gid_to_ipv4__only_mapped(void **state)
{
	struct roce_gid gid = roce_gid_ipv4(0xc0a80102);
	static const uint8_t want[16] = {[10] = 0xff, 0xff, 192, 168, 1, 2};

	(void)state;
	assert_memory_equal(gid.raw, want, sizeof(want));
	assert_int_equal(roce_gid_to_ipv4(&gid), 0xc0a80102);
	for (int i = 0; i < 12; i++) {
		gid.raw[i] ^= 1;
		assert_int_equal(roce_gid_to_ipv4(&gid), 0);
		gid.raw[i] ^= 1;
	}
}

/* Each byte of what roce_encode() writes, read by the rules of the specification. */
static void
check_layout(const struct known_op *known, const uint8_t *frame, size_t payload_len,
	const struct roce_fields *f)
{
	size_t pad = (4 - payload_len % 4) % 4;
	size_t udp_len = 8 + header_len(known) + payload_len + pad + 4;
	const uint8_t *p = frame + OFF_EXT;

	assert_int_equal(wire(frame + OFF_ETHERTYPE, 2), 0x0800);
	assert_int_equal(frame[OFF_IP], 0x45);
	assert_int_equal(frame[OFF_TOS], 0);
	assert_int_equal(wire(frame + OFF_IP_LEN, 2), 20 + udp_len);
	assert_int_equal(wire(frame + OFF_FRAG, 2), 0x4000);
	assert_int_equal(frame[OFF_PROTO], 17);
	assert_int_equal(wire(frame + OFF_DPORT, 2), 4791);
	assert_int_equal(wire(frame + OFF_UDP_LEN, 2), udp_len);
	assert_int_equal(wire(frame + OFF_UDP_CSUM, 2), 0);

	assert_int_equal(frame[OFF_BTH], known->opcode);
	assert_int_equal(frame[OFF_BTH + 1], f->solicited << 7 | f->migreq << 6 | pad << 4);
	assert_int_equal(wire(frame + OFF_BTH + 2, 2), f->pkey);
	assert_int_equal(frame[OFF_BTH + 4], f->fecn_becn);
	assert_int_equal(wire(frame + OFF_BTH + 5, 3), f->dest_qpn);
	assert_int_equal(frame[OFF_BTH + 8], f->ackreq << 7 | f->reserved7);
	assert_int_equal(wire(frame + OFF_BTH + 9, 3), f->psn);
	for (const char *letter = known->ext; *letter != '\0'; letter++) {
		const struct ext_header *ext = ext_find(*letter);

		for (size_t i = 0; i < ARRAY_LEN(ext->fields) && ext->fields[i].bytes; i++) {
			assert_int_equal(wire(p, ext->fields[i].bytes),
				member_get(f, &ext->fields[i].m));
			p += ext->fields[i].bytes;
		}
		for (int i = 0; i < 16 && ext->trait == ROCE_T_CNP; i++)
			assert_int_equal(*p++, 0);
	}
	assert_ptr_equal(p, frame + OFF_BTH + header_len(known));
	for (p += payload_len; pad > 0; pad--)
		assert_int_equal(*p++, 0);
	assert_ptr_equal(p + 4, frame + 34 + udp_len);
}

static void
roce_encode__round_trip_of_every_opcode(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known_ops); i++) {
		const struct known_op *known = &known_ops[i];
		const uint16_t *payload_len = &payload_lens[ARRAY_LEN(payload_lens) - 1];

		if (known->payload)
			payload_len = payload_lens;
		for (int round = 0; round < 100; round++) {
			struct roce_fields f = random_fields(&seed, known->opcode);
			struct roce_packet pkt;
			size_t len;
			uint8_t *frame = make_frame(&seed, &f, *payload_len, &len);

			check_layout(known, frame, *payload_len, &f);
			memset(&pkt, 0xa5, sizeof(pkt));
			assert_int_equal(roce_decode(frame, len, &pkt), REMU_DROP_NONE);
			assert_fields_equal(&pkt.f, &f);
			assert_inside(&pkt, frame, len);
			assert_int_equal(pkt.payload_len, *payload_len);
			assert_ptr_equal(pkt.op, &roce_ops[known->opcode]);
			assert_int_equal(pkt.icrc_span, frame_content(frame) - OFF_IP - 4);
			assert_true(roce_icrc_ok(pkt.l3, pkt.icrc_span));
			free(frame);
			if (*payload_len != 0)
				payload_len++;
		}
	}
}

static void
roce_flow_init__addresses_survive(void **state)
{
	static const uint8_t src_mac[6] = {2, 0, 0, 0, 0, 0xaa}, dst_mac[6] = {2, 1, 3, 5, 7, 9};
	struct roce_gid src = roce_gid_ipv4(0x0a000001), dst = roce_gid_ipv4(0xfeffffe3);
	struct roce_path path = {.src = src, .dst = dst, .sport = 0xc123, .hop_limit = 7};
	struct roce_fields f = {.opcode = ROCE_ACKNOWLEDGE, .dest_qpn = 2};
	struct roce_flow flow;
	struct roce_packet pkt;
	uint8_t *frame = malloc(62);

	(void)state;
	assert_non_null(frame);
	memcpy(path.src_mac, src_mac, 6);
	memcpy(path.dst_mac, dst_mac, 6);
	roce_flow_init(&flow, &path);
	assert_int_equal(roce_seal(&flow, frame, roce_encode(&flow, &f, 0x8001, 0, frame), 0), 62);
	assert_memory_equal(frame, dst_mac, 6);
	assert_memory_equal(frame + 6, src_mac, 6);
	assert_int_equal(wire(frame + OFF_IP + 12, 4), 0x0a000001);
	assert_int_equal(wire(frame + OFF_IP + 16, 4), 0xfeffffe3);
	assert_int_equal(wire(frame + OFF_SPORT, 2), 0xc123);

	frame[OFF_TOS] = 0x1b;
	assert_int_equal(roce_decode(frame, 62, &pkt), REMU_DROP_NONE);
	assert_memory_equal(pkt.src_mac, src_mac, 6);
	assert_memory_equal(pkt.dst_mac, dst_mac, 6);
	assert_memory_equal(&pkt.src, &src, sizeof(src));
	assert_memory_equal(&pkt.dst, &dst, sizeof(dst));
	assert_int_equal(pkt.udp_sport, 0xc123);
	assert_int_equal(pkt.ip_id, 0x8001);
	assert_int_equal(pkt.ttl, 7);
	assert_int_equal(pkt.tos, 0x1b);
	free(frame);
}

/* One's complement sum with the carry added at each step, as RFC 1071 defines it. */
static uint16_t
ones_complement_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (; len > 0; p += 2, len -= 2) {
		sum += (uint32_t)wire(p, 2);
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return (uint16_t)sum;
}

static void
roce_encode__ip_checksum(void **state)
{
	uint64_t seed = 12;
	uint8_t frame[ROCE_HDR_MAX];

	(void)state;
	for (uint32_t i = 0; i < 1 << 16; i++) {
		struct roce_flow flow = random_flow(&seed);
		struct roce_fields f = {.opcode = ROCE_WRITE_MIDDLE};
		uint16_t got;

		roce_encode(&flow, &f, (uint16_t)i, prng_below(&seed, 4097), frame);
		assert_int_equal(ones_complement_sum(frame + OFF_IP, 20), 0xffff);
		got = (uint16_t)wire(frame + OFF_IP_CSUM, 2);
		memset(frame + OFF_IP_CSUM, 0, 2);
		assert_int_equal(got, 0xffff ^ ones_complement_sum(frame + OFF_IP, 20));
	}
}

/* A WRITE of five bytes: 42 bytes up to UDP, 28 up to the payload, pad 3, ICRC. */
enum { SAMPLE_LEN = 42 + 28 + 5 + 3 + 4 };

static const struct {
	const char *what;
	struct {
		uint8_t off, bytes;
		uint16_t value;
	} change[2];
	enum remu_drop want;
	uint32_t payload_len; /* when accepted */
} one_change[] = {
	{"802.1Q tag, then no IP", {{OFF_ETHERTYPE, 2, 0x8100}}, REMU_DROP_NOT_IP, 0},
	{"two 802.1Q tags", {{OFF_ETHERTYPE, 2, 0x8100}, {OFF_IP + 2, 2, 0x8100}}, REMU_DROP_VLAN,
		0},
	{"802.1Q, then 802.1ad tag", {{OFF_ETHERTYPE, 2, 0x8100}, {OFF_IP + 2, 2, 0x88a8}},
		REMU_DROP_VLAN, 0},
	{"802.1Q tag, then IPv6 that is none",
		{{OFF_ETHERTYPE, 2, 0x8100}, {OFF_IP + 2, 2, 0x86dd}}, REMU_DROP_IP_HEADER, 0},
	{"802.1ad tag", {{OFF_ETHERTYPE, 2, 0x88a8}}, REMU_DROP_VLAN, 0},
	{"IPv6 that is IPv4", {{OFF_ETHERTYPE, 2, 0x86dd}}, REMU_DROP_IP_HEADER, 0},
	{"ARP", {{OFF_ETHERTYPE, 2, 0x0806}}, REMU_DROP_NOT_IP, 0},
	{"RoCEv1", {{OFF_ETHERTYPE, 2, 0x8915}}, REMU_DROP_NOT_IP, 0},
	{"IP version 6", {{OFF_IP, 1, 0x65}}, REMU_DROP_IP_HEADER, 0},
	{"IP options", {{OFF_IP, 1, 0x46}}, REMU_DROP_IP_HEADER, 0},
	{"IP header of 16 bytes", {{OFF_IP, 1, 0x44}}, REMU_DROP_IP_HEADER, 0},
	{"IP length over the frame", {{OFF_IP_LEN, 2, SAMPLE_LEN - 14 + 1}}, REMU_DROP_RUNT, 0},
	{"IP length 65535", {{OFF_IP_LEN, 2, 65535}}, REMU_DROP_RUNT, 0},
	{"IP length 0", {{OFF_IP_LEN, 2, 0}}, REMU_DROP_IP_HEADER, 0},
	{"IP length under IP and UDP", {{OFF_IP_LEN, 2, 27}}, REMU_DROP_IP_HEADER, 0},
	{"IP length under UDP length", {{OFF_IP_LEN, 2, SAMPLE_LEN - 14 - 1}}, REMU_DROP_UDP_LENGTH,
		0},
	{"IP length of empty UDP", {{OFF_IP_LEN, 2, 28}}, REMU_DROP_UDP_LENGTH, 0},
	{"more fragments", {{OFF_FRAG, 2, 0x2000}}, REMU_DROP_FRAGMENT, 0},
	{"last fragment", {{OFF_FRAG, 2, 0x0001}}, REMU_DROP_FRAGMENT, 0},
	{"fragment at 0x1000", {{OFF_FRAG, 2, 0x5000}}, REMU_DROP_FRAGMENT, 0},
	{"may be fragmented", {{OFF_FRAG, 2, 0x0000}}, REMU_DROP_NONE, 5},
	{"TCP", {{OFF_PROTO, 1, 6}}, REMU_DROP_NOT_UDP, 0},
	{"ICMP", {{OFF_PROTO, 1, 1}}, REMU_DROP_NOT_UDP, 0},
	{"port 4790", {{OFF_DPORT, 2, 4790}}, REMU_DROP_UDP_PORT, 0},
	{"port 4791 swapped", {{OFF_DPORT, 2, 0xb712}}, REMU_DROP_UDP_PORT, 0},
	{"UDP length over IP length", {{OFF_UDP_LEN, 2, SAMPLE_LEN - 34 + 1}}, REMU_DROP_UDP_LENGTH,
		0},
	{"UDP length 65535", {{OFF_UDP_LEN, 2, 65535}}, REMU_DROP_UDP_LENGTH, 0},
	{"UDP length 0", {{OFF_UDP_LEN, 2, 0}}, REMU_DROP_UDP_LENGTH, 0},
	{"UDP length under BTH and ICRC", {{OFF_UDP_LEN, 2, 8 + 12 + 4 - 1}}, REMU_DROP_UDP_LENGTH,
		0},
	{"UDP length of BTH and ICRC", {{OFF_UDP_LEN, 2, 8 + 12 + 4}}, REMU_DROP_UDP_LENGTH, 0},
	{"UDP length under BTH and ICRC, any opcode",
		{{OFF_UDP_LEN, 2, 8 + 12 + 4 - 1}, {OFF_BTH, 1, 0xff}}, REMU_DROP_UDP_LENGTH, 0},
	{"UDP length under RETH", {{OFF_UDP_LEN, 2, 8 + 28 + 4 - 1}, {OFF_BTH + 1, 1, 0}},
		REMU_DROP_UDP_LENGTH, 0},
	{"UDP length without payload", {{OFF_UDP_LEN, 2, 8 + 28 + 4}, {OFF_BTH + 1, 1, 0}},
		REMU_DROP_NONE, 0},
	{"UDP length without payload, with pad", {{OFF_UDP_LEN, 2, 8 + 28 + 4}}, REMU_DROP_PAYLOAD,
		0},
	{"pad over payload", {{OFF_UDP_LEN, 2, 8 + 28 + 2 + 4}}, REMU_DROP_PAYLOAD, 0},
	{"not padded to four bytes", {{OFF_UDP_LEN, 2, 8 + 28 + 3 + 4}}, REMU_DROP_PAYLOAD, 0},
	{"bytes behind UDP", {{OFF_UDP_LEN, 2, SAMPLE_LEN - 34 - 4}}, REMU_DROP_NONE, 1},
	{"opcode reserved in RC", {{OFF_BTH, 1, 0x15}}, REMU_DROP_OPCODE, 0},
	{"opcode at the end of RC", {{OFF_BTH, 1, 0x1f}}, REMU_DROP_OPCODE, 0},
	{"UC WRITE", {{OFF_BTH, 1, 0x2a}}, REMU_DROP_OPCODE, 0},
	{"UD SEND", {{OFF_BTH, 1, 0x64}}, REMU_DROP_OPCODE, 0},
	{"CNP with payload", {{OFF_BTH, 1, 0x81}}, REMU_DROP_PAYLOAD, 0},
	{"CNP as InfiniBand numbers it", {{OFF_BTH, 1, 0x80}}, REMU_DROP_OPCODE, 0},
	{"opcode 0xff", {{OFF_BTH, 1, 0xff}}, REMU_DROP_OPCODE, 0},
	{"transport version 1", {{OFF_BTH + 1, 1, 0x31}}, REMU_DROP_TVER, 0},
	{"transport version 8", {{OFF_BTH + 1, 1, 0x38}}, REMU_DROP_TVER, 0},
	{"READ request with payload", {{OFF_BTH, 1, ROCE_READ_REQUEST}}, REMU_DROP_PAYLOAD, 0},
	{"acknowledge with payload", {{OFF_BTH, 1, ROCE_ACKNOWLEDGE}}, REMU_DROP_PAYLOAD, 0},
	{"READ request", {{OFF_BTH, 2, ROCE_READ_REQUEST << 8}, {OFF_UDP_LEN, 2, 8 + 28 + 4}},
		REMU_DROP_NONE, 0},
	{"pad 0", {{OFF_BTH + 1, 1, 0x00}}, REMU_DROP_NONE, 8},
	{"pad 1", {{OFF_BTH + 1, 1, 0x10}}, REMU_DROP_NONE, 7},
	{"pad 2", {{OFF_BTH + 1, 1, 0x20}}, REMU_DROP_NONE, 6},
	{"pad 3, SE, MigReq", {{OFF_BTH + 1, 1, 0xf0}}, REMU_DROP_NONE, 5},
	{"ToS", {{OFF_TOS, 1, 0xff}}, REMU_DROP_NONE, 5},
	{"IP ID", {{OFF_IP + 4, 2, 0xffff}}, REMU_DROP_NONE, 5},
	{"TTL", {{OFF_TTL, 1, 1}}, REMU_DROP_NONE, 5},
	{"IP checksum", {{OFF_IP_CSUM, 2, 0}}, REMU_DROP_NONE, 5},
	{"source port", {{OFF_SPORT, 2, 1}}, REMU_DROP_NONE, 5},
	{"UDP checksum", {{OFF_UDP_CSUM, 2, 0x1234}}, REMU_DROP_NONE, 5},
	{"FECN, BECN", {{OFF_BTH + 4, 1, 0xff}}, REMU_DROP_NONE, 5},
	{"reserved bits beside AckReq", {{OFF_BTH + 8, 1, 0xff}}, REMU_DROP_NONE, 5},
};

static void
roce_decode__verdict_of_one_change(void **state)
{
	uint64_t seed = 13, seen = 1u << REMU_DROP_NONE;
	size_t len;
	uint8_t *frame = random_frame(&seed, ROCE_WRITE_ONLY, 5, &len);
	struct roce_packet pkt;

	(void)state;
	assert_int_equal(len, SAMPLE_LEN);
	assert_int_equal(roce_decode(frame, len, &pkt), REMU_DROP_NONE);
	for (size_t i = 0; i < ARRAY_LEN(one_change); i++) {
		uint8_t *copy = exact_copy(frame, len);
		enum remu_drop got;

		for (int j = 0; j < 2; j++) {
			uint8_t *at = copy + one_change[i].change[j].off;
			uint16_t value = one_change[i].change[j].value;

			if (one_change[i].change[j].bytes == 2)
				roce_store_be16(at, value);
			else if (one_change[i].change[j].bytes == 1)
				*at = (uint8_t)value;
		}
		got = roce_decode(copy, len, &pkt);
		if (got != one_change[i].want)
			fail_msg("%s: %s", one_change[i].what, remu_drop_name(got));
		if (got == REMU_DROP_NONE) {
			assert_inside(&pkt, copy, len);
			assert_int_equal(pkt.payload_len, one_change[i].payload_len);
		}
		seen |= 1u << got;
		free(copy);
	}
	/* All that roce_decode() can say was said. */
	assert_int_equal(seen, (1u << (REMU_DROP_PAYLOAD + 1)) - 1);
	free(frame);
}

static void
roce_decode__frame_cut_at_every_byte(void **state)
{
	uint64_t seed = 14;

	(void)state;
	for (size_t i = 0; i < KINDS * ARRAY_LEN(known_ops); i++) {
		const struct known_op *known = &known_ops[i / KINDS];
		struct roce_packet pkt;
		uint32_t qpn;
		size_t len;
		uint8_t *frame = random_frame_of(&seed, (int)(i % KINDS), known->opcode,
			known->payload ? 9 : 0, &len);

		for (size_t cut = 0; cut < frame_content(frame); cut++) {
			uint8_t *copy = exact_copy(frame, cut);

			assert_int_equal(roce_decode(copy, cut, &pkt), REMU_DROP_RUNT);
			assert_false(roce_peek_qpn(copy, cut, &qpn));
			free(copy);
		}
		free(frame);
	}
}

/* Make IP and UDP tell the truth about a frame, as far as it has the fields. */
static void
store_lengths(uint8_t *frame, size_t len, int kind)
{
	bool ipv6 = kind & KIND_IPV6;
	size_t udp = udp_off(kind), l3 = udp - (ipv6 ? 40 : 20);

	if (len >= udp)
		roce_store_be16(frame + l3 + (ipv6 ? 4 : 2), (uint16_t)(len - (ipv6 ? udp : l3)));
	if (len >= udp + 6)
		roce_store_be16(frame + udp + 4, (uint16_t)(len - udp));
}

static enum remu_drop
verdict_of_cut(const struct known_op *known, size_t udp, size_t cut)
{
	size_t headers = udp + 8 + header_len(known) + 4;

	if (cut < udp + 8)
		return REMU_DROP_RUNT;
	if (cut < headers)
		return REMU_DROP_UDP_LENGTH;
	if (cut < headers + (known->payload ? 3 : 0) || (cut - headers) % 4 != 0)
		return REMU_DROP_PAYLOAD;
	return REMU_DROP_NONE;
}

/* Here IP and UDP say the truth about what is left. */
static void
roce_decode__datagram_cut_at_every_byte(void **state)
{
	uint64_t seed = 15;

	(void)state;
	for (size_t i = 0; i < KINDS * ARRAY_LEN(known_ops); i++) {
		const struct known_op *known = &known_ops[i / KINDS];
		size_t len, pad = known->payload ? 3 : 0, udp = udp_off((int)(i % KINDS));
		size_t headers = udp + 8 + header_len(known) + 4;
		uint8_t *frame = random_frame_of(&seed, (int)(i % KINDS), known->opcode,
			known->payload ? 9 : 0, &len);

		len = frame_content(frame);
		for (size_t cut = 14; cut <= len; cut++) {
			uint8_t *copy = exact_copy(frame, cut);
			enum remu_drop want = verdict_of_cut(known, udp, cut);
			struct roce_packet pkt;
			uint32_t qpn;

			store_lengths(copy, cut, (int)(i % KINDS));
			assert_int_equal(roce_decode(copy, cut, &pkt), want);
			assert_int_equal(roce_peek_qpn(copy, cut, &qpn), cut >= udp + 8 + 12 + 4);
			if (want == REMU_DROP_NONE) {
				assert_inside(&pkt, copy, cut);
				assert_int_equal(pkt.payload_len, cut - headers - pad);
			}
			free(copy);
		}
		free(frame);
	}
}

static void
roce_decode__ethernet_padding(void **state)
{
	uint64_t seed = 16;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known_ops); i++) {
		struct roce_packet pkt;
		size_t len, padded;
		uint8_t *frame = random_frame(&seed, known_ops[i].opcode, 0, &len);

		if (known_ops[i].opcode == ROCE_SEND_ONLY) {
			assert_int_equal(len, ROCE_MIN_FRAME);
			assert_int_equal(wire(frame + len - 2, 2), 0);
		}
		len = frame_content(frame);
		for (padded = len; padded < len + 70; padded++) {
			uint8_t *copy = malloc(padded);

			assert_non_null(copy);
			memcpy(copy, frame, len);
			prng_fill(&seed, copy + len, padded - len);
			assert_int_equal(roce_decode(copy, padded, &pkt), REMU_DROP_NONE);
			assert_int_equal(pkt.payload_len, 0);
			assert_int_equal(pkt.icrc_span, len - OFF_IP - 4);
			assert_true(roce_icrc_ok(pkt.l3, pkt.icrc_span));
			free(copy);
		}
		free(frame);
	}
}

static void
check_path(const struct roce_packet *pkt, const struct roce_path *path)
{
	assert_memory_equal(pkt->src_mac, path->src_mac, 6);
	assert_memory_equal(pkt->dst_mac, path->dst_mac, 6);
	assert_memory_equal(&pkt->src, &path->src, sizeof(path->src));
	assert_memory_equal(&pkt->dst, &path->dst, sizeof(path->dst));
	assert_int_equal(pkt->udp_sport, path->sport);
	assert_int_equal(pkt->tos, path->traffic_class);
	assert_int_equal(pkt->ttl, path->hop_limit);
	assert_int_equal(pkt->tagged, path->tagged);
	assert_int_equal(pkt->vlan_tci, path->vlan_tci);
}

/* Nothing but the traffic class and the checksum over it changes; the ICRC stays right. */
static void
check_traffic_class(uint64_t *seed, const struct roce_path *path, uint8_t *frame, size_t len)
{
	size_t l3 = path->tagged ? 18 : 14;
	bool ipv6 = frame[l3] >> 4 == 6;
	struct roce_path other = *path;
	uint8_t *want = exact_copy(frame, len);
	struct roce_packet pkt;
	struct roce_flow flow;

	roce_flow_init(&flow, path);
	other.traffic_class = (uint8_t)prng_next(seed);
	if (ipv6) { /* a flow label is none of our business */
		roce_store_be16(frame + l3 + 2, (uint16_t)prng_next(seed));
		frame[l3 + 1] |= prng_next(seed) & 0x0f;
		memcpy(want, frame, len);
		want[l3] = 0x60 | other.traffic_class >> 4;
		want[l3 + 1] = (uint8_t)(other.traffic_class << 4 | (want[l3 + 1] & 0x0f));
	} else {
		want[l3 + 1] = other.traffic_class;
		memset(want + l3 + 10, 0, 2);
		roce_store_be16(want + l3 + 10, 0xffff ^ ones_complement_sum(want + l3, 20));
	}
	roce_set_traffic_class(&flow, frame, other.traffic_class);
	assert_memory_equal(frame, want, len);
	assert_int_equal(roce_decode(frame, len, &pkt), REMU_DROP_NONE);
	check_path(&pkt, &other);
	assert_true(roce_icrc_ok(pkt.l3, pkt.icrc_span));
	free(want);
}

/* One packet on a path: all comes back, and what is filled in between is zeros. */
static void
check_on_path(uint64_t *seed, const struct roce_path *path, uint8_t opcode, size_t payload_len)
{
	size_t l3 = path->tagged ? 18 : 14, ip_len = roce_gid_is_ipv4(&path->src) ? 20 : 40;
	size_t payload_off = l3 + ip_len + 8 + roce_ops[opcode].header_len;
	size_t end = payload_off + payload_len + (4 - payload_len % 4) % 4;
	struct roce_fields f = random_fields(seed, opcode);
	struct roce_packet pkt;
	struct roce_flow flow;
	uint32_t qpn;
	uint8_t *frame;
	size_t len;

	roce_flow_init(&flow, path);
	frame = make_flow_frame(seed, &flow, &f, payload_len, &len);
	assert_int_equal(len, end + 4 < 60 ? 60 : end + 4);
	assert_int_equal(wire(frame + l3 - 2, 2), ip_len == 20 ? 0x0800 : 0x86dd);
	if (ip_len == 40)
		assert_int_equal(wire(frame + l3, 4), 0x60000000 | path->traffic_class << 20);
	if (path->tagged) {
		assert_int_equal(wire(frame + 12, 2), 0x8100);
		assert_int_equal(wire(frame + 14, 2), path->vlan_tci);
	}
	for (size_t i = payload_off + payload_len; i < end; i++)
		assert_int_equal(frame[i], 0);
	for (size_t i = end + 4; i < len; i++)
		assert_int_equal(frame[i], 0);

	memset(&pkt, 0xa5, sizeof(pkt));
	assert_int_equal(roce_decode(frame, len, &pkt), REMU_DROP_NONE);
	assert_fields_equal(&pkt.f, &f);
	check_path(&pkt, path);
	assert_inside(&pkt, frame, len);
	assert_ptr_equal(pkt.payload, frame + payload_off);
	assert_int_equal(pkt.payload_len, payload_len);
	assert_int_equal(pkt.icrc_span, end - l3);
	assert_int_equal(pkt.ip_id, ip_len == 20 ? wire(pkt.l3 + 4, 2) : 0);
	assert_true(roce_icrc_ok(pkt.l3, pkt.icrc_span));
	assert_true(roce_peek_qpn(frame, len, &qpn));
	assert_int_equal(qpn, f.dest_qpn);
	if (ip_len == 20)
		assert_int_equal(ones_complement_sum(pkt.l3, 20), 0xffff);

	check_traffic_class(seed, path, frame, len);
	free(frame);
}

static void
roce_encode__every_opcode_on_every_kind_of_path(void **state)
{
	uint64_t seed = 18;

	(void)state;
	for (int kind = 0; kind < KINDS; kind++)
		for (size_t i = 0; i < ARRAY_LEN(known_ops); i++)
			for (uint32_t round = 0; round < 70; round++) {
				struct roce_path path = random_path(&seed, kind);

				check_on_path(&seed, &path, known_ops[i].opcode,
					known_ops[i].payload ? round : 0);
			}
}

/* A tag that names no VLAN only carries a priority, but it is a tag. */
static void
roce_encode__priority_tag(void **state)
{
	static const uint16_t tcis[] = {0x0000, 0x2000, 0xe000, 0x1000, 0xf000};
	uint64_t seed = 20;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tcis); i++)
		for (int ipv6 = 0; ipv6 < 2; ipv6++) {
			struct roce_path path = random_path(&seed, KIND_TAGGED | ipv6);

			path.vlan_tci = tcis[i];
			check_on_path(&seed, &path, ROCE_ACKNOWLEDGE, 0);
		}
}

/* What a sender puts behind the BTH of a CNP is part of the ICRC and otherwise of no interest. */
static void
roce_decode__cnp_reserved_bytes(void **state)
{
	uint64_t seed = 21;

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct roce_path path = random_path(&seed, kind);
		struct roce_fields f = random_fields(&seed, ROCE_CNP);
		struct roce_packet pkt;
		struct roce_flow flow;
		uint8_t *frame;
		size_t len;

		roce_flow_init(&flow, &path);
		frame = make_flow_frame(&seed, &flow, &f, 0, &len);
		assert_int_equal(len, udp_off(kind) + 8 + 12 + 16 + 4);
		prng_fill(&seed, frame + len - 20, 16);
		assert_int_equal(roce_decode(frame, len, &pkt), REMU_DROP_NONE);
		assert_false(roce_icrc_ok(pkt.l3, pkt.icrc_span));
		roce_seal(&flow, frame, len - 4, 0);
		assert_int_equal(roce_decode(frame, len, &pkt), REMU_DROP_NONE);
		assert_true(roce_icrc_ok(pkt.l3, pkt.icrc_span));
		assert_fields_equal(&pkt.f, &f);
		assert_int_equal(pkt.payload_len, 0);
		assert_false(pkt.op->traits & (ROCE_T_REQUEST | ROCE_T_RESPONSE));
		free(frame);
	}
}

static const struct {
	const char *what;
	uint8_t off, bytes;
	uint16_t value;
	enum remu_drop want;
} ipv6_changes[] = {
	{"version 4", OFF_IP, 1, 0x45, REMU_DROP_IP_HEADER},
	{"length over the frame", OFF_IP + 4, 2, 8 + 28 + 8 + 4 + 1, REMU_DROP_RUNT},
	{"length 65535", OFF_IP + 4, 2, 65535, REMU_DROP_RUNT},
	{"length 0", OFF_IP + 4, 2, 0, REMU_DROP_IP_HEADER},
	{"length under UDP", OFF_IP + 4, 2, 7, REMU_DROP_IP_HEADER},
	{"length under UDP length", OFF_IP + 4, 2, 8 + 28 + 8, REMU_DROP_UDP_LENGTH},
	{"fragment", OFF_IP + 6, 1, 44, REMU_DROP_FRAGMENT},
	{"hop-by-hop options", OFF_IP + 6, 1, 0, REMU_DROP_NOT_UDP},
	{"TCP", OFF_IP + 6, 1, 6, REMU_DROP_NOT_UDP},
	{"port", OFF_IP + 42, 2, 4790, REMU_DROP_UDP_PORT},
	{"UDP length over payload length", OFF_IP + 44, 2, 8 + 28 + 8 + 4 + 4,
		REMU_DROP_UDP_LENGTH},
	{"UDP length 0", OFF_IP + 44, 2, 0, REMU_DROP_UDP_LENGTH},
};

static void
roce_decode__ipv6_verdicts(void **state)
{
	uint64_t seed = 19;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(ipv6_changes); i++) {
		int kind = KIND_IPV6 | (i % 2 ? KIND_TAGGED : 0);
		size_t len, tag = i % 2 ? 4 : 0;
		uint8_t *frame = random_frame_of(&seed, kind, ROCE_WRITE_ONLY, 8, &len);
		uint8_t *at = frame + tag + ipv6_changes[i / 2].off;
		struct roce_packet pkt;
		enum remu_drop got;

		assert_int_equal(roce_decode(frame, len, &pkt), REMU_DROP_NONE);
		if (ipv6_changes[i / 2].bytes == 2)
			roce_store_be16(at, ipv6_changes[i / 2].value);
		else
			*at = (uint8_t)ipv6_changes[i / 2].value;
		got = roce_decode(frame, len, &pkt);
		if (got != ipv6_changes[i / 2].want)
			fail_msg("%s: %s", ipv6_changes[i / 2].what, remu_drop_name(got));
		free(frame);
	}
}

/* They would be taken for an IPv4 peer. */
static void
roce_decode__ipv4_mapped_addresses_in_ipv6(void **state)
{
	uint64_t seed = 22;

	(void)state;
	for (size_t at = 8; at <= 24; at += 16) { /* source, destination */
		struct roce_gid gid = roce_gid_ipv4((uint32_t)prng_next(&seed));
		struct roce_packet pkt;
		size_t len;
		uint8_t *frame = random_frame_of(&seed, KIND_IPV6, ROCE_ACKNOWLEDGE, 0, &len);
		uint32_t qpn;

		memcpy(frame + OFF_IP + at, gid.raw, sizeof(gid.raw));
		assert_int_equal(roce_decode(frame, len, &pkt), REMU_DROP_IP_HEADER);
		assert_false(roce_peek_qpn(frame, len, &qpn));
		free(frame);
	}
}

/* Up to eight random bytes, then perhaps another length of the frame, IP or UDP. */
static uint8_t *
mutate(uint64_t *seed, int kind, const uint8_t *frame, size_t *len)
{
	size_t new_len = *len;
	uint8_t *copy;

	if (prng_below(seed, 4) == 0)
		new_len = prng_below(seed, (uint32_t)*len + 8);
	copy = malloc(new_len);
	assert_non_null(copy);
	prng_fill(seed, copy, new_len);
	memcpy(copy, frame, new_len < *len ? new_len : *len);
	for (uint32_t n = prng_below(seed, 9); n > 0 && new_len > 0; n--)
		copy[prng_below(seed, (uint32_t)new_len)] = (uint8_t)prng_next(seed);
	if (prng_below(seed, 2))
		store_lengths(copy, new_len, kind);
	if (new_len >= udp_off(kind) + 8 && prng_below(seed, 2))
		roce_store_be16(copy + udp_off(kind) + 4,
			(uint16_t)(new_len - udp_off(kind) - prng_below(seed, 9)));
	*len = new_len;
	return copy;
}

/* Random bytes behind the start of a header that lets them pass further. */
static uint8_t *
garbage(uint64_t *seed, int kind, size_t *len)
{
	struct roce_path path = random_path(seed, kind);
	struct roce_flow flow;
	size_t given;
	uint8_t *frame;

	roce_flow_init(&flow, &path);
	given = prng_below(seed, flow.len + 1u);
	*len = prng_below(seed, 160);
	frame = malloc(*len);
	assert_non_null(frame);
	prng_fill(seed, frame, *len);
	memcpy(frame, flow.bytes, given < *len ? given : *len);
	if (*len >= udp_off(kind) && prng_below(seed, 2))
		store_lengths(frame, *len, kind);
	if (*len >= OFF_IP && prng_below(seed, 64) == 0)
		roce_store_be16(frame + OFF_ETHERTYPE, ROCE_ETHERTYPE_QINQ);
	return frame;
}

/* Peeking goes as far as decoding goes before it looks at the BTH, and sees the same there. */
static void
check_peek(const uint8_t *frame, size_t len, enum remu_drop got, const struct roce_packet *pkt)
{
	uint32_t qpn = UINT32_MAX;
	bool seen = roce_peek_qpn(frame, len, &qpn);

	if (got == REMU_DROP_NONE)
		assert_int_equal(qpn, pkt->f.dest_qpn);
	else if (got != REMU_DROP_UDP_LENGTH) /* of the datagram, or of the opcode's headers */
		assert_int_equal(seen, got > REMU_DROP_UDP_LENGTH);
}

static void
roce_decode__random_frames(void **state)
{
	uint32_t verdicts[REMU_DROP_COUNT] = {0};
	uint64_t seed = 17;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		const struct known_op *known = &known_ops[prng_below(&seed, ARRAY_LEN(known_ops))];
		int kind = i % KINDS;
		size_t valid_len;
		uint8_t *valid = random_frame_of(&seed, kind, known->opcode,
			known->payload ? prng_below(&seed, 40) : 0, &valid_len);

		for (int j = 0; j < 50; j++) {
			size_t len = valid_len;
			uint8_t *frame = j % 5 ? mutate(&seed, kind, valid, &len)
					       : garbage(&seed, kind, &len);
			struct roce_packet pkt;
			enum remu_drop got = roce_decode(frame, len, &pkt);

			assert_in_range(got, REMU_DROP_NONE, REMU_DROP_PAYLOAD);
			verdicts[got]++;
			if (got == REMU_DROP_NONE)
				assert_inside(&pkt, frame, len);
			check_peek(frame, len, got, &pkt);
			free(frame);
		}
		free(valid);
	}
	/* The generator reaches every check, and passes them all often enough. */
	for (int i = REMU_DROP_RUNT; i <= REMU_DROP_PAYLOAD; i++)
		assert_in_range(verdicts[i], 1, 999999);
	assert_in_range(verdicts[REMU_DROP_NONE], 100000, 999999);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roce_ops__agree_with_specification),
		cmocka_unit_test(roce_decode__every_opcode),
		cmocka_unit_test(remu_drop_name__of_every_reason),
		cmocka_unit_test(roce_gid_to_ipv4__only_mapped),
		cmocka_unit_test(roce_encode__round_trip_of_every_opcode),
		cmocka_unit_test(roce_flow_init__addresses_survive),
		cmocka_unit_test(roce_encode__ip_checksum),
		cmocka_unit_test(roce_decode__verdict_of_one_change),
		cmocka_unit_test(roce_decode__frame_cut_at_every_byte),
		cmocka_unit_test(roce_decode__datagram_cut_at_every_byte),
		cmocka_unit_test(roce_decode__ethernet_padding),
		cmocka_unit_test(roce_encode__every_opcode_on_every_kind_of_path),
		cmocka_unit_test(roce_encode__priority_tag),
		cmocka_unit_test(roce_decode__cnp_reserved_bytes),
		cmocka_unit_test(roce_decode__ipv6_verdicts),
		cmocka_unit_test(roce_decode__ipv4_mapped_addresses_in_ipv6),
		cmocka_unit_test(roce_decode__random_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
