/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/secret.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

static int read_secret(struct secret *s, struct errmsg *msg)
{
	struct buf b = BUF_INIT;
	char *text = NULL;
	int rc = file_read_secret(s->path, s->max, 1, &b, msg);

	if (!rc && (!b.len || memchr(b.data, 0, b.len)))
		rc = errmsg_set(msg, -ERR_SECRET_FILE, "%s %s is empty or not text", s->key, s->path);
	if (!rc && !(text = sodium_malloc(b.len + 1)))
		rc = -ENOMEM;
	if (!rc) {
		memcpy(text, b.data, b.len);
		text[b.len] = 0;
		sodium_free(s->text);
		s->text = text;
		s->len = b.len;
		s->version++;
	}
	if (b.data)
		sodium_memzero(b.data, b.cap);
	buf_free(&b);
	errmsg_prefix(msg, "backend '%s'", s->config->name);
	return rc;
}

int secret_init(struct secret *s, const struct config_backend *config, const char *key, const char *path, size_t max,
	struct errmsg *msg)
{
	memset(s, 0, sizeof *s);
	s->config = config;
	s->key = key;
	s->path = path;
	s->max = max;
	pthread_mutex_init(&s->lock, NULL);
	if (sodium_init() < 0)
		return -ENOMEM;
	if (stat(path, &s->seen) < 0)
		memset(&s->seen, 0, sizeof s->seen); /* the read tells why */
	return read_secret(s, msg);
}

void secret_destroy(struct secret *s)
{
	sodium_free(s->text);
	pthread_mutex_destroy(&s->lock);
}

/* A file that is gone says nothing: credentials may be handed over and removed. */
static void look_again(struct secret *s)
{
	struct errmsg msg = { 0 };
	struct stat now;
	int rc;

	if (stat(s->path, &now) < 0 || file_same(&now, &s->seen))
		return;
	s->seen = now;
	if ((rc = read_secret(s, &msg)) < 0)
		log_warn("%s; the secret read before stays in use", errmsg_text(&msg, rc));
	else
		log_info("backend '%s': its %s changed and was read again", s->config->name, s->key);
	errmsg_free(&msg);
}

const char *secret_lock(struct secret *s)
{
	pthread_mutex_lock(&s->lock);
	look_again(s);
	return s->text;
}

void secret_unlock(struct secret *s)
{
	pthread_mutex_unlock(&s->lock);
}
