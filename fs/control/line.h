/* SPDX-License-Identifier: GPL-3.0-or-later */
/* line: JSON, one object a line, over a Unix socket, with at most one descriptor beside it; both ends of the daemon's
 * protocol. Every wait ends at a deadline or when a descriptor that stands for "stop" becomes readable. */
#ifndef FS_CONTROL_LINE_H
#define FS_CONTROL_LINE_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

/* line_wait: until the socket is ready for events (poll's), or has hung up. wake_fd, if not -1: -ERR_STOPPED once it is
 * readable. 0, -ETIMEDOUT, -errno. Blocks. */
int line_wait(int sock, short events, int wake_fd, int64_t deadline_ns);

/* line_send: the object and a newline, with fd (-1: none; stays the caller's) on the first byte. As line_wait; -EPIPE
 * when the other end has gone. */
int line_send(int sock, const json_t *, int fd, int wake_fd, int64_t deadline_ns);

struct line_reader {
	int sock;	/* borrowed */
	int wake_fd;	/* borrowed, or -1 */
	size_t max;	/* bytes of one line: -EMSGSIZE beyond */
	int fd;		/* received, or -1: the reader's until taken; line_reader_free closes it */
	struct buf buf; /* received and not yet given out, from taken on */
	size_t taken, scanned;
};
void line_reader_init(struct line_reader *, int sock, int wake_fd, size_t max);
void line_reader_free(struct line_reader *);
/* line_receive: the next line as an object (the caller's to json_decref). -ENODATA at the end of the stream, -EPROTO
 * for what is no JSON object, for a line cut short and for more than one descriptor; as line_wait. Blocks. */
int line_receive(struct line_reader *, int64_t deadline_ns, json_t **out);

#endif
