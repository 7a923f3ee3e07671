#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=360
# One cloud is left for another by a deadline: a versioned radosgw bucket for Swift, in one zone, while programs write, and
# the daemon is killed twice. The receipt checks, anything edited does not; the old bucket lists empty, versions, marks and
# uploads included. Also what an administrator gets wrong. $files, $file_bytes, $limit: how much, and the speed of the new
# cloud; move-large.sh has the large one.
. "${0%/*}/lib.sh"

files=${files:-1000}
file_bytes=${file_bytes:-30000}
limit=${limit:-1500K/s}

# old_keeps LIST: how many entries a list of the old bucket has: versions and marks of deletions, or uploads.
old_keeps() {
	s3_api old GET "?$1=" | { grep -oE '<(Version|DeleteMarker|Upload)>' || true; } | wc -l
}

# move_is KEY: of the order's status.
move_is() {
	bfs move --status --json | jq -r ".$1"
}

# under_way [MOVED]: the order goes on by itself, beyond so many, and has something left; for `within`.
under_way() {
	[ "$(move_is state)" = under-way ] && [ "$(move_is left_objects)" -gt 0 ] && [ "$(move_is moved)" -gt "${1-0}" ]
}

is_done() {
	[ "$(move_is state)" = done ]
}

# expect_tree: all files are as they were written, from the clouds.
expect_tree() {
	bfs cache drop >/dev/null
	(cd "$mnt/tree" && find . -type f -print0 | sort -z | xargs -0 sha256sum) | cmp - "$TEST_TMP/sums"
}

# kill_it: while the order goes on; it goes on then.
kill_it() {
	within 300 under_way "$(move_is moved)"
	step "killed, with $(move_is left_objects) of $(move_is objects) objects left"
	bfs_kill
	bfs_mount
}

# puts_since MARK: uploads to the old cloud.
puts_since() {
	log_since old "$1" | grep -c '^PUT' || true
}

step 'two clouds, one zone; the old bucket keeps versions'
clouds_start old=ceph new=native
s3_api old PUT '?versioning=' '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>'
mkdir "$TEST_TMP/abroad"
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
{
	ini_filesystem
	zone_keys="pack=${pack:-0}" # each file has an object of its own
	ini_zone domestic domestic old
	zone_keys=
	ini_zone foreign foreign abroad
	ini_backend old
	printf '[backend abroad]\ntype = local\npath = %s\n' "$TEST_TMP/abroad"
	printf '[rule out]\npath = /out/**\nzone = foreign\n'
} >"$ini"
backend_keys="upload-limit=$limit"
bfs_init >/dev/null
bfs_mount

step "$files files"
mkdir "$mnt/tree"
head -c $((files * file_bytes)) /dev/urandom | (cd "$mnt/tree" && split -a 5 -d -b "$file_bytes" - f)
bfs sync --timeout 1800
step 'what is deleted and written again leaves no version behind'
rm "$mnt/tree"/f0000[0-4]
for i in 5 6 7; do
	head -c "$file_bytes" /dev/urandom >"$mnt/tree/f0000$i"
done
bfs sync --timeout 600
[ "$(old_keeps versions)" -ge 1 ] || fail 'nothing is on the old cloud'
(cd "$mnt/tree" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TEST_TMP/sums"
expect_equal "$(s3_api old GET '?versions=' | grep -c '<DeleteMarker>' || true)" 0 'marks of deletions'
s3_api old POST '/00/00112233445566778899aabbccddeeff?uploads=' >/dev/null
expect_equal "$(old_keeps uploads)" 1 'unfinished uploads'

step 'what an administrator gets wrong'
expect_status 1 bfs drain old --yes
expect_says "zone 'domestic' has no other backend than 'old'" 'add one'
sed -i 's/^backends = old$/backends = old,new/' "$ini"
ini_backend new >>"$ini"
bfs reload
expect_status 1 bfs move --from new --to old --yes
expect_says 'are they swapped?'
expect_status 3 bfs move --from abroad --to new --yes
expect_says "rule 'out'" 'zone = domestic'
expect_status 3 bfs move --from old --to abroad --yes
expect_status 1 bfs move --from old --to nowhere --yes
expect_says "there is no backend 'nowhere'"
expect_status 2 bfs move --from old
expect_status 2 bfs move --from old --to new --deadline yesterday --yes
expect_status 2 bfs move --from old --to new
expect_says 'nothing was begun'
expect_status 1 bfs move --status

step 'the order, with programs at work and a deadline'
expect_status 0 bfs move --from old --to new --deadline 2h --yes --background
expect_says "move out of 'old' (zone domestic, domestic) into new" 'border: none is crossed' 'deadline: ' 'begun'
mark=$(log_mark old)
within 60 under_way
expect_status 1 bfs drain abroad --yes
expect_says "backend 'old' is being emptied"
expect_status 0 bfs status
expect_says "'old' is being emptied" 'deadline: '
kill_it
mkdir "$mnt/work"
"$BUILD/tests/e2e/load" run "$mnt/work" "${load_seconds:-5}" 7 "$TEST_TMP/load" >"$TEST_TMP/operations"
find "$mnt/work" -exec sync {} +
kill_it
within "${move_seconds:-150}" is_done
step "done: $(move_is moved) objects moved, $(move_is deleted) deleted"

expect_equal "$(puts_since "$mark")" 0 'uploads to the old cloud since the order'
step 'the old bucket is empty, and everything is on the new one'
expect_equal "$(old_keeps versions)" 0 'versions and marks on the old cloud'
expect_equal "$(old_keeps uploads)" 0 'unfinished uploads on the old cloud'
expect_equal "$(all_in_bucket old)" '' 'keys on the old cloud'
cloud old down
expect_tree
"$BUILD/tests/e2e/load" verify "$mnt/work" "$TEST_TMP/load"
cloud old up

step 'the receipt checks, without the store too'
bfs move --receipt >"$TEST_TMP/receipt"
bfs move --receipt --json >"$TEST_TMP/receipt.json"
key=$(bfs audit key)
for form in receipt receipt.json; do
	expect_status 0 bfs audit receipt "$TEST_TMP/$form"
	expect_says "is genuine: 'old' of test was emptied"
	expect_status 0 env -i "$BORDERFS" audit receipt --key "$key" "$TEST_TMP/$form"
done
expect_equal "$(sed -n 's/^left: //p' "$TEST_TMP/receipt")" 0 'what the receipt says is left'
expect_equal "$(jq -r '."erased-leftovers"' "$TEST_TMP/receipt.json")" "$(sed -n 's/^erased-leftovers: //p' "$TEST_TMP/receipt")" 'leftovers'
sed 's/^left: 0/left: 1/' "$TEST_TMP/receipt" >"$TEST_TMP/edited"
expect_status 1 bfs audit receipt "$TEST_TMP/edited"
expect_says 'it was changed since it was signed'
sed 's/"source":"old"/"source":"new"/' "$TEST_TMP/receipt.json" >"$TEST_TMP/edited"
expect_status 1 bfs audit receipt --key "$key" "$TEST_TMP/edited"
sed '/^deadline:/d' "$TEST_TMP/receipt" >"$TEST_TMP/edited"
expect_status 1 bfs audit receipt "$TEST_TMP/edited"
expect_says 'a line is missing'
bfs audit show --json --kind move | jq -r .facts.step | sort | uniq -c
line=$(sed -n 's/^audit-line: //p' "$TEST_TMP/receipt")
expect_equal "$(bfs audit show --json --kind move | jq -r "select(.seq == $line).facts.step")" proof 'the line that the receipt names'
digest=$(bfs audit show --json --kind move | jq -r 'select(.facts.step == "receipt").facts.digest')
expect_equal "$(b2sum -l 256 "$TEST_TMP/receipt" | cut -d' ' -f1)" "$digest" 'the digest in the log'
bfs audit verify

step 'it stays closed, and opens again when the order is cancelled'
expect_status 0 bfs status
expect_says 's3, closed' 'swift, readwrite'
mark=$(log_mark old)
echo more >"$mnt/more"
bfs sync --timeout 60
expect_equal "$(where_is "$mnt/more" backends)" new 'where a new file goes'
expect_equal "$(puts_since "$mark")" 0 'uploads to the old cloud'
bfs move --cancel old
echo again >"$mnt/again"
bfs sync --timeout 60
expect_equal "$(where_is "$mnt/again" backends)" old 'where it goes then'
bfs_umount
