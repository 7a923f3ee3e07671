/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mount_options: what stands behind -o: ours taken out, mount(8)'s own dropped, the rest for the kernel. */
#ifndef FS_CLI_MOUNT_OPTIONS_H
#define FS_CLI_MOUNT_OPTIONS_H

#include <stdbool.h>

struct mount_options {
	bool allow_other, read_only, foreground, debug;
	char *log, *passphrase_file; /* malloc'd or NULL */
	char *extra;		     /* malloc'd, comma-separated, "" for none */
};

/* mount_options_parse: text may be NULL; a comma inside a value is written as a backslash and a comma. 0 or -ENOMEM. */
int mount_options_parse(struct mount_options *, const char *text);
void mount_options_free(struct mount_options *);

#endif
