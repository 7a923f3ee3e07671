/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define HEAD_MAGIC   "bordhead"
#define HEAD_VERSION 1U
#define HEAD_CONTEXT "bfaudsig"
#define HEAD_SIGNED  (AUDIT_HEAD_BYTES - crypto_sign_BYTES)

int audit_key_pair(struct keyring *keyring, uint8_t public[crypto_sign_PUBLICKEYBYTES], uint8_t **secret)
{
	uint8_t *seed = sodium_malloc(crypto_sign_SEEDBYTES);

	*secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	if (seed && *secret) {
		crypto_kdf_derive_from_key(seed, crypto_sign_SEEDBYTES, HEAD_VERSION, HEAD_CONTEXT,
			keyring_store_key(keyring, STORE_KEY_AUDIT));
		crypto_sign_seed_keypair(public, *secret, seed);
		sodium_free(seed);
		return 0;
	}
	sodium_free(seed);
	sodium_free(*secret);
	return -ENOMEM;
}

int audit_head_sign(struct keyring *keyring, const struct audit_head *head, uint8_t out[AUDIT_HEAD_BYTES])
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES], *secret;
	int rc = audit_key_pair(keyring, public, &secret);

	if (rc < 0)
		return rc;
	memcpy(out, HEAD_MAGIC, 8);
	put_le32(out + 8, HEAD_VERSION);
	memcpy(out + 12, keyring_store_id(keyring), STORE_ID_BYTES);
	put_le64(out + 28, head->seq);
	put_le64(out + 36, (uint64_t)head->time_s);
	memcpy(out + 44, head->mac, AUDIT_MAC_BYTES);
	memcpy(out + 76, public, sizeof public);
	crypto_sign_detached(out + HEAD_SIGNED, NULL, out, HEAD_SIGNED, secret);
	sodium_free(secret);
	return 0;
}

int audit_head_open(struct keyring *keyring, const uint8_t bytes[AUDIT_HEAD_BYTES], struct audit_head *head)
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES], *secret;
	int rc;

	if (memcmp(bytes, HEAD_MAGIC, 8) != 0)
		return -ERR_FORMAT;
	if (get_le32(bytes + 8) != HEAD_VERSION)
		return get_le32(bytes + 8) > HEAD_VERSION ? -ERR_NEWER : -ERR_FORMAT;
	if ((rc = audit_key_pair(keyring, public, &secret)) < 0)
		return rc;
	sodium_free(secret);
	if (memcmp(bytes + 12, keyring_store_id(keyring), STORE_ID_BYTES) != 0 ||
		crypto_sign_verify_detached(bytes + HEAD_SIGNED, bytes, HEAD_SIGNED, public) < 0)
		return -ERR_TAMPERED;
	head->seq = get_le64(bytes + 28);
	head->time_s = (int64_t)get_le64(bytes + 36);
	memcpy(head->mac, bytes + 44, sizeof head->mac);
	return 0;
}

void place_audit_end(struct place *p, struct audit_head *end)
{
	meta_lock(p->meta);
	end->seq = p->audit.seq;
	memcpy(end->mac, p->audit.chain->mac, sizeof end->mac);
	meta_unlock(p->meta);
}

struct compare {
	const struct audit_head *head;
	bool found, same;
};

static int compare_line(void *ctx, const struct audit_line *l)
{
	struct compare *c = ctx;

	c->found = l->seq == c->head->seq;
	c->same = c->found && memcmp(l->mac, c->head->mac, AUDIT_MAC_BYTES) == 0;
	return 1;
}

int audit_compare(const struct audit_log *log, const struct audit_head *head, struct audit_verdict *verdict,
	int (*found)(void *ctx, const struct audit_finding *), void *ctx)
{
	struct audit_finding f = { AUDIT_HEAD, head->seq, head->seq, "" };
	struct compare c = { .head = head };
	int rc = audit_walk(log, head->seq - 1, compare_line, &c);

	if (rc == -ERR_TAMPERED) /* of a sealed file, which was told */
		rc = 0;
	if (rc < 0 || c.same)
		return rc < 0 ? rc : 0;
	if (head->seq > verdict->last) {
		f.wrong = AUDIT_TRUNCATED;
		f.first = verdict->last + 1;
		snprintf(f.text, sizeof f.text,
			"lines %" PRIu64 " to %" PRIu64 " are missing: a published head knows of them", f.first,
			f.last);
	} else if (c.found) {
		snprintf(f.text, sizeof f.text, "line %" PRIu64 " is not the one that the published head was made of",
			head->seq);
	} else {
		return 0; /* a gap, which was told */
	}
	verdict->findings++;
	return found(ctx, &f);
}
