/* SPDX-License-Identifier: GPL-3.0-or-later */
/* webdav: what the files of the WebDAV driver (RFC 4918) share.
 *
 * A key's slashes are collections. The root is the collection of the endpoint's path and the prefix; it is made with
 * the first object of a store. A store that has objects there never makes it again: where it is missing then, a disk of
 * the server is not mounted, and nothing was deleted (I7). */
#ifndef BACKENDS_WEBDAV_H
#define BACKENDS_WEBDAV_H

#include "backends/http_login.h"
#include "backends/webdav_xml.h"

#include <stdatomic.h>

#define WEBDAV_PASSWORD_BYTES_MAX 1024u
#define WEBDAV_PARENTS		  1024u

struct webdav {
	struct backend backend;
	struct http *http;
	struct secret password;
	struct http_login login;
	char *origin;	       /* "https://host:port" */
	char *base;	       /* path of the endpoint, encoded, with a trailing slash */
	char *root;	       /* the same with the prefix */
	char *root_url;	       /* of the root */
	atomic_bool root_seen; /* in this process */
	/* Hashes of collections known to be there, by hash. One that was removed since, or a hash that two share, costs
	 * the next PUT below it a second try. */
	_Atomic uint64_t parents[WEBDAV_PARENTS];
};

struct webdav_request {
	struct http_request http; /* method, body, guarded, sink, sink_max, keep are the caller's */
	struct webdav *dav;
	struct call *call;
	const char *path;	       /* below the server's origin: encoded, with a leading slash */
	const char *query;	       /* or NULL */
	const char *lines;	       /* header lines, as struct http_request's prepare adds them; or NULL */
	uint64_t range_off, range_len; /* len 0: no Range header */
	struct http_response response; /* webdav_perform's */
};

/* webdav_perform: sends, and turns every answer that is not 2xx into an error with a sentence in call->msg. A 404 and a
 * 410 are -ERR_ABSENT here, without a sentence: webdav_absent tells what they mean. The response is valid until
 * webdav_request_free, also after an error. Blocks. */
int webdav_perform(struct webdav_request *);
void webdav_request_free(struct webdav_request *);
/* webdav_path: of a key below the root; malloc'd, or NULL. */
char *webdav_path(const struct webdav *, const char *key);

/* webdav_stat: what PROPFIND says of one resource. The caller frees it. -ERR_ABSENT as webdav_perform; -ERR_PROTOCOL
 * and others with a sentence. */
int webdav_stat(struct webdav *, struct call *, const char *path, struct webdav_resource *);
/* webdav_check_root: 0 where the root is there; -ERR_NO_BUCKET, with a sentence, where it is not; or an error. Where no
 * object was put below it yet it is enough that the endpoint's collection is there, and *made (may be NULL) is whether
 * the root is too. */
int webdav_check_root(struct webdav *, struct call *, bool *made);
/* webdav_absent: the error for a resource that the server does not find: -ERR_ABSENT only if the root it should be
 * below is there (I7), else why not. */
int webdav_absent(struct webdav *, struct call *);
/* webdav_head: as of backend_ops. */
int webdav_head(struct backend *, struct call *, const char *key, uint64_t *size);
int webdav_get(struct backend *, struct call *, const char *key, uint64_t off, uint64_t len, struct sink *);
int webdav_del(struct backend *, struct call *, const char *key);

/* webdav_put.c, webdav_list.c */
int webdav_put(struct backend *, struct call *, const char *key, struct source *);
int webdav_list(struct backend *, struct call *, int (*fn)(void *ctx, const struct backend_object *), void *ctx);

#endif
