/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Round-trip time of a queue pair, and the wait before a tail probe: RFC 6298 section 2 for the
 * estimate, RFC 8985 section 7.2 (TLP) for the wait. Integers only, so every build computes the
 * same.
 */

#include <stdint.h>

struct remu_rtt {
	uint64_t srtt_ns; /* 0: not measured */
	uint64_t rttvar_ns;
};

enum {
	REMU_PROBE_SLACK_NS = 10000, /* the peer's poll loop and ours */
	REMU_PROBE_DOUBLINGS = 16,
};

static inline void
remu_rtt_sample(struct remu_rtt *rtt, uint64_t sample_ns)
{
	uint64_t off;

	if (sample_ns == 0)
		sample_ns = 1;
	if (rtt->srtt_ns == 0) {
		rtt->srtt_ns = sample_ns;
		rtt->rttvar_ns = sample_ns / 2;
		return;
	}
	off = sample_ns > rtt->srtt_ns ? sample_ns - rtt->srtt_ns : rtt->srtt_ns - sample_ns;
	rtt->rttvar_ns = rtt->rttvar_ns - rtt->rttvar_ns / 4 + off / 4;
	rtt->srtt_ns = rtt->srtt_ns - rtt->srtt_ns / 8 + sample_ns / 8;
	if (rtt->srtt_ns == 0)
		rtt->srtt_ns = 1;
}

/* How long an answer may take before it is overdue; doubled with every probe in vain. */
static inline uint64_t
remu_rtt_overdue(const struct remu_rtt *rtt, uint32_t probes)
{
	uint64_t twice = 2 * rtt->srtt_ns, spread = rtt->srtt_ns + 4 * rtt->rttvar_ns;
	uint64_t wait = (twice > spread ? twice : spread) + REMU_PROBE_SLACK_NS;

	return wait << (probes < REMU_PROBE_DOUBLINGS ? probes : REMU_PROBE_DOUBLINGS);
}
