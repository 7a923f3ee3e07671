/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sealed files that the oldest part of the log goes to (docs/FORMAT.md "Sealed parts of the log"): written once,
 * whole, and never changed. A file is read and written a page of lines at a time. */
#include "fs/place/internal.h"

#include "base/file.h"
#include "fs/crypt/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAGIC   "bordlog"
#define FILE_VERSION 1U
#define FILE_CONTEXT "bfaudlog"
#define AD_BYTES     (AUDIT_FILE_HEAD + 9)
#define PAGE_MAX     (32u << 20) /* of plaintext; 256 lines have far less */

#define DIRECTORY    "audit"
#define NEW_FILE     "new" /* being written; there is one writer */

void audit_file_name(uint64_t number, char out[AUDIT_FILE_NAME])
{
	snprintf(out, AUDIT_FILE_NAME, "%08" PRIu64, number);
}

static int open_directory(const struct audit_log *log, bool make)
{
	char *path = NULL;
	int fd, rc = 0;

	if (asprintf(&path, "%s/" DIRECTORY, meta_store(log->meta)) < 0)
		return -ENOMEM;
	if (make)
		rc = file_mkdirs(path, 0700);
	fd = rc < 0 ? rc : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && rc == 0)
		fd = -errno;
	free(path);
	return fd;
}

static uint8_t *file_key(struct keyring *keyring)
{
	uint8_t *key = sodium_malloc(SEAL_KEY_BYTES);

	if (key)
		crypto_kdf_derive_from_key(
			key, SEAL_KEY_BYTES, FILE_VERSION, FILE_CONTEXT, keyring_store_key(keyring, STORE_KEY_AUDIT));
	return key;
}

static void page_ad(const uint8_t head[AUDIT_FILE_HEAD], uint64_t page, bool last, uint8_t ad[AD_BYTES])
{
	memcpy(ad, head, AUDIT_FILE_HEAD);
	put_le64(ad + AUDIT_FILE_HEAD, page);
	ad[AUDIT_FILE_HEAD + 8] = last;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

static void head_put(struct keyring *keyring, const struct audit_part *part, uint8_t head[AUDIT_FILE_HEAD])
{
	memcpy(head, FILE_MAGIC, 8);
	put_le32(head + 8, FILE_VERSION);
	memcpy(head + 12, keyring_store_id(keyring), STORE_ID_BYTES);
	put_le64(head + 28, part->number);
	put_le64(head + 36, part->first);
	put_le64(head + 44, part->last);
	memcpy(head + 52, part->before, AUDIT_MAC_BYTES);
	memcpy(head + 84, part->end, AUDIT_MAC_BYTES);
}

int audit_file_begin(struct audit_writer *w, const struct audit_log *log, const struct audit_part *part)
{
	*w = (struct audit_writer){ .dir = -1, .fd = -1, .number = part->number };
	if (!(w->key = file_key(log->keyring)))
		return -ENOMEM;
	if ((w->dir = open_directory(log, true)) < 0)
		return w->dir;
	w->fd = openat(w->dir, NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->fd < 0)
		return -errno;
	head_put(log->keyring, part, w->head);
	return file_write_full(w->fd, w->head, sizeof w->head);
}

int audit_file_put(struct audit_writer *w, const struct buf *page, bool last)
{
	size_t len = 4 + page->len + SEAL_OVERHEAD;
	uint8_t ad[AD_BYTES], *out = malloc(len);
	int rc;

	if (!out)
		return -ENOMEM;
	page_ad(w->head, w->page++, last, ad);
	put_le32(out, (uint32_t)page->len);
	seal(out + 4, page->data, page->len, ad, sizeof ad, w->key);
	rc = file_write_full(w->fd, out, len);
	free(out);
	return rc;
}

int audit_file_finish(struct audit_writer *w)
{
	char name[AUDIT_FILE_NAME];

	audit_file_name(w->number, name);
	if (fsync(w->fd) < 0 || renameat2(w->dir, NEW_FILE, w->dir, name, RENAME_NOREPLACE) < 0)
		return -errno;
	return file_sync_dir(w->dir);
}

void audit_file_end(struct audit_writer *w)
{
	if (w->fd >= 0) {
		close(w->fd);
		unlinkat(w->dir, NEW_FILE, 0); /* there still, where it was not finished */
	}
	if (w->dir >= 0)
		close(w->dir);
	sodium_free(w->key);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static int head_get(struct audit_reader *r, const struct audit_log *log, uint64_t number)
{
	const uint8_t *h = r->head;
	struct audit_part *part = &r->part;
	int rc = file_pread_full(r->fd, r->head, sizeof r->head, 0);

	if (rc < 0)
		return rc;
	if (memcmp(h, FILE_MAGIC, 8) != 0 || !get_le32(h + 8))
		return -ERR_FORMAT;
	if (get_le32(h + 8) > FILE_VERSION)
		return -ERR_NEWER;
	*part = (struct audit_part){ get_le64(h + 28), get_le64(h + 36), get_le64(h + 44), { 0 }, { 0 } };
	memcpy(part->before, h + 52, AUDIT_MAC_BYTES);
	memcpy(part->end, h + 84, AUDIT_MAC_BYTES);
	if (memcmp(h + 12, keyring_store_id(log->keyring), STORE_ID_BYTES) != 0 || part->number != number)
		return -ERR_TAMPERED;
	return 0;
}

int audit_file_open(struct audit_reader *r, const struct audit_log *log, uint64_t number)
{
	int dir = open_directory(log, false);
	char name[AUDIT_FILE_NAME];
	struct stat st;

	*r = (struct audit_reader){ .fd = -1, .at = AUDIT_FILE_HEAD };
	if (dir < 0)
		return dir;
	audit_file_name(number, name);
	r->fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	close(dir);
	if (r->fd < 0 || fstat(r->fd, &st) < 0)
		return -errno;
	r->size = (uint64_t)st.st_size;
	if (!(r->key = file_key(log->keyring)))
		return -ENOMEM;
	return head_get(r, log, number);
}

/* the sealed page at r->at, with its length, into box */
static int read_box(struct audit_reader *r, struct buf *box, size_t *len)
{
	uint8_t size[4], *to;
	int rc = file_pread_full(r->fd, size, sizeof size, (off_t)r->at);

	if (rc < 0)
		return rc;
	*len = get_le32(size);
	if (*len > PAGE_MAX || r->size - r->at - 4 < *len + SEAL_OVERHEAD)
		return -ERR_CORRUPT;
	if (!(to = buf_reserve(box, *len + SEAL_OVERHEAD)))
		return -ENOMEM;
	return file_pread_full(r->fd, to, *len + SEAL_OVERHEAD, (off_t)r->at + 4);
}

int audit_file_next(struct audit_reader *r, struct buf *page)
{
	struct buf box = BUF_INIT;
	uint8_t ad[AD_BYTES], *to;
	size_t len = 0;
	int rc;

	buf_reset(page);
	if (r->ended)
		return 0;
	rc = read_box(r, &box, &len);
	if (rc == 0 && !(to = buf_reserve(page, len)))
		rc = -ENOMEM;
	if (rc == 0) {
		r->at += 4 + len + SEAL_OVERHEAD;
		r->ended = r->at >= r->size;
		page_ad(r->head, r->page++, r->ended, ad);
		rc = unseal(to, box.data, len + SEAL_OVERHEAD, ad, sizeof ad, r->key);
	}
	if (rc == 0)
		page->len = len;
	buf_free(&box);
	return rc < 0 ? rc : 1;
}

void audit_file_close(struct audit_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	sodium_free(r->key);
	*r = (struct audit_reader){ .fd = -1 };
}
