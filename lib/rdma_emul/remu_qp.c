/* SPDX-License-Identifier: BSD-3-Clause */
#include "remu_predict.h"
#include "remu_priv.h"

#include <errno.h>
#include <string.h>

enum { CHUNKS = 16 }; /* READ requests that a window is cut into at most */

static const char *const state_names[REMU_QP_STATE_COUNT] = {
	[REMU_QP_RESET] = "reset",
	[REMU_QP_INIT] = "init",
	[REMU_QP_RTR] = "rtr",
	[REMU_QP_RTS] = "rts",
	[REMU_QP_SQD] = "sqd",
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
		[REMU_WC_RNR_RETRY_EXC_ERR] = "rnr_retry_exceeded",
	};

	return status < RTE_DIM(names) && names[status] != NULL ? names[status] : "unknown";
}

void
remu__qp_append(struct remu_engine *e, struct remu_qp *qp)
{
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
remu__qp_fail(struct remu_engine *e, struct remu_qp *qp)
{
	if (qp->flags & REMU_QP_BOOTSTRAP) {
		qp->state = REMU_QP_SQE;
		remu__req_flush(e, qp);
		return;
	}
	qp->state = REMU_QP_ERR;
	remu__req_flush(e, qp);
	remu__recv_flush(e, qp);
}

/* Forget all but the memory that a place in the table has for its queue pairs. */
static void
recycle(struct remu_qp *qp)
{
	struct remu_wqe *sq = qp->req.sq;
	struct remu_recv_wr *rq = qp->resp.rq;
	uint64_t *got = qp->req.got, *restarts = qp->req.restarts;

	_Static_assert(offsetof(struct remu_qp, resp) + sizeof(qp->resp) == sizeof(*qp),
		"nothing stands behind what is not cleared");
	memset(qp, 0, offsetof(struct remu_qp, resp.records));
	qp->req.sq = sq;
	qp->req.got = got;
	qp->req.restarts = restarts;
	qp->resp.rq = rq;
}

static void
flush_all(struct remu_engine *e, struct remu_qp *qp)
{
	remu__req_flush(e, qp);
	remu__recv_flush(e, qp);
	remu__resp_flush(e, qp);
}

int
remu_qp_create(struct remu_engine *e, const struct remu_qp_config *cfg, struct remu_qp **out)
{
	uint32_t index = e->free_qp_hint;
	struct remu_qp *qp;
	int rc;

	*out = NULL;
	if (cfg->qpn < ROCE_QPN_FIRST_USER || cfg->qpn >= ROCE_QPN_MULTICAST ||
		remu_qpn_owner(cfg->qpn, e->cfg.n_engines) != e->cfg.id ||
		cfg->max_read_len > ROCE_DMA_LEN_MAX)
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
	recycle(qp);
	qp->index = index;
	qp->qpn = cfg->qpn;
	qp->pd = cfg->pd;
	qp->access = cfg->access;
	qp->flags = cfg->flags;
	qp->max_read_len = cfg->max_read_len != 0 ? cfg->max_read_len : ROCE_DMA_LEN_MAX;
	qp->send_cq = cfg->send_cq != NULL ? cfg->send_cq : &e->cq;
	qp->recv_cq = cfg->recv_cq != NULL ? cfg->recv_cq : &e->cq;
	qp->send_cq->users++;
	qp->recv_cq->users++;
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
	flush_all(e, qp);
	qp->send_cq->users--;
	qp->recv_cq->users--;
	unschedule(e, qp);
	remu_table_remove(&e->qp_table, qp->qpn);
	remu__predict_forget(e, qp);
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

bool
remu__gid_ok(const struct roce_gid *gid)
{
	static const struct roce_gid none, loopback = {.raw = {[15] = 1}};

	if (roce_gid_is_ipv4(gid))
		return roce_gid_to_ipv4(gid) != 0;
	return memcmp(gid, &none, sizeof(none)) != 0 &&
		memcmp(gid, &loopback, sizeof(loopback)) != 0 && gid->raw[0] != 0xff;
}

/* Our address of the family of a peer's; NULL when there is none. */
static const struct roce_gid *
own_gid(const struct remu_engine *e, const struct roce_gid *peer)
{
	bool ipv4 = roce_gid_is_ipv4(peer);

	if (roce_gid_is_ipv4(&e->cfg.gid) == ipv4)
		return &e->cfg.gid;
	if (remu__gid_ok(&e->cfg.gid2) && roce_gid_is_ipv4(&e->cfg.gid2) == ipv4)
		return &e->cfg.gid2;
	return NULL;
}

static void
set_path(struct remu_engine *e, struct remu_qp *qp, const struct remu_qp_attr *attr)
{
	struct roce_path path = {
		.src = qp->gid,
		.dst = attr->peer_gid,
		.sport = source_port(qp->qpn, attr->peer_qpn),
		.traffic_class = attr->traffic_class,
		.hop_limit = attr->hop_limit != 0 ? attr->hop_limit : REMU_TTL,
		.tagged = attr->tagged,
		.vlan_tci = attr->vlan_tci,
	};

	memcpy(path.src_mac, e->cfg.mac, sizeof(path.src_mac));
	memcpy(path.dst_mac, attr->peer_mac, sizeof(path.dst_mac));
	roce_flow_init(&qp->flow, &path);
	memset(qp->stencils, 0, sizeof(qp->stencils));
}

/* Whether an mbuf holds the longest frame of a path. */
static bool
frames_fit(const struct remu_engine *e, const struct roce_flow *flow, uint16_t path_mtu)
{
	return roce_frame_len(flow, ROCE_WRITE_ONLY_IMM, path_mtu) + RTE_PKTMBUF_HEADROOM <=
		rte_pktmbuf_data_room_size(e->cfg.pool);
}

static int
to_rtr(struct remu_engine *e, struct remu_qp *qp, const struct remu_qp_attr *attr)
{
	const struct roce_gid *gid = own_gid(e, &attr->peer_gid);

	if (!is_path_mtu(attr->path_mtu) || attr->rq_psn > REMU_PSN_MASK ||
		attr->peer_qpn < ROCE_QPN_FIRST_USER || attr->peer_qpn >= ROCE_QPN_MULTICAST ||
		attr->max_dest_rd_atomic > REMU_MAX_RD_ATOMIC || gid == NULL ||
		!remu__gid_ok(&attr->peer_gid))
		return -EINVAL;
	remu__predict_forget(e, qp);
	qp->peer_qpn = attr->peer_qpn;
	qp->path_mtu = attr->path_mtu;
	qp->peer_gid = attr->peer_gid;
	qp->gid = *gid;
	qp->tagged = attr->tagged;
	qp->vlan_tci = attr->vlan_tci;
	qp->peer_sport = 0;
	memcpy(qp->peer_mac, attr->peer_mac, sizeof(qp->peer_mac));
	set_path(e, qp, attr);
	if (!frames_fit(e, &qp->flow, attr->path_mtu))
		return -EINVAL;
	qp->resp.max_dest_rd_atomic = attr->max_dest_rd_atomic;
	remu__resp_reset(e, qp, attr->rq_psn);
	qp->resp.rnr_code = remu__rnr_code(attr->min_rnr_timer_us);
	qp->state = REMU_QP_RTR;
	return 0;
}

static bool
requester_ok(const struct remu_qp_attr *attr)
{
	return attr->timeout_us >= 1 && attr->timeout_us <= 10000000 && attr->max_rd_atomic >= 1 &&
		attr->max_rd_atomic <= REMU_MAX_RD_ATOMIC && attr->rnr_retry <= REMU_RNR_RETRY_EVER;
}

static void
set_requester(struct remu_requester *rq, const struct remu_qp_attr *attr)
{
	rq->timeout_ns = (uint64_t)attr->timeout_us * 1000;
	rq->retry_cnt = rq->retries_left = attr->retry_cnt;
	rq->rnr_retry = rq->rnr_left = attr->rnr_retry;
	rq->max_rd_atomic = attr->max_rd_atomic;
}

static int
to_rts(struct remu_engine *e, struct remu_qp *qp, const struct remu_qp_attr *attr)
{
	struct remu_requester *rq = &qp->req;

	if (attr->sq_psn > REMU_PSN_MASK || !requester_ok(attr))
		return -EINVAL;
	remu__req_flush(e, qp);
	remu__req_reset(e, qp, attr->sq_psn);
	set_requester(rq, attr);
	/* Two READ requests at least, so that the wire does not run empty between them; not so many
	 * that they cost more than what they bring. */
	rq->chunk = rte_align32prevpow2(
		RTE_MAX(e->cfg.window / RTE_MIN(RTE_MAX(rq->max_rd_atomic, 2u), CHUNKS), 1u));
	rq->rtt = (struct remu_rtt){0};
	remu_window_init(&rq->window, e->cfg.window);
	qp->state = REMU_QP_RTS;
	return 0;
}

/* From SQD: PSNs, work requests and the size of READ requests stay. */
static int
resume(struct remu_engine *e, struct remu_qp *qp, const struct remu_qp_attr *attr)
{
	if (attr != NULL) {
		if (!requester_ok(attr))
			return -EINVAL;
		set_requester(&qp->req, attr);
	}
	qp->state = REMU_QP_RTS;
	remu__qp_schedule(e, qp);
	return 0;
}

int
remu_qp_modify(struct remu_engine *e, struct remu_qp *qp, enum remu_qp_state to,
	const struct remu_qp_attr *attr)
{
	bool bootstrap = qp->flags & REMU_QP_BOOTSTRAP;

	switch (to) {
	case REMU_QP_RESET:
		flush_all(e, qp);
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
		return qp->state == REMU_QP_SQD ? resume(e, qp, attr) : -EINVAL;
	case REMU_QP_SQD:
		if (qp->state != REMU_QP_RTS)
			return -EINVAL;
		qp->state = REMU_QP_SQD;
		return 0;
	case REMU_QP_ERR:
		qp->state = REMU_QP_ERR;
		flush_all(e, qp);
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
			.recv_posted = qp->resp.rq_tail - qp->resp.rq_head,
			.window = qp->req.window.now,
			.srtt_ns = (uint32_t)RTE_MIN(qp->req.rtt.srtt_ns, (uint64_t)UINT32_MAX),
			.path_mtu = qp->path_mtu,
			.state = qp->state,
			.bootstrap = (qp->flags & REMU_QP_BOOTSTRAP) != 0,
		};
	}
	return n;
}
