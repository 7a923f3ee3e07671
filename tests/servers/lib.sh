# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tests/servers/lib.sh: what the scripts that start servers share. Sourced, with $dir set to the server's directory.
#
# A server's directory holds everything it needs and leaves: env (what a test reads), pids (what stop ends), its
# configuration, data and logs. Ports come in blocks that a directory claims for as long as it exists, so that a server
# that is stopped finds its own ports free when it is started again, though other runs start servers meanwhile.

port_block=40 # ports a claim holds
port_first=20000
port_claims=/tmp/borderfs-ports.$(id -u)

say() {
	echo "${0##*/}: $*" >&2
}

die() {
	say "$*"
	exit 1
}

# until_true SECONDS COMMAND...: run the command every 50 ms until it succeeds; 1 when the time is up.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
}

# The blocks below the kernel's own range for outgoing connections, in random order.
port_blocks() {
	local last
	last=$(cut -f1 /proc/sys/net/ipv4/ip_local_port_range)
	seq $port_first $port_block $((last - port_block)) | shuf
}

# port_taken BASE: a socket in any state is bound to one of the block's ports.
port_taken() {
	awk -v base="$1" -v count=$port_block '
		function hex(s,  i, n) {
			for (i = 1; i <= length(s); i++)
				n = n * 16 + index("0123456789ABCDEF", substr(s, i, 1)) - 1
			return n
		}
		{ port = hex(substr($2, length($2) - 3)) }
		FNR > 1 && port >= base && port < base + count { taken = 1; exit }
		END { exit !taken }' /proc/net/tcp /proc/net/tcp6
}

# claims_lock: hold the lock on the folder of claims as descriptor 9; whoever ends the last claim may have removed the
# folder meanwhile.
claims_lock() {
	until [ "$port_claims" -ef /proc/self/fd/9 ]; do
		mkdir -m 700 "$port_claims" 2>/dev/null
		{ exec 9<"$port_claims"; } 2>/dev/null || continue
		[ -O /proc/self/fd/9 ] || die "$port_claims belongs to somebody else"
		flock 9
	done
}

# ports_claim: take a free block for $dir and print its first port. A claim is a symbolic link BASE -> DIR/claim.BASE,
# dead once the directory is gone; the lock covers looking and taking.
ports_claim() {
	local base claim
	claims_lock
	find "$port_claims" -xtype l -delete
	for base in $(port_blocks); do
		claim=$port_claims/$base
		[ ! -h "$claim" ] && ! port_taken "$base" || continue
		: >"$dir/claim.$base"
		ln -s "$dir/claim.$base" "$claim"
		exec 9<&-
		echo "$base"
		return
	done
	die "no free block of $port_block ports"
}

ports_release() (
	claims_lock
	for claim in "$dir"/claim.*; do
		[ -e "$claim" ] || continue
		rm -f "$port_claims/${claim##*.}" "$claim"
	done
	rmdir "$port_claims" 2>/dev/null || true
)

# The start time of a process tells it from a later one of the same number.
process_birth() {
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

# process_start NAME COMMAND...: in the background, in a session of its own, output to DIR/log/NAME.out.
process_start() {
	local name=$1
	shift
	setsid "$@" >>"$dir/log/$name.out" 2>&1 </dev/null &
	echo "$name $! $(process_birth $!)" >>"$dir/pids"
}

process_alive() {
	[ -n "$2" ] && [ "$(process_birth "$1")" = "$2" ] && ! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

process_gone() {
	! process_alive "$@"
}

# process_pid NAME: of the running process of that name.
process_pid() {
	local name pid birth
	while read -r name pid birth; do
		[ "$name" != "$1" ] || ! process_alive "$pid" "$birth" || echo "$pid"
	done <"$dir/pids"
}

# process_end SIGNAL NAME...: end the named processes, in that order, by force where the signal has not done it in 5 s.
process_end() {
	local signal=$1 wanted name pid birth
	shift
	[ -e "$dir/pids" ] || return 0
	for wanted; do
		while read -r name pid birth; do
			[ "$name" = "$wanted" ] && process_alive "$pid" "$birth" || continue
			kill "-$signal" "$pid" 2>/dev/null || true
			until_true 5 process_gone "$pid" "$birth" || kill -KILL "$pid" 2>/dev/null || true
			until_true 5 process_gone "$pid" "$birth" || say "$name (process $pid) does not end"
		done <"$dir/pids"
		sed -i "/^$wanted /d" "$dir/pids"
	done
}

# tls_make: a certificate authority, and a certificate for localhost and 127.0.0.1, in DIR/tls.
tls_make() {
	local tls=$dir/tls
	mkdir -p "$tls"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=borderfs test authority' \
		-keyout "$tls/ca.key" -out "$tls/ca.pem" 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
		-keyout "$tls/server.key" -out "$tls/server.csr" 2>/dev/null
	openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 30 \
		-extfile <(echo 'subjectAltName=DNS:localhost,IP:127.0.0.1') -out "$tls/server.pem" 2>/dev/null
}

# tls_pin: the digest of the server's public key, as pin-sha256 wants it.
tls_pin() {
	openssl x509 -in "$dir/tls/server.pem" -pubkey -noout | openssl pkey -pubin -outform der |
		openssl dgst -sha256 -binary | base64
}

# s3_client_write: DIR/s3cfg, with which `s3cmd -c` speaks to this server, for $endpoint $access $secret $region.
s3_client_write() {
	local host=${endpoint#*://} https=False
	[ "${endpoint%%:*}" = http ] || https=True
	cat >"$dir/s3cfg" <<-CONF
		[default]
		access_key = $access
		secret_key = $secret
		host_base = $host
		host_bucket = $host
		bucket_location = $region
		use_https = $https
		ca_certs_file = $dir/tls/ca.pem
		check_ssl_certificate = True
		progress_meter = False
		max_retries = 1
	CONF
	chmod 600 "$dir/s3cfg"
}

s3_client() {
	s3cmd -q -c "$dir/s3cfg" "$@"
}

# server_fill: what a new server needs before it can be used: the bucket. Other protocols have their own.
server_fill() {
	s3_client_write
	until_true 20 s3_client mb "s3://$bucket" 2>>"$dir/log/s3cmd.out" || die "no bucket $bucket; see $dir/log"
}

env_more() {
	echo "S3CFG=$dir/s3cfg"
}

# env_write: what a test reads: KEY=VALUE, one a line, safe to source. The last lines are the protocol's own: env_more.
env_write() {
	local ca='' pin=''
	if [ "$tls" ]; then
		ca=$dir/tls/ca.pem
		pin=$(tls_pin)
	fi
	cat >"$dir/env.new" <<-ENV
		TYPE=${type:-s3}
		ENDPOINT=$endpoint
		PORT=$port
		REGION=$region
		ACCESS=$access
		SECRET=$secret
		BUCKET=$bucket
		CA=$ca
		PIN=$pin
		LOG=$log
		$(env_more)
	ENV
	chmod 600 "$dir/env.new"
	mv "$dir/env.new" "$dir/env"
}

# options_read ARGUMENT...: the options of start, over the defaults that the script has set.
options_read() {
	while [ $# -gt 0 ]; do
		case $1 in
		--tls) tls=yes ;;
		--keep) keep=yes ;;
		--region) region=$2 && shift ;;
		--access) access=$2 && shift ;;
		--secret) secret=$2 && shift ;;
		--bucket) bucket=$2 && shift ;;
		*) usage ;;
		esac
		shift
	done
}

# config_save, config_load: what the options said, for a later start of the same directory.
config_save() {
	local name
	for name in base region access secret bucket tls keep; do
		printf '%s=%q\n' "$name" "${!name}"
	done >"$dir/config"
	chmod 600 "$dir/config"
}

config_load() {
	# shellcheck disable=SC1091
	. "$dir/config"
}

# server_new ARGUMENT...: make the directory's server and start it; where another process was quicker to its ports
# (only one of another user or one that asks nobody can be), with other ports.
server_new() {
	local attempt
	options_read "$@"
	for attempt in 1 2 3; do
		base=$(ports_claim) || exit 1
		config_save
		if server_make && server_up; then
			return
		fi
		say "did not come up (attempt $attempt); see $dir/log"
		server_down KILL
		ports_release
	done
	die "$dir: giving up"
}

# server_main COMMAND DIR ARGUMENT...: the commands that every server has. The script gives usage, server_make (write
# its configuration for $base), server_up (start and wait until it answers), server_down SIGNAL, front_up, front_down,
# and front (its log, endpoint and port from $base), and the defaults of the options.
server_main() {
	local command=${1-}
	[ $# -ge 2 ] || usage
	case $command in
	start) mkdir -p "$2/log" ;;
	*) [ -d "$2" ] || exit 0 ;;
	esac
	dir=$(readlink -f "$2")
	shift 2
	umask 077
	if [ -e "$dir/config" ]; then
		config_load
		front
	elif [ "$command" != start ]; then
		exit 0
	fi
	case $command in
	start)
		if [ -e "$dir/env" ]; then
			server_up || die "$dir did not come up again; see $dir/log"
		else
			server_new "$@"
			server_fill
			env_write
		fi
		;;
	stop) server_down TERM ;;
	kill) server_down KILL ;;
	down) front_down ;;
	up) front_up || die "$dir did not come up again; see $dir/log" ;;
	remove)
		server_down KILL
		ports_release
		rm -rf "$dir"
		;;
	s3cmd) exec s3cmd -c "$dir/s3cfg" "$@" ;;
	*) server_command "$command" "$@" ;;
	esac
}
