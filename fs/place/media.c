/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/internal.h"

#include "base/log.h"

#include <errno.h>
#include <magic.h>
#include <stdlib.h>
#include <string.h>

#define MEDIA_BYTES (64u << 10)

void media_init(struct media *m)
{
	pthread_mutex_init(&m->lock, NULL);
}

void media_free(struct media *m)
{
	if (m->magic)
		magic_close(m->magic);
	pthread_mutex_destroy(&m->lock);
}

/* The database is some megabytes: loaded only where a rule asks for types. */
static int load(struct media *m)
{
	magic_t magic;

	if (m->magic || m->failed)
		return m->failed ? -ENODATA : 0;
	magic = magic_open(MAGIC_MIME_TYPE);
	if (magic && magic_load(magic, NULL) == 0) {
		m->magic = magic;
		return 0;
	}
	log_error("place: the database of media types cannot be loaded (%s): files whose type decides stay at home; "
		  "install libmagic-mgc",
		magic ? magic_error(magic) : "out of memory");
	if (magic)
		magic_close(magic);
	m->failed = true;
	return -ENODATA;
}

static int ask(struct media *m, const void *data, size_t data_len, char *out, size_t len)
{
	const char *type = NULL;
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = load(m);
	if (rc == 0)
		type = magic_buffer(m->magic, data, data_len);
	if (rc == 0 && (!type || strlen(type) >= len))
		rc = -ENODATA;
	if (rc == 0)
		strcpy(out, type);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int media_type(struct place *p, struct inode *inode, char *out, size_t len)
{
	struct cache_need need;
	void *data = NULL;
	uint64_t size;
	int rc = 0;

	pthread_rwlock_rdlock(&inode->data_lock);
	meta_lock(p->meta);
	size = inode->size;
	meta_unlock(p->meta);
	if (size > MEDIA_BYTES)
		size = MEDIA_BYTES;
	if (!(data = malloc(size + 1)))
		rc = -ENOMEM;
	if (rc == 0 && size)
		rc = cache_read(p->cache, inode, 0, data, size, &need);
	pthread_rwlock_unlock(&inode->data_lock);
	if (rc >= 0)
		rc = ask(&p->media, data, size, out, len);
	free(data);
	return rc;
}
