/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/secret.h"

#include "backends/secret_command.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void wipe(struct buf *b)
{
	if (b->data)
		sodium_memzero(b->data, b->cap);
	buf_free(b);
}

/* The same text again is no new version. */
static int keep(struct secret *s, const struct buf *b, struct errmsg *msg)
{
	char *text;

	if (!b->len || memchr(b->data, 0, b->len))
		return errmsg_set(msg, -ERR_SECRET_FILE, "%s is empty or not text", s->name);
	if (s->text && s->len == b->len && !sodium_memcmp(s->text, b->data, b->len))
		return 0;
	if (!(text = sodium_malloc(b->len + 1)))
		return -ENOMEM;
	memcpy(text, b->data, b->len);
	text[b->len] = 0;
	sodium_free(s->text);
	s->text = text;
	s->len = b->len;
	s->version++;
	return 0;
}

static int read_secret(struct secret *s, struct errmsg *msg)
{
	struct buf b = BUF_INIT;
	int rc = s->credential ? file_read_credential(s->path, s->max, 1, &b, msg)
			       : file_read_secret(s->path, s->max, 1, &b, msg);

	if (!rc)
		rc = keep(s, &b, msg);
	wipe(&b);
	errmsg_prefix(msg, "backend '%s'", s->config->name);
	return rc;
}

/* systemd tells where it put the credentials of a service */
static int find_credential(struct secret *s, struct errmsg *msg)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY"), *name = s->config->secret_credential;

	s->credential = true;
	if (asprintf(&s->name, "secret-credential %s", name) < 0) {
		s->name = NULL;
		return -ENOMEM;
	}
	if (!dir || *dir != '/')
		return errmsg_set(msg, -ERR_SECRET_FILE,
			"backend '%s': %s is one of systemd's, and CREDENTIALS_DIRECTORY is not set; start borderfs by "
			"a "
			"unit with LoadCredential=%s:FILE",
			s->config->name, s->name, name);
	if (asprintf(&s->path, "%s/%s", dir, name) < 0) {
		s->path = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int find(struct secret *s, const char *key, const char *path, struct errmsg *msg)
{
	const struct config_backend *config = s->config;

	if (config->secret_command && !s->aside)
		return asprintf(&s->name, "secret-command %s", config->secret_command[0]) < 0 ? -ENOMEM : 0;
	if (config->secret_credential && !s->aside)
		return find_credential(s, msg);
	if (!path)
		return errmsg_set(msg, -ERR_CONFIG,
			"backend '%s': one of %s, secret-credential and secret-command is needed", config->name, key);
	if (asprintf(&s->name, "%s %s", key, path) < 0)
		return -ENOMEM;
	s->path = strdup(path);
	return s->path ? 0 : -ENOMEM;
}

static int init(struct secret *s, const struct config_backend *config, const char *key, const char *path, size_t max,
	bool aside, struct errmsg *msg)
{
	int rc;

	memset(s, 0, sizeof *s);
	s->config = config;
	s->aside = aside;
	s->max = max;
	pthread_mutex_init(&s->lock, NULL);
	if (sodium_init() < 0)
		return -ENOMEM;
	if ((rc = find(s, key, path, msg)) < 0 || !s->path)
		return rc;
	if (stat(s->path, &s->seen) < 0)
		memset(&s->seen, 0, sizeof s->seen); /* the read tells why */
	return read_secret(s, msg);
}

int secret_init(struct secret *s, const struct config_backend *config, const char *key, const char *path, size_t max,
	struct errmsg *msg)
{
	return init(s, config, key, path, max, false, msg);
}

int secret_init_aside(struct secret *s, const struct config_backend *config, const char *key, const char *path,
	size_t max, struct errmsg *msg)
{
	return init(s, config, key, path, max, true, msg);
}

void secret_destroy(struct secret *s)
{
	sodium_free(s->text);
	free(s->name);
	free(s->path);
	errmsg_free(&s->why);
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
		log_info("backend '%s': its %s changed and was read again", s->config->name, s->name);
	errmsg_free(&msg);
}

/* A failure is told to all who ask in the next seconds: each of them would wait as long as the first did. A run that
 * was cut with its call says nothing. */
static void run(struct secret *s, struct call *c)
{
	struct buf b = BUF_INIT;
	struct errmsg msg = { 0 };
	int rc = secret_command(s->config->secret_command, s->max, SECRET_RUN_NS, c, &b, &msg), cut = call_state(c);

	if (!rc)
		rc = keep(s, &b, &msg);
	wipe(&b);
	errmsg_free(&s->why);
	s->failed = rc;
	s->again_ns = cut < 0 && rc < 0 ? 0 : clock_mono_ns() + SECRET_AGAIN_NS;
	if (rc < 0)
		errmsg_set(&s->why, rc, "backend '%s': %s", s->config->name, errmsg_text(&msg, rc));
	if (rc < 0 && !cut)
		log_warn("%s", s->why.text ? s->why.text : err_text(rc));
	errmsg_free(&msg);
}

static int had(struct secret *s, struct call *c)
{
	if (s->text)
		return 0;
	return errmsg_set(c->msg, s->failed == -ENOMEM || call_state(c) < 0 ? s->failed : -ERR_SECRET, "%s",
		errmsg_text(&s->why, s->failed));
}

int secret_lock(struct secret *s, struct call *c, const char **text)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	if (s->path)
		look_again(s);
	else if (!s->text && clock_mono_ns() >= s->again_ns)
		run(s, c);
	if ((rc = had(s, c)) < 0) {
		pthread_mutex_unlock(&s->lock);
		return rc;
	}
	if (!s->aside)
		c->secret_version = s->version;
	*text = s->text;
	return 0;
}

void secret_unlock(struct secret *s)
{
	pthread_mutex_unlock(&s->lock);
}

bool secret_renew(struct secret *s, struct call *c)
{
	bool other;

	if (!c->secret_version) /* it got as far without any */
		return false;
	pthread_mutex_lock(&s->lock);
	if (s->path)
		look_again(s);
	else if (s->version == c->secret_version && clock_mono_ns() >= s->again_ns)
		run(s, c);
	other = s->version != c->secret_version;
	pthread_mutex_unlock(&s->lock);
	return other;
}
