/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

static uint64_t mix(uint64_t h, uint64_t v)
{
	h ^= v;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

uint64_t hash_seen(void)
{
	uint64_t h = w.now.dir_tag | w.now.closed << 1 | w.now.doubled << 2;

	for (int k = 0; k < SLOTS; k++)
		h = h * 7 + (uint64_t)(w.now.slots[k] + 1);
	for (int i = 0; i < FILES; i++)
		h = h * 16 + w.now.files[i].exists * 8u + w.now.files[i].content * 4u + w.now.files[i].tag * 2u +
		    w.now.files[i].held;
	return h;
}

/* What the policy let go is no longer held. */
static uint64_t mix_ns(uint64_t h, int64_t at_ns)
{
	int64_t in = at_ns - stage_now();

	return mix(h, (uint64_t)(in < -1 ? -1 : in > 3600 * NS_PER_S ? 1 : in));
}

static uint64_t mix_pass(uint64_t h, const struct pass *p)
{
	h = mix(h, p->zone_id);
	h = mix(h, p->gen == p->inode->place_gen);
	h = mix(h, p->epoch == place_epoch(core_place(w.f.core)));
	h = mix(h, p->version == p->inode->version);
	return mix(
		h, (uint64_t)p->working << 3 | (uint64_t)p->cancelled << 2 | (uint64_t)p->incomplete << 1 | p->failed);
}

static uint64_t mix_entry(uint64_t h, const struct entry *e)
{
	if (!e)
		return mix(h, 99);
	h = mix(h, e->state);
	h = mix(h, (uint64_t)e->early << 5 | (uint64_t)e->urgent << 4 | (uint64_t)e->touched << 3 |
			   (uint64_t)e->quiet_needed << 2 | (e->failures < 3 ? e->failures : 3));
	h = mix_ns(h, e->state == ENTRY_WAITING ? e->due_ns : 0);
	h = mix_ns(h, e->touched_ns + SETTLE_NS);
	return e->pass ? mix_pass(h, e->pass) : h;
}

/* Objects have random names: only whose they are counts. */
struct mix_ctx {
	uint64_t sum, salt;
};

static void mix_member(void *ctx, const char *backend, const struct cloud_member *m)
{
	struct mix_ctx *c = ctx;
	uint64_t h = mix(c->salt + (uint64_t)strlen(backend), (uint64_t)(file_of(m->ino) + 1));

	for (int i = 0; i < FILES; i++)
		h = mix(h, w.now.files[i].exists && file_is_content(i, m->plain, m->len));
	c->sum += h;
}

static struct extent extent_of(const struct file *file)
{
	struct extent e;
	struct inode *inode;
	struct block *b;

	assert_int_equal(meta_inode_get(core_meta(w.f.core), file->ino, &inode), 0);
	assert_int_equal(meta_block_get(core_meta(w.f.core), inode, 0, &b), 0);
	e = b->extent;
	meta_block_put(core_meta(w.f.core), b);
	meta_inode_put(core_meta(w.f.core), inode);
	return e;
}

/* Whether both files have the same bytes of one object. */
static bool is_shared(void)
{
	struct extent e[FILES];

	if (!w.now.files[0].exists || !w.now.files[1].exists)
		return false;
	e[0] = extent_of(&w.now.files[0]);
	e[1] = extent_of(&w.now.files[1]);
	return !extent_none(&e[0]) && extent_same(&e[0], &e[1]);
}

static uint64_t mix_file(uint64_t h, int i)
{
	const struct file *file = &w.now.files[i];
	struct inode *inode;
	struct block *b;

	if (!file->exists)
		return mix(h, 77);
	assert_int_equal(meta_inode_get(core_meta(w.f.core), file->ino, &inode), 0);
	assert_int_equal(meta_block_get(core_meta(w.f.core), inode, 0, &b), 0);
	h = mix(h, inode->flags | inode->zone_id << 8);
	h = mix(h, (uint64_t)b->dirty << 1 | extent_none(&b->extent));
	h = mix(h, extent_none(&b->extent) ? 0 : b->extent.zone_id);
	h = mix(h, file->synced == file->version);
	for (int k = 0; k < APPROVERS; k++)
		h = mix_ns(mix(h, file->approval.yes[k]), file->approval.yes[k] ? file->approval.until_ns[k] : 0);
	h = mix(h, (uint64_t)state_approved(file, file->content, file->version, stage_now()) << 1 |
			   (file->approval.version == file->version));
	h = mix(h, file->approval.fresh);
	meta_block_put(core_meta(w.f.core), b);
	meta_inode_put(core_meta(w.f.core), inode);
	return mix_entry(h, entry_find(core_transfer(w.f.core), file->ino));
}

static uint64_t mix_put(uint64_t h, const struct cloud_put *p)
{
	struct mix_ctx c = { .salt = 5 };

	for (size_t k = 0; k < p->member_count; k++)
		mix_member(&c, p->backend, &p->members[k]);
	return mix(mix(h, (uint64_t)p->side << 1 | p->sent), c.sum);
}

uint64_t world_hash(void)
{
	struct mix_ctx far = { .salt = 1 }, near = { .salt = 2 };
	struct transfer *t = core_transfer(w.f.core);
	uint64_t h = mix(hash_seen(), w.durable_hash);

	for (int i = 0; i < FILES; i++)
		h = mix_file(h, i);
	for (int k = 0; k < SLOTS; k++)
		h = mix_ns(mix(h, w.now.lost[k].held | w.now.lost[k].tag << 1),
			w.now.lost[k].held ? w.now.lost[k].until_ns : 0);
	for (const struct cloud_put *p = cloud_puts(); p; p = p->next)
		h = mix_put(h, p);
	cloud_each(FAR, mix_member, &far);
	cloud_each(NEAR, mix_member, &near);
	h = mix(h, (uint64_t)cloud_late() << 1 | is_shared());
	h = mix(h, (uint64_t)!list_empty(&t->repairs) << 1 | t->mirrors_changed);
	for (size_t i = 0; i < t->endpoints.count; i++)
		h = mix_ns(h, t->endpoints.v[i]->avoid_until_ns);
	h = mix(mix(h, far.sum), near.sum);
	return mix(h, store_saved() | (uint64_t)(w.crashes > 0) << 1);
}
