/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The callbacks that libcurl makes for one request, and the options that lead to them. */
#include "backends/http_slot.h"

#include "backends/guard.h"
#include "backends/guard_pass.h"
#include "backends/http_key.h"
#include "backends/http_login.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFER_BYTES	  (256L << 10)
#define RETRY_AFTER_MAX_S 30
#define KEEPALIVE_S	  30L
#define DROPPED_BYTES_MAX (1u << 20) /* of a body nobody wants to see */

struct http_socket {
	struct call_hook hook;
	struct list link;
	int fd;
};

/* Resets the connection and drops what the kernel still held to send; runs under the call's lock, and the descriptor is
 * open because it is unregistered under the same lock before it is closed. */
static void socket_cut(struct call_hook *hook)
{
	struct http_socket *sock = container_of(hook, struct http_socket, hook);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	/* by its number, because ThreadSanitizer takes connect() for the making of a descriptor that others use */
	if (syscall(SYS_connect, sock->fd, &none, sizeof none) < 0) {
		/* not refused for a TCP socket; should a kernel do so all the same, nothing more may be queued */
		setsockopt(sock->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
		shutdown(sock->fd, SHUT_RDWR);
	}
}

static void slot_wake(struct call_hook *hook)
{
	struct http_slot *s = container_of(hook, struct http_slot, wake);

	curl_multi_wakeup(s->multi);
}

int http_slot_attach(struct http_slot *s)
{
	int rc;

	s->wake.cut = slot_wake;
	list_init(&s->wake.link);
	rc = call_attach(s->call, &s->wake);
	list_for_each (it, &s->sockets) {
		struct http_socket *sock = list_entry(it, struct http_socket, link);

		if (!rc)
			rc = call_attach(s->call, &sock->hook);
	}
	if (rc < 0)
		http_slot_detach(s);
	return rc;
}

void http_slot_detach(struct http_slot *s)
{
	call_detach(s->call, &s->wake);
	list_for_each (it, &s->sockets)
		call_detach(s->call, &list_entry(it, struct http_socket, link)->hook);
}

bool http_slot_connected(const struct http_slot *s)
{
	char byte;

	list_for_each (it, &s->sockets) {
		int fd = list_entry(it, struct http_socket, link)->fd;

		if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
			return true;
	}
	return false;
}

/* Keeps the first error of a request. */
static int fail(struct http_slot *s, int rc)
{
	if (!s->rc)
		s->rc = rc;
	return rc;
}

/* I2, first hook: before connect. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_slot *s = arg;
	struct http_socket *sock;
	int rc;

	(void)purpose;
	if ((rc = guard_peer(s->http->config, &a->addr, NULL, &s->refused_msg)) < 0) {
		s->refused = rc;
		return CURL_SOCKET_BAD;
	}
	if (!(sock = calloc(1, sizeof *sock)))
		return CURL_SOCKET_BAD;
	sock->hook.cut = socket_cut;
	sock->fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	if (sock->fd < 0)
		goto fail;
	if (call_attach(s->call, &sock->hook) < 0)
		goto fail_close;
	list_append(&s->sockets, &sock->link);
	s->fresh = s->untold = true;
	return sock->fd;
fail_close:
	close(sock->fd);
fail:
	free(sock);
	return CURL_SOCKET_BAD;
}

static int on_close(void *arg, curl_socket_t fd)
{
	struct http_slot *s = arg;

	list_for_each_safe (it, &s->sockets) {
		struct http_socket *sock = list_entry(it, struct http_socket, link);

		if (sock->fd != fd)
			continue;
		if (s->call)
			call_detach(s->call, &sock->hook);
		list_remove(&sock->link);
		free(sock);
	}
	return close(fd);
}

static int parse_peer(const char *ip, int port, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *v6 = (void *)out;
	struct sockaddr_in *v4 = (void *)out;
	char plain[INET6_ADDRSTRLEN];

	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return 0;
	}
	snprintf(plain, sizeof plain, "%.*s", (int)strcspn(ip, "%"), ip);
	if (inet_pton(AF_INET6, plain, &v6->sin6_addr) != 1)
		return -ERR_PEER_ABROAD;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	return 0;
}

/* The audit log's line of a new connection. */
static void tell(struct http_slot *s, const struct guard_facts *facts)
{
	char key[HTTP_KEY_BYTES];

	s->untold = false;
	guard_connected(s->http->config, s->call, facts, s->http->tls && http_key(s->easy, key) == 0 ? key : NULL,
		s->http->pins != NULL);
}

/* I2, second hook: the connection, new or reused, is there and verified; nothing of the request has been sent. The last
 * moment, too, to ask whether the bytes may still go (I1): connecting may have taken seconds. */
static int on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct http_slot *s = arg;
	struct guard_facts facts = { 0 };
	struct sockaddr_storage peer;
	char text[64];
	int rc;

	(void)local_ip;
	(void)local_port;
	s->progress_ns = clock_mono_ns();
	snprintf(text, sizeof text, strchr(ip, ':') ? "[%s]:%d" : "%s:%d", ip, port);
	call_set_peer(s->call, text);
	if ((rc = parse_peer(ip, port, &peer)) < 0 && !guard_restricts(s->http->config))
		rc = 0;
	if (!rc)
		rc = guard_peer(s->http->config, (struct sockaddr *)&peer, &facts, s->call->msg);
	if (!rc && s->request->guarded)
		rc = guard_ask(s->request->backend, s->call);
	if (rc < 0) {
		fail(s, rc);
		return CURL_PREREQFUNC_ABORT;
	}
	if (s->request->guarded && s->request->body->length && s->fresh && !s->expect) {
		s->ask_first = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (s->untold)
		tell(s, &facts);
	return CURL_PREREQFUNC_OK;
}

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
	struct http_slot *s = arg;
	struct source *body = s->request->body;
	uint64_t left = body ? body->length - s->body_off : 0;
	size_t want = size * count < left ? size * count : (size_t)left;
	ssize_t n;
	int rc;

	if (!want)
		return 0;
	if ((n = call_permit(s->call, s->call->upload, want)) < 0) {
		fail(s, (int)n);
		return CURL_READFUNC_ABORT;
	}
	if ((rc = body->read(body, s->body_off, to, (size_t)n)) < 0) {
		fail(s, rc);
		return CURL_READFUNC_ABORT;
	}
	s->body_off += (uint64_t)n;
	if (s->request->guarded)
		call_sent(s->call, (uint64_t)n);
	s->progress_ns = clock_mono_ns();
	return (size_t)n;
}

/* curl goes back to the start when a reused connection turns out to be dead */
static int on_seek(void *arg, curl_off_t off, int origin)
{
	struct http_slot *s = arg;

	if (origin != SEEK_SET || off < 0 || (s->request->body && (uint64_t)off > s->request->body->length))
		return CURL_SEEKFUNC_FAIL;
	s->body_off = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

/* A server that sends a byte now and then makes no progress. */
#define PROGRESS_BYTES 4096u

static void received(struct http_slot *s, size_t len)
{
	s->moved += len;
	if (s->moved < PROGRESS_BYTES)
		return;
	s->moved = 0;
	s->progress_ns = clock_mono_ns();
}

/* The wait for the limit is ours, not the server's. */
static ssize_t permit_sink(struct http_slot *s, size_t len)
{
	int64_t asked_ns = clock_mono_ns();
	ssize_t n = call_permit(s->call, s->call->download, len);

	s->progress_ns += clock_mono_ns() - asked_ns;
	return n;
}

static int to_sink(struct http_slot *s, const char *data, size_t len)
{
	uint64_t max = s->request->sink ? s->request->sink_max : DROPPED_BYTES_MAX;
	int rc = 0;

	if (len > max - s->sink_bytes)
		return errmsg_set(s->call->msg, -ERR_PROTOCOL, "backend '%s': %s sent more than was asked for",
			s->http->config->name, s->http->host);
	s->sink_bytes += len;
	while (!rc && len && s->request->sink) {
		ssize_t n = permit_sink(s, len);

		if (n < 0)
			return (int)n;
		rc = s->request->sink->write(s->request->sink, data, (size_t)n);
		data += n;
		len -= (size_t)n;
	}
	return rc;
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct http_slot *s = arg;
	struct buf *error = &s->response->error;
	size_t len = size * count, room = HTTP_ERROR_BYTES_MAX - error->len;
	int rc;

	if (s->response->status / 100 == 2) {
		rc = to_sink(s, data, len);
	} else {
		buf_put(error, data, len < room ? len : room);
		s->sink_bytes += len;
		rc = error->err ? error->err : s->sink_bytes > DROPPED_BYTES_MAX ? -ERR_PROTOCOL : 0;
	}
	received(s, len);
	if (rc < 0) {
		fail(s, rc);
		return 0;
	}
	return len;
}

static char *value_of(const char *line, size_t len, const char *name)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) || line[n] != ':')
		return NULL;
	line += n + 1;
	len -= n + 1;
	while (len && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len && strchr("\r\n \t", line[len - 1]))
		len--;
	return strndup(line, len);
}

static int64_t parse_length(const char *v)
{
	return *v && strspn(v, "0123456789") == strlen(v) && strlen(v) < 19 ? strtoll(v, NULL, 10) : -1;
}

/* RFC 9110: seconds or a date */
static int64_t parse_retry_after(const char *v)
{
	int64_t s = parse_length(v);

	if (s < 0)
		s = (int64_t)curl_getdate(v, NULL) - time(NULL);
	return (s < 0 ? 0 : s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : s) * NS_PER_S;
}

static void keep_header(const struct http_request *q, struct http_response *r, const char *line, size_t len)
{
	struct {
		const char *name;
		char **to;
	} kept[] = {
		{ "Content-Range", &r->content_range },
		{ "ETag", &r->etag },
		{ "Location", &r->location },
	};
	char *v;

	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
		if (!*kept[i].to)
			*kept[i].to = value_of(line, len, kept[i].name);
	for (size_t i = 0; i < HTTP_KEEP_MAX && q->keep[i]; i++)
		if (!r->kept[i])
			r->kept[i] = value_of(line, len, q->keep[i]);
	if ((v = value_of(line, len, "Content-Length")))
		r->length = parse_length(v);
	free(v);
	if ((v = value_of(line, len, "Retry-After")))
		r->retry_after_ns = parse_retry_after(v);
	free(v);
}

static void response_reset(struct http_response *r)
{
	http_response_free(r);
	r->length = -1;
}

static int head_complete(struct http_slot *s)
{
	int rc = 0;

	s->progress_ns = clock_mono_ns();
	if (s->response->status < 200)
		return 0;
	s->accepted = true;
	if (s->response->status < 300 && s->request->accept)
		rc = s->request->accept(s->request, s->response);
	return rc;
}

/* A refused login is tried again by curl where the server's nonce had expired: another answer follows. */
static bool is_asked_again(const struct http_slot *s)
{
	return s->http->login && s->response->status == 401;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct http_slot *s = arg;
	size_t len = size * count;
	int rc = 0;

	received(s, len);
	s->header_bytes += len;
	if (s->header_bytes > HTTP_HEADER_BYTES_MAX)
		rc = errmsg_set(s->call->msg, -ERR_PROTOCOL, "backend '%s': the head of the answer of %s is too long",
			s->http->config->name, s->http->host);
	else if (s->accepted && !is_asked_again(s))
		; /* trailers say nothing that is used */
	else if (len > 5 && !memcmp(line, "HTTP/", 5)) {
		response_reset(s->response);
		s->response->status = atoi(line + strcspn(line, " "));
	} else if (line[0] == '\r' || line[0] == '\n') {
		rc = head_complete(s);
	} else {
		keep_header(s->request, s->response, line, len);
	}
	if (rc < 0) {
		fail(s, rc);
		return 0;
	}
	return len;
}

#define SET(opt, value) (rc = rc ? rc : curl_easy_setopt(s->easy, (opt), (value)))

static CURLcode arm_callbacks(struct http_slot *s)
{
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
	SET(CURLOPT_OPENSOCKETDATA, s);
	SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
	SET(CURLOPT_CLOSESOCKETDATA, s);
	SET(CURLOPT_PREREQFUNCTION, on_request);
	SET(CURLOPT_PREREQDATA, s);
	SET(CURLOPT_READFUNCTION, on_read);
	SET(CURLOPT_READDATA, s);
	SET(CURLOPT_SEEKFUNCTION, on_seek);
	SET(CURLOPT_SEEKDATA, s);
	SET(CURLOPT_WRITEFUNCTION, on_write);
	SET(CURLOPT_WRITEDATA, s);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, s);
	SET(CURLOPT_ERRORBUFFER, s->error);
	return rc;
}

/* I2: nothing but this one host is spoken to, whatever the environment or the server says. */
static CURLcode arm_security(struct http_slot *s)
{
	const struct http *h = s->http;
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, h->tls ? "https" : "http");
#else
	SET(CURLOPT_PROTOCOLS, (long)(h->tls ? CURLPROTO_HTTPS : CURLPROTO_HTTP));
#endif
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CERTINFO, h->tls ? 1L : 0L);
	if (h->config->ca_file) {
		SET(CURLOPT_CAINFO, h->config->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}
	if (h->pins)
		SET(CURLOPT_PINNEDPUBLICKEY, h->pins);
	return rc;
}

/* Who we are, where the server asks. curl would ask the terminal for a passphrase if it were not given one. */
static int arm_client_cert(struct http_slot *s)
{
	struct secret *key = &s->http->client_key;
	struct curl_blob blob = { .flags = CURL_BLOB_COPY };
	CURLcode rc = CURLE_OK;
	const char *text;
	int failed;

	if (!key->config)
		return 0;
	if ((failed = secret_lock(key, s->call, &text)) < 0)
		return failed;
	blob.data = (void *)(uintptr_t)text;
	blob.len = key->len;
	SET(CURLOPT_SSLCERT, s->http->config->client_cert_file);
	SET(CURLOPT_SSLKEY_BLOB, &blob);
	SET(CURLOPT_KEYPASSWD, "");
	secret_unlock(key);
	return rc ? -ENOMEM : 0;
}

static CURLcode arm_transport(struct http_slot *s)
{
	int64_t connect_ns = s->http->config->connect_timeout_ns;
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
	SET(CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L); /* connections are few, and a server that moved is found at once */
	SET(CURLOPT_FRESH_CONNECT, s->reuse ? 0L : 1L);
	if (connect_ns > 0)
		SET(CURLOPT_CONNECTTIMEOUT_MS, (long)((connect_ns + NS_PER_MS - 1) / NS_PER_MS));
#if LIBCURL_VERSION_NUM >= 0x075700
	SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that does not answer must not hold up a call that was cut */
#endif
	return rc;
}

static CURLcode arm_request(struct http_slot *s, struct curl_slist *headers)
{
	const struct http_request *q = s->request;
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_URL, q->url);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_HTTPGET, 1L);
	SET(CURLOPT_CUSTOMREQUEST, NULL);
	if (!strcmp(q->method, "HEAD")) {
		SET(CURLOPT_NOBODY, 1L);
	} else if (q->body || !strcmp(q->method, "PUT") || !strcmp(q->method, "POST")) {
		SET(CURLOPT_UPLOAD, 1L);
		SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)(q->body ? q->body->length : 0));
		SET(CURLOPT_CUSTOMREQUEST, q->method);
	} else {
		SET(CURLOPT_CUSTOMREQUEST, q->method);
	}
	return rc;
}

/* The login goes to the host of the request alone: no redirect is followed. */
static CURLcode arm_login(struct http_slot *s, const char *password)
{
	struct http_login *login = s->http->login;
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_HTTPAUTH, password ? atomic_load(&login->scheme) : 0);
	SET(CURLOPT_USERNAME, password ? login->user : NULL);
	SET(CURLOPT_PASSWORD, password);
	return rc;
}

static CURLcode arm_all(struct http_slot *s, struct curl_slist *headers, const char *password)
{
	CURLcode rc;

	if ((rc = arm_callbacks(s)) || (rc = arm_security(s)) || (rc = arm_transport(s)) ||
		(rc = arm_login(s, password)))
		return rc;
	return arm_request(s, headers);
}

/* Nothing is left of the request before: each of these sets all that it ever sets. (curl_easy_reset would forget the
 * nonce with which a server began Digest authentication.) */
int http_slot_arm(struct http_slot *s, struct curl_slist *headers)
{
	struct http_login *login = s->http->login;
	bool logs_in = login && !s->anonymous && atomic_load(&login->scheme);
	const char *password = NULL;
	CURLcode code;
	int rc;

	if ((rc = arm_client_cert(s)) < 0)
		return rc;
	if (logs_in && (rc = secret_lock(login->password, s->call, &password)) < 0)
		return rc;
	code = arm_all(s, headers, password);
	if (logs_in)
		secret_unlock(login->password);
	if (!code)
		return 0;
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM
					   : errmsg_set(s->call->msg, -ERR_CONFIG, "backend '%s': %s",
						     s->http->config->name, curl_easy_strerror(code));
}
