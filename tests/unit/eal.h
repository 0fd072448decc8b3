/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * EAL for unit tests: no hugepages, no devices, no files, no other threads, any CPU.
 */

#include <stdint.h>

struct rte_mempool;

/* cmocka group setup and teardown. */
int eal_setup(void **state);
int eal_teardown(void **state);

/* Pool of n mbufs, without per-thread cache, for frames of up to 4096 bytes of payload. */
struct rte_mempool *eal_pool(uint32_t n);

/* Free a pool; fails the test when an mbuf is missing. */
void eal_pool_free(struct rte_mempool *pool);
