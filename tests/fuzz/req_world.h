/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What the target for the requester gives to an engine: two queue pairs with work requests, and what
 * it remembers of them to tell whether the engine does right by its peer and by its owner.
 */

#include "fuzz.h"

enum {
	REQ_QPS = 2,
	REQ_DEPTH_MAX = 8,
	REQ_SLOTS = REQ_QPS * REQ_DEPTH_MAX,
	REQ_LEN_MAX = 4096, /* bytes of a work request */
	REQ_SENT_MAX = 256, /* frames remembered */
	REQ_WINDOW_MAX = 64,
	REQ_HEADER = 8, /* version, see req_world_open() */
};

enum req_kind {
	REQ_RAW = FUZZ_RAW,
	REQ_POST,     /* a work request */
	REQ_WAIT,     /* until the next timer, or no longer than `wait` */
	REQ_RESPONSE, /* any response, made from fields */
	REQ_ANSWER,   /* the right answer to one of the requests sent, or part of it */
	REQ_SERVE,    /* all that has been sent is answered, but for some frames */
	REQ_MODIFY,   /* a queue pair */
	REQ_BUDGET,   /* frames that may be sent after each action from now on */
	REQ_MBUFS,    /* mbufs that are to be had */
	REQ_KINDS
};

/* PSNs that fuzz_record.psn counts from. */
enum req_base { REQ_UNA, REQ_SENT, REQ_NEXT, REQ_FAR, REQ_BASES };

/* A work request that has not ended. */
struct req_wr {
	struct remu_wr wr;
	uint32_t first_psn;
	uint32_t n_psn;
	uint32_t slot; /* READ, atomics */
	bool forged;   /* its data may be anything */
};

/* A request that was sent. */
struct req_sent {
	uint32_t psn;
	uint32_t dma_len; /* READ */
	uint8_t opcode;
	bool ackreq;
	bool answered;
};

/* READ requests and atomics that the peer has to answer with data. */
struct req_answers {
	struct {
		uint32_t end; /* PSN behind its last response */
	} out[64];
	uint32_t n;
};

struct req_qp {
	struct fuzz_end *end;
	struct remu_qp *qp;
	struct remu_qp_info info;
	struct req_wr wrs[REQ_DEPTH_MAX]; /* oldest first */
	uint32_t n_wrs;
	struct req_sent sent[REQ_SENT_MAX]; /* ring */
	uint32_t n_sent;		    /* free running */
	uint32_t sent_end;		    /* one past the highest PSN ever sent */
	uint32_t credit; /* what the peer can be thought to have carried out: all before */
	uint8_t times[REQ_WINDOW_MAX]; /* by PSN: how often it has been sent */
	uint32_t oldest;	       /* PSN not acknowledged when timers were last run */
	struct req_answers answers;
	bool bootstrap;
	bool failed; /* one has ended badly: the others are flushed */
	bool lost;   /* the peer has asked a WRITE for a PSN of another sequence (R8) */
};

struct req_world {
	struct fuzz_end ends[REQ_QPS];
	struct req_qp qps[REQ_QPS];
	struct remu_engine *e;
	struct remu_cq *cq;
	uint32_t window;
	uint32_t sq_depth;
	uint64_t now;
	uint64_t serial;
	uint32_t budget;
	bool short_of_mbufs;
	bool limited; /* there were times when not all could be sent */
};

/* A new engine. The header has REQ_HEADER bytes. */
void req_world_open(struct req_world *w, const uint8_t *header);

/* Check memory, close the engine, check that nothing is left. */
void req_world_close(struct req_world *w);

/* Signed distance of PSNs. */
static inline int32_t
req_psn_diff(uint32_t a, uint32_t b)
{
	return (int32_t)((a - b) << 8) >> 8;
}

static inline uint32_t
req_packets(uint32_t length, uint32_t path_mtu)
{
	return length == 0 ? 1 : (length + path_mtu - 1) / path_mtu;
}

/* Post what a record asks for. */
void req_post(struct req_world *w, struct req_qp *q, const struct fuzz_record *rec);

/* What was under way has been flushed, and the queue pair begins at another PSN. */
void req_start_over(struct req_qp *q);

/* Hand a frame to the engine. `forged`: its data need not be what req_data() says. */
void req_inject(struct req_world *w, struct req_qp *q, struct rte_mbuf *m, bool forged);

/* What a READ response carries, so that data in the wrong place is seen. */
void req_data(uint32_t psn, uint8_t *payload, uint32_t len);
uint64_t req_number(uint32_t psn);

/* Take completions. */
void req_poll(struct req_world *w);

/* Let the engine work: timers, sending, completions. Then check what it did. */
void req_settle(struct req_world *w);

/* req_model.c: what is right to send, and to complete. */

/* Refresh what the engine says of a queue pair. */
void req_update(struct req_world *w);

/* Check a request that goes out, and remember it. */
void req_on_request(struct req_world *w, struct req_qp *q, const struct roce_packet *pkt);

/* Check the end of the oldest work request. */
void req_on_wc(const struct req_world *w, struct req_qp *q, const struct remu_wc *wc);

/* A response is about to be handed over: what it lets complete. */
void req_on_response(struct req_qp *q, const struct roce_packet *pkt, bool forged);

/* req_memory.c: local buffers. */

/* So many bytes to send; behind them there is nothing. */
void *req_source(uint32_t len);
void req_memory_open(void);

/* A buffer of so many bytes that may be written until req_slot_give(). */
uint32_t req_slot_take(uint32_t len);
uint8_t *req_slot_at(uint32_t slot);
void req_slot_give(uint32_t slot, uint32_t len);
void req_memory_check(void);
