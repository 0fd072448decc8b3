/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>

#include "ccm_bytes.h"
#include "ccm_directory.h"
#include "ccm_vectors.h"

enum {
	CRC_OFFSET = 60,
	MUTATIONS = 1000000,
	MAPS = 20000,
};

static const struct ccm_directory with_clients = {
	.nonce = 0x0123456789abcdef,
	.echo = 0xfedcba9876543210,
	.n_clients = 3,
	.clients =
		{
			{"nvlog", 2, 16777216},
			{"mon", 1, 4100},
			{"only-here", 5, UINT64_MAX},
		},
};

static const struct ccm_directory with_ports = {
	.nonce = 0xa1a2a3a4a5a6a7a8,
	.echo = 0xb1b2b3b4b5b6b7b8,
	.n_clients = 2,
	.clients =
		{
			{"mon", 3, 1 << 20},
			{"a-name-of-thirty-one-characters", 61, 0x0102030405060708},
		},
	.n_ports = 3,
	.ports =
		{
			{0, 2, 2, 0, 1, 0, 1},
			{1, 60, 0xfffffe, 0xffffff, 0xffffffff, 0xf1f2f3f4f5f60000, 0x10000},
			{1, 0, 0x010203, 0x040506, 0x0708090a, UINT64_MAX - 4096, 4096},
		},
};

/* Offsets in with_ports on the wire. */
enum {
	CLIENT0 = 64,
	CLIENT1 = 128,
	PORT0 = 192,
	PORT1 = 256,
	WITH_PORTS_LEN = 384,
};

static void
assert_directory_equal(const struct ccm_directory *a, const struct ccm_directory *b)
{
	assert_true(a->nonce == b->nonce && a->echo == b->echo);
	assert_int_equal(a->n_clients, b->n_clients);
	assert_int_equal(a->n_ports, b->n_ports);
	for (uint32_t i = 0; i < CCM_MAX_CLIENTS; i++) {
		const struct ccm_directory_client *c = &a->clients[i], *d = &b->clients[i];

		assert_memory_equal(c->name, d->name, sizeof(c->name));
		assert_true(c->ports == d->ports && c->memory == d->memory);
	}
	for (uint32_t i = 0; i < CCM_MAX_PORTS; i++) {
		const struct ccm_directory_port *p = &a->ports[i], *q = &b->ports[i];

		assert_true(p->client == q->client && p->index == q->index);
		assert_true(p->qpn == q->qpn && p->psn == q->psn && p->rkey == q->rkey);
		assert_true(p->va == q->va && p->length == q->length);
	}
}

/* Needs a length field that is right. */
static void
repair_crc(uint8_t *buf)
{
	uint32_t crc = CCM_CRC32C_SEED;
	uint16_t length;

	memcpy(&length, buf + 6, sizeof(length));
	if (length < CCM_DIRECTORY_HEADER || length > CCM_DIRECTORY_MAX)
		return;
	crc = ccm_crc32c_update(crc, buf, CRC_OFFSET);
	crc = ~ccm_crc32c_update(crc, buf + CCM_DIRECTORY_HEADER, length - CCM_DIRECTORY_HEADER);
	crc = crc ? crc : 1;
	memcpy(buf + CRC_OFFSET, &crc, sizeof(crc));
}

/* Decode what must be refused; out must then stay as it is. */
static enum ccm_directory_verdict
refused(const uint8_t *in, size_t len)
{
	static struct ccm_directory out, before;
	enum ccm_directory_verdict v;

	memset(&out, 0x5a, sizeof(out));
	memset(&before, 0x5a, sizeof(before));
	v = ccm_directory_decode(in, len, &out);
	assert_int_not_equal(v, CCM_DIRECTORY_OK);
	assert_memory_equal(&out, &before, sizeof(out));
	return v;
}

/* The documented ranges, in words of their own. */
static void
assert_ranges(const struct ccm_directory *d)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	uint32_t total = 0;

	assert_true(d->nonce != 0 && d->echo != 0 && d->crc != 0);
	assert_true(d->n_clients <= 16 && d->n_ports <= 64);
	for (uint32_t i = 0; i < d->n_clients; i++) {
		const struct ccm_directory_client *c = &d->clients[i];
		size_t len = strnlen(c->name, sizeof(c->name));

		assert_true(len >= 1 && len <= 31 && strspn(c->name, allowed) == len);
		for (size_t k = len; k < sizeof(c->name); k++)
			assert_true(c->name[k] == 0);
		for (uint32_t k = i + 1; k < d->n_clients; k++)
			assert_true(strcmp(c->name, d->clients[k].name) != 0);
		assert_true(c->ports >= 1);
		total += c->ports;
	}
	assert_true(total <= 64);
	for (uint32_t i = 0; i < d->n_ports; i++) {
		const struct ccm_directory_port *p = &d->ports[i];

		assert_true(p->client < d->n_clients);
		assert_true(p->index < d->clients[p->client].ports);
		assert_true(p->qpn >= 2 && p->qpn <= 0xfffffe && p->psn <= 0xffffff);
		assert_true(p->rkey != 0 && p->length >= 1 && p->va + p->length >= p->va);
		for (uint32_t k = i + 1; k < d->n_ports; k++) {
			const struct ccm_directory_port *q = &d->ports[k];

			assert_true(p->qpn != q->qpn);
			assert_true(p->client != q->client || p->index != q->index);
		}
	}
}

static void
encode__golden(void **st)
{
	static const struct {
		const char *file;
		const struct ccm_directory *dir;
	} cases[] = {
		{"directory-clients.bin", &with_clients},
		{"directory-ports.bin", &with_ports},
	};
	static uint8_t want[CCM_DIRECTORY_MAX], got[CCM_DIRECTORY_MAX];

	(void)st;
	for (int i = 0; i < 2; i++) {
		size_t len = vector_read(cases[i].file, want, sizeof(want));
		uint32_t crc, in_place;

		memset(got, 0xa5, sizeof(got));
		assert_int_equal(ccm_directory_encode(cases[i].dir, got, &crc), len);
		assert_memory_equal(got, want, len);
		assert_int_equal(got[len], 0xa5);
		memcpy(&in_place, got + CRC_OFFSET, sizeof(in_place));
		assert_int_equal(crc, in_place);
		assert_int_equal(ccm_directory_encode(cases[i].dir, got, NULL), len);
	}
}

static void
decode__golden(void **st)
{
	static uint8_t buf[CCM_DIRECTORY_MAX];
	static struct ccm_directory got;
	size_t len;

	(void)st;
	len = vector_read("directory-clients.bin", buf, sizeof(buf));
	assert_int_equal(ccm_directory_decode(buf, len, &got), CCM_DIRECTORY_OK);
	assert_directory_equal(&got, &with_clients);
	len = vector_read("directory-ports.bin", buf, sizeof(buf));
	assert_int_equal(ccm_directory_decode(buf, len, &got), CCM_DIRECTORY_OK);
	assert_directory_equal(&got, &with_ports);
	assert_memory_equal(&got.crc, buf + CRC_OFFSET, sizeof(got.crc));
	/* What follows in the area is left over from another attempt. */
	memset(buf + len, 0xee, sizeof(buf) - len);
	assert_int_equal(ccm_directory_decode(buf, sizeof(buf), &got), CCM_DIRECTORY_OK);
	assert_directory_equal(&got, &with_ports);
}

static void
decode__empty(void **st)
{
	uint8_t buf[CCM_DIRECTORY_HEADER];

	(void)st;
	memset(buf, 0, sizeof(buf));
	assert_int_equal(refused(buf, sizeof(buf)), CCM_DIRECTORY_EMPTY);
	buf[63] = 1;
	assert_int_equal(refused(buf, sizeof(buf)), CCM_DIRECTORY_MAGIC);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(refused(buf, sizeof(buf)), CCM_DIRECTORY_EMPTY);
}

struct patch {
	uint32_t offset;
	uint32_t size;
	uint64_t value;
	enum ccm_directory_verdict verdict;
};

/* clang-format off */
static const struct patch patches[] = {
	{0, 4, 0x646d6364, CCM_DIRECTORY_MAGIC},
	{4, 2, 0, CCM_DIRECTORY_LAYOUT},
	{4, 2, 2, CCM_DIRECTORY_LAYOUT},
	{6, 2, 0, CCM_DIRECTORY_LENGTH},
	{6, 2, WITH_PORTS_LEN - 1, CCM_DIRECTORY_LENGTH},
	{6, 2, WITH_PORTS_LEN + 64, CCM_DIRECTORY_LENGTH},
	{6, 2, 0xffff, CCM_DIRECTORY_LENGTH},
	{8, 8, 0, CCM_DIRECTORY_VALUE},	 /* nonce */
	{16, 8, 0, CCM_DIRECTORY_VALUE}, /* echo */
	{24, 2, 1, CCM_DIRECTORY_LENGTH}, /* n_clients */
	{24, 2, 17, CCM_DIRECTORY_LENGTH},
	{24, 2, 0xffff, CCM_DIRECTORY_LENGTH},
	{26, 2, 2, CCM_DIRECTORY_LENGTH}, /* n_ports */
	{26, 2, 65, CCM_DIRECTORY_LENGTH},
	{26, 2, 0xffff, CCM_DIRECTORY_LENGTH},
	{24, 4, 3 | 2 << 16, CCM_DIRECTORY_CLIENT}, /* a port taken for a client */
	{24, 4, 1 | 4 << 16, CCM_DIRECTORY_PORT},   /* a client taken for a port */
	{28, 4, 1, CCM_DIRECTORY_OK},		    /* reserved */
	{CLIENT0, 1, 0, CCM_DIRECTORY_CLIENT},	    /* name */
	{CLIENT0 + 1, 1, 0, CCM_DIRECTORY_CLIENT},  /* something behind its end */
	{CLIENT0, 1, ' ', CCM_DIRECTORY_CLIENT},
	{CLIENT0, 1, '/', CCM_DIRECTORY_CLIENT},
	{CLIENT0, 1, '"', CCM_DIRECTORY_CLIENT},
	{CLIENT0, 1, 0xe4, CCM_DIRECTORY_CLIENT},
	{CLIENT0, 1, '.', CCM_DIRECTORY_OK},
	{CLIENT0, 1, '_', CCM_DIRECTORY_OK},
	{CLIENT0, 1, '-', CCM_DIRECTORY_OK},
	{CLIENT0, 1, '9', CCM_DIRECTORY_OK},
	{CLIENT0, 1, 'Z', CCM_DIRECTORY_OK},
	{CLIENT0 + 31, 1, 'x', CCM_DIRECTORY_CLIENT},
	{CLIENT1 + 31, 1, 'x', CCM_DIRECTORY_CLIENT}, /* not terminated */
	{CLIENT0 + 32, 2, 0, CCM_DIRECTORY_CLIENT},   /* ports */
	{CLIENT0 + 32, 2, 2, CCM_DIRECTORY_PORT},     /* there is a port 2 */
	{CLIENT0 + 32, 2, 4, CCM_DIRECTORY_CLIENT},   /* 65 together */
	{CLIENT0 + 32, 2, 65, CCM_DIRECTORY_CLIENT},
	{CLIENT0 + 32, 2, 0xffff, CCM_DIRECTORY_CLIENT},
	{CLIENT1 + 32, 2, 60, CCM_DIRECTORY_PORT},
	{CLIENT0 + 34, 2, 1, CCM_DIRECTORY_OK}, /* reserved */
	{CLIENT0 + 40, 8, 0, CCM_DIRECTORY_OK}, /* memory */
	{CLIENT0 + 40, 8, UINT64_MAX, CCM_DIRECTORY_OK},
	{PORT0, 2, 1, CCM_DIRECTORY_OK}, /* client */
	{PORT0, 2, 2, CCM_DIRECTORY_PORT},
	{PORT0, 2, 0xffff, CCM_DIRECTORY_PORT},
	{PORT0 + 2, 2, 0, CCM_DIRECTORY_OK}, /* index */
	{PORT0 + 2, 2, 3, CCM_DIRECTORY_PORT},
	{PORT0, 4, 1 | 60 << 16, CCM_DIRECTORY_PORT}, /* same port as the next */
	{PORT0 + 4, 4, 0, CCM_DIRECTORY_PORT},	      /* qpn */
	{PORT0 + 4, 4, 1, CCM_DIRECTORY_PORT},
	{PORT0 + 4, 4, 3, CCM_DIRECTORY_OK},
	{PORT0 + 4, 4, 0xfffffe, CCM_DIRECTORY_PORT}, /* of the next one */
	{PORT0 + 4, 4, 0xffffff, CCM_DIRECTORY_PORT},
	{PORT0 + 4, 4, 0x1000002, CCM_DIRECTORY_PORT},
	{PORT0 + 8, 4, 0xffffff, CCM_DIRECTORY_OK}, /* psn */
	{PORT0 + 8, 4, 0x1000000, CCM_DIRECTORY_PORT},
	{PORT0 + 12, 4, 0, CCM_DIRECTORY_PORT}, /* rkey */
	{PORT0 + 16, 8, UINT64_MAX - 1, CCM_DIRECTORY_OK}, /* va, with length 1 */
	{PORT0 + 16, 8, UINT64_MAX, CCM_DIRECTORY_PORT},
	{PORT0 + 24, 8, 0, CCM_DIRECTORY_PORT}, /* length */
	{PORT0 + 24, 8, UINT64_MAX, CCM_DIRECTORY_OK},
	{PORT1 + 24, 8, UINT64_MAX - 0xf1f2f3f4f5f60000, CCM_DIRECTORY_OK},
	{PORT1 + 24, 8, UINT64_MAX - 0xf1f2f3f4f5f60000 + 1, CCM_DIRECTORY_PORT},
	{PORT0 + 32, 8, 1, CCM_DIRECTORY_OK}, /* reserved */
};
/* clang-format on */

static void
decode__verdict_of_each_field(void **st)
{
	static uint8_t buf[CCM_DIRECTORY_MAX];
	static struct ccm_directory out;

	(void)st;
	for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
		const struct patch *p = &patches[i];
		enum ccm_directory_verdict v;

		memset(buf, 0, sizeof(buf));
		ccm_directory_encode(&with_ports, buf, NULL);
		memcpy(buf + p->offset, &p->value, p->size);
		repair_crc(buf);
		if (p->verdict == CCM_DIRECTORY_OK) {
			v = ccm_directory_decode(buf, sizeof(buf), &out);
			if (v == CCM_DIRECTORY_OK)
				assert_ranges(&out);
		} else {
			v = refused(buf, sizeof(buf));
		}
		if (v != p->verdict)
			fail_msg("offset %u value %#" PRIx64 ": %s, not %s", p->offset, p->value,
				ccm_directory_verdict_name(v),
				ccm_directory_verdict_name(p->verdict));
	}
}

/* Counts too large, but with a length that matches them and a CRC that is right. */
static void
decode__too_many_entries(void **st)
{
	static const struct {
		uint16_t counts[2];
		enum ccm_directory_verdict verdict;
	} cases[] = {
		{{17, 0}, CCM_DIRECTORY_LENGTH},
		{{17, 63}, CCM_DIRECTORY_LENGTH},
		{{80, 0}, CCM_DIRECTORY_LENGTH},
		{{0, 65}, CCM_DIRECTORY_LENGTH},
		{{15, 65}, CCM_DIRECTORY_LENGTH},
		{{0, 1}, CCM_DIRECTORY_PORT}, /* of no client */
		{{0, 0}, CCM_DIRECTORY_OK},
	};
	static uint8_t buf[CCM_DIRECTORY_MAX];
	static struct ccm_directory out;

	(void)st;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t length = (uint16_t)(64 * (1 + cases[i].counts[0] + cases[i].counts[1]));

		memset(buf, 0, sizeof(buf));
		ccm_directory_encode(&with_ports, buf, NULL);
		memcpy(buf + 6, &length, sizeof(length));
		memcpy(buf + 24, cases[i].counts, sizeof(cases[i].counts));
		repair_crc(buf);
		if (cases[i].verdict == CCM_DIRECTORY_OK)
			assert_int_equal(ccm_directory_decode(buf, sizeof(buf), &out),
				CCM_DIRECTORY_OK);
		else
			assert_int_equal(refused(buf, sizeof(buf)), cases[i].verdict);
	}
}

static void
decode__a_client_twice(void **st)
{
	struct ccm_directory dir = with_clients;
	uint8_t buf[CCM_DIRECTORY_MAX];

	(void)st;
	memcpy(dir.clients[2].name, dir.clients[0].name, CCM_NAME_LEN);
	assert_int_equal(refused(buf, ccm_directory_encode(&dir, buf, NULL)), CCM_DIRECTORY_CLIENT);
}

static void
decode__every_corruption_of_one_byte(void **st)
{
	static const struct ccm_directory *const dirs[] = {&with_clients, &with_ports};
	static uint8_t buf[CCM_DIRECTORY_MAX];

	(void)st;
	for (int d = 0; d < 2; d++) {
		size_t len = ccm_directory_encode(dirs[d], buf, NULL);

		for (size_t at = 0; at < len; at++) {
			uint8_t good = buf[at];

			for (int v = 0; v < 256; v++) { /* single bits are among these */
				buf[at] = (uint8_t)v;
				if (v != good)
					refused(buf, sizeof(buf));
			}
			buf[at] = good;
		}
	}
}

/* The buffer ends where its allocation ends, so reading too far is seen by a sanitizer. */
static void
decode__truncated(void **st)
{
	uint8_t whole[CCM_DIRECTORY_MAX];
	size_t size = ccm_directory_encode(&with_ports, whole, NULL);

	(void)st;
	for (size_t len = 0; len < size; len++) {
		uint8_t *buf = malloc(len ? len : 1);

		memcpy(buf, whole, len);
		assert_int_equal(refused(buf, len), CCM_DIRECTORY_LENGTH);
		free(buf);
		buf = calloc(1, size); /* the rest has not arrived yet */
		memcpy(buf, whole, len);
		if (memcmp(buf, whole, size) != 0)
			refused(buf, size);
		free(buf);
	}
}

static void
random_name(uint64_t *state, char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	uint32_t len = 1 + rnd_below(state, 31);

	memset(name, 0, CCM_NAME_LEN);
	for (uint32_t i = 0; i < len; i++)
		name[i] = allowed[rnd_below(state, sizeof(allowed) - 1)];
}

/* Clients in range; the names of a small set come up again in other directories. */
static uint32_t
random_clients(uint64_t *state, uint32_t max, struct ccm_directory_client *clients)
{
	static const char *const common[] = {"a", "b", "nvlog", "mon", "Mon", "nvlog2", "nv",
		"a-name-of-thirty-one-characters", "a-name-of-thirty-one-characterz", "9", "_"};
	uint32_t n = rnd_below(state, max + 1), left = CCM_MAX_PORTS, i, k;

	memset(clients, 0, CCM_MAX_CLIENTS * sizeof(*clients));
	for (i = 0; i < n && left; i++) {
		struct ccm_directory_client *c = &clients[i];
		uint32_t want = rnd_below(state, 4) ? 8 : 64;

		do {
			random_name(state, c->name);
			if (rnd_below(state, 4)) {
				memset(c->name, 0, sizeof(c->name));
				strncpy(c->name,
					common[rnd_below(state,
						sizeof(common) / sizeof(common[0]))],
					sizeof(c->name) - 1);
			}
			for (k = 0; k < i && strcmp(c->name, clients[k].name) != 0; k++)
				;
		} while (k < i);
		c->ports = (uint16_t)(1 + rnd_below(state, want < left ? want : left));
		c->memory = rnd64(state) >> rnd_below(state, 64);
		left -= c->ports;
	}
	return i;
}

static void
random_directory(uint64_t *state, uint32_t max_clients, struct ccm_directory *dir)
{
	uint32_t c, i;

	memset(dir, 0, sizeof(*dir));
	dir->nonce = rnd64(state) | 1;
	dir->echo = rnd64(state) | 1;
	dir->n_clients = random_clients(state, max_clients, dir->clients);
	for (c = 0; c < dir->n_clients && rnd_below(state, 8); c++) {
		for (i = 0; i < dir->clients[c].ports; i++) {
			struct ccm_directory_port *p = &dir->ports[dir->n_ports];

			p->client = (uint16_t)c;
			p->index = (uint16_t)i;
			p->qpn = 2 + rnd_below(state, 0x20000) * 64 + dir->n_ports;
			p->psn = rnd_below(state, 1 << 24);
			p->rkey = (uint32_t)rnd64(state) | 1;
			p->va = rnd64(state) >> 1;
			p->length = 1 + (rnd64(state) >> 2);
			dir->n_ports++;
		}
	}
}

static void
round_trip__random_directories(void **st)
{
	static struct ccm_directory in, out;
	static uint8_t buf[CCM_DIRECTORY_MAX];
	uint64_t state = 11;

	(void)st;
	for (int i = 0; i < 5000; i++) {
		uint32_t crc;
		size_t len;

		random_directory(&state, CCM_MAX_CLIENTS, &in);
		len = ccm_directory_encode(&in, buf, &crc);
		assert_int_equal(ccm_directory_decode(buf, len, &out), CCM_DIRECTORY_OK);
		assert_directory_equal(&out, &in);
		assert_int_equal(out.crc, crc);
		assert_ranges(&out);
	}
}

static void
round_trip__the_largest(void **st)
{
	static struct ccm_directory in, out;
	uint8_t buf[CCM_DIRECTORY_MAX];

	(void)st;
	in = (struct ccm_directory){.nonce = 1, .echo = 1, .n_clients = 16, .n_ports = 64};
	for (uint16_t i = 0; i < 16; i++) {
		snprintf(in.clients[i].name, CCM_NAME_LEN, "client-%u", i);
		in.clients[i].ports = 4;
		in.clients[i].memory = 1 << 20;
	}
	for (uint16_t i = 0; i < 64; i++)
		in.ports[i] = (struct ccm_directory_port){.client = i / 4,
			.index = i % 4,
			.qpn = 2u + i,
			.rkey = 1u + i,
			.va = i,
			.length = 1};
	assert_int_equal(ccm_directory_encode(&in, buf, NULL), CCM_DIRECTORY_MAX);
	assert_int_equal(CCM_DIRECTORY_MAX, 5184);
	assert_int_equal(ccm_directory_decode(buf, sizeof(buf), &out), CCM_DIRECTORY_OK);
	assert_directory_equal(&out, &in);
}

static void
decode__mutations_with_a_repaired_crc(void **st)
{
	static struct ccm_directory dir, out;
	static uint8_t base[CCM_DIRECTORY_MAX], buf[CCM_DIRECTORY_MAX];
	uint32_t seen[CCM_DIRECTORY_VERDICT_COUNT] = {0};
	uint64_t state = 12;
	size_t len = 0;

	(void)st;
	for (int i = 0; i < MUTATIONS; i++) {
		enum ccm_directory_verdict v;

		if (i % 32 == 0) { /* most of them small: they are faster, and no less hostile */
			random_directory(&state, i % 1024 ? 4 : CCM_MAX_CLIENTS, &dir);
			len = ccm_directory_encode(&dir, base, NULL);
		}
		memcpy(buf, base, len);
		mutate(&state, buf, (uint32_t)(rnd_below(&state, 4) ? len : CCM_DIRECTORY_HEADER));
		if (rnd_below(&state, 2)) { /* counts that match the length pass further */
			uint16_t counts[2], length;

			memcpy(counts, buf + 24, sizeof(counts));
			length = (uint16_t)(64 + 64 * (counts[0] + counts[1]));
			memcpy(buf + 6, &length, sizeof(length));
		}
		if (rnd_below(&state, 16))
			repair_crc(buf);
		v = ccm_directory_decode(buf, rnd_below(&state, 16) ? sizeof(buf) : len, &out);
		if (v == CCM_DIRECTORY_OK)
			assert_ranges(&out);
		seen[v]++;
	}
	for (int v = 0; v < CCM_DIRECTORY_VERDICT_COUNT; v++) {
		print_message("%s %u\n", ccm_directory_verdict_name(v), seen[v]);
		assert_true(v == CCM_DIRECTORY_EMPTY || seen[v] > 500);
	}
}

static void
port_map__golden(void **st)
{
	static const struct ccm_directory_client mine[] = {
		{"nvlog", 2, 16777216},
		{"mon", 3, 4200},
		{"mine-alone", 5, 1 << 20},
		{"tiny", 1, 4095},
	};
	static const struct ccm_directory_client theirs[] = {
		{"tiny", 1, 1 << 20},
		{"mon", 1, 4100},
		{"theirs-alone", 5, 1 << 20},
		{"nvlog", 4, 20000000},
	};
	struct ccm_port_map map, other;

	(void)st;
	ccm_port_map_make(mine, 4, theirs, 4, &map);
	assert_int_equal(map.n_entries, 3);
	assert_string_equal(map.entries[0].client, "mon");
	assert_int_equal(map.entries[0].mine, 1);
	assert_int_equal(map.entries[0].theirs, 1);
	assert_int_equal(map.entries[0].index, 0);
	assert_int_equal(map.entries[0].length, 4096);
	for (uint16_t i = 0; i < 2; i++) {
		assert_string_equal(map.entries[1 + i].client, "nvlog");
		assert_int_equal(map.entries[1 + i].mine, 0);
		assert_int_equal(map.entries[1 + i].theirs, 3);
		assert_int_equal(map.entries[1 + i].index, i);
		assert_int_equal(map.entries[1 + i].length, 8388608);
	}
	assert_true(ccm_port_map_hash(&map) == vector_hash("map-joined"));
	ccm_port_map_make(theirs, 4, mine, 4, &other);
	assert_int_equal(other.entries[1].mine, 3);
	assert_int_equal(other.entries[1].theirs, 0);
	assert_true(ccm_port_map_hash(&other) == vector_hash("map-joined"));
}

static void
port_map__empty(void **st)
{
	static const struct ccm_directory_client one = {"one", 64, UINT64_MAX};
	static const struct ccm_directory_client two = {"two", 64, UINT64_MAX};
	struct ccm_port_map map;

	(void)st;
	ccm_port_map_make(NULL, 0, NULL, 0, &map);
	assert_int_equal(map.n_entries, 0);
	assert_true(ccm_port_map_hash(&map) == vector_hash("map-empty"));
	ccm_port_map_make(&one, 1, &two, 1, &map);
	assert_int_equal(map.n_entries, 0);
	ccm_port_map_make(&one, 1, &one, 1, &map);
	assert_int_equal(map.n_entries, 64);
	assert_true(map.entries[63].length == (UINT64_MAX / 64 & ~UINT64_C(63)));
}

static void
port_map__length_limits(void **st)
{
	static const struct {
		uint16_t ports;
		uint64_t memory;
		uint64_t length; /* 0: no port */
	} cases[] = {
		{1, 0, 0},
		{1, 4095, 0},
		{1, 4096, 4096},
		{1, 4159, 4096},
		{1, 4160, 4160},
		{3, 3 * 4096 - 1, 0},
		{3, 3 * 4096, 4096},
		{3, 10 << 20, 3495232},
	};

	(void)st;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ccm_directory_client c = {"c", cases[i].ports, cases[i].memory};
		struct ccm_port_map map;

		ccm_port_map_make(&c, 1, &c, 1, &map);
		assert_int_equal(map.n_entries, cases[i].length ? cases[i].ports : 0);
		if (map.n_entries)
			assert_true(map.entries[0].length == cases[i].length);
	}
}

static void
check_entry(const struct ccm_port_map_entry *e, const struct ccm_directory_client *a,
	const struct ccm_directory_client *b)
{
	uint32_t ports = a->ports < b->ports ? a->ports : b->ports;
	uint64_t memory = a->memory < b->memory ? a->memory : b->memory;

	assert_string_equal(e->client, a->name);
	assert_string_equal(e->client, b->name);
	assert_true(e->index < ports);
	assert_true(e->length % 64 == 0 && e->length >= CCM_PORT_MEMORY_MIN);
	assert_true(e->length <= memory / ports && memory / ports - e->length < 64);
}

static void
port_map__is_the_same_on_both_nodes(void **st)
{
	static struct ccm_directory_client a[CCM_MAX_CLIENTS], b[CCM_MAX_CLIENTS];
	static struct ccm_port_map ab, ba;
	uint64_t state = 13;
	uint32_t entries = 0;

	(void)st;
	for (int round = 0; round < MAPS; round++) {
		uint32_t n_a = random_clients(&state, CCM_MAX_CLIENTS, a);
		uint32_t n_b = random_clients(&state, CCM_MAX_CLIENTS, b);
		uint32_t want = 0;

		for (uint32_t i = 0; i < n_a; i++) {
			for (uint32_t k = 0; k < n_b; k++) {
				uint32_t p = a[i].ports < b[k].ports ? a[i].ports : b[k].ports;
				uint64_t m = a[i].memory < b[k].memory ? a[i].memory : b[k].memory;

				if (strcmp(a[i].name, b[k].name) == 0 &&
					m / p >= CCM_PORT_MEMORY_MIN)
					want += p;
			}
		}
		ccm_port_map_make(a, n_a, b, n_b, &ab);
		ccm_port_map_make(b, n_b, a, n_a, &ba);
		assert_int_equal(ab.n_entries, want);
		assert_int_equal(ba.n_entries, want);
		for (uint32_t i = 0; i < want; i++) {
			const struct ccm_port_map_entry *e = &ab.entries[i], *f = &ba.entries[i];

			assert_true(e->mine < n_a && e->theirs < n_b);
			check_entry(e, &a[e->mine], &b[e->theirs]);
			assert_memory_equal(e->client, f->client, sizeof(e->client));
			assert_true(e->mine == f->theirs && e->theirs == f->mine);
			assert_true(e->index == f->index && e->length == f->length);
			if (i) {
				const struct ccm_port_map_entry *d = e - 1;
				int order = strcmp(d->client, e->client);

				assert_true(order < 0 || (order == 0 && d->index + 1 == e->index));
			}
		}
		assert_true(ccm_port_map_hash(&ab) == ccm_port_map_hash(&ba));
		entries += want;
	}
	assert_true(entries > MAPS);
}

static void
port_map__order_of_the_clients_does_not_matter(void **st)
{
	static struct ccm_directory_client a[CCM_MAX_CLIENTS], b[CCM_MAX_CLIENTS];
	static struct ccm_port_map first, second;
	uint64_t state = 14;

	(void)st;
	for (int round = 0; round < MAPS / 4; round++) {
		uint32_t n_a = random_clients(&state, CCM_MAX_CLIENTS, a);
		uint32_t n_b = random_clients(&state, CCM_MAX_CLIENTS, b);

		ccm_port_map_make(a, n_a, b, n_b, &first);
		for (uint32_t i = n_a; i > 1; i--) {
			uint32_t k = rnd_below(&state, i);
			struct ccm_directory_client t = a[i - 1];

			a[i - 1] = a[k];
			a[k] = t;
		}
		ccm_port_map_make(a, n_a, b, n_b, &second);
		assert_true(ccm_port_map_hash(&first) == ccm_port_map_hash(&second));
	}
}

static void
port_map_hash__depends_on_all_that_is_shared(void **st)
{
	static const struct ccm_directory_client c[] = {{"x", 2, 1 << 20}, {"y", 1, 1 << 20}};
	struct ccm_port_map map, other;
	uint64_t hash;

	(void)st;
	ccm_port_map_make(c, 2, c, 2, &map);
	hash = ccm_port_map_hash(&map);
	other = map;
	other.entries[0].client[0] = 'w';
	assert_true(ccm_port_map_hash(&other) != hash);
	other = map;
	other.entries[1].index = 2;
	assert_true(ccm_port_map_hash(&other) != hash);
	other = map;
	other.entries[2].length += 64;
	assert_true(ccm_port_map_hash(&other) != hash);
	other = map;
	other.n_entries--;
	assert_true(ccm_port_map_hash(&other) != hash);
	other = map;
	other.entries[0].mine = 7; /* each node numbers its clients as it likes */
	other.entries[0].theirs = 8;
	assert_true(ccm_port_map_hash(&other) == hash);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encode__golden),
		cmocka_unit_test(decode__golden),
		cmocka_unit_test(decode__empty),
		cmocka_unit_test(decode__verdict_of_each_field),
		cmocka_unit_test(decode__too_many_entries),
		cmocka_unit_test(decode__a_client_twice),
		cmocka_unit_test(decode__every_corruption_of_one_byte),
		cmocka_unit_test(decode__truncated),
		cmocka_unit_test(round_trip__random_directories),
		cmocka_unit_test(round_trip__the_largest),
		cmocka_unit_test(decode__mutations_with_a_repaired_crc),
		cmocka_unit_test(port_map__golden),
		cmocka_unit_test(port_map__empty),
		cmocka_unit_test(port_map__length_limits),
		cmocka_unit_test(port_map__is_the_same_on_both_nodes),
		cmocka_unit_test(port_map__order_of_the_clients_does_not_matter),
		cmocka_unit_test(port_map_hash__depends_on_all_that_is_shared),
	};

	return cmocka_run_group_tests_name("ccm_directory", tests, NULL, NULL);
}
