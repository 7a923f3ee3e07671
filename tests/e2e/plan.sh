#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=120
# What `rules plan` says of a change, exactly; that nothing has moved by it; and that the reload then moves just that.
. "${0%/*}/lib.sh"

rules='
	[rule contracts-stay]
	path = /contracts/**
	zone = domestic
	export = deny
	[rule public-goes-out]
	path = /public/**
	zone = foreign'
changed='
	[rule contracts-go]
	path = /contracts/**
	zone = foreign
	[rule contracts-stay]
	path = /kept/**
	zone = domestic
	export = deny
	[rule photos-go-out]
	path = /photos/**
	zone = foreign
	[rule public-stays]
	path = /public/**
	zone = domestic'
new=$TEST_TMP/new.ini

# bytes FILE COUNT
bytes() {
	head -c "$2" /dev/urandom >"$mnt/$1"
}

plan() {
	"$BORDERFS" rules plan -c "$new" --json
}

# rows SECTION: of the last plan, a line each.
rows() {
	jq -r --arg section "$1" 'select(.section == $section) |
		[.direction, .from, .to, .rule, .reason, .path, .files, .bytes | select(. != null)] | join(" ")' "$TEST_TMP/plan"
}

# facts: all that says where files are.
facts() {
	bfs where --json --recursive "$mnt"
	for path in "$mnt"/*/*; do
		bfs explain --json "$path" | jq -c 'del(.rules_version, .next_due_s)'
	done
	find "$near" "$far" -type f | sort
	bfs audit show --json | jq -c 'select(.kind != "key")'
}

config_directories <<<"$rules"
sed -i 's/^export = allow/export = deny/' "$ini"
bfs_init
bfs_mount
mkdir "$mnt"/{contracts,public,photos}
bytes contracts/a 5000
bytes photos/x 1000
bytes photos/y 20000
bytes photos/z 300000
bytes public/p 40000
bytes public/q 7
bfs sync --timeout 20s
for path in public/{p,q}; do
	within 20 is_stored "$mnt/$path" foreign
done

step 'what would be refused is refused, with its line'
{ cat "$ini" && printf '[rule bad]\npath = /x/**\nzone = nowhere\n'; } >"$new"
expect_status 1 plan
expect_says "$new:$(grep -n 'zone = nowhere' "$new" | cut -d: -f1): error: unknown zone \"nowhere\"" 'is not valid'
sed 's/^export = deny/export = allow/' "$ini" >"$new"
expect_status 3 plan
expect_says 'zone domestic: export = allow is looser than deny'

step 'what is in force moves nothing'
cp "$ini" "$new"
plan >"$TEST_TMP/plan"
expect_equal "$(jq -r '.section, .files, .bytes, .moving_files' "$TEST_TMP/plan" | xargs)" 'total 6 366007 0' 'a plan of what is in force'

step 'a change, in numbers'
facts >"$TEST_TMP/before"
{
	sed '/^\t*\[rule/,$d' "$ini"
	echo "$changed"
} >"$new"
plan >"$TEST_TMP/plan"
expect_equal "$(rows move)" 'abroad domestic foreign photos-go-out 3 321000
home foreign domestic public-stays 2 40007' 'what moves'
expect_equal "$(rows stay)" 'domestic foreign contracts-go deny 1 5000' 'what stays'
expect_equal "$(rows unsure)" '' 'what is not known'
expect_equal "$(rows largest)" 'abroad domestic foreign photos-go-out /photos/z 300000
home foreign domestic public-stays /public/p 40000
abroad domestic foreign photos-go-out /photos/y 20000
abroad domestic foreign photos-go-out /photos/x 1000
home foreign domestic public-stays /public/q 7' 'the largest'
expect_equal "$(rows sample | sort)" "$(rows largest | sort)" 'a sample of five'
expect_equal "$(jq -r 'select(.section == "total") | .files, .bytes, .moving_files, .moving_bytes' "$TEST_TMP/plan" | xargs)" \
	'6 366007 5 361007' 'in all'
expect_status 0 "$BORDERFS" rules plan -c "$new"
expect_says 'domestic -> foreign, abroad  3 files' 'rule contracts-go: deny' '5 of 6 files would move, 352.5 KiB of 357.4 KiB'

step 'nothing has moved'
facts >"$TEST_TMP/after"
expect_same "$TEST_TMP/before" "$TEST_TMP/after"

step 'a reload moves just that'
cp "$new" "$ini"
bfs reload
for path in photos/{x,y,z}; do
	within 20 is_stored "$mnt/$path" foreign
done
for path in public/{p,q}; do
	within 20 is_stored "$mnt/$path" domestic
done
bfs sync --timeout 20s
expect_equal "$(where_is "$mnt/contracts/a" 'zone, .held, .kept_back' | xargs)" 'domestic true true' 'what is held, and kept back'
expect_equal "$(bfs report --json | jq -r 'select(.section == "flow" and .direction != "within") |
	[.direction, .from, .to, .files, .bytes] | join(" ")' | sort)" 'abroad domestic foreign 3 321000
home foreign domestic 2 40007' 'what the report says of it'
plan >"$TEST_TMP/plan"
expect_equal "$(jq -r 'select(.section == "total") | .moving_files' "$TEST_TMP/plan")" 0 'what is left to move'
bfs_umount
