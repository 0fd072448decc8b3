/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two nodes and what may happen to the link between them, to their clocks and to their trust in each
 * other. Statements with numbers are those of the list of what must hold.
 */
#include "sim.h"

enum {
	DELAY_NS = 10000, /* one way */
	RTT_NS = 2 * DELAY_NS,
	UP_LIMIT_MS = 500,
	LONG_CUT_MS = 10000,
	SHORT_CUT_MS = 100,
	OFFSETS = 40, /* of a cut, within a heartbeat interval */
	LONG_CUTS = 4,
	FLAP_MS = 500,
	DROPS = 200, /* sessions that one side alone ends */
	CLOCK_MS = 20000,
	SUSPICIONS = 3000,
	CLEAN = 30000,
	ATTEMPTS_USUAL = 3, /* new ones after both have suspected each other, */
	ATTEMPTS_EVER = 8,  /* and in one case of a thousand */
};

static void
start_pair(struct sim_world *w, uint64_t seed, const struct sim_node_config *a,
	const struct sim_node_config *b)
{
	sim_world_reset(w, seed, SIM_MESH, 2, DELAY_NS);
	w->exact = true;
	w->keep_config = true;
	w->forgetful = true;
	sim_node_boot(w, &w->nodes[0], a);
	sim_node_boot(w, &w->nodes[1], b);
}

static struct sim_node_config
config(void)
{
	struct sim_node_config cfg;

	sim_node_default(&cfg);
	cfg.traffic_ns = SIM_MS;
	return cfg;
}

/* Both sides are up, and say so. Returns how long it took. */
static uint64_t
run_until_up(struct sim_world *w)
{
	uint64_t start = w->now, end = start + UP_LIMIT_MS * SIM_MS;

	while (!sim_both_up(w, 0, 1) || w->nodes[0].peers[0].verdict != CCM_VERDICT_UP ||
		w->nodes[1].peers[0].verdict != CCM_VERDICT_UP) {
		SIM_CHECK(w, w->now < end, "%s and %s after %d ms",
			ccm_state_name(w->nodes[0].peers[0].state),
			ccm_state_name(w->nodes[1].peers[0].state), UP_LIMIT_MS);
		sim_world_step(w, end);
	}
	return w->now - start;
}

/* As long as it takes to notice a loss. */
static uint64_t
calm_ns(const struct sim_world *w)
{
	return (w->nodes[0].cfg.timing.dead_after_us + 2000) * SIM_US;
}

static bool
is_up(const struct sim_world *w, uint32_t node)
{
	return w->nodes[node].peers[0].state == CCM_UP;
}

static void
cut(struct sim_world *w, bool a_to_b, bool b_to_a)
{
	sim_faults_cut(w, 0, 1, a_to_b);
	sim_faults_cut(w, 1, 0, b_to_a);
}

/* 17: cut one way or both, both are down within two detection times, and up again soon after. */
static void
partition(struct sim_world *w, uint32_t ways, uint64_t offset, uint64_t length, uint64_t *slowest)
{
	struct sim_node_config cfg = config();
	uint64_t dead = cfg.timing.dead_after_us * SIM_US, start;

	start_pair(w, 1, &cfg, &cfg);
	run_until_up(w);
	sim_world_run(w, 5 * SIM_MS + offset);
	cut(w, (ways & 1) != 0, (ways & 2) != 0);
	start = w->now;
	while (is_up(w, 0) || is_up(w, 1)) {
		SIM_CHECK(w, w->now - start <= 2 * dead,
			"a node is up for more than two detection times after a cut");
		sim_world_step(w, SIM_NEVER);
	}
	slowest[0] = RTE_MAX(slowest[0], w->now - start);
	sim_world_run(w, start + length - w->now);
	SIM_CHECK(w, !is_up(w, 0) && !is_up(w, 1), "a node is up through a cut");
	cut(w, false, false);
	slowest[1] = RTE_MAX(slowest[1], run_until_up(w));
	sim_pair_stay_up(w, calm_ns(w));
	sim_world_end(w);
}

static void
run_partitions(struct sim_world *w)
{
	uint64_t slowest[2] = {0, 0};

	for (uint32_t ways = 1; ways <= 3; ways++) {
		for (uint64_t i = 0; i < OFFSETS; i++)
			partition(w, ways, i * SIM_MS / OFFSETS, SHORT_CUT_MS * SIM_MS, slowest);
		for (uint64_t i = 0; i < LONG_CUTS; i++)
			partition(w, ways, i * SIM_MS / LONG_CUTS, LONG_CUT_MS * SIM_MS, slowest);
	}
	printf("links: cuts of one way or both: both down within %.3f ms, up %.3f ms after the "
	       "end\n",
		(double)slowest[0] / 1e6, (double)slowest[1] / 1e6);
}

/* 18: the link comes and goes, with each period; the oracle sees that UP and DOWN alternate. */
static void
flap(struct sim_world *w, uint64_t period, bool report, uint64_t *slowest)
{
	struct sim_node_config cfg = config();
	struct sim_holding before[2];
	bool on = false;

	start_pair(w, 1, &cfg, &cfg);
	run_until_up(w);
	for (uint32_t i = 0; i < 2; i++)
		before[i] = sim_node_holding(&w->nodes[i]);
	for (uint64_t end = w->now + FLAP_MS * SIM_MS; w->now < end;) {
		on = !on;
		if (report)
			sim_node_link_report(w, &w->nodes[0], !on);
		else
			cut(w, on, on);
		sim_world_run(w, period);
	}
	if (report)
		sim_node_link_report(w, &w->nodes[0], true);
	cut(w, false, false);
	*slowest = RTE_MAX(*slowest, run_until_up(w));
	sim_pair_stay_up(w, calm_ns(w));
	for (uint32_t i = 0; i < 2; i++)
		sim_node_check_holding(w, &w->nodes[i], &before[i]);
	sim_world_end(w);
}

static void
run_flaps(struct sim_world *w)
{
	/* Of the heartbeat interval, in halves; the last is the detection time. */
	static const uint64_t halves[] = {1, 2, 4, 8, 20};
	uint64_t slowest = 0;

	for (uint32_t i = 0; i < RTE_DIM(halves); i++) {
		flap(w, halves[i] * SIM_MS / 2, false, &slowest);
		flap(w, halves[i] * SIM_MS / 2, true, &slowest);
		flap(w, halves[i] * SIM_MS / 2 + 1000, false, &slowest);
	}
	printf("links: comes and goes with 5 periods: up %.3f ms after the end, nothing left "
	       "behind\n",
		(double)slowest / 1e6);
}

/*
 * 15: one side ends the session by itself. The stamps in the data tell that none of the old session
 * reaches the new one; here, that both come up again, with one new attempt each.
 */
static void
run_drops(struct sim_world *w)
{
	struct sim_node_config cfg = config();
	uint64_t slowest = 0;

	cfg.traffic_ns = 1000; /* data are under way all the time */
	start_pair(w, 1, &cfg, &cfg);
	run_until_up(w);
	for (uint64_t i = 0; i < DROPS; i++) {
		uint32_t attempts = w->n_attempts;
		uint32_t downs = w->nodes[1].peers[0].downs;

		sim_world_run(w, SIM_MS + i * SIM_MS / DROPS);
		sim_node_link_report(w, &w->nodes[0], false);
		sim_node_link_report(w, &w->nodes[0], true);
		SIM_CHECK(w, !is_up(w, 0), "node 0 stays up without a link");
		slowest = RTE_MAX(slowest, run_until_up(w));
		SIM_CHECK(w, w->nodes[1].peers[0].downs == downs + 1,
			"node 1 has gone down %u times", w->nodes[1].peers[0].downs - downs);
		SIM_CHECK(w, w->n_attempts - attempts == 2, "%u new attempts",
			w->n_attempts - attempts);
		sim_pair_stay_up(w, calm_ns(w));
	}
	sim_world_end(w);
	printf("links: %d sessions ended by one side: up again within %.3f ms, one new attempt "
	       "each, %lu exchanges of data\n",
		DROPS, (double)slowest / 1e6, (unsigned long)w->counts.exchanges);
}

/* 32: clocks that differ by a fifth. */
static void
run_clocks(struct sim_world *w)
{
	static const int32_t ppm[][2] = {{-100000, 100000}, {100000, -100000}, {100000, 100000},
		{-100000, -100000}, {0, 100000}};
	uint64_t beats = 0;

	for (uint32_t i = 0; i < RTE_DIM(ppm); i++) {
		struct sim_node_config a = config(), b = config();

		a.traffic_ns = b.traffic_ns = 20 * SIM_MS;
		a.clock_ppm = ppm[i][0];
		b.clock_ppm = ppm[i][1];
		start_pair(w, i, &a, &b);
		run_until_up(w);
		w->settled = true; /* who gives up now fails */
		sim_world_run(w, CLOCK_MS * SIM_MS);
		w->settled = false;
		for (uint32_t n = 0; n < 2; n++) {
			const struct sim_peer *peer = &w->nodes[n].peers[0];

			beats += sim_ccm_peer(&w->nodes[n], 0)->session.n_beats;
			SIM_CHECK(w, peer->downs == 0 && peer->verdict == CCM_VERDICT_UP,
				"node %u has gone down, or doubts its partner", n);
		}
		sim_world_end(w);
	}
	printf("links: clocks apart by up to a fifth: %lu beats, no false alarm\n",
		(unsigned long)beats);
}

int
sim_run_links(struct sim_world *w, const struct sim_options *opt)
{
	w->verbose = opt->verbose;
	run_partitions(w);
	run_flaps(w);
	run_drops(w);
	run_clocks(w);
	return 0;
}

/*
 * 16: both suspect each other at about the same time, and the link mends at about the time when they
 * find out. Returns the attempts that it takes.
 */
static uint32_t
suspect(struct sim_world *w, uint64_t seed)
{
	struct sim_node_config a = config(), b = config();
	uint64_t dead = a.timing.dead_after_us * SIM_US;
	uint32_t attempts;

	sim_world_reset(w, seed, SIM_MESH, 2, DELAY_NS);
	a.control_lag_ns = b.control_lag_ns = (uint32_t)sim_below(w, 50000);
	a.clock_ppm = (int32_t)sim_below(w, 20001) - 10000;
	w->exact = true;
	sim_node_boot(w, &w->nodes[0], &a);
	sim_node_boot(w, &w->nodes[1], &b);
	run_until_up(w);
	sim_world_run(w, sim_below(w, 2 * SIM_MS));
	attempts = w->n_attempts;
	cut(w, true, true);
	sim_world_run(w, dead - SIM_MS + sim_below(w, 3 * SIM_MS));
	cut(w, false, false);
	sim_world_run(w, 2 * SIM_MS);
	run_until_up(w);
	sim_pair_stay_up(w, calm_ns(w));
	attempts = w->n_attempts - attempts;
	sim_world_end(w);
	return attempts;
}

int
sim_run_suspicions(struct sim_world *w, const struct sim_options *opt)
{
	uint64_t seeds = opt->seeds != 0 ? opt->seeds : SUSPICIONS;
	uint64_t counts[ATTEMPTS_EVER + 1] = {0}, more = 0;

	w->verbose = opt->verbose;
	for (uint64_t i = 0; i < seeds; i++) {
		/* Of both together: each node's are half of it. */
		uint32_t each = (suspect(w, opt->first + i) + 1) / 2;

		SIM_CHECK(w, each <= ATTEMPTS_EVER, "%u attempts of each node", each);
		counts[each]++;
		more += each > ATTEMPTS_USUAL;
	}
	SIM_CHECK(w, more * 1000 <= seeds, "more than %d attempts in %lu of %lu cases",
		ATTEMPTS_USUAL, (unsigned long)more, (unsigned long)seeds);
	printf("suspicions: %lu; new attempts of each node:", (unsigned long)seeds);
	for (uint32_t i = 0; i <= ATTEMPTS_EVER; i++)
		if (counts[i] != 0)
			printf(" %u in %lu,", i, (unsigned long)counts[i]);
	printf(" all up\n");
	return 0;
}

/* 1: a clean start, whatever the delays, the clocks and the order. */
int
sim_run_clean(struct sim_world *w, const struct sim_options *opt)
{
	uint64_t seeds = opt->seeds != 0 ? opt->seeds : CLEAN, worst = 0;

	w->verbose = opt->verbose;
	for (uint64_t i = 0; i < seeds; i++) {
		struct sim_node_config cfg;
		const struct sim_peer *a, *b;
		uint64_t delay, took, limit, offset, lags;

		sim_world_reset(w, opt->first + i, SIM_MESH, 2, DELAY_NS);
		delay = 1000 + sim_below(w, 100000);
		sim_world_reset(w, opt->first + i, SIM_MESH, 2, delay);
		w->exact = w->fast = true;
		sim_node_default(&cfg);
		cfg.clock_ppm = (int32_t)sim_below(w, 200001) - 100000;
		cfg.control_lag_ns = (uint32_t)sim_below(w, 5000);
		cfg.data_lag_ns = (uint32_t)sim_below(w, 2000);
		lags = (uint64_t)cfg.control_lag_ns + cfg.data_lag_ns;
		sim_node_boot(w, &w->nodes[0], &cfg);
		cfg.clock_ppm = (int32_t)sim_below(w, 200001) - 100000;
		w->nodes[1].cfg = cfg;
		w->keep_config = true;
		offset = sim_below(w, 4 * SIM_MS);
		sim_faults_add(w, w->now + offset, SIM_START, 1, 0);
		sim_world_run(w, offset + 1);
		a = &w->nodes[0].peers[0];
		b = &w->nodes[1].peers[0];
		while (!sim_both_up(w, 0, 1) && w->now < 2000 * SIM_MS)
			sim_world_step(w, SIM_NEVER);
		took = RTE_MAX(a->up_at, b->up_at) - RTE_MAX(a->first_read_at, b->first_read_at);
		limit = 8 * delay + 2 * cfg.timing.beat_us * SIM_US + 40 * lags;
		SIM_CHECK(w, sim_both_up(w, 0, 1) && took <= limit,
			"up after %.1f us instead of %.1f us, one way is %.1f us",
			(double)took / 1e3, (double)limit / 1e3, (double)delay / 1e3);
		worst = RTE_MAX(worst, took * 1000 / limit);
		sim_world_end(w);
	}
	printf("clean: %lu starts, each within 4 round trips and 2 heartbeat intervals; the "
	       "slowest "
	       "took %.1f %% of that\n",
		(unsigned long)seeds, (double)worst / 10);
	return 0;
}
