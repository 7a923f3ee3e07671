/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/mount_options.h"

#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Words of fstab that mean something to mount(8), systemd or nobody, and nothing to a filesystem. */
static bool not_ours(const char *o)
{
	static const char *const words[] = { "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group",
		"nofail", "_netdev", "rw" };
	static const char *const prefixes[] = { "x-", "X-", "comment=", "user=" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcmp(o, words[i]))
			return true;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (!strncmp(o, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static bool take_flag(struct mount_options *m, const char *o)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = { { "allow_other", &m->allow_other }, { "ro", &m->read_only }, { "foreground", &m->foreground },
		{ "debug", &m->debug } };

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (strcmp(o, flags[i].name) != 0)
			continue;
		*flags[i].flag = true;
		return true;
	}
	return false;
}

/* 1: taken; 0: another option */
static int take_value(const char *o, const char *name, char **value)
{
	size_t len = strlen(name);

	if (strncmp(o, name, len) != 0 || o[len] != '=')
		return 0;
	free(*value);
	*value = strdup(o + len + 1);
	return *value ? 1 : -ENOMEM;
}

static int take(struct mount_options *m, const char *o, struct buf *extra)
{
	int rc;

	if (!*o || not_ours(o) || take_flag(m, o))
		return 0;
	if ((rc = take_value(o, "log", &m->log)) || (rc = take_value(o, "passphrase-file", &m->passphrase_file)))
		return rc < 0 ? rc : 0;
	buf_printf(extra, "%s%s", extra->len ? "," : "", o);
	return extra->err;
}

/* the next option without its backslashes; *text moves behind it */
static char *next_option(const char **text)
{
	struct buf out = BUF_INIT;
	const char *s = *text;

	buf_str(&out, "");
	for (; *s && *s != ','; s++) {
		if (*s == '\\' && s[1])
			s++;
		buf_put(&out, s, 1);
	}
	*text = *s ? s + 1 : s;
	return buf_steal(&out);
}

int mount_options_parse(struct mount_options *m, const char *text)
{
	struct buf extra = BUF_INIT;
	int rc = 0;

	buf_str(&extra, "");
	while (rc == 0 && text && *text) {
		char *option = next_option(&text);

		rc = option ? take(m, option, &extra) : -ENOMEM;
		free(option);
	}
	free(m->extra);
	m->extra = buf_steal(&extra);
	return rc == 0 && !m->extra ? -ENOMEM : rc;
}

void mount_options_free(struct mount_options *m)
{
	free(m->log);
	free(m->passphrase_file);
	free(m->extra);
	*m = (struct mount_options){ 0 };
}
