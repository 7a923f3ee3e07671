/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test: timeout=900 torture
 *
 * placement_test [STEPS CRASH_STEPS RACE_STEPS CRASH_RACE_STEPS [TEST]]: what may happen to two files, their uploads
 * and the rules, in every order, on the real rooms from core down to the driver's interface (world.h, stage.h,
 * cloud.h).
 *
 * Searched in breadth: every walk of so many steps from where it begins; a state that was seen before is not walked
 * from again. Walks with a crash in them are shorter, since a crash takes as long as thirty other steps. Then, from
 * every state so few steps away, and one step further where time and clouds alone led there: a step of users is done in
 * the middle of what a thread of the program does, before each lock that it takes; what time and clouds do, in the
 * middle of a step of users; and a crash in the middle of either. After each walk all comes to rest.
 *
 * Seen to fail where each of these was broken on purpose: place_still asks not for the generation (a race), or not for
 * the epoch; a file that replaces a held one, or gets the name that one lost, by rename or anew, is not held; what a
 * tag, a link, a directory's tag or its loss keeps at home is not marked; a change cuts nothing that is under way; the
 * policy is not asked; an export keeps the mark; what was sent and not adopted is not deleted. */
#include "stage.h"
#include "state.h"
#include "world.h"

#include "base/log.h"
#include "fs/crypt/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WALK_MAX 16

struct walk {
	enum begin begin;
	enum step steps[WALK_MAX];
	unsigned count;
	/* and then, in the middle of one more, another: */
	const char *within; /* a thread's name, or SLOWLY: in the middle of the step itself; NULL: there is none */
	unsigned locks;
	enum step last, other;
};
#define SLOWLY "the step"

static struct walk walk; /* that is being gone */
static size_t walks;

static void report(const char *what)
{
	static const char *const begins[] = { "just written", "all is stored", "a is kept at home" };

	fprintf(stderr, "placement: %s\n  %s;", what, begins[walk.begin]);
	for (unsigned i = 0; i < walk.count; i++)
		fprintf(stderr, " %s;", step_names[walk.steps[i]]);
	if (walk.within)
		fprintf(stderr, " %s, and before lock %u of %s: %s", step_names[walk.last], walk.locks, walk.within,
			step_names[walk.other]);
	fprintf(stderr, "\n");
	world_print(stderr);
	abort();
}

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---- states that were seen ---- */

static struct {
	uint64_t *v; /* by hash; 0: free */
	size_t size, count;
} seen;

static void seen_clear(void)
{
	free(seen.v);
	seen.size = 1024;
	seen.count = 0;
	seen.v = must(calloc(seen.size, sizeof(*seen.v)));
}

static uint64_t *seen_place(uint64_t hash)
{
	size_t i = hash % seen.size;

	while (seen.v[i] && seen.v[i] != hash)
		i = (i + 1) % seen.size;
	return &seen.v[i];
}

static void seen_grow(void)
{
	uint64_t *old = seen.v;
	size_t size = seen.size;

	seen.size *= 2;
	seen.v = must(calloc(seen.size, sizeof(*seen.v)));
	for (size_t i = 0; i < size; i++)
		if (old[i])
			*seen_place(old[i]) = old[i];
	free(old);
}

/* false: it was seen before. */
static bool seen_add(uint64_t hash)
{
	uint64_t *place = seen_place(hash);

	if (*place)
		return false;
	*place = hash;
	if (2 * ++seen.count > seen.size)
		seen_grow();
	return true;
}

/* ---- every walk ---- */

/* Walks to states that are to be walked from, the shortest first, and which steps can be done there. */
static struct {
	struct ahead {
		struct walk walk;
		unsigned possible;
	} * v;
	size_t count, cap;
} ahead;

static void ahead_push(unsigned possible)
{
	if (ahead.count == ahead.cap) {
		ahead.cap = ahead.cap ? 2 * ahead.cap : 1024;
		ahead.v = must(realloc(ahead.v, ahead.cap * sizeof(*ahead.v)));
	}
	ahead.v[ahead.count++] = (struct ahead){ walk, possible };
}

static void go_there(void)
{
	world_begin(walk.begin);
	for (unsigned i = 0; i < walk.count; i++)
		world_do(walk.steps[i]);
	walks++;
}

static void go(void)
{
	unsigned possible = 0;
	uint64_t hash;

	go_there();
	hash = world_hash();
	for (unsigned s = 0; s < STEPS; s++)
		possible |= (unsigned)world_can(s) << s;
	world_rest();
	if (seen_add(hash))
		ahead_push(possible);
}

static bool crashes(const struct walk *w)
{
	for (unsigned i = 0; i < w->count; i++)
		if (w->steps[i] == CRASH)
			return true;
	return false;
}

/* Where all is stored already, one step less. */
static bool goes_on(const struct walk *w, unsigned steps)
{
	return w->count + (w->begin == STORED) < steps;
}

static void search(enum begin from, enum begin to, unsigned steps, unsigned crash_steps)
{
	seen_clear();
	ahead.count = 0;
	for (; from <= to; from++) {
		walk = (struct walk){ .begin = from };
		go();
	}
	for (size_t at = 0; at < ahead.count && ahead.v[at].walk.count < steps; at++)
		for (unsigned s = 0; s < STEPS; s++) {
			if (!goes_on(&ahead.v[at].walk, steps) || !(ahead.v[at].possible >> s & 1))
				continue;
			walk = ahead.v[at].walk;
			walk.steps[walk.count++] = s;
			if (walk.count <= crash_steps || !crashes(&walk))
				go();
		}
}

/* ---- a step in the middle of another ---- */

static unsigned locks_max;

/* false: the last step takes no such lock. */
static bool go_within(void)
{
	bool there;

	go_there();
	if (strcmp(walk.within, SLOWLY) == 0)
		there = world_do_slowly(walk.last, walk.locks, walk.other);
	else
		there = world_do_in(walk.last, walk.within, walk.locks, walk.other);
	world_rest();
	locks_max = walk.locks > locks_max ? walk.locks : locks_max;
	return there;
}

static void race(const struct ahead *from, const char *within, const enum step *lasts, const enum step *other_steps)
{
	walk = from->walk;
	walk.within = within;
	for (; *lasts != STEPS; lasts++)
		for (const enum step *other = other_steps; *other != STEPS; other++) {
			if (!(from->possible >> *lasts & from->possible >> *other & 1))
				continue;
			walk.last = *lasts;
			walk.other = *other;
			walk.locks = 1;
			while (go_within())
				walk.locks++;
		}
}

/* What time and clouds alone lead to; else of so many steps. */
static bool races_from(const struct walk *from, unsigned steps)
{
	for (unsigned i = 0; i < from->count; i++)
		if (from->steps[i] < TIME && from->count > steps)
			return false;
	return from->count <= steps + 1 && !crashes(from);
}

static const enum step users[] = { WRITE_A, TAG_A, UNTAG_A, TAG_DIR, UNTAG_DIR, MOVE_HOME, MOVE_OUT, REPLACE, LINK,
	UNLINK_PUB, UNLINK_HR, COPY, COPY_BACK, RELOAD, COPIES, AGREE_1, AGREE_2, AGREE_SOON, REFUSE, WITHDRAW, STEPS };
static const enum step others[] = { TIME, LONG, FAR_SENT, FAR_CONFIRMED, FAR_FAILED, NEAR_CONFIRMED, STEPS };
static const enum step crash[] = { CRASH, STEPS };

static void races(const struct ahead *from)
{
	race(from, "bfs-upload", others, users);
	race(from, "bfs-repair", others, users);
	race(from, "bfs-sched", others, users);
	race(from, SLOWLY, users, others);
}

/* The writer of the metadata has the name of the program. */
static void crash_races(const struct ahead *from)
{
	race(from, "bfs-upload", others, crash);
	race(from, "bfs-delete", others, crash);
	race(from, "bfs-repair", others, crash);
	race(from, "placement_test", others, crash);
	race(from, SLOWLY, users, crash);
}

static void race_all(void (*races_of)(const struct ahead *), unsigned steps)
{
	for (size_t at = 0; at < ahead.count && ahead.v[at].walk.count <= steps + 1; at++)
		if (races_from(&ahead.v[at].walk, steps))
			races_of(&ahead.v[at]);
}

/* ---- the whole ---- */

static double seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

/* How far is searched; -1: not at all. */
struct bounds {
	int steps, crash_steps, races, crash_races;
};
static struct bounds most;

static void tell(const char *what, int steps, double since)
{
	printf("placement: %s %d steps: %zu walks, %zu states, before up to %u locks, %.1f s\n", what, steps, walks,
		seen.count, locks_max, seconds() - since);
	walks = 0;
}

static void scene(const struct scene *s, struct bounds b)
{
	double start = seconds();

	walks = locks_max = 0;
	printf("placement: %s; with crashes: %d steps\n", s->name, b.crash_steps);
	world_open(s);
	search(s->kind == APPROVE ? KEPT : WRITTEN, s->kind == APPROVE ? KEPT : STORED, (unsigned)b.steps,
		b.crash_steps < 0 ? 0 : (unsigned)b.crash_steps);
	tell("every walk of", b.steps, start);
	start = seconds();
	if (b.races >= 0) {
		race_all(races, (unsigned)b.races);
		tell("steps within steps, away", b.races, start);
	}
	start = seconds();
	if (b.crash_races >= 0) {
		race_all(crash_races, (unsigned)b.crash_races);
		tell("crashes within steps, away", b.crash_races, start);
	}
	world_close();
}

static void test_deny(void **state)
{
	static const struct scene deny = { "export = deny", "export = deny\n", "", DENY, false };

	(void)state;
	scene(&deny, most);
}

static void test_allow(void **state)
{
	static const struct scene allow = { "export = allow", "export = allow\n", "", ALLOW, false };

	(void)state;
	scene(&allow, (struct bounds){ most.steps - 1, most.crash_steps, -1, -1 });
}

static void test_approve(void **state)
{
	static const struct scene approve = { "export = approve",
		"export = approve\napprovers = uid:1, uid:3\napprovals = 2\n", "", APPROVE, false };

	(void)state;
	scene(&approve, (struct bounds){ most.steps - 1, most.crash_steps - 1, most.races - 1, -1 });
}

static void test_copies(void **state)
{
	static const struct scene copies = { "export = deny, copies", "export = deny\n", "", DENY, true };

	(void)state;
	scene(&copies, (struct bounds){ most.steps - 1, most.crash_steps - 1, most.races - 1, -1 });
}

static void test_alone(void **state)
{
	static const struct scene alone = { "export = deny, pack = 0", "export = deny\n", "pack = 0\n", DENY, true };

	(void)state;
	scene(&alone, (struct bounds){ most.steps - 1, most.crash_steps - 1, -1, -1 });
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_deny), cmocka_unit_test(test_allow),
		cmocka_unit_test(test_approve), cmocka_unit_test(test_copies), cmocka_unit_test(test_alone) };
	bool deep = getenv("TEST_SCALE") && atoi(getenv("TEST_SCALE")) > 1;
	int *bounds[] = { &most.steps, &most.crash_steps, &most.races, &most.crash_races };

	most = deep ? (struct bounds){ 5, 3, 1, 0 } : (struct bounds){ 4, 2, 0, -1 };
	for (int i = 1; i < argc && i < 5; i++)
		*bounds[i - 1] = atoi(argv[i]);
	if (argc > 5)
		cmocka_set_test_filter(argv[5]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_init(getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, 0);
	if (crypt_init() < 0)
		return 2;
	world_report = report;
	stage_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
