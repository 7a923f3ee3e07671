/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy: root's files in /etc/borderfs/policy.d, which bind every configuration of this machine. Private to config/.
 *
 * They hold [policy], once, and [tag] and [rule] sections, which come before all others; a rule of theirs names a
 * domestic zone, or none: home. A policy that is there and cannot be taken at its word is an error, and nothing
 * starts: no file of it may be a link, be another's than root's or be writable by others, and neither may the
 * directories that lead there. */
#ifndef CONFIG_POLICY_H
#define CONFIG_POLICY_H

#include "config/load.h"

#define POLICY_DIRECTORY "/etc/borderfs/policy.d"

/* policy_files: the *.ini of the directory in byte order; NULL: there are none. What is not root's is an error of the
 * load. -ENOMEM. */
int policy_files(struct load *, char ***out);
/* policy_bind: reads [policy] and tightens, or refuses, the zones, which are loaded and linked. */
void policy_bind(struct load *);
void policy_free(struct policy *);

#endif
