/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bootstrap queue pair towards a partner that is an engine with memory, but without a manager:
 * what its record says is up to the test, and every request that we send it is written down.
 */
#include "ccm_bench.h"
#include "eal.h"

#include <errno.h>
#include <string.h>

enum {
	PARTNER = 2,
	PARTNER_QPN = 0x200,
	PARTNER_RKEY = 0xbeef0000,
	PARTNER_IP = 0xc0000202,
	PARTNER_PD = 5,
	LOG = 4096,
};
static const uint64_t partner_va = 0x7000000000, partner_nonce = 0x1122334455667788;

/* A READ or WRITE that we have put on the wire. */
struct message {
	uint64_t va;
	uint32_t rkey;
	uint32_t length;
	uint32_t psn;
	bool read;
	struct ccm_record rec; /* WRITE to the slot */
};

struct fixture {
	struct ccm_bench b;
	struct remu_qp *qp; /* the partner's */
	struct ccm_record says;
	uint8_t out[CCM_RECORD_SIZE] __attribute__((aligned(8)));
	uint8_t slot[CCM_RECORD_SIZE] __attribute__((aligned(8)));
	uint8_t dir[CCM_REGION_SIZE - CCM_DIR_OFFSET] __attribute__((aligned(8)));
	struct message log[LOG];
	uint32_t n_log;
	uint32_t lose; /* so many of our next packets */
};

/* static: large, and the sanitizer sees writes past its members */
static struct fixture fix;

static bool
tap(void *arg, const struct roce_packet *pkt)
{
	struct fixture *f = arg;
	struct message *m = &f->log[f->n_log];

	if (pkt->f.dest_qpn != PARTNER_QPN || !(pkt->op->traits & ROCE_T_REQUEST))
		return true;
	if (pkt->op->traits & ROCE_T_RETH) {
		assert_true(f->n_log++ < LOG);
		*m = (struct message){
			.va = pkt->f.va,
			.rkey = pkt->f.rkey,
			.length = pkt->f.dma_len,
			.psn = pkt->f.psn,
			.read = pkt->f.opcode == ROCE_READ_REQUEST,
		};
		if (pkt->f.opcode == ROCE_WRITE_ONLY && pkt->payload_len == CCM_RECORD_SIZE)
			assert_int_equal(ccm_record_decode(pkt->payload, &m->rec), CCM_RECORD_OK);
	}
	if (f->lose == 0)
		return true;
	f->lose--;
	return false;
}

/* The partner publishes a record: a new beat of what it says. */
static void
partner_beats(struct fixture *f)
{
	uint8_t image[CCM_RECORD_SIZE];

	f->says.seq++;
	f->says.beat++;
	ccm_record_encode(&f->says, image);
	ccm_record_store(f->out, image);
}

static void
partner_region(struct fixture *f, uint32_t key)
{
	static const uint32_t offsets[] = {CCM_OUT_OFFSET, CCM_SLOT_OFFSET, CCM_DIR_OFFSET};
	const struct {
		void *addr;
		size_t length;
		uint32_t access;
	} regions[] = {
		{f->out, sizeof(f->out), REMU_ACCESS_REMOTE_READ | REMU_ACCESS_RESYNC},
		{f->slot, sizeof(f->slot), REMU_ACCESS_REMOTE_WRITE},
		{f->dir, sizeof(f->dir), REMU_ACCESS_REMOTE_WRITE},
	};

	assert_int_equal(remu_mr_register(f->b.partner,
				 &(struct remu_mr_config){
					 .addr = regions[key].addr,
					 .va = partner_va + offsets[key],
					 .length = regions[key].length,
					 .rkey = PARTNER_RKEY + key,
					 .pd = PARTNER_PD,
					 .access = regions[key].access,
				 }),
		0);
}

static void
partner_revokes(struct fixture *f, uint32_t key)
{
	assert_int_equal(remu_mr_deregister(f->b.partner, PARTNER_PD, PARTNER_RKEY + key), 0);
}

static void
open_partner(struct fixture *f)
{
	struct remu_qp_attr attr = {
		.peer_gid = roce_gid_ipv4(CCM_BENCH_IP),
		.peer_mac = {2, 0, 0, 0, 0, CCM_BENCH_NODE},
		.path_mtu = CCM_BOOTSTRAP_MTU,
		.peer_qpn = CCM_BENCH_QPN,
		.sq_psn = 0x777,
		.timeout_us = 1000,
		.max_rd_atomic = 16,
		.max_dest_rd_atomic = 16,
	};

	f->b.partner = ccm_bench_engine(&f->b, 0, 1, 8, PARTNER, PARTNER_IP);
	assert_int_equal(remu_qp_create(f->b.partner,
				 &(struct remu_qp_config){
					 .qpn = PARTNER_QPN,
					 .pd = PARTNER_PD,
					 .access = REMU_ACCESS_REMOTE_READ |
						 REMU_ACCESS_REMOTE_WRITE,
					 .flags = REMU_QP_BOOTSTRAP,
				 },
				 &f->qp),
		0);
	for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
		assert_int_equal(remu_qp_modify(f->b.partner, f->qp, (enum remu_qp_state)to, &attr),
			0);
	for (uint32_t key = 0; key < CCM_REGION_KEYS; key++)
		partner_region(f, key);
}

static struct fixture *
open_fixture(uint32_t depth)
{
	struct fixture *f = &fix;

	memset(f, 0, sizeof(*f));
	ccm_bench_open(&f->b,
		&(struct ccm_bench_config){
			.depth = depth,
			.partner =
				{
					.id = PARTNER,
					.mac = {2, 0, 0, 0, 0, PARTNER},
					.ip = PARTNER_IP,
					.qpn = CCM_BENCH_QPN,
					.remote_qpn = PARTNER_QPN,
					.va = partner_va,
					.rkey = PARTNER_RKEY,
				},
		});
	f->b.tap = tap;
	f->b.arg = f;
	f->says = (struct ccm_record){
		.nonce = partner_nonce,
		.boot_id = 1,
		.cluster_hash = ccm_hash64("lab", 3),
		.src_id = PARTNER,
		.dst_id = CCM_BENCH_NODE,
		.version_min = 1,
		.version_max = 1,
		.path_mtu = 1024,
		.phase = CCM_SEARCH,
		.name = "partner",
	};
	open_partner(f);
	partner_beats(f);
	return f;
}

static void
close_fixture(struct fixture *f)
{
	ccm_bench_close(&f->b);
}

static void
turn(struct fixture *f)
{
	partner_beats(f);
	ccm_bench_turn(&f->b);
}

static void
run(struct fixture *f, uint64_t ns)
{
	for (uint64_t end = f->b.now + ns; f->b.now < end;)
		turn(f);
}

/* Until our queue pair is open. Nothing has been READ. */
static void
run_to_ready(struct fixture *f)
{
	for (int i = 0; i < 100 && f->b.peer->qp_state != CCM_QP_READY; i++)
		ccm_bench_turn(&f->b);
	assert_int_equal(f->b.peer->qp_state, CCM_QP_READY);
}

static void
run_to_bound(struct fixture *f)
{
	f->says.phase = CCM_BOUND;
	f->says.echo = f->b.peer->session.nonce;
	for (int i = 0; i < 1000 && f->b.peer->session.state != CCM_BOUND; i++)
		turn(f);
	assert_int_equal(f->b.peer->session.state, CCM_BOUND);
}

/* Let everything under way come to its end, while the session asks for nothing new. */
static void
settle(struct fixture *f)
{
	struct ccm_peer *peer = f->b.peer;

	for (int i = 0; i < 10000; i++) {
		peer->session.next_beat_ns = peer->session.hold_until_ns = UINT64_MAX;
		turn(f);
		if (peer->session.io == CCM_IO_IDLE && peer->qp_pending == 0 &&
			peer->qp_state == CCM_QP_READY && !peer->writes[CCM_WRITE_NOTIFY].wanted)
			return;
	}
	fail_msg("it does not settle");
}

/* The session may go on after settle(). */
static void
resume(struct fixture *f)
{
	f->b.peer->session.next_beat_ns = f->b.peer->session.hold_until_ns = 0;
}

/* Commands that nobody misses: they take the channel's places until the engine has worked. */
static void
occupy(struct fixture *f, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(remu_channel_mr_deregister(f->b.channels[0], 1, 1,
					 ccm__cookie(CCM_COOKIE_PORT_WORK, 0, 0)),
			0);
}

static void
expect_read(const struct message *m)
{
	assert_true(m->read);
	assert_int_equal(m->va, partner_va);
	assert_int_equal(m->rkey, PARTNER_RKEY);
	assert_int_equal(m->length, CCM_RECORD_SIZE);
}

static void
expect_record(const struct message *m)
{
	assert_false(m->read);
	assert_int_equal(m->va, partner_va + 0x1000);
	assert_int_equal(m->rkey, PARTNER_RKEY + 1);
	assert_int_equal(m->length, CCM_RECORD_SIZE);
	assert_int_equal(m->rec.src_id, CCM_BENCH_NODE);
	assert_int_equal(m->rec.dst_id, PARTNER);
}

static void
expect_directory(const struct fixture *f, const struct message *m)
{
	assert_false(m->read);
	assert_int_equal(m->va, partner_va + 0x2000);
	assert_int_equal(m->rkey, PARTNER_RKEY + 2);
	assert_int_equal(m->length, f->b.peer->dir_len);
}

static uint32_t draws;

/* The first PSN is drawn while the last verb is being made: by then the record must stand. */
static uint64_t
look_at_record(void *ctx)
{
	const struct fixture *f = ctx;
	struct ccm_record rec;

	assert_int_equal(ccm_record_decode(f->b.peer->out, &rec), CCM_RECORD_OK);
	assert_int_equal(rec.phase, CCM_DOWN);
	assert_int_equal(rec.nonce, f->b.peer->session.nonce);
	assert_int_equal(rec.dst_id, PARTNER);
	draws++;
	return 0x123456789;
}

static void
open__record_stands_before_the_queue_pair(void **state)
{
	struct fixture *f = open_fixture(0);
	struct ccm_record rec;

	(void)state;
	assert_int_equal(ccm_record_decode(f->b.peer->out, &rec), CCM_RECORD_EMPTY);
	draws = 0;
	f->b.ccm->env.rand64 = look_at_record;
	f->b.ccm->env.ctx = f;
	ccm_poll(f->b.ccm, f->b.now);
	assert_int_equal(draws, 1);
	assert_int_equal(f->b.channels[0]->in_flight, 5);
	f->b.ccm->env.rand64 = ccm_bench_rand64;
	f->b.ccm->env.ctx = &f->b;
	run_to_ready(f);
	close_fixture(f);
}

static void
open__regions_and_queue_pair(void **state)
{
	static const struct {
		uint32_t offset;
		uint32_t length;
		uint32_t access;
	} regions[] = {
		{0, 256, REMU_ACCESS_REMOTE_READ | REMU_ACCESS_RESYNC},
		{0x1000, 256, REMU_ACCESS_REMOTE_WRITE},
		{0x2000, 0x2000, REMU_ACCESS_REMOTE_WRITE},
	};
	static const uint64_t script[] = {0xffabcdef01};
	struct fixture *f = open_fixture(0);
	struct remu_engine *e = f->b.engines[0];
	const struct remu_qp *qp;

	(void)state;
	f->b.script = script;
	f->b.n_script = 1;
	run_to_ready(f);
	assert_int_equal(ccm_bench_mrs(&f->b), 3);
	for (uint32_t key = 0; key < 3; key++) {
		const struct remu_mr *mr = remu__mr_find(e, 1 << 16, CCM_BENCH_RKEY + key,
			CCM_BENCH_VA + regions[key].offset, regions[key].length, 0);

		assert_non_null(mr);
		assert_int_equal(mr->cfg.length, regions[key].length);
		assert_int_equal(mr->cfg.access, regions[key].access);
		assert_ptr_equal(mr->cfg.addr, f->b.memory + regions[key].offset);
	}
	qp = remu_qp_find(e, CCM_BENCH_QPN);
	assert_int_equal(qp->state, REMU_QP_RTS);
	assert_int_equal(qp->pd, 1 << 16);
	assert_int_equal(qp->flags, REMU_QP_BOOTSTRAP);
	assert_int_equal(qp->access, REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE);
	assert_int_equal(qp->path_mtu, CCM_BOOTSTRAP_MTU);
	assert_int_equal(qp->peer_qpn, PARTNER_QPN);
	assert_int_equal(qp->peer_mac[5], PARTNER);
	assert_int_equal(roce_gid_to_ipv4(&qp->peer_gid), PARTNER_IP);
	assert_int_equal(qp->req.timeout_ns, 200 * 1000);
	assert_int_equal(qp->req.retry_cnt, 3);
	turn(f);
	assert_int_equal(f->log[0].psn, 0xcdef01);
	close_fixture(f);
}

static void
open__full_channel_goes_on_later(void **state)
{
	struct fixture *f = open_fixture(8);

	(void)state;
	for (uint32_t room = 0; room < 3; room++) {
		uint32_t before = f->b.peer->open_next;

		occupy(f, 8 - room);
		ccm_poll(f->b.ccm, f->b.now);
		assert_int_equal(f->b.peer->open_next, before + room);
		assert_int_equal(ccm_next_deadline(f->b.ccm), 0);
		assert_int_equal(f->b.peer->session.state, CCM_DOWN);
		ccm_bench_engines(&f->b);
		/* Takes the completions; the next verbs wait until the channel is full again. */
		f->b.peer->qp_state = CCM_QP_RECONNECTING;
		ccm_poll(f->b.ccm, f->b.now);
		f->b.peer->qp_state = CCM_QP_OPENING;
	}
	run_to_ready(f);
	assert_int_equal(ccm_bench_mrs(&f->b), 3);
	assert_int_equal(ccm_bench_qps(&f->b), 1);
	run(f, CCM_BENCH_MS);
	assert_true(f->b.peer->session.n_beats > 0);
	close_fixture(f);
}

static void
open__queue_pair_number_taken(void **state)
{
	struct fixture *f = open_fixture(0);
	struct remu_qp *qp;

	(void)state;
	assert_int_equal(remu_qp_create(f->b.engines[0],
				 &(struct remu_qp_config){.qpn = CCM_BENCH_QPN}, &qp),
		0);
	run(f, 5 * CCM_BENCH_MS);
	assert_int_equal(f->b.peer->session.state, CCM_DOWN);
	assert_int_equal(f->b.peer->session.reason, CCM_REASON_PORT_FAILED);
	assert_int_equal(f->n_log, 0);
	close_fixture(f);
}

static void
beat__read_then_record(void **state)
{
	struct fixture *f = open_fixture(0);
	uint64_t seq = 0;

	(void)state;
	run(f, 20 * CCM_BENCH_MS);
	assert_true(f->n_log >= 20);
	for (uint32_t i = 0; i + 1 < f->n_log; i += 2) {
		expect_read(&f->log[i]);
		expect_record(&f->log[i + 1]);
		assert_int_equal(f->log[i].psn, (f->log[0].psn + i) & 0xffffff);
		assert_true(f->log[i + 1].rec.seq > seq);
		seq = f->log[i + 1].rec.seq;
		assert_int_equal(f->log[i + 1].rec.echo, partner_nonce);
		assert_int_equal(f->log[i + 1].rec.dir_crc, 0);
	}
	close_fixture(f);
}

static void
beat__directory_only_while_due(void **state)
{
	struct fixture *f = open_fixture(0);
	struct ccm_peer *peer = f->b.peer;
	struct ccm_directory dir;
	uint32_t start, n = 0;

	(void)state;
	run(f, 3 * CCM_BENCH_MS);
	for (uint32_t i = 0; i < f->n_log; i++)
		assert_int_not_equal(f->log[i].rkey, PARTNER_RKEY + 2);
	run_to_bound(f);
	settle(f);
	start = f->n_log;
	resume(f);
	run(f, 5 * CCM_BENCH_MS);
	/* Until the partner says that it has it: every beat, and right before the record. */
	assert_true(f->n_log >= start + 3 * 4);
	for (uint32_t i = start; i + 2 < f->n_log; i += 3, n++) {
		expect_read(&f->log[i]);
		expect_directory(f, &f->log[i + 1]);
		expect_record(&f->log[i + 2]);
		assert_int_equal(f->log[i + 2].rec.dir_crc, peer->session.dir_crc);
		assert_int_equal(f->log[i + 2].rec.echo, partner_nonce);
	}
	assert_int_equal(ccm_directory_decode(f->dir, sizeof(f->dir), &dir), CCM_DIRECTORY_OK);
	assert_int_equal(dir.crc, peer->session.dir_crc);
	assert_int_equal(dir.nonce, peer->session.nonce);
	assert_int_equal(dir.echo, partner_nonce);
	assert_int_equal(dir.n_clients, 1);
	assert_string_equal(dir.clients[0].name, "client00");
	assert_int_equal(dir.n_ports, 0);
	f->says.dir_seen = peer->session.dir_crc;
	run(f, 2 * CCM_BENCH_MS);
	settle(f);
	start = f->n_log;
	resume(f);
	run(f, 5 * CCM_BENCH_MS);
	assert_true(f->n_log >= start + 2 * 4);
	for (uint32_t i = start; i + 1 < f->n_log; i += 2) {
		expect_read(&f->log[i]);
		expect_record(&f->log[i + 1]);
	}
	close_fixture(f);
}

static void
encode_directory__not_while_unbound(void **state)
{
	struct fixture *f = open_fixture(0);

	(void)state;
	f->b.peer->dir_len = 77;
	ccm__encode_directory(f->b.ccm, f->b.peer);
	assert_int_equal(f->b.peer->dir_len, 77);
	assert_int_equal(f->b.peer->session.dir_crc, 0);
	close_fixture(f);
}

static void
publish__a_new_record_each_time(void **state)
{
	struct fixture *f = open_fixture(0);
	struct ccm_record rec;

	(void)state;
	for (uint64_t seq = 1; seq <= 3; seq++) {
		f->b.peer->dirty = false;
		ccm__publish(f->b.peer);
		assert_int_equal(ccm_record_decode(f->b.peer->out, &rec), CCM_RECORD_OK);
		assert_int_equal(rec.seq, seq);
		assert_true(f->b.peer->dirty);
	}
	close_fixture(f);
}

static void
broken__nothing_is_posted_until_all_is_flushed(void **state)
{
	static const uint64_t script[] = {0x111222333};
	struct fixture *f = open_fixture(0);
	struct ccm_peer *peer = f->b.peer;
	uint32_t n;

	(void)state;
	run(f, CCM_BENCH_MS);
	settle(f);
	n = f->n_log;
	peer->read_wanted = true;
	peer->writes[CCM_WRITE_BEAT].wanted = peer->writes[CCM_WRITE_NOTIFY].wanted = true;
	peer->qp_state = CCM_QP_BROKEN;
	peer->qp_pending = 1; /* one more to be flushed */
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(f->b.channels[0]->in_flight, 0);
	assert_int_equal(peer->qp_state, CCM_QP_BROKEN);
	peer->qp_pending = 0;
	/* The new PSN sequence waits for a place in the channel too. */
	occupy(f, 256);
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(peer->qp_state, CCM_QP_BROKEN);
	f->b.channels[0]->in_flight -= 1; /* one is free */
	f->b.script = script;
	f->b.n_script = 1;
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(peer->qp_state, CCM_QP_RECONNECTING);
	assert_int_equal(f->b.channels[0]->in_flight, 256);
	assert_int_equal(peer->qp_pending, 1);
	f->b.channels[0]->in_flight += 1;
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(peer->qp_pending, 1);
	assert_true(peer->read_wanted && peer->writes[CCM_WRITE_BEAT].wanted &&
		peer->writes[CCM_WRITE_NOTIFY].wanted);
	settle(f);
	/* What was wanted goes out; first the READ, from which the partner takes the PSN over. */
	assert_int_equal(f->n_log, n + 3);
	expect_read(&f->log[n]);
	expect_record(&f->log[n + 1]);
	expect_record(&f->log[n + 2]);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(f->log[n + i].psn, 0x222333 + i);
	assert_int_equal(remu_engine_stats(f->b.partner)->duplicates, 0);
	close_fixture(f);
}

/*
 * A WRITE with a PSN that the partner has not taken over would be refused, or acknowledged as a
 * duplicate and not executed.
 */
static void
broken__writes_wait_for_a_read(void **state)
{
	static const uint64_t scripts[] = {1, 0x7fffff, 0x800000, 0xfffffe};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(scripts); i++) {
		struct fixture *f = open_fixture(0);
		struct ccm_peer *peer = f->b.peer;
		uint64_t failed;
		uint32_t n;

		run(f, CCM_BENCH_MS);
		settle(f);
		peer->writes[CCM_WRITE_NOTIFY].wanted = true;
		peer->qp_state = CCM_QP_BROKEN;
		f->b.script = &scripts[i];
		f->b.n_script = 1;
		for (int t = 0; t < 100; t++)
			turn(f);
		assert_int_equal(peer->qp_state, CCM_QP_READY);
		assert_true(peer->writes[CCM_WRITE_NOTIFY].wanted);
		n = f->n_log;
		failed = peer->session.n_reads_failed;
		memset(f->slot, 0, sizeof(f->slot));
		resume(f);
		for (int t = 0; t < 3; t++)
			turn(f);
		settle(f);
		expect_read(&f->log[n]);
		assert_int_equal(f->log[n].psn, scripts[i]);
		for (uint32_t m = n + 1; m < f->n_log; m++)
			expect_record(&f->log[m]);
		assert_int_equal(f->n_log, n + 3); /* of the beat and beside it */
		assert_memory_not_equal(f->slot, (uint8_t[8]){0}, 8);
		assert_int_equal(peer->session.n_reads_failed, failed);
		assert_int_equal(remu_engine_stats(f->b.partner)->duplicates, 0);
		close_fixture(f);
	}
}

static void
broken__beat_that_waits_has_failed(void **state)
{
	struct fixture *f = open_fixture(8);
	struct ccm_peer *peer = f->b.peer;
	uint64_t beats;

	(void)state;
	run(f, CCM_BENCH_MS);
	settle(f);
	beats = peer->session.n_beats;
	partner_revokes(f, 1);
	/* A WRITE beside the beat takes the last place in the channel, and fails. */
	occupy(f, 7);
	peer->writes[CCM_WRITE_NOTIFY].wanted = true;
	ccm__pump(f->b.ccm, peer);
	peer->session.io = CCM_IO_WRITING;
	peer->writes[CCM_WRITE_BEAT].wanted = true;
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(peer->qp_pending, 1);
	for (int i = 0; i < 2; i++)
		ccm_bench_engines(&f->b);
	assert_int_equal(peer->session.io, CCM_IO_WRITING);
	partner_region(f, 1);
	settle(f);
	assert_int_equal(peer->session.n_writes_failed, 1);
	assert_int_equal(peer->session.n_beats, beats);
	assert_false(peer->writes[CCM_WRITE_BEAT].wanted);
	/* It goes on with a READ. */
	resume(f);
	run(f, 20 * CCM_BENCH_MS);
	assert_true(peer->session.n_beats > beats + 5);
	close_fixture(f);
}

static void
broken__after_a_refused_read(void **state)
{
	struct fixture *f = open_fixture(0);
	struct ccm_peer *peer = f->b.peer;
	uint64_t failed, beats;
	uint32_t n, first;

	(void)state;
	run(f, CCM_BENCH_MS);
	settle(f);
	partner_revokes(f, 0);
	n = f->n_log;
	first = (f->log[n - 1].psn + 1) & 0xffffff;
	failed = peer->session.n_reads_failed;
	beats = peer->session.n_beats;
	resume(f);
	while (peer->session.n_reads_failed == failed)
		turn(f);
	assert_int_equal(peer->session.reason, CCM_REASON_ACCESS);
	assert_int_equal(f->log[n].psn, first);
	expect_read(&f->log[n]);
	/* No WRITE follows a READ that has failed; the next READ does not go on in its sequence. */
	run(f, 20 * CCM_BENCH_MS);
	assert_true(f->n_log > n + 3);
	for (uint32_t i = n + 1; i < f->n_log; i++) {
		expect_read(&f->log[i]);
		assert_int_not_equal(f->log[i].psn, (f->log[i - 1].psn + 1) & 0xffffff);
	}
	/* The partner takes the new sequence over. */
	partner_region(f, 0);
	run(f, 200 * CCM_BENCH_MS);
	assert_true(peer->session.n_beats > beats + 50);
	assert_int_equal(peer->session.reason, CCM_REASON_WAITING);
	close_fixture(f);
}

static void
broken__after_a_refused_write(void **state)
{
	struct fixture *f = open_fixture(0);
	struct ccm_peer *peer = f->b.peer;
	uint64_t beats;

	(void)state;
	run(f, CCM_BENCH_MS);
	partner_revokes(f, 1);
	run(f, 10 * CCM_BENCH_MS);
	assert_true(peer->session.n_writes_failed > 0);
	assert_int_equal(peer->session.n_reads_failed, 0);
	partner_region(f, 1);
	beats = peer->session.n_beats;
	run(f, 200 * CCM_BENCH_MS);
	assert_true(peer->session.n_beats > beats + 50);
	close_fixture(f);
}

static void
broken__silence_is_asked_again_with_the_same_psn(void **state)
{
	struct fixture *f = open_fixture(0);
	struct ccm_peer *peer = f->b.peer;
	uint32_t n;

	(void)state;
	run(f, CCM_BENCH_MS);
	settle(f);
	n = f->n_log;
	f->lose = 4;
	resume(f);
	while (f->n_log < n + 6)
		turn(f);
	/* Asked once and repeated three times; then a new sequence. */
	for (uint32_t i = 0; i < 5; i++)
		expect_read(&f->log[n + i]);
	for (uint32_t i = 1; i < 4; i++)
		assert_int_equal(f->log[n + i].psn, f->log[n].psn);
	assert_int_not_equal(f->log[n + 4].psn, f->log[n].psn);
	expect_record(&f->log[n + 5]);
	assert_int_equal(peer->session.n_reads_failed, 1);
	close_fixture(f);
}

/* For partners whose responder does not follow our PSNs by itself. */
static void
record__tells_where_each_sequence_begins(void **state)
{
	struct fixture *f = open_fixture(0);
	struct ccm_peer *peer = f->b.peer;
	struct ccm_record rec;

	(void)state;
	for (uint32_t i = 1; i <= 3; i++) {
		uint32_t first = f->n_log;

		if (i == 1)
			run_to_ready(f);
		while (f->n_log == first)
			turn(f);
		settle(f);
		assert_int_equal(ccm_record_decode(peer->out, &rec), CCM_RECORD_OK);
		assert_int_equal(rec.sequences, i);
		assert_int_equal(rec.start_psn, f->log[first].psn);
		f->lose = 4; /* one request and its repetitions */
		resume(f);
		while (f->lose != 0)
			turn(f);
		while (peer->session.sequences == i)
			turn(f);
		/* It is told before the first request goes out. */
		assert_int_equal(ccm_record_decode(peer->out, &rec), CCM_RECORD_OK);
		assert_int_equal(rec.sequences, i + 1);
		assert_int_not_equal(f->log[f->n_log - 1].psn, rec.start_psn);
	}
	close_fixture(f);
}

static void
beat__keys_of_the_partners_choice(void **state)
{
	struct fixture *f = open_fixture(0);

	(void)state;
	f->b.peer->cfg.slot_rkey = 0xaaaa;
	f->b.peer->cfg.directory_rkey = 0xbbbb;
	f->says.phase = CCM_BOUND;
	f->says.echo = f->b.peer->session.nonce;
	while (f->n_log < 40)
		turn(f);
	for (uint32_t i = 0; i < f->n_log; i++) {
		uint64_t at = f->log[i].va - partner_va;

		assert_int_equal(f->log[i].rkey,
			at == CCM_OUT_OFFSET		? PARTNER_RKEY
				: at == CCM_SLOT_OFFSET ? 0xaaaa
							: 0xbbbb);
	}
	close_fixture(f);
}

static void
broken__our_record_can_be_read_all_the_time(void **state)
{
	struct fixture *f = open_fixture(0);
	uint8_t image[CCM_RECORD_SIZE];
	struct ccm_record rec;
	uint64_t seq = 0;

	(void)state;
	run(f, CCM_BENCH_MS);
	for (uint32_t i = 0; i < 50; i++) {
		struct remu_wr wr = {
			.addr = image,
			.remote_va = CCM_BENCH_VA,
			.length = sizeof(image),
			.rkey = CCM_BENCH_RKEY,
			.opcode = REMU_WR_RDMA_READ,
		};
		struct remu_wc wc;

		f->lose = 1000; /* we get no answer at all, but are asked */
		assert_int_equal(remu_qp_post(f->b.partner, f->qp, &wr, f->b.now), 0);
		run(f, 100 * 1000);
		assert_int_equal(remu_engine_poll_wc(f->b.partner, &wc, 1), 1);
		assert_int_equal(wc.status, REMU_WC_SUCCESS);
		assert_int_equal(ccm_record_decode(image, &rec), CCM_RECORD_OK);
		assert_true(rec.seq >= seq);
		seq = rec.seq;
	}
	assert_true(f->b.peer->session.n_reads_failed > 0);
	close_fixture(f);
}

static void
notify__beside_a_beat(void **state)
{
	struct fixture *f = open_fixture(0);
	struct ccm_peer *peer = f->b.peer;
	struct ccm_write *beat = &peer->writes[CCM_WRITE_BEAT];
	struct ccm_write *notify = &peer->writes[CCM_WRITE_NOTIFY];
	uint64_t beats;
	uint32_t n;

	(void)state;
	run(f, CCM_BENCH_MS);
	settle(f);
	n = f->n_log;
	beats = peer->session.n_beats;
	/* Both at once, from buffers of their own. */
	peer->session.io = CCM_IO_WRITING;
	beat->wanted = notify->wanted = true;
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(f->b.channels[0]->in_flight, 2);
	assert_int_equal(beat->pending, 1);
	assert_int_equal(notify->pending, 1);
	/* More news while the first is under way: waits for its buffer. */
	notify->wanted = true;
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(f->b.channels[0]->in_flight, 2);
	settle(f);
	assert_int_equal(f->n_log, n + 3);
	for (uint32_t i = 0; i < 3; i++) {
		expect_record(&f->log[n + i]);
		if (i > 0)
			assert_true(f->log[n + i].rec.seq > f->log[n + i - 1].rec.seq);
	}
	assert_int_equal(peer->session.n_beats, beats + 1);
	close_fixture(f);
}

static void
notify__does_not_end_the_beat(void **state)
{
	struct fixture *f = open_fixture(0);
	struct ccm_peer *peer = f->b.peer;
	uint64_t beats;

	(void)state;
	run(f, CCM_BENCH_MS);
	settle(f);
	beats = peer->session.n_beats;
	peer->session.io = CCM_IO_WRITING; /* its WRITE is still to come */
	peer->writes[CCM_WRITE_NOTIFY].wanted = true;
	run(f, CCM_BENCH_MS);
	assert_int_equal(peer->qp_pending, 0);
	assert_int_equal(peer->session.io, CCM_IO_WRITING);
	assert_int_equal(peer->session.n_beats, beats);
	/* Nor does its failure. */
	partner_revokes(f, 1);
	peer->writes[CCM_WRITE_NOTIFY].wanted = true;
	run(f, CCM_BENCH_MS);
	assert_int_equal(peer->session.io, CCM_IO_WRITING);
	assert_int_equal(peer->session.n_writes_failed, 0);
	partner_region(f, 1);
	peer->writes[CCM_WRITE_BEAT].wanted = true;
	peer->read_wanted = true; /* the partner takes the new PSN sequence over */
	run(f, CCM_BENCH_MS);
	assert_true(peer->session.n_beats + peer->session.n_writes_failed > beats);
	close_fixture(f);
}

/* Bound with the directory due, nothing under way; the session waits for its WRITE. */
static struct fixture *
ready_to_write(void)
{
	struct fixture *f = open_fixture(8);

	run_to_bound(f);
	settle(f);
	assert_true(ccm_session_directory_due(&f->b.peer->session));
	f->b.peer->session.io = CCM_IO_WRITING;
	f->b.peer->writes[CCM_WRITE_BEAT].wanted = true;
	memset(f->dir, 0, sizeof(f->dir));
	memset(f->slot, 0, sizeof(f->slot));
	return f;
}

static void
write__channel_full_between_directory_and_record(void **state)
{
	struct fixture *f = ready_to_write();
	struct ccm_peer *peer = f->b.peer;
	uint64_t beats = peer->session.n_beats;
	uint32_t n = f->n_log;
	struct ccm_directory dir;
	struct ccm_record rec;

	(void)state;
	occupy(f, 7);
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(peer->writes[CCM_WRITE_BEAT].pending, 1);
	assert_true(peer->writes[CCM_WRITE_BEAT].wanted);
	/* The directory alone arrives: the WRITE is not over. */
	ccm_bench_engines(&f->b);
	ccm_bench_engines(&f->b);
	assert_int_equal(f->n_log, n + 1);
	expect_directory(f, &f->log[n]);
	assert_int_equal(ccm_record_decode(f->slot, &rec), CCM_RECORD_EMPTY);
	ccm_poll(f->b.ccm, f->b.now);
	assert_int_equal(peer->session.io, CCM_IO_WRITING);
	assert_int_equal(peer->session.n_beats, beats);
	settle(f);
	assert_int_equal(peer->session.n_beats, beats + 1);
	assert_int_equal(f->n_log, n + 3);
	expect_directory(f, &f->log[n + 1]);
	expect_record(&f->log[n + 2]);
	assert_int_equal(ccm_directory_decode(f->dir, sizeof(f->dir), &dir), CCM_DIRECTORY_OK);
	assert_int_equal(ccm_record_decode(f->slot, &rec), CCM_RECORD_OK);
	assert_int_equal(rec.dir_crc, dir.crc);
	close_fixture(f);
}

static void
write__half_of_it_fails(void **state)
{
	struct fixture *f = ready_to_write();
	struct ccm_peer *peer = f->b.peer;
	uint64_t beats = peer->session.n_beats;

	(void)state;
	partner_revokes(f, 2);
	occupy(f, 7);
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(peer->writes[CCM_WRITE_BEAT].pending, 1);
	settle(f);
	/* Told once; the record that was still to come is not sent any more. */
	assert_int_equal(peer->session.n_writes_failed, 1);
	assert_int_equal(peer->session.n_beats, beats);
	assert_false(peer->writes[CCM_WRITE_BEAT].wanted);
	assert_int_equal(peer->writes[CCM_WRITE_BEAT].pending, 0);
	assert_true(peer->writes[CCM_WRITE_BEAT].access);
	assert_int_equal(f->slot[0], 0);
	close_fixture(f);
}

static void
write__channel_full_before_it(void **state)
{
	struct fixture *f = ready_to_write();
	struct ccm_peer *peer = f->b.peer;
	uint32_t n = f->n_log;

	(void)state;
	peer->read_wanted = true;
	occupy(f, 8);
	ccm__pump(f->b.ccm, peer);
	assert_int_equal(peer->qp_pending, 0);
	assert_true(peer->read_wanted && peer->writes[CCM_WRITE_BEAT].wanted);
	settle(f);
	assert_int_equal(f->n_log, n + 3);
	expect_directory(f, &f->log[n]);
	expect_record(&f->log[n + 1]);
	expect_read(&f->log[n + 2]);
	close_fixture(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open__record_stands_before_the_queue_pair),
		cmocka_unit_test(open__regions_and_queue_pair),
		cmocka_unit_test(open__full_channel_goes_on_later),
		cmocka_unit_test(open__queue_pair_number_taken),
		cmocka_unit_test(beat__read_then_record),
		cmocka_unit_test(beat__directory_only_while_due),
		cmocka_unit_test(encode_directory__not_while_unbound),
		cmocka_unit_test(publish__a_new_record_each_time),
		cmocka_unit_test(broken__nothing_is_posted_until_all_is_flushed),
		cmocka_unit_test(broken__writes_wait_for_a_read),
		cmocka_unit_test(broken__beat_that_waits_has_failed),
		cmocka_unit_test(broken__after_a_refused_read),
		cmocka_unit_test(broken__after_a_refused_write),
		cmocka_unit_test(broken__silence_is_asked_again_with_the_same_psn),
		cmocka_unit_test(broken__our_record_can_be_read_all_the_time),
		cmocka_unit_test(record__tells_where_each_sequence_begins),
		cmocka_unit_test(beat__keys_of_the_partners_choice),
		cmocka_unit_test(notify__beside_a_beat),
		cmocka_unit_test(notify__does_not_end_the_beat),
		cmocka_unit_test(write__channel_full_between_directory_and_record),
		cmocka_unit_test(write__half_of_it_fails),
		cmocka_unit_test(write__channel_full_before_it),
	};

	return cmocka_run_group_tests_name("ccm_bootstrap", tests, eal_setup, eal_teardown);
}
