#!/bin/bash
# test: timeout=120
# SPDX-License-Identifier: GPL-3.0-or-later
# Root's policy (I9): what /etc/borderfs/policy.d binds, how it can be wrong, and that nothing starts then. /etc is a copy of
# the test's own: it runs in a mount namespace, where it is root.
if [ -z "${OWN_ETC-}" ]; then
	[ "$(id -u)" = 0 ] || user=-r
	OWN_ETC=yes exec unshare -m ${user-} "$0" "$@"
fi
. "${0%/*}/lib.sh"

etc=$TEST_TMP/etc
mkdir "$etc"
cp -rL /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.* /etc/fuse.conf /etc/mime.types "$etc" 2>/dev/null || :
mkdir -p "$etc/borderfs/policy.d"
mount --bind "$etc" /etc
policy=/etc/borderfs/policy.d/10-company.ini

# policy: the file from standard input. expect_refused TEXT...: the configuration is not taken, and by that.
policy() {
	cat >"$policy"
}
expect_refused() {
	expect_status 1 bfs rules check
	expect_says "$@"
}
expect_taken() {
	expect_status 0 bfs rules check
}

(umask 077 && echo 'correct horse battery staple' >"$passphrase")
mkdir "$TEST_TMP/near" "$TEST_TMP/far" "$mnt"

# config [DOMESTIC KEYS]: two zones over directories.
config() {
	{
		ini_filesystem
		printf '[zone domestic]\nkind = domestic\nbackends = near\n%s\n' "${1-}"
		printf '[backend near]\ntype = local\npath = %s\n' "$TEST_TMP/near"
		printf '[zone foreign]\nkind = foreign\nbackends = far\n[backend far]\ntype = local\npath = %s\n' "$TEST_TMP/far"
		printf '[tag out]\npath = /public/**\n[rule public-goes-out]\npath = /public/**\nzone = foreign\n'
	} >"$ini"
}

# line TEXT FILE: where it stands.
line() {
	grep -nF "$1" "$2" | cut -d: -f1
}

step "what a policy bounds"
config 'countries = CN'
policy <<<$'[policy]\nforeign = deny'
expect_refused "$ini:$(line 'kind = foreign' "$ini"): error: the zone \"foreign\" is foreign; expected none, as $policy:2 says"
policy <<<$'[policy]\ndomestic-countries = HK'
expect_refused "$ini:$(line 'countries = CN' "$ini"): error: country CN in the domestic zone \"domestic\"; expected those only that $policy:2 allows"
policy <<<$'[policy]\ndomestic-countries = HK, CN'
expect_taken
config
expect_refused "$ini:$(line '[zone domestic]' "$ini"): error: the domestic zone \"domestic\" has no \"countries\"; expected some that $policy:2 allows"
config 'networks = 10.0.7.0/24, 10.0.0.0/8'
policy <<<$'[policy]\ndomestic-networks = 10.0.0.0/16, fd00::/8'
expect_refused "$ini:$(line 'networks = 10.0' "$ini"): error: network 10.0.0.0/8 in the domestic zone \"domestic\"; expected those only that $policy:2 allows"
expect_equal "$(grep -c 'error:' <<<"$said")" 1 "the network that is allowed is none"
config $'countries = CN\ncountry-db = /nowhere.mmdb'
expect_refused "$ini:$(line 'country-db' "$ini"): error: \"country-db\" in the domestic zone \"domestic\"; expected \"networks\" only, as $policy:2 has them"

step "what it leaves to nobody is said in its own words"
config
policy <<<$'[policy]\nexport = never\nforeigners = deny'
expect_refused "$policy:2: error: " "deny, approve or allow" "$policy:3: error: unknown key \"foreigners\" in [policy]"
policy <<<$'[zone domestic]\nkind = domestic'
expect_refused "$policy:1: error: [zone domestic] may not stand in a policy; expected [policy], [tag NAME] or [rule NAME]"
policy <<<$'[rule abroad]\npath = /x/**\nzone = foreign'
expect_refused "$policy:3: error: the zone \"foreign\" is foreign; expected a domestic one in a policy's rule, or none for home"
policy <<<$'[rule near]\npath = /x/**\nzone = nowhere'
expect_refused "$policy:3: error: unknown zone \"nowhere\""
policy <<<$'[policy]\nexport = deny'
policy=/etc/borderfs/policy.d/20-branch.ini policy <<<$'[policy]\nexport = allow'
expect_refused "/etc/borderfs/policy.d/20-branch.ini:1: error: [policy] stands twice, first at $policy:1; expected it once"
rm /etc/borderfs/policy.d/20-branch.ini
printf '[policy]\nexport = allow\n' >>"$ini"
expect_refused "error: [policy] may only stand in a file in /etc/borderfs/policy.d"

step "a policy that others could have written is none, and nothing starts without"
config
policy <<<$'[policy]\nexport = deny'
expect_taken
for name in "$policy" /etc/borderfs/policy.d /etc/borderfs; do
	for mode in g+w o+w; do
		chmod "$mode" "$name"
		expect_refused "$name: error: no policy: expected that nobody but root may write to it (chmod go-w)"
		chmod go-w "$name"
	done
done
mv "$policy" "$TEST_TMP/elsewhere"
ln -s "$TEST_TMP/elsewhere" "$policy"
expect_refused "$policy: error: no policy: expected a regular file"
expect_status 1 bfs init --kdf minimum --words-file "$TEST_TMP/recovery-words"
expect_says "$policy: error: no policy: expected a regular file"
rm "$policy"
mv "$TEST_TMP/elsewhere" "$policy"
if chown 1 "$policy" 2>/dev/null; then
	expect_refused "$policy: error: no policy: expected root to own it"
	chown 0 "$policy"
fi
mv /etc/borderfs/policy.d /etc/borderfs/elsewhere
echo >/etc/borderfs/policy.d
expect_refused "/etc/borderfs/policy.d: error: no policy: expected a directory"
rm /etc/borderfs/policy.d
expect_taken
mv /etc/borderfs/elsewhere /etc/borderfs/policy.d

step "its rules come first, and its export policy is that of the zones"
config $'export = allow\napprovers = somebody'
policy <<<$'[policy]\nexport = approve\napprovers = uid0, group:auditors\napprovals = 2\n[tag secret]\npath = /public/hr/**\n[rule secrets-stay]\ntag = secret'
bfs_init
bfs_mount
mkdir -p "$mnt/public/hr"
echo pay >"$mnt/public/hr/a"
echo news >"$mnt/public/b"
expect_status 0 "$BORDERFS" explain "$mnt/public/hr/a"
expect_says "zone domestic by rule secrets-stay" "held: leaving needs what zone domestic says, export = approve" \
	"tag secret: rule from $policy:5" "[rule secrets-stay] $policy:7: decides for zone domestic"
expect_equal "$("$BORDERFS" explain --json "$mnt/public/b" | jq -r '.zone, .rule, (.names[0].rules | map(.name) | join(" "))' | xargs)" \
	"foreign public-goes-out secrets-stay public-goes-out" "what is no secret"
expect_equal "$(bfs rules list --json | jq -rs '.[0].name')" secrets-stay "the first rule"

step "a reload without it is looser than what the store accepted, and so is one that cannot have it"
chmod o+w "$policy"
expect_status 1 bfs reload
expect_says "$policy: error: no policy: expected that nobody but root may write to it"
chmod o-w "$policy"
mv "$policy" "$policy.off"
expect_status 3 bfs reload
expect_says "export"
mv "$policy.off" "$policy"
expect_status 0 bfs reload
expect_equal "$("$BORDERFS" explain --json "$mnt/public/hr/a" | jq -r .rule)" secrets-stay "all is as it was"
bfs_umount
