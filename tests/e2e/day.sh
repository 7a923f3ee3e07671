#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=4800 torture long
# A day in the life, compressed: of 30 minutes in `make torture` (DAY_SECONDS). Editors, rsync, git and a mover of files work in
# a mount whose two clouds are killed, slowed, restarted, frozen and filled at random (DAY_SEED). What a file must hold is in a
# shadow on this machine's disk: no read may differ from it, and what fails may do so only in an error of networks or of room.
# At the end all is stored where the rules say, both buckets are as `where` says, everything comes back from them alone, and the
# daemon has not grown.
. "${0%/*}/lib.sh"

seconds=${DAY_SECONDS:-$((180 * ${TEST_SCALE:-1}))}
seed=${DAY_SEED:-$$}
patience=240 # seconds within which everything is done in the end: a fault, what the breaker waits after it, and a queue
shadow=$TEST_TMP/shadow
pool=$TEST_TMP/pool # random bytes that contents are cut from
pool_bytes=32000000
ended=$TEST_TMP/ended # the work is to end
settle=1s cache=96M backend_keys='connect-timeout=2s timeout=5s'

# ---- what the workers do, each in its own directories of the same path below the mount and below the shadow

# random MAX: 0 to MAX - 1, in $random; no subshell, which would draw the same again.
random() {
	random=$(((RANDOM << 15 | RANDOM) % $1))
}

# content: most are small; in the file $content.
content() {
	local bytes
	random 12
	bytes=$((random ? 60000 : 6000000))
	random $bytes
	bytes=$random
	random $((pool_bytes - bytes))
	dd if="$pool" of="$content" bs=1M iflag=skip_bytes,count_bytes skip="$random" count="$bytes" status=none
}

# A cloud that is away may fail what needs it; nothing else may fail, and nothing in another way.
excusable() {
	case $1 in
	*'No route to host'* | *'Connection timed out'* | *'Remote I/O error'* | *'No space left'*) ;;
	*) return 1 ;;
	esac
}

# on_mount COMMAND...: below the mount, again and again until it is done.
on_mount() {
	local end=$((SECONDS + patience)) said status
	while :; do
		status=0
		said=$(cd "$mnt" && timeout "$patience" "$@" 2>&1) || status=$?
		[ $status != 0 ] || return 0
		excusable "$said" || fail "$worker: status $status from: $*: $said"
		((SECONDS < end)) || fail "$worker: stuck for $patience s: $*: $said"
		sleep 0.5
	done
}

# both COMMAND...: that, and the same in the shadow.
both() {
	on_mount "$@"
	(cd "$shadow" && "$@")
}

# look FILE: without the kernel's cache; an excusable error is none.
look() {
	local said status=0
	dd if="$mnt/$1" iflag=nocache count=0 status=none
	said=$(timeout "$patience" cmp "$mnt/$1" "$shadow/$1" 2>&1) || status=$?
	[ $status = 0 ] || { [ $status = 2 ] && excusable "$said"; } || fail "$worker: WRONG: status $status from cmp of $1: $said"
}

# any_file DIR...: one of those below, in $file; 1 where there is none.
any_file() {
	local files
	mapfile -t files < <(cd "$shadow" && find "$@" -type f | sort)
	[ ${#files[@]} -gt 0 ] || return
	random ${#files[@]}
	file=${files[random]}
}

# overwrite FILE AT
overwrite() {
	both dd if="$content" of="$1" bs=64k oflag=seek_bytes seek="$2" conv=notrunc status=none
}

# save FILE: as programs do it.
save() {
	local size=0
	[ ! -e "$shadow/$1" ] || size=$(stat -c %s "$shadow/$1")
	content
	random 7
	case $random in
	0) both cp "$content" "$1.new" && both mv "$1.new" "$1" ;;
	1) both cp "$content" "$1" ;;
	2) overwrite "$1" "$size" ;;
	3) random $((size + 1)) && overwrite "$1" "$random" ;;
	4) [ "$size" = 0 ] || { both cp "$1" "$1~" && both cp "$content" "$1"; } ;;
	5) random $((size + 5000)) && both truncate -s "$random" "$1" ;;
	6) [ "$size" = 0 ] || both sed -i 's/a/A/g' "$1" ;;
	esac
}

work_editor() {
	random 30
	save "$1/editor/file-$random"
	random 5
	[ $random != 0 ] || ! any_file "$1/editor" || both rm "$file"
	! any_file "$1/editor" || look "$file"
}

# Files and directories between the zones, tagged and not, deleted.
work_mover() {
	local from=private to=public name
	random 2
	[ $random = 0 ] || from=public to=private
	random 6
	case $random in
	0 | 1) random 40 && save "$from/mover/file-$random" ;;
	2) ! any_file "$from/mover" || both mv "$file" "$to/mover/${file##*/}" ;;
	3) ! any_file private/mover public/mover || on_mount setfattr -n user.xdg.tags -v personal "$file" ;;
	4) ! any_file private/mover public/mover || on_mount setfattr -n user.xdg.tags -v "" "$file" ;;
	5)
		random 4
		name=dir-$random
		if [ -e "$shadow/$from/mover/$name" ]; then
			[ ! -e "$shadow/$to/mover/$name" ] || both rm -r "$to/mover/$name"
			both mv "$from/mover/$name" "$to/mover/"
		elif [ ! -e "$shadow/$to/mover/$name" ]; then
			both mkdir "$from/mover/$name"
			for name in "$from/mover/$name"/{1,2,3}; do
				content
				both cp "$content" "$name"
			done
		fi
		;;
	esac
	! any_file private/mover public/mover || look "$file"
}

# A tree of the shadow that changes a little each time.
work_rsync() {
	local i name how=--inplace tree=$shadow/public/rsync
	for i in 1 2 3 4 5; do
		random 60
		name=$((random % 7))/$random
		content
		mkdir -p "$tree/${name%/*}"
		cp "$content" "$tree/$name"
	done
	any_file public/rsync
	rm "$shadow/$file"
	random 3
	[ $random = 0 ] || how=--delay-updates
	on_mount rsync -a --delete $how "$tree/" public/rsync/
	any_file public/rsync
	look "$file"
	sleep 2
}

# Git maps its packs: where one cannot be fetched it dies of SIGBUS, and leaves its locks.
git_again() {
	local end=$((SECONDS + patience)) said
	until said=$(cd "$mnt" && timeout "$patience" git -c core.fsync=committed -c gc.auto=0 "$@" 2>&1 | tr -d '\0'); do
		((SECONDS < end)) || fail "$worker: git $*: $said"
		find "$mnt/private/git" "$mnt/public/git" -name '*.lock' -delete
		sleep 0.5
	done
}

# A repository of the shadow is pushed into one of the mount, from which a working tree of the mount is filled.
work_git() {
	local name git=(git -C "$shadow/repository" -c user.name=tester -c user.email=tester@example.org -c gc.auto=0)
	random 40
	name=file-$random
	content
	cp "$content" "$shadow/repository/$name"
	"${git[@]}" add -A
	"${git[@]}" commit -q --allow-empty -m "$random"
	git_again -C "$shadow/repository" push -q "$mnt/private/git" HEAD:refs/heads/main
	git_again -C public/git fetch -q origin
	git_again -C public/git reset -q --hard origin/main
	random 8
	[ $random != 0 ] || git_again -C private/git gc -q
	sleep 2
}

git_make() {
	git init -q -b main "$shadow/repository"
	git init -q --bare -b main "$mnt/private/git"
	git init -q -b main "$mnt/public/git"
	git -C "$mnt/public/git" remote add origin "$mnt/private/git"
}

# worker NAME NUMBER COMMAND...: until the end; one that fails ends all.
worker() {
	worker=$1 content=$TEST_TMP/content-$1 RANDOM=$((seed + $2))
	local turns=0
	shift 2
	until [ -e "$ended" ]; do
		"$@"
		turns=$((turns + 1))
	done
	echo "          $worker: $turns turns"
}

# ---- what befalls the clouds

# kinds of fault that begin and end; "domestic" is Ceph, "foreign" is Swift
faults=(refuse reset hang slow cut-down cut-up killed stopped restarted full)

front_signal() {
	local front=gateway
	[ "$2" = domestic ] || front=proxy
	kill "-$1" "$(sed -n "s/^$front \([0-9]*\) .*/\1/p" "$TEST_TMP/$2/pids")"
}

# full CLOUD yes|no
full() {
	local quota=-1 bytes=()
	[ "$2" = no ] || quota=4 bytes=(4)
	if [ "$1" = domestic ]; then
		cloud domestic admin quota set --quota-scope=user --uid=tester --max-size=$quota
		cloud domestic admin quota enable --quota-scope=user --uid=tester
	else
		cloud foreign quota "${bytes[@]}"
	fi
}

fault_begin() {
	case $2 in
	refuse | reset | hang) tool "lag-$1" mode "$2" ;;
	slow) tool "lag-$1" rtt 300 && tool "lag-$1" rate 300000 ;;
	cut-down) tool "lag-$1" cut 30000 ;;
	cut-up) tool "lag-$1" cut-up 30000 ;;
	killed) cloud "$1" down ;;
	stopped) front_signal STOP "$1" ;;
	restarted) cloud "$1" stop ;;
	full) full "$1" yes ;;
	esac
}

fault_end() {
	case $2 in
	refuse | reset | hang) tool "lag-$1" mode ok ;;
	slow) tool "lag-$1" rtt 0 && tool "lag-$1" rate 0 ;;
	cut-down) tool "lag-$1" cut 0 ;;
	cut-up) tool "lag-$1" cut-up 0 ;;
	killed) cloud "$1" up ;;
	stopped) front_signal CONT "$1" ;;
	restarted) cloud "$1" start ;;
	full) full "$1" no ;;
	esac
}

# One fault at a time in each cloud; sometimes in both. The caches are emptied now and then, so that reads need the clouds.
weather() {
	local domestic foreign pause
	random $((${#faults[@]} + 5))
	domestic=${faults[random]-}
	random $((${#faults[@]} + 5))
	foreign=${faults[random]-}
	random 12
	pause=$((random + 2))
	step "for $pause s: ${domestic:-ok} at home, ${foreign:-ok} abroad"
	[ -z "$domestic" ] || fault_begin domestic "$domestic"
	[ -z "$foreign" ] || fault_begin foreign "$foreign"
	bfs cache drop >/dev/null
	sleep $pause
	[ -z "$domestic" ] || fault_end domestic "$domestic"
	[ -z "$foreign" ] || fault_end foreign "$foreign"
	random 10
	sleep $random
}

# ---- what must hold

sample() {
	local fds=("/proc/$daemon_pid/fd/"*) threads=("/proc/$daemon_pid/task/"*)
	echo "$(daemon_memory_kib) ${#fds[@]} ${#threads[@]}" >>"$TEST_TMP/samples"
}

# The most of the last third is no more than that of the second, but for what one measurement differs from the next; and of
# descriptors there are 256 block files, connections and a few.
expect_not_grown() {
	awk '{ for (i = 1; i <= 3; i++) value[NR, i] = $i }
		END {
			for (n = int(NR / 3) + 1; n <= NR; n++)
				for (i = 1; i <= 3; i++) {
					third = n > NR * 2 / 3
					if (value[n, i] > most[third, i])
						most[third, i] = value[n, i]
				}
			printf "resident %d, then %d KiB; %d, then %d descriptors; %d, then %d threads\n",
				most[0, 1], most[1, 1], most[0, 2], most[1, 2], most[0, 3], most[1, 3]
			exit most[1, 1] > most[0, 1] + 16384 || most[1, 2] > 400 || most[1, 3] > most[0, 3] + 8
		}' "$TEST_TMP/samples" || fail 'the daemon has grown'
}

workers_alive() {
	local name
	for name in "${!worker_pid[@]}"; do
		kill -0 "${worker_pid[$name]}" 2>/dev/null || fail "$name has ended"
	done
}

nothing_waits() {
	[ "$(bfs status --json | jq -c '[.waiting.files, .waiting.bytes, .zones[].backends[].deletions_waiting]')" = "[0,0,0,0]" ]
}

buckets_are_as_where_says() {
	[ "$(bucket_list domestic)" = "$(objects_where domestic)" ] && [ "$(bucket_list foreign)" = "$(objects_where foreign)" ]
}

# zones_wanted: a line "ZONE PATH" for each file, by the rules: tags first.
zones_wanted() {
	(
		cd "$mnt"
		find public private -type f -size +0 | sort | while IFS= read -r path; do
			if [[ $path == private/* ]] || [ "$(getfattr --only-values -n user.xdg.tags "$path" 2>/dev/null)" = personal ]; then
				echo "domestic stored $path"
			else
				echo "foreign stored $path"
			fi
		done
	)
}

expect_as_shadow() {
	local dir
	for dir in editor mover rsync; do
		diff -r "$mnt/public/$dir" "$shadow/public/$dir" || fail "$dir differs"
	done
	diff -r "$mnt/private/editor" "$shadow/private/editor"
	diff -r "$mnt/private/mover" "$shadow/private/mover"
	diff -r -x .git "$mnt/public/git" "$shadow/repository"
	git -C "$mnt/private/git" fsck --strict --no-dangling
	git -C "$mnt/public/git" fsck --strict --no-dangling
	expect_equal "$(git -C "$mnt/private/git" rev-parse main)" "$(git -C "$shadow/repository" rev-parse HEAD)" 'the commit'
}

# ----

step "$seconds s, seed $seed"
head -c $pool_bytes /dev/urandom >"$pool"
clouds_start domestic=ceph foreign=native -- --keep
for name in domestic foreign; do
	tool_start "lag-$name" lagproxy 0 "$(cloud_env $name PORT)"
	cloud_port[$name]=${tool_port[lag-$name]}
done
export=allow config_write <<-INI
	[rule personal-stays]
	tag = personal
	zone = domestic
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init
bfs_mount
mkdir -p {"$mnt","$shadow"}/{public,private}/{editor,mover} {"$mnt","$shadow"}/public/rsync
git_make

declare -A worker_pid=()
RANDOM=$seed
number=0
for name in 'editor-home work_editor private' 'editor-abroad work_editor public' 'mover work_mover' 'rsync work_rsync' 'git work_git'; do
	number=$((number + 1))
	# shellcheck disable=SC2086
	worker ${name%% *} $number ${name#* } &
	worker_pid[${name%% *}]=$!
done
end=$((SECONDS + seconds))
while ((SECONDS < end)); do
	weather
	workers_alive
	sample
done
touch "$ended"
for name in "${!worker_pid[@]}"; do
	wait "${worker_pid[$name]}" || fail "$name failed"
done
expect_not_grown

step 'fair weather: everything gets where it belongs'
bfs sync --timeout $patience 2>/dev/null || fail "not all is stored: $(bfs status)"
within $patience nothing_waits
zones_wanted >"$TEST_TMP/zones-wanted"
bfs where -r --json "$mnt" | jq -r --arg mnt "$mnt/" 'select(.size > 0) | "\(.zone) \(.state) \(.path | ltrimstr($mnt))"' |
	sort -k3 >"$TEST_TMP/zones"
sort -k3 "$TEST_TMP/zones-wanted" >"$TEST_TMP/zones-sorted"
expect_same "$TEST_TMP/zones" "$TEST_TMP/zones-sorted"
within 120 buckets_are_as_where_says

step 'and comes back from the clouds alone'
bfs_umount
rm -rf "$store/cache"
bfs_mount
expect_as_shadow
bfs_umount
! grep -i 'authentic\|not consistent\|must exist' "$daemon_log" || fail 'the log speaks of damage'
