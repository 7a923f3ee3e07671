/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/sftp_conn.h"

#include "backends/guard.h"
#include "backends/sftp_host.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define POLL_MS	       1000
#define PROGRESS_BYTES 4096u
#define KEEPALIVE_S    30L
#define CLOSE_TRIES    8 /* of freeing a session whose socket is dead */

/* As in http_slot.c: resets the connection and drops what the kernel still held to send. poll sees it. */
static void conn_cut(struct call_hook *hook)
{
	struct sftp_conn *conn = container_of(hook, struct sftp_conn, hook);
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	if (syscall(SYS_connect, conn->fd, &none, sizeof none) < 0)
		shutdown(conn->fd, SHUT_RDWR);
}

static void wake_cut(struct call_hook *hook)
{
	struct sftp_conn *conn = container_of(hook, struct sftp_conn, hook);

	curl_multi_wakeup(conn->multi);
}

/* Whether the call may go on waiting; why not is left in conn->rc. */
static bool may_wait(struct sftp_conn *conn, int64_t limit_ns)
{
	const struct config_backend *config = conn->sftp->backend.config;
	int64_t now = clock_mono_ns();

	conn->rc = call_state(conn->call);
	if (conn->rc == -ERR_TIMEOUT)
		errmsg_set(conn->call->msg, conn->rc, "backend '%s': %s did not answer in the time given", config->name,
			conn->sftp->host);
	if (!conn->rc && limit_ns > 0 && now - conn->progress_ns >= limit_ns)
		conn->rc =
			errmsg_set(conn->call->msg, -ERR_TIMEOUT, "backend '%s': %s let %lld s pass with hardly a byte",
				config->name, conn->sftp->host, (long long)(limit_ns / NS_PER_S));
	if (conn->rc < 0)
		conn->broken = true;
	return !conn->rc;
}

static int poll_ms(const struct sftp_conn *conn)
{
	int64_t left =
		conn->call->deadline_ns == INT64_MAX ? POLL_MS * NS_PER_MS : conn->call->deadline_ns - clock_mono_ns();

	return left <= 0 ? 0 : left / NS_PER_MS >= POLL_MS ? POLL_MS : (int)(left / NS_PER_MS) + 1;
}

bool sftp_conn_wait(struct sftp_conn *conn)
{
	int way = libssh2_session_block_directions(conn->session);
	struct pollfd p = { .fd = conn->fd };

	if (!may_wait(conn, conn->sftp->backend.config->timeout_ns))
		return false;
	p.events = (short)((way & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : 0) |
			   (way & LIBSSH2_SESSION_BLOCK_INBOUND || !way ? POLLIN : 0));
	if (poll(&p, 1, poll_ms(conn)) > 0 && p.revents & POLLOUT)
		conn->progress_ns = clock_mono_ns();
	return true;
}

void sftp_conn_moved(struct sftp_conn *conn, size_t bytes)
{
	conn->moved += bytes;
	if (conn->moved >= PROGRESS_BYTES)
		sftp_conn_answered(conn);
}

void sftp_conn_answered(struct sftp_conn *conn)
{
	conn->moved = 0;
	conn->progress_ns = clock_mono_ns();
}

/* I2, first hook: before connect. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct sftp_conn *conn = arg;
	int rc = guard_peer(conn->sftp->backend.config, &a->addr, NULL, &conn->refused_msg);

	(void)purpose;
	if (rc < 0) {
		conn->refused = rc;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

#define SET(opt, value) (rc = rc ? rc : curl_easy_setopt(conn->easy, (opt), (value)))

/* libcurl is asked for a connection and nothing else: it resolves names without blocking us and tries all addresses. */
static CURLcode arm(struct sftp_conn *conn, const char *url)
{
	int64_t connect_ns = conn->sftp->backend.config->connect_timeout_ns;
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_URL, url);
	SET(CURLOPT_CONNECT_ONLY, 1L);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
	SET(CURLOPT_OPENSOCKETDATA, conn);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
	if (connect_ns > 0)
		SET(CURLOPT_CONNECTTIMEOUT_MS, (long)((connect_ns + NS_PER_MS - 1) / NS_PER_MS));
#if LIBCURL_VERSION_NUM >= 0x075700
	SET(CURLOPT_QUICK_EXIT, 1L);
#endif
	return rc;
}

static int connect_failed(struct sftp_conn *conn, CURLcode code)
{
	struct sftp *s = conn->sftp;

	if (conn->rc < 0)
		return conn->rc;
	if (conn->refused && code == CURLE_COULDNT_CONNECT)
		return errmsg_set(conn->call->msg, conn->refused, "%s", errmsg_text(&conn->refused_msg, conn->refused));
	return errmsg_set(conn->call->msg, code == CURLE_OPERATION_TIMEDOUT ? -ERR_TIMEOUT : -ERR_UNREACHABLE,
		"backend '%s': %s: %s", s->backend.config->name, s->host, curl_easy_strerror(code));
}

/* Until curl is done, or the call is. */
static CURLcode drive(struct sftp_conn *conn)
{
	CURLcode code = CURLE_ABORTED_BY_CALLBACK;
	int running = 1, left;
	CURLMsg *m;

	while (!curl_multi_perform(conn->multi, &running) && running && may_wait(conn, 0))
		curl_multi_poll(conn->multi, NULL, 0, poll_ms(conn), NULL);
	while ((m = curl_multi_info_read(conn->multi, &left)))
		if (m->msg == CURLMSG_DONE)
			code = m->data.result;
	return code;
}

static int tcp_open(struct sftp_conn *conn)
{
	CURLcode code = CURLE_OUT_OF_MEMORY;
	curl_socket_t fd = CURL_SOCKET_BAD;
	char url[512];
	int rc;

	snprintf(url, sizeof url, strchr(conn->sftp->host, ':') ? "http://[%s]:%d" : "http://%s:%d", conn->sftp->host,
		conn->sftp->port);
	conn->easy = curl_easy_init();
	conn->multi = curl_multi_init();
	conn->hook.cut = wake_cut;
	if (!conn->easy || !conn->multi)
		return -ENOMEM;
	if ((rc = call_attach(conn->call, &conn->hook)) < 0)
		return rc;
	if (!(code = arm(conn, url)) && !curl_multi_add_handle(conn->multi, conn->easy))
		code = drive(conn);
	call_detach(conn->call, &conn->hook);
	if (!code)
		code = curl_easy_getinfo(conn->easy, CURLINFO_ACTIVESOCKET, &fd);
	if (code || fd == CURL_SOCKET_BAD)
		return connect_failed(conn, code);
	conn->fd = fd;
	return 0;
}

static void describe_peer(const struct sockaddr_storage *a, char out[64])
{
	const struct sockaddr_in6 *v6 = (const void *)a;
	const struct sockaddr_in *v4 = (const void *)a;
	char text[INET6_ADDRSTRLEN] = "";

	if (a->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
		snprintf(out, 64, "[%s]:%d", text, ntohs(v6->sin6_port));
	} else {
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
		snprintf(out, 64, "%s:%d", text, ntohs(v4->sin_port));
	}
}

/* I2, second hook: nothing of this call has been sent yet. */
static int check_peer(struct sftp_conn *conn, struct guard_facts *facts)
{
	socklen_t len = sizeof conn->peer;
	char text[64];

	if (getpeername(conn->fd, (struct sockaddr *)&conn->peer, &len) < 0)
		return errmsg_set(conn->call->msg, -ERR_UNREACHABLE, "backend '%s': %s: the connection broke",
			conn->sftp->backend.config->name, conn->sftp->host);
	describe_peer(&conn->peer, text);
	call_set_peer(conn->call, text);
	return guard_peer(conn->sftp->backend.config, (struct sockaddr *)&conn->peer, facts, conn->call->msg);
}

static int attach(struct sftp_conn *conn)
{
	conn->hook.cut = conn_cut;
	list_init(&conn->hook.link);
	return call_attach(conn->call, &conn->hook);
}

static const struct {
	int code, rc;
} ssh_errors[] = {
	{ LIBSSH2_ERROR_ALLOC, -ENOMEM },
	{ LIBSSH2_ERROR_SOCKET_SEND, -ERR_UNREACHABLE },
	{ LIBSSH2_ERROR_SOCKET_RECV, -ERR_UNREACHABLE },
	{ LIBSSH2_ERROR_SOCKET_DISCONNECT, -ERR_UNREACHABLE },
	{ LIBSSH2_ERROR_BANNER_RECV, -ERR_UNREACHABLE },
	{ LIBSSH2_ERROR_CHANNEL_CLOSED, -ERR_UNREACHABLE },
	{ LIBSSH2_ERROR_CHANNEL_EOF_SENT, -ERR_UNREACHABLE },
	{ LIBSSH2_ERROR_SOCKET_TIMEOUT, -ERR_TIMEOUT },
	{ LIBSSH2_ERROR_TIMEOUT, -ERR_TIMEOUT },
	{ LIBSSH2_ERROR_AUTHENTICATION_FAILED, -ERR_DENIED },
	{ LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED, -ERR_DENIED },
	{ LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED, -ERR_DENIED },
	{ LIBSSH2_ERROR_CHANNEL_FAILURE, -ERR_DENIED },
};

/* the error of a connection that is of no use any more; what the server says may hold anything */
static int ssh_error(struct sftp_conn *conn, const char *what)
{
	int code = libssh2_session_last_errno(conn->session), rc = -ERR_PROTOCOL;

	conn->broken = true;
	if (conn->rc < 0)
		return conn->rc;
	for (size_t i = 0; i < sizeof ssh_errors / sizeof ssh_errors[0]; i++)
		if (ssh_errors[i].code == code)
			rc = ssh_errors[i].rc;
	return errmsg_set(conn->call->msg, rc, "backend '%s': %s: %s (libssh2 error %d)%s",
		conn->sftp->backend.config->name, conn->sftp->host, what, code,
		rc == -ERR_DENIED ? "; check user and key-file, and authorized_keys there" : "");
}

/* what libssh2 answers, by its version, to a private key that it cannot use */
static bool is_key_error(int rc)
{
	return rc == LIBSSH2_ERROR_FILE || rc == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED || rc == LIBSSH2_ERROR_PROTO ||
	       rc == LIBSSH2_ERROR_METHOD_NONE;
}

static int log_in(struct sftp_conn *conn)
{
	const struct config_backend *config = conn->sftp->backend.config;
	const char *text;
	size_t len;
	char *key;
	int rc = secret_lock(&conn->sftp->key, conn->call, &text);

	if (rc < 0)
		return rc;
	len = conn->sftp->key.len;
	if ((key = sodium_malloc(len + 1)))
		memcpy(key, text, len + 1);
	secret_unlock(&conn->sftp->key);
	if (!key)
		return -ENOMEM;
	AWAIT(conn, rc,
		libssh2_userauth_publickey_frommemory(
			conn->session, config->user, strlen(config->user), NULL, 0, key, len, NULL));
	sodium_free(key);
	if (is_key_error(rc))
		return errmsg_set(conn->call->msg, -ERR_SECRET_FILE,
			"backend '%s': %s holds no private key that can be used without a passphrase", config->name,
			conn->sftp->key.name);
	return rc ? ssh_error(conn, "the login failed") : 0;
}

static int channel_open(struct sftp_conn *conn)
{
	do
		conn->channel = libssh2_sftp_init(conn->session);
	while (!conn->channel && libssh2_session_last_errno(conn->session) == LIBSSH2_ERROR_EAGAIN &&
		sftp_conn_wait(conn));
	sftp_conn_answered(conn);
	return conn->channel ? 0 : ssh_error(conn, "it does not offer SFTP");
}

static int ssh_open(struct sftp_conn *conn, const struct guard_facts *facts)
{
	char key[SFTP_HOST_KEY_BYTES];
	struct sftp *s = conn->sftp;
	int rc;

	if (!(conn->session = sftp_memory_session(&conn->memory)))
		return -ENOMEM;
	libssh2_session_set_blocking(conn->session, 0);
	if ((rc = sftp_host_prefer(conn->session)) < 0)
		return rc;
	AWAIT(conn, rc, libssh2_session_handshake(conn->session, conn->fd));
	if (rc)
		return ssh_error(conn, "the SSH handshake failed");
	if ((rc = sftp_host_check(s->backend.config, conn->session, s->host, s->port, key, conn->call->msg)) < 0)
		return rc;
	guard_connected(s->backend.config, conn->call, facts, key, true);
	if ((rc = log_in(conn)) < 0)
		return rc;
	return channel_open(conn);
}

/* The socket goes first: what libssh2 has left to say to the server would only be waited for. */
static void conn_close(struct sftp_conn *conn)
{
	if (conn->fd >= 0)
		shutdown(conn->fd, SHUT_RDWR);
	for (int i = 0; conn->channel && i < CLOSE_TRIES; i++)
		if (libssh2_sftp_shutdown(conn->channel) != LIBSSH2_ERROR_EAGAIN)
			break;
	for (int i = 0; conn->session && i < CLOSE_TRIES; i++)
		if (libssh2_session_free(conn->session) != LIBSSH2_ERROR_EAGAIN)
			break;
	if (conn->session)
		sftp_memory_free(&conn->memory);
	if (conn->easy && conn->multi)
		curl_multi_remove_handle(conn->multi, conn->easy);
	curl_easy_cleanup(conn->easy);
	curl_multi_cleanup(conn->multi);
	conn->channel = NULL;
	conn->session = NULL;
	conn->easy = NULL;
	conn->multi = NULL;
	conn->fd = -1;
	conn->broken = false;
}

void sftp_conn_destroy(struct conn_slot *place)
{
	struct sftp_conn *conn = container_of(place, struct sftp_conn, place);

	conn_close(conn);
	free(conn);
}

static struct conn_slot *conn_new(void *sftp)
{
	struct sftp_conn *conn = calloc(1, sizeof *conn);

	if (!conn)
		return NULL;
	conn->sftp = sftp;
	conn->fd = -1;
	return &conn->place;
}

/* its server has not closed it meanwhile */
static bool is_alive(const struct sftp_conn *conn)
{
	char byte;
	ssize_t n = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n > 0 || (n < 0 && errno == EAGAIN);
}

static int conn_begin(struct sftp_conn *conn)
{
	struct guard_facts facts;
	int rc;

	if (conn->fd >= 0 && !is_alive(conn))
		conn_close(conn);
	if (conn->fd >= 0)
		return (rc = attach(conn)) < 0 ? rc : check_peer(conn, &facts);
	if ((rc = tcp_open(conn)) < 0 || (rc = attach(conn)) < 0 || (rc = check_peer(conn, &facts)) < 0)
		return rc;
	return ssh_open(conn, &facts);
}

int sftp_conn_take(struct sftp *s, struct call *c, struct sftp_conn **out)
{
	struct sftp_conn *conn;
	struct conn_slot *place;
	int rc = conn_pool_take(&s->pool, c, s->backend.config, conn_new, s, &place);

	*out = NULL;
	if (rc < 0)
		return rc;
	conn = container_of(place, struct sftp_conn, place);
	conn->call = c;
	conn->rc = conn->refused = 0;
	sftp_conn_answered(conn);
	list_init(&conn->hook.link);
	if ((rc = conn_begin(conn)) < 0) {
		conn->broken = true;
		sftp_conn_give(conn);
		/* a cut shows as whatever libssh2 made of the reset; say what it was */
		return call_state(c) < 0 ? call_state(c) : rc;
	}
	*out = conn;
	return 0;
}

void sftp_conn_give(struct sftp_conn *conn)
{
	call_detach(conn->call, &conn->hook);
	errmsg_free(&conn->refused_msg);
	conn->call = NULL;
	if (conn->broken)
		conn_close(conn);
	conn_pool_give(&conn->sftp->pool, &conn->place);
}

int sftp_conn_status(struct sftp_conn *conn, int rc)
{
	int status = -1;

	if (rc >= 0)
		return LIBSSH2_FX_OK;
	if (rc == LIBSSH2_ERROR_SFTP_PROTOCOL && !conn->rc)
		status = (int)libssh2_sftp_last_error(conn->channel);
	if (status > 0)
		return status;
	/* an answer that libssh2 did not understand. (Before 1.11 it leaves the status of an earlier call there: a
	 * server that wants us to see that one could as well give it.) */
	conn->broken = true;
	return -1;
}

static const struct {
	int status, rc;
} statuses[] = {
	{ LIBSSH2_FX_PERMISSION_DENIED, -ERR_DENIED },
	{ LIBSSH2_FX_WRITE_PROTECT, -ERR_DENIED },
	{ LIBSSH2_FX_NO_SPACE_ON_FILESYSTEM, -ERR_QUOTA },
	{ LIBSSH2_FX_QUOTA_EXCEEDED, -ERR_QUOTA },
	{ LIBSSH2_FX_FAILURE, -ERR_SERVER },
	{ LIBSSH2_FX_NO_SUCH_FILE, -ERR_SERVER }, /* where it may mean more, the caller knows */
	{ LIBSSH2_FX_NO_SUCH_PATH, -ERR_SERVER },
	{ LIBSSH2_FX_NO_CONNECTION, -ERR_UNREACHABLE },
	{ LIBSSH2_FX_CONNECTION_LOST, -ERR_UNREACHABLE },
};

int sftp_conn_error(struct sftp_conn *conn, int status, const char *what)
{
	int rc = -ERR_PROTOCOL, state = call_state(conn->call);

	if (state < 0 && state != -ERR_TIMEOUT)
		return state;
	if (status < 0)
		return ssh_error(conn, what);
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (statuses[i].status == status)
			rc = statuses[i].rc;
	return errmsg_set(conn->call->msg, rc, "backend '%s': %s in %s on %s (SFTP status %d)",
		conn->sftp->backend.config->name, what, conn->sftp->root, conn->sftp->host, status);
}
