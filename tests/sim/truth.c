/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How things really are, and so what a node may say of a partner.
 *
 * Two nodes are well with each other since the moment from which on both have done nothing but what
 * they should and every frame between them has got through. While that lasts, neither may accuse the
 * other, once what was before has had time to be forgotten. And whatever has happened: a partner
 * may only be called alive while answers come in, only be called silent when somebody has asked, and
 * be called stuck exactly when it is.
 */
#include "sim.h"

/* Rates of two clocks differ by a tenth each way at most. */
static uint64_t
by_any_clock(uint64_t ns)
{
	return ns + ns / 4;
}

static uint64_t
own_ns(int32_t clock_ppm, uint64_t ns)
{
	return clock_ppm == 0 ? ns : ns + (uint64_t)((int64_t)ns * clock_ppm / LINK_PPM);
}

static uint64_t
beat_ns(const struct sim_node *n)
{
	return n->cfg.timing.beat_us * SIM_US;
}

static uint64_t
dead_ns(const struct sim_node *n)
{
	return n->cfg.timing.dead_after_us * SIM_US;
}

/* From an answer's arrival until the control core acts on it. */
static uint64_t
lag_ns(const struct sim_node *n)
{
	return by_any_clock((uint64_t)n->cfg.control_lag_ns + n->cfg.data_lag_ns) + SIM_US;
}

/* From a change at the partner until it is known here, when nothing goes wrong; world time. */
static uint64_t
news_ns(const struct sim_world *w, const struct sim_node *n, const struct sim_node *o)
{
	return by_any_clock(2 * beat_ns(n) + 12 * w->delay_ns + 4 * lag_ns(n) + 4 * lag_ns(o));
}

/*
 * How long trouble may have consequences when it is over: the requests that were under way fail
 * after all their repetitions, and each side may still find out that the other one was away.
 */
static uint64_t
aftermath_ns(const struct sim_world *w, const struct sim_node *n, const struct sim_node *o)
{
	const struct ccm_timing *a = &n->cfg.timing, *b = &o->cfg.timing;
	uint64_t retries = (uint64_t)(a->retry_cnt + 1u) * a->retry_us +
		(uint64_t)(b->retry_cnt + 1u) * b->retry_us;

	return by_any_clock(
		2 * retries * SIM_US + 2 * dead_ns(n) + dead_ns(o) + 2 * news_ns(w, n, o));
}

void
sim_truth_boot(struct sim_world *w, struct sim_node *n)
{
	n->well_since = w->now;
	n->report_at = 0;
	n->link_down = false;
	n->turned = 0;
	for (uint32_t p = 0; p < n->n_peers; p++) {
		struct sim_peer *peer = &n->peers[p];

		peer->asked = peer->arrived = peer->waited = peer->heard = 0;
		peer->judged = peer->judged_before = 0;
		peer->verdict = peer->verdict_before = CCM_VERDICT_UNREACHABLE;
		peer->advice = CCM_ADVICE_UNSURE;
		peer->advised = 0;
	}
}

void
sim_truth_gone(struct sim_node *n)
{
	n->well_since = SIM_NEVER;
}

void
sim_truth_pause(struct sim_node *n, uint64_t until)
{
	if (n->well_since != SIM_NEVER)
		n->well_since = RTE_MAX(n->well_since, until);
}

void
sim_truth_rough(struct sim_way *way)
{
	way->smooth_since = SIM_NEVER;
}

/* A way is smooth again when what was sent before has arrived too. */
static uint64_t
smooth_since(const struct sim_world *w, struct sim_way *way)
{
	if (way->smooth_since == SIM_NEVER && !way->stormy && !way->link.cfg.partition &&
		way->link.cfg.clog_until_ns <= w->now && link_stats(&way->link)->in_flight == 0)
		way->smooth_since = w->now;
	return way->smooth_since;
}

/* World time since when every frame between two nodes has got through as it was. */
static uint64_t
ways_since(struct sim_world *w, const struct sim_node *n, const struct sim_node *o)
{
	if (sim_rates_any(w))
		return SIM_NEVER;
	return RTE_MAX(smooth_since(w, w->ways[n->index][o->index]),
		smooth_since(w, w->ways[o->index][n->index]));
}

uint64_t
sim_truth_well_since(struct sim_world *w, const struct sim_node *n, uint32_t p)
{
	const struct sim_node *o = &w->nodes[n->peers[p].other];
	uint64_t nodes;

	if (w->shape == SIM_RIVALS || !n->running || !o->running)
		return SIM_NEVER;
	nodes = RTE_MAX(n->well_since, o->well_since);
	if (nodes > w->now)
		return SIM_NEVER;
	return RTE_MAX(nodes, ways_since(w, n, o));
}

/* Whether two nodes have been well with each other for at least that long. */
static bool
well_for(struct sim_world *w, const struct sim_node *n, uint32_t p, uint64_t ns)
{
	uint64_t since = sim_truth_well_since(w, n, p);

	return since <= w->now && w->now - since > ns;
}

void
sim_truth_check_down(struct sim_world *w, struct sim_node *n, uint32_t p, enum ccm_reason reason)
{
	const struct sim_node *o = &w->nodes[n->peers[p].other];
	uint64_t limit = aftermath_ns(w, n, o);

	if (w->late_copies || !well_for(w, n, p, limit) ||
		w->now - RTE_MAX(n->report_at, o->report_at) <= limit)
		return;
	sim_fail(w, "node %u gives up (%s), but it and node %u have been well for %.3f ms",
		n->index, ccm_reason_name(reason), o->index,
		(double)(w->now - sim_truth_well_since(w, n, p)) / (double)SIM_MS);
}

/* It is there: it has answered lately. */
static bool
says_present(uint8_t verdict)
{
	return verdict == CCM_VERDICT_UP || verdict == CCM_VERDICT_CONNECTING ||
		verdict == CCM_VERDICT_STARTING || verdict == CCM_VERDICT_PROGRESSING ||
		verdict == CCM_VERDICT_STUCK || verdict == CCM_VERDICT_HUNG ||
		verdict == CCM_VERDICT_LEAVING;
}

/* Its heart beats, too. */
static bool
says_alive(uint8_t verdict)
{
	return says_present(verdict) && verdict != CCM_VERDICT_HUNG &&
		verdict != CCM_VERDICT_LEAVING;
}

static bool
says_booting(uint8_t verdict)
{
	return verdict == CCM_VERDICT_STARTING || verdict == CCM_VERDICT_PROGRESSING ||
		verdict == CCM_VERDICT_STUCK;
}

/* The verdict that has been shown since the last turn. A turn that is late could not renew it. */
void
sim_truth_before(struct sim_world *w, const struct sim_node *n, uint32_t p, uint64_t local)
{
	const struct sim_peer *peer = &n->peers[p];

	if (local > peer->tick_at || !says_present(peer->verdict))
		return;
	SIM_CHECK(w,
		local <= RTE_MAX(peer->waited, peer->stall) + dead_ns(n) + 2 * beat_ns(n) +
				lag_ns(n),
		"node %u has shown %s of node %u for %.3f ms since its last answer", n->index,
		ccm_verdict_name(peer->verdict), peer->other,
		(double)(local - peer->arrived) / (double)SIM_MS);
}

/*
 * Present needs answers, alive needs beats. Own time; a stall of our own is excused.
 * Whom we are bound to has answered our attempt, be it by a WRITE.
 */
static void
check_present(struct sim_world *w, const struct sim_node *n, const struct sim_peer *peer,
	uint64_t local)
{
	uint64_t beat = RTE_MAX(RTE_MAX(peer->excused, peer->stall), peer->bound_excused);

	SIM_CHECK(w,
		local <= RTE_MAX(peer->waited, peer->stall) + dead_ns(n) + beat_ns(n) + lag_ns(n),
		"node %u says %s of node %u, %.3f ms after its last answer", n->index,
		ccm_verdict_name(peer->verdict), peer->other,
		(double)(local - peer->arrived) / (double)SIM_MS);
	/* Each turn may be late by the rounding of two clocks. */
	SIM_CHECK(w, !says_alive(peer->verdict) || local <= beat + dead_ns(n) + SIM_US,
		"node %u says %s of node %u, %.3f ms after its beat has moved", n->index,
		ccm_verdict_name(peer->verdict), peer->other,
		(double)(local - peer->evidence) / (double)SIM_MS);
}

/*
 * Whether something has gone out that nobody has answered, or has failed: only then silence is the
 * partner's. The last answer may still be on its way through this node. Of answers that got lost or
 * damaged nothing is said here.
 */
static bool
has_asked(struct sim_world *w, const struct sim_node *n, uint32_t p, uint64_t local)
{
	uint64_t smooth = ways_since(w, n, &w->nodes[n->peers[p].other]);
	const struct sim_peer *peer = &n->peers[p];
	const struct ccm_peer *cp = sim_ccm_peer(n, p);
	const struct remu_qp *qp = remu_qp_find(n->engine, cp->cfg.qpn);

	return smooth > w->now || w->now - smooth <= 2 * dead_ns(n) || peer->asked >= peer->heard ||
		local - peer->heard <= lag_ns(n) || !cp->synced ||
		(qp != NULL && qp->req.una_psn != qp->req.sent_psn);
}

/* What has just been said for the first time. */
static void
check_change(struct sim_world *w, const struct sim_node *n, uint32_t p, uint64_t local)
{
	const struct sim_peer *peer = &n->peers[p];
	uint8_t from = peer->verdict_before, to = peer->verdict;

	if (to == CCM_VERDICT_UNREACHABLE || to == CCM_VERDICT_HUNG) {
		SIM_CHECK(w, peer->evidence == 0 || local > peer->excused + dead_ns(n),
			"node %u says %s of node %u %.3f ms after its last sign of life, not "
			"counting "
			"what it was late itself (R10)",
			n->index, ccm_verdict_name(to), peer->other,
			(double)(local - peer->excused) / (double)SIM_MS);
		SIM_CHECK(w, to == CCM_VERDICT_HUNG || has_asked(w, n, p, local),
			"node %u says %s of node %u, but has asked nothing since the last answer",
			n->index, ccm_verdict_name(to), peer->other);
	}
	if (from == CCM_VERDICT_UNREACHABLE)
		SIM_CHECK(w, !says_present(to) || peer->arrived + lag_ns(n) >= peer->judged_before,
			"node %u says %s of node %u after %s, without an answer since", n->index,
			ccm_verdict_name(to), peer->other, ccm_verdict_name(from));
	if (from == CCM_VERDICT_HUNG)
		SIM_CHECK(w,
			!says_alive(to) ||
				RTE_MAX(peer->evidence, peer->bound_at) >= peer->judged_before,
			"node %u says %s of node %u after %s, without a beat since", n->index,
			ccm_verdict_name(to), peer->other, ccm_verdict_name(from));
}

/* Stuck: what it has told last, as far as it is known here, is older than it may be. */
static bool
may_be_stuck(struct sim_world *w, const struct sim_node *n, uint32_t p)
{
	const struct ccm_record *seen = &sim_ccm_peer(n, p)->session.seen;
	const struct sim_attempt *theirs = sim_attempt_find(w, seen->nonce);
	const struct sim_node *o;
	uint32_t first;

	if (seen->boot_budget_ms == 0 || theirs == NULL)
		return false;
	o = &w->nodes[theirs->node];
	first = o->n_boot > SIM_BOOT_CHANGES ? o->n_boot - SIM_BOOT_CHANGES : 0;
	for (uint32_t i = first; i < o->n_boot; i++) {
		const struct sim_boot_change *c = &o->boot[i % SIM_BOOT_CHANGES];
		uint64_t age = w->now - c->at;

		if (c->incarnation != theirs->incarnation || c->stage != seen->boot_stage ||
			c->progress != seen->boot_progress)
			continue;
		age = RTE_MAX(own_ns(n->cfg.clock_ppm, age), own_ns(c->clock_ppm, age));
		return age + 1 > seen->boot_budget_ms * SIM_MS;
	}
	return first != 0; /* forgotten */
}

/* What is to be said of a partner's booting when everything is well; CCM_VERDICT_COUNT: either. */
static enum ccm_verdict
booting(const struct sim_world *w, const struct sim_node *n, const struct sim_node *o)
{
	const struct sim_boot_change *last = &o->boot[(o->n_boot - 1) % SIM_BOOT_CHANGES];
	uint64_t news = news_ns(w, n, o), age, budget;

	if (o->cfg.boot.n == 0)
		return CCM_VERDICT_UP;
	age = w->now - last->at;
	if (age <= news)
		return CCM_VERDICT_COUNT;
	if (sim_boot_done(o))
		return CCM_VERDICT_UP;
	budget = o->cfg.boot.stages[o->boot_stage - 1].budget_ms * SIM_MS;
	if (budget != 0 && own_ns(n->cfg.clock_ppm, age - news) > budget)
		return CCM_VERDICT_STUCK;
	if (budget != 0 && by_any_clock(age) > budget)
		return CCM_VERDICT_COUNT;
	return o->boot_progress == 0 ? CCM_VERDICT_STARTING : CCM_VERDICT_PROGRESSING;
}

/* Two nodes that have been well for long: what is said fits what is so. */
static void
check_well(struct sim_world *w, const struct sim_node *n, uint32_t p)
{
	const struct sim_peer *peer = &n->peers[p];
	const struct sim_node *o = &w->nodes[peer->other];
	enum ccm_verdict due;

	if (peer->verdict == CCM_VERDICT_LINK_DOWN || peer->verdict == CCM_VERDICT_REFUSED ||
		sim_oracle_refusal(n, o) != CCM_REASON_NONE)
		return;
	SIM_CHECK(w, says_alive(peer->verdict),
		"node %u says %s of node %u, but both have been well for %.3f ms", n->index,
		ccm_verdict_name(peer->verdict), o->index,
		(double)(w->now - sim_truth_well_since(w, n, p)) / (double)SIM_MS);
	due = booting(w, n, o);
	SIM_CHECK(w,
		due == CCM_VERDICT_COUNT || due == peer->verdict ||
			(due == CCM_VERDICT_UP && peer->verdict == CCM_VERDICT_CONNECTING),
		"node %u says %s of node %u, but %s is right", n->index,
		ccm_verdict_name(peer->verdict), o->index, ccm_verdict_name(due));
}

static enum ccm_advice
advice_for(const struct sim_peer *peer)
{
	switch ((enum ccm_verdict)peer->verdict) {
	case CCM_VERDICT_UNREACHABLE:
		return peer->evidence == 0 ? CCM_ADVICE_UNSURE : CCM_ADVICE_TAKE_OVER;
	case CCM_VERDICT_NOT_STARTED:
	case CCM_VERDICT_LEAVING:
	case CCM_VERDICT_HUNG:
	case CCM_VERDICT_STUCK:
		return CCM_ADVICE_TAKE_OVER;
	case CCM_VERDICT_STARTING:
	case CCM_VERDICT_PROGRESSING:
	case CCM_VERDICT_CONNECTING:
	case CCM_VERDICT_UP:
		return CCM_ADVICE_KEEP;
	case CCM_VERDICT_LINK_DOWN:
	case CCM_VERDICT_REFUSED:
	case CCM_VERDICT_COUNT:
		break;
	}
	return CCM_ADVICE_UNSURE;
}

/* Every client has been told the advice as it is. */
static void
check_advice(struct sim_world *w, struct sim_node *n, struct sim_peer *peer, enum ccm_advice now)
{
	SIM_CHECK(w, now == advice_for(peer), "node %u says %s of node %u, and advises %s",
		n->index, ccm_verdict_name(peer->verdict), peer->other, ccm_advice_name(now));
	if (now == peer->advice)
		return;
	SIM_CHECK(w, peer->advised == n->cfg.n_clients,
		"node %u: %u clients of %u have been advised", n->index, peer->advised,
		n->cfg.n_clients);
	peer->advice = (uint8_t)now;
	peer->advised = 0;
}

void
sim_truth_after(struct sim_world *w, struct sim_node *n, uint32_t p, uint64_t local)
{
	struct sim_peer *peer = &n->peers[p];
	const struct sim_node *o = &w->nodes[peer->other];
	const struct ccm_judgement *j = &sim_ccm_peer(n, p)->judgement;

	SIM_CHECK(w, j->verdict == peer->verdict, "node %u says %s of node %u without an event",
		n->index, ccm_verdict_name(j->verdict), peer->other);
	check_advice(w, n, peer, j->advice);
	if (peer->state == CCM_DOWN || n->report_at == w->now)
		return;
	SIM_CHECK(w, (peer->verdict == CCM_VERDICT_LINK_DOWN) == n->link_down,
		"node %u says %s, and its link is %s", n->index, ccm_verdict_name(peer->verdict),
		n->link_down ? "down" : "up");
	if (says_present(peer->verdict))
		check_present(w, n, peer, local);
	if (peer->judged == local)
		check_change(w, n, p, local);
	if (peer->verdict == CCM_VERDICT_STUCK)
		SIM_CHECK(w, may_be_stuck(w, n, p), "node %u says stuck of node %u too early",
			n->index, peer->other);
	if (peer->verdict != CCM_VERDICT_UP || o->cfg.boot.n != 0)
		if (well_for(w, n, p, aftermath_ns(w, n, o)))
			check_well(w, n, p);
}

void
sim_truth_on_verdict(struct sim_world *w, struct sim_node *n, uint32_t p,
	const struct ccm_event *ev)
{
	struct sim_peer *peer = &n->peers[p];

	sim_log(w, "node %u, partner %u: verdict %s -> %s (%s)", n->index, peer->other,
		ccm_verdict_name(ev->from), ccm_verdict_name(ev->to), ccm_reason_name(ev->reason));
	sim_mix(w, w->now ^ (uint64_t)ev->to << 40);
	SIM_CHECK(w, ev->from == peer->verdict && ev->to != ev->from,
		"node %u: verdict %s after %s", n->index, ccm_verdict_name(ev->from),
		ccm_verdict_name(peer->verdict));
	peer->verdict_before = ev->from;
	peer->judged_before = peer->judged;
	peer->verdict = ev->to;
	peer->judged = ev->time_ns;
}

void
sim_truth_on_advice(struct sim_world *w, struct sim_node *n, uint32_t p,
	const struct ccm_client_event *ev)
{
	struct sim_peer *peer = &n->peers[p];

	SIM_CHECK(w,
		ev->judgement->verdict == peer->verdict && ev->judgement->advice != peer->advice,
		"node %u advises a client of %s, %s", n->index,
		ccm_verdict_name(ev->judgement->verdict), ccm_advice_name(ev->judgement->advice));
	peer->advised++;
}

bool
sim_truth_settled(const struct sim_world *w, const struct sim_node *n, uint32_t p)
{
	const struct sim_peer *peer = &n->peers[p];
	const struct sim_node *o = &w->nodes[peer->other];
	enum ccm_verdict due = booting(w, n, o);

	if (sim_oracle_refusal(n, o) != CCM_REASON_NONE)
		return peer->verdict == CCM_VERDICT_REFUSED;
	return peer->verdict == due ||
		(due == CCM_VERDICT_COUNT &&
			(says_booting(peer->verdict) || peer->verdict == CCM_VERDICT_UP));
}
