/* The whole cluster in a few numbers, and what is wrong with it; apart from asking. */
#ifndef CLI_CLI_STATUS_H
#define CLI_CLI_STATUS_H

#include <stdio.h>

#include "core/err.h"
#include "overhand.pb-c.h"

struct cli_status {
    unsigned n_masters, n_masters_answering;
    unsigned n_alive, n_excluded, n_draining, n_drained, n_lost;
    uint64_t memory_used, memory_bytes; /* of workers that are not lost */
    unsigned n_disks;                   /* likewise */
    uint64_t disk_total_bytes, disk_free_bytes;
    unsigned n_apps, n_shuffles;
    uint64_t held_bytes, held_memory_bytes;
    char **problems; /* owned sentences */
    unsigned n_problems;
};

/* Everything 0. Owns: the caller, cli_status_fini. */
void cli_status_init(struct cli_status *status);
/* Free it. */
void cli_status_fini(struct cli_status *status);
/* Note something wrong, printf'd. */
void cli_status_problem(struct cli_status *status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Add what a master lists: workers, applications, shuffles; each may be in a reply of its own. */
void cli_status_add(struct cli_status *status, const Overhand__Wire__ListReply *reply);
/* Say what the sums mean (no worker alive); call once after the last addition. */
void cli_status_judge(struct cli_status *status);
/* Print it. */
void cli_status_print(const struct cli_status *status, bool json, FILE *out);

#endif
