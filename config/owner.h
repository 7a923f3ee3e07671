/* SPDX-License-Identifier: GPL-3.0-or-later */
/* owner: users and groups by name or number, as the system knows them when a configuration is read. */
#ifndef CONFIG_OWNER_H
#define CONFIG_OWNER_H

#include <stdbool.h>
#include <stdint.h>

/* owner_user, owner_group: the number of a name; false where there is none. May ask whatever the system's databases of
 * names are. */
bool owner_user(const char *name, uint32_t *id);
bool owner_group(const char *name, uint32_t *id);
/* owner_number: decimal digits; false for anything else, and for the number that stands for none. */
bool owner_number(const char *text, uint32_t *id);

#endif
