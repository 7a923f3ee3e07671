#!/bin/bash
# test: timeout=400
# SPDX-License-Identifier: GPL-3.0-or-later
# The daemon is killed twenty times, at random moments, while four writers change files and sync each change, some at home (a
# directory), some abroad (an S3 cloud); a few times again while it recovers. Each time a mount on the dead mount point works, and
# what had been synced is there. At the end the uploads complete, no object is left that `where` does not know, and all comes back
# from the backends alone.
. "${0%/*}/../e2e/lib.sh"

home=$TEST_TMP/home-objects
writers='private/a private/b public/c public/d'
rounds=${KILL_ROUNDS:-20}
RANDOM=${KILL_SEED:-$$}
step "seed ${KILL_SEED:-$$}"

scribe() {
	"$BUILD/tests/e2e/scribe" "$@"
}

shadow_of() {
	echo "$TEST_TMP/shadow-${1//\//-}"
}

# pause MILLISECONDS
pause() {
	sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
}

write_for() {
	local w pids=() pid
	for w in $writers; do
		scribe write "$mnt/$w" "$(shadow_of "$w")" "$RANDOM$RANDOM" &
		pids+=($!)
	done
	pause "$1"
	bfs_kill
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "a writer ended otherwise than by the crash"
	done
}

# Killed again while it opens the store.
kill_in_recovery() {
	"$BORDERFS" mount -c "$ini" -f "$mnt" >>"$daemon_log" 2>&1 </dev/null &
	daemon_pid=$!
	pause $((RANDOM % 400))
	bfs_kill
}

verify_all() {
	local w bad=
	for w in $writers; do
		scribe verify "$mnt/$w" "$(shadow_of "$w")" || bad="$bad $w"
	done
	[ -z "$bad" ] || fail "not what had been synced:$bad"
}

# where_answers: quickly, and for a file that was being written.
where_answers() {
	local lines
	lines=$(timeout 10 "$BORDERFS" where -c "$ini" --json --recursive "$mnt") || fail "where does not answer"
	jq -e '.zone and .state' <<<"$lines" >/dev/null || fail "where answers: $lines"
	timeout 10 "$BORDERFS" status -c "$ini" --json >/dev/null || fail "status does not answer"
}

# nothing_waits: the count of deletions is that of the last commit.
nothing_waits() {
	[ "$(bfs status --json | jq -c '[.waiting.files, .waiting.bytes, .zones[].backends[].deletions_waiting]')" = "[0,0,0,0]" ]
}

(umask 077 && echo 'correct horse battery staple' >"$passphrase")
mkdir -m 700 "$home"
clouds_start foreign=ceph -- --access FOREIGNKEY --secret foreignsecret
{
	filesystem_keys='max-delay = 1s' ini_filesystem
	ini_zone domestic domestic nas
	ini_zone foreign foreign foreign
	printf '[backend nas]\ntype = local\npath = %s\n' "$home"
	ini_backend foreign
	printf '[rule public-goes-out]\npath = /public/**\nzone = foreign\n'
} >"$ini"
bfs_init
bfs_mount
mkdir -p "$mnt"/{private/{a,b},public/{c,d}}
for w in $writers; do
	sync "$mnt/$w"
done
for ((round = 1; round <= rounds; round++)); do
	ms=$((RANDOM % 2500 + 100))
	step "round $round: killed after $ms ms"
	write_for "$ms"
	((round % 4)) || kill_in_recovery
	bfs_mount
	where_answers
	verify_all
done

step "everything reaches its backends"
bfs sync --timeout 120 2>/dev/null
expect_equal "$(bfs where --json --recursive "$mnt" | jq -r 'select(.size > 0) | .state + " " + .zone + " " + (.path | split("/")[-3])' |
	sort -u)" "$(printf 'stored domestic private\nstored foreign public')" "where the files are"
within 5 nothing_waits

step "no object is there that nobody knows, and none is missing"
objects_where domestic >"$TEST_TMP/wanted"
(cd "$home" && find . -type f -printf '%P\n' | sort) >"$TEST_TMP/listed"
expect_same "$TEST_TMP/listed" "$TEST_TMP/wanted"
objects_where foreign >"$TEST_TMP/wanted"
bucket_list foreign >"$TEST_TMP/listed"
expect_same "$TEST_TMP/listed" "$TEST_TMP/wanted"
[ -s "$TEST_TMP/wanted" ] || fail "nothing is abroad"

step "all comes back from the backends"
bfs cache drop >/dev/null
verify_all
bfs_umount
rm -rf "$store/cache"
bfs_mount
verify_all
bfs_umount
