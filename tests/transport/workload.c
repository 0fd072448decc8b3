/* SPDX-License-Identifier: BSD-3-Clause */
#include "workload_priv.h"

#include <rte_common.h>
#include <rte_mempool.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum {
	PD = 7,
	KEY_SOURCE = 1,
	KEY_WORDS,
	KEY_DATA, /* first lane's */
	US = 1000,
	SPINS_MAX = 100,
	STALL_TIMEOUTS = 1000,
	REST_STEPS = 1000000,
};

/* For workload_abandon(). */
static struct run *under_way;

static void
dump(struct run *r)
{
	struct remu_qp_info info[LANES];

	for (int end = 0; end < 2; end++) {
		const struct remu_stats *s = remu_engine_stats(r->duo.engine[end]);
		uint32_t n = remu_engine_qps(r->duo.engine[end], 0, info, LANES);

		print_error("end %d: timeouts %lu retransmits %lu probes %lu NAKs %lu RNR %lu "
			    "duplicates %lu held %lu has output %d next deadline %ld\n",
			end, s->timeouts, s->retransmits, s->probes, s->naks_received,
			s->rnr_naks_received, s->duplicates, s->rx_held,
			remu_engine_has_output(r->duo.engine[end]),
			(int64_t)(remu_engine_next_deadline(r->duo.engine[end]) - r->duo.now));
		for (int i = 0; i < REMU_DROP_COUNT; i++)
			if (s->drops[i] != 0)
				print_error(" %s %lu", remu_drop_name((enum remu_drop)i),
					s->drops[i]);
		print_error("\n");
		for (uint32_t i = 0; i < n; i++)
			print_error("  QP %x %s: una %06x next %06x expects %06x, %u under way, "
				    "%u receive requests, window %u, SRTT %u ns\n",
				info[i].qpn, remu_qp_state_name(info[i].state), info[i].una_psn,
				info[i].next_psn, info[i].epsn, info[i].outstanding,
				info[i].recv_posted, info[i].window, info[i].srtt_ns);
	}
}

void
workload__fail(struct run *r, const char *format, ...)
{
	const struct workload_config *cfg = &r->cfg;
	char text[512], line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dump(r);
	for (int end = 0; end < 2; end++) {
		link_describe(&cfg->link[end], line, sizeof(line));
		print_error("from end %d: %s\n", end, line);
	}
	print_error("MTU %u, %u QPs, SQ %u, window %u, READs %u, timeout %u us, disabled %x, "
		    "hold_max %u, PSNs %06x %06x, CE %u ppm%s%s%s%s%s\n",
		cfg->mtu, cfg->lanes, cfg->sq_depth, cfg->window, cfg->max_rd, cfg->timeout_us,
		cfg->disable, cfg->hold_max, cfg->sq_psn[0], cfg->sq_psn[1], cfg->ce_ppm,
		cfg->shortage ? ", shortage" : "", cfg->partitions ? ", partitions" : "",
		cfg->pauses ? ", pauses" : "", cfg->ipv6 ? ", IPv6" : "",
		cfg->tagged ? ", tagged" : "");
	print_error("again: test_transport_stress --scenario %s --seed %lu --ops %lu\n", cfg->name,
		cfg->seed, cfg->ops);
	fail_msg("%s, seed %lu, %lu ns, %lu of %lu operations: %s", cfg->name, cfg->seed,
		r->duo.now - r->duo.cfg.start_ns, r->ended, cfg->ops, text);
	abort();
}

uint64_t
workload__va(const struct run *r, uint32_t lane, enum region region)
{
	/* At zero, across 2^32, at the end of the address space (va + length must not wrap). */
	const uint64_t data[LANES] = {0, 0xffffff08, -(uint64_t)8 - DATA_PACKETS * r->cfg.mtu,
		0x7fff12345678};

	if (region == REGION_DATA)
		return data[lane];
	return region == REGION_SOURCE ? 0x10003 : 0x20000;
}

uint32_t
workload__rkey(uint32_t lane, enum region region)
{
	if (region != REGION_DATA)
		return region == REGION_SOURCE ? KEY_SOURCE : KEY_WORDS;
	return KEY_DATA + lane;
}

void
workload__fill(struct run *r, uint8_t *at, uint32_t len)
{
	uint64_t word;

	for (; len >= sizeof(word); at += sizeof(word), len -= (uint32_t)sizeof(word)) {
		word = prng_next(&r->rng);
		memcpy(at, &word, sizeof(word));
	}
	word = prng_next(&r->rng);
	memcpy(at, &word, len);
}

static void *
allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	assert_non_null(p);
	return p;
}

static uint8_t *
bytes(size_t n)
{
	void *p = malloc(n);

	assert_non_null(p);
	return p;
}

static void
make_zone(struct zone *z, uint32_t len)
{
	if (!zone_make(z, len))
		fail_msg("no memory for %u bytes", len);
}

static void
open_regions(struct run *r, int end)
{
	struct zone *source = &r->source[end], *words = &r->words[end];
	struct remu_mr_config mr = {.pd = PD};

	make_zone(source, SOURCE_PACKETS * r->cfg.mtu);
	workload__fill(r, source->at, source->len);
	r->source_copy[end] = bytes(source->len);
	memcpy(r->source_copy[end], source->at, source->len);
	mr.addr = source->at;
	mr.length = source->len;
	mr.va = workload__va(r, 0, REGION_SOURCE);
	mr.rkey = workload__rkey(0, REGION_SOURCE);
	mr.access = REMU_ACCESS_REMOTE_READ;
	assert_int_equal(remu_mr_register(r->duo.engine[end], &mr), 0);

	make_zone(words, WORDS * 8);
	memset(words->at, 0, words->len);
	for (uint32_t i = 0; i < WORDS; i++)
		assert_int_equal(serial_init(&r->serial[end][i], (uint32_t)r->cfg.ops), 0);
	mr.addr = words->at;
	mr.length = words->len;
	mr.va = workload__va(r, 0, REGION_WORDS);
	mr.rkey = workload__rkey(0, REGION_WORDS);
	mr.access = REMU_ACCESS_REMOTE_ATOMIC;
	assert_int_equal(remu_mr_register(r->duo.engine[end], &mr), 0);
}

static void
open_lane(struct run *r, int end, uint32_t i)
{
	struct lane *l = &r->lane[end][i];
	struct remu_mr_config mr = {.pd = PD};
	uint32_t op_room = MAX_PACKETS * r->cfg.mtu + SKEW + 2 * ZONE_GUARD;

	l->run = r;
	l->peer = &r->lane[!end][i];
	l->qpn = end == 0 ? 0x100 + i : 0xfffffe - 3 * i;
	l->number = i;
	l->end = end;
	l->target = 1 + below(r, r->cfg.sq_depth);
	l->ops = allocate(r->cfg.sq_depth, sizeof(*l->ops));
	l->taker_op = allocate(r->cfg.sq_depth, sizeof(*l->taker_op));
	for (uint32_t n = 0; n < r->cfg.sq_depth; n++) {
		make_zone(&l->ops[n].zone, op_room);
		l->ops[n].expect = bytes(op_room);
	}
	l->recvs = allocate(rq_depth(r), sizeof(*l->recvs));
	for (uint32_t n = 0; n < rq_depth(r); n++)
		make_zone(&l->recvs[n].zone, op_room);

	make_zone(&l->data, DATA_PACKETS * r->cfg.mtu);
	workload__fill(r, l->data.at, l->data.len);
	l->image = bytes(l->data.len);
	memcpy(l->image, l->data.at, l->data.len);
	mr.addr = l->data.at;
	mr.length = l->data.len;
	mr.va = workload__va(r, i, REGION_DATA);
	mr.rkey = workload__rkey(l->number, REGION_DATA);
	mr.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE | REMU_ACCESS_REMOTE_ATOMIC;
	assert_int_equal(remu_mr_register(r->duo.engine[!end], &mr), 0);

	/* The engine's own queue, two of their own, one of their own. */
	for (uint32_t n = 0; n < 2; n++) {
		if (i % 3 == 0 || (i % 3 == 2 && n == 1))
			continue;
		assert_int_equal(remu_cq_create(r->duo.engine[end], r->cfg.sq_depth + rq_depth(r),
					 &l->cq[n].cq),
			0);
		remu_cq_arm(l->cq[n].cq, false);
	}
}

static void
join_lanes(struct run *r, uint32_t i)
{
	struct remu_qp_config cfg[2] = {0};
	struct remu_qp_attr attr[2] = {0};
	struct remu_qp *qp[2];

	for (int end = 0; end < 2; end++) {
		struct lane *l = &r->lane[end][i];

		cfg[end] = (struct remu_qp_config){
			.qpn = l->qpn,
			.pd = PD,
			.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
				REMU_ACCESS_REMOTE_ATOMIC,
			.flags = i == 1 ? REMU_QP_PIN_SPORT : 0,
			.send_cq = l->cq[0].cq,
			.recv_cq = i % 3 == 2 ? l->cq[0].cq : l->cq[1].cq,
		};
		attr[end] = (struct remu_qp_attr){
			.path_mtu = (uint16_t)r->cfg.mtu,
			.sq_psn = (r->cfg.sq_psn[end] + 5 * i) & 0xffffff,
			.timeout_us = r->cfg.timeout_us,
			.retry_cnt = r->cfg.retry_cnt,
			.rnr_retry = 7,
			.max_rd_atomic = (uint8_t)r->cfg.max_rd,
			.max_dest_rd_atomic = (uint8_t)r->cfg.max_rd,
			.min_rnr_timer_us = 10 + 30 * i,
			.traffic_class = r->cfg.ce_ppm != 0 ? ROCE_ECN_ECT0 : 0,
		};
	}
	assert_int_equal(duo_join(&r->duo, cfg, attr, qp), 0);
	r->lane[0][i].qp = qp[0];
	r->lane[1][i].qp = qp[1];
}

static void
open_run(struct run *r, const struct workload_config *cfg, struct rte_mempool *pool)
{
	struct duo_config duo = {
		.engine =
			{
				.pool = pool,
				.max_qps = LANES,
				.max_mrs = 2 + LANES,
				.sq_depth = cfg->sq_depth,
				.rq_depth = 2 * cfg->sq_depth,
				.window = cfg->window,
				.disable = cfg->disable,
				.hold_max = cfg->hold_max,
			},
		.link = {cfg->link[0], cfg->link[1]},
		.seed = cfg->seed,
		.mtu = cfg->mtu,
		.ce_ppm = cfg->ce_ppm,
		.ipv6 = cfg->ipv6,
		.tagged = cfg->tagged,
		.pcap = cfg->pcap,
	};

	r->cfg = *cfg;
	r->pool = pool;
	r->rng = cfg->seed;
	duo.start_ns = below(r, 2) == 0 ? 0 : prng_next(&r->rng) >> 2;
	assert_int_equal(duo_open(&r->duo, &duo), 0);
	r->progress_ns = r->duo.now;
	r->partition_at = r->duo.now + 100 * US;
	for (int end = 0; end < 2; end++) {
		open_regions(r, end);
		for (uint32_t i = 0; i < cfg->lanes; i++)
			open_lane(r, end, i);
	}
	for (uint32_t i = 0; i < cfg->lanes; i++) {
		join_lanes(r, i);
		for (int end = 0; end < 2; end++)
			r->lane[end][i].feed_at = r->lane[end][i].pause_at = r->duo.now;
	}
}

static void
dispatch(struct run *r, int end, const struct remu_wc *wc)
{
	for (uint32_t i = 0; i < r->cfg.lanes; i++) {
		struct lane *l = &r->lane[end][i];

		if (l->qpn != wc->qpn)
			continue;
		NEED(r, wc->kind == REMU_WC_WORK || wc->kind == REMU_WC_RECV,
			"QP %x: completion of kind %u", wc->qpn, wc->kind);
		if (wc->kind == REMU_WC_WORK)
			lane__on_work(l, wc);
		else
			lane__on_recv(l, wc);
		return;
	}
	workload__fail(r, "completion of QP %x", wc->qpn);
}

static void
reap_cq(struct run *r, int end, struct cq *cq)
{
	bool some = false, solicited = false, event;
	struct remu_wc wc;

	while (remu_cq_poll(cq->cq, &wc, 1) != 0) {
		dispatch(r, end, &wc);
		some = true;
		solicited |= wc.kind == REMU_WC_RECV && wc.flags & REMU_WC_SOLICITED;
	}
	event = remu_cq_take_event(cq->cq);
	NEED(r, event == (cq->solicited_only ? solicited : some),
		"event %d, completions %d, solicited %d, asked for solicited ones %d", event, some,
		solicited, cq->solicited_only);
	/* Who still waits for any completion is not made to wait for a solicited one. */
	cq->solicited_only = (event || cq->solicited_only) && below(r, 2) == 0;
	remu_cq_arm(cq->cq, cq->solicited_only);
}

static void
reap(struct run *r)
{
	struct remu_wc wc;

	for (int end = 0; end < 2; end++) {
		while (remu_engine_poll_wc(r->duo.engine[end], &wc, 1) != 0)
			dispatch(r, end, &wc);
		for (uint32_t i = 0; i < r->cfg.lanes; i++)
			for (uint32_t n = 0; n < 2; n++)
				if (r->lane[end][i].cq[n].cq != NULL)
					reap_cq(r, end, &r->lane[end][i].cq[n]);
	}
}

/*
 * Cut one direction or both for up to three timeouts. The next cut comes no sooner than a timeout
 * and a half later, so that one repetition at least gets through between two.
 */
static void
partition(struct run *r)
{
	uint32_t which = 1 + below(r, 3), timeout = r->cfg.timeout_us * US;

	if (!r->cfg.partitions || r->duo.now < r->partition_at)
		return;
	r->partition = !r->partition;
	for (int end = 0; end < 2; end++)
		link_partition(&r->duo.link[end], r->partition && (which >> end & 1) != 0,
			r->duo.now);
	r->partition_at = r->duo.now +
		(r->partition ? below(r, 3 * timeout) : 3 * timeout / 2 + below(r, 2 * timeout));
}

static void
step(struct run *r)
{
	uint64_t wake = r->cfg.partitions ? r->partition_at : UINT64_MAX;
	uint32_t order = below(r, 2 * r->cfg.lanes);

	for (uint32_t i = 0; i < 2 * r->cfg.lanes; i++) {
		uint32_t k = (order + i) % (2 * r->cfg.lanes);
		struct lane *l = &r->lane[k & 1][k / 2];

		lane__feed(l);
		lane__post(l);
		lane__pause(l);
		wake = RTE_MIN(wake, lane__wake(l));
	}
	NEED(r, duo_step(&r->duo, wake), "nothing more happens");
	NEED(r, r->duo.spins < SPINS_MAX, "time stands still");
	reap(r);
	NEED(r, r->duo.now - r->progress_ns < STALL_TIMEOUTS * (uint64_t)r->cfg.timeout_us * US,
		"no completion for %u timeouts", STALL_TIMEOUTS);
	partition(r);
}

static uint64_t
sum_drops(const struct remu_stats *s)
{
	uint64_t sum = 0;

	for (int i = 0; i < REMU_DROP_COUNT; i++)
		sum += s->drops[i];
	return sum;
}

/* Late copies still come; they must change nothing. Then all timers end. */
static void
come_to_rest(struct run *r)
{
	uint32_t steps = 0;

	for (int end = 0; end < 2; end++)
		link_partition(&r->duo.link[end], false, r->duo.now);
	while (duo_step(&r->duo, UINT64_MAX)) {
		reap(r);
		NEED(r, ++steps < REST_STEPS && r->duo.spins < SPINS_MAX,
			"the engines do not come to rest");
	}
}

static void
check_counters(struct run *r, int end)
{
	const struct remu_stats *s = remu_engine_stats(r->duo.engine[end]);
	const struct link_stats *out = link_stats(&r->duo.link[end]);
	const struct link_stats *in = link_stats(&r->duo.link[!end]);
	const uint64_t *peer = r->by_opcode[!end];

#define SAME(what, a, b) NEED(r, (a) == (b), "end %d: %s: %lu, %lu", end, what, a, b)
	SAME("frames sent", s->tx_packets, out->sent);
	SAME("bytes sent", s->tx_bytes, out->sent_bytes);
	SAME("frames received", s->rx_packets, in->delivered);
	SAME("bytes received", s->rx_bytes, in->delivered_bytes);
	SAME("frames by verdict", s->rx_packets, sum_drops(s) + s->rx_held);
	SAME("WRITEs executed", s->writes_executed,
		peer[REMU_WR_RDMA_WRITE] + peer[REMU_WR_RDMA_WRITE_IMM]);
	SAME("SENDs executed", s->sends_executed, peer[REMU_WR_SEND] + peer[REMU_WR_SEND_IMM]);
	SAME("atomics executed", s->atomics_executed,
		peer[REMU_WR_CMP_SWAP] + peer[REMU_WR_FETCH_ADD]);
	NEED(r, s->reads_executed >= peer[REMU_WR_RDMA_READ], "READs executed: %lu of %lu",
		s->reads_executed, peer[REMU_WR_RDMA_READ]);
	SAME("frames held", s->rx_held, 0ul);
	SAME("error completions", s->wc_error, 0ul);
	SAME("packets put off", s->tx_no_mbuf, 0ul);
#undef SAME
}

static struct remu_qp_info
qp_info(struct run *r, const struct lane *l)
{
	struct remu_qp_info info[LANES];
	uint32_t n = remu_engine_qps(r->duo.engine[l->end], 0, info, LANES);

	for (uint32_t i = 0; i < n; i++)
		if (info[i].qpn == l->qpn)
			return info[i];
	workload__fail(r, "QP %x is not listed", l->qpn);
}

static void
check_lane(struct run *r, struct lane *l)
{
	struct remu_qp_info own = qp_info(r, l), peer = qp_info(r, l->peer);

	lane__check_idle(l);
	NEED(r, l->peer->recv_ended == l->taken, "QP %x: %lu messages, %lu received", l->qpn,
		l->taken, l->peer->recv_ended);
	NEED(r, own.outstanding == 0 && own.una_psn == own.next_psn && own.next_psn == peer.epsn,
		"QP %x: idle, but %u under way, PSNs %06x to %06x, the peer expects %06x", l->qpn,
		own.outstanding, own.una_psn, own.next_psn, peer.epsn);
	NEED(r, own.recv_posted == l->recv_posted - l->recv_ended,
		"QP %x: %u receive requests, not %lu", l->qpn, own.recv_posted,
		l->recv_posted - l->recv_ended);
	for (uint32_t n = 0; n < r->cfg.sq_depth; n++)
		NEED(r, zone_ok(&l->ops[n].zone), "QP %x: local buffer overrun", l->qpn);
	for (uint32_t n = 0; n < rq_depth(r); n++)
		NEED(r, zone_ok(&l->recvs[n].zone), "QP %x: receive buffer overrun", l->qpn);
	for (uint64_t k = l->recv_ended; k != l->recv_posted; k++) {
		const struct recv *recv = &l->recvs[k & (rq_depth(r) - 1)];

		NEED(r,
			guard_filled(recv->at, recv->wr.length) &&
				guard_ok(recv->at, recv->wr.length),
			"QP %x: receive buffer %lu written, but not reported", l->qpn, k);
	}
}

static void
check_end(struct run *r, int end)
{
	check_counters(r, end);
	for (uint32_t i = 0; i < r->cfg.lanes; i++)
		check_lane(r, &r->lane[end][i]);
	NEED(r, memcmp(r->source[end].at, r->source_copy[end], r->source[end].len) == 0,
		"end %d: a region without the right to WRITE has changed", end);
	NEED(r, zone_ok(&r->source[end]) && zone_ok(&r->words[end]), "end %d: region overrun", end);
	for (uint32_t i = 0; i < WORDS; i++) {
		uint64_t value;
		const char *wrong;

		memcpy(&value, r->words[end].at + 8 * i, sizeof(value));
		wrong = serial_end(&r->serial[end][i], value);
		NEED(r, wrong == NULL, "end %d: word %u, in the end %lx: %s", end, i, value, wrong);
	}
}

/* What is left in the receive queue comes back once and in order. */
static void
flush_lane(struct run *r, struct lane *l)
{
	struct remu_engine *e = r->duo.engine[l->end];
	struct remu_cq *cq = l->number % 3 == 2 ? l->cq[0].cq : l->cq[1].cq;
	struct remu_wc wc;

	NEED(r, remu_qp_modify(e, l->qp, REMU_QP_ERR, NULL) == 0, "QP %x: no way to ERR", l->qpn);
	while ((cq != NULL ? remu_cq_poll(cq, &wc, 1) : remu_engine_poll_wc(e, &wc, 1)) != 0) {
		uint64_t id = l->recvs[l->recv_ended & (rq_depth(r) - 1)].wr.wr_id;

		NEED(r,
			wc.qpn == l->qpn && wc.kind == REMU_WC_RECV && wc.wr_id == id &&
				wc.status == REMU_WC_WR_FLUSH_ERR &&
				l->recv_ended != l->recv_posted,
			"QP %x: flushed %lx of QP %x, kind %u, %s, instead of %lx", l->qpn,
			wc.wr_id, wc.qpn, wc.kind, remu_wc_status_name(wc.status), id);
		l->recv_ended++;
	}
	NEED(r, l->recv_ended == l->recv_posted, "QP %x: %lu receive requests were not flushed",
		l->qpn, l->recv_posted - l->recv_ended);
}

static void
close_lane(struct run *r, struct lane *l)
{
	struct remu_engine *e = r->duo.engine[l->end];

	flush_lane(r, l);
	remu_qp_destroy(e, l->qp);
	for (uint32_t n = 0; n < 2; n++)
		NEED(r, remu_cq_destroy(e, l->cq[n].cq) == 0, "QP %x: queue busy", l->qpn);
	NEED(r,
		remu_mr_deregister(r->duo.engine[!l->end], PD,
			workload__rkey(l->number, REGION_DATA)) == 0,
		"QP %x: region unknown", l->qpn);
	for (uint32_t n = 0; n < r->cfg.sq_depth; n++) {
		zone_free(&l->ops[n].zone);
		free(l->ops[n].expect);
	}
	for (uint32_t n = 0; n < rq_depth(r); n++)
		zone_free(&l->recvs[n].zone);
	zone_free(&l->data);
	free(l->image);
	free(l->recvs);
	free(l->taker_op);
	free(l->ops);
}

static void
close_run(struct run *r)
{
	for (int end = 0; end < 2; end++) {
		for (uint32_t i = 0; i < r->cfg.lanes; i++)
			close_lane(r, &r->lane[end][i]);
		for (uint32_t i = 0; i < WORDS; i++)
			serial_free(&r->serial[end][i]);
		free(r->source_copy[end]);
		zone_free(&r->source[end]);
		zone_free(&r->words[end]);
	}
	assert_int_equal(duo_close(&r->duo), 0);
	if (!rte_mempool_full(r->pool))
		fail_msg("%s, seed %lu: %u mbufs are missing", r->cfg.name, r->cfg.seed,
			rte_mempool_in_use_count(r->pool));
}

static void
add_up(const struct run *r, struct workload_result *result)
{
	result->ops += r->ended;
	result->frames += r->duo.frames;
	result->virtual_ns += r->duo.now - r->duo.cfg.start_ns;
	result->trace = (result->trace ^ r->duo.trace) * 0x9e3779b97f4a7c15;
	for (int end = 0; end < 2; end++) {
		const struct remu_stats *s = remu_engine_stats(r->duo.engine[end]);
		const struct link_stats *line = link_stats(&r->duo.link[end]);

		for (int i = LINK_KEPT + 1; i < LINK_LOSS_COUNT; i++)
			result->lost += line->lost[i];
		result->retransmits += s->retransmits;
		result->timeouts += s->timeouts;
		result->probes += s->probes;
		result->naks += s->naks_received;
		result->rnr_naks += s->rnr_naks_received;
		result->reordered += s->rx_reordered;
		result->duplicates += s->duplicates;
		result->cnps += s->cnps_received;
	}
}

void
workload_run(const struct workload_config *cfg, struct rte_mempool *pool,
	struct workload_result *result)
{
	struct run *r = allocate(1, sizeof(*r));

	under_way = r;
	open_run(r, cfg, pool);
	while (r->ended < cfg->ops)
		step(r);
	come_to_rest(r);
	for (int end = 0; end < 2; end++)
		check_end(r, end);
	add_up(r, result);
	close_run(r);
	under_way = NULL;
	free(r);
}

void
workload_abandon(void)
{
	if (under_way != NULL)
		duo_close(&under_way->duo);
	under_way = NULL;
}
