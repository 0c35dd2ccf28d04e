/* How lists of a master look; apart from fetching them. */
#ifndef CLI_CLI_LISTS_H
#define CLI_CLI_LISTS_H

#include <stdio.h>

#include "core/err.h"
#include "overhand.pb-c.h"

/* One row per worker: state, address, memory, disks, what it holds. */
void cli_workers_print(const Overhand__Wire__ListReply *reply, bool json, FILE *out);
/* One row per application. */
void cli_apps_print(const Overhand__Wire__ListReply *reply, bool json, FILE *out);
/* One row per shuffle. */
void cli_shuffles_print(const Overhand__Wire__ListReply *reply, bool json, FILE *out);

/* Sums over a worker's last heartbeat. */
struct cli_worker_sums {
    unsigned n_disks, n_failed_disks;
    uint64_t disk_total_bytes, disk_free_bytes; /* of disks in service */
    uint64_t held_bytes;
};

/* Add one up. */
void cli_worker_sum(const Overhand__Wire__WorkerRow *row, struct cli_worker_sums *sums);

#endif
