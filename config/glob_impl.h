/* SPDX-License-Identifier: GPL-3.0-or-later */
/* glob_impl: the compiled form of a pattern, shared by the files that match patterns and compare them. Private to
 * config/. */
#ifndef CONFIG_GLOB_IMPL_H
#define CONFIG_GLOB_IMPL_H

#include "config/glob.h"
#include "config/glob_class.h"

enum token_type { TOKEN_BYTE, TOKEN_ANY, TOKEN_STAR, TOKEN_CLASS };

struct token {
	uint8_t type;
	char byte;
	uint32_t class; /* index into the glob's */
};

/* the frequent shapes are compared without the token loop */
enum segment_kind {
	SEGMENT_DEEP,	 /* any number of components, none too */
	SEGMENT_ANY,	 /* one component, whatever it is */
	SEGMENT_LITERAL, /* literal */
	SEGMENT_TAIL,	 /* a star, then literal */
	SEGMENT_TOKENS,
};

struct segment {
	enum segment_kind kind;
	char *literal; /* what remains after the last token that is no byte */
	size_t literal_len;
	struct token *v;
	size_t count;
};

struct glob {
	bool name_only;
	struct segment *v;
	size_t count;
	struct glob_class *classes;
	size_t class_count;
	char *below; /* the leading literal segments, "/a/b", or NULL */
	enum glob_need need;
	const char *need_text;
	size_t need_len;
	char *runs; /* bytes that follow each other in one component, a NUL after each run; or NULL */
	size_t runs_len;
};

#endif
