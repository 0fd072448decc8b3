/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes that take each other's place: the same MAC address, IP address and queue pair, with the same
 * id, another one, or of another cluster. The network gives their frames to all of them, or to who has
 * sent last. A session is between two who mean each other, or there is none; who cannot be meant says
 * so; and what is wrong can be seen within two seconds.
 */
#include "sim.h"

#include <string.h>

enum {
	DELAY_NS = 10000, /* one way */
	RIVALS_MAX = 3,
	LATE_MS = 60, /* the last rival comes when the others have settled */
	WATCH_MS = 2000,
	CALM_MS = 500,
	SEEDS = 4,
	CRASHES = 2, /* in every second seed */
	ID = 1,	     /* of node 0 */
	RIVAL = 2,   /* that node 0 expects */
};

struct claim {
	uint16_t id;
	uint16_t expects;
	bool foreign;
};

struct scenario {
	const char *name;
	uint32_t n;
	struct claim claims[RIVALS_MAX];
};

static const struct scenario scenarios[] = {
	{"one id twice", 2, {{RIVAL, ID, false}, {RIVAL, ID, false}}},
	{"one id three times", 3, {{RIVAL, ID, false}, {RIVAL, ID, false}, {RIVAL, ID, false}}},
	{"another cluster", 2, {{RIVAL, ID, false}, {RIVAL, ID, true}}},
	{"another id", 2, {{RIVAL, ID, false}, {3, ID, false}}},
	{"another partner", 2, {{RIVAL, ID, false}, {RIVAL, 4, false}}},
	{"our own id", 2, {{RIVAL, ID, false}, {ID, RIVAL, false}}},
	{"three claims", 3, {{RIVAL, ID, false}, {3, ID, false}, {RIVAL, ID, true}}},
	{"another cluster alone", 1, {{RIVAL, ID, true}}},
	{"another id alone", 1, {{3, ID, false}}},
	{"another partner alone", 1, {{RIVAL, 4, false}}},
	{"our own id alone", 1, {{ID, RIVAL, false}}},
};

/* What could be seen of one node. */
struct view {
	uint32_t reasons; /* bits by enum ccm_reason, while it was not up */
	uint32_t partner_reasons;
	uint32_t verdicts;
	uint64_t ups;
	uint64_t up_ms, last_up_ms; /* in all, and without a break until now */
	uint64_t conflicts;
	uint64_t alarm_ms; /* when the first reason showed that is more than silence */
};

/* Reasons that say that something is wrong with who is who. */
static bool
is_alarm(uint32_t reasons)
{
	return (reasons &
		       (1u << CCM_REASON_WRONG_NODE | 1u << CCM_REASON_WRONG_CLUSTER |
			       1u << CCM_REASON_OWN_ID | 1u << CCM_REASON_CONFLICT |
			       1u << CCM_REASON_PARTNER_REFUSED)) != 0;
}

static void
look(const struct sim_node *n, struct view *view, uint64_t ms)
{
	struct ccm_partner_status status;

	if (!n->running || ccm_read_partner(n->ccm, 0, &status) != 0)
		return;
	view->last_up_ms = status.state == CCM_UP ? view->last_up_ms + 1 : 0;
	if (status.state == CCM_UP)
		view->up_ms++;
	else
		view->reasons |= 1u << status.reason;
	if (status.last_down_reason != CCM_REASON_NONE)
		view->reasons |= 1u << status.last_down_reason;
	if (status.partner_phase == CCM_REFUSED)
		view->partner_reasons |= 1u << status.partner_reason;
	view->verdicts |= 1u << status.verdict;
	view->ups = status.sessions;
	view->conflicts = status.conflicts;
	if (view->alarm_ms == 0 && (is_alarm(view->reasons) || view->conflicts != 0))
		view->alarm_ms = ms;
}

static void
start_all(struct sim_world *w, const struct scenario *sc, uint64_t seed, enum sim_wiring wiring)
{
	struct sim_node_config cfg;

	sim_world_reset(w, seed, SIM_RIVALS, 1 + sc->n, DELAY_NS);
	w->wiring = wiring;
	w->keep_config = true;
	for (uint32_t i = 0; i <= sc->n; i++) {
		uint64_t at = sim_below(w, 20 * SIM_MS);
		struct sim_node *n = &w->nodes[i];

		sim_node_default(&cfg);
		cfg.traffic_ns = SIM_MS;
		cfg.control_lag_ns = 5000;
		cfg.id = i == 0 ? ID : sc->claims[i - 1].id;
		cfg.foreign = i != 0 && sc->claims[i - 1].foreign;
		sim_node_expect(n, 0, i == 0 ? RIVAL : sc->claims[i - 1].expects);
		n->cfg = cfg;
		if (i != 0 && i - 1 == seed % sc->n && (seed & 4) != 0)
			at += LATE_MS * SIM_MS;
		sim_faults_add(w, w->now + at, SIM_START, i, 0);
	}
	for (uint32_t i = 0; i < CRASHES && (seed & 2) != 0; i++)
		sim_faults_add(w, w->now + LATE_MS * SIM_MS + sim_below(w, WATCH_MS / 2 * SIM_MS),
			SIM_CRASH, (uint32_t)sim_below(w, 1 + sc->n), 0);
}

static void
print_bits(const char *what, uint32_t bits, const char *(*name)(unsigned int))
{
	printf("  %s", what);
	for (uint32_t i = 0; i < 32; i++)
		if (bits & 1u << i)
			printf(" %s", name(i));
}

static const char *
reason_name(unsigned int i)
{
	return ccm_reason_name((enum ccm_reason)i);
}

static const char *
verdict_name(unsigned int i)
{
	return ccm_verdict_name((enum ccm_verdict)i);
}

static void
show(const struct scenario *sc, const struct view *views)
{
	for (uint32_t i = 0; i <= sc->n; i++) {
		const struct view *v = &views[i];

		printf("    node %u (id %u%s):  up %lu ms in %lu sessions, %lu conflicts, alarm at "
		       "%lu "
		       "ms\n      ",
			i, i == 0 ? ID : sc->claims[i - 1].id,
			i != 0 && sc->claims[i - 1].foreign ? ", other cluster" : "",
			(unsigned long)v->up_ms, (unsigned long)v->ups, (unsigned long)v->conflicts,
			(unsigned long)v->alarm_ms);
		print_bits("reasons", v->reasons, reason_name);
		print_bits("partner's", v->partner_reasons, reason_name);
		print_bits("verdicts", v->verdicts, verdict_name);
		printf("\n");
	}
}

static bool
matches(const struct claim *claim)
{
	return claim->id == RIVAL && claim->expects == ID && !claim->foreign;
}

static uint32_t
matching(const struct scenario *sc)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < sc->n; i++)
		n += matches(&sc->claims[i]);
	return n;
}

/* What all runs of one scenario have come to. */
struct summary {
	uint32_t runs, up, alarms;
	uint64_t slowest;	/* alarm of node 0, ms */
	uint64_t slowest_other; /* of those who are not meant */
};

static void
sum_up(struct summary *sum, const struct scenario *sc, const struct view *views)
{
	sum->runs++;
	sum->up += views[0].last_up_ms > CALM_MS;
	sum->alarms += views[0].alarm_ms != 0;
	sum->slowest = RTE_MAX(sum->slowest, views[0].alarm_ms);
	for (uint32_t i = 0; i < sc->n; i++)
		if (!matches(&sc->claims[i]))
			sum->slowest_other = RTE_MAX(sum->slowest_other, views[i + 1].alarm_ms);
}

/* Silence alone: it has never got an answer, so it cannot know. */
static bool
knows_nothing(const struct view *v)
{
	return (v->reasons & ~(1u << CCM_REASON_NO_ANSWER)) == 0 && v->ups == 0;
}

/*
 * One that matches comes up, or everybody can see why it does not. Several that match: that there are
 * several. None: nobody comes up.
 */
static void
judge(struct sim_world *w, const struct scenario *sc, const struct view *views)
{
	uint32_t n = matching(sc);
	bool alarm = views[0].alarm_ms != 0;

	for (uint32_t i = 0; i <= sc->n; i++) {
		const struct view *v = &views[i];

		SIM_CHECK(w, n != 0 || v->ups == 0, "%s: node %u has been up", sc->name, i);
		SIM_CHECK(w, n != 0 || v->alarm_ms != 0,
			"%s: node %u does not say why it is not up", sc->name, i);
		if (i != 0 && !matches(&sc->claims[i - 1]))
			SIM_CHECK(w, v->ups == 0 && (v->alarm_ms != 0 || knows_nothing(v)),
				"%s: node %u, who is not meant, %s", sc->name, i,
				v->ups != 0 ? "has been up" : "does not say so");
	}
	/* On a hub all that match hear all frames: one of them, or an attempt that stands still. */
	SIM_CHECK(w,
		n == 0 || alarm || views[0].last_up_ms > CALM_MS ||
			(views[0].reasons & 1u << CCM_REASON_NO_PROGRESS) != 0,
		"%s: node 0 is up for %lu ms at the end, and does not say why", sc->name,
		(unsigned long)views[0].last_up_ms);
}

static void
run(struct sim_world *w, const struct scenario *sc, uint64_t seed, enum sim_wiring wiring,
	struct summary *sum)
{
	struct view views[1 + RIVALS_MAX];

	memset(views, 0, sizeof(views));
	start_all(w, sc, seed, wiring);
	for (uint64_t ms = 1; ms <= WATCH_MS + LATE_MS + 20; ms++) {
		sim_world_run(w, SIM_MS);
		for (uint32_t i = 0; i <= sc->n; i++)
			look(&w->nodes[i], &views[i], ms);
	}
	sum_up(sum, sc, views);
	if (w->verbose) {
		printf("  seed %lu, %s:\n", (unsigned long)seed,
			wiring == SIM_WIRING_HUB ? "hub" : "switch");
		show(sc, views);
	}
	judge(w, sc, views);
	sim_world_end(w);
}

int
sim_run_identity(struct sim_world *w, const struct sim_options *opt)
{
	uint64_t seeds = opt->seeds != 0 ? opt->seeds : SEEDS;

	w->verbose = opt->verbose;
	for (uint32_t i = 0; i < RTE_DIM(scenarios); i++) {
		const struct scenario *sc = &scenarios[i];
		struct summary sum = {0};

		for (uint64_t seed = opt->first; seed < opt->first + seeds; seed++) {
			run(w, sc, seed, SIM_WIRING_HUB, &sum);
			run(w, sc, seed, SIM_WIRING_SWITCH, &sum);
		}
		printf("identity: %-22s %u of %u match; up at the end in %u runs of %u; node 0 "
		       "says why not in %u, within %lu ms; who is not meant within %lu ms\n",
			sc->name, matching(sc), sc->n, sum.up, sum.runs, sum.alarms,
			(unsigned long)sum.slowest, (unsigned long)sum.slowest_other);
	}
	return 0;
}
