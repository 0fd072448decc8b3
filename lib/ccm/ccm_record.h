/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * The bootstrap record: 256 bytes in which a node tells one partner all that the handshake needs.
 * It stands in the status variable (OUT) and is written into the partner's slot; both have this
 * one format. doc/wire-format.md is the layout byte by byte.
 *
 * Pure functions over the caller's memory, any thread; they neither block nor allocate.
 */

#include <stddef.h>
#include <stdint.h>

#include "ccm.h"

enum {
	CCM_RECORD_SIZE = 256, /* bytes: one packet at any path MTU */
	CCM_RECORD_LAYOUT_VERSION = 1,
	CCM_BEAT_US_MAX = 10 * 1000 * 1000,
};

/**
 * A record in host form. Each field's range is what ccm_record_decode() accepts; where none is
 * said, every value passes.
 */
struct ccm_record {
	uint64_t seq;	       /**< counts the sender's records, from 1; 0 is refused */
	uint64_t nonce;	       /**< the sender's attempt; not 0 */
	uint64_t echo;	       /**< the partner attempt that the sender means; 0: none yet */
	uint64_t boot_id;      /**< random per start of the sender */
	uint64_t features;     /**< bits offered */
	uint64_t cluster_hash; /**< ccm_hash64() of the cluster's name, without its zero */
	uint64_t map_hash;     /**< ccm_port_map_hash(); 0 until it is known */
	uint64_t partner_seq;  /**< last sequence number seen of the partner; 0: none */
	uint64_t beat;	       /**< beats of the sender: stands still when its control core hangs */
	uint32_t dir_crc;      /**< CRC of the directory that the sender offers; 0: none */
	uint32_t dir_seen;     /**< dir_crc of the partner's directory it holds valid; 0: none */
	uint16_t src_id;       /**< sender's node id, 1 to 65535 */
	uint16_t dst_id;       /**< node id that it is for, 1 to 65535 */
	uint16_t version_min;  /**< protocol versions offered: 1 to version_max */
	uint16_t version_max;
	uint16_t version;	 /**< agreed: version_min to version_max; 0: none yet */
	uint16_t path_mtu;	 /**< for client ports: 256, 512, 1024, 2048 or 4096 bytes */
	uint16_t n_ports;	 /**< the sender's ports for this attempt, 0 to CCM_MAX_PORTS */
	uint16_t boot_stage;	 /**< how far it has booted, up to boot_stages unless that is 0 */
	uint16_t boot_stages;	 /**< the stage that is the last; 0: it tells no stages */
	uint32_t boot_progress;	 /**< counts within the stage; the sender's own scale */
	uint32_t boot_budget_ms; /**< longest time without progress in this stage; 0: no limit */
	uint32_t boot_idle_ms;	 /**< since stage or progress last changed, by its own clock */
	uint32_t beat_us;	 /**< interval between beats, up to CCM_BEAT_US_MAX; 0: not told */
	char boot_name[CCM_NAME_LEN]; /**< name of the stage: as name; may be empty */
	uint8_t phase;		      /**< enum ccm_state, but never CCM_CLOSING */
	uint8_t reason;		 /**< enum ccm_reason; a newer partner may send values beyond it */
	uint8_t role;		 /**< enum ccm_role */
	uint32_t start_psn;	 /**< first PSN of the sender's running sequence, 24 bits */
	uint32_t sequences;	 /**< PSN sequences that the sender has begun; 0: none yet */
	char name[CCM_NAME_LEN]; /**< sender's name: 1 to 31 printable ASCII characters, then 0 */
};

/** What a record turned out to be; the first that applies, in this order. */
enum ccm_record_verdict {
	CCM_RECORD_OK,
	CCM_RECORD_EMPTY,  /**< all zeros: not started; or all ones: memory that nobody drives */
	CCM_RECORD_MAGIC,  /**< no record */
	CCM_RECORD_LAYOUT, /**< of another layout version or length */
	CCM_RECORD_TORN,   /**< front and back sequence differ: read while being written */
	CCM_RECORD_CRC,	   /**< damaged, or read while being written */
	CCM_RECORD_VALUE,  /**< intact, but a field is out of its range */
	CCM_RECORD_VERDICT_COUNT
};

/** Name for logs: lower case; "unknown" when out of range. */
const char *ccm_record_verdict_name(enum ccm_record_verdict verdict);

/**
 * Bring a record into wire form. Ranges are the caller's duty and are not checked; bytes of
 * rec->name behind its zero do not go out.
 */
void ccm_record_encode(const struct ccm_record *rec, uint8_t out[CCM_RECORD_SIZE]);

/**
 * Check a record that a partner wrote, which may be anything, and bring it into host form.
 * Who it is from, whom it is for and what it means is left to the caller.
 *
 * @param in   must not change during the call: see ccm_record_load()
 * @param out  written only when the verdict is CCM_RECORD_OK; then out->name is zero-filled
 */
enum ccm_record_verdict ccm_record_decode(const uint8_t in[CCM_RECORD_SIZE],
	struct ccm_record *out);

/**
 * Publish an encoded record in memory that other threads may copy at any time. Who copies a mix
 * of two records gets CCM_RECORD_TORN or CCM_RECORD_CRC from ccm_record_decode(). One writer at a
 * time; each record needs a sequence number of its own.
 *
 * @param shared  CCM_RECORD_SIZE bytes, 8-aligned
 */
void ccm_record_store(void *shared, const uint8_t rec[CCM_RECORD_SIZE]);

/**
 * Copy a record out of memory that another thread may write at any time. The copy may be a mix
 * of two records: ccm_record_decode() tells.
 *
 * @param shared  CCM_RECORD_SIZE bytes, 8-aligned
 */
void ccm_record_load(const void *shared, uint8_t out[CCM_RECORD_SIZE]);

/**
 * Hash of a byte string, the same on every node: FNV-1a with 64 bits, then the 64-bit finaliser
 * of MurmurHash3; 1 where that gives 0. Not cryptographic.
 *
 * @return never 0
 */
uint64_t ccm_hash64(const void *data, size_t len);
