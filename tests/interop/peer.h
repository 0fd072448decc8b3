/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * One end of a reliable connection that does what a driver tells it, line by line (peer.c). There
 * are two programs of it: peer_verbs over libibverbs, for a guest whose kernel has Soft-RoCE, and
 * peer_remu over lib/rdma_emul. Both understand the same lines, so each check runs both ways round.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PEER_MEMORY = 4 << 20, /* bytes that the other end may reach */
	PEER_DEPTH = 128,      /* requests of each kind under way */
	PEER_READS = 16,       /* READs and atomics under way, either way */
};

enum peer_op {
	PEER_WRITE,
	PEER_WRITE_IMM,
	PEER_READ,
	PEER_SEND,
	PEER_SEND_IMM,
	PEER_CAS,
	PEER_FADD,
	PEER_OP_COUNT
};

/* The keys give all rights, or only those of READ, or only those of WRITE, to the same memory. */
struct peer_local {
	uint32_t qpn;
	uint64_t va;
	uint32_t rkey;
	uint32_t rkey_ro;
	uint32_t rkey_wo;
	uint8_t *memory; /* PEER_MEMORY bytes */
};

struct peer_remote {
	uint32_t qpn;
	uint32_t psn;	  /* that it begins with */
	uint32_t my_psn;  /* that we begin with */
	uint32_t mtu;	  /* path MTU, bytes */
	uint32_t ip;	  /* host order */
	uint8_t mac[6];	  /* peer_verbs lets the kernel find it out */
	uint32_t timeout; /* 4.096 us * 2^timeout */
	uint32_t retry_cnt;
	uint32_t rnr_retry;
};

struct peer_wr {
	uint64_t wr_id;
	enum peer_op op;
	uint8_t *addr;
	uint32_t len;
	uint64_t remote_va;
	uint32_t rkey;
	uint32_t imm;
	uint64_t compare;
	uint64_t swap_add;
};

struct peer_wc {
	uint64_t wr_id;
	uint32_t status; /* enum ibv_wc_status */
	uint32_t len;
	uint32_t imm;
	bool recv; /* of a receive request */
	bool with_imm;
};

/* The two backends. All return 0 or a negative errno; peer.c has one connection at a time. */

extern const char *const peer_usage;

/* Take the program's arguments and make memory, keys and a queue pair. */
int peer_open(int argc, char **argv, struct peer_local *out);
void peer_close(void);

/* A queue pair in state RESET again; its number may change. Requests under way are forgotten. */
int peer_reset(struct peer_local *out);

/* From RESET to RTS. */
int peer_connect(const struct peer_remote *remote);

int peer_post(const struct peer_wr *wr);
int peer_post_recv(uint64_t wr_id, uint8_t *addr, uint32_t len);

/* Let time pass. Returns whether there was a completion. */
bool peer_poll(struct peer_wc *wc);

/* Counters as "name=value ..." for people. */
void peer_stats(char *buf, size_t size);
