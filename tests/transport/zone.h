/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Memory between guards: whoever writes before or behind it leaves a trace. Guards are bytes, not
 * pages, so that a zone can begin at any address and tells a single byte.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	ZONE_GUARD = 32,
	ZONE_BYTE = 0xc3,
};

struct zone {
	void *memory;
	uint8_t *at; /* aligned to 64 bytes */
	uint32_t len;
};

/* Put guards around len bytes; there must be room for them. */
static inline void
guard_set(uint8_t *at, uint32_t len)
{
	memset(at - ZONE_GUARD, ZONE_BYTE, ZONE_GUARD);
	memset(at + len, ZONE_BYTE, ZONE_GUARD);
}

static inline bool
guard_filled(const uint8_t *p, uint32_t len)
{
	while (len > 0 && *p == ZONE_BYTE) {
		p++;
		len--;
	}
	return len == 0;
}

static inline bool
guard_ok(const uint8_t *at, uint32_t len)
{
	return guard_filled(at - ZONE_GUARD, ZONE_GUARD) && guard_filled(at + len, ZONE_GUARD);
}

/* The contents are anything. Returns false when there is no memory. */
static inline bool
zone_make(struct zone *z, uint32_t len)
{
	z->memory = malloc(len + 128 + ZONE_GUARD);
	if (z->memory == NULL)
		return false;
	z->at = (uint8_t *)(((uintptr_t)z->memory + 127) & ~(uintptr_t)63);
	z->len = len;
	guard_set(z->at, len);
	return true;
}

static inline bool
zone_ok(const struct zone *z)
{
	return guard_ok(z->at, z->len);
}

static inline void
zone_free(struct zone *z)
{
	free(z->memory);
	z->memory = NULL;
}
