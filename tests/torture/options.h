/* The command line of overhand-torture. */
#ifndef TESTS_TORTURE_OPTIONS_H
#define TESTS_TORTURE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

enum fault_kind {
    FAULT_KILL,    /* kill -9 a worker, start it again after a while */
    FAULT_RESTART, /* kill -9 a worker, start it again at once */
    FAULT_TERM,    /* SIGTERM, start again: nothing acked may be missing */
    FAULT_FREEZE,  /* SIGSTOP a worker, SIGCONT after a while */
    FAULT_DISK,    /* the small disk of worker w0 is full for a while */
    FAULT_CUT,     /* a worker's connections are reset or stand still for a while */
    FAULT_SLOW,    /* a worker's connections are slow and late for a while */
    FAULT_RESET,   /* a worker's connections are reset, once */
    FAULT_MASTER,  /* kill -9 one master or all, start again after a while */
    FAULT_KINDS
};

enum { OPTIONS_WORKERS_MAX = 10, OPTIONS_MASTERS_MAX = 3, OPTIONS_APPS_MAX = 16 };

struct options {
    uint64_t seed;
    uint64_t seconds;
    uint64_t n_workers, n_masters, n_apps, replicas;
    uint64_t memory_bytes; /* of each worker */
    bool faults[FAULT_KINDS];
    const char *faults_text; /* as given */
    const char *dir;         /* NULL: a new one under /tmp, removed after a pass */
    bool json;
};

/* The name of a kind on the command line and in reports. */
const char *fault_name(enum fault_kind kind);
/* Read the command line. Returns: 0; 1: --help was printed; OVERHAND_E_INVALID: stderr says why. */
MUST_CHECK int options_parse(struct options *options, int argc, char **argv);
/* The command line that repeats this run. Returns `text`. */
const char *options_command(const struct options *options, char *text, size_t size);

#endif
