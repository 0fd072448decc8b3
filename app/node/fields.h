/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * JSON objects into plain structs by tables: one row per key. Unknown and missing keys, wrong
 * types, values out of range and repeated elements end in one line that names the file, the path
 * of the key, the value and what is allowed.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum node_field_type {
	FIELD_INTEGER, /* JSON integer */
	FIELD_NUMBER,  /* JSON integer, or string in decimal or 0x form */
	FIELD_SIZE,    /* bytes as JSON integer, or string with a unit */
	FIELD_NAME,    /* characters that are safe everywhere: telemetry, file names, logs */
	FIELD_BOOL,
	FIELD_ENUM, /* one of names[], stored as its index */
	FIELD_MAC,  /* unicast */
	FIELD_IPV4, /* unicast, stored in host order */
	FIELD_OBJECT,
	FIELD_LIST, /* of objects */
};

enum node_field_flags {
	FIELD_REQUIRED = 1 << 0,
	FIELD_UNIQUE = 1 << 1, /* no two elements of the list have the same */
	FIELD_RELOAD = 1 << 2, /* may change while the node runs */
};

/* One key. Offsets count from the root struct, or from the element for keys of a list. */
struct node_field {
	const char *name;
	enum node_field_type type;
	unsigned int flags; /* FIELD_REQUIRED, FIELD_UNIQUE */
	uint64_t min;	    /* value, length or number of elements */
	uint64_t max;
	uint64_t def; /* of numbers and names[] that are not required */
	size_t offset;
	size_t size;	 /* bytes of the member, or of one element */
	uint64_t align;	 /* 0: any */
	size_t count;	 /* FIELD_LIST: offset of the number of elements, a uint32_t */
	const char *own; /* key elsewhere that the value must differ from; NULL: none */
	size_t own_at;	 /* its offset in the root struct; loaded before */
	const char *const *names;
	const struct node_field *sub; /* FIELD_OBJECT, FIELD_LIST: table, ends with name NULL */
};

struct node_loader {
	void *root;  /* struct to fill, zeroed before */
	char *error; /* one line */
	size_t error_len;
	char file[768];	    /* name of the file, quoted, for messages */
	char path[64];	    /* of the object at hand: "", "node", "partners[1]" */
	const char *text;   /* the file, ended by a NUL */
	const json_t *json; /* what came of it */
};

/* Any object may have a comment under this key: a string that means nothing. */
#define NODE_COMMENT_KEY "$comment"

struct node_text {
	char s[32];
};

/* Load a JSON object into the root struct. @return 0, or -EINVAL with the error written */
int node_fields_load(struct node_loader *l, const struct node_field *fields, json_t *json);

/* Write the error: the file, then the formatted rest. @return -EINVAL */
int node_fail(struct node_loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same of the value at a path: "<file>:<line>:<column>: <path>: <formatted rest>". */
int node_fail_at(struct node_loader *l, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The struct as JSON that loads into the same again, with what was left out. The caller owns it.
 * @return NULL: out of memory
 */
json_t *node_fields_dump(const struct node_field *fields, const void *base);

/* Keys of which two structs differ, in the order of the tables: path, values, may it be reloaded. */
typedef void (
	*node_differ_fn)(void *ctx, const char *path, const char *was, const char *is, bool reload);
void node_fields_compare(const struct node_field *fields, const void *was, const void *is,
	node_differ_fn fn, void *ctx);

/* Copy what may be reloaded. */
void node_fields_reload(const struct node_field *fields, void *to, const void *from);

/* Bytes, or a number with a unit: 65536, 64KiB. */
bool node_parse_size(const char *text, uint64_t *bytes);

/* Bytes in the largest unit that divides them. */
struct node_text node_size_text(uint64_t bytes);
