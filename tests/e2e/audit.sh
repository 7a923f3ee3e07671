#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=120
# The audit log as an auditor asks for it: of the daemon, of a store that nobody has mounted, and of one that a crash
# left.
. "${0%/*}/lib.sh"

settle=100ms
config_directories <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init >/dev/null
bfs_mount
mkdir "$mnt/public"
echo ours >"$mnt/kept.txt"
echo all >"$mnt/public/given $(printf '\033')"
bfs sync

# numbers OPTION...: of the lines shown, joined by spaces
numbers() {
	bfs audit show --json "$@" | jq -r .seq | xargs
}

# lines: how many the log has, by what verify says
lines() {
	bfs audit verify --json | jq .lines
}

step "the daemon is asked"
bfs audit verify >"$TEST_TMP/verdict"
grep -Eqx 'the audit log holds: [0-9]+ lines, the last of 20[0-9-]+T[0-9:]+Z, mac [0-9a-f]{16}' "$TEST_TMP/verdict" ||
	fail "verify said: $(cat "$TEST_TMP/verdict")"
grep -q '^no head was published yet' "$TEST_TMP/verdict" || fail "verify said: $(cat "$TEST_TMP/verdict")"
expect_equal "$(numbers)" "$(seq -s ' ' "$(lines)")" "all lines"
expect_equal "$(bfs audit show --json --kind rules | jq -r .kind | sort -u)" rules "lines of one kind"
mv "$mnt/kept.txt" "$mnt/public"
bfs sync
expect_equal "$(bfs audit show --json "$mnt/public/kept.txt" | jq -r '[.kind, .names.from, .names.to, .path] | join(" ")')" \
	"placement  domestic /public/kept.txt
placement domestic foreign /public/kept.txt
transfer domestic foreign /public/kept.txt" "what became of a file"
expect_equal "$(numbers --since 2020-01-01 --until 2020-01-02T12:00)" "" "lines of a day without any"
expect_equal "$(numbers --since 1h)" "$(numbers)" "lines of the last hour"
bfs audit show >"$TEST_TMP/shown"
grep -q $'\033' "$TEST_TMP/shown" && fail "what a terminal obeys was printed"
grep -Eq '^ +[0-9]+  20[0-9T:-]+Z  placement +/public/given \\x1b ino=[0-9]+ from=0 to=foreign wanted=foreign rule=public-goes-out' \
	"$TEST_TMP/shown" || fail "shown: $(cat "$TEST_TMP/shown")"

step "a file that was deleted"
ino=$(stat -c %i "$mnt/public/kept.txt")
cp -p "$mnt/public/kept.txt" "$TEST_TMP/kept.txt"
rm "$mnt/public/kept.txt"
bfs sync
expect_equal "$(bfs audit show --json --inode "$ino" | jq -r '[.kind, .names.from, .names.to, .path] | join(" ")')" \
	"placement  domestic 
placement domestic foreign 
transfer domestic foreign " "what became of a file that is no more"
expect_equal "$(bfs audit show --json --inode "$ino" --kind transfer | jq -r .facts.ino)" "$ino" "of one kind"
expect_status 2 bfs audit show --inode 0
expect_status 2 bfs audit show --inode 12x
expect_status 2 bfs audit show --inode 12 "$mnt"
expect_says "--inode is the number of a file"
cp -p "$TEST_TMP/kept.txt" "$mnt/public/kept.txt"
bfs sync

step "tags that are taken away"
bfs tag add "$mnt/public" one two three >/dev/null
bfs tag rm "$mnt/public" two >/dev/null
setfattr -n user.xdg.tags -v three,four "$mnt/public"
setfattr -x user.xdg.tags "$mnt/public"
expect_equal "$(bfs audit show --json --kind tags "$mnt/public" | jq -c .facts.lost)" '["two"]
["one"]
["three","four"]' "what was lost"

step "what cannot be asked"
expect_status 2 bfs audit show --kind nonsense
expect_says "there are no lines of kind \"nonsense\""
expect_status 2 bfs audit show --since yesterday
expect_says "--since is a moment in UTC"
expect_status 1 bfs audit show /
expect_status 2 bfs audit show "$mnt" "$mnt"

step "nobody has it mounted"
before=$(lines)
bfs_umount
after=$(lines)
((after >= before)) || fail "$after lines, were $before"
expect_equal "$(lines)" "$after" "lines after the log was only looked at"
expect_equal "$(numbers)" "$(seq -s ' ' "$after")" "all lines"
expect_equal "$(stat -c %s "$near/audit/00000001")" 172 "the head that the end published"
[ ! -e "$far/audit" ] || fail "a head was published abroad"
expect_status 0 bfs audit verify
expect_says "it leads to the newest head that was published: line "
mv "$near" "$near.away"
expect_status 0 bfs audit verify
expect_says "not compared with published heads: no backend of the home zone answered" "not asked: backend 'near'"
mkdir "$near.other"
sed "s|^path = $near\$|path = $near.other|" "$ini" >"$TEST_TMP/other.ini"
expect_status 0 "$BORDERFS" audit verify -c "$TEST_TMP/other.ini"
expect_says "no backend of the home zone answered" "not asked: backend 'near' is another one than the store knows"
mv "$near.away" "$near"
expect_status 1 bfs audit verify -p "$ini"
(umask 077 && echo wrong >"$TEST_TMP/wrong")
expect_status 1 bfs audit verify -p "$TEST_TMP/wrong"
expect_says "does not open this store"

mv "$near/audit" "$near/audit.away"
expect_status 0 bfs audit verify
expect_says "HEAD GONE: the store published a head of line $after, and no backend of the home zone that answered has it"
[[ $said != *'was published yet'* ]] || fail "though one was: $said"
expect_equal "$(bfs audit verify --json | jq -c '[.published, .head]')" "[$after,null]" "the verdict without the head"
mv "$near/audit.away" "$near/audit"
expect_status 0 bfs audit verify
[[ $said != *'HEAD GONE'* ]] || fail "though it is there: $said"

step "after a crash, and what was synced before it is still there"
bfs_mount
for i in {1..20}; do
	echo "$i" >>"$mnt/log.txt"
	sync "$mnt/log.txt"
done
bfs_kill
bfs audit verify >/dev/null
bfs_mount
expect_equal "$(wc -l <"$mnt/log.txt")" 20 "synced lines"
bfs audit verify >/dev/null
bfs_umount

step "the whole store was set back"
cp -a "$store" "$store.then"
bfs_mount
mv "$mnt/public/kept.txt" "$mnt"
bfs sync
expect_status 0 bfs audit verify
expect_says "it leads to the newest head that was published: line "
bfs_umount
rm -r "$store"
mv "$store.then" "$store"
expect_status 1 bfs audit verify
expect_says "are missing: a published head knows of them" "is not as it was written (findings: 1)"
bfs audit verify --json >"$TEST_TMP/verdict" && fail "a log that was set back holds"
expect_equal "$(jq -c 'select(.lines) | [.asked, .bad_heads, .findings]' "$TEST_TMP/verdict")" "[1,0,1]" "the verdict"
bfs_mount
expect_status 1 bfs audit verify
expect_says "are missing: a published head knows of them" "is not as it was written (findings: 1)"
heads=$(ls "$near/audit")
bfs_umount
expect_equal "$(ls "$near/audit")" "$heads" "heads, of which none may go beyond the one that tells"
