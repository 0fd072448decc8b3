/* SPDX-License-Identifier: BSD-3-Clause */
#include "ccm_session.h"

#include <assert.h>
#include <string.h>

enum {
	/* How long a leaving node answers READs, so that the partner can see why. */
	LEAVE_MIN_NS = 20 * 1000 * 1000,
	LEAVE_MAX_NS = 500 * 1000 * 1000,
	STEPS = 4,	    /* READ 1, WRITE 1, READ 2, WRITE 2 */
	EAGER_ATTEMPTS = 3, /* attempts that may fail in a row before the next one is put off */
};

/* Which moves between states are possible at all; anything else is a bug of ours. */
static const uint16_t legal_moves[CCM_STATE_COUNT] = {
	[CCM_DOWN] = 1 << CCM_SEARCH,
	[CCM_CLOSING] = 1 << CCM_SEARCH | 1 << CCM_LEAVING,
	[CCM_SEARCH] = 1 << CCM_BOUND | 1 << CCM_REFUSED | 1 << CCM_LEAVING,
	[CCM_BOUND] = 1 << CCM_PORTS | 1 << CCM_CLOSING | 1 << CCM_SEARCH | 1 << CCM_LEAVING,
	[CCM_PORTS] = 1 << CCM_READY | 1 << CCM_CLOSING | 1 << CCM_LEAVING,
	[CCM_READY] = 1 << CCM_UP | 1 << CCM_CLOSING | 1 << CCM_LEAVING,
	[CCM_UP] = 1 << CCM_CLOSING | 1 << CCM_LEAVING,
	[CCM_REFUSED] = 1 << CCM_SEARCH | 1 << CCM_LEAVING,
	[CCM_LEAVING] = 1 << CCM_DOWN,
};

bool
ccm_session_move_legal(enum ccm_state from, enum ccm_state to)
{
	return from < CCM_STATE_COUNT && to < CCM_STATE_COUNT && (legal_moves[from] & 1 << to);
}

/* The one gate for state changes. */
static uint32_t
set_state(struct ccm_session *s, enum ccm_state to, enum ccm_reason reason, uint64_t now)
{
	assert(ccm_session_move_legal(s->state, to));
	if (s->n_moves < CCM_SESSION_MOVES)
		s->moves[s->n_moves++] = (struct ccm_move){s->state, to, reason};
	s->state = to;
	s->reason = reason;
	s->since_ns = now;
	s->progress = true;
	return CCM_ACT_EVENT | CCM_ACT_PUBLISH;
}

static bool
is_bound(const struct ccm_session *s)
{
	return s->bound != 0 && s->state != CCM_LEAVING;
}

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* End of a handshake step; the next one of its kind begins. */
static void
time_step(struct ccm_session *s, enum ccm_step step, uint64_t now)
{
	uint64_t *mark = step <= CCM_STEP_WRITE2 ? &s->io_mark_ns : &s->mark_ns;

	s->step_acc_ns[step] = now - *mark;
	*mark = now;
}

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
		.boot_stage = s->boot_stage,
		.boot_progress = s->boot_progress,
		.phase = (uint8_t)(s->state == CCM_CLOSING ? CCM_DOWN : s->state),
		.reason = (uint8_t)(s->state == CCM_REFUSED ? s->reason : CCM_REASON_NONE),
		.role = s->cfg.role,
	};
	memcpy(out->name, s->cfg.name, sizeof(out->name));
}

bool
ccm_session_directory_due(const struct ccm_session *s)
{
	if (s->bound == 0 || s->state == CCM_LEAVING)
		return false;
	return !(s->seen.nonce == s->bound && s->seen.dir_seen == s->dir_crc) &&
		!(s->slot.nonce == s->bound && s->slot.echo == s->nonce &&
			s->slot.dir_seen == s->dir_crc);
}

/* Nothing of the old attempt can ever count again (R1). */
static uint32_t
new_attempt(struct ccm_session *s)
{
	s->nonce = s->spare_nonce;
	s->n_attempts++;
	s->bound = 0;
	s->follow = 0;
	s->version = 0;
	s->map_hash = 0;
	s->dir_crc = 0;
	s->theirs.nonce = 0;
	s->peak_phase = 0;
	s->steps = 0;
	return CCM_ACT_NONCE;
}

/*
 * End the attempt for whatever reason (R1): clients are told, ports destroyed, and a new nonce is
 * drawn.
 */
static uint32_t
abandon(struct ccm_session *s, enum ccm_reason reason, uint64_t now)
{
	uint32_t act = new_attempt(s);

	if (s->state == CCM_UP) {
		act |= CCM_ACT_CLIENTS_DOWN;
		if (now - s->since_ns >= s->cfg.dead_after_ns)
			s->failures = 0;
	}
	s->last_down_reason = reason;
	s->failures++;
	if (s->ports == CCM_PORTS_NONE) {
		act |= set_state(s, CCM_SEARCH, reason, now);
	} else {
		s->ports = CCM_PORTS_DESTROYING;
		act |= CCM_ACT_DESTROY | set_state(s, CCM_CLOSING, reason, now);
	}
	s->search_pause_ns = s->cfg.beat_ns;
	s->next_beat_ns = now;
	if (s->failures > EAGER_ATTEMPTS) {
		/* Something is wrong for good: no storm of attempts. */
		uint64_t shift = min_u64(s->failures - EAGER_ATTEMPTS, 16);

		s->hold_until_ns = now + min_u64(s->cfg.beat_ns << shift, s->cfg.search_ns);
	}
	return act;
}

/* Highest version that both offer; 0: none. */
static uint16_t
common_version(const struct ccm_session *s, const struct ccm_record *rec)
{
	uint16_t high = s->cfg.version_max < rec->version_max ? s->cfg.version_max
							      : rec->version_max;
	uint16_t low = s->cfg.version_min > rec->version_min ? s->cfg.version_min
							     : rec->version_min;

	return high >= low ? high : 0;
}

/* Whether a record is from our partner and for us. */
static enum ccm_reason
check_identity(const struct ccm_session *s, const struct ccm_record *rec)
{
	if (rec->cluster_hash != s->cfg.cluster_hash)
		return CCM_REASON_WRONG_CLUSTER;
	if (rec->src_id != s->cfg.partner_id || rec->dst_id != s->cfg.node_id)
		return CCM_REASON_WRONG_NODE;
	return CCM_REASON_NONE;
}

/* Whether the record in the slot is the bound partner's, meant for this attempt (R2). */
static bool
slot_counts(const struct ccm_session *s, uint64_t partner_nonce)
{
	return partner_nonce != 0 && s->slot.nonce == partner_nonce && s->slot.echo == s->nonce;
}

static bool
is_session_phase(uint8_t phase)
{
	return phase >= CCM_BOUND && phase <= CCM_UP;
}

static uint32_t
bind(struct ccm_session *s, uint64_t now)
{
	s->bound = s->seen.nonce;
	s->follow = 0;
	s->version = common_version(s, &s->seen);
	s->features = s->cfg.features & s->seen.features;
	s->path_mtu = s->cfg.path_mtu < s->seen.path_mtu ? s->cfg.path_mtu : s->seen.path_mtu;
	s->peak_phase = 0;
	s->last_beat_ns = now;
	s->mark_ns = now;
	return set_state(s, CCM_BOUND, CCM_REASON_WAITING, now) | CCM_ACT_DIRECTORY;
}

/* SEARCH and REFUSED: is there an attempt of the partner that we can bind to? */
static uint32_t
decide_unbound(struct ccm_session *s, uint64_t now)
{
	enum ccm_reason refusal = check_identity(s, &s->seen);
	uint32_t act = 0;

	if (refusal == CCM_REASON_NONE && common_version(s, &s->seen) == 0)
		refusal = CCM_REASON_VERSION;
	if (refusal != CCM_REASON_NONE) {
		if (s->state == CCM_SEARCH)
			act |= set_state(s, CCM_REFUSED, refusal, now);
		if (s->reason != refusal)
			act |= CCM_ACT_PUBLISH;
		s->reason = refusal;
		return act;
	}
	if (s->state == CCM_REFUSED)
		act |= set_state(s, CCM_SEARCH, CCM_REASON_WAITING, now);

	switch (s->seen.phase) {
	case CCM_SEARCH:
	case CCM_BOUND:
	case CCM_PORTS:
	case CCM_READY:
	case CCM_UP:
		break;
	case CCM_REFUSED:
		s->reason = CCM_REASON_PARTNER_REFUSED;
		return act;
	case CCM_LEAVING:
		s->reason = CCM_REASON_PARTNER_LEAVING;
		return act;
	default:
		s->reason = CCM_REASON_NOT_STARTED;
		return act;
	}
	s->reason = CCM_REASON_WAITING;
	if (s->follow != s->seen.nonce) {
		/* Not bound, so a changed partner is followed without a new nonce (R3). */
		s->follow = s->seen.nonce;
		act |= CCM_ACT_PUBLISH;
	}
	/* While attempts keep failing, the partner's slot record must not hurry us either. */
	if (now >= s->hold_until_ns &&
		(slot_counts(s, s->seen.nonce) ||
			(is_session_phase(s->seen.phase) && s->seen.echo == s->nonce)))
		act |= bind(s, now);
	return act;
}

/* R6: is the partner, as just READ, still the attempt that we are bound to? */
static enum ccm_reason
check_bound(const struct ccm_session *s)
{
	if (check_identity(s, &s->seen) != CCM_REASON_NONE)
		return check_identity(s, &s->seen);
	if (s->seen.nonce != s->bound)
		return CCM_REASON_PARTNER_RESTARTED;
	if (s->seen.phase == CCM_LEAVING)
		return CCM_REASON_PARTNER_LEAVING;
	if (s->seen.phase == CCM_REFUSED)
		return CCM_REASON_PARTNER_REFUSED;
	if (s->seen.phase < s->peak_phase || s->seen.phase == CCM_DOWN)
		return CCM_REASON_PARTNER_WENT_BACK;
	if (s->state >= CCM_READY && s->seen.echo != s->nonce)
		return CCM_REASON_PARTNER_WENT_BACK;
	return CCM_REASON_NONE;
}

/* Whether the partner's ports are those of the map, in its order. */
static bool
theirs_fits_map(const struct ccm_session *s)
{
	if (s->theirs.n_ports != s->map.n_entries)
		return false;
	for (uint32_t i = 0; i < s->map.n_entries; i++) {
		const struct ccm_port_map_entry *entry = &s->map.entries[i];
		const struct ccm_directory_port *port = &s->theirs.ports[i];

		if (port->client != entry->theirs || port->index != entry->index ||
			port->length != entry->length)
			return false;
	}
	return true;
}

static uint32_t
decide_ports(struct ccm_session *s, uint64_t now)
{
	if (s->ports == CCM_PORTS_CREATED) {
		/* Without its ports, the partner's directory is one of clients alone: wait. */
		if (s->theirs.n_ports == 0 && s->map.n_entries != 0)
			return 0;
		if (!theirs_fits_map(s))
			return abandon(s, CCM_REASON_PORT_MAP, now);
		s->ports = CCM_PORTS_CONNECTING;
		return CCM_ACT_CONNECT;
	}
	/* R4: verified after a READ shows the bound partner, bound to us, with its ports. */
	if (s->ports != CCM_PORTS_CONNECTED || s->seen.echo != s->nonce ||
		s->seen.phase < CCM_PORTS || !is_session_phase(s->seen.phase))
		return 0;
	if (s->seen.map_hash != s->map_hash || s->seen.version != s->version)
		return abandon(s, CCM_REASON_PORT_MAP, now);
	return set_state(s, CCM_READY, CCM_REASON_WAITING, now);
}

/* R5: clients are told when the partner says, to this attempt, that it has verified ours. */
static uint32_t
decide_ready(struct ccm_session *s, uint64_t now)
{
	if (!slot_counts(s, s->bound) || s->slot.phase < CCM_READY ||
		!is_session_phase(s->slot.phase) || s->slot.map_hash != s->map_hash ||
		s->slot.version != s->version)
		return 0;
	time_step(s, CCM_STEP_READY, now);
	memcpy(s->step_ns, s->step_acc_ns, sizeof(s->step_ns));
	s->setup_ns = now - s->setup_start_ns;
	s->n_sessions++;
	return set_state(s, CCM_UP, CCM_REASON_NONE, now) | CCM_ACT_CLIENTS_UP;
}

/* Everything known says this; do what follows from it. Called after every news. */
static uint32_t
decide(struct ccm_session *s, uint64_t now)
{
	enum ccm_reason reason;
	uint32_t act = 0;

	if (s->seen.nonce == 0)
		return 0;
	/* Not on what was READ before this attempt, nor since a step has failed. */
	if ((s->state == CCM_SEARCH || s->state == CCM_REFUSED) && s->steps != 0)
		act |= decide_unbound(s, now);
	if (!is_bound(s))
		return act;
	reason = check_bound(s);
	if (reason != CCM_REASON_NONE)
		return act | abandon(s, reason, now);
	if (s->seen.phase > s->peak_phase)
		s->peak_phase = s->seen.phase;
	if (s->state == CCM_BOUND && s->ports == CCM_PORTS_NONE && s->theirs.nonce != 0) {
		ccm_port_map_make(s->clients, s->n_clients, s->theirs.clients, s->theirs.n_clients,
			&s->map);
		s->map_hash = ccm_port_map_hash(&s->map);
		s->ports = CCM_PORTS_CREATING;
		time_step(s, CCM_STEP_CLIENT_INFO, now);
		act |= CCM_ACT_CREATE | CCM_ACT_PUBLISH;
	}
	if (s->state == CCM_PORTS)
		act |= decide_ports(s, now);
	if (s->state == CCM_READY)
		act |= decide_ready(s, now);
	return act;
}

/* Tell news at once, beside the beat, but never before the four steps have been taken. */
static uint32_t
notify_if(const struct ccm_session *s, uint32_t act)
{
	bool steps_taken = s->steps >= STEPS || (s->steps == STEPS - 1 && s->io == CCM_IO_WRITING);

	return (act & (CCM_ACT_EVENT | CCM_ACT_DIRECTORY)) != 0 && is_bound(s) && steps_taken
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
	s->next_beat_ns = s->progress ? now : max_u64(s->beat_start_ns + s->cfg.beat_ns, now);
}

/* A step failed: back to READ 1. A silent partner is asked less and less often. */
static void
fail_beat(struct ccm_session *s, uint64_t now)
{
	s->io = CCM_IO_IDLE;
	s->steps = s->state >= CCM_READY && s->state <= CCM_UP ? STEPS : 0;
	if (s->progress) {
		/* The partner has been heard of meanwhile, so it is there. */
		s->next_beat_ns = now;
	} else if (is_bound(s)) {
		s->next_beat_ns = max_u64(s->beat_start_ns + s->cfg.beat_ns, now);
	} else {
		s->next_beat_ns = now + s->search_pause_ns;
		s->search_pause_ns = min_u64(2 * s->search_pause_ns, s->cfg.search_ns);
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
	return new_attempt(s) | set_state(s, CCM_DOWN, CCM_REASON_STOPPED, now);
}

static uint32_t
on_timer(struct ccm_session *s, uint64_t now)
{
	uint32_t act = 0;

	if (now >= s->next_tick_ns) {
		uint64_t late = now - s->next_tick_ns;

		/*
		 * R10: while we were away ourselves, silence says nothing about the partner. Late
		 * means later than the deadline, so a loop that sleeps until then is not.
		 */
		s->last_beat_ns = late > s->cfg.beat_ns ? now
							: min_u64(now, s->last_beat_ns + late);
		s->next_tick_ns = now + s->cfg.beat_ns;
		s->beat++;
		act |= CCM_ACT_PUBLISH;
	}
	if (s->state == CCM_LEAVING) {
		act |= leave_done(s, now);
		if (s->state == CCM_DOWN)
			return act;
	}
	if (is_bound(s) && now - s->last_beat_ns > s->cfg.dead_after_ns) {
		bool answers = now - s->last_answer_ns <= s->cfg.dead_after_ns;

		act |= abandon(s, answers ? CCM_REASON_PARTNER_HUNG : CCM_REASON_NO_ANSWER, now);
	}
	if (s->io == CCM_IO_IDLE && now >= max_u64(s->next_beat_ns, s->hold_until_ns))
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
		return set_state(s, CCM_SEARCH, reason, now);
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
	return not_found(s,
		verdict == CCM_RECORD_EMPTY ? CCM_REASON_NOT_STARTED : CCM_REASON_BAD_RECORD, now);
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
		time_step(s, s->steps == 0 ? CCM_STEP_READ1 : CCM_STEP_READ2, now);
		s->steps++;
	}
	s->io = CCM_IO_WRITING;
	s->search_pause_ns = s->cfg.beat_ns;
	s->last_answer_ns = now;
	if (in->record->beat != s->seen.beat || in->record->nonce != s->seen.nonce)
		s->last_beat_ns = now;
	if (is_news(in->record, &s->seen))
		s->progress = true;
	s->seen = *in->record;
	act = decide(s, now);
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
		time_step(s, s->steps == 1 ? CCM_STEP_WRITE1 : CCM_STEP_WRITE2, now);
		s->steps++;
	}
	s->n_beats++;
	end_beat(s, now);
	return 0;
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
	return 0;
}

static uint32_t
on_slot(struct ccm_session *s, const struct ccm_record *rec, uint64_t now)
{
	bool news = is_news(rec, &s->slot);
	uint32_t act = 0;

	if (check_identity(s, rec) != CCM_REASON_NONE) {
		s->n_records_bad++;
		return 0;
	}
	s->slot = *rec;
	/* Who writes is not silent: ask at the next beat, however long we had meant to wait. */
	s->search_pause_ns = s->cfg.beat_ns;
	if (s->io == CCM_IO_IDLE)
		s->next_beat_ns = min_u64(s->next_beat_ns,
			max_u64(s->beat_start_ns + s->cfg.beat_ns, now));
	if (!news)
		return 0;
	/* R6: by itself it decides nothing about a bound partner; it makes us look. */
	s->progress = true;
	if (s->io == CCM_IO_IDLE)
		s->next_beat_ns = now;
	if (rec->echo == s->nonce)
		act = decide(s, now);
	return act;
}

static bool
same_clients(const struct ccm_directory *a, const struct ccm_directory *b)
{
	if (a->n_clients != b->n_clients)
		return false;
	for (uint32_t i = 0; i < a->n_clients; i++) {
		const struct ccm_directory_client *c = &a->clients[i], *d = &b->clients[i];

		if (strncmp(c->name, d->name, sizeof(c->name)) != 0 || c->ports != d->ports ||
			c->memory != d->memory)
			return false;
	}
	return true;
}

static uint32_t
on_directory(struct ccm_session *s, const struct ccm_directory *dir, uint64_t now)
{
	if (!is_bound(s) || dir->nonce != s->bound || dir->echo != s->nonce ||
		(s->theirs.nonce != 0 && s->theirs.crc == dir->crc))
		return 0;
	/* Once the ports are being connected, the partner's must not change any more. */
	if (s->ports >= CCM_PORTS_CONNECTING)
		return 0;
	/* Nor may its clients, once the map is made. */
	if (s->map_hash != 0 && !same_clients(dir, &s->theirs))
		return abandon(s, CCM_REASON_PORT_MAP, now);
	s->theirs = *dir;
	s->progress = true;
	return decide(s, now) | CCM_ACT_PUBLISH;
}

static uint32_t
on_ports_created(struct ccm_session *s, uint64_t now)
{
	uint32_t act;

	if (s->ports != CCM_PORTS_CREATING)
		return 0;
	s->ports = CCM_PORTS_CREATED;
	time_step(s, CCM_STEP_CREATE_PORTS, now);
	act = set_state(s, CCM_PORTS, CCM_REASON_WAITING, now);
	act |= decide(s, now);
	return is_bound(s) ? act | CCM_ACT_DIRECTORY : act;
}

static uint32_t
on_ports_connected(struct ccm_session *s, uint64_t now)
{
	if (s->ports != CCM_PORTS_CONNECTING)
		return 0;
	s->ports = CCM_PORTS_CONNECTED;
	time_step(s, CCM_STEP_CONNECT_PORTS, now);
	return decide(s, now);
}

static uint32_t
on_ports_failed(struct ccm_session *s, uint64_t now)
{
	if (s->ports == CCM_PORTS_NONE || s->ports == CCM_PORTS_DESTROYING || !is_bound(s))
		return 0;
	return abandon(s, CCM_REASON_PORT_FAILED, now);
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
	return set_state(s, CCM_SEARCH, s->reason, now);
}

static uint32_t
on_port_error(struct ccm_session *s, uint64_t now)
{
	return is_bound(s) && s->state >= CCM_PORTS ? abandon(s, CCM_REASON_PORT_ERROR, now) : 0;
}

static uint32_t
on_link_down(struct ccm_session *s, uint64_t now)
{
	if (is_bound(s))
		return abandon(s, CCM_REASON_LINK_DOWN, now);
	if (s->state == CCM_SEARCH)
		s->reason = CCM_REASON_LINK_DOWN;
	return 0;
}

static uint32_t
on_link_up(struct ccm_session *s, uint64_t now)
{
	if (s->reason == CCM_REASON_LINK_DOWN && !is_bound(s))
		s->reason = CCM_REASON_NO_ANSWER;
	s->search_pause_ns = s->cfg.beat_ns;
	s->next_beat_ns = min_u64(s->next_beat_ns, now);
	return 0;
}

static uint32_t
on_start(struct ccm_session *s, uint64_t now)
{
	if (s->state != CCM_DOWN)
		return 0;
	s->next_beat_ns = now;
	s->next_tick_ns = now;
	return set_state(s, CCM_SEARCH, CCM_REASON_NO_ANSWER, now);
}

static uint32_t
on_stop(struct ccm_session *s, uint64_t now)
{
	uint32_t act = 0;
	uint64_t linger = max_u64(2 * s->cfg.beat_ns, LEAVE_MIN_NS);

	if (s->state == CCM_DOWN || s->state == CCM_LEAVING)
		return 0;
	if (s->state == CCM_UP)
		act |= CCM_ACT_CLIENTS_DOWN;
	s->last_down_reason = CCM_REASON_STOPPED;
	if (s->ports != CCM_PORTS_NONE && s->ports != CCM_PORTS_DESTROYING) {
		s->ports = CCM_PORTS_DESTROYING;
		act |= CCM_ACT_DESTROY;
	}
	s->leave_by_ns = now + min_u64(linger, LEAVE_MAX_NS);
	s->next_beat_ns = now;
	act |= set_state(s, CCM_LEAVING, CCM_REASON_STOPPED, now);
	/* Do not wait for the next beat to tell a partner that listens. */
	return s->steps >= STEPS ? act | CCM_ACT_NOTIFY : act;
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
		return on_write_ok(s, now);
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
		at = min_u64(at, max_u64(s->next_beat_ns, s->hold_until_ns));
	if (is_bound(s))
		at = min_u64(at, s->last_beat_ns + s->cfg.dead_after_ns + 1);
	if (s->state == CCM_LEAVING && s->ports == CCM_PORTS_NONE)
		at = min_u64(at, s->leave_by_ns);
	return at;
}
