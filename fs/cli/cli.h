/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli: the commands. One file a command, each with one table of options that feeds the parser, --help and `borderfs
 * help
 * --json`, from which manual pages and completions are made. */
#ifndef FS_CLI_CLI_H
#define FS_CLI_CLI_H

#include "config/config.h"
#include "fs/control/outcome.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define BORDERFS_VERSION "0.1"
#define CLI_OPTIONS_MAX	 16

struct cli_option {
	char letter;	   /* 0: none */
	const char *name;  /* the long one; NULL ends a table */
	const char *value; /* what the help calls its value; NULL: a flag */
	const char *help;
	bool joined; /* given more than once its values are joined by commas; else the last one holds */
};

#define CLI_OPTION_CONFIG                                                                                              \
	{                                                                                                              \
		'c', "config", "FILE|NAME",                                                                            \
			"the configuration: a file, or the NAME of one in ~/.config/borderfs or "                      \
			"/etc/borderfs",                                                                               \
			false                                                                                          \
	}
#define CLI_OPTION_JSON                                                                                                \
	{                                                                                                              \
		0, "json", NULL, "print facts as JSON, one object a line", false                                       \
	}
#define CLI_OPTION_HELP                                                                                                \
	{                                                                                                              \
		'h', "help", NULL, "print this help", false                                                            \
	}
#define CLI_OPTION_END                                                                                                 \
	{                                                                                                              \
		0, NULL, NULL, NULL, false                                                                             \
	}

struct cli_args;

struct cli_command {
	const char *name;		/* "mount", "tag add" */
	const char *operands;		/* as the help shows them, "" for none */
	int operands_min, operands_max; /* max -1: any number */
	const char *summary;		/* half a line */
	const char *description;	/* lines of at most 100 characters */
	const struct cli_option *options;
	int (*run)(const struct cli_args *); /* the exit status: an enum outcome */
};

struct cli_args {
	const struct cli_command *command;
	char *values[CLI_OPTIONS_MAX]; /* by place in the command's table: malloc'd, NULL: not given; a flag's is "" */
	char **operands;	       /* point into argv */
	int operand_count;
};

extern const struct cli_command *const cli_commands[]; /* ends with NULL */

/* cli_main: the whole program; the exit status. */
int cli_main(int argc, char **argv);

/* options: args_parse: argv[0] is anything, argv[1] the first after the command's name; reorders argv. 0, or
 * OUTCOME_USAGE with the sentence on standard error. */
int args_parse(struct cli_args *, const struct cli_command *, int argc, char **argv);
void args_free(struct cli_args *);
/* args_value: NULL where it was not given. args_flag: whether it was. The name is one of the command's table. */
const char *args_value(const struct cli_args *, const char *name);
bool args_flag(const struct cli_args *, const char *name);
/* args_help: the help text of a command, appended to out. */
void args_help(const struct cli_command *, struct buf *out);

/* complain: "borderfs: ..." and a newline to standard error, control characters made visible. complain_rc: an error
 * with its sentence, which is freed; returns its outcome. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int complain_rc(int rc, struct errmsg *);

/* cli_config: the configuration that -c names, or the only one there is; its errors (and, if asked, warnings) go to
 * standard error. 0 or an outcome. The caller's to config_put. cli_config_file: of a file. */
int cli_config(const struct cli_args *, bool warnings, struct config **);
int cli_config_file(const char *file, bool warnings, struct config **);
/* cli_config_name: the file that cli_config reads; without -c, that of the one mount there is. malloc'd; NULL with a
 * sentence on standard error. */
char *cli_config_name(const struct cli_args *);

/* A daemon to ask. The configuration it runs with may have errors by now: only its store must be found in it. */
struct cli_daemon {
	char *config_file, *store; /* malloc'd; NULL: not found yet */
	char *approvers_socket;	   /* malloc'd; NULL: there is none, or it is not asked */
};
int cli_daemon(const struct cli_args *, struct cli_daemon *);	   /* 0 or an outcome */
int cli_daemon_file(const char *config_file, struct cli_daemon *); /* 0 or an outcome */
void cli_daemon_free(struct cli_daemon *);

/* cli_ask: control_ask with what went wrong on standard error. Returns an outcome; last, if not NULL, receives the last
 * line, the caller's, or NULL. */
int cli_ask(const struct cli_daemon *, const char *op, json_t *args, int fd, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last);

/* cli_verdict: the outcome of an answer: control_ask's rc with its sentence (freed), or the last line's status; what
 * went wrong on standard error. */
int cli_verdict(int rc, const json_t *last, struct errmsg *);

/* text_at, number_at: a member of an object; "" and 0 where it has none of that type. */
const char *text_at(const json_t *, const char *key);
long long number_at(const json_t *, const char *key);

/* print_json: one object, one line, to standard output, which is flushed; no control character in it. */
void print_json(const json_t *);
/* print_config_message: facts_message's object, file:line: error: text, to standard error. */
void print_config_message(const json_t *);
/* print_text: text for people to standard output: control characters and what is no UTF-8 made visible, as \xNN. */
void print_text(const char *data, size_t len);
/* print_text_line: the same of one line, and its end: a line break within becomes visible too. */
void print_text_line(const char *data, size_t len);

/* table: rows of cells in columns as wide as their widest cell; what is for people only. */
struct table {
	char **cells; /* malloc'd each */
	size_t count, cap, columns;
	bool failed;
};
#define TABLE_INIT(n)                                                                                                  \
	{                                                                                                              \
		.columns = (n)                                                                                         \
	}
/* table_cell: the next cell, row by row, made visible as by print_text. table_print frees the table. */
void table_cell(struct table *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_print(struct table *, const char *indent);
void table_free(struct table *);

#endif
