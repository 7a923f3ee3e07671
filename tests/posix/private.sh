#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: sanitize
# A mount of root's that nobody else may enter: the kernel checks no permissions there, unless it is asked to. What holds
# for root all the same.
. "${0%/*}/lib.sh"

[ "$(id -u)" = 0 ] || skip 'needs root'
suite=$BUILD/posix/suite_test

# Root, but for what root may.
powerless() {
	setpriv --bounding-set=-all --inh-caps=-all "$@"
}

top=$TEST_TMP/root
posix_config
bfs_init

step 'where nothing is checked'
bfs_mount -o dev,suid
# all that none but root does
"$suite" -d "$mnt" 'open: mode' 'open: O_TRUNC' 'open: text' 'rename: kinds' link: 'dir: times' stat: \
	content: fallocate: mmap: 'acl: the' 'acl: bad' 'acl: inherited' 'acl: listed' 'xattr: basics' 'xattr: kinds'
mkdir "$mnt/dir"
echo text >"$mnt/dir/file"
chmod 0 "$mnt/dir" "$mnt/dir/file"
expect_equal text "$(powerless cat "$mnt/dir/file")"

step 'what root may not either'
expect_status 1 test -x "$mnt/dir/file"
expect_status 126 bash -c '"$1"' - "$mnt/dir/file"
chmod 1 "$mnt/dir/file"
expect_status 0 test -x "$mnt/dir/file"
bfs_umount

step 'where the kernel checks'
for option in default_permissions allow_other; do
	bfs_mount -o "$option"
	expect_status 1 powerless cat "$mnt/dir/file"
	expect_equal text "$(cat "$mnt/dir/file")"
	bfs_umount
done
