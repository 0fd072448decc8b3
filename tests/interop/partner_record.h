/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The wire formats of the session, as doc/wire-format.md gives them: record (section 3), directory
 * (section 4) and port map (section 5). Written from that page alone, to show that it is enough;
 * it shares no code with the node.
 */

#ifndef PARTNER_RECORD_H
#define PARTNER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGION_SIZE 0x4000
#define OUT_OFFSET 0x0000
#define SLOT_OFFSET 0x1000
#define DIRECTORY_OFFSET 0x2000
#define DIRECTORY_AREA 0x2000

#define RECORD_SIZE 256
#define RECORD_WORDS (RECORD_SIZE / 8)
#define NAME_SIZE 32
#define MAX_CLIENTS 16
#define MAX_PORTS 64
#define DIRECTORY_MAX (64 * (1 + MAX_CLIENTS + MAX_PORTS))
#define PSN_MAX 0xffffff
#define BEAT_US_MAX 10000000

enum phase {
	PHASE_DOWN = 0,
	PHASE_SEARCH = 2,
	PHASE_BOUND,
	PHASE_PORTS,
	PHASE_READY,
	PHASE_UP,
	PHASE_REFUSED,
	PHASE_LEAVING,
};

enum reason {
	REASON_NONE,
	REASON_NO_ANSWER,
	REASON_LINK_DOWN,
	REASON_NOT_STARTED,
	REASON_BAD_RECORD,
	REASON_WRONG_NODE,
	REASON_WRONG_CLUSTER,
	REASON_VERSION,
	REASON_ACCESS,
	REASON_PARTNER_REFUSED,
	REASON_PARTNER_LEAVING,
	REASON_PARTNER_RESTARTED,
	REASON_PARTNER_WENT_BACK,
	REASON_PARTNER_HUNG,
	REASON_PORT_MAP,
	REASON_PORT_FAILED,
	REASON_CLIENTS_CHANGED,
	REASON_STOPPED,
	REASON_WAITING,
	REASON_PORT_ERROR,
};

enum verdict {
	VERDICT_OK,
	VERDICT_EMPTY,
	VERDICT_MAGIC,
	VERDICT_LAYOUT,
	VERDICT_TORN,
	VERDICT_CRC,
	VERDICT_VALUE,
};

struct record {
	uint64_t seq;
	uint64_t nonce;
	uint64_t echo;
	uint64_t boot_id;
	uint64_t features;
	uint64_t cluster_hash;
	uint64_t map_hash;
	uint64_t partner_seq;
	uint64_t beat;
	uint32_t dir_crc;
	uint32_t dir_seen;
	uint32_t boot_progress;
	uint32_t start_psn;
	uint32_t sequences;
	uint32_t beat_us;
	uint16_t src_id;
	uint16_t dst_id;
	uint16_t version_min;
	uint16_t version_max;
	uint16_t version;
	uint16_t path_mtu;
	uint16_t n_ports;
	uint16_t boot_stage;
	uint8_t phase;
	uint8_t reason;
	uint8_t role;
	char name[NAME_SIZE];
};

struct client {
	char name[NAME_SIZE];
	uint16_t ports;
	uint64_t memory;
};

struct port {
	uint16_t client;
	uint16_t index;
	uint32_t qpn;
	uint32_t psn;
	uint32_t rkey;
	uint64_t va;
	uint64_t length;
};

struct directory {
	uint64_t nonce;
	uint64_t echo;
	uint32_t crc;
	unsigned int n_clients;
	unsigned int n_ports;
	struct client clients[MAX_CLIENTS];
	struct port ports[MAX_PORTS];
};

struct map_entry {
	char name[NAME_SIZE];
	uint16_t index;
	uint64_t length;
	uint16_t client; /* index of the client in my list; not part of the hash */
};

struct map {
	unsigned int n;
	struct map_entry entries[MAX_PORTS];
};

uint32_t crc32c(const void *data, size_t length);

uint64_t hash64(const void *data, size_t length);

const char *phase_name(unsigned int phase);

const char *reason_name(unsigned int reason);

const char *verdict_name(enum verdict verdict);

void record_encode(const struct record *record, uint8_t bytes[RECORD_SIZE]);

/* The record is filled whenever magic, layout and CRC are right, even if a value is refused. */
enum verdict record_decode(const uint8_t bytes[RECORD_SIZE], struct record *record);

/* Put a record where the partner may read it at any moment. */
void record_publish(uint64_t memory[RECORD_WORDS], const uint8_t bytes[RECORD_SIZE]);

/* Copy a record from where the partner may write it at any moment. */
void record_snapshot(const uint64_t memory[RECORD_WORDS], uint8_t bytes[RECORD_SIZE]);

/* Returns the length, and sets the CRC field of the directory. */
size_t directory_encode(struct directory *directory, uint8_t bytes[DIRECTORY_MAX]);

/* Returns NULL if it is valid, otherwise what is wrong. The bytes must not change meanwhile. */
const char *directory_decode(const uint8_t *bytes, size_t size, struct directory *directory);

bool client_name_valid(const char *name);

void map_make(struct map *map, const struct client *mine, unsigned int n_mine,
	const struct client *theirs, unsigned int n_theirs);

uint64_t map_hash(const struct map *map);

#endif
