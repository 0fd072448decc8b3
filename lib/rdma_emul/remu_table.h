/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Fixed-size hash table from a 64-bit key to a small index: open addressing with linear probing,
 * deletion by moving entries back, so lookups never meet tombstones. One owner, no allocation
 * after remu_table_init().
 */

#include <stdint.h>

#define REMU_TABLE_NONE UINT32_MAX

struct remu_table_slot {
	uint64_t key;
	uint32_t index; /* REMU_TABLE_NONE: free */
};

struct remu_table {
	struct remu_table_slot *slots;
	uint32_t mask;
	uint32_t used;
	uint32_t limit; /* entries at most: half the slots */
};

/** Room for `entries`. @return 0 or -ENOMEM */
int remu_table_init(struct remu_table *t, uint32_t entries, int socket_id);
void remu_table_free(struct remu_table *t);

/** @return 0, -EEXIST or -ENOSPC */
int remu_table_add(struct remu_table *t, uint64_t key, uint32_t index);
void remu_table_remove(struct remu_table *t, uint64_t key);

/* Fibonacci hashing: the multiplier is 2^64 divided by the golden ratio (Knuth, volume 3, 6.4). */
static inline uint32_t
remu_table_home(const struct remu_table *t, uint64_t key)
{
	return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 32) & t->mask;
}

/** @return the index, or REMU_TABLE_NONE */
static inline uint32_t
remu_table_find(const struct remu_table *t, uint64_t key)
{
	uint32_t i = remu_table_home(t, key);

	while (t->slots[i].index != REMU_TABLE_NONE && t->slots[i].key != key)
		i = (i + 1) & t->mask;
	return t->slots[i].index;
}
