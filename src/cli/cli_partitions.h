/* The list of partitions; apart from asking for it. */
#ifndef CLI_CLI_PARTITIONS_H
#define CLI_CLI_PARTITIONS_H

#include "cli/cli_table.h"
#include "core/err.h"
#include "overhand.pb-c.h"

struct cli_partitions {
    struct cli_table table;
    json_t *json; /* array, owned */
    size_t n_rows;
    uint64_t bytes;
};

/* An empty list. Owns: the caller, cli_partitions_fini. */
void cli_partitions_init(struct cli_partitions *list);
/* Free it. */
void cli_partitions_fini(struct cli_partitions *list);
/* Add one row of a worker's; app_id may be "". */
void cli_partitions_add(struct cli_partitions *list, const char *worker_id, const char *app_id,
                        const Overhand__Wire__PartitionRow *row);
/* Print it. */
void cli_partitions_print(const struct cli_partitions *list, bool json, FILE *out);

/* How many rows of a page surely hold all of their partitions; when there is more,
 * *next_partition is where the next page begins. */
size_t cli_partitions_whole(const Overhand__Wire__ListReply *reply, uint32_t *next_partition);

#endif
