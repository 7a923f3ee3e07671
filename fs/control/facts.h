/* SPDX-License-Identifier: GPL-3.0-or-later */
/* facts: what the commands print, as JSON objects: the one place that fixes their shape (docs/OPERATIONS.md).
 *
 * Names of files are bytes, JSON is UTF-8: a value that is valid UTF-8 stands as it is under its key; any other stands
 * there with its bytes above 0x7f as \xNN, for people, and whole under KEY_base64, for programs. */
#ifndef FS_CONTROL_FACTS_H
#define FS_CONTROL_FACTS_H

#include "config/config.h"
#include "fs/transfer/transfer.h"

#include <jansson.h>

/* facts_set_bytes: as above; 0 or -ENOMEM. facts_get_bytes: the exact bytes, malloc'd with a NUL after them, NULL where
 * the key is missing or its base64 is none. */
int facts_set_bytes(json_t *object, const char *key, const char *data, size_t len);
char *facts_get_bytes(const json_t *object, const char *key, size_t *len);

/* facts_where:
 * {"zone","rule","state","held","kept_back","size","backends":[],"objects":N,"object_names":[],"object_zones":[],
 * "peers":{backend: address},"objects_short":N,"objects_lost":N,"why","request"}; rule null is the default; why, null
 * where it is where its rules want it: a sentence; request: the number of what approvers are asked, or have agreed to,
 * or null. zone_name gives the name of a zone's number, NULL for one that the configuration no longer has. NULL when
 * out of memory. */
json_t *facts_where(const struct where *, const char *(*zone_name)(void *ctx, uint32_t zone_id), void *ctx);

/* facts_status:
 * {"name","store","zones":[{"name","kind","home","copies","backends_taking","blocks_short","blocks_lost","export","backends":[...]}],"waiting":{},
 * "cache":{}}; now_ns is the real clock, for ages in seconds. NULL when out of memory. */
json_t *facts_cache(const struct cache_status *);
json_t *facts_status(const struct config *, const struct transfer_status *, int64_t now_ns);
/* facts_usage: {"bytes","bytes_max","inodes","inodes_max"}, the bounds null where there is none; facts_quota: of a
 * section [quota NAME], with "name", and "user" or "group", as written there, and "id". NULL when out of memory. */
json_t *facts_usage(const struct meta_usage *has, const struct meta_usage *max);
json_t *facts_quota(const struct config_quota *, const struct meta_usage *has);

/* facts_move_plan, facts_move: what an order would do, and how it goes or ended: facts_move.c; now_s is the real clock.
 * NULL when out of memory. */
json_t *facts_move_plan(const struct transfer_move_plan *, int64_t deadline_s, int64_t now_s);
json_t *facts_move(const struct transfer_move *, int64_t now_s);

const char *facts_kind(enum zone_kind);	      /* "domestic" */
const char *facts_export(enum export_policy); /* "deny" */
const char *facts_mode(enum backend_mode);    /* "readwrite" */

/* facts_message: one finding of the configuration: {"file","line","level","text"}. */
json_t *facts_message(const struct config_message *);

/* facts_utc: a moment as RFC 3339 in UTC; null for one beyond the calendar. */
json_t *facts_utc(const struct timespec *);

#endif
