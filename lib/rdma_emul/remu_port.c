/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a port is a ladder of steps over the device's abilities. A device that can computes the
 * IPv4 checksum, which the ICRC does not cover; for the others the codec has put it in already.
 */
#include "remu_port.h"
#include "roce_bytes.h"
#include "roce_wire.h"

#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct remu_port {
	struct remu_port_config cfg;
	uint16_t mtu;
	uint16_t rx_ring;
	uint16_t tx_ring;
	bool mac_set;
	bool rss;
	bool memif;
	bool memif_client;
	_Atomic bool started;
	uint64_t rx_offloads;
	uint64_t tx_offloads;
};

struct opening {
	struct remu_port *port;
	struct rte_eth_dev_info dev;
	char *error;
	size_t error_len;
};

__attribute__((format(printf, 3, 4))) static int
fail(const struct opening *o, int rc, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(o->error, o->error_len, "port %u: %s: %s", o->port->cfg.port_id, text,
		strerror(-rc));
	return rc;
}

int
remu_port_first(uint16_t *port_id)
{
	uint16_t id;

	RTE_ETH_FOREACH_DEV (id) {
		*port_id = id;
		return 0;
	}
	return -ENODEV;
}

uint16_t
remu_port_max_queues(uint16_t port_id)
{
	struct rte_eth_dev_info dev;

	if (rte_eth_dev_info_get(port_id, &dev) != 0)
		return 0;
	return RTE_MIN(RTE_MIN(dev.max_rx_queues, dev.max_tx_queues),
		(uint16_t)REMU_PORT_QUEUES_MAX);
}

static void
find_quirks(struct opening *o)
{
	const struct rte_devargs *devargs = rte_dev_devargs(o->dev.device);
	const char *args = devargs != NULL && devargs->args != NULL ? devargs->args : "";

	o->port->memif = strcmp(o->dev.driver_name, "net_memif") == 0;
	o->port->memif_client = o->port->memif && strstr(args, "role=server") == NULL &&
		strstr(args, "role=master") == NULL;
}

/* The largest MTU that the device says it can, at most the one wished. */
static uint16_t
possible_mtu(const struct opening *o)
{
	uint32_t mtu = o->port->cfg.mtu;

	mtu = RTE_MIN(mtu, (uint32_t)o->dev.max_mtu);
	if (o->dev.max_rx_pktlen > RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN)
		mtu = RTE_MIN(mtu, o->dev.max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN);
	return (uint16_t)mtu;
}

static int
configure(struct opening *o)
{
	struct remu_port *p = o->port;
	struct rte_eth_conf conf = {.rxmode.mtu = possible_mtu(o)};
	uint64_t rss_hf = o->dev.flow_type_rss_offloads & (RTE_ETH_RSS_UDP | RTE_ETH_RSS_IP);
	int rc;

	if (p->cfg.n_queues > 1 && rss_hf != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = rss_hf;
		p->rss = true;
	}
	conf.txmode.offloads = o->dev.tx_offload_capa & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	p->rx_offloads = conf.rxmode.offloads;
	p->tx_offloads = conf.txmode.offloads;
	rc = rte_eth_dev_configure(p->cfg.port_id, p->cfg.n_queues, p->cfg.n_queues, &conf);
	if (rc != 0)
		return fail(o, rc, "cannot configure %u queue pairs, MTU %u", p->cfg.n_queues,
			conf.rxmode.mtu);
	p->rx_ring = p->cfg.rx_ring;
	p->tx_ring = p->cfg.tx_ring;
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->cfg.port_id, &p->rx_ring, &p->tx_ring);
	return rc != 0 ? fail(o, rc, "cannot set the ring sizes") : 0;
}

static int
setup_queues(struct opening *o)
{
	const struct remu_port_config *cfg = &o->port->cfg;
	unsigned int socket = (unsigned int)cfg->socket_id;
	int rc;

	for (uint16_t q = 0; q < cfg->n_queues; q++) {
		rc = rte_eth_rx_queue_setup(cfg->port_id, q, o->port->rx_ring, socket, NULL,
			cfg->pool);
		if (rc != 0)
			return fail(o, rc, "cannot set up receive queue %u", q);
		rc = rte_eth_tx_queue_setup(cfg->port_id, q, o->port->tx_ring, socket, NULL);
		if (rc != 0)
			return fail(o, rc, "cannot set up send queue %u", q);
	}
	return 0;
}

/* What not every device can: MTU, MAC address, promiscuous mode. */
static void
set_addresses(struct remu_port *p)
{
	struct rte_ether_addr mac;
	uint16_t mtu;

	rte_eth_dev_set_mtu(p->cfg.port_id, p->cfg.mtu);
	p->mtu = p->cfg.mtu;
	/* memif says 1500, but its rings carry frames of any length in pieces. */
	if (!p->memif && rte_eth_dev_get_mtu(p->cfg.port_id, &mtu) == 0)
		p->mtu = RTE_MIN(p->mtu, mtu);
	memcpy(mac.addr_bytes, p->cfg.mac, sizeof(mac.addr_bytes));
	p->mac_set = rte_eth_dev_default_mac_addr_set(p->cfg.port_id, &mac) == 0;
	if (!p->mac_set)
		rte_eth_promiscuous_enable(p->cfg.port_id);
}

static int
start(struct remu_port *p)
{
	int rc = rte_eth_dev_start(p->cfg.port_id);

	p->started = rc == 0;
	return rc;
}

static int
open_port(struct opening *o)
{
	struct remu_port *p = o->port;
	int rc = rte_eth_dev_info_get(p->cfg.port_id, &o->dev);

	if (rc != 0)
		return fail(o, rc, "cannot ask for its abilities");
	if (p->cfg.n_queues == 0 || p->cfg.n_queues > remu_port_max_queues(p->cfg.port_id) ||
		p->cfg.pool == NULL || p->cfg.mtu == 0)
		return fail(o, -EINVAL, "wrong configuration");
	find_quirks(o);
	rc = configure(o);
	if (rc == 0)
		rc = setup_queues(o);
	if (rc != 0)
		return rc;
	set_addresses(p);
	if (p->memif_client)
		return 0; /* starting is connecting: it may have to wait for the server */
	rc = start(p);
	return rc != 0 ? fail(o, rc, "cannot start") : 0;
}

int
remu_port_open(const struct remu_port_config *cfg, struct remu_port **out, char *error,
	size_t error_len)
{
	struct opening o = {.error = error, .error_len = error_len};
	int rc;

	*out = NULL;
	o.port = rte_zmalloc_socket("remu_port", sizeof(*o.port), RTE_CACHE_LINE_SIZE,
		cfg->socket_id);
	if (o.port == NULL) {
		snprintf(error, error_len, "port %u: no memory", cfg->port_id);
		return -ENOMEM;
	}
	o.port->cfg = *cfg;
	rc = open_port(&o);
	if (rc != 0) { /* not closed: that would take the device away from another try */
		rte_free(o.port);
		return rc;
	}
	*out = o.port;
	return 0;
}

static void
stop(struct remu_port *p)
{
	if (p->started)
		rte_eth_dev_stop(p->cfg.port_id);
	p->started = false;
}

void
remu_port_close(struct remu_port *p)
{
	if (p == NULL)
		return;
	stop(p);
	rte_eth_dev_close(p->cfg.port_id);
	rte_free(p);
}

int
remu_port_restart(struct remu_port *p)
{
	stop(p);
	return start(p);
}

uint16_t
remu_port_rx(struct remu_port *p, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	return rte_eth_rx_burst(p->cfg.port_id, queue, pkts, n);
}

/* Drivers want the checksum field to be zero. An IPv6 header has none. */
static void
offload_checksum(struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t l2_len = ROCE_ETH_LEN;

	if (unlikely(m->data_len < ROCE_ETH_LEN + ROCE_VLAN_LEN))
		return;
	if (roce_load_be16(frame + l2_len - 2) == ROCE_ETHERTYPE_VLAN)
		l2_len += ROCE_VLAN_LEN;
	if (roce_load_be16(frame + l2_len - 2) != ROCE_ETHERTYPE_IPV4 ||
		m->data_len < l2_len + ROCE_IPV4_LEN)
		return;
	roce_store_be16(frame + l2_len + ROCE_IPV4_CSUM_OFFSET, 0);
	m->l2_len = l2_len;
	m->l3_len = ROCE_IPV4_LEN;
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
}

uint16_t
remu_port_tx(struct remu_port *p, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];

		if (p->tx_offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM)
			offload_checksum(m);
		/* Behind the ICRC: receivers go by the length in the IP header. */
		if (unlikely(m->pkt_len < REMU_PORT_FRAME_MIN)) {
			uint16_t pad = (uint16_t)(REMU_PORT_FRAME_MIN - m->pkt_len);
			char *tail = rte_pktmbuf_append(m, pad);

			if (tail != NULL)
				memset(tail, 0, pad);
		}
	}
	return rte_eth_tx_burst(p->cfg.port_id, queue, pkts, n);
}

bool
remu_port_link_up(const struct remu_port *p)
{
	struct rte_eth_link link = {.link_status = RTE_ETH_LINK_DOWN};

	return p->started && rte_eth_link_get_nowait(p->cfg.port_id, &link) == 0 &&
		link.link_status == RTE_ETH_LINK_UP;
}

uint16_t
remu_port_mtu(const struct remu_port *p)
{
	return p->mtu;
}

bool
remu_port_is_memif(const struct remu_port *p)
{
	return p->memif;
}

bool
remu_port_is_memif_client(const struct remu_port *p)
{
	return p->memif_client;
}

static void
fill_stats(const struct remu_port *p, struct remu_port_info *out)
{
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(p->cfg.port_id, &stats) != 0)
		return;
	out->rx_packets = stats.ipackets;
	out->rx_bytes = stats.ibytes;
	out->rx_missed = stats.imissed;
	out->rx_errors = stats.ierrors;
	out->rx_no_mbuf = stats.rx_nombuf;
	out->tx_packets = stats.opackets;
	out->tx_bytes = stats.obytes;
	out->tx_errors = stats.oerrors;
}

void
remu_port_info(const struct remu_port *p, struct remu_port_info *out)
{
	struct rte_eth_dev_info dev;
	struct rte_eth_link link = {.link_speed = RTE_ETH_SPEED_NUM_UNKNOWN};
	struct rte_ether_addr mac;

	memset(out, 0, sizeof(*out));
	out->port_id = p->cfg.port_id;
	out->n_queues = p->cfg.n_queues;
	out->mtu = p->mtu;
	out->rx_ring = p->rx_ring;
	out->tx_ring = p->tx_ring;
	out->mac_set = p->mac_set;
	out->promiscuous = rte_eth_promiscuous_get(p->cfg.port_id) == 1;
	out->rss = p->rss;
	out->started = p->started;
	out->rx_offloads = p->rx_offloads;
	out->tx_offloads = p->tx_offloads;
	if (rte_eth_dev_info_get(p->cfg.port_id, &dev) == 0) {
		snprintf(out->name, sizeof(out->name), "%s", rte_dev_name(dev.device));
		snprintf(out->driver, sizeof(out->driver), "%s", dev.driver_name);
	}
	if (rte_eth_macaddr_get(p->cfg.port_id, &mac) == 0)
		memcpy(out->mac, mac.addr_bytes, sizeof(out->mac));
	if (p->started && rte_eth_link_get_nowait(p->cfg.port_id, &link) == 0)
		out->link_up = link.link_status == RTE_ETH_LINK_UP;
	out->link_mbps = link.link_speed;
	fill_stats(p, out);
}
