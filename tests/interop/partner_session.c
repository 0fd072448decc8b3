/* SPDX-License-Identifier: BSD-3-Clause */

#include "partner_session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1

static void say(struct session *session, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
say(struct session *session, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	session->ops->say(session->arg, line);
}

static void
set_phase(struct session *session, enum phase phase, enum reason reason)
{
	if (session->phase == phase && session->reason == reason)
		return;
	session->phase = phase;
	session->reason = reason;
	say(session, "phase %s reason %s nonce 0x%016" PRIx64 " bound 0x%016" PRIx64,
		phase_name(phase), reason_name(reason), session->nonce, session->bound);
}

static void
draw_nonce(struct session *session)
{
	uint64_t old = session->nonce;

	do
		session->nonce = session->ops->random64(session->arg);
	while (session->nonce == 0 || session->nonce == old);
	session->n_attempts++;
}

static void
make_directory(struct session *session)
{
	session->mine.nonce = session->nonce;
	session->mine.echo = session->bound;
	session->mine.n_clients = session->n_clients;
	memcpy(session->mine.clients, session->clients, sizeof(session->clients));
	session->directory_length = directory_encode(&session->mine, session->directory_bytes);
}

/* Everything of the attempt goes; a node that was bound needs a new nonce afterwards (R1). */
static void
forget_attempt(struct session *session)
{
	if (session->ports_exist)
		session->ops->destroy_ports(session->arg);
	session->ports_exist = false;
	session->bound = 0;
	session->follow = 0;
	session->version = 0;
	session->map_hash = 0;
	session->map.n = 0;
	session->mine.n_ports = 0;
	session->directory_length = 0;
	session->has_theirs = false;
	session->directory_wrong = NULL;
	session->highest = 0;
}

void
session_start(struct session *session, uint64_t now_us)
{
	session->boot_id = session->ops->random64(session->arg);
	draw_nonce(session);
	session->alive_us = now_us;
	set_phase(session, PHASE_SEARCH, REASON_WAITING);
}

void
session_end(struct session *session, enum reason reason)
{
	bool was_bound = session->bound != 0;

	if (session->phase == PHASE_LEAVING)
		return;
	forget_attempt(session);
	if (was_bound)
		draw_nonce(session);
	set_phase(session, PHASE_SEARCH, reason);
}

static void
refuse(struct session *session, enum reason reason)
{
	bool was_bound = session->bound != 0;

	forget_attempt(session);
	if (was_bound)
		draw_nonce(session);
	set_phase(session, PHASE_REFUSED, reason);
}

void
session_leave(struct session *session)
{
	session->partner_let_go = session->bound == 0;
	set_phase(session, PHASE_LEAVING, REASON_STOPPED);
}

void
session_beat(struct session *session)
{
	session->beat++;
}

void
session_record(struct session *session, uint8_t bytes[RECORD_SIZE])
{
	struct record record = {
		.seq = ++session->seq,
		.nonce = session->nonce,
		.echo = session->bound != 0 ? session->bound : session->follow,
		.boot_id = session->boot_id,
		.cluster_hash = session->cluster_hash,
		.map_hash = session->map_hash,
		.partner_seq = session->has_partner ? session->partner.seq : 0,
		.beat = session->beat,
		.dir_crc = session->directory_length != 0 ? session->mine.crc : 0,
		.dir_seen = session->has_theirs ? session->theirs.crc : 0,
		.start_psn = session->start_psn,
		.sequences = session->sequences,
		.beat_us = session->beat_us,
		.src_id = session->my_id,
		.dst_id = session->partner_id,
		.version_min = VERSION,
		.version_max = VERSION,
		.version = session->version,
		.path_mtu = session->path_mtu,
		.n_ports = (uint16_t)(session->ports_exist ? session->map.n : 0),
		.phase = (uint8_t)session->phase,
		.reason = (uint8_t)session->reason,
		.role = session->role,
	};

	memcpy(record.name, session->name, NAME_SIZE);
	record_encode(&record, bytes);
}

size_t
session_directory(const struct session *session, const uint8_t **bytes)
{
	bool counts = session->has_partner && session->partner.nonce == session->bound &&
		session->partner.echo == session->nonce;

	*bytes = session->directory_bytes;
	if (session->phase < PHASE_BOUND || session->phase > PHASE_UP)
		return 0;
	return counts && session->partner.dir_seen == session->mine.crc ? 0
									: session->directory_length;
}

static bool
phase_is_bound(unsigned int phase)
{
	return phase >= PHASE_BOUND && phase <= PHASE_UP;
}

/* Node ids, cluster and versions come before anything else; what is wrong, or REASON_NONE. */
static enum reason
check_identity(const struct session *session, const struct record *record)
{
	uint16_t version;

	if (record->src_id != session->partner_id || record->dst_id != session->my_id)
		return REASON_WRONG_NODE;
	if (record->cluster_hash != session->cluster_hash)
		return REASON_WRONG_CLUSTER;
	version = record->version_max < VERSION ? record->version_max : VERSION;
	if (version < record->version_min || version < VERSION)
		return REASON_VERSION;
	return REASON_NONE;
}

/* A READ of the partner while I am bound: has its attempt ended (R6)? */
static enum reason
check_bound(struct session *session, const struct record *record)
{
	if (record->nonce != session->bound)
		return REASON_PARTNER_RESTARTED;
	if (record->phase == PHASE_LEAVING)
		return REASON_PARTNER_LEAVING;
	if (record->phase == PHASE_REFUSED)
		return REASON_PARTNER_REFUSED;
	if (record->phase == PHASE_DOWN || record->phase < session->highest)
		return REASON_PARTNER_WENT_BACK;
	if (session->phase >= PHASE_READY && record->echo != session->nonce)
		return REASON_PARTNER_WENT_BACK;
	session->highest = record->phase;
	return REASON_NONE;
}

static bool
slot_shows(const struct session *session, const uint8_t slot[RECORD_SIZE], uint64_t nonce,
	struct record *record)
{
	return record_decode(slot, record) == VERDICT_OK && record->nonce == nonce &&
		check_identity(session, record) == REASON_NONE;
}

/* R3 */
static void
try_bind(struct session *session, const struct record *record, const uint8_t slot[RECORD_SIZE])
{
	struct record written;

	if (record->phase == PHASE_DOWN) {
		set_phase(session, PHASE_SEARCH, REASON_NOT_STARTED);
		return;
	}
	if (record->phase > PHASE_UP) {
		set_phase(session, PHASE_SEARCH,
			record->phase == PHASE_LEAVING ? REASON_PARTNER_LEAVING
						       : REASON_PARTNER_REFUSED);
		return;
	}
	session->follow = record->nonce;
	if (!(phase_is_bound(record->phase) && record->echo == session->nonce) &&
		!(slot_shows(session, slot, record->nonce, &written) &&
			written.echo == session->nonce)) {
		set_phase(session, PHASE_SEARCH, REASON_WAITING);
		return;
	}
	session->bound = record->nonce;
	session->highest = record->phase;
	session->version = record->version_max < VERSION ? record->version_max
							 : VERSION; /* checked above */
	make_directory(session);
	set_phase(session, PHASE_BOUND, REASON_WAITING);
}

static void
take_directory(struct session *session, const struct record *record, const uint8_t *area,
	size_t area_size)
{
	struct directory found = {0};
	const char *wrong;

	if (record->dir_crc == 0 || (session->has_theirs && session->theirs.crc == record->dir_crc))
		return;
	wrong = directory_decode(area, area_size, &found);
	if (found.crc != record->dir_crc || (wrong != NULL && strcmp(wrong, "crc") == 0))
		return; /* not here yet, or on its way */
	if (wrong == NULL && (found.nonce != session->bound || found.echo != session->nonce))
		wrong = "attempt";
	if (wrong != NULL) {
		if (session->directory_wrong == NULL ||
			session->directory_wrong_crc != record->dir_crc)
			say(session, "directory refused: %s", wrong);
		session->directory_wrong = wrong;
		session->directory_wrong_crc = record->dir_crc;
		return;
	}
	session->theirs = found;
	session->has_theirs = true;
	say(session, "directory crc 0x%08" PRIx32 " clients %u ports %u", found.crc,
		found.n_clients, found.n_ports);
}

static void
compute_map(const struct session *session, struct map *map)
{
	map_make(map, session->clients, session->n_clients, session->theirs.clients,
		session->theirs.n_clients);
}

static void
open_ports(struct session *session)
{
	struct port *port;
	unsigned int i;

	compute_map(session, &session->map);
	session->ports_exist = true;
	if (session->ops->make_ports(session->arg, &session->map, session->mine.ports) != 0) {
		session_end(session, REASON_PORT_FAILED);
		return;
	}
	for (i = 0; i < session->map.n; i++) {
		port = &session->mine.ports[i];
		port->client = session->map.entries[i].client;
		port->index = session->map.entries[i].index;
	}
	session->mine.n_ports = session->map.n;
	session->map_hash = map_hash(&session->map);
	make_directory(session);
	say(session, "map 0x%016" PRIx64 " ports %u", session->map_hash, session->map.n);
	set_phase(session, PHASE_PORTS, REASON_WAITING);
}

static const struct port *
find_port(const struct directory *directory, const struct map_entry *entry)
{
	const struct port *port;
	unsigned int i;

	for (i = 0; i < directory->n_ports; i++) {
		port = &directory->ports[i];
		if (port->index == entry->index && port->length == entry->length &&
			strcmp(directory->clients[port->client].name, entry->name) == 0)
			return port;
	}
	return NULL;
}

/* R4: the partner's ports are verified by this READ; join mine to them. */
static void
join_ports(struct session *session, const struct record *record)
{
	struct port theirs[MAX_PORTS];
	const struct port *port;
	unsigned int i, mtu;

	if (record->map_hash != session->map_hash || session->theirs.n_ports != session->map.n) {
		say(session, "partner has map 0x%016" PRIx64 " with %u ports", record->map_hash,
			session->theirs.n_ports);
		session_end(session, REASON_PORT_MAP);
		return;
	}
	for (i = 0; i < session->map.n; i++) {
		port = find_port(&session->theirs, &session->map.entries[i]);
		if (port == NULL) {
			say(session, "partner has no port %s.%u", session->map.entries[i].name,
				session->map.entries[i].index);
			session_end(session, REASON_PORT_MAP);
			return;
		}
		theirs[i] = *port;
	}
	mtu = record->path_mtu < session->path_mtu ? record->path_mtu : session->path_mtu;
	if (session->ops->connect_ports(session->arg, theirs, mtu) != 0)
		session_end(session, REASON_PORT_FAILED);
	else
		set_phase(session, PHASE_READY, REASON_WAITING);
}

/* Take as many steps as this READ allows, starting from BOUND. */
static void
advance(struct session *session, const struct record *record, const uint8_t slot[RECORD_SIZE])
{
	struct record written;
	struct map map;

	if (session->has_theirs && session->map_hash != 0) {
		compute_map(session, &map);
		if (map_hash(&map) != session->map_hash) {
			session_end(session, REASON_CLIENTS_CHANGED);
			return;
		}
	}
	if (session->phase == PHASE_BOUND && session->has_theirs)
		open_ports(session);
	if (session->phase == PHASE_PORTS && record->echo == session->nonce &&
		record->phase >= PHASE_PORTS && record->phase <= PHASE_UP && session->has_theirs &&
		session->theirs.crc == record->dir_crc && record->version == session->version)
		join_ports(session, record);
	if (session->phase == PHASE_READY && slot_shows(session, slot, session->bound, &written) &&
		written.echo == session->nonce && written.phase >= PHASE_READY &&
		written.phase <= PHASE_UP && written.version == session->version &&
		written.map_hash == session->map_hash && record->version == session->version &&
		record->map_hash == session->map_hash) {
		session->was_up = true;
		session->n_ups++;
		set_phase(session, PHASE_UP, REASON_NONE);
		session->ops->up(session->arg);
	}
}

static void
say_partner(struct session *session, const struct record *record)
{
	const struct record *old = &session->partner;

	if (session->has_partner && old->phase == record->phase && old->reason == record->reason &&
		old->nonce == record->nonce && old->boot_stage == record->boot_stage &&
		old->boot_id == record->boot_id && old->sequences == record->sequences)
		return;
	say(session,
		"partner phase %s reason %s nonce 0x%016" PRIx64 " name %s stage %u boot "
		"0x%016" PRIx64 " start_psn 0x%06" PRIx32 " sequences %" PRIu32 "%s",
		phase_name(record->phase), reason_name(record->reason), record->nonce, record->name,
		record->boot_stage, record->boot_id, record->start_psn, record->sequences,
		record->echo == session->nonce ? " mine" : "");
}

static bool
is_news(const struct session *session, const struct record *record)
{
	const struct record *old = &session->partner;

	return !session->has_partner || old->nonce != record->nonce || old->echo != record->echo ||
		old->phase != record->phase || old->dir_crc != record->dir_crc ||
		old->dir_seen != record->dir_seen || old->map_hash != record->map_hash ||
		old->version != record->version || old->boot_id != record->boot_id;
}

/* The READ brought no valid record: by itself that does not end an attempt. */
static void
take_bad_record(struct session *session)
{
	if (session->bound == 0)
		set_phase(session, PHASE_SEARCH,
			session->verdict == VERDICT_EMPTY ? REASON_NOT_STARTED : REASON_BAD_RECORD);
}

bool
session_read(struct session *session, const uint8_t bytes[RECORD_SIZE],
	const uint8_t slot[RECORD_SIZE], const uint8_t *area, size_t area_size, uint64_t now_us)
{
	unsigned int phase = session->phase;
	uint32_t seen = session->has_theirs ? session->theirs.crc : 0;
	enum verdict last = session->verdict;
	enum reason wrong;
	struct record record;
	bool news;

	session->verdict = record_decode(bytes, &record);
	if (session->verdict != last)
		say(session, "partner record %s", verdict_name(session->verdict));
	if (session->verdict != VERDICT_OK) {
		if (session->phase != PHASE_LEAVING)
			take_bad_record(session);
		return session->phase != phase;
	}
	session->answered = true;
	say_partner(session, &record);
	news = is_news(session, &record);
	if (!session->has_partner || session->partner.beat != record.beat ||
		session->partner.boot_id != record.boot_id) {
		session->alive_us = now_us;
		session->answered = false;
	}
	session->partner = record;
	session->has_partner = true;

	if (session->phase == PHASE_LEAVING) {
		if (record.nonce != session->bound || record.echo != session->nonce ||
			!phase_is_bound(record.phase))
			session->partner_let_go = true;
		return news;
	}
	wrong = check_identity(session, &record);
	if (wrong != REASON_NONE) {
		refuse(session, wrong);
		return session->phase != phase;
	}
	if (session->bound != 0) {
		wrong = check_bound(session, &record);
		if (wrong != REASON_NONE)
			session_end(session, wrong);
	}
	if (session->bound == 0)
		try_bind(session, &record, slot);
	if (session->bound != 0) {
		if (record.echo == session->nonce)
			take_directory(session, &record, area, area_size);
		advance(session, &record, slot);
	}
	return news || session->phase != phase ||
		(session->has_theirs ? session->theirs.crc : 0) != seen;
}

void
session_read_failed(struct session *session)
{
	if (session->phase == PHASE_SEARCH || session->phase == PHASE_REFUSED)
		set_phase(session, PHASE_SEARCH, REASON_NO_ANSWER);
}

void
session_tick(struct session *session, uint64_t now_us)
{
	if (session->bound == 0 || now_us - session->alive_us < session->detect_us)
		return;
	session->alive_us = now_us;
	session_end(session, session->answered ? REASON_PARTNER_HUNG : REASON_NO_ANSWER);
}

void
session_late(struct session *session, uint64_t now_us)
{
	session->alive_us = now_us;
}
