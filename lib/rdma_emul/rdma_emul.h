/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/**
 * @file
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

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rte_mbuf;
struct rte_mempool;

struct remu_engine;
struct remu_qp;
struct remu_channel;
struct remu_cq;

/** What a completed work request came to; values as in enum ibv_wc_status. */
enum remu_wc_status {
	REMU_WC_SUCCESS = 0,
	REMU_WC_LOC_LEN_ERR = 1,	/**< READ response or SEND of the wrong length */
	REMU_WC_LOC_QP_OP_ERR = 2,	/**< not posted: not connected, queue full, or wrong */
	REMU_WC_WR_FLUSH_ERR = 5,	/**< an earlier work request failed, or the QP was closed */
	REMU_WC_BAD_RESP_ERR = 7,	/**< response of the wrong kind */
	REMU_WC_REM_INV_REQ_ERR = 9,	/**< NAK invalid request */
	REMU_WC_REM_ACCESS_ERR = 10,	/**< NAK remote access: rkey, range or rights */
	REMU_WC_REM_OP_ERR = 11,	/**< NAK remote operational error */
	REMU_WC_RETRY_EXC_ERR = 12,	/**< no answer within all retries */
	REMU_WC_RNR_RETRY_EXC_ERR = 13, /**< no receive request posted within all retries */
};

/** Name of a status for logs and telemetry. */
const char *remu_wc_status_name(uint8_t status);

/** Operations of the send queue. */
enum remu_wr_opcode {
	REMU_WR_RDMA_WRITE,
	REMU_WR_RDMA_READ,
	REMU_WR_RDMA_WRITE_IMM, /**< takes a receive request of the peer and hands it `imm` */
	REMU_WR_SEND,		/**< takes a receive request of the peer and fills its buffer */
	REMU_WR_SEND_IMM,
	REMU_WR_CMP_SWAP,  /**< the eight bytes at remote_va become swap_add if they are compare */
	REMU_WR_FETCH_ADD, /**< swap_add is added to the eight bytes at remote_va */
	REMU_WR_COUNT
};

/** Flags of a work request. */
enum remu_wr_flags {
	/** Starts only when all READs and atomics before it have ended (section 10.8.3.3). */
	REMU_WR_FENCE = 1 << 0,
	/** SEND, WRITE with immediate: the peer's completion counts as solicited. */
	REMU_WR_SOLICITED = 1 << 1,
};

/** Work request for the send queue. Every one ends with one completion. */
struct remu_wr {
	uint64_t wr_id; /**< the caller's; comes back in the completion */
	/** Local buffer; must stay valid until the completion. Atomics: gets the value found. */
	void *addr;
	uint64_t
		remote_va; /**< address in the peer's memory region; atomics: multiple of 8, or the peer refuses */
	uint32_t length;   /**< bytes, 0 to 2^31; atomics: 8 */
	uint32_t rkey;	   /**< key of the peer's memory region; not for SEND */
	uint8_t opcode;	   /**< enum remu_wr_opcode */
	uint8_t flags;	   /**< enum remu_wr_flags */
	uint32_t imm;	   /**< immediate data, host order */
	uint64_t swap_add; /**< atomics: value to store or to add, host order */
	uint64_t compare;  /**< REMU_WR_CMP_SWAP: value expected, host order */
};

/** Receive request: one buffer for one SEND, or for the notice of one WRITE with immediate. */
struct remu_recv_wr {
	uint64_t wr_id;	 /**< the caller's; comes back in the completion */
	void *addr;	 /**< may be NULL when length is 0; valid until the completion */
	uint32_t length; /**< bytes, 0 to 2^31 */
};

/** What a completion is of. */
enum remu_wc_kind {
	REMU_WC_WORK,  /**< a work request has ended */
	REMU_WC_VERB,  /**< a verb posted through a channel has been carried out; see result */
	REMU_WC_FATAL, /**< the queue pair went to the error state because of the peer's request */
	REMU_WC_RECV,  /**< a receive request has ended */
};

/** Flags of a completion. */
enum remu_wc_flags {
	REMU_WC_WITH_IMM = 1 << 0,  /**< `imm` is valid */
	REMU_WC_SOLICITED = 1 << 1, /**< the peer asked for a solicited event */
};

/** Work completion. */
struct remu_wc {
	uint64_t wr_id;	   /**< of the work or receive request, or the cookie of the verb */
	uint32_t qpn;	   /**< of the queue pair */
	uint32_t byte_len; /**< bytes moved; REMU_WC_RECV: length of the peer's message */
	int32_t result;	   /**< REMU_WC_VERB: 0 or a negative errno */
	uint32_t imm;	   /**< REMU_WC_RECV: immediate data, host order */
	uint8_t kind;	   /**< enum remu_wc_kind */
	uint8_t status;	   /**< REMU_WC_WORK, REMU_WC_RECV: enum remu_wc_status */
	/** enum remu_wr_opcode; REMU_WC_RECV: what the peer posted (flushed ones: REMU_WR_SEND) */
	uint8_t opcode;
	uint8_t flags;	   /**< enum remu_wc_flags */
	uint32_t reserved; /**< 0 */
};
static_assert(sizeof(struct remu_wc) == 32, "ring elements are multiples of 4 bytes");

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
	REMU_ACCESS_REMOTE_ATOMIC = 1 << 3,
};

/** A memory region that peers may reach. */
struct remu_mr_config {
	void *addr; /**< where it is; owned by the caller, who keeps it until deregistered */
	/** The address peers use. With REMOTE_ATOMIC equal to addr modulo 8. */
	uint64_t va;
	uint64_t length; /**< bytes, at least 1; va + length must not wrap */
	uint32_t rkey;	 /**< nonzero; unique within the protection domain */
	uint32_t pd;	 /**< protection domain: only queue pairs of the same one get in */
	uint32_t access; /**< REMU_ACCESS_* */
};

/** States of a queue pair, as in section 10.3.1. */
enum remu_qp_state {
	REMU_QP_RESET,
	REMU_QP_INIT,
	REMU_QP_RTR, /**< responder works */
	REMU_QP_RTS, /**< requester works too */
	REMU_QP_SQD, /**< send queue drained: work requests begun end, others wait; responder works */
	REMU_QP_SQE, /**< bootstrap only: requester stopped by an error, responder works on */
	REMU_QP_ERR,
	REMU_QP_STATE_COUNT
};

/** Name of a state for logs and telemetry. */
const char *remu_qp_state_name(uint8_t state);

/** Flags of a queue pair. */
enum remu_qp_flags {
	/**
	 * A queue pair with a fixed number that outlives its peer's reboots: its responder never
	 * enters the error state, its PSN follows READs of a REMU_ACCESS_RESYNC region, and a
	 * failed requester goes to SQE, from where REMU_QP_RTS starts a new PSN sequence.
	 */
	REMU_QP_BOOTSTRAP = 1 << 0,
	/** The UDP source port of the first valid packet is the only one taken from then on. */
	REMU_QP_PIN_SPORT = 1 << 1,
};

/** A queue pair, before it is connected. */
struct remu_qp_config {
	uint32_t qpn;	       /**< 2 to 0xfffffe, with qpn % n_engines == engine id */
	uint32_t pd;	       /**< protection domain: regions of the same one can be reached */
	uint32_t access;       /**< REMU_ACCESS_REMOTE_* allowed on this queue pair at all */
	uint32_t flags;	       /**< REMU_QP_* flags */
	uint32_t max_read_len; /**< longest READ served to the peer, bytes; 0: 2^31 */
	/** Where completions go, of the same engine; NULL: remu_engine_poll_wc(). */
	struct remu_cq *send_cq;
	struct remu_cq *recv_cq; /**< as send_cq, for receive requests */
};

/** The peer and the parameters of a connection, as in ibv_modify_qp(3). */
struct remu_qp_attr {
	struct roce_gid peer_gid; /**< an address family that the engine has an address of */
	uint8_t peer_mac[6];	  /**< of its port, or of the router towards it */
	/** 256, 512, 1024, 2048 or 4096 bytes, equal on both sides; frames must fit the mbufs. */
	uint16_t path_mtu;
	uint32_t peer_qpn;	    /**< its queue pair */
	uint32_t sq_psn;	    /**< first PSN to send, 24 bits */
	uint32_t rq_psn;	    /**< first PSN to expect, 24 bits; bootstrap: ignored */
	uint32_t timeout_us;	    /**< wait for an answer before repeating, 1 to 10^7 */
	uint8_t retry_cnt;	    /**< repetitions before giving up, 0 to 255 */
	uint8_t rnr_retry;	    /**< repetitions after RNR NAKs, 0 to 6; 7: without end */
	uint8_t max_rd_atomic;	    /**< READs and atomics under way to the peer, 1 to 64 */
	uint8_t max_dest_rd_atomic; /**< the same from the peer, 0 (none) to 64 */
	/**
	 * What an RNR NAK of ours asks the peer to wait at least; rounded up to one of the 32
	 * values of table 45, 10 to 655360 us. 0: 10 us.
	 */
	uint32_t min_rnr_timer_us;
	/** DSCP << 2 | ECN of what is sent; ECN 2 lets switches mark instead of drop. */
	uint8_t traffic_class;
	uint8_t hop_limit; /**< 0: 64 */
	bool tagged;	   /**< send with an 802.1Q tag, take only what has its VLAN ID */
	uint16_t vlan_tci; /**< tag: priority, DEI, VLAN ID */
};

/** Event counters of an engine; written by its owner, read by any thread. */
struct remu_stats {
	uint64_t rx_packets;	    /**< frames received, whatever became of them */
	uint64_t rx_bytes;	    /**< their bytes */
	uint64_t tx_packets;	    /**< frames made */
	uint64_t tx_bytes;	    /**< their bytes */
	uint64_t tx_no_mbuf;	    /**< packets put off because the pool was empty */
	uint64_t writes_executed;   /**< WRITE messages of peers carried out */
	uint64_t reads_executed;    /**< READ requests of peers answered */
	uint64_t reads_revoked;	    /**< of these: ended, because their region was revoked */
	uint64_t sends_executed;    /**< SEND messages of peers received */
	uint64_t atomics_executed;  /**< atomics of peers carried out */
	uint64_t duplicates;	    /**< duplicate requests answered again */
	uint64_t acks_sent;	    /**< acknowledgements made */
	uint64_t naks_sent;	    /**< NAKs made, without RNR NAKs */
	uint64_t naks_received;	    /**< NAKs that peers sent, without RNR NAKs */
	uint64_t rnr_naks_sent;	    /**< for want of a receive request here */
	uint64_t rnr_naks_received; /**< for want of one there */
	uint64_t cnps_sent;	    /**< congestion notifications made */
	uint64_t cnps_received;	    /**< congestion notifications of peers */
	uint64_t timeouts;	    /**< retransmission timer ran out */
	uint64_t retransmits;	    /**< requests put on the wire again */
	uint64_t probes;	    /**< tail probes: answers overdue by the round-trip time */
	uint64_t rx_held;	    /**< now: requests kept until the gap before them is closed */
	uint64_t rx_reordered;	    /**< requests that were kept and then carried out */
	uint64_t arp_answered;	    /**< ARP requests for our address; see answer_arp */
	uint64_t resyncs;	    /**< PSN taken over from a READ on a bootstrap queue pair */
	uint64_t wc_success;	    /**< completions of success */
	uint64_t wc_error;	    /**< completions of any other status */
	uint64_t drops[REMU_DROP_COUNT]; /**< frames by verdict, by enum remu_drop; [0]: accepted */
};

/** Recovery beyond go-back-N; all are understood by any RC peer. */
enum remu_recovery {
	/** READ responses are taken in any order; only what is missing is asked for again. */
	REMU_RECOVERY_READ = 1 << 0,
	/** Requests behind a gap are kept, and carried out when it is closed. */
	REMU_RECOVERY_HOLD = 1 << 1,
	/** After a sequence NAK only the named packet is repeated, if the peer keeps the rest. */
	REMU_RECOVERY_SELECTIVE = 1 << 2,
	/** An answer overdue by the round-trip time is asked for before the timeout. */
	REMU_RECOVERY_PROBE = 1 << 3,
	REMU_RECOVERY_ALL = 0xf,
};

/** What an engine is made for; fixed for its life. */
struct remu_engine_config {
	struct rte_mempool *pool; /**< mbufs for sending; room for mtu + 14 bytes each */
	uint8_t mac[6];		  /**< the port's own */
	struct roce_gid gid;	  /**< the port's own, IPv4-mapped or IPv6 */
	struct roce_gid gid2;	  /**< one of the other family; all zero: none */
	uint32_t id;		  /**< 0 to n_engines - 1 */
	uint32_t n_engines;	  /**< QPNs are dealt out modulo this */
	uint32_t max_qps;	  /**< 1 to 65536 */
	uint32_t max_mrs;	  /**< 1 to 65536 */
	uint32_t sq_depth; /**< work requests under way per queue pair; power of two, 2 to 4096 */
	uint32_t rq_depth; /**< receive requests per queue pair; power of two to 4096; 0: none */
	uint32_t window;   /**< packets in flight per queue pair, 1 to 4096 */
	uint32_t disable;  /**< enum remu_recovery that is left out, for measurements */
	/** Received mbufs kept behind gaps, of all queue pairs; 0: an eighth of the pool, at most 256. */
	uint32_t hold_max;
	uint32_t cnp_interval_us; /**< at most one CNP per queue pair in that time; 0: 50 */
	/**
	 * NAKs and repeated acknowledgements per second and queue pair, and bytes of READs
	 * answered again: what a forger of packets can make us send. 0: 10^6; 2^30.
	 */
	uint32_t reack_per_s;
	uint32_t replay_bytes_per_s; /**< see above */
	/**
	 * Answer ARP requests for the IPv4 address of gid or gid2, so that a peer whose RDMA is
	 * part of an operating system needs no static neighbour. One answer at a time waits to be
	 * sent; requests meanwhile are dropped, and repeated by whoever asks.
	 */
	bool answer_arp;
	int socket_id; /**< NUMA node, or -1 */
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

/** When to poll at the latest; UINT64_MAX when nothing is waited for. */
uint64_t remu_engine_next_deadline(const struct remu_engine *engine);

/** Whether there may be frames to send. */
bool remu_engine_has_output(const struct remu_engine *engine);

/** Counters of an engine, which go on counting. Any thread. */
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
 * Change the state: RESET -> INIT -> RTR -> RTS, RTS -> SQD -> RTS, SQE -> RTS, any -> RESET,
 * any -> ERR; with REMU_QP_BOOTSTRAP also RTS -> RTS.
 *
 * Requests under way end with REMU_WC_WR_FLUSH_ERR on the way to ERR, and on RTS or SQE -> RTS.
 * On the way to RESET they are flushed too, so that none is lost silently (ibv_modify_qp() drops
 * them). RTS -> SQD -> RTS keeps them and the PSNs.
 *
 * @param attr  needed for RTR (peer, path MTU, rq_psn, max_dest_rd_atomic, RNR timer, path) and
 *              for RTS (sq_psn, timeout, retries, max_rd_atomic); for SQD -> RTS may be NULL, and
 *              its sq_psn is ignored; NULL otherwise
 * @return 0 or -EINVAL (no such transition, or a value out of its range)
 */
int remu_qp_modify(struct remu_engine *engine, struct remu_qp *qp, enum remu_qp_state to,
	const struct remu_qp_attr *attr);

/**
 * Post a work request. In state ERR it is taken and flushed at once.
 *
 * @return 0, -EINVAL (opcode, flags or length), -ENOTCONN (state is not RTS, SQD or ERR),
 *         -EAGAIN (send queue full, or too many completions not polled)
 */
int remu_qp_post(struct remu_engine *engine, struct remu_qp *qp, const struct remu_wr *wr,
	uint64_t now_ns);

/**
 * Post a receive request; they are used in the order posted. In state ERR it is flushed at once.
 *
 * @return 0, -EINVAL (length), -ENOTCONN (state RESET), -ENOTSUP (rq_depth is 0),
 *         -EAGAIN (receive queue full, or too many completions not polled)
 */
int remu_qp_post_recv(struct remu_engine *engine, struct remu_qp *qp,
	const struct remu_recv_wr *wr);

/**
 * Have completions of a queue pair that was opened through a channel go to a completion queue, for
 * a client that works on the engine's own lcore. The channel still owns the queue pair: it closes
 * it and gets REMU_WC_FATAL. From here on only the engine's owner may post on it.
 *
 * @return 0, or -EBUSY (requests are under way)
 */
int remu_qp_set_cq(struct remu_engine *engine, struct remu_qp *qp, struct remu_cq *cq);

/** State SQD: whether everything begun has ended, so that nothing is under way. */
bool remu_qp_drained(const struct remu_qp *qp);

/**
 * Create a completion queue. A request is only taken when there is room for its completion, so
 * a completion queue never overruns. For set-up time: allocates.
 *
 * @param depth  completions of requests under way or not polled, 1 to 65536
 * @return 0, -EINVAL or -ENOMEM
 */
int remu_cq_create(struct remu_engine *engine, uint32_t depth, struct remu_cq **out);

/** Free a completion queue. @return 0, or -EBUSY while a queue pair uses it; NULL is harmless */
int remu_cq_destroy(struct remu_engine *engine, struct remu_cq *cq);

/** Take completions, oldest first. @return how many, at most max */
uint32_t remu_cq_poll(struct remu_cq *cq, struct remu_wc *wc, uint32_t max);

/**
 * Ask for one event, as ibv_req_notify_cq(3): the next completion raises it.
 *
 * @param solicited_only  only a completion with REMU_WC_SOLICITED or with an error
 */
void remu_cq_arm(struct remu_cq *cq, bool solicited_only);

/** Whether the event has been raised; lowers it. */
bool remu_cq_take_event(struct remu_cq *cq);

/**
 * Take completions of queue pairs without a completion queue of their own, and REMU_WC_FATAL of
 * all but those of channels. @return how many, at most max
 */
uint32_t remu_engine_poll_wc(struct remu_engine *engine, struct remu_wc *wc, uint32_t max);

/** Copy of a queue pair's state for telemetry. */
struct remu_qp_info {
	uint32_t qpn;	      /**< its number */
	uint32_t peer_qpn;    /**< the number of the peer's */
	uint32_t next_psn;    /**< PSN of the next new request */
	uint32_t una_psn;     /**< oldest PSN not acknowledged */
	uint32_t epsn;	      /**< PSN expected from the peer */
	uint32_t msn;	      /**< messages completed as responder */
	uint32_t outstanding; /**< work requests posted and not completed */
	uint32_t recv_posted; /**< receive requests posted and not used */
	uint32_t window;      /**< packets that may be in flight; less than configured after CNPs */
	uint32_t srtt_ns;     /**< smoothed round-trip time; 0: not measured */
	uint16_t path_mtu;    /**< bytes */
	uint8_t state;	      /**< enum remu_qp_state */
	uint8_t bootstrap;    /**< 1: it has REMU_QP_BOOTSTRAP */
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

/** As given to remu_channel_create(). Any thread. */
uint32_t remu_channel_depth(const struct remu_channel *ch);

/**
 * Post a work request on a queue pair that was opened through this channel.
 * A queue pair that cannot take it answers with an error completion.
 *
 * @return 0, or -EAGAIN when `depth` are under way
 */
int remu_channel_post(struct remu_channel *ch, uint32_t qpn, const struct remu_wr *wr);

/**
 * Post a receive request. It counts as under way until its completion, so leave places for work
 * requests and verbs. @return as above
 */
int remu_channel_post_recv(struct remu_channel *ch, uint32_t qpn, const struct remu_recv_wr *wr);

/**
 * Post a verb; its result comes as a REMU_WC_VERB completion with the cookie as wr_id.
 * The configuration is copied. @return 0 or -EAGAIN
 */
int remu_channel_qp_open(struct remu_channel *ch, const struct remu_qp_config *cfg,
	uint64_t cookie);
/** As remu_channel_qp_open(): takes the queue pair to RTS, see remu_qp_modify(). */
int remu_channel_qp_connect(struct remu_channel *ch, uint32_t qpn, const struct remu_qp_attr *attr,
	uint64_t cookie);
/** As remu_channel_qp_open(): remu_qp_destroy(). */
int remu_channel_qp_close(struct remu_channel *ch, uint32_t qpn, uint64_t cookie);
/** As remu_channel_qp_open(): remu_mr_register(). */
int remu_channel_mr_register(struct remu_channel *ch, const struct remu_mr_config *cfg,
	uint64_t cookie);
/** As remu_channel_qp_open(): remu_mr_deregister(). */
int remu_channel_mr_deregister(struct remu_channel *ch, uint32_t pd, uint32_t rkey,
	uint64_t cookie);

/** Take completions. @return how many, at most max */
uint32_t remu_channel_poll(struct remu_channel *ch, struct remu_wc *wc, uint32_t max);

/** Largest path MTU that fits an IP MTU, over IPv6 4 bytes less; 0 when not even 256 does. */
uint16_t remu_path_mtu(uint32_t ip_mtu);

#ifdef __cplusplus
}
#endif
