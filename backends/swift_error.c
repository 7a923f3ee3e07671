/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/swift_error.h"

#include <stddef.h>

/* OpenStack Object Storage API v1, and the documentation of its middlewares: container-quotas and account-quotas answer
 * 413, ratelimit 498, a full device 507, an ETag that is not the body's 422 */
static const struct {
	int status, rc;
} statuses[] = {
	{ 401, -ERR_DENIED },
	{ 403, -ERR_DENIED },
	{ 407, -ERR_DENIED },
	{ 408, -ERR_TIMEOUT },
	{ 412, -ERR_EXISTS },
	{ 413, -ERR_QUOTA },
	{ 416, -ERR_TAMPERED }, /* it ends before what we know that we put there */
	{ 422, -ERR_SERVER },	/* damaged on the way; another try may not be */
	{ 429, -ERR_BUSY },
	{ 498, -ERR_BUSY },
	{ 499, -ERR_UNREACHABLE }, /* the server thinks that we left */
	{ 500, -ERR_SERVER },
	{ 502, -ERR_SERVER },
	{ 503, -ERR_BUSY },
	{ 504, -ERR_SERVER },
	{ 507, -ERR_QUOTA },
};

int swift_error_from(int status)
{
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (status == statuses[i].status)
			return statuses[i].rc;
	return -ERR_PROTOCOL;
}
