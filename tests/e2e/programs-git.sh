#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=240
# git and make in the mount: a repository of a real tree, its clone, gc and fsck, and borderfs itself built there. Both
# believe a file unchanged by what stat says of it, so nothing of that may change when the store is mounted again.
. "${0%/*}/lib.sh"

export GIT_CONFIG_GLOBAL=$TEST_TMP/gitconfig
repo=$mnt/repo
built=$mnt/public/borderfs

git_configure() {
	git config --global user.name tester
	git config --global user.email tester@example.org
	git config --global init.defaultBranch main
	git config --global gc.auto 0
	git config --global safe.directory '*'
	git config --global core.fsync all
}

# The first 1200 headers, none large.
real_tree() {
	(cd /usr/include && find . -xdev -type f -size -256k -print0 | sort -z | sed -z -n 1,1200p) |
		rsync -a --from0 --files-from=- /usr/include/ "$1/"
}

# history_write COUNT: so many commits, each changing, renaming and removing some files.
history_write() {
	local i
	for ((i = 1; i <= $1; i++)); do
		git -C "$repo" ls-files -z | sed -z -n "$i~97p" | (cd "$repo" && xargs -0 sed -i "1i // change $i")
		git -C "$repo" mv "$(git -C "$repo" ls-files | sed -n "$((i * 31))p")" "renamed-$i.h"
		git -C "$repo" rm -q "$(git -C "$repo" ls-files | sed -n "$((i * 53))p")"
		git -C "$repo" commit -q -a -m "change $i"
	done
}

# unchanged DIR: git finds the working tree as its index says, by stat alone and then all in all.
unchanged() {
	expect_equal "$(git -C "$1" diff-files --raw)" '' "git diff-files in $1"
	expect_equal "$(git -C "$1" status --porcelain)" '' "git status in $1"
}

fsck() {
	local said
	said=$(git -C "$1" fsck --full --strict --no-progress 2>&1) || fail "git fsck in $1: $said"
	expect_equal "$said" '' "what git fsck says in $1"
}

# sources_copy TO: the project as it stands, whatever built it.
sources_copy() {
	mkdir -p "$1"
	(cd "$TOP" && git ls-files -z | rsync -a --from0 --files-from=- ./ "$1/")
}

build() {
	env -u MAKEFLAGS -u MAKELEVEL -u CI -u BUILD make -C "$built" "$@"
}

config_directories <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
git_configure
bfs_init
bfs_mount

step 'git: a repository of a real tree'
git init -q "$repo"
real_tree "$repo"
git -C "$repo" add -A
git -C "$repo" commit -q -m 'all of it'
history_write 8
git -C "$repo" branch other HEAD~4
git -C "$repo" worktree add -q "$mnt/worktree" other
fsck "$repo"

step 'git: clones, by links and by copying'
git clone -q "$repo" "$mnt/clone"
git clone -q --no-local "$repo" "$mnt/public/clone"
[ "$(find "$mnt/clone/.git/objects" -type f -links +1 | wc -l)" -ge 1200 ] || fail "the local clone shares no objects"
git -C "$mnt/clone" checkout -q -b third HEAD~6
git -C "$mnt/clone" push -q origin third
git -C "$mnt/clone" checkout -q main

step 'git: gc and fsck'
git -C "$repo" gc -q --aggressive --prune=now
for dir in "$repo" "$mnt/clone" "$mnt/public/clone" "$mnt/worktree"; do
	fsck "$dir"
	unchanged "$dir"
done
git -C "$repo" rev-parse main other third >"$TEST_TMP/heads"

step 'borderfs: built'
sources_copy "$built"
build -s -j2
build -q all || fail 'make would build again what it has just built'
"$built/build/borderfs" --help >"$TEST_TMP/help"
"$BORDERFS" --help >"$TEST_TMP/wanted-help"
expect_same "$TEST_TMP/help" "$TEST_TMP/wanted-help"

step 'mounted again'
bfs_umount
bfs_mount
for dir in "$repo" "$mnt/clone" "$mnt/public/clone" "$mnt/worktree"; do
	unchanged "$dir"
	fsck "$dir"
done
git -C "$repo" rev-parse main other third | diff "$TEST_TMP/heads" - || fail 'the branches are others'
build -q all || fail 'make would build again what was built before the mount'
"$built/build/borderfs" --help | diff "$TEST_TMP/wanted-help" - || fail 'the program built in the mount does something else'
touch "$built/base/clock.c"
! build -q all || fail 'make does not see a changed source'
bfs_umount
