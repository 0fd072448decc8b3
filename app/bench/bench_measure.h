/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Operations over a client's port. With the mode "same" they are posted and their completions
 * taken on the data lcore that owns the queue pair; with "cross" on the control core, through
 * ccm_port_post(). The control core starts and looks; while a run is under way it belongs to the
 * one that posts.
 */

#include "bench_run.h"
#include "ccm.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct data_lcore;
struct node;
struct remu_cq;

enum bench_phase {
	BENCH_IDLE,
	BENCH_RUNNING,
	BENCH_OVER,
	BENCH_FAILED, /* see why */
};

struct bench_measure {
	/* constant while a run is under way */
	struct node *node;
	bool cross;
	struct remu_cq *cqs[CCM_MAX_ENGINES]; /* of each engine */
	uint8_t *buffer;
	size_t buffer_size;
	struct ccm_port port;
	uint32_t owner; /* engine */
	/* control core */
	bool up;
	struct ccm_port latest; /* for the next run */
	/* whoever posts */
	uint32_t ready; /* queue pair whose completions go to us */
	struct bench_run run;
	char why[64];
	_Atomic int phase; /* enum bench_phase; RUNNING by the control core, the end by the other */
};

/* Before the lcores run. Returns 0 or a negative errno. */
int bench_measure_open(struct bench_measure *m, struct node *node, bool cross, size_t buffer_size);
void bench_measure_close(struct bench_measure *m);

/* What the manager tells the client. */
void bench_measure_event(struct bench_measure *m, const struct ccm_client_event *ev);

/*
 * Start a run; the port is up and nothing runs. Returns 0, -EINVAL (larger than the port's memory)
 * or -ENOTSUP (not through the channel).
 */
int bench_measure_start(struct bench_measure *m, const struct bench_point *point,
	uint64_t iterations, double seconds, const struct bench_clock *clock,
	struct bench_hist *hist);

/* A turn on a data lcore, and one on the control core. Return whether there was anything to do. */
bool bench_measure_data(struct bench_measure *m, struct data_lcore *d);
bool bench_measure_control(struct bench_measure *m);

static inline enum bench_phase
bench_measure_phase(struct bench_measure *m)
{
	return (enum bench_phase)atomic_load_explicit(&m->phase, memory_order_acquire);
}
