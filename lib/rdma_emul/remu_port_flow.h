/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Which of the frames that reach a device are to come to our queues: as rules of rte_flow. What to
 * ask for, and in which order, is computed without the device; only installing knows it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	REMU__RULES_MAX = 3, /* for one match: IPv4, IPv6, ARP */
	REMU__TRIES_MAX = 6,
	REMU__ITEMS_MAX = 5, /* Ethernet, tag, IP, UDP, end */
	REMU__WHY_LEN = 128,
};

/* By what our frames are told from others, the most specific one first. */
enum remu__match {
	REMU__MATCH_MAC_UDP, /* our MAC address, IP, UDP port 4791 */
	REMU__MATCH_UDP,     /* IP, UDP port 4791 */
	REMU__MATCH_MAC,     /* our MAC address */
	REMU__MATCH_COUNT,
};

struct remu__flow_wish {
	uint8_t mac[6];
	uint16_t vlan; /* ID of the 802.1Q tag; 0: untagged */
	bool ipv6;     /* beside IPv4 */
	bool arp;
	bool isolated; /* what no rule names goes to the kernel */
	uint16_t n_queues;
	uint64_t rss_types; /* RTE_ETH_RSS_* that the device can */
};

/* One way to have it: a match, and whether its frames are spread over all queues or go to the first. */
struct remu__try {
	enum remu__match match;
	bool spread;
};

/* One rule. */
struct remu__rule {
	bool broadcast;	    /* Ethernet's, instead of our MAC address */
	bool mac;	    /* our MAC address */
	uint16_t vlan;	    /* 0: no tag */
	uint16_t ethertype; /* 0: any */
	uint16_t udp_port;  /* 0: any */
	bool spread;
};

struct remu__flow_result {
	uint32_t n_rules; /* 0: the device took none */
	struct remu__try taken;
	bool arp;
	char why[REMU__WHY_LEN]; /* why not something better; empty when all was taken */
};

/* What may be asked of the device, the best first. @return how many */
uint32_t remu__flow_tries(const struct remu__flow_wish *wish,
	struct remu__try tries[REMU__TRIES_MAX]);

/* The rules of one try, without the one for ARP. @return how many */
uint32_t remu__flow_rules(const struct remu__flow_wish *wish, struct remu__try how,
	struct remu__rule rules[REMU__RULES_MAX]);

/* The rule that brings ARP requests to us. */
struct remu__rule remu__flow_arp_rule(const struct remu__flow_wish *wish);

/* Name of a match, for people. */
const char *remu__match_name(enum remu__match match);

/*
 * Have the device take the best of all tries. Whatever rules there were before are gone. The port
 * has been started.
 */
void remu__flow_install(uint16_t port_id, const struct remu__flow_wish *wish,
	struct remu__flow_result *out);

/* Take all rules away, as far as there are any. */
void remu__flow_flush(uint16_t port_id);

/* Leave to the kernel what no rule names, or not. To be called before the device is configured. */
int remu__flow_isolate(uint16_t port_id, bool isolate, char why[REMU__WHY_LEN]);
