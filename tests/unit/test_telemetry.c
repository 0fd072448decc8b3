/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The telemetry commands against a made-up node. rte_telemetry is replaced by a model of the one
 * in DPDK 22.11: the same limits, but what it would refuse or cut off fails the test.
 */
#include "boot.h"
#include "capture.h"
#include "ccm.h"
#include "config.h"
#include "exercise.h"
#include "lcore.h"
#include "rdma_emul.h"
#include "reload.h"
#include "remu_port.h"
#include "telemetry.h"

#include <errno.h>
#include <jansson.h>
#include <rte_telemetry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	COMMANDS_MAX = 32,
	ANSWER_MAX = 16384, /* bytes with the command's name around it */
	ENGINES_MAX = 64,
	ODD_PARAMETERS = 50,
};

/* ---- the library ---- */

struct rte_tel_data {
	json_t *json; /* NULL: not started */
};

static struct {
	char name[56];
	telemetry_cb fn;
} commands[COMMANDS_MAX];
static uint32_t n_commands;
static int register_result;
static int n_allocated;
static int fail_after = -1; /* allocations; -1: none fails */

int
rte_telemetry_register_cmd(const char *cmd, telemetry_cb fn, const char *help)
{
	assert_true(n_commands < COMMANDS_MAX);
	assert_true(strlen(cmd) < sizeof(commands[0].name));
	assert_true(strlen(help) > 10 && strlen(help) < 64);
	if (register_result != 0)
		return register_result;
	snprintf(commands[n_commands].name, sizeof(commands[0].name), "%s", cmd);
	commands[n_commands++].fn = fn;
	return 0;
}

struct rte_tel_data *
rte_tel_data_alloc(void)
{
	if (fail_after == 0)
		return NULL;
	fail_after -= fail_after > 0;
	n_allocated++;
	return calloc(1, sizeof(struct rte_tel_data));
}

void
rte_tel_data_free(struct rte_tel_data *data)
{
	if (data == NULL)
		return;
	n_allocated--;
	json_decref(data->json);
	free(data);
}

int
rte_tel_data_start_dict(struct rte_tel_data *d)
{
	assert_null(d->json);
	d->json = json_object();
	return 0;
}

static int
set(struct rte_tel_data *d, const char *name, json_t *value)
{
	assert_true(json_is_object(d->json));
	assert_true(json_object_size(d->json) < RTE_TEL_MAX_DICT_ENTRIES);
	assert_true(strlen(name) > 0 && strlen(name) < RTE_TEL_MAX_STRING_LEN);
	for (const char *p = name; *p != '\0'; p++)
		assert_true(strchr("abcdefghijklmnopqrstuvwxyz0123456789_", *p) != NULL);
	assert_null(json_object_get(d->json, name));
	assert_int_equal(json_object_set_new(d->json, name, value), 0);
	return 0;
}

int
rte_tel_data_add_dict_string(struct rte_tel_data *d, const char *name, const char *val)
{
	assert_true(strlen(val) < RTE_TEL_MAX_STRING_LEN);
	return set(d, name, json_string(val));
}

int
rte_tel_data_add_dict_int(struct rte_tel_data *d, const char *name, int val)
{
	return set(d, name, json_integer(val));
}

int
rte_tel_data_add_dict_u64(struct rte_tel_data *d, const char *name, uint64_t val)
{
	/* jansson has no unsigned numbers; as long, and good enough. */
	return set(d, name, json_integer((json_int_t)val));
}

int
rte_tel_data_add_dict_container(struct rte_tel_data *d, const char *name, struct rte_tel_data *val,
	int keep)
{
	assert_int_equal(keep, 0);
	assert_non_null(val->json);
	set(d, name, json_incref(val->json));
	rte_tel_data_free(val);
	return 0;
}

/* ---- the node ---- */

static struct {
	struct node_config cfg;
	struct ccm_partner_status partners[CCM_MAX_PARTNERS];
	bool control_stuck;
	uint32_t n_ports;
	uint32_t n_clients;
	uint8_t client_states[CCM_MAX_PARTNERS];
	uint32_t n_events;
	uint32_t first_seq;
	struct remu_stats stats[ENGINES_MAX];
	uint32_t n_qps;
	uint32_t n_exercise;
	struct remu_port_info info;
	uint64_t big; /* value of counters that do not matter */
	uint64_t now;
} node;

static struct remu_engine *engines[ENGINES_MAX];
static struct data_lcore lcores[ENGINES_MAX];
static struct node_boot boot;
static _Atomic uint64_t control_ns;
static struct node_reload reload;
static struct telemetry_source source;

int
ccm_read_partner(const struct ccm *ccm, uint32_t index, struct ccm_partner_status *out)
{
	assert_ptr_equal(ccm, &node);
	if (index >= node.cfg.ccm.n_partners)
		return -ENOENT;
	if (node.control_stuck)
		return -EAGAIN;
	*out = node.partners[index];
	return 0;
}

uint32_t
ccm_read_ports(const struct ccm *ccm, uint32_t partner_index, struct ccm_port_status *out,
	uint32_t max)
{
	uint32_t n = node.n_ports < max ? node.n_ports : max;

	assert_ptr_equal(ccm, &node);
	assert_true(partner_index < node.cfg.ccm.n_partners);
	for (uint32_t i = 0; i < n; i++)
		out[i] = (struct ccm_port_status){
			.client = "a_name_of_31_characters_.-_.-_z",
			.port =
				{
					.partner_id = node.cfg.ccm.partners[partner_index].id,
					.index = (uint16_t)i,
					.qpn = 0xfffffe,
					.remote_qpn = 0xfffffd,
					.length = node.big,
					.remote_va = 0x10000000 + i,
					.remote_rkey = 0xfedcba98,
				},
			.connected = true,
			.posted = node.big,
			.completed = node.big,
			.errors = node.big,
		};
	return n;
}

uint32_t
ccm_read_clients(const struct ccm *ccm, struct ccm_client_status *out, uint32_t max)
{
	assert_ptr_equal(ccm, &node);
	assert_true(node.n_clients <= max);
	for (uint32_t i = 0; i < node.n_clients; i++) {
		out[i] = (struct ccm_client_status){
			.name = "a_name_of_31_characters_.-_.-_z",
			.ports = CCM_MAX_PORTS,
			.memory = node.big,
			.partners_up = CCM_MAX_PARTNERS,
			.ups = 1 + node.big,
			.downs = 2 + node.big,
			.posted = 3 + node.big,
			.completed = 4 + node.big,
			.errors = 5 + node.big,
		};
		memcpy(out[i].states, node.client_states, sizeof(out[i].states));
	}
	return node.n_clients;
}

uint32_t
ccm_read_events(const struct ccm *ccm, struct ccm_event *out, uint32_t max)
{
	uint32_t n = node.n_events < max ? node.n_events : max;

	assert_ptr_equal(ccm, &node);
	for (uint32_t i = 0; i < n; i++)
		out[i] = (struct ccm_event){
			.time_ns = node.now - 1500 * (n - i),
			.nonce = 0x123,
			.partner_nonce = UINT64_MAX,
			.seq = node.first_seq + i,
			.partner_id = 65535,
			.from = CCM_SEARCH,
			.to = CCM_REFUSED,
			.reason = CCM_REASON_PARTNER_RESTARTED,
		};
	return n;
}

static uint32_t
engine_index(const struct remu_engine *engine)
{
	uint32_t e = 0;

	while (engines[e] != engine)
		assert_true(++e < ENGINES_MAX);
	return e;
}

const struct remu_stats *
remu_engine_stats(const struct remu_engine *engine)
{
	return &node.stats[engine_index(engine)];
}

uint32_t
remu_engine_qps(const struct remu_engine *engine, uint32_t first, struct remu_qp_info *out,
	uint32_t max)
{
	uint32_t n = node.n_qps < max ? node.n_qps : max;

	assert_int_equal(first, 0);
	for (uint32_t i = 0; i < n; i++)
		out[i] = (struct remu_qp_info){
			.qpn = 0x800000 + i * ENGINES_MAX + engine_index(engine),
			.peer_qpn = 0xfffffe,
			.next_psn = 0xffffff,
			.una_psn = 0xfffffe,
			.epsn = 0xfffffd,
			.msn = 0xfffffc,
			.outstanding = 4096,
			.path_mtu = 4096,
			.state = REMU_QP_RTS,
			.bootstrap = 1,
		};
	return n;
}

const char *
remu_qp_state_name(uint8_t state)
{
	return state == REMU_QP_RTS ? "rts" : "?";
}

void
remu_port_info(const struct remu_port *port, struct remu_port_info *out)
{
	assert_ptr_equal(port, &node.info);
	*out = node.info;
}

bool
exercise_enabled(const struct exercise *ex)
{
	assert_ptr_equal(ex, &node.n_exercise);
	return true;
}

uint32_t
exercise_count(const struct exercise *ex)
{
	assert_ptr_equal(ex, &node.n_exercise);
	return node.n_exercise;
}

int
exercise_read(const struct exercise *ex, uint32_t index, struct exercise_status *out)
{
	assert_ptr_equal(ex, &node.n_exercise);
	if (index >= node.n_exercise)
		return -ENOENT;
	*out = (struct exercise_status){"a_name_of_31_characters_.-_.-_z", 65535, CCM_MAX_PORTS - 1,
		index % 2 == 0, 1 + node.big, 2 + node.big, 3 + node.big, 4 + node.big,
		5 + node.big};
	return 0;
}

void
node_reload_read(struct node_reload *r, struct node_reload_status *out)
{
	assert_ptr_equal(r, &reload);
	*out = r->status;
}

void
capture_read(const struct capture *c, struct capture_status *out)
{
	assert_ptr_equal(c, &node.big);
	*out = (struct capture_status){11, 12, 13, 14, ENOSPC};
}

const char *
node_reload_result_name(enum node_reload_result result)
{
	return result == NODE_RELOAD_REFUSED ? "refused" : "none";
}

static uint64_t
now_ns(void)
{
	return node.now;
}

/* A node of this size, all of it up. */
static void
make_node(uint32_t partners, uint32_t n_engines)
{
	memset(&node, 0, sizeof(node));
	node.now = UINT64_C(5000000000000);
	node.cfg.ccm = (struct ccm_config){
		.node_id = 65535,
		.role = CCM_ROLE_STORAGE,
		.name = "left",
		.cluster = "lab",
		.n_partners = partners,
	};
	node.cfg.port.ip = 0xc0000201;
	for (uint32_t i = 0; i < partners; i++) {
		node.cfg.ccm.partners[i] = (struct ccm_partner_config){
			.id = (uint16_t)(65000 - i),
			.mac = {2, 0, 0, 0xab, 0xcd, 0xef},
			.ip = 0xc0000202 + i,
			.va = 0x123456789000,
			.rkey = 0xc0ffee00,
		};
		node.partners[i] = (struct ccm_partner_status){
			.id = (uint16_t)(65000 - i),
			.state = CCM_UP,
			.partner_phase = CCM_UP,
			.partner_role = CCM_ROLE_APPLICATION,
			.since_ns = node.now - 7999999,
			.last_answer_ns = node.now + 5, /* the control core is ahead */
		};
	}
	source = (struct telemetry_source){
		.cfg = &node.cfg,
		.ccm = (struct ccm *)&node,
		.engines = engines,
		.lcores = lcores,
		.n_engines = n_engines,
		.port = (struct remu_port *)&node.info,
		.exercise = (struct exercise *)&node.n_exercise,
		.boot = &boot,
		.reload = &reload,
		.now_ns = now_ns,
		.start_ns = node.now - UINT64_C(61999999999),
		.control_ns = &control_ns,
	};
}

/* As much of everything as there can be, with the longest numbers. */
static void
make_large_node(void)
{
	make_node(CCM_MAX_PARTNERS, ENGINES_MAX);
	node.n_ports = CCM_MAX_PORTS;
	node.n_clients = CCM_MAX_CLIENTS;
	node.n_events = 256;
	node.first_seq = UINT32_MAX - 255;
	node.n_qps = 65;
	node.n_exercise = CCM_MAX_PARTNERS * CCM_MAX_PORTS;
	node.big = (uint64_t)INT64_MIN; /* 20 characters */
	memset(node.stats, 0x80, sizeof(node.stats));
	memset(&node.info, 0x80, sizeof(node.info));
	memset(node.info.name, '\\', sizeof(node.info.name) - 1);
	node.info.name[sizeof(node.info.name) - 1] = '\0';
	memset(node.info.driver, 1, sizeof(node.info.driver) - 1);
	node.info.driver[sizeof(node.info.driver) - 1] = '\0';
	memset(node.info.match, '\\', sizeof(node.info.match) - 1);
	node.info.match[sizeof(node.info.match) - 1] = '\0';
	memset(node.info.why, '\\', sizeof(node.info.why) - 1);
	node.info.why[sizeof(node.info.why) - 1] = '\0';
	node.info.steering = REMU_PORT_STEERING_ISOLATE;
	node.info.trouble = REMU_PORT_REMOVED;
	node.info.link_events = true;
	node.info.mac_set = node.info.promiscuous = node.info.rss = true;
	node.info.started = node.info.link_up = true;
	for (uint32_t i = 0; i < CCM_MAX_PARTNERS; i++) {
		memset(&node.partners[i], 0x80, sizeof(node.partners[i]));
		node.partners[i].last_down_reason = CCM_REASON_PARTNER_WENT_BACK;
		node.partners[i].since_ns = 0;
		node.partners[i].evidence.link_up = true;
		memset(node.partners[i].partner_boot.name, '\\', CCM_NAME_LEN - 1);
		node.partners[i].partner_boot.name[CCM_NAME_LEN - 1] = '\0';
		node.now = UINT64_MAX;
	}
}

/* ---- asking ---- */

/* What a command answers; the caller owns it. */
static json_t *
ask(const char *name, const char *params)
{
	struct rte_tel_data d = {0};
	uint32_t i = 0;
	char *text;

	while (strcmp(commands[i].name, name) != 0)
		assert_true(++i < n_commands);
	assert_int_equal(commands[i].fn(name, params, &d), 0);
	assert_int_equal(n_allocated, 0);
	assert_true(json_is_object(d.json));
	text = json_dumps(d.json, JSON_COMPACT);
	assert_true(strlen(text) + strlen(name) + strlen("{\"\":}") < ANSWER_MAX);
	free(text);
	return d.json;
}

/* Value of a path of keys, separated by dots, as text; in one of a few static buffers. */
static const char *
text_of(const json_t *json, const char *path)
{
	static char texts[4][128];
	static uint32_t turn;
	char *out = texts[turn++ % 4];
	char key[64];

	while (json != NULL && *path != '\0') {
		size_t len = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		json = json_object_get(json, key);
		path += len + (path[len] == '.');
	}
	if (json_is_string(json))
		snprintf(out, sizeof(texts[0]), "%s", json_string_value(json));
	else if (json_is_integer(json))
		snprintf(out, sizeof(texts[0]), "%lld", json_integer_value(json));
	else
		snprintf(out, sizeof(texts[0]), json == NULL ? "nothing" : "object");
	return out;
}

/* Pairs of path and value, up to NULL. */
static void
check(const char *name, const char *params, const char *const *want)
{
	json_t *json = ask(name, params);

	for (; *want != NULL; want += 2) {
		const char *got = text_of(json, want[0]);

		if (strcmp(got, want[1]) != 0)
			fail_msg("%s,%s: %s is %s, not %s", name, params != NULL ? params : "",
				want[0], got, want[1]);
	}
	json_decref(json);
}

#define CHECK(name, params, ...) check(name, params, (const char *const[]){__VA_ARGS__, NULL})

/* Follow "next" through all pages. Returns how many elements there were, all of them different. */
static uint32_t
count_pages(const char *name, const char *prefix, const char *list, uint32_t *pages)
{
	json_t *all = json_object();
	char params[64] = "";
	uint32_t n = 0;

	*pages = 0;
	for (bool more = true; more; (*pages)++) {
		json_t *json = ask(name, params[0] != '\0' ? params : NULL);
		json_t *elements = json_object_get(json, list);

		assert_true(json_is_object(elements));
		if (json_object_get(json, "next") != NULL)
			assert_true(json_object_size(elements) > 0);
		n += (uint32_t)json_object_size(elements);
		json_object_update(all, elements);
		more = json_object_get(json, "next") != NULL;
		snprintf(params, sizeof(params), "%s%s", prefix, text_of(json, "next"));
		json_decref(json);
		assert_true(*pages < 10000);
	}
	assert_int_equal(json_object_size(all), n);
	json_decref(all);
	return n;
}

static void
test_commands(void **state)
{
	static const char *const names[] = {"/ccm/status", "/ccm/partners", "/ccm/partner",
		"/ccm/clients", "/ccm/ports", "/ccm/events", "/ccm/timing", "/ccm/exercise",
		"/ccm/boot", "/ccm/boot/stage", "/ccm/config", "/ccm/reload", "/ccm/capture",
		"/remu/stats", "/remu/qps", "/remu/drops", "/remu/port"};

	(void)state;
	make_node(1, 1);
	assert_int_equal(n_commands, sizeof(names) / sizeof(names[0]));
	for (uint32_t i = 0; i < n_commands; i++)
		json_decref(ask(names[i], NULL));
	register_result = -EINVAL;
	assert_int_equal(node_telemetry_register(&source), -EINVAL);
	register_result = 0;
}

static void
test_status(void **state)
{
	char pid[16];

	(void)state;
	make_node(3, 1);
	snprintf(pid, sizeof(pid), "%d", getpid());
	CHECK("/ccm/status", NULL, "id", "65535", "name", "left", "cluster", "lab", "role",
		"storage", "state", "up", "partners", "3", "partners_up", "3", "uptime_s", "61",
		"pid", pid, "version", CCM_PROGRAM_VERSION);
	node.partners[1].state = CCM_READY;
	CHECK("/ccm/status", NULL, "state", "degraded", "partners_up", "2");
	node.partners[0].state = CCM_SEARCH;
	CHECK("/ccm/status", NULL, "state", "degraded", "partners_up", "1");
	node.partners[2].state = CCM_CLOSING;
	CHECK("/ccm/status", NULL, "state", "down", "partners_up", "0");
	atomic_store(&control_ns, 0);
	CHECK("/ccm/status", NULL, "control_age_ms", "-1");
	atomic_store(&control_ns, node.now + 7); /* ahead of us */
	CHECK("/ccm/status", NULL, "control_age_ms", "0");
	atomic_store(&control_ns, node.now - UINT64_C(2500999999));
	CHECK("/ccm/status", NULL, "control_age_ms", "2500");
	make_node(3, 1);
	node.control_stuck = true;
	CHECK("/ccm/status", NULL, "state", "down", "partners_up", "0");
}

static void
test_partner(void **state)
{
	(void)state;
	make_node(2, 1);
	node.partners[1] = (struct ccm_partner_status){
		.id = 64999,
		.state = CCM_UP,
		.reason = CCM_REASON_WAITING,
		.last_down_reason = CCM_REASON_PARTNER_HUNG,
		.partner_phase = CCM_READY,
		.partner_reason = CCM_REASON_PORT_MAP,
		.partner_role = CCM_ROLE_APPLICATION,
		.partner_version_min = 1,
		.partner_version_max = 3,
		.version = 2,
		.path_mtu = 1024,
		.verdict = CCM_VERDICT_STUCK,
		.advice = CCM_ADVICE_TAKE_OVER,
		.partner_boot =
			{.stage = 4, .stages = 9, .progress = 6, .budget_ms = 700, .name = "mount"},
		.judged_ns = node.now - 1000,
		.evidence = {.answer_age_ns = 2000, .beat_age_ns = CCM_NEVER, .link_up = true},
		.n_ports = 5,
		.qpn = 7,
		.remote_qpn = 8,
		.features = 0xf,
		.nonce = UINT64_MAX,
		.partner_nonce = 0xabcdef,
		.partner_boot_id = 9,
		.attempts = 10,
		.sessions = 11,
		.beats = 12,
		.reads_failed = 13,
		.writes_failed = 14,
		.records_bad = 15,
		.conflicts = 16,
		.partner_beat_us = 1700,
		.version_min = 18,
		.version_max = 19,
		.since_ns = node.now - 123999999,
		.last_answer_ns = node.now - 4000000,
		.setup_ns = 45500,
	};
	CHECK("/ccm/partner", "64999", "id", "64999", "state", "up", "reason", "waiting",
		"last_down_reason", "partner_hung", "partner_state", "ready", "partner_reason",
		"port_map", "role", "application", "version", "2", "path_mtu", "1024", "boot_stage",
		"4", "boot_progress", "6", "boot_stages", "9", "boot_budget_ms", "700", "boot_name",
		"mount", "verdict", "stuck", "advice", "take_over", "answer_age_us", "3",
		"beat_age_us", "-1", "link_up", "1", "since_ms", "123", "last_answer_ms", "4",
		"sessions", "11", "attempts", "10", "beats", "12", "reads_failed", "13",
		"writes_failed", "14", "records_bad", "15", "setup_us", "46", "nonce",
		"0xffffffffffffffff", "partner_nonce", "0x0000000000abcdef", "ports", "5", "mac",
		"02:00:00:ab:cd:ef", "ip", "192.0.2.3", "va", "0x0000123456789000", "rkey",
		"0xc0ffee00", "qpn", "7", "remote_qpn", "8", "version_min", "18", "version_max",
		"19", "partner_version_min", "1", "partner_version_max", "3", "conflicts", "16",
		"beat_us", "1700", "features", "0x000000000000000f", "boot_id",
		"0x0000000000000009", "error", "nothing");
	CHECK("/ccm/partners", NULL, "total", "2", "next", "nothing", "partners.partner_64999.id",
		"64999", "partners.partner_64999.nonce", "0xffffffffffffffff",
		"partners.partner_65000.last_answer_ms", "0", "partners.partner_65000.since_ms",
		"7");
	CHECK("/ccm/partners", "1", "partners.partner_64999.id", "64999", "partners.partner_65000",
		"nothing");
	CHECK("/ccm/partners", "2", "partners", "object", "partners.partner_65000", "nothing");
	node.partners[1].last_answer_ns = 0;
	CHECK("/ccm/partner", "64999", "last_answer_ms", "-1", "role", "unknown", "partner_state",
		"unknown");
	CHECK("/ccm/partner", "1", "error", "no such partner", "id", "nothing");
	CHECK("/ccm/partner", NULL, "error", "give a partner's id: /ccm/partner,ID");
	node.control_stuck = true;
	CHECK("/ccm/partner", "64999", "error", "the control core stands still", "id", "nothing");
	CHECK("/ccm/partners", NULL, "partners.partner_64999.error",
		"the control core stands still");
}

static void
test_clients_and_ports(void **state)
{
	(void)state;
	make_node(2, 1);
	node.n_clients = 2;
	node.n_ports = 3;
	node.big = 77;
	node.client_states[0] = CCM_CLIENT_REFUSED;
	node.client_states[1] = CCM_CLIENT_WAITING;
	CHECK("/ccm/clients", NULL, "total", "2", "clients.client_1.name",
		"a_name_of_31_characters_.-_.-_z", "clients.client_1.memory_bytes", "77",
		"clients.client_1.partners_up", "64", "clients.client_2", "nothing", "next",
		"nothing", "clients.client_1.kind", "program");
	CHECK("/ccm/clients", "1", "clients.client_0", "nothing", "clients.client_1.ups", "78",
		"clients.client_1.downs", "79", "clients.client_1.posted", "80",
		"clients.client_1.completed", "81", "clients.client_1.errors", "82",
		"clients.client_1.partners.partner_65000", "refused",
		"clients.client_1.partners.partner_64999", "waiting",
		"clients.client_1.partners_refused", "1", "clients.client_1.partners_waiting", "1",
		"clients.client_1.partners_connecting", "0", "clients.client_1.partners_no_session",
		"0");
	CHECK("/ccm/clients", "2", "total", "2", "clients.client_1", "nothing");
	/* The kind is that of the client of this name, wherever it stands in the file. */
	node.cfg.n_clients = 2;
	node.cfg.clients[0] = (struct node_client){.ccm.name = "other"};
	node.cfg.clients[1] = (struct node_client){
		.ccm.name = "a_name_of_31_characters_.-_.-_z",
		.kind = NODE_CLIENT_TARGET,
	};
	CHECK("/ccm/clients", NULL, "clients.client_0.kind", "target");
	CHECK("/ccm/ports", NULL, "total", "6", "next", "nothing",
		"ports.partner_65000_port_0.index", "0", "ports.partner_64999_port_2.partner_id",
		"64999", "ports.partner_64999_port_2.qpn", "16777214",
		"ports.partner_64999_port_2.remote_qpn", "16777213",
		"ports.partner_64999_port_2.length_bytes", "77",
		"ports.partner_64999_port_2.remote_va", "0x0000000010000002",
		"ports.partner_64999_port_2.remote_rkey", "0xfedcba98",
		"ports.partner_64999_port_2.connected", "1");
	CHECK("/ccm/ports", "0,4", "total", "6", "ports.partner_64999_port_0", "nothing",
		"ports.partner_64999_port_1", "object");
	CHECK("/ccm/ports", "64999", "total", "3", "ports.partner_65000_port_0", "nothing",
		"ports.partner_64999_port_0", "object");
	CHECK("/ccm/ports", "64999,1", "total", "3", "ports.partner_64999_port_0", "nothing",
		"ports.partner_64999_port_1", "object");
	CHECK("/ccm/ports", "64999,3", "total", "3", "ports", "object");
	CHECK("/ccm/ports", "3", "error", "no such partner", "ports", "nothing");
}

static void
test_events(void **state)
{
	(void)state;
	make_node(1, 1);
	node.n_events = 3;
	node.first_seq = 1;
	CHECK("/ccm/events", NULL, "total", "3", "events.event_3.age_us", "2",
		"events.event_3.uptime_us", "61999998", "events.event_1.seq", "1",
		"events.event_1.from", "search", "events.event_1.to", "refused",
		"events.event_1.reason", "partner_restarted", "events.event_1.partner_id", "65535",
		"events.event_1.nonce", "0x0000000000000123", "events.event_1.partner_nonce",
		"0xffffffffffffffff");
	CHECK("/ccm/events", "2", "events.event_3", "nothing", "events.event_2", "object");
	CHECK("/ccm/events", "0", "events", "object", "events.event_1", "nothing");
}

static void
test_boot(void **state)
{
	(void)state;
	make_node(1, 1);
	CHECK("/ccm/boot", NULL, "stage", "0", "name", "", "total", "0");
	CHECK("/ccm/boot/stage", "kernel", "error",
		"no such stage: see boot_stages in the configuration");
	node.cfg.boot_stages[0] = (struct node_boot_stage){.name = "kernel", .budget_ms = 5};
	node.cfg.boot_stages[1] = (struct node_boot_stage){.name = "running"};
	node.cfg.n_boot_stages = 2;
	node_boot_init(&boot, &node.cfg, 0);
	CHECK("/ccm/boot", NULL, "stage", "1", "name", "kernel", "progress", "0", "budget_ms", "5",
		"total", "2", "stages", "object");
	CHECK("/ccm/boot/stage", "running,4294967295", "name", "running", "progress", "4294967295");
	CHECK("/ccm/boot", NULL, "stage", "1"); /* the control core has not seen it yet */
	assert_true(node_boot_poll(&boot, 1));
	CHECK("/ccm/boot", NULL, "stage", "2", "name", "running", "progress", "4294967295");
	CHECK("/ccm/boot/stage", "", "error", "a name is missing");
	CHECK("/ccm/boot/stage", "run", "error",
		"no such stage: see boot_stages in the configuration");
	CHECK("/ccm/boot/stage", "running,", "error",
		"a parameter is not a decimal number of 32 bits");
	CHECK("/ccm/boot/stage", "running,1,2", "error", "too many parameters");
	assert_false(node_boot_poll(&boot, 2));
}

static void
test_timing(void **state)
{
	(void)state;
	make_node(1, 1);
	node.partners[0].step_ns[CCM_STEP_READ1] = 1499;
	node.partners[0].step_ns[CCM_STEP_READY] = 1500;
	node.partners[0].setup_ns = 999;
	CHECK("/ccm/timing", NULL, "partners.partner_65000.read_one_us", "1",
		"partners.partner_65000.read_one_ns", "1499", "partners.partner_65000.ready_us",
		"2", "partners.partner_65000.ready_ns", "1500",
		"partners.partner_65000.write_two_ns", "0", "partners.partner_65000.setup_us", "1",
		"partners.partner_65000.setup_ns", "999");
}

static void
test_exercise(void **state)
{
	(void)state;
	make_node(1, 1);
	node.n_exercise = 3;
	CHECK("/ccm/exercise", NULL, "enabled", "1", "total", "3", "up", "2", "sessions", "3",
		"rounds", "6", "verified_bytes", "9", "mismatches", "12", "errors", "15",
		"ports.port_2.partner_id", "65535", "ports.port_2.index", "63", "ports.port_2.up",
		"1", "ports.port_1.up", "0", "ports.port_2.verified_bytes", "3",
		"ports.port_2.client", "a_name_of_31_characters_.-_.-_z");
	CHECK("/ccm/exercise", "2", "rounds", "6", "ports.port_1", "nothing", "ports.port_2",
		"object");
}

static void
test_engines(void **state)
{
	(void)state;
	make_node(1, 2);
	node.n_qps = 2;
	node.stats[0] = (struct remu_stats){.rx_packets = 1, .resyncs = 3};
	node.stats[1] = (struct remu_stats){.rx_packets = 10, .tx_bytes = 5};
	node.stats[0].drops[REMU_DROP_NONE] = 1000;
	node.stats[0].drops[REMU_DROP_ICRC] = 4;
	node.stats[1].drops[REMU_DROP_ICRC] = 5;
	node.stats[1].drops[REMU_DROP_SYNDROME] = 6;
	CHECK("/remu/stats", NULL, "rx_packets", "11", "tx_bytes", "5", "resyncs", "3", "drops",
		"15", "total_engines", "2", "engines.engine_0.rx_packets", "1",
		"engines.engine_1.rx_packets", "10", "engines.engine_1.wc_error", "0");
	CHECK("/remu/stats", "1", "rx_packets", "11", "engines.engine_0", "nothing");
	CHECK("/remu/drops", NULL, "none", "nothing", "icrc", "9",
		remu_drop_name(REMU_DROP_SYNDROME), "6", "runt", "0");
	CHECK("/remu/qps", NULL, "total", "4", "qps.qp_8388608.engine", "0",
		"qps.qp_8388609.engine", "1", "qps.qp_8388673.state", "rts",
		"qps.qp_8388673.peer_qpn", "16777214", "qps.qp_8388673.next_psn", "16777215",
		"qps.qp_8388673.epsn", "16777213", "qps.qp_8388673.path_mtu", "4096",
		"qps.qp_8388673.bootstrap", "1");
	CHECK("/remu/qps", "3", "qps.qp_8388608", "nothing", "qps.qp_8388673", "object");
}

static void
test_drop_names(void **state)
{
	json_t *json;

	(void)state;
	make_node(1, 1);
	json = ask("/remu/drops", NULL);
	assert_int_equal(json_object_size(json), REMU_DROP_COUNT - 1);
	json_decref(json);
}

static void
test_port(void **state)
{
	(void)state;
	make_node(1, 2);
	node.info = (struct remu_port_info){
		.name = "net_memif0",
		.driver = "net_memif",
		.n_queues = 2,
		.mtu = 1500,
		.mac = {2, 0, 0, 0, 0, 0x1f},
		.link_up = true,
		.link_mbps = UINT32_MAX,
		.rx_offloads = 0x8000000000000000,
		.rx_missed = 12,
		.steering = REMU_PORT_STEERING_ISOLATE,
		.rules = 2,
		.match = "MAC address and UDP port 4791",
		.why = "queues: the device has no RSS",
		.trouble = REMU_PORT_REMOVED,
	};
	CHECK("/remu/port", NULL, "name", "net_memif0", "driver", "net_memif", "queues", "2",
		"mtu_bytes", "1500", "mac", "02:00:00:00:00:1f", "ip", "192.0.2.1", "link_up", "1",
		"started", "0", "link_mbps", "-1", "rx_offloads", "0x8000000000000000", "rx_missed",
		"12", "tx_errors", "0", "handed_over", "0");
	CHECK("/remu/port", NULL, "steering", "isolate", "steering_rules", "2", "steering_match",
		"MAC address and UDP port 4791", "steering_why", "queues: the device has no RSS",
		"filter", "rules", "trouble", "removed", "rss_types", "0x0000000000000000");
	node.info.steering = REMU_PORT_STEERING_NONE;
	node.info.mac_set = true;
	CHECK("/remu/port", NULL, "steering", "none", "filter", "mac");
	node.info.promiscuous = true;
	CHECK("/remu/port", NULL, "filter", "software");
	lcores[0].counters = (struct data_counters){1, 2, 3};
	lcores[1].counters = (struct data_counters){10, 20, 30};
	CHECK("/remu/port", NULL, "handed_over", "11", "inbox_full", "22", "tx_stalled", "33");
	node.info.link_mbps = 400000;
	CHECK("/remu/port", NULL, "link_mbps", "400000");
}

static void
test_config(void **state)
{
	(void)state;
	make_node(3, 1);
	node.cfg.ccm.timing.beat_us = 700;
	node.cfg.idle_sleep_us = 50;
	node.cfg.port.arp = true;
	node.cfg.memory_limit = 3 << 20;
	node.cfg.ccm.va = 0x100000;
	CHECK("/ccm/config", NULL, "node.id", "65535", "node.cluster", "lab", "node.memory_limit",
		"3MiB", "port.ip", "192.0.2.1", "port.arp", "1", "bootstrap.va", "0x100000",
		"timing.beat_us", "700", "timing.idle_sleep_us", "50", "partners_count", "3",
		"clients_count", "0", "error", "nothing");
}

/* Long texts come in parts; with as many quotes as there can be they still fit. */
static void
test_reload(void **state)
{
	char text[NODE_RELOAD_TEXT_LEN] = "";
	json_t *json, *part;
	const char *key;

	(void)state;
	make_node(1, 1);
	reload.status = (struct node_reload_status){0};
	CHECK("/ccm/reload", NULL, "count", "0", "result", "none", "age_ms", "-1");
	reload.status = (struct node_reload_status){
		.count = 2,
		.result = NODE_RELOAD_REFUSED,
		.when_ns = node.now - 2500000,
	};
	memset(reload.status.text, '"', sizeof(reload.status.text) - 1);
	json = ask("/ccm/reload", NULL);
	assert_string_equal(text_of(json, "result"), "refused");
	assert_string_equal(text_of(json, "age_ms"), "2");
	json_object_foreach (json_object_get(json, "text"), key, part)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s",
			json_string_value(part));
	assert_string_equal(text, reload.status.text);
	json_decref(json);
}

static void
test_capture(void **state)
{
	char file[CAPTURE_FILE_LEN];

	(void)state;
	make_node(1, 1);
	CHECK("/ccm/capture", NULL, "active", "0", "frames", "nothing");
	memset(file, '"', sizeof(file) - 1);
	file[sizeof(file) - 1] = '\0';
	source.capture = (struct capture *)&node.big;
	source.capture_file = file;
	source.capture_bytes = 1 << 20;
	CHECK("/ccm/capture", NULL, "active", "1", "frames", "11", "bytes", "12", "dropped", "13",
		"files", "14", "max_bytes", "1048576", "problem", "No space left on device");
	source.capture_file = "/tmp/x.pcapng";
	CHECK("/ccm/capture", NULL, "file.part_0", "/tmp/x.pcapng", "file.part_1", "nothing");
}

static void
test_pages(void **state)
{
	uint32_t pages;

	(void)state;
	make_large_node();
	assert_int_equal(count_pages("/ccm/partners", "", "partners", &pages), CCM_MAX_PARTNERS);
	assert_in_range(pages, 2, 8);
	assert_int_equal(count_pages("/ccm/timing", "", "partners", &pages), CCM_MAX_PARTNERS);
	assert_in_range(pages, 2, 5);
	memset(node.client_states, CCM_CLIENT_CONNECTING, sizeof(node.client_states));
	assert_int_equal(count_pages("/ccm/clients", "", "clients", &pages), CCM_MAX_CLIENTS);
	assert_true(pages > 1);
	assert_int_equal(count_pages("/ccm/ports", "0,", "ports", &pages),
		CCM_MAX_PARTNERS * CCM_MAX_PORTS);
	assert_int_equal(count_pages("/ccm/events", "", "events", &pages), 256);
	assert_in_range(pages, 3, 6);
	assert_int_equal(count_pages("/ccm/exercise", "", "ports", &pages),
		CCM_MAX_PARTNERS * CCM_MAX_PORTS);
	assert_int_equal(count_pages("/remu/stats", "", "engines", &pages), ENGINES_MAX);
	assert_int_equal(count_pages("/remu/qps", "", "qps", &pages), ENGINES_MAX * 65);
	for (uint32_t i = 0; i < n_commands; i++)
		json_decref(ask(commands[i].name, NULL));
	json_decref(ask("/ccm/partner", "65000"));
}

/* No snapshot of any partner: each has its error. */
static void
test_control_stuck(void **state)
{
	uint32_t pages;

	(void)state;
	make_node(CCM_MAX_PARTNERS, 1);
	node.control_stuck = true;
	assert_int_equal(count_pages("/ccm/partners", "", "partners", &pages), CCM_MAX_PARTNERS);
	assert_int_equal(pages, 1);
}

static const char *const odd_parameters[ODD_PARAMETERS] = {",", "-1", "+1", " 1", "1 ", "01",
	"1,,2", ",1", "1,", "1,2,", "1,2,3", "1,2,3,4,5,6,7,8,9", "4294967296", "4294967297,0",
	"18446744073709551616", "99999999999999999999999999999999999999999", "1e3", "0x10", "1.0",
	"nan", "inf", "true", "null", "{}", "[]", "\"", "\\", "'", "%s", "%n%n%n%n", "\n", "\r\n",
	"\t", "\x01", "\x7f", "\x80", "\xff\xfe", "\xc3\xa9", "a", "id", "1;2", "1 2", "1\n2",
	"1,-2", "1, 2", "/ccm/status", "../../..", "0,00", "--", "\xf0\x9f\x92\xa9"};

static void
test_odd_parameters(void **state)
{
	char longest[1024];

	(void)state;
	make_large_node();
	memset(longest, '1', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (uint32_t c = 0; c < n_commands; c++) {
		for (uint32_t i = 0; i < ODD_PARAMETERS; i++) {
			json_t *json = ask(commands[c].name, odd_parameters[i]);

			if (json_object_size(json) != 1 || json_object_get(json, "error") == NULL)
				fail_msg("%s,%s: no error", commands[c].name, odd_parameters[i]);
			json_decref(json);
		}
		CHECK(commands[c].name, longest, "id", "nothing", "total", "nothing");
		json_decref(ask(commands[c].name, ""));
		json_decref(ask(commands[c].name, "0"));
		json_decref(ask(commands[c].name, "4294967295"));
		json_decref(ask(commands[c].name, "4294967295,4294967295"));
		json_decref(ask(commands[c].name, "65000,4294967295"));
	}
	CHECK("/ccm/status", "1", "error", "this command takes no parameters");
	CHECK("/ccm/partners", "1,2", "error", "too many parameters");
	CHECK("/ccm/partners", "4294967295", "error", "nothing", "partners", "object");
}

/* Whichever allocation fails: an answer, perhaps a shorter one, and nothing leaks. */
static void
test_out_of_memory(void **state)
{
	(void)state;
	make_large_node();
	for (uint32_t c = 0; c < n_commands; c++)
		for (int i = 0; i < 30; i++) {
			fail_after = i;
			json_decref(ask(commands[c].name, NULL));
		}
	fail_after = -1;
}

static void
test_stopped(void **state)
{
	(void)state;
	make_node(1, 1);
	node_telemetry_stop();
	memset(&source, 0xff, sizeof(source));
	for (uint32_t c = 0; c < n_commands; c++)
		CHECK(commands[c].name, strstr(commands[c].name, "/stage") != NULL ? "a" : NULL,
			"error", "the node has stopped", "id", "nothing");
}

static int
setup(void **state)
{
	(void)state;
	for (uint32_t e = 0; e < ENGINES_MAX; e++)
		engines[e] = (struct remu_engine *)&node.stats[e];
	return node_telemetry_register(&source);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_partner),
		cmocka_unit_test(test_clients_and_ports),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_boot),
		cmocka_unit_test(test_timing),
		cmocka_unit_test(test_exercise),
		cmocka_unit_test(test_engines),
		cmocka_unit_test(test_drop_names),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_capture),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_control_stuck),
		cmocka_unit_test(test_odd_parameters),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_stopped),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
