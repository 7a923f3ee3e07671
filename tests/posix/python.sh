#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=1800 torture long
# CPython's own tests of files on a mount, as root and as a plain user; what fails must fail on the disk beside it too.
. "${0%/*}/lib.sh"

[ "$(id -u)" = 0 ] || { echo "needs root, to be two users"; exit 77; }
user=nobody
modules=(test_bufio test_dbm_dumb test_fcntl test_file test_filecmp test_fileinput test_fileio test_genericpath test_glob
	test_import test_io test_largefile test_mailbox test_mmap test_os test_pathlib test_posix test_posixpath test_shelve
	test_shutil test_sqlite3 test_stat test_tempfile test_unicode_file test_unicode_file_functions test_zipfile test_zipimport)
top=$TEST_TMP/root

# python_tests DIR MODULE...: each that fails, one a line; what they say is in DIR.log.
python_tests() {
	local dir=$1
	shift
	(
		cd "$dir"
		"${as[@]}" env HOME="$dir" TMPDIR="$dir" /usr/bin/python3 -m test --tempdir "$dir" --timeout 300 -v "$@"
	) >"$TEST_TMP/${dir##*/}.log" 2>&1 </dev/null || true
	grep -q '^== Tests result: ' "$TEST_TMP/${dir##*/}.log" || fail "no result: $(tail -n 5 "$TEST_TMP/${dir##*/}.log")"
	sed -nE 's/^(ERROR|FAIL): (.*)/\1 \2/p' "$TEST_TMP/${dir##*/}.log" | sort -u
}

posix_config
bfs_init
bfs_mount -o allow_other,dev,suid
chmod a+x "$TEST_TMP" "${TEST_TMP%/*}" "$top"
for who in root "$user"; do
	step "as $who"
	as=()
	[ "$who" = root ] || as=(setpriv --reuid="$who" --regid="$(id -g "$who")" --clear-groups)
	mkdir "$mnt/$who" "$TEST_TMP/beside-$who"
	chown "$who" "$mnt/$who" "$TEST_TMP/beside-$who"
	python_tests "$mnt/$who" "${modules[@]}" >"$TEST_TMP/failed"
	grep -m 1 '^== Tests result: ' "$TEST_TMP/$who.log"
	[ -s "$TEST_TMP/failed" ] || continue
	python_tests "$TEST_TMP/beside-$who" "${modules[@]}" >"$TEST_TMP/expected"
	expect_equal "$(comm -23 "$TEST_TMP/failed" "$TEST_TMP/expected")" "" "what fails here only, as $who"
done
bfs_umount
