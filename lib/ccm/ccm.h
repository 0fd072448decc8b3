/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/**
 * @file
 * Cluster connection manager: brings up and keeps up one session with each configured partner,
 * with RDMA READs and WRITEs alone, and opens communication ports for its clients on top.
 *
 * The manager is driven by ccm_poll() and never blocks. It reads no clock (time is an argument,
 * nanoseconds, any epoch), draws random numbers from the source it was given, allocates nothing
 * after ccm_create() and owns no thread, signal, file or device; so a program with a loop of its
 * own, or a simulator with a virtual clock, can embed it.
 *
 * Threads: all functions are for the control core that calls ccm_poll(), except ccm_read_*(),
 * which any thread may call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccm;
struct ccm_client;
struct remu_channel;

enum {
	CCM_NAME_LEN = 32, /* bytes with the terminating zero: node, cluster and client names */
	CCM_MAX_PARTNERS = 64,
	CCM_MAX_CLIENTS = 16,
	CCM_MAX_PORTS = 64, /* ports towards one partner, all clients together */
	CCM_MAX_ENGINES = 64,
	CCM_VERSION_MIN = 1, /* session protocol versions that this code speaks */
	CCM_VERSION_MAX = 1,
	CCM_PORT_MEMORY_MIN = 4096, /* bytes */
	CCM_PORT_DEPTH = 64,	    /* work requests under way per port */
	CCM_BOOTSTRAP_MTU = 256,    /* path MTU of bootstrap queue pairs: fits every link */
};

/** Feature bits that this code knows; a session uses those that both nodes offer. */
enum {
	CCM_FEATURE_READS_64 = 1 << 0, /**< ports take 64 READs and atomics under way, else 16 */
	CCM_FEATURES = CCM_FEATURE_READS_64,
};

/* Layout of the bootstrap region: offsets from the pre-set address, keys from the pre-set key. */
enum {
	CCM_OUT_OFFSET = 0x0000,  /* status record: remote READ, key + 0 */
	CCM_SLOT_OFFSET = 0x1000, /* the partner's record: remote WRITE, key + 1 */
	CCM_DIR_OFFSET = 0x2000,  /* the partner's directory: remote WRITE, key + 2 */
	CCM_REGION_KEYS = 3,
	CCM_REGION_SIZE = 0x4000, /* bytes */
};

/** What a node is for; told to partners, decides nothing. */
enum ccm_role { CCM_ROLE_STORAGE, CCM_ROLE_APPLICATION, CCM_ROLE_COUNT };

/** How far the session with a partner is. */
enum ccm_state {
	CCM_DOWN,    /**< not started, or stopped */
	CCM_CLOSING, /**< ports of the last attempt are being destroyed */
	CCM_SEARCH,  /**< asking the partner's status variable */
	CCM_BOUND,   /**< both know each other's attempt; client information under way */
	CCM_PORTS,   /**< our ports exist */
	CCM_READY,   /**< both sides' ports exist and ours are connected: told to the partner */
	CCM_UP,	     /**< the partner has verified ours too: clients have been told */
	CCM_REFUSED, /**< this attempt of the partner cannot be accepted; see the reason */
	CCM_LEAVING, /**< telling the partner that we stop */
	CCM_STATE_COUNT
};

/** Why there is no session, or why it ended. Part of the record, so values never change. */
enum ccm_reason {
	CCM_REASON_NONE = 0,
	CCM_REASON_NO_ANSWER = 1,	 /**< READs of the partner's status get no answer */
	CCM_REASON_LINK_DOWN = 2,	 /**< our port has no link */
	CCM_REASON_NOT_STARTED = 3,	 /**< the partner answers, but its record is empty */
	CCM_REASON_BAD_RECORD = 4,	 /**< record damaged, or of another layout */
	CCM_REASON_WRONG_NODE = 5,	 /**< record of or for another node id */
	CCM_REASON_WRONG_CLUSTER = 6,	 /**< record of another cluster */
	CCM_REASON_VERSION = 7,		 /**< no common protocol version */
	CCM_REASON_ACCESS = 8,		 /**< the partner refuses our key or address */
	CCM_REASON_PARTNER_REFUSED = 9,	 /**< the partner refuses us; its reason is in its record */
	CCM_REASON_PARTNER_LEAVING = 10, /**< the partner stops orderly */
	CCM_REASON_PARTNER_RESTARTED = 11, /**< the partner began a new attempt */
	CCM_REASON_PARTNER_WENT_BACK = 12, /**< the partner left the session under the same nonce */
	CCM_REASON_PARTNER_HUNG = 13,	   /**< it answers READs, but its beats stand still */
	CCM_REASON_PORT_MAP = 14,	   /**< both sides computed different port maps */
	CCM_REASON_PORT_FAILED = 15,	   /**< our ports could not be created or connected */
	CCM_REASON_CLIENTS_CHANGED = 16,   /**< with the clients of now, the ports are others */
	CCM_REASON_STOPPED = 17,	   /**< we stop */
	CCM_REASON_WAITING = 18,	   /**< partner found; handshake under way */
	CCM_REASON_PORT_ERROR = 19,	   /**< a client port's queue pair failed */
	CCM_REASON_TIMING = 20,		   /**< its beat is too slow for our detection time */
	CCM_REASON_OWN_ID = 21,		   /**< the record's sender has our own node id */
	CCM_REASON_CONFLICT = 22,	   /**< two nodes answer in turn as this partner */
	CCM_REASON_NO_PROGRESS = 23,	   /**< bound, and alive, but the set-up does not go on */
	CCM_REASON_COUNT
};

/** What there is to say of a partner. The first that applies. */
enum ccm_verdict {
	CCM_VERDICT_LINK_DOWN,	 /**< our own port has no link */
	CCM_VERDICT_UNREACHABLE, /**< no answer for the detection time, or never */
	CCM_VERDICT_NOT_STARTED, /**< its memory answers, but nobody has started there */
	CCM_VERDICT_REFUSED,	 /**< it or we refuse: another node, cluster, version, or key */
	CCM_VERDICT_LEAVING,	 /**< it stops orderly, or has stopped */
	CCM_VERDICT_HUNG,	 /**< it answers READs, but its control core stands still */
	CCM_VERDICT_STUCK,	 /**< it is booting, without progress for longer than allowed */
	CCM_VERDICT_STARTING,	 /**< it is booting, at the beginning of a stage */
	CCM_VERDICT_PROGRESSING, /**< it is booting, with progress in this stage */
	CCM_VERDICT_CONNECTING,	 /**< it has booted; the session is being set up */
	CCM_VERDICT_UP,		 /**< it has booted, and the session is up */
	CCM_VERDICT_COUNT
};

/** Whether to take a partner's work over, as far as a single node can tell. */
enum ccm_advice {
	CCM_ADVICE_KEEP,      /**< no: it is there, or on its way */
	CCM_ADVICE_TAKE_OVER, /**< it is not, as far as the evidence goes */
	CCM_ADVICE_UNSURE,    /**< we cannot know: the fault may be ours */
	CCM_ADVICE_COUNT
};

/** It has not been: an age in struct ccm_evidence. */
#define CCM_NEVER UINT64_MAX

/** What a verdict rests on. Ages in nanoseconds, CCM_NEVER when it has not been. */
struct ccm_evidence {
	uint64_t answer_age_ns;	 /**< since a READ brought a valid record */
	uint64_t beat_age_ns;	 /**< since its beat counter moved */
	uint64_t write_age_ns;	 /**< since it wrote into our slot */
	uint64_t boot_age_ns;	 /**< since its boot stage or progress changed */
	uint64_t boot_budget_ns; /**< longest that it allows itself for that; 0: no limit */
	uint64_t awake_ns;	 /**< since our own control core was last away */
	bool link_up;		 /**< of our port */
};

/** What is to be thought of a partner, and why. */
struct ccm_judgement {
	enum ccm_verdict verdict;     /**< what there is to say */
	enum ccm_advice advice;	      /**< what to do about its work */
	enum ccm_reason reason;	      /**< of the session; the refusal's */
	struct ccm_evidence evidence; /**< what both rest on */
};

/** Names for logs and telemetry: lower case, letters and underscores. */
const char *ccm_verdict_name(enum ccm_verdict verdict);
/** Name for logs and telemetry: lower case, letters and underscores. */
const char *ccm_advice_name(enum ccm_advice advice);
/** Name for logs and telemetry: lower case, letters and underscores. */
const char *ccm_state_name(enum ccm_state state);
/** Name for logs and telemetry: lower case, letters and underscores. */
const char *ccm_reason_name(enum ccm_reason reason);
/** Name for logs and telemetry: lower case, letters and underscores. */
const char *ccm_role_name(enum ccm_role role);

/** The partner node as agreed beforehand; the same on every boot. */
struct ccm_partner_config {
	uint16_t id;		 /**< 1 to 65535 */
	uint8_t mac[6];		 /**< of its port */
	uint32_t ip;		 /**< IPv4, host order */
	uint32_t qpn;		 /**< our queue pair for this partner, 2 to 0xfffffe */
	uint32_t remote_qpn;	 /**< its queue pair for us */
	uint64_t va;		 /**< its bootstrap region */
	uint32_t rkey;		 /**< key of its record */
	uint32_t slot_rkey;	 /**< key of our slot in its region; 0: rkey + 1 */
	uint32_t directory_rkey; /**< key of our directory area there; 0: rkey + 2 */
};

/** Times of a session. They may differ between partners, within limits. */
struct ccm_timing {
	uint32_t beat_us;	/**< heartbeat interval, 100 to 10^7 */
	uint32_t dead_after_us; /**< silence after which it is lost: 3 beats to 10^8 */
	uint32_t retry_us;	/**< wait before a packet is repeated, 20 to 10^6 */
	uint32_t search_us;	/**< longest pause while searching, beat_us to 10^7 */
	uint8_t retry_cnt;	/**< repetitions of a packet, 0 to 7 */
};

/** A node, and whom it knows. */
struct ccm_config {
	uint16_t node_id;	    /**< 1 to 65535 */
	enum ccm_role role;	    /**< told to partners; decides nothing */
	char name[CCM_NAME_LEN];    /**< letters, digits, ".", "_", "-"; told to partners */
	char cluster[CCM_NAME_LEN]; /**< nodes of another cluster are refused */
	uint16_t path_mtu;	    /**< of client ports: 256 to 4096, lowered to the partner's */
	uint16_t version_min;	    /**< protocol versions offered; 0: CCM_VERSION_MIN */
	uint16_t version_max;	    /**< 0: CCM_VERSION_MAX */
	uint64_t features;	    /**< feature bits offered; the common ones are agreed */
	uint64_t va;		  /**< our bootstrap region as partners address it; 4096-aligned */
	uint32_t rkey;		  /**< our first key; + 1 and + 2 are used too */
	struct ccm_timing timing; /**< see there */
	uint32_t n_partners;	  /**< 0 to CCM_MAX_PARTNERS */
	struct ccm_partner_config partners[CCM_MAX_PARTNERS]; /**< the first n_partners count */
};

/** What a client asks of each session. */
struct ccm_client_config {
	char name[CCM_NAME_LEN]; /**< clients of one name on both nodes are connected */
	uint16_t ports;		 /**< 1 to CCM_MAX_PORTS */
	uint64_t memory;	 /**< bytes for all its ports together towards one partner */
	bool atomics;		 /**< partners may do atomics, not only READs and WRITEs, on it */
};

/** A communication port towards a partner: a queue pair and a memory region on both sides. */
struct ccm_port {
	uint16_t partner_id;  /**< towards whom */
	uint16_t index;	      /**< 0 to ports - 1 of its client */
	uint32_t handle;      /**< for ccm_port_post() */
	uint32_t qpn;	      /**< our queue pair */
	uint32_t remote_qpn;  /**< its queue pair */
	uint8_t *memory;      /**< our region: the partner reads and writes it */
	uint64_t length;      /**< bytes; the same on both sides */
	uint64_t remote_va;   /**< address of the partner's region */
	uint32_t remote_rkey; /**< key of the partner's region */
};

/** How far a node has booted: told to the partners, at any time. */
struct ccm_boot_status {
	uint16_t stage;		 /**< 1 to stages; 0: not told */
	uint16_t stages;	 /**< of the last stage, in which it has booted; 0: no stages */
	uint32_t progress;	 /**< counts within the stage */
	uint32_t budget_ms;	 /**< longest time without progress in this stage; 0: no limit */
	char name[CCM_NAME_LEN]; /**< of the stage: printable ASCII */
};

/** What a client is told. */
enum ccm_client_event_kind {
	CCM_CLIENT_UP,	      /**< ports to a partner may be used: port[], n_ports */
	CCM_CLIENT_DOWN,      /**< they may not be used any more: reason */
	CCM_CLIENT_RELEASED,  /**< they are gone, and with them all use of the client's buffers */
	CCM_CLIENT_COMPLETED, /**< a work request has ended: port[0], wr_id, status */
	CCM_CLIENT_ADVICE,    /**< the advice on a partner has changed: judgement */
	CCM_CLIENT_GONE,      /**< the last call: a removed client's ports and memory are free */
};

/** What has happened to a client. */
struct ccm_client_event {
	enum ccm_client_event_kind kind;       /**< what has happened */
	uint16_t partner_id;		       /**< with whom */
	uint16_t n_ports;		       /**< how many ports[] there are */
	const struct ccm_port *ports;	       /**< valid during the call */
	enum ccm_reason reason;		       /**< DOWN: why */
	uint64_t wr_id;			       /**< COMPLETED: as posted */
	uint8_t status;			       /**< enum remu_wc_status */
	uint32_t byte_len;		       /**< COMPLETED: bytes moved */
	uint64_t now_ns;		       /**< time of the turn */
	const struct ccm_judgement *judgement; /**< valid during the call */
};

/**
 * Tells a client what happens. Called from ccm_poll() and ccm_stop() on the control core; may call
 * ccm_port_post(), ccm_client_register() and ccm_client_unregister(), also for itself. For each
 * partner UP and DOWN alternate strictly, over the client's whole life, and RELEASED follows DOWN
 * before the next UP; work requests that were under way when a session ends are flushed and not
 * reported.
 *
 * After ccm_client_unregister() no UP comes any more, but the DOWNs and RELEASEDs that are due do, and
 * after them GONE: the last call ever. Until then `ctx` and the buffers of work requests must stay
 * valid.
 */
typedef void (*ccm_client_fn)(void *ctx, const struct ccm_client_event *event);

/** What the ring of events has. */
enum ccm_event_kind {
	CCM_EVENT_STATE,   /**< of a session: from and to are enum ccm_state */
	CCM_EVENT_VERDICT, /**< on a partner: from and to are enum ccm_verdict */
};

/** Something worth writing down. Kept in a ring for telemetry. */
struct ccm_event {
	uint64_t time_ns;	/**< when, by the clock given to ccm_poll() */
	uint64_t nonce;		/**< our attempt */
	uint64_t partner_nonce; /**< the attempt we are bound to; 0: none */
	uint32_t seq;		/**< counts up from 1 */
	uint16_t partner_id;	/**< whose session */
	uint8_t kind;		/**< enum ccm_event_kind */
	uint8_t from;		/**< state or verdict before */
	uint8_t to;		/**< state or verdict now */
	uint8_t reason;		/**< enum ccm_reason */
};

/** What the manager needs from outside. */
struct ccm_env {
	/** Random bits that others cannot guess; e.g. from getrandom(2). */
	uint64_t (*rand64)(void *ctx);
	/** Called for every event; may be NULL. For logs: the ring is kept anyway. */
	void (*event)(void *ctx, const struct ccm_event *event);
	void *ctx;					/**< for the two functions above */
	struct remu_channel *channels[CCM_MAX_ENGINES]; /**< one per engine, in order of its id */
	uint32_t n_engines;				/**< 1 to CCM_MAX_ENGINES */
	void *memory; /**< for regions and ports, 4096-aligned, zeroed; see ccm_memory_size() */
	size_t memory_size; /**< bytes; what the first clients leave is for later ones */
};

/** Bytes of memory that a configuration and its clients need; 0 when it would overflow. */
size_t ccm_memory_size(const struct ccm_config *cfg, const struct ccm_client_config *clients,
	uint32_t n_clients);

/**
 * Create a manager; nothing happens before the first ccm_poll().
 *
 * @param env  copied; memory stays the caller's and must outlive the manager
 * @return 0, -EINVAL, -ENOMEM (also: env->memory_size too small); *out is NULL on failure
 */
int ccm_create(const struct ccm_config *cfg, const struct ccm_env *env, struct ccm **out);

/** Free a manager. The engines should be stopped or its ports closed. NULL is harmless. */
void ccm_destroy(struct ccm *ccm);

/**
 * Register a client, at any time: also while sessions are up, and from a client's callback. The
 * next ccm_poll() tells the partners. Where a partner has a client of this name already, the
 * session with it ends (CCM_REASON_CLIENTS_CHANGED) and comes back with the ports of both; other
 * sessions go on undisturbed. Does not block or allocate.
 *
 * Its memory holds zeros, or what a removed client has left there.
 *
 * @param cfg  copied; the partner may ask for less, then that is what both get
 * @param fn   may be NULL
 * @param out  valid until ccm_client_unregister()
 * @return 0, -EINVAL (name, ports or memory out of range), -EEXIST (name), -ENOSPC (too many
 *         clients or ports), -ENOMEM (no room for its memory in one piece; what a removed client
 *         has counts until its CCM_CLIENT_GONE), -EBUSY (a removed client of this name, or too
 *         many of them, are not gone yet: try again later)
 */
int ccm_client_register(struct ccm *ccm, const struct ccm_client_config *cfg, ccm_client_fn fn,
	void *ctx, struct ccm_client **out);

/**
 * Remove a client, at any time: also while a session comes up or ends, and from a client's
 * callback, its own too. The pointer is invalid from here on, its ports are not to be used any
 * more. Where it has ports the session ends (CCM_REASON_CLIENTS_CHANGED), all clients are told
 * DOWN, and it comes back without this one; other sessions go on undisturbed. When the last of its
 * ports is destroyed, and so its work flushed, its memory is free and it is told CCM_CLIENT_GONE:
 * from a later ccm_poll(), or from here when polling has not begun. Does not block.
 *
 * @return 0, or -EINVAL (not a registered client)
 */
int ccm_client_unregister(struct ccm *ccm, struct ccm_client *client);

/** One turn of all state machines. @return true when something happened */
bool ccm_poll(struct ccm *ccm, uint64_t now_ns);

/** When ccm_poll() has something to do even if nothing arrives. */
uint64_t ccm_next_deadline(const struct ccm *ccm);

/** Begin to leave: partners are told, clients go down. */
void ccm_stop(struct ccm *ccm, uint64_t now_ns);

/** Whether leaving is done: every session is CCM_DOWN. */
bool ccm_stopped(const struct ccm *ccm);

/**
 * Tell partners how far this node has booted. May be called before the first ccm_poll(), so that
 * the first record says it.
 *
 * @return 0, or -EINVAL (stage above stages; name not printable or not terminated)
 */
int ccm_boot_report(struct ccm *ccm, const struct ccm_boot_status *boot, uint64_t now_ns);

/** Tell that the port has or has no link. */
void ccm_link_report(struct ccm *ccm, bool up);

/** Operations of ccm_port_post(). */
enum ccm_port_op {
	CCM_PORT_WRITE,
	CCM_PORT_READ,
};

/**
 * Post a READ or WRITE on a port.
 *
 * @param local   must stay as it is until CCM_CLIENT_COMPLETED or, when the session has ended before,
 *                CCM_CLIENT_RELEASED: until then packets may still be sent from it or put into it
 * @param offset  into the partner's region, bytes
 * The clients of one partner may have CCM_PORT_DEPTH under way per port, and together half of a
 * channel's depth divided by the number of partners.
 *
 * @return 0, -ENOTCONN (port is not up), -EINVAL (out of the region), -EAGAIN (too many under way)
 */
int ccm_port_post(struct ccm *ccm, uint32_t handle, enum ccm_port_op op, void *local,
	uint64_t offset, uint32_t length, uint64_t wr_id);

/** Steps of the handshake that are timed, in order. */
enum ccm_step {
	CCM_STEP_READ1,
	CCM_STEP_WRITE1,
	CCM_STEP_READ2,
	CCM_STEP_WRITE2,
	CCM_STEP_CLIENT_INFO,	/**< until the partner's client information is here */
	CCM_STEP_CREATE_PORTS,	/**< until our ports exist */
	CCM_STEP_CONNECT_PORTS, /**< until they are connected to the partner's */
	CCM_STEP_READY,		/**< until the partner is told and clients are told */
	CCM_STEP_COUNT
};

/** Name for logs and telemetry: lower case, letters and underscores. */
const char *ccm_step_name(enum ccm_step step);

/** How things stand with a partner, for telemetry. */
struct ccm_partner_status {
	uint16_t id;		      /**< its node id */
	uint8_t state;		      /**< enum ccm_state */
	uint8_t reason;		      /**< enum ccm_reason: why it is not UP */
	uint8_t last_down_reason;     /**< enum ccm_reason: why the last session ended */
	uint8_t partner_phase;	      /**< enum ccm_state as its record says */
	uint8_t partner_reason;	      /**< its refusal reason */
	uint8_t partner_role;	      /**< enum ccm_role */
	uint16_t partner_version_min; /**< oldest protocol version that it offers; 0: not known */
	uint16_t partner_version_max; /**< newest one */
	uint16_t version;	      /**< agreed; 0: none */
	uint16_t path_mtu;	      /**< agreed for ports, bytes */
	uint8_t verdict;	      /**< enum ccm_verdict */
	uint8_t advice;		      /**< enum ccm_advice */
	struct ccm_boot_status partner_boot; /**< how far it has booted, as it says */
	uint16_t n_ports;		     /**< towards it, all clients together */
	uint32_t qpn;			     /**< our bootstrap queue pair for it */
	uint32_t remote_qpn;		     /**< its bootstrap queue pair for us */
	uint64_t features;		     /**< agreed */
	uint64_t nonce;			     /**< of our attempt */
	uint64_t partner_nonce;		     /**< of the attempt that we are bound to; 0: none */
	uint64_t partner_boot_id;	     /**< drawn when its program started; 0: not known */
	uint64_t attempts;		     /**< nonces drawn */
	uint64_t sessions;		     /**< times UP */
	uint64_t beats;			     /**< READ and WRITE both done */
	uint64_t reads_failed;		     /**< of the status record */
	uint64_t writes_failed;		     /**< of our record or directory */
	uint64_t records_bad;	      /**< records READ or written to us that did not verify */
	uint64_t conflicts;	      /**< times that two nodes were found to answer as this one */
	uint32_t partner_beat_us;     /**< its heartbeat interval as it says; 0: it does not */
	uint16_t version_min;	      /**< that we offer; the partner's are above */
	uint16_t version_max;	      /**< newest one that we offer */
	uint64_t since_ns;	      /**< time of the last state change */
	uint64_t last_answer_ns;      /**< time of the last valid record READ; 0: never */
	uint64_t judged_ns;	      /**< time of the verdict */
	struct ccm_evidence evidence; /**< what the verdict rests on, as of then */
	uint64_t setup_ns;	      /**< READ 1 to UP in the last set-up; 0: none yet */
	uint64_t step_ns[CCM_STEP_COUNT]; /**< duration of each step of the last set-up */
};

/** How a port stands, for telemetry. */
struct ccm_port_status {
	char client[CCM_NAME_LEN]; /**< whose port */
	struct ccm_port port;	   /**< the port itself */
	bool connected;		   /**< to the partner's */
	uint64_t posted;	   /**< work requests posted */
	uint64_t completed;	   /**< work requests ended well */
	uint64_t errors;	   /**< work requests ended otherwise */
};

/** How a client stands with one partner. */
enum ccm_client_state {
	CCM_CLIENT_NO_SESSION, /**< the partner's clients are not known: no session */
	CCM_CLIENT_WAITING,    /**< the partner has no client of this name: ours waits for it */
	CCM_CLIENT_CONNECTING, /**< both have it; the session is being set up */
	CCM_CLIENT_CONNECTED,  /**< its ports may be used */
	CCM_CLIENT_REFUSED,    /**< less than CCM_PORT_MEMORY_MIN per port is what both offer */
	CCM_CLIENT_STATE_COUNT
};

/** Name for logs and telemetry: lower case, letters and underscores. */
const char *ccm_client_state_name(enum ccm_client_state state);

/** How a client stands, for telemetry. */
struct ccm_client_status {
	char name[CCM_NAME_LEN]; /**< as registered */
	uint16_t ports;		 /**< towards each partner */
	uint64_t memory;	 /**< bytes towards each partner */
	uint16_t partners_up;	 /**< sessions in which it has ports that may be used */
	uint64_t ups;		 /**< times that ports to a partner came up */
	uint64_t downs;		 /**< times that they went down */
	uint64_t posted;	 /**< work requests, over all its ports, partners and sessions */
	uint64_t completed;	 /**< of those: ended well */
	uint64_t errors;	 /**< ended with an error, or flushed at the end of a session */
	uint8_t states[CCM_MAX_PARTNERS]; /**< enum ccm_client_state, by index of the partner */
};

/*
 * Snapshots for any thread. Each returns a consistent copy as of the end of a recent ccm_poll().
 */

/** @return 0, -ENOENT (index is not below n_partners), -EAGAIN (the control core stands still) */
int ccm_read_partner(const struct ccm *ccm, uint32_t index, struct ccm_partner_status *out);
/** @return ports filled, at most max */
uint32_t ccm_read_ports(const struct ccm *ccm, uint32_t partner_index, struct ccm_port_status *out,
	uint32_t max);
/** Without removed ones. @return clients filled, at most max */
uint32_t ccm_read_clients(const struct ccm *ccm, struct ccm_client_status *out, uint32_t max);
/** The newest events, oldest first. @return events filled, at most max */
uint32_t ccm_read_events(const struct ccm *ccm, struct ccm_event *out, uint32_t max);

#ifdef __cplusplus
}
#endif
