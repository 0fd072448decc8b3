/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "ccm_bytes.h"
#include "ccm_record.h"
#include "ccm_vectors.h"

enum {
	CRC_OFFSET = 252,
	FRONT_OFFSET = 8,
	BACK_OFFSET = 240,
	MUTATIONS = 1000000,
	TORN_MS = 400, /* each of the three tests with a writer */
};

static const struct ccm_record search = {
	.seq = 1,
	.nonce = 0x0123456789abcdef,
	.boot_id = 0xfedcba9876543210,
	.cluster_hash = 0xb86add05a40f186b,
	.src_id = 1,
	.dst_id = 2,
	.version_min = 1,
	.version_max = 1,
	.path_mtu = 1024,
	.phase = CCM_SEARCH,
	.reason = CCM_REASON_WAITING,
	.role = CCM_ROLE_STORAGE,
	.name = "node-a",
};

static const struct ccm_record up = {
	.seq = 0x1122334455667788,
	.nonce = 0xa1a2a3a4a5a6a7a8,
	.echo = 0xb1b2b3b4b5b6b7b8,
	.boot_id = 0xc1c2c3c4c5c6c7c8,
	.features = 0xd1d2d3d4d5d6d7d8,
	.cluster_hash = 0x171554427fdbcd81,
	.map_hash = 0xafab7d7d28efe49c,
	.partner_seq = 0xe1e2e3e4e5e6e7e8,
	.beat = 0xf1f2f3f4f5f6f7f8,
	.dir_crc = 0x31323334,
	.dir_seen = 0x41424344,
	.src_id = 0xfffe,
	.dst_id = 0xffff,
	.version_min = 0x0102,
	.version_max = 0x0304,
	.version = 0x0203,
	.path_mtu = 4096,
	.n_ports = 64,
	.boot_stage = 0x5152,
	.boot_progress = 0x61626364,
	.phase = CCM_UP,
	.reason = CCM_REASON_NONE,
	.role = CCM_ROLE_APPLICATION,
	.start_psn = 0x717273,
	.sequences = 0x81828384,
	.beat_us = 9999999,
	.name = "a-name-of-thirty-one-characters",
};

static const struct ccm_record booting = {
	.seq = 9,
	.nonce = 0x0123456789abcdef,
	.boot_id = 0xfedcba9876543210,
	.cluster_hash = 0xb86add05a40f186b,
	.beat = 3,
	.src_id = 1,
	.dst_id = 2,
	.version_min = 1,
	.version_max = 1,
	.path_mtu = 1024,
	.boot_stage = 2,
	.boot_stages = 0x0405,
	.boot_progress = 0x61626364,
	.boot_budget_ms = 0x91929394,
	.boot_idle_ms = 0xa1a2a3a4,
	.boot_name = "mount-root",
	.phase = CCM_SEARCH,
	.name = "node-a",
};

static void
assert_record_equal(const struct ccm_record *a, const struct ccm_record *b)
{
#define SAME(field) assert_true(a->field == b->field)
	SAME(seq);
	SAME(nonce);
	SAME(echo);
	SAME(boot_id);
	SAME(features);
	SAME(cluster_hash);
	SAME(map_hash);
	SAME(partner_seq);
	SAME(beat);
	SAME(dir_crc);
	SAME(dir_seen);
	SAME(src_id);
	SAME(dst_id);
	SAME(version_min);
	SAME(version_max);
	SAME(version);
	SAME(path_mtu);
	SAME(n_ports);
	SAME(boot_stage);
	SAME(boot_progress);
	SAME(phase);
	SAME(reason);
	SAME(role);
	SAME(start_psn);
	SAME(sequences);
	SAME(boot_stages);
	SAME(boot_budget_ms);
	SAME(boot_idle_ms);
	SAME(beat_us);
#undef SAME
	assert_memory_equal(a->name, b->name, sizeof(a->name));
	assert_memory_equal(a->boot_name, b->boot_name, sizeof(a->boot_name));
}

static void
repair_crc(uint8_t *rec)
{
	uint32_t crc = ccm_crc32c(rec, CRC_OFFSET);

	memcpy(rec + CRC_OFFSET, &crc, sizeof(crc));
}

/* Decode a record that must be refused; out must then stay as it is. */
static enum ccm_record_verdict
refused(const uint8_t *rec)
{
	struct ccm_record out, before;
	enum ccm_record_verdict v;

	memset(&out, 0x5a, sizeof(out));
	memset(&before, 0x5a, sizeof(before));
	v = ccm_record_decode(rec, &out);
	assert_int_not_equal(v, CCM_RECORD_OK);
	assert_memory_equal(&out, &before, sizeof(out));
	return v;
}

/* The documented ranges, in words of their own. */
static void
assert_ranges(const struct ccm_record *r)
{
	size_t len = strnlen(r->name, sizeof(r->name));

	assert_true(r->seq > 0 && r->nonce > 0);
	assert_true(r->src_id > 0 && r->dst_id > 0);
	assert_true(r->version_min >= 1 && r->version_min <= r->version_max);
	assert_true(
		r->version == 0 || (r->version >= r->version_min && r->version <= r->version_max));
	assert_true(r->path_mtu == 256 || r->path_mtu == 512 || r->path_mtu == 1024 ||
		r->path_mtu == 2048 || r->path_mtu == 4096);
	assert_true(r->n_ports <= 64);
	assert_true(r->phase == CCM_DOWN || r->phase == CCM_SEARCH || r->phase == CCM_BOUND ||
		r->phase == CCM_PORTS || r->phase == CCM_READY || r->phase == CCM_UP ||
		r->phase == CCM_REFUSED || r->phase == CCM_LEAVING);
	assert_true(r->role == CCM_ROLE_STORAGE || r->role == CCM_ROLE_APPLICATION);
	assert_true(len >= 1 && len <= 31);
	for (size_t i = 0; i < sizeof(r->name); i++)
		assert_true(i < len ? r->name[i] >= ' ' && r->name[i] <= '~' : r->name[i] == 0);
}

static void
crc32c__check_value(void **st)
{
	uint8_t zeros[32] = {0};

	(void)st;
	assert_int_equal(ccm_crc32c("123456789", 9), 0xe3069283);
	/* RFC 3720, appendix B.4 */
	assert_int_equal(ccm_crc32c(zeros, sizeof(zeros)), 0x8a9136aa);
}

static void
hash64__golden(void **st)
{
	(void)st;
	assert_true(ccm_hash64("", 0) == vector_hash("hash-empty"));
	assert_true(ccm_hash64("a", 1) == vector_hash("hash-a"));
	assert_true(ccm_hash64("lab", 3) == vector_hash("hash-lab"));
	assert_true(ccm_hash64("cluster.one", 11) == vector_hash("hash-cluster.one"));
	assert_true(ccm_hash64("lab", 3) != ccm_hash64("lab", 4));
}

static void
hash64__never_zero(void **st)
{
	/* FNV-1a of these bytes is 0, from the authors' list of zero hashes; so is what follows. */
	static const uint8_t zero[] = {0xd5, 0x6b, 0xb9, 0x53, 0x42, 0x87, 0x08, 0x36};

	(void)st;
	assert_true(ccm_hash64(zero, sizeof(zero)) == 1);
}

static const struct {
	const char *file;
	const struct ccm_record *rec;
} golden[] = {
	{"record-search.bin", &search},
	{"record-up.bin", &up},
	{"record-booting.bin", &booting},
};

static void
encode__golden(void **st)
{
	uint8_t want[CCM_RECORD_SIZE + 1], got[CCM_RECORD_SIZE];

	(void)st;
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		assert_int_equal(vector_read(golden[i].file, want, sizeof(want)), CCM_RECORD_SIZE);
		ccm_record_encode(golden[i].rec, got);
		assert_memory_equal(got, want, CCM_RECORD_SIZE);
	}
}

static void
encode__nothing_behind_the_name_leaks(void **st)
{
	struct ccm_record rec = search;
	uint8_t want[CCM_RECORD_SIZE], got[CCM_RECORD_SIZE];

	(void)st;
	ccm_record_encode(&rec, want);
	memset(rec.name + strlen(rec.name) + 1, 'x', 8);
	ccm_record_encode(&rec, got);
	assert_memory_equal(got, want, sizeof(got));
	memset(rec.name, 'y', sizeof(rec.name)); /* no zero at all: cut, not overrun */
	ccm_record_encode(&rec, got);
	assert_int_equal(ccm_record_decode(got, &rec), CCM_RECORD_OK);
	assert_int_equal(strlen(rec.name), 31);
}

static void
decode__golden(void **st)
{
	uint8_t buf[CCM_RECORD_SIZE];
	struct ccm_record got;

	(void)st;
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		vector_read(golden[i].file, buf, sizeof(buf));
		assert_int_equal(ccm_record_decode(buf, &got), CCM_RECORD_OK);
		assert_record_equal(&got, golden[i].rec);
	}
}

static void
decode__empty(void **st)
{
	uint8_t buf[CCM_RECORD_SIZE];

	(void)st;
	memset(buf, 0, sizeof(buf));
	assert_int_equal(refused(buf), CCM_RECORD_EMPTY);
	buf[255] = 1;
	assert_int_equal(refused(buf), CCM_RECORD_MAGIC);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(refused(buf), CCM_RECORD_EMPTY);
	buf[100] = 0xfe;
	assert_int_equal(refused(buf), CCM_RECORD_MAGIC);
}

struct patch {
	uint32_t offset;
	uint32_t size;
	uint64_t value;
	enum ccm_record_verdict verdict;
};

/* clang-format off */
static const struct patch patches[] = {
	{0, 4, 0x726d6364, CCM_RECORD_MAGIC},
	{0, 4, 0x63636d72, CCM_RECORD_MAGIC}, /* the other byte order */
	{4, 2, 0, CCM_RECORD_LAYOUT},
	{4, 2, 2, CCM_RECORD_LAYOUT},
	{6, 2, 255, CCM_RECORD_LAYOUT},
	{6, 2, 512, CCM_RECORD_LAYOUT},
	{FRONT_OFFSET, 8, 0x1122334455667789, CCM_RECORD_TORN},
	{BACK_OFFSET, 8, 0x1122334455667787, CCM_RECORD_TORN},
	{16, 8, 0, CCM_RECORD_VALUE}, /* nonce */
	{16, 8, UINT64_MAX, CCM_RECORD_OK},
	{24, 8, 0, CCM_RECORD_OK}, /* echo */
	{56, 8, 0, CCM_RECORD_OK}, /* map_hash */
	{64, 8, 0, CCM_RECORD_OK}, /* partner_seq */
	{88, 2, 0, CCM_RECORD_VALUE}, /* src_id */
	{88, 2, 1, CCM_RECORD_OK},
	{90, 2, 0, CCM_RECORD_VALUE}, /* dst_id */
	{90, 2, 1, CCM_RECORD_OK},
	{92, 2, 0, CCM_RECORD_VALUE}, /* version_min */
	{92, 2, 1, CCM_RECORD_OK},
	{92, 2, 0x0203, CCM_RECORD_OK},
	{92, 2, 0x0204, CCM_RECORD_VALUE}, /* above the agreed one */
	{92, 2, 0x0305, CCM_RECORD_VALUE},
	{94, 2, 0, CCM_RECORD_VALUE}, /* version_max */
	{94, 2, 0x0203, CCM_RECORD_OK},
	{94, 2, 0x0202, CCM_RECORD_VALUE},
	{94, 2, 0xffff, CCM_RECORD_OK},
	{96, 2, 0, CCM_RECORD_OK}, /* version */
	{96, 2, 0x0101, CCM_RECORD_VALUE},
	{96, 2, 0x0102, CCM_RECORD_OK},
	{96, 2, 0x0304, CCM_RECORD_OK},
	{96, 2, 0x0305, CCM_RECORD_VALUE},
	{98, 2, 0, CCM_RECORD_VALUE}, /* path_mtu */
	{98, 2, 128, CCM_RECORD_VALUE},
	{98, 2, 256, CCM_RECORD_OK},
	{98, 2, 257, CCM_RECORD_VALUE},
	{98, 2, 512, CCM_RECORD_OK},
	{98, 2, 1500, CCM_RECORD_VALUE},
	{98, 2, 2048, CCM_RECORD_OK},
	{98, 2, 8192, CCM_RECORD_VALUE},
	{100, 2, 0, CCM_RECORD_OK}, /* n_ports */
	{100, 2, 65, CCM_RECORD_VALUE},
	{108, 1, CCM_DOWN, CCM_RECORD_OK}, /* phase */
	{108, 1, CCM_CLOSING, CCM_RECORD_VALUE},
	{108, 1, CCM_SEARCH, CCM_RECORD_OK},
	{108, 1, CCM_BOUND, CCM_RECORD_OK},
	{108, 1, CCM_PORTS, CCM_RECORD_OK},
	{108, 1, CCM_READY, CCM_RECORD_OK},
	{108, 1, CCM_REFUSED, CCM_RECORD_OK},
	{108, 1, CCM_LEAVING, CCM_RECORD_OK},
	{108, 1, CCM_STATE_COUNT, CCM_RECORD_VALUE},
	{108, 1, 255, CCM_RECORD_VALUE},
	{109, 1, CCM_REASON_COUNT, CCM_RECORD_OK}, /* reason: room for newer partners */
	{109, 1, 255, CCM_RECORD_OK},
	{110, 1, CCM_ROLE_COUNT, CCM_RECORD_VALUE}, /* role */
	{110, 1, 255, CCM_RECORD_VALUE},
	{111, 1, 1, CCM_RECORD_OK},  /* reserved: ignored when intact */
	{144, 4, 0xffffff, CCM_RECORD_OK}, /* start_psn */
	{144, 4, 0x1000000, CCM_RECORD_VALUE},
	{148, 4, 0xffffffff, CCM_RECORD_OK}, /* sequences */
	{152, 1, 0, CCM_RECORD_OK}, /* boot_name */
	{152, 1, 'k', CCM_RECORD_OK},
	{152, 1, '\n', CCM_RECORD_VALUE},
	{152, 1, 0x7f, CCM_RECORD_VALUE},
	{183, 1, 'k', CCM_RECORD_OK},  /* behind the zero: ignored */
	{184, 4, 0xffffffff, CCM_RECORD_OK}, /* boot_budget_ms */
	{188, 4, 0xffffffff, CCM_RECORD_OK}, /* boot_idle_ms */
	{192, 2, 0x5151, CCM_RECORD_VALUE}, /* boot_stages: below the stage */
	{192, 2, 0x5152, CCM_RECORD_OK},
	{194, 2, 1, CCM_RECORD_OK},
	{196, 4, 10000000, CCM_RECORD_OK}, /* beat_us */
	{196, 4, 10000001, CCM_RECORD_VALUE},
	{200, 8, 1, CCM_RECORD_OK},
	{248, 4, 1, CCM_RECORD_OK},
	{112, 1, 0, CCM_RECORD_VALUE}, /* name */
	{113, 1, 0, CCM_RECORD_OK},
	{112, 1, 0x1f, CCM_RECORD_VALUE},
	{112, 1, 0x20, CCM_RECORD_OK},
	{120, 1, '\n', CCM_RECORD_VALUE},
	{120, 1, 0x7e, CCM_RECORD_OK},
	{120, 1, 0x7f, CCM_RECORD_VALUE},
	{120, 1, 0x80, CCM_RECORD_VALUE},
	{142, 1, 0xff, CCM_RECORD_VALUE},
	{143, 1, 'x', CCM_RECORD_VALUE}, /* no zero */
};
/* clang-format on */

static void
decode__verdict_of_each_field(void **st)
{
	(void)st;
	for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
		const struct patch *p = &patches[i];
		enum ccm_record_verdict v;
		uint8_t buf[CCM_RECORD_SIZE];
		struct ccm_record out;

		ccm_record_encode(&up, buf);
		memcpy(buf + p->offset, &p->value, p->size);
		repair_crc(buf);
		if (p->verdict == CCM_RECORD_OK) {
			v = ccm_record_decode(buf, &out);
			if (v == CCM_RECORD_OK)
				assert_ranges(&out);
		} else {
			v = refused(buf);
		}
		if (v != p->verdict)
			fail_msg("offset %u value %#" PRIx64 ": %s, not %s", p->offset, p->value,
				ccm_record_verdict_name(v), ccm_record_verdict_name(p->verdict));
	}
}

static void
decode__sequence_zero(void **st)
{
	struct ccm_record rec = up;
	uint8_t buf[CCM_RECORD_SIZE];

	(void)st;
	rec.seq = 0;
	ccm_record_encode(&rec, buf);
	assert_int_equal(refused(buf), CCM_RECORD_VALUE);
}

static void
decode__crc(void **st)
{
	uint8_t buf[CCM_RECORD_SIZE];

	(void)st;
	ccm_record_encode(&up, buf);
	buf[20] ^= 1; /* nonce */
	assert_int_equal(refused(buf), CCM_RECORD_CRC);
	buf[20] ^= 1;
	buf[CRC_OFFSET] ^= 1;
	assert_int_equal(refused(buf), CCM_RECORD_CRC);
	buf[CRC_OFFSET] ^= 1;
	buf[150] ^= 1; /* reserved */
	assert_int_equal(refused(buf), CCM_RECORD_CRC);
}

static void
decode__every_corruption_of_one_byte(void **st)
{
	static const struct ccm_record *const recs[] = {&search, &up};
	uint8_t buf[CCM_RECORD_SIZE];

	(void)st;
	for (int r = 0; r < 2; r++) {
		ccm_record_encode(recs[r], buf);
		for (int at = 0; at < CCM_RECORD_SIZE; at++) {
			uint8_t good = buf[at];

			for (int v = 0; v < 256; v++) { /* single bits are among these */
				buf[at] = (uint8_t)v;
				if (v != good)
					refused(buf);
			}
			buf[at] = good;
		}
	}
}

static void
decode__truncated(void **st)
{
	uint8_t whole[CCM_RECORD_SIZE], buf[CCM_RECORD_SIZE];

	(void)st;
	ccm_record_encode(&up, whole);
	for (size_t len = 0; len < CCM_RECORD_SIZE; len++) {
		memset(buf, 0, sizeof(buf));
		memcpy(buf, whole, len);
		refused(buf);
		memset(buf, 0xff, sizeof(buf));
		memcpy(buf, whole, len);
		refused(buf);
	}
}

/* A copy that meets the writer once, at any byte, in either direction. */
static void
decode__every_mix_of_two_records(void **st)
{
	struct ccm_record next = up;
	uint8_t a[CCM_RECORD_SIZE], b[CCM_RECORD_SIZE], buf[CCM_RECORD_SIZE];

	(void)st;
	next.seq++;
	next.beat++;
	next.nonce ^= UINT64_MAX;
	next.phase = CCM_SEARCH;
	ccm_record_encode(&up, a);
	ccm_record_encode(&next, b);
	for (size_t cut = 1; cut < CCM_RECORD_SIZE; cut++) {
		memcpy(buf, a, cut);
		memcpy(buf + cut, b + cut, CCM_RECORD_SIZE - cut);
		if (memcmp(buf, a, sizeof(buf)) != 0 && memcmp(buf, b, sizeof(buf)) != 0)
			refused(buf);
		memcpy(buf, b, cut);
		memcpy(buf + cut, a + cut, CCM_RECORD_SIZE - cut);
		if (memcmp(buf, a, sizeof(buf)) != 0 && memcmp(buf, b, sizeof(buf)) != 0)
			refused(buf);
	}
}

/* All fields random but in range. */
static void
random_record(uint64_t *state, struct ccm_record *r)
{
	static const uint8_t phases[] = {CCM_DOWN, CCM_SEARCH, CCM_BOUND, CCM_PORTS, CCM_READY,
		CCM_UP, CCM_REFUSED, CCM_LEAVING};
	uint32_t name_len = 1 + rnd_below(state, 31);

	memset(r, 0, sizeof(*r));
	r->seq = rnd64(state) | 1;
	r->nonce = rnd64(state) | 1;
	r->echo = rnd64(state);
	r->boot_id = rnd64(state);
	r->features = rnd64(state);
	r->cluster_hash = rnd64(state);
	r->map_hash = rnd64(state);
	r->partner_seq = rnd64(state);
	r->beat = rnd64(state);
	r->dir_crc = (uint32_t)rnd64(state);
	r->dir_seen = (uint32_t)rnd64(state);
	r->src_id = (uint16_t)(1 + rnd_below(state, 65535));
	r->dst_id = (uint16_t)(1 + rnd_below(state, 65535));
	r->version_min = (uint16_t)(1 + rnd_below(state, 65535));
	r->version_max = (uint16_t)(r->version_min + rnd_below(state, 65536u - r->version_min));
	if (rnd_below(state, 2))
		r->version = (uint16_t)(r->version_min +
			rnd_below(state, 1u + r->version_max - r->version_min));
	r->path_mtu = (uint16_t)(256u << rnd_below(state, 5));
	r->n_ports = (uint16_t)rnd_below(state, 65);
	r->boot_stage = (uint16_t)rnd64(state);
	r->boot_progress = (uint32_t)rnd64(state);
	r->phase = phases[rnd_below(state, sizeof(phases))];
	r->reason = (uint8_t)rnd64(state);
	r->role = (uint8_t)rnd_below(state, CCM_ROLE_COUNT);
	r->beat_us = (uint32_t)(rnd64(state) % (CCM_BEAT_US_MAX + 1));
	r->boot_stages = (uint16_t)rnd64(state);
	if (r->boot_stages != 0)
		r->boot_stage %= r->boot_stages;
	r->boot_budget_ms = (uint32_t)rnd64(state);
	r->boot_idle_ms = (uint32_t)rnd64(state);
	for (uint32_t i = rnd_below(state, sizeof(r->boot_name)); i-- > 0;)
		r->boot_name[i] = (char)(' ' + rnd_below(state, 95));
	r->start_psn = (uint32_t)rnd_below(state, 0x1000000);
	r->sequences = (uint32_t)rnd64(state);
	for (uint32_t i = 0; i < name_len; i++)
		r->name[i] = (char)(' ' + rnd_below(state, 95));
}

static void
round_trip__random_records(void **st)
{
	uint64_t state = 1;

	(void)st;
	for (int i = 0; i < 20000; i++) {
		struct ccm_record in, out;
		uint8_t buf[CCM_RECORD_SIZE];

		random_record(&state, &in);
		ccm_record_encode(&in, buf);
		assert_int_equal(ccm_record_decode(buf, &out), CCM_RECORD_OK);
		assert_record_equal(&out, &in);
		assert_ranges(&out);
	}
}

static void
decode__mutations_with_a_repaired_crc(void **st)
{
	uint32_t seen[CCM_RECORD_VERDICT_COUNT] = {0};
	uint64_t state = 2;
	struct ccm_record rec;

	(void)st;
	for (int i = 0; i < MUTATIONS; i++) {
		enum ccm_record_verdict v;
		struct ccm_record out;
		uint8_t buf[CCM_RECORD_SIZE];

		if (i % 16 == 0)
			random_record(&state, &rec);
		ccm_record_encode(&rec, buf);
		mutate(&state, buf, sizeof(buf));
		if (rnd_below(&state, 8))
			memcpy(buf + BACK_OFFSET, buf + FRONT_OFFSET, 8);
		if (rnd_below(&state, 16))
			repair_crc(buf);
		v = ccm_record_decode(buf, &out);
		assert_ranges(v == CCM_RECORD_OK ? &out : &rec);
		seen[v]++;
	}
	for (int v = 0; v < CCM_RECORD_VERDICT_COUNT; v++) {
		print_message("%s %u\n", ccm_record_verdict_name(v), seen[v]);
		assert_true(v == CCM_RECORD_EMPTY || seen[v] > 500);
	}
}

/*
 * Two threads on one record: one stores two records in turn, the other copies what is there. With
 * `numbered` each record has a sequence number of its own, as the contract asks; without, they
 * have only two, so that a copy may find equal ends and still be a mix.
 */
struct torn {
	_Alignas(64) uint64_t shared[CCM_RECORD_SIZE / 8];
	struct ccm_record recs[2];
	bool numbered;
	atomic_bool stop;
	atomic_bool started;
	uint64_t stores;
};

static void
torn_encode(const struct torn *t, uint64_t seq, uint8_t out[CCM_RECORD_SIZE])
{
	struct ccm_record rec = t->recs[seq % 2];

	rec.seq = t->numbered ? seq : 2 + seq % 2;
	ccm_record_encode(&rec, out);
}

static void *
torn_writer(void *arg)
{
	struct torn *t = arg;
	uint8_t buf[CCM_RECORD_SIZE];

	while (!atomic_load_explicit(&t->stop, memory_order_relaxed)) {
		torn_encode(t, ++t->stores, buf);
		ccm_record_store(t->shared, buf);
		atomic_store_explicit(&t->started, true, memory_order_relaxed);
	}
	return NULL;
}

/* From front to back, as an engine does that sends the memory in a packet. */
static void
copy_forward(const void *shared, uint8_t out[CCM_RECORD_SIZE])
{
	const uint64_t *from = shared;

	for (size_t i = 0; i < CCM_RECORD_SIZE / 8; i++) {
		uint64_t word = __atomic_load_n(&from[i], __ATOMIC_RELAXED);

		memcpy(out + i * 8, &word, sizeof(word));
	}
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* @return how many copies only the CRC refused */
static uint64_t
torn_run(void (*copy)(const void *, uint8_t *), bool numbered)
{
	static struct torn t;
	uint64_t seen[CCM_RECORD_VERDICT_COUNT] = {0};
	uint64_t wrong = 0;
	pthread_t writer;
	uint64_t until;

	memset(&t, 0, sizeof(t));
	t.recs[0] = up;
	t.recs[1] = search;
	t.recs[1].cluster_hash ^= UINT64_MAX;
	t.numbered = numbered;
	assert_int_equal(pthread_create(&writer, NULL, torn_writer, &t), 0);
	while (!atomic_load(&t.started))
		;
	for (until = now_ms() + TORN_MS; now_ms() < until;) {
		for (int i = 0; i < 256; i++) {
			uint8_t buf[CCM_RECORD_SIZE], want[CCM_RECORD_SIZE];
			enum ccm_record_verdict v;
			struct ccm_record out;

			copy(t.shared, buf);
			v = ccm_record_decode(buf, &out);
			seen[v]++;
			if (v != CCM_RECORD_OK)
				continue;
			torn_encode(&t, out.seq, want);
			wrong += memcmp(buf, want, sizeof(buf)) != 0;
		}
	}
	atomic_store(&t.stop, true);
	pthread_join(writer, NULL);
	print_message("%" PRIu64 " stores; %" PRIu64 " ok, %" PRIu64 " torn, %" PRIu64 " crc\n",
		t.stores, seen[CCM_RECORD_OK], seen[CCM_RECORD_TORN], seen[CCM_RECORD_CRC]);
	assert_int_equal(wrong, 0);
	assert_true(seen[CCM_RECORD_OK] > 0);
	assert_int_equal(seen[CCM_RECORD_VALUE], 0);
	assert_int_equal(seen[CCM_RECORD_MAGIC] + seen[CCM_RECORD_LAYOUT], 0);
	return seen[CCM_RECORD_CRC];
}

/* Where every record has its own number, load and store alone tell each mix. */
static void
load__numbered_records_need_no_crc(void **st)
{
	(void)st;
	assert_int_equal(torn_run(ccm_record_load, true), 0);
}

static void
load__two_records_in_turn(void **st)
{
	(void)st;
	torn_run(ccm_record_load, false);
}

static void
decode__forward_copy_of_two_records_in_turn(void **st)
{
	(void)st;
	torn_run(copy_forward, false);
}

static void
store_load__keep_every_byte(void **st)
{
	uint64_t shared[CCM_RECORD_SIZE / 8];
	uint8_t in[CCM_RECORD_SIZE], out[CCM_RECORD_SIZE];
	uint64_t state = 3;

	(void)st;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)rnd64(&state);
	memset(shared, 0, sizeof(shared));
	memset(out, 0, sizeof(out));
	ccm_record_store(shared, in);
	assert_memory_equal(shared, in, sizeof(in));
	ccm_record_load(shared, out);
	assert_memory_equal(out, in, sizeof(in));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c__check_value),
		cmocka_unit_test(hash64__golden),
		cmocka_unit_test(hash64__never_zero),
		cmocka_unit_test(encode__golden),
		cmocka_unit_test(encode__nothing_behind_the_name_leaks),
		cmocka_unit_test(decode__golden),
		cmocka_unit_test(decode__empty),
		cmocka_unit_test(decode__verdict_of_each_field),
		cmocka_unit_test(decode__sequence_zero),
		cmocka_unit_test(decode__crc),
		cmocka_unit_test(decode__every_corruption_of_one_byte),
		cmocka_unit_test(decode__truncated),
		cmocka_unit_test(decode__every_mix_of_two_records),
		cmocka_unit_test(round_trip__random_records),
		cmocka_unit_test(decode__mutations_with_a_repaired_crc),
		cmocka_unit_test(store_load__keep_every_byte),
		cmocka_unit_test(load__numbered_records_need_no_crc),
		cmocka_unit_test(load__two_records_in_turn),
		cmocka_unit_test(decode__forward_copy_of_two_records_in_turn),
	};

	return cmocka_run_group_tests_name("ccm_record", tests, NULL, NULL);
}
