/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/http_key.h"

#include "base/err.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <string.h>

#define DIGEST_BYTES 32u

/* the server's own certificate is the first */
static X509 *certificate(CURL *easy)
{
	static const char name[] = "Cert:";
	struct curl_certinfo *info = NULL;
	struct curl_slist *line;
	X509 *x = NULL;
	BIO *bio;

	if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) || !info || info->num_of_certs < 1)
		return NULL;
	for (line = info->certinfo[0]; line && strncmp(line->data, name, sizeof name - 1);)
		line = line->next;
	if (line && (bio = BIO_new_mem_buf(line->data + sizeof name - 1, -1))) {
		x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		BIO_free(bio);
	}
	return x;
}

int http_key(CURL *easy, char out[HTTP_KEY_BYTES])
{
	unsigned char digest[DIGEST_BYTES], *der = NULL;
	X509 *x = certificate(easy);
	int len = x ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der) : -1;
	int rc = len > 0 && EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) ? 0 : -ERR_PROTOCOL;

	if (!rc)
		sodium_bin2base64(out, HTTP_KEY_BYTES, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
	OPENSSL_free(der);
	X509_free(x);
	return rc;
}
