/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buf.h"

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_free(struct buf *b)
{
	if (!b)
		return;
	free(b->data);
	memset(b, 0, sizeof *b);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->err = 0;
	if (b->data)
		b->data[0] = 0;
}

void *buf_reserve(struct buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : 64;
	uint8_t *data;

	if (b->err)
		return NULL;
	if (len < b->cap - b->len)
		return b->data + b->len;
	if (len > SIZE_MAX / 4 - b->len)
		goto fail;
	while (cap <= b->len + len)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		goto fail;
	data[b->len] = 0;
	b->data = data;
	b->cap = cap;
	return b->data + b->len;
fail:
	b->err = -ENOMEM;
	return NULL;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	void *to = buf_reserve(b, len);

	if (!to)
		return;
	if (len)
		memcpy(to, data, len);
	b->len += len;
	b->data[b->len] = 0;
}

void buf_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int len;
	char *to;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0)
		b->err = b->err ? b->err : -ENOMEM;
	else if ((to = buf_reserve(b, (size_t)len))) {
		vsnprintf(to, (size_t)len + 1, fmt, again);
		b->len += (size_t)len;
	}
	va_end(again);
}

static void put_le(struct buf *b, uint64_t v, size_t len)
{
	uint8_t bytes[8];

	put_le64(bytes, v);
	buf_put(b, bytes, len);
}

void buf_u8(struct buf *b, uint8_t v)
{
	put_le(b, v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
	put_le(b, v, 2);
}

void buf_u32(struct buf *b, uint32_t v)
{
	put_le(b, v, 4);
}

void buf_u64(struct buf *b, uint64_t v)
{
	put_le(b, v, 8);
}

char *buf_steal(struct buf *b)
{
	char *s = NULL;

	buf_put(b, "", 0);
	if (!b->err) {
		s = (char *)b->data;
		b->data = NULL;
	}
	buf_free(b);
	return s;
}

const uint8_t *reader_bytes(struct reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->err || (size_t)(r->end - r->p) < len) {
		r->err = -ERR_FORMAT;
		return NULL;
	}
	r->p += len;
	return p;
}

static uint64_t read_le(struct reader *r, size_t len)
{
	const uint8_t *p = reader_bytes(r, len);
	uint64_t v = 0;

	while (p && len--)
		v = v << 8 | p[len];
	return v;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)read_le(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)read_le(r, 2);
}

uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)read_le(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
	return read_le(r, 8);
}

uint32_t get_le32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t get_le64(const void *p)
{
	return get_le32(p) | (uint64_t)get_le32((const uint8_t *)p + 4) << 32;
}

void put_le32(void *p, uint32_t v)
{
	uint8_t *b = p;

	for (int i = 0; i < 4; i++)
		b[i] = (uint8_t)(v >> 8 * i);
}

void put_le64(void *p, uint64_t v)
{
	uint8_t *b = p;

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> 8 * i);
}
