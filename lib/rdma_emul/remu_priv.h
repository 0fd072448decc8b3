/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What the files of the engine share: queue pair, region, channel and engine structures.
 */

#include "rdma_emul.h"
#include "remu_psn.h"
#include "remu_rtt.h"
#include "remu_table.h"
#include "remu_timer.h"
#include "remu_window.h"

#include <assert.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

enum {
	REMU_MAX_CHANNELS = 4,
	REMU_MAX_RD_ATOMIC = 64,
	REMU_RESP_QUEUE = 128, /* responses waiting to be sent per queue pair; power of two */
	REMU_QUANTUM = 32,     /* packets of one queue pair before the next one's turn */
	REMU_CMD_BURST = 32,
	REMU_ACK_EVERY = 16, /* packets of a long WRITE per request for an acknowledgement */
	REMU_TTL = 64,
	REMU_HOLD = 64,	     /* PSNs ahead that are kept per queue pair */
	REMU_HOLD_ALL = 256, /* default of hold_max */
	REMU_RNR_RETRY_EVER = 7,
	REMU_PREDICTIONS = 64, /* kinds of frames remembered; power of two */
	REMU_ATOMIC_LEN = 8,
};

/* Verdict of a request that is kept: its frame is not freed and not counted yet. */
#define REMU_HELD REMU_DROP_COUNT

/* See remu_shortcut.h. */
enum remu_at_once { REMU_NOT_AT_ONCE, REMU_WRITE_AT_ONCE, REMU_READ_AT_ONCE };

/*
 * What is known of a frame before its checks, because it begins like one that has passed them: see
 * remu_predict.h.
 */
struct remu_prediction {
	uint8_t head[ROCE_HEAD_LEN];
	uint16_t frame_len; /* 0: nothing */
	uint16_t rest_len;  /* from the head to the ICRC */
	uint16_t payload_off;
	uint32_t crc;	    /* of the ICRC: behind the head */
	uint64_t candidate; /* the last frame that was not predicted */
	struct remu_qp *qp;
	uint8_t at_once; /* enum remu_at_once */
	struct roce_packet pkt;
};

struct remu_mr {
	struct remu_mr_config cfg;
	uint32_t generation; /* odd while registered; changes at every (de)registration */
};

struct remu_cq {
	struct remu_wc *entries; /* ring of mask + 1; one thread's, so a plain one */
	uint32_t mask;
	uint32_t head; /* free running */
	uint32_t tail;
	uint32_t depth;
	uint32_t reserved; /* requests under way and completions not polled */
	uint32_t users;	   /* queue pairs, once for each direction */
	bool armed;
	bool solicited_only;
	bool event;
	struct remu_cq *next;
};

/* See remu_stencil.h. */
struct remu_stencil {
	uint8_t head[ROCE_HEAD_LEN];
	uint16_t payload_off;
	uint32_t crc; /* of the ICRC: behind the head */
	uint32_t key; /* remu__stencil_key(); 0: none */
	uint16_t icrc_off;
	uint16_t frame_len;
	uint8_t pad;
};

/* By the place of a packet in its message, so that long messages change no stencil. */
enum remu_stencil_kind {
	REMU_ST_REQUEST, /* first and only ones */
	REMU_ST_REQUEST_MIDDLE,
	REMU_ST_REQUEST_LAST,
	REMU_ST_READ,
	REMU_ST_ACK,
	REMU_ST_ANSWER, /* first and only ones */
	REMU_ST_ANSWER_MIDDLE,
	REMU_ST_ANSWER_LAST,
	REMU_ST_COUNT
};

/* A posted work request. Packet k of it has PSN first_psn + k. */
struct remu_wqe {
	struct remu_wr wr;
	uint32_t first_psn;
	uint32_t n_psn;
};

enum remu_response_kind { REMU_RESP_ACK, REMU_RESP_READ, REMU_RESP_ATOMIC };

/* A response that waits for its turn on the wire. */
struct remu_response {
	const struct remu_mr *mr; /* READ: where the data is; NULL for zero bytes */
	const uint8_t *src;
	uint64_t original; /* ATOMIC: the value found */
	uint32_t mr_generation;
	uint32_t psn;  /* of the next packet */
	uint32_t left; /* READ: bytes not sent yet */
	uint32_t msn;
	uint8_t syndrome;
	uint8_t kind; /* enum remu_response_kind */
	bool first;   /* READ: no packet of it has been sent */
	bool replay;
};

/* An executed READ or atomic, kept to answer its duplicates. */
struct remu_record {
	uint64_t va;
	uint64_t original; /* atomic: the value found */
	uint32_t rkey;
	uint32_t length;
	uint32_t psn;
	uint32_t n_psn; /* 0: free */
	uint8_t opcode;
};

/*
 * Requester: written by the data lcore.
 *
 * PSNs in order: una_psn <= sent_psn <= next_psn. Of [una_psn, sent_psn) the peer has carried out
 * what lies before ack_psn, and of READs and atomics the answers marked in `got` have arrived.
 * [redo_psn, redo_end) is to be sent again, as far as it is still needed.
 */
struct remu_requester {
	struct remu_wqe *sq; /* ring of engine.sq_depth */
	uint64_t *got;	     /* by PSN modulo the bitmap's size: this answer has arrived */
	uint64_t *restarts;  /* a READ was asked for again from this PSN on */
	uint32_t head;	     /* oldest not completed; free running */
	uint32_t cursor;     /* the one that owns sent_psn */
	uint32_t tail;	     /* next free */
	uint32_t una_psn;    /* oldest PSN not settled */
	uint32_t ack_psn;    /* all before have been carried out by the peer */
	uint32_t sent_psn;   /* one past the highest PSN ever sent */
	uint32_t next_psn;   /* PSN of the next work request */
	uint32_t redo_psn;
	uint32_t redo_end;
	uint32_t redo_i;      /* the work request that owns redo_psn */
	uint32_t asked_end;   /* READ answers before this have been asked for again */
	uint32_t answers_out; /* READ requests and atomics under way; at most max_rd_atomic */
	uint32_t max_rd_atomic;
	uint32_t chunk; /* packets per READ request; power of two */
	uint32_t retries_left;
	uint32_t retry_cnt;
	uint32_t rnr_left;
	uint32_t rnr_retry;
	uint32_t nak_psn; /* of the sequence NAK that is being attended to */
	bool unasked;	  /* the last new packet did not ask for an acknowledgement */
	bool begun;	  /* the one at the cursor has been sent in part */
	bool nak_seen;
	bool starved;	     /* no mbuf for what was due: the peer is not to blame */
	bool more;	     /* remu__req_tx() has left something that is due */
	bool waiting;	     /* one packet was repeated: does the peer have those behind it? */
	uint32_t plain_naks; /* sequence NAKs while the peer is held for plain */
	int8_t keeps;	     /* evidence that the peer keeps requests behind a gap; below 0: no */
	bool probe_asks;     /* the answer to a probe is to come */
	uint64_t probe_sent;
	uint32_t wait_end;  /* one past the request that was repeated */
	bool ask_first;	    /* the next packet repeated asks for an acknowledgement */
	uint32_t probe_end; /* sent_psn at the probe */
	uint32_t probes;    /* since the last progress */
	uint32_t rtt_psn;
	uint64_t rtt_at; /* 0: no measurement under way */
	struct remu_rtt rtt;
	struct remu_window window;
	uint64_t timeout_ns;
	/* When to act; 0: never. The heap's time may be earlier. */
	uint64_t deadline;
	uint64_t probe_at;
	uint64_t rnr_until;
	uint64_t doubt_at; /* the peer seems not to keep what comes behind a gap */
};

enum remu_message { REMU_MSG_NONE, REMU_MSG_WRITE, REMU_MSG_SEND };

/* Responder: written by the data lcore. */
struct remu_responder {
	uint32_t epsn;
	uint32_t msn;
	uint32_t max_dest_rd_atomic;
	uint8_t rnr_code;
	uint8_t message; /* enum remu_message that has begun and not ended */
	bool synced;	 /* bootstrap: a READ has set epsn */
	bool nak_sent;	 /* one NAK per gap */
	bool cnp_due;
	uint32_t done; /* bytes of the message so far */
	uint32_t left; /* WRITE: bytes still to come; SEND: room left */
	uint8_t *dst;
	const struct remu_mr *write_mr;
	uint32_t write_mr_generation;
	const struct remu_mr *read_mr; /* of the last READ */
	uint32_t read_mr_generation;
	uint32_t queue_head; /* free running */
	uint32_t queue_tail;
	uint32_t answers_queued; /* READs and atomics, without replays */
	uint32_t next_record;
	uint64_t cnp_after;
	uint64_t reack_paid; /* state of the rate limits */
	uint64_t replay_paid;
	/* Receive requests: ring of engine.rq_depth. */
	struct remu_recv_wr *rq;
	uint32_t rq_head;
	uint32_t rq_tail;
	/* Requests ahead of epsn, by PSN. */
	uint32_t n_held;
	struct {
		uint32_t psn;
		struct rte_mbuf *m;
	} held[REMU_HOLD];
	/* Behind here what is not cleared with the rest: max_dest_rd_atomic records, and what is queued. */
	struct remu_record records[REMU_MAX_RD_ATOMIC];
	struct remu_response queue[REMU_RESP_QUEUE];
};

struct remu_qp {
	uint32_t qpn;
	uint32_t index; /* in engine.qps */
	uint32_t pd;
	uint32_t access;
	uint32_t flags;
	uint32_t max_read_len;
	uint32_t peer_qpn;
	uint16_t path_mtu;
	uint8_t state; /* enum remu_qp_state */
	bool in_use;
	bool scheduled; /* on the list of those with output */
	bool tagged;
	uint16_t vlan_tci;
	uint16_t peer_sport; /* 0: not pinned */
	uint8_t peer_mac[6];
	struct roce_gid peer_gid;
	struct roce_gid gid;
	struct remu_qp *sched_next;
	struct remu_channel *channel; /* of completions; NULL: completion queues */
	struct remu_channel *owner;   /* that opened it */
	struct remu_cq *send_cq;
	struct remu_cq *recv_cq;
	struct roce_flow flow;
	struct remu_stencil stencils[REMU_ST_COUNT];
	struct remu_requester req;
	struct remu_responder resp;
};

struct remu_channel {
	struct remu_engine *engine;
	struct rte_ring *down; /* struct remu_cmd */
	struct rte_ring *up;   /* struct remu_wc */
	uint32_t depth;
	uint32_t in_flight; /* client's side: posted and not polled */
};

struct remu_cmd {
	uint64_t cookie;
	uint32_t qpn;
	uint32_t kind; /* enum remu_cmd_kind */
	union {
		struct remu_wr wr;
		struct remu_recv_wr recv;
		struct remu_qp_config qp;
		struct remu_qp_attr attr;
		struct remu_mr_config mr;
	} u;
};
_Static_assert(sizeof(struct remu_cmd) % 4 == 0, "ring elements are multiples of 4 bytes");

enum remu_cmd_kind {
	REMU_CMD_POST,
	REMU_CMD_POST_RECV,
	REMU_CMD_QP_OPEN,
	REMU_CMD_QP_CONNECT,
	REMU_CMD_QP_CLOSE,
	REMU_CMD_MR_REGISTER,
	REMU_CMD_MR_DEREGISTER,
};

struct remu_engine {
	struct remu_engine_config cfg;
	struct remu_stats stats;
	struct remu_qp *qps;
	struct remu_wqe *wqes;
	struct remu_recv_wr *recvs;
	uint64_t *bitmaps;
	uint32_t bitmap_mask; /* PSNs per bitmap minus one */
	struct remu_mr *mrs;
	struct remu_table qp_table; /* qpn -> index */
	struct remu_table mr_table; /* pd << 32 | rkey -> index */
	struct remu_timers timers;
	struct remu_qp *sched_head;
	struct remu_qp *sched_tail;
	struct rte_mbuf *arp_answer; /* to be sent; NULL: none */
	uint64_t mbuf_rearm;	     /* see remu_mbuf.h */
	uint64_t mbuf_flags;
	struct remu_prediction predictions[REMU_PREDICTIONS];
	const struct remu_qp *predicted_qps[REMU_PREDICTIONS]; /* whose they are; NULL: nobody's */
	struct remu_prediction *predicted;		       /* of the frame before */
	struct remu_channel *channels[REMU_MAX_CHANNELS];
	uint32_t n_channels;
	uint32_t free_qp_hint;
	uint32_t free_mr_hint;
	uint64_t reack_cost_ns;
	bool turn;	     /* who gets the odd packet of a turn */
	struct remu_cq *cqs; /* made by remu_cq_create() */
	struct remu_cq cq;   /* of queue pairs without one */
	uint32_t fatal;	     /* events not polled, at most max_qps */
};

/* remu_mr.c */

/* A region that grants `access` to [va, va + length); NULL when there is none. length > 0. */
const struct remu_mr *remu__mr_find(const struct remu_engine *e, uint32_t pd, uint32_t rkey,
	uint64_t va, uint64_t length, uint32_t access);

static inline uint8_t *
remu__mr_addr(const struct remu_mr *mr, uint64_t va)
{
	return (uint8_t *)mr->cfg.addr + (va - mr->cfg.va);
}

/* remu_cq.c */

int remu__cq_init(struct remu_cq *cq, uint32_t depth, uint32_t extra, int socket_id);
void remu__cq_free_all(struct remu_engine *e);

/* Make sure of room for the completion of a request. Those of channels count for themselves. */
static inline bool
remu__cq_reserve(struct remu_qp *qp, struct remu_cq *cq)
{
	if (qp->channel != NULL)
		return true;
	if (cq->reserved == cq->depth)
		return false;
	cq->reserved++;
	return true;
}

/* The next free entry. There is one: its place has been reserved. */
static inline struct remu_wc *
remu__cq_next(struct remu_cq *cq)
{
	assert(cq->tail - cq->head <= cq->mask);
	return &cq->entries[cq->tail++ & cq->mask];
}

/* Report the end of a request of this queue pair; the place in `cq` has been reserved. */
void remu__complete(struct remu_engine *e, struct remu_qp *qp, struct remu_cq *cq,
	struct remu_wc *wc);

/* Report that a queue pair went to the error state. */
void remu__complete_fatal(struct remu_engine *e, struct remu_qp *qp);

/* remu_qp.c */

void remu__qp_append(struct remu_engine *e, struct remu_qp *qp);

/* Put a queue pair on the list of those that may have frames to send. */
static inline void
remu__qp_schedule(struct remu_engine *e, struct remu_qp *qp)
{
	if (!qp->scheduled)
		remu__qp_append(e, qp);
}

/* Go to the error state, or to SQE for a bootstrap queue pair: flush all requests. */
void remu__qp_fail(struct remu_engine *e, struct remu_qp *qp);

/* Whether an address can be one end of a connection. */
bool remu__gid_ok(const struct roce_gid *gid);

/* remu_req.c */

void remu__req_reset(struct remu_engine *e, struct remu_qp *qp, uint32_t sq_psn);
void remu__req_flush(struct remu_engine *e, struct remu_qp *qp);
bool remu__req_has_output(const struct remu_engine *e, const struct remu_qp *qp);
uint16_t remu__req_tx(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts,
	uint16_t max, uint64_t now);

/* Complete the oldest work request. */
void remu__req_complete(struct remu_engine *e, struct remu_qp *qp, enum remu_wc_status status);

/* Write the good end of a work request, to a completion queue that is not armed. */
static inline void
remu__req_success(struct remu_wc *wc, uint32_t qpn, const struct remu_wqe *wqe)
{
	*wc = (struct remu_wc){
		.wr_id = wqe->wr.wr_id,
		.qpn = qpn,
		.byte_len = wqe->wr.length,
		.kind = REMU_WC_WORK,
		.status = REMU_WC_SUCCESS,
		.opcode = wqe->wr.opcode,
	};
}

/* Make the heap fire in time for the earliest of the requester's times. */
void remu__req_arm(struct remu_engine *e, struct remu_qp *qp);

/* Start to wait for an answer to what is under way. */
void remu__req_wait(struct remu_engine *e, struct remu_qp *qp, uint64_t now);

static inline struct remu_wqe *
remu__wqe(const struct remu_engine *e, const struct remu_requester *rq, uint32_t i)
{
	return &rq->sq[i & (e->cfg.sq_depth - 1)];
}

static inline uint32_t
remu__wqe_last(const struct remu_wqe *wqe)
{
	return remu_psn_add(wqe->first_psn, wqe->n_psn - 1);
}

static inline bool
remu__is_atomic(const struct remu_wqe *wqe)
{
	const uint32_t atomics = 1u << REMU_WR_CMP_SWAP | 1u << REMU_WR_FETCH_ADD;

	return atomics >> wqe->wr.opcode & 1;
}

/* Whether the peer answers with data: an acknowledgement does not end it. */
static inline bool
remu__is_answered(const struct remu_wqe *wqe)
{
	const uint32_t answered = 1u << REMU_WR_RDMA_READ | 1u << REMU_WR_CMP_SWAP |
		1u << REMU_WR_FETCH_ADD;

	return answered >> wqe->wr.opcode & 1;
}

/* Packets from packet `k` of a READ to the end of the READ request that covers it. */
static inline uint32_t
remu__read_span(const struct remu_requester *rq, const struct remu_wqe *wqe, uint32_t k)
{
	return RTE_MIN(wqe->n_psn - k, rq->chunk - (k & (rq->chunk - 1)));
}

static inline bool
remu__bit(const struct remu_engine *e, const uint64_t *map, uint32_t psn)
{
	psn &= e->bitmap_mask;
	return map[psn / 64] >> (psn % 64) & 1;
}

static inline void
remu__bit_set(const struct remu_engine *e, uint64_t *map, uint32_t psn, bool value)
{
	uint64_t bit = UINT64_C(1) << (psn % 64);

	psn &= e->bitmap_mask;
	map[psn / 64] = value ? map[psn / 64] | bit : map[psn / 64] & ~bit;
}

/* Whether nothing more is needed of the peer at this PSN of [una, sent). */
static inline bool
remu__settled(const struct remu_engine *e, const struct remu_requester *rq,
	const struct remu_wqe *wqe, uint32_t psn)
{
	return remu__is_answered(wqe) ? remu__bit(e, rq->got, psn)
				      : remu_psn_diff(psn, rq->ack_psn) < 0;
}

static inline bool
remu__redo_active(const struct remu_requester *rq)
{
	return rq->redo_psn != rq->redo_end;
}

/* remu_ack.c */

enum remu_drop remu__req_response(struct remu_engine *e, struct remu_qp *qp,
	const struct roce_packet *pkt, uint64_t now);
void remu__req_timeout(struct remu_engine *e, struct remu_qp *qp, uint64_t now);

/*
 * Send at once again what is under way: the peer has begun anew, so what it got before is lost. Costs
 * no retry.
 */
void remu__req_again(struct remu_engine *e, struct remu_qp *qp);
void remu__req_cnp(struct remu_engine *e, struct remu_qp *qp, uint64_t now);

/* remu_resp.c */

void remu__resp_reset(struct remu_engine *e, struct remu_qp *qp, uint32_t rq_psn);

/* A request. REMU_HELD: the frame `m` is kept, and counted when its turn has come. */
enum remu_drop remu__resp_request(struct remu_engine *e, struct remu_qp *qp,
	const struct roce_packet *pkt, struct rte_mbuf *m, uint64_t now);

/*
 * A request that is REMU_READ_AT_ONCE; as remu__write_at_once().
 */
bool remu__read_at_once(struct remu_engine *e, struct remu_qp *qp, uint32_t word,
	const uint8_t *reth);

/* The request with the expected PSN. There is room for a response. */
enum remu_drop remu__resp_execute(struct remu_engine *e, struct remu_qp *qp,
	const struct roce_packet *pkt, uint64_t now);

/* One NAK per gap at the expected PSN. */
enum remu_drop remu__resp_sequence_nak(struct remu_engine *e, struct remu_qp *qp, uint64_t now);

/* remu_answer.c: the queue of responses */

void remu__resp_flush(struct remu_engine *e, struct remu_qp *qp);
bool remu__resp_has_output(const struct remu_qp *qp);
uint16_t remu__resp_tx(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts,
	uint16_t max, uint64_t now);
void remu__answer_push(struct remu_engine *e, struct remu_qp *qp,
	const struct remu_response *response);
void remu__answer_ack(struct remu_engine *e, struct remu_qp *qp, uint32_t psn);
void remu__answer_nak(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, uint8_t syndrome);

/*
 * Requests from PSN `from` on have been carried out: an acknowledgement that waits as the last
 * response, and reaches up to them, is for them too.
 */
void remu__answer_raise(struct remu_qp *qp, uint32_t from);

/* Whether an answer that covers this PSN is still to be sent anyway. */
bool remu__answer_is_pending(const struct remu_qp *qp, uint32_t psn);

static inline bool
remu__answer_full(const struct remu_responder *rs)
{
	return rs->queue_tail - rs->queue_head == REMU_RESP_QUEUE;
}

/* remu_recv.c */

void remu__recv_flush(struct remu_engine *e, struct remu_qp *qp);

static inline struct remu_recv_wr *
remu__recv_head(const struct remu_engine *e, const struct remu_responder *rs)
{
	return rs->rq_head == rs->rq_tail ? NULL : &rs->rq[rs->rq_head & (e->cfg.rq_depth - 1)];
}

/* End the oldest receive request; wr_id, qpn and kind are filled in. */
void remu__recv_complete(struct remu_engine *e, struct remu_qp *qp, struct remu_wc *wc);

/* Least RNR timer code of table 45 that stands for at least so long. */
uint8_t remu__rnr_code(uint32_t us);
uint64_t remu__rnr_ns(uint8_t code);

/* remu_hold.c */

/* Keep a request ahead of the expected PSN. @return false when it cannot be kept */
bool remu__hold(struct remu_engine *e, struct remu_qp *qp, uint32_t psn, struct rte_mbuf *m);

/* Carry out what is held and has become due. */
void remu__hold_drain(struct remu_engine *e, struct remu_qp *qp, uint64_t now);
void remu__hold_flush(struct remu_engine *e, struct remu_qp *qp);

/* remu_channel.c */

void remu__channel_serve(struct remu_engine *e, struct remu_channel *ch, uint64_t now);
void remu__channel_push(struct remu_channel *ch, struct remu_wc *wc);
void remu__channel_free(struct remu_channel *ch);

/* Ring that lives in ordinary memory, so that many engines need no memzones. */
struct rte_ring *remu__ring_create(uint32_t entries, size_t element, int socket_id);

/* remu_engine.c */

/*
 * Start a frame of this queue pair. The payload goes to *payload.
 * NULL when the pool is empty; that is counted and the packet stays due.
 */
struct rte_mbuf *remu__frame_begin(struct remu_engine *e, struct remu_qp *qp,
	const struct roce_fields *f, uint32_t payload_len, uint8_t **payload);
void remu__frame_end(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf *m,
	uint8_t *payload, uint32_t payload_len);

/* memcpy(), without a call for what fits four vector registers. */
static inline void
remu__copy(uint8_t *to, const uint8_t *from, uint32_t length)
{
	typedef uint64_t vector __attribute__((vector_size(16)));
	vector a, b, c, d;

	if (length < 32 || length > 64) {
		memcpy(to, from, length);
		return;
	}
	/* The middle is copied twice when there are less than 64 bytes. */
	memcpy(&a, from, sizeof(a));
	memcpy(&b, from + 16, sizeof(b));
	memcpy(&c, from + length - 32, sizeof(c));
	memcpy(&d, from + length - 16, sizeof(d));
	memcpy(to, &a, sizeof(a));
	memcpy(to + 16, &b, sizeof(b));
	memcpy(to + length - 32, &c, sizeof(c));
	memcpy(to + length - 16, &d, sizeof(d));
}

/* How many packets a message takes: at least one. */
static inline uint32_t
remu__packets(uint32_t length, uint16_t path_mtu)
{
	return length <= path_mtu ? 1 : (length - 1) / path_mtu + 1;
}
