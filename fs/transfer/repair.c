/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copies that are missing or bad are made (again) from a sound one: the same bytes under the same id, read whole and
 * authenticated before anything is changed. What is short is a table, so a crash loses nothing of it; a new copy is
 * known before its first byte leaves. One object of a zone at a time, so that no zone waits for another's backends
 * (I8).
 *
 * What a copy may be sent for is asked as for an upload (I1): of every file that has bytes in the object. They are read
 * from what is committed after the repair is known to those who share objects, who end it. A pack that may hold bytes
 * which no file has any more gets no copy: nothing says whose they were, and it is rewritten soon. A deletion of the
 * object ends its repair first, so that nothing appears after it was confirmed gone.
 *
 * An object leaves a backend that is emptied (drain.c) the same way: that backend's copy no longer counts, the others
 * are made as what is short, all of them are read back, and then it is let go. */
#include "fs/transfer/internal.h"

#include "backends/guard.h"

#include <stdio.h>

#define VERIFY_BYTES (256u << 10)
#define MEMBERS_MAX  16384u
#define INOS_PAGE    256u
#define REFUSALS_MAX 4u

/* One object under repair. */
struct repair {
	struct list link; /* transfer.repairs */
	struct worker *w;
	uint8_t id[OBJECT_ID_BYTES];
	uint32_t zone_id;
	struct object_info info;
	struct flight_member *members; /* the files whose bytes are in it */
	size_t member_count, member_cap;
	const struct leaving *leaving; /* or NULL */
	struct meta_mirror mirror;
	uint32_t *backend_ids;
	uint8_t *body; /* the object, as it is to be everywhere */
	uint64_t body_len;
	uint32_t sound_id; /* the backend it was read from; 0: not yet */
	unsigned made;	   /* copies */
	bool refused;	   /* by the backend that was to have one: there may be another */
	/* under the lock */
	struct call *call; /* under way */
	bool cancelled;	   /* it is to be deleted, or to be shared */
};

static int repair_state(const struct repair *r)
{
	return r->w->t->stopping ? -ERR_STOPPED : r->cancelled ? -ERR_STALE : 0;
}

/* ---- a call for it
 * --------------------------------------------------------------------------------------------------------- */

static void call_begin(struct repair *r, struct flight *f, struct endpoint *s)
{
	struct transfer *t = r->w->t;
	int rc;

	flight_begin(f, s);
	pthread_mutex_lock(&t->lock);
	r->call = &f->call;
	rc = repair_state(r);
	pthread_mutex_unlock(&t->lock);
	if (rc < 0)
		call_cut(&f->call, rc);
}

static void call_end(struct repair *r, struct flight *f)
{
	pthread_mutex_lock(&r->w->t->lock);
	r->call = NULL;
	pthread_mutex_unlock(&r->w->t->lock);
	flight_end(f);
}

static void cancel(struct repair *r)
{
	r->cancelled = true;
	if (r->call)
		call_cut(r->call, -ERR_STALE);
}

void repair_yield(struct transfer *t, const uint8_t id[OBJECT_ID_BYTES])
{
	struct list *it = t->repairs.next;

	while (it != &t->repairs) {
		struct repair *r = list_entry(it, struct repair, link);

		it = it->next;
		if (memcmp(r->id, id, sizeof r->id) != 0)
			continue;
		cancel(r);
		pthread_cond_wait(&t->changed, &t->lock);
		it = t->repairs.next;
	}
}

void transfer_share_begin(struct transfer *t, struct transfer_share *s, const uint8_t object[OBJECT_ID_BYTES])
{
	memcpy(s->object, object, sizeof s->object);
	pthread_mutex_lock(&t->lock);
	list_append(&t->shares, &s->link);
	list_for_each (it, &t->repairs) {
		struct repair *r = list_entry(it, struct repair, link);

		if (memcmp(r->id, object, sizeof r->id) == 0)
			cancel(r);
	}
	pthread_mutex_unlock(&t->lock);
}

void transfer_share_end(struct transfer *t, struct transfer_share *s)
{
	pthread_mutex_lock(&t->lock);
	list_remove(&s->link);
	pthread_mutex_unlock(&t->lock);
}

/* With the lock. */
static bool is_being_shared(const struct transfer *t, const uint8_t id[OBJECT_ID_BYTES])
{
	list_for_each (it, &t->shares)
		if (memcmp(list_entry(it, struct transfer_share, link)->object, id, OBJECT_ID_BYTES) == 0)
			return true;
	return false;
}

/* Asked before each request with a body (I1). */
static int check(struct call *call)
{
	struct flight *f = container_of(call, struct flight, call);
	struct transfer *t = f->t;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	if (t->stopping)
		rc = -ERR_STOPPED;
	else if (f->endpoint->retired || f->endpoint->closed)
		rc = -ERR_REVOKED;
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; rc == 0 && i < f->member_count; i++)
		rc = place_still(t->place, f->members[i].inode, f->zone_id, &f->members[i].gen, &f->members[i].epoch);
	return rc;
}

/* ---- whose bytes they are
 * -------------------------------------------------------------------------------------------------- */

static int member_add(struct repair *r, uint64_t ino)
{
	size_t cap = r->member_cap ? 2 * r->member_cap : 16;
	struct transfer *t = r->w->t;
	struct flight_member *m;
	int rc;

	if (r->member_count == MEMBERS_MAX)
		return -ERR_REVOKED; /* so many cannot be watched */
	if (r->member_count == r->member_cap) {
		if (!(m = realloc(r->members, cap * sizeof *m)))
			return -ENOMEM;
		r->members = m;
		r->member_cap = cap;
	}
	m = &r->members[r->member_count];
	if ((rc = meta_inode_get(t->meta, ino, &m->inode)) < 0)
		return rc == -ENOENT ? -ERR_STALE : rc;
	r->member_count++;
	rc = place_stays(t->place, m->inode, r->zone_id, &m->gen, &m->epoch);
	return rc == -ENOENT ? -ERR_REVOKED : rc;
}

static int members_load(struct repair *r)
{
	struct meta *meta = r->w->t->meta;
	uint64_t inos[INOS_PAGE], after = 0;
	int n, rc = meta_commit(meta);

	if (rc == 0 && (rc = meta_is_repack(meta, r->id)) > 0)
		return -ERR_REVOKED;
	while (rc == 0) {
		if ((n = meta_object_inos(meta, r->id, after, inos, INOS_PAGE)) < 0)
			return n;
		for (int i = 0; rc == 0 && i < n; i++)
			rc = member_add(r, inos[i]);
		if (n < (int)INOS_PAGE)
			break;
		after = inos[n - 1];
	}
	/* of no file any more: it is being deleted, and nobody would be asked */
	return rc == 0 && !r->member_count ? -ERR_STALE : rc;
}

/* ---- a sound copy
 * ---------------------------------------------------------------------------------------------------------- */

/* Everything of it: the header, and every segment. */
static int verify(const struct repair *r)
{
	struct keyring *keyring = r->w->t->keyring;
	const struct object_ref *ref = &r->info.ref;
	struct object_member *members = NULL;
	struct object_ref seen;
	size_t count, need;
	uint8_t *plain = malloc(object_read_room(VERIFY_BYTES));
	int rc = plain ? 0 : -ENOMEM;

	if (rc == 0)
		rc = object_open_header(keyring, r->body, ref->header_bytes, &seen, &members, &count, &need);
	if (rc == 0 && memcmp(seen.id, ref->id, sizeof seen.id) != 0)
		rc = -ERR_TAMPERED;
	for (uint64_t off = 0; rc == 0 && off < ref->plain_bytes; off += VERIFY_BYTES) {
		uint64_t left = ref->plain_bytes - off;
		struct object_range range;

		rc = object_range(ref, off, left < VERIFY_BYTES ? left : VERIFY_BYTES, &range);
		if (rc == 0)
			rc = object_open_range(keyring, ref, &range, r->body + range.object_off, plain);
	}
	free(members);
	free(plain);
	/* what the header is not opened with, or is too short for, is no header of ours */
	return rc == -ERR_FORMAT || rc == -ERR_NEWER || rc == -ERR_KEY || rc == -ERANGE ? -ERR_TAMPERED : rc;
}

/* What is known to be bad is not told again each time that it is looked at. */
static int read_whole(struct repair *r, const struct copy *c)
{
	struct endpoint *s = c->endpoint;
	struct object_range all = { 0 };
	char name[OBJECT_NAME_BYTES];
	struct sink_memory body;
	struct flight f;
	int rc;

	object_name(r->id, name);
	flight_init(&f, r->w->t);
	call_begin(r, &f, s);
	rc = backend_get(s->backend, &f.call, name, 0, r->body_len, sink_memory(&body, r->body, (size_t)r->body_len));
	call_end(r, &f);
	if (rc == 0 && body.len != r->body_len)
		rc = -ERR_PROTOCOL;
	if (rc == 0)
		rc = verify(r);
	if (rc < 0 && !c->bad)
		copy_log(s, name, &all, &f.msg, rc);
	flight_free(&f);
	return rc;
}

static void judge(struct repair *r, const struct copy *c)
{
	if (c->bad && c->gave)
		copy_sound(r->w->t, r->id, c->endpoint);
	else if (!c->bad && (c->rc == -ERR_ABSENT || c->rc == -ERR_TAMPERED))
		copy_bad(r->w->t, r->id, c->endpoint, c->rc);
}

/* Copies on the way to a sound one are marked as what they are; none may be left. */
static int find_sound(struct repair *r)
{
	struct transfer *t = r->w->t;
	struct copies copies;
	int rc = copies_order(t, &r->info, &copies), why = 0;

	if (rc < 0)
		return rc;
	for (size_t i = 0; !r->sound_id && rc != -ERR_STALE && rc != -ERR_STOPPED && i < copies.count; i++) {
		struct copy *c = &copies.v[i];

		rc = c->rc = read_whole(r, c);
		c->gave = rc == 0;
		r->sound_id = c->gave ? c->endpoint->id : 0;
		why = c->gave ? 0 : copy_worse(why, rc);
	}
	for (size_t i = 0; i < copies.count; i++)
		judge(r, &copies.v[i]);
	copies_free(t, &copies);
	if (rc == -ERR_STALE || rc == -ERR_STOPPED || r->sound_id)
		return rc;
	return why == 0 || why == -ERR_ABSENT ? -ERR_LOST : why;
}

/* ---- the other one
 * --------------------------------------------------------------------------------------------------------- */

struct compare {
	struct sink sink;
	const uint8_t *with;
	uint64_t len, at;
	bool differs;
};

static int compare_write(struct sink *sink, const void *data, size_t len)
{
	struct compare *c = container_of(sink, struct compare, sink);

	c->differs |= len > c->len - c->at || memcmp(c->with + c->at, data, len) != 0;
	c->at += c->differs ? 0 : len;
	return c->differs ? -ERR_TAMPERED : 0;
}

static int compare(struct repair *r, struct endpoint *s)
{
	struct compare c = { .sink = { compare_write }, .with = r->body, .len = r->body_len };
	char name[OBJECT_NAME_BYTES];
	struct flight f;
	int rc;

	object_name(r->id, name);
	flight_init(&f, r->w->t);
	call_begin(r, &f, s);
	rc = backend_get(s->backend, &f.call, name, 0, r->body_len, &c.sink);
	call_end(r, &f);
	flight_free(&f);
	return c.differs ? -ERR_TAMPERED : rc;
}

static int remove_bad(struct repair *r, struct endpoint *s)
{
	char name[OBJECT_NAME_BYTES];
	struct flight f;
	int rc;

	object_name(r->id, name);
	flight_init(&f, r->w->t);
	call_begin(r, &f, s);
	rc = backend_del(s->backend, &f.call, name);
	call_end(r, &f);
	flight_free(&f);
	return rc;
}

static int send_copy(struct repair *r, struct endpoint *s)
{
	char name[OBJECT_NAME_BYTES], says[512];
	struct source_memory source;
	struct flight f;
	int rc;

	object_name(r->id, name);
	flight_init(&f, r->w->t);
	f.body = true;
	f.foreign = s->backend->config->zone->kind == ZONE_FOREIGN;
	f.members = r->members;
	f.member_count = r->member_count;
	f.zone_id = f.call.zone_id = r->zone_id;
	f.call.check = check;
	call_begin(r, &f, s);
	rc = guard_put(s->backend, &f.call, name, source_memory(&source, r->body, (size_t)r->body_len));
	call_end(r, &f);
	if (rc < 0 && rc != -ERR_REVOKED && rc != -ERR_STOPPED && rc != -ERR_STALE)
		log_warn("a copy could not be made: %s",
			backend_says(s->backend, errmsg_text(&f.msg, rc), says, sizeof says));
	flight_free(&f);
	return rc;
}

/* What lies there, of a damaged copy or of one that was begun, is looked at once more before it is deleted: bytes may
 * have been changed on the way only, and servers take a key but once. A place that never had anything of ours cannot
 * say more than that it has nothing. */
static int make(struct repair *r, struct endpoint *s, bool begun)
{
	int rc = -ERR_ABSENT;

	if (begun)
		rc = compare(r, s);
	else
		rc = meta_replica_begin(r->w->t->meta, r->id, s->id);
	if (begun && rc == 0)
		return 0;
	if (rc == -ERR_NO_BUCKET && begun && !s->backend->known)
		rc = -ERR_ABSENT;
	if (rc == -ERR_TAMPERED)
		rc = remove_bad(r, s);
	if (rc < 0 && rc != -ERR_ABSENT)
		return rc;
	return send_copy(r, s);
}

/* ---- one object
 * ------------------------------------------------------------------------------------------------------------ */

static const struct replica *replica_on(const struct object_info *info, uint32_t backend_id)
{
	for (size_t i = 0; i < info->replica_count; i++)
		if (info->replicas[i].backend_id == backend_id)
			return &info->replicas[i];
	return NULL;
}

/* Whether its copy there is one of those that the zone asks for. */
static bool counts(const struct repair *r, const struct endpoint *s)
{
	return s->zone_id == r->zone_id && !(r->leaving && r->leaving->from == s->id);
}

/* Whether a copy may be made where there is none. One that is to move to a backend goes to no other while it is not
 * there. */
static bool may_have(const struct repair *r, const struct endpoint *s)
{
	const struct leaving *l = r->leaving;
	const struct replica *there = l && l->to ? replica_on(&r->info, l->to) : NULL;

	return !l || !l->to || l->to == s->id || (there && there->state == REPLICA_STORED);
}

/* Where a copy is to be made next; referenced. A bad one first, so that what lies there goes; else one more backend
 * while there are too few. 1: nowhere, it has what it needs. */
static int target_pick(struct repair *r, struct endpoint **out, bool *begun)
{
	struct transfer *t = r->w->t;
	struct endpoint *again = NULL, *begun_once = NULL, *more = NULL;
	int64_t now = clock_mono_ns(), until = INT64_MAX;
	unsigned stored = 0, bad = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->endpoints.count; i++) {
		struct endpoint *s = t->endpoints.v[i];
		const struct replica *replica = counts(r, s) ? replica_on(&r->info, s->id) : NULL;
		bool takes = endpoint_takes(s, r->zone_id, now, &until);

		stored += replica && replica->state == REPLICA_STORED;
		bad += replica && replica->state == REPLICA_BAD;
		if (!takes || !counts(r, s))
			continue;
		if (replica && replica->state == REPLICA_BAD)
			again = again ? again : s;
		else if (replica && replica->state == REPLICA_PENDING)
			begun_once = begun_once ? begun_once : s;
		else if (!replica && may_have(r, s))
			more = more ? more : s;
	}
	if (!again && stored < r->mirror.copies)
		again = begun_once;
	*begun = again != NULL;
	*out = again || stored >= r->mirror.copies ? again : more;
	if (*out)
		endpoint_ref(*out);
	pthread_mutex_unlock(&t->lock);
	if (*out)
		return 0;
	return stored >= r->mirror.copies && !bad ? 1 : -ERR_UNREACHABLE;
}

static void made(struct repair *r, const struct endpoint *s)
{
	const struct replica *was = replica_on(&r->info, s->id);
	struct transfer *t = r->w->t;

	r->made++;
	if (was && was->state == REPLICA_BAD) {
		copy_sound(t, r->id, s);
		return;
	}
	meta_lock(t->meta);
	meta_object_stored(t->meta, r->id, s->id);
	meta_unlock(t->meta);
}

static int repair_copy(struct repair *r, struct endpoint *s, bool begun)
{
	struct transfer *t = r->w->t;
	int rc = r->sound_id ? 0 : find_sound(r);

	/* or the bad one itself is sound, and no other is */
	if (rc < 0 || r->sound_id == s->id)
		return rc;
	rc = make(r, s, begun);
	pthread_mutex_lock(&t->lock);
	if (rc == 0)
		endpoint_worked(s);
	else if (rc != -ERR_STALE && rc != -ERR_REVOKED && rc != -ERR_STOPPED) {
		endpoint_failed(s, rc);
		r->refused = true;
	}
	pthread_mutex_unlock(&t->lock);
	if (rc == 0)
		made(r, s);
	return rc;
}

static int mirror_load(struct repair *r)
{
	struct transfer *t = r->w->t;

	pthread_mutex_lock(&t->lock);
	free(r->backend_ids);
	r->backend_ids = calloc(t->endpoints.count + 1, sizeof *r->backend_ids);
	r->mirror = (struct meta_mirror){ r->zone_id, zone_copies(t, r->zone_id), r->backend_ids, 0 };
	for (size_t i = 0; r->backend_ids && i < t->endpoints.count; i++)
		if (counts(r, t->endpoints.v[i]))
			r->backend_ids[r->mirror.count++] = t->endpoints.v[i]->id;
	pthread_mutex_unlock(&t->lock);
	return r->backend_ids ? 0 : -ENOMEM;
}

static int body_room(struct repair *r)
{
	r->body_len = object_bytes(&r->info.ref);
	if (!r->body && !(r->body = malloc((size_t)r->body_len)))
		return -ENOMEM;
	return 0;
}

static bool has_bad(const struct repair *r)
{
	for (size_t i = 0; i < r->info.replica_count; i++)
		if (r->info.replicas[i].state == REPLICA_BAD)
			return true;
	return false;
}

/* No backend takes anything now, but what was bad may have come back. */
static int look_again(struct repair *r)
{
	int rc = body_room(r);

	if (rc == 0)
		rc = find_sound(r);
	return rc;
}

/* 1: it has what it needs. 0: one copy was made, and there may be more to do. */
static int repair_step(struct repair *r)
{
	struct endpoint *target = NULL;
	bool begun;
	int rc;

	r->refused = false;
	object_info_free(&r->info);
	if ((rc = meta_object_get(r->w->t->meta, r->id, &r->info)) < 0)
		return rc == -ENOENT ? 1 : rc;
	if (r->info.deleting)
		return 1;
	if ((rc = mirror_load(r)) < 0)
		return rc;
	if ((rc = target_pick(r, &target, &begun)) != 0)
		return rc == -ERR_UNREACHABLE && has_bad(r) && !r->sound_id ? look_again(r) : rc;
	if (!r->members)
		rc = members_load(r);
	if (rc == 0 && (rc = body_room(r)) == 0)
		rc = repair_copy(r, target, begun);
	endpoint_put(r->w->t, target);
	return rc;
}

static void repair_free(struct repair *r)
{
	for (size_t i = 0; i < r->member_count; i++)
		meta_inode_put(r->w->t->meta, r->members[i].inode);
	free(r->members);
	object_info_free(&r->info);
	free(r->backend_ids);
	free(r->body);
}

/* Whoever comes second to an object comes again. */
static int repair_begin(struct repair *r)
{
	struct transfer *t = r->w->t;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	list_for_each (it, &t->repairs)
		if (memcmp(list_entry(it, struct repair, link)->id, r->id, sizeof r->id) == 0)
			rc = -ERR_STALE;
	if (rc == 0) {
		list_append(&t->repairs, &r->link);
		r->cancelled = is_being_shared(t, r->id);
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static void repair_end(struct repair *r)
{
	struct transfer *t = r->w->t;

	pthread_mutex_lock(&t->lock);
	list_remove(&r->link);
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

/* 1: it has what it needs, or is gone. */
static int repair_whole(struct repair *r)
{
	unsigned refused = 0;
	int rc;

	do
		rc = repair_step(r);
	while (rc == 0 || (r->refused && ++refused < REFUSALS_MAX));
	return rc;
}

int repair_object(struct worker *w, uint32_t zone_id, const struct shortage *s, unsigned *made)
{
	struct repair r = { .w = w, .zone_id = zone_id };
	int rc;

	memcpy(r.id, s->object, sizeof r.id);
	if ((rc = repair_begin(&r)) < 0)
		return rc;
	rc = repair_whole(&r);
	repair_end(&r);
	*made += r.made;
	if (rc == 1 && r.backend_ids)
		rc = meta_copies_settle(w->t->meta, &r.mirror, s->num);
	repair_free(&r);
	return rc < 0 ? rc : 0;
}

/* ---- one object leaves a backend
 * ------------------------------------------------------------------------------------------- */

/* A copy that is none after all is made again, and its object comes once more. */
static int read_back(struct repair *r, const struct replica *replica)
{
	struct transfer *t = r->w->t;
	struct endpoint *s;
	int rc = 0;

	if (replica->state != REPLICA_STORED || replica->backend_id == r->sound_id)
		return 0;
	pthread_mutex_lock(&t->lock);
	s = endpoint_by_id(t, replica->backend_id);
	if (s && counts(r, s))
		endpoint_ref(s);
	else
		s = NULL;
	pthread_mutex_unlock(&t->lock);
	if (!s)
		return 0;
	rc = compare(r, s);
	if (rc == -ERR_TAMPERED || rc == -ERR_ABSENT) {
		copy_bad(t, r->id, s, rc);
		rc = -ERR_TAMPERED;
	}
	endpoint_put(t, s);
	return rc;
}

static void let_go(struct repair *r)
{
	struct transfer *t = r->w->t;
	char name[OBJECT_NAME_BYTES], facts[192];

	object_name(r->id, name);
	snprintf(facts, sizeof facts,
		"{\"order\":%lld,\"step\":\"object\",\"object\":\"%s\",\"backend\":%u,\"zone\":%u,\"bytes\":%llu}",
		(long long)r->leaving->order, name + 3, r->leaving->from, r->zone_id,
		(unsigned long long)r->info.ref.plain_bytes);
	meta_lock(t->meta);
	meta_replica_release(t->meta, r->id, r->leaving->from, &r->mirror);
	audit_append(t->place, "move", facts);
	meta_unlock(t->meta);
}

static int leave(struct repair *r)
{
	int rc = repair_whole(r);

	if (rc < 0 || r->info.deleting || !r->info.replica_count)
		return rc;
	rc = body_room(r);
	if (rc == 0 && !r->sound_id)
		rc = find_sound(r);
	for (size_t i = 0; rc == 0 && i < r->info.replica_count; i++)
		rc = read_back(r, &r->info.replicas[i]);
	if (rc == 0)
		let_go(r);
	return rc;
}

int repair_leave(struct worker *w, const struct leaving *leaving, const uint8_t id[OBJECT_ID_BYTES])
{
	struct repair r = { .w = w, .zone_id = leaving->zone_id, .leaving = leaving };
	struct transfer *t = w->t;
	int rc;

	memcpy(r.id, id, sizeof r.id);
	if ((rc = repair_begin(&r)) < 0)
		return rc;
	rc = leave(&r);
	repair_end(&r);
	repair_free(&r);
	if (rc == -ERR_REVOKED) {
		/* a pack with bytes that no file has any more is rewritten instead, and not when it is half empty */
		meta_lock(t->meta);
		meta_repack_now(t->meta, id);
		meta_unlock(t->meta);
	}
	return rc < 0 ? rc : 0;
}
