/* SPDX-License-Identifier: BSD-3-Clause */
#include "node.h"

#include "background.h"
#include "capture.h"
#include "exercise.h"
#include "log.h"
#include "memif_guard.h"
#include "notify.h"
#include "rdma_emul.h"
#include "reload.h"
#include "remu_port.h"
#include "target.h"

#include <rte_common.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
	RING = 512,	  /* descriptors per queue */
	POOL_CACHE = 128, /* mbufs that each lcore may keep to itself */
	SQ_DEPTH = CCM_PORT_DEPTH,
	WINDOW = 64,	       /* packets in flight per queue pair */
	HOLD = 256,	       /* received mbufs kept behind gaps, per engine */
	CHANNEL_DEPTH = 1024,  /* work requests and verbs under way per engine, at least */
	PARTNER_DEPTH = 256,   /* ... per partner: half of them for its clients */
	LEAVE_NS = 1000000000, /* longest wait for partners to be told that we stop */
	IDLE_NS = 200000,      /* quiet time before the control core sleeps */
	CONTROL_NS = 1000,     /* longest time without a turn of control, one lcore for all */
	SHARED_NAP_NS = 50000, /* an lcore without work, on a CPU with another one */
	LOADED_BURST = 4,      /* frames at once that show an lcore under load */
};

static _Atomic int app_signals;

static void
on_signal(int sig)
{
	(void)sig;
	if (atomic_fetch_add(&app_signals, 1) > 0)
		_exit(1); /* asked twice: at once */
}

void
node_catch_signals(void)
{
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGPIPE, SIG_IGN); /* whoever read our log may be gone */
}

bool
node_interrupted(void)
{
	return atomic_load_explicit(&app_signals, memory_order_relaxed) > 0;
}

static struct node *app_node;

static uint64_t
now_ns(void)
{
	return node_clock_now(&app_node->clock);
}

static uint64_t
rand64(void *ctx)
{
	struct node_random *store = &((struct node *)ctx)->random;
	uint64_t r;

	/* Up to 256 bytes come whole: getrandom(2). */
	while (store->left == 0)
		if (getrandom(store->values, sizeof(store->values), 0) == sizeof(store->values))
			store->left = RTE_DIM(store->values);
	r = store->values[--store->left];
	store->values[store->left] = 0;
	return r;
}

static void
on_event(void *ctx, const struct ccm_event *ev)
{
	struct node *node = ctx;

	if (ev->kind == CCM_EVENT_VERDICT) {
		NODE_LOG(INFO, "partner %u is %s, was %s (%s)", ev->partner_id,
			ccm_verdict_name(ev->to), ccm_verdict_name(ev->from),
			ccm_reason_name(ev->reason));
		return;
	}
	NODE_LOG(INFO, "partner %u: %s -> %s (%s)", ev->partner_id, ccm_state_name(ev->from),
		ccm_state_name(ev->to), ccm_reason_name(ev->reason));
	for (uint32_t i = 0; i < node->cfg.ccm.n_partners; i++)
		if (ev->to == CCM_UP && node->cfg.ccm.partners[i].id == ev->partner_id)
			node->came_up |= UINT64_C(1) << i;
}

/* How long each step took, once a session is up. */
static void
log_setup(const struct node *node, uint32_t index)
{
	struct ccm_partner_status st;
	char steps[256] = "";
	size_t len = 0;

	if (ccm_read_partner(node->ccm, index, &st) != 0)
		return;
	for (int i = 0; i < CCM_STEP_COUNT && len < sizeof(steps); i++)
		len += (size_t)snprintf(steps + len, sizeof(steps) - len, "%s%s %.1f",
			i == 0 ? "" : ", ", ccm_step_name(i), (double)st.step_ns[i] / 1000);
	NODE_LOG(INFO, "partner %u: up in %.1f us (%s)", st.id, (double)st.setup_ns / 1000, steps);
}

static void
report_boot(struct node *node, uint64_t now)
{
	struct ccm_boot_status status;

	node_boot_status(&node->boot, &status);
	ccm_boot_report(node->ccm, &status, now);
}

/* The command line's, or else the configuration's. */
static void
set_log_level(const struct node *node)
{
	int level = node->log_level >= 0 ? node->log_level : node->cfg.log_level;

	rte_log_set_level(app_logtype, RTE_LOG_ERR + (uint32_t)level);
}

/* One line for a failed start; the steps taken so far are undone by the caller. */
static int
fail(const struct node *node, const char *what, int error)
{
	fprintf(stderr, "%s: %s: %s\n", node->program, what, strerror(error));
	return -1;
}

static uint32_t
total_ports(const struct node_config *cfg)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < cfg->n_clients; i++)
		n += cfg->clients[i].ccm.ports;
	return n;
}

/* The first port, its queues and its mbufs. */
static int
open_port(struct node *node)
{
	struct remu_port_config cfg = {
		.mtu = node->cfg.port.mtu,
		.rx_ring = RING,
		.tx_ring = RING,
		.socket_id = SOCKET_ID_ANY,
		.arp = node->cfg.port.arp,
		.steering = node->cfg.port.steering,
	};
	uint32_t workers = rte_lcore_count() - 1;
	uint16_t room;
	uint32_t mbufs;
	char error[256];

	if (remu_port_first(&node->port_id) != 0) {
		fprintf(stderr,
			"%s: no Ethernet device: give EAL one before \"--\", for "
			"example --vdev=net_memif0,role=server,socket=ccm\n",
			node->program);
		return -1;
	}
	node->n_engines = RTE_MIN(RTE_MAX(workers, 1u), (uint32_t)CCM_MAX_ENGINES);
	node->n_engines = RTE_MIN(node->n_engines, (uint32_t)remu_port_max_queues(node->port_id));
	if (node->n_engines == 0)
		return fail(node, "the device has no queues", ENODEV);
	if (workers > node->n_engines)
		NODE_LOG(WARNING, "%u of %u data lcores stay idle: the device has no more queues",
			workers - node->n_engines, workers);
	remu_port_fit(node->port_id, node->cfg.port.mtu, &cfg.rx_ring, &cfg.tx_ring, &room);
	mbufs = node->n_engines * (cfg.rx_ring + cfg.tx_ring + 4 * DATA_BURST + DATA_INBOX + HOLD) +
		rte_lcore_count() * POOL_CACHE;
	node->pool = rte_pktmbuf_pool_create("ccm", mbufs, POOL_CACHE, 0,
		(uint16_t)RTE_MAX(room + RTE_PKTMBUF_HEADROOM, RTE_MBUF_DEFAULT_BUF_SIZE),
		SOCKET_ID_ANY);
	if (node->pool == NULL)
		return fail(node, "packet buffers (give EAL more memory: -m)", rte_errno);
	cfg.port_id = node->port_id;
	cfg.n_queues = (uint16_t)node->n_engines;
	cfg.pool = node->pool;
	memcpy(cfg.mac, node->cfg.port.mac, sizeof(cfg.mac));
	if (remu_port_open(&cfg, &node->port, error, sizeof(error)) != 0) {
		fprintf(stderr, "%s: %s\n", node->program, error);
		return -1;
	}
	node->cfg.ccm.path_mtu = remu_path_mtu(remu_port_mtu(node->port));
	if (node->cfg.ccm.path_mtu == 0)
		return fail(node, "the device's MTU is too small for RoCEv2", EINVAL);
	return 0;
}

/* The clients that work on a data lcore. */
static bool
data_clients(void *ctx, struct data_lcore *d, uint64_t now)
{
	struct node *node = ctx;
	bool any = target_turn(node->target, d->id);

	if (node->hooks.data != NULL)
		any |= node->hooks.data(node->hooks.ctx, d, now);
	return any;
}

static int
create_engines(struct node *node)
{
	uint32_t partners = RTE_MAX(node->cfg.ccm.n_partners, 1u);
	uint32_t ports = total_ports(&node->cfg);
	struct remu_engine_config cfg = {
		.pool = node->pool,
		.gid = roce_gid_ipv4(node->cfg.port.ip),
		.n_engines = node->n_engines,
		.max_qps = partners * (1 + ports),
		.max_mrs = partners * (CCM_REGION_KEYS + ports),
		.sq_depth = SQ_DEPTH,
		.rq_depth = target_receives(&node->cfg),
		.window = WINDOW,
		.hold_max = HOLD,
		.answer_arp = node->cfg.port.arp,
		.socket_id = SOCKET_ID_ANY,
	};
	uint32_t channel_depth = RTE_MAX(CHANNEL_DEPTH,
		rte_align32pow2(node->cfg.ccm.n_partners * PARTNER_DEPTH));
	int rc = 0;

	memcpy(cfg.mac, node->cfg.port.mac, sizeof(cfg.mac));
	for (uint32_t i = 0; rc == 0 && i < node->n_engines; i++) {
		cfg.id = i;
		rc = remu_engine_create(&cfg, &node->engines[i]);
		if (rc == 0)
			rc = remu_channel_create(node->engines[i], channel_depth,
				&node->channels[i]);
		if (rc == 0)
			rc = data_lcore_init(&node->lcores[i], i, node->n_engines, node->engines[i],
				node->port, &node->gate, node->lcores);
		if (rc == 0 && (node->hooks.data != NULL || cfg.rq_depth != 0)) {
			node->lcores[i].client = data_clients;
			node->lcores[i].client_ctx = node;
		}
	}
	return rc == 0 ? 0 : fail(node, "engines (give EAL more memory: -m)", -rc);
}

/* Frames into a file, where that is asked for. */
static int
create_capture(struct node *node)
{
	struct capture_config cfg = {
		.file = node->pcap,
		.max_bytes = node->pcap_bytes,
		.n_rings = node->n_engines,
		.now_ns = now_ns,
	};
	struct remu_port_info info;
	char error[CAPTURE_ERROR_LEN];
	int rc;

	if (node->pcap == NULL)
		return 0;
	remu_port_info(node->port, &info);
	cfg.interface = info.name;
	if (capture_create(&cfg, &node->capture, error, sizeof(error)) != 0) {
		fprintf(stderr, "%s: %s\n", node->program, error);
		return -1;
	}
	for (uint32_t i = 0; i < node->n_engines; i++)
		node->lcores[i].capture = capture_ring_of(node->capture, i);
	rc = capture_start(node->capture);
	return rc == 0 ? 0 : fail(node, "thread for the capture", -rc);
}

static int
create_manager(struct node *node)
{
	struct ccm_client_config clients[CCM_MAX_CLIENTS];
	struct ccm_env env = {
		.rand64 = rand64,
		.event = on_event,
		.ctx = node,
		.n_engines = node->n_engines,
	};
	int rc;

	for (uint32_t i = 0; i < node->cfg.n_clients; i++)
		clients[i] = node->cfg.clients[i].ccm;
	node->memory_size = ccm_memory_size(&node->cfg.ccm, clients, node->cfg.n_clients);
	node->memory = mmap(NULL, RTE_MAX(node->memory_size, (size_t)CCM_REGION_SIZE),
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (node->memory == MAP_FAILED) {
		node->memory = NULL;
		return fail(node, "memory of the clients' ports", errno);
	}
	madvise(node->memory, node->memory_size, MADV_HUGEPAGE);
	memcpy(env.channels, node->channels, sizeof(env.channels));
	env.memory = node->memory;
	env.memory_size = node->memory_size;
	rc = ccm_create(&node->cfg.ccm, &env, &node->ccm);
	if (rc == 0) { /* before anybody can ask: the first record says it */
		node_boot_init(&node->boot, &node->cfg, now_ns());
		report_boot(node, now_ns());
	}
	if (rc == 0)
		rc = exercise_create(&node->cfg, node->exercise, &node->exerciser);
	if (rc == 0)
		rc = exercise_register(node->exerciser, node->ccm);
	if (rc == 0)
		rc = target_create(&node->cfg, node->engines, node->n_engines, &node->target);
	if (rc == 0)
		rc = target_register(node->target, node->ccm);
	if (rc == 0 && node->hooks.start != NULL)
		rc = node->hooks.start(node->hooks.ctx);
	return rc == 0 ? 0 : fail(node, "connection manager", -rc);
}

static int
start_telemetry(struct node *node)
{
	int rc;

	if (!node->telemetry)
		return 0;
	node->reload.notice = notify_reloading;
	node->reload.notice_ctx = &node->notify;
	rc = node_reload_start(&node->reload, node->config_file, &node->cfg, now_ns);
	if (rc != 0)
		return fail(node, "thread for SIGHUP", -rc);
	node->telemetry_source = (struct telemetry_source){
		.cfg = &node->cfg,
		.ccm = node->ccm,
		.engines = node->engines,
		.lcores = node->lcores,
		.n_engines = node->n_engines,
		.port = node->port,
		.exercise = node->exerciser,
		.boot = &node->boot,
		.reload = &node->reload,
		.capture = node->capture,
		.capture_file = node->pcap,
		.capture_bytes = node->pcap_bytes,
		.now_ns = now_ns,
		.start_ns = now_ns(),
		.control_ns = &node->control_ns,
	};
	return node_telemetry_register(&node->telemetry_source) == 0
		? 0
		: fail(node, "telemetry", ENOMEM);
}

/* Their queue pairs and regions exist: READs of the record are answered. */
static bool
responder_ready(void *ctx)
{
	const struct node *node = ctx;
	struct ccm_partner_status st;

	for (uint32_t i = 0; i < node->cfg.ccm.n_partners; i++)
		if (ccm_read_partner(node->ccm, i, &st) != 0 || st.state == CCM_DOWN)
			return false;
	return true;
}

/* "1 of 2 partners connected; partner 3: unreachable" */
static void
sessions_line(void *ctx, char *text, size_t size)
{
	const struct node *node = ctx;
	uint32_t n = node->cfg.ccm.n_partners, up = 0;
	char others[NOTIFY_TEXT_LEN] = "";
	struct ccm_partner_status st;
	size_t len = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool known = ccm_read_partner(node->ccm, i, &st) == 0;

		up += known && st.state == CCM_UP;
		if ((known && st.state == CCM_UP && st.verdict == CCM_VERDICT_UP) ||
			len >= sizeof(others))
			continue;
		len += (size_t)snprintf(others + len, sizeof(others) - len, "; partner %u: %s",
			node->cfg.ccm.partners[i].id,
			known ? ccm_verdict_name(st.verdict) : "not known");
	}
	snprintf(text, size, "%u of %u partner%s connected%s", up, n, n == 1 ? "" : "s", others);
}

static int
start_notify(struct node *node)
{
	const struct notify_source source = {
		.ready = responder_ready,
		.status = sessions_line,
		.ctx = node,
	};
	char name[24];
	int rc;

	_Static_assert((int)NOTIFY_LOOPS > (int)CCM_MAX_ENGINES, "no loop is left out");
	notify_watch(&node->notify, &node->control_turns, "the control core");
	for (uint32_t i = 0; i < node->n_engines; i++) {
		snprintf(name, sizeof(name), "data lcore %u", i);
		notify_watch(&node->notify, &node->lcores[i].turns, name);
	}
	rc = notify_start(&node->notify, &source);
	return rc == 0 ? 0 : fail(node, "thread for the service manager", -rc);
}

static bool
data_turn(struct node *node, uint32_t id, uint64_t now)
{
	struct data_lcore *d = &node->lcores[id];

	if (likely(node->hooks.bare == NULL))
		return data_lcore_turn(d, now);
	return node->hooks.bare(node->hooks.ctx, d, now);
}

/* Whether another lcore of ours runs on a CPU of this one. */
static bool
shares_cpu(unsigned int self)
{
	rte_cpuset_t own = rte_lcore_cpuset(self), both;
	unsigned int lcore;

	RTE_LCORE_FOREACH (lcore) {
		rte_cpuset_t other = rte_lcore_cpuset(lcore);

		CPU_AND(&both, &own, &other);
		if (lcore != self && CPU_COUNT(&both) != 0)
			return true;
	}
	return false;
}

/* Outside of the gate, so that nobody waits for who sleeps. */
static void
nap(struct node *node, uint32_t id, uint64_t ns)
{
	port_gate_leave(&node->gate, id);
	nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
	port_gate_enter(&node->gate, id);
}

static int
data_main(void *arg)
{
	struct node *node = arg;
	uint32_t id = 0;
	unsigned int lcore;
	uint64_t busy_ns = 0;
	bool shares = shares_cpu(rte_lcore_id());

	/* Among the workers: the main lcore need not be the first one (--main-lcore). */
	RTE_LCORE_FOREACH_WORKER (lcore)
		id += lcore < rte_lcore_id();
	if (id >= node->n_engines)
		return 0;
	port_gate_enter(&node->gate, id);
	while (!atomic_load_explicit(&node->stop_data, memory_order_relaxed)) {
		uint64_t now = node_clock_now(&node->clock);

		if (data_turn(node, id, now))
			busy_ns = now;
		else if (shares && now - busy_ns > IDLE_NS)
			nap(node, id, SHARED_NAP_NS);
	}
	port_gate_leave(&node->gate, id);
	return 0;
}

/* One turn of the control core. Returns whether there was anything to do. */
static bool
control_turn(struct node *node, uint64_t now)
{
	bool any = false;

	ccm_link_report(node->ccm, port_watch_poll(&node->watch, now));
	if (node->telemetry && node_reload_poll(&node->reload)) {
		set_log_level(node);
		report_boot(node, now); /* its budget may be another */
	}
	if (node->hooks.control != NULL)
		any = node->hooks.control(node->hooks.ctx, now);
	if (node->hooks.bare != NULL)
		return any;
	if (node_boot_poll(&node->boot, now))
		report_boot(node, now);
	any |= ccm_poll(node->ccm, now);
	any |= exercise_poll(node->exerciser, now);
	for (; node->came_up != 0; node->came_up &= node->came_up - 1)
		log_setup(node, (uint32_t)__builtin_ctzll(node->came_up));
	return any;
}

/* Share the CPU while nothing happens; never longer than until something is due. */
static void
idle(struct node *node, bool alone, uint64_t now)
{
	uint64_t due = ccm_next_deadline(node->ccm);
	uint64_t ns = (uint64_t)node->cfg.idle_sleep_us * 1000;

	if (alone)
		due = RTE_MIN(due, remu_engine_next_deadline(node->engines[0]));
	if (due <= now)
		return;
	ns = RTE_MIN(ns, due - now);
	if (alone)
		nap(node, 0, ns);
	else
		nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/*
 * One lcore for all: whether control can wait. Whoever waits for a frame looks for it more often then,
 * which a single round trip gains by. What control waits for comes by frames, so it has its turn after
 * each of them, while the answer is on its way; and under load always, as bursts grow in that time.
 */
static bool
control_waits(const struct node *node, bool any, uint64_t now)
{
	uint64_t latest = atomic_load_explicit(&node->control_ns, memory_order_relaxed);

	return !any && now - latest < CONTROL_NS && node->lcores[0].latest_burst < LOADED_BURST;
}

/* The control core until the node has left; alone: it moves the packets too. */
static void
control_main(struct node *node, bool alone)
{
	uint64_t busy_ns = 0, leave_ns = 0, turns = 0;

	if (alone)
		port_gate_enter(&node->gate, 0);
	for (;;) {
		uint64_t now = node_clock_now(&node->clock);
		bool any = alone && data_turn(node, 0, now);

		if (alone && control_waits(node, any, now))
			continue;
		atomic_store_explicit(&node->control_ns, now, memory_order_relaxed);
		atomic_store_explicit(&node->control_turns, ++turns, memory_order_relaxed);
		any |= control_turn(node, now);
		if (leave_ns == 0 && (node->leaving || node_interrupted())) {
			NODE_LOG(INFO, "leaving");
			leave_ns = now;
			notify_leaving(&node->notify);
			ccm_stop(node->ccm, now);
		}
		if (leave_ns != 0 &&
			(ccm_stopped(node->ccm) || now - leave_ns > LEAVE_NS || node->hooks.bare))
			break;
		if (any)
			busy_ns = now;
		else if (node->cfg.idle_sleep_us != 0 && now - busy_ns > IDLE_NS)
			idle(node, alone, now);
	}
	if (alone)
		port_gate_leave(&node->gate, 0);
}

static void
log_start(const struct node *node)
{
	struct remu_port_info info;
	char summary[NODE_CONFIG_SUMMARY_LEN];

	remu_port_info(node->port, &info);
	node_config_summary(&node->cfg, summary, sizeof(summary));
	NODE_LOG(INFO, "%s", summary);
	NODE_LOG(INFO, "device %s (%s), IP MTU %u, path MTU %u, %u data lcore%s%s", info.name,
		info.driver, info.mtu, node->cfg.ccm.path_mtu, node->n_engines,
		node->n_engines == 1 ? "" : "s",
		rte_lcore_count() == 1 ? ", shared with control" : "");
	if (!info.mac_set)
		NODE_LOG(INFO, "the device does not filter on our MAC address%s",
			info.promiscuous ? ": promiscuous" : "");
	NODE_LOG(INFO, "steering %s%s%s%s%s", node_steerings[info.steering],
		info.match[0] != '\0' ? " by " : "", info.match, info.why[0] != '\0' ? "; " : "",
		info.why);
}

static void
run_once(struct node *node)
{
	bool alone = rte_lcore_count() == 1;

	node->again = false;
	node->leaving = false;
	atomic_store(&node->stop_data, false);
	if (!alone)
		rte_eal_mp_remote_launch(data_main, node, SKIP_MAIN);
	control_main(node, alone);
	atomic_store(&node->stop_data, true);
	rte_eal_mp_wait_lcore();
}

/* The port's users and what they use: nothing runs. */
static void
drop_manager(struct node *node)
{
	ccm_destroy(node->ccm);
	node->ccm = NULL;
	exercise_destroy(node->exerciser);
	node->exerciser = NULL;
	target_destroy(node->target);
	node->target = NULL;
	for (uint32_t i = 0; i < node->n_engines; i++) {
		data_lcore_fini(&node->lcores[i]);
		remu_engine_destroy(node->engines[i]);
		node->engines[i] = NULL;
	}
	if (node->memory != NULL)
		munmap(node->memory, node->memory_size);
	node->memory = NULL;
}

int
node_open(struct node *node)
{
	app_node = node;
	set_log_level(node);
	if (open_port(node) != 0)
		return -1;
	if (port_gate_init(&node->gate, node->n_engines, !remu_port_is_memif(node->port)) != 0)
		return fail(node, "lcores", ENOMEM);
	if (create_engines(node) != 0 || create_capture(node) != 0 || create_manager(node) != 0 ||
		start_telemetry(node) != 0 || start_notify(node) != 0)
		return -1;
	return 0;
}

void
node_run(struct node *node)
{
	node->ran = true;
	port_watch_init(&node->watch, node->port, &node->gate);
	memif_guard_arm(&node->gate);
	log_start(node);
	run_once(node);
	while (node->again && !node_interrupted()) {
		drop_manager(node);
		usleep(node->pause_us);
		if (create_engines(node) != 0 || create_manager(node) != 0)
			break;
		run_once(node);
	}
}

void
node_leave(struct node *node)
{
	node->leaving = true;
}

void
node_again(struct node *node)
{
	node->again = true;
	node->leaving = true;
}

bool
node_close(struct node *node)
{
	bool clean = true;

	node_telemetry_stop();
	if (node->telemetry)
		node_reload_stop(&node->reload);
	notify_stop(&node->notify);
	capture_destroy(node->capture);
	if (node->ran)
		clean = port_watch_close_port(&node->watch) && !node->watch.memif;
	else
		remu_port_close(node->port);
	memif_guard_arm(NULL);
	drop_manager(node);
	return clean;
}
