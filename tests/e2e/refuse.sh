#!/bin/bash
# test: timeout=180
# SPDX-License-Identifier: GPL-3.0-or-later
# I2, counted at the sockets: a redirect between the countries, a server outside its zone's networks, a proxy in the environment,
# a backend of two zones. Each is refused with a sentence that names the cause, and no byte of a body is sent where it may not go.
. "${0%/*}/lib.sh"

content=$TEST_TMP/content
head -c 300000 /dev/urandom >"$content"

# trap_backend NAME [HOST]: its section, under another name of its host.
trap_backend() {
	ini_plain_backend "$1" "http://${2:-127.0.0.1}:${tool_port[$1]}"
}

# traps_config: [zone domestic] on trapd "home" of 127.0.0.1, [zone foreign] on trapd "abroad" of 127.0.0.2.
traps_config() {
	{
		ini_filesystem
		networks=${home_networks:-127.0.0.1/32} ini_zone domestic domestic home
		networks=${abroad_networks:-127.0.0.2/32} ini_zone foreign foreign abroad
		trap_backend home
		trap_backend abroad "${abroad_host:-127.0.0.2}"
		printf '[rule public-goes-out]\npath = /public/**\nzone = foreign\n'
	} >"$ini"
}

store_new() {
	rm -rf "$store"
	bfs_init
}

# trap_puts NAME: requests with a body that it has seen.
trap_puts() {
	grep -cE '^(PUT|POST) ' "$TEST_TMP/$1.requests" || true
}

# expect_untouched NAME: not even connected to.
expect_untouched() {
	expect_equal "$(tool "$1" stat)" "stat 0 0 0 0 0" "what $1 has seen"
}

# expect_only_probed NAME: asked for its bucket, as each backend is when a mount begins, and nothing else.
expect_only_probed() {
	expect_equal "$(sed '/^GET \/office?/d' "$TEST_TMP/$1.requests")" "" "what $1 was asked"
	expect_equal "$(trap_taken "$1")" 0 "bytes of bodies that $1 got"
}

# last_error BACKEND: as `status` knows it.
last_error() {
	bfs status --json | jq -r --arg name "$1" '.zones[].backends[] | select(.name == $name) | .error // "none"'
}

has_error() {
	[ "$(last_error "$1")" = "$2" ]
}

(umask 077 && echo 'correct horse battery staple' >"$passphrase")
tool_start home trapd -a 127.0.0.1 -l "$TEST_TMP/home.requests"
tool_start abroad trapd -a 127.0.0.2 -l "$TEST_TMP/abroad.requests"

step "a foreign server that sends everything on to the domestic one"
traps_config
store_new
tool abroad header "Location: http://127.0.0.1:${tool_port[home]}/office/here"
tool abroad at header
tool abroad do answer 307
bfs_mount
mkdir "$mnt/public"
cp "$content" "$mnt/public/a"
cp "$content" "$mnt/public/b"
within 20 has_error abroad REDIRECT
expect_status 4 bfs sync --timeout 4
expect_says "backend 'abroad'" "127.0.0.2 answered with a redirect (307) to 127.0.0.1, which is never followed"
expect_status 0 bfs status
expect_says "abroad: " "127.0.0.2 answered with a redirect (307) to 127.0.0.1, which is never followed"
grep -qF "127.0.0.2 answered with a redirect (307) to 127.0.0.1" "$daemon_log" || fail "the log does not name both hosts"
[ "$(trap_puts abroad)" -ge 2 ] || fail "the upload was not tried again: $(cat "$TEST_TMP/abroad.requests")"
expect_equal "$(trap_taken abroad)" 0 "bytes of bodies that the redirecting server's kernel got"
expect_only_probed home
expect_equal "$(where_is "$mnt/public/a" state)" local "the file's state"
expect_same "$mnt/public/a" "$content"

step "it behaves again: the same files go there, and only there"
tool abroad do store
bfs sync --timeout 60
is_stored "$mnt/public/a" foreign || fail "not stored abroad: $(bfs where --json "$mnt/public/a")"
expect_only_probed home

step "the other way round, in the middle of its life: the domestic server points abroad"
mkdir "$mnt/private"
cp "$content" "$mnt/private/a"
bfs sync --timeout 60
is_stored "$mnt/private/a" domestic || fail "not stored at home: $(bfs where --json "$mnt/private/a")"
abroad_before=$(tool abroad stat)
tool home header "Location: http://127.0.0.2:${tool_port[abroad]}/office/there"
tool home at header
tool home do answer 307
cp "$content" "$mnt/private/b"
expect_status 4 bfs sync --timeout 4
expect_says "backend 'home'" "127.0.0.1 answered with a redirect (307) to 127.0.0.2, which is never followed"
expect_equal "$(tool abroad stat)" "$abroad_before" "what the server pointed to has seen"
bfs_umount
tool home do store

step "a server whose address lies outside its zone's networks: not even a connection"
tool home zero
tool abroad zero
for abroad_host in 127.0.0.2 localhost; do
	# 127.0.0.2 is where it listens; localhost is a name whose addresses are outside too
	abroad_networks=127.0.9.0/24 traps_config
	store_new
	bfs_mount
	mkdir "$mnt/public"
	cp "$content" "$mnt/public/a"
	within 20 has_error abroad PEER_ABROAD
	expect_status 4 bfs sync --timeout 2
	expect_says "backend 'abroad'" "lies outside the networks of zone 'foreign'; nothing was sent" "networks in [zone foreign]"
	expect_status 0 bfs status
	expect_says "lies outside the networks of zone 'foreign'"
	grep -qF "lies outside the networks of zone 'foreign'" "$daemon_log" || fail "the log does not name the cause"
	expect_equal "$(where_is "$mnt/public/a" state)" local "the file's state"
	bfs_umount
	expect_untouched abroad
done
abroad_host=

step "a proxy in the environment gets no byte"
tool_start proxy trapd -a 127.0.0.1
for name in http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY; do
	export "$name=http://127.0.0.1:${tool_port[proxy]}"
done
tool home zero
tool abroad zero
traps_config
store_new
bfs_mount
mkdir "$mnt/public" "$mnt/private"
cp "$content" "$mnt/public/a"
cp "$content" "$mnt/private/a"
bfs sync --timeout 60
is_stored "$mnt/public/a" foreign || fail "not stored abroad"
is_stored "$mnt/private/a" domestic || fail "not stored at home"
bfs cache drop >/dev/null
expect_same "$mnt/public/a" "$content"
expect_untouched proxy
for name in http_proxy https_proxy; do
	grep -qF "$name is set in the environment and is ignored: borderfs uses no proxy" "$daemon_log" ||
		fail "the log does not say that $name is ignored"
done
bfs_umount
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY

step "a backend listed in two zones: nothing starts"
tool home zero
tool abroad zero
sed -i 's/^backends = abroad$/backends = abroad, home/' "$ini"
line=$(grep -n '^backends = abroad, home$' "$ini" | cut -d: -f1)
expect_status 1 bfs rules check
expect_says "$ini:$line: error: " 'backend "home" is in the zones "domestic" and "foreign"; expected it in one zone only'
expect_status 1 bfs mount -f "$mnt"
expect_says "$ini:$line: error: " 'backend "home" is in the zones "domestic" and "foreign"; expected it in one zone only'
! is_mounted || fail "it was mounted"
rm -rf "$store"
expect_status 1 bfs init --words-file "$TEST_TMP/other-words"
expect_says "$ini:$line: error: "
[ ! -e "$store" ] || fail "a store was made"
expect_untouched home
expect_untouched abroad

step "... nor is it taken up by a reload: what is mounted goes on under the rules it has"
traps_config
store_new
bfs_mount
puts_before=$(trap_puts home)
sed -i 's/^backends = abroad$/backends = abroad, home/' "$ini"
expect_status 1 bfs reload
expect_says "$ini:$line: error: "
mkdir "$mnt/public"
cp "$content" "$mnt/public/a"
bfs sync --timeout 60
is_stored "$mnt/public/a" foreign || fail "not stored abroad"
expect_equal "$(trap_puts home)" "$puts_before" "bodies sent home"
bfs_umount
