/* SPDX-License-Identifier: GPL-3.0-or-later */
/* approvers: whether those whom `approvers` names are there, and whether they are enough. Private to config/. May ask
 * whatever the system's databases of names are. */
#ifndef CONFIG_APPROVERS_H
#define CONFIG_APPROVERS_H

#include "config/load.h"

/* check_approvers: a warning at the origin for each that this machine does not know. */
void check_approvers(struct load *, char *const *approvers, const struct config_origin *);
/* check_approvals: an error where the zone asks for more than it names, a warning where for more than are known. s: its
 * section. */
void check_approvals(struct load *, const struct config_zone *, const struct doc_section *s);

#endif
