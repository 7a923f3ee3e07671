/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fixture: a real store with two directories as clouds, in a directory of its own. */
#ifndef TESTS_UNIT_FS_CORE_FIXTURE_H
#define TESTS_UNIT_FS_CORE_FIXTURE_H

#include "base/clock.h"
#include "base/file.h"
#include "fs/core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	char dir[128], ini[160];
	struct core *core;
};

static const struct core_caller me = { .uid = 1000, .gid = 1000, .umask = 022 };
static const struct unlock passphrase = { UNLOCK_PASSPHRASE, "correct horse", 13 };

static inline void fixture_config(struct fixture *f, const char *extra, const char *rules)
{
	FILE *ini = fopen(f->ini, "w");

	assert_non_null(ini);
	fprintf(ini,
		"[filesystem]\nname = test\nstore = %s/store\nhome = domestic\n%s\n"
		"[zone domestic]\nkind = domestic\ncountries = CN\nbackends = near\nexport = deny\n"
		"[zone foreign]\nkind = foreign\ncountries = US\nbackends = far\n"
		"[backend near]\ntype = local\npath = %s/near\n"
		"[backend far]\ntype = local\npath = %s/far\n%s\n",
		f->dir, extra, f->dir, f->dir, rules);
	fclose(ini);
}

static inline struct config *fixture_load(struct fixture *f)
{
	struct config_messages messages = { 0 };
	struct buf text = BUF_INIT;
	struct config *config = NULL;

	if (config_load(&config, f->ini, &messages) < 0) {
		config_messages_print(&messages, &text);
		fail_msg("%s", (char *)text.data);
	}
	config_messages_free(&messages);
	buf_free(&text);
	return config;
}

static inline void fixture_open(struct fixture *f)
{
	struct config *config = fixture_load(f);
	struct keyring *keyring;
	struct errmsg msg = { 0 };
	int rc = core_unlock(config, &passphrase, &keyring, &msg);

	if (rc < 0)
		fail_msg("%s", errmsg_text(&msg, rc));
	if ((rc = core_open(&f->core, config, keyring, &msg)) < 0)
		fail_msg("%s", errmsg_text(&msg, rc));
	assert_int_equal(core_start(f->core), 0);
	config_put(config);
}

static inline void fixture_close(struct fixture *f)
{
	assert_int_equal(core_stop(f->core), 0);
	core_close(f->core);
	f->core = NULL;
}

static inline void fixture_make(struct fixture *f, const char *extra, const char *rules)
{
	struct config *config;
	struct errmsg msg = { 0 };
	char path[192], *words;
	int rc;

	snprintf(f->dir, sizeof(f->dir), "%s/borderfs-core-XXXXXX", getenv("TEST_TMP") ? getenv("TEST_TMP") : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->ini, sizeof(f->ini), "%s/test.ini", f->dir);
	snprintf(path, sizeof(path), "%s/near", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/far", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	fixture_config(f, extra, rules);
	config = fixture_load(f);
	if ((rc = core_create(config, &passphrase, 1, KDF_MINIMUM, 1000, 1000, &words, &msg)) < 0)
		fail_msg("%s", errmsg_text(&msg, rc));
	secret_free_text(words);
	assert_int_equal(core_created(config, &msg), 0);
	config_put(config);
	fixture_open(f);
}

static inline int fixture_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void fixture_destroy(struct fixture *f)
{
	if (f->core)
		fixture_close(f);
	nftw(f->dir, fixture_unlink, 32, FTW_DEPTH | FTW_PHYS);
}

/* objects in one of the two clouds */
static inline int fixture_objects(struct fixture *f, const char *cloud)
{
	char command[256], line[32] = "";
	FILE *p;

	snprintf(command, sizeof(command), "find %s/%s -type f -not -path '*/audit/*' | wc -l", f->dir, cloud);
	p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(line, sizeof(line), p));
	pclose(p);
	return atoi(line);
}

static inline uint64_t fixture_ino(struct fixture *f, uint64_t parent, const char *name)
{
	struct stat st;

	return core_lookup(f->core, parent, name, &st) == 0 ? st.st_ino : 0;
}

static inline uint64_t fixture_mkdir(struct fixture *f, uint64_t parent, const char *name)
{
	struct stat st;

	assert_int_equal(core_mkdir(f->core, &me, parent, name, 0755, &st), 0);
	return st.st_ino;
}

static inline ssize_t fixture_pwrite(struct fixture *f, uint64_t ino, const void *data, size_t len, uint64_t off)
{
	struct core_io io = { .kind = CORE_WRITE, .ino = ino, .off = off, .len = len, .buf = (void *)(uintptr_t)data };

	return core_io_wait(f->core, &io);
}

static inline ssize_t fixture_pread(struct fixture *f, uint64_t ino, void *data, size_t len, uint64_t off)
{
	struct core_io io = { .kind = CORE_READ, .ino = ino, .off = off, .len = len, .buf = data };

	return core_io_wait(f->core, &io);
}

/* makes, writes and closes a file */
static inline uint64_t fixture_write(struct fixture *f, uint64_t parent, const char *name, const char *text)
{
	struct core_file *file;
	struct stat st;

	assert_int_equal(core_file_create(f->core, &me, parent, name, 0644, O_WRONLY, &file, &st), 0);
	assert_int_equal(fixture_pwrite(f, st.st_ino, text, strlen(text), 0), (ssize_t)strlen(text));
	core_file_release(f->core, file);
	return st.st_ino;
}

static inline void fixture_expect(struct fixture *f, uint64_t ino, const char *text)
{
	char got[256] = "";

	assert_int_equal(fixture_pread(f, ino, got, sizeof(got) - 1, 0), (ssize_t)strlen(text));
	assert_string_equal(got, text);
}

static inline void fixture_sync(struct fixture *f)
{
	struct errmsg msg = { 0 };
	int rc = transfer_sync(core_transfer(f->core), 0, clock_mono_ns() + 30 * NS_PER_S, NULL, &msg);

	if (rc < 0)
		fail_msg("%s", errmsg_text(&msg, rc));
}

#endif
