/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The end of an order: everything of this store that a backend keeps, known or not, is deleted: what crashes left,
 * older versions, marks of deletions, uploads that nobody ended, heads of the audit log once the newest is elsewhere.
 * It is listed until a whole list has nothing of it, and that is signed. What is not this store's stays. */
#include "fs/transfer/internal.h"

#include "base/text.h"
#include "fs/place/receipt.h"

#include <ctype.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>

#define OURS_MAX    1000u
#define ROUNDS_MAX  100000u
#define HEADER_MAX  (1u << 20)
#define HEADER_TRY  512u
#define PUBLISH_NS  (30 * NS_PER_S)
#define AUDIT_NAMES "audit/"

struct proof {
	struct transfer *t;
	const struct move_order *order;
	struct endpoint *from;
	struct backend_remnant ours[OURS_MAX]; /* of the list under way */
	size_t count;
	uint64_t others, erased;
	int rc; /* of looking at one */
	char *trouble;
};

/* ---- whose it is
 * -------------------------------------------------------------------------------------------------------- */

static bool all_hex(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)text[i]) && (text[i] < 'a' || text[i] > 'f'))
			return false;
	return true;
}

static bool is_object_name(const char *key)
{
	return strlen(key) == OBJECT_NAME_BYTES - 1 && key[2] == '/' && all_hex(key, 2) &&
	       all_hex(key + 3, OBJECT_NAME_BYTES - 4) && memcmp(key, key + 3, 2) == 0;
}

static bool is_head_name(const char *key)
{
	size_t prefix = strlen(AUDIT_NAMES), len = strlen(key);

	return strncmp(key, AUDIT_NAMES, prefix) == 0 && len >= prefix + 8 &&
	       strspn(key + prefix, "0123456789") == len - prefix;
}

static int read_start(struct proof *p, const char *key, uint64_t len, void *out)
{
	struct sink_memory sink;
	struct flight f;
	int rc;

	flight_init(&f, p->t);
	flight_begin(&f, p->from);
	rc = backend_get(p->from->backend, &f.call, key, 0, len, sink_memory(&sink, out, len));
	flight_end(&f);
	flight_free(&f);
	return rc;
}

/* Sealed under this store's keys: 1; by others, or no object: 0. */
static int header_is_ours(struct proof *p, const char *key)
{
	struct object_member *members = NULL;
	size_t count, need = HEADER_TRY, len;
	struct object_ref ref;
	uint8_t *head = NULL;
	int rc = -ERANGE;

	while (rc == -ERANGE && need <= HEADER_MAX) {
		len = need;
		free(head);
		if (!(head = malloc(len)))
			return -ENOMEM;
		if ((rc = read_start(p, key, len, head)) == 0)
			rc = object_open_header(p->t->keyring, head, len, &ref, &members, &count, &need);
		if (rc == -ERANGE && need <= len)
			break;
	}
	free(members);
	free(head);
	if (rc == 0)
		return 1;
	return rc == -ERR_FORMAT || rc == -ERR_KEY || rc == -ERR_TAMPERED || rc == -ERR_NEWER || rc == -ERANGE ? 0 : rc;
}

static int head_is_ours(struct proof *p, const char *key)
{
	uint8_t bytes[AUDIT_HEAD_BYTES];
	struct audit_head head;
	int rc = read_start(p, key, sizeof bytes, bytes);

	if (rc < 0)
		return rc == -ERR_TAMPERED || rc == -ERR_PROTOCOL ? 0 : rc;
	return audit_head_open(p->t->keyring, bytes, &head) == 0;
}

/* What has no content any more, or none yet, is judged by its name. */
static int is_ours(struct proof *p, const struct backend_remnant *r)
{
	bool object = is_object_name(r->key), head = is_head_name(r->key);
	int rc;

	if (!object && !head)
		return 0;
	if (r->kind == REMNANT_MARKER || r->kind == REMNANT_UPLOAD)
		return 1;
	rc = object ? header_is_ours(p, r->key) : head_is_ours(p, r->key);
	return rc == -ERR_ABSENT ? 1 : rc;
}

/* ---- a list
 * ------------------------------------------------------------------------------------------------------------- */

static int collect(void *ctx, const struct backend_remnant *r)
{
	struct backend_remnant copy = { .kind = r->kind };
	struct proof *p = ctx;

	copy.key = strdup(r->key);
	copy.id = strdup(r->id ? r->id : "");
	if (!copy.key || !copy.id) {
		free(copy.key);
		free(copy.id);
		return -ENOMEM;
	}
	p->ours[p->count++] = copy;
	return p->count == OURS_MAX;
}

static int take(void *ctx, const struct backend_remnant *r)
{
	struct proof *p = ctx;

	/* nobody's bytes are asked for inside a list: what may be ours is looked at after it */
	if (is_object_name(r->key) || is_head_name(r->key))
		return collect(p, r);
	p->others++;
	return 0;
}

static void forget(struct proof *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->ours[i].key);
		free(p->ours[i].id);
	}
	p->count = 0;
}

static int list(struct proof *p)
{
	struct flight f;
	int rc;

	forget(p);
	p->others = 0;
	flight_init(&f, p->t);
	flight_begin(&f, p->from);
	rc = backend_remnants(p->from->backend, &f.call, take, p);
	flight_end(&f);
	if (rc < 0)
		snprintf(p->trouble, TROUBLE_BYTES, "%s", errmsg_text(&f.msg, rc));
	flight_free(&f);
	return rc < 0 ? rc : 0;
}

/* The backend may take new objects when the order is cancelled. */
static bool is_cancelled(struct proof *p)
{
	bool is;

	pthread_mutex_lock(&p->t->lock);
	is = p->t->drain.cancelled;
	pthread_mutex_unlock(&p->t->lock);
	return is;
}

static int erase(struct proof *p, const struct backend_remnant *r)
{
	struct flight f;
	int rc;

	if (is_cancelled(p))
		return -ERR_STALE;

	flight_init(&f, p->t);
	flight_begin(&f, p->from);
	rc = backend_erase(p->from->backend, &f.call, r);
	flight_end(&f);
	if (rc < 0)
		snprintf(p->trouble, TROUBLE_BYTES, "%s", errmsg_text(&f.msg, rc));
	flight_free(&f);
	return rc;
}

/* Another store has so many objects under the same prefix that its own cannot be seen for them. */
static int crowded(struct proof *p)
{
	snprintf(p->trouble, TROUBLE_BYTES,
		"backend '%s' has %u objects and more of another store under the same prefix: they have to go first",
		p->from->backend->config->name, OURS_MAX);
	return -ERR_IDENTITY;
}

/* How many were ours, and are gone. */
static int clear(struct proof *p)
{
	int erased = 0, rc = 0;

	for (size_t i = 0; rc >= 0 && i < p->count; i++) {
		if ((rc = is_ours(p, &p->ours[i])) == 0)
			p->others++;
		if (rc > 0 && (rc = erase(p, &p->ours[i])) == 0)
			erased++;
	}
	p->erased += (uint64_t)erased;
	if (rc >= 0 && !erased && p->count == OURS_MAX)
		rc = crowded(p);
	return rc < 0 ? rc : erased;
}

/* Until a whole list has nothing of this store's. */
static int empty(struct proof *p)
{
	int rc = 1;

	for (unsigned i = 0; rc > 0 && i < ROUNDS_MAX; i++)
		if ((rc = list(p)) == 0)
			rc = clear(p);
	return rc > 0 ? -ERR_PROTOCOL : rc;
}

/* ---- the receipt
 * -------------------------------------------------------------------------------------------------------- */

static const char *utc(int64_t s, char out[32])
{
	struct tm tm;
	time_t time = (time_t)s;

	if (!s)
		return "none";
	gmtime_r(&time, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

/* The line that the receipt names: whoever has the receipt finds it in the log, and the other way round. */
static uint64_t audit_proof(struct proof *p, const struct move_order *o)
{
	struct audit_head end;
	char facts[256];

	snprintf(facts, sizeof facts,
		"{\"order\":%" PRId64 ",\"step\":\"proof\",\"backend\":%u,\"left\":0,\"objects\":%" PRIu64
		",\"deleted\":%" PRIu64 ",\"erased\":%" PRIu64 ",\"others\":%" PRIu64 "}",
		o->id, o->from, o->moved, o->deleted, p->erased, p->others);
	meta_lock(p->t->meta);
	audit_append(p->t->place, "move", facts);
	meta_unlock(p->t->meta);
	place_audit_end(p->t->place, &end);
	return end.seq;
}

static void put_target(struct proof *p, struct buf *out, const struct move_order *o)
{
	char *name = o->to ? meta_backend_name(p->t->meta, o->to) : NULL;
	const struct endpoint *to;
	char zone[128] = "";

	pthread_mutex_lock(&p->t->lock);
	to = o->to ? endpoint_by_id(p->t, o->to) : NULL;
	snprintf(zone, sizeof zone, "%s", to ? to->backend->config->zone->name : p->from->backend->config->zone->name);
	pthread_mutex_unlock(&p->t->lock);
	receipt_line(out, "target", "%s", name ? name : "the other backends of its zone");
	receipt_line(out, "target-zone", "%s", zone);
	free(name);
}

static void put_facts(struct proof *p, struct buf *out, const struct move_order *o, uint64_t line)
{
	const struct config_backend *b = p->from->backend->config;
	char *identity = config_backend_identity(b), time[32];
	int64_t now_s = clock_real_ns() / NS_PER_S;

	receipt_begin(out, p->t->keyring);
	receipt_line(out, "filesystem", "%s", p->from->config->name);
	receipt_line(out, "order", "%" PRId64, o->id);
	receipt_line(out, "source", "%s", b->name);
	receipt_line(out, "source-is", "%s", identity ? identity : "?");
	receipt_line(out, "source-zone", "%s", b->zone->name);
	put_target(p, out, o);
	receipt_line(out, "asked", "%s", utc(o->asked_s, time));
	receipt_line(out, "asked-by", "uid %u", o->uid);
	receipt_line(out, "deadline", "%s", utc(o->deadline_s, time));
	receipt_line(out, "finished", "%s", utc(now_s, time));
	receipt_line(out, "files", "%" PRIu64, o->there.files);
	receipt_line(out, "objects", "%" PRIu64, o->there.objects);
	receipt_line(out, "bytes", "%" PRIu64, o->there.bytes);
	receipt_line(out, "moved-objects", "%" PRIu64, o->moved);
	receipt_line(out, "moved-bytes", "%" PRIu64, o->moved_bytes);
	receipt_line(out, "deleted-objects", "%" PRIu64, o->deleted);
	receipt_line(out, "erased-leftovers", "%" PRIu64, p->erased);
	receipt_line(out, "listed", "%s", utc(now_s, time));
	receipt_line(out, "left", "0");
	receipt_line(out, "not-of-this-store", "%" PRIu64, p->others);
	receipt_line(out, "audit-line", "%" PRIu64, line);
	free(identity);
}

static void audit_receipt(struct proof *p, const struct move_order *o, const char *receipt)
{
	uint8_t hash[crypto_generichash_BYTES];
	char hex[2 * sizeof hash + 1], facts[192];

	crypto_generichash(hash, sizeof hash, (const uint8_t *)receipt, strlen(receipt), NULL, 0);
	snprintf(facts, sizeof facts, "{\"order\":%" PRId64 ",\"step\":\"receipt\",\"backend\":%u,\"digest\":\"%s\"}",
		o->id, o->from, text_hex(hash, sizeof hash, hex));
	meta_lock(p->t->meta);
	audit_append(p->t->place, "move", facts);
	meta_unlock(p->t->meta);
}

static int finish(struct proof *p)
{
	struct buf text = BUF_INIT;
	struct move_order o = { 0 };
	char *receipt;
	int rc = meta_commit(p->t->meta);

	if (rc == 0)
		rc = meta_move_last(p->t->meta, p->order->from, &o);
	if (rc == 0 && is_cancelled(p))
		rc = -ERR_STALE;
	if (rc == 0) {
		put_facts(p, &text, &o, audit_proof(p, &o));
		rc = receipt_sign(&text, p->t->keyring);
	}
	receipt = rc == 0 ? buf_steal(&text) : NULL;
	if (receipt)
		audit_receipt(p, &o, receipt);
	if (rc == 0)
		rc = receipt ? meta_move_end(p->t->meta, o.id, MOVE_DONE, receipt) : -ENOMEM;
	if (rc == 0)
		log_info("backend '%s' is empty of this store: %" PRIu64 " objects moved, %" PRIu64
			 " deleted; `borderfs move --receipt` prints the receipt",
			p->from->backend->config->name, o.moved, o.deleted);
	free(receipt);
	buf_free(&text);
	move_order_free(&o);
	return rc;
}

/* The heads there go only when the newest one is elsewhere. */
static int publish(struct proof *p)
{
	struct config *config = place_config(p->t->place);
	bool home = strcmp(config->home->name, p->from->backend->config->zone->name) == 0;
	int rc = transfer_publish_head(p->t, clock_mono_ns() + PUBLISH_NS);

	config_put(config);
	if (rc < 0)
		snprintf(p->trouble, TROUBLE_BYTES,
			"the head of the audit log could not be stored on another backend: %s", err_text(rc));
	return home ? rc : 0;
}

int drain_prove(struct transfer *t, const struct move_order *order, struct endpoint *from, char *trouble)
{
	struct proof *p = calloc(1, sizeof *p);
	int rc;

	if (!p)
		return -ENOMEM;
	p->t = t;
	p->order = order;
	p->from = from;
	p->trouble = trouble;
	if ((rc = publish(p)) == 0 && (rc = empty(p)) == 0)
		rc = finish(p);
	if (rc < 0 && !*trouble)
		snprintf(trouble, TROUBLE_BYTES, "%s", err_text(rc));
	forget(p);
	free(p);
	return rc;
}
