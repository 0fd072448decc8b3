/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The codec against frames that a kernel made and a dissector read: see the README of CAPTURE_DIR.
 */
#include "frame_maker.h"
#include <roce_bytes.h>
#include <roce_icrc.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct capture {
	const char *name;
	unsigned int frames;
};

static struct capture captures[] = {
	{"rxe-atomic", 12},
	{"rxe-read", 24},
	{"rxe-send", 36},
	{"rxe-write", 48},
	{"rxe-write-64", 80},
};

enum { CAPTURES = ARRAY_LEN(captures) };

/* What the reference tells of a frame, as the decoder sees it. */
struct seen {
	struct roce_packet pkt;
	uint64_t src_mac;
	uint64_t dst_mac;
	uint32_t src_ip;
	uint32_t dst_ip;
	uint32_t pad;
	uint32_t data_len; /* with pad */
	uint32_t icrc;	   /* in wire order */
};

/* A column is empty unless the opcode has one of these traits; 0: it never is. */
static const struct column {
	const char *name;
	struct member m;
	uint32_t traits;
} columns[] = {
	{"eth.src", {MEMBER(struct seen, src_mac)}, 0},
	{"eth.dst", {MEMBER(struct seen, dst_mac)}, 0},
	{"ip.src", {MEMBER(struct seen, src_ip)}, 0},
	{"ip.dst", {MEMBER(struct seen, dst_ip)}, 0},
	{"ip.dsfield", {MEMBER(struct seen, pkt.tos)}, 0},
	{"ip.id", {MEMBER(struct seen, pkt.ip_id)}, 0},
	{"ip.ttl", {MEMBER(struct seen, pkt.ttl)}, 0},
	{"udp.srcport", {MEMBER(struct seen, pkt.udp_sport)}, 0},
	{"infiniband.bth.opcode", {MEMBER(struct seen, pkt.f.opcode)}, 0},
	{"infiniband.bth.se", {MEMBER(struct seen, pkt.f.solicited)}, 0},
	{"infiniband.bth.m", {MEMBER(struct seen, pkt.f.migreq)}, 0},
	{"infiniband.bth.padcnt", {MEMBER(struct seen, pad)}, 0},
	{"infiniband.bth.p_key", {MEMBER(struct seen, pkt.f.pkey)}, 0},
	{"infiniband.bth.destqp", {MEMBER(struct seen, pkt.f.dest_qpn)}, 0},
	{"infiniband.bth.a", {MEMBER(struct seen, pkt.f.ackreq)}, 0},
	{"infiniband.bth.reserved7", {MEMBER(struct seen, pkt.f.reserved7)}, 0},
	{"infiniband.bth.psn", {MEMBER(struct seen, pkt.f.psn)}, 0},
	{"infiniband.reth.va", {MEMBER(struct seen, pkt.f.va)}, ROCE_T_RETH | ROCE_T_ATOMIC_ETH},
	{"infiniband.reth.r_key", {MEMBER(struct seen, pkt.f.rkey)},
		ROCE_T_RETH | ROCE_T_ATOMIC_ETH},
	{"infiniband.reth.dmalen", {MEMBER(struct seen, pkt.f.dma_len)}, ROCE_T_RETH},
	{"infiniband.aeth.syndrome", {MEMBER(struct seen, pkt.f.syndrome)}, ROCE_T_AETH},
	{"infiniband.aeth.msn", {MEMBER(struct seen, pkt.f.msn)}, ROCE_T_AETH},
	{"infiniband.atomiceth.swapdt", {MEMBER(struct seen, pkt.f.swap_add)}, ROCE_T_ATOMIC_ETH},
	{"infiniband.atomiceth.cmpdt", {MEMBER(struct seen, pkt.f.compare)}, ROCE_T_ATOMIC_ETH},
	{"infiniband.atomicacketh.origremdt", {MEMBER(struct seen, pkt.f.swap_add)},
		ROCE_T_ATOMIC_ACK},
	{"infiniband.immdt", {MEMBER(struct seen, pkt.f.imm)}, ROCE_T_IMM},
	{"data.len", {MEMBER(struct seen, data_len)}, ROCE_T_PAYLOAD},
	{"infiniband.invariant.crc", {MEMBER(struct seen, icrc)}, 0},
};

enum { COLUMNS = ARRAY_LEN(columns) };

static FILE *
open_capture(const char *name, const char *suffix)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", CAPTURE_DIR, name, suffix);
	file = fopen(path, "rb");
	if (file == NULL)
		fail_msg("cannot open %s", path);
	return file;
}

/* A pcap header of this host's byte order, link type Ethernet. */
static FILE *
open_pcap(const char *name)
{
	FILE *pcap = open_capture(name, "pcap");
	uint32_t header[6];

	assert_int_equal(fread(header, sizeof(header), 1, pcap), 1);
	assert_int_equal(header[0], 0xa1b2c3d4);
	assert_int_equal(header[5], 1);
	return pcap;
}

/* The next frame in a block of exactly its length, or NULL at the end of the file. */
static uint8_t *
read_frame(FILE *pcap, size_t *len)
{
	uint32_t header[4]; /* seconds, microseconds, captured length, length on the wire */
	uint8_t *frame;

	if (fread(header, sizeof(header), 1, pcap) != 1) {
		assert_true(feof(pcap));
		return NULL;
	}
	assert_int_equal(header[2], header[3]);
	assert_in_range(header[2], 1, 9000);
	*len = header[2];
	frame = malloc(*len);
	assert_non_null(frame);
	assert_int_equal(fread(frame, *len, 1, pcap), 1);
	return frame;
}

/* A line of the reference cut into its columns; `line` keeps the text. */
static void
read_row(FILE *tsv, char *line, size_t size, char *cells[COLUMNS])
{
	assert_non_null(fgets(line, (int)size, tsv));
	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < COLUMNS; i++) {
		cells[i] = strsep(&line, "\t");
		assert_non_null(cells[i]);
	}
	assert_null(line);
}

/* Decimal, 0x hexadecimal, a:b:c hexadecimal bytes, a.b.c.d decimal bytes. */
static uint64_t
parse_cell(const char *text)
{
	int base = strchr(text, ':') ? 16 : strchr(text, '.') ? 10 : 0;
	uint64_t value = 0;
	char *end;

	for (;; text = end + 1) {
		uint64_t part = strtoull(text, &end, base);

		assert_ptr_not_equal(text, end);
		value = value << 8 | part;
		if (*end == '\0')
			return value;
		assert_true(base == 16 ? *end == ':' : base == 10 && *end == '.');
	}
}

static uint64_t
mac_value(const uint8_t mac[6])
{
	return (uint64_t)roce_load_be16(mac) << 32 | roce_load_be32(mac + 2);
}

static struct seen
look_at(const uint8_t *frame, size_t len)
{
	struct seen seen = {0};
	const struct roce_packet *pkt = &seen.pkt;
	uint32_t body;

	assert_int_equal(roce_decode(frame, len, &seen.pkt), REMU_DROP_NONE);
	body = ROCE_IPV4_LEN + ROCE_UDP_LEN + pkt->op->header_len;
	seen.src_mac = mac_value(pkt->src_mac);
	seen.dst_mac = mac_value(pkt->dst_mac);
	seen.src_ip = roce_gid_to_ipv4(&pkt->src);
	seen.dst_ip = roce_gid_to_ipv4(&pkt->dst);
	seen.data_len = pkt->icrc_span - body;
	seen.pad = seen.data_len - pkt->payload_len;
	seen.icrc = roce_load_be32(pkt->l3 + pkt->icrc_span);
	return seen;
}

static void
roce_decode__agrees_with_tshark(void **state)
{
	const struct capture *capture = *state;
	FILE *pcap = open_pcap(capture->name), *tsv = open_capture(capture->name, "tsv");
	char line[4096], *cells[COLUMNS];
	unsigned int count = 0;
	uint8_t *frame;
	size_t len;

	read_row(tsv, line, sizeof(line), cells);
	for (int i = 0; i < COLUMNS; i++)
		assert_string_equal(cells[i], columns[i].name);

	for (; (frame = read_frame(pcap, &len)) != NULL; count++) {
		struct seen seen = look_at(frame, len);

		read_row(tsv, line, sizeof(line), cells);
		for (int i = 0; i < COLUMNS; i++) {
			const struct column *col = &columns[i];
			uint64_t value = member_get(&seen, &col->m);
			bool present = col->traits == 0 || (seen.pkt.op->traits & col->traits);

			if (present != (*cells[i] != '\0') ||
				(present && parse_cell(cells[i]) != value))
				fail_msg("%s frame %u: %s is %#llx, tshark reads '%s'",
					capture->name, count + 1, col->name,
					(unsigned long long)value, cells[i]);
		}
		free(frame);
	}
	assert_int_equal(count, capture->frames);
	assert_null(fgets(line, sizeof(line), tsv));
	fclose(tsv);
	fclose(pcap);
}

static void
roce_icrc_ok__of_captured_frames(void **state)
{
	const struct capture *capture = *state;
	FILE *pcap = open_pcap(capture->name);
	unsigned int count = 0;
	uint8_t *frame;
	size_t len;

	for (; (frame = read_frame(pcap, &len)) != NULL; count++) {
		struct seen seen = look_at(frame, len);

		assert_ptr_equal(seen.pkt.l3, frame + ROCE_ETH_LEN);
		assert_int_equal(seen.pkt.icrc_span, len - ROCE_ETH_LEN - ROCE_ICRC_LEN);
		assert_true(roce_icrc_ok(seen.pkt.l3, seen.pkt.icrc_span));
		free(frame);
	}
	assert_int_equal(count, capture->frames);
	fclose(pcap);
}

static void
roce_encode__rebuilds_captured_frames(void **state)
{
	const struct capture *capture = *state;
	FILE *pcap = open_pcap(capture->name);
	unsigned int count = 0;
	uint8_t *frame;
	size_t len;

	for (; (frame = read_frame(pcap, &len)) != NULL; count++) {
		struct seen seen = look_at(frame, len);
		const struct roce_packet *pkt = &seen.pkt;
		struct roce_path path = {
			.src = pkt->src,
			.dst = pkt->dst,
			.sport = pkt->udp_sport,
			.traffic_class = pkt->tos,
			.hop_limit = pkt->ttl,
			.tagged = pkt->tagged,
			.vlan_tci = pkt->vlan_tci,
		};
		struct roce_flow flow;
		uint8_t *copy;
		size_t off;

		copy = malloc(len);
		assert_non_null(copy);
		memset(copy, 0xa5, len);
		memcpy(path.src_mac, pkt->src_mac, 6);
		memcpy(path.dst_mac, pkt->dst_mac, 6);
		roce_flow_init(&flow, &path);
		assert_int_equal(roce_frame_len(&flow, pkt->f.opcode, pkt->payload_len), len);
		off = roce_encode(&flow, &pkt->f, pkt->ip_id, pkt->payload_len, copy);
		assert_int_equal(off, pkt->payload - frame);
		memcpy(copy + off, pkt->payload, pkt->payload_len);
		assert_int_equal(roce_seal(&flow, copy, off, pkt->payload_len), len);
		assert_memory_equal(copy, frame, len);
		free(copy);
		free(frame);
	}
	assert_int_equal(count, capture->frames);
	fclose(pcap);
}

int
main(void)
{
	static const struct CMUnitTest each[] = {
		cmocka_unit_test(roce_decode__agrees_with_tshark),
		cmocka_unit_test(roce_icrc_ok__of_captured_frames),
		cmocka_unit_test(roce_encode__rebuilds_captured_frames),
	};
	enum { EACH = ARRAY_LEN(each) };
	struct CMUnitTest tests[CAPTURES * EACH];
	char names[CAPTURES * EACH][80];

	for (int i = 0; i < CAPTURES * EACH; i++) {
		struct capture *capture = &captures[i / EACH];

		tests[i] = each[i % EACH];
		tests[i].initial_state = capture;
		snprintf(names[i], sizeof(names[i]), "%s, %s", tests[i].name, capture->name);
		tests[i].name = names[i];
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
