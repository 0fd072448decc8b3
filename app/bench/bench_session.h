/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What is measured of the session itself, on the control core. Handshake: the session ends and
 * comes up again and again, and each time the steps are taken from the manager; it ends because the
 * client is removed and added, which leaves both nodes and the link as they are, or because this
 * node begins anew. Failover: a script kills the partner and starts it again; what the client is
 * told, and when, is written down.
 */

#include "bench_hist.h"
#include "ccm.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct node;

enum { BENCH_EVENTS_MAX = 4096 };

struct bench_event {
	uint64_t monotonic_ns; /* of CLOCK_MONOTONIC */
	const char *kind;      /* up, down, or an advice */
	const char *reason;
	uint64_t setup_ns; /* up: READ 1 to UP */
};

struct bench_session {
	struct node *node;
	bool restart;
	uint64_t wanted; /* handshakes or failovers */
	uint64_t done;
	uint64_t sessions; /* that the manager has counted */
	bool with_client;  /* the client is registered */
	bool up;
	uint64_t since_ns; /* of up, or of waiting for it */
	struct bench_hist setup;
	struct bench_hist steps[CCM_STEP_COUNT];
	uint32_t n_events;
	struct bench_event events[BENCH_EVENTS_MAX];
};

enum bench_verdict {
	BENCH_GO_ON,
	BENCH_AGAIN,  /* the node is to begin anew */
	BENCH_REMOVE, /* the client is to be removed */
	BENCH_ADD,    /* or added */
	BENCH_DONE,
	BENCH_TIMEOUT, /* no session in a long time */
};

void bench_session_init(struct bench_session *s, struct node *node, uint64_t wanted, bool restart);

/* The node begins, for the first time or anew. */
void bench_session_begin(struct bench_session *s, uint64_t now_ns);

/* What the manager tells the client, for failovers printed as it comes. */
void bench_session_event(struct bench_session *s, const struct ccm_client_event *ev, bool print);

/* A turn of the control core. */
enum bench_verdict bench_handshake_turn(struct bench_session *s, uint64_t now_ns);
enum bench_verdict bench_failover_turn(struct bench_session *s, uint64_t now_ns);

/* JSON of the result. */
json_t *bench_handshake_result(const struct bench_session *s);
json_t *bench_failover_result(const struct bench_session *s);

void bench_handshake_print(const struct bench_session *s);
