/* SPDX-License-Identifier: GPL-3.0-or-later */
/* same: what a key holds, compared with what it should. */
#ifndef BACKENDS_SAME_H
#define BACKENDS_SAME_H

#include "backends/backend.h"

/* put_same: for drivers whose server takes a key only once. An answer that was lost makes the retry find its own object
 * under the key: 0 where the object is the source, byte for byte; -ERR_EXISTS where it is another; or the error of
 * looking. Reads the object back. */
int put_same(struct backend *, struct call *, const char *key, struct source *);

/* get_reaches: 0 where the object has end bytes at least; -ERR_TAMPERED, with a sentence, where it ends before; or the
 * error of looking. */
int get_reaches(struct backend *, struct call *, const char *key, uint64_t end);

#endif
