/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What runs with two nodes ask again and again.
 */
#include "sim.h"

uint64_t
sim_pair_until_up(struct sim_world *w, uint32_t limit_ms)
{
	uint64_t start = w->now, end = start + limit_ms * SIM_MS;

	while (!sim_both_up(w, 0, 1)) {
		SIM_CHECK(w, w->now < end, "%s and %s after %u ms",
			ccm_state_name(w->nodes[0].peers[0].state),
			ccm_state_name(w->nodes[1].peers[0].state), limit_ms);
		sim_world_step(w, end);
	}
	return w->now - start;
}

void
sim_pair_stay_up(struct sim_world *w, uint64_t ns)
{
	w->settled = true;
	sim_world_run(w, ns);
	w->settled = false;
	SIM_CHECK(w, sim_both_up(w, 0, 1), "what was up does not stay up");
}

void
sim_pair_to_event(struct sim_world *w, uint64_t event)
{
	w->stop_at = event;
	while (w->n_events < event)
		sim_world_step(w, SIM_NEVER);
	w->stop_at = SIM_NEVER;
}
