/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a part of an object from one of the backends that hold it. */
#include "fs/transfer/internal.h"

#define SLACK_NS (500 * NS_PER_MS) /* that a person waits beyond the configured timeout, at most */

/* A read from whichever replica gives it. The timeout bounds the silence over queues, tries and replicas together: who
 * waits does not wait it once for each. Bytes that come buy more time, up to end_ns. */
struct reading {
	struct sink sink; /* of the attempt under way; passes on to `body` */
	struct sink_memory body;
	struct transfer *t;
	const struct object_read *read;
	const struct object_info *info;
	struct object_range range;
	int64_t quiet_since_ns, end_ns; /* monotonic */
	unsigned hopes;			/* replicas to be tried that may answer; the time that is left is shared */
	/* of the attempt under way */
	struct endpoint *endpoint;
	struct call *call;
};

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

static int64_t give_up_ns(const struct reading *r)
{
	int64_t timeout = r->endpoint->backend->config->timeout_ns, now = clock_mono_ns(), left;

	if (!r->read->quick || timeout <= 0)
		return r->end_ns;
	left = r->quiet_since_ns + timeout - now;
	left = (left > 0 ? left / (r->hopes ? r->hopes : 1) : 0) + SLACK_NS;
	return left < r->end_ns - now ? now + left : r->end_ns;
}

static int reading_write(struct sink *sink, const void *data, size_t len)
{
	struct reading *r = container_of(sink, struct reading, sink);

	r->quiet_since_ns = clock_mono_ns();
	r->call->deadline_ns = give_up_ns(r);
	return r->body.sink.write(&r->body.sink, data, len);
}

static int get_range(struct reading *r, struct endpoint *s)
{
	const struct object_ref *ref = &r->info->ref;
	char name[OBJECT_NAME_BYTES];
	struct flight f;
	int rc;

	object_name(ref->id, name);
	flight_init(&f, r->t);
	r->endpoint = s;
	r->call = &f.call;
	r->body.len = 0;
	f.call.deadline_ns = give_up_ns(r);
	f.call.retry_quick = r->read->quick;
	flight_begin(&f, s);
	rc = backend_get(s->backend, &f.call, name, r->range.object_off, r->range.object_len, &r->sink);
	flight_end(&f);
	if (rc == 0 && r->body.len != r->range.object_len)
		rc = -ERR_PROTOCOL;
	if (rc == 0)
		rc = object_open_range(r->t->keyring, ref, &r->range, r->body.data, r->read->out);
	if (rc < 0)
		log_failure(s, name, &r->range, &f.msg, rc);
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

static unsigned count_up(struct transfer *t, const struct object_info *info)
{
	unsigned n = 0;

	for (size_t i = 0; i < info->replica_count; i++) {
		struct endpoint *s;
		bool down;

		if (info->replicas[i].state != REPLICA_STORED)
			continue;
		s = endpoint_take(t, info->replicas[i].backend_id, &down);
		n += s && !down;
		endpoint_put(t, s);
	}
	return n;
}

/* Backends that are up first, then the others, which answer at once when their breaker is open; each once, though one
 * may go up or down meanwhile. */
static int try_all(struct reading *r)
{
	size_t count = r->info->replica_count;
	bool *tried = calloc(count + 1, sizeof *tried);
	int rc = -ERR_UNREACHABLE, worst = 0;

	if (!tried)
		return -ENOMEM;
	r->hopes = count_up(r->t, r->info);
	for (size_t n = 0; n < 2 * count && rc != 0; n++) {
		size_t i = n % count;
		struct endpoint *s;
		bool down;

		if (tried[i] || r->info->replicas[i].state != REPLICA_STORED)
			continue;
		s = endpoint_take(r->t, r->info->replicas[i].backend_id, &down);
		if (s && (!down || n >= count)) {
			tried[i] = true;
			rc = get_range(r, s);
			worst = worse(worst, rc);
			r->hopes -= r->hopes > 0;
		}
		endpoint_put(r->t, s);
	}
	free(tried);
	return rc == 0 || !worst ? rc : worst;
}

int replica_read(struct transfer *t, struct object_read *read)
{
	struct object_info info = { 0 };
	struct reading r = { .sink = { reading_write }, .t = t, .read = read, .info = &info };
	uint8_t *body = NULL;
	int rc = meta_object_get(t->meta, read->id, &info);

	r.quiet_since_ns = clock_mono_ns();
	r.end_ns = r.quiet_since_ns + FETCH_DEADLINE_NS;
	if (rc == 0)
		rc = object_range(&info.ref, read->off, read->len, &r.range);
	if (rc == 0 && !(body = malloc(r.range.object_len)))
		rc = -ENOMEM;
	if (rc == 0) {
		read->skip = (uint32_t)(read->off - r.range.plain_off);
		sink_memory(&r.body, body, r.range.object_len);
		rc = try_all(&r);
	}
	free(body);
	object_info_free(&info);
	return rc == -ERR_ABSENT ? -ERR_LOST : rc;
}
