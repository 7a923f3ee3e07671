#!/bin/bash
# test: timeout=240 torture
# SPDX-License-Identifier: GPL-3.0-or-later
# A cache that fills while its backend is down: writers are slowed until there is room, and go on by themselves when the backend is
# back. In `make torture`, which has the time: when it stays away they get ENOSPC, each within the minute that
# docs/OPERATIONS.md promises, the next ones at once, and all that was synced before is there.
. "${0%/*}/lib.sh"

cache=16M
settle=100ms
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
head -c 40000000 /dev/urandom >"$TEST_TMP/large"
tool_start home trapd -a 127.0.0.1

cloud_down() {
	tool home do reset
	tool home at header
}

cloud_back() {
	tool home do store
}

# copy NAME: past the kernel's cache, so that each write is told what became of it. Its end is in NAME.status, what it said in
# NAME.said.
copy() {
	local status=0
	dd if="$TEST_TMP/large" of="$mnt/$1" bs=1M oflag=direct 2>"$TEST_TMP/$1.said" || status=$?
	echo $status >"$TEST_TMP/$1.new"
	mv "$TEST_TMP/$1.new" "$TEST_TMP/$1.status"
}

has_error() {
	[ "$(bfs status --json | jq -r '.zones[].backends[].error')" = "$1" ]
}

is_stuck() {
	local before
	before=$(stat -c %s "$mnt/$1")
	[ "$before" -gt 0 ]
	sleep 0.7
	[ "$(stat -c %s "$mnt/$1")" = "$before" ]
}

{
	ini_filesystem
	ini_zone domestic domestic home
	ini_plain_backend home "http://127.0.0.1:${tool_port[home]}"
} >"$ini"
bfs_init
bfs_mount

step 'the backend is down, and the cache fills: the writer waits'
cloud_down
copy one &
within 30 is_stuck one
[ ! -e "$TEST_TMP/one.status" ] || fail "it ended: $(cat "$TEST_TMP/one.said")"
bytes=$(stat -c %s "$mnt/one")
[ "$bytes" -ge 8000000 ] || fail "only $bytes bytes were taken by a cache of 16 MiB"
[ "$bytes" -lt 40000000 ] || fail "all was taken by a cache of 16 MiB"
expect_equal "$(ls "$mnt")" one 'the listing, meanwhile'
within 30 has_error UNREACHABLE

step 'it is back: the writer goes on, and all of it is stored'
cloud_back
takes within 60 test -e "$TEST_TMP/one.status"
echo "done $took_ms ms after the backend was back"
expect_equal "$(cat "$TEST_TMP/one.status")" 0 'how the writer ended'
bfs sync --timeout 60
is_stored "$mnt/one" domestic || fail "not stored: $(bfs where --json "$mnt/one")"
expect_same "$mnt/one" "$TEST_TMP/large"

if [ "${TEST_SCALE-1}" -gt 1 ]; then
	step 'it stays away: no space, within the minute'
	cloud_down
	takes copy two
	echo "given up after $took_ms ms"
	grep -qF 'No space left on device' "$TEST_TMP/two.said" || fail "it said: $(cat "$TEST_TMP/two.said")"
	[ "$took_ms" -ge 50000 ] && [ "$took_ms" -le 90000 ] || fail "it took $took_ms ms"
	bytes=$(stat -c %s "$mnt/two")
	takes copy three
	[ "$took_ms" -le 3000 ] || fail "the next one took $took_ms ms to be told"
	grep -qF 'No space left on device' "$TEST_TMP/three.said" || fail "it said: $(cat "$TEST_TMP/three.said")"

	step 'it is back: there is room again, without being told'
	cloud_back
	within 60 dd if=/dev/zero of="$mnt/four" bs=1M count=8 oflag=direct
	cmp -n "$bytes" "$mnt/two" "$TEST_TMP/large"
	copy two
	expect_equal "$(cat "$TEST_TMP/two.status")" 0 'how the writer ended'
	bfs sync --timeout 60
	expect_same "$mnt/two" "$TEST_TMP/large"
fi
bfs_umount
