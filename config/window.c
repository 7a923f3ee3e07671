/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conditions on the time at which a file is judged, not on the file: opening hours, days of the week, dates. */
#include "base/clock.h"
#include "base/text.h"
#include "config/rules_impl.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#define DAY_MINUTES (24 * 60)

static struct tm local_time(int64_t ns)
{
	time_t s = (time_t)(ns / NS_PER_S - (ns % NS_PER_S < 0));
	struct tm tm;

	localtime_r(&s, &tm);
	return tm;
}

/* the minute of the local day that lies so many days after that of tm */
static int64_t minute_of_day(const struct tm *tm, int days, int minute)
{
	struct tm at = { .tm_year = tm->tm_year,
		.tm_mon = tm->tm_mon,
		.tm_mday = tm->tm_mday + days,
		.tm_min = minute,
		.tm_isdst = -1 };

	return (int64_t)mktime(&at) * NS_PER_S;
}

/* ---- reading ------------------------------------------------------------------------------------------------------
 */

static bool read_day(const char *s, int *day, const char **end)
{
	static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

	for (*day = 0; *day < 7; ++*day) {
		*end = s + 3;
		if (strncasecmp(s, days[*day], 3) == 0)
			return true;
	}
	return false;
}

/* from low to before high in a circle of so many */
static void put_circle(int low, int high, int circle, struct cond_range out[2], size_t *count)
{
	*count = 1;
	out[0] = (struct cond_range){ low, high - 1 };
	if (low < high)
		return;
	out[0].high = circle - 1;
	if (high > 0)
		out[(*count)++] = (struct cond_range){ 0, high - 1 };
}

static bool parse_hours(const char *s, struct cond_range out[2], size_t *count)
{
	unsigned from, to;

	if (text_parse_hours(s, &from, &to) < 0)
		return false;
	put_circle((int)from, (int)to, DAY_MINUTES, out, count);
	return true;
}

static bool parse_days(const char *s, struct cond_range out[2], size_t *count)
{
	int low, high;

	if (!read_day(s, &low, &s))
		return false;
	high = low;
	if (*s && (*s++ != '-' || !read_day(s, &high, &s)))
		return false;
	if (*s)
		return false;
	put_circle(low, high + 1, 7, out, count);
	return true;
}

/* A day stands for all of it: first and last nanosecond. */
static bool parse_moment(const char *s, size_t len, struct cond_range *out)
{
	char text[24];
	struct tm tm;

	if (len >= sizeof text)
		return false;
	memcpy(text, s, len);
	text[len] = 0;
	if (text_parse_time(text, &out->low) < 0)
		return false;
	tm = local_time(out->low);
	out->high = strchr(text, ' ') ? out->low : minute_of_day(&tm, 1, 0) - 1;
	return true;
}

static bool parse_date(const char *s, struct cond_range *out)
{
	const char *dots = strstr(s, ".."), *at = s + 1 + (s[0] && s[1] == '=');
	struct cond_range one, other;

	*out = (struct cond_range){ INT64_MIN, INT64_MAX };
	if (dots) {
		if (!parse_moment(s, (size_t)(dots - s), &one) || !parse_moment(dots + 2, strlen(dots + 2), &other))
			return false;
		*out = (struct cond_range){ one.low, other.high };
		return out->low <= out->high;
	}
	if (*s != '<' && *s != '>')
		return parse_moment(s, strlen(s), out) && !strchr(s, ' ');
	at += strspn(at, " \t");
	if (!parse_moment(at, strlen(at), &one))
		return false;
	if (*s == '<')
		out->high = s[1] == '=' ? one.high : one.low - 1;
	else
		out->low = s[1] == '=' ? one.low : one.high + 1;
	return true;
}

bool cond_window_parse(enum cond_kind kind, const char *item, struct cond_range out[2], size_t *count)
{
	*count = 1;
	if (kind == COND_HOURS)
		return parse_hours(item, out, count);
	return kind == COND_DAYS ? parse_days(item, out, count) : parse_date(item, out);
}

/* ---- judging ------------------------------------------------------------------------------------------------------
 */

static void note(int64_t at_ns, int64_t now_ns, int64_t *due_ns)
{
	if (at_ns > now_ns && at_ns < *due_ns)
		*due_ns = at_ns;
}

/* Tomorrow's too: today's may be past. */
static void note_hours(const struct cond *c, const struct tm *tm, int64_t now_ns, int64_t *due_ns)
{
	for (size_t i = 0; i < c->count; i++) {
		for (int day = 0; day < 2; day++) {
			note(minute_of_day(tm, day, (int)c->ranges[i].low), now_ns, due_ns);
			note(minute_of_day(tm, day, (int)c->ranges[i].high + 1), now_ns, due_ns);
		}
	}
}

static void note_dates(const struct cond *c, int64_t now_ns, int64_t *due_ns)
{
	for (size_t i = 0; i < c->count; i++) {
		note(c->ranges[i].low, now_ns, due_ns);
		if (c->ranges[i].high < INT64_MAX)
			note(c->ranges[i].high + 1, now_ns, due_ns);
	}
}

bool cond_window_matches(const struct cond *c, int64_t now_ns, int64_t *due_ns)
{
	struct tm tm = local_time(now_ns);
	int64_t v = now_ns;

	if (c->kind == COND_HOURS) {
		v = tm.tm_hour * 60 + tm.tm_min;
		note_hours(c, &tm, now_ns, due_ns);
	} else if (c->kind == COND_DAYS) {
		v = (tm.tm_wday + 6) % 7;
		note(minute_of_day(&tm, 1, 0), now_ns, due_ns);
	} else {
		note_dates(c, now_ns, due_ns);
	}
	for (size_t i = 0; i < c->count; i++)
		if (v >= c->ranges[i].low && v <= c->ranges[i].high)
			return true;
	return false;
}
