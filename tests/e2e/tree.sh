#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=400 sanitize
# A real tree through the mount, parts of it abroad: written, synced, unmounted, the cache lost, mounted again. All that a
# file is must come back from the clouds, and what it was must still work (a git clone).
. "${0%/*}/lib.sh"

src=$TEST_TMP/src

# pick COUNT DIRECTORY TARGET: the first files and symlinks below a directory, none large, with their directories.
pick() {
	[ -d "$2" ] || return 0
	mkdir -p "$src/$3"
	(cd "$2" && find . -xdev \( -type l -o -type f -size -512k \) -print0 | sort -z | sed -z -n "1,$1p") |
		rsync -aH --from0 --files-from=- "$2/" "$src/$3/"
}

# What trees from packages have too little of.
odd_files() {
	local odd=$src/odd i
	mkdir -p "$odd"/{deep/er/and/deeper,empty-dir,sticky} "$odd/$(printf 'd%.0s' {1..255})"
	chmod 1777 "$odd/sticky"
	for i in 'two words' ' leading' 'trailing ' $'new\nline' $'tab\there' $'back\\slash' '*' '?' '"' "'" '-n' '#' ';' '%s' '...' \
		'Ünïcödé' 'الملف' '文件' $'\xff\xfe not UTF-8' "$(printf 'n%.0s' {1..255})"; do
		printf '%s' "$i" >"$odd/$i"
	done
	: >"$odd/nothing"
	: >"$odd/deep/er/and/deeper/nothing"
	for i in 1 4095 4096 4097 8191 8192 8193 16384 16385 4194303 4194304 4194305 9000000; do
		head -c "$i" /dev/urandom >"$odd/size-$i"
	done
	head -c 3000000 /dev/zero >"$odd/zeros"
	truncate -s 64M "$odd/sparse"
	printf 'in the middle' | dd of="$odd/sparse" bs=1 seek=33554400 conv=notrunc status=none
	printf 'at the end' | dd of="$odd/sparse" bs=1 seek=67108854 conv=notrunc status=none
	for i in 000 400 640 755 1644 2755 4755 6711; do
		echo "$i" >"$odd/mode-$i"
		chmod "$i" "$odd/mode-$i"
	done
	for i in 1:1 12345:54321 0:4294967294; do
		echo "$i" >"$odd/owner-$i"
		chown "$i" "$odd/owner-$i"
	done
	touch -d '1969-12-31 23:59:58.5' "$odd/size-1"
	touch -d '2038-01-19 03:14:09.123456789' "$odd/size-4095"
	touch -d '2200-01-01' "$odd/size-4096"
	ln -s nowhere "$odd/dangling"
	ln -s "$(printf 'target/%.0s' {1..500})" "$odd/long-target"
	chown -h 33:33 "$odd/dangling"
	mkfifo "$odd/fifo"
}

links_and_attributes() {
	local public=$src/public odd=$src/odd i
	echo 'one file, three names' >"$odd/linked"
	ln "$odd/linked" "$odd/deep/linked too"
	ln "$odd/linked" "$odd/deep/er/and/linked also"
	echo 'one file, at home and abroad' >"$public/linked"
	ln "$public/linked" "$odd/linked abroad"
	head -c 5000000 /dev/urandom >"$public/several-MiB"
	ln "$public/several-MiB" "$public/several-MiB-again"
	setfattr -n user.note -v 'plain text' "$odd/linked"
	setfattr -n user.empty -v '' "$odd/linked"
	setfattr -n user.bytes -v 0x00ff0a80 "$odd/deep"
	setfattr -n "user.$(printf 'x%.0s' {1..250})" -v long "$odd/nothing"
	setfattr -n user.large -v "$(head -c 3000 /dev/zero | tr '\0' v)" "$odd/size-8193"
	setfattr -n user.note -v 'abroad' "$public/several-MiB"
	for i in $(seq 1 20); do
		setfattr -n "user.many.$i" -v "value $i" "$odd/size-16384"
	done
}

make_source() {
	pick 1800 /usr/include include
	pick 1500 /usr/lib/python3 lib/python3
	pick 900 /usr/share/doc doc
	pick 900 /usr/share/perl perl
	pick 500 /usr/share/zoneinfo public/zoneinfo
	pick 250 /usr/share/locale public/locale
	GIT_CONFIG_GLOBAL=$TEST_TMP/gitconfig git config --global safe.directory '*'
	GIT_CONFIG_GLOBAL=$TEST_TMP/gitconfig git clone -q --no-hardlinks "$TOP" "$src/clone"
	odd_files
	links_and_attributes
	# a size that the packages of this machine do not change
	[ "$(find "$src" -type f | wc -l)" -ge 5200 ] || pick 5000 /usr/share more
}

# Which names are one file.
link_groups() {
	(
		cd "$1"
		find . -type f -links +1 -printf '%i\t%P\0' | sort -z | awk -v RS='\0' -F '\t' '
			$1 != last { last = $1; group++; first[group] = $2 }
			{ print first[group] "\t" $2 }' | sort
	)
}

facts() {
	tree_facts "$1"
	link_groups "$1"
}

step 'a source tree'
make_source
facts "$src" >"$TEST_TMP/wanted"
files=$(find "$src" -type f | wc -l)
echo "$files files, $(du -sm --apparent-size "$src" | cut -f1) MB, $(wc -l <"$TEST_TMP/wanted") facts"
[ "$files" -ge 5000 ] || fail "only $files files"

step 'clouds'
clouds_start
config_write <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init
bfs_mount

step 'rsync into the mount'
takes rsync -aHX "$src/" "$mnt/"
echo "rsync: $took_ms ms, $((files * 1000 / took_ms)) files/s"
facts "$mnt" >"$TEST_TMP/got"
expect_same "$TEST_TMP/wanted" "$TEST_TMP/got"

step 'sync'
takes bfs sync --timeout 200
echo "sync: $took_ms ms more"
bfs where -r --json "$mnt" >"$TEST_TMP/where"
expect_equal "$(jq -r .state "$TEST_TMP/where" | sort -u)" stored 'the states of the files'
abroad=$(jq -r 'select(.zone == "foreign") | .path' "$TEST_TMP/where" | wc -l)
[ "$abroad" -ge 500 ] || fail "only $abroad files abroad"
# home, if one of its names says home
expect_equal "$(where_is "$mnt/public/linked" zone)" domestic 'a file of two names'

# objects_of ZONE BYTES: how many objects the files of a zone have that are larger than so many bytes.
objects_of() {
	jq -r "select(.zone == \"$1\" and .size > $2) | .object_names[]" "$TEST_TMP/where" | sort -u | wc -l
}

# check_mounted BYTES: everything is as in the source, and the objects of all files larger than that were asked for.
check_mounted() {
	local zone asked wanted
	declare -A mark
	for zone in domestic foreign; do
		mark[$zone]=$(log_mark $zone)
	done
	bfs_mount
	takes facts "$mnt" >"$TEST_TMP/got"
	expect_same "$TEST_TMP/wanted" "$TEST_TMP/got"
	for zone in domestic foreign; do
		asked=$(log_since $zone "${mark[$zone]}" | sed -n 's/^GET //p' | sort -u | wc -l)
		wanted=$(objects_of $zone "$1")
		echo "$zone: $wanted objects, $asked read"
		[ "$asked" -ge "$wanted" ] || fail "something else than the $zone cloud gave what was read"
	done
	echo "all read in $took_ms ms"
}

step 'unmounted, the cache directory lost, mounted again'
bfs_umount
rm -rf "$store/cache"
check_mounted 8192 # what is smaller lies in the database

step 'borderfs cache drop, mounted again'
bfs_umount
bfs cache drop
expect_equal "$(find "$store/cache" -type f | wc -l)" 0 'block files after cache drop'
check_mounted 0

step 'the clone works'
export GIT_CONFIG_GLOBAL=$TEST_TMP/gitconfig
git -C "$mnt/clone" fsck --full >/dev/null 2>&1
expect_equal "$(git -C "$mnt/clone" status --porcelain)" '' 'git status'
expect_equal "$(git -C "$mnt/clone" rev-parse HEAD)" "$(git -C "$src/clone" rev-parse HEAD)" 'git HEAD'
bfs_umount
