/* SPDX-License-Identifier: BSD-3-Clause */
/* Time, the links, and what happens next. */
#include "sim.h"

#include "pcap.h"

#include <rte_eal.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
	FRAMES = 16384, /* on their way in all links together */
	MBUFS = 4095,
	MBUF_CACHE = 128,
	ARENA = 2 * 1024 * 1024,
	PORT_MEMORY = 12 * 4096, /* of all clients towards one partner at most */
};

static const uint64_t start_of_time = 1000 * SIM_MS;

int
sim_eal_start(void)
{
	char lcores[32];
	char *argv[] = {(char *)"sim", (char *)"--no-huge", (char *)"--no-pci",
		(char *)"--no-shconf", (char *)"--no-telemetry", (char *)"-m", (char *)"64",
		(char *)"--log-level=4", (char *)"--lcores", lcores};
	cpu_set_t cpus;
	int first = 0;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return -1;
	while (!CPU_ISSET(first, &cpus))
		first++;
	snprintf(lcores, sizeof(lcores), "0@%d", first);
	if (rte_eal_init((int)RTE_DIM(argv), argv) < 0)
		return -1;
	/* Not pinned: others run beside us. */
	return sched_setaffinity(0, sizeof(cpus), &cpus);
}

static void *
allocate(size_t size)
{
	void *p;

	if (posix_memalign(&p, 4096, size) != 0)
		sim_fail(NULL, "no memory");
	memset(p, 0, size);
	return p;
}

struct sim_world *
sim_world_new(void)
{
	struct sim_world *w = allocate(sizeof(*w));

	w->pool = rte_pktmbuf_pool_create("sim", MBUFS, MBUF_CACHE, 0,
		RTE_PKTMBUF_HEADROOM + SIM_FRAME_MAX + 64, SOCKET_ID_ANY);
	if (w->pool == NULL)
		sim_fail(NULL, "no memory for mbufs");
	link_pool_init(&w->frames, allocate(link_pool_size(FRAMES, SIM_FRAME_MAX)), FRAMES,
		SIM_FRAME_MAX);
	for (uint32_t i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &w->nodes[i];

		n->index = i;
		n->world = w;
		n->memory_size = SIM_PEERS * (CCM_PEER_SIZE + PORT_MEMORY);
		n->memory = allocate(n->memory_size);
		sim_arena_init(&n->arena, ARENA);
	}
	sim_trace_current(w);
	return w;
}

uint64_t
sim_random(struct sim_world *w)
{
	uint64_t z = w->rng += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t
sim_below(struct sim_world *w, uint64_t n)
{
	return n == 0 ? 0 : (uint64_t)((unsigned __int128)sim_random(w) * n >> 64);
}

bool
sim_chance(struct sim_world *w, uint32_t ppm)
{
	return ppm != 0 && sim_below(w, LINK_PPM) < ppm;
}

void
sim_world_reset(struct sim_world *w, uint64_t seed, uint32_t n_nodes, uint64_t delay_ns)
{
	const struct link_config quiet = {.delay_ns = delay_ns};

	w->seed = seed;
	w->rng = seed * 0x9e3779b97f4a7c15 + 1;
	w->now = start_of_time;
	w->n_events = w->n_packets = w->hash = 0;
	w->n_nodes = n_nodes;
	w->delay_ns = delay_ns;
	w->exact = w->fast = w->faulty = w->settled = false;
	w->rates = (struct sim_rates){0};
	w->stop_at = SIM_NEVER;
	w->late_copies = false;
	w->n_plans = w->n_lost = w->n_attempts = w->n_records = 0;
	w->epoch++;
	for (uint32_t i = 0; i < n_nodes; i++) {
		w->nodes[i].incarnation = 0;
		w->nodes[i].n_peers = n_nodes - 1;
		for (uint32_t j = 0; j < n_nodes; j++) {
			struct sim_way *way = &w->ways[i][j];

			if (i == j)
				continue;
			way->n_captured = way->n_port_captured = way->n_records = 0;
			way->has_record = false;
			link_init(&way->link, &w->frames, sim_random(w), &quiet);
		}
	}
}

void
sim_world_end(struct sim_world *w)
{
	w->counts.nanoseconds += w->now - start_of_time;
	w->counts.events += w->n_events;
	w->counts.frames += w->n_packets;
	w->counts.attempts += w->n_attempts;
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		if (w->nodes[i].running)
			sim_node_crash(w, &w->nodes[i]);
		for (uint32_t j = 0; j < w->n_nodes; j++) {
			if (i == j)
				continue;
			sim_mix(w, link_trace_hash(&w->ways[i][j].link));
			link_close(&w->ways[i][j].link);
		}
	}
	SIM_CHECK(w, w->frames.n_free == w->frames.n_frames, "%u frames of the links are missing",
		w->frames.n_frames - w->frames.n_free);
	SIM_CHECK(w, w->fast || rte_mempool_in_use_count(w->pool) == 0, "%u mbufs are missing",
		rte_mempool_in_use_count(w->pool));
}

void
sim_world_set_links(struct sim_world *w, const struct link_config *cfg)
{
	for (uint32_t i = 0; i < w->n_nodes; i++)
		for (uint32_t j = 0; j < w->n_nodes; j++)
			if (i != j && link_config(&w->ways[i][j].link, cfg, w->now) != 0)
				sim_fail(w, "the link does not take its configuration");
}

static uint32_t
receiver(const uint8_t *frame)
{
	return frame[5] - 1u; /* MAC addresses end in the node's id */
}

static bool
marked(const struct sim_world *w, uint64_t packet)
{
	for (uint32_t i = 0; i < w->n_lost; i++)
		if (w->lost[i] == packet)
			return true;
	return false;
}

void
sim_world_send(struct sim_world *w, struct sim_node *from, const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t to = receiver(frame), len = m->data_len;
	uint64_t number = w->n_packets++;
	uint8_t copy[SIM_FRAME_MAX];
	struct roce_packet pkt;

	SIM_CHECK(w, m->nb_segs == 1 && len <= SIM_FRAME_MAX && to < w->n_nodes,
		"node %u sends a frame of %u bytes to node %u", from->index, len, to);
	if (w->pcap != NULL)
		pcap_writer_add(w->pcap, frame, len, w->now);
	if (marked(w, number)) {
		sim_log(w, "packet %lu is lost", (unsigned long)number);
		return;
	}
	if (!w->fast) {
		SIM_CHECK(w, roce_decode(frame, len, &pkt) == REMU_DROP_NONE,
			"node %u sends a frame that is none", from->index);
		sim_oracle_on_send(w, &pkt);
	}
	if (!w->exact) {
		memcpy(copy, frame, len);
		sim_faults_on_send(w, from->index, to, copy, len, &pkt);
		frame = copy;
	} else if (frame[ROCE_L2L4_LEN] == ROCE_READ_REQUEST) {
		struct sim_peer *peer = &from->peers[sim_peer_index(from, to)];

		if (peer->first_read_at == 0)
			peer->first_read_at = w->now;
	}
	link_send(&w->ways[from->index][to].link, frame, len, w->now);
}

/* Frames of one direction that are due. */
static void
deliver(struct sim_world *w, struct link *link, struct sim_node *to)
{
	uint8_t lost[SIM_FRAME_MAX];
	struct rte_mbuf *m;
	uint32_t len;

	if (!to->running) {
		while (link_recv(link, lost, sizeof(lost), w->now) != 0)
			w->n_events++;
		return;
	}
	while (link_next(link) <= w->now && to->running) {
		m = rte_pktmbuf_alloc(w->pool);
		SIM_CHECK(w, m != NULL, "no mbuf for a frame that arrives");
		len = link_recv(link, rte_pktmbuf_mtod(m, void *), SIM_FRAME_MAX, w->now);
		if (len == 0) {
			rte_pktmbuf_free(m);
			return;
		}
		w->n_events++;
		m->data_len = (uint16_t)len;
		m->pkt_len = len;
		sim_node_receive(w, to, m);
		sim_node_turn(w, to);
		if (w->n_events == w->stop_at)
			return;
	}
}

static uint64_t
next_event(const struct sim_world *w)
{
	uint64_t at = sim_faults_next(w);

	for (uint32_t i = 0; i < w->n_nodes; i++) {
		if (w->nodes[i].running)
			at = RTE_MIN(at, sim_node_next(&w->nodes[i]));
		for (uint32_t j = 0; j < w->n_nodes; j++)
			if (i != j)
				at = RTE_MIN(at, link_next(&w->ways[i][j].link));
	}
	return at;
}

void
sim_world_step(struct sim_world *w, uint64_t end)
{
	uint64_t at = next_event(w);

	if (at >= end) {
		w->now = end;
		return;
	}
	w->now = RTE_MAX(at, w->now);
	if (sim_faults_next(w) <= w->now)
		sim_faults_due(w);
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		struct sim_node *n = &w->nodes[i];

		for (uint32_t j = 0; j < w->n_nodes; j++)
			if (i != j && link_next(&w->ways[j][i].link) <= w->now)
				deliver(w, &w->ways[j][i].link, n);
		if (w->n_events == w->stop_at)
			return;
		if (n->running && sim_node_next(n) <= w->now) {
			w->n_events++;
			sim_node_turn(w, n);
		}
		if (w->n_events == w->stop_at)
			return;
	}
}

void
sim_world_run(struct sim_world *w, uint64_t ns)
{
	for (uint64_t end = w->now + ns; w->now < end;)
		sim_world_step(w, end);
}
