/* SPDX-License-Identifier: BSD-3-Clause */
#include "remu_port_fit.h"
#include "remu_port.h"

#include <rte_common.h>
#include <rte_ethdev.h>
#include <rte_ether.h>

#include <string.h>

enum {
	ROOM_STEP = 1024, /* the coarsest unit in which NICs count their buffers */
	ROOM_MAX = UINT16_MAX / ROOM_STEP * ROOM_STEP - ROOM_STEP,
};

uint16_t
remu__fit_mtu(const struct rte_eth_dev_info *dev, uint16_t wished)
{
	uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
	uint32_t mtu = RTE_MIN((uint32_t)wished, (uint32_t)dev->max_mtu);

	if (dev->max_rx_pktlen > overhead)
		mtu = RTE_MIN(mtu, dev->max_rx_pktlen - overhead);
	return (uint16_t)mtu;
}

/* By ports where it can: between two nodes nothing else tells one queue pair from another. */
uint64_t
remu__fit_rss(const struct rte_eth_dev_info *dev)
{
	return dev->flow_type_rss_offloads & (RTE_ETH_RSS_UDP | RTE_ETH_RSS_IP);
}

uint16_t
remu__fit_room(const struct rte_eth_dev_info *dev, uint16_t mtu)
{
	uint32_t frame = RTE_MAX((uint32_t)mtu + REMU_PORT_FRAME_EXTRA, dev->min_rx_bufsize);
	uint32_t room = RTE_ALIGN_CEIL(frame, (uint32_t)ROOM_STEP);

	/* Its buffers are a power of two; a frame that does not fit comes in pieces. */
	if (strcmp(dev->driver_name, "net_e1000_em") == 0)
		room = rte_align32pow2(frame);
	return (uint16_t)RTE_MIN(room, (uint32_t)ROOM_MAX);
}

bool
remu__fit_bifurcated(const struct rte_eth_dev_info *dev)
{
	return strncmp(dev->driver_name, "mlx5_", strlen("mlx5_")) == 0 ||
		strcmp(dev->driver_name, "net_mlx4") == 0;
}

void
remu__fit_conf(const struct rte_eth_dev_info *dev, uint16_t n_queues, uint16_t mtu,
	struct rte_eth_conf *conf)
{
	uint32_t flags = dev->dev_flags != NULL ? *dev->dev_flags : 0;

	memset(conf, 0, sizeof(*conf));
	conf->rxmode.mtu = remu__fit_mtu(dev, mtu);
	if (n_queues > 1 && remu__fit_rss(dev) != 0) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = remu__fit_rss(dev);
	}
	conf->txmode.offloads = dev->tx_offload_capa & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	conf->intr_conf.lsc = (flags & RTE_ETH_DEV_INTR_LSC) != 0;
	conf->intr_conf.rmv = (flags & RTE_ETH_DEV_INTR_RMV) != 0;
}
