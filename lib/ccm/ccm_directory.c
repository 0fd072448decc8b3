/* SPDX-License-Identifier: BSD-3-Clause */
#include "ccm_directory.h"
#include "ccm_bytes.h"
#include "ccm_record.h"

#include <stdbool.h>
#include <string.h>

/* "ccmd", first character first on the wire. */
#define DIRECTORY_MAGIC 0x646d6363u

enum {
	QPN_FIRST = 2, /* 0 and 1 are management, 0xffffff is multicast */
	QPN_LAST = 0xfffffe,
	PSN_LAST = 0xffffff,
	PORT_ALIGN = 64, /* bytes */
};

/* Little-endian. Reserved bytes are sent as zeros and ignored on receipt. */
struct header_wire {
	uint32_t magic;
	uint16_t layout;
	uint16_t length; /* bytes of the whole directory */
	uint64_t nonce;
	uint64_t echo;
	uint16_t n_clients;
	uint16_t n_ports;
	uint8_t reserved[32];
	uint32_t crc; /* over the header before it and all entries; 1 where that is 0 */
};

struct client_wire {
	char name[CCM_NAME_LEN];
	uint16_t ports;
	uint8_t reserved0[6];
	uint64_t memory;
	uint8_t reserved1[16];
};

struct port_wire {
	uint16_t client;
	uint16_t index;
	uint32_t qpn;
	uint32_t psn;
	uint32_t rkey;
	uint64_t va;
	uint64_t length;
	uint8_t reserved[32];
};

#define AT(type, field, offset) \
	_Static_assert(offsetof(struct type, field) == (offset), "place on the wire")
AT(header_wire, layout, 4);
AT(header_wire, length, 6);
AT(header_wire, nonce, 8);
AT(header_wire, echo, 16);
AT(header_wire, n_clients, 24);
AT(header_wire, n_ports, 26);
AT(header_wire, reserved, 28);
AT(header_wire, crc, 60);
AT(client_wire, ports, 32);
AT(client_wire, reserved0, 34);
AT(client_wire, memory, 40);
AT(client_wire, reserved1, 48);
AT(port_wire, index, 2);
AT(port_wire, qpn, 4);
AT(port_wire, psn, 8);
AT(port_wire, rkey, 12);
AT(port_wire, va, 16);
AT(port_wire, length, 24);
AT(port_wire, reserved, 32);
#undef AT
_Static_assert(sizeof(struct header_wire) == CCM_DIRECTORY_HEADER, "header size");
_Static_assert(sizeof(struct client_wire) == CCM_DIRECTORY_ENTRY, "client size");
_Static_assert(sizeof(struct port_wire) == CCM_DIRECTORY_ENTRY, "port size");
_Static_assert(CCM_DIRECTORY_MAX <= UINT16_MAX, "length field is wide enough");

/* A directory in wire form: ports stand right behind the last client. */
union directory_wire {
	struct header_wire header;
	uint8_t bytes[CCM_DIRECTORY_MAX];
};

static size_t
client_offset(uint32_t i)
{
	return CCM_DIRECTORY_HEADER + (size_t)i * CCM_DIRECTORY_ENTRY;
}

static size_t
port_offset(uint32_t n_clients, uint32_t i)
{
	return client_offset(n_clients + i);
}

static uint32_t
directory_crc(const union directory_wire *w, size_t len)
{
	uint32_t crc = CCM_CRC32C_SEED;

	crc = ccm_crc32c_update(crc, w->bytes, offsetof(struct header_wire, crc));
	crc = ccm_crc32c_update(crc, w->bytes + CCM_DIRECTORY_HEADER, len - CCM_DIRECTORY_HEADER);
	crc = ~crc;
	return crc ? crc : 1;
}

const char *
ccm_directory_verdict_name(enum ccm_directory_verdict verdict)
{
	static const char *const names[CCM_DIRECTORY_VERDICT_COUNT] = {
		[CCM_DIRECTORY_OK] = "ok",
		[CCM_DIRECTORY_EMPTY] = "empty",
		[CCM_DIRECTORY_MAGIC] = "magic",
		[CCM_DIRECTORY_LAYOUT] = "layout",
		[CCM_DIRECTORY_LENGTH] = "length",
		[CCM_DIRECTORY_CRC] = "crc",
		[CCM_DIRECTORY_VALUE] = "value",
		[CCM_DIRECTORY_CLIENT] = "client",
		[CCM_DIRECTORY_PORT] = "port",
	};

	return (size_t)verdict < CCM_DIRECTORY_VERDICT_COUNT ? names[verdict] : "unknown";
}

size_t
ccm_directory_encode(const struct ccm_directory *dir, uint8_t *out, uint32_t *crc)
{
	size_t len = port_offset(dir->n_clients, dir->n_ports);
	union directory_wire w;
	uint32_t i;

	w.header = (struct header_wire){
		.magic = DIRECTORY_MAGIC,
		.layout = CCM_DIRECTORY_LAYOUT_VERSION,
		.length = (uint16_t)len,
		.nonce = dir->nonce,
		.echo = dir->echo,
		.n_clients = (uint16_t)dir->n_clients,
		.n_ports = (uint16_t)dir->n_ports,
	};
	for (i = 0; i < dir->n_clients; i++) {
		const struct ccm_directory_client *c = &dir->clients[i];
		struct client_wire cw = {.ports = c->ports, .memory = c->memory};

		memcpy(cw.name, c->name, strnlen(c->name, sizeof(cw.name) - 1));
		memcpy(w.bytes + client_offset(i), &cw, sizeof(cw));
	}
	for (i = 0; i < dir->n_ports; i++) {
		const struct ccm_directory_port *p = &dir->ports[i];
		struct port_wire pw = {
			.client = p->client,
			.index = p->index,
			.qpn = p->qpn,
			.psn = p->psn,
			.rkey = p->rkey,
			.va = p->va,
			.length = p->length,
		};

		memcpy(w.bytes + port_offset(dir->n_clients, i), &pw, sizeof(pw));
	}
	w.header.crc = directory_crc(&w, len);
	memcpy(out, w.bytes, len);
	if (crc)
		*crc = w.header.crc;
	return len;
}

static bool
all_bytes_are(const uint8_t *p, size_t len, uint8_t value)
{
	return p[0] == value && memcmp(p, p + 1, len - 1) == 0;
}

static bool
name_char_ok(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '.' || c == '_' || c == '-';
}

/* Zeros up to the end, so that equal names are equal bytes on both nodes. */
static bool
name_ok(const char *name)
{
	size_t len = strnlen(name, CCM_NAME_LEN);
	size_t i;

	if (len == 0 || len == CCM_NAME_LEN)
		return false;
	for (i = 0; i < len; i++) {
		if (!name_char_ok(name[i]))
			return false;
	}
	return all_bytes_are((const uint8_t *)name + len, CCM_NAME_LEN - len, 0);
}

static bool
clients_decode(const union directory_wire *w, struct ccm_directory *dir)
{
	uint32_t total = 0;
	uint32_t i, k;

	for (i = 0; i < dir->n_clients; i++) {
		struct ccm_directory_client *c = &dir->clients[i];
		struct client_wire cw;

		memcpy(&cw, w->bytes + client_offset(i), sizeof(cw));
		memcpy(c->name, cw.name, sizeof(c->name));
		c->ports = cw.ports;
		c->memory = cw.memory;
		if (!name_ok(c->name) || c->ports == 0 || c->ports > CCM_MAX_PORTS - total)
			return false;
		total += c->ports;
		for (k = 0; k < i; k++) {
			if (strcmp(dir->clients[k].name, c->name) == 0)
				return false;
		}
	}
	return true;
}

static bool
port_ok(const struct ccm_directory *dir, const struct ccm_directory_port *p)
{
	return p->client < dir->n_clients && p->index < dir->clients[p->client].ports &&
		p->qpn >= QPN_FIRST && p->qpn <= QPN_LAST && p->psn <= PSN_LAST && p->rkey != 0 &&
		p->length != 0 && p->length <= UINT64_MAX - p->va;
}

static bool
ports_decode(const union directory_wire *w, struct ccm_directory *dir)
{
	uint32_t i, k;

	for (i = 0; i < dir->n_ports; i++) {
		struct ccm_directory_port *p = &dir->ports[i];
		struct port_wire pw;

		memcpy(&pw, w->bytes + port_offset(dir->n_clients, i), sizeof(pw));
		*p = (struct ccm_directory_port){
			.client = pw.client,
			.index = pw.index,
			.qpn = pw.qpn,
			.psn = pw.psn,
			.rkey = pw.rkey,
			.va = pw.va,
			.length = pw.length,
		};
		if (!port_ok(dir, p))
			return false;
		for (k = 0; k < i; k++) {
			const struct ccm_directory_port *q = &dir->ports[k];

			if (q->qpn == p->qpn || (q->client == p->client && q->index == p->index))
				return false;
		}
	}
	return true;
}

enum ccm_directory_verdict
ccm_directory_decode(const uint8_t *in, size_t len, struct ccm_directory *out)
{
	union directory_wire w;
	const struct header_wire *h = &w.header;
	struct ccm_directory dir;

	if (len > sizeof(w))
		len = sizeof(w);
	if (len < CCM_DIRECTORY_HEADER)
		return CCM_DIRECTORY_LENGTH;
	memcpy(w.bytes, in, CCM_DIRECTORY_HEADER);
	if (all_bytes_are(w.bytes, CCM_DIRECTORY_HEADER, 0) ||
		all_bytes_are(w.bytes, CCM_DIRECTORY_HEADER, 0xff))
		return CCM_DIRECTORY_EMPTY;
	if (h->magic != DIRECTORY_MAGIC)
		return CCM_DIRECTORY_MAGIC;
	if (h->layout != CCM_DIRECTORY_LAYOUT_VERSION)
		return CCM_DIRECTORY_LAYOUT;
	if (h->n_clients > CCM_MAX_CLIENTS || h->n_ports > CCM_MAX_PORTS || h->length > len ||
		h->length != port_offset(h->n_clients, h->n_ports))
		return CCM_DIRECTORY_LENGTH;
	memcpy(w.bytes + CCM_DIRECTORY_HEADER, in + CCM_DIRECTORY_HEADER,
		h->length - CCM_DIRECTORY_HEADER);
	if (h->crc != directory_crc(&w, h->length))
		return CCM_DIRECTORY_CRC;
	if (h->nonce == 0 || h->echo == 0)
		return CCM_DIRECTORY_VALUE;

	memset(&dir, 0, sizeof(dir));
	dir.nonce = h->nonce;
	dir.echo = h->echo;
	dir.crc = h->crc;
	dir.n_clients = h->n_clients;
	dir.n_ports = h->n_ports;
	if (!clients_decode(&w, &dir))
		return CCM_DIRECTORY_CLIENT;
	if (!ports_decode(&w, &dir))
		return CCM_DIRECTORY_PORT;
	*out = dir;
	return CCM_DIRECTORY_OK;
}

uint16_t
ccm_directory_join(const struct ccm_directory_client *a, const struct ccm_directory_client *b,
	uint64_t *length)
{
	uint16_t ports = a->ports < b->ports ? a->ports : b->ports;
	uint64_t memory = a->memory < b->memory ? a->memory : b->memory;

	if (ports == 0)
		return 0;
	*length = memory / ports & ~(uint64_t)(PORT_ALIGN - 1);
	return *length < CCM_PORT_MEMORY_MIN ? 0 : ports;
}

/* Put the ports of one client where its name belongs; their indices are in order already. */
static void
map_insert(struct ccm_port_map *map, const struct ccm_port_map_entry *first, uint32_t n)
{
	uint32_t at = map->n_entries;
	uint32_t i;

	if (n > CCM_MAX_PORTS - map->n_entries)
		n = CCM_MAX_PORTS - map->n_entries;
	while (at > 0 && strcmp(map->entries[at - 1].client, first->client) > 0)
		at--;
	memmove(&map->entries[at + n], &map->entries[at],
		(map->n_entries - at) * sizeof(map->entries[0]));
	for (i = 0; i < n; i++) {
		map->entries[at + i] = *first;
		map->entries[at + i].index = (uint16_t)i;
	}
	map->n_entries += n;
}

void
ccm_port_map_make(const struct ccm_directory_client *mine, uint32_t n_mine,
	const struct ccm_directory_client *theirs, uint32_t n_theirs, struct ccm_port_map *out)
{
	uint32_t i, k;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < n_mine; i++) {
		for (k = 0; k < n_theirs; k++) {
			struct ccm_port_map_entry e = {.mine = (uint16_t)i, .theirs = (uint16_t)k};
			uint16_t n;

			if (strncmp(mine[i].name, theirs[k].name, CCM_NAME_LEN - 1) != 0)
				continue;
			n = ccm_directory_join(&mine[i], &theirs[k], &e.length);
			memcpy(e.client, mine[i].name, strnlen(mine[i].name, CCM_NAME_LEN - 1));
			map_insert(out, &e, n);
			break;
		}
	}
}

uint64_t
ccm_port_map_hash(const struct ccm_port_map *map)
{
	struct {
		uint64_t n_entries;
		struct {
			char client[CCM_NAME_LEN];
			uint64_t index;
			uint64_t length;
		} entries[CCM_MAX_PORTS];
	} w = {.n_entries = map->n_entries};
	uint32_t i;

	_Static_assert(sizeof(w) == 8 + CCM_MAX_PORTS * 48, "no padding in what is hashed");
	for (i = 0; i < map->n_entries; i++) {
		const struct ccm_port_map_entry *e = &map->entries[i];

		memcpy(w.entries[i].client, e->client, strnlen(e->client, CCM_NAME_LEN));
		w.entries[i].index = e->index;
		w.entries[i].length = e->length;
	}
	return ccm_hash64(&w, sizeof(w.n_entries) + map->n_entries * sizeof(w.entries[0]));
}
