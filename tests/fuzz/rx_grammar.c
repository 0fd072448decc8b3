/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What sensible inputs of the target for the receive path look like.
 */
#include "rx_world.h"

#include <frame_maker.h>

#include <rte_common.h>
#include <string.h>

enum { MODE_MTU = 1 << 6, MODE_LENGTH = 2 << 6 }; /* of fuzz_load() */

static const uint8_t opcodes[] = {
	ROCE_SEND_FIRST,
	ROCE_SEND_MIDDLE,
	ROCE_SEND_LAST,
	ROCE_SEND_LAST_IMM,
	ROCE_SEND_ONLY,
	ROCE_SEND_ONLY_IMM,
	ROCE_WRITE_FIRST,
	ROCE_WRITE_MIDDLE,
	ROCE_WRITE_LAST,
	ROCE_WRITE_LAST_IMM,
	ROCE_WRITE_ONLY,
	ROCE_WRITE_ONLY_IMM,
	ROCE_READ_REQUEST,
	ROCE_READ_REQUEST,
	ROCE_READ_REQUEST,
	ROCE_COMPARE_SWAP,
	ROCE_FETCH_ADD,
	ROCE_SEND_LAST_INV,
	ROCE_SEND_ONLY_INV,
	ROCE_CNP,
	ROCE_ACKNOWLEDGE,
	ROCE_READ_RESPONSE_ONLY,
	ROCE_ATOMIC_ACKNOWLEDGE,
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

static uint8_t
some_qp(uint64_t *prng)
{
	/* Mostly those that have all rights. */
	return (uint8_t)(one_in(prng, 3)
			? prng_below(prng, RX_QPS)
			: (const uint8_t[]){0, 0, 1, 2, 4, 6, 7}[prng_below(prng, 7)]);
}

static uint8_t
some_wait(uint64_t *prng)
{
	return one_in(prng, 4) ? (uint8_t)prng_next(prng) : 0;
}

static uint8_t
some_psn(uint64_t *prng)
{
	switch (prng_below(prng, 8)) {
	case 0:
		return (uint8_t)(prng_below(prng, 9) - 4);
	case 1:
		return (uint8_t)prng_next(prng);
	default:
		return 0;
	}
}

/* A region in which a queue pair may do such a thing. */
static uint8_t
some_region(uint64_t *prng, uint8_t qp, uint8_t opcode)
{
	uint32_t traits = roce_ops[opcode].traits, want = REMU_ACCESS_REMOTE_WRITE;
	uint32_t i = prng_below(prng, RX_REGIONS);

	if (one_in(prng, 8))
		return (uint8_t)prng_next(prng);
	if (traits & ROCE_T_READ)
		want = REMU_ACCESS_REMOTE_READ;
	if (traits & ROCE_T_ATOMIC)
		want = REMU_ACCESS_REMOTE_ATOMIC;
	for (uint32_t n = 0; n < RX_REGIONS; n++, i = (i + 1) % RX_REGIONS)
		if (rx_region_specs[i].pd == rx_qp_specs[qp].pd &&
			(rx_region_specs[i].access & want))
			break;
	return (uint8_t)i;
}

static struct fuzz_record
packet(uint64_t *prng, uint8_t qp, uint8_t opcode)
{
	struct fuzz_record rec = {
		.kind = RX_PACKET,
		.wait = some_wait(prng),
		.qp = qp,
		.op = opcode,
		.flags = one_in(prng, 3) ? 0 : FUZZ_ACKREQ,
		.psn = (int8_t)some_psn(prng),
		.key = some_region(prng, qp, opcode),
	};

	if (one_in(prng, 8))
		rec.flags |= FUZZ_LATER;
	if (one_in(prng, 16))
		rec.flags |= (uint8_t)prng_next(prng) & ~(FUZZ_RESEAL | FUZZ_MANY);
	if (one_in(prng, 64))
		rec.flags |= FUZZ_MANY;
	return rec;
}

/* A piece of a region: most often all of it fits. */
static void
place(uint64_t *prng, struct fuzz_record *rec, uint32_t len)
{
	uint32_t size = rx_region_specs[rec->key % 32 % RX_REGIONS].len, off = 0;

	if (!one_in(prng, 8))
		len = RTE_MIN(len, size);
	if (!one_in(prng, 3))
		off = prng_below(prng, (len < size ? size - len : 0) + 1);
	if (one_in(prng, 4)) /* ends with it */
		off = len < size ? size - len : 0;
	if (one_in(prng, 16))
		off = size - len + 1;
	if (one_in(prng, 24)) /* begins before it */
		off = UINT16_MAX - prng_below(prng, 32);
	store(rec->off, off);
	store(rec->len, len);
}

/* A message of some packets whose lengths fit together. */
static uint32_t
message(uint64_t *prng, struct fuzz_record *recs, bool write)
{
	static const uint8_t ops[2][3] = {
		{ROCE_SEND_FIRST, ROCE_SEND_MIDDLE, ROCE_SEND_LAST},
		{ROCE_WRITE_FIRST, ROCE_WRITE_MIDDLE, ROCE_WRITE_LAST},
	};
	uint8_t qp = some_qp(prng);
	uint32_t mtu = rx_qp_specs[qp].path_mtu, n = prng_below(prng, 3) + 2, last;
	uint32_t total = (n - 1) * mtu + prng_below(prng, mtu) + 1;

	for (uint32_t i = 0; i < n; i++) {
		recs[i] = packet(prng, qp, ops[write][i == 0 ? 0 : i == n - 1 ? 2 : 1]);
		recs[i].load[1] = MODE_MTU;
	}
	place(prng, &recs[0], total);
	total = fuzz_u16(recs[0].len);
	last = total > (n - 1) * mtu ? total - (n - 1) * mtu : 1;
	store(recs[n - 1].load, last);
	recs[n - 1].op = (uint8_t)(recs[n - 1].op + one_in(prng, 3));
	return n;
}

static struct fuzz_record
single(uint64_t *prng)
{
	uint8_t op = opcodes[prng_below(prng, RTE_DIM(opcodes))];
	struct fuzz_record rec;

	if (one_in(prng, 24))
		op = (uint8_t)prng_next(prng);
	rec = packet(prng, some_qp(prng), op);
	if (roce_ops[op].traits & ROCE_T_READ)
		place(prng, &rec, prng_below(prng, one_in(prng, 2) ? 1100 : 257));
	else if (roce_ops[op].traits & ROCE_T_ATOMIC)
		store(rec.off, prng_below(prng, 8) * 8);
	else
		place(prng, &rec, prng_below(prng, rx_qp_specs[rec.qp].path_mtu + 1));
	rec.load[0] = (uint8_t)(roce_ops[op].traits & ROCE_T_ATOMIC ? prng_next(prng) : 0);
	rec.load[1] = MODE_LENGTH;
	if (roce_ops[op].traits & ROCE_T_RESPONSE) {
		rec.base = RX_UNA;
		rec.key = (uint8_t)(one_in(prng, 2) ? ROCE_SYN_ACK_NO_LIMIT : prng_next(prng));
	}
	return rec;
}

static struct fuzz_record
control(uint64_t *prng)
{
	struct fuzz_record rec = {
		.kind = (uint8_t)(RX_RECV + prng_below(prng, RX_KINDS - RX_RECV)),
		.wait = some_wait(prng),
		.qp = some_qp(prng),
		.op = (uint8_t)(prng_below(prng, 2) * 0x80 + prng_below(prng, REMU_QP_STATE_COUNT)),
		.psn = (int8_t)some_psn(prng),
		.key = (uint8_t)prng_below(prng, RX_REGIONS),
	};

	store(rec.len, prng_below(prng, RX_SLOT_LEN + 1));
	if (rec.kind == RX_BUDGET || rec.kind == RX_MBUFS)
		rec.key = one_in(prng, 2) ? UINT8_MAX : rec.key;
	if (rec.kind == RX_MODIFY && !one_in(prng, 4)) {
		rec.op = 0x80 | REMU_QP_RTS;
		rec.key = 0;
	}
	return rec;
}

/* Bytes of a frame that the next mutations may take apart. */
static uint32_t
raw(uint64_t *prng, struct fuzz_record *recs)
{
	uint32_t len = 12 + prng_below(prng, 16 * 5);
	uint8_t *bytes = (uint8_t *)(recs + 1);

	recs[0] = (struct fuzz_record){
		.kind = RX_RAW,
		.qp = some_qp(prng),
		.flags = one_in(prng, 8)
			? (uint8_t)prng_next(prng)
			: FUZZ_FIX_OUTER | FUZZ_FIX_QPN | FUZZ_FIX_PSN | FUZZ_RESEAL,
		.psn = (int8_t)some_psn(prng),
	};
	store(recs[0].len, len / 16 * 16);
	prng_fill(prng, bytes, len / 16 * 16);
	bytes[0] = opcodes[prng_below(prng, RTE_DIM(opcodes))];
	bytes[1] = ROCE_BTH_MIGREQ;
	bytes[2] = bytes[3] = 0xff;
	bytes[8] |= ROCE_BTH_ACKREQ;
	return 1 + len / 16;
}

static void
header_sample(uint64_t *prng, uint8_t *header)
{
	header[1] = (uint8_t)(one_in(prng, 2) ? 0 : prng_next(prng));
	header[2] = (uint8_t)(one_in(prng, 2) ? 0 : prng_next(prng));
	header[3] = (uint8_t)prng_below(prng, 4);
}

/* Sometimes the owner does something in the middle of a message. */
static uint32_t
interrupt(uint64_t *prng, struct fuzz_record *recs, uint32_t n)
{
	uint32_t i = 1 + prng_below(prng, n - 1);

	if (!one_in(prng, 6))
		return n;
	memmove(&recs[i + 1], &recs[i], (n - i) * sizeof(recs[0]));
	recs[i] = control(prng);
	recs[i].qp = recs[0].qp;
	if (one_in(prng, 2)) {
		recs[i].kind = RX_REVOKE;
		recs[i].key = recs[0].key % 32 % RX_REGIONS;
	}
	return n + 1;
}

static uint32_t
sample(uint64_t *prng, struct fuzz_record *recs)
{
	uint32_t n = 1;

	switch (prng_below(prng, 16)) {
	case 0:
		return raw(prng, recs);
	case 1:
	case 2:
	case 3:
	case 4:
		recs[0] = control(prng);
		break;
	case 5:
	case 6:
		n = message(prng, recs, true);
		return interrupt(prng, recs, n);
	case 7: /* with a buffer for it */
		n = message(prng, recs + 1, false) + 1;
		recs[0] = control(prng);
		recs[0].kind = RX_RECV;
		recs[0].qp = recs[1].qp;
		store(recs[0].len, RX_SLOT_LEN);
		return interrupt(prng, recs, n);
	default:
		recs[0] = single(prng);
		break;
	}
	return n;
}

static void
tweak(uint64_t *prng, struct fuzz_record *rec)
{
	switch (prng_below(prng, 12)) {
	case 0:
		rec->psn = (int8_t)some_psn(prng);
		break;
	case 1:
		rec->psn++;
		break;
	case 2:
		rec->psn--;
		break;
	case 3:
		rec->op = opcodes[prng_below(prng, RTE_DIM(opcodes))];
		break;
	case 4:
		rec->flags ^= (uint8_t)(1 << prng_below(prng, 8));
		break;
	case 5:
		rec->key = some_region(prng, rec->qp % RX_QPS, rec->op);
		break;
	case 6:
		place(prng, rec, prng_below(prng, 1100));
		break;
	case 7:
		rec->load[0] = (uint8_t)(prng_below(prng, 9) - 4);
		rec->load[1] = (uint8_t)(prng_below(prng, 4) << 6);
		break;
	case 8: /* a byte of the frame */
		rec->at = (uint8_t)prng_below(prng, 96);
		rec->with = (uint8_t)(1 << prng_below(prng, 8));
		rec->flags |= one_in(prng, 4) ? 0 : FUZZ_RESEAL;
		break;
	case 9:
		rec->qp = some_qp(prng);
		break;
	case 10:
		rec->wait = (uint8_t)prng_next(prng);
		break;
	default:
		rec->at = rec->with = rec->base = 0;
		if (one_in(prng, 4))
			rec->base = (uint8_t)prng_below(prng, RX_BASES);
		break;
	}
}

const struct fuzz_grammar fuzz_grammar = {
	.header = RX_HEADER,
	.header_sample = header_sample,
	.sample = sample,
	.tweak = tweak,
};
