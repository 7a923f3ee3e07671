/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cloud: backends at the driver's interface, in memory. A put of an object stops there until the test says what
 * becomes of it; all other calls are answered at once. */
#ifndef TESTS_FAULT_PLACEMENT_CLOUD_H
#define TESTS_FAULT_PLACEMENT_CLOUD_H

#include "backends/backend.h"
#include "fs/crypt/object.h"
#include "stage.h"

enum cloud_side { NEAR, FAR };

/* A part of a file in an object. */
struct cloud_member {
	uint64_t ino;
	const uint8_t *plain;
	size_t len;
};
#define CLOUD_MEMBERS_MAX 8

/* late: no answer to all of the body, and the object is there CLOUD_LATE_NS later, when cloud_come is called. */
enum cloud_answer { CLOUD_NONE, CLOUD_CONFIRM, CLOUD_FAIL, CLOUD_LATE };
#define CLOUD_LATE_NS 5000000000

/* A put under way: half of the body is there, or, sent, all of it: then the object is stored though nobody knows. */
struct cloud_put {
	struct cloud_put *next;
	enum cloud_side side;
	int64_t began_ns;
	bool sent, cut;
	enum cloud_answer answer;
	struct cloud_member members[CLOUD_MEMBERS_MAX];
	size_t member_count;
	char backend[16], key[80];
	struct stage_stop stop;
};

/* cloud_begin: body_came is told, on the thread that sends it, of each piece of an object's body. */
void cloud_begin(void (*body_came)(const struct cloud_put *));
/* cloud_keys: what opens the objects of the store from now on. cloud_dead: every call fails and does nothing: who makes
 * them has crashed. */
void cloud_keys(struct keyring *);
void cloud_dead(bool dead);
/* cloud_put_at: the first put under way on a side; NULL. */
struct cloud_put *cloud_put_at(enum cloud_side);
struct cloud_put *cloud_puts(void);
/* cloud_send: the rest of the body; cloud_say: how it ends. To be followed by stage_settle. */
void cloud_send(struct cloud_put *);
void cloud_say(struct cloud_put *, enum cloud_answer);
void cloud_come(void);
bool cloud_late(void); /* something is */
/* cloud_each: every member of every object on a side, with its backend's name. cloud_objects: how many there are. */
void cloud_each(enum cloud_side, void (*fn)(void *ctx, const char *backend, const struct cloud_member *), void *ctx);
size_t cloud_objects(enum cloud_side);

#endif
