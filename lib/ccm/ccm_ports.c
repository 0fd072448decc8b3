/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Client ports towards one partner: queue pairs and memory regions that are created, connected and
 * destroyed together, by verbs that other lcores carry out. Queue pair number, first PSN and key
 * are random for every attempt (R9), so nothing of an old session can reach a new one.
 */
#include "ccm_priv.h"

#include <errno.h>
#include <string.h>

enum {
	VERBS_CREATE = 2, /* per port: region, queue pair */
	VERBS_CONNECT = 1,
	VERBS_DESTROY = 2,
	RD_ATOMIC = 16, /* under way from either side, as most NICs take */
	RD_ATOMIC_MORE = 64,
	RNR_RETRY = 7, /* without end: the partner's client may be slow to post receives */
};

/* Address that partners use for the first byte of our port memory. */
static const uint64_t port_va = 0x10000000;

static uint32_t
random_qpn(struct ccm *ccm, uint32_t engine)
{
	uint32_t n = ccm->env.n_engines;
	/* Numbers engine, engine + n, ... below 2^24 - 1; the first ones belong to management. */
	uint32_t count = (0xffffffu - 16) / n - 1;
	uint32_t base = (16 + n - 1) / n * n;

	return base + (uint32_t)(ccm__rand_nonzero(ccm) % count) * n + engine;
}

static void
draw(struct ccm *ccm, struct ccm_peer *peer, uint32_t index)
{
	struct ccm_port_slot *slot = &peer->ports.slots[index];
	uint32_t engine = (peer->index + index) % ccm->env.n_engines;

	slot->port.qpn = random_qpn(ccm, engine);
	slot->channel = ccm->env.channels[engine];
	slot->psn = (uint32_t)ccm__rand_nonzero(ccm) & 0xffffff;
	do {
		slot->rkey = (uint32_t)ccm__rand_nonzero(ccm);
	} while (slot->rkey == 0);
}

static void
begin(struct ccm_port_set *set, enum ccm_ports_job job)
{
	set->job = job;
	set->next = 0;
	set->failed = false;
}

void
ccm__ports_create(struct ccm *ccm, struct ccm_peer *peer)
{
	const struct ccm_port_map *map = &peer->session.map;
	struct ccm_port_set *set = &peer->ports;

	set->n = map->n_entries;
	for (uint32_t i = 0; i < set->n; i++) {
		const struct ccm_port_map_entry *entry = &map->entries[i];
		struct ccm_port_slot *slot = &set->slots[i];
		struct ccm_client *client = &ccm->clients[ccm->places[entry->mine]];

		memset(slot, 0, sizeof(*slot));
		slot->client = ccm->places[entry->mine];
		client->n_ports++;
		/* A domain of its own: the key opens this port's queue pair alone. */
		slot->pd = (peer->index + 1) << 16 | (i + 1);
		slot->port = (struct ccm_port){
			.partner_id = peer->cfg.id,
			.index = entry->index,
			.handle = peer->index << 16 | i,
			.memory = peer->port_memory + client->offset + entry->index * entry->length,
			.length = entry->length,
		};
		draw(ccm, peer, i);
	}
	begin(set, CCM_JOB_CREATE);
}

void
ccm__ports_connect(struct ccm *ccm, struct ccm_peer *peer)
{
	struct ccm_port_set *set = &peer->ports;

	(void)ccm;
	for (uint32_t i = 0; i < set->n; i++) {
		const struct ccm_directory_port *theirs = &peer->session.theirs.ports[i];

		set->slots[i].port.remote_qpn = theirs->qpn;
		set->slots[i].port.remote_va = theirs->va;
		set->slots[i].port.remote_rkey = theirs->rkey;
	}
	begin(set, CCM_JOB_CONNECT);
}

void
ccm__ports_destroy(struct ccm *ccm, struct ccm_peer *peer)
{
	(void)ccm;
	peer->ports.up = false;
	peer->ports.destroy_wanted = true;
}

static int
post_create(struct ccm *ccm, struct ccm_peer *peer, uint32_t i, bool qp, uint64_t cookie)
{
	const struct ccm_port_slot *slot = &peer->ports.slots[i];
	uint32_t access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
		(ccm->clients[slot->client].atomics ? REMU_ACCESS_REMOTE_ATOMIC : 0);

	if (qp)
		return remu_channel_qp_open(slot->channel,
			&(struct remu_qp_config){
				.qpn = slot->port.qpn,
				.pd = slot->pd,
				.access = access,
				.flags = REMU_QP_PIN_SPORT,
			},
			cookie);
	return remu_channel_mr_register(slot->channel,
		&(struct remu_mr_config){
			.addr = slot->port.memory,
			.va = port_va + (uint64_t)(slot->port.memory - peer->port_memory),
			.length = slot->port.length,
			.rkey = slot->rkey,
			.pd = slot->pd,
			.access = access,
		},
		cookie);
}

/*
 * Silence of a port alone means nothing: whether the partner is lost is for the beats to say. So a
 * port repeats for longer than they need to find out.
 */
static uint8_t
port_retries(const struct ccm_timing *timing)
{
	uint64_t n = 2 * (uint64_t)timing->dead_after_us / timing->retry_us;

	return (uint8_t)(n < timing->retry_cnt ? timing->retry_cnt : n > UINT8_MAX ? UINT8_MAX : n);
}

static uint8_t
max_rd_atomic(const struct ccm_session *s)
{
	return (s->features & CCM_FEATURE_READS_64) != 0 ? RD_ATOMIC_MORE : RD_ATOMIC;
}

static int
post_connect(struct ccm *ccm, struct ccm_peer *peer, uint32_t i, uint64_t cookie)
{
	const struct ccm_port_slot *slot = &peer->ports.slots[i];
	struct remu_qp_attr attr = {
		.peer_gid = roce_gid_ipv4(peer->cfg.ip),
		.path_mtu = peer->session.path_mtu,
		.peer_qpn = slot->port.remote_qpn,
		.sq_psn = slot->psn,
		.rq_psn = peer->session.theirs.ports[i].psn,
		.timeout_us = ccm->cfg.timing.retry_us,
		.retry_cnt = port_retries(&ccm->cfg.timing),
		.rnr_retry = RNR_RETRY,
		.max_rd_atomic = max_rd_atomic(&peer->session),
		.max_dest_rd_atomic = max_rd_atomic(&peer->session),
	};

	memcpy(attr.peer_mac, peer->cfg.mac, sizeof(attr.peer_mac));
	return remu_channel_qp_connect(slot->channel, slot->port.qpn, &attr, cookie);
}

static int
post_destroy(struct ccm_peer *peer, uint32_t i, bool qp, uint64_t cookie)
{
	const struct ccm_port_slot *slot = &peer->ports.slots[i];

	/* The queue pair goes first, so that nobody meets a region without one. */
	if (qp)
		return remu_channel_qp_close(slot->channel, slot->port.qpn, cookie);
	return remu_channel_mr_deregister(slot->channel, slot->pd, slot->rkey, cookie);
}

/* Verbs per port of a job. */
static uint32_t
verbs_of(enum ccm_ports_job job)
{
	static const uint32_t verbs[] = {
		[CCM_JOB_CREATE] = VERBS_CREATE,
		[CCM_JOB_CONNECT] = VERBS_CONNECT,
		[CCM_JOB_DESTROY] = VERBS_DESTROY,
	};

	return verbs[job];
}

/* Post verb number `next` of the job. @return 0, or -EAGAIN: the channel is full */
static int
post_next(struct ccm *ccm, struct ccm_peer *peer)
{
	struct ccm_port_set *set = &peer->ports;
	uint32_t i = set->next / verbs_of(set->job);
	bool second = set->next % verbs_of(set->job) != 0;
	uint64_t cookie = ccm__cookie(CCM_COOKIE_PORT_VERB, peer->index, i << 1 | second);
	const struct ccm_port_slot *slot = &set->slots[i];
	int rc;

	if (set->job == CCM_JOB_CREATE)
		rc = post_create(ccm, peer, i, second, cookie);
	else if (set->job == CCM_JOB_CONNECT)
		rc = post_connect(ccm, peer, i, cookie);
	else if (second ? !slot->has_mr : !slot->has_qp) {
		set->next++; /* never came to be */
		return 0;
	} else
		rc = post_destroy(peer, i, !second, cookie);
	if (rc != 0)
		return rc;
	set->pending++;
	set->next++;
	return 0;
}

/* Note that a client is told. @return false when it is not to be told: it would be out of turn */
static bool
turns(struct ccm_client *client, const struct ccm_peer *peer, enum ccm_client_event_kind kind)
{
	uint64_t bit = UINT64_C(1) << peer->index;
	bool up = kind == CCM_CLIENT_UP;

	if (kind == CCM_CLIENT_RELEASED) {
		up = (client->release_due & bit) != 0;
		client->release_due &= ~bit;
		return up;
	}
	if (((client->up & bit) != 0) == up || (up && client->life == CCM_CLIENT_LEAVING))
		return false;
	client->up ^= bit;
	client->ups += up;
	client->downs += !up;
	client->partners_up = (uint16_t)__builtin_popcountll(client->up);
	if (!up)
		client->release_due |= bit;
	return true;
}

/* Each client's ports stand together, because the map is sorted by its name. */
static void
tell(struct ccm *ccm, struct ccm_peer *peer, enum ccm_client_event_kind kind,
	enum ccm_reason reason)
{
	struct ccm_port_set *set = &peer->ports;
	struct ccm_port ports[CCM_MAX_PORTS];

	for (uint32_t i = 0, n; i < set->n; i += n) {
		struct ccm_client *client = &ccm->clients[set->slots[i].client];

		for (n = 0; i + n < set->n && set->slots[i + n].client == set->slots[i].client; n++)
			ports[n] = set->slots[i + n].port;
		if (turns(client, peer, kind) && client->fn != NULL)
			client->fn(client->ctx,
				&(struct ccm_client_event){
					.kind = kind,
					.partner_id = peer->cfg.id,
					.n_ports = (uint16_t)n,
					.ports = ports,
					.reason = reason,
					.now_ns = ccm->now_ns,
				});
	}
}

enum ccm_input_kind
ccm__ports_advance(struct ccm *ccm, struct ccm_peer *peer)
{
	static const enum ccm_input_kind done[] = {
		[CCM_JOB_CREATE] = CCM_IN_PORTS_CREATED,
		[CCM_JOB_CONNECT] = CCM_IN_PORTS_CONNECTED,
		[CCM_JOB_DESTROY] = CCM_IN_PORTS_DESTROYED,
	};
	struct ccm_port_set *set = &peer->ports;
	enum ccm_ports_job job;

	if (set->destroy_wanted && set->pending == 0) {
		set->destroy_wanted = false;
		begin(set, CCM_JOB_DESTROY);
	}
	if (set->job == CCM_JOB_NONE || set->destroy_wanted)
		return CCM_IN_COUNT;
	while (!set->failed && set->next < set->n * verbs_of(set->job))
		if (post_next(ccm, peer) != 0)
			return CCM_IN_COUNT;
	if (set->pending != 0)
		return CCM_IN_COUNT;
	job = set->job;
	set->job = CCM_JOB_NONE;
	if (set->failed)
		return CCM_IN_PORTS_FAILED;
	if (job == CCM_JOB_DESTROY) {
		/* Until now the data core may have used clients' buffers. */
		tell(ccm, peer, CCM_CLIENT_RELEASED, peer->session.last_down_reason);
		for (uint32_t i = 0; i < set->n; i++)
			ccm->clients[set->slots[i].client].n_ports--;
		set->n = 0;
	}
	return done[job];
}

void
ccm__ports_verb_done(struct ccm_peer *peer, uint32_t index, int32_t result)
{
	struct ccm_port_set *set = &peer->ports;
	struct ccm_port_slot *slot = &set->slots[index >> 1];
	bool second = index & 1;

	set->pending--;
	if (set->job == CCM_JOB_CREATE && result == 0) {
		slot->has_mr |= !second;
		slot->has_qp |= second;
	} else if (set->job == CCM_JOB_DESTROY) {
		slot->has_qp &= second;
		slot->has_mr &= !second;
	} else if (result != 0) {
		/* Two random numbers that met are as good a reason as any for a new attempt. */
		set->failed = true;
	}
}

bool
ccm__ports_work_done(struct ccm *ccm, struct ccm_peer *peer, uint32_t index,
	const struct remu_wc *wc)
{
	struct ccm_port_set *set = &peer->ports;
	struct ccm_port_slot *slot = &set->slots[index];
	struct ccm_client *client = &ccm->clients[slot->client];
	struct ccm_client_event event;

	if (slot->wr_head == slot->wr_tail)
		return true;
	event = (struct ccm_client_event){
		.kind = CCM_CLIENT_COMPLETED,
		.partner_id = peer->cfg.id,
		.n_ports = 1,
		.ports = &slot->port,
		.wr_id = slot->wr_ids[slot->wr_head++ % CCM_PORT_DEPTH],
		.status = wc->status,
		.byte_len = wc->byte_len,
		.now_ns = ccm->now_ns,
	};
	slot->completed += wc->status == REMU_WC_SUCCESS;
	slot->errors += wc->status != REMU_WC_SUCCESS;
	client->completed += wc->status == REMU_WC_SUCCESS;
	client->errors += wc->status != REMU_WC_SUCCESS;
	if (!set->up)
		return true;
	if (client->up >> peer->index & 1 && client->fn != NULL)
		client->fn(client->ctx, &event);
	return wc->status == REMU_WC_SUCCESS;
}

void
ccm__ports_describe(const struct ccm *ccm, const struct ccm_peer *peer, struct ccm_directory *dir)
{
	const struct ccm_port_set *set = &peer->ports;

	dir->n_ports = peer->session.ports >= CCM_PORTS_CREATED &&
			peer->session.ports <= CCM_PORTS_CONNECTED
		? set->n
		: 0;
	for (uint32_t i = 0; i < dir->n_ports; i++) {
		const struct ccm_port_slot *slot = &set->slots[i];

		dir->ports[i] = (struct ccm_directory_port){
			.client = ccm->clients[slot->client].index,
			.index = slot->port.index,
			.qpn = slot->port.qpn,
			.psn = slot->psn,
			.rkey = slot->rkey,
			.va = port_va + (uint64_t)(slot->port.memory - peer->port_memory),
			.length = slot->port.length,
		};
	}
}

void
ccm__ports_tell_up(struct ccm *ccm, struct ccm_peer *peer)
{
	peer->ports.up = true;
	tell(ccm, peer, CCM_CLIENT_UP, CCM_REASON_NONE);
}

void
ccm__ports_tell_down(struct ccm *ccm, struct ccm_peer *peer, enum ccm_reason reason)
{
	peer->ports.up = false;
	tell(ccm, peer, CCM_CLIENT_DOWN, reason);
}

int
ccm_port_post(struct ccm *ccm, uint32_t handle, enum ccm_port_op op, void *local, uint64_t offset,
	uint32_t length, uint64_t wr_id)
{
	uint32_t p = handle >> 16, i = handle & 0xffff;
	struct ccm_port_slot *slot;
	struct ccm_port_set *set;
	int rc;

	if (p >= ccm->cfg.n_partners)
		return -EINVAL;
	set = &ccm->peers[p].ports;
	if (!set->up || i >= set->n)
		return -ENOTCONN;
	slot = &set->slots[i];
	if (length > ROCE_DMA_LEN_MAX || length > slot->port.length ||
		offset > slot->port.length - length)
		return -EINVAL;
	if (slot->wr_tail - slot->wr_head == CCM_PORT_DEPTH ||
		ccm->peers[p].work_pending == ccm->work_share)
		return -EAGAIN;
	rc = remu_channel_post(slot->channel, slot->port.qpn,
		&(struct remu_wr){
			.wr_id = ccm__cookie(CCM_COOKIE_PORT_WORK, p, i),
			.addr = local,
			.remote_va = slot->port.remote_va + offset,
			.length = length,
			.rkey = slot->port.remote_rkey,
			.opcode = op == CCM_PORT_WRITE ? REMU_WR_RDMA_WRITE : REMU_WR_RDMA_READ,
		});
	if (rc != 0)
		return rc;
	slot->wr_ids[slot->wr_tail++ % CCM_PORT_DEPTH] = wr_id;
	slot->posted++;
	ccm->peers[p].work_pending++;
	ccm->clients[slot->client].posted++;
	return 0;
}
