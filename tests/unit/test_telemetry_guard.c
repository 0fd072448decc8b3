/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What telemetry calls in place of the C library: here the test is the telemetry library, and calls the
 * same names.
 */
#include "telemetry_guard.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 8, ROUNDS = 100000, ANSWER = 16384 };

/* The name that others call it by. */
char *guarded_strtok(char *text, const char *delimiters) __asm__("strtok");

static char dir[] = "/tmp/ccm-guard-XXXXXX";

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *
take_apart(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		char text[64], want[32];

		snprintf(text, sizeof(text), "/ccm/partner,%s%d", (const char *)arg, i);
		snprintf(want, sizeof(want), "%s%d", (const char *)arg, i);
		if (strcmp(guarded_strtok(text, ","), "/ccm/partner") != 0 ||
			strcmp(guarded_strtok(NULL, "\0"), want) != 0)
			return (void *)1;
	}
	return NULL;
}

static void
strtok__of_several_threads(void **state)
{
	static char names[THREADS][4];
	pthread_t threads[THREADS];
	void *wrong;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		snprintf(names[i], sizeof(names[i]), "%c", 'a' + i);
		assert_int_equal(pthread_create(&threads[i], NULL, take_apart, names[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

static int
listen_at(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", dir, name);
	unlink(addr.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

/* Both ends of a connection to a socket of this name. */
static void
join(const char *name, int *ours, int *theirs)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = listen_at(name);

	*theirs = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", dir, name);
	assert_int_equal(connect(*theirs, (struct sockaddr *)&addr, sizeof(addr)), 0);
	*ours = accept(fd, NULL, NULL);
	assert_true(*ours >= 0);
	close(fd);
	unlink(addr.sun_path);
}

static int
limit_of(int fd, int which)
{
	struct timeval limit = {0};
	socklen_t len = sizeof(limit);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, which, &limit, &len), 0);
	return (int)limit.tv_sec;
}

static void
accept__only_telemetry_has_limits(void **state)
{
	static const struct {
		const char *name;
		bool limited;
	} rows[] = {
		{"dpdk_telemetry.v2", true},
		{"dpdk_telemetry.v2:1", true},
		{"memif.sock", false},
		{"telemetry", false},
		{"dpdk_telemetry", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int ours, theirs;

		join(rows[i].name, &ours, &theirs);
		assert_int_equal(limit_of(ours, SO_SNDTIMEO),
			rows[i].limited ? TELEMETRY_WRITE_S : 0);
		assert_int_equal(limit_of(ours, SO_RCVTIMEO),
			rows[i].limited ? TELEMETRY_IDLE_S : 0);
		close(ours);
		close(theirs);
	}
	assert_int_equal(accept(-1, NULL, NULL), -1);
	assert_int_equal(errno, EBADF);
}

/* A client that reads nothing: after a while its connection ends, so the next read says so. */
static bool
signals_are_blocked(void)
{
	sigset_t now;

	pthread_sigmask(SIG_SETMASK, NULL, &now);
	return sigismember(&now, SIGIO) == 1 && sigismember(&now, SIGRTMAX) == 1;
}

static void *
accept_both(void *arg)
{
	int fds[4];
	bool *blocked = arg;

	join("else", &fds[0], &fds[1]);
	blocked[0] = signals_are_blocked();
	join("dpdk_telemetry.v2", &fds[2], &fds[3]);
	blocked[1] = signals_are_blocked();
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	return NULL;
}

/* A read() with a time limit would end for each of them. */
static void
accept__telemetry_hears_no_signals(void **state)
{
	bool blocked[2] = {true, false};
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, accept_both, blocked), 0);
	pthread_join(thread, NULL);
	assert_false(blocked[0]);
	assert_true(blocked[1]);
	assert_false(signals_are_blocked());
}

static void
write__ends_a_connection_that_is_not_read(void **state)
{
	static char answer[ANSWER];
	int ours, theirs, written = 0;
	double begin;
	char byte;

	(void)state;
	join("dpdk_telemetry.v2", &ours, &theirs);
	begin = seconds();
	assert_int_equal(write(theirs, "/ccm/status", 11), 11); /* it has asked */
	while (write(ours, answer, sizeof(answer)) == (ssize_t)sizeof(answer))
		assert_true(++written < 10000);
	assert_int_equal(errno, EAGAIN);
	assert_true(written > 0);
	assert_true(seconds() - begin > TELEMETRY_WRITE_S - 0.5);
	assert_true(seconds() - begin < TELEMETRY_WRITE_S + 20);
	assert_true(read(ours, &byte, 1) >= 0); /* what it had asked */
	assert_int_equal(read(ours, &byte, 1), 0);
	close(ours);
	close(theirs);

	/* Others may wait as they like, also under a number that was a client's. */
	join("memif.sock", &ours, &theirs);
	begin = seconds();
	assert_int_equal(setsockopt(ours, SOL_SOCKET, SO_SNDTIMEO,
				 &(struct timeval){.tv_usec = 10000}, sizeof(struct timeval)),
		0);
	while (write(ours, answer, sizeof(answer)) == (ssize_t)sizeof(answer))
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(write(theirs, "x", 1), 1);
	assert_int_equal(read(ours, &byte, 1), 1);
	close(ours);
	close(theirs);
}

static void *
give_back(void *arg)
{
	usleep(300000);
	setrlimit(RLIMIT_NOFILE, arg);
	return NULL;
}

/* No descriptors: it waits until there are some, instead of ending the thread that accepts. */
static void
accept__waits_for_descriptors(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct rlimit before, none;
	pthread_t helper;
	int fd, theirs, ours;

	(void)state;
	fd = listen_at("dpdk_telemetry.v2");
	theirs = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dpdk_telemetry.v2", dir);
	assert_int_equal(connect(theirs, (struct sockaddr *)&addr, sizeof(addr)), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(pthread_create(&helper, NULL, give_back, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	ours = accept(fd, NULL, NULL);
	pthread_join(helper, NULL);
	assert_true(ours >= 0);
	close(ours);
	close(theirs);
	close(fd);
	unlink(addr.sun_path);
}

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(strtok__of_several_threads),
		cmocka_unit_test(accept__telemetry_hears_no_signals), /* before others accept */
		cmocka_unit_test(accept__only_telemetry_has_limits),
		cmocka_unit_test(write__ends_a_connection_that_is_not_read),
		cmocka_unit_test(accept__waits_for_descriptors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
