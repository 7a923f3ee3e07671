/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test: timeout=900 torture
 *
 * powerloss_test [CUTS [SEED [WORKLOAD]]]: runs each workload on a store with everything it does to the disk recorded,
 * then cuts the power at random moments (100 times $TEST_SCALE) and looks whether the store that is left holds what
 * fsync promised: that, or newer; nothing older, nothing zero, nothing torn. */
#include "replay.h"
#include "workload.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static char run_dir[300], base_dir[300], ini[320], log_path[320];
static const struct unlock secret = { UNLOCK_PASSPHRASE, "power", 5 };
static const char *const clouds[] = { "near", "far", NULL };

static void stop(const char *what)
{
	fprintf(stderr, "powerloss: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* A thousand stores are made and thrown away, each with its 256 cache directories, which some disks are slow at or run
 * out of inodes for a while. Where the user may: in memory, in a mount namespace that ends with this process. */
static bool in_memory(const char *dir)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0 &&
	       mount("none", dir, "tmpfs", 0, "mode=700") == 0;
}

static void shell(const char *format, const char *a, const char *b)
{
	char command[1024];

	snprintf(command, sizeof(command), format, a, b);
	if (system(command) != 0)
		stop(command);
}

static void copy_tree(const char *from, const char *to)
{
	shell("rm -rf %s", to, "");
	shell("cp -a --sparse=always %s %s", from, to);
}

static void write_ini(bool uploads)
{
	FILE *f = fopen(ini, "w");

	if (!f)
		stop(ini);
	fprintf(f,
		"[filesystem]\nname = p\nstore = %s/store\nhome = d\nsettle = %s\ncache = %s\naudit-lines = 1000\n"
		"[zone d]\nkind = domestic\ncountries = CN\nbackends = near\n"
		"[zone f]\nkind = foreign\ncountries = US\nbackends = far\n"
		"[backend near]\ntype = local\npath = %s/near\n[backend far]\ntype = local\npath = %s/far\n",
		run_dir, uploads ? "10ms" : "1h", uploads ? "16M" : "1G", run_dir, run_dir);
	fclose(f);
}

static struct config *load(void)
{
	struct config_messages messages = { 0 };
	struct config *config;

	if (config_load(&config, ini, &messages) < 0)
		stop(messages.count ? messages.v[0].text : "the configuration");
	config_messages_free(&messages);
	return config;
}

static void make_store(bool uploads)
{
	struct errmsg msg = { 0 };
	struct config *config;
	char *words;
	int rc;

	shell("rm -rf %s && mkdir -p %s/near", run_dir, run_dir);
	shell("mkdir %s/far", run_dir, "");
	write_ini(uploads);
	config = load();
	if ((rc = core_create(config, &secret, 1, KDF_MINIMUM, 0, 0, &words, &msg)) < 0 ||
		(rc = core_created(config, &msg)) < 0)
		stop(errmsg_text(&msg, rc));
	secret_free_text(words);
	config_put(config);
	/* the reserve is made again where it is missing: 16 MiB less to copy */
	shell("rm -f %s/store/reserve", run_dir, "");
	copy_tree(run_dir, base_dir);
}

/* Deriving keys takes longer than all the rest, so it is done once for the cuts, which inherit them. */
static struct keyring *unlock(void)
{
	struct config *config = load();
	struct errmsg msg = { 0 };
	struct keyring *keyring;
	int rc = core_unlock(config, &secret, &keyring, &msg);

	if (rc < 0)
		stop(errmsg_text(&msg, rc));
	config_put(config);
	return keyring;
}

static struct core *open_store(struct keyring *keyring, struct errmsg *msg)
{
	struct config *config = load();
	struct core *core = NULL;
	int rc = core_open(&core, config, keyring, msg);

	if (rc < 0)
		errmsg_set(msg, rc, "%s", err_text(rc));
	config_put(config);
	return core;
}

/* ---- the recorded run -----------------------------------------------------------------------------------------------
 */

static void run_workload(const struct workload *w, unsigned seed)
{
	struct errmsg msg = { 0 };
	struct core *core = open_store(unlock(), &msg);

	if (!core)
		stop(msg.text);
	if (core_start(core) < 0)
		stop("start");
	w->run(core, seed);
	_exit(0); /* as abruptly as the power: the end of the log is a cut like any other */
}

static void record(const char *self, const char *recorder, size_t index, unsigned seed)
{
	char number[24], seed_text[16];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		snprintf(number, sizeof(number), "%zu", index);
		snprintf(seed_text, sizeof(seed_text), "%u", seed);
		setenv("LD_PRELOAD", recorder, 1);
		setenv("RECORD_ROOT", run_dir, 1);
		setenv("RECORD_LOG", log_path, 1);
		execl(self, self, "--run", number, seed_text, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		stop("the recorded run");
}

/* ---- what a reader may find
 * ------------------------------------------------------------------------------------------- */

struct promise {
	size_t floor_at; /* marks before this entry are promised */
	bool exists;	 /* there must be such a file */
	uint64_t size;
	uint32_t version[CHUNKS_MAX];
	bool replaced; /* written by whole replacement */
};

static void apply_mark(struct promise *p, const struct mark *m)
{
	uint64_t first = m->off / CHUNK, last = (m->off + m->len) / CHUNK;

	switch (m->kind) {
	case MARK_REPLACE:
		p->replaced = true;
		p->size = m->len;
		break;
	case MARK_SIZE:
		for (uint64_t i = m->off / CHUNK; i < CHUNKS_MAX; i++)
			p->version[i] = 0;
		p->size = m->off;
		return;
	case MARK_PUNCH:
		for (uint64_t i = first; i < last; i++)
			p->version[i] = 0;
		return;
	}
	for (uint64_t i = first; i < last; i++)
		p->version[i] = m->version;
	if (m->kind == MARK_WRITE && m->off + m->len > p->size)
		p->size = m->off + m->len;
}

static const struct mark *mark_at(const struct replay *r, size_t i)
{
	return r->entry[i]->kind == LOG_MARK ? entry_data(r->entry[i]) : NULL;
}

/* The last sync of a file that had ended before the cut: everything marked before it began. */
static void find_floor(const struct replay *r, size_t upto, uint32_t file, struct promise *p)
{
	for (size_t i = 0; i < upto; i++) {
		const struct mark *m = mark_at(r, i);

		if (!m || m->kind != MARK_SYNCED || m->file != file)
			continue;
		for (size_t j = i; j-- > 0;) {
			const struct mark *b = mark_at(r, j);

			if (b && b->kind == MARK_SYNC_BEGIN && b->ticket == m->ticket) {
				p->floor_at = j;
				break;
			}
		}
	}
	p->exists = p->floor_at > 0;
	for (size_t i = 0; i < p->floor_at; i++) {
		const struct mark *m = mark_at(r, i);

		if (m && m->file == file && m->kind < MARK_SYNC_BEGIN)
			apply_mark(p, m);
	}
}

static bool changes(const struct mark *m, uint32_t file)
{
	return m && m->file == file && m->kind < MARK_SYNC_BEGIN;
}

static bool size_allowed(const struct replay *r, size_t upto, uint32_t file, const struct promise *floor, uint64_t size)
{
	struct promise *p = malloc(sizeof(*p));
	bool ok = size == floor->size;

	*p = *floor;
	for (size_t i = floor->floor_at; i < upto && !ok; i++)
		if (changes(mark_at(r, i), file)) {
			apply_mark(p, mark_at(r, i));
			ok = p->size == size;
		}
	free(p);
	return ok;
}

static bool version_allowed(const struct replay *r, size_t upto, uint32_t file, const struct promise *floor,
	uint64_t chunk, uint32_t version)
{
	if (version == floor->version[chunk])
		return true;
	for (size_t i = floor->floor_at; i < upto; i++) {
		const struct mark *m = mark_at(r, i);
		bool covers;

		if (!changes(m, file))
			continue;
		if (m->kind == MARK_SIZE)
			covers = chunk >= m->off / CHUNK;
		else
			covers = chunk >= m->off / CHUNK && chunk < (m->off + m->len) / CHUNK;
		if (covers && version == m->version)
			return true;
	}
	return false;
}

static bool whole_allowed(const struct replay *r, size_t upto, uint32_t file, const struct promise *floor,
	uint32_t version, uint64_t size)
{
	if (size == floor->size && version == floor->version[0])
		return true;
	for (size_t i = floor->floor_at; i < upto; i++) {
		const struct mark *m = mark_at(r, i);

		if (changes(m, file) && m->kind == MARK_REPLACE && m->version == version && m->len == size)
			return true;
	}
	return false;
}

static int complain(uint32_t file, const char *what, uint64_t a, uint64_t b)
{
	fprintf(stderr, "file %u: %s (%llu, %llu)\n", file, what, (unsigned long long)a, (unsigned long long)b);
	return 1;
}

static int chunk_version(const uint8_t *data, uint32_t file, uint64_t index, uint32_t *version)
{
	static const uint8_t zeros[CHUNK];
	struct chunk c;

	memcpy(&c, data, sizeof(c));
	*version = 0;
	if (memcmp(data, zeros, CHUNK) == 0)
		return 0;
	if (c.magic != CHUNK_MAGIC || c.file != file || c.index != index)
		return -1;
	for (size_t i = 0; i < sizeof(c.rest); i++)
		if (c.rest[i] != (c.version & 0xff))
			return -1;
	*version = c.version;
	return 0;
}

static int check_content(
	const struct replay *r, size_t upto, uint32_t file, const struct promise *p, const uint8_t *data, uint64_t size)
{
	bool whole = p->replaced;
	uint32_t version, first = 0;

	for (size_t i = p->floor_at; i < upto; i++)
		whole |= changes(mark_at(r, i), file) && mark_at(r, i)->kind == MARK_REPLACE;
	if (!whole && !size_allowed(r, upto, file, p, size))
		return complain(file, "a size it never had since the sync", size, p->size);
	if (size % CHUNK)
		return complain(file, "an odd size", size, p->size);
	for (uint64_t i = 0; i < size / CHUNK; i++) {
		if (chunk_version(data + i * CHUNK, file, i, &version) < 0)
			return complain(file, "bytes of nobody", i, 0);
		if (i == 0)
			first = version;
		if (whole && version != first)
			return complain(file, "a mixture of two versions", first, version);
		if (!whole && !version_allowed(r, upto, file, p, i, version))
			return complain(file, "an older version (chunk, version)", i, version);
	}
	if (whole && !whole_allowed(r, upto, file, p, first, size))
		return complain(file, "not a version it may have (version, size)", first, size);
	return 0;
}

static int check_file(struct core *core, const struct replay *r, size_t upto, uint32_t file)
{
	struct promise *p = calloc(1, sizeof(*p));
	struct core_io read = { .kind = CORE_READ };
	struct stat st;
	ssize_t n;
	char name[16];
	int rc;

	find_floor(r, upto, file, p);
	workload_file_name(file, name);
	rc = core_lookup(core, META_ROOT_INO, name, &st);
	if (rc < 0) {
		rc = rc == -ENOENT && !p->exists ? 0 : complain(file, "lost (error)", (uint64_t)-rc, 0);
		free(p);
		return rc;
	}
	read.ino = st.st_ino;
	read.len = (size_t)st.st_size;
	read.buf = malloc(read.len + 1);
	n = core_io_wait(core, &read);
	if (n != st.st_size)
		rc = complain(file, "unreadable (result, size)", (uint64_t)n, (uint64_t)st.st_size);
	else
		rc = check_content(r, upto, file, p, read.buf, (uint64_t)n);
	free(read.buf);
	free(p);
	return rc;
}

static int note_finding(void *ctx, const struct audit_finding *f)
{
	*(int *)ctx |= 1;
	fprintf(stderr, "the audit log: %s\n", f->text);
	return 0;
}

/* All of the audit log that was synced is there, once, in rows or in files. */
static int check_log(struct core *core, const struct replay *r, size_t upto)
{
	struct audit_verdict verdict;
	struct audit_log log;
	uint32_t floor = 0;
	int bad = 0;

	for (size_t i = 0; i < upto; i++)
		if (mark_at(r, i) && mark_at(r, i)->kind == MARK_LINES)
			floor = mark_at(r, i)->version;
	core_audit(core, &log);
	if (audit_verify(&log, note_finding, &bad, &verdict) < 0)
		return complain(0, "the audit log cannot be read", 0, 0);
	if (verdict.last < floor || verdict.lines != verdict.last)
		return complain(0, "lines of the audit log are lost (last, synced)", verdict.last, floor);
	return bad;
}

/* In a child: whatever the store does, the next cut starts clean. */
static void check_cut(const struct replay *r, size_t upto, struct keyring *keyring)
{
	struct errmsg msg = { 0 };
	struct core *core = open_store(keyring, &msg);
	bool seen[FILES_MAX] = { false };
	int bad = 0;

	if (!core) {
		fprintf(stderr, "the store does not open: %s\n", msg.text);
		_exit(1);
	}
	if (core_start(core) < 0)
		_exit(1);
	for (size_t i = 0; i < upto; i++)
		if (mark_at(r, i) && mark_at(r, i)->kind != MARK_LINES)
			seen[mark_at(r, i)->file] = true;
	for (uint32_t file = 0; file < FILES_MAX; file++)
		if (seen[file])
			bad |= check_file(core, r, upto, file);
	bad |= check_log(core, r, upto);
	if (core_stop(core) < 0)
		bad |= complain(0, "the store does not stop cleanly", 0, 0);
	core_close(core);
	_exit(bad);
}

static int cut(const struct replay *r, size_t upto, unsigned *seed, struct keyring *keyring)
{
	int status;
	pid_t pid;

	copy_tree(base_dir, run_dir);
	replay_cut(r, upto, run_dir, clouds, seed);
	if ((pid = fork()) == 0) {
		alarm(60);
		check_cut(r, upto, keyring);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		stop("fork");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static int test_workload(const char *self, const char *recorder, size_t index, unsigned cuts, unsigned seed)
{
	struct keyring *keyring;
	struct replay r;
	unsigned bad = 0, from = seed;

	make_store(workloads[index].uploads);
	keyring = unlock();
	record(self, recorder, index, seed);
	replay_load(&r, log_path);
	for (unsigned i = 0; i < cuts; i++) {
		size_t upto = 1 + (size_t)rand_r(&seed) % r.count;

		if (cut(&r, upto, &seed, keyring) == 0)
			continue;
		fprintf(stderr, "%s: cut %u, after %zu of %zu entries, seed %u\n", workloads[index].name, i, upto,
			r.count, from);
		bad++;
	}
	printf("%-20s %6zu entries, %u cuts, %u bad (seed %u)\n", workloads[index].name, r.count, cuts, bad, from);
	fflush(stdout);
	keyring_close(keyring);
	replay_free(&r);
	return bad != 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void set_paths(const char *dir)
{
	snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
	snprintf(base_dir, sizeof(base_dir), "%s/base", dir);
	snprintf(ini, sizeof(ini), "%s/p.ini", dir);
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
}

/* The recorder lies beside this program's own folder: BUILD/tests/fault/powerloss/recorder.so. */
static void find_recorder(const char *self, char *out, size_t len)
{
	const char *build = getenv("BUILD");

	if (build)
		snprintf(out, len, "%s/tests/fault/powerloss/recorder.so", build);
	else
		snprintf(out, len, "%.*s/../../tests/fault/powerloss/recorder.so", (int)(strrchr(self, '/') - self),
			self);
	if (access(out, R_OK) < 0)
		stop(out);
}

static unsigned number_arg(int argc, char **argv, int i, unsigned dflt)
{
	return argc > i ? (unsigned)atoi(argv[i]) : dflt;
}

int main(int argc, char **argv)
{
	unsigned scale = getenv("TEST_SCALE") ? (unsigned)atoi(getenv("TEST_SCALE")) : 1;
	unsigned cuts = number_arg(argc, argv, 1, 100 * scale), seed = number_arg(argc, argv, 2, 1);
	char dir[200], self[PATH_MAX], recorder[PATH_MAX + 64];
	int bad = 0;
	bool memory;

	log_init(LOG_LEVEL_ERROR, 0);
	if (crypt_init() < 0)
		return 2;
	if (argc > 3 && strcmp(argv[1], "--run") == 0) {
		set_paths(getenv("POWERLOSS_TOP"));
		run_workload(&workloads[atoi(argv[2])], (unsigned)atoi(argv[3]));
	}
	snprintf(dir, sizeof(dir), "%s/powerloss-XXXXXX", getenv("TEST_TMP") ? getenv("TEST_TMP") : "/tmp");
	if (!mkdtemp(dir) || !realpath("/proc/self/exe", self))
		stop(dir);
	memory = in_memory(dir);
	find_recorder(self, recorder, sizeof(recorder));
	set_paths(dir);
	setenv("POWERLOSS_TOP", dir, 1);
	for (size_t i = 0; i < workload_count; i++)
		if (argc < 4 || strcmp(argv[3], workloads[i].name) == 0)
			bad |= test_workload(self, recorder, i, cuts, seed + (unsigned)i);
	if (memory)
		umount2(dir, MNT_DETACH);
	if (!bad)
		nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	return bad;
}
