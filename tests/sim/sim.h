/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Deterministic simulation of whole nodes: the real manager over the real engine, over the link
 * model, under one virtual clock. One world at a time per process; everything that happens in it
 * follows from its seed.
 *
 *   world.c       time, links, what happens next
 *   node.c        boot, crash and the turns of a node; its clients
 *   traffic.c     what clients write to each other, and what must be found of it
 *   oracle.c      what must be true after every event, held against what has really happened
 *   truth.c       how nodes and wires really are, and so what may be said of a partner
 *   boot.c        how far nodes have booted
 *   faults.c      what goes wrong, by the seed
 *   memory.c      memory of the nodes, and nobody allocates in the loop
 *   trace.c       failures, the event log and the capture
 *   runs_*.c      the modes of the program
 *
 * An event is a frame that arrives, a time that has come for a node, or a fault. A node has a data
 * core and a control core, which take their turns apart, each at once or a little late.
 */

#include "ccm_priv.h"
#include "link.h"
#include "remu_priv.h"

#include <rte_mbuf.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
	SIM_NODES = 1 + CCM_MAX_PARTNERS,
	SIM_CLIENTS = 3,
	SIM_PORTS = 9,	 /* of one session at most */
	SIM_AREA = 2048, /* bytes that a client writes in each port's memory */
	SIM_BLOCK = 32,	 /* bytes of a stamp */
	SIM_BLOCKS = SIM_AREA / SIM_BLOCK,
	SIM_FRAME_MAX = 1184,	   /* a WRITE of 1024 bytes and its headers */
	SIM_RX_RING = 64,	   /* frames that wait for a data core that stands still */
	SIM_ATTEMPTS = 8192,	   /* nonces of a world at most; power of two */
	SIM_ATTEMPTS_MANY = 65536, /* the same where there are many nodes */
	SIM_RECORDS = 262144,	   /* records sent that are remembered at most; power of two */
	SIM_PLANS = 128,	   /* faults that are to come */
	SIM_MARKS = 64,		   /* packets to lose, events to crash at */
	SIM_CAPTURED = 32,	   /* frames kept to be sent again */
	SIM_STAGES = 4,		   /* of booting */
	SIM_BOOT_CHANGES = 64,	   /* that are remembered; power of two */
	SIM_QPN = 0x100,	   /* bootstrap queue pair for partner i is this plus i */
	SIM_VA = 0x100000,
};

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_NEVER UINT64_MAX

struct sim_world;
struct pcap_writer;

/* How a node boots: stage by stage, each with so many steps of progress. */
struct sim_boot_script {
	uint32_t n; /* stages; it has booted when it is in the last. 0: it tells nothing */
	struct {
		uint32_t budget_ms;
		uint32_t steps;
		uint64_t step_ns; /* from one to the next */
	} stages[SIM_STAGES];
	uint32_t stall_stage; /* it stands still in this one, from 1; 0: in none, */
	uint32_t stall_step;  /* after that much progress, */
	uint64_t stall_ns;    /* for that long; SIM_NEVER: for good */
};

/* What a node is started with; may be another at each start. */
struct sim_node_config {
	uint16_t id; /* 0: its index plus one */
	uint16_t version_min, version_max;
	uint16_t path_mtu;
	bool foreign; /* of another cluster */
	uint32_t n_clients;
	struct ccm_client_config clients[SIM_CLIENTS];
	struct ccm_timing timing;
	uint32_t window; /* packets in flight per queue pair */
	uint32_t channel_depth;
	int32_t clock_ppm;	 /* how much faster its clock runs */
	uint32_t control_lag_ns; /* news reach the control core up to that late */
	uint32_t data_lag_ns;
	uint64_t features;
	struct sim_boot_script boot;
	uint64_t traffic_ns; /* pause between two exchanges on a port; 0: no traffic */
	uint32_t flood;	     /* READs beside each exchange, as many as are taken */
};

/* A port as its client uses it. */
struct sim_port {
	bool up;
	bool lent;     /* DOWN, but not RELEASED yet */
	bool poisoned; /* given back: nobody may touch the buffers any more */
	bool writing;
	bool reading;
	uint16_t client;
	uint32_t handle;
	uint32_t offset, length; /* of the WRITE under way or last done */
	uint64_t counter;
	uint64_t next_at;	    /* world time */
	uint64_t writer, target;    /* nonces in the stamps */
	uint32_t flooding;	    /* READs under way beside the exchange */
	uint8_t scratch[SIM_BLOCK]; /* where they go */
	uint8_t out[SIM_AREA];
	uint8_t back[SIM_AREA];
};

/* What has been seen of one session, beside what it believes itself. */
struct sim_peer {
	uint8_t other;		     /* index of the partner node; of several, the first */
	uint8_t place;		     /* its MAC address, IP address and queue pair */
	uint16_t id;		     /* that it is to have */
	uint8_t state;		     /* enum ccm_state, as the events tell */
	uint32_t attempt;	     /* index of the current one */
	uint64_t seen_key, slot_key; /* of the records last taken in */
	uint64_t seen_beat, seen_nonce;
	uint64_t bound_at, bound_excused; /* own time; the latter as below */
	uint32_t theirs_crc;
	uint64_t theirs_echo;
	uint64_t evidence; /* own time: the partner's beat was seen to move */
	uint64_t tick_at;  /* own time: when the own beat is due next */
	uint64_t excused;  /* own time: evidence, and later by what we were late ourselves */
	uint64_t arrived; /* own time: an answer to a READ came in, whatever it says; 0: none yet */
	uint64_t waited;  /* own time: the former, and later by what we were late ourselves */
	uint64_t stall;	  /* own time: end of the last time that we were late ourselves */
	uint64_t asked;	  /* own time: our last request went out; 0: none yet */
	uint64_t heard;	  /* own time: anything in answer to one came in; 0: nothing yet */
	uint64_t judged, judged_before;	 /* own time: this verdict began, and the one before */
	uint8_t verdict, verdict_before; /* enum ccm_verdict */
	uint8_t advice;			 /* enum ccm_advice, as clients have been told */
	uint8_t advised;		 /* clients that have been told it */
	uint32_t n_verdicts;		 /* how often it has changed */
	bool told_up[SIM_CLIENTS];
	uint32_t ups, downs;
	uint32_t n_ports;
	uint64_t up_at;			       /* world time of the last UP */
	uint64_t first_read_at;		       /* world time: the first READ went out */
	uint32_t shown[SIM_PORTS][SIM_BLOCKS]; /* newest counters found in our memory */
	struct sim_port ports[SIM_PORTS];
};

struct sim_arena {
	uint8_t *base;
	size_t size;
	size_t used;
	uint32_t live; /* allocated and not freed */
};

/* A stage or progress that a node has told. */
struct sim_boot_change {
	uint64_t at; /* world time */
	uint32_t incarnation;
	int32_t clock_ppm; /* of that life */
	uint32_t progress;
	uint16_t stage;
};

struct sim_node {
	uint32_t index;
	uint32_t place; /* tells its MAC address, IP address and queue pairs; mostly its index */
	bool running;
	bool stopping;
	uint32_t incarnation;
	struct sim_node_config cfg;
	struct remu_engine *engine;
	struct remu_channel *channel;
	struct ccm *ccm;
	uint8_t *memory;
	size_t memory_size;
	size_t memory_dirty; /* bytes from the front that a former life may have used */
	struct sim_arena arena;
	uint64_t start_world, start_local;  /* own time = local + (1 + ppm) * (now - world) */
	uint64_t data_at, control_at;	    /* world time of the next turns */
	uint64_t data_pause, control_pause; /* world time: no turn before */
	uint64_t well_since; /* world time, to come while it stands still; SIM_NEVER: it is not */
	uint64_t report_at;  /* world time of the last link report */
	bool link_down;	     /* so it has been told */
	uint64_t turned;     /* own time: last turn of the control core */
	uint32_t taken_qps, taken_mrs; /* of its engine, by the test itself */
	uint16_t boot_stage;
	uint32_t boot_progress;
	uint64_t boot_next; /* own time of the next step */
	uint32_t n_boot;    /* changes, ever */
	struct sim_boot_change boot[SIM_BOOT_CHANGES];
	uint32_t n_waiting;
	struct rte_mbuf *waiting[SIM_RX_RING];
	uint32_t n_peers, peers_room;
	struct sim_peer *peers;
	uint8_t peer_of_node[SIM_NODES], peer_of_id[SIM_NODES + 1]; /* index in peers */
	uint32_t n_in;
	struct sim_way *in[SIM_NODES]; /* that lead here */
	uint64_t arrival;	       /* world time of the next frame on any of them; */
	bool arrival_known;	       /* else it is to be found out */
	struct sim_world *world;
};

/* What an attempt has really done; outlives its node. */
struct sim_attempt {
	uint64_t nonce;
	uint64_t bound; /* 0: never bound */
	uint64_t map_hash;
	uint64_t features;
	uint64_t ended_at; /* world time; SIM_NEVER: it lives */
	uint32_t incarnation;
	uint16_t version, path_mtu;
	uint16_t node_id, partner_id;
	bool foreign;
	uint8_t node, other;
	uint8_t peak; /* furthest state reached */
	uint8_t n_ports;
	uint32_t qpn[SIM_PORTS], rkey[SIM_PORTS];
};

/* Hash tables: where an attempt is, and which records there have been. */
struct sim_attempt_place {
	uint32_t epoch, index;
};

struct sim_record_place {
	uint64_t hash;
	uint32_t epoch;
};

enum sim_fault {
	SIM_CRASH,
	SIM_STOP,
	SIM_PAUSE_CONTROL,
	SIM_PAUSE_ALL,
	SIM_CUT_ONE,
	SIM_CUT_BOTH,
	SIM_CLOG,
	SIM_LINK_REPORT,
	SIM_WEATHER,
	SIM_STALE_WRITE,
	SIM_STALE_PORT,
	SIM_FAULTS, /* those before are drawn; those behind follow from them */
	SIM_START = SIM_FAULTS,
	SIM_LINK_UP,
	SIM_HEAL,
	SIM_END_FAULTS,
};

struct sim_plan {
	uint64_t at;
	uint8_t kind; /* enum sim_fault */
	uint8_t a, b; /* nodes */
};

struct sim_captured {
	uint32_t len;
	uint8_t data[SIM_FRAME_MAX];
};

/* One direction between two nodes. */
struct sim_way {
	struct link link;
	struct sim_node *to;
	bool open;	       /* it is part of this world */
	bool stormy;	       /* the link model does something to frames */
	uint64_t smooth_since; /* world time: nothing has happened to frames; SIM_NEVER: it has */
	uint32_t n_captured;   /* ever */
	uint32_t n_port_captured; /* ever */
	uint8_t last_record[CCM_RECORD_SIZE];
	bool has_record;
	uint32_t n_records;
	uint8_t records[SIM_CAPTURED][CCM_RECORD_SIZE]; /* READ answers, to be given again */
	struct sim_captured captured[SIM_CAPTURED];	/* WRITEs into slot and directory */
	struct sim_captured port_captured[SIM_CAPTURED];
};

/* Rates of what the link model has no word for, parts per million of the frames. */
struct sim_rates {
	uint32_t forge;	 /* one bit of a bootstrap frame, with a valid ICRC */
	uint32_t splice; /* a record read while it was being written */
	uint32_t stale;	 /* a READ answered with an older record */
};

/* All frames that two nodes send, in order. */
struct sim_tape {
	uint32_t n, max;
	bool on;
	struct {
		uint64_t at; /* world time */
		uint8_t to;
		struct sim_captured frame;
	} * frames;
};

struct sim_counts {
	uint64_t events, frames, ups, downs, attempts, exchanges, crashes, faults, refused;
	uint64_t forged, spliced, stale, stale_writes, stale_ports, records_bad;
	uint64_t nanoseconds; /* virtual */
	uint64_t converge_max;
	uint64_t beats;
};

/* Who is whose partner. */
enum sim_shape {
	SIM_MESH,   /* everybody everybody's */
	SIM_STAR,   /* node 0 all others' */
	SIM_RIVALS, /* node 0 all others', but these all are at one place */
};

/* Who gets a frame for a place that several nodes claim. */
enum sim_wiring {
	SIM_WIRING_HUB,	   /* all of them */
	SIM_WIRING_SWITCH, /* who has sent last; all before the first has */
};

struct sim_world {
	uint64_t seed;
	uint64_t rng;
	uint64_t now;
	uint64_t n_events;
	uint64_t n_packets; /* sent */
	uint64_t hash;	    /* over everything that happens */
	uint32_t n_nodes;
	enum sim_shape shape;
	enum sim_wiring wiring;
	uint32_t learned; /* node that has sent last from the place that several claim; 0: none */
	uint64_t delay_ns;
	bool exact;	  /* nothing happens by chance */
	bool fast;	  /* the oracle looks at nothing but the events */
	bool faulty;	  /* the time of faults */
	bool settled;	  /* all that can be up is up: nobody may go down any more */
	bool strict_late; /* sessions stay up although late copies come */
	bool hushed;	  /* clients post nothing new */
	bool starving;	  /* no mbuf: frames that arrive are lost */
	bool keep_config; /* nodes always start with the same one */
	uint32_t mangler; /* what this node sends of records is changed by: */
	void (*mangle)(struct sim_world *w, uint8_t *record);
	uint32_t beat_us; /* of most nodes of the world */
	struct sim_rates rates;
	uint64_t stop_at; /* event after which a step ends */
	bool late_copies; /* copies of frames come so late that they can do harm */
	uint32_t n_plans;
	struct sim_plan plans[SIM_PLANS];
	uint32_t n_lost;
	uint64_t lost[SIM_MARKS];	   /* packets by number */
	uint32_t n_attempts, attempts_max; /* the latter is a power of two */
	struct sim_attempt *attempts;
	uint32_t epoch;			      /* of the tables below */
	struct sim_attempt_place *attempt_of; /* twice as many as attempts */
	bool forgetful;			      /* of records sent long ago */
	uint32_t n_records;		      /* in the first of the two tables */
	struct sim_record_place *records[2];
	struct sim_counts counts;
	struct sim_node nodes[SIM_NODES];
	struct sim_way *ways[SIM_NODES][SIM_NODES]; /* made when first needed */
	struct link_pool frames;
	struct rte_mempool *pool;
	struct pcap_writer *pcap;
	struct sim_tape tape;
	bool verbose;
};

/* memory.c */

/* Where nodes allocate from now on; NULL: the heap. */
void sim_memory_use(struct sim_arena *arena);
/* Allocation number k of a node fails, from 1; 0: none. */
void sim_memory_fail_at(uint32_t k);
/* From now on allocating is a failure. */
void sim_memory_forbid(bool forbid);
/* Makes it, or makes it larger; it must be empty. */
void sim_arena_init(struct sim_arena *arena, size_t size);
/* Give everything back; what comes next is zero again. */
void sim_arena_reset(struct sim_arena *arena);

/* trace.c */

/* Report a failure with seed, event and time, and end the process. */
void sim_fail(const struct sim_world *w, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
void sim_log(const struct sim_world *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Say which seed it was when the library aborts. */
void sim_trace_signals(void);
void sim_trace_current(const struct sim_world *w);

#define SIM_CHECK(w, cond, ...) \
	do { \
		if (__builtin_expect(!(cond), 0)) \
			sim_fail(w, __VA_ARGS__); \
	} while (0)

/* world.c */

/* Start EAL without hugepages, devices or files. Returns 0 or -1. */
int sim_eal_start(void);
struct sim_world *sim_world_new(uint32_t attempts_max);

/* Empty the world for another seed. Nodes are not started. */
void sim_world_reset(struct sim_world *w, uint64_t seed, enum sim_shape shape, uint32_t n_nodes,
	uint64_t delay_ns);

/* Crash what still runs, and check that everything has come back. */
void sim_world_end(struct sim_world *w);

/* Go to the next thing that happens, but not beyond `end`. */
void sim_world_step(struct sim_world *w, uint64_t end);
void sim_world_run(struct sim_world *w, uint64_t ns);

/* pair.c: until nodes 0 and 1 are up with each other, which must be within the limit; how long it took. */
uint64_t sim_pair_until_up(struct sim_world *w, uint32_t limit_ms);

/* For this time nothing may be lost, and they are up at the end. */
void sim_pair_stay_up(struct sim_world *w, uint64_t ns);

/* Until this many events have happened. */
void sim_pair_to_event(struct sim_world *w, uint64_t event);
void sim_world_send(struct sim_world *w, struct sim_node *from, struct rte_mbuf *m);
void sim_world_set_links(struct sim_world *w, const struct link_config *cfg);

uint64_t sim_random(struct sim_world *w);
uint64_t sim_below(struct sim_world *w, uint64_t n);
bool sim_chance(struct sim_world *w, uint32_t ppm);
static inline void
sim_mix(struct sim_world *w, uint64_t word)
{
	w->hash = (w->hash ^ word) * 0x9e3779b97f4a7c15;
	w->hash ^= w->hash >> 29;
}

/* node.c */

void sim_node_default(struct sim_node_config *cfg);
void sim_node_boot(struct sim_world *w, struct sim_node *n, const struct sim_node_config *cfg);
/* Returns false when there is not enough memory; then nothing is left of it. */
bool sim_node_try_boot(struct sim_world *w, struct sim_node *n, const struct sim_node_config *cfg);
void sim_node_crash(struct sim_world *w, struct sim_node *n);
void sim_node_stop(struct sim_world *w, struct sim_node *n);
void sim_node_link_report(struct sim_world *w, struct sim_node *n, bool up);
/* A frame for this node; takes the mbuf over. */
void sim_node_receive(struct sim_world *w, struct sim_node *n, struct rte_mbuf *m);
/* All turns that are due. */
void sim_node_turn(struct sim_world *w, struct sim_node *n);
/* World time of the next turn. */
uint64_t sim_node_next(const struct sim_node *n);
uint64_t sim_node_local(const struct sim_node *n, uint64_t now);
uint64_t sim_node_world_time(const struct sim_node *n, uint64_t local);
/* Index of the session of `n` with node number `other`. */
static inline uint32_t
sim_peer_index(const struct sim_node *n, uint32_t other)
{
	return n->peer_of_node[other];
}

static inline uint16_t
sim_node_id(const struct sim_node *n)
{
	return n->cfg.id != 0 ? n->cfg.id : (uint16_t)(n->index + 1);
}

/* Damage to records that no check sum shows, and old ones. */
static inline bool
sim_rates_any(const struct sim_world *w)
{
	return w->faulty && (w->rates.forge | w->rates.splice | w->rates.stale) != 0;
}

/*
 * Whether what a node sends is for a bootstrap queue pair. Its partners have one at this very number
 * for it, so none of their ports does; ports may have the numbers around it.
 */
static inline bool
sim_is_bootstrap(const struct sim_node *from, const struct roce_packet *pkt)
{
	return pkt->f.dest_qpn == SIM_QPN + from->place;
}

static inline struct ccm_peer *
sim_ccm_peer(const struct sim_node *n, uint32_t p)
{
	return &n->ccm->peers[p];
}

/* What a node holds. */
struct sim_holding {
	uint32_t qps, mrs, live;
	size_t bytes;
};

struct sim_holding sim_node_holding(const struct sim_node *n);
/* The same as before, whatever has been. */
void sim_node_check_holding(struct sim_world *w, const struct sim_node *n,
	const struct sim_holding *before);

/* Which id a node expects of its partner, before it boots. */
void sim_node_expect(struct sim_node *n, uint32_t p, uint16_t id);

/* The session of two nodes is up on both sides. */
bool sim_both_up(const struct sim_world *w, uint32_t a, uint32_t b);

/* traffic.c */

void sim_traffic_on_client(void *ctx, const struct ccm_client_event *ev);
/* Post what is due. */
void sim_traffic_turn(struct sim_world *w, struct sim_node *n);
uint64_t sim_traffic_next(const struct sim_node *n);
/* New ports: their memory is empty. */
void sim_traffic_clear(struct sim_node *n, uint32_t p);
/* Look at what the partner has written into a port's memory. */
void sim_traffic_scan(struct sim_world *w, struct sim_node *n, uint32_t p, uint32_t i);
/* The ports are gone: every client has got its buffers back. */
void sim_traffic_check_released(struct sim_world *w, const struct sim_node *n, uint32_t p);
void sim_traffic_forget(struct sim_node *n);

/* oracle.c */

void sim_oracle_boot(struct sim_world *w, struct sim_node *n);
void sim_oracle_crash(struct sim_world *w, struct sim_node *n);
void sim_oracle_on_event(void *ctx, const struct ccm_event *ev);
/* A bootstrap frame leaves a node: what it says is published. */
void sim_oracle_on_send(struct sim_world *w, struct sim_node *from, uint32_t to,
	const struct roce_packet *pkt);
/* Around each ccm_poll(). */
void sim_oracle_before_control(struct sim_world *w, struct sim_node *n, uint64_t local);
void sim_oracle_after_control(struct sim_world *w, struct sim_node *n, uint64_t local);
void sim_oracle_after_data(struct sim_world *w, struct sim_node *n);
/* Around each frame that an engine receives. */
struct sim_arrival {
	struct remu_qp *qp;
	uint32_t psn, epsn;
	uint64_t writes;
	uint64_t slot; /* hash of the record in our slot */
	bool is_write, is_response, bootstrap, synced, due;
	uint8_t opcode;
};
void sim_oracle_before_frame(const struct sim_node *n, const struct rte_mbuf *m,
	struct sim_arrival *arrival);
void sim_oracle_after_frame(struct sim_world *w, struct sim_node *n,
	const struct sim_arrival *arrival);
struct sim_attempt *sim_attempt_find(struct sim_world *w, uint64_t nonce);
/* Whether two nodes can agree; otherwise the reason that the first must give. */
enum ccm_reason sim_oracle_refusal(const struct sim_node *a, const struct sim_node *b);
/* No queue pair and no region but those of the bootstrap is left. */
void sim_oracle_check_stopped(struct sim_world *w, const struct sim_node *n);

/* truth.c: how nodes and wires are, and what may be said of a partner. */

void sim_truth_boot(struct sim_world *w, struct sim_node *n);
/* It is dead, or stops. */
void sim_truth_gone(struct sim_node *n);
/* It is about to stand still, perhaps with its control core alone. */
void sim_truth_pause(struct sim_node *n, uint64_t until);
/* Something happens to the frames of this way, or has just ended. */
void sim_truth_rough(struct sim_way *way);
/*
 * World time since when two nodes do nothing but what they should, and every frame between them gets
 * through; SIM_NEVER, or a time to come: they do not.
 */
uint64_t sim_truth_well_since(struct sim_world *w, const struct sim_node *n, uint32_t p);
/* A session has ended: was there a reason? */
void sim_truth_check_down(struct sim_world *w, struct sim_node *n, uint32_t p,
	enum ccm_reason reason);
/* The verdict on a partner as it stands: before a turn of the control core, and after it. */
void sim_truth_before(struct sim_world *w, const struct sim_node *n, uint32_t p, uint64_t local);
void sim_truth_after(struct sim_world *w, struct sim_node *n, uint32_t p, uint64_t local);
void sim_truth_on_verdict(struct sim_world *w, struct sim_node *n, uint32_t p,
	const struct ccm_event *ev);
void sim_truth_on_advice(struct sim_world *w, struct sim_node *n, uint32_t p,
	const struct ccm_client_event *ev);
/* The verdict is the one that belongs to a partner that is there. */
bool sim_truth_settled(const struct sim_world *w, const struct sim_node *n, uint32_t p);

/* boot.c */

void sim_boot_draw(struct sim_world *w, struct sim_boot_script *script);
/* Before the first turn. */
void sim_boot_start(struct sim_world *w, struct sim_node *n);
/* Steps that are due. */
void sim_boot_turn(struct sim_world *w, struct sim_node *n, uint64_t local);
static inline bool
sim_boot_done(const struct sim_node *n)
{
	return n->boot_stage == n->cfg.boot.n;
}

/* faults.c */

/* Draw everything of a seed: nodes, timing, faults; then let them happen. */
void sim_faults_draw(struct sim_world *w);
void sim_faults_add(struct sim_world *w, uint64_t at, enum sim_fault kind, uint32_t a, uint32_t b);
/* A node stands still, or its control core alone. */
void sim_faults_pause(struct sim_node *n, uint64_t until, bool all);
void sim_faults_cut(struct sim_world *w, uint32_t a, uint32_t b, bool on);
uint64_t sim_faults_next(const struct sim_world *w);
void sim_faults_due(struct sim_world *w);
/* A frame is about to go on its way: change it, perhaps. */
void sim_faults_on_send(struct sim_world *w, uint32_t from, uint32_t to, uint8_t *frame,
	uint32_t len, const struct roce_packet *pkt);
/* Put a frame into a node's hands as if it had come from the network. */
void sim_faults_inject(struct sim_world *w, struct sim_node *to, const struct sim_captured *c);
/* The same, at another PSN. */
void sim_faults_inject_at(struct sim_world *w, struct sim_node *to, const struct sim_captured *c,
	uint32_t psn);
const char *sim_fault_name(enum sim_fault kind);
void sim_seal(uint8_t *frame, uint32_t len);

/* runs_swarm.c, runs_exact.c: return the exit status. */

struct sim_options {
	uint64_t seeds, first;
	uint32_t jobs, job;
	bool verbose;
	bool strict_late;
	uint64_t sample; /* of pairs: every so many-th; 1: all */
	uint32_t n_nodes;
	enum sim_shape shape;
};

int sim_run_swarm(struct sim_world *w, const struct sim_options *opt);
int sim_run_seed(struct sim_world *w, const struct sim_options *opt);
int sim_run_handshakes(struct sim_world *w, const struct sim_options *opt);
int sim_run_crashes(struct sim_world *w, const struct sim_options *opt, bool pairs);
int sim_run_drops(struct sim_world *w, const struct sim_options *opt, bool pairs);
int sim_run_rtt(struct sim_world *w, const struct sim_options *opt);
int sim_run_detect(struct sim_world *w, const struct sim_options *opt);
int sim_run_many(struct sim_world *w, const struct sim_options *opt);
int sim_run_links(struct sim_world *w, const struct sim_options *opt);
int sim_run_suspicions(struct sim_world *w, const struct sim_options *opt);
int sim_run_clean(struct sim_world *w, const struct sim_options *opt);
int sim_run_late(struct sim_world *w, const struct sim_options *opt);
int sim_run_exhaustion(struct sim_world *w, const struct sim_options *opt);
int sim_run_versions(struct sim_world *w, const struct sim_options *opt);
int sim_run_identity(struct sim_world *w, const struct sim_options *opt);
