/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Command line of ccm-bench: [EAL arguments] -- [our options]. Letters as perftest has them. Parsed
 * by hand, before EAL starts and without getopt, whose state belongs to EAL.
 */

#include "bench_point.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum bench_task {
	BENCH_MEASURE, /* operations over a client's port */
	BENCH_FLOOR,   /* bare frames */
	BENCH_FLOOR_PEER,
	BENCH_HANDSHAKE,
	BENCH_FAILOVER,
	BENCH_HELP,
	BENCH_VERSION,
};

enum {
	BENCH_EXIT_USAGE = 2,
	BENCH_ERROR_LEN = 256,
	BENCH_POINTS_MAX = 256,
};

struct bench_options {
	enum bench_task task;
	const char *config; /* file; points into argv, as all strings here */
	const char *client; /* whose ports are measured */
	struct bench_point points[BENCH_POINTS_MAX];
	uint32_t n_points;
	uint64_t iterations; /* 0: go by seconds */
	double seconds;	     /* for each point; 0: go by iterations */
	bool restart;	     /* handshake: of a node that begins anew */
	bool cross;	     /* post through the channel, not on the data lcore */
	const char *json;
	const char *hgrm;
	const char *csv;
	int log_level; /* enum node_log_level */
	int eal_argc;  /* arguments for rte_eal_init(), argv[0] included */
};

/* Returns 0, or -EINVAL with one line, without a newline, in err. */
int bench_options_parse(int argc, char **argv, struct bench_options *out, char *err,
	size_t err_len);

void bench_options_help(FILE *out);
