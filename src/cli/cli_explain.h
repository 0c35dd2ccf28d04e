/* What is known of one shuffle, put together and judged; apart from asking for it. */
#ifndef CLI_CLI_EXPLAIN_H
#define CLI_CLI_EXPLAIN_H

#include <stdio.h>

#include "core/err.h"
#include "core/limits.h"
#include "overhand.pb-c.h"

enum { CLI_EXPLAIN_LARGEST = 10 };

/* A worker that holds some of it, by its last heartbeat. */
struct cli_explain_holder {
    char id[LIMIT_WORKER_ID_BYTES + 1];
    char state[16];
    uint32_t n_partitions;
    uint64_t bytes, memory_bytes;
    uint64_t answer_ms; /* how long it took to list its partitions */
    bool failed;        /* it did not, or was not asked */
};

/* One partition, summed over shards and workers. */
struct cli_explain_row {
    uint32_t partition, n_workers;
    uint64_t bytes, memory_bytes;
};

struct cli_explain {
    const char *app_id; /* borrowed */
    uint64_t app_uid;
    uint32_t shuffle_id;
    struct cli_explain_holder *holders; /* owned */
    unsigned n_holders;
    struct cli_explain_row *rows; /* owned; after cli_explain_judge the largest first */
    size_t n_rows, capacity;
    uint64_t bytes, memory_bytes;
    char **notes; /* owned sentences */
    unsigned n_notes;
    bool trouble; /* some of it may be missing or slow */
};

/* Nothing known yet. Owns: the caller, cli_explain_fini. */
void cli_explain_init(struct cli_explain *explain, const char *app_id, uint64_t app_uid,
                      uint32_t shuffle_id);
/* Free it. */
void cli_explain_fini(struct cli_explain *explain);
/* Note a sentence, printf'd. */
void cli_explain_note(struct cli_explain *explain, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A worker as its master lists it. Returns: the holder, borrowed until the next one; NULL when it
 * holds nothing of the shuffle. */
struct cli_explain_holder *cli_explain_add_worker(struct cli_explain *explain,
                                                  const Overhand__Wire__WorkerRow *row);
/* Partitions that one worker lists. */
void cli_explain_add_rows(struct cli_explain *explain, Overhand__Wire__PartitionRow *const *rows,
                          size_t n);
/* Everything was added: sum up, sort, and note what stands out. */
void cli_explain_judge(struct cli_explain *explain);
/* Print it. */
void cli_explain_print(const struct cli_explain *explain, bool json, FILE *out);

#endif
