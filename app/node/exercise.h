/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * The first client of the manager, and an example of one: moves test data over the ports of all
 * configured clients of that kind. Each port WRITEs a pattern into its half of the partner's region, READs it
 * back and compares; once at the start of a session, then one chunk at a time, slowly, for ever.
 *
 * Threads: all functions are for the control core, except exercise_count() and exercise_read(),
 * which any thread may call.
 */

#include "ccm.h"

#include <stdbool.h>
#include <stdint.h>

struct exercise;
struct node_config;

enum {
	EXERCISE_CHUNK = 64 * 1024,	/* bytes per round, at most */
	EXERCISE_PERIOD_NS = 100000000, /* time between two rounds of a port */
};

/* One port of one client towards one partner. Counters go on over all sessions. */
struct exercise_status {
	char client[CCM_NAME_LEN];
	uint16_t partner_id;
	uint16_t port;		 /* index within the client */
	bool up;		 /* the port may be used */
	uint64_t sessions;	 /* times it came up */
	uint64_t rounds;	 /* chunks written, read back and compared */
	uint64_t verified_bytes; /* of the rounds in which nothing differed */
	uint64_t mismatches;	 /* rounds in which something did */
	uint64_t errors;	 /* WRITEs and READs that failed */
};

/*
 * Prepare the ports of its clients towards all partners, with all their buffers.
 *
 * With enabled false the clients are registered all the same and their sessions counted, but no
 * data moves and no buffer is needed. Returns 0 or -ENOMEM; *out is NULL on failure.
 */
int exercise_create(const struct node_config *cfg, bool enabled, struct exercise **out);

/* Free it. No engine may still be at work on its buffers. NULL is harmless. */
void exercise_destroy(struct exercise *ex);

/* Register its clients; once, before the first ccm_poll(). Returns 0 or the manager's errno. */
int exercise_register(struct exercise *ex, struct ccm *ccm);

/* One turn: at most two chunks are filled or compared. Returns whether anything was done. */
bool exercise_poll(struct exercise *ex, uint64_t now_ns);

bool exercise_enabled(const struct exercise *ex);

/* Ports towards all partners, whether up or not; constant. */
uint32_t exercise_count(const struct exercise *ex);

/* Returns 0, or -ENOENT when index is not below exercise_count(). */
int exercise_read(const struct exercise *ex, uint32_t index, struct exercise_status *out);
