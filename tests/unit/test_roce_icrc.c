/* SPDX-License-Identifier: BSD-3-Clause */
#include "frame_maker.h"
#include <roce_icrc.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <zlib.h>

/* A register that saw a message and its own CRC always ends here; also the CRC of eight 0xff. */
#define ICRC_RESIDUE 0x2144df1c

/* From the IP header: ToS, TTL, IP checksum, UDP checksum, FECN/BECN. */
static const uint8_t masked_offsets[] = {1, 8, 10, 11, 26, 27, 32};

/* An acknowledge as rxe sent it, from the IP header to the ICRC. */
static const uint8_t rxe_ack[] = {0x45, 0x00, 0x00, 0x30, 0x6a, 0x2e, 0x40, 0x00, 0x40, 0x11, 0xbc,
	0x8c, 0x0a, 0x00, 0x00, 0x02, 0x0a, 0x00, 0x00, 0x01, 0xc1, 0x21, 0x12, 0xb7, 0x00, 0x1c,
	0x00, 0x00, 0x11, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x11, 0x00, 0x3b, 0x9f, 0x5b, 0x1f,
	0x00, 0x00, 0x01, 0xc0, 0x6e, 0x24, 0x1b};

static bool
is_masked(size_t off)
{
	for (size_t i = 0; i < sizeof(masked_offsets); i++)
		if (masked_offsets[i] == off)
			return true;
	return false;
}

/* The definition, word for word, with zlib: eight bytes of ones, then the masked packet. */
static uint32_t
oracle(const uint8_t *l3, size_t len)
{
	uint8_t *copy = malloc(8 + len);
	uint32_t crc;

	assert_non_null(copy);
	memset(copy, 0xff, 8);
	memcpy(copy + 8, l3, len);
	for (size_t i = 0; i < sizeof(masked_offsets); i++)
		copy[8 + masked_offsets[i]] = 0xff;
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
			uint8_t *frame = random_frame(&seed, (uint8_t)opcode, lens[i], &len);
			const uint8_t *l3 = frame + ROCE_ETH_LEN;

			span = frame_content(frame) - ROCE_ETH_LEN - ROCE_ICRC_LEN;
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

/* IPv6: traffic class, flow label, hop limit, UDP checksum, FECN/BECN. */
static void
roce_icrc__of_ipv6(void **state)
{
	static const uint8_t masked[] = {1, 2, 3, 7, 46, 47, 52};
	uint64_t seed = 6;

	(void)state;
	for (size_t span = 60; span < 400; span++) {
		uint8_t *l3 = malloc(span), copy[8 + 400];
		uint32_t crc;

		assert_non_null(l3);
		prng_fill(&seed, l3, span);
		l3[0] = 0x60 | (l3[0] & 0x0f);
		memset(copy, 0xff, 8);
		memcpy(copy + 8, l3, span);
		copy[8] |= 0x0f;
		for (size_t i = 0; i < sizeof(masked); i++)
			copy[8 + masked[i]] = 0xff;
		crc = (uint32_t)crc32(0, copy, (uInt)(8 + span));
		assert_int_equal(roce_icrc(l3, span), crc);
		free(l3);
	}
}

/* Only the fields that routers may change are free to change. */
static void
check_every_bit(uint8_t *l3, size_t span)
{
	assert_true(roce_icrc_ok(l3, span));
	for (size_t bit = 0; bit < 8 * (span + ROCE_ICRC_LEN); bit++) {
		if (bit / 8 == 0)
			continue; /* another IP version has other fields */
		l3[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (roce_icrc_ok(l3, span) != is_masked(bit / 8))
			fail_msg("byte %zu bit %zu of span %zu", bit / 8, bit % 8, span);
		l3[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* All masked bytes at once, by any amount. */
	for (size_t i = 0; i < sizeof(masked_offsets); i++)
		l3[masked_offsets[i]] ^= (uint8_t)(0x5a + i);
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
	};
	uint64_t seed = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len;
		uint8_t *frame = random_frame(&seed, cases[i].opcode, cases[i].payload_len, &len);

		check_every_bit(frame + ROCE_ETH_LEN,
			frame_content(frame) - ROCE_ETH_LEN - ROCE_ICRC_LEN);
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
		cmocka_unit_test(roce_icrc__of_ipv6),
		cmocka_unit_test(roce_icrc_ok__every_bit_flipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
