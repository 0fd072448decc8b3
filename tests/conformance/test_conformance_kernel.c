/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Statement 94 as far as recordings go: the engine takes the place of either end of real traffic
 * between two kernels. As responder it must give the kernel's answers, as requester send the
 * kernel's requests, and take the other kernel's frames as they were recorded, to the byte. What
 * may differ: MigReq (we send 1), IP identification, UDP source port, and so the ICRC.
 */
#include "eal.h"

#include <rdma_emul.h>

#include <rte_common.h>
#include <rte_mbuf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	MTU = 1024,
	FRAMES = 96,
	FRAME_MAX = 1200,
	MESSAGES = 48,
	MESSAGE_MAX = 4096,
	QUEUE = 16,
	PCAP_HEADER = 24,
	PCAP_RECORD = 16,
};

struct frame {
	uint8_t bytes[FRAME_MAX];
	uint32_t len;
	struct roce_packet pkt;
};

/* A message that our side has posted, or that was posted for the other side's SENDs. */
struct message {
	uint8_t buffer[MESSAGE_MAX];
	uint8_t want[MESSAGE_MAX]; /* what must be in the buffer at the end */
	uint32_t length;
};

struct replay {
	const char *name;
	struct frame frames[FRAMES];
	uint32_t n_frames;
	int us; /* the end whose place we take: 0 is the one that sends the first frame */
	struct rte_mempool *pool;
	struct remu_engine *e;
	struct remu_qp *qp;
	uint8_t region[MESSAGE_MAX];
	uint64_t region_va;
	struct message sent[MESSAGES], received[MESSAGES];
	uint32_t n_sent, n_received, n_done;
	struct frame out[2][QUEUE]; /* of the engine, not yet compared: responses, requests */
	uint32_t n_out[2];
};

static uint32_t
load_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void
load_capture(struct replay *r)
{
	uint8_t head[PCAP_HEADER];
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.pcap", CAPTURE_DIR, r->name);
	file = fopen(path, "rb");
	assert_non_null(file);
	assert_int_equal(fread(head, 1, PCAP_HEADER, file), PCAP_HEADER);
	while (fread(head, 1, PCAP_RECORD, file) == PCAP_RECORD) {
		struct frame *f = &r->frames[r->n_frames++];

		assert_in_range(r->n_frames, 1, FRAMES);
		f->len = load_le32(head + 8);
		assert_in_range(f->len, 1, FRAME_MAX);
		assert_int_equal(fread(f->bytes, 1, f->len, file), f->len);
		assert_int_equal(roce_decode(f->bytes, f->len, &f->pkt), REMU_DROP_NONE);
	}
	fclose(file);
}

static bool
is_ours(const struct replay *r, const struct frame *f)
{
	bool first_end = memcmp(&f->pkt.src, &r->frames[0].pkt.src, sizeof(f->pkt.src)) == 0;

	return first_end == (r->us == 0);
}

static bool
is_request(const struct frame *f)
{
	return f->pkt.op->traits & ROCE_T_REQUEST;
}

/* The first frame from i on that is (not) ours and (not) a request; NULL: none. */
static const struct frame *
next_frame(const struct replay *r, uint32_t i, bool ours, bool request)
{
	for (; i < r->n_frames; i++)
		if (is_ours(r, &r->frames[i]) == ours && is_request(&r->frames[i]) == request)
			return &r->frames[i];
	return NULL;
}

/* One region that covers all that the other side reaches. */
static void
register_region(struct replay *r)
{
	struct remu_mr_config mr = {
		.addr = r->region,
		.length = MESSAGE_MAX,
		.pd = 1,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
			REMU_ACCESS_REMOTE_ATOMIC,
	};

	for (uint32_t i = 0; i < r->n_frames; i++) {
		const struct roce_fields *f = &r->frames[i].pkt.f;

		if (is_ours(r, &r->frames[i]) || f->rkey == 0)
			continue;
		if (mr.rkey != 0) { /* perftest uses one buffer */
			assert_int_equal(f->rkey, mr.rkey);
			assert_int_equal(f->va, mr.va);
			continue;
		}
		mr.va = f->va;
		mr.rkey = f->rkey;
		r->region_va = f->va;
		assert_int_equal(remu_mr_register(r->e, &mr), 0);
	}
}

static void
open_replay(struct replay *r, const char *name, int us)
{
	const struct frame *our_request, *their_request;
	struct remu_engine_config config = {
		.n_engines = 1,
		.max_qps = 1,
		.max_mrs = 1,
		.sq_depth = 64,
		.rq_depth = 64,
		.window = 64,
		.socket_id = -1,
	};
	struct remu_qp_attr attr = {
		.path_mtu = MTU,
		.timeout_us = 1000,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 1,
		.max_dest_rd_atomic = 1,
	};
	struct remu_qp_config qp = {
		.pd = 1,
		.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
			REMU_ACCESS_REMOTE_ATOMIC,
	};

	memset(r, 0, sizeof(*r));
	r->name = name;
	r->us = us;
	load_capture(r);
	our_request = next_frame(r, 0, true, true);
	their_request = next_frame(r, 0, false, true);
	for (uint32_t i = 0; i < r->n_frames; i++) {
		const struct roce_packet *pkt = &r->frames[i].pkt;

		if (is_ours(r, &r->frames[i])) {
			memcpy(config.mac, pkt->src_mac, 6);
			config.gid = pkt->src;
			attr.peer_qpn = pkt->f.dest_qpn;
		} else {
			memcpy(attr.peer_mac, pkt->src_mac, 6);
			attr.peer_gid = pkt->src;
			qp.qpn = pkt->f.dest_qpn;
		}
	}
	attr.sq_psn = our_request != NULL ? our_request->pkt.f.psn : 0;
	attr.rq_psn = their_request != NULL ? their_request->pkt.f.psn : 0;
	r->pool = eal_pool(255);
	config.pool = r->pool;
	assert_int_equal(remu_engine_create(&config, &r->e), 0);
	assert_int_equal(remu_qp_create(r->e, &qp, &r->qp), 0);
	for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
		assert_int_equal(remu_qp_modify(r->e, r->qp, (enum remu_qp_state)to, &attr), 0);
	register_region(r);
}

/* Append the payloads of one message of a side, which starts at frame i. @return its bytes */
static uint32_t
gather(const struct replay *r, uint32_t i, bool ours, bool request, uint8_t *to)
{
	uint32_t n = 0;

	for (; i < r->n_frames; i++) {
		const struct frame *f = &r->frames[i];

		if (is_ours(r, f) != ours || is_request(f) != request)
			continue;
		assert_in_range(n + f->pkt.payload_len, 0, MESSAGE_MAX);
		memcpy(to + n, f->pkt.payload, f->pkt.payload_len);
		n += f->pkt.payload_len;
		if (f->pkt.op->traits & (ROCE_T_LAST | ROCE_T_ONLY))
			return n;
	}
	return n;
}

/* Our side of the recording starts a message: post it. */
static void
post(struct replay *r, uint32_t i)
{
	const struct roce_fields *f = &r->frames[i].pkt.f;
	uint32_t traits = r->frames[i].pkt.op->traits;
	struct message *m = &r->sent[r->n_sent];
	struct remu_wr wr = {
		.wr_id = r->n_sent++,
		.addr = m->buffer,
		.remote_va = f->va,
		.rkey = f->rkey,
		.swap_add = f->swap_add,
		.compare = f->compare,
	};

	assert_in_range(r->n_sent, 1, MESSAGES);
	if (traits & ROCE_T_READ) {
		wr.opcode = REMU_WR_RDMA_READ;
		m->length = gather(r, i, false, false, m->want);
		assert_int_equal(m->length, f->dma_len);
	} else if (traits & ROCE_T_ATOMIC) {
		uint64_t found = next_frame(r, i, false, false)->pkt.f.swap_add;

		wr.opcode = REMU_WR_FETCH_ADD;
		m->length = sizeof(found);
		memcpy(m->want, &found, sizeof(found));
	} else {
		wr.opcode = traits & ROCE_T_WRITE ? REMU_WR_RDMA_WRITE : REMU_WR_SEND;
		m->length = gather(r, i, true, true, m->buffer);
		memcpy(m->want, m->buffer, m->length);
	}
	wr.length = m->length;
	assert_int_equal(remu_qp_post(r->e, r->qp, &wr, i), 0);
}

/* The other side starts a message: have what its kernel found, and a buffer for a SEND. */
static void
prepare(struct replay *r, uint32_t i)
{
	const struct frame *f = &r->frames[i];
	uint32_t traits = f->pkt.op->traits;
	struct message *m = &r->received[r->n_received];
	uint64_t found;

	if (traits & ROCE_T_READ) {
		gather(r, i, true, false, r->region);
	} else if (traits & ROCE_T_ATOMIC) {
		found = next_frame(r, i, true, false)->pkt.f.swap_add;
		memcpy(r->region, &found, sizeof(found));
	} else if (traits & ROCE_T_SEND) {
		struct remu_recv_wr wr = {r->n_received++, m->buffer, MESSAGE_MAX};

		m->length = gather(r, i, false, true, m->want);
		assert_int_equal(remu_qp_post_recv(r->e, r->qp, &wr), 0);
	}
}

/* Take what the engine sends. */
static void
collect(struct replay *r, uint64_t now)
{
	struct rte_mbuf *m;

	remu_engine_poll(r->e, now);
	while (remu_engine_tx(r->e, &m, 1, now) == 1) {
		struct frame f = {.len = m->pkt_len};
		int kind;

		assert_in_range(f.len, 1, FRAME_MAX);
		memcpy(f.bytes, rte_pktmbuf_mtod(m, void *), f.len);
		rte_pktmbuf_free(m);
		assert_int_equal(roce_decode(f.bytes, f.len, &f.pkt), REMU_DROP_NONE);
		kind = is_request(&f);
		assert_in_range(r->n_out[kind], 0, QUEUE - 1);
		r->out[kind][r->n_out[kind]++] = f;
	}
}

/* The engine has sent what the kernel sent. */
static void
compare(struct replay *r, uint32_t i)
{
	const struct frame *want = &r->frames[i], *got = &r->out[is_request(want)][0];
	uint32_t *n = &r->n_out[is_request(want)];
	struct roce_fields f;

	if (*n == 0) {
		fail_msg("%s end %d frame %u: silence", r->name, r->us, i + 1);
		return;
	}
	/* Decode where it lies now: the packet points into its frame. */
	assert_int_equal(roce_decode(got->bytes, got->len, &r->out[is_request(want)][0].pkt),
		REMU_DROP_NONE);
	f = got->pkt.f;
	f.migreq = want->pkt.f.migreq;
	if (memcmp(&f, &want->pkt.f, sizeof(f)) != 0 || got->len != want->len ||
		got->pkt.payload_len != want->pkt.payload_len ||
		memcmp(got->pkt.payload, want->pkt.payload, want->pkt.payload_len) != 0)
		fail_msg("%s end %d frame %u: opcode %02x PSN %06x ack %d MSN %u DMA %u payload %u "
			 "instead of %02x %06x %d %u %u %u",
			r->name, r->us, i + 1, f.opcode, f.psn, f.ackreq, f.msn, f.dma_len,
			got->pkt.payload_len, want->pkt.f.opcode, want->pkt.f.psn,
			want->pkt.f.ackreq, want->pkt.f.msn, want->pkt.f.dma_len,
			want->pkt.payload_len);
	memmove(&r->out[is_request(want)][0], &r->out[is_request(want)][1],
		--*n * sizeof(struct frame));
}

static void
reap(struct replay *r)
{
	struct remu_wc wc;

	while (remu_engine_poll_wc(r->e, &wc, 1) == 1) {
		const struct message *m;

		assert_int_equal(wc.status, REMU_WC_SUCCESS);
		assert_true(wc.kind == REMU_WC_WORK || wc.kind == REMU_WC_RECV);
		m = wc.kind == REMU_WC_WORK ? &r->sent[wc.wr_id] : &r->received[wc.wr_id];
		assert_int_equal(wc.byte_len, m->length);
		assert_memory_equal(m->buffer, m->want, m->length);
		r->n_done++;
	}
}

static void
deliver(struct replay *r, const struct frame *f, uint64_t now)
{
	const struct remu_stats *stats = remu_engine_stats(r->e);
	uint64_t accepted = stats->drops[REMU_DROP_NONE];
	struct rte_mbuf *m = rte_pktmbuf_alloc(r->pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)f->len), f->bytes, f->len);
	remu_engine_rx(r->e, &m, 1, now);
	if (stats->drops[REMU_DROP_NONE] != accepted + 1)
		fail_msg("%s end %d: PSN %06x dropped", r->name, r->us, f->pkt.f.psn);
}

/* A WRITE of the other side has ended: its data stands where it belongs. */
static void
check_written(const struct replay *r, uint32_t i)
{
	uint32_t traits = r->frames[i].pkt.op->traits;
	uint8_t want[MESSAGE_MAX];
	uint32_t first = i, n;

	if (!(traits & ROCE_T_WRITE) || !(traits & (ROCE_T_LAST | ROCE_T_ONLY)))
		return;
	while (is_ours(r, &r->frames[first]) || !is_request(&r->frames[first]) ||
		!(r->frames[first].pkt.op->traits & (ROCE_T_FIRST | ROCE_T_ONLY)))
		first--;
	n = gather(r, first, false, true, want);
	assert_memory_equal(r->region, want, n);
}

static void
replay(const char *name, int us)
{
	static struct replay r;

	open_replay(&r, name, us);
	for (uint32_t i = 0; i < r.n_frames; i++) {
		const struct frame *f = &r.frames[i];
		bool begins = is_request(f) && (f->pkt.op->traits & (ROCE_T_FIRST | ROCE_T_ONLY));

		if (is_ours(&r, f)) {
			if (begins)
				post(&r, i);
			collect(&r, i);
			compare(&r, i);
		} else {
			if (begins)
				prepare(&r, i);
			deliver(&r, f, i);
			collect(&r, i);
			check_written(&r, i);
		}
		reap(&r);
	}
	collect(&r, r.n_frames);
	assert_int_equal(r.n_out[0] + r.n_out[1], 0);
	assert_int_equal(r.n_done, r.n_sent + r.n_received);
	assert_int_equal(remu_engine_stats(r.e)->retransmits, 0);
	remu_engine_destroy(r.e);
	eal_pool_free(r.pool);
}

static void
c94_either_end_of_recorded_kernel_traffic(void **state)
{
	static const char *const names[] = {"rxe-write-64", "rxe-write", "rxe-read", "rxe-send",
		"rxe-atomic"};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(names); i++)
		for (int us = 0; us < 2; us++)
			replay(names[i], us);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c94_either_end_of_recorded_kernel_traffic),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
