/* SPDX-License-Identifier: GPL-3.0-or-later */
/* digest: what a server that is given the checksum of a body checks it with. */
#ifndef BACKENDS_DIGEST_H
#define BACKENDS_DIGEST_H

#include "backends/backend.h"

#include <openssl/evp.h>

/* source_digest: of the whole source, by libcrypto, whose SHA-256 is several times as fast as libsodium's. out has the
 * algorithm's length. -ENOMEM, the source's error, or what the call was cut with. */
int source_digest(struct source *, struct call *, const EVP_MD *algorithm, uint8_t *out);

#endif
