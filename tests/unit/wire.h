/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Test wire for the engine. A bench is one engine whose peer is made of single crafted packets; a
 * wire joins two engines by links whose faults a hook decides. Time is virtual, everything is
 * reproducible.
 */

#include <rdma_emul.h>

#include <rte_mbuf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
	WIRE_QPN = 0x11, /* the engine's own; second end of a wire: WIRE_PEER_QPN */
	WIRE_PEER_QPN = 0x22,
	WIRE_PD = 7,
	WIRE_TIMEOUT_US = 1000,
};

/* A queue pair and its engine; zero stands for the default. */
struct wire_config {
	uint32_t flags;
	uint32_t access;   /* READ and WRITE */
	uint32_t mtu;	   /* 1024 */
	uint32_t window;   /* 64 */
	uint32_t sq_depth; /* 64 */
	uint32_t max_rd;   /* 4 */
	uint32_t max_dest; /* 4 */
	uint32_t retry_cnt;
	uint32_t sq_psn;
	uint32_t rq_psn;
	uint32_t rq_depth; /* none */
	uint32_t rnr_retry;
	uint32_t rnr_timer_us;
	uint32_t disable; /* enum remu_recovery */
	uint32_t max_read_len;
	uint32_t reack_per_s;
	uint32_t replay_bytes_per_s;
	uint32_t traffic_class;
	bool no_dest; /* max_dest_rd_atomic 0 */
	bool ipv6;
	bool answer_arp;
	bool tagged;
	uint16_t vlan_tci;
	uint32_t pool;	  /* 4096 mbufs */
	uint32_t max_qps; /* 8 */
};

/* A frame that an engine has sent. */
struct frame {
	uint8_t bytes[ROCE_MTU_MAX + ROCE_MTU_OVERHEAD + ROCE_ETH_LEN];
	size_t len;
	struct roce_packet pkt;
};

struct bench {
	struct rte_mempool *pool;
	struct remu_engine *e;
	struct remu_qp *qp;
	struct remu_qp_attr attr;
	struct roce_path path; /* from the peer to us */
	struct roce_flow in;   /* the same */
	uint64_t now;
	struct frame last;
	char label[96]; /* what is being tested, for messages */
};

/* Attributes for either end (0 or 1) of a connection; qpn and PSNs crosswise. */
struct remu_qp_attr wire_attr(const struct wire_config *cfg, int end);
struct remu_engine *wire_engine(const struct wire_config *cfg, int end, struct rte_mempool *pool);

/* Bring a queue pair up to RTS. */
struct remu_qp *wire_qp(struct remu_engine *e, const struct wire_config *cfg, uint32_t qpn,
	const struct remu_qp_attr *attr);

/* One engine with its queue pair in RTS. */
void bench_open(struct bench *b, const struct wire_config *cfg);
void bench_close(struct bench *b);

/* The fields with P_Key and QPN filled in where they are zero. */
struct rte_mbuf *bench_craft(struct bench *b, const struct roce_fields *f, const void *payload,
	uint32_t len);

/* Set the ICRC of a frame that has been changed; harmless when its lengths make no sense. */
void frame_reseal(struct rte_mbuf *m);

/* Hand one frame to the engine. Returns what became of it; REMU_DROP_COUNT: it is held. */
enum remu_drop bench_rx(struct bench *b, struct rte_mbuf *m);
enum remu_drop bench_inject(struct bench *b, const struct roce_fields *f, const void *payload,
	uint32_t len);

/* The next frame that the engine sends, checked for what all frames must have; NULL: none. */
const struct frame *bench_tx(struct bench *b);

/* The next frame must be this one to the byte; MigReq, P_Key and QPN are filled in. */
void bench_expect(struct bench *b, const struct roce_fields *f, const void *payload, uint32_t len);
void bench_expect_silence(struct bench *b);

/* The next completion must be this; or there must be none. */
void bench_expect_wc(struct bench *b, uint64_t wr_id, enum remu_wc_status status);
void bench_expect_no_wc(struct bench *b);

struct remu_qp_info bench_info(const struct bench *b);

/* What happens to a frame on its way. */
struct wire_fate {
	uint32_t copies; /* 1; 0 loses it */
	uint64_t delay_ns;
	int64_t corrupt; /* byte whose bits are turned; -1 */
};

struct wire {
	struct rte_mempool *pool;
	struct remu_engine *e[2];
	struct remu_qp *qp[2];
	uint64_t now;
	uint64_t delay_ns;
	uint64_t trace; /* hash of all frames sent, who sent them and when */
	uint64_t frames;
	void (*hook)(void *arg, int from, const struct rte_mbuf *m, struct wire_fate *fate);
	void *arg;
	struct {
		struct rte_mbuf *m;
		uint64_t due;
		int to;
	} flight[8192]; /* in order of arrival */
	uint32_t n_flight;
};

void wire_open(struct wire *w, const struct wire_config *cfg);
void wire_close(struct wire *w);

/* Let both engines send, then go on to the next moment at which something happens. */
void wire_step(struct wire *w);
