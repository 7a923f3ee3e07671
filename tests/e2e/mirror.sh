#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=240
# Two copies of everything, on two servers: one is away while files are written, is slow, loses and changes objects; copies
# that are asked for later are made, though the daemon is killed meanwhile.
. "${0%/*}/lib.sh"

servers='domestic twin'

step 'two servers, each behind a link'
clouds_start domestic=ceph twin=swift
for server in $servers; do
	endpoint=$(cloud_env "$server" ENDPOINT)
	tool_start "$server-link" lagproxy 0 "${endpoint##*:}" 5
done
mkdir "$TEST_TMP/abroad"
(umask 077 && echo 'correct horse battery staple' >"$passphrase")

# linked NAME: its section, through its link.
linked() {
	local endpoint
	endpoint=$(cloud_env "$1" ENDPOINT)
	ini_backend "$1" | sed "s|^endpoint = .*|endpoint = ${endpoint%:*}:${tool_port[$1-link]}|"
}

{
	ini_filesystem
	zone_keys=$'copies=2\npack=0' # each file has an object of its own to be lost
	ini_zone domestic domestic domestic twin
	zone_keys=''
	ini_zone foreign foreign abroad
	backend_keys='connect-timeout=2s timeout=20s'
	linked domestic
	linked twin
	printf '[backend abroad]\ntype = local\npath = %s\n' "$TEST_TMP/abroad"
} >"$ini"

# fetch_bucket NAME: all of its objects, in $TEST_TMP/got.NAME.
fetch_bucket() {
	rm -rf "$TEST_TMP/got.$1"
	mkdir "$TEST_TMP/got.$1"
	cloud "$1" s3cmd get --recursive "s3://$(cloud_env "$1" BUCKET)" "$TEST_TMP/got.$1/" >/dev/null
}

# buckets_equal: both hold what `where` says, byte for byte the same.
buckets_equal() {
	local server
	for server in $servers; do
		[ "$(bucket_list "$server")" = "$(objects_where domestic)" ] || return 1
		fetch_bucket "$server"
	done
	diff -rq "$TEST_TMP/got.domestic" "$TEST_TMP/got.twin"
}

# zone_is KEY: of the zone, from status.
zone_is() {
	bfs status --json | jq -r ".zones[0].$1"
}

is_whole() {
	[ "$(zone_is blocks_short)" = 0 ]
}

is_short() {
	[ "$(zone_is blocks_short)" -gt 0 ]
}

# remove_objects SERVER OBJECT...: behind the program's back.
remove_objects() {
	local server=$1 bucket
	bucket=$(cloud_env "$server" BUCKET)
	shift
	cloud "$server" s3cmd del "${@/#/s3://$bucket/}" >/dev/null
}

# from_servers FILE: its content, from no cache of the kernel; forget: nor from ours.
from_servers() {
	dd if="$1" iflag=direct bs=1M status=none
}

forget() {
	bfs cache drop >/dev/null
}

# expect_files: every file reads as it was written, from the servers.
expect_files() {
	local i
	forget
	for i in "$TEST_TMP"/files/*; do
		from_servers "$mnt/${i##*/}" | cmp - "$i"
	done
}

# prefer SERVER OTHER: reads ask it first: the other one is far away.
prefer() {
	tool "$1-link" rtt 2
	tool "$2-link" rtt 300
	bfs_umount # what was measured before is forgotten
	bfs_mount
	expect_files
}

bfs_init >/dev/null
bfs_mount
mkdir "$TEST_TMP/files"
for i in 1 2 3 4 5 6; do
	head -c 300000 /dev/urandom >"$TEST_TMP/files/$i"
done

step 'one server is away while files are written'
tool twin-link mode refuse
cp "$TEST_TMP/files/"* "$mnt/"
expect_status 4 bfs sync --timeout 4
expect_status 0 bfs status
expect_says '1 of its backends can store data now, and 2 must'
expect_equal "$(where_is "$mnt/1" state)" local 'the state of a file with one server'
expect_files
tool twin-link mode ok
bfs sync --timeout 60
expect_equal "$(where_is "$mnt/1" 'backends|sort')" domestic,twin 'the backends of a file'
buckets_equal
expect_files

step 'the server that answers first hangs'
prefer domestic twin
forget
tool domestic-link mode hang
takes from_servers "$mnt/1" >"$TEST_TMP/read"
echo "read from the other one after $took_ms ms; the timeout is 20 s"
expect_same "$TEST_TMP/read" "$TEST_TMP/files/1"
[ "$took_ms" -lt 4500 ] || fail "after $took_ms ms"
takes from_servers "$mnt/2" >"$TEST_TMP/read"
echo "the next one after $took_ms ms"
[ "$took_ms" -lt 3000 ] || fail "the next one after $took_ms ms"
tool domestic-link mode ok

step 'a server lost an object, and changed another'
for server in $servers; do
	other=${servers/$server/}
	prefer "$server" "${other// /}"
	one=$(where_is "$mnt/1" object_names) two=$(where_is "$mnt/2" object_names)
	bucket=$(cloud_env "$server" BUCKET)
	remove_objects "$server" "$one"
	cloud "$server" s3cmd get "s3://$bucket/$two" "$TEST_TMP/two.$server" >/dev/null
	printf 'changed' | dd of="$TEST_TMP/two.$server" bs=1 seek=100000 conv=notrunc status=none
	cloud "$server" s3cmd put "$TEST_TMP/two.$server" "s3://$bucket/$two" >/dev/null
	expect_files
	within 30 is_whole
	buckets_equal
done
grep -q "object $one is not on backend 'twin'" "$daemon_log" || fail 'no line says which object was lost'

for kind in lost tampered; do
	expect_equal "$(bfs audit show --json --kind $kind | jq -r '.facts.backend' | sort -u | wc -l)" 2 "backends with lines of kind $kind"
done

step 'copies that are asked for later are made, though the daemon is killed'
sed -i 's/^copies=2/copies=1/' "$ini"
bfs reload
for i in 7 8 9 10 11 12 13 14; do
	head -c 300000 /dev/urandom >"$TEST_TMP/files/$i"
	cp "$TEST_TMP/files/$i" "$mnt/"
done
bfs sync --timeout 60
for server in $servers; do
	tool "$server-link" rate 400000
done
sed -i 's/^copies=1/copies=2/' "$ini"
bfs reload
within 10 is_short
sleep 1
bfs_kill
bfs_mount
within 10 is_short
expect_status 0 bfs status
expect_says 'with fewer sound copies than 2'
expect_status 0 bfs where -r "$mnt"
expect_says 'stored, short of copies'
for server in $servers; do
	tool "$server-link" rate 0
done
within 60 is_whole
buckets_equal
expect_files

step 'what is deleted goes from both'
rm "$mnt"/*
bfs sync --timeout 60
for server in $servers; do
	expect_equal "$(bucket_list "$server")" '' "objects on $server"
done
bfs_umount
