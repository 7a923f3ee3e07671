/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An object from a backend that lies: its header as it comes; an inner header that only a holder of the keys could have
 * made; ranges and bodies; names. The first byte chooses. */
#include "base/err.h"
#include "fs/crypt/object.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define HEAD  112
#define INNER (2048 - HEAD)

static struct keyring *ring;
static uint32_t zone;

static void ring_make(void)
{
	static const struct unlock u = { UNLOCK_PASSPHRASE, "fuzz", 4 };
	char dir[] = "/tmp/borderfs-fuzz-XXXXXX", *words = NULL;
	int fd;

	if (crypt_init() < 0 || !mkdtemp(dir) || (fd = open(dir, O_RDONLY | O_DIRECTORY)) < 0)
		abort();
	if (keyring_create(&ring, fd, &u, 1, KDF_MINIMUM, &words, NULL) < 0 ||
		keyring_zone(ring, "home", &zone, NULL) < 0)
		abort();
	secret_free_text(words);
	unlinkat(fd, "keys", 0);
	close(fd);
	rmdir(dir);
}

static void header(const uint8_t *data, size_t len)
{
	struct object_ref ref;
	struct object_member *members = NULL;
	size_t count = 0, need = 0;

	if (object_open_header(ring, data, len, &ref, &members, &count, &need) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (members[i].offset + members[i].len > ref.plain_bytes)
			abort();
	free(members);
}

/* the input as the plaintext of a header whose seals are right */
static void inner(const uint8_t *data, size_t len)
{
	uint8_t head[HEAD + INNER] = "bordobj", plain[INNER - SEAL_OVERHEAD] = { 0 }, key[SEAL_KEY_BYTES] = { 1 };

	memcpy(plain, data, len < sizeof(plain) ? len : sizeof(plain));
	memcpy(plain, keyring_store_id(ring), STORE_ID_BYTES);
	head[8] = 1;
	put_le32(head + 28, zone);
	put_le32(head + 32, 1);
	if (keyring_wrap(ring, zone, 1, head + 12, key, head + 36) < 0)
		abort();
	put_le32(head + 108, INNER);
	seal(head + HEAD, plain, sizeof(plain), head, HEAD, key);
	header(head, sizeof(head));
}

static void body(const uint8_t *data, size_t len)
{
	struct object_ref ref = { .zone = zone, .epoch = 1, .header_bytes = 256 };
	struct object_range r;
	uint64_t off = 0, n = 0;
	uint8_t key[SEAL_KEY_BYTES] = { 1 }, *out;

	if (len < 24)
		return;
	memcpy(&ref.plain_bytes, data, 8);
	memcpy(&off, data + 8, 8);
	memcpy(&n, data + 16, 8);
	ref.plain_bytes %= 1 << 20;
	if (object_range(&ref, off, n, &r) < 0 || r.object_len > len - 24)
		return;
	if (keyring_wrap(ring, zone, 1, ref.id, key, ref.wrapped) < 0)
		abort();
	out = malloc(r.plain_len);
	if (out && object_open_range(ring, &ref, &r, data + 24, out) == 0)
		abort(); /* nobody guesses a tag */
	free(out);
}

static void name(const uint8_t *data, size_t len)
{
	char text[64] = { 0 }, again[OBJECT_NAME_BYTES];
	uint8_t id[OBJECT_ID_BYTES];

	memcpy(text, data, len < sizeof(text) - 1 ? len : sizeof(text) - 1);
	if (object_name_parse(text, id) < 0)
		return;
	object_name(id, again);
	if (strcmp(again, text) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const targets[])(const uint8_t *, size_t) = { header, inner, body, name };

	if (!ring)
		ring_make();
	if (len)
		targets[data[0] % 4](data + 1, len - 1);
	return 0;
}
