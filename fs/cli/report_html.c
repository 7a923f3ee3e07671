/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/report_html.h"

#include "base/text.h"
#include "fs/cli/cli.h"
#include "fs/cli/report_style.h"

#include <stdlib.h>
#include <string.h>

/* The length of a character that turns the direction of the text after it (U+061C, U+200E, U+200F, U+202A to U+202E,
 * U+2066 to U+2069), and its number; 0 for any other. */
static size_t turns_text(const unsigned char *s, unsigned *number)
{
	if (s[0] == 0xd8 && s[1] == 0x9c) {
		*number = 0x61c;
		return 2;
	}
	if (s[0] != 0xe2 || (s[1] != 0x80 && s[1] != 0x81) || !s[2])
		return 0;
	*number = 0x2000u | (s[1] & 1u) << 6 | (s[2] & 0x3fu);
	return *number == 0x200e || *number == 0x200f || (*number >= 0x202a && *number <= 0x202e) ||
			       (*number >= 0x2066 && *number <= 0x2069)
		       ? 3
		       : 0;
}

/* Names come as UTF-8 from JSON. What would act on the page, or on how the text around it reads, becomes visible. */
void html_text(struct buf *out, const char *text)
{
	unsigned number;
	size_t n;

	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		if (strchr("&<>\"'", *s)) {
			buf_printf(out, "&#%d;", *s);
		} else if (*s < ' ' || *s == 0x7f) {
			buf_printf(out, "\\x%02x", *s);
		} else if ((n = turns_text(s, &number))) {
			buf_printf(out, "\\u%04x", number);
			s += n - 1;
		} else {
			buf_put(out, s, 1);
		}
	}
}

void page_name(struct buf *out, const json_t *row, const char *key)
{
	const json_t *name = json_object_get(row, key);

	buf_str(out, "<bdi>");
	html_text(out, json_is_string(name) ? json_string_value(name) : "(others)");
	buf_str(out, "</bdi>");
}

void page_size(struct buf *out, uint64_t bytes)
{
	char text[32];

	buf_str(out, text_size(bytes, text, sizeof text));
}

/* "1 file", "1,234 files" */
void page_count(struct buf *out, uint64_t n, const char *noun)
{
	char digits[32], grouped[48];
	size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			grouped[at++] = ',';
		grouped[at++] = digits[i];
	}
	grouped[at] = 0;
	buf_str(out, grouped);
	if (*noun)
		buf_printf(out, " %s%s", noun, n == 1 ? "" : "s");
}

const json_t *page_section(const struct report_rows *r, const char *name)
{
	return json_object_get(r->sections, name);
}

static uint64_t sum(const json_t *rows, const char *key)
{
	uint64_t total = 0;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) total += (uint64_t)number_at(row, key);
	return total;
}

static size_t count_without(const json_t *rows, const char *key)
{
	size_t n = 0, i;
	json_t *row;

	json_array_foreach(rows, i, row) n += json_object_get(row, key) == NULL;
	return n;
}

/* ---- tables --------------------------------------------------------------------------------------------------- */

static void put_heads(struct buf *out, const char *const *heads)
{
	buf_str(out, "<table><thead><tr>");
	for (; *heads; heads++)
		buf_printf(out, "<th%s>%s</th>", **heads == '#' ? " class=\"number\"" : "", *heads + (**heads == '#'));
	buf_str(out, "</tr></thead><tbody>\n");
}

static void put_exceptions(struct buf *out, const struct report_rows *r)
{
	static const char *const heads[] = { "What", "Why", "#Files", "#Size", NULL };
	const json_t *rows = page_section(r, "exception");
	json_t *row;
	size_t i;

	buf_str(out, "<section class=\"wide\"><h2>Exceptions</h2>\n");
	if (!json_array_size(rows)) {
		buf_str(out, "<p class=\"soft\">None: all data is on the backends of its zone, and all of them "
			     "answer.</p></section>\n");
		return;
	}
	put_heads(out, heads);
	json_array_foreach(rows, i, row)
	{
		buf_str(out, "<tr><td>");
		page_name(out, row, "name");
		buf_str(out, "</td><td>");
		if (json_object_get(row, "path")) {
			page_name(out, row, "path");
			buf_str(out, ": ");
		}
		html_text(out, text_at(row, "text"));
		buf_str(out, "</td><td class=\"number\" data-label=\"Files\">");
		page_count(out, number_at(row, "files"), "");
		buf_str(out, "</td><td class=\"number\" data-label=\"Size\">");
		page_size(out, number_at(row, "bytes"));
		buf_str(out, "</td></tr>\n");
	}
	buf_str(out, "</tbody></table></section>\n");
}

/* the zone that a row went to, with the colour of where that is */
static void put_to(struct buf *out, const json_t *row)
{
	const char *direction = text_at(row, "direction");

	buf_str(out, "</td><td data-label=\"to\">");
	if (!strcmp(direction, "abroad") || !strcmp(direction, "home"))
		buf_printf(out, "<span class=\"key %s\"></span>", *direction == 'a' ? "foreign" : "domestic");
	page_name(out, row, "to");
}

static void put_flows(struct buf *out, const struct report_rows *r)
{
	static const char *const heads[] = { "Month", "From", "To", "#Files", "#Size", NULL };
	const json_t *rows = page_section(r, "flow");
	json_t *row;
	size_t i;

	buf_str(out, "<section class=\"wide\"><h2>Across the border, by month</h2>\n");
	if (!json_array_size(rows)) {
		buf_str(out, "<p class=\"soft\">Nothing went from one zone to another.</p></section>\n");
		return;
	}
	page_border(out, r);
	put_heads(out, heads);
	json_array_foreach(rows, i, row)
	{
		buf_str(out, "<tr><td>");
		page_name(out, row, "name");
		buf_str(out, "</td><td data-label=\"from\">");
		page_name(out, row, "from");
		put_to(out, row);
		buf_str(out, "</td><td class=\"number\" data-label=\"Files\">");
		page_count(out, number_at(row, "files"), "");
		buf_str(out, "</td><td class=\"number\" data-label=\"Size\">");
		page_size(out, number_at(row, "bytes"));
		buf_str(out, "</td></tr>\n");
	}
	buf_str(out, "</tbody></table></section>\n");
}

static void put_ground(struct buf *out, const json_t *row)
{
	const json_t *approvals = json_object_get(row, "approvals");
	json_t *one;
	size_t i;

	buf_str(out, *text_at(row, "rule") ? "rule <bdi>" : "no rule matched<bdi>");
	html_text(out, text_at(row, "rule"));
	buf_str(out, "</bdi>");
	json_array_foreach(approvals, i, one)
	{
		buf_str(out, "<br>approved by <bdi>");
		html_text(out, text_at(one, "approver"));
		buf_str(out, "</bdi>: <bdi>");
		html_text(out, text_at(one, "reason"));
		buf_str(out, "</bdi>");
	}
}

static void put_time(struct buf *out, const json_t *row)
{
	const char *time = text_at(row, "time");

	buf_printf(out, "%.10s %.8s", time, strlen(time) > 11 ? time + 11 : "");
}

static void put_crossings(struct buf *out, const struct report_rows *r)
{
	static const char *const heads[] = { "When (UTC)", "File", "From", "To", "On what ground", NULL };
	const json_t *rows = page_section(r, "crossing");
	json_t *row;
	size_t i;

	buf_str(out, "<section class=\"wide crossings\"><h2>Files that changed their zone</h2>\n");
	if (!json_array_size(rows)) {
		buf_str(out, "<p class=\"soft\">None.</p></section>\n");
		return;
	}
	if (json_array_size(rows) < r->crossings)
		buf_printf(out, "<p class=\"soft\">The last %zu of %zu; the rest is in --json and --csv.</p>\n",
			json_array_size(rows), r->crossings);
	put_heads(out, heads);
	json_array_foreach(rows, i, row)
	{
		buf_str(out, "<tr><td>");
		put_time(out, row);
		buf_str(out, "</td><td class=\"name\">");
		if (json_object_get(row, "name"))
			page_name(out, row, "name");
		else
			buf_printf(out, "<span class=\"soft\">inode %lld, deleted since</span>", number_at(row, "ino"));
		buf_str(out, "</td><td data-label=\"from\">");
		page_name(out, row, "from");
		put_to(out, row);
		buf_str(out, "</td><td data-label=\"ground\">");
		put_ground(out, row);
		buf_str(out, "</td></tr>\n");
	}
	buf_str(out, "</tbody></table></section>\n");
}

static void put_evidence(struct buf *out, const struct report_rows *r)
{
	static const char *const heads[] = { "What", "When (UTC)", "", NULL };
	const json_t *rows = page_section(r, "evidence");
	json_t *row;
	size_t i;

	if (!json_array_size(rows))
		return;
	buf_str(out, "<section class=\"wide\"><h2>Evidence</h2>\n");
	put_heads(out, heads);
	json_array_foreach(rows, i, row)
	{
		buf_str(out, "<tr><td>");
		html_text(out, text_at(row, "name"));
		buf_str(out, "</td><td>");
		put_time(out, row);
		buf_printf(out, "</td><td%s>", number_at(row, "findings") ? " class=\"bad\"" : "");
		html_text(out, text_at(row, "text"));
		buf_str(out, "</td></tr>\n");
	}
	buf_str(out, "</tbody></table></section>\n");
}

/* ---- the page ------------------------------------------------------------------------------------------------- */

/* of the rows of a section where key is value */
static uint64_t sum_where(const json_t *rows, const char *key, const char *value, const char *what)
{
	uint64_t total = 0;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) if (!strcmp(text_at(row, key), value)) total += (uint64_t)number_at(row, what);
	return total;
}

static void put_facts(struct buf *out, const struct report_rows *r)
{
	uint64_t bytes = sum(page_section(r, "total"), "bytes");
	uint64_t abroad = sum_where(page_section(r, "zone"), "kind", "foreign", "bytes");
	uint64_t left = sum_where(page_section(r, "flow"), "direction", "abroad", "files");
	size_t exceptions = count_without(page_section(r, "exception"), "path"); /* its files are in a sum */

	buf_str(out, "<div class=\"facts\"><div class=\"fact\"><b>");
	page_count(out, sum(page_section(r, "total"), "files"), "");
	buf_str(out, "</b><span>files</span></div><div class=\"fact\"><b>");
	page_size(out, bytes);
	buf_printf(out,
		"</b><span>in all</span></div><div class=\"fact\"><b>%.1f %%</b><span>of it abroad</span></div>",
		page_share(abroad, bytes));
	buf_str(out, "<div class=\"fact\"><b>");
	page_count(out, left, "");
	buf_printf(out,
		"</b><span>moved abroad</span></div><div class=\"fact "
		"%s\"><b>%zu</b><span>exception%s</span></div></div>\n",
		exceptions ? "warn" : "good", exceptions, exceptions == 1 ? "" : "s");
}

void report_html(struct buf *out, const struct report_rows *r)
{
	buf_str(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
		     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
		     "'unsafe-inline'\">\n<title>Where the data is: ");
	html_text(out, r->store);
	buf_printf(
		out, "</title>\n<style>\n%s</style></head>\n<body><main>\n<h1>Where the data of <bdi>", report_style);
	html_text(out, r->store);
	buf_str(out, "</bdi> is</h1>\n<p class=\"soft\">");
	html_text(out, r->made);
	buf_str(out, " · <span class=\"legend\"><span class=\"key domestic\"></span>domestic</span> · <span "
		     "class=\"legend\"><span class=\"key foreign\"></span>foreign</span></p>\n");
	put_facts(out, r);
	buf_str(out, "<div class=\"sheets\">\n");
	put_exceptions(out, r);
	page_bars(out, r, "zone", "By zone");
	page_bars(out, r, "country", "By country");
	page_bars(out, r, "backend", "By backend");
	page_bars(out, r, "rule", "By rule");
	page_bars(out, r, "tag", "By tag");
	page_bars(out, r, "owner", "By owner");
	page_months(out, r);
	put_flows(out, r);
	put_crossings(out, r);
	put_evidence(out, r);
	buf_printf(out,
		"</div>\n<p class=\"soft\" style=\"margin-top:1.5rem\">borderfs %s</p>\n</main></body></html>\n",
		BORDERFS_VERSION);
}
