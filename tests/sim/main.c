/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim: simulation of whole nodes; see sim.h and doc/testing.md.
 */
#include "sim.h"

#include "pcap.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	JOBS_MAX = 64,
	MESH_MAX = 32, /* nodes; with more there is a frame under way at any time */
};

static const char usage[] =
	"usage: sim --seeds N [--first-seed S] [--jobs J]   worlds with mixed faults\n"
	"       sim --seed S [--trace OUT.pcap] [-v]        one of them, with capture and log\n"
	"       sim --crash-each | --crash-pairs [--sample K]   crash at every event of a "
	"handshake\n"
	"       sim --drop-each | --drop-pairs [--sample K]     lose every packet of a handshake\n"
	"       sim --handshakes N                          as fast as possible, without faults\n"
	"       sim --rtt                                   how long a handshake takes, exactly\n"
	"       sim --detect [--seeds BEATS]                how soon a crash or a hang is told\n"
	"       sim --links                                 cuts, flaps, clocks\n"
	"       sim --suspicions [--seeds N]                both suspect each other at once\n"
	"       sim --clean [--seeds N]                     how long a clean start takes\n"
	"       sim --late                                  frames of former lives come back\n"
	"       sim --exhaustion                            memory, mbufs, queue pairs run out\n"
	"       sim --versions                              versions, features, strange records\n"
	"       sim --identity [--seeds N]                  nodes that take each other's place\n"
	"       sim --many N | --mesh N [--seeds ROUNDS]    a hub with N partners, or N <= 32 "
	"nodes in a mesh\n"
	"What does not hold yet, with --seeds or --seed:\n"
	"       --strict-late    late copies of old frames end no session\n";

enum mode {
	OPT_SEEDS = 256,
	OPT_FIRST,
	OPT_JOBS,
	OPT_SEED,
	OPT_TRACE,
	OPT_CRASH_EACH,
	OPT_CRASH_PAIRS,
	OPT_DROP_EACH,
	OPT_DROP_PAIRS,
	OPT_SAMPLE,
	OPT_HANDSHAKES,
	OPT_RTT,
	OPT_DETECT,
	OPT_LINKS,
	OPT_SUSPICIONS,
	OPT_CLEAN,
	OPT_LATE,
	OPT_EXHAUSTION,
	OPT_VERSIONS,
	OPT_IDENTITY,
	OPT_MANY,
	OPT_MESH,
	OPT_STRICT_LATE,
};

static const struct option options[] = {
	{"seeds", required_argument, NULL, OPT_SEEDS},
	{"first-seed", required_argument, NULL, OPT_FIRST},
	{"jobs", required_argument, NULL, OPT_JOBS},
	{"seed", required_argument, NULL, OPT_SEED},
	{"trace", required_argument, NULL, OPT_TRACE},
	{"crash-each", no_argument, NULL, OPT_CRASH_EACH},
	{"crash-pairs", no_argument, NULL, OPT_CRASH_PAIRS},
	{"drop-each", no_argument, NULL, OPT_DROP_EACH},
	{"drop-pairs", no_argument, NULL, OPT_DROP_PAIRS},
	{"sample", required_argument, NULL, OPT_SAMPLE},
	{"handshakes", required_argument, NULL, OPT_HANDSHAKES},
	{"rtt", no_argument, NULL, OPT_RTT},
	{"detect", no_argument, NULL, OPT_DETECT},
	{"links", no_argument, NULL, OPT_LINKS},
	{"suspicions", no_argument, NULL, OPT_SUSPICIONS},
	{"clean", no_argument, NULL, OPT_CLEAN},
	{"late", no_argument, NULL, OPT_LATE},
	{"exhaustion", no_argument, NULL, OPT_EXHAUSTION},
	{"versions", no_argument, NULL, OPT_VERSIONS},
	{"identity", no_argument, NULL, OPT_IDENTITY},
	{"many", required_argument, NULL, OPT_MANY},
	{"mesh", required_argument, NULL, OPT_MESH},
	{"strict-late", no_argument, NULL, OPT_STRICT_LATE},
	{NULL, 0, NULL, 0},
};

static uint64_t
number(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || *text == '-') {
		fprintf(stderr, "sim: %s is no number\n%s", text, usage);
		exit(2);
	}
	return value;
}

static int
run_mode(struct sim_world *w, int mode, const struct sim_options *opt)
{
	switch (mode) {
	case OPT_SEED:
		return sim_run_seed(w, opt);
	case OPT_CRASH_EACH:
	case OPT_CRASH_PAIRS:
		return sim_run_crashes(w, opt, mode == OPT_CRASH_PAIRS);
	case OPT_DROP_EACH:
	case OPT_DROP_PAIRS:
		return sim_run_drops(w, opt, mode == OPT_DROP_PAIRS);
	case OPT_HANDSHAKES:
		return sim_run_handshakes(w, opt);
	case OPT_RTT:
		return sim_run_rtt(w, opt);
	case OPT_DETECT:
		return sim_run_detect(w, opt);
	case OPT_LINKS:
		return sim_run_links(w, opt);
	case OPT_SUSPICIONS:
		return sim_run_suspicions(w, opt);
	case OPT_CLEAN:
		return sim_run_clean(w, opt);
	case OPT_LATE:
		return sim_run_late(w, opt);
	case OPT_EXHAUSTION:
		return sim_run_exhaustion(w, opt);
	case OPT_VERSIONS:
		return sim_run_versions(w, opt);
	case OPT_IDENTITY:
		return sim_run_identity(w, opt);
	case OPT_MANY:
	case OPT_MESH:
		return sim_run_many(w, opt);
	default:
		return sim_run_swarm(w, opt);
	}
}

static int
run(int mode, struct sim_options *opt, const char *trace)
{
	struct sim_world *w;
	int rc;

	if (sim_eal_start() != 0) {
		fprintf(stderr, "sim: EAL does not start\n");
		return 2;
	}
	w = sim_world_new(mode == OPT_MANY || mode == OPT_MESH ? SIM_ATTEMPTS_MANY : SIM_ATTEMPTS);
	w->strict_late = opt->strict_late;
	sim_trace_signals();
	if (trace != NULL && pcap_writer_open(trace, &w->pcap) != 0) {
		fprintf(stderr, "sim: %s cannot be written\n", trace);
		return 2;
	}
	rc = run_mode(w, mode, opt);
	if (pcap_writer_close(w->pcap) != 0) {
		fprintf(stderr, "sim: %s could not be written\n", trace);
		return 2;
	}
	fflush(stdout);
	return rc;
}

/* Several processes share the seeds out; each has a world of its own. */
static int
run_jobs(int mode, struct sim_options *opt)
{
	int worst = 0, status;

	for (uint32_t job = 0; job < opt->jobs; job++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("sim: fork");
			return 2;
		}
		if (pid == 0) {
			opt->job = job;
			_exit(run(mode, opt, NULL));
		}
	}
	while (wait(&status) > 0) {
		int rc = WIFEXITED(status) ? WEXITSTATUS(status) : 1;

		worst = rc > worst ? rc : worst;
	}
	return worst;
}

int
main(int argc, char **argv)
{
	struct sim_options opt = {.first = 1, .jobs = 1, .sample = 1};
	const char *trace = NULL;
	int mode = 0, c;

	while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		switch (c) {
		case OPT_SEEDS:
			opt.seeds = number(optarg);
			mode = mode != 0 ? mode : c;
			break;
		case OPT_FIRST:
			opt.first = number(optarg);
			break;
		case OPT_JOBS:
			opt.jobs = (uint32_t)number(optarg);
			break;
		case OPT_SEED:
			opt.first = number(optarg);
			mode = c;
			break;
		case OPT_TRACE:
			trace = optarg;
			opt.verbose = true;
			break;
		case OPT_SAMPLE:
			opt.sample = number(optarg);
			break;
		case OPT_HANDSHAKES:
			opt.seeds = number(optarg);
			mode = c;
			break;
		case OPT_MANY:
			opt.n_nodes = 1 + (uint32_t)number(optarg);
			opt.shape = SIM_STAR;
			mode = c;
			break;
		case OPT_MESH:
			opt.n_nodes = (uint32_t)number(optarg);
			opt.shape = SIM_MESH;
			mode = c;
			break;
		case OPT_STRICT_LATE:
			opt.strict_late = true;
			break;
		case 'v':
			opt.verbose = true;
			break;
		case '?':
			fputs(usage, stderr);
			return 2;
		default:
			mode = c;
			break;
		}
	}
	if (mode == 0 || optind != argc || opt.jobs == 0 || opt.jobs > JOBS_MAX ||
		opt.sample == 0 || opt.n_nodes > SIM_NODES || opt.n_nodes == 1 ||
		(opt.shape == SIM_MESH && opt.n_nodes > MESH_MAX)) {
		fputs(usage, stderr);
		return 2;
	}
	return opt.jobs > 1 ? run_jobs(mode, &opt) : run(mode, &opt, trace);
}
