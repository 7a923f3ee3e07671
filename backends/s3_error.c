/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/s3_error.h"

#include "base/err.h"

#include <string.h>

/* Amazon S3 API Reference, "Error responses"; and what radosgw and Swift's s3api add */
static const struct {
	const char *code;
	int rc;
} codes[] = {
	{ "NoSuchKey", -ERR_ABSENT },
	{ "NoSuchBucket", -ERR_NO_BUCKET },
	{ "InvalidBucketName", -ERR_NO_BUCKET },
	{ "AccessDenied", -ERR_DENIED },
	{ "SignatureDoesNotMatch", -ERR_DENIED },
	{ "InvalidAccessKeyId", -ERR_DENIED },
	{ "AccountProblem", -ERR_DENIED },
	{ "AllAccessDisabled", -ERR_DENIED },
	{ "AuthorizationHeaderMalformed", -ERR_DENIED },
	{ "CredentialsNotSupported", -ERR_DENIED },
	{ "ExpiredToken", -ERR_DENIED },
	{ "InvalidSecurity", -ERR_DENIED },
	{ "InvalidToken", -ERR_DENIED },
	{ "NotSignedUp", -ERR_DENIED },
	{ "UserSuspended", -ERR_DENIED },
	{ "RequestTimeTooSkewed", -ERR_CLOCK },
	{ "RequestExpired", -ERR_CLOCK },
	{ "QuotaExceeded", -ERR_QUOTA },
	{ "InsufficientStorage", -ERR_QUOTA },
	{ "InsufficientCapacity", -ERR_QUOTA },
	{ "SlowDown", -ERR_BUSY },
	{ "ServiceUnavailable", -ERR_BUSY },
	{ "Throttling", -ERR_BUSY },
	{ "ThrottlingException", -ERR_BUSY },
	{ "TooManyRequests", -ERR_BUSY },
	{ "RequestLimitExceeded", -ERR_BUSY },
	{ "BandwidthLimitExceeded", -ERR_BUSY },
	{ "OperationAborted", -ERR_BUSY },
	{ "RequestTimeout", -ERR_TIMEOUT },
	{ "InternalError", -ERR_SERVER },
	{ "BadDigest", -ERR_SERVER }, /* damaged on the way; another try may not be */
	{ "XAmzContentSHA256Mismatch", -ERR_SERVER },
	{ "IncompleteBody", -ERR_SERVER },
	{ "InvalidRange", -ERR_TAMPERED }, /* it ends before what we know that we put there */
	{ "PermanentRedirect", -ERR_REDIRECT },
	{ "TemporaryRedirect", -ERR_REDIRECT },
	{ "Redirect", -ERR_REDIRECT },
	{ "PreconditionFailed", -ERR_EXISTS },
};

static const struct {
	int status;
	int rc;
} statuses[] = {
	{ 401, -ERR_DENIED },
	{ 403, -ERR_DENIED },
	{ 407, -ERR_DENIED },
	{ 408, -ERR_TIMEOUT },
	{ 429, -ERR_BUSY },
	{ 500, -ERR_SERVER },
	{ 502, -ERR_SERVER },
	{ 503, -ERR_BUSY },
	{ 504, -ERR_SERVER },
	{ 507, -ERR_QUOTA },
};

/* I7: "no such object" counts only where status and code agree; so does a damaged one. */
static int confirms(int status, int rc)
{
	if (rc == -ERR_TAMPERED)
		return status == 416;
	return rc != -ERR_ABSENT || status == 404;
}

int s3_error_from(int status, const char *code)
{
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (!strcmp(code, codes[i].code))
			return confirms(status, codes[i].rc) ? codes[i].rc : -ERR_PROTOCOL;
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (status == statuses[i].status)
			return statuses[i].rc;
	return -ERR_PROTOCOL;
}
