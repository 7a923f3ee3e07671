/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/s3_secret.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

static int read_secret(struct s3_secret *s, struct errmsg *msg)
{
	const struct config_backend *c = s->config;
	struct buf b = BUF_INIT;
	char *text = NULL;
	int rc = file_read_secret(c->secret_key_file, S3_SECRET_BYTES_MAX, 1, &b, msg);

	if (!rc && (!b.len || memchr(b.data, 0, b.len)))
		rc = errmsg_set(msg, -ERR_SECRET_FILE, "secret-key-file %s is empty or not text", c->secret_key_file);
	if (!rc && !(text = sodium_malloc(b.len + 1)))
		rc = -ENOMEM;
	if (!rc) {
		memcpy(text, b.data, b.len);
		text[b.len] = 0;
		sodium_free(s->text);
		s->text = text;
		s->derived->day[0] = 0;
	}
	if (b.data)
		sodium_memzero(b.data, b.cap);
	buf_free(&b);
	errmsg_prefix(msg, "backend '%s'", c->name);
	return rc;
}

int s3_secret_init(struct s3_secret *s, const struct config_backend *config, struct errmsg *msg)
{
	memset(s, 0, sizeof *s);
	s->config = config;
	pthread_mutex_init(&s->lock, NULL);
	if (!config->access_key || !config->secret_key_file)
		return errmsg_set(
			msg, -ERR_CONFIG, "backend '%s': access-key and secret-key-file are needed", config->name);
	if (sodium_init() < 0 || !(s->derived = sodium_malloc(sizeof *s->derived)))
		return -ENOMEM;
	if (stat(config->secret_key_file, &s->seen) < 0)
		memset(&s->seen, 0, sizeof s->seen); /* the read tells why */
	return read_secret(s, msg);
}

void s3_secret_destroy(struct s3_secret *s)
{
	sodium_free(s->text);
	sodium_free(s->derived);
	pthread_mutex_destroy(&s->lock);
}

static int same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A file that is gone says nothing: credentials may be handed over and removed. */
static void look_again(struct s3_secret *s)
{
	struct errmsg msg = { 0 };
	struct stat now;
	int rc;

	if (stat(s->config->secret_key_file, &now) < 0 || same_file(&now, &s->seen))
		return;
	s->seen = now;
	if ((rc = read_secret(s, &msg)) < 0)
		log_warn("%s; the secret read before stays in use", errmsg_text(&msg, rc));
	else
		log_info("backend '%s': its secret-key-file changed and was read again", s->config->name);
	errmsg_free(&msg);
}

void s3_secret_key(struct s3_secret *s, const char *stamp, uint8_t out[S3_HASH_BYTES])
{
	pthread_mutex_lock(&s->lock);
	look_again(s);
	if (memcmp(s->derived->day, stamp, 8)) {
		s3_signing_key(s->text, stamp, s->config->region, s->derived->key);
		memcpy(s->derived->day, stamp, 8);
	}
	memcpy(out, s->derived->key, S3_HASH_BYTES);
	pthread_mutex_unlock(&s->lock);
}
