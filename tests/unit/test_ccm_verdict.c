/* SPDX-License-Identifier: BSD-3-Clause */
/* The verdict on a partner: what each input makes of it, and which of several counts. */
#include <ccm_verdict.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

enum { BEAT_MS = 1, DEAD_MS = 10 };

/* A partner with whom all is well, at 100 s; what the cases change. */
static struct ccm_session s;
static bool link_up;
static const uint64_t now = 100000 * MS;

static void
all_is_well(void)
{
	s = (struct ccm_session){
		.cfg = {.beat_ns = BEAT_MS * MS, .dead_after_ns = DEAD_MS * MS},
		.state = CCM_UP,
		.seen = {.nonce = 7,
			.phase = CCM_UP,
			.boot_stage = 3,
			.boot_stages = 3,
			.boot_progress = 1,
			.boot_budget_ms = 500},
		.last_answer_ns = now - MS / 2,
		.last_heard_ns = now - MS / 2,
		.partner_beat_ns = now - MS,
		.last_beat_ns = now - MS,
		.last_slot_ns = now - MS / 4,
		.partner_boot_ns = now - 2000 * MS,
		.awake_since_ns = now - 5000 * MS,
	};
	link_up = true;
}

/* Times of the last answer and the last beat; no stall of ours since. */
static void
last(uint64_t answer, uint64_t beat)
{
	s.last_answer_ns = s.last_heard_ns = answer;
	s.partner_beat_ns = s.last_beat_ns = beat;
}

static void
expect(enum ccm_verdict verdict, enum ccm_advice advice)
{
	struct ccm_judgement j = ccm_judge(&s, link_up, now);

	if (j.verdict != verdict || j.advice != advice)
		fail_msg("%s, %s instead of %s, %s", ccm_verdict_name(j.verdict),
			ccm_advice_name(j.advice), ccm_verdict_name(verdict),
			ccm_advice_name(advice));
}

static void
up_only_when_booted_and_up(void **state)
{
	(void)state;
	all_is_well();
	expect(CCM_VERDICT_UP, CCM_ADVICE_KEEP);
	s.seen.boot_stages = 0; /* tells no stages */
	expect(CCM_VERDICT_UP, CCM_ADVICE_KEEP);
	for (int st = CCM_SEARCH; st <= CCM_READY; st++) {
		s.state = (enum ccm_state)st;
		expect(CCM_VERDICT_CONNECTING, CCM_ADVICE_KEEP);
	}
}

/* The session comes up at any stage; the verdict still tells the stage. */
static void
booting(void **state)
{
	(void)state;
	for (int st = CCM_SEARCH; st <= CCM_UP; st++) {
		all_is_well();
		s.state = (enum ccm_state)st;
		s.seen.boot_stage = 2;
		s.partner_boot_ns = now - 500 * MS;
		expect(CCM_VERDICT_PROGRESSING, CCM_ADVICE_KEEP);
		s.seen.boot_progress = 0;
		expect(CCM_VERDICT_STARTING, CCM_ADVICE_KEEP);
		s.partner_boot_ns = now - 500 * MS - 1;
		expect(CCM_VERDICT_STUCK, CCM_ADVICE_TAKE_OVER);
		s.seen.boot_budget_ms = 0; /* no limit */
		expect(CCM_VERDICT_STARTING, CCM_ADVICE_KEEP);
		/* It stood still before we looked. */
		s.seen.boot_budget_ms = 500;
		s.partner_boot_ns = now - MS;
		s.seen.boot_idle_ms = 500;
		expect(CCM_VERDICT_STARTING, CCM_ADVICE_KEEP);
		s.seen.boot_idle_ms = 501;
		expect(CCM_VERDICT_STUCK, CCM_ADVICE_TAKE_OVER);
		s.seen.boot_stage = 3; /* the last stage has no end */
		expect(st == CCM_UP ? CCM_VERDICT_UP : CCM_VERDICT_CONNECTING, CCM_ADVICE_KEEP);
	}
}

static void
silence(void **state)
{
	const uint64_t dead = DEAD_MS * MS;

	(void)state;
	all_is_well();
	last(now - dead, now - dead);
	expect(CCM_VERDICT_UP, CCM_ADVICE_KEEP);
	last(now - dead - 1, now - dead - 1);
	expect(CCM_VERDICT_UNREACHABLE, CCM_ADVICE_TAKE_OVER);
	/* The beat ends a little before the answers: it is gone all the same, not hung. */
	last(now - dead / 2 - 1, now - dead - 1);
	expect(CCM_VERDICT_UNREACHABLE, CCM_ADVICE_TAKE_OVER);
	last(now - dead / 2, now - dead - 1);
	expect(CCM_VERDICT_HUNG, CCM_ADVICE_TAKE_OVER);
	last(now, now - dead - 1);
	expect(CCM_VERDICT_HUNG, CCM_ADVICE_TAKE_OVER);
	/* Never seen: it may as well be us. */
	s.last_answer_ns = 0;
	s.state = CCM_SEARCH;
	expect(CCM_VERDICT_UNREACHABLE, CCM_ADVICE_UNSURE);
}

/* R10: nobody is accused of what passed while we were away. */
static void
own_stall(void **state)
{
	const uint64_t dead = DEAD_MS * MS;

	(void)state;
	all_is_well();
	s.last_answer_ns = s.partner_beat_ns = now - 3000 * MS;
	s.last_heard_ns = s.last_beat_ns = now - dead;
	expect(CCM_VERDICT_UP, CCM_ADVICE_KEEP);
	s.last_answer_ns = s.last_heard_ns = now;
	expect(CCM_VERDICT_UP, CCM_ADVICE_KEEP);
	s.last_beat_ns--;
	expect(CCM_VERDICT_HUNG, CCM_ADVICE_TAKE_OVER);
}

static void
order(void **state)
{
	(void)state;
	/* From the last to the first: each overrules what was said before. */
	all_is_well();
	s.state = CCM_SEARCH;
	s.seen.boot_stage = 1;
	s.partner_boot_ns = now - 5000 * MS;
	s.reason = CCM_REASON_WAITING;
	expect(CCM_VERDICT_STUCK, CCM_ADVICE_TAKE_OVER);
	s.last_beat_ns = s.partner_beat_ns = now - 5000 * MS;
	expect(CCM_VERDICT_HUNG, CCM_ADVICE_TAKE_OVER);
	s.seen.phase = CCM_LEAVING;
	expect(CCM_VERDICT_LEAVING, CCM_ADVICE_TAKE_OVER);
	s.seen.phase = CCM_REFUSED;
	expect(CCM_VERDICT_REFUSED, CCM_ADVICE_UNSURE);
	s.seen.phase = CCM_SEARCH;
	s.state = CCM_REFUSED;
	expect(CCM_VERDICT_REFUSED, CCM_ADVICE_UNSURE);
	s.last_answer_ns = s.last_heard_ns = now - 5000 * MS;
	expect(CCM_VERDICT_UNREACHABLE, CCM_ADVICE_TAKE_OVER);
	s.reason = CCM_REASON_NOT_STARTED;
	expect(CCM_VERDICT_NOT_STARTED, CCM_ADVICE_TAKE_OVER);
	s.reason = CCM_REASON_BAD_RECORD;
	expect(CCM_VERDICT_REFUSED, CCM_ADVICE_UNSURE);
	s.reason = CCM_REASON_ACCESS;
	expect(CCM_VERDICT_REFUSED, CCM_ADVICE_UNSURE);
	link_up = false;
	expect(CCM_VERDICT_LINK_DOWN, CCM_ADVICE_UNSURE);
}

/* One torn record among good ones is nothing; a node that says DOWN and has no beat has not begun. */
static void
transients(void **state)
{
	(void)state;
	all_is_well();
	s.state = CCM_SEARCH;
	s.reason = CCM_REASON_BAD_RECORD;
	expect(CCM_VERDICT_CONNECTING, CCM_ADVICE_KEEP);
	/* While its heart beats it is between two attempts. */
	s.seen.phase = CCM_DOWN;
	expect(CCM_VERDICT_CONNECTING, CCM_ADVICE_KEEP);
	s.last_beat_ns = s.partner_beat_ns = now - s.cfg.dead_after_ns - 1;
	expect(CCM_VERDICT_NOT_STARTED, CCM_ADVICE_TAKE_OVER);
	s.last_beat_ns = s.partner_beat_ns = now - MS;
	s.seen.boot_stage = 1;
	s.partner_boot_ns = now;
	expect(CCM_VERDICT_PROGRESSING, CCM_ADVICE_KEEP);
}

static void
evidence__tells_every_age(void **state)
{
	struct ccm_judgement j;

	(void)state;
	all_is_well();
	j = ccm_judge(&s, link_up, now);
	assert_int_equal(j.evidence.answer_age_ns, MS / 2);
	assert_int_equal(j.evidence.beat_age_ns, MS);
	assert_int_equal(j.evidence.write_age_ns, MS / 4);
	assert_int_equal(j.evidence.boot_age_ns, 2000 * MS);
	assert_int_equal(j.evidence.boot_budget_ns, 500 * MS);
	assert_int_equal(j.evidence.awake_ns, 5000 * MS);
	assert_true(j.evidence.link_up);
	memset(&s, 0, sizeof(s));
	j = ccm_judge(&s, false, now);
	assert_true(j.evidence.answer_age_ns == CCM_NEVER);
	assert_true(j.evidence.beat_age_ns == CCM_NEVER);
	assert_true(j.evidence.write_age_ns == CCM_NEVER);
	assert_true(j.evidence.boot_age_ns == CCM_NEVER);
	assert_false(j.evidence.link_up);
}

static void
names(void **state)
{
	(void)state;
	for (int v = 0; v < CCM_VERDICT_COUNT; v++)
		assert_string_not_equal(ccm_verdict_name((enum ccm_verdict)v), "unknown");
	for (int a = 0; a < CCM_ADVICE_COUNT; a++)
		assert_string_not_equal(ccm_advice_name((enum ccm_advice)a), "unknown");
	assert_string_equal(ccm_verdict_name(CCM_VERDICT_COUNT), "unknown");
	assert_string_equal(ccm_advice_name(CCM_ADVICE_COUNT), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(up_only_when_booted_and_up),
		cmocka_unit_test(booting),
		cmocka_unit_test(silence),
		cmocka_unit_test(own_stall),
		cmocka_unit_test(order),
		cmocka_unit_test(transients),
		cmocka_unit_test(evidence__tells_every_age),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
