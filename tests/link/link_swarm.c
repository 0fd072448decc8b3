/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"
#include "link_priv.h"

#include <inttypes.h>
#include <stdarg.h>

/* The draws of one swarm. */
struct swarm {
	uint64_t seed;
	uint64_t n;
};

static uint64_t
next(struct swarm *s)
{
	return link__random(s->seed, s->n++);
}

static bool
coin(struct swarm *s)
{
	return next(s) >> 63 != 0;
}

static uint64_t
between(struct swarm *s, uint64_t low, uint64_t high)
{
	return low + link__below(next(s), high - low + 1);
}

/* A rate from 0.1 % up to the highest; small ones are as likely as large ones. */
static uint32_t
rate(struct swarm *s, uint32_t highest_ppm)
{
	uint64_t doublings = between(s, 0, 8);
	uint64_t ppm = highest_ppm >> doublings;

	return (uint32_t)(ppm > 1000 ? ppm : 1000);
}

void
link_swarm(uint64_t seed, struct link_config *cfg, FILE *out)
{
	struct swarm s = {.seed = link__random(seed, 1)};
	struct link_config drawn = {
		.delay_ns = cfg->delay_ns,
		.damage_from = cfg->damage_from,
		.seal = cfg->seal,
		.hook = cfg->hook,
		.ctx = cfg->ctx,
	};
	char line[512];

	if (coin(&s))
		drawn.loss_ppm = rate(&s, 200000);
	if (coin(&s)) {
		drawn.burst_begin_ppm = rate(&s, 20000);
		drawn.burst_end_ppm = (uint32_t)between(&s, 50000, 500000);
		drawn.burst_loss_ppm = (uint32_t)between(&s, 500000, LINK_PPM);
	}
	if (coin(&s)) {
		drawn.mask_bits = 64;
		drawn.loss_mask = next(&s) & next(&s) & next(&s) & next(&s);
	}
	if (coin(&s)) {
		drawn.duplicate_ppm = rate(&s, 500000);
		drawn.copies_max = (uint32_t)between(&s, 1, 3);
		drawn.duplicate_max_ns = (uint64_t)1000 << between(&s, 0, 23);
	}
	if (coin(&s)) {
		drawn.reorder_ppm = rate(&s, 500000);
		drawn.reorder_window = (uint32_t)1 << between(&s, 0, 6);
		drawn.reorder_ns = (uint64_t)1000 << between(&s, 2, 12);
	}
	if (coin(&s))
		drawn.jitter_ns = (uint64_t)1000 << between(&s, 0, 10);
	if (coin(&s)) {
		drawn.tail_ns = (uint64_t)1000 << between(&s, 0, 8);
		drawn.tail_cap_ns = 16 * drawn.tail_ns;
	}
	if (coin(&s)) {
		drawn.rate_bps = (uint64_t)100000000 << between(&s, 0, 10);
		drawn.queue_limit = (uint64_t)16384 << between(&s, 0, 6);
	}
	if (coin(&s))
		drawn.flip_ppm = rate(&s, 50000);
	if (coin(&s))
		drawn.cut_ppm = rate(&s, 50000);
	if (coin(&s) && cfg->seal != NULL)
		drawn.forge_ppm = rate(&s, 50000);
	if (coin(&s) && coin(&s) && coin(&s))
		drawn.clip = (uint32_t)between(&s, 300, 2000);
	*cfg = drawn;
	if (out != NULL) {
		link_describe(cfg, line, sizeof(line));
		fprintf(out, "seed %" PRIu64 ": %s\n", seed, line);
	}
}

/* Text that grows; what does not fit is left out. */
struct text {
	char *buf;
	size_t size;
	size_t len;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->buf + t->len, t->size - t->len, format, args);
	va_end(args);
	if (n > 0)
		t->len += (size_t)n < t->size - t->len ? (size_t)n : t->size - t->len - 1;
}

void
link_describe(const struct link_config *cfg, char *buf, size_t size)
{
	struct text t = {buf, size, 0};

	put(&t, "delay %" PRIu64, cfg->delay_ns);
	if (cfg->jitter_ns != 0)
		put(&t, " jitter %" PRIu64, cfg->jitter_ns);
	if (cfg->tail_ns != 0)
		put(&t, " tail %" PRIu64 " cap %" PRIu64, cfg->tail_ns, cfg->tail_cap_ns);
	put(&t, " ns");
	if (cfg->loss_ppm != 0)
		put(&t, ", loss %u ppm", cfg->loss_ppm);
	if (cfg->burst_begin_ppm != 0)
		put(&t, ", burst begin %u end %u loss %u ppm", cfg->burst_begin_ppm,
			cfg->burst_end_ppm, cfg->burst_loss_ppm);
	if (cfg->mask_bits != 0)
		put(&t, ", mask %016" PRIx64 "/%u", cfg->loss_mask, cfg->mask_bits);
	if (cfg->n_lost != 0)
		put(&t, ", list of %u", cfg->n_lost);
	if (cfg->duplicate_ppm != 0)
		put(&t, ", duplicate %u ppm copies %u after %" PRIu64 "-%" PRIu64 " ns",
			cfg->duplicate_ppm, cfg->copies_max != 0 ? cfg->copies_max : 1,
			cfg->duplicate_min_ns, cfg->duplicate_max_ns);
	if (cfg->reorder_window != 0)
		put(&t, ", reorder %u ppm window %u within %" PRIu64 " ns", cfg->reorder_ppm,
			cfg->reorder_window, cfg->reorder_ns);
	if (cfg->rate_bps != 0)
		put(&t, ", rate %" PRIu64 " bit/s queue %" PRIu64, cfg->rate_bps, cfg->queue_limit);
	if (cfg->flip_ppm != 0)
		put(&t, ", flip %u ppm", cfg->flip_ppm);
	if (cfg->cut_ppm != 0)
		put(&t, ", cut %u ppm", cfg->cut_ppm);
	if (cfg->forge_ppm != 0)
		put(&t, ", forge %u ppm", cfg->forge_ppm);
	if (cfg->clip != 0)
		put(&t, ", clip %u", cfg->clip);
	if (cfg->partition)
		put(&t, ", partition");
	if (cfg->clog_until_ns != 0)
		put(&t, ", clog until %" PRIu64, cfg->clog_until_ns);
	if (cfg->hook != NULL)
		put(&t, ", hook");
}
