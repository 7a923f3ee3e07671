/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that their rules want abroad and the export policy keeps. By what each is kept is asked of the placement itself
 * (I11), file by file: the marks by which they are found do not say it. */
#include "fs/control/facts.h"
#include "fs/control/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *reason_name(enum policy_reason reason)
{
	static const char *const names[] = { [POLICY_NONE] = "",
		[POLICY_DENY] = "deny",
		[POLICY_AWAITING] = "approval",
		[POLICY_DENIED] = "denied",
		[POLICY_STOPPED] = "stop-after" };

	return names[reason];
}

/* The group of a file: "REASON\nRULE\nKEEPER", the rule being the one that wants it abroad. */
static int count_placed(struct report *r, const struct placement *at, uint64_t bytes)
{
	struct buf key = BUF_INIT;
	int rc;

	buf_printf(&key, "%s\n%s\n", reason_name(at->reason), at->wanted_rule ? at->wanted_rule : "");
	place_keeper(core_place(r->core), at, &key);
	rc = key.err ? key.err : report_count(&r->groups, REPORT_KEPT, (const char *)key.data, bytes);
	buf_free(&key);
	return rc;
}

/* One that is free to go by now is on its way, and counts as waiting. */
static int count_one(struct report *r, struct inode *inode, uint64_t bytes)
{
	struct placement at = { 0 };
	int rc = place_evaluate(core_place(r->core), inode, &at);

	if (rc == 0 && at.reason != POLICY_NONE)
		rc = count_placed(r, &at, bytes);
	placement_free(&at);
	return rc;
}

int report_kept(struct report *r)
{
	return report_files(r, INODE_AWAITING, count_one);
}

void report_name_kept(struct report *r, const struct report_group *g, json_t *row)
{
	static const struct {
		const char *reason, *text;
	} texts[] = { { "deny", "keeps them" }, { "approval", "keeps them until approvers agree" },
		{ "denied", "keeps them: approvers said no" }, { "stop-after", "keeps them until the month is over" } };
	const char *rule = strchr(g->key, '\n') + 1, *keeper = strchr(rule, '\n') + 1;
	struct buf text = BUF_INIT;

	(void)r;
	buf_printf(&text, "%s ", *keeper ? keeper : "the export policy");
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!strncmp(g->key, texts[i].reason, (size_t)(rule - 1 - g->key)))
			buf_str(&text, texts[i].text);
	buf_printf(&text, "; they are wanted abroad by %s%.*s", rule[0] == '\n' ? "default" : "rule ",
		(int)(keeper - 1 - rule), rule);
	json_object_set_new(row, "name", json_string("kept back"));
	if (!text.err)
		facts_set_bytes(row, "text", (const char *)text.data, text.len);
	json_object_set_new(row, "reason", json_stringn(g->key, (size_t)(rule - 1 - g->key)));
	json_object_set_new(row, "rule", json_stringn(rule, (size_t)(keeper - 1 - rule)));
	if (*keeper)
		facts_set_bytes(row, "kept_by", keeper, strlen(keeper));
	buf_free(&text);
}
