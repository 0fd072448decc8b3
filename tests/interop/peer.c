/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's lines: "command name=value ...". Each is answered by one line, "ok name=value ..."
 * or "error text". Numbers in decimal or 0x form; offsets count from the start of our memory, or
 * of the other end's.
 *
 *   info                            qpn, va, rkey, rkey_ro, rkey_wo
 *   reset                           a queue pair in state RESET: as info
 *   connect qpn= psn= my_psn= va= rkey= ip= mac= mtu= [timeout=] [retry=] [rnr=]
 *   fill at= len= seed=             pseudo-random bytes
 *   set at= value=                  eight bytes
 *   get at=
 *   hash at= len=                   FNV-1a, 64 bits
 *   do op= len= at= to= [count=] [step=] [depth=] [rkey=] [imm=] [compare=] [value=]
 *                                   post, and wait for the completions: status of the first that
 *                                   failed, done: how many succeeded
 *   recv len= at= [count=] [step=]  post receive requests
 *   reap [count=]                   wait for receive completions: the last one's len, imm
 *   pong iters= len= at= from= to=  perftest's ib_write_lat: see pong()
 *   stats
 *   quit
 */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 512, ARGS = 24, PATIENCE_S = 300, RECV_KEPT = 4096 };

struct args {
	uint32_t n;
	struct {
		const char *name;
		const char *value;
	} a[ARGS];
};

static struct peer_local local;
static struct peer_remote remote;
static uint64_t remote_va;
static uint32_t remote_rkey;

/* Receive completions that came while something else was waited for. */
static struct peer_wc kept[RECV_KEPT];
static uint32_t kept_head, kept_tail;

static const char *const op_names[PEER_OP_COUNT] = {
	[PEER_WRITE] = "write",
	[PEER_WRITE_IMM] = "write_imm",
	[PEER_READ] = "read",
	[PEER_SEND] = "send",
	[PEER_SEND_IMM] = "send_imm",
	[PEER_CAS] = "cas",
	[PEER_FADD] = "fadd",
};

__attribute__((format(printf, 1, 2))) static void
say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static const char *
text_of(const struct args *args, const char *name)
{
	for (uint32_t i = 0; i < args->n; i++)
		if (strcmp(args->a[i].name, name) == 0)
			return args->a[i].value;
	return NULL;
}

static uint64_t
number_of(const struct args *args, const char *name, uint64_t otherwise)
{
	const char *text = text_of(args, name);

	return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

/* Whether [at, at + len) is ours. */
static bool
inside(uint64_t at, uint64_t len)
{
	return at <= PEER_MEMORY && len <= PEER_MEMORY - at;
}

static uint64_t
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

static void
keep(const struct peer_wc *wc)
{
	if (kept_tail - kept_head < RECV_KEPT)
		kept[kept_tail++ % RECV_KEPT] = *wc;
}

static void
info(void)
{
	say("ok qpn=%u va=0x%" PRIx64 " rkey=0x%x rkey_ro=0x%x rkey_wo=0x%x", local.qpn, local.va,
		local.rkey, local.rkey_ro, local.rkey_wo);
}

static void
reset(void)
{
	int rc = peer_reset(&local);

	kept_head = kept_tail = 0;
	if (rc != 0)
		say("error reset: %s", strerror(-rc));
	else
		info();
}

static void
do_connect(const struct args *args)
{
	const char *mac = text_of(args, "mac");
	struct in_addr ip;
	int rc;

	if (inet_pton(AF_INET, text_of(args, "ip") != NULL ? text_of(args, "ip") : "", &ip) != 1) {
		say("error connect: ip=");
		return;
	}
	remote = (struct peer_remote){
		.qpn = (uint32_t)number_of(args, "qpn", 0),
		.psn = (uint32_t)number_of(args, "psn", 0),
		.my_psn = (uint32_t)number_of(args, "my_psn", 0),
		.mtu = (uint32_t)number_of(args, "mtu", 1024),
		.ip = ntohl(ip.s_addr),
		.timeout = (uint32_t)number_of(args, "timeout", 14),
		.retry_cnt = (uint32_t)number_of(args, "retry", 7),
		.rnr_retry = (uint32_t)number_of(args, "rnr", 7),
	};
	if (mac != NULL)
		sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &remote.mac[0], &remote.mac[1],
			&remote.mac[2], &remote.mac[3], &remote.mac[4], &remote.mac[5]);
	remote_va = number_of(args, "va", 0);
	remote_rkey = (uint32_t)number_of(args, "rkey", 0);
	rc = peer_connect(&remote);
	if (rc != 0)
		say("error connect: %s", strerror(-rc));
	else
		say("ok");
}

static void
fill(const struct args *args)
{
	uint64_t at = number_of(args, "at", 0), len = number_of(args, "len", 0);
	uint64_t x = number_of(args, "seed", 1) * 2654435761u + 88172645463325252u;

	if (!inside(at, len)) {
		say("error fill: outside");
		return;
	}
	for (uint64_t i = 0; i < len; i++) {
		x ^= x << 13; /* xorshift64, Marsaglia 2003 */
		x ^= x >> 7;
		x ^= x << 17;
		local.memory[at + i] = (uint8_t)(x >> 32);
	}
	say("ok");
}

static void
set_get(const struct args *args, bool set)
{
	uint64_t at = number_of(args, "at", 0), value = number_of(args, "value", 0);

	if (!inside(at, sizeof(value))) {
		say("error outside");
		return;
	}
	if (set)
		memcpy(local.memory + at, &value, sizeof(value));
	memcpy(&value, local.memory + at, sizeof(value));
	say("ok value=0x%" PRIx64, value);
}

static void
hash(const struct args *args)
{
	uint64_t at = number_of(args, "at", 0), len = number_of(args, "len", 0);
	uint64_t h = 0xcbf29ce484222325;

	if (!inside(at, len)) {
		say("error hash: outside");
		return;
	}
	for (uint64_t i = 0; i < len; i++)
		h = (h ^ local.memory[at + i]) * 0x100000001b3;
	say("ok hash=%016" PRIx64, h);
}

static void
run(const struct args *args)
{
	const char *name = text_of(args, "op");
	uint64_t at = number_of(args, "at", 0), to = number_of(args, "to", 0);
	uint64_t step = number_of(args, "step", 0), give_up = seconds() + PATIENCE_S;
	uint32_t count = (uint32_t)number_of(args, "count", 1), posted = 0, ended = 0, good = 0;
	uint32_t depth = (uint32_t)number_of(args, "depth", 16);
	struct peer_wr wr = {
		.op = PEER_OP_COUNT,
		.len = (uint32_t)number_of(args, "len", 0),
		.rkey = (uint32_t)number_of(args, "rkey", remote_rkey),
		.imm = (uint32_t)number_of(args, "imm", 0),
		.compare = number_of(args, "compare", 0),
		.swap_add = number_of(args, "value", 0),
	};
	uint32_t status = 0;
	struct peer_wc wc;
	int rc;

	for (uint32_t op = 0; name != NULL && op < PEER_OP_COUNT; op++)
		if (strcmp(name, op_names[op]) == 0)
			wr.op = (enum peer_op)op;
	if (wr.op == PEER_OP_COUNT || depth == 0 || depth > PEER_DEPTH ||
		!inside(at + step * (count - 1), wr.len)) {
		say("error do: op, depth or range");
		return;
	}
	while (ended < count) {
		while (posted < count && posted - ended < depth && status == 0) {
			wr.wr_id = posted;
			wr.addr = local.memory + at + step * posted;
			wr.remote_va = remote_va + to + step * posted;
			rc = peer_post(&wr);
			if (rc == -EAGAIN && posted != ended)
				break;
			if (rc != 0) {
				say("error post: %s", strerror(-rc));
				return;
			}
			posted++;
		}
		if (status != 0 && ended == posted)
			break;
		if (!peer_poll(&wc)) {
			if (seconds() > give_up) {
				say("error do: %u of %u after %d s", ended, count, PATIENCE_S);
				return;
			}
			continue;
		}
		if (wc.recv) {
			keep(&wc);
			continue;
		}
		if (wc.wr_id != ended) {
			say("error do: completion of %" PRIu64 " before that of %u", wc.wr_id,
				ended);
			return;
		}
		ended++;
		if (wc.status == 0)
			good++;
		else if (status == 0)
			status = wc.status;
	}
	say("ok status=%u done=%u", status, good);
}

static void
post_recvs(const struct args *args)
{
	uint64_t at = number_of(args, "at", 0), step = number_of(args, "step", 0);
	uint32_t len = (uint32_t)number_of(args, "len", 0);
	uint32_t count = (uint32_t)number_of(args, "count", 1);
	int rc;

	if (!inside(at + step * (count - 1), len)) {
		say("error recv: outside");
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		rc = peer_post_recv(i, local.memory + at + step * i, len);
		if (rc != 0) {
			say("error recv: %s", strerror(-rc));
			return;
		}
	}
	say("ok");
}

static void
reap(const struct args *args)
{
	uint32_t count = (uint32_t)number_of(args, "count", 1);
	uint64_t give_up = seconds() + PATIENCE_S;
	struct peer_wc wc = {0};

	for (uint32_t n = 0; n < count;) {
		if (kept_head != kept_tail) {
			wc = kept[kept_head++ % RECV_KEPT];
		} else if (!peer_poll(&wc) || !wc.recv) {
			if (seconds() > give_up) {
				say("error reap: %u of %u after %d s", n, count, PATIENCE_S);
				return;
			}
			continue;
		}
		n++;
		if (wc.status != 0)
			break;
	}
	say("ok status=%u len=%u with_imm=%d imm=0x%x", wc.status, wc.len, wc.with_imm, wc.imm);
}

/*
 * The serving end of perftest's ib_write_lat. The last byte of each message counts that side's
 * messages from 1, modulo 256. The server begins; the client answers each of its messages.
 */
static void
pong(const struct args *args)
{
	uint64_t at = number_of(args, "at", 0), from = number_of(args, "from", 0);
	uint64_t give_up = seconds() + PATIENCE_S;
	uint32_t iters = (uint32_t)number_of(args, "iters", 0);
	struct peer_wr wr = {
		.op = PEER_WRITE,
		.len = (uint32_t)number_of(args, "len", 1),
		.remote_va = remote_va + number_of(args, "to", 0),
		.rkey = remote_rkey,
	};
	uint32_t sent = 0, answered = 0;
	volatile uint8_t *last;
	bool under_way = false;
	struct peer_wc wc;

	if (wr.len == 0 || !inside(at, wr.len) || !inside(from, wr.len)) {
		say("error pong: range");
		return;
	}
	last = local.memory + at + wr.len - 1;
	wr.addr = local.memory + from;
	*last = 0;
	while (answered < iters || under_way) {
		if (peer_poll(&wc)) {
			if (wc.recv) {
				keep(&wc);
				continue;
			}
			under_way = false;
			if (wc.status != 0) {
				say("ok status=%u done=%u", wc.status, answered);
				return;
			}
		} else if (seconds() > give_up) {
			say("error pong: %u of %u after %d s", answered, iters, PATIENCE_S);
			return;
		}
		if (answered < sent && *last == (uint8_t)sent)
			answered = sent;
		if (under_way || answered < sent || sent == iters)
			continue;
		wr.addr[wr.len - 1] = (uint8_t)(sent + 1);
		if (peer_post(&wr) == 0) {
			under_way = true;
			sent++;
		}
	}
	say("ok status=0 done=%u", iters);
}

/* Returns whether to go on. */
static bool
serve(char *line)
{
	struct args args = {0};
	char *save, *word = strtok_r(line, " \r\n", &save), *value;
	char text[LINE];
	const char *command = word;

	if (command == NULL)
		return true;
	while ((word = strtok_r(NULL, " \r\n", &save)) != NULL && args.n < ARGS) {
		value = strchr(word, '=');
		if (value == NULL)
			continue;
		*value++ = '\0';
		args.a[args.n].name = word;
		args.a[args.n++].value = value;
	}
	if (strcmp(command, "info") == 0)
		info();
	else if (strcmp(command, "reset") == 0)
		reset();
	else if (strcmp(command, "connect") == 0)
		do_connect(&args);
	else if (strcmp(command, "fill") == 0)
		fill(&args);
	else if (strcmp(command, "set") == 0 || strcmp(command, "get") == 0)
		set_get(&args, command[0] == 's');
	else if (strcmp(command, "hash") == 0)
		hash(&args);
	else if (strcmp(command, "do") == 0)
		run(&args);
	else if (strcmp(command, "recv") == 0)
		post_recvs(&args);
	else if (strcmp(command, "reap") == 0)
		reap(&args);
	else if (strcmp(command, "pong") == 0)
		pong(&args);
	else if (strcmp(command, "stats") == 0) {
		peer_stats(text, sizeof(text));
		say("ok %s", text);
	} else if (strcmp(command, "quit") == 0)
		return false;
	else
		say("error unknown command");
	return true;
}

/* Lines as they come; the connection goes on meanwhile. */
static void
listen_and_serve(void)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	const struct timespec nap = {.tv_nsec = 50000};
	char buf[LINE];
	size_t used = 0;
	struct peer_wc wc;

	for (;;) {
		char *end;
		ssize_t n;

		while (peer_poll(&wc))
			if (wc.recv)
				keep(&wc);
		if (ppoll(&in, 1, &nap, NULL) <= 0)
			continue;
		n = read(STDIN_FILENO, buf + used, sizeof(buf) - 1 - used);
		if (n <= 0)
			return;
		used += (size_t)n;
		buf[used] = '\0';
		while ((end = strchr(buf, '\n')) != NULL) {
			*end = '\0';
			if (!serve(buf))
				return;
			used -= (size_t)(end + 1 - buf);
			memmove(buf, end + 1, used + 1);
		}
		if (used == sizeof(buf) - 1)
			return;
	}
}

int
main(int argc, char **argv)
{
	int rc = peer_open(argc, argv, &local);

	if (rc != 0) {
		fprintf(stderr, "%s: %s\nusage: %s\n", argv[0], strerror(-rc), peer_usage);
		return rc == -EINVAL ? 2 : 1;
	}
	info();
	listen_and_serve();
	peer_close();
	say("bye");
	return 0;
}
