/* SPDX-License-Identifier: BSD-3-Clause */
#include "roce_packet.h"
#include "roce_bytes.h"
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
	[REMU_DROP_PSN_AHEAD] = "psn_ahead",
	[REMU_DROP_NOT_SYNCED] = "not_synced",
	[REMU_DROP_DUPLICATE] = "duplicate",
	[REMU_DROP_INVALID] = "invalid_request",
	[REMU_DROP_ACCESS] = "remote_access",
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

uint32_t
roce_gid_to_ipv4(const struct roce_gid *gid)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(gid->raw, mapped, sizeof(mapped)) == 0 ? roce_load_be32(&gid->raw[12]) : 0;
}

/* Ethernet, IP and UDP. On success *ib points at the BTH and *ib_len counts up to the ICRC's end. */
static enum remu_drop
decode_outer(const uint8_t *frame, size_t len, struct roce_packet *out, const uint8_t **ib,
	uint32_t *ib_len)
{
	const uint8_t *ip = frame + ROCE_ETH_LEN;
	const uint8_t *udp = ip + ROCE_IPV4_LEN;
	uint16_t ethertype, ip_len, udp_len;

	if (len < ROCE_ETH_LEN)
		return REMU_DROP_RUNT;
	ethertype = roce_load_be16(frame + 12);
	if (ethertype == ROCE_ETHERTYPE_VLAN)
		return REMU_DROP_VLAN;
	if (ethertype != ROCE_ETHERTYPE_IPV4)
		return REMU_DROP_NOT_IP;
	if (len < ROCE_L2L4_LEN)
		return REMU_DROP_RUNT;
	if (ip[0] != 0x45) /* version 4, no options */
		return REMU_DROP_IP_HEADER;
	ip_len = roce_load_be16(ip + 2);
	if (ip_len > len - ROCE_ETH_LEN)
		return REMU_DROP_RUNT;
	if (ip_len < ROCE_IPV4_LEN + ROCE_UDP_LEN)
		return REMU_DROP_IP_HEADER;
	if ((roce_load_be16(ip + 6) & 0x3fff) != 0) /* more fragments, or an offset */
		return REMU_DROP_FRAGMENT;
	if (ip[9] != ROCE_IPPROTO_UDP)
		return REMU_DROP_NOT_UDP;
	if (roce_load_be16(udp + 2) != ROCE_UDP_PORT)
		return REMU_DROP_UDP_PORT;
	udp_len = roce_load_be16(udp + 4);
	if (udp_len > ip_len - ROCE_IPV4_LEN ||
		udp_len < ROCE_UDP_LEN + ROCE_BTH_LEN + ROCE_ICRC_LEN)
		return REMU_DROP_UDP_LENGTH;

	memcpy(out->dst_mac, frame, 6);
	memcpy(out->src_mac, frame + 6, 6);
	out->l3 = ip;
	out->tos = ip[1];
	out->ip_id = roce_load_be16(ip + 4);
	out->ttl = ip[8];
	out->src = roce_gid_ipv4(roce_load_be32(ip + 12));
	out->dst = roce_gid_ipv4(roce_load_be32(ip + 16));
	out->udp_sport = roce_load_be16(udp);
	*ib = udp + ROCE_UDP_LEN;
	*ib_len = udp_len - ROCE_UDP_LEN;
	return REMU_DROP_NONE;
}

static void
decode_extensions(const uint8_t *ext, struct roce_packet *out)
{
	struct roce_fields *f = &out->f;
	uint16_t traits = out->op->traits;

	if (traits & ROCE_T_RETH) {
		const struct roce_reth *reth = (const struct roce_reth *)ext;

		f->va = roce_load_be64(reth->va);
		f->rkey = roce_load_be32(reth->rkey);
		f->dma_len = roce_load_be32(reth->dma_len);
		ext += sizeof(*reth);
	}
	if (traits & ROCE_T_AETH) {
		const struct roce_aeth *aeth = (const struct roce_aeth *)ext;

		f->syndrome = aeth->syndrome;
		f->msn = roce_load_be24(aeth->msn);
		ext += sizeof(*aeth);
	}
	if (traits & ROCE_T_ATOMIC_ETH) {
		const struct roce_atomic_eth *atomic = (const struct roce_atomic_eth *)ext;

		f->va = roce_load_be64(atomic->va);
		f->rkey = roce_load_be32(atomic->rkey);
		f->swap_add = roce_load_be64(atomic->swap_add);
		f->compare = roce_load_be64(atomic->compare);
	}
	if (traits & ROCE_T_ATOMIC_ACK)
		f->swap_add = roce_load_be64(ext);
	if (traits & ROCE_T_IMM)
		f->imm = roce_load_be32(ext);
}

enum remu_drop
roce_decode(const uint8_t *frame, size_t len, struct roce_packet *out)
{
	const struct roce_bth *bth;
	const struct roce_op *op;
	const uint8_t *ib;
	uint32_t ib_len, body, pad;
	enum remu_drop drop;

	drop = decode_outer(frame, len, out, &ib, &ib_len);
	if (drop != REMU_DROP_NONE)
		return drop;

	bth = (const struct roce_bth *)ib;
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
	decode_extensions(ib + ROCE_BTH_LEN, out);
	out->payload = ib + op->header_len;
	out->payload_len = body - pad;
	out->icrc_span = ROCE_IPV4_LEN + ROCE_UDP_LEN + ib_len - ROCE_ICRC_LEN;
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

void
roce_flow_init(struct roce_flow *flow, const uint8_t src_mac[6], const uint8_t dst_mac[6],
	const struct roce_gid *src, const struct roce_gid *dst, uint16_t sport, uint8_t ttl)
{
	uint8_t *ip = flow->bytes + ROCE_ETH_LEN;
	uint8_t *udp = ip + ROCE_IPV4_LEN;

	memset(flow, 0, sizeof(*flow));
	memcpy(flow->bytes, dst_mac, 6);
	memcpy(flow->bytes + 6, src_mac, 6);
	roce_store_be16(flow->bytes + 12, ROCE_ETHERTYPE_IPV4);
	ip[0] = 0x45;
	roce_store_be16(ip + 6, 0x4000); /* don't fragment */
	ip[8] = ttl;
	ip[9] = ROCE_IPPROTO_UDP;
	memcpy(ip + 12, &src->raw[12], 4);
	memcpy(ip + 16, &dst->raw[12], 4);
	roce_store_be16(udp, sport);
	roce_store_be16(udp + 2, ROCE_UDP_PORT);
	flow->csum_base = csum_add(ip, ROCE_IPV4_LEN);
}

static void
encode_extensions(const struct roce_fields *f, uint16_t traits, uint8_t *ext)
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
}

size_t
roce_encode(const struct roce_flow *flow, const struct roce_fields *f, uint16_t ip_id,
	size_t payload_len, uint8_t *frame)
{
	const struct roce_op *op = &roce_ops[f->opcode];
	uint8_t *ip = frame + ROCE_ETH_LEN;
	uint8_t *udp = ip + ROCE_IPV4_LEN;
	struct roce_bth *bth = (struct roce_bth *)(udp + ROCE_UDP_LEN);
	uint8_t pad = -payload_len & 3;
	uint16_t udp_len = (uint16_t)(ROCE_UDP_LEN + op->header_len + payload_len + pad +
		ROCE_ICRC_LEN);
	uint16_t ip_len = udp_len + ROCE_IPV4_LEN;

	memcpy(frame, flow->bytes, sizeof(flow->bytes));
	roce_store_be16(ip + 2, ip_len);
	roce_store_be16(ip + 4, ip_id);
	roce_store_be16(ip + 10, csum_fold(flow->csum_base + ip_len + ip_id));
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
	return ROCE_L2L4_LEN + op->header_len;
}

size_t
roce_seal(uint8_t *frame, size_t payload_off, size_t payload_len)
{
	uint8_t *end = frame + payload_off + payload_len;
	uint8_t *l3 = frame + ROCE_ETH_LEN;

	for (size_t pad = -payload_len & 3; pad > 0; pad--)
		*end++ = 0;
	roce_store_le32(end, roce_icrc(l3, (size_t)(end - l3)));
	return (size_t)(end - frame) + ROCE_ICRC_LEN;
}
