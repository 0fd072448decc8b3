/* SPDX-License-Identifier: BSD-3-Clause */
/* The end over libibverbs: peer_verbs DEVICE GID_INDEX */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const char *const peer_usage = "peer_verbs DEVICE GID_INDEX";

#define RECV_TAG (UINT64_C(1) << 63)
#define ALL_RIGHTS \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE | \
		IBV_ACCESS_REMOTE_ATOMIC)

static struct {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_mr *all, *ro, *wo;
	uint8_t *memory;
	uint8_t gid_index;
} v;

static int
open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	int rc = -ENODEV;

	for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
		if (strcmp(ibv_get_device_name(list[i]), name) == 0) {
			v.context = ibv_open_device(list[i]);
			rc = v.context != NULL ? 0 : -errno;
		}
	}
	ibv_free_device_list(list);
	return rc;
}

static int
make_qp(void)
{
	struct ibv_qp_init_attr_ex init = {
		.send_cq = v.cq,
		.recv_cq = v.cq,
		.cap = {.max_send_wr = PEER_DEPTH,
			.max_recv_wr = PEER_DEPTH,
			.max_send_sge = 1,
			.max_recv_sge = 1},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = v.pd,
		.send_ops_flags = IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP |
			IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD,
	};

	v.qp = ibv_create_qp_ex(v.context, &init);
	return v.qp != NULL ? 0 : -errno;
}

static void
describe(struct peer_local *out)
{
	*out = (struct peer_local){
		.qpn = v.qp->qp_num,
		.va = (uint64_t)(uintptr_t)v.memory,
		.rkey = v.all->rkey,
		.rkey_ro = v.ro->rkey,
		.rkey_wo = v.wo->rkey,
		.memory = v.memory,
	};
}

int
peer_open(int argc, char **argv, struct peer_local *out)
{
	int rc;

	if (argc != 3)
		return -EINVAL;
	v.gid_index = (uint8_t)strtoul(argv[2], NULL, 10);
	rc = open_device(argv[1]);
	if (rc != 0)
		return rc;
	v.memory = mmap(NULL, PEER_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	if (v.memory == MAP_FAILED)
		return -ENOMEM;
	v.pd = ibv_alloc_pd(v.context);
	v.cq = ibv_create_cq(v.context, 4 * PEER_DEPTH, NULL, NULL, 0);
	if (v.pd == NULL || v.cq == NULL)
		return -errno;
	v.all = ibv_reg_mr(v.pd, v.memory, PEER_MEMORY, ALL_RIGHTS);
	v.ro = ibv_reg_mr(v.pd, v.memory, PEER_MEMORY, IBV_ACCESS_REMOTE_READ);
	v.wo = ibv_reg_mr(v.pd, v.memory, PEER_MEMORY,
		IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	if (v.all == NULL || v.ro == NULL || v.wo == NULL)
		return -errno;
	rc = make_qp();
	if (rc == 0)
		describe(out);
	return rc;
}

void
peer_close(void)
{
	ibv_destroy_qp(v.qp);
	ibv_dereg_mr(v.all);
	ibv_dereg_mr(v.ro);
	ibv_dereg_mr(v.wo);
	ibv_destroy_cq(v.cq);
	ibv_dealloc_pd(v.pd);
	ibv_close_device(v.context);
}

int
peer_reset(struct peer_local *out)
{
	struct peer_wc wc;
	int rc;

	if (ibv_destroy_qp(v.qp) != 0)
		return -errno;
	while (peer_poll(&wc))
		;
	rc = make_qp();
	if (rc == 0)
		describe(out);
	return rc;
}

static enum ibv_mtu
mtu_code(uint32_t bytes)
{
	enum ibv_mtu code = IBV_MTU_256;

	while (code < IBV_MTU_4096 && 128u << code < bytes)
		code = (enum ibv_mtu)(code + 1);
	return code;
}

int
peer_connect(const struct peer_remote *r)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ALL_RIGHTS,
	};
	uint32_t ip = htonl(r->ip);

	if (ibv_modify_qp(v.qp, &attr,
		    IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) != 0)
		return -errno;
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = mtu_code(r->mtu),
		.dest_qp_num = r->qpn,
		.rq_psn = r->psn,
		.max_dest_rd_atomic = PEER_READS,
		.min_rnr_timer = 12, /* 0.64 ms */
		.ah_attr = {.is_global = 1,
			.port_num = 1,
			.grh = {.sgid_index = v.gid_index, .hop_limit = 64}},
	};
	attr.ah_attr.grh.dgid.raw[10] = attr.ah_attr.grh.dgid.raw[11] = 0xff;
	memcpy(&attr.ah_attr.grh.dgid.raw[12], &ip, sizeof(ip));
	if (ibv_modify_qp(v.qp, &attr,
		    IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			    IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) != 0)
		return -errno;
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.sq_psn = r->my_psn,
		.timeout = (uint8_t)r->timeout,
		.retry_cnt = (uint8_t)r->retry_cnt,
		.rnr_retry = (uint8_t)r->rnr_retry,
		.max_rd_atomic = PEER_READS,
	};
	return ibv_modify_qp(v.qp, &attr,
		       IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
			       IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC) != 0
		? -errno
		: 0;
}

/* By the newer calls: ibv_post_send() of Soft-RoCE lets no address through that is not aligned. */
static int
post_atomic(const struct peer_wr *wr)
{
	struct ibv_qp_ex *qp = ibv_qp_to_qp_ex(v.qp);

	ibv_wr_start(qp);
	qp->wr_id = wr->wr_id;
	qp->wr_flags = IBV_SEND_SIGNALED;
	if (wr->op == PEER_CAS)
		ibv_wr_atomic_cmp_swp(qp, wr->rkey, wr->remote_va, wr->compare, wr->swap_add);
	else
		ibv_wr_atomic_fetch_add(qp, wr->rkey, wr->remote_va, wr->swap_add);
	ibv_wr_set_sge(qp, v.all->lkey, (uint64_t)(uintptr_t)wr->addr, wr->len);
	return ibv_wr_complete(qp);
}

int
peer_post(const struct peer_wr *wr)
{
	static const enum ibv_wr_opcode codes[PEER_OP_COUNT] = {
		[PEER_WRITE] = IBV_WR_RDMA_WRITE,
		[PEER_WRITE_IMM] = IBV_WR_RDMA_WRITE_WITH_IMM,
		[PEER_READ] = IBV_WR_RDMA_READ,
		[PEER_SEND] = IBV_WR_SEND,
		[PEER_SEND_IMM] = IBV_WR_SEND_WITH_IMM,
	};
	struct ibv_sge sge = {
		.addr = (uint64_t)(uintptr_t)wr->addr,
		.length = wr->len,
		.lkey = v.all->lkey,
	};
	struct ibv_send_wr send = {
		.wr_id = wr->wr_id,
		.sg_list = &sge,
		.num_sge = wr->len != 0,
		.opcode = codes[wr->op],
		.imm_data = htonl(wr->imm),
		.wr.rdma = {.remote_addr = wr->remote_va, .rkey = wr->rkey},
	};
	struct ibv_send_wr *bad;
	int rc = wr->op == PEER_CAS || wr->op == PEER_FADD ? post_atomic(wr)
							   : ibv_post_send(v.qp, &send, &bad);

	return rc == ENOMEM ? -EAGAIN : -rc;
}

int
peer_post_recv(uint64_t wr_id, uint8_t *addr, uint32_t len)
{
	struct ibv_sge sge = {
		.addr = (uint64_t)(uintptr_t)addr,
		.length = len,
		.lkey = v.all->lkey,
	};
	struct ibv_recv_wr recv = {
		.wr_id = wr_id | RECV_TAG,
		.sg_list = &sge,
		.num_sge = len != 0,
	};
	struct ibv_recv_wr *bad;

	return -ibv_post_recv(v.qp, &recv, &bad);
}

bool
peer_poll(struct peer_wc *wc)
{
	struct ibv_wc in;

	if (ibv_poll_cq(v.cq, 1, &in) != 1)
		return false;
	*wc = (struct peer_wc){
		.wr_id = in.wr_id & ~RECV_TAG,
		.status = in.status,
		.len = in.byte_len,
		.recv = (in.wr_id & RECV_TAG) != 0,
		.with_imm = (in.wc_flags & IBV_WC_WITH_IMM) != 0,
		.imm = ntohl(in.imm_data),
	};
	return true;
}

void
peer_stats(char *buf, size_t size)
{
	snprintf(buf, size, "see /sys/class/infiniband/*/ports/1/hw_counters");
}
