/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/secret.h"
#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <sys/mman.h>

void *secret_alloc(size_t len)
{
	static atomic_bool warned;
	void *p = sodium_malloc(len);

	if (!p)
		return NULL;
	/* sodium_malloc does not tell whether its mlock worked; asking again does */
	if (mlock(p, len) < 0 && !atomic_exchange(&warned, 1))
		log_warn("keys cannot be locked in memory (%s) and may reach the swap space: raise the limit on locked "
			 "memory (ulimit -l, LimitMEMLOCK=)",
			err_text(-errno));
	sodium_memzero(p, len);
	return p;
}

void secret_free(void *p)
{
	sodium_free(p);
}
