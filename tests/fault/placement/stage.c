/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stage.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000LL

/* What the linker makes of the names in ldflags. */
#define WRAPPED(name, args)                                                                                            \
	int __real_##name args;                                                                                        \
	int __wrap_##name args
WRAPPED(pthread_create, (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *));
WRAPPED(pthread_join, (pthread_t, void **));
WRAPPED(pthread_mutex_lock, (pthread_mutex_t *));
WRAPPED(pthread_mutex_unlock, (pthread_mutex_t *));
WRAPPED(pthread_rwlock_rdlock, (pthread_rwlock_t *));
WRAPPED(pthread_rwlock_wrlock, (pthread_rwlock_t *));
WRAPPED(pthread_rwlock_unlock, (pthread_rwlock_t *));
WRAPPED(pthread_cond_wait, (pthread_cond_t *, pthread_mutex_t *));
WRAPPED(pthread_cond_timedwait, (pthread_cond_t *, pthread_mutex_t *, const struct timespec *));
WRAPPED(pthread_cond_signal, (pthread_cond_t *));
WRAPPED(pthread_cond_broadcast, (pthread_cond_t *));
WRAPPED(clock_gettime, (clockid_t, struct timespec *));

enum actor_state { RUNNABLE, WAITING, STOPPED, SETTLING, DONE };

struct actor {
	struct actor *next;
	enum actor_state state;
	uint64_t turn;	  /* who became runnable, or began to wait, first */
	const void *what; /* WAITING: a condition, a lock, or a thread to be joined */
	int64_t deadline_ns;
	bool timed_out;
	pthread_t thread;
	pthread_cond_t baton;
	char name[16];
	unsigned locks; /* that it takes until it is interrupted */
	void *(*fn)(void *);
	void *arg;
};

/* Protects everything below; only who has the baton, the current one, runs at all. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct actor *actors, *current, *interrupted;
static _Thread_local struct actor *self;
static int64_t now_ns;
static uint64_t turns;
static unsigned blocked; /* that wait for a lock */
static char interrupt_name[16];
static unsigned interrupt_count;
static const void *spared;

static void actor_runs(struct actor *a)
{
	a->state = RUNNABLE;
	a->turn = ++turns;
}

static struct actor *first_in(enum actor_state state, const void *what)
{
	struct actor *first = NULL;

	for (struct actor *a = actors; a; a = a->next)
		if (a->state == state && (!what || a->what == what) && (!first || a->turn < first->turn))
			first = a;
	return first;
}

static int64_t earliest(void)
{
	int64_t at = INT64_MAX;

	for (struct actor *a = actors; a; a = a->next)
		if (a->state == WAITING && a->deadline_ns < at)
			at = a->deadline_ns;
	return at;
}

static void time_is(int64_t ns)
{
	now_ns = ns > now_ns ? ns : now_ns;
	for (struct actor *a = actors; a; a = a->next) {
		if (a->state != WAITING || a->deadline_ns > now_ns)
			continue;
		a->timed_out = true;
		actor_runs(a);
	}
}

static void deadlock(void)
{
	static const char *const names[] = { "runnable", "waiting", "stopped", "settling", "done" };

	fprintf(stderr, "stage: nobody can go on:\n");
	for (struct actor *a = actors; a; a = a->next)
		if (a->state != DONE)
			fprintf(stderr, "  %s: %s %p\n", a->name, names[a->state], a->what);
	abort();
}

static struct actor *choose(void)
{
	struct actor *a;

	for (;;) {
		if ((a = first_in(RUNNABLE, NULL)) || (a = first_in(SETTLING, NULL)))
			return a;
		/* the test's own thread waits: for somebody who was interrupted, or for time to pass */
		if (interrupted)
			stage_resume();
		else if (earliest() != INT64_MAX)
			time_is(earliest());
		else
			deadlock();
	}
}

/* With the lock: others run until it is this one's turn again. */
static void pass_on(void)
{
	struct actor *a = choose();

	current = a;
	if (a == self)
		return;
	__real_pthread_cond_signal(&a->baton);
	if (self->state == DONE)
		return;
	while (current != self)
		__real_pthread_cond_wait(&self->baton, &lock);
}

static void wait_for(const void *what, int64_t deadline_ns)
{
	self->state = WAITING;
	self->turn = ++turns;
	self->what = what;
	self->deadline_ns = deadline_ns;
	self->timed_out = false;
	pass_on();
}

static void wake(const void *what, bool all)
{
	struct actor *a;

	while ((a = first_in(WAITING, what))) {
		actor_runs(a);
		if (!all)
			return;
	}
}

/* ---- threads ---- */

static struct actor *actor_new(void)
{
	struct actor *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	pthread_cond_init(&a->baton, NULL);
	a->next = actors;
	actors = a;
	actor_runs(a);
	return a;
}

void stage_begin(void)
{
	self = current = actor_new();
	strcpy(self->name, "test");
	now_ns = 1000 * NS_PER_S;
}

static void *actor_main(void *arg)
{
	void *result;

	self = arg;
	__real_pthread_mutex_lock(&lock);
	while (current != self)
		__real_pthread_cond_wait(&self->baton, &lock);
	__real_pthread_mutex_unlock(&lock);
	result = self->fn(self->arg);
	__real_pthread_mutex_lock(&lock);
	self->state = DONE;
	wake(self, true);
	pass_on();
	__real_pthread_mutex_unlock(&lock);
	return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct actor *a;
	int rc;

	if (!self)
		return __real_pthread_create(thread, attr, fn, arg);
	__real_pthread_mutex_lock(&lock);
	a = actor_new();
	a->fn = fn;
	a->arg = arg;
	rc = __real_pthread_create(&a->thread, attr, actor_main, a);
	if (rc)
		abort();
	*thread = a->thread;
	__real_pthread_mutex_unlock(&lock);
	return 0;
}

static void actor_free(struct actor *gone)
{
	struct actor **at = &actors;

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	pthread_cond_destroy(&gone->baton);
	free(gone);
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
	struct actor *a = NULL;
	int rc;

	if (!self)
		return __real_pthread_join(thread, result);
	__real_pthread_mutex_lock(&lock);
	for (a = actors; !pthread_equal(a->thread, thread) || !a->fn;)
		a = a->next;
	while (a->state != DONE)
		wait_for(a, INT64_MAX);
	__real_pthread_mutex_unlock(&lock);
	rc = __real_pthread_join(thread, result);
	__real_pthread_mutex_lock(&lock);
	actor_free(a);
	__real_pthread_mutex_unlock(&lock);
	return rc;
}

/* ---- locks ---- */

static void name_of_self(void)
{
	if (!self->name[0])
		pthread_getname_np(pthread_self(), self->name, sizeof(self->name));
}

static void may_stop_here(const void *what)
{
	if (!interrupt_count || interrupted || what == spared)
		return;
	name_of_self();
	if (strcmp(self->name, interrupt_name) != 0 || --interrupt_count > 0)
		return;
	interrupted = self;
	self->state = STOPPED;
	pass_on();
}

static int take(void *what, int (*try)(void *))
{
	int rc;

	if (!self)
		return -1;
	__real_pthread_mutex_lock(&lock);
	may_stop_here(what);
	while ((rc = try(what)) == EBUSY) {
		blocked++;
		wait_for(what, INT64_MAX);
		blocked--;
	}
	__real_pthread_mutex_unlock(&lock);
	return rc;
}

static void released(void *what)
{
	if (!self || !blocked)
		return;
	__real_pthread_mutex_lock(&lock);
	wake(what, true);
	__real_pthread_mutex_unlock(&lock);
}

static int try_mutex(void *m)
{
	return pthread_mutex_trylock(m);
}

static int try_read(void *l)
{
	return pthread_rwlock_tryrdlock(l);
}

static int try_write(void *l)
{
	return pthread_rwlock_trywrlock(l);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	return self ? take(m, try_mutex) : __real_pthread_mutex_lock(m);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	int rc = __real_pthread_mutex_unlock(m);

	released(m);
	return rc;
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
	return self ? take(l, try_read) : __real_pthread_rwlock_rdlock(l);
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
	return self ? take(l, try_write) : __real_pthread_rwlock_wrlock(l);
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l)
{
	int rc = __real_pthread_rwlock_unlock(l);

	released(l);
	return rc;
}

/* ---- conditions ---- */

static int cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_ns)
{
	bool timed_out;

	__real_pthread_mutex_lock(&lock);
	__real_pthread_mutex_unlock(m);
	if (blocked)
		wake(m, true);
	if (deadline_ns <= now_ns) {
		self->timed_out = true;
	} else {
		wait_for(c, deadline_ns);
	}
	timed_out = self->timed_out;
	while (try_mutex(m) == EBUSY) {
		blocked++;
		wait_for(m, INT64_MAX);
		blocked--;
	}
	__real_pthread_mutex_unlock(&lock);
	return timed_out ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	return self ? cond_wait(c, m, INT64_MAX) : __real_pthread_cond_wait(c, m);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
	if (!self)
		return __real_pthread_cond_timedwait(c, m, until);
	return cond_wait(c, m, until->tv_sec * NS_PER_S + until->tv_nsec);
}

static int tell(pthread_cond_t *c, bool all)
{
	__real_pthread_mutex_lock(&lock);
	wake(c, all);
	__real_pthread_mutex_unlock(&lock);
	return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	return self ? tell(c, false) : __real_pthread_cond_signal(c);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	return self ? tell(c, true) : __real_pthread_cond_broadcast(c);
}

/* ---- time ---- */

int64_t stage_now(void)
{
	return now_ns;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
	int64_t ns = now_ns + (id == CLOCK_REALTIME ? 1700000000 * NS_PER_S : 0);

	if (!self)
		return __real_clock_gettime(id, out);
	*out = (struct timespec){ ns / NS_PER_S, ns % NS_PER_S };
	return 0;
}

void stage_settle(void)
{
	__real_pthread_mutex_lock(&lock);
	self->state = SETTLING;
	pass_on();
	__real_pthread_mutex_unlock(&lock);
}

void stage_advance(int64_t ns)
{
	int64_t end = now_ns + ns;

	stage_settle();
	while (earliest() <= end) {
		__real_pthread_mutex_lock(&lock);
		time_is(earliest());
		__real_pthread_mutex_unlock(&lock);
		stage_settle();
	}
	now_ns = end;
}

/* ---- stops ---- */

void stage_stop_at(struct stage_stop *stop)
{
	__real_pthread_mutex_lock(&lock);
	stop->actor = self;
	self->state = STOPPED;
	pass_on();
	__real_pthread_mutex_unlock(&lock);
}

void stage_go(struct stage_stop *stop)
{
	if (!stop->actor)
		return;
	actor_runs(stop->actor);
	stop->actor = NULL;
}

void stage_interrupt(const char *name, unsigned count)
{
	snprintf(interrupt_name, sizeof(interrupt_name), "%s", name);
	interrupt_count = count;
}

void stage_spare(const void *what)
{
	spared = what;
}

bool stage_interrupted(void)
{
	return interrupted != NULL;
}

void stage_resume(void)
{
	interrupt_count = 0;
	if (interrupted)
		actor_runs(interrupted);
	interrupted = NULL;
}
