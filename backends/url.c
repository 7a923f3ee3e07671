/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/url.h"

#include "base/err.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void url_encode(struct buf *out, const char *s, int in_path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *s; s++) {
		if (strchr(plain, *s) || (in_path && *s == '/'))
			buf_put(out, s, 1);
		else
			buf_printf(out, "%%%02X", (unsigned char)*s);
	}
}

static int from_hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

int url_decode(char *s)
{
	char *to = s;

	for (; *s; s++, to++) {
		int high, low;

		*to = *s;
		if (*s != '%')
			continue;
		if ((high = from_hex(s[1])) < 0 || (low = from_hex(s[2])) < 0 || !(high | low))
			return -ERR_PROTOCOL;
		*to = (char)(high << 4 | low);
		s += 2;
	}
	*to = 0;
	return 0;
}

static int keep(CURLU *u, CURLUPart part, unsigned flags, char **out)
{
	char *text = NULL;

	if (curl_url_get(u, part, &text, flags))
		return -ERR_CONFIG;
	*out = strdup(text);
	curl_free(text);
	return *out ? 0 : -ENOMEM;
}

static int join(struct url *url, const char *host, const char *port)
{
	if (asprintf(&url->authority, "%s%s%s", host, port ? ":" : "", port ? port : "") < 0)
		url->authority = NULL;
	if (!url->authority || asprintf(&url->origin, "%s://%s", url->scheme, url->authority) < 0)
		url->origin = NULL;
	return url->origin ? 0 : -ENOMEM;
}

int url_parse(const char *text, struct url *url)
{
	char *host = NULL, *port = NULL;
	CURLU *u = curl_url();
	int rc = u ? 0 : -ENOMEM;

	memset(url, 0, sizeof *url);
	if (!rc && curl_url_set(u, CURLUPART_URL, text, 0))
		rc = -ERR_CONFIG;
	if (!rc && !(rc = keep(u, CURLUPART_SCHEME, 0, &url->scheme)) && !(rc = keep(u, CURLUPART_HOST, 0, &host)))
		rc = keep(u, CURLUPART_PATH, 0, &url->path);
	if (!rc && keep(u, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT, &port) == -ENOMEM)
		rc = -ENOMEM;
	if (!rc)
		rc = join(url, host, port);
	free(host);
	free(port);
	curl_url_cleanup(u);
	return rc;
}

void url_free(struct url *url)
{
	free(url->origin);
	free(url->scheme);
	free(url->authority);
	free(url->path);
	memset(url, 0, sizeof *url);
}
