/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requester, sending side: work requests to packets.
 *
 * What goes out at a PSN follows from the work request that owns it, so a repeated packet is the
 * same as its first copy, and repeating is nothing but a second cursor that runs over PSNs sent
 * before and leaves out those that are settled.
 *
 * A long READ goes out as several READ requests ("chunks") at fixed places of the message, so that
 * the answers under way never exceed the window and our receive ring, the wire does not run empty
 * between two, and a lost answer makes no more than the rest of one chunk be sent again. To the
 * responder they are READs of their own; the PSNs are the same as those of one long READ.
 */
#include "remu_priv.h"
#include "remu_stencil.h"
#include "roce_bytes.h"

#include <errno.h>
#include <string.h>

/* Opcodes of a message of several packets and of one packet, by enum remu_wr_opcode. */
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
	[REMU_WR_RDMA_READ] = {ROCE_READ_REQUEST, ROCE_READ_REQUEST, ROCE_READ_REQUEST,
		ROCE_READ_REQUEST},
	[REMU_WR_CMP_SWAP] = {.only = ROCE_COMPARE_SWAP},
	[REMU_WR_FETCH_ADD] = {.only = ROCE_FETCH_ADD},
};

void
remu__req_reset(struct remu_engine *e, struct remu_qp *qp, uint32_t sq_psn)
{
	struct remu_requester *rq = &qp->req;
	size_t bytes = (e->bitmap_mask + 1) / 8;

	rq->head = rq->cursor = rq->tail = 0;
	rq->una_psn = rq->ack_psn = rq->sent_psn = rq->next_psn = sq_psn;
	rq->redo_psn = rq->redo_end = rq->asked_end = sq_psn;
	rq->redo_i = 0;
	rq->answers_out = 0;
	rq->begun = rq->unasked = rq->nak_seen = rq->starved = rq->waiting = rq->probe_asks =
		rq->ask_first = false;
	rq->keeps = 1;
	rq->plain_naks = 0;
	rq->probes = 0;
	rq->rtt_at = 0;
	rq->deadline = rq->probe_at = rq->rnr_until = rq->doubt_at = 0;
	memset(rq->got, 0, bytes);
	memset(rq->restarts, 0, bytes);
	remu_timers_cancel(&e->timers, qp->index);
}

void
remu__req_complete(struct remu_engine *e, struct remu_qp *qp, enum remu_wc_status status)
{
	const struct remu_wqe *wqe = remu__wqe(e, &qp->req, qp->req.head++);

	if (likely(status == REMU_WC_SUCCESS && qp->channel == NULL && !qp->send_cq->armed)) {
		remu__req_success(remu__cq_next(qp->send_cq), qp->qpn, wqe);
		e->stats.wc_success++;
		return;
	}
	remu__complete(e, qp, qp->send_cq,
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
		remu__req_complete(e, qp, REMU_WC_WR_FLUSH_ERR);
	remu__req_reset(e, qp, qp->req.next_psn);
}

static bool
wr_ok(const struct remu_wr *wr)
{
	if (wr->opcode >= REMU_WR_COUNT || wr->length > ROCE_DMA_LEN_MAX ||
		(wr->addr == NULL && wr->length != 0) ||
		(wr->flags & ~(REMU_WR_FENCE | REMU_WR_SOLICITED)) != 0)
		return false;
	if (wr->opcode == REMU_WR_CMP_SWAP || wr->opcode == REMU_WR_FETCH_ADD)
		return wr->length == REMU_ATOMIC_LEN;
	return true;
}

int
remu_qp_post(struct remu_engine *e, struct remu_qp *qp, const struct remu_wr *wr, uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	uint32_t tail = rq->tail, psn = rq->next_psn, n;
	struct remu_wqe *wqe;

	RTE_SET_USED(now);
	if (!wr_ok(wr))
		return -EINVAL;
	if (qp->state != REMU_QP_RTS && qp->state != REMU_QP_SQD && qp->state != REMU_QP_ERR)
		return -ENOTCONN;
	if (tail - rq->head == e->cfg.sq_depth || !remu__cq_reserve(qp, qp->send_cq))
		return -EAGAIN;
	wqe = remu__wqe(e, rq, tail);
	rq->tail = tail + 1;
	wqe->wr = *wr;
	n = remu__packets(wqe->wr.length, qp->path_mtu);
	wqe->first_psn = psn;
	wqe->n_psn = n;
	if (unlikely(qp->state == REMU_QP_ERR)) {
		remu__req_complete(e, qp, REMU_WC_WR_FLUSH_ERR);
		return 0;
	}
	rq->next_psn = remu_psn_add(psn, n);
	remu__qp_schedule(e, qp);
	return 0;
}

/* Whether the next packet that has not been sent before may go out. */
static bool
new_due(const struct remu_engine *e, const struct remu_qp *qp)
{
	const struct remu_requester *rq = &qp->req;
	const struct remu_wqe *wqe;
	uint32_t out = (uint32_t)remu_psn_diff(rq->sent_psn, rq->una_psn);
	uint32_t k, span;

	if (rq->cursor == rq->tail || (rq->waiting && rq->keeps <= 1))
		return false;
	wqe = remu__wqe(e, rq, rq->cursor);
	k = (uint32_t)remu_psn_diff(rq->sent_psn, wqe->first_psn);
	if (k == 0) {
		if (qp->state == REMU_QP_SQD)
			return false;
		if ((wqe->wr.flags & REMU_WR_FENCE) && rq->answers_out != 0)
			return false;
	}
	/* A window that has shrunk must not close before an acknowledgement has been asked for. */
	if (!remu__is_answered(wqe))
		return out < rq->window.now || (rq->unasked && out < rq->window.max);
	if (rq->answers_out >= rq->max_rd_atomic)
		return false;
	span = remu__read_span(rq, wqe, k);
	/* A window that has shrunk below a chunk must not stop READs for ever. */
	return out + span <= rq->window.now || out == 0;
}

bool
remu__req_has_output(const struct remu_engine *e, const struct remu_qp *qp)
{
	if ((qp->state != REMU_QP_RTS && qp->state != REMU_QP_SQD) || qp->req.rnr_until != 0)
		return false;
	return remu__redo_active(&qp->req) || new_due(e, qp);
}

bool
remu_qp_drained(const struct remu_qp *qp)
{
	const struct remu_requester *rq = &qp->req;

	return qp->state == REMU_QP_SQD && rq->una_psn == rq->sent_psn && !rq->begun;
}

static uint8_t
opcode_at(const struct remu_wqe *wqe, uint32_t k)
{
	uint8_t op = wqe->wr.opcode;

	if (wqe->n_psn == 1)
		return opcodes[op].only;
	if (k == 0)
		return opcodes[op].first;
	return k == wqe->n_psn - 1 ? opcodes[op].last : opcodes[op].middle;
}

/* Often enough within a long message that the window moves before it closes. */
static bool
asks(const struct remu_wqe *wqe, uint32_t k)
{
	return k == wqe->n_psn - 1 || k % REMU_ACK_EVERY == REMU_ACK_EVERY - 1 ||
		remu__is_answered(wqe);
}

/* What the packet of a work request at one PSN is to say. */
struct request {
	const uint8_t *payload;
	uint64_t va;
	uint32_t payload_len;
	uint32_t dma_len;
	uint32_t psn;
	uint8_t opcode;
	bool ackreq;
	bool solicited;
};

/* The long way, for what has no stencil. */
static __rte_noinline struct rte_mbuf *
encode_request(struct remu_engine *e, struct remu_qp *qp, const struct remu_wr *wr,
	const struct request *r)
{
	const struct roce_fields f = {
		.opcode = r->opcode,
		.migreq = true,
		.ackreq = r->ackreq,
		.solicited = r->solicited,
		.pkey = ROCE_PKEY_DEFAULT,
		.dest_qpn = qp->peer_qpn,
		.psn = r->psn,
		.va = r->va,
		.rkey = wr->rkey,
		.dma_len = r->dma_len,
		.imm = wr->imm,
		.swap_add = wr->swap_add,
		.compare = wr->compare,
	};
	uint8_t *payload;
	struct rte_mbuf *m = remu__frame_begin(e, qp, &f, r->payload_len, &payload);

	if (unlikely(m == NULL))
		return NULL;
	if (r->payload_len != 0)
		memcpy(payload, r->payload, r->payload_len);
	remu__frame_end(e, qp, m, payload, r->payload_len);
	return m;
}

static inline struct rte_mbuf *
stamp_request(struct remu_engine *e, const struct remu_stencil *st, const struct remu_wr *wr,
	const struct request *r)
{
	uint32_t traits = roce_ops[r->opcode].traits;
	struct rte_mbuf *m = remu__stamp_alloc(e);
	uint8_t *frame, *ext;

	if (unlikely(m == NULL))
		return NULL;
	frame = remu__stamp(e, st, m, r->psn, r->ackreq);
	ext = remu__stamp_extension(frame);
	if (traits & ROCE_T_RETH) {
		struct roce_reth *reth = (struct roce_reth *)ext;

		roce_store_be64(reth->va, r->va);
		roce_store_be32(reth->rkey, wr->rkey);
		roce_store_be32(reth->dma_len, r->dma_len);
		ext += sizeof(*reth);
	}
	if (traits & ROCE_T_IMM)
		roce_store_be32(ext, wr->imm);
	if (r->payload_len != 0)
		memcpy(frame + st->payload_off, r->payload, r->payload_len);
	remu__stamp_end(e, st, frame);
	return m;
}

static enum remu_stencil_kind
stencil_kind(const struct remu_wqe *wqe, uint32_t k)
{
	if (wqe->wr.opcode == REMU_WR_RDMA_READ)
		return REMU_ST_READ;
	if (k == 0)
		return REMU_ST_REQUEST;
	return k == wqe->n_psn - 1 ? REMU_ST_REQUEST_LAST : REMU_ST_REQUEST_MIDDLE;
}

/*
 * Make the packet of a work request at `psn`.
 *
 * @param ask   have it acknowledged even if it would not be
 * @param span  how many PSNs it covers
 * @return NULL: no mbuf
 */
static inline struct rte_mbuf *
make_request(struct remu_engine *e, struct remu_qp *qp, const struct remu_wqe *wqe, uint32_t psn,
	bool ask, uint32_t *span)
{
	const struct remu_wr *wr = &wqe->wr;
	uint32_t k = (uint32_t)remu_psn_diff(psn, wqe->first_psn);
	uint32_t offset = k * qp->path_mtu;
	uint32_t left = wr->length - offset;
	struct remu_stencil *st = &qp->stencils[stencil_kind(wqe, k)];
	struct request r = {
		.va = wr->remote_va + offset,
		.psn = psn,
		.opcode = opcode_at(wqe, k),
		.ackreq = ask || asks(wqe, k),
		.dma_len = wr->length,
	};
	struct rte_mbuf *m;

	*span = 1;
	if (wr->opcode == REMU_WR_RDMA_READ) {
		*span = remu__read_span(&qp->req, wqe, k);
		r.dma_len = RTE_MIN(left, *span * qp->path_mtu);
	} else if (!remu__is_atomic(wqe)) {
		r.payload_len = RTE_MIN(left, (uint32_t)qp->path_mtu);
		if (r.payload_len != 0) /* else there may be no buffer */
			r.payload = (const uint8_t *)wr->addr + offset;
		r.solicited = k == wqe->n_psn - 1 && wr->opcode != REMU_WR_RDMA_WRITE &&
			(wr->flags & REMU_WR_SOLICITED) != 0;
	}
	if (likely(st->key == remu__stencil_key(r.opcode, r.solicited, r.payload_len)) ||
		(!remu__is_atomic(wqe) &&
			remu__stencil_cut(st, &qp->flow, qp->peer_qpn, r.opcode, r.solicited,
				r.payload_len)))
		m = stamp_request(e, st, wr, &r);
	else
		m = encode_request(e, qp, wr, &r);
	qp->req.starved |= m == NULL;
	return m;
}

void
remu__req_arm(struct remu_engine *e, struct remu_qp *qp)
{
	const struct remu_requester *rq = &qp->req;
	uint64_t next = UINT64_MAX;

	if (rq->rnr_until != 0)
		next = rq->rnr_until;
	if (rq->deadline != 0)
		next = RTE_MIN(next, rq->deadline);
	if (rq->probe_at != 0)
		next = RTE_MIN(next, rq->probe_at);
	if (rq->doubt_at != 0)
		next = RTE_MIN(next, rq->doubt_at);
	/* The heap is touched only to fire earlier: an early entry is put off when it fires. */
	if (next != UINT64_MAX &&
		(!remu_timers_armed(&e->timers, qp->index) ||
			next < remu_timers_deadline(&e->timers, qp->index)))
		remu_timers_set(&e->timers, qp->index, next);
}

void
remu__req_wait(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	struct remu_requester *rq = &qp->req;

	rq->deadline = now + rq->timeout_ns;
	rq->probes = 0;
	rq->probe_at = 0;
	/* A bootstrap peer may not be there at all, and is asked again often enough. */
	if (rq->rtt.srtt_ns != 0 && !(e->cfg.disable & REMU_RECOVERY_PROBE) &&
		!(qp->flags & REMU_QP_BOOTSTRAP))
		rq->probe_at = now + remu_rtt_overdue(&rq->rtt, 0);
	remu__req_arm(e, qp);
}

/* Send again what is still needed at redo_psn. @return false when nothing is, or without mbufs */
static bool
redo(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **m)
{
	struct remu_requester *rq = &qp->req;

	while (remu__redo_active(rq)) {
		const struct remu_wqe *wqe = remu__wqe(e, rq, rq->redo_i);
		uint32_t psn = rq->redo_psn, span = 1;
		bool needed = !remu__settled(e, rq, wqe, psn);

		if (needed) {
			*m = make_request(e, qp, wqe, psn,
				rq->ask_first || remu_psn_add(psn, 1) == rq->redo_end, &span);
			if (unlikely(*m == NULL))
				return false;
			rq->ask_first = false;
			if (remu__is_answered(wqe)) {
				uint32_t end = remu_psn_add(psn, span);

				remu__bit_set(e, rq->restarts, psn, true);
				if (remu_psn_diff(end, rq->asked_end) > 0)
					rq->asked_end = end;
			}
			e->stats.retransmits++;
		}
		rq->redo_psn = remu_psn_add(psn, span);
		/* The rest of a chunk may reach beyond what was to be repeated. */
		if (remu_psn_diff(rq->redo_psn, rq->redo_end) > 0) {
			rq->redo_end = rq->redo_psn;
			rq->wait_end = rq->redo_end;
		}
		if (remu_psn_diff(rq->redo_psn, remu__wqe_last(wqe)) > 0)
			rq->redo_i++;
		if (needed)
			return true;
	}
	return false;
}

/* Send the packet at sent_psn. */
static bool
send_new(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **m, uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	const struct remu_wqe *wqe = remu__wqe(e, rq, rq->cursor);
	uint32_t out = (uint32_t)remu_psn_diff(rq->sent_psn, rq->una_psn);
	uint32_t k = (uint32_t)remu_psn_diff(rq->sent_psn, wqe->first_psn);
	bool ask = out + 1 >= rq->window.now;
	uint32_t span;

	*m = make_request(e, qp, wqe, rq->sent_psn, ask, &span);
	if (unlikely(*m == NULL))
		return false;
	if (rq->rtt_at == 0 && asks(wqe, k)) {
		rq->rtt_psn = rq->sent_psn;
		rq->rtt_at = now;
	}
	rq->unasked = !ask && !asks(wqe, k);
	rq->answers_out += remu__is_answered(wqe);
	rq->sent_psn = remu_psn_add(rq->sent_psn, span);
	if (!remu__redo_active(rq))
		rq->redo_psn = rq->redo_end = rq->sent_psn;
	rq->begun = remu_psn_diff(rq->sent_psn, remu__wqe_last(wqe)) <= 0;
	if (!rq->begun)
		rq->cursor++;
	return true;
}

/* Whether nothing stands between new requests and the wire but the window. */
static bool
is_plain(const struct remu_qp *qp)
{
	const struct remu_requester *rq = &qp->req;

	return qp->state == REMU_QP_RTS && !rq->begun && !rq->waiting && rq->rnr_until == 0 &&
		!remu__redo_active(rq);
}

/*
 * How many of the next requests make a row: READs or WRITEs of one packet and of the same length, to
 * which nothing stands in the way, and whose frames a stencil makes without filling them up.
 */
static uint32_t
row(const struct remu_engine *e, const struct remu_qp *qp, const struct remu_stencil *st,
	uint32_t key, uint32_t max)
{
	const struct remu_requester *rq = &qp->req;
	const struct remu_wqe *sq = rq->sq;
	uint32_t mask = e->cfg.sq_depth - 1, cursor = rq->cursor, n = 0;
	uint32_t length = sq[cursor & mask].wr.length;
	uint8_t opcode = sq[cursor & mask].wr.opcode;
	uint32_t out = (uint32_t)remu_psn_diff(rq->sent_psn, rq->una_psn);
	uint32_t count = RTE_MIN(rq->tail - cursor, max);

	if (out >= rq->window.now || length > qp->path_mtu || st->key != key || st->pad != 0)
		return 0;
	count = RTE_MIN(count, rq->window.now - out);
	if (opcode == REMU_WR_RDMA_READ) {
		if (rq->answers_out >= rq->max_rd_atomic)
			return 0;
		count = RTE_MIN(count, rq->max_rd_atomic - rq->answers_out);
	}
	for (; n < count; n++) {
		const struct remu_wr *wr = &sq[(cursor + n) & mask].wr;
		uint16_t opcode_and_flags;

		memcpy(&opcode_and_flags, &wr->opcode, sizeof(opcode_and_flags));
		if (opcode_and_flags != opcode || wr->length != length)
			break;
	}
	return n;
}

_Static_assert(offsetof(struct remu_wr, flags) == offsetof(struct remu_wr, opcode) + 1, "in one");

/* Make the frames of a row from `psn` on. @param payload_len  0 for READs */
static __rte_always_inline void
stamp_row(struct remu_engine *e, const struct remu_qp *qp, const struct remu_stencil *st,
	struct rte_mbuf **pkts, uint32_t n, uint32_t length, uint32_t payload_len)
{
	const struct remu_wqe *sq = qp->req.sq;
	uint32_t mask = e->cfg.sq_depth - 1, cursor = qp->req.cursor, psn = qp->req.sent_psn;

	for (uint32_t i = 0; i < n; i++) {
		const struct remu_wr *wr = &sq[(cursor + i) & mask].wr;
		uint8_t *frame = remu__stamp(e, st, pkts[i], remu_psn_add(psn, i), true);
		struct roce_reth *reth = (struct roce_reth *)remu__stamp_extension(frame);

		roce_store_be64(reth->va, wr->remote_va);
		roce_store_be32(reth->rkey, wr->rkey);
		roce_store_be32(reth->dma_len, length);
		if (payload_len != 0)
			remu__copy(frame + st->payload_off, wr->addr, payload_len);
		remu__stamp_seal(st, frame);
	}
	e->stats.tx_packets += n;
	e->stats.tx_bytes += (uint64_t)n * st->frame_len;
}

/*
 * The most common requests, in one go. What is different goes the ordinary way, with the same
 * frames.
 */
static uint16_t
send_row(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts, uint16_t max,
	uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	const struct remu_wr *first = &remu__wqe(e, rq, rq->cursor)->wr;
	bool read = first->opcode == REMU_WR_RDMA_READ;
	const struct remu_stencil *st = &qp->stencils[read ? REMU_ST_READ : REMU_ST_REQUEST];
	uint32_t n, length = first->length;

	if (!is_plain(qp) || rq->cursor == rq->tail ||
		(!read && (first->opcode != REMU_WR_RDMA_WRITE || length == 0)))
		return 0;
	n = row(e, qp, st,
		read ? remu__stencil_key(ROCE_READ_REQUEST, false, 0)
		     : remu__stencil_key(ROCE_WRITE_ONLY, false, length),
		max);
	if (n == 0 || rte_mempool_get_bulk(e->cfg.pool, (void **)pkts, n) != 0)
		return 0;
	if (read)
		stamp_row(e, qp, st, pkts, n, length, 0);
	else
		stamp_row(e, qp, st, pkts, n, length, length);
	if (rq->rtt_at == 0) {
		rq->rtt_psn = rq->sent_psn;
		rq->rtt_at = now;
	}
	rq->unasked = false;
	rq->answers_out += read ? n : 0;
	rq->cursor += n;
	rq->sent_psn = rq->redo_psn = rq->redo_end = remu_psn_add(rq->sent_psn, n);
	return (uint16_t)n;
}

uint16_t
remu__req_tx(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts, uint16_t max,
	uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	uint16_t n;

	if (max != 0)
		rq->starved = false; /* until it shows */
	n = send_row(e, qp, pkts, max, now);
	while ((rq->more = remu__req_has_output(e, qp)) && n < max) {
		if (remu__redo_active(rq)) {
			if (redo(e, qp, &pkts[n]))
				n++;
			else if (remu__redo_active(rq)) /* no mbuf */
				break;
		} else if (send_new(e, qp, &pkts[n], now)) {
			n++;
		} else {
			break;
		}
	}
	if (rq->deadline == 0 && rq->una_psn != rq->sent_psn && rq->rnr_until == 0)
		remu__req_wait(e, qp, now);
	return n;
}
