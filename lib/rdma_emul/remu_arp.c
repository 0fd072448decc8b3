/* SPDX-License-Identifier: BSD-3-Clause */
#include "remu_arp.h"
#include "roce_bytes.h"
#include "roce_wire.h"

#include <rte_arp.h>
#include <rte_ether.h>

#include <string.h>

/* Where the ARP packet begins; 0: there is none. */
static size_t
find_arp(const uint8_t *frame, size_t len)
{
	size_t l2_len = ROCE_ETH_LEN;

	if (len < ROCE_ETH_LEN + ROCE_VLAN_LEN)
		return 0;
	if (roce_load_be16(frame + l2_len - 2) == ROCE_ETHERTYPE_VLAN)
		l2_len += ROCE_VLAN_LEN;
	if (roce_load_be16(frame + l2_len - 2) != RTE_ETHER_TYPE_ARP ||
		len - l2_len < sizeof(struct rte_arp_hdr))
		return 0;
	return l2_len;
}

static bool
is_request(const struct rte_arp_hdr *arp)
{
	return arp->arp_hardware == rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) &&
		arp->arp_protocol == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) &&
		arp->arp_hlen == RTE_ETHER_ADDR_LEN && arp->arp_plen == sizeof(uint32_t) &&
		arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST);
}

size_t
remu_arp_answer(uint8_t *frame, size_t len, const uint8_t mac[6], uint32_t ip)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)frame;
	size_t at = find_arp(frame, len);
	struct rte_arp_hdr arp;

	if (at == 0)
		return 0;
	memcpy(&arp, frame + at, sizeof(arp));
	if (!is_request(&arp) || arp.arp_data.arp_tip != rte_cpu_to_be_32(ip) ||
		arp.arp_data.arp_sip == arp.arp_data.arp_tip)
		return 0;
	if (!rte_is_broadcast_ether_addr(&eth->dst_addr) &&
		memcmp(&eth->dst_addr, mac, RTE_ETHER_ADDR_LEN) != 0)
		return 0;
	if (!rte_is_valid_assigned_ether_addr(&eth->src_addr) ||
		!rte_is_same_ether_addr(&eth->src_addr, &arp.arp_data.arp_sha))
		return 0;

	arp.arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
	arp.arp_data.arp_tha = arp.arp_data.arp_sha;
	arp.arp_data.arp_tip = arp.arp_data.arp_sip;
	memcpy(&arp.arp_data.arp_sha, mac, RTE_ETHER_ADDR_LEN);
	arp.arp_data.arp_sip = rte_cpu_to_be_32(ip);
	memcpy(frame + at, &arp, sizeof(arp));
	eth->dst_addr = eth->src_addr;
	memcpy(&eth->src_addr, mac, RTE_ETHER_ADDR_LEN);
	return at + sizeof(arp);
}
