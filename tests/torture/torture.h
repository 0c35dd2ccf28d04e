/* What all threads of a run share. */
#ifndef TESTS_TORTURE_TORTURE_H
#define TESTS_TORTURE_TORTURE_H

#include "options.h"
#include "overhand/overhand.h"
#include "report.h"
#include "troubles.h"

enum {
    TORTURE_SLICE_MS = 1000,     /* of waiting in a call of the library */
    TORTURE_PATIENCE_MS = 60000, /* without any progress: it hangs */
};

struct torture {
    struct options options;
    struct report report;
    struct troubles troubles;
    const char *masters; /* "host:port,..." */
    FILE *client_log;
    uint64_t end_ms; /* no new shuffle from then on */
};

#endif
