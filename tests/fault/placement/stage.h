/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stage: threads that run one at a time, in an order that is always the same, by a clock that the test sets.
 *
 * The program's own calls of pthread and clock_gettime lead here (ldflags). A thread runs until it waits; then the
 * one that became runnable first goes on. Nothing is measured in real time: a timed wait ends when stage_advance says
 * so, or when nobody could run otherwise. So a walk that is repeated goes the same way. */
#ifndef TESTS_FAULT_PLACEMENT_STAGE_H
#define TESTS_FAULT_PLACEMENT_STAGE_H

#include <stdbool.h>
#include <stdint.h>

/* stage_begin: the calling thread is the test's own; all others are made later. */
void stage_begin(void);
int64_t stage_now(void);
/* stage_settle: all others run until each waits. stage_advance: the same again and again, while ns pass. */
void stage_settle(void);
void stage_advance(int64_t ns);

/* A place where a thread stays until the test lets it go on. */
struct stage_stop {
	struct actor *actor; /* NULL: nobody is there */
};
void stage_stop_at(struct stage_stop *);
/* stage_go: from any thread; harmless where nobody is. */
void stage_go(struct stage_stop *);

/* stage_interrupt: threads of that name stop before they take their count-th lock from now on (0: no longer). Where
 * the test itself could not go on without it, one goes on early. stage_interrupted: one stands there. stage_spare: this
 * lock does not count: who stands before it holds what no stage sees. */
void stage_interrupt(const char *name, unsigned count);
void stage_spare(const void *what);
bool stage_interrupted(void);
/* stage_resume: it goes on; interrupts no more. */
void stage_resume(void);

#endif
