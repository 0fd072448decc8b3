/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must not be carried out. A second opinion on single requests, from the tables of the world
 * and not from the engine: not every request that passes here is a good one, but none that does not
 * pass may have an effect.
 */
#include "rx_world.h"

#include <roce_icrc.h>

#include <rte_mbuf.h>
#include <string.h>

/* Whether a region grants all of it. */
static bool
is_granted(const struct rx_world *w, uint32_t pd, const struct roce_fields *f, uint64_t len,
	uint32_t access)
{
	for (uint32_t i = 0; i < RX_REGIONS; i++) {
		const struct rx_region_spec *r = &rx_region_specs[i];

		if (!w->registered[i] || r->pd != pd || r->rkey != f->rkey)
			continue;
		return (r->access & access) == access && f->va >= r->va &&
			(unsigned __int128)f->va + len <= (unsigned __int128)r->va + r->len;
	}
	return false;
}

static uint32_t
needed_access(uint32_t traits)
{
	if (traits & ROCE_T_READ)
		return REMU_ACCESS_REMOTE_READ;
	if (traits & ROCE_T_WRITE)
		return REMU_ACCESS_REMOTE_WRITE;
	return traits & ROCE_T_ATOMIC ? REMU_ACCESS_REMOTE_ATOMIC : 0;
}

static bool
comes_from_peer(const struct fuzz_end *end, const struct roce_packet *pkt)
{
	const struct remu_engine_config own = fuzz_engine_config();
	const struct remu_qp_attr *attr = &end->attr;
	const struct roce_gid *gid = roce_gid_is_ipv4(&attr->peer_gid) ? &own.gid : &own.gid2;
	uint16_t vlan = attr->tagged ? attr->vlan_tci & 0xfff : 0;

	return memcmp(pkt->dst_mac, own.mac, 6) == 0 &&
		memcmp(pkt->src_mac, attr->peer_mac, 6) == 0 &&
		memcmp(&pkt->dst, gid, sizeof(*gid)) == 0 &&
		memcmp(&pkt->src, &attr->peer_gid, sizeof(pkt->src)) == 0 &&
		(pkt->tagged ? pkt->vlan_tci & 0xfff : 0) == vlan;
}

/* Whether a request is one that queue pair i, in its state, may carry out. */
static bool
may_pass(const struct rx_world *w, uint32_t i, const struct roce_packet *pkt)
{
	const struct rx_qp_spec *spec = &rx_qp_specs[i];
	struct remu_qp_info info = rx_info(w, i);
	uint32_t access = needed_access(pkt->op->traits);
	bool atomic = pkt->op->traits & ROCE_T_ATOMIC;
	uint32_t len = atomic ? 8 : pkt->f.dma_len;

	if (!comes_from_peer(&w->ends[i], pkt) || (pkt->f.pkey & 0x7fff) != 0x7fff)
		return false;
	if (info.state < REMU_QP_RTR || info.state == REMU_QP_ERR)
		return false;
	if (pkt->f.psn != info.epsn && !(spec->flags & REMU_QP_BOOTSTRAP))
		return false;
	if ((spec->access & access) != access || (atomic && pkt->f.va % 8 != 0))
		return false;
	return !(pkt->op->traits & (ROCE_T_RETH | ROCE_T_ATOMIC_ETH)) || len == 0 ||
		is_granted(w, spec->pd, &pkt->f, len, access);
}

/* PSNs that a request takes. */
static uint32_t
packets(const struct roce_packet *pkt, uint32_t mtu)
{
	if (!(pkt->op->traits & ROCE_T_READ) || pkt->f.dma_len == 0)
		return 1;
	return (pkt->f.dma_len - 1) / mtu + 1;
}

static uint64_t
executed(const struct rx_world *w)
{
	const struct remu_stats *stats = remu_engine_stats(w->e);

	return stats->writes_executed + stats->reads_executed + stats->sends_executed +
		stats->atomics_executed;
}

void
rx_oracle_before(struct rx_world *w, const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	struct roce_packet pkt;
	uint32_t i = 0;

	w->oracle.qp = RX_QPS;
	w->oracle.barred = m->nb_segs == 1 && remu_engine_stats(w->e)->rx_held == 0;
	if (!w->oracle.barred)
		return;
	w->oracle.executed = executed(w);
	if (roce_decode(frame, m->data_len, &pkt) != REMU_DROP_NONE)
		return;
	while (i < RX_QPS && w->ends[i].qpn != pkt.f.dest_qpn)
		i++;
	if (i == RX_QPS)
		return;
	w->oracle.qp = i;
	w->oracle.epsn = rx_info(w, i).epsn;
	w->oracle.psn = pkt.f.psn;
	w->oracle.behind = (pkt.f.psn + packets(&pkt, rx_qp_specs[i].path_mtu)) & 0xffffff;
	w->oracle.barred = !roce_icrc_ok(pkt.l3, pkt.icrc_span) ||
		!(pkt.op->traits & ROCE_T_REQUEST) || !may_pass(w, i, &pkt);
}

void
rx_oracle_after(const struct rx_world *w)
{
	uint32_t epsn;

	if (w->oracle.barred)
		FUZZ_CHECK(w->oracle.executed == executed(w));
	if (w->oracle.qp == RX_QPS)
		return;
	epsn = rx_info(w, w->oracle.qp).epsn;
	if (epsn == w->oracle.epsn)
		return;
	FUZZ_CHECK(!w->oracle.barred);
	/* A READ that sets the PSN of a bootstrap queue pair may itself be one too many. */
	FUZZ_CHECK(epsn == w->oracle.behind ||
		(epsn == w->oracle.psn && rx_qp_specs[w->oracle.qp].flags & REMU_QP_BOOTSTRAP));
}
