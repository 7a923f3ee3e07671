/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sftp_conn: connections to an SSH server with an SFTP channel on each (SFTP version 3, draft-ietf-secsh-filexfer-02),
 * by libssh2; a pool of them per backend, each for one call at a time.
 *
 * I2 lives here: the peer's address is judged before connect, again before the first byte, the login included, is sent,
 * and again whenever a connection is used again; the host key is checked before the login. Nothing is taken from
 * ~/.ssh, an agent or the environment. I1 too: a cut call has its socket reset under the call's lock. */
#ifndef BACKENDS_SFTP_CONN_H
#define BACKENDS_SFTP_CONN_H

#include "backends/conn_pool.h"
#include "backends/secret.h"
#include "backends/sftp_memory.h"

#include <curl/curl.h>
#include <libssh2.h>
#include <libssh2_sftp.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define SFTP_KEY_BYTES_MAX 16384u

struct sftp {
	struct backend backend;
	struct conn_pool pool;
	struct secret key; /* the private one */
	char *host;
	int port;
	char *root;			/* the directory on the server, without a trailing slash */
	atomic_bool mark_seen, cleaned; /* as in local.h */
};

struct sftp_conn {
	struct conn_slot place; /* in the pool */
	struct sftp *sftp;
	CURL *easy; /* made the TCP connection, and owns it; NULL: not connected */
	CURLM *multi;
	int fd; /* of easy, or -1 */
	LIBSSH2_SESSION *session;
	struct sftp_memory memory; /* the session's */
	LIBSSH2_SFTP *channel;
	struct sockaddr_storage peer;
	bool broken; /* not to be used again */

	/* of the call under way */
	struct call *call;
	struct call_hook hook;
	struct errmsg refused_msg; /* guard_peer's for an address; decides only if no other address answered */
	int refused;
	int rc;		     /* why sftp_conn_wait ended it */
	int64_t progress_ns; /* monotonic: when bytes moved last, enough of them */
	size_t moved;	     /* bytes of answers since then */
};

/* sftp_conn_take: a connection that is logged in; waits its turn. -ERR_PEER_ABROAD, -ERR_PEER_TLS, -ERR_DENIED,
 * -ERR_UNREACHABLE, -ERR_TIMEOUT, what the call was cut with, with a sentence. Blocks on the network. */
int sftp_conn_take(struct sftp *, struct call *, struct sftp_conn **);
/* sftp_conn_give: back to the pool. */
void sftp_conn_give(struct sftp_conn *);
void sftp_conn_destroy(struct conn_slot *); /* for conn_pool_free */

/* sftp_conn_wait: after LIBSSH2_ERROR_EAGAIN: true when the function is to be called again; false (and the connection
 * is broken) when the call is over. */
bool sftp_conn_wait(struct sftp_conn *);
/* sftp_conn_moved: so many bytes of an answer came: a server that gives one now and then makes no progress.
 * sftp_conn_answered: all of an answer that has no bytes to count. */
void sftp_conn_moved(struct sftp_conn *, size_t bytes);
void sftp_conn_answered(struct sftp_conn *);
/* AWAIT: sets rc to the result of a function of libssh2 that may answer EAGAIN. AWAIT_SOME: the same of one that is
 * called again and again, whose bytes the caller counts. */
#define AWAIT_SOME(conn, rc, expression)                                                                               \
	do                                                                                                             \
		(rc) = (expression);                                                                                   \
	while ((rc) == LIBSSH2_ERROR_EAGAIN && sftp_conn_wait(conn))
#define AWAIT(conn, rc, expression)                                                                                    \
	do {                                                                                                           \
		AWAIT_SOME(conn, rc, expression);                                                                      \
		sftp_conn_answered(conn);                                                                              \
	} while (0)
/* sftp_conn_status: the SFTP status (LIBSSH2_FX_x) behind what AWAIT left in rc; -1 where it is no status: the
 * connection is broken then. LIBSSH2_FX_OK for rc >= 0. */
int sftp_conn_status(struct sftp_conn *, int rc);
/* sftp_conn_error: the error of the call for a status or, for -1, for the connection, with a sentence "… what". */
int sftp_conn_error(struct sftp_conn *, int status, const char *what);

#endif
