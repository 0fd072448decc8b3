/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { DATA_ROOM = RTE_PKTMBUF_HEADROOM + 4096 + 112 };

int
eal_setup(void **state)
{
	char lcores[32];
	char *argv[] = {(char *)"unit", (char *)"--no-huge", (char *)"--no-pci",
		(char *)"--no-shconf", (char *)"--no-telemetry", (char *)"-m", (char *)"256",
		(char *)"--log-level=4", (char *)"--lcores", lcores};
	cpu_set_t cpus;
	int first = 0;
	int rc;

	(void)state;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return -1;
	while (!CPU_ISSET(first, &cpus))
		first++;
	snprintf(lcores, sizeof(lcores), "0@%d", first);
	rc = rte_eal_init((int)RTE_DIM(argv), argv);
	/* Tests run side by side: none may stay pinned to the CPU that all of them got. */
	return rc < 0 ? rc : sched_setaffinity(0, sizeof(cpus), &cpus);
}

int
eal_teardown(void **state)
{
	(void)state;
	return rte_eal_cleanup();
}

struct rte_mempool *
eal_pool(uint32_t n)
{
	static unsigned int serial;
	struct rte_mempool *pool;
	char name[32];

	snprintf(name, sizeof(name), "pool%u", serial++);
	pool = rte_pktmbuf_pool_create(name, n, 0, 0, DATA_ROOM, SOCKET_ID_ANY);
	assert_non_null(pool);
	return pool;
}

void
eal_pool_free(struct rte_mempool *pool)
{
	assert_true(rte_mempool_full(pool));
	rte_mempool_free(pool);
}
