/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/mounts.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <mntent.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define TYPE "fuse.borderfs"

extern char **environ;

void mount_at_free(struct mount_at *m)
{
	free(m->config_file);
	free(m->directory);
	*m = (struct mount_at){ 0 };
}

static int statx_quiet(int fd, const char *path, int flags, struct statx *st)
{
	/* with what the kernel knows: no request, so no waiting for a daemon that is stuck or gone */
	return statx(fd, path, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, st);
}

int path_device(int fd, dev_t *device, bool *directory)
{
	struct statx st;

	if (statx_quiet(fd, "", AT_EMPTY_PATH, &st) < 0)
		return -errno;
	*device = makedev(st.stx_dev_major, st.stx_dev_minor);
	if (directory)
		*directory = S_ISDIR(st.stx_mode);
	return 0;
}

static int fill(struct mount_at *m, const struct mntent *e)
{
	const char *user = hasmntopt(e, "user_id");
	struct statx st;

	mount_at_free(m);
	if (user && sscanf(user, "user_id=%u", &m->user) != 1)
		return -EPROTO;
	m->config_file = strdup(e->mnt_fsname);
	m->directory = strdup(e->mnt_dir);
	if (!m->config_file || !m->directory)
		return -ENOMEM;
	if (statx_quiet(AT_FDCWD, e->mnt_dir, 0, &st) == 0)
		m->device = makedev(st.stx_dev_major, st.stx_dev_minor);
	return 0;
}

/* what is looked for: whichever is set; else any whose configuration can be read: others are somebody else's */
struct wanted {
	const char *directory, *config_file;
	dev_t device;
};

static bool fits(const struct wanted *w, const struct mount_at *m)
{
	if (w->directory)
		return !strcmp(w->directory, m->directory);
	if (w->config_file)
		return !strcmp(w->config_file, m->config_file);
	if (w->device)
		return w->device == m->device;
	return access(m->config_file, R_OK) == 0;
}

/* The last one that fits (it covers the others) into out; the count of all that fit. */
static int search(const struct wanted *w, struct mount_at *out)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mount_at m = { 0 };
	struct mntent *e;
	int rc = 0, count = 0;

	*out = (struct mount_at){ 0 };
	if (!f)
		return -errno;
	while (rc == 0 && (e = getmntent(f))) {
		if (strcmp(e->mnt_type, TYPE) != 0 || (rc = fill(&m, e)) < 0 || !fits(w, &m))
			continue;
		mount_at_free(out);
		*out = m;
		m = (struct mount_at){ 0 };
		count++;
	}
	endmntent(f);
	mount_at_free(&m);
	if (rc < 0)
		mount_at_free(out);
	return rc < 0 ? rc : count;
}

static int one(const struct wanted *w, struct mount_at *out)
{
	int n = search(w, out);

	return n < 0 ? n : n == 0 ? -ENOENT : 0;
}

int mounts_by_directory(const char *directory, struct mount_at *out)
{
	return one(&(struct wanted){ .directory = directory }, out);
}

int mounts_by_device(dev_t device, struct mount_at *out)
{
	return one(&(struct wanted){ .device = device }, out);
}

int mounts_by_config(const char *config_file, struct mount_at *out)
{
	return one(&(struct wanted){ .config_file = config_file }, out);
}

int mounts_only(struct mount_at *out)
{
	int n = search(&(struct wanted){ 0 }, out);

	if (n <= 1)
		return n < 0 ? n : n == 0 ? -ENOENT : 0;
	mount_at_free(out);
	return -EEXIST;
}

/* ---- unmounting ----------------------------------------------------------------------------------------------- */

static int run_fusermount(const char *directory, bool lazy)
{
	const char *argv[] = { "fusermount3", lazy ? "-uzq" : "-uq", "--", directory, NULL };
	int status, rc;
	pid_t pid;

	if ((rc = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ)) != 0)
		return -rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int mounts_unmount(const char *directory, bool lazy)
{
	if (umount2(directory, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	return errno == EPERM ? run_fusermount(directory, lazy) : -errno;
}

/* Only what the kernel has to ask for tells a dead mount: attributes it may still know. A daemon that lives answers
 * this at once, without a backend. */
static bool is_dead(const char *directory)
{
	struct statfs st;

	return statfs(directory, &st) < 0 && errno == ENOTCONN;
}

int mounts_detach_dead(const char *directory)
{
	struct mount_at at;
	int rc = 0;

	while (rc == 0 && is_dead(directory) && mounts_by_directory(directory, &at) == 0) {
		mount_at_free(&at);
		rc = mounts_unmount(directory, true);
	}
	return rc;
}

/* ---- paths ---------------------------------------------------------------------------------------------------- */

/* the directory resolved, the last component as it is */
static char *resolve_parent(const char *path)
{
	char *absolute = file_expand(path, NULL), *copy = absolute ? strdup(absolute) : NULL;
	char *parent = copy ? realpath(dirname(copy), NULL) : NULL, *out = NULL;

	free(copy);
	if (!parent || !absolute || !(copy = strdup(absolute))) {
		free(parent);
		return absolute;
	}
	if (asprintf(&out, "%s/%s", strcmp(parent, "/") ? parent : "", basename(copy)) < 0)
		out = NULL;
	free(copy);
	free(parent);
	free(absolute);
	return out;
}

char *path_absolute(const char *path)
{
	char *out = realpath(path, NULL);

	return out ? out : resolve_parent(path);
}
