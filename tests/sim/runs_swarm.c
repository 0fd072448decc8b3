/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Worlds with faults. While there are faults, only safety is asked for. Once they have ended, all
 * pairs that can agree come up within a bounded time and stay up, the others say why not; and who
 * is stopped then leaves nothing behind.
 */
#include "sim.h"

#include <string.h>

enum {
	NODES_MAX = 5,
	STOP_LIMIT_MS = 600, /* a node waits at most half a second for its partners to see it */
};

static uint64_t
longest(const struct sim_world *w, bool search)
{
	uint64_t us = 0;

	for (uint32_t i = 0; i < w->n_nodes; i++) {
		const struct ccm_timing *t = &w->nodes[i].cfg.timing;

		us = RTE_MAX(us, (uint64_t)(search ? t->search_us : t->dead_after_us));
	}
	return us * SIM_US;
}

/* What a session must have come to. */
static bool
is_settled(const struct sim_world *w, uint32_t a, uint32_t b)
{
	const struct sim_node *n = &w->nodes[a], *o = &w->nodes[b];
	enum ccm_reason refusal = sim_oracle_refusal(n, o);
	const struct ccm_session *s;

	if (!sim_truth_settled(w, n, sim_peer_index(n, b)))
		return false;
	if (refusal == CCM_REASON_NONE)
		return sim_both_up(w, a, b);
	s = &sim_ccm_peer(n, sim_peer_index(n, b))->session;
	return s->state == CCM_REFUSED && s->reason == refusal;
}

static bool
all_settled(const struct sim_world *w)
{
	for (uint32_t a = 0; a < w->n_nodes; a++)
		for (uint32_t b = 0; b < w->n_nodes; b++)
			if (a != b && !is_settled(w, a, b))
				return false;
	return true;
}

static void
fail_unsettled(struct sim_world *w)
{
	for (uint32_t a = 0; a < w->n_nodes; a++)
		for (uint32_t b = 0; b < w->n_nodes; b++) {
			const struct sim_node *n = &w->nodes[a];
			const struct ccm_session *s;

			if (a == b || (is_settled(w, a, b)))
				continue;
			s = &sim_ccm_peer(n, sim_peer_index(n, b))->session;
			sim_fail(w, "node %u is %s (%s, %s) with node %u, long after the faults", a,
				ccm_state_name(s->state), ccm_reason_name(s->reason),
				ccm_verdict_name(n->peers[sim_peer_index(n, b)].verdict), b);
		}
	sim_fail(w, "sessions come and go, long after the faults");
}

/*
 * Until all are settled and have been so for the detection time: who is still up with an attempt
 * that is over gives up within it.
 */
static void
converge(struct sim_world *w)
{
	uint64_t limit = 300 * SIM_MS + 40 * longest(w, false) + 20 * longest(w, true);
	uint64_t calm = longest(w, false) + 2 * w->beat_us * SIM_US + 8 * w->delay_ns;
	uint64_t start = w->now, since = SIM_NEVER;
	uint64_t downs = w->counts.downs;

	while (since == SIM_NEVER || w->now < since + calm) {
		if (!all_settled(w) || w->counts.downs != downs)
			since = SIM_NEVER;
		else if (since == SIM_NEVER)
			since = w->now;
		downs = w->counts.downs;
		if (w->now - start >= limit)
			fail_unsettled(w);
		sim_world_step(w,
			RTE_MIN(start + limit, since == SIM_NEVER ? since : since + calm));
	}
	w->counts.converge_max = RTE_MAX(w->counts.converge_max, since - start);
	sim_log(w, "all settled after %.3f ms", (double)(since - start) / (double)SIM_MS);
}

static bool
all_stopped(const struct sim_world *w)
{
	for (uint32_t i = 0; i < w->n_nodes; i++)
		if (!ccm_stopped(w->nodes[i].ccm))
			return false;
	return true;
}

static void
stop_all(struct sim_world *w)
{
	uint64_t end = w->now + STOP_LIMIT_MS * SIM_MS;

	for (uint32_t i = 0; i < w->n_nodes; i++)
		sim_node_stop(w, &w->nodes[i]);
	while (!all_stopped(w) && w->now < end)
		sim_world_step(w, end);
	SIM_CHECK(w, all_stopped(w), "a node has not stopped in %d ms", STOP_LIMIT_MS);
	/* What is under way ends too. */
	sim_world_run(w, 20 * SIM_MS);
	for (uint32_t i = 0; i < w->n_nodes; i++)
		sim_oracle_check_stopped(w, &w->nodes[i]);
}

/*
 * A copy of a READ that comes too late to be known as a copy takes the PSN over (R8), and then the
 * partner's next WRITE fails after all its repetitions: with short detection times that can end a
 * session. So in worlds with such copies sessions need not stay up.
 */
static void
stay_up(struct sim_world *w)
{
	if (w->late_copies && !w->strict_late)
		return;
	w->settled = true;
	sim_world_run(w, longest(w, false) + 2 * SIM_MS);
	SIM_CHECK(w, all_settled(w), "what was up does not stay up");
}

static void
one_seed(struct sim_world *w, uint64_t seed)
{
	uint32_t n_nodes = 2;
	uint64_t delay;

	sim_world_reset(w, seed, SIM_MESH, n_nodes, 1000);
	if (sim_chance(w, LINK_PPM / 8))
		n_nodes = 3 + (uint32_t)sim_below(w, NODES_MAX - 2);
	delay = (uint64_t)1000 << sim_below(w, 8);
	sim_world_reset(w, seed, SIM_MESH, n_nodes, delay);
	sim_log(w, "seed %lu: %u nodes, %lu ns one way", (unsigned long)seed, n_nodes,
		(unsigned long)delay);
	sim_faults_draw(w);
	while (w->faulty)
		sim_world_step(w, SIM_NEVER);
	converge(w);
	stay_up(w);
	if (sim_chance(w, LINK_PPM / 4))
		stop_all(w);
	w->settled = false;
	sim_world_end(w);
}

int
sim_run_seed(struct sim_world *w, const struct sim_options *opt)
{
	w->verbose = opt->verbose;
	one_seed(w, opt->first);
	printf("seed %lu: %lu events, %lu frames, hash %016lx\n", (unsigned long)opt->first,
		(unsigned long)w->counts.events, (unsigned long)w->counts.frames,
		(unsigned long)w->hash);
	return 0;
}

int
sim_run_swarm(struct sim_world *w, const struct sim_options *opt)
{
	const struct sim_counts *c = &w->counts;
	uint64_t hash = 0, seeds = 0;

	for (uint64_t i = opt->job; i < opt->seeds; i += opt->jobs) {
		w->verbose = opt->verbose;
		one_seed(w, opt->first + i);
		hash += w->hash * (2 * i + 1);
		seeds++;
	}
	printf("swarm: %lu seeds from %lu, %.3f s of virtual time, %lu events, %lu frames, %lu "
	       "beats\n"
	       "       %lu attempts, %lu ups, %lu downs, %lu refusals, %lu exchanges of data\n"
	       "       %lu faults: %lu crashes, %lu frames forged, %lu torn, %lu old answers, "
	       "%lu old writes, %lu to ports; %lu bad records noticed\n"
	       "       settled within %.3f ms; hash %016lx\n",
		(unsigned long)seeds, (unsigned long)(opt->first + opt->job),
		(double)c->nanoseconds / 1e9, (unsigned long)c->events, (unsigned long)c->frames,
		(unsigned long)c->beats, (unsigned long)c->attempts, (unsigned long)c->ups,
		(unsigned long)c->downs, (unsigned long)c->refused, (unsigned long)c->exchanges,
		(unsigned long)c->faults, (unsigned long)c->crashes, (unsigned long)c->forged,
		(unsigned long)c->spliced, (unsigned long)c->stale, (unsigned long)c->stale_writes,
		(unsigned long)c->stale_ports, (unsigned long)c->records_bad,
		(double)c->converge_max / 1e6, (unsigned long)hash);
	return 0;
}
