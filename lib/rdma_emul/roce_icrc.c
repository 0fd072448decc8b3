/* SPDX-License-Identifier: BSD-3-Clause */
#include "roce_icrc.h"
#include "roce_bytes.h"
#include "roce_wire.h"

#include <isa-l/crc.h>

enum {
	MASKED_LEN = ROCE_IPV4_LEN + ROCE_UDP_LEN + ROCE_BTH_LEN,
	/* Offsets from the IP header of the bytes that count as ones. */
	OFF_TOS = 1,
	OFF_TTL = 8,
	OFF_IP_CSUM = 10,
	OFF_UDP_CSUM = ROCE_IPV4_LEN + 6,
	OFF_FECN_BECN = ROCE_IPV4_LEN + ROCE_UDP_LEN + 4,
};

/* CRC-32 of eight bytes of ones: stands for the LRH that RoCE does not have. */
#define ICRC_SEED 0x2144df1cu

uint32_t
roce_icrc(const uint8_t *l3, size_t span)
{
	uint8_t head[MASKED_LEN];
	uint32_t crc;

	memcpy(head, l3, sizeof(head));
	head[OFF_TOS] = 0xff;
	head[OFF_TTL] = 0xff;
	head[OFF_IP_CSUM] = 0xff;
	head[OFF_IP_CSUM + 1] = 0xff;
	head[OFF_UDP_CSUM] = 0xff;
	head[OFF_UDP_CSUM + 1] = 0xff;
	head[OFF_FECN_BECN] = 0xff;
	crc = crc32_gzip_refl(ICRC_SEED, head, sizeof(head));
	if (span > sizeof(head))
		crc = crc32_gzip_refl(crc, l3 + sizeof(head), span - sizeof(head));
	return crc;
}

bool
roce_icrc_ok(const uint8_t *l3, size_t span)
{
	return roce_icrc(l3, span) == roce_load_le32(l3 + span);
}
