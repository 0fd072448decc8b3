/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each allocation and each pool exhausted once: nothing crashes, nothing leaks, nobody else is
 * blamed, and with room again the work goes on.
 */
#include "eal.h"
#include "frame_maker.h"
#include "wire.h"

#include <remu_priv.h>

#include <errno.h>
#include <rte_malloc.h>

enum {
	POOL = 64,
	MTU = 256,
	OPS = 3,
	LEN = 5 * MTU + 5, /* two READ requests */
	TIMEOUT_NS = WIRE_TIMEOUT_US * 1000,
	TIMEOUTS = 10, /* that pass while there are no mbufs */
	TURNS = 2000,
	RKEY = 0x55,
	VA = 0x10000,
	QPS = 8,
	MRS = 8,
	DEPTH = 8, /* of a channel */
	CLIENT_QPS = 15,
	BATCH = 16,
	OTHER_QPN = 50,
	NO_KEY = 99,
};

static const uint64_t found_first = 0x1122334455667788;

/* The heap of DPDK: calls [from, to) fail. */
static struct {
	uint32_t calls;
	uint32_t from, to;
	int64_t live;
} heap;

void *__real_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket);
void *__real_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket);
void __real_rte_free(void *p);
void *__wrap_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket);
void *__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket);
void __wrap_rte_free(void *p);

static bool
heap_empty(void)
{
	uint32_t call = heap.calls++;

	return call >= heap.from && call < heap.to;
}

static void *
count_live(void *p)
{
	heap.live += p != NULL;
	return p;
}

void *
__wrap_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	return heap_empty() ? NULL
			    : count_live(__real_rte_malloc_socket(type, size, align, socket));
}

void *
__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	return heap_empty() ? NULL
			    : count_live(__real_rte_zmalloc_socket(type, size, align, socket));
}

void
__wrap_rte_free(void *p)
{
	heap.live -= p != NULL;
	__real_rte_free(p);
}

/* From now on the calls [from, to) fail. */
static void
heap_fails(uint32_t from, uint32_t to)
{
	heap.calls = 0;
	heap.from = from;
	heap.to = to;
}

/* What can be made, and an engine for what lives in one. */
struct rig {
	struct rte_mempool *pool;
	struct remu_engine *e;
	struct remu_engine *made;
	struct remu_cq *cq;
	struct remu_channel *ch;
	struct remu_table table;
	struct remu_timers timers;
};

static struct remu_engine_config
engine_config(struct rte_mempool *pool)
{
	return (struct remu_engine_config){
		.pool = pool,
		.gid = roce_gid_ipv4(1),
		.n_engines = 1,
		.max_qps = 3,
		.max_mrs = 5,
		.sq_depth = 4,
		.rq_depth = 4,
		.window = 16,
		.socket_id = -1,
	};
}

static int
make_engine(struct rig *r, const void **out)
{
	struct remu_engine_config cfg = engine_config(r->pool);
	int rc = remu_engine_create(&cfg, &r->made);

	*out = r->made;
	return rc;
}

static void
unmake_engine(struct rig *r)
{
	remu_engine_destroy(r->made);
}

static int
make_cq(struct rig *r, const void **out)
{
	int rc = remu_cq_create(r->e, 3, &r->cq);

	*out = r->cq;
	return rc;
}

static void
unmake_cq(struct rig *r)
{
	assert_int_equal(remu_cq_destroy(r->e, r->cq), 0);
}

/* Goes with its engine; of those that could not be made nothing is left that takes a place. */
static int
make_channel(struct rig *r, const void **out)
{
	int rc = remu_channel_create(r->e, 8, &r->ch);

	*out = r->ch;
	assert_int_equal(r->e->n_channels, rc == 0);
	return rc;
}

static int
make_table(struct rig *r, const void **out)
{
	int rc = remu_table_init(&r->table, 5, -1);

	*out = r->table.slots;
	return rc;
}

static void
unmake_table(struct rig *r)
{
	remu_table_free(&r->table);
}

static int
make_timers(struct rig *r, const void **out)
{
	int rc = remu_timers_init(&r->timers, 5, -1);

	*out = rc == 0 ? r->timers.heap : NULL;
	assert_true(rc == 0 || (r->timers.heap == NULL && r->timers.pos == NULL));
	return rc;
}

static void
unmake_timers(struct rig *r)
{
	remu_timers_free(&r->timers);
}

static const struct maker {
	const char *name;
	int (*make)(struct rig *r, const void **out);
	void (*unmake)(struct rig *r);
} makers[] = {
	{"engine", make_engine, unmake_engine},
	{"completion queue", make_cq, unmake_cq},
	{"channel", make_channel, NULL},
	{"table", make_table, unmake_table},
	{"timers", make_timers, unmake_timers},
};

/*
 * Make something while the allocations [n, to) fail, then make it again.
 * Returns whether the first attempt was one allocation short.
 */
static bool
make_twice(const struct maker *maker, struct rte_mempool *pool, uint32_t n, uint32_t to)
{
	struct remu_engine_config cfg = engine_config(pool);
	struct rig r = {.pool = pool};
	const void *out = &r;
	int64_t before;
	int rc;

	heap_fails(UINT32_MAX, UINT32_MAX);
	assert_int_equal(remu_engine_create(&cfg, &r.e), 0);
	before = heap.live;
	heap_fails(n, to);
	rc = maker->make(&r, &out);
	if ((rc != 0) != (heap.calls > n))
		fail_msg("%s, allocation %u of %u: %d", maker->name, n, heap.calls, rc);
	heap_fails(UINT32_MAX, UINT32_MAX);
	if (rc != 0) {
		if (rc != -ENOMEM || out != NULL || heap.live != before)
			fail_msg("%s, allocation %u: %d, %p, %ld left", maker->name, n, rc, out,
				heap.live - before);
		assert_int_equal(maker->make(&r, &out), 0);
	}
	assert_non_null(out);
	assert_in_range(heap.live, before + 1, INT64_MAX);
	if (maker->unmake != NULL)
		maker->unmake(&r);
	remu_engine_destroy(r.e);
	assert_int_equal(heap.live, 0);
	return rc != 0;
}

static void
create__each_allocation_fails_once(void **state)
{
	struct rte_mempool *pool = eal_pool(POOL);

	(void)state;
	for (size_t i = 0; i < RTE_DIM(makers); i++)
		for (int for_good = 0; for_good < 2; for_good++) {
			uint32_t n = 0;

			while (make_twice(&makers[i], pool, n, for_good ? UINT32_MAX : n + 1))
				n++;
			assert_int_not_equal(n, 0);
		}
	eal_pool_free(pool);
}

/* No heap has that much: some allocations succeed, some do not. */
static void
remu_engine_create__larger_than_memory(void **state)
{
	struct rte_mempool *pool = eal_pool(POOL);
	struct remu_engine_config cfg = engine_config(pool);
	struct remu_engine *e = (struct remu_engine *)&cfg;

	(void)state;
	cfg.max_qps = cfg.max_mrs = 65536;
	cfg.sq_depth = cfg.rq_depth = cfg.window = 4096;
	assert_int_equal(remu_engine_create(&cfg, &e), -ENOMEM);
	assert_null(e);
	assert_int_equal(heap.live, 0);
	eal_pool_free(pool);
}

/* Two engines with a pool each. In a turn each sends one frame at most. */
struct duo {
	struct rte_mempool *pool[2];
	struct remu_engine *e[2];
	struct remu_qp *qp[2];
	uint64_t now;
	uint32_t starved; /* bit by end: whatever comes back to its pool is taken away */
	struct {
		struct rte_mbuf *m[POOL];
		uint32_t n;
	} flight[2], taken[2]; /* on the way to an end; out of its pool */
	uint8_t memory[OPS][LEN];
	uint8_t local[OPS][LEN];
	uint8_t inbox[OPS][LEN];
	uint32_t sent, received; /* completions */
};

static bool
is_atomic(uint8_t opcode)
{
	return opcode == REMU_WR_CMP_SWAP || opcode == REMU_WR_FETCH_ADD;
}

static bool
is_received(uint8_t opcode)
{
	return opcode == REMU_WR_SEND || opcode == REMU_WR_SEND_IMM ||
		opcode == REMU_WR_RDMA_WRITE_IMM;
}

static struct duo *
duo_open(uint8_t retry_cnt)
{
	static const struct wire_config usual = {
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
			REMU_ACCESS_REMOTE_ATOMIC,
		.mtu = MTU,
		.window = 8,
		.sq_depth = 4,
		.rq_depth = 4,
		.max_rd = 2,
		.sq_psn = 0xfffffa,
	};
	static struct duo d;
	struct wire_config cfg = usual;
	struct remu_mr_config mr = {
		.addr = d.memory,
		.va = VA,
		.length = sizeof(d.memory),
		.rkey = RKEY,
		.pd = WIRE_PD,
		.access = usual.access,
	};
	uint64_t seed = 1;

	memset(&d, 0, sizeof(d));
	cfg.retry_cnt = retry_cnt;
	for (int end = 0; end < 2; end++) {
		struct remu_qp_attr attr = wire_attr(&cfg, end);

		d.pool[end] = eal_pool(POOL);
		d.e[end] = wire_engine(&cfg, end, d.pool[end]);
		d.qp[end] = wire_qp(d.e[end], &cfg, end == 0 ? WIRE_QPN : WIRE_PEER_QPN, &attr);
	}
	prng_fill(&seed, d.memory, sizeof(d.memory));
	memcpy(d.memory, &found_first, sizeof(found_first));
	assert_int_equal(remu_mr_register(d.e[1], &mr), 0);
	return &d;
}

static void
duo_close(struct duo *d)
{
	for (int end = 0; end < 2; end++) {
		rte_pktmbuf_free_bulk(d->flight[end].m, d->flight[end].n);
		rte_pktmbuf_free_bulk(d->taken[end].m, d->taken[end].n);
	}
	for (int end = 0; end < 2; end++)
		remu_engine_destroy(d->e[end]);
	for (int end = 0; end < 2; end++)
		eal_pool_free(d->pool[end]);
}

static void
duo_post(struct duo *d, uint8_t opcode)
{
	uint64_t seed = 2;

	prng_fill(&seed, d->local, sizeof(d->local));
	for (uint32_t i = 0; i < OPS; i++) {
		struct remu_wr wr = {
			.wr_id = i,
			.addr = d->local[i],
			/* Atomics all count up the same word: each must be carried out once. */
			.remote_va = VA + (is_atomic(opcode) ? 0 : i * LEN),
			.length = is_atomic(opcode) ? 8 : LEN,
			.rkey = RKEY,
			.opcode = opcode,
			.imm = i,
			.swap_add = opcode == REMU_WR_FETCH_ADD ? 1 : found_first + i + 1,
			.compare = found_first + i,
		};
		struct remu_recv_wr recv = {.wr_id = i, .addr = d->inbox[i], .length = LEN};

		if (is_received(opcode))
			assert_int_equal(remu_qp_post_recv(d->e[1], d->qp[1], &recv), 0);
		assert_int_equal(remu_qp_post(d->e[0], d->qp[0], &wr, d->now), 0);
	}
}

static void
take_all(struct duo *d, int end)
{
	struct rte_mbuf *m;

	while ((m = rte_pktmbuf_alloc(d->pool[end])) != NULL)
		d->taken[end].m[d->taken[end].n++] = m;
}

static void
turn(struct duo *d)
{
	struct remu_wc wc;

	for (int end = 0; end < 2; end++) {
		if (d->flight[end].n == 0)
			continue;
		remu_engine_rx(d->e[end], d->flight[end].m, 1, d->now);
		d->flight[end].n--;
		memmove(d->flight[end].m, d->flight[end].m + 1,
			d->flight[end].n * sizeof(d->flight[end].m[0]));
	}
	for (int end = 0; end < 2; end++) {
		if (d->starved >> end & 1)
			take_all(d, end);
		remu_engine_poll(d->e[end], d->now);
		d->flight[!end].n += remu_engine_tx(d->e[end],
			d->flight[!end].m + d->flight[!end].n, 1, d->now);
	}
	d->now += 1000;
	while (remu_engine_poll_wc(d->e[0], &wc, 1) != 0) {
		assert_int_equal(wc.kind, REMU_WC_WORK);
		assert_int_equal(wc.status, REMU_WC_SUCCESS);
		assert_int_equal(wc.wr_id, d->sent++);
	}
	while (remu_engine_poll_wc(d->e[1], &wc, 1) != 0) {
		assert_int_equal(wc.kind, REMU_WC_RECV);
		assert_int_equal(wc.status, REMU_WC_SUCCESS);
		assert_int_equal(wc.wr_id, d->received++);
	}
}

/* The ends of the mask without mbufs for many timeouts. */
static void
starve(struct duo *d, uint32_t mask)
{
	uint64_t missed[2];

	for (int end = 0; end < 2; end++)
		missed[end] = remu_engine_stats(d->e[end])->tx_no_mbuf;
	d->starved = mask;
	for (int i = 0; i < 4 * TIMEOUTS; i++) {
		turn(d);
		d->now += TIMEOUT_NS / 4;
	}
	for (int end = 0; end < 2; end++) {
		bool hungry = remu_engine_stats(d->e[end])->tx_no_mbuf != missed[end];

		/* Nobody may forget what it could not send. */
		assert_true((mask >> end & 1) || !hungry);
		assert_true(!hungry || remu_engine_has_output(d->e[end]));
		rte_pktmbuf_free_bulk(d->taken[end].m, d->taken[end].n);
		d->taken[end].n = 0;
	}
	d->starved = 0;
}

static void
check_data(const struct duo *d, uint8_t opcode)
{
	uint64_t word;

	for (uint32_t i = 0; i < OPS; i++) {
		if (is_atomic(opcode)) {
			memcpy(&word, d->local[i], sizeof(word));
			assert_int_equal(word, found_first + i);
		} else if (opcode == REMU_WR_SEND || opcode == REMU_WR_SEND_IMM) {
			assert_memory_equal(d->inbox[i], d->local[i], LEN);
		} else {
			assert_memory_equal(d->memory[i], d->local[i], LEN);
		}
	}
	if (!is_atomic(opcode))
		return;
	memcpy(&word, d->memory, sizeof(word));
	assert_int_equal(word, found_first + OPS);
}

/* How often the ends of the mask did without, by end. */
struct hunger {
	uint64_t missed[2];
};

/*
 * Three operations; before turn `at` the mbufs run out.
 * Returns whether it came to that.
 */
static bool
transfer(uint8_t opcode, uint32_t mask, uint32_t at, uint8_t retry_cnt, struct hunger *hunger)
{
	struct duo *d = duo_open(retry_cnt);
	uint32_t expected = is_received(opcode) ? OPS : 0, turns;
	const struct remu_stats *stats = remu_engine_stats(d->e[0]);
	const struct remu_stats *peer = remu_engine_stats(d->e[1]);

	duo_post(d, opcode);
	for (turns = 0; d->sent < OPS || d->received < expected; turns++) {
		if (turns == at)
			starve(d, mask);
		turn(d);
		if (turns == TURNS)
			fail_msg("opcode %u, ends %x, turn %u: stands still", opcode, mask, at);
	}
	check_data(d, opcode);
	assert_int_equal(d->received, expected);
	assert_int_equal(stats->wc_success, OPS);
	assert_int_equal(stats->wc_error, 0);
	assert_int_equal(peer->writes_executed + peer->reads_executed + peer->sends_executed +
			peer->atomics_executed,
		opcode == REMU_WR_RDMA_READ ? 2 * OPS : OPS);
	assert_int_equal(d->qp[0]->req.retries_left, retry_cnt);
	/* As long as the peer answers, there is no reason to lose patience with it. */
	if (!(mask & 2))
		assert_int_equal(stats->timeouts, 0);
	for (int end = 0; end < 2; end++)
		hunger->missed[end] += remu_engine_stats(d->e[end])->tx_no_mbuf;
	duo_close(d);
	return turns > at;
}

/* The requester cannot send, with a peer that would answer: not one retry is used up. */
static void
pool__requester_starves_at_each_step(void **state)
{
	(void)state;
	for (uint8_t opcode = 0; opcode < REMU_WR_COUNT; opcode++) {
		struct hunger hunger = {0};

		for (uint32_t at = 0; transfer(opcode, 1, at, 0, &hunger); at++)
			;
		assert_int_not_equal(hunger.missed[0], 0);
	}
}

/* The responder cannot answer: the requester repeats, nothing is carried out twice. */
static void
pool__responder_starves_at_each_step(void **state)
{
	(void)state;
	for (uint8_t opcode = 0; opcode < REMU_WR_COUNT; opcode++) {
		struct hunger hunger = {0};

		for (uint32_t at = 0; transfer(opcode, 2, at, TIMEOUTS + 1, &hunger); at++)
			;
		assert_int_not_equal(hunger.missed[1], 0);
	}
}

/* Neither can: the requester gets impatient once, and cannot even repeat. */
static void
pool__both_starve_at_each_step(void **state)
{
	(void)state;
	for (uint8_t opcode = 0; opcode < REMU_WR_COUNT; opcode++) {
		struct hunger hunger = {0};

		for (uint32_t at = 0; transfer(opcode, 3, at, 1, &hunger); at++)
			;
		assert_int_not_equal(hunger.missed[0], 0);
		assert_int_not_equal(hunger.missed[1], 0);
	}
}

/* An engine that is destroyed in the middle of it all gives everything back; duo_close() checks. */
static void
pool__destroyed_while_it_starves(void **state)
{
	(void)state;
	for (uint8_t opcode = 0; opcode < REMU_WR_COUNT; opcode++)
		for (uint32_t at = 0; at < 12; at++) {
			struct duo *d = duo_open(1);

			duo_post(d, opcode);
			for (uint32_t i = 0; i < at; i++)
				turn(d);
			d->starved = 3;
			turn(d);
			duo_close(d);
		}
}

/* A bench with a region for everything and receive queue. */
static void
open_target(struct bench *b, const struct wire_config *cfg, uint8_t *memory)
{
	struct wire_config own = *cfg;
	struct remu_mr_config mr = {
		.addr = memory,
		.va = VA,
		.length = LEN,
		.rkey = RKEY,
		.pd = WIRE_PD,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
			REMU_ACCESS_REMOTE_ATOMIC,
	};

	own.access = mr.access;
	own.rq_depth = 4;
	bench_open(b, &own);
	assert_int_equal(remu_mr_register(b->e, &mr), 0);
}

/* What the peer may ask for with one small packet. */
static struct roce_fields
ask(uint8_t opcode, uint32_t psn)
{
	return (struct roce_fields){
		.opcode = opcode,
		.psn = psn,
		.ackreq = true,
		.va = VA,
		.rkey = RKEY,
		.dma_len = 8,
		.swap_add = 1,
	};
}

static uint32_t
payload_of(uint8_t opcode)
{
	return opcode == ROCE_WRITE_ONLY || opcode == ROCE_SEND_ONLY ? 8 : 0;
}

static enum remu_drop
inject(struct bench *b, uint8_t opcode, uint32_t psn)
{
	struct roce_fields f = ask(opcode, psn);

	return bench_inject(b, &f, "payload", payload_of(opcode));
}

static void
expect_answer(struct bench *b, uint8_t opcode, uint32_t psn, uint8_t syndrome)
{
	const struct frame *got = bench_tx(b);

	if (got == NULL || got->pkt.f.opcode != opcode || got->pkt.f.psn != psn ||
		got->pkt.f.syndrome != syndrome)
		fail_msg("%s: no opcode %02x PSN %u syndrome %02x", b->label, opcode, psn,
			syndrome);
}

/* Every kind of answer waits for an mbuf, and goes out when there is one. */
static void
pool__each_kind_of_answer_waits(void **state)
{
	static const struct {
		const char *name;
		uint8_t request, answer, syndrome;
		uint8_t psn; /* 0 is expected */
		uint8_t ecn;
		uint32_t rkey;
	} cases[] = {
		{"ACK", ROCE_WRITE_ONLY, ROCE_ACKNOWLEDGE, ROCE_SYN_ACK_NO_LIMIT},
		{"READ", ROCE_READ_REQUEST, ROCE_READ_RESPONSE_ONLY, ROCE_SYN_ACK_NO_LIMIT},
		{"atomic", ROCE_FETCH_ADD, ROCE_ATOMIC_ACKNOWLEDGE, ROCE_SYN_ACK_NO_LIMIT},
		{"RNR NAK", ROCE_SEND_ONLY, ROCE_ACKNOWLEDGE, ROCE_SYN_RNR | 1},
		{"sequence NAK", ROCE_WRITE_ONLY, ROCE_ACKNOWLEDGE, ROCE_NAK_PSN_SEQUENCE, 1},
		{"fatal NAK", ROCE_WRITE_ONLY, ROCE_ACKNOWLEDGE, ROCE_NAK_REMOTE_ACCESS, 0, 0,
			NO_KEY},
		{"CNP", ROCE_WRITE_ONLY, ROCE_CNP, 0, 0, ROCE_ECN_CE},
	};
	static uint8_t memory[LEN];
	struct rte_mbuf *held[POOL];
	struct bench b;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct roce_fields f = ask(cases[i].request, cases[i].psn);

		open_target(&b, &(struct wire_config){.pool = POOL, .traffic_class = cases[i].ecn},
			memory);
		snprintf(b.label, sizeof(b.label), "%s", cases[i].name);
		if (cases[i].rkey != 0)
			f.rkey = cases[i].rkey;
		bench_inject(&b, &f, "payload", payload_of(f.opcode));
		for (uint32_t n = 0; n < POOL; n++)
			held[n] = rte_pktmbuf_alloc(b.pool);
		for (uint64_t times = 1; times <= 3; times++) {
			bench_expect_silence(&b);
			assert_int_equal(remu_engine_stats(b.e)->tx_no_mbuf, times);
			assert_true(remu_engine_has_output(b.e));
			b.now += TIMEOUT_NS;
		}
		for (uint32_t n = 0; n < POOL; n++)
			rte_pktmbuf_free(held[n]);
		expect_answer(&b, cases[i].answer, 0, cases[i].syndrome);
		if (cases[i].answer == ROCE_CNP)
			expect_answer(&b, ROCE_ACKNOWLEDGE, 0, ROCE_SYN_ACK_NO_LIMIT);
		bench_expect_silence(&b);
		assert_false(remu_engine_has_output(b.e));
		bench_close(&b);
	}
}

/* Frames that wait for a gap to close go back to the pool in any case; bench_close() checks. */
static void
hold__given_back_on_every_exit(void **state)
{
	enum exits { BY_ENGINE, BY_DESTROY, BY_RESET, BY_ERR, BY_PEER, EXITS };
	static uint8_t memory[LEN];
	struct bench b;

	(void)state;
	for (int how = BY_ENGINE; how < EXITS; how++) {
		uint64_t flushed;

		open_target(&b, &(struct wire_config){0}, memory);
		for (uint32_t psn = 9; psn > 1; psn -= 2)
			assert_int_equal(inject(&b, ROCE_WRITE_ONLY, psn), REMU_DROP_COUNT);
		assert_int_equal(remu_engine_stats(b.e)->rx_held, 4);
		flushed = remu_engine_stats(b.e)->drops[REMU_DROP_QP_STATE];
		if (how == BY_DESTROY)
			remu_qp_destroy(b.e, b.qp);
		else if (how == BY_RESET || how == BY_ERR)
			assert_int_equal(remu_qp_modify(b.e, b.qp,
						 how == BY_RESET ? REMU_QP_RESET : REMU_QP_ERR,
						 NULL),
				0);
		else if (how == BY_PEER) /* invalid: without a First */
			inject(&b, ROCE_WRITE_LAST, 0);
		assert_int_equal(remu_engine_stats(b.e)->rx_held, how == BY_ENGINE ? 4 : 0);
		assert_int_equal(remu_engine_stats(b.e)->drops[REMU_DROP_QP_STATE] - flushed,
			how == BY_ENGINE ? 0 : 4);
		assert_int_equal(remu_engine_stats(b.e)->writes_executed, 0);
		bench_close(&b);
	}
}

/* What may be held is shared by all queue pairs: beyond it, frames are dropped and come again. */
static void
hold__no_more_than_allowed(void **state)
{
	enum { HOLD = 4 }; /* an eighth of the pool */
	struct wire_config cfg = {.pool = 8 * HOLD};
	static uint8_t memory[LEN];
	struct roce_fields other = ask(ROCE_WRITE_ONLY, 1);
	struct bench b;

	(void)state;
	open_target(&b, &cfg, memory);
	wire_qp(b.e, &cfg, OTHER_QPN, &b.attr);
	other.dest_qpn = OTHER_QPN;
	for (int round = 0; round < 3; round++) {
		uint32_t base = round * (HOLD + 2);

		snprintf(b.label, sizeof(b.label), "round %d", round);
		for (uint32_t k = 1; k <= HOLD; k++)
			assert_int_equal(inject(&b, ROCE_WRITE_ONLY, base + k), REMU_DROP_COUNT);
		assert_int_equal(inject(&b, ROCE_WRITE_ONLY, base + HOLD + 1), REMU_DROP_PSN_AHEAD);
		assert_int_equal(bench_inject(&b, &other, "payload", 8), REMU_DROP_PSN_AHEAD);
		assert_int_equal(remu_engine_stats(b.e)->rx_held, HOLD);
		expect_answer(&b, ROCE_ACKNOWLEDGE, base, ROCE_NAK_PSN_SEQUENCE);
		if (round == 0) /* one NAK per gap */
			expect_answer(&b, ROCE_ACKNOWLEDGE, 0, ROCE_NAK_PSN_SEQUENCE);
		assert_int_equal(inject(&b, ROCE_WRITE_ONLY, base), REMU_DROP_NONE);
		assert_int_equal(remu_engine_stats(b.e)->rx_held, 0);
		expect_answer(&b, ROCE_ACKNOWLEDGE, base + HOLD, ROCE_SYN_ACK_NO_LIMIT);
		assert_int_equal(inject(&b, ROCE_WRITE_ONLY, base + HOLD + 1), REMU_DROP_NONE);
		expect_answer(&b, ROCE_ACKNOWLEDGE, base + HOLD + 1, ROCE_SYN_ACK_NO_LIMIT);
		bench_expect_silence(&b);
	}
	assert_int_equal(bench_inject(&b, &other, "payload", 8), REMU_DROP_COUNT);
	bench_close(&b);
}

/* Fill the response queue up to `room` places: each SEND to an empty receive queue takes one. */
static void
fill_answers(struct bench *b, uint32_t psn, uint32_t room)
{
	for (uint32_t i = room; i < REMU_RESP_QUEUE; i++) {
		assert_int_equal(inject(b, ROCE_SEND_ONLY, psn), REMU_DROP_RNR);
		b->now += TIMEOUT_NS; /* within the limits on NAKs */
	}
}

static void
drain_answers(struct bench *b, uint32_t psn, uint32_t n)
{
	while (n-- > 0)
		expect_answer(b, ROCE_ACKNOWLEDGE, psn, ROCE_SYN_RNR | 1);
}

/* A request that finds no room leaves no trace; its repetition is carried out and answered. */
static void
answers__queue_full(void **state)
{
	static const struct {
		uint8_t request, answer;
		uint8_t psn; /* 0: has been carried out before */
	} cases[] = {
		{ROCE_WRITE_ONLY, ROCE_ACKNOWLEDGE, 1},
		{ROCE_READ_REQUEST, ROCE_READ_RESPONSE_ONLY, 1},
		{ROCE_SEND_ONLY, ROCE_ACKNOWLEDGE, 1},
		{ROCE_FETCH_ADD, ROCE_ATOMIC_ACKNOWLEDGE, 1},
		{ROCE_FETCH_ADD, ROCE_ATOMIC_ACKNOWLEDGE, 0},
	};
	static uint8_t memory[LEN];
	uint8_t inbox[8], before[LEN];
	struct bench b;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		const struct remu_stats *stats;
		struct remu_wc wc;

		open_target(&b, &(struct wire_config){0}, memory);
		stats = remu_engine_stats(b.e);
		snprintf(b.label, sizeof(b.label), "case %zu", i);
		assert_int_equal(inject(&b, ROCE_FETCH_ADD, 0), REMU_DROP_NONE);
		expect_answer(&b, ROCE_ATOMIC_ACKNOWLEDGE, 0, ROCE_SYN_ACK_NO_LIMIT);
		fill_answers(&b, 1, 0);
		assert_int_equal(remu_qp_post_recv(b.e, b.qp,
					 &(struct remu_recv_wr){.addr = inbox, .length = 8}),
			0);
		memcpy(before, memory, LEN);
		for (int times = 0; times < 3; times++)
			assert_int_equal(inject(&b, cases[i].request, cases[i].psn),
				REMU_DROP_RESP_BUSY);
		assert_memory_equal(memory, before, LEN);
		assert_int_equal(bench_info(&b).epsn, 1);
		assert_int_equal(bench_info(&b).recv_posted, 1);
		assert_int_equal(stats->writes_executed + stats->reads_executed, 0);
		drain_answers(&b, 1, 1);
		assert_int_equal(inject(&b, cases[i].request, cases[i].psn), REMU_DROP_NONE);
		assert_int_equal(stats->writes_executed + stats->reads_executed +
				stats->sends_executed + stats->atomics_executed,
			1u + cases[i].psn);
		drain_answers(&b, 1, REMU_RESP_QUEUE - 1);
		expect_answer(&b, cases[i].answer, cases[i].psn, ROCE_SYN_ACK_NO_LIMIT);
		bench_expect_silence(&b);
		assert_int_equal(remu_engine_poll_wc(b.e, &wc, 1),
			cases[i].request == ROCE_SEND_ONLY);
		bench_close(&b);
	}
}

/* Requests that were held and find the response queue full go on waiting. */
static void
answers__queue_full_for_held_requests(void **state)
{
	enum { ROOM = 3, HELD = 4 };
	static uint8_t memory[LEN];
	struct bench b;
	uint8_t inbox[8];

	(void)state;
	open_target(&b, &(struct wire_config){0}, memory);
	fill_answers(&b, 0, ROOM);
	for (uint32_t psn = 1; psn <= HELD; psn++)
		assert_int_equal(inject(&b, ROCE_FETCH_ADD, psn), REMU_DROP_COUNT);
	assert_int_equal(remu_qp_post_recv(b.e, b.qp,
				 &(struct remu_recv_wr){.addr = inbox, .length = 8}),
		0);
	assert_int_equal(inject(&b, ROCE_SEND_ONLY, 0), REMU_DROP_NONE);
	assert_int_equal(remu_engine_stats(b.e)->atomics_executed, ROOM - 1);
	assert_int_equal(remu_engine_stats(b.e)->rx_held, HELD - (ROOM - 1));
	drain_answers(&b, 0, REMU_RESP_QUEUE - ROOM);
	assert_int_equal(remu_engine_stats(b.e)->atomics_executed, HELD);
	assert_int_equal(remu_engine_stats(b.e)->rx_held, 0);
	expect_answer(&b, ROCE_ACKNOWLEDGE, 0, ROCE_SYN_ACK_NO_LIMIT);
	for (uint32_t psn = 1; psn <= HELD; psn++)
		expect_answer(&b, ROCE_ATOMIC_ACKNOWLEDGE, psn, ROCE_SYN_ACK_NO_LIMIT);
	bench_expect_silence(&b);
	bench_close(&b);
}

/* As many READs and atomics are remembered as were agreed; duplicates of older ones are dropped. */
static void
records__the_oldest_is_forgotten(void **state)
{
	static const uint8_t requests[] = {ROCE_READ_REQUEST, ROCE_FETCH_ADD};
	static const uint32_t counts[] = {1, 4, REMU_MAX_RD_ATOMIC};
	static uint64_t memory[LEN / 8 + 1];
	struct bench b;

	(void)state;
	for (size_t c = 0; c < RTE_DIM(counts); c++) {
		uint32_t n = counts[c];

		open_target(&b, &(struct wire_config){.max_dest = n}, (uint8_t *)memory);
		snprintf(b.label, sizeof(b.label), "%u records", n);
		memory[0] = 0;
		/* READs and atomics take turns in the same places. */
		for (uint32_t psn = 0; psn < 3 * n; psn++) {
			assert_int_equal(inject(&b, requests[psn & 1], psn), REMU_DROP_NONE);
			assert_non_null(bench_tx(&b));
		}
		for (uint32_t psn = 0; psn < 3 * n; psn++) {
			b.now += TIMEOUT_NS;
			assert_int_equal(inject(&b, requests[psn & 1], psn),
				psn < 2 * n ? REMU_DROP_DUPLICATE : REMU_DROP_NONE);
			if (psn >= 2 * n)
				expect_answer(&b,
					psn & 1 ? ROCE_ATOMIC_ACKNOWLEDGE : ROCE_READ_RESPONSE_ONLY,
					psn, ROCE_SYN_ACK_NO_LIMIT);
			if (psn >= 2 * n && (psn & 1))
				assert_int_equal(b.last.pkt.f.swap_add, psn / 2);
			bench_expect_silence(&b);
		}
		assert_int_equal(memory[0], 3 * n / 2);
		bench_close(&b);
	}
}

static int
post_write(struct bench *b, struct remu_qp *qp, uint64_t wr_id)
{
	static uint8_t source[8];

	return remu_qp_post(b->e, qp,
		&(struct remu_wr){.wr_id = wr_id, .addr = source, .length = 8, .rkey = RKEY},
		b->now);
}

static int
post_recv(struct bench *b, struct remu_qp *qp, uint64_t wr_id)
{
	static uint8_t inbox[8];

	return remu_qp_post_recv(b->e, qp,
		&(struct remu_recv_wr){.wr_id = wr_id, .addr = inbox, .length = 8});
}

static void
acknowledge(struct bench *b, uint32_t psn)
{
	assert_int_equal(bench_inject(b,
				 &(struct roce_fields){.opcode = ROCE_ACKNOWLEDGE,
					 .psn = psn,
					 .syndrome = ROCE_SYN_ACK_NO_LIMIT},
				 NULL, 0),
		REMU_DROP_NONE);
}

/* A place in the send queue is free when its request has ended, polled or not. */
static void
queues__send_queue_full(void **state)
{
	enum { SQ_DEPTH = 4 };
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){.sq_depth = SQ_DEPTH});
	for (uint64_t id = 0; id < SQ_DEPTH; id++)
		assert_int_equal(post_write(&b, b.qp, id), 0);
	for (uint64_t id = SQ_DEPTH; id < 5 * SQ_DEPTH; id++) {
		assert_int_equal(post_write(&b, b.qp, id), -EAGAIN);
		while (bench_tx(&b) != NULL)
			;
		assert_int_equal(post_write(&b, b.qp, id), -EAGAIN);
		acknowledge(&b, (uint32_t)id - SQ_DEPTH);
		assert_int_equal(post_write(&b, b.qp, id), 0);
	}
	for (uint64_t id = 0; id < 4 * SQ_DEPTH; id++)
		bench_expect_wc(&b, id, REMU_WC_SUCCESS);
	bench_expect_no_wc(&b);
	bench_close(&b);
}

static void
queues__receive_queue_full(void **state)
{
	enum { RQ_DEPTH = 4 };
	static uint8_t memory[LEN];
	struct bench b;

	(void)state;
	open_target(&b, &(struct wire_config){0}, memory);
	for (uint64_t id = 0; id < RQ_DEPTH; id++)
		assert_int_equal(post_recv(&b, b.qp, id), 0);
	for (uint64_t id = RQ_DEPTH; id < 5 * RQ_DEPTH; id++) {
		struct remu_wc wc;

		assert_int_equal(post_recv(&b, b.qp, id), -EAGAIN);
		assert_int_equal(inject(&b, ROCE_SEND_ONLY, (uint32_t)id - RQ_DEPTH),
			REMU_DROP_NONE);
		assert_int_equal(post_recv(&b, b.qp, id), 0);
		assert_int_equal(remu_engine_poll_wc(b.e, &wc, 1), 1);
		assert_int_equal(wc.wr_id, id - RQ_DEPTH);
		assert_int_equal(wc.status, REMU_WC_SUCCESS);
	}
	bench_close(&b);
}

static void
expect_cq(struct remu_cq *cq, uint64_t wr_id, enum remu_wc_status status)
{
	struct remu_wc wc;

	assert_int_equal(remu_cq_poll(cq, &wc, 1), 1);
	assert_int_equal(wc.wr_id, wr_id);
	assert_int_equal(wc.status, status);
}

/* Without room for its completion no request is taken, whatever the queues could hold. */
static void
queues__completion_queue_full(void **state)
{
	static uint8_t memory[LEN];
	struct remu_qp_config config = {.qpn = OTHER_QPN, .pd = WIRE_PD};
	struct remu_cq *sends, *recvs;
	struct remu_qp *qp;
	struct remu_wc wc;
	struct bench b;

	(void)state;
	open_target(&b, &(struct wire_config){0}, memory);
	assert_int_equal(remu_cq_create(b.e, 2, &sends), 0);
	assert_int_equal(remu_cq_create(b.e, 1, &recvs), 0);
	config.send_cq = sends;
	config.recv_cq = recvs;
	remu_qp_destroy(b.e, b.qp);
	config.qpn = WIRE_QPN;
	assert_int_equal(remu_qp_create(b.e, &config, &qp), 0);
	for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
		assert_int_equal(remu_qp_modify(b.e, qp, (enum remu_qp_state)to, &b.attr), 0);

	assert_int_equal(post_write(&b, qp, 0), 0);
	assert_int_equal(post_write(&b, qp, 1), 0);
	assert_int_equal(post_write(&b, qp, 2), -EAGAIN);
	assert_int_equal(post_recv(&b, qp, 10), 0);
	assert_int_equal(post_recv(&b, qp, 11), -EAGAIN);
	for (int i = 0; i < 2; i++)
		assert_non_null(bench_tx(&b));
	acknowledge(&b, 1);
	assert_int_equal(inject(&b, ROCE_SEND_ONLY, 0), REMU_DROP_NONE);
	/* They have ended, but are not polled. */
	assert_int_equal(post_write(&b, qp, 2), -EAGAIN);
	assert_int_equal(post_recv(&b, qp, 11), -EAGAIN);
	expect_cq(sends, 0, REMU_WC_SUCCESS);
	expect_cq(recvs, 10, REMU_WC_SUCCESS);
	assert_int_equal(post_write(&b, qp, 2), 0);
	assert_int_equal(post_write(&b, qp, 3), -EAGAIN);
	assert_int_equal(post_recv(&b, qp, 11), 0);
	assert_int_equal(post_recv(&b, qp, 12), -EAGAIN);
	/* Flushed into queues that are full to the last place. */
	assert_int_equal(remu_qp_modify(b.e, qp, REMU_QP_ERR, NULL), 0);
	assert_int_equal(post_write(&b, qp, 3), -EAGAIN);
	assert_int_equal(post_recv(&b, qp, 12), -EAGAIN);
	expect_cq(sends, 1, REMU_WC_SUCCESS);
	expect_cq(sends, 2, REMU_WC_WR_FLUSH_ERR);
	expect_cq(recvs, 11, REMU_WC_WR_FLUSH_ERR);
	assert_int_equal(post_write(&b, qp, 3), 0);
	assert_int_equal(post_recv(&b, qp, 12), 0);
	expect_cq(sends, 3, REMU_WC_WR_FLUSH_ERR);
	expect_cq(recvs, 12, REMU_WC_WR_FLUSH_ERR);
	assert_int_equal(remu_cq_poll(sends, &wc, 1) + remu_cq_poll(recvs, &wc, 1), 0);
	assert_int_equal(remu_cq_destroy(b.e, sends), -EBUSY);
	remu_qp_destroy(b.e, qp);
	assert_int_equal(remu_cq_destroy(b.e, sends), 0);
	assert_int_equal(remu_cq_destroy(b.e, recvs), 0);
	bench_close(&b);
}

/* Any one that goes makes room for another, and takes nobody along. */
static void
tables__queue_pairs_full(void **state)
{
	struct remu_qp_config config = {.pd = WIRE_PD};
	uint32_t qpns[QPS] = {WIRE_QPN};
	struct remu_qp *qp;
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){.max_qps = QPS});
	for (uint32_t i = 1; i < QPS; i++) {
		config.qpn = qpns[i] = 100 + i;
		assert_int_equal(remu_qp_create(b.e, &config, &qp), 0);
	}
	for (uint32_t i = 0; i < QPS; i++) {
		config.qpn = 200 + i;
		assert_int_equal(remu_qp_create(b.e, &config, &qp), -ENOSPC);
		assert_null(qp);
		assert_null(remu_qp_find(b.e, config.qpn));
		remu_qp_destroy(b.e, remu_qp_find(b.e, qpns[i]));
		assert_int_equal(remu_qp_create(b.e, &config, &qp), 0);
		qpns[i] = config.qpn;
		for (uint32_t k = 0; k < QPS; k++)
			assert_int_equal(remu_qp_find(b.e, qpns[k])->qpn, qpns[k]);
	}
	bench_close(&b);
}

static void
tables__memory_regions_full(void **state)
{
	static uint8_t memory[8];
	struct remu_mr_config mr = {.addr = memory,
		.length = sizeof(memory),
		.pd = WIRE_PD,
		.access = REMU_ACCESS_REMOTE_READ};
	uint32_t keys[MRS];
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){0});
	for (uint32_t i = 0; i < MRS; i++) {
		mr.rkey = keys[i] = 100 + i;
		assert_int_equal(remu_mr_register(b.e, &mr), 0);
	}
	for (uint32_t i = 0; i < MRS; i++) {
		mr.rkey = 200 + i;
		assert_int_equal(remu_mr_register(b.e, &mr), -ENOSPC);
		assert_int_equal(remu_mr_deregister(b.e, WIRE_PD, mr.rkey), -ENOENT);
		assert_int_equal(remu_mr_deregister(b.e, WIRE_PD, keys[i]), 0);
		assert_int_equal(remu_mr_register(b.e, &mr), 0);
		keys[i] = mr.rkey;
		for (uint32_t k = 0; k < MRS; k++)
			assert_non_null(remu__mr_find(b.e, WIRE_PD, keys[k], 0, sizeof(memory),
				REMU_ACCESS_REMOTE_READ));
	}
	bench_close(&b);
}

/* A client that works against one engine, and polls as late as it can. */
struct client {
	struct bench b;
	struct remu_channel *ch;
	uint64_t seed;
	uint32_t posted, verbs;		 /* taken by the channel */
	uint32_t ended, answered, fatal; /* completions polled */
	uint32_t killed;
};

static void
client_poll(struct client *c, uint32_t max)
{
	struct remu_wc wc[BATCH];
	uint32_t n = remu_channel_poll(c->ch, wc, max);

	for (uint32_t i = 0; i < n; i++) {
		c->ended += wc[i].kind == REMU_WC_WORK || wc[i].kind == REMU_WC_RECV;
		c->answered += wc[i].kind == REMU_WC_VERB;
		c->fatal += wc[i].kind == REMU_WC_FATAL;
	}
}

/* The peer breaks the rules: the queue pair is gone, unless it was not connected yet. */
static void
client_kill(struct client *c, uint32_t qpn)
{
	struct roce_fields f = ask(ROCE_WRITE_LAST, 0);

	f.dest_qpn = qpn;
	c->killed += bench_inject(&c->b, &f, "payload", 8) == REMU_DROP_INVALID;
}

static void
client_post(struct client *c, uint32_t qpn)
{
	static uint8_t data[8];
	struct remu_wr wr = {.addr = data, .length = 8, .rkey = RKEY};
	struct remu_recv_wr recv = {.addr = data, .length = 8};

	if (prng_below(&c->seed, 2) == 0)
		c->posted += remu_channel_post(c->ch, qpn, &wr) == 0;
	else
		c->posted += remu_channel_post_recv(c->ch, qpn, &recv) == 0;
}

/* One thing, if the channel takes it. */
static void
client_act(struct client *c)
{
	uint32_t qpn = 100 + prng_below(&c->seed, CLIENT_QPS);
	struct remu_qp_config config = {.qpn = qpn, .pd = WIRE_PD};

	switch (prng_below(&c->seed, 16)) {
	case 0:
		c->verbs += remu_channel_qp_close(c->ch, qpn, 0) == 0;
		break;
	case 1:
		client_kill(c, qpn);
		break;
	case 2:
	case 3:
		/* They may end with the queue pair only, and closing it takes a place too. */
		if (c->ch->in_flight < DEPTH / 2)
			client_post(c, qpn);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		c->verbs += remu_channel_qp_open(c->ch, &config, 0) == 0;
		break;
	default:
		c->verbs += remu_channel_qp_connect(c->ch, qpn, &c->b.attr, 0) == 0;
		break;
	}
}

/* Take one verb; what is in its way is polled first. */
#define CLIENT_VERB(c, call) \
	do { \
		while ((call) != 0) { \
			remu_engine_poll((c)->b.e, (c)->b.now); \
			client_poll(c, 1); \
		} \
		(c)->verbs++; \
	} while (0)

/* As many completions at once as there can be: each queue pair fails with the channel full. */
static void
client_storm(struct client *c)
{
	for (uint32_t qpn = 100; qpn < 100 + CLIENT_QPS; qpn++) {
		struct remu_qp_config config = {.qpn = qpn, .pd = WIRE_PD};

		client_kill(c, qpn); /* what is under way ends, and leaves room for verbs */
		CLIENT_VERB(c, remu_channel_qp_close(c->ch, qpn, 0));
		CLIENT_VERB(c, remu_channel_qp_open(c->ch, &config, 0));
		CLIENT_VERB(c, remu_channel_qp_connect(c->ch, qpn, &c->b.attr, 0));
	}
	remu_engine_poll(c->b.e, c->b.now);
	client_poll(c, BATCH);
	for (uint32_t i = 0; i < 4 * DEPTH; i++)
		client_post(c, 100 + i % CLIENT_QPS);
	assert_int_equal(c->ch->in_flight, DEPTH);
	remu_engine_poll(c->b.e, c->b.now);
	for (uint32_t i = 0; i < CLIENT_QPS; i++)
		client_kill(c, 100 + i);
	assert_in_range(rte_ring_count(c->ch->up), DEPTH + CLIENT_QPS, UINT32_MAX);
}

/* However late a client polls, there is room for each answer and for each fatal event. */
static void
channel__late_poller_loses_nothing(void **state)
{
	enum { STEPS = 30000 };
	static struct client c;
	struct remu_wc wc;

	(void)state;
	memset(&c, 0, sizeof(c));
	c.seed = 3;
	/* The last queue pair is the bench's own. */
	bench_open(&c.b,
		&(struct wire_config){.max_qps = CLIENT_QPS + 1, .rq_depth = 4, .sq_depth = 4});
	assert_int_equal(remu_channel_create(c.b.e, DEPTH, &c.ch), 0);
	for (int i = 0; i < STEPS; i++) {
		client_act(&c);
		if (prng_below(&c.seed, 4) == 0)
			remu_engine_poll(c.b.e, c.b.now);
		if (i % 1024 == 1023)
			client_storm(&c);
		/* Nothing for a while, then a little or all there is. */
		if (i % 32 == 31)
			client_poll(&c, 1 + prng_below(&c.seed, BATCH));
	}
	client_storm(&c);
	for (uint32_t k = 0; k < CLIENT_QPS; k++)
		CLIENT_VERB(&c, remu_channel_qp_close(c.ch, 100 + k, 0));
	remu_engine_poll(c.b.e, c.b.now);
	for (int i = 0; i < DEPTH; i++)
		client_poll(&c, BATCH);
	assert_int_equal(remu_channel_poll(c.ch, &wc, 1), 0);
	assert_int_equal(c.ended, c.posted);
	assert_int_equal(c.answered, c.verbs);
	assert_int_equal(c.fatal, c.killed);
	assert_int_equal(c.ch->in_flight, 0);
	assert_in_range(c.killed, 100, STEPS);
	assert_in_range(c.posted, 100, STEPS);
	bench_close(&c.b);
}

/* Verbs report a full table to the client, and work when there is room. */
static void
channel__tables_full(void **state)
{
	static uint8_t memory[8];
	struct remu_qp_config qp = {.pd = WIRE_PD};
	struct remu_mr_config mr = {.addr = memory, .length = 8, .pd = WIRE_PD};
	struct remu_channel *ch;
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){.max_qps = QPS});
	assert_int_equal(remu_channel_create(b.e, DEPTH, &ch), 0);
#define VERB(call, want) \
	do { \
		struct remu_wc wc; \
		assert_int_equal(call, 0); \
		remu_engine_poll(b.e, b.now); \
		assert_int_equal(remu_channel_poll(ch, &wc, 1), 1); \
		assert_int_equal(wc.kind, REMU_WC_VERB); \
		assert_int_equal(wc.result, want); \
	} while (0)
	for (uint32_t i = 0; i < QPS; i++) { /* the bench has one already */
		qp.qpn = 100 + i;
		VERB(remu_channel_qp_open(ch, &qp, 0), i < QPS - 1 ? 0 : -ENOSPC);
	}
	VERB(remu_channel_qp_close(ch, 103, 0), 0);
	VERB(remu_channel_qp_open(ch, &qp, 0), 0);
	for (uint32_t i = 0; i <= MRS; i++) {
		mr.rkey = 100 + i;
		VERB(remu_channel_mr_register(ch, &mr, 0), i < MRS ? 0 : -ENOSPC);
	}
	VERB(remu_channel_mr_deregister(ch, WIRE_PD, 103, 0), 0);
	VERB(remu_channel_mr_register(ch, &mr, 0), 0);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create__each_allocation_fails_once),
		cmocka_unit_test(remu_engine_create__larger_than_memory),
		cmocka_unit_test(pool__requester_starves_at_each_step),
		cmocka_unit_test(pool__responder_starves_at_each_step),
		cmocka_unit_test(pool__both_starve_at_each_step),
		cmocka_unit_test(pool__destroyed_while_it_starves),
		cmocka_unit_test(pool__each_kind_of_answer_waits),
		cmocka_unit_test(hold__given_back_on_every_exit),
		cmocka_unit_test(hold__no_more_than_allowed),
		cmocka_unit_test(answers__queue_full),
		cmocka_unit_test(answers__queue_full_for_held_requests),
		cmocka_unit_test(records__the_oldest_is_forgotten),
		cmocka_unit_test(queues__send_queue_full),
		cmocka_unit_test(queues__receive_queue_full),
		cmocka_unit_test(queues__completion_queue_full),
		cmocka_unit_test(tables__queue_pairs_full),
		cmocka_unit_test(tables__memory_regions_full),
		cmocka_unit_test(channel__late_poller_loses_nothing),
		cmocka_unit_test(channel__tables_full),
	};

	heap_fails(UINT32_MAX, UINT32_MAX);
	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
