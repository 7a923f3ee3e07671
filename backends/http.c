/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/http.h"

#include "backends/http_slot.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define FLOWING_NS (2 * NS_PER_S) /* bytes moved this lately: the peer is there */

static void start_libraries(void)
{
	static const char *const proxies[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	struct sigaction old;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	/* curl leaves that to the program when it is told to keep off signals: a peer that left must not end us */
	if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof proxies / sizeof proxies[0]; i++)
		if (getenv(proxies[i]))
			log_warn("%s is set in the environment and is ignored: borderfs uses no proxy", proxies[i]);
}

void http_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start_libraries);
}

static int join_pins(char *const *pins, char **out)
{
	struct buf b = BUF_INIT;

	*out = NULL;
	if (!pins || !*pins)
		return 0;
	for (; *pins; pins++)
		buf_printf(&b, "%ssha256//%s", b.len ? ";" : "", *pins);
	*out = buf_steal(&b);
	return *out ? 0 : -ENOMEM;
}

static int bad_endpoint(const struct config_backend *config, struct errmsg *msg)
{
	return errmsg_set(msg, -ERR_CONFIG, "backend '%s': endpoint must be https://HOST[:PORT] or http://HOST[:PORT]",
		config->name);
}

static int parse_endpoint(struct http *h, const char *url, struct errmsg *msg)
{
	char *scheme = NULL, *host = NULL;
	CURLU *u = curl_url();
	int rc = 0;

	if (!u)
		return -ENOMEM;
	if (!url || curl_url_set(u, CURLUPART_URL, url, 0) || curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
		curl_url_get(u, CURLUPART_HOST, &host, 0))
		rc = bad_endpoint(h->config, msg);
	else if (!(h->tls = !strcmp(scheme, "https")) && strcmp(scheme, "http"))
		rc = bad_endpoint(h->config, msg);
	else if (!(h->host = strdup(host)))
		rc = -ENOMEM;
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return rc;
}

bool http_is_loopback(const char *host)
{
	size_t len = strlen(host);

	return !strncmp(host, "127.", 4) || !strcmp(host, "[::1]") || !strcmp(host, "localhost") ||
	       (len > 10 && !strcmp(host + len - 10, ".localhost"));
}

static int check_config(struct http *h, struct errmsg *msg)
{
	const struct config_backend *c = h->config;

	if (c->ca_file && access(c->ca_file, R_OK) < 0)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': ca-file %s cannot be read: %s", c->name, c->ca_file,
			strerrordesc_np(errno));
	if (!h->tls && !http_is_loopback(h->host))
		log_warn("backend '%s': its endpoint is http, not https: whoever is on the way can see and delay every "
			 "request (objects stay sealed)",
			c->name);
	return 0;
}

static int open_client_key(struct http *h, struct errmsg *msg)
{
	const struct config_backend *c = h->config;

	if (!c->client_cert_file)
		return 0;
	if (access(c->client_cert_file, R_OK) < 0)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': client-cert-file %s cannot be read: %s", c->name,
			c->client_cert_file, strerrordesc_np(errno));
	return secret_init_aside(
		&h->client_key, c, "client-key-file", c->client_key_file, HTTP_CLIENT_KEY_BYTES_MAX, msg);
}

int http_new_at(struct http **out, const struct config_backend *config, const char *url, struct errmsg *msg)
{
	struct http *h = calloc(1, sizeof *h);
	int rc;

	*out = NULL;
	if (!h)
		return -ENOMEM;
	http_start();
	h->config = config;
	conn_pool_init(&h->pool, config->connections);
	if ((rc = parse_endpoint(h, url, msg)) < 0 || (rc = join_pins(config->pins, &h->pins)) < 0 ||
		(rc = check_config(h, msg)) < 0 || (rc = open_client_key(h, msg)) < 0)
		http_free(h);
	else
		*out = h;
	return rc;
}

int http_new(struct http **out, const struct config_backend *config, struct errmsg *msg)
{
	return http_new_at(out, config, config->endpoint, msg);
}

void http_free(struct http *h)
{
	if (!h)
		return;
	http_pool_free(h);
	if (h->client_key.config)
		secret_destroy(&h->client_key);
	free(h->pins);
	free(h->host);
	free(h);
}

const char *http_host(const struct http *h)
{
	return h->host;
}

const struct config_backend *http_config(const struct http *h)
{
	return h->config;
}

int http_misanswered(const struct http *h, const char *what, struct errmsg *msg)
{
	return errmsg_set(msg, -ERR_PROTOCOL, "backend '%s': %s: %s", h->config->name, h->host, what);
}

void http_response_free(struct http_response *r)
{
	for (size_t i = 0; i < HTTP_KEEP_MAX; i++) {
		if (r->kept[i])
			sodium_memzero(r->kept[i], strlen(r->kept[i]));
		free(r->kept[i]);
	}
	free(r->content_range);
	free(r->etag);
	free(r->location);
	buf_free(&r->error);
	memset(r, 0, sizeof *r);
}

static int add_headers(struct curl_slist **list, const char *lines)
{
	for (; *lines; lines += strlen(lines) + 1) {
		struct curl_slist *longer = curl_slist_append(*list, lines);

		if (!longer)
			return -ENOMEM;
		*list = longer;
	}
	return 0;
}

/* A new connection is asked with Expect: 100-continue before it gets an object's bytes: a server that redirects or
 * refuses does so before it has seen one. On a connection that has answered before, the round trip is saved. */
static int make_headers(struct http_slot *s, struct curl_slist **list)
{
	struct buf lines = BUF_INIT;
	int rc = 0;

	s->reuse = http_slot_connected(s);
	s->expect = s->request->guarded && s->request->body->length && !s->reuse;
	buf_printf(&lines, "Expect:%s%c", s->expect ? " 100-continue" : "", 0);
	if (s->request->prepare)
		rc = s->request->prepare(s->request, &lines);
	if (!rc)
		rc = lines.err;
	if (!rc)
		rc = add_headers(list, (const char *)lines.data);
	if (lines.data)
		sodium_memzero(lines.data, lines.len);
	buf_free(&lines);
	return rc;
}

static int64_t stall_ns(const struct http *h)
{
	return h->config->timeout_ns > 0 ? h->config->timeout_ns : INT64_MAX;
}

static int64_t stall_at_ns(const struct http_slot *s)
{
	int64_t most = stall_ns(s->http);

	return most == INT64_MAX ? INT64_MAX : s->progress_ns + most;
}

/* At the call's deadline: is the peer slow, but there; or was the time spent before it was asked? */
static bool is_own_wait(const struct http_slot *s)
{
	int64_t silent = clock_mono_ns() - s->progress_ns;

	return silent < FLOWING_NS && (s->header_bytes + s->body_off || silent < stall_ns(s->http) / 2);
}

/* Whether the request may go on waiting. */
static int watch(struct http_slot *s)
{
	int rc = call_state(s->call);
	int64_t now = clock_mono_ns();

	if (rc == -ERR_TIMEOUT && is_own_wait(s))
		s->call->own_wait = true;
	if (rc == -ERR_TIMEOUT)
		return errmsg_set(s->call->msg, rc, "backend '%s': %s did not answer in the time given",
			s->http->config->name, s->http->host);
	if (!rc && now >= stall_at_ns(s))
		rc = errmsg_set(s->call->msg, -ERR_TIMEOUT, "backend '%s': %s let %lld s pass with hardly a byte",
			s->http->config->name, s->http->host, (long long)(stall_ns(s->http) / NS_PER_S));
	return rc;
}

static int poll_ms(const struct http_slot *s)
{
	int64_t until = stall_at_ns(s), now = clock_mono_ns(), ms;

	if (s->call->deadline_ns < until)
		until = s->call->deadline_ns;
	if (until <= now)
		return 0;
	ms = (until - now) / NS_PER_MS + 1;
	return ms > 60000 ? 60000 : (int)ms;
}

/* Until curl is done, or we are with it. Callbacks leave their errors in s->rc. */
static int drive(struct http_slot *s, CURLcode *code)
{
	int rc = 0, running = 1, left;
	CURLMsg *m;

	while (!curl_multi_perform(s->multi, &running) && running && !(rc = watch(s)))
		curl_multi_poll(s->multi, NULL, 0, poll_ms(s), NULL);
	*code = CURLE_ABORTED_BY_CALLBACK;
	while ((m = curl_multi_info_read(s->multi, &left)))
		if (m->msg == CURLMSG_DONE)
			*code = m->data.result;
	return rc;
}

static const struct {
	CURLcode code;
	int rc;
} curl_errors[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, -ERR_UNREACHABLE },
	{ CURLE_COULDNT_CONNECT, -ERR_UNREACHABLE },
	{ CURLE_SEND_ERROR, -ERR_UNREACHABLE },
	{ CURLE_RECV_ERROR, -ERR_UNREACHABLE },
	{ CURLE_GOT_NOTHING, -ERR_UNREACHABLE },
	{ CURLE_PARTIAL_FILE, -ERR_UNREACHABLE },
	{ CURLE_SEND_FAIL_REWIND, -ERR_UNREACHABLE },
	{ CURLE_SSL_CONNECT_ERROR, -ERR_UNREACHABLE },
	{ CURLE_OPERATION_TIMEDOUT, -ERR_TIMEOUT },
	{ CURLE_PEER_FAILED_VERIFICATION, -ERR_PEER_TLS },
	{ CURLE_SSL_PINNEDPUBKEYNOTMATCH, -ERR_PEER_TLS },
	{ CURLE_SSL_ISSUER_ERROR, -ERR_PEER_TLS },
	{ CURLE_SSL_INVALIDCERTSTATUS, -ERR_PEER_TLS },
	{ CURLE_SSL_CACERT_BADFILE, -ERR_CONFIG },
	{ CURLE_SSL_CERTPROBLEM, -ERR_CONFIG },
	{ CURLE_URL_MALFORMAT, -ERR_CONFIG },
	{ CURLE_OUT_OF_MEMORY, -ENOMEM },
};

/* as OpenSSL says that it saw no version it may speak, or was told so */
static bool is_old_tls(const char *text)
{
	return strstr(text, "unsupported protocol") || strstr(text, "alert protocol version");
}

/* ... that the server wants a client's certificate, or another one (the alerts of RFC 8446, and TLS 1.2's) */
static bool is_client_refused(const char *text)
{
	static const char *const alerts[] = { "alert certificate required", "alert bad certificate", "alert unknown ca",
		"alert certificate unknown", "alert certificate expired", "alert certificate revoked" };

	for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++)
		if (strstr(text, alerts[i]))
			return true;
	return false;
}

/* ... that it broke off: before TLS 1.3 where no certificate came, and of any version where no cipher is common */
static bool is_broken_off(const char *text)
{
	return strstr(text, "alert handshake failure");
}

static int from_curl(struct http_slot *s, CURLcode code)
{
	const char *text = s->error[0] ? s->error : curl_easy_strerror(code);
	int rc = -ERR_PROTOCOL;

	for (size_t i = 0; i < sizeof curl_errors / sizeof curl_errors[0]; i++)
		if (curl_errors[i].code == code)
			rc = curl_errors[i].rc;
	if (rc == -ERR_PEER_TLS)
		return errmsg_set(s->call->msg, rc,
			"backend '%s': the certificate of %s was not accepted (%s); nothing was sent. Check ca-file "
			"and "
			"pin-sha256, or the server",
			s->http->config->name, s->http->host, text);
	if (code == CURLE_SSL_CONNECT_ERROR && is_old_tls(text))
		return errmsg_set(s->call->msg, -ERR_PEER_TLS,
			"backend '%s': %s offers no TLS of version 1.2 or newer (%s); nothing was sent. Its software "
			"must "
			"be renewed",
			s->http->config->name, s->http->host, text);
	if (is_client_refused(text))
		return errmsg_set(s->call->msg, -ERR_DENIED,
			"backend '%s': %s wants a client's certificate%s (%s); check client-cert-file and "
			"client-key-file",
			s->http->config->name, s->http->host,
			s->http->config->client_cert_file ? " other than this one" : "", text);
	if (is_broken_off(text))
		return errmsg_set(s->call->msg, -ERR_DENIED,
			"backend '%s': %s broke off the TLS handshake (%s): either it wants a client's certificate%s: "
			"check client-cert-file and client-key-file; or it has no cipher in common with us: check the "
			"server",
			s->http->config->name, s->http->host, text,
			s->http->config->client_cert_file ? " other than this one" : "");
	return errmsg_set(s->call->msg, rc, "backend '%s': %s: %s", s->http->config->name, s->http->host, text);
}

int http_slot_transfer(struct http_slot *s)
{
	struct curl_slist *headers = NULL;
	CURLcode code = CURLE_OK;
	int rc;

	http_response_free(s->response);
	s->response->length = -1;
	s->progress_ns = clock_mono_ns();
	s->moved = 0;
	s->rc = 0;
	s->fresh = s->ask_first = s->accepted = false;
	s->body_off = s->header_bytes = s->sink_bytes = 0;
	s->error[0] = 0;
	if ((rc = make_headers(s, &headers)) < 0 || (rc = http_slot_arm(s, headers)) < 0)
		goto out;
	if (curl_multi_add_handle(s->multi, s->easy)) {
		rc = -ENOMEM;
		goto out;
	}
	rc = drive(s, &code);
	curl_multi_remove_handle(s->multi, s->easy);
	s->response->received = s->sink_bytes;
	if (!rc)
		rc = s->rc;
	if (!rc && code && s->refused && code == CURLE_COULDNT_CONNECT)
		rc = errmsg_set(s->call->msg, s->refused, "%s", errmsg_text(&s->refused_msg, s->refused));
	if (!rc && code && !s->ask_first)
		rc = from_curl(s, code);
out:
	curl_slist_free_all(headers);
	return rc;
}

static char *host_of(const char *url)
{
	char *host = NULL, *copy = NULL;
	CURLU *u = curl_url();

	if (u && !curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) &&
		!curl_url_get(u, CURLUPART_HOST, &host, 0))
		copy = strdup(host);
	curl_free(host);
	curl_url_cleanup(u);
	return copy;
}

/* Without a Location the driver may find in the body where it was to go; it then sets the sentence. */
static int refuse_redirect(struct http_slot *s)
{
	char *to;

	if (!s->response->location)
		return -ERR_REDIRECT;
	to = host_of(s->response->location);
	errmsg_set(s->call->msg, -ERR_REDIRECT, HTTP_REDIRECT_TEXT, s->http->config->name, s->http->host,
		s->response->status, to ? to : "another path on itself");
	free(to);
	return -ERR_REDIRECT;
}

static int request_answer(struct http_slot *s)
{
	int rc = 0;

	if (s->http->login && (rc = http_login_prepare(s)))
		return rc;
	rc = http_slot_transfer(s);
	/* the connection in the pool was dead, and its successor is a stranger: once more, asking first */
	if (!rc && s->ask_first)
		rc = http_slot_transfer(s);
	if (!rc && s->http->login && s->response->status == 401)
		rc = http_login_learn(s);
	return rc;
}

static int converse(struct http_slot *s)
{
	int rc = http_slot_attach(s);

	if (rc < 0)
		return rc;
	rc = request_answer(s);
	if (rc >= 0)
		rc = s->response->status ? 0 : from_curl(s, CURLE_GOT_NOTHING);
	http_slot_detach(s);
	if (!rc && s->response->status / 100 == 3)
		rc = refuse_redirect(s);
	return rc;
}

int http_perform(struct http *h, struct call *c, struct http_request *q, struct http_response *r)
{
	struct http_slot *s;
	int rc, state;

	memset(r, 0, sizeof *r);
	r->length = -1;
	if ((rc = http_pool_take(h, c, &s)) < 0)
		return rc;
	s->call = c;
	s->request = q;
	s->response = r;
	s->refused = 0;
	rc = converse(s);
	/* a cut shows as whatever curl made of the reset; say what it was */
	state = call_state(c);
	if (rc < 0 && state < 0 && state != -ERR_TIMEOUT)
		rc = state;
	errmsg_free(&s->refused_msg);
	s->call = NULL;
	s->request = NULL;
	s->response = NULL;
	/* a connection that was cut is of no use, and whoever redirects is asked anew before he gets a body */
	http_pool_give(s, (state < 0 && state != -ERR_TIMEOUT) || rc == -ERR_REDIRECT);
	return rc;
}
