/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Atomics of several queue pairs on one word: is there a serial order in which every result makes
 * sense? The word only ever grows, so that order is the order of its values: each successful
 * operation is a step from the value it found to a larger one, and the steps of all queue pairs must
 * join to a chain without a gap. What an operation found that changed nothing must be a value of
 * that chain. Besides, no queue pair sees the word go back, nor an older value than was known when
 * the operation was posted.
 */

#include <stdint.h>

enum { SERIAL_LANES = 8 };

struct serial {
	uint64_t *chain; /* values the word has had, as far as the steps known join */
	uint32_t n_chain;
	uint32_t room;
	struct serial_step *late; /* known, but a step before it is not; `to` 0: only seen */
	uint32_t n_late;
	uint64_t known; /* highest value found or made by an operation that has ended */
	uint64_t last[SERIAL_LANES]; /* the same of one queue pair */
};

struct serial_step {
	uint64_t from;
	uint64_t to;
};

/* A word that is 0. steps: how many operations it will see at most. Returns 0 or -ENOMEM. */
int serial_init(struct serial *s, uint32_t steps);
void serial_free(struct serial *s);

/*
 * An operation of this lane has ended: it found `from` and made it `to`, or left it when both are
 * equal; `floor` is s->known at the time it was posted. Returns NULL, or what is wrong.
 */
const char *serial_add(struct serial *s, uint32_t lane, uint64_t from, uint64_t to, uint64_t floor);

/* All operations have ended and the word is `final`. Returns NULL, or what is wrong. */
const char *serial_end(const struct serial *s, uint64_t final);
