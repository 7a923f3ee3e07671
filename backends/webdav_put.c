/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The WebDAV driver's put: the collections above an object, the object, and what the server made of it. */
#include "backends/digest.h"
#include "backends/same.h"
#include "backends/webdav.h"
#include "base/hash.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HASH_BYTES 32u /* SHA-256 */

static struct webdav_request request(struct webdav *d, struct call *c, const char *method, const char *path)
{
	return (struct webdav_request){ .http = { .method = method }, .dav = d, .call = c, .path = path };
}

static _Atomic uint64_t *parent_slot(struct webdav *d, uint64_t hash)
{
	return &d->parents[hash % WEBDAV_PARENTS];
}

static bool parent_is_known(struct webdav *d, const char *path, size_t len)
{
	uint64_t hash = hash_bytes(path, len, 0);

	return atomic_load(parent_slot(d, hash)) == hash;
}

static void parent_remember(struct webdav *d, const char *path, size_t len, bool there)
{
	uint64_t hash = hash_bytes(path, len, 0);

	atomic_store(parent_slot(d, hash), there ? hash : 0);
}

/* Answers that mean that a parent is missing: 409 (RFC 4918, sections 9.3.1 and 9.7.1), and what some give instead. */
static bool lacks_parent(int status)
{
	return status == 409 || status == 404 || status == 500;
}

/* Of two who make it at once one is told so, or, by Apache, that it may not be made. */
static bool is_collection(struct webdav *d, struct call *c, const char *path)
{
	struct errmsg *outer = c->msg;
	struct webdav_resource r;
	bool is;

	c->msg = NULL;
	is = webdav_stat(d, c, path, &r) == 0 && r.collection;
	c->msg = outer;
	webdav_resource_free(&r);
	return is;
}

/* MKCOL for path. -ERR_ABSENT, without a sentence, where a parent is missing. */
static int mkcol(struct webdav *d, struct call *c, const char *path)
{
	struct errmsg *outer = c->msg, own = { 0 };
	struct webdav_request q = request(d, c, "MKCOL", path);
	int rc;

	c->msg = &own;
	rc = webdav_perform(&q);
	c->msg = outer;
	if (rc < 0 && lacks_parent(q.response.status))
		rc = -ERR_ABSENT;
	else if (rc < 0 && q.response.status && (q.response.status == 405 || is_collection(d, c, path)))
		rc = 0;
	else if (rc < 0 && own.text)
		errmsg_set(outer, rc, "%s", own.text);
	errmsg_free(&own);
	webdav_request_free(&q);
	return rc;
}

/* The collection of the first len bytes of path, a trailing slash included; as mkcol. */
static int make_collection(struct webdav *d, struct call *c, const char *path, size_t len)
{
	char *name = strndup(path, len);
	int rc = name ? mkcol(d, c, name) : -ENOMEM;

	if (!rc)
		parent_remember(d, path, len, true);
	free(name);
	return rc;
}

/* Every collection of path below the first from bytes, which are there, from the top. */
static int make_collections(struct webdav *d, struct call *c, const char *path, size_t from)
{
	int rc = 0;

	for (const char *slash = strchr(path + from, '/'); !rc && slash; slash = strchr(slash + 1, '/'))
		rc = make_collection(d, c, path, (size_t)(slash - path) + 1);
	return rc == -ERR_ABSENT ? http_misanswered(d->http, "it makes no collection in one that is there", c->msg)
				 : rc;
}

static int make_parents(struct webdav *d, struct call *c, const char *path)
{
	bool root;
	int rc = webdav_check_root(d, c, &root);

	return rc < 0 ? rc : make_collections(d, c, path, strlen(root ? d->root : d->base));
}

static size_t parent_length(const char *path)
{
	return (size_t)(strrchr(path, '/') - path) + 1;
}

/* Before the body is sent: finding out afterwards costs sending it twice. */
static int ensure_parent(struct webdav *d, struct call *c, const char *path)
{
	size_t len = parent_length(path);
	int rc;

	if (parent_is_known(d, path, len))
		return 0;
	if (len == strlen(d->root)) {
		rc = make_parents(d, c, path);
	} else if ((rc = make_collection(d, c, path, len)) == -ERR_ABSENT) {
		rc = make_parents(d, c, path);
	}
	if (!rc)
		parent_remember(d, path, len, true);
	return rc;
}

static int hash_matches(struct source *source, struct call *c, const char *hex, bool *matches)
{
	uint8_t hash[HASH_BYTES];
	char text[2 * sizeof hash + 1];
	int rc = source_digest(source, c, EVP_sha256(), hash);

	if (!rc)
		*matches = !strcasecmp(text_hex(hash, sizeof hash, text), hex);
	return rc;
}

/* WebDAV has no checksum of its own. Nextcloud gives one of what it stored, if asked; of others the length is all. */
static int verify(struct webdav *d, struct call *c, const char *key, struct source *source, const char *hash)
{
	bool matches = false;
	uint64_t size;
	int rc;

	if (hash) {
		rc = hash_matches(source, c, hash, &matches);
	} else if (!(rc = webdav_head(&d->backend, c, key, &size))) {
		matches = size == source->length;
	}
	if (rc < 0 || matches)
		return rc;
	if ((rc = webdav_del(&d->backend, c, key)) < 0)
		return rc;
	return errmsg_set(c->msg, -ERR_SERVER, "backend '%s': %s stored something else than it was sent",
		d->backend.config->name, http_host(d->http));
}

/* *again: it failed as it does where a parent is missing. */
static int put_once(
	struct webdav *d, struct call *c, const char *path, const char *key, struct source *source, bool *again)
{
	struct webdav_request q = request(d, c, "PUT", path);
	int rc;

	q.http.body = source;
	q.http.guarded = true;
	q.http.keep[0] = "X-Hash-SHA256";
	q.lines = "If-None-Match: *\0X-Hash: sha256\0";
	rc = webdav_perform(&q);
	*again = rc < 0 && lacks_parent(q.response.status);
	if (!rc)
		rc = verify(d, c, key, source, q.response.kept[0]);
	webdav_request_free(&q);
	return rc;
}

/* A parent that was there is not: once more, with all of them. */
static int put_again(struct webdav *d, struct call *c, const char *path, const char *key, struct source *source)
{
	bool again;
	int rc;

	parent_remember(d, path, parent_length(path), false);
	if ((rc = make_parents(d, c, path)) < 0)
		return rc;
	rc = put_once(d, c, path, key, source, &again);
	return rc == -ERR_ABSENT ? http_misanswered(d->http, "it takes no object in a collection that is there", c->msg)
				 : rc;
}

int webdav_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct webdav *d = container_of(b, struct webdav, backend);
	struct errmsg *outer = c->msg, own = { 0 };
	char *path = webdav_path(d, key);
	bool again = false;
	int rc = path ? ensure_parent(d, c, path) : -ENOMEM;

	c->msg = &own;
	if (!rc)
		rc = put_once(d, c, path, key, source, &again);
	c->msg = outer;
	if (again)
		rc = put_again(d, c, path, key, source);
	else if (rc == -ERR_EXISTS)
		rc = put_same(b, c, key, source);
	if (rc < 0 && own.text)
		errmsg_set(outer, rc, "%s", own.text);
	errmsg_free(&own);
	free(path);
	return rc;
}
