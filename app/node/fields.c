/* SPDX-License-Identifier: BSD-3-Clause */
#include "fields.h"
#include "place.h"
#include "quote.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
	char s[192];
};

static const char *const size_units[] = {"", "KiB", "MiB", "GiB", "TiB"};

static int load_object(struct node_loader *l, const struct node_field *fields, json_t *json,
	void *base);

int
node_fail(struct node_loader *l, const char *format, ...)
{
	va_list args;
	size_t used = (size_t)snprintf(l->error, l->error_len, "%s", l->file);

	va_start(args, format);
	vsnprintf(l->error + used, l->error_len - used, format, args);
	va_end(args);
	return -EINVAL;
}

int
node_fail_at(struct node_loader *l, const char *path, const char *format, ...)
{
	struct node_place place = node_place_value(l->text, l->json, path);
	char rest[512];
	va_list args;

	va_start(args, format);
	vsnprintf(rest, sizeof(rest), format, args);
	va_end(args);
	return node_fail(l, ":%u:%u: %s%s%s", place.line, place.column, path,
		path[0] != '\0' ? ": " : "", rest);
}

/* Path of a key of the object at hand. */
static struct line
path_of(const struct node_loader *l, const char *name)
{
	struct line t;

	snprintf(t.s, sizeof(t.s), "%s%s%s", l->path, l->path[0] != '\0' ? "." : "", name);
	return t;
}

struct node_text
node_size_text(uint64_t bytes)
{
	struct node_text t;
	size_t unit = 0;

	for (; bytes >= 1024 && bytes % 1024 == 0 && unit < 4; unit++)
		bytes /= 1024;
	snprintf(t.s, sizeof(t.s), "%" PRIu64 "%s", bytes, size_units[unit]);
	return t;
}

/* The range of a field, for people. */
static struct line
allowed_text(const struct node_field *f)
{
	struct line t;
	size_t i, used = 0;

	switch (f->type) {
	case FIELD_INTEGER:
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " to %" PRIu64, f->min, f->max);
		break;
	case FIELD_NUMBER:
		snprintf(t.s, sizeof(t.s), "%s%" PRIx64 " to 0x%" PRIx64, f->min < 10 ? "" : "0x",
			f->min, f->max);
		break;
	case FIELD_SIZE:
		snprintf(t.s, sizeof(t.s), "%s to %s", node_size_text(f->min).s,
			node_size_text(f->max).s);
		break;
	case FIELD_NAME:
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " to %" PRIu64 " of A-Z a-z 0-9 . _ -",
			f->min, f->max);
		break;
	case FIELD_ENUM:
		for (i = 0; i <= f->max; i++)
			used += (size_t)snprintf(t.s + used, sizeof(t.s) - used, "%s%s",
				i != 0 ? " or " : "", f->names[i]);
		break;
	case FIELD_BOOL:
		snprintf(t.s, sizeof(t.s), "true or false");
		break;
	case FIELD_MAC:
		snprintf(t.s, sizeof(t.s), "a unicast address such as 02:00:00:00:00:01");
		break;
	case FIELD_IPV4:
		snprintf(t.s, sizeof(t.s), "a unicast IPv4 address such as 192.0.2.1");
		break;
	case FIELD_OBJECT:
		snprintf(t.s, sizeof(t.s), "an object");
		break;
	case FIELD_LIST:
		snprintf(t.s, sizeof(t.s), "a list of %" PRIu64 " to %" PRIu64 " objects", f->min,
			f->max);
		break;
	}
	used = strlen(t.s);
	if (f->align != 0)
		used += (size_t)snprintf(t.s + used, sizeof(t.s) - used,
			", a multiple of 0x%" PRIx64, f->align);
	snprintf(t.s + used, sizeof(t.s) - used, "%s%s%s",
		(f->flags & FIELD_UNIQUE) != 0 ? ", each once" : "",
		f->own != NULL ? ", other than " : "", f->own != NULL ? f->own : "");
	return t;
}

/* A value as the file has it, shortened. */
static struct line
value_text(json_t *json)
{
	struct line t;
	char quoted[48];
	size_t len;

	if (json_is_string(json)) {
		snprintf(t.s, sizeof(t.s), "\"%s\"",
			node_quote(quoted, sizeof(quoted), json_string_value(json)));
	} else if (json_is_object(json) || json_is_array(json)) {
		snprintf(t.s, sizeof(t.s), json_is_object(json) ? "an object" : "a list");
	} else {
		len = json_dumpb(json, t.s, sizeof(t.s) - 1,
			JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
		t.s[len < sizeof(t.s) ? len : 0] = '\0';
	}
	return t;
}

/* The value of a field is wrong. */
static int
fail_value(struct node_loader *l, const struct node_field *f, json_t *json, const char *what)
{
	return node_fail_at(l, path_of(l, f->name).s, "%s %s; allowed: %s", value_text(json).s,
		what, allowed_text(f).s);
}

static void
store(const struct node_field *f, void *base, uint64_t value)
{
	uint8_t *to = (uint8_t *)base + f->offset;

	if (f->size == 1)
		*to = (uint8_t)value;
	else if (f->size == 2)
		memcpy(to, &(uint16_t){(uint16_t)value}, 2);
	else if (f->size == 4)
		memcpy(to, &(uint32_t){(uint32_t)value}, 4);
	else
		memcpy(to, &value, 8);
}

/* 0, -EINVAL (not a number of this form) or -ERANGE (more than 64 bits). */
static int
parse_number(const char *text, bool is_size, uint64_t *value)
{
	bool hex = !is_size && text[0] == '0' && text[1] == 'x';
	size_t unit = 0;
	char *end;

	if (!isdigit((unsigned char)text[0]) ||
		(!hex && text[0] == '0' && isdigit((unsigned char)text[1])))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, hex ? 16 : 10);
	if (is_size) {
		for (unit = 1; unit < 5 && strcmp(end, size_units[unit]) != 0; unit++)
			;
		if (unit == 5)
			return -EINVAL;
	} else if (*end != '\0') {
		return -EINVAL;
	}
	if (errno == ERANGE || *value > UINT64_MAX >> (10 * unit))
		return -ERANGE;
	*value <<= 10 * unit;
	return 0;
}

bool
node_parse_size(const char *text, uint64_t *bytes)
{
	return parse_number(text, true, bytes) == 0 || parse_number(text, false, bytes) == 0;
}

static int
load_number(struct node_loader *l, const struct node_field *f, json_t *json, void *base)
{
	static const char *const wrong[] = {
		[FIELD_INTEGER] = "is not an integer",
		[FIELD_NUMBER] = "is not an integer or a string such as \"0x100\"",
		[FIELD_SIZE] = "is not a number of bytes or a string such as \"16MiB\"",
	};
	uint64_t value = 0;
	int rc = -EINVAL;

	if (json_is_integer(json)) {
		value = (uint64_t)json_integer_value(json);
		rc = json_integer_value(json) < 0 ? -ERANGE : 0;
	} else if (json_is_string(json) && f->type != FIELD_INTEGER) {
		rc = parse_number(json_string_value(json), f->type == FIELD_SIZE, &value);
	}
	if (rc == -EINVAL)
		return fail_value(l, f, json, wrong[f->type]);
	if (rc != 0 || value < f->min || value > f->max)
		return fail_value(l, f, json, "is out of range");
	if (f->align != 0 && value % f->align != 0)
		return fail_value(l, f, json, "is not aligned");
	store(f, base, value);
	return 0;
}

static bool
parse_mac(const char *text, uint8_t mac[6])
{
	static const uint8_t zero[6];
	unsigned int i;

	if (strlen(text) != 17)
		return false;
	for (i = 0; i < 17; i++) {
		if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
	return (mac[0] & 1) == 0 && memcmp(mac, zero, sizeof(zero)) != 0;
}

static bool
parse_ipv4(const char *text, uint32_t *ip)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, text, &addr) != 1)
		return false;
	*ip = ntohl(addr.s_addr);
	/* not "this network", not loopback, not multicast, reserved or broadcast */
	return *ip >> 24 != 0 && *ip >> 24 != 127 && *ip >> 24 < 224;
}

static int
load_text(struct node_loader *l, const struct node_field *f, json_t *json, void *base)
{
	static const char name_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789._-";
	const char *text = json_string_value(json);
	uint8_t *to = (uint8_t *)base + f->offset;
	uint8_t mac[6];
	uint32_t ip;
	size_t i;

	if (text == NULL)
		return fail_value(l, f, json, "is not a string");
	if (f->type == FIELD_NAME) {
		size_t len = strlen(text);

		if (len < f->min || len > f->max || strspn(text, name_chars) != len)
			return fail_value(l, f, json, "is not a name");
		memcpy(to, text, len + 1);
	} else if (f->type == FIELD_MAC) {
		if (!parse_mac(text, mac))
			return fail_value(l, f, json, "is not a unicast MAC address");
		memcpy(to, mac, sizeof(mac));
	} else if (f->type == FIELD_IPV4) {
		if (!parse_ipv4(text, &ip))
			return fail_value(l, f, json, "is not a unicast IPv4 address");
		store(f, base, ip);
	} else {
		for (i = 0; i <= f->max && strcmp(text, f->names[i]) != 0; i++)
			;
		if (i > f->max)
			return fail_value(l, f, json, "is unknown");
		store(f, base, i);
	}
	return 0;
}

/* Element i of a list differs from this node and from the elements before it. */
static int
check_unique(struct node_loader *l, const struct node_field *list, json_t *json,
	const uint8_t *first, size_t i)
{
	const struct node_field *f;
	const uint8_t *own, *mine;
	char what[64];
	size_t k;

	for (f = list->sub; f->name != NULL; f++) {
		mine = first + i * list->size + f->offset;
		own = (const uint8_t *)l->root + f->own_at;
		if (f->own != NULL && memcmp(mine, own, f->size) == 0) {
			snprintf(what, sizeof(what), "is this node's own %s", f->own);
			return fail_value(l, f, json_object_get(json, f->name), what);
		}
		for (k = 0; (f->flags & FIELD_UNIQUE) != 0 && k < i; k++) {
			if (memcmp(mine, first + k * list->size + f->offset, f->size) == 0) {
				snprintf(what, sizeof(what), "is also in %s[%zu]", list->name, k);
				return fail_value(l, f, json_object_get(json, f->name), what);
			}
		}
	}
	return 0;
}

static int
load_list(struct node_loader *l, const struct node_field *f, json_t *json, void *base)
{
	uint8_t *first = (uint8_t *)base + f->offset;
	size_t i, n = json_array_size(json);
	int rc;

	if (!json_is_array(json))
		return fail_value(l, f, json, "is not a list");
	if (n < f->min || n > f->max)
		return node_fail_at(l, f->name, "has %zu elements; allowed: %s", n,
			allowed_text(f).s);
	for (i = 0; i < n; i++) {
		json_t *element = json_array_get(json, i);

		snprintf(l->path, sizeof(l->path), "%s[%zu]", f->name, i);
		if (!json_is_object(element))
			return node_fail_at(l, l->path, "%s is not an object; allowed: an object",
				value_text(element).s);
		rc = load_object(l, f->sub, element, first + i * f->size);
		if (rc == 0)
			rc = check_unique(l, f, element, first, i);
		if (rc != 0)
			return rc;
	}
	l->path[0] = '\0';
	memcpy((uint8_t *)base + f->count, &(uint32_t){(uint32_t)n}, sizeof(uint32_t));
	return 0;
}

static int
load_field(struct node_loader *l, const struct node_field *f, json_t *json, void *base)
{
	int rc;

	switch (f->type) {
	case FIELD_INTEGER:
	case FIELD_NUMBER:
	case FIELD_SIZE:
		return load_number(l, f, json, base);
	case FIELD_BOOL:
		if (!json_is_boolean(json))
			return fail_value(l, f, json, "is not a boolean");
		store(f, base, json_is_true(json));
		return 0;
	case FIELD_NAME:
	case FIELD_ENUM:
	case FIELD_MAC:
	case FIELD_IPV4:
		return load_text(l, f, json, base);
	case FIELD_LIST:
		return load_list(l, f, json, base);
	case FIELD_OBJECT:
		break;
	}
	if (json != NULL && !json_is_object(json))
		return fail_value(l, f, json, "is not an object");
	snprintf(l->path, sizeof(l->path), "%s", f->name);
	rc = load_object(l, f->sub, json, base);
	l->path[0] = '\0';
	return rc;
}

/* Key number `index` of the object at hand. */
static int
fail_unknown_key(struct node_loader *l, const struct node_field *fields, const char *key,
	size_t index)
{
	struct node_place place = node_place_key(l->text, l->json, l->path, index);
	char quoted[48], known[160];
	size_t used = 0;

	for (; fields->name != NULL; fields++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
			used != 0 ? ", " : "", fields->name);
	return node_fail(l, ":%u:%u: %s: unknown key; allowed: %s", place.line, place.column,
		path_of(l, node_quote(quoted, sizeof(quoted), key)).s, known);
}

/* Every key is one of the table's, or a comment. */
static int
check_keys(struct node_loader *l, const struct node_field *fields, json_t *json)
{
	const struct node_field *f;
	const char *key;
	json_t *value;
	size_t index = 0;

	json_object_foreach (json, key, value) {
		for (f = fields; f->name != NULL && strcmp(f->name, key) != 0; f++)
			;
		if (f->name == NULL && strcmp(key, NODE_COMMENT_KEY) != 0)
			return fail_unknown_key(l, fields, key, index);
		if (f->name == NULL && !json_is_string(value))
			return node_fail_at(l, path_of(l, NODE_COMMENT_KEY).s,
				"%s is not a string; allowed: any string", value_text(value).s);
		index++;
	}
	return 0;
}

/* json is NULL for a section that was left out: then every key has its default. */
static int
load_object(struct node_loader *l, const struct node_field *fields, json_t *json, void *base)
{
	const struct node_field *f;
	json_t *value;
	int rc = check_keys(l, fields, json);

	for (f = fields; rc == 0 && f->name != NULL; f++) {
		value = json_object_get(json, f->name);
		if (value == NULL && (f->flags & FIELD_REQUIRED) != 0)
			return node_fail_at(l, path_of(l, f->name).s, "missing; allowed: %s",
				allowed_text(f).s);
		if (value == NULL && f->type < FIELD_OBJECT)
			store(f, base, f->def);
		if (value != NULL || f->type == FIELD_OBJECT)
			rc = load_field(l, f, value, base);
	}
	return rc;
}

int
node_fields_load(struct node_loader *l, const struct node_field *fields, json_t *json)
{
	return load_object(l, fields, json, l->root);
}
