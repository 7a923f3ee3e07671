#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=1800 torture long
# A PostgreSQL cluster in the mount, under pgbench, while it is being uploaded: the server is killed at random moments, and
# so is the daemon. Each time the server recovers, no transaction that pgbench was told of is missing, and tables,
# indexes and page checksums are whole.
. "${0%/*}/lib.sh"

bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
data=$mnt/public/data
log=$TEST_TMP/postgresql.log
clients=4
rounds=$((2 * ${TEST_SCALE:-1}))
server=
export PGHOST=$TEST_TMP PGDATABASE=postgres PGUSER=tester
RANDOM=${KILL_SEED:-$$}
step "seed ${KILL_SEED:-$$}"

# The server does not run as root: root's is that of the user its package brings.
as_server() {
	if [ "$(id -u)" = 0 ]; then
		exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
	else
		exec "$@"
	fi
}

mount_for_all() {
	local options=()
	[ "$(id -u)" != 0 ] || options=(-o allow_other)
	bfs_mount "${options[@]}"
}

cluster_make() {
	mkdir -p "$data"
	chmod a+x "$TEST_TMP" "${TEST_TMP%/*}" # the runner's own
	if [ "$(id -u)" = 0 ]; then
		chgrp postgres "$TEST_TMP"
		chmod g+w "$TEST_TMP"
		chown postgres:postgres "$data"
	fi
	(as_server "$bin/initdb" -D "$data" -U tester -A trust -k -E UTF8 --locale=C) >"$log" 2>&1
	cat >>"$data/postgresql.conf" <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$TEST_TMP'
		max_wal_size = 64MB
		min_wal_size = 32MB
		checkpoint_timeout = 30s
		autovacuum_naptime = 1s
	CONF
}

server_start() {
	(cd / && as_server "$bin/postgres" -D "$data") >>"$log" 2>&1 &
	server=$!
	tool_pid[server]=$server
	within 60 answers_or_gone
	kill -0 "$server" || fail "the server ended: $(tail -n 5 "$log")"
}

answers_or_gone() {
	"$bin/pg_isready" -q || ! kill -0 "$server"
}

# processes_gone PID...: the server, and its children, which end when they see that it has: all before there is a new one.
processes_gone() {
	wait "$1" 2>/dev/null || true
	within 60 all_gone "$@"
}

all_gone() {
	! kill -0 "$@"
}

server_stop() {
	kill -INT "$server"
	wait "$server"
}

ask() {
	"$bin/psql" -XAtqc "$1"
}

# bench SECONDS: transactions that were answered are lines of its logs.
bench() {
	(cd "$TEST_TMP/bench" && exec "$bin/pgbench" -n -c "$clients" -j 2 -T "$1" -l) >>"$TEST_TMP/bench.log" 2>&1
}

answered() {
	cat "$TEST_TMP"/bench/pgbench_log.* 2>/dev/null | grep -vc failed || true
}

# killed_under_load server|daemon
killed_under_load() {
	local pid processes
	rm -rf "$TEST_TMP/bench"
	mkdir "$TEST_TMP/bench"
	before=$(ask 'SELECT count(*) FROM pgbench_history')
	bench 60 || exit 1 &
	pid=$!
	sleep "$((RANDOM % 4 + 1)).$((RANDOM % 10))"
	read -ra processes < <({ echo "$server" && pgrep -P "$server"; } | xargs)
	if [ "$1" = server ]; then
		kill -KILL "$server"
	else
		bfs_kill
		# one that panics for the loss of its files lets go of no lock, which others would wait for
		kill -KILL "${processes[@]}" 2>/dev/null || true
	fi
	processes_gone "${processes[@]}"
	! wait "$pid" || fail 'pgbench ended well'
	[ "$1" = server ] || mount_for_all
}

check_cluster() {
	local there told
	there=$(($(ask 'SELECT count(*) FROM pgbench_history') - before)) told=$(answered)
	step "after the kill of the $1: $told transactions answered, $there there"
	{ [ "$there" -ge "$told" ] && [ "$there" -le $((told + clients)) ]; } || fail 'not what was answered'
	expect_equal "$(ask 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = sum(delta)
		AND (SELECT sum(tbalance) FROM pgbench_tellers) = sum(delta)
		AND (SELECT sum(bbalance) FROM pgbench_branches) = sum(delta) FROM pgbench_history')" t 'the sums are one'
	"$bin/pg_amcheck" --heapallindexed --parent-check -d postgres
}

config_directories <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init
mount_for_all
step 'a cluster'
cluster_make
server_start
ask 'CREATE EXTENSION amcheck'
"$bin/pgbench" -q -i -s "$((2 + rounds / 2))" 2>>"$log"
for ((round = 1; round <= rounds; round++)); do
	for victim in server daemon; do
		killed_under_load "$victim"
		server_start
		check_cluster "$victim"
	done
done

step 'from the backend alone'
server_stop
bfs sync --timeout 300 2>/dev/null
bfs_umount
rm -rf "$store/cache"
mount_for_all
(as_server "$bin/pg_checksums" --check -D "$data") | tee "$TEST_TMP/checksums"
grep -q '^Bad checksums: *0$' "$TEST_TMP/checksums"
server_start
"$bin/pg_amcheck" --heapallindexed --parent-check -d postgres
server_stop
bfs_umount
