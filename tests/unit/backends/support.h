/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the unit tests of this room share: cmocka, a backend's configuration made by hand, calls, and a driver that
 * does what its script says. */
#ifndef TESTS_UNIT_BACKENDS_SUPPORT_H
#define TESTS_UNIT_BACKENDS_SUPPORT_H

#include "backends/backend.h"
#include "backends/guard.h"
#include "backends/wrap.h"
#include "base/clock.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZONE	 7u
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define STR(s)	 ((char *)(uintptr_t)(s)) /* configuration that is a literal */
#define UNUSED	 __attribute__((unused))

struct setting {
	struct config_zone zone;
	struct cidr networks[4];
	struct config_backend config;
};

static UNUSED struct config_backend *setting_init(struct setting *s, const char *type)
{
	memset(s, 0, sizeof *s);
	s->zone.name = STR("foreign");
	s->zone.networks = s->networks;
	s->config = (struct config_backend){
		.name = STR("virginia"),
		.type = STR(type),
		.prefix = STR(""),
		.region = STR("us-east-1"),
		.bucket = STR("office"),
		.access_key = STR("AKEXAMPLE"),
		.connect_timeout_ns = 2 * NS_PER_S,
		.timeout_ns = 2 * NS_PER_S,
		.connections = 2,
		.zone = &s->zone,
	};
	return &s->config;
}

static UNUSED void setting_allow(struct setting *s, const char *network)
{
	assert_int_equal(cidr_parse(network, &s->networks[s->zone.network_count++]), 0);
}

/* A call whose check is counted. */
struct asked {
	struct call call;
	struct errmsg msg;
	atomic_uint checks;
	unsigned refuse_at; /* the number of the check that is answered with -ERR_REVOKED; 0: none */
};

static UNUSED int asked_check(struct call *c)
{
	struct asked *a = container_of(c, struct asked, call);
	unsigned n = atomic_fetch_add(&a->checks, 1) + 1;

	return a->refuse_at && n >= a->refuse_at ? -ERR_REVOKED : 0;
}

static UNUSED struct call *ask(struct asked *a)
{
	memset(a, 0, sizeof *a);
	call_init(&a->call);
	a->call.zone_id = ZONE;
	a->call.check = asked_check;
	a->call.msg = &a->msg;
	return &a->call;
}

static UNUSED void asked_end(struct asked *a)
{
	errmsg_free(&a->msg);
	call_destroy(&a->call);
}

static UNUSED void assert_says(const struct errmsg *msg, const char *part)
{
	if (!msg->text || !strstr(msg->text, part))
		fail_msg("\"%s\" does not say \"%s\"", msg->text ? msg->text : "(nothing)", part);
}

/* The scripted driver. Each call takes the next result of the script; the last one stands for all that follow. */
struct fake {
	struct backend backend;
	struct backend_ops ops;
	const int *script;
	size_t script_len;
	atomic_uint calls;
	unsigned by_kind[OP_ABORT + 1];
	const char *text;     /* the sentence of failures */
	size_t deliver;	      /* bytes a get gives, or objects a list gives, before it fails */
	uint64_t get_off[16]; /* offsets asked for */
	uint64_t body_bytes;  /* read from sources */
	int64_t retry_after_ns;
	bool own_wait, freed_upload;
	int64_t takes_ns; /* how long a call takes */
	void (*during)(struct fake *, struct call *);
};

static UNUSED int fake_result(struct backend *b, struct call *c, enum op_kind kind)
{
	struct fake *f = container_of(b, struct fake, backend);
	unsigned n = atomic_fetch_add(&f->calls, 1);
	int rc = f->script_len ? f->script[n < f->script_len ? n : f->script_len - 1] : 0;

	f->by_kind[kind]++;
	c->retry_after_ns = rc < 0 ? f->retry_after_ns : 0;
	c->own_wait = rc < 0 && f->own_wait;
	if (f->during)
		f->during(f, c);
	return rc < 0 && f->text ? errmsg_set(c->msg, rc, "%s %u", f->text, n + 1) : rc;
}

static UNUSED int fake_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct fake *f = container_of(b, struct fake, backend);
	uint8_t piece[4096];

	(void)key;
	for (uint64_t off = 0; off < source->length; off += sizeof piece) {
		uint64_t left = source->length - off;
		size_t len = left < sizeof piece ? (size_t)left : sizeof piece;

		assert_int_equal(source->read(source, off, piece, len), 0);
		f->body_bytes += len;
	}
	return fake_result(b, c, OP_PUT);
}

static UNUSED int fake_get(
	struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	struct fake *f = container_of(b, struct fake, backend);
	unsigned n = atomic_load(&f->calls);
	int rc = fake_result(b, c, OP_GET), given;
	uint8_t byte;

	(void)key;
	if (n < COUNT(f->get_off))
		f->get_off[n] = off;
	for (uint64_t i = 0; i < (rc < 0 ? f->deliver : len); i++) {
		byte = (uint8_t)(off + i);
		if ((given = sink->write(sink, &byte, 1)) < 0)
			return given;
	}
	return rc;
}

static UNUSED int fake_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	(void)key;
	*size = 4711;
	return fake_result(b, c, OP_HEAD);
}

static UNUSED int fake_del(struct backend *b, struct call *c, const char *key)
{
	(void)key;
	return fake_result(b, c, OP_DEL);
}

static UNUSED int fake_list(
	struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	static const char *const keys[] = { "a", "b", "c", "d" };
	struct fake *f = container_of(b, struct fake, backend);
	int rc = fake_result(b, c, OP_LIST), given;

	for (size_t i = 0; i < (rc < 0 ? f->deliver : COUNT(keys)); i++)
		if ((given = fn(ctx, &(struct backend_object){ .key = keys[i], .size = i })))
			return given;
	return rc;
}

static UNUSED int fake_probe(struct backend *b, struct call *c)
{
	return fake_result(b, c, OP_PROBE);
}

static UNUSED int fake_begin(struct backend *b, struct call *c, const char *key, struct multipart **out)
{
	(void)key;
	*out = (struct multipart *)b;
	return fake_result(b, c, OP_BEGIN);
}

static UNUSED int fake_part(
	struct backend *b, struct call *c, struct multipart *m, unsigned number, struct source *source)
{
	struct fake *f = container_of(b, struct fake, backend);

	assert_ptr_equal(m, b);
	assert_int_equal(number, f->by_kind[OP_PART] + 1);
	f->body_bytes += source->length;
	return fake_result(b, c, OP_PART);
}

static UNUSED int fake_complete(struct backend *b, struct call *c, struct multipart *m)
{
	assert_ptr_equal(m, b);
	return fake_result(b, c, OP_COMPLETE);
}

static UNUSED void fake_abort(struct backend *b, struct call *c, struct multipart *m)
{
	assert_ptr_equal(m, b);
	container_of(b, struct fake, backend)->freed_upload = true;
	fake_result(b, c, OP_ABORT);
}

/* the fake is the test's: a wrapper that frees it leaves it alone */
static UNUSED void fake_free(struct backend *b)
{
	(void)b;
}

static UNUSED struct backend *fake_init(
	struct fake *f, struct config_backend *config, const int *script, size_t script_len)
{
	memset(f, 0, sizeof *f);
	f->script = script;
	f->script_len = script_len;
	f->ops = (struct backend_ops){ "fake", BACKEND_RANGE | BACKEND_MULTIPART, fake_put, fake_get, fake_head,
		fake_del, fake_list, NULL, NULL, fake_probe, fake_begin, fake_part, fake_complete, fake_abort, NULL,
		NULL, NULL, fake_free };
	f->backend = (struct backend){ &f->ops, config, ZONE, false };
	return &f->backend;
}

#endif
