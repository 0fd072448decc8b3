/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules and configurations for NICs that are not here: what is asked of a device as a function of
 * what it can, and a port over net_ring that claims to have rte_flow, and refuses what a test wants.
 */
#include "eal.h"

#include <dlfcn.h>
#include <remu_port.h>
#include <remu_port_fit.h>
#include <remu_port_flow.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ERROR_LEN = 256, LOG_MAX = 64, LOG_LEN = 160 };

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
static struct rte_mempool *pool;

/* The made-up NIC: what it claims, what it refuses, what it was told. */
static struct {
	bool flows;	       /* it has rte_flow */
	bool no_isolation;     /* it cannot be isolated */
	bool no_create;	       /* validated rules are refused all the same */
	const char *driver;    /* NULL: as it is */
	uint64_t rss;	       /* hash functions */
	const char *refuse[4]; /* rules that contain such a text are refused */
	char log[LOG_MAX][LOG_LEN];
	uint32_t n_log;
	int configure_refusals; /* so many calls fail */
	int resets;
	int reset_result;
	bool asks_again; /* for a reset, while the first one is under way */
	rte_eth_dev_cb_fn callback;
	void *callback_arg;
} nic;

__attribute__((format(printf, 1, 2))) static void
note(const char *format, ...)
{
	va_list args;

	assert_true(nic.n_log < LOG_MAX);
	va_start(args, format);
	vsnprintf(nic.log[nic.n_log++], LOG_LEN, format, args);
	va_end(args);
}

/* A rule in words: "eth(dst type) / vlan(7) / ipv4 / udp(4791) -> rss(2)". */
static void
describe(const struct rte_flow_item *item, const struct rte_flow_action *action, char *out)
{
	size_t n = 0;

	for (; item->type != RTE_FLOW_ITEM_TYPE_END; item++) {
		const struct rte_flow_item_eth *eth = item->spec;
		const struct rte_flow_item_eth *eth_mask = item->mask;
		const struct rte_flow_item_vlan *vlan = item->spec;
		const struct rte_flow_item_udp *udp = item->spec;
		const struct rte_flow_item_udp *udp_mask = item->mask;

		n += (size_t)snprintf(out + n, LOG_LEN - n, "%s", n == 0 ? "" : " / ");
		if (item->type == RTE_FLOW_ITEM_TYPE_ETH && eth != NULL) {
			bool ours = memcmp(&eth->hdr.dst_addr, mac, 6) == 0;

			assert_true(ours || rte_is_broadcast_ether_addr(&eth->hdr.dst_addr));
			assert_true(rte_is_broadcast_ether_addr(&eth_mask->hdr.dst_addr));
			assert_true(rte_is_zero_ether_addr(&eth_mask->hdr.src_addr));
			n += (size_t)snprintf(out + n, LOG_LEN - n, "eth(%s", ours ? "mac" : "all");
			if (eth_mask->hdr.ether_type != 0)
				n += (size_t)snprintf(out + n, LOG_LEN - n, " %04x",
					rte_be_to_cpu_16(eth->hdr.ether_type));
			n += (size_t)snprintf(out + n, LOG_LEN - n, ")");
		} else if (item->type == RTE_FLOW_ITEM_TYPE_ETH) {
			n += (size_t)snprintf(out + n, LOG_LEN - n, "eth");
		} else if (item->type == RTE_FLOW_ITEM_TYPE_VLAN) {
			n += (size_t)snprintf(out + n, LOG_LEN - n, "vlan(%u)",
				rte_be_to_cpu_16(vlan->hdr.vlan_tci));
		} else if (item->type == RTE_FLOW_ITEM_TYPE_IPV4) {
			n += (size_t)snprintf(out + n, LOG_LEN - n, "ipv4");
		} else if (item->type == RTE_FLOW_ITEM_TYPE_IPV6) {
			n += (size_t)snprintf(out + n, LOG_LEN - n, "ipv6");
		} else {
			assert_int_equal(item->type, RTE_FLOW_ITEM_TYPE_UDP);
			assert_int_equal(udp_mask->hdr.dst_port, UINT16_MAX);
			assert_int_equal(udp_mask->hdr.src_port, 0);
			n += (size_t)snprintf(out + n, LOG_LEN - n, "udp(%u)",
				rte_be_to_cpu_16(udp->hdr.dst_port));
		}
	}
	assert_int_equal(action[1].type, RTE_FLOW_ACTION_TYPE_END);
	if (action->type == RTE_FLOW_ACTION_TYPE_RSS) {
		const struct rte_flow_action_rss *rss = action->conf;

		for (uint32_t q = 0; q < rss->queue_num; q++)
			assert_int_equal(rss->queue[q], q);
		snprintf(out + n, LOG_LEN - n, " -> rss(%u)", rss->queue_num);
	} else {
		const struct rte_flow_action_queue *queue = action->conf;

		assert_int_equal(action->type, RTE_FLOW_ACTION_TYPE_QUEUE);
		snprintf(out + n, LOG_LEN - n, " -> queue(%u)", queue->index);
	}
}

static int
refuse(struct rte_flow_error *error, const char *why)
{
	return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM, NULL, why);
}

/* These stand before the library's functions of their names. */
int
rte_flow_validate(uint16_t port_id, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error)
{
	char text[LOG_LEN];

	(void)port_id;
	assert_int_equal(attr->ingress, 1);
	assert_int_equal(attr->egress + attr->transfer, 0);
	if (!nic.flows)
		return rte_flow_error_set(error, ENOSYS, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
			"not implemented");
	describe(pattern, actions, text);
	for (size_t i = 0; i < RTE_DIM(nic.refuse) && nic.refuse[i] != NULL; i++)
		if (strstr(text, nic.refuse[i]) != NULL)
			return refuse(error, "cannot match that");
	return 0;
}

struct rte_flow *
rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error)
{
	char text[LOG_LEN];

	(void)port_id;
	(void)attr;
	assert_true(nic.flows);
	describe(pattern, actions, text);
	if (nic.no_create) {
		refuse(error, "table is full");
		return NULL;
	}
	note("create %s", text);
	return (struct rte_flow *)(uintptr_t)1;
}

int
rte_flow_flush(uint16_t port_id, struct rte_flow_error *error)
{
	(void)port_id;
	(void)error;
	if (nic.flows)
		note("flush");
	return nic.flows ? 0 : -ENOSYS;
}

int
rte_flow_isolate(uint16_t port_id, int set, struct rte_flow_error *error)
{
	(void)port_id;
	if (!nic.flows || nic.no_isolation)
		return refuse(error, "not this one");
	note("isolate %d", set);
	return 0;
}

#define REAL(name) *(void **)&real = dlsym(RTLD_NEXT, name)

int
rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info)
{
	int (*real)(uint16_t, struct rte_eth_dev_info *);
	int rc;

	REAL("rte_eth_dev_info_get");
	rc = real(port_id, info);
	if (nic.driver != NULL)
		info->driver_name = nic.driver;
	info->flow_type_rss_offloads = nic.rss;
	return rc;
}

int
rte_eth_dev_configure(uint16_t port_id, uint16_t n_rx, uint16_t n_tx,
	const struct rte_eth_conf *conf)
{
	int (*real)(uint16_t, uint16_t, uint16_t, const struct rte_eth_conf *);
	struct rte_eth_conf copy = *conf;

	REAL("rte_eth_dev_configure");
	note("configure rss %d mtu %u", conf->rxmode.mq_mode == RTE_ETH_MQ_RX_RSS,
		conf->rxmode.mtu);
	if (nic.configure_refusals > 0) {
		nic.configure_refusals--;
		return -EINVAL;
	}
	copy.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
	copy.rx_adv_conf.rss_conf.rss_hf = 0;
	return real(port_id, n_rx, n_tx, &copy);
}

int
rte_eth_dev_start(uint16_t port_id)
{
	int (*real)(uint16_t);

	REAL("rte_eth_dev_start");
	note("start");
	return real(port_id);
}

int
rte_eth_dev_stop(uint16_t port_id)
{
	int (*real)(uint16_t);

	REAL("rte_eth_dev_stop");
	note("stop");
	return real(port_id);
}

int
rte_eth_dev_reset(uint16_t port_id)
{
	nic.resets++;
	note("reset");
	if (nic.asks_again)
		nic.callback(port_id, RTE_ETH_EVENT_INTR_RESET, nic.callback_arg, NULL);
	return nic.reset_result;
}

int
rte_eth_dev_callback_register(uint16_t port_id, enum rte_eth_event_type event,
	rte_eth_dev_cb_fn callback, void *arg)
{
	(void)port_id;
	(void)event;
	nic.callback = callback;
	nic.callback_arg = arg;
	return 0;
}

static int
fresh(void **state)
{
	(void)state;
	memset(&nic, 0, sizeof(nic));
	nic.flows = true;
	nic.rss = RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_IPV4;
	return 0;
}

static struct remu_port_config
config(uint16_t n_queues, enum remu_port_steering steering)
{
	struct remu_port_config cfg = {
		.mtu = 1500,
		.n_queues = n_queues,
		.rx_ring = 256,
		.tx_ring = 256,
		.socket_id = -1,
		.pool = pool,
		.arp = true,
		.steering = steering,
	};

	memcpy(cfg.mac, mac, sizeof(mac));
	assert_int_equal(rte_eal_hotplug_add("vdev", "net_ring0", ""), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name("net_ring0", &cfg.port_id), 0);
	assert_int_equal(rte_eth_promiscuous_disable(cfg.port_id), 0);
	return cfg;
}

static void
unplug(void)
{
	assert_int_equal(rte_eal_hotplug_remove("vdev", "net_ring0"), 0);
}

static struct remu_port *
open_port(const struct remu_port_config *cfg, struct remu_port_info *info)
{
	char error[ERROR_LEN] = "";
	struct remu_port *port;

	if (remu_port_open(cfg, &port, error, sizeof(error)) != 0)
		fail_msg("%s", error);
	remu_port_info(port, info);
	return port;
}

/* The log from its start is exactly this. */
static void
expect_log(const char *const *lines)
{
	uint32_t i;

	for (i = 0; lines[i] != NULL; i++) {
		assert_true(i < nic.n_log);
		assert_string_equal(nic.log[i], lines[i]);
	}
	assert_int_equal(nic.n_log, i);
	nic.n_log = 0;
}

#define EXPECT_LOG(...) expect_log((const char *const[]){__VA_ARGS__, NULL})
#define MAC_UDP "eth(mac) / ipv4 / udp(4791) -> "
#define ARP "eth(all 0806) -> queue(0)"

static void
isolate__before_configure_and_flushed_at_close(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_AUTO);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	nic.driver = "mlx5_pci";
	port = open_port(&cfg, &info);
	EXPECT_LOG("isolate 1", "configure rss 0 mtu 1500", "start", "flush",
		"create " MAC_UDP "queue(0)", "create " ARP);
	assert_int_equal(info.steering, REMU_PORT_STEERING_ISOLATE);
	assert_int_equal(info.rules, 2);
	assert_string_equal(info.match, "MAC address and UDP port 4791, ARP");
	assert_string_equal(info.why, "");
	/* net_ring cannot set its address, but nothing else would come anyway. */
	assert_false(info.mac_set);
	/* The way of a hot restart: no rule of the old run is left. */
	assert_int_equal(remu_port_restart(port), 0);
	EXPECT_LOG("flush", "stop", "start", "flush", "create " MAC_UDP "queue(0)", "create " ARP);
	remu_port_close(port);
	EXPECT_LOG("flush", "stop");
	unplug();
}

static void
isolate__only_where_the_kernel_has_the_device_too(void **state)
{
	static const char *const drivers[] = {"mlx5_auxiliary", "net_mlx4", "net_ice",
		"net_virtio"};
	struct remu_port_info info;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(drivers); i++) {
		struct remu_port_config cfg = config(1, REMU_PORT_STEERING_AUTO);
		struct remu_port *port;

		nic.driver = drivers[i];
		port = open_port(&cfg, &info);
		assert_int_equal(info.steering,
			i < 2 ? REMU_PORT_STEERING_ISOLATE : REMU_PORT_STEERING_FLOW);
		assert_int_equal(info.rules, i < 2 ? 2 : 1); /* broadcasts come without a rule */
		assert_int_equal(info.promiscuous, i >= 2);
		remu_port_close(port);
		nic.n_log = 0;
		unplug();
	}
}

static void
isolate__without_rules_is_taken_back(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_AUTO);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	nic.driver = "mlx5_pci";
	nic.refuse[0] = "eth";
	port = open_port(&cfg, &info);
	EXPECT_LOG("isolate 1", "configure rss 0 mtu 1500", "start", "flush", "stop", "isolate 0",
		"start", "flush");
	assert_int_equal(info.steering, REMU_PORT_STEERING_NONE);
	assert_non_null(strstr(info.why, "isolation: no rule for it was taken"));
	assert_non_null(strstr(info.why, "cannot match that"));
	assert_true(info.promiscuous);
	assert_true(info.started);
	remu_port_close(port);
	unplug();
}

static void
isolate__refused_by_the_device(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_AUTO);
	struct remu_port_info info;
	struct remu_port *port;
	char error[ERROR_LEN];

	(void)state;
	nic.driver = "mlx5_pci";
	nic.no_isolation = true;
	port = open_port(&cfg, &info);
	assert_int_equal(info.steering, REMU_PORT_STEERING_FLOW);
	assert_non_null(strstr(info.why, "isolation: "));
	assert_non_null(strstr(info.why, "not this one"));
	remu_port_close(port);
	unplug();
	/* Asked for by name it is had, or nothing is. */
	cfg = config(1, REMU_PORT_STEERING_ISOLATE);
	assert_int_equal(remu_port_open(&cfg, &port, error, sizeof(error)), -ENOTSUP);
	assert_null(port);
	assert_non_null(strstr(error, "cannot leave the rest to the kernel"));
	unplug();
}

/* Each level that the device refuses leads to the next one. */
static void
flow__from_most_to_least_specific(void **state)
{
	static const struct {
		const char *refuse[4];
		const char *taken;
		const char *match;
	} levels[] = {
		{{NULL}, "create " MAC_UDP "rss(2)", "MAC address and UDP port 4791, spread"},
		{{"eth(mac) / ipv4"}, "create eth / ipv4 / udp(4791) -> rss(2)",
			"UDP port 4791, spread"},
		{{"udp"}, "create eth(mac) -> rss(2)", "MAC address, spread"},
	};
	struct remu_port_info info;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(levels); i++) {
		struct remu_port_config cfg = config(2, REMU_PORT_STEERING_FLOW);
		struct remu_port *port;

		memcpy(nic.refuse, levels[i].refuse, sizeof(nic.refuse));
		port = open_port(&cfg, &info);
		EXPECT_LOG("configure rss 1 mtu 1500", "start", "flush", levels[i].taken);
		assert_string_equal(info.match, levels[i].match);
		assert_int_equal(info.why[0] == '\0', i == 0);
		assert_true(info.rss);
		remu_port_close(port);
		nic.n_log = 0;
		unplug();
	}
}

static void
flow__isolated_takes_one_queue_before_nothing(void **state)
{
	struct remu_port_config cfg = config(4, REMU_PORT_STEERING_ISOLATE);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	nic.refuse[0] = "rss";
	port = open_port(&cfg, &info);
	EXPECT_LOG("isolate 1", "configure rss 1 mtu 1500", "start", "flush",
		"create " MAC_UDP "queue(0)", "create " ARP);
	assert_string_equal(info.match, "MAC address and UDP port 4791, ARP");
	remu_port_close(port);
	unplug();
}

static void
flow__asked_for_by_name_and_not_had(void **state)
{
	struct remu_port_config cfg = config(2, REMU_PORT_STEERING_FLOW);
	struct remu_port_info info;
	char error[ERROR_LEN];
	struct remu_port *port;

	(void)state;
	nic.refuse[0] = "eth";
	assert_int_equal(remu_port_open(&cfg, &port, error, sizeof(error)), -ENOTSUP);
	assert_non_null(strstr(error, "takes no rules for steering \"flow\""));
	assert_non_null(strstr(error, "cannot match that"));
	/* It can be opened by somebody who asks for less. */
	cfg.steering = REMU_PORT_STEERING_AUTO;
	port = open_port(&cfg, &info);
	assert_int_equal(info.steering, REMU_PORT_STEERING_NONE);
	remu_port_close(port);
	unplug();
}

static void
flow__validated_but_not_created(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_AUTO);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	nic.no_create = true;
	port = open_port(&cfg, &info);
	assert_int_equal(info.steering, REMU_PORT_STEERING_NONE);
	assert_int_equal(info.rules, 0);
	assert_non_null(strstr(info.why, "table is full"));
	remu_port_close(port);
	unplug();
}

static void
flow__none_asks_nothing(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_NONE);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	nic.driver = "mlx5_pci";
	port = open_port(&cfg, &info);
	EXPECT_LOG("configure rss 0 mtu 1500", "start");
	assert_int_equal(info.steering, REMU_PORT_STEERING_NONE);
	remu_port_close(port);
	EXPECT_LOG("stop");
	unplug();
}

static void
flow__driver_without_rules(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_AUTO);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	nic.flows = false;
	port = open_port(&cfg, &info);
	assert_int_equal(info.steering, REMU_PORT_STEERING_NONE);
	assert_string_equal(info.why, "rules: the driver has none");
	remu_port_close(port);
	unplug();
}

static void
flow__tags_and_ipv6(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_ISOLATE);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	cfg.vlan = 7;
	cfg.ipv6 = true;
	port = open_port(&cfg, &info);
	EXPECT_LOG("isolate 1", "configure rss 0 mtu 1500", "start", "flush",
		"create eth(mac) / vlan(7) / ipv4 / udp(4791) -> queue(0)",
		"create eth(mac) / vlan(7) / ipv6 / udp(4791) -> queue(0)",
		"create eth(all) / vlan(7) -> queue(0)");
	assert_int_equal(info.rules, 3);
	remu_port_close(port);
	unplug();
}

/* Not every combination may be asked for, and none twice. */
static void
tries__are_finite_and_ordered(void **state)
{
	struct remu__try tries[REMU__TRIES_MAX];
	struct remu__rule rules[REMU__RULES_MAX];

	(void)state;
	for (uint16_t queues = 1; queues <= 2; queues++) {
		for (int isolated = 0; isolated <= 1; isolated++) {
			struct remu__flow_wish wish = {.isolated = isolated, .n_queues = queues};
			uint32_t n = remu__flow_tries(&wish, tries);

			assert_int_equal(n, queues > 1 && isolated ? 6 : 3);
			for (uint32_t i = 0; i < n; i++) {
				assert_int_equal(tries[i].match, i % REMU__MATCH_COUNT);
				assert_int_equal(tries[i].spread, queues > 1 && i < 3);
				assert_int_equal(remu__flow_rules(&wish, tries[i], rules), 1);
				assert_int_equal(rules[0].mac, i % 3 != REMU__MATCH_UDP);
				assert_int_equal(rules[0].udp_port,
					i % 3 == REMU__MATCH_MAC ? 0 : 4791);
			}
		}
	}
}

static void
event__reset_configures_anew(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_AUTO);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	nic.driver = "mlx5_pci";
	port = open_port(&cfg, &info);
	assert_true(remu_port_link_up(port));
	nic.callback(cfg.port_id, RTE_ETH_EVENT_INTR_RESET, nic.callback_arg, NULL);
	assert_int_equal(remu_port_trouble(port), REMU_PORT_NEEDS_RESET);
	assert_false(remu_port_link_up(port));
	nic.n_log = 0;
	assert_int_equal(remu_port_restart(port), 0);
	EXPECT_LOG("flush", "stop", "reset", "isolate 1", "configure rss 0 mtu 1500", "start",
		"flush", "create " MAC_UDP "queue(0)", "create " ARP);
	assert_int_equal(remu_port_trouble(port), REMU_PORT_WELL);
	assert_true(remu_port_link_up(port));
	assert_int_equal(nic.resets, 1);
	assert_int_equal(remu_port_restart(port), 0);
	assert_int_equal(nic.resets, 1);
	remu_port_close(port);
	unplug();
}

static void
event__reset_asked_again_or_in_vain_stays(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_AUTO);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	port = open_port(&cfg, &info);
	nic.callback(cfg.port_id, RTE_ETH_EVENT_INTR_RESET, nic.callback_arg, NULL);
	nic.reset_result = -EIO;
	assert_int_equal(remu_port_restart(port), -EIO);
	assert_int_equal(remu_port_trouble(port), REMU_PORT_NEEDS_RESET);
	assert_false(remu_port_link_up(port));
	nic.reset_result = 0;
	nic.asks_again = true;
	assert_int_equal(remu_port_restart(port), 0);
	assert_int_equal(remu_port_trouble(port), REMU_PORT_NEEDS_RESET);
	nic.asks_again = false;
	assert_int_equal(remu_port_restart(port), 0);
	assert_int_equal(remu_port_trouble(port), REMU_PORT_WELL);
	assert_int_equal(nic.resets, 3);
	remu_port_close(port);
	unplug();
}

static void
event__removed_is_for_good(void **state)
{
	struct remu_port_config cfg = config(1, REMU_PORT_STEERING_AUTO);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	port = open_port(&cfg, &info);
	nic.callback(cfg.port_id, RTE_ETH_EVENT_INTR_RMV, nic.callback_arg, NULL);
	nic.callback(cfg.port_id, RTE_ETH_EVENT_INTR_RESET, nic.callback_arg, NULL);
	assert_int_equal(remu_port_trouble(port), REMU_PORT_REMOVED);
	assert_false(remu_port_link_up(port));
	assert_int_equal(remu_port_restart(port), -ENODEV);
	assert_int_equal(nic.resets, 0);
	remu_port_info(port, &info);
	assert_int_equal(info.trouble, REMU_PORT_REMOVED);
	remu_port_close(port);
	unplug();
}

static void
configure__asks_for_less_when_refused(void **state)
{
	struct remu_port_config cfg = config(2, REMU_PORT_STEERING_NONE);
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	cfg.mtu = 4200;
	nic.configure_refusals = 2;
	port = open_port(&cfg, &info);
	EXPECT_LOG("configure rss 1 mtu 4200", "configure rss 0 mtu 4200",
		"configure rss 0 mtu 1500", "start");
	assert_false(info.rss);
	assert_string_equal(info.why, "queues: the device has no RSS");
	remu_port_close(port);
	nic.n_log = 0;
	unplug();
	cfg = config(2, REMU_PORT_STEERING_NONE);
	nic.rss = RTE_ETH_RSS_IPV4;
	port = open_port(&cfg, &info);
	assert_string_equal(info.why, "queues: RSS by address only");
	remu_port_close(port);
	unplug();
}

static void
fit__from_what_the_device_says(void **state)
{
	uint32_t flags = RTE_ETH_DEV_INTR_LSC;
	struct rte_eth_dev_info dev = {
		.driver_name = "net_ixgbe",
		.max_mtu = 9000,
		.max_rx_pktlen = 4118,
		.dev_flags = &flags,
		.flow_type_rss_offloads = RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_VXLAN,
		.tx_offload_capa = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO,
	};
	struct rte_eth_conf conf;

	(void)state;
	remu__fit_conf(&dev, 2, 4200, &conf);
	assert_int_equal(conf.rxmode.mtu, 4100);
	assert_int_equal(conf.rxmode.mq_mode, RTE_ETH_MQ_RX_RSS);
	assert_int_equal(conf.rx_adv_conf.rss_conf.rss_hf, RTE_ETH_RSS_NONFRAG_IPV4_UDP);
	assert_int_equal(conf.txmode.offloads, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	assert_true(conf.intr_conf.lsc);
	assert_false(conf.intr_conf.rmv);
	flags = RTE_ETH_DEV_INTR_RMV;
	remu__fit_conf(&dev, 1, 1500, &conf);
	assert_int_equal(conf.rxmode.mtu, 1500);
	assert_int_equal(conf.rxmode.mq_mode, RTE_ETH_MQ_RX_NONE);
	assert_false(conf.intr_conf.lsc);
	assert_true(conf.intr_conf.rmv);
	/* Whole frames in one mbuf: NICs count their buffers in 1 KiB, or in powers of two. */
	assert_int_equal(remu__fit_room(&dev, 1500), 2048);
	assert_int_equal(remu__fit_room(&dev, 4200), 5120);
	dev.driver_name = "net_e1000_em";
	assert_int_equal(remu__fit_room(&dev, 4200), 8192);
	assert_true(remu__fit_room(&dev, UINT16_MAX) > 60000);
}

static int
setup(void **state)
{
	int rc = eal_setup(state);

	if (rc < 0)
		return rc;
	rte_log_set_level_pattern("lib.ethdev", RTE_LOG_CRIT);
	rte_log_set_level_pattern("lib.ring", RTE_LOG_CRIT);
	pool = eal_pool(2047);
	return 0;
}

static int
teardown(void **state)
{
	eal_pool_free(pool);
	return eal_teardown(state);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fresh)
	const struct CMUnitTest tests[] = {
		TEST(isolate__before_configure_and_flushed_at_close),
		TEST(isolate__only_where_the_kernel_has_the_device_too),
		TEST(isolate__without_rules_is_taken_back),
		TEST(isolate__refused_by_the_device),
		TEST(flow__from_most_to_least_specific),
		TEST(flow__isolated_takes_one_queue_before_nothing),
		TEST(flow__asked_for_by_name_and_not_had),
		TEST(flow__validated_but_not_created),
		TEST(flow__none_asks_nothing),
		TEST(flow__driver_without_rules),
		TEST(flow__tags_and_ipv6),
		TEST(tries__are_finite_and_ordered),
		TEST(event__reset_configures_anew),
		TEST(event__reset_asked_again_or_in_vain_stays),
		TEST(event__removed_is_for_good),
		TEST(configure__asks_for_less_when_refused),
		TEST(fit__from_what_the_device_says),
	};

	return cmocka_run_group_tests_name("remu_port_flow", tests, setup, teardown);
}
