/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Shared by the tests of the session layer's codecs: golden vectors, and random numbers that are
 * the same in every run.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#ifndef CCM_VECTORS
#	define CCM_VECTORS "tests/data/ccm" /* for those who start the test in the source folder */
#endif

/* Read a file of the vectors. Returns its bytes, at most max; fails the test without the file. */
static inline size_t
vector_read(const char *name, uint8_t *buf, size_t max)
{
	char path[512];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", CCM_VECTORS, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	len = fread(buf, 1, max, f);
	fclose(f);
	return len;
}

/* The value that hashes.txt gives to a name. */
static inline uint64_t
vector_hash(const char *name)
{
	char text[1024];
	size_t len = vector_read("hashes.txt", (uint8_t *)text, sizeof(text) - 1);
	size_t name_len = strlen(name);
	const char *at = text;
	uint64_t value;

	text[len] = '\0';
	for (at = text; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		if (strncmp(at, name, name_len) == 0 && at[name_len] == ' ') {
			assert_int_equal(sscanf(at + name_len, " %" SCNx64, &value), 1);
			return value;
		}
	}
	fail_msg("no hash of that name: %s", name);
	return 0;
}

/* SplitMix64. */
static inline uint64_t
rnd64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint32_t
rnd_below(uint64_t *state, uint32_t bound)
{
	return (uint32_t)((rnd64(state) >> 32) * bound >> 32);
}

/* Change one to four places: a bit, a byte, a word of an odd value, or a stretch of one byte. */
static inline void
mutate(uint64_t *state, uint8_t *buf, uint32_t len)
{
	static const uint64_t odd[] = {0, 1, 2, 63, 64, 65, 255, 256, 0x7fff, 0xffff, 0xfffffe,
		0xffffff, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX};
	uint32_t n = 1 + rnd_below(state, 4);

	while (n--) {
		uint32_t at = rnd_below(state, len);
		uint32_t size = 1u << rnd_below(state, 4);
		uint64_t value = odd[rnd_below(state, sizeof(odd) / sizeof(odd[0]))];

		switch (rnd_below(state, 4)) {
		case 0:
			buf[at] ^= (uint8_t)(1u << rnd_below(state, 8));
			break;
		case 1:
			buf[at] = (uint8_t)rnd64(state);
			break;
		case 2:
			at &= ~(size - 1); /* fields are aligned to their size */
			memcpy(buf + at, &value, size);
			break;
		default:
			size = rnd_below(state, len - at < 64 ? len - at : 64);
			memset(buf + at, (int)rnd64(state), size);
			break;
		}
	}
}
