/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/s3_secret.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

int s3_secret_init(struct s3_secret *s, const struct config_backend *config, struct errmsg *msg)
{
	int rc;

	memset(s, 0, sizeof *s);
	if (!config->access_key)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': access-key is needed", config->name);
	rc = secret_init(&s->secret, config, "secret-key-file", config->secret_key_file, S3_SECRET_BYTES_MAX, msg);
	if (rc < 0)
		return rc;
	if (!(s->derived = sodium_malloc(sizeof *s->derived)))
		return -ENOMEM;
	s->derived->day[0] = 0;
	return 0;
}

void s3_secret_destroy(struct s3_secret *s)
{
	if (s->secret.config)
		secret_destroy(&s->secret);
	sodium_free(s->derived);
}

int s3_secret_key(struct s3_secret *s, struct call *c, const char *stamp, uint8_t out[S3_HASH_BYTES])
{
	const char *text;
	int rc = secret_lock(&s->secret, c, &text);

	if (rc < 0)
		return rc;
	if (s->derived->version != s->secret.version || memcmp(s->derived->day, stamp, 8) != 0) {
		s3_signing_key(text, stamp, s->secret.config->region, s->derived->key);
		memcpy(s->derived->day, stamp, 8);
		s->derived->version = s->secret.version;
	}
	memcpy(out, s->derived->key, S3_HASH_BYTES);
	secret_unlock(&s->secret);
	return 0;
}
