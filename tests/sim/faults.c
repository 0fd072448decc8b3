/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes wrong. A seed first draws how its nodes are configured, which faults there are and how
 * strong; then they happen at random times until the faults end.
 *
 * Three faults stand for collisions that chance alone would never bring about: a WRITE of an earlier
 * life whose PSN happens to be the expected one, a READ that is answered with the answer to an
 * earlier READ, and damage that the ICRC does not show. The session must not rely on any of them
 * not happening.
 */
#include "sim.h"

#include "roce_bytes.h"
#include "roce_icrc.h"

#include <string.h>

enum {
	KEEP_WRITE = LINK_PPM / 8, /* of the frames, to be sent again later */
	KEEP_RECORD = LINK_PPM / 4,
	FAULTS_MAX = 12,
	SLOW_BEAT = 3,	   /* times */
	LATE_NS = 1000000, /* copies that come later than this are not known as copies any more */
};

const char *
sim_fault_name(enum sim_fault kind)
{
	static const char *const names[] = {
		[SIM_CRASH] = "crash",
		[SIM_STOP] = "stop",
		[SIM_PAUSE_CONTROL] = "control core stands still",
		[SIM_PAUSE_ALL] = "node stands still",
		[SIM_CUT_ONE] = "cut one way",
		[SIM_CUT_BOTH] = "cut both ways",
		[SIM_CLOG] = "frames are held up",
		[SIM_LINK_REPORT] = "link report",
		[SIM_WEATHER] = "weather",
		[SIM_STALE_WRITE] = "stale write",
		[SIM_STALE_PORT] = "stale port write",
		[SIM_START] = "start",
		[SIM_LINK_UP] = "link up",
		[SIM_HEAL] = "heal",
		[SIM_END_FAULTS] = "end of faults",
	};

	return names[kind];
}

void
sim_faults_add(struct sim_world *w, uint64_t at, enum sim_fault kind, uint32_t a, uint32_t b)
{
	SIM_CHECK(w, w->n_plans < SIM_PLANS, "too many faults at a time");
	w->plans[w->n_plans++] = (struct sim_plan){.at = at,
		.kind = (uint8_t)kind,
		.a = (uint8_t)a,
		.b = (uint8_t)b};
}

uint64_t
sim_faults_next(const struct sim_world *w)
{
	uint64_t at = SIM_NEVER;

	for (uint32_t i = 0; i < w->n_plans; i++)
		at = RTE_MIN(at, w->plans[i].at);
	return at;
}

void
sim_seal(uint8_t *frame, uint32_t len)
{
	uint8_t *l3 = frame + ROCE_ETH_LEN;
	uint32_t end = ROCE_IPV4_LEN + roce_load_be16(l3 + ROCE_IPV4_LEN + 4);

	if (end + ROCE_ETH_LEN <= len)
		roce_store_le32(l3 + end - ROCE_ICRC_LEN, roce_icrc(l3, end - ROCE_ICRC_LEN));
}

static void
keep(struct sim_captured *list, uint32_t *n, const uint8_t *frame, uint32_t len)
{
	struct sim_captured *c = &list[(*n)++ % SIM_CAPTURED];

	c->len = len;
	memcpy(c->data, frame, len);
}

/* What may be sent again later. */
static void
capture(struct sim_world *w, struct sim_way *way, bool bootstrap, const uint8_t *frame,
	uint32_t len, const struct roce_packet *pkt)
{
	if (pkt->f.opcode == ROCE_WRITE_ONLY && bootstrap && sim_chance(w, KEEP_WRITE))
		keep(way->captured, &way->n_captured, frame, len);
	else if (pkt->f.opcode == ROCE_WRITE_ONLY && !bootstrap && sim_chance(w, KEEP_WRITE))
		keep(way->port_captured, &way->n_port_captured, frame, len);
	else if (pkt->f.opcode == ROCE_READ_RESPONSE_ONLY && bootstrap &&
		pkt->payload_len == CCM_RECORD_SIZE && sim_chance(w, KEEP_RECORD))
		memcpy(way->records[way->n_records++ % SIM_CAPTURED], pkt->payload,
			CCM_RECORD_SIZE);
}

/* Turn one bit of the frame, from the BTH on, and make it valid again. */
static void
forge(struct sim_world *w, uint8_t *frame, uint32_t len)
{
	uint32_t from = ROCE_L2L4_LEN, to = len - ROCE_ICRC_LEN;
	uint64_t bit;

	if (to <= from)
		return;
	bit = sim_below(w, (uint64_t)(to - from) * 8);
	frame[from + bit / 8] ^= (uint8_t)(1 << bit % 8);
	sim_seal(frame, len);
	w->counts.forged++;
}

/* The first words of this record, the rest of the one before: torn. */
static void
splice(struct sim_world *w, struct sim_way *way, uint8_t *payload)
{
	uint32_t words = 1 + (uint32_t)sim_below(w, CCM_RECORD_SIZE / 8 - 1);

	memcpy(payload + words * 8, way->last_record + words * 8, CCM_RECORD_SIZE - words * 8);
	w->counts.spliced++;
}

void
sim_faults_on_send(struct sim_world *w, uint32_t from, uint32_t to, uint8_t *frame, uint32_t len,
	const struct roce_packet *pkt)
{
	struct sim_way *way = w->ways[from][to];
	uint8_t now[CCM_RECORD_SIZE];
	bool bootstrap = sim_is_bootstrap(&w->nodes[from], pkt);
	uint8_t *payload;
	bool record;

	capture(w, way, bootstrap, frame, len, pkt);
	if (!bootstrap)
		return;
	record = pkt->payload_len == CCM_RECORD_SIZE;
	payload = frame + (len - ROCE_ICRC_LEN - CCM_RECORD_SIZE);
	if (record)
		memcpy(now, pkt->payload, sizeof(now));
	if (w->faulty && record && pkt->f.opcode == ROCE_READ_RESPONSE_ONLY) {
		if (way->n_records != 0 && sim_chance(w, w->rates.stale)) {
			uint64_t n = RTE_MIN(way->n_records, (uint32_t)SIM_CAPTURED);

			memcpy(payload, way->records[sim_below(w, n)], CCM_RECORD_SIZE);
			sim_seal(frame, len);
			w->counts.stale++;
		} else if (way->has_record && sim_chance(w, w->rates.splice)) {
			splice(w, way, payload);
			sim_seal(frame, len);
		}
	}
	if (w->faulty && sim_chance(w, w->rates.forge))
		forge(w, frame, len);
	if (record) {
		memcpy(way->last_record, now, sizeof(now));
		way->has_record = true;
	}
}

void
sim_faults_inject(struct sim_world *w, struct sim_node *to, const struct sim_captured *c)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

	SIM_CHECK(w, m != NULL, "no mbuf for a frame of old");
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), c->data, c->len);
	m->data_len = (uint16_t)c->len;
	m->pkt_len = c->len;
	sim_node_receive(w, to, m);
	sim_node_turn(w, to);
}

void
sim_faults_inject_at(struct sim_world *w, struct sim_node *to, const struct sim_captured *c,
	uint32_t psn)
{
	struct sim_captured copy = *c;

	roce_store_be24(copy.data + ROCE_L2L4_LEN + 9, psn);
	sim_seal(copy.data, copy.len);
	sim_faults_inject(w, to, &copy);
}

static uint32_t
qpn_of(const struct sim_captured *c)
{
	return roce_load_be24(c->data + ROCE_L2L4_LEN + 5);
}

/* A WRITE of the record or the directory, of any age, at the PSN that is expected now. */
static void
stale_write(struct sim_world *w, uint32_t from, struct sim_node *to)
{
	struct sim_way *way = w->ways[from][to->index];
	const struct sim_captured *c;
	const struct remu_qp *qp;

	if (!to->running || way->n_captured == 0 || w->now < to->data_pause)
		return;
	c = &way->captured[sim_below(w, RTE_MIN(way->n_captured, (uint32_t)SIM_CAPTURED))];
	qp = remu_qp_find(to->engine, qpn_of(c));
	if (qp == NULL)
		return;
	w->counts.stale_writes++;
	sim_truth_rough(way);
	sim_faults_inject_at(w, to, c, qp->resp.epsn);
}

/* A WRITE to a port of an attempt that is over: in the new one it must find nothing. */
static void
stale_port(struct sim_world *w, uint32_t from, struct sim_node *to)
{
	struct sim_way *way = w->ways[from][to->index];
	const struct sim_captured *c;
	const struct remu_qp *qp;
	const struct ccm_session *s;
	uint64_t target;

	if (!to->running || way->n_port_captured == 0 || w->now < to->data_pause)
		return;
	c = &way->port_captured[sim_below(w,
		RTE_MIN(way->n_port_captured, (uint32_t)SIM_CAPTURED))];
	memcpy(&target, c->data + ROCE_L2L4_LEN + ROCE_BTH_LEN + 16 + 8, sizeof(target));
	s = &sim_ccm_peer(to, sim_peer_index(to, from))->session;
	/* To ports that still exist: only a forger could know the PSN. */
	if (target == s->nonce || s->ports == CCM_PORTS_DESTROYING)
		return;
	qp = remu_qp_find(to->engine, qpn_of(c));
	w->counts.stale_ports++;
	sim_truth_rough(way);
	sim_faults_inject_at(w, to, c,
		qp != NULL ? qp->resp.epsn : (uint32_t)sim_below(w, 1 << 24));
}

static void
set_weather(struct sim_world *w, uint32_t a, uint32_t b)
{
	struct link_config cfg = {.delay_ns = w->delay_ns};
	struct sim_way *way = w->ways[a][b];
	bool stormy = w->faulty && !sim_chance(w, LINK_PPM / 4);

	if (stormy)
		link_swarm(sim_random(w), &cfg, w->verbose ? stdout : NULL);
	/* Copies that come back after the world has ended would only fill the links. */
	cfg.duplicate_max_ns = RTE_MIN(cfg.duplicate_max_ns, 300 * SIM_MS);
	w->late_copies |= cfg.duplicate_max_ns > LATE_NS;
	cfg.partition = way->link.cfg.partition && w->faulty;
	cfg.clog_until_ns = w->faulty ? way->link.cfg.clog_until_ns : 0;
	if (stormy || way->stormy)
		sim_truth_rough(way);
	way->stormy = stormy;
	way->to->arrival_known = false;
	if (link_config(&way->link, &cfg, w->now) != 0)
		sim_fail(w, "the link does not take its weather");
}

static uint64_t
longest_pause(const struct sim_world *w)
{
	uint64_t dead = 0;

	for (uint32_t i = 0; i < w->n_nodes; i++)
		dead = RTE_MAX(dead, (uint64_t)w->nodes[i].cfg.timing.dead_after_us);
	return 3 * dead * SIM_US;
}

/* Mostly one beat or so, where it is a close thing; at times much longer. */
static uint64_t
some_time(struct sim_world *w)
{
	return sim_below(w, sim_chance(w, LINK_PPM / 2) ? longest_pause(w) : longest_pause(w) / 4);
}

static uint64_t
pick(struct sim_world *w, const uint64_t *list, uint64_t n)
{
	return list[sim_below(w, n)];
}

#define PICK(w, ...) \
	pick(w, (const uint64_t[]){__VA_ARGS__}, \
		sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void
draw_clients(struct sim_world *w, struct sim_node_config *cfg)
{
	static const char *const names[] = {"nvlog", "mon", "lock", "extra"};

	cfg->n_clients = 0;
	for (uint32_t i = 0; i < 4 && cfg->n_clients < SIM_CLIENTS; i++) {
		struct ccm_client_config *c = &cfg->clients[cfg->n_clients];

		if (sim_chance(w, LINK_PPM / 3))
			continue;
		memset(c, 0, sizeof(*c));
		snprintf(c->name, sizeof(c->name), "%s", names[i]);
		c->ports = (uint16_t)(1 + sim_below(w, 3));
		/* Whole pages per port and odd sizes; some too small for the partner's wish. */
		c->memory = c->ports * (uint64_t)CCM_PORT_MEMORY_MIN + sim_below(w, 2) * 1234;
		cfg->n_clients++;
	}
}

static void
draw_config(struct sim_world *w, struct sim_node_config *cfg)
{
	/* Some beat more slowly; who would take a partner's beat for none then refuses it. */
	uint32_t beat = sim_chance(w, LINK_PPM / 8) ? w->beat_us * SLOW_BEAT : w->beat_us;

	sim_node_default(cfg);
	if (sim_chance(w, LINK_PPM / 16)) {
		cfg->version_min = (uint16_t)(1 + sim_below(w, 3));
		cfg->version_max = (uint16_t)(cfg->version_min + sim_below(w, 3));
	} else {
		cfg->version_max = (uint16_t)(1 + sim_below(w, 3));
	}
	cfg->foreign = sim_chance(w, LINK_PPM / 50);
	cfg->path_mtu = (uint16_t)PICK(w, 256, 512, 1024);
	cfg->features = sim_random(w);
	draw_clients(w, cfg);
	sim_boot_draw(w, &cfg->boot);
	/* One draw per statement: the order within one is the compiler's choice. */
	cfg->timing.beat_us = beat;
	cfg->timing.dead_after_us = beat * (uint32_t)(3 + sim_below(w, 8));
	cfg->timing.retry_us = (uint32_t)PICK(w, 50, 200, 500);
	cfg->timing.retry_cnt = (uint8_t)(1 + sim_below(w, 5));
	cfg->timing.search_us = beat * (uint32_t)PICK(w, 1, 4, 20);
	/* With one packet per round trip, a beat and a directory take some dozen of them. */
	cfg->timing.dead_after_us = (uint32_t)RTE_MAX((uint64_t)cfg->timing.dead_after_us,
		40 * w->delay_ns / SIM_US);
	cfg->window = (uint32_t)PICK(w, 1, 2, 4, 8, 64);
	cfg->channel_depth = (uint32_t)PICK(w, 8, 16, 32, 64);
	cfg->clock_ppm = sim_chance(w, LINK_PPM / 2) ? 0 : (int32_t)sim_below(w, 200001) - 100000;
	cfg->control_lag_ns = (uint32_t)PICK(w, 0, 1000, 20000, 100000);
	cfg->data_lag_ns = (uint32_t)PICK(w, 0, 0, 1000, 20000);
	cfg->traffic_ns = PICK(w, 0, 200 * SIM_US, 1000 * SIM_US);
	/* A wire slower than the retry time is a matter of configuration, not of luck. */
	while (cfg->timing.retry_us * SIM_US < 2 * w->delay_ns + 300 * SIM_US &&
		cfg->timing.retry_us < 500)
		cfg->timing.retry_us *= 2;
}

static void
crash(struct sim_world *w, struct sim_node *n)
{
	if (!n->running)
		return;
	sim_node_crash(w, n);
	w->counts.crashes++;
	sim_faults_add(w, w->now + some_time(w), SIM_START, n->index, 0);
}

static void
start(struct sim_world *w, struct sim_node *n)
{
	struct sim_node_config cfg = n->cfg;

	if (n->running && !n->stopping)
		return;
	if (n->running)
		sim_node_crash(w, n);
	if (!w->exact && !w->keep_config && sim_chance(w, LINK_PPM / 3))
		draw_config(w, &cfg);
	sim_node_boot(w, n, &cfg);
}

static void
end_faults(struct sim_world *w)
{
	for (uint32_t i = 0; i < w->n_nodes && sim_rates_any(w); i++)
		for (uint32_t j = 0; j < w->nodes[i].n_in; j++)
			sim_truth_rough(w->nodes[i].in[j]);
	w->faulty = false;
	w->n_plans = 0;
	w->rates = (struct sim_rates){0};
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		struct sim_node *n = &w->nodes[i];

		n->data_pause = RTE_MIN(n->data_pause, w->now);
		n->control_pause = RTE_MIN(n->control_pause, w->now);
		if (n->well_since != SIM_NEVER)
			n->well_since = RTE_MIN(n->well_since, w->now);
		start(w, n);
		sim_node_link_report(w, n, true);
		for (uint32_t j = 0; j < w->n_nodes; j++)
			if (i != j)
				set_weather(w, i, j);
	}
}

void
sim_faults_cut(struct sim_world *w, uint32_t a, uint32_t b, bool on)
{
	struct sim_way *way = w->ways[a][b];

	link_partition(&way->link, on, w->now);
	sim_truth_rough(way);
}

void
sim_faults_pause(struct sim_node *n, uint64_t until, bool all)
{
	sim_truth_pause(n, until);
	n->control_pause = RTE_MAX(n->control_pause, until);
	if (all)
		n->data_pause = RTE_MAX(n->data_pause, until);
}

static void
happen(struct sim_world *w, const struct sim_plan *plan)
{
	struct sim_node *a = &w->nodes[plan->a];
	uint64_t until = w->now + some_time(w);

	switch ((enum sim_fault)plan->kind) {
	case SIM_CRASH:
		crash(w, a);
		break;
	case SIM_STOP:
		sim_node_stop(w, a);
		sim_faults_add(w, until + 10 * SIM_MS, SIM_START, plan->a, 0);
		break;
	case SIM_PAUSE_ALL:
	case SIM_PAUSE_CONTROL:
		sim_faults_pause(a, until, plan->kind == SIM_PAUSE_ALL);
		break;
	case SIM_CUT_BOTH:
		sim_faults_cut(w, plan->b, plan->a, true);
		sim_faults_cut(w, plan->a, plan->b, true);
		sim_faults_add(w, until, SIM_HEAL, plan->a, plan->b);
		break;
	case SIM_CUT_ONE:
		sim_faults_cut(w, plan->a, plan->b, true);
		sim_faults_add(w, until, SIM_HEAL, plan->a, plan->b);
		break;
	case SIM_CLOG:
		link_clog(&w->ways[plan->a][plan->b]->link, until, w->now);
		sim_truth_rough(w->ways[plan->a][plan->b]);
		break;
	case SIM_LINK_REPORT:
		sim_node_link_report(w, a, false);
		sim_faults_add(w, until, SIM_LINK_UP, plan->a, 0);
		break;
	case SIM_WEATHER:
		set_weather(w, plan->a, plan->b);
		break;
	case SIM_STALE_WRITE:
		stale_write(w, plan->b, a);
		break;
	case SIM_STALE_PORT:
		stale_port(w, plan->b, a);
		break;
	case SIM_START:
		start(w, a);
		break;
	case SIM_LINK_UP:
		sim_node_link_report(w, a, true);
		break;
	case SIM_HEAL:
		sim_faults_cut(w, plan->a, plan->b, false);
		sim_faults_cut(w, plan->b, plan->a, false);
		break;
	case SIM_END_FAULTS:
		end_faults(w);
		break;
	}
}

void
sim_faults_due(struct sim_world *w)
{
	for (uint32_t i = 0; i < w->n_plans;) {
		struct sim_plan plan = w->plans[i];

		if (plan.at > w->now) {
			i++;
			continue;
		}
		w->plans[i] = w->plans[--w->n_plans];
		w->n_events++;
		w->counts.faults++;
		sim_log(w, "fault: %s, node %u, node %u", sim_fault_name(plan.kind), plan.a,
			plan.b);
		happen(w, &plan);
		i = 0;
	}
}

static void
draw_plan(struct sim_world *w, enum sim_fault kind, uint64_t length)
{
	uint64_t at = w->now + sim_below(w, length);
	uint32_t a = (uint32_t)sim_below(w, w->n_nodes);
	uint32_t b = (a + 1 + (uint32_t)sim_below(w, w->n_nodes - 1)) % w->n_nodes;

	sim_faults_add(w, at, kind, a, b);
}

/* One fault of four. */
static uint32_t
draw_kinds(struct sim_world *w)
{
	uint32_t kinds = (uint32_t)sim_below(w, 1u << SIM_FAULTS);

	return kinds & (uint32_t)sim_random(w);
}

void
sim_faults_draw(struct sim_world *w)
{
	uint64_t length = 10 * SIM_MS + sim_below(w, 40 * SIM_MS);
	uint32_t kinds = draw_kinds(w);
	uint32_t budget = (uint32_t)sim_below(w, FAULTS_MAX);
	struct sim_node_config cfg;
	bool weather = sim_chance(w, LINK_PPM / 2);

	kinds |= draw_kinds(w);
	w->faulty = true;
	w->beat_us = (uint32_t)PICK(w, 500, 1000, 1000, 2000);
	if (sim_chance(w, LINK_PPM / 4))
		w->rates.forge = (uint32_t)PICK(w, 2000, 20000, 100000);
	if (sim_chance(w, LINK_PPM / 4))
		w->rates.splice = (uint32_t)PICK(w, 20000, 200000);
	if (sim_chance(w, LINK_PPM / 4))
		w->rates.stale = (uint32_t)PICK(w, 20000, 200000);
	for (uint32_t i = 0; i < w->n_nodes; i++)
		for (uint32_t j = 0; weather && j < w->n_nodes; j++)
			if (i != j)
				set_weather(w, i, j);
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		draw_config(w, &cfg);
		w->nodes[i].cfg = cfg;
		if (i == 0)
			sim_node_boot(w, &w->nodes[i], &cfg);
		else
			sim_faults_add(w, w->now + sim_below(w, 5 * SIM_MS), SIM_START, i, 0);
	}
	for (uint32_t kind = 0; kind < SIM_FAULTS; kind++) {
		uint64_t n = sim_below(w, 4) + (kind >= SIM_STALE_WRITE ? 4 : 0);

		if ((kinds & 1u << kind) == 0 || (kind < SIM_STALE_WRITE && budget == 0))
			continue;
		for (uint64_t k = 0; k < n && w->n_plans < SIM_PLANS / 2;
			k++, budget -= budget != 0)
			draw_plan(w, kind, length);
	}
	sim_faults_add(w, w->now + length, SIM_END_FAULTS, 0, 0);
}
