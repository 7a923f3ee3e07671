#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=600 torture
# SQLite in the mount, in each journal mode, while it is being uploaded: two writers are killed in the middle of their
# transactions, and then the daemon is. Each time the database is whole, and every transaction whose COMMIT returned is in it.
. "${0%/*}/lib.sh"

db=$mnt/public/ledger.db
probe=$mnt/public/probe
accounts=64
rounds=$((2 * ${TEST_SCALE:-1}))
RANDOM=${KILL_SEED:-$$}
step "seed ${KILL_SEED:-$$}"

# sql: what every program begins with. With synchronous = extra COMMIT returns when it is on disk; full leaves out the
# directory in which the journal was unlinked.
sql() {
	printf '%s\n' '.timeout 30000' '.output /dev/null' "pragma journal_mode = $journal;" '.output stdout' \
		'pragma synchronous = extra;'
}

# transactions WRITER: a transfer, an entry and some pages used and freed, in each; after it the number of the entry, if the
# daemon is there still: a COMMIT that cannot open the directory of the journal it has unlinked says that all is well.
transactions() {
	sql
	awk -v writer="$1" -v seed="$RANDOM" -v accounts="$accounts" -v probe="$probe" 'BEGIN {
		srand(seed)
		entry = "FROM entry WHERE writer = " writer ";"
		for (;;) {
			amount = int(rand() * 1000)
			print "BEGIN IMMEDIATE;"
			print "INSERT INTO entry SELECT " writer ", coalesce(max(seq), 0) + 1, randomblob(" int(rand() * 300) ") " entry
			print "UPDATE account SET balance = balance - " amount " WHERE id = " int(rand() * accounts) ";"
			print "UPDATE account SET balance = balance + " amount " WHERE id = " int(rand() * accounts) ";"
			print "INSERT INTO scratch(data) VALUES(randomblob(" int(rand() * 20000) "));"
			print "DELETE FROM scratch WHERE id % 7 = " int(rand() * 7) " AND id < (SELECT max(id) FROM scratch) - 20;"
			print "COMMIT;"
			print "SELECT seq FROM entry WHERE writer = " writer " AND readfile(\047" probe "\047) IS NOT NULL ORDER BY seq DESC LIMIT 1;"
		}
	}'
}

# ask SQL: a second opinion, of a program that writes nothing.
ask() {
	{ sql && echo "$1"; } | sqlite3 -bail "$db"
}

make_database() {
	rm -f "$db"*
	{
		sql
		echo 'CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);'
		echo 'CREATE TABLE entry(writer INTEGER, seq INTEGER, payload BLOB, PRIMARY KEY(writer, seq)) WITHOUT ROWID;'
		echo 'CREATE TABLE scratch(id INTEGER PRIMARY KEY, data BLOB);'
		printf 'INSERT INTO account VALUES(%d, 0);\n' $(seq 0 $((accounts - 1)))
	} | sqlite3 -bail "$db"
	for writer in 1 2; do
		echo 0 >"$TEST_TMP/acks.$writer"
	done
}

# write_until_killed program|daemon: for a moment.
write_until_killed() {
	local writer pids=() pid status
	for writer in 1 2; do
		stdbuf -oL sqlite3 -bail "$db" < <(transactions "$writer" 2>/dev/null) \
			>>"$TEST_TMP/acks.$writer" 2>>"$TEST_TMP/errors" &
		pids+=($!)
	done
	sleep "$((RANDOM % 2)).$((RANDOM % 700 + 300))"
	if [ "$1" = program ]; then
		kill -KILL "${pids[@]}"
	else
		bfs_kill
	fi
	for pid in "${pids[@]}"; do
		status=0
		wait "$pid" 2>/dev/null || status=$?
		[ "$1" = daemon ] || expect_equal "$status" 137 "a writer's status"
		[ "$status" != 0 ] || fail "a writer ended by itself"
	done
	[ "$1" = program ] || bfs_mount
}

# Nothing is lost, and of each writer's transactions at most the last is there without having been answered.
check_database() {
	local writer last acked
	expect_equal "$(ask 'pragma integrity_check;')" ok "integrity_check after $1"
	expect_equal "$(ask 'SELECT sum(balance), count(*) FROM account;')" "0|$accounts" "the accounts after $1"
	for writer in 1 2; do
		acked=$(tail -n 1 "$TEST_TMP/acks.$writer")
		last=$(ask "SELECT coalesce(max(seq), 0) FROM entry WHERE writer = $writer;")
		expect_equal "$(ask "SELECT count(*) FROM entry WHERE writer = $writer;")" "$last" "writer $writer's entries after $1"
		[ "$last" = "$acked" ] || [ "$last" = $((acked + 1)) ] ||
			fail "after $1: writer $writer was told of $acked transactions, and $last are there"
		echo "$last" >>"$TEST_TMP/acks.$writer"
	done
}

settle=100ms config_directories <<-INI
	[rule public-goes-out]
	path = /public/**
	zone = foreign
INI
bfs_init
bfs_mount
mkdir "$mnt/public"
echo here >"$probe"
for journal in delete truncate persist wal; do
	make_database
	for ((round = 1; round <= rounds; round++)); do
		for victim in program daemon; do
			write_until_killed "$victim"
			check_database "the kill of the $victim"
		done
	done
	expect_equal "$(ask 'pragma journal_mode;')" "$journal" 'the journal mode'
	count=$(ask 'SELECT count(*) FROM entry;')
	step "$journal: $count transactions"
	[ "$count" -ge 50 ] || fail 'too few to tell'
done

step 'from the backend alone'
bfs sync --timeout 60 2>/dev/null
bfs_umount
rm -rf "$store/cache"
bfs_mount
check_database 'the loss of the cache'
bfs_umount
