/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/http_slot.h"

#include <errno.h>
#include <stdlib.h>

/* closes the connection first, while the slot's close callback can still find its socket */
static void slot_close(struct http_slot *s)
{
	curl_easy_cleanup(s->easy);
	curl_multi_cleanup(s->multi);
	s->easy = NULL;
	s->multi = NULL;
	s->challenged = false;
}

static void slot_destroy(struct conn_slot *place)
{
	struct http_slot *s = container_of(place, struct http_slot, place);

	slot_close(s);
	free(s);
}

void http_pool_free(struct http *h)
{
	conn_pool_free(&h->pool, slot_destroy);
}

static int slot_open(struct http_slot *s)
{
	if (s->easy)
		return 0;
	s->multi = curl_multi_init();
	s->easy = curl_easy_init();
	if (!s->multi || !s->easy) {
		slot_close(s);
		return -ENOMEM;
	}
	curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, 1L);
	return 0;
}

static struct conn_slot *slot_new(void *http)
{
	struct http_slot *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	list_init(&s->sockets);
	s->http = http;
	return &s->place;
}

int http_pool_take(struct http *h, struct call *c, struct http_slot **out)
{
	struct conn_slot *place;
	int rc = conn_pool_take(&h->pool, c, h->config, slot_new, h, &place);

	*out = NULL;
	if (rc < 0)
		return rc;
	*out = container_of(place, struct http_slot, place);
	if ((rc = slot_open(*out)) < 0) {
		conn_pool_give(&h->pool, place);
		*out = NULL;
	}
	return rc;
}

void http_pool_give(struct http_slot *s, bool discard)
{
	if (discard)
		slot_close(s);
	conn_pool_give(&s->http->pool, &s->place);
}
