/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/transfer/internal.h"

#define RATE_WINDOW_S 3.0

/* A smoothed rate from a counter looked at now and then: what happened since the last look weighs by how long it was.
 */
static uint64_t rate(struct rate *r, uint64_t total)
{
	int64_t now = clock_mono_ns();
	double s = (double)(now - r->at_ns) / NS_PER_S, weight;

	if (r->at_ns && s < 0.05)
		return (uint64_t)r->per_s;
	if (r->at_ns && total >= r->total) {
		weight = s / (s + RATE_WINDOW_S);
		r->per_s += ((double)(total - r->total) / s - r->per_s) * weight;
	}
	r->at_ns = now;
	r->total = total;
	return (uint64_t)r->per_s;
}

static int backend_fill(struct transfer *t, struct endpoint *s, struct transfer_backend_status *out)
{
	const struct config_backend *b = s->backend->config;
	int64_t n;

	out->name = strdup(b->name);
	out->zone = strdup(b->zone->name);
	out->type = strdup(b->type);
	out->kind = b->zone->kind;
	out->mode = b->mode;
	pthread_mutex_lock(&t->lock);
	out->closed = s->closed;
	pthread_mutex_unlock(&t->lock);
	backend_status(s->backend, &out->status);
	n = meta_deletion_count(t->meta, s->id);
	out->deletions_waiting = n > 0 ? (uint64_t)n : 0;
	if (n < 0)
		return (int)n;
	return out->name && out->zone && out->type ? 0 : -ENOMEM;
}

static bool takes_objects(struct transfer *t, const struct endpoint *s, const struct backend_status *status)
{
	bool takes;

	pthread_mutex_lock(&t->lock);
	takes = status->up && s->failures == 0 && !s->closed && s->backend->config->mode == MODE_READWRITE;
	pthread_mutex_unlock(&t->lock);
	return takes;
}

/* The zone of a backend, which is counted where it takes new objects. */
static int zone_fill(
	struct transfer *t, struct endpoint *s, const struct backend_status *status, struct transfer_status *out)
{
	const char *name = s->backend->config->zone->name;
	struct transfer_zone_status *z = out->zones;
	int64_t n, lost;

	while (z < out->zones + out->zone_count && strcmp(z->name, name) != 0)
		z++;
	if (z == out->zones + out->zone_count) {
		if (!(z->name = strdup(name)))
			return -ENOMEM;
		out->zone_count++;
		if ((n = meta_shortage_blocks(t->meta, s->zone_id, TRANSFER_SHORT_MAX)) < 0)
			return (int)n;
		if ((lost = meta_lost_blocks(t->meta, s->zone_id, TRANSFER_SHORT_MAX)) < 0)
			return (int)lost;
		z->blocks_short = (uint64_t)n;
		z->blocks_lost = (uint64_t)lost;
	}
	z->backends_taking += takes_objects(t, s, status);
	return 0;
}

static void files_fill(struct transfer *t, struct transfer_status *out)
{
	int64_t first = INT64_MAX;

	hash_for_each (node, &t->entries) {
		const struct entry *e = container_of(node, struct entry, node);

		out->files_waiting++;
		first = e->first_ns < first ? e->first_ns : first;
	}
	if (first != INT64_MAX)
		out->oldest_ns = clock_real_ns() - (clock_mono_ns() - first);
	out->uploads = t->uploading;
	out->fetches = t->fetching;
}

int transfer_status(struct transfer *t, struct transfer_status *out)
{
	uint64_t sent = 0, received = 0;
	struct endpoint **endpoints;
	size_t count;
	int rc = 0;

	memset(out, 0, sizeof *out);
	pthread_mutex_lock(&t->lock);
	files_fill(t, out);
	count = t->endpoints.count;
	endpoints = malloc((count + 1) * sizeof *endpoints);
	for (size_t i = 0; endpoints && i < count; i++)
		endpoints[i] = endpoint_ref(t->endpoints.v[i]);
	pthread_mutex_unlock(&t->lock);
	if (!endpoints)
		return -ENOMEM;
	out->backends = calloc(count + 1, sizeof *out->backends);
	out->zones = calloc(count + 1, sizeof *out->zones);
	if (!out->backends || !out->zones)
		rc = -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (rc == 0)
			rc = backend_fill(t, endpoints[i], &out->backends[out->backend_count++]);
		if (rc == 0)
			rc = zone_fill(t, endpoints[i], &out->backends[i].status, out);
		endpoint_put(t, endpoints[i]);
	}
	free(endpoints);
	for (size_t i = 0; i < out->backend_count; i++) {
		sent += out->backends[i].status.bytes_sent;
		received += out->backends[i].status.bytes_received;
	}
	pthread_mutex_lock(&t->lock);
	out->upload_bytes_per_s = rate(&t->sent, sent);
	out->download_bytes_per_s = rate(&t->received, received);
	pthread_mutex_unlock(&t->lock);
	cache_status(t->cache, &out->cache);
	out->bytes_waiting = out->cache.bytes_dirty;
	if (rc < 0)
		transfer_status_free(out);
	return rc;
}

void transfer_status_free(struct transfer_status *s)
{
	for (size_t i = 0; i < s->backend_count; i++) {
		free(s->backends[i].name);
		free(s->backends[i].zone);
		free(s->backends[i].type);
	}
	for (size_t i = 0; i < s->zone_count; i++)
		free(s->zones[i].name);
	free(s->backends);
	free(s->zones);
	s->backends = NULL;
	s->zones = NULL;
	s->backend_count = s->zone_count = 0;
}
