/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"
#include "capture.h"
#include "config.h"
#include "fields.h"
#include "quote.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
	OPTION_CONFIG,
	OPTION_CHECK_CONFIG,
	OPTION_PRINT_CONFIG,
	OPTION_NO_EXERCISE,
	OPTION_PCAP,
	OPTION_LOG_LEVEL,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_COUNT
};

static const struct {
	const char *name;
	const char *value; /* what it is, for --help; NULL: takes none */
	const char *help;
} options[OPTION_COUNT] = {
	[OPTION_CONFIG] = {"--config", "FILE", "configuration of this node (JSON)"},
	[OPTION_CHECK_CONFIG] = {"--check-config", "FILE", "check a configuration and exit"},
	[OPTION_PRINT_CONFIG] = {"--print-config", "FILE",
		"print a configuration as it takes effect, and exit"},
	[OPTION_NO_EXERCISE] = {"--no-exercise", NULL, "built-in clients leave their ports idle"},
	[OPTION_PCAP] = {"--pcap", "FILE[,SIZE]",
		"capture all frames; the latest SIZE bytes (64MiB) stay, in FILE and FILE.1"},
	[OPTION_LOG_LEVEL] = {"--log-level", "LEVEL",
		"error, warning, notice, info or debug, instead of the configuration's"},
	[OPTION_HELP] = {"--help", NULL, "show this text and exit"},
	[OPTION_VERSION] = {"--version", NULL, "show the version and exit"},
};

struct error {
	char *text;
	size_t len;
};

/* The argument goes into the message in place of %s, quoted. */
__attribute__((format(printf, 2, 0))) static int
fail(struct error *e, const char *format, const char *arg)
{
	char quoted[64];

	snprintf(e->text, e->len, format, node_quote(quoted, sizeof(quoted), arg));
	return -EINVAL;
}

/* Which option an argument is, as "--name" or "--name=value". @return OPTION_COUNT: none */
static enum option_id
find_option(const char *arg, const char **value)
{
	size_t len = strcspn(arg, "=");
	unsigned int id;

	*value = arg[len] == '=' ? arg + len + 1 : NULL;
	for (id = 0; id < OPTION_COUNT; id++) {
		if (strlen(options[id].name) == len && memcmp(options[id].name, arg, len) == 0)
			break;
	}
	return id;
}

static int
set_file(struct node_options *out, enum node_action action, const char *value, struct error *e)
{
	if (out->config != NULL)
		return fail(e, "configuration file \"%s\" is one too many; allowed: one", value);
	if (value[0] == '\0')
		return fail(e, "%s: name of the configuration file is empty",
			options[action == NODE_CHECK	       ? OPTION_CHECK_CONFIG
					: action == NODE_PRINT ? OPTION_PRINT_CONFIG
							       : OPTION_CONFIG]
				.name);
	out->config = value;
	if (action != NODE_RUN)
		out->action = action;
	return 0;
}

static int
set_pcap(struct node_options *out, const char *value, struct error *e)
{
	const char *comma = strrchr(value, ',');
	size_t len = comma != NULL ? (size_t)(comma - value) : strlen(value);

	if (out->pcap[0] != '\0')
		return fail(e, "--pcap: \"%s\" is one too many; allowed: one", value);
	if (len == 0 || len >= sizeof(out->pcap))
		return fail(e, "--pcap: name of the file is empty or too long: \"%s\"", value);
	if (comma != NULL && !node_parse_size(comma + 1, &out->pcap_bytes))
		return fail(e, "--pcap: \"%s\" is not a number of bytes or a size such as 64MiB",
			comma + 1);
	if (out->pcap_bytes < CAPTURE_SIZE_MIN || out->pcap_bytes > CAPTURE_SIZE_MAX)
		return fail(e, "--pcap: size %s is out of range; allowed: 256KiB to 1TiB",
			comma + 1);
	memcpy(out->pcap, value, len);
	out->pcap[len] = '\0';
	return 0;
}

static int
set_option(struct node_options *out, enum option_id id, const char *value, struct error *e)
{
	size_t i;

	switch (id) {
	case OPTION_CONFIG:
		return set_file(out, NODE_RUN, value, e);
	case OPTION_CHECK_CONFIG:
		return set_file(out, NODE_CHECK, value, e);
	case OPTION_PRINT_CONFIG:
		return set_file(out, NODE_PRINT, value, e);
	case OPTION_NO_EXERCISE:
		out->exercise = false;
		return 0;
	case OPTION_PCAP:
		return set_pcap(out, value, e);
	case OPTION_LOG_LEVEL:
		for (i = 0; i < NODE_LOG_LEVELS; i++) {
			if (strcmp(node_log_levels[i], value) == 0) {
				out->log_level = (int)i;
				return 0;
			}
		}
		return fail(e,
			"--log-level: \"%s\" is unknown; allowed: error, warning, notice, "
			"info or debug",
			value);
	case OPTION_HELP:
		out->action = NODE_HELP;
		return 0;
	case OPTION_VERSION:
		out->action = NODE_VERSION;
		return 0;
	case OPTION_COUNT:
		break;
	}
	return -EINVAL;
}

/* Where our options begin; *eal_argc: how many arguments are EAL's. */
static int
split(int argc, char **argv, int *eal_argc, int *first, struct error *e)
{
	const char *value;
	int i, dashes;

	for (dashes = 1; dashes < argc && strcmp(argv[dashes], "--") != 0; dashes++)
		;
	*eal_argc = dashes < argc ? dashes : 1;
	*first = dashes < argc ? dashes + 1 : 1;
	for (i = 1; i < *eal_argc; i++) {
		enum option_id id = find_option(argv[i], &value);

		/* EAL has --help, --version and --log-level of its own */
		if (id != OPTION_HELP && id != OPTION_VERSION && id != OPTION_LOG_LEVEL &&
			id != OPTION_COUNT)
			return fail(e, "%s belongs after \"--\"; before it are EAL arguments",
				options[id].name);
	}
	return 0;
}

int
node_options_parse(int argc, char **argv, struct node_options *out, char *err, size_t err_len)
{
	static const char unknown[] = "unknown option \"%s\"; see --help";
	static const char unknown_ours[] = "unknown option \"%s\"; see --help; EAL arguments are "
					   "followed by \"--\"";
	struct error e = {.text = err, .len = err_len};
	int i, rc, first;

	*out = (struct node_options){
		.action = NODE_RUN,
		.exercise = true,
		.log_level = -1,
		.pcap_bytes = CAPTURE_SIZE_DEFAULT,
	};
	err[0] = '\0';
	rc = split(argc, argv, &out->eal_argc, &first, &e);
	for (i = first; rc == 0 && i < argc; i++) {
		const char *value;
		enum option_id id = find_option(argv[i], &value);

		if (id == OPTION_COUNT)
			rc = fail(&e, first == 1 ? unknown_ours : unknown, argv[i]);
		else if (options[id].value == NULL && value != NULL)
			rc = fail(&e, "%s takes no value", options[id].name);
		else if (options[id].value != NULL && value == NULL && ++i == argc)
			rc = fail(&e, "%s needs a value", options[id].name);
		else
			rc = set_option(out, id, value != NULL ? value : argv[i], &e);
	}
	if (rc == 0 && out->action == NODE_RUN && out->config == NULL)
		rc = fail(&e, "%s FILE is missing; see --help", options[OPTION_CONFIG].name);
	return rc;
}

static void
print_help(FILE *out)
{
	unsigned int id;

	fprintf(out,
		"Usage: ccm-node [EAL arguments] -- --config FILE [options]\n"
		"       ccm-node --help | --version | --check-config FILE | --print-config "
		"FILE\n\n");
	for (id = 0; id < OPTION_COUNT; id++)
		fprintf(out, "  %-15s %-11s  %s\n", options[id].name,
			options[id].value != NULL ? options[id].value : "", options[id].help);
}

static int
print_config(const struct node_config *cfg, FILE *out)
{
	json_t *json = node_config_json(cfg);
	int rc = json == NULL ? -1 : json_dumpf(json, out, JSON_INDENT(2));

	json_decref(json);
	return rc != 0 || fputc('\n', out) == EOF || fflush(out) != 0 ? -EIO : 0;
}

/* Check a configuration, and say ok or print it. */
static int
show_config(const char *path, bool print, FILE *out, FILE *err)
{
	struct node_config *cfg = malloc(sizeof(*cfg));
	struct node_config_error error;
	char text[NODE_CONFIG_SUMMARY_LEN];
	int rc = -ENOMEM;

	if (cfg == NULL) {
		fprintf(err, "ccm-node: out of memory\n");
	} else if ((rc = node_config_load(path, cfg, &error)) != 0) {
		fprintf(err, "%s\n", error.text);
	} else if (print) {
		rc = print_config(cfg, out);
	} else {
		node_config_summary(cfg, text, sizeof(text));
		fprintf(out, "%s: ok\n%s\n", path, text);
	}
	free(cfg);
	return rc == 0 ? EXIT_SUCCESS : NODE_EXIT_USAGE;
}

int
node_options_act(const struct node_options *opt, FILE *out, FILE *err)
{
	switch (opt->action) {
	case NODE_HELP:
		print_help(out);
		return EXIT_SUCCESS;
	case NODE_VERSION:
		fprintf(out, "ccm-node %s\n", CCM_PROGRAM_VERSION);
		return EXIT_SUCCESS;
	case NODE_CHECK:
	case NODE_PRINT:
		return show_config(opt->config, opt->action == NODE_PRINT, out, err);
	case NODE_RUN:
		break;
	}
	return -1;
}
