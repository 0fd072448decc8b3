/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A node whose loops can be made to stand still, without stopping its threads from outside. Linked
 * with the sources of ccm-node and --wrap=ccm_poll,--wrap=remu_engine_poll: SIGUSR1 halts the control
 * core in its next turn, SIGUSR2 the data lcores; the same signal again lets them go on.
 */
#include "ccm.h"
#include "rdma_emul.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { LOOK_US = 1000 };

bool __real_ccm_poll(struct ccm *ccm, uint64_t now_ns);
bool __wrap_ccm_poll(struct ccm *ccm, uint64_t now_ns);
void __real_remu_engine_poll(struct remu_engine *engine, uint64_t now_ns);
void __wrap_remu_engine_poll(struct remu_engine *engine, uint64_t now_ns);

static _Atomic bool halt_control, halt_data;

static void
on_signal(int sig)
{
	_Atomic bool *which = sig == SIGUSR1 ? &halt_control : &halt_data;

	atomic_store(which, !atomic_load(which));
}

__attribute__((constructor)) static void
obey_signals(void)
{
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
}

bool
__wrap_ccm_poll(struct ccm *ccm, uint64_t now_ns)
{
	while (atomic_load(&halt_control))
		usleep(LOOK_US);
	return __real_ccm_poll(ccm, now_ns);
}

void
__wrap_remu_engine_poll(struct remu_engine *engine, uint64_t now_ns)
{
	while (atomic_load(&halt_data))
		usleep(LOOK_US);
	__real_remu_engine_poll(engine, now_ns);
}
