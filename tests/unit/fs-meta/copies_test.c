/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copies that are missing or bad, and the table of what is short of them. */
#include "tests/unit/fs-meta/fixture.h"

#include <sodium.h>

#define ZONE 1

static const uint32_t backends[] = { 1, 2, 3 };
static const struct meta_mirror two_of_three = { ZONE, 2, backends, 3 };

/* A file whose block lies on these backends. */
static struct inode *stored(struct fix *f, const char *name, const uint32_t *ids, size_t count, uint8_t id[])
{
	struct object_ref ref = { .zone = ZONE, .epoch = 3, .header_bytes = 256, .plain_bytes = 100 };
	struct inode *ip = fix_inode(f, fix_make(f, META_ROOT_INO, name, S_IFREG | 0600));
	struct extent e = { .len = 4, .zone_id = ZONE };
	struct block *b;

	randombytes_buf(ref.id, sizeof ref.id);
	memcpy(id, ref.id, sizeof ref.id);
	memcpy(e.object, ref.id, sizeof e.object);
	fix_write(f, ip, 0, "text");
	assert_int_equal(meta_object_begin(f->m, &ref, 1, ids, count), 0);
	b = fix_block(f, ip, 0);
	meta_lock(f->m);
	for (size_t i = 0; i < count; i++)
		meta_object_stored(f->m, ref.id, ids[i]);
	meta_extent_set(f->m, b, &e, b->version);
	meta_unlock(f->m);
	meta_block_put(f->m, b);
	assert_int_equal(meta_commit(f->m), 0);
	return ip;
}

static void look_all(struct fix *f, const struct meta_mirror *mirror)
{
	int64_t after = 0;
	int rc;

	while ((rc = meta_copies_look(f->m, mirror, 1, &after)) > 0)
		;
	assert_int_equal(rc, 0);
}

/* How many are short; the first of them in *s. */
static int shortages(struct fix *f, struct shortage *s)
{
	assert_int_equal(meta_commit(f->m), 0);
	return meta_shortages(f->m, ZONE, 0, s, 1);
}

static int state_on(struct fix *f, const uint8_t *id, uint32_t backend)
{
	struct object_info info;
	int state = -1;

	assert_int_equal(meta_object_get(f->m, id, &info), 0);
	for (size_t i = 0; i < info.replica_count; i++)
		if (info.replicas[i].backend_id == backend)
			state = (int)info.replicas[i].state;
	object_info_free(&info);
	return state;
}

static void mark_bad(struct fix *f, const uint8_t *id, uint32_t backend)
{
	meta_lock(f->m);
	meta_replica_bad(f->m, id, backend, REPLICA_DAMAGED);
	meta_unlock(f->m);
}

static void mark_stored(struct fix *f, const uint8_t *id, uint32_t backend)
{
	meta_lock(f->m);
	meta_object_stored(f->m, id, backend);
	meta_unlock(f->m);
}

/* A bad copy is short until it is stored again, across a reopening. */
static void bad_copy(void **state)
{
	uint8_t id[OBJECT_ID_BYTES];
	struct shortage s;
	struct fix f;

	(void)state;
	fix_start(&f);
	meta_inode_put(f.m, stored(&f, "f", backends, 2, id));
	assert_int_equal(shortages(&f, &s), 0);
	mark_bad(&f, id, 2);
	assert_int_equal(state_on(&f, id, 1), REPLICA_STORED);
	assert_int_equal(state_on(&f, id, 2), REPLICA_BAD);
	fix_reopen(&f);
	assert_int_equal(shortages(&f, &s), 1);
	assert_memory_equal(s.object, id, sizeof id);
	assert_int_equal(meta_shortages(f.m, ZONE, s.num, &s, 1), 0);
	assert_int_equal(meta_shortages(f.m, ZONE + 1, 0, &s, 1), 0);
	assert_int_equal(meta_shortage_blocks(f.m, ZONE, 10), 1);
	assert_int_equal(meta_shortage_blocks(f.m, ZONE + 1, 10), 0);
	assert_int_equal(meta_copies_settle(f.m, &two_of_three, s.num), 0);
	assert_int_equal(shortages(&f, &s), 1);
	mark_stored(&f, id, 2);
	assert_int_equal(meta_copies_settle(f.m, &two_of_three, s.num), 0);
	assert_int_equal(shortages(&f, &s), 0);
	assert_int_equal(state_on(&f, id, 2), REPLICA_STORED);
	fix_audit(&f);
	fix_end(&f);
}

static enum replica_fault fault_on(struct fix *f, const uint8_t *id, uint32_t backend)
{
	struct object_info info;
	enum replica_fault fault = 0;

	assert_int_equal(meta_object_get(f->m, id, &info), 0);
	for (size_t i = 0; i < info.replica_count; i++)
		if (info.replicas[i].backend_id == backend)
			fault = info.replicas[i].fault;
	object_info_free(&info);
	return fault;
}

static int64_t lost(struct fix *f)
{
	assert_int_equal(meta_commit(f->m), 0);
	return meta_lost_blocks(f->m, ZONE, 10);
}

static void mark_missing(struct fix *f, const uint8_t *id, uint32_t backend)
{
	meta_lock(f->m);
	meta_replica_bad(f->m, id, backend, REPLICA_MISSING);
	meta_unlock(f->m);
}

/* What has no sound copy is counted, with what was found first, until a copy is sound or the file is gone. */
static void lost_blocks(void **state)
{
	uint8_t id[OBJECT_ID_BYTES], other[OBJECT_ID_BYTES];
	struct inode *ip;
	struct fix f;
	uint64_t ino;

	(void)state;
	fix_start(&f);
	meta_inode_put(f.m, stored(&f, "f", backends, 2, id));
	ip = stored(&f, "g", backends, 1, other);
	ino = ip->ino;
	meta_inode_put(f.m, ip);
	mark_missing(&f, id, 1);
	assert_int_equal(lost(&f), 0);
	mark_bad(&f, id, 2);
	assert_int_equal(lost(&f), 1);
	mark_missing(&f, id, 2);
	mark_missing(&f, other, 1);
	assert_int_equal(lost(&f), 2);
	assert_int_equal(meta_lost_blocks(f.m, ZONE, 1), 1);
	assert_int_equal(meta_lost_blocks(f.m, ZONE + 1, 10), 0);
	fix_reopen(&f);
	assert_int_equal(lost(&f), 2);
	assert_int_equal(fault_on(&f, id, 1), REPLICA_MISSING);
	assert_int_equal(fault_on(&f, id, 2), REPLICA_DAMAGED);
	mark_stored(&f, id, 2);
	assert_int_equal(lost(&f), 1);
	assert_int_equal(fault_on(&f, id, 2), 0);
	ip = fix_inode(&f, ino);
	meta_lock(f.m);
	ip->nlink = 0;
	meta_inode_delete(f.m, ip);
	meta_unlock(f.m);
	meta_inode_put(f.m, ip);
	assert_int_equal(lost(&f), 0);
	fix_end(&f);
}

/* A copy on one more backend is known from before it is sent. */
static void one_more(void **state)
{
	uint8_t id[OBJECT_ID_BYTES];
	struct shortage s;
	struct fix f;

	(void)state;
	fix_start(&f);
	meta_inode_put(f.m, stored(&f, "f", backends, 1, id));
	look_all(&f, &two_of_three);
	assert_int_equal(shortages(&f, &s), 1);
	assert_int_equal(meta_replica_begin(f.m, id, 3), 0);
	assert_int_equal(state_on(&f, id, 3), REPLICA_PENDING);
	assert_int_equal(meta_copies_settle(f.m, &two_of_three, s.num), 0);
	assert_int_equal(shortages(&f, &s), 1);
	assert_int_equal(meta_replica_begin(f.m, id, 3), 0); /* begun again: the same row */
	mark_stored(&f, id, 3);
	assert_int_equal(meta_copies_settle(f.m, &two_of_three, s.num), 0);
	assert_int_equal(shortages(&f, &s), 0);
	fix_audit(&f);
	fix_end(&f);
}

/* What the configuration asks for, and of which backends, decides what is short. */
static void looked_through(void **state)
{
	static const uint32_t other[] = { 2, 3 };
	static const struct {
		struct meta_mirror mirror;
		int short_count;
	} rows[] = {
		{ { ZONE, 2, backends, 2 }, 0 }, { { ZONE, 3, backends, 3 }, 1 }, { { ZONE, 2, backends, 3 }, 0 },
		{ { ZONE, 2, other, 2 }, 1 }, { { ZONE, 1, other, 2 }, 0 }, { { ZONE, 1, NULL, 0 }, 1 },
		{ { ZONE + 1, 9, backends, 3 }, 1 }, /* another zone's: as it was */
	};
	uint8_t id[OBJECT_ID_BYTES];
	struct shortage s;
	struct fix f;

	(void)state;
	fix_start(&f);
	meta_inode_put(f.m, stored(&f, "f", backends, 2, id));
	for (size_t i = 0; i < COUNT(rows); i++) {
		look_all(&f, &rows[i].mirror);
		assert_int_equal(shortages(&f, &s), rows[i].short_count);
	}
	fix_audit(&f);
	fix_end(&f);
}

/* Pages: every one of many is found, and one that is begun but not used is not. */
static void many(void **state)
{
	uint8_t id[OBJECT_ID_BYTES];
	struct object_ref begun = { .id = { 1 }, .zone = ZONE, .header_bytes = 256 };
	struct fix f;
	char name[16];

	(void)state;
	fix_start(&f);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "%d", i);
		meta_inode_put(f.m, stored(&f, name, backends, 1, id));
	}
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM object"), 20);
	assert_int_equal(meta_object_begin(f.m, &begun, 1, backends, 1), 0);
	look_all(&f, &two_of_three);
	assert_int_equal(meta_shortage_blocks(f.m, ZONE, 100), 20);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM shortage"), 20);
	assert_int_equal(meta_shortage_blocks(f.m, ZONE, 7), 7);
	fix_end(&f);
}

/* An object that loses its last reference is short of nothing, and whatever copy was being made of it is deleted twice:
 * it may come late. */
static void deleted(void **state)
{
	uint8_t id[OBJECT_ID_BYTES];
	struct deletion d[4];
	struct shortage s;
	struct inode *ip;
	struct fix f;

	(void)state;
	fix_start(&f);
	ip = stored(&f, "f", backends, 2, id);
	mark_bad(&f, id, 2);
	assert_int_equal(meta_replica_begin(f.m, id, 3), 0);
	meta_lock(f.m);
	ip->nlink = 0;
	meta_inode_delete(f.m, ip);
	meta_unlock(f.m);
	meta_inode_put(f.m, ip);
	assert_int_equal(shortages(&f, &s), 0);
	assert_int_equal(meta_sync(f.m), 0);
	for (uint32_t backend = 1; backend <= 3; backend++) {
		assert_int_equal(meta_deletions(f.m, backend, 0, d, 4), 1);
		assert_int_equal(meta_deletion_count(f.m, backend), backend == 1 ? 1 : 2);
	}
	/* too late: nothing comes back */
	mark_stored(&f, id, 2);
	mark_bad(&f, id, 1);
	assert_int_equal(meta_replica_begin(f.m, id, 4), -ERR_STALE);
	assert_int_equal(state_on(&f, id, 1), REPLICA_DELETING);
	assert_int_equal(state_on(&f, id, 2), REPLICA_DELETING);
	assert_int_equal(state_on(&f, id, 4), -1);
	assert_int_equal(shortages(&f, &s), 0);
	fix_end(&f);
}

/* Whose bytes an object holds, and whether that is all of them. */
static void members(void **state)
{
	uint8_t id[OBJECT_ID_BYTES], other[OBJECT_ID_BYTES];
	struct inode *ip;
	uint64_t inos[4];
	struct fix f;

	(void)state;
	fix_start(&f);
	ip = stored(&f, "f", backends, 1, id);
	meta_inode_put(f.m, stored(&f, "g", backends, 1, other));
	assert_int_equal(meta_object_inos(f.m, id, 0, inos, 4), 1);
	assert_int_equal(inos[0], ip->ino);
	assert_int_equal(meta_object_inos(f.m, id, ip->ino, inos, 4), 0);
	assert_int_equal(meta_is_repack(f.m, other), 0);
	meta_lock(f.m);
	meta_repack_note(f.m, other, ip->ino); /* a remnant of f */
	meta_unlock(f.m);
	assert_int_equal(meta_commit(f.m), 0);
	assert_int_equal(meta_is_repack(f.m, other), 1);
	assert_int_equal(meta_is_repack(f.m, id), 0);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_copy),
		cmocka_unit_test(lost_blocks),
		cmocka_unit_test(one_more),
		cmocka_unit_test(looked_through),
		cmocka_unit_test(many),
		cmocka_unit_test(deleted),
		cmocka_unit_test(members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
