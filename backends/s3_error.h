/* SPDX-License-Identifier: GPL-3.0-or-later */
/* s3_error: what an answer that is no success means. */
#ifndef BACKENDS_S3_ERROR_H
#define BACKENDS_S3_ERROR_H

#include "backends/s3_xml.h"

/* s3_error_from: status and the error code of the body ("" if there was none, or no S3 document) to -ERR_x. A 404
 * without a code confirms nothing (I7) and is -ERR_PROTOCOL. */
int s3_error_from(int status, const char *code);

#endif
