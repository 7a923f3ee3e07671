/* SPDX-License-Identifier: GPL-3.0-or-later */
/* s3_secret: the secret access key, in locked memory, read again when its file changes, so that new credentials need
 * no remount; and the signing key of the day. */
#ifndef BACKENDS_S3_SECRET_H
#define BACKENDS_S3_SECRET_H

#include "backends/s3_sign.h"
#include "config/config.h"

#include <pthread.h>
#include <sys/stat.h>

struct s3_secret {
	const struct config_backend *config;
	pthread_mutex_t lock; /* of the rest; a leaf; local file reads happen under it */
	char *text;	      /* sodium_malloc */
	struct stat seen;
	struct {
		uint8_t key[S3_HASH_BYTES];
		char day[9];
	} * derived; /* sodium_malloc */
};

/* s3_secret_init: reads config's secret-key-file. -ERR_SECRET_FILE, -ERR_CONFIG, -errno with a sentence. */
int s3_secret_init(struct s3_secret *, const struct config_backend *, struct errmsg *);
void s3_secret_destroy(struct s3_secret *);
/* s3_secret_key: the signing key for the stamp's day, which the caller wipes. Looks whether the file changed; where the
 * new one cannot be used the old secret stays and the log says why. Blocks on the local disk. */
void s3_secret_key(struct s3_secret *, const char *stamp, uint8_t out[S3_HASH_BYTES]);

#endif
