/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http_key: who the server of a TLS connection is. */
#ifndef BACKENDS_HTTP_KEY_H
#define BACKENDS_HTTP_KEY_H

#include <curl/curl.h>

#define HTTP_KEY_BYTES 45

/* http_key: the SHA-256 of the public key in the certificate that the handle's server showed, in base64, as pin-sha256
 * has it. Needs CURLOPT_CERTINFO, and a connection made by the transfer under way. -ERR_PROTOCOL where there is none.
 */
int http_key(CURL *, char out[HTTP_KEY_BYTES]);

#endif
