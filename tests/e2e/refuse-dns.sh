#!/bin/bash
# test: timeout=120
# SPDX-License-Identifier: GPL-3.0-or-later
# I2 where names lie: a cloud's name that leads abroad, from the start or from one connection to the next, alone or among right
# addresses, by IPv4 or IPv6. Names are what /etc/hosts says, which here is the test's own: it runs in a mount namespace.
if [ -z "${OWN_HOSTS-}" ]; then
	[ "$(id -u)" = 0 ] || user=-r
	OWN_HOSTS=yes exec unshare -m ${user-} "$0" "$@"
fi
. "${0%/*}/lib.sh"

content=$TEST_TMP/content
head -c 300000 /dev/urandom >"$content"
hosts=$TEST_TMP/hosts
cp /etc/hosts "$hosts"
mount --bind "$hosts" /etc/hosts

# leads_to ADDRESS...: what the cloud's name is from now on.
leads_to() {
	{
		echo 127.0.0.1 localhost
		printf '%s cloud.test\n' "$@"
	} >"$hosts"
}

config() {
	mkdir -p "$TEST_TMP/near"
	{
		ini_filesystem
		printf '[zone domestic]\nkind = domestic\nbackends = near\n[backend near]\ntype = local\npath = %s\n' "$TEST_TMP/near"
		networks=127.0.0.2/32 ini_zone foreign foreign abroad
		cat
		printf '[rule public-goes-out]\npath = /public/**\nzone = foreign\n'
	} >"$ini"
	rm -rf "$store" "$TEST_TMP/near"
	mkdir "$TEST_TMP/near"
	bfs_init
}

# is_refused ADDRESS: the last error of the backend abroad is that.
is_refused() {
	bfs status | grep -qF "the server's address $1 lies outside the networks of zone 'foreign'; nothing was sent"
}

expect_untouched() {
	expect_equal "$(tool elsewhere stat)" "stat 0 0 0 0 0" "what the server elsewhere has seen"
}

settle=100ms
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
ssh-keygen -q -t ed25519 -N '' -f "$TEST_TMP/id"
tool_start abroad trapd -a 127.0.0.2
# the same port, so that nothing but the address differs
tool_start elsewhere trapd -a 127.0.0.3 -p "${tool_port[abroad]}"

step "a name that leads abroad is not followed"
leads_to 127.0.0.3
ini_plain_backend abroad "http://cloud.test:${tool_port[abroad]}" | config
bfs_mount
mkdir "$mnt/public"
cp "$content" "$mnt/public/a"
within 20 is_refused 127.0.0.3
leads_to ::1
within 20 is_refused ::1
expect_untouched
expect_equal "$(tool abroad stat)" "stat 0 0 0 0 0" "what the right server has seen"

step "among wrong addresses the right one is taken"
leads_to 127.0.0.3 ::1 127.0.0.2
bfs sync --timeout 30
is_stored "$mnt/public/a" foreign || fail "not stored: $(bfs where --json "$mnt/public/a")"
expect_untouched

step "a name that changes: the connection that is there goes on, the next is refused"
leads_to 127.0.0.3
cp "$content" "$mnt/public/b"
bfs sync --timeout 30
is_stored "$mnt/public/b" foreign || fail "not stored: $(bfs where --json "$mnt/public/b")"
tool abroad kill
body=$(trap_body abroad)
cp "$content" "$mnt/public/c"
within 20 is_refused 127.0.0.3
expect_status 4 bfs sync --timeout 1
expect_equal "$(where_is "$mnt/public/c" state)" local "the file's state"
expect_equal "$(trap_body abroad)" "$body" "bytes of bodies"
expect_untouched

step "it leads home again: no remount is needed"
leads_to 127.0.0.2
bfs sync --timeout 30
is_stored "$mnt/public/c" foreign || fail "not stored: $(bfs where --json "$mnt/public/c")"
expect_untouched
bfs_umount

step "SFTP: the same"
tool abroad zero
leads_to 127.0.0.3
config <<-INI
	[backend abroad]
	type = sftp
	endpoint = sftp://cloud.test:${tool_port[abroad]}
	directory = /office
	user = us
	key-file = $TEST_TMP/id
	host-key-sha256 = SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
	timeout = 2s
INI
bfs_mount
mkdir "$mnt/public"
cp "$content" "$mnt/public/a"
within 20 is_refused 127.0.0.3
expect_untouched
expect_equal "$(tool abroad stat)" "stat 0 0 0 0 0" "what the right server has seen"
bfs_umount
