/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * One engine, and the peer of its queue pair. The peer makes frames by the tables of the protocol,
 * with an encoder and a CRC of its own: what the engine sends is compared with them to the byte, so
 * that a mistake of the codec cannot hide itself. Time is virtual.
 */

#include <rdma_emul.h>

#include <rte_common.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
	CONF_QPN = 0x11, /* the engine's own */
	CONF_PEER_QPN = 0x22,
	CONF_PD = 7,
	CONF_RKEY = 0xfeed,
	CONF_MTU = 1024, /* unless the configuration says otherwise */
	CONF_WINDOW = 64,
	CONF_MAX = 1 << 20, /* bytes that the local buffer and the peer's memory hold */
	CONF_POSTED = 64,   /* work requests that are remembered */
	CONF_T_NS = 1000 * 1000,
	CONF_ACK = 0x1f, /* syndrome of an acknowledgement: credits without limit */
	CONF_RNR = 0x20, /* plus the code of the time */
	CONF_NAK_SEQUENCE = 0x60,
};

#define CONF_VA UINT64_C(0x123456789a)

/* An engine and its queue pair; zero stands for the default. */
struct conf_config {
	uint32_t mtu;	   /* CONF_MTU */
	uint32_t window;   /* CONF_WINDOW */
	uint32_t sq_depth; /* 64 */
	uint32_t rq_depth;
	uint32_t max_rd;   /* 4 */
	uint32_t max_dest; /* 4 */
	uint32_t sq_psn;
	uint32_t rq_psn;
	uint32_t timeout_us; /* 1000 */
	uint32_t retry_cnt;
	uint32_t rnr_retry;
	uint32_t disable; /* enum remu_recovery */
	uint32_t flags;	  /* enum remu_qp_flags */
	uint32_t pool;	  /* 4096 mbufs */
	uint32_t cq;	  /* depth of a completion queue for each direction; 0: the engine's */
	uint32_t hold_max;
	uint32_t cnp_interval_us;
	uint32_t reack_per_s;
	uint32_t replay_bytes_per_s;
	uint32_t max_read_len;
	uint8_t traffic_class;
	uint8_t hop_limit;
	bool ipv6;
	bool tagged;
	uint16_t vlan_tci;
};

/* What all frames of one direction have in common. */
struct conf_path {
	uint8_t dst_mac[6];
	uint8_t src_mac[6];
	bool tagged;
	uint16_t vlan_tci;
	bool ipv6;
	uint8_t src[16]; /* IPv4: the first four bytes */
	uint8_t dst[16];
	uint8_t tos;
	uint8_t ttl;
	uint16_t sport;
};

struct conf_frame {
	uint8_t bytes[4096 + 128];
	size_t len;
};

/* A work request and the PSN of its first packet, by the peer's own count. */
struct conf_posted {
	struct remu_wr wr;
	uint32_t psn;
};

struct conf {
	struct rte_mempool *pool;
	struct remu_engine *e;
	struct remu_qp *qp;
	struct remu_cq *send_cq; /* NULL: the engine's */
	struct remu_cq *recv_cq;
	struct remu_qp_attr attr;
	struct conf_path in;  /* from the peer */
	struct conf_path out; /* from the engine; the source port is what its first frame has */
	uint64_t now;
	uint32_t mtu;
	uint32_t next_psn;
	struct conf_posted posted[CONF_POSTED]; /* by wr_id */
	struct conf_frame last;			/* that the engine has sent */
	bool pending;	 /* conf_wait() has got it, nobody has looked at it */
	uint8_t *local;	 /* CONF_MAX bytes between red zones */
	uint8_t *remote; /* what the peer has at CONF_VA */
	char label[96];	 /* what is being tested, for messages */
};

/* The engine and a queue pair in RTS of either end, 0 or 1; PSNs crosswise. */
struct remu_engine *conf_engine(const struct conf_config *cfg, int end, struct rte_mempool *pool);
struct remu_qp_attr conf_attr(const struct conf_config *cfg, int end);
struct remu_qp *conf_qp(struct remu_engine *e, const struct conf_config *cfg,
	const struct remu_qp_config *qp, const struct remu_qp_attr *attr);

/* Bring the queue pair up to RTS; local buffer and remote memory get random bytes. */
void conf_open(struct conf *c, const struct conf_config *cfg);
void conf_close(struct conf *c);
struct remu_qp_info conf_info(const struct conf *c);

/* The ICRC of a packet of `len` bytes from its IP header to the byte before the ICRC. */
uint32_t conf_icrc(const uint8_t *l3, size_t len);

/* Make a frame. Extension headers follow from the opcode. */
void conf_frame(struct conf_frame *frame, const struct conf_path *path, uint16_t ip_id,
	const struct roce_fields *f, const void *payload, size_t len);

/*
 * Hand the engine a frame of the peer; P_Key, QPN and MigReq are filled in. Returns what has become
 * of it; REMU_DROP_COUNT: it is held.
 */
enum remu_drop conf_inject(struct conf *c, const struct roce_fields *f, const void *payload,
	size_t len);
enum remu_drop conf_inject_frame(struct conf *c, const struct conf_frame *frame);

/* The same without a look at what becomes of it. */
void conf_rx(struct conf *c, const struct conf_frame *frame);

/* The next frame of the engine; NULL: none. */
const struct conf_frame *conf_tx(struct conf *c);

/* Its opcode and PSN, and whether it asks for an acknowledgement. */
struct roce_fields conf_bth(const struct conf *c, const struct conf_frame *frame);

/* The next frame is this one to the byte; P_Key, QPN and MigReq are filled in. */
void conf_expect(struct conf *c, const struct roce_fields *f, const void *payload, size_t len);
void conf_expect_silence(struct conf *c);

/* Let time pass to each of the engine's deadlines and up to `until`: nothing is sent. */
void conf_expect_silence_until(struct conf *c, uint64_t until);

/* Let all of the engine's timers run out: nothing is sent, and nothing ends. */
void conf_expect_rest(struct conf *c);

/* Let time pass until the engine sends something: that is kept for the next conf_expect(). */
void conf_wait(struct conf *c, uint64_t until);

/* Post a work request, with both buffers `at` bytes from their beginnings. */
void conf_post(struct conf *c, uint64_t id, uint8_t opcode, uint32_t at, uint32_t len);
void conf_post_wr(struct conf *c, const struct remu_wr *wr);
int conf_post_recv(struct conf *c, uint64_t id, uint32_t at, uint32_t len);

/* PSN of packet k of a work request. */
uint32_t conf_psn(const struct conf *c, uint64_t id, uint32_t k);
uint32_t conf_packets(const struct conf *c, uint64_t id);

/* Packet k of a SEND or WRITE, with AckReq as always, or as said; or all packets of it. */
void conf_expect_packet(struct conf *c, uint64_t id, uint32_t k);
void conf_expect_packet_ack(struct conf *c, uint64_t id, uint32_t k, bool ackreq);
void conf_expect_message(struct conf *c, uint64_t id);

/* A READ request for packets k to k + n - 1; or for all. */
void conf_expect_read(struct conf *c, uint64_t id, uint32_t k, uint32_t n);
void conf_expect_read_all(struct conf *c, uint64_t id);
void conf_expect_atomic(struct conf *c, uint64_t id);

/* Answer packet k of a work request with an ACK or NAK. */
enum remu_drop conf_ack(struct conf *c, uint64_t id, uint32_t k, uint8_t syndrome);
enum remu_drop conf_ack_psn(struct conf *c, uint32_t psn, uint8_t syndrome);

/* Packet k of the answer to a READ of which packets `from` to `to` - 1 were asked for. */
enum remu_drop conf_data(struct conf *c, uint64_t id, uint32_t k, uint32_t from, uint32_t to);
enum remu_drop conf_atomic_ack(struct conf *c, uint64_t id, uint64_t original);

/* The next completion of a work or receive request is this one; or there is none. */
void conf_expect_wc(struct conf *c, uint64_t id, enum remu_wc_status status);
void conf_expect_recv(struct conf *c, const struct remu_wc *want);
void conf_expect_no_wc(struct conf *c);

/* Bytes [from, from + len) of the local buffer are the peer's, all others untouched. */
void conf_expect_local(const struct conf *c, uint32_t from, uint32_t len);
