/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captured frames on their way from data lcores to a pcapng file: rings that wrap, fill up and are
 * used by two threads; files that are read back here block by block, rotate, and fail.
 */
#include "capture.h"
#include "eal.h"
#include "log.h"

#include "background.h"

#include <rte_common.h>
#include <rte_mbuf.h>

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { RING = 1 << 16, FILE_MAX = 1 << 22 };

int app_logtype;
static struct rte_mempool *pool;
static char dir[] = "/tmp/ccm-capture-XXXXXX", path[64], older[72];
static struct capture_frame frame;
static uint64_t clock_ns;

static uint64_t
now_ns(void)
{
	return clock_ns;
}

static uint8_t
pattern(uint64_t seed, uint32_t i)
{
	return (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

/* A frame in as many pieces as asked for. */
static struct rte_mbuf *
make(uint64_t seed, uint32_t len, uint32_t pieces)
{
	struct rte_mbuf *head = NULL;
	uint32_t done = 0;

	for (uint32_t p = 0; p < pieces; p++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint32_t n = p + 1 == pieces ? len - done : len / pieces;
		uint8_t *data;

		assert_non_null(m);
		data = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
		for (uint32_t i = 0; i < n; i++)
			data[i] = pattern(seed, done + i);
		done += n;
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

static struct capture_mark
put(struct capture_ring *r, uint64_t seed, uint32_t len, uint32_t pieces)
{
	struct rte_mbuf *m = make(seed, len, pieces);
	struct capture_mark mark = capture_ring_put(r, m, seed, CAPTURE_IN);

	rte_pktmbuf_free(m);
	return mark;
}

static void
assert_frame(uint64_t seed, uint32_t len)
{
	assert_int_equal(frame.time_ns, seed);
	assert_int_equal(frame.len, len);
	assert_int_equal(frame.kept, len);
	assert_int_equal(frame.direction, CAPTURE_IN);
	for (uint32_t i = 0; i < len; i++)
		if (frame.data[i] != pattern(seed, i))
			fail_msg("frame %llu: byte %u", (unsigned long long)seed, i);
}

static void
ring__keeps_order_and_bytes(void **state)
{
	struct capture_ring r;
	uint64_t in = 1, out = 1, at;

	(void)state;
	assert_int_equal(capture_ring_init(&r, RING), 0);
	assert_false(capture_ring_peek(&r, &at));
	for (int round = 0; round < 3000; round++) {
		for (int i = rand() % 8; i > 0; i--, in++)
			capture_ring_commit(&r,
				put(&r, in, (uint32_t)(in * 997 % 3000), 1 + (uint32_t)(in % 3)));
		assert_int_equal(r.dropped, 0);
		while (capture_ring_peek(&r, &at)) {
			assert_int_equal(at, out);
			capture_ring_take(&r, &frame);
			assert_frame(out, (uint32_t)(out * 997 % 3000));
			out++;
		}
		assert_int_equal(out, in);
	}
	capture_ring_fini(&r);
}

static void
ring__full_counts_and_goes_on(void **state)
{
	struct capture_ring r;
	uint64_t n = 0, at;

	(void)state;
	assert_int_equal(capture_ring_init(&r, RING), 0);
	while (atomic_load(&r.dropped) == 0)
		capture_ring_commit(&r, put(&r, n++, 1000, 1));
	assert_in_range(n, RING / 1024, RING / 1008 + 1);
	capture_ring_commit(&r, put(&r, 0, 1000, 1));
	assert_int_equal(r.dropped, 2);
	capture_ring_commit(&r, put(&r, 777, 8, 1)); /* a small one still fits */
	assert_int_equal(r.dropped, 2);
	for (uint64_t i = 0; i + 1 < n; i++) {
		assert_true(capture_ring_peek(&r, &at));
		capture_ring_take(&r, &frame);
		assert_frame(i, 1000);
	}
	capture_ring_take(&r, &frame);
	assert_frame(777, 8);
	assert_false(capture_ring_peek(&r, &at));
	capture_ring_fini(&r);
}

/* What the device has not taken is put again later, and counted once. */
static void
ring__forgets_what_is_not_committed(void **state)
{
	struct capture_mark marks[3];
	struct capture_ring r;
	uint64_t at;

	(void)state;
	assert_int_equal(capture_ring_init(&r, RING), 0);
	for (int round = 0; round < 500; round++) {
		marks[0] = capture_ring_mark(&r);
		marks[1] = put(&r, 1, 500, 1);
		marks[2] = put(&r, 2, 600, 1);
		assert_false(capture_ring_peek(&r, &at));
		capture_ring_commit(&r, marks[round % 3]);
		for (int i = 1; i <= round % 3; i++) {
			assert_true(capture_ring_peek(&r, &at));
			capture_ring_take(&r, &frame);
			assert_int_equal(frame.time_ns, i);
		}
		assert_false(capture_ring_peek(&r, &at));
	}
	for (int round = 0; round < 500; round++) { /* too large for it, and never sent */
		marks[0] = capture_ring_mark(&r);
		for (int i = 0; i < 20; i++)
			put(&r, 3, 4000, 1);
		capture_ring_commit(&r, marks[0]);
	}
	assert_int_equal(r.dropped, 0);
	capture_ring_fini(&r);
}

static void
ring__cuts_what_is_too_long(void **state)
{
	struct capture_ring r;

	(void)state;
	assert_int_equal(capture_ring_init(&r, RING), 0);
	capture_ring_commit(&r, put(&r, 5, CAPTURE_FRAME_MAX + 4000, 5));
	capture_ring_take(&r, &frame);
	assert_int_equal(frame.len, CAPTURE_FRAME_MAX + 4000);
	assert_int_equal(frame.kept, CAPTURE_FRAME_MAX);
	assert_int_equal(frame.data[CAPTURE_FRAME_MAX - 1], pattern(5, CAPTURE_FRAME_MAX - 1));
	capture_ring_fini(&r);
}

static struct capture_ring shared;
static _Atomic bool produced;

static void *
produce(void *arg)
{
	struct rte_mbuf *frames[64];

	for (uint32_t i = 0; i < RTE_DIM(frames); i++)
		frames[i] = make(i, 60 + i * 20, 1);
	for (uint64_t n = 0; n < *(const uint64_t *)arg; n++)
		capture_ring_commit(&shared,
			capture_ring_put(&shared, frames[n % RTE_DIM(frames)], n, CAPTURE_OUT));
	for (uint32_t i = 0; i < RTE_DIM(frames); i++)
		rte_pktmbuf_free(frames[i]);
	atomic_store(&produced, true);
	return NULL;
}

static void
ring__two_threads(void **state)
{
	uint64_t total = 200000, taken = 0, next = 0, at;
	pthread_t producer;
	bool done;

	(void)state;
	assert_int_equal(capture_ring_init(&shared, RING), 0);
	assert_int_equal(pthread_create(&producer, NULL, produce, &total), 0);
	do {
		done = atomic_load(&produced);
		while (capture_ring_peek(&shared, &at)) {
			uint32_t i;

			capture_ring_take(&shared, &frame);
			assert_true(frame.time_ns >= next);
			assert_int_equal(frame.time_ns, at);
			next = at + 1;
			i = (uint32_t)(at % 64);
			assert_int_equal(frame.kept, 60 + i * 20);
			for (uint32_t k = 0; k < frame.kept; k += 13)
				assert_int_equal(frame.data[k], pattern(i, k));
			taken++;
		}
	} while (!done);
	pthread_join(producer, NULL);
	assert_int_equal(taken + atomic_load(&shared.dropped), total);
	assert_true(taken > 0);
	capture_ring_fini(&shared);
}

/* ---- files ---- */

/* What a file says: its packets by time, and drops. */
struct seen {
	uint32_t packets;
	uint64_t first, last;
	uint64_t bytes;
	uint64_t drops;
	bool closed; /* with statistics */
	bool sorted;
};

static uint32_t
load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static struct seen
read_back(const char *name, uint64_t wall)
{
	static uint8_t bytes[FILE_MAX];
	FILE *file = fopen(name, "r");
	struct seen s = {.sorted = true};
	size_t len, at = 0;
	uint32_t blocks = 0;

	assert_non_null(file);
	len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	assert_true(len > 0 && len < sizeof(bytes));
	s.bytes = len;
	for (; at < len; blocks++) {
		uint32_t type = load32(bytes + at), total = load32(bytes + at + 4), kept;
		const uint8_t *b = bytes + at;
		uint64_t time;

		assert_true(total >= 12 && total % 4 == 0 && at + total <= len);
		assert_int_equal(load32(b + total - 4), total);
		at += total;
		assert_false(s.closed);
		time = ((uint64_t)load32(b + 12) << 32 | load32(b + 16)) - wall;
		if (blocks < 2) {
			assert_int_equal(type, blocks == 0 ? 0x0a0d0d0a : 1);
			assert_int_equal(load32(b + 8), blocks == 0 ? 0x1a2b3c4d : 1);
			continue;
		}
		if (type == 5) {
			s.closed = true;
			assert_int_equal(load32(b + 20), 5 | 8 << 16); /* isb_ifdrop, 8 bytes */
			memcpy(&s.drops, b + 24, sizeof(s.drops));
			continue;
		}
		assert_int_equal(type, 6);
		kept = load32(b + 20);
		assert_int_equal(load32(b + 24), kept);
		for (uint32_t i = 0; i < kept; i++)
			assert_int_equal(b[28 + i], pattern(time, i));
		/* epb_flags: in for even times, out for odd ones */
		assert_int_equal(load32(b + 28 + RTE_ALIGN_CEIL(kept, 4)), 2 | 4 << 16);
		assert_int_equal(load32(b + 32 + RTE_ALIGN_CEIL(kept, 4)), 1 + time % 2);
		s.sorted &= s.packets == 0 || time > s.last;
		s.first = s.packets == 0 ? time : s.first;
		s.last = time;
		s.packets++;
	}
	return s;
}

static struct capture *
open_capture(uint64_t max_bytes, uint32_t rings)
{
	struct capture_config cfg = {.file = path,
		.max_bytes = max_bytes,
		.n_rings = rings,
		.now_ns = now_ns,
		.interface = "net_test0"};
	char error[CAPTURE_ERROR_LEN] = "";
	struct capture *c;

	clock_ns = 0;
	assert_int_equal(capture_create(&cfg, &c, error, sizeof(error)), 0);
	return c;
}

static void
wait_frames(struct capture *c, uint64_t n)
{
	struct capture_status st;

	for (int i = 0; i < 6000; i++) {
		capture_read(c, &st);
		if (st.frames + st.dropped >= n)
			return;
		usleep(5000);
	}
	fail_msg("after 30 s only %llu frames are written", (unsigned long long)st.frames);
}

/* The time of the first packet of a file as it is there; all packets of it are older than 1000. */
static uint64_t
wall_of(const char *name)
{
	uint8_t bytes[512];
	FILE *file = fopen(name, "r");
	size_t at = 0;

	assert_non_null(file);
	assert_true(fread(bytes, 1, sizeof(bytes), file) > 200);
	fclose(file);
	for (int i = 0; i < 2; i++)
		at += load32(bytes + at + 4);
	return ((uint64_t)load32(bytes + at + 12) << 32 | load32(bytes + at + 16));
}

static void
put_out(struct capture_ring *r, uint64_t time, uint32_t len)
{
	struct rte_mbuf *m = make(time, len, 1);

	capture_ring_commit(r,
		capture_ring_put(r, m, time, time % 2 == 0 ? CAPTURE_IN : CAPTURE_OUT));
	rte_pktmbuf_free(m);
}

static void
file__has_all_frames_in_order(void **state)
{
	struct capture_status st;
	struct stat info;
	struct seen s;
	struct timespec t;
	struct capture *c;
	uint64_t wall;

	(void)state;
	c = open_capture(FILE_MAX / 2, 2);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	for (uint64_t time = 0; time < 1000; time++) /* two lcores take turns, roughly */
		put_out(capture_ring_of(c, time / 7 % 2), time, 60 + (uint32_t)time % 200);
	assert_int_equal(capture_start(c), 0);
	wait_frames(c, 1000);
	capture_read(c, &st);
	assert_int_equal(st.frames, 1000);
	assert_int_equal(st.dropped, 0);
	assert_int_equal(st.files, 1);
	assert_int_equal(st.error, 0);
	capture_destroy(c);
	wall = wall_of(path);
	clock_gettime(CLOCK_REALTIME, &t);
	assert_in_range(wall / 1000000000, t.tv_sec - 3600, t.tv_sec);
	s = read_back(path, wall);
	assert_int_equal(s.packets, 1000);
	assert_int_equal(s.last, 999);
	assert_true(s.sorted && s.closed);
	assert_int_equal(s.drops, 0);
	unlink(path);
}

static void
file__rotates_within_its_size(void **state)
{
	uint64_t first_wall = 0;
	struct capture_status st;
	struct seen old, new;
	struct capture *c;

	(void)state;
	c = open_capture(CAPTURE_SIZE_MIN, 1);
	assert_int_equal(capture_start(c), 0);
	for (uint64_t time = 0; time < 1500; time++) {
		put_out(capture_ring_of(c, 0), time, 1000);
		if (time == 0) {
			wait_frames(c, 1);
			usleep(20000);
			first_wall = wall_of(path);
		}
	}
	wait_frames(c, 1500);
	capture_read(c, &st);
	assert_int_equal(st.frames, 1500);
	assert_true(st.files > 10);
	capture_destroy(c);
	old = read_back(older, first_wall);
	new = read_back(path, first_wall);
	assert_true(old.bytes <= CAPTURE_SIZE_MIN / 2 && new.bytes <= CAPTURE_SIZE_MIN / 2);
	assert_true(old.bytes > CAPTURE_SIZE_MIN / 2 - 2000);
	assert_int_equal(new.last, 1499);
	assert_int_equal(old.last + 1, new.first);
	assert_true(old.sorted && new.sorted &&old.closed &&new.closed);
	unlink(path);
	unlink(older);
}

static void
file__disk_that_fails(void **state)
{
	struct rlimit limit, before;
	struct capture_status st;
	struct capture *c;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	c = open_capture(FILE_MAX, 1);
	limit = (struct rlimit){.rlim_cur = 100000, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(capture_start(c), 0);
	for (uint64_t time = 0; time < 2000; time++)
		put_out(capture_ring_of(c, 0), time, 1000);
	wait_frames(c, 2000);
	for (uint64_t time = 0; time < 100; time++) /* it goes on to be emptied */
		put_out(capture_ring_of(c, 0), time, 1000);
	wait_frames(c, 2100);
	capture_read(c, &st);
	assert_int_equal(st.error, EFBIG);
	assert_true(st.dropped >= 100);
	assert_int_equal(st.frames + st.dropped, 2100);
	capture_destroy(c);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	unlink(path);
}

static void
create__refuses(void **state)
{
	static const struct {
		const char *file, *error;
	} rows[] = {
		{"/tmp", "--pcap /tmp: Is a directory"},
		{"/nowhere/x.pcapng", "--pcap /nowhere/x.pcapng: No such file or directory"},
		{"/dev/null", "--pcap /dev/null: not a regular file"},
		{NULL, "Too many levels of symbolic links"},
	};
	char error[CAPTURE_ERROR_LEN], target[sizeof(path) + 8];
	struct capture *c;

	(void)state;
	/* To a file of ours: should it be followed one day, nothing is lost. */
	snprintf(target, sizeof(target), "%s.target", path);
	assert_int_equal(symlink(target, path), 0);
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		struct capture_config cfg = {.file = rows[i].file != NULL ? rows[i].file : path,
			.max_bytes = FILE_MAX,
			.n_rings = 1,
			.now_ns = now_ns,
			.interface = "x"};

		assert_true(capture_create(&cfg, &c, error, sizeof(error)) < 0);
		assert_null(c);
		assert_non_null(strstr(error, rows[i].error));
	}
	assert_int_equal(access(target, F_OK), -1);
	unlink(path);
	capture_destroy(NULL);
}

static int
setup(void **state)
{
	int rc = eal_setup(state);

	if (rc != 0 || mkdtemp(dir) == NULL)
		return -1;
	background_init();
	rte_log_set_level(0, RTE_LOG_EMERG);
	snprintf(path, sizeof(path), "%s/x.pcapng", dir);
	snprintf(older, sizeof(older), "%s.1", path);
	pool = eal_pool(256);
	return 0;
}

static int
teardown(void **state)
{
	eal_pool_free(pool);
	rmdir(dir);
	return eal_teardown(state);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring__keeps_order_and_bytes),
		cmocka_unit_test(ring__full_counts_and_goes_on),
		cmocka_unit_test(ring__forgets_what_is_not_committed),
		cmocka_unit_test(ring__cuts_what_is_too_long),
		cmocka_unit_test(ring__two_threads),
		cmocka_unit_test(file__has_all_frames_in_order),
		cmocka_unit_test(file__rotates_within_its_size),
		cmocka_unit_test(file__disk_that_fails),
		cmocka_unit_test(create__refuses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
