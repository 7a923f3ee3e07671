/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/progress.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_COLUMNS   30
#define LINE_EVERY    (5 * NS_PER_S)
#define SECONDS_SHOWN (7 * 86400.0) /* an estimate beyond it is of a transfer that stands still */

static int64_t number(const json_t *status, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(status, "waiting"), key));
}

void progress_init(struct progress *p)
{
	*p = (struct progress){ .terminal = isatty(STDERR_FILENO) };
}

/* by bytes; by files where only empty ones, or deletions, are left */
static int percent(const struct progress *p, int64_t files, int64_t bytes)
{
	int64_t total = p->total_bytes ? p->total_bytes : p->total_files;
	int64_t left = p->total_bytes ? bytes : files;

	if (total <= 0 || left >= total)
		return 0;
	return left <= 0 ? 100 : (int)(100 - (double)left * 100 / (double)total);
}

static void put_bar(char *out, size_t len, int width, int done)
{
	char bar[BAR_COLUMNS + 1];
	int filled = done * width / 100;

	memset(bar, ' ', (size_t)width);
	memset(bar, '#', (size_t)filled);
	bar[width] = 0;
	snprintf(out, len, "[%s] %3d%%  ", bar, done);
}

void progress_text(const struct progress *p, const json_t *status, int width, char *out, size_t len)
{
	const json_t *left = json_object_get(json_object_get(status, "waiting"), "seconds_left");
	int64_t files = number(status, "files"), bytes = number(status, "bytes");
	char size[32], rate[32], time[32] = "", bar[BAR_COLUMNS + 16] = "";

	if (width > 0)
		put_bar(bar, sizeof bar, width < BAR_COLUMNS ? width : BAR_COLUMNS, percent(p, files, bytes));
	if (json_is_real(left) && json_real_value(left) < SECONDS_SHOWN)
		text_duration((int64_t)(json_real_value(left) * NS_PER_S), time, sizeof time);
	snprintf(out, len, "%s%lld %s%s, %s left, %s/s%s%s", bar, (long long)files, p->unit ? p->unit : "file",
		files == 1 ? "" : "s", text_size((uint64_t)bytes, size, sizeof size),
		text_size((uint64_t)number(status, "upload_bytes_per_s"), rate, sizeof rate), *time ? ", about " : "",
		time);
}

void progress_update(struct progress *p, const json_t *status)
{
	int64_t files = number(status, "files"), bytes = number(status, "bytes"), now = clock_mono_ns();
	char text[160];

	if (bytes > p->total_bytes)
		p->total_bytes = bytes;
	if (files > p->total_files)
		p->total_files = files;
	if (!p->terminal && now < p->next_line_ns)
		return;
	p->next_line_ns = now + LINE_EVERY;
	progress_text(p, status, p->terminal ? BAR_COLUMNS : 0, text, sizeof text);
	fprintf(stderr, p->terminal ? "\r\033[K%s" : "%s\n", text);
	fflush(stderr);
	p->shown = true;
}

void progress_end(struct progress *p)
{
	if (p->terminal && p->shown)
		fprintf(stderr, "\r\033[K");
	p->shown = false;
}
