/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * How far the local operating system has booted: stages from the configuration, told by whoever
 * boots it (over telemetry, from any thread) or, for trying it out, by the script in the
 * configuration. node_boot_status() and node_boot_request() are for any thread, the rest is for the control
 * core.
 */

#include "config.h"

#include <stdbool.h>
#include <stdint.h>

struct node_boot {
	const struct node_boot_stage *stages;
	uint32_t n_stages;
	_Atomic uint64_t now;	  /* index of the stage << 32 | progress */
	uint64_t stage_ns;	  /* when it began */
	uint64_t progress_ns;	  /* when the script's next progress is due */
	bool told;		  /* somebody has told a stage: the script is over */
	_Atomic uint64_t request; /* stage from 1 << 32 | progress; 0: none */
};

/* Begin with the first stage. The configuration must stay. */
void node_boot_init(struct node_boot *b, const struct node_config *cfg, uint64_t now_ns);

/* What has been asked for, and the script's next step. Returns whether anything has changed. */
bool node_boot_poll(struct node_boot *b, uint64_t now_ns);

/* As it is to be told to the partners. */
void node_boot_status(const struct node_boot *b, struct ccm_boot_status *out);

/*
 * Tell a stage by its name, from any thread; the latest of several counts. Going back to an
 * earlier stage is allowed: systems do reboot.
 *
 * Returns 0 or -ENOENT (no such stage).
 */
int node_boot_request(struct node_boot *b, const char *name, uint32_t progress);
