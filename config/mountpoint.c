/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/config.h"
#include "config/realdir.h"

#include <stdio.h>

static int check(
	const struct realdir *mountpoint, const char *directory, const char *what, const char *path, struct errmsg *msg)
{
	struct realdir dir;
	const char *relation;
	int rc = realdir_init(&dir, path);

	if (rc < 0)
		return rc;
	relation = realdir_relation(mountpoint, &dir);
	realdir_free(&dir);
	if (!relation)
		return 0;
	return errmsg_set(msg, -ERR_CONFIG,
		"the mount point %s %s %s, %s: what is mounted would be stored in itself; choose a directory apart "
		"from it",
		directory, relation, what, path);
}

int config_check_mountpoint(const struct config *c, const char *directory, struct errmsg *msg)
{
	struct realdir mountpoint;
	char what[128];
	int rc = realdir_init(&mountpoint, directory);

	if (rc < 0)
		return rc;
	rc = check(&mountpoint, directory, "the store's directory", c->store, msg);
	for (size_t i = 0; rc == 0 && i < c->backend_count; i++) {
		const struct config_backend *b = c->backends[i];

		snprintf(what, sizeof what, "the directory of backend '%s'", b->name);
		if (b->path)
			rc = check(&mountpoint, directory, what, b->path, msg);
	}
	realdir_free(&mountpoint);
	return rc;
}
