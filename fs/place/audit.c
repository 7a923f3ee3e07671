/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hash-chained log (I10). A line's mac is BLAKE2b, keyed, over the mac before it and the line; then the key becomes
 * BLAKE2b, keyed with itself, over a constant, and the old one is wiped: who steals the store today cannot forge the
 * lines of yesterday. The chain's end is kept in the setting `audit`, written with each line in its batch. */
#include "fs/place/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES   32
#define MAC_BYTES   32
#define CHAIN_BYTES (KEY_BYTES + MAC_BYTES)
#define STATE_BYTES (CHAIN_BYTES + 8) /* and the sequence number, as it is stored */

static const char ratchet_text[] = "borderfs audit ratchet";

/* Numbers are part of the format: never changed, only added to. */
static const struct {
	const char *kind;
	int number;
} kinds[] = { { "placement", 1 }, { "export", 2 }, { "transfer", 3 }, { "revoked", 4 }, { "deleted", 5 },
	{ "rules", 6 }, { "lost", 7 }, { "tampered", 8 }, { "connection", 9 } };

static int kind_number(const char *kind)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].kind, kind) == 0)
			return kinds[i].number;
	return 0;
}

struct line_record {
	struct meta_record record;
	uint64_t seq, ino;
	struct timespec time;
	int kind;
	uint8_t state[STATE_BYTES];
	size_t line_len;
	char line[];
};

static void line_apply(struct meta_txn *txn, struct meta_record *r)
{
	struct line_record *l = container_of(r, struct line_record, record);
	const void *mac = l->state + KEY_BYTES;

	if (l->ino)
		meta_txn_exec(txn,
			"INSERT INTO audit (seq, time_s, time_ns, kind, ino, line, mac) "
			"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			"iiiiibb", (int64_t)l->seq, (int64_t)l->time.tv_sec, (int64_t)l->time.tv_nsec, (int64_t)l->kind,
			(int64_t)l->ino, l->line, l->line_len, mac, (size_t)MAC_BYTES);
	else
		meta_txn_exec(txn,
			"INSERT INTO audit (seq, time_s, time_ns, kind, line, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
			"iiiibb", (int64_t)l->seq, (int64_t)l->time.tv_sec, (int64_t)l->time.tv_nsec, (int64_t)l->kind,
			l->line, l->line_len, mac, (size_t)MAC_BYTES);
	meta_txn_exec(txn, "INSERT OR REPLACE INTO setting (key, value) VALUES ('audit', ?1)", "b", l->state,
		(size_t)STATE_BYTES);
}

static void line_free(struct meta_record *r)
{
	struct line_record *l = container_of(r, struct line_record, record);

	sodium_memzero(l->state, sizeof l->state);
	free(l);
}

/* mac = BLAKE2b(key, mac || line); then the key moves on. */
static void advance(uint8_t *state, const char *line, size_t len)
{
	crypto_generichash_state h;
	uint8_t next[KEY_BYTES];

	crypto_generichash_init(&h, state, KEY_BYTES, MAC_BYTES);
	crypto_generichash_update(&h, state + KEY_BYTES, MAC_BYTES);
	crypto_generichash_update(&h, (const uint8_t *)line, len);
	crypto_generichash_final(&h, state + KEY_BYTES, MAC_BYTES);
	crypto_generichash(next, sizeof next, (const uint8_t *)ratchet_text, sizeof ratchet_text - 1, state, KEY_BYTES);
	memcpy(state, next, KEY_BYTES);
	sodium_memzero(next, sizeof next);
	sodium_memzero(&h, sizeof h);
}

static struct line_record *line_new(uint64_t seq, const char *kind, const char *json)
{
	struct timespec now;
	int64_t now_ns = clock_real_ns();
	struct line_record *l;
	size_t len;
	char *text = NULL;
	struct buf b = BUF_INIT;

	now.tv_sec = now_ns / NS_PER_S;
	now.tv_nsec = now_ns % NS_PER_S;
	buf_printf(&b, "{\"seq\":%llu,\"time\":%lld.%09ld,\"kind\":\"%s\",\"facts\":%s}", (unsigned long long)seq,
		(long long)now.tv_sec, now.tv_nsec, kind, json);
	len = b.len;
	text = buf_steal(&b);
	l = text ? calloc(1, sizeof *l + len) : NULL;
	if (l) {
		l->record = (struct meta_record){ .apply = line_apply, .free = line_free };
		l->time = now;
		l->seq = seq;
		l->kind = kind_number(kind);
		l->line_len = len;
		memcpy(l->line, text, len);
	}
	free(text);
	return l;
}

void audit_file(struct place *p, const char *kind, uint64_t ino, const char *json)
{
	struct audit *a = &p->audit;
	struct line_record *l = line_new(a->seq + 1, kind, json);

	if (!l) {
		log_error("audit: out of memory: a line of kind %s is missing", kind);
		return;
	}
	l->ino = ino;
	a->seq++;
	advance(a->state, l->line, l->line_len);
	memcpy(l->state, a->state, CHAIN_BYTES);
	put_le64(l->state + CHAIN_BYTES, a->seq);
	meta_queue(p->meta, &l->record);
}

void audit_append(struct place *p, const char *kind, const char *json)
{
	audit_file(p, kind, 0, json);
}

static void audit_begin(struct place *p)
{
	memcpy(p->audit.state, keyring_store_key(p->keyring, STORE_KEY_AUDIT), KEY_BYTES);
	memset(p->audit.state + KEY_BYTES, 0, MAC_BYTES);
	p->audit.seq = 0;
}

int audit_open(struct place *p, struct errmsg *msg)
{
	struct buf kept = BUF_INIT;
	int rc;

	if (!(p->audit.state = sodium_malloc(CHAIN_BYTES)))
		return errmsg_set(msg, -ENOMEM, "no locked memory is left for the audit key: raise `ulimit -l`");
	rc = meta_setting_get(p->meta, "audit", &kept);
	if (rc == -ENOENT) {
		audit_begin(p);
		rc = 0;
	} else if (rc == 0 && kept.len != STATE_BYTES) {
		rc = errmsg_set(msg, -ERR_CORRUPT, "the end of the audit log is not readable: run borderfs fsck");
	} else if (rc == 0) {
		memcpy(p->audit.state, kept.data, CHAIN_BYTES);
		p->audit.seq = get_le64(kept.data + CHAIN_BYTES);
	}
	if (kept.data)
		sodium_memzero(kept.data, kept.len);
	buf_free(&kept);
	return rc;
}

void audit_close(struct place *p)
{
	if (p->audit.state)
		sodium_free(p->audit.state);
	p->audit.state = NULL;
}

struct crossing_record {
	struct meta_record record;
	uint32_t from, to;
	int64_t month, files, bytes;
};

static void crossing_apply(struct meta_txn *txn, struct meta_record *r)
{
	struct crossing_record *c = container_of(r, struct crossing_record, record);

	meta_txn_exec(txn,
		"INSERT INTO crossing (from_zone, to_zone, month, files, bytes) VALUES (?1, ?2, ?3, ?4, ?5) "
		"ON CONFLICT (from_zone, to_zone, month) "
		"DO UPDATE SET files = files + excluded.files, bytes = bytes + excluded.bytes",
		"iiiii", (int64_t)c->from, (int64_t)c->to, c->month, c->files, c->bytes);
}

static void crossing_free(struct meta_record *r)
{
	free(container_of(r, struct crossing_record, record));
}

/* The day on which the present month (UTC) began, counted from 1970. */
static int64_t month_began(void)
{
	time_t now = (time_t)(clock_real_ns() / NS_PER_S);
	struct tm tm;

	gmtime_r(&now, &tm);
	return now / 86400 - (tm.tm_mday - 1);
}

void crossing_add(struct place *p, uint32_t from, uint32_t to, uint64_t files, uint64_t bytes)
{
	struct crossing_record *c = calloc(1, sizeof *c);

	if (!c) {
		log_error("audit: out of memory: the report will miss a crossing");
		return;
	}
	c->record = (struct meta_record){ .apply = crossing_apply, .free = crossing_free };
	c->from = from;
	c->to = to;
	c->month = month_began();
	c->files = (int64_t)files;
	c->bytes = (int64_t)bytes;
	meta_queue(p->meta, &c->record);
}
