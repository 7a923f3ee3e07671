/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve: what the FUSE daemons that borderfs is compared with share: they ask the kernel for what borderfs asks for. */
#ifndef TESTS_BENCH_SERVE_H
#define TESTS_BENCH_SERVE_H

#include <fuse_lowlevel.h>
#include <stddef.h>

#define CACHE_SECONDS (365.0 * 86400)
#define REQUEST_BYTES (1u << 20)

static inline void serve_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable & (FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
					      FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_CACHE_SYMLINKS);
	conn->want &= ~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA);
	conn->max_write = REQUEST_BYTES;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

/* serve: mount on dir and answer until it is unmounted. Returns the program's exit status. */
static inline int serve(const struct fuse_lowlevel_ops *ops, char *options, const char *dir)
{
	char name[] = "serve", o[] = "-o";
	char *words[] = { name, o, options };
	struct fuse_args args = FUSE_ARGS_INIT(3, words);
	struct fuse_session *session = fuse_session_new(&args, ops, sizeof(*ops), NULL);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int rc = -1;

	if (session && config && fuse_session_mount(session, dir) == 0) {
		rc = fuse_session_loop_mt(session, config);
		fuse_session_unmount(session);
	}
	if (session)
		fuse_session_destroy(session);
	fuse_loop_cfg_destroy(config);
	return rc != 0;
}

#endif
