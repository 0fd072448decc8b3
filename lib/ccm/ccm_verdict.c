/* SPDX-License-Identifier: BSD-3-Clause */
#include "ccm_verdict.h"
#include "ccm_rules.h"

#define NS_PER_MS 1000000u

/* Nanoseconds since an event; CCM_NEVER when it has not been. */
static uint64_t
age(uint64_t now, uint64_t then)
{
	if (then == 0)
		return CCM_NEVER;
	return now > then ? now - then : 0;
}

static struct ccm_evidence
collect(const struct ccm_session *s, bool link_up, uint64_t now)
{
	const struct ccm_record *rec = &s->seen;
	struct ccm_evidence e = {
		.answer_age_ns = age(now, s->last_answer_ns),
		.beat_age_ns = age(now, s->partner_beat_ns),
		.write_age_ns = age(now, s->last_slot_ns),
		.boot_age_ns = age(now, s->partner_boot_ns),
		.awake_ns = age(now, s->awake_since_ns),
		.boot_budget_ns = (uint64_t)rec->boot_budget_ms * NS_PER_MS,
		.link_up = link_up,
	};
	/* The partner has counted for longer than we have been looking, perhaps. */
	uint64_t told = (uint64_t)rec->boot_idle_ms * NS_PER_MS;

	if (e.boot_age_ns != CCM_NEVER && told > e.boot_age_ns)
		e.boot_age_ns = told;
	return e;
}

/* For the detection time, apart from when we ourselves were away (R10). */
static bool
is_silent(const struct ccm_session *s, uint64_t since, uint64_t now)
{
	return now > since && now - since > s->cfg.dead_after_ns;
}

static enum ccm_verdict
booting(const struct ccm_session *s, const struct ccm_evidence *e)
{
	if (e->boot_budget_ns != 0 && e->boot_age_ns > e->boot_budget_ns)
		return CCM_VERDICT_STUCK;
	return s->seen.boot_progress == 0 ? CCM_VERDICT_STARTING : CCM_VERDICT_PROGRESSING;
}

/* No valid record for the detection time; perhaps because of what the READs brought instead. */
static enum ccm_verdict
silent(const struct ccm_session *s)
{
	if (s->reason == CCM_REASON_NOT_STARTED)
		return CCM_VERDICT_NOT_STARTED;
	if (s->reason == CCM_REASON_ACCESS || s->reason == CCM_REASON_BAD_RECORD)
		return CCM_VERDICT_REFUSED;
	return CCM_VERDICT_UNREACHABLE;
}

/* The first that applies. */
static enum ccm_verdict
verdict(const struct ccm_session *s, const struct ccm_evidence *e, uint64_t now)
{
	const struct ccm_record *rec = &s->seen;

	if (!e->link_up)
		return CCM_VERDICT_LINK_DOWN;
	if (s->last_answer_ns == 0 || is_silent(s, s->last_heard_ns, now))
		return silent(s);
	if (s->state == CCM_REFUSED || rec->phase == CCM_REFUSED)
		return CCM_VERDICT_REFUSED;
	if (rec->phase == CCM_LEAVING)
		return CCM_VERDICT_LEAVING;
	/* DOWN with a beat is a partner between two attempts. */
	if (is_silent(s, s->last_beat_ns, now)) {
		if (rec->phase == CCM_DOWN)
			return CCM_VERDICT_NOT_STARTED;
		return ccm__went_on_answering(s) ? CCM_VERDICT_HUNG : CCM_VERDICT_UNREACHABLE;
	}
	if (rec->boot_stage < rec->boot_stages)
		return booting(s, e);
	return s->state == CCM_UP ? CCM_VERDICT_UP : CCM_VERDICT_CONNECTING;
}

static enum ccm_advice
advice(enum ccm_verdict v, const struct ccm_evidence *e)
{
	switch (v) {
	case CCM_VERDICT_UNREACHABLE:
		/* Never seen since we began: it may as well be us. */
		return e->answer_age_ns == CCM_NEVER ? CCM_ADVICE_UNSURE : CCM_ADVICE_TAKE_OVER;
	case CCM_VERDICT_HUNG:
	case CCM_VERDICT_STUCK:
	case CCM_VERDICT_LEAVING:
	case CCM_VERDICT_NOT_STARTED:
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

struct ccm_judgement
ccm_judge(const struct ccm_session *s, bool link_up, uint64_t now)
{
	struct ccm_judgement j = {.evidence = collect(s, link_up, now)};

	j.verdict = verdict(s, &j.evidence, now);
	j.advice = advice(j.verdict, &j.evidence);
	j.reason = s->reason;
	return j;
}
