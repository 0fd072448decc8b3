/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Mbufs in bursts, by the common case: one pool, one segment, nobody else refers to it. What DPDK's
 * bulk functions look at for each mbuf, drivers leave out in the same way: an mbuf that lies in its
 * pool has one reference, one segment and none behind it (rte_mbuf_raw_free()).
 */

#include "remu_priv.h"

#include <rte_mempool.h>

/* The 8 bytes of an mbuf that tell where data begins, and how many refer to it. */
struct remu_mbuf_rearm {
	uint16_t data_off;
	uint16_t refcnt;
	uint16_t nb_segs;
	uint16_t port;
};
_Static_assert(sizeof(struct remu_mbuf_rearm) == sizeof(uint64_t) &&
		offsetof(struct rte_mbuf, refcnt) == offsetof(struct rte_mbuf, data_off) + 2 &&
		offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, data_off) + 4 &&
		offsetof(struct rte_mbuf, port) == offsetof(struct rte_mbuf, data_off) + 6,
	"as in struct rte_mbuf");

/* Begin a frame in an mbuf that is as the pool has given it. */
static inline void
remu__mbuf_begin(const struct remu_engine *e, struct rte_mbuf *m, uint16_t frame_len)
{
	memcpy(&m->data_off, &e->mbuf_rearm, sizeof(e->mbuf_rearm));
	m->ol_flags = e->mbuf_flags;
	m->packet_type = 0;
	m->pkt_len = frame_len;
	m->data_len = frame_len;
	m->tx_offload = 0;
}

/* Learn how mbufs of the engine's pool begin. */
static inline void
remu__mbuf_learn(struct remu_engine *e)
{
	const struct remu_mbuf_rearm rearm = {
		.data_off = RTE_MIN(rte_pktmbuf_data_room_size(e->cfg.pool),
			(uint16_t)RTE_PKTMBUF_HEADROOM),
		.refcnt = 1,
		.nb_segs = 1,
		.port = RTE_MBUF_PORT_INVALID,
	};

	memcpy(&e->mbuf_rearm, &rearm, sizeof(rearm));
	if (rte_pktmbuf_priv_flags(e->cfg.pool) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF)
		e->mbuf_flags = RTE_MBUF_F_EXTERNAL;
}

/* Whether an mbuf can go back to its pool as it is. */
static inline bool
remu__mbuf_is_unshared(const struct rte_mbuf *m)
{
	uint32_t counts;

	memcpy(&counts, &m->refcnt, sizeof(counts)); /* and nb_segs */
	return counts == (1 | 1 << 16) && m->next == NULL && RTE_MBUF_DIRECT(m);
}

/* As rte_pktmbuf_free_bulk(). NULL is left out. */
static inline void
remu__mbuf_free_burst(struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mempool *pool;

	if (n == 0)
		return;
	pool = pkts[0] != NULL ? pkts[0]->pool : NULL;
	for (uint16_t i = 0; i < n; i++)
		if (unlikely(pkts[i] == NULL || pkts[i]->pool != pool ||
			    !remu__mbuf_is_unshared(pkts[i]))) {
			rte_pktmbuf_free_bulk(pkts, n);
			return;
		}
	rte_mempool_put_bulk(pool, (void *const *)pkts, n);
}
