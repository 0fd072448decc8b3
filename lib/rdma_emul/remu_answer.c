/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Responder, sending side. Responses wait in a queue in the order of PSNs until the engine has room
 * to send, so an acknowledgement can never overtake READ data before it.
 */
#include "remu_priv.h"
#include "remu_stencil.h"

#include <string.h>

enum { CNP_TRAFFIC_CLASS = 48 << 2 /* DSCP that switches give CNPs priority by */ };

static struct remu_response *
queued(struct remu_responder *rs, uint32_t i)
{
	return &rs->queue[i & (REMU_RESP_QUEUE - 1)];
}

void
remu__resp_flush(struct remu_engine *e, struct remu_qp *qp)
{
	qp->resp.queue_head = qp->resp.queue_tail;
	qp->resp.answers_queued = 0;
	qp->resp.cnp_due = false;
	remu__hold_flush(e, qp);
}

bool
remu__resp_has_output(const struct remu_qp *qp)
{
	return qp->resp.queue_head != qp->resp.queue_tail || qp->resp.cnp_due;
}

void
remu__answer_push(struct remu_engine *e, struct remu_qp *qp, const struct remu_response *response)
{
	struct remu_responder *rs = &qp->resp;

	*queued(rs, rs->queue_tail++) = *response;
	rs->answers_queued += response->kind != REMU_RESP_ACK && !response->replay;
	remu__qp_schedule(e, qp);
}

/* The acknowledgement at the queue's end; NULL when there is none. */
static struct remu_response *
last_ack(struct remu_responder *rs)
{
	struct remu_response *last = queued(rs, rs->queue_tail - 1);

	return rs->queue_head != rs->queue_tail && last->kind == REMU_RESP_ACK &&
			last->syndrome == ROCE_SYN_ACK_NO_LIMIT
		? last
		: NULL;
}

void
remu__answer_raise(struct remu_qp *qp, uint32_t from)
{
	struct remu_response *last = last_ack(&qp->resp);

	if (last == NULL || remu_psn_diff(remu_psn_add(last->psn, 1), from) < 0)
		return;
	last->psn = remu_psn_add(qp->resp.epsn, REMU_PSN_MASK);
	last->msn = qp->resp.msn;
}

void
remu__answer_ack(struct remu_engine *e, struct remu_qp *qp, uint32_t psn)
{
	struct remu_responder *rs = &qp->resp;
	struct remu_response *last = last_ack(rs);

	/* One acknowledgement for all that arrived since the last one went out. */
	if (last != NULL) {
		if (remu_psn_diff(psn, last->psn) > 0)
			last->psn = psn;
		last->msn = rs->msn;
		return;
	}
	remu__answer_push(e, qp,
		&(struct remu_response){
			.psn = psn,
			.msn = rs->msn,
			.syndrome = ROCE_SYN_ACK_NO_LIMIT,
		});
}

void
remu__answer_nak(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, uint8_t syndrome)
{
	remu__answer_push(e, qp,
		&(struct remu_response){
			.psn = psn,
			.msn = qp->resp.msn,
			.syndrome = syndrome,
		});
}

/*
 * One that will go out before the repeated answer to an earlier READ does not count: the peer, if
 * it has gone back, drops it.
 */
bool
remu__answer_is_pending(const struct remu_qp *qp, uint32_t psn)
{
	const struct remu_responder *rs = &qp->resp;
	bool pending = false;

	for (uint32_t i = rs->queue_head; i != rs->queue_tail; i++) {
		const struct remu_response *r = &rs->queue[i & (REMU_RESP_QUEUE - 1)];
		int32_t k = remu_psn_diff(psn, r->psn);

		if (r->kind != REMU_RESP_ACK && k >= 0)
			pending = (uint32_t)k < remu__packets(r->left, qp->path_mtu);
	}
	return pending;
}

static uint8_t
opcode_of(const struct remu_response *r, uint16_t path_mtu)
{
	bool last = r->left <= path_mtu;

	if (r->kind == REMU_RESP_ACK)
		return ROCE_ACKNOWLEDGE;
	if (r->kind == REMU_RESP_ATOMIC)
		return ROCE_ATOMIC_ACKNOWLEDGE;
	if (r->first)
		return last ? ROCE_READ_RESPONSE_ONLY : ROCE_READ_RESPONSE_FIRST;
	return last ? ROCE_READ_RESPONSE_LAST : ROCE_READ_RESPONSE_MIDDLE;
}

/* The long way, for what has no stencil. */
static __rte_noinline struct rte_mbuf *
encode_response(struct remu_engine *e, struct remu_qp *qp, const struct remu_response *r,
	uint8_t opcode, uint32_t payload_len)
{
	struct roce_fields f = {
		.opcode = opcode,
		.migreq = true,
		.pkey = ROCE_PKEY_DEFAULT,
		.dest_qpn = qp->peer_qpn,
		.psn = r->psn,
		.syndrome = r->syndrome,
		.msn = r->msn,
		.swap_add = r->original,
	};
	struct rte_mbuf *m;
	uint8_t *payload;

	m = remu__frame_begin(e, qp, &f, payload_len, &payload);
	if (unlikely(m == NULL))
		return NULL;
	if (payload_len != 0)
		memcpy(payload, r->src, payload_len);
	remu__frame_end(e, qp, m, payload, payload_len);
	return m;
}

static inline struct rte_mbuf *
stamp_response(struct remu_engine *e, const struct remu_stencil *st, const struct remu_response *r,
	uint8_t opcode, uint32_t payload_len)
{
	struct rte_mbuf *m = remu__stamp_alloc(e);
	uint8_t *frame;

	if (unlikely(m == NULL))
		return NULL;
	frame = remu__stamp(e, st, m, r->psn, false);
	if (roce_ops[opcode].traits & ROCE_T_AETH)
		roce_store_be32(remu__stamp_extension(frame), (uint32_t)r->syndrome << 24 | r->msn);
	if (payload_len != 0)
		memcpy(frame + st->payload_off, r->src, payload_len);
	remu__stamp_end(e, st, frame);
	return m;
}

static enum remu_stencil_kind
stencil_kind(uint8_t opcode)
{
	switch (opcode) {
	case ROCE_ACKNOWLEDGE:
		return REMU_ST_ACK;
	case ROCE_READ_RESPONSE_MIDDLE:
		return REMU_ST_ANSWER_MIDDLE;
	case ROCE_READ_RESPONSE_LAST:
		return REMU_ST_ANSWER_LAST;
	default:
		return REMU_ST_ANSWER;
	}
}

/* Make the next packet of a response. NULL: no mbuf. */
static inline struct rte_mbuf *
make_response(struct remu_engine *e, struct remu_qp *qp, const struct remu_response *r)
{
	uint32_t payload_len = RTE_MIN(r->left, (uint32_t)qp->path_mtu);
	uint8_t opcode = opcode_of(r, qp->path_mtu);
	struct remu_stencil *st = &qp->stencils[stencil_kind(opcode)];

	if (likely(st->key == remu__stencil_key(opcode, false, payload_len)) ||
		(r->kind != REMU_RESP_ATOMIC &&
			remu__stencil_cut(st, &qp->flow, qp->peer_qpn, opcode, false, payload_len)))
		return stamp_response(e, st, r, opcode, payload_len);
	return encode_response(e, qp, r, opcode, payload_len);
}

/* Account for a packet of a response that has been made. @return whether the response is done */
static bool
advance(struct remu_engine *e, struct remu_qp *qp, struct remu_response *r)
{
	uint32_t sent;

	if (r->kind == REMU_RESP_ACK) {
		switch (r->syndrome & ROCE_SYN_TYPE_MASK) {
		case ROCE_SYN_NAK:
			e->stats.naks_sent++;
			break;
		case ROCE_SYN_RNR:
			e->stats.rnr_naks_sent++;
			break;
		default:
			e->stats.acks_sent++;
			break;
		}
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

	rs->answers_queued -= r->kind != REMU_RESP_ACK && !r->replay;
}

/*
 * The region of a READ was revoked while its answer waited. Before the first packet a NAK takes the
 * answer's place. Later it is silence: Soft-RoCE takes a NAK in the middle for the end of the data
 * and calls the READ a success.
 */
static void
revoked(struct remu_engine *e, struct remu_qp *qp, struct remu_response *r)
{
	struct remu_responder *rs = &qp->resp;
	bool fatal = !r->replay && !(qp->flags & REMU_QP_BOOTSTRAP) && qp->state != REMU_QP_ERR;

	e->stats.reads_revoked++;
	if (r->first && !r->replay) {
		rs->answers_queued--;
		*r = (struct remu_response){
			.psn = r->psn,
			.msn = rs->msn,
			.syndrome = ROCE_NAK_REMOTE_ACCESS,
		};
		if (fatal) /* what waits behind it must not say that it has gone well */
			rs->queue_tail = rs->queue_head + 1;
	} else if (fatal) {
		rs->queue_tail = rs->queue_head;
	} else {
		pop(rs);
	}
	if (fatal) {
		remu__hold_flush(e, qp);
		remu__qp_fail(e, qp);
		remu__complete_fatal(e, qp);
	}
}

static struct rte_mbuf *
make_cnp(struct remu_engine *e, struct remu_qp *qp)
{
	struct roce_fields f = {
		.opcode = ROCE_CNP,
		.migreq = true,
		.fecn_becn = ROCE_BTH_BECN,
		.pkey = ROCE_PKEY_DEFAULT,
		.dest_qpn = qp->peer_qpn,
	};
	uint8_t *payload;
	struct rte_mbuf *m = remu__frame_begin(e, qp, &f, 0, &payload);

	if (unlikely(m == NULL))
		return NULL;
	roce_set_traffic_class(&qp->flow, rte_pktmbuf_mtod(m, uint8_t *), CNP_TRAFFIC_CLASS);
	remu__frame_end(e, qp, m, payload, 0);
	e->stats.cnps_sent++;
	return m;
}

/*
 * The most common answers, in one go: those to READs of one packet and of the same length, each from a
 * region that is still there, whose frames a stencil makes without filling them up. What is different
 * goes the ordinary way, with the same frames.
 */
static uint16_t
send_row(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts, uint16_t max)
{
	struct remu_responder *rs = &qp->resp;
	const struct remu_stencil *st = &qp->stencils[REMU_ST_ANSWER];
	uint32_t head = rs->queue_head, length = queued(rs, head)->left, replays = 0;
	uint16_t count = (uint16_t)RTE_MIN(rs->queue_tail - head, (uint32_t)max), n = 0;

	if (length > qp->path_mtu || length == 0 || st->pad != 0 ||
		st->frame_len == ROCE_MIN_FRAME ||
		st->key != remu__stencil_key(ROCE_READ_RESPONSE_ONLY, false, length))
		return 0;
	for (; n < count; n++) {
		const struct remu_response *r = queued(rs, head + n);

		if (r->kind != REMU_RESP_READ || !r->first || r->left != length ||
			r->mr->generation != r->mr_generation)
			break;
	}
	if (n == 0 || rte_mempool_get_bulk(e->cfg.pool, (void **)pkts, n) != 0)
		return 0;
	for (uint16_t i = 0; i < n; i++) {
		const struct remu_response *r = queued(rs, head + i);
		uint8_t *frame = remu__stamp(e, st, pkts[i], r->psn, false);

		roce_store_be32(remu__stamp_extension(frame), (uint32_t)r->syndrome << 24 | r->msn);
		remu__copy(frame + st->payload_off, r->src, length);
		remu__stamp_seal(st, frame);
		replays += r->replay;
	}
	e->stats.tx_packets += n;
	e->stats.tx_bytes += (uint64_t)n * st->frame_len;
	rs->queue_head = head + n;
	rs->answers_queued -= n - replays;
	return n;
}

uint16_t
remu__resp_tx(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts, uint16_t max,
	uint64_t now)
{
	struct remu_responder *rs = &qp->resp;
	uint16_t n = 0;

	if (unlikely(rs->cnp_due) && max != 0) {
		pkts[0] = make_cnp(e, qp);
		if (pkts[0] == NULL)
			return 0;
		rs->cnp_due = false;
		n = 1;
	}
	if (n < max && rs->queue_head != rs->queue_tail)
		n += send_row(e, qp, pkts + n, max - n);
	while (n < max && rs->queue_head != rs->queue_tail) {
		struct remu_response *r = queued(rs, rs->queue_head);

		if (unlikely(r->mr != NULL && r->mr->generation != r->mr_generation)) {
			revoked(e, qp, r);
			continue;
		}
		pkts[n] = make_response(e, qp, r);
		if (unlikely(pkts[n] == NULL))
			break;
		n++;
		if (advance(e, qp, r))
			pop(rs);
	}
	/* Held requests may have waited for room in the queue. */
	if (unlikely(rs->n_held != 0) && !remu__answer_full(rs))
		remu__hold_drain(e, qp, now);
	return n;
}
