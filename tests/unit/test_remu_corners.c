/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Corners where the engine once went wrong: each is a meeting of two things that the tests of either
 * do not have.
 */
#include "eal.h"
#include "wire.h"

#include <remu_priv.h>
#include <string.h>
#include <sys/mman.h>

enum {
	VA = 0x10000,
	KEY = 0x100,
	SYNC_KEY,
	ATOMIC_KEY,
	SYNC_LEN = 64,
	MS = 1000000,
};

static uint8_t memory[65536] __attribute__((aligned(8)));

static void
region(struct bench *b, uint32_t rkey, uint32_t access, uint32_t len)
{
	struct remu_mr_config mr = {
		.addr = memory,
		.va = VA,
		.length = len,
		.rkey = rkey,
		.pd = WIRE_PD,
		.access = access,
	};

	assert_int_equal(remu_mr_register(b->e, &mr), 0);
}

static void
post(struct bench *b, uint64_t wr_id, enum remu_wr_opcode opcode, void *addr, uint32_t length)
{
	struct remu_wr wr = {
		.wr_id = wr_id,
		.opcode = (uint8_t)opcode,
		.addr = addr,
		.length = length,
		.rkey = 1,
	};

	assert_int_equal(remu_qp_post(b->e, b->qp, &wr, b->now), 0);
}

static enum remu_drop
answer(struct bench *b, uint8_t opcode, uint32_t psn, uint8_t syndrome, uint32_t len)
{
	struct roce_fields f = {.opcode = opcode, .psn = psn, .syndrome = syndrome};

	return bench_inject(b, &f, memory, len);
}

static enum remu_drop
request(struct bench *b, uint8_t opcode, uint32_t psn, uint32_t rkey, uint32_t dma_len)
{
	struct roce_fields f = {
		.opcode = opcode,
		.ackreq = true,
		.psn = psn,
		.va = VA,
		.rkey = rkey,
		.dma_len = dma_len,
		.swap_add = 1,
	};

	return bench_inject(b, &f, memory, roce_ops[opcode].traits & ROCE_T_WRITE ? dma_len : 0);
}

/* The longest WRITE has 2^23 PSNs: one behind its first must not compare as behind its last. */
static void
settle__read_then_longest_write(void **state)
{
	void *big = mmap(NULL, ROCE_DMA_LEN_MAX, PROT_READ,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct bench b;

	(void)state;
	assert_ptr_not_equal(big, MAP_FAILED);
	bench_open(&b, &(struct wire_config){.mtu = 256});
	post(&b, 1, REMU_WR_RDMA_READ, memory, 100);
	post(&b, 2, REMU_WR_RDMA_WRITE, big, ROCE_DMA_LEN_MAX);
	for (int i = 0; i < 5; i++)
		assert_non_null(bench_tx(&b));
	assert_int_equal(answer(&b, ROCE_READ_RESPONSE_ONLY, 0, ROCE_SYN_ACK_NO_LIMIT, 100), 0);
	bench_expect_wc(&b, 1, REMU_WC_SUCCESS);
	bench_expect_no_wc(&b);
	assert_int_equal(bench_info(&b).outstanding, 1);
	bench_close(&b);
	munmap(big, ROCE_DMA_LEN_MAX);
}

/* Our requester fails while the peer's requests are held and answers wait: ERR lets go of all. */
static void
fail_head__lets_go_of_the_responder(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){0});
	region(&b, KEY, REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE, sizeof(memory));
	post(&b, 1, REMU_WR_RDMA_WRITE, memory, 4);
	assert_non_null(bench_tx(&b));
	assert_int_equal(request(&b, ROCE_READ_REQUEST, 0, KEY, 32768), REMU_DROP_NONE);
	assert_int_equal(request(&b, ROCE_WRITE_ONLY, 40, KEY, 4), REMU_DROP_COUNT);
	assert_int_equal(remu_engine_stats(b.e)->rx_held, 1);
	assert_int_equal(answer(&b, ROCE_ACKNOWLEDGE, 0, ROCE_NAK_REMOTE_ACCESS, 0),
		REMU_DROP_NONE);
	assert_int_equal(bench_info(&b).state, REMU_QP_ERR);
	assert_int_equal(remu_engine_stats(b.e)->rx_held, 0);
	bench_expect_silence(&b);
	bench_close(&b);
}

/* A queue pair dies once, though a second reason shows while its last answers leave. */
static void
revoked__after_another_error(void **state)
{
	struct remu_wc wc[4];
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){0});
	region(&b, KEY, REMU_ACCESS_REMOTE_READ, sizeof(memory));
	assert_int_equal(request(&b, ROCE_READ_REQUEST, 0, KEY, 4096), REMU_DROP_NONE);
	assert_int_equal(request(&b, ROCE_WRITE_ONLY, 4, KEY + 9, 4), REMU_DROP_ACCESS);
	assert_int_equal(remu_mr_deregister(b.e, WIRE_PD, KEY), 0);
	while (bench_tx(&b) != NULL)
		;
	assert_int_equal(remu_engine_poll_wc(b.e, wc, RTE_DIM(wc)), 1);
	assert_int_equal(wc[0].kind, REMU_WC_FATAL);
	bench_close(&b);
}

/* The window shrinks below what is out, of which nothing has asked for an acknowledgement. */
static void
new_due__asks_before_a_shrunk_window_closes(void **state)
{
	struct bench b;
	bool asked = false;

	(void)state;
	bench_open(&b, &(struct wire_config){.window = 16});
	post(&b, 1, REMU_WR_RDMA_WRITE, memory, 60 * 1024);
	b.now = MS;
	for (int i = 0; i < 16; i++)
		assert_non_null(bench_tx(&b));
	assert_int_equal(answer(&b, ROCE_ACKNOWLEDGE, 3, ROCE_SYN_ACK_NO_LIMIT, 0), 0);
	for (int i = 0; i < 3; i++)
		assert_false(bench_tx(&b)->pkt.f.ackreq);
	for (int i = 0; i < 3; i++) {
		b.now += 100000;
		assert_int_equal(bench_inject(&b, &(struct roce_fields){.opcode = ROCE_CNP}, NULL,
					 0),
			0);
	}
	assert_int_equal(answer(&b, ROCE_ACKNOWLEDGE, 15, ROCE_SYN_ACK_NO_LIMIT, 0), 0);
	assert_in_range(bench_info(&b).window, REMU_WINDOW_FLOOR, 3);
	for (const struct frame *f; (f = bench_tx(&b)) != NULL;)
		asked |= f->pkt.f.ackreq;
	assert_true(asked);
	bench_close(&b);
}

/* The READ's answer is lost, and the peer cannot take the SEND behind it yet. */
static void
on_rnr_nak__behind_a_read_without_answer(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){.retry_cnt = 0, .rnr_retry = 7});
	post(&b, 1, REMU_WR_RDMA_READ, memory, 4);
	post(&b, 2, REMU_WR_SEND, memory, 4);
	while (bench_tx(&b) != NULL)
		;
	assert_int_equal(answer(&b, ROCE_ACKNOWLEDGE, 1, ROCE_SYN_RNR | 1, 0), REMU_DROP_NONE);
	bench_expect_silence(&b);
	b.now += 10000; /* code 1 */
	assert_int_equal(bench_tx(&b)->pkt.f.opcode, ROCE_READ_REQUEST);
	assert_int_equal(bench_tx(&b)->pkt.f.opcode, ROCE_SEND_ONLY);
	bench_close(&b);
}

/* A forger's or a late CNP comes from any port; so do those of devices. */
static void
check_peer__cnp_from_another_port(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){.flags = REMU_QP_PIN_SPORT});
	region(&b, KEY, REMU_ACCESS_REMOTE_WRITE, 64);
	assert_int_equal(request(&b, ROCE_WRITE_ONLY, 0, KEY, 4), REMU_DROP_NONE);
	b.path.sport = 0xd000;
	roce_flow_init(&b.in, &b.path);
	assert_int_equal(request(&b, ROCE_WRITE_ONLY, 1, KEY, 4), REMU_DROP_SRC_PORT);
	assert_int_equal(bench_inject(&b, &(struct roce_fields){.opcode = ROCE_CNP}, NULL, 0), 0);
	assert_int_equal(remu_engine_stats(b.e)->cnps_received, 1);
	bench_close(&b);
}

/* A peer reboots again and again before its earlier lives have been answered. */
static void
resync__answers_to_earlier_lives_are_dropped(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, &(struct wire_config){.flags = REMU_QP_BOOTSTRAP});
	region(&b, SYNC_KEY, REMU_ACCESS_REMOTE_READ | REMU_ACCESS_RESYNC, SYNC_LEN);
	for (uint32_t life = 0; life < 5; life++)
		assert_int_equal(request(&b, ROCE_READ_REQUEST, life * 1000, SYNC_KEY, SYNC_LEN),
			REMU_DROP_NONE);
	assert_int_equal(bench_tx(&b)->pkt.f.psn, 4000);
	bench_expect_silence(&b);
	bench_close(&b);
}

/* Two atomics with one PSN, in two lives of the peer: a duplicate is of the later one. */
static void
find_record__the_newest_of_one_psn(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b,
		&(struct wire_config){
			.flags = REMU_QP_BOOTSTRAP,
			.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE |
				REMU_ACCESS_REMOTE_ATOMIC,
		});
	memset(memory, 0, SYNC_LEN);
	region(&b, SYNC_KEY, REMU_ACCESS_REMOTE_READ | REMU_ACCESS_RESYNC, SYNC_LEN);
	region(&b, ATOMIC_KEY, REMU_ACCESS_REMOTE_ATOMIC, SYNC_LEN);
	for (uint64_t life = 0; life < 2; life++) {
		assert_int_equal(request(&b, ROCE_READ_REQUEST, life == 0 ? 100 : 99, SYNC_KEY,
					 SYNC_LEN),
			REMU_DROP_NONE);
		assert_non_null(bench_tx(&b));
		if (life == 1)
			assert_int_equal(request(&b, ROCE_WRITE_ONLY, 100, 0, 0), REMU_DROP_NONE);
		while (bench_tx(&b) != NULL)
			;
		for (int copy = 0; copy < 2; copy++) {
			assert_int_equal(request(&b, ROCE_FETCH_ADD, 101, ATOMIC_KEY, 0), 0);
			assert_int_equal(bench_tx(&b)->pkt.f.swap_add, life);
		}
	}
	bench_close(&b);
}

/* One packet at a time: answers and requests take turns. */
static void
remu_engine_tx__one_packet_at_a_time(void **state)
{
	struct bench b;
	int requests = 0;

	(void)state;
	bench_open(&b, &(struct wire_config){0});
	region(&b, KEY, REMU_ACCESS_REMOTE_READ, sizeof(memory));
	assert_int_equal(request(&b, ROCE_READ_REQUEST, 0, KEY, 65536), REMU_DROP_NONE);
	for (uint64_t i = 0; i < 4; i++)
		post(&b, i, REMU_WR_RDMA_WRITE, memory, 4);
	for (int i = 0; i < 10; i++)
		requests += bench_tx(&b)->pkt.f.opcode == ROCE_WRITE_ONLY;
	assert_int_equal(requests, 4);
	bench_close(&b);
}

/* What was sent to the peer before it began is lost: it goes out again at once, not after a timeout. */
static void
resync__what_is_under_way_goes_out_again(void **state)
{
	const struct frame *f;
	struct bench b;
	uint32_t psn;

	(void)state;
	bench_open(&b, &(struct wire_config){.flags = REMU_QP_BOOTSTRAP, .sq_psn = 70});
	region(&b, SYNC_KEY, REMU_ACCESS_REMOTE_READ | REMU_ACCESS_RESYNC, SYNC_LEN);
	post(&b, 1, REMU_WR_RDMA_READ, memory + 4096, 8);
	f = bench_tx(&b);
	assert_int_equal(f->pkt.f.opcode, ROCE_READ_REQUEST);
	psn = f->pkt.f.psn;
	bench_expect_silence(&b);
	assert_int_equal(request(&b, ROCE_READ_REQUEST, 4711, SYNC_KEY, SYNC_LEN), REMU_DROP_NONE);
	for (uint32_t reads = 0, i = 0; i < 2; i++) {
		f = bench_tx(&b);
		assert_non_null(f);
		reads += f->pkt.f.opcode == ROCE_READ_REQUEST && f->pkt.f.psn == psn;
		assert_int_equal(reads, i); /* behind the answer */
	}
	bench_expect_silence(&b);
	assert_int_equal(remu_engine_stats(b.e)->timeouts, 0);
	assert_int_equal(remu_engine_stats(b.e)->retransmits, 1);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settle__read_then_longest_write),
		cmocka_unit_test(fail_head__lets_go_of_the_responder),
		cmocka_unit_test(revoked__after_another_error),
		cmocka_unit_test(new_due__asks_before_a_shrunk_window_closes),
		cmocka_unit_test(on_rnr_nak__behind_a_read_without_answer),
		cmocka_unit_test(check_peer__cnp_from_another_port),
		cmocka_unit_test(resync__answers_to_earlier_lives_are_dropped),
		cmocka_unit_test(resync__what_is_under_way_goes_out_again),
		cmocka_unit_test(find_record__the_newest_of_one_psn),
		cmocka_unit_test(remu_engine_tx__one_packet_at_a_time),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
