/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Between the inputs of a session (ccm_session.c) and its rules (ccm_rules.c). Pure, like both.
 * Functions that return a uint32_t return CCM_ACT_* bits.
 */

#include "ccm_session.h"

enum { CCM_HANDSHAKE_STEPS = 4 }; /* READ 1, WRITE 1, READ 2, WRITE 2 */

static inline uint64_t
ccm__min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
ccm__max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The one gate for state changes. */
uint32_t ccm__set_state(struct ccm_session *s, enum ccm_state to, enum ccm_reason reason,
	uint64_t now);

/* Bound to an attempt of the partner, and not on our way out. */
bool ccm__is_bound(const struct ccm_session *s);

/*
 * Whether the partner, whose beat has stood still for the detection time, answered after its last
 * beat. One that is gone stops both within a beat, which is a third of that time at most.
 */
bool ccm__went_on_answering(const struct ccm_session *s);

/* Bound, and not yet UP. */
bool ccm__is_setting_up(const struct ccm_session *s);

/* How long a bound attempt may stand in one state before UP, while the partner's heart beats. */
uint64_t ccm__setup_limit(const struct ccm_session *s);

/* End of a handshake step; the next one of its kind begins. */
void ccm__time_step(struct ccm_session *s, enum ccm_step step, uint64_t now);

/* A new nonce, and nothing known for it (R1). */
uint32_t ccm__new_attempt(struct ccm_session *s);

/*
 * Unbound, and the partner is there, but none that we can bind to, which it is told. In other states
 * nothing.
 */
uint32_t ccm__refuse(struct ccm_session *s, enum ccm_reason reason, uint64_t now);

/* End the attempt for whatever reason: clients told, ports destroyed, a new attempt (R1). */
uint32_t ccm__abandon(struct ccm_session *s, enum ccm_reason reason, uint64_t now);

/*
 * Whether the ports of this attempt are those that follow from our clients and from this directory
 * of the partner. @param out  gets the map that does; may be NULL
 */
bool ccm__map_holds(const struct ccm_session *s, const struct ccm_directory *dir,
	struct ccm_port_map *out);

/* The clients of one side have changed: does the map of this attempt, if any, still hold? */
void ccm__remap(struct ccm_session *s);

/* Whether a record is from our partner and for us: NONE, or why not. */
enum ccm_reason ccm__check_identity(const struct ccm_session *s, const struct ccm_record *rec);

/* Do what follows from everything known. Called after every news. */
uint32_t ccm__decide(struct ccm_session *s, uint64_t now);
