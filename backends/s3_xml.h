/* SPDX-License-Identifier: GPL-3.0-or-later */
/* s3_xml: the XML documents of the S3 API (Amazon S3 API Reference). Nothing here blocks. */
#ifndef BACKENDS_S3_XML_H
#define BACKENDS_S3_XML_H

#include "backends/page.h"
#include "base/buf.h"

#include <stddef.h>

/* <Error>: fields that are missing are "". */
struct s3_error {
	char code[64], message[256], endpoint[256];
};
/* s3_xml_error: 0, or -ERR_PROTOCOL where the text is no <Error> document. */
int s3_xml_error(const void *text, size_t len, struct s3_error *);

/* s3_xml_page: the <ListBucketResult> of ListObjectsV2; the caller frees the page also after an error (-ERR_PROTOCOL,
 * -ENOMEM). */
int s3_xml_page(const void *text, size_t len, struct page *);

/* s3_xml_versions, s3_xml_uploads: the <ListVersionsResult> of ListObjectVersions and the <ListMultipartUploadsResult>
 * of ListMultipartUploads are added to a page, keys as the server has them, with the prefix; more, key and mark are
 * those of the next. -ERR_PROTOCOL, -ENOMEM. */
int s3_xml_versions(const void *text, size_t len, struct backend_remnants *);
int s3_xml_uploads(const void *text, size_t len, struct backend_remnants *);

/* s3_xml_upload_id: of <InitiateMultipartUploadResult>; malloc'd. -ERR_PROTOCOL, -ENOMEM. */
int s3_xml_upload_id(const void *text, size_t len, char **id);
/* s3_xml_completed: 0 for a <CompleteMultipartUploadResult>; -ERR_PROTOCOL for anything else. */
int s3_xml_completed(const void *text, size_t len);
/* s3_xml_part: appends one <Part> of a CompleteMultipartUpload request. */
void s3_xml_part(struct buf *out, unsigned number, const char *etag);

#endif
