/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Rate limit by the generic cell rate algorithm (ITU-T I.371): the only state is the time by
 * which everything that has passed is paid for.
 */

#include <stdbool.h>
#include <stdint.h>

/*
 * @param paid_until  the state; 0 to begin with
 * @param cost_ns     time that this one takes at the permitted rate
 * @param burst_ns    how far payment may lie in the future; something that costs more than that
 *                    passes, and is paid for before the next
 */
static inline bool
remu_limit_pass(uint64_t *paid_until, uint64_t now, uint64_t cost_ns, uint64_t burst_ns)
{
	if (*paid_until > now + burst_ns)
		return false;
	*paid_until = (*paid_until > now ? *paid_until : now) + cost_ns;
	return true;
}
