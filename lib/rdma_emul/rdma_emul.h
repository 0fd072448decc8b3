/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * RDMA emulation: reliable connections (RC) over RoCEv2, in user space, over bursts of mbufs.
 *
 * An engine belongs to one lcore and owns queue pairs, memory regions and timers. It reads no
 * clock, does no I/O and allocates nothing after remu_engine_create(): time is an argument in
 * nanoseconds (any epoch, only differences matter), frames come in by remu_engine_rx() and go out
 * by remu_engine_tx(). Another lcore reaches it through a remu_channel.
 *
 * Threads: every function that takes an engine or a queue pair is for the engine's owner alone.
 * remu_channel_* from the client's side may be called by one other thread. Counters may be read
 * by any thread.
 */

#include "roce_packet.h"

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

struct remu_engine;
struct remu_qp;
struct remu_channel;

/** What a completed work request came to; values as in enum ibv_wc_status. */
enum remu_wc_status {
	REMU_WC_SUCCESS = 0,
	REMU_WC_LOC_LEN_ERR = 1,     /**< READ response longer or shorter than asked */
	REMU_WC_LOC_QP_OP_ERR = 2,   /**< the queue pair is not connected */
	REMU_WC_WR_FLUSH_ERR = 5,    /**< an earlier work request failed, or the QP was closed */
	REMU_WC_BAD_RESP_ERR = 7,    /**< response of the wrong kind */
	REMU_WC_REM_INV_REQ_ERR = 9, /**< NAK invalid request */
	REMU_WC_REM_ACCESS_ERR = 10, /**< NAK remote access: rkey, range or rights */
	REMU_WC_REM_OP_ERR = 11,     /**< NAK remote operational error */
	REMU_WC_RETRY_EXC_ERR = 12,  /**< no answer within all retries */
};

/** Name of a status for logs and telemetry. */
const char *remu_wc_status_name(uint8_t status);

enum remu_wr_opcode { REMU_WR_RDMA_WRITE, REMU_WR_RDMA_READ, REMU_WR_COUNT };

/** Work request. */
struct remu_wr {
	uint64_t wr_id;	    /**< the caller's; comes back in the completion */
	void *addr;	    /**< local buffer; must stay valid until the completion */
	uint64_t remote_va; /**< address in the peer's memory region */
	uint32_t length;    /**< bytes, 0 to 2^31 */
	uint32_t rkey;	    /**< key of the peer's memory region */
	uint8_t opcode;	    /**< enum remu_wr_opcode */
};

enum remu_wc_kind {
	REMU_WC_WORK,  /**< a work request has ended */
	REMU_WC_VERB,  /**< a verb posted through a channel has been carried out; see result */
	REMU_WC_FATAL, /**< the queue pair went to the error state because of the peer's request */
};

/** Work completion. */
struct remu_wc {
	uint64_t wr_id; /**< of the work request, or the cookie of the verb */
	uint32_t qpn;
	uint32_t byte_len; /**< REMU_WC_WORK: bytes moved */
	int32_t result;	   /**< REMU_WC_VERB: 0 or a negative errno */
	uint8_t kind;	   /**< enum remu_wc_kind */
	uint8_t status;	   /**< REMU_WC_WORK: enum remu_wc_status */
	uint8_t opcode;	   /**< REMU_WC_WORK: enum remu_wr_opcode */
	uint8_t reserved;
};
_Static_assert(sizeof(struct remu_wc) == 24, "ring elements are multiples of 4 bytes");

/** Rights of the remote side on a region or, as an upper bound, on a queue pair. */
enum remu_access {
	REMU_ACCESS_REMOTE_READ = 1 << 0,
	REMU_ACCESS_REMOTE_WRITE = 1 << 1,
	/**
	 * A READ of exactly this region sets the expected PSN of a REMU_QP_BOOTSTRAP queue pair.
	 * A rebooted peer starts a new PSN sequence on the fixed QPN; plain RC would acknowledge
	 * its WRITEs as duplicates without executing them. A READ has no side effect, so
	 * executing it at any PSN is safe (rule R8 of the handshake).
	 */
	REMU_ACCESS_RESYNC = 1 << 2,
};

/** A memory region that peers may reach. */
struct remu_mr_config {
	void *addr;	 /**< where it is; owned by the caller, who keeps it until deregistered */
	uint64_t va;	 /**< the address peers use */
	uint64_t length; /**< bytes, at least 1; va + length must not wrap */
	uint32_t rkey;	 /**< nonzero; unique within the protection domain */
	uint32_t pd;	 /**< protection domain: only queue pairs of the same one get in */
	uint32_t access; /**< REMU_ACCESS_* */
};

enum remu_qp_state {
	REMU_QP_RESET,
	REMU_QP_INIT,
	REMU_QP_RTR, /**< responder works */
	REMU_QP_RTS, /**< requester works too */
	REMU_QP_SQE, /**< bootstrap only: requester stopped by an error, responder works on */
	REMU_QP_ERR,
	REMU_QP_STATE_COUNT
};

const char *remu_qp_state_name(uint8_t state);

enum remu_qp_flags {
	/**
	 * A queue pair with a fixed number that outlives its peer's reboots: its responder never
	 * enters the error state, its PSN follows READs of a REMU_ACCESS_RESYNC region, and a
	 * failed requester goes to SQE, from where REMU_QP_RTS starts a new PSN sequence.
	 */
	REMU_QP_BOOTSTRAP = 1 << 0,
};

struct remu_qp_config {
	uint32_t qpn; /**< 2 to 0xfffffe, with qpn % n_engines == engine id */
	uint32_t pd;
	uint32_t access; /**< REMU_ACCESS_REMOTE_* allowed on this queue pair at all */
	uint32_t flags;	 /**< REMU_QP_* flags */
};

/** The peer and the parameters of a connection, as in ibv_modify_qp(3). */
struct remu_qp_attr {
	struct roce_gid peer_gid; /**< IPv4-mapped */
	uint8_t peer_mac[6];
	uint16_t path_mtu; /**< 256, 512, 1024, 2048 or 4096 bytes; equal on both sides */
	uint32_t peer_qpn;
	uint32_t sq_psn;	    /**< first PSN to send, 24 bits */
	uint32_t rq_psn;	    /**< first PSN to expect, 24 bits; bootstrap: ignored */
	uint32_t timeout_us;	    /**< wait for an answer before repeating, 1 to 10^7 */
	uint8_t retry_cnt;	    /**< repetitions before giving up, 0 to 255 */
	uint8_t max_rd_atomic;	    /**< READs under way to the peer, 1 to 16 */
	uint8_t max_dest_rd_atomic; /**< READs under way from the peer, 1 to 16 */
};

/** Event counters of an engine; written by its owner, read by any thread. */
struct remu_stats {
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t tx_no_mbuf;	  /**< packets put off because the pool was empty */
	uint64_t writes_executed; /**< WRITE messages of peers carried out */
	uint64_t reads_executed;  /**< READ requests of peers answered */
	uint64_t duplicates;	  /**< duplicate requests answered again */
	uint64_t acks_sent;
	uint64_t naks_sent;
	uint64_t naks_received;
	uint64_t timeouts;    /**< retransmission timer ran out */
	uint64_t retransmits; /**< requests put on the wire again */
	uint64_t resyncs;     /**< PSN taken over from a READ on a bootstrap queue pair */
	uint64_t wc_success;
	uint64_t wc_error;
	uint64_t drops[REMU_DROP_COUNT];
};

struct remu_engine_config {
	struct rte_mempool *pool; /**< mbufs for sending; room for mtu + 14 bytes each */
	uint8_t mac[6];		  /**< the port's own */
	struct roce_gid gid;	  /**< the port's own, IPv4-mapped */
	uint32_t id;		  /**< 0 to n_engines - 1 */
	uint32_t n_engines;	  /**< QPNs are dealt out modulo this */
	uint32_t max_qps;	  /**< 1 to 65536 */
	uint32_t max_mrs;	  /**< 1 to 65536 */
	uint32_t sq_depth; /**< work requests under way per queue pair; power of two, 2 to 4096 */
	uint32_t window;   /**< packets in flight per queue pair, 1 to 4096 */
	int socket_id;	   /**< NUMA node, or -1 */
};

/**
 * Create an engine. Allocates all it will ever need.
 *
 * @return 0, -EINVAL (a value out of its range) or -ENOMEM; *out is NULL on failure
 */
int remu_engine_create(const struct remu_engine_config *cfg, struct remu_engine **out);

/** Free an engine; outstanding work requests vanish without completion. NULL is harmless. */
void remu_engine_destroy(struct remu_engine *engine);

/**
 * Process received frames. Takes the mbufs over and frees every one.
 *
 * @param now_ns  time
 */
void remu_engine_rx(struct remu_engine *engine, struct rte_mbuf **pkts, uint16_t n,
	uint64_t now_ns);

/** Serve the channels and run the timers that are due. */
void remu_engine_poll(struct remu_engine *engine, uint64_t now_ns);

/**
 * Make frames to send: responses first, then requests. The caller owns the mbufs.
 *
 * @return how many, at most max
 */
uint16_t remu_engine_tx(struct remu_engine *engine, struct rte_mbuf **pkts, uint16_t max,
	uint64_t now_ns);

/** When the next timer is due; UINT64_MAX when none is armed. */
uint64_t remu_engine_next_deadline(const struct remu_engine *engine);

/** Whether there are frames to send. */
bool remu_engine_has_output(const struct remu_engine *engine);

const struct remu_stats *remu_engine_stats(const struct remu_engine *engine);

/** Engine that owns a queue pair number. */
static inline uint32_t
remu_qpn_owner(uint32_t qpn, uint32_t n_engines)
{
	return qpn % n_engines;
}

/**
 * Register a memory region.
 *
 * @return 0, -EINVAL (bad range, rkey 0), -EEXIST (rkey in use in this domain), -ENOSPC
 */
int remu_mr_register(struct remu_engine *engine, const struct remu_mr_config *cfg);

/** Revoke a region: no access from this moment on. @return 0 or -ENOENT */
int remu_mr_deregister(struct remu_engine *engine, uint32_t pd, uint32_t rkey);

/**
 * Create a queue pair in state RESET.
 *
 * @return 0, -EINVAL (number out of range or another engine's), -EEXIST, -ENOSPC
 */
int remu_qp_create(struct remu_engine *engine, const struct remu_qp_config *cfg,
	struct remu_qp **out);

/** Flush what is outstanding and forget the queue pair. NULL is harmless. */
void remu_qp_destroy(struct remu_engine *engine, struct remu_qp *qp);

/** Find a queue pair by number; NULL when there is none. */
struct remu_qp *remu_qp_find(struct remu_engine *engine, uint32_t qpn);

/**
 * Change the state: RESET -> INIT -> RTR -> RTS, SQE -> RTS, any -> RESET, any -> ERR; with
 * REMU_QP_BOOTSTRAP also RTS -> RTS. Work requests under way are flushed.
 *
 * @param attr  needed for RTR (peer, path MTU, rq_psn, max_dest_rd_atomic) and for RTS (sq_psn,
 *              timeout, retries, max_rd_atomic); NULL otherwise
 * @return 0 or -EINVAL (no such transition, or a value out of its range)
 */
int remu_qp_modify(struct remu_engine *engine, struct remu_qp *qp, enum remu_qp_state to,
	const struct remu_qp_attr *attr);

/**
 * Post a work request.
 *
 * @return 0, -EINVAL (opcode or length), -ENOTCONN (state is not RTS), -EAGAIN (send queue full)
 */
int remu_qp_post(struct remu_engine *engine, struct remu_qp *qp, const struct remu_wr *wr,
	uint64_t now_ns);

/** Take completions of queue pairs made by remu_qp_create(). @return how many, at most max */
uint32_t remu_engine_poll_wc(struct remu_engine *engine, struct remu_wc *wc, uint32_t max);

/** Copy of a queue pair's state for telemetry. */
struct remu_qp_info {
	uint32_t qpn;
	uint32_t peer_qpn;
	uint32_t next_psn;    /**< PSN of the next new request */
	uint32_t una_psn;     /**< oldest PSN not acknowledged */
	uint32_t epsn;	      /**< PSN expected from the peer */
	uint32_t msn;	      /**< messages completed as responder */
	uint32_t outstanding; /**< work requests posted and not completed */
	uint16_t path_mtu;
	uint8_t state; /**< enum remu_qp_state */
	uint8_t bootstrap;
};

/**
 * Snapshot of the queue pairs; may be called by any thread, then fields of one entry may belong to
 * neighbouring moments.
 *
 * @return entries filled, at most max, from index `first` of the table
 */
uint32_t remu_engine_qps(const struct remu_engine *engine, uint32_t first, struct remu_qp_info *out,
	uint32_t max);

/*
 * Channels: one other thread posts work requests and verbs and polls completions, without locks.
 */

/**
 * Create a channel into an engine. Before either side runs; freed with the engine.
 *
 * @param depth  work requests and verbs under way at a time; power of two, 8 to 65536
 * @return 0, -EINVAL, -ENOSPC (too many channels) or -ENOMEM
 */
int remu_channel_create(struct remu_engine *engine, uint32_t depth, struct remu_channel **out);

/**
 * Post a work request on a queue pair that was opened through this channel.
 * A queue pair that cannot take it answers with an error completion.
 *
 * @return 0, or -EAGAIN when `depth` are under way
 */
int remu_channel_post(struct remu_channel *ch, uint32_t qpn, const struct remu_wr *wr);

/**
 * Post a verb; its result comes as a REMU_WC_VERB completion with the cookie as wr_id.
 * The configuration is copied. @return 0 or -EAGAIN
 */
int remu_channel_qp_open(struct remu_channel *ch, const struct remu_qp_config *cfg,
	uint64_t cookie);
int remu_channel_qp_connect(struct remu_channel *ch, uint32_t qpn, const struct remu_qp_attr *attr,
	uint64_t cookie);
int remu_channel_qp_close(struct remu_channel *ch, uint32_t qpn, uint64_t cookie);
int remu_channel_mr_register(struct remu_channel *ch, const struct remu_mr_config *cfg,
	uint64_t cookie);
int remu_channel_mr_deregister(struct remu_channel *ch, uint32_t pd, uint32_t rkey,
	uint64_t cookie);

/** Take completions. @return how many, at most max */
uint32_t remu_channel_poll(struct remu_channel *ch, struct remu_wc *wc, uint32_t max);

/** Largest path MTU that fits an IP MTU; 0 when not even 256 does. */
uint16_t remu_path_mtu(uint32_t ip_mtu);
