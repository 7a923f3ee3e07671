/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inodes: kept whole, numbered for ever, evicted, deleted, counted; and how a store is made and opened. */
#include "tests/unit/fs-meta/fixture.h"

static void root_is_there(void **state)
{
	struct fix f;
	struct inode *ip;

	(void)state;
	fix_start(&f);
	assert_int_equal(meta_block_bytes(f.m), BLOCK);
	assert_int_equal(meta_open_count(f.m), 1);
	ip = fix_inode(&f, META_ROOT_INO);
	assert_int_equal(ip->mode, S_IFDIR | 0755);
	assert_int_equal(ip->uid, 7);
	assert_int_equal(ip->gid, 8);
	assert_int_equal(ip->nlink, 2);
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	assert_int_equal(meta_open_count(f.m), 2);
	fix_end(&f);
}

/* Changes the database behind the store's back. */
static void spoil(struct fix *f, const char *sql)
{
	struct conn *c;
	struct vfs *vfs;
	char path[FIX_PATH + 16];

	snprintf(path, sizeof path, "%s/meta.db", f->dir);
	assert_int_equal(
		vfs_new(&vfs, keyring_store_key(f->keyring, STORE_KEY_DATABASE), keyring_store_id(f->keyring)), 0);
	assert_int_equal(conn_open(&c, vfs, path, false, NULL), 0);
	assert_int_equal(conn_script(c, sql), 0);
	conn_close(c);
	vfs_free(vfs);
}

static void open_refuses(void **state)
{
	static const struct {
		const char *sql;
		int rc;
		const char *text;
	} rows[] = {
		{ "UPDATE setting SET value = zeroblob(16) WHERE key = 'store_id'", -ERR_TAMPERED, "another store" },
		{ "UPDATE setting SET value = x'00' WHERE key = 'block_bytes'", -ERR_CORRUPT, "not whole" },
		{ "DELETE FROM setting WHERE key = 'store_id'", -ERR_CORRUPT, "not whole" },
		{ "PRAGMA user_version = 999", -ERR_NEWER, "newer borderfs" },
	};
	struct errmsg msg = { 0 };
	struct meta *m;
	struct fix f;

	(void)state;
	fix_start(&f);
	fix_close(&f);
	assert_int_equal(meta_create(f.dir, f.keyring, BLOCK, 0, 0, &msg), -EEXIST);
	assert_non_null(strstr(msg.text, "already"));
	errmsg_free(&msg);
	assert_int_equal(meta_open(&m, "/nonexistent", f.keyring, NULL, &msg), -ENOENT);
	assert_non_null(strstr(msg.text, "is missing"));
	errmsg_free(&msg);
	for (size_t i = 0; i < COUNT(rows); i++) {
		spoil(&f, rows[i].sql);
		assert_int_equal(meta_open(&m, f.dir, f.keyring, NULL, &msg), rows[i].rc);
		assert_null(m);
		assert_non_null(strstr(msg.text, rows[i].text));
		errmsg_free(&msg);
	}
	fix_end(&f);
}

/* A store of version 1 is brought to the present one; what was pending in it is judged, what is in its rows counted. */
static void migrates(void **state)
{
	static const char back[] =
		"DROP INDEX inode_due; ALTER TABLE inode DROP COLUMN due_ns; ALTER TABLE inode DROP COLUMN intent; "
		"DELETE FROM counter WHERE name = 'intent';"
		" DROP TRIGGER inline_new; DROP TRIGGER inline_gone; DROP TRIGGER inline_was; DROP TRIGGER inline_is;"
		" DROP TABLE inline_total; DROP INDEX block_slots; DROP INDEX block_clean;"
		" DROP INDEX pending_unjudged; ALTER TABLE pending DROP COLUMN judged;"
		" INSERT INTO pending SELECT ino FROM inode WHERE nlink = 1; ALTER TABLE object DROP COLUMN members;"
		" DROP TABLE repack; DROP TABLE remnant; DROP TABLE shortage; DROP TABLE move;"
		" DROP INDEX replica_fault; ALTER TABLE replica DROP COLUMN fault; ALTER TABLE replica DROP COLUMN "
		"fault_s;"
		" DROP TRIGGER approval_gone; ALTER TABLE inode DROP COLUMN version; DROP TABLE export_count;"
		" DROP TABLE usage; INSERT INTO counter VALUES ('inodes', 2), ('file_bytes', 5);"
		" UPDATE inode SET size = 5, bytes = 20480 WHERE ino <> 1; PRAGMA user_version = 1";
	uint64_t ino, got[2];
	struct inode *ip;
	struct meta_usage has;
	struct fix f;

	(void)state;
	fix_start(&f);
	ino = fix_make(&f, META_ROOT_INO, "f", S_IFREG | 0600);
	ip = fix_inode(&f, ino);
	fix_write(&f, ip, 0, "seven b");
	meta_inode_put(f.m, ip);
	fix_close(&f);
	spoil(&f, back);
	fix_open(&f);
	assert_int_equal(meta_intent_committed(f.m), 0);
	assert_int_equal(fix_sql(&f, "SELECT bytes FROM inline_total"), 7);
	assert_int_equal(fix_sql(&f, "SELECT dirty_bytes FROM inline_total"), 7);
	/* what a crash left counted that never came to the disk is not */
	meta_usage(f.m, OWNER_USER, 1, &has);
	assert_int_equal(has.inodes, 1);
	assert_int_equal(has.bytes, 4096);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM counter WHERE name IN ('inodes', 'file_bytes')"), 0);
	fix_audit(&f);
	assert_int_equal(meta_pending_unjudged(f.m, 0, got, 2), 1);
	assert_int_equal(got[0], ino);
	meta_lock(f.m);
	meta_pending_judged(f.m, ino);
	meta_unlock(f.m);
	assert_int_equal(meta_commit(f.m), 0);
	assert_int_equal(meta_pending_unjudged(f.m, 0, got, 2), 0);
	assert_int_equal(meta_pending(f.m, 0, got, 2), 1);
	meta_lock(f.m);
	meta_pending_add(f.m, ino);
	meta_unlock(f.m);
	assert_int_equal(meta_commit(f.m), 0);
	assert_int_equal(meta_pending_unjudged(f.m, 0, got, 2), 1);
	fix_end(&f);
}

static void fields_survive(void **state)
{
	static const struct {
		mode_t mode;
		uid_t uid;
		uint32_t nlink;
		dev_t rdev;
		uint64_t size, bytes;
		struct timespec time;
		uint32_t flags, zone;
		const char *rule;
		uint64_t rules_version;
	} rows[] = {
		{ S_IFREG | 0644, 0, 1, 0, 0, 0, { 0, 0 }, 0, 0, NULL, 0 },
		{ S_IFREG | 07777, 4294967295, 3, 0, 1ULL << 60, 512, { -2177452800, 999999999 }, INODE_HELD, 1,
			"a rule", UINT64_MAX },
		{ S_IFBLK | 0600, 1000, 1, 0xffffffffffffULL, 0, 0, { 15032385535, 1 }, INODE_EVER_STORED, 7, "", 1 },
		{ S_IFLNK | 0777, 1, 1, 0, 11, 0, { 253402300799, 123456789 }, INODE_AWAITING, UINT32_MAX, "é\n", 2 },
	};
	uint64_t ino[COUNT(rows)];
	struct fix f;

	(void)state;
	fix_start(&f);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct inode *ip;

		meta_lock(f.m);
		ip = meta_inode_new(f.m, rows[i].mode, rows[i].uid, 2, rows[i].rdev);
		ip->nlink = rows[i].nlink;
		ip->size = 99;
		ip->disk_size = rows[i].size;
		ip->bytes = rows[i].bytes;
		ip->atime = ip->mtime = ip->ctime = ip->btime = rows[i].time;
		ip->atime.tv_sec++;
		ip->flags = rows[i].flags;
		ip->zone_id = rows[i].zone;
		ip->rule = rows[i].rule ? strdup(rows[i].rule) : NULL;
		ip->rules_version = rows[i].rules_version;
		ip->version = UINT64_MAX - i;
		ino[i] = ip->ino;
		meta_inode_changed(f.m, ip);
		meta_unlock(f.m);
		meta_inode_put(f.m, ip);
	}
	fix_reopen(&f);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct inode *ip = fix_inode(&f, ino[i]);

		assert_int_equal(ip->mode, rows[i].mode);
		assert_int_equal(ip->uid, rows[i].uid);
		assert_int_equal(ip->gid, 2);
		assert_int_equal(ip->nlink, rows[i].nlink);
		assert_int_equal(ip->rdev, rows[i].rdev);
		assert_int_equal(ip->size, rows[i].size); /* I3: the size whose slots are synced */
		assert_int_equal(ip->bytes, rows[i].bytes);
		assert_int_equal(ip->atime.tv_sec, rows[i].time.tv_sec + 1);
		assert_memory_equal(&ip->mtime, &rows[i].time, sizeof ip->mtime);
		assert_memory_equal(&ip->ctime, &rows[i].time, sizeof ip->ctime);
		assert_memory_equal(&ip->btime, &rows[i].time, sizeof ip->btime);
		assert_int_equal(ip->flags, rows[i].flags);
		assert_int_equal(ip->zone_id, rows[i].zone);
		assert_int_equal(ip->rules_version, rows[i].rules_version);
		if (rows[i].rule)
			assert_string_equal(ip->rule, rows[i].rule);
		else
			assert_null(ip->rule);
		assert_int_equal(ip->version, UINT64_MAX - i);
		meta_inode_put(f.m, ip);
	}
	fix_end(&f);
}

static void missing_is_enoent(void **state)
{
	static const uint64_t rows[] = { 0, 2, 1ULL << 40, INT64_MAX, UINT64_MAX };
	struct fix f;
	struct inode *ip;

	(void)state;
	fix_start(&f);
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(meta_inode_get(f.m, rows[i], &ip), -ENOENT);
		assert_null(ip);
		meta_lock(f.m);
		assert_null(meta_inode_peek(f.m, rows[i]));
		meta_unlock(f.m);
	}
	meta_inode_put(f.m, NULL);
	fix_end(&f);
}

/* A number that a crash took from us is not given again, nor is one that was used, deleted and forgotten. */
static void numbers_are_never_reused(void **state)
{
	struct fix f, crashed;
	uint64_t a, b;

	(void)state;
	fix_start(&f);
	a = fix_make(&f, META_ROOT_INO, "a", S_IFREG | 0600);
	assert_int_equal(a, 2);
	fix_unlink(&f, META_ROOT_INO, "a");
	fix_reopen(&f);
	b = fix_make(&f, META_ROOT_INO, "b", S_IFREG | 0600);
	assert_int_equal(b, 3);
	fix_crash(&f, &crashed);
	fix_open(&crashed);
	assert_int_equal(fix_lookup(&crashed, META_ROOT_INO, "b"), 0);
	assert_true(fix_make(&crashed, META_ROOT_INO, "c", S_IFREG | 0600) > b);
	fix_end(&crashed);
	fix_end(&f);
}

/* More numbers than one lease holds, as long as commits come in between. */
static void leases_are_renewed(void **state)
{
	struct fix f, crashed;
	uint64_t first, last = 0;

	(void)state;
	fix_start(&f);
	f.m->lease_step = 100;
	for (int i = 0; i < LEASE_KINDS; i++)
		f.m->lease[i].end = f.m->lease[i].asked = f.m->lease[i].next + 100;
	first = f.m->lease[LEASE_INODE].next;
	for (int i = 0; i < 500; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		last = fix_make(&f, META_ROOT_INO, name, S_IFREG | 0600);
		if (i % 40 == 39)
			assert_int_equal(meta_sync(f.m), 0);
	}
	assert_int_equal(last, first + 499);
	fix_crash(&f, &crashed);
	fix_open(&crashed);
	assert_true(crashed.m->lease[LEASE_INODE].next > last);
	assert_true(crashed.m->lease[LEASE_INODE].next <= last + 200);
	fix_end(&crashed);
	/* without a commit the lease ends, and nothing is given beyond it */
	meta_lock(f.m);
	for (int i = 0; i < 300; i++) {
		struct inode *ip = meta_inode_new(f.m, S_IFREG, 0, 0, 0);

		if (ip)
			node_unref(f.m, &ip->node);
	}
	assert_int_equal(f.m->lease[LEASE_INODE].next, f.m->lease[LEASE_INODE].end);
	meta_unlock(f.m);
	fix_end(&f);
}

static void deleted_is_gone(void **state)
{
	struct fix f;
	struct inode *ip, *again;
	uint64_t ino;

	(void)state;
	fix_start(&f);
	ino = fix_make(&f, META_ROOT_INO, "f", S_IFREG | 0600);
	ip = fix_inode(&f, ino);
	fix_write(&f, ip, 0, "text");
	assert_int_equal(meta_commit(f.m), 0);
	fix_unlink(&f, META_ROOT_INO, "f");
	/* while referenced, after its last reference, after the commit */
	assert_int_equal(meta_inode_get(f.m, ino, &again), -ENOENT);
	meta_inode_put(f.m, ip);
	assert_int_equal(meta_inode_get(f.m, ino, &again), -ENOENT);
	assert_int_equal(meta_commit(f.m), 0);
	assert_int_equal(meta_inode_get(f.m, ino, &again), -ENOENT);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM inode"), 1);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM block"), 0);
	fix_audit(&f);
	fix_end(&f);
}

/* A file that came and went between two commits costs no SQL. */
static void short_lived_costs_nothing(void **state)
{
	struct fix f;
	struct inode *ip;
	uint64_t ino;
	int64_t before;

	(void)state;
	fix_start(&f);
	fix_make(&f, META_ROOT_INO, "x", S_IFREG | 0600);
	assert_int_equal(meta_commit(f.m), 0);
	before = sqlite3_total_changes64(f.m->writer->db);
	ino = fix_make(&f, META_ROOT_INO, "tmp", S_IFREG | 0600);
	ip = fix_inode(&f, ino);
	fix_write(&f, ip, 0, "text");
	meta_inode_put(f.m, ip);
	fix_unlink(&f, META_ROOT_INO, "tmp");
	assert_int_equal(meta_commit(f.m), 0);
	assert_int_equal(sqlite3_total_changes64(f.m->writer->db) - before, 0);
	fix_audit(&f);
	fix_end(&f);
}

static void orphans_go_at_open(void **state)
{
	struct fix f, crashed;
	struct inode *ip, *gone;
	struct dentry *d;
	uint64_t ino;
	struct meta_usage totals;

	(void)state;
	fix_start(&f);
	ino = fix_make(&f, META_ROOT_INO, "f", S_IFREG | 0600);
	ip = fix_inode(&f, ino);
	fix_write(&f, ip, 0, "text");
	assert_int_equal(meta_xattrs_load(f.m, ip), 0);
	assert_int_equal(meta_dentry_get(f.m, META_ROOT_INO, "f", &d), 0);
	meta_lock(f.m);
	assert_int_equal(meta_xattr_set(f.m, ip, "user.a", "b", 1), 0);
	ip->nlink = 0; /* unlinked, still open */
	meta_inode_changed(f.m, ip);
	meta_dentry_set(f.m, d, 0, 0);
	meta_unlock(f.m);
	meta_dentry_put(f.m, d);
	assert_int_equal(meta_commit(f.m), 0);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM inode WHERE nlink = 0"), 1);
	fix_crash(&f, &crashed);
	fix_open(&crashed);
	assert_int_equal(meta_inode_get(crashed.m, ino, &gone), -ENOENT);
	assert_int_equal(fix_sql(&crashed, "SELECT count(*) FROM block"), 0);
	fix_audit(&crashed);
	meta_totals(crashed.m, &totals);
	assert_int_equal(totals.inodes, 1);
	assert_int_equal(totals.bytes, META_DIR_BYTES);
	fix_end(&crashed);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

static int freed;

static void count_free(void *core)
{
	freed++;
	free(core);
}

/* Clean nodes go, changed ones stay, and what was evicted comes back as it was. */
static void eviction(void **state)
{
	struct fix f;
	uint64_t ino[300];
	char name[16];

	(void)state;
	fix_new(&f);
	f.options.nodes_max = 50;
	fix_open(&f);
	freed = 0;
	meta_set_inode_free(f.m, count_free);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%d", i);
		ino[i] = fix_make(&f, META_ROOT_INO, name, S_IFREG | 0600);
	}
	assert_int_equal(freed, 0);
	assert_true(f.m->nodes[NODE_INODE].count >= 300); /* I3: not committed, so not evicted */
	assert_int_equal(meta_commit(f.m), 0);
	for (int i = 0; i < 300; i++) {
		struct inode *ip = fix_inode(&f, ino[i]);

		if (!ip->core)
			ip->core = malloc(1);
		meta_inode_put(f.m, ip);
	}
	assert_true(f.m->nodes[NODE_INODE].count + f.m->nodes[NODE_DENTRY].count <= 51);
	assert_true(freed >= 250);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%d", i);
		assert_int_equal(fix_lookup(&f, META_ROOT_INO, name), ino[i]);
	}
	fix_close(&f);
	assert_true(freed >= 300);
	fix_end(&f);
}

/* A version never comes back, and lives as long as the file: an approval is of one. A generation is of one run. */
static void versions_rise(void **state)
{
	struct fix f;
	struct inode *ip;
	uint64_t ino, version = 0, gen = 0;

	(void)state;
	fix_new(&f);
	f.options.nodes_max = 1;
	fix_open(&f);
	ino = fix_make(&f, META_ROOT_INO, "f", S_IFREG | 0600);
	for (int i = 0; i < 10; i++) {
		ip = fix_inode(&f, ino);
		assert_int_equal(ip->version, version);
		assert_true(ip->place_gen > gen || i == 0);
		meta_lock(f.m);
		version = ip->version += 5;
		gen = ip->place_gen += 5;
		meta_inode_changed(f.m, ip);
		meta_unlock(f.m);
		meta_inode_put(f.m, ip);
		assert_int_equal(meta_commit(f.m), 0);
		fix_lookup(&f, META_ROOT_INO, "x");
		fix_lookup(&f, META_ROOT_INO, "y");
		meta_lock(f.m);
		assert_null(inode_find(f.m, ino));
		meta_unlock(f.m);
	}
	fix_end(&f);
}

struct getter {
	pthread_t thread;
	struct meta *m;
	uint64_t *ino;
	struct inode *seen[64];
};

static void *get_all(void *arg)
{
	struct getter *g = arg;

	for (int i = 0; i < 64; i++)
		if (meta_inode_get(g->m, g->ino[i], &g->seen[i]) < 0)
			g->seen[i] = NULL;
	return NULL;
}

/* Many threads that miss at once get the same node. */
static void one_node_for_all(void **state)
{
	struct getter g[4];
	uint64_t ino[64];
	struct fix f;
	char name[16];

	(void)state;
	fix_start(&f);
	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof name, "%d", i);
		ino[i] = fix_make(&f, META_ROOT_INO, name, S_IFREG | 0600);
	}
	fix_reopen(&f);
	for (size_t i = 0; i < COUNT(g); i++) {
		g[i].m = f.m;
		g[i].ino = ino;
		assert_int_equal(pthread_create(&g[i].thread, NULL, get_all, &g[i]), 0);
	}
	for (size_t i = 0; i < COUNT(g); i++)
		pthread_join(g[i].thread, NULL);
	for (int k = 0; k < 64; k++) {
		assert_non_null(g[0].seen[k]);
		for (size_t i = 0; i < COUNT(g); i++) {
			assert_ptr_equal(g[i].seen[k], g[0].seen[k]);
			meta_inode_put(f.m, g[i].seen[k]);
		}
	}
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_is_there),
		cmocka_unit_test(open_refuses),
		cmocka_unit_test(migrates),
		cmocka_unit_test(fields_survive),
		cmocka_unit_test(missing_is_enoent),
		cmocka_unit_test(numbers_are_never_reused),
		cmocka_unit_test(leases_are_renewed),
		cmocka_unit_test(deleted_is_gone),
		cmocka_unit_test(short_lived_costs_nothing),
		cmocka_unit_test(orphans_go_at_open),
		cmocka_unit_test(eviction),
		cmocka_unit_test(versions_rise),
		cmocka_unit_test(one_node_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
