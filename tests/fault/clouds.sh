#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=300
# The table of faults: what a cloud may do to the whole program, a line each, on real servers behind proxies. While a fault
# lasts, a file that is not cached is read and another is written. A line says what becomes of both: reading gives the same
# bytes (`same`), or an error in bounded time, which the table names; the new file is `stored`, or `waits` and is kept. When the
# fault has ended, both are well within seconds (I7), without a remount; no read ever gives other bytes (I6). All along, a zone
# that has no part in it is written to and read cold: neither takes longer than $healthy_ms, and all is stored in $stored_s (I8).
. "${0%/*}/../e2e/lib.sh"

read_ms=5500   # two tries of the timeout below, and a little
well_s=20      # from the end of a fault until all is well: what the breaker may still wait, and a try
healthy_ms=1500 stored_s=5
requests_max=60 # that a fault is met with: backoff, then the breaker
backend_keys='connect-timeout=1s timeout=2s' zone_keys='pack=0' settle=100ms
bodies=$TEST_TMP/bodies
lines=$TEST_TMP/lines

# The lanes in which faults follow each other, by driver; each is a zone with a prefix, proxies and files of its own.
declare -rA lanes_of=([s3]='s31 s32 s33 s34 s35 s36' [webdav]='webdav1 webdav2 webdav3 webdav4' [swift]='swift1 swift2 swift3 swift4'
	[sftp]='sftp1')
declare -rA server_of=([s3]=ceph [webdav]=webdav [swift]=native [sftp]=sftp)

# NAME | DRIVERS | what the proxies are told | TIMES (empty: as long as it lasts) | READ | UPLOAD
# lag is the proxy of bytes (lagproxy), web that of requests (faultproxy.py).
table() {
	sed 's/^\t*//; /^$/d' <<-'END'
		latency of 300 ms           | s3 webdav swift      | lag rtt 300                                                |   | same                    | stored
		latency of 50 ms            | sftp                 | lag rtt 50                                                 |   | same                    | stored
		cut after 20,000 bytes down | s3 webdav swift sftp | lag cut 20000                                              |   | No route to host        | stored
		cut after 20,000 bytes up   | s3 webdav swift sftp | lag cut-up 20000                                           |   | same                    | waits
		connections reset           | s3 webdav swift sftp | lag mode reset                                             |   | No route to host        | waits
		connections hang            | s3 webdav swift sftp | lag mode hang                                              |   | Connection timed out    | waits
		connections refused         | s3 webdav swift sftp | lag mode refuse                                            |   | No route to host        | waits
		500 once                    | s3 webdav swift      | web do answer 500                                          | 1 | same                    | stored
		500 always                  | s3 webdav swift      | web do answer 500                                          |   | Remote I/O error        | waits
		503 twice, Retry-After 2 s  | s3 webdav swift      | web header Retry-After: 2; web do answer 503               | 2 | Device or resource busy | stored
		429 always                  | s3 webdav swift      | web do answer 429                                          |   | Device or resource busy | waits
		403 always                  | s3 webdav swift      | web do answer 403                                          |   | Permission denied       | waits
		404 for what must exist     | s3                   | web match GET; web body NoSuchKey; web do answer 404       |   | Input/output error      | stored
		404 for what must exist     | webdav               | web match GET; web do answer 404                           |   | Input/output error      | stored
		404 for what must exist     | swift                | web header X-Trans-Id: t; web match GET; web do answer 404 |   | Input/output error      | stored
		404 of somebody else        | swift                | web match GET; web do answer 404                           |   | Protocol error          | stored
		404 of somebody else        | s3                   | web match GET; web body html; web do answer 404            |   | Protocol error          | stored
		a wrong byte                | s3 webdav swift      | web match GET; web do flip                                 |   | Input/output error      | stored
		a short body                | s3 webdav swift      | web match GET; web do short                                |   | Protocol error          | stored
		a lying Content-Length      | s3 webdav swift      | web match GET; web do lie                                  |   | Protocol error          | stored
		a trickle                   | s3 webdav swift      | web match GET; web do trickle                              |   | Connection timed out    | stored
		an endless body             | s3 webdav swift      | web match GET; web do endless                              |   | Protocol error          | stored
		a lost answer               | s3 webdav swift      | web do lost                                                | 1 | same                    | stored
		XML: malformed              | s3                   | web body malformed; web do answer 409                      |   | Protocol error          | waits
		XML: malformed              | webdav               | web body malformed; web do answer 409                      |   | Remote I/O error        | waits
		XML: a bomb of entities     | s3                   | web body bomb; web do answer 409                           |   | Protocol error          | waits
		XML: a bomb of entities     | webdav               | web body bomb; web do answer 409                           |   | Remote I/O error        | waits
		XML: an external entity     | s3                   | web body external; web do answer 409                       |   | Protocol error          | waits
		XML: an external entity     | webdav               | web body external; web do answer 409                       |   | Remote I/O error        | waits
		XML: 64 MiB                 | s3                   | web body huge; web do answer 409                           |   | Protocol error          | waits
		XML: 64 MiB                 | webdav               | web body huge; web do answer 409                           |   | Protocol error          | waits
		an expired session token    | s3                   | web body ExpiredToken; web do answer 400                   |   | Permission denied       | waits
		an expired token, renewed   | swift                | web do answer 401                                          | 1 | same                    | stored
		a token that is never taken | swift                | web do answer 401                                          |   | Permission denied       | waits
		a skewed clock              | s3                   | web body RequestTimeTooSkewed; web do answer 403           |   | Permission denied       | waits
		a full bucket               | s3                   | web match PUT; web body QuotaExceeded; web do answer 403   |   | same                    | waits
		a full disk                 | webdav               | web match PUT; web do answer 507                           |   | same                    | waits
		a full container            | swift                | web match PUT; web do answer 413                           |   | same                    | waits
	END
}

bodies_make() {
	local code
	mkdir "$bodies"
	for code in NoSuchKey ExpiredToken RequestTimeTooSkewed QuotaExceeded; do
		echo "<Error><Code>$code</Code><Message>so</Message></Error>" >"$bodies/$code"
	done
	echo '<html>not here</html>' >"$bodies/html"
	echo '<Error><Code>NoSuchKey</Wrong>' >"$bodies/malformed"
	{
		echo '<!DOCTYPE b [<!ENTITY a0 "NoSuchKey">'
		for i in {1..30}; do
			echo "<!ENTITY a$i \"&a$((i - 1));&a$((i - 1));&a$((i - 1));&a$((i - 1));\">"
		done
		echo ']><Error><Code>&a30;</Code></Error>'
	} >"$bodies/bomb"
	echo "<!DOCTYPE e [<!ENTITY x SYSTEM \"http://127.0.0.1:${tool_port[elsewhere]}/\">]><Error><Code>&x;</Code></Error>" \
		>"$bodies/external"
	{ echo '<Error><Code>NoSuchKey</Code><Message>' && head -c 64M /dev/zero | tr '\0' x; } >"$bodies/huge"
}

# ---- one line

# told LANE COMMANDS: the proxies of a lane obey, each command after the name of its proxy.
told() {
	local command
	while IFS= read -r command; do
		command=${command# }
		case $command in
		'web body '*) command="web body $bodies/${command#web body }" ;;
		esac
		tool "${command%% *}-$1" "${command#* }"
	done < <(tr ';' '\n' <<<"$2")
}

fault_end() {
	told "$1" 'lag mode ok; lag rtt 0; lag cut 0; lag cut-up 0'
	[ ! "${tool_port[web-$1]-}" ] || {
		told "$1" 'web do pass; web match ; web times 0; web header '
		tool "web-$1" body
	}
}

# read_old FILE: what it gives is in $got, and how long it took in $took_ms.
read_old() {
	local status=0
	takes cold_read "$1"
	case $status in
	0) got=same ;;
	2) got=${said##*: } ;;
	*) fail "$1: OTHER BYTES: $said" ;;
	esac
}

cold_read() {
	said=$(cmp "$1" "$TEST_TMP/old" 2>&1) || status=$?
}

# upload_new FILE WANTED: stored or waits, in $got.
upload_new() {
	local patience=15
	[ "$2" = stored ] || patience=1
	got=stored
	said=$(bfs sync --timeout $patience "$1" 2>&1) || got=waits
	[ $got = stored ] || [ "$(where_is "$1" state)" != stored ] || got="stored, but sync said: $said"
}

until_well() {
	local end=$((SECONDS + well_s))
	until is_well "$@"; do
		((SECONDS < end)) || { well=no && return; }
		sleep 0.05
	done
}

is_well() {
	cmp -s "$1" "$TEST_TMP/old" 2>/dev/null && [ "$(where_is "$2" state)" = stored ]
}

# healthy_most FROM: the longest that the healthy zone took since then.
healthy_most() {
	awk -v from="$1" '$1 >= from && $2 > most { most = $2 } END { print most + 0 }' "$TEST_TMP/healthy"
}

# verdict: what is not as the table has it, of the line that calls it.
verdict() {
	[ "$readable" = "$6" ] || echo "  <- reading: wanted $6"
	[ "$read_took" -le $read_ms ] || echo "  <- reading took more than $read_ms ms"
	[ "$stored" = "$7" ] || echo "  <- upload: wanted $7"
	[ "$met" -le $requests_max ] || echo "  <- more than $requests_max requests"
	[[ $4 != *Retry-After:* ]] || [ "${gaps##* }" -ge 2000 ] || echo "  <- not waited for: $gaps ms"
	[ "$well" = yes ] || echo "  <- not well within $well_s s: $(cmp "$old" "$TEST_TMP/old" 2>&1) $(bfs where "$new")"
	[ "$others" -le $healthy_ms ] || echo "  <- others took more than $healthy_ms ms"
}

line() { # LANE NUMBER NAME COMMANDS TIMES READ UPLOAD
	local lane=$1 old=$mnt/$1/old-$2 new=$mnt/$1/new-$2 from=${EPOCHREALTIME/./}
	local got took_ms said readable stored read_took gaps='' met well=yes others wrong
	if [ "$5" ]; then
		told "$lane" "web match GET; web times $5; $4"
		read_old "$old"
		readable=$got read_took=$took_ms
		told "$lane" "web match PUT; web times $5; $4"
		cp "$TEST_TMP/new" "$new"
	else
		told "$lane" "$4"
		cp "$TEST_TMP/new" "$new"
		read_old "$old"
		readable=$got read_took=$took_ms
	fi
	upload_new "$new" "$7"
	stored=$got
	[[ $4 != web* ]] || gaps=$(tool "web-$lane" seen | cut -s -d' ' -f2-)
	met=$(wc -w <<<"$gaps")
	fault_end "$lane"
	takes until_well "$old" "$new"
	others=$(healthy_most "$from")
	wrong=$(verdict "$@")
	printf '%-28s %-8s read: %-23s in %4d ms  upload: %-7s  %3d requests  well after %5d ms  others: %4d ms%s\n' "$3" "$lane" \
		"$readable" "$read_took" "$stored" "$met" "$took_ms" "$others" "${wrong:+$'\n'}$wrong"
	[ ! "$wrong" ]
}

# lane NAME: its share of the table.
lane() {
	local number name commands times readable stored wrong=0
	while IFS='|' read -r number name commands times readable stored; do
		line "$1" "$number" "$name" "$commands" "$times" "$readable" "$stored" || wrong=1
	done <"$lines-$1"
	return $wrong
}

# The table's lines go to the lanes of their drivers by turns: NUMBER|NAME|COMMANDS|TIMES|READ|UPLOAD.
lines_share() {
	local name drivers commands times readable stored driver lane
	local -A turn=()
	while IFS='|' read -r name drivers commands times readable stored; do
		for driver in $drivers; do
			# shellcheck disable=SC2206
			lanes=(${lanes_of[$driver]})
			turn[$driver]=$((${turn[$driver]--1} + 1))
			lane=${lanes[turn[$driver] % ${#lanes[@]}]}
			printf '%d|%s|%s|%s|%s|%s\n' "${turn[$driver]}" "$name" "$commands" "$times" "$readable" "$stored" >>"$lines-$lane"
		done
	done < <(table | sed 's/ *| */|/g')
}

# ---- the zone that has no part in it

# healthy_takes COMMAND...: a line "BEGIN MILLISECONDS" for it.
healthy_takes() {
	local begin=${EPOCHREALTIME/./}
	takes "$@"
	echo "$begin $took_ms" >>"$TEST_TMP/healthy"
}

healthy_run() {
	local i
	for ((i = 1; i <= 600; i++)); do
		healthy_takes dd if="$TEST_TMP/new" of="$mnt/home/new-$i" bs=100000 conv=fsync status=none
		healthy_takes cmp "$mnt/home/cold-$i" <(echo $i)
		within $stored_s is_stored "$mnt/home/new-$i" domestic
	done
	fail 'there are no cold files left'
}

# ----

step 'clouds'
for lane in $(printf "%s " "${lanes_of[@]}"); do
	lanes_all+=("$lane")
done
clouds_start ceph=ceph webdav=webdav native=native sftp=sftp
tool_start elsewhere trapd
bodies_make
lines_share
for driver in "${!lanes_of[@]}"; do
	for lane in ${lanes_of[$driver]}; do
		server=${server_of[$driver]}
		ln -s "$server" "$TEST_TMP/$lane"
		cloud_kind[$lane]=$server
		port=$(cloud_env "$lane" PORT)
		if [ "$driver" != sftp ]; then
			tool_start "web-$lane" faultproxy.py "$port"
			port=${tool_port[web-$lane]}
		fi
		tool_start "lag-$lane" lagproxy 0 "$port"
		cloud_port[$lane]=${tool_port[lag-$lane]}
	done
done
(umask 077 && echo 'correct horse battery staple' >"$passphrase")
mkdir "$TEST_TMP/near"
{
	ini_filesystem
	ini_zone domestic domestic near
	printf '[backend near]\ntype = local\npath = %s\n' "$TEST_TMP/home"
	for lane in "${lanes_all[@]}"; do
		ini_zone "$lane" foreign "$lane"
		ini_backend "$lane" | sed '/^prefix/d'
		[ "$lane" = sftp1 ] || echo "prefix = $lane/"
		printf '[rule to-%s]\npath = /%s/**\nzone = %s\n' "$lane" "$lane" "$lane"
	done
} >"$ini"
bfs_init >/dev/null
bfs_mount

step 'files that are on their clouds only'
head -c 100000 /dev/urandom >"$TEST_TMP/old"
head -c 100000 /dev/urandom >"$TEST_TMP/new"
mkdir "$mnt/home" "${lanes_all[@]/#/$mnt/}"
for ((i = 1; i <= 600; i++)); do
	echo "$i" >"$mnt/home/cold-$i"
done
for lane in "${lanes_all[@]}"; do
	while IFS='|' read -r number _; do
		cp "$TEST_TMP/old" "$mnt/$lane/old-$number"
	done <"$lines-$lane"
done
bfs sync --timeout 60
bfs_umount
bfs cache drop
bfs_mount

step 'the faults'
: >"$TEST_TMP/healthy"
healthy_run &
healthy=$!
pids=()
for lane in "${lanes_all[@]}"; do
	lane "$lane" &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || failed=yes
done
[ ! "${failed-}" ] || fail 'not as the table has it'
kill -0 $healthy || fail 'the healthy zone has failed'
kill $healthy
expect_equal "$(tool elsewhere stat)" 'stat 0 0 0 0 0' 'what an external entity has fetched'

step 'what was written is there, from the clouds alone'
bfs sync --timeout 60
bfs_umount
bfs cache drop
bfs_mount
for lane in "${lanes_all[@]}"; do
	for file in "$mnt/$lane"/old-*; do
		expect_same "$file" "$TEST_TMP/old"
		expect_same "${file/old/new}" "$TEST_TMP/new"
	done
done
bfs_umount
