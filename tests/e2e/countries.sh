#!/bin/bash
# test: timeout=120
# SPDX-License-Identifier: GPL-3.0-or-later
# I2 by a country database, counted at the sockets, for each driver that has any: a server that is not in the zone's countries is
# not connected to; the database decides anew when it changes, without a remount, of the connections that are there too.
. "${0%/*}/lib.sh"

settle=100ms
db=$TEST_TMP/countries.mmdb
content=$TEST_TMP/content
head -c 300000 /dev/urandom >"$content"
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
(umask 077 && echo c2VjcmV0 >"$TEST_TMP/secret")
ssh-keygen -q -t ed25519 -N '' -f "$TEST_TMP/id"
tool_start abroad trapd -a 127.0.0.2 -l "$TEST_TMP/abroad.requests"

# this_machine COUNTRY: where its addresses are, from now on.
this_machine() {
	"$BUILD/tests/servers/mmdb" "$db" 203.0.113.0/24=CN 127.0.0.0/8="$1" ::1/128="$1"
}

driver() {
	local at=127.0.0.2:${tool_port[abroad]}
	case $1 in
	s3) printf '%s\n' 'type = s3' "endpoint = http://$at" 'bucket = office' 'access-key = us' "secret-key-file = $TEST_TMP/secret" ;;
	webdav) printf '%s\n' 'type = webdav' "endpoint = http://$at/dav" 'user = us' "password-file = $TEST_TMP/secret" ;;
	azure) printf '%s\n' 'type = azure' "endpoint = http://$at" 'account = us' 'container = office' "key-file = $TEST_TMP/secret" ;;
	swift) printf '%s\n' 'type = swift' "auth-url = http://$at/auth/v1.0" 'container = office' 'user = a:us' "password-file = $TEST_TMP/secret" ;;
	sftp) printf '%s\n' 'type = sftp' "endpoint = sftp://$at" 'directory = /office' 'user = us' "key-file = $TEST_TMP/id" \
		'host-key-sha256 = SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU' 'timeout = 2s' ;;
	esac
}

config() {
	mkdir -p "$TEST_TMP/near"
	{
		ini_filesystem
		printf '[zone domestic]\nkind = domestic\nbackends = near\n[backend near]\ntype = local\npath = %s\n' "$TEST_TMP/near"
		printf '[zone foreign]\nkind = foreign\nbackends = abroad\ncountries = CN, HK\ncountry-db = %s\n[backend abroad]\n' "$db"
		driver "$1"
		printf '[rule public-goes-out]\npath = /public/**\nzone = foreign\n'
	} >"$ini"
	rm -rf "$store" "$TEST_TMP/near"
	mkdir "$TEST_TMP/near"
	bfs_init
}

# error_of: the last error of the backend abroad, as `status` knows it.
error_of() {
	bfs status --json | jq -r '.zones[].backends[] | select(.name == "abroad") | .error // "none"'
}

is_error() {
	[ "$(error_of)" = "$1" ]
}

# refused SENTENCE...: what waits is waiting for that.
refused() {
	within 20 is_error PEER_ABROAD
	expect_status 0 bfs status
	expect_says "$@"
}

# read_it: from the cloud, past the kernel's cache.
read_it() {
	dd if="$mnt/public/a" bs=1M iflag=direct status=none
}

connections() {
	tool abroad stat | cut -d' ' -f2
}

was_connected() {
	[ "$(connections)" -gt 0 ]
}

for type in s3 webdav azure swift sftp; do
	step "$type: a server in another country is not even connected to"
	tool abroad zero
	this_machine US
	config $type
	bfs_mount
	mkdir "$mnt/public"
	cp "$content" "$mnt/public/a"
	refused "the server's address 127.0.0.2 is in the country US, which is none of those of zone 'foreign'; nothing was sent"
	expect_status 4 bfs sync --timeout 1
	expect_equal "$(connections)" 0 "connections"

	step "$type: the database knows better: no remount is needed"
	this_machine CN
	within 30 was_connected
	[ $type = sftp ] || within 20 grep -q . "$TEST_TMP/abroad.requests"
	: >"$TEST_TMP/abroad.requests"
	if [ $type != s3 ]; then
		bfs_umount
		continue
	fi

	step "s3: what was stored is asked for on the same connection, which is now abroad"
	bfs sync --timeout 30
	is_stored "$mnt/public/a" foreign || fail "not stored abroad: $(bfs where --json "$mnt/public/a")"
	received=$(trap_received abroad)
	this_machine US
	bfs cache drop >/dev/null
	expect_status 1 read_it
	expect_says 'Permission denied'
	refused "is in the country US"
	expect_equal "$(trap_received abroad)" "$received" "bytes sent"

	step "s3: no database, a damaged one, one that does not know: nobody is spoken to"
	rm "$db"
	expect_status 1 read_it
	refused "cannot be told; nothing was sent. $db cannot be read: No such file or directory; put a country database there"
	echo 'no database' >"$db"
	expect_status 1 read_it
	refused "$db is damaged or no country database" "download it again"
	"$BUILD/tests/servers/mmdb" "$db" 203.0.113.0/24=CN
	expect_status 1 read_it
	refused "$db does not know the country of that address; get a newer one"
	expect_equal "$(trap_received abroad)" "$received" "bytes sent"

	step "s3: in order again"
	this_machine hk
	read_it >"$TEST_TMP/back"
	expect_same "$TEST_TMP/back" "$content"
	bfs_umount
done
