/* SPDX-License-Identifier: BSD-3-Clause */

#include "partner_selftest.h"

#include "partner_record.h"
#include "partner_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEAT_US 5000
#define DETECT_US (20 * BEAT_US)
#define SETTLE_BEATS 200
#define ROUNDS 2000

static int failures;

static void
check(bool ok, const char *what)
{
	if (ok)
		return;
	failures++;
	printf("self-test: %s: FAILED\n", what);
}

/* ------------------------------------------------------------------------- formats */

static void
make_joined(struct map *map)
{
	static const struct client mine[] = {{"nvlog", 2, 16777216}, {"mon", 1, 4100},
		{"only-here", 5, UINT64_MAX}, {"small", 2, 8191}};
	static const struct client theirs[] = {{"small", 2, 9000}, {"mon", 3, 1 << 20},
		{"nvlog", 4, UINT64_MAX}, {"only-there", 1, 4096}};

	map_make(map, mine, 4, theirs, 4);
}

static void
check_hashes(void)
{
	static const uint8_t zero[] = {0xd5, 0x6b, 0xb9, 0x53, 0x42, 0x87, 0x08, 0x36};
	struct map map;

	check(crc32c("123456789", 9) == 0xe3069283, "CRC-32C");
	check(hash64("", 0) == 0xefd01f60ba992926, "hash64 of nothing");
	check(hash64("a", 1) == 0x82a2a958a9bece5b, "hash64 of a");
	check(hash64("lab", 3) == 0xb86add05a40f186b, "hash64 of lab");
	check(hash64(zero, sizeof(zero)) == 1, "hash64 where it is 0");
	map_make(&map, NULL, 0, NULL, 0);
	check(map_hash(&map) == 0x7bd3144f29c0cc9e, "hash of the empty map");
	make_joined(&map);
	check(map.n == 3 && map_hash(&map) == 0xafab7d7d28efe49c, "hash of a map");
}

/* What tests/data/ccm/make-vectors.py puts into the files of these names. */
static const struct record golden_search = {
	.seq = 1,
	.nonce = 0x0123456789abcdef,
	.boot_id = 0xfedcba9876543210,
	.cluster_hash = 0xb86add05a40f186b,
	.src_id = 1,
	.dst_id = 2,
	.version_min = 1,
	.version_max = 1,
	.path_mtu = 1024,
	.phase = PHASE_SEARCH,
	.reason = REASON_WAITING,
	.name = "node-a",
};

static const struct record golden_up = {
	.seq = 0x1122334455667788,
	.nonce = 0xa1a2a3a4a5a6a7a8,
	.echo = 0xb1b2b3b4b5b6b7b8,
	.boot_id = 0xc1c2c3c4c5c6c7c8,
	.features = 0xd1d2d3d4d5d6d7d8,
	.cluster_hash = 0x171554427fdbcd81,
	.map_hash = 0xafab7d7d28efe49c,
	.partner_seq = 0xe1e2e3e4e5e6e7e8,
	.beat = 0xf1f2f3f4f5f6f7f8,
	.dir_crc = 0x31323334,
	.dir_seen = 0x41424344,
	.boot_progress = 0x61626364,
	.start_psn = 0x717273,
	.sequences = 0x81828384,
	.beat_us = 9999999,
	.src_id = 0xfffe,
	.dst_id = 0xffff,
	.version_min = 0x0102,
	.version_max = 0x0304,
	.version = 0x0203,
	.path_mtu = 4096,
	.n_ports = 64,
	.boot_stage = 0x5152,
	.phase = PHASE_UP,
	.role = 1,
	.name = "a-name-of-thirty-one-characters",
};

static const struct directory golden_clients = {
	.nonce = 0x0123456789abcdef,
	.echo = 0xfedcba9876543210,
	.n_clients = 3,
	.clients = {{"nvlog", 2, 16777216}, {"mon", 1, 4100}, {"only-here", 5, UINT64_MAX}},
};

static const struct directory golden_ports = {
	.nonce = 0xa1a2a3a4a5a6a7a8,
	.echo = 0xb1b2b3b4b5b6b7b8,
	.n_clients = 2,
	.n_ports = 3,
	.clients = {{"mon", 3, 1 << 20},
		{"a-name-of-thirty-one-characters", 61, 0x0102030405060708}},
	.ports = {{0, 2, 2, 0, 1, 0, 1},
		{1, 60, 0xfffffe, 0xffffff, 0xffffffff, 0xf1f2f3f4f5f60000, 0x10000},
		{1, 0, 0x010203, 0x040506, 0x0708090a, UINT64_MAX - 4096, 4096}},
};

static void
check_record(const char *file, const uint8_t *bytes, size_t size, const struct record *golden)
{
	uint8_t again[RECORD_SIZE], damaged[RECORD_SIZE];
	struct record record;
	unsigned int i;

	check(size == RECORD_SIZE, file);
	if (size != RECORD_SIZE)
		return;
	check(record_decode(bytes, &record) == VERDICT_OK, file);
	record_encode(&record, again);
	check(memcmp(bytes, again, RECORD_SIZE) == 0, file);
	if (golden != NULL) {
		record_encode(golden, again);
		check(memcmp(bytes, again, RECORD_SIZE) == 0, file);
	}
	for (i = 0; i < RECORD_SIZE; i++) {
		memcpy(damaged, bytes, RECORD_SIZE);
		damaged[i] ^= 0x10;
		check(record_decode(damaged, &record) != VERDICT_OK, "a damaged record");
	}
}

static void
check_directory(const char *file, const uint8_t *bytes, size_t size, const struct directory *golden)
{
	static struct directory directory, copy;
	uint8_t again[DIRECTORY_MAX], damaged[DIRECTORY_MAX];
	unsigned int i;

	check(size <= DIRECTORY_MAX && directory_decode(bytes, size, &directory) == NULL, file);
	if (failures != 0)
		return;
	check(directory_encode(&directory, again) == size && memcmp(bytes, again, size) == 0, file);
	if (golden != NULL) {
		copy = *golden;
		check(directory_encode(&copy, again) == size && memcmp(bytes, again, size) == 0,
			file);
	}
	for (i = 0; i < size; i++) {
		memcpy(damaged, bytes, size);
		damaged[i] ^= 0x10;
		check(directory_decode(damaged, size, &directory) != NULL, "a damaged directory");
	}
}

/* Lines of "name value", see tests/data/ccm/hashes.txt. */
static void
check_hash_file(const char *file, char *text)
{
	char *line, *value, *rest = text;
	struct map map;
	uint64_t hash;

	while ((line = strsep(&rest, "\n")) != NULL) {
		value = strchr(line, ' ');
		if (line[0] == '#' || value == NULL)
			continue;
		*value++ = 0;
		if (strcmp(line, "hash-empty") == 0) {
			hash = hash64("", 0);
		} else if (strncmp(line, "hash-", 5) == 0) {
			hash = hash64(line + 5, strlen(line + 5));
		} else if (strcmp(line, "map-empty") == 0 || strcmp(line, "map-joined") == 0) {
			map.n = 0;
			if (strcmp(line, "map-joined") == 0)
				make_joined(&map);
			hash = map_hash(&map);
		} else {
			printf("self-test: %s: line '%s' is unknown\n", file, line);
			continue;
		}
		check(hash == strtoull(value, NULL, 0), line);
	}
}

static void
check_file(const char *file)
{
	static uint8_t bytes[DIRECTORY_MAX + 1];
	const char *base = strrchr(file, '/') != NULL ? strrchr(file, '/') + 1 : file;
	size_t size;
	FILE *stream;

	stream = fopen(file, "rb");
	if (stream == NULL) {
		perror(file);
		failures++;
		return;
	}
	size = fread(bytes, 1, sizeof(bytes) - 1, stream);
	fclose(stream);
	bytes[size] = 0;
	if (size >= 4 && memcmp(bytes, "ccmr", 4) == 0)
		check_record(file, bytes, size,
			strcmp(base, "record-up.bin") == 0		 ? &golden_up
				: strcmp(base, "record-search.bin") == 0 ? &golden_search
									 : NULL);
	else if (size >= 4 && memcmp(bytes, "ccmd", 4) == 0)
		check_directory(file, bytes, size,
			strcmp(base, "directory-ports.bin") == 0	     ? &golden_ports
				: strcmp(base, "directory-clients.bin") == 0 ? &golden_clients
									     : NULL);
	else
		check_hash_file(file, (char *)bytes);
}

/* ------------------------------------------------------------------------- the rules */

/* Two nodes in one memory. A lost or late WRITE and a restart are what the network may do. */
struct node {
	struct session session;
	struct node *other;
	bool running;
	bool silent; /* does not answer a READ */
	bool is_up;
	unsigned int n_ports;
	struct port theirs[MAX_PORTS];
	uint64_t out[RECORD_WORDS];
	uint64_t slot[RECORD_WORDS];
	uint8_t area[DIRECTORY_AREA];
	uint8_t late[RECORD_SIZE]; /* a WRITE into the slot that is still on its way */
	bool has_late;
};

static uint64_t sim_now;
static uint64_t sim_state = 88172645463325252;

static uint64_t
sim_random(void *arg)
{
	(void)arg;
	sim_state ^= sim_state << 13;
	sim_state ^= sim_state >> 7;
	sim_state ^= sim_state << 17;
	return sim_state;
}

static int
sim_make_ports(void *arg, const struct map *map, struct port *ports)
{
	struct node *node = arg;
	unsigned int i;

	check(node->n_ports == 0, "ports made twice");
	node->n_ports = map->n;
	for (i = 0; i < map->n; i++)
		ports[i] = (struct port){
			.qpn = (uint32_t)(sim_random(NULL) & 0xffff00) + i,
			.psn = (uint32_t)sim_random(NULL) & PSN_MAX,
			.rkey = (uint32_t)sim_random(NULL) | 1,
			.va = 0x1000,
			.length = map->entries[i].length,
		};
	for (i = 0; i < map->n; i++)
		if (ports[i].qpn < 2 || ports[i].qpn > 0xfffffe)
			ports[i].qpn = 0x100 + i;
	return 0;
}

static int
sim_connect_ports(void *arg, const struct port *theirs, unsigned int mtu)
{
	struct node *node = arg;

	check(mtu == 1024, "path MTU");
	memcpy(node->theirs, theirs, node->n_ports * sizeof(*theirs));
	return 0;
}

static void
sim_destroy_ports(void *arg)
{
	struct node *node = arg;

	node->n_ports = 0;
	node->is_up = false;
}

/* What R5 is for: whoever is told means ports that exist at this moment. */
static void
sim_up(void *arg)
{
	struct node *node = arg;

	node->is_up = true;
	check(node->other->running || node->other->silent, "up with a dead partner");
}

static void
sim_say(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static const struct session_ops sim_ops = {
	.make_ports = sim_make_ports,
	.connect_ports = sim_connect_ports,
	.destroy_ports = sim_destroy_ports,
	.up = sim_up,
	.random64 = sim_random,
	.say = sim_say,
};

static void
sim_publish(struct node *node)
{
	uint8_t bytes[RECORD_SIZE];

	session_record(&node->session, bytes);
	record_publish(node->out, bytes);
}

static void
sim_start(struct node *node, struct node *other, uint16_t id)
{
	struct session *session = &node->session;

	memset(node, 0, sizeof(*node));
	node->other = other;
	node->running = true;
	session->ops = &sim_ops;
	session->arg = node;
	session->my_id = id;
	session->partner_id = (uint16_t)(3 - id);
	session->path_mtu = id == 1 ? 4096 : 1024;
	session->cluster_hash = hash64("lab", 3);
	session->detect_us = DETECT_US;
	snprintf(session->name, sizeof(session->name), "%s", id == 1 ? "one" : "two");
	session->n_clients = 2;
	session->clients[0] = (struct client){"nvlog", 2, 1 << 20};
	session->clients[1] = (struct client){"other", 3, 1 << 20};
	if (id == 1)
		session->clients[1] = (struct client){"mon", 1, 1 << 20};
	session_start(session, sim_now);
	sim_publish(node);
}

static void
sim_stop(struct node *node)
{
	node->running = false;
	node->n_ports = 0;
	node->is_up = false;
	memset(node->out, 0, sizeof(node->out));
}

static bool
sim_chance(unsigned int percent)
{
	return sim_random(NULL) % 100 < percent;
}

static void
sim_beat(struct node *node, unsigned int loss)
{
	struct node *other = node->other;
	uint8_t bytes[RECORD_SIZE], slot[RECORD_SIZE];
	const uint8_t *directory;
	size_t length;

	if (!node->running)
		return;
	session_beat(&node->session);
	sim_publish(node);
	if (!other->silent && !sim_chance(loss)) {
		memcpy(bytes, other->out, RECORD_SIZE);
		record_snapshot(node->slot, slot);
		session_read(&node->session, bytes, slot, node->area, sizeof(node->area), sim_now);
		sim_publish(node);
		length = session_directory(&node->session, &directory);
		if (other->running && length != 0 && !sim_chance(loss))
			memcpy(other->area, directory, length);
		if (other->has_late && sim_chance(50)) {
			memcpy(other->slot, other->late, RECORD_SIZE);
			other->has_late = false;
		}
		if (other->running && sim_chance(loss)) {
			memcpy(other->late, node->out, RECORD_SIZE);
			other->has_late = true;
		} else if (other->running) {
			memcpy(other->slot, node->out, RECORD_SIZE);
		}
	} else {
		session_read_failed(&node->session);
	}
	session_tick(&node->session, sim_now);
}

static void
sim_run(struct node nodes[2], unsigned int beats, unsigned int loss)
{
	while (beats-- > 0) {
		sim_now += BEAT_US;
		if (!sim_chance(loss))
			sim_beat(&nodes[0], loss);
		if (!sim_chance(loss))
			sim_beat(&nodes[1], loss);
	}
}

static void
sim_check_up(const struct node *node)
{
	const struct session *session = &node->session, *other = &node->other->session;
	unsigned int i;

	check(session->phase == PHASE_UP && node->is_up, "both come up");
	check(session->bound == other->nonce, "both mean the same attempt");
	check(node->n_ports == 2, "ports of the map");
	for (i = 0; i < node->n_ports; i++)
		check(node->theirs[i].qpn == other->mine.ports[i].qpn &&
				node->theirs[i].psn == other->mine.ports[i].psn &&
				node->theirs[i].rkey == other->mine.ports[i].rkey,
			"ports are joined to those of the same attempt");
}

/* A node restarts, dies for a while, does not answer for a while, or ends its attempt. */
static void
sim_disturb(struct node nodes[2])
{
	struct node *node = &nodes[sim_random(NULL) & 1];

	switch (sim_random(NULL) % 6) {
	case 0:
		sim_start(node, node->other, node->session.my_id);
		break;
	case 1:
		sim_stop(node);
		sim_run(nodes, (unsigned int)(sim_random(NULL) % 40), 5);
		sim_start(node, node->other, node->session.my_id);
		break;
	case 2:
		node->silent = true;
		sim_run(nodes, (unsigned int)(sim_random(NULL) % 40), 5);
		node->silent = false;
		break;
	case 3:
		session_end(&node->session, REASON_PORT_ERROR);
		break;
	case 4:
		sim_start(&nodes[0], &nodes[1], 1);
		sim_start(&nodes[1], &nodes[0], 2);
		break;
	default:
		break;
	}
}

static void
check_rules(void)
{
	static struct node nodes[2];
	unsigned int round, i;

	sim_start(&nodes[0], &nodes[1], 1);
	sim_start(&nodes[1], &nodes[0], 2);
	sim_run(nodes, 12, 0);
	sim_check_up(&nodes[0]);
	sim_check_up(&nodes[1]);
	for (round = 0; round < ROUNDS && failures == 0; round++) {
		for (i = 0; i < 1 + round % 4; i++) {
			sim_disturb(nodes);
			sim_run(nodes, (unsigned int)(sim_random(NULL) % 12), round % 30);
		}
		sim_run(nodes, SETTLE_BEATS, 0);
		sim_check_up(&nodes[0]);
		sim_check_up(&nodes[1]);
	}
	session_leave(&nodes[0].session);
	sim_run(nodes, 2, 0);
	check(nodes[0].session.partner_let_go, "leaving is answered");
	check(nodes[1].session.phase == PHASE_SEARCH, "a partner that leaves ends the attempt");
	check(nodes[1].session.reason == REASON_PARTNER_LEAVING, "reason partner_leaving");
	sim_start(&nodes[0], &nodes[1], 1);
	nodes[0].session.cluster_hash = hash64("other", 5);
	sim_run(nodes, 4, 0);
	check(nodes[0].session.phase == PHASE_REFUSED && nodes[1].session.phase == PHASE_REFUSED &&
			nodes[1].session.reason == REASON_WRONG_CLUSTER,
		"another cluster is refused");
}

int
selftest(int n_files, char *const files[])
{
	int i;

	check_hashes();
	for (i = 0; i < n_files; i++)
		check_file(files[i]);
	check_rules();
	printf("self-test: %d files, %d failures\n", n_files, failures);
	return failures;
}
