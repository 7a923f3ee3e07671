#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=3600 torture long
# A soak, of 15 minutes in `make torture` (SOAK_SECONDS): a mixed load with uploads, and a cache that holds a part of it, so
# that blocks are evicted and fetched all the time. What the daemon keeps up to a bound is at its bound from the start; after
# the first third its resident size must not grow, and its threads and descriptors stay within bounds; at the end all reads
# back equal, by the next daemon and from the backends.
. "${0%/*}/lib.sh"

seconds=${SOAK_SECONDS:-$((90 * ${TEST_SCALE:-1}))}
seed=${SOAK_SEED:-$$}
filled=150000
leak_max=8		       # bytes an operation: the least piece of memory that malloc gives is 32, so of every fourth one
scatter_max_kib=8192	       # beyond which nothing can be said
memory_max_kib=$((360 * 1024)) # docs/PERFORMANCE.md has what it is made of
fds_max=400 # of which 256 block files
state=$TEST_TMP/state
samples=$TEST_TMP/samples
load=

# What is kept in memory up to a bound is at its bound from the start: so many names and inodes weigh more than nodes may, and
# take more pages of the database than its writer keeps; eight who list them fill as many readers.
fill_caches() {
	python3 - "$mnt/filled" "$filled" <<-'PY'
		import os, sys
		os.mkdir(sys.argv[1])
		for i in range(int(sys.argv[2])):
		    os.close(os.open(f'{sys.argv[1]}/{i:07d}', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
	PY
	local i listers=()
	for i in {1..8}; do
		ls -f "$mnt/filled" >/dev/null &
		listers+=($!)
	done
	wait "${listers[@]}"
}

sample() {
	local fds=("/proc/$daemon_pid/fd/"*) threads=("/proc/$daemon_pid/task/"*)
	echo "$SECONDS $(daemon_memory_kib) ${#fds[@]} ${#threads[@]}"
}

load_ended() {
	! kill -0 "$load" 2>/dev/null
}

sample_all() {
	local every=$((seconds / 300 + 1))
	until load_ended; do
		sample
		sleep "$every"
	done
}

# judge OPERATIONS: the line of least squares through the least sizes of twenty windows after the warm-up: what is in hand for a
# moment, a request or an upload, is in most samples and not in the least of many. What the line rises, less twice its
# standard error, is what the daemon grew.
judge() {
	awk -v warm="$((seconds / 3))" -v seconds="$seconds" -v operations="$1" -v leak_max="$leak_max" -v fds_max="$fds_max" \
		-v scatter_max="$scatter_max_kib" -v memory_max="$memory_max_kib" '
		NR == 1 { start = $1 }
		$2 > most { most = $2 }
		$1 - start < warm { next }
		{
			w = int(($1 - start - warm) / (seconds - warm) * 20)
			least[w] = !(w in least) || $2 < least[w] ? $2 : least[w]
			if (!threads) threads = $4
			fds_most = $3 > fds_most ? $3 : fds_most
			threads_most = $4 > threads_most ? $4 : threads_most
		}
		END {
			for (w = 0; w < 20; w++)
				if (w in least) { n++; sx += w; sy += least[w]; sxx += w * w; sxy += w * least[w] }
			if (n < 15) { print n " windows are too few"; exit 1 }
			rise = (n * sxy - sx * sy) / (n * sxx - sx * sx)
			base = (sy - rise * sx) / n
			for (w in least) { off = least[w] - base - rise * w; squares += off * off }
			scatter = 2 * sqrt(squares / (n - 2) / (sxx - sx * sx / n)) * 20
			rise *= 20
			allowed = operations * (seconds - warm) / seconds * leak_max / 1024
			printf "%d KiB, %+d (scatter %d, allowed %d) in %d s; at most %d KiB, %d descriptors, %d threads\n",
				base, rise, scatter, allowed, seconds - warm, most, fds_most, threads_most
			exit !(rise - scatter <= allowed && scatter <= scatter_max && most <= memory_max &&
				threads_most <= threads + 8 && fds_most <= fds_max)
		}' "$samples" || fail "the daemon grows: $leak_max bytes an operation, $memory_max_kib KiB or $fds_max descriptors are too many"
}

settle=1s cache=32M config_directories <<-INI
	[rule two-of-four-go-out]
	path = /2/**, /3/**
	zone = foreign
INI
bfs_init
bfs_mount
step "$filled files fill the caches"
fill_caches
step "$seconds s, seed $seed"
"$BUILD/tests/e2e/load" run "$mnt" "$seconds" "$seed" "$state" >"$TEST_TMP/operations" &
load=$!
sample_all >"$samples"
wait "$load"
cat "$TEST_TMP/operations"
judge "$(sed -n 's/ operations$//p' "$TEST_TMP/operations")"
bfs status --json | jq -c '[.cache, (.zones[].backends[] | {name, bytes_sent, bytes_received})]'

step 'read back by the next daemon'
bfs_umount
bfs_mount
"$BUILD/tests/e2e/load" verify "$mnt" "$state"

step 'and from the backends alone'
bfs sync --timeout 300 2>/dev/null
bfs_umount
rm -rf "$store/cache"
bfs_mount
"$BUILD/tests/e2e/load" verify "$mnt" "$state"
bfs_umount
