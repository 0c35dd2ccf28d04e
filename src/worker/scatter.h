/* One piece of work on every shard: run on each shard's loop, gathered on the main loop. */
#ifndef WORKER_SCATTER_H
#define WORKER_SCATTER_H

#include "net/loop.h"

struct scatter;
struct shard;
struct worker;

/* One shard's share. */
struct scatter_part {
    struct loop_task task;
    struct scatter *scatter;
    struct shard *shard;
    int status;
};

/* Embedded by an operation; alive until done. */
struct scatter {
    struct worker *worker;
    struct scatter_part *parts;
    unsigned n_left;
    int status; /* the first error */
    void (*run)(struct scatter_part *part);
    void (*done)(struct scatter *scatter);
};

/* Call `run` on each shard's loop; each must lead to one scatter_part_finish. Then call `done`,
 * once, on the main loop, which is the caller's. Scatters reach a shard in the order of their
 * starts. */
void scatter_start(struct scatter *scatter, struct worker *worker,
                   void (*run)(struct scatter_part *part), void (*done)(struct scatter *scatter));
/* This shard has done its share. Thread: the shard's. */
void scatter_part_finish(struct scatter_part *part, int status);

#endif
