/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link model: every fault at its rate (within five sigma over a million packets), exact times
 * and masks, bounds that hold, and the same behaviour wherever it is compiled.
 */
#include "frame_maker.h"
#include "link.h"
#include "pcap.h"

#include <roce_bytes.h>
#include <roce_icrc.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	N = 1000000,
	LEN = 64,
	FRAME_MAX = 2048,
	FRAMES = 4096,
	GAP = 1000, /* ns between packets */
	US = 1000,
	MS = 1000 * 1000,
};

#define SEC ((uint64_t)1000000000)

/* A link with a pool of its own; packets carry their number. */
struct rig {
	struct link_pool pool;
	struct link l;
	void *memory;
	uint64_t now;
	uint64_t sent;
	uint8_t buf[FRAME_MAX];
	uint64_t got; /* number in the last frame fetched */
};

/* Allocations of all that is linked here; the linker sends them this way. */
static uint64_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *
__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	allocations++;
	return __real_realloc(p, size);
}

static void
rig_open_sized(struct rig *r, uint64_t seed, const struct link_config *cfg, uint32_t n_frames,
	uint32_t frame_max)
{
	memset(r, 0, sizeof(*r));
	r->memory = malloc(link_pool_size(n_frames, frame_max));
	assert_non_null(r->memory);
	link_pool_init(&r->pool, r->memory, n_frames, frame_max);
	assert_int_equal(link_init(&r->l, &r->pool, seed, cfg), 0);
}

static void
rig_open(struct rig *r, uint64_t seed, const struct link_config *cfg)
{
	rig_open_sized(r, seed, cfg, FRAMES, 256);
}

static uint64_t
all_lost(const struct link *l)
{
	uint64_t sum = 0;

	for (int i = 0; i < LINK_LOSS_COUNT; i++)
		sum += link_stats(l)->lost[i];
	return sum;
}

/* Nothing goes missing without being counted. */
static void
check_balance(const struct rig *r)
{
	const struct link_stats *s = link_stats(&r->l);

	assert_int_equal(s->lost[LINK_KEPT], 0);
	assert_int_equal(s->sent + s->duplicated, s->delivered + all_lost(&r->l) + s->in_flight);
	assert_int_equal(s->in_flight, r->pool.n_frames - r->pool.n_free);
}

static void
rig_close(struct rig *r)
{
	check_balance(r);
	link_close(&r->l);
	assert_int_equal(r->pool.n_free, r->pool.n_frames);
	assert_true(link_next(&r->l) == LINK_NEVER);
	free(r->memory);
}

/* Send packet number r->sent; its bytes follow from the number. */
static bool
send_len(struct rig *r, uint32_t len)
{
	uint8_t data[FRAME_MAX];

	memset(data, (int)(r->sent % 251), len);
	if (len >= sizeof(r->sent))
		memcpy(data, &r->sent, sizeof(r->sent));
	r->sent++;
	return link_send(&r->l, data, len, r->now);
}

static bool
send(struct rig *r)
{
	return send_len(r, LEN);
}

/* Fetch one; its number is in r->got. */
static uint32_t
fetch(struct rig *r)
{
	uint32_t len = link_recv(&r->l, r->buf, sizeof(r->buf), r->now);

	if (len >= sizeof(r->got))
		memcpy(&r->got, r->buf, sizeof(r->got));
	return len;
}

/* The next frame must be this one, neither earlier nor later than at this time. */
static void
expect(struct rig *r, uint64_t number, uint64_t at)
{
	assert_int_equal(link_next(&r->l), at);
	r->now = at - 1;
	assert_int_equal(fetch(r), 0);
	r->now = at;
	assert_int_not_equal(fetch(r), 0);
	assert_int_equal(r->got, number);
}

static void
expect_nothing(struct rig *r, uint64_t until)
{
	r->now = until;
	assert_int_equal(fetch(r), 0);
}

/* The number of hits is what n trials of p (in ppm) give, within five sigma. */
static void
check_rate(uint64_t hits, uint64_t n, double ppm)
{
	double p = ppm / LINK_PPM, off = (double)hits - (double)n * p;

	if (off * off > 25 * (double)n * p * (1 - p) + 1e-9)
		fail_msg("%lu of %lu instead of %.0f ppm", hits, n, ppm);
}

/* The mean of n values with this mean and standard deviation, within five sigma. */
static void
check_mean(double sum, uint64_t n, double mean, double sigma)
{
	double off = sum / (double)n - mean;

	if (off * off * (double)n > 25 * sigma * sigma)
		fail_msg("mean %.3f of %lu instead of %.3f", sum / (double)n, n, mean);
}

/* Send a million packets, GAP apart, and drop what arrives. */
static void
run_million(struct rig *r)
{
	for (uint32_t i = 0; i < N; i++, r->now += GAP) {
		send(r);
		while (fetch(r) != 0)
			;
	}
	r->now += 100 * SEC;
	while (fetch(r) != 0)
		;
	check_balance(r);
	assert_int_equal(link_stats(&r->l)->in_flight, 0);
}

static void
send__perfect_link(void **state)
{
	struct link_config cfg = {.delay_ns = 5000};
	struct rig r;

	(void)state;
	rig_open(&r, 1, &cfg);
	assert_true(link_next(&r.l) == LINK_NEVER);
	r.now = 7;
	assert_true(send(&r));
	r.now = 8;
	assert_true(send_len(&r, 100));
	expect(&r, 0, 5007);
	expect(&r, 1, 5008);
	for (uint32_t i = 8; i < 100; i++)
		assert_int_equal(r.buf[i], 1);
	expect_nothing(&r, SEC);
	assert_int_equal(link_stats(&r.l)->sent, 2);
	assert_int_equal(link_stats(&r.l)->delivered, 2);
	assert_int_equal(link_stats(&r.l)->sent_bytes, LEN + 100);
	assert_int_equal(link_stats(&r.l)->delivered_bytes, LEN + 100);
	assert_int_equal(link_stats(&r.l)->corrupted[LINK_INTACT], 2);
	rig_close(&r);
}

static void
send__first_in_first_out_at_one_time(void **state)
{
	struct link_config cfg = {0};
	struct rig r;

	(void)state;
	rig_open(&r, 1, &cfg);
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_true(send(&r));
	for (uint32_t i = 0; i < FRAMES; i++) {
		assert_int_equal(fetch(&r), LEN);
		assert_int_equal(r.got, i);
	}
	rig_close(&r);
}

static void
recv__small_buffer(void **state)
{
	struct link_config cfg = {0};
	uint8_t small[4] = {0};
	struct rig r;

	(void)state;
	rig_open(&r, 1, &cfg);
	r.sent = UINT64_MAX;
	send(&r);
	assert_int_equal(link_recv(&r.l, small, 3, 0), LEN);
	assert_int_equal(small[2], 0xff);
	assert_int_equal(small[3], 0);
	rig_close(&r);
}

static void
config__rejects(void **state)
{
	struct link_config good = {.loss_ppm = 5}, bad;
	struct rig r;

	(void)state;
	rig_open(&r, 1, &good);
#define REJECT(...) \
	do { \
		bad = (struct link_config){__VA_ARGS__}; \
		assert_int_equal(link_config(&r.l, &bad, 0), -EINVAL); \
		assert_memory_equal(&r.l.cfg, &good, sizeof(good)); \
	} while (0)
	REJECT(.loss_ppm = LINK_PPM + 1);
	REJECT(.burst_begin_ppm = LINK_PPM + 1);
	REJECT(.burst_end_ppm = LINK_PPM + 1);
	REJECT(.burst_loss_ppm = LINK_PPM + 1);
	REJECT(.duplicate_ppm = LINK_PPM + 1);
	REJECT(.reorder_ppm = LINK_PPM + 1);
	REJECT(.flip_ppm = LINK_PPM + 1);
	REJECT(.flip_ppm = LINK_PPM, .cut_ppm = 1);
	REJECT(.flip_ppm = UINT32_MAX, .cut_ppm = 1);
	REJECT(.forge_ppm = 1);
	REJECT(.mask_bits = 65);
	REJECT(.n_lost = LINK_LIST_MAX + 1);
	REJECT(.copies_max = LINK_COPIES_MAX + 1);
	REJECT(.reorder_window = LINK_WINDOW_MAX + 1);
	REJECT(.duplicate_min_ns = 2, .duplicate_max_ns = 1);
	REJECT(.tail_ns = ((uint64_t)1 << 40) + 1);
#undef REJECT
	rig_close(&r);
}

static void
loss__rate(void **state)
{
	static const uint32_t rates[] = {0, 100, 10000, 200000, 999000, LINK_PPM};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct link_config cfg = {.loss_ppm = rates[i]};
		struct rig r;

		rig_open(&r, 2 + i, &cfg);
		run_million(&r);
		check_rate(link_stats(&r.l)->lost[LINK_LOST_RANDOM], N, rates[i]);
		assert_int_equal(all_lost(&r.l), link_stats(&r.l)->lost[LINK_LOST_RANDOM]);
		rig_close(&r);
	}
}

/* One loss says nothing about the next. */
static void
loss__independent(void **state)
{
	struct link_config cfg = {.loss_ppm = 300000};
	bool lost[3] = {false};
	uint64_t pairs[2] = {0};
	struct rig r;

	(void)state;
	rig_open(&r, 3, &cfg);
	for (uint32_t i = 0; i < N; i++) {
		lost[i % 3] = !send(&r);
		while (fetch(&r) != 0)
			;
		pairs[0] += lost[i % 3] && lost[(i + 2) % 3];
		pairs[1] += lost[i % 3] && lost[(i + 1) % 3];
	}
	/* Pairs overlap, so their number varies a little more than that of independent ones. */
	check_rate(pairs[0], N, 90000);
	check_rate(pairs[1], N, 90000);
	rig_close(&r);
}

static void
burst__lengths(void **state)
{
	struct link_config cfg = {
		.burst_begin_ppm = 10000,
		.burst_end_ppm = 200000,
		.burst_loss_ppm = LINK_PPM,
	};
	uint64_t bursts = 0, lost_count = 0, good = 0;
	bool before = false;
	struct rig r;

	(void)state;
	rig_open(&r, 4, &cfg);
	for (uint32_t i = 0; i < N; i++) {
		bool lost = !send(&r);

		while (fetch(&r) != 0)
			;
		bursts += lost && !before;
		good += !before;
		lost_count += lost;
		before = lost;
	}
	assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_BURST], lost_count);
	/* Bursts begin with their rate, and last for a geometric time: mean 5, sigma sqrt(20). */
	check_rate(bursts, good, 10000);
	check_mean((double)lost_count, bursts, 5, 4.4721);
	rig_close(&r);
}

static void
burst__loss_within(void **state)
{
	/* Good and bad take turns packet by packet. */
	struct link_config cfg = {
		.burst_begin_ppm = LINK_PPM,
		.burst_end_ppm = LINK_PPM,
		.burst_loss_ppm = 400000,
	};
	struct rig r;

	(void)state;
	rig_open(&r, 5, &cfg);
	for (uint32_t i = 0; i < N; i++) {
		bool sent = send(&r);

		assert_true(sent || i % 2 == 0);
		while (fetch(&r) != 0)
			;
	}
	check_rate(link_stats(&r.l)->lost[LINK_LOST_BURST], N / 2, 400000);
	rig_close(&r);
}

static void
mask__exact(void **state)
{
	static const uint32_t widths[] = {1, 3, 7, 63, 64};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
		struct link_config cfg = {
			.loss_mask = 0x8000000000000025,
			.mask_bits = widths[i],
		};
		struct rig r;

		rig_open(&r, 6, &cfg);
		for (uint32_t k = 0; k < 1000; k++) {
			bool lost = (cfg.loss_mask >> k % widths[i] & 1) != 0;

			assert_int_equal(send(&r), !lost);
			if (!lost) {
				assert_int_equal(fetch(&r), LEN);
				assert_int_equal(r.got, k);
			}
			assert_int_equal(fetch(&r), 0);
		}
		assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_MASK], all_lost(&r.l));
		rig_close(&r);
	}
}

static void
list__exact(void **state)
{
	struct link_config cfg = {.n_lost = 4, .lost = {700, 0, 5, 6, 9}};
	struct rig r;

	(void)state;
	rig_open(&r, 6, &cfg);
	for (uint32_t k = 0; k < 1000; k++) {
		assert_int_equal(send(&r), k != 700 && k != 0 && k != 5 && k != 6);
		fetch(&r);
	}
	assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_LIST], 4);
	rig_close(&r);
}

static void
duplicate__rate_and_delay(void **state)
{
	struct link_config cfg = {
		.delay_ns = 5000,
		.duplicate_ppm = 20000,
		.copies_max = 3,
		.duplicate_min_ns = 10 * US,
		.duplicate_max_ns = 90 * US,
	};
	uint64_t seen = 0, with_copies = 0, copies = 0;
	uint64_t last_copied = UINT64_MAX;
	double sum = 0;
	struct rig r;

	(void)state;
	rig_open(&r, 7, &cfg);
	for (uint32_t i = 0; i < N; i++, r.now += GAP) {
		send(&r);
		with_copies += link_stats(&r.l)->duplicated != copies;
		copies = link_stats(&r.l)->duplicated;
		while (fetch(&r) != 0) {
			uint64_t age = r.now - r.got * GAP;

			if (r.got == seen) {
				assert_int_equal(age, 5000);
				seen++;
				continue;
			}
			assert_in_range(age, 15 * US, 95 * US + GAP);
			sum += (double)age;
			last_copied = r.got;
		}
	}
	assert_true(last_copied != UINT64_MAX);
	check_rate(with_copies, N, 20000);
	check_mean((double)copies, with_copies, 2, 0.8165);
	/* Seen at most GAP later than due: GAP / 2 on average. */
	check_mean(sum, copies, 55 * US + 0.5 * GAP, 23094 + 300);
	assert_int_equal(link_stats(&r.l)->reordered, 0);
	rig_close(&r);
}

static void
duplicate__seconds_later(void **state)
{
	struct link_config cfg = {
		.delay_ns = 5000,
		.duplicate_ppm = LINK_PPM,
		.duplicate_min_ns = 3 * SEC,
		.duplicate_max_ns = 3 * SEC,
	};
	struct rig r;

	(void)state;
	rig_open(&r, 8, &cfg);
	send(&r);
	expect(&r, 0, 5000);
	cfg.duplicate_ppm = 0;
	assert_int_equal(link_config(&r.l, &cfg, SEC), 0);
	r.now = 2 * SEC;
	send(&r);
	expect(&r, 1, 2 * SEC + 5000);
	expect(&r, 0, 3 * SEC + 5000);
	for (uint32_t i = 8; i < LEN; i++)
		assert_int_equal(r.buf[i], 0);
	rig_close(&r);
}

static void
reorder__rate(void **state)
{
	struct link_config cfg = {.reorder_ppm = 50000, .reorder_window = 1};
	struct rig r;

	(void)state;
	rig_open(&r, 9, &cfg);
	run_million(&r);
	check_rate(link_stats(&r.l)->held, N, 50000);
	/* A frame is passed by the next one unless that is held too. */
	check_rate(link_stats(&r.l)->reordered, N, 47500);
	rig_close(&r);
}

/* No frame is delivered behind more than `window` later ones; some are behind that many. */
static uint32_t
most_passed(const struct link_config *cfg, uint64_t gap, uint32_t n)
{
	uint64_t pending[4 * LINK_WINDOW_MAX][2]; /* numbers sent, by how many each was passed */
	uint32_t n_pending = 0, most = 0, delivered = 0;
	struct rig r;

	rig_open(&r, 10, cfg);
	for (uint32_t i = 0; delivered < n; i++, r.now += gap) {
		if (i < n) {
			pending[n_pending][0] = r.sent;
			pending[n_pending++][1] = 0;
			assert_true(n_pending < ARRAY_LEN(pending));
			assert_true(send(&r));
		}
		while (fetch(&r) != 0) {
			uint32_t at = 0;

			while (at < n_pending && pending[at][0] != r.got)
				pending[at++][1]++;
			assert_true(at < n_pending);
			if (pending[at][1] > most)
				most = (uint32_t)pending[at][1];
			n_pending--;
			memmove(&pending[at], &pending[at + 1],
				(n_pending - at) * sizeof(pending[0]));
			delivered++;
		}
	}
	assert_int_equal(n_pending, 0);
	rig_close(&r);
	return most;
}

static void
reorder__bound(void **state)
{
	static const uint32_t windows[] = {1, 2, 5, 16, LINK_WINDOW_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		struct link_config cfg = {
			.delay_ns = 5 * US,
			.reorder_ppm = 300000,
			.reorder_window = windows[i],
		};

		/* By being held, by differing delays, and by both. */
		assert_in_range(most_passed(&cfg, GAP, 50000), windows[i] - windows[i] / 16,
			windows[i]);
		cfg.jitter_ns = 20 * US;
		cfg.tail_ns = 5 * US;
		cfg.tail_cap_ns = 50 * US;
		assert_in_range(most_passed(&cfg, 300, 50000), windows[i] - windows[i] / 16,
			windows[i]);
		cfg.reorder_ppm = 0;
		assert_in_range(most_passed(&cfg, 300, 50000), windows[i] < 20 ? windows[i] : 20,
			windows[i]);
	}
}

static void
reorder__not_without_window(void **state)
{
	struct link_config cfg = {.jitter_ns = 20 * US, .tail_ns = 5 * US, .reorder_ppm = 500000};

	(void)state;
	assert_int_equal(most_passed(&cfg, 300, 50000), 0);
}

/* Behind exactly as many as drawn, at the moment the last of them arrives. */
static void
hold_first(void *ctx, const struct link_packet *packet, struct link_fate *fate)
{
	fate->hold = packet->index == 0 ? *(const uint32_t *)ctx : 0;
}

static void
reorder__exact_places(void **state)
{
	uint32_t hold;
	struct link_config cfg = {
		.delay_ns = 500,
		.reorder_window = 8,
		.hook = hold_first,
		.ctx = &hold,
	};

	(void)state;
	for (hold = 1; hold <= 8; hold++) {
		struct rig r;

		rig_open(&r, 11, &cfg);
		for (uint32_t i = 0; i <= 8; i++) {
			r.now = i * GAP;
			send(&r);
			if (i != 0)
				expect(&r, i, i * GAP + 500);
			if (i == hold) {
				assert_int_equal(fetch(&r), LEN);
				assert_int_equal(r.got, 0);
			}
		}
		assert_int_equal(link_stats(&r.l)->held, 1);
		assert_int_equal(link_stats(&r.l)->reordered, 1);
		rig_close(&r);
	}
}

/* 2 0 1 3: both 0 and 1 come after a later one. */
static void
hold_two(void *ctx, const struct link_packet *packet, struct link_fate *fate)
{
	(void)ctx;
	fate->hold = packet->index < 2 ? 2 - (uint32_t)packet->index : 0;
}

static void
reorder__counts(void **state)
{
	struct link_config cfg = {.reorder_window = 2, .hook = hold_two};
	static const uint64_t order[] = {2, 0, 1, 3};
	struct rig r;

	(void)state;
	rig_open(&r, 11, &cfg);
	for (uint32_t i = 0; i < 4; i++)
		send(&r);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(fetch(&r), LEN);
		assert_int_equal(r.got, order[i]);
	}
	assert_int_equal(link_stats(&r.l)->reordered, 2);
	rig_close(&r);
}

static void
reorder__lone_frame_is_let_go(void **state)
{
	uint32_t hold = 3;
	struct link_config cfg = {
		.delay_ns = 500,
		.reorder_window = 8,
		.reorder_ns = 70 * US,
		.hook = hold_first,
		.ctx = &hold,
	};
	struct rig r;

	(void)state;
	rig_open(&r, 12, &cfg);
	send(&r);
	expect(&r, 0, 70 * US + 500);
	send(&r);
	send(&r);
	send(&r);
	send(&r);
	for (uint64_t i = 1; i <= 4; i++)
		expect(&r, i, 71 * US);
	rig_close(&r);
	cfg.reorder_ns = 0;
	rig_open(&r, 12, &cfg);
	send(&r);
	expect(&r, 0, MS + 500);
	rig_close(&r);
}

/* Delays of a million packets so far apart that none waits for another. */
static void
collect(struct rig *r, void (*each)(void *ctx, uint64_t delay), void *ctx)
{
	for (uint32_t i = 0; i < N; i++, r->now += SEC) {
		send(r);
		each(ctx, link_next(&r->l) - r->now);
		r->now = link_next(&r->l);
		assert_int_equal(fetch(r), LEN);
	}
}

struct delays {
	uint64_t lowest, highest;
	double sum;
	uint64_t above[8]; /* n times the mean */
	uint64_t mean;
	uint64_t at_cap, cap;
};

static void
note(void *ctx, uint64_t delay)
{
	struct delays *d = ctx;

	d->lowest = delay < d->lowest ? delay : d->lowest;
	d->highest = delay > d->highest ? delay : d->highest;
	d->sum += (double)delay;
	d->at_cap += delay == d->cap;
	for (uint64_t i = 0; i < ARRAY_LEN(d->above); i++)
		d->above[i] += delay > i * d->mean;
}

static void
delay__jitter(void **state)
{
	struct link_config cfg = {.delay_ns = 5000, .jitter_ns = 100};
	struct delays d = {.lowest = UINT64_MAX, .cap = 5007, .mean = 1000};
	struct rig r;

	(void)state;
	rig_open(&r, 13, &cfg);
	collect(&r, note, &d);
	assert_int_equal(d.lowest, 5000);
	assert_int_equal(d.highest, 5100);
	check_mean(d.sum, N, 5050, 29.155);
	check_rate(d.at_cap, N, LINK_PPM / 101.0);
	rig_close(&r);
}

static void
delay__tail(void **state)
{
	static const double exp_ppm[] = {1e6, 367879.441, 135335.283, 49787.068, 18315.639,
		6737.947, 2478.752, 911.882};
	struct link_config cfg = {.tail_ns = 1000000};
	struct delays d = {.lowest = UINT64_MAX, .mean = 1000000};
	struct rig r;

	(void)state;
	rig_open(&r, 14, &cfg);
	collect(&r, note, &d);
	check_mean(d.sum, N, 1000000, 1000000);
	for (size_t i = 1; i < ARRAY_LEN(exp_ppm); i++)
		check_rate(d.above[i], N, exp_ppm[i]);
	assert_true(d.lowest < 20);
	assert_in_range(d.highest, 10 * d.mean, 44 * d.mean);
	rig_close(&r);
}

static void
delay__tail_is_capped(void **state)
{
	struct link_config cfg = {.delay_ns = 70, .tail_ns = 1000, .tail_cap_ns = 2000};
	struct delays d = {.lowest = UINT64_MAX, .cap = 2070, .mean = 1000};
	struct rig r;

	(void)state;
	rig_open(&r, 15, &cfg);
	collect(&r, note, &d);
	assert_int_equal(d.lowest, 70);
	assert_int_equal(d.highest, 2070);
	check_rate(d.at_cap, N, 135335.283);
	rig_close(&r);
}

static void
rate__exact_times(void **state)
{
	/* 100 bytes take 800 ns at 1 Gbit/s. */
	struct link_config cfg = {.delay_ns = 5000, .rate_bps = SEC};
	struct rig r;

	(void)state;
	rig_open(&r, 16, &cfg);
	for (uint32_t i = 0; i < 10; i++)
		send_len(&r, 100);
	for (uint64_t i = 0; i < 10; i++)
		expect(&r, i, 5000 + 800 * (i + 1));
	/* The wire has been idle since. */
	r.now = 50000;
	send_len(&r, 50);
	expect(&r, 10, 55400);
	rig_close(&r);
}

/* Fractions of nanoseconds add up: 66 bytes at 100 Gbit/s are 5.28 ns. */
static void
rate__no_drift(void **state)
{
	struct link_config cfg = {.rate_bps = 100 * SEC};
	struct rig r;

	(void)state;
	rig_open(&r, 16, &cfg);
	for (uint32_t i = 0; i < 1000; i++)
		send_len(&r, 66);
	while (link_stats(&r.l)->delivered < 999)
		(void)(fetch(&r) != 0 || ++r.now);
	assert_int_equal(link_next(&r.l), 5280);
	rig_close(&r);
}

static void
queue__tail_drop(void **state)
{
	struct link_config cfg = {.rate_bps = SEC, .queue_limit = 1000};
	struct rig r;

	(void)state;
	rig_open(&r, 17, &cfg);
	for (uint32_t i = 0; i < 15; i++)
		assert_int_equal(send_len(&r, 100), i < 10);
	r.now = 799;
	assert_false(send_len(&r, 100));
	r.now = 800;
	assert_true(send_len(&r, 100));
	assert_false(send_len(&r, 100));
	assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_QUEUE], 7);
	for (uint64_t i = 0; i < 11; i++)
		expect(&r, i < 10 ? i : 16, 800 * (i + 1));
	assert_true(send_len(&r, 100));
	rig_close(&r);
}

/* The test's own RoCEv2 frames, sealed as the engine seals them. */
static void
seal(void *ctx, uint8_t *data, uint32_t len)
{
	(void)ctx;
	roce_store_le32(data + len - ROCE_ICRC_LEN,
		roce_icrc(data + ROCE_ETH_LEN, len - ROCE_ETH_LEN - ROCE_ICRC_LEN));
}

static uint32_t
bits_changed(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < len; i++)
		n += (uint32_t)__builtin_popcount(a[i] ^ b[i]);
	return n;
}

static void
damage__rates_and_kinds(void **state)
{
	enum { SPARED = ROCE_L2L4_LEN };
	struct link_config cfg = {
		.flip_ppm = 10000,
		.cut_ppm = 20000,
		.forge_ppm = 30000,
		.damage_from = SPARED,
		.seal = seal,
	};
	uint64_t prng = 1, seen[LINK_DAMAGE_COUNT] = {0};
	uint64_t bits[8] = {0};
	struct rig r;
	uint8_t *frame;
	size_t len;

	(void)state;
	frame = random_frame(&prng, ROCE_WRITE_ONLY, 32, &len);
	rig_open(&r, 18, &cfg);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t got;

		assert_true(link_send(&r.l, frame, (uint32_t)len, 0));
		got = link_recv(&r.l, r.buf, sizeof(r.buf), 0);
		assert_memory_equal(r.buf, frame, SPARED);
		if (got < len) {
			assert_in_range(got, SPARED, len - 1);
			assert_memory_equal(r.buf, frame, got);
			seen[LINK_CUT]++;
		} else if (memcmp(r.buf, frame, len) == 0) {
			seen[LINK_INTACT]++;
		} else if (roce_icrc_ok(r.buf + ROCE_ETH_LEN, len - ROCE_ETH_LEN - ROCE_ICRC_LEN)) {
			assert_int_equal(bits_changed(r.buf, frame, (uint32_t)len - ROCE_ICRC_LEN),
				1);
			seen[LINK_FORGED]++;
		} else {
			assert_int_equal(bits_changed(r.buf, frame, (uint32_t)len), 1);
			for (size_t k = SPARED; k < len; k++)
				if (r.buf[k] != frame[k])
					bits[__builtin_ctz(r.buf[k] ^ frame[k])]++;
			seen[LINK_FLIPPED]++;
		}
	}
	check_rate(link_stats(&r.l)->corrupted[LINK_FLIPPED], N, 10000);
	check_rate(link_stats(&r.l)->corrupted[LINK_CUT], N, 20000);
	check_rate(link_stats(&r.l)->corrupted[LINK_FORGED], N, 30000);
	for (int i = 0; i < 8; i++)
		check_rate(bits[i], seen[LINK_FLIPPED], LINK_PPM / 8);
	/* A turned bit that only the ICRC's own field held, or a field it leaves out, is mended. */
	assert_true(seen[LINK_FORGED] <= link_stats(&r.l)->corrupted[LINK_FORGED]);
	assert_true(seen[LINK_FORGED] > link_stats(&r.l)->corrupted[LINK_FORGED] * 9 / 10);
	assert_int_equal(seen[LINK_CUT], link_stats(&r.l)->corrupted[LINK_CUT]);
	free(frame);
	rig_close(&r);
}

static void
damage__whole_frame(void **state)
{
	struct link_config flip = {.flip_ppm = LINK_PPM}, cut = {.cut_ppm = LINK_PPM};
	uint32_t lens[LEN] = {0}, bits[LEN * 8] = {0};
	static const uint8_t zeros[LEN];
	struct rig r;

	(void)state;
	rig_open(&r, 19, &flip);
	for (uint32_t i = 0; i < 100000; i++) {
		link_send(&r.l, zeros, LEN, 0);
		assert_int_equal(fetch(&r), LEN);
		for (uint32_t k = 0; k < LEN * 8; k++)
			bits[k] += r.buf[k / 8] >> k % 8 & 1;
	}
	for (uint32_t k = 0; k < LEN * 8; k++)
		check_rate(bits[k], 100000, LINK_PPM / (LEN * 8.0));
	assert_int_equal(link_config(&r.l, &cut, 0), 0);
	for (uint32_t i = 0; i < 100000; i++) {
		link_send(&r.l, zeros, LEN, 0);
		lens[fetch(&r) % LEN]++;
	}
	assert_int_equal(lens[0], 0);
	for (uint32_t k = 1; k < LEN; k++)
		check_rate(lens[k], 100000, LINK_PPM / (LEN - 1.0));
	/* A single byte cannot be cut; a frame no longer than what is spared is not spared. */
	link_send(&r.l, zeros, 1, 0);
	assert_int_equal(fetch(&r), 1);
	flip.damage_from = LEN;
	assert_int_equal(link_config(&r.l, &flip, 0), 0);
	link_send(&r.l, zeros, LEN, 0);
	assert_int_equal(fetch(&r), LEN);
	assert_int_equal(bits_changed(r.buf, zeros, LEN), 1);
	rig_close(&r);
}

static void
clip__exact(void **state)
{
	struct link_config cfg = {.clip = 100};
	struct rig r;

	(void)state;
	rig_open(&r, 20, &cfg);
	assert_true(send_len(&r, 100));
	assert_false(send_len(&r, 101));
	assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_CLIP], 1);
	rig_close(&r);
}

static void
clog__delivers_at_its_end(void **state)
{
	struct link_config cfg = {.delay_ns = 500};
	struct rig r;

	(void)state;
	rig_open(&r, 21, &cfg);
	send(&r); /* due 500: arrived before the clog, though not fetched */
	r.now = 900;
	send(&r); /* due 1400 */
	r.now = 1000;
	link_clog(&r.l, 9000, r.now);
	r.now = 1200;
	send(&r); /* due 1700 */
	assert_int_equal(link_next(&r.l), 500);
	assert_int_equal(fetch(&r), LEN);
	assert_int_equal(r.got, 0);
	r.now = 8800;
	send(&r); /* due 9300 */
	expect(&r, 1, 9000);
	assert_int_equal(fetch(&r), LEN);
	assert_int_equal(r.got, 2);
	expect(&r, 3, 9300);
	rig_close(&r);
}

static void
clog__longer_and_shorter(void **state)
{
	struct link_config cfg = {.delay_ns = 500};
	struct rig r;

	(void)state;
	rig_open(&r, 21, &cfg);
	r.now = 1000;
	link_clog(&r.l, LINK_NEVER, r.now);
	send(&r);
	assert_true(link_next(&r.l) == LINK_NEVER);
	r.now = 3000;
	link_clog(&r.l, 9000, r.now);
	assert_int_equal(link_next(&r.l), 9000);
	r.now = 4000;
	link_clog(&r.l, 0, r.now);
	assert_int_equal(link_next(&r.l), 4000);
	assert_int_equal(fetch(&r), LEN);
	/* The old clog's end says nothing about a new one. */
	send(&r);
	expect(&r, 1, 4500);
	/* The last moment of a clog. */
	send(&r); /* due 5000 */
	link_clog(&r.l, 5001, r.now);
	expect(&r, 2, 5001);
	rig_close(&r);
}

static void
partition__loses_what_arrives_while_it_lasts(void **state)
{
	struct link_config cfg = {.delay_ns = 500};

	(void)state;
	/* The same whether somebody asks meanwhile or not. */
	for (int polled = 0; polled < 2; polled++) {
		uint64_t got[8], n = 0;
		struct rig r;

		rig_open(&r, 22, &cfg);
		for (uint64_t t = 0; t < 3500; t += 100) {
			r.now = t;
			if (t == 1000 || t == 2000)
				link_partition(&r.l, t == 1000, t);
			/* Due 500, 900, 1000 and 1400 | sent in it | due 2500 and 3300 */
			if (t == 0 || t == 400 || t == 500 || t == 900 || t == 1000 || t == 1900 ||
				t == 2000 || t == 2800)
				assert_int_equal(send(&r), t != 1000 && t != 1900);
			while ((polled == 1 || t > 3300) && fetch(&r) != 0)
				got[n++] = r.got;
		}
		assert_int_equal(n, 4);
		assert_int_equal(got[0], 0);
		assert_int_equal(got[1], 1);
		assert_int_equal(got[2], 6);
		assert_int_equal(got[3], 7);
		assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_PARTITION], 4);
		rig_close(&r);
	}
}

static void
partition__what_is_due_after_it_survives(void **state)
{
	struct link_config cfg = {.delay_ns = 5000};
	struct rig r;

	(void)state;
	rig_open(&r, 22, &cfg);
	send(&r);
	link_partition(&r.l, true, 1000);
	link_partition(&r.l, false, 5000);
	expect(&r, 0, 5000);
	rig_close(&r);
}

/* A script: lose, delay, copy and damage certain packets. */
static void
script(void *ctx, const struct link_packet *packet, struct link_fate *fate)
{
	uint64_t *calls = ctx;

	assert_int_equal(packet->index, (*calls)++);
	assert_int_equal(packet->len, LEN);
	assert_memory_equal(packet->data, &packet->index, sizeof(packet->index));
	switch (packet->index) {
	case 0:
		fate->loss = LINK_LOST_HOOK;
		break;
	case 1:
		fate->loose = true;
		fate->delay_ns += 10000;
		break;
	case 2:
		fate->copies = 2;
		fate->copy_delay_ns[0] = 20000;
		fate->copy_delay_ns[1] = 100;
		break;
	case 3:
		fate->damage = LINK_CUT;
		fate->damage_at = 10;
		break;
	case 4:
		assert_int_equal(fate->loss, LINK_LOST_LIST);
		fate->loss = LINK_KEPT;
		break;
	default:
		break;
	}
}

static void
hook__scripted(void **state)
{
	uint64_t calls = 0;
	struct link_config cfg = {
		.delay_ns = 500,
		.n_lost = 1,
		.lost = {4},
		.hook = script,
		.ctx = &calls,
	};
	struct rig r;

	(void)state;
	rig_open(&r, 23, &cfg);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(send(&r), i != 0);
	assert_int_equal(calls, 5);
	expect(&r, 2, 500);
	assert_int_equal(fetch(&r), 10);
	assert_int_equal(r.got, 3);
	assert_int_equal(fetch(&r), LEN);
	assert_int_equal(r.got, 4);
	expect(&r, 2, 600);
	expect(&r, 1, 10500);
	expect(&r, 2, 20500);
	assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_HOOK], 1);
	rig_close(&r);
}

static void
pool__exhaustion_is_counted(void **state)
{
	struct link_config cfg = {.delay_ns = 500}, twice = cfg;
	struct rig r;

	(void)state;
	rig_open_sized(&r, 24, &cfg, 10, LEN);
	for (uint32_t i = 0; i < 15; i++)
		assert_int_equal(send(&r), i < 10);
	assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_POOL], 5);
	check_balance(&r);
	for (uint64_t i = 0; i < 9; i++) {
		r.now = 500;
		assert_int_equal(fetch(&r), LEN);
		assert_int_equal(r.got, i);
	}
	/* The copies need frames too. */
	twice.duplicate_ppm = LINK_PPM;
	assert_int_equal(link_config(&r.l, &twice, r.now), 0);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(send(&r), i < 5);
	assert_int_equal(link_stats(&r.l)->duplicated, 5);
	assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_POOL], 7);
	/* No frame and too long a frame. */
	assert_false(send_len(&r, 0));
	assert_false(send_len(&r, LEN + 1));
	assert_int_equal(link_stats(&r.l)->lost[LINK_LOST_SIZE], 2);
	rig_close(&r);
}

static void
pool__shared(void **state)
{
	struct link_config cfg = {.delay_ns = 500};
	struct link other;
	uint8_t buf[LEN];
	struct rig r;

	(void)state;
	rig_open_sized(&r, 25, &cfg, 10, LEN);
	assert_int_equal(link_init(&other, &r.pool, 26, &cfg), 0);
	for (uint32_t i = 0; i < 5; i++) {
		assert_true(send(&r));
		memset(buf, 0xee, sizeof(buf));
		assert_true(link_send(&other, buf, LEN, r.now));
	}
	assert_false(send(&r));
	assert_int_equal(link_recv(&other, buf, LEN, 500), LEN);
	assert_int_equal(buf[0], 0xee);
	assert_true(send(&r));
	link_close(&other);
	assert_int_equal(r.pool.n_free, 4);
	rig_close(&r);
}

static void
config__in_flight_frames_keep_their_fate(void **state)
{
	uint32_t hold = 8;
	struct link_config cfg = {
		.delay_ns = 5000,
		.reorder_window = 8,
		.hook = hold_first,
		.ctx = &hold,
	};
	struct link_config later = {.delay_ns = 100, .loss_ppm = LINK_PPM};
	struct rig r;

	(void)state;
	rig_open(&r, 27, &cfg);
	send(&r); /* held back until 1.005 ms */
	send(&r);
	assert_int_equal(link_config(&r.l, &later, 1000), 0);
	r.now = 1000;
	assert_false(send(&r));
	/* Its window is gone: it comes when it would have come, behind the one that passed it. */
	expect(&r, 1, 5000);
	assert_int_equal(fetch(&r), LEN);
	assert_int_equal(r.got, 0);
	later.loss_ppm = 0;
	assert_int_equal(link_config(&r.l, &later, 5000), 0);
	send(&r);
	expect(&r, 3, 5100);
	/* A shorter delay lets nobody pass without a window; with one it does. */
	later.delay_ns = 5000;
	assert_int_equal(link_config(&r.l, &later, r.now), 0);
	send(&r);
	later.delay_ns = 100;
	assert_int_equal(link_config(&r.l, &later, r.now), 0);
	send(&r);
	expect(&r, 4, 10100);
	assert_int_equal(fetch(&r), LEN);
	send(&r);
	later.reorder_window = 1;
	later.delay_ns = 0;
	assert_int_equal(link_config(&r.l, &later, r.now), 0);
	send(&r);
	assert_int_equal(fetch(&r), LEN);
	assert_int_equal(r.got, 7);
	rig_close(&r);
}

/* Everything at once. */
static const struct link_config storm = {
	.loss_ppm = 20000,
	.burst_begin_ppm = 5000,
	.burst_end_ppm = 200000,
	.burst_loss_ppm = 700000,
	.loss_mask = 0x8000000000000001,
	.mask_bits = 64,
	.n_lost = 2,
	.lost = {5, 77},
	.clip = 240,
	.duplicate_ppm = 100000,
	.copies_max = 4,
	.duplicate_min_ns = 10,
	.duplicate_max_ns = 1000000,
	.reorder_ppm = 100000,
	.reorder_window = 12,
	.reorder_ns = 30000,
	.delay_ns = 5000,
	.jitter_ns = 3000,
	.tail_ns = 2000,
	.tail_cap_ns = 40000,
	.rate_bps = 2000000000,
	.queue_limit = 3000,
	.flip_ppm = 20000,
	.cut_ppm = 20000,
	.forge_ppm = 20000,
	.damage_from = 8,
	.seal = seal,
};

static uint64_t
storm_hash(struct rig *r, uint64_t seed, uint32_t n)
{
	uint64_t prng = 99, hash;

	rig_open(r, seed, &storm);
	for (uint32_t i = 0; i < n; i++) {
		r->now += prng_below(&prng, 1000);
		send_len(r, LEN + prng_below(&prng, 190));
		if (prng_below(&prng, 1000) == 0)
			link_clog(&r->l, r->now + prng_below(&prng, 100000), r->now);
		if (prng_below(&prng, 500) == 0)
			link_partition(&r->l, !r->l.cfg.partition, r->now);
		while (fetch(r) != 0)
			;
	}
	hash = link_trace_hash(&r->l);
	return hash;
}

/* Pinned: each compiler and each level of optimisation must come to these. */
static void
trace__same_everywhere(void **state)
{
	struct rig r;
	uint64_t first = storm_hash(&r, 1, 100000);
	const struct link_stats *s = link_stats(&r.l);

	(void)state;
	print_message("hash %016lx: sent %lu, delivered %lu, copies %lu, held %lu, passed %lu\n",
		first, s->sent, s->delivered, s->duplicated, s->held, s->reordered);
	/* All that can happen has happened, but what needs other sizes. */
	for (int i = LINK_LOST_PARTITION; i < LINK_LOST_POOL; i++)
		assert_true(s->lost[i] != 0 || i == LINK_LOST_HOOK);
	for (int i = 0; i < LINK_DAMAGE_COUNT; i++)
		assert_true(s->corrupted[i] != 0);
	assert_true(s->duplicated != 0 && s->held != 0 && s->reordered != 0);
	rig_close(&r);
	assert_true(first == storm_hash(&r, 1, 100000));
	rig_close(&r);
	assert_true(first != storm_hash(&r, 2, 100000));
	rig_close(&r);
	assert_true(first == 0x62502a944a4b5315);
}

/* Hash of times: one nanosecond makes a difference. */
static void
trace__times_count(void **state)
{
	struct link_config cfg = {0};
	uint64_t hash[3];

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		struct rig r;

		cfg.delay_ns = i == 1 ? 101 : 100;
		rig_open(&r, 1, &cfg);
		send(&r);
		r.now = i == 2 ? 201 : 200;
		assert_int_equal(fetch(&r), LEN);
		hash[i] = link_trace_hash(&r.l);
		rig_close(&r);
	}
	assert_true(hash[0] != hash[1] && hash[0] != hash[2] && hash[1] != hash[2]);
}

/* Faults draw from streams of their own: one more of them changes nothing in the others. */
static void
draws__faults_do_not_disturb_each_other(void **state)
{
	struct link_config one = {.loss_ppm = 100000}, more = storm;
	struct rig a, b;

	(void)state;
	more.loss_ppm = one.loss_ppm;
	more.queue_limit = 0;
	rig_open(&a, 31, &one);
	rig_open(&b, 31, &more);
	for (uint32_t i = 0; i < 10000; i++, a.now += GAP, b.now += GAP) {
		uint64_t before = link_stats(&b.l)->lost[LINK_LOST_RANDOM];
		bool lost = !send(&a), listed = i % 64 == 0 || i % 64 == 63 || i == 5 || i == 77;

		send(&b);
		if (!listed)
			assert_int_equal(link_stats(&b.l)->lost[LINK_LOST_RANDOM] - before, lost);
		while (fetch(&a) != 0 || fetch(&b) != 0)
			;
	}
	rig_close(&a);
	rig_close(&b);
}

static void
memory__none_after_init(void **state)
{
	struct rig r;
	uint64_t before, prng = 1;

	(void)state;
	rig_open(&r, 32, &storm);
	before = allocations;
	assert_true(before != 0);
	for (uint32_t i = 0; i < 20000; i++) {
		r.now += prng_below(&prng, 1000);
		send_len(&r, LEN + prng_below(&prng, 190));
		if (i % 100 == 0)
			link_clog(&r.l, r.now + 5000, r.now);
		if (i % 1000 == 0)
			link_config(&r.l, &storm, r.now);
		while (i % 50 == 0 && fetch(&r) != 0)
			;
	}
	assert_int_equal(allocations, before);
	rig_close(&r);
}

static void
swarm__draws(void **state)
{
	uint64_t on[10] = {0};
	char line[512], *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	for (uint64_t seed = 0; seed < 1000; seed++) {
		struct link_config cfg = {.delay_ns = 5, .seal = seed % 2 ? seal : NULL}, again;
		struct rig r;

		again = cfg;
		link_swarm(seed, &cfg, out);
		link_swarm(seed, &again, NULL);
		assert_memory_equal(&cfg, &again, sizeof(cfg));
		rig_open(&r, seed, &cfg);
		rig_close(&r);
		assert_int_equal(cfg.delay_ns, 5);
		assert_true(seed % 2 != 0 || cfg.forge_ppm == 0);
		on[0] += cfg.loss_ppm != 0;
		on[1] += cfg.burst_begin_ppm != 0;
		on[2] += cfg.mask_bits != 0;
		on[3] += cfg.duplicate_ppm != 0;
		on[4] += cfg.reorder_ppm != 0;
		on[5] += cfg.jitter_ns != 0;
		on[6] += cfg.tail_ns != 0;
		on[7] += cfg.rate_bps != 0;
		on[8] += cfg.flip_ppm != 0;
		on[9] += cfg.cut_ppm != 0;
		/* One line each, not cut off. */
		fflush(out);
		assert_true(text[size - 1] == '\n');
		link_describe(&cfg, line, sizeof(line));
		assert_true(strlen(line) < sizeof(line) - 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(on); i++)
		check_rate(on[i], 1000, 500000);
	fclose(out);
	size = 0;
	for (const char *p = text; *p != 0; p++)
		size += *p == '\n';
	assert_int_equal(size, 1000);
	free(text);
}

static void
describe__all_faults(void **state)
{
	char line[512], small[16];

	(void)state;
	link_describe(&storm, line, sizeof(line));
	assert_string_equal(line,
		"delay 5000 jitter 3000 tail 2000 cap 40000 ns, loss 20000 ppm, burst begin 5000 "
		"end 200000 loss 700000 ppm, mask 8000000000000001/64, list of 2, duplicate 100000 "
		"ppm copies 4 after 10-1000000 ns, reorder 100000 ppm window 12 within 30000 ns, "
		"rate 2000000000 bit/s queue 3000, flip 20000 ppm, cut 20000 ppm, forge 20000 ppm, "
		"clip 240");
	link_describe(&storm, small, sizeof(small));
	assert_memory_equal(small, line, sizeof(small) - 1);
	assert_int_equal(small[sizeof(small) - 1], 0);
	assert_string_equal(link_loss_name(LINK_LOST_POOL), "pool");
	assert_string_equal(link_damage_name(LINK_FORGED), "forged");
}

static void
pcap__readable(void **state)
{
	char path[] = "/tmp/test_link_XXXXXX", command[256], line[256];
	struct pcap_writer *w;
	uint64_t prng = 1;
	size_t n = 0;
	FILE *pipe;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(pcap_writer_open("/nonexistent/file", &w), -ENOENT);
	assert_null(w);
	assert_int_equal(pcap_writer_close(NULL), 0);
	assert_int_equal(pcap_writer_open(path, &w), 0);
	for (uint64_t i = 0; i < 3; i++) {
		size_t len;
		uint8_t *frame = random_frame(&prng, ROCE_WRITE_ONLY, i * 500, &len);

		assert_int_equal(pcap_writer_add(w, frame, (uint32_t)len, i * SEC + 123456789 + i),
			0);
		free(frame);
	}
	assert_int_equal(pcap_writer_close(w), 0);
	if (system("command -v tshark >/dev/null 2>&1") != 0) {
		unlink(path);
		skip();
	}
	snprintf(command, sizeof(command),
		"tshark -r %s -T fields -e frame.time_epoch -e frame.len 2>/dev/null", path);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	for (; fgets(line, sizeof(line), pipe) != NULL; n++) {
		char want[64];

		snprintf(want, sizeof(want), "%zu.%09zu\t%zu\n", n, 123456789 + n,
			(size_t)ROCE_L2L4_LEN + 28 + n * 500 + ROCE_ICRC_LEN);
		assert_string_equal(line, want);
	}
	assert_int_equal(n, 3);
	assert_int_equal(pclose(pipe), 0);
	unlink(path);
}

static void
pcap__bytes(void **state)
{
	static const uint8_t want[] = {0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0xff, 0xff, 0, 0, 1, 0, 0, 0, /* the file's header, then the record's */
		5, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c'};
	char path[] = "/tmp/test_link_XXXXXX";
	uint8_t got[sizeof(want) + 1];
	struct pcap_writer *w;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pcap_writer_open(path, &w), 0);
	assert_int_equal(pcap_writer_add(w, "abc", 3, 5 * SEC + 7), 0);
	assert_int_equal(pcap_writer_close(w), 0);
	assert_int_equal(read(fd, got, sizeof(got)), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
	close(fd);
	unlink(path);
	/* A full disk is not passed over in silence. */
	if (access("/dev/full", W_OK) == 0) {
		assert_int_equal(pcap_writer_open("/dev/full", &w), 0);
		assert_int_equal(pcap_writer_close(w), -EIO);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(send__perfect_link),
		cmocka_unit_test(send__first_in_first_out_at_one_time),
		cmocka_unit_test(recv__small_buffer),
		cmocka_unit_test(config__rejects),
		cmocka_unit_test(loss__rate),
		cmocka_unit_test(loss__independent),
		cmocka_unit_test(burst__lengths),
		cmocka_unit_test(burst__loss_within),
		cmocka_unit_test(mask__exact),
		cmocka_unit_test(list__exact),
		cmocka_unit_test(duplicate__rate_and_delay),
		cmocka_unit_test(duplicate__seconds_later),
		cmocka_unit_test(reorder__rate),
		cmocka_unit_test(reorder__bound),
		cmocka_unit_test(reorder__not_without_window),
		cmocka_unit_test(reorder__exact_places),
		cmocka_unit_test(reorder__counts),
		cmocka_unit_test(reorder__lone_frame_is_let_go),
		cmocka_unit_test(delay__jitter),
		cmocka_unit_test(delay__tail),
		cmocka_unit_test(delay__tail_is_capped),
		cmocka_unit_test(rate__exact_times),
		cmocka_unit_test(rate__no_drift),
		cmocka_unit_test(queue__tail_drop),
		cmocka_unit_test(damage__rates_and_kinds),
		cmocka_unit_test(damage__whole_frame),
		cmocka_unit_test(clip__exact),
		cmocka_unit_test(clog__delivers_at_its_end),
		cmocka_unit_test(clog__longer_and_shorter),
		cmocka_unit_test(partition__loses_what_arrives_while_it_lasts),
		cmocka_unit_test(partition__what_is_due_after_it_survives),
		cmocka_unit_test(hook__scripted),
		cmocka_unit_test(pool__exhaustion_is_counted),
		cmocka_unit_test(pool__shared),
		cmocka_unit_test(config__in_flight_frames_keep_their_fate),
		cmocka_unit_test(trace__same_everywhere),
		cmocka_unit_test(trace__times_count),
		cmocka_unit_test(draws__faults_do_not_disturb_each_other),
		cmocka_unit_test(memory__none_after_init),
		cmocka_unit_test(swarm__draws),
		cmocka_unit_test(describe__all_faults),
		cmocka_unit_test(pcap__readable),
		cmocka_unit_test(pcap__bytes),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
