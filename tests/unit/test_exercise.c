/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The exercise against a manager and a partner made of arrays: what is posted is carried out when
 * the test says so, and until then its local buffer must not change.
 */
#include "config.h"
#include "exercise.h"
#include "log.h"
#include "rdma_emul.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	CLIENTS = 2,
	PARTNERS = 2,
	PORTS = 3,		     /* of client 0; client 1 has one */
	REGION = 3 * EXERCISE_CHUNK, /* half of it: a chunk and a half */
	SMALL = 4096,		     /* client 1's */
	OPS = 64,
	MS = 1000000,
};

struct op {
	uint32_t handle;
	enum ccm_port_op op;
	uint8_t *local;
	uint64_t offset;
	uint32_t length;
	uint64_t wr_id;
	uint8_t before[EXERCISE_CHUNK]; /* local buffer at posting */
};

int app_logtype;

static struct {
	struct ccm_client_config cfg[CLIENTS];
	ccm_client_fn fn[CLIENTS];
	void *ctx[CLIENTS];
	uint32_t n_clients;
	int register_result;
	int post_result;
	uint32_t posts_left; /* before post_result */
	struct op ops[OPS];
	uint32_t n_ops;
	uint32_t n_written;
	uint8_t memory[CLIENTS * PARTNERS * PORTS][REGION]; /* by handle */
	uint64_t length;				    /* agreed for client 0's ports */
	char log[32][256];
	uint32_t n_log;
	uint64_t now;
} fake;

int
rte_log(uint32_t level, uint32_t logtype, const char *format, ...)
{
	va_list ap;

	(void)level;
	(void)logtype;
	assert_true(fake.n_log < 32);
	va_start(ap, format);
	vsnprintf(fake.log[fake.n_log++], sizeof(fake.log[0]), format, ap);
	va_end(ap);
	return 0;
}

const char *
remu_wc_status_name(uint8_t status)
{
	return status == REMU_WC_RETRY_EXC_ERR ? "retry_exc_err" : "?";
}

int
ccm_client_register(struct ccm *ccm, const struct ccm_client_config *cfg, ccm_client_fn fn,
	void *ctx, struct ccm_client **out)
{
	assert_ptr_equal(ccm, &fake);
	*out = NULL;
	if (fake.register_result != 0)
		return fake.register_result;
	assert_true(fake.n_clients < CLIENTS);
	fake.cfg[fake.n_clients] = *cfg;
	fake.fn[fake.n_clients] = fn;
	fake.ctx[fake.n_clients++] = ctx;
	return 0;
}

static uint64_t
length_of(uint32_t client)
{
	return client == 0 ? fake.length : SMALL;
}

int
ccm_port_post(struct ccm *ccm, uint32_t handle, enum ccm_port_op op, void *local, uint64_t offset,
	uint32_t length, uint64_t wr_id)
{
	struct op *o;

	assert_ptr_equal(ccm, &fake);
	assert_in_range(length, 1, EXERCISE_CHUNK);
	assert_true(offset + length <= length_of(handle / (PARTNERS * PORTS)));
	if (fake.post_result != 0 && fake.posts_left-- == 0) {
		fake.posts_left = 0;
		return fake.post_result;
	}
	assert_true(fake.n_ops < OPS);
	o = &fake.ops[fake.n_ops++];
	*o = (struct op){handle, op, local, offset, length, wr_id, {0}};
	memcpy(o->before, local, length);
	return 0;
}

static uint32_t
handle_of(uint32_t client, uint32_t partner, uint32_t port)
{
	return (client * PARTNERS + partner) * PORTS + port;
}

static void
tell(uint32_t client, uint32_t partner, enum ccm_client_event_kind kind, uint32_t n)
{
	struct ccm_port ports[PORTS + 1];
	struct ccm_client_event ev = {
		.kind = kind,
		.partner_id = (uint16_t)(10 + 20 * partner),
		.n_ports = (uint16_t)n,
		.ports = ports,
		.now_ns = fake.now,
	};

	for (uint32_t i = 0; i < n; i++)
		ports[i] = (struct ccm_port){
			.partner_id = ev.partner_id,
			.index = (uint16_t)i,
			.handle = handle_of(client, partner, i),
			.length = length_of(client),
		};
	fake.fn[client](fake.ctx[client], &ev);
}

/* Carry out the oldest work request. */
static void
complete_as(uint8_t status, uint64_t wr_id_xor)
{
	struct op o = fake.ops[0];
	uint32_t client = o.handle / (PARTNERS * PORTS);
	struct ccm_port port = {.index = (uint16_t)(o.handle % PORTS), .handle = o.handle};
	struct ccm_client_event ev = {
		.kind = CCM_CLIENT_COMPLETED,
		.partner_id = (uint16_t)(10 + 20 * (o.handle / PORTS % PARTNERS)),
		.n_ports = 1,
		.ports = &port,
		.wr_id = o.wr_id ^ wr_id_xor,
		.status = status,
		.byte_len = o.length,
		.now_ns = fake.now,
	};

	assert_true(fake.n_ops > 0);
	memmove(&fake.ops[0], &fake.ops[1], --fake.n_ops * sizeof(fake.ops[0]));
	assert_memory_equal(o.local, o.before, o.length);
	if (status == REMU_WC_SUCCESS && o.op == CCM_PORT_WRITE) {
		memcpy(&fake.memory[o.handle][o.offset], o.local, o.length);
		fake.n_written += o.length;
	} else if (status == REMU_WC_SUCCESS) {
		memcpy(o.local, &fake.memory[o.handle][o.offset], o.length);
	}
	fake.fn[client](fake.ctx[client], &ev);
}

static void
complete(void)
{
	complete_as(REMU_WC_SUCCESS, 0);
}

static struct exercise *
start(uint16_t node_id, bool enabled)
{
	static struct node_config cfg;
	struct exercise *ex;

	memset(&fake, 0, sizeof(fake));
	fake.now = 1000 * (uint64_t)MS;
	fake.length = REGION;
	cfg = (struct node_config){
		.ccm = {.node_id = node_id, .n_partners = PARTNERS},
		.n_clients = CLIENTS,
		.clients = {{.ccm = {"mirror", PORTS, PORTS * REGION, false}},
			{.ccm = {"monitor", 1, SMALL, false}}},
	};
	cfg.ccm.partners[0].id = 10;
	cfg.ccm.partners[1].id = 30;
	assert_int_equal(exercise_create(&cfg, enabled, &ex), 0);
	assert_int_equal(exercise_register(ex, (struct ccm *)&fake), 0);
	return ex;
}

/* Turns of the control loop without time passing: no paced round begins. */
static void
turns(struct exercise *ex, int n)
{
	while (n-- > 0)
		exercise_poll(ex, fake.now);
}

/* Time passes in small steps; everything posted is carried out. */
static void
run(struct exercise *ex, uint64_t ns)
{
	for (uint64_t end = fake.now + ns; fake.now < end; fake.now += MS) {
		exercise_poll(ex, fake.now);
		while (fake.n_ops > 0)
			complete();
	}
}

static struct exercise_status
status(const struct exercise *ex, uint32_t index)
{
	struct exercise_status st;

	assert_int_equal(exercise_read(ex, index, &st), 0);
	return st;
}

static void
test_registers_all_clients(void **state)
{
	struct exercise *ex = start(20, true);
	struct exercise_status st;

	(void)state;
	assert_int_equal(fake.n_clients, CLIENTS);
	assert_string_equal(fake.cfg[0].name, "mirror");
	assert_int_equal(fake.cfg[0].ports, PORTS);
	assert_int_equal(fake.cfg[0].memory, PORTS * REGION);
	assert_string_equal(fake.cfg[1].name, "monitor");
	assert_true(exercise_enabled(ex));
	assert_int_equal(exercise_count(ex), PARTNERS * (PORTS + 1));
	st = status(ex, PORTS + 1);
	assert_string_equal(st.client, "mirror");
	assert_int_equal(st.partner_id, 30);
	assert_int_equal(st.port, 1);
	st = status(ex, PARTNERS * PORTS + 1);
	assert_string_equal(st.client, "monitor");
	assert_int_equal(st.partner_id, 30);
	assert_int_equal(st.port, 0);
	assert_false(st.up);
	assert_int_equal(exercise_read(ex, exercise_count(ex), &st), -ENOENT);
	assert_int_equal(exercise_read(ex, UINT32_MAX, &st), -ENOENT);
	exercise_destroy(ex);
	exercise_destroy(NULL);
}

static void
test_register_fails(void **state)
{
	struct exercise *ex = start(20, true);

	(void)state;
	fake.register_result = -ENOSPC;
	assert_int_equal(exercise_register(ex, (struct ccm *)&fake), -ENOSPC);
	exercise_destroy(ex);
}

static void
test_nothing_configured(void **state)
{
	static const struct node_config none;
	struct exercise *ex;

	(void)state;
	assert_int_equal(exercise_create(&none, true, &ex), 0);
	assert_int_equal(exercise_register(ex, (struct ccm *)&fake), 0);
	for (uint64_t now = 0; now < 10; now++)
		assert_false(exercise_poll(ex, now * MS));
	assert_int_equal(exercise_count(ex), 0);
	exercise_destroy(ex);
}

static void
test_first_round(void **state)
{
	struct exercise *ex = start(20, true);
	struct exercise_status st;

	(void)state;
	tell(0, 0, CCM_CLIENT_UP, 2);
	assert_int_equal(fake.n_ops, 0); /* work is done in turns, one chunk each */
	exercise_poll(ex, fake.now);
	assert_int_equal(fake.n_ops, 1);
	turns(ex, 5);
	assert_int_equal(fake.n_ops, 2);
	assert_int_equal(fake.ops[0].op, CCM_PORT_WRITE);
	assert_int_equal(fake.ops[0].length, EXERCISE_CHUNK);
	complete();
	complete();
	assert_int_equal(fake.n_ops, 2);
	assert_int_equal(fake.ops[0].op, CCM_PORT_READ);
	complete();
	complete();
	assert_int_equal(status(ex, 0).rounds, 0);
	turns(ex, 2);
	for (uint32_t i = 0; i < 2; i++) {
		st = status(ex, i);
		assert_true(st.up);
		assert_int_equal(st.sessions, 1);
		assert_int_equal(st.rounds, 1);
		assert_int_equal(st.verified_bytes, EXERCISE_CHUNK);
		assert_int_equal(st.mismatches, 0);
		assert_int_equal(st.errors, 0);
	}
	assert_false(status(ex, 2).up);
	assert_int_equal(fake.n_log, 2);
	assert_string_equal(fake.log[0],
		"ccm: client mirror, partner 10, port 0: 65536 bytes "
		"written, read back and verified\n");
	turns(ex, 10);
	assert_int_equal(fake.n_ops, 0);
	exercise_destroy(ex);
}

/* Node 20 uses the second half of partner 10's regions and the first half of partner 30's. */
static void
test_keeps_to_its_half(void **state)
{
	struct exercise *ex = start(20, true);
	bool touched[2][2] = {{false}};

	(void)state;
	tell(0, 0, CCM_CLIENT_UP, 1);
	tell(0, 1, CCM_CLIENT_UP, 1);
	run(ex, 1000 * (uint64_t)MS);
	for (uint32_t p = 0; p < 2; p++)
		for (uint32_t i = 0; i < REGION; i++)
			touched[p][i / (REGION / 2)] |= fake.memory[handle_of(0, p, 0)][i] != 0;
	assert_false(touched[0][0]);
	assert_true(touched[0][1]);
	assert_true(touched[1][0]);
	assert_false(touched[1][1]);
	/* It has walked over all of its half. */
	assert_memory_not_equal(&fake.memory[handle_of(0, 1, 0)][EXERCISE_CHUNK],
		&fake.memory[handle_of(0, 1, 0)][REGION / 2], REGION / 2 - EXERCISE_CHUNK);
	exercise_destroy(ex);
}

static void
test_slow_pace(void **state)
{
	struct exercise *ex = start(20, true);

	(void)state;
	tell(0, 0, CCM_CLIENT_UP, PORTS);
	tell(1, 1, CCM_CLIENT_UP, 1);
	run(ex, 1000 * (uint64_t)MS);
	for (uint32_t i = 0; i < PORTS; i++) {
		assert_in_range(status(ex, i).rounds, 9, 12);
		assert_int_equal(status(ex, i).mismatches, 0);
	}
	/* Two chunks per walk: one and a half. */
	assert_in_range(status(ex, 0).verified_bytes, 9 * EXERCISE_CHUNK / 4 * 3,
		12 * EXERCISE_CHUNK);
	assert_int_equal(status(ex, PARTNERS * PORTS + 1).verified_bytes,
		status(ex, PARTNERS * PORTS + 1).rounds * SMALL / 2);
	assert_int_equal(fake.n_log, PORTS + 1); /* only first rounds are told */
	exercise_destroy(ex);
}

/* A loop that stood still does not make up for what it missed. */
static void
test_no_catching_up(void **state)
{
	struct exercise *ex = start(20, true);
	uint64_t before;

	(void)state;
	tell(0, 0, CCM_CLIENT_UP, PORTS);
	run(ex, 200 * (uint64_t)MS);
	before = status(ex, 0).rounds;
	fake.now += 3600 * 1000 * (uint64_t)MS;
	run(ex, 100 * (uint64_t)MS);
	assert_in_range(status(ex, 0).rounds, before + 1, before + 2);
	exercise_destroy(ex);
}

/* Work that waits is done once, in turn, and no round begins because of it. */
static void
test_one_chunk_per_turn(void **state)
{
	struct exercise *ex = start(20, true);
	uint64_t rounds = 0;

	(void)state;
	tell(0, 1, CCM_CLIENT_UP, PORTS);
	tell(0, 0, CCM_CLIENT_UP, PORTS);
	turns(ex, 2 * PORTS);
	for (int i = 0; i < 2 * 2 * PORTS; i++)
		complete();
	fake.now += EXERCISE_PERIOD_NS / 8;
	exercise_poll(ex, fake.now);
	for (uint32_t i = 0; i < 2 * PORTS; i++)
		rounds += status(ex, i).rounds;
	assert_int_equal(rounds, 1);
	turns(ex, 20);
	for (uint32_t i = 0; i < 2 * PORTS; i++)
		assert_int_equal(status(ex, i).rounds, 1);
	assert_int_equal(fake.n_ops, 0);
	exercise_destroy(ex);
}

/* The patterns of all ports, rounds, sessions and nodes differ. */
static void
test_patterns_differ(void **state)
{
	static const uint16_t nodes[] = {20, 10};
	uint64_t seen[64];
	uint32_t n = 0;

	(void)state;
	for (uint32_t k = 0; k < 2; k++) {
		struct exercise *ex = start(nodes[k], true);

		for (int session = 0; session < 2; session++) {
			tell(0, 0, CCM_CLIENT_UP, PORTS);
			tell(0, 1, CCM_CLIENT_UP, PORTS);
			for (int round = 0; round < 2; round++) {
				for (int t = 0; t < 200 && fake.n_ops < PARTNERS * PORTS; t++) {
					exercise_poll(ex, fake.now);
					fake.now += MS;
				}
				assert_int_equal(fake.n_ops, PARTNERS * PORTS);
				for (uint32_t i = 0; i < fake.n_ops; i++)
					memcpy(&seen[n++], fake.ops[i].local, sizeof(seen[0]));
				for (int i = 0; i < 2 * PARTNERS * PORTS; i++)
					complete();
				turns(ex, PARTNERS * PORTS);
			}
			fake.n_ops = 0;
			tell(0, 0, CCM_CLIENT_DOWN, PORTS);
			tell(0, 1, CCM_CLIENT_DOWN, PORTS);
		}
		exercise_destroy(ex);
	}
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	assert_int_equal(n, 48);
}

static void
test_mismatch(void **state)
{
	struct exercise *ex = start(20, true);

	(void)state;
	tell(0, 0, CCM_CLIENT_UP, 1);
	turns(ex, 1);
	complete();
	fake.memory[0][REGION / 2 + 4711] ^= 1; /* one bit, in the partner's memory */
	complete();
	turns(ex, 1);
	assert_int_equal(status(ex, 0).mismatches, 1);
	assert_int_equal(status(ex, 0).rounds, 1);
	assert_int_equal(status(ex, 0).verified_bytes, 0);
	assert_int_equal(fake.n_log, 1);
	assert_non_null(strstr(fake.log[0], "1 of 65536 bytes read back differ"));
	assert_non_null(strstr(fake.log[0], "offset 103015"));
	/* It goes on, and says no more. */
	run(ex, 500 * (uint64_t)MS);
	assert_true(status(ex, 0).rounds > 3);
	assert_int_equal(status(ex, 0).mismatches, 1);
	assert_int_equal(fake.n_log, 1);
	exercise_destroy(ex);
}

/* A WRITE that is acknowledged but not carried out: what the last session left is no pass. */
static void
test_lost_write(void **state)
{
	struct exercise *ex = start(20, true);
	uint8_t *old;

	(void)state;
	tell(0, 0, CCM_CLIENT_UP, 1);
	turns(ex, 1);
	complete();
	complete();
	turns(ex, 1);
	tell(0, 0, CCM_CLIENT_DOWN, 1);
	old = malloc(REGION);
	assert_non_null(old);
	memcpy(old, fake.memory[0], REGION);
	exercise_destroy(ex);

	ex = start(20, true); /* the process started again */
	fake.now += MS;
	tell(0, 0, CCM_CLIENT_UP, 1);
	turns(ex, 1);
	complete();
	memcpy(fake.memory[0], old, REGION);
	complete();
	turns(ex, 1);
	assert_int_equal(status(ex, 0).mismatches, 1);
	free(old);
	exercise_destroy(ex);
}

static void
test_failed_requests(void **state)
{
	struct exercise *ex = start(20, true);

	(void)state;
	tell(0, 0, CCM_CLIENT_UP, 1);
	turns(ex, 1);
	complete_as(REMU_WC_RETRY_EXC_ERR, 0);
	assert_int_equal(status(ex, 0).errors, 1);
	assert_string_equal(fake.log[0],
		"ccm: client mirror, partner 10, port 0: WRITE of 65536 "
		"bytes failed: retry_exc_err\n");
	turns(ex, 3);
	assert_int_equal(fake.n_ops, 0);
	for (int i = 0; i < 200 && fake.n_ops == 0; i++, fake.now += MS)
		exercise_poll(ex, fake.now);
	complete();
	complete_as(REMU_WC_RETRY_EXC_ERR, 0);
	assert_int_equal(status(ex, 0).errors, 2);
	assert_int_equal(status(ex, 0).rounds, 0);
	assert_int_equal(fake.n_log, 1);
	run(ex, 200 * (uint64_t)MS);
	assert_true(status(ex, 0).rounds > 0);
	exercise_destroy(ex);
}

static void
test_post_fails(void **state)
{
	struct exercise *ex = start(20, true);

	(void)state;
	fake.post_result = -EAGAIN; /* at the WRITE */
	tell(0, 0, CCM_CLIENT_UP, 1);
	turns(ex, 3);
	assert_int_equal(status(ex, 0).errors, 0);
	fake.post_result = 0;
	for (int i = 0; i < 200 && fake.n_ops == 0; i++, fake.now += MS)
		exercise_poll(ex, fake.now);
	fake.post_result = -EAGAIN; /* at the READ */
	complete();
	assert_int_equal(fake.n_ops, 0);
	assert_int_equal(status(ex, 0).errors, 0);
	fake.post_result = 0;
	for (int i = 0; i < 200 && fake.n_ops == 0; i++, fake.now += MS)
		exercise_poll(ex, fake.now);
	assert_int_equal(fake.ops[0].op, CCM_PORT_READ);
	complete();
	turns(ex, 1);
	assert_int_equal(status(ex, 0).rounds, 1);
	assert_int_equal(status(ex, 0).mismatches, 0);

	fake.post_result = -ENOTCONN;
	run(ex, 300 * (uint64_t)MS);
	assert_in_range(status(ex, 0).errors, 2, 4);
	assert_int_equal(status(ex, 0).rounds, 1);
	exercise_destroy(ex);
}

/* The session ends in every stage of a round; the next one starts afresh. */
static void
test_down_in_the_middle(void **state)
{
	struct exercise *ex = start(20, true);

	(void)state;
	for (int stage = 0; stage < 4; stage++) {
		uint64_t rounds = status(ex, 0).rounds;

		tell(0, 0, CCM_CLIENT_UP, 1);
		if (stage > 0)
			turns(ex, 1);
		for (int i = 1; i < stage; i++)
			complete();
		tell(0, 0, CCM_CLIENT_DOWN, 1);
		fake.n_ops = 0; /* flushed */
		assert_false(status(ex, 0).up);
		for (int i = 0; i < 300; i++, fake.now += MS)
			exercise_poll(ex, fake.now);
		assert_int_equal(fake.n_ops, 0);
		assert_int_equal(status(ex, 0).rounds, rounds);
		tell(0, 0, CCM_CLIENT_UP, 1);
		turns(ex, 1);
		assert_int_equal(fake.n_ops, 1);
		assert_int_equal(fake.ops[0].offset, REGION / 2);
		complete();
		complete();
		turns(ex, 1);
		assert_int_equal(status(ex, 0).rounds, rounds + 1);
		tell(0, 0, CCM_CLIENT_DOWN, 1);
	}
	assert_int_equal(status(ex, 0).sessions, 8);
	assert_int_equal(status(ex, 0).mismatches, 0);
	assert_int_equal(status(ex, 0).errors, 0);
	exercise_destroy(ex);
}

/* Down and up again between two turns, while the slot is still queued: one round, not two. */
static void
test_up_again_at_once(void **state)
{
	struct exercise *ex = start(20, true);

	(void)state;
	tell(1, 1, CCM_CLIENT_UP, 1);
	for (int i = 0; i < 3; i++) {
		tell(0, 0, CCM_CLIENT_UP, PORTS);
		tell(0, 0, CCM_CLIENT_DOWN, PORTS);
	}
	tell(0, 0, CCM_CLIENT_UP, PORTS);
	turns(ex, 100);
	assert_int_equal(fake.n_ops, PORTS + 1);
	exercise_destroy(ex);
}

static void
test_strange_events(void **state)
{
	struct exercise *ex = start(20, true);

	(void)state;
	tell(0, 5, CCM_CLIENT_UP, 1); /* no such partner */
	tell(0, 5, CCM_CLIENT_DOWN, 1);
	tell(0, 0, CCM_CLIENT_UP, PORTS + 1); /* one port too many */
	turns(ex, PORTS + 3);
	assert_int_equal(fake.n_ops, PORTS);
	assert_false(status(ex, PORTS).up);   /* the next partner's */
	complete_as(REMU_WC_SUCCESS, 1 << 4); /* of another round */
	assert_int_equal(fake.n_ops, PORTS - 1);
	assert_int_equal(status(ex, 0).errors, 0);
	exercise_destroy(ex);
}

/* Regions of any size, also smaller or larger than this node asked for. */
static void
test_agreed_length(void **state)
{
	static const struct {
		uint64_t length;
		uint32_t chunk;
	} cases[] = {{4096, 2048}, {4104, 2048}, {4097, 2048}, {5000, 2496}, {REGION, 65536},
		{17, 8}, {15, 0}, {0, 0}};

	(void)state;
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exercise *ex = start(20, true);

		fake.length = cases[i].length;
		tell(0, 1, CCM_CLIENT_UP, 1);
		turns(ex, 1);
		assert_int_equal(fake.n_ops, cases[i].chunk != 0);
		if (fake.n_ops != 0)
			assert_int_equal(fake.ops[0].length, cases[i].chunk);
		run(ex, 300 * (uint64_t)MS);
		assert_int_equal(status(ex, PORTS).mismatches, 0);
		exercise_destroy(ex);
	}
}

static void
test_switched_off(void **state)
{
	struct exercise *ex = start(20, false);

	(void)state;
	assert_false(exercise_enabled(ex));
	assert_int_equal(fake.n_clients, CLIENTS);
	tell(0, 0, CCM_CLIENT_UP, PORTS);
	for (int i = 0; i < 500; i++, fake.now += MS)
		assert_false(exercise_poll(ex, fake.now));
	assert_int_equal(fake.n_ops, 0);
	assert_true(status(ex, 0).up);
	tell(0, 0, CCM_CLIENT_DOWN, PORTS);
	assert_false(status(ex, 0).up);
	assert_int_equal(status(ex, 0).sessions, 1);
	assert_int_equal(fake.n_log, 0);
	exercise_destroy(ex);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers_all_clients),
		cmocka_unit_test(test_register_fails),
		cmocka_unit_test(test_nothing_configured),
		cmocka_unit_test(test_first_round),
		cmocka_unit_test(test_keeps_to_its_half),
		cmocka_unit_test(test_slow_pace),
		cmocka_unit_test(test_no_catching_up),
		cmocka_unit_test(test_one_chunk_per_turn),
		cmocka_unit_test(test_patterns_differ),
		cmocka_unit_test(test_mismatch),
		cmocka_unit_test(test_lost_write),
		cmocka_unit_test(test_failed_requests),
		cmocka_unit_test(test_post_fails),
		cmocka_unit_test(test_down_in_the_middle),
		cmocka_unit_test(test_up_again_at_once),
		cmocka_unit_test(test_strange_events),
		cmocka_unit_test(test_agreed_length),
		cmocka_unit_test(test_switched_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
