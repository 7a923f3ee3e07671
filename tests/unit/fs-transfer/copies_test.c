/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test: timeout=240 */
/* Copies: which is read, what is asked beside a slow one, and what is made again. */
#include "tests/unit/fs-transfer/fault.h"

#define ON(name) "[backend " name "]\ntype = local\npath = @/" name "\n"
#define ZONES(backends, copies, sections, far)                                                                         \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\nsettle = 20ms\n"                                     \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = " backends "\ncopies = " copies "\nexport = allow\n" \
	"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far, far2\ncopies = 2\n" sections ON("far")         \
		far ON("far2") CLOUD_RULES
#define TWO	   ZONES("near, near2", "2", ON("near") ON("near2"), "")
#define TWO_SLOW   ZONES("near, near2", "2", ON("near") ON("near2"), "upload-limit = 50K/s\n")
#define TWO_OF3	   ZONES("near, near2, near3", "2", ON("near") ON("near2") ON("near3"), "")
#define ONE_OF3	   ZONES("near, near2, near3", "1", ON("near") ON("near2") ON("near3"), "")
#define OTHERS_OF3 ZONES("near2, near3", "2", ON("near2") ON("near3"), "")
#define BYTES	   100000u

static const char *const names[] = { "near", "near2", "far", "far2" };

struct mirror {
	struct cloud c;
	struct fault *f[COUNT(names)];
	uint8_t *data;
	uint64_t ino, public, sharer;
};

static void make_clouds(struct mirror *m, const char *config)
{
	memset(m, 0, sizeof *m);
	store_make(&m->c.s, config);
	store_cloud(&m->c.s, "near");
	store_cloud(&m->c.s, "near2");
	store_cloud(&m->c.s, "near3");
	store_cloud(&m->c.s, "far");
	store_cloud(&m->c.s, "far2");
}

static void start(struct mirror *m)
{
	cloud_open(&m->c, false);
	for (size_t i = 0; i < COUNT(names); i++)
		m->f[i] = fault_wrap(&m->c, names[i]);
	assert_int_equal(transfer_start(m->c.t), 0);
}

/* A file that is stored with all its copies, and not in the cache. */
static void begin(struct mirror *m, const char *config)
{
	make_clouds(m, config);
	start(m);
	m->data = cloud_noise(BYTES, 3);
	m->ino = cloud_write(&m->c, META_ROOT_INO, "file", m->data, BYTES);
	cloud_sync(&m->c, m->ino);
	cloud_evict(&m->c);
}

static void end(struct mirror *m)
{
	free(m->data);
	cloud_destroy(&m->c);
}

static void set_slow(struct fault *f, bool hangs)
{
	pthread_mutex_lock(&f->lock);
	f->hangs = hangs;
	pthread_mutex_unlock(&f->lock);
}

/* ---- reading ---- */

/* how long it took, in ms */
static int64_t read_all(struct mirror *m)
{
	int64_t before = clock_mono_ns();

	cloud_expect(&m->c, m->ino, m->data, BYTES);
	before = clock_mono_ns() - before;
	cloud_evict(&m->c);
	return before / NS_PER_MS;
}

/* Whichever of the two copies answered is asked first from then on, until the other one is faster. */
static void test_fastest_first(void **state)
{
	struct mirror m;
	unsigned before[2];

	(void)state;
	begin(&m, TWO);
	m.f[0]->delay_ns = 60 * NS_PER_MS;
	for (int i = 0; i < 4; i++)
		read_all(&m);
	before[0] = fault_count(m.f[0], OP_GET);
	before[1] = fault_count(m.f[1], OP_GET);
	for (int i = 0; i < 5; i++)
		assert_in_range(read_all(&m), 0, 55);
	assert_int_equal(fault_count(m.f[0], OP_GET), before[0]);
	assert_int_equal(fault_count(m.f[1], OP_GET), before[1] + 5);
	end(&m);
}

/* A copy that does not answer is not waited for: the other one is asked too, and the first is asked last from then on.
 */
static void test_hedged(void **state)
{
	struct mirror m;
	int64_t took;

	(void)state;
	begin(&m, TWO);
	set_slow(m.f[0], true);
	took = read_all(&m);
	assert_in_range(took, 0, 1500);
	assert_int_equal(fault_count(m.f[0], OP_GET), 1);
	assert_int_equal(fault_count(m.f[1], OP_GET), 1);
	for (int i = 0; i < 5; i++)
		assert_in_range(read_all(&m), 0, 300);
	assert_int_equal(fault_count(m.f[0], OP_GET), 1);
	/* nobody is left behind */
	assert_int_equal(m.f[0]->running[OP_GET], 0);
	end(&m);
}

/* The one beside fails: the slow one's answer is taken. */
static void test_hedge_fails(void **state)
{
	struct mirror m;

	(void)state;
	begin(&m, TWO);
	m.f[0]->delay_ns = 900 * NS_PER_MS;
	fault_set(m.f[1], OP_GET, -ERR_UNREACHABLE);
	assert_in_range(read_all(&m), 900, 2500);
	assert_int_equal(fault_count(m.f[1], OP_GET), 1);
	end(&m);
}

/* Bytes that come steadily, however slowly, are waited for; a trickle is not. */
static void test_trickle(void **state)
{
	static const struct {
		int64_t slow_ms;
		bool starts;
		unsigned asked;
		int64_t most_ms;
	} rows[] = { { 300, false, 0, 2500 }, { 3000, false, 1, 2500 }, { 3000, true, 1, 2900 } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct mirror m;

		begin(&m, TWO);
		m.f[0]->slow_ns = rows[i].slow_ms * NS_PER_MS;
		m.f[0]->starts = rows[i].starts;
		assert_in_range(read_all(&m), 0, rows[i].most_ms);
		assert_int_equal(fault_count(m.f[1], OP_GET), rows[i].asked);
		end(&m);
	}
}

/* ---- making again ---- */

static char found[512];

static int find_object(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_F && !strstr(path, "/.") && st->st_size > 1000)
		snprintf(found, sizeof found, "%s", path);
	return 0;
}

/* The path of the one large object there. */
static const char *object_in(struct mirror *m, const char *cloud)
{
	char path[256];

	found[0] = 0;
	snprintf(path, sizeof path, "%s/%s", m->c.s.dir, cloud);
	nftw(path, find_object, 16, FTW_PHYS);
	return found;
}

static uint8_t *read_object(struct mirror *m, const char *cloud, size_t *len)
{
	const char *path = object_in(m, cloud);
	uint8_t *bytes = calloc(1, 2 * BYTES);
	int fd = open(path, O_RDONLY);

	*len = 0;
	if (fd >= 0) {
		*len = (size_t)read(fd, bytes, 2 * BYTES);
		close(fd);
	}
	return bytes;
}

static bool same_objects(struct mirror *m, const char *one, const char *two)
{
	size_t len, len2;
	uint8_t *a = read_object(m, one, &len), *b = read_object(m, two, &len2);
	bool same = len > BYTES && len == len2 && memcmp(a, b, len) == 0;

	free(a);
	free(b);
	return same;
}

static int64_t blocks_short(struct mirror *m)
{
	assert_int_equal(meta_commit(m->c.s.meta), 0);
	return meta_shortage_blocks(m->c.s.meta, 1, 1000) + meta_shortage_blocks(m->c.s.meta, 2, 1000);
}

static void wait_whole(struct mirror *m)
{
	for (int i = 0; i < 1500 && blocks_short(m); i++)
		fault_sleep(10);
	assert_int_equal(blocks_short(m), 0);
}

static void spoil_byte(const char *path)
{
	int fd;

	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 60000), 1);
	close(fd);
}

static void spoil_short(const char *path)
{
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 100), 0);
}

static void spoil_gone(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

/* A copy that a read finds damaged, cut short or gone is made again, with the same bytes; the read has them meanwhile.
 */
static void test_made_again(void **state)
{
	static void (*const ways[])(const char *) = { spoil_byte, spoil_short, spoil_gone };

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct mirror m;

		begin(&m, TWO);
		assert_true(same_objects(&m, "near", "near2"));
		ways[i](object_in(&m, "near"));
		assert_false(same_objects(&m, "near", "near2"));
		m.f[1]->delay_ns = 5 * NS_PER_MS;
		cloud_expect(&m.c, m.ino, m.data, BYTES);
		wait_whole(&m);
		assert_true(same_objects(&m, "near", "near2"));
		assert_int_equal(fault_count(m.f[0], OP_PUT), 2);
		assert_int_equal(fault_count(m.f[0], OP_DEL), ways[i] == spoil_gone ? 0 : 1);
		assert_int_equal(fault_count(m.f[1], OP_PUT), 1);
		end(&m);
	}
}

/* What a read saw damaged was damaged on the way: the copy is compared, and left as it is. */
static void test_falsely_accused(void **state)
{
	struct mirror m;

	(void)state;
	begin(&m, TWO);
	m.f[1]->delay_ns = 5 * NS_PER_MS;
	fault_set(m.f[0], OP_GET, -ERR_TAMPERED);
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	fault_set(m.f[0], OP_GET, 0);
	wait_whole(&m);
	assert_int_equal(fault_count(m.f[0], OP_DEL), 0);
	assert_int_equal(fault_count(m.f[0], OP_PUT), 1);
	end(&m);
}

/* The one that is asked first for the object that is short. */
static void expect_first(struct mirror *m, const char *backend)
{
	struct object_info info;
	struct copies copies;
	struct shortage s;

	assert_int_equal(meta_shortages(m->c.s.meta, 1, 0, &s, 1), 1);
	assert_int_equal(meta_object_get(m->c.s.meta, s.object, &info), 0);
	assert_int_equal(copies_order(m->c.t, &info, &copies), 0);
	assert_int_equal(copies.count, 2);
	assert_string_equal(copies.v[0].endpoint->backend->config->name, backend);
	copies_free(m->c.t, &copies);
	object_info_free(&info);
}

/* No sound copy: nothing is deleted, the read fails, and what was marked is still asked. */
static void test_no_sound_copy(void **state)
{
	struct mirror m;
	uint8_t got[4096];

	(void)state;
	begin(&m, TWO);
	m.f[1]->delay_ns = 5 * NS_PER_MS;
	spoil_byte(object_in(&m, "near"));
	fault_set(m.f[0], OP_PUT, -ERR_UNREACHABLE);
	fault_set(m.f[0], OP_DEL, -ERR_UNREACHABLE);
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	assert_int_equal(blocks_short(&m), 1);
	expect_first(&m, "near2"); /* though the other one answers sooner */
	spoil_byte(object_in(&m, "near2"));
	cloud_evict(&m.c);
	assert_int_equal(cloud_pread(&m.c, m.ino, got, sizeof got, 57344, 0), -ERR_TAMPERED);
	fault_set(m.f[0], OP_PUT, 0);
	fault_set(m.f[0], OP_DEL, 0);
	fault_sleep(2500);
	assert_int_equal(blocks_short(&m), 1);
	assert_int_equal(fault_count(m.f[1], OP_DEL), 0);
	/* segments that are sound in either are read */
	spoil_gone(object_in(&m, "near2"));
	assert_int_equal(cloud_pread(&m.c, m.ino, got, sizeof got, 0, 0), 0);
	assert_memory_equal(got, m.data, sizeof got);
	end(&m);
}

static int count_row(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

/* How many lines of a kind the audit log has. */
static int64_t lines_of(struct mirror *m, const char *kind)
{
	int64_t count = 0;

	assert_int_equal(meta_commit(m->c.s.meta), 0);
	assert_int_equal(meta_select(m->c.s.meta, "SELECT count(*) FROM audit WHERE kind = ?1", count_row, &count, "i",
				 (int64_t)audit_kind(kind)),
		0);
	return count;
}

static int64_t blocks_lost(struct mirror *m)
{
	assert_int_equal(meta_commit(m->c.s.meta), 0);
	return meta_lost_blocks(m->c.s.meta, 1, 1000);
}

/* What found it, a read or the repair, writes it down a moment later. */
static void expect_found(struct mirror *m)
{
	for (int i = 0; i < 500 && blocks_lost(m); i++)
		fault_sleep(10);
	assert_int_equal(blocks_lost(m), 0);
	assert_int_equal(lines_of(m, "restored"), 1);
}

static void expect_lost(struct mirror *m, int rc, const char *kind)
{
	struct where w;
	uint8_t got[4096];

	for (int i = 0; i < 3; i++)
		assert_int_equal(cloud_pread(&m->c, m->ino, got, sizeof got, 57344, 0), rc);
	assert_int_equal(blocks_lost(m), 1);
	assert_int_equal(lines_of(m, kind), 1);
	assert_int_equal(lines_of(m, "lost") + lines_of(m, "tampered"), 1);
	w = cloud_where(&m->c, m->ino);
	assert_int_equal(w.objects_lost, 1);
	where_free(&w);
}

/* The bytes come back as they were, as an administrator brings them. */
static void restore(const char *path, const uint8_t *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

/* The only copy is gone, cut short or changed: that is remembered and written down once, nothing is deleted or sent,
 * and it is over when the object is back; a mount later too. */
static void test_only_copy(void **state)
{
	static const struct {
		void (*spoil)(const char *path);
		int rc;
		const char *kind;
		bool reopen;
	} rows[] = { { spoil_gone, -ERR_LOST, "lost", false }, { spoil_gone, -ERR_LOST, "lost", true },
		{ spoil_byte, -ERR_TAMPERED, "tampered", false }, { spoil_short, -ERR_TAMPERED, "tampered", true } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char path[512];
		struct mirror m;
		uint8_t *bytes;
		size_t len;

		begin(&m, ONE_OF3);
		bytes = read_object(&m, "near", &len);
		snprintf(path, sizeof path, "%s", object_in(&m, "near"));
		rows[i].spoil(path);
		expect_lost(&m, rows[i].rc, rows[i].kind);
		assert_int_equal(fault_count(m.f[0], OP_PUT), 1);
		assert_int_equal(fault_count(m.f[1], OP_PUT), 0);
		assert_int_equal(fault_count(m.f[0], OP_DEL), 0);
		if (rows[i].reopen) {
			cloud_close(&m.c);
			start(&m);
			expect_lost(&m, rows[i].rc, rows[i].kind);
		}
		restore(path, bytes, len);
		cloud_expect(&m.c, m.ino, m.data, BYTES);
		expect_found(&m);
		wait_whole(&m);
		free(bytes);
		end(&m);
	}
}

/* Nobody reads it: the repair finds that it is back. A part that is sound is no proof that all of it is. */
static void test_only_copy_found(void **state)
{
	uint8_t got[4096], *bytes;
	char path[512];
	struct mirror m;
	size_t len;

	(void)state;
	begin(&m, ONE_OF3);
	bytes = read_object(&m, "near", &len);
	snprintf(path, sizeof path, "%s", object_in(&m, "near"));
	spoil_byte(path);
	expect_lost(&m, -ERR_TAMPERED, "tampered");
	assert_int_equal(cloud_pread(&m.c, m.ino, got, sizeof got, 0, 0), 0);
	assert_memory_equal(got, m.data, sizeof got);
	assert_int_equal(blocks_lost(&m), 1);
	restore(path, bytes, len);
	cloud_sync(&m.c, 0); /* or an hour later */
	wait_whole(&m);
	expect_found(&m);
	free(bytes);
	end(&m);
}

/* What is overwritten or deleted is lost no more; what cannot be asked was never lost (I7). */
static void test_only_copy_forgotten(void **state)
{
	struct mirror m;
	uint8_t got[4096];

	(void)state;
	begin(&m, ONE_OF3);
	fault_set(m.f[0], OP_GET, -ERR_UNREACHABLE);
	assert_int_equal(cloud_pread(&m.c, m.ino, got, sizeof got, 0, 0), -ERR_UNREACHABLE);
	fault_set(m.f[0], OP_GET, -ERR_NO_BUCKET);
	assert_int_equal(cloud_pread(&m.c, m.ino, got, sizeof got, 0, 0), -ERR_NO_BUCKET);
	fault_set(m.f[0], OP_GET, 0);
	assert_int_equal(blocks_lost(&m) + lines_of(&m, "lost") + lines_of(&m, "tampered"), 0);
	spoil_gone(object_in(&m, "near"));
	expect_lost(&m, -ERR_LOST, "lost");
	cloud_pwrite(&m.c, m.ino, m.data, BYTES, 0);
	cloud_sync(&m.c, m.ino);
	assert_int_equal(blocks_lost(&m), 0);
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	assert_int_equal(lines_of(&m, "restored"), 0);
	end(&m);
}

/* A copy that is made again from a sound one is one line too. */
static void test_restored_is_told(void **state)
{
	struct mirror m;

	(void)state;
	begin(&m, TWO);
	m.f[1]->delay_ns = 5 * NS_PER_MS;
	spoil_gone(object_in(&m, "near"));
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	wait_whole(&m);
	assert_int_equal(blocks_lost(&m), 0);
	assert_int_equal(lines_of(&m, "lost"), 1);
	assert_int_equal(lines_of(&m, "restored"), 1);
	end(&m);
}

/* The backend of the bad copy is down: it is made again when it is back; with a third one at once, there. */
static void test_backend_is_down(void **state)
{
	struct mirror m;

	(void)state;
	begin(&m, TWO);
	m.f[1]->delay_ns = 5 * NS_PER_MS;
	spoil_gone(object_in(&m, "near"));
	m.f[0]->down_answers = 0;
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	fault_set_down(m.f[0], true);
	fault_sleep(300);
	fault_set_down(m.f[0], false);
	wait_whole(&m);
	assert_true(same_objects(&m, "near", "near2"));
	end(&m);
	begin(&m, TWO_OF3);
	m.f[1]->delay_ns = 5 * NS_PER_MS;
	spoil_gone(object_in(&m, "near"));
	m.f[0]->fail[OP_PUT] = -ERR_UNREACHABLE;
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	for (int i = 0; i < 1000 && !same_objects(&m, "near3", "near2"); i++)
		fault_sleep(10);
	assert_true(same_objects(&m, "near3", "near2"));
	fault_set(m.f[0], OP_PUT, 0);
	wait_whole(&m);
	end(&m);
}

/* More copies are asked for, or a backend is taken away: what is short is made, now and at the next mount. */
static void test_configured(void **state)
{
	struct mirror m;
	struct where w;

	(void)state;
	begin(&m, ONE_OF3);
	assert_int_equal(cloud_objects(&m.c, "near2"), 0);
	cloud_reload(&m.c, TWO_OF3);
	for (int i = 0; i < 1000 && !same_objects(&m, "near", "near2"); i++)
		fault_sleep(10);
	wait_whole(&m);
	assert_true(same_objects(&m, "near", "near2"));
	assert_int_equal(cloud_objects(&m.c, "near3"), 0);
	cloud_close(&m.c);
	store_write_config(&m.c.s, OTHERS_OF3);
	cloud_open(&m.c, true);
	for (int i = 0; i < 1000 && !same_objects(&m, "near3", "near2"); i++)
		fault_sleep(10);
	wait_whole(&m);
	assert_true(same_objects(&m, "near3", "near2"));
	w = cloud_where(&m.c, m.ino);
	assert_int_equal(w.objects_short, 0);
	where_free(&w);
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	end(&m);
}

static void tag_personal(void *ctx)
{
	struct mirror *m = ctx;

	cloud_tags(&m->c, m->ino, "personal");
}

/* A file abroad whose copy on `far` is gone, and is being made again as soon as it is read. */
static void begin_abroad(struct mirror *m, const char *config)
{
	begin(m, config);
	m->public = store_mkdir(&m->c.s, META_ROOT_INO, "public");
	m->ino = cloud_write(&m->c, m->public, "abroad", m->data, BYTES);
	cloud_sync(&m->c, m->ino);
	cloud_evict(&m->c);
	spoil_gone(object_in(m, "far"));
	m->f[3]->delay_ns = 5 * NS_PER_MS;
}

static int put_rc(struct fault *f)
{
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = f->put_rc;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

/* It came home while its copy was being made: nothing of it stays there. */
static void expect_home(struct mirror *m)
{
	for (int i = 0; i < 1000 && cloud_objects(&m->c, "far2"); i++)
		fault_sleep(10);
	assert_int_equal(put_rc(m->f[2]), -ERR_REVOKED);
	cloud_expect_where(&m->c, m->ino, WHERE_STORED, "home");
	assert_int_equal(cloud_objects(&m->c, "far"), 0);
	assert_int_equal(cloud_objects(&m->c, "far2"), 0);
	assert_int_equal(blocks_short(m), 0);
	cloud_expect(&m->c, m->ino, m->data, BYTES);
}

/* A tag that comes before the first byte of a copy: none leaves (I1). */
static void test_revoked(void **state)
{
	struct mirror m;

	(void)state;
	begin_abroad(&m, TWO);
	m.f[2]->ctx = &m;
	m.f[2]->before_put = tag_personal;
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	for (int i = 0; i < 1000 && fault_count(m.f[2], OP_PUT) < 2; i++)
		fault_sleep(10);
	assert_int_equal(fault_count(m.f[2], OP_PUT), 2);
	expect_home(&m);
	end(&m);
}

/* One that comes in the middle: no further byte does when it is set. */
static void test_cut(void **state)
{
	struct mirror m;
	uint64_t sent;

	(void)state;
	begin_abroad(&m, TWO_SLOW);
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	fault_wait_sending(m.f[2]);
	tag_personal(&m);
	sent = fault_body_sent(m.f[2]);
	fault_sleep(300);
	assert_true(sent == UINT64_MAX || sent < BYTES);
	assert_int_equal(fault_body_sent(m.f[2]), UINT64_MAX);
	expect_home(&m);
	end(&m);
}

/* One more file comes to have what m->ino has, as copy_file_range has it do. */
static void share_it(void *ctx)
{
	struct mirror *m = ctx;
	struct inode *from = store_inode(&m->c.s, m->ino), *to = store_inode(&m->c.s, m->sharer);
	struct transfer_share share;
	struct block *block;

	/* what was just fetched is in memory only */
	assert_int_equal(cache_sync(m->c.s.cache, from), 0);
	assert_int_equal(meta_block_get(m->c.s.meta, from, 0, &block), 0);
	pthread_rwlock_rdlock(&from->data_lock);
	pthread_rwlock_wrlock(&to->data_lock);
	transfer_share_begin(m->c.t, &share, block->extent.object);
	assert_int_equal(cache_share(m->c.s.cache, from, 0, to, 0, BYTES, block->extent.object), 1);
	transfer_share_end(m->c.t, &share);
	pthread_rwlock_unlock(&to->data_lock);
	pthread_rwlock_unlock(&from->data_lock);
	meta_block_put(m->c.s.meta, block);
	store_put(&m->c.s, from);
	store_put(&m->c.s, to);
}

static void share_and_tag(void *ctx)
{
	struct mirror *m = ctx;

	share_it(m);
	cloud_tags(&m->c, m->sharer, "personal");
}

/* A file that comes to share the object while a copy of it is made: nothing more is sent for the old set of files (I1).
 * Where it stays abroad, the copy is made again; where it came home, the object gets no copy while it is in it. */
static void test_shared_meanwhile(void **state)
{
	struct mirror m;

	(void)state;
	begin_abroad(&m, TWO);
	m.sharer = store_file(&m.c.s, m.public, "sharer");
	m.f[2]->ctx = &m;
	m.f[2]->before_put = share_and_tag;
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	for (int i = 0; i < 1000 && put_rc(m.f[2]) == 0; i++)
		fault_sleep(5);
	assert_int_equal(put_rc(m.f[2]), -ERR_STALE);
	wait_whole(&m);
	cloud_expect_where(&m.c, m.sharer, WHERE_STORED, "home");
	cloud_expect_where(&m.c, m.ino, WHERE_STORED, "abroad");
	assert_int_equal(cloud_objects(&m.c, "far"), 1);
	cloud_expect(&m.c, m.sharer, m.data, BYTES);
	end(&m);
}

/* The same for one that begins in the middle of the operation. */
static void test_shared_first(void **state)
{
	struct transfer_share share;
	struct block *block;
	struct inode *inode;
	struct mirror m;

	(void)state;
	begin_abroad(&m, TWO);
	inode = store_inode(&m.c.s, m.ino);
	assert_int_equal(meta_block_get(m.c.s.meta, inode, 0, &block), 0);
	transfer_share_begin(m.c.t, &share, block->extent.object);
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	fault_sleep(300);
	assert_int_equal(fault_count(m.f[2], OP_PUT), 1);
	transfer_share_end(m.c.t, &share);
	meta_block_put(m.c.s.meta, block);
	store_put(&m.c.s, inode);
	wait_whole(&m);
	assert_int_equal(cloud_objects(&m.c, "far"), 1);
	end(&m);
}

static int64_t repacks(struct mirror *m)
{
	int64_t count = -1;

	assert_int_equal(meta_commit(m->c.s.meta), 0);
	assert_int_equal(meta_select(m->c.s.meta, "SELECT count(*) FROM repack", count_row, &count, ""), 0);
	return count;
}

/* A pack that holds bytes of a file that is gone: nobody can say where they may be, so it gets no copy. */
static void test_dead_member(void **state)
{
	struct mirror m;
	uint64_t dir, other;

	(void)state;
	begin(&m, TWO);
	dir = store_mkdir(&m.c.s, META_ROOT_INO, "public");
	m.ino = cloud_write(&m.c, dir, "abroad", m.data, BYTES);
	other = cloud_write(&m.c, dir, "other", m.data, 5000);
	cloud_sync(&m.c, 0);
	assert_int_equal(cloud_members(&m.c, "far"), 2);
	cloud_evict(&m.c);
	cloud_delete(&m.c, dir, "other", other);
	assert_int_equal(repacks(&m), 1);
	m.f[3]->delay_ns = 5 * NS_PER_MS;
	spoil_gone(object_in(&m, "far"));
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	for (int i = 0; i < 1000 && !blocks_short(&m); i++)
		fault_sleep(10);
	assert_int_equal(blocks_short(&m), 1);
	fault_sleep(300);
	assert_int_equal(fault_count(m.f[2], OP_PUT), 1);
	assert_int_equal(cloud_objects(&m.c, "far"), 0);
	end(&m);
}

static void delete_it(void *ctx)
{
	struct mirror *m = ctx;
	struct inode *inode = store_inode(&m->c.s, m->ino);
	struct cache_need need;

	pthread_rwlock_wrlock(&inode->data_lock);
	assert_int_equal(cache_truncate(m->c.s.cache, inode, 0, &need), 0);
	pthread_rwlock_unlock(&inode->data_lock);
	store_put(&m->c.s, inode);
	assert_int_equal(meta_sync(m->c.s.meta), 0);
	fault_sleep(200);
}

/* A deletion ends the repair of its object, and comes after it: nothing is left behind. */
static void test_deleted_meanwhile(void **state)
{
	struct mirror m;

	(void)state;
	begin(&m, TWO);
	spoil_gone(object_in(&m, "near"));
	m.f[0]->ctx = &m;
	m.f[0]->before_put = delete_it;
	m.f[1]->delay_ns = 5 * NS_PER_MS;
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	for (int i = 0; i < 1000 && fault_count(m.f[0], OP_DEL) < 1; i++)
		fault_sleep(10);
	assert_int_equal(m.f[0]->put_rc, -ERR_STALE);
	for (int i = 0; i < 1000 && meta_deletion_count(m.c.s.meta, 0) > 1; i++)
		fault_sleep(10);
	assert_int_equal(cloud_objects(&m.c, "near"), 0);
	assert_int_equal(cloud_objects(&m.c, "near2"), 0);
	assert_int_equal(blocks_short(&m), 0);
	end(&m);
}

/* What was begun when the store was closed is gone on with. */
static void test_resumed(void **state)
{
	struct mirror m;

	(void)state;
	begin(&m, TWO);
	spoil_gone(object_in(&m, "near"));
	m.f[0]->fail_after_put = -ERR_TIMEOUT;
	m.f[1]->delay_ns = 5 * NS_PER_MS;
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	for (int i = 0; i < 1000 && !cloud_objects(&m.c, "near"); i++)
		fault_sleep(10);
	assert_int_equal(cloud_objects(&m.c, "near"), 1);
	cloud_close(&m.c);
	start(&m);
	wait_whole(&m);
	assert_true(same_objects(&m, "near", "near2"));
	/* it was all there: looked at, and not sent again */
	assert_int_equal(fault_count(m.f[0], OP_PUT), 0);
	cloud_expect(&m.c, m.ino, m.data, BYTES);
	end(&m);
}

/* ---- writing ---- */

/* A put of one backend waits for one of the other. */
struct pair {
	struct fault *self, *other;
	atomic_bool both, cut;
};

static void wait_for_the_other(void *ctx)
{
	struct pair *p = ctx;

	for (int i = 0; i < 400 && !p->both; i++) {
		fault_sleep(5);
		p->both = fault_count(p->other, OP_PUT) > 0;
	}
}

static void wait_for_the_cut(void *ctx)
{
	struct pair *p = ctx;
	struct fault *f = p->self;

	for (int i = 0; i < 400 && !p->cut; i++) {
		fault_sleep(5);
		pthread_mutex_lock(&f->lock);
		p->cut = call_state(f->putting) < 0;
		pthread_mutex_unlock(&f->lock);
	}
}

/* All copies are sent at the same time: of the same bytes. */
static void test_sent_together(void **state)
{
	struct mirror m;
	struct pair p = { 0 };

	(void)state;
	make_clouds(&m, TWO);
	start(&m);
	m.data = cloud_noise(BYTES, 3);
	p.other = m.f[1];
	m.f[0]->before_put = wait_for_the_other;
	m.f[0]->ctx = &p;
	m.ino = cloud_write(&m.c, META_ROOT_INO, "file", m.data, BYTES);
	cloud_sync(&m.c, m.ino);
	assert_true(p.both);
	assert_true(same_objects(&m, "near", "near2"));
	assert_int_equal(fault_count(m.f[0], OP_PUT), 1);
	assert_int_equal(fault_count(m.f[1], OP_PUT), 1);
	end(&m);
}

/* Where one fails the other is not waited for, and is not to blame. */
static void test_sent_in_vain(void **state)
{
	struct mirror m;
	struct pair p = { 0 };

	(void)state;
	make_clouds(&m, TWO);
	start(&m);
	m.data = cloud_noise(BYTES, 3);
	p.self = p.other = m.f[0];
	m.f[0]->before_put = wait_for_the_cut;
	m.f[1]->before_put = wait_for_the_other;
	m.f[0]->ctx = m.f[1]->ctx = &p;
	fault_set(m.f[1], OP_PUT, -ERR_SERVER);
	m.ino = cloud_write(&m.c, META_ROOT_INO, "file", m.data, BYTES);
	for (int i = 0; i < 1000 && !p.cut; i++)
		fault_sleep(10);
	assert_true(p.cut);
	assert_int_equal(endpoint_by_id(m.c.t, 1)->failures, 0);
	fault_set(m.f[1], OP_PUT, 0);
	cloud_sync(&m.c, m.ino);
	assert_true(same_objects(&m, "near", "near2"));
	assert_int_equal(cloud_objects(&m.c, "near"), 1);
	end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sent_together),
		cmocka_unit_test(test_sent_in_vain),
		cmocka_unit_test(test_fastest_first),
		cmocka_unit_test(test_hedged),
		cmocka_unit_test(test_hedge_fails),
		cmocka_unit_test(test_trickle),
		cmocka_unit_test(test_made_again),
		cmocka_unit_test(test_falsely_accused),
		cmocka_unit_test(test_no_sound_copy),
		cmocka_unit_test(test_only_copy),
		cmocka_unit_test(test_only_copy_found),
		cmocka_unit_test(test_only_copy_forgotten),
		cmocka_unit_test(test_restored_is_told),
		cmocka_unit_test(test_backend_is_down),
		cmocka_unit_test(test_configured),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_shared_meanwhile),
		cmocka_unit_test(test_shared_first),
		cmocka_unit_test(test_dead_member),
		cmocka_unit_test(test_deleted_meanwhile),
		cmocka_unit_test(test_resumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
