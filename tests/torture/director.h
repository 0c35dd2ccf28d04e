/* Carries out the schedule, and notes what is in trouble meanwhile. Thread: the crew's. */
#ifndef TESTS_TORTURE_DIRECTOR_H
#define TESTS_TORTURE_DIRECTOR_H

#include "crew.h"
#include "schedule.h"
#include "troubles.h"

enum director_state { DIRECTOR_PLANNED, DIRECTOR_ENDING, DIRECTOR_ACTIVE, DIRECTOR_OVER };

struct director {
    const struct schedule *schedule;
    struct crew *crew;
    struct troubles *troubles;
    struct report *report;
    struct director_fault {
        enum director_state state;
        unsigned trouble; /* its number, when it is one */
        uint64_t until_ms;
    } * faults; /* owned: one for each of the schedule's */
    uint64_t n_done[FAULT_KINDS];
    uint64_t watched_ms;
};

/* Begin. The others outlive it. */
void director_init(struct director *director, const struct schedule *schedule, struct crew *crew,
                   struct troubles *troubles, struct report *report);
/* Free what it holds. */
void director_fini(struct director *director);
/* Do what is due now. Returns: when to call again, milliseconds of the report's clock. */
uint64_t director_turn(struct director *director);

#endif
