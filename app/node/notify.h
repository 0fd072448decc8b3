/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What the service manager is told, by its own protocol: datagrams to the socket that NOTIFY_SOCKET
 * names (sd_notify(3)). It is a few lines of text, and a controller has no libsystemd before its
 * operating system: so it is here, and no library.
 *
 * A thread of its own sends them. The loops only count their turns.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	NOTIFY_LOOPS = 65,     /* data lcores and the control core, at most */
	NOTIFY_TEXT_LEN = 256, /* of a status line */
	NOTIFY_ERROR_LEN = 256,
};

/* A loop that must go on turning. */
struct notify_loop {
	const _Atomic uint64_t *turns; /* written by the loop */
	char name[24];
	uint64_t fed; /* turns as of the last sign of life */
};

/* What it asks of the node; from its thread. */
struct notify_source {
	/* Whether a partner's READ is answered, from what the node has set up; the loops apart. */
	bool (*ready)(void *ctx);
	/* One line on the sessions. */
	void (*status)(void *ctx, char *text, size_t size);
	void *ctx;
};

struct notify {
	/* constant once it runs */
	bool on;
	uint64_t watchdog_us; /* how often the manager wants to hear of us; 0: it does not */
	struct sockaddr_un addr;
	socklen_t addr_len;
	struct notify_source source;
	uint32_t n_loops;
	/* its thread */
	struct notify_loop loops[NOTIFY_LOOPS];
	char told[NOTIFY_TEXT_LEN];
	uint64_t due_us; /* the next sign of life */
	bool started;
	pthread_t thread;
	/* under the lock: the socket, and whether we are ready */
	pthread_mutex_t lock;
	int fd;
	bool ready;
	bool complained;
	/* from any thread */
	_Atomic bool leaving;
	_Atomic bool stop;
};

/*
 * Take over what the environment says: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. Without the first
 * nothing is ever sent. Returns 0, or -1 when one of them is not to be used, and which one in error;
 * then that one is as if it were not set.
 */
int notify_init(struct notify *n, char *error, size_t error_len);

/* Before notify_start(): a loop to watch. */
void notify_watch(struct notify *n, const _Atomic uint64_t *turns, const char *name);

/* Begin. Returns 0 or a negative errno. Nothing is started where nobody listens. */
int notify_start(struct notify *n, const struct notify_source *source);

/* From any thread: we have been told to stop. */
void notify_leaving(struct notify *n);

/* From a background thread: a new configuration is being read, or that has ended, however. */
void notify_reloading(void *notify, bool begins);

/* Say the last words, and end. Harmless when it was not started. */
void notify_stop(struct notify *n);
