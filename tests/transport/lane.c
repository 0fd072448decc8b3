/* SPDX-License-Identifier: BSD-3-Clause */
#include "workload_priv.h"

#include <rte_common.h>
#include <string.h>

enum { US = 1000 };

static bool
is_atomic(const struct op *op)
{
	return op->wr.opcode == REMU_WR_CMP_SWAP || op->wr.opcode == REMU_WR_FETCH_ADD;
}

static bool
is_send(const struct op *op)
{
	return op->wr.opcode == REMU_WR_SEND || op->wr.opcode == REMU_WR_SEND_IMM;
}

static bool
has_imm(const struct op *op)
{
	return op->wr.opcode == REMU_WR_SEND_IMM || op->wr.opcode == REMU_WR_RDMA_WRITE_IMM;
}

static bool
takes_recv(const struct op *op)
{
	return is_send(op) || op->wr.opcode == REMU_WR_RDMA_WRITE_IMM;
}

static bool
changes_data(const struct op *op)
{
	return op->region == REGION_DATA && op->wr.opcode != REMU_WR_RDMA_READ;
}

static bool
overlap(const struct op *a, const struct op *b)
{
	return a->region == REGION_DATA && b->region == REGION_DATA &&
		a->off < b->off + b->wr.length && b->off < a->off + a->wr.length;
}

/* Small ones, whole packets more or less a byte, long ones. */
static uint32_t
draw_length(struct run *r, uint32_t max)
{
	uint32_t mtu = r->cfg.mtu, kind = below(r, 100), len = 0;

	if (kind < 45)
		len = below(r, 100);
	else if (kind < 60)
		len = mtu * (1 + below(r, 4)) + below(r, 3) - 1;
	else if (kind < 93)
		len = below(r, 3 * mtu);
	else if (kind < 98)
		len = below(r, MAX_PACKETS * mtu + 1);
	return RTE_MIN(len, max);
}

/* How long receive request number k of this lane is; the other end knows it too. */
static uint32_t
recv_length(const struct lane *l, uint64_t k)
{
	uint64_t state = l->run->cfg.seed ^ (uint64_t)l->qpn << 40 ^ k;
	uint32_t kind = prng_below(&state, 100), max = MAX_PACKETS * l->run->cfg.mtu;

	if (kind < 5)
		return 0;
	return kind < 20 ? max : prng_below(&state, kind < 50 ? 100 : max / 5);
}

/* Somewhere in the lane's region; often where something else is under way. */
static void
draw_place(struct lane *l, struct op *op)
{
	struct run *r = l->run;
	uint32_t room = l->data.len - op->wr.length;

	op->region = REGION_DATA;
	op->off = below(r, room + 1);
	if (l->posted != l->ended && below(r, 4) == 0) {
		const struct op *other = op_at(l,
			l->ended + below(r, (uint32_t)(l->posted - l->ended)));

		if (other->region == REGION_DATA)
			op->off = RTE_MIN(other->off, room);
	}
	if (is_atomic(op))
		op->off &= ~7u;
}

static void
plan_atomic(struct lane *l, struct op *op)
{
	struct run *r = l->run;
	struct remu_wr *wr = &op->wr;
	struct serial *s;
	uint64_t old, now;
	bool add = wr->opcode == REMU_WR_FETCH_ADD;

	wr->length = 8;
	memset(op->at, 0xee, wr->length);
	if (below(r, 2) == 0) {
		draw_place(l, op);
		memcpy(&old, l->image + op->off, sizeof(old));
		wr->swap_add = prng_next(&r->rng);
		wr->compare = below(r, 2) == 0 ? old : prng_next(&r->rng);
		if (add)
			now = old + wr->swap_add;
		else
			now = wr->compare == old ? wr->swap_add : old;
		memcpy(op->expect, &old, sizeof(old));
		memcpy(l->image + op->off, &now, sizeof(now));
		return;
	}
	op->region = REGION_WORDS;
	op->off = below(r, WORDS / 2) + (add ? 0 : WORDS / 2);
	s = &r->serial[!l->end][op->off];
	op->floor = s->known;
	if (add) {
		wr->swap_add = 1 + below(r, 1 << 20);
		return;
	}
	/* The upper half counts up, the lower half says who made this value. */
	wr->compare = below(r, 3) == 0 ? l->hope[op->off] : s->known;
	wr->swap_add = ((wr->compare >> 32) + 1) << 32 | l->number << 24 | (l->posted & 0xffffff);
	l->hope[op->off] = wr->swap_add;
}

static void
plan_write(struct lane *l, struct op *op)
{
	workload__fill(l->run, op->at, op->wr.length);
	memcpy(op->expect, op->at, op->wr.length);
	if (is_send(op))
		return;
	draw_place(l, op);
	memcpy(l->image + op->off, op->at, op->wr.length);
}

static void
plan_read(struct lane *l, struct op *op)
{
	struct run *r = l->run;

	memset(op->at, 0xee, op->wr.length);
	if (below(r, 3) != 0) {
		draw_place(l, op);
		memcpy(op->expect, l->image + op->off, op->wr.length);
		return;
	}
	op->region = REGION_SOURCE;
	op->off = below(r, SOURCE_PACKETS * r->cfg.mtu - op->wr.length + 1);
	memcpy(op->expect, r->source[!l->end].at + op->off, op->wr.length);
}

/* RC may carry out a READ again after what follows it; only a fence forbids that. */
static bool
needs_fence(const struct lane *l, const struct op *op)
{
	for (uint64_t n = l->ended; n != l->posted; n++) {
		const struct op *before = op_at(l, n);

		if (before->wr.opcode == REMU_WR_RDMA_READ && changes_data(op) &&
			overlap(before, op))
			return true;
	}
	return false;
}

static void
plan(struct lane *l, struct op *op)
{
	struct run *r = l->run;
	struct remu_wr *wr = &op->wr;

	*wr = (struct remu_wr){
		.wr_id = (uint64_t)l->qpn << 40 | l->posted,
		.opcode = (uint8_t)below(r, REMU_WR_COUNT),
		.imm = (uint32_t)prng_next(&r->rng),
	};
	op->region = REGION_NONE;
	op->off = 0;
	op->at = op->zone.at + ZONE_GUARD + below(r, SKEW);
	if (takes_recv(op)) {
		uint32_t max = is_send(op) ? recv_length(l->peer, l->taken)
					   : MAX_PACKETS * r->cfg.mtu;

		wr->length = is_send(op) && below(r, 3) == 0 ? max : draw_length(r, max);
		op->taker = l->taken++;
		l->taker_op[op->taker & (r->cfg.sq_depth - 1)] = l->posted;
	} else {
		wr->length = draw_length(r, MAX_PACKETS * r->cfg.mtu);
	}
	if (is_atomic(op))
		plan_atomic(l, op);
	else if (wr->opcode == REMU_WR_RDMA_READ)
		plan_read(l, op);
	else
		plan_write(l, op);
	wr->remote_va = workload__va(r, l->number, op->region) +
		(op->region == REGION_WORDS ? 8 * op->off : op->off);
	wr->rkey = workload__rkey(l->number, op->region);
	wr->addr = op->at;
	if (needs_fence(l, op) || below(r, 25) == 0)
		wr->flags |= REMU_WR_FENCE;
	if (below(r, 3) == 0) /* without effect where the peer gets no completion */
		wr->flags |= REMU_WR_SOLICITED;
	if (wr->length == 0 && below(r, 2) == 0) {
		/* Nothing is accessed: neither address nor key matter. */
		wr->addr = NULL;
		wr->rkey = 0xdead;
	}
	guard_set(op->at, wr->length);
}

void
lane__post(struct lane *l)
{
	struct run *r = l->run;

	while (r->posted < r->cfg.ops && l->posted - l->ended < l->target) {
		struct op *op = op_at(l, l->posted);

		if (l->posted % DRAIN == DRAIN - 1) {
			if (l->posted != l->ended)
				return;
			lane__check_idle(l);
		}
		plan(l, op);
		NEED(r, remu_qp_post(r->duo.engine[l->end], l->qp, &op->wr, r->duo.now) == 0,
			"a work request was refused");
		r->by_opcode[l->end][op->wr.opcode]++;
		l->posted++;
		r->posted++;
		if (below(r, 16) == 0)
			l->target = 1 + below(r, r->cfg.sq_depth);
	}
}

void
lane__feed(struct lane *l)
{
	struct run *r = l->run;
	uint32_t room = rq_depth(r) - (uint32_t)(l->recv_posted - l->recv_ended);

	if (r->cfg.shortage) {
		if (r->duo.now < l->feed_at || room == 0)
			return;
		room = RTE_MIN(room, 1 + below(r, 6));
		/* Now and then not before the last one is used: see lane__on_recv(). */
		l->feed_at = below(r, 3) == 0 ? UINT64_MAX : r->duo.now + below(r, 50 * US);
	}
	for (; room > 0; room--) {
		struct recv *recv = &l->recvs[l->recv_posted & (rq_depth(r) - 1)];

		recv->at = recv->zone.at + ZONE_GUARD + below(r, SKEW);
		recv->wr.wr_id = ~((uint64_t)l->qpn << 40 | l->recv_posted);
		recv->wr.length = recv_length(l, l->recv_posted);
		recv->wr.addr = recv->wr.length == 0 ? NULL : recv->at;
		memset(recv->at, ZONE_BYTE, recv->wr.length);
		guard_set(recv->at, recv->wr.length);
		NEED(r, remu_qp_post_recv(r->duo.engine[l->end], l->qp, &recv->wr) == 0,
			"a receive request was refused");
		l->recv_posted++;
	}
}

void
lane__pause(struct lane *l)
{
	struct run *r = l->run;
	struct remu_engine *e = r->duo.engine[l->end];
	uint64_t now = r->duo.now;

	if (!r->cfg.pauses)
		return;
	if (l->pause == PAUSE_NONE && now >= l->pause_at) {
		NEED(r, remu_qp_modify(e, l->qp, REMU_QP_SQD, NULL) == 0, "no way to SQD");
		l->pause = PAUSE_BEGUN;
		l->pause_posted = l->posted;
	}
	/* What was posted since waits, even behind what still has to end. */
	NEED(r, l->pause == PAUSE_NONE || l->ended <= l->pause_posted,
		"QP %x: operation %lu begun in SQD", l->qpn, l->pause_posted);
	if (l->pause == PAUSE_BEGUN && remu_qp_drained(l->qp)) {
		l->pause = PAUSE_DRAINED;
		l->pause_ended = l->ended;
		l->pause_at = now + below(r, 50 * US);
	}
	if (l->pause == PAUSE_DRAINED) {
		NEED(r, l->ended == l->pause_ended, "QP %x: completion while drained", l->qpn);
		if (now < l->pause_at)
			return;
		NEED(r, remu_qp_modify(e, l->qp, REMU_QP_RTS, NULL) == 0, "no way out of SQD");
		l->pause = PAUSE_NONE;
		l->pause_at = now + below(r, 500 * US);
	}
}

uint64_t
lane__wake(const struct lane *l)
{
	uint64_t wake = UINT64_MAX;

	if (l->run->cfg.shortage && l->recv_posted - l->recv_ended < rq_depth(l->run))
		wake = l->feed_at;
	if (l->run->cfg.pauses && l->pause != PAUSE_BEGUN)
		wake = RTE_MIN(wake, l->pause_at);
	return wake;
}

/* What operation n has left in the region, unless something posted later may have changed it. */
static void
check_target(struct lane *l, uint64_t n)
{
	const struct op *op = op_at(l, n);

	if (!changes_data(op))
		return;
	for (uint64_t later = n + 1; later != l->posted; later++)
		if (changes_data(op_at(l, later)) && overlap(op, op_at(l, later)))
			return;
	NEED(l->run, memcmp(l->data.at + op->off, l->image + op->off, op->wr.length) == 0,
		"QP %x: operation %lu, opcode %u, %u bytes: the peer's memory is wrong", l->qpn, n,
		op->wr.opcode, op->wr.length);
}

static void
check_word(struct lane *l, const struct op *op)
{
	struct run *r = l->run;
	uint64_t found, now;
	const char *wrong;

	memcpy(&found, op->at, sizeof(found));
	if (op->wr.opcode == REMU_WR_FETCH_ADD)
		now = found + op->wr.swap_add;
	else
		now = found == op->wr.compare ? op->wr.swap_add : found;
	wrong = serial_add(&r->serial[!l->end][op->off], l->number, found, now, op->floor);
	NEED(r, wrong == NULL, "QP %x: operation %lu, opcode %u on word %u, found %lx: %s", l->qpn,
		l->ended, op->wr.opcode, op->off, found, wrong);
}

void
lane__on_work(struct lane *l, const struct remu_wc *wc)
{
	struct run *r = l->run;
	const struct op *op = op_at(l, l->ended);

	NEED(r, wc->status == REMU_WC_SUCCESS, "QP %x: operation %lu, opcode %u, %u bytes: %s",
		l->qpn, wc->wr_id & 0xffffffffff, wc->opcode, op->wr.length,
		remu_wc_status_name(wc->status));
	NEED(r, l->ended != l->posted, "QP %x: completion of nothing", l->qpn);
	NEED(r, wc->wr_id == op->wr.wr_id, "QP %x: completion of %lx instead of %lx", l->qpn,
		wc->wr_id, op->wr.wr_id);
	NEED(r, wc->opcode == op->wr.opcode && wc->byte_len == op->wr.length,
		"QP %x: operation %lu: opcode %u, %u bytes instead of %u, %u", l->qpn, l->ended,
		wc->opcode, wc->byte_len, op->wr.opcode, op->wr.length);
	NEED(r, guard_ok(op->at, op->wr.length) && zone_ok(&op->zone),
		"QP %x: operation %lu, opcode %u, %u bytes: written outside its buffer", l->qpn,
		l->ended, op->wr.opcode, op->wr.length);
	if (op->region == REGION_WORDS)
		check_word(l, op);
	else
		NEED(r, memcmp(op->at, op->expect, op->wr.length) == 0,
			"QP %x: operation %lu, opcode %u, %u bytes from %lx: wrong data here",
			l->qpn, l->ended, op->wr.opcode, op->wr.length, op->wr.remote_va);
	NEED(r, !takes_recv(op) || l->peer->recv_ended > op->taker,
		"QP %x: operation %lu ended, but the peer has not received it", l->qpn, l->ended);
	check_target(l, l->ended);
	l->ended++;
	r->ended++;
	r->progress_ns = r->duo.now;
}

void
lane__on_recv(struct lane *l, const struct remu_wc *wc)
{
	struct run *r = l->run;
	struct lane *from = l->peer;
	uint64_t k = l->recv_ended, n;
	const struct recv *recv = &l->recvs[k & (rq_depth(r) - 1)];
	const struct op *op;
	uint32_t len, flags;

	NEED(r, wc->status == REMU_WC_SUCCESS, "QP %x: receive request %lu: %s", l->qpn, k,
		remu_wc_status_name(wc->status));
	NEED(r, k != l->recv_posted && wc->wr_id == recv->wr.wr_id,
		"QP %x: receive completion of %lx instead of %lx", l->qpn, wc->wr_id,
		recv->wr.wr_id);
	NEED(r, k < from->taken, "QP %x: received message %lu, which was never posted", l->qpn, k);
	n = from->taker_op[k & (r->cfg.sq_depth - 1)];
	op = op_at(from, n);
	NEED(r, n >= from->ended && op->taker == k,
		"QP %x: received message %lu after its end at the sender", l->qpn, k);
	flags = (has_imm(op) ? REMU_WC_WITH_IMM : 0) |
		(op->wr.flags & REMU_WR_SOLICITED ? REMU_WC_SOLICITED : 0);
	NEED(r, wc->opcode == op->wr.opcode && wc->byte_len == op->wr.length && wc->flags == flags,
		"QP %x: message %lu: opcode %u, %u bytes, flags %x instead of %u, %u, %x", l->qpn,
		k, wc->opcode, wc->byte_len, wc->flags, op->wr.opcode, op->wr.length, flags);
	NEED(r, !has_imm(op) || wc->imm == op->wr.imm, "QP %x: message %lu: immediate %x not %x",
		l->qpn, k, wc->imm, op->wr.imm);
	len = is_send(op) ? op->wr.length : 0;
	NEED(r, memcmp(recv->at, op->expect, len) == 0, "QP %x: message %lu, %u bytes: wrong data",
		l->qpn, k, len);
	NEED(r,
		guard_filled(recv->at + len, recv->wr.length - len) &&
			guard_ok(recv->at, recv->wr.length) && zone_ok(&recv->zone),
		"QP %x: message %lu, %u bytes: written outside its buffer", l->qpn, k, len);
	check_target(from, n);
	l->recv_ended++;
	if (l->feed_at == UINT64_MAX && l->recv_ended == l->recv_posted)
		l->feed_at = r->duo.now + below(r, (below(r, 10) == 0 ? 500 : 100) * US);
}

void
lane__check_idle(struct lane *l)
{
	NEED(l->run, memcmp(l->data.at, l->image, l->data.len) == 0,
		"QP %x: the peer's memory is wrong when all %lu operations have ended", l->qpn,
		l->ended);
	NEED(l->run, zone_ok(&l->data), "QP %x: written outside the region", l->qpn);
}
