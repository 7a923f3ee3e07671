/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "fs/meta/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODES_MAX	200000
#define DIRTY_NODES_MAX 50000
#define LEASE_STEP_MIN	(1U << 20)
/* kibibytes, of the writer; readers keep SQLite's two megabytes */
#define WRITER_CACHE "PRAGMA cache_size = -16384"

/* ---- create ---- */

static void root_write(struct meta_txn *txn, uid_t uid, gid_t gid)
{
	int64_t now = clock_real_ns(), s = now / NS_PER_S, ns = now % NS_PER_S;

	meta_txn_exec(txn,
		"INSERT INTO inode (ino, mode, uid, gid, nlink, rdev, size, bytes, atime_s, atime_ns, mtime_s, "
		"mtime_ns,"
		" ctime_s, ctime_ns, btime_s, btime_ns, flags, zone, rules_version)"
		" VALUES (?1, ?2, ?3, ?4, 2, 0, 0, 0, ?5, ?6, ?5, ?6, ?5, ?6, ?5, ?6, 0, 0, 0)",
		"iiiiii", (int64_t)META_ROOT_INO, (int64_t)(S_IFDIR | 0755), (int64_t)uid, (int64_t)gid, s, ns);
	meta_txn_exec(txn,
		"INSERT INTO counter (name, value) VALUES ('open_count', 0), ('ino_lease', ?1),"
		" ('dentry_lease', 1)",
		"i", (int64_t)META_ROOT_INO + 1);
	meta_txn_exec(txn, "INSERT INTO usage (kind, id, inodes, bytes) VALUES (0, ?1, 1, ?3), (1, ?2, 1, ?3)", "iii",
		(int64_t)uid, (int64_t)gid, (int64_t)META_DIR_BYTES);
}

static int fill(struct conn *c, struct keyring *keyring, uint64_t block_bytes, uid_t uid, gid_t gid)
{
	static const char set[] = "INSERT INTO setting (key, value) VALUES (?1, ?2)";
	struct meta_txn txn;
	uint8_t bytes[8];

	put_le64(bytes, block_bytes);
	txn_begin(&txn, NULL, c);
	meta_txn_exec(&txn, set, "tb", "store_id", keyring_store_id(keyring), (size_t)STORE_ID_BYTES);
	meta_txn_exec(&txn, set, "tb", "block_bytes", bytes, sizeof bytes);
	root_write(&txn, uid, gid);
	return txn_commit(&txn);
}

static int sync_store(const char *store)
{
	int fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = file_sync_dir(fd);
	close(fd);
	return rc;
}

int meta_discard(const char *store)
{
	static const char *const names[] = { "meta.db", "meta.db-wal" };
	char *path;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++) {
		if (asprintf(&path, "%s/%s", store, names[i]) < 0)
			return -ENOMEM;
		rc = unlink(path) < 0 && errno != ENOENT ? -errno : 0;
		free(path);
	}
	return rc;
}

/* What cannot be looked at is taken to be there. */
bool meta_exists(const char *store)
{
	char *path;
	bool missing;

	if (asprintf(&path, "%s/meta.db", store) < 0)
		return true;
	missing = access(path, F_OK) < 0 && errno == ENOENT;
	free(path);
	return !missing;
}

int meta_create(
	const char *store, struct keyring *keyring, uint64_t block_bytes, uid_t uid, gid_t gid, struct errmsg *msg)
{
	struct conn *c = NULL;
	struct vfs *vfs = NULL;
	char *path = NULL;
	int rc;

	if (meta_exists(store))
		return errmsg_set(msg, -EEXIST, "%s has metadata already: it is a store", store);
	if (asprintf(&path, "%s/meta.db", store) < 0)
		return -ENOMEM;
	if ((rc = vfs_new(&vfs, keyring_store_key(keyring, STORE_KEY_DATABASE), keyring_store_id(keyring))) < 0 ||
		(rc = conn_open(&c, vfs, path, false, msg)) < 0 || (rc = schema_migrate(c, msg)) < 0 ||
		(rc = fill(c, keyring, block_bytes, uid, gid)) < 0 || (rc = vfs_wal_sync(vfs)) < 0)
		errmsg_set(msg, rc, "the metadata %s cannot be made: %s", path, err_text(rc));
	conn_close(c);
	vfs_free(vfs);
	if (rc == 0)
		rc = sync_store(store);
	else
		meta_discard(store);
	free(path);
	return rc;
}

/* ---- open ---- */

static int tables_init(struct meta *m)
{
	int rc = 0;

	list_init(&m->idle);
	list_init(&m->dead);
	list_init(&m->changed);
	list_init(&m->records);
	list_init(&m->pool);
	for (int i = 0; i < NODE_KINDS && rc == 0; i++)
		rc = hash_init(&m->nodes[i]);
	if (rc < 0 || hash_init(&m->by_ino) < 0 || hash_init(&m->dirs) < 0 || hash_init(&m->tracked) < 0 ||
		hash_init(&m->usage) < 0 || hash_init(&m->quotas) < 0)
		return -ENOMEM;
	return 0;
}

static void locks_init(struct meta *m)
{
	pthread_rwlockattr_t attr;

	/* readdir after readdir must not keep the writer from finishing */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&m->merge, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->pool_lock, NULL);
	cond_init_mono(&m->loaded);
	cond_init_mono(&m->work);
	cond_init_mono(&m->done);
	cond_init_mono(&m->checkpoint);
}

static void options_init(struct meta *m, const struct meta_options *options)
{
	if (options)
		m->options = *options;
	if (!m->options.nodes_max)
		m->options.nodes_max = NODES_MAX;
	if (!m->options.dirty_nodes_max)
		m->options.dirty_nodes_max = DIRTY_NODES_MAX;
	if (!m->options.commit_interval_ns)
		m->options.commit_interval_ns = NS_PER_S;
	m->lease_step = LEASE_STEP_MIN;
	if (m->lease_step < 4 * m->options.dirty_nodes_max)
		m->lease_step = 4 * m->options.dirty_nodes_max;
}

static struct meta *meta_alloc(const char *store, const struct meta_options *options)
{
	struct meta *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	locks_init(m);
	options_init(m, options);
	m->batch = 1;
	if (tables_init(m) == 0 && (m->store = strdup(store)) && asprintf(&m->path, "%s/meta.db", store) >= 0 &&
		asprintf(&m->reserve_path, "%s/reserve", store) >= 0)
		return m;
	meta_close(m);
	return NULL;
}

static int setting_read(struct meta *m, const char *key, void *out, size_t len)
{
	struct buf value = BUF_INIT;
	int rc = meta_setting_get(m, key, &value);

	if (rc == 0 && value.len != len)
		rc = -ERR_CORRUPT;
	if (rc == 0)
		memcpy(out, value.data, len);
	buf_free(&value);
	return rc == -ENOENT ? -ERR_CORRUPT : rc;
}

static int settings_check(struct meta *m, struct keyring *keyring, struct errmsg *msg)
{
	uint8_t id[STORE_ID_BYTES], bytes[8];
	int rc;

	if ((rc = setting_read(m, "store_id", id, sizeof id)) < 0 ||
		(rc = setting_read(m, "block_bytes", bytes, sizeof bytes)) < 0)
		return errmsg_set(msg, rc, "the metadata %s is not whole: %s", m->path, err_text(rc));
	if (memcmp(id, keyring_store_id(keyring), sizeof id) != 0)
		return errmsg_set(msg, -ERR_TAMPERED,
			"the metadata %s belongs to another store than the keys beside it: bring its own back",
			m->path);
	m->block_bytes = get_le64(bytes);
	return 0;
}

static int64_t counter_read(struct meta_txn *txn, const char *name)
{
	int64_t value = meta_txn_select_i64(txn, -1, "SELECT value FROM counter WHERE name = ?1", "t", name);

	if (value < 0)
		meta_txn_fail(txn, -ERR_CORRUPT);
	return value;
}

static void counter_write(struct meta_txn *txn, const char *name, uint64_t value)
{
	meta_txn_exec(txn, "UPDATE counter SET value = ?2 WHERE name = ?1", "ti", name, (int64_t)value);
}

static void orphans_delete(struct meta_txn *txn)
{
	int64_t ino;

	while ((ino = meta_txn_select_i64(txn, 0, "SELECT ino FROM inode WHERE nlink = 0 LIMIT 1", ""))) {
		usage_orphan_gone(txn, ino);
		blocks_drop_rows(txn, (uint64_t)ino, 0, true);
		inode_rows_remove(txn, ino);
		if (txn->rc)
			break;
	}
}

/* What a crash left: orphans, uploads that no extent waits for, leases half used. */
static int recover_once(struct meta *m)
{
	struct meta_txn txn;

	txn_begin(&txn, m, m->writer);
	m->open_count = (uint64_t)counter_read(&txn, "open_count") + 1;
	m->lease[LEASE_INODE].next = (uint64_t)counter_read(&txn, "ino_lease");
	m->lease[LEASE_DENTRY].next = (uint64_t)counter_read(&txn, "dentry_lease");
	for (int i = 0; i < LEASE_KINDS; i++)
		m->lease[i].asked = m->lease[i].committed = m->lease[i].end = m->lease[i].next + m->lease_step;
	counter_write(&txn, "open_count", m->open_count);
	counter_write(&txn, "ino_lease", m->lease[LEASE_INODE].end);
	counter_write(&txn, "dentry_lease", m->lease[LEASE_DENTRY].end);
	orphans_delete(&txn);
	meta_txn_exec(&txn, "UPDATE object SET state = 1 WHERE refs = 0 AND state = 0", "");
	object_release(&txn);
	meta_txn_exec(&txn, "DELETE FROM pending WHERE ino NOT IN (SELECT ino FROM inode)", "");
	m->intent = m->intent_committed = (uint64_t)counter_read(&txn, "intent");
	m->journal_durable = m->journal_committed =
		meta_txn_select_i64(&txn, 0, "SELECT seq FROM sqlite_sequence WHERE name = 'journal'", "");
	return txn_commit(&txn);
}

static int recover(struct meta *m, struct errmsg *msg)
{
	int rc = recover_once(m);

	if (rc == -ENOSPC) {
		reserve_release(m);
		checkpoint_now(m);
		rc = recover_once(m);
	}
	if (rc == 0 && (rc = vfs_wal_sync(m->vfs)) == 0)
		rc = usage_load(m);
	m->version_floor = m->open_count << 40;
	if (rc < 0)
		errmsg_set(msg, rc, "the metadata %s cannot be recovered: %s", m->path, err_text(rc));
	return rc;
}

int meta_open(struct meta **out, const char *store, struct keyring *keyring, const struct meta_options *options,
	struct errmsg *msg)
{
	struct meta *m = meta_alloc(store, options);
	int rc;

	*out = NULL;
	if (!m)
		return -ENOMEM;
	if (access(m->path, F_OK) < 0) {
		rc = errmsg_set(msg, -errno, "the metadata %s is missing: %s; restore it from a backup of the store",
			m->path, err_text(-errno));
		goto fail;
	}
	rc = vfs_new(&m->vfs, keyring_store_key(keyring, STORE_KEY_DATABASE), keyring_store_id(keyring));
	if (rc < 0 || (rc = conn_open(&m->writer, m->vfs, m->path, false, msg)) < 0 ||
		(rc = conn_script(m->writer, WRITER_CACHE)) < 0 || (rc = schema_migrate(m->writer, msg)) < 0 ||
		(rc = settings_check(m, keyring, msg)) < 0)
		goto fail;
	space_look(m);
	if ((rc = recover(m, msg)) < 0 || (rc = checkpoint_start(m)) < 0 || (rc = writer_start(m)) < 0)
		goto fail;
	*out = m;
	return 0;
fail:
	meta_close(m);
	return rc;
}

/* ---- close ---- */

/* Nothing is given any more: what was leased and not used goes back. */
static int leases_return(struct meta *m)
{
	struct meta_txn txn;

	txn_begin(&txn, m, m->writer);
	counter_write(&txn, "ino_lease", m->lease[LEASE_INODE].next);
	counter_write(&txn, "dentry_lease", m->lease[LEASE_DENTRY].next);
	return txn_commit(&txn);
}

static void tables_free(struct meta *m)
{
	nodes_free(m);
	while (!list_empty(&m->records)) {
		struct meta_record *r = list_first(&m->records, struct meta_record, link);

		list_remove(&r->link);
		r->free(r);
	}
	for (int i = 0; i < NODE_KINDS; i++)
		hash_free(&m->nodes[i]);
	hash_free(&m->by_ino);
	hash_free(&m->dirs);
	hash_free(&m->tracked);
	accounts_free(&m->usage);
	accounts_free(&m->quotas);
}

static void locks_free(struct meta *m)
{
	pthread_cond_destroy(&m->checkpoint);
	pthread_cond_destroy(&m->done);
	pthread_cond_destroy(&m->work);
	pthread_cond_destroy(&m->loaded);
	pthread_mutex_destroy(&m->pool_lock);
	pthread_mutex_destroy(&m->lock);
	pthread_rwlock_destroy(&m->merge);
}

int meta_close(struct meta *m)
{
	bool was_open;
	int rc;

	if (!m)
		return 0;
	was_open = m->writer_running;
	writer_stop(m);
	checkpoint_stop(m);
	readers_close(m);
	rc = m->error;
	if (was_open && rc == 0 && (rc = leases_return(m)) == 0)
		sqlite3_wal_checkpoint_v2(m->writer->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	conn_close(m->writer);
	vfs_free(m->vfs);
	batch_free(m->flight);
	tables_free(m);
	locks_free(m);
	free(m->reserve_path);
	free(m->path);
	free(m->store);
	free(m);
	return rc;
}

uint64_t meta_block_bytes(const struct meta *m)
{
	return m->block_bytes;
}

const char *meta_store(const struct meta *m)
{
	return m->store;
}

uint64_t meta_open_count(const struct meta *m)
{
	return m->open_count;
}

void meta_lock(struct meta *m)
{
	pthread_mutex_lock(&m->lock);
}

void meta_unlock(struct meta *m)
{
	pthread_mutex_unlock(&m->lock);
}
