/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/moving.h"

#include "base/clock.h"
#include "base/text.h"
#include "fs/cli/progress.h"
#include "fs/place/receipt.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *size_of(const json_t *o, const char *key, char out[32])
{
	return text_size((uint64_t)number_at(o, key), out, 32);
}

static const char *utc(long long s, char out[32])
{
	time_t time = (time_t)s;
	struct tm tm;

	gmtime_r(&time, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%MZ", &tm);
	return out;
}

/* ---- before it begins ----------------------------------------------------------------------------------------- */

static int parse_deadline(const char *text, int64_t *s)
{
	int64_t now = clock_real_ns(), ns;

	*s = 0;
	if (!text)
		return 0;
	if (text_parse_utc(text, &ns) < 0) {
		if (text_parse_duration(text, &ns) < 0 || ns > INT64_MAX - now) {
			complain("--deadline is a moment in UTC, 2026-12-31 or 2026-12-31T18:00, or how long from now, "
				 "36h, not \"%s\"",
				text);
			return OUTCOME_USAGE;
		}
		ns += now;
	}
	if (ns <= now) {
		complain("the deadline %s has passed", text);
		return OUTCOME_USAGE;
	}
	*s = ns / NS_PER_S;
	return 0;
}

static void print_speed(const json_t *plan)
{
	long long needs = number_at(plan, "needed_bytes_per_s"), limit = number_at(plan, "limit_bytes_per_s");
	char speed[32], most[32], when[32];

	if (number_at(plan, "deadline_s"))
		printf("deadline: %s: that needs %s/s\n", utc(number_at(plan, "deadline_s"), when),
			size_of(plan, "needed_bytes_per_s", speed));
	if (limit && needs > limit)
		printf("warning: the limits of the two allow %s/s: it will be late unless they are raised\n",
			size_of(plan, "limit_bytes_per_s", most));
}

static void print_plan(const json_t *plan)
{
	char bytes[32];

	printf("move out of '%s' (zone %s, %s) into %s: %lld file%s, %lld object%s, %s\n", text_at(plan, "from"),
		text_at(plan, "from_zone"), text_at(plan, "from_kind"), text_at(plan, "into"), number_at(plan, "files"),
		number_at(plan, "files") == 1 ? "" : "s", number_at(plan, "objects"),
		number_at(plan, "objects") == 1 ? "" : "s", size_of(plan, "bytes", bytes));
	if (strcmp(text_at(plan, "from_zone"), text_at(plan, "to_zone")) != 0)
		printf("border: from zone %s to zone %s: the files move by their rules, as after the last reload\n",
			text_at(plan, "from_zone"), text_at(plan, "to_zone"));
	else
		printf("border: none is crossed\n");
	print_speed(plan);
	printf("then '%s' is deleted, with all versions, and takes nothing new from now on\n", text_at(plan, "from"));
	fflush(stdout);
}

static int confirm(const struct cli_args *args)
{
	char answer[16];

	if (args_flag(args, "yes"))
		return 0;
	if (!isatty(STDIN_FILENO)) {
		complain("nothing was begun: without a terminal to ask on, --yes is needed");
		return OUTCOME_USAGE;
	}
	fprintf(stderr, "Begin? [y/N] ");
	if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return 0;
	complain("nothing was begun");
	return OUTCOME_FAILED;
}

static json_t *order_of(const char *from, const char *to, int64_t deadline_s)
{
	json_t *order = json_pack("{s:s, s:I}", "from", from, "deadline_s", (json_int_t)deadline_s);

	if (order && to)
		json_object_set_new(order, "to", json_string(to));
	return order;
}

/* ---- while it goes -------------------------------------------------------------------------------------------- */

struct follow {
	struct progress progress;
	bool late;
	char trouble[256];
};

/* What changes is said once, above the bar. */
static void print_changes(struct follow *f, const json_t *move)
{
	const char *trouble = text_at(move, "trouble");
	bool late = json_is_true(json_object_get(move, "late"));
	char speed[32];

	if (strcmp(trouble, f->trouble) != 0) {
		snprintf(f->trouble, sizeof f->trouble, "%s", trouble);
		progress_end(&f->progress);
		if (*trouble)
			complain("it waits: %s", trouble);
	}
	if (late && !f->late) {
		progress_end(&f->progress);
		complain("it will be late: the deadline needs %s/s", size_of(move, "needed_bytes_per_s", speed));
	}
	f->late = late;
}

/* As progress has it (fs/control/facts.h, status). */
static json_t *as_waiting(const json_t *move)
{
	const json_t *left = json_object_get(move, "seconds_left");

	return json_pack("{s:{s:I, s:I, s:I, s:o}}", "waiting", "files", (json_int_t)number_at(move, "left_objects"),
		"bytes", (json_int_t)number_at(move, "left_bytes"), "upload_bytes_per_s",
		(json_int_t)number_at(move, "bytes_per_s"), "seconds_left",
		json_is_integer(left) ? json_real((double)json_integer_value(left)) : json_null());
}

static int on_line(void *ctx, json_t *move)
{
	struct follow *f = ctx;
	json_t *waiting = as_waiting(move);

	print_changes(f, move);
	f->progress.total_bytes = number_at(move, "bytes");
	f->progress.total_files = number_at(move, "objects");
	progress_update(&f->progress, waiting);
	json_decref(waiting);
	return 0;
}

int moving_receipt(const json_t *move, bool json)
{
	const char *text = text_at(move, "receipt");
	json_t *object;

	if (!*text) {
		complain("the order has no receipt: it is %s", text_at(move, "state"));
		return OUTCOME_INCOMPLETE;
	}
	if (!json) {
		printf("%s", text);
		fflush(stdout);
		return 0;
	}
	object = receipt_json(text, strlen(text));
	print_json(object);
	json_decref(object);
	return 0;
}

static int follow(const struct cli_args *args, const struct cli_daemon *d)
{
	struct follow f = { 0 };
	json_t *last = NULL;
	int rc;

	progress_init(&f.progress);
	f.progress.unit = "object";
	rc = cli_ask(d, "move-status", json_pack("{s:b}", "follow", 1), -1, on_line, &f, &last);
	progress_end(&f.progress);
	if (rc == 0)
		rc = moving_receipt(last, args_flag(args, "json"));
	json_decref(last);
	return rc;
}

static int begin(const struct cli_args *args, const struct cli_daemon *d, json_t *order)
{
	int rc = cli_ask(d, "move", order, -1, NULL, NULL, NULL);

	if (rc || !args_flag(args, "background"))
		return rc ? rc : follow(args, d);
	if (!args_flag(args, "json"))
		printf("begun: `borderfs move --status` says how it goes\n");
	return 0;
}

int moving_order(const struct cli_args *args, const struct cli_daemon *d, const char *from, const char *to)
{
	int64_t deadline_s;
	json_t *plan = NULL;
	int rc = parse_deadline(args_value(args, "deadline"), &deadline_s);

	if (rc == 0)
		rc = cli_ask(d, "move-plan", order_of(from, to, deadline_s), -1, NULL, NULL, &plan);
	if (rc == 0 && !args_flag(args, "json"))
		print_plan(plan);
	if (rc == 0)
		rc = confirm(args);
	if (rc == 0)
		rc = begin(args, d, order_of(from, to, deadline_s));
	json_decref(plan);
	return rc;
}

/* ---- how it goes ---------------------------------------------------------------------------------------------- */

static void print_under_way(const json_t *move)
{
	struct progress progress = { .unit = "object" };
	json_t *waiting = as_waiting(move);
	char text[160], when[32], speed[32];

	progress_text(&progress, waiting, 0, text, sizeof text);
	json_decref(waiting);
	printf("'%s' is being emptied: %s\n", text_at(move, "from"), text);
	if (number_at(move, "deadline_s"))
		printf("deadline: %s, which needs %s/s%s\n", utc(number_at(move, "deadline_s"), when),
			size_of(move, "needed_bytes_per_s", speed),
			json_is_true(json_object_get(move, "late")) ? ": IT WILL BE LATE" : "");
	if (*text_at(move, "trouble"))
		printf("it waits: %s\n", text_at(move, "trouble"));
}

void moving_print(const json_t *move)
{
	const char *state = text_at(move, "state");
	char when[32], bytes[32];

	if (strcmp(state, "under-way") == 0) {
		print_under_way(move);
		return;
	}
	if (strcmp(state, "done") == 0)
		printf("'%s' has been empty since %s: %lld objects, %s, were moved; it takes nothing new\n",
			text_at(move, "from"), utc(number_at(move, "ended_s"), when), number_at(move, "moved"),
			size_of(move, "moved_bytes", bytes));
	else
		printf("the order to empty '%s' was cancelled at %s: %lld objects, %s, had been moved\n",
			text_at(move, "from"), utc(number_at(move, "ended_s"), when), number_at(move, "moved"),
			size_of(move, "moved_bytes", bytes));
}
