/* SPDX-License-Identifier: BSD-3-Clause */
/* How far a node has booted: by a script, and told to its partners. */
#include "sim.h"

#include <string.h>

enum { STEP_MAX_US = 3000 };

void
sim_boot_draw(struct sim_world *w, struct sim_boot_script *script)
{
	static const uint32_t budgets[] = {0, 1, 2, 4, 8};
	static const uint64_t stalls[] = {2 * SIM_MS, 10 * SIM_MS, SIM_NEVER};

	memset(script, 0, sizeof(*script));
	if (sim_chance(w, LINK_PPM / 2))
		return;
	script->n = 1 + (uint32_t)sim_below(w, SIM_STAGES);
	for (uint32_t i = 0; i < script->n; i++) {
		script->stages[i].budget_ms = budgets[sim_below(w, RTE_DIM(budgets))];
		script->stages[i].steps = (uint32_t)sim_below(w, 4);
		script->stages[i].step_ns = sim_below(w, STEP_MAX_US) * SIM_US;
	}
	if (sim_chance(w, LINK_PPM / 2))
		return;
	script->stall_stage = 1 + (uint32_t)sim_below(w, script->n);
	script->stall_step = (uint32_t)sim_below(w, 4);
	script->stall_ns = stalls[sim_below(w, RTE_DIM(stalls))];
}

/* Tell it, and remember since when it is so. */
static void
report(struct sim_world *w, struct sim_node *n, uint64_t local)
{
	const struct sim_boot_script *script = &n->cfg.boot;
	struct ccm_boot_status status = {
		.stage = n->boot_stage,
		.stages = (uint16_t)script->n,
		.progress = n->boot_progress,
		.budget_ms = script->stages[n->boot_stage - 1].budget_ms,
		.name = "stage",
	};

	n->boot[n->n_boot++ % SIM_BOOT_CHANGES] = (struct sim_boot_change){
		.at = w->now,
		.incarnation = n->incarnation,
		.clock_ppm = n->cfg.clock_ppm,
		.stage = n->boot_stage,
		.progress = n->boot_progress,
	};
	sim_log(w, "node %u: boot stage %u of %u, progress %u, budget %u ms", n->index,
		status.stage, status.stages, status.progress, status.budget_ms);
	if (ccm_boot_report(n->ccm, &status, local) != 0)
		sim_fail(w, "node %u: the boot stage is not taken", n->index);
}

/* When the next step is due. */
static uint64_t
next_step(const struct sim_node *n, uint64_t local)
{
	const struct sim_boot_script *script = &n->cfg.boot;

	if (sim_boot_done(n))
		return SIM_NEVER;
	if (n->boot_stage == script->stall_stage && n->boot_progress == script->stall_step) {
		if (script->stall_ns == SIM_NEVER)
			return SIM_NEVER;
		local += script->stall_ns;
	}
	return local + script->stages[n->boot_stage - 1].step_ns;
}

void
sim_boot_start(struct sim_world *w, struct sim_node *n)
{
	uint64_t local = sim_node_local(n, w->now);

	n->boot_stage = 0;
	n->boot_progress = 0;
	n->boot_next = SIM_NEVER;
	if (n->cfg.boot.n == 0)
		return;
	n->boot_stage = 1;
	report(w, n, local);
	n->boot_next = next_step(n, local);
}

void
sim_boot_turn(struct sim_world *w, struct sim_node *n, uint64_t local)
{
	if (n->boot_progress < n->cfg.boot.stages[n->boot_stage - 1].steps) {
		n->boot_progress++;
	} else {
		n->boot_stage++;
		n->boot_progress = 0;
	}
	report(w, n, local);
	n->boot_next = next_step(n, local);
}
