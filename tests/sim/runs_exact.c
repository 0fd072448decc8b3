/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two nodes without chance: one handshake is recorded, then it is run again with a crash at each of
 * its events, or with each of its packets lost; and how long it takes is measured to the nanosecond.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	DELAY_NS = 10000, /* one way */
	RTT_NS = 2 * DELAY_NS,
	UP_LIMIT_MS = 1000,
	CALM_MS = 12, /* a little longer than the detection time */
	ATTEMPTS_PER_CRASH = 4,
	RTTS_TO_UP = 6,
	RTTS_PER_LOSS = 3,
	DETECT_CRASHES = 300,
	DETECT_LIMIT_US = 11000,
	DETECT_BEATS = 1000000,
	DETECT_LOSS_PPM = LINK_PPM / 10,
	AFTER_UP = 40, /* events behind the handshake that are crashed at, too */
};

static void
start_pair(struct sim_world *w, uint64_t seed, uint64_t offset_ns, bool fast)
{
	struct sim_node_config cfg;

	sim_world_reset(w, seed, SIM_MESH, 2, DELAY_NS);
	w->exact = true;
	w->fast = fast;
	sim_node_default(&cfg);
	w->nodes[0].cfg = w->nodes[1].cfg = cfg;
	sim_node_boot(w, &w->nodes[0], &cfg);
	if (offset_ns != 0)
		sim_faults_add(w, w->now + offset_ns, SIM_START, 1, 0);
	else
		sim_node_boot(w, &w->nodes[1], &cfg);
}

static double
cpu_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

int
sim_run_handshakes(struct sim_world *w, const struct sim_options *opt)
{
	double start = cpu_seconds(), spent;

	for (uint64_t i = 0; i < opt->seeds; i++) {
		start_pair(w, opt->first + i, 0, true);
		sim_pair_until_up(w, UP_LIMIT_MS);
		sim_world_end(w);
	}
	spent = cpu_seconds() - start;
	printf("handshakes: %lu in %.2f CPU seconds: %.0f per second; %.1f frames and %.1f events "
	       "each\n",
		(unsigned long)opt->seeds, spent, (double)opt->seeds / spent,
		(double)w->counts.frames / (double)opt->seeds,
		(double)w->counts.events / (double)opt->seeds);
	return 0;
}

/* Events, or packets, until both are up. */
static uint64_t
record(struct sim_world *w, uint64_t offset_ns, bool packets)
{
	uint64_t n;

	start_pair(w, 1, offset_ns, false);
	sim_pair_until_up(w, UP_LIMIT_MS);
	n = packets ? w->n_packets : w->n_events;
	sim_world_end(w);
	return n;
}

struct crash {
	uint64_t event;
	uint32_t victim;
};

/* What a series of runs has come to. */
struct series {
	uint64_t runs;
	uint64_t slowest;
	uint64_t most_attempts;
};

static void
run_with_crashes(struct sim_world *w, const struct crash *crashes, uint32_t n, uint64_t offset_ns,
	uint64_t down_ns, struct series *series)
{
	uint64_t took, attempts;
	uint32_t boots = 2;

	start_pair(w, 1, offset_ns, false);
	for (uint32_t i = 0; i < n; i++) {
		struct sim_node *victim = &w->nodes[crashes[i].victim];

		sim_pair_to_event(w, crashes[i].event);
		if (!victim->running)
			continue;
		sim_node_crash(w, victim);
		if (down_ns != 0)
			sim_faults_add(w, w->now + down_ns, SIM_START, crashes[i].victim, 0);
		else
			sim_node_boot(w, victim, &victim->cfg);
		boots++;
	}
	took = sim_pair_until_up(w, UP_LIMIT_MS);
	sim_pair_stay_up(w, CALM_MS * SIM_MS);
	/* Each boot draws one, the others follow from crashes. */
	attempts = w->n_attempts - boots;
	SIM_CHECK(w, attempts <= (uint64_t)ATTEMPTS_PER_CRASH * n, "%lu attempts after %u crashes",
		(unsigned long)attempts, n);
	series->runs++;
	series->slowest = RTE_MAX(series->slowest, took);
	series->most_attempts = RTE_MAX(series->most_attempts, attempts);
	sim_world_end(w);
}

static const uint64_t offsets[] = {0, 300 * SIM_US, 2300 * SIM_US};
static const uint64_t downs[] = {0, 200 * SIM_US, 3 * SIM_MS, 15 * SIM_MS};

static void
crash_each(struct sim_world *w, struct series *series)
{
	for (uint32_t o = 0; o < RTE_DIM(offsets); o++) {
		uint64_t events = record(w, offsets[o], false) + AFTER_UP;

		for (uint64_t k = 1; k <= events; k++)
			for (uint32_t victim = 0; victim < 2; victim++)
				for (uint32_t d = 0; d < RTE_DIM(downs); d++) {
					struct crash crash = {k, victim};

					run_with_crashes(w, &crash, 1, offsets[o], downs[d],
						series);
				}
	}
}

static void
crash_pairs(struct sim_world *w, uint64_t sample, struct series *series)
{
	uint64_t events = record(w, offsets[1], false) + AFTER_UP, number = 0;

	for (uint64_t k1 = 1; k1 <= events; k1++)
		for (uint64_t k2 = k1; k2 <= events; k2++)
			for (uint32_t both = 0; both < 4; both++) {
				struct crash crashes[] = {{k1, both & 1}, {k2, both >> 1}};

				for (uint32_t d = 0; d < RTE_DIM(downs) - 1; d++)
					if (number++ % sample == 0)
						run_with_crashes(w, crashes, 2, offsets[1],
							downs[d], series);
			}
}

int
sim_run_crashes(struct sim_world *w, const struct sim_options *opt, bool pairs)
{
	struct series series = {0};

	w->verbose = opt->verbose;
	if (pairs)
		crash_pairs(w, opt->sample, &series);
	else
		crash_each(w, &series);
	printf("crash-%s: %lu runs, up again within %.3f ms, at most %lu new attempts\n",
		pairs ? "pairs" : "each", (unsigned long)series.runs, (double)series.slowest / 1e6,
		(unsigned long)series.most_attempts);
	return 0;
}

static void
run_with_losses(struct sim_world *w, const uint64_t *lost, uint32_t n, uint64_t offset_ns,
	struct series *series)
{
	start_pair(w, 1, offset_ns, false);
	memcpy(w->lost, lost, n * sizeof(*lost));
	w->n_lost = n;
	series->slowest = RTE_MAX(series->slowest, sim_pair_until_up(w, UP_LIMIT_MS));
	sim_pair_stay_up(w, CALM_MS * SIM_MS);
	series->runs++;
	series->most_attempts = RTE_MAX(series->most_attempts, (uint64_t)w->n_attempts - 2);
	sim_world_end(w);
}

static void
drop_each(struct sim_world *w, struct series *series)
{
	for (uint32_t o = 0; o < RTE_DIM(offsets); o++) {
		uint64_t packets = record(w, offsets[o], true);

		for (uint64_t p = 0; p < packets; p++) {
			const uint64_t burst[] = {p, p + 1, p + 2};

			run_with_losses(w, burst, 1, offsets[o], series);
			run_with_losses(w, burst, RTE_DIM(burst), offsets[o], series);
		}
	}
}

static void
drop_pairs(struct sim_world *w, uint64_t sample, struct series *series)
{
	uint64_t number = 0;

	for (uint32_t o = 0; o < RTE_DIM(offsets); o++) {
		uint64_t packets = record(w, offsets[o], true) + AFTER_UP / 2;

		for (uint64_t p = 0; p < packets; p++)
			for (uint64_t q = p + 1; q < packets; q++) {
				const uint64_t pair[] = {p, q};

				if (number++ % sample == 0)
					run_with_losses(w, pair, 2, offsets[o], series);
			}
	}
}

int
sim_run_drops(struct sim_world *w, const struct sim_options *opt, bool pairs)
{
	struct series series = {0};

	w->verbose = opt->verbose;
	if (pairs)
		drop_pairs(w, opt->sample, &series);
	else
		drop_each(w, &series);
	printf("drop-%s: %lu runs, up within %.3f ms, at most %lu new attempts\n",
		pairs ? "pairs" : "each", (unsigned long)series.runs, (double)series.slowest / 1e6,
		(unsigned long)series.most_attempts);
	return 0;
}

/*
 * From the later node's first READ until both are up. A READ of the earlier one may be on its way to
 * nobody then: it is sent again as soon as the later one is heard of.
 */
static uint64_t
time_to_up(struct sim_world *w, uint64_t offset_ns, const uint64_t *lost)
{
	uint64_t took, limit = RTTS_TO_UP * RTT_NS;
	const struct sim_peer *a, *b;

	start_pair(w, 1, offset_ns, false);
	a = &w->nodes[0].peers[0];
	b = &w->nodes[1].peers[0];
	if (lost != NULL) {
		w->lost[w->n_lost++] = *lost;
		limit += RTTS_PER_LOSS * RTT_NS + w->nodes[0].cfg.timing.retry_us * SIM_US;
	}
	sim_pair_until_up(w, UP_LIMIT_MS);
	took = RTE_MAX(a->up_at, b->up_at) - RTE_MAX(a->first_read_at, b->first_read_at);
	SIM_CHECK(w, took <= limit, "up after %.1f us instead of %.1f us, offset %.1f us%s",
		(double)took / 1e3, (double)limit / 1e3, (double)offset_ns / 1e3,
		lost != NULL ? ", one packet lost" : "");
	return took;
}

int
sim_run_rtt(struct sim_world *w, const struct sim_options *opt)
{
	uint64_t step = RTT_NS / 8, last = 4 * SIM_MS;
	uint64_t runs = 0, runs_lossy = 0, slowest = 0, slowest_lossy = 0;

	w->verbose = opt->verbose;
	for (uint64_t offset = 0; offset <= last; offset += step) {
		uint64_t packets;

		slowest = RTE_MAX(slowest, time_to_up(w, offset, NULL));
		packets = w->n_packets;
		runs++;
		sim_world_end(w);
		for (uint64_t p = 0; p < packets && offset % (7 * step) == 0; p++) {
			slowest_lossy = RTE_MAX(slowest_lossy, time_to_up(w, offset, &p));
			runs_lossy++;
			sim_world_end(w);
		}
	}
	printf("rtt: %lu runs, up within %.2f round trips of %d us; with one packet lost (%lu "
	       "runs) "
	       "within %.1f us\n",
		(unsigned long)runs, (double)slowest / RTT_NS, RTT_NS / 1000,
		(unsigned long)runs_lossy, (double)slowest_lossy / 1e3);
	return 0;
}

/*
 * A node dies, or its control core stands still: until its partner has given the session up and said
 * what has happened, and that somebody should take over.
 */
static uint64_t
detect(struct sim_world *w, uint64_t seed, bool hang)
{
	enum ccm_verdict due = hang ? CCM_VERDICT_HUNG : CCM_VERDICT_UNREACHABLE;
	struct sim_node *victim;
	const struct sim_peer *peer;
	uint64_t start, took;

	start_pair(w, seed, 0, false);
	victim = &w->nodes[seed & 1];
	peer = &w->nodes[~seed & 1].peers[0];
	sim_pair_until_up(w, UP_LIMIT_MS);
	sim_world_run(w, 5 * SIM_MS + sim_below(w, 5 * SIM_MS));
	start = w->now;
	if (hang)
		sim_faults_pause(victim, start + UP_LIMIT_MS * SIM_MS, false);
	else
		sim_node_crash(w, victim);
	while (peer->state == CCM_UP || peer->advice == CCM_ADVICE_KEEP)
		sim_world_step(w, SIM_NEVER);
	took = w->now - start;
	SIM_CHECK(w, peer->verdict == due && peer->advice == CCM_ADVICE_TAKE_OVER,
		"a node that %s is called %s", hang ? "hangs" : "is dead",
		ccm_verdict_name(peer->verdict));
	SIM_CHECK(w, took <= DETECT_LIMIT_US * SIM_US, "it takes %lu us to see that a node %s",
		(unsigned long)(took / SIM_US), hang ? "hangs" : "is dead");
	sim_world_end(w);
	return took;
}

int
sim_run_detect(struct sim_world *w, const struct sim_options *opt)
{
	const struct link_config lossy = {.delay_ns = DELAY_NS, .loss_ppm = DETECT_LOSS_PPM};
	uint64_t beats = opt->seeds != 0 ? opt->seeds : DETECT_BEATS;
	uint64_t slowest = 0, slowest_hang = 0, longest = 0;
	const struct sim_peer *a, *b;

	w->verbose = opt->verbose;
	for (uint64_t seed = 1; seed <= DETECT_CRASHES; seed++) {
		slowest = RTE_MAX(slowest, detect(w, seed, false));
		slowest_hang = RTE_MAX(slowest_hang, detect(w, seed, true));
	}
	start_pair(w, 1, 0, true);
	sim_pair_until_up(w, UP_LIMIT_MS);
	sim_world_set_links(w, &lossy);
	w->settled = true; /* who gives up now fails */
	a = &w->nodes[0].peers[0];
	b = &w->nodes[1].peers[0];
	while (sim_ccm_peer(&w->nodes[0], 0)->session.n_beats < beats) {
		const struct ccm_session *s = &sim_ccm_peer(&w->nodes[0], 0)->session;

		sim_world_step(w, SIM_NEVER);
		longest = RTE_MAX(longest, w->now - s->last_beat_ns);
	}
	SIM_CHECK(w, a->downs == 0 && b->downs == 0, "a session has ended without reason");
	w->settled = false;
	sim_world_end(w);
	printf("detect: %d crashes told within %.3f ms, as many hangs within %.3f ms; %lu beats at "
	       "%d %% loss, longest silence %.3f ms, no false alarm\n",
		DETECT_CRASHES, (double)slowest / 1e6, (double)slowest_hang / 1e6,
		(unsigned long)beats, DETECT_LOSS_PPM / (LINK_PPM / 100), (double)longest / 1e6);
	return 0;
}
