/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What the files of the manager share. All of it belongs to the control core, except the snapshots.
 */

#include "ccm.h"
#include "ccm_session.h"
#include "ccm_verdict.h"

#include "rdma_emul.h"

#include <rte_seqcount.h>

enum {
	CCM_EVENTS = 256, /* kept for telemetry; power of two */
	CCM_POLL_BURST = 32,
	CCM_PAGE = 4096,
	CCM_PEER_SIZE = 8 * CCM_PAGE,		/* memory per partner beside its ports, bytes */
	CCM_CLIENT_SLOTS = 2 * CCM_MAX_CLIENTS, /* also of those removed, but not gone yet */
	CCM_SNAPSHOT_NS = 10 * 1000 * 1000,	/* counters are published at least this often */
};

/* What a completion belongs to: the upper byte of its wr_id or cookie. */
enum ccm_cookie_kind {
	CCM_COOKIE_OPEN,      /* verbs that set the bootstrap queue pair up */
	CCM_COOKIE_RECONNECT, /* its new PSN sequence */
	CCM_COOKIE_READ,
	CCM_COOKIE_WRITE,     /* index: enum ccm_write_kind */
	CCM_COOKIE_PORT_VERB, /* index: port */
	CCM_COOKIE_PORT_WORK, /* index: port */
};

static inline uint64_t
ccm__cookie(enum ccm_cookie_kind kind, uint32_t peer, uint32_t index)
{
	return (uint64_t)kind << 56 | (uint64_t)peer << 32 | index;
}

enum ccm_client_life {
	CCM_CLIENT_FREE,    /* nobody's place */
	CCM_CLIENT_LIVE,    /* registered */
	CCM_CLIENT_LEAVING, /* removed; its ports may still exist */
};

struct ccm_client {
	enum ccm_client_life life;
	uint16_t index; /* in ccm->wants, when it is there */
	struct ccm_directory_client want;
	bool atomics;
	ccm_client_fn fn;
	void *ctx;
	size_t offset; /* of its memory, in each partner's share, bytes */
	size_t size;
	uint32_t n_ports;     /* port slots that are its own, towards all partners */
	uint64_t up;	      /* bit per partner: told UP last */
	uint64_t release_due; /* bit per partner: told DOWN, to be told RELEASED */
	uint64_t ups;
	uint64_t downs;
	uint64_t posted;
	uint64_t completed;
	uint64_t errors;
	uint16_t partners_up;
};

struct ccm_port_slot {
	struct ccm_port port;
	struct remu_channel *channel;
	uint32_t client; /* place in ccm->clients */
	uint32_t pd;
	uint32_t rkey;
	uint32_t psn;
	bool has_mr;
	bool has_qp;
	uint32_t wr_head; /* work requests under way, free running */
	uint32_t wr_tail;
	uint64_t wr_ids[CCM_PORT_DEPTH];
	uint64_t posted;
	uint64_t completed;
	uint64_t errors;
};

enum ccm_ports_job {
	CCM_JOB_NONE,
	CCM_JOB_CREATE,
	CCM_JOB_CONNECT,
	CCM_JOB_DESTROY,
};

/* The client ports towards one partner. Verbs go out as the channel takes them. */
struct ccm_port_set {
	enum ccm_ports_job job;
	uint32_t n;	  /* ports of the map */
	uint32_t next;	  /* verbs of the job posted so far */
	uint32_t pending; /* verbs under way */
	bool failed;
	bool destroy_wanted; /* as soon as nothing is under way */
	bool up;	     /* clients may post */
	struct ccm_port_slot slots[CCM_MAX_PORTS];
};

enum ccm_link_state {
	CCM_QP_OPENING,
	CCM_QP_READY,
	CCM_QP_BROKEN,	     /* a work request has failed; the others are being flushed */
	CCM_QP_RECONNECTING, /* a new PSN sequence is being set up */
};

enum ccm_write_kind { CCM_WRITE_BEAT, CCM_WRITE_NOTIFY, CCM_WRITE_COUNT };

/* A WRITE of our record, and of the directory before it when that is due. */
struct ccm_write {
	uint8_t *record;
	uint8_t *directory;
	uint32_t pending; /* work requests under way */
	bool failed;
	bool access; /* refused by the partner */
	bool wanted; /* to be posted as soon as possible */
};

struct ccm_peer {
	uint32_t index;
	struct ccm_partner_config cfg;
	struct ccm_session session;
	struct ccm_judgement judgement; /* as of the last turn */
	struct remu_channel *channel;	/* of the engine that owns the bootstrap queue pair */
	enum ccm_link_state qp_state;
	uint32_t qp_pending; /* verbs or work requests under way */
	bool synced;	     /* a READ has come back in this PSN sequence: WRITEs may follow */
	uint32_t open_next;
	bool open_failed;
	bool read_wanted;
	uint8_t *out;	    /* remote READ */
	uint8_t *slot;	    /* remote WRITE */
	uint8_t *dir;	    /* remote WRITE */
	uint8_t *read_buf;  /* where READs go */
	uint8_t *dir_image; /* our directory in wire form */
	uint32_t dir_len;
	struct ccm_write writes[CCM_WRITE_COUNT];
	uint64_t slot_tail; /* last bytes of the record last taken from the slot: its CRC */
	uint32_t dir_tried; /* CRC of the directory last handed to the session */
	uint64_t dir_tried_nonce;
	struct ccm_port_set ports;
	uint32_t work_pending; /* clients' work requests under way, ports of former sessions too */
	uint8_t *port_memory;
	/* Published for other threads. */
	bool dirty;
	rte_seqcount_t seq;
	uint32_t n_ports_shown;
	struct ccm_partner_status shown;
	struct ccm_port_status ports_shown[CCM_MAX_PORTS];
};

struct ccm {
	struct ccm_config cfg;
	struct ccm_env env;
	uint64_t boot_id;
	bool polling;	     /* the first ccm_poll() has been */
	uint32_t work_share; /* of each partner: its clients' work requests under way */
	bool link_up;
	bool stopping;
	uint64_t now_ns; /* of the running ccm_poll() */
	uint64_t next_snapshot_ns;
	size_t memory_used;
	size_t share;	    /* port memory of each partner, bytes */
	uint32_t n_clients; /* live */
	uint32_t n_leaving;
	bool clients_dirty;   /* to be published */
	bool clients_changed; /* since the list was made that the sessions know */
	struct ccm_client clients[CCM_CLIENT_SLOTS];
	/* What the sessions know, and tell the partners: the live clients as of the last poll. */
	uint32_t n_wants;
	struct ccm_directory_client wants[CCM_MAX_CLIENTS];
	uint16_t places[CCM_MAX_CLIENTS]; /* of each in clients */
	struct ccm_peer *peers;		  /* cfg.n_partners */
	/* Published for other threads. */
	rte_seqcount_t clients_seq;
	uint32_t n_clients_shown;
	struct ccm_client_status clients_shown[CCM_MAX_CLIENTS];
	rte_seqcount_t events_seq;
	uint32_t n_events; /* ever */
	struct ccm_event events[CCM_EVENTS];
};

/* ccm_manager.c */

uint64_t ccm__rand_nonzero(struct ccm *ccm);

/* ccm_bootstrap.c */

/* Rewrite the status record from the session. */
void ccm__publish(struct ccm_peer *peer);

/* Bring our directory into wire form for the attempt that the session is bound to. */
void ccm__encode_directory(struct ccm *ccm, struct ccm_peer *peer);

/* Post the verbs, READs and WRITEs that are due, as far as the channel takes them. */
void ccm__pump(struct ccm *ccm, struct ccm_peer *peer);

/* Whether all verbs that set the queue pair up have been posted. */
bool ccm__opened(const struct ccm_peer *peer);

/* ccm_client.c */

/* Tell all clients the advice on a partner. */
void ccm__clients_advise(struct ccm *ccm, const struct ccm_peer *peer);
/* Make the list that the sessions know from the live clients. */
void ccm__clients_list(struct ccm *ccm);

/* Let go of removed clients that have no ports any more. @return whether there was one */
bool ccm__clients_release(struct ccm *ccm);

/* ccm_ports.c */

/* Begin a job; its end comes out of ccm__ports_advance(). */
void ccm__ports_create(struct ccm *ccm, struct ccm_peer *peer);
void ccm__ports_connect(struct ccm *ccm, struct ccm_peer *peer);
void ccm__ports_destroy(struct ccm *ccm, struct ccm_peer *peer);

/* Go on with the job. @return the input for the session, or CCM_IN_COUNT when there is none */
enum ccm_input_kind ccm__ports_advance(struct ccm *ccm, struct ccm_peer *peer);

/* A verb of the job has been carried out. */
void ccm__ports_verb_done(struct ccm_peer *peer, uint32_t index, int32_t result);

/* A client's work request has ended. @return false when that means that the port is dead */
bool ccm__ports_work_done(struct ccm *ccm, struct ccm_peer *peer, uint32_t index,
	const struct remu_wc *wc);

/* Put our ports into the directory. */
void ccm__ports_describe(const struct ccm *ccm, const struct ccm_peer *peer,
	struct ccm_directory *dir);

void ccm__ports_tell_up(struct ccm *ccm, struct ccm_peer *peer);
void ccm__ports_tell_down(struct ccm *ccm, struct ccm_peer *peer, enum ccm_reason reason);

/* ccm_snapshot.c */

void ccm__snapshot(struct ccm *ccm);
void ccm__record_event(struct ccm *ccm, const struct ccm_peer *peer, const struct ccm_move *move);
void ccm__record_verdict(struct ccm *ccm, const struct ccm_peer *peer,
	const struct ccm_judgement *judgement);
