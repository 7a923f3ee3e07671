/* SPDX-License-Identifier: GPL-3.0-or-later */
/* workload: what programs do that trust fsync, with marks from which can be told what a reader may find afterwards.
 *
 * Every 512 bytes written carry the file's number, their place and a version. A mark goes before each change, and two
 * around each sync: what was marked before the first is promised by the second. */
#ifndef TESTS_FAULT_POWERLOSS_WORKLOAD_H
#define TESTS_FAULT_POWERLOSS_WORKLOAD_H

#include "fs/core/core.h"

#define CHUNK	   512
#define CHUNKS_MAX (12u << 11) /* 12 MiB */
#define FILES_MAX  512

/* MARK_LINES: so many lines of the audit log (version) were synced */
enum mark_kind { MARK_WRITE = 1, MARK_SIZE, MARK_PUNCH, MARK_REPLACE, MARK_SYNC_BEGIN, MARK_SYNCED, MARK_LINES };

struct mark {
	uint32_t kind, file, version, ticket;
	uint64_t off, len; /* MARK_SIZE: off is the size; MARK_REPLACE: len is the whole new size */
};

struct chunk {
	uint32_t magic, file, index, version;
	uint8_t rest[CHUNK - 16]; /* the version again and again */
};
#define CHUNK_MAGIC 0x6b6e6863u

struct workload {
	const char *name;
	bool uploads; /* to the two directories, with a cache that is too small for what is written */
	void (*run)(struct core *, unsigned seed);
};
extern const struct workload workloads[];
extern const size_t workload_count;

/* workload_file_name: "f7"; out holds at least 16 bytes. */
void workload_file_name(uint32_t file, char *out);

#endif
