#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=1800 torture long
# One body of 5 GiB through each of the drivers of a directory, S3 (Ceph, on disk) and WebDAV (Apache): streamed both ways, and
# compared. Blocks and packs are far smaller; the interface must hold.
. "${0%/*}/../e2e/lib.sh"

# large NAME: run the program on what that server's env describes.
large() (
	set -a
	. "$TEST_TMP/$1/env"
	step "$1 at $ENDPOINT"
	"$BUILD/contract/contract_test" large
)

mkdir "$TEST_TMP/directory"
step 'a directory'
TYPE=local DIRECTORY=$TEST_TMP/directory "$BUILD/contract/contract_test" large
for name in webdav ceph; do
	clouds_start $name=$name -- --keep
	large $name
	cloud $name remove
done
