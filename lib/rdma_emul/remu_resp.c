/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Responder: requests of the peer to memory accesses and responses.
 *
 * A request is checked completely, then carried out, then answered: each check returns the reason
 * why the packet goes no further. Responses wait in a queue in PSN order until the engine has room
 * to send, so an acknowledgement can never overtake READ data before it.
 */
#include "remu_priv.h"

#include <string.h>

void
remu__resp_reset(struct remu_qp *qp, uint32_t rq_psn)
{
	memset(&qp->resp, 0, sizeof(qp->resp));
	qp->resp.epsn = rq_psn;
	qp->resp.synced = !(qp->flags & REMU_QP_BOOTSTRAP);
}

void
remu__resp_flush(struct remu_qp *qp)
{
	qp->resp.queue_head = qp->resp.queue_tail;
	qp->resp.reads_queued = 0;
}

bool
remu__resp_has_output(const struct remu_qp *qp)
{
	return qp->resp.queue_head != qp->resp.queue_tail;
}

static struct remu_response *
queued(struct remu_responder *rs, uint32_t i)
{
	return &rs->queue[i & (REMU_RESP_QUEUE - 1)];
}

static bool
queue_full(const struct remu_responder *rs)
{
	return rs->queue_tail - rs->queue_head == REMU_RESP_QUEUE;
}

/* The caller has seen to it that there is room. */
static void
push(struct remu_engine *e, struct remu_qp *qp, const struct remu_response *response)
{
	*queued(&qp->resp, qp->resp.queue_tail++) = *response;
	remu__qp_schedule(e, qp);
}

static void
push_ack(struct remu_engine *e, struct remu_qp *qp, uint32_t psn)
{
	struct remu_responder *rs = &qp->resp;
	struct remu_response *last = queued(rs, rs->queue_tail - 1);

	/* One acknowledgement for all that arrived since the last one went out. */
	if (remu__resp_has_output(qp) && !last->is_read &&
		last->syndrome == ROCE_SYN_ACK_NO_LIMIT) {
		if (remu_psn_diff(psn, last->psn) > 0)
			last->psn = psn;
		last->msn = rs->msn;
		return;
	}
	push(e, qp,
		&(struct remu_response){
			.psn = psn,
			.msn = rs->msn,
			.syndrome = ROCE_SYN_ACK_NO_LIMIT,
		});
}

static void
push_nak(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, enum roce_syndrome syndrome)
{
	push(e, qp,
		&(struct remu_response){
			.psn = psn,
			.msn = qp->resp.msn,
			.syndrome = (uint8_t)syndrome,
		});
}

/* Refuse a request for good. An ordinary queue pair ends here; a bootstrap one goes on. */
static enum remu_drop
refuse(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, enum remu_drop reason)
{
	push_nak(e, qp, psn,
		reason == REMU_DROP_ACCESS ? ROCE_NAK_REMOTE_ACCESS : ROCE_NAK_INVALID_REQUEST);
	qp->resp.in_write = false;
	if (!(qp->flags & REMU_QP_BOOTSTRAP)) {
		qp->state = REMU_QP_ERR;
		remu__req_flush(e, qp);
		remu__complete(e, qp->channel,
			&(struct remu_wc){.qpn = qp->qpn, .kind = REMU_WC_FATAL});
	}
	return reason;
}

static bool
mr_alive(const struct remu_mr *mr, uint32_t generation)
{
	return mr == NULL || mr->generation == generation;
}

static void
push_read(struct remu_engine *e, struct remu_qp *qp, const struct remu_mr *mr,
	const struct roce_packet *pkt, bool replay)
{
	push(e, qp,
		&(struct remu_response){
			.mr = mr,
			.src = mr != NULL ? remu__mr_addr(mr, pkt->f.va) : NULL,
			.mr_generation = mr != NULL ? mr->generation : 0,
			.psn = pkt->f.psn,
			.left = pkt->f.dma_len,
			.msn = qp->resp.msn,
			.syndrome = ROCE_SYN_ACK_NO_LIMIT,
			.is_read = true,
			.first = true,
			.replay = replay,
		});
	qp->resp.reads_queued += !replay;
}

/* The executed READ of which a duplicate request repeats all or the rest; NULL: none. */
static const struct remu_read_record *
find_read_record(const struct remu_qp *qp, const struct roce_packet *pkt)
{
	for (uint32_t i = 0; i < qp->resp.max_dest_rd_atomic; i++) {
		const struct remu_read_record *rec = &qp->resp.records[i];
		int32_t k = remu_psn_diff(pkt->f.psn, rec->psn);

		if (rec->n_psn == 0 || k < 0 || (uint32_t)k >= rec->n_psn)
			continue;
		if (pkt->f.rkey == rec->rkey && pkt->f.va == rec->va + (uint64_t)k * qp->path_mtu &&
			pkt->f.dma_len == rec->length - (uint32_t)k * qp->path_mtu)
			return rec;
	}
	return NULL;
}

/*
 * Whether an answer that covers this PSN is still to be sent anyway. One that will go out before
 * the repeated answer to an earlier READ does not count: the peer, who has gone back, drops it.
 */
static bool
answer_is_pending(struct remu_qp *qp, uint32_t psn)
{
	struct remu_responder *rs = &qp->resp;
	bool pending = false;

	for (uint32_t i = rs->queue_head; i != rs->queue_tail; i++) {
		const struct remu_response *r = queued(rs, i);
		int32_t k = remu_psn_diff(psn, r->psn);

		if (r->is_read && k >= 0)
			pending = (uint32_t)k < remu__packets(r->left, qp->path_mtu);
	}
	return pending;
}

/*
 * The PSN that acknowledges a duplicate WRITE: the last one executed, but none behind a READ that
 * follows the WRITE. The peer still misses that READ's answer, and would take the acknowledgement
 * for the sign that it was lost.
 */
static uint32_t
duplicate_ack_psn(const struct remu_qp *qp, uint32_t psn)
{
	uint32_t end = qp->resp.epsn;

	for (uint32_t i = 0; i < qp->resp.max_dest_rd_atomic; i++) {
		const struct remu_read_record *rec = &qp->resp.records[i];

		if (rec->n_psn != 0 && remu_psn_diff(rec->psn, psn) > 0 &&
			remu_psn_diff(rec->psn, end) < 0)
			end = rec->psn;
	}
	return remu_psn_add(end, REMU_PSN_MASK);
}

static enum remu_drop
on_duplicate(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt)
{
	const struct remu_mr *mr = NULL;

	if (pkt->op->traits & ROCE_T_READ) {
		if (find_read_record(qp, pkt) == NULL || answer_is_pending(qp, pkt->f.psn))
			return REMU_DROP_DUPLICATE;
		if (pkt->f.dma_len != 0) {
			mr = remu__mr_find(e, qp->pd, pkt->f.rkey, pkt->f.va, pkt->f.dma_len,
				REMU_ACCESS_REMOTE_READ);
			if (mr == NULL)
				return REMU_DROP_DUPLICATE;
		}
		push_read(e, qp, mr, pkt, true);
	} else if (pkt->op->traits & ROCE_T_WRITE) {
		if (!pkt->f.ackreq)
			return REMU_DROP_DUPLICATE;
		push_ack(e, qp, duplicate_ack_psn(qp, pkt->f.psn));
	} else {
		return REMU_DROP_DUPLICATE;
	}
	e->stats.duplicates++;
	return REMU_DROP_NONE;
}

static enum remu_drop
on_read(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt)
{
	struct remu_responder *rs = &qp->resp;
	const struct remu_mr *mr = NULL;
	uint32_t n_psn;

	if (rs->in_write || !(qp->access & REMU_ACCESS_REMOTE_READ) ||
		pkt->f.dma_len > ROCE_DMA_LEN_MAX || rs->reads_queued >= rs->max_dest_rd_atomic)
		return refuse(e, qp, pkt->f.psn, REMU_DROP_INVALID);
	if (pkt->f.dma_len != 0) {
		mr = remu__mr_find(e, qp->pd, pkt->f.rkey, pkt->f.va, pkt->f.dma_len,
			REMU_ACCESS_REMOTE_READ);
		if (mr == NULL)
			return refuse(e, qp, pkt->f.psn, REMU_DROP_ACCESS);
	}
	n_psn = remu__packets(pkt->f.dma_len, qp->path_mtu);
	rs->records[rs->next_record] = (struct remu_read_record){
		.va = pkt->f.va,
		.rkey = pkt->f.rkey,
		.length = pkt->f.dma_len,
		.psn = pkt->f.psn,
		.n_psn = n_psn,
	};
	rs->next_record = (rs->next_record + 1) % rs->max_dest_rd_atomic;
	rs->epsn = remu_psn_add(rs->epsn, n_psn);
	rs->nak_sent = false;
	/* A READ counts as completed when it is validated (C9-148). */
	rs->msn = remu_psn_add(rs->msn, 1);
	push_read(e, qp, mr, pkt, false);
	e->stats.reads_executed++;
	return REMU_DROP_NONE;
}

/* First packet of a WRITE: everything about the message is decided here. */
static enum remu_drop
begin_write(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt)
{
	struct remu_responder *rs = &qp->resp;
	bool only = pkt->op->traits & ROCE_T_ONLY;
	const struct remu_mr *mr = NULL;

	if (rs->in_write || !(qp->access & REMU_ACCESS_REMOTE_WRITE) ||
		pkt->f.dma_len > ROCE_DMA_LEN_MAX)
		return REMU_DROP_INVALID;
	if (only ? pkt->payload_len != pkt->f.dma_len || pkt->payload_len > qp->path_mtu
		 : pkt->payload_len != qp->path_mtu || pkt->f.dma_len <= qp->path_mtu)
		return REMU_DROP_INVALID;
	if (pkt->f.dma_len != 0) {
		mr = remu__mr_find(e, qp->pd, pkt->f.rkey, pkt->f.va, pkt->f.dma_len,
			REMU_ACCESS_REMOTE_WRITE);
		if (mr == NULL)
			return REMU_DROP_ACCESS;
	}
	rs->write_mr = mr;
	rs->write_mr_generation = mr != NULL ? mr->generation : 0;
	rs->write_dst = mr != NULL ? remu__mr_addr(mr, pkt->f.va) : NULL;
	rs->write_left = pkt->f.dma_len;
	return REMU_DROP_NONE;
}

static enum remu_drop
continue_write(const struct remu_qp *qp, const struct roce_packet *pkt)
{
	const struct remu_responder *rs = &qp->resp;
	bool last = pkt->op->traits & ROCE_T_LAST;

	if (!rs->in_write)
		return REMU_DROP_INVALID;
	if (last ? pkt->payload_len != rs->write_left || pkt->payload_len > qp->path_mtu
		 : pkt->payload_len != qp->path_mtu || rs->write_left <= qp->path_mtu)
		return REMU_DROP_INVALID;
	return mr_alive(rs->write_mr, rs->write_mr_generation) ? REMU_DROP_NONE : REMU_DROP_ACCESS;
}

static enum remu_drop
on_write(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt)
{
	struct remu_responder *rs = &qp->resp;
	uint16_t traits = pkt->op->traits;
	enum remu_drop drop;

	if (traits & (ROCE_T_FIRST | ROCE_T_ONLY))
		drop = begin_write(e, qp, pkt);
	else
		drop = continue_write(qp, pkt);
	if (drop != REMU_DROP_NONE)
		return refuse(e, qp, pkt->f.psn, drop);

	if (pkt->payload_len != 0) { /* else there may be no region */
		memcpy(rs->write_dst, pkt->payload, pkt->payload_len);
		rs->write_dst += pkt->payload_len;
	}
	rs->write_left -= pkt->payload_len;
	rs->in_write = !(traits & (ROCE_T_LAST | ROCE_T_ONLY));
	rs->epsn = remu_psn_add(rs->epsn, 1);
	rs->nak_sent = false;
	if (!rs->in_write) {
		rs->msn = remu_psn_add(rs->msn, 1);
		e->stats.writes_executed++;
	}
	if (pkt->f.ackreq)
		push_ack(e, qp, pkt->f.psn);
	return REMU_DROP_NONE;
}

/* Rule R8: a READ of exactly the status record takes the PSN over; it has no side effect. */
static bool
is_resync(const struct remu_engine *e, const struct remu_qp *qp, const struct roce_packet *pkt)
{
	const struct remu_mr *mr;

	if (!(qp->flags & REMU_QP_BOOTSTRAP) || pkt->f.opcode != ROCE_READ_REQUEST ||
		(qp->resp.synced && pkt->f.psn == qp->resp.epsn))
		return false;
	mr = remu__mr_find(e, qp->pd, pkt->f.rkey, pkt->f.va, pkt->f.dma_len,
		REMU_ACCESS_REMOTE_READ | REMU_ACCESS_RESYNC);
	/* A late copy of an answered READ must not turn the sequence back. */
	return mr != NULL && pkt->f.va == mr->cfg.va && pkt->f.dma_len == mr->cfg.length &&
		find_read_record(qp, pkt) == NULL;
}

enum remu_drop
remu__resp_request(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt)
{
	struct remu_responder *rs = &qp->resp;
	int32_t ahead;

	if (queue_full(rs))
		return REMU_DROP_RESP_BUSY;
	if (is_resync(e, qp, pkt)) {
		rs->epsn = pkt->f.psn;
		rs->synced = true;
		rs->in_write = false;
		e->stats.resyncs++;
	}
	if (!rs->synced) {
		/* A READ of anything but the status record: say so, or a wrong key looks like silence. */
		return pkt->op->traits & ROCE_T_READ ? refuse(e, qp, pkt->f.psn, REMU_DROP_ACCESS)
						     : REMU_DROP_NOT_SYNCED;
	}
	ahead = remu_psn_diff(pkt->f.psn, rs->epsn);
	if (ahead < 0)
		return on_duplicate(e, qp, pkt);
	if (ahead > 0) {
		if (!rs->nak_sent) {
			rs->nak_sent = true;
			push_nak(e, qp, rs->epsn, ROCE_NAK_PSN_SEQUENCE);
		}
		return REMU_DROP_PSN_AHEAD;
	}
	if (pkt->op->traits & ROCE_T_READ)
		return on_read(e, qp, pkt);
	if ((pkt->op->traits & (ROCE_T_WRITE | ROCE_T_IMM)) == ROCE_T_WRITE)
		return on_write(e, qp, pkt);
	return refuse(e, qp, pkt->f.psn, REMU_DROP_INVALID); /* SEND, immediate, atomics */
}

static uint8_t
read_response_opcode(const struct remu_response *r, uint16_t path_mtu)
{
	bool last = r->left <= path_mtu;

	if (r->first)
		return last ? ROCE_READ_RESPONSE_ONLY : ROCE_READ_RESPONSE_FIRST;
	return last ? ROCE_READ_RESPONSE_LAST : ROCE_READ_RESPONSE_MIDDLE;
}

/* Make the next packet of a response. NULL: no mbuf. */
static struct rte_mbuf *
make_response(struct remu_engine *e, struct remu_qp *qp, const struct remu_response *r)
{
	uint32_t payload_len = r->is_read ? RTE_MIN(r->left, (uint32_t)qp->path_mtu) : 0;
	struct roce_fields f = {
		.opcode = r->is_read ? read_response_opcode(r, qp->path_mtu) : ROCE_ACKNOWLEDGE,
		.migreq = true,
		.pkey = ROCE_PKEY_DEFAULT,
		.dest_qpn = qp->peer_qpn,
		.psn = r->psn,
		.syndrome = r->syndrome,
		.msn = r->msn,
	};
	struct rte_mbuf *m;
	uint8_t *payload;

	m = remu__frame_begin(e, qp, &f, payload_len, &payload);
	if (unlikely(m == NULL))
		return NULL;
	if (payload_len != 0)
		memcpy(payload, r->src, payload_len);
	remu__frame_end(e, m, payload, payload_len);
	return m;
}

/* Account for a packet of a response that has been made. @return whether the response is done */
static bool
advance(struct remu_engine *e, struct remu_qp *qp, struct remu_response *r)
{
	uint32_t sent;

	if (!r->is_read) {
		if ((r->syndrome & ROCE_SYN_TYPE_MASK) == ROCE_SYN_NAK)
			e->stats.naks_sent++;
		else
			e->stats.acks_sent++;
		return true;
	}
	sent = RTE_MIN(r->left, (uint32_t)qp->path_mtu);
	if (sent != 0)
		r->src += sent;
	r->left -= sent;
	r->psn = remu_psn_add(r->psn, 1);
	r->first = false;
	return r->left == 0;
}

static void
pop(struct remu_responder *rs)
{
	const struct remu_response *r = queued(rs, rs->queue_head++);

	rs->reads_queued -= r->is_read && !r->replay;
}

uint16_t
remu__resp_tx(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts, uint16_t max)
{
	struct remu_responder *rs = &qp->resp;
	uint16_t n = 0;

	while (n < max && remu__resp_has_output(qp)) {
		struct remu_response *r = queued(rs, rs->queue_head);

		if (!mr_alive(r->mr, r->mr_generation)) {
			/* Revoked while the READ waited: a NAK takes the place of the data. */
			uint32_t psn = r->psn;

			rs->reads_queued -= !r->replay;
			*r = (struct remu_response){
				.psn = psn,
				.msn = rs->msn,
				.syndrome = ROCE_NAK_REMOTE_ACCESS,
			};
			e->stats.drops[REMU_DROP_ACCESS]++;
		}
		pkts[n] = make_response(e, qp, r);
		if (unlikely(pkts[n] == NULL))
			break;
		n++;
		if (advance(e, qp, r))
			pop(rs);
	}
	return n;
}
