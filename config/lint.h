/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lint: what is allowed in tags and rules but can hardly be meant. Private to config/ (config_lint in config/config.h
 * runs it all). Each finding is a warning that says what is so and what mends it. Nothing here blocks. */
#ifndef CONFIG_LINT_H
#define CONFIG_LINT_H

#include "config/message.h"
#include "config/rules_impl.h"

struct lint {
	const struct rules *rules;
	struct config_messages *msgs;
	bool no_memory;
};

/* "rule" or "tag": the kind of the sections of a phase. */
const char *lint_kind(int phase);
/* lint_each: calls fn for each section of both programs, in their order. */
void lint_each(const struct lint *, void (*fn)(void *ctx, int phase, const struct rule *), void *ctx);

/* lint_sections: those that can never match, and those before which another always decides. */
void lint_sections(struct lint *);
/* lint_tags: tags that are asked for and not set, or set and not asked for. */
void lint_tags(struct lint *);
/* lint_globs: patterns that match nothing, or not what they seem to. */
void lint_globs(struct lint *);
/* lint_spelling: patterns that differ from others, or from the names that programs write, only by case or by the form
 * of Unicode. */
void lint_spelling(struct lint *);

#endif
