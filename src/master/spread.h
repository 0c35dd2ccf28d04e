/* How a shuffle's data are spread over its partitions, asked of all workers that hold some of it. */
#ifndef MASTER_SPREAD_H
#define MASTER_SPREAD_H

#include "master/ask.h"
#include "master/master.h"

enum { SPREAD_ROWS_MAX = 1000000 }; /* over all workers; what is beyond is left out */

/* One partition, summed over workers and shards. */
struct spread_row {
    uint32_t partition, n_workers;
    uint64_t bytes, memory_bytes, n_blocks;
};

struct spread_worker;

/* Embedded, alive until done. */
struct spread {
    struct spread_worker *workers; /* owned */
    unsigned n_workers, n_left;
    struct spread_row *rows; /* owned; in the end one for each partition, the largest first */
    size_t n_rows, capacity;
    uint64_t bytes, memory_bytes; /* of all */
    bool more;                    /* rows were left out */
    void (*done)(struct spread *spread);
};

/* Ask every worker that is not lost and holds some of the shuffle, by its last heartbeat. `done`
 * runs once, later; release the result with spread_fini. */
void spread_start(struct spread *spread, const struct master *master, struct net *net,
                  uint64_t now_ms, uint64_t app_uid, uint32_t shuffle_id,
                  void (*done)(struct spread *spread));
/* End the asking: `done` runs soon, and who has not answered is reported with OVERHAND_E_CLOSED. */
void spread_cancel(struct spread *spread);
/* The id of worker i < n_workers, and what asking it came to (0: answered). */
const char *spread_worker(const struct spread *spread, unsigned i, int *status);
/* Free the result. */
void spread_fini(struct spread *spread);

#endif
