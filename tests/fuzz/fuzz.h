/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What the fuzz targets share. An input is the whole world: each one gets an engine of its own, and
 * what happens depends on its bytes alone.
 *
 * An input is a short header and then records of equal size; a record is an action at a point in
 * time: a frame to inject, a request to post, a verb. Frames are described by fields and made when
 * their turn comes, so that PSNs are relative to what the engine expects and the ICRC is right
 * unless the record wants it otherwise. FUZZ_RAW carries the bytes of a frame behind it.
 */

#include <rdma_emul.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

/* libFuzzer's entry points. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
	uint8_t *out, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* An input that breaks a rule ends the process; also without assertions. */
#define FUZZ_CHECK(rule) \
	do { \
		if (!(rule)) \
			fuzz_fail(#rule, __FILE__, __LINE__); \
	} while (0)

_Noreturn void fuzz_fail(const char *rule, const char *file, int line);

/* Tell on stderr what happens, if the variable FUZZ_TRACE is set in the environment. */
extern bool fuzz_tracing;
__attribute__((format(printf, 1, 2))) void fuzz_trace(const char *format, ...);
void fuzz_trace_wc(const struct remu_wc *wc);

enum {
	/* The first byte of all inputs: tools that look for text leave them alone. */
	FUZZ_VERSION = 0,
	FUZZ_RECORDS_MAX = 96,
	FUZZ_RAW = 0, /* fuzz_record.kind; all other kinds are the target's own */
	FUZZ_FRAME_MAX = 1200,
	FUZZ_LOAD_MAX = 1100,
	/* What memory is full of that no peer may see. */
	FUZZ_SECRET = 0x5a,
	FUZZ_OTHERS = 0xa6, /* what one connection may read, and no other one */
	FUZZ_ZONE = 64,	    /* bytes of that around each piece of memory in use */
};

/* One action. What a field means is up to the kind. */
struct fuzz_record {
	uint8_t kind;
	uint8_t wait;  /* time that passes before it; see fuzz_wait_ns() */
	uint8_t qp;    /* modulo the number of queue pairs */
	uint8_t op;    /* opcode of a packet or work request, or a state */
	uint8_t flags; /* enum fuzz_flags */
	int8_t psn;    /* distance from ... */
	uint8_t base;  /* ... which PSN */
	uint8_t key;   /* region, syndrome */
	uint8_t off[2];
	uint8_t len[2];	 /* DMA length, buffer length; FUZZ_RAW: bytes of the frame */
	uint8_t load[2]; /* payload length; see fuzz_load() */
	uint8_t at;	 /* change the byte before this one; 0: none */
	uint8_t with;	 /* ... by exclusive or */
};
_Static_assert(sizeof(struct fuzz_record) == 16, "part of the format of the corpus");

enum fuzz_flags {
	FUZZ_ACKREQ = 1 << 0,
	FUZZ_SOLICITED = 1 << 1,
	FUZZ_CE = 1 << 2,     /* met congestion */
	FUZZ_TAIL = 1 << 3,   /* bytes behind the IP packet; or, without `at`, only `with` bytes */
	FUZZ_PIECES = 1 << 4, /* an mbuf of two segments */
	FUZZ_LATER = 1 << 5,  /* handed over together with the next frame */
	FUZZ_RESEAL = 1 << 6, /* the ICRC is made right after the change of a byte */
	FUZZ_MANY = 1 << 7,   /* more often than any queue or limit admits */
	/* FUZZ_RAW: what is put right in the bytes given. */
	FUZZ_FIX_OUTER = 1 << 0, /* they begin with the BTH: put the headers before it */
	FUZZ_FIX_LENGTHS = 1 << 1,
	FUZZ_FIX_QPN = 1 << 2,
	FUZZ_FIX_PSN = 1 << 3,
};

static inline uint32_t
fuzz_u16(const uint8_t bytes[2])
{
	return bytes[0] | (uint32_t)bytes[1] << 8;
}

/* A small floating point number: from nothing to 16 s. */
static inline uint64_t
fuzz_wait_ns(uint8_t wait)
{
	return (uint64_t)(wait & 15) << (2 * (wait >> 4));
}

/* Payload length of a record: a plain number, or a distance from one of three special ones. */
static inline uint32_t
fuzz_load(const struct fuzz_record *rec, uint32_t path_mtu, uint32_t length, uint32_t right)
{
	const uint32_t bases[4] = {0, path_mtu, length, right};
	uint32_t mode = rec->load[1] >> 6;
	uint32_t load = mode == 0 ? fuzz_u16(rec->load)
				  : bases[mode] + (uint32_t)(int32_t)(int8_t)rec->load[0];

	return load <= FUZZ_LOAD_MAX ? load : load % FUZZ_LOAD_MAX;
}

/* Bytes that a record takes, when there are `left`. */
static inline size_t
fuzz_extent(const struct fuzz_record *rec, size_t left)
{
	size_t len = sizeof(*rec);

	if (rec->kind == FUZZ_RAW)
		len += fuzz_u16(rec->len) % FUZZ_FRAME_MAX;
	return len < left ? len : left;
}

/* fuzz_env.c: EAL, memory of engines, mbufs. */

void fuzz_env_init(void);
struct rte_mempool *fuzz_pool(void);

/* At most that many mbufs are to be had; UINT32_MAX: all. */
void fuzz_pool_limit(uint32_t n);
uint32_t fuzz_pool_in_use(void);

/* What the engine has allocated and not freed. */
uint32_t fuzz_heap_live(void);
void fuzz_heap_reset(void);

/* Whether all bytes have one value. */
bool fuzz_filled(const uint8_t *p, size_t len, uint8_t value);

/* fuzz_wire.c: frames. */

/* One end of a connection and its peer. */
struct fuzz_end {
	uint32_t qpn;
	struct remu_qp_attr attr; /* the peer */
	struct roce_flow in;	  /* from the peer to us */
};

/* Addresses and headers of end number `i`, whose QPN has been set. Same for every input. */
void fuzz_end_init(struct fuzz_end *end, uint32_t i, bool ipv6, bool tagged);

/* Our own addresses, everything else zero. */
struct remu_engine_config fuzz_engine_config(void);

/*
 * Make a frame of the peer's; P_Key, QPN and MigReq are filled in. The record, if there is one, tells
 * what is special about it. NULL: no mbuf.
 */
struct rte_mbuf *fuzz_craft(const struct fuzz_end *end, const struct fuzz_record *rec,
	const struct roce_fields *f, const uint8_t *payload, uint32_t payload_len);

/* Make the frame of a FUZZ_RAW record, whose bytes follow it. */
struct rte_mbuf *fuzz_craft_raw(const struct fuzz_end *end, const struct fuzz_record *rec,
	size_t extent, uint32_t psn);

/* Check what holds for every frame that is sent. Returns which end has sent it. */
uint32_t fuzz_check_sent(const struct rte_mbuf *m, const struct fuzz_end *ends, uint32_t n,
	struct roce_packet *pkt);

void fuzz_check_stats(const struct remu_engine *e);

/* fuzz_mutate.c: inputs out of inputs. */

struct fuzz_grammar {
	size_t header; /* bytes before the first record */
	/* Random values for the bytes of the header behind the version. */
	void (*header_sample)(uint64_t *prng, uint8_t *header);
	/* Random but sensible records; returns how many, at most 8. */
	uint32_t (*sample)(uint64_t *prng, struct fuzz_record *recs);
	/* Change something in a record that keeps it sensible. */
	void (*tweak)(uint64_t *prng, struct fuzz_record *rec);
};

extern const struct fuzz_grammar fuzz_grammar; /* the target's own */
