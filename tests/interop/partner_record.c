/* SPDX-License-Identifier: BSD-3-Clause */

#include "partner_record.h"

#include <stdlib.h>
#include <string.h>

#define LAYOUT 1
#define SEQ_FRONT_WORD 1
#define SEQ_BACK_WORD 30

static void
put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static void
put32(uint8_t *p, uint32_t value)
{
	put16(p, (uint16_t)value);
	put16(p + 2, (uint16_t)(value >> 16));
}

static void
put64(uint8_t *p, uint64_t value)
{
	put32(p, (uint32_t)value);
	put32(p + 4, (uint32_t)(value >> 32));
}

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t
get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t
get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static uint32_t
crc_update(uint32_t crc, const uint8_t *data, size_t length)
{
	static uint32_t table[256];
	uint32_t value;
	unsigned int i, bit;

	if (table[1] == 0) {
		for (i = 0; i < 256; i++) {
			value = i;
			for (bit = 0; bit < 8; bit++)
				value = value >> 1 ^ (value & 1 ? 0x82f63b78 : 0);
			table[i] = value;
		}
	}
	while (length-- > 0)
		crc = crc >> 8 ^ table[(crc ^ *data++) & 0xff];
	return crc;
}

uint32_t
crc32c(const void *data, size_t length)
{
	return ~crc_update(~0U, data, length);
}

uint64_t
hash64(const void *data, size_t length)
{
	const uint8_t *byte = data;
	uint64_t hash = 0xcbf29ce484222325;

	while (length-- > 0)
		hash = (hash ^ *byte++) * 0x100000001b3;
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccd;
	hash ^= hash >> 33;
	hash *= 0xc4ceb9fe1a85ec53;
	hash ^= hash >> 33;
	return hash != 0 ? hash : 1;
}

const char *
phase_name(unsigned int phase)
{
	static const char *const names[] = {"DOWN", "1", "SEARCH", "BOUND", "PORTS", "READY", "UP",
		"REFUSED", "LEAVING"};

	return phase < sizeof(names) / sizeof(names[0]) ? names[phase] : "unknown";
}

const char *
reason_name(unsigned int reason)
{
	static const char *const names[] = {"none", "no_answer", "link_down", "not_started",
		"bad_record", "wrong_node", "wrong_cluster", "version", "access", "partner_refused",
		"partner_leaving", "partner_restarted", "partner_went_back", "partner_hung",
		"port_map", "port_failed", "clients_changed", "stopped", "waiting", "port_error"};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "other";
}

const char *
verdict_name(enum verdict verdict)
{
	static const char *const names[] = {"ok", "empty", "magic", "layout", "torn", "crc",
		"value"};

	return names[verdict];
}

void
record_encode(const struct record *record, uint8_t bytes[RECORD_SIZE])
{
	memset(bytes, 0, RECORD_SIZE);
	memcpy(bytes, "ccmr", 4);
	put16(bytes + 4, LAYOUT);
	put16(bytes + 6, RECORD_SIZE);
	put64(bytes + 8, record->seq);
	put64(bytes + 16, record->nonce);
	put64(bytes + 24, record->echo);
	put64(bytes + 32, record->boot_id);
	put64(bytes + 40, record->features);
	put64(bytes + 48, record->cluster_hash);
	put64(bytes + 56, record->map_hash);
	put64(bytes + 64, record->partner_seq);
	put64(bytes + 72, record->beat);
	put32(bytes + 80, record->dir_crc);
	put32(bytes + 84, record->dir_seen);
	put16(bytes + 88, record->src_id);
	put16(bytes + 90, record->dst_id);
	put16(bytes + 92, record->version_min);
	put16(bytes + 94, record->version_max);
	put16(bytes + 96, record->version);
	put16(bytes + 98, record->path_mtu);
	put16(bytes + 100, record->n_ports);
	put16(bytes + 102, record->boot_stage);
	put32(bytes + 104, record->boot_progress);
	bytes[108] = record->phase;
	bytes[109] = record->reason;
	bytes[110] = record->role;
	memcpy(bytes + 112, record->name, strnlen(record->name, NAME_SIZE - 1));
	put32(bytes + 144, record->start_psn);
	put32(bytes + 148, record->sequences);
	put32(bytes + 196, record->beat_us);
	put64(bytes + 240, record->seq);
	put32(bytes + 252, crc32c(bytes, 252));
}

static bool
node_name_valid(const char name[NAME_SIZE])
{
	unsigned int i;

	for (i = 0; i < NAME_SIZE && name[i] != 0; i++)
		if (name[i] < 0x20 || name[i] > 0x7e)
			return false;
	return i > 0 && i < NAME_SIZE;
}

static bool
record_values_valid(const struct record *record)
{
	return record->seq != 0 && record->nonce != 0 && record->src_id != 0 &&
		record->dst_id != 0 && record->version_min != 0 &&
		record->version_min <= record->version_max &&
		(record->version == 0 ||
			(record->version >= record->version_min &&
				record->version <= record->version_max)) &&
		record->path_mtu >= 256 && record->path_mtu <= 4096 &&
		(record->path_mtu & (record->path_mtu - 1)) == 0 && record->n_ports <= MAX_PORTS &&
		(record->phase == PHASE_DOWN ||
			(record->phase >= PHASE_SEARCH && record->phase <= PHASE_LEAVING)) &&
		record->role <= 1 && node_name_valid(record->name) &&
		record->start_psn <= PSN_MAX && record->beat_us <= BEAT_US_MAX;
}

static bool
all_bytes_are(const uint8_t *bytes, size_t length, uint8_t value)
{
	while (length-- > 0)
		if (*bytes++ != value)
			return false;
	return true;
}

enum verdict
record_decode(const uint8_t bytes[RECORD_SIZE], struct record *record)
{
	if (all_bytes_are(bytes, RECORD_SIZE, 0) || all_bytes_are(bytes, RECORD_SIZE, 0xff))
		return VERDICT_EMPTY;
	if (memcmp(bytes, "ccmr", 4) != 0)
		return VERDICT_MAGIC;
	if (get16(bytes + 4) != LAYOUT || get16(bytes + 6) != RECORD_SIZE)
		return VERDICT_LAYOUT;
	if (get64(bytes + 8) != get64(bytes + 240))
		return VERDICT_TORN;
	if (get32(bytes + 252) != crc32c(bytes, 252))
		return VERDICT_CRC;
	record->seq = get64(bytes + 8);
	record->nonce = get64(bytes + 16);
	record->echo = get64(bytes + 24);
	record->boot_id = get64(bytes + 32);
	record->features = get64(bytes + 40);
	record->cluster_hash = get64(bytes + 48);
	record->map_hash = get64(bytes + 56);
	record->partner_seq = get64(bytes + 64);
	record->beat = get64(bytes + 72);
	record->dir_crc = get32(bytes + 80);
	record->dir_seen = get32(bytes + 84);
	record->src_id = get16(bytes + 88);
	record->dst_id = get16(bytes + 90);
	record->version_min = get16(bytes + 92);
	record->version_max = get16(bytes + 94);
	record->version = get16(bytes + 96);
	record->path_mtu = get16(bytes + 98);
	record->n_ports = get16(bytes + 100);
	record->boot_stage = get16(bytes + 102);
	record->boot_progress = get32(bytes + 104);
	record->phase = bytes[108];
	record->reason = bytes[109];
	record->role = bytes[110];
	memcpy(record->name, bytes + 112, NAME_SIZE);
	record->start_psn = get32(bytes + 144);
	record->sequences = get32(bytes + 148);
	record->beat_us = get32(bytes + 196);
	return record_values_valid(record) ? VERDICT_OK : VERDICT_VALUE;
}

void
record_publish(uint64_t memory[RECORD_WORDS], const uint8_t bytes[RECORD_SIZE])
{
	uint64_t words[RECORD_WORDS];
	unsigned int i;

	memcpy(words, bytes, RECORD_SIZE);
	__atomic_store_n(&memory[SEQ_FRONT_WORD], words[SEQ_FRONT_WORD], __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (i = 0; i < RECORD_WORDS; i++)
		if (i != SEQ_FRONT_WORD && i != SEQ_BACK_WORD)
			__atomic_store_n(&memory[i], words[i], __ATOMIC_RELAXED);
	__atomic_store_n(&memory[SEQ_BACK_WORD], words[SEQ_BACK_WORD], __ATOMIC_RELEASE);
}

void
record_snapshot(const uint64_t memory[RECORD_WORDS], uint8_t bytes[RECORD_SIZE])
{
	uint64_t words[RECORD_WORDS];
	unsigned int i;

	words[SEQ_BACK_WORD] = __atomic_load_n(&memory[SEQ_BACK_WORD], __ATOMIC_ACQUIRE);
	for (i = 0; i < RECORD_WORDS; i++)
		if (i != SEQ_FRONT_WORD && i != SEQ_BACK_WORD)
			words[i] = __atomic_load_n(&memory[i], __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	words[SEQ_FRONT_WORD] = __atomic_load_n(&memory[SEQ_FRONT_WORD], __ATOMIC_RELAXED);
	memcpy(bytes, words, RECORD_SIZE);
}

static uint32_t
directory_crc(const uint8_t *bytes, size_t length)
{
	uint32_t crc;

	crc = crc_update(~0U, bytes, 60);
	crc = ~crc_update(crc, bytes + 64, length - 64);
	return crc != 0 ? crc : 1;
}

size_t
directory_encode(struct directory *directory, uint8_t bytes[DIRECTORY_MAX])
{
	const struct client *client;
	const struct port *port;
	size_t length = 64 * (1 + (size_t)directory->n_clients + directory->n_ports);
	uint8_t *p = bytes + 64;
	unsigned int i;

	memset(bytes, 0, length);
	memcpy(bytes, "ccmd", 4);
	put16(bytes + 4, LAYOUT);
	put16(bytes + 6, (uint16_t)length);
	put64(bytes + 8, directory->nonce);
	put64(bytes + 16, directory->echo);
	put16(bytes + 24, (uint16_t)directory->n_clients);
	put16(bytes + 26, (uint16_t)directory->n_ports);
	for (i = 0; i < directory->n_clients; i++, p += 64) {
		client = &directory->clients[i];
		memcpy(p, client->name, strnlen(client->name, NAME_SIZE - 1));
		put16(p + 32, client->ports);
		put64(p + 40, client->memory);
	}
	for (i = 0; i < directory->n_ports; i++, p += 64) {
		port = &directory->ports[i];
		put16(p, port->client);
		put16(p + 2, port->index);
		put32(p + 4, port->qpn);
		put32(p + 8, port->psn);
		put32(p + 12, port->rkey);
		put64(p + 16, port->va);
		put64(p + 24, port->length);
	}
	directory->crc = directory_crc(bytes, length);
	put32(bytes + 60, directory->crc);
	return length;
}

bool
client_name_valid(const char *name)
{
	size_t length = strspn(name,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789._-");

	return length > 0 && length < NAME_SIZE && name[length] == 0;
}

static const char *
client_check(const struct directory *directory, unsigned int n, const uint8_t *name)
{
	const struct client *client = &directory->clients[n];
	size_t length;
	unsigned int i;

	if (memchr(name, 0, NAME_SIZE) == NULL || !client_name_valid(client->name))
		return "client name";
	length = strlen(client->name);
	if (!all_bytes_are(name + length, NAME_SIZE - length, 0))
		return "bytes behind a client name";
	for (i = 0; i < n; i++)
		if (strcmp(directory->clients[i].name, client->name) == 0)
			return "client name twice";
	return client->ports >= 1 && client->ports <= MAX_PORTS ? NULL : "ports of a client";
}

static const char *
port_check(const struct directory *directory, unsigned int n)
{
	const struct port *port = &directory->ports[n];
	const struct port *other;

	if (port->client >= directory->n_clients)
		return "client index of a port";
	if (port->index >= directory->clients[port->client].ports)
		return "index of a port";
	if (port->qpn < 2 || port->qpn > 0xfffffe)
		return "qpn of a port";
	if (port->psn > PSN_MAX)
		return "psn of a port";
	if (port->rkey == 0)
		return "rkey of a port";
	if (port->length == 0 || port->length > UINT64_MAX - port->va)
		return "region of a port";
	for (other = directory->ports; other < port; other++) {
		if (other->client == port->client && other->index == port->index)
			return "port twice";
		if (other->qpn == port->qpn)
			return "qpn twice";
	}
	return NULL;
}

const char *
directory_decode(const uint8_t *bytes, size_t size, struct directory *directory)
{
	const char *wrong;
	const uint8_t *p = bytes + 64;
	struct client *client;
	struct port *port;
	size_t length;
	unsigned int i, total = 0;

	if (size < 64 || memcmp(bytes, "ccmd", 4) != 0)
		return "magic";
	if (get16(bytes + 4) != LAYOUT)
		return "layout";
	length = get16(bytes + 6);
	directory->n_clients = get16(bytes + 24);
	directory->n_ports = get16(bytes + 26);
	if (directory->n_clients > MAX_CLIENTS || directory->n_ports > MAX_PORTS)
		return "number of entries";
	if (length != 64 * (1 + (size_t)directory->n_clients + directory->n_ports) || length > size)
		return "length";
	directory->crc = get32(bytes + 60);
	if (directory->crc != directory_crc(bytes, length))
		return "crc";
	directory->nonce = get64(bytes + 8);
	directory->echo = get64(bytes + 16);
	if (directory->nonce == 0 || directory->echo == 0)
		return "nonce";
	for (i = 0; i < directory->n_clients; i++, p += 64) {
		client = &directory->clients[i];
		memcpy(client->name, p, NAME_SIZE);
		client->name[NAME_SIZE - 1] = 0;
		client->ports = get16(p + 32);
		client->memory = get64(p + 40);
		wrong = client_check(directory, i, p);
		if (wrong != NULL)
			return wrong;
		total += client->ports;
	}
	if (total > MAX_PORTS)
		return "ports of all clients";
	for (i = 0; i < directory->n_ports; i++, p += 64) {
		port = &directory->ports[i];
		port->client = get16(p);
		port->index = get16(p + 2);
		port->qpn = get32(p + 4);
		port->psn = get32(p + 8);
		port->rkey = get32(p + 12);
		port->va = get64(p + 16);
		port->length = get64(p + 24);
		wrong = port_check(directory, i);
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

static int
map_compare(const void *left, const void *right)
{
	const struct map_entry *a = left, *b = right;
	int order = strcmp(a->name, b->name);

	return order != 0 ? order : (int)a->index - (int)b->index;
}

void
map_make(struct map *map, const struct client *mine, unsigned int n_mine,
	const struct client *theirs, unsigned int n_theirs)
{
	struct map_entry *entry;
	uint64_t memory, length;
	unsigned int i, j, ports, index;

	memset(map, 0, sizeof(*map));
	for (i = 0; i < n_mine; i++) {
		for (j = 0; j < n_theirs; j++)
			if (strcmp(mine[i].name, theirs[j].name) == 0)
				break;
		if (j == n_theirs)
			continue;
		ports = mine[i].ports < theirs[j].ports ? mine[i].ports : theirs[j].ports;
		memory = mine[i].memory < theirs[j].memory ? mine[i].memory : theirs[j].memory;
		length = memory / ports / 64 * 64;
		if (length < 4096)
			continue;
		for (index = 0; index < ports && map->n < MAX_PORTS; index++) {
			entry = &map->entries[map->n++];
			memcpy(entry->name, mine[i].name, NAME_SIZE);
			entry->index = (uint16_t)index;
			entry->length = length;
			entry->client = (uint16_t)i;
		}
	}
	qsort(map->entries, map->n, sizeof(map->entries[0]), map_compare);
}

uint64_t
map_hash(const struct map *map)
{
	uint8_t bytes[8 + 48 * MAX_PORTS];
	uint8_t *p = bytes;
	unsigned int i;

	put64(p, map->n);
	p += 8;
	for (i = 0; i < map->n; i++, p += 48) {
		memset(p, 0, NAME_SIZE);
		memcpy(p, map->entries[i].name, strnlen(map->entries[i].name, NAME_SIZE));
		put64(p + 32, map->entries[i].index);
		put64(p + 40, map->entries[i].length);
	}
	return hash64(bytes, (size_t)(p - bytes));
}
