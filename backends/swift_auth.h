/* SPDX-License-Identifier: GPL-3.0-or-later */
/* swift_auth: the token that every request to a Swift carries, from tempauth (version 1 of the protocol) or Keystone
 * (version 3), and where the account's storage is.
 *
 * A token is made when the first request needs one, again shortly before it expires, and again when the server refuses
 * it: by one request, for which the others wait. The storage URL comes with the first token, unless the configuration
 * has one, and must lie on the host of auth-url; it does not change while the backend is open (I2). */
#ifndef BACKENDS_SWIFT_AUTH_H
#define BACKENDS_SWIFT_AUTH_H

#include "backends/call.h"
#include "backends/http.h"
#include "backends/secret.h"

#define SWIFT_SECRET_BYTES_MAX 1024u

struct swift_auth {
	const struct config_backend *config;
	struct http *http; /* of auth-url */
	struct secret secret;
	pthread_mutex_t lock;	/* of the rest; before a call's lock; not held across the network */
	char *token;		/* sodium_malloc, or NULL */
	unsigned generation;	/* of the token */
	bool valid;		/* not refused yet */
	int64_t renew_ns;	/* monotonic: when to make a new one */
	bool asking;		/* one is being made */
	struct list waiters;	/* for it: of swift_waiter */
	unsigned attempts;	/* ended */
	int failure;		/* of the last one, 0 where it succeeded or where only its own call ended */
	struct errmsg sentence; /* of the failure */
	struct http *storage;	/* NULL until known; never changes then */
	char *storage_url, *origin, *base;
};

/* swift_auth_init: reads the secret; touches no network. swift_auth_destroy is due whatever it returns. -ERR_CONFIG,
 * -ERR_SECRET_FILE, -errno with a sentence. */
int swift_auth_init(struct swift_auth *, const struct config_backend *, struct errmsg *);
void swift_auth_destroy(struct swift_auth *); /* no call may be under way */

/* swift_auth_need: returns when there is a token and the storage is known. -ERR_DENIED, -ERR_REDIRECT where the storage
 * URL points to another host, or as http_perform, with a sentence. Blocks on the network. */
int swift_auth_need(struct swift_auth *, struct call *);
/* swift_auth_line: appends the header line of the token, NUL included, and says which token it was. */
void swift_auth_line(struct swift_auth *, struct buf *lines, unsigned *generation);
/* swift_auth_refused: the server did not accept the token of that generation. */
void swift_auth_refused(struct swift_auth *, unsigned generation);

#endif
