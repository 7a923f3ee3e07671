/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hash-chained log (I10). A line's mac is BLAKE2b, keyed, over the mac before it and the line; then the key becomes
 * BLAKE2b, keyed with itself, over a constant, and the old one is wiped: who steals the store today cannot forge the
 * lines of yesterday. The chain's end is kept in the setting `audit`, written with each line in its batch. */
#include "fs/place/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define STATE_BYTES (sizeof(struct chain) + 8) /* and the number of the last line, as it is stored */

static const char ratchet_text[] = "borderfs audit ratchet";

/* Numbers are part of the format: never changed, only added to. */
static const struct {
	const char *kind;
	unsigned number;
} kinds[] = { { "placement", 1 }, { "export", 2 }, { "transfer", 3 }, { "revoked", 4 }, { "deleted", 5 },
	{ "rules", 6 }, { "lost", 7 }, { "tampered", 8 }, { "connection", 9 }, { "key", 10 }, { "tags", 11 },
	{ "approval", 12 }, { "limit", 13 }, { "move", 14 }, { "restored", 15 } };

const char *audit_kind_name(unsigned kind)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].number == kind)
			return kinds[i].kind;
	return NULL;
}

unsigned audit_kind(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].kind, name) == 0)
			return kinds[i].number;
	return 0;
}

struct line_record {
	struct meta_record record;
	uint64_t seq, ino;
	struct timespec time;
	unsigned kind;
	uint8_t state[STATE_BYTES];
	size_t line_len;
	char line[];
};

static void line_apply(struct meta_txn *txn, struct meta_record *r)
{
	struct line_record *l = container_of(r, struct line_record, record);
	const void *mac = l->state + offsetof(struct chain, mac);

	if (l->ino)
		meta_txn_exec(txn,
			"INSERT INTO audit (seq, time_s, time_ns, kind, ino, line, mac) "
			"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			"iiiiibb", (int64_t)l->seq, (int64_t)l->time.tv_sec, (int64_t)l->time.tv_nsec, (int64_t)l->kind,
			(int64_t)l->ino, l->line, l->line_len, mac, (size_t)AUDIT_MAC_BYTES);
	else
		meta_txn_exec(txn,
			"INSERT INTO audit (seq, time_s, time_ns, kind, line, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
			"iiiibb", (int64_t)l->seq, (int64_t)l->time.tv_sec, (int64_t)l->time.tv_nsec, (int64_t)l->kind,
			l->line, l->line_len, mac, (size_t)AUDIT_MAC_BYTES);
	meta_txn_exec(txn, "INSERT OR REPLACE INTO setting (key, value) VALUES ('audit', ?1)", "b", l->state,
		(size_t)STATE_BYTES);
}

static void line_free(struct meta_record *r)
{
	struct line_record *l = container_of(r, struct line_record, record);

	sodium_memzero(l->state, sizeof l->state);
	free(l);
}

void chain_mac(const struct chain *c, const char *text, size_t len, uint8_t mac[AUDIT_MAC_BYTES])
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, c->key, sizeof c->key, AUDIT_MAC_BYTES);
	crypto_generichash_update(&h, c->mac, sizeof c->mac);
	crypto_generichash_update(&h, (const uint8_t *)text, len);
	crypto_generichash_final(&h, mac, AUDIT_MAC_BYTES);
	sodium_memzero(&h, sizeof h);
}

void chain_ratchet(struct chain *c)
{
	uint8_t next[sizeof c->key];

	crypto_generichash(
		next, sizeof next, (const uint8_t *)ratchet_text, sizeof ratchet_text - 1, c->key, sizeof c->key);
	memcpy(c->key, next, sizeof c->key);
	sodium_memzero(next, sizeof next);
}

void chain_begin(struct chain *c, struct keyring *keyring)
{
	memcpy(c->key, keyring_store_key(keyring, STORE_KEY_AUDIT), sizeof c->key);
	memset(c->mac, 0, sizeof c->mac);
}

int chain_load(struct meta *meta, struct chain *c, uint64_t *seq)
{
	struct buf kept = BUF_INIT;
	int rc = meta_setting_get(meta, "audit", &kept);

	if (rc == 0 && kept.len != STATE_BYTES)
		rc = -ERR_CORRUPT;
	if (rc == 0) {
		memcpy(c, kept.data, sizeof *c);
		*seq = get_le64(kept.data + sizeof *c);
	}
	if (kept.data)
		sodium_memzero(kept.data, kept.len);
	buf_free(&kept);
	return rc;
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
	buf_printf(
		&b, AUDIT_LINE_HEAD AUDIT_LINE_KIND "%s}", seq, (int64_t)now.tv_sec, (uint32_t)now.tv_nsec, kind, json);
	len = b.len;
	text = buf_steal(&b);
	l = text ? calloc(1, sizeof *l + len) : NULL;
	if (l) {
		l->record = (struct meta_record){ .apply = line_apply, .free = line_free };
		l->time = now;
		l->seq = seq;
		l->kind = audit_kind(kind);
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
	chain_mac(a->chain, l->line, l->line_len, a->chain->mac);
	chain_ratchet(a->chain);
	memcpy(l->state, a->chain, sizeof *a->chain);
	put_le64(l->state + sizeof *a->chain, a->seq);
	meta_queue(p->meta, &l->record);
	if (a->seq - a->sealed.last > a->lines_max)
		rotator_wake(&a->rotator);
}

void audit_append(struct place *p, const char *kind, const char *json)
{
	audit_file(p, kind, 0, json);
}

static int take_number(void *ctx, struct meta_row *row)
{
	*(uint64_t *)ctx = (uint64_t)meta_row_i64(row, 0);
	return 0;
}

/* A log cannot go on from an end that is not its own: the next line would have the number of one that is there, or no
 * line before it. */
static int check_end(struct place *p, struct errmsg *msg)
{
	const struct audit *a = &p->audit;
	uint64_t last = 0;
	int rc = meta_select(p->meta, "SELECT ifnull(max(seq), 0) FROM audit WHERE seq > 0", take_number, &last, "");

	last = last > a->sealed.last ? last : a->sealed.last;
	if (rc < 0 || last <= a->seq)
		return rc;
	return errmsg_set(msg, -ERR_CORRUPT,
		"the audit log has lines up to number %" PRIu64 ", and the store remembers %" PRIu64
		" as its last one: somebody changed the store, or it is damaged. Keep it as it is; `borderfs audit "
		"verify` says what of the log holds. Bring the store back from a backup to mount it",
		last, a->seq);
}

int audit_open(struct place *p, struct errmsg *msg)
{
	struct audit *a = &p->audit;
	int rc;

	if (!(a->chain = sodium_malloc(sizeof *a->chain)))
		return errmsg_set(msg, -ENOMEM, "no locked memory is left for the audit key: raise `ulimit -l`");
	rc = chain_load(p->meta, a->chain, &a->seq);
	if (rc == -ENOENT) {
		chain_begin(a->chain, p->keyring);
		rc = 0;
	}
	if (rc == 0)
		rc = sealed_load(p->meta, &a->sealed);
	if (rc == -ERR_CORRUPT)
		return errmsg_set(msg, rc,
			"what the store keeps of the end of its audit log cannot be read: bring the store back from a "
			"backup");
	return rc < 0 ? rc : check_end(p, msg);
}

void audit_close(struct place *p)
{
	rotator_end(&p->audit.rotator);
	sodium_free(p->audit.chain);
	p->audit.chain = NULL;
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
	c->month = month_began(clock_real_ns());
	c->files = (int64_t)files;
	c->bytes = (int64_t)bytes;
	meta_queue(p->meta, &c->record);
}
