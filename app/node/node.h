/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * A node as a process: port, engines, manager, and the loops of its lcores. The main lcore is the
 * control core; the others move packets. With one lcore only, it does both.
 *
 * A program loads the configuration and initialises EAL, fills in what is given, and calls
 * node_open(), node_run() and node_close() from the main lcore.
 */

#include "boot.h"
#include "ccm.h"
#include "clock.h"
#include "config.h"
#include "lcore.h"
#include "notify.h"
#include "port_gate.h"
#include "port_watch.h"
#include "reload.h"
#include "telemetry.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture;
struct exercise;
struct remu_channel;
struct remu_engine;
struct remu_port;
struct rte_mempool;
struct target;

/* What a program adds to a node; all may be NULL. */
struct node_hooks {
	/* Engines and manager are there, nothing runs: register clients. Returns 0 or an errno. */
	int (*start)(void *ctx);
	/* Each turn of the control core. Returns whether there was anything to do. */
	bool (*control)(void *ctx, uint64_t now_ns);
	/* Each turn of each data lcore: a client that works there, see struct data_lcore. */
	data_client_fn data;
	/* In place of the data lcores' turns; then there is no manager at work either. */
	data_client_fn bare;
	void *ctx;
};

/* Random numbers in store: the handshake draws some, and a system call each would hold it up. */
struct node_random {
	uint64_t values[32];
	uint32_t left;
};

struct node {
	/* given */
	const char *program; /* name for messages */
	struct node_config cfg;
	bool exercise;		 /* clients of that kind move data */
	bool telemetry;		 /* and SIGHUP; not with node_again() */
	const char *config_file; /* for SIGHUP, see reload.h */
	int log_level;		 /* enum node_log_level; -1: as the configuration says */
	const char *pcap;	 /* file to capture frames in; NULL: none; not with node_again() */
	uint64_t pcap_bytes;	 /* the most that captures may take */
	uint32_t pause_us;	 /* node_again(): between the end and the new beginning */
	struct node_clock clock;
	struct node_random random; /* control core */
	struct node_hooks hooks;
	/* constant from node_open() to node_close(), without node_again() */
	uint32_t n_engines;
	uint16_t port_id;
	struct rte_mempool *pool;
	struct remu_port *port;
	struct port_gate gate;
	struct port_watch watch;
	struct remu_engine *engines[CCM_MAX_ENGINES];
	struct remu_channel *channels[CCM_MAX_ENGINES];
	struct data_lcore lcores[CCM_MAX_ENGINES];
	void *memory;
	size_t memory_size;
	struct exercise *exerciser;
	struct target *target;
	struct node_boot boot;
	struct node_reload reload;
	struct notify notify; /* off unless notify_init() has been called; not with node_again() */
	struct capture *capture; /* NULL: none */
	struct ccm *ccm;
	struct telemetry_source telemetry_source;
	_Atomic uint64_t control_ns; /* when the control core began its last turn */
	_Atomic uint64_t control_turns;
	/* control core */
	bool ran;
	bool again;
	uint64_t came_up; /* partners that have come up in this turn, by index */
	bool leaving;
	_Atomic bool stop_data;
};

/* SIGTERM and SIGINT make the node leave; a second one ends the process at once. */
void node_catch_signals(void);

/* Port, engines, manager, telemetry. Returns 0, or -1 with the reason on standard error. */
int node_open(struct node *node);

/* Run until a signal or node_leave(); partners are told. */
void node_run(struct node *node);

/* From the control core: let node_run() end. */
void node_leave(struct node *node);

/*
 * From the control core: leave, and then begin anew within node_run(), as a node that was restarted:
 * with new engines and a new manager, over the same port.
 */
void node_again(struct node *node);

/* Whether a signal has come. */
bool node_interrupted(void);

/*
 * Undo what has been done. Returns whether EAL can be cleaned up too: not after memif, whose
 * closing leaves EAL's interrupt thread parked, and EAL would wait for it.
 */
bool node_close(struct node *node);
