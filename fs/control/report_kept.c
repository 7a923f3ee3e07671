/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that their rules want abroad and the export policy keeps. By what each is kept is asked of the placement itself
 * (I11), file by file: the marks by which they are found do not say it. */
#include "fs/control/facts.h"
#include "fs/control/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 256

struct page {
	uint64_t ino[PAGE], bytes[PAGE];
	size_t count;
};

static int take_marked(void *ctx, struct meta_row *row)
{
	struct page *p = ctx;

	p->ino[p->count] = (uint64_t)meta_row_i64(row, 0);
	p->bytes[p->count++] = (uint64_t)meta_row_i64(row, 1);
	return 0;
}

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
static int count_one(struct report *r, uint64_t ino, uint64_t bytes)
{
	struct placement at = { 0 };
	struct inode *inode = NULL;
	int rc = meta_inode_get(r->meta, ino, &inode);

	if (rc == 0)
		rc = place_evaluate(core_place(r->core), inode, &at);
	if (rc == 0 && at.reason != POLICY_NONE)
		rc = count_placed(r, &at, bytes);
	placement_free(&at);
	meta_inode_put(r->meta, inode);
	return rc == -ENOENT ? 0 : rc;
}

int report_kept(struct report *r)
{
	struct page *p = calloc(1, sizeof *p);
	uint64_t after = 0;
	int rc = p ? 0 : -ENOMEM;

	while (rc == 0) {
		p->count = 0;
		rc = meta_select(r->meta,
			"SELECT ino, size FROM inode WHERE ino > ?1 AND flags & ?2 AND (mode & 61440) = 32768"
			" AND nlink > 0 ORDER BY ino LIMIT ?3",
			take_marked, p, "iii", (int64_t)after, (int64_t)INODE_AWAITING, (int64_t)PAGE);
		for (size_t i = 0; i < p->count && rc == 0; i++)
			rc = count_one(r, p->ino[i], p->bytes[i]);
		if (p->count < PAGE)
			break;
		after = p->ino[PAGE - 1];
	}
	free(p);
	return rc;
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
