/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Binary heap of deadlines, one per small index, ordered by (deadline, index): ties are
 * deterministic. One owner, no allocation after remu_timers_init().
 */

#include <stdbool.h>
#include <stdint.h>

struct remu_timer {
	uint64_t deadline;
	uint32_t index;
};

struct remu_timers {
	struct remu_timer *heap;
	uint32_t *pos; /* place in the heap plus one, by index; 0: not armed */
	uint32_t n;
};

/** Room for indices below `count`. @return 0 or -ENOMEM */
int remu_timers_init(struct remu_timers *t, uint32_t count, int socket_id);
void remu_timers_free(struct remu_timers *t);

/** Arm, or move to another deadline. */
void remu_timers_set(struct remu_timers *t, uint32_t index, uint64_t deadline);
void remu_timers_cancel(struct remu_timers *t, uint32_t index);

static inline bool
remu_timers_armed(const struct remu_timers *t, uint32_t index)
{
	return t->pos[index] != 0;
}

/** Deadline of an index that is armed. */
static inline uint64_t
remu_timers_deadline(const struct remu_timers *t, uint32_t index)
{
	return t->heap[t->pos[index] - 1].deadline;
}

/** The earliest deadline; UINT64_MAX when none is armed. */
static inline uint64_t
remu_timers_next(const struct remu_timers *t)
{
	return t->n == 0 ? UINT64_MAX : t->heap[0].deadline;
}

/** Take a timer that is due. @return false when none is */
bool remu_timers_pop(struct remu_timers *t, uint64_t now, uint32_t *index);
