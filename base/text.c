/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* digits only: strtoull would take signs and blanks; *end is left at the first other character */
static int parse_number(const char *s, uint64_t *v, const char **end)
{
	*v = 0;
	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++) {
		if (__builtin_mul_overflow(*v, 10, v) || __builtin_add_overflow(*v, (uint64_t)(*s - '0'), v))
			return -ERANGE;
	}
	*end = s;
	return 0;
}

static int parse_bytes(const char *s, uint64_t *bytes, const char **end)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned shift = 0;
	int rc;

	if ((rc = parse_number(s, bytes, &s)) < 0)
		return rc;
	unit = *s ? strchr(units, toupper((unsigned char)*s)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		s++;
		if (s[0] == 'i' && s[1] == 'B')
			s++;
	}
	if (*s == 'B')
		s++;
	*end = s;
	if (shift && *bytes > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes <<= shift;
	return 0;
}

int text_parse_size(const char *s, uint64_t *bytes)
{
	const char *end;
	int rc = parse_bytes(s, bytes, &end);

	return rc < 0 ? rc : *end ? -EINVAL : 0;
}

static int moment(struct tm *tm, time_t (*make)(struct tm *), int64_t *ns)
{
	int day = tm->tm_mday;

	if (tm->tm_year < 70 || tm->tm_year > 300)
		return -EINVAL;
	*ns = (int64_t)make(tm) * 1000000000;
	return tm->tm_mday == day ? 0 : -EINVAL; /* the 31st of a month of 30 days became another day */
}

int text_parse_time(const char *s, int64_t *ns)
{
	struct tm tm = { .tm_isdst = -1 };
	const char *end = strptime(s, "%Y-%m-%d", &tm);

	if (end && *end == ' ')
		end = strptime(end, " %H:%M", &tm);
	return !end || *end ? -EINVAL : moment(&tm, mktime, ns);
}

int text_parse_utc(const char *s, int64_t *ns)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%MZ",
		"%Y-%m-%dT%H:%M:%SZ" };

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm = { 0 };
		const char *end = strptime(s, forms[i], &tm);

		if (end && !*end)
			return moment(&tm, timegm, ns);
	}
	return -EINVAL;
}

/* "08:30", and *s is behind it; -1 for anything else */
static int parse_minute(const char **s)
{
	const char *p = *s, *from;
	uint64_t hour, minute;

	if (parse_number(p, &hour, &p) < 0 || *p != ':' || p - *s > 2)
		return -1;
	from = ++p;
	if (parse_number(p, &minute, &p) < 0 || p - from != 2)
		return -1;
	*s = p;
	return hour > 24 || minute > 59 || (hour == 24 && minute) ? -1 : (int)(hour * 60 + minute);
}

int text_parse_hours(const char *s, unsigned *from, unsigned *to)
{
	int low = parse_minute(&s), high = low >= 0 && *s++ == '-' ? parse_minute(&s) : -1;

	if (high < 0 || *s || low == high || low == 24 * 60)
		return -EINVAL;
	*from = (unsigned)low;
	*to = (unsigned)high;
	return 0;
}

int text_parse_rate(const char *s, uint64_t *bytes_per_s)
{
	const char *end;
	int rc = parse_bytes(s, bytes_per_s, &end);

	return rc < 0 ? rc : strcmp(end, "/s") ? -EINVAL : 0;
}

int text_parse_duration(const char *s, int64_t *ns)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = {
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "", 1000000000 },
		{ "m", 60 * 1000000000LL },
		{ "h", 3600 * 1000000000LL },
		{ "d", 86400 * 1000000000LL },
		{ "w", 7 * 86400 * 1000000000LL },
	};
	uint64_t v;
	int rc = parse_number(s, &v, &s);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(s, units[i].unit) == 0)
			return __builtin_mul_overflow(v, units[i].ns, ns) ? -ERANGE : 0;
	}
	return -EINVAL;
}

char *text_size(uint64_t bytes, char *out, size_t len)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(out, len, "%" PRIu64 " B", bytes);
		return out;
	}
	/* 1023.95 would print as 1024.0 of the smaller unit */
	for (; v >= 1023.95 && i + 1 < sizeof units / sizeof *units; i++)
		v /= 1024;
	snprintf(out, len, "%.1f %s", v, units[i]);
	return out;
}

char *text_duration(int64_t ns, char *out, size_t len)
{
	const char *sign = ns < 0 ? "-" : "";
	uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	uint64_t ms = v / 1000000, s = ms / 1000, m = s / 60, h = m / 60;

	if (s == 0)
		snprintf(out, len, "%s%" PRIu64 "ms", sign, ms);
	else if (m == 0)
		snprintf(out, len, "%s%" PRIu64 ".%" PRIu64 "s", sign, s, ms % 1000 / 100);
	else if (h == 0)
		snprintf(out, len, "%s%" PRIu64 "m%02" PRIu64 "s", sign, m, s % 60);
	else if (h < 24)
		snprintf(out, len, "%s%" PRIu64 "h%02" PRIu64 "m", sign, h, m % 60);
	else
		snprintf(out, len, "%s%" PRIu64 "d%02" PRIu64 "h", sign, h / 24, h % 24);
	return out;
}

char *text_hex(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = 0;
	return out;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int text_unhex(const char *hex, void *out, size_t len)
{
	uint8_t *p = out;

	for (size_t i = 0; i < len; i++) {
		int high = digit(hex[2 * i]), low = high < 0 ? -1 : digit(hex[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		p[i] = (uint8_t)(high << 4 | low);
	}
	return hex[2 * len] ? -EINVAL : 0;
}
