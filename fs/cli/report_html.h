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
	const char *store, *made; /* the store's name; when, for people */
	json_t *sections;	  /* {"zone": [row, ...], ...} */
	size_t crossings;	  /* how many there are, kept or not */
};

/* report_html: appends the page. html_text: bytes as text of a page or an attribute's value. */
void report_html(struct buf *out, const struct report_rows *);
void html_text(struct buf *out, const char *text);

#endif
