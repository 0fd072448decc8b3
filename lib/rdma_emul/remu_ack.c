/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requester, receiving side: responses to completions, and what to do when they do not come.
 *
 * A PSN is settled when the peer has carried out its request (WRITE, SEND) or its answer has
 * arrived (READ, atomic). Work requests complete in order as una_psn runs over settled PSNs. The
 * peer answers in the order of PSNs, so an answer tells that everything before it has been carried
 * out, and that answers to READs and atomics before it which have not arrived are lost.
 *
 * Four things make packets go out again: an answer missing before one that has arrived, a sequence
 * or RNR NAK, an answer overdue by the round-trip time (probe), and the timeout. All mark a range
 * [redo_psn, redo_end) of PSNs; the sending side leaves out what is settled.
 */
#include "remu_priv.h"
#include "roce_bytes.h"

#include <assert.h>
#include <string.h>

/* What is known of a peer's way to treat requests behind a gap; see on_selective(). */
enum { KEEPS_YES = 4, KEEPS_UNKNOWN = 1, PLAIN_NAKS = 16 };

/* The first failing work request gets the real status, all others are flushed. */
static void
fail_head(struct remu_engine *e, struct remu_qp *qp, enum remu_wc_status status)
{
	remu__req_complete(e, qp, status);
	remu__qp_fail(e, qp);
	if (qp->state == REMU_QP_ERR)
		remu__resp_flush(e, qp);
}

/* Send again what is needed of [una, end). */
static void
start_redo(struct remu_engine *e, struct remu_qp *qp, uint32_t end)
{
	struct remu_requester *rq = &qp->req;

	assert(remu_psn_diff(end, rq->una_psn) >= 0 && remu_psn_diff(end, rq->sent_psn) <= 0);
	rq->redo_psn = rq->una_psn;
	rq->redo_i = rq->head;
	rq->redo_end = end;
	rq->rtt_at = 0; /* an answer could be to either copy (Karn) */
	remu__qp_schedule(e, qp);
}

static void
go_back(struct remu_engine *e, struct remu_qp *qp)
{
	qp->req.waiting = false;
	qp->req.doubt_at = 0;
	start_redo(e, qp, qp->req.sent_psn);
}

static void
progress(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	struct remu_requester *rq = &qp->req;

	rq->retries_left = rq->retry_cnt;
	rq->rnr_left = rq->rnr_retry;
	if (rq->una_psn == rq->sent_psn) {
		rq->deadline = rq->probe_at = 0;
		rq->doubt_at = 0;
		rq->probe_asks = rq->waiting = false;
	} else if (rq->rnr_until == 0 && rq->deadline != now + rq->timeout_ns) {
		remu__req_wait(e, qp, now); /* once per burst */
	}
	remu__qp_schedule(e, qp);
}

/* The common part of settle(): WRITEs and SENDs in a row that are acknowledged whole. */
static inline void
settle_acked(struct remu_engine *e, struct remu_qp *qp)
{
	struct remu_requester *rq = &qp->req;
	struct remu_cq *cq = qp->send_cq;
	const struct remu_wqe *sq = rq->sq;
	struct remu_wc *entries = cq->entries;
	uint32_t head = rq->head, mask = e->cfg.sq_depth - 1;
	uint32_t tail = cq->tail, cq_mask = cq->mask, qpn = qp->qpn;
	uint32_t una = rq->una_psn, ack = rq->ack_psn, sent = rq->sent_psn;

	if (qp->channel != NULL || cq->armed)
		return;
	while (una != sent) {
		const struct remu_wqe *wqe = &sq[head & mask];
		uint32_t end = remu_psn_add(wqe->first_psn, wqe->n_psn);

		if (remu__is_answered(wqe) || remu_psn_diff(ack, end) < 0)
			break;
		remu__req_success(&entries[tail++ & cq_mask], qpn, wqe);
		una = end;
		head++;
	}
	assert(tail - cq->head <= cq_mask + 1); /* their places have been reserved */
	cq->tail = tail;
	e->stats.wc_success += head - rq->head;
	rq->head = head;
	rq->una_psn = una;
}

/* Move una_psn over what is settled, and complete what ends on the way. */
static void
settle(struct remu_engine *e, struct remu_qp *qp)
{
	struct remu_requester *rq = &qp->req;
	uint32_t before = rq->una_psn;

	settle_acked(e, qp);
	while (rq->una_psn != rq->sent_psn) {
		const struct remu_wqe *wqe = remu__wqe(e, rq, rq->head);
		uint32_t end = remu_psn_add(wqe->first_psn, wqe->n_psn);

		/* An answer settles its PSN; and PSNs far behind would compare as ahead. */
		if (remu_psn_diff(rq->ack_psn, rq->una_psn) < 0)
			rq->ack_psn = rq->una_psn;
		if (remu__is_answered(wqe)) {
			while (rq->una_psn != end && remu__bit(e, rq->got, rq->una_psn)) {
				uint32_t k = (uint32_t)remu_psn_diff(rq->una_psn, wqe->first_psn);

				remu__bit_set(e, rq->got, rq->una_psn, false);
				remu__bit_set(e, rq->restarts, rq->una_psn, false);
				rq->answers_out -= remu__read_span(rq, wqe, k) == 1;
				rq->una_psn = remu_psn_add(rq->una_psn, 1);
			}
		} else if (remu_psn_diff(rq->ack_psn, end) >= 0) {
			rq->una_psn = end;
		} else if (remu_psn_diff(rq->ack_psn, rq->una_psn) > 0) {
			rq->una_psn = rq->ack_psn;
		}
		if (rq->una_psn != end)
			break;
		remu__req_complete(e, qp, REMU_WC_SUCCESS);
	}
	remu_window_acked(&rq->window, (uint32_t)remu_psn_diff(rq->una_psn, before));
	/* What was to be repeated, or asked for again, may have come from the first copy. */
	if (remu_psn_diff(rq->redo_end, rq->una_psn) <= 0)
		rq->redo_psn = rq->redo_end = rq->una_psn;
	if (remu_psn_diff(rq->redo_psn, rq->una_psn) <= 0) {
		rq->redo_psn = rq->una_psn;
		rq->redo_i = rq->head;
	}
	if (remu_psn_diff(rq->asked_end, rq->una_psn) < 0)
		rq->asked_end = rq->una_psn;
}

static void
measure(struct remu_requester *rq, uint32_t psn, uint64_t now)
{
	if (rq->rtt_at == 0 || remu_psn_diff(psn, rq->rtt_psn) < 0)
		return;
	remu_rtt_sample(&rq->rtt, now - rq->rtt_at);
	rq->rtt_at = 0;
}

/*
 * One request was repeated after a NAK, and now the peer has answered it. If it has answered more,
 * it has kept what came behind the gap. Otherwise, if there is more, perhaps not: unless another NAK
 * follows on its heels, the rest is repeated too, as plain go-back-N does. Twice in vain, and it is
 * not tried any more.
 */
static void
on_selective(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	uint32_t reached = remu_psn_diff(rq->ack_psn, rq->una_psn) > 0 ? rq->ack_psn : rq->una_psn;

	if (!rq->waiting || remu_psn_diff(reached, rq->wait_end) < 0)
		return;
	if (reached == rq->wait_end && reached != rq->sent_psn) {
		if (rq->doubt_at == 0)
			rq->doubt_at = RTE_MAX(now + rq->rtt.srtt_ns / 4, UINT64_C(1));
		remu__req_arm(e, qp);
		return;
	}
	rq->waiting = false;
	rq->doubt_at = 0;
	if (reached != rq->wait_end)
		rq->keeps = KEEPS_YES;
}

/* The peer has carried out everything before `psn`. @return whether that was news */
static bool
acknowledge(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, uint64_t now)
{
	struct remu_requester *rq = &qp->req;

	if (remu_psn_diff(psn, rq->ack_psn) <= 0)
		return false;
	/* Beyond what was repeated so far: it has come from the first copies. */
	if (rq->keeps < KEEPS_UNKNOWN && remu__redo_active(rq) &&
		remu_psn_diff(psn, rq->redo_psn) > 0 &&
		remu_psn_diff(rq->ack_psn, rq->redo_psn) <= 0)
		rq->keeps = KEEPS_YES;
	rq->ack_psn = psn;
	rq->nak_seen = false;
	/* A copy sent before the RNR NAK came has found a receive request: no need to wait. */
	if (remu_psn_diff(psn, rq->nak_psn) > 0)
		rq->rnr_until = 0;
	settle(e, qp);
	on_selective(e, qp, now);
	return true;
}

/*
 * An answer that should have come before `psn` has not. Ask for it again at once, but once: a
 * second time only when something shows that the repetition has been answered too (`again`).
 */
static void
ask_again(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, bool again)
{
	struct remu_requester *rq = &qp->req;

	if (rq->rnr_until != 0)
		return;
	if (!again && remu_psn_diff(rq->una_psn, rq->asked_end) < 0)
		return;
	if (remu__redo_active(rq) && rq->redo_psn == rq->una_psn)
		return;
	if (e->cfg.disable & REMU_RECOVERY_READ) {
		rq->asked_end = remu_psn_add(rq->una_psn, 1);
		go_back(e, qp);
		return;
	}
	rq->asked_end = psn;
	/* Not to cut short a longer repetition that has begun. */
	if (remu__redo_active(rq) && remu_psn_diff(rq->redo_end, psn) > 0)
		psn = rq->redo_end;
	start_redo(e, qp, psn);
}

/* Whether an answer to a READ or an atomic is missing before `psn`. */
static bool
missing_before(const struct remu_requester *rq, uint32_t psn)
{
	return remu_psn_diff(psn, rq->una_psn) > 0;
}

/*
 * Whether an acknowledgement can be the answer to a probe, and not a late one to the first copies.
 * Then what was sent before the probe and is not acknowledged now has not arrived.
 */
static bool
answers_probe(const struct remu_requester *rq, uint64_t now)
{
	return rq->probe_asks && now - rq->probe_sent >= rq->rtt.srtt_ns / 2;
}

static enum remu_drop
on_ack(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	uint32_t end = remu_psn_add(psn, 1);

	measure(rq, psn, now);
	if (acknowledge(e, qp, end, now)) {
		bool answered = answers_probe(rq, now);

		progress(e, qp, now);
		if (answered) {
			rq->probe_asks = false;
			if (remu_psn_diff(rq->probe_end, rq->una_psn) > 0 && !rq->waiting)
				start_redo(e, qp, rq->probe_end);
		}
	}
	if (missing_before(rq, end))
		ask_again(e, qp, end, false);
	return REMU_DROP_NONE;
}

/* Repeat from `psn` on: the peer has got all before it, and not this. */
static void
recover(struct remu_engine *e, struct remu_qp *qp, uint32_t psn)
{
	struct remu_requester *rq = &qp->req;

	if (remu_psn_diff(psn, rq->una_psn) < 0)
		return;
	if (e->cfg.disable & REMU_RECOVERY_SELECTIVE) {
		go_back(e, qp);
		return;
	}
	if (rq->keeps < 0) {
		/* Bad luck can look like a plain peer: see again from time to time. */
		if (++rq->plain_naks % PLAIN_NAKS != 0) {
			go_back(e, qp);
			return;
		}
		rq->keeps = 0;
	}
	rq->nak_psn = psn;
	rq->wait_end = remu_psn_add(psn, 1);
	rq->doubt_at = 0;
	rq->waiting = true;
	start_redo(e, qp, remu_psn_add(psn, 1));
}

static void
on_sequence_nak(struct remu_engine *e, struct remu_qp *qp, uint32_t psn)
{
	struct remu_requester *rq = &qp->req;

	if (rq->rnr_until != 0 || (rq->nak_seen && rq->nak_psn == psn))
		return; /* a copy; or the peer has asked us to wait */
	rq->nak_seen = true;
	rq->nak_psn = psn;
	recover(e, qp, psn);
}

static void
on_rnr_nak(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt, uint64_t now)
{
	struct remu_requester *rq = &qp->req;

	if (rq->rnr_until != 0)
		return;
	if (rq->rnr_retry != REMU_RNR_RETRY_EVER) {
		if (rq->rnr_left == 0 && missing_before(rq, pkt->f.psn)) {
			ask_again(e, qp, pkt->f.psn, false);
			return;
		}
		if (rq->rnr_left == 0) {
			fail_head(e, qp, REMU_WC_RNR_RETRY_EXC_ERR);
			return;
		}
		rq->rnr_left--;
	}
	rq->nak_psn = pkt->f.psn;
	rq->rnr_until = now + remu__rnr_ns(pkt->f.syndrome & ROCE_SYN_VALUE_MASK);
	rq->deadline = rq->probe_at = rq->doubt_at = 0;
	rq->redo_psn = rq->redo_end = rq->sent_psn;
	rq->redo_i = rq->cursor;
	rq->rtt_at = 0;
	remu__req_arm(e, qp);
}

static enum remu_drop
on_nak(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt, uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	enum remu_wc_status status = REMU_WC_SUCCESS;
	bool rnr = (pkt->f.syndrome & ROCE_SYN_TYPE_MASK) == ROCE_SYN_RNR;

	if (rnr)
		e->stats.rnr_naks_received++;
	else if (pkt->f.syndrome == ROCE_NAK_INVALID_REQUEST)
		status = REMU_WC_REM_INV_REQ_ERR;
	else if (pkt->f.syndrome == ROCE_NAK_REMOTE_ACCESS)
		status = REMU_WC_REM_ACCESS_ERR;
	else if (pkt->f.syndrome == ROCE_NAK_REMOTE_OPERATION)
		status = REMU_WC_REM_OP_ERR;
	else if (pkt->f.syndrome != ROCE_NAK_PSN_SEQUENCE)
		return REMU_DROP_SYNDROME;
	e->stats.naks_received += !rnr;
	if (remu_psn_diff(pkt->f.psn, rq->ack_psn) < 0)
		return REMU_DROP_RESP_STALE; /* overtaken by what came after it */
	/* Everything before the PSN of a NAK has been carried out. */
	if (acknowledge(e, qp, pkt->f.psn, now))
		progress(e, qp, now);
	if (remu_psn_diff(pkt->f.psn, rq->una_psn) < 0)
		return REMU_DROP_RESP_STALE; /* a READ that has been answered since */
	if (!rnr && status == REMU_WC_SUCCESS) {
		on_sequence_nak(e, qp, pkt->f.psn);
	} else if (rnr) {
		on_rnr_nak(e, qp, pkt, now);
	} else if (missing_before(rq, pkt->f.psn)) {
		ask_again(e, qp, pkt->f.psn, false);
	} else {
		fail_head(e, qp, status);
	}
	return REMU_DROP_NONE;
}

/* The work request that owns a PSN of [una, sent). */
static const struct remu_wqe *
owner(const struct remu_engine *e, const struct remu_requester *rq, uint32_t psn, bool *is_head)
{
	uint32_t first = 0, n = rq->cursor - rq->head;

	while (n != 0) { /* the one that is sought is among `first` to `first + n` */
		uint32_t half = n / 2;

		if (remu_psn_diff(psn, remu__wqe_last(remu__wqe(e, rq, rq->head + first + half))) >
			0) {
			first += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	*is_head = first == 0;
	return remu__wqe(e, rq, rq->head + first);
}

/*
 * Whether a READ response is what must come at its PSN. A repeated request may be answered as a
 * READ of its own (First or Only, section 9.7.5.1.3), or as the rest of the first one (Middle or
 * Last: Soft-RoCE).
 */
static enum remu_wc_status
check_read_response(const struct remu_engine *e, const struct remu_qp *qp,
	const struct remu_wqe *wqe, const struct roce_packet *pkt, uint32_t k)
{
	const struct remu_requester *rq = &qp->req;
	uint32_t traits = pkt->op->traits;
	bool ends = remu__read_span(rq, wqe, k) == 1;
	bool starts = (k & (rq->chunk - 1)) == 0;
	uint32_t want = RTE_MIN(wqe->wr.length - k * qp->path_mtu, (uint32_t)qp->path_mtu);

	if (!(traits & ROCE_T_READ) || ends != ((traits & (ROCE_T_LAST | ROCE_T_ONLY)) != 0))
		return REMU_WC_BAD_RESP_ERR;
	if (traits & (ROCE_T_FIRST | ROCE_T_ONLY)) {
		if (!starts && !remu__bit(e, rq->restarts, pkt->f.psn))
			return REMU_WC_BAD_RESP_ERR;
	} else if (starts) {
		return REMU_WC_BAD_RESP_ERR;
	}
	return pkt->payload_len == want ? REMU_WC_SUCCESS : REMU_WC_LOC_LEN_ERR;
}

static enum remu_wc_status
check_response(const struct remu_engine *e, const struct remu_qp *qp, const struct remu_wqe *wqe,
	const struct roce_packet *pkt, uint32_t k)
{
	if (remu__is_atomic(wqe))
		return pkt->f.opcode == ROCE_ATOMIC_ACKNOWLEDGE ? REMU_WC_SUCCESS
								: REMU_WC_BAD_RESP_ERR;
	return check_read_response(e, qp, wqe, pkt, k);
}

static void
store_response(const struct remu_qp *qp, const struct remu_wqe *wqe, const struct roce_packet *pkt,
	uint32_t k)
{
	if (remu__is_atomic(wqe))
		memcpy(wqe->wr.addr, &pkt->f.swap_add, REMU_ATOMIC_LEN);
	else if (pkt->payload_len != 0)
		memcpy((uint8_t *)wqe->wr.addr + (size_t)k * qp->path_mtu, pkt->payload,
			pkt->payload_len);
}

/*
 * The common answer, whole in one packet, to the oldest request under way: in one step what on_data()
 * and settle() do of it. @return false: nothing has been done
 */
static inline bool
take_whole_read(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	const struct remu_wqe *wqe = remu__wqe(e, rq, rq->head);
	uint32_t psn = pkt->f.psn;

	if (psn != rq->una_psn || pkt->f.opcode != ROCE_READ_RESPONSE_ONLY ||
		(pkt->f.syndrome & ROCE_SYN_TYPE_MASK) != ROCE_SYN_ACK ||
		wqe->wr.opcode != REMU_WR_RDMA_READ || wqe->n_psn != 1 ||
		pkt->payload_len != wqe->wr.length || rq->waiting || remu__redo_active(rq))
		return false;
	if (pkt->payload_len != 0)
		remu__copy(wqe->wr.addr, pkt->payload, pkt->payload_len);
	remu__bit_set(e, rq->restarts, psn, false);
	rq->answers_out--;
	rq->una_psn = remu_psn_add(psn, 1);
	rq->redo_psn = rq->redo_end = rq->una_psn;
	rq->redo_i = rq->head + 1;
	if (remu_psn_diff(rq->ack_psn, rq->una_psn) < 0)
		rq->ack_psn = rq->una_psn;
	if (remu_psn_diff(rq->asked_end, rq->una_psn) < 0)
		rq->asked_end = rq->una_psn;
	measure(rq, psn, now);
	remu__req_complete(e, qp, REMU_WC_SUCCESS);
	remu_window_acked(&rq->window, 1);
	/* What comes behind it may have arrived before it. */
	if (rq->una_psn != rq->sent_psn &&
		(rq->ack_psn != rq->una_psn || remu__bit(e, rq->got, rq->una_psn)))
		settle(e, qp);
	progress(e, qp, now);
	return true;
}

/* READ response or atomic acknowledge. */
static enum remu_drop
on_data(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt, uint64_t now)
{
	struct remu_requester *rq = &qp->req;
	uint32_t psn = pkt->f.psn, k;
	enum remu_wc_status status;
	const struct remu_wqe *wqe;
	bool is_head;

	if ((pkt->op->traits & ROCE_T_AETH) &&
		(pkt->f.syndrome & ROCE_SYN_TYPE_MASK) != ROCE_SYN_ACK)
		return REMU_DROP_SYNDROME;
	if (!remu__is_answered(owner(e, rq, psn, &is_head)))
		return REMU_DROP_RESP_STALE;
	/* It acknowledges the WRITEs and SENDs before it. */
	if (acknowledge(e, qp, psn, now))
		progress(e, qp, now);
	if (remu__bit(e, rq->got, psn)) {
		/* Copies of what came behind a gap: if they are the answer to our repetition, the
		 * gap is in that answer too. */
		if (remu_psn_diff(psn, rq->asked_end) < 0)
			ask_again(e, qp, psn, true);
		return REMU_DROP_RESP_STALE;
	}
	wqe = owner(e, rq, psn, &is_head);
	if ((e->cfg.disable & REMU_RECOVERY_READ) && psn != rq->una_psn) {
		ask_again(e, qp, psn, false);
		return REMU_DROP_RESP_GAP;
	}
	k = (uint32_t)remu_psn_diff(psn, wqe->first_psn);
	status = check_response(e, qp, wqe, pkt, k);
	if (status != REMU_WC_SUCCESS) {
		/* Behind others that may still end well: asked for again when its turn has come. */
		if (is_head)
			fail_head(e, qp, status);
		return REMU_DROP_RESP_BAD;
	}
	store_response(qp, wqe, pkt, k);
	remu__bit_set(e, rq->got, psn, true);
	measure(rq, psn, now);
	settle(e, qp);
	on_selective(e, qp, now);
	progress(e, qp, now);
	if (missing_before(rq, psn))
		ask_again(e, qp, psn, false);
	return REMU_DROP_NONE;
}

/*
 * Rule R8: a bootstrap peer that asks for a PSN outside of what is under way follows another
 * sequence than ours (a late copy of an old READ took it back), and repeating a WRITE cannot help.
 * A READ mends it by itself.
 */
static bool
is_sequence_lost(const struct remu_engine *e, const struct remu_qp *qp,
	const struct roce_packet *pkt)
{
	const struct remu_requester *rq = &qp->req;

	return (qp->flags & REMU_QP_BOOTSTRAP) && pkt->f.opcode == ROCE_ACKNOWLEDGE &&
		pkt->f.syndrome == ROCE_NAK_PSN_SEQUENCE && rq->una_psn != rq->sent_psn &&
		!remu__is_answered(remu__wqe(e, rq, rq->head));
}

enum remu_drop
remu__req_response(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	uint64_t now)
{
	const struct remu_requester *rq = &qp->req;

	if (qp->state != REMU_QP_RTS && qp->state != REMU_QP_SQD)
		return REMU_DROP_QP_STATE;
	/* Only what is outstanding can be answered: [una, sent). */
	if (remu_psn_diff(pkt->f.psn, rq->una_psn) < 0 ||
		remu_psn_diff(pkt->f.psn, rq->sent_psn) >= 0) {
		if (!is_sequence_lost(e, qp, pkt))
			return REMU_DROP_RESP_STALE;
		e->stats.naks_received++;
		fail_head(e, qp, REMU_WC_RETRY_EXC_ERR);
		return REMU_DROP_NONE;
	}
	if (take_whole_read(e, qp, pkt, now))
		return REMU_DROP_NONE;
	if (pkt->f.opcode != ROCE_ACKNOWLEDGE)
		return on_data(e, qp, pkt, now);
	switch (pkt->f.syndrome & ROCE_SYN_TYPE_MASK) {
	case ROCE_SYN_ACK:
		return on_ack(e, qp, pkt->f.psn, now);
	case ROCE_SYN_RNR:
	case ROCE_SYN_NAK:
		return on_nak(e, qp, pkt, now);
	default:
		return REMU_DROP_SYNDROME;
	}
}

/* The peer must answer the oldest packet: with an acknowledgement of all it has, or with a NAK. */
static void
probe(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	struct remu_requester *rq = &qp->req;

	rq->probe_at = now + remu_rtt_overdue(&rq->rtt, ++rq->probes);
	if (remu__redo_active(rq))
		return;
	e->stats.probes++;
	rq->probe_asks = true;
	rq->probe_end = rq->sent_psn;
	rq->probe_sent = now;
	rq->nak_seen = false;
	start_redo(e, qp, remu_psn_add(rq->una_psn, 1));
}

static void
time_out(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	struct remu_requester *rq = &qp->req;

	/* What the peer should answer is still here: it is not to blame. */
	if (rq->starved && remu__req_has_output(e, qp)) {
		rq->deadline = now + rq->timeout_ns;
		return;
	}
	e->stats.timeouts++;
	if (rq->retries_left == 0) {
		fail_head(e, qp, REMU_WC_RETRY_EXC_ERR);
		return;
	}
	rq->retries_left--;
	rq->nak_seen = rq->probe_asks = false;
	rq->asked_end = rq->una_psn;
	/* If a part of the repetition is lost again and again, what has arrived must count. */
	rq->ask_first = rq->retries_left + 1 < rq->retry_cnt;
	go_back(e, qp);
	remu__req_wait(e, qp, now);
}

void
remu__req_again(struct remu_engine *e, struct remu_qp *qp)
{
	if (qp->req.una_psn != qp->req.sent_psn && qp->req.rnr_until == 0)
		go_back(e, qp);
}

void
remu__req_timeout(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	struct remu_requester *rq = &qp->req;

	if (rq->rnr_until != 0 && rq->rnr_until <= now) {
		rq->rnr_until = 0;
		recover(e, qp, rq->nak_psn);
		if (rq->una_psn != rq->sent_psn)
			remu__req_wait(e, qp, now);
		remu__qp_schedule(e, qp);
	}
	if (rq->doubt_at != 0 && rq->doubt_at <= now) {
		rq->keeps--;
		go_back(e, qp);
	}
	if (rq->deadline != 0 && rq->deadline <= now)
		time_out(e, qp, now);
	else if (rq->probe_at != 0 && rq->probe_at <= now)
		probe(e, qp, now);
	remu__req_arm(e, qp);
}

void
remu__req_cnp(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	e->stats.cnps_received++;
	remu_window_cut(&qp->req.window, now, qp->req.rtt.srtt_ns);
}
