/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Protection against two defects of memif's driver, both on the EAL interrupt thread. It offers no
 * hook; but it calls the C library through the symbol table, so the program brings its own
 * munmap() and sendmsg(), which differ for that thread only.
 *
 * When the peer process goes away, the driver clears its "connected" flag and unmaps the shared
 * rings at once. An lcore inside rx or tx that has read the flag already touches unmapped memory
 * and takes the process down. Hence munmap() first closes the gate and waits for the lcores.
 *
 * When a client has gone before a server greets it, the server closes the socket but leaves it in
 * EAL's list, and EAL panics. Hence a message to a peer that has gone counts as sent; the driver
 * then learns of the end when it reads, where it cleans up properly.
 */

#include <stdint.h>

struct port_gate;

/* From now on the interrupt thread unmaps nothing while an lcore is behind the gate; NULL: off. */
void memif_guard_arm(struct port_gate *gate);

/* Mappings left in place because an lcore did not come out in time. */
uint64_t memif_guard_kept(void);
