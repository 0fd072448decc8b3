/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Channels: a pair of single-producer single-consumer rings between the engine's lcore and one
 * client thread. The client counts what it has under way, so completions always have room.
 */
#include "remu_priv.h"

#include <rte_malloc.h>

#include <assert.h>
#include <errno.h>

struct rte_ring *
remu__ring_create(uint32_t entries, size_t element, int socket_id)
{
	uint32_t count = rte_align32pow2(entries + 1); /* a ring holds one less than its size */
	ssize_t size = rte_ring_get_memsize_elem((unsigned int)element, count);
	struct rte_ring *ring;

	if (size < 0)
		return NULL;
	ring = rte_zmalloc_socket("remu_ring", (size_t)size, RTE_CACHE_LINE_SIZE, socket_id);
	if (ring != NULL)
		rte_ring_init(ring, "remu", count, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return ring;
}

int
remu_channel_create(struct remu_engine *e, uint32_t depth, struct remu_channel **out)
{
	struct remu_channel *ch;

	*out = NULL;
	if (depth < 8 || depth > 65536 || !rte_is_power_of_2(depth))
		return -EINVAL;
	if (e->n_channels == REMU_MAX_CHANNELS)
		return -ENOSPC;
	ch = rte_zmalloc_socket("remu_channel", sizeof(*ch), RTE_CACHE_LINE_SIZE, e->cfg.socket_id);
	if (ch == NULL)
		return -ENOMEM;
	ch->engine = e;
	ch->depth = depth;
	ch->down = remu__ring_create(depth, sizeof(struct remu_cmd), e->cfg.socket_id);
	/* One completion for all that is under way, and one fatal event per queue pair: each
	 * open pair can fail once, and so can each that was closed and not yet polled away. */
	ch->up = remu__ring_create(2 * depth + e->cfg.max_qps, sizeof(struct remu_wc),
		e->cfg.socket_id);
	if (ch->down == NULL || ch->up == NULL) {
		remu__channel_free(ch);
		return -ENOMEM;
	}
	e->channels[e->n_channels++] = ch;
	*out = ch;
	return 0;
}

uint32_t
remu_channel_depth(const struct remu_channel *ch)
{
	return ch->depth;
}

void
remu__channel_free(struct remu_channel *ch)
{
	rte_free(ch->down);
	rte_free(ch->up);
	rte_free(ch);
}

void
remu__channel_push(struct remu_channel *ch, struct remu_wc *wc)
{
	int rc = rte_ring_sp_enqueue_elem(ch->up, wc, sizeof(*wc));

	/* Whoever posts is admitted only when the completion has its place. */
	assert(rc == 0);
	RTE_SET_USED(rc);
}

static int
send(struct remu_channel *ch, struct remu_cmd *cmd)
{
	if (ch->in_flight == ch->depth)
		return -EAGAIN;
	if (rte_ring_sp_enqueue_elem(ch->down, cmd, sizeof(*cmd)) != 0)
		return -EAGAIN;
	ch->in_flight++;
	return 0;
}

int
remu_channel_post(struct remu_channel *ch, uint32_t qpn, const struct remu_wr *wr)
{
	return send(ch, &(struct remu_cmd){.kind = REMU_CMD_POST, .qpn = qpn, .u.wr = *wr});
}

int
remu_channel_post_recv(struct remu_channel *ch, uint32_t qpn, const struct remu_recv_wr *wr)
{
	return send(ch, &(struct remu_cmd){.kind = REMU_CMD_POST_RECV, .qpn = qpn, .u.recv = *wr});
}

int
remu_channel_qp_open(struct remu_channel *ch, const struct remu_qp_config *cfg, uint64_t cookie)
{
	return send(ch,
		&(struct remu_cmd){
			.kind = REMU_CMD_QP_OPEN,
			.qpn = cfg->qpn,
			.cookie = cookie,
			.u.qp = *cfg,
		});
}

int
remu_channel_qp_connect(struct remu_channel *ch, uint32_t qpn, const struct remu_qp_attr *attr,
	uint64_t cookie)
{
	return send(ch,
		&(struct remu_cmd){
			.kind = REMU_CMD_QP_CONNECT,
			.qpn = qpn,
			.cookie = cookie,
			.u.attr = *attr,
		});
}

int
remu_channel_qp_close(struct remu_channel *ch, uint32_t qpn, uint64_t cookie)
{
	return send(ch,
		&(struct remu_cmd){.kind = REMU_CMD_QP_CLOSE, .qpn = qpn, .cookie = cookie});
}

int
remu_channel_mr_register(struct remu_channel *ch, const struct remu_mr_config *cfg, uint64_t cookie)
{
	return send(ch,
		&(struct remu_cmd){
			.kind = REMU_CMD_MR_REGISTER,
			.cookie = cookie,
			.u.mr = *cfg,
		});
}

int
remu_channel_mr_deregister(struct remu_channel *ch, uint32_t pd, uint32_t rkey, uint64_t cookie)
{
	return send(ch,
		&(struct remu_cmd){
			.kind = REMU_CMD_MR_DEREGISTER,
			.cookie = cookie,
			.u.mr = {.pd = pd, .rkey = rkey},
		});
}

uint32_t
remu_channel_poll(struct remu_channel *ch, struct remu_wc *wc, uint32_t max)
{
	uint32_t n = rte_ring_sc_dequeue_burst_elem(ch->up, wc, sizeof(*wc), max, NULL);

	for (uint32_t i = 0; i < n; i++)
		ch->in_flight -= wc[i].kind != REMU_WC_FATAL;
	return n;
}

/* A client may touch only what it has opened itself. */
static struct remu_qp *
own_qp(struct remu_engine *e, const struct remu_channel *ch, uint32_t qpn)
{
	struct remu_qp *qp = remu_qp_find(e, qpn);

	return qp != NULL && qp->owner == ch ? qp : NULL;
}

/* What cannot be posted ends with an error. */
static void
reject(struct remu_engine *e, struct remu_channel *ch, uint32_t qpn, struct remu_wc *wc)
{
	wc->qpn = qpn;
	wc->status = REMU_WC_LOC_QP_OP_ERR;
	e->stats.wc_error++;
	remu__channel_push(ch, wc);
}

static void
serve_post(struct remu_engine *e, struct remu_channel *ch, const struct remu_cmd *cmd, uint64_t now)
{
	struct remu_qp *qp = own_qp(e, ch, cmd->qpn);

	if (qp != NULL && remu_qp_post(e, qp, &cmd->u.wr, now) == 0)
		return;
	reject(e, ch, cmd->qpn,
		&(struct remu_wc){
			.wr_id = cmd->u.wr.wr_id,
			.kind = REMU_WC_WORK,
			.opcode = cmd->u.wr.opcode,
		});
}

static void
serve_post_recv(struct remu_engine *e, struct remu_channel *ch, const struct remu_cmd *cmd)
{
	struct remu_qp *qp = own_qp(e, ch, cmd->qpn);

	if (qp != NULL && remu_qp_post_recv(e, qp, &cmd->u.recv) == 0)
		return;
	reject(e, ch, cmd->qpn,
		&(struct remu_wc){
			.wr_id = cmd->u.recv.wr_id,
			.kind = REMU_WC_RECV,
			.opcode = REMU_WR_SEND,
		});
}

static int
qp_open(struct remu_engine *e, struct remu_channel *ch, const struct remu_qp_config *cfg)
{
	struct remu_qp_config own = *cfg;
	struct remu_qp *qp;
	int rc;

	own.send_cq = own.recv_cq = NULL; /* the channel takes their place */
	rc = remu_qp_create(e, &own, &qp);

	if (rc != 0)
		return rc;
	qp->channel = qp->owner = ch;
	return remu_qp_modify(e, qp, REMU_QP_INIT, NULL);
}

static int
qp_connect(struct remu_engine *e, struct remu_qp *qp, const struct remu_qp_attr *attr)
{
	bool fresh = qp->state == REMU_QP_INIT;
	int rc = 0;

	if (fresh)
		rc = remu_qp_modify(e, qp, REMU_QP_RTR, attr);
	if (rc == 0)
		rc = remu_qp_modify(e, qp, REMU_QP_RTS, attr);
	if (rc != 0 && fresh) { /* all or nothing: no peer gets in yet */
		remu_qp_modify(e, qp, REMU_QP_RESET, NULL);
		remu_qp_modify(e, qp, REMU_QP_INIT, NULL);
	}
	return rc;
}

static int
serve_verb(struct remu_engine *e, struct remu_channel *ch, const struct remu_cmd *cmd)
{
	struct remu_qp *qp = own_qp(e, ch, cmd->qpn);

	switch (cmd->kind) {
	case REMU_CMD_QP_OPEN:
		return qp_open(e, ch, &cmd->u.qp);
	case REMU_CMD_QP_CONNECT:
		return qp != NULL ? qp_connect(e, qp, &cmd->u.attr) : -ENOENT;
	case REMU_CMD_QP_CLOSE:
		remu_qp_destroy(e, qp);
		return qp != NULL ? 0 : -ENOENT;
	case REMU_CMD_MR_REGISTER:
		return remu_mr_register(e, &cmd->u.mr);
	case REMU_CMD_MR_DEREGISTER:
		return remu_mr_deregister(e, cmd->u.mr.pd, cmd->u.mr.rkey);
	default:
		return -EINVAL;
	}
}

void
remu__channel_serve(struct remu_engine *e, struct remu_channel *ch, uint64_t now)
{
	struct remu_cmd cmds[REMU_CMD_BURST];
	uint32_t n;

	n = rte_ring_sc_dequeue_burst_elem(ch->down, cmds, sizeof(cmds[0]), REMU_CMD_BURST, NULL);
	for (uint32_t i = 0; i < n; i++) {
		if (cmds[i].kind == REMU_CMD_POST)
			serve_post(e, ch, &cmds[i], now);
		else if (cmds[i].kind == REMU_CMD_POST_RECV)
			serve_post_recv(e, ch, &cmds[i]);
		else
			remu__channel_push(ch,
				&(struct remu_wc){
					.wr_id = cmds[i].cookie,
					.qpn = cmds[i].qpn,
					.result = serve_verb(e, ch, &cmds[i]),
					.kind = REMU_WC_VERB,
				});
	}
}
