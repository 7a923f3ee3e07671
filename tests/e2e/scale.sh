#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=1800 alone torture
# A directory of 20,000 files, in `make torture` of a million. With it the store mounts in a second, the daemon's memory stays
# below its bound, and names are made and looked up for what they cost in an empty store; and it is listed, walked from where
# one was while others come and go, and removed.
. "${0%/*}/lib.sh"

# beside other work times say less
files=20000 mount_max_ms=5000 slower_max=100
[ "${TEST_SCALE:-1}" = 1 ] || files=1000000 mount_max_ms=1000 slower_max=25
memory_max_kib=$((200 * 1024))
probe=3000

# make_files DIR COUNT: of ten seven are empty, two have 100 bytes, one is sparse.
make_files() {
	python3 - "$1" "$2" <<-'PY'
		import os, sys
		top, count = sys.argv[1], int(sys.argv[2])
		os.mkdir(top)
		for i in range(count):
		    fd = os.open(f'{top}/e{i:07d}', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
		    if i % 10 in (3, 6):
		        os.write(fd, b'%100d' % i)
		    elif i % 10 == 9:
		        os.ftruncate(fd, 1 << 20)
		    os.close(fd)
	PY
}

# cost DIR: microseconds of the daemon's processor time for a create with its part of a commit, and for a lookup that only
# it can answer; the least of five.
cost() {
	python3 - "$1" "$probe" "$daemon_pid" <<-'PY'
		import os, sys, time
		top, count, pid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		clock = ((~pid) << 3) | 2  # clock_getcpuclockid(3)
		def spent(work):
		    start = time.clock_gettime(clock)
		    for i in range(count):
		        work(i)
		    return (time.clock_gettime(clock) - start) * 1e6 / count
		def make(i):
		    os.close(os.open(f'{dir}/f{i}', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
		    if i == count - 1:
		        os.fsync(top_fd)
		def miss(i):
		    try:
		        os.stat(f'{dir}/none{i}')
		    except FileNotFoundError:
		        return
		    sys.exit('a name that is not there was found')
		os.mkdir(top)
		top_fd = os.open(top, os.O_RDONLY)
		creates, lookups = [], []
		for turn in range(5):
		    dir = f'{top}/{turn}'
		    os.mkdir(dir)
		    os.fsync(top_fd)
		    creates.append(spent(make))
		    lookups.append(spent(miss))
		print(round(min(creates)), round(min(lookups)))
	PY
}

# not_slower WHAT BEFORE AFTER: by no more than slower_max percent, and what differs from one time to the next.
not_slower() {
	echo "$1: $2 us in an empty store, $3 us with $files files"
	[ "$3" -le $(($2 * (100 + slower_max) / 100 + 4)) ] || fail "$1 is slower by more than $slower_max percent"
}

remount() {
	bfs_umount
	takes bfs_mount
	daemon_memory_reset
	echo "mounted in $took_ms ms"
}

show_memory() {
	echo "resident: $(daemon_memory_kib) KiB now, $(daemon_memory_peak_kib) KiB at most"
	[ "$(daemon_memory_peak_kib)" -le $memory_max_kib ] || fail "the daemon had more than $memory_max_kib KiB"
}

# Every name is seen once, also by who leaves and comes back to where he was while others come and go.
walk() {
	python3 - "$1" "$2" <<-'PY'
		import ctypes, os, sys
		top, count = sys.argv[1], int(sys.argv[2])
		libc = ctypes.CDLL(None, use_errno=True)
		class Entry(ctypes.Structure):
		    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('len', ctypes.c_uint16),
		        ('type', ctypes.c_uint8), ('name', ctypes.c_char * 256)]
		libc.opendir.restype = ctypes.c_void_p
		libc.readdir64.restype = ctypes.POINTER(Entry)
		libc.telldir.restype = ctypes.c_long
		libc.readdir64.argtypes = libc.telldir.argtypes = [ctypes.c_void_p]
		libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
		dir = libc.opendir(top.encode())
		names, n = set(), 0
		while True:
		    here = libc.telldir(dir)
		    entry = libc.readdir64(dir)
		    if not entry:
		        break
		    name = entry.contents.name
		    if n % (count // 50) == 7:
		        open(f'{top}/new{n}', 'x').close()
		        os.unlink(f'{top}/new{n}')
		        for _ in range(300):
		            libc.readdir64(dir)
		        libc.seekdir(dir, here)
		        again = libc.readdir64(dir).contents.name
		        assert again == name, (again, name)
		    assert name not in names, name
		    names.add(name)
		    n += 1
		missing = sum(f'e{i:07d}'.encode() not in names for i in range(count))
		assert missing == 0, missing
	PY
}

(umask 077 && echo 'correct horse battery staple' >"$passphrase")
mkdir "$TEST_TMP/disk"
settle=1d filesystem_keys='max-delay = 1d' # nothing is uploaded meanwhile
{
	ini_filesystem
	ini_zone domestic domestic domestic
	printf '[backend domestic]\ntype = local\npath = %s\n' "$TEST_TMP/disk"
} >"$ini"
bfs_init
bfs_mount
before=$(cost "$mnt/before")

step "$files files in one directory"
takes make_files "$mnt/many" "$files"
echo "made in $((took_ms / 1000)) s, $((files * 1000 / took_ms)) a second"
show_memory
remount
[ "$took_ms" -le "$mount_max_ms" ] || fail "the mount took $took_ms ms"

step 'every name'
takes ls -f "$mnt/many" >"$TEST_TMP/list"
echo "ls -f: $took_ms ms"
expect_equal "$(wc -l <"$TEST_TMP/list")" $((files + 2)) 'names listed'
takes walk "$mnt/many" "$files"
echo "walked with telldir and seekdir in $took_ms ms"

step 'every name and its attributes'
remount
takes find "$mnt/many" -type f -size +0 -printf . >"$TEST_TMP/dots"
echo "find -size: $took_ms ms"
expect_equal "$(stat -c %s "$TEST_TMP/dots")" $((files * 3 / 10)) 'files that are not empty'
show_memory
after=$(cost "$mnt/after")
not_slower create "${before% *}" "${after% *}"
not_slower lookup "${before#* }" "${after#* }"

step 'and they go'
takes rm -r "$mnt/many"
echo "rm -r: $took_ms ms"
show_memory
remount
[ ! -e "$mnt/many" ] || fail 'what was removed is back'
bfs_umount
