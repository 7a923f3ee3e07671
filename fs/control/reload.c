/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/control.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct control_reload {
	struct core *core;
	char *file, *mountpoint;
	uint64_t ticket;
	int done_fd;
	atomic_uint references; /* whoever asked, and the thread */

	/* the thread's until done_fd is readable, then the asker's */
	struct config *fresh;
	struct config_messages msgs;
	struct errmsg msg;
	int rc;
};

/* Whoever began to read later has the newer file: what was read before that must not come after it. The lock is taken
 * before any of core's. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_ticket, in_force;

static uint64_t ticket_take(void)
{
	uint64_t ticket;

	pthread_mutex_lock(&lock);
	ticket = ++last_ticket;
	pthread_mutex_unlock(&lock);
	return ticket;
}

static void reload_put(struct control_reload *r)
{
	if (atomic_fetch_sub(&r->references, 1) > 1)
		return;
	config_put(r->fresh);
	config_messages_free(&r->msgs);
	if (r->done_fd >= 0)
		close(r->done_fd);
	errmsg_free(&r->msg);
	free(r->mountpoint);
	free(r->file);
	free(r);
}

/* May never return, where the disk of the files does not answer: touches nothing but its own. */
static void *read_run(void *arg)
{
	struct control_reload *r = arg;
	uint64_t one = 1;

	pthread_setname_np(pthread_self(), "reload"); /* for whoever looks what a daemon waits for */
	r->rc = config_load(&r->fresh, r->file, &r->msgs);
	if (r->rc < 0)
		errmsg_set(&r->msg, r->rc, "%s is not valid: what was in force stays in force", r->file);
	else
		r->rc = config_check_mountpoint(r->fresh, r->mountpoint, &r->msg);
	if (write(r->done_fd, &one, sizeof one) < 0) /* an eventfd at 0 takes 1 */
		r->rc = -errno;
	reload_put(r);
	return NULL;
}

static int read_start(struct control_reload *r)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	atomic_fetch_add(&r->references, 1);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = -pthread_create(&thread, &attr, read_run, r);
	pthread_attr_destroy(&attr);
	if (rc < 0)
		reload_put(r);
	return rc;
}

int control_read_begin(struct control_reload **out, struct core *core, const char *mountpoint, const char *file)
{
	struct control_reload *r = calloc(1, sizeof *r);
	struct config *config;
	int rc = 0;

	*out = NULL;
	if (!r)
		return -ENOMEM;
	atomic_init(&r->references, 1);
	r->core = core;
	config = core_config(core);
	r->file = strdup(file ? file : config->file);
	r->mountpoint = strdup(mountpoint);
	config_put(config);
	r->ticket = ticket_take();
	r->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->done_fd < 0)
		rc = -errno;
	if (!r->file || !r->mountpoint)
		rc = -ENOMEM;
	if (rc == 0)
		rc = read_start(r);
	if (rc < 0)
		reload_put(r);
	else
		*out = r;
	return rc;
}

int control_reload_begin(struct control_reload **out, struct core *core, const char *mountpoint)
{
	return control_read_begin(out, core, mountpoint, NULL);
}

int control_reload_fd(const struct control_reload *r)
{
	return r ? r->done_fd : -1;
}

static int put_in_force(const struct control_reload *r, struct errmsg *msg)
{
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (r->ticket > in_force && (rc = core_reload(r->core, r->fresh, msg)) == 0)
		in_force = r->ticket;
	pthread_mutex_unlock(&lock);
	return rc;
}

/* What came of reading. */
static int take_read(struct control_reload *r, struct config_messages *msgs, struct errmsg *msg)
{
	uint64_t n;

	if (read(r->done_fd, &n, sizeof n) != sizeof n)
		return -ERR_STOPPED;
	*msgs = r->msgs;
	r->msgs = (struct config_messages){ 0 };
	return r->rc < 0 ? errmsg_set(msg, r->rc, "%s", errmsg_text(&r->msg, r->rc)) : 0;
}

int control_reload_end(struct control_reload *r, struct config_messages *msgs, struct errmsg *msg)
{
	int rc = take_read(r, msgs, msg);

	if (rc == 0)
		rc = put_in_force(r, msg);
	reload_put(r);
	return rc;
}

int control_read_end(struct control_reload *r, struct config **out, struct config_messages *msgs, struct errmsg *msg)
{
	int rc = take_read(r, msgs, msg);

	*out = NULL;
	if (rc == 0) {
		*out = r->fresh;
		r->fresh = NULL;
	}
	reload_put(r);
	return rc;
}
