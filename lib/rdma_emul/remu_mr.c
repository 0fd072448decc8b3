/* SPDX-License-Identifier: BSD-3-Clause */
#include "remu_priv.h"

#include <errno.h>

static uint64_t
mr_key(uint32_t pd, uint32_t rkey)
{
	return (uint64_t)pd << 32 | rkey;
}

static bool
is_registered(const struct remu_mr *mr)
{
	return mr->generation & 1;
}

int
remu_mr_register(struct remu_engine *e, const struct remu_mr_config *cfg)
{
	uint32_t index = e->free_mr_hint;
	int rc;

	if (cfg->rkey == 0 || cfg->addr == NULL || cfg->length == 0 ||
		cfg->length - 1 > UINT64_MAX - cfg->va)
		return -EINVAL;
	/* Atomics are checked for the alignment of the VA, and carried out at the address. */
	if ((cfg->access & REMU_ACCESS_REMOTE_ATOMIC) &&
		((uintptr_t)cfg->addr - cfg->va) % REMU_ATOMIC_LEN != 0)
		return -EINVAL;
	for (uint32_t n = 0; is_registered(&e->mrs[index]); n++) {
		if (n == e->cfg.max_mrs)
			return -ENOSPC;
		index = (index + 1) % e->cfg.max_mrs;
	}
	rc = remu_table_add(&e->mr_table, mr_key(cfg->pd, cfg->rkey), index);
	if (rc != 0)
		return rc;
	e->mrs[index].cfg = *cfg;
	e->mrs[index].generation++;
	e->free_mr_hint = (index + 1) % e->cfg.max_mrs;
	return 0;
}

int
remu_mr_deregister(struct remu_engine *e, uint32_t pd, uint32_t rkey)
{
	uint32_t index = remu_table_find(&e->mr_table, mr_key(pd, rkey));

	if (index == REMU_TABLE_NONE)
		return -ENOENT;
	remu_table_remove(&e->mr_table, mr_key(pd, rkey));
	e->mrs[index].generation++;
	e->free_mr_hint = index;
	return 0;
}

const struct remu_mr *
remu__mr_find(const struct remu_engine *e, uint32_t pd, uint32_t rkey, uint64_t va, uint64_t length,
	uint32_t access)
{
	uint32_t index = remu_table_find(&e->mr_table, mr_key(pd, rkey));
	const struct remu_mr *mr;

	if (index == REMU_TABLE_NONE)
		return NULL;
	mr = &e->mrs[index];
	/* Subtracting cannot wrap where adding could. */
	if (length > mr->cfg.length || va < mr->cfg.va || va - mr->cfg.va > mr->cfg.length - length)
		return NULL;
	return (mr->cfg.access & access) == access ? mr : NULL;
}
