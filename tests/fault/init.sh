#!/bin/bash
# test: timeout=120
# SPDX-License-Identifier: GPL-3.0-or-later
# An init that is cut short leaves nothing that stands in the way of the next one, and no store but a whole one is mounted.
. "${0%/*}/../e2e/lib.sh"

home=$TEST_TMP/home-objects
words=$TEST_TMP/words

init() {
	rm -f "$words"
	bfs init --offline --kdf minimum --words-file "$words"
}

whole_or_unfinished() {
	local status=0
	said=$("$BORDERFS" mount -c "$ini" "$mnt" 2>&1) || status=$?
	if [ "$status" = 0 ]; then
		"$BORDERFS" umount -c "$ini" "$mnt"
		whole=$((whole + 1))
	elif [ -e "$store" ]; then
		expect_equal "$status" 1 "the status of a mount"
		[[ $said == *"there is no store at $store: make it with"* || $said == *"the store at $store was not finished"*"run it again"* ]] || fail "a mount says: $said"
		expect_status 0 init
		unfinished=$((unfinished + 1))
	fi
}

(umask 077 && echo 'correct horse battery staple' >"$passphrase")
mkdir -m 700 "$home" "$mnt"
{
	ini_filesystem
	printf '[zone domestic]\nkind = domestic\nbackends = nas\n[backend nas]\ntype = local\npath = %s\n' "$home"
} >"$ini"

step "killed when there was a directory and no more"
mkdir -m 700 "$store"
expect_status 1 bfs mount "$mnt"
expect_says "there is no store at $store: make it with"
rm -rf "$store"

step "killed at a moment"
whole=0 unfinished=0
for ms in 010 040 080 120 160 200 240 280 320 400; do
	rm -rf "$store"
	rm -f "$words"
	"$BORDERFS" init -c "$ini" --offline --kdf minimum --words-file "$words" >/dev/null 2>&1 &
	sleep "0.$ms"
	kill -KILL $! 2>/dev/null || true
	wait $! 2>/dev/null || true # and it holds the store no more
	whole_or_unfinished
done
step "$whole were whole, $unfinished were not"

step "killed when the keys were there and the metadata was not"
rm -rf "$store"
init
rm -f "$store"/meta.db*
touch "$store/init-unfinished"
expect_status 1 bfs mount "$mnt"
expect_says "the store at $store was not finished: \`borderfs init\` was interrupted; run it again, nothing is lost"
expect_status 0 init
[ ! -e "$store/init-unfinished" ] || fail "still unfinished"
bfs_mount
echo text >"$mnt/file"
bfs_umount

step "killed when all but the mark was done"
touch "$store/init-unfinished"
expect_status 1 bfs mount "$mnt"
expect_status 0 init
bfs_mount
expect_equal "$(ls "$mnt")" "" "a store that is new"
bfs_umount

step "metadata without keys, keys without metadata: neither is made anew"
mv "$store/keys" "$TEST_TMP/keys"
before=$(sha256sum "$store"/meta.db*)
expect_status 1 init
expect_says "$store holds metadata whose file keys is gone: restore keys from a backup"
expect_equal "$(sha256sum "$store"/meta.db*)" "$before" "the metadata"
mv "$TEST_TMP/keys" "$store/keys"
mkdir "$TEST_TMP/away"
mv "$store"/meta.db* "$TEST_TMP/away"
expect_status 1 init
expect_says "$store holds a store already"
expect_status 1 bfs mount "$mnt"
expect_says "the metadata $store/meta.db is missing" "restore it from a backup"
mv "$TEST_TMP/away"/* "$store"
bfs_mount
bfs_umount
