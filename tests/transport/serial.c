/* SPDX-License-Identifier: BSD-3-Clause */
#include "serial.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int
serial_init(struct serial *s, uint32_t steps)
{
	memset(s, 0, sizeof(*s));
	s->room = steps + 1;
	s->chain = calloc(s->room, sizeof(*s->chain));
	s->late = calloc(s->room, sizeof(*s->late));
	if (s->chain == NULL || s->late == NULL) {
		serial_free(s);
		return -ENOMEM;
	}
	s->n_chain = 1; /* 0 */
	return 0;
}

void
serial_free(struct serial *s)
{
	free(s->chain);
	free(s->late);
	s->chain = NULL;
	s->late = NULL;
}

static uint64_t
end_of(const struct serial *s)
{
	return s->chain[s->n_chain - 1];
}

static bool
in_chain(const struct serial *s, uint64_t value)
{
	uint32_t low = 0, high = s->n_chain;

	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (s->chain[mid] <= value)
			low = mid;
		else
			high = mid;
	}
	return s->chain[low] == value;
}

/* Join what was waiting for the chain's end to come this far. */
static const char *
join(struct serial *s)
{
	bool again = true;

	while (again) {
		uint32_t kept = 0;

		again = false;
		for (uint32_t i = 0; i < s->n_late; i++) {
			struct serial_step step = s->late[i];

			if (step.from > end_of(s)) {
				s->late[kept++] = step;
			} else if (!in_chain(s, step.from)) {
				return "found a value that the word never had";
			} else if (step.to != 0 && step.from != end_of(s)) {
				return "changed a value that another operation changed as well";
			} else if (step.to != 0) {
				s->chain[s->n_chain++] = step.to;
				again = true;
			}
		}
		s->n_late = kept;
	}
	return NULL;
}

const char *
serial_add(struct serial *s, uint32_t lane, uint64_t from, uint64_t to, uint64_t floor)
{
	if (from < s->last[lane])
		return "found an older value than the operation before it";
	if (from < floor)
		return "found an older value than was known when it was posted";
	if (s->n_late == s->room || s->n_chain == s->room)
		return "is one too many";
	s->last[lane] = to;
	if (to > s->known)
		s->known = to;
	s->late[s->n_late++] = (struct serial_step){from, to == from ? 0 : to};
	return join(s);
}

const char *
serial_end(const struct serial *s, uint64_t final)
{
	if (s->n_late != 0)
		return "an operation found a value that none has made";
	if (final != end_of(s))
		return "the word does not hold what the last operation made";
	return NULL;
}
