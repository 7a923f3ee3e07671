#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=400 alone
# 1 GiB through a cache of 64 MiB, out and back: the daemon stays below 200 MiB, and the store near its bound.
# memory.sh [ceph|swift|local]: over which backend (ceph).
. "${0%/*}/lib.sh"

kind=${1:-ceph}
memory_max_kib=$((200 * 1024))
cache_bytes=$((64 << 20))
files=128 # of 4 MiB, and one of 512

# content NUMBER BYTES: always the same for a number, and nothing can make it smaller.
content() {
	head -c "$2" /dev/zero | openssl enc -aes-128-ctr -nosalt -K "$(printf %032x "$1")" -iv "$(printf %032x 0)"
}

configure() {
	(umask 077 && echo 'correct horse battery staple' >"$passphrase")
	cache=64M
	{
		ini_filesystem
		ini_zone domestic domestic domestic
		if [ "$kind" = local ]; then
			printf '[backend domestic]\ntype = local\npath = %s\n' "$TEST_TMP/disk"
		else
			ini_backend domestic
		fi
	} >"$ini"
}

# small FROM: every eighth of the small files.
small() {
	local i
	for ((i = $1; i < files; i += 8)); do
		content "$i" 4194304 | dd of="$mnt/small-$i" bs=1M iflag=fullblock status=none
	done
}

# kernel_forgets FILE...: the page cache gives them up, so that the daemon is asked.
kernel_forgets() {
	local file
	for file; do
		dd if="$file" iflag=nocache count=0 status=none
	done
}

show_memory() {
	echo "resident: $(daemon_memory_kib) KiB now, $(daemon_memory_peak_kib) KiB at most"
	[ "$(daemon_memory_peak_kib)" -le $memory_max_kib ] || fail "the daemon had more than $memory_max_kib KiB"
}

show_cache() {
	local bytes
	bytes=$(du -s --block-size=1 "$store/cache" | cut -f1)
	echo "cache on disk: $((bytes >> 10)) KiB"
	# slots and directories take some more than what they hold
	[ "$bytes" -le $((cache_bytes * 5 / 4)) ] || fail "the cache has $bytes bytes, and its bound is $cache_bytes"
}

write_all() {
	local i pids=()
	content 1000 $((512 << 20)) | dd of="$mnt/large" bs=1M iflag=fullblock status=none
	for i in {0..7}; do
		small "$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	bfs sync --timeout 200
}

sums() {
	(cd "$mnt" && sha256sum large && printf '%s\0' small-* | sort -z | xargs -0 -n 16 -P 4 sha256sum | sort -k 2)
}

wanted_sums() {
	local i
	echo "$(content 1000 $((512 << 20)) | sha256sum | cut -d' ' -f1)  large"
	for ((i = 0; i < files; i++)); do
		echo "$(content "$i" 4194304 | sha256sum | cut -d' ' -f1)  small-$i"
	done | sort -k 2
}

received() {
	bfs status --json | jq '[.zones[].backends[].bytes_received] | add'
}

step "a $kind backend"
if [ "$kind" = local ]; then
	mkdir "$TEST_TMP/disk"
else
	clouds_start domestic="$kind"
fi
configure
bfs_init
bfs_mount
show_memory

step '1 GiB written and synced'
takes write_all
echo "$took_ms ms, $((1024 * 1000 / took_ms)) MiB/s"
show_memory
show_cache

step 'read back'
kernel_forgets "$mnt"/large "$mnt"/small-*
takes sums >"$TEST_TMP/got"
echo "$took_ms ms, $((1024 * 1000 / took_ms)) MiB/s"
show_memory
show_cache
[ "$(received)" -ge $((900 << 20)) ] || fail "only $(received) bytes came from the backend"
wanted_sums >"$TEST_TMP/wanted"
expect_same "$TEST_TMP/wanted" "$TEST_TMP/got"

step 'read back by a new daemon'
bfs_umount
bfs_mount
takes sums >"$TEST_TMP/got"
echo "$took_ms ms, $((1024 * 1000 / took_ms)) MiB/s"
show_memory
show_cache
expect_same "$TEST_TMP/wanted" "$TEST_TMP/got"
bfs_umount
