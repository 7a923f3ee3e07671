/* SPDX-License-Identifier: GPL-3.0-or-later */
/* background: a daemon that its caller sees come up: the parent waits until the child is ready, or has failed, and ends
 * with its status. */
#ifndef FS_CLI_BACKGROUND_H
#define FS_CLI_BACKGROUND_H

struct background {
	int pipe; /* the child's end; -1 in the foreground */
};

/* background_fork: in the child returns -1: it still has the caller's terminal, to ask for a passphrase and to
 * complain. In the parent blocks, and returns the status to exit with. Before any thread. */
int background_fork(struct background *);
/* background_ready: lets go of the caller: of its session, directory and standard descriptors; the parent ends with 0.
 */
void background_ready(struct background *);

#endif
