/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Completion queues. A place is reserved when a request is posted and given back when its
 * completion is polled, so there is always room and no completion is ever lost.
 */
#include "remu_priv.h"

#include <rte_malloc.h>

#include <assert.h>
#include <errno.h>

enum { DEPTH_MAX = 65536 };

int
remu__cq_init(struct remu_cq *cq, uint32_t depth, uint32_t extra, int socket_id)
{
	*cq = (struct remu_cq){.depth = depth};
	cq->ring = remu__ring_create(depth + extra, sizeof(struct remu_wc), socket_id);
	return cq->ring != NULL ? 0 : -ENOMEM;
}

int
remu_cq_create(struct remu_engine *e, uint32_t depth, struct remu_cq **out)
{
	struct remu_cq *cq;

	*out = NULL;
	if (depth < 1 || depth > DEPTH_MAX)
		return -EINVAL;
	cq = rte_zmalloc_socket("remu_cq", sizeof(*cq), RTE_CACHE_LINE_SIZE, e->cfg.socket_id);
	if (cq == NULL)
		return -ENOMEM;
	if (remu__cq_init(cq, depth, 0, e->cfg.socket_id) != 0) {
		rte_free(cq);
		return -ENOMEM;
	}
	cq->next = e->cqs;
	e->cqs = cq;
	*out = cq;
	return 0;
}

int
remu_cq_destroy(struct remu_engine *e, struct remu_cq *cq)
{
	struct remu_cq **link = &e->cqs;

	if (cq == NULL)
		return 0;
	if (cq->users != 0)
		return -EBUSY;
	while (*link != cq)
		link = &(*link)->next;
	*link = cq->next;
	rte_free(cq->ring);
	rte_free(cq);
	return 0;
}

void
remu__cq_free_all(struct remu_engine *e)
{
	while (e->cqs != NULL) {
		struct remu_cq *cq = e->cqs;

		e->cqs = cq->next;
		rte_free(cq->ring);
		rte_free(cq);
	}
	rte_free(e->cq.ring);
}

int
remu_qp_set_cq(struct remu_engine *e, struct remu_qp *qp, struct remu_cq *cq)
{
	RTE_SET_USED(e);
	if (qp->req.head != qp->req.tail || qp->resp.rq_head != qp->resp.rq_tail)
		return -EBUSY;
	qp->send_cq->users--;
	qp->recv_cq->users--;
	qp->send_cq = qp->recv_cq = cq;
	cq->users += 2;
	qp->own_cq = true;
	return 0;
}

uint32_t
remu_cq_poll(struct remu_cq *cq, struct remu_wc *wc, uint32_t max)
{
	uint32_t n = rte_ring_sc_dequeue_burst_elem(cq->ring, wc, sizeof(*wc), max, NULL);

	cq->reserved -= n;
	return n;
}

uint32_t
remu_engine_poll_wc(struct remu_engine *e, struct remu_wc *wc, uint32_t max)
{
	uint32_t n = rte_ring_sc_dequeue_burst_elem(e->cq.ring, wc, sizeof(*wc), max, NULL);

	for (uint32_t i = 0; i < n; i++) {
		if (wc[i].kind == REMU_WC_FATAL)
			e->fatal--;
		else
			e->cq.reserved--;
	}
	return n;
}

void
remu_cq_arm(struct remu_cq *cq, bool solicited_only)
{
	/* Being armed for all is not weakened, as ibv_req_notify_cq(3). */
	cq->solicited_only = solicited_only && (!cq->armed || cq->solicited_only);
	cq->armed = true;
}

bool
remu_cq_take_event(struct remu_cq *cq)
{
	bool event = cq->event;

	cq->event = false;
	return event;
}

static void
raise_event(struct remu_cq *cq, const struct remu_wc *wc)
{
	if (!cq->armed ||
		(cq->solicited_only && wc->status == REMU_WC_SUCCESS &&
			!(wc->flags & REMU_WC_SOLICITED)))
		return;
	cq->armed = false;
	cq->event = true;
}

static void
push(struct rte_ring *ring, struct remu_wc *wc)
{
	int rc = rte_ring_sp_enqueue_elem(ring, wc, sizeof(*wc));

	assert(rc == 0);
	RTE_SET_USED(rc);
}

void
remu__complete(struct remu_engine *e, struct remu_qp *qp, struct remu_cq *cq, struct remu_wc *wc)
{
	if (wc->status == REMU_WC_SUCCESS)
		e->stats.wc_success++;
	else
		e->stats.wc_error++;
	if (qp->channel != NULL && !qp->own_cq) {
		remu__channel_push(qp->channel, wc);
		return;
	}
	push(cq->ring, wc);
	raise_event(cq, wc);
}

void
remu__complete_fatal(struct remu_engine *e, struct remu_qp *qp)
{
	struct remu_wc wc = {.qpn = qp->qpn, .kind = REMU_WC_FATAL};

	if (qp->channel != NULL) {
		remu__channel_push(qp->channel, &wc);
		return;
	}
	/* An owner that brings queue pairs up again and again, but does not poll. */
	if (e->fatal == e->cfg.max_qps)
		return;
	e->fatal++;
	push(e->cq.ring, &wc);
}
