/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/approvers.h"

#include "config/owner.h"
#include "config/strv.h"

#include <string.h>

/* Who is named by number votes with it, whether it has a name or not. */
static bool approver_known(const char *who, uint32_t *id)
{
	if (strncmp(who, "uid:", 4) == 0 || strncmp(who, "gid:", 4) == 0)
		return owner_number(who + 4, id);
	return strncmp(who, "group:", 6) == 0 ? owner_group(who + 6, id) : owner_user(who, id);
}

static bool names_group(const char *who)
{
	return strncmp(who, "group:", 6) == 0 || strncmp(who, "gid:", 4) == 0;
}

/* They may be entered in the directory later, so this keeps nothing from being mounted. */
void check_approvers(struct load *l, char *const *approvers, const struct config_origin *origin)
{
	uint32_t id;

	for (size_t i = 0; approvers && approvers[i]; i++) {
		bool group = names_group(approvers[i]);

		if (!approver_known(approvers[i], &id))
			load_warn(l, origin,
				"\"approvers\" names the %s \"%s\", which this machine does not know: correct the "
				"name, "
				"or make the %s before anybody has to approve",
				group ? "group" : "user", approvers[i] + (group ? strlen("group:") : 0),
				group ? "group" : "account");
	}
}

/* How many different people could approve, as far as that can be told: as written, and of those that this machine knows
 * now. SIZE_MAX: a group is among them. */
struct electorate {
	size_t named, known;
};

static struct electorate count_approvers(char *const *approvers)
{
	struct electorate e = { 0 };
	uint32_t ids[CONFIG_APPROVALS_MAX + 1], id;

	for (size_t i = 0; approvers && approvers[i]; i++) {
		bool known = approver_known(approvers[i], &id), again = false;

		if (names_group(approvers[i])) {
			e.named = SIZE_MAX;
			e.known = known ? SIZE_MAX : e.known;
			continue;
		}
		e.named += e.named != SIZE_MAX;
		for (size_t k = 0; known && e.known != SIZE_MAX && k < e.known; k++)
			again |= ids[k] == id;
		if (known && !again && e.known < CONFIG_APPROVALS_MAX)
			ids[e.known++] = id;
	}
	return e;
}

void check_approvals(struct load *l, const struct config_zone *z, const struct doc_section *s)
{
	const char *key = doc_entry_find(s, "approvals") ? "approvals" : "approvers";
	struct electorate e = count_approvers(z->approvers);

	if (!strv_count(z->approvers))
		return;
	if (e.named < z->approvals)
		load_error(l, section_origin(s, key),
			"%u must agree to what leaves zone \"%s\", and \"approvers\" names %zu; expected %u approvers "
			"or "
			"more, or fewer \"approvals\"",
			z->approvals, z->name, e.named, z->approvals);
	else if (e.known < z->approvals)
		load_warn(l, section_origin(s, key),
			"%u must agree to what leaves zone \"%s\", and of its approvers this machine knows %zu: "
			"nothing "
			"can be approved until there are more",
			z->approvals, z->name, e.known);
}
