/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * RoCEv2 on the wire: header layouts, opcodes and the numbers that both ends must share.
 *
 * Every multi-byte field is big-endian, except the ICRC, which goes out least significant byte
 * first. Section numbers are those of the InfiniBand Architecture Specification, volume 1,
 * release 1.4, annex A17 (RoCEv2) where nothing else is said.
 */

#include <assert.h>
#include <stdint.h>

enum {
	ROCE_UDP_PORT = 4791, /* IANA: roce */
	ROCE_ETHERTYPE_IPV4 = 0x0800,
	ROCE_ETHERTYPE_IPV6 = 0x86dd,
	ROCE_ETHERTYPE_VLAN = 0x8100,
	ROCE_ETHERTYPE_QINQ = 0x88a8,
	ROCE_IPPROTO_UDP = 17,
	ROCE_IPPROTO_FRAGMENT = 44,
	ROCE_SPORT_BASE = 0xc000, /* source ports 0xc000-0xffff carry the flow's entropy */

	ROCE_ETH_LEN = 14,
	ROCE_VLAN_LEN = 4,
	ROCE_IPV4_LEN = 20,
	ROCE_IPV6_LEN = 40,
	ROCE_IPV4_CSUM_OFFSET = 10,
	ROCE_UDP_LEN = 8,
	ROCE_BTH_LEN = 12,
	ROCE_ICRC_LEN = 4,
	ROCE_L2L4_LEN = ROCE_ETH_LEN + ROCE_IPV4_LEN + ROCE_UDP_LEN, /* IPv4, no tag */
	ROCE_HEAD_LEN = ROCE_L2L4_LEN + 8, /* ... and the BTH up to the queue pair's number */
	ROCE_L2L4_MAX = ROCE_ETH_LEN + ROCE_VLAN_LEN + ROCE_IPV6_LEN + ROCE_UDP_LEN,
	ROCE_HDR_MAX = ROCE_L2L4_MAX + 40, /* the longest is an atomic request */
	ROCE_MIN_FRAME = 60,		   /* Ethernet minimum without the FCS */

	ROCE_PKEY_DEFAULT = 0xffff,
	ROCE_QPN_MAX = 0xffffff,
	ROCE_QPN_FIRST_USER = 2, /* 0 and 1 are the management QPs, section 3.5.10 */
	ROCE_QPN_MULTICAST = 0xffffff,
	ROCE_DMA_LEN_MAX = 1u << 31, /* section 9.4.1.1 */
	ROCE_MTU_MIN = 256,
	ROCE_MTU_MAX = 4096,
};

/* What an IP packet adds around the payload of one path MTU; rxe allows 80 bytes. */
enum { ROCE_MTU_OVERHEAD = 80 };

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+-+-+---+-------+-------------------------------+
 * |    opcode     |S|M|pad| tver  |             P_Key             |
 * +-+-+-----------+-+-+---+-------+-------------------------------+
 * |F|B| reserved  |                  dest QPN                     |
 * +-+-+-----------+-----------------------------------------------+
 * |A|  reserved   |                     PSN                       |
 * +-+-------------+-----------------------------------------------+
 */
struct roce_bth {
	uint8_t opcode;
	uint8_t flags; /* solicited event, MigReq, pad count, transport version */
	uint8_t pkey[2];
	uint8_t fecn_becn;
	uint8_t dest_qpn[3];
	uint8_t ackreq;
	uint8_t psn[3];
} __attribute__((packed));
static_assert(sizeof(struct roce_bth) == ROCE_BTH_LEN, "BTH is 12 bytes, section 9.2");

enum {
	ROCE_BTH_SE = 0x80,
	ROCE_BTH_MIGREQ = 0x40,
	ROCE_BTH_PAD_SHIFT = 4,
	ROCE_BTH_PAD_MASK = 0x30,
	ROCE_BTH_TVER_MASK = 0x0f,
	ROCE_BTH_FECN = 0x80,
	ROCE_BTH_BECN = 0x40,
	ROCE_BTH_ACKREQ = 0x80,
};

struct roce_reth {
	uint8_t va[8];
	uint8_t rkey[4];
	uint8_t dma_len[4];
} __attribute__((packed));
static_assert(sizeof(struct roce_reth) == 16, "RETH is 16 bytes, section 9.3.1");

struct roce_aeth {
	uint8_t syndrome;
	uint8_t msn[3];
} __attribute__((packed));
static_assert(sizeof(struct roce_aeth) == 4, "AETH is 4 bytes, section 9.3.5");

struct roce_atomic_eth {
	uint8_t va[8];
	uint8_t rkey[4];
	uint8_t swap_add[8];
	uint8_t compare[8];
} __attribute__((packed));
static_assert(sizeof(struct roce_atomic_eth) == 28, "AtomicETH is 28 bytes, section 9.3.2");

struct roce_atomic_ack_eth {
	uint8_t original[8];
} __attribute__((packed));
static_assert(sizeof(struct roce_atomic_ack_eth) == 8, "AtomicAckETH is 8 bytes, section 9.3.5.3");

enum roce_opcode {
	ROCE_SEND_FIRST = 0x00,
	ROCE_SEND_MIDDLE = 0x01,
	ROCE_SEND_LAST = 0x02,
	ROCE_SEND_LAST_IMM = 0x03,
	ROCE_SEND_ONLY = 0x04,
	ROCE_SEND_ONLY_IMM = 0x05,
	ROCE_WRITE_FIRST = 0x06,
	ROCE_WRITE_MIDDLE = 0x07,
	ROCE_WRITE_LAST = 0x08,
	ROCE_WRITE_LAST_IMM = 0x09,
	ROCE_WRITE_ONLY = 0x0a,
	ROCE_WRITE_ONLY_IMM = 0x0b,
	ROCE_READ_REQUEST = 0x0c,
	ROCE_READ_RESPONSE_FIRST = 0x0d,
	ROCE_READ_RESPONSE_MIDDLE = 0x0e,
	ROCE_READ_RESPONSE_LAST = 0x0f,
	ROCE_READ_RESPONSE_ONLY = 0x10,
	ROCE_ACKNOWLEDGE = 0x11,
	ROCE_ATOMIC_ACKNOWLEDGE = 0x12,
	ROCE_COMPARE_SWAP = 0x13,
	ROCE_FETCH_ADD = 0x14,
	ROCE_SEND_LAST_INV = 0x16,
	ROCE_SEND_ONLY_INV = 0x17,
	ROCE_CNP = 0x81, /* annex A17.9.3: 16 reserved bytes follow the BTH */
};

enum { ROCE_CNP_RESERVED = 16 };

/* Low two bits of ToS or traffic class (RFC 3168). */
enum roce_ecn {
	ROCE_ECN_MASK = 3,
	ROCE_ECN_NOT_ECT = 0,
	ROCE_ECN_ECT1 = 1,
	ROCE_ECN_ECT0 = 2,
	ROCE_ECN_CE = 3, /* congestion experienced */
};

/* AETH syndromes: type in bits 7-5, then credits, RNR timer code or NAK code (tables 46, 47). */
enum roce_syndrome {
	ROCE_SYN_TYPE_MASK = 0xe0,
	ROCE_SYN_VALUE_MASK = 0x1f,
	ROCE_SYN_ACK = 0x00,
	ROCE_SYN_RNR = 0x20,
	ROCE_SYN_NAK = 0x60,
	ROCE_SYN_ACK_NO_LIMIT = 0x1f, /* credit count 31: no end-to-end flow control */
	ROCE_NAK_PSN_SEQUENCE = 0x60,
	ROCE_NAK_INVALID_REQUEST = 0x61,
	ROCE_NAK_REMOTE_ACCESS = 0x62,
	ROCE_NAK_REMOTE_OPERATION = 0x63,
};
