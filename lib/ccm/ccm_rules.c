/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules R1 to R6: which states a session may take, and when it binds, verifies, comes up and
 * gives up. Everything is decided from what is known now, again after every news.
 */
#include "ccm_rules.h"

#include <assert.h>
#include <string.h>

enum {
	EAGER_ATTEMPTS = 3,    /* may fail in a row before the next one is put off */
	SETUP_DETECTIONS = 10, /* detection times that a set-up may stand still */
	SETUP_MIN_NS = 1000 * 1000 * 1000,
	BEATS_TO_MISS = 3, /* at least, before a partner may be taken for dead */
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
uint32_t
ccm__set_state(struct ccm_session *s, enum ccm_state to, enum ccm_reason reason, uint64_t now)
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

bool
ccm__is_bound(const struct ccm_session *s)
{
	return s->bound != 0 && s->state != CCM_LEAVING;
}

bool
ccm__went_on_answering(const struct ccm_session *s)
{
	return s->last_answer_ns > s->partner_beat_ns + s->cfg.dead_after_ns / 2;
}

bool
ccm__is_setting_up(const struct ccm_session *s)
{
	return ccm__is_bound(s) && s->state >= CCM_BOUND && s->state <= CCM_READY;
}

uint64_t
ccm__setup_limit(const struct ccm_session *s)
{
	return ccm__max(SETUP_DETECTIONS * s->cfg.dead_after_ns, SETUP_MIN_NS);
}

/* End of a handshake step; the next one of its kind begins. */
void
ccm__time_step(struct ccm_session *s, enum ccm_step step, uint64_t now)
{
	uint64_t *mark = step <= CCM_STEP_WRITE2 ? &s->io_mark_ns : &s->mark_ns;

	s->step_acc_ns[step] = now - *mark;
	*mark = now;
}

/* Nothing of the old attempt can ever count again (R1). */
uint32_t
ccm__new_attempt(struct ccm_session *s)
{
	s->nonce = s->spare_nonce;
	s->n_attempts++;
	s->bound = 0;
	s->follow = 0;
	s->version = 0;
	s->map_hash = 0;
	s->map_off = false;
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
uint32_t
ccm__abandon(struct ccm_session *s, enum ccm_reason reason, uint64_t now)
{
	uint32_t act = ccm__new_attempt(s);

	if (s->state == CCM_UP) {
		act |= CCM_ACT_CLIENTS_DOWN;
		if (now - s->since_ns >= s->cfg.dead_after_ns)
			s->failures = 0;
	}
	s->last_down_reason = reason;
	s->failures++;
	if (s->ports == CCM_PORTS_NONE) {
		act |= ccm__set_state(s, CCM_SEARCH, reason, now);
	} else {
		s->ports = CCM_PORTS_DESTROYING;
		act |= CCM_ACT_DESTROY | ccm__set_state(s, CCM_CLOSING, reason, now);
	}
	s->search_pause_ns = s->cfg.beat_ns;
	s->next_beat_ns = now;
	if (s->failures > EAGER_ATTEMPTS) {
		/* Something is wrong for good: no storm of attempts. */
		uint64_t shift = ccm__min(s->failures - EAGER_ATTEMPTS, 16);

		s->hold_until_ns = now + ccm__min(s->cfg.beat_ns << shift, s->cfg.search_ns);
	}
	return act;
}

uint32_t
ccm__refuse(struct ccm_session *s, enum ccm_reason reason, uint64_t now)
{
	if (s->state == CCM_SEARCH)
		return ccm__set_state(s, CCM_REFUSED, reason, now);
	if (s->state != CCM_REFUSED || s->reason == reason)
		return 0;
	s->reason = reason;
	return CCM_ACT_PUBLISH;
}

bool
ccm__map_holds(const struct ccm_session *s, const struct ccm_directory *dir,
	struct ccm_port_map *out)
{
	struct ccm_port_map map;

	ccm_port_map_make(s->clients, s->n_clients, dir->clients, dir->n_clients, &map);
	if (out != NULL)
		*out = map;
	return ccm_port_map_hash(&map) == s->map_hash;
}

void
ccm__remap(struct ccm_session *s)
{
	struct ccm_port_map map;

	if (s->map_hash == 0)
		return;
	s->map_off = !ccm__map_holds(s, &s->theirs, &map);
	/* The same ports; but the clients' places in the lists may be others. */
	if (!s->map_off)
		s->map = map;
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
enum ccm_reason
ccm__check_identity(const struct ccm_session *s, const struct ccm_record *rec)
{
	if (rec->cluster_hash != s->cfg.cluster_hash)
		return CCM_REASON_WRONG_CLUSTER;
	if (rec->src_id == s->cfg.node_id && rec->src_id != s->cfg.partner_id)
		return CCM_REASON_OWN_ID;
	if (rec->src_id != s->cfg.partner_id || rec->dst_id != s->cfg.node_id)
		return CCM_REASON_WRONG_NODE;
	return CCM_REASON_NONE;
}

/* Whether the partner as READ is one to bind to: NONE, or why not. */
static enum ccm_reason
check_terms(const struct ccm_session *s, uint64_t now)
{
	enum ccm_reason refusal = ccm__check_identity(s, &s->seen);

	if (refusal != CCM_REASON_NONE)
		return refusal;
	if (now < s->conflict_until_ns)
		return CCM_REASON_CONFLICT;
	if (common_version(s, &s->seen) == 0)
		return CCM_REASON_VERSION;
	/* It would be taken for hung between two of its beats, again and again. */
	if (BEATS_TO_MISS * 1000 * (uint64_t)s->seen.beat_us > s->cfg.dead_after_ns)
		return CCM_REASON_TIMING;
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
	s->bound_ns = now;
	s->mark_ns = now;
	return ccm__set_state(s, CCM_BOUND, CCM_REASON_WAITING, now) | CCM_ACT_DIRECTORY;
}

/* SEARCH and REFUSED: is there an attempt of the partner that we can bind to? */
static uint32_t
decide_unbound(struct ccm_session *s, uint64_t now)
{
	enum ccm_reason refusal = check_terms(s, now);
	uint32_t act = 0;

	if (refusal != CCM_REASON_NONE)
		return ccm__refuse(s, refusal, now);
	if (s->state == CCM_REFUSED)
		act |= ccm__set_state(s, CCM_SEARCH, CCM_REASON_WAITING, now);

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
check_bound(const struct ccm_session *s, uint64_t now)
{
	if (ccm__check_identity(s, &s->seen) != CCM_REASON_NONE)
		return ccm__check_identity(s, &s->seen);
	if (now < s->conflict_until_ns)
		return CCM_REASON_CONFLICT;
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
			return ccm__abandon(s, CCM_REASON_PORT_MAP, now);
		s->ports = CCM_PORTS_CONNECTING;
		return CCM_ACT_CONNECT;
	}
	/* R4: verified after a READ shows the bound partner, bound to us, with its ports. */
	if (s->ports != CCM_PORTS_CONNECTED || s->seen.echo != s->nonce ||
		s->seen.phase < CCM_PORTS || !is_session_phase(s->seen.phase))
		return 0;
	if (s->seen.map_hash != s->map_hash || s->seen.version != s->version)
		return ccm__abandon(s, CCM_REASON_PORT_MAP, now);
	return ccm__set_state(s, CCM_READY, CCM_REASON_WAITING, now);
}

/*
 * R5: clients are told when the partner says, to this attempt, that it has verified ours, and the
 * four steps have been taken: a partner that we cannot write to is none.
 */
static uint32_t
decide_ready(struct ccm_session *s, uint64_t now)
{
	if (s->steps < CCM_HANDSHAKE_STEPS)
		return 0;
	if (!slot_counts(s, s->bound) || s->slot.phase < CCM_READY ||
		!is_session_phase(s->slot.phase) || s->slot.map_hash != s->map_hash ||
		s->slot.version != s->version)
		return 0;
	ccm__time_step(s, CCM_STEP_READY, now);
	memcpy(s->step_ns, s->step_acc_ns, sizeof(s->step_ns));
	s->setup_ns = now - s->setup_start_ns;
	s->n_sessions++;
	return ccm__set_state(s, CCM_UP, CCM_REASON_NONE, now) | CCM_ACT_CLIENTS_UP;
}

/*
 * Only a READ tells that the directory in our area is the partner's last word, or that its ports
 * are others. Until then nothing goes on.
 */
static uint32_t
decide_map_off(struct ccm_session *s, uint64_t now)
{
	bool other_map = s->seen.echo == s->nonce && s->seen.map_hash != 0 &&
		s->seen.map_hash != s->map_hash;

	return s->seen.dir_crc == s->theirs.crc || other_map
		? ccm__abandon(s, CCM_REASON_CLIENTS_CHANGED, now)
		: 0;
}

/* Everything known says this; do what follows from it. Called after every news. */
uint32_t
ccm__decide(struct ccm_session *s, uint64_t now)
{
	enum ccm_reason reason;
	uint32_t act = 0;

	if (s->seen.nonce == 0)
		return 0;
	/* Not on what was READ before this attempt, nor since a step has failed. */
	if ((s->state == CCM_SEARCH || s->state == CCM_REFUSED) && s->steps != 0)
		act |= decide_unbound(s, now);
	if (!ccm__is_bound(s))
		return act;
	reason = check_bound(s, now);
	if (reason != CCM_REASON_NONE)
		return act | ccm__abandon(s, reason, now);
	if (s->seen.phase > s->peak_phase)
		s->peak_phase = s->seen.phase;
	if (s->state == CCM_BOUND && s->ports == CCM_PORTS_NONE && s->theirs.nonce != 0) {
		ccm_port_map_make(s->clients, s->n_clients, s->theirs.clients, s->theirs.n_clients,
			&s->map);
		s->map_hash = ccm_port_map_hash(&s->map);
		s->ports = CCM_PORTS_CREATING;
		ccm__time_step(s, CCM_STEP_CLIENT_INFO, now);
		act |= CCM_ACT_CREATE | CCM_ACT_PUBLISH;
	}
	if (s->map_off)
		return act | decide_map_off(s, now);
	if (s->state == CCM_PORTS)
		act |= decide_ports(s, now);
	if (s->state == CCM_READY)
		act |= decide_ready(s, now);
	return act;
}
