/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands: which there are, their parameters, and who may look at the node.
 */
#include "telemetry.h"
#include "tel_answer.h"

#include <rte_telemetry.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/*
 * The handlers of DPDK 22.11 have no context, and their threads never end. The lock keeps what
 * they look at from being taken away under them.
 */
const struct telemetry_source *app_source;
static pthread_mutex_t app_lock = PTHREAD_MUTEX_INITIALIZER;

/* One decimal number without sign, blanks or leading zeros; *at goes on behind it. */
static bool
parse_number(const char **at, uint32_t *out)
{
	const char *p = *at;
	uint64_t value = 0;

	if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*out = (uint32_t)value;
	*at = p;
	return true;
}

/* At most max numbers with a comma in between. No text at all: none. */
static const char *
parse_args(const char *text, uint32_t max, struct tel_args *args)
{
	args->n = 0;
	if (text == NULL || *text == '\0')
		return NULL;
	if (max == 0)
		return "this command takes no parameters";
	for (;;) {
		if (args->n == max)
			return "too many parameters";
		if (!parse_number(&text, &args->v[args->n]))
			return "a parameter is not a decimal number of 32 bits";
		args->n++;
		if (*text == '\0')
			return NULL;
		if (*text++ != ',')
			return "a parameter is not a decimal number of 32 bits";
	}
}

/* A name up to the first comma; *text goes on behind it. */
static const char *
parse_name(const char **text, char name[TEL_NAME_LEN])
{
	size_t len = *text == NULL ? 0 : strcspn(*text, ",");

	if (len == 0)
		return "a name is missing";
	if (len >= TEL_NAME_LEN)
		return "the name is too long";
	memcpy(name, *text, len);
	name[len] = '\0';
	*text += len;
	if (**text != ',')
		return NULL;
	++*text;
	return **text == '\0' ? "a parameter is not a decimal number of 32 bits" : NULL;
}

enum { NAMED = 1 << 8 };

static const struct command {
	const char *name;
	const char *help;
	uint32_t max_args; /* numbers; NAMED: a name comes first */
	tel_answer_fn answer;
} commands[] = {
	{"/ccm/status", "State of this node. No parameters.", 0, tel_answer_status},
	{"/ccm/partners", "State of partners. Parameter: [first]", 1, tel_answer_partners},
	{"/ccm/partner", "All about one partner. Parameter: id", 1, tel_answer_partner},
	{"/ccm/clients", "Clients and their partners. Parameter: [first]", 1, tel_answer_clients},
	{"/ccm/ports", "Clients' ports. Parameters: [id, or 0: all][,first]", 2, tel_answer_ports},
	{"/ccm/events", "State changes, newest first. Parameter: [newest seq]", 1,
		tel_answer_events},
	{"/ccm/timing", "Steps of the last set-ups. Parameter: [first]", 1, tel_answer_timing},
	{"/ccm/exercise", "Test data over the ports. Parameter: [first]", 1, tel_answer_exercise},
	{"/ccm/boot", "How far this node has booted. No parameters.", 0, tel_answer_boot},
	{"/ccm/boot/stage", "Tell a boot stage. Parameters: name[,progress]", NAMED | 1,
		tel_answer_boot_stage},
	{"/ccm/config", "Configuration in force. No parameters.", 0, tel_answer_config},
	{"/ccm/reload", "What became of the last SIGHUP. No parameters.", 0, tel_answer_reload},
	{"/ccm/capture", "Frames captured by --pcap. No parameters.", 0, tel_answer_capture},
	{"/remu/stats", "Counters of engines. Parameter: [first engine]", 1, tel_answer_stats},
	{"/remu/qps", "Queue pairs. Parameter: [first]", 1, tel_answer_qps},
	{"/remu/drops", "Dropped packets by reason. No parameters.", 0, tel_answer_drops},
	{"/remu/port", "The Ethernet port. No parameters.", 0, tel_answer_port},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

/* @return why there is no answer, or NULL */
static const char *
answer(const struct command *command, const char *params, struct tel_object *top)
{
	struct tel_args args = {0};
	const char *error = command->max_args & NAMED ? parse_name(&params, args.name) : NULL;

	if (error == NULL)
		error = parse_args(params, command->max_args & ~(uint32_t)NAMED, &args);

	if (error != NULL)
		return error;
	pthread_mutex_lock(&app_lock);
	error = app_source != NULL ? command->answer(top, &args) : "the node has stopped";
	pthread_mutex_unlock(&app_lock);
	return error;
}

/* Callback of all commands. */
static int
on_command(const char *cmd, const char *params, struct rte_tel_data *data)
{
	struct tel_object top = {.data = data};
	const char *error;

	for (uint32_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(cmd, commands[i].name) != 0)
			continue;
		rte_tel_data_start_dict(data);
		error = answer(&commands[i], params, &top);
		if (error != NULL)
			tel_put_text(&top, "error", error);
		return 0;
	}
	return -ENOENT;
}

static void
set_source(const struct telemetry_source *src)
{
	pthread_mutex_lock(&app_lock);
	app_source = src;
	pthread_mutex_unlock(&app_lock);
}

int
node_telemetry_register(const struct telemetry_source *src)
{
	set_source(src);
	for (uint32_t i = 0; i < N_COMMANDS; i++) {
		int rc = rte_telemetry_register_cmd(commands[i].name, on_command, commands[i].help);

		if (rc != 0)
			return rc;
	}
	return 0;
}

void
node_telemetry_stop(void)
{
	set_source(NULL);
}
