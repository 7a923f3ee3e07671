#!/bin/bash
# test: timeout=120
# SPDX-License-Identifier: GPL-3.0-or-later
# I6 and I8 as the reader of a file sees them: its object was cut short or replaced, its server hangs. Each ends in the
# error that is meant, soon, with a line in the log; and status follows what the backends answered last.
. "${0%/*}/lib.sh"

home=$TEST_TMP/near
backend_keys='connect-timeout=2s timeout=4s connections=2'
mkdir -p "$home" "$mnt"
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
tool_start abroad trapd
{
	ini_filesystem
	zone_keys='pack=0' # each file has an object of its own to be damaged
	ini_zone domestic domestic home
	ini_zone foreign foreign abroad
	printf '[backend home]\ntype = local\npath = %s\n' "$home"
	ini_plain_backend abroad "http://127.0.0.1:${tool_port[abroad]}"
	printf '[rule public-goes-out]\npath = /public/**\nzone = foreign\n'
} >"$ini"

# object_of FILE: the name of its one object, as `where` says it.
object_of() {
	where_is "$1" object_names
}

# local_object FILE: its path in the directory that is the backend.
local_object() {
	find "$home" -name "$(basename "$(object_of "$1")")" -not -path '*/.borderfs/*'
}

# forget: nothing of any file is on this machine any more.
forget() {
	bfs cache drop
	bfs_umount
	bfs_mount
}

# state_of BACKEND: as `status` shows it: up, failing or down.
state_of() {
	bfs status --json | jq -r --arg name "$1" '.zones[].backends[] | select(.name == $name) |
		if .up | not then "down" elif .error then "failing" else "up" end'
}

lines_of() {
	grep -cF "$1" "$daemon_log" || true
}

# uploads_are N: so many are under way.
uploads_are() {
	[ "$(bfs status --json | jq .waiting.uploads)" = "$1" ]
}

# expect_damage FILE OBJECT BACKEND TEXT: reading the file is EIO, and the log says which object is damaged where, and how; it
# is no failure of the backend.
expect_damage() {
	local file=$1 object=$2 backend=$3 text=$4 before
	before=$(lines_of "object $object is damaged: backend '$backend'")
	expect_status 1 cat "$file"
	expect_says 'Input/output error'
	[ "$(lines_of "object $object is damaged: backend '$backend'")" -gt "$before" ] ||
		fail "no line in the log names $object"
	grep -F "object $object is damaged" "$daemon_log" | grep -qF "$text" || fail "the log does not say '$text'"
	expect_equal "$(state_of "$backend")" up "the state of $backend"
}

bfs_init >/dev/null
bfs_mount
mkdir "$mnt/public"
for i in 1 2 3 4; do
	head -c 20000 /dev/urandom >"$mnt/$i"
	head -c 20000 /dev/urandom >"$mnt/public/$i"
done
cp "$mnt/public/3" "$TEST_TMP/3"
bfs sync --timeout 60

step 'an object in a directory is cut short, or something else'
for i in 1 2 3; do
	name[i]=$(object_of "$mnt/$i")
	path[i]=$(local_object "$mnt/$i")
	[ -f "${path[i]}" ] || fail "no object of $i"
done
forget
chmod 600 "${path[@]}"
truncate -s 100 "${path[1]}"
rm "${path[2]}" "${path[3]}"
mkdir "${path[2]}"
ln -s /etc/hostname "${path[3]}"
expect_damage "$mnt/1" "${name[1]}" home 'the object is cut short: it has 100 bytes'
expect_damage "$mnt/2" "${name[2]}" home 'is not a file'
expect_damage "$mnt/3" "${name[3]}" home 'is not a file'
cat "$mnt/4" >/dev/null

expect_equal "$(bfs status --json | jq '.zones[0].blocks_lost')" 3 'blocks that status says are lost'

step 'an object on an S3 server is cut short'
object=$(object_of "$mnt/public/1")
curl -sf -X PUT --data-binary short. "http://127.0.0.1:${tool_port[abroad]}/office/$object"
expect_damage "$mnt/public/1" "$object" abroad 'the object is cut short'
cat "$mnt/public/2" >/dev/null
expect_equal "$(bfs report --json | jq -r 'select(.name == "lost file").path' | sort | xargs)" '/1 /2 /3 /public/1' 'files that are lost'

step 'status follows what a backend answered last'
mv "$home" "$home.away"
expect_status 1 cat "$mnt/1"
expect_equal "$(state_of home)" failing 'the state of home'
expect_status 0 bfs status
expect_says 'failing' 'is not a directory'
mv "$home.away" "$home"
head -c 20000 /dev/urandom >"$mnt/5"
bfs sync --timeout 20 "$mnt/5"
expect_equal "$(state_of home)" up 'the state of home'

step 'a server that hangs, and uploads hold all its connections: a read ends when the timeout is over'
forget
tool abroad do hang
for i in 5 6 7; do
	head -c 20000 /dev/urandom >"$mnt/public/$i"
done
within 10 uploads_are 3
sleep 3 # most of their time is over when the read begins to wait for a connection of theirs
takes expect_status 1 cat "$mnt/public/3"
expect_says 'Connection timed out'
echo "after $took_ms ms"
[ "$took_ms" -le 5200 ] || fail "a read took $took_ms ms, and the timeout is 4 s"
takes expect_status 1 cat "$mnt/public/3"
[ "$took_ms" -le 500 ] || fail "the next read took $took_ms ms"
tool abroad do store
within 40 cmp "$mnt/public/3" "$TEST_TMP/3"
bfs sync --timeout 60
expect_equal "$(state_of abroad)" up 'the state of abroad'

bfs_umount

if [ "$(id -u)" = 0 ]; then
	step 'writes that a full disk refused: fsync says so, and so does the end'
	disk=$TEST_TMP/disk
	clean_up_own() {
		umount -l "$disk" 2>/dev/null
	}
	mkdir "$disk"
	mount -t tmpfs -o size=96M none "$disk"
	sed -i "s|^store = .*|store = $disk/store|" "$ini"
	store=$disk/store
	bfs_init --offline >/dev/null
	mv "$home" "$home.away" # nothing can be uploaded to make room
	bfs_mount
	head -c 60M /dev/zero >"$disk/filler"
	expect_status 1 dd if=/dev/zero of="$mnt/lost" bs=1M count=40 conv=fsync status=none
	expect_says 'No space left on device'
	rm "$disk/filler"
	bfs_umount
	grep -qE 'inode [0-9]+: what was written at [0-9]+ is lost: No space left on device' "$daemon_log" || fail 'no line says it'
	tail -n 1 "$daemon_log" | grep -qE 'unmounted: [0-9]+ writes could not be taken' || fail "the last line is $(tail -n 1 "$daemon_log")"
fi
