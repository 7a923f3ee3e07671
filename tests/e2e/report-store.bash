# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# report-store.bash: a mounted store of six files for the tests of the report, one with a name made to do harm.

hostile=$'<img src=x onerror=alert(1)>&"\'\033[31m\342\200\256.txt'

report_store() {
	settle=100ms export=allow
	config_directories <<-INI
		[tag personal]
		path = /hr/**
		[rule personal-data-stays]
		tag = personal
		zone = domestic
		[rule public-goes-out]
		path = /public/**
		zone = foreign
	INI
	sed -i 's/^kind = domestic/&\ncountries = CN/;s/^kind = foreign/&\ncountries = US, SG/' "$ini"
	bfs_init >/dev/null
	bfs_mount
	mkdir -p "$mnt"/{public,hr,docs/deep}
	setfattr -n user.xdg.tags -v urgent "$mnt/docs"
	head -c 1000 /dev/zero >"$mnt/hr/$hostile"
	head -c 1000 /dev/zero >"$mnt/hr/stays"
	head -c 10000 /dev/zero >"$mnt/public/large"
	head -c 5000 /dev/zero >"$mnt/docs/deep/old"
	touch -d 2025-03-05 "$mnt/docs/deep/old"
	head -c 3000 /dev/zero >"$mnt/docs/tagged"
	setfattr -n user.xdg.tags -v 'urgent, =1+1 ' "$mnt/docs/tagged"
	head -c 100 /dev/zero >"$mnt/docs/both"
	setfattr -n user.xdg.tags -v '=1+1,<b>&"' "$mnt/docs/both"
	bfs sync
	mv "$mnt/hr/$hostile" "$mnt/public/"
	bfs sync
}
