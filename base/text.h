/* SPDX-License-Identifier: GPL-3.0-or-later */
/* text: sizes, durations and rates as people write them, and back. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* "20G", "512K", "100": bytes, powers of 1024, suffix K M G T (an optional B or iB after it). -EINVAL, -ERANGE. */
int text_parse_size(const char *s, uint64_t *bytes);
/* "5s", "500ms", "1h", "30d", "2w": a number and a unit (ms s m h d w); a bare number is seconds. */
int text_parse_duration(const char *s, int64_t *ns);
/* "2026-12-01" (its midnight) or "2026-12-01 09:30", in the local time zone: nanoseconds since 1970. -EINVAL. */
int text_parse_time(const char *s, int64_t *ns);
/* "2026-12-01", "2026-12-01T09:30" or "2026-12-01T09:30:05", in UTC, a Z behind a time or not: the same. */
int text_parse_utc(const char *s, int64_t *ns);
/* "08:00-18:00", "22:30-02:00": minutes of the day, 0..1440; from > to: over midnight. -EINVAL, also for no time. */
int text_parse_hours(const char *s, unsigned *from, unsigned *to);
/* "20M/s": bytes a second. */
int text_parse_rate(const char *s, uint64_t *bytes_per_s);
/* text_size: "3.2 MiB" into out (at least 16 bytes); returns out. */
char *text_size(uint64_t bytes, char *out, size_t len);
/* text_duration: "2h05m", "3.1s" into out (at least 24 bytes); returns out. */
char *text_duration(int64_t ns, char *out, size_t len);
/* text_hex: lower-case hexadecimal of len bytes and a NUL into out (2 * len + 1). */
char *text_hex(const void *data, size_t len, char *out);
/* text_unhex: exactly len bytes from 2 * len digits; -EINVAL. */
int text_unhex(const char *hex, void *out, size_t len);

#endif
