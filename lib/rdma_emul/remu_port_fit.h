/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What to ask of a device, from what it says that it can. Nothing here touches the device.
 */

#include <stdbool.h>
#include <stdint.h>

struct rte_eth_conf;
struct rte_eth_dev_info;

/* The largest IP MTU that the device says it can, at most the one wished. */
uint16_t remu__fit_mtu(const struct rte_eth_dev_info *dev, uint16_t wished);

/* Hash functions to spread RoCEv2 by, RTE_ETH_RSS_*; 0: the device has none. */
uint64_t remu__fit_rss(const struct rte_eth_dev_info *dev);

/* Data room of an mbuf, without headroom, that the device fills with a whole frame. */
uint16_t remu__fit_room(const struct rte_eth_dev_info *dev, uint16_t mtu);

/* The kernel has the device too, so it can keep what is not for us (mlx5, mlx4). */
bool remu__fit_bifurcated(const struct rte_eth_dev_info *dev);

/* All of a configuration. dev_flags of the device: RTE_ETH_DEV_*. */
void remu__fit_conf(const struct rte_eth_dev_info *dev, uint16_t n_queues, uint16_t mtu,
	struct rte_eth_conf *conf);
