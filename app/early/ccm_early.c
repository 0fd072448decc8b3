/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For an initramfs without systemd and without Python: start a node and wait until it is ready, and
 * tell it the boot stage that its partners are to see.
 *
 * usage: ccm-early start SECONDS PROGRAM ARGUMENTS...
 *        ccm-early stage FILE_PREFIX NAME [PROGRESS]
 *
 * start prints the process number. The program gets a name with '@' in front (argv[0]), by which
 * whoever ends the initramfs spares it. Exit status: 0 done, 1 not, 2 usage.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	USAGE = 2,
	ANSWER_MS = 5000, /* longest wait for telemetry */
	TEXT_LEN = 16384, /* more than telemetry's greeting or answer */
	LOOK_MS = 100,	  /* how often to see whether the program has ended */
};

static int
usage(void)
{
	fprintf(stderr,
		"usage: ccm-early start SECONDS PROGRAM ARGUMENTS...\n"
		"       ccm-early stage FILE_PREFIX NAME [PROGRESS]\n");
	return USAGE;
}

static int
fail(const char *what)
{
	fprintf(stderr, "ccm-early: %s: %s\n", what, strerror(errno));
	return EXIT_FAILURE;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool
readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

/* An abstract name: there may be no file system to put a socket into. */
static int
listen_for_ready(char *name, size_t size)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len;

	snprintf(name, size, "@ccm-early-%d", (int)getpid());
	len = strlen(name);
	memcpy(addr.sun_path + 1, name + 1, len - 1);
	if (fd >= 0 &&
		bind(fd, (struct sockaddr *)&addr,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool
is_ready(int fd)
{
	char text[TEXT_LEN];
	ssize_t len = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (len <= 0)
		return false;
	text[len] = '\0';
	return strncmp(text, "READY=1", 7) == 0 && (text[7] == '\0' || text[7] == '\n');
}

static int
wait_ready(int fd, pid_t pid, uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end) {
		if (readable(fd, LOOK_MS) && is_ready(fd)) {
			printf("%d\n", (int)pid);
			return EXIT_SUCCESS;
		}
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			fprintf(stderr, "ccm-early: the program has ended\n");
			return EXIT_FAILURE;
		}
	}
	fprintf(stderr, "ccm-early: not ready in time; it goes on\n");
	return EXIT_FAILURE;
}

static int
start(const char *seconds, char **argv)
{
	char *end, name[64], argv0[256];
	const char *program = argv[0];
	unsigned long s = strtoul(seconds, &end, 10);
	pid_t pid;
	int fd;

	if (*end != '\0' || s == 0 || s > 3600)
		return usage();
	fd = listen_for_ready(name, sizeof(name));
	if (fd < 0)
		return fail("socket");
	setenv("NOTIFY_SOCKET", name, 1);
	snprintf(argv0, sizeof(argv0), "@%s", program);
	argv[0] = argv0;
	pid = fork();
	if (pid < 0)
		return fail("fork");
	if (pid == 0) {
		setsid();
		dup2(STDERR_FILENO, STDOUT_FILENO); /* ours is read for the process number */
		execvp(program, argv);
		fail(program);
		_exit(127);
	}
	return wait_ready(fd, pid, s * 1000);
}

static int
telemetry(const char *prefix)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd,
		len = snprintf(addr.sun_path, sizeof(addr.sun_path),
			"/var/run/dpdk/%s/dpdk_telemetry.v2", prefix);

	if (len < 0 || (size_t)len >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

/* It greets, is asked, and answers: one packet each. */
static int
stage(const char *prefix, const char *name, const char *progress)
{
	char text[TEXT_LEN];
	ssize_t len;
	int fd = telemetry(prefix);

	if (fd < 0)
		return fail(prefix);
	if (!readable(fd, ANSWER_MS) || recv(fd, text, sizeof(text), 0) <= 0)
		return fail("no greeting");
	len = snprintf(text, sizeof(text), "/ccm/boot/stage,%s%s%s", name,
		progress != NULL ? "," : "", progress != NULL ? progress : "");
	if (len >= (ssize_t)sizeof(text))
		return usage();
	if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len)
		return fail("cannot ask");
	if (!readable(fd, ANSWER_MS))
		return fail("no answer");
	len = recv(fd, text, sizeof(text) - 1, 0);
	close(fd);
	if (len <= 0)
		return fail("no answer");
	text[len] = '\0';
	if (strstr(text, "\"error\"") == NULL && strstr(text, "\"name\"") != NULL)
		return EXIT_SUCCESS;
	fprintf(stderr, "ccm-early: %s\n", text);
	return EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "start") == 0)
		return start(argv[2], argv + 3);
	if ((argc == 4 || argc == 5) && strcmp(argv[1], "stage") == 0)
		return stage(argv[2], argv[3], argc == 5 ? argv[4] : NULL);
	return usage();
}
