/* The fault schedule: drawn from the seed before the run begins, so that a seed says what will happen
 * and when. */
#ifndef TESTS_TORTURE_SCHEDULE_H
#define TESTS_TORTURE_SCHEDULE_H

#include "options.h"

enum { FAULT_MASTERS_ALL = -1 };

struct fault {
    enum fault_kind kind;
    int target; /* number of a worker or master, or FAULT_MASTERS_ALL */
    uint64_t at_ms, lasts_ms;
    bool stall;                /* CUT: connections stay, but no byte moves */
    uint64_t bytes_per_second; /* SLOW, with the next */
    uint32_t delay_ms;
};

struct schedule {
    struct fault *faults; /* owned; by time */
    unsigned n_faults;
};

/* Draw it: faults end before the run does, and never leave fewer workers alone than `options` can bear:
 * one of three at a time, and with two copies always one at a time with a pause between. */
void schedule_init(struct schedule *schedule, const struct options *options);
/* Free it. */
void schedule_fini(struct schedule *schedule);
/* Does it keep its worker from answering, so that attempts and reads may fail? Others are to be felt by
 * nobody. */
bool fault_is_trouble(const struct fault *fault);
/* "kill -9 worker w1 for 1.2s". Returns `text`. */
const char *fault_text(const struct fault *fault, char *text, size_t size);

#endif
