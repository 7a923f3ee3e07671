/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a part of an object from one of the backends that hold it. */
#include "fs/transfer/internal.h"

size_t object_read_room(uint32_t len)
{
	return ((size_t)len + SEGMENT_DATA - 1) / SEGMENT_DATA * SEGMENT_DATA + SEGMENT_DATA;
}

static struct endpoint *endpoint_take(struct transfer *t, uint32_t backend_id, bool *down)
{
	struct endpoint *s;

	pthread_mutex_lock(&t->lock);
	s = endpoint_by_id(t, backend_id);
	if (s)
		endpoint_ref(s);
	pthread_mutex_unlock(&t->lock);
	*down = s && backend_is_down(s->backend, NULL);
	return s;
}

/* Damage that the driver saw comes with its sentence; what only the seal tells has none. */
static void log_failure(
	const struct endpoint *s, const char *name, const struct object_range *range, const struct errmsg *msg, int rc)
{
	const char *backend = s->backend->config->name;
	char says[512];

	if (rc == -ERR_TAMPERED && msg->text)
		log_error("object %s is damaged: %s", name, endpoint_says(s, msg->text, says, sizeof says));
	else if (rc == -ERR_TAMPERED)
		log_error("object %s on backend '%s' failed authentication: it was changed there (segments from %llu)",
			name, backend, (unsigned long long)range->first_segment);
	else if (rc == -ERR_ABSENT)
		log_error("object %s is not on backend '%s', which had confirmed it", name, backend);
	else if (rc == -ERR_PROTOCOL)
		log_warn("object %s: %s", name, endpoint_says(s, errmsg_text(msg, rc), says, sizeof says));
	else
		log_debug("object %s from backend '%s': %s", name, backend, errmsg_text(msg, rc));
}

static int get_range(struct transfer *t, struct endpoint *s, const struct object_ref *ref,
	const struct object_range *range, const struct object_read *read, uint8_t *body)
{
	char name[OBJECT_NAME_BYTES];
	struct sink_memory sink;
	struct flight f;
	int rc;

	object_name(ref->id, name);
	flight_init(&f, t);
	f.call.deadline_ns = clock_mono_ns() + FETCH_DEADLINE_NS;
	f.call.retry_quick = read->quick;
	flight_begin(&f, s);
	rc = backend_get(s->backend, &f.call, name, range->object_off, range->object_len,
		sink_memory(&sink, body, range->object_len));
	flight_end(&f);
	if (rc == 0 && sink.len != range->object_len)
		rc = -ERR_PROTOCOL;
	if (rc == 0)
		rc = object_open_range(t->keyring, ref, range, body, read->out);
	if (rc < 0)
		log_failure(s, name, range, &f.msg, rc);
	flight_free(&f);
	return rc;
}

/* What to report when no replica could be read: one that may come back leaves hope; else what is wrong with the data.
 */
static int worse(int have, int rc)
{
	bool have_final = have == -ERR_TAMPERED || have == -ERR_ABSENT || have == 0;

	if (rc == -ERR_TAMPERED)
		return have_final ? rc : have;
	if (rc == -ERR_ABSENT)
		return have == 0 ? rc : have;
	return have_final ? rc : have;
}

/* Backends that are up first, then the others, which answer at once when their breaker is open; each once, though one
 * may go up or down meanwhile. */
static int try_all(struct transfer *t, const struct object_info *info, const struct object_range *range,
	const struct object_read *read, uint8_t *body)
{
	size_t count = info->replica_count;
	bool *tried = calloc(count + 1, sizeof *tried);
	int rc = -ERR_UNREACHABLE, worst = 0;

	if (!tried)
		return -ENOMEM;
	for (size_t n = 0; n < 2 * count && rc != 0; n++) {
		size_t i = n % count;
		struct endpoint *s;
		bool down;

		if (tried[i] || info->replicas[i].state != REPLICA_STORED)
			continue;
		s = endpoint_take(t, info->replicas[i].backend_id, &down);
		if (s && (!down || n >= count)) {
			tried[i] = true;
			rc = get_range(t, s, &info->ref, range, read, body);
			worst = worse(worst, rc);
		}
		endpoint_put(t, s);
	}
	free(tried);
	return rc == 0 || !worst ? rc : worst;
}

int replica_read(struct transfer *t, struct object_read *read)
{
	struct object_info info = { 0 };
	struct object_range range;
	uint8_t *body = NULL;
	int rc = meta_object_get(t->meta, read->id, &info);

	if (rc == 0)
		rc = object_range(&info.ref, read->off, read->len, &range);
	if (rc == 0 && !(body = malloc(range.object_len)))
		rc = -ENOMEM;
	if (rc == 0) {
		read->skip = (uint32_t)(read->off - range.plain_off);
		rc = try_all(t, &info, &range, read, body);
	}
	free(body);
	object_info_free(&info);
	return rc == -ERR_ABSENT ? -ERR_LOST : rc;
}
