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

enum { JOBS_MAX = 64 };

static const char usage[] =
	"usage: sim --seeds N [--first-seed S] [--jobs J]   worlds with mixed faults\n"
	"       sim --seed S [--trace OUT.pcap] [-v]        one of them, with capture and log\n"
	"       sim --crash-each | --crash-pairs [--sample K]   crash at every event of a "
	"handshake\n"
	"       sim --drop-each | --drop-pairs [--sample K]     lose every packet of a handshake\n"
	"       sim --handshakes N                          as fast as possible, without faults\n"
	"       sim --rtt                                   how long a handshake takes, exactly\n"
	"       sim --detect [--seeds BEATS]                how soon a crash is told\n"
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
run(int mode, struct sim_options *opt, const char *trace)
{
	struct sim_world *w;
	int rc;

	if (sim_eal_start() != 0) {
		fprintf(stderr, "sim: EAL does not start\n");
		return 2;
	}
	w = sim_world_new(SIM_ATTEMPTS);
	w->strict_late = opt->strict_late;
	sim_trace_signals();
	if (trace != NULL && pcap_writer_open(trace, &w->pcap) != 0) {
		fprintf(stderr, "sim: %s cannot be written\n", trace);
		return 2;
	}
	switch (mode) {
	case OPT_SEED:
		rc = sim_run_seed(w, opt);
		break;
	case OPT_CRASH_EACH:
	case OPT_CRASH_PAIRS:
		rc = sim_run_crashes(w, opt, mode == OPT_CRASH_PAIRS);
		break;
	case OPT_DROP_EACH:
	case OPT_DROP_PAIRS:
		rc = sim_run_drops(w, opt, mode == OPT_DROP_PAIRS);
		break;
	case OPT_HANDSHAKES:
		rc = sim_run_handshakes(w, opt);
		break;
	case OPT_RTT:
		rc = sim_run_rtt(w, opt);
		break;
	case OPT_DETECT:
		rc = sim_run_detect(w, opt);
		break;
	default:
		rc = sim_run_swarm(w, opt);
		break;
	}
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
		opt.sample == 0) {
		fputs(usage, stderr);
		return 2;
	}
	return opt.jobs > 1 ? run_jobs(mode, &opt) : run(mode, &opt, trace);
}
