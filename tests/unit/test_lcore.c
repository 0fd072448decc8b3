/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data lcores between made-up ports and engines: what is received goes to the engine that owns the
 * queue pair, what is sent and not taken is kept, in order, and dropped when the device stalls.
 */
#include "capture_ring.h"
#include "eal.h"
#include "lcore.h"
#include "rdma_emul.h"
#include "remu_port.h"
#include "roce_bytes.h"

#include <rte_mbuf.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LCORES = 3, FRAMES = 4096 };

/* A list of mbufs, oldest first. */
struct fifo {
	struct rte_mbuf *pkts[FRAMES];
	uint32_t head, tail;
};

struct remu_engine {
	struct fifo got;     /* by remu_engine_rx() */
	struct fifo to_send; /* for remu_engine_tx() */
	uint32_t polls;
};

struct remu_port {
	struct fifo wire[LCORES]; /* to be received, by queue */
	struct fifo sent;
	uint32_t takes; /* how many more frames it takes */
};

struct fixture {
	struct rte_mempool *pool;
	struct remu_port port;
	struct remu_engine engines[LCORES];
	struct port_gate gate;
	struct data_lcore lcores[LCORES];
	uint32_t n;
};

static struct fixture test;

static void
push(struct fifo *f, struct rte_mbuf *m)
{
	assert_true(f->tail < FRAMES);
	f->pkts[f->tail++] = m;
}

static uint16_t
pull(struct fifo *f, struct rte_mbuf **pkts, uint16_t max)
{
	uint16_t n = 0;

	while (n < max && f->head != f->tail)
		pkts[n++] = f->pkts[f->head++];
	return n;
}

static uint32_t
count(const struct fifo *f)
{
	return f->tail - f->head;
}

static void
clear(struct fifo *f)
{
	while (f->head != f->tail)
		rte_pktmbuf_free(f->pkts[f->head++]);
	f->head = f->tail = 0;
}

uint16_t
remu_port_rx(struct remu_port *port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	return pull(&port->wire[queue], pkts, n);
}

uint16_t
remu_port_tx(struct remu_port *port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t i;

	(void)queue;
	for (i = 0; i < n && port->takes > 0; i++, port->takes--)
		push(&port->sent, pkts[i]);
	return i;
}

void
remu_engine_rx(struct remu_engine *e, struct rte_mbuf **pkts, uint16_t n, uint64_t now)
{
	(void)now;
	for (uint16_t i = 0; i < n; i++)
		push(&e->got, pkts[i]);
}

void
remu_engine_poll(struct remu_engine *e, uint64_t now)
{
	(void)now;
	e->polls++;
}

uint16_t
remu_engine_tx(struct remu_engine *e, struct rte_mbuf **pkts, uint16_t max, uint64_t now)
{
	(void)now;
	return pull(&e->to_send, pkts, max);
}

static void
begin(uint32_t n)
{
	memset(&test, 0, sizeof(test));
	test.n = n;
	test.pool = eal_pool(FRAMES);
	test.port.takes = UINT32_MAX;
	assert_int_equal(port_gate_init(&test.gate, n, true), 0);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(data_lcore_init(&test.lcores[i], i, n, &test.engines[i],
					 &test.port, &test.gate, test.lcores),
			0);
		port_gate_enter(&test.gate, i);
	}
}

/* All mbufs must be back. */
static void
end(void)
{
	for (uint32_t i = 0; i < test.n; i++) {
		port_gate_leave(&test.gate, i);
		data_lcore_fini(&test.lcores[i]);
		clear(&test.engines[i].got);
		clear(&test.engines[i].to_send);
		clear(&test.port.wire[i]);
	}
	clear(&test.port.sent);
	port_gate_fini(&test.gate);
	eal_pool_free(test.pool);
}

enum { IPV6 = 1, TAGGED = 2, KINDS = 4 };
enum { FRAME_MAX = ROCE_L2L4_MAX + ROCE_BTH_LEN + ROCE_ICRC_LEN };

/* The least that makes a frame RoCEv2. Returns its length. */
static uint32_t
make_frame(uint8_t *frame, int kind, uint32_t qpn)
{
	enum { UDP_LEN = ROCE_UDP_LEN + ROCE_BTH_LEN + ROCE_ICRC_LEN };
	uint8_t *ip = frame + ROCE_ETH_LEN, *udp;

	memset(frame, 0, FRAME_MAX);
	if (kind & TAGGED) {
		roce_store_be16(ip - 2, ROCE_ETHERTYPE_VLAN);
		ip += ROCE_VLAN_LEN;
	}
	if (kind & IPV6) {
		roce_store_be16(ip - 2, ROCE_ETHERTYPE_IPV6);
		ip[0] = 0x60;
		roce_store_be16(ip + 4, UDP_LEN);
		ip[6] = ROCE_IPPROTO_UDP;
		udp = ip + ROCE_IPV6_LEN;
	} else {
		roce_store_be16(ip - 2, ROCE_ETHERTYPE_IPV4);
		ip[0] = 0x45;
		roce_store_be16(ip + 2, ROCE_IPV4_LEN + UDP_LEN);
		ip[9] = ROCE_IPPROTO_UDP;
		udp = ip + ROCE_IPV4_LEN;
	}
	roce_store_be16(udp + 2, ROCE_UDP_PORT);
	roce_store_be16(udp + 4, UDP_LEN);
	roce_store_be24(udp + ROCE_UDP_LEN + offsetof(struct roce_bth, dest_qpn), qpn);
	return (uint32_t)(udp - frame) + UDP_LEN;
}

/* Of all kinds in turn. */
static struct rte_mbuf *
frame_for(uint32_t qpn)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(test.pool);

	assert_non_null(m);
	make_frame((uint8_t *)rte_pktmbuf_append(m, FRAME_MAX), (int)(qpn % KINDS), qpn);
	return m;
}

static uint32_t
qpn_of(const struct rte_mbuf *m)
{
	return data_frame_qpn(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
}

static void
frame_qpn__of_every_kind(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		uint8_t frame[FRAME_MAX];
		uint32_t len = 0;

		for (uint32_t qpn = 1; qpn <= 0xffffff; qpn = qpn * 7 + 1) {
			len = make_frame(frame, kind, qpn);
			assert_int_equal(data_frame_qpn(frame, len), qpn);
		}
		while (len-- > 0)
			assert_int_equal(data_frame_qpn(frame, len), UINT32_MAX);
	}
}

static void
frame_qpn__only_of_roce(void **state)
{
	static const struct {
		int kind;
		uint32_t at;
		uint8_t value;
	} spoils[] = {
		{0, 12, 0x81},		   /* VLAN, but no tag */
		{0, 13, 0x06},		   /* ARP */
		{0, 14, 0x46},		   /* IP options */
		{0, 14, 0x60},		   /* IPv6 */
		{0, 36, 0},		   /* destination port */
		{0, 37, 0xb8},		   /* another one */
		{IPV6, 14, 0x45},	   /* IPv4 */
		{IPV6, 20, 0},		   /* hop-by-hop options */
		{IPV6, 57, 0xb8},	   /* destination port */
		{TAGGED, 16, 0x81},	   /* a second tag */
		{TAGGED, 17, 0x06},	   /* ARP */
		{TAGGED, 41, 0xb8},	   /* destination port */
		{TAGGED | IPV6, 61, 0xb8}, /* destination port */
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(spoils); i++) {
		uint8_t frame[FRAME_MAX];
		uint32_t len = make_frame(frame, spoils[i].kind, 0x123456);

		frame[spoils[i].at] = spoils[i].value;
		assert_int_equal(data_frame_qpn(frame, len), UINT32_MAX);
	}
}

static void
turn__one_lcore_keeps_everything(void **state)
{
	(void)state;
	begin(1);
	assert_false(data_lcore_turn(&test.lcores[0], 1));
	for (uint32_t qpn = 2; qpn < 42; qpn++)
		push(&test.port.wire[0], frame_for(qpn));
	assert_true(data_lcore_turn(&test.lcores[0], 2));
	assert_int_equal(count(&test.engines[0].got), DATA_BURST);
	assert_true(data_lcore_turn(&test.lcores[0], 3));
	assert_int_equal(count(&test.engines[0].got), 40);
	assert_int_equal(test.engines[0].polls, 3);
	assert_int_equal(test.lcores[0].counters.handed_over, 0);
	end();
}

static bool
work(void *ctx, struct data_lcore *d, uint64_t now)
{
	uint32_t *turns = ctx;

	assert_ptr_equal(d, &test.lcores[0]);
	assert_int_equal(now, 7);
	assert_int_equal(count(&d->engine->got), 1); /* what came has been received */
	if ((*turns)++ == 0)
		push(&d->engine->to_send, frame_for(3));
	return *turns <= 2;
}

static void
turn__client_works_between_receiving_and_sending(void **state)
{
	uint32_t turns = 0;

	(void)state;
	begin(1);
	test.lcores[0].client = work;
	test.lcores[0].client_ctx = &turns;
	push(&test.port.wire[0], frame_for(2));
	assert_true(data_lcore_turn(&test.lcores[0], 7));
	assert_int_equal(count(&test.port.sent), 1); /* in the same turn */
	assert_true(data_lcore_turn(&test.lcores[0], 7));
	assert_false(data_lcore_turn(&test.lcores[0], 7));
	assert_int_equal(turns, 3);
	end();
}

static void
turn__frames_reach_their_owner(void **state)
{
	(void)state;
	begin(LCORES);
	for (uint32_t i = 0; i < 90; i++)
		push(&test.port.wire[i % LCORES], frame_for(2 + i * 5));
	for (int round = 0; round < 4; round++)
		for (uint32_t i = 0; i < LCORES; i++)
			data_lcore_turn(&test.lcores[i], (uint64_t)round);
	for (uint32_t i = 0; i < LCORES; i++) {
		const struct fifo *got = &test.engines[i].got;

		assert_int_equal(count(got), 30);
		for (uint32_t k = got->head; k < got->tail; k++)
			assert_int_equal(remu_qpn_owner(qpn_of(got->pkts[k]), LCORES), i);
	}
	end();
}

static void
turn__foreign_frames_stay(void **state)
{
	struct rte_mbuf *m;

	(void)state;
	begin(LCORES);
	m = rte_pktmbuf_alloc(test.pool); /* empty: the engine drops and counts it */
	push(&test.port.wire[1], m);
	data_lcore_turn(&test.lcores[1], 1);
	assert_int_equal(count(&test.engines[1].got), 1);
	assert_int_equal(test.lcores[1].counters.handed_over, 0);
	end();
}

static void
turn__full_inbox_loses_and_counts(void **state)
{
	const uint32_t n = DATA_INBOX + 100;

	(void)state;
	begin(2);
	for (uint32_t i = 0; i < n; i++)
		push(&test.port.wire[0], frame_for(3)); /* lcore 1's, which does not run */
	while (count(&test.port.wire[0]) != 0)
		data_lcore_turn(&test.lcores[0], 1);
	assert_int_equal(test.lcores[0].counters.handed_over, DATA_INBOX - 1);
	assert_int_equal(test.lcores[0].counters.inbox_full, n - (DATA_INBOX - 1));
	assert_int_equal(count(&test.engines[0].got), 0);
	end();
}

static void
turn__unsent_frames_keep_their_order(void **state)
{
	uint32_t expected = 0;

	(void)state;
	begin(1);
	for (uint32_t i = 0; i < 200; i++)
		push(&test.engines[0].to_send, frame_for(i));
	for (uint64_t now = 0; now < 200 * 300000; now += 300000) {
		test.port.takes = (uint32_t)(now / 300000) % 7; /* slow, but it moves */
		data_lcore_turn(&test.lcores[0], now);
		assert_true(test.lcores[0].n_unsent <= DATA_BURST);
	}
	assert_int_equal(count(&test.port.sent), 200);
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(qpn_of(test.port.sent.pkts[i]), expected++);
	assert_int_equal(test.lcores[0].counters.tx_stalled, 0);
	end();
}

static void
turn__stalled_device_drops_and_recovers(void **state)
{
	const uint64_t start = 5000000000;
	uint64_t last = start + DATA_STALL_NS;

	(void)state;
	begin(1);
	test.port.takes = 0;
	for (uint32_t i = 0; i < 40; i++)
		push(&test.engines[0].to_send, frame_for(i));
	data_lcore_turn(&test.lcores[0], start);
	data_lcore_turn(&test.lcores[0], last);
	assert_int_equal(test.lcores[0].n_unsent, DATA_BURST);
	assert_int_equal(count(&test.engines[0].to_send), 8); /* no more are taken meanwhile */
	data_lcore_turn(&test.lcores[0], last + 1);
	assert_int_equal(test.lcores[0].n_unsent, 0);
	assert_int_equal(test.lcores[0].counters.tx_stalled, DATA_BURST);
	test.port.takes = UINT32_MAX;
	assert_true(data_lcore_turn(&test.lcores[0], last + 2));
	assert_int_equal(count(&test.port.sent), 8);
	end();
}

static void
turn__closed_gate_leaves_the_port_alone(void **state)
{
	uint32_t gate;

	(void)state;
	begin(1);
	push(&test.port.wire[0], frame_for(2));
	push(&test.engines[0].to_send, frame_for(3));
	port_gate_leave(&test.gate, 0);
	assert_true(port_gate_close(&test.gate, 1000));
	port_gate_enter(&test.gate, 0);
	data_lcore_turn(&test.lcores[0], 1);
	assert_int_equal(count(&test.port.wire[0]), 1);
	assert_int_equal(count(&test.port.sent), 0);
	assert_int_equal(test.engines[0].polls, 1); /* timers run on */
	gate = port_gate_state(&test.gate);
	port_gate_open(&test.gate, gate);
	data_lcore_turn(&test.lcores[0], 2);
	assert_int_equal(count(&test.engines[0].got), 1);
	assert_int_equal(count(&test.port.sent), 1);
	end();
}

/* Each frame that came in, and each that the device took, once and in order; nothing else. */
static void
turn__captures_what_is_on_the_wire(void **state)
{
	static struct capture_ring rings[2];
	static struct capture_frame f;
	uint32_t qpns[8] = {0}, n = 0;
	uint64_t at;

	(void)state;
	begin(2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(capture_ring_init(&rings[i], 1 << 16), 0);
		test.lcores[i].capture = &rings[i];
	}
	push(&test.port.wire[0], frame_for(2)); /* ours */
	push(&test.port.wire[0], frame_for(3)); /* the other lcore's: captured here, once */
	for (uint32_t i = 0; i < 5; i++)
		push(&test.engines[0].to_send, frame_for(100 + i));
	test.port.takes = 2;
	data_lcore_turn(&test.lcores[0], 1000);
	test.port.takes = 0;
	data_lcore_turn(&test.lcores[0], 1001);
	test.port.takes = 2;
	data_lcore_turn(&test.lcores[0], 1002);
	test.port.takes = 0; /* the last one never gets out */
	data_lcore_turn(&test.lcores[0], 1003);
	data_lcore_turn(&test.lcores[0], 1003 + 2 * DATA_STALL_NS);
	data_lcore_turn(&test.lcores[1], 1004);
	assert_false(capture_ring_peek(&rings[1], &at));
	while (capture_ring_peek(&rings[0], &at)) {
		assert_true(n < RTE_DIM(qpns));
		capture_ring_take(&rings[0], &f);
		qpns[n] = data_frame_qpn(f.data, f.kept);
		assert_int_equal(f.direction, n < 2 ? CAPTURE_IN : CAPTURE_OUT);
		assert_int_equal(f.time_ns, n < 4 ? 1000 : 1002);
		n++;
	}
	assert_int_equal(n, 6);
	assert_memory_equal(qpns, ((uint32_t[]){2, 3, 100, 101, 102, 103}), 6 * sizeof(qpns[0]));
	assert_int_equal(rings[0].dropped, 0);
	for (uint32_t i = 0; i < 2; i++)
		capture_ring_fini(&rings[i]);
	end();
}

static void
gate__close_waits_for_lcores_inside(void **state)
{
	struct port_gate gate;

	(void)state;
	assert_int_equal(port_gate_init(&gate, 2, true), 0);
	assert_true(port_gate_is_open(&gate));
	port_gate_enter(&gate, 1);
	assert_false(port_gate_close(&gate, 2000)); /* closed, but lcore 1 is still inside */
	assert_false(port_gate_is_open(&gate));
	port_gate_leave(&gate, 1);
	assert_true(port_gate_close(&gate, 2000));
	port_gate_fini(&gate);
}

/* A link seen up before the gate was closed is no reason to open it. */
static void
gate__outdated_state_does_not_open(void **state)
{
	struct port_gate gate;
	uint32_t before, closed;

	(void)state;
	assert_int_equal(port_gate_init(&gate, 1, true), 0);
	before = port_gate_state(&gate);
	assert_true(port_gate_close(&gate, 1000));
	port_gate_open(&gate, before);
	assert_false(port_gate_is_open(&gate));
	closed = port_gate_state(&gate);
	port_gate_open(&gate, closed);
	assert_true(port_gate_is_open(&gate));
	assert_true(port_gate_close(&gate, 1000));
	port_gate_open(&gate, closed); /* of the time before */
	assert_false(port_gate_is_open(&gate));
	port_gate_fini(&gate);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_qpn__of_every_kind),
		cmocka_unit_test(frame_qpn__only_of_roce),
		cmocka_unit_test(turn__one_lcore_keeps_everything),
		cmocka_unit_test(turn__client_works_between_receiving_and_sending),
		cmocka_unit_test(turn__frames_reach_their_owner),
		cmocka_unit_test(turn__foreign_frames_stay),
		cmocka_unit_test(turn__full_inbox_loses_and_counts),
		cmocka_unit_test(turn__unsent_frames_keep_their_order),
		cmocka_unit_test(turn__stalled_device_drops_and_recovers),
		cmocka_unit_test(turn__closed_gate_leaves_the_port_alone),
		cmocka_unit_test(turn__captures_what_is_on_the_wire),
		cmocka_unit_test(gate__close_waits_for_lcores_inside),
		cmocka_unit_test(gate__outdated_state_does_not_open),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
