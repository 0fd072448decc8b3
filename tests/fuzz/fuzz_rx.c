/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: the receive path. Whatever frames come, and whatever the owner of the engine does
 * meanwhile, memory changes and is shown only where a region's rights admit it, every frame sent is
 * a good one, every request completes once, nothing is lost and the queue pairs go on answering.
 */
#include "rx_world.h"

#include <rte_common.h>
#include <rte_mbuf.h>
#include <string.h>

enum {
	LATER_MAX = 8,
	MANY = 72,
	DMA_LENS = 3, /* the highest values of fuzz_record.len stand for these */
};

static struct rx_world world;

/* Frames that wait to be handed over together. */
static struct {
	struct rte_mbuf *pkts[LATER_MAX];
	uint16_t n;
} later;

static uint32_t
base_psn(const struct rx_world *w, uint32_t i, const struct fuzz_record *rec)
{
	struct remu_qp_info info = rx_info(w, i);
	static const uint32_t far = 1u << 23;
	const uint32_t bases[RX_BASES] = {
		[RX_EPSN] = info.epsn,
		[RX_UNA] = info.una_psn,
		[RX_NEXT] = info.next_psn,
		[RX_EPSN_FAR] = info.epsn + far,
		[RX_ZERO] = 0,
	};

	return (bases[rec->base % RX_BASES] + (uint32_t)(int32_t)rec->psn) & 0xffffff;
}

static uint32_t
dma_len(const struct fuzz_record *rec)
{
	static const uint32_t special[DMA_LENS] = {1u << 31, (1u << 31) + 1, UINT32_MAX};
	uint32_t len = fuzz_u16(rec->len);

	return len > UINT16_MAX - DMA_LENS ? special[UINT16_MAX - len] : len;
}

/* What stands at an address of the region for atomics, so that a comparison can succeed. */
static uint64_t
number_at(uint32_t region, uint64_t offset)
{
	uint64_t value = 0;

	if (offset <= rx_region_specs[region].len - sizeof(value))
		memcpy(&value, rx_region_at(region) + offset, sizeof(value));
	return value;
}

static struct rte_mbuf *
make_packet(struct rx_world *w, uint32_t i, const struct fuzz_record *rec)
{
	uint32_t region = rec->key % 32 % RX_REGIONS;
	uint64_t offset = (uint64_t)(int64_t)(int16_t)fuzz_u16(rec->off);
	struct roce_fields f = {
		.opcode = rec->op,
		.solicited = rec->flags & FUZZ_SOLICITED,
		.ackreq = rec->flags & FUZZ_ACKREQ,
		.psn = base_psn(w, i, rec),
		.va = rx_region_specs[region].va + offset,
		.rkey = rx_region_specs[region].rkey ^ (uint32_t)(rec->key >> 6),
		.dma_len = dma_len(rec),
		.syndrome = rec->key,
		.imm = fuzz_u16(rec->off),
		.swap_add = (rec->len[0] & 0x3f) * UINT64_C(0x0101010101010101),
		.compare = rec->load[0] & 1 ? number_at(region, offset) : rec->load[1],
	};
	uint32_t traits = roce_ops[rec->op].traits, load = 0;
	uint8_t payload[FUZZ_LOAD_MAX];

	/* Also payload where there should be none. */
	if (traits & ROCE_T_PAYLOAD || traits == 0 || rec->load[1] == UINT8_MAX)
		load = fuzz_load(rec, rx_qp_specs[i].path_mtu, f.dma_len, 0);
	memset(payload, 0xc0 | (rec->psn & 0x1f), load);
	return fuzz_craft(&w->ends[i], rec, &f, payload, load);
}

static void
hand_over(struct rx_world *w)
{
	bool alone = later.n == 1;

	if (alone)
		rx_oracle_before(w, later.pkts[0]);
	remu_engine_rx(w->e, later.pkts, later.n, w->now);
	if (alone)
		rx_oracle_after(w);
	later.n = 0;
}

static void
receive(struct rx_world *w, struct rte_mbuf *m, bool more)
{
	if (m != NULL)
		later.pkts[later.n++] = m;
	if (!more || later.n == LATER_MAX)
		hand_over(w);
}

/* Attributes that fit, or that are wrong in one respect. */
static struct remu_qp_attr
attributes(const struct rx_world *w, uint32_t i, const struct fuzz_record *rec)
{
	struct remu_qp_attr attr = w->ends[i].attr;

	attr.rq_psn = (rx_info(w, i).epsn + (uint32_t)(int32_t)rec->psn) & 0xffffff;
	switch (rec->key) {
	case 1:
		attr.path_mtu = 300;
		break;
	case 2:
		attr.path_mtu = 4096; /* too much for the mbufs */
		break;
	case 3:
		attr.peer_qpn = 1;
		break;
	case 4:
		attr.max_dest_rd_atomic = 65;
		break;
	case 5:
		memset(&attr.peer_gid, 0, sizeof(attr.peer_gid));
		break;
	case 6:
		attr.timeout_us = 0;
		break;
	case 7:
		attr.max_rd_atomic = 0;
		break;
	case 8:
		attr.rq_psn = attr.sq_psn = 1u << 24;
		break;
	case 9:
		attr.rnr_retry = 8;
		break;
	default:
		break;
	}
	return attr;
}

/* One change of state, or, with the topmost bit, all that lead from RESET to it. */
static void
modify(struct rx_world *w, uint32_t i, const struct fuzz_record *rec)
{
	struct remu_qp_attr attr = attributes(w, i, rec);
	enum remu_qp_state to = (rec->op & 0x7f) % REMU_QP_STATE_COUNT;
	enum remu_qp_state from = rec->op & 0x80 ? REMU_QP_RESET : to;

	for (enum remu_qp_state state = from; state <= to; state++)
		if (remu_qp_modify(w->e, w->qps[i], state, &attr) == 0)
			w->closed[i] = state == REMU_QP_ERR;
}

static void
reopen(struct rx_world *w, uint32_t i)
{
	remu_qp_destroy(w->e, w->qps[i]);
	FUZZ_CHECK(remu_qp_find(w->e, w->ends[i].qpn) == NULL);
	rx_qp_open(w, i);
	w->closed[i] = false;
	FUZZ_CHECK(remu_qp_find(w->e, w->ends[i].qpn) == w->qps[i]);
}

static const char *const kind_names[RX_KINDS] = {"raw", "packet", "recv", "post", "revoke",
	"register", "modify", "reopen", "budget", "mbufs"};

static void
act(struct rx_world *w, const struct fuzz_record *rec, size_t extent)
{
	uint32_t i = rec->qp % RX_QPS;

	w->now += fuzz_wait_ns(rec->wait);
	fuzz_trace("%lu ns: %s, qp %u, op %#x, key %#x, len %u\n", w->now,
		kind_names[rec->kind % RX_KINDS], rec->qp, rec->op, rec->key, fuzz_u16(rec->len));
	switch (rec->kind % RX_KINDS) {
	case RX_RAW:
		receive(w, fuzz_craft_raw(&w->ends[i], rec, extent, base_psn(w, i, rec)),
			rec->flags & FUZZ_LATER);
		break;
	case RX_PACKET:
		for (uint32_t n = rec->flags & FUZZ_MANY ? MANY : 1; n > 0; n--)
			receive(w, make_packet(w, i, rec), rec->flags & FUZZ_LATER);
		break;
	case RX_RECV:
		rx_post_recv(w, i, fuzz_u16(rec->len));
		break;
	case RX_POST:
		rx_post(w, i, rec);
		break;
	case RX_REVOKE:
		rx_revoke(w, rec->key % RX_REGIONS);
		break;
	case RX_REGISTER:
		rx_register(w, rec->key % RX_REGIONS);
		break;
	case RX_MODIFY:
		modify(w, i, rec);
		break;
	case RX_REOPEN:
		reopen(w, i);
		break;
	case RX_BUDGET:
		w->budget = rec->key == UINT8_MAX ? UINT32_MAX : rec->key;
		break;
	case RX_MBUFS:
		fuzz_pool_limit(
			rec->key == UINT8_MAX ? UINT32_MAX : fuzz_pool_in_use() + rec->key % 8);
		break;
	default:
		break;
	}
	rx_settle(w);
}

/* A queue pair that is up still answers the next request, if only by refusing it. */
static void
check_alive(struct rx_world *w, uint32_t i)
{
	struct remu_qp_info info = rx_info(w, i);
	struct roce_fields f = {.opcode = ROCE_READ_REQUEST, .ackreq = true, .psn = info.epsn};
	uint32_t sent = w->sent[i];
	struct rte_mbuf *m;

	if (rx_qp_specs[i].flags & REMU_QP_BOOTSTRAP)
		FUZZ_CHECK(info.state != REMU_QP_ERR || w->closed[i]);
	if (info.state < REMU_QP_RTR || info.state == REMU_QP_ERR ||
		rx_qp_specs[i].flags & REMU_QP_PIN_SPORT)
		return;
	m = fuzz_craft(&w->ends[i], NULL, &f, NULL, 0);
	FUZZ_CHECK(m != NULL);
	receive(w, m, false);
	rx_settle(w);
	FUZZ_CHECK(w->sent[i] > sent);
}

static void
finish(struct rx_world *w)
{
	w->budget = UINT32_MAX;
	fuzz_pool_limit(UINT32_MAX);
	hand_over(w);
	rx_settle(w);
	/* Until all that limits the rate of answers has passed. */
	w->now += UINT64_C(1) << 40;
	rx_settle(w);
	for (uint32_t i = 0; i < RX_QPS; i++)
		check_alive(w, i);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_env_init();
	rx_world_init(&world);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = RX_HEADER;

	if (size < RX_HEADER || data[0] != FUZZ_VERSION)
		return 0;
	rx_world_open(&world, data);
	for (uint32_t n = 0; n < FUZZ_RECORDS_MAX && size - at >= sizeof(struct fuzz_record); n++) {
		const struct fuzz_record *rec = (const struct fuzz_record *)(data + at);
		size_t extent = fuzz_extent(rec, size - at);

		act(&world, rec, extent);
		at += extent;
	}
	finish(&world);
	rx_world_close(&world);
	return 0;
}
