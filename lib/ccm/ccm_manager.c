/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manager: carries out what the session state machines ask for. It posts READs and WRITEs on
 * the bootstrap queue pairs, publishes the records, looks at the slots, has ports created and
 * destroyed, and tells clients. One turn of everything is ccm_poll().
 */
#include "ccm_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* Within a partner's CCM_PEER_SIZE: the bootstrap region, then what only we touch. */
	OFF_READ_BUF = CCM_REGION_SIZE,
	OFF_RECORDS = OFF_READ_BUF + CCM_RECORD_SIZE,
	OFF_DIR_IMAGE = OFF_RECORDS + CCM_WRITE_COUNT * CCM_RECORD_SIZE,
	OFF_DIRS = OFF_DIR_IMAGE + CCM_DIRECTORY_MAX,
	OFF_END = OFF_DIRS + CCM_WRITE_COUNT * CCM_DIRECTORY_MAX,
};
_Static_assert((int)OFF_END <= (int)CCM_PEER_SIZE, "all of it fits");

uint64_t
ccm__rand_nonzero(struct ccm *ccm)
{
	uint64_t r;

	do {
		r = ccm->env.rand64(ccm->env.ctx);
	} while (r == 0);
	return r;
}

static struct ccm_session_config
session_config(const struct ccm *ccm, const struct ccm_partner_config *partner)
{
	const struct ccm_config *cfg = &ccm->cfg;
	struct ccm_session_config out = {
		.node_id = cfg->node_id,
		.partner_id = partner->id,
		.version_min = cfg->version_min != 0 ? cfg->version_min : CCM_VERSION_MIN,
		.version_max = cfg->version_max != 0 ? cfg->version_max : CCM_VERSION_MAX,
		.path_mtu = cfg->path_mtu,
		.role = (uint8_t)cfg->role,
		.features = cfg->features,
		.cluster_hash = ccm_hash64(cfg->cluster, strlen(cfg->cluster)),
		.boot_id = ccm->boot_id,
		.beat_ns = (uint64_t)cfg->timing.beat_us * 1000,
		.dead_after_ns = (uint64_t)cfg->timing.dead_after_us * 1000,
		.search_ns = (uint64_t)cfg->timing.search_us * 1000,
	};

	memcpy(out.name, cfg->name, sizeof(out.name));
	return out;
}

static void
init_peer(struct ccm *ccm, uint32_t index)
{
	struct ccm_peer *peer = &ccm->peers[index];
	uint8_t *base = (uint8_t *)ccm->env.memory + (size_t)index * CCM_PEER_SIZE;
	struct ccm_session_config cfg;
	uint64_t nonce, spare;

	peer->index = index;
	peer->cfg = ccm->cfg.partners[index];
	if (peer->cfg.slot_rkey == 0)
		peer->cfg.slot_rkey = peer->cfg.rkey + 1;
	if (peer->cfg.directory_rkey == 0)
		peer->cfg.directory_rkey = peer->cfg.rkey + 2;
	peer->channel = ccm->env.channels[remu_qpn_owner(peer->cfg.qpn, ccm->env.n_engines)];
	peer->out = base + CCM_OUT_OFFSET;
	peer->slot = base + CCM_SLOT_OFFSET;
	peer->dir = base + CCM_DIR_OFFSET;
	peer->port_memory = (uint8_t *)ccm->env.memory +
		(size_t)ccm->cfg.n_partners * CCM_PEER_SIZE + index * ccm->share;
	peer->read_buf = base + OFF_READ_BUF;
	peer->dir_image = base + OFF_DIR_IMAGE;
	for (uint32_t w = 0; w < CCM_WRITE_COUNT; w++) {
		peer->writes[w].record = base + OFF_RECORDS + w * CCM_RECORD_SIZE;
		peer->writes[w].directory = base + OFF_DIRS + w * CCM_DIRECTORY_MAX;
	}
	cfg = session_config(ccm, &peer->cfg);
	nonce = ccm__rand_nonzero(ccm); /* in this order with every compiler */
	spare = ccm__rand_nonzero(ccm);
	ccm_session_init(&peer->session, &cfg, ccm->wants, 0, nonce, spare);
	rte_seqcount_init(&peer->seq);
	peer->judgement.verdict = CCM_VERDICT_UNREACHABLE; /* nothing is known yet */
	peer->judgement.advice = CCM_ADVICE_UNSURE;
	peer->dirty = true;
}

static bool
config_ok(const struct ccm_config *cfg, const struct ccm_env *env)
{
	return cfg->node_id != 0 && cfg->n_partners <= CCM_MAX_PARTNERS && cfg->name[0] != '\0' &&
		cfg->timing.beat_us != 0 && cfg->timing.dead_after_us >= cfg->timing.beat_us &&
		cfg->timing.retry_us != 0 && cfg->path_mtu != 0 && cfg->rkey != 0 &&
		env->n_engines >= 1 && env->n_engines <= CCM_MAX_ENGINES && env->memory != NULL;
}

/*
 * Work requests that the clients of one partner may have under way. Half of a channel is always
 * left for beats and verbs, and each partner has its part of the other half: else the requests that
 * wait for a dead partner would keep us from all others.
 */
static uint32_t
work_share(const struct ccm *ccm)
{
	uint32_t depth = UINT32_MAX;

	for (uint32_t i = 0; i < ccm->env.n_engines; i++)
		if (ccm->env.channels[i] != NULL)
			depth = RTE_MIN(depth, remu_channel_depth(ccm->env.channels[i]));
	return RTE_MAX(depth / 2 / RTE_MAX(ccm->cfg.n_partners, 1u), 1u);
}

int
ccm_create(const struct ccm_config *cfg, const struct ccm_env *env, struct ccm **out)
{
	struct ccm *ccm;

	*out = NULL;
	if (!config_ok(cfg, env))
		return -EINVAL;
	if (env->memory_size < (size_t)cfg->n_partners * CCM_PEER_SIZE)
		return -ENOMEM;
	ccm = calloc(1, sizeof(*ccm));
	if (ccm == NULL)
		return -ENOMEM;
	ccm->cfg = *cfg;
	ccm->env = *env;
	ccm->link_up = true;
	ccm->peers = calloc(cfg->n_partners, sizeof(*ccm->peers));
	if (ccm->peers == NULL && cfg->n_partners != 0) {
		ccm_destroy(ccm);
		return -ENOMEM;
	}
	ccm->work_share = work_share(ccm);
	ccm->boot_id = ccm__rand_nonzero(ccm);
	ccm->memory_used = (size_t)cfg->n_partners * CCM_PEER_SIZE;
	/* Behind the bootstrap regions is port memory: the same share for each partner. */
	if (cfg->n_partners != 0)
		ccm->share = (env->memory_size - ccm->memory_used) / cfg->n_partners / CCM_PAGE *
			CCM_PAGE;
	rte_seqcount_init(&ccm->clients_seq);
	rte_seqcount_init(&ccm->events_seq);
	for (uint32_t i = 0; i < cfg->n_partners; i++)
		init_peer(ccm, i);
	*out = ccm;
	return 0;
}

void
ccm_destroy(struct ccm *ccm)
{
	if (ccm == NULL)
		return;
	free(ccm->peers);
	free(ccm);
}

static void
act_on(struct ccm *ccm, struct ccm_peer *peer, uint32_t act)
{
	struct ccm_session *s = &peer->session;

	if (act & CCM_ACT_CLIENTS_DOWN)
		ccm__ports_tell_down(ccm, peer, s->last_down_reason);
	if (act & CCM_ACT_DESTROY)
		ccm__ports_destroy(ccm, peer);
	if (act & CCM_ACT_NONCE)
		s->spare_nonce = ccm__rand_nonzero(ccm);
	if (act & CCM_ACT_DIRECTORY)
		ccm__encode_directory(ccm, peer);
	if (act & CCM_ACT_PUBLISH)
		ccm__publish(peer);
	if (act & CCM_ACT_CREATE)
		ccm__ports_create(ccm, peer);
	if (act & CCM_ACT_CONNECT)
		ccm__ports_connect(ccm, peer);
	for (uint32_t i = 0; i < s->n_moves; i++)
		ccm__record_event(ccm, peer, &s->moves[i]);
	if (act & CCM_ACT_CLIENTS_UP)
		ccm__ports_tell_up(ccm, peer);
	if (act & CCM_ACT_READ)
		peer->read_wanted = true;
	if (act & CCM_ACT_WRITE)
		peer->writes[CCM_WRITE_BEAT].wanted = true;
	if (act & CCM_ACT_NOTIFY)
		peer->writes[CCM_WRITE_NOTIFY].wanted = true;
	if (act != 0)
		peer->dirty = true;
}

/* Give the session an input and do what it asks for, and what that leads to at once. */
static void
feed(struct ccm *ccm, struct ccm_peer *peer, const struct ccm_input *in)
{
	struct ccm_input next = *in;

	while (next.kind != CCM_IN_COUNT) {
		act_on(ccm, peer, ccm_session_step(&peer->session, &next, ccm->now_ns));
		next = (struct ccm_input){.kind = ccm__ports_advance(ccm, peer)};
	}
	ccm__pump(ccm, peer);
}

/*
 * Clients have come or gone: from here on the sessions know the new list. Callbacks may change it
 * again; that is for the next turn, so that all sessions see one list at a time.
 */
static void
apply_clients(struct ccm *ccm)
{
	ccm__clients_list(ccm);
	for (uint32_t i = 0; i < ccm->cfg.n_partners; i++)
		feed(ccm, &ccm->peers[i],
			&(struct ccm_input){
				.kind = CCM_IN_CLIENTS,
				.clients = ccm->wants,
				.n_clients = ccm->n_wants,
			});
}

static void
on_read_done(struct ccm *ccm, struct ccm_peer *peer, const struct remu_wc *wc)
{
	uint8_t image[CCM_RECORD_SIZE];
	struct ccm_record rec;
	struct ccm_input in = {.kind = CCM_IN_READ_FAILED};

	if (wc->status == REMU_WC_SUCCESS) {
		memcpy(image, peer->read_buf, sizeof(image));
		in.kind = CCM_IN_READ_OK;
		in.verdict = ccm_record_decode(image, &rec);
		in.record = &rec;
	}
	in.access = wc->status == REMU_WC_REM_ACCESS_ERR || wc->status == REMU_WC_REM_INV_REQ_ERR;
	feed(ccm, peer, &in);
}

static void
on_write_done(struct ccm *ccm, struct ccm_peer *peer, uint32_t kind, const struct remu_wc *wc)
{
	struct ccm_write *write = &peer->writes[kind];
	struct ccm_write *beat = &peer->writes[CCM_WRITE_BEAT];

	write->pending--;
	write->failed |= wc->status != REMU_WC_SUCCESS;
	write->access |= wc->status == REMU_WC_REM_ACCESS_ERR;
	if (kind != CCM_WRITE_BEAT) {
		if (wc->status == REMU_WC_SUCCESS || !beat->wanted)
			return;
		/* The next PSN sequence begins with a READ, not with the rest of this beat. */
		beat->failed = true;
	}
	/* While the record still waits for room in the channel, the WRITE is not over. */
	if (beat->pending != 0 || (beat->wanted && !beat->failed))
		return;
	beat->wanted = false;
	feed(ccm, peer,
		&(struct ccm_input){
			.kind = beat->failed ? CCM_IN_WRITE_FAILED : CCM_IN_WRITE_OK,
			.access = beat->access,
		});
}

/* A work request of the bootstrap queue pair has ended. */
static void
on_bootstrap_work(struct ccm *ccm, struct ccm_peer *peer, const struct remu_wc *wc)
{
	peer->qp_pending--;
	if (wc->status != REMU_WC_SUCCESS)
		peer->qp_state = CCM_QP_BROKEN;
	else if (wc->wr_id >> 56 == CCM_COOKIE_READ)
		peer->synced = true;
	if (wc->wr_id >> 56 == CCM_COOKIE_READ)
		on_read_done(ccm, peer, wc);
	else
		on_write_done(ccm, peer, (uint32_t)wc->wr_id, wc);
}

static void
on_verb(struct ccm *ccm, struct ccm_peer *peer, const struct remu_wc *wc)
{
	switch ((enum ccm_cookie_kind)(wc->wr_id >> 56)) {
	case CCM_COOKIE_OPEN:
		peer->qp_pending--;
		peer->open_failed |= wc->result != 0;
		if (peer->open_failed)
			peer->session.reason = CCM_REASON_PORT_FAILED;
		if (peer->qp_pending != 0 || !ccm__opened(peer) || peer->open_failed)
			return;
		peer->qp_state = CCM_QP_READY;
		feed(ccm, peer, &(struct ccm_input){.kind = CCM_IN_START});
		if (!ccm->link_up)
			feed(ccm, peer, &(struct ccm_input){.kind = CCM_IN_LINK_DOWN});
		if (ccm->stopping)
			feed(ccm, peer, &(struct ccm_input){.kind = CCM_IN_STOP});
		return;
	case CCM_COOKIE_RECONNECT:
		peer->qp_pending--;
		peer->qp_state = wc->result == 0 ? CCM_QP_READY : CCM_QP_BROKEN;
		return;
	case CCM_COOKIE_PORT_VERB:
		ccm__ports_verb_done(peer, (uint32_t)wc->wr_id, wc->result);
		return;
	case CCM_COOKIE_READ:
	case CCM_COOKIE_WRITE:
	case CCM_COOKIE_PORT_WORK:
		return;
	}
}

/* A client port's queue pair went to the error state by itself: find whose. */
static void
on_fatal(struct ccm *ccm, const struct remu_wc *wc)
{
	for (uint32_t p = 0; p < ccm->cfg.n_partners; p++) {
		struct ccm_peer *peer = &ccm->peers[p];

		for (uint32_t i = 0; i < peer->ports.n; i++) {
			if (peer->ports.slots[i].port.qpn == wc->qpn && peer->ports.slots[i].has_qp)
				feed(ccm, peer, &(struct ccm_input){.kind = CCM_IN_PORT_ERROR});
		}
	}
}

static void
on_completion(struct ccm *ccm, const struct remu_wc *wc)
{
	struct ccm_peer *peer = &ccm->peers[wc->wr_id >> 32 & 0xffffff];

	if (wc->kind == REMU_WC_FATAL) {
		on_fatal(ccm, wc);
	} else if (wc->kind == REMU_WC_VERB) {
		on_verb(ccm, peer, wc);
	} else if (wc->wr_id >> 56 != CCM_COOKIE_PORT_WORK) {
		on_bootstrap_work(ccm, peer, wc);
	} else {
		peer->work_pending--;
		if (!ccm__ports_work_done(ccm, peer, (uint32_t)wc->wr_id, wc))
			feed(ccm, peer, &(struct ccm_input){.kind = CCM_IN_PORT_ERROR});
	}
}

static bool
poll_channels(struct ccm *ccm)
{
	struct remu_wc wc[CCM_POLL_BURST];
	bool any = false;

	for (uint32_t c = 0; c < ccm->env.n_engines; c++) {
		uint32_t n = remu_channel_poll(ccm->env.channels[c], wc, CCM_POLL_BURST);

		for (uint32_t i = 0; i < n; i++)
			on_completion(ccm, &wc[i]);
		any |= n != 0;
	}
	return any;
}

/*
 * Look at the memory that the partner writes. The last eight bytes of a record hold its CRC, so
 * they change with anything in it.
 */
static bool
poll_slot(struct ccm *ccm, struct ccm_peer *peer)
{
	uint64_t tail = __atomic_load_n((const uint64_t *)(const void *)(peer->slot +
						CCM_RECORD_SIZE - sizeof(tail)),
		__ATOMIC_ACQUIRE);
	uint8_t image[CCM_RECORD_SIZE];
	struct ccm_record rec;
	enum ccm_record_verdict verdict;

	if (tail == peer->slot_tail)
		return false;
	ccm_record_load(peer->slot, image);
	verdict = ccm_record_decode(image, &rec);
	if (verdict == CCM_RECORD_TORN || verdict == CCM_RECORD_CRC)
		return false; /* being written: look again next time */
	peer->slot_tail = tail;
	if (verdict == CCM_RECORD_OK)
		feed(ccm, peer, &(struct ccm_input){.kind = CCM_IN_SLOT, .record = &rec});
	else
		peer->session.n_records_bad++;
	return true;
}

static bool
poll_directory(struct ccm *ccm, struct ccm_peer *peer)
{
	const struct ccm_session *s = &peer->session;
	const struct ccm_record *rec = s->slot.nonce == s->bound ? &s->slot : &s->seen;
	struct ccm_directory dir;

	if (s->bound == 0 || rec->nonce != s->bound || rec->dir_crc == 0 ||
		(peer->dir_tried == rec->dir_crc && peer->dir_tried_nonce == s->nonce))
		return false;
	if (ccm_directory_decode(peer->dir, CCM_REGION_SIZE - CCM_DIR_OFFSET, &dir) !=
			CCM_DIRECTORY_OK ||
		dir.crc != rec->dir_crc)
		return false;
	peer->dir_tried = dir.crc;
	peer->dir_tried_nonce = s->nonce;
	feed(ccm, peer, &(struct ccm_input){.kind = CCM_IN_DIRECTORY, .directory = &dir});
	return true;
}

/* Tell when the verdict on the partner has changed, and clients when the advice has. */
static void
judge(struct ccm *ccm, struct ccm_peer *peer)
{
	struct ccm_judgement j = ccm_judge(&peer->session, ccm->link_up, ccm->now_ns);
	bool advice = j.advice != peer->judgement.advice;

	if (j.verdict != peer->judgement.verdict) {
		ccm__record_verdict(ccm, peer, &j);
		peer->dirty = true;
	}
	peer->judgement = j;
	if (advice)
		ccm__clients_advise(ccm, peer);
}

static bool
poll_peer(struct ccm *ccm, struct ccm_peer *peer)
{
	bool any = false;

	if (peer->qp_state == CCM_QP_OPENING) {
		ccm__pump(ccm, peer);
		return false;
	}
	any |= poll_slot(ccm, peer);
	any |= poll_directory(ccm, peer);
	/* Ports go on even when nothing happens to the session: the channel may have been full. */
	feed(ccm, peer, &(struct ccm_input){.kind = ccm__ports_advance(ccm, peer)});
	feed(ccm, peer, &(struct ccm_input){.kind = CCM_IN_TIMER});
	judge(ccm, peer);
	return any;
}

bool
ccm_poll(struct ccm *ccm, uint64_t now)
{
	bool any = ccm->clients_changed;

	ccm->polling = true;
	ccm->now_ns = now;
	if (ccm->clients_changed)
		apply_clients(ccm);
	any |= poll_channels(ccm);
	for (uint32_t i = 0; i < ccm->cfg.n_partners; i++)
		any |= poll_peer(ccm, &ccm->peers[i]);
	any |= ccm__clients_release(ccm);
	ccm__snapshot(ccm);
	return any;
}

uint64_t
ccm_next_deadline(const struct ccm *ccm)
{
	uint64_t at = UINT64_MAX;

	if (!ccm->polling || ccm->clients_changed)
		return 0;
	for (uint32_t i = 0; i < ccm->cfg.n_partners; i++) {
		const struct ccm_peer *peer = &ccm->peers[i];
		uint64_t peer_at = ccm_session_deadline(&peer->session);

		if (peer->qp_state == CCM_QP_OPENING && !ccm__opened(peer))
			peer_at = 0;
		if (peer_at < at)
			at = peer_at;
	}
	return at;
}

void
ccm_stop(struct ccm *ccm, uint64_t now)
{
	ccm->now_ns = now;
	ccm->stopping = true;
	for (uint32_t i = 0; i < ccm->cfg.n_partners; i++)
		feed(ccm, &ccm->peers[i], &(struct ccm_input){.kind = CCM_IN_STOP});
}

bool
ccm_stopped(const struct ccm *ccm)
{
	for (uint32_t i = 0; i < ccm->cfg.n_partners; i++)
		if (ccm->peers[i].session.state != CCM_DOWN)
			return false;
	return true;
}

static bool
boot_ok(const struct ccm_boot_status *boot)
{
	size_t len = strnlen(boot->name, sizeof(boot->name));

	if (len == sizeof(boot->name) || (boot->stages != 0 && boot->stage > boot->stages))
		return false;
	for (size_t i = 0; i < len; i++)
		if (boot->name[i] < 0x20 || boot->name[i] > 0x7e)
			return false;
	return true;
}

int
ccm_boot_report(struct ccm *ccm, const struct ccm_boot_status *boot, uint64_t now)
{
	if (!boot_ok(boot))
		return -EINVAL;
	for (uint32_t i = 0; i < ccm->cfg.n_partners; i++) {
		ccm_session_boot(&ccm->peers[i].session, boot, now);
		ccm__publish(&ccm->peers[i]);
	}
	return 0;
}

void
ccm_link_report(struct ccm *ccm, bool up)
{
	struct ccm_input in = {.kind = up ? CCM_IN_LINK_UP : CCM_IN_LINK_DOWN};

	if (up == ccm->link_up)
		return;
	ccm->link_up = up;
	for (uint32_t i = 0; i < ccm->cfg.n_partners; i++)
		feed(ccm, &ccm->peers[i], &in);
}
