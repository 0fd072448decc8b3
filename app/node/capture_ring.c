/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture_ring.h"

#include <rte_common.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Before each frame, and behind it up to a multiple of 8 bytes nothing. */
struct header {
	uint64_t time_ns;
	uint32_t len;
	uint16_t kept;
	uint16_t direction;
};

int
capture_ring_init(struct capture_ring *r, uint64_t size)
{
	/* All of it now: no page fault for the data lcore. */
	void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	*r = (struct capture_ring){.size = size};
	if (bytes == MAP_FAILED)
		return -ENOMEM;
	r->bytes = bytes;
	return 0;
}

void
capture_ring_fini(struct capture_ring *r)
{
	if (r->bytes != NULL)
		munmap(r->bytes, r->size);
	r->bytes = NULL;
}

static uint64_t
room_of(uint32_t kept)
{
	return sizeof(struct header) + RTE_ALIGN_CEIL((uint64_t)kept, 8);
}

static void
write_bytes(struct capture_ring *r, uint64_t at, const void *from, uint64_t len)
{
	uint64_t start = at & (r->size - 1), first = RTE_MIN(len, r->size - start);

	memcpy(r->bytes + start, from, first);
	memcpy(r->bytes, (const uint8_t *)from + first, len - first);
}

static void
read_bytes(const struct capture_ring *r, uint64_t at, void *to, uint64_t len)
{
	uint64_t start = at & (r->size - 1), first = RTE_MIN(len, r->size - start);

	memcpy(to, r->bytes + start, first);
	memcpy((uint8_t *)to + first, r->bytes, len - first);
}

struct capture_mark
capture_ring_put(struct capture_ring *r, const struct rte_mbuf *m, uint64_t time_ns,
	enum capture_direction direction)
{
	struct header h = {
		.time_ns = time_ns,
		.len = m->pkt_len,
		.kept = (uint16_t)RTE_MIN(m->pkt_len, (uint32_t)CAPTURE_FRAME_MAX),
		.direction = (uint16_t)direction,
	};
	uint64_t used = r->put.head - atomic_load_explicit(&r->tail, memory_order_acquire);
	uint64_t at = r->put.head + sizeof(h);
	uint32_t left = h.kept;

	if (room_of(h.kept) > r->size - used) {
		r->put.dropped++;
		return r->put;
	}
	write_bytes(r, r->put.head, &h, sizeof(h));
	for (; left > 0 && m != NULL; m = m->next) {
		uint32_t len = RTE_MIN(left, (uint32_t)m->data_len);

		write_bytes(r, at, rte_pktmbuf_mtod(m, const void *), len);
		at += len;
		left -= len;
	}
	r->put.head += room_of(h.kept);
	return r->put;
}

void
capture_ring_commit(struct capture_ring *r, struct capture_mark mark)
{
	r->put = mark;
	atomic_store_explicit(&r->dropped, mark.dropped, memory_order_relaxed);
	/* Pairs with the acquire in capture_ring_peek(): who sees the head sees the bytes. */
	atomic_store_explicit(&r->head, mark.head, memory_order_release);
}

bool
capture_ring_peek(const struct capture_ring *r, uint64_t *time_ns)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	struct header h;

	if (atomic_load_explicit(&r->head, memory_order_acquire) == tail)
		return false;
	read_bytes(r, tail, &h, sizeof(h));
	*time_ns = h.time_ns;
	return true;
}

void
capture_ring_take(struct capture_ring *r, struct capture_frame *out)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	struct header h;

	read_bytes(r, tail, &h, sizeof(h));
	out->time_ns = h.time_ns;
	out->len = h.len;
	out->kept = h.kept;
	out->direction = (enum capture_direction)h.direction;
	read_bytes(r, tail + sizeof(h), out->data, h.kept);
	/* Pairs with the acquire in capture_ring_put(): the room is free when it has been read. */
	atomic_store_explicit(&r->tail, tail + room_of(h.kept), memory_order_release);
}
