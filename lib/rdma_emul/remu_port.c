/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a port is a ladder of steps over the device's abilities: what to ask for is chosen in
 * remu_port_fit.c, and which frames are to come to us in remu_port_flow.c. A device that can computes the
 * IPv4 checksum, which the ICRC does not cover; for the others the codec has put it in already.
 */
#include "remu_port.h"
#include "remu_port_fit.h"
#include "remu_port_flow.h"
#include "roce_bytes.h"
#include "roce_wire.h"

#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
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
	bool link_events;
	bool isolated;
	_Atomic int trouble; /* enum remu_port_trouble; written by the EAL interrupt thread too */
	uint64_t rss_types;
	uint64_t rx_offloads;
	uint64_t tx_offloads;
	struct remu__flow_result flow;
	char why_queues[REMU_PORT_NAME_LEN]; /* empty: they are fed as they should be */
	char why_isolate[REMU__WHY_LEN];     /* empty: it is isolated, or nobody asked */
};

static const char *const steering_names[REMU_PORT_STEERING_COUNT] = {
	[REMU_PORT_STEERING_AUTO] = "auto",
	[REMU_PORT_STEERING_FLOW] = "flow",
	[REMU_PORT_STEERING_ISOLATE] = "isolate",
	[REMU_PORT_STEERING_NONE] = "none",
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

void
remu_port_fit(uint16_t port_id, uint16_t mtu, uint16_t *rx_ring, uint16_t *tx_ring, uint16_t *room)
{
	struct rte_eth_dev_info dev;

	*room = (uint16_t)RTE_MIN((uint32_t)mtu + REMU_PORT_FRAME_EXTRA, (uint32_t)UINT16_MAX);
	if (rte_eth_dev_info_get(port_id, &dev) != 0)
		return;
	/* For the MTU that is wished: what devices say of the longest one is not to be relied on. */
	*room = remu__fit_room(&dev, mtu);
	rte_eth_dev_adjust_nb_rx_tx_desc(port_id, rx_ring, tx_ring);
}

/* Before the device is configured. What is asked for by name must succeed. */
static int
isolate(struct opening *o)
{
	struct remu_port *p = o->port;
	bool must = p->cfg.steering == REMU_PORT_STEERING_ISOLATE;
	int rc;

	p->isolated = false;
	p->why_isolate[0] = '\0';
	if (!must && (p->cfg.steering != REMU_PORT_STEERING_AUTO || !remu__fit_bifurcated(&o->dev)))
		return 0;
	rc = remu__flow_isolate(p->cfg.port_id, true, p->why_isolate);
	p->isolated = rc == 0;
	return rc != 0 && must ? fail(o, rc, "cannot leave the rest to the kernel") : 0;
}

/* Say how the queues get their frames, where that is not by UDP port. */
static void
judge_queues(struct remu_port *p)
{
	p->rss = p->rss_types != 0;
	p->why_queues[0] = '\0';
	if (p->cfg.n_queues < 2 || p->memif)
		return;
	if (!p->rss)
		snprintf(p->why_queues, sizeof(p->why_queues), "the device has no RSS");
	else if ((p->rss_types & RTE_ETH_RSS_UDP) == 0)
		snprintf(p->why_queues, sizeof(p->why_queues), "RSS by address only");
}

static int
configure(struct opening *o)
{
	struct remu_port *p = o->port;
	struct rte_eth_conf conf;
	int rc;

	remu__fit_conf(&o->dev, p->cfg.n_queues, p->cfg.mtu, &conf);
	rc = rte_eth_dev_configure(p->cfg.port_id, p->cfg.n_queues, p->cfg.n_queues, &conf);
	if (rc != 0 && conf.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS) { /* says more than it can */
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
		conf.rx_adv_conf.rss_conf.rss_hf = 0;
		rc = rte_eth_dev_configure(p->cfg.port_id, p->cfg.n_queues, p->cfg.n_queues, &conf);
	}
	if (rc != 0 && conf.rxmode.mtu > RTE_ETHER_MTU) {
		conf.rxmode.mtu = RTE_ETHER_MTU;
		rc = rte_eth_dev_configure(p->cfg.port_id, p->cfg.n_queues, p->cfg.n_queues, &conf);
	}
	if (rc != 0)
		return fail(o, rc, "cannot configure %u queue pairs, MTU %u", p->cfg.n_queues,
			conf.rxmode.mtu);
	p->rss_types = conf.rx_adv_conf.rss_conf.rss_hf;
	p->rx_offloads = conf.rxmode.offloads;
	p->tx_offloads = conf.txmode.offloads;
	p->link_events = conf.intr_conf.lsc != 0;
	judge_queues(p);
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
	/* In isolation the rules filter, and the kernel's frames are none of our business. */
	if (p->mac_set || p->isolated || rte_eth_promiscuous_enable(p->cfg.port_id) == 0)
		return;
	/* The last resort: some drivers say yes to this and do nothing. */
	p->mac_set = rte_eth_dev_mac_addr_add(p->cfg.port_id, &mac, 0) == 0;
}

static void
install_rules(struct remu_port *p)
{
	struct remu__flow_wish wish = {
		.vlan = p->cfg.vlan,
		.ipv6 = p->cfg.ipv6,
		.arp = p->cfg.arp,
		.isolated = p->isolated,
		.n_queues = p->cfg.n_queues,
		.rss_types = p->rss_types,
	};

	memcpy(wish.mac, p->cfg.mac, sizeof(wish.mac));
	remu__flow_install(p->cfg.port_id, &wish, &p->flow);
}

/* Rules exist only while the device runs: several drivers drop theirs when it stops. */
static int
start(struct remu_port *p)
{
	bool by_name = p->cfg.steering == REMU_PORT_STEERING_FLOW ||
		p->cfg.steering == REMU_PORT_STEERING_ISOLATE;
	int rc = rte_eth_dev_start(p->cfg.port_id);

	p->started = rc == 0;
	if (rc != 0 || p->cfg.steering == REMU_PORT_STEERING_NONE)
		return rc;
	install_rules(p);
	return by_name && p->flow.n_rules == 0 ? -ENOTSUP : 0;
}

static void
stop(struct remu_port *p)
{
	if (p->started && p->flow.n_rules != 0)
		remu__flow_flush(p->cfg.port_id);
	p->flow.n_rules = 0;
	if (p->started)
		rte_eth_dev_stop(p->cfg.port_id);
	p->started = false;
}

/* Isolated without a rule, nothing would ever arrive: have everything instead. */
static int
unisolate(struct opening *o)
{
	struct remu_port *p = o->port;

	stop(p);
	remu__flow_isolate(p->cfg.port_id, false, p->why_isolate);
	p->isolated = false;
	snprintf(p->why_isolate, sizeof(p->why_isolate), "no rule for it was taken");
	set_addresses(p);
	return start(p);
}

static int
on_device_event(uint16_t port_id, enum rte_eth_event_type event, void *arg, void *more)
{
	struct remu_port *p = arg;
	int well = REMU_PORT_WELL;

	(void)port_id;
	(void)more;
	if (event == RTE_ETH_EVENT_INTR_RMV)
		atomic_store(&p->trouble, REMU_PORT_REMOVED);
	else if (event == RTE_ETH_EVENT_INTR_RESET) /* a device that is gone stays so */
		atomic_compare_exchange_strong(&p->trouble, &well, REMU_PORT_NEEDS_RESET);
	return 0;
}

/* RMV and RESET; ethdev itself keeps the link's state when the device tells of it. */
static void
watch_events(struct remu_port *p, bool on)
{
	static const enum rte_eth_event_type events[] = {
		RTE_ETH_EVENT_INTR_RMV,
		RTE_ETH_EVENT_INTR_RESET,
	};

	for (size_t i = 0; i < RTE_DIM(events); i++) {
		if (on)
			rte_eth_dev_callback_register(p->cfg.port_id, events[i], on_device_event,
				p);
		else
			rte_eth_dev_callback_unregister(p->cfg.port_id, events[i], on_device_event,
				p);
	}
}

/* From isolation up to where it can be started. */
static int
prepare(struct opening *o)
{
	int rc = isolate(o);

	if (rc == 0)
		rc = configure(o);
	if (rc == 0)
		rc = setup_queues(o);
	if (rc == 0)
		set_addresses(o->port);
	return rc;
}

static int
start_first(struct opening *o)
{
	struct remu_port *p = o->port;
	int rc = start(p);

	if (rc == 0 && p->isolated && p->flow.n_rules == 0)
		rc = unisolate(o);
	if (rc == -ENOTSUP && p->started) {
		fail(o, rc, "takes no rules for steering \"%s\": %s",
			steering_names[p->cfg.steering], p->flow.why);
		stop(p);
		return rc;
	}
	return rc != 0 ? fail(o, rc, "cannot start") : 0;
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
	rc = prepare(o);
	if (rc != 0)
		return rc;
	if (p->memif_client)
		return 0; /* starting is connecting: it may have to wait for the server */
	return start_first(o);
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
		if (o.port->isolated)
			remu__flow_isolate(cfg->port_id, false, o.port->why_isolate);
		rte_free(o.port);
		return rc;
	}
	watch_events(o.port, true);
	*out = o.port;
	return 0;
}

void
remu_port_close(struct remu_port *p)
{
	if (p == NULL)
		return;
	watch_events(p, false);
	stop(p);
	rte_eth_dev_close(p->cfg.port_id);
	rte_free(p);
}

/* The device forgets everything but its number. */
static int
reset(struct remu_port *p)
{
	char error[REMU_PORT_WHY_LEN];
	struct opening o = {.port = p, .error = error, .error_len = sizeof(error)};
	int rc = rte_eth_dev_reset(p->cfg.port_id);

	if (rc == 0)
		rc = rte_eth_dev_info_get(p->cfg.port_id, &o.dev);
	if (rc == 0)
		rc = prepare(&o);
	return rc;
}

int
remu_port_restart(struct remu_port *p)
{
	int rc = 0, asked = REMU_PORT_NEEDS_RESET, well = REMU_PORT_WELL;
	bool needs_reset;

	if (remu_port_trouble(p) == REMU_PORT_REMOVED)
		return -ENODEV;
	stop(p);
	/* Taken back first: when the device asks again meanwhile, that is to be seen. */
	needs_reset = atomic_compare_exchange_strong(&p->trouble, &asked, REMU_PORT_WELL);
	if (needs_reset)
		rc = reset(p);
	if (rc == 0)
		rc = start(p);
	if (rc != 0 && needs_reset)
		atomic_compare_exchange_strong(&p->trouble, &well, REMU_PORT_NEEDS_RESET);
	return rc;
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

	return p->started && p->trouble == REMU_PORT_WELL &&
		rte_eth_link_get_nowait(p->cfg.port_id, &link) == 0 &&
		link.link_status == RTE_ETH_LINK_UP;
}

enum remu_port_trouble
remu_port_trouble(const struct remu_port *p)
{
	return (enum remu_port_trouble)p->trouble;
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

/* Which frames the device gives us, and why it is not asked for less. */
static void
fill_steering(const struct remu_port *p, struct remu_port_info *out)
{
	const struct remu__flow_result *flow = &p->flow;
	const char *reasons[] = {p->why_isolate, flow->why, p->why_queues};
	const char *topics[] = {"isolation", "rules", "queues"};
	size_t len = 0;

	out->steering = REMU_PORT_STEERING_NONE;
	out->rules = flow->n_rules;
	if (flow->n_rules != 0) {
		out->steering = p->isolated ? REMU_PORT_STEERING_ISOLATE : REMU_PORT_STEERING_FLOW;
		snprintf(out->match, sizeof(out->match), "%s%s%s",
			remu__match_name(flow->taken.match), flow->arp ? ", ARP" : "",
			flow->taken.spread ? ", spread" : "");
	}
	for (size_t i = 0; i < RTE_DIM(reasons) && len < sizeof(out->why); i++)
		if (reasons[i][0] != '\0')
			len += (size_t)snprintf(out->why + len, sizeof(out->why) - len, "%s%s: %s",
				len == 0 ? "" : "; ", topics[i], reasons[i]);
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
	out->rss_types = p->rss_types;
	out->link_events = p->link_events;
	out->trouble = remu_port_trouble(p);
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
	fill_steering(p, out);
	fill_stats(p, out);
}
