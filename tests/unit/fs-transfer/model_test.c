/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test: timeout=300 sanitize
 * Random changes, failures and restarts; then, at rest, every object on each cloud is one that a file has, lies in that
 * file's zone, and opens to that file's content, and there is no other. TEST_SEED and TEST_ROUNDS choose. */
#include "tests/unit/fs-transfer/fault.h"

#define FILES	       24
#define DIRS	       5
#define SIZE_MAX_BYTES (9u << 20)

#define RULES_A	       CLOUD_CONFIG("settle = 20ms\nmax-delay = 1s\n", "", CLOUD_RULES)
#define RULES_B                                                                                                        \
	CLOUD_CONFIG("settle = 20ms\nmax-delay = 1s\n", "",                                                            \
		CLOUD_RULES "[rule also]\npath = /other/**\nsize = >20K\nzone = abroad\n")

struct model_file {
	uint64_t ino; /* 0: there is none */
	int dir;
	uint8_t *data;
	size_t size;
};

struct model {
	struct cloud c;
	struct fault *near, *far;
	uint64_t dirs[DIRS];
	struct model_file files[FILES];
	uint32_t seed;
	bool rules_b;
	size_t objects; /* seen in a check */
};

static uint32_t roll(struct model *m, uint32_t n)
{
	m->seed = m->seed * 1664525 + 1013904223;
	return (m->seed >> 8) % n;
}

static void file_name(int i, char name[16])
{
	snprintf(name, 16, "file%d", i);
}

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

static size_t roll_size(struct model *m)
{
	static const size_t sizes[] = { 100, 5000, 9000, 40000, 300000, SIZE_MAX_BYTES };

	return roll(m, (uint32_t)sizes[roll(m, roll(m, 8) ? 5 : 6)]) + 1;
}

static int get_in(struct model *m, struct inode *inode, const struct cache_need *need)
{
	return transfer_fetch_wait(m->c.t, inode, need, 0);
}

/* What cannot be fetched now is not done: as a program that gets an error. */
static void op_write(struct model *m, struct model_file *f)
{
	size_t len = roll_size(m), off = roll(m, (uint32_t)(roll(m, 2) ? f->size + 1 : SIZE_MAX_BYTES / 64)), end;
	struct inode *inode = store_inode(&m->c.s, f->ino);
	struct cache_need need;
	uint8_t *data;
	int rc;

	if (off + len > SIZE_MAX_BYTES)
		len = SIZE_MAX_BYTES - off;
	end = off + len;
	data = cloud_noise(len, m->seed);
	do {
		pthread_rwlock_rdlock(&inode->data_lock);
		rc = cache_write(m->c.s.cache, inode, off, data, len, &need);
		pthread_rwlock_unlock(&inode->data_lock);
	} while (rc == -ERR_NEED_FETCH && (rc = get_in(m, inode, &need)) == 0);
	if (rc >= 0) {
		memcpy(f->data + off, data, len);
		f->size = end > f->size ? end : f->size;
	} else {
		/* it may have been done in part: what is there now is the truth */
		assert_true(rc == -ERR_UNREACHABLE || rc == -ERR_LOST || rc == -ERR_TIMEOUT);
		fault_set(m->near, OP_GET, 0);
		fault_set(m->far, OP_GET, 0);
		f->size = inode->size;
		assert_int_equal(cloud_pread(&m->c, f->ino, f->data, f->size, 0, 0), 0);
	}
	free(data);
	store_put(&m->c.s, inode);
	transfer_touch(m->c.t, f->ino);
}

static void op_truncate(struct model *m, struct model_file *f)
{
	size_t size = roll(m, (uint32_t)(roll(m, 3) ? f->size + 1 : f->size + 100000));
	struct inode *inode = store_inode(&m->c.s, f->ino);
	struct cache_need need;
	int rc;

	size = size > SIZE_MAX_BYTES ? SIZE_MAX_BYTES : size;
	do {
		pthread_rwlock_wrlock(&inode->data_lock);
		rc = cache_truncate(m->c.s.cache, inode, size, &need);
		pthread_rwlock_unlock(&inode->data_lock);
	} while (rc == -ERR_NEED_FETCH && (rc = get_in(m, inode, &need)) == 0);
	if (rc >= 0) {
		if (size < f->size)
			memset(f->data + size, 0, f->size - size);
		f->size = size;
	}
	store_put(&m->c.s, inode);
	transfer_touch(m->c.t, f->ino);
}

static void op_create(struct model *m, int i)
{
	struct model_file *f = &m->files[i];
	char name[16];

	file_name(i, name);
	f->dir = (int)roll(m, DIRS);
	f->ino = store_file(&m->c.s, m->dirs[f->dir], name);
	f->size = 0;
	memset(f->data, 0, SIZE_MAX_BYTES);
	op_write(m, f);
}

static void op_unlink(struct model *m, int i)
{
	struct model_file *f = &m->files[i];
	struct inode *inode = store_inode(&m->c.s, f->ino);
	char name[16];

	file_name(i, name);
	store_name(&m->c.s, m->dirs[f->dir], name, 0);
	transfer_revalidate(m->c.t, f->ino);
	transfer_touch(m->c.t, f->ino);
	cache_inode_gone(m->c.s.cache, inode);
	store_put(&m->c.s, inode);
	f->ino = 0;
}

static void op_rename(struct model *m, int i)
{
	struct model_file *f = &m->files[i];
	int to = (int)roll(m, DIRS);
	char name[16];

	if (to == f->dir)
		return;
	file_name(i, name);
	store_name(&m->c.s, m->dirs[to], name, f->ino);
	store_name(&m->c.s, m->dirs[f->dir], name, 0);
	transfer_revalidate(m->c.t, f->ino);
	transfer_touch(m->c.t, f->ino);
	f->dir = to;
}

static void op_reload(struct model *m)
{
	m->rules_b = !m->rules_b;
	cloud_reload(&m->c, m->rules_b ? RULES_B : RULES_A);
}

static void open_store(struct model *m)
{
	cloud_open(&m->c, false);
	m->near = fault_wrap(&m->c, "near");
	m->far = fault_wrap(&m->c, "far");
	assert_int_equal(transfer_start(m->c.t), 0);
}

static void op_fault(struct model *m)
{
	static const int errors[] = { -ERR_UNREACHABLE, -ERR_TIMEOUT, 0 };
	static const enum op_kind kinds[] = { OP_PUT, OP_GET, OP_DEL };
	struct fault *f = roll(m, 2) ? m->near : m->far;

	pthread_mutex_lock(&f->lock);
	f->one_in = roll(m, 4);
	f->fail[kinds[roll(m, 3)]] = errors[roll(m, 3)];
	f->fail_after_put = roll(m, 4) ? 0 : -ERR_TIMEOUT;
	f->down = roll(m, 8) == 0;
	f->delay_ns = roll(m, 4) ? 0 : roll(m, 20) * NS_PER_MS;
	pthread_mutex_unlock(&f->lock);
}

static void op_any(struct model *m)
{
	int i = (int)roll(m, FILES);
	struct model_file *f = &m->files[i];

	if (!f->ino) {
		op_create(m, i);
		return;
	}
	switch (roll(m, 40)) {
	case 0 ... 13:
		op_write(m, f);
		break;
	case 14 ... 16:
		op_truncate(m, f);
		break;
	case 17 ... 18:
		op_unlink(m, i);
		break;
	case 19 ... 23:
		op_rename(m, i);
		break;
	case 24 ... 27:
		cloud_tags(&m->c, f->ino, roll(m, 2) ? "personal" : "");
		break;
	case 28:
		cloud_tags(&m->c, m->dirs[roll(m, DIRS)], roll(m, 3) ? "" : "personal");
		break;
	case 29:
		op_reload(m);
		break;
	case 30 ... 33:
		op_fault(m);
		break;
	case 34:
		cloud_close(&m->c);
		open_store(m);
		break;
	case 35 ... 36:
		cache_evict(m->c.s.cache, UINT64_MAX);
		break;
	case 37:
		transfer_pressure(m->c.t);
		break;
	default:
		fault_sleep(roll(m, 60));
	}
}

/* ---- the check
 * ------------------------------------------------------------------------------------------------------- */

static struct model *checked;

static const struct model_file *file_by_ino(const struct model *m, uint64_t ino)
{
	for (int i = 0; i < FILES; i++)
		if (m->files[i].ino == ino)
			return &m->files[i];
	return NULL;
}

/* whether the file lies in the zone, and, in *named, whether `where` names the object */
static bool named_by_where(struct model *m, uint64_t ino, const char *name, const char *zone, bool *named)
{
	struct where w = cloud_where(&m->c, ino);
	bool same_zone = strcmp(w.zone, zone) == 0;

	*named = false;
	for (size_t i = 0; i < w.object_count; i++)
		*named |= strcmp(w.objects[i], name) == 0;
	where_free(&w);
	return same_zone;
}

/* an object may hold more than its block: what a truncation cut off. false: the block has another one by now */
static bool extent_len(struct model *m, const struct object_ref *ref, const struct object_member *member, size_t *len)
{
	struct inode *inode = store_inode(&m->c.s, member->ino);
	struct block *b;
	bool live;

	assert_int_equal(meta_block_get(m->c.s.meta, inode, member->block, &b), 0);
	*len = b->extent.len;
	live = memcmp(b->extent.object, ref->id, sizeof ref->id) == 0;
	if (live)
		assert_int_equal(b->extent.offset, member->offset);
	meta_block_put(m->c.s.meta, b);
	store_put(&m->c.s, inode);
	return live;
}

static void check_content(struct model *m, const struct object_member *member, const uint8_t *plain, size_t len)
{
	const struct model_file *f = file_by_ino(m, member->ino);
	size_t start = (size_t)member->block * (4u << 20), rest;

	assert_non_null(f);
	rest = f->size > start ? f->size - start : 0;
	rest = rest < 4u << 20 ? rest : 4u << 20;
	assert_true(len <= member->len && len <= rest);
	assert_memory_equal(plain + member->offset, f->data + start, len);
	/* what it does not have is zeros */
	for (size_t i = len; i < rest; i++)
		assert_int_equal(f->data[start + i], 0);
}

/* What is dead in a pack may stay a while, but not where its file no longer is. */
static bool check_member(struct model *m, const struct object_ref *ref, const struct object_member *member,
	const uint8_t *plain, const char *path)
{
	const char *zone = strstr(path, "/near/") ? "home" : "abroad";
	char name[OBJECT_NAME_BYTES];
	bool named;
	size_t len;

	object_name(ref->id, name);
	if (!file_by_ino(m, member->ino))
		return false;
	if (!named_by_where(m, member->ino, name, zone, &named))
		fail_msg("%s holds what belongs elsewhere (inode %llu)", path, (unsigned long long)member->ino);
	if (!extent_len(m, ref, member, &len))
		return false;
	assert_true(named);
	check_content(m, member, plain, len);
	return true;
}

static int check_object(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct model *m = checked;
	struct object_member *members;
	struct object_range range;
	struct object_ref ref;
	struct buf body = BUF_INIT;
	char name[OBJECT_NAME_BYTES];
	uint8_t *plain;
	size_t count, need, live = 0;

	(void)ftw;
	if (type != FTW_F || strstr(path, "/."))
		return 0;
	assert_int_equal(file_read_all(AT_FDCWD, path, 16u << 20, &body), 0);
	assert_int_equal(object_open_header(m->c.s.keyring, body.data, body.len, &ref, &members, &count, &need), 0);
	object_name(ref.id, name);
	assert_string_equal(path + strlen(path) - strlen(name), name);
	assert_int_equal(object_bytes(&ref), st->st_size);
	assert_int_equal(object_range(&ref, 0, ref.plain_bytes, &range), 0);
	plain = malloc(range.plain_len + 1);
	assert_int_equal(object_open_range(m->c.s.keyring, &ref, &range, body.data + range.object_off, plain), 0);
	for (size_t i = 0; i < count; i++)
		live += check_member(m, &ref, &members[i], plain, path);
	if (!live)
		fail_msg("%s belongs to nobody", path);
	free(plain);
	free(members);
	buf_free(&body);
	m->objects++;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* How many objects `where` names. */
static size_t check_files(struct model *m)
{
	size_t count = 0, objects = 0;
	char **names = NULL;

	for (int i = 0; i < FILES; i++) {
		struct where w;

		if (!m->files[i].ino)
			continue;
		w = cloud_where(&m->c, m->files[i].ino);
		assert_string_equal(where_state_name(w.state), "stored");
		names = realloc(names, (count + w.object_count + 1) * sizeof *names);
		for (size_t k = 0; k < w.object_count; k++)
			names[count++] = strdup(w.objects[k]);
		where_free(&w);
	}
	if (names)
		qsort(names, count, sizeof *names, by_text);
	for (size_t i = 0; i < count; i++)
		objects += i == 0 || strcmp(names[i - 1], names[i]) != 0;
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
	return objects;
}

static void quiet(struct fault *f)
{
	pthread_mutex_lock(&f->lock);
	memset(f->fail, 0, sizeof f->fail);
	f->fail_after_put = 0;
	f->one_in = 0;
	f->down = false;
	f->delay_ns = 0;
	pthread_mutex_unlock(&f->lock);
}

static void check(struct model *m)
{
	char path[256];
	size_t objects;

	quiet(m->near);
	quiet(m->far);
	cloud_sync(&m->c, 0);
	objects = check_files(m);
	checked = m;
	m->objects = 0;
	snprintf(path, sizeof path, "%s/near", m->c.s.dir);
	assert_int_equal(nftw(path, check_object, 32, FTW_PHYS), 0);
	snprintf(path, sizeof path, "%s/far", m->c.s.dir);
	assert_int_equal(nftw(path, check_object, 32, FTW_PHYS), 0);
	assert_int_equal(m->objects, objects);
	cache_evict(m->c.s.cache, UINT64_MAX);
	for (int i = 0; i < FILES; i++)
		if (m->files[i].ino)
			cloud_expect(&m->c, m->files[i].ino, m->files[i].data, m->files[i].size);
	assert_int_equal(meta_deletion_count(m->c.s.meta, 0), 0);
}

static void test_model(void **state)
{
	static const char *const names[DIRS] = { "public", "public2", "hr", "other", "more" };
	int rounds = getenv("TEST_ROUNDS") ? atoi(getenv("TEST_ROUNDS")) : 12;
	struct model m = { .seed = getenv("TEST_SEED") ? (uint32_t)atoi(getenv("TEST_SEED")) : 1 };

	(void)state;
	m.c.s.cache_bytes = 64u << 20;
	store_make(&m.c.s, RULES_A);
	store_cloud(&m.c.s, "near");
	store_cloud(&m.c.s, "far");
	open_store(&m);
	for (int i = 0; i < DIRS; i++)
		m.dirs[i] = store_mkdir(&m.c.s, i == 1 ? m.dirs[0] : META_ROOT_INO, names[i]);
	for (int i = 0; i < FILES; i++)
		m.files[i].data = calloc(1, SIZE_MAX_BYTES);
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < 60; i++)
			op_any(&m);
		check(&m);
	}
	for (int i = 0; i < FILES; i++)
		free(m.files[i].data);
	cloud_destroy(&m.c);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_model) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
