/* SPDX-License-Identifier: GPL-3.0-or-later */
/* webdav_xml: the documents of WebDAV (RFC 4918, sections 13 and 14). Nothing here blocks. */
#ifndef BACKENDS_WEBDAV_XML_H
#define BACKENDS_WEBDAV_XML_H

#include "backends/backend.h"
#include "backends/xml.h"

#include <stdbool.h>

/* The body of a PROPFIND that asks for what is read here. */
#define WEBDAV_PROPFIND                                                                                                \
	"<?xml version=\"1.0\" encoding=\"utf-8\"?><propfind xmlns=\"DAV:\"><prop><resourcetype/>"                     \
	"<getcontentlength/><getlastmodified/></prop></propfind>"

struct webdav_resource {
	char *path; /* of its href, decoded, without scheme and host */
	bool collection;
	bool has_size;
	uint64_t size;
	int64_t mtime_ns; /* 0: none, or not understood */
};
void webdav_resource_free(struct webdav_resource *);

/* A sink that reads the <multistatus> that is written to it and gives each resource there is, once: each keeps what it
 * wants by clearing it. Resources with a status of their own that says that they are gone are left out; any other such
 * status is -ERR_PROTOCOL. */
struct webdav_multistatus {
	struct sink sink;
	int (*resource)(void *ctx, struct webdav_resource *);
	void *ctx;
	struct xml_format format;
	struct xml *xml;
	/* of the response, and of the propstat, being read */
	struct webdav_resource next;
	struct {
		bool collection, ok;
		char size[24], mtime[64];
	} propstat;
	int status;
};
/* webdav_multistatus_init: -ENOMEM. webdav_multistatus_end: after the last byte: 0, -ERR_PROTOCOL for what is no such
 * document, -ENOMEM. webdav_multistatus_free is due whatever these return. */
int webdav_multistatus_init(
	struct webdav_multistatus *, int (*resource)(void *ctx, struct webdav_resource *), void *ctx);
int webdav_multistatus_end(struct webdav_multistatus *);
void webdav_multistatus_free(struct webdav_multistatus *);

/* webdav_xml_message: what an <error> document of SabreDAV (Nextcloud, ownCloud) says, printable; "" for none. */
void webdav_xml_message(const void *text, size_t len, char *out, size_t out_len);

/* webdav_next_page: whether a Link header (RFC 8288; NULL: none) points to more of the same list: 1, and *query is that
 * page's, malloc'd; 0; -ERR_PROTOCOL where it is somewhere else than at path (decoded); -ENOMEM. */
int webdav_next_page(const char *link, const char *path, char **query);

#endif
