/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "fs/meta/vfs_private.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The WAL as SQLite sees it: a header, then frames of a header and a page. On disk each is a sealed record. */
#define WAL_HEADER   32
#define FRAME	     (VFS_FRAME_HEADER + VFS_PAGE)
#define WAL_HEAD_REC (WAL_HEADER + VFS_RESERVED)
#define FRAME_REC    (FRAME + VFS_RESERVED)
#define DB_HEADER    100

static _Thread_local int last_errno;

int vfs_last_errno(void)
{
	return last_errno;
}

int vfs_fail(int code, const char *what)
{
	last_errno = errno;
	log_error("metadata: %s: %s", what, err_text(-last_errno));
	return last_errno == ENOSPC || last_errno == EDQUOT ? SQLITE_FULL : code;
}

/* len bytes, fewer at the end of the file */
static ssize_t disk_read(const struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(f->disk->fd, (uint8_t *)buf + got, len - got, (off_t)(off + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int disk_write(const struct vfs_file *f, const void *buf, size_t len, uint64_t off)
{
	int rc = file_pwrite_full(f->disk->fd, buf, len, (off_t)off);

	if (rc == 0)
		return SQLITE_OK;
	errno = err_errno(rc);
	return vfs_fail(SQLITE_IOERR_WRITE, "writing");
}

static int disk_size(const struct vfs_file *f, uint64_t *size)
{
	struct stat st;

	if (fstat(f->disk->fd, &st) < 0)
		return vfs_fail(SQLITE_IOERR_FSTAT, "reading the size");
	*size = (uint64_t)st.st_size;
	return SQLITE_OK;
}

static int not_understood(const char *what, sqlite3_int64 off, int len)
{
	last_errno = EINVAL;
	log_error("metadata: %s of %d bytes at %lld is not one this shim knows; refused", what, len, (long long)off);
	return SQLITE_IOERR;
}

/* Page 1 of the database may be torn by a power loss during a checkpoint; the WAL has it whole then. But SQLite reads
 * these 100 bytes from the database file before it looks at the WAL, for the page size and the reserved bytes only,
 * and all of page 1 again afterwards, from the WAL where it is there: so it is told what every store of ours has. If
 * the WAL has no page 1, that second read fails. */
static void db_header_stand_in(uint8_t out[DB_HEADER])
{
	memset(out, 0, DB_HEADER);
	out[VFS_PAGE_SIZE_AT] = VFS_PAGE >> 8;
	out[VFS_RESERVED_AT] = VFS_RESERVED;
}

static int db_read_failed(void *buf, int len, sqlite3_int64 off)
{
	if (off == 0 && len == DB_HEADER) {
		db_header_stand_in(buf);
		return SQLITE_OK;
	}
	memset(buf, 0, (size_t)len);
	last_errno = EIO;
	log_error("metadata: page %lld failed authentication or is missing", (long long)(off / VFS_PAGE + 1));
	return SQLITE_IOERR_DATA;
}

static int db_read(sqlite3_file *file, void *buf, int len, sqlite3_int64 off)
{
	struct vfs_file *f = (struct vfs_file *)file;
	uint8_t sealed[VFS_PAGE], plain[VFS_PAGE], *to = len == VFS_PAGE ? buf : plain;
	uint64_t page = (uint64_t)off / VFS_PAGE + 1, at = (uint64_t)off % VFS_PAGE;
	ssize_t n;

	if (at + (uint64_t)len > VFS_PAGE || page > UINT32_MAX)
		return not_understood("a read", off, len);
	n = disk_read(f, sealed, sizeof(sealed), (page - 1) * VFS_PAGE);
	if (n < 0)
		return vfs_fail(SQLITE_IOERR_READ, "reading");
	if (n == 0 && page == 1) { /* a database not yet made */
		memset(buf, 0, (size_t)len);
		return SQLITE_IOERR_SHORT_READ;
	}
	if (n < VFS_PAGE || vfs_page_open(to, sealed, (uint32_t)page, f->vfs->store_id, f->vfs->key) < 0)
		return db_read_failed(buf, len, off);
	if (to == plain)
		memcpy(buf, plain + at, (size_t)len);
	return SQLITE_OK;
}

static int db_write(sqlite3_file *file, const void *buf, int len, sqlite3_int64 off)
{
	struct vfs_file *f = (struct vfs_file *)file;
	const uint8_t *page = buf;
	uint8_t sealed[VFS_PAGE], nonce[24];
	uint64_t page_no = (uint64_t)off / VFS_PAGE + 1;

	if (len != VFS_PAGE || off % VFS_PAGE || page_no > UINT32_MAX)
		return not_understood("a write", off, len);
	/* what SQLite keeps in the last bytes of a page would be lost if it did not know that they are ours */
	if (page_no == 1 && page[VFS_RESERVED_AT] != VFS_RESERVED)
		return not_understood("a first page without its reserved bytes, a write", off, len);
	randombytes_buf(nonce, sizeof(nonce));
	vfs_page_seal(sealed, page, (uint32_t)page_no, f->vfs->store_id, nonce, f->vfs->key);
	return disk_write(f, sealed, sizeof(sealed), (uint64_t)off);
}

static int db_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct vfs_file *f = (struct vfs_file *)file;

	if (size % VFS_PAGE)
		return not_understood("a truncation", size, 0);
	return ftruncate(f->disk->fd, size) < 0 ? vfs_fail(SQLITE_IOERR_TRUNCATE, "truncating") : SQLITE_OK;
}

static int db_size(sqlite3_file *file, sqlite3_int64 *size)
{
	uint64_t bytes = 0;
	int rc = disk_size((struct vfs_file *)file, &bytes);

	*size = (sqlite3_int64)bytes;
	return rc;
}

/* A place in the WAL as SQLite counts: record 0 is the header, record n frame n. */
struct wal_place {
	uint64_t record, disk_off;
	size_t at, plain_len; /* inside the record's plaintext, and its length */
};

static struct wal_place wal_place(uint64_t off)
{
	struct wal_place p = { 0, 0, (size_t)off, WAL_HEADER };

	if (off >= WAL_HEADER) {
		p.record = (off - WAL_HEADER) / FRAME + 1;
		p.disk_off = WAL_HEAD_REC + (p.record - 1) * FRAME_REC;
		p.at = (off - WAL_HEADER) % FRAME;
		p.plain_len = FRAME;
	}
	return p;
}

/* 0, -ERR_TAMPERED, -ENODATA past the end, or -errno */
static int record_read(const struct vfs_file *f, const struct wal_place *p, uint8_t plain[FRAME])
{
	uint8_t record[FRAME_REC];
	size_t len = p->plain_len + VFS_RESERVED;
	ssize_t n = disk_read(f, record, len, p->disk_off);

	if (n < 0)
		return -errno;
	if ((size_t)n < len) {
		memset(plain, 0, p->plain_len);
		return n == 0 ? -ENODATA : -ERR_TAMPERED;
	}
	return vfs_record_open(plain, record, len, p->record, f->vfs->store_id, f->vfs->key);
}

static int record_write(const struct vfs_file *f, const struct wal_place *p, const uint8_t *plain)
{
	uint8_t record[FRAME_REC], nonce[24];

	randombytes_buf(nonce, sizeof(nonce));
	vfs_record_seal(record, plain, p->plain_len, p->record, f->vfs->store_id, nonce, f->vfs->key);
	return disk_write(f, record, p->plain_len + VFS_RESERVED, p->disk_off);
}

static int record_tampered(const struct wal_place *p)
{
	last_errno = EIO;
	log_error("metadata: log record %" PRIu64 " failed authentication", p->record);
	return SQLITE_IOERR_DATA;
}

/* While the wal-index is rebuilt SQLite reads to find where the log ends, and the zeros of a record that does not
 * authenticate tell it: here. At any other time the record is known to have been written whole. */
static int wal_read_tampered(struct vfs_file *f, const struct wal_place *p)
{
	uint64_t size = 0;

	if (!vfs_recovering(f->vfs))
		return record_tampered(p);
	if (disk_size(f, &size) == SQLITE_OK)
		log_warn("metadata: the log ends at record %" PRIu64 ", which is torn or changed; %" PRIu64
			 " bytes from there on are ignored",
			p->record, size - p->disk_off);
	return SQLITE_OK;
}

static int wal_read(sqlite3_file *file, void *buf, int len, sqlite3_int64 off)
{
	struct vfs_file *f = (struct vfs_file *)file;
	struct wal_place p = wal_place((uint64_t)off);
	uint8_t plain[FRAME];
	int rc;

	if (p.at + (size_t)len > p.plain_len)
		return not_understood("a log read", off, len);
	rc = record_read(f, &p, plain);
	f->seen_record = rc == 0 && len == FRAME ? p.record : 0;
	if (rc == 0 || rc == -ERR_TAMPERED || rc == -ENODATA)
		memcpy(buf, plain + p.at, (size_t)len);
	if (rc == -ENODATA)
		return SQLITE_IOERR_SHORT_READ;
	if (rc == -ERR_TAMPERED)
		return wal_read_tampered(f, &p);
	errno = -rc;
	return rc < 0 ? vfs_fail(SQLITE_IOERR_READ, "reading the log") : SQLITE_OK;
}

/* Part of a frame that is on disk already: SQLite does so to frames of its own open transaction. */
static int record_patch(struct vfs_file *f, const struct wal_place *p, const void *buf, int len)
{
	uint8_t plain[FRAME];
	int rc = record_read(f, p, plain);

	if (rc == -ERR_TAMPERED || rc == -ENODATA)
		return record_tampered(p);
	errno = -rc;
	if (rc < 0)
		return vfs_fail(SQLITE_IOERR_READ, "reading the log");
	memcpy(plain + p->at, buf, (size_t)len);
	return record_write(f, p, plain);
}

/* A frame's header comes first and its page with the next write: the record is made of both then. Only when the
 * checksums of an open transaction are recomputed does a header come alone; SQLite reads that frame whole just before,
 * which is how the one is told from the other. */
static int frame_header_write(struct vfs_file *f, const struct wal_place *p, const void *buf)
{
	int rc = SQLITE_OK;

	if (f->seen_record == p->record)
		rc = record_patch(f, p, buf, VFS_FRAME_HEADER);
	f->seen_record = 0;
	f->pending_record = p->record;
	memcpy(f->pending, buf, VFS_FRAME_HEADER);
	return rc;
}

static int frame_page_write(struct vfs_file *f, const struct wal_place *p, const void *buf)
{
	uint8_t plain[FRAME];

	f->seen_record = 0;
	if (f->pending_record != p->record)
		return record_patch(f, p, buf, VFS_PAGE);
	f->pending_record = 0;
	memcpy(plain, f->pending, VFS_FRAME_HEADER);
	memcpy(plain + VFS_FRAME_HEADER, buf, VFS_PAGE);
	return record_write(f, p, plain);
}

static int wal_write(sqlite3_file *file, const void *buf, int len, sqlite3_int64 off)
{
	struct vfs_file *f = (struct vfs_file *)file;
	struct wal_place p = wal_place((uint64_t)off);

	if (p.at == 0 && (size_t)len == p.plain_len)
		return record_write(f, &p, buf);
	if (p.record && p.at == 0 && len == VFS_FRAME_HEADER)
		return frame_header_write(f, &p, buf);
	if (p.record && p.at == VFS_FRAME_HEADER && len == VFS_PAGE)
		return frame_page_write(f, &p, buf);
	return not_understood("a log write", off, len);
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct vfs_file *f = (struct vfs_file *)file;
	struct wal_place p = wal_place((uint64_t)size);
	uint64_t to = p.disk_off;

	/* never less than asked for: a piece of a record keeps all of it */
	if (p.at)
		to += p.plain_len + VFS_RESERVED;
	f->pending_record = f->seen_record = 0;
	return ftruncate(f->disk->fd, (off_t)to) < 0 ? vfs_fail(SQLITE_IOERR_TRUNCATE, "truncating") : SQLITE_OK;
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size)
{
	uint64_t bytes = 0;
	int rc = disk_size((struct vfs_file *)file, &bytes);

	/* only whole records count */
	*size = 0;
	if (rc == SQLITE_OK && bytes >= WAL_HEAD_REC)
		*size = (sqlite3_int64)(WAL_HEADER + (bytes - WAL_HEAD_REC) / FRAME_REC * FRAME);
	return rc;
}

static int any_sync(sqlite3_file *file, int flags)
{
	struct vfs_file *f = (struct vfs_file *)file;
	int rc = vfs_disk_sync(f->vfs, f->disk);

	(void)flags;
	last_errno = -rc;
	return rc < 0 ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int any_close(sqlite3_file *file)
{
	struct vfs_file *f = (struct vfs_file *)file;

	vfs_x_unlock(file, SQLITE_LOCK_NONE);
	vfs_disk_release(f->vfs, f->disk);
	return SQLITE_OK;
}

static int any_control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int any_sector(sqlite3_file *file)
{
	(void)file;
	return VFS_PAGE;
}

/* A write that power loss tears leaves the bytes around it as they were: disks write sectors whole, and the file
 * system writes back the same bytes for the rest of one. So SQLite need not pad the log to sectors. */
static int any_characteristics(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* no memory map: what is on disk is not what SQLite reads */
static int db_fetch(sqlite3_file *file, sqlite3_int64 off, int len, void **out)
{
	(void)file;
	(void)off;
	(void)len;
	*out = NULL;
	return SQLITE_OK;
}

static int db_unfetch(sqlite3_file *file, sqlite3_int64 off, void *p)
{
	(void)file;
	(void)off;
	(void)p;
	return SQLITE_OK;
}

const sqlite3_io_methods vfs_db_methods = {
	.iVersion = 3,
	.xClose = any_close,
	.xRead = db_read,
	.xWrite = db_write,
	.xTruncate = db_truncate,
	.xSync = any_sync,
	.xFileSize = db_size,
	.xLock = vfs_x_lock,
	.xUnlock = vfs_x_unlock,
	.xCheckReservedLock = vfs_x_check_reserved,
	.xFileControl = any_control,
	.xSectorSize = any_sector,
	.xDeviceCharacteristics = any_characteristics,
	.xShmMap = vfs_x_shm_map,
	.xShmLock = vfs_x_shm_lock,
	.xShmBarrier = vfs_x_shm_barrier,
	.xShmUnmap = vfs_x_shm_unmap,
	.xFetch = db_fetch,
	.xUnfetch = db_unfetch,
};

const sqlite3_io_methods vfs_wal_methods = {
	.iVersion = 1,
	.xClose = any_close,
	.xRead = wal_read,
	.xWrite = wal_write,
	.xTruncate = wal_truncate,
	.xSync = any_sync,
	.xFileSize = wal_size,
	.xLock = vfs_x_lock,
	.xUnlock = vfs_x_unlock,
	.xCheckReservedLock = vfs_x_check_reserved,
	.xFileControl = any_control,
	.xSectorSize = any_sector,
	.xDeviceCharacteristics = any_characteristics,
};
