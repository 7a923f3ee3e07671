#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=600 alone torture long
# `rules plan` over 200,000 files that were never placed and 500 rules: under 5 s, the daemon under 200 MiB, exact; and when its
# asker goes the daemon goes on to the next at once.
. "${0%/*}/lib.sh"

files=200000 directories=500
plan_max_ms=5000 memory_max_kib=$((200 * 1024))
new=$TEST_TMP/new.ini

# make_files: so many in each directory, of 100 bytes where the number ends in 3.
make_files() {
	python3 - "$mnt/many" "$files" "$directories" <<-'PY'
		import os, sys
		top, count, directories = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		os.mkdir(top)
		for d in range(directories):
		    os.mkdir(f'{top}/d{d}')
		for i in range(count):
		    fd = os.open(f'{top}/d{i % directories}/e{i:06d}', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
		    if i % 10 == 3:
		        os.write(fd, b'%100d' % i)
		    os.close(fd)
	PY
}

# new_rules: 250 for tags that nothing has; 248 send the first directories abroad; one each where the present rules hold
# them, and where all others go.
new_rules() {
	local i
	for i in {1..250}; do
		printf '[rule tag%d]\ntag = t%d\nzone = foreign\n' "$i" "$i"
	done
	for i in {1..248}; do
		printf '[rule directory%d]\npath = /many/d%d/**\nzone = foreign\n' "$i" "$i"
	done
	printf '[rule first]\npath = /many/d0/**\nzone = foreign\n[rule none]\npath = /none/**\nzone = domestic\n'
}

plan() {
	"$BORDERFS" rules plan -c "$new" --json >"$TEST_TMP/plan"
}

settle=1d filesystem_keys='max-delay = 1d' export=deny # nothing is placed meanwhile
config_directories <<-INI
	[rule held]
	path = /many/d0/**
	zone = domestic
INI
{
	sed '/^\[rule/,$d' "$ini"
	new_rules
} >"$new"
bfs_init
bfs_mount

step "$files files"
make_files
bfs_umount
bfs_mount
daemon_memory_reset

step 'a plan'
takes plan
echo "planned in $took_ms ms, $(daemon_memory_peak_kib) KiB resident at most"
[ "$took_ms" -le $plan_max_ms ] || fail "the plan took $took_ms ms"
[ "$(daemon_memory_peak_kib)" -le $memory_max_kib ] || fail "the daemon had more than $memory_max_kib KiB"
expect_equal "$(jq -r 'select(.section == "total") | .files, .bytes, .moving_files, .moving_bytes' "$TEST_TMP/plan" | xargs)" \
	'200000 2000000 99200 1000000' 'in all'
expect_equal "$(jq -r 'select(.section == "stay") | .rule, .reason, .files' "$TEST_TMP/plan" | xargs)" 'first deny 400' 'what stays'
expect_equal "$(jq -r 'select(.section == "move") | .direction, .files' "$TEST_TMP/plan" | sort | uniq -c | xargs)" \
	'248 400 248 abroad' 'what moves by each rule'
expect_equal "$(jq -r 'select(.section == "largest") | .bytes' "$TEST_TMP/plan" | xargs)" \
	'100 100 100 100 100 100 100 100 100 100' 'the largest'

step 'an asker that goes'
timeout 0.2 "$BORDERFS" rules plan -c "$new" --json >"$TEST_TMP/plan" && fail 'it was not interrupted'
busy() {
	awk '{ print $14 + $15 }' "/proc/$daemon_pid/stat"
}
sleep 0.3
before=$(busy)
sleep 1
[ $(($(busy) - before)) -le 5 ] || fail 'the daemon goes on for nobody'
bfs_umount
