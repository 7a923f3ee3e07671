/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tags are an extended attribute: no daemon is asked, and the file manager's tags and these are the same. */
#include "base/buf.h"
#include "fs/cli/commands.h"
#include "fs/cli/mounts.h"
#include "fs/cli/taglist.h"
#include "fs/cli/target.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define TAGS "user.xdg.tags"

static int path_error(const char *path, int error, const char *doing)
{
	if (error == EOPNOTSUPP)
		complain("%s: its filesystem keeps no tags (extended attributes): it lies in no borderfs mount", path);
	else
		complain("%s: %s: %s", path, doing, strerror(error));
	return OUTCOME_FAILED;
}

/* grows until it fits: the value may change between the two questions */
static ssize_t read_value(const char *path, struct buf *out)
{
	for (;;) {
		ssize_t len = getxattr(path, TAGS, NULL, 0), got;
		void *room;

		if (len <= 0)
			return len < 0 ? -errno : 0;
		room = buf_reserve(out, (size_t)len);
		if (!room)
			return -ENOMEM;
		got = getxattr(path, TAGS, room, (size_t)len);
		if (got >= 0)
			return got;
		if (errno != ERANGE)
			return -errno;
	}
}

static int load(const char *path, struct taglist *tags)
{
	struct buf value = BUF_INIT;
	ssize_t len = read_value(path, &value);
	int rc = len > 0 ? taglist_parse(tags, (const char *)value.data, (size_t)len) : 0;

	buf_free(&value);
	if (len < 0 && len != -ENODATA)
		return path_error(path, (int)-len, "its tags cannot be read");
	return rc < 0 ? path_error(path, -rc, "its tags cannot be read") : 0;
}

static int store(const char *path, const struct taglist *tags)
{
	char *text = taglist_text(tags);
	int rc;

	if (!text)
		return path_error(path, ENOMEM, "its tags cannot be set");
	rc = tags->count ? setxattr(path, TAGS, text, strlen(text), 0) : removexattr(path, TAGS);
	free(text);
	return rc < 0 && errno != ENODATA ? path_error(path, errno, "its tags cannot be set") : 0;
}

/* with -c: the path must lie in that configuration's mount */
static int check_mount(const struct cli_args *args)
{
	struct target t = TARGET_INIT;
	struct mount_at at = { 0 };
	int rc;

	if (!args_flag(args, "config"))
		return 0;
	rc = target_open(&t, args, args->operands[0]);
	if (rc == 0 && (mounts_by_config(t.daemon.config_file, &at) < 0 || at.device != t.device)) {
		complain("%s: not in the mount of %s", args->operands[0], t.daemon.config_file);
		rc = OUTCOME_FAILED;
	}
	mount_at_free(&at);
	target_close(&t);
	return rc;
}

static int check(const struct cli_args *args)
{
	for (int i = 1; i < args->operand_count; i++) {
		const char *wrong = taglist_valid(args->operands[i]);

		if (wrong) {
			complain("\"%s\" cannot be a tag: %s", args->operands[i], wrong);
			return OUTCOME_USAGE;
		}
	}
	return check_mount(args);
}

static int add(const struct cli_args *args)
{
	struct taglist tags = { 0 };
	int rc = check(args);

	if (rc == 0)
		rc = load(args->operands[0], &tags);
	for (int i = 1; i < args->operand_count && rc == 0; i++)
		if (taglist_add(&tags, args->operands[i]) < 0)
			rc = path_error(args->operands[0], ENOMEM, "its tags cannot be set");
	if (rc == 0)
		rc = store(args->operands[0], &tags);
	taglist_free(&tags);
	return rc;
}

static int rm(const struct cli_args *args)
{
	struct taglist tags = { 0 };
	int rc = check(args);

	if (rc == 0)
		rc = load(args->operands[0], &tags);
	for (int i = 1; i < args->operand_count; i++)
		taglist_remove(&tags, args->operands[i]);
	if (rc == 0)
		rc = store(args->operands[0], &tags);
	taglist_free(&tags);
	return rc;
}

static json_t *tags_json(const char *path, const struct taglist *tags)
{
	json_t *line = json_object(), *list = json_array();

	for (size_t i = 0; i < tags->count; i++) {
		json_t *tag = json_string(tags->v[i]);

		json_array_append_new(list, tag ? tag : json_null()); /* not UTF-8: Dolphin would not show it either */
	}
	if (facts_set_bytes(line, "path", path, strlen(path)) < 0 || json_object_set_new(line, "tags", list) < 0) {
		json_decref(line);
		return NULL;
	}
	return line;
}

/* ---- all tags, with where they come from: the daemon knows ---------------------------------------------------------
 */

static json_t *explain_request(const struct cli_args *args, const struct target *t)
{
	(void)args, (void)t;
	return json_pack("{s:b}", "json", 1);
}

static bool listed(const json_t *list, const json_t *tag)
{
	size_t i;
	json_t *one;

	json_array_foreach(list, i, one) if (json_equal(one, tag)) return true;
	return false;
}

/* those of each name that the file has, once */
static json_t *collect_tags(const json_t *explain)
{
	json_t *list = json_array(), *name, *tag;
	size_t i, k;

	json_array_foreach(json_object_get(explain, "names"), i, name)
	{
		json_array_foreach(json_object_get(name, "tags"), k, tag)
		{
			if (!listed(list, tag))
				json_array_append(list, tag);
		}
	}
	return list;
}

static void print_origins(const json_t *list)
{
	struct table t = TABLE_INIT(3);
	size_t i;
	json_t *tag;

	json_array_foreach(list, i, tag)
	{
		const json_t *section = json_object_get(tag, "section");

		table_cell(&t, "%s", text_at(tag, "tag"));
		table_cell(&t, "%s", text_at(tag, "origin"));
		if (section)
			table_cell(&t, "%s:%lld", text_at(section, "file"), number_at(section, "line"));
		else
			table_cell(&t, "%s", text_at(tag, "from"));
	}
	table_print(&t, "");
}

static int print_all(void *ctx, json_t *line)
{
	struct target_answer *answer = ctx;
	json_t *list = collect_tags(json_object_get(line, "explain")), *out = NULL;
	int rc = 0;

	if (!args_flag(answer->ctx, "json")) {
		print_origins(list);
	} else if ((out = json_pack("{s:O}", "tags", list)) &&
		   facts_set_bytes(out, "path", answer->path, strlen(answer->path)) == 0) {
		print_json(out);
	} else {
		rc = -ENOMEM;
	}
	json_decref(out);
	json_decref(list);
	return rc;
}

static int ls(const struct cli_args *args)
{
	struct taglist tags = { 0 };
	int rc = check(args);

	if (rc == 0 && args_flag(args, "all"))
		return target_ask(args, "explain", explain_request, print_all, (void *)args);
	if (rc == 0)
		rc = load(args->operands[0], &tags);
	if (rc == 0 && args_flag(args, "json")) {
		json_t *line = tags_json(args->operands[0], &tags);

		print_json(line);
		json_decref(line);
	} else {
		for (size_t i = 0; i < tags.count; i++) {
			print_text(tags.v[i], strlen(tags.v[i]));
			putchar('\n');
		}
	}
	taglist_free(&tags);
	return rc;
}

static const struct cli_option edit_options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

static const struct cli_option ls_options[] = {
	CLI_OPTION_CONFIG,
	{ 'a', "all", NULL, "also those that are inherited or set by rules, each with where it comes from", false },
	CLI_OPTION_JSON,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_tag_add = {
	.name = "tag add",
	.operands = "PATH TAG...",
	.operands_min = 2,
	.operands_max = -1,
	.summary = "Sets tags on a file or directory",
	.description =
		"What is below a directory has its tags too. The tags are those of the attribute user.xdg.tags,\n"
		"which file managers show.",
	.options = edit_options,
	.run = add,
};

const struct cli_command cmd_tag_rm = {
	.name = "tag rm",
	.operands = "PATH TAG...",
	.operands_min = 2,
	.operands_max = -1,
	.summary = "Takes tags off a file or directory",
	.description = "A file that a tag held at home stays held: only an export takes it abroad.",
	.options = edit_options,
	.run = rm,
};

const struct cli_command cmd_tag_ls = {
	.name = "tag ls",
	.operands = "PATH",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "Lists the tags set on a file or directory, one a line",
	.description =
		"With --all also the tags of the directories above and those that [tag] sections set, with their\n"
		"origin (user, inherited, rule) and the directory, or the file and line, that they come from.",
	.options = ls_options,
	.run = ls,
};
