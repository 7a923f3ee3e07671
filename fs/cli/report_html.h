/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report_html: the report as one page that needs nothing beside it: no script, no network, charts as inline SVG; made
 * for a telephone, a desk and paper, by day and by night. Whatever comes from names is escaped. */
#ifndef FS_CLI_REPORT_HTML_H
#define FS_CLI_REPORT_HTML_H

#include "base/buf.h"

#include <jansson.h>

#define REPORT_CROSSINGS_MAX 500 /* the page shows the last of them */

/* What a report is made of: rows as the daemon gives them (fs/control/report.h), by section. */
struct report_rows {
	const char *store, *made; /* the store's name; when: "2026-12-01 09:30 UTC" */
	json_t *sections;	  /* {"zone": [row, ...], ...} */
	size_t crossings;	  /* how many there are, kept or not */
};

/* report_html: appends the page. html_text: bytes as text of a page or an attribute's value. */
void report_html(struct buf *out, const struct report_rows *);
void html_text(struct buf *out, const char *text);

/* ---- between the files of the page: they append to it. page_name: of a row, by key. page_count: "1 file", "1,234
 * files"; without a noun the number. page_share: in percent. page_bars: a section of bars, where it has rows;
 * page_months: the section by month; page_border: the chart of what went abroad and came home. */
void page_name(struct buf *out, const json_t *row, const char *key);
void page_size(struct buf *out, uint64_t bytes);
void page_count(struct buf *out, uint64_t n, const char *noun);
double page_share(uint64_t part, uint64_t whole);
const json_t *page_section(const struct report_rows *, const char *name);
void page_bars(struct buf *out, const struct report_rows *, const char *name, const char *title);
void page_months(struct buf *out, const struct report_rows *);
void page_border(struct buf *out, const struct report_rows *);

#endif
