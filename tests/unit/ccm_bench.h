/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * A manager over real engines for the tests of its files. Its only partner has our own node id and
 * addresses: unless a test says otherwise the node talks to itself and comes up with itself. Time
 * is virtual, random numbers are reproducible.
 */

#include <ccm_priv.h>
#include <remu_priv.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
	CCM_BENCH_ENGINES = 3,
	CCM_BENCH_NODE = 1,
	CCM_BENCH_QPN = 0x100, /* bootstrap queue pair, ours and the partner's */
	CCM_BENCH_VA = 0x100000,
	CCM_BENCH_RKEY = 0xc0de0001,
	CCM_BENCH_IP = 0xc0000201,
	CCM_BENCH_STEP_NS = 1000,
	CCM_BENCH_LOG = 1024,
	CCM_BENCH_MS = 1000 * 1000,
};

/* Zero stands for the default. */
struct ccm_bench_config {
	uint32_t n_engines; /* 1 */
	uint32_t depth;	    /* of each channel: 256 */
	uint32_t max_qps;   /* of each engine: 256 */
	uint32_t n_clients; /* 1 */
	uint32_t ports;	    /* of each client: 4 */
	uint64_t memory;    /* of each port: 8192 bytes */
	uint64_t seed;
	struct ccm_partner_config partner; /* id 0: the node itself */
};

/* What a client has been told. */
struct ccm_bench_client {
	struct ccm_client *handle;
	uint32_t ups;
	uint32_t downs;
	uint32_t releases;
	struct ccm_bench *bench;
	uint32_t gone;
	uint32_t n_ports;
	enum ccm_reason reason; /* of the last DOWN */
	struct ccm_port ports[CCM_MAX_PORTS];
	uint32_t completions;
	struct {
		uint32_t handle;
		uint64_t wr_id;
		uint32_t byte_len;
		uint8_t status;
	} done[CCM_BENCH_LOG];
};

struct ccm_bench {
	struct rte_mempool *pool;
	struct remu_engine *engines[CCM_BENCH_ENGINES];
	struct remu_channel *channels[CCM_BENCH_ENGINES];
	uint32_t n_engines;
	struct ccm_config cfg;
	struct ccm *ccm;
	struct ccm_peer *peer; /* the only one */
	uint8_t *memory;
	uint64_t now;
	uint64_t rng;
	const uint64_t *script; /* random numbers to give out first */
	uint32_t n_script;
	struct ccm_bench_client clients[CCM_MAX_CLIENTS];
	/* Another node: gets the frames that are not for us, and may send. */
	struct remu_engine *partner;
	/* Sees every frame; false loses it. May be NULL. */
	bool (*tap)(void *arg, const struct roce_packet *pkt);
	void *arg;
};

/* Manager and engines; nothing has been polled. The port memory is dealt out. */
void ccm_bench_open(struct ccm_bench *b, const struct ccm_bench_config *cfg);

/* Fails the test when an mbuf is missing. */
void ccm_bench_close(struct ccm_bench *b);

/* An engine of the bench's kind for another node: same pool, queue pairs, 16 regions. */
struct remu_engine *ccm_bench_engine(struct ccm_bench *b, uint32_t id, uint32_t n_engines,
	uint32_t max_qps, uint8_t mac, uint32_t ip);

/* The engines work and frames travel; the manager does not. Time passes. */
void ccm_bench_engines(struct ccm_bench *b);

/* All of it once, in the order: manager, engines. */
void ccm_bench_turn(struct ccm_bench *b);

/* Turns until the session is in that state; fails after the limit. */
void ccm_bench_run_to(struct ccm_bench *b, enum ccm_state state, uint64_t limit_ns);
void ccm_bench_run(struct ccm_bench *b, uint64_t ns);

/* Queue pairs and regions in all engines. */
uint32_t ccm_bench_qps(const struct ccm_bench *b);
uint32_t ccm_bench_mrs(const struct ccm_bench *b);

uint64_t ccm_bench_rand64(void *ctx);
