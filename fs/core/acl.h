/* SPDX-License-Identifier: GPL-3.0-or-later */
/* acl: POSIX access control lists, as the kernel passes and reads them: attributes of version 2, little-endian. What
 * they allow is the kernel's to decide; core keeps a file's mode and its list in step, and hands default lists down. */
#ifndef FS_CORE_ACL_H
#define FS_CORE_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

bool acl_is_name(const char *xattr);
/* acl_check: -EINVAL for bytes that are no list of a known version. The others take only what passed it. */
int acl_check(const void *list, size_t len);
/* acl_mode: the permission bits that the list says. *plain: it says no more than those. */
mode_t acl_mode(const void *list, size_t len, bool *plain);
/* acl_chmod: the list follows a new mode. */
void acl_chmod(void *list, size_t len, mode_t);
/* acl_inherit: a copy of a directory's default list becomes the access list of what is made with *mode in it, and
 * *mode what both allow. Returns whether the list says more than the mode. */
bool acl_inherit(void *list, size_t len, mode_t *mode);

#endif
