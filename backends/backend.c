/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/backend.h"

#include "backends/wrap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int memory_read(struct source *s, uint64_t off, void *buf, size_t len)
{
	struct source_memory *m = container_of(s, struct source_memory, source);

	if (off > s->length || len > s->length - off)
		return -ERANGE;
	memcpy(buf, m->data + off, len);
	return 0;
}

struct source *source_memory(struct source_memory *m, const void *data, size_t len)
{
	m->source.length = len;
	m->source.read = memory_read;
	m->data = data;
	return &m->source;
}

static int memory_write(struct sink *s, const void *data, size_t len)
{
	struct sink_memory *m = container_of(s, struct sink_memory, sink);

	if (len > m->max - m->len)
		return -ERR_PROTOCOL;
	memcpy(m->data + m->len, data, len);
	m->len += len;
	return 0;
}

struct sink *sink_memory(struct sink_memory *m, void *data, size_t max)
{
	m->sink.write = memory_write;
	m->data = data;
	m->len = 0;
	m->max = max;
	return &m->sink;
}

static int buf_write(struct sink *s, const void *data, size_t len)
{
	struct sink_buf *b = container_of(s, struct sink_buf, sink);

	buf_put(&b->buf, data, len);
	return b->buf.err;
}

struct sink *sink_buf(struct sink_buf *b)
{
	memset(b, 0, sizeof *b);
	b->sink.write = buf_write;
	return &b->sink;
}

static const struct {
	const char *type;
	int (*open)(struct backend **, struct config_backend *, struct errmsg *);
} drivers[] = {
	{ "local", local_open },
	{ "s3", s3_open },
	{ "swift", swift_open },
	{ "sftp", sftp_open },
	{ "webdav", webdav_open },
	{ "azure", azure_open },
};
#define DRIVER_COUNT (sizeof drivers / sizeof drivers[0])

static int unknown_type(const struct config_backend *config, struct errmsg *msg)
{
	char known[128] = "";
	size_t len = 0;

	for (size_t i = 0; i < DRIVER_COUNT && len < sizeof known; i++)
		len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", i ? ", " : "", drivers[i].type);
	return errmsg_set(
		msg, -ERR_CONFIG, "backend '%s': unknown type '%s'; known are %s", config->name, config->type, known);
}

/* from the driver outwards */
static int (*const wrappers[])(struct backend **, struct backend *) = {
	limit_wrap,
	retry_wrap,
	breaker_wrap,
	meter_wrap,
};

static int wrap_all(struct backend **b)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof wrappers / sizeof wrappers[0]; i++)
		rc = wrappers[i](b, *b);
	return rc;
}

int backend_open(struct backend **out, struct config_backend *own, uint32_t zone_id, bool known, struct errmsg *msg)
{
	struct backend *b = NULL;
	size_t i = 0;
	int rc;

	*out = NULL;
	while (i < DRIVER_COUNT && strcmp(drivers[i].type, own->type))
		i++;
	if (i == DRIVER_COUNT)
		return unknown_type(own, msg);
	if ((rc = drivers[i].open(&b, own, msg)) < 0)
		return rc;
	b->config = own;
	b->zone_id = zone_id;
	b->known = known;
	if ((rc = wrap_all(&b)) < 0)
		return rc;
	*out = b;
	return 0;
}

void backend_free(struct backend *b)
{
	if (b)
		b->ops->free(b);
}

int backend_get(struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	return b->ops->get(b, c, key, off, len, sink);
}

int backend_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	return b->ops->head(b, c, key, size);
}

static int refuse_readonly(const struct backend *b, struct call *c)
{
	return errmsg_set(
		c->msg, -ERR_FROZEN, "backend '%s': nothing is deleted while its mode is readonly", b->config->name);
}

int backend_del(struct backend *b, struct call *c, const char *key)
{
	return b->config->mode == MODE_READONLY ? refuse_readonly(b, c) : b->ops->del(b, c, key);
}

int backend_list(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	return b->ops->list(b, c, fn, ctx);
}

int backend_probe(struct backend *b, struct call *c)
{
	return b->ops->probe(b, c);
}

void backend_status(struct backend *b, struct backend_status *out)
{
	memset(out, 0, sizeof *out);
	out->up = true;
	if (b->ops->status)
		b->ops->status(b, out);
}

bool backend_is_down(struct backend *b, int64_t *retry_at_ns)
{
	if (retry_at_ns)
		*retry_at_ns = 0;
	return b->ops->is_down && b->ops->is_down(b, retry_at_ns);
}
