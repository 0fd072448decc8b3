/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"
#include "link_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	HOLD_NS = 1000000, /* default of reorder_ns */
	PLACES = 2 * LINK_WINDOW_MAX,
	DRAWS = 32, /* numbers that each packet may draw */
	LN2_BITS = 24,
	LN2 = 11629080, /* 2^24 ln 2 */
};

#define TAIL_MAX ((uint64_t)1 << 40)
#define BIT_NS (8 * (uint64_t)1000000000) /* bits of a byte times nanoseconds of a second */

/* What a number is drawn for. Values are part of what a seed means. */
enum purpose {
	FOR_LOSS,
	FOR_BURST_STATE,
	FOR_BURST_LOSS,
	FOR_DUPLICATE,
	FOR_COPIES,
	FOR_REORDER,
	FOR_HOLD,
	FOR_JITTER,
	FOR_TAIL,
	FOR_COPY_DELAY,					  /* one per copy */
	FOR_DAMAGE = FOR_COPY_DELAY + LINK_COPIES_MAX,	  /* the frame and each copy */
	FOR_DAMAGE_AT = FOR_DAMAGE + 1 + LINK_COPIES_MAX, /* likewise */
	PURPOSE_COUNT = FOR_DAMAGE_AT + 1 + LINK_COPIES_MAX,
};

_Static_assert((int)PURPOSE_COUNT <= (int)DRAWS,
	"draws of one packet must not run into the next one's");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the hash takes words as they lie");

static uint64_t
draw(const struct link *l, uint64_t index, uint32_t purpose)
{
	return link__random(l->seed, index * DRAWS + purpose);
}

static bool
chance(const struct link *l, uint64_t index, uint32_t purpose, uint32_t ppm)
{
	return ppm != 0 && link__below(draw(l, index, purpose), LINK_PPM) < ppm;
}

static uint64_t
add_capped(uint64_t a, uint64_t b)
{
	return b > LINK_NEVER - 1 - a ? LINK_NEVER - 1 : a + b;
}

/*
 * -ln(u) for u = random / 2^64, times 2^24: the position of the highest bit is the integer part of
 * the binary logarithm; squaring the rest again and again gives one bit of the fraction each time.
 */
static uint64_t
minus_ln(uint64_t random)
{
	uint64_t log2 = 0, x;
	int zeros;

	random |= 1;
	zeros = __builtin_clzll(random);
	x = random << zeros >> 32; /* 1 to 2, as 2^31 to 2^32 */
	for (int bit = 0; bit < LN2_BITS; bit++) {
		x = x * x >> 31;
		log2 <<= 1;
		if (x >> 32 != 0) {
			log2 |= 1;
			x >>= 1;
		}
	}
	return ((((uint64_t)zeros + 1) << LN2_BITS) - log2) * LN2 >> LN2_BITS;
}

static uint64_t
draw_delay(const struct link *l, uint64_t index)
{
	const struct link_config *cfg = &l->cfg;
	uint64_t delay = cfg->delay_ns, tail;

	if (cfg->jitter_ns != 0)
		delay = add_capped(delay,
			link__below(draw(l, index, FOR_JITTER), cfg->jitter_ns + 1));
	if (cfg->tail_ns != 0) {
		tail = link__mul_div(cfg->tail_ns, minus_ln(draw(l, index, FOR_TAIL)),
			1u << LN2_BITS);
		if (cfg->tail_cap_ns != 0 && tail > cfg->tail_cap_ns)
			tail = cfg->tail_cap_ns;
		delay = add_capped(delay, tail);
	}
	return delay;
}

/* Damage of the frame (part 0) or of one of its copies. */
static void
draw_damage(const struct link *l, uint64_t index, uint32_t part, uint32_t len,
	struct link_fate *fate)
{
	const struct link_config *cfg = &l->cfg;
	uint64_t which, where;
	uint32_t spared = len > cfg->damage_from ? cfg->damage_from : 0;

	fate->damage = LINK_INTACT;
	if (cfg->flip_ppm + cfg->cut_ppm + cfg->forge_ppm == 0)
		return;
	which = link__below(draw(l, index, FOR_DAMAGE + part), LINK_PPM);
	if (which < cfg->flip_ppm)
		fate->damage = LINK_FLIPPED;
	else if (which < cfg->flip_ppm + cfg->cut_ppm && len > 1)
		fate->damage = LINK_CUT;
	else if (which >= cfg->flip_ppm + cfg->cut_ppm &&
		which < cfg->flip_ppm + cfg->cut_ppm + cfg->forge_ppm)
		fate->damage = LINK_FORGED;
	else
		return;
	where = draw(l, index, FOR_DAMAGE_AT + part);
	if (fate->damage != LINK_CUT)
		fate->damage_at = (uint32_t)(spared * 8 + link__below(where, (len - spared) * 8));
	else if (spared != 0)
		fate->damage_at = (uint32_t)(spared + link__below(where, len - spared));
	else
		fate->damage_at = (uint32_t)(1 + link__below(where, len - 1));
}

static enum link_loss
draw_loss(struct link *l, uint64_t index, uint32_t len)
{
	const struct link_config *cfg = &l->cfg;
	bool bursting;

	/* The burst's state moves with every packet, whatever else happens to it. */
	if (chance(l, index, FOR_BURST_STATE, l->bad ? cfg->burst_end_ppm : cfg->burst_begin_ppm))
		l->bad = !l->bad;
	bursting = l->bad && chance(l, index, FOR_BURST_LOSS, cfg->burst_loss_ppm);
	if (len == 0 || len > l->pool->frame_max)
		return LINK_LOST_SIZE;
	if (cfg->partition)
		return LINK_LOST_PARTITION;
	if (cfg->mask_bits != 0 && (cfg->loss_mask >> index % cfg->mask_bits & 1) != 0)
		return LINK_LOST_MASK;
	for (uint32_t i = 0; i < cfg->n_lost; i++)
		if (cfg->lost[i] == index)
			return LINK_LOST_LIST;
	if (chance(l, index, FOR_LOSS, cfg->loss_ppm))
		return LINK_LOST_RANDOM;
	if (bursting)
		return LINK_LOST_BURST;
	if (cfg->clip != 0 && len > cfg->clip)
		return LINK_LOST_CLIP;
	return LINK_KEPT;
}

static void
draw_fate(struct link *l, uint64_t index, uint32_t len, struct link_fate *fate)
{
	const struct link_config *cfg = &l->cfg;

	memset(fate, 0, sizeof(*fate));
	fate->loss = draw_loss(l, index, len);
	if (fate->loss == LINK_LOST_SIZE)
		return;
	fate->delay_ns = draw_delay(l, index);
	draw_damage(l, index, 0, len, fate);
	if (cfg->reorder_window != 0 && chance(l, index, FOR_REORDER, cfg->reorder_ppm))
		fate->hold = 1 +
			(uint32_t)link__below(draw(l, index, FOR_HOLD), cfg->reorder_window);
	if (chance(l, index, FOR_DUPLICATE, cfg->duplicate_ppm))
		fate->copies = 1 +
			(uint32_t)link__below(draw(l, index, FOR_COPIES),
				cfg->copies_max != 0 ? cfg->copies_max : 1);
	for (uint32_t i = 0; i < fate->copies; i++)
		fate->copy_delay_ns[i] = cfg->duplicate_min_ns +
			link__below(draw(l, index, FOR_COPY_DELAY + i),
				cfg->duplicate_max_ns - cfg->duplicate_min_ns + 1);
}

/* Bytes that are not on the wire yet; the one that is going there counts. */
static uint64_t
backlog(const struct link *l, uint64_t now)
{
	uint64_t wait = l->busy_until > now ? l->busy_until - now : 0;

	return (uint64_t)(((unsigned __int128)wait * l->cfg.rate_bps + BIT_NS - 1) / BIT_NS);
}

static bool
queue_full(const struct link *l, uint32_t len, uint64_t now)
{
	return l->cfg.rate_bps != 0 && l->cfg.queue_limit != 0 &&
		backlog(l, now) + len > l->cfg.queue_limit;
}

/* Put a frame on the wire. Returns when its last bit leaves. */
static uint64_t
serialise(struct link *l, uint32_t len, uint64_t now)
{
	uint64_t bit_ns, rate = l->cfg.rate_bps;

	if (rate == 0)
		return now;
	if (l->busy_until <= now) {
		l->busy_until = now;
		l->bit_ns_left = 0;
	}
	bit_ns = len * BIT_NS + l->bit_ns_left;
	l->busy_until += bit_ns / rate;
	l->bit_ns_left = bit_ns % rate;
	return l->busy_until;
}

static struct link_frame *
make_frame(struct link *l, uint64_t index, const void *data, uint32_t len,
	const struct link_fate *fate)
{
	struct link_frame *f = link__frame_get(l->pool);

	if (f == NULL) {
		l->stats.lost[LINK_LOST_POOL]++;
		return NULL;
	}
	memset(f, 0, sizeof(*f));
	f->index = index;
	f->len = len;
	memcpy(f->data, data, len);
	switch (fate->damage) {
	case LINK_FLIPPED:
	case LINK_FORGED:
		assert(fate->damage_at / 8 < len);
		f->data[fate->damage_at / 8] ^= (uint8_t)(1 << fate->damage_at % 8);
		if (fate->damage == LINK_FORGED && l->cfg.seal != NULL)
			l->cfg.seal(l->cfg.ctx, f->data, len);
		break;
	case LINK_CUT:
		assert(fate->damage_at > 0 && fate->damage_at < len);
		f->len = fate->damage_at;
		break;
	case LINK_INTACT:
	case LINK_DAMAGE_COUNT:
		break;
	}
	l->stats.corrupted[fate->damage]++;
	return f;
}

static void
fly(struct link *l, struct link_frame *f, uint64_t due)
{
	f->due = due;
	f->order = l->order++;
	link__queue_add(&l->queue, f);
	l->stats.in_flight++;
}

/* A held frame goes on: right behind what was given an order last, but not before `due`. */
static void
let_go(struct link *l, const struct link_held *held, uint64_t due)
{
	struct link_frame *f = held->frame;

	if (due < held->due)
		due = held->due;
	f->held = false;
	if (due >= f->due)
		return;
	link__queue_remove(&l->queue, f);
	f->due = due;
	f->order = l->order++;
	link__queue_add(&l->queue, f);
	l->due[f->place % PLACES] = due;
}

/*
 * Place a frame among the ones before it. Frames more than a window before it may not be passed:
 * none of those is still held, and this one comes no earlier than the last of them.
 */
static void
place(struct link *l, struct link_frame *f, uint32_t hold, uint64_t due)
{
	uint32_t window = l->cfg.reorder_window, kept = 0;

	f->place = l->placed++;
	while (l->settled + window < f->place) {
		uint64_t d = l->due[l->settled++ % PLACES];

		if (d > l->settled_due)
			l->settled_due = d;
	}
	if (due < l->settled_due)
		due = l->settled_due;
	if (hold > window)
		hold = window;
	fly(l, f,
		hold == 0 ? due
			  : add_capped(due, l->cfg.reorder_ns != 0 ? l->cfg.reorder_ns : HOLD_NS));
	l->due[f->place % PLACES] = f->due;
	for (uint32_t i = 0; i < l->n_held; i++) {
		if (l->held[i].behind == f->place)
			let_go(l, &l->held[i], due);
		else
			l->held[kept++] = l->held[i];
	}
	l->n_held = kept;
	if (hold != 0) {
		assert(l->n_held < LINK_WINDOW_MAX);
		l->held[l->n_held++] = (struct link_held){f, f->place + hold, due};
		f->held = true;
		l->stats.held++;
	}
}

bool
link_send(struct link *l, const void *data, uint32_t len, uint64_t now)
{
	struct link_packet packet = {l->stats.sent++, data, len, now};
	struct link_fate fate;
	struct link_frame *f;
	uint64_t due;

	l->stats.sent_bytes += len;
	draw_fate(l, packet.index, len, &fate);
	if (l->cfg.hook != NULL && fate.loss != LINK_LOST_SIZE)
		l->cfg.hook(l->cfg.ctx, &packet, &fate);
	if (fate.loss == LINK_KEPT && queue_full(l, len, now))
		fate.loss = LINK_LOST_QUEUE;
	if (fate.loss != LINK_KEPT) {
		l->stats.lost[fate.loss]++;
		return false;
	}
	f = make_frame(l, packet.index, data, len, &fate);
	if (f == NULL)
		return false;
	due = add_capped(serialise(l, len, now), fate.delay_ns);
	f->loose = fate.loose;
	if (fate.loose)
		fly(l, f, due);
	else
		place(l, f, fate.hold, due);
	assert(fate.copies <= LINK_COPIES_MAX);
	for (uint32_t i = 0; i < fate.copies; i++) {
		l->stats.duplicated++;
		draw_damage(l, packet.index, 1 + i, len, &fate);
		f = make_frame(l, packet.index, data, len, &fate);
		if (f == NULL)
			continue;
		f->loose = true;
		fly(l, f, add_capped(due, fate.copy_delay_ns[i]));
	}
	return true;
}

/* When a frame comes out: later than it is due if the link is clogged then. */
static uint64_t
arrival(const struct link *l, const struct link_frame *f)
{
	if (f->due >= l->clog_since && f->due < l->cfg.clog_until_ns)
		return l->cfg.clog_until_ns;
	return f->due;
}

static void
take(struct link *l, struct link_frame *f)
{
	uint32_t kept = 0;

	link__queue_remove(&l->queue, f);
	l->stats.in_flight--;
	for (uint32_t i = 0; f->held && i < l->n_held; i++)
		if (l->held[i].frame != f)
			l->held[kept++] = l->held[i];
	if (f->held)
		l->n_held = kept;
	f->held = false;
}

static void
mix_in(struct link *l, uint64_t word)
{
	l->trace = (l->trace ^ word) * 0x9e3779b97f4a7c15;
	l->trace ^= l->trace >> 29;
}

static void
mix_in_frame(struct link *l, const struct link_frame *f, uint64_t now)
{
	uint64_t word;
	uint32_t i;

	mix_in(l, arrival(l, f));
	mix_in(l, now);
	mix_in(l, f->len);
	for (i = 0; f->len - i >= sizeof(word); i += (uint32_t)sizeof(word)) {
		memcpy(&word, f->data + i, sizeof(word));
		mix_in(l, word);
	}
	word = 0;
	memcpy(&word, f->data + i, f->len - i);
	mix_in(l, word);
}

static void
lose_in_partition(struct link *l, struct link_frame *f)
{
	take(l, f);
	l->stats.lost[LINK_LOST_PARTITION]++;
	link__frame_put(l->pool, f);
}

uint32_t
link_recv(struct link *l, void *buf, uint32_t cap, uint64_t now)
{
	struct link_frame *f;
	uint32_t len;

	while ((f = l->queue) != NULL && arrival(l, f) <= now && l->cfg.partition &&
		arrival(l, f) >= l->partition_since)
		lose_in_partition(l, f);
	if (f == NULL || arrival(l, f) > now)
		return 0;
	take(l, f);
	mix_in_frame(l, f, now);
	len = f->len;
	memcpy(buf, f->data, len < cap ? len : cap);
	l->stats.delivered++;
	l->stats.delivered_bytes += len;
	if (!f->loose && f->index < l->highest)
		l->stats.reordered++;
	else if (!f->loose)
		l->highest = f->index + 1;
	link__frame_put(l->pool, f);
	return len;
}

uint64_t
link_next(const struct link *l)
{
	return l->queue != NULL ? arrival(l, l->queue) : LINK_NEVER;
}

/* Lose what has arrived in a partition that ends now and was not asked for since. */
static void
end_partition(struct link *l, uint64_t now)
{
	struct link_frame *before = NULL, *f;

	while ((f = l->queue) != NULL && arrival(l, f) < now) {
		if (arrival(l, f) >= l->partition_since) {
			lose_in_partition(l, f);
			continue;
		}
		link__queue_remove(&l->queue, f);
		f->next = before;
		before = f;
	}
	while ((f = before) != NULL) {
		before = f->next;
		link__queue_add(&l->queue, f);
	}
}

static bool
valid(const struct link_config *cfg)
{
	const uint32_t rates[] = {cfg->loss_ppm, cfg->burst_begin_ppm, cfg->burst_end_ppm,
		cfg->burst_loss_ppm, cfg->duplicate_ppm, cfg->reorder_ppm, cfg->flip_ppm,
		cfg->cut_ppm, cfg->forge_ppm, cfg->flip_ppm + cfg->cut_ppm + cfg->forge_ppm};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		if (rates[i] > LINK_PPM)
			return false;
	return cfg->mask_bits <= 64 && cfg->n_lost <= LINK_LIST_MAX &&
		cfg->copies_max <= LINK_COPIES_MAX &&
		cfg->duplicate_min_ns <= cfg->duplicate_max_ns &&
		cfg->reorder_window <= LINK_WINDOW_MAX && cfg->tail_ns <= TAIL_MAX &&
		(cfg->forge_ppm == 0 || cfg->seal != NULL);
}

int
link_config(struct link *l, const struct link_config *cfg, uint64_t now)
{
	struct link_config old = l->cfg;
	bool clogged = l->clog_since < now && now < old.clog_until_ns;

	if (!valid(cfg))
		return -EINVAL;
	if (old.partition && !cfg->partition)
		end_partition(l, now);
	l->cfg = *cfg;
	if (!old.partition && cfg->partition)
		l->partition_since = now;
	if (!clogged)
		l->clog_since = now;
	else if (cfg->clog_until_ns < now)
		l->cfg.clog_until_ns = now;
	if (old.reorder_window != cfg->reorder_window) {
		for (uint32_t i = 0; i < l->n_held; i++)
			let_go(l, &l->held[i], now);
		l->n_held = 0;
	}
	if (old.rate_bps != cfg->rate_bps)
		l->bit_ns_left = 0;
	if (cfg->burst_begin_ppm == 0)
		l->bad = false;
	return 0;
}

void
link_partition(struct link *l, bool on, uint64_t now)
{
	struct link_config cfg = l->cfg;

	cfg.partition = on;
	link_config(l, &cfg, now);
}

void
link_clog(struct link *l, uint64_t until, uint64_t now)
{
	struct link_config cfg = l->cfg;

	cfg.clog_until_ns = until;
	link_config(l, &cfg, now);
}

int
link_init(struct link *l, struct link_pool *pool, uint64_t seed, const struct link_config *cfg)
{
	memset(l, 0, sizeof(*l));
	l->pool = pool;
	l->seed = link__random(seed, 0);
	return link_config(l, cfg, 0);
}

void
link_close(struct link *l)
{
	while (l->queue != NULL) {
		struct link_frame *f = l->queue;

		take(l, f);
		link__frame_put(l->pool, f);
	}
}

const struct link_stats *
link_stats(const struct link *l)
{
	return &l->stats;
}

uint64_t
link_trace_hash(const struct link *l)
{
	return l->trace;
}

const char *
link_loss_name(enum link_loss loss)
{
	static const char *const names[LINK_LOSS_COUNT] = {"kept", "size", "partition", "mask",
		"list", "random", "burst", "clip", "hook", "queue", "pool"};

	return loss < LINK_LOSS_COUNT ? names[loss] : "unknown";
}

const char *
link_damage_name(enum link_damage damage)
{
	static const char *const names[LINK_DAMAGE_COUNT] = {"intact", "flipped", "cut", "forged"};

	return damage < LINK_DAMAGE_COUNT ? names[damage] : "unknown";
}
