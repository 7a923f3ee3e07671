/* SPDX-License-Identifier: GPL-3.0-or-later */
/* target: a path that a command names: a descriptor for the daemon, and the daemon whose mount it lies in. */
#ifndef FS_CLI_TARGET_H
#define FS_CLI_TARGET_H

#include "fs/cli/cli.h"

#include <sys/types.h>

struct target {
	int fd; /* O_PATH; of a symbolic link itself */
	bool directory;
	dev_t device;		  /* whose daemon it is */
	struct cli_daemon daemon; /* kept for the next path of the same mount */
};
#define TARGET_INIT                                                                                                    \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}
/* target_open: the next path (the last one's descriptor is closed). 0, or an outcome with a sentence on standard
 * error. -c, where it is given, names the configuration; else the mount does. */
int target_open(struct target *, const struct cli_args *, const char *path);
void target_close(struct target *);

/* target_ask: asks for each path given, "where" and "explain" alike: args_of makes the request of one (NULL: empty),
 * line gets each answer and the struct target_answer as ctx. Returns the worst outcome. */
struct target_answer {
	const char *path; /* as given */
	void *ctx;
};
int target_ask(const struct cli_args *, const char *op,
	json_t *(*args_of)(const struct cli_args *, const struct target *), int (*line)(void *target_answer, json_t *),
	void *ctx);

#endif
