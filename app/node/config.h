/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Configuration of a node: one JSON file, loaded once into a plain struct. The keys, their units,
 * ranges and defaults are described in config/README.md and config/ccm.schema.json; the tables in
 * config.c are what decides.
 *
 * Everything that can be judged without touching the machine is judged here. Lcores, devices and
 * the memory that really is there are checked at start.
 */

#include "ccm.h"
#include "remu_port.h"

#include <stdbool.h>
#include <stdint.h>

struct json_t; /* Jansson's */

enum {
	NODE_CONFIG_FILE_MAX = 1 << 20, /* bytes: a larger file is refused unread */
	NODE_CONFIG_WAIT_MS = 1000,	/* longest wait for the next bytes of a pipe */
	NODE_CONFIG_ERROR_LEN = 1280,
	NODE_CONFIG_SUMMARY_LEN = 512,
	NODE_BOOT_STAGES_MAX = 32,
};

enum node_log_level {
	NODE_LOG_ERROR,
	NODE_LOG_WARNING,
	NODE_LOG_NOTICE,
	NODE_LOG_INFO,
	NODE_LOG_DEBUG,
	NODE_LOG_LEVELS,
};

struct node_port_config {
	uint8_t mac[6];
	uint16_t mtu; /* of IP: 576 to 9216 bytes */
	uint32_t ip;  /* host order */
	bool arp;     /* answer ARP requests for ip */
	enum remu_port_steering steering;
};

/* What the node does with a client's ports. */
enum node_client_kind {
	NODE_CLIENT_EXERCISE,			 /* moves test data over them, see exercise.h */
	NODE_CLIENT_TARGET,			 /* leaves them to the partner, see target.h */
	NODE_CLIENT_COUNT,			 /* in the file */
	NODE_CLIENT_PROGRAM = NODE_CLIENT_COUNT, /* nothing: the program registers it itself */
};

struct node_client {
	struct ccm_client_config ccm;
	enum node_client_kind kind;
};

struct node_boot_stage {
	char name[CCM_NAME_LEN];
	uint32_t budget_ms;   /* longest time without progress; 0: no limit */
	uint32_t script_ms;   /* script: it lasts so long; 0: until told */
	uint32_t progress_ms; /* script: progress after each such time; 0: none */
};

struct node_config {
	struct ccm_config ccm; /* path_mtu and features are left 0: they depend on the device */
	struct node_port_config port;
	struct node_client clients[CCM_MAX_CLIENTS];
	uint32_t n_clients;
	struct node_boot_stage boot_stages[NODE_BOOT_STAGES_MAX];
	uint32_t n_boot_stages;
	uint32_t idle_sleep_us; /* 0: poll without sleeping */
	uint8_t log_level;	/* enum node_log_level */
	uint64_t memory_limit;	/* bytes, for the ports of all clients towards all partners */
};

/* One line without a newline: "<file>: <key path>: <what is wrong>; allowed: <range>". */
struct node_config_error {
	char text[NODE_CONFIG_ERROR_LEN];
};

/*
 * Load and check a configuration file, or a pipe.
 *
 * Returns 0, -EINVAL when the content is not allowed, or the negative errno of reading it. On
 * failure err->text tells why and *out is all zeros; on success err->text is empty.
 */
int node_config_load(const char *path, struct node_config *out, struct node_config_error *err);

/* Bytes that the ports of all clients towards all partners take together. */
uint64_t node_config_memory(const struct node_config *cfg);

/*
 * A configuration as JSON, with what the file left out; it loads into the same again. The caller
 * owns it. Returns NULL when memory is out.
 */
struct json_t *node_config_json(const struct node_config *cfg);

/* Keys of which two configurations differ: path, values, whether a running node may change it. */
typedef void (*node_config_differ_fn)(void *ctx, const char *path, const char *was, const char *is,
	bool reload);
void node_config_compare(const struct node_config *was, const struct node_config *is,
	node_config_differ_fn fn, void *ctx);

/* Take over what a running node may change; of the rest both must be alike. Readers may go on. */
void node_config_reload(struct node_config *cfg, const struct node_config *from);

/* Names of the log levels, by enum node_log_level. */
extern const char *const node_log_levels[NODE_LOG_LEVELS];

/* Names of the ways to steer frames, by enum remu_port_steering. */
extern const char *const node_steerings[REMU_PORT_STEERING_COUNT];

/* Names of the kinds of clients, by enum node_client_kind. */
extern const char *const node_client_kinds[NODE_CLIENT_PROGRAM + 1];

/* What a configuration comes to, in one line without a newline. */
void node_config_summary(const struct node_config *cfg, char *out, size_t len);
