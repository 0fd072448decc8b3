/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registry of clients, and the memory that they and the bootstrap regions need.
 */
#include "ccm_priv.h"

#include <errno.h>
#include <string.h>

/* Bytes of one client's ports towards one partner, in whole pages; 0: overflow. */
static size_t
client_size(const struct ccm_client_config *client)
{
	if (client->memory > SIZE_MAX / 2 / CCM_MAX_PARTNERS / CCM_MAX_CLIENTS)
		return 0;
	return (client->memory + CCM_PAGE - 1) / CCM_PAGE * CCM_PAGE;
}

size_t
ccm_memory_size(const struct ccm_config *cfg, const struct ccm_client_config *clients,
	uint32_t n_clients)
{
	size_t per_peer = CCM_PEER_SIZE, total;

	for (uint32_t i = 0; i < n_clients; i++) {
		size_t size = client_size(&clients[i]);

		if (size == 0 || __builtin_add_overflow(per_peer, size, &per_peer))
			return 0;
	}
	return __builtin_mul_overflow(per_peer, cfg->n_partners, &total) ? 0 : total;
}

static bool
client_ok(const struct ccm_client_config *cfg)
{
	return cfg->name[0] != '\0' && memchr(cfg->name, '\0', sizeof(cfg->name)) != NULL &&
		cfg->ports >= 1 && cfg->ports <= CCM_MAX_PORTS &&
		cfg->memory / cfg->ports >= CCM_PORT_MEMORY_MIN;
}

int
ccm_client_register(struct ccm *ccm, const struct ccm_client_config *cfg, ccm_client_fn fn,
	void *ctx, struct ccm_client **out)
{
	size_t size = client_size(cfg) * ccm->cfg.n_partners;
	struct ccm_client *client;
	uint32_t ports = cfg->ports;

	*out = NULL;
	if (ccm->polling)
		return -EBUSY;
	if (!client_ok(cfg))
		return -EINVAL;
	for (uint32_t i = 0; i < ccm->n_clients; i++) {
		if (strcmp(ccm->clients[i].want.name, cfg->name) == 0)
			return -EEXIST;
		ports += ccm->clients[i].want.ports;
	}
	if (ccm->n_clients == CCM_MAX_CLIENTS || ports > CCM_MAX_PORTS)
		return -ENOSPC;
	if ((size == 0 && ccm->cfg.n_partners != 0) ||
		size > ccm->env.memory_size - ccm->memory_used)
		return -ENOMEM;
	ccm->memory_used += size;
	client = &ccm->clients[ccm->n_clients];
	client->fn = fn;
	client->ctx = ctx;
	client->want.ports = cfg->ports;
	client->want.memory = cfg->memory;
	memcpy(client->want.name, cfg->name, strlen(cfg->name));
	ccm->wants[ccm->n_clients++] = client->want;
	*out = client;
	return 0;
}

void
ccm__clients_advise(struct ccm *ccm, const struct ccm_peer *peer)
{
	const struct ccm_client_event event = {
		.kind = CCM_CLIENT_ADVICE,
		.partner_id = peer->cfg.id,
		.reason = peer->judgement.reason,
		.now_ns = ccm->now_ns,
		.judgement = &peer->judgement,
	};

	for (uint32_t i = 0; i < ccm->n_clients; i++)
		if (ccm->clients[i].fn != NULL)
			ccm->clients[i].fn(ccm->clients[i].ctx, &event);
}
