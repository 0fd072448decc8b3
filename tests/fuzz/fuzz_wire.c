/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames for the engine and frames from it.
 */
#include "fuzz.h"

#include <roce_bytes.h>
#include <roce_icrc.h>

#include <rte_common.h>
#include <rte_mbuf.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

enum {
	TAIL = 9, /* bytes behind the IP packet, of FUZZ_TAIL */
	CNP_TRAFFIC_CLASS = 48 << 2,
	SHORTEST = ROCE_BTH_LEN + ROCE_ICRC_LEN,
};

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};

static struct roce_gid
address(bool ipv6, uint8_t host)
{
	struct roce_gid gid = {{0x20, 0x01, 0x0d, 0xb8, [15] = host}};

	return ipv6 ? gid : roce_gid_ipv4(0xc0000200u + host);
}

void
fuzz_end_init(struct fuzz_end *end, uint32_t i, bool ipv6, bool tagged)
{
	struct roce_path path = {
		.src = address(ipv6, (uint8_t)(i + 2)),
		.dst = address(ipv6, 1),
		.sport = (uint16_t)(ROCE_SPORT_BASE + i),
		.hop_limit = 64,
		.tagged = tagged,
		.vlan_tci = 3 << 13 | 42,
	};
	struct remu_qp_attr attr = {
		.peer_gid = path.src,
		.peer_mac = {2, 0, 0, 0, 1, (uint8_t)i},
		.peer_qpn = 0x4000 + i,
		.traffic_class = tagged ? ROCE_ECN_ECT0 : 0,
		.tagged = tagged,
		.vlan_tci = 5 << 13 | 42,
	};

	end->attr = attr;
	memcpy(path.dst_mac, own_mac, 6);
	memcpy(path.src_mac, attr.peer_mac, 6);
	roce_flow_init(&end->in, &path);
}

struct remu_engine_config
fuzz_engine_config(void)
{
	struct remu_engine_config cfg = {
		.pool = fuzz_pool(),
		.gid = address(false, 1),
		.gid2 = address(true, 1),
		.n_engines = 1,
		.socket_id = -1,
	};

	memcpy(cfg.mac, own_mac, 6);
	return cfg;
}

/* Where the IP header and the UDP header are, as far as the bytes can be trusted. */
static bool
find_udp(const uint8_t *frame, size_t len, size_t *l3, size_t *udp)
{
	*l3 = ROCE_ETH_LEN;
	if (len >= ROCE_ETH_LEN && roce_load_be16(frame + 12) == ROCE_ETHERTYPE_VLAN)
		*l3 += ROCE_VLAN_LEN;
	*udp = *l3 + (len > *l3 && frame[*l3] >> 4 == 6 ? ROCE_IPV6_LEN : ROCE_IPV4_LEN);
	return len >= *udp + ROCE_UDP_LEN + SHORTEST;
}

/* Set the ICRC where the UDP length says that it is; nothing if that makes no sense. */
static void
reseal(uint8_t *frame, size_t len)
{
	size_t l3, udp, end;

	if (!find_udp(frame, len, &l3, &udp))
		return;
	end = udp + roce_load_be16(frame + udp + 4);
	if (end > len || end < udp + ROCE_UDP_LEN + SHORTEST)
		return;
	end -= ROCE_ICRC_LEN;
	roce_store_le32(frame + end, roce_icrc(frame + l3, end - l3));
}

/* IP and UDP lengths as many as there are bytes. */
static void
fix_lengths(uint8_t *frame, size_t len)
{
	size_t l3, udp;

	if (!find_udp(frame, len, &l3, &udp))
		return;
	if (frame[l3] >> 4 == 6)
		roce_store_be16(frame + l3 + 4, (uint16_t)(len - udp));
	else
		roce_store_be16(frame + l3 + 2, (uint16_t)(len - l3));
	roce_store_be16(frame + udp + 4, (uint16_t)(len - udp));
}

/* What is said of a packet lies within the frame. */
static void
check_decoded(const uint8_t *frame, size_t len)
{
	struct roce_packet pkt;
	const uint8_t *end;
	uint32_t qpn;
	bool peeked = roce_peek_qpn(frame, len, &qpn);

	if (roce_decode(frame, len, &pkt) != REMU_DROP_NONE)
		return;
	FUZZ_CHECK(peeked && qpn == pkt.f.dest_qpn);
	FUZZ_CHECK(pkt.l3 > frame && pkt.icrc_span <= len);
	end = pkt.l3 + pkt.icrc_span;
	FUZZ_CHECK(end + ROCE_ICRC_LEN <= frame + len);
	FUZZ_CHECK(pkt.payload > pkt.l3 && pkt.payload <= end);
	FUZZ_CHECK(pkt.payload_len <= (size_t)(end - pkt.payload));
	FUZZ_CHECK((size_t)(end - pkt.payload) - pkt.payload_len < 4);
}

static void
trace_packet(const char *what, const uint8_t *frame, size_t len)
{
	struct roce_packet pkt;
	enum remu_drop drop;

	if (!fuzz_tracing)
		return;
	drop = roce_decode(frame, len, &pkt);
	if (drop != REMU_DROP_NONE)
		fuzz_trace("\t%s %zu bytes: %s\n", what, len, remu_drop_name(drop));
	else
		fuzz_trace("\t%s %s: qpn %#x, psn %06x%s, dma %u, va %#lx, rkey %#x, aeth %02x, "
			   "load %u\n",
			what, pkt.op->name, pkt.f.dest_qpn, pkt.f.psn, pkt.f.ackreq ? "!" : "",
			pkt.f.dma_len, pkt.f.va, pkt.f.rkey, pkt.f.syndrome, pkt.payload_len);
}

static struct rte_mbuf *
segment(const uint8_t *bytes, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(fuzz_pool());

	if (m == NULL)
		return NULL;
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), bytes, len);
	m->data_len = (uint16_t)len;
	m->pkt_len = (uint32_t)len;
	return m;
}

/* An mbuf whose bytes behind the frame are out of bounds. NULL: the pool is empty. */
static struct rte_mbuf *
to_mbuf(const uint8_t *frame, size_t len, bool pieces, uint8_t at)
{
	size_t cut = pieces ? RTE_MIN((size_t)at, len) : len;
	struct rte_mbuf *m = segment(frame, cut), *rest;

	check_decoded(frame, len);
	trace_packet(m != NULL ? "to it:" : "no mbuf for", frame, len);
	if (m == NULL || !pieces) {
		if (m != NULL)
			ASAN_POISON_MEMORY_REGION(rte_pktmbuf_mtod(m, uint8_t *) + len,
				rte_pktmbuf_tailroom(m));
		return m;
	}
	rest = segment(frame + cut, len - cut);
	if (rest == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	/* Without room to join them, every other time. */
	if (at & 1) {
		memmove(rte_pktmbuf_mtod(m, uint8_t *) + rte_pktmbuf_tailroom(m),
			rte_pktmbuf_mtod(m, uint8_t *), cut);
		m->data_off += rte_pktmbuf_tailroom(m);
	}
	rte_pktmbuf_chain(m, rest);
	return m;
}

/* What a record wants otherwise than usual. Returns the length. */
static size_t
change(const struct fuzz_end *end, const struct fuzz_record *rec, uint8_t *frame, size_t len)
{
	if (rec->flags & FUZZ_CE)
		roce_set_traffic_class(&end->in, frame, ROCE_ECN_CE);
	if (rec->flags & FUZZ_TAIL && rec->at == 0 && rec->with != 0)
		return RTE_MIN(len, (size_t)rec->with);
	if (rec->flags & FUZZ_TAIL) {
		memset(frame + len, FUZZ_SECRET, TAIL);
		len += TAIL;
	}
	if (rec->at != 0 && rec->at <= len && !(rec->flags & FUZZ_PIECES)) {
		frame[rec->at - 1] ^= rec->with;
		if (rec->flags & FUZZ_RESEAL)
			reseal(frame, len);
	}
	return len;
}

struct rte_mbuf *
fuzz_craft(const struct fuzz_end *end, const struct fuzz_record *rec, const struct roce_fields *f,
	const uint8_t *payload, uint32_t payload_len)
{
	uint8_t frame[FUZZ_FRAME_MAX + TAIL];
	struct roce_fields shape = *f;
	bool pieces = rec != NULL && rec->flags & FUZZ_PIECES;
	size_t off, len;

	/* An unknown opcode gets the headers of a known one. */
	if (roce_ops[f->opcode].name == NULL)
		shape.opcode = ROCE_WRITE_ONLY;
	shape.migreq = true;
	shape.pkey = ROCE_PKEY_DEFAULT;
	shape.dest_qpn = end->qpn;
	off = roce_encode(&end->in, &shape, 0, payload_len, frame);
	if (payload_len != 0)
		memcpy(frame + off, payload, payload_len);
	len = roce_seal(&end->in, frame, off, payload_len);
	if (shape.opcode != f->opcode) {
		frame[end->in.len] = f->opcode;
		reseal(frame, len);
	}
	if (rec != NULL)
		len = change(end, rec, frame, len);
	return to_mbuf(frame, len, pieces, pieces ? rec->at : 0);
}

struct rte_mbuf *
fuzz_craft_raw(const struct fuzz_end *end, const struct fuzz_record *rec, size_t extent,
	uint32_t psn)
{
	uint8_t frame[FUZZ_FRAME_MAX + ROCE_L2L4_MAX];
	size_t len = extent - sizeof(*rec), head = 0, l3, udp;

	if (rec->flags & FUZZ_FIX_OUTER) {
		memcpy(frame, end->in.bytes, end->in.len);
		head = end->in.len;
	}
	memcpy(frame + head, rec + 1, len);
	len += head;
	if (find_udp(frame, len, &l3, &udp)) {
		uint8_t *bth = frame + udp + ROCE_UDP_LEN;

		if (rec->flags & (FUZZ_FIX_LENGTHS | FUZZ_FIX_OUTER))
			fix_lengths(frame, len);
		if (rec->flags & FUZZ_FIX_QPN)
			roce_store_be24(bth + offsetof(struct roce_bth, dest_qpn), end->qpn);
		if (rec->flags & FUZZ_FIX_PSN)
			roce_store_be24(bth + offsetof(struct roce_bth, psn), psn);
		/* What must not be seen in an answer must not come from us. */
		for (uint8_t *p = bth + ROCE_BTH_LEN; p < frame + len; p++)
			*p = *p == FUZZ_SECRET || *p == FUZZ_OTHERS ? *p ^ 1 : *p;
	}
	if (rec->flags & FUZZ_RESEAL)
		reseal(frame, len);
	return to_mbuf(frame, RTE_MIN(len, (size_t)FUZZ_FRAME_MAX), false, 0);
}

/* The IPv4 header's own checksum, by the rule of RFC 1071. */
static bool
ipv4_checksum_ok(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (int i = 0; i < ROCE_IPV4_LEN; i += 2)
		sum += roce_load_be16(ip + i);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

static void
check_outer(const uint8_t *frame, const struct roce_packet *pkt, const struct remu_qp_attr *attr)
{
	bool cnp = pkt->f.opcode == ROCE_CNP, ipv4 = roce_gid_is_ipv4(&attr->peer_gid);
	struct roce_gid own = address(!ipv4, 1);

	FUZZ_CHECK(memcmp(pkt->dst_mac, attr->peer_mac, 6) == 0);
	FUZZ_CHECK(memcmp(pkt->src_mac, own_mac, 6) == 0);
	FUZZ_CHECK(memcmp(&pkt->dst, &attr->peer_gid, sizeof(pkt->dst)) == 0);
	FUZZ_CHECK(memcmp(&pkt->src, &own, sizeof(own)) == 0);
	FUZZ_CHECK(pkt->tagged == attr->tagged);
	FUZZ_CHECK(!pkt->tagged || pkt->vlan_tci == attr->vlan_tci);
	FUZZ_CHECK(pkt->tos == (cnp ? CNP_TRAFFIC_CLASS : attr->traffic_class));
	FUZZ_CHECK(pkt->udp_sport >= ROCE_SPORT_BASE);
	FUZZ_CHECK(!ipv4 || ipv4_checksum_ok(pkt->l3));
	FUZZ_CHECK(pkt->l3 > frame);
}

uint32_t
fuzz_check_sent(const struct rte_mbuf *m, const struct fuzz_end *ends, uint32_t n,
	struct roce_packet *pkt)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *), *end;
	const struct roce_bth *bth;
	uint32_t i = 0;

	trace_packet("from it:", frame, m->data_len);
	FUZZ_CHECK(m->nb_segs == 1 && m->data_len == m->pkt_len);
	FUZZ_CHECK(m->data_len >= ROCE_MIN_FRAME);
	FUZZ_CHECK(roce_decode(frame, m->data_len, pkt) == REMU_DROP_NONE);
	FUZZ_CHECK(roce_icrc_ok(pkt->l3, pkt->icrc_span));
	while (i < n && ends[i].attr.peer_qpn != pkt->f.dest_qpn)
		i++;
	FUZZ_CHECK(i < n);
	check_outer(frame, pkt, &ends[i].attr);
	FUZZ_CHECK(pkt->payload_len <= ends[i].attr.path_mtu);
	FUZZ_CHECK(pkt->f.pkey == ROCE_PKEY_DEFAULT && pkt->f.migreq && pkt->f.reserved7 == 0);
	FUZZ_CHECK(pkt->f.fecn_becn == (pkt->f.opcode == ROCE_CNP ? ROCE_BTH_BECN : 0));
	/* Nothing of what was in the mbuf before: pad bytes, and what fills a short frame up. */
	end = pkt->l3 + pkt->icrc_span;
	FUZZ_CHECK(fuzz_filled(pkt->payload + pkt->payload_len,
		(size_t)(end - pkt->payload) - pkt->payload_len, 0));
	end += ROCE_ICRC_LEN;
	FUZZ_CHECK(fuzz_filled(end, (size_t)(frame + m->data_len - end), 0));
	FUZZ_CHECK(frame + m->data_len == end || m->data_len == ROCE_MIN_FRAME);
	bth = (const struct roce_bth *)(pkt->payload - pkt->op->header_len);
	if (pkt->f.opcode == ROCE_CNP)
		FUZZ_CHECK(pkt->f.psn == 0 && !pkt->f.ackreq &&
			fuzz_filled((const uint8_t *)(bth + 1), ROCE_CNP_RESERVED, 0));
	return i;
}

void
fuzz_check_stats(const struct remu_engine *e)
{
	const struct remu_stats *stats = remu_engine_stats(e);
	uint64_t verdicts = stats->rx_held;

	for (int i = 0; i < REMU_DROP_COUNT; i++)
		verdicts += stats->drops[i];
	FUZZ_CHECK(stats->rx_packets == verdicts);
}
