/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The charts of the report's page: lengths are shares of the width, so that they fit any; what a pointer would be told
 * stands on paper in words. */
#include "base/text.h"
#include "fs/cli/cli.h"
#include "fs/cli/report_html.h"

#include <stdio.h>
#include <string.h>

#define BARS_MAX   12 /* of one chart; the rest is one bar */
#define MONTHS_MAX 24
#define MONTHS_MIN 12
#define LABELS_MAX 5 /* there is room for on a telephone */

static uint64_t most_bytes(const json_t *rows)
{
	uint64_t most = 0, bytes;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		bytes = (uint64_t)number_at(row, "bytes");
		most = bytes > most ? bytes : most;
	}
	return most;
}

/* ---- bars ----------------------------------------------------------------------------------------------------- */

/* in which colour: of the kind of the row's zone, or of the zone that it names */
static const char *colour(const struct report_rows *r, const json_t *row)
{
	const char *kind = text_at(row, "kind"), *zone = text_at(row, "zone");
	json_t *z;
	size_t i;

	if (*zone) {
		json_array_foreach(page_section(r, "zone"), i, z)
		{
			if (!strcmp(text_at(z, "name"), zone))
				kind = text_at(z, "kind");
		}
	}
	return !strcmp(kind, "domestic") ? "domestic" : !strcmp(kind, "foreign") ? "foreign" : "plain";
}

double page_share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void put_bar(struct buf *out, uint64_t bytes, uint64_t files, double percent, const char *class)
{
	buf_str(out, "</span><span class=\"value\">");
	page_size(out, bytes);
	buf_str(out, " · ");
	page_count(out, files, "file");
	buf_printf(out,
		"</span></div><svg class=\"bar\" aria-hidden=\"true\"><rect class=\"track\" width=\"100%%\" "
		"height=\"8\" rx=\"2\"/><rect class=\"%s\" width=\"%.2f%%\" height=\"8\" rx=\"2\"/></svg></div>\n",
		class, percent);
}

void page_bars(struct buf *out, const struct report_rows *r, const char *name, const char *title)
{
	const json_t *rows = page_section(r, name);
	uint64_t most = most_bytes(rows), rest_bytes = 0, rest_files = 0;
	json_t *row;
	size_t i;

	if (!json_array_size(rows))
		return;
	buf_printf(out, "<section><h2>%s</h2>\n", title);
	json_array_foreach(rows, i, row)
	{
		if (i >= BARS_MAX) {
			rest_bytes += number_at(row, "bytes");
			rest_files += number_at(row, "files");
			continue;
		}
		buf_str(out, "<div class=\"row\"><div class=\"label\"><span class=\"name\">");
		page_name(out, row, "name");
		put_bar(out, number_at(row, "bytes"), number_at(row, "files"),
			page_share(number_at(row, "bytes"), most), colour(r, row));
	}
	if (json_array_size(rows) > BARS_MAX) {
		buf_str(out, "<div class=\"row\"><div class=\"label\"><span class=\"name soft\">");
		page_count(out, json_array_size(rows) - BARS_MAX, "");
		buf_str(out, " more");
		put_bar(out, rest_bytes, rest_files, page_share(rest_bytes < most ? rest_bytes : most, most), "plain");
	}
	buf_str(out, "</section>\n");
}

/* ---- months --------------------------------------------------------------------------------------------------- */

/* Up to two series over the same months, the last one the present. */
struct timeline {
	int first, months; /* months since the year 0 */
	struct series {
		const char *what, *class;
		uint64_t bytes[MONTHS_MAX], files[MONTHS_MAX];
		uint64_t earlier, later; /* bytes that are in no month of the chart */
	} series[2];
	size_t count;
};

/* "2026-12"; -1 for anything else */
static int month_number(const char *name)
{
	int year, month;

	return sscanf(name, "%4d-%2d", &year, &month) == 2 && month >= 1 && month <= 12 ? year * 12 + month - 1 : -1;
}

static void month_name(int number, char out[16])
{
	snprintf(out, 16, "%04d-%02d", number / 12, number % 12 + 1);
}

/* From the first month that has something, a year at least and two at most. */
static void timeline_init(struct timeline *t, const char *made, const json_t *rows)
{
	int last = month_number(made), earliest = last, at;
	json_t *row;
	size_t i;

	*t = (struct timeline){ 0 };
	json_array_foreach(rows, i, row)
	{
		at = month_number(text_at(row, "name"));
		if (at >= 0 && (earliest < 0 || at < earliest))
			earliest = at;
	}
	t->months = last - earliest + 1;
	t->months = t->months < MONTHS_MIN ? MONTHS_MIN : t->months > MONTHS_MAX ? MONTHS_MAX : t->months;
	t->first = last - t->months + 1;
}

static void series_add(struct timeline *t, struct series *s, const json_t *row)
{
	uint64_t bytes = (uint64_t)number_at(row, "bytes");
	int at = month_number(text_at(row, "name")) - t->first;

	if (at < 0) {
		s->earlier += bytes;
	} else if (at >= t->months) {
		s->later += bytes;
	} else {
		s->bytes[at] += bytes;
		s->files[at] += (uint64_t)number_at(row, "files");
	}
}

static uint64_t timeline_most(const struct timeline *t)
{
	uint64_t most = 0;

	for (size_t k = 0; k < t->count; k++)
		for (int i = 0; i < t->months; i++)
			most = t->series[k].bytes[i] > most ? t->series[k].bytes[i] : most;
	return most;
}

#define CHART_TOP    18.0 /* of the highest bar; the words for its height are above */
#define CHART_BOTTOM 125.0

static void put_column(
	struct buf *out, const struct timeline *t, const struct series *s, int i, double x, double width, uint64_t most)
{
	double height = page_share(s->bytes[i], most) / 100 * (CHART_BOTTOM - CHART_TOP);
	char month[16];

	if (!s->bytes[i] && !s->files[i])
		return;
	height = height < 1 ? 1 : height;
	month_name(t->first + i, month);
	buf_printf(out,
		"<rect class=\"%s\" x=\"%.2f%%\" y=\"%.1f\" width=\"%.2f%%\" height=\"%.1f\" rx=\"2\"><title>%s%s: ",
		s->class, x, CHART_BOTTOM - height, width, height, month, s->what);
	page_size(out, s->bytes[i]);
	buf_str(out, ", ");
	page_count(out, s->files[i], "file");
	buf_str(out, "</title></rect>\n");
}

static void put_columns(struct buf *out, const struct timeline *t)
{
	double slot = 92.0 / t->months;
	int step = (t->months + LABELS_MAX - 1) / LABELS_MAX;
	uint64_t most = timeline_most(t);
	char month[16];

	buf_str(out, "<text x=\"0\" y=\"10\">");
	page_size(out, most);
	buf_printf(out,
		"</text><line class=\"grid\" x1=\"0\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/>"
		"<line class=\"grid\" x1=\"0\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
		CHART_TOP - 2.5, CHART_TOP - 2.5, CHART_BOTTOM + .5, CHART_BOTTOM + .5);
	for (int i = 0; i < t->months; i++) {
		double x = 4 + slot * i, width = slot * .7 / (double)t->count;

		for (size_t k = 0; k < t->count; k++)
			put_column(out, t, &t->series[k], i, x + width * (double)k, width, most);
		month_name(t->first + i, month);
		if ((t->months - 1 - i) % step == 0)
			buf_printf(out, "<text x=\"%.2f%%\" y=\"143\" text-anchor=\"middle\">%s</text>\n",
				x + slot * .35, month);
	}
}

static void put_beyond(struct buf *out, const struct series *s)
{
	if (!s->earlier && !s->later)
		return;
	buf_printf(out, "<p class=\"soft\">Not in the chart%s: ", s->what);
	if (s->earlier) {
		page_size(out, s->earlier);
		buf_str(out, " of before");
	}
	buf_str(out, s->earlier && s->later ? ", " : "");
	if (s->later) {
		page_size(out, s->later);
		buf_str(out, " with a date in the future");
	}
	buf_str(out, "</p>\n");
}

/* The columns' values, for paper. */
static void put_words(struct buf *out, const struct timeline *t)
{
	const struct series *s = &t->series[0];
	const char *before = "";
	char month[16];

	buf_str(out, "<p class=\"soft paper\">");
	for (int i = 0; i < t->months; i++) {
		if (!s->bytes[i] && !s->files[i])
			continue;
		month_name(t->first + i, month);
		buf_printf(out, "%s%s: ", before, month);
		page_size(out, s->bytes[i]);
		before = "; ";
	}
	buf_str(out, "</p>\n");
}

static void put_timeline(struct buf *out, const struct timeline *t, const char *label)
{
	buf_printf(out, "<svg class=\"columns\" role=\"img\" aria-label=\"%s\">\n", label);
	put_columns(out, t);
	buf_str(out, "</svg>\n");
	for (size_t k = 0; k < t->count; k++)
		put_beyond(out, &t->series[k]);
}

void page_months(struct buf *out, const struct report_rows *r)
{
	const json_t *rows = page_section(r, "month");
	struct timeline t;
	json_t *row;
	size_t i;

	if (!json_array_size(rows))
		return;
	timeline_init(&t, r->made, rows);
	t.count = 1;
	t.series[0] = (struct series){ .what = "", .class = "plain" };
	json_array_foreach(rows, i, row) series_add(&t, &t.series[0], row);
	buf_str(out, "<section class=\"wide\"><h2>By month of the last change</h2>\n");
	put_timeline(out, &t, "bytes by the month in which their files were last changed");
	put_words(out, &t);
	buf_str(out, "</section>\n");
}

void page_border(struct buf *out, const struct report_rows *r)
{
	const json_t *rows = page_section(r, "flow");
	struct timeline t;
	json_t *row;
	size_t i;

	timeline_init(&t, r->made, rows);
	t.count = 2;
	t.series[0] = (struct series){ .what = " abroad", .class = "foreign" };
	t.series[1] = (struct series){ .what = " home", .class = "domestic" };
	json_array_foreach(rows, i, row)
	{
		if (!strcmp(text_at(row, "direction"), "abroad"))
			series_add(&t, &t.series[0], row);
		else if (!strcmp(text_at(row, "direction"), "home"))
			series_add(&t, &t.series[1], row);
	}
	put_timeline(out, &t, "bytes that went abroad and that came home, by month");
}
