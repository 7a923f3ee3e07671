#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=180
# What needs approval to go abroad (I9): who may say what, and what becomes of the data. Two users and a group approve over
# the approvers' socket; none of them can reach the store.
. "${0%/*}/lib.sh"

[ "$(id -u)" = 0 ] || skip 'needs root'
settle=300ms
# approvers see the configuration and their socket, and nothing of the store
chmod go+x "$TEST_TMP" "${TEST_TMP%/*}"
program=$TEST_TMP/borderfs
install -m 755 "$BORDERFS" "$program"
sock=$TEST_TMP/approvers.sock

# config APPROVALS APPROVERS
config() {
	filesystem_keys="approvers-socket = $sock"
	export="approve
approvals = $1
approvers = $2"
	config_directories <<-INI
		[rule personal-stays]
		tag = personal
		zone = domestic
		[rule goes-out]
		path = /public/**
		zone = foreign
		[rule counts]
		path = /counted/**
		zone = foreign
		warn-after = 1 file
		stop-after = 2 files
	INI
}

# as UID GROUPS COMMAND...: of borderfs, as that user, with -c
as() {
	local uid=$1 groups=$2
	shift 2
	setpriv --reuid "$uid" --regid "$uid" --groups "$groups" "$program" "$@" </dev/null
}
ann() { as 4001 4100 export "$1" -c "$ini" "${@:2}"; }
bob() { as 4002 4100,4101 export "$1" -c "$ini" "${@:2}"; }
eve() { as 4003 4103 export "$1" -c "$ini" "${@:2}"; }

# held NAME TEXT: a file that was at home by its tag, and whose rules now want it abroad
held() {
	echo "$2" >"$mnt/$1"
	bfs tag add "$mnt/$1" personal
	within 10 is_stored "$mnt/$1" domestic
	bfs tag rm "$mnt/$1" personal
	mv "$mnt/$1" "$mnt/public/$1"
}

# kept REASON: what the report says is kept back for it, and what explain says of PATH
kept() {
	bfs report --json | jq -r --arg reason "$1" 'select(.name == "kept back" and .reason == $reason) |
		"\(.rule) \(.files) \(.kept_by)"'
}
kept_by() {
	bfs explain --json "$1" | jq -r .kept_by
}
line_of() {
	grep -nF "$1" "$ini" | cut -d: -f1
}

# request_of PATH: the number of what is asked about it now, once it is asked.
request_of() {
	within 10 asked "$1"
	where_is "$1" request
}

asked() {
	[ "$(where_is "$1" state)" = awaiting-approval ] && [ "$(where_is "$1" request)" != null ]
}

is_home() {
	[ "$(where_is "$1" zone)" = domestic ] && [ "$(where_is "$1" object_zones)" = domestic ]
}

abroad() {
	find "$far" -type f | wc -l
}

# audited PATTERN: how many lines of the audit log match, of approvals.
audited() {
	bfs audit show --json --kind approval | grep -c "$1" || true
}

config 2 'uid:4001, gid:4101'
bfs_init
bfs_mount
mkdir "$mnt/public"

step 'who may ask'
held a one
a=$(request_of "$mnt/public/a")
expect_status 1 eve list
expect_says 'you are not among the approvers of any zone'
expect_status 1 eve approve "$a" --basis consent --yes
expect_equal "$(stat -c %a "$sock")" 666 'the mode of the socket'
expect_status 1 as 4001 4100 status -c "$ini"
expect_says 'belongs to another user'
expect_equal "$(ann list --json | jq -c '[.request, .path, .state, .from, .to, .rule, .needed, .owner]')" \
	"[$a,\"/public/a\",\"open\",\"domestic\",\"foreign\",\"goes-out\",2,\"root\"]" 'what ann sees'
expect_equal "$(bfs export list --json | jq .request)" "$a" 'what the owner of the store sees'
expect_status 3 bfs export approve "$a" --basis consent --yes
expect_says 'you are not among the approvers of zone domestic'

step 'what is to be said'
expect_status 2 ann approve "$a" --yes
expect_says 'say why with --basis'
expect_status 2 ann approve "$a" --basis consent
expect_says 'give --yes'
expect_status 2 ann approve "$a" --basis consent --yes --expires soon
expect_says 'no time at which an approval could expire'
expect_status 1 ann approve "$a" --basis consent --yes --expires 2001-01-01
expect_says 'has passed'
expect_status 1 ann approve 4711 /public/nothing --basis consent --yes
expect_says '4711: there is no such request to approve'

step 'two of them, each once'
expect_status 0 ann approve "$a" --basis consent --yes
expect_says "request $a: 1 of 2 approvers agree" /public/a
expect_status 0 ann approve "$a" --basis contract --yes
expect_says "request $a: 1 of 2 approvers agree"
expect_equal "$(where_is "$mnt/public/a" why)" "2 of its zone's approvers must agree to request $a, and 1 did" why
expect_equal "$(abroad)" 0 'objects abroad'
expect_status 0 bob approve /public/a --basis assessment --yes
expect_says "request $a: granted"
within 10 is_stored "$mnt/public/a" foreign
expect_equal "$(abroad)" 1 'objects abroad'
expect_equal "$(bfs export list --json | jq -c '[.state, [.votes[] | [.uid, .reason]]]')" \
	'["used",[[4001,"contract"],[4002,"assessment"]]]' 'what it was let go by'
expect_equal "$(bfs report --json | jq -c 'select(.section == "crossing" and .to == "foreign") | .approvals')" \
	'[{"approver":"uid:4001","reason":"contract"},{"approver":"uid:4002","reason":"assessment"}]' 'the report'
expect_equal "$(audited '"approved"') $(audited '"granted"') $(audited '"asked"')" '3 1 1' 'lines of the audit log'

step 'it holds across a crash'
bfs_kill
fusermount3 -u "$mnt"
bfs_mount
expect_equal "$(where_is "$mnt/public/a" zone)" foreign 'the zone after a crash'
expect_equal "$(where_is "$mnt/public/a" request)" "$a" 'the request after a crash'

step 'another content is another request'
echo two >>"$mnt/public/a"
within 10 is_home "$mnt/public/a"
within 10 asked "$mnt/public/a"
b=$(request_of "$mnt/public/a")
[ "$b" -gt "$a" ] || fail "request $b is not a new one"
within 20 bfs sync --timeout 10 "$mnt/public/a"
expect_equal "$(abroad)" 0 'objects abroad'
expect_status 1 ann approve "$a" --basis consent --yes
expect_says "$a: request $a (/public/a) is over: the file, or what is asked about it, was changed or deleted, on 20" \
	'UTC: see `borderfs export list --all`'
expect_equal "$(printf 'one\ntwo\n')" "$(cat "$mnt/public/a")" 'the content'

step 'denied'
expect_status 2 bob deny "$b" --yes
expect_says 'say why with --reason'
expect_status 0 bob deny "$b" --reason 'names of patients' --yes
expect_equal "$(where_is "$mnt/public/a" why)" "request $b was denied" why
expect_equal "$(where_is "$mnt/public/a" held)" true 'held'
keeper="export = approve of zone domestic ($ini:$(line_of 'export = approve'))"
expect_equal "$(kept denied)" "goes-out 1 $keeper" 'what the report says is kept back'
expect_equal "$(kept_by "$mnt/public/a")" "$keeper" 'what explain says keeps it'
expect_status 1 ann approve "$b" --basis consent --yes
expect_status 3 bfs export withdraw "$b" --reason again --yes
expect_says 'only an approver may have it asked anew'
expect_status 0 ann withdraw "$b" --reason again --yes
c=$(request_of "$mnt/public/a")
[ "$c" -gt "$b" ] || fail "request $c is not a new one"

step 'a pattern covers what was listed'
held d dee
held e eee
request_of "$mnt/public/d" >/dev/null
request_of "$mnt/public/e" >/dev/null
expect_status 0 ann approve '/public/[de]' --basis consent --yes
expect_says /public/d /public/e '1 of 2'
[[ $said != */public/a* ]] || fail "what was not asked for is covered: $said"
# what changed since it was listed is refused, before anybody judged it
e=$(where_is "$mnt/public/e" request)
echo more >>"$mnt/public/e"
expect_status 1 bob approve "$e" "$mnt/public/d" --basis consent --yes
expect_says "request $e (/public/e)" 'has changed since' '1 of 2 requests stay as they were'
within 10 is_stored "$mnt/public/d" foreign

step 'withdrawn by the owner of the store'
expect_status 0 bfs export withdraw /public/d --reason 'contract is over' --yes
within 10 is_home "$mnt/public/d"
asked "$mnt/public/d" || within 10 asked "$mnt/public/d"

step 'expired'
d=$(request_of "$mnt/public/d")
ann approve "$d" --basis consent --yes --expires 1d >/dev/null
bob approve "$d" --basis consent --yes --expires 4s >/dev/null
within 4 is_stored "$mnt/public/d" foreign
within 10 is_home "$mnt/public/d"
expect_equal "$(audited '"expired"')" 1 'lines of the audit log'
expect_equal "$(bfs export list --all --json | jq -r "select(.request == $d) | .state")" expired "what the list says"

step 'a person is asked whether what is listed is meant'
d=$(request_of "$mnt/public/d")
said=$(echo no | script -qec "'$BORDERFS' export withdraw -c '$ini' $d --reason over" /dev/null) && fail 'it was done all the same'
expect_says 'withdraw 1 request? [y/N]' /public/d 'nothing was said'
expect_equal "$(where_is "$mnt/public/d" request)" "$d" 'the request'
said=$(echo yes | script -qec "'$BORDERFS' export withdraw -c '$ini' $d --reason over" /dev/null)
expect_says "request $d: withdrawn"

step 'a rule that counts'
mkdir "$mnt/counted"
for name in one two; do
	echo "$name" >"$mnt/counted/$name"
	within 10 is_stored "$mnt/counted/$name" foreign
done
echo three >"$mnt/counted/three"
within 10 is_stored "$mnt/counted/three" domestic
expect_equal "$(where_is "$mnt/counted/three" kept_back)" true "kept back"
keeper="stop-after of rule counts ($ini:$(line_of '[rule counts]'))"
expect_equal "$(kept stop-after)" "counts 1 $keeper" 'what the report says is kept back'
[[ $(bfs explain "$mnt/counted/three") == *"kept by $keeper"* ]] || fail "explain: $(bfs explain "$mnt/counted/three")"
[[ $(bfs report) == *"6 B   $keeper keeps them until the month is over; they are wanted abroad by rule counts"* ]] ||
	fail "report: $(bfs report)"
expect_equal "$(kept approval | cut -d' ' -f1,2)" "goes-out $(bfs export list --json | jq -c 'select(.state == "open")' | wc -l)" \
	'what waits for approvers'
[[ $(bfs explain "$mnt/counted/three") == *'2 files, 8 B, have left under rule counts in this month'* ]] ||
	fail "explain: $(bfs explain "$mnt/counted/three")"
expect_equal "$(bfs status --json | jq -c '.exports.limits[0] | [.rule, .files, .bytes, .warn, .stop]')" \
	'["counts",2,8,true,true]' 'what left in this month'
expect_status 0 bfs status
expect_says 'export:  rule counts: 2 files' 'STOPPED, nothing more leaves under it'
grep -q 'rule counts: 1 files, 4 bytes have left under it in this month: its warn-after is reached' "$daemon_log" ||
	fail 'the log does not warn'
expect_equal "$(bfs audit show --json --kind limit | jq -r .facts.what | paste -sd ' ')" 'warn stop' 'lines of the audit log'

step 'the policy is not loosened by a reload'
config 1 'uid:4001, gid:4101'
expect_status 3 bfs reload
expect_says 'approvals = 1 is fewer than 2'
config 2 'uid:4001, gid:4101, uid:4003'
expect_status 3 bfs reload
expect_says 'approvers names someone'
bfs umount "$mnt"
