/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Packets a queue pair may have in flight: the configured window until switches report
 * congestion; then halved at most once per round trip, and one more packet per window
 * acknowledged (additive increase, multiplicative decrease, as RFC 5681; the floor lets the peer
 * answer). Pure; integers only.
 */

#include <stdint.h>

enum {
	REMU_WINDOW_FLOOR = 2,
	REMU_WINDOW_CUT_NS = 50000, /* cuts are that far apart even without a measured round trip */
};

struct remu_window {
	uint32_t max;
	uint32_t now;	/* packets */
	uint32_t acked; /* since the last increase */
	uint64_t cut_at;
};

static inline void
remu_window_init(struct remu_window *w, uint32_t max)
{
	*w = (struct remu_window){.max = max, .now = max};
}

/* The peer has seen packets that were marked on their way. */
static inline void
remu_window_cut(struct remu_window *w, uint64_t now, uint64_t rtt_ns)
{
	uint64_t apart = rtt_ns > REMU_WINDOW_CUT_NS ? rtt_ns : REMU_WINDOW_CUT_NS;

	if (w->cut_at != 0 && now - w->cut_at < apart)
		return;
	w->cut_at = now != 0 ? now : 1;
	w->acked = 0;
	w->now /= 2;
	if (w->now < REMU_WINDOW_FLOOR)
		w->now = w->max < REMU_WINDOW_FLOOR ? w->max : REMU_WINDOW_FLOOR;
}

static inline void
remu_window_acked(struct remu_window *w, uint32_t packets)
{
	if (w->now == w->max)
		return;
	w->acked += packets;
	if (w->acked >= w->now) {
		w->acked = 0;
		w->now++;
	}
}
