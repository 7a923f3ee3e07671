/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r\n\v\f";

size_t strv_count(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

void strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

int strv_append(char ***v, char *s)
{
	size_t n = strv_count(*v);
	char **grown = s ? realloc(*v, (n + 2) * sizeof *grown) : NULL;

	if (!grown) {
		free(s);
		return -ENOMEM;
	}
	grown[n] = s;
	grown[n + 1] = NULL;
	*v = grown;
	return 0;
}

bool strv_has(char *const *v, const char *s)
{
	for (; v && *v; v++)
		if (strcmp(*v, s) == 0)
			return true;
	return false;
}

/* the length up to the next comma that splits */
static size_t item_len(const char *s, int quoted)
{
	size_t n = 0;

	while (s[n] && s[n] != ',')
		n += quoted && s[n] == '\\' && s[n + 1] ? 2 : 1;
	return n;
}

int strv_split(const char *text, int quoted, char ***out)
{
	const char *s = text;
	int rc = 0;

	for (*out = NULL;; s++) {
		size_t len = item_len(s, quoted), lead = strspn(s, blanks);
		const char *next = s + len;

		s += lead < len ? lead : len;
		len = (size_t)(next - s);
		while (len && strchr(blanks, s[len - 1]))
			len--;
		rc = len ? strv_append(out, strndup(s, len)) : -EINVAL;
		s = next;
		if (rc < 0 || !*s)
			break;
	}
	if (rc < 0) {
		strv_free(*out);
		*out = NULL;
	}
	return rc;
}
