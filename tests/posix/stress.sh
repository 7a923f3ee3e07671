#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=1500 sanitize torture long
# All of stress-ng's filesystem stressors on a mount, two of each at once, with its own checks; what fails must fail on
# the disk beside it too. Afterwards nothing is left, by the next daemon either, and no daemon has complained.
. "${0%/*}/lib.sh"

[ "$(id -u)" = 0 ] || { echo "some stressors need root"; exit 77; }
seconds=$((${TEST_SCALE:-1} > 1 ? 5 : 1))
top=$TEST_TMP/root
beside=$TEST_TMP/beside

stressors() {
	stress-ng --class 'filesystem?' 2>&1 | sed -n 's/^class .* stressors: //p' | tr ' ' '\n'
}

# stress STRESSOR DIR: what it says is in $TEST_TMP/said. It ends by itself, or is taken for stuck.
stress() {
	mkdir "$2/$1"
	timeout --kill-after=5 $((seconds + 100)) stress-ng --"$1" 2 --timeout "${seconds}s" --verify --temp-path "$2/$1" \
		>"$TEST_TMP/said" 2>&1 </dev/null
}

posix_config
bfs_init
bfs_mount -o allow_other,dev,suid
mkdir "$beside"
total=0 refused=0
for stressor in $(stressors); do
	total=$((total + 1))
	stress "$stressor" "$mnt" || {
		cp "$TEST_TMP/said" "$TEST_TMP/said-mount"
		! stress "$stressor" "$beside" || fail "$stressor fails here only: $(cat "$TEST_TMP/said-mount")"
		refused=$((refused + 1))
	}
	expect_equal "$(find "$mnt/$stressor" -mindepth 1)" "" "what $stressor left"
	rmdir "$mnt/$stressor"
done
step "$total stressors, of which $refused cannot run on this machine"
[ "$total" -ge 40 ] && [ "$refused" -le 5 ] || fail "too few"

bfs_umount
bfs_mount
expect_equal "$(ls -A "$mnt")" "" "the next mount"
bfs_umount
expect_equal "$(grep -E ' (error|warning): ' "$daemon_log")" "" "the daemon's complaints"
