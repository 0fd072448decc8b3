/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Protection against memif's driver. When the peer process goes away, the driver clears its
 * "connected" flag and unmaps the shared rings at once, on the EAL interrupt thread. An lcore that
 * is inside rx or tx at that moment, which has read the flag already, touches unmapped memory and
 * takes the process down. The driver offers no hook; but it calls munmap() through the symbol
 * table, so the program brings its own munmap(), which first closes the gate.
 */

#include <stdint.h>

struct port_gate;

/* From now on the interrupt thread unmaps nothing while an lcore is behind the gate; NULL: off. */
void memif_guard_arm(struct port_gate *gate);

/* Mappings left in place because an lcore did not come out in time. */
uint64_t memif_guard_kept(void);
