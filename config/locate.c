/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "config/doc.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

static char *directory_of(const char *file)
{
	char *absolute = file_expand(file, NULL), *out = absolute ? strdup(dirname(absolute)) : NULL;

	free(absolute);
	return out;
}

static int locate(const struct doc *doc, const char *directory, const char *key, char **path)
{
	const struct doc_entry *e = NULL;

	for (size_t i = 0; i < doc->count && !e; i++)
		if (doc->v[i].kind && !strcmp(doc->v[i].kind, "filesystem"))
			e = doc_entry_find(&doc->v[i], key);
	if (!e)
		return -ENOENT;
	*path = file_expand(e->value, directory);
	return *path ? 0 : -ENOMEM;
}

int config_locate_path(const char *file, const char *key, char **path)
{
	struct config_messages msgs = { 0 };
	struct doc doc = { 0 };
	char *directory = directory_of(file);
	int rc = directory ? 0 : -ENOMEM;

	*path = NULL;
	/* lines that are no INI are passed over: the others may say enough */
	if (rc == 0 && ((rc = doc_read(&doc, file, NULL, &msgs)) == 0 || rc == -ERR_CONFIG))
		rc = locate(&doc, directory, key, path);
	doc_free(&doc);
	config_messages_free(&msgs);
	free(directory);
	return rc;
}

int config_locate(const char *file, char **store)
{
	return config_locate_path(file, "store", store);
}
