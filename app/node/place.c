/* SPDX-License-Identifier: BSD-3-Clause */
#include "place.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *
skip_string(const char *p)
{
	for (p++; *p != '"' && *p != '\0'; p++)
		p += *p == '\\' && p[1] != '\0';
	return p + (*p == '"');
}

/* Behind a value: without recursion, since hostile texts are deep. */
static const char *
skip_value(const char *p)
{
	unsigned int depth = 0;

	do {
		p = skip_blanks(p);
		if (*p == '"') {
			p = skip_string(p);
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			p++;
		} else if (*p == ',' || *p == ':') {
			p++;
		} else {
			p += strcspn(p, " \t\r\n,:]}");
		}
	} while (depth > 0 && *p != '\0');
	return p;
}

/* Element number `index` of the list, or key of the object, that begins at p. */
static const char *
enter(const char *p, size_t index)
{
	bool is_object = *p == '{';

	for (p = skip_blanks(p + 1); index > 0; index--) {
		if (is_object)
			p = skip_blanks(skip_string(p)) + 1; /* the colon */
		p = skip_blanks(skip_value(p)) + 1;	     /* the comma */
		p = skip_blanks(p);
	}
	return p;
}

/* Number of a key in an object, in the order of the text; its size when there is none. */
static size_t
key_index(const json_t *object, const char *name, size_t len)
{
	const char *key;
	json_t *value;
	size_t i = 0;

	json_object_foreach ((json_t *)object, key, value) {
		if (strlen(key) == len && memcmp(key, name, len) == 0)
			break;
		i++;
	}
	return i;
}

/* Step from the value at p, which is *json, one part of the path further. NULL: not there. */
static const char *
step(const char *p, const json_t **json, const char **path)
{
	const json_t *inner;
	char name[64];
	size_t len, i;

	if (**path == '[') {
		char *end;

		i = strtoul(*path + 1, &end, 10);
		inner = json_array_get(*json, i);
		*path = end + (*end == ']');
		p = inner != NULL ? enter(p, i) : NULL;
	} else {
		len = strcspn(*path, ".[");
		if (len >= sizeof(name))
			return NULL;
		memcpy(name, *path, len);
		name[len] = '\0';
		inner = json_object_get(*json, name);
		*path += len;
		if (inner == NULL)
			return NULL;
		p = enter(p, key_index(*json, name, len));
		p = skip_blanks(skip_blanks(skip_string(p)) + 1);
	}
	*path += **path == '.';
	*json = inner;
	return p;
}

static const char *
find(const char *text, const json_t **json, const char *path)
{
	const char *at = skip_blanks(text), *next = at;

	while (*path != '\0' && (next = step(at, json, &path)) != NULL)
		at = next;
	return at;
}

static struct node_place
place_of(const char *text, const char *at)
{
	struct node_place place = {.line = 1, .column = 1};

	for (; text < at; text++) {
		if (*text == '\n') {
			place.line++;
			place.column = 1;
		} else if ((*text & 0xc0) != 0x80) { /* not the rest of a UTF-8 character */
			place.column++;
		}
	}
	return place;
}

struct node_place
node_place_value(const char *text, const json_t *root, const char *path)
{
	return place_of(text, find(text, &root, path));
}

struct node_place
node_place_key(const char *text, const json_t *root, const char *path, size_t index)
{
	return place_of(text, enter(find(text, &root, path), index));
}
