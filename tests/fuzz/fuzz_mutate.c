/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inputs out of inputs, record by record. Most mutations leave every record sensible by the
 * target's grammar, so that inputs get deep into the protocol; some are blind.
 */
#include "fuzz.h"

#include <frame_maker.h>

#include <string.h>

enum { SAMPLES_MAX = 8 };

/* Where the records of an input are; at[n] is its end. */
struct layout {
	size_t at[FUZZ_RECORDS_MAX + 1];
	uint32_t n;
};

static struct layout
lay_out(const uint8_t *data, size_t size)
{
	struct layout l = {.n = 0};
	size_t at = fuzz_grammar.header;

	while (l.n < FUZZ_RECORDS_MAX && at <= size && size - at >= sizeof(struct fuzz_record)) {
		l.at[l.n++] = at;
		at += fuzz_extent((const struct fuzz_record *)(data + at), size - at);
	}
	l.at[l.n] = at;
	return l;
}

static struct fuzz_record *
record(uint8_t *data, const struct layout *l, uint32_t i)
{
	return (struct fuzz_record *)(data + l->at[i]);
}

/* Put bytes in at a place; what no longer fits behind them is cut off. */
static size_t
insert(uint8_t *data, size_t size, size_t max_size, size_t at, const void *bytes, size_t len)
{
	size_t tail = size - at;

	if (len > max_size - at)
		return size;
	if (tail > max_size - at - len)
		tail = max_size - at - len;
	memmove(data + at + len, data + at, tail);
	memcpy(data + at, bytes, len);
	return at + len + tail;
}

static size_t
insert_samples(uint64_t *prng, uint8_t *data, size_t size, size_t max_size)
{
	struct layout l = lay_out(data, size);
	struct fuzz_record recs[SAMPLES_MAX];
	uint32_t n = fuzz_grammar.sample(prng, recs);
	/* Mostly at the end, where all before it stays as it was. */
	uint32_t i = prng_below(prng, 2) ? l.n : prng_below(prng, l.n + 1);

	return insert(data, l.at[l.n], max_size, l.at[i], recs, n * sizeof(recs[0]));
}

static size_t
erase(uint64_t *prng, uint8_t *data, size_t size)
{
	struct layout l = lay_out(data, size);
	uint32_t i, n;

	if (l.n < 2)
		return size;
	i = prng_below(prng, l.n);
	n = prng_below(prng, 4) ? 1 : prng_below(prng, l.n - i) + 1;
	memmove(data + l.at[i], data + l.at[i + n], l.at[l.n] - l.at[i + n]);
	return l.at[l.n] - (l.at[i + n] - l.at[i]);
}

/* A copy of some records elsewhere: a duplicate, a late arrival. */
static size_t
copy_records(uint64_t *prng, uint8_t *data, size_t size, size_t max_size)
{
	struct layout l = lay_out(data, size);
	uint8_t bytes[1024];
	uint32_t i, n;
	size_t len;

	if (l.n == 0)
		return size;
	i = prng_below(prng, l.n);
	n = prng_below(prng, 2) ? 1 : prng_below(prng, l.n - i) + 1;
	len = l.at[i + n] - l.at[i];
	if (len > sizeof(bytes))
		return size;
	memcpy(bytes, data + l.at[i], len);
	return insert(data, l.at[l.n], max_size, l.at[prng_below(prng, l.n + 1)], bytes, len);
}

/* Two records of equal size change places: reordering. */
static void
swap_records(uint64_t *prng, uint8_t *data, size_t size)
{
	struct layout l = lay_out(data, size);
	struct fuzz_record *a, *b, saved;
	uint32_t i;

	if (l.n < 2)
		return;
	i = prng_below(prng, l.n - 1);
	a = record(data, &l, i);
	b = record(data, &l, prng_below(prng, 2) ? i + 1 : prng_below(prng, l.n));
	if (a->kind == FUZZ_RAW || b->kind == FUZZ_RAW)
		return;
	saved = *a;
	*a = *b;
	*b = saved;
}

static void
tweak_record(uint64_t *prng, uint8_t *data, size_t size)
{
	struct layout l = lay_out(data, size);
	struct fuzz_record *rec;
	uint32_t i;

	if (l.n == 0)
		return;
	i = prng_below(prng, l.n);
	rec = record(data, &l, i);
	if (rec->kind == FUZZ_RAW && l.at[i + 1] - l.at[i] > sizeof(*rec) && prng_below(prng, 4))
		LLVMFuzzerMutate((uint8_t *)(rec + 1), l.at[i + 1] - l.at[i] - sizeof(*rec),
			l.at[i + 1] - l.at[i] - sizeof(*rec));
	else if (prng_below(prng, 8) == 0)
		LLVMFuzzerMutate((uint8_t *)rec, sizeof(*rec), sizeof(*rec));
	else
		fuzz_grammar.tweak(prng, rec);
}

static size_t
mutate_once(uint64_t *prng, uint8_t *data, size_t size, size_t max_size)
{
	switch (prng_below(prng, 16)) {
	case 0:
		fuzz_grammar.header_sample(prng, data);
		return size;
	case 1:
	case 2:
		return erase(prng, data, size);
	case 3:
	case 4:
		return copy_records(prng, data, size, max_size);
	case 5:
	case 6:
		swap_records(prng, data, size);
		return size;
	case 7:
	case 8:
	case 9:
	case 10:
		return insert_samples(prng, data, size, max_size);
	case 11:
		if (prng_below(prng, 4) == 0)
			return LLVMFuzzerMutate(data, size, max_size);
		/* fallthrough */
	default:
		tweak_record(prng, data, size);
		return size;
	}
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	uint64_t prng = seed;

	if (max_size < fuzz_grammar.header + SAMPLES_MAX * sizeof(struct fuzz_record))
		return LLVMFuzzerMutate(data, size, max_size);
	if (size < fuzz_grammar.header) {
		memset(data, 0, fuzz_grammar.header);
		fuzz_grammar.header_sample(&prng, data);
		size = insert_samples(&prng, data, fuzz_grammar.header, max_size);
	}
	do
		size = mutate_once(&prng, data, size, max_size);
	while (prng_below(&prng, 3) != 0);
	if (size == 0)
		size = 1;
	data[0] = FUZZ_VERSION;
	return size;
}

/* The beginning of one input, the end of another. */
size_t
LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
	uint8_t *out, size_t max_size, unsigned int seed)
{
	struct layout la = lay_out(a, a_size), lb = lay_out(b, b_size);
	uint64_t prng = seed;
	size_t head, tail_at, tail;

	if (a_size < fuzz_grammar.header || b_size < fuzz_grammar.header || a_size > max_size)
		return 0;
	head = la.at[prng_below(&prng, la.n + 1)];
	tail_at = lb.at[prng_below(&prng, lb.n + 1)];
	tail = lb.at[lb.n] - tail_at;
	if (tail > max_size - head)
		tail = max_size - head;
	memcpy(out, a, head);
	memcpy(out + head, b + tail_at, tail);
	return head + tail;
}
