/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The facts of a file as explain shows them beside a condition. */
#include "base/clock.h"
#include "base/text.h"
#include "config/rules_impl.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static void put_size(uint64_t bytes, struct buf *out)
{
	char text[32];

	if (bytes < 1024)
		buf_printf(out, "%" PRIu64 " bytes", bytes);
	else
		buf_printf(out, "%s (%" PRIu64 " bytes)", text_size(bytes, text, sizeof text), bytes);
}

static void put_age(const struct rule_facts *f, struct buf *out)
{
	char text[32];
	int64_t age;

	if (__builtin_sub_overflow(f->now_ns, f->mtime_ns, &age))
		buf_str(out, f->mtime_ns < 0 ? "beyond all ages" : "in the far future");
	else
		buf_str(out, text_duration(age, text, sizeof text));
}

static void put_time(int64_t now_ns, const char *format, struct buf *out)
{
	time_t now = (time_t)(now_ns / NS_PER_S);
	char text[32];
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(text, sizeof text, format, &tm);
	buf_str(out, text);
}

void cond_value(const struct cond *c, const struct rule_facts *f, struct buf *out)
{
	static const char *const formats[] = {
		[COND_HOURS] = "%H:%M", [COND_DAYS] = "%a", [COND_DATE] = "%Y-%m-%d %H:%M"
	};

	switch (c->kind) {
	case COND_PATH:
		buf_str(out, f->path);
		break;
	case COND_NAME:
		buf_str(out, strrchr(f->path, '/') ? strrchr(f->path, '/') + 1 : f->path);
		break;
	case COND_SIZE:
		put_size(f->size, out);
		break;
	case COND_AGE:
		put_age(f, out);
		break;
	case COND_OWNER:
		buf_printf(out, "uid %u, gid %u", (unsigned)f->uid, (unsigned)f->gid);
		break;
	case COND_LINKS:
		buf_printf(out, "%" PRIu32, f->link_count);
		break;
	case COND_HOURS:
	case COND_DAYS:
	case COND_DATE:
		put_time(f->now_ns, formats[c->kind], out);
		break;
	case COND_TAG:
	case COND_TYPE:
		break;
	}
}
