/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"
#include "eal.h"

#include <roce_bytes.h>
#include <roce_icrc.h>

#include <rte_mempool.h>
#include <string.h>

enum { BURST = 32 };

static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
static const uint32_t addrs[2] = {0xc0000201, 0xc0000202};
static const uint32_t qpns[2] = {WIRE_QPN, WIRE_PEER_QPN};

static uint32_t
or_default(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static struct roce_gid
gid_of(const struct wire_config *cfg, int end)
{
	struct roce_gid gid = {.raw = {0xfd, [15] = (uint8_t)(end + 1)}};

	return cfg->ipv6 ? gid : roce_gid_ipv4(addrs[end]);
}

struct remu_qp_attr
wire_attr(const struct wire_config *cfg, int end)
{
	struct remu_qp_attr attr = {
		.peer_gid = gid_of(cfg, !end),
		.path_mtu = (uint16_t)or_default(cfg->mtu, 1024),
		.peer_qpn = qpns[!end],
		.sq_psn = end == 0 ? cfg->sq_psn : cfg->rq_psn,
		.rq_psn = end == 0 ? cfg->rq_psn : cfg->sq_psn,
		.timeout_us = WIRE_TIMEOUT_US,
		.retry_cnt = (uint8_t)cfg->retry_cnt,
		.rnr_retry = (uint8_t)cfg->rnr_retry,
		.max_rd_atomic = (uint8_t)or_default(cfg->max_rd, 4),
		.max_dest_rd_atomic = cfg->no_dest ? 0 : (uint8_t)or_default(cfg->max_dest, 4),
		.min_rnr_timer_us = cfg->rnr_timer_us,
		.traffic_class = (uint8_t)cfg->traffic_class,
		.tagged = cfg->tagged,
		.vlan_tci = cfg->vlan_tci,
	};

	memcpy(attr.peer_mac, macs[!end], 6);
	return attr;
}

/* What all frames of one end have in common. */
static struct roce_path
wire_path(const struct wire_config *cfg, int end, uint16_t sport)
{
	struct roce_path path = {
		.src = gid_of(cfg, end),
		.dst = gid_of(cfg, !end),
		.sport = sport,
		.traffic_class = (uint8_t)cfg->traffic_class,
		.hop_limit = 64,
		.tagged = cfg->tagged,
		.vlan_tci = cfg->vlan_tci,
	};

	memcpy(path.src_mac, macs[end], 6);
	memcpy(path.dst_mac, macs[!end], 6);
	return path;
}

struct remu_engine *
wire_engine(const struct wire_config *cfg, int end, struct rte_mempool *pool)
{
	struct remu_engine_config config = {
		.pool = pool,
		.gid = gid_of(cfg, end),
		.n_engines = 1,
		.max_qps = or_default(cfg->max_qps, 8),
		.max_mrs = 8,
		.sq_depth = or_default(cfg->sq_depth, 64),
		.rq_depth = cfg->rq_depth,
		.disable = cfg->disable,
		.reack_per_s = cfg->reack_per_s,
		.replay_bytes_per_s = cfg->replay_bytes_per_s,
		.window = or_default(cfg->window, 64),
		.answer_arp = cfg->answer_arp,
		.socket_id = -1,
	};
	struct remu_engine *e;

	memcpy(config.mac, macs[end], 6);
	assert_int_equal(remu_engine_create(&config, &e), 0);
	return e;
}

struct remu_qp *
wire_qp(struct remu_engine *e, const struct wire_config *cfg, uint32_t qpn,
	const struct remu_qp_attr *attr)
{
	struct remu_qp_config config = {
		.qpn = qpn,
		.pd = WIRE_PD,
		.access = or_default(cfg->access,
			REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE),
		.flags = cfg->flags,
		.max_read_len = cfg->max_read_len,
	};
	struct remu_qp *qp;

	assert_int_equal(remu_qp_create(e, &config, &qp), 0);
	for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
		assert_int_equal(remu_qp_modify(e, qp, (enum remu_qp_state)to, attr), 0);
	return qp;
}

void
bench_open(struct bench *b, const struct wire_config *cfg)
{
	memset(b, 0, sizeof(*b));
	b->pool = eal_pool(or_default(cfg->pool, 4096));
	b->e = wire_engine(cfg, 0, b->pool);
	b->attr = wire_attr(cfg, 0);
	b->qp = wire_qp(b->e, cfg, WIRE_QPN, &b->attr);
	b->path = wire_path(cfg, 1, 0xc123);
	roce_flow_init(&b->in, &b->path);
}

void
bench_close(struct bench *b)
{
	remu_engine_destroy(b->e);
	eal_pool_free(b->pool);
}

struct rte_mbuf *
bench_craft(struct bench *b, const struct roce_fields *f, const void *payload, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(b->pool);
	struct roce_fields filled = *f;
	uint8_t *frame;
	size_t off;

	assert_non_null(m);
	filled.pkey = f->pkey != 0 ? f->pkey : ROCE_PKEY_DEFAULT;
	filled.dest_qpn = f->dest_qpn != 0 ? f->dest_qpn : WIRE_QPN;
	filled.psn &= 0xffffff;
	frame = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)roce_frame_len(&b->in, f->opcode, len));
	assert_non_null(frame);
	off = roce_encode(&b->in, &filled, 0x4711, len, frame);
	if (len != 0)
		memcpy(frame + off, payload, len);
	roce_seal(&b->in, frame, off, len);
	return m;
}

void
frame_reseal(struct rte_mbuf *m)
{
	uint8_t *l3 = rte_pktmbuf_mtod_offset(m, uint8_t *, ROCE_ETH_LEN);
	uint32_t end = ROCE_IPV4_LEN + roce_load_be16(l3 + ROCE_IPV4_LEN + 4);

	if (end >= ROCE_IPV4_LEN + ROCE_UDP_LEN + ROCE_BTH_LEN + ROCE_ICRC_LEN &&
		end <= (uint32_t)m->data_len - ROCE_ETH_LEN)
		roce_store_le32(l3 + end - ROCE_ICRC_LEN, roce_icrc(l3, end - ROCE_ICRC_LEN));
}

/*
 * Each frame is counted once, when its verdict is known; others that were held may get theirs now.
 * The frame's own verdict comes first.
 */
enum remu_drop
bench_rx(struct bench *b, struct rte_mbuf *m)
{
	const struct remu_stats *stats = remu_engine_stats(b->e);
	uint64_t before[REMU_DROP_COUNT], held = stats->rx_held;
	uint64_t counted = 0;
	int verdict = REMU_DROP_COUNT;

	memcpy(before, stats->drops, sizeof(before));
	remu_engine_rx(b->e, &m, 1, b->now);
	for (int i = REMU_DROP_COUNT - 1; i >= 0; i--) {
		if (stats->drops[i] == before[i])
			continue;
		counted += stats->drops[i] - before[i];
		verdict = i;
	}
	if (counted + stats->rx_held != held + 1)
		fail_msg("%s: %lu counted and %lu held after %lu", b->label, counted,
			stats->rx_held, held);
	return (enum remu_drop)verdict;
}

enum remu_drop
bench_inject(struct bench *b, const struct roce_fields *f, const void *payload, uint32_t len)
{
	return bench_rx(b, bench_craft(b, f, payload, len));
}

const struct frame *
bench_tx(struct bench *b)
{
	struct frame *frame = &b->last;
	struct rte_mbuf *m;

	remu_engine_poll(b->e, b->now);
	if (remu_engine_tx(b->e, &m, 1, b->now) == 0)
		return NULL;
	frame->len = m->pkt_len;
	assert_in_range(frame->len, ROCE_MIN_FRAME, sizeof(frame->bytes));
	memcpy(frame->bytes, rte_pktmbuf_mtod(m, void *), frame->len);
	rte_pktmbuf_free(m);
	assert_int_equal(roce_decode(frame->bytes, frame->len, &frame->pkt), REMU_DROP_NONE);
	assert_true(roce_icrc_ok(frame->pkt.l3, frame->pkt.icrc_span));
	assert_int_equal(RTE_MAX((size_t)(frame->pkt.l3 - frame->bytes) + frame->pkt.icrc_span +
					 ROCE_ICRC_LEN,
				 (size_t)ROCE_MIN_FRAME),
		frame->len);
	assert_in_range(frame->pkt.udp_sport, ROCE_SPORT_BASE, UINT16_MAX);
	return frame;
}

void
bench_expect(struct bench *b, const struct roce_fields *f, const void *payload, uint32_t len)
{
	const struct frame *got = bench_tx(b);
	struct roce_fields want = *f;
	struct roce_path path = b->path;
	struct roce_flow flow;
	struct frame made;
	size_t off;

	if (got == NULL) {
		fail_msg("%s: silence instead of opcode %02x PSN %06x", b->label, f->opcode,
			f->psn);
		return;
	}
	want.migreq = true;
	want.pkey = ROCE_PKEY_DEFAULT;
	want.dest_qpn = WIRE_PEER_QPN;
	want.psn &= 0xffffff;
	path.src = b->path.dst;
	path.dst = b->path.src;
	memcpy(path.src_mac, b->path.dst_mac, 6);
	memcpy(path.dst_mac, b->path.src_mac, 6);
	path.sport = got->pkt.udp_sport;
	roce_flow_init(&flow, &path);
	off = roce_encode(&flow, &want, got->pkt.ip_id, len, made.bytes);
	if (len != 0)
		memcpy(made.bytes + off, payload, len);
	made.len = roce_seal(&flow, made.bytes, off, len);
	if (got->len != made.len || memcmp(got->bytes, made.bytes, made.len) != 0)
		fail_msg("%s: opcode %02x PSN %06x syndrome %02x MSN %u VA %lx DMA %u ack %d "
			 "payload %u instead of opcode %02x PSN %06x syndrome %02x MSN %u VA %lx "
			 "DMA %u ack %d payload %u",
			b->label, got->pkt.f.opcode, got->pkt.f.psn, got->pkt.f.syndrome,
			got->pkt.f.msn, got->pkt.f.va, got->pkt.f.dma_len, got->pkt.f.ackreq,
			got->pkt.payload_len, want.opcode, want.psn, want.syndrome, want.msn,
			want.va, want.dma_len, want.ackreq, len);
}

void
bench_expect_silence(struct bench *b)
{
	const struct frame *got = bench_tx(b);

	if (got != NULL)
		fail_msg("%s: unexpected opcode %02x PSN %06x syndrome %02x", b->label,
			got->pkt.f.opcode, got->pkt.f.psn, got->pkt.f.syndrome);
}

void
bench_expect_wc(struct bench *b, uint64_t wr_id, enum remu_wc_status status)
{
	struct remu_wc wc;

	if (remu_engine_poll_wc(b->e, &wc, 1) != 1)
		fail_msg("%s: no completion of %lu", b->label, wr_id);
	if (wc.kind != REMU_WC_WORK || wc.wr_id != wr_id || wc.status != status)
		fail_msg("%s: completion kind %u of %lu is %s instead of %lu %s", b->label, wc.kind,
			wc.wr_id, remu_wc_status_name(wc.status), wr_id,
			remu_wc_status_name(status));
}

void
bench_expect_no_wc(struct bench *b)
{
	struct remu_wc wc;

	if (remu_engine_poll_wc(b->e, &wc, 1) != 0)
		fail_msg("%s: unexpected completion kind %u of %lu, %s", b->label, wc.kind,
			wc.wr_id, remu_wc_status_name(wc.status));
}

struct remu_qp_info
bench_info(const struct bench *b)
{
	struct remu_qp_info info[8];
	uint32_t n = remu_engine_qps(b->e, 0, info, RTE_DIM(info));

	for (uint32_t i = 0; i < n; i++)
		if (info[i].qpn == WIRE_QPN)
			return info[i];
	return (struct remu_qp_info){0};
}

void
wire_open(struct wire *w, const struct wire_config *cfg)
{
	memset(w, 0, sizeof(*w));
	w->delay_ns = 5000;
	w->pool = eal_pool(or_default(cfg->pool, 16384));
	for (int end = 0; end < 2; end++) {
		struct remu_qp_attr attr = wire_attr(cfg, end);

		w->e[end] = wire_engine(cfg, end, w->pool);
		w->qp[end] = wire_qp(w->e[end], cfg, qpns[end], &attr);
	}
}

void
wire_close(struct wire *w)
{
	for (uint32_t i = 0; i < w->n_flight; i++)
		rte_pktmbuf_free(w->flight[i].m);
	remu_engine_destroy(w->e[0]);
	remu_engine_destroy(w->e[1]);
	eal_pool_free(w->pool);
}

static void
fly(struct wire *w, struct rte_mbuf *m, int to, uint64_t due)
{
	uint32_t i = w->n_flight++;

	assert_in_range(i, 0, RTE_DIM(w->flight) - 1);
	for (; i > 0 && w->flight[i - 1].due > due; i--)
		w->flight[i] = w->flight[i - 1];
	w->flight[i].m = m;
	w->flight[i].to = to;
	w->flight[i].due = due;
}

static uint64_t
hash(uint64_t h, const void *data, size_t len)
{
	for (const uint8_t *p = data; len > 0; p++, len--)
		h = (h ^ *p) * 0x100000001b3;
	return h;
}

static void
launch(struct wire *w, int from, struct rte_mbuf *m)
{
	struct wire_fate fate = {.copies = 1, .delay_ns = w->delay_ns, .corrupt = -1};

	w->frames++;
	w->trace = hash(w->trace, &w->now, sizeof(w->now));
	w->trace = hash(w->trace, &from, sizeof(from));
	w->trace = hash(w->trace, rte_pktmbuf_mtod(m, void *), m->pkt_len);
	if (w->hook != NULL)
		w->hook(w->arg, from, m, &fate);
	if (fate.corrupt >= 0)
		*rte_pktmbuf_mtod_offset(m, uint8_t *, fate.corrupt % m->pkt_len) ^= 0x55;
	for (uint32_t i = 1; i < fate.copies; i++) {
		struct rte_mbuf *copy = rte_pktmbuf_copy(m, w->pool, 0, UINT32_MAX);

		if (copy != NULL)
			fly(w, copy, !from, w->now + fate.delay_ns + i);
	}
	if (fate.copies == 0)
		rte_pktmbuf_free(m);
	else
		fly(w, m, !from, w->now + fate.delay_ns);
}

/* Frames that arrive now, in bursts to one engine each. */
static void
deliver(struct wire *w)
{
	uint32_t done = 0;

	while (done < w->n_flight && w->flight[done].due <= w->now) {
		struct rte_mbuf *burst[BURST];
		int to = w->flight[done].to;
		uint16_t n = 0;

		while (done < w->n_flight && n < BURST && w->flight[done].due <= w->now &&
			w->flight[done].to == to)
			burst[n++] = w->flight[done++].m;
		remu_engine_rx(w->e[to], burst, n, w->now);
	}
	w->n_flight -= done;
	memmove(w->flight, w->flight + done, w->n_flight * sizeof(w->flight[0]));
}

void
wire_step(struct wire *w)
{
	uint64_t next;

	deliver(w);
	for (int end = 0; end < 2; end++) {
		struct rte_mbuf *burst[BURST];
		uint16_t n;

		remu_engine_poll(w->e[end], w->now);
		while ((n = remu_engine_tx(w->e[end], burst, BURST, w->now)) != 0)
			for (uint16_t i = 0; i < n; i++)
				launch(w, end, burst[i]);
	}
	next = RTE_MIN(remu_engine_next_deadline(w->e[0]), remu_engine_next_deadline(w->e[1]));
	if (w->n_flight != 0)
		next = RTE_MIN(next, w->flight[0].due);
	if (next != UINT64_MAX && next > w->now)
		w->now = next;
}
