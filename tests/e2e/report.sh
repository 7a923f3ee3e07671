#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=120
# The report of a store whose every file is known: in each form the same, whatever the names.
. "${0%/*}/lib.sh"
. "$TOP/tests/e2e/report-store.bash"

report_store

# rows SECTION FILTER: of the report, one a line
rows() {
	bfs report --json | jq -r "select(.section == \"$1\") | $2"
}

backend_is_named() {
	rows exception .name | grep -qx 'unreachable\|failing'
}

step "by zone, country, backend, rule, tag, owner, month"
line='"\(.name) \(.files) \(.bytes)"'
expect_equal "$(rows total '"\(.files) \(.bytes)"')" "6 20100" total
expect_equal "$(rows zone "$line + \" \(.kind) \(.home)\"")" "foreign 2 11000 foreign false
domestic 4 9100 domestic true" zones
expect_equal "$(rows country "$line + \" \(.kind)\"")" "US, SG 2 11000 foreign
CN 4 9100 domestic" countries
expect_equal "$(rows backend "$line + \" \" + .zone")" "far 2 11000 foreign
near 4 9100 domestic" backends
expect_equal "$(rows rule "$line")" "public-goes-out 2 11000
(default) 3 8100
personal-data-stays 1 1000" rules
expect_equal "$(rows tag "$line")" 'urgent 3 8100
=1+1 2 3100
personal 1 1000
<b>&" 1 100' "tags, inherited ones too, each file once"
expect_equal "$(rows owner "\"\(.uid) \(.files) \(.bytes)\"" | xargs -n 3 | wc -l)" "$(rows owner .name | wc -l)" owners
expect_equal "$(rows month "$line" | sed -n 1p)" "2025-03 1 5000" "the first month"

step "what crossed a border"
expect_equal "$(rows flow '"\(.from) \(.to) \(.files) \(.bytes) \(.direction)"')" "domestic foreign 1 1000 abroad" flows
expect_equal "$(rows crossing '"\(.kind) \(.from) \(.to) \(.direction) \(.rule) \(.name)"')" \
	"export domestic foreign abroad public-goes-out /public/$hostile" crossings
expect_equal "$(rows crossing .ino)" "$(stat -c %i "$mnt/public/$hostile")" "the number of the file"

step "evidence"
expect_equal "$(rows evidence .name)" "audit log up to
rules in force since" evidence
expect_equal "$(rows evidence 'select(.lines) | "\(.lines) \(.findings) \(.mac)"')" \
	"$(bfs audit verify --json | jq -r '"\(.lines) \(.findings) \(.mac)"')" "what the audit log holds"

step "exceptions"
expect_equal "$(rows exception .name)" "" "exceptions"
mv "$far" "$far.away"
echo new >"$mnt/public/later"
within 20 backend_is_named
expect_equal "$(rows exception 'select(.name == "waiting") | "\(.files) \(.bytes)"')" "1 4" "what waits"
expect_equal "$(rows exception 'select(.name == "cannot store") | .text')" \
	"zone foreign: 0 of its backends can store data now, and 1 must" "a zone that takes nothing"
mv "$far.away" "$far"
rm "$mnt/public/later"

step "the other forms"
bfs report >"$TEST_TMP/text"
grep -q $'\033' "$TEST_TMP/text" && fail "what a terminal obeys was printed"
grep -Eq '^  domestic +4 +8.9 KiB +domestic$' "$TEST_TMP/text" || fail "text: $(cat "$TEST_TMP/text")"
grep -Eq '^  audit log up to 20[0-9-]+T[0-9:]+Z: [0-9]+ lines, none removed' "$TEST_TMP/text" ||
	fail "text: $(cat "$TEST_TMP/text")"
bfs report --csv >"$TEST_TMP/csv"
python3 - "$TEST_TMP/csv" <<-'PYTHON'
	import csv, sys
	rows = list(csv.DictReader(open(sys.argv[1], newline="")))
	tags = {r["name"]: r["bytes"] for r in rows if r["section"] == "tag"}
	assert tags == {"urgent": "8100", "personal": "1000", "'=1+1": "3100", '<b>&"': "100"}, tags
	(crossing,) = [r for r in rows if r["section"] == "crossing"]
	assert crossing["rule"] == "public-goes-out" and crossing["direction"] == "abroad" and crossing["ino"] and "\\x1b" in crossing["name"], crossing
PYTHON
bfs report --html "$TEST_TMP/report.html"
expect_equal "$(stat -c %a "$TEST_TMP/report.html")" 600 "mode of the page"
python3 - "$TEST_TMP/report.html" <<-'PYTHON'
	import html.parser, sys
	class Page(html.parser.HTMLParser):
	    open, seen = [], set()
	    def handle_starttag(self, tag, attrs):
	        self.seen.add(tag)
	        assert not [a for a, v in attrs if a.startswith("on") or a in ("src", "href")], (tag, attrs)
	        if tag != "meta": self.open.append(tag)
	    def handle_startendtag(self, tag, attrs):
	        self.seen.add(tag)
	    def handle_endtag(self, tag):
	        assert self.open.pop() == tag, tag
	page = Page()
	page.feed(open(sys.argv[1], encoding="utf-8").read())
	page.close()
	assert page.open == [], page.open
	assert not page.seen & {"script", "img", "link", "iframe", "object", "a"}, page.seen
PYTHON

step "what cannot be asked"
expect_status 2 bfs report --csv --json
expect_says "one of --html, --csv and --json"
expect_status 1 bfs report --html "$TEST_TMP/no/such/directory.html"
expect_says "cannot be written"
bfs_umount
expect_status 1 bfs report
expect_says "is not mounted"
