/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Commands of the node on DPDK's telemetry socket: /ccm/... for the manager, /remu/... for the
 * engines and the port. They run on threads of their own and only read snapshots and counters.
 */

#include <stdint.h>

struct capture;
struct ccm;
struct data_lcore;
struct exercise;
struct node_boot;
struct node_config;
struct node_reload;
struct remu_engine;
struct remu_port;

/* Where the answers come from; all of it must stay until node_telemetry_stop(). */
struct telemetry_source {
	const struct node_config *cfg;
	const struct ccm *ccm;
	struct remu_engine *const *engines;
	const struct data_lcore *lcores; /* one per engine */
	uint32_t n_engines;
	const struct remu_port *port;
	const struct exercise *exercise;
	struct node_boot *boot;
	struct node_reload *reload;
	const struct capture *capture; /* NULL: frames are not captured */
	const char *capture_file;
	uint64_t capture_bytes;
	uint64_t (*now_ns)(void); /* the clock that ccm_poll() gets; from any thread */
	uint64_t start_ns;
	const _Atomic uint64_t
		*control_ns; /* when the control core began its last turn; 0: not yet */
};

/* Register all commands, once per process. Returns 0 or a negative errno. */
int node_telemetry_register(const struct telemetry_source *src);

/*
 * From the return of this function on nothing of the source is used: DPDK's telemetry threads go
 * on until the process ends, and every command answers that the node has stopped.
 */
void node_telemetry_stop(void);
