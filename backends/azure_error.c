/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/azure_error.h"

#include "base/err.h"

#include <stddef.h>
#include <string.h>

/* learn.microsoft.com/rest/api/storageservices: "Common REST API error codes", "Blob Storage error codes". status 0:
 * with whatever status it comes */
static const struct {
	const char *code;
	int status, rc;
} codes[] = {
	{ "BlobNotFound", 404, -ERR_ABSENT },
	{ "ContainerNotFound", 404, -ERR_NO_BUCKET },
	{ "ResourceNotFound", 404, -ERR_NO_BUCKET },
	{ "ContainerBeingDeleted", 0, -ERR_NO_BUCKET },
	{ "ContainerDisabled", 0, -ERR_NO_BUCKET },
	{ "InvalidResourceName", 0, -ERR_NO_BUCKET },
	{ "AccountRequiresHttps", 0, -ERR_DENIED },
	{ "InvalidAuthenticationInfo", 0, -ERR_DENIED },
	{ "NoAuthenticationInformation", 0, -ERR_DENIED },
	{ "PublicAccessNotPermitted", 0, -ERR_DENIED },
	{ "BlobImmutableDueToPolicy", 0, -ERR_DENIED },
	{ "BlobAlreadyExists", 409, -ERR_EXISTS },
	{ "UnauthorizedBlobOverwrite", 403, -ERR_EXISTS },
	{ "ConditionNotMet", 412, -ERR_EXISTS },
	{ "TargetConditionNotMet", 412, -ERR_EXISTS },
	{ "InvalidRange", 416, -ERR_TAMPERED }, /* it ends before what we know that we put there */
	{ "RequestBodyTooLarge", 0, -ERR_TOO_LARGE },
	{ "Md5Mismatch", 0, -ERR_SERVER }, /* damaged on the way; another try may not be */
	{ "OperationTimedOut", 0, -ERR_TIMEOUT },
	{ "ServerBusy", 0, -ERR_BUSY },
	{ "AccountBeingCreated", 0, -ERR_BUSY },
};

static const struct {
	int status, rc;
} statuses[] = {
	{ 401, -ERR_DENIED },
	{ 403, -ERR_DENIED },
	{ 408, -ERR_TIMEOUT },
	{ 409, -ERR_SERVER },
	{ 413, -ERR_TOO_LARGE },
	{ 429, -ERR_BUSY },
	{ 500, -ERR_SERVER },
	{ 502, -ERR_SERVER },
	{ 503, -ERR_BUSY },
	{ 504, -ERR_SERVER },
	{ 507, -ERR_QUOTA },
};

int azure_error_from(int status, const char *code)
{
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (!strcmp(code, codes[i].code))
			return !codes[i].status || codes[i].status == status ? codes[i].rc : -ERR_PROTOCOL;
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (statuses[i].status == status)
			return statuses[i].rc;
	return -ERR_PROTOCOL;
}
