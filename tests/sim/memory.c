/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of the nodes. The linker leads every allocation of the libraries here (--wrap): a node
 * that boots takes from an arena of its own, which is emptied when it crashes, so booting costs no
 * more than clearing; and while a node takes its turn nobody may allocate.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#	define USE_HEAP 1
#elif defined(__has_feature)
#	if __has_feature(address_sanitizer)
#		define USE_HEAP 1
#	endif
#endif

static struct sim_arena *current;
static bool forbidden;

/* The linker gives them these names. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *p);
void *__wrap_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket);
void *__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket);
void __wrap_rte_free(void *p);

/* All arenas, to know one's own memory again. */
enum { ARENAS_MAX = SIM_NODES };
static struct sim_arena *arenas[ARENAS_MAX];
static uint32_t n_arenas;

void
sim_memory_use(struct sim_arena *arena)
{
	current = arena;
}

void
sim_memory_forbid(bool forbid)
{
	forbidden = forbid;
}

void
sim_arena_init(struct sim_arena *arena, size_t size)
{
	bool known = arena->base != NULL;

	__real_free(arena->base);
	*arena = (struct sim_arena){.size = size};
	if (posix_memalign((void **)&arena->base, 4096, size) != 0 ||
		(!known && n_arenas == ARENAS_MAX))
		sim_fail(NULL, "no memory for an arena");
	memset(arena->base, 0, size);
	if (!known)
		arenas[n_arenas++] = arena;
}

void
sim_arena_reset(struct sim_arena *arena)
{
	memset(arena->base, 0, arena->used);
	arena->used = 0;
	arena->live = 0;
}

static void
check_allowed(void)
{
	if (forbidden) {
		forbidden = false;
		sim_fail(NULL, "memory was allocated or freed in the loop");
	}
}

#ifndef USE_HEAP
static void *
take(size_t size)
{
	struct sim_arena *a = current;
	void *p;

	size = (size + 63) & ~(size_t)63;
	if (a->size - a->used < size)
		sim_fail(NULL, "an arena of %zu bytes is too small", a->size);
	p = a->base + a->used;
	a->used += size;
	a->live++;
	return p;
}

static bool
give_back(const void *p)
{
	for (uint32_t i = 0; i < n_arenas; i++) {
		uintptr_t offset = (uintptr_t)p - (uintptr_t)arenas[i]->base;

		if (offset < arenas[i]->size) {
			arenas[i]->live--;
			return true;
		}
	}
	return false;
}
#endif

static void *
allocate(size_t size)
{
	check_allowed();
#ifdef USE_HEAP
	if (current != NULL)
		current->live++;
	return __real_calloc(1, size);
#else
	return current != NULL ? take(size) : __real_calloc(1, size);
#endif
}

static void
release(void *p)
{
	if (p == NULL)
		return;
	check_allowed();
#ifdef USE_HEAP
	if (current != NULL)
		current->live--;
	__real_free(p);
#else
	if (!give_back(p))
		__real_free(p);
#endif
}

void *
__wrap_malloc(size_t size)
{
	return allocate(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return allocate(n * size);
}

void
__wrap_free(void *p)
{
	release(p);
}

void *
__wrap_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	(void)type;
	(void)align;
	(void)socket;
	return allocate(size);
}

void *
__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	(void)type;
	(void)align;
	(void)socket;
	return allocate(size);
}

void
__wrap_rte_free(void *p)
{
	release(p);
}
