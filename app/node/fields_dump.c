/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs that were loaded by tables: back to JSON, compared, and reloaded. */
#include "fields.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct walk {
	char path[64]; /* of the object at hand */
	node_differ_fn fn;
	void *ctx;
};

static const uint8_t *
member(const struct node_field *f, const void *base)
{
	return (const uint8_t *)base + f->offset;
}

static uint32_t
count_of(const struct node_field *f, const void *base)
{
	uint32_t n;

	memcpy(&n, (const uint8_t *)base + f->count, sizeof(n));
	return n;
}

static uint64_t
number_of(const struct node_field *f, const void *base)
{
	const uint8_t *at = member(f, base);

	if (f->size == 1)
		return *at;
	if (f->size == 2)
		return *(const uint16_t *)at;
	if (f->size == 4)
		return __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
	return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
}

/* In the form that the file may have, and people like to read. */
static json_t *
dump_value(const struct node_field *f, const void *base)
{
	const uint8_t *at = member(f, base);
	uint32_t ip;

	switch (f->type) {
	case FIELD_INTEGER:
		return json_integer((json_int_t)number_of(f, base));
	case FIELD_NUMBER:
		return json_sprintf("0x%" PRIx64, number_of(f, base));
	case FIELD_SIZE:
		if (number_of(f, base) % 1024 != 0)
			return json_integer((json_int_t)number_of(f, base));
		return json_string(node_size_text(number_of(f, base)).s);
	case FIELD_NAME:
		return json_string((const char *)at);
	case FIELD_BOOL:
		return json_boolean(number_of(f, base) != 0);
	case FIELD_ENUM:
		return json_string(f->names[number_of(f, base)]);
	case FIELD_MAC:
		return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", at[0], at[1], at[2], at[3],
			at[4], at[5]);
	case FIELD_IPV4:
		ip = (uint32_t)number_of(f, base);
		return json_sprintf("%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
			ip & 255);
	case FIELD_OBJECT:
	case FIELD_LIST:
		break;
	}
	return NULL;
}

static json_t *
dump_list(const struct node_field *f, const void *base)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count_of(f, base); i++)
		json_array_append_new(list,
			node_fields_dump(f->sub, member(f, base) + i * f->size));
	return list;
}

json_t *
node_fields_dump(const struct node_field *fields, const void *base)
{
	json_t *object = json_object();
	int rc = 0;

	for (const struct node_field *f = fields; rc == 0 && f->name != NULL; f++) {
		if (f->type == FIELD_OBJECT)
			rc = json_object_set_new(object, f->name, node_fields_dump(f->sub, base));
		else if (f->type == FIELD_LIST)
			rc = json_object_set_new(object, f->name, dump_list(f, base));
		else
			rc = json_object_set_new(object, f->name, dump_value(f, base));
	}
	if (rc == 0)
		return object;
	json_decref(object);
	return NULL;
}

static void compare(struct walk *w, const struct node_field *fields, const void *was,
	const void *is);

static void
differ(struct walk *w, const struct node_field *f, const char *was, const char *is)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s%s", w->path, w->path[0] != '\0' ? "." : "", f->name);
	w->fn(w->ctx, path, was, is, (f->flags & FIELD_RELOAD) != 0);
}

static void
compare_value(struct walk *w, const struct node_field *f, const void *was, const void *is)
{
	json_t *a = dump_value(f, was), *b = dump_value(f, is);
	char texts[2][64] = {"?", "?"};

	if (a != NULL && b != NULL && !json_equal(a, b)) {
		/* No value is longer than a name. */
		texts[0][json_dumpb(a, texts[0], sizeof(texts[0]) - 1, JSON_ENCODE_ANY)] = '\0';
		texts[1][json_dumpb(b, texts[1], sizeof(texts[1]) - 1, JSON_ENCODE_ANY)] = '\0';
		differ(w, f, texts[0], texts[1]);
	}
	json_decref(a);
	json_decref(b);
}

static void
compare_list(struct walk *w, const struct node_field *f, const void *was, const void *is)
{
	uint32_t n = count_of(f, was), m = count_of(f, is);
	char texts[2][32];

	if (n != m) {
		snprintf(texts[0], sizeof(texts[0]), "%u elements", n);
		snprintf(texts[1], sizeof(texts[1]), "%u", m);
		differ(w, f, texts[0], texts[1]);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		snprintf(w->path, sizeof(w->path), "%s[%u]", f->name, i);
		compare(w, f->sub, member(f, was) + i * f->size, member(f, is) + i * f->size);
	}
	w->path[0] = '\0';
}

static void
compare(struct walk *w, const struct node_field *fields, const void *was, const void *is)
{
	for (const struct node_field *f = fields; f->name != NULL; f++) {
		if (f->type == FIELD_OBJECT) {
			snprintf(w->path, sizeof(w->path), "%s", f->name);
			compare(w, f->sub, was, is);
			w->path[0] = '\0';
		} else if (f->type == FIELD_LIST) {
			compare_list(w, f, was, is);
		} else {
			compare_value(w, f, was, is);
		}
	}
}

void
node_fields_compare(const struct node_field *fields, const void *was, const void *is,
	node_differ_fn fn, void *ctx)
{
	struct walk w = {.fn = fn, .ctx = ctx};

	compare(&w, fields, was, is);
}

/* Others may be reading it. */
static void
reload_value(const struct node_field *f, void *to, const void *from)
{
	uint8_t *at = (uint8_t *)to + f->offset;
	uint64_t value = number_of(f, from);

	if (f->size == 1)
		__atomic_store_n(at, (uint8_t)value, __ATOMIC_RELAXED);
	else if (f->size == 2)
		__atomic_store_n((uint16_t *)at, (uint16_t)value, __ATOMIC_RELAXED);
	else if (f->size == 4)
		__atomic_store_n((uint32_t *)at, (uint32_t)value, __ATOMIC_RELAXED);
	else
		__atomic_store_n((uint64_t *)at, value, __ATOMIC_RELAXED);
}

void
node_fields_reload(const struct node_field *fields, void *to, const void *from)
{
	for (const struct node_field *f = fields; f->name != NULL; f++) {
		if (f->type == FIELD_OBJECT)
			node_fields_reload(f->sub, to, from);
		else if ((f->flags & FIELD_RELOAD) != 0)
			reload_value(f, to, from);
		for (uint32_t i = 0; f->type == FIELD_LIST && i < count_of(f, to); i++)
			node_fields_reload(f->sub, (uint8_t *)to + f->offset + i * f->size,
				member(f, from) + i * f->size);
	}
}
