/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Clients that leave their ports to the partner: its READs, WRITEs and atomics find their memory,
 * its SENDs are received into it and forgotten. Receive requests are posted on the data lcores.
 */

#include <stdbool.h>
#include <stdint.h>

struct ccm;
struct node_config;
struct remu_engine;
struct target;

/* Receive requests that an engine must have room for on each port: 0 without such clients. */
uint32_t target_receives(const struct node_config *cfg);

/* Before the lcores run. Returns 0 or -ENOMEM; *out is NULL on failure. */
int target_create(const struct node_config *cfg, struct remu_engine *const *engines,
	uint32_t n_engines, struct target **out);

/* Free it; nothing runs any more. NULL is harmless. */
void target_destroy(struct target *target);

/* Register all such clients; once, before the first ccm_poll(). Returns 0 or the manager's errno. */
int target_register(struct target *target, struct ccm *ccm);

/* One turn on the data lcore of this engine. Returns whether anything was received. */
bool target_turn(struct target *target, uint32_t engine);
