/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * A gate between the data lcores and the port. Whoever must take the port's queues away closes
 * it and waits for a grace period: then no lcore is inside rx or tx, and none will enter. The
 * lcores pay one relaxed load and one quiescent-state report per turn.
 */

#include <rte_rcu_qsbr.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct port_gate {
	/* Odd: closed. Changes at every opening, so that a decision to open can be outdated. */
	_Atomic uint32_t state;
	struct rte_rcu_qsbr *rcu;
};

/* Make a gate for lcores 0 to n - 1. Returns 0 or -ENOMEM. */
int port_gate_init(struct port_gate *gate, uint32_t n, bool open);

void port_gate_fini(struct port_gate *gate);

static inline bool
port_gate_is_open(struct port_gate *gate)
{
	return (atomic_load_explicit(&gate->state, memory_order_relaxed) & 1) == 0;
}

/* An lcore enters its loop, where the port may be used, or goes to sleep in it, or leaves. */
static inline void
port_gate_enter(struct port_gate *gate, uint32_t id)
{
	rte_rcu_qsbr_thread_online(gate->rcu, id);
}

static inline void
port_gate_leave(struct port_gate *gate, uint32_t id)
{
	rte_rcu_qsbr_thread_offline(gate->rcu, id);
}

/* This lcore is not inside rx or tx. */
static inline void
port_gate_quiescent(struct port_gate *gate, uint32_t id)
{
	rte_rcu_qsbr_quiescent(gate->rcu, id);
}

/*
 * Close the gate and wait until no lcore is behind it; not from an lcore that is.
 * Returns false when one still is after wait_us; the gate stays closed then too.
 */
bool port_gate_close(struct port_gate *gate, uint32_t wait_us);

/* State to hand to port_gate_open(), read before the reason to open it is looked at. */
static inline uint32_t
port_gate_state(struct port_gate *gate)
{
	return atomic_load_explicit(&gate->state, memory_order_seq_cst);
}

/* Open the gate unless it has been closed again since port_gate_state(). */
void port_gate_open(struct port_gate *gate, uint32_t state);
