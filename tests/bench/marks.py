# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command makes stands between two marks of a text whose other words stay."""

import sys


def put_between_marks(path, name, text):
	"""Replaces what is between <!-- NAME: begin --> and <!-- NAME: end -->."""
	begin, end = f'<!-- {name}: begin -->', f'<!-- {name}: end -->'
	old = path.read_text() if path.exists() else f'# Performance\n\n{begin}\n{end}\n'
	before, found, rest = old.partition(begin)
	_, closed, after = rest.partition(end)
	if not found or not closed:
		sys.exit(f'{path}: the marks "{begin}" and "{end}" are not there')
	path.write_text(f'{before}{begin}\n{text}\n{end}{after}')
