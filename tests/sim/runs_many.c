/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many partners: a hub with all that a node may have, or a mesh. In each round some nodes die, flap
 * or are overloaded. Sessions between the others go on as if nothing had happened; when the round is
 * over all are up again, and nothing is left of what has been.
 */
#include "sim.h"

#include <string.h>

enum {
	DELAY_NS = 5000, /* one way */
	BEAT_US = 5000,
	DEAD_US = 50000,
	ROUNDS = 12,
	VICTIMS_MAX = 4,
	SLICE_US = 500,
	ROUND_MS = 240,
	UP_LIMIT_MS = 2000,
	QUIET_MS = 250, /* all requests of clients have ended, or have been given up */
	BUSY_PERCENT = 80,
	FLOOD = 40,
	FLOOD_NODES = 16, /* with more it only takes time */
	HUB_CRASH = 6,	  /* in a star: one round of so many takes the hub as well */
};

enum trouble { CRASH, FLAP, OVERLOAD, TROUBLES };

struct victim {
	uint32_t node;
	enum trouble trouble;
	uint64_t period; /* of a flap, or of an overload */
	uint64_t next;
	uint64_t end;
	bool on;
};

struct round {
	uint32_t n;
	struct victim victims[VICTIMS_MAX];
	bool struck[SIM_NODES];
};

static struct sim_holding base[SIM_NODES];

struct tally {
	uint64_t troubles[TROUBLES];
	uint64_t recoveries;
	uint64_t slowest;
};

static void
draw_node(struct sim_world *w, struct sim_node_config *cfg, uint32_t n_peers)
{
	sim_node_default(cfg);
	cfg->n_clients = 2;
	cfg->clients[0] = (struct ccm_client_config){.name = "mon", .ports = 1, .memory = 4096};
	cfg->clients[1] = (struct ccm_client_config){.name = "nvlog", .ports = 2, .memory = 8192};
	cfg->timing = (struct ccm_timing){.beat_us = BEAT_US,
		.dead_after_us = DEAD_US,
		.retry_us = 1000,
		.retry_cnt = 3,
		.search_us = 2 * DEAD_US};
	/* So small that the clients of one partner could fill it if they were let. */
	cfg->channel_depth = rte_align32pow2(RTE_MAX(16u, 8 * n_peers));
	cfg->clock_ppm = (int32_t)sim_below(w, 20001) - 10000;
	cfg->control_lag_ns = 20000;
	cfg->data_lag_ns = 2000;
	cfg->traffic_ns = 4 * SIM_MS;
	cfg->flood = w->n_nodes <= FLOOD_NODES ? FLOOD : 0;
}

static bool
all_up(const struct sim_world *w)
{
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		const struct sim_node *n = &w->nodes[i];

		for (uint32_t p = 0; p < n->n_peers; p++)
			if (!n->running || n->peers[p].state != CCM_UP ||
				n->peers[p].verdict != CCM_VERDICT_UP)
				return false;
	}
	return true;
}

static void
fail_not_up(struct sim_world *w)
{
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		const struct sim_node *n = &w->nodes[i];

		for (uint32_t p = 0; p < n->n_peers; p++)
			if (n->running && n->peers[p].state != CCM_UP)
				sim_fail(w, "node %u is %s with node %u (%s)", i,
					ccm_state_name(n->peers[p].state), n->peers[p].other,
					ccm_verdict_name(n->peers[p].verdict));
	}
	sim_fail(w, "not all are up after %d ms", UP_LIMIT_MS);
}

/* Until all are up, for longer than an error takes to show. */
static void
run_until_up(struct sim_world *w, struct tally *tally)
{
	uint64_t start = w->now, end = start + UP_LIMIT_MS * SIM_MS;

	while (!all_up(w)) {
		if (w->now >= end)
			fail_not_up(w);
		sim_world_run(w, SLICE_US * SIM_US);
	}
	tally->slowest = RTE_MAX(tally->slowest, w->now - start);
	w->settled = true;
	sim_world_run(w, (DEAD_US + 2 * BEAT_US) * SIM_US);
	w->settled = false;
	SIM_CHECK(w, all_up(w), "what was up does not stay up");
}

/* Timers of queue pairs that are there, and when clients rest of none but the bootstrap's. */
static void
check_timers(struct sim_world *w, const struct sim_node *n)
{
	const struct remu_timers *t = &n->engine->timers;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct remu_qp *qp = &n->engine->qps[t->heap[i].index];

		SIM_CHECK(w, qp->in_use && qp->qpn >= SIM_QPN && qp->qpn < SIM_QPN + SIM_NODES,
			"node %u: a timer of a queue pair without work is armed", n->index);
	}
}

static void
check_clients(struct sim_world *w, const struct sim_node *n)
{
	uint64_t all = n->n_peers == 64 ? UINT64_MAX : (UINT64_C(1) << n->n_peers) - 1;
	uint32_t k = 0;

	for (uint32_t i = 0; i < CCM_CLIENT_SLOTS; i++) {
		const struct ccm_client *c = &n->ccm->clients[i];

		if (c->life == CCM_CLIENT_FREE)
			continue;
		SIM_CHECK(w,
			c->life == CCM_CLIENT_LIVE && c->up == all && c->release_due == 0 &&
				c->n_ports == c->want.ports * n->n_peers,
			"node %u: client %s has %u ports", n->index, c->want.name, c->n_ports);
		k++;
	}
	SIM_CHECK(w, k == n->cfg.n_clients, "node %u has %u clients", n->index, k);
}

/* With clients at rest everybody holds what he held when all were up for the first time. */
static void
check_holdings(struct sim_world *w, bool first)
{
	uint64_t quiet = w->now + QUIET_MS * SIM_MS;
	bool rest = false;

	w->hushed = true;
	while (w->now < quiet || !rest) {
		SIM_CHECK(w, w->now < quiet + UP_LIMIT_MS * SIM_MS, "the nodes never rest");
		sim_world_step(w, SIM_NEVER);
		rest = w->frames.n_free == w->frames.n_frames;
		for (uint32_t i = 0; i < w->n_nodes && rest; i++)
			rest = w->nodes[i].channel->in_flight == 0 && w->nodes[i].n_waiting == 0;
	}
	SIM_CHECK(w, all_up(w), "what was up does not stay up");
	SIM_CHECK(w, rte_mempool_in_use_count(w->pool) == 0, "%u mbufs are kept",
		rte_mempool_in_use_count(w->pool));
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		const struct sim_node *n = &w->nodes[i];

		check_timers(w, n);
		check_clients(w, n);
		if (first)
			base[i] = sim_node_holding(n);
		sim_node_check_holding(w, n, &base[i]);
	}
	w->hushed = false;
}

static void
draw_round(struct sim_world *w, struct round *round)
{
	static const uint64_t periods[] = {BEAT_US / 2, BEAT_US, 4 * BEAT_US, DEAD_US, 2 * DEAD_US};
	bool star = w->shape == SIM_STAR;

	memset(round, 0, sizeof(*round));
	round->n = 1 + (uint32_t)sim_below(w, RTE_MIN((uint32_t)VICTIMS_MAX, w->n_nodes - 2));
	for (uint32_t i = 0; i < round->n; i++) {
		struct victim *v = &round->victims[i];

		do {
			v->node = (uint32_t)sim_below(w, w->n_nodes);
			if (star && v->node == 0 && sim_below(w, HUB_CRASH) != 0)
				v->node = 1;
		} while (round->struck[v->node]);
		round->struck[v->node] = true;
		v->trouble = (enum trouble)sim_below(w, TROUBLES);
		v->period = periods[sim_below(w, RTE_DIM(periods))] * SIM_US;
		v->next = w->now + sim_below(w, 20 * SIM_MS);
		v->end = w->now + ROUND_MS * SIM_MS / 2 + sim_below(w, ROUND_MS * SIM_MS / 2);
	}
}

static void
cut_off(struct sim_world *w, uint32_t node, bool on)
{
	const struct sim_node *n = &w->nodes[node];

	for (uint32_t p = 0; p < n->n_peers; p++) {
		sim_faults_cut(w, node, n->peers[p].other, on);
		sim_faults_cut(w, n->peers[p].other, node, on);
	}
}

/* What is due of one trouble. */
static void
strike(struct sim_world *w, struct victim *v)
{
	struct sim_node *n = &w->nodes[v->node];

	if (w->now < v->next)
		return;
	if (w->now >= v->end) {
		if (!n->running)
			sim_node_boot(w, n, &n->cfg);
		if (v->on && v->trouble == FLAP)
			cut_off(w, v->node, false);
		v->next = SIM_NEVER;
		return;
	}
	v->on = !v->on;
	switch (v->trouble) {
	case CRASH:
		sim_node_crash(w, n);
		w->counts.crashes++;
		v->next = v->end;
		break;
	case FLAP:
		cut_off(w, v->node, v->on);
		v->next = w->now + v->period;
		break;
	case OVERLOAD:
		sim_faults_pause(n, w->now + v->period * BUSY_PERCENT / 100, true);
		v->next = w->now + v->period;
		break;
	case TROUBLES:
		break;
	}
}

/* How often the sessions between nodes that nothing has happened to have gone down. */
static uint64_t
bystanders(const struct sim_world *w, const struct round *round)
{
	uint64_t downs = 0;

	for (uint32_t i = 0; i < w->n_nodes; i++) {
		const struct sim_node *n = &w->nodes[i];

		for (uint32_t p = 0; p < n->n_peers && !round->struck[i]; p++)
			if (!round->struck[n->peers[p].other])
				downs += n->peers[p].downs + n->peers[p].n_verdicts;
	}
	return downs;
}

static void
run_round(struct sim_world *w, struct tally *tally)
{
	struct round round;
	uint64_t before, ups = w->counts.ups;
	bool over = false;

	draw_round(w, &round);
	before = bystanders(w, &round);
	for (uint32_t i = 0; i < round.n; i++) {
		tally->troubles[round.victims[i].trouble]++;
		sim_log(w, "node %u: %s, each %.3f ms", round.victims[i].node,
			round.victims[i].trouble == CRASH	   ? "crash"
				: round.victims[i].trouble == FLAP ? "flap"
								   : "overload",
			(double)round.victims[i].period / 1e6);
	}
	while (!over) {
		over = true;
		for (uint32_t i = 0; i < round.n; i++) {
			strike(w, &round.victims[i]);
			over &= round.victims[i].next == SIM_NEVER;
		}
		sim_world_run(w, SLICE_US * SIM_US);
	}
	run_until_up(w, tally);
	SIM_CHECK(w, bystanders(w, &round) == before,
		"sessions between nodes that nothing has happened to have gone down, or been "
		"doubted");
	tally->recoveries += (w->counts.ups - ups) / 2;
}

int
sim_run_many(struct sim_world *w, const struct sim_options *opt)
{
	uint64_t rounds = opt->seeds != 0 ? opt->seeds : ROUNDS;
	uint32_t n_nodes = opt->n_nodes;
	struct sim_node_config cfg;
	struct tally tally = {0};

	w->verbose = opt->verbose;
	sim_world_reset(w, opt->first, opt->shape, n_nodes, DELAY_NS);
	w->forgetful = true;
	w->keep_config = true;
	for (uint32_t i = 0; i < n_nodes; i++) {
		draw_node(w, &cfg, w->nodes[i].n_peers);
		w->nodes[i].cfg = cfg;
		sim_faults_add(w, w->now + sim_below(w, 20 * SIM_MS), SIM_START, i, 0);
	}
	sim_world_run(w, 20 * SIM_MS);
	run_until_up(w, &tally);
	check_holdings(w, true);
	tally.slowest = 0;
	for (uint64_t i = 0; i < rounds; i++) {
		run_round(w, &tally);
		check_holdings(w, false);
	}
	sim_world_end(w);
	printf("many: %u nodes in a %s, %lu rounds with %lu crashes, %lu flaps, %lu overloads; %lu "
	       "sessions back, all up within %.3f ms; nothing left behind, nobody else disturbed\n",
		n_nodes, opt->shape == SIM_STAR ? "star" : "mesh", (unsigned long)rounds,
		(unsigned long)tally.troubles[CRASH], (unsigned long)tally.troubles[FLAP],
		(unsigned long)tally.troubles[OVERLOAD], (unsigned long)tally.recoveries,
		(double)tally.slowest / 1e6);
	return 0;
}
