/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A pattern, a newline, a path: compiled and matched, or refused. What matches must have what glob_need says. For
 * libFuzzer: clang -fsanitize=fuzzer,address,undefined, linked with config and base. */
#include "config/glob.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool has_component(const char *path, const char *text, size_t len)
{
	for (const char *s = path; *s; s += strcspn(s, "/")) {
		s += strspn(s, "/");
		if (strcspn(s, "/") == len && memcmp(s, text, len) == 0)
			return true;
	}
	return false;
}

static bool has_need(const struct glob *g, const char *path)
{
	const char *text, *dot = strrchr(path, '.');
	size_t len;

	switch (glob_need(g, &text, &len)) {
	case GLOB_NEED_BELOW:
		return strncmp(path, text, len) == 0 && (path[len] == '/' || !path[len]);
	case GLOB_NEED_COMPONENT:
		return has_component(path, text, len);
	case GLOB_NEED_SUFFIX:
		return dot && strcmp(dot + 1, text) == 0;
	default:
		return true;
	}
}

static bool canonical(const char *path)
{
	return *path == '/' && !strstr(path, "//") && (!path[1] || path[strlen(path) - 1] != '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1), *path;
	struct errmsg msg = { 0 };
	struct glob *g;

	if (!text)
		abort();
	memcpy(text, data, len);
	text[len] = 0;
	path = strchr(text, '\n');
	if (path) {
		*path++ = 0;
		if (glob_compile(&g, text, &msg) == 0 && glob_match(g, path) && canonical(path) && !has_need(g, path))
			abort();
		glob_free(g);
		if (glob_compile_name(&g, text, &msg) == 0)
			glob_match_name(g, path, strlen(path));
		glob_free(g);
	}
	errmsg_free(&msg);
	free(text);
	return 0;
}
