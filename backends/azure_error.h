/* SPDX-License-Identifier: GPL-3.0-or-later */
/* azure_error: what an answer that is no success means. */
#ifndef BACKENDS_AZURE_ERROR_H
#define BACKENDS_AZURE_ERROR_H

/* azure_error_from: status and x-ms-error-code ("" for none) to -ERR_x. A 404 whose code does not say what is missing
 * confirms nothing (I7) and is -ERR_PROTOCOL. */
int azure_error_from(int status, const char *code);

#endif
