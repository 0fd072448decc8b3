/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * The directory: which clients a node has and, once they exist, which ports; a node writes it into
 * its partner's directory area. And the port map: which ports follow from the clients of both
 * nodes, computed on each of them alike. doc/wire-format.md is the layout byte by byte.
 *
 * Pure functions over the caller's memory, any thread; they neither block nor allocate.
 */

#include <stddef.h>
#include <stdint.h>

#include "ccm.h"

enum {
	CCM_DIRECTORY_LAYOUT_VERSION = 1,
	CCM_DIRECTORY_HEADER = 64,
	CCM_DIRECTORY_ENTRY = 64, /* bytes of a client and of a port */
	CCM_DIRECTORY_MAX = CCM_DIRECTORY_HEADER +
		(CCM_MAX_CLIENTS + CCM_MAX_PORTS) * CCM_DIRECTORY_ENTRY,
};
_Static_assert((int)CCM_DIRECTORY_MAX <= (int)CCM_REGION_SIZE - (int)CCM_DIR_OFFSET,
	"the directory fits its area");

/**
 * What a client asks for. In a directory that is accepted names are unique and the ports of all
 * clients add up to at most CCM_MAX_PORTS.
 */
struct ccm_directory_client {
	char name[CCM_NAME_LEN]; /**< 1 to 31 of A-Z a-z 0-9 . _ - and then zeros */
	uint16_t ports;		 /**< 1 to CCM_MAX_PORTS */
	uint64_t memory;	 /**< bytes, all its ports together */
};

/** A port that exists. In a directory that is accepted (client, index) and qpn are unique. */
struct ccm_directory_port {
	uint16_t client; /**< index in the sender's clients */
	uint16_t index;	 /**< 0 to ports - 1 of that client */
	uint32_t qpn;	 /**< 2 to 0xfffffe */
	uint32_t psn;	 /**< first PSN that the sender sends, 24 bits */
	uint32_t rkey;	 /**< not 0 */
	uint64_t va;
	uint64_t length; /**< bytes, from 1; va + length does not exceed 2^64 - 1 */
};

struct ccm_directory {
	uint64_t nonce; /**< the sender's attempt; not 0 */
	uint64_t echo;	/**< the partner attempt that it is for; not 0 */
	uint32_t crc;	/**< as goes into the record; never 0. Set by decode, ignored by encode */
	uint32_t n_clients;
	uint32_t n_ports; /**< 0 until the ports exist */
	struct ccm_directory_client clients[CCM_MAX_CLIENTS];
	struct ccm_directory_port ports[CCM_MAX_PORTS];
};

/** What a directory turned out to be; the first that applies, in this order. */
enum ccm_directory_verdict {
	CCM_DIRECTORY_OK,
	CCM_DIRECTORY_EMPTY,  /**< header of all zeros or all ones: nothing written yet */
	CCM_DIRECTORY_MAGIC,  /**< no directory */
	CCM_DIRECTORY_LAYOUT, /**< of another layout version */
	CCM_DIRECTORY_LENGTH, /**< counts too large, or the length does not match them or `len` */
	CCM_DIRECTORY_CRC,    /**< damaged, or read while being written */
	CCM_DIRECTORY_VALUE,  /**< intact, but a nonce is 0 */
	CCM_DIRECTORY_CLIENT, /**< intact, but a client is out of range or there twice */
	CCM_DIRECTORY_PORT,   /**< intact, but a port is out of range or there twice */
	CCM_DIRECTORY_VERDICT_COUNT
};

/** Name for logs: lower case; "unknown" when out of range. */
const char *ccm_directory_verdict_name(enum ccm_directory_verdict verdict);

/**
 * Bring a directory into wire form. Ranges are the caller's duty; counts must not exceed the
 * arrays.
 *
 * @param out  CCM_DIRECTORY_MAX bytes; those behind the returned length stay untouched
 * @param crc  gets what goes into the record's dir_crc, never 0; may be NULL
 * @return bytes used, a multiple of CCM_DIRECTORY_ENTRY
 */
size_t ccm_directory_encode(const struct ccm_directory *dir, uint8_t *out, uint32_t *crc);

/**
 * Check a directory that a partner wrote, which may be anything, and bring it into host form.
 * Works on a copy of its own, so `in` may be written meanwhile; then the CRC tells.
 *
 * @param len  readable bytes at `in`; may be more than the directory needs
 * @param out  written only when the verdict is CCM_DIRECTORY_OK; unused entries are zero
 */
enum ccm_directory_verdict ccm_directory_decode(const uint8_t *in, size_t len,
	struct ccm_directory *out);

/**
 * What two clients of one name agree on: the lower of both ports, and of the memory per port.
 *
 * @param length  gets the bytes of each port
 * @return ports; 0: a port would get less than CCM_PORT_MEMORY_MIN
 */
uint16_t ccm_directory_join(const struct ccm_directory_client *a,
	const struct ccm_directory_client *b, uint64_t *length);

/** One port of the port map: it joins two ports, one on either node. */
struct ccm_port_map_entry {
	char client[CCM_NAME_LEN]; /**< name, filled up with zeros */
	uint16_t mine;		   /**< index in my clients */
	uint16_t theirs;	   /**< index in the partner's clients */
	uint16_t index;		   /**< port of this client, from 0 */
	uint64_t length;	   /**< bytes of memory on either side, a multiple of 64 */
};

struct ccm_port_map {
	uint32_t n_entries;
	struct ccm_port_map_entry entries[CCM_MAX_PORTS];
};

/**
 * Which ports two nodes open towards each other. Clients of one name are joined: as many ports as
 * the one that asks for fewer, and per port the smaller of both memories divided by the ports,
 * rounded down to a multiple of 64 bytes; a client that would get less than CCM_PORT_MEMORY_MIN
 * per port gets none. Entries are sorted by name (bytes, unsigned), then index, so that both
 * nodes have the same order; only mine and theirs are exchanged.
 *
 * @param mine, theirs  as a directory that is accepted: at most CCM_MAX_CLIENTS, unique names, no
 *                      more than CCM_MAX_PORTS ports together
 */
void ccm_port_map_make(const struct ccm_directory_client *mine, uint32_t n_mine,
	const struct ccm_directory_client *theirs, uint32_t n_theirs, struct ccm_port_map *out);

/**
 * Hash of a port map, the same on both nodes: names, port indices and lengths.
 *
 * @return never 0, not even for an empty map
 */
uint64_t ccm_port_map_hash(const struct ccm_port_map *map);
