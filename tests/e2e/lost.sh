#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=120
# An object is removed or changed on its backend, behind the store's back: what has another copy is made again; what has none is
# an error to the reader, and is told by status, where, report in each form and the audit log until it is back (I6, I7).
. "${0%/*}/lib.sh"

settle=100ms
config_directories <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
twin=$TEST_TMP/twin
mkdir "$twin"
sed -i 's/^backends = near$/backends = near, twin\ncopies = 2\npack = 0/; s/^backends = far$/&\npack = 0/' "$ini"
printf '[backend twin]\ntype = local\npath = %s\n' "$twin" >>"$ini"
hostile=$'a\nb\033[31m\377<b>'

# object_path FILE DIRECTORY
object_path() {
	echo "$2/$(where_is "$1" object_names)"
}

forget() {
	bfs cache drop >/dev/null
	bfs_umount
	bfs_mount
}

# exceptions FILTER: of the report, joined by spaces
exceptions() {
	bfs report --json | jq -r "select(.section == \"exception\") | $1" | sort | xargs
}

lost_are() {
	[ "$(bfs status --json | jq -c '[.zones[] | .blocks_lost]')" = "$1" ]
}

is_whole() {
	[ "$(bfs status --json | jq -c '[.zones[] | .blocks_short]')" = '[0,0]' ]
}

# lines KIND: how many the audit log has
lines() {
	bfs audit show --json --kind "$1" | wc -l
}

bfs_init >/dev/null
bfs_mount
mkdir "$mnt/public"
for i in 1 2 "$hostile"; do
	head -c 300000 /dev/urandom >"$mnt/$i"
	head -c 300000 /dev/urandom >"$mnt/public/$i"
done
cp -r "$mnt/public" "$TEST_TMP/public"
cp "$mnt/1" "$mnt/2" "$TEST_TMP"
bfs sync --timeout 60
expect_equal "$(exceptions .name)" '' 'exceptions at first'

step 'two copies: one is removed, one changed, while the other backend is away: known, and not lost'
forget
one=$(object_path "$mnt/1" "$near") two=$(object_path "$mnt/2" "$near")
chmod 600 "$two"
rm "$one"
printf changed | dd of="$two" bs=1 seek=100000 conv=notrunc status=none
mv "$twin" "$twin.away"
for i in 1 2 1 2; do
	expect_status 1 cat "$mnt/$i" # there is hope
	expect_says 'No route to host'
done
lost_are '[0,0]' || fail "status says: $(bfs status --json)"
expect_equal "$(exceptions 'select(.name == "damaged") | .files, .bytes')" '2 600000' 'what the report sums up'
expect_equal "$(exceptions 'select(.name == "bad copy") | .path')" '/1 /2' 'files with a bad copy'
step '... it is back: both are made again'
mv "$twin.away" "$twin"
within 60 is_whole
expect_same "$one" "$(object_path "$mnt/1" "$twin")"
expect_same "$two" "$(object_path "$mnt/2" "$twin")"
expect_same "$mnt/1" "$TEST_TMP/1"
expect_same "$mnt/2" "$TEST_TMP/2"
expect_equal "$(exceptions .name)" '' 'exceptions when all is well again'
expect_equal "$(lines lost) $(lines tampered) $(lines restored)" '1 1 2' 'lines of the audit log'

step 'one copy: two are removed, one is changed'
one=$(object_path "$mnt/public/1" "$far") two=$(object_path "$mnt/public/2" "$far")
three=$(object_path "$mnt/public/$hostile" "$far")
cp "$one" "$TEST_TMP/one"
cp "$two" "$TEST_TMP/two"
forget
chmod 600 "$two"
rm "$one" "$three"
printf changed | dd of="$two" bs=1 seek=100000 conv=notrunc status=none
left=$(find "$far" -type f -exec sha256sum {} + | sort)
for i in 1 2 "$hostile" 1 2 "$hostile"; do
	expect_status 1 cat "$mnt/public/$i"
	expect_says 'Input/output error'
done
# told: the same by each command, before and after a mount
told() {
	lost_are '[0,3]' || fail "status says: $(bfs status --json)"
	expect_status 0 bfs status
	expect_says "LOST:    zone 'foreign': 3 blocks without any sound copy"
	expect_equal "$(where_is "$mnt/public/1" objects_lost)" 1 'objects lost of a file'
	expect_equal "$(exceptions 'select(.name == "lost") | .files, .bytes')" '3 900000' 'what the report sums up'
	expect_equal "$(exceptions 'select(.name == "lost file") | .ino')" \
		"$(stat -c %i "$mnt/public/"* | sort | xargs)" 'the files that it names'
	expect_equal "$(lines lost) $(lines tampered) $(lines restored)" '3 2 2' 'lines of the audit log'
}
told
expect_status 0 bfs where "$mnt/public/1"
expect_says 'LOST in part'
bfs report >"$TEST_TMP/text"
grep -Eq '^  lost file +1 +293.0 KiB +/public/1: 1 block without any sound copy: missing on backend far since 20' "$TEST_TMP/text" ||
	fail "text: $(cat "$TEST_TMP/text")"
grep -q '/public/2: 1 block without any sound copy: damaged on backend far since 20' "$TEST_TMP/text" ||
	fail "text: $(cat "$TEST_TMP/text")"
grep -q $'\033' "$TEST_TMP/text" && fail 'what a terminal obeys was printed'
bfs report --csv | grep -q '^"exception","lost file",1,300000,.*"/public/1"' || fail "csv: $(bfs report --csv)"
bfs report --html "$TEST_TMP/page"
grep -q '<bdi>/public/1</bdi>: 1 block without any sound copy' "$TEST_TMP/page" || fail 'the page does not name the file'
grep -q '<b>1</b><span>exception</span>' "$TEST_TMP/page" || fail 'the page counts exceptions otherwise'
step '... a mount later'
forget
told
expect_equal "$(find "$far" -type f -exec sha256sum {} + | sort)" "$left" 'what is on the backend'

step '... an administrator brings two back, one is overwritten'
cp "$TEST_TMP/one" "$one"
cp "$TEST_TMP/two" "$two"
expect_same "$mnt/public/1" "$TEST_TMP/public/1"
expect_same "$mnt/public/2" "$TEST_TMP/public/2"
within 10 lost_are '[0,1]' # what was missing at once; of what was damaged, when all of it was looked at
cp "$TEST_TMP/public/1" "$mnt/public/$hostile"
bfs sync --timeout 60
lost_are '[0,0]' || fail "status says: $(bfs status --json)"
expect_equal "$(exceptions .name)" '' 'exceptions when all is well again'
expect_equal "$(lines lost) $(lines tampered) $(lines restored)" '3 2 4' 'lines of the audit log'
bfs audit verify >/dev/null
bfs_umount
