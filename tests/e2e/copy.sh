#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=120
# cp inside a zone shares what is stored: at once, without a request and without an object more; into another zone it is
# a copy. copy.sh [MiB]: of a file of so many (64).
. "${0%/*}/lib.sh"

mib=${1:-64}
mkdir "$TEST_TMP/near" "$TEST_TMP/far"
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
cache=$((mib * 3))M
{
	ini_filesystem
	ini_zone domestic domestic near
	ini_zone foreign foreign far
	printf '[backend near]\ntype = local\npath = %s\n' "$TEST_TMP/near"
	printf '[backend far]\ntype = local\npath = %s\n' "$TEST_TMP/far"
	printf '[rule public-goes-out]\npath = /public/**\nzone = foreign\n'
} >"$ini"

objects() { # CLOUD
	find "$TEST_TMP/$1" -type f -not -path '*/.borderfs/*' -not -path '*/audit/*' -printf '%P\n' | sort
}

requests() {
	bfs status --json | jq '[.zones[].backends[].requests] | add'
}

is_empty() { # CLOUD
	[ -z "$(objects "$1")" ]
}

step "cp of a stored file"
bfs_init
bfs_mount
head -c $((mib * 1048576 + 12345)) /dev/zero | openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 >"$TEST_TMP/plain" 2>/dev/null
cp "$TEST_TMP/plain" "$mnt/a"
bfs sync
before=$(objects near) asked=$(requests)
takes cp "$mnt/a" "$mnt/b"
echo "cp of $mib MiB: $took_ms ms"
[ "$took_ms" -lt 1000 ] || fail "cp took $took_ms ms"
bfs sync
expect_equal "$(requests)" "$asked" 'requests after the copy'
expect_equal "$(objects near)" "$before" 'objects after the copy'
expect_equal "$(where_is "$mnt/b" state)" stored 'state of the copy'
expect_equal "$(where_is "$mnt/b" object_names)" "$(where_is "$mnt/a" object_names)" 'objects of the copy'
expect_equal "$(stat -c '%s %b' "$mnt/b")" "$(stat -c '%s %b' "$mnt/a")" 'size and blocks of the copy'
bfs cache drop
expect_same "$TEST_TMP/plain" "$mnt/b"

step "a crash right after fsync"
cp "$mnt/a" "$mnt/c"
sync "$mnt/c"
bfs_kill
bfs_mount
expect_same "$TEST_TMP/plain" "$mnt/c"
expect_equal "$(objects near)" "$before" 'objects after the crash'

step "either side is written to, then deleted"
cp "$TEST_TMP/plain" "$TEST_TMP/changed"
for file in "$TEST_TMP/changed" "$mnt/b"; do
	printf 'other words' | dd of="$file" bs=1 seek=5000000 conv=notrunc status=none
done
bfs sync
expect_same "$TEST_TMP/changed" "$mnt/b"
expect_same "$TEST_TMP/plain" "$mnt/a"
expect_equal "$(objects near | wc -l)" $(($(wc -l <<<"$before") + 1)) 'objects after one block was written to'
rm "$mnt/a" "$mnt/c"
bfs sync
bfs cache drop
expect_same "$TEST_TMP/changed" "$mnt/b"

step "into another zone, and out of it again"
mkdir "$mnt/public"
cp "$mnt/b" "$mnt/public/b"
bfs sync
is_stored "$mnt/public/b" foreign || fail "the copy is not in its zone"
expect_equal "$(where_is "$mnt/public/b" object_zones | tr , '\n' | sort -u)" foreign 'zones of its objects'
mv "$mnt/public/b" "$mnt/d"
cp "$mnt/d" "$mnt/public/d"
bfs sync
expect_equal "$(where_is "$mnt/d" object_zones | tr , '\n' | sort -u)" domestic 'zones of what came home'
expect_same "$TEST_TMP/changed" "$mnt/public/d"
expect_same "$TEST_TMP/changed" "$mnt/d"
rm -r "$mnt/b" "$mnt/d" "$mnt/public"
within 20 is_empty near
within 20 is_empty far
bfs_umount
