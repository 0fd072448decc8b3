/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Command line of ccm-node: [EAL arguments] -- [our options]. Everything before the first "--"
 * is for rte_eal_init(); without "--" everything is ours. Parsed by hand, before EAL starts and
 * without getopt, whose state belongs to EAL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum node_action {
	NODE_RUN,
	NODE_HELP,
	NODE_VERSION,
	NODE_CHECK, /* check the configuration file and stop */
	NODE_PRINT, /* print it as it takes effect, and stop */
};

enum {
	NODE_EXIT_USAGE = 2, /* wrong options or configuration; nothing was created */
	NODE_OPTIONS_ERROR_LEN = 256,
	NODE_PCAP_LEN = 1024,
};

struct node_options {
	enum node_action action;
	const char
		*config; /* file; points into argv; set for NODE_RUN, NODE_CHECK and NODE_PRINT */
	char pcap[NODE_PCAP_LEN]; /* file to capture frames in; empty: none */
	uint64_t pcap_bytes;	  /* the most that captures may take */
	bool exercise;		  /* built-in clients use their ports */
	int log_level;		  /* enum node_log_level; -1: as the configuration says */
	int eal_argc;		  /* arguments for rte_eal_init(), argv[0] included */
};

/*
 * Parse the command line; argv is left as it is.
 *
 * Returns 0, or -EINVAL with one line, without a newline, in err.
 */
int node_options_parse(int argc, char **argv, struct node_options *out, char *err, size_t err_len);

/*
 * Carry out --help, --version, --check-config or --print-config: neither EAL nor privileges are needed.
 *
 * Returns the exit status, or -1 for NODE_RUN: go on and start.
 */
int node_options_act(const struct node_options *opt, FILE *out, FILE *err);
