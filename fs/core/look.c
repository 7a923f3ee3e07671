/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"
#include "fs/core/internal.h"

#include <unistd.h>

int core_look(struct core_look *look, const struct config *config, struct keyring *keyring, struct errmsg *msg)
{
	int rc;

	*look = (struct core_look){ -1, keyring, NULL };
	rc = lock_take_after(config->store, &look->lock_fd, msg);
	if (rc == 0)
		rc = meta_open(&look->meta, config->store, keyring, NULL, msg);
	if (rc < 0)
		core_look_close(look);
	return rc;
}

void core_look_close(struct core_look *look)
{
	int rc;

	if (look->meta && (rc = meta_close(look->meta)) < 0)
		log_error("store: the metadata did not close cleanly: %s", err_text(rc));
	keyring_close(look->keyring);
	if (look->lock_fd >= 0)
		close(look->lock_fd);
	*look = (struct core_look){ -1, NULL, NULL };
}
