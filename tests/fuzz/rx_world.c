/* SPDX-License-Identifier: BSD-3-Clause */
#include "rx_world.h"

#include <rte_common.h>
#include <rte_mbuf.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

enum {
	BURST = 32,
	/* All of the responses that can wait, each a READ of the largest region. */
	SENT_MAX = RX_QPS * (64 * 16 + 64),
	REGION_PITCH = 1024 + 2 * FUZZ_ZONE,
	DATA = 0x81, /* what those who may read a region find in it */
	NUMBERS = 0x11,
	LOCAL = 0x92,
	LOCAL_LEN = 300,
};

#define READ REMU_ACCESS_REMOTE_READ
#define WRITE REMU_ACCESS_REMOTE_WRITE
#define ATOMIC REMU_ACCESS_REMOTE_ATOMIC
#define ALL (READ | WRITE | ATOMIC)

/* Domain 1: ordinary queue pairs. 2: the one without rights. 3: bootstrap. 4: none at all. */
const struct rx_qp_spec rx_qp_specs[RX_QPS] = {
	{.pd = 1, .access = ALL, .path_mtu = 256, .max_dest_rd_atomic = 4, .state = REMU_QP_RTS},
	{.pd = 3,
		.access = READ | WRITE,
		.flags = REMU_QP_BOOTSTRAP,
		.path_mtu = 256,
		.max_dest_rd_atomic = 2,
		.state = REMU_QP_RTS},
	{.pd = 1,
		.access = ALL,
		.path_mtu = 512,
		.max_dest_rd_atomic = 1,
		.state = REMU_QP_RTR,
		.own_cq = true},
	{.pd = 2, .access = 0, .path_mtu = 256, .max_dest_rd_atomic = 4, .state = REMU_QP_RTS},
	{.pd = 1,
		.access = ALL,
		.flags = REMU_QP_PIN_SPORT,
		.path_mtu = 256,
		.max_dest_rd_atomic = 16,
		.state = REMU_QP_SQD},
	{.pd = 1, .access = ALL, .path_mtu = 256, .max_dest_rd_atomic = 0, .state = REMU_QP_ERR},
	{.pd = 1,
		.access = ALL,
		.max_read_len = 512,
		.path_mtu = 1024,
		.max_dest_rd_atomic = 3,
		.state = REMU_QP_RTS,
		.ipv6 = true},
	{.pd = 1,
		.access = ALL,
		.path_mtu = 256,
		.max_dest_rd_atomic = 16,
		.state = REMU_QP_RTS,
		.tagged = true,
		.own_cq = true},
	{.pd = 3,
		.access = ALL,
		.path_mtu = 256,
		.max_dest_rd_atomic = 4,
		.state = REMU_QP_INIT,
		.ipv6 = true,
		.tagged = true},
};

/*
 * What is written to a region that can be read too comes from us or from itself, so a secret byte
 * never gets there but by a fault; therefore the region for atomics cannot be read.
 */
const struct rx_region_spec rx_region_specs[RX_REGIONS] = {
	{.pd = 1, .rkey = 0x101, .access = READ | WRITE, .len = 1024, .va = 0x10000, .fill = DATA},
	{.pd = 1, .rkey = 0x102, .access = READ, .len = 601, .va = 0x20003, .fill = DATA, true},
	{.pd = 1, .rkey = 0x103, .access = WRITE, .len = 1000, .va = 0x7ff1, .fill = FUZZ_SECRET},
	{.pd = 1, .rkey = 0x104, .access = 0, .len = 64, .va = 0x4000, .fill = FUZZ_SECRET, true},
	{.pd = 3,
		.rkey = 0x301,
		.access = READ | REMU_ACCESS_RESYNC,
		.len = 64,
		.va = 0x1000,
		.fill = FUZZ_OTHERS,
		.fixed = true},
	{.pd = 3, .rkey = 0x302, .access = WRITE, .len = 512, .va = 0x2000, .fill = FUZZ_SECRET},
	{.pd = 2,
		.rkey = 0x201,
		.access = ALL,
		.len = 512,
		.va = 0x10000,
		.fill = FUZZ_SECRET,
		.fixed = true},
	{.pd = 1, .rkey = 0x105, .access = ATOMIC | WRITE, .len = 64, .va = 0, .fill = NUMBERS},
	/* Up to the last address there is. */
	{.pd = 1,
		.rkey = 0x401,
		.access = READ,
		.len = 256,
		.va = UINT64_MAX - 255,
		.fill = DATA,
		.fixed = true},
};

static const uint32_t first_psns[4][2] = {
	{0x000100, 0x800000},
	{0xfffffe, 0x000000},
	{0x7ffffe, 0xfffffd},
	{0x000000, 0x7fffff},
};

static uint8_t regions[FUZZ_ZONE + RX_REGIONS * REGION_PITCH] __attribute__((aligned(64)));
static uint8_t local[LOCAL_LEN];

uint8_t *
rx_region_at(uint32_t i)
{
	return regions + FUZZ_ZONE + i * REGION_PITCH;
}

void
rx_world_init(struct rx_world *w)
{
	memset(local, LOCAL, sizeof(local));
	for (uint32_t i = 0; i < RX_QPS; i++) {
		const struct rx_qp_spec *spec = &rx_qp_specs[i];
		struct fuzz_end *end = &w->ends[i];

		end->qpn = 0x11 + i * 7;
		fuzz_end_init(end, i, spec->ipv6, spec->tagged);
		end->attr.path_mtu = spec->path_mtu;
		end->attr.max_dest_rd_atomic = spec->max_dest_rd_atomic;
		end->attr.timeout_us = 1000;
		end->attr.retry_cnt = 2;
		end->attr.rnr_retry = 1;
		end->attr.max_rd_atomic = 2;
		end->attr.min_rnr_timer_us = i * 100;
	}
}

void
rx_register(struct rx_world *w, uint32_t i)
{
	const struct rx_region_spec *spec = &rx_region_specs[i];
	struct remu_mr_config cfg = {
		.addr = rx_region_at(i),
		.va = spec->va,
		.length = spec->len,
		.rkey = spec->rkey,
		.pd = spec->pd,
		.access = spec->access,
	};

	if (w->registered[i]) {
		FUZZ_CHECK(remu_mr_register(w->e, &cfg) != 0);
		return;
	}
	memset(rx_region_at(i), spec->fill, spec->len);
	FUZZ_CHECK(remu_mr_register(w->e, &cfg) == 0);
	w->registered[i] = true;
}

/* From now on its memory must neither be seen nor change. */
void
rx_revoke(struct rx_world *w, uint32_t i)
{
	const struct rx_region_spec *spec = &rx_region_specs[i];
	int rc = remu_mr_deregister(w->e, spec->pd, spec->rkey);

	FUZZ_CHECK((rc == 0) == w->registered[i]);
	w->registered[i] = false;
	if (rc == 0)
		memset(rx_region_at(i), FUZZ_SECRET, spec->len);
}

void
rx_qp_open(struct rx_world *w, uint32_t i)
{
	const struct rx_qp_spec *spec = &rx_qp_specs[i];
	struct remu_qp_config cfg = {
		.qpn = w->ends[i].qpn,
		.pd = spec->pd,
		.access = spec->access,
		.flags = spec->flags,
		.max_read_len = spec->max_read_len,
		.send_cq = spec->own_cq ? w->cq : NULL,
		.recv_cq = spec->own_cq ? w->cq : NULL,
	};
	enum remu_qp_state last = RTE_MIN(spec->state, REMU_QP_SQD);

	FUZZ_CHECK(remu_qp_create(w->e, &cfg, &w->qps[i]) == 0);
	for (enum remu_qp_state to = REMU_QP_INIT; to <= last; to++)
		FUZZ_CHECK(remu_qp_modify(w->e, w->qps[i], to, &w->ends[i].attr) == 0);
	if (spec->state == REMU_QP_ERR)
		FUZZ_CHECK(remu_qp_modify(w->e, w->qps[i], REMU_QP_ERR, NULL) == 0);
}

/* Queue pair i has index i: it is created after those before it. */
struct remu_qp_info
rx_info(const struct rx_world *w, uint32_t i)
{
	struct remu_qp_info info;

	FUZZ_CHECK(remu_engine_qps(w->e, i, &info, 1) == 1 && info.qpn == w->ends[i].qpn);
	return info;
}

/* A sanitizer shall also see reads whose result goes nowhere. */
static void
guard_regions(void)
{
	ASAN_POISON_MEMORY_REGION(regions, FUZZ_ZONE);
	for (uint32_t i = 0; i < RX_REGIONS; i++)
		ASAN_POISON_MEMORY_REGION(rx_region_at(i) + rx_region_specs[i].len,
			REGION_PITCH - rx_region_specs[i].len);
}

void
rx_world_open(struct rx_world *w, const uint8_t *header)
{
	struct remu_engine_config cfg = fuzz_engine_config();
	static const uint32_t rates[4] = {0, 1, 1000, 1 << 20};

	cfg.max_qps = RX_QPS;
	cfg.max_mrs = RX_REGIONS;
	cfg.sq_depth = RX_SQ_DEPTH;
	cfg.rq_depth = header[1] & 0x40 ? 0 : RX_RQ_DEPTH;
	cfg.window = RX_WINDOW;
	cfg.disable = header[1] & REMU_RECOVERY_ALL;
	cfg.hold_max = header[1] & 0x80 ? 3 : 0;
	cfg.reack_per_s = rates[header[2] & 3];
	cfg.replay_bytes_per_s = rates[header[2] >> 2 & 3];
	cfg.cnp_interval_us = rates[header[2] >> 4 & 3];
	memset(regions, FUZZ_SECRET, sizeof(regions));
	FUZZ_CHECK(remu_engine_create(&cfg, &w->e) == 0);
	FUZZ_CHECK(remu_cq_create(w->e, 2 * (RX_SQ_DEPTH + RX_RQ_DEPTH), &w->cq) == 0);
	w->now = 1000;
	w->serial = 0;
	w->budget = UINT32_MAX;
	memset(w->registered, 0, sizeof(w->registered));
	memset(w->sends, 0, sizeof(w->sends));
	memset(w->recvs, 0, sizeof(w->recvs));
	memset(w->posted, 0, sizeof(w->posted));
	memset(w->closed, 0, sizeof(w->closed));
	memset(w->sent, 0, sizeof(w->sent));
	for (uint32_t i = 0; i < RX_SLOTS; i++) {
		memset(w->slots[i].bytes, FUZZ_SECRET, sizeof(w->slots[i].bytes));
		w->slots[i].posted = false;
	}
	guard_regions();
	for (uint32_t i = 0; i < RX_REGIONS; i++)
		rx_register(w, i);
	for (uint32_t i = 0; i < RX_QPS; i++) {
		const uint32_t *psns = first_psns[(header[3] + i) & 3];

		w->ends[i].attr.rq_psn = psns[0];
		w->ends[i].attr.sq_psn = psns[1];
		rx_qp_open(w, i);
	}
}

static void
push_id(struct rx_queue *queue, uint64_t id)
{
	FUZZ_CHECK(queue->tail - queue->head < RTE_DIM(queue->ids));
	queue->ids[queue->tail++ % RTE_DIM(queue->ids)] = id;
}

/* Completions come in the order of requests, each once. */
static void
pop_id(struct rx_queue *queue, uint64_t id)
{
	FUZZ_CHECK(queue->tail != queue->head);
	FUZZ_CHECK(queue->ids[queue->head++ % RTE_DIM(queue->ids)] == id);
}

void
rx_post_recv(struct rx_world *w, uint32_t i, uint32_t len)
{
	uint32_t slot = 0;
	struct remu_recv_wr wr = {.length = len % (RX_SLOT_LEN + 1)};
	int rc;

	while (slot < RX_SLOTS && w->slots[slot].posted)
		slot++;
	if (slot == RX_SLOTS)
		return;
	wr.wr_id = w->serial++ * RX_SLOTS + slot;
	wr.addr = wr.length != 0 ? w->slots[slot].bytes + FUZZ_ZONE : NULL;
	rc = remu_qp_post_recv(w->e, w->qps[i], &wr);
	if (rc != 0)
		return;
	w->slots[slot].posted = true;
	w->slots[slot].len = wr.length;
	push_id(&w->recvs[i], wr.wr_id);
	FUZZ_CHECK(w->recvs[i].tail - w->recvs[i].head <= RX_RQ_DEPTH);
}

void
rx_post(struct rx_world *w, uint32_t i, const struct fuzz_record *rec)
{
	uint32_t len = fuzz_u16(rec->len) % (LOCAL_LEN + 1);
	struct remu_wr wr = {
		.wr_id = w->serial++,
		.addr = local + LOCAL_LEN - len,
		.opcode = rec->op & 1 ? REMU_WR_RDMA_WRITE : REMU_WR_SEND,
		.length = len,
		.flags = rec->flags & (REMU_WR_FENCE | REMU_WR_SOLICITED),
	};

	if (remu_qp_post(w->e, w->qps[i], &wr, w->now) != 0)
		return;
	w->posted[i] = true;
	push_id(&w->sends[i], wr.wr_id);
	FUZZ_CHECK(w->sends[i].tail - w->sends[i].head <= RX_SQ_DEPTH);
}

static uint32_t
index_of(uint32_t qpn)
{
	uint32_t i = (qpn - 0x11) / 7;

	FUZZ_CHECK(i < RX_QPS && qpn == 0x11 + i * 7);
	return i;
}

static void
on_recv_wc(struct rx_world *w, uint32_t i, const struct remu_wc *wc)
{
	struct rx_slot *slot = &w->slots[wc->wr_id % RX_SLOTS];
	uint8_t *at = slot->bytes + FUZZ_ZONE;
	bool filled = wc->opcode == REMU_WR_SEND || wc->opcode == REMU_WR_SEND_IMM;
	uint32_t written = slot->len;

	pop_id(&w->recvs[i], wc->wr_id);
	FUZZ_CHECK(slot->posted);
	if (wc->status == REMU_WC_SUCCESS) {
		FUZZ_CHECK(filled || wc->opcode == REMU_WR_RDMA_WRITE_IMM);
		FUZZ_CHECK(!filled || wc->byte_len <= slot->len);
		/* A bootstrap queue pair takes up the buffer of a message that was broken off. */
		if (!(rx_qp_specs[i].flags & REMU_QP_BOOTSTRAP))
			written = filled ? wc->byte_len : 0;
	} else {
		FUZZ_CHECK(wc->status == REMU_WC_LOC_LEN_ERR || wc->status == REMU_WC_WR_FLUSH_ERR);
	}
	FUZZ_CHECK(fuzz_filled(slot->bytes, FUZZ_ZONE, FUZZ_SECRET));
	FUZZ_CHECK(fuzz_filled(at + written, RX_SLOT_LEN + FUZZ_ZONE - written, FUZZ_SECRET));
	memset(at, FUZZ_SECRET, written);
	slot->posted = false;
}

static void
on_wc(struct rx_world *w, const struct remu_wc *wc)
{
	uint32_t i = index_of(wc->qpn);

	fuzz_trace_wc(wc);
	switch (wc->kind) {
	case REMU_WC_WORK:
		pop_id(&w->sends[i], wc->wr_id);
		break;
	case REMU_WC_RECV:
		on_recv_wc(w, i, wc);
		break;
	case REMU_WC_FATAL:
		FUZZ_CHECK(rx_info(w, i).state == REMU_QP_ERR);
		FUZZ_CHECK(!(rx_qp_specs[i].flags & REMU_QP_BOOTSTRAP));
		break;
	default:
		FUZZ_CHECK(!"a kind of completion that nobody asked for");
	}
}

static void
poll_completions(struct rx_world *w)
{
	struct remu_wc wc[BURST];
	uint32_t n;

	while ((n = remu_engine_poll_wc(w->e, wc, BURST)) != 0)
		for (uint32_t k = 0; k < n; k++)
			on_wc(w, &wc[k]);
	while ((n = remu_cq_poll(w->cq, wc, BURST)) != 0)
		for (uint32_t k = 0; k < n; k++)
			on_wc(w, &wc[k]);
}

/* What a queue pair may show of memory to its peer. */
static void
check_read_data(const struct rx_qp_spec *spec, const uint8_t *p, uint32_t len)
{
	if (len == 0)
		return;
	FUZZ_CHECK(spec->access & READ);
	if (spec->pd == 3)
		FUZZ_CHECK(fuzz_filled(p, len, FUZZ_OTHERS));
	else
		FUZZ_CHECK(spec->pd == 1 && memchr(p, FUZZ_SECRET, len) == NULL &&
			memchr(p, FUZZ_OTHERS, len) == NULL);
}

static void
check_sent(struct rx_world *w, const struct rte_mbuf *m)
{
	struct roce_packet pkt;
	uint32_t i = fuzz_check_sent(m, w->ends, RX_QPS, &pkt);
	struct remu_qp_info info = rx_info(w, i);

	w->sent[i]++;
	FUZZ_CHECK(info.state >= REMU_QP_RTR);
	if (pkt.op->traits & ROCE_T_REQUEST) {
		FUZZ_CHECK(
			w->posted[i] && (info.state == REMU_QP_RTS || info.state == REMU_QP_SQD));
		FUZZ_CHECK(fuzz_filled(pkt.payload, pkt.payload_len, LOCAL));
	}
	if (pkt.op->traits & ROCE_T_RESPONSE) {
		bool nak = pkt.op->traits & ROCE_T_AETH && pkt.f.syndrome > ROCE_SYN_ACK_NO_LIMIT;
		int32_t ahead = (int32_t)((pkt.f.psn - info.epsn) << 8) >> 8;

		/* Nobody is told of what has not been done, unless the PSN has been moved since. */
		FUZZ_CHECK(ahead < (nak ? 1 : 0) || rx_qp_specs[i].flags & REMU_QP_BOOTSTRAP);
		if (pkt.op->traits & ROCE_T_READ)
			check_read_data(&rx_qp_specs[i], pkt.payload, pkt.payload_len);
	}
}

static void
send(struct rx_world *w)
{
	uint32_t total = 0;

	while (total < w->budget) {
		struct rte_mbuf *pkts[BURST];
		uint16_t max = (uint16_t)RTE_MIN((uint32_t)BURST, w->budget - total), n;

		n = remu_engine_tx(w->e, pkts, max, w->now);
		FUZZ_CHECK(n <= max);
		for (uint16_t i = 0; i < n; i++)
			check_sent(w, pkts[i]);
		rte_pktmbuf_free_bulk(pkts, n);
		total += n;
		FUZZ_CHECK(total < SENT_MAX);
		if (n == 0)
			break;
	}
}

void
rx_settle(struct rx_world *w)
{
	remu_engine_poll(w->e, w->now);
	FUZZ_CHECK(remu_engine_next_deadline(w->e) > w->now);
	send(w);
	poll_completions(w);
	fuzz_check_stats(w->e);
}

static void
check_memory(const struct rx_world *w)
{
	ASAN_UNPOISON_MEMORY_REGION(regions, sizeof(regions));
	FUZZ_CHECK(fuzz_filled(regions, FUZZ_ZONE, FUZZ_SECRET));
	for (uint32_t i = 0; i < RX_REGIONS; i++) {
		const struct rx_region_spec *spec = &rx_region_specs[i];
		const uint8_t *at = rx_region_at(i);

		FUZZ_CHECK(fuzz_filled(at + spec->len, REGION_PITCH - spec->len, FUZZ_SECRET));
		if (!w->registered[i])
			FUZZ_CHECK(fuzz_filled(at, spec->len, FUZZ_SECRET));
		else if (spec->fixed)
			FUZZ_CHECK(fuzz_filled(at, spec->len, spec->fill));
	}
	for (uint32_t i = 0; i < RX_SLOTS; i++) {
		const struct rx_slot *slot = &w->slots[i];
		uint32_t used = slot->posted ? slot->len : 0;

		FUZZ_CHECK(fuzz_filled(slot->bytes, FUZZ_ZONE, FUZZ_SECRET));
		FUZZ_CHECK(fuzz_filled(slot->bytes + FUZZ_ZONE + used,
			RX_SLOT_LEN + FUZZ_ZONE - used, FUZZ_SECRET));
	}
	FUZZ_CHECK(fuzz_filled(local, sizeof(local), LOCAL));
}

void
rx_world_close(struct rx_world *w)
{
	check_memory(w);
	remu_engine_destroy(w->e);
	FUZZ_CHECK(fuzz_pool_in_use() == 0);
	FUZZ_CHECK(fuzz_heap_live() == 0);
	fuzz_heap_reset();
}
