/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http_range: whether the answer to a GET with a Range header is the range that was asked for (RFC 9110, section 14).
 */
#ifndef BACKENDS_HTTP_RANGE_H
#define BACKENDS_HTTP_RANGE_H

#include "backends/http.h"

/* http_range_line: appends the header line for [off, off+len), len > 0, NUL included. */
void http_range_line(struct buf *lines, uint64_t off, uint64_t len);
/* http_range_check: judges the head of a 2xx answer: 0 where its body is exactly [off, off+len); -ERR_TAMPERED where
 * the object ends before; else -ERR_PROTOCOL. With a sentence. */
int http_range_check(const struct http *, const struct http_response *, uint64_t off, uint64_t len, struct errmsg *);
/* http_range_short: -ERR_TAMPERED with the sentence that the object has only total bytes, and end were wanted. */
int http_range_short(const struct config_backend *, uint64_t total, uint64_t end, struct errmsg *);

#endif
