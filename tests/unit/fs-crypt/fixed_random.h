/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Randomness that is not, for test vectors: libsodium's generator replaced by the bytes start, start + 1, ... in the
 * order they are asked for. */
#ifndef TESTS_FIXED_RANDOM_H
#define TESTS_FIXED_RANDOM_H

#include <sodium.h>

static uint8_t fixed_random_next;

static const char *fixed_random_name(void)
{
	return "fixed";
}

static uint32_t fixed_random_word(void)
{
	return fixed_random_next++;
}

static void fixed_random_fill(void *const out, const size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = fixed_random_next++;
}

static void fixed_random_start(uint8_t first)
{
	static randombytes_implementation fixed = {
		.implementation_name = fixed_random_name,
		.random = fixed_random_word,
		.buf = fixed_random_fill,
	};

	fixed_random_next = first;
	randombytes_set_implementation(&fixed);
}

static void fixed_random_stop(void)
{
	randombytes_set_implementation(&randombytes_sysrandom_implementation);
}

#endif
