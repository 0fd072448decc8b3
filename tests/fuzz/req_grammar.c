/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What sensible inputs of the target for the requester look like.
 */
#include "req_world.h"

#include <frame_maker.h>

#include <rte_common.h>

static const uint8_t opcodes[] = {
	ROCE_ACKNOWLEDGE,
	ROCE_ACKNOWLEDGE,
	ROCE_ACKNOWLEDGE,
	ROCE_ACKNOWLEDGE,
	ROCE_READ_RESPONSE_FIRST,
	ROCE_READ_RESPONSE_MIDDLE,
	ROCE_READ_RESPONSE_LAST,
	ROCE_READ_RESPONSE_ONLY,
	ROCE_ATOMIC_ACKNOWLEDGE,
	ROCE_CNP,
	ROCE_WRITE_ONLY,
};

static const uint8_t syndromes[] = {
	ROCE_SYN_ACK_NO_LIMIT,
	ROCE_SYN_ACK_NO_LIMIT,
	ROCE_SYN_ACK_NO_LIMIT,
	ROCE_NAK_PSN_SEQUENCE,
	ROCE_NAK_PSN_SEQUENCE,
	ROCE_NAK_PSN_SEQUENCE,
	ROCE_SYN_RNR | 1,
	ROCE_SYN_RNR | 14,
	ROCE_SYN_RNR,
	ROCE_NAK_INVALID_REQUEST,
	ROCE_NAK_REMOTE_ACCESS,
	ROCE_NAK_REMOTE_OPERATION,
	0x40,
	0x65,
};

static bool
one_in(uint64_t *prng, uint32_t n)
{
	return prng_below(prng, n) == 0;
}

static void
store(uint8_t bytes[2], uint32_t value)
{
	bytes[0] = (uint8_t)value;
	bytes[1] = (uint8_t)(value >> 8);
}

static int8_t
some_psn(uint64_t *prng)
{
	switch (prng_below(prng, 6)) {
	case 0:
		return 0;
	case 1:
		return (int8_t)prng_next(prng);
	default:
		return (int8_t)(prng_below(prng, 12) - 2);
	}
}

static uint8_t
some_wait(uint64_t *prng)
{
	return one_in(prng, 4) ? (uint8_t)prng_next(prng) : 0;
}

static struct fuzz_record
start(uint64_t *prng, enum req_kind kind)
{
	return (struct fuzz_record){
		.kind = kind,
		.wait = some_wait(prng),
		.qp = one_in(prng, 4),
	};
}

static struct fuzz_record
post(uint64_t *prng)
{
	struct fuzz_record rec = start(prng, REQ_POST);

	rec.op = (uint8_t)prng_below(prng, one_in(prng, 16) ? 8 : REMU_WR_COUNT);
	if (one_in(prng, 3))
		rec.op = REMU_WR_RDMA_READ;
	rec.flags = one_in(prng, 4) ? (uint8_t)prng_below(prng, 4) : 0;
	store(rec.off, prng_below(prng, 32) * 8);
	store(rec.len, prng_below(prng, one_in(prng, 2) ? REQ_LEN_MAX + 1 : 600));
	store(rec.load, (uint32_t)prng_next(prng));
	return rec;
}

static struct fuzz_record
response(uint64_t *prng)
{
	struct fuzz_record rec = start(prng, REQ_RESPONSE);

	rec.op = opcodes[prng_below(prng, RTE_DIM(opcodes))];
	rec.psn = some_psn(prng);
	rec.key = syndromes[prng_below(prng, RTE_DIM(syndromes))];
	if (rec.op != ROCE_ACKNOWLEDGE && !one_in(prng, 8))
		rec.key = ROCE_SYN_ACK_NO_LIMIT;
	rec.load[1] = 3 << 6; /* the right length, mostly */
	rec.load[0] = one_in(prng, 8) ? (uint8_t)(prng_below(prng, 9) - 4) : 0;
	if (one_in(prng, 8)) {
		rec.base = REQ_SENT;
		rec.psn = (int8_t) - (int32_t)prng_below(prng, 5);
	}
	if (one_in(prng, 24))
		rec.op = (uint8_t)prng_next(prng);
	return rec;
}

static struct fuzz_record
answer(uint64_t *prng)
{
	struct fuzz_record rec = start(prng, REQ_ANSWER);

	rec.key = (uint8_t)prng_below(prng, one_in(prng, 4) ? 64 : 4);
	rec.op = (uint8_t)(one_in(prng, 3) ? UINT8_MAX : prng_below(prng, 17));
	rec.flags = one_in(prng, 8) ? FUZZ_TAIL : 0;
	return rec;
}

static struct fuzz_record
serve(uint64_t *prng)
{
	struct fuzz_record rec = start(prng, REQ_SERVE);

	if (!one_in(prng, 3)) {
		store(rec.off, (uint32_t)(prng_next(prng) & prng_next(prng)));
		store(rec.len, (uint32_t)(prng_next(prng) & prng_next(prng)));
	}
	rec.flags = one_in(prng, 6);
	return rec;
}

static struct fuzz_record
control(uint64_t *prng)
{
	static const uint8_t changes[] = {REMU_QP_SQD, REMU_QP_RTS, REMU_QP_RTS, REMU_QP_ERR,
		0x80 | REMU_QP_RTS, 0x80 | REMU_QP_RTS, REMU_QP_RESET};
	struct fuzz_record rec = start(prng,
		(enum req_kind)(REQ_MODIFY + prng_below(prng, REQ_KINDS - REQ_MODIFY)));

	rec.op = changes[prng_below(prng, RTE_DIM(changes))];
	rec.flags = (uint8_t)prng_below(prng, 4);
	rec.psn = (int8_t)prng_next(prng);
	rec.key = one_in(prng, 2) ? UINT8_MAX : (uint8_t)prng_below(prng, 8);
	return rec;
}

static struct fuzz_record
wait(uint64_t *prng)
{
	struct fuzz_record rec = start(prng, REQ_WAIT);

	rec.flags = !one_in(prng, 4);
	rec.wait = (uint8_t)prng_next(prng);
	return rec;
}

/* Bytes of a response that the next mutations may take apart. */
static uint32_t
raw(uint64_t *prng, struct fuzz_record *recs)
{
	uint32_t units = 1 + prng_below(prng, 4);
	uint8_t *bytes = (uint8_t *)(recs + 1);

	recs[0] = start(prng, REQ_RAW);
	recs[0].flags = one_in(prng, 8)
		? (uint8_t)prng_next(prng)
		: FUZZ_FIX_OUTER | FUZZ_FIX_QPN | FUZZ_FIX_PSN | FUZZ_RESEAL;
	recs[0].psn = some_psn(prng);
	store(recs[0].len, units * 16 + 4);
	prng_fill(prng, bytes, units * 16 + 16);
	bytes[0] = opcodes[prng_below(prng, RTE_DIM(opcodes))];
	bytes[1] = ROCE_BTH_MIGREQ;
	bytes[2] = bytes[3] = 0xff;
	bytes[12] = syndromes[prng_below(prng, RTE_DIM(syndromes))];
	return 2 + units;
}

static void
header_sample(uint64_t *prng, uint8_t *header)
{
	for (int i = 1; i < REQ_HEADER; i++)
		header[i] = one_in(prng, 2) ? (uint8_t)prng_next(prng) : 0;
	/* Few retries make short stories. */
	if (one_in(prng, 2))
		header[3] |= 7 << 3 | 7;
}

static uint32_t
sample(uint64_t *prng, struct fuzz_record *recs)
{
	uint32_t n = 1;

	switch (prng_below(prng, 16)) {
	case 0:
		return raw(prng, recs);
	case 1:
		recs[0] = control(prng);
		break;
	case 2:
	case 3:
		recs[0] = wait(prng);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		n += prng_below(prng, 4);
		for (uint32_t i = 0; i < n; i++)
			recs[i] = post(prng);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		recs[0] = response(prng);
		break;
	case 12:
	case 13:
		recs[0] = answer(prng);
		break;
	default:
		recs[0] = serve(prng);
		break;
	}
	return n;
}

static void
tweak(uint64_t *prng, struct fuzz_record *rec)
{
	switch (prng_below(prng, 14)) {
	case 0:
		rec->psn = some_psn(prng);
		break;
	case 1:
		rec->psn++;
		break;
	case 2:
		rec->psn--;
		break;
	case 3:
		rec->op = rec->kind == REQ_RESPONSE ? opcodes[prng_below(prng, RTE_DIM(opcodes))]
						    : (uint8_t)prng_below(prng, 20);
		break;
	case 4:
		rec->flags ^= (uint8_t)(1 << prng_below(prng, 8));
		break;
	case 5:
		rec->key = rec->kind == REQ_RESPONSE
			? syndromes[prng_below(prng, RTE_DIM(syndromes))]
			: (uint8_t)prng_below(prng, 20);
		break;
	case 6:
		store(rec->len, prng_below(prng, REQ_LEN_MAX + 1));
		break;
	case 7:
		store(rec->off, (uint32_t)prng_next(prng));
		break;
	case 8:
		rec->load[0] = (uint8_t)(prng_below(prng, 9) - 4);
		rec->load[1] = (uint8_t)(prng_below(prng, 4) << 6);
		break;
	case 9: /* a byte of the frame */
		if (rec->kind != REQ_RESPONSE)
			break;
		rec->at = (uint8_t)prng_below(prng, 96);
		rec->with = (uint8_t)(1 << prng_below(prng, 8));
		rec->flags |= one_in(prng, 4) ? 0 : FUZZ_RESEAL;
		break;
	case 10:
		rec->qp ^= 1;
		break;
	case 11:
		rec->wait = (uint8_t)prng_next(prng);
		break;
	case 12:
		rec->at = rec->with = 0;
		break;
	default:
		rec->base = (uint8_t)(one_in(prng, 2) ? 0 : prng_below(prng, REQ_BASES));
		break;
	}
}

const struct fuzz_grammar fuzz_grammar = {
	.header = REQ_HEADER,
	.header_sample = header_sample,
	.sample = sample,
	.tweak = tweak,
};
