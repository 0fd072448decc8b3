/* SPDX-License-Identifier: BSD-3-Clause */
#include "roce_packet.h"
#include "roce_bytes.h"
#include "roce_extension.h"
#include "roce_icrc.h"

#define REQ ROCE_T_REQUEST
#define RESP ROCE_T_RESPONSE
#define DATA ROCE_T_PAYLOAD

const struct roce_op roce_ops[256] = {
	[ROCE_SEND_FIRST] = {"SEND First", REQ | ROCE_T_SEND | ROCE_T_FIRST | DATA, 12},
	[ROCE_SEND_MIDDLE] = {"SEND Middle", REQ | ROCE_T_SEND | ROCE_T_MIDDLE | DATA, 12},
	[ROCE_SEND_LAST] = {"SEND Last", REQ | ROCE_T_SEND | ROCE_T_LAST | DATA, 12},
	[ROCE_SEND_LAST_IMM] = {"SEND Last with Immediate",
		REQ | ROCE_T_SEND | ROCE_T_LAST | ROCE_T_IMM | DATA, 16},
	[ROCE_SEND_ONLY] = {"SEND Only", REQ | ROCE_T_SEND | ROCE_T_ONLY | DATA, 12},
	[ROCE_SEND_ONLY_IMM] = {"SEND Only with Immediate",
		REQ | ROCE_T_SEND | ROCE_T_ONLY | ROCE_T_IMM | DATA, 16},
	[ROCE_WRITE_FIRST] = {"RDMA WRITE First",
		REQ | ROCE_T_WRITE | ROCE_T_FIRST | ROCE_T_RETH | DATA, 28},
	[ROCE_WRITE_MIDDLE] = {"RDMA WRITE Middle", REQ | ROCE_T_WRITE | ROCE_T_MIDDLE | DATA, 12},
	[ROCE_WRITE_LAST] = {"RDMA WRITE Last", REQ | ROCE_T_WRITE | ROCE_T_LAST | DATA, 12},
	[ROCE_WRITE_LAST_IMM] = {"RDMA WRITE Last with Immediate",
		REQ | ROCE_T_WRITE | ROCE_T_LAST | ROCE_T_IMM | DATA, 16},
	[ROCE_WRITE_ONLY] = {"RDMA WRITE Only",
		REQ | ROCE_T_WRITE | ROCE_T_ONLY | ROCE_T_RETH | DATA, 28},
	[ROCE_WRITE_ONLY_IMM] = {"RDMA WRITE Only with Immediate",
		REQ | ROCE_T_WRITE | ROCE_T_ONLY | ROCE_T_RETH | ROCE_T_IMM | DATA, 32},
	[ROCE_READ_REQUEST] = {"RDMA READ Request", REQ | ROCE_T_READ | ROCE_T_ONLY | ROCE_T_RETH,
		28},
	[ROCE_READ_RESPONSE_FIRST] = {"RDMA READ response First",
		RESP | ROCE_T_READ | ROCE_T_FIRST | ROCE_T_AETH | DATA, 16},
	[ROCE_READ_RESPONSE_MIDDLE] = {"RDMA READ response Middle",
		RESP | ROCE_T_READ | ROCE_T_MIDDLE | DATA, 12},
	[ROCE_READ_RESPONSE_LAST] = {"RDMA READ response Last",
		RESP | ROCE_T_READ | ROCE_T_LAST | ROCE_T_AETH | DATA, 16},
	[ROCE_READ_RESPONSE_ONLY] = {"RDMA READ response Only",
		RESP | ROCE_T_READ | ROCE_T_ONLY | ROCE_T_AETH | DATA, 16},
	[ROCE_ACKNOWLEDGE] = {"Acknowledge", RESP | ROCE_T_AETH, 16},
	[ROCE_ATOMIC_ACKNOWLEDGE] = {"ATOMIC Acknowledge",
		RESP | ROCE_T_ATOMIC | ROCE_T_AETH | ROCE_T_ATOMIC_ACK, 24},
	[ROCE_COMPARE_SWAP] = {"CmpSwap", REQ | ROCE_T_ATOMIC | ROCE_T_ONLY | ROCE_T_ATOMIC_ETH,
		40},
	[ROCE_FETCH_ADD] = {"FetchAdd", REQ | ROCE_T_ATOMIC | ROCE_T_ONLY | ROCE_T_ATOMIC_ETH, 40},
	[ROCE_CNP] = {"CNP", ROCE_T_CNP, ROCE_BTH_LEN + ROCE_CNP_RESERVED},
	[ROCE_SEND_LAST_INV] = {"SEND Last with Invalidate",
		REQ | ROCE_T_SEND | ROCE_T_LAST | ROCE_T_IMM | DATA, 16},
	[ROCE_SEND_ONLY_INV] = {"SEND Only with Invalidate",
		REQ | ROCE_T_SEND | ROCE_T_ONLY | ROCE_T_IMM | DATA, 16},
};

static const char *const drop_names[REMU_DROP_COUNT] = {
	[REMU_DROP_NONE] = "none",
	[REMU_DROP_RUNT] = "runt",
	[REMU_DROP_NOT_IP] = "not_ip",
	[REMU_DROP_VLAN] = "vlan",
	[REMU_DROP_IP_HEADER] = "ip_header",
	[REMU_DROP_FRAGMENT] = "fragment",
	[REMU_DROP_NOT_UDP] = "not_udp",
	[REMU_DROP_UDP_PORT] = "udp_port",
	[REMU_DROP_UDP_LENGTH] = "udp_length",
	[REMU_DROP_OPCODE] = "opcode",
	[REMU_DROP_TVER] = "transport_version",
	[REMU_DROP_PAYLOAD] = "payload",
	[REMU_DROP_SEGMENTS] = "segments",
	[REMU_DROP_ICRC] = "icrc",
	[REMU_DROP_DST_MAC] = "dst_mac",
	[REMU_DROP_DST_IP] = "dst_ip",
	[REMU_DROP_PKEY] = "pkey",
	[REMU_DROP_QPN] = "qpn",
	[REMU_DROP_QP_STATE] = "qp_state",
	[REMU_DROP_SRC_MAC] = "src_mac",
	[REMU_DROP_SRC_IP] = "src_ip",
	[REMU_DROP_SRC_PORT] = "src_port",
	[REMU_DROP_PSN_AHEAD] = "psn_ahead",
	[REMU_DROP_NOT_SYNCED] = "not_synced",
	[REMU_DROP_DUPLICATE] = "duplicate",
	[REMU_DROP_INVALID] = "invalid_request",
	[REMU_DROP_ACCESS] = "remote_access",
	[REMU_DROP_RNR] = "rnr",
	[REMU_DROP_RATE] = "rate_limited",
	[REMU_DROP_RESP_BUSY] = "responder_busy",
	[REMU_DROP_RESP_STALE] = "response_stale",
	[REMU_DROP_RESP_GAP] = "response_gap",
	[REMU_DROP_RESP_BAD] = "response_bad",
	[REMU_DROP_SYNDROME] = "syndrome",
};

const char *
remu_drop_name(enum remu_drop reason)
{
	return reason < REMU_DROP_COUNT ? drop_names[reason] : "unknown";
}

struct roce_gid
roce_gid_ipv4(uint32_t addr)
{
	struct roce_gid gid = {.raw = {[10] = 0xff, [11] = 0xff}};

	roce_store_be32(&gid.raw[12], addr);
	return gid;
}

bool
roce_gid_is_ipv4(const struct roce_gid *gid)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(gid->raw, mapped, sizeof(mapped)) == 0;
}

uint32_t
roce_gid_to_ipv4(const struct roce_gid *gid)
{
	return roce_gid_is_ipv4(gid) ? roce_load_be32(&gid->raw[12]) : 0;
}

/* The bytes of a frame that are still to be taken apart. */
struct rest {
	const uint8_t *p;
	size_t len;
};

static void
skip(struct rest *rest, size_t len)
{
	rest->p += len;
	rest->len -= len;
}

/* Ethernet header and at most one 802.1Q tag. */
static enum remu_drop
decode_ethernet(struct rest *rest, struct roce_packet *out, uint16_t *ethertype)
{
	if (rest->len < ROCE_ETH_LEN)
		return REMU_DROP_RUNT;
	memcpy(out->dst_mac, rest->p, 6);
	memcpy(out->src_mac, rest->p + 6, 6);
	*ethertype = roce_load_be16(rest->p + 12);
	out->tagged = *ethertype == ROCE_ETHERTYPE_VLAN;
	out->vlan_tci = 0;
	skip(rest, ROCE_ETH_LEN);
	if (*ethertype == ROCE_ETHERTYPE_QINQ)
		return REMU_DROP_VLAN;
	if (!out->tagged)
		return REMU_DROP_NONE;
	if (rest->len < ROCE_VLAN_LEN)
		return REMU_DROP_RUNT;
	out->vlan_tci = roce_load_be16(rest->p);
	*ethertype = roce_load_be16(rest->p + 2);
	skip(rest, ROCE_VLAN_LEN);
	return *ethertype == ROCE_ETHERTYPE_VLAN || *ethertype == ROCE_ETHERTYPE_QINQ
		? REMU_DROP_VLAN
		: REMU_DROP_NONE;
}

/* IPv4 header; leaves the bytes that its total length admits. */
static enum remu_drop
decode_ipv4(struct rest *rest, struct roce_packet *out)
{
	const uint8_t *ip = rest->p;
	uint16_t ip_len;

	if (rest->len < ROCE_IPV4_LEN + ROCE_UDP_LEN)
		return REMU_DROP_RUNT;
	if (ip[0] != 0x45) /* version 4, no options */
		return REMU_DROP_IP_HEADER;
	ip_len = roce_load_be16(ip + 2);
	if (ip_len > rest->len)
		return REMU_DROP_RUNT;
	if (ip_len < ROCE_IPV4_LEN + ROCE_UDP_LEN)
		return REMU_DROP_IP_HEADER;
	if ((roce_load_be16(ip + 6) & 0x3fff) != 0) /* more fragments, or an offset */
		return REMU_DROP_FRAGMENT;
	if (ip[9] != ROCE_IPPROTO_UDP)
		return REMU_DROP_NOT_UDP;
	out->tos = ip[1];
	out->ip_id = roce_load_be16(ip + 4);
	out->ttl = ip[8];
	out->src = roce_gid_ipv4(roce_load_be32(ip + 12));
	out->dst = roce_gid_ipv4(roce_load_be32(ip + 16));
	*rest = (struct rest){ip + ROCE_IPV4_LEN, ip_len - ROCE_IPV4_LEN};
	return REMU_DROP_NONE;
}

/* IPv6 header without extension headers; leaves the bytes that its payload length admits. */
static enum remu_drop
decode_ipv6(struct rest *rest, struct roce_packet *out)
{
	const uint8_t *ip = rest->p;
	uint16_t payload_len;

	if (rest->len < ROCE_IPV6_LEN + ROCE_UDP_LEN)
		return REMU_DROP_RUNT;
	if (ip[0] >> 4 != 6)
		return REMU_DROP_IP_HEADER;
	payload_len = roce_load_be16(ip + 4);
	if (payload_len > rest->len - ROCE_IPV6_LEN)
		return REMU_DROP_RUNT;
	if (payload_len < ROCE_UDP_LEN)
		return REMU_DROP_IP_HEADER;
	if (ip[6] == ROCE_IPPROTO_FRAGMENT)
		return REMU_DROP_FRAGMENT;
	if (ip[6] != ROCE_IPPROTO_UDP)
		return REMU_DROP_NOT_UDP;
	out->tos = (uint8_t)(roce_load_be16(ip) >> 4);
	out->ip_id = 0;
	out->ttl = ip[7];
	memcpy(out->src.raw, ip + 8, sizeof(out->src.raw));
	memcpy(out->dst.raw, ip + 24, sizeof(out->dst.raw));
	/* As GIDs they would pass for addresses of an IPv4 packet. */
	if (roce_gid_is_ipv4(&out->src) || roce_gid_is_ipv4(&out->dst))
		return REMU_DROP_IP_HEADER;
	*rest = (struct rest){ip + ROCE_IPV6_LEN, payload_len};
	return REMU_DROP_NONE;
}

/* Ethernet, IP and UDP. On success the rest starts with the BTH and ends behind the ICRC. */
static enum remu_drop
decode_outer(struct rest *rest, struct roce_packet *out)
{
	const uint8_t *udp;
	uint16_t ethertype, udp_len;
	enum remu_drop drop;

	drop = decode_ethernet(rest, out, &ethertype);
	if (drop != REMU_DROP_NONE)
		return drop;
	out->l3 = rest->p;
	if (ethertype == ROCE_ETHERTYPE_IPV4)
		drop = decode_ipv4(rest, out);
	else if (ethertype == ROCE_ETHERTYPE_IPV6)
		drop = decode_ipv6(rest, out);
	else
		drop = REMU_DROP_NOT_IP;
	if (drop != REMU_DROP_NONE)
		return drop;
	udp = rest->p;
	if (roce_load_be16(udp + 2) != ROCE_UDP_PORT)
		return REMU_DROP_UDP_PORT;
	udp_len = roce_load_be16(udp + 4);
	if (udp_len > rest->len || udp_len < ROCE_UDP_LEN + ROCE_BTH_LEN + ROCE_ICRC_LEN)
		return REMU_DROP_UDP_LENGTH;
	out->udp_sport = roce_load_be16(udp);
	*rest = (struct rest){udp + ROCE_UDP_LEN, udp_len - ROCE_UDP_LEN};
	return REMU_DROP_NONE;
}

bool
roce_peek_qpn(const uint8_t *frame, size_t len, uint32_t *qpn)
{
	struct rest rest = {frame, len};
	struct roce_packet pkt;

	if (decode_outer(&rest, &pkt) != REMU_DROP_NONE)
		return false;
	*qpn = roce_load_be24(((const struct roce_bth *)rest.p)->dest_qpn);
	return true;
}

enum remu_drop
roce_decode(const uint8_t *frame, size_t len, struct roce_packet *out)
{
	struct rest rest = {frame, len};
	const struct roce_bth *bth;
	const struct roce_op *op;
	uint32_t ib_len, body, pad;
	enum remu_drop drop;

	drop = decode_outer(&rest, out);
	if (drop != REMU_DROP_NONE)
		return drop;

	ib_len = (uint32_t)rest.len;
	bth = (const struct roce_bth *)rest.p;
	op = &roce_ops[bth->opcode];
	if (op->name == NULL)
		return REMU_DROP_OPCODE;
	if ((bth->flags & ROCE_BTH_TVER_MASK) != 0)
		return REMU_DROP_TVER;
	if (ib_len < op->header_len + (uint32_t)ROCE_ICRC_LEN)
		return REMU_DROP_UDP_LENGTH;
	body = ib_len - op->header_len - ROCE_ICRC_LEN;
	pad = (bth->flags & ROCE_BTH_PAD_MASK) >> ROCE_BTH_PAD_SHIFT;
	if (pad > body || body % 4 != 0 || (body != 0 && !(op->traits & ROCE_T_PAYLOAD)))
		return REMU_DROP_PAYLOAD;

	out->op = op;
	out->f = (struct roce_fields){
		.opcode = bth->opcode,
		.solicited = (bth->flags & ROCE_BTH_SE) != 0,
		.migreq = (bth->flags & ROCE_BTH_MIGREQ) != 0,
		.ackreq = (bth->ackreq & ROCE_BTH_ACKREQ) != 0,
		.fecn_becn = bth->fecn_becn,
		.reserved7 = bth->ackreq & 0x7f,
		.pkey = roce_load_be16(bth->pkey),
		.dest_qpn = roce_load_be24(bth->dest_qpn),
		.psn = roce_load_be24(bth->psn),
	};
	roce_decode_extensions(rest.p + ROCE_BTH_LEN, out);
	out->payload = rest.p + op->header_len;
	out->payload_len = body - pad;
	out->icrc_span = (uint32_t)(rest.p - out->l3) + ib_len - ROCE_ICRC_LEN;
	return REMU_DROP_NONE;
}

/* One's complement sum of header words, not folded. */
static uint32_t
csum_add(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += roce_load_be16(p + i);
	return sum;
}

static uint16_t
csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void
store_ipv4(uint8_t *ip, const struct roce_path *path)
{
	ip[0] = 0x45;
	ip[1] = path->traffic_class;
	roce_store_be16(ip + 6, 0x4000); /* don't fragment */
	ip[8] = path->hop_limit;
	ip[9] = ROCE_IPPROTO_UDP;
	memcpy(ip + 12, &path->src.raw[12], 4);
	memcpy(ip + 16, &path->dst.raw[12], 4);
}

static void
store_ipv6(uint8_t *ip, const struct roce_path *path)
{
	roce_store_be16(ip, (uint16_t)(0x6000 | path->traffic_class << 4));
	ip[6] = ROCE_IPPROTO_UDP;
	ip[7] = path->hop_limit;
	memcpy(ip + 8, path->src.raw, sizeof(path->src.raw));
	memcpy(ip + 24, path->dst.raw, sizeof(path->dst.raw));
}

void
roce_flow_init(struct roce_flow *flow, const struct roce_path *path)
{
	bool ipv4 = roce_gid_is_ipv4(&path->src);
	uint8_t *p = flow->bytes;

	memset(flow, 0, sizeof(*flow));
	memcpy(p, path->dst_mac, 6);
	memcpy(p + 6, path->src_mac, 6);
	p += 12;
	if (path->tagged) {
		roce_store_be16(p, ROCE_ETHERTYPE_VLAN);
		roce_store_be16(p + 2, path->vlan_tci);
		p += ROCE_VLAN_LEN;
	}
	roce_store_be16(p, ipv4 ? ROCE_ETHERTYPE_IPV4 : ROCE_ETHERTYPE_IPV6);
	p += 2;
	flow->l3_off = (uint8_t)(p - flow->bytes);
	if (ipv4) {
		store_ipv4(p, path);
		flow->csum_base = csum_add(p, ROCE_IPV4_LEN);
		p += ROCE_IPV4_LEN;
	} else {
		store_ipv6(p, path);
		p += ROCE_IPV6_LEN;
	}
	roce_store_be16(p, path->sport);
	roce_store_be16(p + 2, ROCE_UDP_PORT);
	flow->len = (uint8_t)(p + ROCE_UDP_LEN - flow->bytes);
}

static bool
is_ipv4(const struct roce_flow *flow)
{
	return flow->bytes[flow->l3_off] >> 4 == 4;
}

void
roce_set_traffic_class(const struct roce_flow *flow, uint8_t *frame, uint8_t traffic_class)
{
	uint8_t *ip = frame + flow->l3_off;

	if (is_ipv4(flow)) {
		ip[1] = traffic_class;
		roce_store_be16(ip + ROCE_IPV4_CSUM_OFFSET, 0);
		roce_store_be16(ip + ROCE_IPV4_CSUM_OFFSET, csum_fold(csum_add(ip, ROCE_IPV4_LEN)));
	} else {
		roce_store_be16(ip, (uint16_t)((roce_load_be16(ip) & 0xf00f) | traffic_class << 4));
	}
}

static void
encode_extensions(const struct roce_fields *f, uint32_t traits, uint8_t *ext)
{
	if (traits & ROCE_T_RETH) {
		struct roce_reth *reth = (struct roce_reth *)ext;

		roce_store_be64(reth->va, f->va);
		roce_store_be32(reth->rkey, f->rkey);
		roce_store_be32(reth->dma_len, f->dma_len);
		ext += sizeof(*reth);
	}
	if (traits & ROCE_T_AETH) {
		struct roce_aeth *aeth = (struct roce_aeth *)ext;

		aeth->syndrome = f->syndrome;
		roce_store_be24(aeth->msn, f->msn);
		ext += sizeof(*aeth);
	}
	if (traits & ROCE_T_ATOMIC_ETH) {
		struct roce_atomic_eth *atomic = (struct roce_atomic_eth *)ext;

		roce_store_be64(atomic->va, f->va);
		roce_store_be32(atomic->rkey, f->rkey);
		roce_store_be64(atomic->swap_add, f->swap_add);
		roce_store_be64(atomic->compare, f->compare);
	}
	if (traits & ROCE_T_ATOMIC_ACK)
		roce_store_be64(ext, f->swap_add);
	if (traits & ROCE_T_IMM)
		roce_store_be32(ext, f->imm);
	if (traits & ROCE_T_CNP)
		memset(ext, 0, ROCE_CNP_RESERVED);
}

size_t
roce_encode(const struct roce_flow *flow, const struct roce_fields *f, uint16_t ip_id,
	size_t payload_len, uint8_t *frame)
{
	const struct roce_op *op = &roce_ops[f->opcode];
	uint8_t *ip = frame + flow->l3_off;
	uint8_t *udp = frame + flow->len - ROCE_UDP_LEN;
	struct roce_bth *bth = (struct roce_bth *)(udp + ROCE_UDP_LEN);
	uint8_t pad = -payload_len & 3;
	uint16_t udp_len = (uint16_t)(ROCE_UDP_LEN + op->header_len + payload_len + pad +
		ROCE_ICRC_LEN);

	if (flow->len == ROCE_L2L4_LEN) /* a constant length costs less */
		memcpy(frame, flow->bytes, ROCE_L2L4_LEN);
	else
		memcpy(frame, flow->bytes, flow->len);
	if (is_ipv4(flow)) {
		uint16_t ip_len = udp_len + ROCE_IPV4_LEN;

		roce_store_be16(ip + 2, ip_len);
		roce_store_be16(ip + 4, ip_id);
		roce_store_be16(ip + ROCE_IPV4_CSUM_OFFSET,
			csum_fold(flow->csum_base + ip_len + ip_id));
	} else {
		roce_store_be16(ip + 4, udp_len);
	}
	roce_store_be16(udp + 4, udp_len);

	bth->opcode = f->opcode;
	bth->flags = (uint8_t)((f->solicited ? ROCE_BTH_SE : 0) |
		(f->migreq ? ROCE_BTH_MIGREQ : 0) | pad << ROCE_BTH_PAD_SHIFT);
	roce_store_be16(bth->pkey, f->pkey);
	bth->fecn_becn = f->fecn_becn;
	roce_store_be24(bth->dest_qpn, f->dest_qpn);
	bth->ackreq = (uint8_t)((f->ackreq ? ROCE_BTH_ACKREQ : 0) | f->reserved7);
	roce_store_be24(bth->psn, f->psn);
	encode_extensions(f, op->traits, (uint8_t *)(bth + 1));
	return flow->len + (size_t)op->header_len;
}

size_t
roce_seal(const struct roce_flow *flow, uint8_t *frame, size_t payload_off, size_t payload_len)
{
	uint8_t *end = frame + payload_off + payload_len;
	uint8_t *l3 = frame + flow->l3_off;
	size_t len;

	for (size_t pad = -payload_len & 3; pad > 0; pad--)
		*end++ = 0;
	roce_store_le32(end, roce_icrc(l3, (size_t)(end - l3)));
	len = (size_t)(end - frame) + ROCE_ICRC_LEN;
	while (len < ROCE_MIN_FRAME)
		frame[len++] = 0;
	return len;
}
