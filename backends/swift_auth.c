/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/swift_auth.h"

#include "backends/swift_error.h"
#include "backends/swift_json.h"
#include "backends/url.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RENEW_BEFORE_NS (60 * NS_PER_S) /* its end, or in the last tenth of a shorter life */
#define RENEW_AGAIN_NS	(30 * NS_PER_S) /* after a renewal that failed while the old token is still good */
#define LIFETIME_MAX_S	(10 * 365 * 86400LL)
#define TOKEN_BYTES_MAX (32u << 10)

/* a thread that waits for the token which another one asks for; the auth's lock */
struct swift_waiter {
	struct list link;
	struct call_waiter wait;
};

/* what a login brought */
struct grant {
	char *token; /* sodium_malloc */
	char *url;   /* NULL: not said */
	int64_t lifetime_s;
};

static void grant_free(struct grant *g)
{
	sodium_free(g->token);
	free(g->url);
}

static int make_base(struct swift_auth *a, const struct url *url)
{
	struct buf base = BUF_INIT;
	size_t len = strlen(url->path);

	while (len && url->path[len - 1] == '/')
		len--;
	buf_put(&base, url->path, len);
	buf_str(&base, "/");
	url_encode(&base, a->config->bucket, 0);
	a->base = buf_steal(&base);
	a->origin = strdup(url->origin);
	return a->base && a->origin ? 0 : -ENOMEM;
}

/* The storage must be where the configuration points: its address is judged as any other, but a token and data would
 * go to whatever host inside the zone's networks a login service names. */
static int check_host(struct swift_auth *a, const struct url *url, struct http *http, struct errmsg *msg)
{
	bool tls = strcmp(url->scheme, "https") == 0;

	if (a->config->storage_url)
		return 0;
	if (!tls && !strncmp(a->config->endpoint, "https:", 6))
		return errmsg_set(msg, -ERR_REDIRECT,
			"backend '%s': %s points to the storage URL %s, which is not https as auth-url is",
			a->config->name, http_host(a->http), url->origin);
	if (strcasecmp(http_host(http), http_host(a->http)) != 0)
		return errmsg_set(msg, -ERR_REDIRECT,
			"backend '%s': %s points to storage on another host, %s; nothing was sent there. If that is "
			"right, write the whole storage URL as storage-url",
			a->config->name, http_host(a->http), http_host(http));
	return 0;
}

static int adopt(struct swift_auth *a, const char *text, struct errmsg *msg)
{
	struct http *http = NULL;
	struct url url = { 0 };
	int rc = url_parse(text, &url);

	if (!rc && strcmp(url.scheme, "https") && strcmp(url.scheme, "http"))
		rc = -ERR_CONFIG;
	if (rc == -ERR_CONFIG)
		rc = errmsg_set(msg, -ERR_PROTOCOL, "backend '%s': %s gave no http or https URL of its storage",
			a->config->name, http_host(a->http));
	if (!rc && !(rc = http_new_at(&http, a->config, text, msg)) && !(rc = check_host(a, &url, http, msg)) &&
		!(rc = make_base(a, &url)) && !(a->storage_url = strdup(text)))
		rc = -ENOMEM;
	if (rc < 0) {
		free(a->base);
		free(a->origin);
		a->base = a->origin = NULL;
		http_free(http);
	} else {
		a->storage = http;
	}
	url_free(&url);
	return rc;
}

static int learn_storage(struct swift_auth *a, const char *url, struct errmsg *msg)
{
	if (a->config->storage_url)
		return 0;
	if (!url)
		return http_misanswered(a->http, "it gave a token, but no storage URL", msg);
	if (!a->storage)
		return adopt(a, url, msg);
	if (strcmp(url, a->storage_url) != 0)
		return errmsg_set(msg, -ERR_REDIRECT,
			"backend '%s': %s now points to the storage URL %s, and to %s before; mount again if that is "
			"right",
			a->config->name, http_host(a->http), url, a->storage_url);
	return 0;
}

static int check_config(const struct config_backend *c, struct errmsg *msg)
{
	const char *colon = c->user ? strchr(c->user, ':') : NULL;

	if (!c->endpoint || !c->bucket || !*c->bucket || !c->prefix)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': auth-url and container are needed", c->name);
	if (c->auth_version == SWIFT_AUTH_1 && (!colon || colon == c->user || !colon[1]))
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': user must be ACCOUNT:USER", c->name);
	if (c->auth_version == SWIFT_AUTH_3 && !c->application_credential && (!c->user || !c->project || !c->domain))
		return errmsg_set(msg, -ERR_CONFIG,
			"backend '%s': user, project and domain are needed, or application-credential", c->name);
	return 0;
}

int swift_auth_init(struct swift_auth *a, const struct config_backend *config, struct errmsg *msg)
{
	int rc = check_config(config, msg);

	memset(a, 0, sizeof *a);
	a->config = config;
	pthread_mutex_init(&a->lock, NULL);
	list_init(&a->waiters);
	if (rc < 0)
		return rc;
	rc = secret_init(&a->secret, config, "password-file", config->password_file, SWIFT_SECRET_BYTES_MAX, msg);
	if (!rc)
		rc = http_new(&a->http, config, msg);
	if (!rc && config->storage_url)
		rc = adopt(a, config->storage_url, msg);
	return rc;
}

void swift_auth_destroy(struct swift_auth *a)
{
	if (a->secret.config)
		secret_destroy(&a->secret);
	http_free(a->http);
	http_free(a->storage);
	sodium_free(a->token);
	free(a->storage_url);
	free(a->origin);
	free(a->base);
	errmsg_free(&a->sentence);
	pthread_mutex_destroy(&a->lock);
}

/* One request of a login. */
struct login {
	struct http_request http;
	struct http_response response;
	struct swift_auth *auth;
	struct call *call;
};

static int refused(struct login *l)
{
	const struct config_backend *config = l->auth->config;
	int status = l->response.status, rc = swift_error_from(status);

	if (status == 404)
		return errmsg_set(l->call->msg, rc, "backend '%s': %s answered 404 to the login; check auth-url",
			config->name, http_host(l->auth->http));
	return errmsg_set(l->call->msg, rc, "backend '%s': %s answered %d to the login%s", config->name,
		http_host(l->auth->http), status,
		rc != -ERR_DENIED ? ""
				  : "; check user and password-file, and what auth-version and the rest say of them");
}

static int login_perform(struct login *l)
{
	int rc = http_perform(l->auth->http, l->call, &l->http, &l->response);

	l->call->retry_after_ns = l->response.retry_after_ns;
	if (!rc && l->response.status / 100 != 2)
		rc = refused(l);
	return rc;
}

static int take_token(struct login *l, const char *token, struct grant *g)
{
	size_t len = token ? strlen(token) : 0;

	if (!len || len > TOKEN_BYTES_MAX)
		return http_misanswered(l->auth->http, "it accepted the login, but gave no token", l->call->msg);
	if (!(g->token = sodium_malloc(len + 1)))
		return -ENOMEM;
	memcpy(g->token, token, len + 1);
	return 0;
}

static int64_t seconds(const char *v)
{
	return v && *v && strspn(v, "0123456789") == strlen(v) && strlen(v) < 12 ? strtoll(v, NULL, 10) : -1;
}

/* A line break would be the end of the header, and what follows another one. */
static int credentials(struct http_request *http, struct buf *lines)
{
	struct login *l = container_of(http, struct login, http);
	const char *text;
	int rc = secret_lock(&l->auth->secret, l->call, &text);

	if (rc < 0)
		return rc;
	if (strpbrk(text, "\r\n"))
		rc = errmsg_set(l->call->msg, -ERR_SECRET_FILE, "backend '%s': %s has more than one line",
			l->auth->config->name, l->auth->secret.name);
	else
		buf_printf(lines, "X-Auth-User: %s%cX-Auth-Key: %s%c", l->auth->config->user, 0, text, 0);
	secret_unlock(&l->auth->secret);
	return rc;
}

static int login_v1(struct swift_auth *a, struct call *c, struct grant *g)
{
	struct login l = { .auth = a, .call = c };
	int rc;

	l.http = (struct http_request){
		.method = "GET",
		.url = a->config->endpoint,
		.prepare = credentials,
		.keep = { "X-Auth-Token", "X-Storage-Url", "X-Auth-Token-Expires" },
	};
	rc = login_perform(&l);
	if (!rc)
		rc = take_token(&l, l.response.kept[0], g);
	g->lifetime_s = seconds(l.response.kept[2]);
	if (!rc && l.response.kept[1] && !(g->url = strdup(l.response.kept[1])))
		rc = -ENOMEM;
	http_response_free(&l.response);
	return rc;
}

static int json_type(struct http_request *http, struct buf *lines)
{
	(void)http;
	buf_printf(lines, "Content-Type: application/json%cAccept: application/json%c", 0, 0);
	return 0;
}

static int read_catalogue(struct login *l, const struct buf *body, struct grant *g)
{
	const struct config_backend *config = l->auth->config;
	struct swift_catalogue c = { .region = config->region, .interface = config->interface };
	int rc = swift_json_catalogue(body->data, body->len, &c);

	if (rc == -ERR_PROTOCOL)
		rc = http_misanswered(l->auth->http, "its token's document cannot be understood", l->call->msg);
	if (!rc && !c.url && !config->storage_url)
		rc = errmsg_set(l->call->msg, -ERR_CONFIG,
			"backend '%s': the catalogue of %s has not exactly one object store for region %s, interface "
			"%s; "
			"it offers %s. Correct region and interface, or write storage-url",
			config->name, http_host(l->auth->http), config->region ? config->region : "(none given)",
			config->interface, c.offered[0] ? c.offered : "none");
	g->url = c.url;
	g->lifetime_s = c.lifetime_s;
	return rc;
}

static int login_v3(struct swift_auth *a, struct call *c, struct grant *g)
{
	struct login l = { .auth = a, .call = c };
	struct buf url = BUF_INIT;
	struct source_memory body;
	struct sink_buf answer;
	char *text = NULL;
	size_t len;
	const char *password;
	int rc = secret_lock(&a->secret, c, &password);

	if (rc < 0)
		return rc;
	rc = swift_json_login(a->config, password, &text, &len);
	secret_unlock(&a->secret);
	if (rc == -ERR_SECRET_FILE)
		rc = errmsg_set(c->msg, rc, "backend '%s': %s is not UTF-8", a->config->name, a->secret.name);
	buf_printf(&url, "%s/auth/tokens", a->config->endpoint);
	l.http = (struct http_request){
		.method = "POST",
		.url = (const char *)url.data,
		.body = rc ? NULL : source_memory(&body, text, len),
		.prepare = json_type,
		.sink = sink_buf(&answer),
		.sink_max = SWIFT_JSON_BYTES_MAX,
		.keep = { "X-Subject-Token" },
	};
	if (!rc)
		rc = url.err ? url.err : login_perform(&l);
	if (!rc && !(rc = take_token(&l, l.response.kept[0], g)))
		rc = read_catalogue(&l, &answer.buf, g);
	http_response_free(&l.response);
	buf_free(&answer.buf);
	buf_free(&url);
	sodium_free(text);
	return rc;
}

static int64_t renewal(int64_t made_ns, int64_t lifetime_s)
{
	int64_t life, before;

	if (lifetime_s < 0 || lifetime_s > LIFETIME_MAX_S)
		return INT64_MAX;
	life = lifetime_s * NS_PER_S;
	before = life / 10 < RENEW_BEFORE_NS ? life / 10 : RENEW_BEFORE_NS;
	return made_ns + life - before;
}

/* Called with the lock. Takes the token. */
static void install(struct swift_auth *a, struct grant *g, int64_t made_ns)
{
	sodium_free(a->token);
	a->token = g->token;
	g->token = NULL;
	a->generation++;
	a->valid = true;
	a->renew_ns = renewal(made_ns, g->lifetime_s);
}

/* Called with the lock: tells those who wait how it ended. Where only the call of the one who asked ended, the next of
 * them asks. */
static void conclude(struct swift_auth *a, int rc, bool own, const struct errmsg *msg)
{
	a->asking = false;
	a->attempts++;
	a->failure = own ? 0 : rc;
	errmsg_free(&a->sentence);
	if (a->failure && msg->text)
		errmsg_set(&a->sentence, rc, "%s", msg->text);
	list_for_each (it, &a->waiters)
		call_wake(&list_entry(it, struct swift_waiter, link)->wait);
}

/* Called with the lock, which it drops while it asks. */
static int ask(struct swift_auth *a, struct call *c)
{
	struct errmsg *outer = c->msg, msg = { 0 };
	int64_t made_ns = clock_mono_ns();
	struct grant g = { .lifetime_s = -1 };
	int rc;

	a->asking = true;
	pthread_mutex_unlock(&a->lock);
	c->msg = &msg;
	rc = a->config->auth_version == SWIFT_AUTH_3 ? login_v3(a, c, &g) : login_v1(a, c, &g);
	c->msg = outer;
	pthread_mutex_lock(&a->lock);
	if (!rc && !(rc = learn_storage(a, g.url, &msg)))
		install(a, &g, made_ns);
	conclude(a, rc, call_state(c) < 0, &msg);
	if (rc < 0 && a->valid && call_state(c) == 0) {
		log_warn("%s; the token made before stays in use", errmsg_text(&msg, rc));
		a->renew_ns = clock_mono_ns() + RENEW_AGAIN_NS;
		rc = 0;
	}
	if (rc < 0 && msg.text)
		errmsg_set(outer, rc, "%s", msg.text);
	errmsg_free(&msg);
	grant_free(&g);
	return rc;
}

/* Called with the lock, which it drops while it waits: 0 to look again. */
static int wait_for_other(struct swift_auth *a, struct call *c)
{
	unsigned attempts = a->attempts;
	struct swift_waiter w;
	int rc;

	call_waiter_init(&w.wait, c);
	list_append(&a->waiters, &w.link);
	pthread_mutex_unlock(&a->lock);
	rc = call_wait(&w.wait, INT64_MAX);
	pthread_mutex_lock(&a->lock);
	list_remove(&w.link);
	call_waiter_destroy(&w.wait);
	if (!rc && a->attempts != attempts && a->failure)
		rc = errmsg_set(c->msg, a->failure, "%s", errmsg_text(&a->sentence, a->failure));
	return rc;
}

int swift_auth_need(struct swift_auth *a, struct call *c)
{
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	while (!rc && a->asking && !a->valid)
		rc = wait_for_other(a, c);
	if (!rc && !a->asking && (!a->valid || clock_mono_ns() >= a->renew_ns))
		rc = ask(a, c);
	pthread_mutex_unlock(&a->lock);
	return rc;
}

void swift_auth_line(struct swift_auth *a, struct buf *lines, unsigned *generation)
{
	pthread_mutex_lock(&a->lock);
	buf_printf(lines, "X-Auth-Token: %s%c", a->token, 0);
	*generation = a->generation;
	pthread_mutex_unlock(&a->lock);
}

void swift_auth_refused(struct swift_auth *a, unsigned generation)
{
	pthread_mutex_lock(&a->lock);
	if (a->generation == generation)
		a->valid = false;
	pthread_mutex_unlock(&a->lock);
}
