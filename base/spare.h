/* SPDX-License-Identifier: GPL-3.0-or-later */
/* spare: large buffers of one size, for a moment each. What is given back is kept for the next to come: memory of this
 * size is fresh from the system each time it is allocated, and costs a page fault for every page. Thread-safe. */
#ifndef BASE_SPARE_H
#define BASE_SPARE_H

#include <pthread.h>
#include <stddef.h>

struct spare {
	size_t bytes;
	pthread_mutex_t lock; /* the two below; a leaf */
	void *first;	      /* those kept: each begins with the next */
	unsigned room;	      /* how many more are kept */
};

/* spare_init: at most `keep` are kept. spare_destroy: every buffer was given back. */
void spare_init(struct spare *, size_t bytes, unsigned keep);
void spare_destroy(struct spare *);
/* spare_get: unknown bytes; NULL: out of memory. spare_put accepts NULL. */
void *spare_get(struct spare *);
void spare_put(struct spare *, void *);

#endif
