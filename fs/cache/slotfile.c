/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/slotfile.h"

#include "base/file.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT_PUNCHED 0x8000
#define SLOT_REFS    0x7fff
#define GAPS_MAX     64 /* that are read ahead at once */

struct gap {
	uint32_t start, n;
};

/* ---- names ---- */

static void file_name(char out[SLOTFILE_NAME_BYTES], uint64_t ino, uint32_t index, uint64_t number)
{
	snprintf(out, SLOTFILE_NAME_BYTES, "%02x/%" PRIx64 ".%" PRIx32 ".%" PRIx64, (unsigned)(ino & 0xff), ino, index,
		number);
}

bool slotfile_parse(const char *name, uint64_t *ino, uint32_t *index, uint64_t *number)
{
	char again[SLOTFILE_NAME_BYTES];
	int end = 0;

	if (strlen(name) >= SLOTFILE_NAME_BYTES - 3 ||
		sscanf(name, "%" SCNx64 ".%" SCNx32 ".%" SCNx64 "%n", ino, index, number, &end) != 3 || name[end])
		return false;
	file_name(again, *ino, *index, *number);
	return !strcmp(again + 3, name);
}

/* ---- descriptors ---- */

int fds_init(struct fds *fds, int dirfd, unsigned max)
{
	list_init(&fds->lru);
	fds->open = 0;
	fds->max = max;
	fds->dirfd = dirfd;
	return -pthread_mutex_init(&fds->lock, NULL);
}

void fds_destroy(struct fds *fds)
{
	assert(fds->open == 0);
	pthread_mutex_destroy(&fds->lock);
}

int fds_sync_dir(struct fds *fds, uint64_t ino)
{
	char name[8];
	int fd, rc;

	snprintf(name, sizeof name, "%02x", (unsigned)(ino & 0xff));
	if ((fd = openat(fds->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	rc = file_sync_dir(fd);
	close(fd);
	return rc;
}

int fds_unlink(struct fds *fds, uint64_t ino, uint32_t index, uint64_t number)
{
	char name[SLOTFILE_NAME_BYTES];

	file_name(name, ino, index, number);
	return unlinkat(fds->dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int open_new(struct slotfile *f, const char *name)
{
	char dir[3] = { name[0], name[1], 0 };
	int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(f->fds->dirfd, name, flags, 0600);

	if (fd < 0 && errno == ENOENT && mkdirat(f->fds->dirfd, dir, 0700) == 0)
		fd = openat(f->fds->dirfd, name, flags, 0600);
	if (fd < 0)
		return -errno;
	pthread_mutex_lock(&f->lock);
	f->named = false;
	pthread_mutex_unlock(&f->lock);
	return fd;
}

static int open_file(struct slotfile *f, bool create)
{
	char name[SLOTFILE_NAME_BYTES];
	int fd;

	file_name(name, f->ino, f->index, f->number);
	fd = openat(f->fds->dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT || !create)
		return -errno;
	fd = open_new(f, name);
	/* two writers at once: the other made it */
	return fd == -EEXIST ? open_file(f, false) : fd;
}

static int fd_use(struct slotfile *f)
{
	int fd;

	pthread_mutex_lock(&f->fds->lock);
	fd = f->fd;
	if (fd >= 0) {
		f->users++;
		list_remove(&f->link);
	}
	pthread_mutex_unlock(&f->fds->lock);
	return fd;
}

static int fd_get(struct slotfile *f, bool create)
{
	int fd = fd_use(f), mine;

	if (fd >= 0)
		return fd;
	if ((mine = open_file(f, create)) < 0)
		return mine;
	pthread_mutex_lock(&f->fds->lock);
	if (f->fd < 0) {
		f->fd = mine;
		f->fds->open++;
		mine = -1;
	}
	fd = f->fd;
	f->users++;
	list_remove(&f->link);
	pthread_mutex_unlock(&f->fds->lock);
	if (mine >= 0)
		close(mine);
	return fd;
}

/* Over the bound the one idle longest is closed. */
static int fd_evict(struct fds *fds)
{
	struct slotfile *f;
	int fd;

	if (fds->open <= fds->max || list_empty(&fds->lru))
		return -1;
	f = list_first(&fds->lru, struct slotfile, link);
	list_remove(&f->link);
	fd = f->fd;
	f->fd = -1;
	fds->open--;
	return fd;
}

static void fd_put(struct slotfile *f)
{
	int fd;

	pthread_mutex_lock(&f->fds->lock);
	if (--f->users == 0)
		list_append(&f->fds->lru, &f->link);
	fd = fd_evict(f->fds);
	pthread_mutex_unlock(&f->fds->lock);
	if (fd >= 0)
		close(fd);
}

/* ---- life ---- */

int slotfile_new(struct slotfile **out, struct fds *fds, uint64_t ino, uint32_t index, uint64_t number)
{
	struct slotfile *f = calloc(1, sizeof *f);

	*out = f;
	if (!f)
		return -ENOMEM;
	f->fds = fds;
	f->ino = ino;
	f->index = index;
	f->number = number;
	f->refs = 1;
	f->fd = -1;
	list_init(&f->link);
	pthread_mutex_init(&f->lock, NULL);
	return 0;
}

void slotfile_free(struct slotfile *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->fds->lock);
	assert(f->users == 0);
	list_remove(&f->link);
	if (f->fd >= 0)
		f->fds->open--;
	pthread_mutex_unlock(&f->fds->lock);
	if (f->fd >= 0)
		close(f->fd);
	pthread_mutex_destroy(&f->lock);
	free(f->slot);
	free(f);
}

static int grow(struct slotfile *f, uint64_t end)
{
	uint32_t cap = f->cap ? f->cap : 8;
	uint16_t *slot;

	if (end > MAP_SLOTS_MAX)
		return -EFBIG;
	while (cap < end)
		cap *= 2;
	if (cap > f->cap) {
		if (!(slot = realloc(f->slot, cap * sizeof *slot)))
			return -ENOMEM;
		f->slot = slot;
		f->cap = cap;
	}
	if (end > f->end) {
		memset(f->slot + f->end, 0, (end - f->end) * sizeof *f->slot);
		f->end = (uint32_t)end;
	}
	return 0;
}

int slotfile_measure(struct slotfile *f)
{
	struct stat st;
	int fd = fd_get(f, false), rc;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	rc = fstat(fd, &st) < 0 ? -errno : 0;
	fd_put(f);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&f->lock);
	rc = grow(f, (uint64_t)st.st_size / SLOT_BYTES);
	f->named = true;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

bool slotfile_named(struct slotfile *f)
{
	bool named;

	pthread_mutex_lock(&f->lock);
	named = f->named;
	pthread_mutex_unlock(&f->lock);
	return named;
}

void slotfile_set_named(struct slotfile *f)
{
	pthread_mutex_lock(&f->lock);
	f->named = true;
	pthread_mutex_unlock(&f->lock);
}

uint32_t slotfile_disk_slots(struct slotfile *f)
{
	uint32_t n;

	pthread_mutex_lock(&f->lock);
	n = f->end - f->punched;
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* ---- slots ---- */

static uint32_t free_run(const struct slotfile *f, uint32_t at, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && at + n < f->end && !(f->slot[at + n] & SLOT_REFS))
		n++;
	return n;
}

/* The first run of `want` free slots, or *start untouched. first gets the lowest run of any length. */
static uint32_t find_run(const struct slotfile *f, uint32_t want, uint32_t *start, uint32_t *first, uint32_t *first_n)
{
	*first_n = 0;
	for (uint32_t at = 0, n; at < f->end; at += n ? n : 1) {
		n = free_run(f, at, want);
		if (n && !*first_n) {
			*first = at;
			*first_n = n;
		}
		if (n == want) {
			*start = at;
			return n;
		}
	}
	return 0;
}

/* A quarter of the file free is too much to go on at its end. */
static bool fills_gaps(const struct slotfile *f)
{
	return f->end - f->used > f->end / 4;
}

/* Which slots: see the header. */
static uint32_t choose(const struct slotfile *f, uint32_t want, uint32_t *start)
{
	uint32_t first = 0, first_n = 0, idle = f->end - f->used, n;

	if (idle && (n = find_run(f, want, start, &first, &first_n)))
		return n;
	if (first_n && fills_gaps(f)) {
		*start = first;
		return first_n;
	}
	*start = f->end;
	while (*start && !(f->slot[*start - 1] & SLOT_REFS))
		--*start;
	return want;
}

static void take(struct slotfile *f, uint32_t start, uint32_t n)
{
	for (uint32_t i = start; i < start + n; i++) {
		assert((f->slot[i] & SLOT_REFS) < SLOT_REFS);
		f->used += !(f->slot[i] & SLOT_REFS);
		if (f->slot[i] & SLOT_PUNCHED) {
			f->slot[i] &= SLOT_REFS;
			f->punched--;
		}
		f->slot[i]++;
	}
}

int slotfile_alloc(struct slotfile *f, uint32_t want, uint32_t *start)
{
	uint32_t n;
	int rc = 0;

	pthread_mutex_lock(&f->lock);
	n = choose(f, want, start);
	if (*start + n > f->end)
		rc = grow(f, (uint64_t)*start + n);
	if (rc == 0)
		take(f, *start, n);
	pthread_mutex_unlock(&f->lock);
	return rc < 0 ? rc : (int)n;
}

int slotfile_ref(struct slotfile *f, uint32_t start, uint32_t n)
{
	int rc = 0;

	pthread_mutex_lock(&f->lock);
	if (start + n > f->end)
		rc = grow(f, (uint64_t)start + n);
	if (rc == 0)
		take(f, start, n);
	pthread_mutex_unlock(&f->lock);
	return rc;
}

void slotfile_unref(struct slotfile *f, uint32_t start, uint32_t n)
{
	pthread_mutex_lock(&f->lock);
	for (uint32_t i = start; i < start + n; i++) {
		assert(f->slot[i] & SLOT_REFS);
		f->slot[i]--;
		f->used -= !(f->slot[i] & SLOT_REFS);
	}
	pthread_mutex_unlock(&f->lock);
}

int slotfile_ref_map(struct slotfile *f, const struct map *m)
{
	int rc = 0;

	for (uint32_t u = 0, n; u < m->len; u += n) {
		n = map_run(m, u, m->len - u);
		if (!map_has_slot(m->v[u].slot) || (rc = slotfile_ref(f, m->v[u].slot, n)) == 0)
			continue;
		while (u) {
			u--;
			if (map_has_slot(m->v[u].slot))
				slotfile_unref(f, m->v[u].slot, 1);
		}
		break;
	}
	return rc;
}

void slotfile_unref_map(struct slotfile *f, const struct map *m)
{
	for (uint32_t u = 0, n; u < m->len; u += n) {
		n = map_run(m, u, m->len - u);
		if (map_has_slot(m->v[u].slot))
			slotfile_unref(f, m->v[u].slot, n);
	}
}

/* ---- I/O ---- */

int slotfile_read(struct slotfile *f, uint32_t start, uint32_t n, uint8_t *out)
{
	int fd = fd_get(f, false), rc;

	if (fd < 0)
		return fd;
	rc = file_pread_full(fd, out, (size_t)n * SLOT_BYTES, (off_t)start * SLOT_BYTES);
	fd_put(f);
	return rc;
}

int slotfile_write(struct slotfile *f, uint32_t start, uint32_t n, const uint8_t *data)
{
	int fd = fd_get(f, true), rc;

	if (fd < 0)
		return fd;
	rc = file_pwrite_full(fd, data, (size_t)n * SLOT_BYTES, (off_t)start * SLOT_BYTES);
	fd_put(f);
	return rc;
}

/* Where n slots go that go between others. */
static unsigned gaps(struct slotfile *f, uint32_t n, struct gap out[GAPS_MAX])
{
	unsigned count = 0;

	pthread_mutex_lock(&f->lock);
	for (uint32_t at = 0, run; fills_gaps(f) && at < f->end && n && count < GAPS_MAX; at += run ? run : 1) {
		if (!(run = free_run(f, at, n)))
			continue;
		out[count++] = (struct gap){ at, run };
		n -= run;
	}
	pthread_mutex_unlock(&f->lock);
	return count;
}

/* A slot is no whole number of pages: it shares its first and its last one with its neighbours, and to write a part of
 * a page the disk has to bring the rest. One after the other would take longer than all the sealing. */
void slotfile_ahead(struct slotfile *f, uint32_t n)
{
	struct gap v[GAPS_MAX];
	unsigned count = gaps(f, n, v);
	int fd = count ? fd_get(f, false) : -1;

	if (fd < 0)
		return;
	for (unsigned i = 0; i < count; i++)
		(void)posix_fadvise(
			fd, (off_t)v[i].start * SLOT_BYTES, (off_t)v[i].n * SLOT_BYTES, POSIX_FADV_WILLNEED);
	fd_put(f);
}

int slotfile_failed(struct slotfile *f)
{
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = f->sync_err;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

void slotfile_start(struct slotfile *f)
{
	int fd = fd_get(f, false);

	if (fd < 0)
		return;
	/* its errors are the sync's too */
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	fd_put(f);
}

int slotfile_sync(struct slotfile *f)
{
	int fd, rc = slotfile_failed(f);

	if (rc < 0)
		return rc;
	if ((fd = fd_get(f, false)) < 0)
		return fd;
	if (fdatasync(fd) < 0) {
		rc = -errno;
		log_error("cache: block %u of inode %" PRIu64 ": %s: what was written to it may be lost", f->index,
			f->ino, err_text(rc));
		pthread_mutex_lock(&f->lock);
		f->sync_err = rc;
		pthread_mutex_unlock(&f->lock);
	}
	fd_put(f);
	return rc;
}

/* A hole for each longer run of free slots, whole pages of it: the first and the last are shared with neighbours. */
static void punch_runs(struct slotfile *f, int fd)
{
	for (uint32_t at = 0, n; at < f->end; at += n ? n : 1) {
		n = free_run(f, at, f->end);
		if (n < 4)
			continue;
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at * SLOT_BYTES,
			    (off_t)n * SLOT_BYTES) < 0)
			return;
		for (uint32_t i = at; i < at + n; i++) {
			f->punched += !(f->slot[i] & SLOT_PUNCHED);
			f->slot[i] |= SLOT_PUNCHED;
		}
	}
}

static void cut_end(struct slotfile *f, int fd)
{
	uint32_t end = f->end;

	while (end && !(f->slot[end - 1] & SLOT_REFS))
		end--;
	if (end == f->end || ftruncate(fd, (off_t)end * SLOT_BYTES) < 0)
		return;
	while (f->end > end)
		f->punched -= (f->slot[--f->end] & SLOT_PUNCHED) != 0;
}

/* Under the file's mutex all the while: a slot given out meanwhile must not be cut off. */
void slotfile_trim(struct slotfile *f)
{
	int fd = fd_get(f, false);

	if (fd < 0)
		return;
	pthread_mutex_lock(&f->lock);
	if (f->counted && (f->end - f->used) * UINT64_C(2) > f->end)
		cut_end(f, fd);
	if (f->counted && (f->end - f->used - f->punched) * UINT64_C(4) > f->end)
		punch_runs(f, fd);
	pthread_mutex_unlock(&f->lock);
	fd_put(f);
}

void slotfile_set_counted(struct slotfile *f, bool counted)
{
	pthread_mutex_lock(&f->lock);
	f->counted = counted;
	pthread_mutex_unlock(&f->lock);
}
