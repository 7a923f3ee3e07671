#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=300 alone sanitize
# Both clouds away, refusing connections or just silent: what needs none of them goes on at full speed, what does ends
# soon with a network's error, and all is well when they are back, without a remount.
. "${0%/*}/lib.sh"

backend_keys='connect-timeout=2s timeout=3s'
zone_keys='pack=0' # what is not asked for is not here: no neighbour in an object brings it along

# ---- the work that needs no cloud

files_write() {
	local i
	mkdir -p "$mnt/$1" "$mnt/public/$1"
	for ((i = 0; i < 150; i++)); do
		head -c 20000 "$TEST_TMP/random" >"$mnt/$1/$i"
		head -c 3000 "$TEST_TMP/random" >"$mnt/public/$1/$i"
	done
	dd if="$TEST_TMP/random" of="$mnt/$1/large" bs=1M conv=fsync status=none
}

files_list() {
	ls -lR "$mnt/$1" "$mnt/public/$1" >/dev/null
	find "$mnt" -newer "$mnt/$1/149" -print0 | xargs -0r getfattr -d -m - >/dev/null 2>&1
}

files_rename() {
	local i
	for ((i = 0; i < 150; i++)); do
		mv -T "$mnt/$1/$i" "$mnt/$1/renamed-$i"
	done
	mv "$mnt/public/$1" "$mnt/public/$1-renamed"
	mv "$mnt/public/$1-renamed" "$mnt/public/$1"
}

files_read() {
	find "$mnt/$1" "$mnt/public/$1" -type f -exec cat {} + >/dev/null
	find "$mnt/cached" -type f -exec cat {} + >/dev/null
}

# work NAME: in a new directory; the times of its steps, in ms, are in time_of.
declare -A time_of before
work() {
	local step
	for step in write list rename read; do
		takes files_$step "$1"
		time_of[$step]=$took_ms
	done
	echo "$1: write ${time_of[write]} ms, list ${time_of[list]} ms, rename ${time_of[rename]} ms, read ${time_of[read]} ms"
}

# The same speed as with the clouds there: none of it waits for them. (Twice, for what else this machine does.)
expect_full_speed() {
	local step
	for step in "${!before[@]}"; do
		[ "${time_of[$step]}" -le $((2 * before[$step] + 500)) ] ||
			fail "$step took ${time_of[$step]} ms; with both clouds there it had been ${before[$step]} ms"
	done
}

# ---- reading what is on a cloud only

# expect_network_error FILE MS: reading it ends within so many milliseconds, in an error of networks.
expect_network_error() {
	takes expect_status 1 cat "$1"
	case $said in
	*'No route to host'* | *'Connection timed out'*) ;;
	*) fail "reading $1 ended in: $said" ;;
	esac
	[ "$took_ms" -le "$2" ] || fail "it took $took_ms ms until $1 could not be read, $2 were allowed"
	echo "${1##*/}: ${said##*: } after $took_ms ms"
}

# expect_answered_at_once PATTERN: many reads, when the clouds are known to be away.
expect_answered_at_once() {
	local file
	read_all() {
		for file in $1; do
			expect_network_error "$file" 300
		done
	}
	takes read_all "$1"
	[ "$took_ms" -le 800 ] || fail "reading $1 took $took_ms ms"
}

# expect_readable: everything is there again, soon, without a remount.
expect_readable() {
	within 40 cmp "$mnt/$1" "$TEST_TMP/random-$2"
	within 40 cmp "$mnt/public/$1" "$TEST_TMP/random-$2"
}

silence() {
	kill "-$1" "$(sed -n 's/^gateway \([0-9]*\) .*/\1/p' "$TEST_TMP/domestic/pids")" \
		"$(sed -n 's/^proxy \([0-9]*\) .*/\1/p' "$TEST_TMP/foreign/pids")"
}

# ----

step 'clouds'
clouds_start
config_write <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init
bfs_mount

step 'all is there'
head -c 20000000 /dev/urandom >"$TEST_TMP/random"
mkdir "$mnt/public" "$mnt/cached" "$mnt/public/cached"
for i in {1..30}; do
	head -c $((i * 10000)) "$TEST_TMP/random" >"$TEST_TMP/random-$i"
	cp "$TEST_TMP/random-$i" "$mnt/uncached-$i"
	cp "$TEST_TMP/random-$i" "$mnt/public/uncached-$i"
	cp "$TEST_TMP/random-$i" "$mnt/cached/$i"
	cp "$TEST_TMP/random-$i" "$mnt/public/cached/$i"
done
bfs sync --timeout 60
bfs cache drop
bfs_umount
bfs_mount
cat "$mnt"/cached/* "$mnt"/public/cached/* >/dev/null
work with-clouds
for key in "${!time_of[@]}"; do
	before[$key]=${time_of[$key]}
done

step 'both clouds refuse connections'
cloud domestic down
cloud foreign down
expect_network_error "$mnt/uncached-1" 3000
expect_network_error "$mnt/public/uncached-1" 3000
expect_answered_at_once "$mnt/uncached-[2-8]"
expect_answered_at_once "$mnt/public/uncached-[2-8]"
work refusing
expect_full_speed
expect_status 4 bfs sync --timeout 2
expect_says 'not (all) on'
expect_equal "$(bfs status --json | jq -r '.zones[].backends[].up' | sort -u)" false 'whether the backends are up'

step 'unmounted and mounted without clouds'
takes bfs_umount
echo "unmounted in $took_ms ms"
[ "$took_ms" -le 5000 ] || fail "unmounting took $took_ms ms"
takes bfs_mount
echo "mounted in $took_ms ms"
[ "$took_ms" -le 5000 ] || fail "mounting took $took_ms ms"
for i in {1..30}; do
	cmp "$mnt/cached/$i" "$TEST_TMP/random-$i"
	cmp "$mnt/public/cached/$i" "$TEST_TMP/random-$i"
done
work mounted-without
expect_full_speed
expect_network_error "$mnt/uncached-1" 3000
expect_network_error "$mnt/public/uncached-1" 3000

step 'both are back'
cloud domestic up
cloud foreign up
expect_readable uncached-1 1
expect_readable uncached-9 9
bfs sync --timeout 90
expect_equal "$(bfs where -r --json "$mnt" | jq -r .state | sort -u)" stored 'the states of the files'

step 'both are silent'
silence STOP
for place in "$mnt" "$mnt/public"; do
	expect_network_error "$place/uncached-10" 4000
	expect_network_error "$place/uncached-10" 300
	expect_answered_at_once "$place/uncached-1[1-4]"
done
work silent
expect_full_speed
silence CONT
expect_readable uncached-12 12
bfs sync --timeout 90

step 'all is as it was written'
bfs cache drop
bfs_umount
bfs_mount
for dir in with-clouds refusing mounted-without silent; do
	cmp "$mnt/$dir/large" "$TEST_TMP/random"
	for ((i = 0; i < 150; i += 7)); do
		cmp -n 20000 "$mnt/$dir/renamed-$i" "$TEST_TMP/random"
		cmp -n 3000 "$mnt/public/$dir/$i" "$TEST_TMP/random"
	done
done
for i in {1..30}; do
	cmp "$mnt/uncached-$i" "$TEST_TMP/random-$i"
	cmp "$mnt/public/uncached-$i" "$TEST_TMP/random-$i"
done
bfs_umount
