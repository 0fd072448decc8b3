/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * The invariant CRC of RoCEv2 (section A17.3.3): CRC-32 as in Ethernet over eight bytes of ones,
 * the IP packet with the fields that routers may change set to ones, and the payload.
 * Pure functions, any thread.
 */

#include <isa-l/crc.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * ICRC of a packet.
 *
 * @param l3    first byte of the IPv4 or IPv6 header; IP, UDP and BTH must be contiguous
 * @param span  bytes from there up to where the ICRC stands; at least 40 (IPv4) or 60 (IPv6)
 * @return the CRC; it goes out least significant byte first
 */
uint32_t roce_icrc(const uint8_t *l3, size_t span);

/**
 * The ICRC taken apart: state after the headers of a packet up to the queue pair's number, which
 * most packets of a connection have in common, and the rest of the way.
 *
 * @param l3  as roce_icrc(), but IPv4 only
 */
uint32_t roce_icrc_head(const uint8_t *l3);

/** @param p  the bytes behind the queue pair's number  @param len  up to where the ICRC stands */
static inline uint32_t
roce_icrc_rest(uint32_t head, const uint8_t *p, size_t len)
{
	return crc32_gzip_refl(head, p, len);
}

/** Whether the four bytes behind `span` are the right ICRC. */
bool roce_icrc_ok(const uint8_t *l3, size_t span);
