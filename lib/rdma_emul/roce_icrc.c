/* SPDX-License-Identifier: BSD-3-Clause */
#include "roce_icrc.h"
#include "roce_bytes.h"
#include "roce_wire.h"

#include <isa-l/crc.h>

enum { UDP_BTH_LEN = ROCE_UDP_LEN + ROCE_BTH_LEN };

/* CRC-32 of eight bytes of ones: stands for the LRH that RoCE does not have. */
#define ICRC_SEED 0x2144df1cu

/* UDP checksum; FECN, BECN and reserved bits. */
static void
mask_udp_bth(uint8_t *udp)
{
	udp[6] = 0xff;
	udp[7] = 0xff;
	udp[ROCE_UDP_LEN + 4] = 0xff;
}

/* The headers up to the BTH: what routers may change counts as ones. */
static void
mask_ipv4(uint8_t head[ROCE_IPV4_LEN + UDP_BTH_LEN], const uint8_t *l3)
{
	memcpy(head, l3, ROCE_IPV4_LEN + UDP_BTH_LEN);
	head[1] = 0xff; /* ToS */
	head[8] = 0xff; /* TTL */
	head[ROCE_IPV4_CSUM_OFFSET] = 0xff;
	head[ROCE_IPV4_CSUM_OFFSET + 1] = 0xff;
	mask_udp_bth(head + ROCE_IPV4_LEN);
}

static uint32_t
crc_ipv4(const uint8_t *l3)
{
	uint8_t head[ROCE_IPV4_LEN + UDP_BTH_LEN];

	mask_ipv4(head, l3);
	return crc32_gzip_refl(ICRC_SEED, head, sizeof(head));
}

static uint32_t
crc_ipv6(const uint8_t *l3)
{
	uint8_t head[ROCE_IPV6_LEN + UDP_BTH_LEN];

	memcpy(head, l3, sizeof(head));
	head[0] |= 0x0f; /* traffic class, flow label */
	head[1] = 0xff;
	head[2] = 0xff;
	head[3] = 0xff;
	head[7] = 0xff; /* hop limit */
	mask_udp_bth(head + ROCE_IPV6_LEN);
	return crc32_gzip_refl(ICRC_SEED, head, sizeof(head));
}

uint32_t
roce_icrc_head(const uint8_t *l3)
{
	uint8_t head[ROCE_IPV4_LEN + UDP_BTH_LEN];

	mask_ipv4(head, l3);
	return crc32_gzip_refl(ICRC_SEED, head, ROCE_HEAD_LEN - ROCE_ETH_LEN);
}

uint32_t
roce_icrc(const uint8_t *l3, size_t span)
{
	bool ipv6 = l3[0] >> 4 == 6;
	size_t head_len = (ipv6 ? ROCE_IPV6_LEN : ROCE_IPV4_LEN) + UDP_BTH_LEN;
	uint32_t crc = ipv6 ? crc_ipv6(l3) : crc_ipv4(l3);

	return span > head_len ? crc32_gzip_refl(crc, l3 + head_len, span - head_len) : crc;
}

bool
roce_icrc_ok(const uint8_t *l3, size_t span)
{
	return roce_icrc(l3, span) == roce_load_le32(l3 + span);
}
