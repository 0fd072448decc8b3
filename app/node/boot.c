/* SPDX-License-Identifier: BSD-3-Clause */
#include "boot.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { NS_PER_MS = 1000000 };

static uint32_t
stage_of(const struct node_boot *b)
{
	return (uint32_t)(atomic_load_explicit(&b->now, memory_order_relaxed) >> 32);
}

static void
set(struct node_boot *b, uint32_t stage, uint32_t progress, uint64_t now)
{
	atomic_store_explicit(&b->now, (uint64_t)stage << 32 | progress, memory_order_relaxed);
	b->progress_ns = now + (uint64_t)b->stages[stage].progress_ms * NS_PER_MS;
}

static void
enter(struct node_boot *b, uint32_t stage, uint32_t progress, uint64_t now)
{
	b->stage_ns = now;
	set(b, stage, progress, now);
}

void
node_boot_init(struct node_boot *b, const struct node_config *cfg, uint64_t now)
{
	*b = (struct node_boot){.stages = cfg->boot_stages, .n_stages = cfg->n_boot_stages};
	if (b->n_stages != 0)
		enter(b, 0, 0, now);
}

/* A stage without script_ms lasts until somebody tells another one. */
static bool
script(struct node_boot *b, uint64_t now)
{
	uint32_t i = stage_of(b);
	const struct node_boot_stage *stage = &b->stages[i];

	if (b->told)
		return false;
	if (stage->script_ms != 0 && i + 1 < b->n_stages &&
		now - b->stage_ns >= (uint64_t)stage->script_ms * NS_PER_MS) {
		enter(b, i + 1, 0, now);
		return true;
	}
	if (stage->progress_ms == 0 || now < b->progress_ns)
		return false;
	set(b, i, (uint32_t)atomic_load_explicit(&b->now, memory_order_relaxed) + 1, now);
	return true;
}

bool
node_boot_poll(struct node_boot *b, uint64_t now)
{
	uint64_t request;

	if (b->n_stages == 0)
		return false;
	request = atomic_load_explicit(&b->request, memory_order_relaxed);
	if (request == 0)
		return script(b, now);
	request = atomic_exchange(&b->request, 0);
	b->told = true;
	enter(b, (uint32_t)(request >> 32) - 1, (uint32_t)request, now);
	return true;
}

void
node_boot_status(const struct node_boot *b, struct ccm_boot_status *out)
{
	uint64_t now = atomic_load_explicit(&b->now, memory_order_relaxed);
	const struct node_boot_stage *stage;

	*out = (struct ccm_boot_status){.stages = (uint16_t)b->n_stages};
	if (b->n_stages == 0)
		return;
	stage = &b->stages[now >> 32];
	out->stage = (uint16_t)((now >> 32) + 1);
	out->progress = (uint32_t)now;
	out->budget_ms = __atomic_load_n(&stage->budget_ms, __ATOMIC_RELAXED); /* reloading */
	memcpy(out->name, stage->name, sizeof(out->name));
}

int
node_boot_request(struct node_boot *b, const char *name, uint32_t progress)
{
	for (uint32_t i = 0; i < b->n_stages; i++) {
		if (strcmp(b->stages[i].name, name) != 0)
			continue;
		atomic_store(&b->request, (uint64_t)(i + 1) << 32 | progress);
		return 0;
	}
	return -ENOENT;
}
