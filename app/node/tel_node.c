/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers about the program itself: its configuration in force, and what became of reloading it.
 */
#include "capture.h"
#include "config.h"
#include "reload.h"
#include "tel_answer.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { PART_LEN = 100 /* bytes of a text; rte_telemetry keeps 127 */ };

static void put_json(struct tel_object *o, const char *name, json_t *value);

static void
put_members(struct tel_object *o, json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value)
		put_json(o, key, value);
}

/* Partners, clients and boot stages have commands of their own: lists are told by their length. */
static void
put_json(struct tel_object *o, const char *name, json_t *value)
{
	struct tel_object part;
	char key[TEL_KEY_LEN];

	if (json_is_object(value)) {
		part = tel_object_new();
		put_members(&part, value);
		tel_put_object(o, name, &part);
	} else if (json_is_array(value)) {
		snprintf(key, sizeof(key), "%s_count", name);
		tel_put_u64(o, key, json_array_size(value));
	} else if (json_is_string(value)) {
		tel_put_text(o, name, json_string_value(value));
	} else if (json_is_boolean(value)) {
		tel_put_u64(o, name, json_is_true(value));
	} else {
		tel_put_u64(o, name, (uint64_t)json_integer_value(value));
	}
}

const char *
tel_answer_config(struct tel_object *top, const struct tel_args *args)
{
	json_t *json = node_config_json(app_source->cfg);

	(void)args;
	if (json == NULL)
		return "out of memory";
	put_members(top, json);
	json_decref(json);
	return NULL;
}

/* A long text in parts, to be put together again. */
static void
put_long_text(struct tel_object *top, const char *name, const char *text)
{
	struct tel_object parts = tel_object_new();
	size_t len = strlen(text);

	for (size_t i = 0; i * PART_LEN < len; i++) {
		char key[TEL_KEY_LEN];

		snprintf(key, sizeof(key), "part_%zu", i);
		tel_put_part(&parts, key, text + i * PART_LEN, PART_LEN);
	}
	tel_put_object(top, name, &parts);
}

const char *
tel_answer_reload(struct tel_object *top, const struct tel_args *args)
{
	struct node_reload_status st;

	(void)args;
	node_reload_read(app_source->reload, &st);
	tel_put_u64(top, "count", st.count);
	tel_put_text(top, "result", node_reload_result_name(st.result));
	if (st.count == 0)
		tel_put_int(top, "age_ms", -1);
	else
		tel_put_u64(top, "age_ms",
			tel_elapsed_ns(app_source->now_ns(), st.when_ns) / 1000000);
	put_long_text(top, "text", st.text);
	return NULL;
}

const char *
tel_answer_capture(struct tel_object *top, const struct tel_args *args)
{
	struct capture_status st = {0};

	(void)args;
	tel_put_u64(top, "active", app_source->capture != NULL);
	if (app_source->capture == NULL)
		return NULL;
	capture_read(app_source->capture, &st);
	tel_put_u64(top, "frames", st.frames);
	tel_put_u64(top, "bytes", st.bytes);
	tel_put_u64(top, "dropped", st.dropped);
	tel_put_u64(top, "files", st.files);
	tel_put_u64(top, "max_bytes", app_source->capture_bytes);
	tel_put_text(top, "problem", st.error != 0 ? strerror(st.error) : "none");
	put_long_text(top, "file", app_source->capture_file);
	return NULL;
}
