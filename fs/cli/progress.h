/* SPDX-License-Identifier: GPL-3.0-or-later */
/* progress: what waits to be uploaded, shown on standard error while a command waits for it: a bar on a terminal, a
 * line every few seconds elsewhere. Fed with the daemon's status (fs/control/facts.h). */
#ifndef FS_CLI_PROGRESS_H
#define FS_CLI_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool terminal, shown;
	const char *unit;		  /* what is counted, "object"; NULL: files */
	int64_t total_bytes, total_files; /* the most that waited */
	int64_t next_line_ns;
};
void progress_init(struct progress *);
void progress_update(struct progress *, const json_t *status);
void progress_end(struct progress *); /* leaves the terminal's line */

/* progress_text: "[####      ]  40%  12 files, 3.2 MiB left, 1.1 MiB/s, about 3s" into out; width of the bar in
 * columns, 0: none. */
void progress_text(const struct progress *, const json_t *status, int width, char *out, size_t len);

#endif
