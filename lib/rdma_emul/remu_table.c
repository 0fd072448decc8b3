/* SPDX-License-Identifier: BSD-3-Clause */
#include "remu_table.h"

#include <rte_common.h>
#include <rte_malloc.h>

#include <errno.h>

int
remu_table_init(struct remu_table *t, uint32_t entries, int socket_id)
{
	uint32_t slots = rte_align32pow2(RTE_MAX(entries, 1u) * 2);

	t->slots = rte_malloc_socket(NULL, slots * sizeof(*t->slots), RTE_CACHE_LINE_SIZE,
		socket_id);
	if (t->slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < slots; i++)
		t->slots[i] = (struct remu_table_slot){.index = REMU_TABLE_NONE};
	t->mask = slots - 1;
	t->used = 0;
	t->limit = slots / 2;
	return 0;
}

void
remu_table_free(struct remu_table *t)
{
	rte_free(t->slots);
	t->slots = NULL;
}

int
remu_table_add(struct remu_table *t, uint64_t key, uint32_t index)
{
	uint32_t i = remu_table_home(t, key);

	while (t->slots[i].index != REMU_TABLE_NONE) {
		if (t->slots[i].key == key)
			return -EEXIST;
		i = (i + 1) & t->mask;
	}
	if (t->used == t->limit)
		return -ENOSPC;
	t->slots[i] = (struct remu_table_slot){.key = key, .index = index};
	t->used++;
	return 0;
}

void
remu_table_remove(struct remu_table *t, uint64_t key)
{
	uint32_t hole = remu_table_home(t, key);

	while (t->slots[hole].index != REMU_TABLE_NONE && t->slots[hole].key != key)
		hole = (hole + 1) & t->mask;
	if (t->slots[hole].index == REMU_TABLE_NONE)
		return;
	/* Whoever was pushed past the hole by a collision moves back into it. */
	for (uint32_t i = (hole + 1) & t->mask; t->slots[i].index != REMU_TABLE_NONE;
		i = (i + 1) & t->mask) {
		uint32_t home = remu_table_home(t, t->slots[i].key);

		if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	}
	t->slots[hole].index = REMU_TABLE_NONE;
	t->used--;
}
