/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/report_html.h"

#include "base/text.h"
#include "fs/cli/cli.h"
#include "fs/cli/report_style.h"

#include <stdlib.h>
#include <string.h>

#define BARS_MAX   12 /* of one chart; the rest is one bar */
#define MONTHS_MAX 24

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

static void put_name(struct buf *out, const json_t *row, const char *key)
{
	const json_t *name = json_object_get(row, key);

	buf_str(out, "<bdi>");
	html_text(out, json_is_string(name) ? json_string_value(name) : "(others)");
	buf_str(out, "</bdi>");
}

static void put_size(struct buf *out, uint64_t bytes)
{
	char text[32];

	buf_str(out, text_size(bytes, text, sizeof text));
}

/* "1 file", "1,234 files" */
static void put_count(struct buf *out, uint64_t n, const char *noun)
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

static const json_t *section(const struct report_rows *r, const char *name)
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

/* of the rows from first on */
static uint64_t most_bytes(const json_t *rows, size_t first)
{
	uint64_t most = 0, bytes;

	for (size_t i = first; i < json_array_size(rows); i++) {
		bytes = (uint64_t)number_at(json_array_get(rows, i), "bytes");
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
		json_array_foreach(section(r, "zone"), i, z)
		{
			if (!strcmp(text_at(z, "name"), zone))
				kind = text_at(z, "kind");
		}
	}
	return !strcmp(kind, "domestic") ? "domestic" : !strcmp(kind, "foreign") ? "foreign" : "plain";
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void put_bar(struct buf *out, uint64_t bytes, uint64_t files, double percent, const char *class)
{
	buf_str(out, "</span><span class=\"value\">");
	put_size(out, bytes);
	buf_str(out, " · ");
	put_count(out, files, "file");
	buf_printf(out,
		"</span></div><svg class=\"bar\" aria-hidden=\"true\"><rect class=\"track\" width=\"100%%\" "
		"height=\"8\" rx=\"2\"/><rect class=\"%s\" width=\"%.2f%%\" height=\"8\" rx=\"2\"/></svg></div>\n",
		class, percent);
}

static void put_bars(struct buf *out, const struct report_rows *r, const char *name, const char *title)
{
	const json_t *rows = section(r, name);
	uint64_t most = most_bytes(rows, 0), rest_bytes = 0, rest_files = 0;
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
		put_name(out, row, "name");
		put_bar(out, number_at(row, "bytes"), number_at(row, "files"), share(number_at(row, "bytes"), most),
			colour(r, row));
	}
	if (json_array_size(rows) > BARS_MAX) {
		buf_str(out, "<div class=\"row\"><div class=\"label\"><span class=\"name soft\">");
		put_count(out, json_array_size(rows) - BARS_MAX, "");
		buf_str(out, " more");
		put_bar(out, rest_bytes, rest_files, share(rest_bytes < most ? rest_bytes : most, most), "plain");
	}
	buf_str(out, "</section>\n");
}

/* ---- months --------------------------------------------------------------------------------------------------- */

static void put_months(struct buf *out, const struct report_rows *r)
{
	const json_t *rows = section(r, "month");
	size_t count = json_array_size(rows), first = count > MONTHS_MAX ? count - MONTHS_MAX : 0, i;
	size_t shown = count - first, step = shown > 6 ? (shown + 5) / 6 : 1;
	uint64_t most = most_bytes(rows, first);
	json_t *row;

	if (!count)
		return;
	buf_str(out, "<section class=\"wide\"><h2>Last changed in</h2>\n<svg height=\"150\" role=\"img\" "
		     "aria-label=\"bytes by the month in which their files were last changed\">\n");
	json_array_foreach(rows, i, row)
	{
		double slot = 100.0 / (double)(shown < 12 ? 12 : shown), x, height;

		if (i < first)
			continue;
		x = slot * (double)(i - first);
		height = 1 + 119.0 * (double)number_at(row, "bytes") / (double)(most ? most : 1);
		buf_printf(out,
			"<rect class=\"plain\" x=\"%.2f%%\" y=\"%.1f\" width=\"%.2f%%\" height=\"%.1f\" "
			"rx=\"2\"><title>",
			x, 125 - height, slot * .7, height);
		html_text(out, text_at(row, "name"));
		buf_str(out, ": ");
		put_size(out, number_at(row, "bytes"));
		buf_str(out, "</title></rect>");
		if ((count - 1 - i) % step == 0) {
			buf_printf(out, "<text x=\"%.2f%%\" y=\"143\" text-anchor=\"middle\">", x + slot * .35);
			html_text(out, text_at(row, "name"));
			buf_str(out, "</text>");
		}
		buf_str(out, "\n");
	}
	buf_str(out, "</svg></section>\n");
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
	const json_t *rows = section(r, "exception");
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
		put_name(out, row, "name");
		buf_str(out, "</td><td>");
		html_text(out, text_at(row, "text"));
		buf_str(out, "</td><td class=\"number\" data-label=\"Files\">");
		put_count(out, number_at(row, "files"), "");
		buf_str(out, "</td><td class=\"number\" data-label=\"Size\">");
		put_size(out, number_at(row, "bytes"));
		buf_str(out, "</td></tr>\n");
	}
	buf_str(out, "</tbody></table></section>\n");
}

static void put_flows(struct buf *out, const struct report_rows *r)
{
	static const char *const heads[] = { "Month", "From", "To", "#Files", "#Size", NULL };
	const json_t *rows = section(r, "flow");
	json_t *row;
	size_t i;

	if (!json_array_size(rows))
		return;
	buf_str(out, "<section class=\"wide\"><h2>Between zones, by month</h2>\n");
	put_heads(out, heads);
	json_array_foreach(rows, i, row)
	{
		buf_str(out, "<tr><td>");
		put_name(out, row, "name");
		buf_str(out, "</td><td data-label=\"from\">");
		put_name(out, row, "from");
		buf_str(out, "</td><td data-label=\"to\">");
		put_name(out, row, "to");
		buf_str(out, "</td><td class=\"number\" data-label=\"Files\">");
		put_count(out, number_at(row, "files"), "");
		buf_str(out, "</td><td class=\"number\" data-label=\"Size\">");
		put_size(out, number_at(row, "bytes"));
		buf_str(out, "</td></tr>\n");
	}
	buf_str(out, "</tbody></table></section>\n");
}

static void put_reason(struct buf *out, const json_t *row)
{
	const json_t *approvals = json_object_get(row, "approvals");
	json_t *one;
	size_t i;

	json_array_foreach(approvals, i, one)
	{
		buf_str(out, i ? "; <bdi>" : "<bdi>");
		html_text(out, text_at(one, "approver"));
		buf_str(out, "</bdi>: <bdi>");
		html_text(out, text_at(one, "reason"));
		buf_str(out, "</bdi>");
	}
	if (!json_array_size(approvals)) {
		buf_str(out, *text_at(row, "rule") ? "rule <bdi>" : "no rule matched<bdi>");
		html_text(out, text_at(row, "rule"));
		buf_str(out, "</bdi>");
	}
}

static void put_crossings(struct buf *out, const struct report_rows *r)
{
	static const char *const heads[] = { "When (UTC)", "File", "From", "To", "Approved by", NULL };
	const json_t *rows = section(r, "crossing");
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
		buf_printf(out, "<tr><td>%.10s %.8s</td><td class=\"name\">", text_at(row, "time"),
			strlen(text_at(row, "time")) > 11 ? text_at(row, "time") + 11 : "");
		if (json_object_get(row, "name"))
			put_name(out, row, "name");
		else
			buf_str(out, "<span class=\"soft\">deleted since</span>");
		buf_str(out, "</td><td data-label=\"from\">");
		put_name(out, row, "from");
		buf_str(out, "</td><td data-label=\"to\">");
		put_name(out, row, "to");
		buf_str(out, "</td><td data-label=\"by\">");
		put_reason(out, row);
		buf_str(out, "</td></tr>\n");
	}
	buf_str(out, "</tbody></table></section>\n");
}

/* ---- the page ------------------------------------------------------------------------------------------------- */

static uint64_t abroad_bytes(const struct report_rows *r)
{
	uint64_t bytes = 0;
	json_t *row;
	size_t i;

	json_array_foreach(section(r, "zone"), i, row) if (!strcmp(text_at(row, "kind"), "foreign")) bytes +=
		number_at(row, "bytes");
	return bytes;
}

static void put_facts(struct buf *out, const struct report_rows *r)
{
	uint64_t bytes = sum(section(r, "total"), "bytes"), abroad = abroad_bytes(r);
	size_t exceptions = json_array_size(section(r, "exception"));

	buf_str(out, "<div class=\"facts\"><div class=\"fact\"><b>");
	put_count(out, sum(section(r, "total"), "files"), "");
	buf_str(out, "</b><span>files</span></div><div class=\"fact\"><b>");
	put_size(out, bytes);
	buf_printf(out,
		"</b><span>in all</span></div><div class=\"fact\"><b>%.1f %%</b><span>of it abroad</span></div>",
		share(abroad, bytes));
	buf_str(out, "<div class=\"fact\"><b>");
	put_count(out, r->crossings, "");
	buf_printf(out,
		"</b><span>changes of zone</span></div><div class=\"fact "
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
	put_bars(out, r, "zone", "By zone");
	put_bars(out, r, "country", "By country");
	put_bars(out, r, "backend", "By backend");
	put_bars(out, r, "rule", "By rule");
	put_bars(out, r, "tag", "By tag");
	put_bars(out, r, "owner", "By owner");
	put_months(out, r);
	put_flows(out, r);
	put_crossings(out, r);
	buf_printf(out,
		"</div>\n<p class=\"soft\" style=\"margin-top:1.5rem\">borderfs %s</p>\n</main></body></html>\n",
		BORDERFS_VERSION);
}
