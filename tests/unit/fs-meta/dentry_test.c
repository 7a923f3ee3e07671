/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names: found, listed in order, merged from memory and SQLite, and the way back from an inode to its paths. */
#include "tests/unit/fs-meta/fixture.h"

#include <stdatomic.h>

static void rename_to(struct fix *f, uint64_t from, const char *old, uint64_t to, const char *new)
{
	struct dentry *a, *b;

	assert_int_equal(meta_dentry_get(f->m, from, old, &a), 0);
	assert_int_equal(meta_dentry_get(f->m, to, new, &b), 0);
	meta_lock(f->m);
	meta_dentry_set(f->m, b, a->ino, a->type);
	meta_dentry_set(f->m, a, 0, 0);
	meta_unlock(f->m);
	meta_dentry_put(f->m, a);
	meta_dentry_put(f->m, b);
}

static void exchange(struct fix *f, uint64_t dir, const char *x, const char *y)
{
	struct dentry *a, *b;
	uint64_t ino;
	uint8_t type;

	assert_int_equal(meta_dentry_get(f->m, dir, x, &a), 0);
	assert_int_equal(meta_dentry_get(f->m, dir, y, &b), 0);
	meta_lock(f->m);
	ino = a->ino;
	type = a->type;
	meta_dentry_set(f->m, a, b->ino, b->type);
	meta_dentry_set(f->m, b, ino, type);
	meta_unlock(f->m);
	meta_dentry_put(f->m, a);
	meta_dentry_put(f->m, b);
}

/* Every name of a directory, in pieces of `max`, as "a b c"; checks the order of the ids. */
static char *listing(struct fix *f, uint64_t dir, size_t max)
{
	struct dirent_out out[16];
	struct buf text = BUF_INIT;
	uint64_t after = 0;
	int n;

	while ((n = meta_readdir(f->m, dir, after, out, max)) > 0) {
		for (int i = 0; i < n; i++) {
			assert_true(out[i].id > after);
			after = out[i].id;
			buf_printf(&text, "%s%s", text.len ? " " : "", out[i].name);
		}
	}
	assert_int_equal(n, 0);
	buf_str(&text, "");
	return buf_steal(&text);
}

static void is_listed(struct fix *f, uint64_t dir, const char *want)
{
	for (size_t max = 1; max <= 16; max = max * 2 + 1) {
		char *got = listing(f, dir, max);

		assert_string_equal(got, want);
		free(got);
	}
}

static void names_of_any_bytes(void **state)
{
	static const char *const rows[] = { "a", "A", "é", "\xff\xfe", " ", "\n", "%s'\"", "a.b", "..." };
	uint64_t ino[COUNT(rows)];
	char longest[META_NAME_MAX + 2];
	struct dentry *d;
	struct fix f;

	(void)state;
	memset(longest, 'n', sizeof longest);
	longest[META_NAME_MAX + 1] = 0;
	fix_start(&f);
	assert_int_equal(meta_dentry_get(f.m, META_ROOT_INO, longest, &d), -ENAMETOOLONG);
	assert_null(d);
	longest[META_NAME_MAX] = 0;
	fix_make(&f, META_ROOT_INO, longest, S_IFREG);
	for (size_t i = 0; i < COUNT(rows); i++)
		ino[i] = fix_make(&f, META_ROOT_INO, rows[i], S_IFREG);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT(rows); i++)
			assert_int_equal(fix_lookup(&f, META_ROOT_INO, rows[i]), ino[i]);
		assert_int_equal(fix_lookup(&f, META_ROOT_INO, "b"), 0);
		assert_int_equal(fix_lookup(&f, META_ROOT_INO, ""), 0);
		assert_true(fix_lookup(&f, META_ROOT_INO, longest) > 0);
		fix_reopen(&f);
	}
	fix_end(&f);
}

static void listing_merges(void **state)
{
	struct fix f;
	uint64_t dir;

	(void)state;
	fix_start(&f);
	dir = fix_make(&f, META_ROOT_INO, "dir", S_IFDIR | 0700);
	is_listed(&f, dir, "");
	fix_make(&f, dir, "a", S_IFREG);
	fix_make(&f, dir, "b", S_IFREG);
	fix_make(&f, dir, "c", S_IFREG);
	is_listed(&f, dir, "a b c"); /* memory only */
	assert_int_equal(meta_commit(f.m), 0);
	is_listed(&f, dir, "a b c"); /* both */
	fix_reopen(&f);
	is_listed(&f, dir, "a b c"); /* SQLite only */
	fix_unlink(&f, dir, "b");
	fix_make(&f, dir, "d", S_IFREG);
	is_listed(&f, dir, "a c d"); /* hidden by memory, added by memory */
	rename_to(&f, dir, "a", dir, "e");
	exchange(&f, dir, "c", "d");
	is_listed(&f, dir, "e c d"); /* fresh ids, in the order of the changes */
	assert_int_equal(meta_commit(f.m), 0);
	is_listed(&f, dir, "e c d");
	fix_unlink(&f, dir, "c");
	fix_unlink(&f, dir, "d");
	fix_unlink(&f, dir, "e");
	is_listed(&f, dir, ""); /* SQLite's rows are all hidden */
	fix_make(&f, dir, "z", S_IFREG);
	is_listed(&f, dir, "z");
	fix_reopen(&f);
	is_listed(&f, dir, "z");
	fix_audit(&f);
	fix_end(&f);
}

static int collect(void *ctx, uint64_t parent, const char *name)
{
	buf_printf(ctx, "%llu/%s;", (unsigned long long)parent, name);
	return 0;
}

static void names_are(struct fix *f, uint64_t ino, const char *want)
{
	struct buf got = BUF_INIT;

	buf_str(&got, "");
	assert_int_equal(meta_names(f->m, ino, collect, &got), 0);
	assert_string_equal((char *)got.data, want);
	buf_free(&got);
}

/* What changes while its former state is written stays in the directory's list. */
static void listing_while_committing(void **state)
{
	struct batch *b;
	struct fix f;
	uint64_t ino;

	(void)state;
	fix_start(&f);
	ino = fix_make(&f, META_ROOT_INO, "a", S_IFREG);
	fix_make(&f, META_ROOT_INO, "b", S_IFREG);
	meta_lock(f.m);
	assert_int_equal(batch_cut(f.m, &b), 0);
	meta_unlock(f.m);
	is_listed(&f, META_ROOT_INO, "a b");
	fix_unlink(&f, META_ROOT_INO, "b");
	rename_to(&f, META_ROOT_INO, "a", META_ROOT_INO, "c");
	rename_to(&f, META_ROOT_INO, "c", META_ROOT_INO, "a");
	is_listed(&f, META_ROOT_INO, "a");
	assert_int_equal(batch_apply(f.m, f.m->writer, b), 0);
	is_listed(&f, META_ROOT_INO, "a");
	batch_finish(f.m, b);
	is_listed(&f, META_ROOT_INO, "a");
	names_are(&f, ino, "1/a;");
	assert_int_equal(meta_commit(f.m), 0);
	is_listed(&f, META_ROOT_INO, "a");
	fix_end(&f);
}

static void readdir_tells_type(void **state)
{
	struct dirent_out out[4];
	struct fix f;

	(void)state;
	fix_start(&f);
	fix_make(&f, META_ROOT_INO, "d", S_IFDIR | 0700);
	fix_make(&f, META_ROOT_INO, "f", S_IFREG | 0700);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(meta_readdir(f.m, META_ROOT_INO, 0, out, 0), 0);
		assert_int_equal(meta_readdir(f.m, META_ROOT_INO, 0, out, 4), 2);
		assert_int_equal(out[0].type, DT_DIR);
		assert_int_equal(out[1].type, DT_REG);
		assert_int_equal(out[1].ino, fix_lookup(&f, META_ROOT_INO, "f"));
		assert_int_equal(meta_readdir(f.m, META_ROOT_INO, out[0].id, out, 4), 1);
		fix_reopen(&f);
	}
	fix_end(&f);
}

static void emptiness(void **state)
{
	struct fix f;
	uint64_t dir;

	(void)state;
	fix_start(&f);
	dir = fix_make(&f, META_ROOT_INO, "dir", S_IFDIR | 0700);
	assert_int_equal(meta_dir_empty(f.m, dir), 1);
	assert_int_equal(meta_dir_empty(f.m, META_ROOT_INO), 0);
	fix_make(&f, dir, "a", S_IFREG);
	assert_int_equal(meta_dir_empty(f.m, dir), 0);
	fix_reopen(&f);
	assert_int_equal(meta_dir_empty(f.m, dir), 0);
	fix_unlink(&f, dir, "a");
	assert_int_equal(meta_dir_empty(f.m, dir), 1); /* though SQLite still shows it */
	fix_make(&f, dir, "a", S_IFREG);
	assert_int_equal(meta_dir_empty(f.m, dir), 0);
	fix_end(&f);
}

static int stop_with_7(void *ctx, uint64_t parent, const char *name)
{
	(void)parent;
	(void)name;
	++*(int *)ctx;
	return 7;
}

static void path_is(struct fix *f, uint64_t ino, const char *want)
{
	struct buf got = BUF_INIT;

	assert_int_equal(meta_path(f->m, ino, &got), 0);
	assert_string_equal((char *)got.data, want);
	buf_free(&got);
}

static void link_to(struct fix *f, uint64_t ino, uint64_t parent, const char *name)
{
	struct inode *ip = fix_inode(f, ino);
	struct dentry *d;

	assert_int_equal(meta_dentry_get(f->m, parent, name, &d), 0);
	meta_lock(f->m);
	ip->nlink++;
	meta_inode_changed(f->m, ip);
	meta_dentry_set(f->m, d, ino, DT_REG);
	meta_unlock(f->m);
	meta_dentry_put(f->m, d);
	meta_inode_put(f->m, ip);
}

static void from_inode_to_names(void **state)
{
	struct fix f;
	struct buf path = BUF_INIT;
	uint64_t a, b, file, parent;
	int calls = 0;

	(void)state;
	fix_start(&f);
	a = fix_make(&f, META_ROOT_INO, "a", S_IFDIR | 0700); /* 2 */
	b = fix_make(&f, a, "b", S_IFDIR | 0700);	      /* 3 */
	file = fix_make(&f, b, "file", S_IFREG | 0600);
	for (int round = 0; round < 2; round++) {
		names_are(&f, file, "3/file;");
		path_is(&f, file, "/a/b/file");
		path_is(&f, b, "/a/b");
		path_is(&f, META_ROOT_INO, "/");
		assert_int_equal(meta_parent(f.m, b, &parent), 0);
		assert_int_equal(parent, a);
		assert_int_equal(meta_parent(f.m, META_ROOT_INO, &parent), 0);
		assert_int_equal(parent, 0);
		assert_int_equal(meta_parent(f.m, 999, &parent), -ENOENT);
		assert_int_equal(meta_path(f.m, 999, &path), -ENOENT);
		fix_reopen(&f);
	}
	/* one name in SQLite, one in memory, then one moved, then one gone */
	link_to(&f, file, a, "second");
	names_are(&f, file, "3/file;2/second;");
	assert_int_equal(meta_names(f.m, file, stop_with_7, &calls), 7);
	assert_int_equal(calls, 1);
	rename_to(&f, b, "file", META_ROOT_INO, "moved");
	names_are(&f, file, "1/moved;2/second;");
	assert_int_equal(meta_commit(f.m), 0);
	fix_unlink(&f, a, "second");
	names_are(&f, file, "1/moved;");
	path_is(&f, file, "/moved");
	rename_to(&f, META_ROOT_INO, "a", META_ROOT_INO, "A");
	path_is(&f, b, "/A/b");
	fix_unlink(&f, META_ROOT_INO, "moved");
	names_are(&f, file, "");
	buf_free(&path);
	fix_end(&f);
}

/* ---- threads: names that are there all the time are seen exactly once ---- */

#define FIXED  200
#define MOVING 40

struct churn {
	struct fix *f;
	uint64_t dir;
	atomic_bool stop;
};

static void *churn_names(void *arg)
{
	struct churn *c = arg;
	char a[16], b[16];

	for (unsigned i = 0; !atomic_load(&c->stop); i++) {
		snprintf(a, sizeof a, "m%u", i % MOVING);
		snprintf(b, sizeof b, "x%u", i % MOVING);
		if (!fix_lookup(c->f, c->dir, a))
			fix_make(c->f, c->dir, a, S_IFREG);
		else if (i % 3 == 0)
			rename_to(c->f, c->dir, a, c->dir, b);
		else
			fix_unlink(c->f, c->dir, a);
		if (i % 3 == 0 && fix_lookup(c->f, c->dir, b))
			fix_unlink(c->f, c->dir, b);
	}
	return NULL;
}

static void *churn_commits(void *arg)
{
	struct churn *c = arg;

	while (!atomic_load(&c->stop))
		assert_int_equal(meta_commit(c->f->m), 0);
	return NULL;
}

static void fixed_are_seen_once(struct fix *f, uint64_t dir)
{
	struct dirent_out out[7];
	unsigned seen[FIXED] = { 0 };
	uint64_t after = 0;
	int n;

	while ((n = meta_readdir(f->m, dir, after, out, COUNT(out))) > 0) {
		for (int i = 0; i < n; i++) {
			assert_true(out[i].id > after);
			after = out[i].id;
			if (out[i].name[0] == 'f')
				seen[atoi(out[i].name + 1)]++;
		}
	}
	assert_int_equal(n, 0);
	for (int i = 0; i < FIXED; i++)
		assert_int_equal(seen[i], 1);
}

static void concurrent_readdir(void **state)
{
	struct churn c = { 0 };
	pthread_t names, commits;
	struct fix f;
	char name[16];
	int64_t end;

	(void)state;
	fix_new(&f);
	f.options.nodes_max = 100; /* evictions too */
	fix_open(&f);
	c.f = &f;
	c.dir = fix_make(&f, META_ROOT_INO, "dir", S_IFDIR | 0700);
	for (int i = 0; i < FIXED; i++) {
		snprintf(name, sizeof name, "f%d", i);
		fix_make(&f, c.dir, name, S_IFREG);
		if (i == FIXED / 2)
			assert_int_equal(meta_commit(f.m), 0);
	}
	assert_int_equal(pthread_create(&names, NULL, churn_names, &c), 0);
	assert_int_equal(pthread_create(&commits, NULL, churn_commits, &c), 0);
	for (end = clock_mono_ns() + NS_PER_S; clock_mono_ns() < end;) {
		fixed_are_seen_once(&f, c.dir);
		assert_int_equal(meta_dir_empty(f.m, c.dir), 0);
	}
	atomic_store(&c.stop, true);
	pthread_join(names, NULL);
	pthread_join(commits, NULL);
	fix_audit(&f);
	fix_end(&f);
}

/* A file that is renamed all the time always has a name. */
static void *rename_all_the_time(void *arg)
{
	struct churn *c = arg;
	char a[16], b[16];

	for (unsigned i = 0; !atomic_load(&c->stop); i++) {
		snprintf(a, sizeof a, "%u", i % 5);
		snprintf(b, sizeof b, "%u", (i + 1) % 5);
		rename_to(c->f, c->dir, a, c->dir, b);
	}
	return NULL;
}

static int count_name(void *ctx, uint64_t parent, const char *name)
{
	(void)parent;
	(void)name;
	++*(int *)ctx;
	return 0;
}

static void concurrent_names(void **state)
{
	struct churn c = { 0 };
	pthread_t names, commits;
	struct inode *ip;
	struct fix f;
	uint64_t ino;

	(void)state;
	fix_new(&f);
	f.options.nodes_max = 1;
	fix_open(&f);
	c.f = &f;
	c.dir = fix_make(&f, META_ROOT_INO, "dir", S_IFDIR | 0700);
	ino = fix_make(&f, c.dir, "0", S_IFREG);
	/* a link count of no use keeps the answer from coming from memory alone */
	ip = fix_inode(&f, ino);
	meta_lock(f.m);
	ip->nlink = 9;
	meta_inode_changed(f.m, ip);
	meta_unlock(f.m);
	meta_inode_put(f.m, ip);
	assert_int_equal(pthread_create(&names, NULL, rename_all_the_time, &c), 0);
	assert_int_equal(pthread_create(&commits, NULL, churn_commits, &c), 0);
	for (int i = 0; i < 3000; i++) {
		int count = 0;

		assert_int_equal(meta_names(f.m, ino, count_name, &count), 0);
		assert_int_equal(count, 1);
	}
	atomic_store(&c.stop, true);
	pthread_join(names, NULL);
	pthread_join(commits, NULL);
	fix_end(&f);
}

/* Names that are not there are remembered, up to the same bound as those that are. */
static void absent_names_are_bounded(void **state)
{
	enum { NAMES = 5000, KEPT = 100 };
	struct dentry *d;
	struct fix f;
	char name[16];

	(void)state;
	fix_new(&f);
	f.options.nodes_max = KEPT;
	fix_open(&f);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof name, "absent%d", i);
		assert_int_equal(meta_dentry_get(f.m, META_ROOT_INO, name, &d), 0);
		assert_int_equal(d->ino, 0);
		meta_dentry_put(f.m, d);
		assert_true(f.m->nodes[NODE_DENTRY].count <= KEPT);
	}
	assert_int_equal(f.m->idle_count, KEPT);
	assert_int_equal(f.m->nodes[NODE_DENTRY].count, KEPT);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_any_bytes),
		cmocka_unit_test(listing_merges),
		cmocka_unit_test(listing_while_committing),
		cmocka_unit_test(readdir_tells_type),
		cmocka_unit_test(emptiness),
		cmocka_unit_test(from_inode_to_names),
		cmocka_unit_test(absent_names_are_bounded),
		cmocka_unit_test(concurrent_readdir),
		cmocka_unit_test(concurrent_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
