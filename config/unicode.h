/* SPDX-License-Identifier: GPL-3.0-or-later */
/* unicode: the forms in which one name can be written, by libunistring. Private to config/. */
#ifndef CONFIG_UNICODE_H
#define CONFIG_UNICODE_H

#include <stddef.h>

/* unicode_composed, unicode_decomposed: normal forms C, as most systems write names, and D, as macOS wrote them.
 * unicode_folded: without differences of case and form, for comparing. All are malloc'd, and copies of what is no
 * UTF-8; NULL when out of memory. */
char *unicode_composed(const char *s, size_t len);
char *unicode_decomposed(const char *s, size_t len);
char *unicode_folded(const char *s, size_t len);

#endif
