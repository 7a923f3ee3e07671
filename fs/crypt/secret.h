/* SPDX-License-Identifier: GPL-3.0-or-later */
/* secret: memory for keys: locked, between guard pages, left out of core dumps, wiped when freed (I5). Each piece
 * takes at least one locked page, and the limit on those is small (RLIMIT_MEMLOCK): for keys, not for data. */
#ifndef FS_CRYPT_SECRET_H
#define FS_CRYPT_SECRET_H

#include <stddef.h>

/* secret_alloc: len zeroed bytes, or NULL. Where the kernel refuses to lock them, a warning is logged once a process
 * and the memory is given all the same. Does not block; thread-safe. */
void *secret_alloc(size_t len);
void secret_free(void *); /* wipes; accepts NULL */

#endif
