/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test: timeout=240 */
/* A backend is emptied: into one or into the others, whatever goes wrong meanwhile, and proves it. */
#include "tests/unit/fs-transfer/fault.h"

#include "fs/place/receipt.h"

#define ON(name) "[backend " name "]\ntype = local\npath = @/" name "\n"
#define ZONES(copies, near, rules)                                                                                     \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\nsettle = 20ms\n"                                     \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = near, near2, near3\ncopies = " copies                \
	"\nexport = allow\n[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\n" ON("near")                 \
		near ON("near2") ON("near3") ON("far") rules
#define ONE	    ZONES("1", "", CLOUD_RULES)
#define TWO	    ZONES("2", "", CLOUD_RULES)
#define ONE_SLOW    ZONES("1", "upload-limit = 50K/s\n", CLOUD_RULES)
#define READONLY    ZONES("1", "mode = readonly\n", CLOUD_RULES)
#define NOTHING_OUT ZONES("1", "", "\n[rule stays]\ntag = personal\nzone = home\n")
#define BYTES	    100000u

static const char *const names[] = { "near", "near2", "near3", "far" };

struct stores {
	struct cloud c;
	struct fault *f[COUNT(names)];
	uint8_t *data;
	uint64_t ino;
};

static void start(struct stores *m)
{
	cloud_open(&m->c, false);
	for (size_t i = 0; i < COUNT(names); i++)
		m->f[i] = fault_wrap(&m->c, names[i]);
	assert_int_equal(transfer_start(m->c.t), 0);
}

static void make(struct stores *m, const char *config)
{
	memset(m, 0, sizeof *m);
	store_make(&m->c.s, config);
	for (size_t i = 0; i < COUNT(names); i++)
		store_cloud(&m->c.s, names[i]);
	start(m);
	m->data = cloud_noise(BYTES, 3);
}

/* A file that is stored, and not in the cache. */
static void begin(struct stores *m, const char *config)
{
	make(m, config);
	m->ino = cloud_write(&m->c, META_ROOT_INO, "file", m->data, BYTES);
	cloud_sync(&m->c, m->ino);
	cloud_evict(&m->c);
}

static void end(struct stores *m)
{
	free(m->data);
	cloud_destroy(&m->c);
}

static void order(struct stores *m, const char *from, const char *to, int64_t deadline_s)
{
	struct errmsg msg = { 0 };
	int rc = transfer_move_begin(m->c.t, from, to, 7, deadline_s, &msg);

	if (rc < 0)
		fail_msg("%s", errmsg_text(&msg, rc));
}

/* The newest order, once it is as wanted. */
static struct transfer_move wait_for(struct stores *m, bool (*wanted)(const struct transfer_move *))
{
	struct transfer_move s;

	for (int i = 0; i < 2000; i++) {
		assert_int_equal(transfer_move_status(m->c.t, &s), 0);
		if (wanted(&s))
			return s;
		transfer_move_free(&s);
		fault_sleep(10);
	}
	assert_int_equal(transfer_move_status(m->c.t, &s), 0);
	fail_msg("the order stays as it is: %llu objects and %llu deletions left; %s",
		(unsigned long long)s.left.objects, (unsigned long long)s.deletions, s.trouble);
	return s;
}

static bool is_done(const struct transfer_move *s)
{
	return s->order.state == MOVE_DONE;
}

static bool is_stuck(const struct transfer_move *s)
{
	return s->trouble[0] && s->order.state == MOVE_UNDER_WAY;
}

static bool is_late(const struct transfer_move *s)
{
	return s->late;
}

static void expect_stuck(struct stores *m, const char *why)
{
	struct transfer_move s = wait_for(m, is_stuck);

	if (!strstr(s.trouble, why))
		fail_msg("it says \"%s\"", s.trouble);
	transfer_move_free(&s);
}

static json_t *receipt_of(struct stores *m, const struct transfer_move *s)
{
	char key[RECEIPT_KEY_TEXT];
	uint8_t public[RECEIPT_KEY_BYTES];

	assert_int_equal(receipt_key(m->c.s.keyring, key), 0);
	assert_int_equal(receipt_key_read(key, public), 0);
	assert_non_null(s->order.receipt);
	assert_int_equal(receipt_check(s->order.receipt, strlen(s->order.receipt), public, NULL), 0);
	return receipt_json(s->order.receipt, strlen(s->order.receipt));
}

static void expect_fact(const json_t *receipt, const char *name, const char *value)
{
	assert_string_equal(json_string_value(json_object_get(receipt, name)), value);
}

/* The order is done, its receipt holds, nothing is left on `from`, and the file is as it was. */
static json_t *expect_done(struct stores *m, const char *from)
{
	struct transfer_move s = wait_for(m, is_done);
	json_t *receipt = receipt_of(m, &s);

	expect_fact(receipt, "source", from);
	expect_fact(receipt, "left", "0");
	assert_string_equal(s.from, from);
	assert_int_equal(s.order.uid, 7);
	transfer_move_free(&s);
	if (m->ino) {
		cloud_evict(&m->c);
		cloud_expect(&m->c, m->ino, m->data, BYTES);
	}
	return receipt;
}

/* ---- what it does ---- */

static void test_drained(void **state)
{
	struct stores m;
	json_t *receipt;
	uint64_t later;

	(void)state;
	begin(&m, ONE);
	assert_int_equal(cloud_objects(&m.c, "near"), 1);
	order(&m, "near", NULL, 0);
	receipt = expect_done(&m, "near");
	expect_fact(receipt, "files", "1");
	expect_fact(receipt, "objects", "1");
	expect_fact(receipt, "bytes", "100000");
	expect_fact(receipt, "moved-objects", "1");
	expect_fact(receipt, "moved-bytes", "100000");
	expect_fact(receipt, "deleted-objects", "1");
	expect_fact(receipt, "asked-by", "uid 7");
	expect_fact(receipt, "target", "the other backends of its zone");
	json_decref(receipt);
	assert_int_equal(cloud_objects(&m.c, "near"), 0);
	assert_int_equal(cloud_objects(&m.c, "near2"), 2); /* the object, and a head of the audit log */
	/* and so it stays, over mounts too */
	cloud_close(&m.c);
	start(&m);
	later = cloud_write(&m.c, META_ROOT_INO, "later", m.data, BYTES);
	cloud_sync(&m.c, later);
	assert_int_equal(cloud_objects(&m.c, "near"), 0);
	end(&m);
}

static void test_into_one(void **state)
{
	struct stores m;
	json_t *receipt;

	(void)state;
	begin(&m, ONE);
	order(&m, "near", "near3", 0);
	receipt = expect_done(&m, "near");
	expect_fact(receipt, "target", "near3");
	json_decref(receipt);
	assert_int_equal(cloud_objects(&m.c, "near"), 0);
	assert_int_equal(fault_count(m.f[1], OP_PUT), 1); /* a head of the audit log */
	assert_int_equal(fault_count(m.f[2], OP_PUT), 2); /* and the object */
	end(&m);
}

/* With two copies the one that stays is read back, and the third backend gets another. */
static void test_with_copies(void **state)
{
	struct stores m;
	struct where w;

	(void)state;
	begin(&m, TWO);
	order(&m, "near", NULL, 0);
	json_decref(expect_done(&m, "near"));
	w = cloud_where(&m.c, m.ino);
	assert_int_equal(w.backend_count, 2);
	assert_int_equal(w.objects_short, 0);
	where_free(&w);
	assert_int_equal(cloud_objects(&m.c, "near"), 0);
	end(&m);
}

/* What is being sent there when the order comes is cut, and goes elsewhere. */
static void test_under_way(void **state)
{
	struct stores m;

	(void)state;
	make(&m, ONE_SLOW);
	m.ino = cloud_write(&m.c, META_ROOT_INO, "file", m.data, BYTES);
	fault_wait_sending(m.f[0]);
	order(&m, "near", NULL, 0);
	cloud_sync(&m.c, m.ino);
	json_decref(expect_done(&m, "near"));
	assert_int_equal(cloud_objects(&m.c, "near"), 0);
	end(&m);
}

static void write_more(void *ctx)
{
	struct stores *m = ctx;

	cloud_write(&m->c, META_ROOT_INO, "more", m->data, 5000);
}

static void test_written_meanwhile(void **state)
{
	struct stores m;

	(void)state;
	begin(&m, ONE);
	m.f[1]->ctx = &m;
	m.f[1]->before_put = write_more;
	order(&m, "near", "near2", 0);
	json_decref(expect_done(&m, "near"));
	cloud_sync(&m.c, 0);
	assert_int_equal(cloud_objects(&m.c, "near"), 0);
	end(&m);
}

/* A pack of which a member was deleted may not be copied: it is rewritten at once. */
static void test_dead_members(void **state)
{
	uint64_t inos[8];
	struct stores m;
	char name[8];

	(void)state;
	make(&m, ONE);
	for (unsigned i = 0; i < COUNT(inos); i++) {
		snprintf(name, sizeof name, "%u", i);
		inos[i] = cloud_write(&m.c, META_ROOT_INO, name, m.data + i, 6000);
	}
	cloud_sync(&m.c, 0);
	cloud_evict(&m.c);
	cloud_pwrite(&m.c, inos[0], m.data, 6000, 0);
	cloud_sync(&m.c, 0);
	order(&m, "near", NULL, 0);
	json_decref(expect_done(&m, "near"));
	assert_int_equal(cloud_objects(&m.c, "near"), 0);
	for (unsigned i = 1; i < COUNT(inos); i++)
		cloud_expect(&m.c, inos[i], m.data + i, 6000);
	end(&m);
}

/* ---- what may go wrong ---- */

static void test_source_dies(void **state)
{
	struct stores m;

	(void)state;
	begin(&m, ONE);
	fault_set(m.f[0], OP_GET, -ERR_UNREACHABLE);
	order(&m, "near", NULL, 0);
	expect_stuck(&m, "cannot be reached");
	assert_int_equal(cloud_objects(&m.c, "near"), 1);
	fault_set(m.f[0], OP_GET, 0);
	json_decref(expect_done(&m, "near"));
	end(&m);
}

static void test_target_full(void **state)
{
	struct stores m;

	(void)state;
	begin(&m, ONE);
	fault_set(m.f[1], OP_PUT, -ERR_QUOTA);
	order(&m, "near", "near2", 0);
	expect_stuck(&m, "cannot be reached");
	assert_int_equal(cloud_objects(&m.c, "near"), 1);
	fault_set(m.f[1], OP_PUT, 0);
	json_decref(expect_done(&m, "near"));
	assert_int_equal(fault_count(m.f[2], OP_PUT), 1); /* nothing but the head */
	end(&m);
}

static void spoil(void *ctx)
{
	struct stores *m = ctx;
	char command[320];

	snprintf(command, sizeof command,
		"for f in $(find %s/near2 -type f -name '[0-9a-f]*' ! -path '*/audit/*'); do printf x | dd of=$f bs=1 "
		"seek=5000 conv=notrunc "
		"status=none; done",
		m->c.s.dir);
	assert_int_equal(system(command), 0);
}

/* What the target confirmed is not what it gives back: it is made again before anything is deleted. */
static void test_read_back(void **state)
{
	struct stores m;

	(void)state;
	begin(&m, ONE);
	m.f[1]->ctx = &m;
	m.f[1]->after_put = spoil;
	order(&m, "near", "near2", 0);
	json_decref(expect_done(&m, "near"));
	end(&m);
}

static void test_goes_on(void **state)
{
	struct stores m;

	(void)state;
	begin(&m, ONE);
	fault_set(m.f[1], OP_PUT, -ERR_QUOTA);
	order(&m, "near", "near2", 0);
	expect_stuck(&m, "");
	cloud_close(&m.c);
	start(&m);
	json_decref(expect_done(&m, "near"));
	end(&m);
}

static void test_late(void **state)
{
	struct stores m;
	struct transfer_move s;

	(void)state;
	begin(&m, ONE);
	fault_set(m.f[1], OP_PUT, -ERR_QUOTA);
	order(&m, "near", "near2", clock_real_ns() / NS_PER_S + 2);
	s = wait_for(&m, is_late);
	assert_int_equal(s.left.bytes, BYTES);
	transfer_move_free(&s);
	end(&m);
}

static void test_cancelled(void **state)
{
	struct stores m;
	struct errmsg msg = { 0 };
	uint64_t later;

	(void)state;
	begin(&m, ONE);
	fault_set(m.f[1], OP_PUT, -ERR_QUOTA);
	order(&m, "near", "near2", 0);
	expect_stuck(&m, "");
	assert_int_equal(transfer_move_begin(m.c.t, "near3", NULL, 7, 0, &msg), -EBUSY);
	assert_non_null(strstr(errmsg_text(&msg, 0), "backend 'near' is being emptied"));
	errmsg_free(&msg);
	assert_int_equal(transfer_move_cancel(m.c.t, NULL, NULL), 0);
	assert_int_equal(transfer_move_cancel(m.c.t, NULL, &msg), -ENOENT);
	errmsg_free(&msg);
	later = cloud_write(&m.c, META_ROOT_INO, "later", m.data, BYTES);
	cloud_sync(&m.c, later);
	assert_int_equal(cloud_objects(&m.c, "near"), 2);
	end(&m);
}

/* ---- what may not be ordered ---- */

struct refusal {
	const char *config, *from, *to;
	int rc;
	const char *says;
};

static void test_refused(void **state)
{
	static const struct refusal rows[] = {
		{ ONE, "nowhere", NULL, -ENOENT, "there is no backend 'nowhere'" },
		{ ONE, "near", "nowhere", -ENOENT, "there is no backend 'nowhere'" },
		{ ONE, "near", "near", -EINVAL, "into itself" },
		{ ONE, "near2", "near", -EINVAL, "are they swapped?" },
		{ ONE, "far", NULL, -ENOSPC, "zone 'abroad' has no other backend than 'far'" },
		{ ONE, "near", "far", -ERR_HELD, "rule 'stays'" },
		{ ONE, "far", "near", -ERR_HELD, "rule 'out'" },
		{ ZONES("3", "", CLOUD_RULES), "near", NULL, -ENOSPC, "keeps 3 copies" },
		{ READONLY, "near", NULL, -ERR_FROZEN, "mode = frozen" },
		{ READONLY, "near2", "near", -ERR_FROZEN, "takes no new objects" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct errmsg msg = { 0 };
		struct stores m;
		int rc;

		begin(&m, rows[i].config);
		rc = transfer_move_begin(m.c.t, rows[i].from, rows[i].to, 7, 0, &msg);
		if (rc != rows[i].rc || !strstr(errmsg_text(&msg, rc), rows[i].says))
			fail_msg("row %zu: %s: %s", i, err_name(rc), errmsg_text(&msg, rc));
		errmsg_free(&msg);
		end(&m);
	}
}

/* Between zones the rules decide; where they have, the end is proved. */
static void test_across(void **state)
{
	struct stores m;
	uint64_t dir;
	json_t *receipt;

	(void)state;
	make(&m, ONE);
	dir = store_mkdir(&m.c.s, META_ROOT_INO, "public");
	m.ino = cloud_write(&m.c, dir, "file", m.data, BYTES);
	cloud_sync(&m.c, m.ino);
	assert_int_equal(cloud_objects(&m.c, "far"), 1);
	cloud_reload(&m.c, NOTHING_OUT);
	order(&m, "far", "near", 0);
	receipt = expect_done(&m, "far");
	expect_fact(receipt, "target-zone", "home");
	json_decref(receipt);
	assert_int_equal(cloud_objects(&m.c, "far"), 0);
	end(&m);
}

/* ---- what else lies there ---- */

static void shell(struct stores *m, const char *command)
{
	char line[512];

	snprintf(line, sizeof line, "cd %s && %s", m->c.s.dir, command);
	assert_int_equal(system(line), 0);
}

static void remove_file(struct stores *m, const char *name, uint64_t ino)
{
	struct inode *inode = store_inode(&m->c.s, ino);

	store_name(&m->c.s, META_ROOT_INO, name, 0);
	transfer_touch(m->c.t, ino);
	cache_inode_gone(m->c.s.cache, inode);
	store_put(&m->c.s, inode);
	cloud_sync(&m->c, 0);
}

/* An object that the store forgot is deleted; what is not sealed by it stays, and is said to be there. */
static void test_leftovers(void **state)
{
	struct stores m;
	json_t *receipt;
	uint64_t gone;

	(void)state;
	begin(&m, ONE);
	gone = cloud_write(&m.c, META_ROOT_INO, "gone", m.data, BYTES);
	cloud_sync(&m.c, gone);
	shell(&m, "cp -r near kept");
	remove_file(&m, "gone", gone);
	assert_int_equal(cloud_objects(&m.c, "near"), 1);
	shell(&m, "cp -rn kept/[0-9a-f][0-9a-f] near/ && mkdir -p near/00 && "
		  "echo no object of anybody >near/00/00112233445566778899aabbccddeeff && echo letter >near/letter");
	order(&m, "near", NULL, 0);
	receipt = expect_done(&m, "near");
	expect_fact(receipt, "erased-leftovers", "1");
	expect_fact(receipt, "not-of-this-store", "2");
	json_decref(receipt);
	assert_int_equal(cloud_objects(&m.c, "near"), 2);
	end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_into_one),
		cmocka_unit_test(test_with_copies),
		cmocka_unit_test(test_under_way),
		cmocka_unit_test(test_written_meanwhile),
		cmocka_unit_test(test_dead_members),
		cmocka_unit_test(test_source_dies),
		cmocka_unit_test(test_target_full),
		cmocka_unit_test(test_read_back),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_across),
		cmocka_unit_test(test_leftovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
