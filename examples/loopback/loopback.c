/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * librdma_emul in its smallest form: two engines in one process, and instead of a network a loop
 * that hands the frames of one to the other. One side WRITEs into the other's memory and READs it
 * back.
 *
 *   ./loopback --no-huge -m 64 --no-pci
 */
#include <rdma_emul.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BURST = 32,
	PATH_MTU = 1024,
	DOMAIN = 1,
	RKEY = 0x1234,
	VA = 0x100000, /* the address that the peer uses; it need not be the one of the memory */
	SIZE = 4096,
	QPN = 2,
};

struct side {
	struct remu_engine *engine;
	struct remu_qp *qp;
	uint8_t memory[SIZE];
};

static struct side sides[2];
static uint64_t now_ns; /* the engine reads no clock: time is what its owner says */

static void
must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "loopback: %s: %s\n", what, strerror(rc < 0 ? -rc : rc));
	exit(1);
}

/* An engine with one region that the peer may READ and WRITE. */
static void
open_engine(struct side *s, uint8_t number, struct rte_mempool *pool)
{
	struct remu_engine_config cfg = {
		.pool = pool,
		.mac = {0x02, 0, 0, 0, 0, number},
		.gid = roce_gid_ipv4(0xc0000200u + number), /* 192.0.2.x */
		.n_engines = 1,
		.max_qps = 1,
		.max_mrs = 1,
		.sq_depth = 16,
		.window = 64,
		.socket_id = SOCKET_ID_ANY,
	};
	struct remu_mr_config mr = {
		.addr = s->memory,
		.va = VA,
		.length = SIZE,
		.rkey = RKEY,
		.pd = DOMAIN,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE,
	};

	must(remu_engine_create(&cfg, &s->engine), "engine");
	must(remu_mr_register(s->engine, &mr), "memory region");
}

/* A reliable connection: the values are what both sides have agreed on by other means. */
static void
connect_side(struct side *s, uint8_t peer)
{
	struct remu_qp_config cfg = {
		.qpn = QPN,
		.pd = DOMAIN,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE,
	};
	struct remu_qp_attr attr = {
		.peer_gid = roce_gid_ipv4(0xc0000200u + peer),
		.peer_mac = {0x02, 0, 0, 0, 0, peer},
		.path_mtu = PATH_MTU,
		.peer_qpn = QPN,
		.timeout_us = 1000,
		.retry_cnt = 7,
		.max_rd_atomic = 4,
		.max_dest_rd_atomic = 4,
	};

	must(remu_qp_create(s->engine, &cfg, &s->qp), "queue pair");
	must(remu_qp_modify(s->engine, s->qp, REMU_QP_INIT, NULL), "INIT");
	must(remu_qp_modify(s->engine, s->qp, REMU_QP_RTR, &attr), "RTR");
	must(remu_qp_modify(s->engine, s->qp, REMU_QP_RTS, &attr), "RTS");
}

/* What a poll loop does on an lcore, for both sides; the wire between them loses nothing. */
static void
turn(void)
{
	now_ns += 1000;
	for (int i = 0; i < 2; i++) {
		struct rte_mbuf *pkts[BURST];
		uint16_t n;

		remu_engine_poll(sides[i].engine, now_ns);
		n = remu_engine_tx(sides[i].engine, pkts, BURST, now_ns);
		remu_engine_rx(sides[!i].engine, pkts, n, now_ns); /* takes the mbufs over */
	}
}

/* Post a work request and wait for its completion. */
static void
run(uint8_t opcode, void *addr, uint32_t length)
{
	struct remu_wr wr = {
		.wr_id = opcode,
		.addr = addr,
		.remote_va = VA,
		.length = length,
		.rkey = RKEY,
		.opcode = opcode,
	};
	struct remu_wc wc;
	int turns = 0;

	must(remu_qp_post(sides[0].engine, sides[0].qp, &wr, now_ns), "post");
	while (remu_engine_poll_wc(sides[0].engine, &wc, 1) == 0) {
		turn();
		turns++;
	}
	printf("%s of %u bytes: %s after %d turns\n",
		opcode == REMU_WR_RDMA_WRITE ? "WRITE" : "READ", length,
		remu_wc_status_name(wc.status), turns);
	if (wc.status != REMU_WC_SUCCESS)
		exit(1);
}

int
main(int argc, char **argv)
{
	static uint8_t sent[SIZE], back[SIZE];
	struct rte_mempool *pool;

	must(rte_eal_init(argc, argv) < 0, "EAL");
	pool = rte_pktmbuf_pool_create("frames", 511, 32, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
		SOCKET_ID_ANY);
	must(pool == NULL, "mbufs");
	for (uint8_t i = 0; i < 2; i++)
		open_engine(&sides[i], i + 1, pool);
	for (uint8_t i = 0; i < 2; i++)
		connect_side(&sides[i], 2 - i);

	for (size_t i = 0; i < SIZE; i++)
		sent[i] = (uint8_t)(i * 7);
	run(REMU_WR_RDMA_WRITE, sent, SIZE);
	run(REMU_WR_RDMA_READ, back, SIZE);
	must(memcmp(sides[1].memory, sent, SIZE) != 0, "what was written differs");
	must(memcmp(back, sent, SIZE) != 0, "what was read differs");
	printf("the same %d bytes on both sides\n", SIZE);

	for (int i = 0; i < 2; i++)
		remu_engine_destroy(sides[i].engine);
	rte_mempool_free(pool);
	return rte_eal_cleanup() == 0 ? 0 : 1;
}
