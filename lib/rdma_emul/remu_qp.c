/* SPDX-License-Identifier: BSD-3-Clause */
#include "remu_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const state_names[REMU_QP_STATE_COUNT] = {
	[REMU_QP_RESET] = "reset",
	[REMU_QP_INIT] = "init",
	[REMU_QP_RTR] = "rtr",
	[REMU_QP_RTS] = "rts",
	[REMU_QP_SQE] = "sqe",
	[REMU_QP_ERR] = "err",
};

const char *
remu_qp_state_name(uint8_t state)
{
	return state < REMU_QP_STATE_COUNT ? state_names[state] : "unknown";
}

const char *
remu_wc_status_name(uint8_t status)
{
	static const char *const names[] = {
		[REMU_WC_SUCCESS] = "success",
		[REMU_WC_LOC_LEN_ERR] = "local_length",
		[REMU_WC_LOC_QP_OP_ERR] = "local_qp_operation",
		[REMU_WC_WR_FLUSH_ERR] = "flushed",
		[REMU_WC_BAD_RESP_ERR] = "bad_response",
		[REMU_WC_REM_INV_REQ_ERR] = "remote_invalid_request",
		[REMU_WC_REM_ACCESS_ERR] = "remote_access",
		[REMU_WC_REM_OP_ERR] = "remote_operation",
		[REMU_WC_RETRY_EXC_ERR] = "retry_exceeded",
	};

	return status < RTE_DIM(names) && names[status] != NULL ? names[status] : "unknown";
}

void
remu__qp_schedule(struct remu_engine *e, struct remu_qp *qp)
{
	if (qp->scheduled)
		return;
	qp->scheduled = true;
	qp->sched_next = NULL;
	if (e->sched_tail != NULL)
		e->sched_tail->sched_next = qp;
	else
		e->sched_head = qp;
	e->sched_tail = qp;
}

static void
unschedule(struct remu_engine *e, struct remu_qp *qp)
{
	struct remu_qp *prev = NULL;

	if (!qp->scheduled)
		return;
	for (struct remu_qp *q = e->sched_head; q != qp; q = q->sched_next)
		prev = q;
	if (prev != NULL)
		prev->sched_next = qp->sched_next;
	else
		e->sched_head = qp->sched_next;
	if (e->sched_tail == qp)
		e->sched_tail = prev;
	qp->scheduled = false;
}

void
remu__complete(struct remu_engine *e, struct remu_channel *ch, struct remu_wc *wc)
{
	struct rte_ring *up = ch != NULL ? ch->up : e->local_up;
	int rc;

	if (wc->kind == REMU_WC_WORK) {
		if (wc->status == REMU_WC_SUCCESS)
			e->stats.wc_success++;
		else
			e->stats.wc_error++;
	} else if (wc->kind == REMU_WC_FATAL && ch == NULL) {
		/* An owner that brings queue pairs up again and again, but does not poll. */
		if (e->local_fatal == e->cfg.max_qps)
			return;
		e->local_fatal++;
	}
	/* Whoever posts is admitted only when the completion has its place. */
	rc = rte_ring_sp_enqueue_elem(up, wc, sizeof(*wc));
	assert(rc == 0);
	RTE_SET_USED(rc);
}

void
remu__qp_fail(struct remu_engine *e, struct remu_qp *qp)
{
	qp->state = qp->flags & REMU_QP_BOOTSTRAP ? REMU_QP_SQE : REMU_QP_ERR;
	remu__req_flush(e, qp);
}

int
remu_qp_create(struct remu_engine *e, const struct remu_qp_config *cfg, struct remu_qp **out)
{
	uint32_t index = e->free_qp_hint;
	struct remu_wqe *sq;
	struct remu_qp *qp;
	int rc;

	*out = NULL;
	if (cfg->qpn < ROCE_QPN_FIRST_USER || cfg->qpn >= ROCE_QPN_MULTICAST ||
		remu_qpn_owner(cfg->qpn, e->cfg.n_engines) != e->cfg.id)
		return -EINVAL;
	for (uint32_t n = 0; e->qps[index].in_use; n++) {
		if (n == e->cfg.max_qps)
			return -ENOSPC;
		index = (index + 1) % e->cfg.max_qps;
	}
	rc = remu_table_add(&e->qp_table, cfg->qpn, index);
	if (rc != 0)
		return rc;
	qp = &e->qps[index];
	sq = qp->req.sq;
	memset(qp, 0, sizeof(*qp));
	qp->req.sq = sq;
	qp->index = index;
	qp->qpn = cfg->qpn;
	qp->pd = cfg->pd;
	qp->access = cfg->access;
	qp->flags = cfg->flags;
	qp->state = REMU_QP_RESET;
	qp->in_use = true;
	e->free_qp_hint = (index + 1) % e->cfg.max_qps;
	*out = qp;
	return 0;
}

void
remu_qp_destroy(struct remu_engine *e, struct remu_qp *qp)
{
	if (qp == NULL)
		return;
	remu__req_flush(e, qp);
	unschedule(e, qp);
	remu_table_remove(&e->qp_table, qp->qpn);
	qp->in_use = false;
	qp->state = REMU_QP_RESET;
	e->free_qp_hint = qp->index;
}

struct remu_qp *
remu_qp_find(struct remu_engine *e, uint32_t qpn)
{
	uint32_t index = remu_table_find(&e->qp_table, qpn);

	return index == REMU_TABLE_NONE ? NULL : &e->qps[index];
}

static bool
is_path_mtu(uint32_t mtu)
{
	return mtu >= ROCE_MTU_MIN && mtu <= ROCE_MTU_MAX && rte_is_power_of_2(mtu);
}

/* The lower 14 bits of the source port spread flows over a NIC's queues and a network's paths. */
static uint16_t
source_port(uint32_t qpn, uint32_t peer_qpn)
{
	uint32_t hash = (qpn * 31 + peer_qpn) * 0x9e3779b1u;

	return (uint16_t)(ROCE_SPORT_BASE | hash >> 18);
}

static int
to_rtr(struct remu_engine *e, struct remu_qp *qp, const struct remu_qp_attr *attr)
{
	if (!is_path_mtu(attr->path_mtu) || attr->rq_psn > REMU_PSN_MASK ||
		attr->peer_qpn < ROCE_QPN_FIRST_USER || attr->peer_qpn >= ROCE_QPN_MULTICAST ||
		attr->max_dest_rd_atomic < 1 || attr->max_dest_rd_atomic > REMU_MAX_RD_ATOMIC ||
		roce_gid_to_ipv4(&attr->peer_gid) == 0)
		return -EINVAL;
	qp->peer_qpn = attr->peer_qpn;
	qp->path_mtu = attr->path_mtu;
	qp->peer_gid = attr->peer_gid;
	memcpy(qp->peer_mac, attr->peer_mac, sizeof(qp->peer_mac));
	roce_flow_init(&qp->flow, e->cfg.mac, attr->peer_mac, &e->cfg.gid, &attr->peer_gid,
		source_port(qp->qpn, attr->peer_qpn), REMU_TTL);
	remu__resp_reset(qp, attr->rq_psn);
	qp->resp.max_dest_rd_atomic = attr->max_dest_rd_atomic;
	qp->state = REMU_QP_RTR;
	return 0;
}

static int
to_rts(struct remu_engine *e, struct remu_qp *qp, const struct remu_qp_attr *attr)
{
	if (attr->sq_psn > REMU_PSN_MASK || attr->timeout_us < 1 || attr->timeout_us > 10000000 ||
		attr->max_rd_atomic < 1 || attr->max_rd_atomic > REMU_MAX_RD_ATOMIC)
		return -EINVAL;
	remu__req_flush(e, qp);
	remu__req_reset(e, qp, attr->sq_psn);
	qp->req.timeout_ns = (uint64_t)attr->timeout_us * 1000;
	qp->req.retry_cnt = attr->retry_cnt;
	qp->req.retries_left = attr->retry_cnt;
	qp->req.max_rd_atomic = attr->max_rd_atomic;
	qp->state = REMU_QP_RTS;
	return 0;
}

int
remu_qp_modify(struct remu_engine *e, struct remu_qp *qp, enum remu_qp_state to,
	const struct remu_qp_attr *attr)
{
	bool bootstrap = qp->flags & REMU_QP_BOOTSTRAP;

	switch (to) {
	case REMU_QP_RESET:
		remu__req_flush(e, qp);
		remu__resp_flush(qp);
		qp->state = REMU_QP_RESET;
		return 0;
	case REMU_QP_INIT:
		if (qp->state != REMU_QP_RESET)
			return -EINVAL;
		qp->state = REMU_QP_INIT;
		return 0;
	case REMU_QP_RTR:
		return qp->state == REMU_QP_INIT ? to_rtr(e, qp, attr) : -EINVAL;
	case REMU_QP_RTS:
		if (qp->state == REMU_QP_RTR || qp->state == REMU_QP_SQE ||
			(qp->state == REMU_QP_RTS && bootstrap))
			return to_rts(e, qp, attr);
		return -EINVAL;
	case REMU_QP_ERR:
		qp->state = REMU_QP_ERR;
		remu__req_flush(e, qp);
		remu__resp_flush(qp);
		return 0;
	case REMU_QP_SQE:
	case REMU_QP_STATE_COUNT:
	default:
		return -EINVAL;
	}
}

uint32_t
remu_engine_qps(const struct remu_engine *e, uint32_t first, struct remu_qp_info *out, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = first; i < e->cfg.max_qps && n < max; i++) {
		const struct remu_qp *qp = &e->qps[i];

		if (!qp->in_use)
			continue;
		out[n++] = (struct remu_qp_info){
			.qpn = qp->qpn,
			.peer_qpn = qp->peer_qpn,
			.next_psn = qp->req.next_psn,
			.una_psn = qp->req.una_psn,
			.epsn = qp->resp.epsn,
			.msn = qp->resp.msn,
			.outstanding = qp->req.tail - qp->req.head,
			.path_mtu = qp->path_mtu,
			.state = qp->state,
			.bootstrap = (qp->flags & REMU_QP_BOOTSTRAP) != 0,
		};
	}
	return n;
}
