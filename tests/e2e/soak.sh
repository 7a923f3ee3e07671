#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=3600 torture long
# A soak, of 15 minutes in `make torture` (SOAK_SECONDS): a mixed load with uploads, and a cache that holds a part of it, so
# that blocks are evicted and fetched all the time. After the first third the daemon's resident size must not grow, and its
# threads and descriptors stay within bounds; at the end all reads back equal, by the next daemon and from the backends.
. "${0%/*}/lib.sh"

seconds=${SOAK_SECONDS:-$((90 * ${TEST_SCALE:-1}))}
seed=${SOAK_SEED:-$$}
slope_max_kib=256 # a minute; beside it what one measurement differs from the next
noise_kib=6144
fds_max=400 # of which 256 block files
state=$TEST_TMP/state
samples=$TEST_TMP/samples
load=

step "$seconds s, seed $seed"

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

# judge: the line of least squares through the samples after the warm-up.
judge() {
	awk -v warm="$((seconds / 3))" -v slope_max="$slope_max_kib" -v noise="$noise_kib" -v fds_max="$fds_max" '
		NR == 1 { start = $1 }
		$1 - start < warm { next }
		{
			x = ($1 - start) / 60; n++; sx += x; sy += $2; sxx += x * x; sxy += x * $2
			if (n == 1) { first = x; threads = $4 }
			last = x
			least = n == 1 || $2 < least ? $2 : least
			most = $2 > most ? $2 : most
			fds_most = $3 > fds_most ? $3 : fds_most
			threads_most = $4 > threads_most ? $4 : threads_most
		}
		END {
			if (n < 10) { print n " samples are too few"; exit 1 }
			slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
			printf "%d samples over %.1f min: %d to %d KiB, %+.0f KiB a minute; at most %d descriptors, %d threads\n",
				n, last - first, least, most, slope, fds_most, threads_most
			exit !(slope * (last - first) <= slope_max * (last - first) + noise &&
				threads_most <= threads + 8 && fds_most <= fds_max)
		}' "$samples" || fail "the daemon grows: more than $slope_max_kib KiB a minute and $noise_kib KiB, or $fds_max descriptors"
}

settle=1s cache=32M config_directories <<-INI
	[rule two-of-four-go-out]
	path = /2/**, /3/**
	zone = foreign
INI
bfs_init
bfs_mount
"$BUILD/tests/e2e/load" run "$mnt" "$seconds" "$seed" "$state" &
load=$!
sample_all >"$samples"
wait "$load"
judge
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
