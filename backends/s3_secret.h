/* SPDX-License-Identifier: GPL-3.0-or-later */
/* s3_secret: the secret access key and the signing key of the day that comes from it. */
#ifndef BACKENDS_S3_SECRET_H
#define BACKENDS_S3_SECRET_H

#include "backends/s3_sign.h"
#include "backends/secret.h"

struct s3_secret {
	struct secret secret;
	struct {
		uint8_t key[S3_HASH_BYTES];
		char day[9];
		unsigned version;
	} * derived; /* sodium_malloc; the secret's lock */
};

/* s3_secret_init: reads config's secret-key-file. s3_secret_destroy is due whatever it returns. -ERR_SECRET_FILE,
 * -ERR_CONFIG, -errno with a sentence. */
int s3_secret_init(struct s3_secret *, const struct config_backend *, struct errmsg *);
void s3_secret_destroy(struct s3_secret *);
/* s3_secret_key: the signing key for the stamp's day, which the caller wipes. Fails and blocks as secret_lock. */
int s3_secret_key(struct s3_secret *, struct call *, const char *stamp, uint8_t out[S3_HASH_BYTES]);

#endif
