#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=600 torture
# fio's random writes and reads in the mount, each block verified by its checksum: through the page cache, past it, by
# mmap; then once more by the next daemon, and from the backend alone.
. "${0%/*}/lib.sh"

dir=$mnt/public
mib=$((16 * ${TEST_SCALE:-1}))
seed=${FIO_SEED:-$$}
step "seed $seed"

# job NAME OPTION...: a section of the job file.
job() {
	printf '[%s]\n' "$1"
	printf '%s\n' "${@:2}"
}

# Each way in with blocks of its own size, some below a page, on a file of its own; all at once.
jobs_write() {
	cat <<-INI
		[global]
		directory=$dir
		rw=randrw
		rwmixread=30
		bs=4k
		size=${mib}m
		verify=crc32c
		verify_fatal=1
		randseed=$seed
		fallocate=none
	INI
	job buffered ioengine=psync bs=1k
	job buffered-synced ioengine=psync fsync=64 bs=16k
	job direct ioengine=libaio direct=1 iodepth=8 bs=4k
	job direct-large ioengine=libaio direct=1 iodepth=4 bs=256k
	job mapped ioengine=mmap bs=4k
	job mapped-synced ioengine=mmap fsync=64 bs=32k
}

# verified OPTION...: a run that finds each block as it was written.
verified() {
	fio --minimal --verify_state_save=0 "$@" "$TEST_TMP/jobs.fio" >"$TEST_TMP/fio.log" 2>&1 || {
		grep -v '^[0-9];' "$TEST_TMP/fio.log" | head -n 20
		fail "fio $*"
	}
}

config_directories <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init
bfs_mount
mkdir "$dir"
jobs_write >"$TEST_TMP/jobs.fio"

step 'written and verified'
verified
sha256sum "$dir"/* >"$TEST_TMP/sums"

step 'by the next daemon'
bfs_umount
bfs_mount
sha256sum --quiet -c "$TEST_TMP/sums"
verified --verify_only=1

step 'from the backend alone'
bfs sync --timeout 100 2>/dev/null
bfs_umount
rm -rf "$store/cache"
bfs_mount
sha256sum --quiet -c "$TEST_TMP/sums"
verified --verify_only=1
bfs_umount
