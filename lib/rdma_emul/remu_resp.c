/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Responder, receiving side: requests of the peer to memory accesses and responses.
 *
 * A request is checked completely, then carried out, then answered: each check returns the reason
 * why the packet goes no further. The order of the checks decides which error the peer sees: order
 * of opcodes, rights of the queue pair, room (receive requests, READs under way), lengths, region
 * (section 9.7.4.1).
 */
#include "remu_limit.h"
#include "remu_priv.h"
#include "remu_shortcut.h"

#include <string.h>

enum {
	REACK_BURST = 64,	   /* NAKs and repeated ACKs at once */
	REPLAY_BURST_NS = 8000000, /* READ data sent again at once, in time at the limit */
};

void
remu__resp_reset(struct remu_engine *e, struct remu_qp *qp, uint32_t rq_psn)
{
	struct remu_responder *rs = &qp->resp;

	remu__resp_flush(e, qp);
	rs->epsn = rq_psn;
	rs->msn = 0;
	rs->message = REMU_MSG_NONE;
	rs->synced = !(qp->flags & REMU_QP_BOOTSTRAP);
	rs->nak_sent = false;
	rs->cnp_after = 0;
	rs->next_record = 0;
	memset(rs->records, 0, rs->max_dest_rd_atomic * sizeof(rs->records[0]));
}

/* Whether the limits admit another NAK or repeated acknowledgement. */
static bool
may_answer(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	return remu_limit_pass(&qp->resp.reack_paid, now, e->reack_cost_ns,
		REACK_BURST * e->reack_cost_ns);
}

enum remu_drop
remu__resp_sequence_nak(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	struct remu_responder *rs = &qp->resp;

	if (rs->nak_sent)
		return REMU_DROP_PSN_AHEAD;
	if (!may_answer(e, qp, now))
		return REMU_DROP_RATE;
	rs->nak_sent = true;
	remu__answer_nak(e, qp, rs->epsn, ROCE_NAK_PSN_SEQUENCE);
	return REMU_DROP_PSN_AHEAD;
}

/* Refuse a request for good. An ordinary queue pair ends here; a bootstrap one goes on. */
static enum remu_drop
refuse(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, enum remu_drop reason, uint64_t now)
{
	bool bootstrap = qp->flags & REMU_QP_BOOTSTRAP;

	if (may_answer(e, qp, now))
		remu__answer_nak(e, qp, psn,
			reason == REMU_DROP_ACCESS ? ROCE_NAK_REMOTE_ACCESS
						   : ROCE_NAK_INVALID_REQUEST);
	else if (bootstrap)
		reason = REMU_DROP_RATE;
	qp->resp.message = REMU_MSG_NONE;
	if (!bootstrap) {
		remu__qp_fail(e, qp);
		remu__complete_fatal(e, qp);
	}
	return reason;
}

/* RNR NAK: the peer repeats this request later, and all behind it. */
static enum remu_drop
not_ready(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, uint64_t now)
{
	struct remu_responder *rs = &qp->resp;

	if (!may_answer(e, qp, now))
		return REMU_DROP_RATE;
	rs->nak_sent = true;
	remu__answer_nak(e, qp, psn, ROCE_SYN_RNR | rs->rnr_code);
	return REMU_DROP_RNR;
}

/* The expected request was good: the sequence goes on behind it. */
static void
expect_next(struct remu_responder *rs, uint32_t n_psn)
{
	rs->epsn = remu_psn_add(rs->epsn, n_psn);
	rs->nak_sent = false;
}

static void
count_message(struct remu_responder *rs)
{
	rs->msn = remu_psn_add(rs->msn, 1);
}

static inline void
push_read(struct remu_engine *e, struct remu_qp *qp, const struct remu_mr *mr, uint32_t psn,
	uint64_t va, uint32_t length, bool replay)
{
	remu__answer_push(e, qp,
		&(struct remu_response){
			.mr = mr,
			.src = mr != NULL ? remu__mr_addr(mr, va) : NULL,
			.mr_generation = mr != NULL ? mr->generation : 0,
			.psn = psn,
			.left = length,
			.msn = qp->resp.msn,
			.syndrome = ROCE_SYN_ACK_NO_LIMIT,
			.kind = REMU_RESP_READ,
			.first = true,
			.replay = replay,
		});
}

static void
push_atomic(struct remu_engine *e, struct remu_qp *qp, const struct remu_record *rec, bool replay)
{
	remu__answer_push(e, qp,
		&(struct remu_response){
			.original = rec->original,
			.psn = rec->psn,
			.msn = qp->resp.msn,
			.syndrome = ROCE_SYN_ACK_NO_LIMIT,
			.kind = REMU_RESP_ATOMIC,
			.first = true,
			.replay = replay,
		});
}

/* Whether a duplicate request repeats all of an executed one, or, of a READ, the rest. */
static bool
repeats(const struct remu_qp *qp, const struct remu_record *rec, const struct roce_packet *pkt)
{
	int32_t k = remu_psn_diff(pkt->f.psn, rec->psn);
	uint64_t offset = (uint64_t)(uint32_t)k * qp->path_mtu;

	if (rec->n_psn == 0 || k < 0 || (uint32_t)k >= rec->n_psn)
		return false;
	if (pkt->f.opcode != rec->opcode || pkt->f.rkey != rec->rkey ||
		pkt->f.va != rec->va + offset)
		return false;
	return !(pkt->op->traits & ROCE_T_READ) || pkt->f.dma_len == rec->length - offset;
}

static const struct remu_record *
find_record(const struct remu_qp *qp, const struct roce_packet *pkt)
{
	uint32_t n = qp->resp.max_dest_rd_atomic;

	/* The newest first: an old one may have had the same PSN. */
	for (uint32_t i = 1; i <= n; i++) {
		const struct remu_record *rec =
			&qp->resp.records[(qp->resp.next_record + n - i) % n];

		if (repeats(qp, rec, pkt))
			return rec;
	}
	return NULL;
}

static inline const struct remu_record *
add_record(struct remu_responder *rs, const struct remu_record *rec)
{
	struct remu_record *slot = &rs->records[rs->next_record++];

	if (rs->next_record == rs->max_dest_rd_atomic)
		rs->next_record = 0;
	*slot = *rec;
	return slot;
}

/*
 * The PSN that acknowledges a duplicate WRITE or SEND: the last one executed, but none behind a
 * READ or atomic that follows it. The peer may still miss that one's answer, and would take the
 * acknowledgement for the sign that it was lost.
 */
static uint32_t
duplicate_ack_psn(const struct remu_qp *qp, uint32_t psn)
{
	uint32_t end = qp->resp.epsn;

	for (uint32_t i = 0; i < qp->resp.max_dest_rd_atomic; i++) {
		const struct remu_record *rec = &qp->resp.records[i];

		if (rec->n_psn != 0 && remu_psn_diff(rec->psn, psn) > 0 &&
			remu_psn_diff(rec->psn, end) < 0)
			end = rec->psn;
	}
	return remu_psn_add(end, REMU_PSN_MASK);
}

static enum remu_drop
duplicate_read(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	uint64_t now)
{
	uint64_t cost = (uint64_t)pkt->f.dma_len * 1000000000 / e->cfg.replay_bytes_per_s;
	const struct remu_mr *mr = NULL;

	if (pkt->f.dma_len != 0) {
		mr = remu__mr_find(e, qp->pd, pkt->f.rkey, pkt->f.va, pkt->f.dma_len,
			REMU_ACCESS_REMOTE_READ);
		if (mr == NULL)
			return REMU_DROP_DUPLICATE;
	}
	if (!remu_limit_pass(&qp->resp.replay_paid, now, cost, REPLAY_BURST_NS))
		return REMU_DROP_RATE;
	push_read(e, qp, mr, pkt->f.psn, pkt->f.va, pkt->f.dma_len, true);
	return REMU_DROP_NONE;
}

static enum remu_drop
on_duplicate(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt, uint64_t now)
{
	if (pkt->op->traits & (ROCE_T_READ | ROCE_T_ATOMIC)) {
		const struct remu_record *rec = find_record(qp, pkt);

		if (rec == NULL || remu__answer_is_pending(qp, pkt->f.psn))
			return REMU_DROP_DUPLICATE;
		if (!may_answer(e, qp, now))
			return REMU_DROP_RATE;
		if (pkt->op->traits & ROCE_T_READ) {
			enum remu_drop drop = duplicate_read(e, qp, pkt, now);

			if (drop != REMU_DROP_NONE)
				return drop;
		} else {
			push_atomic(e, qp, rec, true);
		}
	} else {
		if (!pkt->f.ackreq)
			return REMU_DROP_DUPLICATE;
		if (!may_answer(e, qp, now))
			return REMU_DROP_RATE;
		remu__answer_ack(e, qp, duplicate_ack_psn(qp, pkt->f.psn));
	}
	e->stats.duplicates++;
	return REMU_DROP_NONE;
}

/* A READ that has passed all checks. */
static inline void
execute_read(struct remu_engine *e, struct remu_qp *qp, const struct remu_mr *mr, uint32_t psn,
	uint64_t va, uint32_t rkey, uint32_t length)
{
	struct remu_responder *rs = &qp->resp;
	uint32_t n_psn = remu__packets(length, qp->path_mtu);

	add_record(rs,
		&(struct remu_record){
			.va = va,
			.rkey = rkey,
			.length = length,
			.psn = psn,
			.n_psn = n_psn,
			.opcode = ROCE_READ_REQUEST,
		});
	expect_next(rs, n_psn);
	count_message(rs); /* a READ counts as completed when it is validated (C9-148) */
	push_read(e, qp, mr, psn, va, length, false);
	e->stats.reads_executed++;
}

static enum remu_drop
on_read(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt, uint64_t now)
{
	struct remu_responder *rs = &qp->resp;
	const struct remu_mr *mr = NULL;

	if (rs->message != REMU_MSG_NONE || !(qp->access & REMU_ACCESS_REMOTE_READ) ||
		pkt->f.dma_len > qp->max_read_len || rs->answers_queued >= rs->max_dest_rd_atomic)
		return refuse(e, qp, pkt->f.psn, REMU_DROP_INVALID, now);
	if (pkt->f.dma_len != 0) {
		mr = remu__mr_find(e, qp->pd, pkt->f.rkey, pkt->f.va, pkt->f.dma_len,
			REMU_ACCESS_REMOTE_READ);
		if (mr == NULL)
			return refuse(e, qp, pkt->f.psn, REMU_DROP_ACCESS, now);
		rs->read_mr = mr;
		rs->read_mr_generation = mr->generation;
	}
	execute_read(e, qp, mr, pkt->f.psn, pkt->f.va, pkt->f.rkey, pkt->f.dma_len);
	return REMU_DROP_NONE;
}

bool
remu__read_at_once(struct remu_engine *e, struct remu_qp *qp, uint32_t word, const uint8_t *reth)
{
	struct remu_responder *rs = &qp->resp;
	uint32_t psn = word & REMU_PSN_MASK;
	uint64_t va = roce_load_be64(reth);
	uint32_t rkey = roce_load_be32(reth + 8), length = roce_load_be32(reth + 12);

	if (unlikely(psn != rs->epsn || rs->message != REMU_MSG_NONE || rs->n_held != 0 ||
		    remu__answer_full(rs) || length == 0 || length > qp->max_read_len ||
		    rs->answers_queued >= rs->max_dest_rd_atomic ||
		    !remu__same_region(rs->read_mr, rs->read_mr_generation, rkey, va, length)))
		return false;
	execute_read(e, qp, rs->read_mr, psn, va, rkey, length);
	return true;
}

/* Atomic against the atomics of every engine, and of every thread that uses the same builtins. */
static uint64_t
execute_atomic(uint64_t *where, const struct roce_fields *f)
{
	uint64_t found = f->compare;

	if (f->opcode == ROCE_FETCH_ADD)
		return __atomic_fetch_add(where, f->swap_add, __ATOMIC_SEQ_CST);
	__atomic_compare_exchange_n(where, &found, f->swap_add, false, __ATOMIC_SEQ_CST,
		__ATOMIC_SEQ_CST);
	return found;
}

static enum remu_drop
on_atomic(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt, uint64_t now)
{
	struct remu_responder *rs = &qp->resp;
	const struct remu_record *rec;
	const struct remu_mr *mr;

	if (rs->message != REMU_MSG_NONE || !(qp->access & REMU_ACCESS_REMOTE_ATOMIC) ||
		pkt->f.va % REMU_ATOMIC_LEN != 0 || rs->answers_queued >= rs->max_dest_rd_atomic)
		return refuse(e, qp, pkt->f.psn, REMU_DROP_INVALID, now);
	mr = remu__mr_find(e, qp->pd, pkt->f.rkey, pkt->f.va, REMU_ATOMIC_LEN,
		REMU_ACCESS_REMOTE_ATOMIC);
	if (mr == NULL)
		return refuse(e, qp, pkt->f.psn, REMU_DROP_ACCESS, now);
	rec = add_record(rs,
		&(struct remu_record){
			.va = pkt->f.va,
			.rkey = pkt->f.rkey,
			.length = REMU_ATOMIC_LEN,
			.psn = pkt->f.psn,
			.n_psn = 1,
			.opcode = pkt->f.opcode,
			.original = execute_atomic((uint64_t *)(void *)remu__mr_addr(mr, pkt->f.va),
				&pkt->f),
		});
	expect_next(rs, 1);
	count_message(rs);
	push_atomic(e, qp, rec, false);
	e->stats.atomics_executed++;
	return REMU_DROP_NONE;
}

/* Whether a packet of a message carries as much as its place in the message demands. */
static bool
size_ok(const struct remu_qp *qp, const struct roce_packet *pkt)
{
	if (pkt->op->traits & (ROCE_T_FIRST | ROCE_T_MIDDLE))
		return pkt->payload_len == qp->path_mtu;
	if (pkt->op->traits & ROCE_T_LAST)
		return pkt->payload_len >= 1 && pkt->payload_len <= qp->path_mtu;
	return pkt->payload_len <= qp->path_mtu;
}

/* Begins or goes on with the kind of message that is under way. */
static bool
order_ok(const struct remu_responder *rs, const struct roce_packet *pkt, enum remu_message kind)
{
	return rs->message ==
		(pkt->op->traits & (ROCE_T_FIRST | ROCE_T_ONLY) ? REMU_MSG_NONE : kind);
}

/* Everything about a WRITE's place in memory is decided with its first packet. */
static enum remu_drop
begin_write(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt)
{
	struct remu_responder *rs = &qp->resp;
	const struct remu_mr *mr = NULL;

	if (pkt->f.dma_len > ROCE_DMA_LEN_MAX)
		return REMU_DROP_INVALID;
	if (pkt->op->traits & ROCE_T_ONLY ? pkt->f.dma_len != pkt->payload_len
					  : pkt->f.dma_len <= qp->path_mtu)
		return REMU_DROP_INVALID;
	if (pkt->f.dma_len != 0) {
		mr = remu__mr_find(e, qp->pd, pkt->f.rkey, pkt->f.va, pkt->f.dma_len,
			REMU_ACCESS_REMOTE_WRITE);
		if (mr == NULL)
			return REMU_DROP_ACCESS;
	}
	rs->write_mr = mr;
	rs->write_mr_generation = mr != NULL ? mr->generation : 0;
	rs->dst = mr != NULL ? remu__mr_addr(mr, pkt->f.va) : NULL;
	rs->left = pkt->f.dma_len;
	rs->done = 0;
	return REMU_DROP_NONE;
}

static enum remu_drop
go_on_with_write(const struct remu_qp *qp, const struct roce_packet *pkt)
{
	const struct remu_responder *rs = &qp->resp;

	if (pkt->op->traits & ROCE_T_LAST ? pkt->payload_len != rs->left : rs->left <= qp->path_mtu)
		return REMU_DROP_INVALID;
	if (rs->write_mr != NULL && rs->write_mr->generation != rs->write_mr_generation)
		return REMU_DROP_ACCESS;
	return REMU_DROP_NONE;
}

static void
store(struct remu_responder *rs, const struct roce_packet *pkt)
{
	if (pkt->payload_len == 0) /* there may be no buffer */
		return;
	memcpy(rs->dst, pkt->payload, pkt->payload_len);
	rs->dst += pkt->payload_len;
	rs->left -= pkt->payload_len;
	rs->done += pkt->payload_len;
}

/* The receive request of a message that has ended well. */
static void
complete_recv(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt)
{
	bool imm = pkt->op->traits & ROCE_T_IMM;
	uint8_t send = imm ? REMU_WR_SEND_IMM : REMU_WR_SEND;

	remu__recv_complete(e, qp,
		&(struct remu_wc){
			.byte_len = qp->resp.done,
			.imm = pkt->f.imm,
			.status = REMU_WC_SUCCESS,
			.opcode = pkt->op->traits & ROCE_T_SEND ? send : REMU_WR_RDMA_WRITE_IMM,
			.flags = (uint8_t)((imm ? REMU_WC_WITH_IMM : 0) |
				(pkt->f.solicited ? REMU_WC_SOLICITED : 0)),
		});
}

/* A packet of a message has been carried out. */
static void
end_packet(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	enum remu_message kind)
{
	struct remu_responder *rs = &qp->resp;
	bool ends = pkt->op->traits & (ROCE_T_LAST | ROCE_T_ONLY);

	rs->message = ends ? REMU_MSG_NONE : kind;
	expect_next(rs, 1);
	if (ends)
		count_message(rs);
	if (pkt->f.ackreq)
		remu__answer_ack(e, qp, pkt->f.psn);
}

static enum remu_drop
on_write(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt, uint64_t now)
{
	uint32_t traits = pkt->op->traits;
	enum remu_drop drop = REMU_DROP_INVALID;

	if (!order_ok(&qp->resp, pkt, REMU_MSG_WRITE) || !(qp->access & REMU_ACCESS_REMOTE_WRITE) ||
		((traits & ROCE_T_IMM) && e->cfg.rq_depth == 0))
		return refuse(e, qp, pkt->f.psn, REMU_DROP_INVALID, now);
	if ((traits & ROCE_T_IMM) && remu__recv_head(e, &qp->resp) == NULL)
		return not_ready(e, qp, pkt->f.psn, now);
	if (size_ok(qp, pkt))
		drop = traits & (ROCE_T_FIRST | ROCE_T_ONLY) ? begin_write(e, qp, pkt)
							     : go_on_with_write(qp, pkt);
	if (drop != REMU_DROP_NONE)
		return refuse(e, qp, pkt->f.psn, drop, now);
	store(&qp->resp, pkt);
	if (traits & (ROCE_T_LAST | ROCE_T_ONLY))
		e->stats.writes_executed++;
	if (traits & ROCE_T_IMM)
		complete_recv(e, qp, pkt);
	end_packet(e, qp, pkt, REMU_MSG_WRITE);
	return REMU_DROP_NONE;
}

/* SEND with invalidate: our regions are revoked by their owner only. */
static bool
invalidates(const struct roce_packet *pkt)
{
	return pkt->f.opcode == ROCE_SEND_LAST_INV || pkt->f.opcode == ROCE_SEND_ONLY_INV;
}

static enum remu_drop
on_send(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt, uint64_t now)
{
	struct remu_responder *rs = &qp->resp;
	uint32_t traits = pkt->op->traits;

	/* Without a receive queue waiting would be in vain: the operation is not supported. */
	if (!order_ok(rs, pkt, REMU_MSG_SEND) || invalidates(pkt) || e->cfg.rq_depth == 0)
		return refuse(e, qp, pkt->f.psn, REMU_DROP_INVALID, now);
	if (traits & (ROCE_T_FIRST | ROCE_T_ONLY)) {
		const struct remu_recv_wr *wr = remu__recv_head(e, rs);

		if (wr == NULL)
			return not_ready(e, qp, pkt->f.psn, now);
		rs->dst = wr->addr;
		rs->left = wr->length;
		rs->done = 0;
	}
	if (!size_ok(qp, pkt))
		return refuse(e, qp, pkt->f.psn, REMU_DROP_INVALID, now);
	if (pkt->payload_len > rs->left) {
		remu__recv_complete(e, qp,
			&(struct remu_wc){
				.status = REMU_WC_LOC_LEN_ERR,
				.opcode = REMU_WR_SEND,
			});
		return refuse(e, qp, pkt->f.psn, REMU_DROP_INVALID, now);
	}
	store(rs, pkt);
	if (traits & (ROCE_T_LAST | ROCE_T_ONLY)) {
		complete_recv(e, qp, pkt);
		e->stats.sends_executed++;
	}
	end_packet(e, qp, pkt, REMU_MSG_SEND);
	return REMU_DROP_NONE;
}

enum remu_drop
remu__resp_execute(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	uint64_t now)
{
	if (pkt->op->traits & ROCE_T_READ)
		return on_read(e, qp, pkt, now);
	if (pkt->op->traits & ROCE_T_WRITE)
		return on_write(e, qp, pkt, now);
	if (pkt->op->traits & ROCE_T_SEND)
		return on_send(e, qp, pkt, now);
	return on_atomic(e, qp, pkt, now);
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
		find_record(qp, pkt) == NULL;
}

enum remu_drop
remu__resp_request(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	struct rte_mbuf *m, uint64_t now)
{
	struct remu_responder *rs = &qp->resp;
	enum remu_drop verdict;
	int32_t ahead;

	if (remu__answer_full(rs))
		return REMU_DROP_RESP_BUSY;
	if (is_resync(e, qp, pkt)) {
		remu__resp_flush(e, qp); /* answers to the peer's earlier life */
		rs->epsn = pkt->f.psn;
		rs->synced = true;
		rs->message = REMU_MSG_NONE;
		e->stats.resyncs++;
		remu__req_again(e, qp);
	}
	if (!rs->synced) {
		/* A READ of anything but the status record: say so, or a wrong key looks like silence. */
		return pkt->op->traits & ROCE_T_READ
			? refuse(e, qp, pkt->f.psn, REMU_DROP_ACCESS, now)
			: REMU_DROP_NOT_SYNCED;
	}
	ahead = remu_psn_diff(pkt->f.psn, rs->epsn);
	if (ahead < 0)
		return on_duplicate(e, qp, pkt, now);
	if (ahead > 0) {
		verdict = remu__resp_sequence_nak(e, qp, now);
		return remu__hold(e, qp, pkt->f.psn, m) ? REMU_HELD : verdict;
	}
	verdict = remu__resp_execute(e, qp, pkt, now);
	if (unlikely(rs->n_held != 0))
		remu__hold_drain(e, qp, now);
	return verdict;
}
