/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The rules of the handshake (doc/wire-format.md, sections 6 and 7) without any RDMA: what a READ
 * of the partner's record means, and what to say next. The caller carries the bytes.
 */

#ifndef PARTNER_SESSION_H
#define PARTNER_SESSION_H

#include "partner_record.h"

struct session_ops {
	/* One port per entry of the map: fills qpn, psn, rkey, va and length of each. 0 or -1. */
	int (*make_ports)(void *arg, const struct map *map, struct port *ports);
	/* Connect them to the partner's, which are in the order of the map. 0 or -1. */
	int (*connect_ports)(void *arg, const struct port *theirs, unsigned int mtu);
	void (*destroy_ports)(void *arg);
	void (*up)(void *arg);
	uint64_t (*random64)(void *arg);
	/* One line about a change, without a line feed. */
	void (*say)(void *arg, const char *line);
};

struct session {
	const struct session_ops *ops;
	void *arg;

	/* set by the caller before session_start() */
	uint16_t my_id;
	uint16_t partner_id;
	uint16_t path_mtu;
	uint8_t role;
	uint32_t start_psn;
	uint32_t sequences;
	uint64_t cluster_hash;
	uint64_t detect_us;
	char name[NAME_SIZE];
	unsigned int n_clients;
	struct client clients[MAX_CLIENTS];

	/* my side */
	uint64_t boot_id;
	uint64_t nonce;
	uint64_t seq;
	uint64_t beat;
	uint32_t beat_us; /* its interval */
	unsigned int phase;
	unsigned int reason;
	uint64_t bound;	 /* the attempt that I am bound to, 0: none */
	uint64_t follow; /* not bound: the last that I could bind to, 0: none */
	uint16_t version;
	bool ports_exist;
	bool was_up;
	unsigned int n_ups;
	unsigned int n_attempts;
	struct map map;
	uint64_t map_hash; /* 0: no map yet */
	struct directory mine;
	uint8_t directory_bytes[DIRECTORY_MAX];
	size_t directory_length; /* 0: none */

	/* what I know of the partner */
	bool has_partner;
	bool partner_let_go; /* a READ since I leave shows that it is not bound to me */
	struct record partner;
	enum verdict verdict; /* of the last READ */
	unsigned int highest; /* highest phase that a READ has shown of the bound attempt */
	uint64_t alive_us;    /* when its beat was last seen to have moved */
	bool answered;	      /* a READ has brought a valid record since then */
	bool has_theirs;
	struct directory theirs;
	const char *directory_wrong;
	uint32_t directory_wrong_crc;
};

void session_start(struct session *session, uint64_t now_us);

/* Begin a beat, and bring the record up to date; the second alone after a READ. */
void session_beat(struct session *session);

void session_record(struct session *session, uint8_t bytes[RECORD_SIZE]);

/*
 * Look at what a READ of the partner's record has brought, at the slot and at the directory area.
 * True if there is something new, so that the next beat should follow at once.
 */
bool session_read(struct session *session, const uint8_t bytes[RECORD_SIZE],
	const uint8_t slot[RECORD_SIZE], const uint8_t *area, size_t area_size, uint64_t now_us);

void session_read_failed(struct session *session);

/* The directory to write in this beat, or 0 bytes. */
size_t session_directory(const struct session *session, const uint8_t **bytes);

/* Look at the clock (R6). */
void session_tick(struct session *session, uint64_t now_us);

/* My own loop was late (R10). */
void session_late(struct session *session, uint64_t now_us);

/* End the attempt if there is one, and begin the next (R1). */
void session_end(struct session *session, enum reason reason);

/* From now on only say that I leave. */
void session_leave(struct session *session);

#endif
