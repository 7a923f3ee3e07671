/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/outcome.h"

#include "base/err.h"

#include <errno.h>

enum outcome outcome_of(int rc)
{
	switch (rc) {
	case 0:
		return OUTCOME_DONE;
	case -ERR_HELD:
	case -ERR_BORDER:
	case -ERR_IDENTITY:
	case -ERR_PEER_ABROAD:
	case -ERR_REDIRECT:
		return OUTCOME_REFUSED;
	case -ETIMEDOUT:
	case -ECANCELED:
	case -EINTR:
		return OUTCOME_INCOMPLETE;
	default:
		return OUTCOME_FAILED;
	}
}
