/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two sessions joined by a wire that loses, repeats, delays and damages, on nodes that crash, hang,
 * stop and come back, in virtual time. After every event the invariants I1 to I5 are checked
 * against ghost state: what each attempt has really done. Once the faults stop, both sessions must
 * come up and stay up.
 *
 *   test_ccm_session_pair              all tests
 *   test_ccm_session_pair SEED         that seed alone, every event printed
 *   CCM_PAIR_SEEDS=1000000 ...         more seeds
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ccm_directory.h"
#include "ccm_record.h"
#include "ccm_session.h"

enum {
	NODES = 2,
	CLIENTS = 3,
	PORTS = 8,
	PAYLOAD = CCM_DIRECTORY_HEADER + (CLIENTS + PORTS) * CCM_DIRECTORY_ENTRY,
	HEAP = 2048,
	BUFFERS = 2048,
	ATTEMPTS = 4096, /* power of two: the low bits of a nonce are its index */
	SPINS = 64,	 /* events at one instant before we call it a loop */
	SEEDS = 20000,
	NEVER = UINT32_MAX,
};
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)

enum area { AREA_SLOT, AREA_DIR };

enum event_kind {
	EV_READ_AT,   /* the READ is at the partner's region */
	EV_READ_BACK, /* its answer is here */
	EV_READ_FAIL,
	EV_WRITE_AT,
	EV_WRITE_ACK,
	EV_WRITE_FAIL,
	EV_PORTS, /* tag: enum ccm_input_kind */
	EV_OP,	  /* tag: enum op */
	EV_COUNT
};

enum op {
	OP_CRASH,
	OP_PORT_ERROR,
	OP_LINK_FLAP,
	OP_PAUSE,
	OP_CUT,
	OP_STOP,
	OP_CLIENTS,
	OP_RANDOM, /* those before this one are drawn at random */
	OP_BOOT = OP_RANDOM,
	OP_START,
	OP_LINK_UP,
};

struct event {
	uint64_t at;
	uint32_t order;
	uint32_t tag;
	uint32_t epoch; /* of the node, for what dies with it */
	uint16_t buf;
	uint8_t kind;
	uint8_t node;
	uint8_t area;
};

/* What an attempt has really done. */
struct attempt {
	uint64_t nonce;
	uint64_t created_for; /* the partner attempt that its ports are for; 0: no ports */
	uint64_t map_hash;
	uint32_t qpn;
	uint16_t version;
	bool used;
	bool verified;
};

struct node {
	struct ccm_session s;
	struct ccm_session_config cfg;
	struct ccm_directory_client clients[CLIENTS];
	uint32_t n_clients;
	bool alive;
	bool ports_exist;
	bool client_up;
	bool leaving;
	uint32_t epoch;
	uint32_t io; /* tag of the READ or WRITE under way */
	uint64_t paused_until;
	uint64_t timer_at;
	uint64_t cut_until; /* what it sends is lost until then */
	uint64_t odd_since; /* UP, although the partner's attempt is over */
	uint32_t tried;	    /* directory CRC handed over last, and for which attempt of ours */
	uint64_t tried_nonce;
	bool slot_new;
	size_t dir_len;
	uint32_t n_attempts;
	uint32_t n_up;
	uint32_t n_down;
	uint64_t first_read_at;
	uint64_t up_at;
	struct attempt *attempts; /* survive the node */
	uint8_t out[CCM_RECORD_SIZE];
	uint8_t slot[CCM_RECORD_SIZE];
	uint8_t dir[PAYLOAD];	    /* the partner's */
	uint8_t dir_image[PAYLOAD]; /* ours */
};

/* Chances of 65536 for each packet. */
struct faults {
	uint32_t lose, lose_ack, phantom, late, again, damage;
	uint64_t delay; /* longest, of what lands late or again */
};

struct params {
	uint64_t rtt, timeout, ports_delay, jitter;
	struct faults faults;
	uint64_t faults_until;
	uint32_t drop_first, drop_count, drop_second; /* packets by number */
	uint32_t crash_at[2], crash_node[2];	      /* events by number */
	uint64_t boot_delay;
};

static struct {
	struct params p;
	struct node nodes[NODES];
	struct event heap[HEAP];
	uint32_t n_heap;
	uint8_t bufs[BUFFERS][PAYLOAD];
	uint16_t free_bufs[BUFFERS];
	uint32_t n_free;
	uint64_t now;
	uint64_t rng;
	uint64_t hash;
	uint64_t quiet_at; /* nothing bad happens after this */
	uint32_t order;
	uint32_t io;
	uint32_t n_events;
	uint32_t n_packets;
	uint32_t spins;
	uint64_t seed;
	bool verbose;
} sim;

static struct attempt attempt_memory[NODES][ATTEMPTS];

#define CHECK(cond) \
	do { \
		if (!(cond)) \
			fail_msg("seed %" PRIu64 ", event %u, t %" PRIu64 ": %s", sim.seed, \
				sim.n_events, sim.now, #cond); \
	} while (0)

static uint64_t
rnd(void)
{
	uint64_t z = sim.rng += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t
below(uint64_t n)
{
	return n == 0 ? 0 : rnd() % n;
}

static bool
chance(uint32_t of_65536)
{
	return of_65536 != 0 && sim.now < sim.p.faults_until && (rnd() & 0xffff) < of_65536;
}

static bool
before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void
push(struct event e)
{
	uint32_t i = sim.n_heap++;

	CHECK(i < HEAP);
	e.order = sim.order++;
	while (i > 0 && before(&e, &sim.heap[(i - 1) / 2])) {
		sim.heap[i] = sim.heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	sim.heap[i] = e;
}

static struct event
pop(void)
{
	struct event top = sim.heap[0], last = sim.heap[--sim.n_heap];
	uint32_t i = 0, c;

	while ((c = 2 * i + 1) < sim.n_heap) {
		if (c + 1 < sim.n_heap && before(&sim.heap[c + 1], &sim.heap[c]))
			c++;
		if (!before(&sim.heap[c], &last))
			break;
		sim.heap[i] = sim.heap[c];
		i = c;
	}
	sim.heap[i] = last;
	return top;
}

static uint16_t
buf_get(const void *data, size_t len)
{
	uint16_t b;

	CHECK(sim.n_free > 0);
	b = sim.free_bufs[--sim.n_free];
	memcpy(sim.bufs[b], data, len);
	return b;
}

static void
buf_put(uint16_t b)
{
	sim.free_bufs[sim.n_free++] = b;
}

static uint64_t
new_nonce(struct node *n)
{
	uint32_t i = ++n->n_attempts;
	uint64_t nonce = (rnd() | UINT64_C(1) << 63) & ~(uint64_t)(ATTEMPTS - 1);

	CHECK(i < ATTEMPTS);
	nonce |= i;
	n->attempts[i] = (struct attempt){.nonce = nonce};
	return nonce;
}

static struct attempt *
attempt_of(struct node *n, uint64_t nonce)
{
	struct attempt *a = &n->attempts[nonce & (ATTEMPTS - 1)];

	CHECK(a->nonce == nonce);
	return a;
}

static struct node *
other(const struct node *n)
{
	return &sim.nodes[n == &sim.nodes[0]];
}

static uint8_t
index_of(const struct node *n)
{
	return n == &sim.nodes[1];
}

/* One packet sets out from a node. Returns whether it gets lost. */
static bool
lost(const struct node *from, uint32_t odds)
{
	uint32_t i = sim.n_packets++;

	if (i - sim.p.drop_first < sim.p.drop_count || i == sim.p.drop_second)
		return true;
	return sim.now < from->cut_until || chance(odds);
}

static void
post_read(struct node *n)
{
	struct event e = {.node = index_of(n), .epoch = n->epoch, .tag = n->io = ++sim.io};

	if (n->first_read_at == 0)
		n->first_read_at = sim.now;
	e.kind = EV_READ_FAIL;
	e.at = sim.now + sim.p.timeout;
	push(e);
	if (lost(n, sim.p.faults.lose))
		return;
	e.kind = EV_READ_AT;
	e.at = sim.now + sim.p.rtt / 2;
	push(e);
}

static void
send_payload(struct node *n, enum area area, const uint8_t *data, size_t len)
{
	struct event e = {
		.kind = EV_WRITE_AT,
		.node = index_of(other(n)),
		.area = (uint8_t)area,
		.tag = (uint32_t)len,
		.at = sim.now + sim.p.rtt / 2,
	};

	if (chance(sim.p.faults.late))
		e.at += below(sim.p.faults.delay);
	e.buf = buf_get(data, len);
	push(e);
	while (chance(sim.p.faults.again)) {
		e.buf = buf_get(data, len);
		e.at = sim.now + sim.p.rtt / 2 + below(sim.p.faults.delay);
		push(e);
	}
}

static void
post_write(struct node *n, bool notify)
{
	struct event e = {.node = index_of(n), .epoch = n->epoch};
	uint8_t image[CCM_RECORD_SIZE];
	struct ccm_record rec;
	bool data_lost = lost(n, sim.p.faults.lose);

	if (!notify) {
		e.tag = n->io = ++sim.io;
		e.kind = EV_WRITE_FAIL;
		e.at = sim.now + sim.p.timeout;
		push(e);
	}
	/* An acknowledgement proves nothing: it may come although nothing has landed. */
	if (!data_lost && !chance(sim.p.faults.phantom)) {
		if (ccm_session_directory_due(&n->s))
			send_payload(n, AREA_DIR, n->dir_image, n->dir_len);
		ccm_session_record(&n->s, &rec);
		ccm_record_encode(&rec, image);
		send_payload(n, AREA_SLOT, image, sizeof(image));
	}
	if (notify || data_lost || !other(n)->alive || lost(other(n), sim.p.faults.lose_ack))
		return;
	e.kind = EV_WRITE_ACK;
	e.at = sim.now + sim.p.rtt;
	push(e);
}

static void
publish(struct node *n)
{
	struct ccm_record rec;

	ccm_session_record(&n->s, &rec);
	ccm_record_encode(&rec, n->out);
}

static void
encode_directory(struct node *n)
{
	struct ccm_directory dir = {.nonce = n->s.nonce,
		.echo = n->s.bound,
		.n_clients = n->n_clients};

	memcpy(dir.clients, n->clients, sizeof(n->clients));
	dir.n_ports = n->ports_exist ? n->s.map.n_entries : 0;
	for (uint32_t i = 0; i < dir.n_ports; i++) {
		const struct ccm_port_map_entry *m = &n->s.map.entries[i];

		dir.ports[i] = (struct ccm_directory_port){
			.client = m->mine,
			.index = m->index,
			.qpn = attempt_of(n, n->s.nonce)->qpn + i,
			.rkey = 1,
			.va = 4096,
			.length = m->length,
		};
	}
	n->dir_len = ccm_directory_encode(&dir, n->dir_image, &n->s.dir_crc);
}

static void
ports_job(struct node *n, enum ccm_input_kind done)
{
	push((struct event){.kind = EV_PORTS,
		.node = index_of(n),
		.epoch = n->epoch,
		.tag = done,
		.at = sim.now + sim.p.ports_delay});
}

/* What the ghosts know must agree with what the session believes. */
static void
check_node(struct node *n)
{
	const struct ccm_session *s = &n->s;
	struct node *o = other(n);
	const struct attempt *mine = attempt_of(n, s->nonce);
	bool session = s->state >= CCM_PORTS && s->state <= CCM_UP;

	CHECK(n->client_up == (s->state == CCM_UP));
	CHECK(session == n->ports_exist); /* I4 */
	CHECK(s->bound == 0 || s->state >= CCM_BOUND);
	if (s->state == CCM_READY || s->state == CCM_UP) { /* I1 */
		const struct attempt *theirs = attempt_of(o, s->bound);

		CHECK(theirs->created_for == s->nonce);
		CHECK(mine->created_for == s->bound);
		CHECK(s->theirs.nonce == s->bound && s->theirs.echo == s->nonce);
		CHECK(s->map.n_entries == 0 || s->theirs.ports[0].qpn == theirs->qpn);
		if (s->state == CCM_UP) {
			CHECK(theirs->verified);
			CHECK(theirs->version == s->version && theirs->map_hash == s->map_hash);
		}
	}
	if (o->alive && s->state == CCM_UP && o->s.state == CCM_UP) { /* I2 */
		CHECK(s->bound == o->s.nonce && o->s.bound == s->nonce);
		CHECK(s->version == o->s.version && s->map_hash == o->s.map_hash);
		CHECK(s->path_mtu == o->s.path_mtu && s->features == o->s.features);
	}
}

/* L2: UP against an attempt that is over ends within the detection time. */
static void
check_detection(struct node *n)
{
	const struct ccm_session_config *cfg = &n->cfg;
	const struct node *o = other(n);
	bool odd = n->alive && n->s.state == CCM_UP && (!o->alive || o->s.nonce != n->s.bound);

	if (!odd)
		n->odd_since = 0;
	else if (n->odd_since == 0)
		n->odd_since = sim.now;
	else if (sim.now >= n->paused_until)
		CHECK(sim.now - (n->odd_since > n->paused_until ? n->odd_since : n->paused_until) <=
			cfg->dead_after_ns + 3 * cfg->beat_ns + 2 * sim.p.timeout);
}

static void
act_on(struct node *n, uint32_t act)
{
	struct attempt *a;

	if (act & CCM_ACT_CLIENTS_DOWN) {
		CHECK(n->client_up); /* I5 */
		n->client_up = false;
		n->n_down++;
	}
	if (act & CCM_ACT_DESTROY) {
		CHECK(!n->client_up);
		n->ports_exist = false;
		ports_job(n, CCM_IN_PORTS_DESTROYED);
	}
	if (act & CCM_ACT_NONCE)
		n->s.spare_nonce = new_nonce(n);
	if ((act & CCM_ACT_DIRECTORY) && n->s.bound != 0)
		encode_directory(n);
	if (act & CCM_ACT_PUBLISH)
		publish(n);
	a = attempt_of(n, n->s.nonce);
	if (act & CCM_ACT_CREATE)
		ports_job(n, CCM_IN_PORTS_CREATED);
	if (act & CCM_ACT_CONNECT)
		ports_job(n, CCM_IN_PORTS_CONNECTED);
	if (n->s.state == CCM_READY || n->s.state == CCM_UP) {
		a->verified = true;
		a->version = n->s.version;
		a->map_hash = n->s.map_hash;
	}
	if (act & CCM_ACT_CLIENTS_UP) {
		CHECK(!n->client_up); /* I5 */
		n->client_up = true;
		n->n_up++;
		n->up_at = sim.now;
	}
	if (act & CCM_ACT_READ)
		post_read(n);
	if (act & CCM_ACT_WRITE)
		post_write(n, false);
	if (act & CCM_ACT_NOTIFY)
		post_write(n, true);
}

static void
feed(struct node *n, const struct ccm_input *in)
{
	struct ccm_session *s = &n->s;
	uint64_t nonce = s->nonce, bound = s->bound, spare = s->spare_nonce;
	enum ccm_state from = s->state;
	uint32_t act;

	if (in->kind == CCM_IN_PORTS_CREATED && s->ports == CCM_PORTS_CREATING) {
		struct attempt *a = attempt_of(n, nonce);

		n->ports_exist = true;
		a->created_for = bound;
		a->qpn = 16 + (uint32_t)below(1 << 22);
	}
	act = ccm_session_step(s, in, sim.now);
	CHECK((s->nonce != nonce) == ((act & CCM_ACT_NONCE) != 0));
	if (s->nonce != nonce) {
		CHECK(s->nonce == spare && !attempt_of(n, spare)->used);
		attempt_of(n, spare)->used = true;
	} else if (s->bound != bound) {
		CHECK(bound == 0 || s->state == CCM_DOWN); /* I3 */
	}
	CHECK(((act & CCM_ACT_CLIENTS_DOWN) != 0) == (from == CCM_UP && s->state != CCM_UP));
	CHECK(((act & CCM_ACT_CLIENTS_UP) != 0) == (from != CCM_UP && s->state == CCM_UP));
	CHECK(((act & CCM_ACT_EVENT) != 0) == (s->n_moves != 0));
	if (sim.verbose)
		printf("%10.1f us  %c  in %2d  act %03x  %-8s %-17s nonce %03x bound %03x\n",
			(double)sim.now / 1000, 'A' + index_of(n), in->kind, act,
			ccm_state_name(s->state), ccm_reason_name(s->reason),
			(unsigned)(s->nonce & (ATTEMPTS - 1)),
			(unsigned)(s->bound & (ATTEMPTS - 1)));
	sim.hash = (sim.hash ^ sim.now ^ (uint64_t)act << 32 ^ s->state ^ in->kind << 8) *
		0x100000001b3u;
	act_on(n, act);
	check_node(n);
}

static void
feed_kind(struct node *n, enum ccm_input_kind kind)
{
	feed(n, &(struct ccm_input){.kind = kind});
}

static void
poll_directory(struct node *n)
{
	const struct ccm_session *s = &n->s;
	const struct ccm_record *rec = s->slot.nonce == s->bound ? &s->slot : &s->seen;
	struct ccm_directory dir;

	if (s->bound == 0 || rec->nonce != s->bound || rec->dir_crc == 0 ||
		(n->tried == rec->dir_crc && n->tried_nonce == s->nonce) ||
		ccm_directory_decode(n->dir, sizeof(n->dir), &dir) != CCM_DIRECTORY_OK ||
		dir.crc != rec->dir_crc)
		return;
	n->tried = dir.crc;
	n->tried_nonce = s->nonce;
	feed(n, &(struct ccm_input){.kind = CCM_IN_DIRECTORY, .directory = &dir});
}

/* One turn of the node's loop, after whatever woke it. */
static void
turn(struct node *n)
{
	struct ccm_record rec;
	uint64_t at;

	if (n->slot_new && n->s.state != CCM_DOWN) {
		n->slot_new = false;
		if (ccm_record_decode(n->slot, &rec) == CCM_RECORD_OK)
			feed(n, &(struct ccm_input){.kind = CCM_IN_SLOT, .record = &rec});
	}
	poll_directory(n);
	feed_kind(n, CCM_IN_TIMER);
	at = ccm_session_deadline(&n->s);
	n->timer_at = at == UINT64_MAX ? at : at + below(sim.p.jitter);
	check_detection(n);
	if (n->leaving && n->s.state == CCM_DOWN) {
		n->alive = false;
		n->timer_at = UINT64_MAX;
	}
}

static void
boot(struct node *n)
{
	memset(n->out, 0, sizeof(n->out));
	memset(n->slot, 0, sizeof(n->slot));
	memset(n->dir, 0, sizeof(n->dir));
	n->alive = true;
	n->leaving = n->slot_new = n->client_up = n->ports_exist = false;
	n->paused_until = 0;
	n->timer_at = UINT64_MAX;
	n->tried = 0;
	n->odd_since = 0;
	n->epoch++;
	n->cfg.boot_id = rnd();
	ccm_session_init(&n->s, &n->cfg, n->clients, n->n_clients, new_nonce(n), new_nonce(n));
	attempt_of(n, n->s.nonce)->used = true;
	publish(n);
}

static void
start(struct node *n)
{
	feed_kind(n, CCM_IN_START);
	turn(n);
}

static void
crash(struct node *n)
{
	n->alive = n->client_up = n->ports_exist = false;
	n->timer_at = UINT64_MAX;
	n->epoch++;
}

static void
quiet_from(uint64_t at)
{
	if (at > sim.quiet_at)
		sim.quiet_at = at;
}

static void
schedule(struct node *n, enum op op, uint64_t at)
{
	push((struct event){.kind = EV_OP, .node = index_of(n), .tag = op, .at = at});
	quiet_from(at);
}

static void
reboot_later(struct node *n)
{
	schedule(n, OP_BOOT, sim.now + sim.p.boot_delay + below(sim.p.boot_delay * 4));
}

/* Client sets overlap partly. */
static void
vary_clients(struct node *n)
{
	static const struct ccm_directory_client pool[] = {{"nvlog", 2, 65536}, {"mon", 1, 4096},
		{"extra", 3, 100000}, {"mon", 4, 16384}};

	n->n_clients = 0;
	for (uint32_t i = 0; i < 4; i++) {
		bool twice = i == 3 && n->n_clients != 0 &&
			strcmp(n->clients[n->n_clients - 1].name, "mon") == 0;

		if (n->n_clients < CLIENTS && !twice && below(4) != 0 &&
			!(i == 3 && n->n_clients == 2))
			n->clients[n->n_clients++] = pool[i];
	}
}

/* Versions overlap always. */
static void
vary(struct node *n)
{
	vary_clients(n);
	n->cfg.version_max = (uint16_t)(1 + below(3));
	n->cfg.path_mtu = (uint16_t)(1024 << below(3));
	n->cfg.features = rnd();
}

static void
do_op(struct node *n, enum op op)
{
	uint64_t length = below(3 * n->cfg.dead_after_ns);

	if (op < OP_RANDOM && !n->alive)
		return;
	if (op != OP_CRASH && op < OP_BOOT && sim.now < n->paused_until)
		return;
	switch (op) {
	case OP_CRASH:
		crash(n);
		reboot_later(n);
		return;
	case OP_PORT_ERROR:
		feed_kind(n, below(2) ? CCM_IN_PORT_ERROR : CCM_IN_PORTS_FAILED);
		break;
	case OP_LINK_FLAP:
		feed_kind(n, CCM_IN_LINK_DOWN);
		schedule(n, OP_LINK_UP, sim.now + length / 4);
		break;
	case OP_LINK_UP:
		if (n->alive)
			feed_kind(n, CCM_IN_LINK_UP);
		break;
	case OP_PAUSE:
		n->paused_until = sim.now + length;
		quiet_from(n->paused_until);
		return;
	case OP_CUT:
		n->cut_until = sim.now + length;
		quiet_from(n->cut_until);
		return;
	case OP_STOP:
		n->leaving = true;
		feed_kind(n, CCM_IN_STOP);
		schedule(n, OP_BOOT, sim.now + 1 * MS + below(60 * MS));
		break;
	case OP_CLIENTS:
		vary_clients(n);
		feed(n,
			&(struct ccm_input){
				.kind = CCM_IN_CLIENTS,
				.clients = n->clients,
				.n_clients = n->n_clients,
			});
		break;
	case OP_BOOT:
		if (n->alive && !n->leaving)
			return; /* it crashed and came back meanwhile */
		if (sim.p.faults_until != 0)
			vary(n);
		boot(n);
		schedule(n, OP_START, sim.now + below(sim.p.boot_delay));
		return;
	case OP_START:
		if (n->alive && n->s.state == CCM_DOWN)
			start(n);
		return;
	}
	if (n->alive)
		turn(n);
}

static void
land(struct node *n, const struct event *e)
{
	uint8_t *to = e->area == AREA_SLOT ? n->slot : n->dir;

	if (n->alive) {
		memcpy(to, sim.bufs[e->buf], e->tag);
		if (chance(sim.p.faults.damage))
			to[below(e->tag)] ^= (uint8_t)(1 + below(255));
		n->slot_new |= e->area == AREA_SLOT;
	}
	buf_put(e->buf);
}

static void
read_back(struct node *n, const struct event *e)
{
	struct ccm_record rec;
	struct ccm_input in = {.kind = CCM_IN_READ_OK, .record = &rec};

	if (n->io == e->tag) {
		n->io = 0;
		in.verdict = ccm_record_decode(sim.bufs[e->buf], &rec);
		feed(n, &in);
	}
	buf_put(e->buf);
}

/* An event that the node's own loop has to deal with. */
static void
node_event(struct node *n, const struct event *e)
{
	switch ((enum event_kind)e->kind) {
	case EV_READ_BACK:
		read_back(n, e);
		break;
	case EV_READ_FAIL:
	case EV_WRITE_FAIL:
	case EV_WRITE_ACK:
		if (n->io != e->tag)
			return;
		n->io = 0;
		feed_kind(n,
			e->kind == EV_READ_FAIL		  ? CCM_IN_READ_FAILED
				: e->kind == EV_WRITE_ACK ? CCM_IN_WRITE_OK
							  : CCM_IN_WRITE_FAILED);
		break;
	case EV_PORTS:
		feed_kind(n, (enum ccm_input_kind)e->tag);
		break;
	case EV_READ_AT:
	case EV_WRITE_AT:
	case EV_OP:
	case EV_COUNT:
		break;
	}
	turn(n);
}

static void
handle(struct event *e)
{
	struct node *n = &sim.nodes[e->node];
	struct node *o = other(n);

	switch ((enum event_kind)e->kind) {
	case EV_OP:
		do_op(n, (enum op)e->tag);
		return;
	case EV_WRITE_AT: /* n is who is written to */
		land(n, e);
		if (n->alive && sim.now >= n->paused_until)
			turn(n);
		return;
	case EV_READ_AT: /* without the partner's core; n is who reads */
		if (!o->alive || lost(o, sim.p.faults.lose))
			return;
		e->buf = buf_get(o->out, CCM_RECORD_SIZE);
		if (chance(sim.p.faults.damage))
			sim.bufs[e->buf][below(CCM_RECORD_SIZE)] ^= (uint8_t)(1 + below(255));
		e->kind = EV_READ_BACK;
		e->at = sim.now + sim.p.rtt / 2;
		push(*e);
		return;
	case EV_READ_BACK:
	case EV_READ_FAIL:
	case EV_WRITE_ACK:
	case EV_WRITE_FAIL:
	case EV_PORTS:
	case EV_COUNT:
		break;
	}
	if (n->alive && n->epoch == e->epoch && sim.now < n->paused_until) {
		e->at = n->paused_until;
		push(*e);
	} else if (n->alive && n->epoch == e->epoch) {
		node_event(n, e);
	} else if (e->kind == EV_READ_BACK) {
		buf_put(e->buf);
	}
}

static uint64_t
wakes_at(const struct node *n)
{
	return n->timer_at > n->paused_until ? n->timer_at : n->paused_until;
}

/* The next event, unless it is later than `until`. */
static bool
step(uint64_t until)
{
	struct node *n = &sim.nodes[wakes_at(&sim.nodes[1]) < wakes_at(&sim.nodes[0])];
	uint64_t timer = wakes_at(n);
	bool from_heap = sim.n_heap != 0 && sim.heap[0].at <= timer;
	uint64_t at = from_heap ? sim.heap[0].at : timer;
	struct event e;

	if (at > until)
		return false;
	sim.spins = at > sim.now ? 0 : sim.spins + 1;
	CHECK(sim.spins < SPINS);
	CHECK(at >= sim.now);
	sim.now = at;
	for (uint32_t i = 0; i < 2; i++) {
		struct node *victim = &sim.nodes[sim.p.crash_node[i]];

		if (sim.n_events == sim.p.crash_at[i] && victim->alive)
			do_op(victim, OP_CRASH);
	}
	sim.n_events++;
	if (from_heap) {
		e = pop();
		handle(&e);
	} else if (n->alive) {
		turn(n);
	}
	return true;
}

static bool
both_up(void)
{
	const struct node *a = &sim.nodes[0], *b = &sim.nodes[1];

	return a->alive && b->alive && a->s.state == CCM_UP && b->s.state == CCM_UP;
}

static void
run_until(uint64_t at)
{
	while (step(at))
		;
	sim.now = at;
}

/* Run until both are UP. Returns when that was; fails the test when it takes until `limit`. */
static uint64_t
run_until_up(uint64_t limit)
{
	while (!both_up())
		if (!step(limit))
			fail_msg("seed %" PRIu64 ": not UP at %" PRIu64 ": %s (%s), %s (%s)",
				sim.seed, limit, ccm_state_name(sim.nodes[0].s.state),
				ccm_reason_name(sim.nodes[0].s.reason),
				ccm_state_name(sim.nodes[1].s.state),
				ccm_reason_name(sim.nodes[1].s.reason));
	return sim.now;
}

static void
stay_up(uint64_t beats)
{
	uint32_t downs = sim.nodes[0].n_down + sim.nodes[1].n_down;

	run_until(sim.now + beats * sim.nodes[0].cfg.beat_ns);
	CHECK(both_up());
	CHECK(sim.nodes[0].n_down + sim.nodes[1].n_down == downs);
}

/* An empty world: two nodes that are off, a wire without faults. */
static void
reset(uint64_t seed)
{
	static const struct ccm_directory_client wants[CLIENTS] = {{"nvlog", 2, 65536},
		{"mon", 1, 8192}, {"extra", 1, 4096}};

	sim.p = (struct params){
		.rtt = 10 * US,
		.timeout = 80 * US,
		.ports_delay = 1 * US,
		.drop_first = NEVER,
		.drop_second = NEVER,
		.crash_at = {NEVER, NEVER},
		.boot_delay = 100 * US,
	};
	sim.n_heap = sim.order = sim.io = sim.n_events = sim.n_packets = sim.spins = 0;
	sim.now = 1 * S;
	sim.quiet_at = sim.now;
	sim.rng = seed * 0xd1342543de82ef95u + 1;
	sim.hash = 0xcbf29ce484222325u;
	sim.seed = seed;
	sim.n_free = BUFFERS;
	for (uint32_t i = 0; i < BUFFERS; i++)
		sim.free_bufs[i] = (uint16_t)i;
	for (uint32_t i = 0; i < NODES; i++) {
		struct node *n = &sim.nodes[i];

		memset(n, 0, sizeof(*n));
		n->attempts = attempt_memory[i];
		n->timer_at = UINT64_MAX;
		n->cfg = (struct ccm_session_config){
			.node_id = (uint16_t)(i + 1),
			.partner_id = (uint16_t)(2 - i),
			.version_min = 1,
			.version_max = 1,
			.path_mtu = 4096,
			.cluster_hash = 77,
			.beat_ns = 1 * MS,
			.dead_after_ns = 10 * MS,
			.search_ns = 20 * MS,
			.name = "node",
		};
		memcpy(n->clients, wants, sizeof(n->clients));
		n->n_clients = CLIENTS;
	}
}

static void
switch_on(struct node *n)
{
	boot(n);
	start(n);
}

static void
both_on(void)
{
	switch_on(&sim.nodes[0]);
	switch_on(&sim.nodes[1]);
}

/* How long after the last fault both must be UP. */
static uint64_t
patience(void)
{
	const struct ccm_session_config *cfg = &sim.nodes[0].cfg;
	uint64_t a = cfg->search_ns, b = sim.nodes[1].cfg.search_ns;

	return 4 * (a > b ? a : b) + 2 * cfg->dead_after_ns + 10 * cfg->beat_ns +
		20 * sim.p.timeout + 5 * MS;
}

/* ---- seeds ---- */

static void
draw_params(void)
{
	static const uint32_t odds[] = {0, 0, 300, 3000, 12000};
	struct faults *f = &sim.p.faults;
	uint64_t beat = 100 * US + below(900 * US);
	uint32_t *const each[] = {&f->lose, &f->lose_ack, &f->phantom, &f->late, &f->again,
		&f->damage};

	sim.p.rtt = 4 * US + below(60 * US);
	sim.p.timeout = sim.p.rtt * (2 + below(8));
	sim.p.ports_delay = below(2) ? below(4 * US) : below(200 * US);
	sim.p.jitter = below(2) ? 0 : beat / 16;
	for (uint32_t i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		*each[i] = odds[below(5)];
	f->delay = 50 * US + below(5 * MS);
	sim.p.boot_delay = 1 + below(below(2) ? 50 * US : 4 * MS);
	for (uint32_t i = 0; i < NODES; i++) {
		struct node *n = &sim.nodes[i];

		n->cfg.beat_ns = beat;
		n->cfg.dead_after_ns = beat * (3 + below(8)) + 2 * sim.p.timeout;
		n->cfg.search_ns = beat * (1 + below(below(8) ? 16 : 200));
		vary(n);
	}
}

/* No change of the clients is lost: the ports are those of both lists as they are now. */
static void
check_map(void)
{
	const struct node *a = &sim.nodes[0], *b = &sim.nodes[1];
	struct ccm_port_map map;

	ccm_port_map_make(a->clients, a->n_clients, b->clients, b->n_clients, &map);
	CHECK(a->s.map_hash == ccm_port_map_hash(&map));
	CHECK(b->s.map_hash == a->s.map_hash);
	CHECK(!a->s.map_off && !b->s.map_off);
	CHECK(!ccm_session_directory_due(&a->s) && !ccm_session_directory_due(&b->s));
}

static void
run_seed(uint64_t seed, uint32_t beats)
{
	uint64_t length, n_ops;

	reset(seed);
	draw_params();
	length = below(40) * sim.nodes[0].cfg.beat_ns;
	sim.p.faults_until = sim.now + length;
	n_ops = below(7);
	for (uint64_t i = 0; i < n_ops; i++)
		schedule(&sim.nodes[below(2)], (enum op)below(OP_RANDOM),
			sim.now + below(length + 1));
	/* Clients that come and go within the first handshakes. */
	n_ops = below(2) ? below(8) : 0;
	for (uint64_t i = 0; i < n_ops; i++)
		schedule(&sim.nodes[below(2)], OP_CLIENTS,
			sim.now + below(4 * sim.p.boot_delay + 40 * sim.p.rtt));
	quiet_from(sim.p.faults_until);
	for (uint32_t i = 0; i < NODES; i++)
		schedule(&sim.nodes[i], OP_BOOT, sim.now + below(sim.p.boot_delay * 2));
	while (sim.now < sim.quiet_at && step(sim.quiet_at))
		;
	/* What the faults have begun comes to its end first. */
	run_until(sim.quiet_at + sim.nodes[0].cfg.dead_after_ns + 3 * sim.nodes[0].cfg.beat_ns);
	run_until_up(sim.quiet_at + patience());
	stay_up(beats);
	check_map();
}

static uint32_t
n_seeds(void)
{
	const char *s = getenv("CCM_PAIR_SEEDS");

	return s != NULL ? (uint32_t)strtoul(s, NULL, 10) : SEEDS;
}

static void
seeds__any_mix_of_faults_then_up_for_good(void **state)
{
	uint32_t n = n_seeds(), ups = 0, downs = 0;

	(void)state;
	for (uint32_t seed = 0; seed < n; seed++) {
		run_seed(seed, seed % 256 == 0 ? 1000 : 15);
		ups += sim.nodes[0].n_up + sim.nodes[1].n_up;
		downs += sim.nodes[0].n_down + sim.nodes[1].n_down;
	}
	assert_true(downs > n / 4 && ups > downs); /* the faults have been worth their name */
}

static void
seeds__same_seed_same_run(void **state)
{
	(void)state;
	for (uint32_t seed = 0; seed < 100; seed++) {
		uint64_t hash;

		run_seed(seed, 10);
		hash = sim.hash;
		run_seed(seed, 10);
		assert_true(hash == sim.hash);
	}
}

/* ---- clean starts ---- */

/* Hundredths of a round trip from the later node's first READ until both are UP. */
static uint32_t
start_rtts(uint32_t first, uint64_t lead, uint64_t ports_delay)
{
	struct node *late = &sim.nodes[!first];

	reset(0);
	sim.p.ports_delay = ports_delay;
	switch_on(&sim.nodes[first]);
	run_until(sim.now + lead);
	switch_on(late);
	run_until_up(sim.now + 1 * S);
	assert_int_equal(late->s.n_attempts + other(late)->s.n_attempts, 2);
	return (uint32_t)((sim.now - late->first_read_at) * 100 / sim.p.rtt);
}

/*
 * 5.5 round trips from READ 1 of the node that starts last: the four steps, then directories, ports
 * and READY both ways. When the other node has just asked in vain, the rest of its time-out is on
 * top: here up to 8 round trips.
 */
static void
clean_start__round_trips(void **state)
{
	static const struct {
		const char *name;
		uint32_t first;
		uint64_t lead, step, until; /* of the later node's start, ns */
		uint32_t rtts;		    /* worst, hundredths */
	} rows[] = {
		{"A, long before B", 0, 50 * MS, 777 * US, 90 * MS, 550},
		{"B, long before A", 1, 50 * MS, 777 * US, 90 * MS, 550},
		{"both at once", 0, 0, 1, 1, 550},
		{"A, a little before B", 0, 1, 250, 80 * US, 1350},
		{"B, a little before A", 1, 1, 250, 80 * US, 1350},
	};

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t worst = 0, best = UINT32_MAX;

		for (uint64_t lead = rows[i].lead; lead < rows[i].until; lead += rows[i].step) {
			uint32_t r = start_rtts(rows[i].first, lead, 0);

			worst = r > worst ? r : worst;
			best = r < best ? r : best;
		}
		print_message("%-22s %u.%02u to %u.%02u RTT\n", rows[i].name, best / 100,
			best % 100, worst / 100, worst % 100);
		assert_true(worst <= rows[i].rtts);
	}
}

static void
clean_start__every_step_is_timed(void **state)
{
	(void)state;
	for (uint32_t first = 0; first < NODES; first++) {
		start_rtts(first, 50 * MS, 3 * US);
		for (uint32_t i = 0; i < NODES; i++) {
			const struct ccm_session *s = &sim.nodes[i].s;

			for (uint32_t step = 0; step < CCM_STEP_CREATE_PORTS; step++)
				assert_true(s->step_ns[step] <= 3 * sim.p.rtt);
			assert_true(s->step_ns[CCM_STEP_READ1] == sim.p.rtt);
			assert_true(s->step_ns[CCM_STEP_CREATE_PORTS] == 3 * US);
			assert_true(s->setup_ns > 0 && s->setup_ns <= 2 * MS);
		}
		stay_up(1000);
	}
}

/* ---- losses, one by one ---- */

/* A start with the packets dropped that sim.p says; how long it takes. */
static uint64_t
start_with(uint32_t drop_first, uint32_t drop_count, uint32_t drop_second)
{
	uint64_t begin;

	reset(drop_first);
	sim.p.drop_first = drop_first;
	sim.p.drop_count = drop_count;
	sim.p.drop_second = drop_second;
	begin = sim.now;
	both_on();
	return run_until_up(sim.now + 1 * S) - begin;
}

static void
loss__any_packet_pair_or_burst(void **state)
{
	uint32_t n;
	uint64_t worst[3] = {0};

	(void)state;
	start_with(NEVER, 0, NEVER);
	n = sim.n_packets;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t took = start_with(i, 1, NEVER);

		worst[0] = took > worst[0] ? took : worst[0];
		stay_up(20);
		took = start_with(i, 3, NEVER);
		worst[1] = took > worst[1] ? took : worst[1];
		for (uint32_t k = i + 1; k < n + 4; k++) {
			took = start_with(i, 1, k);
			worst[2] = took > worst[2] ? took : worst[2];
		}
	}
	print_message("%u packets; worst start after a loss %" PRIu64 " us, after two %" PRIu64
		      " us, after three in a row %" PRIu64 " us\n",
		n, worst[0] / US, worst[2] / US, worst[1] / US);
	/* A work request that has failed is repeated by the next beat. */
	assert_true(worst[0] <= 2 * MS && worst[2] <= 4 * MS && worst[1] <= 5 * MS);
}

/* ---- crashes, one by one ---- */

static uint32_t
start_with_crashes(uint32_t at1, uint32_t node1, uint32_t at2, uint32_t node2)
{
	uint32_t attempts;

	reset((uint64_t)at1 << 32 | at2);
	sim.p.crash_at[0] = at1;
	sim.p.crash_node[0] = node1;
	sim.p.crash_at[1] = at2;
	sim.p.crash_node[1] = node2;
	both_on();
	/* When the events run out before the crash, beats go on and bring it about. */
	while (sim.n_events <= at1 || (at2 != NEVER && sim.n_events <= at2))
		step(UINT64_MAX - 1);
	run_until(sim.quiet_at);
	run_until_up(sim.quiet_at + 100 * MS);
	attempts = sim.nodes[0].n_attempts + sim.nodes[1].n_attempts;
	stay_up(12);
	return attempts;
}

static void
crash__at_any_event(void **state)
{
	uint32_t n, most = 0;

	(void)state;
	start_with(NEVER, 0, NEVER);
	n = sim.n_events + 8;
	for (uint32_t at = 0; at < n; at++)
		for (uint32_t who = 0; who < NODES; who++) {
			uint32_t nonces = start_with_crashes(at, who, NEVER, 0);

			most = nonces > most ? nonces : most;
		}
	/* Two drawn per boot, three boots; the survivor may need new ones. */
	assert_in_range(most, 6, 6 + 2);
}

static void
crash__at_any_pair_of_events(void **state)
{
	uint32_t n, most = 0;

	(void)state;
	start_with(NEVER, 0, NEVER);
	n = sim.n_events + 8;
	for (uint32_t at1 = 0; at1 < n; at1++)
		for (uint32_t at2 = at1; at2 < at1 + n; at2++)
			for (uint32_t who = 0; who < NODES * NODES; who++) {
				uint32_t nonces = start_with_crashes(at1, who & 1, at2, who >> 1);

				most = nonces > most ? nonces : most;
			}
	assert_in_range(most, 8, 8 + 4);
}

/* ---- what cannot be, and what is agreed ---- */

static void
refused__versions_without_overlap(void **state)
{
	static const uint16_t v[][5] = {/* A's range, B's range, agreed */
		{1, 1, 2, 2, 0}, {2, 3, 1, 1, 0}, {1, 2, 2, 3, 2}, {1, 9, 3, 5, 5}, {1, 4, 1, 4, 4},
		{2, 2, 1, 7, 2}};

	(void)state;
	for (uint32_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		reset(i);
		for (uint32_t k = 0; k < NODES; k++) {
			sim.nodes[k].cfg.version_min = v[i][2 * k];
			sim.nodes[k].cfg.version_max = v[i][2 * k + 1];
		}
		both_on();
		run_until(sim.now + 50 * MS);
		for (uint32_t k = 0; k < NODES; k++) {
			const struct ccm_session *s = &sim.nodes[k].s;

			assert_int_equal(s->state, v[i][4] != 0 ? CCM_UP : CCM_REFUSED);
			assert_int_equal(s->reason,
				v[i][4] != 0 ? CCM_REASON_NONE : CCM_REASON_VERSION);
			assert_int_equal(s->version, v[i][4]);
		}
	}
	/* One of them comes back with another version: now they agree. */
	sim.nodes[0].cfg.version_min = 1;
	sim.nodes[0].cfg.version_max = 1;
	crash(&sim.nodes[0]);
	switch_on(&sim.nodes[0]);
	run_until_up(sim.now + 100 * MS);
	assert_int_equal(sim.nodes[1].s.version, 1);
}

static void
refused__wrong_cluster_or_node(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		static const enum ccm_reason why[] = {CCM_REASON_WRONG_CLUSTER,
			CCM_REASON_WRONG_NODE, CCM_REASON_WRONG_NODE};

		reset(i);
		sim.nodes[1].cfg.cluster_hash += i == 0;
		sim.nodes[1].cfg.node_id += i == 1;
		sim.nodes[1].cfg.partner_id += i == 2;
		both_on();
		run_until(sim.now + 50 * MS);
		for (uint32_t k = 0; k < NODES; k++) {
			const struct node *n = &sim.nodes[k];

			assert_int_equal(n->s.state, CCM_REFUSED);
			assert_int_equal(n->s.reason, why[i]);
			assert_int_equal(n->n_attempts, 2);
			assert_int_equal(n->s.slot.nonce, 0);
		}
	}
}

static void
clients__joined_by_name(void **state)
{
	static const struct {
		struct ccm_directory_client a[2], b[2];
		uint32_t n_a, n_b, n_ports;
	} rows[] = {
		{{{"x", 1, 4096}}, {{"y", 1, 4096}}, 1, 1, 0},
		{{{"x", 1, 4096}}, {{"y", 1, 4096}}, 0, 1, 0},
		{{{"x", 1, 4096}}, {{"y", 1, 4096}}, 0, 0, 0},
		{{{"x", 3, 65536}, {"y", 1, 4096}}, {{"y", 2, 65536}, {"x", 2, 8192}}, 2, 2, 3},
		{{{"x", 3, 65536}, {"y", 1, 4096}}, {{"z", 2, 65536}, {"x", 2, 8192}}, 2, 2, 2},
	};

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		reset(i);
		memcpy(sim.nodes[0].clients, rows[i].a, sizeof(rows[i].a));
		memcpy(sim.nodes[1].clients, rows[i].b, sizeof(rows[i].b));
		sim.nodes[0].n_clients = rows[i].n_a;
		sim.nodes[1].n_clients = rows[i].n_b;
		both_on();
		run_until_up(sim.now + 10 * MS);
		for (uint32_t k = 0; k < NODES; k++)
			assert_int_equal(sim.nodes[k].s.map.n_entries, rows[i].n_ports);
		stay_up(20);
	}
}

/* ---- faults on a session that is UP ---- */

static void
both_up_from(uint64_t seed)
{
	reset(seed);
	both_on();
	run_until_up(sim.now + 10 * MS);
	stay_up(3);
}

static void
cut__either_way_takes_both_down(void **state)
{
	(void)state;
	for (uint32_t who = 1; who < 4; who++) {
		uint64_t begin, detect = sim.nodes[0].cfg.dead_after_ns;

		both_up_from(who);
		begin = sim.now;
		for (uint32_t k = 0; k < NODES; k++)
			if (who & 1u << k)
				sim.nodes[k].cut_until = begin + 10 * S;
		run_until(begin + 2 * detect);
		for (uint32_t k = 0; k < NODES; k++) {
			assert_int_not_equal(sim.nodes[k].s.state, CCM_UP);
			assert_int_equal(sim.nodes[k].s.last_down_reason, CCM_REASON_NO_ANSWER);
		}
		run_until(begin + 10 * S);
		run_until_up(sim.now + 2 * sim.nodes[0].cfg.search_ns + 5 * MS);
		assert_int_equal(sim.nodes[0].n_up, 2);
		stay_up(1000);
	}
}

static void
pause__short_ones_do_no_harm_long_ones_are_told(void **state)
{
	(void)state;
	for (uint32_t beats = 1; beats < 100; beats += beats < 12 ? 1 : 13)
		for (uint64_t jitter = 0; jitter <= 100 * US; jitter += 100 * US) {
			struct node *a = &sim.nodes[0], *b = &sim.nodes[1];

			both_up_from(beats);
			sim.p.jitter = jitter;
			stay_up(10);
			a->paused_until = sim.now + beats * a->cfg.beat_ns;
			run_until(a->paused_until + 3 * a->cfg.beat_ns);
			/* The one that slept accuses nobody. */
			if (a->n_down != 0)
				assert_int_equal(a->s.last_down_reason,
					CCM_REASON_PARTNER_RESTARTED);
			if (beats < 9 || beats > 11)
				assert_int_equal(b->n_down, beats > 10);
			if (b->n_down != 0)
				assert_int_equal(b->s.last_down_reason, CCM_REASON_PARTNER_HUNG);
			else if (beats < 9)
				assert_int_equal(a->n_down, 0);
			run_until_up(sim.now + 50 * MS);
			stay_up(100);
		}
}

static void
suspicion__of_both_at_once(void **state)
{
	uint32_t most = 0;

	(void)state;
	for (uint64_t apart = 0; apart < 100 * US; apart += 500) {
		both_up_from(apart);
		feed_kind(&sim.nodes[0], CCM_IN_PORT_ERROR);
		turn(&sim.nodes[0]);
		run_until(sim.now + apart);
		feed_kind(&sim.nodes[1], CCM_IN_PORT_ERROR);
		turn(&sim.nodes[1]);
		run_until_up(sim.now + 5 * MS);
		for (uint32_t k = 0; k < NODES; k++)
			most = sim.nodes[k].s.n_attempts > most
				? (uint32_t)sim.nodes[k].s.n_attempts
				: most;
		stay_up(20);
	}
	assert_in_range(most, 2, 3);
}

static void
flapping__never_wedges(void **state)
{
	static const uint32_t tenths[] = {5, 10, 20, 40, 100};

	(void)state;
	for (uint32_t i = 0; i < sizeof(tenths) / sizeof(tenths[0]); i++) {
		uint64_t half = tenths[i] * sim.nodes[0].cfg.beat_ns / 20;

		both_up_from(i);
		half = tenths[i] * sim.nodes[0].cfg.beat_ns / 20;
		for (uint32_t k = 0; k < 200; k++) {
			for (uint32_t j = 0; j < NODES; j++) {
				feed_kind(&sim.nodes[j], k & 1 ? CCM_IN_LINK_UP : CCM_IN_LINK_DOWN);
				turn(&sim.nodes[j]);
				sim.nodes[j].cut_until = k & 1 ? 0 : sim.now + half;
			}
			run_until(sim.now + half);
		}
		/* Attempts are put off while they keep failing: no storm of them. */
		assert_true(sim.nodes[0].s.n_attempts <= 101);
		run_until_up(sim.now + patience());
		stay_up(100);
	}
}

/* A record or directory of an older attempt comes late: one more look, and nothing else. */
static void
late__writes_of_old_attempts_change_nothing(void **state)
{
	static uint8_t old_slot[NODES][CCM_RECORD_SIZE], old_dir[NODES][PAYLOAD];

	(void)state;
	for (uint32_t round = 0; round < 8; round++) {
		both_up_from(round);
		for (uint32_t k = 0; k < NODES; k++) {
			memcpy(old_slot[k], sim.nodes[k].slot, CCM_RECORD_SIZE);
			memcpy(old_dir[k], sim.nodes[k].dir, PAYLOAD);
		}
		crash(&sim.nodes[round & 1]);
		switch_on(&sim.nodes[round & 1]);
		run_until(sim.now + (round >> 1) * 10 * US);
		for (uint32_t k = 0; k < NODES; k++) {
			sim.nodes[k].slot_new = true;
			memcpy(sim.nodes[k].slot, old_slot[k], CCM_RECORD_SIZE);
			memcpy(sim.nodes[k].dir, old_dir[k], PAYLOAD);
			turn(&sim.nodes[k]);
		}
		run_until_up(sim.now + 5 * MS);
		assert_int_equal(sim.nodes[0].s.n_attempts + sim.nodes[1].s.n_attempts, 3);
		stay_up(3);
		for (uint32_t k = 0; k < NODES; k++) {
			sim.nodes[k].slot_new = true;
			memcpy(sim.nodes[k].slot, old_slot[k], CCM_RECORD_SIZE);
			memcpy(sim.nodes[k].dir, old_dir[k], PAYLOAD);
			turn(&sim.nodes[k]);
			assert_int_equal(sim.nodes[k].s.io, CCM_IO_READING);
		}
		stay_up(100);
	}
}

static void
stop__partner_is_told_and_session_ends(void **state)
{
	(void)state;
	for (uint32_t up = 0; up < 2; up++)
		for (uint64_t after = 0; after < 60 * US; after += 1 * US) {
			struct node *a = &sim.nodes[0], *b = &sim.nodes[1];
			uint64_t begin;

			if (up) {
				both_up_from(after);
			} else {
				reset(after);
				both_on();
			}
			run_until(sim.now + after);
			begin = sim.now;
			a->leaving = true;
			feed_kind(a, CCM_IN_STOP);
			turn(a);
			while (a->alive)
				assert_true(step(begin + 25 * MS));
			run_until(begin + 25 * MS);
			assert_int_equal(b->s.state, CCM_SEARCH);
			assert_int_equal(a->n_up, a->n_down);
			assert_int_equal(b->n_up, b->n_down);
			if (b->n_down != 0) {
				assert_int_equal(b->s.last_down_reason, CCM_REASON_PARTNER_LEAVING);
			}
			switch_on(a);
			run_until_up(sim.now + 50 * MS);
		}
}

static void
hung__a_core_that_stands_is_found_out(void **state)
{
	struct node *a = &sim.nodes[0], *b = &sim.nodes[1];
	uint64_t begin;

	(void)state;
	both_up_from(1);
	begin = sim.now;
	a->paused_until = begin + 10 * S;
	run_until(begin + a->cfg.dead_after_ns + 2 * a->cfg.beat_ns);
	assert_int_equal(b->s.state, CCM_SEARCH);
	assert_int_equal(b->s.last_down_reason, CCM_REASON_PARTNER_HUNG);
	run_until(begin + 10 * S);
	assert_int_equal(b->n_down, 1); /* no attempt with one that does not move */
	run_until_up(sim.now + 20 * MS);
	stay_up(1000);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clean_start__round_trips),
		cmocka_unit_test(clean_start__every_step_is_timed),
		cmocka_unit_test(loss__any_packet_pair_or_burst),
		cmocka_unit_test(crash__at_any_event),
		cmocka_unit_test(crash__at_any_pair_of_events),
		cmocka_unit_test(refused__versions_without_overlap),
		cmocka_unit_test(refused__wrong_cluster_or_node),
		cmocka_unit_test(clients__joined_by_name),
		cmocka_unit_test(cut__either_way_takes_both_down),
		cmocka_unit_test(pause__short_ones_do_no_harm_long_ones_are_told),
		cmocka_unit_test(suspicion__of_both_at_once),
		cmocka_unit_test(flapping__never_wedges),
		cmocka_unit_test(late__writes_of_old_attempts_change_nothing),
		cmocka_unit_test(stop__partner_is_told_and_session_ends),
		cmocka_unit_test(hung__a_core_that_stands_is_found_out),
		cmocka_unit_test(seeds__same_seed_same_run),
		cmocka_unit_test(seeds__any_mix_of_faults_then_up_for_good),
	};

	if (argc > 1) {
		sim.verbose = true;
		run_seed(strtoull(argv[1], NULL, 0), 1000);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
