/* SPDX-License-Identifier: BSD-3-Clause */
#include "background.h"

#include <rte_lcore.h>

#include <sched.h>
#include <signal.h>

static cpu_set_t allowed;

void
background_init(void)
{
	CPU_ZERO(&allowed);
	sched_getaffinity(0, sizeof(allowed), &allowed);
}

/* What the lcores leave; all where they leave nothing. */
static cpu_set_t
spare_cpus(void)
{
	cpu_set_t spare = allowed;
	unsigned int lcore;

	RTE_LCORE_FOREACH (lcore) {
		rte_cpuset_t used = rte_lcore_cpuset(lcore);

		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, &used))
				CPU_CLR(cpu, &spare);
	}
	return CPU_COUNT(&spare) > 0 ? spare : allowed;
}

int
background_start(pthread_t *thread, const char *name, void *(*fn)(void *arg), void *arg)
{
	cpu_set_t cpus = spare_cpus();
	pthread_attr_t attr;
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	if (CPU_COUNT(&cpus) > 0)
		pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		pthread_setname_np(*thread, name);
	return -rc;
}
