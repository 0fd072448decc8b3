/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a requester may send, and when it may call a work request done. It follows from the work
 * requests posted, from the PSNs that the engine says are open, and from the responses it was given.
 */
#include "req_world.h"

#include <rte_common.h>
#include <string.h>

/* Of a message of several packets and of one. */
static const struct {
	uint8_t first, middle, last, only;
} opcodes[REMU_WR_COUNT] = {
	[REMU_WR_RDMA_WRITE] = {ROCE_WRITE_FIRST, ROCE_WRITE_MIDDLE, ROCE_WRITE_LAST,
		ROCE_WRITE_ONLY},
	[REMU_WR_RDMA_WRITE_IMM] = {ROCE_WRITE_FIRST, ROCE_WRITE_MIDDLE, ROCE_WRITE_LAST_IMM,
		ROCE_WRITE_ONLY_IMM},
	[REMU_WR_SEND] = {ROCE_SEND_FIRST, ROCE_SEND_MIDDLE, ROCE_SEND_LAST, ROCE_SEND_ONLY},
	[REMU_WR_SEND_IMM] = {ROCE_SEND_FIRST, ROCE_SEND_MIDDLE, ROCE_SEND_LAST_IMM,
		ROCE_SEND_ONLY_IMM},
};

static uint32_t
psn_add(uint32_t psn, uint32_t n)
{
	return (psn + n) & 0xffffff;
}

static bool
is_atomic(uint8_t opcode)
{
	return opcode == REMU_WR_CMP_SWAP || opcode == REMU_WR_FETCH_ADD;
}

void
req_update(struct req_world *w)
{
	struct remu_qp_info infos[REQ_QPS];

	FUZZ_CHECK(remu_engine_qps(w->e, 0, infos, REQ_QPS) == REQ_QPS);
	for (uint32_t i = 0; i < REQ_QPS; i++) {
		FUZZ_CHECK(infos[i].qpn == w->ends[i].qpn);
		w->qps[i].info = infos[i];
	}
}

static struct req_wr *
owner(struct req_qp *q, uint32_t psn)
{
	for (uint32_t i = 0; i < q->n_wrs; i++) {
		int32_t k = req_psn_diff(psn, q->wrs[i].first_psn);

		if (k >= 0 && (uint32_t)k < q->wrs[i].n_psn)
			return &q->wrs[i];
	}
	return NULL;
}

/* A packet of a WRITE or SEND. */
static void
check_data_packet(const struct req_qp *q, const struct req_wr *wr, const struct roce_packet *pkt,
	uint32_t k)
{
	uint32_t mtu = q->end->attr.path_mtu, offset = k * mtu;
	bool last = k == wr->n_psn - 1, write = pkt->op->traits & ROCE_T_WRITE;
	uint8_t op = wr->wr.opcode, want = opcodes[op].middle;

	if (wr->n_psn == 1)
		want = opcodes[op].only;
	else if (k == 0)
		want = opcodes[op].first;
	else if (last)
		want = opcodes[op].last;
	FUZZ_CHECK(pkt->f.opcode == want);
	FUZZ_CHECK(pkt->payload_len == RTE_MIN(mtu, wr->wr.length - offset));
	FUZZ_CHECK(pkt->payload_len == 0 ||
		memcmp(pkt->payload, (const uint8_t *)wr->wr.addr + offset, pkt->payload_len) == 0);
	if (write && k == 0)
		FUZZ_CHECK(pkt->f.va == wr->wr.remote_va && pkt->f.rkey == wr->wr.rkey &&
			pkt->f.dma_len == wr->wr.length);
	if (pkt->op->traits & ROCE_T_IMM)
		FUZZ_CHECK(pkt->f.imm == wr->wr.imm);
	FUZZ_CHECK(pkt->f.solicited ==
		(last && op != REMU_WR_RDMA_WRITE && (wr->wr.flags & REMU_WR_SOLICITED)));
	FUZZ_CHECK(!last || pkt->f.ackreq);
}

static void
check_atomic(const struct req_wr *wr, const struct roce_packet *pkt)
{
	FUZZ_CHECK(pkt->f.opcode ==
		(wr->wr.opcode == REMU_WR_CMP_SWAP ? ROCE_COMPARE_SWAP : ROCE_FETCH_ADD));
	FUZZ_CHECK(pkt->f.va == wr->wr.remote_va && pkt->f.rkey == wr->wr.rkey);
	FUZZ_CHECK(pkt->f.swap_add == wr->wr.swap_add && pkt->f.compare == wr->wr.compare);
}

/* A READ request may be for a part of the READ. Returns how many PSNs it covers. */
static uint32_t
check_read(const struct req_qp *q, const struct req_wr *wr, const struct roce_packet *pkt,
	uint32_t k)
{
	uint32_t mtu = q->end->attr.path_mtu, offset = k * mtu;
	uint32_t span = req_packets(pkt->f.dma_len, mtu);

	FUZZ_CHECK(pkt->f.opcode == ROCE_READ_REQUEST);
	FUZZ_CHECK(pkt->f.va == wr->wr.remote_va + offset && pkt->f.rkey == wr->wr.rkey);
	FUZZ_CHECK(pkt->f.dma_len <= wr->wr.length - offset);
	FUZZ_CHECK(k + span == wr->n_psn ? pkt->f.dma_len == wr->wr.length - offset
					 : pkt->f.dma_len % mtu == 0 && pkt->f.dma_len != 0);
	return span;
}

/* Forget those that have been answered. */
static void
prune(struct req_answers *answers, uint32_t una)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < answers->n; i++)
		if (req_psn_diff(answers->out[i].end, una) > 0)
			answers->out[n++] = answers->out[i];
	answers->n = n;
}

/* What goes out for the first time keeps to all limits. */
static void
check_new(const struct req_world *w, struct req_qp *q, const struct req_wr *wr,
	const struct roce_packet *pkt, uint32_t span)
{
	uint32_t end = psn_add(pkt->f.psn, span);
	int32_t out = req_psn_diff(end, q->info.una_psn);
	bool answered = pkt->op->traits & (ROCE_T_READ | ROCE_T_ATOMIC);

	prune(&q->answers, q->info.una_psn);
	FUZZ_CHECK(q->info.window <= w->window);
	/* CNPs can shrink the window below what is out: then a READ goes alone, and one packet more if
	 * none has asked for an acknowledgement yet. */
	FUZZ_CHECK((uint32_t)out <= q->info.window ||
		((answered ? pkt->f.psn == q->info.una_psn : pkt->f.ackreq) &&
			(uint32_t)out <= w->window));
	FUZZ_CHECK(q->info.state == REMU_QP_RTS || pkt->f.psn != wr->first_psn);
	if (wr->wr.flags & REMU_WR_FENCE && pkt->f.psn == wr->first_psn)
		FUZZ_CHECK(q->answers.n == 0);
	if (answered) {
		FUZZ_CHECK(q->answers.n < q->end->attr.max_rd_atomic);
		q->answers.out[q->answers.n++].end = end;
	}
	q->sent_end = end;
}

void
req_on_request(struct req_world *w, struct req_qp *q, const struct roce_packet *pkt)
{
	const struct req_wr *wr = owner(q, pkt->f.psn);
	uint32_t k, span = 1;

	FUZZ_CHECK(q->info.state == REMU_QP_RTS || q->info.state == REMU_QP_SQD);
	FUZZ_CHECK(wr != NULL);
	k = (uint32_t)req_psn_diff(pkt->f.psn, wr->first_psn);
	if (wr->wr.opcode == REMU_WR_RDMA_READ)
		span = check_read(q, wr, pkt, k);
	else if (is_atomic(wr->wr.opcode))
		check_atomic(wr, pkt);
	else
		check_data_packet(q, wr, pkt, k);
	for (uint32_t i = 0; i < span; i++) {
		uint8_t *times = &q->times[(pkt->f.psn + i) % REQ_WINDOW_MAX];

		*times = pkt->f.psn == q->sent_end ? 1 : *times + (*times < UINT8_MAX);
	}
	if (pkt->f.psn == q->sent_end) {
		check_new(w, q, wr, pkt, span);
	} else {
		FUZZ_CHECK(req_psn_diff(pkt->f.psn, q->info.una_psn) >= 0);
		FUZZ_CHECK(req_psn_diff(psn_add(pkt->f.psn, span), q->sent_end) <= 0);
	}
	q->sent[q->n_sent++ % REQ_SENT_MAX] = (struct req_sent){
		.psn = pkt->f.psn,
		.dma_len = pkt->f.dma_len,
		.opcode = pkt->f.opcode,
		.ackreq = pkt->f.ackreq,
	};
}

void
req_on_response(struct req_qp *q, const struct roce_packet *pkt, bool forged)
{
	uint32_t done = psn_add(pkt->f.psn, 1);

	if (!(pkt->op->traits & ROCE_T_RESPONSE))
		return;
	if (req_psn_diff(pkt->f.psn, q->info.una_psn) < 0 ||
		req_psn_diff(pkt->f.psn, q->sent_end) >= 0) {
		q->lost |= q->bootstrap && q->info.una_psn != q->sent_end &&
			q->wrs[0].wr.opcode != REMU_WR_RDMA_READ &&
			!is_atomic(q->wrs[0].wr.opcode) && pkt->f.opcode == ROCE_ACKNOWLEDGE &&
			pkt->f.syndrome == ROCE_NAK_PSN_SEQUENCE;
		return;
	}
	if (pkt->f.opcode == ROCE_ACKNOWLEDGE &&
		(pkt->f.syndrome & ROCE_SYN_TYPE_MASK) != ROCE_SYN_ACK)
		done = pkt->f.psn; /* NAKs acknowledge what is before them */
	if (req_psn_diff(done, q->credit) > 0)
		q->credit = done;
	for (uint32_t i = 0; forged && i < q->n_wrs; i++)
		q->wrs[i].forged = true;
}

/* The data of a READ or atomic that is said to have ended well is what was answered. */
static void
check_result(const struct req_qp *q, const struct req_wr *wr)
{
	const uint8_t *at = req_slot_at(wr->slot);
	uint32_t mtu = q->end->attr.path_mtu;
	uint8_t want[1024];
	uint64_t number;

	if (is_atomic(wr->wr.opcode)) {
		memcpy(&number, at, sizeof(number));
		FUZZ_CHECK(number == req_number(wr->first_psn));
		return;
	}
	for (uint32_t k = 0; k * mtu < wr->wr.length; k++) {
		uint32_t len = RTE_MIN(mtu, wr->wr.length - k * mtu);

		req_data(psn_add(wr->first_psn, k), want, len);
		FUZZ_CHECK(memcmp(at + k * mtu, want, len) == 0);
	}
}

void
req_on_wc(const struct req_world *w, struct req_qp *q, const struct remu_wc *wc)
{
	const struct req_wr *wr = &q->wrs[0];
	uint32_t end = psn_add(wr->first_psn, wr->n_psn);
	bool has_slot = wr->wr.opcode == REMU_WR_RDMA_READ || is_atomic(wr->wr.opcode);

	FUZZ_CHECK(q->n_wrs != 0 && wc->wr_id == wr->wr.wr_id && wc->opcode == wr->wr.opcode);
	FUZZ_CHECK(!q->failed || wc->status == REMU_WC_WR_FLUSH_ERR);
	if (wc->status == REMU_WC_SUCCESS) {
		FUZZ_CHECK(wc->byte_len == wr->wr.length);
		FUZZ_CHECK(req_psn_diff(end, q->sent_end) <= 0);
		FUZZ_CHECK(req_psn_diff(end, q->credit) <= 0);
		if (has_slot && !wr->forged)
			check_result(q, wr);
	} else {
		FUZZ_CHECK(wc->status != REMU_WC_RETRY_EXC_ERR || w->limited || q->lost ||
			q->times[q->oldest % REQ_WINDOW_MAX] > q->end->attr.retry_cnt);
		/* The first is told why; the responder of a bootstrap queue pair works on. */
		FUZZ_CHECK(wc->status == REMU_WC_WR_FLUSH_ERR ||
			q->info.state == (q->bootstrap ? REMU_QP_SQE : REMU_QP_ERR));
		q->failed = true;
	}
	if (has_slot)
		req_slot_give(wr->slot, wr->wr.length);
	memmove(&q->wrs[0], &q->wrs[1], --q->n_wrs * sizeof(q->wrs[0]));
}
