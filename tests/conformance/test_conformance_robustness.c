/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance under congestion marks, hostile packets and floods: statements 91 to 93 of the
 * checklist, and further ones from 251 on that the checklist does not have.
 */
#include "conf_requester.h"
#include "eal.h"
#include "frame_maker.h"

#include <rte_mempool.h>

enum {
	MTU = CONF_MTU,
	ACK = CONF_ACK,
	NAK = CONF_NAK_SEQUENCE,
	W = REMU_WR_RDMA_WRITE,
	R = REMU_WR_RDMA_READ,
	S = REMU_WR_SEND,
	CE = 3, /* the two low bits of ToS */
	SEND_ONLY = 0x04,
	WRITE_ONLY = 0x0a,
	CNP = 0x81,
	CNP_TOS = 48 << 2,
	CNP_LEN = 74,
	MS = 1000 * 1000,
};

static const struct remu_stats *
stats(const struct conf *c)
{
	return remu_engine_stats(c->e);
}

static enum remu_drop
inject_cnp(struct conf *c)
{
	return conf_inject(c, &(struct roce_fields){.opcode = CNP, .fecn_becn = 0x40}, NULL, 0);
}

/* How many packets the engine sends before it wants an acknowledgement. */
static uint32_t
count_sent(struct conf *c, uint32_t *last_psn)
{
	const struct conf_frame *frame;
	uint32_t n = 0;

	while ((frame = conf_tx(c)) != NULL) {
		*last_psn = conf_bth(c, frame).psn;
		n++;
	}
	return n;
}

static void
c91_cnp_for_our_qp_lowers_the_window(void **state)
{
	uint32_t psn = 0;
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){0});
	conf_post(&c, 1, W, 0, 400 * MTU);
	assert_int_equal(conf_info(&c).window, CONF_WINDOW);
	assert_int_equal(inject_cnp(&c), REMU_DROP_NONE);
	assert_int_equal(conf_info(&c).window, CONF_WINDOW / 2);
	/* Marks of the same queue, before what has been sent since can have made a difference. */
	for (int n = 0; n < 10; n++)
		assert_int_equal(inject_cnp(&c), REMU_DROP_NONE);
	assert_int_equal(conf_info(&c).window, CONF_WINDOW / 2);
	assert_int_equal(count_sent(&c, &psn), CONF_WINDOW / 2);
	c.now += MS / 2;
	assert_int_equal(inject_cnp(&c), REMU_DROP_NONE);
	assert_int_equal(conf_info(&c).window, CONF_WINDOW / 4);
	/* More are under way than the window has: nothing new until it has room. */
	conf_expect_silence(&c);
	assert_int_equal(conf_ack_psn(&c, CONF_WINDOW / 2 - CONF_WINDOW / 4 - 2, ACK),
		REMU_DROP_NONE);
	conf_expect_silence(&c);
	assert_int_equal(stats(&c)->cnps_received, 12);
	assert_int_equal(stats(&c)->naks_sent + stats(&c)->acks_sent + stats(&c)->cnps_sent, 0);
	conf_expect_no_wc(&c);
	assert_int_equal(conf_info(&c).state, REMU_QP_RTS);
	conf_close(&c);
}

/* The CNP of 74 bytes, by hand but for the fields that are the sender's choice. */
static void
expect_cnp(struct conf *c)
{
	static const uint8_t want[CNP_LEN - 4] = {0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 8,
		0, /* Ethernet */
		0x45, CNP_TOS, 0, 60, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2,
		2,							       /* IP */
		0, 0, 0x12, 0xb7, 0, 40, 0, 0,				       /* UDP */
		CNP, 0x40, 0xff, 0xff, 0x40, 0, 0, CONF_PEER_QPN, 0, 0, 0, 0}; /* BTH */
	const struct conf_frame *got = conf_tx(c);
	uint32_t icrc;

	if (got == NULL) {
		fail_msg("%s: no CNP", c->label);
		return;
	}
	assert_int_equal(got->len, CNP_LEN);
	for (size_t i = 0; i < sizeof(want); i++)
		if (!(i >= 18 && i < 20) && !(i >= 24 && i < 26) && !(i >= 34 && i < 36))
			assert_int_equal(got->bytes[i], want[i]);
	icrc = conf_icrc(got->bytes + 14, CNP_LEN - 4 - 14);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(got->bytes[CNP_LEN - 4 + i], icrc >> 8 * i & 0xff);
}

/* A request without payload that wants no answer, with these ECN bits. */
static enum remu_drop
inject_marked(struct conf *c, uint32_t psn, uint8_t ecn)
{
	c->in.tos = ecn;
	return conf_inject(c, &(struct roce_fields){.opcode = WRITE_ONLY, .psn = psn}, NULL, 0);
}

static void
c91_ce_marks_send_one_cnp_per_interval(void **state)
{
	static const uint32_t intervals_us[] = {0, 4, 50, 1000};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(intervals_us); i++) {
		uint64_t interval = UINT64_C(1000) * (i == 0 ? 50 : intervals_us[i]);
		uint32_t psn = 0;

		conf_open(&c, &(struct conf_config){.cnp_interval_us = intervals_us[i]});
		snprintf(c.label, sizeof(c.label), "interval %lu ns", interval);
		for (uint8_t ecn = 0; ecn < CE; ecn++)
			assert_int_equal(inject_marked(&c, psn++, ecn), REMU_DROP_NONE);
		conf_expect_silence(&c);
		for (int round = 0; round < 5; round++) {
			uint64_t end = c.now + interval;

			assert_int_equal(inject_marked(&c, psn++, CE), REMU_DROP_NONE);
			expect_cnp(&c);
			for (int n = 0; n < 20; n++) {
				c.now = end - 1 - (uint64_t)(19 - n) * interval / 40;
				assert_int_equal(inject_marked(&c, psn++, CE), REMU_DROP_NONE);
				conf_expect_silence(&c);
			}
			c.now = end;
		}
		assert_int_equal(stats(&c)->cnps_sent, 5);
		assert_int_equal(stats(&c)->naks_sent, 0);
		assert_int_equal(stats(&c)->writes_executed, psn);
		conf_close(&c);
	}
}

/*
 * Statement 92. One block of memory; what a peer or a bad packet must never change is compared
 * with a copy, and red bytes must never leave.
 */
enum {
	HOSTILE_PACKETS = 1000000,
	HOSTILE_MTU = 256,
	HOSTILE_RED = 512,
	HOSTILE_REGION = 4096,
	HOSTILE_LOCALS = 8, /* work requests, and receive requests */
	HOSTILE_LOCAL = 4 * HOSTILE_MTU,
	HOSTILE_VA = 0x7fff0000,
	RED_BYTE = 0xdb,
};

enum area_kind {
	AREA_RED,
	AREA_OPEN,   /* peers may WRITE and READ and do atomics */
	AREA_READ,   /* READ only */
	AREA_WRITE,  /* WRITE only */
	AREA_SOURCE, /* of our WRITEs and SENDs */
	AREA_SINK,   /* of our READs and atomics */
	AREA_RECV,
};

/* A packet to be sent. */
struct forged {
	struct roce_fields f;
	size_t len; /* of its payload */
};

static const struct {
	uint8_t kind; /* enum area_kind */
	uint32_t len;
} areas[] = {
	{AREA_RED, HOSTILE_RED},
	{AREA_OPEN, HOSTILE_REGION},
	{AREA_RED, HOSTILE_RED},
	{AREA_READ, HOSTILE_REGION},
	{AREA_RED, HOSTILE_RED},
	{AREA_WRITE, HOSTILE_REGION},
	{AREA_RED, HOSTILE_RED},
	{AREA_SOURCE, HOSTILE_LOCAL},
	{AREA_RED, HOSTILE_RED},
	{AREA_SINK, HOSTILE_LOCALS *HOSTILE_LOCAL},
	{AREA_RED, HOSTILE_RED},
	{AREA_RECV, HOSTILE_LOCALS *HOSTILE_LOCAL},
	{AREA_RED, HOSTILE_RED},
};

struct hostile {
	struct conf c;
	uint64_t seed;
	uint64_t posted; /* work requests */
	uint64_t completed;
	uint64_t recv_posted;
	uint64_t recv_completed;
	uint64_t reconnects;
	struct remu_wr wr[HOSTILE_LOCALS]; /* by wr_id */
	uint32_t psn[HOSTILE_LOCALS];	   /* of its first packet */
	uint32_t recv_len[HOSTILE_LOCALS];
	uint32_t next_psn;
	struct forged script[8]; /* what belongs together, to be sent one after the other */
	uint32_t script_len;
	uint32_t script_at;
	uint8_t *area[RTE_DIM(areas)];
	uint8_t *copy[RTE_DIM(areas)];
	uint8_t memory[64 * 1024];
	uint8_t original[64 * 1024];
};

static uint8_t *
area(struct hostile *h, enum area_kind kind)
{
	for (size_t i = 0; i < RTE_DIM(areas); i++)
		if (areas[i].kind == kind)
			return h->area[i];
	return NULL;
}

/* Keys 1 to 3: the three regions, all at the same virtual address. */
static void
hostile_register(struct hostile *h, enum area_kind kind, uint32_t access)
{
	struct remu_mr_config mr = {
		.addr = area(h, kind),
		.va = HOSTILE_VA,
		.length = HOSTILE_REGION,
		.rkey = kind,
		.pd = CONF_PD,
		.access = access,
	};

	assert_int_equal(remu_mr_register(h->c.e, &mr), 0);
}

static void
hostile_open(struct hostile *h, uint32_t disable)
{
	size_t off = 0;

	memset(h, 0, sizeof(*h));
	h->seed = 92;
	for (size_t i = 0; i < RTE_DIM(areas); i++) {
		h->area[i] = h->memory + off;
		h->copy[i] = h->original + off;
		/* What peers may only WRITE must not leave either. */
		memset(h->area[i],
			areas[i].kind == AREA_RED || areas[i].kind == AREA_WRITE ? RED_BYTE
										 : areas[i].kind,
			areas[i].len);
		off += areas[i].len;
		assert_in_range(off, 0, sizeof(h->memory));
	}
	memcpy(h->original, h->memory, sizeof(h->memory));
	conf_open(&h->c,
		&(struct conf_config){.mtu = HOSTILE_MTU,
			.window = 32,
			.sq_depth = HOSTILE_LOCALS,
			.rq_depth = HOSTILE_LOCALS,
			.retry_cnt = 3,
			.rnr_retry = 7,
			.disable = disable,
			.sq_psn = 0xffff00,
			.rq_psn = 0x7fff00,
			.pool = 2047});
	hostile_register(h, AREA_OPEN,
		REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE | REMU_ACCESS_REMOTE_ATOMIC);
	hostile_register(h, AREA_READ, REMU_ACCESS_REMOTE_READ);
	hostile_register(h, AREA_WRITE, REMU_ACCESS_REMOTE_WRITE);
}

static void
hostile_check_memory(struct hostile *h, uint32_t packet)
{
	for (size_t i = 0; i < RTE_DIM(areas); i++) {
		if (areas[i].kind != AREA_RED && areas[i].kind != AREA_READ &&
			areas[i].kind != AREA_SOURCE)
			continue;
		if (memcmp(h->area[i], h->copy[i], areas[i].len) != 0)
			fail_msg("memory of kind %u, area %zu, changed up to packet %u",
				areas[i].kind, i, packet);
	}
}

static uint32_t
packets_of(uint32_t len)
{
	return len == 0 ? 1 : (len + HOSTILE_MTU - 1) / HOSTILE_MTU;
}

/* Keep the queue pair up and both of its queues busy. */
static void
hostile_work(struct hostile *h)
{
	struct conf *c = &h->c;

	if (conf_info(c).state != REMU_QP_RTS) {
		c->attr.sq_psn = (uint32_t)prng_next(&h->seed) & 0xffffff;
		c->attr.rq_psn = (uint32_t)prng_next(&h->seed) & 0xffffff;
		assert_int_equal(remu_qp_modify(c->e, c->qp, REMU_QP_RESET, NULL), 0);
		for (int to = REMU_QP_INIT; to <= REMU_QP_RTS; to++)
			assert_int_equal(remu_qp_modify(c->e, c->qp, (enum remu_qp_state)to,
						 &c->attr),
				0);
		h->next_psn = c->attr.sq_psn;
		h->reconnects++;
	}
	while (h->posted - h->completed < HOSTILE_LOCALS / 2) {
		uint32_t slot = h->posted % HOSTILE_LOCALS;
		struct remu_wr *wr = &h->wr[slot];

		*wr = (struct remu_wr){
			.wr_id = h->posted,
			.opcode = (uint8_t)prng_below(&h->seed, REMU_WR_COUNT),
			.length = prng_below(&h->seed, HOSTILE_LOCAL + 1),
			.remote_va = 8 * prng_next(&h->seed),
		};
		wr->addr = area(h, AREA_SOURCE);
		if (wr->opcode == R || wr->opcode >= REMU_WR_CMP_SWAP)
			wr->addr = memset(area(h, AREA_SINK) + slot * HOSTILE_LOCAL, AREA_SINK,
				HOSTILE_LOCAL);
		if (wr->opcode >= REMU_WR_CMP_SWAP)
			wr->length = 8;
		h->psn[slot] = h->next_psn;
		h->next_psn = (h->next_psn + packets_of(wr->length)) & 0xffffff;
		assert_int_equal(remu_qp_post(c->e, c->qp, wr, c->now), 0);
		h->posted++;
	}
	/* Often there is none left. */
	while (prng_below(&h->seed, 8) == 0 &&
		h->recv_posted - h->recv_completed < HOSTILE_LOCALS / 2) {
		uint32_t slot = h->recv_posted % HOSTILE_LOCALS;
		struct remu_recv_wr recv = {
			.wr_id = h->recv_posted,
			.addr = memset(area(h, AREA_RECV) + slot * HOSTILE_LOCAL, AREA_RECV,
				HOSTILE_LOCAL),
			.length = prng_below(&h->seed, HOSTILE_LOCAL + 1),
		};

		h->recv_len[slot] = recv.length;
		assert_int_equal(remu_qp_post_recv(c->e, c->qp, &recv), 0);
		h->recv_posted++;
	}
}

/* What a buffer has room for behind its `used` bytes is as it was. */
static void
hostile_check_buffer(struct hostile *h, enum area_kind kind, uint64_t id, uint32_t used)
{
	const uint8_t *buffer = area(h, kind) + id % HOSTILE_LOCALS * HOSTILE_LOCAL;

	for (uint32_t i = used; i < HOSTILE_LOCAL; i++)
		if (buffer[i] != kind)
			fail_msg("byte %u of %u of a buffer has been written", i, used);
}

/* Each request ends once, in order. */
static void
hostile_reap(struct hostile *h)
{
	struct remu_wc wc;

	while (remu_engine_poll_wc(h->c.e, &wc, 1) != 0) {
		if (wc.kind == REMU_WC_WORK) {
			const struct remu_wr *wr = &h->wr[wc.wr_id % HOSTILE_LOCALS];

			assert_int_equal(wc.wr_id, h->completed++);
			assert_true(wc.status != REMU_WC_SUCCESS || wc.byte_len == wr->length);
			if (wr->addr != area(h, AREA_SOURCE))
				hostile_check_buffer(h, AREA_SINK, wc.wr_id, wr->length);
		} else if (wc.kind == REMU_WC_RECV) {
			assert_int_equal(wc.wr_id, h->recv_completed++);
			hostile_check_buffer(h, AREA_RECV, wc.wr_id,
				h->recv_len[wc.wr_id % HOSTILE_LOCALS]);
		} else {
			assert_int_equal(wc.kind, REMU_WC_FATAL);
		}
	}
	assert_true(h->completed <= h->posted && h->recv_completed <= h->recv_posted);
}

/* What the engine sends holds nothing of the red zones. */
static void
hostile_drain(struct hostile *h, uint32_t packet)
{
	static const uint8_t red[] = {RED_BYTE, RED_BYTE, RED_BYTE, RED_BYTE, RED_BYTE, RED_BYTE,
		RED_BYTE, RED_BYTE};
	const struct conf_frame *frame;

	while ((frame = conf_tx(&h->c)) != NULL)
		if (memmem(frame->bytes, frame->len, red, sizeof(red)) != NULL)
			fail_msg("bytes of a red zone were sent after packet %u", packet);
}

static uint32_t
pick(struct hostile *h, const uint32_t *values, uint32_t n)
{
	return values[prng_below(&h->seed, n)];
}

#define PICK(h, ...) \
	pick(h, (const uint32_t[]){__VA_ARGS__}, \
		sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static struct forged *
forge(struct hostile *h)
{
	struct forged *p = &h->script[h->script_len++];

	assert_in_range(h->script_len, 1, RTE_DIM(h->script));
	*p = (struct forged){
		.f.migreq = prng_below(&h->seed, 2),
		.f.pkey = 0xffff,
		.f.dest_qpn = CONF_QPN,
	};
	return p;
}

/* A request whose numbers are at the edges of what is valid, or just beyond. */
static void
forge_request(struct hostile *h, uint32_t psn)
{
	static const uint8_t opcodes[2][2][2][2] = {
		/* WRITE or SEND, with immediate, first packet, last packet */
		{{{0x07, 0x08}, {0x06, 0x0a}}, {{0x07, 0x09}, {0x06, 0x0b}}},
		{{{0x01, 0x02}, {0x00, 0x04}}, {{0x01, 0x03}, {0x00, 0x05}}},
	};
	uint32_t kind = prng_below(&h->seed, 6);
	uint32_t len = PICK(h, 0, 1, 8, HOSTILE_MTU, HOSTILE_MTU + 1, 3 * HOSTILE_MTU,
		4 * HOSTILE_MTU, 4 * HOSTILE_MTU - 3);
	uint64_t va = HOSTILE_VA +
		PICK(h, 0, 8, 8, HOSTILE_REGION - 8, HOSTILE_REGION - HOSTILE_MTU,
			HOSTILE_REGION - 4 * HOSTILE_MTU);
	uint32_t rkey = PICK(h, AREA_OPEN, AREA_OPEN, AREA_OPEN, AREA_READ, AREA_WRITE);
	bool imm = prng_below(&h->seed, 2), ackreq = prng_below(&h->seed, 2);
	uint32_t n = kind < 4 ? packets_of(len) : 1;

	for (uint32_t k = 0; k < n; k++) {
		struct forged *p = forge(h);

		p->f.psn = (psn + k) & 0xffffff;
		p->f.va = va;
		p->f.rkey = rkey;
		p->f.dma_len = len;
		p->f.ackreq = ackreq;
		if (kind < 4) {
			p->f.opcode = opcodes[kind & 1][imm][k == 0][k == n - 1];
			p->f.solicited = k == n - 1 && prng_below(&h->seed, 2);
			p->f.imm = (uint32_t)prng_next(&h->seed);
			p->len = RTE_MIN(len - k * HOSTILE_MTU, (uint32_t)HOSTILE_MTU);
		} else if (kind == 4) {
			p->f.opcode = 0x0c;
		} else {
			p->f.opcode = imm ? 0x13 : 0x14;
			p->f.swap_add = prng_next(&h->seed);
			p->f.compare = prng_next(&h->seed);
		}
	}
}

/* The answer to the oldest work request, or something like it. */
static void
forge_response(struct hostile *h)
{
	static const uint8_t data[2][2] = {{0x0e, 0x0f}, {0x0d, 0x10}};
	uint32_t slot = h->completed % HOSTILE_LOCALS;
	const struct remu_wr *wr = &h->wr[slot];
	uint32_t n = packets_of(wr->length);
	bool ack = wr->opcode != R || prng_below(&h->seed, 8) == 0;

	for (uint32_t k = ack ? n - 1 : 0; k < n; k++) {
		struct forged *p = forge(h);

		p->f.psn = (h->psn[slot] + k) & 0xffffff;
		p->f.msn = (uint32_t)prng_next(&h->seed) & 0xffffff;
		p->f.syndrome = ACK;
		p->f.opcode = ack ? 0x11 : data[k == 0][k == n - 1];
		if (ack)
			p->f.syndrome = (uint8_t)PICK(h, ACK, ACK, ACK, 0, NAK, NAK, 0x21, 0x61,
				0x62, 0x63, 0x40);
		else
			p->len = RTE_MIN(wr->length - k * HOSTILE_MTU, (uint32_t)HOSTILE_MTU);
		if (wr->opcode >= REMU_WR_CMP_SWAP) {
			p->f.opcode = 0x12;
			p->f.syndrome = ACK;
			p->f.swap_add = prng_next(&h->seed);
		}
	}
}

/* Any opcode with any numbers. */
static void
forge_anything(struct hostile *h, const struct remu_qp_info *info)
{
	struct forged *p = forge(h);

	p->f.opcode = prng_below(&h->seed, 16) == 0 ? CNP : (uint8_t)prng_below(&h->seed, 0x18);
	p->f.solicited = prng_below(&h->seed, 2);
	p->f.ackreq = prng_below(&h->seed, 2);
	p->f.fecn_becn = (uint8_t)prng_next(&h->seed);
	p->f.psn = (prng_below(&h->seed, 2) ? info->epsn : info->una_psn) +
		PICK(h, 0, 0, 0, 1, 2, 63, 64, 65, 0x7fffff, 0x800000, 0xffffff, 0xfffffe);
	p->f.psn &= 0xffffff;
	p->f.va = prng_next(&h->seed) & ~UINT64_C(7);
	p->f.rkey = prng_below(&h->seed, 5);
	p->f.dma_len = PICK(h, 0, 1, HOSTILE_REGION, HOSTILE_REGION + 1, 1u << 31, UINT32_MAX);
	p->f.syndrome = (uint8_t)prng_next(&h->seed);
	p->f.imm = (uint32_t)prng_next(&h->seed);
	p->len = PICK(h, 0, 0, 8, HOSTILE_MTU - 1, HOSTILE_MTU, HOSTILE_MTU + 1);
}

/* The next packet of the script; a new one begins where the queue pair stands. */
static struct forged
hostile_next(struct hostile *h, uint32_t packet)
{
	while (h->script_at == h->script_len) {
		const struct remu_qp_info info = conf_info(&h->c);
		uint32_t kind = prng_below(&h->seed, 8);

		h->script_at = h->script_len = 0;
		if (kind == 0) {
			forge_anything(h, &info);
		} else if (kind < 5) {
			/* Ahead by what a later script may fill, or behind. */
			forge_request(h,
				info.epsn + PICK(h, 0, 0, 0, 0, 0, 1, 2, 3, 4, -1u, -2u, -4u));
		} else if (h->completed < h->posted) {
			hostile_drain(h, packet); /* or it would not have been asked for */
			forge_response(h);
		}
		for (uint32_t i = 1; i < h->script_len; i++) /* out of order */
			if (prng_below(&h->seed, 8) == 0)
				RTE_SWAP(h->script[i - 1], h->script[i]);
	}
	/* Once more, left out, or the usual. */
	switch (prng_below(&h->seed, 16)) {
	case 0:
		return h->script[h->script_at];
	case 1:
		return h->script[h->script_len - 1];
	default:
		return h->script[h->script_at++];
	}
}

/* Turn some bits of an IPv4 frame, change its lengths now and then, and seal it again. */
static void
hostile_mutate(struct hostile *h, struct conf_frame *frame)
{
	uint8_t *l3 = frame->bytes + 14;
	uint32_t ip_len = (uint32_t)l3[2] << 8 | l3[3], udp_len, icrc;

	if (prng_below(&h->seed, 4) == 0) { /* shorter or longer, all lengths alike */
		ip_len -= prng_below(&h->seed, RTE_MIN(ip_len - 32, 40u) + 1);
		ip_len += prng_below(&h->seed, 2) * prng_below(&h->seed, 40);
		udp_len = ip_len - 20;
		l3[2] = (uint8_t)(ip_len >> 8);
		l3[3] = (uint8_t)ip_len;
		l3[24] = (uint8_t)(udp_len >> 8);
		l3[25] = (uint8_t)udp_len;
		frame->len = RTE_MAX(14 + (size_t)ip_len, (size_t)60);
	}
	for (uint32_t n = prng_below(&h->seed, 4); n > 0; n--) {
		/* The BTH and what follows more often than the rest. */
		uint32_t from = prng_below(&h->seed, 8) == 0 ? 0 : 28;
		uint32_t at = from + prng_below(&h->seed, RTE_MIN(ip_len - from, 44u));

		l3[at] ^= (uint8_t)(prng_below(&h->seed, 2) ? 1u << prng_below(&h->seed, 8)
							    : prng_next(&h->seed));
	}
	if (prng_below(&h->seed, 32) == 0) /* the UDP length alone, or the end cut off */
		l3[25] = (uint8_t)prng_next(&h->seed);
	if (prng_below(&h->seed, 32) == 0)
		frame->len = 14 + prng_below(&h->seed, ip_len + 1);
	udp_len = (uint32_t)l3[24] << 8 | l3[25];
	if (udp_len < 8 + 12 + 4 || 14 + 20 + udp_len > frame->len || prng_below(&h->seed, 64) == 0)
		return; /* there is no place for an ICRC, or it is left wrong */
	icrc = conf_icrc(l3, 20 + udp_len - 4);
	for (int i = 0; i < 4; i++)
		l3[20 + udp_len - 4 + (uint32_t)i] = (uint8_t)(icrc >> 8 * i);
}

static void
hostile_run(struct hostile *h, uint32_t packets)
{
	for (uint32_t i = 0; i < packets; i++) {
		struct conf_frame frame = {0};
		uint8_t payload[2 * HOSTILE_MTU];
		struct forged p;

		hostile_work(h);
		p = hostile_next(h, i);
		memset(payload, (int)i & 0x7f, p.len); /* never a red byte */
		conf_frame(&frame, &h->c.in, (uint16_t)i, &p.f, payload, p.len);
		if (prng_below(&h->seed, 3) == 0)
			hostile_mutate(h, &frame);
		conf_rx(&h->c, &frame);
		if (prng_below(&h->seed, 4) == 0)
			hostile_drain(h, i);
		h->c.now += prng_below(&h->seed, 64) == 0 ? MS : prng_below(&h->seed, 1000);
		hostile_reap(h);
		if (i % 64 == 63)
			hostile_check_memory(h, i);
	}
	hostile_drain(h, packets);
	hostile_reap(h);
	hostile_check_memory(h, packets);
}

/* Not all has bounced off at the door: requests, responses and refusals of many kinds. */
static void
hostile_check_depth(const struct hostile *h, uint32_t packets)
{
	static const uint8_t reasons[] = {REMU_DROP_NONE, REMU_DROP_RUNT, REMU_DROP_IP_HEADER,
		REMU_DROP_UDP_LENGTH, REMU_DROP_OPCODE, REMU_DROP_TVER, REMU_DROP_PAYLOAD,
		REMU_DROP_ICRC, REMU_DROP_PKEY, REMU_DROP_QPN, REMU_DROP_PSN_AHEAD,
		REMU_DROP_DUPLICATE, REMU_DROP_INVALID, REMU_DROP_ACCESS, REMU_DROP_RESP_STALE,
		REMU_DROP_RESP_BAD, REMU_DROP_SYNDROME};
	const struct remu_stats *s = stats(&h->c);
	const uint64_t done[] = {s->writes_executed, s->reads_executed, s->sends_executed,
		s->atomics_executed, s->wc_success, s->wc_error, h->reconnects};

	assert_int_equal(s->rx_packets, packets);
	for (size_t i = 0; i < RTE_DIM(done); i++)
		if (done[i] < packets / 1000)
			fail_msg("number %zu: only %lu", i, done[i]);
	for (size_t i = 0; i < RTE_DIM(reasons); i++)
		if (s->drops[reasons[i]] == 0)
			fail_msg("none: %s", remu_drop_name(reasons[i]));
}

static void
c92_mutated_packets_reach_no_other_memory(void **state)
{
	static const uint32_t disable[] = {0, REMU_RECOVERY_ALL};
	static struct hostile h;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(disable); i++) {
		hostile_open(&h, disable[i]);
		hostile_run(&h, HOSTILE_PACKETS / 2);
		hostile_check_depth(&h, HOSTILE_PACKETS / 2);
		conf_close(&h.c);
	}
}

enum { FLOOD = 100000 };

/* One NAK per gap, whatever is sent and for how long; the next gap has one of its own. */
static void
c93_flood_of_future_psns_gets_one_nak(void **state)
{
	static const uint8_t opcodes[] = {SEND_ONLY, WRITE_ONLY, 0x0c, 0x06, 0x07, 0x08, 0x14,
		0x0b};
	struct conf c;

	(void)state;
	for (uint32_t disable = 0; disable <= REMU_RECOVERY_HOLD; disable += REMU_RECOVERY_HOLD) {
		uint32_t naks = 0, epsn = 0xfffff0;
		uint64_t seed = 93;

		conf_open(&c,
			&(struct conf_config){.rq_psn = epsn,
				.disable = disable,
				.hold_max = 32,
				.pool = 127});
		for (uint32_t gap = 0; gap < 2; gap++, epsn = (epsn + 1) & 0xffffff) {
			for (uint32_t i = 0; i < FLOOD; i++) {
				/* Far from what is kept for a closed gap, or PSN 0 would be it. */
				uint32_t ahead = 100 + prng_below(&seed, 0x7fffff - 100);
				enum remu_drop verdict;

				verdict = conf_inject(&c,
					&(struct roce_fields){
						.opcode = opcodes[i % RTE_DIM(opcodes)],
						.psn = (epsn + ahead) & 0xffffff,
						.ackreq = true,
						.dma_len = 8,
					},
					NULL, 0);
				assert_int_equal(verdict, REMU_DROP_PSN_AHEAD);
				if (i == 0)
					conf_expect(&c,
						&(struct roce_fields){.opcode = 0x11,
							.psn = epsn,
							.syndrome = NAK,
							.msn = gap},
						NULL, 0);
				conf_expect_silence(&c);
				c.now += 10000;
			}
			assert_int_equal(stats(&c)->naks_sent, ++naks);
			assert_int_equal(conf_inject(&c,
						 &(struct roce_fields){.opcode = WRITE_ONLY,
							 .psn = epsn,
							 .ackreq = true},
						 NULL, 0),
				REMU_DROP_NONE);
			conf_expect(&c,
				&(struct roce_fields){.opcode = 0x11,
					.psn = epsn,
					.syndrome = ACK,
					.msn = gap + 1},
				NULL, 0);
			conf_expect_silence(&c);
		}
		assert_int_equal(stats(&c)->acks_sent, 2);
		conf_close(&c);
	}
}

/* Whatever comes, the window keeps two packets; it grows by one for each that is acknowledged. */
static void
c251_window_has_a_floor_and_grows_again(void **state)
{
	uint32_t window, next = 0, psn = 0;
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.mtu = 256, .disable = REMU_RECOVERY_PROBE});
	conf_post(&c, 1, W, 0, CONF_MAX);
	for (int n = 0; n < 10; n++) {
		assert_int_equal(inject_cnp(&c), REMU_DROP_NONE);
		c.now += MS;
	}
	assert_int_equal(conf_info(&c).window, 2);
	for (window = 2; window <= CONF_WINDOW; window = conf_info(&c).window) {
		assert_int_equal(count_sent(&c, &psn), window);
		next += window;
		assert_int_equal(psn, next - 1);
		assert_int_equal(conf_ack_psn(&c, psn, ACK), REMU_DROP_NONE);
		if (window == CONF_WINDOW)
			break;
		assert_int_equal(conf_info(&c).window, window + 1);
	}
	assert_int_equal(conf_info(&c).window, CONF_WINDOW); /* and not beyond */
	conf_close(&c);
}

/* A CNP for a queue pair that is not there, or from somebody else, lowers no window. */
static void
c252_cnp_of_others_is_dropped(void **state)
{
	struct roce_fields cnp = {.opcode = CNP, .fecn_becn = 0x40};
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){0});
	cnp.dest_qpn = CONF_QPN + 1;
	assert_int_equal(conf_inject(&c, &cnp, NULL, 0), REMU_DROP_QPN);
	c.in.src[3]++;
	assert_int_equal(inject_cnp(&c), REMU_DROP_SRC_IP);
	c.in.src[3]--;
	c.in.src_mac[5]++;
	assert_int_equal(inject_cnp(&c), REMU_DROP_SRC_MAC);
	assert_int_equal(conf_info(&c).window, CONF_WINDOW);
	assert_int_equal(stats(&c)->cnps_received, 0);
	conf_expect_silence(&c);
	conf_close(&c);
}

/* A mark on an answer counts as one on a request; one on a packet that is not valid does not. */
static void
c253_only_valid_packets_are_marked(void **state)
{
	struct conf_frame frame;
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){0});
	conf_post(&c, 1, W, 0, 8);
	conf_expect_message(&c, 1);
	c.in.tos = CE;
	conf_frame(&frame, &c.in, 1,
		&(struct roce_fields){.opcode = 0x11,
			.pkey = 0xffff,
			.dest_qpn = CONF_QPN,
			.syndrome = ACK},
		NULL, 0);
	frame.bytes[frame.len - 1] ^= 1;
	assert_int_equal(conf_inject_frame(&c, &frame), REMU_DROP_ICRC);
	assert_int_equal(conf_inject(&c,
				 &(struct roce_fields){.opcode = WRITE_ONLY,
					 .dest_qpn = CONF_QPN + 1},
				 NULL, 0),
		REMU_DROP_QPN);
	c.in.src[3]++;
	assert_int_equal(inject_marked(&c, 0, CE), REMU_DROP_SRC_IP);
	c.in.src[3]--;
	conf_expect_silence(&c);
	assert_int_equal(conf_ack(&c, 1, 0, ACK), REMU_DROP_NONE);
	conf_expect_wc(&c, 1, REMU_WC_SUCCESS);
	expect_cnp(&c);
	conf_expect_silence(&c);
	conf_close(&c);
}

/* Duplicates bring at most so many acknowledgements a second; the others are dropped. */
static void
c254_flood_of_duplicates_is_answered_at_a_rate(void **state)
{
	enum { RATE = 1000, STEP_NS = 10000 }; /* a hundred times the rate, for a second */
	uint64_t begin, acks;
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.reack_per_s = RATE});
	begin = c.now;
	assert_int_equal(inject_marked(&c, 0, 0), REMU_DROP_NONE);
	for (int i = 0; i < FLOOD; i++) {
		enum remu_drop verdict = conf_inject(&c,
			&(struct roce_fields){.opcode = WRITE_ONLY, .ackreq = true}, NULL, 0);

		if (verdict == REMU_DROP_NONE)
			conf_expect(&c,
				&(struct roce_fields){.opcode = 0x11, .syndrome = ACK, .msn = 1},
				NULL, 0);
		else
			assert_int_equal(verdict, REMU_DROP_RATE);
		conf_expect_silence(&c);
		c.now += STEP_NS;
	}
	acks = stats(&c)->acks_sent;
	assert_int_equal((c.now - begin) / STEP_NS, FLOOD);
	assert_in_range(acks, RATE - RATE / 10, 2 * RATE);
	assert_int_equal(stats(&c)->drops[REMU_DROP_RATE], FLOOD - acks);
	assert_int_equal(stats(&c)->writes_executed, 1);
	conf_close(&c);
}

/* So do duplicate READs for bytes: a short request must not bring long answers without end. */
static void
c255_flood_of_duplicate_reads_is_answered_at_a_rate(void **state)
{
	enum { LEN = 64 * MTU, RATE = 10 * LEN, STEP_NS = 1 * MS };
	uint64_t bytes = 0;
	struct conf c;

	(void)state;
	conf_open(&c, &(struct conf_config){.replay_bytes_per_s = RATE});
	assert_int_equal(remu_mr_register(c.e,
				 &(struct remu_mr_config){.addr = c.local,
					 .va = CONF_VA,
					 .length = LEN,
					 .rkey = CONF_RKEY,
					 .pd = CONF_PD,
					 .access = REMU_ACCESS_REMOTE_READ}),
		0);
	for (int i = 0; i < 1000; i++) {
		enum remu_drop verdict = conf_inject(&c,
			&(struct roce_fields){.opcode = 0x0c,
				.va = CONF_VA,
				.rkey = CONF_RKEY,
				.dma_len = LEN},
			NULL, 0);

		assert_true(verdict == REMU_DROP_NONE || (i != 0 && verdict == REMU_DROP_RATE));
		while (conf_tx(&c) != NULL)
			bytes += i == 0 ? 0 : MTU;
		c.now += STEP_NS;
	}
	assert_in_range(bytes, RATE - RATE / 4, 3 * RATE);
	assert_true(stats(&c)->drops[REMU_DROP_RATE] > 0);
	conf_close(&c);
}

/* Packets kept for closed gaps: no more than allowed, and each is given back. */
static void
c256_held_packets_are_bounded(void **state)
{
	static const uint32_t limits[] = {1, 7, 64, 1000};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(limits); i++) {
		uint32_t most = RTE_MIN(limits[i], 64u), held = 0;

		conf_open(&c, &(struct conf_config){.hold_max = limits[i], .rq_psn = 0xffffd0});
		snprintf(c.label, sizeof(c.label), "hold_max %u", limits[i]);
		for (uint32_t ahead = 200; ahead > 0; ahead--) {
			enum remu_drop verdict = inject_marked(&c, (0xffffd0 + ahead) & 0xffffff,
				0);

			assert_true(verdict == REMU_DROP_PSN_AHEAD || verdict == REMU_DROP_COUNT);
			held += verdict == REMU_DROP_COUNT;
			assert_int_equal(stats(&c)->rx_held, held);
		}
		assert_in_range(held, 1, most);
		assert_int_equal(rte_mempool_in_use_count(c.pool), held);
		assert_int_equal(stats(&c)->writes_executed, 0);
		conf_expect(&c,
			&(struct roce_fields){.opcode = 0x11, .psn = 0xffffd0, .syndrome = NAK},
			NULL, 0);
		conf_expect_silence(&c);
		/* Close gap after gap: all is carried out in the end. */
		for (uint32_t n = 0; n < 201; n++) {
			struct conf_frame frame;

			conf_frame(&frame, &c.in, 0,
				&(struct roce_fields){.opcode = WRITE_ONLY,
					.pkey = 0xffff,
					.dest_qpn = CONF_QPN,
					.psn = (0xffffd0 + n) & 0xffffff},
				NULL, 0);
			conf_rx(&c, &frame);
		}
		assert_int_equal(conf_info(&c).epsn, (0xffffd0 + 201) & 0xffffff);
		assert_int_equal(stats(&c)->writes_executed, 201);
		assert_int_equal(stats(&c)->rx_held, 0);
		while (conf_tx(&c) != NULL)
			;
		conf_close(&c);
	}
}

/* A CNP takes the path of the connection, but for the traffic class. */
static void
c257_cnp_takes_the_path_of_the_connection(void **state)
{
	struct conf c;

	(void)state;
	for (int i = 0; i < 4; i++) {
		conf_open(&c,
			&(struct conf_config){.ipv6 = i & 1,
				.tagged = i & 2,
				.vlan_tci = 0x2005,
				.traffic_class = 0x68,
				.hop_limit = 9});
		assert_int_equal(inject_marked(&c, 0, CE), REMU_DROP_NONE);
		c.out.tos = CNP_TOS;
		conf_expect(&c, &(struct roce_fields){.opcode = CNP, .fecn_becn = 0x40}, NULL, 0);
		assert_int_equal(c.last.len, CNP_LEN + (i & 1 ? 20 : 0) + (i & 2 ? 4 : 0));
		conf_expect_silence(&c);
		conf_close(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c91_cnp_for_our_qp_lowers_the_window),
		cmocka_unit_test(c91_ce_marks_send_one_cnp_per_interval),
		cmocka_unit_test(c92_mutated_packets_reach_no_other_memory),
		cmocka_unit_test(c93_flood_of_future_psns_gets_one_nak),
		cmocka_unit_test(c251_window_has_a_floor_and_grows_again),
		cmocka_unit_test(c252_cnp_of_others_is_dropped),
		cmocka_unit_test(c253_only_valid_packets_are_marked),
		cmocka_unit_test(c254_flood_of_duplicates_is_answered_at_a_rate),
		cmocka_unit_test(c255_flood_of_duplicate_reads_is_answered_at_a_rate),
		cmocka_unit_test(c256_held_packets_are_bounded),
		cmocka_unit_test(c257_cnp_takes_the_path_of_the_connection),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
