/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/call.h"
#include "backends/s3_request.h"
#include "backends/s3_xml.h"
#include "backends/url.h"
#include "backends/xml.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct multipart {
	char *key, *id; /* id: encoded for a query */
	char **etags;	/* by number - 1; NULL: not confirmed */
	unsigned count;
};

static void multipart_free(struct multipart *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->count; i++)
		free(m->etags[i]);
	free(m->etags);
	free(m->key);
	free(m->id);
	free(m);
}

static struct s3_request request(struct backend *b, struct call *c, const struct multipart *m, const char *method)
{
	return (struct s3_request){
		.http = { .method = method }, .s3 = container_of(b, struct s3, backend), .call = c, .key = m->key
	};
}

static int take_id(struct s3_request *q, const struct sink_buf *body, struct multipart *m)
{
	struct buf encoded = BUF_INIT;
	char *id = NULL;
	int rc = s3_xml_upload_id(body->buf.data, body->buf.len, &id);

	if (rc == -ERR_PROTOCOL)
		return s3_misanswered(q, "it began a multipart upload without naming it");
	if (rc < 0)
		return rc;
	url_encode(&encoded, id, 0);
	free(id);
	m->id = buf_steal(&encoded);
	return m->id ? 0 : -ENOMEM;
}

int s3_multipart_begin(struct backend *b, struct call *c, const char *key, struct multipart **out)
{
	struct multipart *m = calloc(1, sizeof *m);
	struct s3_request q;
	struct sink_buf body;
	int rc;

	if (!m || !(m->key = strdup(key))) {
		free(m);
		return -ENOMEM;
	}
	q = request(b, c, m, "POST");
	q.query = "uploads=";
	q.http.sink = sink_buf(&body);
	q.http.sink_max = XML_BYTES_MAX;
	if (!(rc = s3_perform(&q)))
		rc = take_id(&q, &body, m);
	if (rc < 0)
		multipart_free(m);
	else
		*out = m;
	s3_request_free(&q);
	buf_free(&body.buf);
	return rc;
}

static int keep_etag(struct multipart *m, unsigned number, const char *etag)
{
	char *copy = strdup(etag);
	char **more;

	if (!copy)
		return -ENOMEM;
	if (number > m->count) {
		if (!(more = reallocarray(m->etags, number, sizeof *more))) {
			free(copy);
			return -ENOMEM;
		}
		memset(more + m->count, 0, (number - m->count) * sizeof *more);
		m->etags = more;
		m->count = number;
	}
	free(m->etags[number - 1]);
	m->etags[number - 1] = copy;
	return 0;
}

int s3_multipart_part(struct backend *b, struct call *c, struct multipart *m, unsigned number, struct source *source)
{
	struct s3_request q = request(b, c, m, "PUT");
	struct buf query = BUF_INIT;
	int rc;

	buf_printf(&query, "partNumber=%u&uploadId=%s", number, m->id);
	if ((rc = query.err) < 0)
		return rc;
	q.query = (const char *)query.data;
	q.http.body = source;
	q.http.guarded = true;
	rc = s3_perform(&q);
	/* Swift fails a completion with an empty ETag, hours later; notice it here */
	if (!rc && (!q.response.etag || !*q.response.etag))
		rc = s3_misanswered(&q, "it took a part without giving its ETag");
	if (!rc)
		rc = keep_etag(m, number, q.response.etag);
	s3_request_free(&q);
	buf_free(&query);
	return rc;
}

static int parts_document(const struct multipart *m, struct buf *out)
{
	buf_str(out, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (unsigned i = 0; i < m->count; i++) {
		if (!m->etags[i])
			return -ERR_PROTOCOL;
		s3_xml_part(out, i + 1, m->etags[i]);
	}
	buf_str(out, "</CompleteMultipartUpload>");
	return out->err;
}

/* The status of a completion is sent before its outcome is known: 200 may carry an <Error>. */
static int judge_completion(struct s3_request *q, const struct sink_buf *body)
{
	int rc = s3_xml_completed(body->buf.data, body->buf.len);

	return rc == -ERR_PROTOCOL ? s3_refused(q, q->response.status, body->buf.data, body->buf.len) : rc;
}

int s3_multipart_complete(struct backend *b, struct call *c, struct multipart *m)
{
	struct s3_request q = request(b, c, m, "POST");
	struct buf query = BUF_INIT, document = BUF_INIT;
	struct source_memory source;
	struct sink_buf body;
	int rc = parts_document(m, &document);

	buf_printf(&query, "uploadId=%s", m->id);
	if (rc < 0 || (rc = query.err) < 0)
		goto out;
	q.query = (const char *)query.data;
	q.http.body = source_memory(&source, document.data, document.len);
	q.http.sink = sink_buf(&body);
	q.http.sink_max = XML_BYTES_MAX;
	if (!(rc = s3_perform(&q)))
		rc = judge_completion(&q, &body);
	s3_request_free(&q);
	buf_free(&body.buf);
	if (!rc)
		multipart_free(m);
out:
	buf_free(&document);
	buf_free(&query);
	return rc;
}

void s3_multipart_abort(struct backend *b, struct call *c, struct multipart *m)
{
	struct s3_request q = request(b, c, m, "DELETE");
	struct buf query = BUF_INIT;
	int rc;

	buf_printf(&query, "uploadId=%s", m->id);
	if (!(rc = query.err)) {
		q.query = (const char *)query.data;
		rc = s3_perform(&q);
		s3_request_free(&q);
	}
	if (rc < 0)
		log_warn("backend '%s': a multipart upload could not be aborted (%s); its parts stay there until its "
			 "lifecycle rules remove them",
			b->config->name, err_name(rc));
	buf_free(&query);
	multipart_free(m);
}
