/* SPDX-License-Identifier: GPL-3.0-or-later */
/* one_file: a store with one file, and four blocks of bytes to write into it. */
#ifndef TESTS_UNIT_FS_CACHE_ONE_FILE_H
#define TESTS_UNIT_FS_CACHE_ONE_FILE_H

#include "tests/unit/fs-cache/fixture.h"

#define BLOCK (256u << 10)

struct test {
	struct fix f;
	struct inode *ip;
	uint8_t *bytes; /* 4 blocks of random bytes, none of them 0 */
};

static inline int one_file_setup(void **state, uint64_t bound, uint64_t random)
{
	struct test *t = calloc(1, sizeof *t);

	fix_start(&t->f, BLOCK, bound);
	t->ip = fix_file(&t->f);
	t->bytes = malloc(4 * BLOCK);
	fix_fill_random(&random, t->bytes, 4 * BLOCK);
	*state = t;
	return 0;
}

static inline int teardown(void **state)
{
	struct test *t = *state;

	meta_inode_put(t->f.m, t->ip);
	fix_end(&t->f);
	free(t->bytes);
	free(t);
	return 0;
}

static inline void reopen(struct test *t)
{
	uint64_t ino = t->ip->ino;

	meta_inode_put(t->f.m, t->ip);
	fix_close(&t->f);
	fix_open(&t->f);
	t->ip = fix_inode(&t->f, ino);
}

#endif
