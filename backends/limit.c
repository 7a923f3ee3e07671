/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/limit.h"

#include "base/clock.h"

#define PIECES_PER_S 50
#define PIECE_MIN    1024u
#define PIECE_MAX    (64u << 10)
#define CREDIT_NS    (20 * NS_PER_MS) /* waits end a little late; this much of it is caught up */

void limit_init(struct limit *l, uint64_t rate, const struct config_backend *config)
{
	pthread_mutex_init(&l->lock, NULL);
	l->rate = rate;
	l->free_at_ns = 0;
	l->config = config;
}

void limit_destroy(struct limit *l)
{
	pthread_mutex_destroy(&l->lock);
}

static size_t piece_bytes(uint64_t rate)
{
	uint64_t piece = rate / PIECES_PER_S;

	return piece < PIECE_MIN ? PIECE_MIN : piece > PIECE_MAX ? PIECE_MAX : (size_t)piece;
}

static bool holds_now(const struct config_backend *config)
{
	unsigned now;

	if (!config || !config->limit_hours_count)
		return true;
	now = clock_local_minute();
	for (size_t i = 0; i < config->limit_hours_count; i++) {
		const struct config_hours *h = &config->limit_hours[i];

		if (h->from < h->to ? now >= h->from && now < h->to : now >= h->from || now < h->to)
			return true;
	}
	return false;
}

int64_t limit_reserve(struct limit *l, size_t *want)
{
	int64_t now = clock_mono_ns(), start;
	size_t piece;

	if (!l->rate || !holds_now(l->config))
		return 0;
	piece = piece_bytes(l->rate);
	if (*want > piece)
		*want = piece;
	pthread_mutex_lock(&l->lock);
	start = l->free_at_ns > now - CREDIT_NS ? l->free_at_ns : now - CREDIT_NS;
	l->free_at_ns = start + (int64_t)((double)*want * NS_PER_S / (double)l->rate);
	pthread_mutex_unlock(&l->lock);
	return start;
}
