/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_BASE 256 /* what getopt_long returns for the option at place i is LONG_BASE + i */

struct getopt_tables {
	struct option longs[CLI_OPTIONS_MAX + 1];
	char shorts[2 * CLI_OPTIONS_MAX + 2];
	int count;
};

static void build(const struct cli_option *options, struct getopt_tables *t)
{
	char *s = t->shorts;

	*s++ = ':'; /* a missing value is told from an unknown option, and getopt itself says nothing */
	for (int i = 0; options[i].name && i < CLI_OPTIONS_MAX; i++) {
		t->longs[i] = (struct option){ options[i].name, options[i].value ? required_argument : no_argument,
			NULL, LONG_BASE + i };
		t->count++;
		if (!options[i].letter)
			continue;
		*s++ = options[i].letter;
		if (options[i].value)
			*s++ = ':';
	}
}

static int place_of(const struct cli_option *options, const struct getopt_tables *t, int c)
{
	if (c >= LONG_BASE)
		return c - LONG_BASE;
	for (int i = 0; i < t->count; i++)
		if (options[i].letter == c)
			return i;
	return -1;
}

static int set_value(char **value, const struct cli_option *o, const char *text)
{
	char *joined = NULL;

	if (*value && o->joined && asprintf(&joined, "%s,%s", *value, text) < 0)
		return -1;
	if (!joined && !(joined = strdup(text)))
		return -1;
	free(*value);
	*value = joined;
	return 0;
}

static int usage(const struct cli_command *c, const char *what, const char *which)
{
	complain("%s: %s%s: see `borderfs %s --help`", c->name, what, which, c->name);
	return OUTCOME_USAGE;
}

/* The option that getopt refused, as it was written. A letter may stand in a cluster, so it is named alone. */
static int refuse(const struct cli_command *c, int why, char **argv)
{
	char letter[] = { '-', (char)optopt, 0 };
	const char *what = why == ':' ? "a value is missing after " : "unknown option ";

	return usage(c, what, optopt > 0 && optopt < LONG_BASE ? letter : argv[optind - 1]);
}

static int parse_options(struct cli_args *a, const struct getopt_tables *t, int argc, char **argv)
{
	const struct cli_option *options = a->command->options;
	int c;

	optind = 0; /* getopt starts afresh */
	while ((c = getopt_long(argc, argv, t->shorts, t->longs, NULL)) != -1) {
		int i = c == '?' || c == ':' ? -1 : place_of(options, t, c);

		if (i < 0)
			return refuse(a->command, c, argv);
		if (set_value(&a->values[i], &options[i], options[i].value ? optarg : "") < 0) {
			complain("out of memory");
			return OUTCOME_FAILED;
		}
	}
	return 0;
}

int args_parse(struct cli_args *a, const struct cli_command *command, int argc, char **argv)
{
	struct getopt_tables t = { .count = 0 };
	int rc;

	*a = (struct cli_args){ .command = command };
	build(command->options, &t);
	rc = parse_options(a, &t, argc, argv);
	if (rc)
		return rc;
	a->operands = argv + optind;
	a->operand_count = argc - optind;
	if (args_flag(a, "help"))
		return 0;
	if (a->operand_count < command->operands_min)
		return usage(command, "it needs ", command->operands);
	if (command->operands_max >= 0 && a->operand_count > command->operands_max)
		return usage(command, "one argument too many: ", a->operands[command->operands_max]);
	return 0;
}

void args_free(struct cli_args *a)
{
	for (size_t i = 0; i < CLI_OPTIONS_MAX; i++)
		free(a->values[i]);
	*a = (struct cli_args){ 0 };
}

const char *args_value(const struct cli_args *a, const char *name)
{
	for (int i = 0; a->command->options[i].name; i++)
		if (!strcmp(a->command->options[i].name, name))
			return a->values[i];
	return NULL;
}

bool args_flag(const struct cli_args *a, const char *name)
{
	return args_value(a, name) != NULL;
}

static void help_option(const struct cli_option *o, struct buf *out)
{
	char left[64];
	int len = snprintf(left, sizeof left, "  %c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
		o->letter ? ", " : "  ", o->name, o->value ? " " : "", o->value ? o->value : "");

	if (len < 30)
		buf_printf(out, "%-30s%s\n", left, o->help);
	else
		buf_printf(out, "%s\n%30s%s\n", left, "", o->help);
}

void args_help(const struct cli_command *c, struct buf *out)
{
	buf_printf(out, "usage: borderfs %s [OPTIONS]%s%s\n\n%s.\n", c->name, *c->operands ? " " : "", c->operands,
		c->summary);
	if (c->description)
		buf_printf(out, "\n%s\n", c->description);
	buf_str(out, "\n");
	for (const struct cli_option *o = c->options; o->name; o++)
		help_option(o, out);
}
