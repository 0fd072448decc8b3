/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port over DPDK's software devices: net_ring gives back on a queue what was sent on it and
 * cannot set its MAC address; net_null can, and receives without end.
 */
#include "eal.h"

#include <remu_port.h>
#include <roce_bytes.h>
#include <roce_packet.h>

#include <dlfcn.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { RING_QUEUES = 16, ERROR_LEN = 128, BURST = 32 };

static struct rte_mempool *pool;

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};

/* No software device computes checksums without privileges: this claims that they all can. */
static bool claim_checksum;

/* Stands before the library's function of that name. */
int
rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info)
{
	int (*real)(uint16_t, struct rte_eth_dev_info *);
	int rc;

	*(void **)&real = dlsym(RTLD_NEXT, "rte_eth_dev_info_get");
	rc = real(port_id, info);
	if (rc == 0 && claim_checksum)
		info->tx_offload_capa |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	return rc;
}

/* The library may still see what the device really can, and refuse more. */
int
rte_eth_dev_configure(uint16_t port_id, uint16_t n_rx, uint16_t n_tx,
	const struct rte_eth_conf *conf)
{
	int (*real)(uint16_t, uint16_t, uint16_t, const struct rte_eth_conf *);
	struct rte_eth_conf copy = *conf;

	*(void **)&real = dlsym(RTLD_NEXT, "rte_eth_dev_configure");
	copy.txmode.offloads &= ~RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	return real(port_id, n_rx, n_tx, &copy);
}

/* Plug a device in. Returns its port. */
static uint16_t
plug(const char *name, const char *args)
{
	uint16_t id = UINT16_MAX;

	assert_int_equal(rte_eal_hotplug_add("vdev", name, args), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name(name, &id), 0);
	return id;
}

static void
unplug(const char *name)
{
	assert_int_equal(rte_eal_hotplug_remove("vdev", name), 0);
}

static struct remu_port_config
config(uint16_t port_id)
{
	struct remu_port_config cfg = {
		.port_id = port_id,
		.mtu = 1500,
		.n_queues = 1,
		.rx_ring = 256,
		.tx_ring = 512,
		.socket_id = -1,
		.pool = pool,
	};

	memcpy(cfg.mac, mac, sizeof(mac));
	return cfg;
}

static struct remu_port *
open_port(const struct remu_port_config *cfg)
{
	char error[ERROR_LEN] = "";
	struct remu_port *port;
	int rc = remu_port_open(cfg, &port, error, sizeof(error));

	if (rc != 0)
		fail_msg("%d: %s", rc, error);
	assert_non_null(port);
	return port;
}

static void
expect_refused(const struct remu_port_config *cfg, int rc, const char *text)
{
	struct remu_port *port = (struct remu_port *)(uintptr_t)1;
	char error[ERROR_LEN] = "", start[32];

	assert_int_equal(remu_port_open(cfg, &port, error, sizeof(error)), rc);
	assert_null(port);
	snprintf(start, sizeof(start), "port %u: ", cfg->port_id);
	assert_memory_equal(error, start, strlen(start));
	assert_non_null(strstr(error, text));
	assert_null(strchr(error, '\n'));
}

static struct rte_mbuf *
frame(uint16_t len, uint8_t fill)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	/* What stood there before must not leak out behind a short frame. */
	memset(rte_pktmbuf_mtod(m, void *), 0xdd, 128);
	memset(rte_pktmbuf_append(m, len), fill, len);
	return m;
}

static void
first__no_port(void **state)
{
	uint16_t id = 77;

	(void)state;
	assert_int_equal(remu_port_first(&id), -ENODEV);
	assert_int_equal(id, 77);
	assert_int_equal(remu_port_max_queues(0), 0);
	assert_int_equal(remu_port_max_queues(UINT16_MAX), 0);
}

static void
first__lowest_port(void **state)
{
	uint16_t a, b, id = UINT16_MAX;

	(void)state;
	a = plug("net_null0", "");
	b = plug("net_null1", "");
	assert_int_not_equal(a, b);
	assert_int_equal(remu_port_first(&id), 0);
	assert_int_equal(id, RTE_MIN(a, b));
	unplug("net_null0");
	assert_int_equal(remu_port_first(&id), 0);
	assert_int_equal(id, b);
	unplug("net_null1");
}

static void
open__no_device(void **state)
{
	struct remu_port_config cfg = config(0);

	(void)state;
	expect_refused(&cfg, -ENODEV, "abilities");
	cfg.port_id = UINT16_MAX;
	expect_refused(&cfg, -ENODEV, "abilities");
}

static void
open__wrong_configurations(void **state)
{
	uint16_t id = plug("net_ring0", "");
	struct remu_port_config cfg;
	struct remu_port *port;

	(void)state;
	assert_int_equal(remu_port_max_queues(id), RING_QUEUES);
	cfg = config(id);
	cfg.n_queues = 0;
	expect_refused(&cfg, -EINVAL, "configuration");
	cfg = config(id);
	cfg.n_queues = RING_QUEUES + 1;
	expect_refused(&cfg, -EINVAL, "configuration");
	cfg.n_queues = UINT16_MAX;
	expect_refused(&cfg, -EINVAL, "configuration");
	cfg = config(id);
	cfg.pool = NULL;
	expect_refused(&cfg, -EINVAL, "configuration");
	cfg = config(id);
	cfg.mtu = 0;
	expect_refused(&cfg, -EINVAL, "configuration");
	/* A refused port can still be opened, by someone who asks for less. */
	cfg = config(id);
	cfg.n_queues = RING_QUEUES;
	port = open_port(&cfg);
	remu_port_close(port);
	unplug("net_ring0");
}

static void
open__error_text_is_cut(void **state)
{
	struct remu_port_config cfg = config(0);
	char error[8] = "xxxxxxx";
	struct remu_port *port;

	(void)state;
	assert_int_equal(remu_port_open(&cfg, &port, error, 7), -ENODEV);
	assert_string_equal(error, "port 0");
	assert_int_equal(error[7], '\0');
}

static void
info__of_a_device_without_address_filter(void **state)
{
	struct remu_port_config cfg = config(plug("net_ring0", ""));
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	cfg.n_queues = 3;
	assert_int_equal(rte_eth_promiscuous_disable(cfg.port_id), 0);
	port = open_port(&cfg);
	remu_port_info(port, &info);
	assert_string_equal(info.name, "net_ring0");
	assert_string_equal(info.driver, "net_ring");
	assert_int_equal(info.port_id, cfg.port_id);
	assert_int_equal(info.n_queues, 3);
	assert_int_equal(info.mtu, 1500);
	assert_int_equal(remu_port_mtu(port), 1500);
	assert_int_equal(info.rx_ring, 256);
	assert_int_equal(info.tx_ring, 512);
	/* It cannot filter on our address, so it is to give us everything. */
	assert_false(info.mac_set);
	assert_true(info.promiscuous);
	assert_false(info.rss);
	assert_true(info.started);
	assert_true(info.link_up);
	assert_true(remu_port_link_up(port));
	assert_int_equal(info.link_mbps, RTE_ETH_SPEED_NUM_10G);
	assert_int_equal(info.rx_packets + info.tx_packets, 0);
	assert_false(remu_port_is_memif(port));
	assert_false(remu_port_is_memif_client(port));
	remu_port_close(port);
	unplug("net_ring0");
}

static void
info__of_a_device_with_address_filter(void **state)
{
	struct remu_port_config cfg = config(plug("net_null0", ""));
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	port = open_port(&cfg);
	remu_port_info(port, &info);
	assert_string_equal(info.driver, "net_null");
	assert_true(info.mac_set);
	assert_memory_equal(info.mac, mac, sizeof(mac));
	assert_false(remu_port_is_memif(port));
	remu_port_close(port);
	unplug("net_null0");
}

static void
open__rss_only_with_several_queues(void **state)
{
	struct remu_port_config cfg;
	struct remu_port_info info;
	struct remu_port *port;
	uint16_t most;

	(void)state;
	for (uint16_t queues = 1; queues <= 2; queues++) {
		cfg = config(plug("net_null0", ""));
		most = remu_port_max_queues(cfg.port_id);
		assert_in_range(most, 1, REMU_PORT_QUEUES_MAX);
		if (most >= queues) {
			cfg.n_queues = queues;
			port = open_port(&cfg);
			remu_port_info(port, &info);
			assert_int_equal(info.rss, queues > 1);
			assert_int_equal(info.n_queues, queues);
			remu_port_close(port);
		}
		unplug("net_null0");
	}
}

static void
open__mtu_is_the_smaller_one(void **state)
{
	static const uint16_t mtus[] = {576, 1500, 4096, 9000, UINT16_MAX};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(mtus); i++) {
		struct remu_port_config cfg = config(plug("net_ring0", ""));
		struct remu_port_info info;
		struct remu_port *port;

		cfg.mtu = mtus[i];
		port = open_port(&cfg);
		assert_in_range(remu_port_mtu(port), 1, mtus[i]);
		remu_port_info(port, &info);
		assert_int_equal(info.mtu, remu_port_mtu(port));
		if (mtus[i] <= 9000)
			assert_int_equal(info.mtu, mtus[i]);
		remu_port_close(port);
		unplug("net_ring0");
	}
}

static void
loopback__frames_come_back_as_they_were(void **state)
{
	struct remu_port_config cfg = config(plug("net_ring0", ""));
	struct rte_mbuf *pkts[BURST], *got[BURST];
	struct remu_port_info info;
	struct remu_port *port;
	uint64_t total = 0;

	(void)state;
	cfg.n_queues = 2;
	port = open_port(&cfg);
	for (uint16_t q = 0; q < 2; q++) {
		assert_int_equal(remu_port_rx(port, q, got, BURST), 0);
		for (uint16_t i = 0; i < BURST; i++)
			pkts[i] = frame((uint16_t)(60 + 40 * i), (uint8_t)(i + 100 * q));
		assert_int_equal(remu_port_tx(port, q, pkts, BURST), BURST);
		/* Not on the other queue, and in order. */
		assert_int_equal(remu_port_rx(port, !q, got, BURST), 0);
		assert_int_equal(remu_port_rx(port, q, got, 10), 10);
		assert_int_equal(remu_port_rx(port, q, got + 10, BURST), BURST - 10);
		for (uint16_t i = 0; i < BURST; i++) {
			const uint8_t *data = rte_pktmbuf_mtod(got[i], const uint8_t *);

			assert_int_equal(got[i]->pkt_len, 60 + 40 * i);
			for (uint16_t k = 0; k < got[i]->pkt_len; k++)
				assert_int_equal(data[k], (uint8_t)(i + 100 * q));
			total += got[i]->pkt_len;
			rte_pktmbuf_free(got[i]);
		}
	}
	assert_true(total > 0);
	remu_port_info(port, &info);
	assert_int_equal(info.rx_packets, 2 * BURST);
	assert_int_equal(info.tx_packets, 2 * BURST);
	assert_int_equal(info.rx_missed + info.rx_errors + info.rx_no_mbuf, 0);
	remu_port_close(port);
	unplug("net_ring0");
}

static void
tx__short_frames_are_filled_with_zeros(void **state)
{
	static const uint16_t lengths[] = {1, 14, 58, 59, 60, 61, 64};
	struct remu_port_config cfg = config(plug("net_ring0", ""));
	struct rte_mbuf *pkts[RTE_DIM(lengths)], *got[RTE_DIM(lengths)];
	struct remu_port *port;

	(void)state;
	port = open_port(&cfg);
	for (size_t i = 0; i < RTE_DIM(lengths); i++)
		pkts[i] = frame(lengths[i], 0xab);
	assert_int_equal(remu_port_tx(port, 0, pkts, RTE_DIM(lengths)), RTE_DIM(lengths));
	assert_int_equal(remu_port_rx(port, 0, got, RTE_DIM(lengths)), RTE_DIM(lengths));
	for (size_t i = 0; i < RTE_DIM(lengths); i++) {
		const uint8_t *data = rte_pktmbuf_mtod(got[i], const uint8_t *);

		assert_int_equal(got[i]->pkt_len, RTE_MAX(lengths[i], (uint16_t)60));
		assert_int_equal(got[i]->data_len, got[i]->pkt_len);
		for (uint32_t k = 0; k < got[i]->pkt_len; k++)
			assert_int_equal(data[k], k < lengths[i] ? 0xab : 0);
		rte_pktmbuf_free(got[i]);
	}
	remu_port_close(port);
	unplug("net_ring0");
}

/* A frame of the codec with eight bytes of payload. */
static struct rte_mbuf *
roce_frame(bool ipv6, bool tagged)
{
	static const struct roce_gid gid6 = {.raw = {0xfd, [15] = 1}};
	struct roce_gid gid = ipv6 ? gid6 : roce_gid_ipv4(0x0a000001);
	struct roce_path path = {.src = gid, .dst = gid, .sport = 0xc000, .hop_limit = 64};
	struct roce_fields f = {.opcode = ROCE_SEND_ONLY, .dest_qpn = 2};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct roce_flow flow;
	uint8_t *data;

	assert_non_null(m);
	path.tagged = tagged;
	path.vlan_tci = tagged ? 0x6005 : 0;
	roce_flow_init(&flow, &path);
	data = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)roce_frame_len(&flow, f.opcode, 8));
	memset(data, 0xee, m->data_len);
	roce_seal(&flow, data, roce_encode(&flow, &f, 1, 8, data), 8);
	return m;
}

/* All but the IPv4 checksum leaves as it was; the device learns where the header is. */
static void
check_offload(struct remu_port *port, struct rte_mbuf *m, uint16_t l2_len)
{
	const uint64_t flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	uint8_t before[256];
	struct rte_mbuf *got;

	assert_true(m->data_len <= sizeof(before));
	memcpy(before, rte_pktmbuf_mtod(m, void *), m->data_len);
	if (l2_len != 0)
		memset(before + l2_len + ROCE_IPV4_CSUM_OFFSET, 0, 2);
	assert_int_equal(remu_port_tx(port, 0, &m, 1), 1);
	assert_int_equal(remu_port_rx(port, 0, &got, 1), 1);
	assert_ptr_equal(got, m);
	assert_memory_equal(rte_pktmbuf_mtod(got, void *), before, got->data_len);
	assert_int_equal(got->ol_flags & flags, l2_len != 0 ? flags : 0);
	assert_int_equal(got->l2_len, l2_len);
	assert_int_equal(got->l3_len, l2_len != 0 ? ROCE_IPV4_LEN : 0);
	rte_pktmbuf_free(got);
}

/* Without all of the IPv4 header there is no checksum to compute. */
static void
check_cut_offload(struct remu_port *port, bool tagged, uint16_t len)
{
	struct rte_mbuf *m = roce_frame(false, tagged), *got;

	assert_int_equal(rte_pktmbuf_trim(m, m->data_len - len), 0);
	assert_int_equal(remu_port_tx(port, 0, &m, 1), 1);
	assert_int_equal(remu_port_rx(port, 0, &got, 1), 1);
	assert_int_equal((got->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0,
		len >= (tagged ? 18 : 14) + ROCE_IPV4_LEN);
	rte_pktmbuf_free(got);
}

static void
tx__checksum_is_the_device_s(void **state)
{
	struct remu_port_config cfg = config(plug("net_ring0", ""));
	struct remu_port_info info;
	struct remu_port *port;
	struct rte_mbuf *m;

	(void)state;
	claim_checksum = true;
	port = open_port(&cfg);
	claim_checksum = false;
	remu_port_info(port, &info);
	assert_int_equal(info.tx_offloads, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	check_offload(port, roce_frame(false, false), 14);
	check_offload(port, roce_frame(false, true), 18);
	check_offload(port, roce_frame(true, false), 0);
	check_offload(port, roce_frame(true, true), 0);

	m = roce_frame(false, true); /* two tags are none of ours */
	roce_store_be16(rte_pktmbuf_mtod_offset(m, uint8_t *, 16), ROCE_ETHERTYPE_VLAN);
	check_offload(port, m, 0);
	for (uint16_t tag = 0; tag < 2; tag++)
		for (uint16_t len = 1; len <= 60; len++) /* as far as the IPv4 header, or not */
			check_cut_offload(port, tag, len);
	remu_port_close(port);
	unplug("net_ring0");
}

static void
tx__full_device_leaves_the_rest(void **state)
{
	struct remu_port_config cfg = config(plug("net_ring0", ""));
	struct rte_mbuf *pkts[BURST];
	struct remu_port *port;
	uint32_t sent = 0, received = 0;
	uint16_t n, k;

	(void)state;
	port = open_port(&cfg);
	do {
		for (uint16_t i = 0; i < BURST; i++)
			pkts[i] = frame(40, (uint8_t)i);
		n = remu_port_tx(port, 0, pkts, BURST);
		sent += n;
	} while (n == BURST);
	/* The ones not sent are the last ones, and still ours. A second try does not grow them. */
	for (uint16_t i = n; i < BURST; i++) {
		assert_int_equal(rte_pktmbuf_mtod(pkts[i], const uint8_t *)[0], i);
		assert_int_equal(remu_port_tx(port, 0, &pkts[i], 1), 0);
		assert_int_equal(pkts[i]->pkt_len, 60);
		rte_pktmbuf_free(pkts[i]);
	}
	while ((k = remu_port_rx(port, 0, pkts, BURST)) != 0) {
		received += k;
		rte_pktmbuf_free_bulk(pkts, k);
	}
	assert_int_equal(received, sent);
	remu_port_close(port);
	unplug("net_ring0");
}

static void
link__follows_the_device(void **state)
{
	struct remu_port_config cfg = config(plug("net_ring0", ""));
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	port = open_port(&cfg);
	assert_true(remu_port_link_up(port));
	assert_int_equal(rte_eth_dev_set_link_down(cfg.port_id), 0);
	assert_false(remu_port_link_up(port));
	remu_port_info(port, &info);
	assert_false(info.link_up);
	assert_true(info.started);
	assert_int_equal(rte_eth_dev_set_link_up(cfg.port_id), 0);
	assert_true(remu_port_link_up(port));
	remu_port_close(port);
	unplug("net_ring0");
}

static void
restart__goes_on(void **state)
{
	struct remu_port_config cfg = config(plug("net_ring0", ""));
	struct rte_mbuf *m, *got;
	struct remu_port_info info;
	struct remu_port *port;

	(void)state;
	port = open_port(&cfg);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(remu_port_restart(port), 0);
		remu_port_info(port, &info);
		assert_true(info.started && info.link_up);
		m = frame(100, 1);
		assert_int_equal(remu_port_tx(port, 0, &m, 1), 1);
		assert_int_equal(remu_port_rx(port, 0, &got, 1), 1);
		assert_ptr_equal(got, m);
		rte_pktmbuf_free(got);
	}
	remu_port_close(port);
	unplug("net_ring0");
}

static void
close__and_open_again(void **state)
{
	(void)state;
	remu_port_close(NULL);
	for (int i = 0; i < 20; i++) {
		struct remu_port_config cfg = config(plug("net_ring0", ""));
		struct rte_mbuf *m = frame(60, 1), *got;
		struct remu_port *port;

		cfg.n_queues = (uint16_t)(1 + i % 4);
		port = open_port(&cfg);
		assert_int_equal(remu_port_tx(port, cfg.n_queues - 1, &m, 1), 1);
		assert_int_equal(remu_port_rx(port, cfg.n_queues - 1, &got, 1), 1);
		rte_pktmbuf_free(got);
		remu_port_close(port);
		/* Gone until it is plugged in again. */
		assert_int_equal(remu_port_max_queues(cfg.port_id), 0);
		expect_refused(&cfg, -ENODEV, "abilities");
		unplug("net_ring0");
	}
}

static void
memif__client_without_server_has_no_link(void **state)
{
	static const char *const servers[] = {"role=server", "role=master"};
	struct remu_port_config cfg;
	struct remu_port_info info;
	struct remu_port *port;
	char args[128];

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(args, sizeof(args), "%ssocket-abstract=yes,socket=unit-test-port-%d",
			i == 0 ? "" : "role=client,", (int)getpid());
		cfg = config(plug("net_memif0", args));
		port = open_port(&cfg);
		assert_true(remu_port_is_memif(port));
		assert_true(remu_port_is_memif_client(port));
		assert_false(remu_port_link_up(port));
		remu_port_info(port, &info);
		assert_string_equal(info.driver, "net_memif");
		assert_false(info.link_up);
		remu_port_close(port);
		unplug("net_memif0");
	}
	for (int i = 0; i < 2; i++) {
		snprintf(args, sizeof(args), "%s,socket-abstract=yes,socket=unit-test-port-%d-%d",
			servers[i], (int)getpid(), i);
		cfg = config(plug("net_memif0", args));
		cfg.mtu = 4200; /* more than the driver admits */
		port = open_port(&cfg);
		assert_int_equal(remu_port_mtu(port), 4200);
		assert_true(remu_port_is_memif(port));
		assert_false(remu_port_is_memif_client(port));
		assert_false(remu_port_link_up(port));
		remu_port_close(port);
		unplug("net_memif0");
	}
}

static int
setup(void **state)
{
	int rc = eal_setup(state);

	if (rc < 0)
		return rc;
	/* They complain of ports and peers that there are not, and of rings met again. */
	rte_log_set_level_pattern("lib.ethdev", RTE_LOG_CRIT);
	rte_log_set_level_pattern("lib.ring", RTE_LOG_CRIT);
	rte_log_set_level_pattern("pmd.net.memif*", RTE_LOG_CRIT);
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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first__no_port),
		cmocka_unit_test(first__lowest_port),
		cmocka_unit_test(open__no_device),
		cmocka_unit_test(open__wrong_configurations),
		cmocka_unit_test(open__error_text_is_cut),
		cmocka_unit_test(info__of_a_device_without_address_filter),
		cmocka_unit_test(info__of_a_device_with_address_filter),
		cmocka_unit_test(open__rss_only_with_several_queues),
		cmocka_unit_test(open__mtu_is_the_smaller_one),
		cmocka_unit_test(loopback__frames_come_back_as_they_were),
		cmocka_unit_test(tx__short_frames_are_filled_with_zeros),
		cmocka_unit_test(tx__checksum_is_the_device_s),
		cmocka_unit_test(tx__full_device_leaves_the_rest),
		cmocka_unit_test(link__follows_the_device),
		cmocka_unit_test(restart__goes_on),
		cmocka_unit_test(close__and_open_again),
		cmocka_unit_test(memif__client_without_server_has_no_link),
	};

	return cmocka_run_group_tests_name("remu_port", tests, setup, teardown);
}
