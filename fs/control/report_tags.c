/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tags are not in the rows of the files: directories pass them down and sections set them. So each file is judged for
 * them, by the program that places it (I11). */
#include "fs/control/report.h"

struct counting {
	struct report *report;
	uint64_t bytes;
};

static int count_tag(void *ctx, const char *tag)
{
	struct counting *c = ctx;

	return report_count(&c->report->groups, REPORT_TAG, tag, c->bytes);
}

static int count_tags(struct report *r, struct inode *inode, uint64_t bytes)
{
	struct counting c = { r, bytes };

	return place_all_tags(core_place(r->core), inode, count_tag, &c);
}

int report_tags(struct report *r)
{
	return report_files(r, 0, count_tags);
}
