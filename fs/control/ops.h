/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ops: what a request does. Each operation is a row of the server's table; its context is the struct control. */
#ifndef FS_CONTROL_OPS_H
#define FS_CONTROL_OPS_H

#include "fs/control/control.h"
#include "fs/control/server.h"

struct control {
	struct control_options options;
	struct server *server;
	struct server *approvers; /* NULL: they have no socket of their own */
};

/* on the store: ops_store.c */
int op_status(struct request *);
int op_reload(struct request *);
int op_cache_drop(struct request *);
int op_umount(struct request *);
/* add_status: the facts of `status` become members of an object. Blocks on the local disk. */
int add_status(struct request *, json_t *to);
/* waiting for the backends: ops_sync.c */
int op_sync(struct request *);
/* what a reload would do: ops_plan.c */
int op_rules_plan(struct request *);
/* orders to empty a backend: ops_move.c */
int op_move_plan(struct request *);
int op_move(struct request *);
int op_move_cancel(struct request *);
int op_move_status(struct request *);
int op_audit_key(struct request *);
/* what is asked as evidence: ops_audit.c */
int op_audit_show(struct request *);
int op_audit_verify(struct request *);
int op_report(struct request *);
/* what approvers decide: ops_export.c */
int op_export_list(struct request *);
int op_export_vote(struct request *);
int op_export_withdraw(struct request *);
/* on a path: ops_path.c */
int op_where(struct request *);
int op_explain(struct request *);
/* on what of it stays in the cache: ops_cache.c */
int op_cache_pin(struct request *);
int op_cache_show(struct request *);

/* path_ino: the inode behind the request's descriptor. It must lie in this mount: -EXDEV, with a sentence. Asks the
 * kernel for what it knows already, so that the daemon never waits for itself. */
int path_ino(struct request *, uint64_t *ino);

/* walk: every regular file below a directory, depth first, with its path from there ("a/b", any bytes); fn's non-zero
 * result stops and is returned. A directory that goes away meanwhile is passed over. Blocks on the local disk. */
int walk(struct meta *, uint64_t dir, int (*fn)(void *ctx, uint64_t ino, const char *path, size_t len), void *ctx);

#endif
