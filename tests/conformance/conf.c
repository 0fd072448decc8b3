/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf.h"
#include "frame_maker.h"

#include <roce_bytes.h>
#include <roce_icrc.h>

#include <rte_common.h>

static const struct variant {
	const char *name;
	uint32_t start;
	bool ipv6;
	bool tagged;
} variants[] = {
	{.name = "IPv4", .start = 0x123456},
	{.name = "IPv4, PSNs wrap", .start = 0xffffff},
	{.name = "IPv6 in a VLAN, PSNs wrap", .start = 0xfffffe, .ipv6 = true, .tagged = true},
};
static uint32_t next_variant;

const char *
target_variant(void)
{
	return next_variant < RTE_DIM(variants) ? variants[next_variant++].name : NULL;
}

static struct remu_qp *
make_qp(struct target *t, const struct wire_config *cfg)
{
	struct remu_qp_config config = {
		.qpn = WIRE_QPN,
		.pd = WIRE_PD,
		.access = cfg->access,
		.flags = cfg->flags,
		.max_read_len = cfg->max_read_len,
		.recv_cq = t->recv_cq,
	};
	struct remu_qp *qp;

	assert_int_equal(remu_qp_create(t->b.e, &config, &qp), 0);
	return qp;
}

void
target_register(struct target *t, uint32_t rkey, uint32_t access, uint32_t pd)
{
	struct remu_mr_config cfg = {
		.addr = t->memory + RED,
		.va = TARGET_VA,
		.length = REGION,
		.rkey = rkey,
		.pd = pd,
		.access = access,
	};

	assert_int_equal(remu_mr_register(t->b.e, &cfg), 0);
}

void
target_open(struct target *t, const struct wire_config *cfg)
{
	enum {
		R = REMU_ACCESS_REMOTE_READ,
		W = REMU_ACCESS_REMOTE_WRITE,
		A = REMU_ACCESS_REMOTE_ATOMIC,
	};
	const struct variant *v = &variants[next_variant != 0 ? next_variant - 1 : 0];
	struct wire_config full = *cfg;

	full.access = cfg->access != 0 ? cfg->access : (uint32_t)(R | W | A);
	full.rq_psn = cfg->rq_psn != 0 ? cfg->rq_psn : v->start;
	full.rq_depth = cfg->rq_depth != 0 ? cfg->rq_depth & ~(uint32_t)NO_RQ : (uint32_t)TARGET_RQ;
	full.pool = cfg->pool != 0 ? cfg->pool : 512;
	full.ipv6 = cfg->ipv6 || v->ipv6;
	if (v->tagged) {
		full.tagged = true;
		full.vlan_tci = 3 << 13 | 0x123;
	}
	memset(t, 0, sizeof(*t));
	bench_open(&t->b, &full);
	t->seed = full.rq_psn;
	t->start = full.rq_psn;
	/* With a completion queue of its own, what goes to the wrong one shows. */
	remu_qp_destroy(t->b.e, t->b.qp);
	assert_int_equal(remu_cq_create(t->b.e, 2 * TARGET_RQ, &t->recv_cq), 0);
	t->b.qp = make_qp(t, &full);
	target_modify(t, REMU_QP_RTS);
	t->memory = malloc(ARENA);
	t->model = malloc(ARENA);
	assert_true(t->memory != NULL && t->model != NULL);
	target_scribble(t);
	target_register(t, ALL, R | W | A, WIRE_PD);
	target_register(t, RO, R, WIRE_PD);
	target_register(t, WO, W, WIRE_PD);
	target_register(t, OTHER_PD, R | W | A, WIRE_PD + 1);
}

void
target_close(struct target *t)
{
	bench_close(&t->b);
	free(t->memory);
	free(t->model);
}

bool
target_mtu_fits(const struct wire_config *cfg, uint32_t mtu)
{
	struct wire_config small = *cfg;
	struct target t;
	bool fits;

	small.mtu = 256;
	target_open(&t, &small);
	fits = roce_frame_len(&t.b.in, WRITE_ONLY_IMM, mtu) + RTE_PKTMBUF_HEADROOM <=
		rte_pktmbuf_data_room_size(t.b.pool);
	target_close(&t);
	return fits;
}

void
target_modify(struct target *t, enum remu_qp_state to)
{
	t->state = to;
	if (to != REMU_QP_INIT && to != REMU_QP_RTR && to != REMU_QP_RTS) {
		assert_int_equal(remu_qp_modify(t->b.e, t->b.qp, to, NULL), 0);
		return;
	}
	for (int via = REMU_QP_RESET; via <= (int)to; via++)
		assert_int_equal(remu_qp_modify(t->b.e, t->b.qp, (enum remu_qp_state)via,
					 &t->b.attr),
			0);
}

void
target_post_recv(struct target *t, uint64_t wr_id, uint32_t at, uint32_t len)
{
	struct remu_recv_wr wr = {
		.wr_id = wr_id,
		.addr = len != 0 ? t->memory + BUFFER_AT + at : NULL,
		.length = len,
	};

	assert_true(at <= BUFFERS && len <= BUFFERS - at);
	assert_int_equal(remu_qp_post_recv(t->b.e, t->b.qp, &wr), 0);
	t->posted[t->n_posted++] = wr_id;
}

void
target_seal(const struct target *t, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	const uint8_t *udp = frame + t->b.in.len - ROCE_UDP_LEN;
	uint8_t *l3 = frame + t->b.in.l3_off;
	uint32_t end = (uint32_t)(udp - l3) + roce_load_be16(udp + 4);

	if (end > (uint32_t)m->data_len - t->b.in.l3_off)
		fail_msg("%s: no room for an ICRC", t->b.label);
	roce_store_le32(l3 + end - ROCE_ICRC_LEN, roce_icrc(l3, end - ROCE_ICRC_LEN));
}

struct rte_mbuf *
target_craft(struct target *t, const struct request *r)
{
	uint32_t traits = roce_ops[r->op].traits;
	bool asks = traits & (ROCE_T_LAST | ROCE_T_ONLY);
	struct roce_fields f = {
		.opcode = r->op,
		.psn = t->start + (uint32_t)r->psn,
		.ackreq = (asks && !r->no_ackreq) || r->ackreq,
		.solicited = r->solicited,
		.imm = r->imm,
	};
	struct rte_mbuf *m;

	if (traits & (ROCE_T_RETH | ROCE_T_ATOMIC_ETH)) {
		f.va = (uint64_t)TARGET_VA + (uint64_t)r->off;
		f.rkey = r->rkey != 0 ? r->rkey : (uint32_t)ALL;
		f.dma_len = r->dma != 0 || r->dma_zero ? r->dma : r->len;
		f.swap_add = r->swap_add;
		f.compare = r->compare;
	}
	prng_fill(&t->seed, t->payload, r->len);
	m = bench_craft(&t->b, &f, t->payload, r->len);
	if (r->pad != 0) {
		uint8_t *flags = rte_pktmbuf_mtod_offset(m, uint8_t *, t->b.in.len + 1);

		*flags = (uint8_t)((*flags & ~0x30) | r->pad << 4);
		target_seal(t, m);
	}
	return m;
}

void
target_wrote(struct target *t, uint32_t off, uint32_t len)
{
	memcpy(t->model + RED + off, t->payload, len);
}

void
target_received(struct target *t, uint32_t at, uint32_t len)
{
	memcpy(t->model + BUFFER_AT + at, t->payload, len);
}

void
target_scribble(struct target *t)
{
	prng_fill(&t->seed, t->memory, ARENA);
	memcpy(t->model, t->memory, ARENA);
}

uint64_t
target_load(const struct target *t, uint32_t off)
{
	uint64_t value;

	memcpy(&value, t->memory + RED + off, sizeof(value));
	return value;
}

void
target_store(struct target *t, uint32_t off, uint64_t value)
{
	memcpy(t->memory + RED + off, &value, sizeof(value));
	target_stored(t, off, value);
}

void
target_stored(struct target *t, uint32_t off, uint64_t value)
{
	memcpy(t->model + RED + off, &value, sizeof(value));
}

struct target *
target_at(struct target *t, int line)
{
	snprintf(t->b.label, sizeof(t->b.label), "line %d, case %zu", line, t->at_case);
	return t;
}

void
target_case(struct target *t, size_t i)
{
	t->at_case = i;
}

static void
check(const struct target *t, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		fail_msg("%s: %s is %lx instead of %lx", t->b.label, what, got, want);
}

static const char *
verdict_name(int verdict)
{
	if (verdict == OK)
		return "accepted";
	return verdict == HELD ? "held" : remu_drop_name((enum remu_drop)verdict);
}

void
target_inject_frame(struct target *t, int verdict, struct rte_mbuf *m)
{
	int got = (int)bench_rx(&t->b, m);

	if (got != verdict)
		fail_msg("%s: frame is %s instead of %s", t->b.label, verdict_name(got),
			verdict_name(verdict));
	t->held += verdict == HELD;
}

void
target_inject(struct target *t, int verdict, const struct request *r)
{
	target_inject_frame(t, verdict, target_craft(t, r));
}

void
target_expect(struct target *t, uint8_t op, int32_t psn, uint8_t syndrome, uint32_t msn)
{
	bench_expect(&t->b,
		&(struct roce_fields){
			.opcode = op,
			.psn = t->start + (uint32_t)psn,
			.syndrome = syndrome,
			.msn = msn,
		},
		NULL, 0);
}

void
target_expect_data(struct target *t, uint8_t op, int32_t psn, uint32_t msn, uint32_t off,
	uint32_t len)
{
	bench_expect(&t->b,
		&(struct roce_fields){
			.opcode = op,
			.psn = t->start + (uint32_t)psn,
			.syndrome = op == DATA_MIDDLE ? 0 : ACK,
			.msn = op == DATA_MIDDLE ? 0 : msn,
		},
		t->model + RED + off, len);
}

void
target_expect_read(struct target *t, int32_t psn, uint32_t msn, uint32_t off, uint32_t len)
{
	static const uint8_t ops[2][2] = {{DATA_MIDDLE, DATA_LAST}, {DATA_FIRST, DATA_ONLY}};
	uint32_t mtu = t->b.attr.path_mtu;
	uint32_t n = len <= mtu ? 1 : (len + mtu - 1) / mtu;

	for (uint32_t k = 0; k < n; k++)
		target_expect_data(t, ops[k == 0][k == n - 1], psn + (int32_t)k, msn, off + k * mtu,
			RTE_MIN(len - k * mtu, mtu));
}

void
target_expect_atomic(struct target *t, int32_t psn, uint32_t msn, uint64_t original)
{
	bench_expect(&t->b,
		&(struct roce_fields){
			.opcode = ATOMIC_ACK,
			.psn = t->start + (uint32_t)psn,
			.syndrome = ACK,
			.msn = msn,
			.swap_add = original,
		},
		NULL, 0);
}

void
target_expect_recv(struct target *t, const struct remu_wc *want)
{
	struct remu_wc wc;

	check(t, "number of receive completions", remu_cq_poll(t->recv_cq, &wc, 1), 1);
	check(t, "kind of completion", wc.kind, REMU_WC_RECV);
	check(t, "QPN of completion", wc.qpn, WIRE_QPN);
	assert_true(t->n_posted > 0);
	check(t, "receive request", wc.wr_id, t->posted[0]);
	memmove(t->posted, t->posted + 1, --t->n_posted * sizeof(t->posted[0]));
	check(t, "status", wc.status, want->status);
	check(t, "opcode of completion", wc.opcode, want->opcode);
	if (want->status != REMU_WC_SUCCESS)
		return;
	check(t, "length of message", wc.byte_len, want->byte_len);
	check(t, "flags of completion", wc.flags, want->flags);
	if (want->flags & REMU_WC_WITH_IMM)
		check(t, "immediate data", wc.imm, want->imm);
}

/* What must be so whatever state the queue pair is in. */
static void
check_all(struct target *t, int32_t epsn, uint32_t msn, enum remu_qp_state state)
{
	struct remu_qp_info info = bench_info(&t->b);
	size_t at = 0;
	struct remu_wc wc;

	bench_expect_silence(&t->b);
	bench_expect_no_wc(&t->b);
	check(t, "number of receive completions", remu_cq_poll(t->recv_cq, &wc, 1), 0);
	check(t, "state", info.state, state);
	check(t, "expected PSN", info.epsn, (t->start + (uint32_t)epsn) & 0xffffff);
	check(t, "MSN", info.msn, msn);
	check(t, "receive requests left", info.recv_posted, t->n_posted);
	check(t, "frames held", remu_engine_stats(t->b.e)->rx_held, t->held);
	while (at < ARENA && t->memory[at] == t->model[at])
		at++;
	if (at < ARENA)
		fail_msg("%s: byte %zd of the region (buffers from %d on) is wrong", t->b.label,
			(ssize_t)at - RED, BUFFER_AT - RED);
}

void
target_settled(struct target *t, int32_t epsn, uint32_t msn)
{
	check_all(t, epsn, msn, t->state);
}

void
target_dead(struct target *t, int32_t epsn, uint32_t msn)
{
	static const uint8_t ops[] = {WRITE_ONLY, READ, FETCH_ADD, SEND_ONLY};
	struct remu_wc wc;

	while (t->n_posted != 0)
		target_expect_recv(t,
			&(struct remu_wc){
				.status = REMU_WC_WR_FLUSH_ERR,
				.opcode = REMU_WR_SEND,
			});
	check(t, "number of events", remu_engine_poll_wc(t->b.e, &wc, 1), 1);
	check(t, "kind of event", wc.kind, REMU_WC_FATAL);
	check(t, "QPN of event", wc.qpn, WIRE_QPN);
	check_all(t, epsn, msn, REMU_QP_ERR);
	for (size_t i = 0; i < RTE_DIM(ops); i++) {
		target_inject(t, STATE, &(struct request){.op = ops[i], .psn = epsn});
		target_inject(t, STATE, &(struct request){.op = ops[i], .psn = epsn - 1});
		target_inject(t, STATE, &(struct request){.op = ops[i], .psn = epsn + 1});
	}
	check_all(t, epsn, msn, REMU_QP_ERR);
}

void
target_refused(struct target *t, uint8_t syndrome, uint32_t msn, const struct request *r)
{
	target_inject(t, syndrome == NAK_ACCESS ? ACCESS : INVALID, r);
	target_expect(t, ACKNOWLEDGE, r->psn, syndrome, msn);
	target_dead(t, r->psn, msn);
}
