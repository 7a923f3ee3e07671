/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/owner.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

bool owner_user(const char *name, uint32_t *id)
{
	struct passwd pw, *found = NULL;
	char text[16384];

	getpwnam_r(name, &pw, text, sizeof text, &found);
	if (found)
		*id = found->pw_uid;
	return found != NULL;
}

bool owner_group(const char *name, uint32_t *id)
{
	size_t len = 65536; /* a group's record holds all its members */
	char *text = malloc(len);
	struct group gr, *found = NULL;

	if (text)
		getgrnam_r(name, &gr, text, len, &found);
	if (found)
		*id = found->gr_gid;
	free(text);
	return found != NULL;
}

bool owner_number(const char *text, uint32_t *id)
{
	unsigned long long v;

	if (!*text || strlen(text) > 10 || text[strspn(text, "0123456789")])
		return false;
	v = strtoull(text, NULL, 10);
	*id = (uint32_t)v;
	return v < UINT32_MAX;
}
