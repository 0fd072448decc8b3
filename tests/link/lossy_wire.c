/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bad cable between two network interfaces: each frame that arrives at one leaves at the other,
 * after the link model (link.h) has had its way with it. For tests between real processes, or a
 * process and a virtual machine. Needs CAP_NET_RAW.
 *
 *   lossy_wire INTERFACE INTERFACE [NAME=VALUE ...]
 *
 * Names, of both directions alike: seed; loss, duplicate, reorder, flip, cut in percent; window
 * (of reordering, frames), delay_us, jitter_us. Lines of the same form on stdin change them while
 * it runs, "stats" asks for the counters; each line is answered by one line. Ends with stdin.
 */
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAMES = 8192, FRAME_MAX = 9600, BURST = 64, SOCKET_BUFFER = 16 << 20, LINE = 256 };

struct end {
	int fd;
	uint64_t refused; /* frames that the interface did not take */
	uint64_t missed;  /* frames that came faster than they were fetched */
};

static struct end ends[2];
static struct link links[2]; /* links[i]: from ends[i] to the other */
static struct link_pool pool;
static struct link_config config;
static uint64_t seed = 1;

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int
fail(const char *what)
{
	fprintf(stderr, "lossy_wire: %s: %s\n", what, strerror(errno));
	return 1;
}

static int
open_end(struct end *e, const char *name)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	struct packet_mreq promiscuous = {
		.mr_ifindex = addr.sll_ifindex,
		.mr_type = PACKET_MR_PROMISC,
	};
	int on = 1, size = SOCKET_BUFFER;

	if (addr.sll_ifindex == 0)
		return fail(name);
	e->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (e->fd < 0)
		return fail("socket");
	if (setsockopt(e->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0 ||
		setsockopt(e->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
			sizeof(promiscuous)) != 0 ||
		bind(e->fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		return fail(name);
	setsockopt(e->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(e->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return 0;
}

/* Percent, with decimals, to parts per million. */
static uint32_t
ppm(const char *text)
{
	return (uint32_t)(strtod(text, NULL) * (LINK_PPM / 100) + 0.5);
}

/* One NAME=VALUE. Returns whether it is known. */
static bool
set(struct link_config *cfg, char *word)
{
	static const struct {
		const char *name;
		size_t at;
	} rates[] = {
		{"loss", offsetof(struct link_config, loss_ppm)},
		{"duplicate", offsetof(struct link_config, duplicate_ppm)},
		{"reorder", offsetof(struct link_config, reorder_ppm)},
		{"flip", offsetof(struct link_config, flip_ppm)},
		{"cut", offsetof(struct link_config, cut_ppm)},
	};
	char *value = strchr(word, '=');

	if (value == NULL)
		return false;
	*value++ = '\0';
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		if (strcmp(word, rates[i].name) == 0) {
			uint32_t rate = ppm(value);

			memcpy((char *)cfg + rates[i].at, &rate, sizeof(rate));
			return true;
		}
	}
	if (strcmp(word, "seed") == 0)
		seed = strtoull(value, NULL, 0);
	else if (strcmp(word, "window") == 0)
		cfg->reorder_window = (uint32_t)strtoul(value, NULL, 10);
	else if (strcmp(word, "delay_us") == 0)
		cfg->delay_ns = strtoull(value, NULL, 0) * 1000;
	else if (strcmp(word, "jitter_us") == 0)
		cfg->jitter_ns = strtoull(value, NULL, 0) * 1000;
	else
		return false;
	return true;
}

static void
forward(int from)
{
	struct end *out = &ends[!from];
	uint8_t frame[FRAME_MAX];
	uint64_t now = now_ns();
	ssize_t n = 0;
	uint32_t len;

	for (int i = 0; i < BURST; i++) {
		n = recv(ends[from].fd, frame, sizeof(frame), 0);
		if (n <= 0)
			break;
		link_send(&links[from], frame, (uint32_t)n, now);
	}
	while ((len = link_recv(&links[from], frame, sizeof(frame), now)) != 0)
		if (send(out->fd, frame, len, 0) < 0)
			out->refused++;
}

static void
print_stats(void)
{
	for (int i = 0; i < 2; i++) {
		const struct link_stats *s = link_stats(&links[i]);
		struct tpacket_stats kernel = {0};
		socklen_t size = sizeof(kernel);
		uint64_t lost = 0;

		if (getsockopt(ends[i].fd, SOL_PACKET, PACKET_STATISTICS, &kernel, &size) == 0)
			ends[i].missed += kernel.tp_drops;
		for (int l = LINK_KEPT + 1; l < LINK_LOSS_COUNT; l++)
			lost += s->lost[l];
		printf("%s%d: sent=%" PRIu64 " delivered=%" PRIu64 " lost=%" PRIu64
		       " duplicated=%" PRIu64 " reordered=%" PRIu64 " missed=%" PRIu64
		       " refused=%" PRIu64,
			i != 0 ? " " : "ok ", i, s->sent, s->delivered, lost, s->duplicated,
			s->reordered, ends[i].missed, ends[!i].refused);
	}
	printf("\n");
}

/* Returns whether the line was understood. */
static bool
serve(char *line)
{
	struct link_config cfg = config;
	char *save, *word = strtok_r(line, " \n", &save);

	if (word != NULL && strcmp(word, "stats") == 0) {
		print_stats();
		return true;
	}
	for (; word != NULL; word = strtok_r(NULL, " \n", &save))
		if (!set(&cfg, word))
			return false;
	for (int i = 0; i < 2; i++)
		if (link_config(&links[i], &cfg, now_ns()) != 0)
			return false;
	config = cfg;
	printf("ok\n");
	return true;
}

/* How long nothing will be due; NULL: for ever. */
static const struct timespec *
time_left(struct timespec *ts)
{
	uint64_t next = link_next(&links[0]), other = link_next(&links[1]), now = now_ns();

	next = other < next ? other : next;
	if (next == LINK_NEVER)
		return NULL;
	next = next > now ? next - now : 0;
	*ts = (struct timespec){(time_t)(next / 1000000000), (long)(next % 1000000000)};
	return ts;
}

int
main(int argc, char **argv)
{
	struct pollfd fds[3] = {{.fd = STDIN_FILENO, .events = POLLIN}};
	struct timespec left;
	char line[LINE];
	void *memory;

	if (argc < 3) {
		fprintf(stderr, "usage: lossy_wire INTERFACE INTERFACE [NAME=VALUE ...]\n");
		return 2;
	}
	for (int i = 3; i < argc; i++) {
		if (!set(&config, argv[i])) {
			fprintf(stderr, "lossy_wire: %s?\n", argv[i]);
			return 2;
		}
	}
	memory = aligned_alloc(64, (link_pool_size(FRAMES, FRAME_MAX) + 63) / 64 * 64);
	if (memory == NULL)
		return fail("memory");
	link_pool_init(&pool, memory, FRAMES, FRAME_MAX);
	for (int i = 0; i < 2; i++) {
		errno = EINVAL;
		if (link_init(&links[i], &pool, seed + (uint64_t)i, &config) != 0)
			return fail("a value is out of its range");
		if (open_end(&ends[i], argv[1 + i]) != 0)
			return 1;
		fds[1 + i] = (struct pollfd){.fd = ends[i].fd, .events = POLLIN};
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	for (;;) {
		ppoll(fds, 3, time_left(&left), NULL);
		forward(0);
		forward(1);
		if (fds[0].revents == 0)
			continue;
		if (fgets(line, sizeof(line), stdin) == NULL)
			break;
		if (!serve(line))
			printf("error\n");
	}
	print_stats();
	free(memory);
	return 0;
}
