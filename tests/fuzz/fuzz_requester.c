/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: responses to a requester with work requests of every kind. Whatever is answered, and
 * whenever, work requests end in order, once, and not without an answer; local memory changes only
 * where an answer belongs; what is sent follows from what was posted and keeps to window and limits;
 * and a peer that answers everything in the end gets all of them done.
 */
#include "req_world.h"

#include <rte_common.h>
#include <rte_mbuf.h>
#include <string.h>

enum { ROUNDS_MAX = 4096 };

static struct req_world world;

static uint32_t
base_psn(const struct req_qp *q, const struct fuzz_record *rec)
{
	const uint32_t bases[REQ_BASES] = {
		[REQ_UNA] = q->info.una_psn,
		[REQ_SENT] = q->sent_end,
		[REQ_NEXT] = q->info.next_psn,
		[REQ_FAR] = q->info.una_psn + (1u << 23),
	};

	return (bases[rec->base % REQ_BASES] + (uint32_t)(int32_t)rec->psn) & 0xffffff;
}

/* Any packet, with the data that is right for its PSN. */
static void
respond(struct req_world *w, struct req_qp *q, const struct fuzz_record *rec)
{
	uint32_t psn = base_psn(q, rec), traits = roce_ops[rec->op].traits, load = 0;
	uint32_t mtu = q->end->attr.path_mtu, right = mtu;
	uint8_t payload[FUZZ_LOAD_MAX];
	struct fuzz_record whole = *rec;
	struct roce_fields f = {
		.opcode = rec->op,
		.ackreq = rec->flags & FUZZ_ACKREQ,
		.psn = psn,
		.syndrome = rec->key,
		.swap_add = req_number(psn),
	};

	for (uint32_t i = 0; i < q->n_wrs; i++) {
		uint32_t k = (uint32_t)req_psn_diff(psn, q->wrs[i].first_psn);

		if (k < q->wrs[i].n_psn)
			right = RTE_MIN(mtu, q->wrs[i].wr.length - k * mtu);
	}
	if (traits & ROCE_T_PAYLOAD || traits == 0 || rec->load[1] == UINT8_MAX)
		load = fuzz_load(rec, mtu, right, right);
	req_data(psn, payload, load);
	/* The model looks into the frame: it must be in one piece. */
	whole.flags &= (uint8_t)~FUZZ_PIECES;
	req_inject(w, q, fuzz_craft(q->end, &whole, &f, payload, load), rec->at != 0);
}

/* One packet of the right answer to a request. As Soft-RoCE: not a READ of its own. */
static void
answer_packet(struct req_world *w, struct req_qp *q, const struct req_sent *sent, uint32_t k,
	bool as_rest)
{
	uint32_t mtu = q->end->attr.path_mtu, load = 0, n = req_packets(sent->dma_len, mtu);
	uint8_t payload[FUZZ_LOAD_MAX];
	struct roce_fields f = {
		.opcode = ROCE_ACKNOWLEDGE,
		.psn = (sent->psn + k) & 0xffffff,
		.syndrome = ROCE_SYN_ACK_NO_LIMIT,
	};

	if (sent->opcode == ROCE_COMPARE_SWAP || sent->opcode == ROCE_FETCH_ADD) {
		f.opcode = ROCE_ATOMIC_ACKNOWLEDGE;
		f.swap_add = req_number(f.psn);
	} else if (sent->opcode == ROCE_READ_REQUEST) {
		bool starts = k == 0 && !as_rest, ends = k == n - 1;

		load = RTE_MIN(mtu, sent->dma_len - k * mtu);
		f.opcode = starts ? (ends ? ROCE_READ_RESPONSE_ONLY : ROCE_READ_RESPONSE_FIRST)
				  : (ends ? ROCE_READ_RESPONSE_LAST : ROCE_READ_RESPONSE_MIDDLE);
	}
	req_data(f.psn, payload, load);
	req_inject(w, q, fuzz_craft(q->end, NULL, &f, payload, load), false);
}

static uint32_t
answer_length(const struct req_qp *q, const struct req_sent *sent)
{
	return sent->opcode == ROCE_READ_REQUEST ? req_packets(sent->dma_len, q->end->attr.path_mtu)
						 : 1;
}

/* The answer, or one packet of it, to a request sent some time ago. */
static void
answer(struct req_world *w, struct req_qp *q, const struct fuzz_record *rec)
{
	uint32_t known = RTE_MIN(q->n_sent, (uint32_t)REQ_SENT_MAX), n;
	struct req_sent sent;

	if (known == 0)
		return;
	sent = q->sent[(q->n_sent - 1 - rec->key % known) % REQ_SENT_MAX];
	n = answer_length(q, &sent);
	for (uint32_t k = 0; k < n; k++)
		if (rec->op == UINT8_MAX || rec->op % n == k)
			answer_packet(w, q, &sent, k, rec->flags & FUZZ_TAIL);
}

/*
 * Answer what has not been answered. Some packets of the answers are lost, by a mask, and the others
 * may come in the reverse order. Returns whether there was anything to answer.
 */
static bool
serve(struct req_world *w, struct req_qp *q, uint32_t lost, bool reverse)
{
	uint32_t known = RTE_MIN(q->n_sent, (uint32_t)REQ_SENT_MAX);
	uint32_t first = q->n_sent - known, i = 0;
	bool any = false;

	for (uint32_t s = 0; s < known; s++) {
		struct req_sent *sent = &q->sent[(first + s) % REQ_SENT_MAX];
		uint32_t n = answer_length(q, sent);
		bool data = sent->opcode == ROCE_READ_REQUEST ||
			sent->opcode == ROCE_COMPARE_SWAP || sent->opcode == ROCE_FETCH_ADD;

		if (sent->answered)
			continue;
		sent->answered = any = true;
		for (uint32_t k = 0; k < n && (data || sent->ackreq); k++)
			if (!(lost >> (i++ % 32) & 1))
				answer_packet(w, q, sent, reverse ? n - 1 - k : k, false);
	}
	return any;
}

/* One change of state, or, with the topmost bit, all that lead from RESET to it. */
static void
modify(struct req_world *w, struct req_qp *q, const struct fuzz_record *rec)
{
	enum remu_qp_state to = (rec->op & 0x7f) % REMU_QP_STATE_COUNT;
	enum remu_qp_state from = rec->op & 0x80 ? REMU_QP_RESET : to;
	struct remu_qp_attr attr = q->end->attr;

	if (rec->flags & 1)
		attr.sq_psn = (q->info.next_psn + (uint32_t)(int32_t)rec->psn) & 0xffffff;
	if (rec->flags & 2)
		attr.max_rd_atomic = rec->key % 16 + 1;
	for (enum remu_qp_state state = from; state <= to; state++) {
		bool resumes = q->info.state == REMU_QP_SQD;
		int rc = remu_qp_modify(w->e, q->qp, state, &attr);

		req_update(w);
		req_poll(w);
		if (rc == 0 && (state == REMU_QP_RESET || (state == REMU_QP_RTS && !resumes)))
			req_start_over(q);
		if (rc == 0 && state == REMU_QP_RTS)
			q->end->attr = attr;
	}
}

static void
wait(struct req_world *w, const struct fuzz_record *rec)
{
	uint64_t until = remu_engine_next_deadline(w->e);

	if (rec->flags & 1 && until != UINT64_MAX)
		w->now = RTE_MAX(w->now, until);
	else
		w->now += fuzz_wait_ns(rec->wait);
}

static const char *const kind_names[REQ_KINDS] = {"raw", "post", "wait", "response", "answer",
	"serve", "modify", "budget", "mbufs"};

static void
act(struct req_world *w, const struct fuzz_record *rec, size_t extent)
{
	struct req_qp *q = &w->qps[rec->qp % REQ_QPS];

	if (rec->kind % REQ_KINDS != REQ_WAIT)
		w->now += fuzz_wait_ns(rec->wait);
	fuzz_trace("%lu ns: %s, qp %u, op %#x, key %#x, len %u\n", w->now,
		kind_names[rec->kind % REQ_KINDS], rec->qp, rec->op, rec->key, fuzz_u16(rec->len));
	switch (rec->kind % REQ_KINDS) {
	case REQ_RAW:
		req_inject(w, q, fuzz_craft_raw(q->end, rec, extent, base_psn(q, rec)), true);
		break;
	case REQ_POST:
		req_post(w, q, rec);
		break;
	case REQ_WAIT:
		wait(w, rec);
		break;
	case REQ_RESPONSE:
		respond(w, q, rec);
		break;
	case REQ_ANSWER:
		answer(w, q, rec);
		break;
	case REQ_SERVE:
		serve(w, q, fuzz_u16(rec->off) | fuzz_u16(rec->len) << 16, rec->flags & 1);
		break;
	case REQ_MODIFY:
		modify(w, q, rec);
		break;
	case REQ_BUDGET:
		w->budget = rec->key == UINT8_MAX ? UINT32_MAX : rec->key;
		w->limited |= w->budget != UINT32_MAX;
		break;
	case REQ_MBUFS:
		w->short_of_mbufs = rec->key != UINT8_MAX;
		w->limited |= w->short_of_mbufs;
		fuzz_pool_limit(w->short_of_mbufs ? fuzz_pool_in_use() + rec->key % 8 : UINT32_MAX);
		break;
	default:
		break;
	}
	req_settle(w);
}

static bool
done(const struct req_qp *q)
{
	return q->n_wrs == 0 || remu_qp_drained(q->qp);
}

/* With a peer that answers everything all work requests come to their end. */
static void
serve_all(struct req_world *w)
{
	for (uint32_t round = 0;; round++) {
		uint64_t next;
		bool any = false;

		FUZZ_CHECK(round < ROUNDS_MAX);
		for (uint32_t i = 0; i < REQ_QPS; i++)
			any |= serve(w, &w->qps[i], 0, false);
		if (!any) {
			if (done(&w->qps[0]) && done(&w->qps[1]))
				return;
			next = remu_engine_next_deadline(w->e);
			FUZZ_CHECK(next != UINT64_MAX);
			w->now = RTE_MAX(w->now, next);
		}
		req_settle(w);
	}
}

static void
finish(struct req_world *w)
{
	w->budget = UINT32_MAX;
	w->short_of_mbufs = false;
	fuzz_pool_limit(UINT32_MAX);
	req_settle(w);
	serve_all(w);
	for (uint32_t i = 0; i < REQ_QPS; i++)
		if (w->qps[i].info.state == REMU_QP_SQD)
			FUZZ_CHECK(remu_qp_modify(w->e, w->qps[i].qp, REMU_QP_RTS, NULL) == 0);
	req_settle(w);
	serve_all(w);
	FUZZ_CHECK(w->qps[0].n_wrs == 0 && w->qps[1].n_wrs == 0);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_env_init();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = REQ_HEADER;

	if (size < REQ_HEADER || data[0] != FUZZ_VERSION)
		return 0;
	req_world_open(&world, data);
	for (uint32_t n = 0; n < FUZZ_RECORDS_MAX && size - at >= sizeof(struct fuzz_record); n++) {
		const struct fuzz_record *rec = (const struct fuzz_record *)(data + at);
		size_t extent = fuzz_extent(rec, size - at);

		act(&world, rec, extent);
		at += extent;
	}
	finish(&world);
	req_world_close(&world);
	return 0;
}
