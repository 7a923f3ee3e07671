/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "base/log.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* what was logged since the last call, without the time stamp; the caller frees */
static char *logged(int fd)
{
	struct buf b = BUF_INIT;
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	buf_put(&b, "", 0);
	assert_int_equal(file_read_all(AT_FDCWD, path, 1 << 20, &b), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	if (b.len > 25) {
		assert_int_equal(b.data[10], 'T');
		assert_int_equal(b.data[23], 'Z');
		memmove(b.data, b.data + 25, b.len - 24);
	}
	return buf_steal(&b);
}

static void expect_log(int fd, const char *text)
{
	char *got = logged(fd);

	assert_string_equal(got, text);
	free(got);
}

static void test_lines(void **state)
{
	char name[] = "/tmp/log_test.XXXXXX", big[5000], *got;
	int fd = mkostemp(name, O_APPEND);

	(void)state;
	unlink(name);
	log_to(fd);
	errno = EXDEV;
	log_info("object %d", 7);
	assert_int_equal(errno, EXDEV);
	expect_log(fd, "info: object 7\n");
	log_error("one\ntwo\033[31m");
	expect_log(fd, "error: one?two?[31m\n");
	log_debug("not at this level");
	expect_log(fd, "");
	log_init(LOG_LEVEL_DEBUG, 0);
	log_debug("now");
	expect_log(fd, "debug: now\n");
	log_init(LOG_LEVEL_ERROR, 0);
	log_warn("too little");
	expect_log(fd, "");
	assert_true(log_enabled(LOG_LEVEL_ERROR));
	assert_false(log_enabled(LOG_LEVEL_WARN));
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = 0;
	log_error("%s", big);
	got = logged(fd);
	assert_int_equal(strlen(got), strlen("error: \n") + 2047);
	free(got);
	log_to(-1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
