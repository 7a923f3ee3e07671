/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What root has laid down for every store of this machine (I9). Nothing here can loosen a configuration: it is taken as
 * it is, tightened, or refused. */
#include "config/policy.h"

#include "base/err.h"
#include "config/approvers.h"
#include "config/expand.h"
#include "config/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the files --------------------------------------------------------------------------------------------------- */

/* Only root can change it, so that it stays what was looked at: a link could lead to what others own. */
static bool is_roots(struct load *l, const char *path, mode_t type)
{
	struct stat st;
	const char *wrong = NULL;
	int rc = lstat(path, &st) < 0 ? -errno : 0;

	if (rc < 0)
		wrong = err_text(rc);
	else if ((st.st_mode & S_IFMT) != type)
		wrong = type == S_IFDIR ? "expected a directory" : "expected a regular file";
	else if (st.st_uid != 0)
		wrong = "expected root to own it";
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		wrong = "expected that nobody but root may write to it (chmod go-w)";
	if (wrong)
		load_error(l, &(struct config_origin){ path, 0 }, "no policy: %s", wrong);
	return !wrong;
}

int policy_files(struct load *l, char ***out)
{
	static const char *const above[] = { "/etc", "/etc/borderfs", POLICY_DIRECTORY };
	struct errmsg msg = { 0 };
	bool sound = true;
	int rc = 0;

	*out = NULL;
	if (access(POLICY_DIRECTORY, F_OK) < 0 && errno == ENOENT)
		return 0;
	for (size_t i = 0; sound && i < sizeof above / sizeof *above; i++)
		sound = is_roots(l, above[i], S_IFDIR);
	if (sound && (rc = expand(POLICY_DIRECTORY "/*.ini", "/", out, &msg)) < 0 && rc != -ENOMEM)
		load_error(l, &(struct config_origin){ POLICY_DIRECTORY, 0 }, "no policy: %s", errmsg_text(&msg, rc));
	for (size_t i = 0; *out && (*out)[i]; i++)
		is_roots(l, (*out)[i], S_IFREG);
	errmsg_free(&msg);
	return rc == -ENOMEM ? rc : 0;
}

/* ---- what it binds ----------------------------------------------------------------------------------------------- */

static bool lies_in(const struct cidr *network, const struct config_zone *bound)
{
	for (size_t i = 0; i < bound->network_count; i++)
		if (bound->networks[i].bits <= network->bits && cidr_match(&bound->networks[i], &network->addr))
			return true;
	return false;
}

static void bind_countries(
	struct load *l, const struct config_zone *z, const struct doc_section *s, const struct config_origin *policy)
{
	if (!l->policy.domestic.countries)
		return;
	if (!z->countries)
		load_error(l, &s->origin,
			"the domestic zone \"%s\" has no \"countries\"; expected some that %s:%d allows", z->name,
			policy->file, policy->line);
	for (size_t i = 0; z->countries && z->countries[i]; i++)
		if (!strv_has(l->policy.domestic.countries, z->countries[i]))
			load_error(l, section_origin(s, "countries"),
				"country %s in the domestic zone \"%s\"; expected those only that %s:%d allows",
				z->countries[i], z->name, policy->file, policy->line);
}

/* A country database is a private file, and lets in what the networks do not. */
static void bind_networks(
	struct load *l, struct config_zone *z, const struct doc_section *s, const struct config_origin *policy)
{
	const struct config_zone *bound = &l->policy.domestic;
	char text[CIDR_TEXT_BYTES];

	if (!bound->network_count)
		return;
	if (z->country_db)
		load_error(l, section_origin(s, "country-db"),
			"\"country-db\" in the domestic zone \"%s\"; expected \"networks\" only, as %s:%d has them",
			z->name, policy->file, policy->line);
	for (size_t i = 0; i < z->network_count; i++) {
		if (lies_in(&z->networks[i], bound))
			continue;
		cidr_text(&z->networks[i], text);
		load_error(l, section_origin(s, "networks"),
			"network %s in the domestic zone \"%s\"; expected those only that %s:%d allows", text, z->name,
			policy->file, policy->line);
	}
	if (z->network_count)
		return;
	z->networks = malloc(bound->network_count * sizeof *z->networks);
	l->no_memory |= !z->networks;
	if (!z->networks)
		return;
	memcpy(z->networks, bound->networks, bound->network_count * sizeof *z->networks);
	z->network_count = bound->network_count;
}

static void bind_approval(struct load *l, struct config_zone *z, const struct config_origin *export_origin)
{
	const struct config_zone *bound = &l->policy.domestic;

	if (bound->export < z->export) {
		z->export = bound->export;
		z->export_origin = *export_origin;
	}
	if (bound->approvals > z->approvals)
		z->approvals = bound->approvals;
	if (!bound->approvers)
		return;
	strv_free(z->approvers);
	z->approvers = NULL;
	for (size_t i = 0; bound->approvers[i]; i++)
		if (strv_append(&z->approvers, strdup(bound->approvers[i])) < 0)
			l->no_memory = true;
}

void policy_bind(struct load *l)
{
	const struct doc_section *policy = load_section(l, "policy", NULL), *s;

	if (!policy)
		return;
	keys_apply(l, policy, policy_keys, &l->policy, 0, NULL);
	check_approvers(l, l->policy.domestic.approvers, section_origin(policy, "approvers"));
	for (size_t i = 0; i < l->c->zone_count; i++) {
		struct config_zone *z = l->c->zones[i];

		s = load_section(l, "zone", z->name);
		if (z->kind == ZONE_FOREIGN) {
			if (l->policy.foreign == POLICY_FOREIGN_DENY)
				load_error(l, section_origin(s, "kind"),
					"the zone \"%s\" is foreign; expected none, as %s:%d says", z->name,
					policy->origin.file, section_origin(policy, "foreign")->line);
			continue;
		}
		bind_countries(l, z, s, section_origin(policy, "domestic-countries"));
		bind_networks(l, z, s, section_origin(policy, "domestic-networks"));
		bind_approval(l, z, section_origin(policy, "export"));
	}
}

void policy_free(struct policy *p)
{
	strv_free(p->domestic.countries);
	strv_free(p->domestic.approvers);
	free(p->domestic.networks);
}
