/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two nodes that speak different versions, offer different features, or do not speak to each other at
 * all: what they agree on, and what each can be asked about the other one.
 */
#include "sim.h"

#include "ccm_bytes.h"

#include <string.h>

enum {
	DELAY_NS = 10000, /* one way */
	VERSIONS = 4,	  /* ranges within 1 to this */
	RANGES = VERSIONS * (VERSIONS + 1) / 2,
	LIMIT_MS = 1000,
	CALM_MS = 12, /* a little longer than the detection time */
	STRANGE_MS = 50,
	FEATURES = 50,
	GARBAGE = 40,
};

struct range {
	uint16_t min, max;
};

static void
all_ranges(struct range *ranges)
{
	uint32_t n = 0;

	for (uint16_t min = 1; min <= VERSIONS; min++)
		for (uint16_t max = min; max <= VERSIONS; max++)
			ranges[n++] = (struct range){min, max};
}

static struct sim_node_config
config(struct range range, uint64_t features)
{
	struct sim_node_config cfg;

	sim_node_default(&cfg);
	cfg.version_min = range.min;
	cfg.version_max = range.max;
	cfg.features = features;
	return cfg;
}

static struct ccm_partner_status
status_of(struct sim_world *w, uint32_t node)
{
	struct ccm_partner_status status;

	SIM_CHECK(w, ccm_read_partner(w->nodes[node].ccm, 0, &status) == 0,
		"node %u gives no status", node);
	return status;
}

/* What telemetry says of one node's side. */
static bool
shows(struct sim_world *w, uint32_t node, uint16_t version)
{
	const struct sim_node_config *mine = &w->nodes[node].cfg, *theirs = &w->nodes[!node].cfg;
	struct ccm_partner_status s = status_of(w, node);

	if (s.version_min != mine->version_min || s.version_max != mine->version_max ||
		s.partner_version_min != theirs->version_min ||
		s.partner_version_max != theirs->version_max)
		return false;
	if (version != 0)
		return s.state == CCM_UP && s.version == version && s.verdict == CCM_VERDICT_UP &&
			s.features == (mine->features & theirs->features);
	return s.state == CCM_REFUSED && s.reason == CCM_REASON_VERSION && s.version == 0 &&
		s.partner_phase == CCM_REFUSED && s.partner_reason == CCM_REASON_VERSION &&
		s.verdict == CCM_VERDICT_REFUSED && s.advice == CCM_ADVICE_UNSURE;
}

/* Until both show what must come of it. Returns how long it took. */
static uint64_t
run_until_agreed(struct sim_world *w)
{
	const struct sim_node_config *a = &w->nodes[0].cfg, *b = &w->nodes[1].cfg;
	uint16_t high = RTE_MIN(a->version_max, b->version_max);
	uint16_t version = high >= RTE_MAX(a->version_min, b->version_min) ? high : 0;
	uint64_t start = w->now;

	while (!shows(w, 0, version) || !shows(w, 1, version)) {
		SIM_CHECK(w, w->now - start < LIMIT_MS * SIM_MS,
			"versions %u-%u and %u-%u: nodes are %s and %s", a->version_min,
			a->version_max, b->version_min, b->version_max,
			ccm_state_name(w->nodes[0].peers[0].state),
			ccm_state_name(w->nodes[1].peers[0].state));
		sim_world_run(w, SIM_MS / 10);
	}
	start = w->now - start;
	sim_world_run(w, CALM_MS * SIM_MS);
	SIM_CHECK(w, shows(w, 0, version) && shows(w, 1, version), "what was agreed does not stay");
	return start;
}

static void
start_pair(struct sim_world *w, const struct sim_node_config *a, const struct sim_node_config *b)
{
	sim_world_reset(w, 1, SIM_MESH, 2, DELAY_NS);
	w->exact = true;
	sim_node_boot(w, &w->nodes[0], a);
	sim_node_boot(w, &w->nodes[1], b);
}

/* Each pair of ranges; then one of them boots with another range, which must be what counts. */
static uint64_t
run_ranges(struct sim_world *w, uint64_t *runs)
{
	struct range ranges[RANGES];
	uint64_t slowest = 0;

	all_ranges(ranges);
	for (uint32_t i = 0; i < RANGES * RANGES * RANGES; i++) {
		struct sim_node_config a = config(ranges[i % RANGES], i);
		struct sim_node_config b = config(ranges[i / RANGES % RANGES], ~(uint64_t)i);
		struct sim_node_config c = config(ranges[i / RANGES / RANGES], i * 3);
		struct sim_node *again = &w->nodes[i & 1];

		start_pair(w, &a, &b);
		slowest = RTE_MAX(slowest, run_until_agreed(w));
		sim_node_crash(w, again);
		sim_node_boot(w, again, &c);
		slowest = RTE_MAX(slowest, run_until_agreed(w));
		sim_world_end(w);
		*runs += 2;
	}
	return slowest;
}

static void
run_features(struct sim_world *w)
{
	for (uint64_t i = 0; i < FEATURES; i++) {
		struct sim_node_config a, b;

		sim_world_reset(w, i, SIM_MESH, 2, DELAY_NS);
		a = config((struct range){1, 1}, sim_random(w));
		b = config((struct range){1, 1}, sim_random(w));
		start_pair(w, &a, &b);
		run_until_agreed(w);
		sim_world_end(w);
	}
}

enum strange {
	STRANGE_NOISE, /* random bytes */
	STRANGE_ZEROS, /* not started */
	STRANGE_ONES,  /* memory that nobody drives */
	STRANGE_MAGIC,
	STRANGE_LAYOUT, /* of another layout, sealed */
	STRANGE_LENGTH,
	STRANGE_TORN,
	STRANGE_CRC,
	STRANGE_RANGE, /* versions the wrong way round, sealed */
	STRANGE_PHASE,
	STRANGE_NAME, /* without end */
	STRANGE_ID,   /* id 0 */
	STRANGE_BYTE, /* one of those that say what and whose it is, sealed */
	STRANGE_COUNT
};

static const struct {
	const char *name;
	uint32_t reasons; /* one of these is to be told */
} stranges[STRANGE_COUNT] = {
	[STRANGE_NOISE] = {"noise", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_ZEROS] = {"zeros", 1u << CCM_REASON_NOT_STARTED},
	[STRANGE_ONES] = {"ones", 1u << CCM_REASON_NOT_STARTED},
	[STRANGE_MAGIC] = {"another magic", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_LAYOUT] = {"another layout", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_LENGTH] = {"another length", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_TORN] = {"always torn", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_CRC] = {"a wrong check sum", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_RANGE] = {"versions 3 to 2", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_PHASE] = {"phase 77", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_NAME] = {"a name without end", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_ID] = {"id 0", 1u << CCM_REASON_BAD_RECORD},
	[STRANGE_BYTE] = {"one byte of who it is", ~(1u << CCM_REASON_NONE)},
};

static enum strange strange;

/* Bytes of magic, layout, length, sequence number, cluster and ids. */
static const uint8_t telling[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 48, 49, 50,
	51, 52, 53, 54, 55, 88, 89, 90, 91, 240, 241, 242, 243, 244, 245, 246, 247};

static void
seal(uint8_t *rec)
{
	uint32_t crc = ccm_crc32c(rec, CCM_RECORD_SIZE - 4);

	memcpy(rec + CCM_RECORD_SIZE - 4, &crc, sizeof(crc));
}

/* Offsets are those of doc/wire-format.md. */
static void
make_strange(struct sim_world *w, uint8_t *rec)
{
	switch (strange) {
	case STRANGE_NOISE:
		for (uint32_t i = 0; i < CCM_RECORD_SIZE; i++)
			rec[i] = (uint8_t)sim_random(w);
		return;
	case STRANGE_ZEROS:
	case STRANGE_ONES:
		memset(rec, strange == STRANGE_ZEROS ? 0 : 0xff, CCM_RECORD_SIZE);
		return;
	case STRANGE_MAGIC:
		rec[0] ^= 1;
		break;
	case STRANGE_LAYOUT:
		rec[4] = 2;
		break;
	case STRANGE_LENGTH:
		rec[7] = 2;
		break;
	case STRANGE_TORN:
		rec[240]++;
		break;
	case STRANGE_CRC:
		rec[252]++;
		return;
	case STRANGE_RANGE:
		rec[92] = 3;
		rec[94] = 2;
		break;
	case STRANGE_PHASE:
		rec[108] = 77;
		break;
	case STRANGE_NAME:
		memset(rec + 112, 'x', CCM_NAME_LEN);
		break;
	case STRANGE_ID:
		memset(rec + 88, 0, 2);
		break;
	case STRANGE_BYTE:
		rec[telling[w->seed % RTE_DIM(telling)]] ^= (uint8_t)(1 +
			w->seed / RTE_DIM(telling));
		break;
	case STRANGE_COUNT:
		break;
	}
	seal(rec);
}

static uint32_t
reasons_seen(struct sim_world *w, uint64_t ns)
{
	uint32_t seen = 0;

	for (uint64_t end = w->now + ns; w->now < end;) {
		struct ccm_partner_status s;

		sim_world_run(w, SIM_MS);
		s = status_of(w, 0);
		seen |= 1u << s.reason;
		SIM_CHECK(w, s.state == CCM_SEARCH || s.state == CCM_REFUSED,
			"node 0 is %s with a partner that shows %s", ccm_state_name(s.state),
			stranges[strange].name);
	}
	return seen;
}

/*
 * The records of node 1 are strange from the beginning, or become so while the session is up. Node 0
 * stays SEARCH or REFUSED, says why, and comes up as soon as they are records again.
 */
static void
run_strange(struct sim_world *w, uint64_t seed, bool from_the_start)
{
	struct sim_node_config cfg = config((struct range){1, 1}, 0);
	uint32_t reasons;

	sim_world_reset(w, seed, SIM_MESH, 2, DELAY_NS);
	w->exact = true;
	sim_node_boot(w, &w->nodes[0], &cfg);
	sim_node_boot(w, &w->nodes[1], &cfg);
	if (!from_the_start)
		run_until_agreed(w);
	w->mangler = 1;
	w->mangle = make_strange;
	sim_truth_gone(&w->nodes[1]); /* nobody can tell that it is well */
	if (!from_the_start)
		sim_world_run(w, 2 * CALM_MS * SIM_MS);
	reasons = reasons_seen(w, STRANGE_MS * SIM_MS);
	SIM_CHECK(w, (reasons & stranges[strange].reasons) != 0,
		"a partner that shows %s: node 0 does not say so", stranges[strange].name);
	w->mangle = NULL;
	run_until_agreed(w);
	sim_world_end(w);
}

int
sim_run_versions(struct sim_world *w, const struct sim_options *opt)
{
	uint64_t runs = 0, slowest;
	uint32_t n_strange = 0;

	w->verbose = opt->verbose;
	slowest = run_ranges(w, &runs);
	run_features(w);
	printf("versions: %lu pairs of ranges, each agreed or refused, and shown by both, within "
	       "%.1f ms; %d pairs of features\n",
		(unsigned long)runs, (double)slowest / 1e6, FEATURES);
	for (strange = 0; strange < STRANGE_COUNT; strange++) {
		uint64_t seeds = strange == STRANGE_BYTE ? 4 * RTE_DIM(telling)
			: strange == STRANGE_NOISE	 ? GARBAGE
							 : 1;

		for (uint64_t seed = 0; seed < seeds; seed++) {
			run_strange(w, seed, true);
			run_strange(w, seed, false);
			n_strange += 2;
		}
	}
	printf("versions: %u runs with strange records: never up, told why, up again\n", n_strange);
	return 0;
}
