/* SPDX-License-Identifier: GPL-3.0-or-later */
/* secret: a backend's credential in locked memory, from a file, from systemd's credentials, or from a command; had
 * again when it changes, so that a new one needs no remount. A file is looked at with every use. A command is run by
 * the first use, not when the backend is opened, so that a mount needs nothing that the command needs; and again when
 * the server refused what it said. */
#ifndef BACKENDS_SECRET_H
#define BACKENDS_SECRET_H

#include "backends/backend.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/stat.h>

struct secret {
	const struct config_backend *config;
	char *name; /* for messages: where it comes from, as the configuration has it */
	char *path; /* NULL: of a command */
	bool credential;
	bool aside; /* not what the server judges a request by */
	size_t max;
	pthread_mutex_t lock; /* of the rest; before a call's lock. The file is read and the command runs under it */
	char *text; /* sodium_malloc, NUL-terminated, holds no other NUL; NULL: the command has not said it yet */
	size_t len;
	unsigned version; /* grows with every other text */
	struct stat seen;
	int64_t again_ns; /* monotonic: the command is not run before that */
	int failed;	  /* of the command's last run: its error, told until again_ns */
	struct errmsg why;
};

/* secret_init: by config's secret-command or secret-credential, where it has one; else of the file that the key, such
 * as "secret-key-file", names (both borrowed). Reads a file of at most max bytes (file_read_secret); runs no command.
 * secret_destroy is due whatever it returns. -ERR_SECRET_FILE, -ERR_CONFIG where there is none of the three, -errno,
 * with a sentence. */
int secret_init(
	struct secret *, const struct config_backend *, const char *key, const char *path, size_t max, struct errmsg *);
/* secret_init_aside: of the file alone; a secret beside the backend's own, which no call notes and nothing renews. */
int secret_init_aside(
	struct secret *, const struct config_backend *, const char *key, const char *path, size_t max, struct errmsg *);
void secret_destroy(struct secret *);
/* secret_lock: takes the lock, looks whether the file changed, or runs a command that has not run; where a new text
 * cannot be had the old one stays and the log says why. The text, and what the caller derived from it, may be used
 * until secret_unlock. -ERR_SECRET, what the call was cut with, with a sentence in call->msg: there never was one; the
 * lock is not taken. Notes in the call which version it got. Blocks on the local disk, or on the command for
 * SECRET_RUN_NS. */
int secret_lock(struct secret *, struct call *, const char **text);
void secret_unlock(struct secret *);
/* secret_renew: the server refused what the call got: whether there is another text now. Runs a command again, unless
 * it ran in the last SECRET_AGAIN_NS. Blocks as secret_lock. */
bool secret_renew(struct secret *, struct call *);

#define SECRET_RUN_NS	(10 * 1000000000LL)
#define SECRET_AGAIN_NS (10 * 1000000000LL)

#endif
