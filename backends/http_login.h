/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http_login: a user and a password for a server that asks for them (RFC 7617 "Basic", RFC 7616 "Digest"), sent by
 * libcurl. How a server asks is found out by a request without a login and without a body, a knock, so that no object's
 * bytes go to a server that then wants a login, and none are sent twice. A password goes as it is (Basic) only where
 * the server was verified by TLS, or is this machine. */
#ifndef BACKENDS_HTTP_LOGIN_H
#define BACKENDS_HTTP_LOGIN_H

#include "backends/http.h"
#include "backends/secret.h"

#include <stdatomic.h>

struct http_login {
	const char *user;	 /* borrowed */
	struct secret *password; /* borrowed */
	const char *url;	 /* borrowed: what is knocked at */
	atomic_long scheme;	 /* CURLAUTH_BASIC, CURLAUTH_DIGEST; 0: not known */
};

/* http_set_login: from now on each request carries the login; it is borrowed. Before the first request only. */
void http_set_login(struct http *, struct http_login *);

#endif
