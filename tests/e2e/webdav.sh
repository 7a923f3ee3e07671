#!/bin/bash
# test: timeout=120
# SPDX-License-Identifier: GPL-3.0-or-later
# A store whose home zone is a WebDAV folder: Apache over TLS, by Basic, then by Digest.
. "${0%/*}/lib.sh"

server=$TOP/tests/servers/webdav-apache
dav=$TEST_TMP/dav
clean_up_own() {
	"$server" remove "$dav"
}
"$server" start "$dav" --tls
(umask 077 && sed -n 's/^SECRET=//p' "$dav/env" >"$TEST_TMP/dav.secret")

# dav_config ENDPOINT
dav_config() {
	(umask 077 && echo 'correct horse battery staple' >"$passphrase")
	{
		ini_filesystem
		ini_zone domestic domestic home
		cat <<-INI
			[backend home]
			type = webdav
			endpoint = $1
			user = $(sed -n 's/^ACCESS=//p' "$dav/env")
			password-file = $TEST_TMP/dav.secret
			prefix = office/data
			ca-file = $(sed -n 's/^CA=//p' "$dav/env")
			pin-sha256 = $(sed -n 's/^PIN=//p' "$dav/env")
		INI
	} >"$ini"
}

# objects KIND: files in the folder of the store.
# but for the heads of the audit log
objects() {
	find "$dav/root/$1/office/data" -type f -not -path '*/audit/*' 2>/dev/null | sed "s:.*/office/data/::" | sort
}

is_empty() {
	[ -z "$(objects "$1")" ]
}

mkdir "$TEST_TMP/tree"
head -c 9000000 /dev/urandom >"$TEST_TMP/tree/large"
head -c 300000 /dev/urandom >"$TEST_TMP/tree/middle"
for i in $(seq 30); do
	echo "file $i" >"$TEST_TMP/tree/small $i"
done

for kind in basic digest; do
	step "$kind: files in, and where they are"
	dav_config "$(sed -n "s:^ENDPOINT=\(.*\)/basic$:\1/$kind:p" "$dav/env")"
	rm -rf "$store"
	bfs_init
	bfs_mount
	cp -r "$TEST_TMP/tree" "$mnt/"
	bfs sync --timeout 60
	is_stored "$mnt/tree/large" domestic || fail "not stored: $(bfs where --json "$mnt/tree/large")"
	expect_equal "$(where_is "$mnt/tree/large" backends)" home "the backend"
	objects $kind | grep -qvE '^[0-9a-f]{2}/[0-9a-f]{32}$' && fail "odd names: $(objects $kind | head)"
	[ "$(objects $kind | wc -l)" -ge 3 ] || fail "too few objects: $(objects $kind)"

	step "$kind: who was spoken to is in the audit log"
	bfs audit show --kind connection >"$TEST_TMP/connections"
	port=$(sed -n 's/^PORT=//p' "$dav/env") pin=$(sed -n 's/^PIN=//p' "$dav/env")
	facts="backend=home address=127.0.0.1:$port network=127.0.0.0/8 country=null key=$pin pinned=true connections=1"
	grep -qF "$facts" "$TEST_TMP/connections" || fail "no line with $facts: $(cat "$TEST_TMP/connections")"

	step "$kind: without the cache, and after another mount"
	bfs cache drop >/dev/null
	diff -r "$mnt/tree" "$TEST_TMP/tree"
	bfs_umount
	bfs_mount
	bfs cache drop >/dev/null
	diff -r "$mnt/tree" "$TEST_TMP/tree"

	step "$kind: the server is gone for a while"
	"$server" down "$dav"
	echo meanwhile >"$mnt/meanwhile"
	expect_status 4 bfs sync --timeout 2
	"$server" up "$dav"
	bfs sync --timeout 60
	is_stored "$mnt/meanwhile" domestic || fail "not stored: $(bfs where --json "$mnt/meanwhile")"

	step "$kind: what is deleted is gone from the server"
	rm -rf "$mnt/tree" "$mnt/meanwhile"
	within 30 is_empty $kind
	bfs_umount
done
