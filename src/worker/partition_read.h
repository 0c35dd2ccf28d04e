/* The inside of a read, for partition_read.c and partition_read_plan.c. */
#ifndef WORKER_PARTITION_READ_H
#define WORKER_PARTITION_READ_H

#include "worker/store_state.h"

enum { READ_SPANS_MAX = 16 };

/* Answers of the planning functions besides errors. */
enum { PLAN_ON = 0, PLAN_FULL = 1, PLAN_REST = 2 };

/* One contiguous read of a file. */
struct read_span {
    struct data_file_use use;
    struct disk_op op;
    struct read_step *step;
    const struct run *run; /* of its blocks; valid while planning */
    struct data_file *file;
    uint64_t begin, end; /* wanted bytes, offsets in the file */
    uint8_t *memory;     /* where the aligned read begins */
};

/* Adjacent wanted blocks on disk: one entry of iov. */
struct read_piece {
    uint32_t first_block, n_blocks; /* no blocks: the entry lies in memory */
    uint32_t span;
    uint64_t file_offset;
};

struct read_step {
    struct list node;                   /* store->loading */
    struct partition_read *read;        /* NULL: given up */
    struct partition *partition;        /* held */
    const struct attempt_set *attempts; /* borrowed until done */
    size_t range;                       /* of attempts, that matched last */
    uint64_t offset;                    /* planned up to here */
    uint64_t stop_offset;               /* what existed at the start */
    size_t max_bytes;
    struct read_piece pieces[PARTITION_READ_IOV_MAX];
    struct read_span *spans[READ_SPANS_MAX];
    uint32_t n_spans, n_pending;
    uint64_t span_bytes;                              /* of all spans, about */
    uint32_t disk_bytes;                              /* wanted of them */
    bool large;                                       /* has room among large blocks */
    struct segment *segments[PARTITION_READ_IOV_MAX]; /* held */
    uint32_t n_segments;
    struct arena_chunk buffer;
    int status;
};

/* Take as many wanted blocks from step->offset on as fit: in memory, into read->iov; on disk, into
 * pieces and spans.
 * Returns: PLAN_ON (all of it), PLAN_FULL, PLAN_REST (nothing yet: next turn), or an error. */
int read_step_plan(struct read_step *step);

#endif
