/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inputs of a session: the beat with its READs and WRITEs, the timer, and what the manager
 * reports. What follows from the news is decided in ccm_rules.c.
 */
#include "ccm_session.h"
#include "ccm_rules.h"

#include <string.h>

enum {
	/* How long a leaving node answers READs, so that the partner can see why. */
	LEAVE_MIN_NS = 20 * 1000 * 1000,
	LEAVE_MAX_NS = 500 * 1000 * 1000,
	EXCUSE_AGAIN = 10,    /* detection times before another stall of ours is excused wholly */
	CONFLICT_RETURNS = 4, /* of former lives, within the time for a set-up */
	CONFLICT_DETECTIONS = 10, /* detection times without a session after that */
};

void
ccm_session_init(struct ccm_session *s, const struct ccm_session_config *cfg,
	const struct ccm_directory_client *clients, uint32_t n_clients, uint64_t nonce,
	uint64_t spare)
{
	memset(s, 0, sizeof(*s));
	s->cfg = *cfg;
	s->clients = clients;
	s->n_clients = n_clients;
	s->state = CCM_DOWN;
	s->reason = CCM_REASON_STOPPED;
	s->nonce = nonce;
	s->spare_nonce = spare;
	s->seq = 1;
	s->n_attempts = 1;
	s->search_pause_ns = cfg->beat_ns;
}

/* Since our stage or progress last changed. */
static uint32_t
boot_idle_ms(const struct ccm_session *s)
{
	uint64_t ms = (s->now_ns - s->boot_since_ns) / 1000000;

	return s->boot.stages == 0 ? 0 : (uint32_t)ccm__min(ms, UINT32_MAX);
}

void
ccm_session_record(struct ccm_session *s, struct ccm_record *out)
{
	*out = (struct ccm_record){
		.seq = s->seq++,
		.nonce = s->nonce,
		.echo = s->bound != 0 ? s->bound : s->follow,
		.boot_id = s->cfg.boot_id,
		.features = s->cfg.features,
		.cluster_hash = s->cfg.cluster_hash,
		.map_hash = s->map_hash,
		.partner_seq = s->seen.seq,
		.beat = s->beat,
		.dir_crc = s->bound != 0 ? s->dir_crc : 0,
		.dir_seen = s->theirs.nonce != 0 ? s->theirs.crc : 0,
		.src_id = s->cfg.node_id,
		.dst_id = s->cfg.partner_id,
		.version_min = s->cfg.version_min,
		.version_max = s->cfg.version_max,
		.version = s->version,
		.path_mtu = s->cfg.path_mtu,
		.n_ports = (uint16_t)(s->ports >= CCM_PORTS_CREATED ? s->map.n_entries : 0),
		.boot_stage = s->boot.stage,
		.boot_stages = s->boot.stages,
		.boot_progress = s->boot.progress,
		.boot_budget_ms = s->boot.budget_ms,
		.boot_idle_ms = boot_idle_ms(s),
		.phase = (uint8_t)(s->state == CCM_CLOSING ? CCM_DOWN : s->state),
		.reason = (uint8_t)(s->state == CCM_REFUSED ? s->reason : CCM_REASON_NONE),
		.role = s->cfg.role,
		.start_psn = s->start_psn,
		.sequences = s->sequences,
		.beat_us = (uint32_t)(s->cfg.beat_ns / 1000),
	};
	memcpy(out->name, s->cfg.name, sizeof(out->name));
	memcpy(out->boot_name, s->boot.name, sizeof(out->boot_name));
}

void
ccm_session_boot(struct ccm_session *s, const struct ccm_boot_status *boot, uint64_t now)
{
	if (boot->stage != s->boot.stage || boot->progress != s->boot.progress)
		s->boot_since_ns = now;
	s->boot = *boot;
	s->now_ns = now;
}

bool
ccm_session_directory_due(const struct ccm_session *s)
{
	if (s->bound == 0 || s->state == CCM_LEAVING)
		return false;
	return !(s->seen.nonce == s->bound && s->seen.echo == s->nonce &&
		       s->seen.dir_seen == s->dir_crc) &&
		!(s->slot.nonce == s->bound && s->slot.echo == s->nonce &&
			s->slot.dir_seen == s->dir_crc);
}

/* Tell news at once, beside the beat, but never before the four steps have been taken. */
static uint32_t
notify_if(const struct ccm_session *s, uint32_t act)
{
	bool steps_taken = s->steps >= CCM_HANDSHAKE_STEPS ||
		(s->steps == CCM_HANDSHAKE_STEPS - 1 && s->io == CCM_IO_WRITING);

	return (act & (CCM_ACT_EVENT | CCM_ACT_DIRECTORY)) != 0 && ccm__is_bound(s) && steps_taken
		? act | CCM_ACT_NOTIFY
		: act;
}

static uint32_t
start_beat(struct ccm_session *s, uint64_t now)
{
	s->io = CCM_IO_READING;
	s->progress = false;
	s->beat_start_ns = now;
	s->io_mark_ns = now;
	return CCM_ACT_READ;
}

/* The beat is over; when does the next one start? */
static void
end_beat(struct ccm_session *s, uint64_t now)
{
	s->io = CCM_IO_IDLE;
	s->next_beat_ns = s->progress ? now : ccm__max(s->beat_start_ns + s->cfg.beat_ns, now);
}

/* A step failed: back to READ 1. A silent partner is asked less and less often. */
static void
fail_beat(struct ccm_session *s, uint64_t now)
{
	s->io = CCM_IO_IDLE;
	if (s->steps < CCM_HANDSHAKE_STEPS || s->state < CCM_READY || s->state > CCM_UP)
		s->steps = 0;
	if (s->progress) {
		/* The partner has been heard of meanwhile, so it is there. */
		s->next_beat_ns = now;
	} else if (ccm__is_bound(s)) {
		s->next_beat_ns = ccm__max(s->beat_start_ns + s->cfg.beat_ns, now);
	} else {
		s->next_beat_ns = now + s->search_pause_ns;
		s->search_pause_ns = ccm__min(2 * s->search_pause_ns, s->cfg.search_ns);
	}
}

static uint32_t
leave_done(struct ccm_session *s, uint64_t now)
{
	/* The partner knows when its record no longer means this attempt. */
	bool known = s->seen.nonce == 0 ||
		(s->seen.echo != s->nonce && s->last_answer_ns >= s->since_ns);

	if (s->ports != CCM_PORTS_NONE || (!known && now < s->leave_by_ns))
		return 0;
	return ccm__new_attempt(s) | ccm__set_state(s, CCM_DOWN, CCM_REASON_STOPPED, now);
}

/*
 * R10: while we were away ourselves, silence says nothing about the partner. Late means later than
 * the deadline, so a loop that sleeps until then is not. After a stall the detection time begins
 * anew; but not again and again, lest a loop that is always late never notices anything: then only
 * the time that it was late for does not count.
 */
static void
excuse(struct ccm_session *s, uint64_t late, uint64_t now)
{
	bool whole = late > s->cfg.beat_ns &&
		(s->excused_ns == 0 || now - s->excused_ns > EXCUSE_AGAIN * s->cfg.dead_after_ns);
	uint64_t *const starts[] = {&s->last_beat_ns, &s->last_heard_ns, &s->bound_ns};

	if (whole)
		s->excused_ns = s->awake_since_ns = now;
	for (uint32_t i = 0; i < 3; i++) {
		/* Who was silent for long enough before we stalled stays so. */
		if (s->timer_ns > *starts[i] + s->cfg.dead_after_ns)
			continue;
		*starts[i] = whole ? now : ccm__min(now, *starts[i] + late);
	}
}

/*
 * When the next beat starts. While attempts keep failing no news hurries it; but it goes on, as a
 * partner that is not asked would look as if it did not answer.
 */
static uint64_t
beat_due(const struct ccm_session *s)
{
	uint64_t at = s->next_beat_ns;

	return s->hold_until_ns > s->now_ns ? ccm__max(at, s->beat_start_ns + s->cfg.beat_ns) : at;
}

/* An attempt gets a detection time of its own, whatever was before. */
static uint64_t
detection_start(const struct ccm_session *s)
{
	return ccm__max(s->last_beat_ns, s->bound_ns);
}

static uint32_t
on_timer(struct ccm_session *s, uint64_t now)
{
	uint32_t act = 0;

	if (now >= s->next_tick_ns) {
		uint64_t late = now - s->next_tick_ns;

		excuse(s, late, now);
		s->next_tick_ns = now + s->cfg.beat_ns;
		s->beat++;
		act |= CCM_ACT_PUBLISH;
	}
	s->timer_ns = now;
	if (s->state == CCM_LEAVING) {
		act |= leave_done(s, now);
		if (s->state == CCM_DOWN)
			return act;
	}
	if (ccm__is_bound(s) && now - detection_start(s) > s->cfg.dead_after_ns) {
		act |= ccm__abandon(s,
			ccm__went_on_answering(s) ? CCM_REASON_PARTNER_HUNG : CCM_REASON_NO_ANSWER,
			now);
	}
	/* Its heart beats, yet what the next state needs does not come: begin again. */
	if (ccm__is_setting_up(s) && now - s->since_ns > ccm__setup_limit(s))
		act |= ccm__abandon(s, CCM_REASON_NO_PROGRESS, now);
	if (s->io == CCM_IO_IDLE && now >= beat_due(s))
		act |= start_beat(s, now);
	return act;
}

/* Whether a record says something that the last one did not, apart from its beat. */
static bool
is_news(const struct ccm_record *a, const struct ccm_record *b)
{
	return a->nonce != b->nonce || a->echo != b->echo || a->phase != b->phase ||
		a->dir_crc != b->dir_crc || a->dir_seen != b->dir_seen ||
		a->map_hash != b->map_hash || a->version != b->version;
}

/* No partner there, as far as we can see: neither one to refuse. */
static uint32_t
not_found(struct ccm_session *s, enum ccm_reason reason, uint64_t now)
{
	if (s->state == CCM_REFUSED)
		return ccm__set_state(s, CCM_SEARCH, reason, now);
	if (s->state == CCM_SEARCH &&
		!(s->reason == CCM_REASON_LINK_DOWN && reason == CCM_REASON_NO_ANSWER))
		s->reason = reason;
	return 0;
}

static uint32_t
on_read_bad(struct ccm_session *s, enum ccm_record_verdict verdict, uint64_t now)
{
	s->n_records_bad++;
	/* Read while being written, most likely: no reason to ask less often. */
	if (verdict == CCM_RECORD_TORN || verdict == CCM_RECORD_CRC)
		s->search_pause_ns = s->cfg.beat_ns;
	fail_beat(s, now);
	if (verdict == CCM_RECORD_LAYOUT || verdict == CCM_RECORD_VALUE)
		return ccm__refuse(s, CCM_REASON_BAD_RECORD, now);
	return not_found(s,
		verdict == CCM_RECORD_EMPTY ? CCM_REASON_NOT_STARTED : CCM_REASON_BAD_RECORD, now);
}

static void
note_return(struct ccm_session *s, uint64_t now)
{
	if (s->n_returns == 0 || now - s->first_return_ns > ccm__setup_limit(s)) {
		s->n_returns = 0;
		s->first_return_ns = now;
	}
	if (++s->n_returns < CONFLICT_RETURNS)
		return;
	s->n_returns = 0;
	s->n_conflicts++;
	s->conflict_until_ns = now + CONFLICT_DETECTIONS * s->cfg.dead_after_ns;
}

/*
 * Every start of a node has a boot_id of its own, so one that comes back after another has been
 * READ means that two nodes answer at this address in turn. Only when it happens again and again:
 * an answer may be a very old copy, a machine may have been set back to an earlier state.
 */
static void
note_life(struct ccm_session *s, const struct ccm_record *rec, uint64_t now)
{
	if (ccm__check_identity(s, rec) != CCM_REASON_NONE || rec->boot_id == s->boot_id)
		return;
	for (uint32_t i = 0; i < CCM_SESSION_FORMER; i++) {
		if (s->former[i] != 0 && s->former[i] == rec->boot_id) {
			s->former[i] = 0;
			note_return(s, now);
		}
	}
	memmove(&s->former[1], &s->former[0], sizeof(s->former) - sizeof(s->former[0]));
	s->former[0] = s->boot_id;
	s->boot_id = rec->boot_id;
}

static uint32_t
on_read_ok(struct ccm_session *s, const struct ccm_input *in, uint64_t now)
{
	uint32_t act;

	if (s->io != CCM_IO_READING)
		return 0;
	if (in->verdict != CCM_RECORD_OK)
		return on_read_bad(s, in->verdict, now);
	if (s->steps == 0) {
		s->setup_start_ns = s->beat_start_ns;
		memset(s->step_acc_ns, 0, sizeof(s->step_acc_ns));
	}
	if (s->steps == 0 || s->steps == 2) {
		ccm__time_step(s, s->steps == 0 ? CCM_STEP_READ1 : CCM_STEP_READ2, now);
		s->steps++;
	}
	s->io = CCM_IO_WRITING;
	s->search_pause_ns = s->cfg.beat_ns;
	s->last_answer_ns = s->last_heard_ns = now;
	if (in->record->beat != s->seen.beat || in->record->nonce != s->seen.nonce)
		s->last_beat_ns = s->partner_beat_ns = now;
	if (s->partner_boot_ns == 0 || in->record->boot_stage != s->seen.boot_stage ||
		in->record->boot_progress != s->seen.boot_progress ||
		in->record->boot_id != s->seen.boot_id)
		s->partner_boot_ns = now;
	if (is_news(in->record, &s->seen))
		s->progress = true;
	note_life(s, in->record, now);
	s->seen = *in->record;
	act = ccm__decide(s, now);
	/* The beat's own WRITE says it all. */
	return act | CCM_ACT_WRITE;
}

static uint32_t
on_read_failed(struct ccm_session *s, const struct ccm_input *in, uint64_t now)
{
	if (s->io != CCM_IO_READING)
		return 0;
	s->n_reads_failed++;
	fail_beat(s, now);
	return not_found(s, in->access ? CCM_REASON_ACCESS : CCM_REASON_NO_ANSWER, now);
}

static uint32_t
on_write_ok(struct ccm_session *s, uint64_t now)
{
	if (s->io != CCM_IO_WRITING)
		return 0;
	if (s->steps == 1 || s->steps == 3) {
		ccm__time_step(s, s->steps == 1 ? CCM_STEP_WRITE1 : CCM_STEP_WRITE2, now);
		s->steps++;
	}
	s->n_beats++;
	end_beat(s, now);
	return s->state == CCM_READY ? ccm__decide(s, now) : 0;
}

static uint32_t
on_write_failed(struct ccm_session *s, const struct ccm_input *in, uint64_t now)
{
	if (s->io != CCM_IO_WRITING)
		return 0;
	s->n_writes_failed++;
	if (s->state == CCM_SEARCH)
		s->reason = in->access ? CCM_REASON_ACCESS : CCM_REASON_NO_ANSWER;
	fail_beat(s, now);
	/* It will refuse the next one too, and cannot know what we say. */
	return in->access && ccm__is_bound(s) ? ccm__abandon(s, CCM_REASON_ACCESS, now) : 0;
}

static uint32_t
on_slot(struct ccm_session *s, const struct ccm_record *rec, uint64_t now)
{
	bool news = is_news(rec, &s->slot);
	uint32_t act = 0;

	if (ccm__check_identity(s, rec) != CCM_REASON_NONE) {
		s->n_records_bad++;
		return 0;
	}
	s->slot = *rec;
	s->last_slot_ns = now;
	/*
	 * Who writes is not silent: ask at the next beat, however long we had meant to wait. Unless it
	 * has just refused us: that it is there was known.
	 */
	if (s->state == CCM_SEARCH && s->reason == CCM_REASON_ACCESS && !news)
		return 0;
	s->search_pause_ns = s->cfg.beat_ns;
	if (s->io == CCM_IO_IDLE)
		s->next_beat_ns = ccm__min(s->next_beat_ns,
			ccm__max(s->beat_start_ns + s->cfg.beat_ns, now));
	if (!news)
		return 0;
	/* R6: by itself it decides nothing about a bound partner; it makes us look. */
	s->progress = true;
	if (s->io == CCM_IO_IDLE)
		s->next_beat_ns = now;
	if (rec->echo == s->nonce)
		act = ccm__decide(s, now);
	return act;
}

/* Whether these are the ports that ours are being connected to. */
static bool
same_ports(const struct ccm_session *s, const struct ccm_directory *dir)
{
	if (dir->n_ports != s->map.n_entries)
		return false;
	for (uint32_t i = 0; i < dir->n_ports; i++) {
		const struct ccm_directory_port *p = &dir->ports[i], *q = &s->theirs.ports[i];
		const struct ccm_port_map_entry *entry = &s->map.entries[i];

		if (p->qpn != q->qpn || p->psn != q->psn || p->rkey != q->rkey || p->va != q->va ||
			p->index != entry->index || p->length != entry->length ||
			strncmp(dir->clients[p->client].name, entry->client, CCM_NAME_LEN) != 0)
			return false;
	}
	return true;
}

/*
 * The partner's clients may change at any time, but once ours are being connected to its ports,
 * those may not: such a directory is old, unless other ports follow from its clients. Then they
 * are all that counts of it.
 */
static bool
take_directory(struct ccm_session *s, const struct ccm_directory *dir)
{
	if (s->ports < CCM_PORTS_CONNECTING || same_ports(s, dir)) {
		s->theirs = *dir;
		ccm__remap(s);
		return true;
	}
	if (ccm__map_holds(s, dir, NULL))
		return false;
	s->theirs.crc = dir->crc;
	s->theirs.n_clients = dir->n_clients;
	memcpy(s->theirs.clients, dir->clients, sizeof(s->theirs.clients));
	s->map_off = true;
	return true;
}

static uint32_t
on_directory(struct ccm_session *s, const struct ccm_directory *dir, uint64_t now)
{
	if (!ccm__is_bound(s) || dir->nonce != s->bound || dir->echo != s->nonce ||
		(s->theirs.nonce != 0 && s->theirs.crc == dir->crc) || !take_directory(s, dir))
		return 0;
	s->progress = true;
	/* What stands in the area alone ends nothing, as it may be old: it makes us look (R6). */
	if (s->map_off && s->io == CCM_IO_IDLE)
		s->next_beat_ns = now;
	return ccm__decide(s, now) | CCM_ACT_PUBLISH;
}

static uint32_t
on_clients(struct ccm_session *s, const struct ccm_input *in, uint64_t now)
{
	uint32_t act;

	s->clients = in->clients;
	s->n_clients = in->n_clients;
	if (!ccm__is_bound(s))
		return 0;
	ccm__remap(s);
	if (s->map_off)
		return ccm__abandon(s, CCM_REASON_CLIENTS_CHANGED, now);
	s->progress = true;
	act = ccm__decide(s, now) | CCM_ACT_PUBLISH;
	return ccm__is_bound(s) ? act | CCM_ACT_DIRECTORY : act;
}

static uint32_t
on_ports_created(struct ccm_session *s, uint64_t now)
{
	uint32_t act;

	if (s->ports != CCM_PORTS_CREATING)
		return 0;
	s->ports = CCM_PORTS_CREATED;
	ccm__time_step(s, CCM_STEP_CREATE_PORTS, now);
	act = ccm__set_state(s, CCM_PORTS, CCM_REASON_WAITING, now);
	act |= ccm__decide(s, now);
	return ccm__is_bound(s) ? act | CCM_ACT_DIRECTORY : act;
}

static uint32_t
on_ports_connected(struct ccm_session *s, uint64_t now)
{
	if (s->ports != CCM_PORTS_CONNECTING)
		return 0;
	s->ports = CCM_PORTS_CONNECTED;
	ccm__time_step(s, CCM_STEP_CONNECT_PORTS, now);
	return ccm__decide(s, now);
}

static uint32_t
on_ports_failed(struct ccm_session *s, uint64_t now)
{
	if (s->ports == CCM_PORTS_NONE || s->ports == CCM_PORTS_DESTROYING || !ccm__is_bound(s))
		return 0;
	return ccm__abandon(s, CCM_REASON_PORT_FAILED, now);
}

static uint32_t
on_ports_destroyed(struct ccm_session *s, uint64_t now)
{
	if (s->ports != CCM_PORTS_DESTROYING)
		return 0;
	s->ports = CCM_PORTS_NONE;
	if (s->state != CCM_CLOSING)
		return 0;
	if (s->io == CCM_IO_IDLE)
		s->next_beat_ns = now;
	return ccm__set_state(s, CCM_SEARCH, s->reason, now);
}

static uint32_t
on_port_error(struct ccm_session *s, uint64_t now)
{
	return ccm__is_bound(s) && s->state >= CCM_PORTS
		? ccm__abandon(s, CCM_REASON_PORT_ERROR, now)
		: 0;
}

static uint32_t
on_link_down(struct ccm_session *s, uint64_t now)
{
	if (ccm__is_bound(s))
		return ccm__abandon(s, CCM_REASON_LINK_DOWN, now);
	if (s->state == CCM_SEARCH)
		s->reason = CCM_REASON_LINK_DOWN;
	return 0;
}

static uint32_t
on_link_up(struct ccm_session *s, uint64_t now)
{
	if (s->reason == CCM_REASON_LINK_DOWN && !ccm__is_bound(s))
		s->reason = CCM_REASON_NO_ANSWER;
	s->search_pause_ns = s->cfg.beat_ns;
	s->next_beat_ns = ccm__min(s->next_beat_ns, now);
	return 0;
}

static uint32_t
on_start(struct ccm_session *s, uint64_t now)
{
	if (s->state != CCM_DOWN)
		return 0;
	s->next_beat_ns = now;
	s->next_tick_ns = now;
	s->awake_since_ns = now;
	return ccm__set_state(s, CCM_SEARCH, CCM_REASON_NO_ANSWER, now);
}

static uint32_t
on_stop(struct ccm_session *s, uint64_t now)
{
	uint32_t act = 0;
	uint64_t linger = ccm__max(2 * s->cfg.beat_ns, LEAVE_MIN_NS);

	if (s->state == CCM_DOWN || s->state == CCM_LEAVING)
		return 0;
	if (s->state == CCM_UP)
		act |= CCM_ACT_CLIENTS_DOWN;
	s->last_down_reason = CCM_REASON_STOPPED;
	if (s->ports != CCM_PORTS_NONE && s->ports != CCM_PORTS_DESTROYING) {
		s->ports = CCM_PORTS_DESTROYING;
		act |= CCM_ACT_DESTROY;
	}
	s->leave_by_ns = now + ccm__min(linger, LEAVE_MAX_NS);
	s->next_beat_ns = now;
	act |= ccm__set_state(s, CCM_LEAVING, CCM_REASON_STOPPED, now);
	/* Do not wait for the next beat to tell a partner that listens. */
	return s->steps >= CCM_HANDSHAKE_STEPS ? act | CCM_ACT_NOTIFY : act;
}

/* What was under way when we stopped comes to its end; nothing follows from it. */
static uint32_t
on_while_down(struct ccm_session *s, const struct ccm_input *in)
{
	bool read = in->kind == CCM_IN_READ_OK || in->kind == CCM_IN_READ_FAILED;
	bool write = in->kind == CCM_IN_WRITE_OK || in->kind == CCM_IN_WRITE_FAILED;

	if ((read && s->io == CCM_IO_READING) || (write && s->io == CCM_IO_WRITING))
		s->io = CCM_IO_IDLE;
	return 0;
}

uint32_t
ccm_session_step(struct ccm_session *s, const struct ccm_input *in, uint64_t now)
{
	s->n_moves = 0;
	s->now_ns = now;
	if (in->kind == CCM_IN_CLIENTS)
		return notify_if(s, on_clients(s, in, now));
	if (s->state == CCM_DOWN && in->kind != CCM_IN_START)
		return on_while_down(s, in);
	switch (in->kind) {
	case CCM_IN_START:
		return on_start(s, now);
	case CCM_IN_TIMER:
		return on_timer(s, now);
	case CCM_IN_READ_OK:
		return on_read_ok(s, in, now);
	case CCM_IN_READ_FAILED:
		return on_read_failed(s, in, now);
	case CCM_IN_WRITE_OK:
		return notify_if(s, on_write_ok(s, now));
	case CCM_IN_WRITE_FAILED:
		return on_write_failed(s, in, now);
	case CCM_IN_SLOT:
		return notify_if(s, on_slot(s, in->record, now));
	case CCM_IN_DIRECTORY:
		return notify_if(s, on_directory(s, in->directory, now));
	case CCM_IN_PORTS_CREATED:
		return notify_if(s, on_ports_created(s, now));
	case CCM_IN_PORTS_CONNECTED:
		return notify_if(s, on_ports_connected(s, now));
	case CCM_IN_PORTS_FAILED:
		return on_ports_failed(s, now);
	case CCM_IN_PORTS_DESTROYED:
		return on_ports_destroyed(s, now);
	case CCM_IN_PORT_ERROR:
		return on_port_error(s, now);
	case CCM_IN_LINK_DOWN:
		return on_link_down(s, now);
	case CCM_IN_LINK_UP:
		return on_link_up(s, now);
	case CCM_IN_STOP:
		return on_stop(s, now);
	case CCM_IN_CLIENTS:
	case CCM_IN_COUNT:
	default:
		return 0;
	}
}

uint64_t
ccm_session_deadline(const struct ccm_session *s)
{
	uint64_t at = s->next_tick_ns;

	if (s->state == CCM_DOWN)
		return UINT64_MAX;
	if (s->io == CCM_IO_IDLE)
		at = ccm__min(at, beat_due(s));
	if (ccm__is_bound(s))
		at = ccm__min(at, detection_start(s) + s->cfg.dead_after_ns + 1);
	if (ccm__is_setting_up(s))
		at = ccm__min(at, s->since_ns + ccm__setup_limit(s) + 1);
	if (s->state == CCM_LEAVING && s->ports == CCM_PORTS_NONE)
		at = ccm__min(at, s->leave_by_ns);
	return at;
}
