#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=120
# Quotas and the store's own bounds over two directories: who is told what, when, and what stays possible.
. "${0%/*}/lib.sh"

mkdir "$TEST_TMP/near" "$TEST_TMP/far"
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
options=()
if [ "$(id -u)" = 0 ]; then
	owner=nobody
	options=(-o allow_other)
	chmod 755 "$TEST_TMP" "$(dirname "$TEST_TMP")"
else
	owner=$(id -un)
fi

# configure [KEY=VALUE...] -- [LINE...]: of [filesystem], and of the owner's quota.
configure() {
	local lines=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		lines+=("$1")
		shift
	done
	filesystem_keys=$(printf '%s\n' "${lines[@]}")
	{
		ini_filesystem
		ini_zone domestic domestic near
		ini_zone foreign foreign far
		printf '[backend near]\ntype = local\npath = %s\n' "$TEST_TMP/near"
		printf '[backend far]\ntype = local\npath = %s\n' "$TEST_TMP/far"
		[ $# -le 1 ] || printf '[quota some]\nowner = %s\n' "$owner"
		printf '%s\n' "${@:2}"
	} >"$ini"
}

as_owner() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid nobody --regid nogroup --clear-groups "$@"
	else
		"$@"
	fi
}

# used KEY: of the owner, as status shows it.
used() {
	bfs status --json | jq ".quotas[0].$1"
}

# of_files KEY: of all files.
of_files() {
	bfs status --json | jq ".usage.$1"
}

put() { # FILE KIB [OPTION...]
	as_owner dd if=/dev/zero of="$mnt/$1" bs=64K count=$(($2 / 64)) status=none "${@:3}"
}

is_used() { # KEY N: for `within`: what the kernel forgets goes a moment later
	[ "$(used "$1")" = "$2" ]
}

step "no bounds"
configure --
bfs_init
bfs_mount "${options[@]}"
chmod 1777 "$mnt"
expect_equal "$(bfs status --json | jq -c '.quotas')" '[]' 'quotas of a configuration without any'
expect_equal "$(of_files bytes_max)" null 'bound of a configuration without any'

step "a section that is wrong changes nothing"
configure -- 'bytes = 1M' '[quota twice]' "owner = $owner" 'inodes = 3'
expect_status 1 bfs reload
expect_says "borderfs.ini:$(grep -n 'quota twice' "$ini" | cut -d: -f1 | awk '{ print $1 + 1 }'): error: user $owner has a quota already"
configure -- 'bytes = 1M'
sed -i "s/^owner = .*/owner = no-such-user/" "$ini"
expect_status 1 bfs reload
expect_says 'expected a user that exists here'

step "bytes of an owner"
configure -- 'bytes = 1T' 'inodes = 1M'
bfs reload
bytes=$(used bytes) inodes=$(used inodes)
configure -- "bytes = $((bytes + 1048576))" "inodes = $((inodes + 4))"
bfs reload
put full 1024 conv=fsync
expect_equal "$(used bytes)" $((bytes + 1048576)) 'bytes in use'
expect_equal "$(du -B1 "$mnt/full" | cut -f1)" 1048576 'what du counts'
expect_status 1 put direct 64 oflag=direct
expect_says 'Disk quota exceeded'
expect_status 1 as_owner fallocate -l 1M "$mnt/direct"
expect_says 'Disk quota exceeded'
expect_status 1 put buffered 64 conv=fsync
expect_says 'No space left on device'
expect_status 1 put buffered 64
expect_says 'No space left on device'
expect_status 1 as_owner cp "$mnt/full" "$mnt/buffered"
expect_says 'Disk quota exceeded'
put full 1024 conv=notrunc,fsync
as_owner truncate -s 512K "$mnt/full"
expect_equal "$(used bytes)" $((bytes + 524288)) 'bytes in use after a truncation'
put direct 512 oflag=direct
as_owner fallocate -p -o 0 -l 256K "$mnt/direct"
expect_equal "$(used bytes)" $((bytes + 786432)) 'bytes in use after a hole was punched'

step "inodes of an owner"
as_owner touch "$mnt/last"
expect_status 1 as_owner touch "$mnt/beyond"
expect_says 'Disk quota exceeded'
expect_status 1 as_owner mkdir "$mnt/beyond"
expect_says 'Disk quota exceeded'
as_owner ln "$mnt/last" "$mnt/second-name"
as_owner rm "$mnt/last" "$mnt/second-name" "$mnt/buffered"
within 5 is_used inodes $((inodes + 2))
if [ "$(id -u)" = 0 ]; then
	dd if=/dev/zero of="$mnt/roots" bs=64K count=16 status=none
	expect_status 1 chown nobody "$mnt/roots"
	expect_says 'Disk quota exceeded'
fi

step "a bound below what is in use; after a crash the counts are the same"
configure -- 'bytes = 1' 'inodes = 1'
bfs reload
as_owner cat "$mnt/full" "$mnt/direct" >/dev/null
expect_status 1 as_owner touch "$mnt/beyond"
before=$(used bytes)
expect_status 1 bfs sync # the first one after writes were lost
expect_says 'No space left on device'
bfs sync
bfs_kill
bfs_mount "${options[@]}"
expect_equal "$(used bytes)" "$before" 'bytes in use after a crash'
as_owner rm "$mnt/full" "$mnt/direct"
within 5 is_used bytes "$bytes"

step "what was synced before a crash comes back though the bound is lower now"
configure -- 'bytes = 1T'
bfs reload
for _ in {1..40}; do
	as_owner dd if=/dev/zero of="$mnt/synced" bs=4K count=1 oflag=append conv=notrunc,fsync status=none
done
configure -- 'bytes = 1'
as_owner dd if=/dev/zero of="$mnt/synced" bs=4K count=1 oflag=append conv=notrunc,fsync status=none
bfs_kill
bfs_mount "${options[@]}"
expect_equal "$(stat -c '%s %b' "$mnt/synced")" '167936 328' 'size and blocks after a crash'
expect_equal "$(used bytes)" $((bytes + 167936)) 'bytes in use after it'
as_owner rm "$mnt/synced"
within 5 is_used bytes "$bytes"

step "the bounds of the store are its size"
configure size=64M inodes=100 --
bfs reload
expect_equal "$(stat -f -c '%b %c' "$mnt")" '16384 100' 'blocks and inodes of the filesystem'
expect_equal "$(df --output=used -B1 "$mnt" | tail -n 1 | tr -d ' ')" "$(of_files bytes)" 'what df shows as used'
expect_equal "$(df --output=iused "$mnt" | tail -n 1 | tr -d ' ')" "$(of_files inodes)" 'what df -i shows as used'
expect_status 1 put much 65536 oflag=direct
expect_says 'No space left on device'
expect_status 1 as_owner bash -c "for ((i = 0; i < 100; i++)); do : >$mnt/\$i || exit 1; done"
expect_says 'No space left on device'
expect_equal "$(df --output=iavail "$mnt" | tail -n 1 | tr -d ' ')" 0 'inodes left'
as_owner find "$mnt" -user "$owner" -type f -delete
bfs_umount
grep -q 'what was written at 0 is lost: Disk quota exceeded' "$daemon_log" || fail 'the log does not say what was lost'
