/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libccm in a program of its own: a node that brings up a session with its partner, an ordinary
 * ccm-node with config/node-a.json, and has one client. When its port is there, the client writes a
 * message into the partner's memory, reads it back, and the program leaves.
 *
 *   ./session --no-huge -m 128 --no-pci -l 1 --file-prefix=b \
 *       --vdev=net_memif0,role=client,socket=ccm
 *
 * One lcore does all: the manager and the packets have their turns on it.
 */
#include <ccm.h>
#include <rdma_emul.h>
#include <remu_port.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

enum { BURST = 32, MBUFS = 4095, MTU = 1500, RING = 512, PATIENCE_S = 30 };

/* What both nodes have agreed on before: addresses, numbers and keys. */
static const struct ccm_config node = {
	.node_id = 2,
	.role = CCM_ROLE_STORAGE,
	.name = "node-b",
	.cluster = "lab",
	.features = CCM_FEATURES,
	.va = 0x100000,
	.rkey = 0xc0de0001,
	.timing = {.beat_us = 10000,
		.dead_after_us = 250000,
		.retry_us = 2000,
		.search_us = 100000,
		.retry_cnt = 7},
	.n_partners = 1,
	.partners = {{
		.id = 1,
		.mac = {0x02, 0, 0, 0, 0, 1},
		.ip = 0xc0000201, /* 192.0.2.1 */
		.qpn = 0x100,
		.remote_qpn = 0x100,
		.va = 0x100000,
		.rkey = 0xc0de0001,
	}},
};
static const uint8_t own_mac[6] = {0x02, 0, 0, 0, 0, 2};
static const uint32_t own_ip = 0xc0000202;

/* A client of this name on both nodes is connected; it gets the smaller memory of the two. */
static const struct ccm_client_config client = {.name = "nvlog", .ports = 2, .memory = 1 << 20};

static struct {
	struct rte_mempool *pool;
	struct remu_port *port;
	struct remu_engine *engine;
	struct remu_channel *channel; /* by which the manager reaches the engine */
	struct ccm *ccm;
	struct rte_mbuf *unsent[BURST];
	uint16_t n_unsent;
	char message[64];
	char answer[64];
	int result; /* 1: not known yet */
} app = {.result = 1};

static void
must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "session: %s: %s\n", what, strerror(rc < 0 ? -rc : rc));
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t
rand64(void *ctx)
{
	uint64_t r;

	(void)ctx;
	while (getrandom(&r, sizeof(r), 0) != sizeof(r))
		;
	return r;
}

static void
open_port(void)
{
	struct remu_port_config cfg = {
		.mtu = MTU,
		.n_queues = 1,
		.rx_ring = RING,
		.tx_ring = RING,
		.socket_id = SOCKET_ID_ANY,
	};
	char error[256] = "";

	app.pool = rte_pktmbuf_pool_create("frames", MBUFS, 128, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
		SOCKET_ID_ANY);
	must(app.pool == NULL, "mbufs");
	cfg.pool = app.pool;
	memcpy(cfg.mac, own_mac, sizeof(cfg.mac));
	must(remu_port_first(&cfg.port_id), "no Ethernet port; give one with --vdev or -a");
	must(remu_port_open(&cfg, &app.port, error, sizeof(error)), error);
	/* A memif client connects when it is started again, and only then. */
	for (int i = 0; i < PATIENCE_S * 10 && !remu_port_link_up(app.port); i++) {
		if (remu_port_is_memif_client(app.port))
			must(remu_port_restart(app.port), "restart");
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	}
	must(remu_port_link_up(app.port) ? 0 : -ETIMEDOUT, "link");
}

static void
open_engine(void)
{
	struct remu_engine_config cfg = {
		.pool = app.pool,
		.gid = roce_gid_ipv4(own_ip),
		.n_engines = 1,
		.max_qps = 1 + CCM_MAX_PORTS,
		.max_mrs = CCM_REGION_KEYS + CCM_MAX_PORTS,
		.sq_depth = CCM_PORT_DEPTH,
		.window = 64,
		.socket_id = SOCKET_ID_ANY,
	};

	memcpy(cfg.mac, own_mac, sizeof(cfg.mac));
	must(remu_engine_create(&cfg, &app.engine), "engine");
	must(remu_channel_create(app.engine, 1024, &app.channel), "channel");
}

/* Called from ccm_poll(). */
static void
on_client(void *ctx, const struct ccm_client_event *event)
{
	static uint32_t handle;

	(void)ctx;
	switch (event->kind) {
	case CCM_CLIENT_UP:
		printf("up: %u ports to partner %u, %lu bytes each\n", event->n_ports,
			event->partner_id, (unsigned long)event->ports[0].length);
		handle = event->ports[0].handle;
		snprintf(app.message, sizeof(app.message), "hello, partner %u", event->partner_id);
		must(ccm_port_post(app.ccm, handle, CCM_PORT_WRITE, app.message, 0,
			     sizeof(app.message), CCM_PORT_WRITE),
			"WRITE");
		break;
	case CCM_CLIENT_COMPLETED:
		if (event->status != REMU_WC_SUCCESS) {
			app.result = -EIO;
		} else if (event->wr_id == CCM_PORT_WRITE) {
			must(ccm_port_post(app.ccm, handle, CCM_PORT_READ, app.answer, 0,
				     sizeof(app.answer), CCM_PORT_READ),
				"READ");
		} else {
			printf("the partner's memory says \"%s\"\n", app.answer);
			app.result = strcmp(app.answer, app.message) == 0 ? 0 : -EBADMSG;
		}
		break;
	case CCM_CLIENT_DOWN:
		printf("down: %s\n", ccm_reason_name(event->reason));
		break;
	case CCM_CLIENT_RELEASED:
	case CCM_CLIENT_ADVICE:
	case CCM_CLIENT_GONE:
		break;
	}
}

static void
open_manager(void)
{
	struct ccm_config cfg = node;
	struct ccm_env env = {.rand64 = rand64, .n_engines = 1, .channels = {app.channel}};
	struct ccm_client *handle;

	cfg.path_mtu = remu_path_mtu(remu_port_mtu(app.port));
	env.memory_size = ccm_memory_size(&cfg, &client, 1);
	env.memory = mmap(NULL, env.memory_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(env.memory == MAP_FAILED ? -errno : 0, "memory");
	must(ccm_create(&cfg, &env, &app.ccm), "manager");
	must(ccm_client_register(app.ccm, &client, on_client, NULL, &handle), "client");
}

/* One turn of the packets: receive, work, send. */
static void
turn(uint64_t now)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n = remu_port_rx(app.port, 0, pkts, BURST), sent;

	remu_engine_rx(app.engine, pkts, n, now);
	remu_engine_poll(app.engine, now);
	if (app.n_unsent == 0)
		app.n_unsent = remu_engine_tx(app.engine, app.unsent, BURST, now);
	sent = remu_port_tx(app.port, 0, app.unsent, app.n_unsent);
	app.n_unsent -= sent;
	memmove(app.unsent, app.unsent + sent, app.n_unsent * sizeof(app.unsent[0]));
}

int
main(int argc, char **argv)
{
	uint64_t end;

	must(rte_eal_init(argc, argv) < 0 ? -EINVAL : 0, "EAL");
	open_port();
	open_engine();
	open_manager();
	end = now_ns() + PATIENCE_S * UINT64_C(1000000000);
	while (app.result > 0 && now_ns() < end) {
		turn(now_ns());
		ccm_poll(app.ccm, now_ns());
	}
	/* Leave in order: the partner is told, and need not find out. */
	ccm_stop(app.ccm, now_ns());
	end = now_ns() + 1000000000;
	while (!ccm_stopped(app.ccm) && now_ns() < end) {
		turn(now_ns());
		ccm_poll(app.ccm, now_ns());
	}
	if (app.result > 0)
		app.result = -ETIMEDOUT;
	if (app.result != 0)
		fprintf(stderr, "session: %s\n", strerror(-app.result));
	rte_pktmbuf_free_bulk(app.unsent, app.n_unsent);
	remu_port_close(app.port);
	ccm_destroy(app.ccm);
	remu_engine_destroy(app.engine);
	rte_eal_cleanup();
	return app.result == 0 ? 0 : 1;
}
