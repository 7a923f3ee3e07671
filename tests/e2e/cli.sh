#!/bin/bash
# test: timeout=240
# SPDX-License-Identifier: GPL-3.0-or-later
# The commands over two directories: what each prints, what it says when something is wrong, and its exit status.
. "${0%/*}/lib.sh"

home=$TEST_TMP/near
abroad=$TEST_TMP/far
words=$TEST_TMP/recovery-words
mkdir "$home" "$abroad" "$mnt"
(umask 077 && echo 'correct horse battery staple' >"$passphrase")

# directories_config [KEY=VALUE...]: the configuration; what stands in the environment changes it.
directories_config() {
	{
		ini_filesystem
		cat <<-INI
			[zone domestic]
			kind = domestic
			backends = home
			export = ${export:-deny}
			[zone foreign]
			kind = foreign
			backends = abroad
			[backend home]
			type = local
			path = $home
			[backend abroad]
			type = local
			path = ${abroad_path:-$abroad}
			[rule personal-data-stays]
			tag = personal
			zone = domestic
			[rule public-goes-out]
			path = /public/**
			zone = foreign
		INI
	} >"$ini"
}

# typed LINE... -- COMMAND...: on a terminal of its own.
typed() {
	"$BUILD/tests/e2e/typed" "$@"
}

bfs_background() {
	bfs mount "$@" -l "$daemon_log" "$mnt"
	daemon_pid=$(bfs status --json | jq .pid)
}

ls_fails() {
	! ls "$mnt"
}

not_mounted() {
	! is_mounted
}

daemon_ended() { # what nobody waits for stays as a zombie
	! grep -qs "State:.[^Z]" "/proc/$daemon_pid/status"
}

disk_stopped() { # every thread: what one has taken in and does not answer, its asker could not even be killed for
	! grep -hv 'State:.T' <(grep -h ^State: /proc/"$disk_pid"/task/*/status)
}

two_reload() { # two threads of the daemon read the configuration
	[ "$(cat /proc/"$daemon_pid"/task/*/comm | grep -cx reload)" = 2 ]
}

is_held() { # a process of this user sits in the mount
	fuser -sm "$mnt"
}

# powerless COMMAND...: root without its capabilities, so that modes count.
powerless() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --bounding-set=-all --inh-caps=-all "$@"
	else
		"$@"
	fi
}

step "usage"
expect_status 2 "$BORDERFS"
expect_status 2 "$BORDERFS" nonsense
expect_says 'there is no command "nonsense"' 'borderfs help'
expect_status 2 "$BORDERFS" rules
expect_says 'rules: which one? See `borderfs rules --help`'
expect_status 2 "$BORDERFS" rules -c "$ini" check
expect_says 'rules -c: options stand after both words of a command'
expect_status 2 "$BORDERFS" rules chek
expect_says 'there is no command "rules chek": see `borderfs rules --help`'
expect_status 2 "$BORDERFS" where
expect_says "where: it needs PATH...: see \`borderfs where --help\`"
expect_status 2 "$BORDERFS" sync --timeout
expect_status 2 "$BORDERFS" status --nonsense
expect_says "unknown option --nonsense"
expect_status 0 "$BORDERFS" --version
expect_status 0 "$BORDERFS" help
expect_status 0 "$BORDERFS" tag --help
expect_says "borderfs tag add [OPTIONS] PATH TAG..."
"$BORDERFS" help --json | while read -r line; do
	name=$(jq -r .name <<<"$line")
	# shellcheck disable=SC2086 # two words are a command
	expect_status 0 "$BORDERFS" $name --help
	expect_says "usage: borderfs $name"
done
HOME=$TEST_TMP expect_status 1 "$BORDERFS" mount "$mnt"
expect_says "there is no configuration" "name it with -c FILE"
expect_status 1 "$BORDERFS" status -c "$TEST_TMP/missing.ini"
expect_says "missing.ini"

step "rules check, rules list"
directories_config
expect_status 0 bfs rules check
expect_says "2 zones, 2 backends, 2 rules, 1 warning, no errors" "docs/SECURITY.md" \
	"warning: nothing sets the tag \"personal\"; write a section [tag personal], with set-by = users"
expect_status 0 bfs rules check --json
expect_equal "$(jq -r '.ok, .messages[0].level' <<<"$said")" "true
warning" "the lint"
expect_equal "$(bfs rules list --json | jq -r '[.name, .zone, .conditions] | join(" ")')" \
	"personal-data-stays domestic tag=personal
public-goes-out foreign path=/public/**" "the rules"
printf '[test personal]\npath = /public/a\ntag = personal\nzone = domestic\n[test public]\npath = /public/a\nzone = foreign\n' \
	>"$TEST_TMP/table.ini"
expect_status 0 bfs rules test "$TEST_TMP/table.ini"
expect_says "2 files, 0 not as expected"
echo 'rule = personal-data-stays' >>"$TEST_TMP/table.ini"
expect_status 1 bfs rules test "$TEST_TMP/table.ini"
expect_says "table.ini:6: error: /public/a: zone foreign by [rule public-goes-out]" "2 files, 1 not as expected"
expect_status 1 bfs rules test --json "$TEST_TMP/table.ini"
expect_equal "$(jq -r '.ok, .files, .failed, .messages[0].line' <<<"$said" | xargs)" "false 2 1 6" "the failed line"
expect_status 1 bfs rules test "$TEST_TMP/none.ini"
echo 'nonsense = 1' >>"$ini"
line=$(wc -l <"$ini")
expect_status 1 bfs rules check
expect_says "$ini:$line: error: "
expect_status 1 bfs rules check --json
expect_equal "$(jq -r '.ok, .messages[0].line' <<<"$said")" "false
$line" "the finding"
expect_status 1 bfs init --words-file "$words"
expect_says "$ini:$line: error: "
directories_config

step "init that cannot be"
expect_status 2 bfs init --kdf minimum
expect_says "--words-file"
expect_status 2 bfs init --kdf nonsense --words-file "$words"
touch "$TEST_TMP/taken"
expect_status 1 bfs init --kdf minimum --words-file "$TEST_TMP/taken"
expect_says "$TEST_TMP/taken: File exists"
chmod 644 "$passphrase"
expect_status 1 bfs init --kdf minimum --words-file "$words"
expect_says "$passphrase" "0600"
chmod 600 "$passphrase"
good_store=$store
store=$TEST_TMP/taken/store directories_config
expect_status 1 bfs init --kdf minimum --words-file "$words"
expect_says "$TEST_TMP/taken/store cannot be made: Not a directory"
store=$good_store
directories_config
[ ! -e "$words" ] || fail "words of a store that was not made"
[ ! -e "$store" ] || fail "a store was made"
expect_status 1 bfs mount "$mnt"
expect_says "there is no store at $store: make it with \`borderfs init\`"

step "init, warning of a backend that is not there"
abroad_path=$TEST_TMP/missing directories_config
expect_status 0 bfs init --kdf minimum --words-file "$words"
expect_says "warning: " "$TEST_TMP/missing is not a directory"
expect_equal "$(stat -c %a "$words" "$store")" "600
700" "the modes"
expect_equal "$(wc -w <"$words")" 9 "recovery words"
expect_status 1 bfs init --kdf minimum --words-file "$TEST_TMP/more-words"
expect_says "$store holds a store already: mount it, or choose another"
rm -r "$store" "$words"
directories_config
bfs init --kdf minimum --words-file "$words"

step "mounts that cannot be"
expect_status 1 bfs mount "$TEST_TMP/missing"
expect_says "$TEST_TMP/missing: No such file or directory; make the directory first"
expect_status 1 bfs mount "$passphrase"
expect_says "is not a directory"
(umask 077 && echo wrong >"$TEST_TMP/wrong")
expect_status 1 bfs mount -p "$TEST_TMP/wrong" "$mnt"
expect_says "the passphrase given does not open this store"
expect_status 1 bfs mount -o nonsense=1 "$mnt"
expect_says "nonsense=1"
ln -s "$store" "$TEST_TMP/store-link"
mkdir "$store/inside" "$home/inside" "$TEST_TMP/bound"
before=$(find "$store" "$home" | sort)
if [ "$(id -u)" = 0 ]; then
	mount --bind "$store" "$TEST_TMP/bound"
else
	rmdir "$TEST_TMP/bound"
	ln -s "$store" "$TEST_TMP/bound"
fi
cannot_hold_itself() { # DIRECTORY RELATION WHAT PATH
	expect_status 1 timeout 20 "$BORDERFS" mount -c "$ini" -l "$TEST_TMP/not-made" "$1"
	expect_says "the mount point " " $2 $3, $4: what is mounted would be stored in itself; choose a directory apart from it"
}
cannot_hold_itself "$store" is "the store's directory" "$store"
cannot_hold_itself "$TEST_TMP/store-link" is "the store's directory" "$store"
cannot_hold_itself "$TEST_TMP/bound" is "the store's directory" "$store"
cannot_hold_itself "$TEST_TMP/bound/inside" "lies in" "the store's directory" "$store"
cannot_hold_itself "$store/inside" "lies in" "the store's directory" "$store"
cannot_hold_itself "$TEST_TMP" holds "the store's directory" "$store"
cannot_hold_itself "$home" is "the directory of backend 'home'" "$home"
cannot_hold_itself "$home/inside" "lies in" "the directory of backend 'home'" "$home"
[ ! -e "$TEST_TMP/not-made" ] || fail "a log was made"
expect_equal "$(find "$store" "$home" | sort)" "$before" "the store and the backend"
if [ "$(id -u)" = 0 ]; then
	umount "$TEST_TMP/bound"
fi
rmdir "$store/inside" "$home/inside"
abroad_path=$store/objects directories_config
expect_status 1 bfs rules check
expect_says "$ini:$(grep -n "^path = $store/objects" "$ini" | cut -d: -f1): error: the directory of backend \"abroad\", $store/objects, lies in the store's, $store"
expect_status 1 bfs mount "$mnt"
expect_says "lies in the store's, $store"
abroad_path=$TEST_TMP/elsewhere directories_config
expect_status 3 bfs mount "$mnt"
expect_says "backend abroad is" "$abroad foreign" "$TEST_TMP/elsewhere foreign"
export=allow directories_config
expect_status 3 bfs mount "$mnt"
expect_says "export = allow is looser than deny"
directories_config
! is_mounted || fail "something was mounted"

step "mount, and what is asked of a mount that is not there"
expect_status 1 bfs status
expect_says "$store is not mounted: mount it with"
expect_status 1 bfs umount "$mnt"
expect_says "no borderfs is mounted there"
bfs_background
is_mounted || fail "not mounted"
expect_equal "$(stat -c %a "$store/control.sock" "$daemon_log")" "600
600" "the modes"
mkdir "$TEST_TMP/second"
expect_status 1 bfs mount "$TEST_TMP/second"
expect_says "$store is in use by process $daemon_pid"

step "a mount straight after umount(8), which does not wait for the daemon"
for n in {1..300}; do
	echo "$n" >"$mnt/$n"
done
within 10 umount "$mnt" # somebody's df may look at it
bfs_background
expect_equal "$(cat "$mnt"/{1..300} | cksum)" "$(seq 300 | cksum)" "what was written before"
rm "$mnt"/{1..300}

step "where, explain, status"
mkdir -p "$mnt/public/deep/er" "$mnt/private"
for n in 1 2 3; do
	head -c $((n * 100000)) /dev/urandom >"$mnt/public/deep/er/$n"
	echo "$n" >"$mnt/private/$n"
done
odd=$'caf\xe9\nx'
echo odd >"$mnt/private/$odd"
bfs sync --timeout 60
expect_equal "$(where_is "$mnt/public/deep/er/3" "state, .zone, .rule, .size, .objects, .backends[0], .held")" "stored
foreign
public-goes-out
300000
1
abroad
false" "the file abroad"
expect_equal "$(where_is "$mnt/private/1" "zone, .rule, .backends[0]")" "domestic
null
home" "the file at home"
name=$(where_is "$mnt/public/deep/er/3" object_names)
[ -f "$abroad/$name" ] || fail "there is no object $name in $abroad"
expect_equal "$(cd "$mnt" && "$BORDERFS" where -r --json . | jq -r 'select(.path_base64 == null) | .path' | sort)" \
	"./private/1
./private/2
./private/3
./public/deep/er/1
./public/deep/er/2
./public/deep/er/3" "all files"
expect_equal "$("$BORDERFS" where --json "$mnt/private/$odd" | jq -r .path_base64 | base64 -d)" "$mnt/private/$odd" \
	"a name that is not UTF-8"
expect_status 0 "$BORDERFS" where "$mnt/private/$odd"
expect_says "$mnt/private/caf\\xe9\\x0ax"
odd=$'\x1b[2J\x7f\xc2\x9b\xe5\xad\x97'
echo odd >"$mnt/private/$odd"
expect_status 0 "$BORDERFS" where -r "$mnt/private"
expect_says "$mnt/private/\\x1b[2J\\x7f\\xc2\\x9b"$'\xe5\xad\x97 '
expect_status 0 "$BORDERFS" explain "$mnt/private/$odd"
expect_says "$mnt/private/\\x1b[2J\\x7f\\xc2\\x9b"$'\xe5\xad\x97: '
for command in where explain; do
	expect_status 0 "$BORDERFS" $command --json "$mnt/private/$odd"
	expect_says "$mnt/private/\\u001B[2J\\u007F\\u009B"$'\xe5\xad\x97"'
	expect_equal "$(jq -r .path <<<"$said")" "$mnt/private/$odd" "the path that $command prints"
done
rm "$mnt/private/$odd"
bfs sync --timeout 60
expect_equal "$("$BORDERFS" where -r --json "$mnt" | jq -r '.object_zones[0] + " " + .object_names[0]' | sed -n 's/^foreign //p' | sort -u)" \
	"$(cd "$abroad" && find . -type f -name '[0-9a-f]*' | sed 's|^\./||' | sort)" "the objects abroad"
expect_status 1 bfs where "$mnt/missing" "$mnt/private/1"
expect_says "$mnt/missing: No such file or directory" "$mnt/private/1"
expect_status 1 "$BORDERFS" where /etc/passwd
expect_says "/etc/passwd: not in a borderfs mount"
expect_status 1 bfs where /etc/passwd
expect_says "/etc/passwd does not lie in the mount of $ini, which is at $mnt"
expect_status 1 bfs where /etc/passwd /etc/group "$mnt/private/1"
expect_says "/etc/group does not lie in the mount of" "$mnt/private/1"
expect_status 0 "$BORDERFS" explain "$mnt/public/deep/er/1"
expect_says "zone foreign by rule public-goes-out" "      no       tag=personal  no tags"
expect_equal "$("$BORDERFS" explain --json "$mnt/public/deep/er/1" | jq -r '.zone, .names[0].rules[0].failed')" "foreign
tag=personal" "the explanation"
expect_status 0 bfs status
expect_says "mounted at $mnt (process $daemon_pid)" "waiting: nothing"
expect_equal "$(bfs status --json | jq -r '.waiting.files, .failed, (.zones[].backends[] | .name, .up)')" "0
null
home
true
abroad
true" "the status"
{ timeout 4 "$BORDERFS" status -c "$ini" --watch --json || [ $? = 124 ]; } >"$TEST_TMP/watched"
[ "$(jq -r .name "$TEST_TMP/watched" | wc -l)" -ge 3 ] || fail "status --watch did not go on"

step "tags"
file=$mnt/public/deep/er/1
bfs tag add "$file" personal 'two words'
"$BORDERFS" tag add "$file" personal
expect_equal "$(getfattr --absolute-names --only-values -n user.xdg.tags "$file")" "personal,two words" "the attribute"
expect_equal "$("$BORDERFS" tag ls --json "$file" | jq -c .tags)" '["personal","two words"]' "the tags"
expect_status 2 bfs tag add "$file" a,b
expect_says "a comma separates tags"
expect_status 2 bfs tag add "$file" $'a\nb'
setfattr -n user.xdg.tags -v shared "$mnt/public"
expect_equal "$(bfs tag ls --all --json "$file" | jq -c '[.tags[] | [.tag, .origin, .from]]')" \
	'[["personal","user",null],["two words","user",null],["shared","inherited","/public"]]' "the tags' origins"
expect_equal "$(bfs tag ls -a "$file" | sed 's/ *$//')" "personal   user
two words  user
shared     inherited  /public" "the tags' origins"
setfattr -x user.xdg.tags "$mnt/public"
bfs sync "$file" --timeout 60
is_stored "$file" domestic || fail "not at home: $(bfs where "$file")"
bfs tag rm "$file" 'two words' never-set
expect_equal "$(bfs tag ls "$file")" "personal" "the tags"
bfs tag rm "$file" personal
expect_equal "$(bfs tag ls "$file")" "" "the tags"
expect_status 1 getfattr -n user.xdg.tags "$file"
expect_status 1 bfs tag add /proc/self personal
expect_status 1 bfs tag ls "$mnt/missing"
expect_says "$mnt/missing: No such file or directory"

step "sync that does not come to an end"
mv "$abroad" "$abroad.away"
mkdir "$mnt/public/waiting"
echo late >"$mnt/public/late"
head -c 20000 /dev/zero >"$mnt/public/waiting/1"
head -c 30000 /dev/zero >"$mnt/public/waiting/2"
expect_status 4 bfs sync --timeout 1
expect_says "backend 'abroad'" "is not a directory"
expect_status 4 bfs sync "$mnt/public/late" --timeout 1
expect_says '1 file, 5 B left' # and nothing of others
expect_status 4 bfs sync "$mnt/public/waiting" --timeout 1
expect_says '2 files, 48.8 KiB left'
expect_status 4 bfs sync "$mnt/public" --timeout 1
expect_status 2 bfs sync --timeout never
expect_status 0 bfs status
expect_says "failing" "is not a directory"
expect_status 4 bfs umount --wait --timeout 1 "$mnt"
is_mounted || fail "unmounted though it was not complete"
status=0
timeout -s INT 1 "$BORDERFS" sync -c "$ini" || status=$?
expect_equal "$status" 124 "an interrupted sync"
mv "$abroad.away" "$abroad"
bfs sync --timeout 90
is_stored "$mnt/public/late" foreign || fail "not stored: $(bfs where "$mnt/public/late")"

step "reload"
expect_status 0 bfs reload
sed -i 's|^path = /public/|path = /private/|' "$ini"
bfs reload
expect_equal "$("$BORDERFS" explain --json "$mnt/private/1" | jq -r .rule)" public-goes-out "the rule"
directories_config
bfs reload
echo 'nonsense = 1' >>"$ini"
expect_status 1 bfs reload
expect_says "$ini:$line: error: " "what was in force stays in force"
expect_status 0 "$BORDERFS" where "$mnt/private/1" # asks though the file has errors
export=allow directories_config
expect_status 3 bfs reload
expect_says "export = allow is looser than deny"
abroad_path=$TEST_TMP/elsewhere directories_config
sed -i 's|^path = /public/|path = /private/|' "$ini"
expect_status 3 bfs reload
expect_says "backend abroad is \"local $abroad foreign\"" "the configuration now says \"local $TEST_TMP/elsewhere foreign\""
expect_equal "$("$BORDERFS" explain --json "$mnt/private/1" | jq -r .zone)" domestic "a reload is whole or not at all"
directories_config
kill -HUP "$daemon_pid"
within 10 grep -q "the configuration is in force" "$daemon_log"

step "reload: rules in a directory that cannot be read are not lost"
mkdir "$TEST_TMP/rules.d" "$mnt/public/hr"
printf '[tag personal]\npath = /public/hr/**\n' >"$TEST_TMP/rules.d/hr.ini"
echo anna >"$mnt/public/hr/anna"
filesystem_keys='include = rules.d/*.ini' directories_config
expect_status 0 bfs reload
expect_equal "$said" "" "what was said"
is_explained() { # at home, by the tag of the included file
	expect_equal "$("$BORDERFS" explain --json "$mnt/public/hr/anna" | jq -r '.zone, .rule')" "domestic
personal-data-stays" "the explanation"
}
is_explained
include_line=$(grep -n '^include' "$ini" | cut -d: -f1)
chmod 0 "$TEST_TMP/rules.d"
expect_status 1 powerless "$BORDERFS" rules check -c "$ini"
expect_says "$ini:$include_line: error: \"include\": $TEST_TMP/rules.d cannot be read: Permission denied"
chmod 700 "$TEST_TMP/rules.d"
mv "$TEST_TMP/rules.d" "$TEST_TMP/rules.away"
expect_status 1 bfs reload
expect_says "$ini:$include_line: error: \"include\": there is no directory $TEST_TMP/rules.d" "what was in force stays in force"
is_explained
mv "$TEST_TMP/rules.away" "$TEST_TMP/rules.d"
chmod 0 "$TEST_TMP/rules.d/hr.ini"
expect_status 1 powerless "$BORDERFS" rules check -c "$ini"
expect_says "$ini:$include_line: error: \"include\": $TEST_TMP/rules.d/hr.ini cannot be read: Permission denied"
rm "$TEST_TMP/rules.d/hr.ini"
mkfifo "$TEST_TMP/rules.d/hr.ini"
expect_status 1 timeout 5 "$BORDERFS" reload -c "$ini"
expect_says "$ini:$include_line: error: \"include\": $TEST_TMP/rules.d/hr.ini is not a regular file"
is_explained
rm "$TEST_TMP/rules.d/hr.ini"
expect_status 0 bfs reload
expect_says "$ini:$include_line: warning: \"include\": nothing matches rules.d/*.ini"
directories_config
bfs reload
bfs sync --timeout 60

step "reload: a backend in the mount itself, above it, or in the store"
for path in "$mnt/cloud" "$TEST_TMP" "$store"; do
	directories_config
	sed -i 's/^backends = abroad/&, itself/' "$ini"
	printf '[backend itself]\ntype = local\npath = %s\n' "$path" >>"$ini"
	expect_status 1 timeout 20 "$BORDERFS" reload -c "$ini"
	expect_says "backend " "itself" " $path" apart
done
expect_says "what was in force stays in force"
directories_config
bfs reload

step "cache drop"
expect_status 0 bfs cache drop
expect_says "dropped"
expect_equal "$(bfs cache drop --json | jq .bytes_left)" 0 "what is left"

step "cache pin"
expect_status 0 bfs cache pin "$mnt/private"
expect_says "$mnt/private: " " files pinned, "
expect_equal "$(bfs cache unpin --json "$mnt/private/1" | jq -c '[.files, .path]')" "[1,\"$mnt/private/1\"]" "one less"
expect_status 0 bfs cache show
expect_says "pinned at most     512.0 MiB"
head -c 1M /dev/urandom >"$mnt/private/pinned"
expect_status 0 bfs cache pin "$mnt/private/pinned"
expect_says "$mnt/private/pinned: 1 file pinned, 1.0 MiB"
bfs sync
expect_status 0 bfs cache drop
expect_says "1.0 MiB stay, for they are pinned"
expect_equal "$(bfs cache show --json | jq '.bytes_pinned > 1000000 and .bytes_pinned <= .bytes')" true "what is pinned"
expect_status 0 bfs cache unpin "$mnt/private"
expect_status 1 bfs cache pin /etc/passwd

step "umount: busy, and not"
(cd "$mnt" && exec sleep 60) &
sleeper=$!
within 10 is_held
expect_status 1 bfs umount "$mnt"
expect_says "$mnt is in use" "fuser -vm $mnt" "borderfs umount --lazy $mnt"
expect_status 0 bfs status
kill "$sleeper"
wait "$sleeper" || true
bfs umount --wait "$mnt"
! is_mounted || fail "still mounted"
daemon_ended || fail "the daemon goes on"
[ ! -e "$store/control.sock" ] || fail "the socket stayed"
expect_status 0 bfs cache drop

step "mount by recovery words, lazy umount under an open file"
bfs_background -w "$words"
exec 7>"$mnt/private/open"
expect_status 0 bfs umount --lazy "$mnt"
expect_says "$mnt is detached; its daemon, process $daemon_pid, ends when the last file is closed"
! is_mounted || fail "still mounted"
echo written >&7
expect_status 1 bfs mount "$mnt"
expect_says "$store is in use by process $daemon_pid"
exec 7>&-
within 10 daemon_ended
bfs_background
expect_equal "$(cat "$mnt/private/open")" written "what was written before"

step "a killed daemon: a dead mount is replaced, or taken away"
kill -KILL "$daemon_pid"
within 10 ls_fails
expect_status 1 bfs status
bfs_background
expect_equal "$(cat "$mnt/private/open")" written "what was written before"
kill -KILL "$daemon_pid"
within 10 ls_fails
bfs umount "$mnt"
! is_mounted || fail "still mounted"

step "SIGTERM"
bfs_background
kill -TERM "$daemon_pid"
within 10 not_mounted
within 10 grep -q "unmounted: everything is durable" "$daemon_log"

step "SIGTERM under an open file: the daemon ends at once, and what was written is kept"
bfs_mount
exec 7>"$mnt/private/busy"
echo "written before the end" >&7
kill -TERM "$daemon_pid"
status=0
takes wait "$daemon_pid" || status=$?
expect_equal "$status" 0 "the daemon's status"
[ "$took_ms" -lt 5000 ] || fail "it took $took_ms ms"
! is_mounted || fail "still mounted"
exec 7>&-
bfs_background
expect_equal "$(cat "$mnt/private/busy")" "written before the end" "what was written before"
bfs umount "$mnt"

step "a FIFO in the place of the configuration holds up nobody"
bfs_background
mv "$ini" "$ini.away"
mkfifo "$ini"
expect_status 1 timeout 5 "$BORDERFS" rules check -c "$ini"
expect_says "$ini: error: is not a regular file"
expect_status 1 timeout 5 "$BORDERFS" status -c "$ini"
expect_says "$ini is not a regular file"
expect_status 1 timeout 5 "$BORDERFS" status -c /dev/zero
expect_says "/dev/zero is not a regular file"
kill -HUP "$daemon_pid"
within 10 grep -qF "$ini is not valid: what was in force stays in force" "$daemon_log"
kill -TERM "$daemon_pid"
within 10 daemon_ended
! is_mounted || fail "still mounted"
mv "$ini.away" "$ini"

step "a disk of the configuration that does not answer holds up nobody but who asked for a reload"
disk_ini=$TEST_TMP/disk.ini
sed -e "s|^store = .*|store = $TEST_TMP/disk-store|" -e "s|= $home|= $home-disk|" -e "s|= $abroad|= $abroad-disk|" "$ini" >"$disk_ini"
"$BORDERFS" init -c "$disk_ini" --offline --kdf minimum --words-file "$TEST_TMP/disk-words"
"$BORDERFS" mount -c "$disk_ini" -l "$TEST_TMP/disk.log" "$TEST_TMP/second"
disk_pid=$("$BORDERFS" status -c "$disk_ini" --json | jq .pid)
filesystem_keys="include = $TEST_TMP/second/*.ini" directories_config
printf '[tag personal]\npath = /hr/**\n' >"$TEST_TMP/second/hr.ini"
for end in TERM umount; do
	bfs_background
	kill -STOP "$disk_pid"
	within 10 disk_stopped
	kill -HUP "$daemon_pid"
	"$BORDERFS" reload -c "$ini" >"$TEST_TMP/reload-said" 2>&1 &
	asker=$!
	within 10 two_reload
	expect_status 0 timeout 5 "$BORDERFS" status -c "$ini"
	echo goes-on >"$mnt/private/goes-on"
	if [ $end = TERM ]; then
		kill -TERM "$daemon_pid"
	else
		expect_status 0 timeout 5 "$BORDERFS" umount "$mnt"
	fi
	within 10 daemon_ended
	status=0
	wait "$asker" || status=$?
	expect_equal "$status" 1 "the reload's status"
	grep -qF "the filesystem is being unmounted" "$TEST_TMP/reload-said" || fail "the reload said: $(cat "$TEST_TMP/reload-said")"
	kill -CONT "$disk_pid"
done
within 10 "$BORDERFS" umount "$TEST_TMP/second" # what is left of a daemon that ended may hold it for a moment
directories_config

step "as mount(8) calls it"
ln -s "$BORDERFS" "$TEST_TMP/mount.fuse.borderfs"
"$TEST_TMP/mount.fuse.borderfs" "$ini" "$mnt" -o "ro,noexec,_netdev,x-systemd.automount,log=$daemon_log"
expect_status 1 touch "$mnt/new"
grep -F " $mnt fuse" /proc/self/mounts | grep -q 'ro,.*noexec' || fail "the options are not those given"
bfs umount
"$BORDERFS" "$ini" "$mnt" -o "rw,log=$daemon_log"
touch "$mnt/new"
if [ "$(id -u)" = 0 ]; then
	findmnt -n -o VFS-OPTIONS "$mnt" | grep -qE 'nodev|nosuid' && fail "nodev and nosuid were not asked for"
	"$TEST_TMP/mount.fuse.borderfs" "$ini" "$mnt" -o "remount,ro,nodev,log=$daemon_log"
	expect_equal "$(findmnt -n -o OPTIONS "$mnt" | cut -d, -f1,2)" "ro,nodev" "remounted"
	expect_status 1 touch "$mnt/newer"
	"$TEST_TMP/mount.fuse.borderfs" "$ini" "$mnt" -o "remount,rw"
	touch "$mnt/newer"
	expect_status 1 "$TEST_TMP/mount.fuse.borderfs" "$ini" "$TEST_TMP" -o "remount,rw"
	expect_says "$TEST_TMP cannot be remounted: Invalid argument"
fi
bfs umount "$mnt"

step "on a terminal"
good_store=$store
store=$TEST_TMP/typed-store directories_config
sed -i '/^\[keys\]/,/^passphrase-file/d' "$ini"
expect_status 1 setsid -w "$BORDERFS" init -c "$ini" --kdf minimum --words-file "$TEST_TMP/w"
expect_says "there is no terminal to ask for the passphrase on" "--passphrase-file"
expect_status 1 typed first second -- "$BORDERFS" init -c "$ini" --kdf minimum --offline
expect_says "the two passphrases differ"
expect_status 130 typed "^C" -- "$BORDERFS" init -c "$ini" --kdf minimum --offline
expect_status 0 typed "my secret" "my secret" -- "$BORDERFS" init -c "$ini" --kdf minimum --offline
expect_says "New passphrase: " "The recovery words open the store"
[[ $said != *"my secret"* ]] || fail "the passphrase was shown"
store=$good_store
expect_status 1 typed "my secre" -- "$BORDERFS" mount -c "$ini" "$mnt"
expect_says "does not open this store"
expect_status 0 typed "my secret" -- "$BORDERFS" mount -c "$ini" -l "$daemon_log" "$mnt"
is_mounted || fail "not mounted"
bfs umount "$mnt"

step "a store of another user"
if [ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1; then
	directories_config
	bfs_background
	chmod a+x "$TEST_TMP" "${TEST_TMP%/*}" # the runner's own
	chmod 644 "$ini"
	expect_status 1 setpriv --reuid=nobody --clear-groups "$BORDERFS" status -c "$ini"
	expect_says "belongs to another user"
	for lazy in '' --lazy; do
		expect_status 1 setpriv --reuid=nobody --clear-groups "$BORDERFS" umount $lazy "$mnt"
		expect_equal "$said" "borderfs: $mnt was mounted by another user, root (0): only they and root can unmount it" "what was said"
	done
	expect_status 0 bfs status
	bfs umount "$mnt"
fi
