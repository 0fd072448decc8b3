/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Mixed operations from both sides at once over a duo, and the check of everything that can be
 * seen of them. Any violation fails the cmocka test, with a line that says how to repeat the run.
 *
 * Each queue pair has a region of its own at the peer, of which a model is kept. All that the queue
 * pair posts is applied to the model at the time of posting, so the model says what each READ and
 * each atomic must find and what the region must hold, if operations take effect exactly once and in
 * order. The one reordering that RC allows, a READ that is repeated after a later WRITE, is
 * forbidden by a fence wherever ranges overlap. Atomics of all queue pairs together on shared words
 * are checked for a serial order.
 *
 * Checked besides: one completion each, in the order of posting, with the right fields; receive
 * completions likewise, with payload, immediate and event; data in place when the completion tells;
 * local buffers untouched by what only reads them; guards around all memory; nothing written by
 * late frames; counters that add up; mbufs all back.
 */

#include <link.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_mempool;

enum { WORKLOAD_LANES = 4 }; /* queue pairs at most */

struct workload_config {
	const char *name;
	struct link_config link[2]; /* from end 0, from end 1 */
	uint64_t ops;		    /* of both sides */
	uint64_t seed;
	uint32_t mtu;
	uint32_t lanes;
	uint32_t sq_depth;
	uint32_t window;
	uint32_t max_rd;
	uint32_t timeout_us;
	uint32_t hold_max; /* 0: default */
	uint32_t disable;  /* enum remu_recovery */
	uint32_t ce_ppm;
	uint32_t sq_psn[2]; /* first queue pair; the others near it */
	uint8_t retry_cnt;
	bool shortage;	 /* of receive requests */
	bool partitions; /* shorter than the retries */
	bool pauses;	 /* SQD and back */
	bool ipv6;
	bool tagged;
	const char *pcap; /* NULL: none */
};

/* Sums over both ends. */
struct workload_result {
	uint64_t ops;
	uint64_t frames;
	uint64_t lost;
	uint64_t retransmits;
	uint64_t timeouts;
	uint64_t probes;
	uint64_t naks;
	uint64_t rnr_naks;
	uint64_t reordered;
	uint64_t duplicates;
	uint64_t cnps;
	uint64_t virtual_ns;
	uint64_t trace; /* hash over all frames with times */
};

/* Run to the end and add to *result. All mbufs are back in the pool then. */
void workload_run(const struct workload_config *cfg, struct rte_mempool *pool,
	struct workload_result *result);

/* After a run that a failed check has ended: close its engines. Harmless when there is none. */
void workload_abandon(void);
