/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/**
 * @file
 * RoCEv2 packet codec: frame bytes to fields and back.
 *
 * Pure functions over byte buffers: no DPDK, no state, any thread. Decoding trusts nothing; every
 * length is checked before the bytes behind it are read, and the verdict says why a frame is not
 * for us. Decode checks neither the ICRC nor who the packet is for: see roce_icrc.h and the engine.
 */

#include "roce_wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An IP address in GID form: IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2; section A17.4.2). */
struct roce_gid {
	uint8_t raw[16]; /**< in network order */
};

/** Properties of one opcode; the table is roce_ops[]. */
struct roce_op {
	const char *name;   /**< as in table 38 of the specification; NULL: unknown opcode */
	uint32_t traits;    /**< ROCE_T_* */
	uint8_t header_len; /**< BTH and extension headers, bytes */
};

/** What kind of packet an opcode is, and which headers it has. */
enum roce_trait {
	ROCE_T_REQUEST = 1 << 0,
	ROCE_T_RESPONSE = 1 << 1,
	ROCE_T_FIRST = 1 << 2, /**< first packet of several */
	ROCE_T_MIDDLE = 1 << 3,
	ROCE_T_LAST = 1 << 4,
	ROCE_T_ONLY = 1 << 5, /**< the whole message */
	ROCE_T_SEND = 1 << 6,
	ROCE_T_WRITE = 1 << 7,
	ROCE_T_READ = 1 << 8,
	ROCE_T_ATOMIC = 1 << 9,
	ROCE_T_RETH = 1 << 10,
	ROCE_T_AETH = 1 << 11,
	ROCE_T_IMM = 1 << 12, /**< immediate data, or the rkey to invalidate */
	ROCE_T_ATOMIC_ETH = 1 << 13,
	ROCE_T_ATOMIC_ACK = 1 << 14,
	ROCE_T_PAYLOAD = 1 << 15, /**< may carry payload */
	ROCE_T_CNP = 1 << 16,	  /**< congestion notification: neither request nor response */
};

/** All opcodes. */
extern const struct roce_op roce_ops[256];

/** The fields of BTH and extension headers; those the opcode does not have are zero. */
struct roce_fields {
	uint8_t opcode;	   /**< BTH: see roce_wire.h */
	bool solicited;	   /**< BTH: solicited event */
	bool migreq;	   /**< BTH: migration state */
	bool ackreq;	   /**< BTH: an acknowledgement is asked for */
	uint8_t fecn_becn; /**< BTH byte 4 as it is on the wire */
	uint8_t reserved7; /**< low seven bits of the AckReq byte: sent 0, ignored on receive */
	uint16_t pkey;	   /**< BTH: partition key */
	uint32_t dest_qpn; /**< 24 bits */
	uint32_t psn;	   /**< 24 bits */
	uint64_t va;	   /**< RETH, AtomicETH */
	uint32_t rkey;	   /**< RETH, AtomicETH */
	uint32_t dma_len;  /**< RETH, bytes */
	uint8_t syndrome;  /**< AETH */
	uint32_t msn;	   /**< AETH, 24 bits */
	uint32_t imm;	   /**< immediate data or rkey to invalidate */
	uint64_t swap_add; /**< AtomicETH; AtomicAckETH: the original value */
	uint64_t compare;  /**< AtomicETH */
};

/** A decoded frame. Pointers lead into the frame and live as long as it does. */
struct roce_packet {
	struct roce_fields f;	  /**< BTH and extension headers */
	const struct roce_op *op; /**< properties of the opcode */
	const uint8_t *l3;	  /**< first byte of the IPv4 or IPv6 header */
	const uint8_t *payload;	  /**< without pad bytes */
	uint32_t payload_len;	  /**< bytes */
	uint32_t icrc_span;	  /**< bytes from l3 up to the ICRC */
	uint8_t dst_mac[6];	  /**< destination */
	uint8_t src_mac[6];	  /**< source */
	struct roce_gid dst;	  /**< destination */
	struct roce_gid src;	  /**< source */
	uint16_t udp_sport;	  /**< UDP source port */
	uint16_t ip_id;		  /**< IPv4 */
	uint16_t vlan_tci;	  /**< 802.1Q tag: priority, DEI, VLAN ID */
	bool tagged;		  /**< an 802.1Q tag is there */
	uint8_t tos;		  /**< ToS or traffic class: DSCP and, in the low two bits, ECN */
	uint8_t ttl;		  /**< TTL or hop limit */
};

/** Why a received frame is not processed: the index of its counter and its name in telemetry. */
enum remu_drop {
	REMU_DROP_NONE,	      /**< accepted */
	REMU_DROP_RUNT,	      /**< shorter than its headers say */
	REMU_DROP_NOT_IP,     /**< neither IPv4 nor something we speak */
	REMU_DROP_VLAN,	      /**< more than one tag, or not the VLAN of the connection */
	REMU_DROP_IP_HEADER,  /**< options, wrong version or length */
	REMU_DROP_FRAGMENT,   /**< RoCEv2 packets are never fragmented */
	REMU_DROP_NOT_UDP,    /**< other IP protocol */
	REMU_DROP_UDP_PORT,   /**< destination port is not 4791 */
	REMU_DROP_UDP_LENGTH, /**< UDP length disagrees with IP length or headers */
	REMU_DROP_OPCODE,     /**< reserved opcode or another transport service */
	REMU_DROP_TVER,	      /**< transport version is not 0 */
	REMU_DROP_PAYLOAD,    /**< payload where the opcode has none, or not padded to 4 bytes */
	REMU_DROP_SEGMENTS,   /**< frame in pieces that cannot be joined */
	REMU_DROP_ICRC,	      /**< invariant CRC wrong */
	REMU_DROP_DST_MAC,    /**< not our MAC address */
	REMU_DROP_DST_IP,     /**< not our IP address */
	REMU_DROP_PKEY,	      /**< partition key does not match */
	REMU_DROP_QPN,	      /**< no such queue pair */
	REMU_DROP_QP_STATE,   /**< queue pair does not receive in its state */
	REMU_DROP_SRC_MAC,    /**< not the MAC address of the connected peer */
	REMU_DROP_SRC_IP,     /**< not the IP address of the connected peer */
	REMU_DROP_SRC_PORT,   /**< not the UDP source port that the connection was pinned to */
	REMU_DROP_PSN_AHEAD,  /**< request beyond the expected PSN (answered by one NAK) */
	REMU_DROP_NOT_SYNCED, /**< bootstrap queue pair before the READ that sets its PSN */
	REMU_DROP_DUPLICATE,  /**< duplicate request that cannot be served again */
	REMU_DROP_INVALID,    /**< request refused: NAK invalid request */
	REMU_DROP_ACCESS,     /**< request refused: NAK remote access error */
	REMU_DROP_RNR,	      /**< no receive request posted: RNR NAK */
	REMU_DROP_RATE,	      /**< answer withheld: more than the limit per time */
	REMU_DROP_RESP_BUSY,  /**< no room for another response: the peer repeats the request */
	REMU_DROP_RESP_STALE, /**< response to nothing outstanding */
	REMU_DROP_RESP_GAP,   /**< READ response out of order */
	REMU_DROP_RESP_BAD,   /**< response of wrong kind or length */
	REMU_DROP_SYNDROME,   /**< reserved AETH syndrome */
	REMU_DROP_COUNT
};

/** Name of a drop reason for telemetry: lower case, letters and underscores. */
const char *remu_drop_name(enum remu_drop reason);

/**
 * Decode one Ethernet frame.
 *
 * @param frame  the frame from its destination MAC on, without FCS
 * @param len    bytes in the frame; may exceed the IP packet (Ethernet padding)
 * @param out    valid only when REMU_DROP_NONE is returned
 * @return REMU_DROP_NONE, or the first check that failed (RUNT to PAYLOAD)
 */
enum remu_drop roce_decode(const uint8_t *frame, size_t len, struct roce_packet *out);

/** The constant part of all frames of one direction of a connection. */
struct roce_path {
	uint8_t src_mac[6];    /**< ours */
	uint8_t dst_mac[6];    /**< the peer's, or the router's */
	struct roce_gid src;   /**< both IPv4-mapped, or both IPv6 */
	struct roce_gid dst;   /**< the peer's */
	uint16_t sport;	       /**< UDP source port */
	uint8_t traffic_class; /**< IPv4 ToS or IPv6 traffic class: DSCP << 2 | ECN */
	uint8_t hop_limit;     /**< IPv4 TTL or IPv6 hop limit */
	bool tagged;	       /**< put an 802.1Q tag into every frame */
	uint16_t vlan_tci;     /**< of the tag: priority, DEI, VLAN ID */
};

/** Ethernet, VLAN, IP and UDP headers of a path, ready to copy. */
struct roce_flow {
	uint8_t bytes[ROCE_L2L4_MAX]; /**< as they go out */
	uint8_t len;		      /**< bytes that count */
	uint8_t l3_off;		      /**< where the IP header starts */
	uint32_t csum_base; /**< IPv4 checksum over all but total length and ID, not folded */
};

/** Prepare a flow's headers: IPv4 with don't fragment, UDP checksum 0, IPv6 flow label 0. */
void roce_flow_init(struct roce_flow *flow, const struct roce_path *path);

/** Bytes of a frame with this opcode and payload: at least ROCE_MIN_FRAME, the rest zeros. */
static inline size_t
roce_frame_len(const struct roce_flow *flow, uint8_t opcode, size_t payload_len)
{
	size_t len = flow->len + roce_ops[opcode].header_len + payload_len + (-payload_len & 3) +
		ROCE_ICRC_LEN;

	return len < ROCE_MIN_FRAME ? (size_t)ROCE_MIN_FRAME : len;
}

/**
 * Write all headers of a packet; the payload goes right behind them.
 *
 * @param flow         addresses of the connection
 * @param f            fields; the opcode must be a known one
 * @param ip_id        IPv4 identification; not used with IPv6
 * @param payload_len  bytes of payload that will follow
 * @param frame        at least roce_frame_len() bytes
 * @return where the payload starts, as an offset into the frame
 */
size_t roce_encode(const struct roce_flow *flow, const struct roce_fields *f, uint16_t ip_id,
	size_t payload_len, uint8_t *frame);

/**
 * Finish a packet whose headers and payload stand in the frame: zero pad bytes, ICRC, zeros up to
 * the shortest frame.
 *
 * @return bytes of the whole frame, as roce_frame_len()
 */
size_t roce_seal(const struct roce_flow *flow, uint8_t *frame, size_t payload_off,
	size_t payload_len);

/** Give an encoded frame another ToS or traffic class; the ICRC does not cover it. */
void roce_set_traffic_class(const struct roce_flow *flow, uint8_t *frame, uint8_t traffic_class);

/**
 * Destination queue pair of a frame, for sharing frames out to engines; looks at nothing else.
 *
 * @return false when the frame is too short or not one that roce_decode() takes apart
 */
bool roce_peek_qpn(const uint8_t *frame, size_t len, uint32_t *qpn);

/** Whether a GID stands for an IPv4 address. */
bool roce_gid_is_ipv4(const struct roce_gid *gid);

/** GID of an IPv4 address given in host order. */
struct roce_gid roce_gid_ipv4(uint32_t addr);

/** IPv4 address of a GID in host order; 0 when the GID is not IPv4-mapped. */
uint32_t roce_gid_to_ipv4(const struct roce_gid *gid);

#ifdef __cplusplus
}
#endif
