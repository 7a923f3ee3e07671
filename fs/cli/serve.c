/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/serve.h"

#include "base/log.h"
#include "fs/control/control.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LARGE_BYTES (256 << 10)
#define HEAPS	    2

struct daemon {
	struct core *core;
	struct front *front;
	struct control *control;
	const char *mountpoint;
	int signal_fd;
	int end_fd; /* the mount has ended: the signal thread may too */
	pthread_t signals, prober;
	bool probing; /* the prober is to be joined */

	/* the signal thread's */
	struct control_reload *reload; /* on SIGHUP, under way */
	bool reload_again;	       /* another one came meanwhile */
};

static void raise_event(int fd)
{
	uint64_t one = 1;

	/* one that was raised already is raised */
	if (write(fd, &one, sizeof one) < 0)
		return;
}

/* ---- signals -------------------------------------------------------------------------------------------------- */

static void reload_begin(struct daemon *d)
{
	int rc;

	/* what is being read may be older than this signal */
	d->reload_again = d->reload != NULL;
	if (d->reload_again)
		return;
	rc = control_reload_begin(&d->reload, d->core, d->mountpoint);
	if (rc < 0)
		log_error("reload: %s", err_text(rc));
}

static void log_finding(const struct config_message *m)
{
	char line[16] = "";

	if (m->line)
		snprintf(line, sizeof line, ":%d", m->line);
	log_warn("%s%s: %s: %s", m->file, line, m->error ? "error" : "warning", m->text);
}

static void reload_end(struct daemon *d)
{
	struct config_messages msgs = { 0 };
	struct errmsg msg = { 0 };
	int rc = control_reload_end(d->reload, &msgs, &msg);

	d->reload = NULL;
	for (size_t i = 0; i < msgs.count; i++)
		log_finding(&msgs.v[i]);
	if (rc < 0)
		log_error("reload: %s", errmsg_text(&msg, rc));
	else
		log_info("reload: the configuration is in force");
	config_messages_free(&msgs);
	errmsg_free(&msg);
	if (d->reload_again)
		reload_begin(d);
}

/* true: the daemon is to stop */
static bool take_signal(struct daemon *d)
{
	struct signalfd_siginfo info;

	if (read(d->signal_fd, &info, sizeof info) != sizeof info)
		return false;
	if (info.ssi_signo != SIGHUP) {
		log_info("stopping on signal %u", info.ssi_signo);
		return true;
	}
	reload_begin(d);
	return false;
}

/* true: the daemon is to stop; false: it has */
static bool watch(struct daemon *d)
{
	for (;;) {
		struct pollfd p[] = { { .fd = d->signal_fd, .events = POLLIN }, { .fd = d->end_fd, .events = POLLIN },
			{ .fd = control_reload_fd(d->reload), .events = POLLIN } };

		if (poll(p, 3, -1) < 0)
			continue;
		if (p[1].revents)
			return false;
		if (p[0].revents && take_signal(d))
			return true;
		if (p[2].revents)
			reload_end(d);
	}
}

static void *signals_run(void *arg)
{
	struct daemon *d = arg;
	bool stop = watch(d);

	d->reload_again = false;
	if (d->reload)
		reload_end(d);
	if (stop)
		front_stop(d->front);
	return NULL;
}

/* Blocked before any thread is there, so that none takes them but the one that reads the descriptor. */
static int signals_block(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	d->end_fd = eventfd(0, EFD_CLOEXEC);
	return d->signal_fd < 0 || d->end_fd < 0 ? -errno : 0;
}

/* ---- the first look at the backends --------------------------------------------------------------------------- */

/* The mount does not wait for the network, but its log and `status` say soon what is wrong with it. Ends with
 * core_stop at the latest, which cuts what it asks. */
static void *probe_run(void *arg)
{
	struct daemon *d = arg;
	struct errmsg msg = { 0 };
	int rc = transfer_probe(core_transfer(d->core), &msg);

	if (rc < 0 && rc != -ERR_STOPPED)
		log_warn("%s", errmsg_text(&msg, rc));
	errmsg_free(&msg);
	return NULL;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

/* Block files, sockets and what programs hold open: the soft limit is for programs that use select. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("the limit on open files stays as it is: %s", err_text(-errno));
}

/* Blocks and bodies go back to the system when they are freed. Left to itself malloc takes a few of their size as a
 * reason to keep all of them in its heaps. Of these it has up to eight a processor, and a thread allocates from its own
 * only: nodes that one thread made and that were evicted since leave room there which no other thread uses, so that a
 * bounded number of nodes takes more and more memory, the more threads have had their turn. */
static void bound_memory(void)
{
	if (!mallopt(M_MMAP_THRESHOLD, LARGE_BYTES) || !mallopt(M_ARENA_MAX, HEAPS))
		log_info("this memory allocator is not glibc's and keeps what it likes");
}

static int open_all(struct daemon *d, const struct serve_options *o, struct errmsg *msg)
{
	struct control_options control = { 0 };
	struct keyring *keyring = NULL;
	int rc;

	if ((rc = secrets_unlock(o->secrets, o->config, &keyring, msg)) < 0 ||
		(rc = core_open(&d->core, o->config, keyring, msg)) < 0)
		return rc;
	core_set_atime(d->core, o->front.read_only ? CORE_ATIME_NONE : o->atime, !o->nodiratime);
	if ((rc = front_mount(&d->front, d->core, &o->front, msg)) < 0)
		return rc;
	control.core = d->core;
	control.front = d->front;
	control.mountpoint = d->mountpoint;
	if ((rc = control_start(&d->control, &control, msg)) < 0 || (rc = core_start(d->core)) < 0)
		return rc;
	return -pthread_create(&d->signals, NULL, signals_run, d);
}

/* From the mount's end to the store's: nothing is asked any more, then everything is made durable, then those who wait
 * for the end are told. */
static int close_all(struct daemon *d, int rc, struct errmsg *msg)
{
	uint64_t refused;
	bool served = d->control != NULL;
	int stopped;

	if (served)
		control_drain(d->control);
	stopped = d->core ? core_stop(d->core) : 0;
	refused = d->core ? core_refused(d->core) : 0;
	if (d->probing)
		pthread_join(d->prober, NULL);
	if (stopped < 0)
		errmsg_set(msg, stopped, "not everything could be made durable in the store: %s", err_text(stopped));
	if (rc == 0)
		rc = stopped;
	control_stop(d->control, rc, rc < 0 ? errmsg_text(msg, rc) : NULL);
	front_free(d->front);
	core_close(d->core);
	if (served && rc == 0 && refused)
		log_warn("unmounted: %" PRIu64
			 " writes could not be taken, as fsync and close of their files said; all else "
			 "is durable in the store",
			refused);
	else if (served)
		log_info("unmounted: %s", rc < 0 ? err_text(rc) : "everything is durable in the store");
	return rc;
}

static int run(struct daemon *d, const struct serve_options *o)
{
	int rc;

	log_info("mounted, process %ld", (long)getpid());
	d->probing = pthread_create(&d->prober, NULL, probe_run, d) == 0;
	o->ready(o->ctx);
	rc = front_run(d->front);
	raise_event(d->end_fd);
	pthread_join(d->signals, NULL);
	return rc;
}

int serve(const struct serve_options *o, struct errmsg *msg)
{
	struct daemon d = { .mountpoint = o->front.mountpoint, .signal_fd = -1, .end_fd = -1 };
	int rc;

	raise_file_limit();
	bound_memory();
	if ((rc = signals_block(&d)) == 0 && (rc = open_all(&d, o, msg)) == 0)
		rc = run(&d, o);
	rc = close_all(&d, rc, msg);
	if (d.signal_fd >= 0)
		close(d.signal_fd);
	if (d.end_fd >= 0)
		close(d.end_fd);
	return rc;
}
