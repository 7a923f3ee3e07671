# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tests/posix/lib.sh: what the tests of a mount as a local filesystem share, over that of the whole program.
# shellcheck source=tests/e2e/lib.sh
. "${BASH_SOURCE[0]%/*}/../e2e/lib.sh"

# posix_config: two directories as clouds, all of it in $top.
posix_config() {
	mkdir -p "$top"/{near,far,mnt}
	store=$top/store mnt=$top/mnt ini=$top/borderfs.ini passphrase=$top/passphrase daemon_log=$top/daemon.log
	(umask 077 && echo 'correct horse battery staple' >"$passphrase")
	{
		ini_filesystem
		cat <<-INI
			[zone domestic]
			kind = domestic
			backends = near
			[zone foreign]
			kind = foreign
			backends = far
			[backend near]
			type = local
			path = $top/near
			[backend far]
			type = local
			path = $top/far
			[rule public-goes-out]
			path = /public/**
			zone = foreign
		INI
	} >"$ini"
}
