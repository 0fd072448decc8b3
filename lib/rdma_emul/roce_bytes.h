/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Unaligned loads and stores in wire byte order. Compilers turn each into one or two instructions.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t
roce_load_be16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t
roce_load_be24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t
roce_load_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t
roce_load_be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static inline void
roce_store_be16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
roce_store_be24(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 16);
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)v;
}

static inline void
roce_store_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
roce_store_be64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}

static inline uint32_t
roce_load_le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
roce_store_le32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* Whether two places hold the same 50 bytes; quicker than memcmp(), which tells which is greater. */
static inline bool
roce_same_50(const uint8_t *a, const uint8_t *b)
{
	typedef uint64_t pair __attribute__((vector_size(16)));
	pair x, y, differ = {0, 0};

	for (int i = 0; i <= 48; i += 16) {
		int at = i < 48 ? i : 50 - 16; /* the last 16 bytes overlap */

		memcpy(&x, a + at, sizeof(x));
		memcpy(&y, b + at, sizeof(y));
		differ |= x ^ y;
	}
	return (differ[0] | differ[1]) == 0;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "written for little-endian hosts");
