/* SPDX-License-Identifier: BSD-3-Clause */
#include "duo.h"

#include <frame_maker.h>
#include <pcap.h>

#include <rte_common.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BURST = 32,
	SLOTS = 4096, /* frames on both links */
	HEADERS_MAX = 128,
	NO_MBUF_NS = 1000, /* until an engine that could not send is asked again */
	VLAN_TCI = 3 << 13 | 42,
};

static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

static struct roce_gid
address(int end, bool ipv6)
{
	struct roce_gid gid = {{0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(end + 1)}};

	return ipv6 ? gid : roce_gid_ipv4(0xc0000201 + (uint32_t)end);
}

static int
open_engine(struct duo *d, int end)
{
	struct remu_engine_config cfg = d->cfg.engine;

	memcpy(cfg.mac, macs[end], sizeof(cfg.mac));
	cfg.gid = address(end, false);
	cfg.gid2 = address(end, true);
	cfg.id = 0;
	cfg.n_engines = 1;
	cfg.socket_id = -1;
	return remu_engine_create(&cfg, &d->engine[end]);
}

int
duo_open(struct duo *d, const struct duo_config *cfg)
{
	const struct roce_path path = {.src = address(0, cfg->ipv6),
		.dst = address(1, cfg->ipv6),
		.tagged = cfg->tagged};
	uint32_t frame_max = cfg->mtu + HEADERS_MAX;
	int rc = 0;

	memset(d, 0, sizeof(*d));
	d->cfg = *cfg;
	d->now = cfg->start_ns;
	d->marks = cfg->seed;
	roce_flow_init(&d->flow, &path);
	d->memory = aligned_alloc(16, RTE_ALIGN_CEIL(link_pool_size(SLOTS, frame_max), 16));
	if (d->memory == NULL)
		return -ENOMEM;
	link_pool_init(&d->slots, d->memory, SLOTS, frame_max);
	for (int end = 0; end < 2 && rc == 0; end++)
		rc = link_init(&d->link[end], &d->slots, 2 * cfg->seed + (uint64_t)end,
			&cfg->link[end]);
	for (int end = 0; end < 2 && rc == 0; end++)
		rc = open_engine(d, end);
	if (rc == 0 && cfg->pcap != NULL)
		rc = pcap_writer_open(cfg->pcap, &d->pcap);
	if (rc != 0)
		duo_close(d);
	return rc;
}

int
duo_close(struct duo *d)
{
	int rc = pcap_writer_close(d->pcap);

	for (int end = 0; end < 2; end++)
		remu_engine_destroy(d->engine[end]);
	free(d->memory);
	d->memory = NULL;
	d->pcap = NULL;
	d->engine[0] = d->engine[1] = NULL;
	return rc;
}

int
duo_join(struct duo *d, const struct remu_qp_config cfg[2], struct remu_qp_attr attr[2],
	struct remu_qp *qp[2])
{
	for (int end = 0; end < 2; end++) {
		struct remu_qp_attr *a = &attr[end];
		int rc = remu_qp_create(d->engine[end], &cfg[end], &qp[end]);

		if (rc != 0)
			return rc;
		a->peer_gid = address(!end, d->cfg.ipv6);
		memcpy(a->peer_mac, macs[!end], sizeof(a->peer_mac));
		a->peer_qpn = cfg[!end].qpn;
		a->rq_psn = attr[!end].sq_psn;
		a->tagged = d->cfg.tagged;
		a->vlan_tci = VLAN_TCI;
		for (int to = REMU_QP_INIT; to <= REMU_QP_RTS && rc == 0; to++)
			rc = remu_qp_modify(d->engine[end], qp[end], (enum remu_qp_state)to, a);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static void
mix_in(struct duo *d, uint64_t word)
{
	d->trace = (d->trace ^ word) * 0x9e3779b97f4a7c15;
	d->trace ^= d->trace >> 29;
}

static void
mix_in_frame(struct duo *d, int from, const uint8_t *data, uint32_t len)
{
	uint64_t word = 0;

	mix_in(d, d->now);
	mix_in(d, (uint64_t)from << 32 | len);
	for (; len >= sizeof(word); data += sizeof(word), len -= (uint32_t)sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		mix_in(d, word);
	}
	word = 0;
	memcpy(&word, data, len);
	mix_in(d, word);
}

/* As a switch with a long queue does to those who said that they understand. */
static void
mark(struct duo *d, uint8_t *frame, uint32_t len)
{
	struct roce_packet pkt;

	if (prng_below(&d->marks, LINK_PPM) < d->cfg.ce_ppm &&
		roce_decode(frame, len, &pkt) == REMU_DROP_NONE &&
		(pkt.tos & ROCE_ECN_MASK) == ROCE_ECN_ECT0)
		roce_set_traffic_class(&d->flow, frame, pkt.tos | ROCE_ECN_CE);
}

static void
launch(struct duo *d, int from, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	d->frames++;
	mix_in_frame(d, from, frame, m->pkt_len);
	if (d->cfg.ce_ppm != 0)
		mark(d, frame, m->pkt_len);
	if (d->pcap != NULL)
		pcap_writer_add(d->pcap, frame, m->pkt_len, d->now);
	link_send(&d->link[from], frame, m->pkt_len, d->now);
}

static void
send_all(struct duo *d, int from)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n;

	remu_engine_poll(d->engine[from], d->now);
	while ((n = remu_engine_tx(d->engine[from], pkts, BURST, d->now)) != 0) {
		for (uint16_t i = 0; i < n; i++)
			launch(d, from, pkts[i]);
		rte_pktmbuf_free_bulk(pkts, n);
	}
}

/* Hand over what has arrived from one end, in bursts. Returns how many frames. */
static uint32_t
deliver(struct duo *d, int from)
{
	struct rte_mbuf *pkts[BURST], *m;
	uint32_t total = 0, len;
	uint16_t n = 0;

	while (link_next(&d->link[from]) <= d->now) {
		m = rte_pktmbuf_alloc(d->cfg.engine.pool);
		if (m == NULL)
			break;
		len = link_recv(&d->link[from], rte_pktmbuf_mtod(m, void *),
			rte_pktmbuf_tailroom(m), d->now);
		if (len == 0) { /* lost in a partition */
			rte_pktmbuf_free(m);
			break;
		}
		m->data_len = (uint16_t)len;
		m->pkt_len = len;
		pkts[n++] = m;
		total++;
		if (n == BURST) {
			remu_engine_rx(d->engine[!from], pkts, n, d->now);
			n = 0;
		}
	}
	remu_engine_rx(d->engine[!from], pkts, n, d->now);
	return total;
}

bool
duo_step(struct duo *d, uint64_t until)
{
	uint64_t next = until;
	bool moved;

	for (int end = 0; end < 2; end++)
		send_all(d, end);
	for (int end = 0; end < 2; end++) {
		next = RTE_MIN(next, link_next(&d->link[end]));
		next = RTE_MIN(next, remu_engine_next_deadline(d->engine[end]));
		if (remu_engine_has_output(d->engine[end]))
			next = RTE_MIN(next, d->now + NO_MBUF_NS);
	}
	if (next == UINT64_MAX)
		return false;
	moved = next > d->now;
	d->now = RTE_MAX(d->now, next);
	for (int end = 0; end < 2; end++)
		moved |= deliver(d, end) != 0;
	d->spins = moved ? 0 : d->spins + 1;
	return true;
}
