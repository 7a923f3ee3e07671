/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cloud.h"

#include "backends/call.h"
#include "fs/transfer/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct object {
	struct object *next;
	enum cloud_side side;
	char backend[16], key[80];
	size_t len;
	uint8_t *data, *plain;
	struct cloud_member members[CLOUD_MEMBERS_MAX];
	size_t member_count;
	int64_t comes_ns; /* of one that is late */
};

struct hooked {
	struct call_hook hook;
	struct cloud_put *put;
};

static struct object *objects, *late;
static struct cloud_put *sending;
static struct keyring *keyring;
static bool dead;
static void (*body_came)(const struct cloud_put *);

void cloud_begin(void (*fn)(const struct cloud_put *))
{
	body_came = fn;
}

void cloud_keys(struct keyring *keys)
{
	keyring = keys;
}

void cloud_dead(bool is)
{
	dead = is;
	for (struct cloud_put *p = sending; p; p = p->next)
		if (is)
			stage_go(&p->stop);
}

static struct object **at(const char *backend, const char *key)
{
	struct object **o = &objects;

	while (*o && (strcmp((*o)->backend, backend) != 0 || strcmp((*o)->key, key) != 0))
		o = &(*o)->next;
	return o;
}

static void object_free(struct object *o)
{
	if (!o)
		return;
	free(o->data);
	free(o->plain);
	free(o);
}

static bool is_head(const char *key)
{
	return strncmp(key, "audit/", 6) == 0;
}

/* Opened as the store opens it: whoever has the bytes has these files in them. */
static void open_members(struct object *o)
{
	struct object_member *members = NULL;
	struct object_range range;
	struct object_ref ref;
	size_t count, need;

	if (object_open_header(keyring, o->data, o->len, &ref, &members, &count, &need) < 0 ||
		count > CLOUD_MEMBERS_MAX || object_range(&ref, 0, ref.plain_bytes, &range) < 0 ||
		!(o->plain = malloc(range.plain_len + 1)) ||
		object_open_range(keyring, &ref, &range, o->data + range.object_off, o->plain) < 0) {
		fprintf(stderr, "cloud: %s is no object of the store\n", o->key);
		abort();
	}
	for (size_t i = 0; i < count; i++)
		o->members[i] = (struct cloud_member){ members[i].ino, o->plain + members[i].offset, members[i].len };
	o->member_count = count;
	free(members);
}

/* ---- the driver ---- */

static enum cloud_side side_of(const struct backend *b)
{
	return b->config->zone->kind == ZONE_FOREIGN ? FAR : NEAR;
}

static struct object *receive(const struct backend *b, const char *key, struct source *source)
{
	struct object *o = calloc(1, sizeof(*o));

	if (!o || !(o->data = malloc(source->length)) || source->read(source, 0, o->data, source->length) < 0)
		abort();
	o->side = side_of(b);
	snprintf(o->backend, sizeof(o->backend), "%s", b->config->name);
	o->len = source->length;
	snprintf(o->key, sizeof(o->key), "%s", key);
	if (!is_head(key))
		open_members(o);
	return o;
}

static void store(struct object *o, bool is_late)
{
	struct object **list = is_late ? &late : &objects;

	o->comes_ns = stage_now() + CLOUD_LATE_NS;
	o->next = *list;
	*list = o;
}

static void cut(struct call_hook *hook)
{
	struct cloud_put *put = container_of(hook, struct hooked, hook)->put;

	put->cut = true;
	stage_go(&put->stop);
}

/* A piece of the body, as every driver takes it: not once the call is cut. */
static int take(struct cloud_put *put, struct call *c, uint64_t bytes)
{
	int rc;

	pthread_mutex_lock(&c->lock);
	if ((rc = c->cut) == 0) {
		c->body_sent += bytes;
		body_came(put);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void put_ended(struct cloud_put *put)
{
	struct cloud_put **p = &sending;

	while (*p != put)
		p = &(*p)->next;
	*p = put->next;
}

static void put_begun(struct cloud_put *put)
{
	struct cloud_put **p = &sending;

	while (*p)
		p = &(*p)->next;
	*p = put;
}

/* From the first half of the body to the answer. */
static int converse(struct cloud_put *put, struct call *c, struct object **o)
{
	uint64_t half = (*o)->len / 2;
	int rc = take(put, c, half);

	while (rc == 0 && !put->answer && !put->cut && !dead) {
		stage_stop_at(&put->stop);
		if (dead || put->cut || !*o ||
			(!put->sent && put->answer != CLOUD_CONFIRM && put->answer != CLOUD_LATE))
			continue;
		put->sent = true;
		if ((rc = take(put, c, (*o)->len - half)) == 0) {
			store(*o, put->answer == CLOUD_LATE);
			*o = NULL;
		}
	}
	if (dead)
		return -ERR_STOPPED;
	if (rc < 0 || (rc = call_state(c)) < 0)
		return rc;
	if (put->answer == CLOUD_CONFIRM)
		return 0;
	return put->sent ? -ERR_TIMEOUT : -ERR_UNREACHABLE;
}

static int cloud_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct cloud_put put = { .side = side_of(b), .began_ns = stage_now() };
	struct hooked hooked = { .hook.cut = cut, .put = &put };
	struct object *o;
	int rc;

	if (dead)
		return -ERR_STOPPED;
	if (*at(b->config->name, key))
		return -ERR_EXISTS;
	o = receive(b, key, source);
	if (is_head(key)) {
		store(o, false);
		return 0;
	}
	snprintf(put.backend, sizeof(put.backend), "%s", b->config->name);
	snprintf(put.key, sizeof(put.key), "%s", key);
	memcpy(put.members, o->members, sizeof(put.members));
	put.member_count = o->member_count;
	if ((rc = call_attach(c, &hooked.hook)) == 0) {
		put_begun(&put);
		rc = converse(&put, c, &o);
		put_ended(&put);
		call_detach(c, &hooked.hook);
	}
	object_free(o);
	return rc;
}

static int cloud_get(struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	struct object *o = *at(b->config->name, key);

	(void)c;
	if (dead)
		return -ERR_STOPPED;
	if (!o)
		return -ERR_ABSENT;
	return off + len > o->len ? -ERR_TAMPERED : sink->write(sink, o->data + off, len);
}

static int cloud_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	struct object *o = *at(b->config->name, key);

	(void)c;
	if (dead || !o)
		return dead ? -ERR_STOPPED : -ERR_ABSENT;
	*size = o->len;
	return 0;
}

static int cloud_del(struct backend *b, struct call *c, const char *key)
{
	struct object **at_key = at(b->config->name, key), *o = *at_key;

	(void)c;
	if (dead)
		return -ERR_STOPPED;
	if (o)
		*at_key = o->next;
	object_free(o);
	return 0;
}

static int cloud_list(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	(void)b, (void)c, (void)fn, (void)ctx;
	return -ERR_STOPPED;
}

static int cloud_probe(struct backend *b, struct call *c)
{
	(void)b, (void)c;
	return dead ? -ERR_STOPPED : 0;
}

static void cloud_free(struct backend *b)
{
	free(b);
}

static const struct backend_ops ops = {
	.type = "cloud",
	.caps = BACKEND_RANGE | BACKEND_CREATE_ONLY,
	.put = cloud_put,
	.get = cloud_get,
	.head = cloud_head,
	.del = cloud_del,
	.list = cloud_list,
	.probe = cloud_probe,
	.free = cloud_free,
};

/* In place of the driver and its wrappers, which would try again and wait: that is the walk's to do. */
int __wrap_backend_open(struct backend **, struct config_backend *, uint32_t, bool, struct errmsg *);
int __wrap_backend_open(
	struct backend **out, struct config_backend *own, uint32_t zone_id, bool known, struct errmsg *m)
{
	struct backend *b = calloc(1, sizeof(*b));

	(void)m;
	if (!b)
		return -ENOMEM;
	*b = (struct backend){ .ops = &ops, .config = own, .zone_id = zone_id, .known = known };
	*out = b;
	return 0;
}

/* ---- the test's side ---- */

struct cloud_put *cloud_put_at(enum cloud_side side)
{
	struct cloud_put *p = sending;

	while (p && p->side != side)
		p = p->next;
	return p;
}

struct cloud_put *cloud_puts(void)
{
	return sending;
}

void cloud_send(struct cloud_put *put)
{
	put->sent = true;
	stage_go(&put->stop);
}

void cloud_say(struct cloud_put *put, enum cloud_answer answer)
{
	put->answer = answer;
	stage_go(&put->stop);
}

bool cloud_late(void)
{
	return late != NULL;
}

void cloud_come(void)
{
	struct object **at_late = &late;

	while (*at_late) {
		struct object *o = *at_late;

		if (o->comes_ns > stage_now()) {
			at_late = &o->next;
			continue;
		}
		*at_late = o->next;
		/* or the same was sent again meanwhile */
		if (*at(o->backend, o->key))
			object_free(o);
		else
			store(o, false);
	}
}

void cloud_each(
	enum cloud_side side, void (*fn)(void *ctx, const char *backend, const struct cloud_member *), void *ctx)
{
	for (const struct object *o = objects; o; o = o->next)
		for (size_t i = 0; o->side == side && i < o->member_count; i++)
			fn(ctx, o->backend, &o->members[i]);
}

size_t cloud_objects(enum cloud_side side)
{
	size_t n = 0;

	for (const struct object *o = objects; o; o = o->next)
		n += o->side == side && !is_head(o->key);
	for (const struct object *o = late; o; o = o->next)
		n += o->side == side;
	return n;
}
