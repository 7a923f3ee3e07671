/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xml: the documents of servers, read with expat. The text is a stranger's: document types and entities are refused,
 * depth, names and values are bounded. Nothing here blocks. */
#ifndef BACKENDS_XML_H
#define BACKENDS_XML_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define XML_BYTES_MAX (8u << 20) /* more than a page of 1,000 keys of 1,024 bytes, encoded */

/* What to do with a document. */
struct xml_format {
	const char *root; /* the name its outermost element must have, without a namespace */
	/* the namespace of the elements that count: others, and their names, are given to leaf as ""; NULL: any */
	const char *space;
	/* leaf: called at the end of each element but the root, with the text since its last child: 0, or the error
	 * that the reading ends with. May be NULL. */
	int (*leaf)(void *ctx, const char *parent, const char *name, const char *value);
	void *ctx;
};

/* xml_read: one whole document of at most XML_BYTES_MAX. -ERR_PROTOCOL, -ENOMEM, or what leaf returned. */
int xml_read(const struct xml_format *, const void *text, size_t len);

/* The same for a document that comes in pieces: xml_new, xml_feed for each, xml_end after the last; xml_free in every
 * case. After an error the later calls return it again. The format must outlive the reading. */
struct xml;
int xml_new(struct xml **, const struct xml_format *);
int xml_feed(struct xml *, const void *text, size_t len);
int xml_end(struct xml *);
void xml_free(struct xml *); /* accepts NULL */

/* For leaf: */
/* xml_keep: a copy of the value in place of what is at *to; -ENOMEM. */
int xml_keep(char **to, const char *value);
/* xml_keep_printable: the same for what will be shown on a terminal, cut to fit. */
void xml_keep_printable(char *to, size_t len, const char *value);
/* xml_size: digits only, and no more than INT64_MAX; -ERR_PROTOCOL. */
int xml_size(const char *value, uint64_t *out);

#endif
