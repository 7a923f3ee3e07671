/* SPDX-License-Identifier: GPL-3.0-or-later */
/* swift_error: what a status that is no success means to Swift and Keystone. */
#ifndef BACKENDS_SWIFT_ERROR_H
#define BACKENDS_SWIFT_ERROR_H

#include "base/err.h"

/* swift_error_from: -ERR_x. A 404 alone confirms nothing (I7) and is -ERR_PROTOCOL here: the caller knows what was
 * asked for. */
int swift_error_from(int status);

#endif
