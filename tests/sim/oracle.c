/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must be true after every event. The sessions' beliefs are held against what has really
 * happened: all attempts ever made and what became of them, all records ever sent.
 *
 * The rules that are checked are R1 to R10 of doc/wire-format.md. When may a node be up with an
 * attempt that its partner has left? Only while it cannot know: it has taken in no record that was
 * READ of a later attempt, and its last READ that saw the partner's beat move is not longer ago
 * than the detection time (own time, not counting what it was late itself).
 */
#include "sim.h"

#include <string.h>

enum { STALLS_APART = 10 }; /* detection times without a stall, then one is excused wholly */

/* Which moves between states there are: doc/architecture.md, section 4. */
static const uint16_t moves[CCM_STATE_COUNT] = {
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

static bool
in_session(uint8_t state)
{
	return state >= CCM_BOUND && state <= CCM_UP;
}

static struct sim_attempt *
attempt_now(struct sim_world *w, const struct sim_peer *peer)
{
	return &w->attempts[peer->attempt];
}

static uint32_t
slot_of(const struct sim_world *w, uint64_t nonce, bool *found)
{
	uint32_t mask = 2 * w->attempts_max - 1, i = (uint32_t)(nonce >> 32) & mask;

	*found = false;
	while (w->attempt_of[i].epoch == w->epoch) {
		if (w->attempts[w->attempt_of[i].index].nonce == nonce) {
			*found = true;
			return i;
		}
		i = (i + 1) & mask;
	}
	return i;
}

struct sim_attempt *
sim_attempt_find(struct sim_world *w, uint64_t nonce)
{
	bool found;
	uint32_t i = slot_of(w, nonce, &found);

	return found ? &w->attempts[w->attempt_of[i].index] : NULL;
}

static void
begin_attempt(struct sim_world *w, struct sim_node *n, uint32_t p, uint64_t nonce)
{
	uint32_t index = w->n_attempts++;
	bool found;
	uint32_t i = slot_of(w, nonce, &found);

	SIM_CHECK(w, index < w->attempts_max, "attempts without end");
	SIM_CHECK(w, nonce != 0 && !found, "node %u: nonce %016lx is used again", n->index,
		(unsigned long)nonce);
	w->attempt_of[i].epoch = w->epoch;
	w->attempt_of[i].index = index;
	w->attempts[index] = (struct sim_attempt){
		.nonce = nonce,
		.node = (uint8_t)n->index,
		.other = n->peers[p].other,
		.node_id = sim_node_id(n),
		.partner_id = n->peers[p].id,
		.foreign = n->cfg.foreign,
		.incarnation = n->incarnation,
		.ended_at = SIM_NEVER,
	};
	n->peers[p].attempt = index;
}

void
sim_oracle_boot(struct sim_world *w, struct sim_node *n)
{
	for (uint32_t p = 0; p < n->n_peers; p++) {
		struct sim_peer *peer = &n->peers[p];

		peer->state = CCM_DOWN;
		peer->seen_key = peer->slot_key = 0;
		peer->theirs_crc = 0;
		peer->theirs_echo = 0;
		peer->evidence = peer->excused = peer->stall = peer->tick_at = 0;
		peer->bound_at = peer->bound_excused = 0;
		peer->seen_beat = peer->seen_nonce = 0;
		peer->n_ports = 0;
		peer->ups = peer->downs = 0;
		peer->up_at = peer->first_read_at = 0;
		memset(peer->told_up, 0, sizeof(peer->told_up));
		for (uint32_t i = 0; i < SIM_PORTS; i++)
			peer->ports[i].up = peer->ports[i].lent = peer->ports[i].poisoned = false;
		begin_attempt(w, n, p, sim_ccm_peer(n, p)->session.nonce);
	}
	sim_truth_boot(w, n);
}

void
sim_oracle_crash(struct sim_world *w, struct sim_node *n)
{
	for (uint32_t p = 0; p < n->n_peers; p++) {
		attempt_now(w, &n->peers[p])->ended_at = w->now;
		w->counts.records_bad += sim_ccm_peer(n, p)->session.n_records_bad;
		w->counts.beats += sim_ccm_peer(n, p)->session.n_beats;
	}
	sim_truth_gone(n);
}

static uint64_t
hash_record(const uint8_t *image)
{
	uint64_t h = 0x243f6a8885a308d3, word;

	for (uint32_t i = 0; i < CCM_RECORD_SIZE; i += (uint32_t)sizeof(word)) {
		memcpy(&word, image + i, sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15;
		h ^= h >> 32;
	}
	return h;
}

static struct sim_record_place *
record_place(const struct sim_world *w, uint32_t table, uint64_t hash)
{
	struct sim_record_place *list = w->records[table];
	uint32_t i = (uint32_t)hash & (SIM_RECORDS - 1);

	while (list[i].epoch == w->epoch && list[i].hash != hash)
		i = (i + 1) & (SIM_RECORDS - 1);
	return &list[i];
}

static bool
was_sent(const struct sim_world *w, const uint8_t *image)
{
	uint64_t hash = hash_record(image);

	return record_place(w, 0, hash)->epoch == w->epoch ||
		(w->forgetful && record_place(w, 1, hash)->epoch == w->epoch);
}

/* Remember as many again, and forget those before. */
static void
turn_page(struct sim_world *w)
{
	struct sim_record_place *list = w->records[1];

	SIM_CHECK(w, w->forgetful, "records without end");
	memset(list, 0, SIM_RECORDS * sizeof(*list));
	w->records[1] = w->records[0];
	w->records[0] = list;
	w->n_records = 0;
}

void
sim_oracle_on_send(struct sim_world *w, struct sim_node *from, uint32_t to,
	const struct roce_packet *pkt)
{
	struct sim_record_place *place;
	uint64_t hash;

	if (pkt->f.opcode == ROCE_READ_REQUEST || (pkt->op->traits & ROCE_T_WRITE))
		if (sim_is_bootstrap(from, pkt))
			from->peers[sim_peer_index(from, to)].asked = sim_node_local(from, w->now);

	if (pkt->payload_len != CCM_RECORD_SIZE ||
		(pkt->f.opcode != ROCE_READ_RESPONSE_ONLY && pkt->f.opcode != ROCE_WRITE_ONLY))
		return;
	if (w->n_records >= SIM_RECORDS * 3 / 4)
		turn_page(w);
	hash = hash_record(pkt->payload);
	place = record_place(w, 0, hash);
	w->n_records += place->epoch != w->epoch;
	*place = (struct sim_record_place){hash, w->epoch};
}

static uint64_t
key_of(const struct ccm_record *rec)
{
	return rec->nonce == 0 ? 0 : (rec->nonce ^ rec->seq * 0x9e3779b97f4a7c15) | 1;
}

/* The record that was READ, as it stands in the buffer where READs go. */
static bool
is_image_of(const struct ccm_record *rec, const uint8_t *memory)
{
	uint8_t image[CCM_RECORD_SIZE];

	ccm_record_encode(rec, image);
	return memcmp(image, memory, sizeof(image)) == 0;
}

/* Whether an attempt is of a node that this one takes for its partner, and meant for this one. */
static bool
is_partners(const struct sim_world *w, const struct sim_node *n, uint32_t p,
	const struct sim_attempt *theirs)
{
	const struct sim_node *o;

	if (theirs == NULL)
		return false;
	o = &w->nodes[theirs->node];
	if (w->shape != SIM_RIVALS)
		return theirs->node == n->peers[p].other && theirs->other == n->index;
	return o->place == n->peers[p].place && theirs->node_id == n->peers[p].id &&
		theirs->partner_id == sim_node_id(n) && theirs->foreign == n->cfg.foreign;
}

/* R3: bound to what was READ, and to somebody who means us. */
static void
on_bound(struct sim_world *w, struct sim_node *n, uint32_t p)
{
	const struct ccm_peer *peer = sim_ccm_peer(n, p);
	const struct ccm_session *s = &peer->session;
	struct sim_attempt *mine = attempt_now(w, &n->peers[p]);
	const struct sim_attempt *theirs = sim_attempt_find(w, s->bound);

	SIM_CHECK(w, mine->bound == 0, "node %u binds twice with one nonce", n->index);
	mine->bound = s->bound;
	if (w->fast)
		return;
	SIM_CHECK(w, is_partners(w, n, p, theirs),
		"node %u binds to %016lx, which is no attempt of node %u for it", n->index,
		(unsigned long)s->bound, n->peers[p].other);
	/* READ now, or before: then the next answer may lie in the buffer already. */
	SIM_CHECK(w,
		s->seen.nonce == s->bound &&
			(key_of(&s->seen) == n->peers[p].seen_key ||
				is_image_of(&s->seen, peer->read_buf)),
		"node %u binds to %016lx without a READ of it (R3)", n->index,
		(unsigned long)s->bound);
	SIM_CHECK(w,
		(s->slot.nonce == s->bound && s->slot.echo == s->nonce) ||
			(s->seen.echo == s->nonce && in_session(s->seen.phase)),
		"node %u binds to %016lx, which does not mean it (R2, R3)", n->index,
		(unsigned long)s->bound);
}

/* R9: numbers that no attempt has had before. */
static void
on_ports(struct sim_world *w, struct sim_node *n, uint32_t p)
{
	const struct ccm_port_set *set = &sim_ccm_peer(n, p)->ports;
	struct sim_attempt *mine = attempt_now(w, &n->peers[p]);

	SIM_CHECK(w, set->n <= SIM_PORTS && set->n == sim_ccm_peer(n, p)->session.map.n_entries,
		"node %u has %u ports for a map of %u", n->index, set->n,
		sim_ccm_peer(n, p)->session.map.n_entries);
	n->peers[p].n_ports = set->n;
	mine->n_ports = (uint8_t)set->n;
	for (uint32_t i = 0; i < set->n; i++) {
		mine->qpn[i] = set->slots[i].port.qpn;
		mine->rkey[i] = set->slots[i].rkey;
	}
	if (w->fast)
		return;
	for (const struct sim_attempt *a = w->attempts; a != mine; a++)
		for (uint32_t i = 0; a->node == n->index && i < a->n_ports && i < set->n; i++)
			SIM_CHECK(w, a->qpn[i] != mine->qpn[i] || a->rkey[i] != mine->rkey[i],
				"node %u: port %u has the numbers of an earlier attempt (R9)",
				n->index, i);
	sim_traffic_clear(n, p);
}

/* R4: the partner's attempt really has ports for us, and these are the ones we use. */
static void
on_ready(struct sim_world *w, struct sim_node *n, uint32_t p)
{
	const struct ccm_port_set *set = &sim_ccm_peer(n, p)->ports;
	const struct ccm_session *s = &sim_ccm_peer(n, p)->session;
	struct sim_attempt *mine = attempt_now(w, &n->peers[p]);
	const struct sim_attempt *theirs = sim_attempt_find(w, s->bound);

	mine->version = s->version;
	mine->map_hash = s->map_hash;
	mine->path_mtu = s->path_mtu;
	mine->features = s->features;
	SIM_CHECK(w,
		s->seen.nonce == s->bound && s->seen.echo == s->nonce && s->seen.phase >= CCM_PORTS,
		"node %u is READY, but no READ has shown ports for it (R4)", n->index);
	SIM_CHECK(w, theirs != NULL && theirs->bound == s->nonce && theirs->peak >= CCM_PORTS,
		"node %u is READY with %016lx, which has no ports for it (R4)", n->index,
		(unsigned long)s->bound);
	SIM_CHECK(w, theirs->n_ports == set->n, "node %u has %u ports, its partner %u", n->index,
		set->n, theirs->n_ports);
	for (uint32_t i = 0; i < set->n; i++)
		SIM_CHECK(w,
			set->slots[i].port.remote_qpn == theirs->qpn[i] &&
				set->slots[i].port.remote_rkey == theirs->rkey[i],
			"node %u: port %u is connected to one of another attempt", n->index, i);
}

/* What two nodes must agree on: the highest common version, the lower MTU, the common features. */
static void
check_agreed(struct sim_world *w, const struct sim_node *n, const struct sim_attempt *mine)
{
	const struct sim_attempt *theirs = sim_attempt_find(w, mine->bound);
	const struct sim_node *o = &w->nodes[theirs->node];

	if (!o->running || theirs->incarnation != o->incarnation)
		return;
	SIM_CHECK(w, mine->version == RTE_MIN(n->cfg.version_max, o->cfg.version_max),
		"node %u agrees on version %u", n->index, mine->version);
	SIM_CHECK(w, mine->path_mtu == RTE_MIN(n->cfg.path_mtu, o->cfg.path_mtu),
		"node %u agrees on MTU %u", n->index, mine->path_mtu);
	SIM_CHECK(w, mine->features == (n->cfg.features & o->cfg.features),
		"node %u agrees on features %016lx", n->index, (unsigned long)mine->features);
}

/* R5: the partner's attempt has verified us, and we agree. */
static void
on_up(struct sim_world *w, struct sim_node *n, uint32_t p)
{
	const struct ccm_session *s = &sim_ccm_peer(n, p)->session;
	const struct sim_attempt *mine = attempt_now(w, &n->peers[p]);
	const struct sim_attempt *theirs = sim_attempt_find(w, s->bound);

	n->peers[p].up_at = w->now;
	n->peers[p].ups++;
	w->counts.ups++;
	SIM_CHECK(w, theirs != NULL && theirs->bound == s->nonce && theirs->peak >= CCM_READY,
		"node %u is UP with %016lx, which has not verified it (R5)", n->index,
		(unsigned long)s->bound);
	SIM_CHECK(w,
		theirs->version == mine->version && theirs->map_hash == mine->map_hash &&
			theirs->path_mtu == mine->path_mtu && theirs->features == mine->features,
		"node %u and its partner disagree about version, ports, MTU or features", n->index);
	check_agreed(w, n, mine);
}

static void
on_down(struct sim_world *w, struct sim_node *n, uint32_t p, const struct ccm_event *ev,
	uint64_t local)
{
	const struct sim_peer *peer = &n->peers[p];
	uint64_t dead = (uint64_t)n->cfg.timing.dead_after_us * 1000;

	SIM_CHECK(w,
		!w->settled || ev->reason == CCM_REASON_STOPPED ||
			ev->reason == CCM_REASON_PARTNER_LEAVING,
		"node %u gives up (%s) after the faults have ended and all were up", n->index,
		ccm_reason_name(ev->reason));
	sim_truth_check_down(w, n, p, ev->reason);
	/* R10: the time that we were late ourselves does not count. */
	if (!w->fast &&
		(ev->reason == CCM_REASON_NO_ANSWER || ev->reason == CCM_REASON_PARTNER_HUNG))
		SIM_CHECK(w, local - peer->excused > dead,
			"node %u accuses its partner (%s) %lu us after its last sign of life, %lu "
			"us "
			"too early (R10)",
			n->index, ccm_reason_name(ev->reason),
			(unsigned long)(local - peer->evidence) / 1000,
			(unsigned long)(dead - (local - peer->excused)) / 1000);
}

void
sim_oracle_on_event(void *ctx, const struct ccm_event *ev)
{
	struct sim_node *n = ctx;
	struct sim_world *w = n->world;
	uint32_t p = n->peer_of_id[ev->partner_id];
	struct sim_peer *peer = &n->peers[p];
	struct sim_attempt *old = attempt_now(w, peer);
	bool renewed = ev->nonce != old->nonce;

	if (ev->kind == CCM_EVENT_VERDICT && !w->fast)
		sim_truth_on_verdict(w, n, p, ev);
	if (ev->kind != CCM_EVENT_STATE)
		return;
	sim_log(w, "node %u, partner %u: %s -> %s (%s), nonce %016lx, bound %016lx", n->index,
		peer->other, ccm_state_name(ev->from), ccm_state_name(ev->to),
		ccm_reason_name(ev->reason), (unsigned long)ev->nonce,
		(unsigned long)ev->partner_nonce);
	sim_mix(w, w->now ^ (uint64_t)ev->to << 48 ^ (uint64_t)ev->reason << 32 ^ ev->nonce);
	SIM_CHECK(w, ev->from == peer->state && (moves[ev->from] & 1 << ev->to) != 0,
		"node %u: %s to %s, but it was %s", n->index, ccm_state_name(ev->from),
		ccm_state_name(ev->to), ccm_state_name(peer->state));
	if (in_session(ev->from) && (ev->to == CCM_CLOSING || ev->to == CCM_SEARCH)) {
		SIM_CHECK(w,
			renewed || w->attempts[peer->attempt].peak < ev->from ||
				w->attempts[peer->attempt].bound == 0,
			"node %u gives up, but keeps its nonce (R1)", n->index);
		on_down(w, n, p, ev, ev->time_ns);
	}
	if (ev->from == CCM_UP)
		w->counts.downs++, peer->downs++;
	peer->state = ev->to;
	w->counts.refused += ev->to == CCM_REFUSED;
	if (renewed) {
		old->ended_at = w->now;
		begin_attempt(w, n, p, ev->nonce);
	}
	if (ev->to == CCM_SEARCH || ev->to == CCM_DOWN)
		sim_traffic_check_released(w, n, p);
	/* Bound and given up in one step: there is nothing left to look at. */
	if (!in_session(ev->to) || ev->partner_nonce == 0)
		return;
	old = attempt_now(w, peer);
	if (ev->to == CCM_BOUND) {
		peer->bound_at = peer->bound_excused = ev->time_ns;
		on_bound(w, n, p);
	}
	if (ev->to == CCM_PORTS)
		on_ports(w, n, p);
	if (ev->to == CCM_READY)
		on_ready(w, n, p);
	if (ev->to == CCM_UP)
		on_up(w, n, p);
	old->peak = RTE_MAX(old->peak, ev->to);
}

/* Who had been silent for too long when we last looked stays so: an accusation is not taken back. */
static void
excuse(const struct sim_node *n, uint64_t *since, uint64_t late, bool whole, uint64_t local)
{
	if (n->turned > *since + n->cfg.timing.dead_after_us * SIM_US)
		return;
	*since = whole ? local : RTE_MIN(local, *since + late);
}

/*
 * Before the manager looks at the time: was this turn late? Then the detection time begins anew, or
 * at least stood still for so long. That it begins anew after each of many stalls is not asked for.
 */
void
sim_oracle_before_control(struct sim_world *w, struct sim_node *n, uint64_t local)
{
	uint64_t beat = (uint64_t)n->cfg.timing.beat_us * 1000;
	uint64_t dead = (uint64_t)n->cfg.timing.dead_after_us * 1000;

	if (w->fast)
		return;
	for (uint32_t p = 0; p < n->n_peers; p++) {
		struct sim_peer *peer = &n->peers[p];
		uint64_t late = local - peer->tick_at;
		bool whole;

		sim_truth_before(w, n, p, local);
		if (peer->state == CCM_DOWN) {
			peer->tick_at = local + beat; /* if it starts in this turn */
			continue;
		}
		if (local < peer->tick_at)
			continue;
		whole = late > beat &&
			(peer->stall == 0 || local - peer->stall > STALLS_APART * dead);
		excuse(n, &peer->excused, late, whole, local);
		excuse(n, &peer->waited, late, whole, local);
		excuse(n, &peer->bound_excused, late, whole, local);
		if (late > beat)
			peer->stall = local;
		peer->tick_at = local + beat;
	}
	n->turned = local;
}

/* Records that were taken in are among those that were sent, bit by bit. */
static void
check_records(struct sim_world *w, struct sim_node *n, uint32_t p, uint64_t local)
{
	const struct ccm_peer *peer = sim_ccm_peer(n, p);
	const struct ccm_session *s = &peer->session;
	struct sim_peer *mine = &n->peers[p];
	uint64_t seen = key_of(&s->seen), slot = key_of(&s->slot);
	uint8_t image[CCM_RECORD_SIZE];

	if (seen != mine->seen_key) {
		ccm_record_encode(&s->seen, image);
		SIM_CHECK(w, was_sent(w, image), "node %u acts on a record that nobody has sent",
			n->index);
		SIM_CHECK(w, memcmp(image, peer->read_buf, sizeof(image)) == 0,
			"node %u takes for READ what was not READ (R3, R4)", n->index);
		if (s->seen.beat != mine->seen_beat || s->seen.nonce != mine->seen_nonce)
			mine->evidence = mine->excused = local;
		mine->seen_beat = s->seen.beat;
		mine->seen_nonce = s->seen.nonce;
		mine->seen_key = seen;
	}
	if (slot != mine->slot_key) {
		ccm_record_encode(&s->slot, image);
		SIM_CHECK(w, was_sent(w, image), "node %u acts on a slot that nobody has written",
			n->index);
		SIM_CHECK(w, memcmp(image, peer->slot, sizeof(image)) == 0,
			"node %u acts on a slot that has another record", n->index);
		mine->slot_key = slot;
	}
}

/* What a directory says is what the partner's attempt really has. */
static void
check_directory_content(struct sim_world *w, const struct sim_node *n,
	const struct ccm_directory *dir)
{
	const struct sim_attempt *theirs = sim_attempt_find(w, dir->nonce);
	const struct sim_node *o = &w->nodes[theirs->node];

	for (uint32_t i = 0; i < dir->n_ports; i++)
		SIM_CHECK(w,
			dir->n_ports == theirs->n_ports && dir->ports[i].qpn == theirs->qpn[i] &&
				dir->ports[i].rkey == theirs->rkey[i],
			"node %u takes a directory with ports that do not exist", n->index);
	if (!o->running || theirs->incarnation != o->incarnation)
		return;
	SIM_CHECK(w, dir->n_clients == o->cfg.n_clients,
		"node %u takes a directory of %u clients, there are %u", n->index, dir->n_clients,
		o->cfg.n_clients);
	for (uint32_t i = 0; i < dir->n_clients; i++)
		SIM_CHECK(w,
			strcmp(dir->clients[i].name, o->cfg.clients[i].name) == 0 &&
				dir->clients[i].ports == o->cfg.clients[i].ports &&
				dir->clients[i].memory == o->cfg.clients[i].memory,
			"node %u takes a directory with clients that do not exist", n->index);
}

/* A directory counts when both nonces fit and the record names it. */
static void
check_directory(struct sim_world *w, struct sim_node *n, uint32_t p)
{
	const struct ccm_session *s = &sim_ccm_peer(n, p)->session;
	const struct ccm_record *rec = s->slot.nonce == s->bound ? &s->slot : &s->seen;
	struct sim_peer *mine = &n->peers[p];

	if (s->theirs.nonce == 0 ||
		(s->theirs.crc == mine->theirs_crc && s->theirs.echo == mine->theirs_echo))
		return;
	mine->theirs_crc = s->theirs.crc;
	mine->theirs_echo = s->theirs.echo;
	SIM_CHECK(w, s->theirs.nonce == s->bound && s->theirs.echo == s->nonce,
		"node %u takes a directory of another attempt", n->index);
	SIM_CHECK(w, s->theirs.crc == rec->dir_crc,
		"node %u takes a directory that the record does not name", n->index);
	check_directory_content(w, n, &s->theirs);
}

/* I2: who are up with each other mean each other. */
static void
check_mutual(struct sim_world *w, const struct sim_node *n, uint32_t p)
{
	const struct ccm_session *s = &sim_ccm_peer(n, p)->session;
	const struct sim_node *o = &w->nodes[n->peers[p].other];
	const struct ccm_session *t;

	if (w->shape == SIM_RIVALS)
		o = &w->nodes[sim_attempt_find(w, s->bound)->node];
	if (!o->running)
		return;
	t = &sim_ccm_peer(o, sim_peer_index(o, n->index))->session;
	if (t->state != CCM_UP)
		return;
	/* A rival may not know yet that the partner has turned to another. */
	if (w->shape == SIM_RIVALS && s->bound != t->nonce && t->bound != s->nonce)
		return;
	SIM_CHECK(w, s->bound == t->nonce && t->bound == s->nonce,
		"nodes %u and %u are UP with different attempts", n->index, o->index);
	SIM_CHECK(w,
		s->version == t->version && s->map_hash == t->map_hash &&
			s->path_mtu == t->path_mtu && s->features == t->features,
		"nodes %u and %u are UP and disagree", n->index, o->index);
}

static void
check_session(struct sim_world *w, struct sim_node *n, uint32_t p, uint64_t local)
{
	const struct ccm_session *s = &sim_ccm_peer(n, p)->session;
	const struct ccm_timing *timing = &n->cfg.timing;
	struct sim_peer *peer = &n->peers[p];
	const struct sim_attempt *mine = attempt_now(w, peer);
	uint64_t limit = ((uint64_t)timing->dead_after_us + 3 * timing->beat_us) * 1000;
	uint64_t alive;

	SIM_CHECK(w, peer->state == s->state && mine->nonce == s->nonce,
		"node %u has changed its state without an event", n->index);
	SIM_CHECK(w, s->bound == mine->bound || s->bound == 0,
		"node %u is bound to another attempt under one nonce (I3)", n->index);
	for (uint32_t i = 0; i < peer->n_ports; i++)
		SIM_CHECK(w, peer->ports[i].up == (s->state == CCM_UP),
			"node %u is %s, but its client has not been told", n->index,
			ccm_state_name(s->state));
	if (!in_session(s->state))
		return;
	SIM_CHECK(w, s->seen.nonce == s->bound,
		"node %u stays with %016lx after a READ of %016lx (R6)", n->index,
		(unsigned long)s->bound, (unsigned long)s->seen.nonce);
	alive = RTE_MAX(RTE_MAX(peer->evidence, peer->stall), peer->bound_at);
	SIM_CHECK(w, local - alive <= limit,
		"node %u stays %s %lu us after the last sign of life (R6)", n->index,
		ccm_state_name(s->state), (unsigned long)(local - alive) / 1000);
	if (s->state == CCM_UP)
		check_mutual(w, n, p);
}

/* Queue pairs and regions are those of the sessions, and no others. */
static void
check_objects(struct sim_world *w, const struct sim_node *n)
{
	uint32_t qps = n->taken_qps, mrs = n->taken_mrs;

	for (uint32_t p = 0; p < n->n_peers; p++) {
		const struct ccm_peer *peer = sim_ccm_peer(n, p);

		if (peer->qp_state == CCM_QP_OPENING || peer->ports.pending != 0)
			return;
		qps++;
		mrs += CCM_REGION_KEYS;
		for (uint32_t i = 0; i < peer->ports.n; i++) {
			qps += peer->ports.slots[i].has_qp;
			mrs += peer->ports.slots[i].has_mr;
		}
		if (peer->session.ports == CCM_PORTS_NONE)
			SIM_CHECK(w, peer->ports.n == 0, "node %u has ports without a session",
				n->index);
	}
	SIM_CHECK(w, n->engine->qp_table.used == qps && n->engine->mr_table.used == mrs,
		"node %u has %u queue pairs and %u regions instead of %u and %u", n->index,
		n->engine->qp_table.used, n->engine->mr_table.used, qps, mrs);
}

void
sim_oracle_after_control(struct sim_world *w, struct sim_node *n, uint64_t local)
{
	if (w->fast)
		return;
	for (uint32_t p = 0; p < n->n_peers; p++) {
		check_records(w, n, p, local);
		check_directory(w, n, p);
		check_session(w, n, p, local);
		sim_truth_after(w, n, p, local);
	}
	check_objects(w, n);
}

void
sim_oracle_check_stopped(struct sim_world *w, const struct sim_node *n)
{
	SIM_CHECK(w,
		n->engine->qp_table.used == n->n_peers &&
			n->engine->mr_table.used == n->n_peers * CCM_REGION_KEYS,
		"node %u has stopped with %u queue pairs and %u regions", n->index,
		n->engine->qp_table.used, n->engine->mr_table.used);
}

/* No queue pair has more on its way than its window. */
void
sim_oracle_after_data(struct sim_world *w, struct sim_node *n)
{
	for (uint32_t i = 0; i < n->engine->cfg.max_qps; i++) {
		const struct remu_qp *qp = &n->engine->qps[i];

		if (qp->in_use && qp->state == REMU_QP_RTS)
			SIM_CHECK(w,
				(uint32_t)remu_psn_diff(qp->req.sent_psn, qp->req.una_psn) <=
					n->cfg.window,
				"node %u has %d packets on their way in a window of %u", n->index,
				remu_psn_diff(qp->req.sent_psn, qp->req.una_psn), n->cfg.window);
	}
}

/* Protection domains tell the partner, from 1, in their upper half, and the port in the lower. */
static const struct ccm_peer *
peer_of_qp(const struct sim_node *n, const struct remu_qp *qp)
{
	return sim_ccm_peer(n, (qp->pd >> 16) - 1);
}

void
sim_oracle_before_frame(const struct sim_node *n, const struct rte_mbuf *m,
	struct sim_arrival *arrival)
{
	struct roce_packet pkt;

	memset(arrival, 0, sizeof(*arrival));
	arrival->writes = n->engine->stats.writes_executed;
	if (roce_decode(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &pkt) != REMU_DROP_NONE)
		return;
	arrival->qp = remu_qp_find(n->engine, pkt.f.dest_qpn);
	if (arrival->qp == NULL)
		return;
	arrival->psn = pkt.f.psn;
	arrival->epsn = arrival->qp->resp.epsn;
	arrival->synced = arrival->qp->resp.synced;
	arrival->is_write = pkt.op->traits & ROCE_T_WRITE;
	arrival->opcode = pkt.f.opcode;
	arrival->is_response = !arrival->is_write && pkt.f.opcode != ROCE_READ_REQUEST;
	arrival->bootstrap = arrival->qp->flags & REMU_QP_BOOTSTRAP;
	arrival->due = arrival->synced && arrival->psn == arrival->epsn;
	if (arrival->is_write && arrival->bootstrap && !arrival->due)
		arrival->slot = hash_record(peer_of_qp(n, arrival->qp)->slot);
}

static void
heard(struct sim_peer *peer, const struct sim_arrival *arrival, uint64_t local)
{
	peer->heard = local;
	if (arrival->opcode == ROCE_READ_RESPONSE_ONLY)
		peer->arrived = peer->waited = local;
}

/* WRITEs obey strict rules: carried out at the expected PSN only, and once (R8). */
void
sim_oracle_after_frame(struct sim_world *w, struct sim_node *n, const struct sim_arrival *arrival)
{
	const struct remu_qp *qp = arrival->qp;

	if (qp == NULL)
		return;
	if (arrival->is_response && arrival->bootstrap)
		heard(&n->peers[(qp->pd >> 16) - 1], arrival, sim_node_local(n, w->now));
	if (!arrival->is_write)
		return;
	if (arrival->bootstrap) {
		SIM_CHECK(w,
			arrival->due ||
				(qp->resp.epsn == arrival->epsn &&
					n->engine->stats.writes_executed == arrival->writes &&
					hash_record(peer_of_qp(n, qp)->slot) == arrival->slot),
			"node %u carries out a WRITE at PSN %06x, expected is %06x (R8)", n->index,
			arrival->psn, arrival->epsn);
		return;
	}
	sim_traffic_scan(w, n, (qp->pd >> 16) - 1, (qp->pd & 0xffff) - 1);
}

/* Whether the partner's beat is too slow for the detection time of a node. */
static bool
is_too_slow(const struct sim_node *a, const struct sim_node *b)
{
	return 3 * b->cfg.timing.beat_us > a->cfg.timing.dead_after_us;
}

enum ccm_reason
sim_oracle_refusal(const struct sim_node *a, const struct sim_node *b)
{
	if (a->cfg.foreign != b->cfg.foreign)
		return CCM_REASON_WRONG_CLUSTER;
	if (a->cfg.version_max < b->cfg.version_min || b->cfg.version_max < a->cfg.version_min)
		return CCM_REASON_VERSION;
	if (is_too_slow(a, b))
		return CCM_REASON_TIMING;
	return is_too_slow(b, a) ? CCM_REASON_PARTNER_REFUSED : CCM_REASON_NONE;
}
