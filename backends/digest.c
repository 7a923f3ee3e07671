/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/digest.h"

#include "backends/call.h"

#include <errno.h>

#define CHUNK_BYTES (64u << 10)

int source_digest(struct source *source, struct call *c, const EVP_MD *algorithm, uint8_t *out)
{
	EVP_MD_CTX *st = EVP_MD_CTX_new();
	int rc = st && EVP_DigestInit_ex(st, algorithm, NULL) == 1 ? 0 : -ENOMEM;
	uint8_t chunk[CHUNK_BYTES];

	for (uint64_t off = 0; !rc && off < source->length; off += sizeof chunk) {
		size_t len = source->length - off < sizeof chunk ? (size_t)(source->length - off) : sizeof chunk;

		if (!(rc = call_state(c)) && !(rc = source->read(source, off, chunk, len)) &&
			EVP_DigestUpdate(st, chunk, len) != 1)
			rc = -ENOMEM;
	}
	if (!rc && EVP_DigestFinal_ex(st, out, NULL) != 1)
		rc = -ENOMEM;
	EVP_MD_CTX_free(st);
	return rc;
}
