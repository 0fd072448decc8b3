/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What the files of the engine share: queue pair, region, channel and engine structures.
 */

#include "rdma_emul.h"
#include "remu_psn.h"
#include "remu_table.h"
#include "remu_timer.h"

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

enum {
	REMU_MAX_CHANNELS = 4,
	REMU_MAX_RD_ATOMIC = 16,
	REMU_RESP_QUEUE = 64, /* responses waiting to be sent per queue pair; power of two */
	REMU_QUANTUM = 32,    /* packets of one queue pair before the next one's turn */
	REMU_CMD_BURST = 32,
	REMU_ACK_EVERY = 16, /* packets of a long WRITE per request for an acknowledgement */
	REMU_TTL = 64,
};

struct remu_mr {
	struct remu_mr_config cfg;
	uint32_t generation; /* odd while registered; changes at every (de)registration */
};

/* A posted work request. Packet k of it has PSN first_psn + k. */
struct remu_wqe {
	struct remu_wr wr;
	uint32_t first_psn;
	uint32_t n_psn;
};

/* A response that waits for its turn on the wire. */
struct remu_response {
	const struct remu_mr *mr; /* READ: where the data is; NULL for zero bytes */
	const uint8_t *src;
	uint32_t mr_generation;
	uint32_t psn;  /* of the next packet */
	uint32_t left; /* READ: bytes not sent yet */
	uint32_t msn;
	uint8_t syndrome;
	bool is_read;
	bool first; /* READ: no packet of it has been sent */
	bool replay;
};

/* An executed READ, kept to recognise its duplicates. */
struct remu_read_record {
	uint64_t va;
	uint32_t rkey;
	uint32_t length;
	uint32_t psn;
	uint32_t n_psn; /* 0: free */
};

/* Requester: written by the data lcore. */
struct remu_requester {
	struct remu_wqe *sq; /* ring of engine.sq_depth */
	uint32_t head;	     /* oldest not completed; free running */
	uint32_t cursor;     /* next to send from */
	uint32_t tail;	     /* next free */
	uint32_t una_psn;    /* oldest PSN not acknowledged */
	uint32_t snd_psn;    /* next PSN to put on the wire */
	uint32_t sent_psn;   /* one past the highest PSN ever sent */
	uint32_t next_psn;   /* PSN of the next work request */
	uint32_t reads_out;  /* READ requests sent and not fully answered */
	uint32_t max_rd_atomic;
	uint32_t retries_left;
	uint32_t retry_cnt;
	uint64_t timeout_ns;
	uint64_t deadline; /* 0: nothing to wait for; the heap's may be earlier */
	bool gap_retried;  /* a gap has been answered since the last progress */
};

/* Responder: written by the data lcore. */
struct remu_responder {
	uint32_t epsn;
	uint32_t msn;
	uint32_t max_dest_rd_atomic;
	bool synced;	     /* bootstrap: a READ has set epsn */
	bool nak_sent;	     /* one sequence NAK per gap */
	bool in_write;	     /* between WRITE First and Last */
	uint32_t write_left; /* bytes of the message still to come */
	uint8_t *write_dst;
	const struct remu_mr *write_mr;
	uint32_t write_mr_generation;
	uint32_t queue_head; /* free running */
	uint32_t queue_tail;
	uint32_t reads_queued; /* without replays */
	uint32_t next_record;
	struct remu_read_record records[REMU_MAX_RD_ATOMIC];
	struct remu_response queue[REMU_RESP_QUEUE];
};

struct remu_qp {
	uint32_t qpn;
	uint32_t index; /* in engine.qps */
	uint32_t pd;
	uint32_t access;
	uint32_t flags;
	uint32_t peer_qpn;
	uint16_t path_mtu;
	uint8_t state; /* enum remu_qp_state */
	bool in_use;
	bool scheduled; /* on the list of those with output */
	uint8_t peer_mac[6];
	struct roce_gid peer_gid;
	struct remu_qp *sched_next;
	struct remu_channel *channel; /* NULL: the engine's own completion queue */
	struct roce_flow flow;
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
		struct remu_qp_config qp;
		struct remu_qp_attr attr;
		struct remu_mr_config mr;
	} u;
};
_Static_assert(sizeof(struct remu_cmd) % 4 == 0, "ring elements are multiples of 4 bytes");

enum remu_cmd_kind {
	REMU_CMD_POST,
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
	struct remu_mr *mrs;
	struct remu_table qp_table; /* qpn -> index */
	struct remu_table mr_table; /* pd << 32 | rkey -> index */
	struct remu_timers timers;
	struct remu_qp *sched_head;
	struct remu_qp *sched_tail;
	struct remu_channel *channels[REMU_MAX_CHANNELS];
	uint32_t n_channels;
	uint32_t free_qp_hint;
	uint32_t free_mr_hint;
	uint16_t ip_id;
	struct rte_ring *local_up;
	uint32_t local_in_flight;
	uint32_t local_fatal; /* events not polled, at most max_qps */
	uint32_t local_depth;
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

/* remu_qp.c */

/* Put a queue pair on the list of those that may have frames to send. */
void remu__qp_schedule(struct remu_engine *e, struct remu_qp *qp);

/* Go to the error state, or to SQE for a bootstrap queue pair: flush all work requests. */
void remu__qp_fail(struct remu_engine *e, struct remu_qp *qp);

/* Report the end of a work request, verb or queue pair to whoever owns it. */
void remu__complete(struct remu_engine *e, struct remu_channel *ch, struct remu_wc *wc);

/* remu_req.c */

void remu__req_reset(struct remu_engine *e, struct remu_qp *qp, uint32_t sq_psn);
void remu__req_flush(struct remu_engine *e, struct remu_qp *qp);
bool remu__req_has_output(const struct remu_engine *e, const struct remu_qp *qp);
uint16_t remu__req_tx(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts,
	uint16_t max, uint64_t now);
void remu__req_timeout(struct remu_engine *e, struct remu_qp *qp, uint64_t now);
enum remu_drop remu__req_response(struct remu_engine *e, struct remu_qp *qp,
	const struct roce_packet *pkt, uint64_t now);

/* remu_resp.c */

void remu__resp_reset(struct remu_qp *qp, uint32_t rq_psn);
void remu__resp_flush(struct remu_qp *qp);
bool remu__resp_has_output(const struct remu_qp *qp);
uint16_t remu__resp_tx(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts,
	uint16_t max);
enum remu_drop remu__resp_request(struct remu_engine *e, struct remu_qp *qp,
	const struct roce_packet *pkt);

/* remu_channel.c */

void remu__channel_serve(struct remu_engine *e, struct remu_channel *ch, uint64_t now);
void remu__channel_free(struct remu_channel *ch);

/* Ring that lives in ordinary memory, so that many engines need no memzones. */
struct rte_ring *remu__ring_create(uint32_t entries, size_t element, int socket_id);

/* remu_engine.c */

/*
 * Start a frame of this queue pair. The payload goes to *payload.
 * NULL when the pool is empty; that is counted and the packet stays due.
 */
struct rte_mbuf *remu__frame_begin(struct remu_engine *e, struct remu_qp *qp, struct roce_fields *f,
	uint32_t payload_len, uint8_t **payload);
void remu__frame_end(struct remu_engine *e, struct rte_mbuf *m, uint8_t *payload,
	uint32_t payload_len);

/* How many packets a message takes: at least one. */
static inline uint32_t
remu__packets(uint32_t length, uint16_t path_mtu)
{
	return length == 0 ? 1 : (length - 1) / path_mtu + 1;
}
