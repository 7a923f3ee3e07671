#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=240
# Backups in the mount: rsync with --link-dest, tar with all that it can keep, and a repository of restic's; each is asked
# again after the next mount.
. "${0%/*}/lib.sh"

src=$mnt/src
export RESTIC_PASSWORD=secret RESTIC_REPOSITORY=$mnt/public/restic

# A real tree, and what it has too little of.
make_source() {
	mkdir -p "$src/dir"
	(cd /usr/include && find . -xdev -type f -size -128k -print0 | sort -z | sed -z -n 1,500p) |
		rsync -a --from0 --files-from=- /usr/include/ "$src/include/"
	head -c 9000000 /dev/urandom >"$src/large"
	echo 'as it was' >"$src/changing"
	truncate -s 1G "$src/sparse"
	printf 'in the middle' | dd of="$src/sparse" bs=1 seek=536870907 conv=notrunc status=none
	echo 'one file, three names' >"$src/linked"
	ln "$src/linked" "$src/dir/linked too"
	ln "$src/linked" "$src/dir/linked also"
	ln -s nowhere "$src/dangling"
	mkfifo "$src/fifo"
	setfattr -n user.note -v 'plain text' "$src/linked"
	setfattr -n user.bytes -v 0x00ff0a80 "$src/dir"
	setfacl -m u:65501:rwx,g:65502:r "$src/large"
	setfacl -d -m u:65501:rx "$src/dir"
	touch -d '1969-12-31 23:59:58.5' "$src/dir/linked too"
	touch -h -d '2200-01-01 00:00:00.123456789' "$src/dangling"
}

# facts DIR: also which names are one file, and the access lists.
facts() {
	tree_facts "$1"
	(
		cd "$1"
		find . -type f -links +1 -printf '%i %P\n' | sort | awk '{ n[$1] = n[$1] " " $2 } END { for (i in n) print n[i] }' | sort
		find . ! -type l -print0 | sort -z | xargs -0r getfacl -p -n --skip-base
	)
}

expect_tree() {
	facts "$1" >"$TEST_TMP/got"
	expect_same "$TEST_TMP/wanted" "$TEST_TMP/got"
}

mount_again() {
	bfs_umount
	bfs_mount
}

# ---- rsync

# A run of every day: what has not changed since the last is linked to it.
rsync_day() {
	rsync -aHAXS --link-dest="../$(($1 - 1))" "${@:2}" "$src/" "$mnt/days/$1/"
}

rsync_again() { # what it would change in day $1, a line each
	rsync_day "$1" -i --checksum
}

rsync_days() {
	local same
	mkdir "$mnt/days"
	rsync -aHAXS "$src/" "$mnt/days/1/"
	expect_tree "$mnt/days/1"
	mount_again
	rsync_day 2
	# each of the first day's files has twice the names
	same=$(find "$mnt/days/2" -type f -samefile "$mnt/days/1/large" | wc -l)
	expect_equal "$same $(stat -c %h "$mnt/days/1/large" "$mnt/days/2/linked" | xargs)" '1 2 6' 'the names of unchanged files'
	expect_equal "$(find "$mnt/days/2" -type f -links 1 | wc -l)" 0 'files that were copied again'
	expect_equal "$(rsync_again 2)" '' 'what a second run would transfer'

	echo more >>"$src/changing"
	rsync_day 3
	expect_equal "$(find "$mnt/days/3" -type f -links 1)" "$mnt/days/3/changing" 'files that were copied again'
	expect_equal "$(cat "$mnt/days/1/changing")" 'as it was' 'the file of the first day'
	rm -rf "$mnt/days/1"
	expect_equal "$(stat -c %h "$mnt/days/2/large" "$mnt/days/3/linked" | xargs)" '2 6' 'links when the first day is gone'
	mount_again
	expect_equal "$(rsync_again 3)" '' 'what another run would transfer'
}

# ---- tar

tar_with_all() {
	tar --xattrs --xattrs-include='*' --xattrs-exclude='user.borderfs.*' --acls --sparse --numeric-owner --format=posix "$@"
}

tar_there_and_back() {
	tar_with_all -C "$src" -cf "$mnt/public.tar" .
	[ "$(stat -c %s "$mnt/public.tar")" -lt 50000000 ] || fail 'tar did not see the hole'
	mount_again
	tar_with_all -C "$src" -df "$mnt/public.tar"
	mkdir "$mnt/untarred"
	tar_with_all -C "$mnt/untarred" -xpf "$mnt/public.tar"
	facts "$src" >"$TEST_TMP/wanted"
	expect_tree "$mnt/untarred"
	[ "$(stat -c %b "$mnt/untarred/sparse")" -le 64 ] || fail 'what tar wrote has no hole'
	mount_again
	tar_with_all -C "$mnt/untarred" -df "$mnt/public.tar"
}

# ---- restic

restic_snapshots() {
	restic -q init
	restic -q backup "$src"
	rm -rf "$src/include/linux"
	head -c 3000000 /dev/urandom >"$src/added"
	restic -q backup "$src"
	restic -q check --read-data
	mount_again
	bfs sync --timeout 60 2>/dev/null
	bfs cache drop >/dev/null
	restic -q check --read-data
	# what restic does not keep: access lists by their own name, links of directories
	restic -q restore latest --target "$mnt/restored"
	tree_facts "$src" >"$TEST_TMP/wanted"
	tree_facts "$mnt/restored$src" >"$TEST_TMP/got"
	expect_same "$TEST_TMP/wanted" "$TEST_TMP/got"
	restic -q forget --keep-last 1 --prune
	restic -q check --read-data
	expect_equal "$(restic snapshots --json | jq length)" 1 'snapshots that are left'
}

config_directories <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init
bfs_mount
make_source
facts "$src" >"$TEST_TMP/wanted"
step 'rsync --link-dest'
rsync_days
step 'tar'
tar_there_and_back
step 'restic'
restic_snapshots
bfs_umount
