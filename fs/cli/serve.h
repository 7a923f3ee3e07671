/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve: the daemon, from the keys to the end: opens the store, mounts, answers, stops cleanly. */
#ifndef FS_CLI_SERVE_H
#define FS_CLI_SERVE_H

#include "fs/cli/secrets.h"
#include "fs/front/front.h"

struct serve_options {
	struct config *config;
	const struct secrets *secrets;
	struct front_options front;
	enum core_atime atime;
	bool nodiratime;
	/* called once when the mount is there and everything runs; what is said after it goes to the log */
	void (*ready)(void *ctx);
	void *ctx;
};

/* serve: blocks until unmounted, SIGTERM or SIGINT; SIGHUP reloads. Must be called before the process has threads: it
 * blocks these signals for all of them. 0 or a negative error, with a sentence. */
int serve(const struct serve_options *, struct errmsg *);

#endif
