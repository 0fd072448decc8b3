/* SPDX-License-Identifier: BSD-3-Clause */
/* A node: boot, crash, and the turns of its two cores. */
#include "sim.h"

#include <string.h>

enum {
	BURST = 32,
	MAX_TURNS = 4096, /* at one instant: more is a loop without end */
	SQ_DEPTH = 16,
	LOOK_AGAIN_NS = 1000,
	POLL_ANYWAY = LINK_PPM / 4, /* turns of the control core without news, of frames received */
};

void
sim_node_default(struct sim_node_config *cfg)
{
	*cfg = (struct sim_node_config){
		.version_min = 1,
		.version_max = 1,
		.path_mtu = 1024,
		.n_clients = 1,
		.clients = {{.name = "nvlog", .ports = 2, .memory = 2 * CCM_PORT_MEMORY_MIN}},
		.timing = {.beat_us = 1000,
			.dead_after_us = 10000,
			.retry_us = 200,
			.retry_cnt = 3,
			.search_us = 100000},
		.window = 64,
		.channel_depth = 32,
	};
}

/* Own time of a node. */
uint64_t
sim_node_local(const struct sim_node *n, uint64_t now)
{
	uint64_t passed = now - n->start_world;

	if (n->cfg.clock_ppm == 0)
		return n->start_local + passed;
	return n->start_local + passed + (uint64_t)((int64_t)passed * n->cfg.clock_ppm / LINK_PPM);
}

/* First moment of the world at which a node's own time is not before `local`. */
uint64_t
sim_node_world_time(const struct sim_node *n, uint64_t local)
{
	uint64_t passed, at;

	if (local <= n->start_local)
		return n->start_world;
	passed = local - n->start_local;
	if (passed > UINT64_C(1) << 50)
		return SIM_NEVER;
	if (n->cfg.clock_ppm == 0)
		return n->start_world + passed;
	at = n->start_world + passed * LINK_PPM / (uint64_t)(LINK_PPM + n->cfg.clock_ppm);
	while (sim_node_local(n, at) < local)
		at++;
	return at;
}

static uint64_t
rand64(void *ctx)
{
	return sim_random(((struct sim_node *)ctx)->world);
}

static void
make_engine(struct sim_world *w, struct sim_node *n)
{
	struct remu_engine_config cfg = {
		.pool = w->pool,
		.mac = {2, 0, 0, 0, 0, (uint8_t)(n->place + 1)},
		.gid = roce_gid_ipv4(0xc0000200u + n->place + 1),
		.n_engines = 1,
		.sq_depth = SQ_DEPTH,
		.window = n->cfg.window,
		.socket_id = -1,
	};
	uint32_t ports = 0;

	for (uint32_t i = 0; i < n->cfg.n_clients; i++)
		ports += n->cfg.clients[i].ports;
	cfg.max_qps = n->n_peers * (1 + ports);
	cfg.max_mrs = n->n_peers * (CCM_REGION_KEYS + ports);
	if (remu_engine_create(&cfg, &n->engine) != 0 ||
		remu_channel_create(n->engine, n->cfg.channel_depth, &n->channel) != 0)
		sim_fail(w, "the engine of node %u cannot be created", n->index);
}

static struct ccm_config
manager_config(const struct sim_node *n)
{
	struct ccm_config cfg = {
		.node_id = n->cfg.id != 0 ? n->cfg.id : (uint16_t)(n->index + 1),
		.role = n->index & 1 ? CCM_ROLE_APPLICATION : CCM_ROLE_STORAGE,
		.name = "node",
		.path_mtu = n->cfg.path_mtu,
		.version_min = n->cfg.version_min,
		.version_max = n->cfg.version_max,
		.features = n->cfg.features,
		.va = SIM_VA,
		.rkey = 0xc0de0001,
		.timing = n->cfg.timing,
		.n_partners = n->n_peers,
	};

	snprintf(cfg.cluster, sizeof(cfg.cluster), "%s", n->cfg.foreign ? "other" : "lab");
	for (uint32_t p = 0; p < n->n_peers; p++) {
		uint32_t place = n->peers[p].place;

		cfg.partners[p] = (struct ccm_partner_config){
			.id = n->peers[p].id,
			.mac = {2, 0, 0, 0, 0, (uint8_t)(place + 1)},
			.ip = 0xc0000200u + place + 1,
			.qpn = SIM_QPN + place,
			.remote_qpn = SIM_QPN + n->place,
			.va = SIM_VA,
			.rkey = 0xc0de0001,
		};
	}
	return cfg;
}

static void
make_manager(struct sim_world *w, struct sim_node *n)
{
	struct ccm_config cfg = manager_config(n);
	struct ccm_client *handle;
	struct ccm_env env = {
		.rand64 = rand64,
		.event = sim_oracle_on_event,
		.ctx = n,
		.channels = {n->channel},
		.n_engines = 1,
		.memory = n->memory,
		.memory_size = ccm_memory_size(&cfg, n->cfg.clients, n->cfg.n_clients),
	};

	SIM_CHECK(w, env.memory_size <= n->memory_size, "node %u has too little memory", n->index);
	memset(n->memory, 0, n->memory_dirty);
	n->memory_dirty = env.memory_size;
	if (ccm_create(&cfg, &env, &n->ccm) != 0)
		sim_fail(w, "the manager of node %u cannot be created", n->index);
	for (uint32_t i = 0; i < n->cfg.n_clients; i++)
		if (ccm_client_register(n->ccm, &n->cfg.clients[i], sim_traffic_on_client, n,
			    &handle) != 0)
			sim_fail(w, "a client of node %u cannot be registered", n->index);
}

void
sim_node_boot(struct sim_world *w, struct sim_node *n, const struct sim_node_config *cfg)
{
	SIM_CHECK(w, !n->running, "node %u runs already", n->index);
	n->cfg = *cfg;
	n->running = true;
	n->stopping = false;
	n->incarnation++;
	n->n_waiting = 0;
	n->data_pause = n->control_pause = 0;
	n->start_world = w->now;
	n->start_local = w->exact ? w->now : SIM_MS + sim_below(w, UINT64_C(1) << 44);
	n->data_at = SIM_NEVER;
	n->control_at = w->now;
	sim_arena_reset(&n->arena);
	sim_memory_use(&n->arena);
	make_engine(w, n);
	make_manager(w, n);
	sim_memory_use(NULL);
	sim_log(w,
		"node %u starts: versions %u-%u, mtu %u, beat %u us, dead after %u us, window %u, "
		"channel %u, clock %+d ppm%s",
		n->index, cfg->version_min, cfg->version_max, cfg->path_mtu, cfg->timing.beat_us,
		cfg->timing.dead_after_us, cfg->window, cfg->channel_depth, cfg->clock_ppm,
		cfg->foreign ? ", other cluster" : "");
	sim_mix(w, n->index + 1);
	sim_oracle_boot(w, n);
	sim_boot_start(w, n);
}

void
sim_node_crash(struct sim_world *w, struct sim_node *n)
{
	SIM_CHECK(w, n->running, "node %u does not run", n->index);
	sim_log(w, "node %u is dead", n->index);
	sim_mix(w, 0x100 + n->index);
	sim_oracle_crash(w, n);
	sim_traffic_forget(n);
	for (uint32_t i = 0; i < n->n_waiting; i++)
		rte_pktmbuf_free(n->waiting[i]);
	sim_memory_use(&n->arena);
	ccm_destroy(n->ccm);
	remu_engine_destroy(n->engine);
	sim_memory_use(NULL);
	SIM_CHECK(w, n->arena.live == 0, "node %u leaves %u pieces of memory behind", n->index,
		n->arena.live);
	n->running = false;
	n->ccm = NULL;
	n->engine = NULL;
}

static void
wake(uint64_t *at, uint64_t when)
{
	if (when < *at)
		*at = when;
}

static uint64_t
lag(struct sim_world *w, uint32_t at_most)
{
	return w->now + (at_most != 0 ? sim_below(w, at_most + 1) : 0);
}

/* What the control core has done to the engine. */
static void
after_control(struct sim_world *w, struct sim_node *n)
{
	if (rte_ring_count(n->channel->down) != 0)
		wake(&n->data_at, lag(w, n->cfg.data_lag_ns));
}

/* Bring the control core up to date. Returns false when it stands still: nobody can tell it. */
static bool
has_control(struct sim_world *w, struct sim_node *n)
{
	if (w->now < n->control_pause)
		return false;
	wake(&n->control_at, w->now);
	sim_node_turn(w, n);
	return true;
}

void
sim_node_stop(struct sim_world *w, struct sim_node *n)
{
	if (!n->running || n->stopping || !has_control(w, n))
		return;
	n->stopping = true;
	sim_truth_gone(n);
	sim_log(w, "node %u stops", n->index);
	ccm_stop(n->ccm, sim_node_local(n, w->now));
	sim_oracle_after_control(w, n, sim_node_local(n, w->now));
	after_control(w, n);
	wake(&n->control_at, w->now);
	sim_node_turn(w, n);
}

void
sim_node_link_report(struct sim_world *w, struct sim_node *n, bool up)
{
	if (!n->running || !has_control(w, n))
		return;
	sim_log(w, "node %u: link %s", n->index, up ? "up" : "down");
	n->report_at = w->now;
	n->link_down = !up;
	n->ccm->now_ns = sim_node_local(n, w->now);
	ccm_link_report(n->ccm, up);
	sim_oracle_after_control(w, n, sim_node_local(n, w->now));
	after_control(w, n);
	wake(&n->control_at, w->now);
	sim_node_turn(w, n);
}

static void
receive(struct sim_world *w, struct sim_node *n, struct rte_mbuf *m)
{
	struct sim_arrival arrival;
	uint64_t writes = n->engine->stats.writes_executed;

	if (!w->fast)
		sim_oracle_before_frame(n, m, &arrival);
	remu_engine_rx(n->engine, &m, 1, sim_node_local(n, w->now));
	if (!w->fast)
		sim_oracle_after_frame(w, n, &arrival);
	n->data_at = w->now;
	if (n->engine->stats.writes_executed != writes || (!w->exact && sim_chance(w, POLL_ANYWAY)))
		wake(&n->control_at, lag(w, n->cfg.control_lag_ns));
}

void
sim_node_receive(struct sim_world *w, struct sim_node *n, struct rte_mbuf *m)
{
	if (w->now >= n->data_pause) {
		receive(w, n, m);
		return;
	}
	/* The NIC's ring takes some; then they are lost. */
	if (n->n_waiting < SIM_RX_RING)
		n->waiting[n->n_waiting++] = m;
	else
		rte_pktmbuf_free(m);
}

static void
data_turn(struct sim_world *w, struct sim_node *n)
{
	uint64_t local = sim_node_local(n, w->now), deadline;
	struct rte_mbuf *pkts[BURST];
	uint16_t made;

	for (uint32_t i = 0; i < n->n_waiting; i++)
		receive(w, n, n->waiting[i]);
	n->n_waiting = 0;
	n->data_at = SIM_NEVER;
	remu_engine_poll(n->engine, local);
	while ((made = remu_engine_tx(n->engine, pkts, BURST, local)) != 0)
		for (uint16_t i = 0; i < made; i++) {
			sim_world_send(w, n, pkts[i]);
			rte_pktmbuf_free(pkts[i]);
		}
	if (!w->fast)
		sim_oracle_after_data(w, n);
	if (rte_ring_count(n->channel->up) != 0)
		wake(&n->control_at, lag(w, n->cfg.control_lag_ns));
	if (rte_ring_count(n->channel->down) != 0)
		wake(&n->data_at, w->now);
	deadline = remu_engine_next_deadline(n->engine);
	if (deadline != UINT64_MAX)
		wake(&n->data_at, sim_node_world_time(n, deadline));
}

static void
control_turn(struct sim_world *w, struct sim_node *n)
{
	uint64_t local = sim_node_local(n, w->now), next;

	n->control_at = SIM_NEVER;
	if (n->boot_next <= local)
		sim_boot_turn(w, n, local);
	sim_oracle_before_control(w, n, local);
	ccm_poll(n->ccm, local);
	if (!w->fast)
		sim_traffic_turn(w, n);
	sim_oracle_after_control(w, n, local);
	after_control(w, n);
	next = ccm_next_deadline(n->ccm);
	/* What is due and cannot be done yet waits for the channel: look again soon. */
	if (next != UINT64_MAX) {
		next = sim_node_world_time(n, next);
		wake(&n->control_at, next > w->now ? next : w->now + LOOK_AGAIN_NS);
	}
	if (n->boot_next != SIM_NEVER)
		wake(&n->control_at, sim_node_world_time(n, n->boot_next));
	if (!w->fast)
		wake(&n->control_at, sim_traffic_next(n));
	if (rte_ring_count(n->channel->up) != 0)
		wake(&n->control_at, w->now);
}

uint64_t
sim_node_next(const struct sim_node *n)
{
	uint64_t data = n->n_waiting != 0 ? n->data_pause : RTE_MAX(n->data_at, n->data_pause);

	return RTE_MIN(data, RTE_MAX(n->control_at, n->control_pause));
}

void
sim_node_turn(struct sim_world *w, struct sim_node *n)
{
	uint32_t turns = 0;
	bool any = true;

	sim_memory_forbid(true);
	while (any && turns++ < MAX_TURNS) {
		any = false;
		if (w->now >= n->data_pause && (n->data_at <= w->now || n->n_waiting != 0)) {
			data_turn(w, n);
			any = true;
		}
		if (w->now >= n->control_pause && n->control_at <= w->now) {
			control_turn(w, n);
			any = true;
		}
	}
	sim_memory_forbid(false);
	SIM_CHECK(w, turns < MAX_TURNS, "node %u does not come to rest", n->index);
	if (n->stopping && ccm_stopped(n->ccm) && rte_ring_count(n->channel->down) == 0 &&
		rte_ring_count(n->channel->up) == 0 && n->channel->in_flight == 0)
		sim_oracle_check_stopped(w, n);
}

bool
sim_both_up(const struct sim_world *w, uint32_t a, uint32_t b)
{
	const struct sim_node *na = &w->nodes[a], *nb = &w->nodes[b];

	return na->running && nb->running && na->peers[sim_peer_index(na, b)].state == CCM_UP &&
		nb->peers[sim_peer_index(nb, a)].state == CCM_UP;
}
