/* SPDX-License-Identifier: BSD-3-Clause */
#include "target.h"

#include "ccm.h"
#include "config.h"
#include "rdma_emul.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
	RECEIVES = 256, /* receive requests posted on each port */
	BURST = 32,
	CQ_MAX = 65536,
};

/* A port towards a partner. The control core tells the data lcore which queue pair it has. */
struct target_port {
	/* written by the control core before it stores qpn */
	uint8_t *memory;
	uint32_t length;
	_Atomic uint32_t qpn; /* 0: the port is not up */
	/* data lcore */
	uint32_t ready; /* queue pair that has its receive requests */
};

struct target_client {
	struct target *target;
	struct ccm_client_config cfg;
	uint32_t first; /* port of the first partner; its ports, then those of the next partner */
};

struct target {
	uint32_t n_engines;
	struct remu_engine *engines[CCM_MAX_ENGINES];
	struct remu_cq *cqs[CCM_MAX_ENGINES];
	uint32_t n_partners;
	uint16_t partner_ids[CCM_MAX_PARTNERS];
	uint32_t n_clients;
	struct target_client clients[CCM_MAX_CLIENTS];
	uint32_t n_ports;
	struct target_port *ports;
	_Atomic uint32_t changes; /* of any qpn */
	uint32_t seen[CCM_MAX_ENGINES];
};

uint32_t
target_receives(const struct node_config *cfg)
{
	for (uint32_t i = 0; i < cfg->n_clients; i++)
		if (cfg->clients[i].kind == NODE_CLIENT_TARGET)
			return RECEIVES;
	return 0;
}

static int
create_cqs(struct target *t, struct remu_engine *const *engines, uint32_t n)
{
	uint32_t depth = t->n_ports * RECEIVES;
	int rc = 0;

	if (t->n_ports == 0)
		return 0;
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		t->engines[i] = engines[i];
		rc = remu_cq_create(engines[i], depth < CQ_MAX ? depth : CQ_MAX, &t->cqs[i]);
	}
	return rc;
}

int
target_create(const struct node_config *cfg, struct remu_engine *const *engines, uint32_t n_engines,
	struct target **out)
{
	struct target *t = calloc(1, sizeof(*t));
	struct target_client *client;

	*out = NULL;
	if (t == NULL)
		return -ENOMEM;
	t->n_engines = n_engines;
	t->n_partners = cfg->ccm.n_partners;
	for (uint32_t i = 0; i < t->n_partners; i++)
		t->partner_ids[i] = cfg->ccm.partners[i].id;
	for (uint32_t i = 0; i < cfg->n_clients; i++) {
		if (cfg->clients[i].kind != NODE_CLIENT_TARGET)
			continue;
		client = &t->clients[t->n_clients++];
		client->target = t;
		client->cfg = cfg->clients[i].ccm;
		client->cfg.atomics = true;
		client->first = t->n_ports;
		t->n_ports += t->n_partners * client->cfg.ports;
	}
	t->ports = calloc(t->n_ports + 1, sizeof(*t->ports)); /* calloc() of nothing may be NULL */
	if (t->ports == NULL || create_cqs(t, engines, n_engines) != 0) {
		target_destroy(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

/* The completion queues go with their engines. */
void
target_destroy(struct target *t)
{
	if (t == NULL)
		return;
	free(t->ports);
	free(t);
}

static struct target_port *
find(const struct target_client *client, uint16_t partner_id, uint32_t port)
{
	const struct target *t = client->target;

	if (port >= client->cfg.ports)
		return NULL;
	for (uint32_t i = 0; i < t->n_partners; i++)
		if (t->partner_ids[i] == partner_id)
			return &t->ports[client->first + i * client->cfg.ports + port];
	return NULL;
}

static void
port_up(const struct target_client *client, const struct ccm_port *up)
{
	struct target_port *p = find(client, up->partner_id, up->index);

	if (p == NULL)
		return;
	p->memory = up->memory;
	p->length = up->length <= INT32_MAX ? (uint32_t)up->length : INT32_MAX;
	atomic_store_explicit(&p->qpn, up->qpn, memory_order_release);
}

static void
on_client(void *ctx, const struct ccm_client_event *ev)
{
	const struct target_client *client = ctx;
	struct target_port *p;

	if (ev->kind != CCM_CLIENT_UP && ev->kind != CCM_CLIENT_DOWN)
		return;
	for (uint32_t i = 0; ev->kind == CCM_CLIENT_UP && i < ev->n_ports; i++)
		port_up(client, &ev->ports[i]);
	for (uint32_t i = 0; ev->kind == CCM_CLIENT_DOWN && i < client->cfg.ports; i++) {
		p = find(client, ev->partner_id, i);
		if (p != NULL)
			atomic_store_explicit(&p->qpn, 0, memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&client->target->changes, 1, memory_order_release);
}

int
target_register(struct target *t, struct ccm *ccm)
{
	struct ccm_client *handle;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < t->n_clients; i++)
		rc = ccm_client_register(ccm, &t->clients[i].cfg, on_client, &t->clients[i],
			&handle);
	return rc;
}

static void
post(struct remu_engine *engine, struct remu_qp *qp, const struct target_port *p, uint64_t index)
{
	const struct remu_recv_wr wr = {.wr_id = index, .addr = p->memory, .length = p->length};

	remu_qp_post_recv(engine, qp, &wr);
}

/* A queue pair is there until this lcore itself closes it: then it is not found any more. */
static void
prepare(struct target *t, uint32_t engine)
{
	for (uint32_t i = 0; i < t->n_ports; i++) {
		struct target_port *p = &t->ports[i];
		uint32_t qpn = atomic_load_explicit(&p->qpn, memory_order_acquire);
		struct remu_qp *qp;

		if (qpn == 0 || qpn == p->ready || remu_qpn_owner(qpn, t->n_engines) != engine)
			continue;
		p->ready = qpn;
		qp = remu_qp_find(t->engines[engine], qpn);
		if (qp == NULL || remu_qp_set_cq(t->engines[engine], qp, t->cqs[engine]) != 0)
			continue;
		for (uint32_t n = 0; n < RECEIVES; n++)
			post(t->engines[engine], qp, p, i);
	}
}

static void
post_again(struct target *t, uint32_t engine, const struct remu_wc *wc)
{
	const struct target_port *p = &t->ports[wc->wr_id];
	struct remu_qp *qp;

	if (wc->kind != REMU_WC_RECV || wc->status != REMU_WC_SUCCESS || p->ready != wc->qpn)
		return;
	qp = remu_qp_find(t->engines[engine], wc->qpn);
	if (qp != NULL)
		post(t->engines[engine], qp, p, wc->wr_id);
}

bool
target_turn(struct target *t, uint32_t engine)
{
	uint32_t changes = atomic_load_explicit(&t->changes, memory_order_acquire), n;
	struct remu_wc wc[BURST];

	if (t->n_ports == 0)
		return false;
	if (changes != t->seen[engine]) {
		t->seen[engine] = changes;
		prepare(t, engine);
	}
	n = remu_cq_poll(t->cqs[engine], wc, BURST);
	for (uint32_t i = 0; i < n; i++)
		post_again(t, engine, &wc[i]);
	return n != 0;
}
