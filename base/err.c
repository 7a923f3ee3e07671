/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	int posix;
	const char *name, *text;
} table[] = {
#define X(name, class, text) [ERR_##name - ERR_FIRST] = { class, #name, text },
	ERR_TABLE(X)
#undef X
};

/* the table's row, or 0: row 0 belongs to ERR_FIRST, which is no error */
static size_t row(int rc)
{
	return rc < -ERR_FIRST && rc > -ERR_END ? (size_t)(-rc - ERR_FIRST) : 0;
}

int err_errno(int rc)
{
	if (rc >= 0)
		return 0;
	if (row(rc))
		return table[row(rc)].posix;
	return rc > -ERR_FIRST ? -rc : EIO;
}

const char *err_text(int rc)
{
	const char *text = NULL;

	if (row(rc))
		return table[row(rc)].text;
	if (rc <= 0 && rc > -ERR_FIRST)
		text = strerrordesc_np(-rc);
	return text ? text : "unknown error";
}

const char *err_name(int rc)
{
	const char *name = NULL;

	if (row(rc))
		return table[row(rc)].name;
	if (rc <= 0 && rc > -ERR_FIRST)
		name = strerrorname_np(-rc);
	return name ? name : "UNKNOWN";
}

int errmsg_set(struct errmsg *m, int rc, const char *fmt, ...)
{
	va_list ap;

	if (!m || m->text)
		return rc;
	va_start(ap, fmt);
	if (vasprintf(&m->text, fmt, ap) < 0)
		m->text = NULL;
	va_end(ap);
	return rc;
}

void errmsg_prefix(struct errmsg *m, const char *fmt, ...)
{
	char *prefix = NULL, *whole = NULL;
	va_list ap;
	int rc;

	if (!m || !m->text)
		return;
	va_start(ap, fmt);
	rc = vasprintf(&prefix, fmt, ap);
	va_end(ap);
	if (rc < 0)
		return;
	if (asprintf(&whole, "%s: %s", prefix, m->text) >= 0) {
		free(m->text);
		m->text = whole;
	}
	free(prefix);
}

const char *errmsg_text(const struct errmsg *m, int rc)
{
	return m && m->text ? m->text : err_text(rc);
}

void errmsg_free(struct errmsg *m)
{
	if (!m)
		return;
	free(m->text);
	m->text = NULL;
}
