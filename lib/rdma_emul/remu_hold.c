/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests behind a gap are kept until it is closed, then carried out in order. To the peer it
 * looks as if the network had put them in order: if it repeats them all, they are duplicates; if
 * it looks at the acknowledgement, it leaves them out.
 */
#include "remu_priv.h"

bool
remu__hold(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, struct rte_mbuf *m)
{
	struct remu_responder *rs = &qp->resp;
	uint32_t i = rs->n_held;

	/* A bootstrap peer may start over at any PSN. */
	if ((e->cfg.disable & REMU_RECOVERY_HOLD) || (qp->flags & REMU_QP_BOOTSTRAP) ||
		rs->n_held == REMU_HOLD || e->stats.rx_held == e->cfg.hold_max ||
		remu_psn_diff(psn, rs->epsn) > REMU_HOLD)
		return false;
	while (i > 0 && remu_psn_diff(rs->held[i - 1].psn, psn) > 0)
		i--;
	if (i > 0 && rs->held[i - 1].psn == psn)
		return false;
	for (uint32_t k = rs->n_held++; k > i; k--)
		rs->held[k] = rs->held[k - 1];
	rs->held[i].psn = psn;
	rs->held[i].m = m;
	e->stats.rx_held++;
	return true;
}

/* The first `n` have got their verdicts. */
static void
forget(struct remu_engine *e, struct remu_responder *rs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		rte_pktmbuf_free(rs->held[i].m);
	rs->n_held -= n;
	for (uint32_t i = 0; i < rs->n_held; i++)
		rs->held[i] = rs->held[i + n];
	e->stats.rx_held -= n;
}

static enum remu_drop
carry_out(struct remu_engine *e, struct remu_qp *qp, const struct rte_mbuf *m, uint64_t now)
{
	struct roce_packet pkt;

	if (qp->state != REMU_QP_RTR && qp->state != REMU_QP_RTS && qp->state != REMU_QP_SQD)
		return REMU_DROP_QP_STATE;
	/* It has been decoded and checked before, when it came. */
	roce_decode(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &pkt);
	e->stats.rx_reordered++;
	return remu__resp_execute(e, qp, &pkt, now);
}

void
remu__hold_drain(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	struct remu_responder *rs = &qp->resp;
	uint32_t done = 0, from = rs->epsn;

	for (; done < rs->n_held && !remu__answer_full(rs); done++) {
		int32_t ahead = remu_psn_diff(rs->held[done].psn, rs->epsn);
		enum remu_drop verdict = REMU_DROP_DUPLICATE; /* inside a READ before it */

		if (ahead > 0)
			break;
		if (ahead == 0)
			verdict = carry_out(e, qp, rs->held[done].m, now);
		e->stats.drops[verdict]++;
	}
	if (done != 0)
		remu__answer_raise(qp, from);
	forget(e, rs, done);
	if (qp->state == REMU_QP_ERR)
		remu__hold_flush(e, qp);
	if (rs->n_held != 0 && !remu__answer_full(rs) &&
		remu_psn_diff(rs->held[0].psn, rs->epsn) > 0)
		remu__resp_sequence_nak(e, qp, now);
}

void
remu__hold_flush(struct remu_engine *e, struct remu_qp *qp)
{
	e->stats.drops[REMU_DROP_QP_STATE] += qp->resp.n_held;
	forget(e, &qp->resp, qp->resp.n_held);
}
