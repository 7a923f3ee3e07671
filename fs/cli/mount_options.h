/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mount_options: what stands behind -o: ours taken out, mount(8)'s own dropped, the rest for the kernel. */
#ifndef FS_CLI_MOUNT_OPTIONS_H
#define FS_CLI_MOUNT_OPTIONS_H

#include "fs/core/core.h"

struct mount_options {
	bool allow_other, read_only, foreground, debug;
	bool check_permissions; /* of root too */
	enum core_atime atime;
	bool nodiratime;
	char *log, *passphrase_file; /* malloc'd or NULL */
	char *extra;		     /* malloc'd, comma-separated, "" for none */
};

/* mount_options_parse: text may be NULL; a comma inside a value is written as a backslash and a comma. 0 or -ENOMEM. */
int mount_options_parse(struct mount_options *, const char *text);
/* mount_options_remount: whether the options are those of a remount, and its flags for mount(2). What the daemon does
 * about times of access stays as it is. */
bool mount_options_remount(const char *text, unsigned long *flags);
void mount_options_free(struct mount_options *);

#endif
