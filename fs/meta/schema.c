/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>

/* Names and attribute names are blobs: any bytes. Times are seconds since 1970 and nanoseconds in columns of their own,
 * so that any 64-bit second fits. Foreign keys stand where rows are few; the tables every create touches carry none,
 * their consistency is the writer's (and fsck's). */
static const char *const schema_1 =
	/* setting: what was decided at init or is remembered across mounts: store_id, block_bytes, … */
	"CREATE TABLE setting (\n"
	"	key TEXT PRIMARY KEY,\n"
	"	value BLOB NOT NULL\n"
	") STRICT, WITHOUT ROWID;\n"
	/* counter: ino_lease and dentry_lease (numbers from there on were never given), open_count; until version 6 the
	 * totals inodes and file_bytes of what is committed */
	"CREATE TABLE counter (\n"
	"	name TEXT PRIMARY KEY,\n"
	"	value INTEGER NOT NULL\n"
	") STRICT, WITHOUT ROWID;\n"
	/* zone: numbers and names as in the keyring, with what the store last knew of them */
	"CREATE TABLE zone (\n"
	"	id INTEGER PRIMARY KEY,\n"
	"	name TEXT NOT NULL UNIQUE,\n"
	"	kind INTEGER NOT NULL,\n" /* 0 domestic, 1 foreign */
	"	first_s INTEGER NOT NULL\n"
	") STRICT;\n"
	/* backend: what a name stands for (I1); never deleted, numbers are never reused */
	"CREATE TABLE backend (\n"
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
	"	name TEXT NOT NULL UNIQUE,\n"
	"	identity TEXT NOT NULL,\n"
	"	zone INTEGER NOT NULL,\n"
	"	first_s INTEGER NOT NULL\n"
	") STRICT;\n"
	/* inode: with its placement (zone 0: not placed yet; rule NULL: the default) */
	"CREATE TABLE inode (\n"
	"	ino INTEGER PRIMARY KEY,\n"
	"	mode INTEGER NOT NULL,\n"
	"	uid INTEGER NOT NULL,\n"
	"	gid INTEGER NOT NULL,\n"
	"	nlink INTEGER NOT NULL,\n"
	"	rdev INTEGER NOT NULL,\n"
	"	size INTEGER NOT NULL,\n"
	"	bytes INTEGER NOT NULL,\n"
	"	atime_s INTEGER NOT NULL, atime_ns INTEGER NOT NULL,\n"
	"	mtime_s INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,\n"
	"	ctime_s INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,\n"
	"	btime_s INTEGER NOT NULL, btime_ns INTEGER NOT NULL,\n"
	"	flags INTEGER NOT NULL,\n"
	"	zone INTEGER NOT NULL,\n"
	"	rule TEXT,\n"
	"	rules_version INTEGER NOT NULL\n"
	") STRICT;\n"
	"CREATE INDEX inode_orphan ON inode (ino) WHERE nlink = 0;\n"
	/* dentry: id is the position in the directory, never reused */
	"CREATE TABLE dentry (\n"
	"	parent INTEGER NOT NULL,\n"
	"	name BLOB NOT NULL,\n"
	"	ino INTEGER NOT NULL,\n"
	"	id INTEGER NOT NULL,\n"
	"	type INTEGER NOT NULL,\n" /* DT_* */
	"	PRIMARY KEY (parent, name)\n"
	") STRICT, WITHOUT ROWID;\n"
	"CREATE UNIQUE INDEX dentry_order ON dentry (parent, id);\n"
	"CREATE INDEX dentry_ino ON dentry (ino);\n"
	"CREATE TABLE xattr (\n"
	"	ino INTEGER NOT NULL,\n"
	"	name BLOB NOT NULL,\n"
	"	value BLOB NOT NULL,\n"
	"	PRIMARY KEY (ino, name)\n"
	") STRICT, WITHOUT ROWID;\n"
	/* block: what the local store has of a block: kind 1 its bytes, 2 the map of its slots; no row: nothing. A
	 * rowid table, since local is long. dirty: not yet on a backend */
	"CREATE TABLE block (\n"
	"	ino INTEGER NOT NULL,\n"
	"	idx INTEGER NOT NULL,\n"
	"	kind INTEGER NOT NULL,\n"
	"	dirty INTEGER NOT NULL,\n"
	"	local BLOB,\n"
	"	UNIQUE (ino, idx)\n"
	") STRICT;\n"
	"CREATE INDEX block_dirty ON block (ino) WHERE dirty = 1;\n"
	/* object: known from before its first byte is sent until its last deletion is confirmed. refs counts extents.
	 * state 0 begun (deleted at the next mount unless an extent comes), 1 used, 2 being deleted */
	"CREATE TABLE object (\n"
	"	num INTEGER PRIMARY KEY,\n"
	"	id BLOB NOT NULL UNIQUE,\n"
	"	zone INTEGER NOT NULL,\n"
	"	epoch INTEGER NOT NULL,\n"
	"	wrapped BLOB NOT NULL,\n"
	"	header_bytes INTEGER NOT NULL,\n"
	"	plain_bytes INTEGER NOT NULL,\n"
	"	refs INTEGER NOT NULL CHECK (refs >= 0),\n"
	"	state INTEGER NOT NULL,\n"
	"	begun_s INTEGER NOT NULL\n"
	") STRICT;\n"
	"CREATE INDEX object_epoch ON object (zone, epoch);\n"
	"CREATE INDEX object_begun ON object (num) WHERE refs = 0 AND state = 0;\n"
	"CREATE INDEX object_unused ON object (num) WHERE refs = 0 AND state = 1;\n"
	/* replica: state 0 pending, 1 stored (confirmed at stored_s), 2 being deleted */
	"CREATE TABLE replica (\n"
	"	object INTEGER NOT NULL REFERENCES object (num),\n"
	"	backend INTEGER NOT NULL,\n"
	"	state INTEGER NOT NULL,\n"
	"	stored_s INTEGER,\n"
	"	PRIMARY KEY (object, backend)\n"
	") STRICT, WITHOUT ROWID;\n"
	"CREATE INDEX replica_backend ON replica (backend, object);\n"
	/* extent: block idx of a file is length bytes at offset of an object's plaintext, and zeros after them */
	"CREATE TABLE extent (\n"
	"	ino INTEGER NOT NULL,\n"
	"	idx INTEGER NOT NULL,\n"
	"	object INTEGER NOT NULL,\n"
	"	offset INTEGER NOT NULL,\n"
	"	length INTEGER NOT NULL,\n"
	"	PRIMARY KEY (ino, idx)\n"
	") STRICT, WITHOUT ROWID;\n"
	"CREATE INDEX extent_object ON extent (object);\n"
	/* journal: what is to be done on a backend. kind 1: delete the object's replica. tries, due_s and error are of
	 * the last attempt. Uploads and moves need no row: they are the dirty blocks and `moving` */
	"CREATE TABLE journal (\n"
	"	seq INTEGER PRIMARY KEY AUTOINCREMENT,\n"
	"	kind INTEGER NOT NULL,\n"
	"	object INTEGER REFERENCES object (num),\n"
	"	ino INTEGER,\n"
	"	backend INTEGER,\n"
	"	tries INTEGER NOT NULL DEFAULT 0,\n"
	"	due_s INTEGER NOT NULL,\n"
	"	error TEXT\n"
	") STRICT;\n"
	"CREATE INDEX journal_deletion ON journal (backend, seq) WHERE kind = 1;\n"
	"CREATE INDEX journal_object ON journal (object);\n"
	/* pending: files whose placement must be looked at again. moving: files that may have data outside their zone
	 * (a superset; reads check) */
	"CREATE TABLE pending (ino INTEGER PRIMARY KEY) STRICT;\n"
	"CREATE TABLE moving (ino INTEGER PRIMARY KEY) STRICT;\n"
	/* approval: a request to let a held file leave its zone, as it was when asked: state 0 open, 1 approved,
	 * 2 denied, 3 used, 4 expired; needed: how many approvers must agree */
	"CREATE TABLE approval (\n"
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
	"	ino INTEGER NOT NULL,\n"
	"	path BLOB NOT NULL,\n"
	"	size INTEGER NOT NULL,\n"
	"	from_zone INTEGER NOT NULL,\n"
	"	to_zone INTEGER NOT NULL,\n"
	"	rule TEXT,\n"
	"	rules_version INTEGER NOT NULL,\n"
	"	requested_s INTEGER NOT NULL,\n"
	"	requested_uid INTEGER NOT NULL,\n"
	"	needed INTEGER NOT NULL,\n"
	"	state INTEGER NOT NULL,\n"
	"	decided_s INTEGER,\n"
	"	expires_s INTEGER\n"
	") STRICT;\n"
	"CREATE INDEX approval_open ON approval (ino) WHERE state < 2;\n"
	"CREATE TABLE approval_vote (\n"
	"	approval INTEGER NOT NULL REFERENCES approval (id) ON DELETE CASCADE,\n"
	"	uid INTEGER NOT NULL,\n"
	"	approver TEXT NOT NULL,\n"
	"	agree INTEGER NOT NULL,\n"
	"	voted_s INTEGER NOT NULL,\n"
	"	reason TEXT,\n"
	"	PRIMARY KEY (approval, uid)\n"
	") STRICT, WITHOUT ROWID;\n"
	/* audit: the hash-chained log (I10); mac is over the line and the mac before it, under a key that ratchets.
	 * audit_head: signed heads and whether they are published */
	"CREATE TABLE audit (\n"
	"	seq INTEGER PRIMARY KEY,\n"
	"	time_s INTEGER NOT NULL, time_ns INTEGER NOT NULL,\n"
	"	kind INTEGER NOT NULL,\n"
	"	ino INTEGER,\n"
	"	line BLOB NOT NULL,\n"
	"	mac BLOB NOT NULL\n"
	") STRICT;\n"
	"CREATE INDEX audit_ino ON audit (ino) WHERE ino IS NOT NULL;\n"
	"CREATE TABLE audit_head (\n"
	"	seq INTEGER PRIMARY KEY,\n"
	"	time_s INTEGER NOT NULL,\n"
	"	signature BLOB NOT NULL,\n"
	"	published_s INTEGER\n"
	") STRICT;\n"
	/* rule_set: every configuration that was in force: its policy text (config_baseline); accepted 1: loosening was
	 * granted, or there was none */
	"CREATE TABLE rule_set (\n"
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
	"	version INTEGER NOT NULL,\n" /* rules_version: a hash, not a sequence */
	"	baseline TEXT NOT NULL,\n"
	"	text TEXT NOT NULL,\n"
	"	since_s INTEGER NOT NULL,\n"
	"	accepted INTEGER NOT NULL,\n"
	"	accepted_uid INTEGER\n"
	") STRICT;\n"
	/* crossing: what left a zone, by month (days since 1970 of its first), for the report and the export limits */
	"CREATE TABLE crossing (\n"
	"	from_zone INTEGER NOT NULL,\n"
	"	to_zone INTEGER NOT NULL,\n"
	"	month INTEGER NOT NULL,\n"
	"	files INTEGER NOT NULL,\n"
	"	bytes INTEGER NOT NULL,\n"
	"	PRIMARY KEY (from_zone, to_zone, month)\n"
	") STRICT, WITHOUT ROWID;\n"
	"PRAGMA user_version = 1;\n";

/* judged: whether a file that has to be held for what its placement was when it became pending is (I9) */
static const char *const schema_2 = "ALTER TABLE pending ADD COLUMN judged INTEGER NOT NULL DEFAULT 0;\n"
				    "CREATE INDEX pending_unjudged ON pending (ino) WHERE judged = 0;\n"
				    "PRAGMA user_version = 2;\n";

/* What a mount, a full cache and `status` ask of the blocks, of which there may be millions, without looking at each:
 * those with a map (block_slots), those whose bytes may leave their row (block_clean), and how many bytes are in rows,
 * in all and not yet on a backend (inline_total, kept by the triggers). */
static const char *const schema_3 =
	"CREATE INDEX block_slots ON block (ino, idx) WHERE kind = 2;\n"
	"CREATE INDEX block_clean ON block (ino, idx) WHERE kind = 1 AND dirty = 0;\n"
	"CREATE TABLE inline_total (\n"
	"	one INTEGER PRIMARY KEY CHECK (one = 1),\n"
	"	bytes INTEGER NOT NULL,\n"
	"	dirty_bytes INTEGER NOT NULL\n"
	") STRICT;\n"
	"INSERT INTO inline_total SELECT 1, ifnull(sum(length(local)), 0), ifnull(sum(length(local) * dirty), 0)\n"
	"	FROM block WHERE kind = 1;\n"
	"CREATE TRIGGER inline_new AFTER INSERT ON block WHEN new.kind = 1 BEGIN\n"
	"	UPDATE inline_total SET bytes = bytes + length(new.local),\n"
	"		dirty_bytes = dirty_bytes + length(new.local) * new.dirty;\n"
	"END;\n"
	"CREATE TRIGGER inline_gone AFTER DELETE ON block WHEN old.kind = 1 BEGIN\n"
	"	UPDATE inline_total SET bytes = bytes - length(old.local),\n"
	"		dirty_bytes = dirty_bytes - length(old.local) * old.dirty;\n"
	"END;\n"
	"CREATE TRIGGER inline_was AFTER UPDATE ON block WHEN old.kind = 1 BEGIN\n"
	"	UPDATE inline_total SET bytes = bytes - length(old.local),\n"
	"		dirty_bytes = dirty_bytes - length(old.local) * old.dirty;\n"
	"END;\n"
	"CREATE TRIGGER inline_is AFTER UPDATE ON block WHEN new.kind = 1 BEGIN\n"
	"	UPDATE inline_total SET bytes = bytes + length(new.local),\n"
	"		dirty_bytes = dirty_bytes + length(new.local) * new.dirty;\n"
	"END;\n"
	"PRAGMA user_version = 3;\n";

/* members: how many blocks an object was sealed of. repack: packs with members that nothing points at any more: since
 * when, and when to look at them (0: at once, since such a member belongs to another zone by now) */
static const char *const schema_4 = "ALTER TABLE object ADD COLUMN members INTEGER NOT NULL DEFAULT 1;\n"
				    "CREATE TABLE repack (\n"
				    "	object INTEGER PRIMARY KEY,\n"
				    "	since_s INTEGER NOT NULL,\n"
				    "	due_s INTEGER NOT NULL\n"
				    ") STRICT;\n"
				    "CREATE INDEX repack_due ON repack (due_s);\n"
				    "PRAGMA user_version = 4;\n";

/* intent: the last entry of the intent log whose times and inline bytes are in the rows; of an inode: whose units are
 */
static const char *const schema_5 = "ALTER TABLE inode ADD COLUMN intent INTEGER NOT NULL DEFAULT 0;\n"
				    "INSERT INTO counter (name, value) VALUES ('intent', 0);\n"
				    "PRAGMA user_version = 5;\n";

/* usage: what owners have: kind 0 users, 1 groups; inodes, and bytes as st_blocks has them. It takes the place of two
 * totals. A crash may have left files with bytes counted that never came to the disk. */
static const char *const schema_6 =
	"CREATE TABLE usage (\n"
	"	kind INTEGER NOT NULL,\n"
	"	id INTEGER NOT NULL,\n"
	"	inodes INTEGER NOT NULL,\n"
	"	bytes INTEGER NOT NULL,\n"
	"	PRIMARY KEY (kind, id)\n"
	") STRICT, WITHOUT ROWID;\n"
	"UPDATE inode SET bytes = (size + 4095) / 4096 * 4096"
	" WHERE (mode & 61440) = 32768 AND bytes > (size + 4095) / 4096 * 4096;\n"
	"INSERT INTO usage SELECT 0, uid, count(*), sum(" SQL_INODE_CHARGE ") FROM inode GROUP BY uid;\n"
	"INSERT INTO usage SELECT 1, gid, count(*), sum(" SQL_INODE_CHARGE ") FROM inode GROUP BY gid;\n"
	"DELETE FROM counter WHERE name IN ('inodes', 'file_bytes');\n"
	"PRAGMA user_version = 6;\n";

/* remnant: files of which a pack holds bytes that no extent points at */
static const char *const schema_7 = "CREATE TABLE remnant (\n"
				    "	ino INTEGER NOT NULL,\n"
				    "	object INTEGER NOT NULL,\n"
				    "	PRIMARY KEY (ino, object)\n"
				    ") STRICT, WITHOUT ROWID;\n"
				    "CREATE INDEX remnant_object ON remnant (object);\n"
				    "PRAGMA user_version = 7;\n";

/* shortage: objects that may have fewer sound copies than their zone asks for. A replica's state 3: it was confirmed,
 * and was then found missing or damaged */
static const char *const schema_8 = "CREATE TABLE shortage (\n"
				    "	object INTEGER PRIMARY KEY,\n"
				    "	zone INTEGER NOT NULL\n"
				    ") STRICT;\n"
				    "CREATE INDEX shortage_zone ON shortage (zone, object);\n"
				    "PRAGMA user_version = 8;\n";

/* due_ns: when the placement may be another one without any change of the file; 0: never */
static const char *const schema_9 = "ALTER TABLE inode ADD COLUMN due_ns INTEGER NOT NULL DEFAULT 0;\n"
				    "CREATE INDEX inode_due ON inode (due_ns) WHERE due_ns > 0;\n"
				    "PRAGMA user_version = 9;\n";

/* version: of an inode's content. An approval is a request of 1 (what no version before ever wrote to goes): to let one
 * content of one file go from one zone to another by one rule. state 0 open, 1 approved, 2 denied, 3 used, and, of
 * those that are over, 4 expired, 5 superseded, 6 withdrawn. entitled: the word of `approvers` by which somebody may
 * vote. export_count: what left under rules that count, by month (days since 1970 of its first). */
static const char *const schema_10 =
	"ALTER TABLE inode ADD COLUMN version INTEGER NOT NULL DEFAULT 0;\n"
	"DROP TABLE approval_vote;\n"
	"DROP TABLE approval;\n"
	"CREATE TABLE approval (\n"
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
	"	ino INTEGER NOT NULL,\n"
	"	version INTEGER NOT NULL,\n"
	"	path BLOB NOT NULL,\n"
	"	size INTEGER NOT NULL,\n"
	"	owner INTEGER NOT NULL,\n"
	"	from_zone INTEGER NOT NULL,\n"
	"	to_zone INTEGER NOT NULL,\n"
	"	rule TEXT,\n"
	"	rules_version INTEGER NOT NULL,\n"
	"	asked_s INTEGER NOT NULL,\n"
	"	state INTEGER NOT NULL,\n"
	"	turned_s INTEGER NOT NULL,\n" /* when it came to that state */
	"	expires_s INTEGER\n"
	") STRICT;\n"
	"CREATE INDEX approval_now ON approval (ino) WHERE state < 4;\n"
	"CREATE TABLE approval_vote (\n"
	"	approval INTEGER NOT NULL REFERENCES approval (id) ON DELETE CASCADE,\n"
	"	uid INTEGER NOT NULL,\n"
	"	approver TEXT NOT NULL,\n"
	"	entitled TEXT NOT NULL,\n"
	"	agree INTEGER NOT NULL,\n"
	"	voted_s INTEGER NOT NULL,\n"
	"	expires_s INTEGER,\n"
	"	reason TEXT NOT NULL,\n"
	"	PRIMARY KEY (approval, uid)\n"
	") STRICT, WITHOUT ROWID;\n"
	"CREATE TRIGGER approval_gone AFTER DELETE ON inode WHEN old.flags & 16 BEGIN\n"
	"	DELETE FROM approval WHERE ino = old.ino AND state = 0\n"
	"		AND NOT EXISTS (SELECT 1 FROM approval_vote WHERE approval = id);\n"
	"	UPDATE approval SET state = 5, turned_s = unixepoch() WHERE ino = old.ino AND state < 4;\n"
	"END;\n"
	"CREATE TABLE export_count (\n"
	"	rule TEXT NOT NULL,\n"
	"	month INTEGER NOT NULL,\n"
	"	files INTEGER NOT NULL,\n"
	"	bytes INTEGER NOT NULL,\n"
	"	PRIMARY KEY (month, rule)\n"
	") STRICT, WITHOUT ROWID;\n"
	"PRAGMA user_version = 10;\n";

/* move: orders to empty a backend. target 0: into the others of its zone. state 0 under way, 1 done: the source stays
 * empty, 2 cancelled. files, objects and bytes are what was there at first; moved objects have verified copies
 * elsewhere; deleted counts confirmed deletions on the source; times are seconds of the real clock, 0: none */
static const char *const schema_11 = "CREATE TABLE move (\n"
				     "	id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
				     "	source INTEGER NOT NULL,\n"
				     "	target INTEGER NOT NULL,\n"
				     "	state INTEGER NOT NULL,\n"
				     "	uid INTEGER NOT NULL,\n"
				     "	asked_s INTEGER NOT NULL,\n"
				     "	deadline_s INTEGER NOT NULL,\n"
				     "	ended_s INTEGER NOT NULL,\n"
				     "	files INTEGER NOT NULL,\n"
				     "	objects INTEGER NOT NULL,\n"
				     "	bytes INTEGER NOT NULL,\n"
				     "	moved INTEGER NOT NULL,\n"
				     "	moved_bytes INTEGER NOT NULL,\n"
				     "	deleted INTEGER NOT NULL,\n"
				     "	receipt TEXT\n"
				     ") STRICT;\n"
				     "PRAGMA user_version = 11;\n";

/* fault: what is wrong with a replica of state 3: 1 it is missing, 2 it is damaged; fault_s: since when that is known
 */
static const char *const schema_12 = "ALTER TABLE replica ADD COLUMN fault INTEGER;\n"
				     "ALTER TABLE replica ADD COLUMN fault_s INTEGER;\n"
				     "CREATE INDEX replica_fault ON replica (object) WHERE state = 3;\n"
				     "PRAGMA user_version = 12;\n";

/* Each entry brings a database from the version of its index to the next one. */
static const char *const migrations[] = { schema_1, schema_2, schema_3, schema_4, schema_5, schema_6, schema_7,
	schema_8, schema_9, schema_10, schema_11, schema_12 };
#define SCHEMA_VERSION ((int64_t)(sizeof migrations / sizeof *migrations))

static int64_t schema_version(struct conn *c)
{
	sqlite3_stmt *stmt;
	int64_t version;
	int rc;

	rc = sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return conn_error(c, rc);
	rc = sqlite3_step(stmt);
	version = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : conn_error(c, rc);
	sqlite3_finalize(stmt);
	return version;
}

/* One transaction for a whole version: a crash leaves the one before. */
static int migrate_one(struct conn *c, const char *script)
{
	int rc;

	if ((rc = conn_script(c, "BEGIN IMMEDIATE")) < 0)
		return rc;
	if ((rc = conn_script(c, script)) < 0 || (rc = conn_script(c, "COMMIT")) < 0)
		sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

int schema_migrate(struct conn *c, struct errmsg *msg)
{
	int64_t version = schema_version(c);
	int rc;

	if (version < 0)
		return errmsg_set(msg, (int)version, "the metadata cannot be read: %s", err_text((int)version));
	if (version > SCHEMA_VERSION)
		return errmsg_set(msg, -ERR_NEWER,
			"the metadata has schema %lld and this borderfs knows %lld: use the newer borderfs",
			(long long)version, (long long)SCHEMA_VERSION);
	for (; version < SCHEMA_VERSION; version++)
		if ((rc = migrate_one(c, migrations[version])) < 0)
			return errmsg_set(msg, rc, "the metadata cannot be brought to schema %lld: %s",
				(long long)version + 1, err_text(rc));
	return 0;
}
