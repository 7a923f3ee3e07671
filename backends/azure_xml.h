/* SPDX-License-Identifier: GPL-3.0-or-later */
/* azure_xml: the XML documents of Azure's Blob service ("List Blobs", "Status and error codes"). Nothing here blocks.
 */
#ifndef BACKENDS_AZURE_XML_H
#define BACKENDS_AZURE_XML_H

#include "backends/page.h"

/* azure_xml_page: an <EnumerationResults>; the caller frees the page also after an error (-ERR_PROTOCOL, -ENOMEM). */
int azure_xml_page(const void *text, size_t len, struct page *);

/* What a blob's name still stands for after its deletion: an older version, a snapshot, or a blob kept by soft delete.
 */
struct azure_remnant {
	char version[64], snapshot[64]; /* "" for none */
	bool deleted;
};
/* azure_xml_remnants: of a list with all of these: calls fn for each of exactly this name; *more: the list goes on.
 * -ERR_PROTOCOL, -ENOMEM, or what fn returned. */
int azure_xml_remnants(const void *text, size_t len, const char *name,
	int (*fn)(void *ctx, const struct azure_remnant *), void *ctx, bool *more);

/* azure_xml_message: what an <Error> says, printable; "" for none. */
void azure_xml_message(const void *text, size_t len, char *out, size_t out_len);

#endif
