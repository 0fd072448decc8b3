/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore.h"

#include "capture_ring.h"
#include "rdma_emul.h"
#include "remu_port.h"
#include "roce_bytes.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int
data_lcore_init(struct data_lcore *d, uint32_t id, uint32_t n, struct remu_engine *engine,
	struct remu_port *port, struct port_gate *gate, struct data_lcore *all)
{
	char name[RTE_RING_NAMESIZE];

	*d = (struct data_lcore){
		.id = id,
		.n = n,
		.engine = engine,
		.port = port,
		.gate = gate,
		.all = all,
	};
	if (n == 1)
		return 0;
	snprintf(name, sizeof(name), "inbox%u", id);
	d->inbox = rte_ring_create(name, DATA_INBOX, SOCKET_ID_ANY, RING_F_SC_DEQ);
	return d->inbox != NULL ? 0 : -ENOMEM;
}

void
data_lcore_fini(struct data_lcore *d)
{
	struct rte_mbuf *m;

	rte_pktmbuf_free_bulk(d->unsent, d->n_unsent);
	d->n_unsent = 0;
	while (d->inbox != NULL && rte_ring_sc_dequeue(d->inbox, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(d->inbox);
	d->inbox = NULL;
}

uint32_t
data_frame_qpn(const uint8_t *frame, uint32_t len)
{
	uint32_t qpn;

	return roce_peek_qpn(frame, len, &qpn) ? qpn : UINT32_MAX;
}

/* Give frames of other engines' queue pairs to their lcores. Returns how many are ours. */
static uint16_t
hand_over(struct data_lcore *d, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		uint32_t qpn = data_frame_qpn(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
		uint32_t owner = qpn == UINT32_MAX ? d->id : remu_qpn_owner(qpn, d->n);

		if (owner == d->id) {
			pkts[kept++] = m;
		} else if (rte_ring_mp_enqueue(d->all[owner].inbox, m) == 0) {
			d->counters.handed_over++;
		} else {
			rte_pktmbuf_free(m);
			d->counters.inbox_full++;
		}
	}
	return kept;
}

static void
capture_received(struct data_lcore *d, struct rte_mbuf **pkts, uint16_t n, uint64_t now)
{
	struct capture_mark mark = capture_ring_mark(d->capture);

	for (uint16_t i = 0; i < n; i++)
		mark = capture_ring_put(d->capture, pkts[i], now, CAPTURE_IN);
	capture_ring_commit(d->capture, mark);
}

static bool
receive(struct data_lcore *d, uint64_t now)
{
	struct rte_mbuf *pkts[DATA_BURST];
	uint16_t n = remu_port_rx(d->port, (uint16_t)d->id, pkts, DATA_BURST);
	bool any = n != 0;

	if (any)
		d->latest_burst = n;
	if (unlikely(d->capture != NULL))
		capture_received(d, pkts, n, now);
	if (d->n > 1 && n != 0)
		n = hand_over(d, pkts, n);
	if (n != 0)
		remu_engine_rx(d->engine, pkts, n, now);
	if (d->inbox == NULL)
		return any;
	n = (uint16_t)rte_ring_sc_dequeue_burst(d->inbox, (void **)pkts, DATA_BURST, NULL);
	if (n != 0)
		remu_engine_rx(d->engine, pkts, n, now);
	return any || n != 0;
}

/* A device without a link may take nothing for ever. RC repeats what is dropped here. */
static void
drop_stalled(struct data_lcore *d)
{
	d->counters.tx_stalled += d->n_unsent;
	rte_pktmbuf_free_bulk(d->unsent, d->n_unsent);
	d->n_unsent = 0;
}

/* What the device takes is its own from then on, so it is copied before, and counts after. */
static uint16_t
send_captured(struct data_lcore *d, uint64_t now)
{
	struct capture_mark marks[DATA_BURST + 1];
	uint16_t sent;

	marks[0] = capture_ring_mark(d->capture);
	for (uint16_t i = 0; i < d->n_unsent; i++)
		marks[i + 1] = capture_ring_put(d->capture, d->unsent[i], now, CAPTURE_OUT);
	sent = remu_port_tx(d->port, (uint16_t)d->id, d->unsent, d->n_unsent);
	capture_ring_commit(d->capture, marks[sent]);
	return sent;
}

static bool
send(struct data_lcore *d, bool port_usable, uint64_t now)
{
	uint16_t sent = 0, left;

	if (d->n_unsent == 0) {
		d->n_unsent = remu_engine_tx(d->engine, d->unsent, DATA_BURST, now);
		d->unsent_since_ns = now;
		if (d->n_unsent == 0)
			return false;
	}
	if (port_usable && unlikely(d->capture != NULL))
		sent = send_captured(d, now);
	else if (port_usable)
		sent = remu_port_tx(d->port, (uint16_t)d->id, d->unsent, d->n_unsent);
	left = d->n_unsent - sent;
	if (sent != 0 && left != 0)
		memmove(d->unsent, d->unsent + sent, left * sizeof(d->unsent[0]));
	d->n_unsent = left;
	if (sent != 0)
		d->unsent_since_ns = now;
	else if (now - d->unsent_since_ns > DATA_STALL_NS)
		drop_stalled(d);
	return sent != 0;
}

bool
data_lcore_turn(struct data_lcore *d, uint64_t now)
{
	bool usable = port_gate_is_open(d->gate);
	bool any = usable && receive(d, now);

	if (d->client != NULL)
		any |= d->client(d->client_ctx, d, now);
	/* Answers first: what is due by a timer, or comes from another thread, can wait for them. */
	if (!any)
		remu_engine_poll(d->engine, now);
	any |= send(d, usable, now);
	if (any)
		remu_engine_poll(d->engine, now);
	port_gate_quiescent(d->gate, d->id);
	atomic_store_explicit(&d->turns, atomic_load_explicit(&d->turns, memory_order_relaxed) + 1,
		memory_order_relaxed);
	return any;
}
