/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requester: work requests to packets, responses to completions.
 *
 * The position in the send queue is a PSN. What goes out at a PSN follows from the work request
 * that owns it, so going back is nothing but setting snd_psn to an earlier value, and a repeated
 * packet is the same as its first copy.
 *
 * A long READ goes out as several READ requests of half a window each, at fixed places of the
 * message, so that the answers under way never exceed the window and our receive ring, and the
 * wire does not run empty between two. To the responder they are READs of their own; the PSNs are
 * the same as those of one long READ.
 */
#include "remu_priv.h"

#include <errno.h>
#include <string.h>

static struct remu_wqe *
wqe_at(const struct remu_engine *e, const struct remu_requester *rq, uint32_t i)
{
	return &rq->sq[i & (e->cfg.sq_depth - 1)];
}

static uint32_t
last_psn(const struct remu_wqe *wqe)
{
	return remu_psn_add(wqe->first_psn, wqe->n_psn - 1);
}

static bool
is_read(const struct remu_wqe *wqe)
{
	return wqe->wr.opcode == REMU_WR_RDMA_READ;
}

/* Packets from packet `k` of a READ to the end of the request that covers it. */
static uint32_t
read_span(const struct remu_engine *e, const struct remu_wqe *wqe, uint32_t k)
{
	uint32_t chunk = RTE_MAX(e->cfg.window / 2, 1u);

	return RTE_MIN(wqe->n_psn - k, chunk - k % chunk);
}

void
remu__req_reset(struct remu_engine *e, struct remu_qp *qp, uint32_t sq_psn)
{
	struct remu_requester *rq = &qp->req;

	rq->head = rq->cursor = rq->tail = 0;
	rq->una_psn = rq->snd_psn = rq->sent_psn = rq->next_psn = sq_psn;
	rq->reads_out = 0;
	rq->gap_retried = false;
	rq->deadline = 0;
	remu_timers_cancel(&e->timers, qp->index);
}

static void
complete_head(struct remu_engine *e, struct remu_qp *qp, enum remu_wc_status status)
{
	const struct remu_wqe *wqe = wqe_at(e, &qp->req, qp->req.head++);

	remu__complete(e, qp->channel,
		&(struct remu_wc){
			.wr_id = wqe->wr.wr_id,
			.qpn = qp->qpn,
			.byte_len = status == REMU_WC_SUCCESS ? wqe->wr.length : 0,
			.kind = REMU_WC_WORK,
			.status = status,
			.opcode = wqe->wr.opcode,
		});
}

void
remu__req_flush(struct remu_engine *e, struct remu_qp *qp)
{
	while (qp->req.head != qp->req.tail)
		complete_head(e, qp, REMU_WC_WR_FLUSH_ERR);
	remu__req_reset(e, qp, qp->req.next_psn);
}

/* The first failing work request gets the real status, all others are flushed. */
static void
fail_head(struct remu_engine *e, struct remu_qp *qp, enum remu_wc_status status)
{
	complete_head(e, qp, status);
	remu__qp_fail(e, qp);
}

int
remu_qp_post(struct remu_engine *e, struct remu_qp *qp, const struct remu_wr *wr, uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	struct remu_wqe *wqe;

	RTE_SET_USED(now);
	if (wr->opcode >= REMU_WR_COUNT || wr->length > ROCE_DMA_LEN_MAX ||
		(wr->addr == NULL && wr->length != 0))
		return -EINVAL;
	if (qp->state != REMU_QP_RTS)
		return -ENOTCONN;
	if (rq->tail - rq->head == e->cfg.sq_depth)
		return -EAGAIN;
	if (qp->channel == NULL) {
		if (e->local_in_flight == e->local_depth)
			return -EAGAIN;
		e->local_in_flight++;
	}
	wqe = wqe_at(e, rq, rq->tail++);
	wqe->wr = *wr;
	wqe->first_psn = rq->next_psn;
	wqe->n_psn = remu__packets(wr->length, qp->path_mtu);
	rq->next_psn = remu_psn_add(rq->next_psn, wqe->n_psn);
	remu__qp_schedule(e, qp);
	return 0;
}

bool
remu__req_has_output(const struct remu_engine *e, const struct remu_qp *qp)
{
	const struct remu_requester *rq = &qp->req;
	const struct remu_wqe *wqe;
	uint32_t room;

	if (qp->state != REMU_QP_RTS || rq->cursor == rq->tail)
		return false;
	wqe = wqe_at(e, rq, rq->cursor);
	room = e->cfg.window - (uint32_t)remu_psn_diff(rq->snd_psn, rq->una_psn);
	if (!is_read(wqe))
		return room >= 1;
	return rq->reads_out < rq->max_rd_atomic &&
		room >= read_span(e, wqe, (uint32_t)remu_psn_diff(rq->snd_psn, wqe->first_psn));
}

static uint8_t
write_opcode(const struct remu_wqe *wqe, uint32_t k)
{
	if (wqe->n_psn == 1)
		return ROCE_WRITE_ONLY;
	if (k == 0)
		return ROCE_WRITE_FIRST;
	return k == wqe->n_psn - 1 ? ROCE_WRITE_LAST : ROCE_WRITE_MIDDLE;
}

/* Make the packet at snd_psn; n_sent is how many PSNs it covers. NULL: no mbuf. */
static struct rte_mbuf *
make_request(struct remu_engine *e, struct remu_qp *qp, uint32_t *n_sent)
{
	struct remu_requester *rq = &qp->req;
	const struct remu_wqe *wqe = wqe_at(e, rq, rq->cursor);
	uint32_t k = (uint32_t)remu_psn_diff(rq->snd_psn, wqe->first_psn);
	uint32_t offset = k * qp->path_mtu;
	uint32_t left = wqe->wr.length - offset;
	uint32_t payload_len = 0;
	struct roce_fields f = {
		.migreq = true,
		.pkey = ROCE_PKEY_DEFAULT,
		.dest_qpn = qp->peer_qpn,
		.psn = rq->snd_psn,
		.va = wqe->wr.remote_va + offset,
		.rkey = wqe->wr.rkey,
	};
	struct rte_mbuf *m;
	uint8_t *payload;

	if (is_read(wqe)) {
		*n_sent = read_span(e, wqe, k);
		f.opcode = ROCE_READ_REQUEST;
		f.ackreq = true;
		f.dma_len = RTE_MIN(left, *n_sent * qp->path_mtu);
	} else {
		*n_sent = 1;
		payload_len = RTE_MIN(left, (uint32_t)qp->path_mtu);
		f.opcode = write_opcode(wqe, k);
		f.dma_len = wqe->wr.length;
		/* On the last packet of a message, on the last that the window admits, and often
		 * enough in between that the window moves before it closes. */
		f.ackreq = k == wqe->n_psn - 1 || k % REMU_ACK_EVERY == REMU_ACK_EVERY - 1 ||
			remu_psn_diff(rq->snd_psn, rq->una_psn) == (int32_t)e->cfg.window - 1;
	}
	m = remu__frame_begin(e, qp, &f, payload_len, &payload);
	if (unlikely(m == NULL))
		return NULL;
	if (payload_len != 0)
		memcpy(payload, (const uint8_t *)wqe->wr.addr + offset, payload_len);
	remu__frame_end(e, m, payload, payload_len);
	if (is_read(wqe))
		rq->reads_out++;
	return m;
}

static void
arm_deadline(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	qp->req.deadline = now + qp->req.timeout_ns;
	/* The heap is touched only when it holds nothing: an early entry is put off when it fires. */
	if (!remu_timers_armed(&e->timers, qp->index))
		remu_timers_set(&e->timers, qp->index, qp->req.deadline);
}

uint16_t
remu__req_tx(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts, uint16_t max,
	uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	uint16_t n = 0;

	while (n < max && remu__req_has_output(e, qp)) {
		const struct remu_wqe *wqe = wqe_at(e, rq, rq->cursor);
		uint32_t n_sent;

		pkts[n] = make_request(e, qp, &n_sent);
		if (unlikely(pkts[n] == NULL))
			break;
		n++;
		if (remu_psn_diff(rq->snd_psn, rq->sent_psn) < 0)
			e->stats.retransmits++;
		rq->snd_psn = remu_psn_add(rq->snd_psn, n_sent);
		if (remu_psn_diff(rq->snd_psn, rq->sent_psn) > 0)
			rq->sent_psn = rq->snd_psn;
		if (remu_psn_diff(rq->snd_psn, last_psn(wqe)) > 0)
			rq->cursor++;
	}
	if (n != 0 && rq->deadline == 0)
		arm_deadline(e, qp, now);
	return n;
}

/* Send again from the oldest PSN that is not acknowledged. */
static void
go_back(struct remu_engine *e, struct remu_qp *qp)
{
	struct remu_requester *rq = &qp->req;

	rq->snd_psn = rq->una_psn;
	rq->cursor = rq->head;
	rq->reads_out = 0;
	remu__qp_schedule(e, qp);
}

/* The peer has got everything before `psn`. */
static void
progress(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, uint64_t now)
{
	struct remu_requester *rq = &qp->req;

	rq->una_psn = psn;
	rq->retries_left = rq->retry_cnt;
	rq->gap_retried = false;
	if (remu_psn_diff(rq->snd_psn, psn) < 0) {
		/* We had gone back, and the answer to the first copy came after all. */
		rq->snd_psn = psn;
		rq->cursor = rq->head;
		rq->reads_out = 0;
	}
	if (psn == rq->sent_psn)
		rq->deadline = 0;
	else
		arm_deadline(e, qp, now);
	remu__qp_schedule(e, qp);
}

/*
 * Complete WRITEs up to and including `psn`, in order. An unfinished READ stops this: its answer
 * is missing, so the acknowledgement of something behind it implies that it was lost.
 *
 * @return true when a READ is in the way
 */
static bool
acknowledge(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	uint32_t una = rq->una_psn;
	bool read_in_way = false;

	while (rq->head != rq->tail) {
		const struct remu_wqe *wqe = wqe_at(e, rq, rq->head);

		if (remu_psn_diff(wqe->first_psn, psn) > 0)
			break;
		if (is_read(wqe)) {
			read_in_way = true;
			break;
		}
		if (remu_psn_diff(last_psn(wqe), psn) > 0) {
			una = remu_psn_add(psn, 1);
			break;
		}
		una = remu_psn_add(last_psn(wqe), 1);
		if (rq->cursor == rq->head)
			rq->cursor++;
		complete_head(e, qp, REMU_WC_SUCCESS);
	}
	if (una != rq->una_psn)
		progress(e, qp, una, now);
	return read_in_way;
}

/* Something is missing before what has just arrived: ask again at once, but once per progress. */
static void
retry_gap(struct remu_engine *e, struct remu_qp *qp)
{
	if (qp->req.gap_retried)
		return;
	qp->req.gap_retried = true;
	go_back(e, qp);
}

static enum remu_drop
on_nak(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt, uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	enum remu_wc_status status;
	bool behind_read;

	switch (pkt->f.syndrome) {
	case ROCE_NAK_PSN_SEQUENCE:
		status = REMU_WC_SUCCESS;
		break;
	case ROCE_NAK_INVALID_REQUEST:
		status = REMU_WC_REM_INV_REQ_ERR;
		break;
	case ROCE_NAK_REMOTE_ACCESS:
		status = REMU_WC_REM_ACCESS_ERR;
		break;
	case ROCE_NAK_REMOTE_OPERATION:
		status = REMU_WC_REM_OP_ERR;
		break;
	default:
		return REMU_DROP_SYNDROME;
	}
	e->stats.naks_received++;
	/* Everything before the PSN of a NAK has arrived. */
	behind_read = pkt->f.psn != rq->una_psn &&
		acknowledge(e, qp, remu_psn_add(pkt->f.psn, REMU_PSN_MASK), now);
	if (behind_read)
		retry_gap(e, qp);
	else if (status != REMU_WC_SUCCESS)
		fail_head(e, qp, status);
	else
		retry_gap(e, qp);
	return REMU_DROP_NONE;
}

static enum remu_drop
on_acknowledge(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	uint64_t now)
{
	switch (pkt->f.syndrome & ROCE_SYN_TYPE_MASK) {
	case ROCE_SYN_ACK:
		if (acknowledge(e, qp, pkt->f.psn, now))
			retry_gap(e, qp);
		return REMU_DROP_NONE;
	case ROCE_SYN_NAK:
		return on_nak(e, qp, pkt, now);
	default: /* RNR NAK: we send nothing that needs a receive request; the rest is reserved */
		return REMU_DROP_SYNDROME;
	}
}

static enum remu_drop
on_read_response(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	const struct remu_wqe *wqe;
	uint32_t k, offset, want;
	bool ends_request;

	/* It acknowledges the WRITEs before it. */
	if (pkt->f.psn != rq->una_psn)
		acknowledge(e, qp, remu_psn_add(pkt->f.psn, REMU_PSN_MASK), now);
	wqe = wqe_at(e, rq, rq->head);
	if (rq->head == rq->tail || !is_read(wqe))
		return REMU_DROP_RESP_STALE;
	if (pkt->f.psn != rq->una_psn) {
		retry_gap(e, qp);
		return REMU_DROP_RESP_GAP;
	}
	k = (uint32_t)remu_psn_diff(pkt->f.psn, wqe->first_psn);
	offset = k * qp->path_mtu;
	want = RTE_MIN(wqe->wr.length - offset, (uint32_t)qp->path_mtu);
	ends_request = read_span(e, wqe, k) == 1;
	if (ends_request != ((pkt->op->traits & (ROCE_T_LAST | ROCE_T_ONLY)) != 0)) {
		fail_head(e, qp, REMU_WC_BAD_RESP_ERR);
		return REMU_DROP_RESP_BAD;
	}
	if (pkt->payload_len != want) {
		fail_head(e, qp, REMU_WC_LOC_LEN_ERR);
		return REMU_DROP_RESP_BAD;
	}
	if (want != 0)
		memcpy((uint8_t *)wqe->wr.addr + offset, pkt->payload, want);
	if (ends_request && rq->reads_out > 0)
		rq->reads_out--;
	if (k == wqe->n_psn - 1) {
		if (rq->cursor == rq->head)
			rq->cursor++;
		complete_head(e, qp, REMU_WC_SUCCESS);
	}
	progress(e, qp, remu_psn_add(pkt->f.psn, 1), now);
	return REMU_DROP_NONE;
}

enum remu_drop
remu__req_response(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	uint64_t now)
{
	const struct remu_requester *rq = &qp->req;

	if (qp->state != REMU_QP_RTS)
		return REMU_DROP_QP_STATE;
	/* Only what is outstanding can be answered: [una, sent). */
	if (remu_psn_diff(pkt->f.psn, rq->una_psn) < 0 ||
		remu_psn_diff(pkt->f.psn, rq->sent_psn) >= 0)
		return REMU_DROP_RESP_STALE;
	if (pkt->op->traits & ROCE_T_READ)
		return on_read_response(e, qp, pkt, now);
	if (pkt->f.opcode == ROCE_ACKNOWLEDGE)
		return on_acknowledge(e, qp, pkt, now);
	return REMU_DROP_RESP_BAD; /* ATOMIC acknowledge: we send no atomics */
}

void
remu__req_timeout(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	struct remu_requester *rq = &qp->req;

	if (rq->deadline == 0)
		return;
	if (rq->deadline > now) {
		remu_timers_set(&e->timers, qp->index, rq->deadline);
		return;
	}
	e->stats.timeouts++;
	if (rq->retries_left == 0) {
		fail_head(e, qp, REMU_WC_RETRY_EXC_ERR);
		return;
	}
	rq->retries_left--;
	rq->gap_retried = false;
	go_back(e, qp);
	arm_deadline(e, qp, now);
}
