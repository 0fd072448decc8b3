/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive requests, and the times that RNR NAKs ask for.
 */
#include "remu_priv.h"

#include <errno.h>

int
remu_qp_post_recv(struct remu_engine *e, struct remu_qp *qp, const struct remu_recv_wr *wr)
{
	struct remu_responder *rs = &qp->resp;

	if (e->cfg.rq_depth == 0)
		return -ENOTSUP;
	if (wr->length > ROCE_DMA_LEN_MAX || (wr->addr == NULL && wr->length != 0))
		return -EINVAL;
	if (qp->state == REMU_QP_RESET)
		return -ENOTCONN;
	if (rs->rq_tail - rs->rq_head == e->cfg.rq_depth || !remu__cq_reserve(qp, qp->recv_cq))
		return -EAGAIN;
	rs->rq[rs->rq_tail++ & (e->cfg.rq_depth - 1)] = *wr;
	if (qp->state == REMU_QP_ERR)
		remu__recv_flush(e, qp);
	return 0;
}

void
remu__recv_complete(struct remu_engine *e, struct remu_qp *qp, struct remu_wc *wc)
{
	struct remu_responder *rs = &qp->resp;

	wc->wr_id = remu__recv_head(e, rs)->wr_id;
	wc->qpn = qp->qpn;
	wc->kind = REMU_WC_RECV;
	rs->rq_head++;
	remu__complete(e, qp, qp->recv_cq, wc);
}

void
remu__recv_flush(struct remu_engine *e, struct remu_qp *qp)
{
	while (remu__recv_head(e, &qp->resp) != NULL)
		remu__recv_complete(e, qp,
			&(struct remu_wc){
				.status = REMU_WC_WR_FLUSH_ERR,
				.opcode = REMU_WR_SEND,
			});
}

/* Table 45, by code, in units of 10 us. Code 0 is the longest. */
static const uint32_t rnr_times[32] = {65536, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128,
	192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576,
	32768, 49152};

uint64_t
remu__rnr_ns(uint8_t code)
{
	return (uint64_t)rnr_times[code & 31] * 10000;
}

uint8_t
remu__rnr_code(uint32_t us)
{
	for (uint8_t code = 1; code < RTE_DIM(rnr_times); code++)
		if (rnr_times[code] * 10u >= us)
			return code;
	return 0;
}
