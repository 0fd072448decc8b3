/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Answers of telemetry under construction. What rte_telemetry of DPDK 22.11 can hold shapes them:
 * objects may nest, but a list can hold neither objects nor lists, so lists are objects with a key
 * per element. An answer is one packet of 16 KiB and what does not fit is left out without a word;
 * so every list counts its bytes, stops in time and says with "next" which parameter asks for the
 * rest.
 */

#include "telemetry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_tel_data;

enum {
	TEL_KEY_LEN = 64,
	TEL_ARGS_MAX = 2,
	TEL_NAME_LEN = 32,
};

/* An object under construction, and how long its JSON text can be. */
struct tel_object {
	struct rte_tel_data *data; /* NULL: out of memory; then it takes nothing */
	size_t bytes;
	uint32_t entries;
};

/* Elements first to end of a list, as many as fit. */
struct tel_list {
	struct tel_object object;
	size_t room;
	bool full;
};

/* Parameters: numbers, as many as there were; before them a name, for commands that take one. */
struct tel_args {
	uint32_t n;
	uint32_t v[TEL_ARGS_MAX];
	char name[TEL_NAME_LEN];
};

/* Fields of structs that are written as they are. */
enum field_type {
	TEL_U8,
	TEL_U16,
	TEL_U32,
	TEL_U64,
	TEL_HEX,
};

struct tel_field {
	const char *name;
	size_t offset;
	enum field_type type;
};

void tel_put_u64(struct tel_object *o, const char *name, uint64_t value);
void tel_put_int(struct tel_object *o, const char *name, int value);
void tel_put_text(struct tel_object *o, const char *name, const char *text);
void tel_put_format(struct tel_object *o, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The first len bytes of a text, or all of it; len: 126 at most. */
void tel_put_part(struct tel_object *o, const char *name, const char *text, size_t len);

/* Numbers of 64 bits that are no counts: JSON readers take numbers for doubles. */
void tel_put_hex(struct tel_object *o, const char *name, uint64_t value);
void tel_put_mac(struct tel_object *o, const char *name, const uint8_t mac[6]);
void tel_put_ip(struct tel_object *o, const char *name, uint32_t ip);

struct tel_object tel_object_new(void);

/* Hand an object over to the one that it is part of. */
void tel_put_object(struct tel_object *o, const char *name, struct tel_object *part);

struct tel_list tel_list_new(const struct tel_object *top);

/* Add an element, unless the list is full: then this is where the next page begins. */
bool tel_list_add(struct tel_list *l, const char *key, struct tel_object *element);

/* Microseconds, rounded. */
uint64_t tel_us(uint64_t ns);

/* Time since a moment that the control core has noted, which may be a little ahead of us. */
uint64_t tel_elapsed_ns(uint64_t now_ns, uint64_t then_ns);

/* Value of a field of the struct at base; 64-bit ones may change meanwhile. */
uint64_t tel_field_value(const struct tel_field *f, const void *base);

/* All fields of a table that ends with a nameless one. */
void tel_put_fields(struct tel_object *o, const struct tel_field *fields, const void *base);

/*
 * Answers fill `top` and return NULL, or say what is wrong with the parameters: then nothing is in
 * it. They are called with the lock of telemetry.c held.
 */
typedef const char *(*tel_answer_fn)(struct tel_object *top, const struct tel_args *args);

/* What the answers look at; NULL once the node has stopped. */
extern const struct telemetry_source *app_source;

const char *tel_answer_status(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_partners(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_partner(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_clients(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_ports(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_events(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_timing(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_exercise(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_boot(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_boot_stage(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_config(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_reload(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_capture(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_stats(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_drops(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_qps(struct tel_object *top, const struct tel_args *args);
const char *tel_answer_port(struct tel_object *top, const struct tel_args *args);
