# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tests/e2e/lib.sh: for tests of the whole program over real clouds. A test begins
#
#	#!/bin/bash
#	# test: timeout=300
#	. "${0%/*}/lib.sh"
#	clouds_start				# "domestic" is Ceph, "foreign" is Swift, each with credentials of its own
#	config_write <<-INI			# the two zones over them, and these rules
#		[rule public-goes-out]
#		path = /public/**
#		zone = foreign
#	INI
#	bfs_init
#	bfs_mount
#
# and then writes to $mnt. Any command that fails ends it, with its line. tests/run gives each test $TEST_TMP, and
# clears up after it; run by hand, a test makes its own and clears up by itself.

set -Eeuo pipefail
TOP=${TOP:-$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")}
BUILD=${BUILD:-$TOP/build}
BORDERFS=${BORDERFS:-$BUILD/borderfs}
if [ -z "${TEST_TMP-}" ]; then
	TEST_TMP=$(mktemp -d "${TMPDIR:-/tmp}/borderfs-test.XXXXXX")
	own_tmp=yes
fi
export TOP BUILD BORDERFS TEST_TMP
ini=$TEST_TMP/borderfs.ini
store=$TEST_TMP/store
mnt=$TEST_TMP/mnt
passphrase=$TEST_TMP/passphrase
daemon_log=$TEST_TMP/daemon.log
daemon_pid=
declare -A cloud_kind=() cloud_port=() tool_in=() tool_out=() tool_pid=() tool_port=()

# ---- saying what is wrong

trap 'failed_at "$LINENO" "$BASH_COMMAND"' ERR
trap 'clean_up' EXIT
trap 'exit 130' INT TERM HUP

failed_at() {
	echo "${0##*/}:$1: failed: $2" >&2
	show_daemon
}

show_daemon() {
	if [ -s "$daemon_log" ]; then
		echo "-- the daemon's last lines:" >&2
		tail -n 15 "$daemon_log" >&2
	fi
}

fail() {
	local i
	echo "${0##*/}: $*" >&2
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		echo "  in ${FUNCNAME[i]}, line ${BASH_LINENO[i - 1]}" >&2
	done
	show_daemon
	exit 1
}

step() {
	printf '%s  %s\n' "$(date +%T)" "$*"
}

# clean_up_own: what else a test has to undo at its end, whatever that is: for tests to define anew.
clean_up_own() {
	:
}

clean_up() {
	local status=$? name
	trap - ERR
	set +e
	clean_up_own
	for name in "${!tool_pid[@]}"; do
		kill "${tool_pid[$name]}" 2>/dev/null
	done
	if [ "${own_tmp-}" ]; then
		[ -z "$daemon_pid" ] || kill -KILL "$daemon_pid" 2>/dev/null
		while is_mounted; do
			umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt" || break
		done
		for name in "${!cloud_kind[@]}"; do
			cloud "$name" remove
		done
		rm -rf "$TEST_TMP"
	fi
	exit "$status"
}

# ---- expecting

# expect_equal GOT WANTED WHAT
expect_equal() {
	[ "$1" = "$2" ] || fail "$3: got '$1', wanted '$2'"
}

# expect_status N COMMAND...: its exit status; what it said is in $said.
expect_status() {
	local wanted=$1 got=0
	shift
	said=$("$@" 2>&1) || got=$?
	[ "$got" = "$wanted" ] || fail "status $got, wanted $wanted, from: $* - which said: $said"
}

# expect_says TEXT...: what the last expect_status command said holds each.
expect_says() {
	local text
	for text; do
		[[ $said == *"$text"* ]] || fail "'$text' is not in what was said: $said"
	done
}

# expect_same FILE FILE
expect_same() {
	cmp -s "$1" "$2" || fail "$1 and $2 differ: $(diff "$1" "$2" 2>&1 | sed -n 1,20p)"
}

# within SECONDS COMMAND...: until it succeeds, tried every 50 ms; the test fails when the time is over.
within() {
	local limit=$1 end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		((${EPOCHREALTIME/./} < end)) || fail "not within $limit s: $*"
		sleep 0.05
	done
}

# takes COMMAND...: run it; the milliseconds it took are in $took_ms.
takes() {
	local start=${EPOCHREALTIME/./}
	"$@"
	took_ms=$(((${EPOCHREALTIME/./} - start) / 1000))
}

# ---- clouds

# cloud NAME start|stop|kill|down|up|s3cmd|admin [ARGUMENT...]: see tests/servers/s3-ceph.
cloud() {
	local name=$1 command=$2 server
	shift 2
	case ${cloud_kind[$name]} in
	native) server=s3-swift ;;
	sftp) server=sftp-openssh ;;
	webdav) server=webdav-apache ;;
	*) server=s3-${cloud_kind[$name]} ;;
	esac
	"$TOP/tests/servers/$server" "$command" "$TEST_TMP/$name" "$@"
}

# cloud_env NAME KEY: one value of DIR/env.
cloud_env() {
	sed -n "s/^$2=//p" "$TEST_TMP/$1/env"
}

# clouds_start [NAME=KIND...] [-- OPTION...]: all at once. KIND: ceph or swift by S3, native (Swift by its own protocol),
# sftp or webdav. Without names: domestic=ceph foreign=swift.
clouds_start() {
	local pair name pids=() pid names=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		names+=("$1")
		shift
	done
	[ $# -eq 0 ] || shift
	[ ${#names[@]} -gt 0 ] || names=(domestic=ceph foreign=swift)
	for pair in "${names[@]}"; do
		name=${pair%%=*}
		cloud_kind[$name]=${pair#*=}
		cloud "$name" start "$@" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
}

# objects_where ZONE: the names of the objects that `where` knows there, sorted; once for all that share one.
objects_where() {
	bfs where --json --recursive "$mnt" | jq -r --arg zone "$1" \
		'[.object_names, .object_zones] | transpose[] | select(.[1] == $zone)[0]' | sort -u
}

# expect_buckets: what lies in both buckets is what `where` says.
expect_buckets() {
	local zone
	for zone in domestic foreign; do
		expect_equal "$(bucket_list $zone)" "$(objects_where $zone)" "objects in zone $zone"
	done
}

# bucket_list NAME: the keys in its bucket, or the files in its directory but the mark of the store, sorted; heads of the
# audit log left out.
bucket_list() {
	all_in_bucket "$1" | sed '/^audit\//d'
}

all_in_bucket() {
	local bucket
	case ${cloud_kind[$1]} in
	sftp) (cd "$TEST_TMP/$1/root" && find . -type f ! -path ./.borderfs/store -printf '%P\n' | sort) && return ;;
	webdav) (cd "$TEST_TMP/$1/root/basic" && find . -path './data/*' -type f -printf '%P\n' | sed 's:^data/::' | sort) && return ;;
	esac
	bucket=$(cloud_env "$1" BUCKET)
	cloud "$1" s3cmd ls -r "s3://$bucket" | sed "s|.* s3://$bucket/||" | sort
}

# s3_api NAME METHOD REST [BODY]: a request to its bucket that s3cmd has no word for; REST is the rest of its URL.
s3_api() {
	local name=$1 method=$2 rest=$3 body=${4-}
	curl -sSf -X "$method" --aws-sigv4 "aws:amz:$(cloud_env "$name" REGION):s3" \
		-u "$(cloud_env "$name" ACCESS):$(cloud_env "$name" SECRET)" \
		-H "x-amz-content-sha256: $(printf %s "$body" | sha256sum | cut -d' ' -f1)" ${body:+--data-binary "$body"} \
		"$(cloud_endpoint "$name")/$(cloud_env "$name" BUCKET)$rest"
}

# log_mark NAME: where its access log ends now.
log_mark() {
	stat -c %s "$(cloud_env "$1" LOG)"
}

# log_since NAME MARK: the requests since then, one a line: METHOD PATH.
log_since() {
	tail -c "+$(($2 + 1))" "$(cloud_env "$1" LOG)" |
		sed -nE 's/^.* beast: .*"([A-Z]+) ([^ "]+) HTTP.*/\1 \2/p; s/^proxy-server: .* ([A-Z]+) (\/[^ ]*) HTTP\/1.*/\1 \2/p'
}

# ---- configuration

# cloud_endpoint NAME: its endpoint, through the proxy on port ${cloud_port[NAME]} where there is one.
cloud_endpoint() {
	cloud_env "$1" ENDPOINT | sed -E "s/:[0-9]+/:${cloud_port[$1]-$(cloud_env "$1" PORT)}/"
}

# ini_backend CLOUD: a section [backend CLOUD] for it; more keys of the section may follow.
ini_backend() {
	local name=$1
	[ "${cloud_kind[$name]}" = sftp ] || (umask 077 && cloud_env "$name" SECRET >"$TEST_TMP/$name.secret")
	echo "[backend $name]"
	"ini_keys_${cloud_kind[$name]}" "$name"
	[ -z "$(cloud_env "$name" CA)" ] || echo "ca-file = $(cloud_env "$name" CA)"
	printf '%s\n' ${backend_keys-}
}

ini_keys_ceph() {
	cat <<-INI
		type = s3
		endpoint = $(cloud_endpoint "$1")
		region = $(cloud_env "$1" REGION)
		bucket = $(cloud_env "$1" BUCKET)
		access-key = $(cloud_env "$1" ACCESS)
		secret-key-file = $TEST_TMP/$1.secret
	INI
}

ini_keys_swift() {
	ini_keys_ceph "$1"
}

ini_keys_native() {
	cat <<-INI
		type = swift
		auth-url = $(cloud_endpoint "$1")/auth/v1.0
		container = $(cloud_env "$1" BUCKET)
		user = $(cloud_env "$1" ACCESS)
		password-file = $TEST_TMP/$1.secret
	INI
}

ini_keys_sftp() {
	cat <<-INI
		type = sftp
		endpoint = $(cloud_endpoint "$1")
		directory = $(cloud_env "$1" DIRECTORY)
		user = $(cloud_env "$1" USER_NAME)
		key-file = $(cloud_env "$1" KEY_FILE)
		host-key-sha256 = $(cloud_env "$1" HOST_KEY)
	INI
}

ini_keys_webdav() {
	cat <<-INI
		type = webdav
		endpoint = $(cloud_endpoint "$1")
		prefix = data
		user = $(cloud_env "$1" ACCESS)
		password-file = $TEST_TMP/$1.secret
	INI
}

# ini_plain_backend NAME URL: a section for a server that checks no signature: trapd.
ini_plain_backend() {
	(umask 077 && echo secret >"$TEST_TMP/$1.secret")
	cat <<-INI
		[backend $1]
		type = s3
		endpoint = $2
		region = r1
		bucket = office
		access-key = ANYKEY
		secret-key-file = $TEST_TMP/$1.secret
	INI
	printf '%s\n' ${backend_keys-}
}

# ini_filesystem: [filesystem] and [keys]. $filesystem_keys: more lines of the first.
ini_filesystem() {
	cat <<-INI
		[filesystem]
		name = test
		store = $store
		home = domestic
		cache = ${cache:-1G}
		settle = ${settle:-500ms}
		${filesystem_keys-}
		[keys]
		passphrase-file = $passphrase
	INI
}

# ini_zone NAME KIND BACKEND...: $networks is that of every zone; the export policy of a domestic one is $export.
# $zone_keys: more keys of each.
ini_zone() {
	local name=$1 kind=$2
	shift 2
	cat <<-INI
		[zone $name]
		kind = $kind
		networks = ${networks:-127.0.0.0/8}
		backends = $(tr ' ' , <<<"$*")
	INI
	[ "$kind" != domestic ] || echo "export = ${export:-allow}"
	printf '%s\n' ${zone_keys-}
}

# config_write: the usual configuration: zone domestic over cloud domestic, foreign over foreign, and stdin.
config_write() {
	(umask 077 && echo 'correct horse battery staple' >"$passphrase")
	{
		ini_filesystem
		ini_zone domestic domestic domestic
		ini_zone foreign foreign foreign
		ini_backend domestic
		ini_backend foreign
		cat
	} >"$ini"
}

# config_directories: the usual configuration over two directories of this machine, $near and $far, and stdin.
config_directories() {
	near=$TEST_TMP/near far=$TEST_TMP/far
	mkdir -p "$near" "$far"
	(umask 077 && echo 'correct horse battery staple' >"$passphrase")
	{
		ini_filesystem
		cat <<-INI
			[zone domestic]
			kind = domestic
			backends = near
			export = ${export:-allow}
			[zone foreign]
			kind = foreign
			backends = far
			[backend near]
			type = local
			path = $near
			[backend far]
			type = local
			path = $far
		INI
		cat
	} >"$ini"
}

# ---- the program

# bfs COMMAND...: borderfs with this test's configuration. Two words before the options where the command has two.
bfs() {
	local words=1
	case $1 in
	tag | rules | key | cache | export | audit) words=2 ;;
	esac
	"$BORDERFS" "${@:1:words}" -c "$ini" "${@:words+1}"
}

bfs_init() {
	rm -f "$TEST_TMP/recovery-words"
	bfs init --kdf minimum --words-file "$TEST_TMP/recovery-words" </dev/null
}

is_mounted() {
	grep -qF " $mnt fuse" /proc/self/mounts
}

# A mount whose daemon was killed is still one, and its attributes are in the kernel's cache: only statfs asks the daemon.
# Where the dead one has been detached and the new one is not there yet, the plain directory answers.
answers() {
	[ "$(timeout 5 stat -f -c %t "$mnt" 2>/dev/null)" = 65735546 ] # FUSE; its name depends on the version of stat
}

answers_or_ended() {
	answers || ! kill -0 "$daemon_pid"
}

# bfs_mount [OPTION...]: in the foreground, so that its messages are in $daemon_log and its process is $daemon_pid.
bfs_mount() {
	is_mounted || mkdir -p "$mnt"
	"$BORDERFS" mount -c "$ini" -f "$@" "$mnt" >>"$daemon_log" 2>&1 </dev/null &
	daemon_pid=$!
	within 30 answers_or_ended
	answers >/dev/null 2>&1 || fail "the daemon ended instead of mounting"
}

bfs_umount() {
	local status=0
	bfs umount "$@" "$mnt"
	within 30 daemon_gone
	wait "$daemon_pid" || status=$?
	[ $status = 0 ] || fail "the daemon ended with status $status"
	daemon_pid=
}

daemon_gone() {
	! kill -0 "$daemon_pid"
}

# bfs_kill: kill -9, as a crash. The mount stays behind dead, as it does then.
bfs_kill() {
	kill -KILL "$daemon_pid"
	wait "$daemon_pid" 2>/dev/null || true
	daemon_pid=
}

# where_is PATH KEY: a value of `where --json`.
where_is() {
	bfs where --json "$1" | jq -r ".$2 | if type == \"array\" then join(\",\") else . end"
}

# is_stored PATH ZONE: for `within`.
is_stored() {
	[ "$(where_is "$1" state) $(where_is "$1" zone)" = "stored $2" ]
}

# daemon_memory_kib: resident now; daemon_memory_peak_kib: at most so far, or since daemon_memory_reset: deriving the key
# from the passphrase takes much memory for a moment.
daemon_memory_reset() {
	echo 5 >"/proc/$daemon_pid/clear_refs"
}

daemon_memory_kib() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$daemon_pid/status"
}

daemon_memory_peak_kib() {
	sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$daemon_pid/status"
}

# ---- trees

# tree_facts DIR: a line for each name below it with all that must come back: type, mode, owner, size, links, mtime, the
# target or the digest of the content, attributes. Directories have no size or links here: they are the filesystem's own.
tree_facts() {
	(
		cd "$1"
		find . -mindepth 1 \( -type d -printf '%P\td %m %U:%G %T@\n' -o -type l -printf '%P\tl %U:%G %T@ %l\n' \
			-o -printf '%P\t%y %m %U:%G %s %n %T@\n' \) | sort
		find . -type f -print0 | sort -z | xargs -0r sha256sum
		find . \( -type f -o -type d \) -print0 | sort -z | xargs -0r getfattr --absolute-names -h -d -m '^user\.' \
			2>/dev/null | grep -v '^user\.borderfs\.' || true
	)
}

# ---- the test servers' tools: lagproxy, faultproxy.py and trapd

# tool_start NAME PROGRAM ARGUMENT...: a program of tests/servers, spoken to by `tool NAME`; its port is ${tool_port[NAME]}.
tool_start() {
	local name=$1 program=$BUILD/tests/servers/$2 in out line
	[ "${2%.py}" = "$2" ] || program=$TOP/tests/servers/$2
	shift 2
	mkfifo "$TEST_TMP/$name.in" "$TEST_TMP/$name.out"
	"$program" "$@" <"$TEST_TMP/$name.in" >"$TEST_TMP/$name.out" &
	tool_pid[$name]=$!
	exec {in}>"$TEST_TMP/$name.in" {out}<"$TEST_TMP/$name.out"
	rm "$TEST_TMP/$name.in" "$TEST_TMP/$name.out"
	tool_in[$name]=$in tool_out[$name]=$out
	read -r -t 10 line <&"$out"
	tool_port[$name]=${line#port }
}

# tool NAME COMMAND...: send a command; prints what it answers but the closing "ok".
tool() {
	local name=$1 line
	shift
	echo "$*" >&"${tool_in[$name]}"
	while read -r -t 10 line <&"${tool_out[$name]}"; do
		case $line in
		ok) return 0 ;;
		error*) fail "$name: $* : $line" ;;
		esac
		echo "$line"
	done
	fail "$name does not answer to: $*"
}

# trap_body NAME: the body bytes that trapd has read; trap_received NAME: all bytes that its kernel has taken in.
trap_body() {
	tool "$1" stat | cut -d' ' -f5
}

trap_received() {
	tool "$1" stat | cut -d' ' -f6
}

# trap_taken NAME: the body bytes that its kernel has taken in, read by it or not.
trap_taken() {
	tool "$1" stat | awk '{ print $6 - $4 }'
}
