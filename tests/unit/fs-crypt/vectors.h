/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The test vectors of docs/FORMAT.md, read out of it: what is documented is what is tested. A vector is a block
 * fenced as ```vector NAME, of hexadecimal digits and white space. Tests run from the top of the tree. */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include "base/buf.h"
#include "base/file.h"
#include "base/text.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* the bytes of a vector appended to out, which the caller frees */
static inline void vector_load(const char *name, struct buf *out)
{
	struct buf text = BUF_INIT;
	char fence[64], digits[2 * 1024 * 16];
	const char *p;
	size_t n = 0;

	snprintf(fence, sizeof(fence), "\n```vector %s\n", name);
	assert_int_equal(file_read_all(AT_FDCWD, "docs/FORMAT.md", 1 << 20, &text), 0);
	p = strstr((const char *)text.data, fence);
	assert_non_null(p);
	for (p += strlen(fence); *p && *p != '`'; p++)
		if (!isspace((unsigned char)*p))
			digits[n++] = *p;
	digits[n] = 0;
	assert_int_equal(text_unhex(digits, buf_reserve(out, n / 2), n / 2), 0);
	out->len += n / 2;
	buf_free(&text);
}

/* the vector is exactly these bytes */
static inline void vector_equal(const char *name, const void *bytes, size_t len)
{
	struct buf want = BUF_INIT;

	vector_load(name, &want);
	assert_int_equal(want.len, len);
	assert_memory_equal(want.data, bytes, len);
	buf_free(&want);
}

#endif
