/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies of the manager's state for other threads, each behind a sequence counter: the control
 * core never waits for a reader, and a reader repeats its copy until no write came in between.
 */
#include "ccm_priv.h"

#include <rte_common.h>
#include <rte_pause.h>

#include <errno.h>
#include <string.h>

enum { READ_TRIES = 10000 }; /* a control core that was stopped while it wrote must not hang us */

static void
fill_partner(const struct ccm_peer *peer, uint64_t now, struct ccm_partner_status *out)
{
	const struct ccm_session *s = &peer->session;

	*out = (struct ccm_partner_status){
		.id = peer->cfg.id,
		.state = (uint8_t)s->state,
		.reason = (uint8_t)s->reason,
		.last_down_reason = (uint8_t)s->last_down_reason,
		.partner_phase = s->seen.phase,
		.partner_reason = s->seen.reason,
		.partner_role = s->seen.role,
		.partner_version_min = s->seen.version_min,
		.partner_version_max = s->seen.version_max,
		.version = s->version,
		.path_mtu = s->bound != 0 ? s->path_mtu : 0,
		.verdict = (uint8_t)peer->judgement.verdict,
		.advice = (uint8_t)peer->judgement.advice,
		.partner_boot =
			{
				.stage = s->seen.boot_stage,
				.stages = s->seen.boot_stages,
				.progress = s->seen.boot_progress,
				.budget_ms = s->seen.boot_budget_ms,
			},
		.judged_ns = now,
		.evidence = peer->judgement.evidence,
		.n_ports = (uint16_t)peer->ports.n,
		.qpn = peer->cfg.qpn,
		.remote_qpn = peer->cfg.remote_qpn,
		.features = s->features,
		.nonce = s->nonce,
		.partner_nonce = s->bound,
		.partner_boot_id = s->seen.boot_id,
		.attempts = s->n_attempts,
		.sessions = s->n_sessions,
		.beats = s->n_beats,
		.reads_failed = s->n_reads_failed,
		.writes_failed = s->n_writes_failed,
		.records_bad = s->n_records_bad,
		.conflicts = s->n_conflicts,
		.partner_beat_us = s->seen.beat_us,
		.version_min = s->cfg.version_min,
		.version_max = s->cfg.version_max,
		.since_ns = s->since_ns,
		.last_answer_ns = s->last_answer_ns,
		.setup_ns = s->setup_ns,
	};
	memcpy(out->step_ns, s->step_ns, sizeof(out->step_ns));
	memcpy(out->partner_boot.name, s->seen.boot_name, sizeof(out->partner_boot.name));
}

static void
fill_port(const struct ccm *ccm, const struct ccm_peer *peer, uint32_t i,
	struct ccm_port_status *out)
{
	const struct ccm_port_slot *slot = &peer->ports.slots[i];

	*out = (struct ccm_port_status){
		.port = slot->port,
		.connected = peer->ports.up,
		.posted = slot->posted,
		.completed = slot->completed,
		.errors = slot->errors,
	};
	memcpy(out->client, ccm->clients[slot->client].want.name, sizeof(out->client));
}

static void
publish_peer(const struct ccm *ccm, struct ccm_peer *peer)
{
	rte_seqcount_write_begin(&peer->seq);
	fill_partner(peer, ccm->now_ns, &peer->shown);
	peer->n_ports_shown = peer->ports.n;
	for (uint32_t i = 0; i < peer->ports.n; i++)
		fill_port(ccm, peer, i, &peer->ports_shown[i]);
	rte_seqcount_write_end(&peer->seq);
	peer->dirty = false;
}

static enum ccm_client_state
client_state(const struct ccm_client *client, const struct ccm_peer *peer)
{
	const struct ccm_directory *theirs = &peer->session.theirs;
	uint64_t length;

	if (client->up >> peer->index & 1)
		return CCM_CLIENT_CONNECTED;
	if (theirs->nonce == 0)
		return CCM_CLIENT_NO_SESSION;
	for (uint32_t i = 0; i < theirs->n_clients; i++) {
		const struct ccm_directory_client *other = &theirs->clients[i];

		if (strncmp(other->name, client->want.name, sizeof(other->name)) == 0)
			return ccm_directory_join(&client->want, other, &length) == 0
				? CCM_CLIENT_REFUSED
				: CCM_CLIENT_CONNECTING;
	}
	return CCM_CLIENT_WAITING;
}

static void
fill_client(const struct ccm *ccm, const struct ccm_client *client, struct ccm_client_status *out)
{
	*out = (struct ccm_client_status){
		.ports = client->want.ports,
		.memory = client->want.memory,
		.partners_up = client->partners_up,
		.ups = client->ups,
		.downs = client->downs,
		.posted = client->posted,
		.completed = client->completed,
		.errors = client->errors,
	};
	memcpy(out->name, client->want.name, sizeof(out->name));
	for (uint32_t i = 0; i < ccm->cfg.n_partners; i++)
		out->states[i] = (uint8_t)client_state(client, &ccm->peers[i]);
}

static void
publish_clients(struct ccm *ccm)
{
	uint32_t n = 0;

	rte_seqcount_write_begin(&ccm->clients_seq);
	for (uint32_t i = 0; i < CCM_CLIENT_SLOTS; i++)
		if (ccm->clients[i].life == CCM_CLIENT_LIVE)
			fill_client(ccm, &ccm->clients[i], &ccm->clients_shown[n++]);
	ccm->n_clients_shown = n;
	rte_seqcount_write_end(&ccm->clients_seq);
}

void
ccm__snapshot(struct ccm *ccm)
{
	bool due = ccm->now_ns >= ccm->next_snapshot_ns;
	bool any = due || ccm->clients_dirty;

	for (uint32_t i = 0; i < ccm->cfg.n_partners; i++) {
		any |= ccm->peers[i].dirty;
		if (due || ccm->peers[i].dirty)
			publish_peer(ccm, &ccm->peers[i]);
	}
	if (any)
		publish_clients(ccm);
	ccm->clients_dirty = false;
	if (due)
		ccm->next_snapshot_ns = ccm->now_ns + CCM_SNAPSHOT_NS;
}

static void
record_event(struct ccm *ccm, const struct ccm_peer *peer, struct ccm_event event)
{
	event.time_ns = ccm->now_ns;
	event.nonce = peer->session.nonce;
	event.partner_nonce = peer->session.bound;
	event.seq = ccm->n_events + 1;
	event.partner_id = peer->cfg.id;
	rte_seqcount_write_begin(&ccm->events_seq);
	ccm->events[ccm->n_events++ % CCM_EVENTS] = event;
	rte_seqcount_write_end(&ccm->events_seq);
	if (ccm->env.event != NULL)
		ccm->env.event(ccm->env.ctx, &event);
}

void
ccm__record_event(struct ccm *ccm, const struct ccm_peer *peer, const struct ccm_move *move)
{
	record_event(ccm, peer,
		(struct ccm_event){
			.kind = CCM_EVENT_STATE,
			.from = (uint8_t)move->from,
			.to = (uint8_t)move->to,
			.reason = (uint8_t)move->reason,
		});
}

void
ccm__record_verdict(struct ccm *ccm, const struct ccm_peer *peer,
	const struct ccm_judgement *judgement)
{
	record_event(ccm, peer,
		(struct ccm_event){
			.kind = CCM_EVENT_VERDICT,
			.from = (uint8_t)peer->judgement.verdict,
			.to = (uint8_t)judgement->verdict,
			.reason = (uint8_t)judgement->reason,
		});
}

/* Copy until no write came in between. @return false when the writer stands still in one */
static bool
read_consistent(const rte_seqcount_t *seq, void *to, const void *from, size_t len)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t sn = rte_seqcount_read_begin(seq);

		memcpy(to, from, len);
		if (!rte_seqcount_read_retry(seq, sn))
			return true;
		rte_pause();
	}
	return false;
}

int
ccm_read_partner(const struct ccm *ccm, uint32_t index, struct ccm_partner_status *out)
{
	if (index >= ccm->cfg.n_partners)
		return -ENOENT;
	return read_consistent(&ccm->peers[index].seq, out, &ccm->peers[index].shown, sizeof(*out))
		? 0
		: -EAGAIN;
}

/* A list together with its length. @return elements copied, at most max */
static uint32_t
read_list(const rte_seqcount_t *seq, const uint32_t *n_shown, void *to, const void *from,
	size_t size, uint32_t max)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t sn = rte_seqcount_read_begin(seq);
		uint32_t n = RTE_MIN(__atomic_load_n(n_shown, __ATOMIC_RELAXED), max);

		memcpy(to, from, n * size);
		if (!rte_seqcount_read_retry(seq, sn))
			return n;
		rte_pause();
	}
	return 0;
}

uint32_t
ccm_read_ports(const struct ccm *ccm, uint32_t partner_index, struct ccm_port_status *out,
	uint32_t max)
{
	const struct ccm_peer *peer;

	if (partner_index >= ccm->cfg.n_partners)
		return 0;
	peer = &ccm->peers[partner_index];
	return read_list(&peer->seq, &peer->n_ports_shown, out, peer->ports_shown, sizeof(*out),
		max);
}

uint32_t
ccm_read_clients(const struct ccm *ccm, struct ccm_client_status *out, uint32_t max)
{
	return read_list(&ccm->clients_seq, &ccm->n_clients_shown, out, ccm->clients_shown,
		sizeof(*out), max);
}

uint32_t
ccm_read_events(const struct ccm *ccm, struct ccm_event *out, uint32_t max)
{
	for (int tries = 0; tries < READ_TRIES; tries++) {
		uint32_t sn = rte_seqcount_read_begin(&ccm->events_seq);
		uint32_t total = ccm->n_events;
		uint32_t n = RTE_MIN(RTE_MIN(total, (uint32_t)CCM_EVENTS), max);

		for (uint32_t i = 0; i < n; i++)
			out[i] = ccm->events[(total - n + i) % CCM_EVENTS];
		if (!rte_seqcount_read_retry(&ccm->events_seq, sn))
			return n;
		rte_pause();
	}
	return 0;
}
