#!/bin/bash
# test: timeout=300
# SPDX-License-Identifier: GPL-3.0-or-later
# What is wrong is said in one sentence that names it and what to do, with the exit status that DESIGN §8 gives it: a passphrase,
# a bucket, a secret, a store that cannot be written or is in use, a disk that is full.
. "${0%/*}/lib.sh"

disk=$TEST_TMP/disk
local_abroad=$TEST_TMP/abroad

clean_up_disk() {
	local status=$?
	trap - ERR
	umount -l "$disk" 2>/dev/null || true
	return $status
}

# powerless COMMAND...: root without its capabilities, so that modes count.
powerless() {
	setpriv --bounding-set=-all --inh-caps=-all "$@"
}

# cloud_config: zone domestic on a real cloud, zone foreign on a directory.
cloud_config() {
	(umask 077 && echo 'correct horse battery staple' >"$passphrase")
	{
		ini_filesystem
		ini_zone domestic domestic domestic
		ini_zone foreign foreign abroad
		ini_backend domestic
		printf '[backend abroad]\ntype = local\npath = %s\n' "$local_abroad"
	} >"$ini"
}

store_new() {
	rm -rf "$store"
	bfs_init >/dev/null 2>&1
}

# expect_line: what was said is one line, a sentence of borderfs's.
expect_line() {
	expect_equal "$(wc -l <<<"$said")" 1 "lines in: $said"
	[[ $said == "borderfs: "* ]] || fail "not a message of borderfs: $said"
}

mkdir -m 700 "$local_abroad"
mkdir -p "$mnt"
clouds_start domestic=ceph
cloud_config
store_new

step "a wrong passphrase"
echo wrong >"$passphrase"
for way in -f ''; do
	expect_status 1 bfs mount $way "$mnt"
	expect_line
	expect_says "the passphrase given does not open this store, $store: give the one it was made with, or its recovery words"
done
expect_status 1 bfs cache drop
expect_says "the passphrase given does not open this store"
rm "$passphrase"
expect_status 1 bfs mount "$mnt"
expect_says "$passphrase" "No such file"
cloud_config
chmod 644 "$passphrase"
expect_status 1 bfs mount "$mnt"
expect_says "secret file $passphrase can be read by others; chmod it to 0600"
chmod 600 "$passphrase"
! is_mounted || fail "mounted without the passphrase"

step "the recovery words open it"
chmod 600 "$TEST_TMP/recovery-words"
bfs mount --words-file "$TEST_TMP/recovery-words" "$mnt"
bfs umount "$mnt"

step "a second mount, of one store"
bfs_mount
mkdir "$TEST_TMP/second"
for dir in "$TEST_TMP/second" "$mnt"; do
	expect_status 1 bfs mount "$dir"
	expect_line
	expect_says "the store $store is in use by process $daemon_pid: unmount it there first, or use another store"
done
expect_status 1 bfs init --words-file "$TEST_TMP/more-words" --kdf minimum
expect_says "$store is in use by process $daemon_pid"
[ ! -e "$TEST_TMP/more-words" ] || fail "words of a store that was not made"
echo alive >"$mnt/alive"
expect_equal "$(cat "$mnt/alive")" alive "the first mount"
bfs sync --timeout 60
bfs_umount
expect_status 1 bfs init --words-file "$TEST_TMP/more-words" --kdf minimum
expect_line
expect_says "$store holds a store already: mount it, or choose another" "in [filesystem]"

step "the store's backend is another now: refused, and by policy"
sed -i 's/^bucket = .*/bucket = elsewhere/' "$ini"
expect_status 3 bfs mount "$mnt"
expect_line
expect_says "backend domestic is " "elsewhere" "restore the old lines, or give the new backend a name of its own"

step "a missing bucket"
rm -rf "$store"
expect_status 0 bfs init --kdf minimum --words-file "$TEST_TMP/bucket-words"
expect_says "warning: backend 'domestic' (bucket elsewhere): 127.0.0.1 answered 404 NoSuchBucket; create the bucket there, or correct bucket"
bfs_mount
echo x >"$mnt/x"
expect_status 4 bfs sync --timeout 3
expect_says "1 file is not (all) on its backends yet; backend 'domestic'" "answered 404 NoSuchBucket; create the bucket there, or correct bucket"
expect_status 0 bfs status
expect_says "answered 404 NoSuchBucket; create the bucket there, or correct bucket"
expect_status 4 bfs sync --timeout 1 "$mnt/x"
expect_equal "$(where_is "$mnt/x" state)" local "state"
step "... is made, and the data goes there"
cloud domestic s3cmd mb s3://elsewhere >/dev/null
bfs sync --timeout 60 2>/dev/null
expect_equal "$(where_is "$mnt/x" state)" stored "state"
bfs_umount

step "a wrong secret"
cloud_config
store_new
echo wrong >"$TEST_TMP/domestic.secret"
bfs_mount
echo x >"$mnt/x"
expect_status 4 bfs sync --timeout 3
expect_says "backend 'domestic' (bucket office): 127.0.0.1 answered 403 SignatureDoesNotMatch; check access-key and secret-key-file"
expect_status 0 bfs status
expect_says "answered 403 SignatureDoesNotMatch; check access-key and secret-key-file"
grep -qF "answered 403 SignatureDoesNotMatch; check access-key and secret-key-file" "$daemon_log" || fail "the log does not say it"
step "... is corrected, and is read again without a word"
cloud_config
bfs sync --timeout 60 2>/dev/null
expect_equal "$(where_is "$mnt/x" state)" stored "state"
bfs_umount
chmod 644 "$TEST_TMP/domestic.secret"
expect_status 1 bfs mount "$mnt"
expect_says "$TEST_TMP/domestic.secret" "chmod"
rm "$TEST_TMP/domestic.secret"
expect_status 1 bfs mount "$mnt"
expect_says "$TEST_TMP/domestic.secret" "No such file"
cloud_config

step "nothing is mounted; what is used wrongly"
for command in status sync reload; do
	expect_status 1 bfs $command
	expect_line
	expect_says "the store $store is not mounted: mount it with \`borderfs mount -c $ini DIRECTORY\`"
done
expect_status 1 bfs umount "$mnt"
expect_says "$mnt: no borderfs is mounted there"
expect_status 2 bfs nonsense
expect_says 'there is no command "nonsense": see `borderfs help`'
expect_status 2 "$BORDERFS" mount
expect_status 2 "$BORDERFS" mount --frobnicate "$mnt"
expect_status 2 bfs sync --timeout soon
expect_says '"soon" is no time to wait'
expect_status 1 "$BORDERFS" mount -c "$TEST_TMP/none.ini" "$mnt"
expect_says "$TEST_TMP/none.ini" "No such file"

step "an export policy is loosened: refused, and by policy"
export=deny cloud_config
store_new
bfs_mount
export=allow cloud_config
expect_status 3 bfs reload
expect_says "zone domestic: export = allow is looser than deny, which this store last accepted: keep export = deny"
bfs_umount
expect_status 3 bfs mount "$mnt"
expect_says "zone domestic: export = allow is looser than deny"

step "no store; a store that cannot be written"
cloud_config
rm -rf "$store"
expect_status 1 bfs mount "$mnt"
expect_line
expect_says "there is no store at $store: make it with \`borderfs init\`"

if [ "$(id -u)" = 0 ]; then
	clean_up_own() {
		clean_up_disk
	}
	mkdir "$disk"
	mount -t tmpfs -o size=192M none "$disk"
	store=$disk/store
	cloud_config
	bfs init --offline --kdf minimum --words-file "$TEST_TMP/ro-words" >/dev/null 2>&1
	mount -o remount,ro "$disk"
	expect_status 1 bfs mount "$mnt"
	expect_line
	expect_says "the store $store is not writable: Read-only file system; check its owner and mode"
	store=$disk/other
	cloud_config
	expect_status 1 bfs init --offline --words-file "$TEST_TMP/ro-words2"
	expect_says "the store directory $store cannot be made: Read-only file system"
	mount -o remount,rw "$disk"
	store=$disk/store
	cloud_config
	rm -f "$store/lock"
	chmod 500 "$store"
	expect_status 1 powerless "$BORDERFS" mount -c "$ini" "$mnt"
	expect_line
	expect_says "the store $store is not writable: Permission denied; check its owner and mode"
	chown 65534 "$store"
	expect_status 1 powerless "$BORDERFS" mount -c "$ini" "$mnt"
	expect_line
	expect_says "the store $store cannot be opened: Permission denied"
	rm -rf "$store"
fi

small_synced() {
	echo small >"$mnt/names/small" && sync "$mnt/names/small"
}

full_disk() {
	local i synced=0 tried
	step "a full disk, and no backend: the program that writes is told"
	store=$disk/store
	cloud_config
	store_new
	cloud domestic down
	bfs_mount
	mkdir "$TEST_TMP/copies"
	head -c 8000000 /dev/urandom >"$TEST_TMP/copies/0"
	tried=$SECONDS
	for ((i = 1; i < 40; i++)); do
		head -c 8000000 /dev/urandom >"$TEST_TMP/copies/$i"
		said=$(dd if="$TEST_TMP/copies/$i" of="$mnt/$i" bs=1M conv=fsync status=none 2>&1) || break
		synced=$i
	done
	((synced >= 5 && i < 40)) || fail "$synced files fitted on the disk"
	expect_says "No space left on device"
	((SECONDS - tried < 100)) || fail "it was told after $((SECONDS - tried)) s"
	grep -qF "the cache is full of what is on no backend yet: writers wait for uploads; if its disk is full make room there" \
		"$daemon_log" || fail "the log does not say it"
	expect_status 0 bfs status
	expect_says "DISK FULL: the disk of $store has room for no more than " "make room there"
	step "... and the next one at once"
	takes expect_status 1 dd if="$TEST_TMP/copies/0" of="$mnt/next" bs=1M conv=fsync status=none
	expect_says "No space left on device"
	((took_ms < 20000)) || fail "the next writer waited $took_ms ms"
	step "... and a sync, once, of what was lost"
	expect_status 1 bfs sync --timeout 1
	expect_line
	expect_says "$store: not everything could be written to the store: No space left on device"
	expect_status 4 bfs sync --timeout 1

	step "... names are made and changed, files deleted, nothing synced is lost"
	mkdir "$mnt/names"
	mv "$mnt/1" "$mnt/names/1"
	ln -s nowhere "$mnt/names/link"
	sync "$mnt/names" 2>/dev/null || sync "$mnt/names"
	for ((i = 2; i <= synced; i++)); do
		expect_same "$mnt/$i" "$TEST_TMP/copies/$i"
	done
	expect_same "$mnt/names/1" "$TEST_TMP/copies/1"
	rm "$mnt/next" "$mnt/$((synced + 1))" "$mnt/2" "$mnt/3"

	step "... there is room again for what fits"
	within 20 cp "$TEST_TMP/copies/0" "$mnt/again"
	within 20 sync "$mnt/again"
	expect_same "$mnt/again" "$TEST_TMP/copies/0"
	within 20 small_synced

	step "others fill the disk to the last byte: deletions go on, and what is there can be read"
	bfs_kill
	umount -l "$mnt"
	bfs_mount
	head -c 1G /dev/zero >"$disk/filler" 2>/dev/null || true
	expect_status 1 dd if="$TEST_TMP/copies/0" of="$mnt/over" bs=1M conv=fsync status=none
	expect_says "No space left on device"
	for ((i = 4; i <= synced; i++)); do
		expect_same "$mnt/$i" "$TEST_TMP/copies/$i"
	done
	rm "$mnt/4"
	sleep 2
	bfs_kill
	umount -l "$mnt"
	bfs_mount
	[ ! -e "$mnt/4" ] || fail "a deletion on the full disk was lost"
	expect_same "$mnt/names/1" "$TEST_TMP/copies/1"
	expect_equal "$(cat "$mnt/names/small")" small "a small file"

	step "... room and the cloud are back: all goes on, in a cache smaller than what is written"
	rm "$disk/filler"
	cloud domestic up
	within 20 cp "$TEST_TMP/copies/0" "$mnt/over"
	sync -f "$mnt" 2>/dev/null || true # tells once what was refused meanwhile
	for ((i = 0; i < 40; i++)); do
		[ -e "$TEST_TMP/copies/$i" ] || cp "$TEST_TMP/copies/0" "$TEST_TMP/copies/$i"
		dd if="$TEST_TMP/copies/$i" of="$mnt/$i" bs=1M conv=fsync status=none
	done
	expect_status 0 bfs sync --timeout 60
	for ((i = 0; i < 40; i++)); do
		expect_same "$mnt/$i" "$TEST_TMP/copies/$i"
	done
	expect_equal "$(bfs where --json --recursive "$mnt" | jq -r .state | sort -u)" stored "states"
	bfs_umount
}

if [ "$(id -u)" = 0 ]; then
	full_disk
fi
