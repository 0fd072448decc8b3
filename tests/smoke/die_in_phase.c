/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A node that kills itself in a phase of its session. The phases last microseconds, so nobody can hit
 * one from outside. Linked with the sources of ccm-node and --wrap=ccm_poll: after each turn of the
 * manager this file asks through ccm.h how far the session with the first partner is, and raises
 * SIGKILL in the turn in which it has come to CCM_DIE_IN:
 *
 *   a state    search, bound, ports, ready, up; closing and leaving are brought about when the session
 *              has been up for a moment, by a link that is lost and by SIGTERM
 *   a step     read_one, write_one, read_two, write_two: a turn after it has been posted, when on one
 *              lcore its packet is on its way and no answer can have been taken
 *
 * CCM_DIE_REPORT names a file that gets one JSON object before the end. With CCM_DIE_SILENTLY=yes a
 * child process outlives the node for a while: it does nothing but keep the sockets open, so the
 * partner's link stays up, as if a whole machine had stopped; otherwise the kernel tells the end.
 */
#include "ccm.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS_MAX = 256,	      /* all that are kept */
	TURN_EVENTS = 32,	      /* more than one turn makes */
	SETTLE_NS = 30 * 1000 * 1000, /* up for so long before it is made to end */
	HOLDER_S = 20,		      /* longest life of the child: nobody may be there to end it */
	N_STEPS = CCM_STEP_WRITE2 + 1,
	BAD_USAGE = 3,
};

bool __real_ccm_poll(struct ccm *ccm, uint64_t now_ns);
bool __wrap_ccm_poll(struct ccm *ccm, uint64_t now_ns);

static struct {
	bool ready;
	bool wants_step;
	bool provoked;
	uint32_t want; /* enum ccm_state or enum ccm_step */
	const char *name;
	uint32_t last_event;
	/* of the set-up under way, seen from outside the session */
	uint32_t steps; /* done */
	uint32_t turns; /* since the last one, or since there is a link */
	bool link_up;
	uint64_t failures;
	uint64_t answer_ns;
	uint64_t beats;
} victim;

static void
read_wish(void)
{
	victim.ready = true;
	victim.name = getenv("CCM_DIE_IN");
	for (uint32_t i = 0; victim.name != NULL && i < N_STEPS; i++) {
		victim.want = i;
		victim.wants_step = strcmp(victim.name, ccm_step_name(i)) == 0;
		if (victim.wants_step)
			return;
	}
	for (uint32_t i = 0; victim.name != NULL && i < CCM_STATE_COUNT; i++) {
		victim.want = i;
		if (strcmp(victim.name, ccm_state_name(i)) == 0)
			return;
	}
	fprintf(stderr, "ccm-node-dies: CCM_DIE_IN: not a state or step\n");
	_exit(BAD_USAGE);
}

static pid_t
keep_link(void)
{
	const char *silently = getenv("CCM_DIE_SILENTLY");
	pid_t pid;

	if (silently == NULL || strcmp(silently, "yes") != 0)
		return 0;
	pid = fork();
	if (pid != 0)
		return pid;
	signal(SIGALRM, SIG_DFL);
	alarm(HOLDER_S);
	for (;;)
		pause();
}

/* All attempts of this life, so that nobody can be up with one of them afterwards. */
static void
report(const struct ccm *ccm, const struct ccm_partner_status *st, pid_t holder)
{
	const char *name = getenv("CCM_DIE_REPORT");
	FILE *file = name != NULL ? fopen(name, "we") : NULL;
	struct ccm_event events[EVENTS_MAX];
	uint32_t n = ccm_read_events(ccm, events, EVENTS_MAX);
	struct timespec ts;

	if (file == NULL)
		return;
	fprintf(file,
		"{\"phase\": \"%s\", \"state\": \"%s\", \"holder\": %d, \"nonces\": "
		"[\"0x%016" PRIx64 "\"",
		victim.name, ccm_state_name(st->state), (int)holder, st->nonce);
	for (uint32_t i = 0; i < n; i++)
		fprintf(file, ", \"0x%016" PRIx64 "\"", events[i].nonce);
	clock_gettime(CLOCK_REALTIME, &ts);
	fprintf(file, "], \"at_us\": %" PRIu64 "}\n",
		(uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
	fclose(file);
}

static void
die(const struct ccm *ccm, const struct ccm_partner_status *st)
{
	report(ccm, st, keep_link());
	kill(getpid(), SIGKILL);
}

/* Also when it has gone on within the same turn. */
static bool
entered_state(const struct ccm *ccm)
{
	struct ccm_event events[TURN_EVENTS];
	uint32_t n = ccm_read_events(ccm, events, TURN_EVENTS);
	bool entered = false;

	for (uint32_t i = 0; i < n; i++)
		if (events[i].seq > victim.last_event && events[i].kind == CCM_EVENT_STATE &&
			events[i].to == victim.want)
			entered = true;
	if (n != 0)
		victim.last_event = events[n - 1].seq;
	return entered;
}

/* An answered READ and an acknowledged WRITE are a step each; a failure goes back to READ 1. */
static bool
within_step(const struct ccm_partner_status *st)
{
	uint64_t failures = st->reads_failed + st->writes_failed + st->records_bad;
	bool link_up = st->evidence.link_up;
	uint32_t steps = victim.steps;

	if (failures != victim.failures || !link_up)
		steps = 0;
	else if (st->last_answer_ns != victim.answer_ns && steps % 2 == 0)
		steps++;
	else if (st->beats != victim.beats && steps % 2 == 1)
		steps++;
	victim.turns = steps == victim.steps && link_up && victim.link_up ? victim.turns + 1 : 0;
	victim.steps = steps;
	victim.link_up = link_up;
	victim.failures = failures;
	victim.answer_ns = st->last_answer_ns;
	victim.beats = st->beats;
	return victim.turns == 1 && victim.steps == victim.want;
}

/* What a node that is up does not do by itself. */
static void
provoke(struct ccm *ccm, const struct ccm_partner_status *st, uint64_t now_ns)
{
	if (victim.provoked || st->state != CCM_UP || now_ns - st->since_ns < SETTLE_NS)
		return;
	victim.provoked = true;
	if (victim.want == CCM_LEAVING)
		raise(SIGTERM);
	else if (victim.want == CCM_CLOSING)
		ccm_link_report(ccm, false);
}

bool
__wrap_ccm_poll(struct ccm *ccm, uint64_t now_ns)
{
	bool any = __real_ccm_poll(ccm, now_ns);
	struct ccm_partner_status st;

	if (!victim.ready)
		read_wish();
	if (ccm_read_partner(ccm, 0, &st) != 0)
		return any;
	if (victim.wants_step) {
		if (within_step(&st))
			die(ccm, &st);
		return any;
	}
	provoke(ccm, &st, now_ns);
	if (entered_state(ccm))
		die(ccm, &st);
	return any;
}
