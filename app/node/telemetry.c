/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rte_telemetry of DPDK 22.11 can hold shapes the answers: objects may nest, but a list can
 * hold neither objects nor lists, so lists are objects with a key per element. An answer is one
 * packet of 16 KiB and what does not fit is left out without a word; so every list counts its
 * bytes, stops in time and says with "next" which parameter asks for the rest.
 */
#include "telemetry.h"

#include "ccm.h"
#include "config.h"
#include "exercise.h"
#include "lcore.h"
#include "rdma_emul.h"
#include "remu_port.h"

#include <rte_telemetry.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ANSWER_BYTES = 16 * 1024 - 512, /* of JSON, less the command's name and the list's frame */
	KEY_LEN = 64,
	ARGS_MAX = 2,
	EVENTS_MAX = 256,
	QPS_MAX = CCM_MAX_PARTNERS * (1 + CCM_MAX_PORTS), /* of an engine */
};

/* An object under construction, and how long its JSON text can be. */
struct object {
	struct rte_tel_data *data; /* NULL: out of memory; then it takes nothing */
	size_t bytes;
	uint32_t entries;
};

/* Elements first to end of a list, as many as fit. */
struct list {
	struct object object;
	size_t room;
	bool full;
};

/* Parameters: numbers, as many as there were. */
struct args {
	uint32_t n;
	uint32_t v[ARGS_MAX];
};

/* Fills the answer. Returns NULL, or what is wrong with the parameters: then nothing is in it. */
typedef const char *(*answer_fn)(struct object *top, const struct args *args);

/*
 * The handlers of DPDK 22.11 have no context, and their threads never end. The lock keeps what
 * they look at from being taken away under them.
 */
static const struct telemetry_source *app_source;
static pthread_mutex_t app_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whether there is room; counts the bytes of "name":, with a comma. */
static bool
take(struct object *o, const char *name, size_t value_bytes)
{
	if (o->data == NULL || o->entries == RTE_TEL_MAX_DICT_ENTRIES)
		return false;
	o->entries++;
	o->bytes += strlen(name) + strlen("\"\":, ") + value_bytes;
	return true;
}

static void
put_u64(struct object *o, const char *name, uint64_t value)
{
	char digits[24];

	if (take(o, name, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, value)))
		rte_tel_data_add_dict_u64(o->data, name, value);
}

static void
put_int(struct object *o, const char *name, int value)
{
	if (take(o, name, strlen("-2147483648")))
		rte_tel_data_add_dict_int(o->data, name, value);
}

static void
put_text(struct object *o, const char *name, const char *text)
{
	/* What may need escapes, names of devices, is in no list. */
	if (take(o, name, strlen(text) + 2))
		rte_tel_data_add_dict_string(o->data, name, text);
}

static void __attribute__((format(printf, 3, 4)))
put_format(struct object *o, const char *name, const char *format, ...)
{
	char text[KEY_LEN];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	put_text(o, name, text);
}

/* Numbers of 64 bits that are no counts: JSON readers take numbers for doubles. */
static void
put_hex(struct object *o, const char *name, uint64_t value)
{
	put_format(o, name, "0x%016" PRIx64, value);
}

static void
put_mac(struct object *o, const char *name, const uint8_t mac[6])
{
	put_format(o, name, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5]);
}

static void
put_ip(struct object *o, const char *name, uint32_t ip)
{
	put_format(o, name, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

static struct object
object_new(void)
{
	struct object o = {.data = rte_tel_data_alloc()};

	if (o.data != NULL)
		rte_tel_data_start_dict(o.data);
	return o;
}

/* Hand an object over to the one that it is part of. */
static void
put_object(struct object *o, const char *name, struct object *part)
{
	if (part->data == NULL)
		return;
	if (!take(o, name, part->bytes + 2) ||
		rte_tel_data_add_dict_container(o->data, name, part->data, 0) < 0)
		rte_tel_data_free(part->data);
}

static struct list
list_new(const struct object *top)
{
	return (struct list){.object = object_new(), .room = ANSWER_BYTES - top->bytes};
}

/* Add an element, unless the list is full: then this is where the next page begins. */
static bool
list_add(struct list *l, const char *key, struct object *element)
{
	size_t bytes = l->object.bytes + strlen(key) + element->bytes + 8;

	if (element->data == NULL || bytes > l->room ||
		l->object.entries == RTE_TEL_MAX_DICT_ENTRIES)
		l->full = true;
	if (l->full)
		rte_tel_data_free(element->data);
	else
		put_object(&l->object, key, element);
	return !l->full;
}

/* Microseconds, rounded. */
static uint64_t
us(uint64_t ns)
{
	return ns / 1000 + (ns % 1000 >= 500);
}

/* Time since a moment that the control core has noted, which may be a little ahead of us. */
static uint64_t
elapsed_ns(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* Fields of structs that are written as they are. */
enum field_type {
	TEL_U8,
	TEL_U16,
	TEL_U32,
	TEL_U64,
	TEL_HEX,
};

struct tel_field {
	const char *name;
	size_t offset;
	enum field_type type;
};

static uint64_t
field_value(const struct tel_field *f, const void *base)
{
	const uint8_t *at = (const uint8_t *)base + f->offset;

	switch (f->type) {
	case TEL_U8:
		return *at;
	case TEL_U16:
		return *(const uint16_t *)at;
	case TEL_U32:
		return *(const uint32_t *)at;
	case TEL_U64:
	case TEL_HEX:
		break;
	}
	return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
}

static void
put_fields(struct object *o, const struct tel_field *fields, const void *base)
{
	for (const struct tel_field *f = fields; f->name != NULL; f++) {
		if (f->type == TEL_HEX)
			put_hex(o, f->name, field_value(f, base));
		else
			put_u64(o, f->name, field_value(f, base));
	}
}

/* ---- /ccm ---- */

#define PARTNER(key, member, type) \
	{ \
		key, offsetof(struct ccm_partner_status, member), type \
	}

static const struct tel_field partner_fields[] = {
	PARTNER("version", version, TEL_U16),
	PARTNER("path_mtu", path_mtu, TEL_U16),
	PARTNER("boot_stage", partner_boot_stage, TEL_U16),
	PARTNER("boot_progress", partner_boot_progress, TEL_U32),
	PARTNER("sessions", sessions, TEL_U64),
	PARTNER("attempts", attempts, TEL_U64),
	PARTNER("beats", beats, TEL_U64),
	PARTNER("reads_failed", reads_failed, TEL_U64),
	PARTNER("writes_failed", writes_failed, TEL_U64),
	PARTNER("records_bad", records_bad, TEL_U64),
	PARTNER("nonce", nonce, TEL_HEX),
	PARTNER("partner_nonce", partner_nonce, TEL_HEX),
	PARTNER("ports", n_ports, TEL_U16),
	{0},
};

/* What only /ccm/partner shows. */
static const struct tel_field partner_details[] = {
	PARTNER("qpn", qpn, TEL_U32),
	PARTNER("remote_qpn", remote_qpn, TEL_U32),
	PARTNER("version_min", partner_version_min, TEL_U16),
	PARTNER("version_max", partner_version_max, TEL_U16),
	PARTNER("features", features, TEL_HEX),
	PARTNER("boot_id", partner_boot_id, TEL_HEX),
	{0},
};

static void
put_partner(struct object *o, const struct ccm_partner_status *st, uint64_t now_ns)
{
	bool answered = st->last_answer_ns != 0;
	uint64_t answer_ms = elapsed_ns(now_ns, st->last_answer_ns) / 1000000;

	put_u64(o, "id", st->id);
	put_text(o, "state", ccm_state_name(st->state));
	put_text(o, "reason", ccm_reason_name(st->reason));
	put_text(o, "last_down_reason", ccm_reason_name(st->last_down_reason));
	put_text(o, "partner_state", answered ? ccm_state_name(st->partner_phase) : "unknown");
	put_text(o, "partner_reason", ccm_reason_name(st->partner_reason));
	put_text(o, "role", answered ? ccm_role_name(st->partner_role) : "unknown");
	put_u64(o, "since_ms", elapsed_ns(now_ns, st->since_ns) / 1000000);
	if (answered)
		put_u64(o, "last_answer_ms", answer_ms);
	else
		put_int(o, "last_answer_ms", -1);
	put_u64(o, "setup_us", us(st->setup_ns));
	put_fields(o, partner_fields, st);
}

static const char *
answer_status(struct object *top, const struct args *args)
{
	const struct ccm_config *cfg = &app_source->cfg->ccm;
	uint64_t up_ns = elapsed_ns(app_source->now_ns(), app_source->start_ns);
	struct ccm_partner_status st;
	uint32_t up = 0;

	(void)args;
	for (uint32_t i = 0; i < cfg->n_partners; i++)
		up += ccm_read_partner(app_source->ccm, i, &st) == 0 && st.state == CCM_UP;
	put_u64(top, "id", cfg->node_id);
	put_text(top, "name", cfg->name);
	put_text(top, "cluster", cfg->cluster);
	put_text(top, "role", ccm_role_name(cfg->role));
	put_text(top, "state", up == cfg->n_partners ? "up" : up > 0 ? "degraded" : "down");
	put_u64(top, "partners", cfg->n_partners);
	put_u64(top, "partners_up", up);
	put_u64(top, "uptime_s", up_ns / 1000000000);
	put_u64(top, "pid", (uint64_t)getpid());
	put_text(top, "version", CCM_PROGRAM_VERSION);
	return NULL;
}

static void
partner_key(char key[static KEY_LEN], uint32_t index)
{
	snprintf(key, KEY_LEN, "partner_%u", app_source->cfg->ccm.partners[index].id);
}

/* Snapshot of a partner as an object; the control core may stand still in the middle of one. */
static struct object
partner_object(uint32_t index, uint64_t now_ns,
	void (*put)(struct object *o, const struct ccm_partner_status *st, uint64_t now_ns))
{
	struct object o = object_new();
	struct ccm_partner_status st;

	if (ccm_read_partner(app_source->ccm, index, &st) == 0)
		put(&o, &st, now_ns);
	else
		put_text(&o, "error", "the control core stands still");
	return o;
}

/* A page of objects, one per partner. */
static void
put_partner_list(struct object *top, const struct args *args,
	void (*put)(struct object *o, const struct ccm_partner_status *st, uint64_t now_ns))
{
	uint32_t n = app_source->cfg->ccm.n_partners;
	uint64_t now_ns = app_source->now_ns();
	struct list list = list_new(top);
	uint32_t i = args->n > 0 ? args->v[0] : 0;

	for (; i < n; i++) {
		struct object o = partner_object(i, now_ns, put);
		char key[KEY_LEN];

		partner_key(key, i);
		if (!list_add(&list, key, &o))
			break;
	}
	put_u64(top, "total", n);
	if (i < n)
		put_u64(top, "next", i);
	put_object(top, "partners", &list.object);
}

static const char *
answer_partners(struct object *top, const struct args *args)
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

static const char *
answer_partner(struct object *top, const struct args *args)
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
	put_mac(top, "mac", cfg->mac);
	put_ip(top, "ip", cfg->ip);
	put_hex(top, "va", cfg->va);
	put_format(top, "rkey", "0x%08x", cfg->rkey);
	put_fields(top, partner_details, &st);
	return NULL;
}

static const char *
answer_clients(struct object *top, const struct args *args)
{
	struct ccm_client_status clients[CCM_MAX_CLIENTS];
	uint32_t n = ccm_read_clients(app_source->ccm, clients, CCM_MAX_CLIENTS);
	struct object list = object_new();

	(void)args;
	for (uint32_t i = 0; i < n; i++) {
		struct object o = object_new();
		char key[KEY_LEN];

		put_text(&o, "name", clients[i].name);
		put_u64(&o, "ports", clients[i].ports);
		put_u64(&o, "memory_bytes", clients[i].memory);
		put_u64(&o, "partners_up", clients[i].partners_up);
		put_u64(&o, "ups", clients[i].ups);
		put_u64(&o, "downs", clients[i].downs);
		snprintf(key, sizeof(key), "client_%u", i);
		put_object(&list, key, &o);
	}
	put_u64(top, "total", n);
	put_object(top, "clients", &list);
	return NULL;
}

static struct object
port_object(const struct ccm_port_status *st)
{
	struct object o = object_new();

	put_u64(&o, "partner_id", st->port.partner_id);
	put_text(&o, "client", st->client);
	put_u64(&o, "index", st->port.index);
	put_u64(&o, "connected", st->connected);
	put_u64(&o, "qpn", st->port.qpn);
	put_u64(&o, "remote_qpn", st->port.remote_qpn);
	put_u64(&o, "length_bytes", st->port.length);
	put_hex(&o, "remote_va", st->port.remote_va);
	put_format(&o, "remote_rkey", "0x%08x", st->port.remote_rkey);
	put_u64(&o, "posted", st->posted);
	put_u64(&o, "completed", st->completed);
	put_u64(&o, "errors", st->errors);
	return o;
}

/* Ports of partners first to last - 1 in one row; args->v[1] is where the page begins. */
static const char *
answer_ports(struct object *top, const struct args *args)
{
	struct ccm_port_status ports[CCM_MAX_PORTS];
	struct list list = list_new(top);
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
			struct object o;
			char key[KEY_LEN];

			if (total + i < from)
				continue;
			o = port_object(&ports[i]);
			snprintf(key, sizeof(key), "partner_%u_port_%u", ports[i].port.partner_id,
				i);
			if (!list_add(&list, key, &o))
				next = total + i;
		}
		total += n;
	}
	put_u64(top, "total", total);
	if (next != UINT32_MAX)
		put_u64(top, "next", next);
	put_object(top, "ports", &list.object);
	return NULL;
}

static struct object
event_object(const struct ccm_event *ev, uint64_t now_ns)
{
	struct object o = object_new();

	put_u64(&o, "seq", ev->seq);
	put_u64(&o, "uptime_us", us(elapsed_ns(ev->time_ns, app_source->start_ns)));
	put_u64(&o, "age_us", us(elapsed_ns(now_ns, ev->time_ns)));
	put_u64(&o, "partner_id", ev->partner_id);
	put_text(&o, "from", ccm_state_name(ev->from));
	put_text(&o, "to", ccm_state_name(ev->to));
	put_text(&o, "reason", ccm_reason_name(ev->reason));
	put_hex(&o, "nonce", ev->nonce);
	put_hex(&o, "partner_nonce", ev->partner_nonce);
	return o;
}

/* The newest first; pages go by number, because events come in between. */
static const char *
answer_events(struct object *top, const struct args *args)
{
	struct ccm_event events[EVENTS_MAX];
	uint32_t n = ccm_read_events(app_source->ccm, events, EVENTS_MAX);
	uint32_t from = args->n > 0 ? args->v[0] : UINT32_MAX;
	uint64_t now_ns = app_source->now_ns();
	struct list list = list_new(top);

	put_u64(top, "total", n);
	for (uint32_t i = n; i-- > 0;) {
		struct object o;
		char key[KEY_LEN];

		if (events[i].seq > from)
			continue;
		o = event_object(&events[i], now_ns);
		snprintf(key, sizeof(key), "event_%u", events[i].seq);
		if (!list_add(&list, key, &o)) {
			put_u64(top, "next", events[i].seq);
			break;
		}
	}
	put_object(top, "events", &list.object);
	return NULL;
}

static void
put_timing(struct object *o, const struct ccm_partner_status *st, uint64_t now_ns)
{
	char key[KEY_LEN];

	(void)now_ns;
	for (int i = 0; i < CCM_STEP_COUNT; i++) {
		snprintf(key, sizeof(key), "%s_us", ccm_step_name(i));
		put_u64(o, key, us(st->step_ns[i]));
		snprintf(key, sizeof(key), "%s_ns", ccm_step_name(i));
		put_u64(o, key, st->step_ns[i]);
	}
	put_u64(o, "setup_us", us(st->setup_ns));
	put_u64(o, "setup_ns", st->setup_ns);
}

static const char *
answer_timing(struct object *top, const struct args *args)
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

static struct object
exercise_object(const struct exercise_status *st)
{
	struct object o = object_new();

	put_text(&o, "client", st->client);
	put_u64(&o, "partner_id", st->partner_id);
	put_u64(&o, "index", st->port);
	put_u64(&o, "up", st->up);
	put_fields(&o, exercise_fields, st);
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

static const char *
answer_exercise(struct object *top, const struct args *args)
{
	uint32_t n = exercise_count(app_source->exercise);
	uint32_t i = args->n > 0 ? args->v[0] : 0;
	struct exercise_status st = {0};
	struct list list;
	uint32_t up = 0;

	exercise_sum(&st, &up);
	put_u64(top, "enabled", exercise_enabled(app_source->exercise));
	put_u64(top, "total", n);
	put_u64(top, "up", up);
	put_fields(top, exercise_fields, &st);
	list = list_new(top);
	for (; i < n && exercise_read(app_source->exercise, i, &st) == 0; i++) {
		struct object o = exercise_object(&st);
		char key[KEY_LEN];

		snprintf(key, sizeof(key), "port_%u", i);
		if (!list_add(&list, key, &o))
			break;
	}
	if (i < n)
		put_u64(top, "next", i);
	put_object(top, "ports", &list.object);
	return NULL;
}

/* ---- /remu ---- */

#define STAT(member) \
	{ \
#		member, offsetof(struct remu_stats, member), TEL_U64 \
	}

static const struct tel_field stat_fields[] = {
	STAT(rx_packets),
	STAT(rx_bytes),
	STAT(tx_packets),
	STAT(tx_bytes),
	STAT(tx_no_mbuf),
	STAT(writes_executed),
	STAT(reads_executed),
	STAT(duplicates),
	STAT(acks_sent),
	STAT(naks_sent),
	STAT(naks_received),
	STAT(timeouts),
	STAT(retransmits),
	STAT(resyncs),
	STAT(wc_success),
	STAT(wc_error),
	{0},
};

static uint64_t
engines_sum(size_t offset)
{
	const struct tel_field f = {.offset = offset, .type = TEL_U64};
	uint64_t sum = 0;

	for (uint32_t e = 0; e < app_source->n_engines; e++)
		sum += field_value(&f, remu_engine_stats(app_source->engines[e]));
	return sum;
}

static uint64_t
drop_sum(uint32_t reason)
{
	return engines_sum(offsetof(struct remu_stats, drops) + reason * sizeof(uint64_t));
}

static uint64_t
drops_total(void)
{
	uint64_t sum = 0;

	for (uint32_t r = REMU_DROP_NONE + 1; r < REMU_DROP_COUNT; r++)
		sum += drop_sum(r);
	return sum;
}

static const char *
answer_stats(struct object *top, const struct args *args)
{
	uint32_t n = app_source->n_engines;
	uint32_t e = args->n > 0 ? args->v[0] : 0;
	struct list list;

	for (const struct tel_field *f = stat_fields; f->name != NULL; f++)
		put_u64(top, f->name, engines_sum(f->offset));
	put_u64(top, "drops", drops_total());
	put_u64(top, "total_engines", n);
	list = list_new(top);
	for (; e < n; e++) {
		struct object o = object_new();
		char key[KEY_LEN];

		put_fields(&o, stat_fields, remu_engine_stats(app_source->engines[e]));
		snprintf(key, sizeof(key), "engine_%u", e);
		if (!list_add(&list, key, &o))
			break;
	}
	if (e < n)
		put_u64(top, "next", e);
	put_object(top, "engines", &list.object);
	return NULL;
}

static const char *
answer_drops(struct object *top, const struct args *args)
{
	(void)args;
	for (uint32_t r = REMU_DROP_NONE + 1; r < REMU_DROP_COUNT; r++)
		put_u64(top, remu_drop_name(r), drop_sum(r));
	return NULL;
}

#define QP(member) \
	{ \
#		member, offsetof(struct remu_qp_info, member), TEL_U32 \
	}

static const struct tel_field qp_fields[] = {
	QP(qpn),
	QP(peer_qpn),
	QP(next_psn),
	QP(una_psn),
	QP(epsn),
	QP(msn),
	QP(outstanding),
	{"path_mtu", offsetof(struct remu_qp_info, path_mtu), TEL_U16},
	{"bootstrap", offsetof(struct remu_qp_info, bootstrap), TEL_U8},
	{0},
};

/* The queue pairs of an engine, whose first one is number `before` of all. */
static void
list_qps(struct list *list, uint32_t engine, const struct remu_qp_info *qps, uint32_t n,
	uint32_t before, uint32_t from, uint32_t *next)
{
	for (uint32_t i = 0; i < n && !list->full; i++) {
		struct object o;
		char key[KEY_LEN];

		if (before + i < from)
			continue;
		o = object_new();
		put_u64(&o, "engine", engine);
		put_text(&o, "state", remu_qp_state_name(qps[i].state));
		put_fields(&o, qp_fields, &qps[i]);
		snprintf(key, sizeof(key), "qp_%u", qps[i].qpn);
		if (!list_add(list, key, &o))
			*next = before + i;
	}
}

static const char *
answer_qps(struct object *top, const struct args *args)
{
	struct remu_qp_info *qps = calloc(QPS_MAX, sizeof(*qps));
	uint32_t from = args->n > 0 ? args->v[0] : 0;
	uint32_t total = 0, next = UINT32_MAX;
	struct list list;

	if (qps == NULL)
		return "out of memory";
	list = list_new(top);
	for (uint32_t e = 0; e < app_source->n_engines; e++) {
		uint32_t n = remu_engine_qps(app_source->engines[e], 0, qps, QPS_MAX);

		list_qps(&list, e, qps, n, total, from, &next);
		total += n;
	}
	free(qps);
	put_u64(top, "total", total);
	if (next != UINT32_MAX)
		put_u64(top, "next", next);
	put_object(top, "qps", &list.object);
	return NULL;
}

#define PORT(key, member, type) \
	{ \
		key, offsetof(struct remu_port_info, member), type \
	}

_Static_assert(sizeof(bool) == 1, "TEL_U8");

static const struct tel_field port_fields[] = {
	PORT("port_id", port_id, TEL_U16),
	PORT("queues", n_queues, TEL_U16),
	PORT("mtu_bytes", mtu, TEL_U16),
	PORT("rx_ring", rx_ring, TEL_U16),
	PORT("tx_ring", tx_ring, TEL_U16),
	PORT("mac_set", mac_set, TEL_U8),
	PORT("promiscuous", promiscuous, TEL_U8),
	PORT("rss", rss, TEL_U8),
	PORT("started", started, TEL_U8),
	PORT("link_up", link_up, TEL_U8),
	PORT("rx_offloads", rx_offloads, TEL_HEX),
	PORT("tx_offloads", tx_offloads, TEL_HEX),
	PORT("rx_packets", rx_packets, TEL_U64),
	PORT("rx_bytes", rx_bytes, TEL_U64),
	PORT("rx_missed", rx_missed, TEL_U64),
	PORT("rx_errors", rx_errors, TEL_U64),
	PORT("rx_no_mbuf", rx_no_mbuf, TEL_U64),
	PORT("tx_packets", tx_packets, TEL_U64),
	PORT("tx_bytes", tx_bytes, TEL_U64),
	PORT("tx_errors", tx_errors, TEL_U64),
	{0},
};

/* What became of frames between the port and the engines. */
static void
put_lcores(struct object *top)
{
	struct data_counters sum = {0};

	for (uint32_t i = 0; i < app_source->n_engines; i++) {
		const struct data_counters *c = &app_source->lcores[i].counters;

		sum.handed_over += c->handed_over;
		sum.inbox_full += c->inbox_full;
		sum.tx_stalled += c->tx_stalled;
	}
	put_u64(top, "handed_over", sum.handed_over);
	put_u64(top, "inbox_full", sum.inbox_full);
	put_u64(top, "tx_stalled", sum.tx_stalled);
}

static const char *
answer_port(struct object *top, const struct args *args)
{
	struct remu_port_info info;

	(void)args;
	remu_port_info(app_source->port, &info);
	put_text(top, "name", info.name);
	put_text(top, "driver", info.driver);
	put_mac(top, "mac", info.mac);
	put_ip(top, "ip", app_source->cfg->port.ip);
	if (info.link_mbps == UINT32_MAX)
		put_int(top, "link_mbps", -1);
	else
		put_u64(top, "link_mbps", info.link_mbps);
	put_fields(top, port_fields, &info);
	put_lcores(top);
	return NULL;
}

/* ---- parameters and commands ---- */

/* One decimal number without sign, blanks or leading zeros; *at goes on behind it. */
static bool
parse_number(const char **at, uint32_t *out)
{
	const char *p = *at;
	uint64_t value = 0;

	if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*out = (uint32_t)value;
	*at = p;
	return true;
}

/* At most max numbers with a comma in between. No text at all: none. */
static const char *
parse_args(const char *text, uint32_t max, struct args *args)
{
	args->n = 0;
	if (text == NULL || *text == '\0')
		return NULL;
	if (max == 0)
		return "this command takes no parameters";
	for (;;) {
		if (args->n == max)
			return "too many parameters";
		if (!parse_number(&text, &args->v[args->n]))
			return "a parameter is not a decimal number of 32 bits";
		args->n++;
		if (*text == '\0')
			return NULL;
		if (*text++ != ',')
			return "a parameter is not a decimal number of 32 bits";
	}
}

static const struct command {
	const char *name;
	const char *help;
	uint32_t max_args;
	answer_fn answer;
} commands[] = {
	{"/ccm/status", "State of this node. No parameters.", 0, answer_status},
	{"/ccm/partners", "State of partners. Parameter: [first]", 1, answer_partners},
	{"/ccm/partner", "All about one partner. Parameter: id", 1, answer_partner},
	{"/ccm/clients", "Clients and their sessions. No parameters.", 0, answer_clients},
	{"/ccm/ports", "Clients' ports. Parameters: [id, or 0: all][,first]", 2, answer_ports},
	{"/ccm/events", "State changes, newest first. Parameter: [newest seq]", 1, answer_events},
	{"/ccm/timing", "Steps of the last set-ups. Parameter: [first]", 1, answer_timing},
	{"/ccm/exercise", "Test data over the ports. Parameter: [first]", 1, answer_exercise},
	{"/remu/stats", "Counters of engines. Parameter: [first engine]", 1, answer_stats},
	{"/remu/qps", "Queue pairs. Parameter: [first]", 1, answer_qps},
	{"/remu/drops", "Dropped packets by reason. No parameters.", 0, answer_drops},
	{"/remu/port", "The Ethernet port. No parameters.", 0, answer_port},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

/* @return why there is no answer, or NULL */
static const char *
answer(const struct command *command, const char *params, struct object *top)
{
	struct args args;
	const char *error = parse_args(params, command->max_args, &args);

	if (error != NULL)
		return error;
	pthread_mutex_lock(&app_lock);
	error = app_source != NULL ? command->answer(top, &args) : "the node has stopped";
	pthread_mutex_unlock(&app_lock);
	return error;
}

/* Callback of all commands. */
static int
on_command(const char *cmd, const char *params, struct rte_tel_data *data)
{
	struct object top = {.data = data};
	const char *error;

	for (uint32_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(cmd, commands[i].name) != 0)
			continue;
		rte_tel_data_start_dict(data);
		error = answer(&commands[i], params, &top);
		if (error != NULL)
			put_text(&top, "error", error);
		return 0;
	}
	return -ENOENT;
}

static void
set_source(const struct telemetry_source *src)
{
	pthread_mutex_lock(&app_lock);
	app_source = src;
	pthread_mutex_unlock(&app_lock);
}

int
node_telemetry_register(const struct telemetry_source *src)
{
	set_source(src);
	for (uint32_t i = 0; i < N_COMMANDS; i++) {
		int rc = rte_telemetry_register_cmd(commands[i].name, on_command, commands[i].help);

		if (rc != 0)
			return rc;
	}
	return 0;
}

void
node_telemetry_stop(void)
{
	set_source(NULL);
}
