#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=1800 torture long
# Backups that keep a repository of many large files in the mount: borg and duplicity, of a real tree, with a cache that
# holds a part of it; each repository is checked, and extracted by the next daemon.
. "${0%/*}/lib.sh"

src=$TEST_TMP/src
mib=$((20 * ${TEST_SCALE:-1})) # of bytes that nothing can make smaller, beside the real tree
export BORG_REPO=$mnt/public/borg BORG_PASSPHRASE=secret PASSPHRASE=secret BORG_BASE_DIR=$TEST_TMP/borg-base

make_source() {
	mkdir "$src"
	(cd /usr/include && find . -xdev \( -type f -size -256k -o -type l \) -print0 | sort -z) |
		rsync -a --from0 --files-from=- /usr/include/ "$src/include/"
	head -c "${mib}M" /dev/urandom >"$src/large"
	ln "$src/large" "$src/large too"
	setfattr -n user.note -v 'plain text' "$src/large"
	truncate -s 64M "$src/sparse"
	printf 'at the end' | dd of="$src/sparse" bs=1 seek=67108854 conv=notrunc status=none
}

change_source() {
	find "$src/include" -type f -name '*a*.h' -exec sed -i '1i // changed' {} +
	rm -rf "$src/include/linux"
	head -c "$((mib / 4))M" /dev/urandom | dd of="$src/large" bs=1M seek="$((mib / 2))" conv=notrunc iflag=fullblock status=none
	mv "$src/sparse" "$src/renamed"
}

mount_again() {
	bfs sync --timeout 300 2>/dev/null
	bfs_umount
	rm -rf "$store/cache"
	bfs_mount
}

# expect_tree DIR WHAT: DIR is as the source is now.
expect_tree() {
	tree_facts "$src" >"$TEST_TMP/wanted"
	tree_facts "$1" >"$TEST_TMP/got"
	expect_same "$TEST_TMP/wanted" "$TEST_TMP/got"
}

borg_extract() {
	mkdir "$TEST_TMP/extracted"
	(cd "$TEST_TMP/extracted" && borg extract "::$1")
	expect_tree "$TEST_TMP/extracted$src"
	rm -rf "$TEST_TMP/extracted"
}

borg_repository() {
	borg init --encryption repokey
	borg create ::first "$src"
	borg_extract first
	change_source
	borg create ::second "$src"
	borg check --verify-data
	mount_again
	borg check --verify-data
	borg_extract second
	borg delete ::first
	borg compact
	borg check --verify-data
}

duplicity_target() {
	local target=file://$mnt/public/duplicity
	local options=(--no-encryption --volsize 10 --archive-dir "$TEST_TMP/duplicity-archive" -v2)
	mkdir "$mnt/public/duplicity"
	duplicity full "${options[@]}" "$src" "$target"
	change_source_again
	duplicity incremental "${options[@]}" "$src" "$target"
	mount_again
	duplicity verify --compare-data "${options[@]}" "$target" "$src"
	duplicity restore "${options[@]}" "$target" "$TEST_TMP/extracted"
	# it keeps neither links nor attributes, nor fractions of a second
	(cd "$src" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TEST_TMP/wanted"
	(cd "$TEST_TMP/extracted" && sha256sum --quiet -c "$TEST_TMP/wanted")
	expect_equal "$(find "$TEST_TMP/extracted" | wc -l)" "$(find "$src" | wc -l)" 'names that came back'
}

change_source_again() {
	find "$src/include" -type f -name '*b*.h' -exec sed -i '1i // changed' {} +
	rm "$src/large too"
	head -c 3M /dev/urandom >>"$src/large"
}

cache=$((mib / 2 + 64))M config_directories <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init
bfs_mount
mkdir "$mnt/public"
make_source
step "borg: $(du -sm "$src" | cut -f1) MiB"
borg_repository
step "duplicity"
duplicity_target
bfs_umount
