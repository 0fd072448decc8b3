/* SPDX-License-Identifier: BSD-3-Clause */
#include "ccm_record.h"
#include "ccm_bytes.h"

#include <stdbool.h>
#include <string.h>

/* "ccmr", first character first on the wire. */
#define RECORD_MAGIC 0x726d6363u

/* Little-endian. Reserved bytes are sent as zeros and ignored on receipt. */
struct record_wire {
	uint32_t magic;
	uint16_t layout;
	uint16_t length;
	uint64_t seq_front;
	uint64_t nonce;
	uint64_t echo;
	uint64_t boot_id;
	uint64_t features;
	uint64_t cluster_hash;
	uint64_t map_hash;
	uint64_t partner_seq;
	uint64_t beat;
	uint32_t dir_crc;
	uint32_t dir_seen;
	uint16_t src_id;
	uint16_t dst_id;
	uint16_t version_min;
	uint16_t version_max;
	uint16_t version;
	uint16_t path_mtu;
	uint16_t n_ports;
	uint16_t boot_stage;
	uint32_t boot_progress;
	uint8_t phase;
	uint8_t reason;
	uint8_t role;
	uint8_t reserved0;
	char name[CCM_NAME_LEN];
	uint32_t start_psn;
	uint32_t sequences;
	char boot_name[CCM_NAME_LEN];
	uint32_t boot_budget_ms;
	uint32_t boot_idle_ms;
	uint16_t boot_stages;
	uint16_t reserved1;
	uint32_t beat_us;
	uint8_t reserved2[40];
	uint64_t seq_back;
	uint32_t reserved3;
	uint32_t crc; /* over all bytes before it */
};

#define AT(field, offset) \
	_Static_assert(offsetof(struct record_wire, field) == (offset), "place on the wire")
AT(layout, 4);
AT(length, 6);
AT(seq_front, 8);
AT(nonce, 16);
AT(echo, 24);
AT(boot_id, 32);
AT(features, 40);
AT(cluster_hash, 48);
AT(map_hash, 56);
AT(partner_seq, 64);
AT(beat, 72);
AT(dir_crc, 80);
AT(dir_seen, 84);
AT(src_id, 88);
AT(dst_id, 90);
AT(version_min, 92);
AT(version_max, 94);
AT(version, 96);
AT(path_mtu, 98);
AT(n_ports, 100);
AT(boot_stage, 102);
AT(boot_progress, 104);
AT(phase, 108);
AT(reason, 109);
AT(role, 110);
AT(reserved0, 111);
AT(name, 112);
AT(start_psn, 144);
AT(sequences, 148);
AT(boot_name, 152);
AT(boot_budget_ms, 184);
AT(boot_idle_ms, 188);
AT(boot_stages, 192);
AT(reserved1, 194);
AT(beat_us, 196);
AT(reserved2, 200);
AT(seq_back, 240);
AT(reserved3, 248);
AT(crc, 252);
#undef AT
_Static_assert(sizeof(struct record_wire) == CCM_RECORD_SIZE, "fills the record exactly");

enum {
	WORDS = CCM_RECORD_SIZE / sizeof(uint64_t),
	WORD_FRONT = offsetof(struct record_wire, seq_front) / sizeof(uint64_t),
	WORD_BACK = offsetof(struct record_wire, seq_back) / sizeof(uint64_t),
};

const char *
ccm_record_verdict_name(enum ccm_record_verdict verdict)
{
	static const char *const names[CCM_RECORD_VERDICT_COUNT] = {
		[CCM_RECORD_OK] = "ok",
		[CCM_RECORD_EMPTY] = "empty",
		[CCM_RECORD_MAGIC] = "magic",
		[CCM_RECORD_LAYOUT] = "layout",
		[CCM_RECORD_TORN] = "torn",
		[CCM_RECORD_CRC] = "crc",
		[CCM_RECORD_VALUE] = "value",
	};

	return (size_t)verdict < CCM_RECORD_VERDICT_COUNT ? names[verdict] : "unknown";
}

void
ccm_record_encode(const struct ccm_record *rec, uint8_t out[CCM_RECORD_SIZE])
{
	struct record_wire wire = {
		.magic = RECORD_MAGIC,
		.layout = CCM_RECORD_LAYOUT_VERSION,
		.length = CCM_RECORD_SIZE,
		.seq_front = rec->seq,
		.nonce = rec->nonce,
		.echo = rec->echo,
		.boot_id = rec->boot_id,
		.features = rec->features,
		.cluster_hash = rec->cluster_hash,
		.map_hash = rec->map_hash,
		.partner_seq = rec->partner_seq,
		.beat = rec->beat,
		.dir_crc = rec->dir_crc,
		.dir_seen = rec->dir_seen,
		.src_id = rec->src_id,
		.dst_id = rec->dst_id,
		.version_min = rec->version_min,
		.version_max = rec->version_max,
		.version = rec->version,
		.path_mtu = rec->path_mtu,
		.n_ports = rec->n_ports,
		.boot_stage = rec->boot_stage,
		.boot_progress = rec->boot_progress,
		.phase = rec->phase,
		.reason = rec->reason,
		.role = rec->role,
		.start_psn = rec->start_psn,
		.sequences = rec->sequences,
		.boot_budget_ms = rec->boot_budget_ms,
		.boot_idle_ms = rec->boot_idle_ms,
		.boot_stages = rec->boot_stages,
		.beat_us = rec->beat_us,
		.seq_back = rec->seq,
	};

	memcpy(wire.name, rec->name, strnlen(rec->name, sizeof(wire.name) - 1));
	memcpy(wire.boot_name, rec->boot_name, strnlen(rec->boot_name, sizeof(wire.boot_name) - 1));
	wire.crc = ccm_crc32c(&wire, offsetof(struct record_wire, crc));
	memcpy(out, &wire, sizeof(wire));
}

static bool
all_bytes_are(const uint8_t *p, size_t len, uint8_t value)
{
	return p[0] == value && memcmp(p, p + 1, len - 1) == 0;
}

static bool
name_ok(const char *name, bool may_be_empty)
{
	size_t len = strnlen(name, CCM_NAME_LEN);
	size_t i;

	if ((len == 0 && !may_be_empty) || len == CCM_NAME_LEN)
		return false;
	for (i = 0; i < len; i++) {
		if (name[i] < 0x20 || name[i] > 0x7e)
			return false;
	}
	return true;
}

static bool
phase_ok(uint8_t phase)
{
	return phase < CCM_STATE_COUNT && phase != CCM_CLOSING;
}

static bool
path_mtu_ok(uint16_t mtu)
{
	return mtu >= 256 && mtu <= 4096 && (mtu & (mtu - 1)) == 0;
}

static bool
values_ok(const struct record_wire *w)
{
	if (w->seq_front == 0 || w->nonce == 0 || w->src_id == 0 || w->dst_id == 0)
		return false;
	if (w->version_min == 0 || w->version_min > w->version_max)
		return false;
	if (w->version != 0 && (w->version < w->version_min || w->version > w->version_max))
		return false;
	return path_mtu_ok(w->path_mtu) && w->n_ports <= CCM_MAX_PORTS && phase_ok(w->phase) &&
		w->role < CCM_ROLE_COUNT && w->start_psn <= 0xffffff &&
		w->beat_us <= CCM_BEAT_US_MAX && name_ok(w->name, false) &&
		name_ok(w->boot_name, true) &&
		(w->boot_stages == 0 || w->boot_stage <= w->boot_stages);
}

enum ccm_record_verdict
ccm_record_decode(const uint8_t in[CCM_RECORD_SIZE], struct ccm_record *out)
{
	struct record_wire w;

	if (all_bytes_are(in, CCM_RECORD_SIZE, 0) || all_bytes_are(in, CCM_RECORD_SIZE, 0xff))
		return CCM_RECORD_EMPTY;
	memcpy(&w, in, sizeof(w));
	if (w.magic != RECORD_MAGIC)
		return CCM_RECORD_MAGIC;
	if (w.layout != CCM_RECORD_LAYOUT_VERSION || w.length != CCM_RECORD_SIZE)
		return CCM_RECORD_LAYOUT;
	if (w.seq_front != w.seq_back)
		return CCM_RECORD_TORN;
	if (w.crc != ccm_crc32c(&w, offsetof(struct record_wire, crc)))
		return CCM_RECORD_CRC;
	if (!values_ok(&w))
		return CCM_RECORD_VALUE;

	*out = (struct ccm_record){
		.seq = w.seq_front,
		.nonce = w.nonce,
		.echo = w.echo,
		.boot_id = w.boot_id,
		.features = w.features,
		.cluster_hash = w.cluster_hash,
		.map_hash = w.map_hash,
		.partner_seq = w.partner_seq,
		.beat = w.beat,
		.dir_crc = w.dir_crc,
		.dir_seen = w.dir_seen,
		.src_id = w.src_id,
		.dst_id = w.dst_id,
		.version_min = w.version_min,
		.version_max = w.version_max,
		.version = w.version,
		.path_mtu = w.path_mtu,
		.n_ports = w.n_ports,
		.boot_stage = w.boot_stage,
		.boot_progress = w.boot_progress,
		.phase = w.phase,
		.reason = w.reason,
		.role = w.role,
		.start_psn = w.start_psn,
		.sequences = w.sequences,
		.boot_budget_ms = w.boot_budget_ms,
		.boot_idle_ms = w.boot_idle_ms,
		.boot_stages = w.boot_stages,
		.beat_us = w.beat_us,
	};
	memcpy(out->name, w.name, strlen(w.name));
	memcpy(out->boot_name, w.boot_name, strlen(w.boot_name));
	return CCM_RECORD_OK;
}

/*
 * Store and load are the two sides of a sequence lock. The writer changes the front first and the
 * back last; a reader that goes the other way round and finds the same number at both ends has
 * read nothing older (by the back) and nothing newer (by the front) in between. Who copies in
 * another order, as the engine does when it answers a READ, depends on the CRC.
 */
void
ccm_record_store(void *shared, const uint8_t rec[CCM_RECORD_SIZE])
{
	uint64_t *to = shared;
	uint64_t words[WORDS];
	size_t i;

	memcpy(words, rec, sizeof(words));
	__atomic_store_n(&to[WORD_FRONT], words[WORD_FRONT], __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (i = 0; i < WORDS; i++) {
		if (i != WORD_FRONT && i != WORD_BACK)
			__atomic_store_n(&to[i], words[i], __ATOMIC_RELAXED);
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&to[WORD_BACK], words[WORD_BACK], __ATOMIC_RELAXED);
}

void
ccm_record_load(const void *shared, uint8_t out[CCM_RECORD_SIZE])
{
	const uint64_t *from = shared;
	uint64_t words[WORDS];
	size_t i;

	words[WORD_BACK] = __atomic_load_n(&from[WORD_BACK], __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	for (i = 0; i < WORDS; i++) {
		if (i != WORD_FRONT && i != WORD_BACK)
			words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	words[WORD_FRONT] = __atomic_load_n(&from[WORD_FRONT], __ATOMIC_RELAXED);
	memcpy(out, words, sizeof(words));
}

uint64_t
ccm_hash64(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = 0xcbf29ce484222325u;
	size_t i;

	for (i = 0; i < len; i++) {
		h ^= p[i];
		h *= 0x100000001b3u;
	}
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53u;
	h ^= h >> 33;
	return h ? h : 1;
}
