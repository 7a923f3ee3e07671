/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/wrap.h"

#include "backends/guard_pass.h"

static int around(struct backend *b, struct call *c, struct op *op)
{
	struct wrap *w = container_of(b, struct wrap, backend);

	return w->around(w, c, op);
}

static int wrap_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	return around(b, c, &(struct op){ .kind = OP_PUT, .key = key, .source = source });
}

static int wrap_get(struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	return around(b, c, &(struct op){ .kind = OP_GET, .key = key, .off = off, .len = len, .sink = sink });
}

static int wrap_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	return around(b, c, &(struct op){ .kind = OP_HEAD, .key = key, .size = size });
}

static int wrap_del(struct backend *b, struct call *c, const char *key)
{
	return around(b, c, &(struct op){ .kind = OP_DEL, .key = key });
}

static int wrap_list(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	return around(b, c, &(struct op){ .kind = OP_LIST, .fn = fn, .ctx = ctx });
}

static int wrap_remnants(struct backend *b, struct call *c, struct backend_remnants *page)
{
	return around(b, c, &(struct op){ .kind = OP_REMNANTS, .page = page });
}

static int wrap_erase(struct backend *b, struct call *c, const struct backend_remnant *r)
{
	return around(b, c, &(struct op){ .kind = OP_ERASE, .key = r->key, .remnant = r });
}

static int wrap_probe(struct backend *b, struct call *c)
{
	return around(b, c, &(struct op){ .kind = OP_PROBE });
}

static int wrap_begin(struct backend *b, struct call *c, const char *key, struct multipart **upload)
{
	return around(b, c, &(struct op){ .kind = OP_BEGIN, .key = key, .begun = upload });
}

static int wrap_part(
	struct backend *b, struct call *c, struct multipart *upload, unsigned number, struct source *source)
{
	return around(b, c, &(struct op){ .kind = OP_PART, .upload = upload, .number = number, .source = source });
}

static int wrap_complete(struct backend *b, struct call *c, struct multipart *upload)
{
	return around(b, c, &(struct op){ .kind = OP_COMPLETE, .upload = upload });
}

static void wrap_abort(struct backend *b, struct call *c, struct multipart *upload)
{
	around(b, c, &(struct op){ .kind = OP_ABORT, .upload = upload });
}

static bool wrap_renew(struct backend *b, struct call *c)
{
	struct backend *inner = container_of(b, struct wrap, backend)->inner;

	return inner->ops->renew && inner->ops->renew(inner, c);
}

static void wrap_status(struct backend *b, struct backend_status *out)
{
	struct wrap *w = container_of(b, struct wrap, backend);

	backend_status(w->inner, out);
}

static bool wrap_is_down(struct backend *b, int64_t *retry_at_ns)
{
	struct wrap *w = container_of(b, struct wrap, backend);

	return backend_is_down(w->inner, retry_at_ns);
}

static void wrap_free(struct backend *b)
{
	struct wrap *w = container_of(b, struct wrap, backend);

	backend_free(w->inner);
	w->destroy(w);
}

void wrap_init(struct wrap *w, struct backend *inner, int (*fn)(struct wrap *, struct call *, struct op *),
	void (*destroy)(struct wrap *))
{
	w->ops = (struct backend_ops){
		.type = inner->ops->type,
		.caps = inner->ops->caps | BACKEND_WRAPS,
		.put = wrap_put,
		.get = wrap_get,
		.head = wrap_head,
		.del = wrap_del,
		.list = wrap_list,
		.remnants = inner->ops->remnants ? wrap_remnants : NULL,
		.erase = inner->ops->erase ? wrap_erase : NULL,
		.probe = wrap_probe,
		.multipart_begin = wrap_begin,
		.multipart_part = wrap_part,
		.multipart_complete = wrap_complete,
		.multipart_abort = wrap_abort,
		.renew = wrap_renew,
		.status = wrap_status,
		.is_down = wrap_is_down,
		.free = wrap_free,
	};
	w->backend = (struct backend){ .ops = &w->ops, .config = inner->config, .zone_id = inner->zone_id };
	w->inner = inner;
	w->around = fn;
	w->destroy = destroy;
}

int op_forward(struct backend *b, struct call *c, const struct op *op)
{
	switch (op->kind) {
	case OP_PUT:
		return guard_pass_put(b, c, op->key, op->source);
	case OP_GET:
		return b->ops->get(b, c, op->key, op->off, op->len, op->sink);
	case OP_HEAD:
		return b->ops->head(b, c, op->key, op->size);
	case OP_DEL:
		return b->ops->del(b, c, op->key);
	case OP_LIST:
		return b->ops->list(b, c, op->fn, op->ctx);
	case OP_REMNANTS:
		return b->ops->remnants(b, c, op->page);
	case OP_ERASE:
		return b->ops->erase(b, c, op->remnant);
	case OP_PROBE:
		return b->ops->probe(b, c);
	case OP_BEGIN:
		return b->ops->multipart_begin(b, c, op->key, op->begun);
	case OP_PART:
		return guard_pass_part(b, c, op->upload, op->number, op->source);
	case OP_COMPLETE:
		return b->ops->multipart_complete(b, c, op->upload);
	case OP_ABORT:
		b->ops->multipart_abort(b, c, op->upload);
		return 0;
	}
	return -ERR_PROTOCOL;
}

const char *op_name(enum op_kind kind)
{
	static const char *const name[] = { "put", "get", "head", "delete", "list", "list", "delete", "probe", "begin",
		"part", "complete", "abort" };

	return name[kind];
}
