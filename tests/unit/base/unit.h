/* SPDX-License-Identifier: GPL-3.0-or-later */
/* what cmocka wants included before itself */
#ifndef TESTS_UNIT_BASE_UNIT_H
#define TESTS_UNIT_BASE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after these */
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#endif
