/* SPDX-License-Identifier: BSD-3-Clause */
#include "notify.h"

#include "background.h"
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	LOOK_US = 50000, /* how often the node is looked at */
	LOOK_MIN_US = 1000,
	SEND_MS = 300, /* longest wait for a manager that does not read */
	US_PER_S = 1000000,
};

static uint64_t
monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

static bool
refuse(char *error, size_t error_len, const char *name, const char *why)
{
	snprintf(error, error_len, "%s: %s; going on without", name, why);
	return false;
}

/* Absent or empty: nobody listens, which is no error. */
static bool
read_socket(struct notify *n, char *error, size_t error_len)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path != NULL ? strlen(path) : 0;

	if (len == 0)
		return true;
	if (path[0] != '/' && path[0] != '@')
		return refuse(error, error_len, "NOTIFY_SOCKET",
			"neither an absolute path nor an abstract socket");
	if (len < 2)
		return refuse(error, error_len, "NOTIFY_SOCKET", "too short");
	if (len >= sizeof(n->addr.sun_path))
		return refuse(error, error_len, "NOTIFY_SOCKET", "too long for a socket");
	n->addr.sun_family = AF_UNIX;
	memcpy(n->addr.sun_path, path, len + 1);
	n->addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@')
		n->addr.sun_path[0] = '\0'; /* its name ends with its length */
	else
		n->addr_len++;
	n->on = true;
	return true;
}

/* Digits only: strtoull() would take blanks and signs. */
static bool
number(const char *text, uint64_t *out)
{
	errno = 0;
	if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
		return false;
	*out = strtoull(text, NULL, 10);
	return errno == 0;
}

static bool
read_watchdog(struct notify *n, char *error, size_t error_len)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t who, us;

	if (usec == NULL)
		return true;
	if (pid != NULL && !number(pid, &who))
		return refuse(error, error_len, "WATCHDOG_PID", "not a process number");
	if (pid != NULL && who != (uint64_t)getpid())
		return true; /* meant for another process */
	if (!number(usec, &us) || us == 0 || us == UINT64_MAX)
		return refuse(error, error_len, "WATCHDOG_USEC", "not a number of microseconds");
	n->watchdog_us = us;
	return true;
}

int
notify_init(struct notify *n, char *error, size_t error_len)
{
	memset(n, 0, sizeof(*n));
	n->fd = -1;
	pthread_mutex_init(&n->lock, NULL);
	return read_socket(n, error, error_len) && read_watchdog(n, error, error_len) ? 0 : -1;
}

void
notify_watch(struct notify *n, const _Atomic uint64_t *turns, const char *name)
{
	struct notify_loop *loop = &n->loops[n->n_loops];

	if (n->n_loops == NOTIFY_LOOPS)
		return;
	loop->turns = turns;
	snprintf(loop->name, sizeof(loop->name), "%s", name);
	n->n_loops++;
}

/*
 * Connected, and not by address each time: when the root file system is switched, the path no longer
 * leads to the manager's socket, but the manager keeps it.
 */
static int
link_up(struct notify *n)
{
	static const struct timeval patience = {.tv_usec = SEND_MS * 1000};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&n->addr, n->addr_len) != 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	n->fd = fd;
	return 0;
}

/* Whether the manager has it. A socket that has gone is looked for again, once. */
static bool
send_locked(struct notify *n, const char *text)
{
	size_t len = strlen(text);
	int error = 0;

	for (int attempt = 0; attempt < 2; attempt++) {
		if (n->fd < 0)
			error = -link_up(n);
		if (n->fd < 0)
			break;
		if (send(n->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len)
			return true;
		error = errno;
		if (error == EAGAIN || error == EINTR || error == ENOBUFS)
			break;
		close(n->fd);
		n->fd = -1;
	}
	if (!n->complained)
		NODE_LOG(WARNING, "cannot tell the service manager: %s", strerror(error));
	n->complained = true;
	return false;
}

static bool
tell(struct notify *n, const char *text)
{
	bool sent;

	pthread_mutex_lock(&n->lock);
	sent = send_locked(n, text);
	pthread_mutex_unlock(&n->lock);
	return sent;
}

/* The first loop without a turn since the last time; NULL: all go on. */
static const struct notify_loop *
standing(const struct notify *n)
{
	for (uint32_t i = 0; i < n->n_loops; i++)
		if (atomic_load_explicit(n->loops[i].turns, memory_order_relaxed) ==
			n->loops[i].fed)
			return &n->loops[i];
	return NULL;
}

static void
note_turns(struct notify *n)
{
	for (uint32_t i = 0; i < n->n_loops; i++)
		n->loops[i].fed = atomic_load_explicit(n->loops[i].turns, memory_order_relaxed);
}

static void
look_ready(struct notify *n)
{
	if (standing(n) != NULL || !n->source.ready(n->source.ctx))
		return;
	pthread_mutex_lock(&n->lock);
	n->ready = send_locked(n, "READY=1");
	pthread_mutex_unlock(&n->lock);
	note_turns(n);
	n->due_us = monotonic_us() + n->watchdog_us / 2;
}

/*
 * A sign of life only when every loop has turned since the last one. Late, it is given as soon as they
 * do: a node that slept, or had no CPU, is not to be ended for it.
 */
static const struct notify_loop *
feed(struct notify *n)
{
	const struct notify_loop *still;
	uint64_t now = monotonic_us();

	if (n->watchdog_us == 0 || now < n->due_us)
		return NULL;
	still = standing(n);
	if (still == NULL && tell(n, "WATCHDOG=1")) {
		note_turns(n);
		n->due_us = now + n->watchdog_us / 2;
	}
	return still;
}

static void
tell_status(struct notify *n, const struct notify_loop *still)
{
	char text[NOTIFY_TEXT_LEN], line[NOTIFY_TEXT_LEN + sizeof("STATUS=")];

	if (still != NULL)
		snprintf(text, sizeof(text), "no sign of life: %s stands still", still->name);
	else
		n->source.status(n->source.ctx, text, sizeof(text));
	if (strcmp(text, n->told) == 0)
		return;
	snprintf(line, sizeof(line), "STATUS=%s", text);
	if (!tell(n, line))
		return;
	memcpy(n->told, text, sizeof(text));
	if (still != NULL)
		NODE_LOG(WARNING, "%s", text);
}

static void
look(struct notify *n)
{
	if (!n->ready)
		look_ready(n);
	if (n->ready)
		tell_status(n, feed(n));
}

static void *
notify_main(void *arg)
{
	struct notify *n = arg;
	uint64_t pause_us = LOOK_US;
	bool stopping = false;

	if (n->watchdog_us != 0 && n->watchdog_us / 4 < LOOK_US)
		pause_us = n->watchdog_us / 4 > LOOK_MIN_US ? n->watchdog_us / 4 : LOOK_MIN_US;
	while (!atomic_load(&n->stop)) {
		if (!stopping && atomic_load(&n->leaving))
			stopping = tell(n, "STOPPING=1\nSTATUS=leaving");
		if (stopping)
			feed(n);
		else
			look(n);
		usleep((useconds_t)pause_us);
	}
	if (!stopping)
		tell(n, "STOPPING=1\nSTATUS=leaving");
	return NULL;
}

int
notify_start(struct notify *n, const struct notify_source *source)
{
	int rc;

	if (!n->on)
		return 0;
	n->source = *source;
	note_turns(n);
	rc = background_start(&n->thread, "ccm-notify", notify_main, n);
	n->started = rc == 0;
	return rc;
}

void
notify_leaving(struct notify *n)
{
	atomic_store(&n->leaving, true);
}

void
notify_reloading(void *notify, bool begins)
{
	struct notify *n = notify;
	char text[64] = "READY=1";

	if (!n->on)
		return;
	if (begins)
		snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
			monotonic_us());
	pthread_mutex_lock(&n->lock);
	if (n->ready && !atomic_load(&n->leaving))
		send_locked(n, text);
	pthread_mutex_unlock(&n->lock);
}

void
notify_stop(struct notify *n)
{
	struct timespec end;

	if (!n->started)
		return;
	atomic_store(&n->stop, true);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 2; /* should it hang, it ends with the process */
	n->started = pthread_timedjoin_np(n->thread, NULL, &end) != 0;
	if (!n->started && n->fd >= 0) {
		close(n->fd);
		n->fd = -1;
	}
}
