/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine: one place where frames are checked, dropped and counted, and one where the queue
 * pairs take turns to send.
 */
#include "remu_priv.h"
#include "roce_icrc.h"

#include <rte_malloc.h>
#include <rte_prefetch.h>

#include <errno.h>
#include <string.h>

static bool
config_ok(const struct remu_engine_config *cfg)
{
	return cfg->pool != NULL && cfg->n_engines >= 1 && cfg->id < cfg->n_engines &&
		cfg->max_qps >= 1 && cfg->max_qps <= 65536 && cfg->max_mrs >= 1 &&
		cfg->max_mrs <= 65536 && cfg->sq_depth >= 2 && cfg->sq_depth <= 4096 &&
		rte_is_power_of_2(cfg->sq_depth) && cfg->window >= 1 && cfg->window <= 4096 &&
		roce_gid_to_ipv4(&cfg->gid) != 0;
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
	e->local_depth = RTE_MIN(cfg->max_qps * cfg->sq_depth, 65536u);
	e->qps = rte_zmalloc_socket("remu_qps", cfg->max_qps * sizeof(*e->qps), RTE_CACHE_LINE_SIZE,
		cfg->socket_id);
	e->wqes = rte_zmalloc_socket("remu_wqes",
		(size_t)cfg->max_qps * cfg->sq_depth * sizeof(*e->wqes), RTE_CACHE_LINE_SIZE,
		cfg->socket_id);
	e->mrs = rte_zmalloc_socket("remu_mrs", cfg->max_mrs * sizeof(*e->mrs), RTE_CACHE_LINE_SIZE,
		cfg->socket_id);
	e->local_up = remu__ring_create(e->local_depth + cfg->max_qps, sizeof(struct remu_wc),
		cfg->socket_id);
	if (e->qps == NULL || e->wqes == NULL || e->mrs == NULL || e->local_up == NULL ||
		remu_table_init(&e->qp_table, cfg->max_qps, cfg->socket_id) != 0 ||
		remu_table_init(&e->mr_table, cfg->max_mrs, cfg->socket_id) != 0 ||
		remu_timers_init(&e->timers, cfg->max_qps, cfg->socket_id) != 0) {
		remu_engine_destroy(e);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < cfg->max_qps; i++)
		e->qps[i].req.sq = &e->wqes[(size_t)i * cfg->sq_depth];
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
	remu_timers_free(&e->timers);
	remu_table_free(&e->mr_table);
	remu_table_free(&e->qp_table);
	rte_free(e->local_up);
	rte_free(e->mrs);
	rte_free(e->wqes);
	rte_free(e->qps);
	rte_free(e);
}

struct rte_mbuf *
remu__frame_begin(struct remu_engine *e, struct remu_qp *qp, struct roce_fields *f,
	uint32_t payload_len, uint8_t **payload)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(e->cfg.pool);
	size_t len = roce_frame_len(f->opcode, payload_len);
	uint8_t *frame;

	if (unlikely(m == NULL || rte_pktmbuf_tailroom(m) < len)) {
		rte_pktmbuf_free(m);
		e->stats.tx_no_mbuf++;
		return NULL;
	}
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	*payload = frame + roce_encode(&qp->flow, f, e->ip_id++, payload_len, frame);
	m->data_len = (uint16_t)len;
	m->pkt_len = (uint32_t)len;
	return m;
}

void
remu__frame_end(struct remu_engine *e, struct rte_mbuf *m, uint8_t *payload, uint32_t payload_len)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	roce_seal(frame, (size_t)(payload - frame), payload_len);
	e->stats.tx_packets++;
	e->stats.tx_bytes += m->pkt_len;
}

static bool
pkey_ok(uint16_t pkey)
{
	/* We are a full member of the default partition: its 15 bits must match (section 10.9.3). */
	return (pkey & 0x7fff) == (ROCE_PKEY_DEFAULT & 0x7fff);
}

/* Every check that does not depend on what the packet asks, then requester or responder. */
static enum remu_drop
receive(struct remu_engine *e, struct rte_mbuf *m, uint64_t now)
{
	struct roce_packet pkt;
	struct remu_qp *qp;
	enum remu_drop drop;

	if (unlikely(m->nb_segs != 1) && rte_pktmbuf_linearize(m) != 0)
		return REMU_DROP_SEGMENTS;
	drop = roce_decode(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &pkt);
	if (unlikely(drop != REMU_DROP_NONE))
		return drop;
	if (unlikely(memcmp(pkt.dst_mac, e->cfg.mac, 6) != 0))
		return REMU_DROP_DST_MAC;
	if (unlikely(memcmp(&pkt.dst, &e->cfg.gid, sizeof(pkt.dst)) != 0))
		return REMU_DROP_DST_IP;
	if (unlikely(!roce_icrc_ok(pkt.l3, pkt.icrc_span)))
		return REMU_DROP_ICRC;
	if (unlikely(!pkey_ok(pkt.f.pkey)))
		return REMU_DROP_PKEY;
	qp = remu_qp_find(e, pkt.f.dest_qpn);
	if (unlikely(qp == NULL))
		return REMU_DROP_QPN;
	if (unlikely(qp->state != REMU_QP_RTR && qp->state != REMU_QP_RTS &&
		    qp->state != REMU_QP_SQE))
		return REMU_DROP_QP_STATE;
	if (unlikely(memcmp(pkt.src_mac, qp->peer_mac, 6) != 0))
		return REMU_DROP_SRC_MAC;
	if (unlikely(memcmp(&pkt.src, &qp->peer_gid, sizeof(pkt.src)) != 0))
		return REMU_DROP_SRC_IP;
	if (pkt.op->traits & ROCE_T_REQUEST)
		return remu__resp_request(e, qp, &pkt);
	return remu__req_response(e, qp, &pkt, now);
}

void
remu_engine_rx(struct remu_engine *e, struct rte_mbuf **pkts, uint16_t n, uint64_t now)
{
	for (uint16_t i = 0; i < n; i++) {
		if (i + 1 < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + 1], const void *));
		e->stats.rx_packets++;
		e->stats.rx_bytes += pkts[i]->pkt_len;
		e->stats.drops[receive(e, pkts[i], now)]++;
	}
	rte_pktmbuf_free_bulk(pkts, n);
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

static bool
qp_has_output(const struct remu_engine *e, const struct remu_qp *qp)
{
	return remu__resp_has_output(qp) || remu__req_has_output(e, qp);
}

uint16_t
remu_engine_tx(struct remu_engine *e, struct rte_mbuf **pkts, uint16_t max, uint64_t now)
{
	uint16_t n = 0;

	while (n < max && e->sched_head != NULL) {
		struct remu_qp *qp = e->sched_head;
		uint16_t quantum = RTE_MIN((uint16_t)(max - n), (uint16_t)REMU_QUANTUM);
		uint16_t made;

		e->sched_head = qp->sched_next;
		if (e->sched_head == NULL)
			e->sched_tail = NULL;
		qp->scheduled = false;
		/* A peer that reads without end must not hold up what we have to repeat. */
		made = remu__resp_tx(e, qp, pkts + n,
			remu__req_has_output(e, qp) ? (quantum + 1) / 2 : quantum);
		made += remu__req_tx(e, qp, pkts + n + made, quantum - made, now);
		n += made;
		if (qp_has_output(e, qp)) {
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
	return e->sched_head != NULL;
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

uint32_t
remu_engine_poll_wc(struct remu_engine *e, struct remu_wc *wc, uint32_t max)
{
	uint32_t n = rte_ring_sc_dequeue_burst_elem(e->local_up, wc, sizeof(*wc), max, NULL);

	for (uint32_t i = 0; i < n; i++) {
		e->local_in_flight -= wc[i].kind == REMU_WC_WORK;
		e->local_fatal -= wc[i].kind == REMU_WC_FATAL;
	}
	return n;
}

uint16_t
remu_path_mtu(uint32_t ip_mtu)
{
	uint32_t mtu = ROCE_MTU_MAX;

	while (mtu >= ROCE_MTU_MIN && mtu + ROCE_MTU_OVERHEAD > ip_mtu)
		mtu /= 2;
	return mtu >= ROCE_MTU_MIN ? (uint16_t)mtu : 0;
}
