/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What the wire codecs of the session layer share: their checksum and their byte order. Private
 * to this library and its tests.
 */

#include <stddef.h>
#include <stdint.h>

#include <isa-l/crc.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	"wire structures are little-endian and used in place");

#define CCM_CRC32C_SEED 0xffffffffu

/*
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4) step by step: start with CCM_CRC32C_SEED, feed the
 * pieces, invert the result. The check value of "123456789" is 0xe3069283.
 */
static inline uint32_t
ccm_crc32c_update(uint32_t crc, const void *data, size_t len)
{
	/* ISA-L does not write to the buffer; its prototype only lacks the const. */
	return crc32_iscsi((unsigned char *)(uintptr_t)data, (int)len, crc);
}

static inline uint32_t
ccm_crc32c(const void *data, size_t len)
{
	return ~ccm_crc32c_update(CCM_CRC32C_SEED, data, len);
}
