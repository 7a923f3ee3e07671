/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/core/acl.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define ACL_VERSION 2

/* as in the attribute, which may lie at any address */
struct __attribute__((packed)) acl_header {
	uint32_t version;
};
struct __attribute__((packed)) acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

static size_t count_of(size_t len)
{
	return (len - sizeof(struct acl_header)) / sizeof(struct acl_entry);
}

static struct acl_entry *entries_of(const void *list)
{
	return (struct acl_entry *)((uintptr_t)list + sizeof(struct acl_header));
}

/* NULL: the list has none of the tag. */
static struct acl_entry *find(const void *list, size_t len, unsigned tag)
{
	struct acl_entry *e = entries_of(list);

	for (size_t i = 0; i < count_of(len); i++)
		if (le16toh(e[i].tag) == tag)
			return &e[i];
	return NULL;
}

static mode_t perm(const struct acl_entry *e)
{
	return le16toh(e->perm) & 7;
}

static void set_perm(struct acl_entry *e, mode_t mode)
{
	e->perm = htole16((uint16_t)(mode & 7));
}

bool acl_is_name(const char *xattr)
{
	return strcmp(xattr, ACL_ACCESS) == 0 || strcmp(xattr, ACL_DEFAULT) == 0;
}

int acl_check(const void *list, size_t len)
{
	const struct acl_header *header = list;

	if (len < sizeof(*header) || (len - sizeof(*header)) % sizeof(struct acl_entry) != 0 ||
		le32toh(header->version) != ACL_VERSION)
		return -EINVAL;
	return find(list, len, ACL_USER_OBJ) && find(list, len, ACL_GROUP_OBJ) && find(list, len, ACL_OTHER) ? 0
													     : -EINVAL;
}

/* The entry that the group's bits of the mode stand for. */
static struct acl_entry *group_bits(const void *list, size_t len)
{
	struct acl_entry *mask = find(list, len, ACL_MASK);

	return mask ? mask : find(list, len, ACL_GROUP_OBJ);
}

mode_t acl_mode(const void *list, size_t len, bool *plain)
{
	*plain = !find(list, len, ACL_USER) && !find(list, len, ACL_GROUP) && !find(list, len, ACL_MASK);
	return perm(find(list, len, ACL_USER_OBJ)) << 6 | perm(group_bits(list, len)) << 3 |
	       perm(find(list, len, ACL_OTHER));
}

void acl_chmod(void *list, size_t len, mode_t mode)
{
	set_perm(find(list, len, ACL_USER_OBJ), mode >> 6);
	set_perm(group_bits(list, len), mode >> 3);
	set_perm(find(list, len, ACL_OTHER), mode);
}

bool acl_inherit(void *list, size_t len, mode_t *mode)
{
	bool plain;
	mode_t both = acl_mode(list, len, &plain) & *mode;

	acl_chmod(list, len, both);
	*mode = (*mode & ~(mode_t)ACCESSPERMS) | both;
	return !plain;
}
