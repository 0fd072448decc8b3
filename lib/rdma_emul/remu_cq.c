/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Completion queues. A place is reserved when a request is posted and given back when its
 * completion is polled, so there is always room and no completion is ever lost.
 */
#include "remu_priv.h"

#include <rte_malloc.h>

#include <errno.h>
#include <string.h>

enum { DEPTH_MAX = 65536 };

int
remu__cq_init(struct remu_cq *cq, uint32_t depth, uint32_t extra, int socket_id)
{
	uint32_t entries = rte_align32pow2(depth + extra);

	*cq = (struct remu_cq){.depth = depth, .mask = entries - 1};
	cq->entries = rte_malloc_socket("remu_cq_entries", entries * sizeof(*cq->entries),
		RTE_CACHE_LINE_SIZE, socket_id);
	return cq->entries != NULL ? 0 : -ENOMEM;
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
	rte_free(cq->entries);
	rte_free(cq);
	return 0;
}

void
remu__cq_free_all(struct remu_engine *e)
{
	while (e->cqs != NULL) {
		struct remu_cq *cq = e->cqs;

		e->cqs = cq->next;
		rte_free(cq->entries);
		rte_free(cq);
	}
	rte_free(e->cq.entries);
}

/* The oldest completions: at most two pieces of the ring. */
static uint32_t
take(struct remu_cq *cq, struct remu_wc *wc, uint32_t max)
{
	uint32_t n = RTE_MIN(cq->tail - cq->head, max);
	uint32_t at = cq->head & cq->mask;
	uint32_t first = RTE_MIN(n, cq->mask + 1 - at);

	memcpy(wc, &cq->entries[at], first * sizeof(*wc));
	if (first != n)
		memcpy(wc + first, cq->entries, (n - first) * sizeof(*wc));
	cq->head += n;
	return n;
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
	qp->channel = NULL;
	return 0;
}

uint32_t
remu_cq_poll(struct remu_cq *cq, struct remu_wc *wc, uint32_t max)
{
	uint32_t n = take(cq, wc, max);

	cq->reserved -= n;
	return n;
}

uint32_t
remu_engine_poll_wc(struct remu_engine *e, struct remu_wc *wc, uint32_t max)
{
	uint32_t n = take(&e->cq, wc, max), fatal = 0;

	for (uint32_t i = 0; i < n && e->fatal != 0; i++)
		fatal += wc[i].kind == REMU_WC_FATAL;
	e->fatal -= fatal;
	e->cq.reserved -= n - fatal;
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

static inline void
push(struct remu_cq *cq, const struct remu_wc *wc)
{
	*remu__cq_next(cq) = *wc;
}

void
remu__complete(struct remu_engine *e, struct remu_qp *qp, struct remu_cq *cq, struct remu_wc *wc)
{
	if (wc->status == REMU_WC_SUCCESS)
		e->stats.wc_success++;
	else
		e->stats.wc_error++;
	if (qp->channel != NULL) {
		remu__channel_push(qp->channel, wc);
		return;
	}
	push(cq, wc);
	raise_event(cq, wc);
}

void
remu__complete_fatal(struct remu_engine *e, struct remu_qp *qp)
{
	struct remu_wc wc = {.qpn = qp->qpn, .kind = REMU_WC_FATAL};

	if (qp->owner != NULL) {
		remu__channel_push(qp->owner, &wc);
		return;
	}
	/* An owner that brings queue pairs up again and again, but does not poll. */
	if (e->fatal == e->cfg.max_qps)
		return;
	e->fatal++;
	push(&e->cq, &wc);
}
