/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vfs: an SQLite VFS that keeps nothing in the clear (I5).
 *
 * Database pages (4,096 bytes, 40 of them reserved) are sealed in place, nonce and tag in the reserved bytes, with
 * (store id, "database", page number) as associated data. The WAL is kept in records: its header, then each frame's
 * header and page sealed together, with (store id, "wal", record number) as associated data; the offsets SQLite sees
 * are translated, since a frame header carries checksums of plaintext. The wal-index (-shm) lives in this process's
 * memory, never in a file: one process has a store open. Rollback journals, temporary files and other databases are
 * refused (SQLITE_CANTOPEN). A page that fails authentication is SQLITE_IOERR_DATA and a log line; so is a WAL record,
 * but while SQLite rebuilds its index from the WAL it reads as zeros, which SQLite takes for the torn end of the log.
 */
#ifndef FS_META_VFS_H
#define FS_META_VFS_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

struct vfs;

/* vfs_new: registers a VFS of its own for one store; name is for sqlite3_open_v2. Keys are copied to locked memory.
 * vfs_free unregisters; every connection must be closed. */
int vfs_new(struct vfs **, const uint8_t key[32], const uint8_t store_id[16]);
const char *vfs_name(const struct vfs *);
void vfs_free(struct vfs *);

/* vfs_open: opens or creates path through the VFS with all that the store relies on: page size 4096 with 40 reserved
 * bytes, WAL, synchronous=NORMAL, foreign keys, temp_store=MEMORY, no mmap, busy timeout, no automatic checkpoint.
 * readonly connections are for readers beside the one writer. Returns 0, -ERR_TAMPERED (wrong key or changed file),
 * -errno, with a sentence in msg. Blocks on the local disk. */
struct errmsg;
int vfs_open(struct vfs *, const char *path, int readonly, sqlite3 **, struct errmsg *msg);

/* vfs_wal_sync: fdatasync of the WAL of this store (the same file for every connection): after it returns, every
 * transaction committed before the call survives power loss. Blocks on the local disk; may run beside writers. */
int vfs_wal_sync(struct vfs *);
/* vfs_wal_bytes: the WAL's present length on disk, for the checkpointer. */
uint64_t vfs_wal_bytes(struct vfs *);

/* The two sealings, exposed for the test vectors in docs/FORMAT.md and for fsck. nonce is taken as given. */
#define VFS_PAGE	 4096
#define VFS_RESERVED	 40
#define VFS_FRAME_HEADER 24
void vfs_page_seal(uint8_t out[VFS_PAGE], const uint8_t page[VFS_PAGE], uint32_t page_no, const uint8_t store_id[16],
	const uint8_t nonce[24], const uint8_t key[32]);
int vfs_page_open(uint8_t out[VFS_PAGE], const uint8_t sealed[VFS_PAGE], uint32_t page_no, const uint8_t store_id[16],
	const uint8_t key[32]);
/* A WAL record: out receives len + VFS_RESERVED bytes; to open, len is the record's and out receives the rest, zeros
 * with -ERR_TAMPERED. */
void vfs_record_seal(uint8_t *out, const void *plain, size_t len, uint64_t record_no, const uint8_t store_id[16],
	const uint8_t nonce[24], const uint8_t key[32]);
int vfs_record_open(void *out, const uint8_t *record, size_t len, uint64_t record_no, const uint8_t store_id[16],
	const uint8_t key[32]);

#endif
