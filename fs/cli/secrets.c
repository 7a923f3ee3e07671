/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/secrets.h"

#include "base/file.h"
#include "fs/core/core.h"
#include "fs/crypt/secret.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define SECRET_FILE_MAX	 (1u << 20)
#define PASSPHRASE_BYTES 1024
#define WORDS_BYTES	 4096

/* takes the bytes over into locked memory and wipes where they were */
static int add(struct secrets *s, enum unlock_kind kind, void *data, size_t len)
{
	void *kept = secret_alloc(len ? len : 1);

	if (kept) {
		memcpy(kept, data, len);
		s->data[s->count] = kept;
		s->v[s->count++] = (struct unlock){ kind, kept, len };
	}
	sodium_memzero(data, len);
	if (!kept)
		complain("out of memory");
	return kept ? 0 : OUTCOME_FAILED;
}

static int add_file(struct secrets *s, enum unlock_kind kind, const char *path)
{
	size_t max = kind == UNLOCK_WORDS ? WORDS_BYTES : SECRET_FILE_MAX;
	struct errmsg msg = { 0 };
	struct buf bytes = BUF_INIT;
	int rc = file_read_secret(path, max, kind != UNLOCK_KEY_FILE, &bytes, &msg);

	if (rc < 0) {
		errmsg_set(&msg, rc, "%s: %s", path, err_text(rc));
		rc = complain_rc(rc, &msg);
	} else {
		rc = add(s, kind, bytes.data, bytes.len);
	}
	if (bytes.data)
		sodium_memzero(bytes.data, bytes.cap);
	errmsg_free(&msg);
	buf_free(&bytes);
	return rc;
}

static int terminal_failed(int rc)
{
	if (rc == -ENOTTY)
		complain("there is no terminal to ask for the passphrase on: set passphrase-file in [keys], or give "
			 "--passphrase-file");
	else if (rc == -EMSGSIZE)
		complain("the passphrase is longer than %d bytes", PASSPHRASE_BYTES);
	else
		complain("no passphrase was given");
	return OUTCOME_FAILED;
}

static int add_typed(struct secrets *s, const char *prompt)
{
	char *line = secret_alloc(PASSPHRASE_BYTES);
	int rc = line ? terminal_ask(prompt, line, PASSPHRASE_BYTES) : -ENOMEM;

	if (rc == 0) {
		complain("the passphrase is empty");
		rc = OUTCOME_FAILED;
	} else {
		rc = rc < 0 ? terminal_failed(rc) : add(s, UNLOCK_PASSPHRASE, line, (size_t)rc);
	}
	secret_free(line);
	return rc;
}

static const char *passphrase_file(const struct cli_args *args, const struct config *config)
{
	const char *given = args_value(args, "passphrase-file");

	return given ? given : config->passphrase_file;
}

static int configured(struct secrets *s, const struct cli_args *args, const struct config *config)
{
	const char *file = passphrase_file(args, config);
	int rc = file ? add_file(s, UNLOCK_PASSPHRASE, file) : 0;

	if (rc == 0 && config->key_file)
		rc = add_file(s, UNLOCK_KEY_FILE, config->key_file);
	return rc;
}

int secrets_to_open(struct secrets *s, const struct cli_args *args, const struct config *config)
{
	const char *words = args_value(args, "words-file");
	int rc;

	*s = (struct secrets){ 0 };
	if (words)
		return add_file(s, UNLOCK_WORDS, words);
	rc = configured(s, args, config);
	if (rc == 0 && !s->count)
		rc = add_typed(s, "Passphrase: ");
	return rc;
}

static int typed_twice(struct secrets *s)
{
	int rc = add_typed(s, "New passphrase: ");
	bool same;

	if (rc || (rc = add_typed(s, "The same again: ")))
		return rc;
	same = s->v[0].len == s->v[1].len && sodium_memcmp(s->v[0].data, s->v[1].data, s->v[0].len) == 0;
	s->count = 1;
	secret_free(s->data[1]);
	if (same)
		return 0;
	complain("the two passphrases differ: nothing was made; try again");
	return OUTCOME_FAILED;
}

int secrets_to_create(struct secrets *s, const struct cli_args *args, const struct config *config)
{
	int rc;

	*s = (struct secrets){ 0 };
	rc = configured(s, args, config);
	if (rc == 0 && !s->count)
		rc = typed_twice(s);
	return rc;
}

void secrets_free(struct secrets *s)
{
	for (size_t i = 0; i < s->count; i++)
		secret_free(s->data[i]);
	*s = (struct secrets){ 0 };
}

static int opens_not(const struct secrets *s, const struct config *config, struct errmsg *msg)
{
	static const char *const names[] = {
		[UNLOCK_PASSPHRASE] = "passphrase", [UNLOCK_KEY_FILE] = "key file", [UNLOCK_WORDS] = "recovery words"
	};
	const char *name = s->count == 1 ? names[s->v[0].kind] : "passphrase, or key file,";

	errmsg_free(msg);
	return errmsg_set(msg, -ERR_KEY,
		"the %s given does not open this store, %s: give the one it was made with, or its recovery words "
		"(--words-file)",
		name, config->store);
}

int secrets_unlock(const struct secrets *s, struct config *config, struct keyring **out, struct errmsg *msg)
{
	int rc = -ERR_KEY;

	for (size_t i = 0; i < s->count && rc == -ERR_KEY; i++) {
		errmsg_free(msg);
		rc = core_unlock(config, &s->v[i], out, msg);
	}
	return rc == -ERR_KEY ? opens_not(s, config, msg) : rc;
}
