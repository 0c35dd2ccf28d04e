/* Questions of the CLI about partitions and their blocks, asked of all shards. */
#ifndef WORKER_QUERY_H
#define WORKER_QUERY_H

#include "overhand.pb-c.h"
#include "worker/scatter.h"

enum { QUERY_BLOCKS_DEFAULT = 1000 };

/* Rows of one shard, and at last of all. */
struct query_partitions_rows {
    Overhand__Wire__PartitionRow *rows; /* owned, with their file names */
    size_t n, capacity;
    bool more; /* rows were left out */
};

/* LIST_PARTITIONS; embedded, alive until done. */
struct query_partitions {
    struct scatter scatter;
    Overhand__Wire__List list; /* only its numbers are used */
    size_t limit;
    struct query_partitions_rows *shards;
    struct query_partitions_rows result; /* in order of application, shuffle, partition, shard */
    void (*done)(struct query_partitions *query);
};

/* INSPECT; embedded, alive until done. */
struct query_blocks {
    struct scatter scatter;
    Overhand__Wire__Inspect inspect;
    size_t limit;
    struct query_blocks_rows *shards;
    bool found;
    Overhand__Wire__PartitionRow partition; /* sums, when several shards have some of it */
    Overhand__Wire__BlockRow *rows;
    size_t n_rows;
    bool more;
    void (*done)(struct query_blocks *query);
};

/* Ask, then call `done` on the main loop; release the result with query_partitions_fini. */
void query_partitions_start(struct query_partitions *query, struct worker *worker,
                            const Overhand__Wire__List *list,
                            void (*done)(struct query_partitions *query));
/* Free the result. */
void query_partitions_fini(struct query_partitions *query);

/* Ask, then call `done` on the main loop; release the result with query_blocks_fini. */
void query_blocks_start(struct query_blocks *query, struct worker *worker,
                        const Overhand__Wire__Inspect *inspect,
                        void (*done)(struct query_blocks *query));
/* Free the result. */
void query_blocks_fini(struct query_blocks *query);

#endif
