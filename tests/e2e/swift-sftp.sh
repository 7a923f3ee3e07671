#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=120
# A home on SFTP with Swift, by its own protocol, abroad; then the other way round: files written, retagged home and away,
# read back without the cache, the servers gone for a while, deleted; and in both places exactly what `where` says.
. "${0%/*}/lib.sh"

# facts: path and content of all that is mounted.
facts() {
	(cd "$mnt" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

# remount: with nothing in the cache, the kernel's included.
remount() {
	bfs_umount
	bfs cache drop
	bfs_mount
}

# expect_all_as WHERE FILE: both places hold what they should, and without a cache the files are those of the list.
expect_all_as() {
	bfs sync --timeout 60
	expect_buckets
	remount
	facts >"$TEST_TMP/read"
	expect_same "$TEST_TMP/read" "$1"
}

files_write() {
	local i
	mkdir -p "$mnt/public/letters" "$mnt/private"
	head -c 9000000 /dev/urandom >"$mnt/public/long" # three blocks
	head -c 9000000 /dev/urandom >"$mnt/private/long"
	for i in {1..20}; do
		head -c $((i * 3000)) /dev/urandom >"$mnt/public/letters/$i"
		head -c $((i * 3000)) /dev/urandom >"$mnt/private/$i"
	done
	: >"$mnt/public/empty"
}

# where_all: how many files are in each zone.
where_all() {
	bfs where -r --json "$mnt" | jq -r 'select(.size > 0) | "\(.zone) \(.state)"' | sort | uniq -c | xargs
}

# outage CLOUD: what is written meanwhile waits, what is not cached is an error of networks, and both are well afterwards.
outage() {
	local path=$mnt/private
	[ "$1" = domestic ] || path=$mnt/public
	remount
	cloud "$1" down
	echo "while $1 was down" >"$path/meanwhile"
	expect_status 4 bfs sync --timeout 1
	expect_status 2 cmp "$path/long" /dev/null
	expect_says 'No route to host'
	cloud "$1" up
	within 40 cat "$path/long"
	bfs sync --timeout 60
	is_stored "$path/meanwhile" "$1" || fail "not stored: $(bfs where --json "$path/meanwhile")"
}

# run DOMESTIC FOREIGN: over a new store and new servers of these kinds.
run() {
	step "home on $1, abroad on $2"
	clouds_start "domestic=$1" "foreign=$2"
	config_write <<-INI
		[rule personal-stays]
		tag = personal
		zone = domestic
		[rule public-goes-out]
		path = /public/**
		zone = foreign
	INI
	bfs_init
	bfs_mount
	files_write
	facts >"$TEST_TMP/written"
	bfs sync --timeout 60
	expect_equal "$(where_all)" '21 domestic stored 21 foreign stored' 'where the files are'
	expect_all_as "$TEST_TMP/written"

	step 'home by tags, and away without them'
	setfattr -n user.xdg.tags -v personal "$mnt/public/letters" "$mnt/public/long"
	bfs sync --timeout 60
	expect_equal "$(where_all)" '42 domestic stored' 'where the files are'
	expect_equal "$(bucket_list foreign)" '' 'objects left abroad'
	expect_all_as "$TEST_TMP/written"
	setfattr -x user.xdg.tags "$mnt/public/letters"
	setfattr -x user.xdg.tags "$mnt/public/long"
	bfs sync --timeout 60
	expect_equal "$(where_all)" '21 domestic stored 21 foreign stored' 'where the files are'
	expect_all_as "$TEST_TMP/written"

	step 'each server is gone for a while'
	outage domestic
	outage foreign
	rm "$mnt"/p*/meanwhile
	expect_all_as "$TEST_TMP/written"

	step 'what is deleted is gone'
	rm -r "$mnt/public" "$mnt/private"
	bfs sync --timeout 60
	within 30 expect_empty
	bfs_umount
	cloud domestic remove
	cloud foreign remove
	rm -rf "$store"
}

expect_empty() {
	[ -z "$(bucket_list domestic)$(bucket_list foreign)" ]
}

export=allow
run sftp native
run native sftp
