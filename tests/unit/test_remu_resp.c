/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Responder. Scenarios are lists of requests with the verdict that each must get; the answers to
 * the byte, the memory, the expected PSN and the message count follow from the verdict.
 */
#include "eal.h"
#include "frame_maker.h"
#include "wire.h"

#include <remu_priv.h>

enum {
	MTU = 1024,
	LEN = 8192,
	RED = 4096, /* around the region */
	SYNC_OFF = 512,
	SYNC_LEN = 1400,
	STEPS = 12,
	HALF = 1 << 23,
	READS = 64, /* answers that can wait */
	NAKS = 64,  /* the same, and as many as the rate limit admits at once */
};

#define BASE INT64_C(0x7000000000)

/* Regions over the same memory, by rkey. */
enum key { RW = 0x100, RO, WO, OTHER_PD, SYNC, NO_KEY };

enum flags {
	NOACK = 1 << 0,
	PAD = 1 << 1,	   /* pad count 2 although the length needs none */
	RESYNC = 1 << 2,   /* takes the PSN over */
	QUIET = 1 << 3,	   /* PSN ahead, but the NAK is out already */
	SCRIBBLE = 1 << 4, /* the memory changes before this step */
};

/* Shorthand for the tables. */
enum {
	ONLY = ROCE_WRITE_ONLY,
	FIRST = ROCE_WRITE_FIRST,
	MID = ROCE_WRITE_MIDDLE,
	LAST = ROCE_WRITE_LAST,
	READ = ROCE_READ_REQUEST,
	OK = REMU_DROP_NONE,
	AHEAD = REMU_DROP_PSN_AHEAD,
	DUP = REMU_DROP_DUPLICATE,
	INV = REMU_DROP_INVALID,
	ACC = REMU_DROP_ACCESS,
	UNSYNC = REMU_DROP_NOT_SYNCED,
	STATE = REMU_DROP_QP_STATE,
};

struct step {
	uint8_t op;
	int32_t psn;  /* from the first expected */
	int64_t off;  /* VA from the region's */
	uint32_t dma; /* DMA length */
	uint32_t len; /* payload */
	uint8_t verdict;
	uint16_t key; /* 0: RW */
	uint8_t flags;
	int32_t ack_back; /* duplicate: the ACK's PSN is that much before the last executed */
};

struct scenario {
	const char *name;
	struct step steps[STEPS];
	uint32_t access, flags, max_dest;
};

struct stage {
	struct bench b;
	uint8_t *memory; /* red zone, region, red zone */
	uint8_t *model;
	uint64_t seed;
	uint32_t epsn;
	uint32_t msn;
	uint32_t write_off; /* where the WRITE under way goes on */
	bool failed;
};

static void
register_region(struct stage *s, uint32_t rkey, uint32_t access, uint32_t pd, uint32_t off,
	uint32_t len)
{
	struct remu_mr_config cfg = {
		.addr = s->memory + RED + off,
		.va = BASE + off,
		.length = len,
		.rkey = rkey,
		.pd = pd,
		.access = access,
	};

	assert_int_equal(remu_mr_register(s->b.e, &cfg), 0);
}

static void
open_stage(struct stage *s, const struct wire_config *cfg)
{
	enum { R = REMU_ACCESS_REMOTE_READ, W = REMU_ACCESS_REMOTE_WRITE };
	struct wire_config plain = *cfg;

	memset(s, 0, sizeof(*s));
	plain.disable = REMU_RECOVERY_ALL;
	bench_open(&s->b, &plain);
	s->seed = 1;
	s->epsn = cfg->rq_psn;
	s->memory = malloc(LEN + 2 * RED);
	s->model = malloc(LEN + 2 * RED);
	assert_true(s->memory != NULL && s->model != NULL);
	prng_fill(&s->seed, s->memory, LEN + 2 * RED);
	memcpy(s->model, s->memory, LEN + 2 * RED);
	register_region(s, RW, R | W, WIRE_PD, 0, LEN);
	register_region(s, RO, R, WIRE_PD, 0, LEN);
	register_region(s, WO, W, WIRE_PD, 0, LEN);
	register_region(s, OTHER_PD, R | W, WIRE_PD + 1, 0, LEN);
	register_region(s, SYNC, R | REMU_ACCESS_RESYNC, WIRE_PD, SYNC_OFF, SYNC_LEN);
}

static void
close_stage(struct stage *s)
{
	bench_close(&s->b);
	free(s->memory);
	free(s->model);
}

static void
check(const struct stage *s, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		fail_msg("%s: %s is %lx instead of %lx", s->b.label, what, got, want);
}

static uint32_t
packets(uint32_t len)
{
	return len == 0 ? 1 : (len + MTU - 1) / MTU;
}

static void
expect_aeth(struct stage *s, uint8_t opcode, uint32_t psn, uint8_t syndrome, const void *payload,
	uint32_t len)
{
	bool aeth = opcode != ROCE_READ_RESPONSE_MIDDLE;

	bench_expect(&s->b,
		&(struct roce_fields){
			.opcode = opcode,
			.psn = psn,
			.syndrome = aeth ? syndrome : 0,
			.msn = aeth ? s->msn : 0,
		},
		payload, len);
}

static void
expect_data(struct stage *s, uint32_t psn, int64_t off, uint32_t len)
{
	uint32_t n = packets(len);

	for (uint32_t k = 0; k < n; k++) {
		static const uint8_t opcodes[2][2] = {
			{ROCE_READ_RESPONSE_MIDDLE, ROCE_READ_RESPONSE_LAST},
			{ROCE_READ_RESPONSE_FIRST, ROCE_READ_RESPONSE_ONLY},
		};

		expect_aeth(s, opcodes[k == 0][k == n - 1], psn + k, ROCE_SYN_ACK_NO_LIMIT,
			s->model + RED + off + k * MTU, RTE_MIN(len - k * MTU, (uint32_t)MTU));
	}
}

static enum remu_drop
request(struct stage *s, const struct step *step, uint32_t psn, const uint8_t *payload)
{
	uint32_t reth = roce_ops[step->op].traits & ROCE_T_RETH;
	struct rte_mbuf *m = bench_craft(&s->b,
		&(struct roce_fields){
			.opcode = step->op,
			.psn = psn,
			.ackreq = !(step->flags & NOACK),
			.va = reth ? BASE + (uint64_t)step->off : 0,
			.rkey = reth ? step->key != 0 ? step->key : (uint32_t)RW : 0,
			.dma_len = reth ? step->dma : 0,
		},
		payload, step->len);

	if (step->flags & PAD) {
		*rte_pktmbuf_mtod_offset(m, uint8_t *, ROCE_L2L4_LEN + 1) |= 2
			<< ROCE_BTH_PAD_SHIFT;
		frame_reseal(m);
	}
	return bench_rx(&s->b, m);
}

/* What a request that was accepted must have done, and its answer. */
static void
check_accepted(struct stage *s, const struct step *step, uint32_t psn, const uint8_t *payload)
{
	uint32_t traits = roce_ops[step->op].traits;
	bool duplicate = psn != s->epsn;

	if (!duplicate) {
		if (traits & (ROCE_T_FIRST | ROCE_T_ONLY))
			s->write_off = (uint32_t)(RED + step->off);
		if (step->len != 0)
			memcpy(s->model + s->write_off, payload, step->len);
		s->write_off += step->len;
		s->msn += (traits & (ROCE_T_LAST | ROCE_T_ONLY)) != 0;
		s->epsn = (psn + (step->op == READ ? packets(step->dma) : 1)) & 0xffffff;
	}
	if (step->op == READ)
		expect_data(s, psn, step->dma != 0 ? step->off : 0, step->dma);
	else if (!(step->flags & NOACK))
		expect_aeth(s, ROCE_ACKNOWLEDGE,
			duplicate ? s->epsn - 1 - (uint32_t)step->ack_back : psn,
			ROCE_SYN_ACK_NO_LIMIT, NULL, 0);
}

static void
run_step(struct stage *s, const struct step *step, uint32_t start, bool bootstrap)
{
	uint32_t psn = (start + (uint32_t)step->psn) & 0xffffff;
	uint8_t payload[2 * MTU];
	struct remu_qp_info info;
	struct remu_wc wc;

	if (step->flags & SCRIBBLE) {
		prng_fill(&s->seed, s->memory, LEN + 2 * RED);
		memcpy(s->model, s->memory, LEN + 2 * RED);
	}
	prng_fill(&s->seed, payload, step->len);
	check(s, "verdict", request(s, step, psn, payload), step->verdict);
	if (step->flags & RESYNC)
		s->epsn = psn;
	switch (step->verdict) {
	case OK:
		check_accepted(s, step, psn, payload);
		break;
	case AHEAD:
		if (!(step->flags & QUIET))
			expect_aeth(s, ROCE_ACKNOWLEDGE, s->epsn, ROCE_NAK_PSN_SEQUENCE, NULL, 0);
		break;
	case INV:
	case ACC:
		expect_aeth(s, ROCE_ACKNOWLEDGE, psn,
			step->verdict == INV ? ROCE_NAK_INVALID_REQUEST : ROCE_NAK_REMOTE_ACCESS,
			NULL, 0);
		if (bootstrap)
			break;
		s->failed = true;
		check(s, "completions", remu_engine_poll_wc(s->b.e, &wc, 1), 1);
		check(s, "kind of completion", wc.kind, REMU_WC_FATAL);
		check(s, "QPN of completion", wc.qpn, WIRE_QPN);
		break;
	default:
		break;
	}
	bench_expect_silence(&s->b);
	bench_expect_no_wc(&s->b);
	info = bench_info(&s->b);
	check(s, "state", info.state, s->failed ? REMU_QP_ERR : REMU_QP_RTS);
	check(s, "expected PSN", info.epsn, s->epsn);
	check(s, "MSN", info.msn, s->msn);
	check(s, "memory", memcmp(s->memory, s->model, LEN + 2 * RED) != 0, 0);
}

/* Numbers are those of the conformance checklist. */
static const struct scenario scenarios[] = {
	{"21 WRITE only", {{ONLY, 0, 64, 100, 100, OK}}},
	{"22 no ACK unasked", {{ONLY, 0, 0, 8, 8, OK, RW, NOACK}, {ONLY, 1, 8, 8, 8, OK}}},
	{"23 WRITE of three",
		{{FIRST, 0, 1, 2 * MTU + 9, MTU, OK, RW, NOACK}, {MID, 1, 0, 0, MTU, OK, RW, NOACK},
			{LAST, 2, 0, 0, 9, OK}, {ONLY, 3, 0, 1, 1, OK}}},
	{"24-26 gap, one NAK",
		{{ONLY, 1, 0, 8, 8, AHEAD}, {ONLY, 2, 0, 8, 8, AHEAD, RW, QUIET},
			{READ, 3, 0, 8, 0, AHEAD, RW, QUIET}, {ONLY, 0, 0, 8, 8, OK},
			{ONLY, 2, 0, 8, 8, AHEAD}, {ONLY, 3, 0, 8, 8, AHEAD, RW, QUIET},
			{READ, 1, 0, 8, 0, OK}, {ONLY, 3, 0, 8, 8, AHEAD}}},
	{"25 duplicates are served while a NAK is out",
		{{ONLY, 0, 0, 8, 8, OK}, {ONLY, 3, 0, 8, 8, AHEAD}, {ONLY, 0, 0, 8, 8, OK},
			{ONLY, 3, 0, 8, 8, AHEAD, RW, QUIET}}},
	{"27 farthest ahead", {{ONLY, HALF - 1, 0, 8, 8, AHEAD}}},
	{"27 duplicate half",
		{{ONLY, -1, 0, 8, 8, OK}, {ONLY, -HALF, 0, 8, 8, OK}, {ONLY, HALF, 0, 8, 8, OK}}},
	{"28 duplicate WRITE",
		{{ONLY, 0, 0, 8, 8, OK}, {ONLY, 1, 8, 8, 8, OK},
			{ONLY, 0, 0, 8, 8, OK, RW, SCRIBBLE},
			{ONLY, 0, 0, 8, 8, DUP, RW, NOACK | SCRIBBLE}}},
	{"28 duplicates of one message",
		{{FIRST, 0, 0, 3 * MTU, MTU, OK, RW, NOACK}, {MID, 1, 0, 0, MTU, OK, RW, NOACK},
			{FIRST, 0, 0, 3 * MTU, MTU, DUP, RW, NOACK | SCRIBBLE},
			{MID, 1, 0, 0, MTU, DUP, RW, NOACK}, {LAST, 2, 0, 0, MTU, OK},
			{LAST, 2, 0, 0, MTU, OK, RW, SCRIBBLE}}},
	{"28 duplicate ACK stops before a READ",
		{{ONLY, 0, 0, 8, 8, OK}, {READ, 1, 0, 2 * MTU, 0, OK}, {ONLY, 3, 0, 8, 8, OK},
			{ONLY, 0, 0, 8, 8, OK, RW, 0, 3}, {ONLY, 3, 0, 8, 8, OK}}},
	{"29 bad duplicates",
		{{ONLY, 0, 0, 8, 8, OK}, {READ, 1, 0, 8, 0, OK},
			{ONLY, 0, 0, 8, 8, OK, NO_KEY, 0, 1}, {READ, 1, 0, 8, 0, DUP, NO_KEY},
			{READ, 0, 0, 8, 0, DUP}, {ROCE_SEND_ONLY, 0, 0, 0, 8, OK, 0, 0, 1},
			{ROCE_FETCH_ADD, 1, 0, 0, 0, DUP}, {ONLY, 2, 0, 8, 8, OK}}},
	{"32 MIDDLE first", {{MID, 0, 0, 0, MTU, INV}, {ONLY, 0, 0, 8, 8, STATE}}},
	{"32 LAST first", {{LAST, 0, 0, 0, 8, INV}}},
	{"32 LAST after a whole message", {{ONLY, 0, 0, 8, 8, OK}, {LAST, 1, 0, 0, 8, INV}}},
	{"33 SEND LAST after FIRST",
		{{FIRST, 0, 0, 2 * MTU, MTU, OK, RW, NOACK}, {ROCE_SEND_LAST, 1, 0, 0, MTU, INV}}},
	{"33 ONLY after FIRST",
		{{FIRST, 0, 0, 2 * MTU, MTU, OK, RW, NOACK}, {ONLY, 1, 0, 8, 8, INV}}},
	{"33 FIRST after FIRST",
		{{FIRST, 0, 0, 2 * MTU, MTU, OK, RW, NOACK}, {FIRST, 1, 0, 2 * MTU, MTU, INV}}},
	{"34 READ after FIRST",
		{{FIRST, 0, 0, 2 * MTU, MTU, OK, RW, NOACK}, {READ, 1, 0, 8, 0, INV}}},
	{"35 FIRST too short", {{FIRST, 0, 0, 2 * MTU, MTU - 1, INV}}},
	{"35 FIRST too long", {{FIRST, 0, 0, 2 * MTU, MTU + 1, INV}}},
	{"35 ONLY too long", {{ONLY, 0, 0, MTU + 1, MTU + 1, INV}}},
	{"35 MIDDLE too short",
		{{FIRST, 0, 0, 3 * MTU, MTU, OK, RW, NOACK}, {MID, 1, 0, 0, MTU - 4, INV}}},
	{"35 MIDDLE too long",
		{{FIRST, 0, 0, 4 * MTU, MTU, OK, RW, NOACK}, {MID, 1, 0, 0, MTU + 4, INV}}},
	{"36 LAST of nothing",
		{{FIRST, 0, 0, MTU + 1, MTU, OK, RW, NOACK}, {LAST, 1, 0, 0, 0, INV}}},
	{"36 FIRST of a whole message", {{FIRST, 0, 0, MTU, MTU, INV}}},
	{"37 sum too short",
		{{FIRST, 0, 0, 2 * MTU, MTU, OK, RW, NOACK}, {LAST, 1, 0, 0, MTU - 1, INV}}},
	{"37 sum too long", {{FIRST, 0, 0, MTU + 4, MTU, OK, RW, NOACK}, {LAST, 1, 0, 0, 5, INV}}},
	{"37 MIDDLE where LAST is due",
		{{FIRST, 0, 0, 2 * MTU, MTU, OK, RW, NOACK}, {MID, 1, 0, 0, MTU, INV}}},
	{"37 LAST where MIDDLE is due",
		{{FIRST, 0, 0, 3 * MTU, MTU, OK, RW, NOACK}, {LAST, 1, 0, 0, MTU, INV}}},
	{"37 ONLY shorter than said", {{ONLY, 0, 0, 9, 8, INV}}},
	{"37 ONLY longer than said", {{ONLY, 0, 0, 8, 9, INV}}},
	{"38 FIRST with pad", {{FIRST, 0, 0, 2 * MTU, MTU, INV, RW, PAD}}},
	{"39 DMA length", {{ONLY, 0, 0, (1u << 31) + 1, 8, INV}}},
	{"39 DMA length of a READ", {{READ, 0, 0, (1u << 31) + 1, 0, INV}}},
	{"39 largest DMA length", {{FIRST, 0, 0, 1u << 31, MTU, ACC}}},
	{"40 WRITE of nothing", {{ONLY, 0, -99, 0, 0, OK, NO_KEY}}},
	{"41 WRITE of nothing with payload", {{ONLY, 0, 0, 0, 4, INV, NO_KEY}}},
	{"42 unknown rkey", {{ONLY, 0, 0, 8, 8, ACC, NO_KEY}, {ONLY, 0, 0, 8, 8, STATE}}},
	{"42 other domain", {{ONLY, 0, 0, 8, 8, ACC, OTHER_PD}}},
	{"42 other domain, READ", {{READ, 0, 0, 8, 0, ACC, OTHER_PD}}},
	{"43 below", {{ONLY, 0, -1, 8, 8, ACC}}},
	{"43 one past", {{ONLY, 0, LEN - 7, 8, 8, ACC}}},
	{"43 behind", {{ONLY, 0, LEN, 1, 1, ACC}}},
	{"43 wraps", {{ONLY, 0, -BASE - 4, 8, 8, ACC}}},
	{"43 FIRST in, LAST out", {{FIRST, 0, LEN - MTU, MTU + 1, MTU, ACC}}},
	{"43 READ one past", {{READ, 0, 1, LEN, 0, ACC}}},
	{"44 whole region",
		{{FIRST, 0, 0, LEN, MTU, OK, RW, NOACK}, {MID, 1, 0, 0, MTU, OK},
			{MID, 2, 0, 0, MTU, OK, RW, NOACK}, {MID, 3, 0, 0, MTU, OK, RW, NOACK},
			{MID, 4, 0, 0, MTU, OK}, {MID, 5, 0, 0, MTU, OK}, {MID, 6, 0, 0, MTU, OK},
			{LAST, 7, 0, 0, MTU, OK}, {READ, 8, 0, LEN, 0, OK},
			{ONLY, 16, LEN - 1, 1, 1, OK}}},
	{"45 WRITE to read-only", {{READ, 0, 0, 8, 0, OK, RO}, {ONLY, 1, 0, 8, 8, ACC, RO}}},
	{"45 READ of write-only", {{ONLY, 0, 0, 8, 8, OK, WO}, {READ, 1, 0, 8, 0, ACC, WO}}},
	{"46 WRITE disabled", {{READ, 0, 0, 8, 0, OK}, {ONLY, 1, 0, 8, 8, INV}},
		.access = REMU_ACCESS_REMOTE_READ},
	{"46 READ disabled", {{ONLY, 0, 0, 8, 8, OK}, {READ, 1, 0, 8, 0, INV}},
		.access = REMU_ACCESS_REMOTE_WRITE},
	{"46 atomics", {{ROCE_FETCH_ADD, 0, 0, 0, 0, INV}}},
	{"46 SEND", {{ROCE_SEND_ONLY, 0, 0, 0, 8, INV}}},
	{"46 immediate", {{ROCE_WRITE_ONLY_IMM, 0, 0, 8, 8, INV}}},
	{"53 READ of all sizes",
		{{READ, 0, 0, 1, 0, OK}, {READ, 1, 5, MTU, 0, OK}, {READ, 2, 1, MTU + 1, 0, OK},
			{READ, 4, 3, 4 * MTU, 0, OK}, {READ, 8, 0, 4 * MTU - 1, 0, OK}}},
	{"54 READ of nothing",
		{{READ, 0, -99, 0, 0, OK, NO_KEY}, {READ, 0, -99, 0, 0, OK, NO_KEY}}},
	{"55 READ unasked", {{READ, 0, 0, 8, 0, OK, RW, NOACK}}},
	{"56 READ of bad range", {{READ, 0, LEN - MTU, MTU + 1, 0, ACC}}},
	{"57-58 READ again",
		{{READ, 0, 0, 4 * MTU, 0, OK}, {READ, 0, 0, 4 * MTU, 0, OK, RW, SCRIBBLE},
			{READ, 1, MTU, 3 * MTU, 0, OK}, {READ, 3, 3 * MTU, MTU, 0, OK},
			{READ, 0, 0, 4 * MTU, 0, OK}, {ONLY, 4, 0, 8, 8, OK}}},
	{"59 READ again, but another",
		{{READ, 0, 0, 4 * MTU, 0, OK}, {READ, 1, MTU + 1, 3 * MTU, 0, DUP},
			{READ, 1, MTU, 3 * MTU - 1, 0, DUP}, {READ, 1, MTU, 2 * MTU, 0, DUP},
			{READ, 1, MTU, 3 * MTU, 0, DUP, RO}, {READ, 0, MTU, 3 * MTU, 0, DUP},
			{READ, -1, 0, 4 * MTU, 0, DUP}, {READ, 3, 3 * MTU, MTU, 0, OK}}},
	{"60 READ too old",
		{{READ, 0, 0, 8, 0, OK}, {READ, 1, 0, 8, 0, OK}, {READ, 2, 0, 8, 0, OK},
			{READ, 0, 0, 8, 0, DUP}, {READ, 1, 0, 8, 0, OK}, {READ, 2, 0, 8, 0, OK}},
		.max_dest = 2},
	{"61-62 READ after WRITE",
		{{ONLY, 0, 0, 99, 99, OK}, {READ, 1, 0, 99, 0, OK}, {ONLY, 2, 0, 8, 8, OK}}},
	{"bootstrap: WRITE before the first READ",
		{{ONLY, 0, 0, 8, 8, UNSYNC}, {READ, 0, 0, 8, 0, ACC},
			{READ, 100, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC},
			{ONLY, 102, 0, 8, 8, OK}},
		.flags = REMU_QP_BOOTSTRAP},
	{"bootstrap: only a READ of exactly the region",
		{{READ, 0, SYNC_OFF, SYNC_LEN - 1, 0, ACC, SYNC},
			{READ, 0, SYNC_OFF + 1, SYNC_LEN - 1, 0, ACC, SYNC},
			{READ, 0, SYNC_OFF, SYNC_LEN, 0, ACC, RW},
			{READ, 0, SYNC_OFF, SYNC_LEN, 0, ACC, OTHER_PD},
			{READ, 0, SYNC_OFF, 0, 0, ACC, SYNC}, {READ, 0, 0, LEN, 0, ACC, RW},
			{READ, -7, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC},
			{READ, -4, SYNC_OFF, SYNC_LEN - 1, 0, AHEAD, SYNC}},
		.flags = REMU_QP_BOOTSTRAP},
	{"bootstrap: any PSN, again and again",
		{{READ, 0, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC}, {ONLY, 2, 0, 8, 8, OK},
			{READ, 3, SYNC_OFF, SYNC_LEN, 0, OK, SYNC}, {ONLY, 5, 0, 8, 8, OK},
			{READ, -HALF, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC},
			{ONLY, 2 - HALF, 0, 8, 8, OK},
			{READ, -9999, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC},
			{ONLY, -9997, 0, 8, 8, OK}, {ONLY, -9996, 0, 8, 8, OK}},
		.flags = REMU_QP_BOOTSTRAP},
	{"bootstrap: a late copy does not turn back",
		{{READ, 0, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC}, {ONLY, 2, 0, 8, 8, OK},
			{READ, 0, SYNC_OFF, SYNC_LEN, 0, OK, SYNC}, {ONLY, 3, 0, 8, 8, OK},
			{ONLY, 2, 0, 8, 8, OK, RW, SCRIBBLE}},
		.flags = REMU_QP_BOOTSTRAP},
	{"bootstrap: a refused request does not kill",
		{{READ, 5, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC},
			{ONLY, 7, 0, 8, 8, ACC, NO_KEY}, {ONLY, 7, 0, 8, 8, OK},
			{ROCE_SEND_ONLY, 8, 0, 0, 8, INV},
			{FIRST, 8, 0, 2 * MTU, MTU, OK, RW, NOACK}, {LAST, 9, 0, 0, 8, INV},
			{LAST, 9, 0, 0, MTU, INV},
			{READ, 99, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC},
			{ONLY, 101, 0, 8, 8, OK}},
		.flags = REMU_QP_BOOTSTRAP},
	{"bootstrap: a resync ends the message under way",
		{{READ, 0, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC},
			{FIRST, 2, 0, 2 * MTU, MTU, OK, RW, NOACK},
			{READ, 50, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC},
			{LAST, 52, 0, 0, MTU, INV}, {ONLY, 52, 0, 8, 8, OK}},
		.flags = REMU_QP_BOOTSTRAP},
	{"ordinary: no resync",
		{{READ, 9, SYNC_OFF, SYNC_LEN, 0, AHEAD, SYNC},
			{READ, 0, SYNC_OFF, SYNC_LEN, 0, OK, SYNC},
			{READ, -9, SYNC_OFF, SYNC_LEN, 0, DUP, SYNC}}},
};

/* Statement 31 goes with it: each scenario also runs across the wrap. */
static void
remu__resp_request__checklist(void **state)
{
	static const uint32_t starts[] = {0x1000, 0, 0xffffff, 0xfffffe, 0x7fffff};
	struct stage s;

	(void)state;
	for (size_t k = 0; k < RTE_DIM(starts); k++)
		for (size_t i = 0; i < RTE_DIM(scenarios); i++) {
			const struct scenario *sc = &scenarios[i];

			open_stage(&s,
				&(struct wire_config){
					.access = sc->access,
					.flags = sc->flags,
					.max_dest = sc->max_dest,
					.rq_psn = starts[k],
				});
			for (int n = 0; n < STEPS && (sc->steps[n].op != 0 || n == 0); n++) {
				snprintf(s.b.label, sizeof(s.b.label), "%s, step %d from %x",
					sc->name, n, starts[k]);
				run_step(&s, &sc->steps[n], starts[k], sc->flags != 0);
			}
			close_stage(&s);
		}
}

/* Statements 14 to 17 on a request that is in order otherwise. */
static void
remu__resp_request__header_bits(void **state)
{
	static const struct {
		uint16_t pkey;
		bool migreq, solicited;
		uint8_t fecn_becn, reserved7;
		uint8_t verdict;
	} cases[] = {
		{0xffff, false, false, 0, 0, OK},
		{0xffff, true, true, 0xff, 0x7f, OK},
		{0x7fff, true, false, 0, 0, OK},
		{0x0001, true, false, 0, 0, REMU_DROP_PKEY},
		{0x8000, true, false, 0, 0, REMU_DROP_PKEY},
		{0xfffe, true, false, 0, 0, REMU_DROP_PKEY},
	};
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		assert_int_equal(bench_inject(&s.b,
					 &(struct roce_fields){
						 .opcode = ONLY,
						 .psn = s.epsn,
						 .ackreq = true,
						 .pkey = cases[i].pkey,
						 .migreq = cases[i].migreq,
						 .solicited = cases[i].solicited,
						 .fecn_becn = cases[i].fecn_becn,
						 .reserved7 = cases[i].reserved7,
					 },
					 NULL, 0),
			cases[i].verdict);
		if (cases[i].verdict == OK) {
			s.msn++;
			expect_aeth(&s, ROCE_ACKNOWLEDGE, s.epsn++, ROCE_SYN_ACK_NO_LIMIT, NULL, 0);
		}
		bench_expect_silence(&s.b);
	}
	close_stage(&s);
}

/* Statement 52. */
static void
remu__resp_request__by_state(void **state)
{
	static const struct step write = {ONLY, 0, 0, 8, 8, OK};
	static const struct step again = {ONLY, 0, 0, 8, 8, OK, .flags = NOACK};
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){.rq_psn = 9});
	for (int to = REMU_QP_RESET; to <= REMU_QP_RTS; to++) {
		bool serves = to >= REMU_QP_RTR;

		assert_int_equal(remu_qp_modify(s.b.e, s.b.qp, (enum remu_qp_state)to, &s.b.attr),
			0);
		assert_int_equal(request(&s, to == REMU_QP_RTR ? &write : &again,
					 to == REMU_QP_RTS ? 10 : 9, s.model + RED),
			serves ? OK : STATE);
		s.msn += serves;
		if (to == REMU_QP_RTR)
			expect_aeth(&s, ROCE_ACKNOWLEDGE, 9, ROCE_SYN_ACK_NO_LIMIT, NULL, 0);
		bench_expect_silence(&s.b);
	}
	assert_int_equal(remu_qp_modify(s.b.e, s.b.qp, REMU_QP_ERR, NULL), 0);
	assert_int_equal(request(&s, &write, 11, s.model), STATE);
	bench_expect_silence(&s.b);
	close_stage(&s);
}

/* Statement 47, and the same for a READ whose answer waits. */
static void
remu_mr_deregister__in_the_middle_of_a_message(void **state)
{
	static const struct step first = {FIRST, 0, 0, 2 * MTU, MTU, OK, .flags = NOACK};
	static const struct step last = {LAST, 1, 0, 0, MTU, ACC};
	static const struct step read = {READ, 0, 0, 3 * MTU, 0, OK};
	struct stage s;

	(void)state;
	for (int again = 0; again < 2; again++) { /* registered again at once: no help */
		open_stage(&s, &(struct wire_config){0});
		run_step(&s, &first, 0, false);
		assert_int_equal(remu_mr_deregister(s.b.e, WIRE_PD, RW), 0);
		if (again)
			register_region(&s, RW, REMU_ACCESS_REMOTE_WRITE, WIRE_PD, 0, LEN);
		run_step(&s, &last, 0, false);
		close_stage(&s);
	}
	for (int sent = 0; sent < 3; sent++) {
		open_stage(&s, &(struct wire_config){.max_dest = 1});
		assert_int_equal(request(&s, &read, 0, NULL), OK);
		s.msn++;
		for (int i = 0; i < sent; i++)
			assert_int_equal(bench_tx(&s.b)->pkt.f.psn, i);
		assert_int_equal(remu_mr_deregister(s.b.e, WIRE_PD, RW), 0);
		/* In the middle Soft-RoCE would take a NAK for the end of the data. */
		if (sent == 0)
			expect_aeth(&s, ROCE_ACKNOWLEDGE, 0, ROCE_NAK_REMOTE_ACCESS, NULL, 0);
		bench_expect_silence(&s.b);
		assert_int_equal(bench_info(&s.b).state, REMU_QP_ERR);
		close_stage(&s);
	}
}

/* Statements 61 and 62 without a pause between the requests; ACKs never pass READ data. */
static void
remu__resp_tx__answers_in_order(void **state)
{
	static const struct step steps[] = {
		{ONLY, 0, 0, 8, 8, OK},
		{READ, 1, 0, 2 * MTU, 0, OK},
		{ONLY, 3, 4096, 8, 8, OK},
		{ONLY, 4, 4096, 8, 8, OK},
		{READ, 5, 4096, 8, 0, OK},
		{ONLY, 9, 0, 8, 8, AHEAD},
	};
	static const uint8_t data[8] = "new data";
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){0});
	memcpy(s.model + RED, data, 8);
	memcpy(s.model + RED + 4096, data, 8);
	for (size_t i = 0; i < RTE_DIM(steps); i++)
		assert_int_equal(request(&s, &steps[i], (uint32_t)steps[i].psn, data),
			steps[i].verdict);
	s.msn = 1;
	expect_aeth(&s, ROCE_ACKNOWLEDGE, 0, ROCE_SYN_ACK_NO_LIMIT, NULL, 0);
	s.msn = 2;
	expect_data(&s, 1, 0, 2 * MTU);
	s.msn = 4; /* one ACK for both WRITEs */
	expect_aeth(&s, ROCE_ACKNOWLEDGE, 4, ROCE_SYN_ACK_NO_LIMIT, NULL, 0);
	s.msn = 5;
	expect_data(&s, 5, 4096, 8);
	expect_aeth(&s, ROCE_ACKNOWLEDGE, 6, ROCE_NAK_PSN_SEQUENCE, NULL, 0);
	bench_expect_silence(&s.b);
	close_stage(&s);
}

/*
 * The peer went back to the first of two READs while the answer to the second waits: that answer
 * will come too early to be of use, so the second READ must be answered once more behind the first.
 */
static void
remu__resp_request__go_back_over_two_reads(void **state)
{
	static const struct step reads[] = {
		{READ, 0, 0, 2 * MTU, 0, OK},
		{READ, 2, 4096, 8, 0, OK},
		{READ, 1, MTU, MTU, 0, OK},
		{READ, 2, 4096, 8, 0, OK},
		{READ, 2, 4096, 8, 0, DUP}, /* now it is on its way */
		{READ, 1, MTU, MTU, 0, DUP},
	};
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){0});
	assert_int_equal(request(&s, &reads[0], 0, NULL), OK);
	s.msn = 1;
	expect_data(&s, 0, 0, 2 * MTU);
	for (size_t i = 1; i < RTE_DIM(reads); i++)
		assert_int_equal(request(&s, &reads[i], (uint32_t)reads[i].psn, NULL),
			reads[i].verdict);
	s.msn = 2;
	expect_data(&s, 2, 4096, 8);
	expect_data(&s, 1, MTU, MTU);
	expect_data(&s, 2, 4096, 8);
	bench_expect_silence(&s.b);
	close_stage(&s);
}

/* The ACK of a duplicate, which stops before the READ, must not replace a later one that waits. */
static void
push_ack__keeps_the_later_one(void **state)
{
	static const struct step steps[] = {{ONLY, 0, 0, 8, 8, OK}, {READ, 1, 0, 8, 0, OK},
		{ONLY, 2, 0, 8, 8, OK}};
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(steps); i++)
		run_step(&s, &steps[i], 0, false);
	assert_int_equal(request(&s, &steps[2], 2, s.model), OK);
	assert_int_equal(request(&s, &steps[0], 0, s.model), OK);
	expect_aeth(&s, ROCE_ACKNOWLEDGE, 2, ROCE_SYN_ACK_NO_LIMIT, NULL, 0);
	bench_expect_silence(&s.b);
	close_stage(&s);
}

static void
remu__resp_request__more_reads_than_agreed(void **state)
{
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){.max_dest = 3});
	for (uint32_t psn = 0; psn < 4; psn++)
		assert_int_equal(request(&s, &(struct step){READ, .dma = 8}, psn, NULL),
			psn < 3 ? OK : INV);
	for (s.msn = 1; s.msn <= 3; s.msn++)
		expect_data(&s, s.msn - 1, 0, 8);
	s.msn = 3;
	expect_aeth(&s, ROCE_ACKNOWLEDGE, 3, ROCE_NAK_INVALID_REQUEST, NULL, 0);
	bench_expect_silence(&s.b);
	close_stage(&s);
}

/* A full queue drops requests without a trace; the peer repeats them. */
static void
remu__resp_request__queue_full(void **state)
{
	static const struct step read = {READ, 0, 0, 8, 0, OK};
	static const struct step bad = {ONLY, 2 + READS, 0, 8, 8, ACC, NO_KEY};
	static const struct step good = {ONLY, 2 + READS, 0, 8, 8, OK};
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){.flags = REMU_QP_BOOTSTRAP, .max_dest = READS});
	run_step(&s, &(struct step){READ, 0, SYNC_OFF, SYNC_LEN, 0, OK, SYNC, RESYNC}, 0, true);
	for (uint32_t i = 0; i < READS; i++)
		assert_int_equal(request(&s, &read, 2 + i, NULL), OK);
	for (int i = 0; i < NAKS; i++)
		assert_int_equal(request(&s, &bad, 2 + READS, s.model), REMU_DROP_ACCESS);
	assert_int_equal(request(&s, &bad, 2 + READS, s.model), REMU_DROP_RESP_BUSY);
	assert_int_equal(request(&s, &good, 2 + READS, s.model), REMU_DROP_RESP_BUSY);
	assert_int_equal(bench_info(&s.b).epsn, 2 + READS);
	for (uint32_t i = 0; i < READS; i++) {
		s.msn++;
		expect_data(&s, 2 + i, 0, 8);
	}
	for (int i = 0; i < NAKS; i++)
		expect_aeth(&s, ROCE_ACKNOWLEDGE, 2 + READS, ROCE_NAK_REMOTE_ACCESS, NULL, 0);
	bench_expect_silence(&s.b);
	s.epsn += READS;
	run_step(&s, &good, 0, true);
	close_stage(&s);
}

/* The last packet of a READ is none of a row of READs of one packet, though it is as long. */
static void
remu__resp_tx__row_of_answers(void **state)
{
	enum { SHORT = 64 };
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){0});
	run_step(&s, &(struct step){READ, 0, 0, SHORT, 0, OK}, 0, false);
	assert_int_equal(request(&s, &(struct step){READ, .dma = SHORT}, 1, NULL), OK);
	assert_int_equal(request(&s, &(struct step){READ, .dma = MTU + SHORT}, 2, NULL), OK);
	assert_int_equal(request(&s, &(struct step){READ, .dma = SHORT}, 4, NULL), OK);
	s.msn++;
	expect_data(&s, 1, 0, SHORT);
	s.msn++;
	expect_data(&s, 2, 0, MTU + SHORT);
	s.msn++;
	expect_data(&s, 4, 0, SHORT);
	bench_expect_silence(&s.b);
	close_stage(&s);
}

/* A region that is revoked while an answer waits; the frame of such an answer is known. */
static void
remu__resp_tx__row_of_revoked_answers(void **state)
{
	enum { SHORT = 64 };
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){0});
	run_step(&s, &(struct step){READ, 0, 0, SHORT, 0, OK}, 0, false);
	for (uint32_t psn = 1; psn <= 2; psn++)
		assert_int_equal(request(&s, &(struct step){READ, .dma = SHORT}, psn, NULL), OK);
	assert_int_equal(remu_mr_deregister(s.b.e, WIRE_PD, RW), 0);
	s.msn += 2;
	expect_aeth(&s, ROCE_ACKNOWLEDGE, 1, ROCE_NAK_REMOTE_ACCESS, NULL, 0);
	bench_expect_silence(&s.b);
	assert_int_equal(bench_info(&s.b).state, REMU_QP_ERR);
	close_stage(&s);
}

/* Statement 93. */
static void
remu__resp_request__flood_of_future_psns(void **state)
{
	uint64_t seed = 5;
	struct stage s;

	(void)state;
	open_stage(&s, &(struct wire_config){0});
	for (int i = 0; i < 10000; i++)
		assert_int_equal(request(&s, &(struct step){READ, .dma = 8},
					 1 + prng_below(&seed, HALF - 1), NULL),
			AHEAD);
	expect_aeth(&s, ROCE_ACKNOWLEDGE, 0, ROCE_NAK_PSN_SEQUENCE, NULL, 0);
	bench_expect_silence(&s.b);
	run_step(&s, &(struct step){READ, 0, 0, 8, 0, OK}, 0, false);
	close_stage(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remu__resp_request__checklist),
		cmocka_unit_test(remu__resp_request__header_bits),
		cmocka_unit_test(remu__resp_request__by_state),
		cmocka_unit_test(remu_mr_deregister__in_the_middle_of_a_message),
		cmocka_unit_test(remu__resp_tx__answers_in_order),
		cmocka_unit_test(remu__resp_request__go_back_over_two_reads),
		cmocka_unit_test(push_ack__keeps_the_later_one),
		cmocka_unit_test(remu__resp_request__more_reads_than_agreed),
		cmocka_unit_test(remu__resp_request__queue_full),
		cmocka_unit_test(remu__resp_tx__row_of_answers),
		cmocka_unit_test(remu__resp_tx__row_of_revoked_answers),
		cmocka_unit_test(remu__resp_request__flood_of_future_psns),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
