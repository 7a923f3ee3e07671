/* SPDX-License-Identifier: GPL-3.0-or-later */
/* buf: a growing byte buffer with a sticky error, also used to build strings and little-endian records. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* always NUL-terminated one past len when data is not NULL */
	size_t len, cap;
	int err; /* 0, or -ENOMEM once an append failed: later appends do nothing */
};

#define BUF_INIT                                                                                                       \
	{                                                                                                              \
		0                                                                                                      \
	}

void buf_free(struct buf *);
void buf_reset(struct buf *); /* len = 0, err = 0; keeps the memory */
void buf_put(struct buf *, const void *, size_t len);
void buf_str(struct buf *, const char *s);
void buf_printf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_u8(struct buf *, uint8_t);
void buf_u16(struct buf *, uint16_t);
void buf_u32(struct buf *, uint32_t);
void buf_u64(struct buf *, uint64_t);
/* buf_reserve: room for len more bytes; returns where they go (len is not advanced) or NULL. */
void *buf_reserve(struct buf *, size_t len);
/* buf_steal: the data as a malloc'd string, the caller's to free; NULL after an error. The buf is empty then. */
char *buf_steal(struct buf *);

/* A reader over bytes it does not own, with a sticky error: after a short read every getter gives 0. */
struct reader {
	const uint8_t *p, *end;
	int err; /* 0 or -ERR_FORMAT */
};
uint8_t reader_u8(struct reader *);
uint16_t reader_u16(struct reader *);
uint32_t reader_u32(struct reader *);
uint64_t reader_u64(struct reader *);
/* reader_bytes: a pointer to len bytes inside the data, or NULL. */
const uint8_t *reader_bytes(struct reader *, size_t len);

uint32_t get_le32(const void *);
uint64_t get_le64(const void *);
void put_le32(void *, uint32_t);
void put_le64(void *, uint64_t);

#endif
