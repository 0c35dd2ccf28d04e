/* For each status, once and for ever: nth = 0, 1, ... until a run has no such operation. An ASSERT
 * that fails meanwhile ends the process by SIGABRT, whose handler adds the point. */
#include "sweep.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "core/err.h"

enum { SWEEP_POINTS_MAX = 20000 };

static char where[128]; /* the point that runs now, for the handler */
static size_t where_len;

static void sweep_on_abort(int signal_number)
{
    ssize_t written = write(STDERR_FILENO, where, where_len);

    (void)written; /* the process ends: there is nobody to tell */
    (void)signal_number;
}

static bool sweep_try(sweep_cb run, void *arg, const struct sweep_point *point)
{
    where_len = (size_t)snprintf(where, sizeof where, "sweep: operation %u, %s, %s\n", point->nth,
                                 overhand_error_name(point->status),
                                 point->forever ? "for ever" : "once");
    return run(point, arg);
}

unsigned sweep_run(sweep_cb run, void *arg, const int *statuses, unsigned n_statuses)
{
    void (*before)(int) = signal(SIGABRT, sweep_on_abort);
    unsigned n = 0;

    for (unsigned i = 0; i < 2 * n_statuses; i++) {
        struct sweep_point point = {.status = statuses[i / 2], .forever = i % 2 == 1};

        while (sweep_try(run, arg, &point)) {
            point.nth++;
            n++;
            ASSERT(point.nth < SWEEP_POINTS_MAX);
        }
        ASSERT(point.nth > 0);
    }
    signal(SIGABRT, before);
    return n;
}
