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

/* What no partner would take in a directory must not get into ours. */
static bool
name_ok(const char name[CCM_NAME_LEN])
{
	size_t len = strnlen(name, CCM_NAME_LEN);

	for (size_t i = 0; i < len; i++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
			    name[i]) == NULL)
			return false;
	return len != 0 && len < CCM_NAME_LEN;
}

static bool
client_ok(const struct ccm_client_config *cfg)
{
	return name_ok(cfg->name) && cfg->ports >= 1 && cfg->ports <= CCM_MAX_PORTS &&
		cfg->memory / cfg->ports >= CCM_PORT_MEMORY_MIN;
}

static bool
is_taken(const struct ccm_client *client)
{
	return client->life != CCM_CLIENT_FREE;
}

/* Whether `size` bytes from `offset` are nobody's. */
static bool
is_free(const struct ccm *ccm, size_t offset, size_t size)
{
	if (offset > ccm->share || size > ccm->share - offset)
		return false;
	for (uint32_t i = 0; i < CCM_CLIENT_SLOTS; i++) {
		const struct ccm_client *c = &ccm->clients[i];

		if (is_taken(c) && offset < c->offset + c->size && c->offset < offset + size)
			return false;
	}
	return true;
}

/*
 * First fit: the lowest free place for `size` bytes in every partner's share. It begins at 0 or at
 * the end of what another client has. What nobody has is free, so neighbouring gaps are one.
 */
static bool
find_memory(const struct ccm *ccm, size_t size, size_t *out)
{
	bool found = is_free(ccm, 0, size);

	*out = 0;
	if (found)
		return true;
	for (uint32_t i = 0; i < CCM_CLIENT_SLOTS; i++) {
		const struct ccm_client *c = &ccm->clients[i];
		size_t end = c->offset + c->size;

		if (!is_taken(c) || (found && end >= *out) || !is_free(ccm, end, size))
			continue;
		*out = end;
		found = true;
	}
	return found;
}

/* Name, number and ports: 0, or why there is no place for it. */
static int
check_place(const struct ccm *ccm, const struct ccm_client_config *cfg)
{
	uint32_t ports = cfg->ports;

	for (uint32_t i = 0; i < CCM_CLIENT_SLOTS; i++) {
		const struct ccm_client *c = &ccm->clients[i];

		if (is_taken(c) && strcmp(c->want.name, cfg->name) == 0)
			return c->life == CCM_CLIENT_LIVE ? -EEXIST : -EBUSY;
		ports += c->life == CCM_CLIENT_LIVE ? c->want.ports : 0;
	}
	if (ccm->n_clients == CCM_MAX_CLIENTS || ports > CCM_MAX_PORTS)
		return -ENOSPC;
	return ccm->n_clients + ccm->n_leaving == CCM_CLIENT_SLOTS ? -EBUSY : 0;
}

/* The list has to be made anew: by the next turn, lest it change in the middle of one. */
static void
changed(struct ccm *ccm)
{
	ccm->clients_changed = true;
	ccm->clients_dirty = true;
	if (!ccm->polling)
		ccm__clients_list(ccm);
}

int
ccm_client_register(struct ccm *ccm, const struct ccm_client_config *cfg, ccm_client_fn fn,
	void *ctx, struct ccm_client **out)
{
	size_t size = ccm->cfg.n_partners != 0 ? client_size(cfg) : 0;
	struct ccm_client *client = ccm->clients;
	size_t offset = 0;
	int rc;

	*out = NULL;
	if (!client_ok(cfg))
		return -EINVAL;
	rc = check_place(ccm, cfg);
	if (rc != 0)
		return rc;
	if (ccm->cfg.n_partners != 0 && (size == 0 || !find_memory(ccm, size, &offset)))
		return -ENOMEM;
	while (is_taken(client))
		client++;
	*client = (struct ccm_client){
		.life = CCM_CLIENT_LIVE,
		.want = {.ports = cfg->ports, .memory = cfg->memory},
		.atomics = cfg->atomics,
		.fn = fn,
		.ctx = ctx,
		.offset = offset,
		.size = size,
	};
	memcpy(client->want.name, cfg->name, strlen(cfg->name));
	ccm->n_clients++;
	ccm->memory_used += size * ccm->cfg.n_partners;
	changed(ccm);
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

	for (uint32_t i = 0; i < CCM_CLIENT_SLOTS; i++)
		if (ccm->clients[i].life == CCM_CLIENT_LIVE && ccm->clients[i].fn != NULL)
			ccm->clients[i].fn(ccm->clients[i].ctx, &event);
}

int
ccm_client_unregister(struct ccm *ccm, struct ccm_client *client)
{
	uint32_t i = 0;

	while (i < CCM_CLIENT_SLOTS && &ccm->clients[i] != client)
		i++;
	if (i == CCM_CLIENT_SLOTS || client->life != CCM_CLIENT_LIVE)
		return -EINVAL;
	client->life = CCM_CLIENT_LEAVING;
	ccm->n_clients--;
	ccm->n_leaving++;
	changed(ccm);
	ccm__clients_release(ccm);
	return 0;
}

void
ccm__clients_list(struct ccm *ccm)
{
	ccm->n_wants = 0;
	for (uint32_t i = 0; i < CCM_CLIENT_SLOTS; i++) {
		struct ccm_client *client = &ccm->clients[i];

		if (client->life != CCM_CLIENT_LIVE)
			continue;
		client->index = (uint16_t)ccm->n_wants;
		ccm->places[ccm->n_wants] = (uint16_t)i;
		ccm->wants[ccm->n_wants++] = client->want;
	}
	ccm->clients_changed = !ccm->polling; /* the first turn hands it to the sessions */
}

bool
ccm__clients_release(struct ccm *ccm)
{
	bool any = false;

	/* As long as it is in the list, ports may still be made for it. */
	for (uint32_t i = 0; i < CCM_CLIENT_SLOTS && ccm->n_leaving != 0; i++) {
		struct ccm_client *client = &ccm->clients[i];
		struct ccm_client gone = *client;

		if (client->life != CCM_CLIENT_LEAVING || client->n_ports != 0 ||
			(ccm->polling && ccm->clients_changed))
			continue;
		*client = (struct ccm_client){.life = CCM_CLIENT_FREE};
		ccm->n_leaving--;
		ccm->memory_used -= gone.size * ccm->cfg.n_partners;
		ccm->clients_dirty = true;
		any = true;
		if (gone.fn != NULL)
			gone.fn(gone.ctx,
				&(struct ccm_client_event){
					.kind = CCM_CLIENT_GONE,
					.now_ns = ccm->now_ns,
				});
	}
	return any;
}
