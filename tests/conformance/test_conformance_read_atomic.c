/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance of the responder in READs and atomics: statements 53 to 66 of the checklist, one test
 * each, and further ones from 161 on that the checklist does not have.
 */
#include "conf.h"

#include <rte_common.h>

/* A READ that is in order, answered at once. */
static void
read_one(struct target *t, int32_t psn, uint32_t msn, uint32_t off, uint32_t len)
{
	uint32_t n = len <= MTU ? 1 : (len + MTU - 1) / MTU;

	inject(t, OK, .op = READ, .psn = psn, .off = off, .dma = len);
	expect_read(t, psn, msn, off, len);
	expect_settled(t, psn + (int32_t)n, msn);
}

static void
c53_read_is_answered_in_packets_of_the_path_mtu(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = READ, .psn = 0, .off = 3, .dma = 1);
	expect_data(&t, DATA_ONLY, 0, 1, 3, 1);
	expect_settled(&t, 1, 1);
	inject(&t, OK, .op = READ, .psn = 1, .off = 0, .dma = 1024);
	expect_data(&t, DATA_ONLY, 1, 2, 0, 1024);
	expect_settled(&t, 2, 2);
	inject(&t, OK, .op = READ, .psn = 2, .off = 5, .dma = 1025);
	expect_data(&t, DATA_FIRST, 2, 3, 5, 1024);
	expect_data(&t, DATA_LAST, 3, 3, 5 + 1024, 1);
	expect_settled(&t, 4, 3);
	inject(&t, OK, .op = READ, .psn = 4, .off = REGION - 4096, .dma = 4096);
	expect_data(&t, DATA_FIRST, 4, 4, REGION - 4096, 1024);
	expect_data(&t, DATA_MIDDLE, 5, 4, REGION - 3072, 1024);
	expect_data(&t, DATA_MIDDLE, 6, 4, REGION - 2048, 1024);
	expect_data(&t, DATA_LAST, 7, 4, REGION - 1024, 1024);
	expect_settled(&t, 8, 4);
	target_close(&t);
}

static void
c54_read_of_nothing_needs_no_region(void **state)
{
	static const uint32_t keys[] = {NO_KEY, OTHER_PD, WO};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	for (size_t i = 0; i < RTE_DIM(keys); i++) {
		int32_t psn = (int32_t)i;

		target_case(&t, i);
		inject(&t, OK, .op = READ, .psn = psn, .off = -TARGET_VA, .rkey = keys[i]);
		expect_data(&t, DATA_ONLY, psn, (uint32_t)i + 1, 0, 0);
		expect_settled(&t, psn + 1, (uint32_t)i + 1);
	}
	/* Again. */
	inject(&t, OK, .op = READ, .psn = 1, .off = -TARGET_VA, .rkey = OTHER_PD);
	expect_data(&t, DATA_ONLY, 1, 3, 0, 0);
	expect_settled(&t, 3, 3);
	target_close(&t);
}

static void
c55_read_without_ackreq_is_answered(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = READ, .psn = 0, .dma = 8, .no_ackreq = true);
	expect_data(&t, DATA_ONLY, 0, 1, 0, 8);
	expect_settled(&t, 1, 1);
	inject(&t, OK, .op = READ, .psn = 0, .dma = 8, .no_ackreq = true);
	expect_data(&t, DATA_ONLY, 0, 1, 0, 8);
	expect_settled(&t, 1, 1);
	target_close(&t);
}

static void
c56_read_of_a_bad_range_gets_one_nak(void **state)
{
	static const struct {
		int64_t off;
		uint32_t len;
		uint32_t rkey;
	} cases[] = {{REGION - MTU, MTU + 1, ALL}, {-1, 4 * MTU, ALL}, {0, 4 * MTU, NO_KEY},
		{0, REGION + MTU, ALL}, {REGION - 3 * MTU, 3 * MTU + 1, RO}};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, i);
		read_one(&t, 0, 1, 0, 3 * MTU);
		expect_refused(&t, NAK_ACCESS, 1, .op = READ, .psn = 3, .off = cases[i].off,
			.dma = cases[i].len, .rkey = cases[i].rkey);
		target_close(&t);
	}
}

static void
c57_duplicate_read_gets_fresh_data(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	read_one(&t, 0, 1, 100, 4 * MTU - 5);
	for (int i = 0; i < 3; i++) {
		target_scribble(&t);
		inject(&t, OK, .op = READ, .psn = 0, .off = 100, .dma = 4 * MTU - 5);
		expect_read(&t, 0, 1, 100, 4 * MTU - 5);
		expect_settled(&t, 4, 1);
	}
	read_one(&t, 4, 2, 0, 8);
	/* It is no new message. */
	inject(&t, OK, .op = READ, .psn = 0, .off = 100, .dma = 4 * MTU - 5);
	expect_read(&t, 0, 2, 100, 4 * MTU - 5);
	expect_settled(&t, 5, 2);
	target_close(&t);
}

static void
c58_rest_of_a_read_starts_with_first_or_only(void **state)
{
	static const uint32_t order[] = {1, 3, 2, 1, 3, 3, 0};
	enum { LEN = 3 * MTU + 77 };
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	read_one(&t, 0, 1, 9, LEN);
	/* The retries need not go forward. */
	for (size_t i = 0; i < RTE_DIM(order); i++) {
		uint32_t k = order[i];

		target_case(&t, i);
		inject(&t, OK, .op = READ, .psn = (int32_t)k, .off = 9 + k * MTU,
			.dma = LEN - k * MTU);
		expect_data(&t, k == 3 ? DATA_ONLY : DATA_FIRST, (int32_t)k, 1, 9 + k * MTU,
			k == 3 ? 77 : MTU);
		for (uint32_t n = k + 1; n <= 3; n++)
			expect_data(&t, n == 3 ? DATA_LAST : DATA_MIDDLE, (int32_t)n, 1,
				9 + n * MTU, n == 3 ? 77 : MTU);
		expect_settled(&t, 4, 1);
	}
	target_close(&t);
}

static void
c59_rest_of_another_read_is_dropped(void **state)
{
	static const struct request bad[] = {
		{.psn = 1, .off = MTU + 1, .dma = 3 * MTU},
		{.psn = 1, .off = 0, .dma = 3 * MTU},
		{.psn = 1, .off = 2 * MTU, .dma = 3 * MTU},
		{.psn = 1, .off = MTU, .dma = 3 * MTU - 1},
		{.psn = 1, .off = MTU, .dma = 3 * MTU + 1},
		{.psn = 1, .off = MTU, .dma = 2 * MTU},
		{.psn = 1, .off = MTU, .dma = 4 * MTU},
		{.psn = 1, .off = MTU},
		{.psn = 1, .off = MTU, .dma = 3 * MTU, .rkey = RO},
		{.psn = 1, .off = MTU, .dma = 3 * MTU, .rkey = NO_KEY},
		{.psn = 0, .off = MTU, .dma = 3 * MTU},
		{.psn = 0, .off = 0, .dma = MTU},
		{.psn = 0, .off = 0, .dma = 4 * MTU, .rkey = RO},
		{.psn = 2, .off = MTU, .dma = 3 * MTU},
		{.psn = -1, .off = 0, .dma = 4 * MTU},
		{.psn = -1, .off = -MTU, .dma = 5 * MTU},
		{.psn = 3, .off = 3 * MTU, .dma = MTU, .rkey = WO},
	};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	read_one(&t, 0, 1, 0, 4 * MTU);
	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		struct request r = bad[i];

		r.op = READ;
		target_case(&t, i);
		target_inject(target_at(&t, __LINE__), DUP, &r);
		expect_settled(&t, 4, 1);
	}
	inject(&t, OK, .op = READ, .psn = 3, .off = 3 * MTU, .dma = MTU);
	expect_data(&t, DATA_ONLY, 3, 1, 3 * MTU, MTU);
	expect_settled(&t, 4, 1);
	target_close(&t);
}

static void
c60_old_reads_are_forgotten(void **state)
{
	static const uint32_t depths[] = {1, 2, 3, 16};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(depths); i++) {
		int32_t depth = (int32_t)depths[i];

		target_open(&t, &(struct wire_config){.max_dest = depths[i]});
		target_case(&t, i);
		for (int32_t psn = 0; psn <= depth; psn++)
			read_one(&t, psn, (uint32_t)psn + 1, 8 * (uint32_t)psn, 8);
		inject(&t, DUP, .op = READ, .psn = 0, .dma = 8);
		expect_settled(&t, depth + 1, depths[i] + 1);
		for (int32_t psn = 1; psn <= depth; psn++) {
			inject(&t, OK, .op = READ, .psn = psn, .off = 8 * psn, .dma = 8);
			expect_read(&t, psn, depths[i] + 1, 8 * (uint32_t)psn, 8);
			expect_settled(&t, depth + 1, depths[i] + 1);
		}
		target_close(&t);
	}
}

static void
c61_read_sees_the_write_before_it(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0, .off = 10, .len = 99);
	target_wrote(&t, 10, 99);
	inject(&t, OK, .op = READ, .psn = 1, .off = 0, .dma = 120);
	expect_ack(&t, 0, 1);
	expect_read(&t, 1, 2, 0, 120);
	expect_settled(&t, 2, 2);
	/* And the packets of a long one. */
	inject(&t, OK, .op = WRITE_FIRST, .psn = 2, .off = 10, .dma = MTU + 7, .len = MTU);
	target_wrote(&t, 10, MTU);
	inject(&t, OK, .op = WRITE_LAST, .psn = 3, .len = 7, .no_ackreq = true);
	target_wrote(&t, 10 + MTU, 7);
	inject(&t, OK, .op = READ, .psn = 4, .off = 10, .dma = MTU + 7);
	expect_read(&t, 4, 4, 10, MTU + 7);
	expect_settled(&t, 6, 4);
	target_close(&t);
}

static void
c62_ack_does_not_overtake_read_data(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = READ, .psn = 0, .dma = 3 * MTU);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 3, .off = REGION - 8, .len = 8);
	target_wrote(&t, REGION - 8, 8);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 4, .off = REGION - 8, .len = 8);
	target_wrote(&t, REGION - 8, 8);
	expect_data(&t, DATA_FIRST, 0, 1, 0, MTU);
	/* Neither does one that comes while data is being sent. */
	inject(&t, OK, .op = WRITE_ONLY, .psn = 5, .off = REGION - 8, .len = 8);
	target_wrote(&t, REGION - 8, 8);
	expect_data(&t, DATA_MIDDLE, 1, 1, MTU, MTU);
	expect_data(&t, DATA_LAST, 2, 1, 2 * MTU, MTU);
	expect_ack(&t, 5, 4);
	expect_settled(&t, 6, 4);
	target_close(&t);
}

static void
c63_atomics_change_memory_and_tell_what_they_found(void **state)
{
	static const uint64_t a = 0x1122334455667788, b = 0x99aabbccddeeff00;
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.max_dest = 1});
	/* Host order in memory, big-endian on the wire. */
	target_store(&t, 8, a);
	inject(&t, OK, .op = CMP_SWAP, .psn = 0, .off = 8, .compare = a, .swap_add = b);
	target_stored(&t, 8, b);
	expect_atomic(&t, 0, 1, a);
	expect_settled(&t, 1, 1);
	inject(&t, OK, .op = CMP_SWAP, .psn = 1, .off = 8, .compare = b ^ 1, .swap_add = a);
	expect_atomic(&t, 1, 2, b);
	expect_settled(&t, 2, 2);
	inject(&t, OK, .op = CMP_SWAP, .psn = 2, .off = 8, .compare = b ^ 1ull << 63,
		.swap_add = a);
	expect_atomic(&t, 2, 3, b);
	expect_settled(&t, 3, 3);
	target_store(&t, REGION - 8, UINT64_MAX - 1);
	inject(&t, OK, .op = FETCH_ADD, .psn = 3, .off = REGION - 8, .swap_add = 5);
	target_stored(&t, REGION - 8, 3);
	expect_atomic(&t, 3, 4, UINT64_MAX - 1);
	expect_settled(&t, 4, 4);
	/* A carry goes through all bytes. */
	target_store(&t, 0, 0x00ffffffffffffff);
	inject(&t, OK, .op = FETCH_ADD, .psn = 4, .off = 0, .swap_add = 1, .compare = b);
	target_stored(&t, 0, 0x0100000000000000);
	expect_atomic(&t, 4, 5, 0x00ffffffffffffff);
	/* Subtract. Unlike a WRITE, it is answered without being asked. */
	inject(&t, OK, .op = FETCH_ADD, .psn = 5, .swap_add = UINT64_MAX, .no_ackreq = true);
	target_stored(&t, 0, 0x00ffffffffffffff);
	expect_atomic(&t, 5, 6, 0x0100000000000000);
	expect_settled(&t, 6, 6);
	target_close(&t);
}

static void
c64_duplicate_atomic_is_not_executed_again(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_store(&t, 0, 40);
	inject(&t, OK, .op = FETCH_ADD, .psn = 0, .swap_add = 2);
	target_stored(&t, 0, 42);
	expect_atomic(&t, 0, 1, 40);
	inject(&t, OK, .op = CMP_SWAP, .psn = 1, .compare = 42, .swap_add = 43);
	target_stored(&t, 0, 43);
	expect_atomic(&t, 1, 2, 42);
	expect_settled(&t, 2, 2);
	for (int i = 0; i < 3; i++) {
		inject(&t, OK, .op = FETCH_ADD, .psn = 0, .swap_add = 2);
		expect_atomic(&t, 0, 2, 40);
		expect_settled(&t, 2, 2);
		inject(&t, OK, .op = CMP_SWAP, .psn = 1, .compare = 42, .swap_add = 43);
		expect_atomic(&t, 1, 2, 42);
		expect_settled(&t, 2, 2);
		/* It is the value found then, whatever is there now. */
		target_scribble(&t);
	}
	target_close(&t);
}

static void
c65_atomics_are_aligned(void **state)
{
	struct target t;

	(void)state;
	for (int64_t off = 1; off < 8; off++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, (size_t)off);
		expect_refused(&t, NAK_INVALID, 0, .op = CMP_SWAP, .off = off,
			.compare = target_load(&t, (uint32_t)off));
		target_close(&t);
		target_open(&t, &(struct wire_config){0});
		target_case(&t, (size_t)off);
		expect_refused(&t, NAK_INVALID, 0, .op = FETCH_ADD, .off = 16 + off, .swap_add = 1);
		target_close(&t);
	}
}

static void
c66_without_read_slots_all_are_refused(void **state)
{
	static const struct request requests[] = {{.op = READ, .dma = 8}, {.op = READ},
		{.op = CMP_SWAP}, {.op = FETCH_ADD}, {.op = READ, .dma = 8, .rkey = NO_KEY},
		{.op = FETCH_ADD, .rkey = NO_KEY}};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(requests); i++) {
		target_open(&t, &(struct wire_config){.no_dest = true});
		target_case(&t, i);
		target_refused(target_at(&t, __LINE__), NAK_INVALID, 0, &requests[i]);
		target_close(&t);
	}
	/* WRITEs do not mind, nor do their duplicates. */
	target_open(&t, &(struct wire_config){.no_dest = true});
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0, .len = 8);
	target_wrote(&t, 0, 8);
	expect_ack(&t, 0, 1);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0, .len = 8);
	expect_ack(&t, 0, 1);
	inject(&t, DUP, .op = READ, .psn = 0, .dma = 8);
	expect_settled(&t, 1, 1);
	target_close(&t);
}

/* A region is revoked while a READ waits: a NAK instead of the first packet, later silence. */
static void
c161_region_revoked_while_a_read_waits(void **state)
{
	struct target t;

	(void)state;
	for (int32_t sent = 0; sent < 3; sent++) {
		target_open(&t, &(struct wire_config){0});
		target_case(&t, (size_t)sent);
		target_post_recv(&t, 1, 0, 0);
		inject(&t, OK, .op = READ, .psn = 0, .dma = 3 * MTU);
		/* What has been carried out behind it must not be acknowledged: the READ fails. */
		inject(&t, OK, .op = WRITE_ONLY, .psn = 3, .len = 8, .off = REGION - 8);
		target_wrote(&t, REGION - 8, 8);
		for (int32_t k = 0; k < sent; k++)
			expect_data(&t, k == 0 ? DATA_FIRST : DATA_MIDDLE, k, 1, (uint32_t)k * MTU,
				MTU);
		assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, ALL), 0);
		if (sent == 0)
			expect_nak(&t, 0, NAK_ACCESS, 2);
		else
			bench_expect_silence(&t.b);
		expect_dead(&t, 4, 2);
		target_close(&t);
	}
	/* Registered again is another region. */
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = READ, .psn = 0, .dma = 8);
	assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, ALL), 0);
	target_register(&t, ALL, REMU_ACCESS_REMOTE_READ, WIRE_PD);
	expect_nak(&t, 0, NAK_ACCESS, 1);
	expect_dead(&t, 1, 1);
	target_close(&t);
}

/* A READ of another region goes on, and so does the answer that has left already. */
static void
c162_revoking_does_not_hurt_others(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, OK, .op = READ, .psn = 0, .dma = 8);
	expect_read(&t, 0, 1, 0, 8);
	inject(&t, OK, .op = READ, .psn = 1, .dma = 3 * MTU, .rkey = RO);
	inject(&t, OK, .op = READ, .psn = 4, .rkey = ALL); /* of nothing */
	assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, ALL), 0);
	expect_read(&t, 1, 2, 0, 3 * MTU);
	expect_data(&t, DATA_ONLY, 4, 3, 0, 0);
	expect_settled(&t, 5, 3);
	/* Nor a READ that is repeated when its region is gone: it has been answered once. */
	inject(&t, DUP, .op = READ, .psn = 0, .dma = 8);
	expect_settled(&t, 5, 3);
	/* Or goes in mid-answer. */
	inject(&t, OK, .op = READ, .psn = 1, .dma = 3 * MTU, .rkey = RO);
	expect_data(&t, DATA_FIRST, 1, 3, 0, MTU);
	assert_int_equal(remu_mr_deregister(t.b.e, WIRE_PD, RO), 0);
	expect_settled(&t, 5, 3);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 5);
	expect_ack(&t, 5, 4);
	expect_settled(&t, 6, 4);
	target_close(&t);
}

/* So many READs and atomics as agreed may wait for their answers, but no more. */
static void
c163_more_reads_than_agreed_are_refused(void **state)
{
	static const uint32_t depths[] = {1, 3, 16};
	struct target t;

	(void)state;
	for (size_t i = 0; i < 2 * RTE_DIM(depths); i++) {
		uint32_t n = depths[i / 2];
		bool atomic = i % 2;

		target_open(&t, &(struct wire_config){.max_dest = n});
		target_case(&t, i);
		target_store(&t, 0, 1);
		for (int32_t psn = 0; psn < (int32_t)n; psn++)
			inject(&t, OK, .op = atomic ? FETCH_ADD : READ, .psn = psn,
				.dma = atomic ? 0 : 8);
		inject(&t, INVALID, .op = atomic ? READ : FETCH_ADD, .psn = (int32_t)n);
		for (uint32_t k = 0; k < n; k++)
			if (atomic)
				expect_atomic(&t, (int32_t)k, k + 1, 1);
			else
				expect_read(&t, (int32_t)k, k + 1, 0, 8);
		expect_nak(&t, (int32_t)n, NAK_INVALID, n);
		expect_dead(&t, (int32_t)n, n);
		target_close(&t);
		/* An answer that has left makes room. */
		target_open(&t, &(struct wire_config){.max_dest = n});
		target_case(&t, i);
		for (int32_t psn = 0; psn < (int32_t)n; psn++)
			inject(&t, OK, .op = READ, .psn = psn, .dma = 8);
		expect_read(&t, 0, 1, 0, 8);
		inject(&t, OK, .op = READ, .psn = (int32_t)n, .dma = 8);
		for (uint32_t k = 1; k <= n; k++)
			expect_read(&t, (int32_t)k, k + 1, 0, 8);
		expect_settled(&t, (int32_t)n + 1, n + 1);
		target_close(&t);
	}
}

/* The results of atomics are kept for as many as agreed; READs take places too. */
static void
c164_old_atomics_are_forgotten(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.max_dest = 2});
	target_store(&t, 0, 0);
	for (uint32_t k = 0; k < 3; k++) {
		inject(&t, OK, .op = FETCH_ADD, .psn = (int32_t)k, .swap_add = 1);
		target_stored(&t, 0, k + 1);
		expect_atomic(&t, (int32_t)k, k + 1, k);
	}
	inject(&t, DUP, .op = FETCH_ADD, .psn = 0, .swap_add = 1);
	expect_settled(&t, 3, 3);
	inject(&t, OK, .op = FETCH_ADD, .psn = 1, .swap_add = 1);
	expect_atomic(&t, 1, 3, 1);
	read_one(&t, 3, 4, 0, 8);
	inject(&t, DUP, .op = FETCH_ADD, .psn = 1, .swap_add = 1);
	inject(&t, OK, .op = FETCH_ADD, .psn = 2, .swap_add = 1);
	expect_atomic(&t, 2, 4, 2);
	/* WRITEs do not. */
	for (int32_t psn = 4; psn < 10; psn++)
		inject(&t, OK, .op = WRITE_ONLY, .psn = psn, .no_ackreq = true);
	inject(&t, OK, .op = FETCH_ADD, .psn = 2, .swap_add = 1);
	expect_atomic(&t, 2, 10, 2);
	expect_settled(&t, 10, 10);
	target_close(&t);
}

/*
 * The ACK of a duplicate stops before a READ or atomic behind it: its answer may be missing too, and
 * an ACK beyond it would say that it has been lost.
 */
static void
c165_reack_does_not_jump_over_a_read(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_store(&t, 0, 1);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 1);
	inject(&t, OK, .op = READ, .psn = 2, .dma = 2 * MTU);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 4);
	inject(&t, OK, .op = FETCH_ADD, .psn = 5);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 6);
	expect_ack(&t, 1, 2);
	expect_read(&t, 2, 3, 0, 2 * MTU);
	expect_ack(&t, 4, 4);
	expect_atomic(&t, 5, 5, 1);
	expect_ack(&t, 6, 6);
	expect_settled(&t, 7, 6);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0);
	expect_ack(&t, 1, 6);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 1);
	expect_ack(&t, 1, 6);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 4);
	expect_ack(&t, 4, 6);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 6);
	expect_ack(&t, 6, 6);
	expect_settled(&t, 7, 6);
	/* The peer goes back to the beginning: answers come in the order of PSNs. */
	for (int i = 0; i < 2; i++) {
		inject(&t, OK, .op = WRITE_ONLY, .psn = 0);
		inject(&t, OK, .op = WRITE_ONLY, .psn = 1);
		inject(&t, OK, .op = READ, .psn = 2, .dma = 2 * MTU);
		inject(&t, OK, .op = WRITE_ONLY, .psn = 4);
		inject(&t, OK, .op = FETCH_ADD, .psn = 5);
		inject(&t, OK, .op = WRITE_ONLY, .psn = 6);
		expect_ack(&t, 1, 6);
		expect_read(&t, 2, 6, 0, 2 * MTU);
		expect_ack(&t, 4, 6);
		expect_atomic(&t, 5, 6, 1);
		expect_ack(&t, 6, 6);
		expect_settled(&t, 7, 6);
	}
	target_close(&t);
}

/* A READ longer than the queue pair allows is refused, so that no small request makes us flood. */
static void
c166_read_beyond_the_cap_is_refused(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.max_read_len = 2 * MTU});
	read_one(&t, 0, 1, 0, 2 * MTU);
	expect_refused(&t, NAK_INVALID, 1, .op = READ, .psn = 2, .dma = 2 * MTU + 1);
	target_close(&t);
}

/* Several answers go out one after the other, in the order of the requests. */
static void
c167_answers_are_in_order(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_store(&t, 0, 9);
	inject(&t, OK, .op = READ, .psn = 0, .off = 100, .dma = 2 * MTU + 1);
	inject(&t, OK, .op = FETCH_ADD, .psn = 3);
	inject(&t, OK, .op = READ, .psn = 4, .off = 50, .dma = 8);
	inject(&t, OK, .op = CMP_SWAP, .psn = 5, .compare = 9, .swap_add = 10);
	target_stored(&t, 0, 10);
	inject(&t, AHEAD, .op = WRITE_ONLY, .psn = 1000);
	expect_read(&t, 0, 1, 100, 2 * MTU + 1);
	expect_atomic(&t, 3, 2, 9);
	expect_read(&t, 4, 3, 50, 8);
	expect_atomic(&t, 5, 4, 9);
	expect_nak(&t, 6, NAK_SEQUENCE, 4);
	expect_settled(&t, 6, 4);
	target_close(&t);
}

/* A READ that is repeated while its answer waits is not answered twice. */
static void
c168_read_repeated_too_early_is_answered_once(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_store(&t, 0, 1);
	inject(&t, OK, .op = READ, .psn = 0, .dma = 2 * MTU);
	inject(&t, OK, .op = FETCH_ADD, .psn = 2);
	for (int i = 0; i < 5; i++) {
		inject(&t, DUP, .op = READ, .psn = 0, .dma = 2 * MTU);
		inject(&t, DUP, .op = READ, .psn = 1, .off = MTU, .dma = MTU);
		inject(&t, DUP, .op = FETCH_ADD, .psn = 2);
	}
	expect_read(&t, 0, 1, 0, 2 * MTU);
	expect_atomic(&t, 2, 2, 1);
	expect_settled(&t, 3, 2);
	target_close(&t);
}

/* Each path MTU makes its own packets. */
static void
c169_data_is_in_packets_of_the_path_mtu_agreed(void **state)
{
	static const uint32_t mtus[] = {256, 512, 1024, 2048, 4096};
	struct target t;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(mtus); i++) {
		int32_t mtu = (int32_t)mtus[i];
		uint32_t lens[] = {mtus[i] - 1, mtus[i], mtus[i] + 1, 2 * mtus[i] - 1, 2 * mtus[i]};
		int32_t psn = 0;

		if (!target_mtu_fits(&(struct wire_config){0}, mtus[i]))
			continue;
		target_open(&t, &(struct wire_config){.mtu = mtus[i]});
		target_case(&t, i);
		for (uint32_t k = 0; k < RTE_DIM(lens); k++) {
			inject(&t, OK, .op = READ, .psn = psn, .dma = lens[k]);
			expect_read(&t, psn, k + 1, 0, lens[k]);
			psn += lens[k] > mtus[i] ? 2 : 1;
			expect_settled(&t, psn, k + 1);
		}
		inject(&t, OK, .op = READ, .psn = psn - 1, .off = mtu, .dma = mtus[i]);
		expect_data(&t, DATA_ONLY, psn - 1, RTE_DIM(lens), mtus[i], mtus[i]);
		expect_settled(&t, psn, RTE_DIM(lens));
		target_close(&t);
	}
}

/* How much READ data is sent again is limited in bytes; new READs are always answered. */
static void
c170_rate_of_repeated_data_is_limited(void **state)
{
	enum {
		LEN = 4 * MTU,
		LIMIT = 100 * LEN, /* per second */
		STEP_NS = 1000 * 1000,
		STEPS = 1000,
	};
	uint32_t answered = 0;
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.replay_bytes_per_s = LIMIT});
	read_one(&t, 0, 1, 0, LEN);
	for (int i = 0; i < STEPS; i++) {
		struct rte_mbuf *m = target_craft(&t,
			&(struct request){.op = READ, .psn = 0, .dma = LEN});
		int verdict;

		target_case(&t, (size_t)i);
		t.b.now += STEP_NS;
		verdict = (int)bench_rx(&t.b, m);
		assert_true(verdict == OK || verdict == RATE);
		if (verdict == OK) {
			expect_read(&t, 0, 1, 0, LEN);
			answered++;
		}
		expect_settled(&t, 4, 1);
	}
	assert_in_range(answered, 90, 110);
	for (int i = 0; i < 200; i++)
		read_one(&t, 4 + 4 * i, 2 + (uint32_t)i, 0, LEN);
	target_close(&t);
}

/* READs and atomics behind a gap wait like the others, and find the memory of their turn. */
static void
c171_held_reads_and_atomics_are_executed_late(void **state)
{
	struct target t;
	uint64_t found;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	target_store(&t, 0, 0);
	inject(&t, HELD, .op = READ, .psn = 1, .off = 64, .dma = 2 * MTU);
	expect_nak(&t, 0, NAK_SEQUENCE, 0);
	inject(&t, HELD, .op = FETCH_ADD, .psn = 3, .swap_add = 1);
	inject(&t, HELD, .op = READ, .psn = 4, .dma = 8);
	expect_settled(&t, 0, 0);
	t.held = 0;
	inject(&t, OK, .op = WRITE_ONLY, .psn = 0, .len = 8);
	target_wrote(&t, 0, 8);
	expect_ack(&t, 0, 1);
	memcpy(&found, t.payload, sizeof(found));
	target_stored(&t, 0, found + 1);
	expect_read(&t, 1, 2, 64, 2 * MTU);
	expect_atomic(&t, 3, 3, found);
	expect_read(&t, 4, 4, 0, 8);
	expect_settled(&t, 5, 4);
	target_close(&t);
}

/* A request that has been held and lies inside a READ that came in before is none. */
static void
c172_held_request_inside_a_read_is_dropped(void **state)
{
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	inject(&t, HELD, .op = WRITE_ONLY, .psn = 1, .len = 8);
	expect_nak(&t, 0, NAK_SEQUENCE, 0);
	inject(&t, HELD, .op = WRITE_ONLY, .psn = 3);
	expect_settled(&t, 0, 0);
	t.held = 0;
	inject(&t, OK, .op = READ, .psn = 0, .dma = 3 * MTU);
	assert_int_equal(remu_engine_stats(t.b.e)->drops[DUP], 1);
	expect_read(&t, 0, 1, 0, 3 * MTU);
	expect_ack(&t, 3, 2);
	expect_settled(&t, 4, 2);
	target_close(&t);
}

/* The memory of an atomic is that of the region, also where the peer's addresses differ. */
static void
c173_atomics_of_overlapping_regions_meet(void **state)
{
	enum { OTHER = 0x400 };
	struct remu_mr_config cfg = {
		.va = 0x1000,
		.length = 64,
		.rkey = OTHER,
		.pd = WIRE_PD,
		.access = REMU_ACCESS_REMOTE_ATOMIC,
	};
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){0});
	cfg.addr = t.memory + RED + 64;
	assert_int_equal(remu_mr_register(t.b.e, &cfg), 0);
	target_store(&t, 72, 5);
	inject(&t, OK, .op = FETCH_ADD, .psn = 0, .off = 0x1008 - TARGET_VA, .rkey = OTHER,
		.swap_add = 2);
	target_stored(&t, 72, 7);
	expect_atomic(&t, 0, 1, 5);
	inject(&t, OK, .op = FETCH_ADD, .psn = 1, .off = 72, .swap_add = 3);
	target_stored(&t, 72, 10);
	expect_atomic(&t, 1, 2, 7);
	expect_settled(&t, 2, 2);
	/* Its end, and where it would reach beyond. */
	expect_refused(&t, NAK_ACCESS, 2, .op = FETCH_ADD, .psn = 2, .off = 0x1040 - TARGET_VA,
		.rkey = OTHER);
	target_close(&t);
}

/* Without mbufs answers wait; none is lost, none is doubled. */
static void
c174_answers_wait_for_mbufs(void **state)
{
	struct rte_mbuf *taken[512];
	uint32_t n = 0;
	struct target t;

	(void)state;
	target_open(&t, &(struct wire_config){.pool = RTE_DIM(taken)});
	target_store(&t, 0, 1);
	inject(&t, OK, .op = READ, .psn = 0, .dma = 3 * MTU);
	inject(&t, OK, .op = FETCH_ADD, .psn = 3);
	inject(&t, OK, .op = WRITE_ONLY, .psn = 4);
	expect_data(&t, DATA_FIRST, 0, 1, 0, MTU);
	while (n < RTE_DIM(taken) && (taken[n] = rte_pktmbuf_alloc(t.b.pool)) != NULL)
		n++;
	for (int i = 0; i < 3; i++)
		bench_expect_silence(&t.b);
	assert_true(remu_engine_has_output(t.b.e));
	assert_true(remu_engine_stats(t.b.e)->tx_no_mbuf > 0);
	rte_pktmbuf_free(taken[--n]);
	expect_data(&t, DATA_MIDDLE, 1, 1, MTU, MTU);
	expect_data(&t, DATA_LAST, 2, 1, 2 * MTU, MTU);
	expect_atomic(&t, 3, 2, 1);
	expect_ack(&t, 4, 3);
	expect_settled(&t, 5, 3);
	rte_pktmbuf_free_bulk(taken, n);
	target_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c53_read_is_answered_in_packets_of_the_path_mtu),
		cmocka_unit_test(c54_read_of_nothing_needs_no_region),
		cmocka_unit_test(c55_read_without_ackreq_is_answered),
		cmocka_unit_test(c56_read_of_a_bad_range_gets_one_nak),
		cmocka_unit_test(c57_duplicate_read_gets_fresh_data),
		cmocka_unit_test(c58_rest_of_a_read_starts_with_first_or_only),
		cmocka_unit_test(c59_rest_of_another_read_is_dropped),
		cmocka_unit_test(c60_old_reads_are_forgotten),
		cmocka_unit_test(c61_read_sees_the_write_before_it),
		cmocka_unit_test(c62_ack_does_not_overtake_read_data),
		cmocka_unit_test(c63_atomics_change_memory_and_tell_what_they_found),
		cmocka_unit_test(c64_duplicate_atomic_is_not_executed_again),
		cmocka_unit_test(c65_atomics_are_aligned),
		cmocka_unit_test(c66_without_read_slots_all_are_refused),
		cmocka_unit_test(c161_region_revoked_while_a_read_waits),
		cmocka_unit_test(c162_revoking_does_not_hurt_others),
		cmocka_unit_test(c163_more_reads_than_agreed_are_refused),
		cmocka_unit_test(c164_old_atomics_are_forgotten),
		cmocka_unit_test(c165_reack_does_not_jump_over_a_read),
		cmocka_unit_test(c166_read_beyond_the_cap_is_refused),
		cmocka_unit_test(c167_answers_are_in_order),
		cmocka_unit_test(c168_read_repeated_too_early_is_answered_once),
		cmocka_unit_test(c169_data_is_in_packets_of_the_path_mtu_agreed),
		cmocka_unit_test(c170_rate_of_repeated_data_is_limited),
		cmocka_unit_test(c171_held_reads_and_atomics_are_executed_late),
		cmocka_unit_test(c172_held_request_inside_a_read_is_dropped),
		cmocka_unit_test(c173_atomics_of_overlapping_regions_meet),
		cmocka_unit_test(c174_answers_wait_for_mbufs),
	};
	int failed = eal_setup(NULL);
	const char *variant;

	while (failed >= 0 && (variant = target_variant()) != NULL)
		failed += cmocka_run_group_tests_name(variant, tests, NULL, NULL);
	return failed != 0 || eal_teardown(NULL) != 0;
}
