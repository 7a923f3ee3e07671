/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sync: waiting until data is on its backends, for `sync` and `umount --wait`. */
#ifndef FS_CLI_SYNC_H
#define FS_CLI_SYNC_H

#include "fs/cli/cli.h"

/* sync_wait: everything (path NULL, fd -1), or what fd, an O_PATH descriptor of path, names. timeout: as on the command
 * line, NULL: none. Shows progress. What the kernel still keeps of it is written back first. An outcome. */
int sync_wait(const struct cli_daemon *, const char *path, int fd, const char *timeout);

#endif
