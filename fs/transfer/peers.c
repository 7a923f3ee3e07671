/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The audit log's lines about connections (I2, I10). Each new connection is a line with what was checked, so long as a
 * server does not close them faster than is worth knowing: of connections of which all that was found is the same, an
 * hour has PEER_LINES_MAX lines, and each line says for how many connections it stands. */
#include "fs/transfer/internal.h"

#include <stdio.h>

#define PEER_LINES_NS (3600 * NS_PER_S)

void peers_init(struct peers *p)
{
	pthread_mutex_init(&p->lock, NULL);
	p->count = p->next = 0;
}

void peers_destroy(struct peers *p)
{
	pthread_mutex_destroy(&p->lock);
}

static void put_text(struct buf *out, const char *key, const char *text)
{
	if (text)
		buf_printf(out, ",\"%s\":\"%s\"", key, text);
	else
		buf_printf(out, ",\"%s\":null", key);
}

/* Nothing in it needs quoting: names of backends are letters, digits, dots and dashes, the rest is ours. */
static bool describe(const struct connection *made, char out[PEER_FACTS_BYTES])
{
	struct buf b = BUF_INIT;
	bool fits;

	buf_printf(&b, "\"backend\":\"%s\"", made->backend);
	put_text(&b, "address", made->address);
	put_text(&b, "network", made->network);
	put_text(&b, "country", made->country);
	put_text(&b, "key", made->key);
	buf_printf(&b, ",\"pinned\":%s", made->pinned ? "true" : "false");
	if ((fits = !b.err && b.len < PEER_FACTS_BYTES))
		memcpy(out, b.data, b.len + 1);
	buf_free(&b);
	return fits;
}

static void write_line(struct transfer *t, struct peer *p)
{
	char line[PEER_FACTS_BYTES + 64];

	if (!p->connections)
		return;
	snprintf(line, sizeof line, "{%s,\"connections\":%llu}", p->facts, (unsigned long long)p->connections);
	p->connections = 0;
	meta_lock(t->meta);
	audit_append(t->place, "connection", line);
	meta_unlock(t->meta);
}

/* The oldest makes room, and what it still has to say is said. */
static struct peer *find(struct transfer *t, const char *facts)
{
	struct peers *all = &t->peers;
	struct peer *p;

	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->v[i].facts, facts) == 0)
			return &all->v[i];
	p = &all->v[all->next];
	all->next = (all->next + 1) % PEERS_MAX;
	all->count += all->count < PEERS_MAX;
	write_line(t, p);
	*p = (struct peer){ .since_ns = clock_mono_ns() };
	strcpy(p->facts, facts);
	return p;
}

void peers_connected(void *transfer, const struct connection *made)
{
	struct transfer *t = transfer;
	char facts[PEER_FACTS_BYTES];
	struct peer *p;

	if (!describe(made, facts)) {
		log_error("audit: no memory: the line about a connection of backend '%s' is missing", made->backend);
		return;
	}
	pthread_mutex_lock(&t->peers.lock);
	p = find(t, facts);
	p->connections++;
	if (clock_mono_ns() - p->since_ns >= PEER_LINES_NS) {
		p->since_ns = clock_mono_ns();
		p->lines = 0;
	}
	if (p->lines < PEER_LINES_MAX) {
		p->lines++;
		write_line(t, p);
	}
	pthread_mutex_unlock(&t->peers.lock);
}

void peers_flush(struct transfer *t)
{
	pthread_mutex_lock(&t->peers.lock);
	for (size_t i = 0; i < t->peers.count; i++)
		write_line(t, &t->peers.v[i]);
	pthread_mutex_unlock(&t->peers.lock);
}
