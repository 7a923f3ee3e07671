/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/sftp_host.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define KNOWN_BYTES_MAX (4u << 20)
#define HASH_BYTES	32u
#define PRINT_VARIANT	sodium_base64_VARIANT_ORIGINAL_NO_PADDING /* as ssh-keygen -l prints it */
#define KEY_BYTES_MAX	16384u

int sftp_host_prefer(LIBSSH2_SESSION *session)
{
	static const char kinds[] = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
				    "rsa-sha2-512,rsa-sha2-256";

	return libssh2_session_method_pref(session, LIBSSH2_METHOD_HOSTKEY, kinds) ? -ENOMEM : 0;
}

static void print(const void *hash, char out[SFTP_HOST_KEY_BYTES])
{
	memcpy(out, "SHA256:", 8);
	sodium_bin2base64(out + 7, SFTP_HOST_KEY_BYTES - 7, hash, HASH_BYTES, PRINT_VARIANT);
}

static bool is_pinned(const struct config_backend *config, const char *fingerprint)
{
	for (char **pin = config->host_keys; pin && *pin; pin++)
		if (strcmp(*pin, fingerprint) == 0)
			return true;
	return false;
}

/* Lines with a marker (@revoked, @cert-authority) would mean something else than they say to a reader who does not know
 * markers. */
static int read_known(
	const struct config_backend *config, const struct buf *text, LIBSSH2_KNOWNHOSTS *hosts, struct errmsg *msg)
{
	const char *line = (const char *)text->data, *end = line + text->len;

	for (int number = 1; line < end; number++) {
		size_t len = strcspn(line, "\n");

		len += line[len] == '\n'; /* the reader wants it */
		if (*line == '@' || libssh2_knownhost_readline(hosts, line, len, LIBSSH2_KNOWNHOST_FILE_OPENSSH) < 0)
			return errmsg_set(msg, -ERR_CONFIG,
				"backend '%s': line %d of known-hosts-file %s is not a host and its key", config->name,
				number, config->known_hosts_file);
		line += len;
	}
	return 0;
}

static int kind_bit(int type)
{
	switch (type) {
	case LIBSSH2_HOSTKEY_TYPE_RSA:
		return LIBSSH2_KNOWNHOST_KEY_SSHRSA;
	case LIBSSH2_HOSTKEY_TYPE_ECDSA_256:
		return LIBSSH2_KNOWNHOST_KEY_ECDSA_256;
	case LIBSSH2_HOSTKEY_TYPE_ECDSA_384:
		return LIBSSH2_KNOWNHOST_KEY_ECDSA_384;
	case LIBSSH2_HOSTKEY_TYPE_ECDSA_521:
		return LIBSSH2_KNOWNHOST_KEY_ECDSA_521;
	case LIBSSH2_HOSTKEY_TYPE_ED25519:
		return LIBSSH2_KNOWNHOST_KEY_ED25519;
	default:
		return LIBSSH2_KNOWNHOST_KEY_UNKNOWN;
	}
}

/* the fingerprint of a key as a line of known_hosts has it */
static void print_known(const char *key, char out[SFTP_HOST_KEY_BYTES])
{
	uint8_t raw[KEY_BYTES_MAX], hash[HASH_BYTES];
	size_t len = 0;

	if (sodium_base642bin(raw, sizeof raw, key, strlen(key), NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) < 0)
		len = 0;
	crypto_hash_sha256(hash, raw, len);
	print(hash, out);
}

static int look_up(LIBSSH2_SESSION *session, LIBSSH2_KNOWNHOSTS *hosts, const char *host, int port,
	char expected[SFTP_HOST_KEY_BYTES])
{
	struct libssh2_knownhost *known = NULL;
	size_t len;
	int type, found;
	const char *key = libssh2_session_hostkey(session, &len, &type);

	if (!key)
		return -ERR_PEER_TLS;
	found = libssh2_knownhost_checkp(hosts, host, port, key, len,
		LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW | kind_bit(type), &known);
	if (found == LIBSSH2_KNOWNHOST_CHECK_MATCH)
		return 0;
	if (found == LIBSSH2_KNOWNHOST_CHECK_MISMATCH && known)
		print_known(known->key, expected);
	return -ERR_PEER_TLS;
}

/* 0, -ERR_PEER_TLS (without a sentence; expected is the fingerprint in the file, if it has one), or another error. */
static int check_known(const struct config_backend *config, LIBSSH2_SESSION *session, const char *host, int port,
	char expected[SFTP_HOST_KEY_BYTES], struct errmsg *msg)
{
	LIBSSH2_KNOWNHOSTS *hosts = libssh2_knownhost_init(session);
	struct buf text = BUF_INIT;
	int rc = hosts ? file_read_all(AT_FDCWD, config->known_hosts_file, KNOWN_BYTES_MAX, &text) : -ENOMEM;

	if (rc < 0 && hosts)
		rc = errmsg_set(msg, -ERR_CONFIG, "backend '%s': known-hosts-file %s cannot be read: %s", config->name,
			config->known_hosts_file, err_text(rc));
	if (!rc && text.len)
		rc = read_known(config, &text, hosts, msg);
	if (!rc)
		rc = look_up(session, hosts, host, port, expected);
	buf_free(&text);
	if (hosts)
		libssh2_knownhost_free(hosts);
	return rc;
}

int sftp_host_check(const struct config_backend *config, LIBSSH2_SESSION *session, const char *host, int port,
	char offered[SFTP_HOST_KEY_BYTES], struct errmsg *msg)
{
	const char *hash = libssh2_hostkey_hash(session, LIBSSH2_HOSTKEY_HASH_SHA256);
	char expected[SFTP_HOST_KEY_BYTES] = "";
	int rc = -ERR_PEER_TLS;

	strcpy(offered, "none");
	if (hash)
		print(hash, offered);
	if (hash && is_pinned(config, offered))
		return 0;
	if (hash && config->known_hosts_file)
		rc = check_known(config, session, host, port, expected, msg);
	if (!expected[0] && config->host_keys && config->host_keys[0])
		snprintf(expected, sizeof expected, "%s", config->host_keys[0]);
	if (rc == -ERR_PEER_TLS)
		errmsg_set(msg, rc,
			"backend '%s': the host key of %s is %s, and not %s; nothing was sent. If the server has a new "
			"key, and only then, correct host-key-sha256 or known-hosts-file",
			config->name, host, offered, expected[0] ? expected : "one that known-hosts-file has");
	return rc;
}
