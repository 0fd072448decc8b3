/* SPDX-License-Identifier: BSD-3-Clause */
#include "frame_maker.h"
#include <roce_icrc.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <zlib.h>

/* A register that saw a message and its own CRC always ends here; also the CRC of eight 0xff. */
#define ICRC_RESIDUE 0x2144df1c

/*
 * From the IP header, besides the low half of IPv6's first byte: ToS, TTL, IP checksum, UDP checksum,
 * FECN/BECN; traffic class and flow label, hop limit, UDP checksum, FECN/BECN.
 */
static const uint8_t masked_ipv4[] = {1, 8, 10, 11, 26, 27, 32};
static const uint8_t masked_ipv6[] = {1, 2, 3, 7, 46, 47, 52};

enum { MASKED = sizeof(masked_ipv4) };
_Static_assert(sizeof(masked_ipv6) == MASKED, "one loop for both");

/* An acknowledge as rxe sent it, from the IP header to the ICRC. */
static const uint8_t rxe_ack[] = {0x45, 0x00, 0x00, 0x30, 0x6a, 0x2e, 0x40, 0x00, 0x40, 0x11, 0xbc,
	0x8c, 0x0a, 0x00, 0x00, 0x02, 0x0a, 0x00, 0x00, 0x01, 0xc1, 0x21, 0x12, 0xb7, 0x00, 0x1c,
	0x00, 0x00, 0x11, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x11, 0x00, 0x3b, 0x9f, 0x5b, 0x1f,
	0x00, 0x00, 0x01, 0xc0, 0x6e, 0x24, 0x1b};

static const uint8_t *
masked(const uint8_t *l3)
{
	return l3[0] >> 4 == 6 ? masked_ipv6 : masked_ipv4;
}

/* The bits of a byte that are free to change. */
static uint8_t
free_bits(const uint8_t *l3, size_t off)
{
	if (off == 0)
		return l3[0] >> 4 == 6 ? 0x0f : 0;
	return memchr(masked(l3), (int)off, off <= UINT8_MAX ? MASKED : 0) != NULL ? 0xff : 0;
}

/* The definition, word for word, with zlib: eight bytes of ones, then the masked packet. */
static uint32_t
oracle(const uint8_t *l3, size_t len)
{
	uint8_t *copy = malloc(8 + len);
	uint32_t crc;

	assert_non_null(copy);
	memset(copy, 0xff, 8);
	for (size_t i = 0; i < len; i++)
		copy[8 + i] = l3[i] | free_bits(l3, i);
	crc = (uint32_t)crc32(0, copy, (uInt)(8 + len));
	free(copy);
	return crc;
}

static void
roce_icrc__of_kernel_packet(void **state)
{
	size_t span = sizeof(rxe_ack) - ROCE_ICRC_LEN;

	(void)state;
	assert_int_equal(roce_icrc(rxe_ack, span), 0x1b246ec0);
	assert_true(roce_icrc_ok(rxe_ack, span));
	assert_int_equal(oracle(rxe_ack, sizeof(rxe_ack)), ICRC_RESIDUE);
}

static void
roce_icrc__agrees_with_zlib(void **state)
{
	uint16_t lens[10 + 3 * 5], n = 0;
	uint64_t seed = 3;

	(void)state;
	while (n < 10) {
		lens[n] = n;
		n++;
	}
	for (uint16_t mtu = ROCE_MTU_MIN; mtu <= ROCE_MTU_MAX; mtu *= 2) {
		lens[n++] = mtu - 1;
		lens[n++] = mtu;
		lens[n++] = mtu + 1;
	}
	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		if (roce_ops[opcode].name == NULL)
			continue;
		for (size_t i = 0; i < n; i++) {
			size_t len, span;
			uint8_t *frame = random_frame_of(&seed, (int)(i % KINDS), (uint8_t)opcode,
				lens[i], &len);
			const uint8_t *l3 = frame + frame_l3(frame);

			span = frame_content(frame) - frame_l3(frame) - ROCE_ICRC_LEN;
			assert_int_equal(roce_icrc(l3, span), oracle(l3, span));
			assert_true(roce_icrc_ok(l3, span));
			assert_int_equal(oracle(l3, span + ROCE_ICRC_LEN), ICRC_RESIDUE);
			free(frame);
		}
	}
}

/* Also lengths that no valid packet has. */
static void
roce_icrc__of_any_span(void **state)
{
	uint64_t seed = 4;

	(void)state;
	for (size_t span = 40; span < 400; span++) {
		uint8_t *l3 = malloc(span);

		assert_non_null(l3);
		prng_fill(&seed, l3, span);
		l3[0] = 0x45;
		assert_int_equal(roce_icrc(l3, span), oracle(l3, span));
		free(l3);
	}
}

static void
roce_icrc__of_any_ipv6_span(void **state)
{
	uint64_t seed = 6;

	(void)state;
	for (size_t span = 60; span < 400; span++) {
		uint8_t *l3 = malloc(span);

		assert_non_null(l3);
		prng_fill(&seed, l3, span);
		l3[0] = 0x60 | (l3[0] & 0x0f);
		assert_int_equal(roce_icrc(l3, span), oracle(l3, span));
		free(l3);
	}
}

/* Only the fields that routers may change are free to change. */
static void
check_every_bit(uint8_t *l3, size_t span)
{
	assert_true(roce_icrc_ok(l3, span));
	for (size_t bit = 0; bit < 8 * (span + ROCE_ICRC_LEN); bit++) {
		uint8_t flip = (uint8_t)(1 << bit % 8);

		if (bit / 8 == 0 && flip > 0x0f)
			continue; /* another IP version has other fields */
		l3[bit / 8] ^= flip;
		if (roce_icrc_ok(l3, span) != ((free_bits(l3, bit / 8) & flip) != 0))
			fail_msg("byte %zu bit %zu of span %zu", bit / 8, bit % 8, span);
		l3[bit / 8] ^= flip;
	}
	/* All masked bytes at once, by any amount. */
	for (size_t i = 0; i < MASKED; i++)
		l3[masked(l3)[i]] ^= (uint8_t)(0x5a + i);
	assert_true(roce_icrc_ok(l3, span));
}

static void
roce_icrc_ok__every_bit_flipped(void **state)
{
	static const struct {
		uint8_t opcode;
		uint16_t payload_len;
	} cases[] = {
		{ROCE_SEND_ONLY, 0}, /* nothing behind the masked headers */
		{ROCE_SEND_LAST, 5},
		{ROCE_ACKNOWLEDGE, 0},
		{ROCE_WRITE_ONLY, 64},
		{ROCE_FETCH_ADD, 0},
		{ROCE_READ_RESPONSE_FIRST, 1024},
		{ROCE_WRITE_LAST, 3},
		{ROCE_CNP, 0},
	};
	uint64_t seed = 5;

	(void)state;
	for (size_t i = 0; i < KINDS * ARRAY_LEN(cases); i++) {
		size_t len, l3;
		uint8_t *frame = random_frame_of(&seed, (int)(i % KINDS), cases[i / KINDS].opcode,
			cases[i / KINDS].payload_len, &len);

		l3 = frame_l3(frame);
		check_every_bit(frame + l3, frame_content(frame) - l3 - ROCE_ICRC_LEN);
		free(frame);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roce_icrc__of_kernel_packet),
		cmocka_unit_test(roce_icrc__agrees_with_zlib),
		cmocka_unit_test(roce_icrc__of_any_span),
		cmocka_unit_test(roce_icrc__of_any_ipv6_span),
		cmocka_unit_test(roce_icrc_ok__every_bit_flipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
