/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/spare.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void spare_init(struct spare *s, size_t bytes, unsigned keep)
{
	assert(bytes >= sizeof s->first);
	memset(s, 0, sizeof *s);
	s->bytes = bytes;
	s->room = keep;
	pthread_mutex_init(&s->lock, NULL);
}

void spare_destroy(struct spare *s)
{
	void *next;

	for (void *p = s->first; p; p = next) {
		memcpy(&next, p, sizeof next);
		free(p);
	}
	pthread_mutex_destroy(&s->lock);
}

void *spare_get(struct spare *s)
{
	void *p;

	pthread_mutex_lock(&s->lock);
	if ((p = s->first)) {
		memcpy(&s->first, p, sizeof s->first);
		s->room++;
	}
	pthread_mutex_unlock(&s->lock);
	return p ? p : malloc(s->bytes);
}

void spare_put(struct spare *s, void *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&s->lock);
	if (s->room) {
		memcpy(p, &s->first, sizeof s->first);
		s->first = p;
		s->room--;
		p = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	free(p);
}
