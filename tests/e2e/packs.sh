#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=240 alone
# Small files through a link of 30 ms and 1 Gbit/s: few requests store them, and a tree that comes and goes leaves nothing.
. "${0%/*}/lib.sh"

files=10000

step 'a cloud behind a link'
clouds_start domestic=ceph
endpoint=$(cloud_env domestic ENDPOINT)
tool_start link lagproxy 0 "${endpoint##*:}" 30 125000000
mkdir "$TEST_TMP/abroad"
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
{
	settle=2s ini_filesystem
	ini_zone domestic domestic domestic
	ini_zone foreign foreign abroad
	ini_backend domestic | sed "s|^endpoint = .*|endpoint = ${endpoint%:*}:${tool_port[link]}|"
	printf '[backend abroad]\ntype = local\npath = %s\n' "$TEST_TMP/abroad"
	printf '[rule public-goes-out]\npath = /public/**\nzone = foreign\n'
} >"$ini"
bfs_init
bfs_mount

# requests METHOD: how many the cloud has had since $mark.
requests() {
	log_since domestic "$mark" | grep -c "^$1 " || true
}

step "$files files of 4 KiB"
head -c 41M /dev/urandom >"$TEST_TMP/random"
mark=$(log_mark domestic)
mkdir "$mnt/many"
takes split -b 4096 -a 5 -d "$TEST_TMP/random" "$mnt/many/"
written_ms=$took_ms
files=$(find "$mnt/many" -type f | wc -l)
takes bfs sync --timeout 60
puts=$(requests PUT)
echo "$files files: written in $written_ms ms, stored $took_ms ms later with $puts requests"
[ "$puts" -lt 100 ] || fail "$puts requests"
expect_equal "$(bucket_list domestic)" "$(objects_where domestic)" 'objects at home'

step 'read from the cloud alone'
bfs cache drop
mark=$(log_mark domestic)
takes cmp <(cat "$mnt"/many/0[0-3]???) <(head -c $((4000 * 4096)) "$TEST_TMP/random")
gets=$(requests GET)
echo "4000 files read one after the other in $took_ms ms with $gets requests"
[ "$gets" -lt 200 ] || fail "$gets requests"

step 'a file abroad: nothing of it stays here'
name=$mnt/many/00042
mkdir "$mnt/public"
mv "$name" "$mnt/public/"
bfs sync --timeout 60
is_stored "$mnt/public/00042" foreign || fail "$(bfs where --json "$mnt/public/00042")"
expect_equal "$(bucket_list domestic)" "$(objects_where domestic)" 'objects at home'

step 'all gone'
rm -rf "$mnt/many"
bfs sync --timeout 60
expect_equal "$(bucket_list domestic)" '' 'objects at home'
bfs_umount
