/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Where in a JSON text something stands, for messages: Jansson tells it of syntax errors only. The
 * text has been parsed before; it is walked side by side with the value that came of it, so nothing
 * in it has to be decoded again.
 */

#include <jansson.h>
#include <stddef.h>

struct node_place {
	unsigned int line;   /* from 1 */
	unsigned int column; /* characters from 1 */
};

/*
 * Where the value at a path stands: "" is the whole, then "node", "partners[1].qpn". What is not
 * in the text, because it was left out, is where the innermost object or list around it begins.
 */
struct node_place node_place_value(const char *text, const json_t *root, const char *path);

/* Where key number `index` (from 0, as json_object_foreach counts) of the object at a path stands. */
struct node_place node_place_key(const char *text, const json_t *root, const char *path,
	size_t index);
