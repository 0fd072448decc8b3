/* SPDX-License-Identifier: BSD-3-Clause */
#include "link_priv.h"

#include <assert.h>

static size_t
slot_size(uint32_t frame_max)
{
	return (sizeof(struct link_frame) + frame_max + 15) & ~(size_t)15;
}

size_t
link_pool_size(uint32_t n_frames, uint32_t frame_max)
{
	return n_frames * slot_size(frame_max);
}

void
link_pool_init(struct link_pool *pool, void *memory, uint32_t n_frames, uint32_t frame_max)
{
	uint8_t *slots = memory;

	*pool = (struct link_pool){.frame_max = frame_max, .n_frames = n_frames};
	for (uint32_t i = n_frames; i-- > 0;)
		link__frame_put(pool, (struct link_frame *)(slots + i * slot_size(frame_max)));
}

struct link_frame *
link__frame_get(struct link_pool *pool)
{
	struct link_frame *f = pool->free;

	if (f == NULL)
		return NULL;
	pool->free = f->next;
	pool->n_free--;
	return f;
}

void
link__frame_put(struct link_pool *pool, struct link_frame *f)
{
	f->next = pool->free;
	pool->free = f;
	pool->n_free++;
	assert(pool->n_free <= pool->n_frames);
}

/* Two roots without siblings become one. */
static struct link_frame *
meld(struct link_frame *a, struct link_frame *b)
{
	struct link_frame *swap;

	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b->due < a->due || (b->due == a->due && b->order < a->order)) {
		swap = a;
		a = b;
		b = swap;
	}
	b->next = a->child;
	if (b->next != NULL)
		b->next->prev = b;
	b->prev = a;
	a->child = b;
	return a;
}

/* Siblings become one heap: in pairs from the left, then all together from the right. */
static struct link_frame *
meld_siblings(struct link_frame *first)
{
	struct link_frame *pairs = NULL;
	struct link_frame *root = NULL;

	while (first != NULL) {
		struct link_frame *a = first, *b = a->next;

		first = b != NULL ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b != NULL)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		struct link_frame *a = pairs;

		pairs = a->next;
		a->next = NULL;
		root = meld(root, a);
	}
	return root;
}

void
link__queue_add(struct link_frame **root, struct link_frame *f)
{
	f->child = f->next = f->prev = NULL;
	*root = meld(*root, f);
}

void
link__queue_remove(struct link_frame **root, struct link_frame *f)
{
	struct link_frame *below = meld_siblings(f->child);

	if (f == *root) {
		*root = below;
		return;
	}
	if (f->prev->child == f)
		f->prev->child = f->next;
	else
		f->prev->next = f->next;
	if (f->next != NULL)
		f->next->prev = f->prev;
	*root = meld(*root, below);
}
