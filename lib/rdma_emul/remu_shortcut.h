/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * The most common request, a WRITE of one packet that is next in order, carried out in one step.
 * Whatever is not as usual goes the ordinary way (remu_resp.c), with the same outcome.
 */

#include "remu_priv.h"
#include "roce_bytes.h"

/* Whether the region of the last WRITE grants this one too. */
static inline bool
remu__same_region(const struct remu_responder *rs, uint32_t rkey, uint64_t va, uint32_t length)
{
	const struct remu_mr *mr = rs->write_mr;

	return mr != NULL && mr->generation == rs->write_mr_generation && mr->cfg.rkey == rkey &&
		va >= mr->cfg.va && length <= mr->cfg.length &&
		va - mr->cfg.va <= mr->cfg.length - length;
}

/* As remu__answer_ack(), for the PSN before the next expected one: none that waits is newer. */
static inline void
remu__ack_in_order(struct remu_engine *e, struct remu_qp *qp, uint32_t psn)
{
	struct remu_responder *rs = &qp->resp;
	struct remu_response *last = &rs->queue[(rs->queue_tail - 1) & (REMU_RESP_QUEUE - 1)];

	if (rs->queue_head == rs->queue_tail || last->kind != REMU_RESP_ACK ||
		last->syndrome != ROCE_SYN_ACK_NO_LIMIT) {
		remu__answer_ack(e, qp, psn);
		return;
	}
	last->psn = psn;
	last->msn = rs->msn;
}

/*
 * @param word  of the BTH: AckReq and PSN  @param reth  where the RETH stands
 * @return false: nothing has been done
 */
static inline bool
remu__write_at_once(struct remu_engine *e, struct remu_qp *qp, uint32_t word, const uint8_t *reth,
	const uint8_t *payload, uint32_t length)
{
	struct remu_responder *rs = &qp->resp;
	uint32_t psn = word & REMU_PSN_MASK;
	uint64_t va = roce_load_be64(reth);
	uint32_t rkey = roce_load_be32(reth + 8);

	if (unlikely(psn != rs->epsn || qp->flags != 0 || rs->message != REMU_MSG_NONE ||
		    rs->n_held != 0 || remu__answer_full(rs) || length == 0 ||
		    length > qp->path_mtu || roce_load_be32(reth + 12) != length ||
		    !(qp->access & REMU_ACCESS_REMOTE_WRITE) ||
		    !remu__same_region(rs, rkey, va, length)))
		return false;
	remu__copy(remu__mr_addr(rs->write_mr, va), payload, length);
	rs->epsn = remu_psn_add(psn, 1);
	rs->msn = remu_psn_add(rs->msn, 1);
	rs->nak_sent = false;
	e->stats.writes_executed++;
	if (word >> 31)
		remu__ack_in_order(e, qp, psn);
	return true;
}
