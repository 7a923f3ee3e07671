/* SPDX-License-Identifier: GPL-3.0-or-later */
/* receipt: the signed statement that a backend was emptied (docs/FORMAT.md "Receipts"): lines "name: value" in a fixed
 * order, the last two the store's public key and its signature over everything before the last. The same as JSON is an
 * object of strings. Who has the public key can check one without the store. Nothing here blocks. */
#ifndef FS_PLACE_RECEIPT_H
#define FS_PLACE_RECEIPT_H

#include "base/buf.h"
#include "base/err.h"
#include "fs/crypt/keyring.h"

#include <jansson.h>

#define RECEIPT_KEY_BYTES  32
#define RECEIPT_KEY_TEXT   45 /* base64, with its NUL */
#define RECEIPT_BYTES_MAX  65536
#define RECEIPT_FIRST_LINE "borderfs receipt 1\n"

/* receipt_begin: the first lines. receipt_line: the next; in the order of docs/FORMAT.md. receipt_sign: the last ones.
 * buf.err tells whether there was memory. */
void receipt_begin(struct buf *, const struct keyring *);
void receipt_line(struct buf *, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int receipt_sign(struct buf *, struct keyring *);

/* receipt_key: the store's public key, in base64. receipt_key_read: -EINVAL. */
int receipt_key(struct keyring *, char out[RECEIPT_KEY_TEXT]);
int receipt_key_read(const char *text, uint8_t out[RECEIPT_KEY_BYTES]);

/* receipt_json: NULL for what is no receipt. receipt_text: of either form: 0, -ERR_FORMAT, -ERR_NEWER. */
json_t *receipt_json(const char *text, size_t len);
int receipt_text(const char *data, size_t len, struct buf *out);
/* receipt_check: the text is exactly what the holder of that key signed: 0; -ERR_KEY: another key did; -ERR_TAMPERED;
 * -ERR_FORMAT, -ERR_NEWER; with a sentence. */
int receipt_check(const char *text, size_t len, const uint8_t key[RECEIPT_KEY_BYTES], struct errmsg *);

#endif
