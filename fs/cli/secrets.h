/* SPDX-License-Identifier: GPL-3.0-or-later */
/* secrets: what opens a store, gathered from the options, the configuration and the terminal; in locked memory. */
#ifndef FS_CLI_SECRETS_H
#define FS_CLI_SECRETS_H

#include "fs/cli/cli.h"
#include "fs/crypt/keyring.h"

#define SECRETS_MAX 2

struct secrets {
	struct unlock v[SECRETS_MAX];
	void *data[SECRETS_MAX]; /* secret_alloc'd */
	size_t count;
};

/* The options of the commands that use them: CLI_OPTION_PASSPHRASE for both, CLI_OPTION_WORDS for secrets_to_open. */
#define CLI_OPTION_PASSPHRASE                                                                                          \
	{                                                                                                              \
		'p', "passphrase-file", "FILE", "read the passphrase from this file of mode 0600", false               \
	}
#define CLI_OPTION_WORDS                                                                                               \
	{                                                                                                              \
		'w', "words-file", "FILE", "open the store with the recovery words in this file of mode 0600", false   \
	}

/* secrets_to_open: in the order they are to be tried: words, passphrase file, key file; where none is named, the
 * terminal is asked. secrets_to_create: every one that is configured becomes a slot; a passphrase from the terminal is
 * asked twice. 0 or an outcome, with a sentence on standard error. */
int secrets_to_open(struct secrets *, const struct cli_args *, const struct config *);
int secrets_to_create(struct secrets *, const struct cli_args *, const struct config *);
void secrets_free(struct secrets *); /* wipes */

/* secrets_unlock: core_unlock with each in turn. */
struct keyring;
int secrets_unlock(const struct secrets *, struct config *, struct keyring **, struct errmsg *);

/* terminal_ask: a line from the terminal, not shown, into buf. Its length, or a negative error. */
int terminal_ask(const char *prompt, char *buf, size_t size);

#endif
