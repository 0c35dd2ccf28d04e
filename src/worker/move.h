/* A shard that drains brings what it holds to other workers: it copies every partition, block by block
 * as they are, and keeps it. So readers are served here until the end, and find the copies by asking a
 * master once this worker is gone; a block that they get twice they drop by its number. At the end each
 * worker that took data must be the process that took it, and its masters must know; or all is moved
 * once more.
 *
 * The memory for it is what pushes do not use any more. The shard's loop. */
#ifndef WORKER_MOVE_H
#define WORKER_MOVE_H

#include "core/limits.h"
#include "worker/peer.h"
#include "worker/store.h"

enum {
    MOVE_TARGETS_MAX = 64,
    MOVE_OPS_MAX = 4,       /* partitions on their way at a time */
    MOVE_BYTES = 512 << 10, /* of each, but for a larger block */
    MOVE_PAUSE_MS = 200,    /* before another try when nobody takes it */
    MOVE_AVOID_MS = 5000, /* a worker that refused is left alone so long, while there are others */
};

struct move_op;
struct move_check;

/* A worker that may take data. */
struct move_target {
    char id[LIMIT_WORKER_ID_BYTES + 1], host[LIMIT_HOST_BYTES + 1];
    uint32_t port, n_shards;
    uint64_t avoid_until_ms; /* the mover's */
};

/* A process that has taken data, and a connection by which it is asked at the end. */
struct move_taker {
    struct move_target target;
    uint64_t incarnation;
    struct hello_peer app;
    uint32_t shard;
};

struct move_progress {
    uint64_t total_bytes, moved_bytes;
    uint32_t n_unreadable; /* partitions that could not be read to their end */
    uint32_t n_started;    /* shards that have begun */
    bool moving;
};

/* One shard's; embedded in it. */
struct mover {
    struct shard *shard;
    bool started; /* since the last mover_stop */
    struct move_target targets[MOVE_TARGETS_MAX];
    unsigned n_targets;
    struct store_partition_name *partitions; /* owned: what there was at the start */
    size_t n_partitions, next;
    struct move_op *ops[MOVE_OPS_MAX]; /* NULL: none */
    unsigned n_ops;
    struct move_taker *takers; /* owned: who has data of this move */
    unsigned n_takers;
    bool again;               /* one of them is gone: all is to be moved once more */
    struct move_check *check; /* owned: asks them, behind the last operation */
    struct move_progress progress;
    char why[LIMIT_TEXT_BYTES]; /* the last refusal; "" when the last try went well */
};

/* Nothing to do yet. */
void mover_init(struct mover *mover, struct shard *shard);
/* Free what it holds; it is idle. */
void mover_fini(struct mover *mover);
/* Take note of who may take data; n <= MOVE_TARGETS_MAX. */
void mover_set_targets(struct mover *mover, const struct move_target *targets, unsigned n);
/* Begin, or go on: bring everything the store has now, to which nothing is added any more. */
void mover_start(struct mover *mover);
/* Begin nothing more; what is under way ends by itself. */
void mover_stop(struct mover *mover);
/* Is nothing under way? */
bool mover_idle(const struct mover *mover);

#endif
