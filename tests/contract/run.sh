#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tests/contract/run.sh [figures]: hold every driver to the contract of backends/backend.h, each against a real server of
# its own: a directory, OpenSSH, Ceph's gateway over TLS, OpenStack Swift by S3 over plain HTTP and by its own protocol
# over TLS. `figures` measures instead.
# BUILD is where make builds (build).
# test: timeout=420 sanitize
set -u
top=$(dirname "$(readlink -f "$0")")/../..
program=${BUILD:-build}/contract/contract_test
sftp_program=${BUILD:-build}/contract/sftp_test
servers=$top/tests/servers

cd "$top" || exit 1
# what tests/run tests is built, in a way that only it knows
[ "${TEST_TMP:-}" ] || make -s BUILD="${BUILD:-build}" "$program" "$sftp_program" || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/contract.XXXXXX")
trap '"$servers/s3-ceph" remove "$work/ceph"; "$servers/s3-swift" remove "$work/swift"; "$servers/s3-swift" remove "$work/swift-tls"; "$servers/sftp-openssh" remove "$work/sftp"; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# failed WHAT: is said again at the end, after what passed
failed() {
	echo "FAILED: $1" | tee -a "$work/failed"
}

# hold NAME: run the program on what the environment describes
hold() {
	echo "== $1"
	"$program" "$mode" || failed "$1"
}
mode=${1:-all}

mkdir "$work/directory"
TYPE=local DIRECTORY=$work/directory hold directory
if "$servers/sftp-openssh" start "$work/sftp"; then
	(
		set -a
		. "$work/sftp/env"
		hold "sftp at $ENDPOINT"
		[ "$mode" = figures ] || "$sftp_program" || failed "$sftp_program"
	)
else
	failed sftp-openssh
fi
for kind in ceph swift; do
	tls=
	[ $kind = swift ] || tls=--tls
	if ! "$servers/s3-$kind" start "$work/$kind" $tls; then
		failed "s3-$kind"
		continue
	fi
	set -a
	. "$work/$kind/env"
	set +a
	hold "$kind at $ENDPOINT"
done
if "$servers/s3-swift" start "$work/swift-tls" --tls && "$servers/s3-swift" native "$work/swift-tls" >"$work/native"; then
	set -a
	. "$work/swift-tls/env"
	. "$work/native"
	set +a
	hold "swift at $AUTH_URL"
else
	failed "swift, native"
fi
[ ! -s "$work/failed" ] || {
	cat "$work/failed"
	exit 1
}
