#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tests/contract/webdav.sh [figures]: hold the WebDAV driver to the contract of backends/backend.h, against Apache over TLS, by
# Basic and by Digest, and against nginx over plain HTTP. `figures` measures instead. BUILD is where make builds (build).
# test: timeout=120 sanitize
set -u
top=$(dirname "$(readlink -f "$0")")/../..
program=${BUILD:-build}/contract/contract_test
servers=$top/tests/servers
mode=${1:-all} failed=0

cd "$top" || exit 1
# what tests/run tests is built, in a way that only it knows
[ "${TEST_TMP:-}" ] || make -s BUILD="${BUILD:-build}" "$program" || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/contract.XXXXXX")
trap '"$servers/webdav-apache" remove "$work/apache"; "$servers/webdav-nginx" remove "$work/nginx"; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# hold KIND [digest]: run the program on what that server's env describes, in a shell of its own.
hold() (
	set -a
	. "$work/$1/env"
	if [ "${2-}" ]; then
		ENDPOINT=$DIGEST NOWHERE=${DIGEST}/there-is-no-such-bucket SMALL=
	fi
	set +a
	echo "== $* at $ENDPOINT"
	exec "$program" "$mode"
)

"$servers/webdav-apache" start "$work/apache" --tls && hold apache && hold apache digest || failed=1
"$servers/webdav-nginx" start "$work/nginx" && hold nginx || failed=1
exit $failed
