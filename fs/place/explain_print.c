/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What explain tells people: first what is, then why, as a tree. */
#include "fs/place/internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <string.h>
#include <time.h>

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static bool is_set(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* "FILE:LINE" of a section */
static void put_origin(const json_t *origin, struct buf *out)
{
	buf_printf(out, "%s:%lld", text_of(origin, "file"),
		(long long)json_integer_value(json_object_get(origin, "line")));
}

static int columns(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* ---- one name ---------------------------------------------------------------------------------------------------- */

static void print_conditions(const json_t *list, struct buf *out)
{
	int width = 0, n;
	size_t i;
	json_t *one;

	json_array_foreach(list, i, one)
	{
		n = columns(text_of(one, "text"));
		width = n > width ? n : width;
	}
	json_array_foreach(list, i, one)
	{
		const char *text = text_of(one, "text");

		buf_printf(out, "      %-7s  %s", text_of(one, "holds"), text);
		if (json_object_get(one, "value"))
			buf_printf(out, "%*s  %s", width - columns(text), "", text_of(one, "value"));
		buf_str(out, "\n");
	}
}

/* conditions may all be unknown: of a foreign zone the rule does not take the file then */
static void print_section(const json_t *one, const char *what, const char *yes, const char *no, struct buf *out)
{
	buf_printf(out, "    [%s %s] ", what, text_of(one, "name"));
	put_origin(json_object_get(one, "origin"), out);
	buf_printf(out, ": %s", is_set(one, "matched") ? yes : no);
	if (is_set(one, "matched") && json_object_get(one, "zone"))
		buf_printf(out, " for zone %s", text_of(one, "zone"));
	buf_str(out, "\n");
	print_conditions(json_object_get(one, "conditions"), out);
}

static void print_tag(const json_t *tag, struct buf *out)
{
	const json_t *section = json_object_get(tag, "section");

	buf_printf(out, "    tag %s: ", text_of(tag, "tag"));
	if (section) {
		buf_printf(out, "rule from ");
		put_origin(section, out);
	} else {
		buf_str(out, text_of(tag, "origin"));
		if (json_object_get(tag, "from"))
			buf_printf(out, " from %s", text_of(tag, "from"));
	}
	buf_str(out, "\n");
}

static void print_name(const json_t *one, struct buf *out)
{
	size_t i;
	json_t *item;

	buf_printf(out, "  %s: zone %s", text_of(one, "path"), text_of(one, "zone"));
	if (json_object_get(one, "rule"))
		buf_printf(out, " by rule %s\n", text_of(one, "rule"));
	else
		buf_str(out, is_set(one, "doubt") ? " (could not be judged)\n" : " (no rule matches)\n");
	json_array_foreach(json_object_get(one, "tags"), i, item) print_tag(item, out);
	json_array_foreach(json_object_get(one, "tag_sections"), i, item)
		print_section(item, "tag", "sets the tag", "does not set it", out);
	json_array_foreach(json_object_get(one, "rules"), i, item)
		print_section(item, "rule", "decides", "does not match", out);
	if (!json_object_get(one, "rule") && !is_set(one, "doubt"))
		buf_printf(out, "    default: zone %s\n", text_of(one, "zone"));
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void print_due(const json_t *all, int64_t now_ns, struct buf *out)
{
	const json_t *due = json_object_get(all, "next_due_s");
	char in[32], when[32];
	time_t at_s;
	struct tm tm;

	if (!json_is_number(due))
		return;
	at_s = (time_t)json_number_value(due);
	if (!localtime_r(&at_s, &tm) || !strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm))
		return;
	text_duration((int64_t)(json_number_value(due) * NS_PER_S) - now_ns, in, sizeof in);
	buf_printf(out, "  time may change this next at %s, in %s\n", when, in);
}

static void print_export(const json_t *all, struct buf *out)
{
	const json_t *export = json_object_get(all, "export");
	const char *state = text_of(all, "state"), *keeper = text_of(all, "kept_by");

	if (strcmp(state, "free") != 0)
		buf_printf(out, "  its rules want zone %s; the export policy keeps it (%s): %s\n",
			text_of(all, "wanted"), state, text_of(all, "why"));
	else if (json_is_integer(json_object_get(all, "request")))
		buf_printf(out, "  it is there as approvers agreed to request %lld\n",
			(long long)json_integer_value(json_object_get(all, "request")));
	if (*keeper && strcmp(keeper, text_of(all, "why")) != 0)
		buf_printf(out, "  kept by %s\n", keeper);
	if (is_set(all, "held"))
		buf_printf(out, "  held: leaving needs what zone %s says, export = %s\n", text_of(export, "zone"),
			text_of(export, "policy"));
	if (json_object_get(export, "rule"))
		buf_printf(out, "  the rule that wants zone %s says export = %s\n", text_of(all, "wanted"),
			text_of(export, "rule"));
}

static void print_combination(const json_t *all, struct buf *out)
{
	static const struct {
		const char *what, *text;
	} table[] = {
		{ "they agree", "they all say the same zone" },
		{ "they differ", "they say different zones, and in doubt the file stays at home" },
		{ "home first", "one of them says the home zone, and that decides" },
		{ "domestic first", "one of them says a domestic zone, which goes before foreign ones" },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(text_of(all, "combination"), table[i].what) == 0)
			buf_printf(out, "  of %zu names: %s\n", json_array_size(json_object_get(all, "names")),
				table[i].text);
}

void explain_print(const json_t *all, int64_t now_ns, struct buf *out)
{
	size_t i;
	json_t *one;

	buf_printf(out, "zone %s", text_of(all, "zone"));
	if (json_is_string(json_object_get(all, "rule")))
		buf_printf(out, " by rule %s\n", text_of(all, "rule"));
	else
		buf_str(out, " by default\n");
	print_export(all, out);
	if (is_set(all, "content_unknown"))
		buf_str(out, "  the content's type is not known here yet: home until it is\n");
	print_due(all, now_ns, out);
	print_combination(all, out);
	json_array_foreach(json_object_get(all, "names"), i, one) print_name(one, out);
}
