/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as an INI file: loaded or refused with an error, never more; and where they load, the index must decide as
 * the whole program does. For libFuzzer: clang -fsanitize=fuzzer,address,undefined, linked with config and base. */
#include "base/file.h"
#include "config/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *content(void *ctx)
{
	return ctx;
}

static void decide(const struct config *c)
{
	static const struct rule_trace every = { 0 };
	static const char *const paths[] = { "/", "/a", "/hr/a.vcf", "/public/b/c.tar.gz", "/x//y",
		"/a/b/c/d/e/f/g.h" };
	static const struct rule_tag tags[] = { { "personal", TAG_USER, NULL, NULL },
		{ "a", TAG_INHERITED, "/hr", NULL } };

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct rule_facts f = {
			.path = paths[i], .size = 1U << 5 * i, .now_ns = 1000000000000000000, .tags = tags
		};
		struct rule_decision with, without;

		f.tag_count = i % 3;
		f.media_type = content;
		f.ctx = (void *)(i % 2 ? "image/png" : NULL);
		if (rules_decide(c, &f, &with, NULL, NULL, NULL) < 0 ||
			rules_decide(c, &f, &without, &every, NULL, NULL) < 0 || with.rule != without.rule ||
			with.zone != without.zone || with.next_due_ns != without.next_due_ns)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config_messages msgs = { 0 };
	struct buf text = BUF_INIT;
	struct config *c;
	char path[32];
	size_t errors = 0;
	int fd, rc;

	/* an include would walk this machine's files */
	if (memmem(data, len, "include", 7) || (fd = memfd_create("fuzz", MFD_CLOEXEC)) < 0)
		return 0;
	if (file_write_full(fd, data, len) < 0)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	rc = config_load(&c, path, &msgs);
	for (size_t i = 0; i < msgs.count; i++)
		errors += msgs.v[i].error;
	if ((rc == 0) != (c != NULL) || (rc == 0) != (errors == 0))
		abort();
	config_messages_print(&msgs, &text);
	if (c) {
		config_baseline(c, &text);
		decide(c);
	}
	config_put(c);
	config_messages_free(&msgs);
	buf_free(&text);
	close(fd);
	return 0;
}
