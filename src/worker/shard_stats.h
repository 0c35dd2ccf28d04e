/* What a shard counts of its own work, for metrics: written by its thread alone, copied there by a
 * census. Times are the loop's: what is done within one turn takes none. */
#ifndef WORKER_SHARD_STATS_H
#define WORKER_SHARD_STATS_H

#include "core/err.h"
#include "core/histogram.h"

struct shard_stats {
    struct histogram push;        /* from a push's header to its answer, of those taken */
    uint64_t n_pushes[ERR_CODES]; /* answered, by err_index of the code */
    uint64_t n_reads[ERR_CODES];  /* streams ended, likewise */
};

#endif
