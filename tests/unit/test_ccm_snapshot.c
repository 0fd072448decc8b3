/* SPDX-License-Identifier: BSD-3-Clause */
#include "ccm_bench.h"
#include "eal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum {
	READERS = 2,
	ENOUGH = 5000, /* copies per reader */
	MAX_TURNS = 50 * 1000 * 1000,
};

/* The number of ports that belongs to a generation. */
static uint32_t
ports_of(uint64_t generation)
{
	return generation * 7 % (CCM_MAX_PORTS + 1);
}

/* Put one number everywhere, and publish. */
static void
publish_generation(struct ccm_bench *b, uint64_t g)
{
	struct ccm_session *s = &b->peer->session;
	struct ccm_move move = {CCM_SEARCH, CCM_BOUND, CCM_REASON_WAITING};

	s->features = s->nonce = s->bound = s->n_attempts = s->n_sessions = s->n_beats = g;
	s->n_reads_failed = s->n_writes_failed = s->n_records_bad = g;
	s->since_ns = s->last_answer_ns = s->setup_ns = g;
	for (uint32_t i = 0; i < CCM_STEP_COUNT; i++)
		s->step_ns[i] = g;
	b->peer->ports.n = ports_of(g);
	for (uint32_t i = 0; i < b->peer->ports.n; i++) {
		struct ccm_port_slot *slot = &b->peer->ports.slots[i];

		slot->posted = slot->completed = slot->errors = g;
		slot->port.remote_va = g;
	}
	for (uint32_t i = 0; i < b->ccm->n_clients; i++)
		b->ccm->clients[i].ups = b->ccm->clients[i].downs = g;
	b->peer->dirty = true;
	b->ccm->now_ns = g;
	ccm__record_event(b->ccm, b->peer, &move);
	ccm__snapshot(b->ccm);
}

struct shared {
	struct ccm *ccm;
	_Atomic bool stop;
	_Atomic uint32_t ready; /* readers that have seen enough */
	_Atomic uint64_t torn;
	_Atomic uint64_t copies;
};

static bool
partner_ok(const struct ccm_partner_status *p)
{
	bool ok = p->features == p->nonce && p->nonce == p->partner_nonce &&
		p->attempts == p->nonce && p->sessions == p->nonce && p->beats == p->nonce &&
		p->reads_failed == p->nonce && p->writes_failed == p->nonce &&
		p->records_bad == p->nonce && p->since_ns == p->nonce &&
		p->last_answer_ns == p->nonce && p->setup_ns == p->nonce &&
		p->n_ports == ports_of(p->nonce);

	for (uint32_t i = 0; i < CCM_STEP_COUNT; i++)
		ok &= p->step_ns[i] == p->nonce;
	return ok;
}

static bool
ports_ok(const struct ccm_port_status *p, uint32_t n)
{
	bool ok = n == 0 || n == ports_of(p[0].posted);

	for (uint32_t i = 0; i < n; i++)
		ok &= p[i].posted == p[0].posted && p[i].completed == p[0].posted &&
			p[i].errors == p[0].posted && p[i].port.remote_va == p[0].posted;
	return ok;
}

static bool
clients_ok(const struct ccm_client_status *c, uint32_t n)
{
	bool ok = true;

	for (uint32_t i = 0; i < n; i++)
		ok &= c[i].ups == c[0].ups && c[i].downs == c[0].ups && c[i].ports == 4;
	return ok;
}

static bool
events_ok(const struct ccm_event *e, uint32_t n)
{
	bool ok = true;

	for (uint32_t i = 0; i < n; i++)
		ok &= e[i].seq == e[0].seq + i && e[i].nonce == e[i].partner_nonce &&
			e[i].time_ns == e[i].nonce && (uint32_t)e[i].nonce == e[i].seq;
	return ok;
}

static void *
reader(void *arg)
{
	struct shared *sh = arg;
	struct ccm_partner_status partner;
	struct ccm_port_status ports[CCM_MAX_PORTS];
	struct ccm_client_status clients[CCM_MAX_CLIENTS];
	struct ccm_event events[CCM_EVENTS];
	uint64_t seen = 0, newest = 0;

	while (!sh->stop) {
		bool ok = true;
		uint32_t n;

		/* A writer whose CPU was taken away while it wrote gives nothing: try again. */
		if (ccm_read_partner(sh->ccm, 0, &partner) == 0) {
			ok &= partner_ok(&partner) && partner.nonce >= newest;
			newest = partner.nonce;
			seen++;
		}
		ok &= ports_ok(ports, ccm_read_ports(sh->ccm, 0, ports, CCM_MAX_PORTS));
		ok &= clients_ok(clients, ccm_read_clients(sh->ccm, clients, CCM_MAX_CLIENTS));
		n = ccm_read_events(sh->ccm, events, CCM_EVENTS);
		ok &= events_ok(events, n);
		sh->torn += !ok;
		if (seen == ENOUGH)
			sh->ready++;
	}
	sh->copies += seen;
	return NULL;
}

static void
read__copies_are_consistent_while_control_writes(void **state)
{
	struct ccm_bench b;
	struct shared sh = {0};
	pthread_t threads[READERS];
	uint64_t g = 1;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){.n_clients = 3});
	publish_generation(&b, g++);
	sh.ccm = b.ccm;
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &sh), 0);
	while (sh.ready < READERS && sh.torn == 0 && g < MAX_TURNS) {
		publish_generation(&b, g++);
		/* Sometimes a pause, so that readers on the same CPU come through. */
		if (g % 64 == 0)
			sched_yield();
	}
	sh.stop = true;
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(sh.torn, 0);
	assert_true(sh.copies >= READERS * ENOUGH);
	b.peer->ports.n = 0;
	ccm_bench_close(&b);
}

struct live {
	struct ccm *ccm;
	_Atomic bool stop;
	_Atomic uint64_t bad;
	_Atomic uint64_t up; /* copies of a session that was up */
};

/* What must hold at the end of every turn of a whole manager. */
/* Whether an event begins where the last one of its kind ended. */
static bool
follows(const struct ccm_event *events, uint32_t i)
{
	uint32_t before = i;

	while (before-- > 0)
		if (events[before].kind == events[i].kind)
			return events[i].from == events[before].to;
	return true;
}

static void *
live_reader(void *arg)
{
	struct live *l = arg;
	struct ccm_partner_status p;
	struct ccm_port_status ports[CCM_MAX_PORTS];
	struct ccm_event events[CCM_EVENTS];

	while (!l->stop) {
		uint32_t n = ccm_read_ports(l->ccm, 0, ports, CCM_MAX_PORTS);

		l->bad += n != 0 && n != 8;
		for (uint32_t i = 0; i < n; i++)
			l->bad += ports[i].port.length != 8192 || ports[i].port.index != i % 4 ||
				(ports[i].connected && ports[i].port.remote_qpn == 0) ||
				ports[i].connected != ports[0].connected;
		if (ccm_read_partner(l->ccm, 0, &p) == 0) {
			l->bad += p.id != CCM_BENCH_NODE || p.nonce == 0 ||
				(p.state == CCM_UP &&
					(p.n_ports != 8 || p.partner_nonce != p.nonce));
			l->up += p.state == CCM_UP;
		}
		n = ccm_read_events(l->ccm, events, CCM_EVENTS);
		for (uint32_t i = 1; i < n; i++)
			l->bad += events[i].seq != events[i - 1].seq + 1 || !follows(events, i);
	}
	return NULL;
}

static void
read__follows_a_manager_that_polls(void **state)
{
	struct ccm_bench b;
	struct live l = {0};
	pthread_t thread;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){.n_clients = 2});
	l.ccm = b.ccm;
	ccm_bench_run(&b, CCM_BENCH_STEP_NS);
	assert_int_equal(pthread_create(&thread, NULL, live_reader, &l), 0);
	for (uint32_t round = 0; (round < 200 || l.up < 100) && round < 20000; round++) {
		ccm_bench_run_to(&b, CCM_UP, 300 * (uint64_t)CCM_BENCH_MS);
		ccm_bench_run(&b, 100 * (uint64_t)CCM_BENCH_STEP_NS);
		ccm_link_report(b.ccm, false);
		ccm_link_report(b.ccm, true);
		sched_yield();
	}
	l.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(l.bad, 0);
	assert_true(l.up >= 100);
	ccm_bench_close(&b);
}

static void
read__before_the_first_turn(void **state)
{
	struct ccm_bench b;
	struct ccm_partner_status partner;
	struct ccm_port_status port;
	struct ccm_client_status client;
	struct ccm_event event;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){0});
	assert_int_equal(ccm_read_partner(b.ccm, 0, &partner), 0);
	assert_int_equal(partner.state, CCM_DOWN);
	assert_int_equal(ccm_read_ports(b.ccm, 0, &port, 1), 0);
	assert_int_equal(ccm_read_clients(b.ccm, &client, 1), 0);
	assert_int_equal(ccm_read_events(b.ccm, &event, 1), 0);
	ccm_bench_close(&b);
}

static void
read__what_stands_there(void **state)
{
	struct ccm_bench b;
	struct ccm_partner_status partner;
	struct ccm_port_status ports[CCM_MAX_PORTS];
	struct ccm_client_status clients[CCM_MAX_CLIENTS];

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){.n_clients = 2, .ports = 3});
	ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
	ccm_poll(b.ccm, b.now);
	assert_int_equal(ccm_read_partner(b.ccm, 0, &partner), 0);
	assert_int_equal(partner.id, CCM_BENCH_NODE);
	assert_int_equal(partner.state, CCM_UP);
	assert_int_equal(partner.n_ports, 6);
	assert_int_equal(partner.qpn, CCM_BENCH_QPN);
	assert_int_equal(partner.partner_nonce, b.peer->session.nonce);
	assert_int_equal(partner.path_mtu, 1024);
	assert_int_equal(partner.version, 1);
	assert_int_equal(ccm_read_ports(b.ccm, 0, ports, CCM_MAX_PORTS), 6);
	for (uint32_t i = 0; i < 6; i++) {
		const struct ccm_bench_client *c = &b.clients[i / 3];

		assert_string_equal(ports[i].client, i < 3 ? "client00" : "client01");
		assert_true(ports[i].connected);
		assert_memory_equal(&ports[i].port, &c->ports[i % 3], sizeof(struct ccm_port));
	}
	/* The caller's arrays may be short. */
	memset(ports, 0xa5, sizeof(ports));
	assert_int_equal(ccm_read_ports(b.ccm, 0, ports, 2), 2);
	assert_int_equal(((const uint8_t *)&ports[2])[0], 0xa5);
	assert_int_equal(ccm_read_ports(b.ccm, 0, ports, 0), 0);
	assert_int_equal(ccm_read_clients(b.ccm, clients, CCM_MAX_CLIENTS), 2);
	assert_string_equal(clients[1].name, "client01");
	assert_int_equal(clients[1].ports, 3);
	assert_int_equal(clients[1].memory, 3 * 8192);
	assert_int_equal(clients[1].partners_up, 1);
	assert_int_equal(clients[1].ups, 1);
	assert_int_equal(clients[1].downs, 0);
	assert_int_equal(ccm_read_clients(b.ccm, clients, 1), 1);
	assert_int_equal(ccm_read_clients(b.ccm, clients, 0), 0);
	ccm_bench_close(&b);
}

static void
read__index_out_of_range(void **state)
{
	static const uint32_t indices[] = {1, 63, 64, UINT32_MAX};
	struct ccm_bench b;
	struct ccm_partner_status partner;
	struct ccm_port_status port;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){0});
	publish_generation(&b, 5);
	for (size_t i = 0; i < RTE_DIM(indices); i++) {
		assert_int_equal(ccm_read_partner(b.ccm, indices[i], &partner), -ENOENT);
		assert_int_equal(ccm_read_ports(b.ccm, indices[i], &port, 1), 0);
	}
	b.peer->ports.n = 0;
	ccm_bench_close(&b);
}

static void
read__writer_stopped_in_mid_write(void **state)
{
	struct ccm_bench b;
	struct ccm_partner_status partner;
	struct ccm_port_status ports[CCM_MAX_PORTS];
	struct ccm_client_status clients[CCM_MAX_CLIENTS];
	struct ccm_event events[CCM_EVENTS];

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){0});
	publish_generation(&b, 5);
	rte_seqcount_write_begin(&b.peer->seq);
	rte_seqcount_write_begin(&b.ccm->clients_seq);
	rte_seqcount_write_begin(&b.ccm->events_seq);
	assert_int_equal(ccm_read_partner(b.ccm, 0, &partner), -EAGAIN);
	assert_int_equal(ccm_read_ports(b.ccm, 0, ports, CCM_MAX_PORTS), 0);
	assert_int_equal(ccm_read_clients(b.ccm, clients, CCM_MAX_CLIENTS), 0);
	assert_int_equal(ccm_read_events(b.ccm, events, CCM_EVENTS), 0);
	/* It goes on. */
	rte_seqcount_write_end(&b.peer->seq);
	rte_seqcount_write_end(&b.ccm->clients_seq);
	rte_seqcount_write_end(&b.ccm->events_seq);
	assert_int_equal(ccm_read_partner(b.ccm, 0, &partner), 0);
	assert_true(partner_ok(&partner));
	assert_int_equal(ccm_read_ports(b.ccm, 0, ports, CCM_MAX_PORTS), ports_of(5));
	assert_int_equal(ccm_read_clients(b.ccm, clients, CCM_MAX_CLIENTS), 1);
	assert_int_equal(ccm_read_events(b.ccm, events, CCM_EVENTS), 1);
	b.peer->ports.n = 0;
	ccm_bench_close(&b);
}

static void
read_events__the_newest_oldest_first(void **state)
{
	static const uint32_t totals[] = {1, 2, CCM_EVENTS - 1, CCM_EVENTS, CCM_EVENTS + 1, 1000};
	static const uint32_t maxima[] = {0, 1, 7, CCM_EVENTS, 2 * CCM_EVENTS};

	(void)state;
	for (size_t t = 0; t < RTE_DIM(totals); t++) {
		struct ccm_event events[2 * CCM_EVENTS];
		struct ccm_bench b;

		ccm_bench_open(&b, &(struct ccm_bench_config){0});
		for (uint32_t g = 1; g <= totals[t]; g++)
			publish_generation(&b, g);
		for (size_t m = 0; m < RTE_DIM(maxima); m++) {
			uint32_t want = RTE_MIN(RTE_MIN(totals[t], maxima[m]),
				(uint32_t)CCM_EVENTS);

			memset(events, 0, sizeof(events));
			assert_int_equal(ccm_read_events(b.ccm, events, maxima[m]), want);
			for (uint32_t i = 0; i < want; i++) {
				assert_int_equal(events[i].seq, totals[t] - want + 1 + i);
				assert_int_equal(events[i].nonce, events[i].seq);
				assert_int_equal(events[i].partner_id, CCM_BENCH_NODE);
				assert_int_equal(events[i].from, CCM_SEARCH);
				assert_int_equal(events[i].to, CCM_BOUND);
				assert_int_equal(events[i].reason, CCM_REASON_WAITING);
			}
		}
		b.peer->ports.n = 0;
		ccm_bench_close(&b);
	}
}

static uint32_t told;
static struct ccm_event last;

static void
on_event(void *ctx, const struct ccm_event *event)
{
	assert_non_null(ctx);
	told++;
	last = *event;
}

static void
record_event__is_told_and_kept(void **state)
{
	struct ccm_event kept;
	struct ccm_bench b;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){0});
	b.ccm->env.event = on_event;
	told = 0;
	for (uint32_t g = 1; g <= 3; g++) {
		publish_generation(&b, g);
		assert_int_equal(told, g);
		assert_int_equal(ccm_read_events(b.ccm, &kept, 1), 1);
		assert_memory_equal(&kept, &last, sizeof(kept));
	}
	b.peer->ports.n = 0;
	ccm_bench_close(&b);
}

static void
snapshot__when_something_changed_or_every_10_ms(void **state)
{
	struct ccm_partner_status p;
	struct ccm_client_status c;
	struct ccm_bench b;

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){0});
	b.ccm->now_ns = 1;
	ccm__snapshot(b.ccm);
	b.peer->session.n_beats = 5;
	b.ccm->clients[0].ups = 6;
	b.ccm->now_ns = CCM_SNAPSHOT_NS;
	ccm__snapshot(b.ccm);
	assert_int_equal(ccm_read_partner(b.ccm, 0, &p), 0);
	assert_int_equal(p.beats, 0);
	assert_int_equal(ccm_read_clients(b.ccm, &c, 1), 1);
	assert_int_equal(c.ups, 0);
	b.ccm->now_ns = CCM_SNAPSHOT_NS + 1;
	ccm__snapshot(b.ccm);
	assert_int_equal(ccm_read_partner(b.ccm, 0, &p), 0);
	assert_int_equal(p.beats, 5);
	assert_int_equal(ccm_read_clients(b.ccm, &c, 1), 1);
	assert_int_equal(c.ups, 6);
	b.peer->session.n_beats = 7;
	b.ccm->clients[0].ups = 8;
	b.peer->dirty = true;
	ccm__snapshot(b.ccm);
	assert_false(b.peer->dirty);
	assert_int_equal(ccm_read_partner(b.ccm, 0, &p), 0);
	assert_int_equal(p.beats, 7);
	assert_int_equal(ccm_read_clients(b.ccm, &c, 1), 1);
	assert_int_equal(c.ups, 8);
	ccm_bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read__copies_are_consistent_while_control_writes),
		cmocka_unit_test(read__follows_a_manager_that_polls),
		cmocka_unit_test(read__before_the_first_turn),
		cmocka_unit_test(read__what_stands_there),
		cmocka_unit_test(read__index_out_of_range),
		cmocka_unit_test(read__writer_stopped_in_mid_write),
		cmocka_unit_test(read_events__the_newest_oldest_first),
		cmocka_unit_test(record_event__is_told_and_kept),
		cmocka_unit_test(snapshot__when_something_changed_or_every_10_ms),
	};

	return cmocka_run_group_tests_name("ccm_snapshot", tests, eal_setup, eal_teardown);
}
