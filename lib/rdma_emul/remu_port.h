/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/**
 * @file
 * An Ethernet port: the one place that knows ethdev. A queue pair of the port belongs to one
 * lcore, which calls remu_port_rx() and remu_port_tx() on it; everything else is for one control
 * thread, except remu_port_info(), which any thread may call between open and close.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rte_mbuf;
struct rte_mempool;

struct remu_port;

enum {
	REMU_PORT_FRAME_MIN = 60,   /* bytes without FCS: Ethernet's shortest */
	REMU_PORT_FRAME_EXTRA = 22, /* bytes of a frame beyond the IP MTU: header, tag, FCS */
	REMU_PORT_QUEUES_MAX = 64,
	REMU_PORT_NAME_LEN = 64,
	REMU_PORT_WHY_LEN = 128,
};

/** How the device is told which frames are ours. */
enum remu_port_steering {
	REMU_PORT_STEERING_AUTO,    /**< the best that the device takes; never in use itself */
	REMU_PORT_STEERING_FLOW,    /**< rules bring our frames to our queues */
	REMU_PORT_STEERING_ISOLATE, /**< the same, and the kernel keeps the rest */
	REMU_PORT_STEERING_NONE,    /**< no rules: the engine drops what is not ours */
	REMU_PORT_STEERING_COUNT,
};

/** What became of the device, as it told. */
enum remu_port_trouble {
	REMU_PORT_WELL,
	REMU_PORT_NEEDS_RESET, /**< remu_port_restart() does it */
	REMU_PORT_REMOVED,     /**< for good */
};

/** A port as it is wished. */
struct remu_port_config {
	uint16_t port_id;  /**< of ethdev */
	uint16_t mtu;	   /**< of IP, bytes */
	uint16_t n_queues; /**< queue pairs, 1 to remu_port_max_queues() */
	uint16_t rx_ring;  /**< descriptors; adjusted to what the device can */
	uint16_t tx_ring;  /**< as rx_ring */
	int socket_id;	   /**< NUMA node, or -1 */
	uint8_t mac[6];	   /**< ours: the device is to filter on it */
	uint16_t vlan;	   /**< rules: ID of the 802.1Q tag that frames have; 0: none */
	bool ipv6;	   /**< rules: IPv6 beside IPv4 */
	bool arp;	   /**< rules: ARP requests too, which would otherwise go to the kernel */
	enum remu_port_steering steering; /**< by another name than AUTO: had, or an error */
	struct rte_mempool *pool; /**< for receiving; data room for mtu + REMU_PORT_FRAME_EXTRA */
};

/** A port as it is, and what it has counted. */
struct remu_port_info {
	char name[REMU_PORT_NAME_LEN];	 /**< of the device */
	char driver[REMU_PORT_NAME_LEN]; /**< net_virtio and so on */
	uint16_t port_id;		 /**< of ethdev */
	uint16_t n_queues;		 /**< queue pairs */
	uint16_t mtu;			 /**< of IP: the smaller one of wished and possible */
	uint16_t rx_ring;		 /**< descriptors per queue */
	uint16_t tx_ring;		 /**< descriptors per queue */
	uint8_t mac[6];	    /**< the device's; differs from the one wished if mac_set is false */
	bool mac_set;	    /**< the device filters on our address */
	bool promiscuous;   /**< the device gives us all frames */
	bool rss;	    /**< received packets are spread over the queues by UDP/IP */
	uint64_t rss_types; /**< RTE_ETH_RSS_* in use */
	enum remu_port_steering steering; /**< in use */
	uint32_t rules;			  /**< in the device */
	char match[REMU_PORT_NAME_LEN];	  /**< what they look at, for people; or empty */
	char why[REMU_PORT_WHY_LEN];	  /**< why not more; empty when nothing is missing */
	bool link_events;		  /**< the device tells of its link by interrupt */
	enum remu_port_trouble trouble;	  /**< what became of it */
	bool started;			  /**< frames may pass */
	bool link_up;			  /**< as the device says */
	uint32_t link_mbps;		  /**< UINT32_MAX: unknown */
	uint64_t rx_offloads;		  /**< RTE_ETH_RX_OFFLOAD_* in use */
	uint64_t tx_offloads;		  /**< RTE_ETH_TX_OFFLOAD_* in use */
	uint64_t rx_packets;		  /**< received */
	uint64_t rx_bytes;		  /**< of these */
	uint64_t rx_missed;		  /**< lost because a queue was full */
	uint64_t rx_errors;		  /**< damaged */
	uint64_t rx_no_mbuf;		  /**< lost because the pool was empty */
	uint64_t tx_packets;		  /**< sent */
	uint64_t tx_bytes;		  /**< of these */
	uint64_t tx_errors;		  /**< not sent */
};

/** First Ethernet port that nobody has claimed. @return 0 or -ENODEV */
int remu_port_first(uint16_t *port_id);

/** How many queue pairs a port can have; 0 when it does not answer. */
uint16_t remu_port_max_queues(uint16_t port_id);

/**
 * Sizes that the device can, for its rings and for the data room (beside headroom) of an mbuf that
 * takes a whole frame of this IP MTU.
 */
void remu_port_fit(uint16_t port_id, uint16_t mtu, uint16_t *rx_ring, uint16_t *tx_ring,
	uint16_t *room);

/**
 * Configure and start a port.
 *
 * A steering that is asked for by name is had, or the port does not open. MTU and MAC address are set
 * where the device can: otherwise the MTU is the smaller one, see remu_port_mtu(), and the port is
 * promiscuous. A memif client is not started and has no link until remu_port_restart().
 *
 * @param error  one line on failure
 * @return 0, -EINVAL (bad configuration), -ENOMEM or the device's negative errno
 */
int remu_port_open(const struct remu_port_config *cfg, struct remu_port **out, char *error,
	size_t error_len);

/** Stop and close. No lcore may use it any more. NULL is harmless. */
void remu_port_close(struct remu_port *port);

/** Received frames. @return how many, at most n */
uint16_t remu_port_rx(struct remu_port *port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n);

/**
 * Send RoCEv2 frames over IPv4; those shorter than Ethernet allows are filled up with zeros. The
 * caller keeps the ones not sent. @return how many were sent
 */
uint16_t remu_port_tx(struct remu_port *port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n);

/** False too while the device is not well. */
bool remu_port_link_up(const struct remu_port *port);

/** What the device has told of itself, by interrupt. */
enum remu_port_trouble remu_port_trouble(const struct remu_port *port);

/** IP MTU in use, bytes. */
uint16_t remu_port_mtu(const struct remu_port *port);

/**
 * Shared-memory link to another process (memif): its driver unmaps the rings when the peer goes
 * away, on the EAL interrupt thread, whatever the lcores do.
 */
bool remu_port_is_memif(const struct remu_port *port);

/** A memif client: its driver connects in remu_port_restart() only. */
bool remu_port_is_memif_client(const struct remu_port *port);

/**
 * Stop and start again, with a reset between where the device needs one; not for a device that was
 * removed (-ENODEV). No lcore may be inside rx or tx. A memif client blocks for as long as its
 * server stands still with full queues. @return 0 or the device's errno
 */
int remu_port_restart(struct remu_port *port);

/** What a port is, and what it has counted. Any thread between open and close. */
void remu_port_info(const struct remu_port *port, struct remu_port_info *out);

#ifdef __cplusplus
}
#endif
