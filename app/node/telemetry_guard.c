/* SPDX-License-Identifier: BSD-3-Clause */
#include "telemetry_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	FDS = 4096,	   /* descriptors that are kept track of; higher ones go unguarded */
	PAUSE_US = 100000, /* before accepting again when there are no descriptors, or no memory */
};

static const char socket_name[] = "dpdk_telemetry.v2"; /* and ":1" and so on behind it */
static _Atomic uint64_t app_clients[FDS / 64];	       /* bit set of telemetry's clients */

/* All are in place of the C library's, for all shared objects. */
char *guarded_strtok(char *text, const char *delimiters) __asm__("strtok");
int guarded_accept(int fd, struct sockaddr *addr, socklen_t *len) __asm__("accept");
ssize_t guarded_write(int fd, const void *from, size_t len) __asm__("write");

__attribute__((visibility("default"))) char *
guarded_strtok(char *text, const char *delimiters)
{
	static __thread char *rest;

	return strtok_r(text, delimiters, &rest);
}

static bool
is_telemetry(int fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNSPEC};
	socklen_t len = sizeof(addr) - 1; /* so that the path ends */
	const char *name;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0 || addr.sun_family != AF_UNIX)
		return false;
	name = strrchr(addr.sun_path, '/');
	return name != NULL && strncmp(name + 1, socket_name, sizeof(socket_name) - 1) == 0;
}

static void
mark(int fd, bool client)
{
	uint64_t bit;

	if (fd < 0 || fd >= FDS)
		return;
	bit = UINT64_C(1) << (fd % 64);
	if (client)
		atomic_fetch_or(&app_clients[fd / 64], bit);
	else
		atomic_fetch_and(&app_clients[fd / 64], ~bit);
}

static bool
is_client(int fd)
{
	return fd >= 0 && fd < FDS &&
		(atomic_load_explicit(&app_clients[fd / 64], memory_order_relaxed) >> (fd % 64) &
			1) != 0;
}

static bool
may_get_better(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
		error == ECONNABORTED || error == EINTR;
}

/*
 * No signals for telemetry's threads, which inherit this: with a time limit on the socket a read() ends
 * for any signal, with SA_RESTART too (signal(7)), and then telemetry hangs up. net_tap sends itself one
 * per frame.
 */
static void
block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
}

__attribute__((visibility("default"))) int
guarded_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	static const struct timeval sending = {.tv_sec = TELEMETRY_WRITE_S};
	static const struct timeval idle = {.tv_sec = TELEMETRY_IDLE_S};
	bool ours = is_telemetry(fd);
	int client;

	if (ours)
		block_signals();
	client = accept4(fd, addr, len, 0);
	while (client < 0 && ours && may_get_better(errno)) {
		usleep(PAUSE_US);
		client = accept4(fd, addr, len, 0);
	}
	/* The number may have been another client's before: nobody tells us when one is closed. */
	mark(client, ours);
	if (client >= 0 && ours) {
		setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &sending, sizeof(sending));
		setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
	}
	return client;
}

__attribute__((visibility("default"))) ssize_t
guarded_write(int fd, const void *from, size_t len)
{
	ssize_t n = syscall(SYS_write, fd, from, len);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && is_client(fd)) {
		int error = errno;

		/* Unless the number is something else's by now: only sockets can be shut down, and
		 * others of ours do not wait. */
		shutdown(fd, SHUT_RDWR);
		errno = error;
	}
	return n;
}
