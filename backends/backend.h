/* SPDX-License-Identifier: GPL-3.0-or-later */
/* backend: ciphertext in and out of one storage endpoint.
 *
 * A driver is one struct backend_ops; retry, throttle, the circuit breaker, metering and fault injection are wrappers
 * of the same interface (STYLE §3). Nobody above this room calls ops: bytes leave through guard_put (guard.h) alone,
 * and the other calls go through backend_get and friends below.
 *
 * Every call blocks on the network (the local driver: on a disk) for a bounded time, may be made from any thread, as
 * many at once as config connections allows (others wait their turn, cancellably), and can be cut from another thread
 * through its struct call. */
#ifndef BACKENDS_BACKEND_H
#define BACKENDS_BACKEND_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "config/config.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct backend;
struct backend_status;
struct limit;	  /* backends/limit.h */
struct multipart; /* the driver's */

/* A body to send. read gives exactly len bytes at off (within length) or a negative error; it is called from the
 * thread of the request, and again from offset 0 when the request is tried again: always the same bytes. */
struct source {
	uint64_t length;
	int (*read)(struct source *, uint64_t off, void *buf, size_t len);
};
struct source_memory {
	struct source source;
	const uint8_t *data;
};
/* source_memory: a source over bytes the caller keeps alive. */
struct source *source_memory(struct source_memory *, const void *data, size_t len);

/* Where a body received goes; write takes all of it or returns a negative error, which ends the request. */
struct sink {
	int (*write)(struct sink *, const void *data, size_t len);
};
struct sink_memory {
	struct sink sink;
	uint8_t *data;
	size_t len, max; /* -ERR_PROTOCOL past max */
};
struct sink *sink_memory(struct sink_memory *, void *data, size_t max);
/* A body of unknown length; whoever makes the request bounds it (http_request.sink_max). The caller frees buf. */
struct sink_buf {
	struct sink sink;
	struct buf buf;
};
struct sink *sink_buf(struct sink_buf *);

/* A connection, and what was checked of it (I2). */
struct connection {
	const char *backend;
	const char *address; /* of the peer, with its port */
	const char *network; /* of the zone that holds the address, or NULL */
	const char *country; /* of the address by the country-db, or NULL */
	const char *key;     /* the server's: as pin-sha256 or host-key-sha256 has it; NULL where it has none */
	bool pinned;	     /* the key is one that the configuration names */
};

/* One call under way, so that another thread can end it. The lock protects the rest of the struct; it is a leaf. While
 * it is held no system call that can wait is made but the local driver's write of one chunk. */
struct call {
	pthread_mutex_t lock;
	int cut;	     /* 0, or the error the call ends with */
	struct list conns;   /* the open sockets of the request, see http.c */
	int64_t deadline_ns; /* monotonic, of the whole call with its retries; INT64_MAX: none but the config's timeouts
			      */
	/* Asked immediately before each request that carries a body (I1): 0 to go on. NULL for calls without one. */
	int (*check)(struct call *);
	uint32_t zone_id; /* the zone whose bytes these are (I1); 0 for calls without a body */
	/* Told of each connection that was made for the call and found good, before the first request on it; with no
	 * lock held. May block on the local disk. May be NULL. */
	void (*connected)(void *ctx, const struct connection *);
	void *connected_ctx;
	bool retry_quick; /* no waits between tries: a person waits for the answer */
	/* filled in by the call */
	char peer[64];	    /* address of the peer spoken to last, "" if none */
	uint64_t body_sent; /* bytes of bodies handed to the kernel, or to curl for it */
	struct errmsg *msg; /* or NULL */
	/* between the wrappers and the driver */
	struct limit *upload, *download; /* what each piece of a body waits for; NULL: no limit */
	int64_t retry_after_ns;		 /* what the server asked for with the last error; 0: nothing */
	unsigned secret_version;	 /* of the credential that was used last */
	bool own_wait;			 /* the deadline passed in a queue of ours: no fault of the backend */
};
void call_init(struct call *);
void call_destroy(struct call *);
/* call_cut: ends the call with rc (negative), from any thread: when it returns no further byte of a body leaves this
 * machine for it. Sockets are reset at once, dropping what the kernel still held to send (connect to AF_UNSPEC);
 * a retry does not happen. Idempotent. Does not block on the network. */
void call_cut(struct call *, int rc);

struct backend_object {
	const char *key; /* without the backend's prefix */
	uint64_t size;
	int64_t mtime_ns; /* real clock; 0 where the backend gives none */
};

/* Something of ours that a backend keeps: an object as it is; an older version of one, or the mark of its deletion,
 * which a versioned bucket keeps; or a multipart upload that was begun and not ended. */
enum remnant_kind { REMNANT_OBJECT, REMNANT_VERSION, REMNANT_MARKER, REMNANT_UPLOAD };
struct backend_remnant {
	enum remnant_kind kind;
	char *key; /* without the backend's prefix */
	char *id;  /* of the version or the upload; "" where the server has none */
};
/* A page of them, and where the next begins; zeroed before the first. */
struct backend_remnants {
	struct backend_remnant *v; /* malloc'd, as is all in it */
	size_t count, cap;
	bool more;
	bool uploads;	  /* the driver's: what is listed; objects and versions come first */
	char *key, *mark; /* and from where on */
};

enum backend_caps {
	BACKEND_RANGE = 1,	 /* get of a part */
	BACKEND_MULTIPART = 2,	 /* multipart_* are there */
	BACKEND_CREATE_ONLY = 4, /* put fails on an existing key (-ERR_EXISTS) */
	BACKEND_WRAPS = 8,	 /* not a driver: passes calls on to another backend */
};

struct backend_ops {
	const char *type; /* as written in the INI */
	unsigned caps;

	/* put: the whole body under key, confirmed and durable as far as the backend promises when it returns 0. A
	 * body cut short leaves no object under key. -ERR_EXISTS where the key is taken and the driver can tell. */
	int (*put)(struct backend *, struct call *, const char *key, struct source *);
	/* get: exactly [off, off+len) to the sink, or an error; a longer, shorter or other answer is -ERR_PROTOCOL.
	 * -ERR_TAMPERED, with a sentence, where what is under key cannot hold the range: it ends before, or is no
	 * object of ours at all (I6). -ERR_ABSENT only on a confirmed "no such object" (I7). */
	int (*get)(struct backend *, struct call *, const char *key, uint64_t off, uint64_t len, struct sink *);
	int (*head)(struct backend *, struct call *, const char *key, uint64_t *size);
	/* del: absent is 0. Nothing of it is kept when it returns 0: no version, no mark. */
	int (*del)(struct backend *, struct call *, const char *key);
	/* list: every object below the backend's prefix, in key order, across pages; stops with fn's non-zero result.
	 */
	int (*list)(struct backend *, struct call *, int (*fn)(void *ctx, const struct backend_object *), void *ctx);
	/* remnants: the next page of everything below the prefix, whatever list shows of it; what the page held before
	 * is freed. erase: one of them; absent is 0. NULL: all there can be is what list shows, and del removes it. */
	int (*remnants)(struct backend *, struct call *, struct backend_remnants *);
	int (*erase)(struct backend *, struct call *, const struct backend_remnant *);
	/* probe: the endpoint answers, the credentials are accepted, the bucket is there. No body is sent. */
	int (*probe)(struct backend *, struct call *);

	/* Large bodies (above MULTIPART_BYTES), only with BACKEND_MULTIPART; part numbers start at 1. complete and
	 * abort free the upload; after a failed complete the caller aborts. */
	int (*multipart_begin)(struct backend *, struct call *, const char *key, struct multipart **);
	int (*multipart_part)(struct backend *, struct call *, struct multipart *, unsigned number, struct source *);
	int (*multipart_complete)(struct backend *, struct call *, struct multipart *);
	void (*multipart_abort)(struct backend *, struct call *, struct multipart *);

	/* renew: after -ERR_DENIED: whether there are other credentials now than those the call used, so that another
	 * try may be accepted. Blocks on the local disk, or a command. NULL: it has none. */
	bool (*renew)(struct backend *, struct call *);

	/* status, is_down: see backend_status and backend_is_down; NULL in drivers. */
	void (*status)(struct backend *, struct backend_status *);
	bool (*is_down)(struct backend *, int64_t *retry_at_ns);

	void (*free)(struct backend *); /* also of what it wraps */
};

#define MULTIPART_BYTES	     (64u << 20)
#define MULTIPART_PART_BYTES (16u << 20)

/* What status shows; a copy, taken under the backend's own lock. */
struct backend_status {
	bool up;			   /* false while the breaker is open */
	int last_error;			   /* negative; 0 once the backend has answered again */
	int64_t last_error_ns, last_ok_ns; /* real clock, 0: never */
	char last_message[256];
	char peer[64];
	uint64_t requests, failures, bytes_sent, bytes_received;
	int64_t latency_ns; /* smoothed, of requests without a large body */
};

struct backend {
	const struct backend_ops *ops;
	struct config_backend *config; /* borrowed; the owner of the backend keeps the struct config alive */
	uint32_t zone_id;	       /* the keyring's number of config->zone */
	bool known;		       /* objects of ours were confirmed there: an empty place is another one (I7) */
};

/* backend_open: the driver for config->type inside its wrappers (limit, retry, breaker, meter). Reads the secret; does
 * not touch the network. known: the store has confirmed objects there, so that a directory without the driver's mark is
 * not the right one (its disk is not mounted), and is not made into it. -ERR_CONFIG for an unknown type,
 * -ERR_SECRET_FILE, -errno, with a sentence. */
int backend_open(struct backend **, struct config_backend *, uint32_t zone_id, bool known, struct errmsg *);
void backend_free(struct backend *); /* accepts NULL; no call may be under way */

int backend_get(struct backend *, struct call *, const char *key, uint64_t off, uint64_t len, struct sink *);
int backend_head(struct backend *, struct call *, const char *key, uint64_t *size);
int backend_del(struct backend *, struct call *, const char *key);
int backend_list(struct backend *, struct call *, int (*fn)(void *ctx, const struct backend_object *), void *ctx);
/* backend_remnants: everything below the prefix, objects and versions first; stops with fn's non-zero result. Whatever
 * is there from before the call to its end is given. backend_erase: one of them. */
int backend_remnants(struct backend *, struct call *, int (*fn)(void *ctx, const struct backend_remnant *), void *ctx);
int backend_erase(struct backend *, struct call *, const struct backend_remnant *);
int backend_probe(struct backend *, struct call *);
void backend_status(struct backend *, struct backend_status *);
/* backend_is_down: true when the breaker is open: callers that can wait do not try. retry_at_ns (monotonic) is when it
 * lets one through again. Never blocks. */
bool backend_is_down(struct backend *, int64_t *retry_at_ns);

#endif
