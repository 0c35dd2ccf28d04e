/* The Nth-failure sweep: run a scenario again and again, each time with another one of its
 * operations failing, until a run ends before the operation that should have failed. So every
 * operation has failed once, whatever the scenario does and however it changes later.
 *
 * Each point is tried with every status of a list, failing once and failing from there on. */
#ifndef TESTS_LIB_SWEEP_H
#define TESTS_LIB_SWEEP_H

#include <stdbool.h>

/* What fails in one run. */
struct sweep_point {
    unsigned nth;
    int status;
    bool forever;
};

/* Run the scenario from a fresh start and check what came of it. Returns: true when there was an
 * operation number `nth`. */
typedef bool (*sweep_cb)(const struct sweep_point *point, void *arg);

/* Run all points. A failed expectation ends the process, and says at which point. Returns: how many
 * operations failed in turn; always more than none. */
unsigned sweep_run(sweep_cb run, void *arg, const int *statuses, unsigned n_statuses);

#endif
