/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Azure driver's deletion: confirmed only where nothing of the blob is kept. An account with versioning keeps the
 * versions of a deleted blob, which are deleted one by one; one with soft delete keeps the blob for days, which nobody
 * can shorten: that is an error, and the object's deletion stays to be done. */
#include "backends/azure.h"
#include "backends/azure_xml.h"

#include <string.h>

#define PURGE_ROUNDS 4u

#define VERSIONS_MAX 1000u /* a list of them that does not get shorter ends, too */

/* a version or snapshot that is still there; deleted: of those kept by soft delete there is one */
struct remains {
	struct azure_remnant first;
	bool found, deleted;
};

static int note_remnant(void *ctx, const struct azure_remnant *r)
{
	struct remains *all = ctx;

	if (r->deleted)
		all->deleted = true;
	else if (!all->found)
		all->first = *r;
	all->found |= !r->deleted;
	return 0;
}

static int look(struct backend *b, struct call *c, const char *key, struct remains *all)
{
	struct azure_request q = azure_request(b, c, "GET", NULL);
	struct buf name = BUF_INIT;
	struct sink_buf body;
	bool more;
	int rc;

	buf_printf(&name, "%s%s", b->config->prefix, key);
	if (name.err)
		return name.err;
	memcpy(q.query,
		(struct azure_pair[]){ { "comp", "list" }, { "include", "snapshots,versions,deleted" },
			{ "prefix", (const char *)name.data }, { "restype", "container" }, { 0 } },
		5 * sizeof *q.query);
	q.http.sink = sink_buf(&body);
	q.http.sink_max = 8u << 20;
	memset(all, 0, sizeof *all);
	if (!(rc = azure_perform(&q)))
		rc = azure_xml_remnants(body.buf.data, body.buf.len, (const char *)name.data, note_remnant, all, &more);
	if (rc == -ERR_PROTOCOL)
		http_misanswered(q.azure->http, "its list of a blob's versions cannot be understood", c->msg);
	azure_request_free(&q);
	buf_free(&body.buf);
	buf_free(&name);
	return rc;
}

static int delete_one(struct backend *b, struct call *c, const char *key, const struct azure_remnant *r)
{
	struct azure_request q = azure_request(b, c, "DELETE", key);
	int rc;

	if (r->version[0])
		q.query[0] = (struct azure_pair){ "versionid", r->version };
	else if (r->snapshot[0])
		q.query[0] = (struct azure_pair){ "snapshot", r->snapshot };
	else
		q.headers[0] = (struct azure_pair){ "x-ms-delete-snapshots", "include" };
	rc = azure_perform(&q);
	azure_request_free(&q);
	return rc;
}

static int kept(struct backend *b, struct call *c)
{
	struct azure *a = container_of(b, struct azure, backend);

	return errmsg_set(c->msg, -ERR_SERVER,
		"backend '%s': %s keeps deleted blobs (soft delete); turn that off for the account, or wait until they "
		"expire",
		b->config->name, http_host(a->http));
}

static int purge(struct backend *b, struct call *c, const char *key)
{
	struct remains all;
	unsigned rounds = 0;
	int rc = look(b, c, key, &all);

	while (!rc && all.found) {
		if (++rounds > VERSIONS_MAX)
			return kept(b, c);
		if (!(rc = delete_one(b, c, key, &all.first)))
			rc = look(b, c, key, &all);
	}
	return !rc && all.deleted ? kept(b, c) : rc;
}

/* Performs, but keeps the sentence only of an error that is one in the end. */
static int delete_blob(struct azure_request *q)
{
	struct errmsg *outer = q->call->msg, own = { 0 };
	int rc;

	q->headers[0] = (struct azure_pair){ "x-ms-delete-snapshots", "include" };
	q->call->msg = &own;
	rc = azure_perform(q);
	q->call->msg = outer;
	if (rc == -ERR_ABSENT)
		rc = 0;
	if (rc < 0 && own.text)
		errmsg_set(outer, rc, "%s", own.text);
	errmsg_free(&own);
	return rc;
}

int azure_del(struct backend *b, struct call *c, const char *key)
{
	struct azure_request q = azure_request(b, c, "DELETE", key);
	const char *permanent;
	int rc = delete_blob(&q);

	permanent = q.response.kept[AZURE_PERMANENT];
	if (permanent && !strcmp(permanent, "false"))
		atomic_store(&q.azure->keeps, true);
	if (!rc && atomic_load(&q.azure->keeps))
		rc = purge(b, c, key);
	azure_request_free(&q);
	return rc;
}
