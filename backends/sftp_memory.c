/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/sftp_memory.h"

#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct block {
	struct list link;
	size_t size;
	max_align_t data[];
};

static void *take(size_t size, void **memory)
{
	struct block *b = size <= SIZE_MAX - sizeof *b ? malloc(sizeof *b + size) : NULL;

	if (!b)
		return NULL;
	b->size = size;
	list_append(&((struct sftp_memory *)*memory)->blocks, &b->link);
	return b->data;
}

static void give(void *data, void **memory)
{
	struct block *b;

	(void)memory;
	if (!data)
		return;
	b = container_of(data, struct block, data);
	list_remove(&b->link);
	sodium_memzero(b->data, b->size);
	free(b);
}

static void *resize(void *data, size_t size, void **memory)
{
	size_t old = data ? container_of(data, struct block, data)->size : 0;
	void *out = take(size, memory);

	if (!out)
		return NULL;
	if (data)
		memcpy(out, data, old < size ? old : size);
	give(data, memory);
	return out;
}

LIBSSH2_SESSION *sftp_memory_session(struct sftp_memory *m)
{
	list_init(&m->blocks);
	return libssh2_session_init_ex(take, give, resize, m);
}

void sftp_memory_free(struct sftp_memory *m)
{
	list_for_each_safe (link, &m->blocks)
		give(container_of(link, struct block, link)->data, NULL);
}
