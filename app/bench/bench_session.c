/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_session.h"

#include "bench_report.h"
#include "node.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define WAIT_NS (UINT64_C(60) * 1000000000)

void
bench_session_init(struct bench_session *s, struct node *node, uint64_t wanted, bool restart)
{
	s->node = node;
	s->restart = restart;
	s->wanted = wanted;
	bench_hist_reset(&s->setup);
	for (int i = 0; i < CCM_STEP_COUNT; i++)
		bench_hist_reset(&s->steps[i]);
}

void
bench_session_begin(struct bench_session *s, uint64_t now_ns)
{
	s->up = false;
	s->sessions = 0;
	s->with_client = true;
	s->since_ns = now_ns;
}

static uint64_t
monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void
note(struct bench_session *s, const char *kind, const char *reason, bool print)
{
	struct bench_event *e = &s->events[s->n_events % BENCH_EVENTS_MAX];

	*e = (struct bench_event){
		.monotonic_ns = monotonic_ns(),
		.kind = kind,
		.reason = reason,
	};
	s->n_events++;
	if (!print)
		return;
	printf("%s %" PRIu64 " %s\n", kind, e->monotonic_ns, reason);
	fflush(stdout);
}

void
bench_session_event(struct bench_session *s, const struct ccm_client_event *ev, bool print)
{
	switch (ev->kind) {
	case CCM_CLIENT_UP:
		note(s, "up", "none", print);
		break;
	case CCM_CLIENT_DOWN:
		note(s, "down", ccm_reason_name(ev->reason), print);
		break;
	case CCM_CLIENT_ADVICE:
		note(s, ccm_advice_name(ev->judgement->advice),
			ccm_verdict_name(ev->judgement->verdict), print);
		break;
	case CCM_CLIENT_RELEASED:
	case CCM_CLIENT_COMPLETED:
	case CCM_CLIENT_GONE:
		break;
	}
}

/* Whether the session has just come up; the snapshot is that of an earlier turn. */
static bool
came_up(struct bench_session *s, uint64_t now, struct ccm_partner_status *st)
{
	bool first;

	if (ccm_read_partner(s->node->ccm, 0, st) != 0)
		return false;
	first = st->state == CCM_UP && st->sessions != s->sessions;
	if (first || s->up != (st->state == CCM_UP))
		s->since_ns = now;
	s->sessions = st->sessions;
	s->up = st->state == CCM_UP;
	return first;
}

enum bench_verdict
bench_handshake_turn(struct bench_session *s, uint64_t now)
{
	/* A session that ends sooner counts as a failed one, and the next is put off. */
	uint64_t stay_ns = (uint64_t)s->node->cfg.ccm.timing.dead_after_us * 1250;
	struct ccm_partner_status st;

	if (came_up(s, now, &st) && st.n_ports != 0) {
		bench_hist_record(&s->setup, st.setup_ns);
		for (int i = 0; i < CCM_STEP_COUNT; i++)
			bench_hist_record(&s->steps[i], st.step_ns[i]);
		s->done++;
	}
	if (!s->up)
		return now - s->since_ns > WAIT_NS ? BENCH_TIMEOUT : BENCH_GO_ON;
	if (now - s->since_ns < stay_ns)
		return BENCH_GO_ON;
	if (s->done >= s->wanted)
		return BENCH_DONE;
	return s->restart ? BENCH_AGAIN : s->with_client ? BENCH_REMOVE : BENCH_ADD;
}

enum bench_verdict
bench_failover_turn(struct bench_session *s, uint64_t now)
{
	struct ccm_partner_status st;

	if (came_up(s, now, &st)) {
		/* The first one is no failover. */
		if (s->setup.count != 0)
			s->done++;
		bench_hist_record(&s->setup, st.setup_ns);
		for (uint32_t i = s->n_events; i-- > 0 && s->n_events < BENCH_EVENTS_MAX;) {
			if (s->events[i].kind[0] != 'u' || s->events[i].kind[1] != 'p')
				continue;
			s->events[i].setup_ns = st.setup_ns;
			break;
		}
	}
	if (s->up)
		return s->done < s->wanted ? BENCH_GO_ON : BENCH_DONE;
	return now - s->since_ns > WAIT_NS ? BENCH_TIMEOUT : BENCH_GO_ON;
}

json_t *
bench_handshake_result(const struct bench_session *s)
{
	json_t *steps = json_object();
	json_t *result = json_pack("{s:s, s:I}", "op", "handshake", "iterations",
		(json_int_t)s->setup.count);

	bench_report_times(result, &s->setup);
	for (int i = 0; i < CCM_STEP_COUNT; i++) {
		json_t *step = json_object();

		bench_report_times(step, &s->steps[i]);
		json_object_del(step, "percentiles");
		json_object_set_new(steps, ccm_step_name(i), step);
	}
	json_object_set_new(result, "steps", steps);
	json_object_set_new(result, "restart", json_boolean(s->restart));
	return result;
}

json_t *
bench_failover_result(const struct bench_session *s)
{
	json_t *events = json_array();

	for (uint32_t i = 0; i < s->n_events && i < BENCH_EVENTS_MAX; i++)
		json_array_append_new(events,
			json_pack("{s:s, s:s, s:I, s:I}", "event", s->events[i].kind, "reason",
				s->events[i].reason, "monotonic_ns",
				(json_int_t)s->events[i].monotonic_ns, "setup_ns",
				(json_int_t)s->events[i].setup_ns));
	return json_pack("{s:s, s:I, s:o}", "op", "failover", "iterations", (json_int_t)s->done,
		"events", events);
}

static void
print_row(const char *name, const struct bench_hist *h)
{
	printf("%-14s %11.2f %15.2f %11.2f %20.2f %11.2f\n", name,
		h->count != 0 ? (double)h->min / 1e3 : 0,
		(double)bench_hist_percentile(h, 50) / 1e3, bench_hist_mean(h) / 1e3,
		(double)bench_hist_percentile(h, 99) / 1e3, (double)h->max / 1e3);
}

void
bench_handshake_print(const struct bench_session *s)
{
	printf("%" PRIu64 " set-ups%s, from READ 1 to UP on this side, when the partner is READY\n"
	       "%-14s %11s %15s %11s %20s %11s\n",
		s->setup.count, s->restart ? " of a node that begins anew" : "", "#step",
		"t_min[usec]", "t_typical[usec]", "t_avg[usec]", "99% percentile[usec]",
		"t_max[usec]");
	for (int i = 0; i < CCM_STEP_COUNT; i++)
		print_row(ccm_step_name(i), &s->steps[i]);
	print_row("all", &s->setup);
}
