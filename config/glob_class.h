/* SPDX-License-Identifier: GPL-3.0-or-later */
/* glob_class: one bracket expression of a glob, [a-z], [!0-9], [[:alpha:]_]. Private to config/. */
#ifndef CONFIG_GLOB_CLASS_H
#define CONFIG_GLOB_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glob_range {
	uint32_t low, high; /* characters, both included */
};
struct glob_class {
	struct glob_range *v;
	size_t count;
	bool negated;
};

/* glob_char: the character at s (len >= 1 bytes there); *used is its length. Bytes that are no UTF-8 are one character
 * each, of a value no real character has. */
uint32_t glob_char(const char *s, size_t len, size_t *used);
/* glob_class_parse: s is at '['; *used is the length with the ']'. -EINVAL where there is no end or a range or name is
 * wrong (*fault says what, a constant), -ENOMEM. The caller frees v in either case. */
int glob_class_parse(struct glob_class *, const char *s, size_t len, size_t *used, const char **fault);
bool glob_class_has(const struct glob_class *, uint32_t ch);

#endif
