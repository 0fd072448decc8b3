/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Arithmetic of 24-bit packet sequence numbers. All values are in host order and below 2^24;
 * comparisons are by signed distance, so they hold across the wrap (section 9.7.1).
 */

#include <stdint.h>

#define REMU_PSN_MASK 0xffffffu

/** a + n modulo 2^24. */
static inline uint32_t
remu_psn_add(uint32_t a, uint32_t n)
{
	return (a + n) & REMU_PSN_MASK;
}

/** Signed distance a - b, from -2^23 to 2^23 - 1. */
static inline int32_t
remu_psn_diff(uint32_t a, uint32_t b)
{
	return (int32_t)((a - b) << 8) >> 8;
}
