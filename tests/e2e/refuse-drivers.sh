#!/bin/bash
# test: timeout=120
# SPDX-License-Identifier: GPL-3.0-or-later
# I2 by the drivers for WebDAV and Azure, counted at the sockets: a redirect to another host, a server outside its zone's
# networks, a proxy in the environment and in curl's own file. (refuse.sh has S3's cases, and more.)
. "${0%/*}/lib.sh"

(umask 077 && echo 'correct horse battery staple' >"$passphrase")
(umask 077 && echo c2VjcmV0 >"$TEST_TMP/secret")
tool_start abroad trapd -a 127.0.0.2 -l "$TEST_TMP/abroad.requests"
tool_start other trapd -a 127.0.0.1 -l "$TEST_TMP/other.requests"

driver_webdav() {
	printf '%s\n' 'type = webdav' "endpoint = http://$1/dav" 'user = us' "password-file = $TEST_TMP/secret"
}

driver_azure() {
	printf '%s\n' 'type = azure' "endpoint = http://$1" 'account = us' 'container = office' "key-file = $TEST_TMP/secret"
}

# driver_config TYPE NETWORKS: [zone foreign] on trapd "abroad"; the home zone is a directory.
driver_config() {
	mkdir -p "$TEST_TMP/near"
	{
		ini_filesystem
		printf '[zone domestic]\nkind = domestic\nbackends = near\n[backend near]\ntype = local\npath = %s\n' "$TEST_TMP/near"
		networks=$2 ini_zone foreign foreign abroad
		echo '[backend abroad]'
		"driver_$1" "127.0.0.2:${tool_port[abroad]}"
		printf '[rule public-goes-out]\npath = /public/**\nzone = foreign\n'
	} >"$ini"
	rm -rf "$store" "$TEST_TMP/near"
	mkdir "$TEST_TMP/near"
	bfs_init
}

# expect_untouched NAME: not even connected to.
expect_untouched() {
	expect_equal "$(tool "$1" stat)" "stat 0 0 0 0 0" "what $1 has seen"
}

# error_is CODE: of the backend abroad, as `status` knows it.
error_is() {
	[ "$(bfs status --json | jq -r '.zones[].backends[] | select(.name == "abroad") | .error // "none"')" = "$1" ]
}

# refused CODE SENTENCE: a file for abroad stays here, for that reason.
refused() {
	bfs_mount
	mkdir "$mnt/public"
	echo secret-content >"$mnt/public/a"
	within 20 error_is "$1"
	expect_status 4 bfs sync --timeout 2
	expect_says "backend 'abroad'" "$2"
	expect_equal "$(where_is "$mnt/public/a" state)" local "the file's state"
	bfs_umount
}

export http_proxy=http://127.0.0.1:${tool_port[other]} all_proxy=http://127.0.0.1:${tool_port[other]}
echo "proxy = http://127.0.0.1:${tool_port[other]}" >"$HOME/.curlrc"

for type in webdav azure; do
	step "$type: a redirect to another host is an error that names both"
	tool other zero
	tool abroad zero
	tool abroad header "Location: http://127.0.0.1:${tool_port[other]}/elsewhere"
	tool abroad at header
	tool abroad do answer 307
	driver_config "$type" 127.0.0.0/8
	refused REDIRECT "127.0.0.2 answered with a redirect (307) to 127.0.0.1, which is never followed"
	expect_equal "$(trap_taken abroad)" 0 "bytes of bodies that the redirecting server got"
	expect_untouched other

	step "$type: a server outside its zone's networks is not even connected to"
	tool abroad zero
	driver_config "$type" 127.0.9.0/24
	refused PEER_ABROAD "lies outside the networks of zone 'foreign'; nothing was sent"
	expect_untouched abroad
	expect_untouched other
done
grep -qE '^PROPFIND /dav/' "$TEST_TMP/abroad.requests" || fail "webdav asked nothing"
grep -qE '^GET /office\?comp=list' "$TEST_TMP/abroad.requests" || fail "azure asked nothing"
