/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/mount_options.h"

#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

/* Words of fstab that mean something to mount(8), systemd or nobody, and nothing to a filesystem; and what ours has
 * anyway. */
static bool not_ours(const char *o)
{
	static const char *const words[] = { "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group",
		"nofail", "_netdev", "rw", "acl", "user_xattr" };
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
		{ "debug", &m->debug }, { "default_permissions", &m->check_permissions } };

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (strcmp(o, flags[i].name) != 0)
			continue;
		*flags[i].flag = true;
		return true;
	}
	return false;
}

/* Under FUSE these are ours to do; libfuse knows but the first, which it tells the kernel, for all to see. */
static bool take_atime(struct mount_options *m, const char *o)
{
	static const struct {
		const char *name;
		enum core_atime atime;
	} modes[] = { { "noatime", CORE_ATIME_NONE }, { "atime", CORE_ATIME_RELATIVE },
		{ "relatime", CORE_ATIME_RELATIVE }, { "strictatime", CORE_ATIME_STRICT } };

	if (!strcmp(o, "nodiratime") || !strcmp(o, "diratime")) {
		m->nodiratime = o[0] == 'n';
		return true;
	}
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		if (strcmp(o, modes[i].name) != 0)
			continue;
		m->atime = modes[i].atime;
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

	if (!strcmp(o, "allow_root")) /* libfuse has the kernel let all in, and refuses the others' requests itself */
		m->check_permissions = true;
	if (!*o || not_ours(o) || take_flag(m, o) || take_atime(m, o))
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
	if (m->atime == CORE_ATIME_NONE)
		buf_str(&extra, extra.len ? ",noatime" : "noatime");
	free(m->extra);
	m->extra = buf_steal(&extra);
	return rc == 0 && !m->extra ? -ENOMEM : rc;
}

bool mount_options_remount(const char *text, unsigned long *flags)
{
	static const struct {
		const char *name;
		unsigned long set, clear;
	} words[] = { { "remount", MS_REMOUNT, 0 }, { "ro", MS_RDONLY, 0 }, { "rw", 0, MS_RDONLY },
		{ "nosuid", MS_NOSUID, 0 }, { "suid", 0, MS_NOSUID }, { "nodev", MS_NODEV, 0 }, { "dev", 0, MS_NODEV },
		{ "noexec", MS_NOEXEC, 0 }, { "exec", 0, MS_NOEXEC }, { "sync", MS_SYNCHRONOUS, 0 },
		{ "async", 0, MS_SYNCHRONOUS }, { "dirsync", MS_DIRSYNC, 0 } };

	*flags = 0;
	while (*text) {
		char *option = next_option(&text);

		for (size_t i = 0; option && i < sizeof words / sizeof *words; i++)
			if (!strcmp(option, words[i].name))
				*flags = (*flags | words[i].set) & ~words[i].clear;
		free(option);
	}
	return *flags & MS_REMOUNT;
}

void mount_options_free(struct mount_options *m)
{
	free(m->log);
	free(m->passphrase_file);
	free(m->extra);
	*m = (struct mount_options){ 0 };
}
