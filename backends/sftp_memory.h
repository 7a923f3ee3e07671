/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sftp_memory: the memory of one session of libssh2, by its allocation callbacks (libssh2_session_init_ex(3)). libssh2
 * (1.10) does not free an answer of a server that it refuses, one for each such answer: what a session has
 * left when it ends is freed with it. Freed bytes are wiped, since the private key and the session's keys are
 * among them. One thread at a time, as the session; nothing here blocks. */
#ifndef BACKENDS_SFTP_MEMORY_H
#define BACKENDS_SFTP_MEMORY_H

#include "base/list.h"

#include <libssh2.h>

struct sftp_memory {
	struct list blocks;
};

/* sftp_memory_session: a new session whose memory is m's, which must outlive it; NULL if there is none. To be freed by
 * libssh2_session_free and then sftp_memory_free. */
LIBSSH2_SESSION *sftp_memory_session(struct sftp_memory *m);
/* sftp_memory_free: what the session lost. Nothing of the session may be used after. */
void sftp_memory_free(struct sftp_memory *m);

#endif
