/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to /ccm/...: from the manager's snapshots and the exercise's counters.
 */
#include "boot.h"
#include "ccm.h"
#include "config.h"
#include "exercise.h"
#include "tel_answer.h"

#include <rte_telemetry.h>

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVENTS_MAX = 256 };

#define PARTNER(key, member, type) \
	{ \
		key, offsetof(struct ccm_partner_status, member), type \
	}

static const struct tel_field partner_fields[] = {
	PARTNER("version", version, TEL_U16),
	PARTNER("path_mtu", path_mtu, TEL_U16),
	PARTNER("boot_stage", partner_boot.stage, TEL_U16),
	PARTNER("boot_progress", partner_boot.progress, TEL_U32),
	PARTNER("sessions", sessions, TEL_U64),
	PARTNER("attempts", attempts, TEL_U64),
	PARTNER("beats", beats, TEL_U64),
	PARTNER("reads_failed", reads_failed, TEL_U64),
	PARTNER("writes_failed", writes_failed, TEL_U64),
	PARTNER("records_bad", records_bad, TEL_U64),
	PARTNER("conflicts", conflicts, TEL_U64),
	PARTNER("nonce", nonce, TEL_HEX),
	PARTNER("partner_nonce", partner_nonce, TEL_HEX),
	PARTNER("ports", n_ports, TEL_U16),
	{0},
};

/* What only /ccm/partner shows. */
static const struct tel_field partner_details[] = {
	PARTNER("qpn", qpn, TEL_U32),
	PARTNER("remote_qpn", remote_qpn, TEL_U32),
	PARTNER("version_min", version_min, TEL_U16),
	PARTNER("version_max", version_max, TEL_U16),
	PARTNER("partner_version_min", partner_version_min, TEL_U16),
	PARTNER("partner_version_max", partner_version_max, TEL_U16),
	PARTNER("beat_us", partner_beat_us, TEL_U32),
	PARTNER("features", features, TEL_HEX),
	PARTNER("boot_id", partner_boot_id, TEL_HEX),
	PARTNER("boot_stages", partner_boot.stages, TEL_U16),
	PARTNER("boot_budget_ms", partner_boot.budget_ms, TEL_U32),
	{0},
};

static void
put_partner(struct tel_object *o, const struct ccm_partner_status *st, uint64_t now_ns)
{
	bool answered = st->last_answer_ns != 0;
	uint64_t answer_ms = tel_elapsed_ns(now_ns, st->last_answer_ns) / 1000000;

	tel_put_u64(o, "id", st->id);
	tel_put_text(o, "state", ccm_state_name(st->state));
	tel_put_text(o, "reason", ccm_reason_name(st->reason));
	tel_put_text(o, "verdict", ccm_verdict_name(st->verdict));
	tel_put_text(o, "advice", ccm_advice_name(st->advice));
	tel_put_text(o, "last_down_reason", ccm_reason_name(st->last_down_reason));
	tel_put_text(o, "partner_state", answered ? ccm_state_name(st->partner_phase) : "unknown");
	tel_put_text(o, "partner_reason", ccm_reason_name(st->partner_reason));
	tel_put_text(o, "role", answered ? ccm_role_name(st->partner_role) : "unknown");
	tel_put_u64(o, "since_ms", tel_elapsed_ns(now_ns, st->since_ns) / 1000000);
	if (answered)
		tel_put_u64(o, "last_answer_ms", answer_ms);
	else
		tel_put_int(o, "last_answer_ms", -1);
	tel_put_u64(o, "setup_us", tel_us(st->setup_ns));
	tel_put_fields(o, partner_fields, st);
}

/* An age now: what it was when the verdict was given, and the time since. -1: never. */
static void
put_age(struct tel_object *o, const char *name, uint64_t age_ns, uint64_t since_ns)
{
	if (age_ns == CCM_NEVER)
		tel_put_int(o, name, -1);
	else
		tel_put_u64(o, name, tel_us(age_ns + since_ns));
}

static void
put_evidence(struct tel_object *o, const struct ccm_partner_status *st, uint64_t now_ns)
{
	const struct ccm_evidence *e = &st->evidence;
	uint64_t since_ns = tel_elapsed_ns(now_ns, st->judged_ns);

	put_age(o, "answer_age_us", e->answer_age_ns, since_ns);
	put_age(o, "beat_age_us", e->beat_age_ns, since_ns);
	put_age(o, "write_age_us", e->write_age_ns, since_ns);
	put_age(o, "boot_age_us", e->boot_age_ns, since_ns);
	put_age(o, "awake_us", e->awake_ns, since_ns);
	tel_put_u64(o, "link_up", e->link_up);
}

const char *
tel_answer_boot(struct tel_object *top, const struct tel_args *args)
{
	const struct node_config *cfg = app_source->cfg;
	struct tel_object list = tel_object_new();
	struct ccm_boot_status st;

	(void)args;
	node_boot_status(app_source->boot, &st);
	tel_put_u64(top, "stage", st.stage);
	tel_put_text(top, "name", st.name);
	tel_put_u64(top, "progress", st.progress);
	tel_put_u64(top, "budget_ms", st.budget_ms);
	tel_put_u64(top, "total", cfg->n_boot_stages);
	for (uint32_t i = 0; i < cfg->n_boot_stages; i++) {
		char key[TEL_KEY_LEN];

		snprintf(key, sizeof(key), "stage_%u", i + 1);
		tel_put_text(&list, key, cfg->boot_stages[i].name);
	}
	tel_put_object(top, "stages", &list);
	return NULL;
}

const char *
tel_answer_boot_stage(struct tel_object *top, const struct tel_args *args)
{
	uint32_t progress = args->n > 0 ? args->v[0] : 0;

	if (node_boot_request(app_source->boot, args->name, progress) != 0)
		return "no such stage: see boot_stages in the configuration";
	tel_put_text(top, "name", args->name);
	tel_put_u64(top, "progress", progress);
	return NULL;
}

/* The only sign of a control core that stands still between two turns: its snapshots stay. */
static void
put_control_age(struct tel_object *top)
{
	uint64_t last = atomic_load_explicit(app_source->control_ns, memory_order_relaxed);

	if (last == 0)
		tel_put_int(top, "control_age_ms", -1);
	else
		tel_put_u64(top, "control_age_ms",
			tel_elapsed_ns(app_source->now_ns(), last) / 1000000);
}

const char *
tel_answer_status(struct tel_object *top, const struct tel_args *args)
{
	const struct ccm_config *cfg = &app_source->cfg->ccm;
	uint64_t up_ns = tel_elapsed_ns(app_source->now_ns(), app_source->start_ns);
	struct ccm_partner_status st;
	uint32_t up = 0;

	(void)args;
	for (uint32_t i = 0; i < cfg->n_partners; i++)
		up += ccm_read_partner(app_source->ccm, i, &st) == 0 && st.state == CCM_UP;
	tel_put_u64(top, "id", cfg->node_id);
	tel_put_text(top, "name", cfg->name);
	tel_put_text(top, "cluster", cfg->cluster);
	tel_put_text(top, "role", ccm_role_name(cfg->role));
	tel_put_text(top, "state", up == cfg->n_partners ? "up" : up > 0 ? "degraded" : "down");
	tel_put_u64(top, "partners", cfg->n_partners);
	tel_put_u64(top, "partners_up", up);
	tel_put_u64(top, "uptime_s", up_ns / 1000000000);
	put_control_age(top);
	tel_put_u64(top, "pid", (uint64_t)getpid());
	tel_put_text(top, "version", CCM_PROGRAM_VERSION);
	return NULL;
}

static void
partner_key(char key[static TEL_KEY_LEN], uint32_t index)
{
	snprintf(key, TEL_KEY_LEN, "partner_%u", app_source->cfg->ccm.partners[index].id);
}

/* Snapshot of a partner as an object; the control core may stand still in the middle of one. */
static struct tel_object
partner_object(uint32_t index, uint64_t now_ns,
	void (*put)(struct tel_object *o, const struct ccm_partner_status *st, uint64_t now_ns))
{
	struct tel_object o = tel_object_new();
	struct ccm_partner_status st;

	if (ccm_read_partner(app_source->ccm, index, &st) == 0)
		put(&o, &st, now_ns);
	else
		tel_put_text(&o, "error", "the control core stands still");
	return o;
}

/* A page of objects, one per partner. */
static void
put_partner_list(struct tel_object *top, const struct tel_args *args,
	void (*put)(struct tel_object *o, const struct ccm_partner_status *st, uint64_t now_ns))
{
	uint32_t n = app_source->cfg->ccm.n_partners;
	uint64_t now_ns = app_source->now_ns();
	struct tel_list list = tel_list_new(top);
	uint32_t i = args->n > 0 ? args->v[0] : 0;

	for (; i < n; i++) {
		struct tel_object o = partner_object(i, now_ns, put);
		char key[TEL_KEY_LEN];

		partner_key(key, i);
		if (!tel_list_add(&list, key, &o))
			break;
	}
	tel_put_u64(top, "total", n);
	if (i < n)
		tel_put_u64(top, "next", i);
	tel_put_object(top, "partners", &list.object);
}

const char *
tel_answer_partners(struct tel_object *top, const struct tel_args *args)
{
	put_partner_list(top, args, put_partner);
	return NULL;
}

/* Index of a partner id, or UINT32_MAX. */
static uint32_t
partner_index(uint32_t id)
{
	const struct ccm_config *cfg = &app_source->cfg->ccm;

	for (uint32_t i = 0; i < cfg->n_partners; i++)
		if (cfg->partners[i].id == id)
			return i;
	return UINT32_MAX;
}

const char *
tel_answer_partner(struct tel_object *top, const struct tel_args *args)
{
	const struct ccm_partner_config *cfg;
	struct ccm_partner_status st;
	uint32_t index;

	if (args->n != 1)
		return "give a partner's id: /ccm/partner,ID";
	index = partner_index(args->v[0]);
	if (index == UINT32_MAX)
		return "no such partner";
	if (ccm_read_partner(app_source->ccm, index, &st) != 0)
		return "the control core stands still";
	cfg = &app_source->cfg->ccm.partners[index];
	put_partner(top, &st, app_source->now_ns());
	tel_put_mac(top, "mac", cfg->mac);
	tel_put_ip(top, "ip", cfg->ip);
	tel_put_hex(top, "va", cfg->va);
	tel_put_format(top, "rkey", "0x%08x", cfg->rkey);
	tel_put_fields(top, partner_details, &st);
	tel_put_text(top, "boot_name", st.partner_boot.name);
	put_evidence(top, &st, app_source->now_ns());
	return NULL;
}

#define CLIENT(key, member, type) \
	{ \
		key, offsetof(struct ccm_client_status, member), type \
	}

static const struct tel_field client_fields[] = {
	CLIENT("ports", ports, TEL_U16),
	CLIENT("memory_bytes", memory, TEL_U64),
	CLIENT("partners_up", partners_up, TEL_U16),
	CLIENT("ups", ups, TEL_U64),
	CLIENT("downs", downs, TEL_U64),
	CLIENT("posted", posted, TEL_U64),
	CLIENT("completed", completed, TEL_U64),
	CLIENT("errors", errors, TEL_U64),
	{0},
};

/* What the node does with a client's ports; a client that the file does not have is a program's own. */
static const char *
client_kind(const char *name)
{
	const struct node_config *cfg = app_source->cfg;

	for (uint32_t i = 0; i < cfg->n_clients; i++)
		if (strcmp(cfg->clients[i].ccm.name, name) == 0)
			return node_client_kinds[cfg->clients[i].kind];
	return node_client_kinds[NODE_CLIENT_PROGRAM];
}

/* With each partner a word, and how often there is each word. */
static struct tel_object
client_object(const struct ccm_client_status *st)
{
	struct tel_object o = tel_object_new(), partners = tel_object_new();
	uint32_t counts[CCM_CLIENT_STATE_COUNT] = {0};
	char key[TEL_KEY_LEN];

	tel_put_text(&o, "name", st->name);
	tel_put_text(&o, "kind", client_kind(st->name));
	tel_put_fields(&o, client_fields, st);
	for (uint32_t i = 0; i < app_source->cfg->ccm.n_partners; i++) {
		partner_key(key, i);
		tel_put_text(&partners, key, ccm_client_state_name(st->states[i]));
		if (st->states[i] < CCM_CLIENT_STATE_COUNT)
			counts[st->states[i]]++;
	}
	for (uint32_t i = 0; i < CCM_CLIENT_STATE_COUNT; i++) {
		if (i == CCM_CLIENT_CONNECTED) /* partners_up */
			continue;
		snprintf(key, sizeof(key), "partners_%s", ccm_client_state_name(i));
		tel_put_u64(&o, key, counts[i]);
	}
	tel_put_object(&o, "partners", &partners);
	return o;
}

const char *
tel_answer_clients(struct tel_object *top, const struct tel_args *args)
{
	struct ccm_client_status clients[CCM_MAX_CLIENTS];
	uint32_t n = ccm_read_clients(app_source->ccm, clients, CCM_MAX_CLIENTS);
	struct tel_list list = tel_list_new(top);
	uint32_t i = args->n > 0 ? args->v[0] : 0;

	for (; i < n; i++) {
		struct tel_object o = client_object(&clients[i]);
		char key[TEL_KEY_LEN];

		snprintf(key, sizeof(key), "client_%u", i);
		if (!tel_list_add(&list, key, &o))
			break;
	}
	tel_put_u64(top, "total", n);
	if (i < n)
		tel_put_u64(top, "next", i);
	tel_put_object(top, "clients", &list.object);
	return NULL;
}

static struct tel_object
port_object(const struct ccm_port_status *st)
{
	struct tel_object o = tel_object_new();

	tel_put_u64(&o, "partner_id", st->port.partner_id);
	tel_put_text(&o, "client", st->client);
	tel_put_u64(&o, "index", st->port.index);
	tel_put_u64(&o, "connected", st->connected);
	tel_put_u64(&o, "qpn", st->port.qpn);
	tel_put_u64(&o, "remote_qpn", st->port.remote_qpn);
	tel_put_u64(&o, "length_bytes", st->port.length);
	tel_put_hex(&o, "remote_va", st->port.remote_va);
	tel_put_format(&o, "remote_rkey", "0x%08x", st->port.remote_rkey);
	tel_put_u64(&o, "posted", st->posted);
	tel_put_u64(&o, "completed", st->completed);
	tel_put_u64(&o, "errors", st->errors);
	return o;
}

/* Ports of partners first to last - 1 in one row; args->v[1] is where the page begins. */
const char *
tel_answer_ports(struct tel_object *top, const struct tel_args *args)
{
	struct ccm_port_status ports[CCM_MAX_PORTS];
	struct tel_list list = tel_list_new(top);
	uint32_t begin = 0, end = app_source->cfg->ccm.n_partners;
	uint32_t from = args->n > 1 ? args->v[1] : 0;
	uint32_t total = 0, next = UINT32_MAX;

	if (args->n > 0 && args->v[0] != 0) {
		begin = partner_index(args->v[0]);
		end = begin + 1;
	}
	if (begin == UINT32_MAX) {
		rte_tel_data_free(list.object.data);
		return "no such partner";
	}
	for (uint32_t p = begin; p < end; p++) {
		uint32_t n = ccm_read_ports(app_source->ccm, p, ports, CCM_MAX_PORTS);

		for (uint32_t i = 0; i < n && !list.full; i++) {
			struct tel_object o;
			char key[TEL_KEY_LEN];

			if (total + i < from)
				continue;
			o = port_object(&ports[i]);
			snprintf(key, sizeof(key), "partner_%u_port_%u", ports[i].port.partner_id,
				i);
			if (!tel_list_add(&list, key, &o))
				next = total + i;
		}
		total += n;
	}
	tel_put_u64(top, "total", total);
	if (next != UINT32_MAX)
		tel_put_u64(top, "next", next);
	tel_put_object(top, "ports", &list.object);
	return NULL;
}

static struct tel_object
event_object(const struct ccm_event *ev, uint64_t now_ns)
{
	struct tel_object o = tel_object_new();

	tel_put_u64(&o, "seq", ev->seq);
	tel_put_u64(&o, "uptime_us", tel_us(tel_elapsed_ns(ev->time_ns, app_source->start_ns)));
	tel_put_u64(&o, "age_us", tel_us(tel_elapsed_ns(now_ns, ev->time_ns)));
	tel_put_u64(&o, "partner_id", ev->partner_id);
	tel_put_text(&o, "kind", ev->kind == CCM_EVENT_STATE ? "state" : "verdict");
	tel_put_text(&o, "from",
		ev->kind == CCM_EVENT_STATE ? ccm_state_name(ev->from)
					    : ccm_verdict_name(ev->from));
	tel_put_text(&o, "to",
		ev->kind == CCM_EVENT_STATE ? ccm_state_name(ev->to) : ccm_verdict_name(ev->to));
	tel_put_text(&o, "reason", ccm_reason_name(ev->reason));
	tel_put_hex(&o, "nonce", ev->nonce);
	tel_put_hex(&o, "partner_nonce", ev->partner_nonce);
	return o;
}

/* The newest first; pages go by number, because events come in between. */
const char *
tel_answer_events(struct tel_object *top, const struct tel_args *args)
{
	struct ccm_event events[EVENTS_MAX];
	uint32_t n = ccm_read_events(app_source->ccm, events, EVENTS_MAX);
	uint32_t from = args->n > 0 ? args->v[0] : UINT32_MAX;
	uint64_t now_ns = app_source->now_ns();
	struct tel_list list = tel_list_new(top);

	tel_put_u64(top, "total", n);
	for (uint32_t i = n; i-- > 0;) {
		struct tel_object o;
		char key[TEL_KEY_LEN];

		if (events[i].seq > from)
			continue;
		o = event_object(&events[i], now_ns);
		snprintf(key, sizeof(key), "event_%u", events[i].seq);
		if (!tel_list_add(&list, key, &o)) {
			tel_put_u64(top, "next", events[i].seq);
			break;
		}
	}
	tel_put_object(top, "events", &list.object);
	return NULL;
}

static void
put_timing(struct tel_object *o, const struct ccm_partner_status *st, uint64_t now_ns)
{
	char key[TEL_KEY_LEN];

	(void)now_ns;
	for (int i = 0; i < CCM_STEP_COUNT; i++) {
		snprintf(key, sizeof(key), "%s_us", ccm_step_name(i));
		tel_put_u64(o, key, tel_us(st->step_ns[i]));
		snprintf(key, sizeof(key), "%s_ns", ccm_step_name(i));
		tel_put_u64(o, key, st->step_ns[i]);
	}
	tel_put_u64(o, "setup_us", tel_us(st->setup_ns));
	tel_put_u64(o, "setup_ns", st->setup_ns);
}

const char *
tel_answer_timing(struct tel_object *top, const struct tel_args *args)
{
	put_partner_list(top, args, put_timing);
	return NULL;
}

#define EXERCISE(key, member) \
	{ \
		key, offsetof(struct exercise_status, member), TEL_U64 \
	}

static const struct tel_field exercise_fields[] = {
	EXERCISE("sessions", sessions),
	EXERCISE("rounds", rounds),
	EXERCISE("verified_bytes", verified_bytes),
	EXERCISE("mismatches", mismatches),
	EXERCISE("errors", errors),
	{0},
};

static struct tel_object
exercise_object(const struct exercise_status *st)
{
	struct tel_object o = tel_object_new();

	tel_put_text(&o, "client", st->client);
	tel_put_u64(&o, "partner_id", st->partner_id);
	tel_put_u64(&o, "index", st->port);
	tel_put_u64(&o, "up", st->up);
	tel_put_fields(&o, exercise_fields, st);
	return o;
}

static void
exercise_sum(struct exercise_status *sum, uint32_t *up)
{
	struct exercise_status st;

	for (uint32_t i = 0; exercise_read(app_source->exercise, i, &st) == 0; i++) {
		*up += st.up;
		sum->sessions += st.sessions;
		sum->rounds += st.rounds;
		sum->verified_bytes += st.verified_bytes;
		sum->mismatches += st.mismatches;
		sum->errors += st.errors;
	}
}

const char *
tel_answer_exercise(struct tel_object *top, const struct tel_args *args)
{
	uint32_t n = exercise_count(app_source->exercise);
	uint32_t i = args->n > 0 ? args->v[0] : 0;
	struct exercise_status st = {0};
	struct tel_list list;
	uint32_t up = 0;

	exercise_sum(&st, &up);
	tel_put_u64(top, "enabled", exercise_enabled(app_source->exercise));
	tel_put_u64(top, "total", n);
	tel_put_u64(top, "up", up);
	tel_put_fields(top, exercise_fields, &st);
	list = tel_list_new(top);
	for (; i < n && exercise_read(app_source->exercise, i, &st) == 0; i++) {
		struct tel_object o = exercise_object(&st);
		char key[TEL_KEY_LEN];

		snprintf(key, sizeof(key), "port_%u", i);
		if (!tel_list_add(&list, key, &o))
			break;
	}
	if (i < n)
		tel_put_u64(top, "next", i);
	tel_put_object(top, "ports", &list.object);
	return NULL;
}
