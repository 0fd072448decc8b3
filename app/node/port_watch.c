/* SPDX-License-Identifier: BSD-3-Clause */
#include "port_watch.h"

#include "log.h"

#include <remu_port.h>
#include <rte_alarm.h>

#include <unistd.h>

enum {
	MS = 1000000, /* ns */
	LOOK_NS = 2 * MS,
	REFUSED_NS = 20 * MS,  /* the server's socket is not there: try again after */
	PATIENCE_NS = 50 * MS, /* it is there: the driver's handshake may take this at first */
	PATIENCE_MAX_NS = 400 * MS,
	GATE_WAIT_US = 100000,
	CLOSE_WAIT_MS = 300,
};

/* It reports every failed attempt to connect; we say when the link comes and goes. */
static void
hush_memif(void)
{
	int type = rte_log_register("pmd.net.memif");

	/* Above its default: somebody is looking into it. */
	if (type >= 0 && rte_log_get_level((uint32_t)type) <= (int)RTE_LOG_NOTICE)
		rte_log_set_level((uint32_t)type, RTE_LOG_CRIT);
}

void
port_watch_init(struct port_watch *w, struct remu_port *port, struct port_gate *gate)
{
	*w = (struct port_watch){
		.port = port,
		.gate = gate,
		.memif = remu_port_is_memif(port),
		.memif_client = remu_port_is_memif_client(port),
		.patience_ns = PATIENCE_NS,
	};
	if (w->memif)
		hush_memif();
}

static void
restart(void *arg)
{
	struct port_watch *w = arg;

	w->result = 0;
	if (!remu_port_link_up(w->port) && port_gate_close(w->gate, GATE_WAIT_US))
		w->result = remu_port_restart(w->port);
	atomic_store_explicit(&w->busy, false, memory_order_release);
}

static void
ask(struct port_watch *w, rte_eal_alarm_callback what)
{
	atomic_store_explicit(&w->busy, true, memory_order_relaxed);
	if (rte_eal_alarm_set(1, what, w) != 0)
		atomic_store_explicit(&w->busy, false, memory_order_relaxed);
}

static bool
is_busy(const struct port_watch *w)
{
	return atomic_load_explicit(&w->busy, memory_order_acquire);
}

static void
reconnect(struct port_watch *w, uint64_t now)
{
	if (is_busy(w))
		return;
	if (w->restarting) {
		w->restarting = false;
		w->next_restart_ns = now + (w->result != 0 ? (uint64_t)REFUSED_NS : w->patience_ns);
		if (w->result == 0 && w->patience_ns < PATIENCE_MAX_NS)
			w->patience_ns *= 2;
	}
	if (now < w->next_restart_ns)
		return;
	w->restarting = true;
	w->restarts++;
	ask(w, restart);
}

static void
log_trouble(struct port_watch *w, enum remu_port_trouble trouble)
{
	if (trouble == REMU_PORT_REMOVED)
		NODE_LOG(ERR, "the device was removed: it is not used any more; restart the node");
	else if (trouble == REMU_PORT_NEEDS_RESET)
		NODE_LOG(WARNING, "the device asks for a reset");
	else
		NODE_LOG(INFO, "the device has been reset");
	w->trouble = trouble;
}

/* Keep the lcores away from it, without waiting for them: the driver copes until they are out. */
static void
leave_removed(struct port_watch *w)
{
	if (port_gate_is_open(w->gate))
		port_gate_close(w->gate, 0);
}

bool
port_watch_poll(struct port_watch *w, uint64_t now)
{
	uint32_t state = port_gate_state(w->gate);
	enum remu_port_trouble trouble;
	bool up;

	if (now < w->next_look_ns)
		return w->link_up;
	w->next_look_ns = now + LOOK_NS;
	up = remu_port_link_up(w->port);
	trouble = remu_port_trouble(w->port);
	if (trouble != w->trouble)
		log_trouble(w, trouble);
	if (up)
		port_gate_open(w->gate, state);
	if (w->link_up && !up) {
		w->patience_ns = PATIENCE_NS;
		w->next_restart_ns = now;
	}
	if (w->link_up != up)
		NODE_LOG(INFO, "link %s", up ? "up" : "down");
	w->link_up = up;
	if (trouble == REMU_PORT_REMOVED)
		leave_removed(w);
	else if ((w->memif_client && !up) || trouble == REMU_PORT_NEEDS_RESET)
		reconnect(w, now);
	return up;
}

/*
 * The driver frees its listener without taking it out of the interrupt thread's list, so a client
 * that connects now would bring that thread to freed memory: it must not go back to its loop.
 */
static void
close_and_park(void *arg)
{
	struct port_watch *w = arg;

	remu_port_close(w->port);
	atomic_store_explicit(&w->busy, false, memory_order_release);
	for (;;)
		pause();
}

static bool
wait_idle(const struct port_watch *w)
{
	for (int ms = 0; ms < CLOSE_WAIT_MS && is_busy(w); ms++)
		usleep(1000);
	return !is_busy(w);
}

bool
port_watch_close_port(struct port_watch *w)
{
	if (!w->memif) {
		remu_port_close(w->port);
		return true;
	}
	if (!wait_idle(w))
		return false;
	ask(w, close_and_park);
	return wait_idle(w);
}
