/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/http_login.h"

#include "backends/http_slot.h"

#include <errno.h>
#include <string.h>

void http_set_login(struct http *h, struct http_login *login)
{
	h->login = login;
}

/* RFC 4918, section 9.1: of the collection alone */
static int prepare_knock(struct http_request *q, struct buf *lines)
{
	(void)q;
	buf_put(lines, "Depth: 0", sizeof "Depth: 0");
	return lines->err;
}

static int no_scheme(struct http_slot *s, long offered)
{
	const struct config_backend *config = s->http->config;

	if (offered & CURLAUTH_BASIC)
		return errmsg_set(s->call->msg, -ERR_DENIED,
			"backend '%s': %s asks for the password in the clear over http; nothing was sent. Use https, "
			"or let the server ask for Digest",
			config->name, s->http->host);
	return errmsg_set(s->call->msg, -ERR_DENIED,
		"backend '%s': %s asks for a login of a kind other than Basic and Digest", config->name, s->http->host);
}

/* curl would take the next nonce that it is given for a repetition of the last. */
static void forget(struct http_slot *s)
{
	curl_easy_reset(s->easy); /* keeps the connection */
	s->challenged = false;
}

/* A server that asks for nothing may still do so for writing. */
int http_login_learn(struct http_slot *s)
{
	int status = s->response->status;
	bool clear = s->http->tls || http_is_loopback(s->http->host);
	long offered = 0, scheme = 0;

	if (curl_easy_getinfo(s->easy, CURLINFO_HTTPAUTH_AVAIL, &offered))
		return -ENOMEM;
	if (offered & CURLAUTH_DIGEST)
		scheme = CURLAUTH_DIGEST;
	else if (clear && (offered & CURLAUTH_BASIC || status != 401))
		scheme = CURLAUTH_BASIC;
	else if (status == 401)
		return no_scheme(s, offered);
	atomic_store(&s->http->login->scheme, scheme);
	forget(s);
	return 0;
}

/* says nothing about logins */
static bool is_failure(int status)
{
	return status >= 500 || status == 429 || status == 408 || status / 100 == 3;
}

static int knock(struct http_slot *s, bool anonymous)
{
	struct http_request *request = s->request;
	struct http_request own = {
		.method = "PROPFIND", .url = s->http->login->url, .backend = request->backend, .prepare = prepare_knock
	};
	int rc;

	if (anonymous)
		forget(s);
	s->anonymous = anonymous;
	s->request = &own;
	rc = http_slot_transfer(s);
	s->request = request;
	s->anonymous = false;
	return rc ? rc : is_failure(s->response->status);
}

/* With Digest each connection has a nonce of its own. curl gets it by being refused, and must not lose a body to that.
 */
static int begin_digest(struct http_slot *s)
{
	int rc = knock(s, false);

	if (rc)
		return rc;
	s->challenged = s->response->status != 401;
	if (!s->challenged)
		atomic_store(&s->http->login->scheme, 0);
	return !s->challenged;
}

int http_login_prepare(struct http_slot *s)
{
	struct http_login *login = s->http->login;
	int rc = 0;

	if (!atomic_load(&login->scheme) && !(rc = knock(s, true)))
		rc = http_login_learn(s);
	if (!rc && atomic_load(&login->scheme) == CURLAUTH_DIGEST && !s->challenged)
		rc = begin_digest(s);
	return rc;
}
