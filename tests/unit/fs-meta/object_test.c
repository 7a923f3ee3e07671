/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Objects, their references and replicas, deletions, what is pending, backends and settings. */
#include "tests/unit/fs-meta/fixture.h"

#include <sodium.h>

static const uint32_t two_backends[] = { 1, 2 };

/* An object sent to two backends and confirmed, as an extent for one block. */
static struct extent make_object(struct fix *f, uint32_t zone)
{
	struct object_ref ref = { .zone = zone, .epoch = 3, .header_bytes = 256, .plain_bytes = 100 };
	struct extent e = { .offset = 10, .len = 90, .zone_id = zone };

	randombytes_buf(ref.id, sizeof ref.id);
	randombytes_buf(ref.wrapped, sizeof ref.wrapped);
	assert_int_equal(meta_object_begin(f->m, &ref, 1, two_backends, 2), 0);
	meta_lock(f->m);
	meta_object_stored(f->m, ref.id, 1);
	meta_object_stored(f->m, ref.id, 2);
	meta_unlock(f->m);
	memcpy(e.object, ref.id, sizeof e.object);
	return e;
}

static void point(struct fix *f, struct inode *ip, uint32_t index, const struct extent *e)
{
	struct block *b = fix_block(f, ip, index);

	meta_lock(f->m);
	meta_extent_set(f->m, b, e, b->version);
	meta_unlock(f->m);
	meta_block_put(f->m, b);
}

static struct inode *file(struct fix *f, const char *name)
{
	return fix_inode(f, fix_make(f, META_ROOT_INO, name, S_IFREG | 0600));
}

static int64_t due(struct fix *f)
{
	struct deletion d[32];
	int n;

	assert_int_equal(meta_sync(f->m), 0);
	n = meta_deletions(f->m, 1, 0, d, 32);
	assert_true(n >= 0);
	assert_int_equal(meta_deletions(f->m, 2, 0, d, 32), n);
	assert_int_equal(meta_deletion_count(f->m, 1), n);
	assert_int_equal(meta_deletion_count(f->m, 0), 2 * n);
	return n;
}

static void known_object(void **state)
{
	struct object_ref ref = { .zone = 4, .epoch = 5, .header_bytes = 300, .plain_bytes = 1ULL << 40 };
	struct object_info info;
	struct fix f;

	(void)state;
	fix_start(&f);
	memset(ref.id, 1, sizeof ref.id);
	memset(ref.wrapped, 2, sizeof ref.wrapped);
	assert_int_equal(meta_object_get(f.m, ref.id, &info), -ENOENT);
	assert_int_equal(meta_object_begin(f.m, &ref, 1, two_backends, 2), 0);
	assert_int_equal(meta_object_get(f.m, ref.id, &info), 0);
	assert_memory_equal(&info.ref, &ref, sizeof ref);
	assert_int_equal(info.replica_count, 2);
	assert_int_equal(info.replicas[0].state, REPLICA_PENDING);
	object_info_free(&info);
	meta_lock(f.m);
	meta_object_stored(f.m, ref.id, 2);
	meta_unlock(f.m);
	/* queued is as good as committed */
	assert_int_equal(meta_object_get(f.m, ref.id, &info), 0);
	assert_int_equal(info.replicas[0].backend_id, 1);
	assert_int_equal(info.replicas[0].state, REPLICA_PENDING);
	assert_int_equal(info.replicas[1].backend_id, 2);
	assert_int_equal(info.replicas[1].state, REPLICA_STORED);
	object_info_free(&info);
	object_info_free(NULL);
	fix_end(&f);
}

static void extent_is_kept(void **state)
{
	struct fix f;
	struct inode *ip;
	struct block *b;
	struct extent e;
	struct block_row row;
	uint64_t ino;

	(void)state;
	fix_start(&f);
	ip = file(&f, "f");
	ino = ip->ino;
	fix_write(&f, ip, 0, "text");
	e = make_object(&f, 1);
	point(&f, ip, 0, &e);
	b = fix_block(&f, ip, 0);
	assert_false(b->dirty);
	assert_int_equal(b->kind, BLOCK_INLINE);
	meta_block_put(f.m, b);
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	ip = fix_inode(&f, ino);
	b = fix_block(&f, ip, 0);
	assert_memory_equal(&b->extent, &e, sizeof e);
	assert_false(b->dirty);
	assert_int_equal(meta_blocks(f.m, ino, 0, &row, 1), 1);
	assert_true(row.has_extent);
	assert_memory_equal(&row.extent, &e, sizeof e);
	/* the local copy goes: only the extent is left, in no row of `block` */
	meta_lock(f.m);
	blob_put(b->local);
	b->local = NULL;
	b->kind = BLOCK_NONE;
	meta_block_changed(f.m, b);
	meta_unlock(f.m);
	meta_block_put(f.m, b);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM block"), 0);
	assert_int_equal(meta_blocks(f.m, ino, 0, &row, 1), 1);
	assert_int_equal(row.kind, BLOCK_NONE);
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	ip = fix_inode(&f, ino);
	b = fix_block(&f, ip, 0);
	assert_memory_equal(&b->extent, &e, sizeof e);
	meta_block_put(f.m, b);
	meta_inode_put(f.m, ip);
	fix_audit(&f);
	fix_end(&f);
}

/* An upload of an older content is refused: the block stays dirty, and the object is to be deleted. */
static void stale_upload_is_refused(void **state)
{
	struct fix f;
	struct inode *ip;
	struct block *b;
	struct extent e;
	uint64_t version;

	(void)state;
	fix_start(&f);
	ip = file(&f, "f");
	fix_write(&f, ip, 0, "one");
	b = fix_block(&f, ip, 0);
	version = b->version;
	e = make_object(&f, 1);
	fix_write(&f, ip, 0, "two");
	meta_lock(f.m);
	meta_extent_set(f.m, b, &e, version);
	meta_unlock(f.m);
	assert_true(b->dirty);
	assert_int_equal(fix_sql(&f, "SELECT dirty FROM block"), 1);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM extent"), 0);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM object WHERE refs = 0 AND state = 2"), 1);
	meta_block_put(f.m, b);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

/* The last reference that goes journals the deletions, whatever took it. */
static void last_reference(void **state)
{
	enum { REPLACE, TRIM, DROP, DELETE_FILE, DISCARD };
	static const struct {
		int how;
		bool committed; /* the reference was committed before it goes */
	} rows[] = { { REPLACE, true }, { REPLACE, false }, { TRIM, true }, { TRIM, false }, { DROP, true },
		{ DROP, false }, { DELETE_FILE, true }, { DELETE_FILE, false }, { DISCARD, true } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct extent e, other;
		struct inode *ip;
		struct block *b;
		struct fix f;

		fix_start(&f);
		ip = file(&f, "f");
		e = make_object(&f, 1);
		other = make_object(&f, 1);
		if (rows[i].how != DISCARD)
			point(&f, ip, 3, &e);
		if (rows[i].committed)
			assert_int_equal(due(&f), 0);
		b = fix_block(&f, ip, 3);
		if (rows[i].how == REPLACE)
			point(&f, ip, 3, &other);
		meta_lock(f.m);
		if (rows[i].how == TRIM)
			meta_extent_trim(f.m, b, 0);
		if (rows[i].how == DROP)
			meta_blocks_drop(f.m, ip, 3, NULL);
		if (rows[i].how == DISCARD)
			meta_object_discard(f.m, e.object, false);
		meta_unlock(f.m);
		meta_block_put(f.m, b);
		if (rows[i].how == DELETE_FILE)
			fix_unlink(&f, META_ROOT_INO, "f");
		assert_int_equal(due(&f), 1);
		meta_inode_put(f.m, ip);
		fix_audit(&f);
		fix_end(&f);
	}
}

/* Shared by two blocks: one reference less is not the last; a trim that leaves something takes none. */
static void shared_object(void **state)
{
	struct fix f;
	struct inode *a, *c;
	struct block *b;
	struct extent e;

	(void)state;
	fix_start(&f);
	a = file(&f, "a");
	c = file(&f, "c");
	e = make_object(&f, 1);
	point(&f, a, 0, &e);
	point(&f, c, 0, &e);
	point(&f, c, 1, &e);
	assert_int_equal(fix_sql(&f, "SELECT refs FROM object"), 3);
	point(&f, c, 1, &e); /* the same again */
	b = fix_block(&f, c, 0);
	meta_lock(f.m);
	meta_extent_trim(f.m, b, 5);
	meta_extent_trim(f.m, b, 6); /* no longer than it is */
	meta_unlock(f.m);
	assert_int_equal(b->extent.len, 5);
	meta_block_put(f.m, b);
	assert_int_equal(fix_sql(&f, "SELECT refs FROM object"), 3);
	assert_int_equal(fix_sql(&f, "SELECT min(length) FROM extent"), 5);
	fix_unlink(&f, META_ROOT_INO, "c");
	assert_int_equal(fix_sql(&f, "SELECT refs FROM object"), 1);
	assert_int_equal(due(&f), 0);
	/* the last one goes and comes back within one batch: nothing is deleted */
	meta_lock(f.m);
	meta_blocks_drop(f.m, a, 0, NULL);
	meta_unlock(f.m);
	point(&f, a, 7, &e);
	assert_int_equal(due(&f), 0);
	meta_lock(f.m);
	meta_object_discard(f.m, e.object, false); /* refused: an extent points at it */
	meta_unlock(f.m);
	assert_int_equal(due(&f), 0);
	fix_unlink(&f, META_ROOT_INO, "a");
	assert_int_equal(due(&f), 1);
	meta_inode_put(f.m, a);
	meta_inode_put(f.m, c);
	fix_audit(&f);
	fix_end(&f);
}

/* A file deleted while its upload was under way: the object is discarded, not attached. */
static void upload_of_a_deleted_file(void **state)
{
	struct fix f;
	struct inode *ip;
	struct block *b;
	struct extent e;

	(void)state;
	fix_start(&f);
	ip = file(&f, "f");
	fix_write(&f, ip, 0, "text");
	b = fix_block(&f, ip, 0);
	e = make_object(&f, 1);
	fix_unlink(&f, META_ROOT_INO, "f");
	meta_lock(f.m);
	meta_extent_set(f.m, b, &e, b->version);
	meta_unlock(f.m);
	meta_block_put(f.m, b);
	meta_inode_put(f.m, ip);
	assert_int_equal(due(&f), 1);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM extent"), 0);
	fix_audit(&f);
	fix_end(&f);
}

static void deletions_wait_for_sync(void **state)
{
	struct deletion d[4];
	struct extent e;
	struct inode *ip;
	struct fix f;
	int64_t first;

	(void)state;
	fix_start(&f);
	ip = file(&f, "f");
	for (uint32_t i = 0; i < 3; i++) {
		e = make_object(&f, 1);
		point(&f, ip, i, &e);
	}
	assert_int_equal(meta_sync(f.m), 0);
	fix_unlink(&f, META_ROOT_INO, "f");
	meta_inode_put(f.m, ip);
	assert_int_equal(meta_deletions(f.m, 1, 0, d, 4), 0);
	assert_int_equal(meta_commit(f.m), 0);
	/* committed, not synced: a power loss would bring back what points at the object (I4) */
	assert_int_equal(meta_deletions(f.m, 1, 0, d, 4), 0);
	assert_int_equal(meta_sync(f.m), 0);
	assert_int_equal(meta_deletions(f.m, 1, 0, d, 4), 3);
	assert_true(d[0].seq < d[1].seq && d[1].seq < d[2].seq);
	assert_int_equal(meta_deletions(f.m, 1, d[0].seq, d, 1), 1);
	first = d[0].seq;
	assert_int_equal(meta_deletions(f.m, 9, 0, d, 4), 0);
	meta_lock(f.m);
	meta_deletion_done(f.m, &d[0]);
	meta_deletion_done(f.m, &d[0]); /* twice is once */
	meta_unlock(f.m);
	/* not given out again, before its commit and after */
	assert_int_equal(meta_deletions(f.m, 1, first - 1, d, 4), 1);
	assert_int_equal(meta_sync(f.m), 0);
	assert_int_equal(meta_deletions(f.m, 1, 0, d, 4), 2);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM object"), 3);
	for (uint32_t backend = 1; backend <= 2; backend++) {
		int n = meta_deletions(f.m, backend, 0, d, 4);

		meta_lock(f.m);
		for (int i = 0; i < n; i++)
			meta_deletion_done(f.m, &d[i]);
		meta_unlock(f.m);
	}
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM object"), 0);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM replica"), 0);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM journal"), 0);
	fix_end(&f);
}

/* What a crash in the middle of an upload left on a backend is deleted after the next mount. */
static void begun_is_discarded_at_open(void **state)
{
	struct object_ref ref = { .zone = 1 };
	struct fix f, crashed;
	struct deletion d[2];

	(void)state;
	fix_start(&f);
	memset(ref.id, 7, sizeof ref.id);
	assert_int_equal(meta_object_begin(f.m, &ref, 1, two_backends, 2), 0);
	fix_crash(&f, &crashed);
	fix_open(&crashed);
	assert_int_equal(meta_deletions(crashed.m, 1, 0, d, 2), 1);
	assert_memory_equal(d[0].object, ref.id, sizeof ref.id);
	assert_int_equal(meta_deletions(crashed.m, 2, 0, d, 2), 1);
	fix_audit(&crashed);
	fix_end(&crashed);
	fix_end(&f);
}

static void earlier_apply(struct meta_txn *txn, struct meta_record *r)
{
	(void)r;
	meta_txn_exec(txn, "UPDATE journal SET due_s = due_s - 10", "");
}

static void earlier_free(struct meta_record *r)
{
	(void)r;
}

/* As if ten seconds had passed. */
static void ten_seconds_later(struct fix *f)
{
	struct meta_record record = { .apply = earlier_apply, .free = earlier_free };

	meta_lock(f->m);
	meta_queue(f->m, &record);
	meta_unlock(f->m);
	assert_int_equal(meta_sync(f->m), 0);
}

static void done(struct fix *f, const struct deletion *d)
{
	meta_lock(f->m);
	meta_deletion_done(f->m, d);
	meta_unlock(f->m);
	assert_int_equal(meta_sync(f->m), 0);
	fix_audit(f);
}

/* A backend that may still be storing it when it is deleted must not have the last word; one that confirmed it, or did
 * not get all of it, is asked once. */
static void unsure_is_deleted_once_more(void **state)
{
	static const uint32_t backend[] = { 1 };
	struct object_ref ref = { .zone = 1 };
	struct object_info info;
	struct deletion d;
	struct fix f;

	(void)state;
	fix_start(&f);
	for (int unsure = 0; unsure <= 1; unsure++) {
		randombytes_buf(ref.id, sizeof ref.id);
		assert_int_equal(meta_object_begin(f.m, &ref, 1, backend, 1), 0);
		meta_lock(f.m);
		meta_object_discard(f.m, ref.id, unsure);
		meta_unlock(f.m);
		assert_int_equal(meta_sync(f.m), 0);
		fix_audit(&f);
		assert_int_equal(meta_deletion_count(f.m, 1), 1 + unsure);
		assert_int_equal(meta_deletions(f.m, 1, 0, &d, 1), 1);
		assert_memory_equal(d.object, ref.id, sizeof ref.id);
		done(&f, &d);
		assert_int_equal(meta_deletions(f.m, 1, 0, &d, 1), 0);
		if (unsure)
			assert_in_range(meta_deletion_later(f.m, 1, clock_real_ns()) - clock_real_ns() / NS_PER_S, 1,
				META_UNSURE_S);
		else
			assert_int_equal(meta_deletion_later(f.m, 1, clock_real_ns()), 0);
		assert_int_equal(meta_deletion_later(f.m, 2, clock_real_ns()), 0);
		assert_int_equal(meta_object_get(f.m, ref.id, &info), unsure ? 0 : -ENOENT);
		object_info_free(&info);
	}
	ten_seconds_later(&f);
	assert_int_equal(meta_deletion_later(f.m, 1, clock_real_ns()), 0);
	assert_int_equal(meta_deletions(f.m, 1, 0, &d, 1), 1);
	assert_memory_equal(d.object, ref.id, sizeof ref.id);
	done(&f, &d);
	assert_int_equal(meta_object_get(f.m, ref.id, &info), -ENOENT);
	assert_int_equal(meta_deletion_count(f.m, 0), 0);
	fix_end(&f);
}

/* ---- what is pending ---- */

/* What a file left behind is known until its last deletion is confirmed, and as its own only. */
static void what_a_file_left(void **state)
{
	enum { REPLACE, TRIM, DROP, DISCARD };

	(void)state;
	for (int how = REPLACE; how <= DISCARD; how++) {
		struct extent e, other;
		struct inode *ip, *neighbour;
		struct deletion d;
		struct block *b;
		struct fix f;

		fix_start(&f);
		ip = file(&f, "f");
		neighbour = file(&f, "g");
		e = make_object(&f, 1);
		other = make_object(&f, 1);
		if (how != DISCARD)
			point(&f, ip, 3, &e);
		point(&f, neighbour, 0, &other);
		assert_int_equal(meta_commit(f.m), 0);
		assert_int_equal(meta_remnants(f.m, ip->ino), 0);
		b = fix_block(&f, ip, 3);
		if (how == REPLACE) {
			other = make_object(&f, 1);
			point(&f, ip, 3, &other);
		}
		meta_lock(f.m);
		if (how == TRIM)
			meta_extent_trim(f.m, b, 0);
		if (how == DROP)
			meta_blocks_drop(f.m, ip, 3, NULL);
		if (how == DISCARD) {
			meta_remnant_note(f.m, e.object, ip->ino);
			meta_object_discard(f.m, e.object, false);
		}
		meta_unlock(f.m);
		meta_block_put(f.m, b);
		assert_int_equal(due(&f), 1);
		for (uint32_t backend = 1; backend <= 2; backend++) {
			assert_int_equal(meta_remnants(f.m, ip->ino), 1);
			assert_int_equal(meta_remnants(f.m, neighbour->ino), 0);
			assert_int_equal(meta_deletions(f.m, backend, 0, &d, 1), 1);
			done(&f, &d);
		}
		assert_int_equal(meta_remnants(f.m, ip->ino), 0);
		assert_int_equal(fix_sql(&f, "SELECT count(*) FROM remnant"), 0);
		meta_inode_put(f.m, ip);
		meta_inode_put(f.m, neighbour);
		fix_audit(&f);
		fix_end(&f);
	}
}

static void place(struct fix *f, struct inode *ip, uint32_t zone)
{
	meta_lock(f->m);
	ip->zone_id = zone;
	meta_inode_changed(f->m, ip);
	meta_unlock(f->m);
}

static void pending_are(struct fix *f, const uint64_t *want, int count)
{
	uint64_t got[16];

	assert_int_equal(meta_commit(f->m), 0);
	assert_int_equal(meta_pending(f->m, 0, got, 16), count);
	for (int i = 0; i < count; i++)
		assert_int_equal(got[i], want[i]);
	if (count > 1) {
		assert_int_equal(meta_pending(f->m, want[0], got, 1), 1);
		assert_int_equal(got[0], want[1]);
	}
}

static void dirty_is_pending(void **state)
{
	struct fix f;
	struct inode *ip;
	struct extent e;
	uint64_t ino;

	(void)state;
	fix_start(&f);
	fix_make(&f, META_ROOT_INO, "clean", S_IFREG);
	ip = file(&f, "dirty");
	ino = ip->ino;
	fix_write(&f, ip, 0, "text");
	pending_are(&f, &ino, 1);
	e = make_object(&f, 1);
	point(&f, ip, 0, &e);
	pending_are(&f, &ino, 0);
	fix_write(&f, ip, 0, "again");
	meta_inode_put(f.m, ip);
	pending_are(&f, &ino, 1);
	fix_unlink(&f, META_ROOT_INO, "dirty");
	pending_are(&f, &ino, 0);
	fix_end(&f);
}

static void moves_are_pending(void **state)
{
	struct fix f;
	struct inode *ip;
	struct extent home, abroad;

	(void)state;
	fix_start(&f);
	ip = file(&f, "a");
	home = make_object(&f, 1);
	abroad = make_object(&f, 2);
	place(&f, ip, 2);
	point(&f, ip, 0, &abroad);
	point(&f, ip, 1, &abroad);
	pending_are(&f, &ip->ino, 0);
	place(&f, ip, 1);
	pending_are(&f, &ip->ino, 1);
	point(&f, ip, 0, &home);
	pending_are(&f, &ip->ino, 1);
	point(&f, ip, 1, &home);
	pending_are(&f, &ip->ino, 0);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM moving"), 0);
	/* an upload for the old zone that ends after the placement changed */
	abroad = make_object(&f, 2);
	point(&f, ip, 2, &abroad);
	pending_are(&f, &ip->ino, 1);
	place(&f, ip, 2);
	place(&f, ip, 1);
	pending_are(&f, &ip->ino, 1);
	fix_unlink(&f, META_ROOT_INO, "a");
	pending_are(&f, &ip->ino, 0);
	meta_inode_put(f.m, ip);
	fix_audit(&f);
	fix_end(&f);
}

static void pending_entries(void **state)
{
	struct fix f;
	uint64_t dir, sub, ino[3];

	(void)state;
	fix_start(&f);
	dir = fix_make(&f, META_ROOT_INO, "dir", S_IFDIR | 0700);
	sub = fix_make(&f, dir, "sub", S_IFDIR | 0700);
	ino[0] = fix_make(&f, META_ROOT_INO, "outside", S_IFREG);
	ino[1] = fix_make(&f, dir, "one", S_IFREG);
	assert_int_equal(meta_commit(f.m), 0);
	meta_lock(f.m);
	meta_pending_add_subtree(f.m, dir);
	meta_unlock(f.m);
	ino[2] = fix_make(&f, sub, "two", S_IFREG); /* in the same batch, behind the record */
	pending_are(&f, ino + 1, 2);
	fix_reopen(&f);
	pending_are(&f, ino + 1, 2);
	meta_lock(f.m);
	meta_pending_done(f.m, ino[1]);
	meta_pending_done(f.m, ino[2]);
	meta_pending_add(f.m, ino[0]);
	meta_pending_add(f.m, ino[0]);
	meta_pending_add(f.m, 4711); /* no such file: not shown */
	meta_unlock(f.m);
	pending_are(&f, ino, 1);
	meta_lock(f.m);
	meta_pending_add_subtree(f.m, META_ROOT_INO);
	meta_unlock(f.m);
	pending_are(&f, ino, 3);
	/* a file that comes, is entered and goes in one batch leaves nothing */
	dir = fix_make(&f, META_ROOT_INO, "tmp", S_IFREG);
	meta_lock(f.m);
	meta_pending_add(f.m, dir);
	meta_unlock(f.m);
	fix_unlink(&f, META_ROOT_INO, "tmp");
	pending_are(&f, ino, 3);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM pending"), 4); /* these and 4711, which opening forgets */
	fix_reopen(&f);
	fix_audit(&f);
	fix_end(&f);
}

/* An extent that points at an object being deleted would be lost data: the store stops before it is written (I4). */
static void never_a_dying_object(void **state)
{
	struct fix f;
	struct inode *ip;
	struct extent e;

	(void)state;
	fix_start(&f);
	ip = file(&f, "f");
	e = make_object(&f, 1);
	meta_lock(f.m);
	meta_object_discard(f.m, e.object, false);
	meta_unlock(f.m);
	assert_int_equal(meta_commit(f.m), 0);
	log_to(open("/dev/null", O_WRONLY));
	point(&f, ip, 0, &e);
	assert_int_equal(meta_commit(f.m), -ERR_CORRUPT);
	log_to(-1);
	meta_inode_put(f.m, ip);
	assert_int_equal(meta_close(f.m), -ERR_CORRUPT);
	fix_open(&f);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM extent"), 0);
	fix_audit(&f);
	fix_end(&f);
}

/* ---- backends, settings ---- */

static void backend_identity(void **state)
{
	static const struct {
		const char *name, *identity;
		uint32_t zone;
		int rc;
		uint32_t id;
	} rows[] = {
		{ "nas", "local /srv/a domestic", 1, 0, 1 },
		{ "virginia", "s3 https://x b foreign", 2, 0, 2 },
		{ "nas", "local /srv/a domestic", 1, 0, 1 },
		{ "nas", "local /srv/b domestic", 1, -ERR_IDENTITY, 0 },
		{ "nas", "local /srv/a domestic", 2, -ERR_IDENTITY, 0 },
		{ "virginia", "s3 https://x b foreign", 2, 0, 2 },
	};
	struct fix f;
	char *name;

	(void)state;
	fix_start(&f);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT(rows); i++) {
			struct errmsg msg = { 0 };
			uint32_t id;

			assert_int_equal(meta_backend_id(f.m, rows[i].name, rows[i].identity, rows[i].zone, &id, &msg),
				rows[i].rc);
			assert_int_equal(id, rows[i].id);
			assert_int_equal(msg.text != NULL, rows[i].rc != 0);
			if (msg.text)
				assert_non_null(strstr(msg.text, rows[0].identity));
			errmsg_free(&msg);
		}
		fix_reopen(&f);
	}
	name = meta_backend_name(f.m, 2);
	assert_string_equal(name, "virginia");
	free(name);
	assert_null(meta_backend_name(f.m, 3));
	fix_end(&f);
}

static void settings(void **state)
{
	struct buf out = BUF_INIT;
	struct fix f, crashed;

	(void)state;
	fix_start(&f);
	assert_int_equal(meta_setting_get(f.m, "k", &out), -ENOENT);
	assert_int_equal(meta_setting_set(f.m, "k", "\0v", 2), 0);
	assert_int_equal(meta_setting_set(f.m, "empty", NULL, 0), 0);
	fix_crash(&f, &crashed);
	fix_open(&crashed);
	assert_int_equal(meta_setting_get(crashed.m, "k", &out), 0);
	assert_int_equal(out.len, 2);
	assert_memory_equal(out.data, "\0v", 2);
	buf_reset(&out);
	assert_int_equal(meta_setting_get(crashed.m, "empty", &out), 0);
	assert_int_equal(out.len, 0);
	buf_free(&out);
	fix_end(&crashed);
	fix_end(&f);
}

static void due_at(struct fix *f, uint64_t ino, int64_t due_ns)
{
	struct inode *ip = fix_inode(f, ino);

	meta_lock(f->m);
	ip->due_ns = due_ns;
	meta_inode_changed(f->m, ip);
	meta_unlock(f->m);
	meta_inode_put(f->m, ip);
}

/* What falls due by the clock, in its order, and what is next. */
static void due_by_clock(void **state)
{
	static const struct meta_due none = { 0, 0 };
	struct meta_due got[4];
	uint64_t ino[4];
	int64_t next;
	struct fix f;

	(void)state;
	fix_start(&f);
	assert_int_equal(meta_due(f.m, none, INT64_MAX - 1, got, 4, &next), 0);
	assert_true(next == INT64_MAX);
	for (int i = 0; i < 4; i++)
		ino[i] = fix_make(&f, META_ROOT_INO, (char[]){ (char)('a' + i), 0 }, S_IFREG | 0600);
	due_at(&f, ino[0], 300);
	due_at(&f, ino[1], 100);
	due_at(&f, ino[2], 100);
	fix_close(&f);
	fix_open(&f);
	assert_int_equal(meta_due(f.m, none, 99, got, 4, &next), 0);
	assert_int_equal(next, 100);
	assert_int_equal(meta_due(f.m, none, 100, got, 4, &next), 2);
	assert_int_equal(next, 300);
	assert_int_equal(got[0].ino, ino[1]);
	assert_int_equal(got[1].ino, ino[2]);
	/* a page, and what is behind it */
	assert_int_equal(meta_due(f.m, none, 300, got, 1, &next), 1);
	assert_true(next == INT64_MAX);
	assert_int_equal(got[0].ino, ino[1]);
	assert_int_equal(meta_due(f.m, got[0], 300, got, 4, &next), 2);
	assert_int_equal(got[0].ino, ino[2]);
	assert_int_equal(got[1].ino, ino[0]);
	assert_int_equal(got[1].due_ns, 300);
	due_at(&f, ino[0], 0);
	assert_int_equal(meta_commit(f.m), 0);
	assert_int_equal(meta_due(f.m, got[0], 300, got, 4, &next), 0);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(due_by_clock),
		cmocka_unit_test(known_object),
		cmocka_unit_test(extent_is_kept),
		cmocka_unit_test(stale_upload_is_refused),
		cmocka_unit_test(last_reference),
		cmocka_unit_test(shared_object),
		cmocka_unit_test(upload_of_a_deleted_file),
		cmocka_unit_test(deletions_wait_for_sync),
		cmocka_unit_test(begun_is_discarded_at_open),
		cmocka_unit_test(unsure_is_deleted_once_more),
		cmocka_unit_test(what_a_file_left),
		cmocka_unit_test(dirty_is_pending),
		cmocka_unit_test(moves_are_pending),
		cmocka_unit_test(pending_entries),
		cmocka_unit_test(never_a_dying_object),
		cmocka_unit_test(backend_identity),
		cmocka_unit_test(settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
