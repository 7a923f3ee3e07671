#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=240 sanitize
# A tag brings what is abroad home, at once and for good; what lies in a tagged directory never goes abroad.
. "${0%/*}/lib.sh"

public=$mnt/public
export=deny settle=100ms # the default policy; and a quiet period in which a new file could get away

# objects_of PATH...: the names of the objects that hold them, sorted.
objects_of() {
	bfs where --json "$@" | jq -r '.object_names[]' | sort -u
}

# expect_abroad PATH OBJECTS: a file is stored abroad, in so many objects.
expect_abroad() {
	expect_equal "$(where_is "$1" zone) $(where_is "$1" state) $(where_is "$1" objects)" "foreign stored $2" "$1"
}

# expect_home PATH...: stored at home only.
expect_home() {
	local path
	for path; do
		expect_equal "$(where_is "$path" zone) $(where_is "$path" state) $(where_is "$path" backends)" \
			'domestic stored domestic' "$path"
	done
}

# expect_gone OBJECTS...: files of names that are in the foreign bucket no more.
expect_gone() {
	cat "$@" | sort >"$TEST_TMP/had"
	bucket_list foreign >"$TEST_TMP/foreign-list"
	expect_equal "$(comm -12 "$TEST_TMP/had" "$TEST_TMP/foreign-list")" '' 'objects still abroad'
}

# expect_silence MARK: the foreign server was asked nothing since.
expect_silence() {
	expect_equal "$(log_since foreign "$1")" '' 'requests to the foreign cloud'
}

step 'clouds'
clouds_start
config_write <<-INI
	[rule personal-stays]
	tag = personal
	zone = domestic
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init
bfs_mount

step 'files abroad'
mkdir -p "$public/letters/2023" "$public/news"
echo 'a short letter' >"$public/short"
head -c 9000000 /dev/urandom >"$public/long" # three blocks
head -c 100000 /dev/urandom >"$public/uncached"
head -c 50000 /dev/urandom >"$public/by-command"
head -c 20000 /dev/urandom >"$public/stays-abroad"
for i in {1..30}; do
	head -c "$((i * 1500))" /dev/urandom >"$public/letters/$i"
	echo "$i" >"$public/letters/2023/$i"
done
(cd "$public" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TEST_TMP/sums"
bfs sync --timeout 60
expect_abroad "$public/short" 1
expect_abroad "$public/long" 3
expect_equal "$(bfs where -r --json "$public" | jq -r .zone | sort | uniq -c | xargs)" '65 foreign' 'where the files are'
expect_equal "$(bucket_list domestic)" '' 'objects at home'
expect_buckets

step 'tagged files come home'
objects_of "$public/short" "$public/long" "$public/uncached" "$public/by-command" >"$TEST_TMP/objects"
bfs cache drop # nothing is here: it has to be fetched before it can be stored at home
setfattr -n user.xdg.tags -v personal "$public/short"
setfattr -n user.xdg.tags -v 'letters,personal,2023' "$public/long"
setfattr -n user.xdg.tags -v personal "$public/uncached"
bfs tag add "$public/by-command" personal
for name in short long uncached by-command; do
	expect_equal "$(where_is "$public/$name" zone)" domestic "the zone of $name at once"
done
bfs sync --timeout 60
expect_home "$public/short" "$public/long" "$public/uncached" "$public/by-command"
expect_gone "$TEST_TMP/objects"
expect_abroad "$public/stays-abroad" 1

step 'a tagged directory comes home'
objects_of "$public"/letters/*[0-9] "$public"/letters/2023/* >"$TEST_TMP/objects"
setfattr -n user.xdg.tags -v personal "$public/letters"
bfs sync --timeout 60
expect_home "$public/letters/30" "$public/letters/2023/1"
expect_gone "$TEST_TMP/objects"
expect_equal "$(bfs where -r --json "$public" | jq -r .zone | sort | uniq -c | xargs)" '64 domestic 1 foreign' 'where the files are'
expect_equal "$(bucket_list foreign | wc -l)" 1 'objects abroad'
expect_buckets

step 'what is new in it never touches the foreign server'
mark=$(log_mark foreign)
mkdir "$public/letters/2024"
for i in {1..20}; do
	echo "new $i" >"$public/letters/new-$i"
	head -c 30000 /dev/urandom >"$public/letters/2024/$i"
done
head -c 5000000 /dev/urandom >"$public/letters/large"
cp "$public/letters/1" "$public/letters/copied"
mkdir "$mnt/desk"
echo 'made elsewhere' >"$mnt/desk/letter"
mv "$mnt/desk/letter" "$public/letters/moved in"
echo 'saved as editors do' >"$public/letters/.1.tmp"
mv "$public/letters/.1.tmp" "$public/letters/1"
sed -i 's/new/newer/' "$public/letters/new-7"
rm "$public/letters/2"
echo 'made again' >"$public/letters/2"
bfs sync --timeout 60
expect_home "$public/letters/new-1" "$public/letters/2024/20" "$public/letters/large" "$public/letters/copied" \
	"$public/letters/moved in" "$public/letters/1" "$public/letters/2" "$public/letters/new-7"
expect_silence "$mark"

step 'the way out is shut'
setfattr -x user.xdg.tags "$public/letters"
setfattr -x user.xdg.tags "$public/long"
bfs tag rm "$public/by-command" personal
mv "$public/letters/new-9" "$public/news/"
touch "$public/letters/new-10"
bfs sync --timeout 60
expect_home "$public/long" "$public/by-command" "$public/letters/30" "$public/letters/2024/20" "$public/news/new-9"
expect_silence "$mark"
echo 'news for everybody' >"$public/news/public"
bfs sync --timeout 60
expect_abroad "$public/news/public" 1

step 'all is as it was written'
bfs_umount
bfs cache drop
bfs_mount
grep -vE ' \./letters/(1|2)$' "$TEST_TMP/sums" | (cd "$public" && sha256sum --quiet -c)
expect_equal "$(cat "$public/letters/1" "$public/letters/2" "$public/letters/new-7")" \
	$'saved as editors do\nmade again\nnewer 7' 'what was written later'
bfs_umount
