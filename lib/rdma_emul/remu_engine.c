/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine: one place where frames are checked, dropped and counted, and one where the queue
 * pairs take turns to send.
 */
#include "remu_arp.h"
#include "remu_mbuf.h"
#include "remu_predict.h"
#include "remu_priv.h"
#include "remu_shortcut.h"
#include "roce_extension.h"
#include "roce_icrc.h"

#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#include <errno.h>
#include <string.h>

enum {
	CNP_INTERVAL_US = 50,
	REACK_PER_S = 1000000,
	REPLAY_BYTES_PER_S = 1 << 30,
};

static bool
is_zero(const struct roce_gid *gid)
{
	return memcmp(gid, &(struct roce_gid){0}, sizeof(*gid)) == 0;
}

/* One address, or one of each family. */
static bool
gids_ok(const struct remu_engine_config *cfg)
{
	if (!remu__gid_ok(&cfg->gid))
		return false;
	return is_zero(&cfg->gid2) ||
		(remu__gid_ok(&cfg->gid2) &&
			roce_gid_is_ipv4(&cfg->gid) != roce_gid_is_ipv4(&cfg->gid2));
}

static bool
config_ok(const struct remu_engine_config *cfg)
{
	return cfg->pool != NULL && cfg->n_engines >= 1 && cfg->id < cfg->n_engines &&
		cfg->max_qps >= 1 && cfg->max_qps <= 65536 && cfg->max_mrs >= 1 &&
		cfg->max_mrs <= 65536 && cfg->sq_depth >= 2 && cfg->sq_depth <= 4096 &&
		rte_is_power_of_2(cfg->sq_depth) && cfg->window >= 1 && cfg->window <= 4096 &&
		(cfg->rq_depth == 0 ||
			(cfg->rq_depth <= 4096 && rte_is_power_of_2(cfg->rq_depth))) &&
		(cfg->disable & ~REMU_RECOVERY_ALL) == 0 && gids_ok(cfg);
}

static uint32_t
or_default(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static void *
zalloc(const char *name, size_t bytes, int socket_id)
{
	return rte_zmalloc_socket(name, bytes, RTE_CACHE_LINE_SIZE, socket_id);
}

static int
allocate(struct remu_engine *e)
{
	const struct remu_engine_config *cfg = &e->cfg;
	size_t n = cfg->max_qps, bitmap_bytes = (e->bitmap_mask + 1) / 8;
	uint32_t completions = (uint32_t)RTE_MIN(n * (cfg->sq_depth + cfg->rq_depth),
		(size_t)65536);

	e->qps = zalloc("remu_qps", n * sizeof(*e->qps), cfg->socket_id);
	e->wqes = zalloc("remu_wqes", n * cfg->sq_depth * sizeof(*e->wqes), cfg->socket_id);
	e->recvs = zalloc("remu_recvs", n * cfg->rq_depth * sizeof(*e->recvs) + 1, cfg->socket_id);
	e->bitmaps = zalloc("remu_bitmaps", n * 2 * bitmap_bytes, cfg->socket_id);
	e->mrs = zalloc("remu_mrs", cfg->max_mrs * sizeof(*e->mrs), cfg->socket_id);
	if (e->qps == NULL || e->wqes == NULL || e->recvs == NULL || e->bitmaps == NULL ||
		e->mrs == NULL ||
		remu__cq_init(&e->cq, completions, cfg->max_qps, cfg->socket_id) != 0 ||
		remu_table_init(&e->qp_table, cfg->max_qps, cfg->socket_id) != 0 ||
		remu_table_init(&e->mr_table, cfg->max_mrs, cfg->socket_id) != 0 ||
		remu_timers_init(&e->timers, cfg->max_qps, cfg->socket_id) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		e->qps[i].req.sq = &e->wqes[i * cfg->sq_depth];
		e->qps[i].resp.rq = &e->recvs[i * cfg->rq_depth];
		e->qps[i].req.got = &e->bitmaps[2 * i * bitmap_bytes / 8];
		e->qps[i].req.restarts = &e->bitmaps[(2 * i + 1) * bitmap_bytes / 8];
	}
	return 0;
}

int
remu_engine_create(const struct remu_engine_config *cfg, struct remu_engine **out)
{
	struct remu_engine *e;

	*out = NULL;
	if (!config_ok(cfg))
		return -EINVAL;
	e = rte_zmalloc_socket("remu_engine", sizeof(*e), RTE_CACHE_LINE_SIZE, cfg->socket_id);
	if (e == NULL)
		return -ENOMEM;
	e->cfg = *cfg;
	remu__mbuf_learn(e);
	e->predicted = &e->predictions[0];
	/* What is kept is missing for sending: never more than a part of the pool. */
	e->cfg.hold_max = or_default(cfg->hold_max,
		RTE_MIN(cfg->pool->size / 8, (uint32_t)REMU_HOLD_ALL));
	e->cfg.cnp_interval_us = or_default(cfg->cnp_interval_us, CNP_INTERVAL_US);
	e->cfg.reack_per_s = or_default(cfg->reack_per_s, REACK_PER_S);
	e->cfg.replay_bytes_per_s = or_default(cfg->replay_bytes_per_s, REPLAY_BYTES_PER_S);
	e->reack_cost_ns = 1000000000 / e->cfg.reack_per_s;
	e->bitmap_mask = RTE_MAX(rte_align32pow2(cfg->window), 64u) - 1;
	if (allocate(e) != 0) {
		remu_engine_destroy(e);
		return -ENOMEM;
	}
	*out = e;
	return 0;
}

void
remu_engine_destroy(struct remu_engine *e)
{
	if (e == NULL)
		return;
	for (uint32_t i = 0; i < e->n_channels; i++)
		remu__channel_free(e->channels[i]);
	if (e->qps != NULL)
		for (uint32_t i = 0; i < e->cfg.max_qps; i++)
			remu__hold_flush(e, &e->qps[i]);
	rte_pktmbuf_free(e->arp_answer);
	remu_timers_free(&e->timers);
	remu_table_free(&e->mr_table);
	remu_table_free(&e->qp_table);
	remu__cq_free_all(e);
	rte_free(e->mrs);
	rte_free(e->bitmaps);
	rte_free(e->recvs);
	rte_free(e->wqes);
	rte_free(e->qps);
	rte_free(e);
}

struct rte_mbuf *
remu__frame_begin(struct remu_engine *e, struct remu_qp *qp, const struct roce_fields *f,
	uint32_t payload_len, uint8_t **payload)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(e->cfg.pool);
	size_t len = roce_frame_len(&qp->flow, f->opcode, payload_len);
	uint8_t *frame;

	if (unlikely(m == NULL || rte_pktmbuf_tailroom(m) < len)) {
		rte_pktmbuf_free(m);
		e->stats.tx_no_mbuf++;
		return NULL;
	}
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	*payload = frame + roce_encode(&qp->flow, f, 0, payload_len, frame);
	m->data_len = (uint16_t)len;
	m->pkt_len = (uint32_t)len;
	return m;
}

void
remu__frame_end(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf *m, uint8_t *payload,
	uint32_t payload_len)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	roce_seal(&qp->flow, frame, (size_t)(payload - frame), payload_len);
	e->stats.tx_packets++;
	e->stats.tx_bytes += m->pkt_len;
}

static bool
pkey_ok(uint16_t pkey)
{
	/* We are a full member of the default partition: its 15 bits must match (section 10.9.3). */
	return (pkey & 0x7fff) == (ROCE_PKEY_DEFAULT & 0x7fff);
}

/* Whether a packet comes from the peer of this queue pair, by the way that was agreed. */
static enum remu_drop
check_peer(const struct remu_qp *qp, const struct roce_packet *pkt)
{
	uint16_t vlan = qp->tagged ? qp->vlan_tci & 0xfff : 0;

	if (unlikely(memcmp(pkt->src_mac, qp->peer_mac, 6) != 0))
		return REMU_DROP_SRC_MAC;
	if (unlikely(memcmp(&pkt->src, &qp->peer_gid, sizeof(pkt->src)) != 0))
		return REMU_DROP_SRC_IP;
	if (unlikely(memcmp(&pkt->dst, &qp->gid, sizeof(pkt->dst)) != 0))
		return REMU_DROP_DST_IP;
	/* VLAN ID 0 only gives a priority: the frame belongs to no VLAN (802.1Q, 9.6). */
	if (unlikely((pkt->tagged ? pkt->vlan_tci & 0xfff : 0) != vlan))
		return REMU_DROP_VLAN;
	/* CNPs come from the device rather than from the queue pair. */
	if (unlikely(qp->peer_sport != 0 && pkt->udp_sport != qp->peer_sport &&
		    !(pkt->op->traits & ROCE_T_CNP)))
		return REMU_DROP_SRC_PORT;
	return REMU_DROP_NONE;
}

/* Tell the peer that its packets meet congestion, but not more often than the interval. */
static void
echo_congestion(struct remu_engine *e, struct remu_qp *qp, uint64_t now)
{
	if (now < qp->resp.cnp_after)
		return;
	qp->resp.cnp_after = now + e->cfg.cnp_interval_us * 1000ull;
	qp->resp.cnp_due = true;
	remu__qp_schedule(e, qp);
}

static enum remu_drop
dispatch(struct remu_engine *e, struct remu_qp *qp, const struct roce_packet *pkt,
	struct rte_mbuf *m, uint64_t now)
{
	uint32_t epsn = qp->resp.epsn;
	enum remu_drop drop;
	bool good;

	if (pkt->op->traits & ROCE_T_REQUEST) {
		drop = remu__resp_request(e, qp, pkt, m, now);
		good = qp->resp.epsn != epsn;
	} else {
		drop = remu__req_response(e, qp, pkt, now);
		good = drop == REMU_DROP_NONE;
	}
	/* A duplicate pins nothing: half of all PSNs would do for a forger. */
	if (good && (qp->flags & REMU_QP_PIN_SPORT) && qp->peer_sport != pkt->udp_sport) {
		qp->peer_sport = pkt->udp_sport;
		remu__predict_forget(e, qp);
	}
	return drop;
}

/* Not for RDMA. REMU_HELD: the mbuf has become an answer. */
static enum remu_drop
receive_other(struct remu_engine *e, struct rte_mbuf *m)
{
	uint32_t ip = roce_gid_to_ipv4(&e->cfg.gid);
	size_t len;

	if (!e->cfg.answer_arp || e->arp_answer != NULL)
		return REMU_DROP_NOT_IP;
	if (ip == 0)
		ip = roce_gid_to_ipv4(&e->cfg.gid2);
	if (ip == 0)
		return REMU_DROP_NOT_IP;
	len = remu_arp_answer(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, e->cfg.mac, ip);
	if (len == 0)
		return REMU_DROP_NOT_IP;
	m->data_len = (uint16_t)len;
	m->pkt_len = (uint32_t)len;
	m->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT; /* who owns the bytes stays */
	e->arp_answer = m;
	return REMU_HELD;
}

static bool
receives(const struct remu_qp *qp)
{
	const uint32_t states = 1u << REMU_QP_RTR | 1u << REMU_QP_RTS | 1u << REMU_QP_SQD |
		1u << REMU_QP_SQE;

	return states >> qp->state & 1;
}

/*
 * Every check that does not depend on what the packet asks, then requester or responder.
 * REMU_HELD: the mbuf is kept.
 */
static __rte_noinline enum remu_drop
receive_unknown(struct remu_engine *e, struct rte_mbuf *m, uint64_t now)
{
	struct roce_packet pkt;
	struct remu_qp *qp;
	enum remu_drop drop;

	if (unlikely(m->nb_segs != 1) && rte_pktmbuf_linearize(m) != 0)
		return REMU_DROP_SEGMENTS;
	drop = roce_decode(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &pkt);
	if (unlikely(drop != REMU_DROP_NONE))
		return drop == REMU_DROP_NOT_IP ? receive_other(e, m) : drop;
	if (unlikely(memcmp(pkt.dst_mac, e->cfg.mac, 6) != 0))
		return REMU_DROP_DST_MAC;
	if (unlikely(memcmp(&pkt.dst, &e->cfg.gid, sizeof(pkt.dst)) != 0 &&
		    memcmp(&pkt.dst, &e->cfg.gid2, sizeof(pkt.dst)) != 0))
		return REMU_DROP_DST_IP;
	if (unlikely(!roce_icrc_ok(pkt.l3, pkt.icrc_span)))
		return REMU_DROP_ICRC;
	if (unlikely(!pkey_ok(pkt.f.pkey)))
		return REMU_DROP_PKEY;
	qp = remu_qp_find(e, pkt.f.dest_qpn);
	if (unlikely(qp == NULL))
		return REMU_DROP_QPN;
	if (unlikely(!receives(qp)))
		return REMU_DROP_QP_STATE;
	drop = check_peer(qp, &pkt);
	if (unlikely(drop != REMU_DROP_NONE))
		return drop;
	if (pkt.op->traits & ROCE_T_CNP) {
		remu__req_cnp(e, qp, now);
		return REMU_DROP_NONE;
	}
	if (unlikely((pkt.tos & ROCE_ECN_MASK) == ROCE_ECN_CE))
		echo_congestion(e, qp, now);
	else if (m->data_len >= ROCE_MIN_FRAME)
		remu__predict_learn(e, remu__predict_slot(e, rte_pktmbuf_mtod(m, const uint8_t *)),
			qp, m, &pkt);
	return dispatch(e, qp, &pkt, m, now);
}

/* A frame that begins like one that has passed those checks. */
static inline enum remu_drop
receive_predicted(struct remu_engine *e, struct remu_prediction *p, struct rte_mbuf *m,
	uint64_t now)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *rest = frame + ROCE_HEAD_LEN;
	struct roce_packet *pkt = &p->pkt;
	uint32_t word = roce_load_be32(rest);

	if (unlikely(roce_icrc_rest(p->crc, rest, p->rest_len) !=
		    roce_load_le32(rest + p->rest_len)))
		return REMU_DROP_ICRC;
	if (unlikely(!receives(p->qp)))
		return REMU_DROP_QP_STATE;
	if (p->at_once == REMU_WRITE_AT_ONCE &&
		remu__write_at_once(e, p->qp, word, rest + 4, frame + p->payload_off,
			pkt->payload_len))
		return REMU_DROP_NONE;
	if (p->at_once == REMU_READ_AT_ONCE && remu__read_at_once(e, p->qp, word, rest + 4))
		return REMU_DROP_NONE;
	pkt->f.ackreq = word >> 31;
	pkt->f.reserved7 = word >> 24 & 0x7f;
	pkt->f.psn = word & REMU_PSN_MASK;
	roce_decode_extensions(rest + 4, pkt);
	pkt->l3 = frame + ROCE_ETH_LEN;
	pkt->payload = frame + p->payload_off;
	return dispatch(e, p->qp, pkt, m, now);
}

static inline enum remu_drop
receive(struct remu_engine *e, struct rte_mbuf *m, uint64_t now)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	struct remu_prediction *p = e->predicted; /* frames of a kind come in a row */

	if (unlikely(m->nb_segs != 1 || m->data_len < ROCE_MIN_FRAME))
		return receive_unknown(e, m, now);
	if (!remu__predict_fits(p, m)) {
		p = remu__predict_slot(e, frame);
		if (!remu__predict_fits(p, m))
			return receive_unknown(e, m, now);
		e->predicted = p;
	}
	return receive_predicted(e, p, m, now);
}

void
remu_engine_rx(struct remu_engine *e, struct rte_mbuf **pkts, uint16_t n, uint64_t now)
{
	uint64_t bytes = 0, others = 0;

	for (uint16_t i = 0; i < n; i++) {
		enum remu_drop verdict;

		if (i + 1 < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + 1], const void *));
		bytes += pkts[i]->pkt_len;
		verdict = receive(e, pkts[i], now);
		if (likely(verdict == REMU_DROP_NONE))
			continue;
		others++;
		if (verdict == REMU_HELD)
			pkts[i] = NULL;
		else
			e->stats.drops[verdict]++;
	}
	e->stats.rx_packets += n;
	e->stats.rx_bytes += bytes;
	e->stats.drops[REMU_DROP_NONE] += n - others;
	remu__mbuf_free_burst(pkts, n);
}

void
remu_engine_poll(struct remu_engine *e, uint64_t now)
{
	uint32_t index;

	for (uint32_t i = 0; i < e->n_channels; i++)
		remu__channel_serve(e, e->channels[i], now);
	while (remu_timers_pop(&e->timers, now, &index))
		remu__req_timeout(e, &e->qps[index], now);
}

/*
 * What one queue pair has to send, up to `max`. Responses and requests share it half and half, the
 * odd packet in turn: a peer that reads without end must not hold up what we have to repeat.
 */
static uint16_t
take_turn(struct remu_engine *e, struct remu_qp *qp, struct rte_mbuf **pkts, uint16_t max,
	uint64_t now)
{
	uint16_t share = max, made;
	bool more;

	e->turn = !e->turn;
	if (!remu__resp_has_output(qp))
		return remu__req_tx(e, qp, pkts, max, now);
	if (remu__req_has_output(e, qp))
		share = (uint16_t)((max + !e->turn) / 2);
	made = remu__resp_tx(e, qp, pkts, share, now);
	more = made == share; /* for want of share, not of mbufs */
	made += remu__req_tx(e, qp, pkts + made, max - made, now);
	if (more && !qp->req.starved)
		made += remu__resp_tx(e, qp, pkts + made, max - made, now);
	return made;
}

uint16_t
remu_engine_tx(struct remu_engine *e, struct rte_mbuf **pkts, uint16_t max, uint64_t now)
{
	uint16_t n = 0;

	if (unlikely(e->arp_answer != NULL) && max != 0) {
		pkts[n++] = e->arp_answer;
		e->arp_answer = NULL;
		e->stats.arp_answered++;
		e->stats.tx_packets++;
		e->stats.tx_bytes += pkts[0]->pkt_len;
	}
	while (n < max && e->sched_head != NULL) {
		struct remu_qp *qp = e->sched_head;
		uint16_t made;

		e->sched_head = qp->sched_next;
		if (e->sched_head == NULL)
			e->sched_tail = NULL;
		qp->scheduled = false;
		made = take_turn(e, qp, pkts + n,
			RTE_MIN((uint16_t)(max - n), (uint16_t)REMU_QUANTUM), now);
		n += made;
		if (qp->req.more || remu__resp_has_output(qp)) {
			remu__qp_schedule(e, qp);
			if (made == 0) /* no mbufs */
				break;
		}
	}
	return n;
}

bool
remu_engine_has_output(const struct remu_engine *e)
{
	return e->sched_head != NULL || e->arp_answer != NULL;
}

uint64_t
remu_engine_next_deadline(const struct remu_engine *e)
{
	return remu_timers_next(&e->timers);
}

const struct remu_stats *
remu_engine_stats(const struct remu_engine *e)
{
	return &e->stats;
}

uint16_t
remu_path_mtu(uint32_t ip_mtu)
{
	uint32_t mtu = ROCE_MTU_MAX;

	while (mtu >= ROCE_MTU_MIN && mtu + ROCE_MTU_OVERHEAD > ip_mtu)
		mtu /= 2;
	return mtu >= ROCE_MTU_MIN ? (uint16_t)mtu : 0;
}
