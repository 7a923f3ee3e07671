/* SPDX-License-Identifier: GPL-3.0-or-later */
/* a directory for one test program's files, and configurations loaded from it */
#ifndef TESTS_UNIT_CONFIG_SCRATCH_H
#define TESTS_UNIT_CONFIG_SCRATCH_H

#include "base/file.h"
#include "config/rules.h"
#include "tests/unit/base/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[] = "/tmp/config_test.XXXXXX";

static inline int scratch_setup(void **state)
{
	(void)state;
	return !mkdtemp(scratch) || chdir(scratch) < 0;
}

static inline int scratch_teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", scratch);
	return chdir("/") < 0 || system(command) != 0;
}

static inline void scratch_write(const char *name, const char *text)
{
	assert_int_equal(file_replace(AT_FDCWD, name, text, strlen(text), 0600), 0);
}

/* loads test.ini; the messages, without the directory in front, are in *text (the caller frees) */
static inline int scratch_load(struct config **out, char **text)
{
	struct config_messages msgs = { 0 };
	struct buf b = BUF_INIT;
	int rc = config_load(out, "test.ini", &msgs);
	size_t len = strlen(scratch) + 1;

	config_messages_print(&msgs, &b);
	config_messages_free(&msgs);
	*text = buf_steal(&b);
	for (char *p = *text; (p = strstr(p, scratch));)
		memmove(p, p + len, strlen(p + len) + 1);
	return rc;
}

#endif
