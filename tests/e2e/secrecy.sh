#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=240 sanitize
# What lies on disks and in clouds: exactly the objects that `where` names, and nothing that a thief could read (I5).
# Home has two copies, one of them in a directory; abroad has a prefix.
. "${0%/*}/lib.sh"

disk=$TEST_TMP/disk
patterns=$TEST_TMP/patterns

configure() {
	mkdir -p "$disk"
	(umask 077 && echo 'a passphrase nobody may read' >"$passphrase")
	{
		ini_filesystem
		ini_zone domestic domestic domestic disk
		echo 'copies = 2'
		ini_zone foreign foreign foreign
		ini_backend domestic
		backend_keys='prefix=some/where/' ini_backend foreign
		cat <<-INI
			[backend disk]
			type = local
			path = $disk
			[tag classified-by-rule]
			name = *.dossier
			[rule abroad]
			path = /outgoing-parcels/**
			not-tag = classified-by-user
			zone = foreign
		INI
	} >"$ini"
}

# What must be found nowhere. Each line of it is in something that write_known writes.
write_patterns() {
	cat >"$patterns" <<-END
		known plaintext line
		outgoing-parcels
		telltale-directory
		telltale-name
		telltale-renamed
		telltale-deleted
		telltale-hardlink
		telltale-symlink
		telltale-target
		user.telltale-attribute
		telltale-value
		classified-by-user
		telltale-note
		a passphrase nobody may read
		$(cloud_env domestic SECRET)
		$(cloud_env foreign SECRET)
	END
	expect_equal "$(wc -w <"$TEST_TMP/recovery-words")" 9 'recovery words'
	grep -oE '[a-z]{5} [a-z]{5}' "$TEST_TMP/recovery-words" >>"$patterns"
}

# lines FROM TO: content to look for, some 40 bytes a line.
lines() {
	seq -f 'known plaintext line %010.0f of a report' "$1" "$2"
}

write_known() {
	local dir
	for dir in "$mnt/outgoing-parcels/telltale-directory" "$mnt/telltale-directory"; do
		mkdir -p "$dir"
		echo 'known plaintext line, one alone' >"$dir/telltale-name-tiny"
		lines 1 100 >"$dir/telltale-name-inline"
		lines 1 2000 >"$dir/telltale-name.dossier"
		lines 1 220000 >"$dir/telltale-name-large" # three blocks
		lines 5 900 >"$dir/telltale-before"
		mv "$dir/telltale-before" "$dir/telltale-renamed"
		ln "$dir/telltale-renamed" "$dir/telltale-hardlink"
		ln -s "/telltale-target/$(printf 't%.0s' {1..200})" "$dir/telltale-symlink"
		setfattr -n user.telltale-attribute -v "telltale-value $(printf 'v%.0s' {1..500})" "$dir/telltale-name-inline"
		setfattr -n user.xdg.tags -v classified-by-user "$dir/telltale-name-tiny"
		setfattr -n user.xdg.comment -v telltale-note "$dir"
		lines 1 3000 >"$dir/telltale-deleted"
		lines 1 10 >"$dir/telltale-deleted-small"
	done
}

# A second look at the same files: what was there before leaves traces of its own.
change_known() {
	local dir
	for dir in "$mnt/outgoing-parcels/telltale-directory" "$mnt/telltale-directory"; do
		rm "$dir/telltale-deleted" "$dir/telltale-deleted-small"
		lines 7 60 >"$dir/telltale-name-inline"
		lines 100 300 | dd of="$dir/telltale-name-large" bs=4k seek=1500 conv=notrunc status=none
		truncate -s 5000 "$dir/telltale-name.dossier"
		lines 1 9 >>"$dir/telltale-renamed"
	done
}

# ---- exactly the objects

# expect_listed CLOUD LISTED: what a cloud lists against what `where` names for its zone.
expect_listed() {
	jq -r --arg zone "$1" '[.object_names, .object_zones] | transpose[] | select(.[1] == $zone) | .[0]' \
		"$TEST_TMP/where" | sort -u | sed "s|^|${3-}|" >"$TEST_TMP/named"
	[ -s "$TEST_TMP/named" ] || fail "where names no objects in $1"
	expect_same "$TEST_TMP/named" "$2"
}

check_lists() {
	bfs sync --timeout 60 2>/dev/null
	bfs where -r --json "$mnt" >"$TEST_TMP/where"
	expect_equal "$(jq -r .state "$TEST_TMP/where" | sort -u)" stored 'the states of the files'
	bucket_list domestic >"$TEST_TMP/listed"
	expect_listed domestic "$TEST_TMP/listed"
	(cd "$disk" && find . -type f -printf '%P\n' | sort) >"$TEST_TMP/listed"
	expect_listed domestic "$TEST_TMP/listed"
	bucket_list foreign >"$TEST_TMP/listed"
	expect_listed foreign "$TEST_TMP/listed" some/where/
	echo "$(jq -r '.object_names[]' "$TEST_TMP/where" | sort -u | wc -l) objects, each where it is said to be"
}

# ---- nothing to read

# grep_for_known PLACE...: what holds any of the patterns, and which.
grep_for_known() {
	grep -r -a -o -n -F -f "$patterns" "$@" | head -n 20 || true
}

fetch_buckets() {
	local zone
	for zone in domestic foreign; do
		rm -rf "$TEST_TMP/fetched-$zone"
		mkdir "$TEST_TMP/fetched-$zone"
		cloud $zone s3cmd -q get -r "s3://$(cloud_env $zone BUCKET)/" "$TEST_TMP/fetched-$zone/"
		expect_equal "$(find "$TEST_TMP/fetched-$zone" -type f | wc -l)" "$(bucket_list $zone | wc -l)" \
			"objects fetched from $zone"
	done
}

# Names of files and directories count as content: they are looked for too. The clouds' own files and logs are looked
# through as their operators could; but not their configuration, which knows the secrets.
check_unreadable() {
	local places=("$store" "$disk" "$daemon_log" "$TEST_TMP/foreign/node"
		"$(cloud_env domestic LOG)" "$(cloud_env foreign LOG)")
	[ ! -d "$TEST_TMP/fetched-domestic" ] || places+=("$TEST_TMP"/fetched-*)
	[ -s "$store/meta.db-wal" ] || [ "${1-}" = unmounted ] || fail 'no log of the database to look at'
	expect_equal "$(grep_for_known "${places[@]}")" '' "plaintext on disk, $1"
	expect_equal "$(find "${places[@]}" | grep -F -f "$patterns" || true)" '' "plaintext in names, $1"
}

# open_files PROCESS: the files it has open, of those with a place.
open_files() {
	find "/proc/$1/fd" -type l -lname '/*' ! -lname '/dev/*' -printf '%l\n' 2>/dev/null | sort -u
}

# What the daemon has open lies in its store, but for its log and what this script has open too.
check_open_files() {
	expect_equal "$(open_files "$daemon_pid" | grep -vxF -e "$daemon_log" -f <(open_files $$) |
		grep -vE "^($store|$disk)(/|$)" || true)" '' 'files open outside of the store'
}

step 'clouds'
clouds_start
configure
bfs_init
write_patterns
bfs_mount

step 'written'
write_known
check_open_files
# the looking itself: everything is found where it may be
for pattern in 'known plaintext line' telltale-value telltale-note classified-by-user; do
	{ grep -r -a -q -F "$pattern" "$mnt" || getfattr -h -R -d "$mnt" 2>/dev/null | grep -F "$pattern" >/dev/null; } ||
		fail "'$pattern' was never written"
done
check_unreadable 'before anything is uploaded'

step 'uploaded'
check_lists
fetch_buckets
check_unreadable uploaded

step 'changed, uploaded'
change_known
check_unreadable changed
check_lists
fetch_buckets
check_unreadable 'changed and uploaded'

step 'killed while uploading'
mark=$(log_mark foreign)
lines 1 20000 >"$mnt/telltale-name-1"
for i in {2..60}; do
	lines "$i" $((500 * i)) >"$mnt/outgoing-parcels/telltale-name-$i"
done
sync "$mnt"/telltale-name-1 "$mnt"/outgoing-parcels/*
being_uploaded() {
	[ "$(log_since foreign "$mark" | grep -c ^PUT)" -ge 5 ]
}
within 30 being_uploaded
bfs_kill
check_unreadable 'after kill -9'
bfs_mount
expect_equal "$(wc -l <"$mnt/outgoing-parcels/telltale-name-60")" 29941 'lines of a synced file after kill -9'
check_lists
fetch_buckets
check_unreadable 'uploaded after kill -9'

step 'unmounted'
bfs_umount
check_unreadable unmounted
