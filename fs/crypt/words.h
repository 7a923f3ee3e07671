/* SPDX-License-Identifier: GPL-3.0-or-later */
/* words: the recovery words: 128 random bits as eight proquints (D. S. Wilkerson, "A Proposal for Proquints",
 * arXiv:0901.4016: consonant, vowel, consonant, vowel, consonant for 16 bits), and a ninth that checks them.
 * No word list, and any of them can be read over a telephone. */
#ifndef FS_CRYPT_WORDS_H
#define FS_CRYPT_WORDS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define WORDS_ENTROPY 16
#define WORDS_COUNT   (WORDS_ENTROPY / 2 + 1)
#define WORDS_TEXT    (6 * WORDS_COUNT) /* with the NUL */

/* words_format: "lusab babad ..." and a NUL. */
void words_format(const uint8_t entropy[WORDS_ENTROPY], char out[WORDS_TEXT]);
/* words_parse: case, dashes, line ends and further white space do not matter. -ERR_KEY with a sentence that says which
 * word is not one, how many there should be, or that the last does not fit the others; never the words themselves. */
int words_parse(const char *text, size_t len, uint8_t entropy[WORDS_ENTROPY], struct errmsg *);

#endif
