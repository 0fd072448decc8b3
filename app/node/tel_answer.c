/* SPDX-License-Identifier: BSD-3-Clause */
#include "tel_answer.h"

#include <rte_telemetry.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bytes of JSON, less the command's name and the list's frame. */
enum { ANSWER_BYTES = 16 * 1024 - 512 };

/* Whether there is room; counts the bytes of "name":, with a comma. */
static bool
take(struct tel_object *o, const char *name, size_t value_bytes)
{
	if (o->data == NULL || o->entries == RTE_TEL_MAX_DICT_ENTRIES)
		return false;
	o->entries++;
	o->bytes += strlen(name) + strlen("\"\":, ") + value_bytes;
	return true;
}

void
tel_put_u64(struct tel_object *o, const char *name, uint64_t value)
{
	char digits[24];

	if (take(o, name, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, value)))
		rte_tel_data_add_dict_u64(o->data, name, value);
}

void
tel_put_int(struct tel_object *o, const char *name, int value)
{
	if (take(o, name, strlen("-2147483648")))
		rte_tel_data_add_dict_int(o->data, name, value);
}

void
tel_put_text(struct tel_object *o, const char *name, const char *text)
{
	/* What may need escapes, names of devices, is in no list. */
	if (take(o, name, strlen(text) + 2))
		rte_tel_data_add_dict_string(o->data, name, text);
}

void
tel_put_part(struct tel_object *o, const char *name, const char *text, size_t len)
{
	char part[RTE_TEL_MAX_STRING_LEN];

	snprintf(part, sizeof(part), "%.*s", (int)len, text);
	if (take(o, name, 2 * strlen(part) + 2)) /* quotes need escapes */
		rte_tel_data_add_dict_string(o->data, name, part);
}

void
tel_put_format(struct tel_object *o, const char *name, const char *format, ...)
{
	char text[TEL_KEY_LEN];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	tel_put_text(o, name, text);
}

/* Numbers of 64 bits that are no counts: JSON readers take numbers for doubles. */
void
tel_put_hex(struct tel_object *o, const char *name, uint64_t value)
{
	tel_put_format(o, name, "0x%016" PRIx64, value);
}

void
tel_put_mac(struct tel_object *o, const char *name, const uint8_t mac[6])
{
	tel_put_format(o, name, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		mac[4], mac[5]);
}

void
tel_put_ip(struct tel_object *o, const char *name, uint32_t ip)
{
	tel_put_format(o, name, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

struct tel_object
tel_object_new(void)
{
	struct tel_object o = {.data = rte_tel_data_alloc()};

	if (o.data != NULL)
		rte_tel_data_start_dict(o.data);
	return o;
}

/* Hand an object over to the one that it is part of. */
void
tel_put_object(struct tel_object *o, const char *name, struct tel_object *part)
{
	if (part->data == NULL)
		return;
	if (!take(o, name, part->bytes + 2) ||
		rte_tel_data_add_dict_container(o->data, name, part->data, 0) < 0)
		rte_tel_data_free(part->data);
}

struct tel_list
tel_list_new(const struct tel_object *top)
{
	return (struct tel_list){.object = tel_object_new(), .room = ANSWER_BYTES - top->bytes};
}

/* Add an element, unless the list is full: then this is where the next page begins. */
bool
tel_list_add(struct tel_list *l, const char *key, struct tel_object *element)
{
	size_t bytes = l->object.bytes + strlen(key) + element->bytes + 8;

	if (element->data == NULL || bytes > l->room ||
		l->object.entries == RTE_TEL_MAX_DICT_ENTRIES)
		l->full = true;
	if (l->full)
		rte_tel_data_free(element->data);
	else
		tel_put_object(&l->object, key, element);
	return !l->full;
}

/* Microseconds, rounded. */
uint64_t
tel_us(uint64_t ns)
{
	return ns / 1000 + (ns % 1000 >= 500);
}

/* Time since a moment that the control core has noted, which may be a little ahead of us. */
uint64_t
tel_elapsed_ns(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

uint64_t
tel_field_value(const struct tel_field *f, const void *base)
{
	const uint8_t *at = (const uint8_t *)base + f->offset;

	switch (f->type) {
	case TEL_U8:
		return *at;
	case TEL_U16:
		return *(const uint16_t *)at;
	case TEL_U32:
		return *(const uint32_t *)at;
	case TEL_U64:
	case TEL_HEX:
		break;
	}
	return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
}

void
tel_put_fields(struct tel_object *o, const struct tel_field *fields, const void *base)
{
	for (const struct tel_field *f = fields; f->name != NULL; f++) {
		if (f->type == TEL_HEX)
			tel_put_hex(o, f->name, tel_field_value(f, base));
		else
			tel_put_u64(o, f->name, tel_field_value(f, base));
	}
}
