/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices differ in what they can match, and no flag tells: rte_flow_validate() does. So there is a
 * list of ways from the most to the least specific, and the first one that the device takes wholly
 * is used. The engine drops what is not ours in any case, so a coarse match costs only time.
 */
#include "remu_port_flow.h"
#include "roce_wire.h"

#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_flow.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { QUEUES_MAX = 64 };

static const char *const match_names[REMU__MATCH_COUNT] = {
	[REMU__MATCH_MAC_UDP] = "MAC address and UDP port 4791",
	[REMU__MATCH_UDP] = "UDP port 4791",
	[REMU__MATCH_MAC] = "MAC address",
};

const char *
remu__match_name(enum remu__match match)
{
	return match_names[match];
}

uint32_t
remu__flow_tries(const struct remu__flow_wish *wish, struct remu__try tries[REMU__TRIES_MAX])
{
	bool spread = wish->n_queues > 1;
	uint32_t n = 0;

	for (int m = 0; m < REMU__MATCH_COUNT; m++)
		tries[n++] = (struct remu__try){.match = (enum remu__match)m, .spread = spread};
	/* One queue for all is better than nothing at all; others need no rule to get that. */
	for (int m = 0; spread && wish->isolated && m < REMU__MATCH_COUNT; m++)
		tries[n++] = (struct remu__try){.match = (enum remu__match)m};
	return n;
}

uint32_t
remu__flow_rules(const struct remu__flow_wish *wish, struct remu__try how,
	struct remu__rule rules[REMU__RULES_MAX])
{
	struct remu__rule rule = {
		.mac = how.match != REMU__MATCH_UDP,
		.vlan = wish->vlan,
		.spread = how.spread,
	};
	uint32_t n = 0;

	if (how.match == REMU__MATCH_MAC) {
		rules[n++] = rule;
		return n;
	}
	rule.udp_port = ROCE_UDP_PORT;
	rule.ethertype = RTE_ETHER_TYPE_IPV4;
	rules[n++] = rule;
	if (wish->ipv6) {
		rule.ethertype = RTE_ETHER_TYPE_IPV6;
		rules[n++] = rule;
	}
	return n;
}

/*
 * Broadcasts only: where the kernel shares our MAC address the answers to its own requests must go
 * on to reach it.
 */
struct remu__rule
remu__flow_arp_rule(const struct remu__flow_wish *wish)
{
	return (struct remu__rule){
		.broadcast = true,
		.vlan = wish->vlan,
		.ethertype = RTE_ETHER_TYPE_ARP,
	};
}

/* A rule as rte_flow has it. The pattern and the action point into this. */
struct pattern {
	struct rte_flow_item_eth eth, eth_mask;
	struct rte_flow_item_vlan vlan, vlan_mask;
	struct rte_flow_item_udp udp, udp_mask;
	struct rte_flow_item items[REMU__ITEMS_MAX];
	uint16_t queues[QUEUES_MAX];
	struct rte_flow_action_queue queue;
	struct rte_flow_action_rss rss;
	struct rte_flow_action actions[2];
};

static void
fill_ethernet(struct pattern *p, const struct remu__rule *rule, const uint8_t mac[6])
{
	if (rule->mac)
		memcpy(&p->eth.hdr.dst_addr, mac, sizeof(p->eth.hdr.dst_addr));
	if (rule->broadcast)
		memset(&p->eth.hdr.dst_addr, 0xff, sizeof(p->eth.hdr.dst_addr));
	if (rule->mac || rule->broadcast)
		memset(&p->eth_mask.hdr.dst_addr, 0xff, sizeof(p->eth_mask.hdr.dst_addr));
	/* The next header says the EtherType, where it has an item of its own. */
	if (rule->ethertype == RTE_ETHER_TYPE_ARP && rule->vlan == 0) {
		p->eth.hdr.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
		p->eth_mask.hdr.ether_type = UINT16_MAX;
	}
}

static void
fill_tag(struct pattern *p, const struct remu__rule *rule)
{
	p->vlan.hdr.vlan_tci = rte_cpu_to_be_16(rule->vlan);
	p->vlan_mask.hdr.vlan_tci = rte_cpu_to_be_16(0xfff);
	if (rule->ethertype == RTE_ETHER_TYPE_ARP) {
		p->vlan.hdr.eth_proto = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
		p->vlan_mask.hdr.eth_proto = UINT16_MAX;
	}
}

static void
fill_pattern(struct pattern *p, const struct remu__rule *rule, const uint8_t mac[6])
{
	bool by_eth = rule->mac || rule->broadcast;
	struct rte_flow_item *item = p->items;

	fill_ethernet(p, rule, mac);
	*item++ = (struct rte_flow_item){
		.type = RTE_FLOW_ITEM_TYPE_ETH,
		.spec = by_eth ? &p->eth : NULL,
		.mask = by_eth ? &p->eth_mask : NULL,
	};
	if (rule->vlan != 0) {
		fill_tag(p, rule);
		*item++ = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_VLAN,
			.spec = &p->vlan,
			.mask = &p->vlan_mask,
		};
	}
	if (rule->ethertype == RTE_ETHER_TYPE_IPV4)
		*item++ = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_IPV4};
	if (rule->ethertype == RTE_ETHER_TYPE_IPV6)
		*item++ = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_IPV6};
	if (rule->udp_port != 0) {
		p->udp.hdr.dst_port = rte_cpu_to_be_16(rule->udp_port);
		p->udp_mask.hdr.dst_port = UINT16_MAX;
		*item++ = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_UDP,
			.spec = &p->udp,
			.mask = &p->udp_mask,
		};
	}
	*item = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_END};
}

static void
fill_actions(struct pattern *p, const struct remu__rule *rule, const struct remu__flow_wish *wish)
{
	uint16_t n = RTE_MIN(wish->n_queues, (uint16_t)QUEUES_MAX);
	uint64_t ports = wish->rss_types & RTE_ETH_RSS_UDP;

	p->actions[1].type = RTE_FLOW_ACTION_TYPE_END;
	if (!rule->spread) {
		p->actions[0].type = RTE_FLOW_ACTION_TYPE_QUEUE;
		p->actions[0].conf = &p->queue;
		return;
	}
	for (uint16_t q = 0; q < n; q++)
		p->queues[q] = q;
	p->rss.types = ports != 0 ? ports : wish->rss_types & RTE_ETH_RSS_IP;
	p->rss.queue_num = n;
	p->rss.queue = p->queues;
	p->actions[0].type = RTE_FLOW_ACTION_TYPE_RSS;
	p->actions[0].conf = &p->rss;
}

static void
explain(char why[REMU__WHY_LEN], int rc, const struct rte_flow_error *error)
{
	if (rc == -ENOSYS || error->message == NULL)
		snprintf(why, REMU__WHY_LEN, "%s",
			rc == -ENOSYS ? "the driver has none" : strerror(-rc));
	else
		snprintf(why, REMU__WHY_LEN, "%s: %s", strerror(-rc), error->message);
}

static int
ask(uint16_t port_id, const struct remu__rule *rule, const struct remu__flow_wish *wish,
	bool create, char why[REMU__WHY_LEN])
{
	static const struct rte_flow_attr attr = {.ingress = 1};
	struct rte_flow_error error = {.message = NULL};
	struct pattern p = {.queue.index = 0};
	int rc;

	fill_pattern(&p, rule, wish->mac);
	fill_actions(&p, rule, wish);
	if (!create)
		rc = rte_flow_validate(port_id, &attr, p.items, p.actions, &error);
	else
		rc = rte_flow_create(port_id, &attr, p.items, p.actions, &error) != NULL
			? 0
			: -RTE_MAX(rte_errno, 1);
	if (rc != 0 && why[0] == '\0')
		explain(why, rc, &error);
	return rc;
}

static bool
install(uint16_t port_id, const struct remu__flow_wish *wish, const struct remu__rule *rules,
	uint32_t n, char why[REMU__WHY_LEN])
{
	for (uint32_t i = 0; i < n; i++)
		if (ask(port_id, &rules[i], wish, false, why) != 0)
			return false;
	for (uint32_t i = 0; i < n; i++) {
		if (ask(port_id, &rules[i], wish, true, why) != 0) {
			remu__flow_flush(port_id);
			return false;
		}
	}
	return true;
}

void
remu__flow_install(uint16_t port_id, const struct remu__flow_wish *wish,
	struct remu__flow_result *out)
{
	struct remu__try tries[REMU__TRIES_MAX];
	struct remu__rule rules[REMU__RULES_MAX], arp = remu__flow_arp_rule(wish);
	uint32_t n_tries = remu__flow_tries(wish, tries);

	*out = (struct remu__flow_result){.n_rules = 0};
	/* Some drivers keep the rules of a process that died. */
	remu__flow_flush(port_id);
	for (uint32_t i = 0; out->n_rules == 0 && i < n_tries; i++) {
		uint32_t n = remu__flow_rules(wish, tries[i], rules);

		if (install(port_id, wish, rules, n, out->why)) {
			out->n_rules = n;
			out->taken = tries[i];
		}
	}
	/* Without isolation broadcasts come to us anyway. */
	if (out->n_rules == 0 || !wish->arp || !wish->isolated)
		return;
	out->arp = ask(port_id, &arp, wish, false, out->why) == 0 &&
		ask(port_id, &arp, wish, true, out->why) == 0;
	out->n_rules += out->arp;
}

void
remu__flow_flush(uint16_t port_id)
{
	struct rte_flow_error error;

	rte_flow_flush(port_id, &error);
}

int
remu__flow_isolate(uint16_t port_id, bool isolate, char why[REMU__WHY_LEN])
{
	struct rte_flow_error error = {.message = NULL};
	int rc = rte_flow_isolate(port_id, isolate ? 1 : 0, &error);

	if (rc != 0)
		explain(why, rc, &error);
	return rc;
}
