/* SPDX-License-Identifier: BSD-3-Clause */
#include "req_world.h"

#include <roce_icrc.h>

#include <rte_common.h>
#include <rte_mbuf.h>
#include <string.h>

enum {
	BURST = 32,
	/* Of one action: new ones, repeated ones, and responses that wait. */
	FRAMES_MAX = REQ_QPS * (64 + 64 + 64 + 4),
};

static void
open_qp(struct req_world *w, uint32_t i, const uint8_t *header)
{
	struct req_qp *q = &w->qps[i];
	struct remu_qp_config cfg = {.qpn = w->ends[i].qpn, .pd = 1};

	*q = (struct req_qp){.end = &w->ends[i], .bootstrap = i == 1 && header[5] & 1};
	if (q->bootstrap)
		cfg.flags = REMU_QP_BOOTSTRAP;
	if (i == 1 && header[5] & 8)
		cfg.send_cq = w->cq;
	FUZZ_CHECK(remu_qp_create(w->e, &cfg, &q->qp) == 0);
	for (enum remu_qp_state to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
		FUZZ_CHECK(remu_qp_modify(w->e, q->qp, to, &q->end->attr) == 0);
}

static void
init_end(struct req_world *w, uint32_t i, const uint8_t *header)
{
	static const uint32_t psns[4] = {0x100, 0xfffffd, 0x7ffffa, 0};
	static const uint32_t timeouts_us[4] = {1000, 100, 20000, 10000000};
	static const uint16_t mtus[4] = {256, 256, 512, 1024};
	struct fuzz_end *end = &w->ends[i];

	end->qpn = 0x11 + i;
	fuzz_end_init(end, i, i == 1 && header[5] & 2, i == 1 && header[5] & 4);
	end->attr.path_mtu = mtus[i == 0 ? header[2] >> 4 & 3 : 0];
	end->attr.sq_psn = psns[header[6] & 3];
	end->attr.timeout_us = timeouts_us[header[4] & 3];
	end->attr.retry_cnt = header[3] & 7;
	end->attr.rnr_retry = header[3] >> 3 & 7;
	end->attr.max_rd_atomic = (header[2] & 15) + 1;
}

void
req_world_open(struct req_world *w, const uint8_t *header)
{
	static const uint32_t windows[8] = {16, 1, 2, 3, 5, 8, 32, 64};
	static const uint32_t depths[4] = {8, 2, 4, 8};
	struct remu_engine_config cfg = fuzz_engine_config();

	w->window = windows[header[1] & 7];
	w->sq_depth = depths[header[1] >> 3 & 3];
	w->now = 1000;
	w->serial = 1;
	w->budget = UINT32_MAX;
	w->short_of_mbufs = w->limited = false;
	cfg.max_qps = REQ_QPS;
	cfg.max_mrs = 1;
	cfg.sq_depth = w->sq_depth;
	cfg.window = w->window;
	cfg.disable = header[4] >> 4;
	req_memory_open();
	FUZZ_CHECK(remu_engine_create(&cfg, &w->e) == 0);
	FUZZ_CHECK(remu_cq_create(w->e, REQ_DEPTH_MAX, &w->cq) == 0);
	for (uint32_t i = 0; i < REQ_QPS; i++) {
		init_end(w, i, header);
		open_qp(w, i, header);
	}
	req_update(w);
	for (uint32_t i = 0; i < REQ_QPS; i++)
		req_start_over(&w->qps[i]);
}

void
req_start_over(struct req_qp *q)
{
	FUZZ_CHECK(q->n_wrs == 0);
	q->n_sent = 0;
	q->answers.n = 0;
	q->failed = false;
	q->lost = false;
	q->sent_end = q->credit = q->info.next_psn;
}

void
req_post(struct req_world *w, struct req_qp *q, const struct fuzz_record *rec)
{
	struct req_wr *mine = &q->wrs[q->n_wrs];
	struct remu_wr wr = {
		.wr_id = w->serial,
		.remote_va = 0x10000 + fuzz_u16(rec->off),
		.length = fuzz_u16(rec->len) % (REQ_LEN_MAX + 1),
		.rkey = 0x77,
		.opcode = rec->op & 7,
		.flags = rec->flags & (REMU_WR_FENCE | REMU_WR_SOLICITED),
		.imm = fuzz_u16(rec->load),
		.swap_add = fuzz_u16(rec->load) * UINT64_C(0x100010001),
		.compare = rec->key,
	};
	bool atomic = wr.opcode == REMU_WR_CMP_SWAP || wr.opcode == REMU_WR_FETCH_ADD;
	bool has_slot = atomic || wr.opcode == REMU_WR_RDMA_READ;
	int rc;

	if (atomic)
		wr.length = 8;
	if (q->n_wrs == w->sq_depth)
		has_slot = false; /* is refused */
	wr.addr = req_source(wr.length);
	if (has_slot) {
		mine->slot = req_slot_take(wr.length);
		wr.addr = req_slot_at(mine->slot);
	}
	rc = remu_qp_post(w->e, q->qp, &wr, w->now);
	if (rc == 0) {
		FUZZ_CHECK(wr.opcode < REMU_WR_COUNT && q->n_wrs < w->sq_depth);
		w->serial++;
		mine->wr = wr;
		mine->first_psn = q->info.next_psn;
		mine->n_psn = req_packets(wr.length, q->end->attr.path_mtu);
		mine->forged = false;
		q->n_wrs++;
		return;
	}
	if (has_slot)
		req_slot_give(mine->slot, 0);
	FUZZ_CHECK(wr.opcode >= REMU_WR_COUNT || q->n_wrs == w->sq_depth ||
		q->info.state < REMU_QP_RTS || q->info.state == REMU_QP_SQE);
}

void
req_data(uint32_t psn, uint8_t *payload, uint32_t len)
{
	if (len == 0)
		return;
	memset(payload, 0x80 | (psn & 0x3f), len);
	payload[0] = 0xc0 | (psn & 0x3f);
}

uint64_t
req_number(uint32_t psn)
{
	return UINT64_C(0x8000000080000000) | psn;
}

void
req_inject(struct req_world *w, struct req_qp *q, struct rte_mbuf *m, bool forged)
{
	struct roce_packet pkt;

	if (m == NULL)
		return;
	if (roce_decode(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &pkt) ==
			REMU_DROP_NONE &&
		pkt.f.dest_qpn == q->end->qpn && roce_icrc_ok(pkt.l3, pkt.icrc_span))
		req_on_response(q, &pkt, forged);
	remu_engine_rx(w->e, &m, 1, w->now);
	req_update(w);
}

static void
send(struct req_world *w)
{
	uint32_t total = 0;

	req_update(w);
	while (total < w->budget) {
		struct rte_mbuf *pkts[BURST];
		uint16_t max = (uint16_t)RTE_MIN((uint32_t)BURST, w->budget - total);
		uint16_t n = remu_engine_tx(w->e, pkts, max, w->now);

		FUZZ_CHECK(n <= max);
		for (uint16_t i = 0; i < n; i++) {
			struct roce_packet pkt;
			uint32_t end = fuzz_check_sent(pkts[i], w->ends, REQ_QPS, &pkt);

			if (pkt.op->traits & ROCE_T_REQUEST)
				req_on_request(w, &w->qps[end], &pkt);
			FUZZ_CHECK(!(pkt.op->traits & ROCE_T_READ) || pkt.payload_len == 0);
		}
		rte_pktmbuf_free_bulk(pkts, n);
		total += n;
		FUZZ_CHECK(total <= FRAMES_MAX);
		if (n == 0) {
			FUZZ_CHECK(w->short_of_mbufs || !remu_engine_has_output(w->e));
			break;
		}
	}
}

static void
on_wc(struct req_world *w, const struct remu_wc *wc)
{
	uint32_t i = wc->qpn - w->ends[0].qpn;

	fuzz_trace_wc(wc);
	FUZZ_CHECK(i < REQ_QPS);
	if (wc->kind == REMU_WC_FATAL) {
		FUZZ_CHECK(!w->qps[i].bootstrap && w->qps[i].info.state == REMU_QP_ERR);
		return;
	}
	FUZZ_CHECK(wc->kind == REMU_WC_WORK);
	req_on_wc(w, &w->qps[i], wc);
}

void
req_poll(struct req_world *w)
{
	struct remu_wc wc[BURST];
	uint32_t n;

	while ((n = remu_engine_poll_wc(w->e, wc, BURST)) != 0)
		for (uint32_t k = 0; k < n; k++)
			on_wc(w, &wc[k]);
	while ((n = remu_cq_poll(w->cq, wc, BURST)) != 0)
		for (uint32_t k = 0; k < n; k++)
			on_wc(w, &wc[k]);
	for (uint32_t i = 0; i < REQ_QPS; i++)
		FUZZ_CHECK(w->qps[i].info.outstanding == w->qps[i].n_wrs);
}

void
req_settle(struct req_world *w)
{
	for (uint32_t i = 0; i < REQ_QPS; i++)
		w->qps[i].oldest = w->qps[i].info.una_psn;
	remu_engine_poll(w->e, w->now);
	FUZZ_CHECK(remu_engine_next_deadline(w->e) > w->now);
	send(w);
	req_update(w);
	req_poll(w);
	fuzz_check_stats(w->e);
}

void
req_world_close(struct req_world *w)
{
	req_memory_check();
	remu_engine_destroy(w->e);
	FUZZ_CHECK(fuzz_pool_in_use() == 0);
	FUZZ_CHECK(fuzz_heap_live() == 0);
	fuzz_heap_reset();
}
