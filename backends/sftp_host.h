/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sftp_host: whether an SSH server is the one that the configuration pins (I2). */
#ifndef BACKENDS_SFTP_HOST_H
#define BACKENDS_SFTP_HOST_H

#include "config/config.h"

#include <libssh2.h>

#define SFTP_HOST_KEY_BYTES 51 /* "SHA256:", base64 without padding, NUL */

/* sftp_host_prefer: asks for the kinds of host keys in one order, whatever the library's own is, so that it is known
 * which of a server's keys is pinned: its ed25519 key, if it has one. -ENOMEM. */
int sftp_host_prefer(LIBSSH2_SESSION *);
/* sftp_host_check: judges the key of a session after its handshake: by host-key-sha256, and by known-hosts-file, for
 * host and port; one that accepts it is enough. -ERR_PEER_TLS with a sentence that names the fingerprints, -ERR_CONFIG
 * where the file cannot be used. offered gets the key's fingerprint, "none" where there is none. Reads a local file. */
int sftp_host_check(const struct config_backend *, LIBSSH2_SESSION *, const char *host, int port,
	char offered[SFTP_HOST_KEY_BYTES], struct errmsg *);

#endif
