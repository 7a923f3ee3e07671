/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store against the model: the same random operations on both, with commits, evictions, crashes, kill -9 and a disk
 * that fails at every write in turn; the whole tree is compared. */
#include "tests/unit/fs-meta/model.h"

#include <signal.h>
#include <sys/syscall.h>

/* ---- the disk: the write that fails ---- */

static long writes, fail_at = -1;

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t off);

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t off)
{
	if (__atomic_add_fetch(&writes, 1, __ATOMIC_RELAXED) == fail_at) {
		/* torn, too */
		syscall(SYS_pwrite64, fd, data, len / 2, off);
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, len, off);
}

/* ---- the operations on the store ---- */

struct run {
	struct fix f;
	struct model model, committed; /* committed: what is in SQLite at least */
	uint64_t ino[INODES];	       /* the store's numbers for the model's inodes */
	struct inode *orphan[INODES];
};

static struct run the_run;

static void object_id(uint32_t object, uint8_t id[OBJECT_ID_BYTES])
{
	memset(id, 0xab, OBJECT_ID_BYTES);
	put_le32(id, object);
}

static struct dentry *s_dentry(struct run *r, int parent, const char *name)
{
	struct dentry *d;

	assert_int_equal(meta_dentry_get(r->f.m, r->ino[parent], name, &d), 0);
	return d;
}

static struct dentry *s_name(struct run *r, int name)
{
	return s_dentry(r, r->model.name[name].parent, r->model.name[name].name);
}

static void s_put(struct run *r, struct dentry *a, struct dentry *b, struct inode *ip)
{
	meta_dentry_put(r->f.m, a);
	meta_dentry_put(r->f.m, b);
	meta_inode_put(r->f.m, ip);
}

/* The inode of a model's name, or none. */
static struct inode *s_child(struct run *r, int name)
{
	return name < 0 ? NULL : fix_inode(&r->f, r->ino[r->model.name[name].child]);
}

static void s_make(struct run *r, const struct op *op)
{
	struct dentry *d = s_dentry(r, op->parent, op->text);
	bool dir = op->kind == OP_MKDIR;
	struct inode *ip;

	meta_lock(r->f.m);
	assert_int_equal(d->ino, 0);
	ip = meta_inode_new(r->f.m, dir ? S_IFDIR | 0700 : S_IFREG | 0600, op->serial, 8, 0);
	assert_non_null(ip);
	ip->nlink = dir ? 2 : 1;
	meta_inode_changed(r->f.m, ip);
	meta_dentry_set(r->f.m, d, ip->ino, dir ? DT_DIR : DT_REG);
	r->ino[m_free_inode(&r->model)] = ip->ino;
	meta_unlock(r->f.m);
	s_put(r, d, NULL, ip);
}

/* Under the lock. */
static void s_unlink(struct run *r, struct dentry *d, struct inode *ip, bool remove_name)
{
	if (remove_name)
		meta_dentry_set(r->f.m, d, 0, 0);
	ip->nlink = S_ISDIR(ip->mode) ? 0 : ip->nlink - 1;
	meta_inode_changed(r->f.m, ip);
	if (!ip->nlink)
		meta_inode_delete(r->f.m, ip);
}

static void s_remove(struct run *r, const struct op *op)
{
	struct dentry *d = s_name(r, op->name);
	struct inode *ip = s_child(r, op->name);

	if (op->kind == OP_RMDIR)
		assert_int_equal(meta_dir_empty(r->f.m, ip->ino), 1);
	meta_lock(r->f.m);
	s_unlink(r, d, ip, true);
	meta_unlock(r->f.m);
	s_put(r, d, NULL, ip);
}

static void s_orphan(struct run *r, const struct op *op)
{
	struct dentry *d = s_name(r, op->name);
	struct inode *ip = s_child(r, op->name);

	meta_lock(r->f.m);
	meta_dentry_set(r->f.m, d, 0, 0);
	ip->nlink = 0;
	meta_inode_changed(r->f.m, ip);
	meta_unlock(r->f.m);
	meta_dentry_put(r->f.m, d);
	r->orphan[r->model.name[op->name].child] = ip;
}

static void s_release(struct run *r)
{
	for (int i = 0; i < INODES; i++) {
		if (!r->orphan[i])
			continue;
		meta_lock(r->f.m);
		meta_inode_delete(r->f.m, r->orphan[i]);
		meta_unlock(r->f.m);
		meta_inode_put(r->f.m, r->orphan[i]);
		r->orphan[i] = NULL;
	}
}

static void s_rename(struct run *r, const struct op *op)
{
	struct dentry *from = s_name(r, op->name), *to = s_dentry(r, op->parent, op->text);
	struct inode *replaced = s_child(r, op->name2);

	meta_lock(r->f.m);
	if (replaced)
		s_unlink(r, to, replaced, false);
	meta_dentry_set(r->f.m, to, from->ino, from->type);
	meta_dentry_set(r->f.m, from, 0, 0);
	meta_unlock(r->f.m);
	s_put(r, from, to, replaced);
}

static void s_exchange(struct run *r, const struct op *op)
{
	struct dentry *a = s_name(r, op->name), *b = s_name(r, op->name2);
	uint64_t ino;
	uint8_t type;

	meta_lock(r->f.m);
	ino = a->ino;
	type = a->type;
	meta_dentry_set(r->f.m, a, b->ino, b->type);
	meta_dentry_set(r->f.m, b, ino, type);
	meta_unlock(r->f.m);
	s_put(r, a, b, NULL);
}

static void s_link(struct run *r, const struct op *op, struct inode *ip)
{
	struct dentry *d = s_dentry(r, op->parent, op->text);

	meta_lock(r->f.m);
	ip->nlink++;
	meta_inode_changed(r->f.m, ip);
	meta_dentry_set(r->f.m, d, ip->ino, DT_REG);
	meta_unlock(r->f.m);
	meta_dentry_put(r->f.m, d);
}

/* Under the lock. */
static void s_local(struct run *r, struct block *b, uint32_t text, bool dirty)
{
	uint8_t bytes[4];

	put_le32(bytes, text);
	blob_put(b->local);
	b->local = text ? blob_new(bytes, sizeof bytes) : NULL;
	b->kind = text ? BLOCK_INLINE : BLOCK_NONE;
	b->dirty = dirty;
	b->version++;
	meta_block_changed(r->f.m, b);
}

static void s_size(struct run *r, struct inode *ip, uint32_t size)
{
	meta_bytes_add(r->f.m, ip, (int64_t)size - (int64_t)ip->bytes);
	ip->size = ip->disk_size = size;
	meta_inode_changed(r->f.m, ip);
}

static int s_begin(struct run *r, uint32_t object)
{
	static const uint32_t backends[] = { 1, 2 };
	struct object_ref ref = { .zone = 1 + object % 2, .plain_bytes = 50 };

	object_id(object, ref.id);
	return meta_object_begin(r->f.m, &ref, 1, backends, 1 + object % 2);
}

static void s_upload(struct run *r, const struct op *op, struct inode *ip)
{
	struct block *b = fix_block(&r->f, ip, (uint32_t)op->index);
	struct extent e = { .len = 50, .zone_id = 1 + op->serial % 2 };

	object_id(op->serial, e.object);
	if (s_begin(r, op->serial) == 0) {
		meta_lock(r->f.m);
		meta_object_stored(r->f.m, e.object, 1);
		meta_extent_set(r->f.m, b, &e, b->version);
		meta_unlock(r->f.m);
	}
	meta_block_put(r->f.m, b);
}

static void s_share(struct run *r, const struct op *op, struct inode *ip)
{
	struct inode *to_ip = fix_inode(&r->f, r->ino[op->inode2]);
	struct block *from = fix_block(&r->f, ip, (uint32_t)op->index);
	struct block *to = fix_block(&r->f, to_ip, (uint32_t)op->index2);

	meta_lock(r->f.m);
	s_local(r, to, 0, false);
	meta_extent_set(r->f.m, to, &from->extent, to->version);
	meta_unlock(r->f.m);
	meta_block_put(r->f.m, from);
	meta_block_put(r->f.m, to);
	meta_inode_put(r->f.m, to_ip);
}

static void s_xattr(struct run *r, const struct op *op, struct inode *ip)
{
	char name[8];
	uint8_t bytes[4];

	assert_int_equal(meta_xattrs_load(r->f.m, ip), 0);
	snprintf(name, sizeof name, "user.%d", op->value);
	put_le32(bytes, op->serial);
	meta_lock(r->f.m);
	meta_xattr_set(r->f.m, ip, name, op->serial % 3 ? bytes : NULL, sizeof bytes);
	meta_unlock(r->f.m);
}

static void s_block(struct run *r, const struct op *op, struct inode *ip)
{
	struct block *b = fix_block(&r->f, ip, (uint32_t)op->index);

	meta_lock(r->f.m);
	if (op->kind == OP_WRITE) {
		s_local(r, b, op->serial, true);
		s_size(r, ip, (uint32_t)(op->index + 1) * 1000);
	} else if (op->kind == OP_EVICT) {
		s_local(r, b, 0, false);
	} else if (op->kind == OP_TRIM) {
		meta_extent_trim(r->f.m, b, b->extent.len - 1);
	} else {
		meta_blocks_drop(r->f.m, ip, (uint32_t)op->index, NULL);
		s_size(r, ip, (uint32_t)op->index * 1000);
	}
	meta_unlock(r->f.m);
	meta_block_put(r->f.m, b);
}

static void s_place(struct run *r, const struct op *op, struct inode *ip)
{
	meta_lock(r->f.m);
	ip->zone_id = op->serial % 3;
	free(ip->rule);
	ip->rule = op->serial % 2 ? strdup("rule") : NULL;
	meta_inode_changed(r->f.m, ip);
	meta_unlock(r->f.m);
}

static void s_chown(struct run *r, const struct op *op, struct inode *ip)
{
	meta_lock(r->f.m);
	ip->gid = op->serial % 4;
	meta_inode_changed(r->f.m, ip);
	meta_unlock(r->f.m);
}

static void op_on_inode(struct run *r, const struct op *op)
{
	struct inode *ip = fix_inode(&r->f, r->ino[op->inode]);

	if (op->kind == OP_LINK)
		s_link(r, op, ip);
	else if (op->kind == OP_XATTR)
		s_xattr(r, op, ip);
	else if (op->kind == OP_UPLOAD)
		s_upload(r, op, ip);
	else if (op->kind == OP_SHARE)
		s_share(r, op, ip);
	else if (op->kind == OP_PLACE)
		s_place(r, op, ip);
	else if (op->kind == OP_CHOWN)
		s_chown(r, op, ip);
	else
		s_block(r, op, ip);
	meta_inode_put(r->f.m, ip);
}

static void op_store(struct run *r, const struct op *op)
{
	switch (op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
		s_make(r, op);
		break;
	case OP_UNLINK:
	case OP_RMDIR:
		s_remove(r, op);
		break;
	case OP_ORPHAN:
		s_orphan(r, op);
		break;
	case OP_RELEASE:
		s_release(r);
		break;
	case OP_RENAME:
		s_rename(r, op);
		break;
	case OP_EXCHANGE:
		s_exchange(r, op);
		break;
	default:
		op_on_inode(r, op);
	}
}

/* ---- the store as the model's text ---- */

static void dump_block(struct fix *f, struct inode *ip, uint32_t index, struct m_block *out)
{
	struct block *b = fix_block(f, ip, index);

	memset(out, 0, sizeof *out);
	meta_lock(f->m);
	out->text = b->local ? get_le32(b->local->data) : 0;
	out->object = get_le32(b->extent.object);
	out->len = b->extent.len;
	out->dirty = b->dirty;
	meta_unlock(f->m);
	meta_block_put(f->m, b);
}

static void dump_xattr(struct fix *f, struct inode *ip, int i, uint32_t *out)
{
	const void *value;
	char name[8];
	size_t len;

	snprintf(name, sizeof name, "user.%d", i);
	meta_lock(f->m);
	value = meta_xattr_find(ip, name, &len);
	*out = value ? get_le32(value) : 0;
	meta_unlock(f->m);
}

static bool dump_inode(struct fix *f, uint64_t ino, struct buf *out)
{
	struct inode *ip = fix_inode(f, ino);
	struct m_inode m = { .id = ip->uid,
		.dir = S_ISDIR(ip->mode),
		.nlink = ip->nlink,
		.size = (uint32_t)ip->size,
		.zone = ip->zone_id,
		.gid = ip->gid };

	assert_int_equal(ip->bytes, ip->size);
	assert_int_equal(meta_xattrs_load(f->m, ip), 0);
	for (int i = 0; i < XATTRS; i++)
		dump_xattr(f, ip, i, &m.xattr[i]);
	for (uint32_t i = 0; i < BLOCKS && !m.dir; i++)
		dump_block(f, ip, i, &m.block[i]);
	meta_inode_put(f->m, ip);
	m_dump_inode(&m, out);
	return m.dir;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct dirent_out *)a)->name, ((const struct dirent_out *)b)->name);
}

static void dump_dir(struct fix *f, uint64_t dir, const char *path, struct buf *out)
{
	struct dirent_out e[16];
	int n = meta_readdir(f->m, dir, 0, e, COUNT(e));

	assert_in_range(n, 0, 9);
	qsort(e, (size_t)n, sizeof *e, by_name);
	for (int i = 0; i < n; i++) {
		struct buf real = BUF_INIT;
		char below[256];

		snprintf(below, sizeof below, "%s/%s", path, e[i].name);
		assert_int_equal(fix_lookup(f, dir, e[i].name), e[i].ino);
		buf_str(out, below);
		if (dump_inode(f, e[i].ino, out)) {
			assert_int_equal(meta_path(f->m, e[i].ino, &real), 0);
			assert_string_equal((char *)real.data, below);
			dump_dir(f, e[i].ino, below, out);
		}
		buf_free(&real);
	}
}

static char *store_dump(struct fix *f)
{
	struct buf out = BUF_INIT;

	dump_inode(f, META_ROOT_INO, &out);
	dump_dir(f, META_ROOT_INO, "", &out);
	return buf_steal(&out);
}

static void is_model(struct fix *f, const struct model *m)
{
	char *want = model_dump(m), *got = store_dump(f);

	assert_string_equal(got, want);
	free(want);
	free(got);
}

/* ---- one process: commits, evictions, reopenings, crashes ---- */

static void run_start(struct run *r, uint64_t seed)
{
	memset(r, 0, sizeof *r);
	fix_new(&r->f);
	model_init(&r->model, seed);
	r->committed = r->model;
	r->ino[0] = META_ROOT_INO;
}

static void step(struct run *r)
{
	struct op op = op_choose(&r->model);

	if (op.kind == OP_UPLOAD)
		r->committed = r->model; /* meta_object_begin commits what was before */
	op_store(r, &op);
	op_model(&r->model, &op);
}

static void forget(struct fix *f)
{
	size_t max = f->m->options.nodes_max;

	meta_lock(f->m);
	f->m->options.nodes_max = 0;
	nodes_trim(f->m);
	f->m->options.nodes_max = max;
	meta_unlock(f->m);
	nodes_reap(f->m);
}

static void crash_and_compare(struct run *r)
{
	struct fix crashed;

	fix_crash(&r->f, &crashed);
	fix_open(&crashed);
	is_model(&crashed, &r->committed);
	fix_audit(&crashed);
	assert_int_equal(fix_sql(&crashed, "SELECT count(*) FROM object WHERE state = 0"), 0);
	fix_end(&crashed);
}

/* Closed and opened: what was only held open is gone. */
static void reopen(struct run *r)
{
	s_release(r);
	m_release(&r->model);
	fix_reopen(&r->f);
	r->committed = r->model;
	is_model(&r->f, &r->model);
}

static void against_the_model(void **state)
{
	struct run *r = &the_run;

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		run_start(r, seed);
		if (seed % 2)
			r->f.options.nodes_max = 8;
		fix_open(&r->f);
		for (int i = 0; i < 1500; i++) {
			uint32_t dice = m_random(&r->model, 400);

			step(r);
			if (dice < 20) {
				assert_int_equal(dice % 2 ? meta_commit(r->f.m) : meta_sync(r->f.m), 0);
				r->committed = r->model;
			} else if (dice < 40) {
				forget(&r->f);
			} else if (dice < 44) {
				crash_and_compare(r);
			} else if (dice < 46) {
				reopen(r);
			} else if (dice < 60) {
				is_model(&r->f, &r->model);
			}
		}
		s_release(r);
		m_release(&r->model);
		is_model(&r->f, &r->model);
		fix_audit(&r->f);
		reopen(r);
		fix_audit(&r->f);
		fix_end(&r->f);
	}
}

/* ---- kill -9: whatever is there is the model after one of its steps, and not one before the last commit ---- */

static void child_runs(struct run *r, int fd)
{
	fix_open(&r->f);
	for (uint32_t i = 1;; i++) {
		step(r);
		if (i % 11 == 0 && meta_commit(r->f.m) == 0 && write(fd, &i, sizeof i) != sizeof i)
			_exit(1);
	}
}

/* Follows the same seed to the step that the store shows. */
static void is_a_step(struct fix *f, struct model *m, uint32_t committed)
{
	char *got = store_dump(f);
	bool found = false;

	for (uint32_t i = 0; i < committed + 4000 && !found; i++) {
		struct op op;

		if (i >= committed) {
			char *want = model_dump(m);

			found = !strcmp(got, want);
			free(want);
		}
		op = op_choose(m);
		op_model(m, &op);
	}
	free(got);
	assert_true(found);
}

static void kill_anywhere(void **state)
{
	struct run *r = &the_run;

	(void)state;
	for (int round = 0; round < 12; round++) {
		uint32_t committed = 0;
		int fd[2];
		pid_t child;

		run_start(r, 1000 + (uint64_t)round);
		r->f.options.commit_interval_ns = NS_PER_MS;
		r->f.options.nodes_max = round % 2 ? 10 : 0;
		assert_int_equal(pipe(fd), 0);
		if (!(child = fork()))
			child_runs(r, fd[1]);
		close(fd[1]);
		for (int i = 0; i < 5 + round * 9; i++)
			assert_int_equal(read(fd[0], &committed, sizeof committed), sizeof committed);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(fd[0], &committed, sizeof committed) == sizeof committed)
			;
		close(fd[0]);
		fix_open(&r->f);
		is_a_step(&r->f, &r->model, committed);
		fix_audit(&r->f);
		fix_end(&r->f);
	}
}

/* ---- every write fails once ---- */

/* Returns whether the run met the fault. */
static bool run_with_fault(struct run *r, long at)
{
	static int null = -1;
	struct meta_options options;
	struct fix *f = &r->f;
	bool failed = false;
	int rc;

	run_start(r, 77);
	options = f->options;
	__atomic_store_n(&writes, 0, __ATOMIC_RELAXED);
	fail_at = at;
	if (null < 0)
		null = open("/dev/null", O_WRONLY);
	log_to(null);
	rc = meta_open(&f->m, f->dir, f->keyring, &options, NULL);
	failed = rc < 0;
	for (int i = 1; i <= 120 && !failed; i++) {
		step(r);
		if (i % 20 == 0 && !(failed = meta_sync(f->m) < 0))
			r->committed = r->model;
	}
	if (!f->m)
		goto out;
	failed = s_begin(r, 1) < 0 || failed;
	s_release(r);
	failed = meta_close(f->m) < 0 || failed;
out:
	f->m = NULL;
	fail_at = -1;
	log_to(-1);
	return failed;
}

static void every_write_fails_once(void **state)
{
	struct run *r = &the_run;
	bool met = true;
	long at = 0;

	(void)state;
	for (; met; at += 1 + at / 12) {
		struct model m;
		uint32_t committed;

		met = run_with_fault(r, at + 1);
		model_init(&m, 77);
		for (committed = 0; m.serial != r->committed.serial; committed++) {
			struct op op = op_choose(&m);

			op_model(&m, &op);
		}
		model_init(&m, 77);
		fix_open(&r->f);
		if (met)
			is_a_step(&r->f, &m, committed);
		fix_audit(&r->f);
		fix_end(&r->f);
		assert_true(at < 100000);
	}
	assert_true(at > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_the_model),
		cmocka_unit_test(kill_anywhere),
		cmocka_unit_test(every_write_fails_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
