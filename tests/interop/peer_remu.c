/* SPDX-License-Identifier: BSD-3-Clause */
/* The end over lib/rdma_emul and any DPDK port: peer_remu EAL_ARGUMENTS -- MAC IP MTU */
#include "peer.h"

#include <rdma_emul.h>
#include <remu_port.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

const char *const peer_usage = "peer_remu EAL_ARGUMENTS -- MAC IP MTU";

enum { PD = 1, FIRST_QPN = 0x100, MBUFS = 8192, BURST = 32, HOLD_TURNS = 1000 };

static struct {
	struct rte_mempool *pool;
	struct remu_port *port;
	struct remu_engine *engine;
	struct remu_qp *qp;
	uint8_t *memory;
	uint32_t qpn;
	struct rte_mbuf *unsent[BURST];
	uint16_t n_unsent;
	uint32_t idle_turns;
} r = {.qpn = FIRST_QPN};

static const struct {
	uint32_t rkey;
	uint32_t access;
} keys[] = {
	{0x5eed0001,
		REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE | REMU_ACCESS_REMOTE_ATOMIC},
	{0x5eed0002, REMU_ACCESS_REMOTE_READ},
	{0x5eed0003, REMU_ACCESS_REMOTE_WRITE},
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int
make_qp(struct peer_local *out)
{
	const struct remu_qp_config cfg = {
		.qpn = r.qpn,
		.pd = PD,
		.access = keys[0].access,
	};
	int rc = remu_qp_create(r.engine, &cfg, &r.qp);

	*out = (struct peer_local){
		.qpn = r.qpn,
		.va = (uint64_t)(uintptr_t)r.memory,
		.rkey = keys[0].rkey,
		.rkey_ro = keys[1].rkey,
		.rkey_wo = keys[2].rkey,
		.memory = r.memory,
	};
	return rc;
}

static int
open_port(const uint8_t mac[6], uint16_t mtu)
{
	struct remu_port_config cfg = {
		.mtu = mtu,
		.n_queues = 1,
		.rx_ring = 1024,
		.tx_ring = 1024,
		.socket_id = SOCKET_ID_ANY,
		.pool = r.pool,
	};
	char error[256] = "no port";
	int rc = remu_port_first(&cfg.port_id);

	memcpy(cfg.mac, mac, sizeof(cfg.mac));
	if (rc == 0)
		rc = remu_port_open(&cfg, &r.port, error, sizeof(error));
	if (rc != 0)
		fprintf(stderr, "%s\n", error);
	else if (remu_port_mtu(r.port) < mtu)
		fprintf(stderr, "the port's MTU is only %u\n", remu_port_mtu(r.port));
	return rc;
}

static int
open_engine(const uint8_t mac[6], uint32_t ip)
{
	struct remu_engine_config cfg = {
		.pool = r.pool,
		.gid = roce_gid_ipv4(ip),
		.n_engines = 1,
		.max_qps = 2,
		.max_mrs = 8,
		.sq_depth = PEER_DEPTH,
		.rq_depth = PEER_DEPTH,
		.window = 128,
		.answer_arp = true,
		.socket_id = SOCKET_ID_ANY,
	};
	int rc;

	memcpy(cfg.mac, mac, sizeof(cfg.mac));
	rc = remu_engine_create(&cfg, &r.engine);
	for (size_t i = 0; rc == 0 && i < RTE_DIM(keys); i++)
		rc = remu_mr_register(r.engine,
			&(struct remu_mr_config){
				.addr = r.memory,
				.va = (uint64_t)(uintptr_t)r.memory,
				.length = PEER_MEMORY,
				.rkey = keys[i].rkey,
				.pd = PD,
				.access = keys[i].access,
			});
	return rc;
}

int
peer_open(int argc, char **argv, struct peer_local *out)
{
	int n = rte_eal_init(argc, argv), rc;
	struct in_addr ip;
	uint8_t mac[6];
	uint16_t mtu;

	if (n < 0 || argc - n != 4)
		return -EINVAL;
	argv += n;
	if (sscanf(argv[1], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		    &mac[4], &mac[5]) != 6 ||
		inet_pton(AF_INET, argv[2], &ip) != 1)
		return -EINVAL;
	mtu = (uint16_t)strtoul(argv[3], NULL, 10);
	r.pool = rte_pktmbuf_pool_create("peer", MBUFS, 256, 0,
		(uint16_t)(RTE_PKTMBUF_HEADROOM +
			RTE_MAX(mtu + REMU_PORT_FRAME_EXTRA, RTE_MBUF_DEFAULT_DATAROOM)),
		SOCKET_ID_ANY);
	r.memory = mmap(NULL, PEER_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	if (r.pool == NULL || r.memory == MAP_FAILED)
		return -ENOMEM;
	rc = open_port(mac, mtu);
	if (rc == 0)
		rc = open_engine(mac, ntohl(ip.s_addr));
	return rc == 0 ? make_qp(out) : rc;
}

void
peer_close(void)
{
	rte_pktmbuf_free_bulk(r.unsent, r.n_unsent);
	remu_port_close(r.port);
	remu_engine_destroy(r.engine);
	rte_eal_cleanup();
}

int
peer_reset(struct peer_local *out)
{
	struct remu_wc wc;

	remu_qp_destroy(r.engine, r.qp);
	while (remu_engine_poll_wc(r.engine, &wc, 1) != 0)
		;
	/* Another number, so that nothing old reaches the new one. */
	r.qpn++;
	return make_qp(out);
}

int
peer_connect(const struct peer_remote *p)
{
	struct remu_qp_attr attr = {
		.peer_gid = roce_gid_ipv4(p->ip),
		.path_mtu = (uint16_t)p->mtu,
		.peer_qpn = p->qpn,
		.sq_psn = p->my_psn,
		.rq_psn = p->psn,
		.timeout_us = (uint32_t)((UINT64_C(4096) << p->timeout) / 1000),
		.retry_cnt = (uint8_t)p->retry_cnt,
		.rnr_retry = (uint8_t)p->rnr_retry,
		.max_rd_atomic = PEER_READS,
		.max_dest_rd_atomic = PEER_READS,
		.min_rnr_timer_us = 640,
	};
	int rc = 0;

	memcpy(attr.peer_mac, p->mac, sizeof(attr.peer_mac));
	for (int to = REMU_QP_INIT; rc == 0 && to <= REMU_QP_RTS; to++)
		rc = remu_qp_modify(r.engine, r.qp, (enum remu_qp_state)to, &attr);
	return rc;
}

int
peer_post(const struct peer_wr *wr)
{
	static const uint8_t codes[PEER_OP_COUNT] = {
		[PEER_WRITE] = REMU_WR_RDMA_WRITE,
		[PEER_WRITE_IMM] = REMU_WR_RDMA_WRITE_IMM,
		[PEER_READ] = REMU_WR_RDMA_READ,
		[PEER_SEND] = REMU_WR_SEND,
		[PEER_SEND_IMM] = REMU_WR_SEND_IMM,
		[PEER_CAS] = REMU_WR_CMP_SWAP,
		[PEER_FADD] = REMU_WR_FETCH_ADD,
	};
	const struct remu_wr out = {
		.wr_id = wr->wr_id,
		.addr = wr->addr,
		.remote_va = wr->remote_va,
		.length = wr->len,
		.rkey = wr->rkey,
		.opcode = codes[wr->op],
		.imm = wr->imm,
		.swap_add = wr->swap_add,
		.compare = wr->compare,
	};

	return remu_qp_post(r.engine, r.qp, &out, now_ns());
}

int
peer_post_recv(uint64_t wr_id, uint8_t *addr, uint32_t len)
{
	return remu_qp_post_recv(r.engine, r.qp,
		&(struct remu_recv_wr){.wr_id = wr_id, .addr = addr, .length = len});
}

static void
turn(void)
{
	struct rte_mbuf *pkts[BURST];
	uint64_t now = now_ns();
	uint16_t n = remu_port_rx(r.port, 0, pkts, BURST), sent;
	bool busy = n != 0;

	remu_engine_rx(r.engine, pkts, n, now);
	remu_engine_poll(r.engine, now);
	if (r.n_unsent == 0)
		r.n_unsent = remu_engine_tx(r.engine, r.unsent, BURST, now);
	if (r.n_unsent != 0) {
		busy = true;
		sent = remu_port_tx(r.port, 0, r.unsent, r.n_unsent);
		r.n_unsent -= sent;
		memmove(r.unsent, r.unsent + sent, r.n_unsent * sizeof(r.unsent[0]));
	}
	r.idle_turns = busy ? 0 : r.idle_turns + 1;
	if (r.idle_turns > HOLD_TURNS) /* leave the CPU to the other end */
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

bool
peer_poll(struct peer_wc *wc)
{
	struct remu_wc in;

	turn();
	while (remu_engine_poll_wc(r.engine, &in, 1) == 1) {
		if (in.kind != REMU_WC_WORK && in.kind != REMU_WC_RECV)
			continue;
		*wc = (struct peer_wc){
			.wr_id = in.wr_id,
			.status = in.status,
			.len = in.byte_len,
			.recv = in.kind == REMU_WC_RECV,
			.with_imm = (in.flags & REMU_WC_WITH_IMM) != 0,
			.imm = in.imm,
		};
		return true;
	}
	return false;
}

void
peer_stats(char *buf, size_t size)
{
	const struct remu_stats *s = remu_engine_stats(r.engine);

	snprintf(buf, size,
		"rx=%" PRIu64 " tx=%" PRIu64 " retransmits=%" PRIu64 " timeouts=%" PRIu64
		" naks_sent=%" PRIu64 " naks_received=%" PRIu64 " rnr_naks_sent=%" PRIu64
		" duplicates=%" PRIu64 " reordered=%" PRIu64 " probes=%" PRIu64
		" arp_answered=%" PRIu64,
		s->rx_packets, s->tx_packets, s->retransmits, s->timeouts, s->naks_sent,
		s->naks_received, s->rnr_naks_sent, s->duplicates, s->rx_reordered, s->probes,
		s->arp_answered);
}
