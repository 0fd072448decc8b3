/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"
#include "fields.h"
#include "quote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMBER(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define NODE(member) MEMBER(struct node_config, member)
#define PARTNER(member) MEMBER(struct ccm_partner_config, member)
#define CLIENT(member) MEMBER(struct node_client, member)
#define STAGE(member) MEMBER(struct node_boot_stage, member)
#define NOT_OWN(key, member) .own = key, .own_at = offsetof(struct node_config, member)
#define ELEMENTS(list, n) \
	.offset = offsetof(struct node_config, list), \
	.size = sizeof(((struct node_config *)0)->list[0]), \
	.count = offsetof(struct node_config, n)

#define NEED FIELD_REQUIRED
#define ONCE (FIELD_REQUIRED | FIELD_UNIQUE)
#define LIVE FIELD_RELOAD
#define NAME_MAX_LEN (CCM_NAME_LEN - 1)
#define VA_MIN 0x1000
#define VA_MAX (UINT64_MAX - CCM_REGION_SIZE + 1 - 0x1000) /* the region's end must not wrap */
#define RKEY_MAX (UINT32_MAX - CCM_REGION_KEYS + 1)
#define QPN_MIN 2 /* 0 and 1 are reserved for management, 0xffffff for multicast */
#define QPN_MAX 0xfffffe
#define BEAT_MIN 100
#define BEAT_MAX 10000000
#define BEATS_TO_DIE 3
#define DEAD_MIN (BEATS_TO_DIE * BEAT_MIN)
#define DEAD_MAX 100000000
#define RETRY_MIN 20
#define RETRY_MAX 1000000
#define DAY_MS 86400000
#define TIB (UINT64_C(1) << 40)
#define GIB (UINT64_C(1) << 30)

static const char *const role_names[CCM_ROLE_COUNT] = {
	[CCM_ROLE_STORAGE] = "storage",
	[CCM_ROLE_APPLICATION] = "application",
};

const char *const node_steerings[REMU_PORT_STEERING_COUNT] = {
	[REMU_PORT_STEERING_AUTO] = "auto",
	[REMU_PORT_STEERING_FLOW] = "flow",
	[REMU_PORT_STEERING_ISOLATE] = "isolate",
	[REMU_PORT_STEERING_NONE] = "none",
};

const char *const node_log_levels[NODE_LOG_LEVELS] = {
	[NODE_LOG_ERROR] = "error",
	[NODE_LOG_WARNING] = "warning",
	[NODE_LOG_NOTICE] = "notice",
	[NODE_LOG_INFO] = "info",
	[NODE_LOG_DEBUG] = "debug",
};

const char *const node_client_kinds[NODE_CLIENT_PROGRAM + 1] = {
	[NODE_CLIENT_EXERCISE] = "exercise",
	[NODE_CLIENT_TARGET] = "target",
	[NODE_CLIENT_PROGRAM] = "program",
};

/* clang-format off: one row per key: name, type, flags, min, max, default, member */
static const struct node_field node_fields[] = {
	{"id", FIELD_INTEGER, NEED, 1, UINT16_MAX, 0, NODE(ccm.node_id)},
	{"name", FIELD_NAME, NEED, 1, NAME_MAX_LEN, 0, NODE(ccm.name)},
	{"cluster", FIELD_NAME, NEED, 1, NAME_MAX_LEN, 0, NODE(ccm.cluster)},
	{"role", FIELD_ENUM, 0, 0, CCM_ROLE_COUNT - 1, CCM_ROLE_STORAGE, NODE(ccm.role),
		.names = role_names},
	{"memory_limit", FIELD_SIZE, 0, CCM_PORT_MEMORY_MIN, TIB, GIB, NODE(memory_limit)},
	{"log_level", FIELD_ENUM, LIVE, 0, NODE_LOG_LEVELS - 1, NODE_LOG_INFO, NODE(log_level),
		.names = node_log_levels},
	{.name = NULL},
};

static const struct node_field port_fields[] = {
	{"mac", FIELD_MAC, NEED, 0, 0, 0, NODE(port.mac)},
	{"ip", FIELD_IPV4, NEED, 0, 0, 0, NODE(port.ip)},
	{"mtu", FIELD_INTEGER, 0, 576, 9216, 1500, NODE(port.mtu)},
	{"arp", FIELD_BOOL, 0, 0, 1, true, NODE(port.arp)},
	{"steering", FIELD_ENUM, 0, 0, REMU_PORT_STEERING_COUNT - 1, REMU_PORT_STEERING_AUTO,
		NODE(port.steering), .names = node_steerings},
	{.name = NULL},
};

static const struct node_field bootstrap_fields[] = {
	{"va", FIELD_NUMBER, NEED, VA_MIN, VA_MAX, 0, NODE(ccm.va), .align = 4096},
	{"rkey", FIELD_NUMBER, NEED, 1, RKEY_MAX, 0, NODE(ccm.rkey)},
	{.name = NULL},
};

static const struct node_field partner_fields[] = {
	{"id", FIELD_INTEGER, ONCE, 1, UINT16_MAX, 0, PARTNER(id), NOT_OWN("node.id", ccm.node_id)},
	{"mac", FIELD_MAC, ONCE, 0, 0, 0, PARTNER(mac), NOT_OWN("port.mac", port.mac)},
	{"ip", FIELD_IPV4, ONCE, 0, 0, 0, PARTNER(ip), NOT_OWN("port.ip", port.ip)},
	{"qpn", FIELD_NUMBER, ONCE, QPN_MIN, QPN_MAX, 0, PARTNER(qpn)},
	{"remote_qpn", FIELD_NUMBER, NEED, QPN_MIN, QPN_MAX, 0, PARTNER(remote_qpn)},
	{"va", FIELD_NUMBER, NEED, VA_MIN, VA_MAX, 0, PARTNER(va), .align = 4096},
	{"rkey", FIELD_NUMBER, NEED, 1, RKEY_MAX, 0, PARTNER(rkey)},
	{"slot_rkey", FIELD_NUMBER, 0, 1, UINT32_MAX, 0, PARTNER(slot_rkey)},
	{"directory_rkey", FIELD_NUMBER, 0, 1, UINT32_MAX, 0, PARTNER(directory_rkey)},
	{.name = NULL},
};

static const struct node_field client_fields[] = {
	{"name", FIELD_NAME, ONCE, 1, NAME_MAX_LEN, 0, CLIENT(ccm.name)},
	{"ports", FIELD_INTEGER, NEED, 1, CCM_MAX_PORTS, 0, CLIENT(ccm.ports)},
	{"memory", FIELD_SIZE, NEED, CCM_PORT_MEMORY_MIN, TIB, 0, CLIENT(ccm.memory)},
	{"kind", FIELD_ENUM, 0, 0, NODE_CLIENT_COUNT - 1, NODE_CLIENT_EXERCISE, CLIENT(kind),
		.names = node_client_kinds},
	{.name = NULL},
};

static const struct node_field stage_fields[] = {
	{"name", FIELD_NAME, ONCE, 1, NAME_MAX_LEN, 0, STAGE(name)},
	{"budget_ms", FIELD_INTEGER, LIVE, 0, DAY_MS, 0, STAGE(budget_ms)},
	{"script_ms", FIELD_INTEGER, LIVE, 0, DAY_MS, 0, STAGE(script_ms)},
	{"progress_ms", FIELD_INTEGER, LIVE, 0, DAY_MS, 0, STAGE(progress_ms)},
	{.name = NULL},
};

static const struct node_field timing_fields[] = {
	{"beat_us", FIELD_INTEGER, 0, BEAT_MIN, BEAT_MAX, 1000, NODE(ccm.timing.beat_us)},
	{"dead_after_us", FIELD_INTEGER, 0, DEAD_MIN, DEAD_MAX, 10000,
		NODE(ccm.timing.dead_after_us)},
	{"retry_us", FIELD_INTEGER, 0, RETRY_MIN, RETRY_MAX, 200, NODE(ccm.timing.retry_us)},
	{"retry_cnt", FIELD_INTEGER, 0, 0, 7, 3, NODE(ccm.timing.retry_cnt)},
	{"search_us", FIELD_INTEGER, 0, BEAT_MIN, BEAT_MAX, 100000, NODE(ccm.timing.search_us)},
	{"idle_sleep_us", FIELD_INTEGER, LIVE, 0, 1000000, 0, NODE(idle_sleep_us)},
	{.name = NULL},
};

static const struct node_field protocol_fields[] = {
	{"version_min", FIELD_INTEGER, 0, 1, UINT16_MAX, CCM_VERSION_MIN, NODE(ccm.version_min)},
	{"version_max", FIELD_INTEGER, 0, 1, UINT16_MAX, CCM_VERSION_MAX, NODE(ccm.version_max)},
	{.name = NULL},
};

/* In the order of loading: what NOT_OWN refers to comes before the partners. */
static const struct node_field root_fields[] = {
	{"node", FIELD_OBJECT, NEED, .sub = node_fields},
	{"port", FIELD_OBJECT, NEED, .sub = port_fields},
	{"bootstrap", FIELD_OBJECT, NEED, .sub = bootstrap_fields},
	{"partners", FIELD_LIST, NEED, 1, CCM_MAX_PARTNERS, .sub = partner_fields,
		ELEMENTS(ccm.partners, ccm.n_partners)},
	{"clients", FIELD_LIST, 0, 0, CCM_MAX_CLIENTS, .sub = client_fields,
		ELEMENTS(clients, n_clients)},
	{"boot_stages", FIELD_LIST, 0, 0, NODE_BOOT_STAGES_MAX, .sub = stage_fields,
		ELEMENTS(boot_stages, n_boot_stages)},
	{"timing", FIELD_OBJECT, 0, .sub = timing_fields},
	{"protocol", FIELD_OBJECT, 0, .sub = protocol_fields},
	{.name = NULL},
};
/* clang-format on */

/* Keys that follow others where they are left out. */
static void
fill_in(struct ccm_config *cfg)
{
	for (uint32_t i = 0; i < cfg->n_partners; i++) {
		struct ccm_partner_config *p = &cfg->partners[i];

		if (p->slot_rkey == 0)
			p->slot_rkey = p->rkey + 1;
		if (p->directory_rkey == 0)
			p->directory_rkey = p->rkey + 2;
	}
}

static int
fail_errno(struct node_loader *l, const char *what)
{
	int err = errno;

	node_fail(l, ": %s: %s", what, strerror(err));
	return -err;
}

/* Read all of an open file or pipe into a buffer of NODE_CONFIG_FILE_MAX + 1 bytes. */
static int
read_all(struct node_loader *l, int fd, char *buf, size_t *len)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	ssize_t n;
	int rc;

	*len = 0;
	do {
		rc = poll(&ready, 1, NODE_CONFIG_WAIT_MS);
		if (rc == 0) {
			node_fail(l,
				": nothing to read within %d ms; allowed: a regular file, or "
				"a pipe that somebody writes to",
				NODE_CONFIG_WAIT_MS);
			return -ETIMEDOUT;
		}
		n = rc < 0 ? -1 : read(fd, buf + *len, NODE_CONFIG_FILE_MAX + 1 - *len);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return fail_errno(l, "cannot read");
		*len += n > 0 ? (size_t)n : 0;
		if (*len > NODE_CONFIG_FILE_MAX) {
			node_fail(l, ": file is too large; allowed: at most %s",
				node_size_text(NODE_CONFIG_FILE_MAX).s);
			return -EFBIG;
		}
	} while (n != 0);
	return 0;
}

static int
read_file(struct node_loader *l, const char *path, char *buf, size_t *len)
{
	/* O_NONBLOCK: opening a pipe without a writer, or a device, must not hang */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int rc;

	if (fd < 0)
		return fail_errno(l, "cannot open");
	if (fstat(fd, &st) < 0)
		rc = fail_errno(l, "cannot stat");
	else if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		rc = node_fail(l, ": is a %s; allowed: a regular file or a pipe",
			S_ISDIR(st.st_mode) ? "directory" : "special file");
	else
		rc = read_all(l, fd, buf, len);
	close(fd);
	return rc;
}

/* What the parser would misreport or let pass. */
static int
check_bytes(struct node_loader *l, const char *buf, size_t len)
{
	const char *nul = memchr(buf, '\0', len), *line = buf, *p;
	unsigned int lines = 1;

	if (len == 0)
		return node_fail(l, ":1:1: is empty; allowed: a JSON object");
	if (len >= 3 && memcmp(buf, "\xef\xbb\xbf", 3) == 0)
		return node_fail(l, ":1:1: byte order mark; allowed: UTF-8 without one");
	if (nul == NULL)
		return 0;
	for (p = buf; p < nul; p++) {
		if (*p == '\n') {
			lines++;
			line = p + 1;
		}
	}
	return node_fail(l, ":%u:%td: NUL byte; allowed: JSON text", lines, nul - line + 1);
}

static int
check_timing(struct node_loader *l, const struct ccm_timing *t)
{
	if (t->dead_after_us < BEATS_TO_DIE * t->beat_us)
		return node_fail_at(l, "timing.dead_after_us",
			"%u is less than %d times beat_us "
			"(%u); allowed: %u to %u",
			t->dead_after_us, BEATS_TO_DIE, t->beat_us, BEATS_TO_DIE * t->beat_us,
			DEAD_MAX);
	if (t->retry_us >= t->dead_after_us)
		return node_fail_at(l, "timing.retry_us",
			"%u is not less than dead_after_us (%u); "
			"allowed: %u to %u",
			t->retry_us, t->dead_after_us, RETRY_MIN, t->dead_after_us - 1);
	if (t->retry_us * (t->retry_cnt + 1u) >= t->dead_after_us)
		return node_fail_at(l, "timing.retry_us",
			"%u, sent %u times, is not less than dead_after_us "
			"(%u): one lost request would look like a dead partner; allowed: %u to %u",
			t->retry_us, t->retry_cnt + 1u, t->dead_after_us, RETRY_MIN,
			(t->dead_after_us - 1) / (t->retry_cnt + 1u));
	if (t->search_us < t->beat_us)
		return node_fail_at(l, "timing.search_us",
			"%u is less than beat_us (%u); "
			"allowed: %u to %u",
			t->search_us, t->beat_us, t->beat_us, BEAT_MAX);
	return 0;
}

static int
check_clients(struct node_loader *l, const struct node_config *cfg)
{
	uint64_t memory = node_config_memory(cfg);
	unsigned int ports = 0;
	uint32_t i;

	for (i = 0; i < cfg->n_clients; i++) {
		const struct ccm_client_config *c = &cfg->clients[i].ccm;
		char path[32];

		snprintf(path, sizeof(path), "clients[%u].memory", i);
		ports += c->ports;
		if (c->memory / c->ports < CCM_PORT_MEMORY_MIN)
			return node_fail_at(l, path,
				"%s is too little for %u ports; allowed: at least %s for each port",
				node_size_text(c->memory).s, c->ports,
				node_size_text(CCM_PORT_MEMORY_MIN).s);
	}
	if (ports > CCM_MAX_PORTS)
		return node_fail_at(l, "clients",
			"%u ports of all clients together are too many; "
			"allowed: at most %d",
			ports, CCM_MAX_PORTS);
	if (memory > cfg->memory_limit)
		return node_fail_at(l, "clients",
			"%s of memory for all clients and partners is too "
			"much; allowed: at most node.memory_limit, %s",
			node_size_text(memory).s, node_size_text(cfg->memory_limit).s);
	return 0;
}

static int
load_text(struct node_loader *l, struct node_config *cfg, const char *buf, size_t len)
{
	json_error_t error;
	json_t *root;
	char quoted[256];
	int rc = check_bytes(l, buf, len);

	if (rc != 0)
		return rc;
	root = json_loadb(buf, len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL)
		return node_fail(l, ":%d:%d: %s", error.line, error.column,
			json_error_code(&error) == json_error_null_character
				? "escaped NUL in a string"
				: node_quote(quoted, sizeof(quoted), error.text));
	l->text = buf;
	l->json = root;
	if (json_is_object(root))
		rc = node_fields_load(l, root_fields, root);
	else
		rc = node_fail_at(l, "", "is a list; allowed: a JSON object");
	cfg->ccm.features = CCM_FEATURES;
	if (rc == 0)
		rc = check_timing(l, &cfg->ccm.timing);
	if (rc == 0 && cfg->ccm.version_min > cfg->ccm.version_max)
		rc = node_fail_at(l, "protocol.version_min",
			"%u is greater than version_max (%u); allowed: 1 to %u",
			cfg->ccm.version_min, cfg->ccm.version_max, cfg->ccm.version_max);
	if (rc == 0)
		rc = check_clients(l, cfg);
	if (rc == 0)
		fill_in(&cfg->ccm);
	json_decref(root);
	return rc;
}

int
node_config_load(const char *path, struct node_config *out, struct node_config_error *err)
{
	struct node_loader l = {.root = out, .error = err->text, .error_len = sizeof(err->text)};
	char *buf = malloc(NODE_CONFIG_FILE_MAX + 2); /* one byte too many, and a NUL */
	size_t len = 0;
	int rc;

	memset(out, 0, sizeof(*out));
	err->text[0] = '\0';
	node_quote(l.file, sizeof(l.file), path);
	if (buf == NULL)
		return fail_errno(&l, "cannot read");
	rc = read_file(&l, path, buf, &len);
	if (rc == 0) {
		buf[len] = '\0';
		rc = load_text(&l, out, buf, len);
	}
	if (rc != 0)
		memset(out, 0, sizeof(*out));
	free(buf);
	return rc;
}

uint64_t
node_config_memory(const struct node_config *cfg)
{
	uint64_t sum = 0;
	uint32_t i;

	/* 16 clients of 1 TiB and 64 partners: 2^50 at most */
	for (i = 0; i < cfg->n_clients; i++)
		sum += cfg->clients[i].ccm.memory;
	return sum * cfg->ccm.n_partners;
}

json_t *
node_config_json(const struct node_config *cfg)
{
	return node_fields_dump(root_fields, cfg);
}

void
node_config_compare(const struct node_config *was, const struct node_config *is,
	node_config_differ_fn fn, void *ctx)
{
	node_fields_compare(root_fields, was, is, fn, ctx);
}

void
node_config_reload(struct node_config *cfg, const struct node_config *from)
{
	node_fields_reload(root_fields, cfg, from);
}

void
node_config_summary(const struct node_config *cfg, char *out, size_t len)
{
	const struct ccm_config *c = &cfg->ccm;
	unsigned int ports = 0;
	uint32_t i;

	for (i = 0; i < cfg->n_clients; i++)
		ports += cfg->clients[i].ccm.ports;
	snprintf(out, len,
		"node %u %s of cluster %s, %s, %u.%u.%u.%u; partners: %u; clients: %u; "
		"ports: %u; memory: %s of %s",
		c->node_id, c->name, c->cluster, role_names[c->role], cfg->port.ip >> 24,
		cfg->port.ip >> 16 & 0xff, cfg->port.ip >> 8 & 0xff, cfg->port.ip & 0xff,
		c->n_partners, cfg->n_clients, ports * c->n_partners,
		node_size_text(node_config_memory(cfg)).s, node_size_text(cfg->memory_limit).s);
}
