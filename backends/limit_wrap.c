/* SPDX-License-Identifier: GPL-3.0-or-later */
/* limit_wrap: tells the driver, through the call, at which rate the bodies of this backend may move (upload-limit,
 * download-limit, limit-hours). */
#include "backends/limit.h"
#include "backends/wrap.h"

#include <errno.h>
#include <stdlib.h>

struct limited {
	struct wrap wrap;
	struct limit upload, download;
};

static int limit_around(struct wrap *w, struct call *c, struct op *op)
{
	struct limited *l = container_of(w, struct limited, wrap);
	int rc;

	c->upload = &l->upload;
	c->download = &l->download;
	rc = op_forward(w->inner, c, op);
	c->upload = c->download = NULL;
	return rc;
}

static void limited_destroy(struct wrap *w)
{
	struct limited *l = container_of(w, struct limited, wrap);

	limit_destroy(&l->upload);
	limit_destroy(&l->download);
	free(l);
}

int limit_wrap(struct backend **out, struct backend *inner)
{
	struct limited *l = calloc(1, sizeof *l);

	if (!l) {
		backend_free(inner);
		return -ENOMEM;
	}
	limit_init(&l->upload, inner->config->upload_limit, inner->config);
	limit_init(&l->download, inner->config->download_limit, inner->config);
	wrap_init(&l->wrap, inner, limit_around, limited_destroy);
	*out = &l->wrap.backend;
	return 0;
}
