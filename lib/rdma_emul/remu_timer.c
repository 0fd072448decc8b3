/* SPDX-License-Identifier: BSD-3-Clause */
#include "remu_timer.h"

#include <rte_common.h>
#include <rte_malloc.h>

#include <errno.h>

int
remu_timers_init(struct remu_timers *t, uint32_t count, int socket_id)
{
	t->n = 0;
	t->heap = rte_zmalloc_socket(NULL, count * sizeof(*t->heap), RTE_CACHE_LINE_SIZE,
		socket_id);
	t->pos = rte_zmalloc_socket(NULL, count * sizeof(*t->pos), RTE_CACHE_LINE_SIZE, socket_id);
	if (t->heap == NULL || t->pos == NULL) {
		remu_timers_free(t);
		return -ENOMEM;
	}
	return 0;
}

void
remu_timers_free(struct remu_timers *t)
{
	rte_free(t->heap);
	rte_free(t->pos);
	t->heap = NULL;
	t->pos = NULL;
}

static bool
before(const struct remu_timer *a, const struct remu_timer *b)
{
	return a->deadline != b->deadline ? a->deadline < b->deadline : a->index < b->index;
}

static void
place(struct remu_timers *t, uint32_t at, struct remu_timer timer)
{
	t->heap[at] = timer;
	t->pos[timer.index] = at + 1;
}

/* Move a timer, whose place is a hole at `at`, up or down to where it belongs. */
static void
settle(struct remu_timers *t, uint32_t at, struct remu_timer timer)
{
	while (at > 0 && before(&timer, &t->heap[(at - 1) / 2])) {
		place(t, at, t->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < t->n && before(&t->heap[child + 1], &t->heap[child]))
			child++;
		if (child >= t->n || !before(&t->heap[child], &timer))
			break;
		place(t, at, t->heap[child]);
		at = child;
	}
	place(t, at, timer);
}

void
remu_timers_set(struct remu_timers *t, uint32_t index, uint64_t deadline)
{
	uint32_t at = t->pos[index] != 0 ? t->pos[index] - 1 : t->n++;

	settle(t, at, (struct remu_timer){.deadline = deadline, .index = index});
}

void
remu_timers_cancel(struct remu_timers *t, uint32_t index)
{
	uint32_t at = t->pos[index];

	if (at == 0)
		return;
	t->pos[index] = 0;
	t->n--;
	if (at - 1 != t->n)
		settle(t, at - 1, t->heap[t->n]);
}

bool
remu_timers_pop(struct remu_timers *t, uint64_t now, uint32_t *index)
{
	if (t->n == 0 || t->heap[0].deadline > now)
		return false;
	*index = t->heap[0].index;
	remu_timers_cancel(t, *index);
	return true;
}
