/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/text.h"
#include "fs/cli/commands.h"
#include "fs/cli/mounts.h"
#include "fs/cli/moving.h"
#include "fs/cli/progress.h"
#include "fs/transfer/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char *size_at(const json_t *o, const char *key, char *out, size_t len)
{
	return text_size((uint64_t)number_at(o, key), out, len);
}

static char *seconds_at(const json_t *o, const char *key, char *out, size_t len)
{
	double s = json_real_value(json_object_get(o, key));

	return text_duration(s > 0 && s < 1e9 ? (int64_t)(s * NS_PER_S) : 0, out, len);
}

static void backend_state(struct table *t, const json_t *b)
{
	char age[32];

	if (json_is_true(json_object_get(b, "up")))
		table_cell(t, json_is_string(json_object_get(b, "error"))    ? "failing"
			      : json_is_null(json_object_get(b, "ok_age_s")) ? "not asked yet"
									     : "up");
	else if (json_is_null(json_object_get(b, "error_age_s")))
		table_cell(t, "down");
	else
		table_cell(t, "down for %s", seconds_at(b, "error_age_s", age, sizeof age));
}

static void backend_row(struct table *t, const json_t *zone, const json_t *b)
{
	char sent[32], received[32];

	table_cell(t, "%s%s", text_at(zone, "name"), json_is_true(json_object_get(zone, "home")) ? " (home)" : "");
	table_cell(t, "%s", text_at(zone, "kind"));
	table_cell(t, "%s", text_at(b, "name"));
	table_cell(t, "%s, %s", text_at(b, "type"),
		json_is_true(json_object_get(b, "closed")) ? "closed" : text_at(b, "mode"));
	backend_state(t, b);
	table_cell(t, "%.1f ms", json_real_value(json_object_get(b, "latency_ms")));
	table_cell(t, "%s", size_at(b, "bytes_sent", sent, sizeof sent));
	table_cell(t, "%s", size_at(b, "bytes_received", received, sizeof received));
	table_cell(t, "%lld", number_at(b, "deletions_waiting"));
	table_cell(t, "%lld of %lld", number_at(b, "failures"), number_at(b, "requests"));
}

static void print_backends(const json_t *status)
{
	static const char *const head[] = { "ZONE", "KIND", "BACKEND", "TYPE", "STATE", "LATENCY", "SENT", "RECEIVED",
		"TO DELETE", "FAILED" };
	struct table t = TABLE_INIT(sizeof head / sizeof *head);
	json_t *zone, *b;
	size_t i, j;

	for (i = 0; i < t.columns; i++)
		table_cell(&t, "%s", head[i]);
	json_array_foreach(json_object_get(status, "zones"), i, zone)
		json_array_foreach(json_object_get(zone, "backends"), j, b) backend_row(&t, zone, b);
	table_print(&t, "");
}

/* a sentence that names its backend need not do so twice */
static void print_error(const json_t *b, const char *message)
{
	char named[128], age[32];
	int len = snprintf(named, sizeof named, "backend '%s': ", text_at(b, "name"));

	if (!strncmp(message, named, (size_t)len))
		message += len;
	printf("%s: %s ago: ", text_at(b, "name"), seconds_at(b, "error_age_s", age, sizeof age));
	print_text(message, strlen(message));
	printf("\n");
}

static void print_errors(const json_t *status)
{
	json_t *zone, *b;
	size_t i, j;

	json_array_foreach(json_object_get(status, "zones"), i, zone)
	{
		json_array_foreach(json_object_get(zone, "backends"), j, b)
		{
			const char *message = json_string_value(json_object_get(b, "message"));

			if (message)
				print_error(b, message);
		}
	}
}

/* Zones with fewer copies than they are to have, or with too few backends for what is written now. */
static void print_copies(const json_t *status)
{
	json_t *zone;
	size_t i;

	json_array_foreach(json_object_get(status, "zones"), i, zone)
	{
		long long copies = number_at(zone, "copies"), taking = number_at(zone, "backends_taking");
		long long blocks = number_at(zone, "blocks_short"), lost = number_at(zone, "blocks_lost");

		if (lost)
			printf("LOST:    zone '%s': %lld%s block%s without any sound copy: reading them is an error; "
			       "`borderfs report` names the files\n",
				text_at(zone, "name"), lost, lost == TRANSFER_SHORT_MAX ? " or more" : "",
				lost == 1 ? "" : "s");
		if (blocks > lost)
			printf("copies:  zone '%s': %lld%s block%s with fewer sound copies than %lld; they are made as "
			       "its backends allow\n",
				text_at(zone, "name"), blocks - lost, blocks == TRANSFER_SHORT_MAX ? " or more" : "",
				blocks - lost == 1 ? "" : "s", copies);
		if (taking < copies && json_array_size(json_object_get(zone, "backends")))
			printf("copies:  zone '%s': %lld of its backends can store data now, and %lld must: what is "
			       "written there waits in the cache\n",
				text_at(zone, "name"), taking, copies);
	}
}

static void print_waiting(const json_t *status)
{
	const json_t *waiting = json_object_get(status, "waiting");
	struct progress none = { 0 };
	char text[160], age[32];

	if (!number_at(waiting, "files") && !number_at(waiting, "bytes")) {
		printf("waiting: nothing: all data is on its backends\n");
		return;
	}
	progress_text(&none, status, 0, text, sizeof text);
	printf("waiting: %s", text);
	if (json_is_real(json_object_get(waiting, "oldest_age_s")))
		printf("; the oldest for %s", seconds_at(waiting, "oldest_age_s", age, sizeof age));
	printf("\n");
}

static void print_cache(const json_t *status)
{
	const json_t *cache = json_object_get(status, "cache"), *waiting = json_object_get(status, "waiting");
	char used[32], max[32], dirty[32], down[32];

	printf("cache:   %s of %s, %s of it on no backend yet; reading %s/s\n",
		size_at(cache, "bytes", used, sizeof used), size_at(cache, "bytes_max", max, sizeof max),
		size_at(cache, "bytes_dirty", dirty, sizeof dirty),
		size_at(waiting, "download_bytes_per_s", down, sizeof down));
}

/* "3.2 GiB of 10 GiB" */
static const char *bytes_of(const json_t *usage, char *out, size_t len)
{
	char has[32], max[32];

	size_at(usage, "bytes", has, sizeof has);
	if (json_is_integer(json_object_get(usage, "bytes_max")))
		snprintf(out, len, "%s of %s", has, size_at(usage, "bytes_max", max, sizeof max));
	else
		snprintf(out, len, "%s", has);
	return out;
}

static const char *inodes_of(const json_t *usage, char *out, size_t len)
{
	if (json_is_integer(json_object_get(usage, "inodes_max")))
		snprintf(out, len, "%lld of %lld", number_at(usage, "inodes"), number_at(usage, "inodes_max"));
	else
		snprintf(out, len, "%lld", number_at(usage, "inodes"));
	return out;
}

static void print_quotas(const json_t *quotas)
{
	static const char *const head[] = { "QUOTA", "OF", "BYTES", "INODES" };
	struct table t = TABLE_INIT(sizeof head / sizeof *head);
	char bytes[80], inodes[80];
	json_t *q;
	size_t i;

	for (i = 0; i < t.columns; i++)
		table_cell(&t, "%s", head[i]);
	json_array_foreach(quotas, i, q)
	{
		bool group = json_object_get(q, "group") != NULL;

		table_cell(&t, "%s", text_at(q, "name"));
		table_cell(&t, "%s %s", group ? "group" : "user", text_at(q, group ? "group" : "user"));
		table_cell(&t, "%s", bytes_of(q, bytes, sizeof bytes));
		table_cell(&t, "%s", inodes_of(q, inodes, sizeof inodes));
	}
	table_print(&t, "");
}

static void print_usage(const json_t *status)
{
	const json_t *usage = json_object_get(status, "usage"), *quotas = json_object_get(status, "quotas");
	char bytes[80], inodes[80];

	printf("files:   %s in %s inodes\n", bytes_of(usage, bytes, sizeof bytes),
		inodes_of(usage, inodes, sizeof inodes));
	if (json_array_size(quotas))
		print_quotas(quotas);
}

/* The disk and not the configuration bounds the cache, and it is nearly used up. */
static void print_disk(const struct cli_daemon *d, const json_t *status)
{
	const json_t *cache = json_object_get(status, "cache");
	int64_t bytes = number_at(cache, "bytes"), bound = number_at(cache, "bytes_bound");
	char size[32];

	if (bound < number_at(cache, "bytes_max") && bytes >= bound - bound / 8)
		printf("DISK FULL: the disk of %s has room for no more than %s of cache: make room there, or what is "
		       "written waits for its backends\n",
			d->store, size_at(cache, "bytes_bound", size, sizeof size));
}

/* "1,003 of 1,000 files" for people: so much has left, of so much at which it warns or stops. */
static void print_limit(const json_t *limit)
{
	const json_t *stop = json_object_get(limit, "stop_after"), *warn = json_object_get(limit, "warn_after");
	const json_t *bound = number_at(stop, "files") || number_at(stop, "bytes") ? stop : warn;
	char bytes[32], most[32];

	printf("export:  rule %s: %lld files, %s left in this month (UTC); its %s is", text_at(limit, "rule"),
		number_at(limit, "files"), size_at(limit, "bytes", bytes, sizeof bytes),
		bound == stop ? "stop-after" : "warn-after");
	if (number_at(bound, "files"))
		printf(" %lld files", number_at(bound, "files"));
	if (number_at(bound, "bytes"))
		printf("%s %s", number_at(bound, "files") ? "," : "", size_at(bound, "bytes", most, sizeof most));
	printf("%s\n", json_is_true(json_object_get(limit, "stop"))   ? ": STOPPED, nothing more leaves under it"
		       : json_is_true(json_object_get(limit, "warn")) ? ": WARNING, its warn-after is reached"
								      : "");
}

static void print_exports(const json_t *status)
{
	const json_t *exports = json_object_get(status, "exports");
	long long waiting = number_at(exports, "waiting");
	json_t *limit;
	size_t i;

	if (waiting)
		printf("export:  %lld file%s for approvers: see `borderfs export list`\n", waiting,
			waiting == 1 ? " waits" : "s wait");
	json_array_foreach(json_object_get(exports, "limits"), i, limit) print_limit(limit);
}

static void print_status(const struct cli_daemon *d, const json_t *status)
{
	struct mount_at at;

	if (mounts_by_config(d->config_file, &at) == 0) {
		printf("%s, mounted at %s (process %lld)\n", text_at(status, "name"), at.directory,
			number_at(status, "pid"));
		mount_at_free(&at);
	} else {
		printf("%s (process %lld)\n", text_at(status, "name"), number_at(status, "pid"));
	}
	if (json_is_string(json_object_get(status, "failed")))
		printf("READ-ONLY: the store %s cannot be written any more: %s; make room or repair its disk, then "
		       "mount "
		       "again\n",
			d->store, text_at(status, "failed"));
	print_disk(d, status);
	print_backends(status);
	print_errors(status);
	print_copies(status);
	if (json_is_object(json_object_get(status, "move")))
		moving_print(json_object_get(status, "move"));
	print_waiting(status);
	print_exports(status);
	print_cache(status);
	print_usage(status);
	fflush(stdout);
}

static void drop_protocol(json_t *status)
{
	json_object_del(status, "done");
	json_object_del(status, "status");
}

static int show(const struct cli_args *args, const struct cli_daemon *d, bool repaint)
{
	json_t *status = NULL;
	int rc = cli_ask(d, "status", NULL, -1, NULL, NULL, &status);

	if (rc == 0 && args_flag(args, "json")) {
		drop_protocol(status);
		print_json(status);
	} else if (rc == 0) {
		printf("%s", repaint ? "\033[H\033[J" : "");
		print_status(d, status);
	}
	json_decref(status);
	return rc;
}

static int watch(const struct cli_args *args, const struct cli_daemon *d)
{
	struct timespec next;
	bool repaint = isatty(STDOUT_FILENO);
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &next);
	while ((rc = show(args, d, repaint)) == 0 && !ferror(stdout)) {
		next.tv_sec++;
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == EINTR)
			;
	}
	return rc;
}

static int run(const struct cli_args *args)
{
	struct cli_daemon daemon;
	int rc = cli_daemon(args, &daemon);

	if (rc)
		return rc;
	rc = args_flag(args, "watch") ? watch(args, &daemon) : show(args, &daemon, false);
	cli_daemon_free(&daemon);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	{ 'w', "watch", NULL, "again every second, until interrupted", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_status = {
	.name = "status",
	.operands = "",
	.summary = "Shows zones, backends up or down, what waits to be uploaded, speed, and the cache",
	.options = options,
	.run = run,
};
