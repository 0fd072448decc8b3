/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_floor.h"

#include "lcore.h"
#include "node.h"
#include "remu_port.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <string.h>

enum {
	TURNS = 64, /* before the control core has its turn, when both share an lcore */
	MAGIC = 0x63636d66,
	ETHERNET_LEN = 14,
	HEADER_AT = 16, /* aligned, as mbufs are */
	HEADERS_LEN = HEADER_AT + sizeof(struct bench_floor_header),
	ASK_AGAIN_MS = 1,
	PATIENCE_S = 2,	 /* without a frame */
	GREETING_S = 30, /* until the peer is there */
};
_Static_assert((int)HEADERS_LEN <= (int)BENCH_FRAME_MIN, "fits every frame");
_Static_assert((int)BENCH_FLOOR_BURST == (int)DATA_BURST, "the same bursts");

enum frame_kind {
	FRAME_PART,   /* of an exchange */
	FRAME_ASK,    /* its last one: to be answered */
	FRAME_ANSWER, /* the last one is FRAME_ANSWERED */
	FRAME_ANSWERED,
	FRAME_DATA,  /* of a stream: to be counted */
	FRAME_QUERY, /* how many? */
	FRAME_COUNT,
};

void
bench_floor_init(struct bench_floor *f, struct node *node, bool peer)
{
	*f = (struct bench_floor){.node = node, .peer = peer};
	memcpy(f->ethernet, node->cfg.ccm.partners[0].mac, 6);
	memcpy(f->ethernet + 6, node->cfg.port.mac, 6);
	f->ethernet[12] = 0x88; /* for experiments, IEEE 802 */
	f->ethernet[13] = 0xb5;
}

void
bench_floor_start(struct bench_floor *f, const struct bench_point *point, uint64_t iterations,
	double seconds, const struct bench_clock *clock, struct bench_hist *hist)
{
	bench_run_init(&f->run, point, iterations, seconds, clock, hist);
	bench_point_frames(point, f->node->cfg.ccm.path_mtu, &f->out, &f->back);
	f->next = 0;
	f->stream++;
	f->frames_wanted = iterations;
	f->frames_sent = 0;
	f->stream_begin = f->stream_end = 0;
	f->asked = 0;
	f->news = rte_rdtsc();
	atomic_store_explicit(&f->phase, BENCH_FLOOR_GREETING, memory_order_release);
}

uint32_t
bench_floor_frame_len(const struct bench_floor *f)
{
	return f->out.n * f->out.first_len >= f->back.n * f->back.first_len ? f->out.first_len
									    : f->back.first_len;
}

double
bench_floor_seconds(const struct bench_floor *f)
{
	return (double)(f->stream_end - f->stream_begin) / (double)f->run.clock->hz;
}

static void
go_on(struct bench_floor *f, enum bench_floor_phase phase)
{
	f->asked = 0;
	atomic_store_explicit(&f->phase, phase, memory_order_release);
}

static struct bench_floor_header *
header_of(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, struct bench_floor_header *, HEADER_AT);
}

static bool
is_ours(struct rte_mbuf *m)
{
	return m->data_len >= HEADERS_LEN && header_of(m)->magic == MAGIC;
}

static void
write_frame(const struct bench_floor *f, struct rte_mbuf *m, uint32_t len,
	const struct bench_floor_header *header)
{
	memcpy(rte_pktmbuf_mtod(m, void *), f->ethernet, ETHERNET_LEN);
	*header_of(m) = *header;
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
}

/* One more frame to send. Returns false when there are no mbufs. */
static bool
make_frame(struct bench_floor *f, uint32_t len, const struct bench_floor_header *header)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(f->node->pool);

	if (unlikely(m == NULL))
		return false;
	write_frame(f, m, len, header);
	f->unsent[f->n_unsent++] = m;
	return true;
}

static void
transmit(struct bench_floor *f, struct data_lcore *d)
{
	uint32_t sent;

	if (f->n_unsent == 0)
		return;
	sent = remu_port_tx(d->port, (uint16_t)d->id, f->unsent, (uint16_t)f->n_unsent);
	f->n_unsent -= sent;
	memmove(f->unsent, f->unsent + sent, f->n_unsent * sizeof(f->unsent[0]));
}

/* Peer: keep what is to be answered, count the others. Returns whether it was kept. */
static bool
take(struct bench_floor *f, struct rte_mbuf *m)
{
	const struct bench_floor_header *header = header_of(m);
	struct bench_floor_due *due = &f->due[f->due_tail % BENCH_FLOOR_DUE];

	if (unlikely(!is_ours(m)))
		return false;
	if (header->kind == FRAME_DATA) {
		f->count = header->stream == f->stream ? f->count + 1 : 1;
		f->stream = header->stream;
		return false;
	}
	if ((header->kind != FRAME_ASK && header->kind != FRAME_QUERY) ||
		f->due_tail - f->due_head == BENCH_FLOOR_DUE)
		return false;
	due->m = m;
	due->next = 0;
	due->header = *header;
	if (header->kind == FRAME_QUERY) {
		due->header.kind = FRAME_COUNT;
		due->header.count = header->stream == f->stream ? f->count : 0;
		due->header.back = (struct bench_burst){1, BENCH_FRAME_MIN, 0, 0};
	}
	f->due_tail++;
	return true;
}

static void
answer(struct bench_floor *f)
{
	while (f->n_unsent < BENCH_FLOOR_BURST && f->due_head != f->due_tail) {
		struct bench_floor_due *due = &f->due[f->due_head % BENCH_FLOOR_DUE];
		struct bench_floor_header *header = &due->header;
		uint32_t len = bench_burst_len(&header->back, due->next);

		if (header->kind != FRAME_COUNT)
			header->kind = due->next == header->back.n - 1 ? FRAME_ANSWERED
								       : FRAME_ANSWER;
		if (due->next == 0) {
			write_frame(f, due->m, len, header);
			f->unsent[f->n_unsent++] = due->m;
		} else if (!make_frame(f, len, header)) {
			return;
		}
		if (++due->next == header->back.n)
			f->due_head++;
	}
}

static void
peer_turn(struct bench_floor *f, struct data_lcore *d)
{
	struct rte_mbuf *pkts[BENCH_FLOOR_BURST];
	uint16_t n = remu_port_rx(d->port, (uint16_t)d->id, pkts, BENCH_FLOOR_BURST);
	uint16_t done = 0;

	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(header_of(pkts[i]));
	for (uint16_t i = 0; i < n; i++)
		if (!take(f, pkts[i]))
			pkts[done++] = pkts[i];
	if (done != 0)
		rte_pktmbuf_free_bulk(pkts, done);
	answer(f);
	transmit(f, d);
}

static void
make_query(struct bench_floor *f, uint64_t now)
{
	if (now - f->asked < f->run.clock->hz / 1000 * ASK_AGAIN_MS)
		return;
	f->asked = now;
	make_frame(f, BENCH_FRAME_MIN,
		&(struct bench_floor_header){
			.magic = MAGIC,
			.kind = FRAME_QUERY,
			.phase = (uint16_t)bench_floor_phase(f),
			.stream = f->stream,
		});
}

static void
make_exchanges(struct bench_floor *f)
{
	uint32_t room = bench_run_room(&f->run);
	uint64_t now = 0;

	while (f->n_unsent < BENCH_FLOOR_BURST && (f->next != 0 || room != 0)) {
		bool last = f->next == f->out.n - 1;

		if (f->next == 0) {
			now = now != 0 ? now : rte_rdtsc();
			room--;
		}
		if (!make_frame(f, bench_burst_len(&f->out, f->next),
			    &(struct bench_floor_header){
				    .magic = MAGIC,
				    .kind = last ? FRAME_ASK : FRAME_PART,
				    .back = f->back,
			    }))
			return;
		if (f->next == 0)
			bench_run_posted(&f->run, now);
		f->next = last ? 0 : f->next + 1;
	}
}

static void
make_stream(struct bench_floor *f, uint64_t now)
{
	uint32_t len = bench_floor_frame_len(f), n;
	const struct bench_floor_header header = {
		.magic = MAGIC,
		.kind = FRAME_DATA,
		.stream = f->stream,
	};

	if (f->stream_begin == 0)
		f->stream_begin = now;
	f->stream_end = now;
	if (f->frames_wanted != 0 ? f->frames_sent >= f->frames_wanted
				  : now - f->stream_begin >= f->run.ticks) {
		if (f->n_unsent == 0)
			go_on(f, BENCH_FLOOR_COUNTING);
		return;
	}
	n = BENCH_FLOOR_BURST - f->n_unsent;
	if (n == 0 || rte_pktmbuf_alloc_bulk(f->node->pool, f->unsent + f->n_unsent, n) != 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		write_frame(f, f->unsent[f->n_unsent++], len, &header);
	f->frames_sent += n;
}

static void
learn(struct bench_floor *f, struct rte_mbuf *m, uint64_t now, enum bench_floor_phase phase)
{
	const struct bench_floor_header *header = header_of(m);

	if (!is_ours(m))
		return;
	if (header->kind == FRAME_ANSWERED && phase == BENCH_FLOOR_EXCHANGING) {
		bench_run_ended(&f->run, now);
		if (bench_run_over(&f->run))
			go_on(f, BENCH_FLOOR_STREAMING);
	} else if (header->kind == FRAME_COUNT && header->stream == f->stream &&
		header->phase == phase) {
		f->frames_counted = header->count;
		if (phase == BENCH_FLOOR_GREETING)
			go_on(f, BENCH_FLOOR_EXCHANGING);
		else if (phase == BENCH_FLOOR_COUNTING)
			go_on(f, BENCH_FLOOR_OVER);
	}
}

static void
turn(struct bench_floor *f, struct data_lcore *d)
{
	struct rte_mbuf *pkts[BENCH_FLOOR_BURST];
	uint16_t n = remu_port_rx(d->port, (uint16_t)d->id, pkts, BENCH_FLOOR_BURST);
	enum bench_floor_phase phase = bench_floor_phase(f);
	uint64_t now = rte_rdtsc();

	if (n != 0) {
		f->news = now;
		for (uint16_t i = 0; i < n; i++)
			learn(f, pkts[i], now, bench_floor_phase(f));
		rte_pktmbuf_free_bulk(pkts, n);
		phase = bench_floor_phase(f);
	}
	if (phase == BENCH_FLOOR_EXCHANGING)
		make_exchanges(f);
	else if (phase == BENCH_FLOOR_STREAMING)
		make_stream(f, now);
	else if (phase == BENCH_FLOOR_GREETING || phase == BENCH_FLOOR_COUNTING)
		make_query(f, now);
	transmit(f, d);
	if (phase == BENCH_FLOOR_STREAMING)
		f->news = now;
	else if (now - f->news > f->run.clock->hz *
			(uint64_t)(phase == BENCH_FLOOR_GREETING ? GREETING_S : PATIENCE_S))
		go_on(f, BENCH_FLOOR_FAILED);
}

bool
bench_floor_turns(struct bench_floor *f, struct data_lcore *d)
{
	enum bench_floor_phase phase = bench_floor_phase(f);

	port_gate_quiescent(d->gate, d->id);
	if (d->id != 0 || (!f->peer && (phase == BENCH_FLOOR_IDLE || phase >= BENCH_FLOOR_OVER)))
		return false;
	for (int i = 0; i < TURNS && port_gate_is_open(d->gate); i++) {
		if (f->peer)
			peer_turn(f, d);
		else
			turn(f, d);
		port_gate_quiescent(d->gate, d->id);
	}
	return true;
}
