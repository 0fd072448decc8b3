/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * SIGHUP: read the configuration again and take over what a running node may change (FIELD_RELOAD);
 * all of it, or nothing when anything else differs or the file is wrong.
 *
 * A thread of its own waits for the signal, reads and compares, since files may block; the control
 * core takes the result over between two turns.
 */

#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum node_reload_result {
	NODE_RELOAD_NONE, /* not asked yet */
	NODE_RELOAD_APPLIED,
	NODE_RELOAD_UNCHANGED,
	NODE_RELOAD_REFUSED,
};

enum { NODE_RELOAD_TEXT_LEN = 1600 };

struct node_reload_status {
	uint32_t count; /* times asked and done with */
	enum node_reload_result result;
	uint64_t when_ns;
	char text[NODE_RELOAD_TEXT_LEN]; /* what changed, or why not; one line */
};

struct node_reload {
	const char *path;
	struct node_config *live; /* in force; written by the control core in node_reload_poll() */
	uint64_t (*now_ns)(void);
	void (*notice)(void *ctx, bool begins); /* of each reload; NULL: none */
	void *notice_ctx;
	pthread_t thread;
	bool started;
	_Atomic bool stop;
	_Atomic(struct node_config *) ready; /* for the control core; whoever takes it sets NULL */
	_Atomic bool done;		     /* the control core has copied what it took */
	pthread_mutex_t lock;		     /* status */
	struct node_reload_status status;
};

/* Block SIGHUP in this thread and those that it will start; before EAL. */
void node_reload_block_signal(void);

/* Begin to listen. path and live must stay; notice is to be set before. Returns 0 or a negative errno. */
int node_reload_start(struct node_reload *r, const char *path, struct node_config *live,
	uint64_t (*now_ns)(void));

/* Control core: take over what is ready. Returns whether anything has changed. */
bool node_reload_poll(struct node_reload *r);

void node_reload_stop(struct node_reload *r);

/* From any thread, between start and stop and after it. */
void node_reload_read(struct node_reload *r, struct node_reload_status *out);

const char *node_reload_result_name(enum node_reload_result result);
