/* SPDX-License-Identifier: GPL-3.0-or-later */
/* object: the immutable sealed blob on a backend (DESIGN §6, docs/FORMAT.md).
 *
 *   header   magic, version, object id, zone, key epoch, wrapped key, sealed inner header
 *   segments of 16 KiB plaintext, each nonce 24 | ciphertext | tag 16, with AD = object id, segment number,
 *            plaintext length of the object, last-segment flag
 *
 * An object id is sealed exactly once: object_seal makes the whole body in memory (a block is at most 4 MiB, a pack
 * at most 16), so that a retry sends the same bytes. Nothing here blocks. */
#ifndef FS_CRYPT_OBJECT_H
#define FS_CRYPT_OBJECT_H

#include "base/buf.h"
#include "fs/crypt/keyring.h"

#include <stdbool.h>

#define OBJECT_ID_BYTES	 16
#define SEGMENT_DATA	 16384
#define SEGMENT_OVERHEAD SEAL_OVERHEAD
#define SEGMENT_BYTES	 (SEGMENT_DATA + SEGMENT_OVERHEAD)

/* One member: a block of a file, at an offset of the object's plaintext. A plain object has one, at offset 0. */
struct object_member {
	uint64_t ino;
	uint32_t block;
	uint64_t offset, len;
};

/* What metadata keeps of an object, and what is needed to read a range of it without its header. */
struct object_ref {
	uint8_t id[OBJECT_ID_BYTES];
	uint32_t zone, epoch;
	uint8_t wrapped[WRAPPED_KEY_BYTES];
	uint32_t header_bytes; /* where the first segment starts */
	uint64_t plain_bytes;  /* of all segments, padding included */
};

/* object_seal: chooses a fresh id and key, seals the members' plaintext (concatenated, plain_len bytes) for the zone's
 * current epoch, appends the body to out and fills ref. padme: zeros up to the Padmé size (Nikitin et al., PURBs,
 * 2019) are added to the plaintext. -ENOMEM, -ERR_KEY. */
int object_seal(struct keyring *, uint32_t zone_id, const struct object_member *, size_t member_count,
	const void *plain, size_t plain_len, bool padme, struct buf *out, struct object_ref *ref);
/* object_bytes: size of the whole object on a backend. */
uint64_t object_bytes(const struct object_ref *);

/* A range of plaintext, widened to whole segments, as a range of the object's bytes. */
struct object_range {
	uint64_t object_off, object_len; /* to ask the backend for */
	uint64_t plain_off, plain_len;	 /* what that yields: whole segments, the last one maybe short */
	uint64_t first_segment;
};
/* object_range: -ERANGE if [off, off+len) is not inside the plaintext or len is 0. */
int object_range(const struct object_ref *, uint64_t off, uint64_t len, struct object_range *);
/* object_open_range: body holds exactly range->object_len bytes; out receives range->plain_len. -ERR_TAMPERED for any
 * changed, swapped, truncated or foreign segment, when out is wiped. */
int object_open_range(
	struct keyring *, const struct object_ref *, const struct object_range *, const void *body, void *out);

/* object_open_header: from the first bytes of an object (at least OBJECT_HEADER_MIN; -ERANGE with *need set when more
 * are wanted), for audits and rescue. Fills ref and, malloc'd, the members. Checks store id and zone. -ERR_TAMPERED,
 * -ERR_FORMAT, -ERR_NEWER, -ERR_KEY. */
#define OBJECT_HEADER_MIN 256
int object_open_header(struct keyring *, const void *head, size_t len, struct object_ref *ref,
	struct object_member **members, size_t *member_count, size_t *need);

/* object_name: the backend name "3f/3f9a..." of an object id: 36 bytes with the NUL. The prefix is the driver's. */
#define OBJECT_NAME_BYTES 36
void object_name(const uint8_t id[OBJECT_ID_BYTES], char out[OBJECT_NAME_BYTES]);
int object_name_parse(const char *name, uint8_t id[OBJECT_ID_BYTES]); /* -EINVAL */

#endif
