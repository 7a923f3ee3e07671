/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backends of the configuration in force. */
#include "fs/transfer/internal.h"

#include <stdio.h>

struct endpoint *endpoint_ref(struct endpoint *s)
{
	s->refs++;
	return s;
}

static void endpoint_free(struct endpoint *s)
{
	backend_free(s->backend);
	config_put(s->config);
	free(s);
}

void endpoint_put(struct transfer *t, struct endpoint *s)
{
	bool last;

	if (!s)
		return;
	pthread_mutex_lock(&t->lock);
	last = --s->refs == 0;
	pthread_mutex_unlock(&t->lock);
	if (last)
		endpoint_free(s);
}

struct endpoint *endpoint_by_id(struct transfer *t, uint32_t id)
{
	for (size_t i = 0; i < t->endpoints.count; i++)
		if (t->endpoints.v[i]->id == id)
			return t->endpoints.v[i];
	return NULL;
}

/* ---- opening --------------------------------------------------------------------------------------------------------
 */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_list(char *const *a, char *const *b)
{
	size_t i = 0;

	if (!a || !b)
		return (!a || !*a) && (!b || !*b);
	for (; a[i] && b[i]; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return !a[i] && !b[i];
}

static bool same_networks(const struct config_zone *a, const struct config_zone *b)
{
	if (a->network_count != b->network_count)
		return false;
	for (size_t i = 0; i < a->network_count; i++)
		if (a->networks[i].bits != b->networks[i].bits ||
			memcmp(&a->networks[i].addr, &b->networks[i].addr, sizeof a->networks[i].addr) != 0)
			return false;
	return true;
}

static bool same_login(const struct config_backend *a, const struct config_backend *b)
{
	return same_text(a->access_key, b->access_key) && same_text(a->secret_key_file, b->secret_key_file) &&
	       same_text(a->user, b->user) && same_text(a->password_file, b->password_file) &&
	       same_text(a->key_file, b->key_file) && same_text(a->sas_file, b->sas_file) &&
	       same_text(a->secret_credential, b->secret_credential) &&
	       same_list(a->secret_command, b->secret_command) && a->auth_version == b->auth_version &&
	       same_text(a->project, b->project) && same_text(a->domain, b->domain) &&
	       same_text(a->application_credential, b->application_credential) &&
	       same_text(a->interface, b->interface) && same_text(a->storage_url, b->storage_url) &&
	       same_text(a->directory, b->directory) && same_text(a->key_file, b->key_file) &&
	       same_list(a->host_keys, b->host_keys) && same_text(a->known_hosts_file, b->known_hosts_file);
}

static bool same_hours(const struct config_backend *a, const struct config_backend *b)
{
	if (a->limit_hours_count != b->limit_hours_count)
		return false;
	for (size_t i = 0; i < a->limit_hours_count; i++)
		if (a->limit_hours[i].from != b->limit_hours[i].from || a->limit_hours[i].to != b->limit_hours[i].to)
			return false;
	return true;
}

/* Everything a driver reads from its configuration: a endpoint is kept over a reload only if all of it is the same. */
static bool same_backend(const struct config_backend *a, const struct config_backend *b)
{
	return same_text(a->name, b->name) && same_text(a->type, b->type) && same_text(a->endpoint, b->endpoint) &&
	       same_text(a->path, b->path) && same_text(a->region, b->region) && same_text(a->bucket, b->bucket) &&
	       same_text(a->prefix, b->prefix) && a->addressing == b->addressing && same_login(a, b) &&
	       same_text(a->ca_file, b->ca_file) && same_text(a->client_cert_file, b->client_cert_file) &&
	       same_text(a->client_key_file, b->client_key_file) && same_list(a->pins, b->pins) && a->mode == b->mode &&
	       a->connect_timeout_ns == b->connect_timeout_ns && a->timeout_ns == b->timeout_ns &&
	       a->connections == b->connections && a->upload_limit == b->upload_limit &&
	       a->download_limit == b->download_limit && same_hours(a, b) && same_text(a->zone->name, b->zone->name) &&
	       same_networks(a->zone, b->zone) && same_list(a->zone->countries, b->zone->countries) &&
	       same_text(a->zone->country_db_file, b->zone->country_db_file);
}

static int any_row(void *ctx, struct meta_row *row)
{
	(void)ctx;
	(void)row;
	return 1;
}

/* 1 where some object was confirmed on the backend, 0, or an error. */
static int has_objects(struct transfer *t, uint32_t backend_id)
{
	return meta_select(t->meta, "SELECT 1 FROM replica WHERE backend = ?1 AND state = 1 LIMIT 1", any_row, NULL,
		"i", (int64_t)backend_id);
}

static int endpoint_open(
	struct transfer *t, struct config *config, struct config_backend *b, struct endpoint **out, struct errmsg *msg)
{
	struct endpoint *s = calloc(1, sizeof *s);
	char *identity = config_backend_identity(b);
	int rc = s && identity ? 0 : -ENOMEM;

	if (rc == 0) {
		s->refs = 1;
		s->zone_id = place_zone_id(t->place, b->zone);
		s->config = config_get(config);
		s->deleter.wanted = true;
		s->deleter.wait_until_ns = 0;
		rc = meta_backend_id(t->meta, b->name, identity, s->zone_id, &s->id, msg);
	}
	if (rc == 0)
		rc = has_objects(t, s->id);
	if (rc >= 0)
		rc = backend_open(&s->backend, b, s->zone_id, rc > 0, msg);
	free(identity);
	if (rc < 0 && s)
		endpoint_free(s);
	*out = rc < 0 ? NULL : s;
	return rc;
}

static struct endpoint *endpoint_kept(struct transfer *t, const struct endpoints *old, const struct config_backend *b)
{
	struct endpoint *found = NULL;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; old && !found && i < old->count; i++)
		if (same_backend(old->v[i]->backend->config, b))
			found = endpoint_ref(old->v[i]);
	pthread_mutex_unlock(&t->lock);
	return found;
}

int endpoints_open(struct transfer *t, struct config *config, const struct endpoints *old, struct endpoints *out,
	struct errmsg *msg)
{
	int rc = 0;

	*out = (struct endpoints){ .v = calloc(config->backend_count + 1, sizeof *out->v) };
	if (!out->v)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < config->backend_count; i++) {
		struct config_backend *b = config->backends[i];

		if (!b->zone)
			continue;
		if (!(out->v[out->count] = endpoint_kept(t, old, b)))
			rc = endpoint_open(t, config, b, &out->v[out->count], msg);
		out->count += rc == 0;
	}
	if (rc < 0)
		endpoints_close(t, out);
	return rc;
}

void endpoints_close(struct transfer *t, struct endpoints *endpoints)
{
	for (size_t i = 0; i < endpoints->count; i++)
		endpoint_put(t, endpoints->v[i]);
	free(endpoints->v);
	*endpoints = (struct endpoints){ 0 };
}

/* ---- where an upload goes
 * --------------------------------------------------------------------------------------------- */

/* Some failures (credentials, quota, a bucket gone) are no matter of the network, so the breaker lets calls through;
 * but asking again for every block would only be noise. For those of the network the breaker knows best when to try
 * again. Calls that were under way when the first failed fail too, and must not add up. */
void endpoint_failed(struct endpoint *s, int rc)
{
	bool network = rc == -ERR_UNREACHABLE || rc == -ERR_TIMEOUT;

	if (rc == -ERR_REVOKED || rc == -ERR_STOPPED || s->avoid_until_ns > clock_mono_ns())
		return;
	s->failures += s->failures < 250;
	s->avoid_until_ns = retry_after_ns(network ? 0 : s->failures - 1);
}

void endpoint_worked(struct endpoint *s)
{
	s->failures = 0;
	s->avoid_until_ns = 0;
}

const char *backend_says(const struct backend *b, const char *message, char *out, size_t len)
{
	int named = snprintf(out, len, "backend '%s'", b->config->name);

	if (strncmp(message, out, (size_t)named) == 0)
		snprintf(out, len, "%s", message);
	else if ((size_t)named < len)
		snprintf(out + named, len - (size_t)named, ": %s", message);
	return out;
}

bool endpoint_takes(const struct endpoint *s, uint32_t zone_id, int64_t now, int64_t *until)
{
	int64_t retry = 0;

	if (s->zone_id != zone_id || s->backend->config->mode != MODE_READWRITE || s->closed)
		return false;
	if (backend_is_down(s->backend, &retry) || s->avoid_until_ns > now) {
		retry = retry > s->avoid_until_ns ? retry : s->avoid_until_ns;
		*until = retry < *until ? retry : *until;
		return false;
	}
	return true;
}

unsigned zone_copies(const struct transfer *t, uint32_t zone_id)
{
	const struct config_zone *zone = place_zone(t->place, t->config, zone_id);

	return zone && zone->copies > 1 ? zone->copies : 1;
}

int targets_pick(struct transfer *t, uint32_t zone_id, struct targets *out, int64_t *until)
{
	unsigned want = zone_copies(t, zone_id);
	int64_t now = clock_mono_ns();

	*until = now + RETRY_MAX_NS;
	out->count = 0;
	if (out->cap < t->endpoints.count) {
		struct endpoint **v = realloc(out->v, t->endpoints.count * sizeof *v);

		if (!v)
			return -ENOMEM;
		out->v = v;
		out->cap = t->endpoints.count;
	}
	for (size_t i = 0; out->count < want && i < t->endpoints.count; i++)
		if (endpoint_takes(t->endpoints.v[i], zone_id, now, until))
			out->v[out->count++] = t->endpoints.v[i];
	if (out->count < want) {
		out->count = 0;
		return -ERR_UNREACHABLE;
	}
	for (size_t i = 0; i < want; i++)
		endpoint_ref(out->v[i]);
	return 0;
}

void targets_drop(struct transfer *t, struct targets *targets)
{
	for (size_t i = 0; i < targets->count; i++)
		endpoint_put(t, targets->v[i]);
	targets->count = 0;
}

/* ---- probing
 * ----------------------------------------------------------------------------------------------------------- */

struct probe {
	struct transfer *t;
	struct endpoint *endpoint;
	pthread_t thread;
	bool started;
	int rc;
	struct errmsg msg;
};

#define PROBE_DEADLINE_NS (60 * NS_PER_S)

static void *probe_main(void *arg)
{
	struct probe *p = arg;
	struct flight f;

	flight_init(&f, p->t);
	f.call.deadline_ns = clock_mono_ns() + PROBE_DEADLINE_NS;
	f.call.retry_quick = true;
	flight_begin(&f, p->endpoint);
	p->rc = backend_probe(p->endpoint->backend, &f.call);
	flight_end(&f);
	if (p->rc < 0)
		errmsg_set(&p->msg, p->rc, "%s", errmsg_text(&f.msg, p->rc));
	flight_free(&f);
	return NULL;
}

/* Threads of their own, since a probe may come before transfer_start; as many as backends. */
int transfer_probe(struct transfer *t, struct errmsg *msg)
{
	struct probe *probes;
	size_t count;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	count = t->endpoints.count;
	probes = calloc(count + 1, sizeof *probes);
	for (size_t i = 0; probes && i < count; i++)
		probes[i] = (struct probe){ .t = t, .endpoint = endpoint_ref(t->endpoints.v[i]) };
	pthread_mutex_unlock(&t->lock);
	if (!probes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		probes[i].started = pthread_create(&probes[i].thread, NULL, probe_main, &probes[i]) == 0;
		if (!probes[i].started)
			probe_main(&probes[i]);
	}
	for (size_t i = 0; i < count; i++) {
		if (probes[i].started)
			pthread_join(probes[i].thread, NULL);
		if (probes[i].rc < 0 && rc == 0) {
			rc = probes[i].rc;
			errmsg_set(msg, rc, "%s", errmsg_text(&probes[i].msg, rc));
		}
		errmsg_free(&probes[i].msg);
		endpoint_put(t, probes[i].endpoint);
	}
	free(probes);
	return rc;
}
