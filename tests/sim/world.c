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
	ARENA = 1024 * 1024,
	ARENA_PER_PEER = 256 * 1024,
	FEW_PEERS = 4,		 /* memory is made for so many at once */
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
sim_world_new(uint32_t attempts_max)
{
	struct sim_world *w = allocate(sizeof(*w));

	w->attempts_max = attempts_max;
	w->attempts = allocate(attempts_max * sizeof(*w->attempts));
	w->attempt_of = allocate(2 * (size_t)attempts_max * sizeof(*w->attempt_of));
	w->records[0] = allocate(SIM_RECORDS * sizeof(*w->records[0]));
	w->records[1] = allocate(SIM_RECORDS * sizeof(*w->records[1]));

	w->pool = rte_pktmbuf_pool_create("sim", MBUFS, MBUF_CACHE, 0,
		RTE_PKTMBUF_HEADROOM + SIM_FRAME_MAX + 64, SOCKET_ID_ANY);
	if (w->pool == NULL)
		sim_fail(NULL, "no memory for mbufs");
	link_pool_init(&w->frames, allocate(link_pool_size(FRAMES, SIM_FRAME_MAX)), FRAMES,
		SIM_FRAME_MAX);
	for (uint32_t i = 0; i < SIM_NODES; i++) {
		w->nodes[i].index = i;
		w->nodes[i].world = w;
	}
	sim_trace_current(w);
	return w;
}

/* Memory of a node: what it had, or more. */
static void
make_room(struct sim_node *n)
{
	uint32_t room = RTE_MAX(n->n_peers, (uint32_t)FEW_PEERS);

	if (room <= n->peers_room)
		return;
	free(n->peers);
	free(n->memory);
	n->peers = allocate(room * sizeof(*n->peers));
	n->memory_size = room * (size_t)(CCM_PEER_SIZE + PORT_MEMORY);
	n->memory_dirty = 0;
	n->memory = allocate(n->memory_size);
	sim_arena_init(&n->arena, ARENA + room * (size_t)ARENA_PER_PEER);
	n->peers_room = room;
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

static bool
are_partners(const struct sim_world *w, uint32_t a, uint32_t b)
{
	return a != b && (w->shape == SIM_MESH || a == 0 || b == 0);
}

static void
open_way(struct sim_world *w, uint32_t from, uint32_t to)
{
	const struct link_config quiet = {.delay_ns = w->delay_ns};
	struct sim_node *n = &w->nodes[to];
	struct sim_way *way = w->ways[from][to];

	if (way == NULL)
		way = w->ways[from][to] = allocate(sizeof(*way));
	n->in[n->n_in++] = way;
	way->to = n;
	way->open = true;
	way->stormy = false;
	way->smooth_since = w->now;
	way->n_captured = way->n_port_captured = way->n_records = 0;
	way->has_record = false;
	link_init(&way->link, &w->frames, sim_random(w), &quiet);
}

/* Who is a partner of this node. */
static void
introduce(struct sim_world *w, struct sim_node *n)
{
	n->n_peers = 0;
	for (uint32_t i = 0; i < w->n_nodes; i++)
		n->n_peers += are_partners(w, n->index, i);
	if (w->shape == SIM_RIVALS)
		n->n_peers = 1;
	make_room(n);
	for (uint32_t i = 0, p = 0; i < w->n_nodes; i++) {
		if (!are_partners(w, n->index, i))
			continue;
		n->peer_of_node[i] = (uint8_t)RTE_MIN(p, n->n_peers - 1);
		if (p == n->n_peers)
			continue;
		n->peers[p].other = n->peers[p].place = (uint8_t)i;
		n->peers[p].id = (uint16_t)(i + 1);
		n->peer_of_id[i + 1] = (uint8_t)p++;
	}
}

void
sim_world_reset(struct sim_world *w, uint64_t seed, enum sim_shape shape, uint32_t n_nodes,
	uint64_t delay_ns)
{

	w->seed = seed;
	w->rng = seed * 0x9e3779b97f4a7c15 + 1;
	w->now = start_of_time;
	w->n_events = w->n_packets = w->hash = 0;
	w->n_nodes = n_nodes;
	w->shape = shape;
	w->wiring = SIM_WIRING_HUB;
	w->learned = 0;
	w->delay_ns = delay_ns;
	w->exact = w->fast = w->faulty = w->settled = false;
	w->mangle = NULL;
	w->tape.on = false;
	w->starving = false;
	w->hushed = w->forgetful = w->keep_config = false;
	w->rates = (struct sim_rates){0};
	w->stop_at = SIM_NEVER;
	w->late_copies = false;
	w->n_plans = w->n_lost = w->n_attempts = w->n_records = 0;
	w->epoch++;
	for (uint32_t i = 0; i < n_nodes; i++) {
		w->nodes[i].incarnation = 0;
		w->nodes[i].n_boot = 0;
		w->nodes[i].taken_qps = w->nodes[i].taken_mrs = 0;
		w->nodes[i].n_in = 0;
		w->nodes[i].arrival_known = false;
		w->nodes[i].place = shape == SIM_RIVALS && i != 0 ? 1 : i;
		introduce(w, &w->nodes[i]);
	}
	for (uint32_t i = 0; i < n_nodes; i++)
		for (uint32_t j = 0; j < n_nodes; j++)
			if (are_partners(w, i, j))
				open_way(w, i, j);
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
			struct sim_way *way = w->ways[i][j];

			if (way == NULL || !way->open)
				continue;
			way->open = false;
			sim_mix(w, link_trace_hash(&way->link));
			link_close(&way->link);
		}
	}
	SIM_CHECK(w, w->frames.n_free == w->frames.n_frames, "%u frames of the links are missing",
		w->frames.n_frames - w->frames.n_free);
	SIM_CHECK(w, w->fast || rte_mempool_in_use_count(w->pool) == 0, "%u mbufs are missing",
		rte_mempool_in_use_count(w->pool));
}

/* Anything but a fixed delay is rough. */
static int
set_link(const struct sim_world *w, struct sim_way *way, const struct link_config *cfg)
{
	struct link_config smooth = {.delay_ns = cfg->delay_ns};

	way->stormy = memcmp(&smooth, cfg, sizeof(smooth)) != 0;
	sim_truth_rough(way);
	return link_config(&way->link, cfg, w->now);
}

void
sim_world_set_links(struct sim_world *w, const struct link_config *cfg)
{
	for (uint32_t i = 0; i < w->n_nodes; i++)
		for (uint32_t j = 0; j < w->nodes[i].n_in; j++)
			if (set_link(w, w->nodes[i].in[j], cfg) != 0)
				sim_fail(w, "the link does not take its configuration");
}

static uint32_t
receiver(const uint8_t *frame)
{
	return frame[5] - 1u; /* MAC addresses end in the place's number */
}

static bool
marked(const struct sim_world *w, uint64_t packet)
{
	for (uint32_t i = 0; i < w->n_lost; i++)
		if (w->lost[i] == packet)
			return true;
	return false;
}

/* Put a frame on its way to one node. */
static void
send_to(struct sim_world *w, uint32_t from, uint32_t to, const uint8_t *frame, uint32_t len,
	const struct roce_packet *pkt)
{
	uint8_t copy[SIM_FRAME_MAX];

	if (!w->exact) {
		memcpy(copy, frame, len);
		sim_faults_on_send(w, from, to, copy, len, pkt);
		frame = copy;
	}
	link_send(&w->ways[from][to]->link, frame, len, w->now);
	w->nodes[to].arrival_known = false;
}

/* Records as another program would send them. */
static void
mangle(struct sim_world *w, const struct sim_node *from, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	struct roce_packet pkt;

	if (w->mangle == NULL || from->index != w->mangler ||
		roce_decode(frame, m->data_len, &pkt) != REMU_DROP_NONE ||
		!sim_is_bootstrap(from, &pkt) || pkt.payload_len != CCM_RECORD_SIZE)
		return;
	w->mangle(w, frame + (m->data_len - ROCE_ICRC_LEN - CCM_RECORD_SIZE));
	sim_seal(frame, m->data_len);
}

static void
record(struct sim_world *w, uint32_t to, const uint8_t *frame, uint32_t len)
{
	struct sim_tape *tape = &w->tape;

	if (!tape->on || tape->n == tape->max)
		return;
	tape->frames[tape->n].at = w->now;
	tape->frames[tape->n].to = (uint8_t)to;
	tape->frames[tape->n].frame.len = len;
	memcpy(tape->frames[tape->n++].frame.data, frame, len);
}

void
sim_world_send(struct sim_world *w, struct sim_node *from, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t to = receiver(frame), len = m->data_len;
	uint64_t number = w->n_packets++;
	struct roce_packet pkt;

	SIM_CHECK(w, m->nb_segs == 1 && len <= SIM_FRAME_MAX && are_partners(w, from->index, to),
		"node %u sends a frame of %u bytes to node %u", from->index, len, to);
	mangle(w, from, m);
	if (w->pcap != NULL)
		pcap_writer_add(w->pcap, frame, len, w->now);
	record(w, to, frame, len);
	if (marked(w, number)) {
		sim_log(w, "packet %lu is lost", (unsigned long)number);
		sim_truth_rough(w->ways[from->index][to]);
		return;
	}
	if (!w->fast) {
		SIM_CHECK(w, roce_decode(frame, len, &pkt) == REMU_DROP_NONE,
			"node %u sends a frame that is none", from->index);
		sim_oracle_on_send(w, from, to, &pkt);
	}
	if (w->exact && frame[ROCE_L2L4_LEN] == ROCE_READ_REQUEST) {
		struct sim_peer *peer = &from->peers[sim_peer_index(from, to)];

		if (peer->first_read_at == 0)
			peer->first_read_at = w->now;
	}
	if (w->shape != SIM_RIVALS || from->index != 0) {
		w->learned = from->index;
		send_to(w, from->index, to, frame, len, &pkt);
		return;
	}
	for (uint32_t i = 1; i < w->n_nodes; i++)
		if (w->wiring == SIM_WIRING_HUB || w->learned == 0 || w->learned == i)
			send_to(w, 0, i, frame, len, &pkt);
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
		SIM_CHECK(w, m != NULL || w->starving, "no mbuf for a frame that arrives");
		if (m == NULL) {
			link_recv(link, lost, sizeof(lost), w->now);
			continue;
		}
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
next_arrival(struct sim_node *n)
{
	if (!n->arrival_known) {
		n->arrival_known = true;
		n->arrival = SIM_NEVER;
		for (uint32_t j = 0; j < n->n_in; j++)
			n->arrival = RTE_MIN(n->arrival, link_next(&n->in[j]->link));
	}
	return n->arrival;
}

static uint64_t
next_event(struct sim_world *w)
{
	uint64_t at = sim_faults_next(w);

	for (uint32_t i = 0; i < w->n_nodes; i++) {
		struct sim_node *n = &w->nodes[i];

		at = RTE_MIN(at, next_arrival(n));
		if (n->running)
			at = RTE_MIN(at, sim_node_next(n));
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

		for (uint32_t j = 0; j < n->n_in && next_arrival(n) <= w->now; j++)
			if (link_next(&n->in[j]->link) <= w->now) {
				n->arrival_known = false;
				deliver(w, &n->in[j]->link, n);
			}
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
