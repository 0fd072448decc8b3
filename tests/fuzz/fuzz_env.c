/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The world below the engine. Its memory and its mbufs are ours, so that a sanitizer sees each byte
 * that is touched outside of what was asked for or after it was given back, and so that making an
 * engine for every input costs little.
 */
#include "fuzz.h"

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

enum {
	N_MBUFS = 256,
	DATA_ROOM = RTE_PKTMBUF_HEADROOM + 1280,
	STALE = 512, /* bytes of a new mbuf that look as if secrets had been there */
	HEAP_SIZE = 1 << 20,
	HEAP_GAP = 64,
	HEAP_BLOCKS = 64,
};

void
fuzz_fail(const char *rule, const char *file, int line)
{
	fprintf(stderr, "%s:%d: broken rule: %s\n", file, line, rule);
	abort();
}

bool fuzz_tracing;

void
fuzz_trace(const char *format, ...)
{
	va_list args;

	if (!fuzz_tracing)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

void
fuzz_trace_wc(const struct remu_wc *wc)
{
	static const char *const kinds[] = {"work", "verb", "fatal", "recv"};

	fuzz_trace("\tcompletion: qpn %#x, %s, opcode %u, %s\n", wc->qpn, kinds[wc->kind & 3],
		wc->opcode, remu_wc_status_name(wc->status));
}

/* The engine's calls of rte_malloc come here by the linker's --wrap. */
void *__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket);
void *__wrap_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket);
void __wrap_rte_free(void *p);

static struct {
	uint8_t bytes[HEAP_SIZE] __attribute__((aligned(RTE_CACHE_LINE_SIZE)));
	struct {
		void *at; /* NULL: freed */
		size_t size;
	} blocks[HEAP_BLOCKS];
	size_t used;
	uint32_t n;
	uint32_t live;
} heap;

void *
__wrap_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	uint8_t *p = heap.bytes + heap.used;

	(void)type;
	(void)socket;
	FUZZ_CHECK(align <= RTE_CACHE_LINE_SIZE);
	if (size == 0)
		return NULL;
	FUZZ_CHECK(size <= HEAP_SIZE - HEAP_GAP - heap.used && heap.n < HEAP_BLOCKS);
	heap.used += RTE_ALIGN_CEIL(size, (size_t)RTE_CACHE_LINE_SIZE) + HEAP_GAP;
	heap.blocks[heap.n].at = p;
	heap.blocks[heap.n++].size = size;
	heap.live++;
	ASAN_UNPOISON_MEMORY_REGION(p, size);
	return p;
}

void *
__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	void *p = __wrap_rte_malloc_socket(type, size, align, socket);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

void
__wrap_rte_free(void *p)
{
	uint32_t i = 0;

	if (p == NULL)
		return;
	while (i < heap.n && heap.blocks[i].at != p)
		i++;
	FUZZ_CHECK(i < heap.n);
	ASAN_POISON_MEMORY_REGION(p, heap.blocks[i].size);
	heap.blocks[i].at = NULL;
	heap.live--;
}

uint32_t
fuzz_heap_live(void)
{
	return heap.live;
}

void
fuzz_heap_reset(void)
{
	ASAN_POISON_MEMORY_REGION(heap.bytes, heap.used);
	heap.used = 0;
	heap.n = heap.live = 0;
}

/* Mbufs: a stack; those in it are out of bounds. */
static struct {
	struct rte_mempool *pool;
	void *free[N_MBUFS];
	uint32_t n_free;
	uint32_t limit; /* in use at most */
	bool ready;
} mbufs;

static int
stack_alloc(struct rte_mempool *mp)
{
	mp->pool_data = &mbufs;
	return 0;
}

static void
stack_free(struct rte_mempool *mp)
{
	mp->pool_data = NULL;
}

static int
stack_put(struct rte_mempool *mp, void *const *objs, unsigned int n)
{
	FUZZ_CHECK(n <= N_MBUFS - mbufs.n_free);
	for (unsigned int i = 0; i < n; i++) {
		if (mbufs.ready)
			ASAN_POISON_MEMORY_REGION(objs[i], mp->elt_size);
		mbufs.free[mbufs.n_free++] = objs[i];
	}
	return 0;
}

static int
stack_get(struct rte_mempool *mp, void **objs, unsigned int n)
{
	if (n > mbufs.n_free || N_MBUFS - mbufs.n_free + n > mbufs.limit)
		return -ENOBUFS;
	for (unsigned int i = 0; i < n; i++) {
		objs[i] = mbufs.free[--mbufs.n_free];
		ASAN_UNPOISON_MEMORY_REGION(objs[i], mp->elt_size);
		if (mbufs.ready)
			memset((uint8_t *)((struct rte_mbuf *)objs[i])->buf_addr +
					RTE_PKTMBUF_HEADROOM,
				FUZZ_SECRET, STALE);
	}
	return 0;
}

static unsigned int
stack_count(const struct rte_mempool *mp)
{
	(void)mp;
	return mbufs.n_free;
}

static const struct rte_mempool_ops stack_ops = {
	.name = "fuzz",
	.alloc = stack_alloc,
	.free = stack_free,
	.enqueue = stack_put,
	.dequeue = stack_get,
	.get_count = stack_count,
};
RTE_MEMPOOL_REGISTER_OPS(stack_ops);

static void
pool_init(void)
{
	void *all[N_MBUFS];

	mbufs.limit = UINT32_MAX;
	mbufs.pool = rte_pktmbuf_pool_create_by_ops("fuzz", N_MBUFS, 0, 0, DATA_ROOM, SOCKET_ID_ANY,
		"fuzz");
	FUZZ_CHECK(mbufs.pool != NULL && mbufs.n_free == N_MBUFS);
	mbufs.ready = true;
	FUZZ_CHECK(stack_get(mbufs.pool, all, N_MBUFS) == 0);
	stack_put(mbufs.pool, all, N_MBUFS);
}

void
fuzz_env_init(void)
{
	char lcores[32];
	char *argv[] = {(char *)"fuzz", (char *)"--no-huge", (char *)"--no-pci",
		(char *)"--no-shconf", (char *)"--no-telemetry", (char *)"-m", (char *)"32",
		(char *)"--log-level=4", (char *)"--lcores", lcores};
	cpu_set_t cpus;
	int first = 0;

	fuzz_tracing = getenv("FUZZ_TRACE") != NULL;
	FUZZ_CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	while (!CPU_ISSET(first, &cpus))
		first++;
	snprintf(lcores, sizeof(lcores), "0@%d", first);
	FUZZ_CHECK(rte_eal_init((int)RTE_DIM(argv), argv) >= 0);
	FUZZ_CHECK(sched_setaffinity(0, sizeof(cpus), &cpus) == 0);
	ASAN_POISON_MEMORY_REGION(heap.bytes, sizeof(heap.bytes));
	pool_init();
}

struct rte_mempool *
fuzz_pool(void)
{
	return mbufs.pool;
}

void
fuzz_pool_limit(uint32_t n)
{
	mbufs.limit = n;
}

uint32_t
fuzz_pool_in_use(void)
{
	return N_MBUFS - mbufs.n_free;
}

bool
fuzz_filled(const uint8_t *p, size_t len, uint8_t value)
{
	const uint64_t eight = value * UINT64_C(0x0101010101010101);
	uint64_t word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		if (word != eight)
			return false;
	}
	while (len > 0 && *p == value) {
		p++;
		len--;
	}
	return len == 0;
}
