/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The newest head of the audit log that a backend has: by trying numbers, without the metadata, which may be what was
 * set back, and without a list of a bucket of millions. Also of a store that nobody has mounted. */
#include "fs/transfer/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEAR 8	/* this many numbers behind a known one are all tried: a backend may have missed some */
#define FAR  20 /* and as many powers of two */

void head_name(uint64_t number, char out[HEAD_NAME])
{
	snprintf(out, HEAD_NAME, "audit/%08" PRIu64, number);
}

uint64_t heads_known(struct meta *meta, uint64_t *seq)
{
	struct buf kept = BUF_INIT;
	uint64_t number = 0;

	*seq = 0;
	if (meta_setting_get(meta, HEADS_SETTING, &kept) == 0 && kept.len == 16) {
		number = get_le64(kept.data);
		*seq = get_le64(kept.data + 8);
	}
	buf_free(&kept);
	return number;
}

static int get_with(struct head_look *l, struct call *call, uint64_t number, uint8_t *out)
{
	struct sink_memory sink;
	char name[HEAD_NAME];

	head_name(number, name);
	call->deadline_ns = l->deadline_ns;
	return backend_get(l->backend, call, name, 0, AUDIT_HEAD_BYTES, sink_memory(&sink, out, AUDIT_HEAD_BYTES));
}

static void keep_why(struct head_look *l, int rc, struct errmsg *msg)
{
	if (rc < 0)
		snprintf(l->why, sizeof l->why, "%s", errmsg_text(msg, rc));
}

static int get_mounted(struct head_look *l, uint64_t number, uint8_t *out)
{
	struct flight f;
	int rc;

	flight_init(&f, l->t);
	flight_begin(&f, l->e);
	rc = get_with(l, &f.call, number, out);
	flight_end(&f);
	keep_why(l, rc, &f.msg);
	flight_free(&f);
	return rc;
}

static int get_unmounted(struct head_look *l, uint64_t number, uint8_t *out)
{
	struct errmsg msg = { 0 };
	struct call call;
	int rc;

	call_init(&call);
	call.msg = &msg;
	call.retry_quick = true;
	rc = get_with(l, &call, number, out);
	keep_why(l, rc, &msg);
	call_destroy(&call);
	errmsg_free(&msg);
	return rc;
}

/* A place that never had anything of ours cannot say more than that it has nothing. */
static bool is_absent(const struct head_look *l, int rc)
{
	uint64_t seq;

	return rc == -ERR_ABSENT || (rc == -ERR_NO_BUCKET && !l->backend->known && heads_known(l->meta, &seq) == 0);
}

int head_try(struct head_look *l, uint64_t number)
{
	uint8_t bytes[AUDIT_HEAD_BYTES];
	struct audit_head head;
	int rc = l->t ? get_mounted(l, number, bytes) : get_unmounted(l, number, bytes);

	if (is_absent(l, rc))
		return 0;
	if (rc < 0 && rc != -ERR_TAMPERED)
		return rc;
	if (rc < 0 || audit_head_open(l->keyring, bytes, &head) < 0) {
		l->bad++;
		l->taken = number > l->taken ? number : l->taken;
		return 0;
	}
	l->newest = number;
	l->head = head;
	return 1;
}

int head_look_beyond(struct head_look *l, uint64_t from)
{
	uint64_t before;
	int rc = 0;

	do {
		before = from > l->newest ? from : l->newest;
		for (uint64_t i = FAR; i > 3 && rc == 0; i--)
			rc = head_try(l, before + ((uint64_t)1 << i));
		for (uint64_t i = NEAR; i > 0 && rc == 0; i--)
			rc = head_try(l, before + i);
	} while (rc > 0 && (rc = 0, l->newest > before));
	return rc;
}

void heads_seen_init(struct meta *meta, struct audit_heads *seen, struct audit_head *head)
{
	*seen = (struct audit_heads){ 0 };
	*head = (struct audit_head){ 0 };
	heads_known(meta, &seen->published);
}

void head_look_newest(struct head_look *l, struct audit_heads *seen, struct audit_head *head)
{
	uint64_t seq, known = heads_known(l->meta, &seq);
	int rc;

	l->deadline_ns = clock_mono_ns() + HEADS_CALL_NS;
	rc = known ? head_try(l, known) : 0;
	if (rc >= 0)
		rc = head_look_beyond(l, known);
	seen->asked += rc >= 0;
	seen->bad += l->bad;
	if (rc < 0)
		backend_says(l->backend, l->why, seen->why, sizeof seen->why);
	if (l->newest > seen->newest) {
		seen->newest = l->newest;
		*head = l->head;
	}
}

/* ---- a store that nobody has mounted -------------------------------------------------------------------------- */

struct known_backend {
	char *identity; /* malloc'd; NULL: the store has never had it */
	uint32_t zone_id;
	bool stored; /* some object was confirmed on it */
};

static int take_known(void *ctx, struct meta_row *row)
{
	struct known_backend *k = ctx;
	const char *identity = meta_row_text(row, 0);

	k->zone_id = (uint32_t)meta_row_i64(row, 1);
	k->stored = meta_row_i64(row, 2);
	k->identity = identity ? strdup(identity) : NULL;
	return k->identity ? 0 : -ENOMEM;
}

/* Another bucket under the name of one that has heads could hide them (I1). 1: it is the one; 0: there never was one of
 * this name, so it has no heads. */
static int is_own(struct meta *meta, struct config_backend *b, struct known_backend *k, struct audit_heads *seen)
{
	char *identity = config_backend_identity(b);
	int rc = identity ? meta_select(meta,
				    "SELECT identity, zone, EXISTS (SELECT 1 FROM replica WHERE backend = id AND "
				    "state = 1) FROM backend WHERE name = ?1",
				    take_known, k, "t", b->name)
			  : -ENOMEM;

	if (rc == 0 && k->identity && strcmp(k->identity, identity) != 0) {
		snprintf(seen->why, sizeof seen->why, "backend '%s' is another one than the store knows", b->name);
		rc = -ERR_IDENTITY;
	}
	free(identity);
	return rc < 0 ? rc : k->identity != NULL;
}

static int look_at(struct meta *meta, struct keyring *keyring, struct config_backend *b, struct audit_heads *seen,
	struct audit_head *head)
{
	struct head_look l = { .meta = meta, .keyring = keyring };
	struct known_backend k = { 0 };
	struct errmsg msg = { 0 };
	int rc = is_own(meta, b, &k, seen);

	if (rc > 0 && (rc = backend_open(&l.backend, b, k.zone_id, k.stored, &msg)) == 0)
		head_look_newest(&l, seen, head);
	else if (rc < 0 && rc != -ERR_IDENTITY)
		snprintf(seen->why, sizeof seen->why, "backend '%s': %s", b->name, errmsg_text(&msg, rc));
	errmsg_free(&msg);
	backend_free(l.backend);
	free(k.identity);
	return rc == -ENOMEM ? rc : 0;
}

int transfer_look_head(struct meta *meta, struct keyring *keyring, const struct config *config, struct audit_head *head,
	struct audit_heads *seen)
{
	int rc = 0;

	heads_seen_init(meta, seen, head);
	for (size_t i = 0; i < config->home->backend_count && i < HEAD_BACKENDS_MAX && rc == 0; i++)
		rc = look_at(meta, keyring, config->home->backends[i], seen, head);
	return rc < 0 ? rc : seen->asked ? 0 : -ERR_UNREACHABLE;
}
