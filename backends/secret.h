/* SPDX-License-Identifier: GPL-3.0-or-later */
/* secret: a backend's credential in locked memory, read again when its file changes, so that a new one needs no
 * remount. */
#ifndef BACKENDS_SECRET_H
#define BACKENDS_SECRET_H

#include "config/config.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/stat.h>

struct secret {
	const struct config_backend *config;
	const char *key, *path; /* borrowed: the configuration's key for the file ("secret-key-file"), and the file */
	size_t max;
	pthread_mutex_t lock; /* of the rest; a leaf; local file reads happen under it */
	char *text;	      /* sodium_malloc, NUL-terminated, holds no other NUL */
	size_t len;
	unsigned version; /* grows with every reading */
	struct stat seen;
};

/* secret_init: reads the file (file_read_secret), of at most max bytes. secret_destroy is due whatever it returns.
 * -ERR_SECRET_FILE, -errno with a sentence. */
int secret_init(
	struct secret *, const struct config_backend *, const char *key, const char *path, size_t max, struct errmsg *);
void secret_destroy(struct secret *);
/* secret_lock: takes the lock and looks whether the file changed; where the new one cannot be used the old text stays
 * and the log says why. The text, and what the caller derived from it, may be used until secret_unlock. Blocks on the
 * local disk. */
const char *secret_lock(struct secret *);
void secret_unlock(struct secret *);

#endif
