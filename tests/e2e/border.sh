#!/bin/bash
# test: timeout=400
# SPDX-License-Identifier: GPL-3.0-or-later
# I1 and I9 under the clock. An upload to a slow foreign server is under way, whose kernel takes little more than is read; the
# file is tagged, renamed, linked, its directory moved or tagged, or the rules are tightened. From the moment in which the call
# returns that kernel takes in not one byte of a body more. Then: the many ways to save a file that must stay at home.
. "${0%/*}/lib.sh"

content=$TEST_TMP/content
head -c 8388608 /dev/urandom >"$content"
slow=65536 # bytes a second and connection

rules='
	[rule tagged-stays]
	tag = personal
	zone = domestic
	[rule private-stays]
	path = /private/**
	zone = domestic
	[rule public-goes-out]
	path = /public/**
	zone = foreign'

# border_config [RULE...]: domestic is a real cloud, foreign is trapd; the rules given come first.
border_config() {
	{
		ini_filesystem
		ini_zone domestic domestic domestic
		ini_zone foreign foreign abroad
		ini_backend domestic
		ini_plain_backend abroad "http://127.0.0.1:${tool_port[abroad]}"
		[ -z "${upload_limit-}" ] || echo "upload-limit = $upload_limit"
		printf '%s\n' "$@" "$rules"
	} >"$ini"
}

trap_puts() {
	grep -cE '^(PUT|POST) ' "$TEST_TMP/abroad.requests" || true
}

# objects_abroad: what the foreign server holds.
objects_abroad() {
	curl -s "http://127.0.0.1:${tool_port[abroad]}/office" | grep -o '<Key>[^<]*' | cut -c6- | sort || true
}

taken_more_than() {
	[ "$(trap_taken abroad)" -gt "$1" ]
}

# under_way: an upload has begun and is far from its end.
under_way() {
	within 30 taken_more_than $(($(trap_taken abroad) + 100000))
}

# at_once CALL ARGUMENT...: when it returns nothing waits in this machine's kernel to be sent abroad, and nothing is.
at_once() {
	local taken puts
	said=$("$BUILD/tests/e2e/at_once" "${tool_port[abroad]}" "$@")
	taken=$(trap_taken abroad) puts=$(trap_puts)
	[[ $said == "queued 0 "* ]] || fail "after $1: $said"
	echo "          $1: ${said#queued 0 took } us"
	sleep "${watch_s:-3}"
	expect_equal "$(trap_taken abroad)" "$taken" "bytes of bodies that the foreign kernel has taken in since $1 returned"
	expect_equal "$(trap_puts)" "$puts" "uploads that were begun abroad since $1 returned"
}

# all_home PATH...: in the end all is on the cloud at home, and only there.
all_home() {
	local path
	bfs sync --timeout 100 2>/dev/null
	for path; do
		is_stored "$path" domestic || fail "$path: $(bfs where --json "$path")"
	done
	expect_equal "$(objects_abroad)" "" "objects left abroad"
	objects_where domestic >"$TEST_TMP/wanted"
	bucket_list domestic >"$TEST_TMP/listed"
	expect_same "$TEST_TMP/listed" "$TEST_TMP/wanted"
}

tag() {
	setfattr -n user.xdg.tags -v personal "$1"
}

# ---- the ways to save: each writes what stdin says as file $1

# vim's two; it says itself which it took.
save_vim() {
	local how=$1 file=$2 line before after
	before=$(stat -c %i "$file")
	read -r line
	"$vim" -u NONE -i NONE -n -es -c "set backupskip= writebackup nobackup backupcopy=$how" -c "1s/.*/$line/" -c wq "$file" </dev/null
	after=$(stat -c %i "$file")
	case $how in
	yes) [ "$before" = "$after" ] || fail "vim made a new file" ;;
	no) [ "$before" != "$after" ] || fail "vim kept the file" ;;
	esac
}

save_vim_copy() {
	save_vim yes "$1"
}

save_vim_rename() {
	save_vim no "$1"
}

save_sed() {
	local line
	read -r line
	sed -i "1s/.*/$line/;2,\$d" "$1"
}

# A lock beside the document, a temporary file beside it (O_EXCL, 0600), the mode of the old one, and a rename over it.
save_libreoffice() {
	local dir=${1%/*} name=${1##*/}
	echo ',me,machine,now;' >"$dir/.~lock.$name#"
	(umask 077 && set -C && cat >"$dir/lu4711abcd.tmp")
	chmod 644 "$dir/lu4711abcd.tmp"
	sync "$dir/lu4711abcd.tmp"
	mv "$dir/lu4711abcd.tmp" "$1"
	rm "$dir/.~lock.$name#"
}

# Programs on GLib: the same under another name, without a lock.
save_glib() {
	(umask 077 && set -C && cat >"${1%/*}/.goutputstream-ABCDEF")
	chmod 644 "${1%/*}/.goutputstream-ABCDEF"
	mv "${1%/*}/.goutputstream-ABCDEF" "$1"
}

# Emacs: the old one becomes the backup, which stays, and the new one takes its name.
save_emacs() {
	mv "$1" "$1~"
	cat >"$1"
}

# The old one is deleted first.
save_delete() {
	rm "$1"
	cat >"$1"
}

save_delete_rename() {
	cat >"$1.new"
	rm "$1"
	mv "$1.new" "$1"
}

save_truncate() {
	cat >"$1"
}

ways='vim_copy vim_rename sed libreoffice glib emacs delete delete_rename truncate'

# save_all DIRECTORY ROUND: every file in it, each in its own way.
save_all() {
	local way
	for way in $ways; do
		echo "round $2 by $way" | "save_$way" "$1/$way"
		expect_equal "$(cat "$1/$way")" "round $2 by $way" "what was saved"
	done
}

# stay_home DIRECTORY: they are at home, with their tag.
stay_home() {
	local way
	for way in $ways; do
		is_stored "$1/$way" domestic || fail "$way: $(bfs where --json "$1/$way")"
		expect_equal "$(getfattr --absolute-names --only-values -n user.xdg.tags "$1/$way" 2>/dev/null)" "$2" "tags after $way"
	done
}

for vim in vim.tiny vim.basic vim; do
	! command -v $vim >/dev/null || break
done
command -v $vim >/dev/null || {
	echo "vim is missing: run packaging/install-deps test"
	exit 77
}
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
clouds_start domestic=ceph foreign=swift
tool_start abroad trapd -b 4096 -r $slow -l "$TEST_TMP/abroad.requests"
export=deny

step "an upload is under way, and ..."
border_config
bfs_init
bfs_mount
mkdir "$mnt/public" "$mnt/private"

step "... the file is tagged"
cp "$content" "$mnt/public/tagged"
under_way
at_once setxattr "$mnt/public/tagged" user.xdg.tags personal
all_home "$mnt/public/tagged"

step "... the file is renamed to a home path"
cp "$content" "$mnt/public/renamed"
under_way
at_once rename "$mnt/public/renamed" "$mnt/private/renamed"
all_home "$mnt/private/renamed"

step "... the file is renamed over another at a home path"
cp "$content" "$mnt/public/over"
echo old >"$mnt/private/over"
under_way
at_once rename "$mnt/public/over" "$mnt/private/over"
all_home "$mnt/private/over"

step "... the file gets a second name under a home rule"
cp "$content" "$mnt/public/linked"
under_way
at_once link "$mnt/public/linked" "$mnt/private/linked"
all_home "$mnt/public/linked" "$mnt/private/linked"

step "... its directory is renamed to a home path"
mkdir -p "$mnt/public/dir/deeper"
cp "$content" "$mnt/public/dir/a"
cp "$content" "$mnt/public/dir/deeper/b"
under_way
at_once rename "$mnt/public/dir" "$mnt/private/dir"
all_home "$mnt/private/dir/a" "$mnt/private/dir/deeper/b"

step "... its directory is tagged"
mkdir -p "$mnt/public/dir/deeper"
cp "$content" "$mnt/public/dir/a"
cp "$content" "$mnt/public/dir/deeper/b"
under_way
at_once setxattr "$mnt/public/dir" user.xdg.tags personal
all_home "$mnt/public/dir/a" "$mnt/public/dir/deeper/b"

step "... its directory is tagged by the command"
mkdir -p "$mnt/public/dir2"
cp "$content" "$mnt/public/dir2/a"
under_way
at_once run "$BORDERFS" tag add -c "$ini" "$mnt/public/dir2" personal
all_home "$mnt/public/dir2/a"

step "a thousand uploads wait, and the rules are tightened"
mkdir "$mnt/public/many"
head -c 20000000 /dev/urandom | split -b 20000 -d -a 3 - "$mnt/public/many/"
under_way
border_config '[rule many-stay]' 'path = /public/many/**' 'zone = domestic'
waiting=$(bfs status --json | jq .waiting.files)
[ "$waiting" -gt 800 ] || fail "only $waiting files wait"
at_once run "$BORDERFS" reload -c "$ini"
all_home "$mnt/public/many/000" "$mnt/public/many/999"
expect_equal "$(bfs where --json --recursive "$mnt/public/many" | jq -r '.state + " " + .zone' | sort | uniq -c | tr -s ' ')" \
	" 1000 stored domestic" "files at home"

step "the upload is slow because of its own limit"
upload_limit=64K/s border_config
tool abroad rate 0
bfs reload
cp "$content" "$mnt/public/limited"
under_way
at_once setxattr "$mnt/public/limited" user.xdg.tags personal
cp "$content" "$mnt/public/limited2"
under_way
at_once rename "$mnt/public/limited2" "$mnt/private/limited2"
all_home "$mnt/public/limited" "$mnt/private/limited2"

step "files that must stay are saved again, in many ways"
border_config
bfs reload
puts=$(trap_puts)
mkdir "$mnt/public/saves" "$mnt/private/moved"
for way in $ways; do
	echo first >"$mnt/public/saves/$way"
	tag "$mnt/public/saves/$way"
	echo first >"$mnt/private/moved/$way"
done
bfs sync --timeout 60
save_all "$mnt/public/saves" 1
sleep 1.5
save_all "$mnt/public/saves" 2
save_all "$mnt/public/saves" 3
sleep 1.5
bfs sync --timeout 60
stay_home "$mnt/public/saves" personal
step "... also where the former path, and no tag, holds them"
mv "$mnt/private/moved" "$mnt/public/moved"
sleep 1.5
save_all "$mnt/public/moved" 1
sleep 1.5
save_all "$mnt/public/moved" 2
bfs sync --timeout 60
stay_home "$mnt/public/moved" ""
expect_equal "$(bfs where --json "$mnt/public/moved/sed" | jq -c '[.held, .kept_back]')" "[true,true]" "held, and kept back"
expect_equal "$(trap_puts)" "$puts" "uploads abroad"

step "one name at home, one abroad; the first goes; export = deny"
head -c 100000 "$content" >"$mnt/private/two"
ln "$mnt/private/two" "$mnt/public/two"
bfs sync --timeout 60
is_stored "$mnt/public/two" domestic || fail "$(bfs where --json "$mnt/public/two")"
rm "$mnt/private/two"
sleep 2
bfs sync --timeout 60
is_stored "$mnt/public/two" domestic || fail "$(bfs where --json "$mnt/public/two")"
expect_equal "$(bfs where --json "$mnt/public/two" | jq -c '[.held, .kept_back]')" "[true,true]" "held, and kept back"
expect_status 0 bfs where "$mnt/public/two"
expect_says "stored, kept back" domestic
keeper="export = deny of zone domestic ($ini:$(grep -n '^export = deny' "$ini" | cut -d: -f1))"
expect_says "$mnt/public/two: $keeper"
expect_equal "$(bfs explain --json "$mnt/public/two" | jq -r .kept_by)" "$keeper" 'what explain says keeps it'
expect_equal "$(bfs report --json | jq -r 'select(.name == "kept back") | "\(.reason) \(.kept_by)"')" "deny $keeper" \
	'what the report says keeps it'
expect_equal "$(trap_puts)" "$puts" "uploads abroad"
all_home "$mnt/public/two"
bfs_umount

step "export = allow, over a real foreign cloud: the same two names"
rm -rf "$store"
export=allow
cloud domestic s3cmd del --recursive --force "s3://$(cloud_env domestic BUCKET)" >/dev/null
config_write <<<"$rules"
bfs_init
bfs_mount
mkdir "$mnt/public" "$mnt/private"
head -c 100000 "$content" >"$mnt/private/two"
ln "$mnt/private/two" "$mnt/public/two"
bfs sync --timeout 60
is_stored "$mnt/public/two" domestic || fail "$(bfs where --json "$mnt/public/two")"
mark=$(log_mark foreign)
takes rm "$mnt/private/two"
sleep 0.3
expect_equal "$(log_since foreign "$mark" | grep -c ^PUT || true)" 0 "uploads abroad in its quiet period"
within 30 is_stored "$mnt/public/two" foreign
bfs sync --timeout 60
expect_equal "$(bucket_list domestic)" "" "objects left at home"
expect_equal "$(bucket_list foreign)" "$(objects_where foreign)" "objects abroad"

step "tagged, it comes home, and nothing of it remains abroad"
tag "$mnt/public/two"
bfs sync --timeout 60
is_stored "$mnt/public/two" domestic || fail "$(bfs where --json "$mnt/public/two")"
expect_equal "$(bucket_list foreign)" "" "objects left abroad"
expect_equal "$(bucket_list domestic)" "$(objects_where domestic)" "objects at home"

step "files stored abroad, then tagged, then saved in many ways"
mkdir "$mnt/public/saves"
for way in $ways; do
	echo first >"$mnt/public/saves/$way"
done
bfs sync --timeout 60
is_stored "$mnt/public/saves/sed" foreign || fail "$(bfs where --json "$mnt/public/saves/sed")"
for way in $ways; do
	tag "$mnt/public/saves/$way"
done
mark=$(log_mark foreign)
save_all "$mnt/public/saves" 1
sleep 1.5
save_all "$mnt/public/saves" 2
bfs sync --timeout 60
stay_home "$mnt/public/saves" personal
expect_equal "$(log_since foreign "$mark" | grep -c ^PUT || true)" 0 "uploads abroad"
expect_equal "$(bucket_list foreign)" "" "objects left abroad"
expect_equal "$(bucket_list domestic)" "$(objects_where domestic)" "objects at home"
bfs_umount
