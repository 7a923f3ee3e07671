/* SPDX-License-Identifier: GPL-3.0-or-later */
/* s3_xml: the XML documents of the S3 API (Amazon S3 API Reference), read with expat. The text is a stranger's:
 * document types and entities are refused, depth, names and values are bounded. Nothing here blocks. */
#ifndef BACKENDS_S3_XML_H
#define BACKENDS_S3_XML_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3_XML_BYTES_MAX (8u << 20) /* more than a page of 1,000 keys of 1,024 bytes, encoded */

/* <Error>: fields that are missing are "". */
struct s3_error {
	char code[64], message[256], endpoint[256];
};
/* s3_xml_error: 0, or -ERR_PROTOCOL where the text is no <Error> document. */
int s3_xml_error(const void *text, size_t len, struct s3_error *);

struct s3_object {
	char *key; /* decoded */
	uint64_t size;
	int64_t mtime_ns; /* 0: none, or not understood */
};
/* <ListBucketResult> of ListObjectsV2 */
struct s3_page {
	struct s3_object *objects;
	size_t count;
	bool truncated;
	char *token; /* NextContinuationToken or NULL */
};
/* s3_xml_page: the caller frees it with s3_page_free, also after an error (-ERR_PROTOCOL, -ENOMEM). */
int s3_xml_page(const void *text, size_t len, struct s3_page *);
void s3_page_free(struct s3_page *);

/* s3_xml_upload_id: of <InitiateMultipartUploadResult>; malloc'd. -ERR_PROTOCOL, -ENOMEM. */
int s3_xml_upload_id(const void *text, size_t len, char **id);
/* s3_xml_completed: 0 for a <CompleteMultipartUploadResult>; -ERR_PROTOCOL for anything else. */
int s3_xml_completed(const void *text, size_t len);
/* s3_xml_part: appends one <Part> of a CompleteMultipartUpload request. */
void s3_xml_part(struct buf *out, unsigned number, const char *etag);

#endif
