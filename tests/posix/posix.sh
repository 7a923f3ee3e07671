#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=240 sanitize torture
# The cases of posix.h on a mount of root's that others may use, then on one of a plain user, who mounts through
# fusermount3; and what a file is, once more after the next mount.
. "${0%/*}/lib.sh"

# Where udev does not run, /dev/fuse is root's alone: then, for this test, one stands in its place that is not.
if [ "$(stat -c %a /dev/fuse)" != 666 ] && [ -z "${own_fuse-}" ]; then
	mknod -m 666 "$TEST_TMP/fuse" c 10 229
	export own_tmp=${own_tmp-} own_fuse=$TEST_TMP/fuse
	# In a root directory that is no mount point (chroot) only the mounts below it can be kept to ourselves.
	propagation=private
	unshare -m true 2>/dev/null || propagation=unchanged
	# shellcheck disable=SC2016 # it is the inner shell that expands
	exec unshare -m --propagation "$propagation" sh -c \
		'mount --make-private /dev 2>/dev/null; mount --bind "$own_fuse" /dev/fuse && exec "$0"' "$0"
fi

suite=$BUILD/posix/suite_test
user=nobody # fusermount3 wants one that has a name

as_user() {
	setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"
}

# all_facts DIR: what must come back, with what tree_facts leaves out.
all_facts() {
	tree_facts "$1"
	(
		cd "$1"
		find . -printf '%P\t%y %m %U:%G %A@ %T@ %C@\n' | sort
		find . \( -type b -o -type c \) -exec stat -c '%n %t:%T' {} + | sort
		find . -exec stat -c '%n born %W %w' {} + | sort
		find . ! -type l -print0 | sort -z | xargs -0r getfacl -p -n --skip-base
		find . -print0 | sort -z | xargs -0r getfattr -h -d -m '^\(security\|trusted\)\.' 2>/dev/null || true
	)
}

make_tree() {
	mkdir "$1" "$1/sub" "$1/sticky"
	echo text >"$1/file"
	ln "$1/file" "$1/sub/linked"
	ln -s nowhere "$1/link"
	mkfifo -m 620 "$1/pipe"
	mknod -m 604 "$1/null" c 1 3
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$1/socket"
	chmod 3775 "$1/sticky"
	chmod 6755 "$1/file"
	chown 65501:65502 "$1/sub" "$1/pipe"
	chown -h 65501:65502 "$1/link"
	setfacl -m u:65501:rwx,g:65502:r "$1/file"
	setfacl -d -m u:65501:rwx "$1/sub"
	setfattr -n trusted.t -v yes "$1/file"
	setfattr -h -n security.s -v yes "$1/link"
	truncate -s 64M "$1/sparse"
	touch -h -d '1901-12-14 01:02:03.000000001' "$1/link"
	touch -d '2446-05-10 01:02:03.999999999' "$1/pipe"
	touch -a -d '1960-01-01 00:00:00.5' "$1/null"
}

step 'as root, with other users'
top=$TEST_TMP/root
posix_config
bfs_init
bfs_mount -o allow_other,dev,suid
"$suite" -d "$mnt"

step 'after the next mount'
make_tree "$mnt/tree"
sleep 0.05 # so that the first read has a later time than what it reads
all_facts "$mnt/tree" >/dev/null
all_facts "$mnt/tree" >"$TEST_TMP/wanted"
bfs_umount
bfs_mount -o allow_other,dev,suid
all_facts "$mnt/tree" >"$TEST_TMP/got"
expect_same "$TEST_TMP/wanted" "$TEST_TMP/got"
bfs_umount

step 'as a user'
chmod a+x "$TEST_TMP" "${TEST_TMP%/*}" # the runner's own
top=$TEST_TMP/user
posix_config
chown -R "$user:$(id -g "$user")" "$top"
as_user "$BORDERFS" init -c "$ini" --kdf minimum --words-file "$top/words"
as_user "$BORDERFS" mount -c "$ini" -f "$mnt" >>"$daemon_log" 2>&1 </dev/null &
daemon_pid=$!
within 30 answers_or_ended
is_mounted || fail "the daemon ended instead of mounting"
as_user "$suite" -d "$mnt"
as_user "$BORDERFS" umount -c "$ini" "$mnt"
wait "$daemon_pid"
