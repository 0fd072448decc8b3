/* SPDX-License-Identifier: BSD-3-Clause */
#include "port_gate.h"

#include <rte_cycles.h>
#include <rte_malloc.h>

#include <errno.h>
#include <unistd.h>

enum { POLL_US = 20 };

int
port_gate_init(struct port_gate *gate, uint32_t n, bool open)
{
	size_t size = rte_rcu_qsbr_get_memsize(n);

	gate->rcu = rte_zmalloc("port_gate", size, RTE_CACHE_LINE_SIZE);
	if (gate->rcu == NULL)
		return -ENOMEM;
	rte_rcu_qsbr_init(gate->rcu, n);
	for (uint32_t i = 0; i < n; i++)
		rte_rcu_qsbr_thread_register(gate->rcu, i);
	atomic_init(&gate->state, open ? 0 : 1);
	return 0;
}

void
port_gate_fini(struct port_gate *gate)
{
	rte_free(gate->rcu);
	gate->rcu = NULL;
}

bool
port_gate_close(struct port_gate *gate, uint32_t wait_us)
{
	uint64_t start = rte_rdtsc(), limit = rte_get_tsc_hz() / 1000000 * wait_us, token;

	/* Pairs with the token's release in start and its acquire in the lcores' reports: who
	 * has reported this token sees the gate closed. */
	atomic_fetch_or_explicit(&gate->state, 1, memory_order_seq_cst);
	/* Pairs with the fence in port_gate_enter(): an lcore that is still counted as away when
	 * we look sees the gate closed when it comes back. */
	atomic_thread_fence(memory_order_seq_cst);
	token = rte_rcu_qsbr_start(gate->rcu);
	while (rte_rcu_qsbr_check(gate->rcu, token, false) == 0) {
		if (rte_rdtsc() - start > limit)
			return false;
		usleep(POLL_US); /* the lcore may need this very CPU */
	}
	return true;
}

void
port_gate_open(struct port_gate *gate, uint32_t state)
{
	if ((state & 1) != 0)
		atomic_compare_exchange_strong(&gate->state, &state, state + 1);
}
