/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file `keys` from a stranger: its frame, the table inside it as only a holder of the master key could have made
 * it, and recovery words. Nothing is derived, so that it is quick. The first byte chooses. */
#include "base/err.h"
#include "fs/crypt/keyfile.h"
#include "fs/crypt/keytable.h"
#include "fs/crypt/secret.h"
#include "fs/crypt/words.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void frame(const uint8_t *data, size_t len, int fix)
{
	uint8_t *copy = malloc(len + 1);
	struct keyfile kf;
	struct errmsg msg = { 0 };

	memcpy(copy, data, len);
	if (fix && len > 32)
		crypto_generichash(copy + len - 32, 32, copy, len - 32, NULL, 0);
	if (keyfile_parse(&kf, copy, len, &msg) == 0) {
		if (kf.head + kf.head_len != kf.box || kf.box + kf.box_len + 32 != copy + len || kf.slot_count == 0)
			abort();
		keyfile_free(&kf);
	}
	errmsg_free(&msg);
	free(copy);
}

/* what is taken is written again as it was */
static void table(const uint8_t *data, size_t len)
{
	struct key_table t;
	void *again = NULL;
	size_t again_len;

	if (key_table_init(&t) < 0)
		abort();
	if (key_table_decode(&t, data, len) == 0 && key_table_encode(&t, &again, &again_len) == 0 &&
		(again_len != len || memcmp(again, data, len) != 0))
		abort();
	secret_free(again);
	key_table_free(&t);
}

static void words(const uint8_t *data, size_t len)
{
	uint8_t entropy[WORDS_ENTROPY], twice[WORDS_ENTROPY];
	char text[WORDS_TEXT];
	struct errmsg msg = { 0 };

	if (words_parse((const char *)data, len, entropy, &msg) == 0) {
		words_format(entropy, text);
		if (words_parse(text, strlen(text), twice, NULL) < 0 || memcmp(entropy, twice, sizeof(twice)) != 0)
			abort();
	}
	errmsg_free(&msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (crypt_init() < 0)
		abort();
	if (len == 0)
		return 0;
	if (data[0] % 4 < 2)
		frame(data + 1, len - 1, data[0] % 4);
	else if (data[0] % 4 == 2)
		table(data + 1, len - 1);
	else
		words(data + 1, len - 1);
	return 0;
}
