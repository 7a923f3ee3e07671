/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I9: editors save by writing a new file and renaming it over the old, or by moving the old one away and making a new
 * one under its name. Either way the new file takes over the mark, and the tags if it has none of its own. Names lost
 * by held inodes are remembered for one quiet period, also where their directory goes and is made anew. */
#include "fs/core/file.h"

#include <stdlib.h>
#include <string.h>

#define HELD_NAMES_MAX 100000 /* a bound on memory: the oldest go first, and a file deleted by then is long settled */

struct lost_name {
	struct hash_node node, sibling; /* by parent and name; by parent */
	struct list order;
	int64_t expires_ns;
	uint64_t parent;
	uint64_t dir; /* a directory of this number, in which names were lost; 0: a file */
	struct held_name what;
	char name[];
};

struct lost_key {
	uint64_t parent;
	const char *name;
};

static bool lost_eq(const struct hash_node *node, const void *key)
{
	const struct lost_name *lost = container_of(node, struct lost_name, node);
	const struct lost_key *k = key;

	return lost->parent == k->parent && strcmp(lost->name, k->name) == 0;
}

static bool sibling_eq(const struct hash_node *node, const void *key)
{
	return container_of(node, struct lost_name, sibling)->parent == *(const uint64_t *)key;
}

static void enter(struct core *core, struct lost_name *lost)
{
	hash_insert(&core->held, &lost->node, hash_bytes(lost->name, strlen(lost->name), lost->parent));
	hash_insert(&core->held_siblings, &lost->sibling, hash_u64(lost->parent));
}

static void leave(struct core *core, struct lost_name *lost)
{
	hash_remove(&core->held, &lost->node);
	hash_remove(&core->held_siblings, &lost->sibling);
}

static void forget(struct core *core, struct lost_name *lost)
{
	leave(core, lost);
	list_remove(&lost->order);
	free(lost->what.tags);
	free(lost);
}

static void forget_expired(struct core *core)
{
	int64_t now = clock_mono_ns();

	while (!list_empty(&core->held_order)) {
		struct lost_name *lost = list_first(&core->held_order, struct lost_name, order);

		if (lost->expires_ns > now && core->held.count <= HELD_NAMES_MAX)
			return;
		forget(core, lost);
	}
}

int held_init(struct core *core)
{
	pthread_mutex_init(&core->held_lock, NULL);
	pthread_mutex_init(&core->writers_lock, NULL);
	list_init(&core->writers);
	list_init(&core->held_order);
	return hash_init(&core->held) < 0 || hash_init(&core->held_siblings) < 0 ? -ENOMEM : 0;
}

void held_free(struct core *core)
{
	while (core->held_order.next && !list_empty(&core->held_order))
		forget(core, list_first(&core->held_order, struct lost_name, order));
	hash_free(&core->held);
	hash_free(&core->held_siblings);
	pthread_mutex_destroy(&core->held_lock);
	pthread_mutex_destroy(&core->writers_lock);
}

static bool may_need_mark(struct core *core, struct inode *inode, bool open_only)
{
	bool may;

	meta_lock(core->meta);
	may = S_ISREG(inode->mode) && inode->nlink > 0 && !(inode->flags & INODE_HELD) &&
	      (!open_only || inode->writer_count > 0);
	meta_unlock(core->meta);
	return may;
}

/* Under the meta lock. */
static void mark(struct core *core, struct inode *inode)
{
	inode->flags |= INODE_HELD;
	place_changed(core->place, inode);
	meta_inode_changed(core->meta, inode);
}

/* Whatever changed since it was judged (writers may do so faster than anybody judges): it was at home by a rule, so it
 * is held. */
static int hold(struct core *core, struct inode *inode)
{
	struct placement placement;
	bool marks;
	int rc = place_evaluate(core->place, inode, &placement);

	if (rc < 0)
		return rc;
	marks = placement.kind == ZONE_DOMESTIC && placement.mark_held && !placement.want_content;
	if (marks && (rc = place_apply(core->place, inode, &placement)) == -ERR_STALE) {
		meta_lock(core->meta);
		mark(core, inode);
		meta_unlock(core->meta);
		rc = 0;
	}
	placement_free(&placement);
	return rc;
}

void hold_at_once(struct core *core, struct inode *inode)
{
	if (may_need_mark(core, inode, false))
		hold(core, inode);
}

void hold_named(struct core *core, struct inode *inode, uint64_t parent, const char *name)
{
	if (may_need_mark(core, inode, false) && place_name_marks(core->place, inode, parent, name))
		hold(core, inode);
}

static bool all_judged(struct core *core)
{
	return __atomic_load_n(&core->judged, __ATOMIC_ACQUIRE) == meta_pending_adds(core->meta) + 1;
}

void hold_before(struct core *core, struct inode *inode)
{
	if (may_need_mark(core, inode, all_judged(core)))
		hold(core, inode);
}

void hold_before_losing(struct core *core, struct inode *inode, uint64_t parent, const char *name)
{
	if (may_need_mark(core, inode, all_judged(core)) && place_name_marks(core->place, inode, parent, name))
		hold(core, inode);
}

/* ---- many files ------------------------------------------------------------------------------------------------- */

void hold_writer(struct core *core, struct core_file *file)
{
	pthread_mutex_lock(&core->writers_lock);
	list_append(&core->writers, &file->link);
	pthread_mutex_unlock(&core->writers_lock);
}

void hold_writer_gone(struct core *core, struct core_file *file)
{
	pthread_mutex_lock(&core->writers_lock);
	list_remove(&file->link);
	pthread_mutex_unlock(&core->writers_lock);
}

static int writers_list(struct core *core, uint64_t **out, size_t *count)
{
	size_t n = 0;

	pthread_mutex_lock(&core->writers_lock);
	list_for_each (it, &core->writers)
		n++;
	if ((*out = malloc((n + 1) * sizeof **out)))
		list_for_each (it, &core->writers)
			(*out)[(*count)++] = list_entry(it, struct core_file, link)->inode->ino;
	pthread_mutex_unlock(&core->writers_lock);
	return *out ? 0 : -ENOMEM;
}

/* A change meanwhile is judged by whoever makes it. What cannot be judged cannot be placed either: it stays where it
 * is, and in nobody's way. */
static int hold_one(struct core *core, uint64_t ino)
{
	struct inode *inode;
	uint64_t epoch = place_epoch(core->place), gen;
	int rc = meta_inode_get(core->meta, ino, &inode);

	if (rc < 0)
		return rc;
	meta_lock(core->meta);
	gen = inode->place_gen;
	meta_unlock(core->meta);
	if (may_need_mark(core, inode, false))
		rc = hold(core, inode);
	meta_lock(core->meta);
	if (rc == 0 && gen == inode->place_gen && epoch == place_epoch(core->place))
		meta_pending_judged(core->meta, ino);
	meta_unlock(core->meta);
	meta_inode_put(core->meta, inode);
	return rc;
}

static int hold_each(struct core *core, const uint64_t *inos, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (hold_one(core, inos[i]) == -ENOMEM)
			return -ENOMEM;
	return 0;
}

static int hold_writers(struct core *core)
{
	uint64_t *inos = NULL;
	size_t count = 0;
	int rc = writers_list(core, &inos, &count);

	if (rc == 0)
		rc = hold_each(core, inos, count);
	free(inos);
	return rc;
}

static int hold_pending(struct core *core)
{
	uint64_t inos[256], after = 0;
	int n, rc = meta_commit(core->meta);

	while (rc == 0) {
		if ((n = meta_pending_unjudged(core->meta, after, inos, 256)) <= 0)
			return n;
		after = inos[n - 1];
		rc = hold_each(core, inos, (size_t)n);
	}
	return rc;
}

int hold_all_before(struct core *core)
{
	uint64_t adds = meta_pending_adds(core->meta);
	int rc = hold_writers(core);

	if (rc < 0 || all_judged(core))
		return rc;
	if ((rc = hold_pending(core)) == 0)
		__atomic_store_n(&core->judged, adds + 1, __ATOMIC_RELEASE);
	return rc;
}

/* ---- names that were lost --------------------------------------------------------------------------------------- */

void held_from(struct core *core, struct inode *inode, struct held_name *out)
{
	const void *tags;

	memset(out, 0, sizeof(*out));
	meta_lock(core->meta);
	out->held = inode->flags & INODE_HELD;
	meta_unlock(core->meta);
	/* without its tags the mark alone still keeps the new file at home */
	if (!out->held || meta_xattrs_load(core->meta, inode) < 0)
		return;
	meta_lock(core->meta);
	tags = meta_xattr_find(inode, TAGS_XATTR, &out->tags_len);
	if (tags && (out->tags = malloc(out->tags_len + 1)))
		memcpy(out->tags, tags, out->tags_len);
	meta_unlock(core->meta);
}

static struct lost_name *lost_new(struct core *core, uint64_t parent, const char *name)
{
	struct lost_name *lost = calloc(1, sizeof(*lost) + strlen(name) + 1);

	if (!lost)
		return NULL;
	lost->parent = parent;
	strcpy(lost->name, name);
	lost->expires_ns = clock_mono_ns() + __atomic_load_n(&core->settle_ns, __ATOMIC_RELAXED);
	return lost;
}

/* Under held_lock. */
static struct lost_name *lost_find(struct core *core, uint64_t parent, const char *name)
{
	struct lost_key key = { parent, name };
	struct hash_node *node = hash_find(&core->held, hash_bytes(name, strlen(name), parent), lost_eq, &key);

	return node ? container_of(node, struct lost_name, node) : NULL;
}

/* Under held_lock. */
static void remember(struct core *core, struct lost_name *lost)
{
	struct lost_name *old = lost_find(core, lost->parent, lost->name);

	if (old)
		forget(core, old);
	enter(core, lost);
	list_append(&core->held_order, &lost->order);
	forget_expired(core);
}

void held_lost(struct core *core, uint64_t parent, const char *name, struct inode *inode)
{
	struct lost_name *lost;
	struct held_name what;

	held_from(core, inode, &what);
	if (!what.held)
		return;
	if (!(lost = lost_new(core, parent, name))) {
		free(what.tags);
		return;
	}
	lost->what = what;
	pthread_mutex_lock(&core->held_lock);
	remember(core, lost);
	pthread_mutex_unlock(&core->held_lock);
}

/* Under held_lock. */
static struct hash_node *lost_in(struct core *core, uint64_t dir)
{
	return hash_find(&core->held_siblings, hash_u64(dir), sibling_eq, &dir);
}

void held_dir_lost(struct core *core, uint64_t parent, const char *name, uint64_t dir)
{
	struct lost_name *lost;

	pthread_mutex_lock(&core->held_lock);
	forget_expired(core);
	if (lost_in(core, dir) && (lost = lost_new(core, parent, name))) {
		lost->dir = dir;
		remember(core, lost);
	}
	pthread_mutex_unlock(&core->held_lock);
}

void held_dir_made(struct core *core, uint64_t parent, const char *name, uint64_t dir)
{
	struct lost_name *lost;
	struct hash_node *node;
	uint64_t before;

	pthread_mutex_lock(&core->held_lock);
	forget_expired(core);
	lost = core->held.count > 0 ? lost_find(core, parent, name) : NULL;
	before = lost ? lost->dir : 0;
	if (before)
		forget(core, lost);
	while (before && (node = lost_in(core, before))) {
		lost = container_of(node, struct lost_name, sibling);
		leave(core, lost);
		lost->parent = dir;
		enter(core, lost);
	}
	pthread_mutex_unlock(&core->held_lock);
}

void held_take(struct core *core, uint64_t parent, const char *name, struct held_name *out)
{
	struct lost_name *lost;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&core->held_lock);
	forget_expired(core);
	lost = core->held.count > 0 ? lost_find(core, parent, name) : NULL;
	if (lost && !lost->dir) {
		*out = lost->what;
		lost->what.tags = NULL;
		forget(core, lost);
	}
	pthread_mutex_unlock(&core->held_lock);
}

void held_give(struct core *core, struct inode *inode, const struct held_name *from)
{
	size_t len;

	if (!from->held)
		return;
	if (from->tags && !meta_xattr_find(inode, TAGS_XATTR, &len))
		(void)meta_xattr_set(core->meta, inode, TAGS_XATTR, from->tags, from->tags_len);
	mark(core, inode);
}
