/* SPDX-License-Identifier: GPL-3.0-or-later */
/* err: the project's private errors, each with a POSIX class.
 *
 * Every function that can fail returns 0 (or a count) or a negative number: either -errno, or -ERR_NAME from the
 * table below. Translated to errno only at the FUSE edge (err_errno) and to a sentence only for people (err_text).
 * A caller that must tell a person more than the code says passes a struct errmsg, which the callee fills with one
 * sentence: what happened, to what, and what to do. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

/* name, POSIX class, text */
#define ERR_TABLE(X)                                                                                                   \
	X(TAMPERED, EIO, "data failed authentication")                                                                 \
	X(CORRUPT, EIO, "the store's own data is not consistent")                                                      \
	X(LOST, EIO, "an object that must exist is not on its backend")                                                \
	X(FORMAT, EIO, "not a format this version understands")                                                        \
	X(NEWER, EPROTO, "written by a newer version of borderfs")                                                     \
	X(CONFIG, EINVAL, "the configuration is not valid")                                                            \
	X(IDENTITY, EINVAL, "a backend is not the one this store knows under that name")                               \
	X(KEY, EACCES, "the passphrase or key does not open this store")                                               \
	X(SECRET_FILE, EACCES, "a secret file is not private to its owner")                                            \
	X(SECRET, EACCES, "a credential cannot be had")                                                                \
	X(LOCKED, EBUSY, "another borderfs is using this store")                                                       \
	X(PEER_ABROAD, EACCES, "the peer's address does not lie in the zone")                                          \
	X(PEER_TLS, EACCES, "the server's certificate was not accepted")                                               \
	X(REDIRECT, EACCES, "the server answered with a redirect, which is never followed")                            \
	X(BORDER, EACCES, "refused: these bytes may not go to that zone")                                              \
	X(REVOKED, ECANCELED, "the placement changed while the transfer was under way")                                \
	X(HELD, EPERM, "the file is held at home by the export policy")                                                \
	X(DENIED, EACCES, "the backend refused the credentials")                                                       \
	X(QUOTA, EDQUOT, "the backend's quota is used up")                                                             \
	X(TOO_LARGE, EFBIG, "the backend takes no objects of that size")                                               \
	X(ABSENT, ENOENT, "no such object on the backend")                                                             \
	X(NO_BUCKET, EHOSTUNREACH, "the bucket or directory does not exist")                                           \
	X(EXISTS, EEXIST, "an object of that name is already on the backend")                                          \
	X(UNREACHABLE, EHOSTUNREACH, "the backend cannot be reached")                                                  \
	X(TIMEOUT, ETIMEDOUT, "the backend did not answer in time")                                                    \
	X(BUSY, EBUSY, "the backend asks to slow down")                                                                \
	X(SERVER, EREMOTEIO, "the server failed")                                                                      \
	X(PROTOCOL, EPROTO, "the server's answer does not follow the protocol")                                        \
	X(CLOCK, EACCES, "the backend says the clock is wrong")                                                        \
	X(FROZEN, EROFS, "the backend takes no new objects")                                                           \
	X(NEED_FETCH, EAGAIN, "the data must be fetched first")                                                        \
	X(CACHE_FULL, ENOSPC, "the cache is full of data not yet on a backend")                                        \
	X(STALE, ESTALE, "changed meanwhile")                                                                          \
	X(STOPPED, ESHUTDOWN, "the filesystem is being unmounted")

enum err {
	ERR_FIRST = 1000,
#define X(name, class, text) ERR_##name,
	ERR_TABLE(X)
#undef X
		ERR_END
};

/* err_errno: the positive errno for a negative rc (private or -errno); 0 for rc >= 0. */
int err_errno(int rc);
/* err_text: a constant sentence fragment for rc; strerror for plain errnos. Never NULL; thread-safe. */
const char *err_text(int rc);
/* err_name: "TAMPERED" for -ERR_TAMPERED, "ENOENT" for -ENOENT; never NULL. For logs and JSON. */
const char *err_name(int rc);

/* A sentence for a person. Zero-initialise; errmsg_free releases it. Later calls of errmsg_set keep the first text:
 * the cause nearest to the fault wins. */
struct errmsg {
	char *text;
};
/* errmsg_set: formats the sentence unless one is there; m may be NULL. Returns rc, so that `return errmsg_set(...)`
 * reads well. */
int errmsg_set(struct errmsg *m, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* errmsg_prefix: puts "prefix: " before the text that is there, if any. */
void errmsg_prefix(struct errmsg *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* errmsg_text: the sentence, or err_text(rc) where none was set. */
const char *errmsg_text(const struct errmsg *m, int rc);
void errmsg_free(struct errmsg *m);

#endif
