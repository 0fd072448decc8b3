/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Random but reproducible RoCEv2 frames for the codec's tests, and access to struct members by
 * table. Frames live in malloc blocks of exactly their length, so that a sanitizer sees each read
 * past the end.
 */

#include <roce_bytes.h>
#include <roce_packet.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* One integer member of a struct, for tables. */
struct member {
	const char *name;
	size_t off;
	size_t size;
};

#define MEMBER(type, m) #m, offsetof(type, m), sizeof(((type *)0)->m)

static inline uint64_t
member_get(const void *base, const struct member *m)
{
	uint64_t value = 0;

	memcpy(&value, (const uint8_t *)base + m->off, m->size);
	return value;
}

/* Splitmix64: every run of a test sees the same numbers. */
static inline uint64_t
prng_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline uint32_t
prng_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((prng_next(state) >> 32) * n >> 32);
}

static inline void
prng_fill(uint64_t *state, void *buf, size_t len)
{
	for (uint8_t *p = buf; len > 0; p++, len--)
		*p = (uint8_t)prng_next(state);
}

/* Random values for all fields that the opcode has; the others are zero. */
static inline struct roce_fields
random_fields(uint64_t *state, uint8_t opcode)
{
	uint32_t traits = roce_ops[opcode].traits;
	struct roce_fields f = {
		.opcode = opcode,
		.solicited = prng_below(state, 2),
		.migreq = prng_below(state, 2),
		.ackreq = prng_below(state, 2),
		.fecn_becn = (uint8_t)prng_next(state),
		.reserved7 = prng_next(state) & 0x7f,
		.pkey = (uint16_t)prng_next(state),
		.dest_qpn = prng_next(state) & 0xffffff,
		.psn = prng_next(state) & 0xffffff,
	};

	if (traits & (ROCE_T_RETH | ROCE_T_ATOMIC_ETH)) {
		f.va = prng_next(state);
		f.rkey = (uint32_t)prng_next(state);
	}
	if (traits & ROCE_T_RETH)
		f.dma_len = (uint32_t)prng_next(state);
	if (traits & ROCE_T_AETH) {
		f.syndrome = (uint8_t)prng_next(state);
		f.msn = prng_next(state) & 0xffffff;
	}
	if (traits & ROCE_T_IMM)
		f.imm = (uint32_t)prng_next(state);
	if (traits & (ROCE_T_ATOMIC_ETH | ROCE_T_ATOMIC_ACK))
		f.swap_add = prng_next(state);
	if (traits & ROCE_T_ATOMIC_ETH)
		f.compare = prng_next(state);
	return f;
}

/* A flow between random addresses. */
static inline struct roce_flow
random_flow(uint64_t *state)
{
	struct roce_path path = {.hop_limit = 0};
	struct roce_flow flow;

	path.src = roce_gid_ipv4((uint32_t)prng_next(state));
	path.dst = roce_gid_ipv4((uint32_t)prng_next(state));
	prng_fill(state, path.src_mac, 12); /* dst_mac too */
	path.hop_limit = (uint8_t)prng_next(state);
	path.sport = (uint16_t)prng_next(state);
	roce_flow_init(&flow, &path);
	return flow;
}

/* What carries a packet: the four kinds are all their combinations. */
enum { KIND_IPV6 = 1, KIND_TAGGED = 2, KINDS = 4 };

/* A path of one kind, random in all that is free. */
static inline struct roce_path
random_path(uint64_t *state, int kind)
{
	struct roce_path path = {.tagged = kind & KIND_TAGGED};

	prng_fill(state, path.src_mac, 12); /* dst_mac too */
	path.src = roce_gid_ipv4((uint32_t)prng_next(state));
	path.dst = roce_gid_ipv4((uint32_t)prng_next(state));
	if (kind & KIND_IPV6) {
		prng_fill(state, path.src.raw, sizeof(path.src.raw));
		prng_fill(state, path.dst.raw, sizeof(path.dst.raw));
	}
	path.sport = (uint16_t)prng_next(state);
	path.traffic_class = (uint8_t)prng_next(state);
	path.hop_limit = (uint8_t)prng_next(state);
	path.vlan_tci = path.tagged ? (uint16_t)prng_next(state) : 0;
	return path;
}

/* Encode and seal a frame with random payload; the caller frees it. */
static inline uint8_t *
make_flow_frame(uint64_t *state, const struct roce_flow *flow, const struct roce_fields *f,
	size_t payload_len, size_t *len)
{
	size_t off;
	uint8_t *frame;

	*len = roce_frame_len(flow, f->opcode, payload_len);
	frame = malloc(*len);
	if (frame == NULL)
		abort();
	memset(frame, 0xa5, *len);
	off = roce_encode(flow, f, (uint16_t)prng_next(state), payload_len, frame);
	prng_fill(state, frame + off, payload_len);
	if (roce_seal(flow, frame, off, payload_len) != *len)
		abort();
	return frame;
}

static inline uint8_t *
make_frame(uint64_t *state, const struct roce_fields *f, size_t payload_len, size_t *len)
{
	struct roce_flow flow = random_flow(state);

	return make_flow_frame(state, &flow, f, payload_len, len);
}

/* Offset of the IP header. */
static inline size_t
frame_l3(const uint8_t *frame)
{
	return roce_load_be16(frame + 12) == ROCE_ETHERTYPE_VLAN ? ROCE_ETH_LEN + ROCE_VLAN_LEN
								 : ROCE_ETH_LEN;
}

/* Bytes of a frame up to the end of the ICRC: without what fills it up to 60. */
static inline size_t
frame_content(const uint8_t *frame)
{
	size_t l3 = frame_l3(frame);

	return frame[l3] >> 4 == 6 ? l3 + ROCE_IPV6_LEN + roce_load_be16(frame + l3 + 4)
				   : l3 + roce_load_be16(frame + l3 + 2);
}

/* Make a frame with random fields. */
static inline uint8_t *
random_frame(uint64_t *state, uint8_t opcode, size_t payload_len, size_t *len)
{
	struct roce_fields f = random_fields(state, opcode);

	return make_frame(state, &f, payload_len, len);
}

/* The same on a path of one kind. */
static inline uint8_t *
random_frame_of(uint64_t *state, int kind, uint8_t opcode, size_t payload_len, size_t *len)
{
	struct roce_fields f = random_fields(state, opcode);
	struct roce_path path = random_path(state, kind);
	struct roce_flow flow;

	roce_flow_init(&flow, &path);
	return make_flow_frame(state, &flow, &f, payload_len, len);
}

/* A copy in a block of exactly that length; the caller frees it. */
static inline uint8_t *
exact_copy(const uint8_t *frame, size_t len)
{
	uint8_t *copy = malloc(len);

	if (copy == NULL)
		abort();
	memcpy(copy, frame, len);
	return copy;
}
