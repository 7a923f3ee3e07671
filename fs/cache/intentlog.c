/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/intentlog.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "fs/crypt/keyring.h"
#include "fs/crypt/seal.h"
#include "fs/crypt/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION	     1
#define MAGIC	     "bfintent"
#define SECTOR	     512 /* what a disk writes whole: no record shares one */
#define HEADER_BYTES 32
#define AD_BYTES     (STORE_ID_BYTES + HEADER_BYTES + 8)
#define GROUP_MAX    (512u << 10)
#define FILE_MAX     (256u << 20) /* to be read */
#define ZEROS	     (1u << 20)
#define RECORD_MAX   (HEADER_BYTES + GROUP_MAX + SEAL_OVERHEAD + SECTOR)
#define AT_TAIL	     16
#define AT_LENGTH    24
#define AT_VERSION   28

/* What goes into one record. */
struct group {
	uint8_t *data;
	size_t len;
};

struct intentlog {
	int dirfd;
	uint8_t *key, store_id[STORE_ID_BYTES];
	uint64_t half_bytes;

	pthread_mutex_t lock;
	struct list waiting[2]; /* by the number waited for: the one being written, or the one being gathered */
	int fd;
	int failed;
	bool busy;	       /* a record is being written: the one before `gathering` */
	struct group group[2]; /* by number */
	uint64_t gathering, durable, settled;
	uint64_t at;	       /* where the one being gathered goes */
	uint64_t half_last[2]; /* the last record in each half */
	uint8_t *sealed;       /* whose who writes */
};

/* ---- life ---- */

static int buffers_new(struct intentlog *l)
{
	l->key = secret_alloc(SEAL_KEY_BYTES);
	l->sealed = malloc(RECORD_MAX);
	for (int i = 0; i < 2; i++)
		l->group[i].data = malloc(GROUP_MAX);
	return l->key && l->sealed && l->group[0].data && l->group[1].data ? 0 : -ENOMEM;
}

int intentlog_new(
	struct intentlog **out, int dirfd, const uint8_t *key, const uint8_t *store_id, uint64_t first, uint64_t bytes)
{
	struct intentlog *l = *out = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	l->fd = -1;
	l->dirfd = dirfd;
	l->half_bytes = bytes / 2 / SECTOR * SECTOR;
	l->gathering = first;
	l->durable = l->settled = l->half_last[0] = l->half_last[1] = first - 1;
	pthread_mutex_init(&l->lock, NULL);
	list_init(&l->waiting[0]);
	list_init(&l->waiting[1]);
	memcpy(l->store_id, store_id, sizeof l->store_id);
	if (buffers_new(l) < 0) {
		intentlog_free(l);
		*out = NULL;
		return -ENOMEM;
	}
	crypto_kdf_derive_from_key(l->key, SEAL_KEY_BYTES, VERSION, MAGIC, key);
	return 0;
}

void intentlog_free(struct intentlog *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		close(l->fd);
	for (int i = 0; i < 2; i++) {
		if (l->group[i].data)
			sodium_memzero(l->group[i].data, l->group[i].len);
		free(l->group[i].data);
	}
	free(l->sealed);
	secret_free(l->key);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static int zeros_write(int fd, uint64_t bytes)
{
	uint8_t *zeros = calloc(1, ZEROS);
	int rc = zeros ? 0 : -ENOMEM;

	for (uint64_t at = 0, n; at < bytes && rc == 0; at += n) {
		n = bytes - at < ZEROS ? bytes - at : ZEROS;
		rc = file_pwrite_full(fd, zeros, n, (off_t)at);
	}
	free(zeros);
	if (rc == 0 && fdatasync(fd) < 0)
		rc = -errno;
	return rc;
}

/* One of an earlier run serves as it is: the numbers of what it holds are too low to count. */
static int file_make(const struct intentlog *l, int fd)
{
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size == 2 * l->half_bytes)
		return 0;
	if (ftruncate(fd, 0) < 0)
		return -errno;
	if ((rc = zeros_write(fd, 2 * l->half_bytes)) == 0)
		rc = file_sync_dir(l->dirfd);
	return rc;
}

int intentlog_prepare(struct intentlog *l)
{
	int fd, rc;

	if (l->fd >= 0)
		return 0;
	if ((fd = openat(l->dirfd, INTENTLOG_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return -errno;
	if ((rc = file_make(l, fd)) < 0) {
		unlinkat(l->dirfd, INTENTLOG_NAME, 0);
		close(fd);
		return rc;
	}
	pthread_mutex_lock(&l->lock);
	l->fd = fd;
	pthread_mutex_unlock(&l->lock);
	return 0;
}

bool intentlog_ready(struct intentlog *l)
{
	bool ready;

	pthread_mutex_lock(&l->lock);
	ready = l->fd >= 0 && !l->failed;
	pthread_mutex_unlock(&l->lock);
	return ready;
}

void intentlog_remove(struct intentlog *l)
{
	if (unlinkat(l->dirfd, INTENTLOG_NAME, 0) < 0 && errno != ENOENT)
		log_warn("cache: the intent log was not removed: %s", strerror(errno));
}

/* ---- a record ---- */

static size_t record_bytes(size_t len)
{
	return (HEADER_BYTES + len + SEAL_OVERHEAD + SECTOR - 1) / SECTOR * SECTOR;
}

static void make_ad(const struct intentlog *l, uint8_t ad[AD_BYTES], const uint8_t *header, uint64_t at)
{
	memcpy(ad, l->store_id, STORE_ID_BYTES);
	memcpy(ad + STORE_ID_BYTES, header, HEADER_BYTES);
	put_le64(ad + STORE_ID_BYTES + HEADER_BYTES, at);
}

static void record_seal(
	const struct intentlog *l, uint8_t *out, const struct group *g, uint64_t number, uint64_t tail, uint64_t at)
{
	size_t used = HEADER_BYTES + g->len + SEAL_OVERHEAD;
	uint8_t ad[AD_BYTES];

	memcpy(out, MAGIC, 8);
	put_le64(out + 8, number);
	put_le64(out + AT_TAIL, tail);
	put_le32(out + AT_LENGTH, (uint32_t)g->len);
	put_le32(out + AT_VERSION, VERSION);
	make_ad(l, ad, out, at);
	seal(out + HEADER_BYTES, g->data, g->len, ad, sizeof ad, l->key);
	memset(out + used, 0, record_bytes(g->len) - used);
}

static int record_write(struct intentlog *l, const struct group *g, uint64_t number, uint64_t tail, uint64_t at)
{
	int rc;

	record_seal(l, l->sealed, g, number, tail, at);
	if ((rc = file_pwrite_full(l->fd, l->sealed, record_bytes(g->len), (off_t)at)) < 0)
		return rc;
	return fdatasync(l->fd) < 0 ? -errno : 0;
}

/* ---- writing ---- */

static int half_of(const struct intentlog *l)
{
	return l->at >= l->half_bytes;
}

static bool fits(const struct intentlog *l, size_t len)
{
	return l->at + record_bytes(len) <= l->half_bytes * (half_of(l) ? 2 : 1);
}

/* The next record goes to the other half, if nothing there is needed. */
static bool turn_over(struct intentlog *l)
{
	int other = !half_of(l);

	if (l->half_last[other] > l->settled)
		return false;
	l->at = other ? l->half_bytes : 0;
	return true;
}

/* Under the lock. A record that others are part of already stays where it is. */
static int put(struct intentlog *l, const void *data, size_t len, bool *due)
{
	struct group *g = &l->group[l->gathering & 1];

	if (l->fd < 0 || l->failed || g->len + len > GROUP_MAX)
		return -EAGAIN;
	if (!fits(l, g->len + len)) {
		*due = true;
		if (g->len || !turn_over(l) || !fits(l, len))
			return -EAGAIN;
	}
	memcpy(g->data + g->len, data, len);
	g->len += len;
	return 0;
}

int intentlog_put(struct intentlog *l, const void *data, size_t len, uint64_t *record, bool *due)
{
	int rc;

	*due = false;
	pthread_mutex_lock(&l->lock);
	rc = put(l, data, len, due);
	*record = l->gathering;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

/* Under the lock, which is given up while the disk works. */
static void lead(struct intentlog *l)
{
	uint64_t number = l->gathering++, at = l->at, tail = l->settled + 1;
	struct group *g = &l->group[number & 1];
	int rc;

	l->busy = true;
	l->half_last[half_of(l)] = number;
	l->at += record_bytes(g->len);
	pthread_mutex_unlock(&l->lock);
	rc = record_write(l, g, number, tail, at);
	pthread_mutex_lock(&l->lock);
	sodium_memzero(g->data, g->len);
	g->len = 0;
	l->busy = false;
	if (rc < 0) {
		/* what a failed sync left out no later one brings */
		l->failed = rc;
		log_error("cache: the intent log cannot be written, syncs go without it: %s", err_text(rc));
	} else {
		l->durable = number;
	}
}

static bool is_over(const struct intentlog *l, uint64_t record)
{
	return l->durable >= record || l->failed;
}

/* Under the lock, which is given up meanwhile: calls those whose wait is over. All of a list wait for the same. */
static void call(struct intentlog *l)
{
	struct list over = LIST_INIT(over);
	uint64_t durable = l->durable;
	int failed = l->failed;

	for (int i = 0; i < 2; i++)
		if (!list_empty(&l->waiting[i]) &&
			is_over(l, list_first(&l->waiting[i], struct intentlog_wait, link)->record))
			list_splice(&over, &l->waiting[i]);
	pthread_mutex_unlock(&l->lock);
	list_for_each_safe (it, &over) {
		struct intentlog_wait *w = list_entry(it, struct intentlog_wait, link);

		list_remove(it);
		w->done(w, w->record <= durable ? 0 : failed);
	}
	pthread_mutex_lock(&l->lock);
}

void intentlog_when(struct intentlog *l, uint64_t record, struct intentlog_wait *w)
{
	int rc;

	pthread_mutex_lock(&l->lock);
	if (is_over(l, record)) {
		rc = l->durable >= record ? 0 : l->failed;
		pthread_mutex_unlock(&l->lock);
		w->done(w, rc);
		return;
	}
	w->record = record;
	list_init(&w->link);
	list_append(&l->waiting[record & 1], &w->link);
	while (!l->busy && !list_empty(&l->waiting[l->gathering & 1])) {
		lead(l);
		call(l);
	}
	pthread_mutex_unlock(&l->lock);
}

uint64_t intentlog_last(struct intentlog *l)
{
	uint64_t last;

	pthread_mutex_lock(&l->lock);
	last = l->group[l->gathering & 1].len ? l->gathering : l->gathering - 1;
	pthread_mutex_unlock(&l->lock);
	return last;
}

void intentlog_settle(struct intentlog *l, uint64_t record)
{
	pthread_mutex_lock(&l->lock);
	if (l->settled < record)
		l->settled = record;
	pthread_mutex_unlock(&l->lock);
}

/* ---- reading ---- */

struct found {
	uint64_t number, tail, at;
	size_t len;
};

struct scan {
	struct intentlog *l;
	uint8_t *bytes, *plain;
	uint64_t size;
	struct found *v;
	size_t count, cap;
};

/* The plaintext of what lies there: 0, or -ENODATA: no record, or none that is whole. */
static int record_open(struct scan *s, uint64_t at, struct found *f)
{
	const uint8_t *p = s->bytes + at;
	uint8_t ad[AD_BYTES];
	uint32_t len;

	if (s->size - at < SECTOR || memcmp(p, MAGIC, 8) != 0)
		return -ENODATA;
	if (get_le32(p + AT_VERSION) != VERSION)
		return get_le32(p + AT_VERSION) > VERSION ? -ERR_NEWER : -ENODATA;
	len = get_le32(p + AT_LENGTH);
	if (len > GROUP_MAX || record_bytes(len) > s->size - at)
		return -ENODATA;
	make_ad(s->l, ad, p, at);
	if (unseal(s->plain, p + HEADER_BYTES, len + SEAL_OVERHEAD, ad, sizeof ad, s->l->key) < 0)
		return -ENODATA;
	*f = (struct found){ .number = get_le64(p + 8), .tail = get_le64(p + AT_TAIL), .at = at, .len = len };
	return 0;
}

static int found_add(struct scan *s, const struct found *f)
{
	struct found *v = s->v;

	if (s->count == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;

		if (!(v = realloc(v, cap * sizeof *v)))
			return -ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->count++] = *f;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* Every record that is whole, of whatever run: where one is not, another may begin at any sector. */
static int scan_all(struct scan *s)
{
	struct found f;
	int rc = 0;

	for (uint64_t at = 0; at < s->size && rc == 0;) {
		rc = record_open(s, at, &f);
		at += rc == 0 ? record_bytes(f.len) : SECTOR;
		if (rc == 0)
			rc = found_add(s, &f);
		else if (rc == -ENODATA)
			rc = 0;
	}
	if (s->count)
		qsort(s->v, s->count, sizeof *s->v, by_number);
	return rc;
}

/* From the first that counts, by what the last one says; count: a hole. What a power cut tore is after the last. */
static size_t first_needed(const struct scan *s)
{
	const struct found *last = &s->v[s->count - 1];
	size_t i = s->count - 1;

	while (i && s->v[i].number > last->tail && s->v[i - 1].number == s->v[i].number - 1)
		i--;
	return s->v[i].number == last->tail ? i : s->count;
}

static int file_load(struct scan *s)
{
	int fd = openat(s->l->dirfd, INTENTLOG_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (st.st_size > FILE_MAX)
		rc = -EFBIG;
	else if (!(s->bytes = malloc((size_t)st.st_size + 1)) || !(s->plain = malloc(GROUP_MAX)))
		rc = -ENOMEM;
	else if ((rc = file_pread_full(fd, s->bytes, (size_t)st.st_size, 0)) == 0)
		s->size = (uint64_t)st.st_size;
	close(fd);
	return rc;
}

static int records_give(struct scan *s, int (*fn)(void *ctx, const uint8_t *data, size_t len), void *ctx)
{
	struct found f;
	int rc = 0;

	for (size_t i = first_needed(s); i < s->count && rc == 0; i++)
		if ((rc = record_open(s, s->v[i].at, &f)) == 0)
			rc = fn(ctx, s->plain, f.len);
	return rc;
}

int intentlog_read(
	struct intentlog *l, int (*fn)(void *ctx, const uint8_t *data, size_t len), void *ctx, struct errmsg *msg)
{
	struct scan s = { .l = l };
	int rc;

	if ((rc = file_load(&s)) == 0)
		rc = scan_all(&s);
	if (rc < 0)
		errmsg_set(msg, rc, "the intent log cannot be read: %s", err_text(rc));
	else if (s.count && first_needed(&s) == s.count)
		rc = errmsg_set(msg, -ERR_TAMPERED,
			"the intent log (cache/" INTENTLOG_NAME
			" in the store) is damaged: of what was synced last before "
			"the store was closed uncleanly a part is lost; remove that file to go on without all of it");
	else if (s.count)
		rc = records_give(&s, fn, ctx);
	if (s.plain)
		sodium_memzero(s.plain, GROUP_MAX);
	free(s.plain);
	free(s.bytes);
	free(s.v);
	return rc;
}
