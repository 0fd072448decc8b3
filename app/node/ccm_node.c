/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ccm-node: one node of the cluster as a process.
 */
#include "background.h"
#include "log.h"
#include "node.h"
#include "notify.h"
#include "options.h"
#include "reload.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include <stdio.h>
#include <stdlib.h>

RTE_LOG_REGISTER_DEFAULT(app_logtype, INFO);

int
main(int argc, char **argv)
{
	char error[NODE_OPTIONS_ERROR_LEN];
	struct node_config_error config_error;
	struct node_options opt;
	struct node *node;
	bool clean;
	int status;

	node = calloc(1, sizeof(*node));
	if (node == NULL)
		return EXIT_FAILURE;
	if (node_options_parse(argc, argv, &opt, error, sizeof(error)) != 0) {
		fprintf(stderr, "ccm-node: %s\n", error);
		return NODE_EXIT_USAGE;
	}
	status = node_options_act(&opt, stdout, stderr);
	if (status >= 0)
		return status;
	if (node_config_load(opt.config, &node->cfg, &config_error) != 0) {
		fprintf(stderr, "%s\n", config_error.text);
		return NODE_EXIT_USAGE;
	}
	if (notify_init(&node->notify, error, sizeof(error)) != 0)
		fprintf(stderr, "ccm-node: %s\n", error);
	background_init();
	node_reload_block_signal();
	if (rte_eal_init(opt.eal_argc, argv) < 0) {
		fprintf(stderr, "ccm-node: EAL: %s\n", rte_strerror(rte_errno));
		return EXIT_FAILURE;
	}
	node->program = "ccm-node";
	node->exercise = opt.exercise;
	node->telemetry = true;
	node->config_file = opt.config;
	node->log_level = opt.log_level;
	node->pcap = opt.pcap[0] == '\0' ? NULL : opt.pcap;
	node->pcap_bytes = opt.pcap_bytes;
	node->clock = node_clock_make(rte_get_tsc_hz());
	node_catch_signals();
	if (node_open(node) == 0)
		node_run(node);
	status = node->ran ? EXIT_SUCCESS : EXIT_FAILURE;
	clean = node_close(node);
	if (clean)
		rte_eal_cleanup();
	exit(status); /* other threads of EAL live on until here, and may still look at the node */
}
