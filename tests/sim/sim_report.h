/* What a simulated run says about itself: the schedule of its events, a hash of them that two runs
 * of one seed share, and the verdict. */
#ifndef TESTS_SIM_SIM_REPORT_H
#define TESTS_SIM_SIM_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim_loop.h"

enum { SIM_EXIT_FAILED = 3 }; /* of the process whose run was judged wrong */

struct world_options;

struct sim_report {
    const struct sim_loop *loop;
    const struct world_options *options; /* verbose: print events, and the log lines of everything,
                                            as they come */
    uint64_t hash;
    char *schedule; /* owned */
    size_t len, capacity;
};

/* Begin; log lines go here from now on. */
void sim_report_init(struct sim_report *report, const struct sim_loop *loop,
                     const struct world_options *options);
/* End. */
void sim_report_fini(struct sim_report *report);
/* One event of the schedule. */
void sim_report_note(struct sim_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A value that replaying must bring again. */
void sim_report_mix(struct sim_report *report, uint64_t value);
/* Print the command that replays a run. */
void sim_report_replay(const struct world_options *options);
/* The run is wrong: print the seed, the schedule, why, and the command that replays it; end the
 * process. */
_Noreturn void sim_report_fail(struct sim_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
