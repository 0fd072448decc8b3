/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Local buffers of work requests. Those for answers hold secret bytes all around and, while no work
 * request uses them, inside; so it shows when one is written too late, too early or past its end.
 */
#include "req_world.h"

#include <string.h>

static struct {
	uint8_t bytes[FUZZ_ZONE + REQ_LEN_MAX + FUZZ_ZONE];
	uint32_t dirty; /* bytes that were ever handed out for this input */
	uint32_t len;	/* in use: bytes that may change */
	bool taken;
} slots[REQ_SLOTS];

static uint8_t source[REQ_LEN_MAX], source_copy[REQ_LEN_MAX];

void *
req_source(uint32_t len)
{
	return source + REQ_LEN_MAX - len;
}

void
req_memory_open(void)
{
	static bool filled;

	for (uint32_t i = 0; i < REQ_SLOTS; i++)
		slots[i].taken = false;
	if (filled)
		return;
	filled = true;
	for (uint32_t i = 0; i < REQ_SLOTS; i++)
		memset(slots[i].bytes, FUZZ_SECRET, sizeof(slots[i].bytes));
	/* Each piece of it is different from what stands a packet further on. */
	for (uint32_t i = 0; i < REQ_LEN_MAX; i++)
		source[i] = source_copy[i] = (uint8_t)(i * 7 + (i >> 8) * 31);
}

uint8_t *
req_slot_at(uint32_t slot)
{
	return slots[slot].bytes + FUZZ_ZONE;
}

static void
check(uint32_t i)
{
	const uint8_t *at = req_slot_at(i);
	uint32_t used = slots[i].taken ? slots[i].len : 0;

	FUZZ_CHECK(fuzz_filled(slots[i].bytes, FUZZ_ZONE, FUZZ_SECRET));
	FUZZ_CHECK(fuzz_filled(at + used, slots[i].dirty - used + FUZZ_ZONE, FUZZ_SECRET));
}

uint32_t
req_slot_take(uint32_t len)
{
	uint32_t i = 0;

	while (i < REQ_SLOTS && slots[i].taken)
		i++;
	FUZZ_CHECK(i < REQ_SLOTS);
	check(i);
	slots[i].taken = true;
	slots[i].len = len;
	if (slots[i].dirty < len)
		slots[i].dirty = len;
	return i;
}

void
req_slot_give(uint32_t slot, uint32_t len)
{
	check(slot);
	memset(req_slot_at(slot), FUZZ_SECRET, len);
	slots[slot].taken = false;
}

/* At the end of an input. What work requests that never ended have got is cleared away. */
void
req_memory_check(void)
{
	for (uint32_t i = 0; i < REQ_SLOTS; i++) {
		if (slots[i].dirty == 0)
			continue;
		check(i);
		memset(req_slot_at(i), FUZZ_SECRET, slots[i].dirty);
		slots[i].dirty = 0;
	}
	FUZZ_CHECK(memcmp(source, source_copy, sizeof(source)) == 0);
}
