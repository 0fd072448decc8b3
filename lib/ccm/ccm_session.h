/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * The session with one partner as a pure state machine: an input and the time go in, a set of
 * actions comes out. It reads no clock, draws no random number, does no I/O and allocates nothing;
 * the manager (ccm_manager.c) carries the actions out and reports their results as inputs.
 *
 * The rules R1 to R10 named here are those of doc/architecture.md; they are model-checked.
 */

#include "ccm.h"
#include "ccm_directory.h"
#include "ccm_record.h"

/** What happened. */
enum ccm_input_kind {
	CCM_IN_START,		/**< the bootstrap queue pair is ready */
	CCM_IN_TIMER,		/**< time passes; at every turn of the loop */
	CCM_IN_READ_OK,		/**< record: the partner's OUT as READ, with its verdict */
	CCM_IN_READ_FAILED,	/**< access: whether the partner refused the key or address */
	CCM_IN_WRITE_OK,	/**< the beat's WRITE was acknowledged */
	CCM_IN_WRITE_FAILED,	/**< access as above */
	CCM_IN_SLOT,		/**< record: a new valid record stands in our slot */
	CCM_IN_DIRECTORY,	/**< directory: a new valid directory stands in our area */
	CCM_IN_PORTS_CREATED,	/**< all ports of the map exist */
	CCM_IN_PORTS_CONNECTED, /**< all are connected to the partner's */
	CCM_IN_PORTS_FAILED,	/**< they could not be created or connected */
	CCM_IN_PORTS_DESTROYED, /**< none exists any more */
	CCM_IN_PORT_ERROR,	/**< a connected port's queue pair has failed */
	CCM_IN_LINK_DOWN,	/**< our port has lost its link */
	CCM_IN_LINK_UP,
	CCM_IN_STOP,	/**< leave */
	CCM_IN_CLIENTS, /**< clients, n_clients: ours from now on */
	CCM_IN_COUNT
};

struct ccm_input {
	enum ccm_input_kind kind;
	enum ccm_record_verdict verdict;
	bool access;
	const struct ccm_record *record;
	const struct ccm_directory *directory;
	const struct ccm_directory_client *clients; /**< kept by reference */
	uint32_t n_clients;
};

/** What is to be done, in this order. */
enum ccm_action {
	CCM_ACT_CLIENTS_DOWN = 1 << 0, /**< tell the clients; reason in session.last_down_reason */
	CCM_ACT_DESTROY = 1 << 1,      /**< destroy the ports; ends in PORTS_DESTROYED */
	CCM_ACT_NONCE = 1 << 2,	       /**< fill session.spare_nonce with fresh random bits */
	CCM_ACT_DIRECTORY = 1 << 3,    /**< our directory has changed: encode it, set dir_crc */
	CCM_ACT_PUBLISH = 1 << 4,      /**< rewrite OUT from ccm_session_record() */
	CCM_ACT_CREATE = 1 << 5,       /**< create the ports of session.map */
	CCM_ACT_CONNECT = 1 << 6,      /**< connect them to session.theirs */
	CCM_ACT_CLIENTS_UP = 1 << 7,   /**< tell the clients */
	CCM_ACT_READ = 1 << 8,	       /**< post the READ of the partner's OUT */
	CCM_ACT_WRITE = 1 << 9,	       /**< post the beat's WRITE of our record */
	CCM_ACT_NOTIFY = 1 << 10,      /**< post a WRITE beside the beat; its result is ignored */
	CCM_ACT_EVENT = 1 << 11,       /**< the state has changed */
};

enum ccm_ports_state {
	CCM_PORTS_NONE,
	CCM_PORTS_CREATING,
	CCM_PORTS_CREATED,
	CCM_PORTS_CONNECTING,
	CCM_PORTS_CONNECTED,
	CCM_PORTS_DESTROYING,
};

enum ccm_io {
	CCM_IO_IDLE,
	CCM_IO_READING,
	CCM_IO_WRITING,
};

/** What does not change while the session lives. */
struct ccm_session_config {
	uint16_t node_id;
	uint16_t partner_id;
	uint16_t version_min;
	uint16_t version_max;
	uint16_t path_mtu;
	uint8_t role;
	uint64_t features;
	uint64_t cluster_hash;
	uint64_t boot_id;
	uint64_t beat_ns;
	uint64_t dead_after_ns;
	uint64_t search_ns;
	char name[CCM_NAME_LEN];
};

enum {
	CCM_SESSION_MOVES = 4,	/* state changes within one input, at most */
	CCM_SESSION_FORMER = 4, /* former lives of the partner that are remembered */
};

struct ccm_move {
	enum ccm_state from;
	enum ccm_state to;
	enum ccm_reason reason;
};

struct ccm_session {
	struct ccm_session_config cfg;
	const struct ccm_directory_client *clients; /**< ours, kept by the manager */
	uint32_t n_clients;

	enum ccm_state state;
	enum ccm_reason reason;		  /**< why it is not UP */
	enum ccm_reason last_down_reason; /**< why the last bound attempt ended */
	uint64_t nonce;			  /**< our attempt (R1) */
	uint64_t spare_nonce;		  /**< the next one, drawn beforehand */
	uint64_t bound;			  /**< the partner attempt we are bound to; 0: none (R3) */
	uint64_t follow;		  /**< unbound: the partner attempt last READ */
	uint16_t version;		  /**< agreed; 0: none */
	uint16_t path_mtu;		  /**< agreed */
	uint64_t features;		  /**< agreed */
	uint8_t peak_phase;		  /**< furthest phase of the bound partner */

	struct ccm_record seen;	     /**< the partner's OUT as last READ; nonce 0: never */
	struct ccm_record slot;	     /**< the record in our slot; nonce 0: none */
	struct ccm_directory theirs; /**< the partner's directory; nonce 0: none for this attempt */
	struct ccm_port_map map;
	uint64_t map_hash; /**< 0: no map yet */
	bool map_off;	   /**< the directory in `theirs` asks for another map */
	uint32_t dir_crc;  /**< of our directory; set by the manager */
	enum ccm_ports_state ports;

	enum ccm_io io;
	uint8_t steps;		/**< of READ 1, WRITE 1, READ 2, WRITE 2 done in this attempt */
	bool progress;		/**< something changed: the next beat follows at once */
	uint64_t beat_start_ns; /**< of the running or last READ/WRITE pair */
	uint64_t next_beat_ns;	/**< when the next pair starts */
	uint64_t next_tick_ns;	/**< when our own beat counter moves on */
	uint64_t hold_until_ns; /**< not bound before this: attempts keep failing */
	uint64_t search_pause_ns;
	uint64_t last_answer_ns;  /**< last valid record READ */
	uint64_t last_beat_ns;	  /**< start of the detection time of its beat: see R10 */
	uint64_t last_heard_ns;	  /**< ... and of its answers */
	uint64_t bound_ns;	  /**< ... and, for an attempt, when it was bound */
	uint64_t partner_beat_ns; /**< when its beat counter last moved; 0: never */
	uint64_t partner_boot_ns; /**< when its boot stage or progress last changed; 0: never */
	uint64_t last_slot_ns;	  /**< when it last wrote into our slot; 0: never */
	uint64_t awake_since_ns;  /**< end of our last stall that was excused, or our start (R10) */
	uint64_t excused_ns;	  /**< the former; 0: none yet */
	uint64_t timer_ns;	  /**< of the last TIMER input */
	uint64_t leave_by_ns;
	uint32_t failures; /**< attempts abandoned since a session has lasted */

	/** boot_id of the partner's former lives, as READ; 0: none. No life comes back. */
	uint64_t former[CCM_SESSION_FORMER];
	uint64_t boot_id;	    /**< of its present life; 0: none READ yet */
	uint64_t first_return_ns;   /**< of a former life */
	uint64_t conflict_until_ns; /**< until then two nodes answer as the partner; 0: never */
	uint32_t n_returns;	    /**< since then */

	uint64_t seq;		     /**< of the next record */
	uint64_t beat;		     /**< our beat counter: tells that this core is alive */
	struct ccm_boot_status boot; /**< our own */
	uint64_t boot_since_ns;	     /**< when its stage or progress last changed */
	uint64_t now_ns;	     /**< of the last input */
	uint32_t start_psn;	     /**< of the running PSN sequence on the bootstrap connection */
	uint32_t sequences;	     /**< how many have begun */

	uint64_t since_ns;   /**< of the current state */
	uint64_t io_mark_ns; /**< when the READ or WRITE under way was posted */
	uint64_t mark_ns;    /**< when the current step after binding began */
	uint64_t setup_start_ns;
	uint64_t setup_ns;
	uint64_t step_ns[CCM_STEP_COUNT];
	uint64_t step_acc_ns[CCM_STEP_COUNT]; /**< of the set-up under way */

	uint32_t n_moves; /**< in the last input */
	struct ccm_move moves[CCM_SESSION_MOVES];

	uint64_t n_attempts;
	uint64_t n_sessions;
	uint64_t n_beats;
	uint64_t n_reads_failed;
	uint64_t n_writes_failed;
	uint64_t n_records_bad;
	uint64_t n_conflicts;
};

/**
 * Prepare a session in state DOWN.
 *
 * @param clients  ours, kept by reference; they may change right before a CCM_IN_CLIENTS only
 * @param nonce    random, not 0: the first attempt
 * @param spare    random, not 0: the second
 */
void ccm_session_init(struct ccm_session *s, const struct ccm_session_config *cfg,
	const struct ccm_directory_client *clients, uint32_t n_clients, uint64_t nonce,
	uint64_t spare);

/**
 * One input. @return CCM_ACT_* bits
 */
uint32_t ccm_session_step(struct ccm_session *s, const struct ccm_input *in, uint64_t now_ns);

/** How far we have booted. What it says is taken as it is. */
void ccm_session_boot(struct ccm_session *s, const struct ccm_boot_status *boot, uint64_t now_ns);

/** Our record as it is to be published now. Takes the next sequence number. */
void ccm_session_record(struct ccm_session *s, struct ccm_record *out);

/** Whether the partner still needs our directory: it goes out before the record (R7). */
bool ccm_session_directory_due(const struct ccm_session *s);

/** Whether a session may go from one state to another in one step: the state diagram. */
bool ccm_session_move_legal(enum ccm_state from, enum ccm_state to);

/** When a TIMER input will do something. */
uint64_t ccm_session_deadline(const struct ccm_session *s);
