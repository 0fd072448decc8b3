/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf_requester.h"
#include "eal.h"
#include "frame_maker.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

enum { RED = 4096 };

static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
static const uint8_t ipv4[2][4] = {{192, 0, 2, 1}, {192, 0, 2, 2}};
static const uint8_t ipv6[2][16] = {{0x20, 1, 0xd, 0xb8, [15] = 1}, {0x20, 1, 0xd, 0xb8, [15] = 2}};

static uint8_t memory[RED + CONF_MAX + RED];
static uint8_t untouched[sizeof(memory)];
static uint8_t peer_memory[CONF_MAX];
static struct rte_mempool *open_pool; /* of the test that is running, or has failed */

static uint32_t
or_default(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static struct roce_gid
gid_of(int end, bool v6)
{
	struct roce_gid gid = {.raw = {[10] = 0xff, [11] = 0xff}};

	if (v6)
		memcpy(gid.raw, ipv6[end], 16);
	else
		memcpy(gid.raw + 12, ipv4[end], 4);
	return gid;
}

/* From `end` to the other one. */
static struct conf_path
path_of(const struct conf_config *cfg, int end)
{
	struct conf_path path = {
		.tagged = cfg->tagged,
		.vlan_tci = cfg->vlan_tci,
		.ipv6 = cfg->ipv6,
		.tos = cfg->traffic_class,
		.ttl = (uint8_t)or_default(cfg->hop_limit, 64),
	};

	memcpy(path.src_mac, macs[end], 6);
	memcpy(path.dst_mac, macs[!end], 6);
	memcpy(path.src, cfg->ipv6 ? ipv6[end] : ipv4[end], cfg->ipv6 ? 16 : 4);
	memcpy(path.dst, cfg->ipv6 ? ipv6[!end] : ipv4[!end], cfg->ipv6 ? 16 : 4);
	return path;
}

struct remu_engine *
conf_engine(const struct conf_config *cfg, int end, struct rte_mempool *pool)
{
	struct remu_engine_config config = {
		.pool = pool,
		.gid = gid_of(end, false),
		.gid2 = cfg->ipv6 ? gid_of(end, true) : (struct roce_gid){{0}},
		.n_engines = 1,
		.max_qps = 8,
		.max_mrs = 8,
		.sq_depth = or_default(cfg->sq_depth, 64),
		.rq_depth = cfg->rq_depth,
		.window = or_default(cfg->window, CONF_WINDOW),
		.disable = cfg->disable,
		.hold_max = cfg->hold_max,
		.cnp_interval_us = cfg->cnp_interval_us,
		.reack_per_s = cfg->reack_per_s,
		.replay_bytes_per_s = cfg->replay_bytes_per_s,
		.socket_id = -1,
	};
	struct remu_engine *e;

	memcpy(config.mac, macs[end], 6);
	assert_int_equal(remu_engine_create(&config, &e), 0);
	return e;
}

struct remu_qp_attr
conf_attr(const struct conf_config *cfg, int end)
{
	struct remu_qp_attr attr = {
		.peer_gid = gid_of(!end, cfg->ipv6),
		.path_mtu = (uint16_t)or_default(cfg->mtu, CONF_MTU),
		.peer_qpn = end == 0 ? CONF_PEER_QPN : CONF_QPN,
		.sq_psn = end == 0 ? cfg->sq_psn : cfg->rq_psn,
		.rq_psn = end == 0 ? cfg->rq_psn : cfg->sq_psn,
		.timeout_us = or_default(cfg->timeout_us, CONF_T_NS / 1000),
		.retry_cnt = (uint8_t)cfg->retry_cnt,
		.rnr_retry = (uint8_t)cfg->rnr_retry,
		.max_rd_atomic = (uint8_t)or_default(cfg->max_rd, 4),
		.max_dest_rd_atomic = (uint8_t)or_default(cfg->max_dest, 4),
		.traffic_class = cfg->traffic_class,
		.hop_limit = cfg->hop_limit,
		.tagged = cfg->tagged,
		.vlan_tci = cfg->vlan_tci,
	};

	memcpy(attr.peer_mac, macs[!end], 6);
	return attr;
}

struct remu_qp *
conf_qp(struct remu_engine *e, const struct conf_config *cfg, const struct remu_qp_config *qp,
	const struct remu_qp_attr *attr)
{
	struct remu_qp_config config = *qp;
	struct remu_qp *out;

	config.pd = CONF_PD;
	config.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
		REMU_ACCESS_REMOTE_ATOMIC;
	config.flags = cfg->flags;
	config.max_read_len = cfg->max_read_len;
	assert_int_equal(remu_qp_create(e, &config, &out), 0);
	for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
		assert_int_equal(remu_qp_modify(e, out, (enum remu_qp_state)to, attr), 0);
	return out;
}

void
conf_open(struct conf *c, const struct conf_config *cfg)
{
	static bool filled;
	uint64_t seed = 1;

	/* Once: every test leaves the peer's memory as it was. */
	if (!filled)
		prng_fill(&seed, peer_memory, sizeof(peer_memory));
	if (!filled)
		prng_fill(&seed, untouched, sizeof(untouched));
	filled = true;
	memcpy(memory, untouched, sizeof(memory));
	memset(c, 0, sizeof(*c));
	c->local = memory + RED;
	c->remote = peer_memory;
	c->now = 12345678901;
	c->mtu = or_default(cfg->mtu, CONF_MTU);
	c->next_psn = cfg->sq_psn;
	rte_mempool_free(open_pool);
	c->pool = open_pool = eal_pool(or_default(cfg->pool, 4096));
	c->out = path_of(cfg, 0);
	c->in = path_of(cfg, 1);
	c->in.sport = 0xd0d0;
	c->e = conf_engine(cfg, 0, c->pool);
	if (cfg->cq != 0) {
		assert_int_equal(remu_cq_create(c->e, cfg->cq, &c->send_cq), 0);
		assert_int_equal(remu_cq_create(c->e, cfg->cq, &c->recv_cq), 0);
	}
	c->attr = conf_attr(cfg, 0);
	c->qp = conf_qp(c->e, cfg,
		&(struct remu_qp_config){.qpn = CONF_QPN,
			.send_cq = c->send_cq,
			.recv_cq = c->recv_cq},
		&c->attr);
}

void
conf_close(struct conf *c)
{
	assert_false(c->pending);
	remu_engine_destroy(c->e);
	eal_pool_free(c->pool);
	open_pool = NULL;
}

struct remu_qp_info
conf_info(const struct conf *c)
{
	struct remu_qp_info info[8];
	uint32_t n = remu_engine_qps(c->e, 0, info, RTE_DIM(info));

	for (uint32_t i = 0; i < n; i++)
		if (info[i].qpn == CONF_QPN)
			return info[i];
	fail_msg("%s: the queue pair is gone", c->label);
	return (struct remu_qp_info){0};
}

/* Table of CRC-32, polynomial 0x04c11db7 reflected. */
static const uint32_t *
crc_table(void)
{
	static uint32_t table[256];

	for (uint32_t i = 0; i < 256 && table[255] == 0; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		table[i] = crc;
	}
	return table;
}

uint32_t
conf_icrc(const uint8_t *l3, size_t len)
{
	static const uint8_t masked_ipv4[] = {1, 8, 10, 11, 26, 27, 32};
	static const uint8_t masked_ipv6[] = {1, 2, 3, 7, 46, 47, 52};
	const bool v6 = l3[0] >> 4 == 6;
	const uint8_t *masked = v6 ? masked_ipv6 : masked_ipv4;
	const uint32_t *table = crc_table();
	uint32_t crc = 0xdebb20e3; /* after eight bytes of ones */
	size_t next = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = l3[i];

		if (v6 && i == 0)
			byte |= 0x0f; /* upper half of the traffic class */
		if (next < RTE_DIM(masked_ipv4) && i == masked[next]) {
			byte = 0xff;
			next++;
		}
		crc = crc >> 8 ^ table[(crc ^ byte) & 0xff];
	}
	return ~crc;
}

static uint8_t *
put(uint8_t *p, uint64_t value, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--)
		*p++ = (uint8_t)(value >> 8 * i);
	return p;
}

static uint8_t *
put_bytes(uint8_t *p, const void *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return p + len;
}

static uint16_t
ipv4_checksum(const uint8_t *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Ethernet, IP and UDP around `ib_len` bytes; l3 is where the IP header starts. */
static uint8_t *
put_path(uint8_t *p, const struct conf_path *path, uint16_t ip_id, size_t ib_len, uint8_t **l3)
{
	size_t udp_len = 8 + ib_len;

	p = put_bytes(p, path->dst_mac, 6);
	p = put_bytes(p, path->src_mac, 6);
	if (path->tagged)
		p = put(p, 0x81000000u | path->vlan_tci, 4);
	p = put(p, path->ipv6 ? 0x86dd : 0x0800, 2);
	*l3 = p;
	if (path->ipv6) {
		p = put(p, 6u << 28 | (uint32_t)path->tos << 20, 4);
		p = put(p, udp_len, 2);
		p = put(p, 17, 1);
		p = put(p, path->ttl, 1);
		p = put_bytes(p, path->src, 16);
		p = put_bytes(p, path->dst, 16);
	} else {
		p = put(p, 0x45, 1);
		p = put(p, path->tos, 1);
		p = put(p, 20 + udp_len, 2);
		p = put(p, ip_id, 2);
		p = put(p, 0x4000, 2); /* don't fragment */
		p = put(p, path->ttl, 1);
		p = put(p, 17, 1);
		p = put(p, 0, 2);
		p = put_bytes(p, path->src, 4);
		p = put_bytes(p, path->dst, 4);
		put(*l3 + 10, ipv4_checksum(*l3), 2);
	}
	p = put(p, path->sport, 2);
	p = put(p, 4791, 2);
	p = put(p, udp_len, 2);
	return put(p, 0, 2);
}

static uint8_t *
put_bth(uint8_t *p, const struct roce_fields *f, size_t pad)
{
	p = put(p, f->opcode, 1);
	p = put(p, (f->solicited ? 0x80u : 0) | (f->migreq ? 0x40u : 0) | pad << 4, 1);
	p = put(p, f->pkey, 2);
	p = put(p, f->fecn_becn, 1);
	p = put(p, f->dest_qpn, 3);
	p = put(p, f->ackreq ? 0x80 : 0, 1);
	return put(p, f->psn, 3);
}

static uint8_t *
put_extensions(uint8_t *p, const struct roce_fields *f)
{
	switch (f->opcode) {
	case 0x06: /* RETH: WRITE FIRST and ONLY, READ */
	case 0x0a:
	case 0x0b:
	case 0x0c:
		p = put(p, f->va, 8);
		p = put(p, f->rkey, 4);
		p = put(p, f->dma_len, 4);
		break;
	case 0x0d: /* AETH: READ responses but MIDDLE, ACK, ATOMIC ACK */
	case 0x0f:
	case 0x10:
	case 0x11:
	case 0x12:
		p = put(p, f->syndrome, 1);
		p = put(p, f->msn, 3);
		if (f->opcode == 0x12)
			p = put(p, f->swap_add, 8);
		break;
	case 0x13: /* AtomicETH */
	case 0x14:
		p = put(p, f->va, 8);
		p = put(p, f->rkey, 4);
		p = put(p, f->swap_add, 8);
		p = put(p, f->compare, 8);
		break;
	case 0x81:
		memset(p, 0, 16);
		p += 16;
		break;
	}
	switch (f->opcode) {
	case 0x03: /* immediate data, after a RETH if there is one */
	case 0x05:
	case 0x09:
	case 0x0b:
	case 0x16: /* key to invalidate */
	case 0x17:
		p = put(p, f->imm, 4);
		break;
	}
	return p;
}

void
conf_frame(struct conf_frame *frame, const struct conf_path *path, uint16_t ip_id,
	const struct roce_fields *f, const void *payload, size_t len)
{
	size_t pad = -len & 3;
	uint8_t extensions[64];
	size_t ext_len = (size_t)(put_extensions(extensions, f) - extensions);
	uint8_t *l3, *p;
	uint32_t icrc;

	p = put_path(frame->bytes, path, ip_id, 12 + ext_len + len + pad + 4, &l3);
	p = put_bth(p, f, pad);
	p = put_bytes(p, extensions, ext_len);
	if (len != 0)
		p = put_bytes(p, payload, len);
	p = put(p, 0, (int)pad);
	icrc = conf_icrc(l3, (size_t)(p - l3));
	for (int i = 0; i < 4; i++)
		*p++ = (uint8_t)(icrc >> 8 * i);
	while (p < frame->bytes + 60)
		*p++ = 0;
	frame->len = (size_t)(p - frame->bytes);
}

void
conf_rx(struct conf *c, const struct conf_frame *frame)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(c->pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)frame->len), frame->bytes, frame->len);
	remu_engine_rx(c->e, &m, 1, c->now);
}

enum remu_drop
conf_inject_frame(struct conf *c, const struct conf_frame *frame)
{
	const struct remu_stats *stats = remu_engine_stats(c->e);
	uint64_t before[REMU_DROP_COUNT];
	enum remu_drop verdict = REMU_DROP_COUNT;
	uint64_t packets = stats->rx_packets;

	memcpy(before, stats->drops, sizeof(before));
	conf_rx(c, frame);
	assert_int_equal(stats->rx_packets, packets + 1);
	for (int i = 0; i < REMU_DROP_COUNT; i++) {
		if (stats->drops[i] == before[i])
			continue;
		if (verdict != REMU_DROP_COUNT || stats->drops[i] != before[i] + 1)
			fail_msg("%s: one frame counted twice", c->label);
		verdict = (enum remu_drop)i;
	}
	return verdict;
}

enum remu_drop
conf_inject(struct conf *c, const struct roce_fields *f, const void *payload, size_t len)
{
	struct roce_fields filled = *f;
	struct conf_frame frame;

	filled.pkey = f->pkey != 0 ? f->pkey : 0xffff;
	filled.dest_qpn = f->dest_qpn != 0 ? f->dest_qpn : CONF_QPN;
	filled.migreq = true;
	conf_frame(&frame, &c->in, 0x4711, &filled, payload, len);
	return conf_inject_frame(c, &frame);
}

const struct conf_frame *
conf_tx(struct conf *c)
{
	struct rte_mbuf *m;

	if (c->pending) {
		c->pending = false;
		return &c->last;
	}
	remu_engine_poll(c->e, c->now);
	if (remu_engine_tx(c->e, &m, 1, c->now) == 0)
		return NULL;
	c->last.len = m->pkt_len;
	assert_in_range(m->pkt_len, 60, sizeof(c->last.bytes));
	assert_int_equal(m->nb_segs, 1);
	memcpy(c->last.bytes, rte_pktmbuf_mtod(m, void *), m->pkt_len);
	rte_pktmbuf_free(m);
	return &c->last;
}

static const uint8_t *
l3_of(const struct conf *c, const struct conf_frame *frame)
{
	return frame->bytes + (c->out.tagged ? 18 : 14);
}

static uint32_t
get(const uint8_t *p, int bytes)
{
	uint32_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | *p++;
	return value;
}

struct roce_fields
conf_bth(const struct conf *c, const struct conf_frame *frame)
{
	const uint8_t *bth = l3_of(c, frame) + (c->out.ipv6 ? 40 : 20) + 8;

	return (struct roce_fields){
		.opcode = bth[0],
		.solicited = (bth[1] & 0x80) != 0,
		.ackreq = (bth[8] & 0x80) != 0,
		.psn = get(bth + 9, 3),
	};
}

static void
fail_frames(const struct conf *c, const struct conf_frame *got, const struct conf_frame *want)
{
	char text[2][3 * 96 + 1];
	size_t at = 0;

	while (at < RTE_MIN(got->len, want->len) && got->bytes[at] == want->bytes[at])
		at++;
	for (int i = 0; i < 2; i++) {
		const struct conf_frame *frame = i == 0 ? got : want;

		text[i][0] = 0;
		for (size_t n = 0; n < RTE_MIN(frame->len, (size_t)96); n++)
			snprintf(text[i] + 3 * n, 4, "%02x ", frame->bytes[n]);
	}
	fail_msg("%s: %zu bytes\n%s\ninstead of %zu bytes\n%s\nfrom byte %zu on", c->label,
		got->len, text[0], want->len, text[1], at);
}

void
conf_expect(struct conf *c, const struct roce_fields *f, const void *payload, size_t len)
{
	const struct conf_frame *got = conf_tx(c);
	struct roce_fields filled = *f;
	struct conf_frame want;
	const uint8_t *l3;
	uint16_t sport;

	if (got == NULL) {
		fail_msg("%s: silence instead of opcode %02x PSN %06x", c->label, f->opcode,
			f->psn);
		return;
	}
	l3 = l3_of(c, got);
	sport = (uint16_t)get(l3 + (c->out.ipv6 ? 40 : 20), 2);
	/* Any of the upper ports, but one for the life of the queue pair. */
	assert_in_range(sport, 0xc000, 0xffff);
	if (c->out.sport == 0)
		c->out.sport = sport;
	filled.migreq = true;
	filled.pkey = 0xffff;
	filled.dest_qpn = CONF_PEER_QPN;
	filled.psn &= 0xffffff;
	conf_frame(&want, &c->out, (uint16_t)get(l3 + 4, 2), &filled, payload, len);
	if (got->len != want.len || memcmp(got->bytes, want.bytes, want.len) != 0)
		fail_frames(c, got, &want);
}

void
conf_expect_silence(struct conf *c)
{
	const struct conf_frame *got = conf_tx(c);
	struct roce_fields f;

	if (got == NULL)
		return;
	f = conf_bth(c, got);
	fail_msg("%s: unexpected opcode %02x PSN %06x", c->label, f.opcode, f.psn);
}

/* Go on to the engine's next deadline. Returns false when there is none up to `until`. */
static bool
next_moment(struct conf *c, uint64_t until, uint32_t *standing)
{
	uint64_t next = remu_engine_next_deadline(c->e);

	if (next > until)
		return false;
	if (next > c->now)
		*standing = 0;
	else if (++*standing > 100)
		fail_msg("%s: a deadline does not go away", c->label);
	c->now = RTE_MAX(c->now, next);
	return true;
}

void
conf_expect_silence_until(struct conf *c, uint64_t until)
{
	uint32_t standing = 0;

	while (next_moment(c, until, &standing))
		conf_expect_silence(c);
	c->now = until;
	conf_expect_silence(c);
}

void
conf_expect_rest(struct conf *c)
{
	uint32_t standing = 0;

	conf_expect_silence(c);
	conf_expect_no_wc(c);
	while (next_moment(c, UINT64_MAX - 1, &standing)) {
		conf_expect_silence(c);
		conf_expect_no_wc(c);
	}
}

void
conf_wait(struct conf *c, uint64_t until)
{
	uint32_t standing = 0;
	bool more;

	do {
		if (conf_tx(c) != NULL) {
			c->pending = true;
			return;
		}
		more = next_moment(c, until, &standing);
		if (!more && c->now < until) { /* what becomes due without a timer */
			c->now = until;
			more = true;
		}
	} while (more);
	fail_msg("%s: silence for too long", c->label);
}

void
conf_post_wr(struct conf *c, const struct remu_wr *wr)
{
	struct conf_posted *p = &c->posted[wr->wr_id % CONF_POSTED];

	p->wr = *wr;
	p->psn = c->next_psn;
	c->next_psn = (c->next_psn + conf_packets(c, wr->wr_id)) & 0xffffff;
	assert_int_equal(remu_qp_post(c->e, c->qp, wr, c->now), 0);
}

void
conf_post(struct conf *c, uint64_t id, uint8_t opcode, uint32_t at, uint32_t len)
{
	struct remu_wr wr = {
		.wr_id = id,
		.addr = c->local + at,
		.remote_va = CONF_VA + at,
		.length = len,
		.rkey = CONF_RKEY,
		.opcode = opcode,
		.imm = 0xa1b2c3d4,
		.swap_add = 0x1122334455667788,
	};

	if (opcode == REMU_WR_CMP_SWAP)
		wr.compare = 0x99aabbccddeeff00;
	/* Atomics go to a multiple of eight. */
	if (opcode == REMU_WR_CMP_SWAP || opcode == REMU_WR_FETCH_ADD)
		wr.remote_va &= ~UINT64_C(7);
	assert_true(len <= CONF_MAX && at <= CONF_MAX - len);
	conf_post_wr(c, &wr);
}

int
conf_post_recv(struct conf *c, uint64_t id, uint32_t at, uint32_t len)
{
	return remu_qp_post_recv(c->e, c->qp,
		&(struct remu_recv_wr){.wr_id = id, .addr = c->local + at, .length = len});
}

static const struct conf_posted *
posted(const struct conf *c, uint64_t id)
{
	return &c->posted[id % CONF_POSTED];
}

uint32_t
conf_packets(const struct conf *c, uint64_t id)
{
	uint32_t n = (posted(c, id)->wr.length + c->mtu - 1) / c->mtu;

	return n != 0 ? n : 1;
}

uint32_t
conf_psn(const struct conf *c, uint64_t id, uint32_t k)
{
	return (posted(c, id)->psn + k) & 0xffffff;
}

/* Opcodes of a message's packets by: is it the first, is it the last. */
static uint8_t
packet_opcode(const struct remu_wr *wr, bool first, bool last)
{
	static const uint8_t opcodes[REMU_WR_COUNT][2][2] = {
		[REMU_WR_RDMA_WRITE] = {{0x07, 0x08}, {0x06, 0x0a}},
		[REMU_WR_RDMA_WRITE_IMM] = {{0x07, 0x09}, {0x06, 0x0b}},
		[REMU_WR_SEND] = {{0x01, 0x02}, {0x00, 0x04}},
		[REMU_WR_SEND_IMM] = {{0x01, 0x03}, {0x00, 0x05}},
	};

	return opcodes[wr->opcode][first][last];
}

void
conf_expect_packet_ack(struct conf *c, uint64_t id, uint32_t k, bool ackreq)
{
	const struct remu_wr *wr = &posted(c, id)->wr;
	bool last = k == conf_packets(c, id) - 1;
	struct roce_fields f = {
		.opcode = packet_opcode(wr, k == 0, last),
		.solicited = last && (wr->flags & REMU_WR_SOLICITED) != 0,
		.ackreq = ackreq,
		.psn = conf_psn(c, id, k),
		.va = wr->remote_va,
		.rkey = wr->rkey,
		.dma_len = wr->length,
		.imm = wr->imm,
	};

	conf_expect(c, &f, (const uint8_t *)wr->addr + k * c->mtu,
		RTE_MIN(wr->length - k * c->mtu, c->mtu));
}

void
conf_expect_packet(struct conf *c, uint64_t id, uint32_t k)
{
	conf_expect_packet_ack(c, id, k, k == conf_packets(c, id) - 1 || k % 16 == 15);
}

void
conf_expect_message(struct conf *c, uint64_t id)
{
	for (uint32_t k = 0; k < conf_packets(c, id); k++)
		conf_expect_packet(c, id, k);
}

void
conf_expect_read(struct conf *c, uint64_t id, uint32_t k, uint32_t n)
{
	const struct remu_wr *wr = &posted(c, id)->wr;

	conf_expect(c,
		&(struct roce_fields){
			.opcode = 0x0c,
			.ackreq = true,
			.psn = conf_psn(c, id, k),
			.va = wr->remote_va + k * c->mtu,
			.rkey = wr->rkey,
			.dma_len = RTE_MIN(wr->length - k * c->mtu, n * c->mtu),
		},
		NULL, 0);
}

void
conf_expect_read_all(struct conf *c, uint64_t id)
{
	conf_expect_read(c, id, 0, conf_packets(c, id));
}

void
conf_expect_atomic(struct conf *c, uint64_t id)
{
	const struct remu_wr *wr = &posted(c, id)->wr;

	conf_expect(c,
		&(struct roce_fields){
			.opcode = wr->opcode == REMU_WR_CMP_SWAP ? 0x13 : 0x14,
			.ackreq = true,
			.psn = conf_psn(c, id, 0),
			.va = wr->remote_va,
			.rkey = wr->rkey,
			.swap_add = wr->swap_add,
			.compare = wr->compare,
		},
		NULL, 0);
}

enum remu_drop
conf_ack_psn(struct conf *c, uint32_t psn, uint8_t syndrome)
{
	return conf_inject(c,
		&(struct roce_fields){
			.opcode = 0x11,
			.psn = psn & 0xffffff,
			.syndrome = syndrome,
			.msn = 1,
		},
		NULL, 0);
}

enum remu_drop
conf_ack(struct conf *c, uint64_t id, uint32_t k, uint8_t syndrome)
{
	return conf_ack_psn(c, conf_psn(c, id, k), syndrome);
}

enum remu_drop
conf_data(struct conf *c, uint64_t id, uint32_t k, uint32_t from, uint32_t to)
{
	static const uint8_t opcodes[2][2] = {{0x0e, 0x0f}, {0x0d, 0x10}};
	const struct remu_wr *wr = &posted(c, id)->wr;
	size_t at = (size_t)(wr->remote_va - CONF_VA) + k * c->mtu;

	return conf_inject(c,
		&(struct roce_fields){
			.opcode = opcodes[k == from][k == to - 1],
			.psn = conf_psn(c, id, k),
			.syndrome = CONF_ACK,
		},
		c->remote + at, RTE_MIN(wr->length - k * c->mtu, c->mtu));
}

enum remu_drop
conf_atomic_ack(struct conf *c, uint64_t id, uint64_t original)
{
	return conf_inject(c,
		&(struct roce_fields){
			.opcode = 0x12,
			.psn = conf_psn(c, id, 0),
			.syndrome = CONF_ACK,
			.swap_add = original,
		},
		NULL, 0);
}

static bool
poll_wc(struct conf *c, struct remu_cq *cq, struct remu_wc *wc)
{
	return (cq != NULL ? remu_cq_poll(cq, wc, 1) : remu_engine_poll_wc(c->e, wc, 1)) == 1;
}

void
conf_expect_wc(struct conf *c, uint64_t id, enum remu_wc_status status)
{
	const struct remu_wr *wr = &posted(c, id)->wr;
	struct remu_wc wc;

	if (!poll_wc(c, c->send_cq, &wc))
		fail_msg("%s: no completion of %lu", c->label, id);
	if (wc.kind != REMU_WC_WORK || wc.wr_id != id || wc.status != status)
		fail_msg("%s: completion of kind %u of %lu is %s instead of %lu %s", c->label,
			wc.kind, wc.wr_id, remu_wc_status_name(wc.status), id,
			remu_wc_status_name(status));
	assert_int_equal(wc.qpn, CONF_QPN);
	assert_int_equal(wc.opcode, wr->opcode);
	if (status == REMU_WC_SUCCESS)
		assert_int_equal(wc.byte_len, wr->length);
}

void
conf_expect_recv(struct conf *c, const struct remu_wc *want)
{
	struct remu_wc wc;

	if (!poll_wc(c, c->recv_cq, &wc))
		fail_msg("%s: receive request %lu not completed", c->label, want->wr_id);
	if (wc.kind != REMU_WC_RECV || wc.wr_id != want->wr_id || wc.status != want->status)
		fail_msg("%s: completion of kind %u of %lu is %s instead of %lu %s", c->label,
			wc.kind, wc.wr_id, remu_wc_status_name(wc.status), want->wr_id,
			remu_wc_status_name(want->status));
	assert_int_equal(wc.qpn, CONF_QPN);
	assert_int_equal(wc.opcode, want->opcode);
	if (want->status != REMU_WC_SUCCESS)
		return;
	assert_int_equal(wc.byte_len, want->byte_len);
	assert_int_equal(wc.flags, want->flags);
	if (want->flags & REMU_WC_WITH_IMM)
		assert_int_equal(wc.imm, want->imm);
}

void
conf_expect_no_wc(struct conf *c)
{
	struct remu_cq *cqs[] = {c->send_cq, c->recv_cq, NULL};
	struct remu_wc wc;

	for (size_t i = 0; i < RTE_DIM(cqs); i++)
		if (poll_wc(c, cqs[i], &wc))
			fail_msg("%s: unexpected completion of kind %u of %lu, %s", c->label,
				wc.kind, wc.wr_id, remu_wc_status_name(wc.status));
}

void
conf_expect_local(const struct conf *c, uint32_t from, uint32_t len)
{
	size_t at = RED + (size_t)from, end = at + len;

	if (memcmp(memory, untouched, at) != 0)
		fail_msg("%s: bytes before the buffer changed", c->label);
	if (memcmp(memory + end, untouched + end, sizeof(memory) - end) != 0)
		fail_msg("%s: bytes behind the buffer changed", c->label);
	if (len != 0 && memcmp(memory + at, peer_memory + from, len) != 0)
		fail_msg("%s: the buffer does not have the peer's bytes", c->label);
}
