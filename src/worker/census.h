/* What all shards hold together: shuffles, counters, disks. For heartbeats, lists and the leases
 * of recovered data. */
#ifndef WORKER_CENSUS_H
#define WORKER_CENSUS_H

#include "core/limits.h"
#include "worker/move.h"
#include "worker/scatter.h"
#include "worker/shard_stats.h"
#include "worker/store.h"

enum { CENSUS_DISKS_MAX = 64 };

struct census_shard; /* one shard's count */

/* One shuffle, summed over the shards. */
struct census_shuffle {
    uint64_t app_uid;
    uint32_t shuffle_id;
    uint32_t n_partitions;
    uint64_t bytes, memory_bytes;
    bool brought; /* some of it may have been brought by a worker that drained */
    char *app_id; /* owned; "" when a crash left no name */
};

/* One count; embedded, alive until done. */
struct census {
    struct scatter scatter;
    struct census_shard *shards;     /* while counting */
    struct census_shuffle *shuffles; /* owned; largest first */
    size_t n_shuffles;
    struct store_stats stats; /* sums */
    struct shard_stats work;  /* likewise */
    struct histogram disk_latency[DISK_KINDS];
    struct store_directory_info disks[CENSUS_DISKS_MAX]; /* out of service when one shard says so */
    unsigned n_disks;
    struct move_progress move;        /* sums; moving while one shard is */
    char move_text[LIMIT_TEXT_BYTES]; /* why a shard does not move on, "" when all do */
    void (*done)(struct census *census);
};

/* Count on every shard, then call `done` on the main loop; release the result with census_fini. */
void census_start(struct census *census, struct worker *worker,
                  void (*done)(struct census *census));
/* Free the result. */
void census_fini(struct census *census);

#endif
