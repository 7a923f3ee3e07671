/* SPDX-License-Identifier: GPL-3.0-or-later */
/* internal: what the files of the world share. */
#ifndef TESTS_FAULT_PLACEMENT_INTERNAL_H
#define TESTS_FAULT_PLACEMENT_INTERNAL_H

#include "cloud.h"
#include "fs/place/approval.h"
#include "fs/transfer/internal.h"
#include "state.h"
#include "tests/unit/fs-core/fixture.h"
#include "world.h"

#define SETTLE_NS  (200 * NS_PER_MS)
#define LONG_NS	   (2500 * NS_PER_MS)
#define MOMENT_NS  (260 * NS_PER_MS) /* longer than the quiet period, and than small blocks are gathered */
#define SOON_NS	   (4 * NS_PER_S)
#define FILE_BYTES 1500
#define STATES_MAX 64 /* of one walk */

struct world {
	struct fixture f;
	const struct scene *scene;
	uint64_t pub, hr;
	unsigned versions, crashes;
	struct state now;
	/* what a crash may leave: past[durable] or what came after it */
	struct state past[STATES_MAX];
	size_t past_count, past_durable;
	uint64_t durable_hash;
	bool racing;	  /* a step began in the middle of another: what it changes may be as if it came later */
	int64_t began_ns; /* when the outer one did */
};
extern struct world w;

/* wrong: reports it. file_touched: its quiet period begins. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *file_name(int file);
int file_of(uint64_t ino); /* or NOBODY */
void file_touched(struct file *);
uint32_t file_flags(const struct file *);
unsigned file_version(int file); /* of its content, as it can be read */
void world_past(void);		 /* what there is now may be left by a crash */
bool file_is_content(int file, const void *data, size_t len);
/* member_may_leave: what began to be sent at since_ns; also what another file has that may leave. */
bool member_may_leave(const struct cloud_member *, int64_t since_ns);

/* store.c */
void store_write_rules(bool closed, bool doubled);
void store_open(void);
void store_crash(void); /* what is not written to its files is gone, and it is opened again */
bool store_saved(void); /* nothing is */

/* rest.c */
/* rest_wait: all that is under way ends well. rest_check: everything is where it belongs. */
void rest_wait(void);
void rest_check(void);
void rest_see_exports(void); /* what the policy let go is no longer held */

/* hash.c */
uint64_t hash_seen(void); /* of what programs see */

#endif
