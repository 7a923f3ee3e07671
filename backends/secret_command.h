/* SPDX-License-Identifier: GPL-3.0-or-later */
/* secret_command: runs a program for what it prints. */
#ifndef BACKENDS_SECRET_COMMAND_H
#define BACKENDS_SECRET_COMMAND_H

#include "backends/call.h"
#include "base/buf.h"

#define SECRET_COMMAND_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* secret_command: argv[0] is an absolute path; no shell, nothing on its standard input, no environment but PATH, no
 * descriptor of ours, a process group of its own. out gets its output without a newline at the end; the caller wipes.
 * -ERR_SECRET with a sentence that holds what it said on standard error: it could not be started, ended badly, printed
 * more than max bytes, or ran longer than limit_ns. What the call was cut with: it is killed then. */
int secret_command(char *const argv[], size_t max, int64_t limit_ns, struct call *, struct buf *out, struct errmsg *);

#endif
