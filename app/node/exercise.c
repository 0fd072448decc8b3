/* SPDX-License-Identifier: BSD-3-Clause */
#include "exercise.h"

#include "config.h"
#include "log.h"
#include "rdma_emul.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What a port is at. Filling and comparing are done in exercise_poll(), the rest in callbacks. */
enum stage {
	STAGE_IDLE,    /* no round under way: a new one may begin */
	STAGE_WRITING, /* the engine reads `out` */
	STAGE_WRITTEN, /* the READ is still to be posted */
	STAGE_READING, /* the engine writes `back` */
	STAGE_COMPARE, /* both buffers are ours */
};

struct counters {
	_Atomic bool up;
	_Atomic uint64_t sessions;
	_Atomic uint64_t rounds;
	_Atomic uint64_t verified_bytes;
	_Atomic uint64_t mismatches;
	_Atomic uint64_t errors;
};

/* A port of a client towards a partner. */
struct slot {
	/* constant */
	const char *client;
	uint64_t identity; /* differs for every slot, and between the two nodes */
	uint16_t partner_id;
	uint16_t port;
	uint32_t chunk_max; /* bytes of each buffer, a multiple of 8 */
	uint8_t *out;
	uint8_t *back;
	/* control core */
	uint32_t handle;
	uint64_t base;	 /* our half of the partner's region: its offset */
	uint64_t half;	 /* and its length, a multiple of 8 */
	uint64_t walked; /* next chunk, from base */
	uint32_t length; /* bytes of the round under way */
	uint64_t salt;	 /* of the session: its patterns differ from those of the last one */
	uint64_t round;
	uint8_t stage; /* enum stage */
	bool queued;
	bool reported;	 /* result of the first round */
	bool complained; /* of a failure */
	/* written by the control core, read by any thread */
	struct counters n;
};

struct exercise_client {
	struct exercise *ex;
	struct ccm_client_config cfg;
	uint32_t first_slot; /* of the first partner; its ports, then those of the next partner */
};

struct exercise {
	struct ccm *ccm;
	bool enabled;
	uint16_t node_id;
	uint32_t n_partners;
	uint16_t partner_ids[CCM_MAX_PARTNERS];
	uint32_t n_clients;
	struct exercise_client clients[CCM_MAX_CLIENTS];
	uint8_t *buffers;
	/* Every slot is looked at once per period, one after another, so the load is even. */
	uint32_t cursor;
	uint64_t next_visit_ns;
	uint64_t visit_ns;
	/* Slots with work that does not wait for that; each is in here at most once. */
	uint32_t queue_head;
	uint32_t n_queued;
	uint32_t *queue;
	uint32_t n_slots;
	struct slot *slots;
};

/* Only the control core writes: no read-modify-write is needed. */
static void
add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

static uint64_t
get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* splitmix64 from a seed of its own for every slot, session and round. */
static void
fill(const struct slot *s)
{
	uint64_t state = mix(mix(s->identity ^ mix(s->salt)) + s->round);

	for (uint32_t i = 0; i < s->length; i += sizeof(state)) {
		uint64_t word = mix(state += 0x9e3779b97f4a7c15u);

		memcpy(s->out + i, &word, sizeof(word));
	}
}

static void
enqueue(struct exercise *ex, struct slot *s)
{
	if (s->queued)
		return;
	s->queued = true;
	ex->queue[(ex->queue_head + ex->n_queued++) % ex->n_slots] = (uint32_t)(s - ex->slots);
}

static struct slot *
dequeue(struct exercise *ex)
{
	struct slot *s;

	if (ex->n_queued == 0)
		return NULL;
	s = &ex->slots[ex->queue[ex->queue_head]];
	ex->queue_head = (ex->queue_head + 1) % ex->n_slots;
	ex->n_queued--;
	s->queued = false;
	return s;
}

/* Work request ids tell rounds and directions apart. */
static uint64_t
wr_id_of(const struct slot *s, enum ccm_port_op op)
{
	return s->round << 1 | (op == CCM_PORT_READ);
}

static void
failed(struct slot *s, enum ccm_port_op op, const char *why)
{
	add(&s->n.errors, 1);
	s->stage = STAGE_IDLE;
	if (!s->complained)
		NODE_LOG(WARNING, "client %s, partner %u, port %u: %s of %u bytes failed: %s",
			s->client, s->partner_id, s->port, op == CCM_PORT_READ ? "READ" : "WRITE",
			s->length, why);
	s->complained = true;
}

/* Post, now or when the port's queue has room again: then the stage stays as it is. */
static void
post(struct exercise *ex, struct slot *s, enum ccm_port_op op)
{
	bool read = op == CCM_PORT_READ;
	int rc = ccm_port_post(ex->ccm, s->handle, op, read ? s->back : s->out, s->base + s->walked,
		s->length, wr_id_of(s, op));

	if (rc == 0)
		s->stage = read ? STAGE_READING : STAGE_WRITING;
	else if (rc != -EAGAIN)
		failed(s, op, strerror(-rc));
}

static void
begin_round(struct exercise *ex, struct slot *s)
{
	uint64_t left = s->half - s->walked;

	s->length = left < s->chunk_max ? (uint32_t)left : s->chunk_max;
	if (s->length == 0)
		return;
	fill(s);
	post(ex, s, CCM_PORT_WRITE);
}

static void
complain_mismatch(struct slot *s)
{
	uint32_t at = 0, n = 0;

	for (uint32_t i = s->length; i-- > 0;) {
		if (s->out[i] == s->back[i])
			continue;
		at = i;
		n++;
	}
	if (!s->complained)
		NODE_LOG(ERR,
			"client %s, partner %u, port %u: %u of %u bytes read back differ, "
			"the first one at offset %" PRIu64,
			s->client, s->partner_id, s->port, n, s->length, s->base + s->walked + at);
	s->complained = true;
}

static void
end_round(struct slot *s)
{
	bool equal = memcmp(s->out, s->back, s->length) == 0;

	if (equal) {
		add(&s->n.verified_bytes, s->length);
		if (!s->reported)
			NODE_LOG(INFO,
				"client %s, partner %u, port %u: %u bytes written, read "
				"back and verified",
				s->client, s->partner_id, s->port, s->length);
	} else {
		add(&s->n.mismatches, 1);
		complain_mismatch(s);
	}
	s->reported = true;
	add(&s->n.rounds, 1);
	s->round++;
	s->walked += s->length;
	if (s->walked >= s->half)
		s->walked = 0;
	s->stage = STAGE_IDLE;
}

/* Do what this slot waits for; idle ones begin a round. */
static bool
step(struct exercise *ex, struct slot *s)
{
	if (!atomic_load_explicit(&s->n.up, memory_order_relaxed))
		return false;
	switch ((enum stage)s->stage) {
	case STAGE_IDLE:
		begin_round(ex, s);
		return true;
	case STAGE_WRITTEN:
		post(ex, s, CCM_PORT_READ);
		return true;
	case STAGE_COMPARE:
		end_round(s);
		return true;
	case STAGE_WRITING:
	case STAGE_READING:
		break;
	}
	return false;
}

/*
 * A new session. Of a round that the end of the last one cut short, the engine could still be
 * reading `out` or writing `back`: it was, until that port was destroyed. The manager flushes and
 * destroys all ports of a session before it creates those of the next one, and only then says UP
 * again; so here both buffers are ours.
 */
static void
port_up(struct exercise *ex, struct slot *s, const struct ccm_port *port, uint64_t now_ns)
{
	s->handle = port->handle;
	s->half = port->length / 2 & ~UINT64_C(7);
	s->base = ex->node_id < s->partner_id ? 0 : s->half;
	s->walked = 0;
	s->salt = now_ns;
	s->stage = STAGE_IDLE;
	s->reported = false;
	s->complained = false;
	add(&s->n.sessions, 1);
	atomic_store_explicit(&s->n.up, true, memory_order_relaxed);
	if (ex->enabled)
		enqueue(ex, s);
}

/* The slot of a client's port; NULL for a partner or port that the configuration lacks. */
static struct slot *
find(const struct exercise_client *client, uint16_t partner_id, uint32_t port)
{
	struct exercise *ex = client->ex;

	if (port >= client->cfg.ports)
		return NULL;
	for (uint32_t i = 0; i < ex->n_partners; i++)
		if (ex->partner_ids[i] == partner_id)
			return &ex->slots[client->first_slot + i * client->cfg.ports + port];
	return NULL;
}

static void
on_completed(struct exercise_client *client, const struct ccm_client_event *ev)
{
	struct slot *s = find(client, ev->partner_id, ev->ports[0].index);
	bool read;

	if (s == NULL || (s->stage != STAGE_WRITING && s->stage != STAGE_READING))
		return;
	read = s->stage == STAGE_READING;
	if (ev->wr_id != wr_id_of(s, read ? CCM_PORT_READ : CCM_PORT_WRITE))
		return;
	if (ev->status != REMU_WC_SUCCESS) {
		failed(s, read ? CCM_PORT_READ : CCM_PORT_WRITE, remu_wc_status_name(ev->status));
	} else if (read) {
		s->stage = STAGE_COMPARE;
		enqueue(client->ex, s);
	} else {
		s->stage = STAGE_WRITTEN;
		post(client->ex, s, CCM_PORT_READ);
	}
}

static void
on_client(void *ctx, const struct ccm_client_event *ev)
{
	struct exercise_client *client = ctx;
	struct slot *s;

	switch (ev->kind) {
	case CCM_CLIENT_UP:
		for (uint32_t i = 0; i < ev->n_ports; i++) {
			s = find(client, ev->partner_id, ev->ports[i].index);
			if (s != NULL)
				port_up(client->ex, s, &ev->ports[i], ev->now_ns);
		}
		break;
	case CCM_CLIENT_DOWN:
		/* From here on the stage does not matter: only UP makes use of the slot again. */
		for (uint32_t i = 0; i < client->cfg.ports; i++) {
			s = find(client, ev->partner_id, i);
			if (s != NULL)
				atomic_store_explicit(&s->n.up, false, memory_order_relaxed);
		}
		break;
	case CCM_CLIENT_COMPLETED:
		on_completed(client, ev);
		break;
	case CCM_CLIENT_RELEASED: /* the buffers are used again at UP, which is later */
	case CCM_CLIENT_ADVICE:
	case CCM_CLIENT_GONE:
		break;
	}
}

/* Half a region, as far as a buffer is that large. */
static uint32_t
chunk_of(const struct ccm_client_config *client)
{
	uint64_t half = client->memory / client->ports / 2 & ~UINT64_C(7);

	return half < EXERCISE_CHUNK ? (uint32_t)half : EXERCISE_CHUNK;
}

static void
init_slots(struct exercise *ex, const struct exercise_client *client, uint8_t **buffer)
{
	uint32_t n = ex->n_partners * client->cfg.ports;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t index = client->first_slot + i;
		struct slot *s = &ex->slots[index];

		s->client = client->cfg.name;
		s->partner_id = ex->partner_ids[i / client->cfg.ports];
		s->port = (uint16_t)(i % client->cfg.ports);
		s->identity = (uint64_t)ex->node_id << 48 | (uint64_t)s->partner_id << 32 | index;
		if (!ex->enabled)
			continue;
		s->chunk_max = chunk_of(&client->cfg);
		s->out = *buffer;
		s->back = *buffer + s->chunk_max;
		*buffer += 2 * (size_t)s->chunk_max;
	}
}

static int
allocate(struct exercise *ex)
{
	size_t bytes = 0;
	uint8_t *buffer;

	for (uint32_t i = 0; i < ex->n_clients; i++) {
		struct exercise_client *client = &ex->clients[i];
		uint32_t n = ex->n_partners * client->cfg.ports;

		client->first_slot = ex->n_slots;
		ex->n_slots += n;
		bytes += 2 * (size_t)n * chunk_of(&client->cfg);
	}
	/* At least one of each: calloc() of nothing may return NULL. */
	ex->slots = calloc(ex->n_slots + 1, sizeof(*ex->slots));
	ex->queue = calloc(ex->n_slots + 1, sizeof(*ex->queue));
	ex->buffers = ex->enabled ? calloc(bytes + 1, 1) : NULL;
	if (ex->slots == NULL || ex->queue == NULL || (ex->enabled && ex->buffers == NULL))
		return -ENOMEM;
	buffer = ex->buffers;
	for (uint32_t i = 0; i < ex->n_clients; i++)
		init_slots(ex, &ex->clients[i], &buffer);
	return 0;
}

int
exercise_create(const struct node_config *cfg, bool enabled, struct exercise **out)
{
	struct exercise *ex = calloc(1, sizeof(*ex));

	*out = NULL;
	if (ex == NULL)
		return -ENOMEM;
	ex->enabled = enabled;
	ex->node_id = cfg->ccm.node_id;
	ex->n_partners = cfg->ccm.n_partners;
	for (uint32_t i = 0; i < ex->n_partners; i++)
		ex->partner_ids[i] = cfg->ccm.partners[i].id;
	for (uint32_t i = 0; i < cfg->n_clients; i++)
		if (cfg->clients[i].kind == NODE_CLIENT_EXERCISE)
			ex->clients[ex->n_clients++] = (struct exercise_client){.ex = ex,
				.cfg = cfg->clients[i].ccm};
	if (allocate(ex) != 0) {
		exercise_destroy(ex);
		return -ENOMEM;
	}
	ex->visit_ns = ex->n_slots == 0 ? 0 : EXERCISE_PERIOD_NS / ex->n_slots;
	*out = ex;
	return 0;
}

void
exercise_destroy(struct exercise *ex)
{
	if (ex == NULL)
		return;
	free(ex->buffers);
	free(ex->queue);
	free(ex->slots);
	free(ex);
}

int
exercise_register(struct exercise *ex, struct ccm *ccm)
{
	struct ccm_client *handle;
	int rc = 0;

	ex->ccm = ccm;
	for (uint32_t i = 0; rc == 0 && i < ex->n_clients; i++)
		rc = ccm_client_register(ccm, &ex->clients[i].cfg, on_client, &ex->clients[i],
			&handle);
	return rc;
}

bool
exercise_poll(struct exercise *ex, uint64_t now_ns)
{
	struct slot *s = dequeue(ex);
	bool any = s != NULL && step(ex, s);

	if (!ex->enabled || ex->n_slots == 0 || now_ns < ex->next_visit_ns)
		return any;
	s = &ex->slots[ex->cursor];
	if (!s->queued)
		any |= step(ex, s);
	ex->cursor = (ex->cursor + 1) % ex->n_slots;
	/* A loop that has been held up does not make up for it: that would hold it up again. */
	ex->next_visit_ns += ex->visit_ns;
	if (ex->next_visit_ns < now_ns)
		ex->next_visit_ns = now_ns;
	return any;
}

bool
exercise_enabled(const struct exercise *ex)
{
	return ex->enabled;
}

uint32_t
exercise_count(const struct exercise *ex)
{
	return ex->n_slots;
}

int
exercise_read(const struct exercise *ex, uint32_t index, struct exercise_status *out)
{
	const struct slot *s;

	if (index >= ex->n_slots)
		return -ENOENT;
	s = &ex->slots[index];
	*out = (struct exercise_status){
		.partner_id = s->partner_id,
		.port = s->port,
		.up = atomic_load_explicit(&s->n.up, memory_order_relaxed),
		.sessions = get(&s->n.sessions),
		.rounds = get(&s->n.rounds),
		.verified_bytes = get(&s->n.verified_bytes),
		.mismatches = get(&s->n.mismatches),
		.errors = get(&s->n.errors),
	};
	memcpy(out->client, s->client, sizeof(out->client));
	return 0;
}
