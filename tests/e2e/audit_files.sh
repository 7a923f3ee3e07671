#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=120
# An audit log so long that its oldest lines are in sealed files: it is one log for whoever asks, before and after
# kill -9, and says what of it is missing.
. "${0%/*}/lib.sh"

settle=20ms
config_directories </dev/null
sed -i 's/^settle/audit-lines = 1000\nsettle/' "$ini"
bfs_init >/dev/null
bfs_mount

# fill N: so many files, each with a line about its placement and more
made=0
fill() {
	for ((i = 0; i < $1; i++)); do
		: >"$mnt/f$made"
		made=$((made + 1))
	done
	bfs sync
}

# oldest: the first 400 lines, as a hash
oldest() {
	bfs audit show --json >"$TEST_TMP/shown"
	head -n 400 "$TEST_TMP/shown" | sha256sum
}

# all_lines: how many there are, each once and in order
all_lines() {
	bfs audit show --json | jq -r .seq >"$TEST_TMP/numbers"
	seq "$(wc -l <"$TEST_TMP/numbers")" | cmp - "$TEST_TMP/numbers" || fail "lines are missing or twice"
	wc -l <"$TEST_TMP/numbers"
}

has_files() {
	[ "$(find "$store/audit" -type f -name '0*' 2>/dev/null | wc -l)" -ge "$1" ]
}

step "lines go to a file and are read as before"
fill 1100
first=$(oldest)
within 20 has_files 1
[ "$(all_lines)" -gt 1100 ] || fail "$(all_lines) lines"
expect_equal "$(oldest)" "$first" "the lines that are in a file"
expect_equal "$(stat -c %a "$store/audit")" 700 "the directory's mode"
expect_equal "$(stat -c %a "$store/audit/00000001")" 600 "the file's mode"
grep -q placement "$store/audit/00000001" && fail "a sealed file is not sealed"
expect_status 0 bfs audit verify
expect_equal "$(bfs audit show --json "$mnt/f3" | jq -r .kind | head -n 1)" placement "of a file whose line is in a file"

step "killed while lines come and go"
for round in 1 2 3; do
	fill 400 &
	sleep 0.$((RANDOM % 8 + 1))
	bfs_kill
	wait $! 2>/dev/null || true
	made=$((made + 1000))
	bfs audit verify >/dev/null
	bfs_mount
	all_lines >/dev/null
done
fill 600
within 20 has_files 2
bfs audit verify >/dev/null
bfs report >"$TEST_TMP/report"
grep -q '^  audit log up to .* none removed, moved or edited' "$TEST_TMP/report" || fail "$(cat "$TEST_TMP/report")"
bfs_umount
[ ! -e "$store/audit/new" ] || fail "an unfinished file is left"
count=$(all_lines)

step "a file is missing"
mv "$store/audit/00000001" "$TEST_TMP/kept"
expect_status 1 bfs audit verify
expect_says "sealed file 00000001 is missing" "lines 1 to 500 are missing: the log goes on behind them"
bfs audit show --json >"$TEST_TMP/rest" && fail "show does not say that lines are missing"
expect_equal "$(jq -r .seq "$TEST_TMP/rest" | head -n 1)" 501 "the first line that is left"
bfs_mount
expect_status 1 bfs audit verify
expect_equal "$(bfs report --json | jq -r 'select(.name == "audit log") | .text')" \
	'it is not as it was written (findings: 2): see `borderfs audit verify`' "what the report says of it"
bfs_umount

step "a file is not as it was written"
cp "$TEST_TMP/kept" "$store/audit/00000001"
expect_status 0 bfs audit verify
printf x | dd of="$store/audit/00000001" bs=1 seek=200 conv=notrunc status=none
expect_status 1 bfs audit verify
expect_says "sealed file 00000001 is not as it was written" "lines 1 to 256 are missing"
mv "$TEST_TMP/kept" "$store/audit/00000001"
[ "$(all_lines)" -ge "$count" ] || fail "lines got lost"
