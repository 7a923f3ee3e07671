/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/words.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define WORD_LETTERS 5
#define LETTERS	     (WORDS_COUNT * WORD_LETTERS)

static const char consonants[] = "bdfghjklmnprstvz", vowels[] = "aiou";

/* the letter at this place of a word: how many bits it carries and how far they are shifted */
static const struct place {
	const char *letters;
	unsigned shift, mask;
} places[WORD_LETTERS] = {
	{ consonants, 12, 15 },
	{ vowels, 10, 3 },
	{ consonants, 6, 15 },
	{ vowels, 4, 3 },
	{ consonants, 0, 15 },
};

static void word_put(char *out, const uint8_t two[2])
{
	unsigned v = (unsigned)two[0] << 8 | two[1];

	for (int i = 0; i < WORD_LETTERS; i++)
		out[i] = places[i].letters[v >> places[i].shift & places[i].mask];
}

static bool word_get(const char *in, uint8_t two[2])
{
	unsigned v = 0;

	for (int i = 0; i < WORD_LETTERS; i++) {
		const char *at = memchr(places[i].letters, in[i], places[i].mask + 1);

		if (!at)
			return false;
		v |= (unsigned)(at - places[i].letters) << places[i].shift;
	}
	two[0] = (uint8_t)(v >> 8);
	two[1] = (uint8_t)v;
	return true;
}

static void words_check(const uint8_t entropy[WORDS_ENTROPY], uint8_t check[2])
{
	uint8_t hash[crypto_generichash_BYTES];

	crypto_generichash(hash, sizeof(hash), entropy, WORDS_ENTROPY, NULL, 0);
	memcpy(check, hash, 2);
	sodium_memzero(hash, sizeof(hash));
}

void words_format(const uint8_t entropy[WORDS_ENTROPY], char out[WORDS_TEXT])
{
	uint8_t check[2];

	words_check(entropy, check);
	for (int i = 0; i < WORDS_COUNT; i++) {
		word_put(out + i * (WORD_LETTERS + 1), i < WORDS_COUNT - 1 ? entropy + 2 * i : check);
		out[i * (WORD_LETTERS + 1) + WORD_LETTERS] = i < WORDS_COUNT - 1 ? ' ' : '\0';
	}
}

/* the letters alone, in lower case */
static int words_letters(const char *text, size_t len, char letters[LETTERS], struct errmsg *msg)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == ' ' || c == '-' || (c >= '\t' && c <= '\r'))
			continue;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c < 'a' || c > 'z')
			return errmsg_set(msg, -ERR_KEY,
				"recovery words are made of letters; something else follows %zu of them", n);
		if (n < LETTERS)
			letters[n] = c;
		n++;
	}
	if (n != LETTERS)
		return errmsg_set(msg, -ERR_KEY,
			"there must be %d recovery words of %d letters, %d in all; these have %zu", WORDS_COUNT,
			WORD_LETTERS, LETTERS, n);
	return 0;
}

int words_parse(const char *text, size_t len, uint8_t entropy[WORDS_ENTROPY], struct errmsg *msg)
{
	uint8_t bytes[2 * WORDS_COUNT], check[2];
	char letters[LETTERS];
	int rc = words_letters(text, len, letters, msg);

	for (int i = 0; rc == 0 && i < WORDS_COUNT; i++)
		if (!word_get(letters + i * WORD_LETTERS, bytes + 2 * i))
			rc = errmsg_set(msg, -ERR_KEY, "recovery word %d is misspelt", i + 1);
	if (rc < 0)
		goto out;
	words_check(bytes, check);
	if (memcmp(check, bytes + WORDS_ENTROPY, sizeof(check)) != 0)
		rc = errmsg_set(msg, -ERR_KEY,
			"the last recovery word does not fit the others: one of them is wrong, or their order is");
	else
		memcpy(entropy, bytes, WORDS_ENTROPY);
out:
	sodium_memzero(bytes, sizeof(bytes));
	sodium_memzero(letters, sizeof(letters));
	return rc;
}
