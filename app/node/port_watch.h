/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Watches the port's link from the control core, resets a device that asks for it, keeps the lcores
 * away from one that was removed, and does for memif what its driver leaves undone: a client whose
 * server was not there yet, or has gone, connects only when the device is stopped and started again.
 *
 * That and closing the device run on the EAL interrupt thread, where the driver handles its
 * sockets: it has no lock against being stopped while it handles a message. It also may block
 * there for as long as the peer is stopped, and the control core must not.
 */

#include "port_gate.h"
#include "remu_port.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct port_watch {
	/* constant */
	struct remu_port *port;
	struct port_gate *gate;
	bool memif;
	bool memif_client;
	/* control core */
	bool link_up;
	enum remu_port_trouble trouble; /* as it was logged */
	bool restarting;		/* the interrupt thread has been asked */
	uint64_t next_look_ns;
	uint64_t next_restart_ns;
	uint64_t patience_ns;
	uint64_t restarts;
	/* interrupt thread, while busy */
	_Atomic bool busy;
	int result;
};

/* The gate stays closed until a memif link is up; other ports do not need it. */
void port_watch_init(struct port_watch *watch, struct remu_port *port, struct port_gate *gate);

/* One turn on the control core. Returns whether the link is up. */
bool port_watch_poll(struct port_watch *watch, uint64_t now_ns);

/*
 * Close the port; no lcore uses it any more. Returns false when the interrupt thread is stuck in
 * the driver: then the port is left open, and the process should just exit.
 */
bool port_watch_close_port(struct port_watch *watch);
