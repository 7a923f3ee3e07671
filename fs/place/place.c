/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- zones ---------------------------------------------------------------------------------------------------- */

static struct zone_number *zone_by_name(struct place *p, const char *name)
{
	for (size_t i = 0; i < p->zone_count; i++)
		if (strcmp(p->zones[i].name, name) == 0)
			return &p->zones[i];
	return NULL;
}

static int zone_remember(struct place *p, uint32_t id, const char *name)
{
	struct zone_number *grown;
	char *copy = strdup(name ? name : "");
	int rc = copy ? 0 : -ENOMEM;

	pthread_rwlock_wrlock(&p->lock);
	if (rc == 0 && !zone_by_name(p, copy)) {
		grown = realloc(p->zones, (p->zone_count + 1) * sizeof *grown);
		rc = grown ? 0 : -ENOMEM;
		if (grown) {
			p->zones = grown;
			p->zones[p->zone_count++] = (struct zone_number){ id, copy };
			copy = NULL;
		}
	}
	pthread_rwlock_unlock(&p->lock);
	free(copy);
	return rc;
}

static int take_zone(void *ctx, struct meta_row *row)
{
	return zone_remember(ctx, (uint32_t)meta_row_i64(row, 0), meta_row_text(row, 1));
}

int zones_load(struct place *p)
{
	return meta_select(p->meta, "SELECT id, name FROM zone", take_zone, p, "");
}

struct zone_record {
	struct meta_record record;
	uint32_t id;
	enum zone_kind kind;
	int64_t now_s;
	char name[];
};

static void zone_apply(struct meta_txn *txn, struct meta_record *r)
{
	struct zone_record *z = container_of(r, struct zone_record, record);

	meta_txn_exec(txn,
		"INSERT INTO zone (id, name, kind, first_s) VALUES (?1, ?2, ?3, ?4) "
		"ON CONFLICT (id) DO UPDATE SET kind = excluded.kind",
		"itii", (int64_t)z->id, z->name, (int64_t)z->kind, z->now_s);
}

static void zone_free(struct meta_record *r)
{
	free(container_of(r, struct zone_record, record));
}

static bool zone_is_new(struct place *p, const char *name)
{
	bool new;

	pthread_rwlock_rdlock(&p->lock);
	new = !zone_by_name(p, name);
	pthread_rwlock_unlock(&p->lock);
	return new;
}

/* Its first key was made for it. */
static void audit_key(struct place *p, uint32_t zone)
{
	char facts[64];

	snprintf(facts, sizeof facts, "{\"zone\":%" PRIu32 ",\"epoch\":1,\"what\":\"made\"}", zone);
	audit_append(p, "key", facts);
}

static int zone_keep(struct place *p, uint32_t id, const struct config_zone *zone)
{
	struct zone_record *z = calloc(1, sizeof *z + strlen(zone->name) + 1);
	bool new = zone_is_new(p, zone->name);

	if (!z)
		return -ENOMEM;
	z->record = (struct meta_record){ .apply = zone_apply, .free = zone_free };
	z->id = id;
	z->kind = zone->kind;
	z->now_s = clock_real_ns() / NS_PER_S;
	strcpy(z->name, zone->name);
	meta_lock(p->meta);
	meta_queue(p->meta, &z->record);
	if (new)
		audit_key(p, id);
	meta_unlock(p->meta);
	return zone_remember(p, id, zone->name);
}

int zones_number(struct place *p, struct config *config, struct errmsg *msg)
{
	uint32_t id;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < config->zone_count; i++) {
		rc = keyring_zone(p->keyring, config->zones[i]->name, &id, msg);
		if (rc == 0)
			rc = zone_keep(p, id, config->zones[i]);
	}
	return rc;
}

uint32_t place_zone_id(struct place *p, const struct config_zone *zone)
{
	struct zone_number *z;
	uint32_t id;

	pthread_rwlock_rdlock(&p->lock);
	z = zone_by_name(p, zone->name);
	id = z ? z->id : 0;
	pthread_rwlock_unlock(&p->lock);
	return id;
}

char *place_zone_name(struct place *p, uint32_t zone_id)
{
	char *name = NULL;

	pthread_rwlock_rdlock(&p->lock);
	for (size_t i = 0; !name && i < p->zone_count; i++)
		if (p->zones[i].id == zone_id)
			name = strdup(p->zones[i].name);
	pthread_rwlock_unlock(&p->lock);
	return name;
}

struct config_zone *place_zone(struct place *p, const struct config *config, uint32_t zone_id)
{
	for (size_t i = 0; zone_id && i < config->zone_count; i++)
		if (place_zone_id(p, config->zones[i]) == zone_id)
			return config->zones[i];
	return NULL;
}

/* ---- the configuration in force --------------------------------------------------------------------------------- */

struct config *place_config(struct place *p)
{
	struct config *config;

	pthread_rwlock_rdlock(&p->lock);
	config = config_get(p->config);
	pthread_rwlock_unlock(&p->lock);
	return config;
}

void place_changed(struct place *p, struct inode *inode)
{
	inode->place_gen++;
	if (S_ISDIR(inode->mode) && inode->nlink > 0) {
		atomic_fetch_add(&p->epoch, 1);
		meta_pending_add_subtree(p->meta, inode->ino);
	} else if (inode->flags & INODE_EVER_STORED) {
		meta_pending_add(p->meta, inode->ino);
	}
}

uint64_t place_epoch(struct place *p)
{
	return atomic_load(&p->epoch);
}

/* The epoch is raised after the swap: who judged by the old rules has the old epoch. */
static void adopt(struct place *p, struct config *config)
{
	struct config *old;

	pthread_rwlock_wrlock(&p->lock);
	old = p->config;
	p->config = config_get(config);
	pthread_rwlock_unlock(&p->lock);
	meta_lock(p->meta);
	p->audit.lines_max = config->audit_lines;
	meta_unlock(p->meta);
	atomic_fetch_add(&p->epoch, 1);
	config_put(old);
}

int place_allows(struct place *p, const struct config *config, struct errmsg *msg)
{
	return baseline_check(p, config, msg);
}

int place_check(struct place *p, struct config *config, struct errmsg *msg)
{
	int rc = place_allows(p, config, msg);

	return rc < 0 ? rc : zones_number(p, config, msg);
}

static int take_over(struct place *p, struct config *config, struct errmsg *msg)
{
	int rc = place_check(p, config, msg);

	if (rc == 0 && (rc = baseline_keep(p, config)) < 0)
		errmsg_set(msg, rc, "the store cannot remember the policy: %s", err_text(rc));
	if (rc == 0)
		adopt(p, config);
	return rc;
}

int place_open(struct place **out, struct meta *meta, struct cache *cache, struct keyring *keyring,
	struct config *config, struct errmsg *msg)
{
	struct place *p = calloc(1, sizeof *p);
	int rc;

	*out = NULL;
	if (!p)
		return -ENOMEM;
	p->meta = meta;
	p->cache = cache;
	p->keyring = keyring;
	pthread_rwlock_init(&p->lock, NULL);
	atomic_init(&p->epoch, 1);
	media_init(&p->media);
	rotator_init(&p->audit.rotator);
	pthread_mutex_init(&p->votes, NULL);
	if ((rc = dirs_init(&p->dirs)) < 0 || (rc = audit_open(p, msg)) < 0 || (rc = counts_open(p, msg)) < 0 ||
		(rc = requests_open(p)) < 0 || (rc = zones_load(p)) < 0 || (rc = take_over(p, config, msg)) < 0) {
		place_close(p);
		return rc;
	}
	*out = p;
	return 0;
}

int place_start(struct place *p)
{
	return rotator_start(p);
}

void place_close(struct place *p)
{
	if (!p)
		return;
	audit_close(p);
	counts_close(p);
	pthread_mutex_destroy(&p->votes);
	dirs_free(&p->dirs);
	media_free(&p->media);
	for (size_t i = 0; i < p->zone_count; i++)
		free(p->zones[i].name);
	free(p->zones);
	config_put(p->config);
	pthread_rwlock_destroy(&p->lock);
	free(p);
}

int place_reload(struct place *p, struct config *config, struct errmsg *msg)
{
	return take_over(p, config, msg);
}
