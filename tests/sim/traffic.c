/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What clients write to each other through their ports. Each block of 32 bytes is a stamp with the
 * nonces of both attempts and a counter, so a look at a memory tells whether something lies there
 * that was not meant for it: data of another attempt, a WRITE that was carried out twice or not at
 * all although it was acknowledged. Buffers are poisoned when RELEASED gives them back: whoever
 * still sends them, or puts data into them, is found out.
 */
#include "sim.h"

#include <string.h>

enum { POISON_OUT = 0xee, POISON_BACK = 0xdd };

struct stamp {
	uint64_t writer; /* nonces */
	uint64_t target;
	uint64_t counter;
	uint64_t check;
};
_Static_assert(sizeof(struct stamp) == SIM_BLOCK, "a stamp fills a block");

static uint64_t
check_of(const struct stamp *s, uint32_t port, uint32_t block)
{
	uint64_t h = s->writer ^ (s->target << 1 | s->target >> 63) ^ s->counter << 32 ^
		(uint64_t)port << 16 ^ block;

	h *= 0x9e3779b97f4a7c15;
	return h ^ h >> 31;
}

static void
stamp_all(struct sim_port *port, uint32_t index)
{
	for (uint32_t i = 0; i < port->length / SIM_BLOCK; i++) {
		struct stamp s = {port->writer, port->target, port->counter, 0};

		s.check = check_of(&s, index, port->offset / SIM_BLOCK + i);
		memcpy(port->out + (size_t)i * SIM_BLOCK, &s, sizeof(s));
	}
}

static uint32_t
port_index(const struct ccm_port *port)
{
	return port->handle & 0xffff;
}

/* Bytes [0, area) are for the partner's WRITEs. */
static uint32_t
area_of(const struct ccm_port *port)
{
	return (uint32_t)RTE_MIN(port->length, (uint64_t)SIM_AREA);
}

static const struct ccm_port *
port_of(const struct sim_node *n, uint32_t p, uint32_t i)
{
	return &sim_ccm_peer(n, p)->ports.slots[i].port;
}

static void
poison(struct sim_port *port)
{
	memset(port->out, POISON_OUT, sizeof(port->out));
	memset(port->back, POISON_BACK, sizeof(port->back));
	port->poisoned = true;
}

static void
check_poison(struct sim_world *w, const struct sim_node *n, struct sim_port *port)
{
	if (!port->poisoned)
		return;
	for (uint32_t i = 0; i < SIM_AREA; i++)
		SIM_CHECK(w, port->back[i] == POISON_BACK,
			"node %u: data were put into a buffer that DOWN had given back", n->index);
	port->poisoned = false;
}

static void
on_up(struct sim_world *w, struct sim_node *n, uint32_t p, const struct ccm_client_event *ev,
	uint32_t client)
{
	struct sim_peer *peer = &n->peers[p];
	const struct ccm_session *s = &sim_ccm_peer(n, p)->session;

	SIM_CHECK(w, !peer->told_up[client], "node %u: client %u is told UP twice", n->index,
		client);
	peer->told_up[client] = true;
	for (uint32_t i = 0; i < ev->n_ports; i++) {
		uint32_t index = port_index(&ev->ports[i]);
		struct sim_port *port = &peer->ports[index];

		check_poison(w, n, port);
		SIM_CHECK(w, !port->lent, "node %u: UP before RELEASED", n->index);
		port->up = true;
		port->handle = ev->ports[i].handle;
		port->client = (uint16_t)client;
		port->writing = port->reading = false;
		port->counter = 0;
		port->next_at = w->now;
		port->writer = s->nonce;
		port->target = s->bound;
	}
}

static void
on_down(struct sim_world *w, struct sim_node *n, uint32_t p, const struct ccm_client_event *ev,
	uint32_t client)
{
	struct sim_peer *peer = &n->peers[p];

	SIM_CHECK(w, peer->told_up[client], "node %u: client %u is told DOWN, but not UP", n->index,
		client);
	peer->told_up[client] = false;
	for (uint32_t i = 0; i < ev->n_ports; i++) {
		struct sim_port *port = &peer->ports[port_index(&ev->ports[i])];

		port->up = false;
		port->lent = true;
	}
}

static void
on_released(struct sim_world *w, struct sim_node *n, uint32_t p, const struct ccm_client_event *ev)
{
	for (uint32_t i = 0; i < ev->n_ports; i++) {
		struct sim_port *port = &n->peers[p].ports[port_index(&ev->ports[i])];

		SIM_CHECK(w, port->lent, "node %u: RELEASED without DOWN", n->index);
		port->lent = false;
		if (!w->fast)
			poison(port);
	}
}

/* An acknowledged WRITE stands in the partner's memory, if that attempt still lives. */
static void
check_arrived(struct sim_world *w, const struct sim_node *n, uint32_t p, uint32_t i)
{
	const struct sim_port *port = &n->peers[p].ports[i];
	const struct sim_node *o = &w->nodes[n->peers[p].other];
	const struct ccm_peer *theirs;
	struct stamp s;

	if (!o->running)
		return;
	theirs = sim_ccm_peer(o, sim_peer_index(o, n->index));
	if (theirs->session.nonce != port->target || theirs->ports.n <= i)
		return;
	for (uint32_t k = 0; k < port->length; k += SIM_BLOCK) {
		memcpy(&s, theirs->ports.slots[i].port.memory + port->offset + k, sizeof(s));
		SIM_CHECK(w, s.counter == port->counter && s.writer == port->writer,
			"node %u: WRITE %lu to node %u was acknowledged, but is not there",
			n->index, (unsigned long)port->counter, o->index);
	}
}

static void
on_completed(struct sim_world *w, struct sim_node *n, uint32_t p, const struct ccm_client_event *ev)
{
	uint32_t i = port_index(&ev->ports[0]);
	struct sim_port *port = &n->peers[p].ports[i];
	bool write = ev->wr_id & 1;

	SIM_CHECK(w, port->up, "node %u: completion on a port that is not up", n->index);
	SIM_CHECK(w, ev->wr_id >> 1 == port->counter && (write ? port->writing : port->reading),
		"node %u: completion of nothing under way", n->index);
	if (write)
		port->writing = false;
	else
		port->reading = false;
	if (!port->writing && !port->reading)
		port->next_at = w->now + n->cfg.traffic_ns;
	if (ev->status != REMU_WC_SUCCESS)
		return;
	if (write) {
		check_arrived(w, n, p, i);
		return;
	}
	w->counts.exchanges++;
	SIM_CHECK(w, memcmp(port->out, port->back, port->length) == 0,
		"node %u: READ does not give back what WRITE %lu has written", n->index,
		(unsigned long)port->counter);
}

static uint32_t
client_of(const struct sim_node *n, uint32_t p, const struct ccm_client_event *ev)
{
	return sim_ccm_peer(n, p)->ports.slots[port_index(&ev->ports[0])].client;
}

void
sim_traffic_on_client(void *ctx, const struct ccm_client_event *ev)
{
	struct sim_node *n = ctx;
	struct sim_world *w = n->world;
	uint32_t p = n->peer_of_id[ev->partner_id];

	sim_mix(w, w->now ^ (uint64_t)ev->kind << 56 ^ n->index << 8 ^ p);
	if (ev->kind == CCM_CLIENT_UP)
		on_up(w, n, p, ev, client_of(n, p, ev));
	else if (ev->kind == CCM_CLIENT_DOWN)
		on_down(w, n, p, ev, client_of(n, p, ev));
	else if (ev->kind == CCM_CLIENT_RELEASED)
		on_released(w, n, p, ev);
	else if (ev->kind == CCM_CLIENT_COMPLETED)
		on_completed(w, n, p, ev);
	else if (ev->kind == CCM_CLIENT_ADVICE && !w->fast)
		sim_truth_on_advice(w, n, p, ev);
}

/* Write new stamps to some place and read them back. */
static void
exchange(struct sim_world *w, struct sim_node *n, uint32_t p, uint32_t i)
{
	struct sim_port *port = &n->peers[p].ports[i];
	uint32_t blocks = area_of(port_of(n, p, i)) / SIM_BLOCK, first, count;
	int rc;

	first = (uint32_t)sim_below(w, blocks);
	count = sim_chance(w, LINK_PPM / 4) ? blocks - first : 1;
	port->offset = first * SIM_BLOCK;
	port->length = count * SIM_BLOCK;
	port->counter++;
	stamp_all(port, i);
	rc = ccm_port_post(n->ccm, port->handle, CCM_PORT_WRITE, port->out, port->offset,
		port->length, port->counter << 1 | 1);
	SIM_CHECK(w, rc == 0 || rc == -EAGAIN, "node %u: WRITE cannot be posted: %d", n->index, rc);
	port->writing = rc == 0;
	if (rc == 0) {
		rc = ccm_port_post(n->ccm, port->handle, CCM_PORT_READ, port->back, port->offset,
			port->length, port->counter << 1);
		port->reading = rc == 0;
	}
	if (!port->writing)
		port->next_at = w->now + n->cfg.traffic_ns;
}

void
sim_traffic_turn(struct sim_world *w, struct sim_node *n)
{
	if (n->cfg.traffic_ns == 0)
		return;
	for (uint32_t p = 0; p < n->n_peers; p++) {
		if (n->peers[p].state != CCM_UP)
			continue;
		for (uint32_t i = 0; i < n->peers[p].n_ports; i++) {
			const struct sim_port *port = &n->peers[p].ports[i];

			if (port->up && !port->writing && !port->reading && port->next_at <= w->now)
				exchange(w, n, p, i);
		}
	}
}

uint64_t
sim_traffic_next(const struct sim_node *n)
{
	uint64_t at = SIM_NEVER;

	if (n->cfg.traffic_ns == 0)
		return at;
	for (uint32_t p = 0; p < n->n_peers; p++) {
		if (n->peers[p].state != CCM_UP)
			continue;
		for (uint32_t i = 0; i < n->peers[p].n_ports; i++) {
			const struct sim_port *port = &n->peers[p].ports[i];

			if (port->up && !port->writing && !port->reading)
				at = RTE_MIN(at, port->next_at);
		}
	}
	return at;
}

void
sim_traffic_clear(struct sim_node *n, uint32_t p)
{
	struct sim_peer *peer = &n->peers[p];

	for (uint32_t i = 0; i < peer->n_ports; i++) {
		const struct ccm_port *port = port_of(n, p, i);

		memset(port->memory, 0, area_of(port));
		memset(peer->shown[i], 0, sizeof(peer->shown[i]));
	}
}

static void
scan_port(struct sim_world *w, struct sim_node *n, uint32_t p, uint32_t i)
{
	const struct ccm_session *s = &sim_ccm_peer(n, p)->session;
	const struct ccm_port *port = port_of(n, p, i);
	struct sim_peer *peer = &n->peers[p];
	struct stamp stamp;

	for (uint32_t b = 0; b < area_of(port) / SIM_BLOCK; b++) {
		memcpy(&stamp, port->memory + (size_t)b * SIM_BLOCK, sizeof(stamp));
		if (stamp.counter == peer->shown[i][b] && stamp.counter != 0)
			continue;
		if (stamp.writer == 0 && stamp.target == 0 && stamp.counter == 0 &&
			stamp.check == 0)
			continue;
		SIM_CHECK(w, stamp.check == check_of(&stamp, i, b),
			"node %u: the memory of port %u holds what nobody has written", n->index,
			i);
		SIM_CHECK(w, stamp.writer == s->bound && stamp.target == s->nonce,
			"node %u: data of attempts %016lx to %016lx in the memory of %016lx",
			n->index, (unsigned long)stamp.writer, (unsigned long)stamp.target,
			(unsigned long)s->nonce);
		SIM_CHECK(w, stamp.counter > peer->shown[i][b],
			"node %u: WRITE %lu was carried out after WRITE %u", n->index,
			(unsigned long)stamp.counter, peer->shown[i][b]);
		peer->shown[i][b] = (uint32_t)stamp.counter;
	}
}

void
sim_traffic_scan(struct sim_world *w, struct sim_node *n, uint32_t p, uint32_t i)
{
	enum ccm_ports_state ports = sim_ccm_peer(n, p)->session.ports;

	if (ports >= CCM_PORTS_CREATED && ports <= CCM_PORTS_CONNECTED && i < n->peers[p].n_ports)
		scan_port(w, n, p, i);
}

void
sim_traffic_check_released(struct sim_world *w, const struct sim_node *n, uint32_t p)
{
	for (uint32_t i = 0; i < n->peers[p].n_ports; i++)
		SIM_CHECK(w, !n->peers[p].ports[i].lent,
			"node %u: the ports are gone, but no client has been told RELEASED",
			n->index);
}

void
sim_traffic_forget(struct sim_node *n)
{
	for (uint32_t p = 0; p < n->n_peers; p++)
		for (uint32_t i = 0; i < SIM_PORTS; i++)
			n->peers[p].ports[i].up = n->peers[p].ports[i].lent =
				n->peers[p].ports[i].poisoned = false;
}
