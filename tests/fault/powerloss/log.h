/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log: what the recorder writes and the replayer reads: everything a process did to the files below one directory, in
 * order, with what it synced, and the workload's own marks between. One process, one machine: host byte order. */
#ifndef TESTS_FAULT_POWERLOSS_LOG_H
#define TESTS_FAULT_POWERLOSS_LOG_H

#include <stdint.h>

enum log_kind {
	LOG_FILE = 1, /* id: a file seen for the first time; data: its path, relative to the root */
	LOG_CREATE,   /* a new file id in directory dir; data: its name */
	LOG_MKDIR,    /* a new directory id in dir; data: its name */
	LOG_UNLINK,   /* the name in data leaves dir */
	LOG_RENAME,   /* from dir to the directory off; data: old name, NUL, new name */
	LOG_LINK,     /* id gets the name in data, in dir */
	LOG_WRITE,    /* off, data */
	LOG_SIZE,     /* the file's size becomes off */
	LOG_GROW,     /* the file's size becomes at least off */
	LOG_PUNCH,    /* off, len: zeros */
	LOG_SYNC,     /* id (a file or a directory) is synced: all entries before off (an index); id 0: everything */
	LOG_MARK,     /* data: the workload's */
};

struct log_entry {
	uint32_t kind, data_len;
	uint64_t id, dir;
	uint64_t off, len;
};

#endif
