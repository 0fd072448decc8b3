/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of former lives that come back: every frame copied and late, a whole life played again, and
 * single WRITEs of old records at the very PSN that is expected. What the sessions say is looked at by
 * the oracle; here, that they come up all the same, and that the healthy ones stay.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum {
	DELAY_NS = 10000, /* one way */
	UP_LIMIT_MS = 1000,
	LIFE_MS = 30, /* of a node that is recorded */
	TAPE = 8192,  /* frames */
	LIVES = 3,
	LATE_MS = 10000, /* of copies */
	CRASHES = 12,
	CRASH_MS = 1500, /* between two */
	OLD_WRITES = 200,
	READS_MORE = 1, /* a record in the slot that does not fit makes the node look, once */
};

static void
start_pair(struct sim_world *w, uint64_t seed, const struct sim_node_config *cfg)
{
	sim_world_reset(w, seed, SIM_MESH, 2, DELAY_NS);
	w->exact = true;
	w->keep_config = true;
	w->forgetful = true;
	sim_node_boot(w, &w->nodes[0], cfg);
	sim_node_boot(w, &w->nodes[1], cfg);
}

static uint64_t
downs(const struct sim_world *w)
{
	return (uint64_t)w->nodes[0].peers[0].downs + w->nodes[1].peers[0].downs;
}

/*
 * 11: each frame has one to three copies, up to ten seconds late, while the nodes die in turn. The
 * detection time is long, so that a session is only lost to what it may be lost to.
 */
static void
run_copies(struct sim_world *w)
{
	const struct link_config late = {.delay_ns = DELAY_NS,
		.duplicate_ppm = LINK_PPM,
		.copies_max = 3,
		.duplicate_max_ns = LATE_MS * SIM_MS};
	struct sim_node_config cfg;
	uint64_t slowest = 0, lost;

	sim_node_default(&cfg);
	cfg.timing.beat_us = 20000;
	cfg.timing.dead_after_us = 200000;
	cfg.timing.search_us = 20000;
	cfg.traffic_ns = 100 * SIM_MS;
	start_pair(w, 1, &cfg);
	w->late_copies = true;
	sim_world_set_links(w, &late);
	sim_pair_until_up(w, UP_LIMIT_MS);
	for (uint32_t i = 0; i < CRASHES; i++) {
		struct sim_node *victim = &w->nodes[i & 1];

		sim_world_run(w, CRASH_MS * SIM_MS);
		sim_node_crash(w, victim);
		sim_world_run(w, (i % 4) * 100 * SIM_MS);
		sim_node_boot(w, victim, &cfg);
		slowest = RTE_MAX(slowest, sim_pair_until_up(w, UP_LIMIT_MS));
	}
	lost = downs(w);
	sim_world_run(w, LATE_MS * SIM_MS);
	lost = downs(w) - lost;
	sim_pair_until_up(w, UP_LIMIT_MS);
	printf("late: each frame copied up to 3 times, up to %d s late: %d crashes, up again "
	       "within "
	       "%.3f ms, %lu attempts; %lu sessions lost in the last %d s\n",
		LATE_MS / 1000, CRASHES, (double)slowest / 1e6, (unsigned long)w->n_attempts,
		(unsigned long)lost, LATE_MS / 1000);
	SIM_CHECK(w, lost == 0, "late copies have ended %lu sessions", (unsigned long)lost);
	sim_world_end(w);
}

/*
 * 12: all frames of one life are played again in the next two, in the same order: at the same pace, or
 * all at once. No session ends.
 */
static void
replay(struct sim_world *w, uint64_t pace, uint64_t seed, uint64_t *frames)
{
	struct sim_tape *tape = &w->tape;
	struct sim_node_config cfg;
	uint64_t start, before, bad;

	sim_node_default(&cfg);
	cfg.traffic_ns = SIM_MS;
	start_pair(w, seed, &cfg);
	tape->n = 0;
	tape->on = true;
	sim_world_run(w, LIFE_MS * SIM_MS);
	tape->on = false;
	for (uint32_t life = 0; life < LIVES; life++) {
		uint32_t attempts;

		/* One of them dies, or both do. */
		for (uint32_t i = 0; i < 2; i++)
			if (life == 2 || i == life) {
				sim_node_crash(w, &w->nodes[i]);
				sim_node_boot(w, &w->nodes[i], &cfg);
			}
		sim_pair_until_up(w, UP_LIMIT_MS);
		sim_world_run(w, 20 * SIM_MS);
		sim_pair_until_up(w, UP_LIMIT_MS);
		before = downs(w);
		attempts = w->n_attempts;
		bad = w->nodes[0].engine->stats.writes_executed;
		start = w->now;
		for (uint32_t i = 0; i < tape->n; i++) {
			uint64_t at = start +
				(tape->frames[i].at - tape->frames[0].at) * pace / 100;

			while (w->now < at)
				sim_world_step(w, at);
			sim_faults_inject(w, &w->nodes[tape->frames[i].to], &tape->frames[i].frame);
			++*frames;
		}
		sim_world_run(w, 30 * SIM_MS);
		SIM_CHECK(w, downs(w) == before && w->n_attempts == attempts,
			"frames of a former life have ended a session");
		SIM_CHECK(w, w->nodes[0].engine->stats.writes_executed > bad,
			"node 0 does not go on");
	}
	sim_world_end(w);
}

static void
run_replays(struct sim_world *w)
{
	uint64_t frames = 0;

	w->tape.max = TAPE;
	w->tape.frames = calloc(TAPE, sizeof(*w->tape.frames));
	if (w->tape.frames == NULL)
		sim_fail(w, "no memory for a tape");
	for (uint64_t seed = 1; seed <= 4; seed++) {
		replay(w, 100, seed, &frames);
		replay(w, 10, seed, &frames);
		replay(w, 0, seed, &frames);
	}
	free(w->tape.frames);
	w->tape.frames = NULL;
	printf("late: %lu frames of former lives played again, no session ended\n",
		(unsigned long)frames);
}

static struct sim_captured old[SIM_CAPTURED];

/* READs that a node has sent. */
static uint64_t
reads(const struct sim_node *n)
{
	const struct ccm_session *s = &sim_ccm_peer(n, 0)->session;

	return s->n_beats + s->n_reads_failed + (s->io != CCM_IO_IDLE);
}

/*
 * 13: the record of an old attempt comes into the slot while the session is up, at the expected PSN:
 * the node looks once, and goes on.
 */
static void
run_old_writes(struct sim_world *w)
{
	struct sim_node_config cfg;
	const struct sim_way *way;
	uint64_t most = 0, exchanges;

	sim_node_default(&cfg);
	cfg.traffic_ns = 100 * SIM_US;
	start_pair(w, 1, &cfg);
	w->exact = false; /* so that WRITEs are kept */
	way = w->ways[1][0];
	for (uint32_t life = 0; life < LIVES; life++) {
		sim_pair_until_up(w, UP_LIMIT_MS);
		sim_world_run(w, 100 * SIM_MS);
		sim_node_crash(w, &w->nodes[1]);
		sim_node_boot(w, &w->nodes[1], &cfg);
	}
	SIM_CHECK(w, way->n_captured >= SIM_CAPTURED, "too few WRITEs have been kept");
	memcpy(old, way->captured, sizeof(old));
	sim_pair_until_up(w, UP_LIMIT_MS);
	sim_world_run(w, 20 * SIM_MS);
	w->settled = true; /* who gives up now fails */
	exchanges = w->counts.exchanges;
	for (uint32_t i = 0; i < OLD_WRITES; i++) {
		struct sim_node *n = &w->nodes[0];
		const struct remu_qp *qp = remu_qp_find(n->engine, SIM_QPN + 1);
		uint64_t before, more, done = w->counts.exchanges;

		sim_world_run(w, 5 * SIM_MS + i * 17 * SIM_US % SIM_MS);
		before = reads(n);
		sim_faults_inject_at(w, n, &old[i % SIM_CAPTURED], qp->resp.epsn);
		sim_world_run(w, 3 * SIM_MS);
		more = reads(n) - before;
		/* Three beats are due in that time. */
		SIM_CHECK(w, more <= 4 + READS_MORE, "%lu READs after an old WRITE",
			(unsigned long)more);
		SIM_CHECK(w, w->counts.exchanges > done, "no data go on after an old WRITE");
		most = RTE_MAX(most, more);
	}
	w->settled = false;
	printf("late: %d old WRITEs into the slot: no session ended, at most %lu READs in 3 beats, "
	       "%lu exchanges of data meanwhile\n",
		OLD_WRITES, (unsigned long)most, (unsigned long)(w->counts.exchanges - exchanges));
	sim_world_end(w);
}

int
sim_run_late(struct sim_world *w, const struct sim_options *opt)
{
	w->verbose = opt->verbose;
	run_copies(w);
	run_replays(w);
	run_old_writes(w);
	return 0;
}
