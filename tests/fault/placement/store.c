/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include "fs/meta/internal.h"
#include "fs/meta/vfs_private.h"

#include <dirent.h>

void store_write_rules(bool closed, bool doubled)
{
	FILE *ini = fopen(w.f.ini, "w");

	assert_non_null(ini);
	fprintf(ini,
		"[filesystem]\nname = test\nstore = %s/store\nhome = home\nsettle = 200ms\nmax-delay = 1h\n"
		"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\n%s%s"
		"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far, far2\ncopies = %d\n%s"
		"[backend near]\ntype = local\npath = %s/near\n[backend far]\ntype = local\npath = %s/far\n"
		"[backend far2]\ntype = local\npath = %s/far2\n"
		"[rule personal]\ntag = personal\nzone = home\n[rule hr]\npath = /hr/**\nzone = home\n%s"
		"[rule public]\npath = /pub/**\nzone = abroad\n",
		w.f.dir, w.scene->policy, w.scene->pack, 1 + doubled, w.scene->pack, w.f.dir, w.f.dir, w.f.dir,
		closed ? "[rule closed]\npath = /pub/**\nzone = home\n" : "");
	fclose(ini);
}

/* What takes time and changes nothing here: a crash of the program loses no page that it wrote (powerloss cuts the
 * power), and a passphrase need not be hard to guess. */
int __wrap_fsync(int);
int __wrap_fdatasync(int);
int __wrap_fsync(int fd)
{
	(void)fd;
	return 0;
}

int __wrap_fdatasync(int fd)
{
	(void)fd;
	return 0;
}

int __wrap_crypto_pwhash(unsigned char *, unsigned long long, const char *, unsigned long long, const unsigned char *,
	unsigned long long, size_t, int);
int __wrap_crypto_pwhash(unsigned char *out, unsigned long long len, const char *in, unsigned long long in_len,
	const unsigned char *salt, unsigned long long passes, size_t memory, int algorithm)
{
	(void)salt, (void)passes, (void)memory, (void)algorithm;
	for (unsigned long long i = 0; i < len; i++)
		out[i] = (unsigned char)in[i % in_len];
	return 0;
}

int __real_transfer_open(struct transfer **, struct meta *, struct cache *, struct place *, struct keyring *,
	const struct transfer_options *, struct errmsg *);
int __wrap_transfer_open(struct transfer **, struct meta *, struct cache *, struct place *, struct keyring *,
	const struct transfer_options *, struct errmsg *);
int __wrap_transfer_open(struct transfer **out, struct meta *meta, struct cache *cache, struct place *place,
	struct keyring *keyring, const struct transfer_options *options, struct errmsg *msg)
{
	static const struct transfer_options few = { 2, 1, 1 };

	(void)options;
	cloud_keys(keyring);
	return __real_transfer_open(out, meta, cache, place, keyring, &few, msg);
}

/* A reader that stands still in the middle of SQLite keeps the writer from going on for so long that it gives up. */
void store_open(void)
{
	fixture_open(&w.f);
	stage_spare(&core_meta(w.f.core)->vfs->lock);
}

bool store_saved(void)
{
	struct meta *m = core_meta(w.f.core);

	return list_empty(&m->changed) && list_empty(&m->records) && !m->flight && meta_durable(m) == meta_committed(m);
}

/* ---- a crash ---- */

static bool all_zeros(const char *data, size_t len)
{
	return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

/* Without what is reserved only: zeros, also at the end. */
static void copy_file(int from, int to, const char *name)
{
	int in = openat(from, name, O_RDONLY), out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	char data[65536];
	off_t at = 0;

	assert_true(in >= 0 && out >= 0);
	while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
		ssize_t n = pread(in, data, sizeof(data), at);

		assert_true(n > 0 && (all_zeros(data, (size_t)n) || pwrite(out, data, (size_t)n, at) == n));
		at += n;
	}
	close(in);
	close(out);
}

static void copy_dir(int from, int to)
{
	DIR *d = fdopendir(from);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e->d_type == DT_DIR) {
			int out;

			assert_int_equal(mkdirat(to, e->d_name, 0700), 0);
			out = openat(to, e->d_name, O_RDONLY | O_DIRECTORY);
			copy_dir(openat(from, e->d_name, O_RDONLY | O_DIRECTORY), out);
			close(out);
		} else if (e->d_type == DT_REG) {
			copy_file(from, to, e->d_name);
		}
	}
	closedir(d);
}

static bool same_names(const struct state *s)
{
	for (int k = 0; k < SLOTS; k++) {
		uint64_t ino = fixture_ino(&w.f, k == HR_A ? w.hr : w.pub, k == PUB_B ? "b" : "a");

		if (ino != (s->slots[k] == NOBODY ? 0 : s->files[s->slots[k]].ino))
			return false;
	}
	return true;
}

static bool is_tagged(uint64_t ino)
{
	struct buf tags = BUF_INIT;
	bool is = core_getxattr(w.f.core, ino, "user.xdg.tags", &tags) == 0 && tags.len > 0;

	buf_free(&tags);
	return is;
}

static bool same_tags(const struct state *s)
{
	if (is_tagged(w.pub) != s->dir_tag)
		return false;
	for (int i = 0; i < FILES; i++)
		if (s->files[i].exists && is_tagged(s->files[i].ino) != s->files[i].tag)
			return false;
	return true;
}

/* I3: a state there was, not older than what was synced; I9: with the marks that it had. */
static void find_state(void)
{
	bool closed = w.now.closed, doubled = w.now.doubled;
	struct approval before[FILES];
	size_t s = w.past_durable;

	for (int i = 0; i < FILES; i++)
		before[i] = w.now.files[i].approval;

	while (s < w.past_count && !(same_names(&w.past[s]) && same_tags(&w.past[s])))
		s++;
	if (s == w.past_count)
		wrong("I3: no state there was is left after the crash");
	w.now = w.past[s];
	w.now.closed = closed;
	w.now.doubled = doubled;
	memset(w.now.lost, 0, sizeof(w.now.lost));
	/* a vote is durable at once */
	for (int i = 0; i < FILES; i++)
		w.now.files[i].approval = before[i];
	for (int i = 0; i < FILES; i++) {
		struct file *file = &w.now.files[i];
		unsigned version;

		if (!file->exists)
			continue;
		if (file->held && !(file_flags(file) & INODE_HELD) && !state_wants_home(&w.now, i) &&
			w.now.policy == DENY)
			wrong("I9: %s was held before the crash", file_name(i));
		file->held = file_flags(file) & INODE_HELD;
		file_touched(file);
		if ((version = file_version(i)) < file->synced)
			wrong("I3: %s has version %u, %u was synced", file_name(i), version, file->synced);
		file->version = version;
	}
	state_hold(&w.now);
}

void store_crash(void)
{
	char store[200], image[200];
	int from, to;

	snprintf(store, sizeof(store), "%s/store", w.f.dir);
	snprintf(image, sizeof(image), "%s/image", w.f.dir);
	assert_int_equal(mkdir(image, 0700), 0);
	from = open(store, O_RDONLY | O_DIRECTORY);
	to = open(image, O_RDONLY | O_DIRECTORY);
	copy_dir(from, to);
	close(to);
	cloud_dead(true);
	/* a step that was in the middle: all of it may be there, or nothing */
	stage_resume();
	stage_settle();
	if (w.racing)
		world_past();
	fixture_close(&w.f);
	cloud_dead(false);
	nftw(store, fixture_unlink, 32, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(rename(image, store), 0);
	store_open();
	find_state();
	w.past[0] = w.now;
	w.past_count = 1;
	w.past_durable = 0;
	w.crashes++;
}
