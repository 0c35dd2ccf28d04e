/* For each status, once and for ever: nth = 0, 1, ... until a run has no such operation. An ASSERT
 * that fails meanwhile ends the process by SIGABRT, whose handler adds the point. */
#include "sweep.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "core/err.h"

enum { SWEEP_POINTS_MAX = 20000 };

static struct sweep_point current;

static void sweep_on_abort(int signal_number)
{
    char text[128];
    int len = snprintf(text, sizeof text, "sweep: operation %u, %s, %s\n", current.nth,
                       overhand_error_name(current.status), current.forever ? "for ever" : "once");
    ssize_t written = write(STDERR_FILENO, text, (size_t)len);

    (void)written; /* the process ends: there is nobody to tell */
    (void)signal_number;
}

unsigned sweep_run(sweep_cb run, void *arg, const int *statuses, unsigned n_statuses)
{
    void (*before)(int) = signal(SIGABRT, sweep_on_abort);
    unsigned n = 0;

    for (unsigned i = 0; i < 2 * n_statuses; i++) {
        current = (struct sweep_point){.status = statuses[i / 2], .forever = i % 2 == 1};
        while (run(&current, arg)) {
            current.nth++;
            n++;
            ASSERT(current.nth < SWEEP_POINTS_MAX);
        }
        ASSERT(current.nth > 0);
    }
    signal(SIGABRT, before);
    return n;
}
