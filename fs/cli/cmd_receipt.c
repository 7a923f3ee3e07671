/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "fs/cli/commands.h"
#include "fs/cli/secrets.h"
#include "fs/control/control.h"
#include "fs/place/receipt.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the store's public key: from its daemon, or from its keys ------------------------------------------------- */

static int key_from_store(const struct cli_args *args, const char *config_file, char out[RECEIPT_KEY_TEXT])
{
	struct keyring *keyring = NULL;
	struct errmsg msg = { 0 };
	struct secrets secrets;
	struct config *config;
	int rc = cli_config_file(config_file, false, &config);

	if (rc)
		return rc;
	if ((rc = secrets_to_open(&secrets, args, config)) == 0) {
		if ((rc = secrets_unlock(&secrets, config, &keyring, &msg)) == 0)
			rc = receipt_key(keyring, out);
		rc = rc < 0 ? complain_rc(rc, &msg) : 0;
		secrets_free(&secrets);
	}
	keyring_close(keyring);
	config_put(config);
	return rc;
}

static int key_of_store(const struct cli_args *args, char out[RECEIPT_KEY_TEXT])
{
	struct cli_daemon daemon;
	json_t *last = NULL;
	int rc = cli_daemon(args, &daemon);

	if (rc)
		return rc;
	if (control_pid(daemon.store)) {
		rc = cli_ask(&daemon, "audit-key", NULL, -1, NULL, NULL, &last);
		snprintf(out, RECEIPT_KEY_TEXT, "%s", text_at(last, "key"));
	} else {
		rc = key_from_store(args, daemon.config_file, out);
	}
	json_decref(last);
	cli_daemon_free(&daemon);
	return rc;
}

static int run_key(const struct cli_args *args)
{
	char key[RECEIPT_KEY_TEXT];
	int rc = key_of_store(args, key);

	if (rc == 0)
		printf("%s\n", key);
	return rc;
}

/* ---- a receipt --------------------------------------------------------------------------------------------------- */

static int check(const struct buf *text, const char *key, const char *file, bool json)
{
	uint8_t public[RECEIPT_KEY_BYTES];
	struct errmsg msg = { 0 };
	json_t *facts;
	int rc;

	if (receipt_key_read(key, public) < 0) {
		complain("--key is 44 characters of base64, as `borderfs audit key` prints them");
		return OUTCOME_USAGE;
	}
	if ((rc = receipt_check((const char *)text->data, text->len, public, &msg)) < 0) {
		complain("%s: %s", file, errmsg_text(&msg, rc));
		errmsg_free(&msg);
		return OUTCOME_FAILED;
	}
	facts = receipt_json((const char *)text->data, text->len);
	if (json)
		print_json(facts);
	else
		printf("%s is genuine: '%s' of %s was emptied at %s; line %s of the audit log is about it\n", file,
			text_at(facts, "source"), text_at(facts, "filesystem"), text_at(facts, "finished"),
			text_at(facts, "audit-line"));
	json_decref(facts);
	return 0;
}

static int run_receipt(const struct cli_args *args)
{
	const char *file = args->operands[0], *given = args_value(args, "key");
	struct buf data = BUF_INIT, text = BUF_INIT;
	char key[RECEIPT_KEY_TEXT];
	int rc = file_read_all(AT_FDCWD, file, RECEIPT_BYTES_MAX, &data);

	if (rc < 0) {
		complain("%s: %s", file, err_text(rc));
		rc = OUTCOME_FAILED;
	} else if ((rc = receipt_text((const char *)data.data, data.len, &text)) < 0) {
		complain("%s is no receipt: %s", file, err_text(rc));
		rc = OUTCOME_FAILED;
	} else if (given || (rc = key_of_store(args, key)) == 0) {
		rc = check(&text, given ? given : key, file, args_flag(args, "json"));
	}
	buf_free(&text);
	buf_free(&data);
	return rc;
}

/* ---- the commands ------------------------------------------------------------------------------------------------ */

static const struct cli_option key_options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_PASSPHRASE,
	CLI_OPTION_WORDS,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_audit_key = {
	.name = "audit key",
	.operands = "",
	.summary = "Prints the public key with which the store's receipts are checked",
	.description = "Whoever has to check receipts without the store gets it once, from somebody they trust.",
	.options = key_options,
	.run = run_key,
};

static const struct cli_option receipt_options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	{ 0, "key", "KEY", "the store's public key, from `borderfs audit key`: no store is needed then", false },
	CLI_OPTION_PASSPHRASE,
	CLI_OPTION_WORDS,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_audit_receipt = {
	.name = "audit receipt",
	.operands = "FILE",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "Checks a receipt of `borderfs move`, in either form: exit status 1 where it was changed",
	.options = receipt_options,
	.run = run_receipt,
};
