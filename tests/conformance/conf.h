/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * The engine as a target of single requests: parsing and responder's side. Every request names the
 * verdict it must get, every answer is compared to the byte, and all memory is compared with a model
 * that only changes where a test says so. PSNs count from the first that the target expects.
 *
 * Requester and robustness tests have a bench of their own, see conf_requester.h.
 */

#include "eal.h"
#include "wire.h"

enum {
	MTU = 1024,
	RED = 4096,	/* around the regions */
	REGION = 8192,	/* what the peer may reach at TARGET_VA */
	BUFFERS = 8192, /* for receive requests */
	ARENA = RED + REGION + RED + BUFFERS + RED,
	BUFFER_AT = RED + REGION + RED,
	HALF = 1 << 23,	 /* of the PSNs are duplicates, the others are ahead */
	TARGET_RQ = 8,	 /* receive requests that can be posted */
	NO_RQ = 1 << 30, /* wire_config.rq_depth: none can */
	ACK = 0x1f,	 /* syndrome: credits without limit */
	RNR = 0x20,	 /* plus the code of a time */
	NAK_SEQUENCE = 0x60,
	NAK_INVALID = 0x61,
	NAK_ACCESS = 0x62,
};

#define TARGET_VA INT64_C(0x7000000000)

/* The opcodes as the tables have them, so that a wrong constant of the codec shows. */
enum op {
	SEND_FIRST = 0x00,
	SEND_MIDDLE = 0x01,
	SEND_LAST = 0x02,
	SEND_LAST_IMM = 0x03,
	SEND_ONLY = 0x04,
	SEND_ONLY_IMM = 0x05,
	WRITE_FIRST = 0x06,
	WRITE_MIDDLE = 0x07,
	WRITE_LAST = 0x08,
	WRITE_LAST_IMM = 0x09,
	WRITE_ONLY = 0x0a,
	WRITE_ONLY_IMM = 0x0b,
	READ = 0x0c,
	DATA_FIRST = 0x0d,
	DATA_MIDDLE = 0x0e,
	DATA_LAST = 0x0f,
	DATA_ONLY = 0x10,
	ACKNOWLEDGE = 0x11,
	ATOMIC_ACK = 0x12,
	CMP_SWAP = 0x13,
	FETCH_ADD = 0x14,
	SEND_LAST_INV = 0x16,
	SEND_ONLY_INV = 0x17,
};

/* Regions over the same memory; ALL is the default of a request. */
enum key { ALL = 0x100, RO, WO, OTHER_PD, NO_KEY };

/* Verdicts. */
enum {
	OK = REMU_DROP_NONE,
	HELD = REMU_DROP_COUNT,
	AHEAD = REMU_DROP_PSN_AHEAD,
	DUP = REMU_DROP_DUPLICATE,
	INVALID = REMU_DROP_INVALID,
	ACCESS = REMU_DROP_ACCESS,
	NOT_READY = REMU_DROP_RNR,
	RATE = REMU_DROP_RATE,
	STATE = REMU_DROP_QP_STATE,
};

/*
 * One request. The payload is random, and kept in target.payload. AckReq is set on READs, atomics
 * and what ends a message, unless told otherwise.
 */
struct request {
	uint8_t op;
	int32_t psn;
	int64_t off;  /* VA, from the region's */
	uint32_t dma; /* DMA length; 0: as the payload's */
	uint32_t len; /* of the payload */
	uint32_t rkey;
	uint32_t imm;
	uint64_t swap_add;
	uint64_t compare;
	uint32_t pad;  /* pad count, if not what the length needs; the frame gets no longer */
	bool dma_zero; /* DMA length 0 although there is a payload */
	bool ackreq;
	bool no_ackreq;
	bool solicited;
};

struct target {
	struct bench b;
	struct remu_cq *recv_cq;
	uint8_t *memory; /* red zone, region, red zone, buffers, red zone */
	uint8_t *model;	 /* what it must contain */
	uint8_t payload[REGION];
	uint64_t seed;
	enum remu_qp_state state;
	uint32_t start; /* the first PSN expected */
	uint32_t held;
	uint64_t posted[TARGET_RQ]; /* wr_id of receive requests, oldest first */
	uint32_t n_posted;
	size_t at_case;
};

/*
 * Ways to send that no statement depends on: all tests run with each, see main(). Returns the name
 * of the first, then of the next; NULL behind the last.
 */
const char *target_variant(void);

/* An engine with its queue pair in RTS; all rights. Zero stands for the default. */
void target_open(struct target *t, const struct wire_config *cfg);
void target_close(struct target *t);

/* Whether frames with so much payload have room in the mbufs of the test. */
bool target_mtu_fits(const struct wire_config *cfg, uint32_t mtu);

/* Move the queue pair: from RESET up to RTR or RTS, or to another state. */
void target_modify(struct target *t, enum remu_qp_state to);
void target_register(struct target *t, uint32_t rkey, uint32_t access, uint32_t pd);

/* A receive request for `len` bytes of the buffers, `at` bytes from their beginning. */
void target_post_recv(struct target *t, uint64_t wr_id, uint32_t at, uint32_t len);

struct rte_mbuf *target_craft(struct target *t, const struct request *r);

/* Set the ICRC of a frame that has been changed, where its UDP length says. */
void target_seal(const struct target *t, struct rte_mbuf *m);

/* The payload of the last request is what now stands at this place. */
void target_wrote(struct target *t, uint32_t off, uint32_t len);
void target_received(struct target *t, uint32_t at, uint32_t len);

/* All memory changes by itself. */
void target_scribble(struct target *t);

/* Eight bytes of the region, in host order. */
uint64_t target_load(const struct target *t, uint32_t off);
void target_store(struct target *t, uint32_t off, uint64_t value);

/* An atomic must have made them so. */
void target_stored(struct target *t, uint32_t off, uint64_t value);

/* For loops that ask for things from a table: the case, for messages. */
void target_case(struct target *t, size_t i);

/* Remember the line of the test for messages. */
struct target *target_at(struct target *t, int line);

void target_inject_frame(struct target *t, int verdict, struct rte_mbuf *m);
void target_inject(struct target *t, int verdict, const struct request *r);
void target_expect(struct target *t, uint8_t op, int32_t psn, uint8_t syndrome, uint32_t msn);
void target_expect_data(struct target *t, uint8_t op, int32_t psn, uint32_t msn, uint32_t off,
	uint32_t len);
void target_expect_read(struct target *t, int32_t psn, uint32_t msn, uint32_t off, uint32_t len);
void target_expect_atomic(struct target *t, int32_t psn, uint32_t msn, uint64_t original);
void target_expect_recv(struct target *t, const struct remu_wc *want);
void target_settled(struct target *t, int32_t epsn, uint32_t msn);
void target_dead(struct target *t, int32_t epsn, uint32_t msn);
void target_refused(struct target *t, uint8_t syndrome, uint32_t msn, const struct request *r);

/* Hand over a frame, or a request with these members: this becomes of it. */
#define inject_frame(t, verdict, m) target_inject_frame(target_at(t, __LINE__), verdict, m)
#define inject(t, verdict, ...) \
	target_inject(target_at(t, __LINE__), verdict, &(struct request){__VA_ARGS__})

/* The next frame of the target. */
#define expect_ack(t, psn, msn) target_expect(target_at(t, __LINE__), ACKNOWLEDGE, psn, ACK, msn)
#define expect_nak(t, psn, syndrome, msn) \
	target_expect(target_at(t, __LINE__), ACKNOWLEDGE, psn, syndrome, msn)
#define expect_data(t, op, psn, msn, off, len) \
	target_expect_data(target_at(t, __LINE__), op, psn, msn, off, len)
#define expect_atomic(t, psn, msn, original) \
	target_expect_atomic(target_at(t, __LINE__), psn, msn, original)

/* All packets of the answer to a READ of this place. */
#define expect_read(t, psn, msn, off, len) \
	target_expect_read(target_at(t, __LINE__), psn, msn, off, len)

/* The next completion is that of the oldest receive request, with these members. */
#define expect_recv(t, ...) \
	target_expect_recv(target_at(t, __LINE__), &(struct remu_wc){__VA_ARGS__})

/* Nothing more is sent or completed, and nothing has changed but what the test has told. */
#define expect_settled(t, epsn, msn) target_settled(target_at(t, __LINE__), epsn, msn)

/*
 * The queue pair is in the error state: one event, all receive requests flushed, no answer to
 * anything, and nothing has changed but what the test has told.
 */
#define expect_dead(t, epsn, msn) target_dead(target_at(t, __LINE__), epsn, msn)

/*
 * A request with these members is refused with this NAK, and kills the queue pair, which has
 * completed so many messages.
 */
#define expect_refused(t, syndrome, msn, ...) \
	target_refused(target_at(t, __LINE__), syndrome, msn, &(struct request){__VA_ARGS__})
