/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * The most common requests, a READ and a WRITE of one packet that are next in order, carried out in
 * one step. Whatever is not as usual goes the ordinary way (remu_resp.c), with the same outcome.
 */

#include "remu_priv.h"
#include "roce_bytes.h"

/* How requests like this one can be carried out in one step: what does not change with them. */
static inline uint8_t
remu__at_once(const struct remu_qp *qp, const struct roce_packet *pkt)
{
	if (qp->flags != 0)
		return REMU_NOT_AT_ONCE;
	if (pkt->f.opcode == ROCE_READ_REQUEST && (qp->access & REMU_ACCESS_REMOTE_READ) != 0)
		return REMU_READ_AT_ONCE;
	if (pkt->f.opcode == ROCE_WRITE_ONLY && (qp->access & REMU_ACCESS_REMOTE_WRITE) != 0 &&
		pkt->payload_len != 0 && pkt->payload_len <= qp->path_mtu)
		return REMU_WRITE_AT_ONCE;
	return REMU_NOT_AT_ONCE;
}

/*
 * Whether the region of the request before, which had `generation` then, grants this one too.
 * length > 0
 */
static inline bool
remu__same_region(const struct remu_mr *mr, uint32_t generation, uint32_t rkey, uint64_t va,
	uint32_t length)
{
	uint64_t offset;

	if (mr == NULL || mr->generation != generation || mr->cfg.rkey != rkey)
		return false;
	offset = va - mr->cfg.va;
	return offset < mr->cfg.length && length <= mr->cfg.length - offset;
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
 * A request that is REMU_WRITE_AT_ONCE.
 *
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

	if (unlikely(psn != rs->epsn || rs->message != REMU_MSG_NONE || rs->n_held != 0 ||
		    remu__answer_full(rs) || roce_load_be32(reth + 12) != length ||
		    !remu__same_region(rs->write_mr, rs->write_mr_generation, rkey, va, length)))
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
