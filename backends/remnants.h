/* SPDX-License-Identifier: GPL-3.0-or-later */
/* remnants: pages of what a backend keeps, objects or not (backend.h). Nothing here blocks. */
#ifndef BACKENDS_REMNANTS_H
#define BACKENDS_REMNANTS_H

#include "backends/backend.h"

/* remnants_add: takes the strings of r, also after an error. -ERR_PROTOCOL where the page has more than any server may
 * send, -ENOMEM. */
int remnants_add(struct backend_remnants *, const struct backend_remnant *r);
/* remnants_clear: what the page holds; where the next begins stays. remnants_free: that too. */
void remnants_clear(struct backend_remnants *);
void remnants_free(struct backend_remnants *);

#endif
