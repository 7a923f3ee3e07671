#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# test: timeout=5400 torture long
# move.sh with 20,000 files, 3 GiB.
export files=20000 file_bytes=161061 limit=40M/s pack=1M load_seconds=60 move_seconds=3000 cache=6G
exec "${0%/*}/move.sh"
